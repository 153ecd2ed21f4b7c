/* merge.c: the runs of one file into another, keyed by uid. Row ids differ between files, uids, names and digests do
 * not: everything is mapped through those. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "db/internal.h"

#define RUN_COLUMNS                                                                                              \
  "experiment, name, sweep, seed, status, started_ms, ended_ms, heartbeat_ms, host, pid, pid_start, user, cwd, " \
  "script, command, commit_id, dirty, cpu, threads, peak_rss_bytes, config_json, config_digest, resumed, error"

static const struct {
  const char *table, *columns;
} hanging[] = {
    {"param", "key, num, txt"},
    {"result", "method, split, metric, factor, value, seed, n, extra_json, t_ms"},
    {"artifact", "kind, step, path, digest, bytes, complete, t_ms"},
    {"run_dataset", "digest, role"},
    {"run_source", "kind, path, digest"},
    {"env", "key, value"},
    {"event", "t_ms, level, text"},
    {"system_sample", "t_ms, rss_bytes, cpu_s"},
};

static int plan(pc_db *db, const pc_merge_opts *o, const char *op) {
  int64_t skip = o->skip_archived;
  int code = pc_db_exec(db,
                        "create temp table merge_map(src integer primary key, uid text, dst integer, state text);"
                        "create index temp.merge_map_uid on merge_map(uid)",
                        op);
  if (code != PC_OK) return code;
  return pc_db_run_sql(db, NULL, op,
                       "insert into merge_map select s.id, s.uid, d.id, case when d.id is null then 'add' "
                       "when max(s.heartbeat_ms, ifnull(s.ended_ms, 0)) > max(d.heartbeat_ms, ifnull(d.ended_ms, 0)) "
                       "then 'replace' else 'same' end from src.run s left join main.run d on d.uid = s.uid "
                       "where (?1 is null or s.experiment = ?1) and (s.archived = 0 or ?2 = 0)",
                       "si", o->experiment, skip);
}

static int copy_runs(pc_db *db, const char *op) {
  int code = pc_db_exec(db,
                        "insert or ignore into main.metric_name(name, goal) select name, goal from src.metric_name;"
                        "insert or ignore into main.source select * from src.source;"
                        "insert or ignore into main.dataset select * from src.dataset;"
                        "insert into main.run(uid, note, archived, " RUN_COLUMNS
                        ") "
                        "select uid, note, archived, " RUN_COLUMNS
                        " from src.run "
                        "where id in (select src from merge_map where state = 'add') order by id;"
                        "update main.run set note = coalesce(note, x.note0), (" RUN_COLUMNS
                        ") = "
                        "(select " RUN_COLUMNS
                        " from src.run s where s.uid = run.uid) "
                        "from (select uid as uid0, note as note0 from src.run) x where x.uid0 = run.uid "
                        "and uid in (select uid from merge_map where state = 'replace');"
                        "update merge_map set dst = (select id from main.run r where r.uid = merge_map.uid);",
                        op);
  /* a parent in either file; the child keeps the one it has */
  for (int i = 0; i < 2 && code == PC_OK; i++) {
    static const char *const link[] = {"parent_id", "repeats_id"};
    char sql[512];
    snprintf(sql, sizeof sql,
             "update main.run set %s = (select p.id from merge_map m join src.run c on c.id = m.src "
             "join src.run sp on sp.id = c.%s join main.run p on p.uid = sp.uid where m.dst = run.id) "
             "where %s is null and id in (select dst from merge_map where state <> 'same')",
             link[i], link[i], link[i]);
    code = pc_db_exec(db, sql, op);
  }
  if (code == PC_OK)
    code = pc_db_exec(db,
                      "insert or ignore into main.sweep select * from src.sweep where name in "
                      "(select r.sweep from src.run r join merge_map m on m.src = r.id where m.state <> 'same');"
                      "insert or ignore into main.cell(sweep, config_digest, seed, nth, set_json) "
                      "select c.sweep, c.config_digest, c.seed, c.nth, c.set_json from src.cell c where c.sweep in "
                      "(select r.sweep from src.run r join merge_map m on m.src = r.id where m.state <> 'same')",
                      op);
  return code;
}

/* Rows of curves: all, or `thin` of a series, evenly spaced over its rows, the first and the last among them. */
static int copy_metrics(pc_db *db, int64_t thin, const char *op) {
  static const char all[] =
      "insert into main.metric select m.dst, d.id, x.step, x.value, x.t_ms from merge_map m "
      "join src.metric x on x.run_id = m.src join src.metric_name s on s.id = x.name_id "
      "join main.metric_name d on d.name = s.name where m.state <> 'same'";
  static const char some[] =
      "insert into main.metric select m.dst, d.id, x.step, x.value, x.t_ms from "
      "(select *, row_number() over (partition by run_id, name_id order by step) - 1 as i from src.metric "
      "where run_id in (select src from merge_map where state <> 'same')) x "
      "join src.metric_last l on l.run_id = x.run_id and l.name_id = x.name_id join merge_map m on m.src = x.run_id "
      "join src.metric_name s on s.id = x.name_id join main.metric_name d on d.name = s.name "
      "where l.n <= ?1 or x.i = 0 or x.i * (?1 - 1) / (l.n - 1) <> (x.i - 1) * (?1 - 1) / (l.n - 1)";
  int code = thin > 0 ? pc_db_run_sql(db, NULL, op, some, "i", thin < 2 ? (int64_t)2 : thin) : pc_db_exec(db, all, op);
  if (code == PC_OK)
    code = pc_db_exec(
        db,
        "insert into main.metric_last select m.dst, d.id, x.step, x.last, x.min, x.max, x.n, x.n_nan, x.t_ms "
        "from merge_map m join src.metric_last x on x.run_id = m.src "
        "join src.metric_name s on s.id = x.name_id join main.metric_name d on d.name = s.name "
        "where m.state <> 'same';"
        "insert into main.metric_block(run_id, name_id, step, final, min, max, n) "
        "select run_id, name_id, min(step), max(step), min(value), max(value), count(*) from (select run_id, name_id, "
        "step, value, (row_number() over (partition by run_id, name_id order by step) - 1) / 128 as b from main.metric "
        "where run_id in (select dst from merge_map where state <> 'same')) "
        "group by run_id, name_id, b having count(*) = 128",
        op);
  return code;
}

static int copy_hanging(pc_db *db, const char *op) {
  int code = PC_OK;
  char sql[1024];
  for (size_t i = 0; i < sizeof hanging / sizeof *hanging && code == PC_OK; i++) {
    const char *t = hanging[i].table, *c = hanging[i].columns;
    snprintf(sql, sizeof sql,
             "delete from main.%s where run_id in (select dst from merge_map where state = 'replace');"
             "insert into main.%s(run_id, %s) select m.dst, %s from src.%s t join merge_map m on m.src = t.run_id "
             "where m.state <> 'same'",
             t, t, c, c, t);
    code = pc_db_exec(db, sql, op);
  }
  if (code == PC_OK)
    code = pc_db_exec(
        db,
        "insert or ignore into main.tag select m.dst, t.tag from src.tag t join merge_map m on m.src = t.run_id "
        "where m.state <> 'same';"
        "delete from main.metric where run_id in (select dst from merge_map where state = 'replace');"
        "delete from main.metric_last where run_id in (select dst from merge_map where state = 'replace')",
        op);
  return code;
}

static int count(pc_db *db, pc_merge_counts *n, const char *op) {
  int64_t added, replaced, same;
  int code = pc_db_run_sql(db, &added, op, "select count(*) from merge_map where state = 'add'", "");
  if (code == PC_OK)
    code = pc_db_run_sql(db, &replaced, op, "select count(*) from merge_map where state = 'replace'", "");
  if (code == PC_OK) code = pc_db_run_sql(db, &same, op, "select count(*) from merge_map where state = 'same'", "");
  if (code == PC_OK) *n = (pc_merge_counts){(int)added, (int)replaced, (int)same};
  return code;
}

/* Opens the other file on its own first: the right kind, the right version, a clear message if not. */
static int check_source(pc_db *db, const char *path) {
  pc_db *src;
  int64_t version, application;
  struct stat a, b; /* a hard link is the same file under another name */
  int code;
  if (!stat(db->path, &a) && !stat(path, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
    return pc_fail(PC_EARG, "merge: %s is the file to merge into", path);
  code = pc_db_open(&src, path, PC_DB_READ);
  if (code != PC_OK) return pc_error_prefix(code, "merge");
  code = pc_db_run_sql(src, &version, "merge", "pragma user_version", "");
  if (code == PC_OK) code = pc_db_run_sql(src, &application, "merge", "pragma application_id", "");
  pc_db_close(src);
  if (code != PC_OK) return code;
  if (application != PC_DB_APPLICATION) return pc_fail(PC_EFORMAT, "merge: %s holds no runs of percept", path);
  if (version != PC_DB_VERSION)
    return pc_fail(PC_EFORMAT,
                   "merge: %s has schema version %lld, %s has %d; percept runs --db %s --reap brings it up to date",
                   path, (long long)version, db->path, PC_DB_VERSION, path);
  return PC_OK;
}

int pc_db_merge(pc_db *db, const char *path, const pc_merge_opts *opts, pc_merge_counts *counts) {
  static const char op[] = "merge";
  static const pc_merge_opts plain;
  pc_merge_counts ignored;
  int code;
  if (!opts) opts = &plain;
  if (!counts) counts = &ignored;
  *counts = (pc_merge_counts){0};
  if ((code = check_source(db, path))) return code;
  if ((code = pc_db_lock(db, op))) return code;
  if (db->runs) code = pc_fail(PC_ESTATE, "merge: %s is recording a run; merge when that is finished", db->path);
  if (code == PC_OK) code = pc_db_run_sql(db, NULL, op, "attach ?1 as src", "s", path);
  if (code != PC_OK) goto done;
  code = pc_db_begin(db, PC_BUSY_MS, op);
  if (code == PC_OK) {
    code = plan(db, opts, op);
    if (code == PC_OK) code = copy_runs(db, op);
    if (code == PC_OK) code = copy_hanging(db, op);
    if (code == PC_OK) code = copy_metrics(db, opts->thin, op);
    if (code == PC_OK) code = count(db, counts, op);
    if (code == PC_OK) code = pc_db_exec(db, "drop table merge_map", op);
    code = pc_db_end(db, code, op);
  }
  sqlite3_exec(db->handle, "detach src", NULL, NULL, NULL);
done:
  pc_db_unlock(db);
  return code;
}
