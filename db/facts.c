/* facts.c: what hangs on a run besides its curves: results, artifacts, datasets, tags, notes, events. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "db/digest.h"
#include "db/internal.h"

/* one statement in its own transaction */
#define WRITE(run, op, sql, types, ...)                                                                    \
  do {                                                                                                     \
    pc_db *db_ = (run)->db;                                                                                \
    int code_ = pc_db_lock(db_, op);                                                                       \
    if (code_ != PC_OK) return code_;                                                                      \
    code_ = pc_db_begin(db_, PC_BUSY_WAIT, op);                                                            \
    if (code_ == PC_OK) code_ = pc_db_end(db_, pc_db_run_sql(db_, NULL, op, sql, types, __VA_ARGS__), op); \
    pc_db_unlock(db_);                                                                                     \
    return code_;                                                                                          \
  } while (0)

static int required(const char *op, const char *key, const char *value) {
  if (value && *value) return pc_db_name(op, key, value);
  return pc_fail(PC_EARG, "%s: %s is missing; a result needs method, split, metric and value", op, key);
}

int pc_run_result(pc_run *run, const pc_result *r) {
  static const char op[] = "run:result";
  int64_t seed = r->has_seed ? r->seed : run->seed;
  int code = required(op, "method", r->method);
  if (code == PC_OK) code = required(op, "split", r->split);
  if (code == PC_OK) code = required(op, "metric", r->metric);
  if (code == PC_OK) code = pc_db_name(op, "factor", r->factor);
  if (code != PC_OK) return code;
  if (r->extra_json) { /* the table's check would say less */
    json_error_t e;
    json_t *j = json_loads(r->extra_json, JSON_DECODE_ANY, &e);
    if (!j && !*e.text) return pc_fail(PC_ENOMEM, "%s: out of memory", op);
    if (!j) return pc_fail(PC_EARG, "%s: extra is not JSON: column %d: %s", op, e.column, e.text);
    json_decref(j);
  }
  WRITE(run, op,
        "insert into result(run_id, method, split, metric, factor, value, seed, n, extra_json, t_ms) "
        "values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict(run_id, method, split, metric, factor, ifnull(seed, -1)) "
        "do update set value = excluded.value, n = excluded.n, extra_json = excluded.extra_json, t_ms = excluded.t_ms",
        "issssdIIsi", run->id, r->method, r->split, r->metric, r->factor ? r->factor : "", r->value,
        r->has_seed || run->has_seed ? &seed : NULL, r->n > 0 ? &r->n : NULL, r->extra_json, pc_now_ms());
}

int pc_run_artifact(pc_run *run, const char *kind, int64_t step, const char *path, const char *digest, int64_t bytes) {
  static const char op[] = "run:artifact";
  char own[PC_DIGEST_SIZE];
  if (!path || !*path) return pc_fail(PC_EARG, "%s: the path is empty", op);
  int code = pc_db_name(op, "kind", kind);
  if (code != PC_OK) return code;
  if (!digest || bytes < 0) {
    int64_t size;
    code = pc_digest_file(own, &size, path);
    if (code != PC_OK) return pc_error_prefix(code, op);
    digest = own;
    bytes = size;
  }
  if (kind && !strcmp(kind, "checkpoint")) { /* the rows up to a checkpoint are never newer than it on disk */
    code = pc_run_flush(run);
    if (code != PC_OK) return code;
  }
  /* On the disk before it returns: the caller may remove the file that stood for this one until now. */
  pc_db *db = run->db;
  if ((code = pc_db_lock(db, op)) != PC_OK) return code;
  code = pc_db_exec(db, "pragma synchronous = full", op);
  if (code == PC_OK) code = pc_db_begin(db, PC_BUSY_WAIT, op);
  if (code == PC_OK) {
    code = pc_db_run_sql(
        db, NULL, op,
        "insert into artifact(run_id, kind, step, path, digest, bytes, complete, t_ms) values (?, ?, ?, ?, ?, ?, 1, ?) "
        "on conflict(run_id, path) do update set kind = excluded.kind, step = excluded.step, digest = excluded.digest, "
        "bytes = excluded.bytes, complete = 1, t_ms = excluded.t_ms",
        "isIssii", run->id, kind ? kind : "file", step >= 0 ? &step : NULL, path, digest, bytes, pc_now_ms());
    code = pc_db_end(db, code, op);
  }
  sqlite3_exec(db->handle, "pragma synchronous = normal", NULL, NULL, NULL); /* the error, if any, is the one before */
  pc_db_unlock(db);
  return code;
}

/* A run that repeats another may use the data of that one alone. */
static int same_data(pc_run *run, const char *digest, const char *name, const char *role, const char *op) {
  int64_t known = 0, same = 0;
  int code = pc_db_run_sql(run->db, &known, op,
                           "select count(*) from run r join run_dataset d on d.run_id = r.repeats_id and d.role = ?2 "
                           "where r.id = ?1",
                           "is", run->id, role);
  if (code == PC_OK)
    code = pc_db_run_sql(run->db, &same, op,
                         "select count(*) from run r join run_dataset d on d.run_id = r.repeats_id and d.role = ?2 "
                         "and d.digest = ?3 where r.id = ?1",
                         "iss", run->id, role, digest);
  if (code != PC_OK || !known || same || run->other_data) return code;
  return pc_fail(PC_ESTATE,
                 "%s: the %s set %s has digest %s, which is none that the repeated run used: the data has changed; "
                 "--force goes on all the same",
                 op, role, name ? name : "", digest);
}

int pc_run_dataset(pc_run *run, const char *digest, const char *name, int64_t n, const char *path, const char *role) {
  static const char op[] = "run:dataset";
  pc_db *db = run->db;
  int code;
  if (!digest || !*digest) return pc_fail(PC_EARG, "%s: the digest is empty", op);
  code = pc_db_name(op, "digest", digest);
  if (code == PC_OK) code = pc_db_name(op, "name", name);
  if (code == PC_OK) code = pc_db_name(op, "role", role);
  if (code != PC_OK) return code;
  if ((code = pc_db_lock(db, op))) return code;
  code = pc_db_begin(db, PC_BUSY_WAIT, op);
  if (code == PC_OK) {
    code = same_data(run, digest, name, role ? role : "data", op);
    if (code == PC_OK)
      code = pc_db_run_sql(db, NULL, op,
                           "insert into dataset(digest, name, n, path) values (?, ?, ?, ?) on conflict do update set "
                           "name = excluded.name, n = ifnull(excluded.n, n), path = ifnull(excluded.path, path)",
                           "ssIs", digest, name ? name : "", n >= 0 ? &n : NULL, path);
    if (code == PC_OK)
      code = pc_db_run_sql(db, NULL, op, "insert or ignore into run_dataset(run_id, digest, role) values (?, ?, ?)",
                           "iss", run->id, digest, role ? role : "data");
    code = pc_db_end(db, code, op);
  }
  pc_db_unlock(db);
  return code;
}

int pc_run_tag(pc_run *run, const char *tag) {
  if (!tag || !*tag) return pc_fail(PC_EARG, "run:tag: the tag is empty");
  if (pc_db_name("run:tag", "tag", tag)) return PC_EARG;
  WRITE(run, "run:tag", "insert or ignore into tag(run_id, tag) values (?, ?)", "is", run->id, tag);
}

int pc_run_untag(pc_run *run, const char *tag) {
  WRITE(run, "run:untag", "delete from tag where run_id = ? and tag = ?", "is", run->id, tag);
}

int pc_run_note(pc_run *run, const char *note) {
  if (pc_db_name("run:note", "note", note)) return PC_EARG;
  WRITE(run, "run:note", "update run set note = ?2 where id = ?1", "is", run->id, note);
}

int pc_run_env(pc_run *run, const char *key, const char *value) {
  WRITE(run, "run:env", "insert or replace into env(run_id, key, value) values (?, ?, ?)", "iss", run->id, key, value);
}

int pc_run_event(pc_run *run, const char *level, const char *text) {
  if (!level) level = "info";
  if (strcmp(level, "info") && strcmp(level, "warning") && strcmp(level, "error"))
    return pc_fail(PC_EARG, "run:event: level \"%s\" is none of info, warning, error", level);
  WRITE(run, "run:event", "insert into event(run_id, t_ms, level, text) values (?, ?, ?, ?)", "iiss", run->id,
        pc_now_ms(), level, text ? text : "");
}

/* ---- by uid ---- */

/* sql gets the full uid as ?1, value as ?2, text as ?3 */
static int by_uid(pc_db *db, const char *uid, const char *op, const char *sql, int64_t value, const char *text) {
  char full[64];
  int code = pc_db_find_run(db, uid, full);
  if (code != PC_OK) return pc_error_prefix(code, "%s", op);
  if ((code = pc_db_lock(db, op))) return code;
  code = pc_db_begin(db, PC_BUSY_MS, op);
  if (code == PC_OK) code = pc_db_end(db, pc_db_run_sql(db, NULL, op, sql, "sis", full, value, text), op);
  pc_db_unlock(db);
  return code;
}

int pc_db_archive(pc_db *db, const char *uid, int archived) {
  return by_uid(db, uid, "archive", "update run set archived = ?2 where uid = ?1 and ?3 is null", archived != 0, NULL);
}

int pc_db_delete_run(pc_db *db, const char *uid) {
  return by_uid(db, uid, "delete", "delete from run where uid = ?1 and ?2 = 0 and ?3 is null", 0, NULL);
}

int pc_db_tag(pc_db *db, const char *uid, const char *tag, int on) {
  if (!tag || !*tag) return pc_fail(PC_EARG, "tag: the tag is empty");
  if (pc_db_name("tag", "tag", tag)) return PC_EARG;
  return by_uid(db, uid, "tag",
                on ? "insert or ignore into tag(run_id, tag) select id, ?3 from run where uid = ?1 and ?2"
                   : "delete from tag where run_id = (select id from run where uid = ?1 and ?2 = 0) and tag = ?3",
                on != 0, tag);
}

int pc_db_note_run(pc_db *db, const char *uid, const char *note) {
  if (pc_db_name("note", "note", note)) return PC_EARG;
  return by_uid(db, uid, "note", "update run set note = ?3 where uid = ?1 and ?2 = 0", 0, note);
}

int pc_db_event(pc_db *db, const char *uid, const char *level, const char *text) {
  char sql[160];
  if (strcmp(level, "info") && strcmp(level, "warning") && strcmp(level, "error"))
    return pc_fail(PC_EARG, "event: level \"%s\" is none of info, warning, error", level);
  snprintf(sql, sizeof sql,
           "insert into event(run_id, t_ms, level, text) select id, ?2, '%s', ?3 from run where uid = ?1", level);
  return by_uid(db, uid, "event", sql, pc_now_ms(), text);
}
