/* run.c: opening, finishing and freeing runs; the registry of this process's open ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/error.h"
#include "db/internal.h"

const char *pc_run_status_name(pc_run_status status) {
  static const char *const name[] = {"running", "done", "failed", "killed"};
  return (unsigned)status < 4 ? name[status] : "unknown";
}

const char *pc_run_uid(const pc_run *run) { return run->uid; }
int64_t pc_run_step(const pc_run *run) { return run->resumed_at; }
pc_db *pc_run_db(const pc_run *run) { return run->db; }
pc_run_status pc_run_get_status(const pc_run *run) { return run->status; }

static void make_uid(char out[64]) {
  uint32_t r;
  time_t now = time(NULL);
  struct tm tm;
  if (getrandom(&r, sizeof r, 0) != sizeof r) r = (uint32_t)(pc_now_ms() * 2654435761u) ^ (uint32_t)getpid();
  localtime_r(&now, &tm);
  strftime(out, 32, "%Y%m%d-%H%M%S-", &tm);
  snprintf(out + strlen(out), 16, "%08x", r);
}

/* ---- start ---- */

static int other_id(pc_db *db, const char *what, const char *uid, int64_t *id) {
  int code = pc_db_run_sql(db, id, "run", "select id from run where uid = ?1", "s", uid);
  if (code == PC_OK && !*id)
    code = pc_fail(PC_ENOTFOUND, "run: %s %s is not in %s; give the uid of a run that is recorded there", what, uid,
                   db->path);
  return code;
}

static int insert_run(pc_run *run, const pc_run_config *c, const pc_provenance *p, const char *config_text,
                      const char *config_digest) {
  pc_db *db = run->db;
  int64_t parent = 0, repeats = 0, now = pc_now_ms(), dirty = p->dirty, threads = c->threads;
  int code = c->parent ? other_id(db, "parent", c->parent, &parent) : PC_OK;
  if (code == PC_OK && c->repeats) code = other_id(db, "the repeated run", c->repeats, &repeats);
  if (code != PC_OK) return code;
  code = pc_db_run_sql(
      db, NULL, "run",
      "insert into run(uid, experiment, name, parent_id, sweep, seed, status, started_ms, heartbeat_ms, host, pid, "
      "pid_start, user, cwd, script, command, commit_id, dirty, cpu, threads, config_json, config_digest, note, "
      "repeats_id) values (?, ?, ?, ?, ?, ?, 'running', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      "sssIsIiisiisssssIsIsssI", run->uid, c->experiment, c->name, parent ? &parent : NULL, c->sweep,
      run->has_seed ? &run->seed : NULL, now, now, p->host, p->pid, p->pid_start, p->user, p->cwd, c->script,
      c->command, p->commit[0] ? p->commit : NULL, p->commit[0] ? &dirty : NULL, p->cpu, threads ? &threads : NULL,
      config_text, config_digest, c->note, repeats ? &repeats : NULL);
  run->id = sqlite3_last_insert_rowid(db->handle);
  return code;
}

static int insert_extras(pc_run *run, const pc_run_config *c, const pc_provenance *p, json_t *config,
                         const char *script_text, size_t script_size) {
  pc_db *db = run->db;
  int code = pc_params_add(db, run->id, config, "run");
  if (code == PC_OK && script_text)
    code = pc_source_add(db, run->id, "script", c->script, script_text, script_size, "run");
  if (code == PC_OK && p->diff) code = pc_source_add(db, run->id, "diff", "git.diff", p->diff, p->diff_size, "run");
  for (int i = 0; i < c->n_tags && code == PC_OK; i++)
    code = pc_db_run_sql(db, NULL, "run", "insert or ignore into tag(run_id, tag) values (?, ?)", "is", run->id,
                         c->tags[i]);
  for (int i = 0; i < c->n_env && code == PC_OK; i++)
    code = pc_db_run_sql(db, NULL, "run", "insert or replace into env(run_id, key, value) values (?, ?, ?)", "iss",
                         run->id, c->env[i].key, c->env[i].value);
  return code;
}

static pc_run *run_new(pc_db *db) {
  pc_run *run = pc_calloc(1, sizeof *run);
  if (!run) return NULL;
  run->db = db;
  run->resumed_at = -1;
  run->status = PC_RUN_RUNNING;
  return run;
}

static void run_owner(pc_run *run, const pc_provenance *p) {
  snprintf(run->host, sizeof run->host, "%s", p->host);
  run->pid = p->pid;
}

/* links the run to its database; the lock is held */
static void run_adopt(pc_run *run) {
  pc_db *db = run->db;
  pc_db_ref(db);
  run->next = db->runs;
  db->runs = run;
  db->beat = pc_tick_ms();
  pc_log_thread_start_locked(db);
}

/* what people read and ask for is UTF-8; paths and the command line are what they are */
static int check_names(const pc_run_config *c) {
  int code = pc_db_name("run", "experiment", c->experiment);
  if (code == PC_OK) code = pc_db_name("run", "name", c->name);
  if (code == PC_OK) code = pc_db_name("run", "sweep", c->sweep);
  if (code == PC_OK) code = pc_db_name("run", "note", c->note);
  for (int i = 0; i < c->n_tags && code == PC_OK; i++) {
    code = pc_db_name("run", "tag", c->tags[i]);
    if (code == PC_OK && !*c->tags[i]) code = pc_fail(PC_EARG, "run: tag %d is empty", i + 1);
  }
  return code;
}

int pc_run_start(pc_run **out, pc_db *db, const pc_run_config *c) {
  pc_provenance p = {0};
  json_t *config = NULL, *seed;
  char *text = NULL, *script = NULL, digest[33];
  size_t script_size = 0;
  pc_run *run = NULL;
  int code;
  *out = NULL;
  if (!c->experiment || !*c->experiment)
    return pc_fail(PC_EARG, "run: experiment is missing: say what is being studied, as in experiment = \"quickstart\"");
  if ((code = check_names(c))) return code;
  if ((code = pc_json_object(&config, c->config_json, "run"))) return code;
  code = pc_params_digest(digest, config);
  if (code == PC_OK && !(text = json_dumps(config, JSON_COMPACT))) code = pc_fail(PC_ENOMEM, "run: out of memory");
  if (code == PC_OK && !(run = run_new(db))) code = PC_ENOMEM;
  if (code != PC_OK) goto done;
  seed = json_object_get(config, "seed");
  run->other_data = c->other_data;
  run->has_seed = c->has_seed || json_is_integer(seed);
  run->seed = c->has_seed ? c->seed : json_integer_value(seed);
  /* everything slow comes before the lock and the transaction; a script that cannot be read (stdin) is no reason
   * to run without a record */
  if (c->script && pc_read_file(&script, &script_size, c->script, "run")) script = NULL;
  pc_provenance_host(&p);
  run_owner(run, &p);
  if (!c->no_git) pc_provenance_git(&p, c->script);
  if ((code = pc_db_lock(db, "run"))) goto done;
  code = pc_db_begin(db, PC_BUSY_WAIT, "run");
  if (code == PC_OK) {
    make_uid(run->uid);
    code = insert_run(run, c, &p, text, digest);
    if (code == PC_OK) code = insert_extras(run, c, &p, config, script, script_size);
    code = pc_db_end(db, code, "run");
  }
  if (code == PC_OK) run_adopt(run);
  pc_db_unlock(db);
done:
  if (code == PC_OK)
    *out = run;
  else
    pc_free(run);
  pc_free(script);
  pc_free(p.diff);
  free(text);
  json_decref(config);
  return code;
}

/* ---- resume ---- */

static int refuse_alive(pc_run *run) {
  pc_db *db = run->db;
  sqlite3_stmt *st = NULL;
  int code = PC_OK, rc;
  for (pc_run *r = db->runs; r; r = r->next)
    if (r->status == PC_RUN_RUNNING && r->id == run->id)
      return pc_fail(PC_ESTATE, "resume: run %s is open in this process; finish it first", run->uid);
  rc = sqlite3_prepare_v2(db->handle,
                          "select host, pid, ifnull(pid_start, -1), heartbeat_ms, status from run where id = ?1", -1,
                          &st, NULL);
  if (rc != SQLITE_OK) return pc_db_fail(db, rc, "resume");
  sqlite3_bind_int64(st, 1, run->id);
  if (sqlite3_step(st) == SQLITE_ROW && !strcmp(pc_col_text(st, 4), "running")) {
    const char *host = pc_col_text(st, 0);
    int64_t pid = sqlite3_column_int64(st, 1), silent = pc_since(pc_now_ms(), sqlite3_column_int64(st, 3));
    if (pc_process_alive(host, pid, sqlite3_column_int64(st, 2), silent))
      code = pc_fail(PC_ESTATE, "resume: run %s is alive (process %lld on %s, heard of %.0f s ago); end that first",
                     run->uid, (long long)pid, host, (double)silent / 1000);
  }
  sqlite3_finalize(st);
  return code;
}

static int rewind_rows(pc_run *run, int64_t step) {
  static const char op[] = "resume";
  pc_db *db = run->db;
  int code = pc_db_run_sql(db, NULL, op, "delete from metric where run_id = ?1 and step > ?2", "ii", run->id, step);
  if (code == PC_OK)
    code = pc_db_run_sql(db, NULL, op, "delete from artifact where run_id = ?1 and kind = 'checkpoint' and step > ?2",
                         "ii", run->id, step);
  if (code == PC_OK) code = pc_db_run_sql(db, NULL, op, "delete from metric_last where run_id = ?1", "i", run->id);
  if (code == PC_OK)
    code =
        pc_db_run_sql(db, NULL, op,
                      "insert into metric_last(run_id, name_id, step, last, min, max, n, n_nan, t_ms) "
                      "select a.run_id, a.name_id, a.step, m.value, a.lo, a.hi, a.n, a.n_nan, m.t_ms from "
                      "(select run_id, name_id, max(step) as step, min(value) as lo, max(value) as hi, count(*) as n, "
                      "count(*) - count(value) as n_nan from metric where run_id = ?1 group by name_id) a "
                      "join metric m on m.run_id = a.run_id and m.name_id = a.name_id and m.step = a.step",
                      "i", run->id);
  return code;
}

static int mark_resumed(pc_run *run, int64_t step, const pc_provenance *p) {
  static const char op[] = "resume";
  pc_db *db = run->db;
  char text[512];
  int64_t now = pc_now_ms();
  int code = pc_db_run_sql(db, NULL, op,
                           "update run set status = 'running', ended_ms = null, error = null, heartbeat_ms = ?2, "
                           "host = ?3, pid = ?4, pid_start = ?5, cpu = ?6, resumed = resumed + 1 where id = ?1",
                           "iisiis", run->id, now, p->host, p->pid, p->pid_start, p->cpu);
  snprintf(text, sizeof text, "resumed at step %lld on %s%s%s", (long long)step, p->host,
           p->commit[0] ? ", commit " : "", p->commit);
  if (code == PC_OK)
    code = pc_db_run_sql(db, NULL, op, "insert into event(run_id, t_ms, level, text) values (?, ?, 'info', ?)", "iis",
                         run->id, now, text);
  return code;
}

static int load_run(pc_run *run, const char *uid) {
  pc_db *db = run->db;
  int64_t has = 0;
  int code;
  snprintf(run->uid, sizeof run->uid, "%s", uid);
  code = pc_db_run_sql(db, &run->id, "resume", "select id from run where uid = ?1", "s", uid);
  if (code == PC_OK)
    code = pc_db_run_sql(db, &has, "resume", "select seed is not null from run where id = ?1", "i", run->id);
  if (code == PC_OK) code = pc_db_run_sql(db, &run->seed, "resume", "select seed from run where id = ?1", "i", run->id);
  run->has_seed = code == PC_OK && has;
  return code;
}

int pc_run_resume(pc_run **out, pc_db *db, const char *uid, int64_t step, const pc_run_config *c) {
  static const char op[] = "resume";
  pc_provenance p = {0};
  json_t *config = NULL;
  char full[64], path[8];
  pc_run *run = NULL;
  int code;
  *out = NULL;
  if ((code = pc_db_find_run(db, uid, full))) return pc_error_prefix(code, op);
  if ((code = pc_json_object(&config, c ? c->config_json : NULL, op))) return code;
  if (step < 0) code = pc_db_checkpoint(db, full, &step, path, sizeof path);
  if (code == PC_OK && !(run = run_new(db))) code = PC_ENOMEM;
  if (code != PC_OK) goto done;
  pc_provenance_host(&p);
  run_owner(run, &p);
  if (!c || !c->no_git) pc_provenance_git(&p, c ? c->script : NULL);
  if ((code = pc_db_lock(db, op))) goto done;
  code = pc_db_begin(db, PC_BUSY_WAIT, op);
  if (code == PC_OK) {
    code = load_run(run, full);
    if (code == PC_OK) code = refuse_alive(run);
    if (code == PC_OK) code = pc_params_check(db, run->id, config, op);
    if (code == PC_OK) code = rewind_rows(run, step);
    if (code == PC_OK) code = mark_resumed(run, step, &p);
    if (code == PC_OK) code = pc_log_series_load(run);
    code = pc_db_end(db, code, op);
  }
  run->resumed_at = step;
  if (code == PC_OK) run_adopt(run);
  pc_db_unlock(db);
done:
  if (code == PC_OK) {
    *out = run;
  } else if (run) {
    pc_free(run->series);
    pc_free(run);
  }
  pc_free(p.diff);
  json_decref(config);
  return code;
}

/* ---- finish ---- */

static int finish_locked(pc_run *run, pc_run_status status, const char *error, int busy_ms, const char *op) {
  pc_db *db = run->db;
  char text[1024] = "";
  int code = PC_OK, flushed;
  if (run->status != PC_RUN_RUNNING) return PC_OK;
  /* rows that cannot be written must not keep the status from being written */
  flushed = pc_log_flush_locked(db, busy_ms, op);
  if (run->status != PC_RUN_RUNNING) return flushed; /* it is another process's by now */
  if (flushed != PC_OK) snprintf(text, sizeof text, "%s", pc_error_text());
  code = pc_db_begin(db, flushed != PC_OK && pc_db_transient(db) ? PC_BUSY_TIMED_MS : busy_ms, op);
  if (code == PC_OK) {
    code =
        pc_db_run_sql(db, NULL, op,
                      "update run set status = ?2, ended_ms = ?3, heartbeat_ms = ?3, error = ?4, peak_rss_bytes = ?5 "
                      "where id = ?1",
                      "isisi", run->id, pc_run_status_name(status), pc_now_ms(), error, pc_process_peak_rss());
    code = pc_db_end(db, code, op);
  }
  if (code == PC_OK && flushed == PC_OK) run->status = status;
  if (flushed != PC_OK) return pc_fail(flushed, "%s", text); /* it says how many rows wait */
  return code;
}

int pc_run_finish(pc_run *run, pc_run_status status, const char *error) {
  int code = pc_db_lock(run->db, "run:finish");
  if (code != PC_OK) return code;
  if (status == PC_RUN_RUNNING || (unsigned)status > PC_RUN_KILLED)
    code = pc_fail(PC_EARG, "run:finish: status must be done, failed or killed");
  else
    code = finish_locked(run, status, error, PC_BUSY_WAIT, "run:finish");
  pc_db_unlock(run->db);
  return code;
}

void pc_run_free(pc_run *run) {
  pc_db *db;
  int n;
  if (!run) return;
  db = run->db;
  if (db->owner != getpid()) return; /* the parent's */
  pthread_mutex_lock(&db->lock);
  finish_locked(run, PC_RUN_FAILED, "the run was dropped without run:finish()", PC_BUSY_MS, "run");
  n = pc_log_drop_locked(run); /* what could not be written to the end */
  if (n)
    pc_db_sayf("%s: %d rows of run %s could not be written and are lost: %s", db->path, n, run->uid, pc_error_text());
  for (pc_run **r = &db->runs; *r; r = &(*r)->next)
    if (*r == run) {
      *r = run->next;
      break;
    }
  pthread_mutex_unlock(&db->lock);
  pc_free(run->series);
  pc_free(run);
  pc_db_close(db);
}

int pc_db_finish_open(pc_run_status status, const char *error) {
  int n = 0;
  pthread_mutex_lock(&pc_db_registry_lock);
  for (pc_db *db = pc_db_registry; db; db = db->next) {
    if (db->owner != getpid()) continue;
    pthread_mutex_lock(&db->lock);
    for (pc_run *run = db->runs; run; run = run->next) {
      if (run->status != PC_RUN_RUNNING) continue;
      if (finish_locked(run, status, error, PC_BUSY_MS, "run:finish") == PC_OK) n++;
    }
    pthread_mutex_unlock(&db->lock);
  }
  pthread_mutex_unlock(&pc_db_registry_lock);
  return n;
}

int pc_db_open_runs(void) {
  int n = 0;
  pthread_mutex_lock(&pc_db_registry_lock);
  for (pc_db *db = pc_db_registry; db; db = db->next) {
    if (db->owner != getpid()) continue;
    pthread_mutex_lock(&db->lock);
    for (pc_run *run = db->runs; run; run = run->next) n += run->status == PC_RUN_RUNNING;
    pthread_mutex_unlock(&db->lock);
  }
  pthread_mutex_unlock(&pc_db_registry_lock);
  return n;
}

/* ---- looking for runs ---- */

/* Says what may have been meant: runs in whose uid or name the text stands somewhere, else the newest ones. */
static int no_such_run(pc_db *db, const char *text) {
  static const char *const sql[] = {
      "select uid, name from run where length(?1) > 2 and (instr(uid, ?1) or instr(name, ?1) or "
      "(length(uid) = length(?1) and substr(uid, 1, 15) = substr(?1, 1, 15))) order by started_ms desc, id desc limit "
      "3",
      "select uid, name from run where ?1 is not null order by started_ms desc, id desc limit 3"};
  char list[300] = "";
  int k;
  for (k = 0; k < 2 && !*list; k++) {
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(db->handle, sql[k], -1, &st, NULL) != SQLITE_OK) break;
    sqlite3_bind_text(st, 1, text, -1, SQLITE_TRANSIENT);
    while (sqlite3_step(st) == SQLITE_ROW) {
      const char *name = pc_col_text(st, 1);
      name = *name ? name : NULL;
      size_t used = strlen(list);
      snprintf(list + used, sizeof list - used, "%s%s%s%.40s%s", used ? ", " : "", pc_col_text(st, 0), name ? " (" : "",
               name ? name : "", name ? ")" : "");
    }
    sqlite3_finalize(st);
  }
  if (!*list)
    return pc_fail(PC_ENOTFOUND, "no run in %s begins with or is named \"%s\"; it holds none", db->path, text);
  return pc_fail(PC_ENOTFOUND, "no run in %s begins with or is named \"%s\"; %s %s; percept runs lists all", db->path,
                 text, k == 1 ? "did you mean" : "the newest are", list);
}

int pc_db_find_run(pc_db *db, const char *text, char uid[64]) {
  sqlite3_stmt *st = NULL;
  int code = pc_db_lock(db, "find run"), rc, n = 0, exact = 0, best = 0;
  if (code != PC_OK) return code;
  uid[0] = '\0';
  if ((code = pc_db_ours(db, "find run"))) goto done;
  rc = sqlite3_prepare_v2(db->handle,
                          "select uid, case ?1 when uid then 2 else name is ?1 end as fit from run "
                          "where ?1 <> '' and (substr(uid, 1, length(?1)) = ?1 or name = ?1) "
                          "order by fit desc, started_ms desc limit 2",
                          -1, &st, NULL);
  if (rc != SQLITE_OK) {
    code = pc_db_fail(db, rc, "find run");
    goto done;
  }
  sqlite3_bind_text(st, 1, text ? text : "", -1, SQLITE_TRANSIENT);
  while (!exact && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    if (!n++ && snprintf(uid, 64, "%s", pc_col_text(st, 0)) > 63) {
      code = pc_fail(PC_EFORMAT, "find run: %s: the uid that begins with %s is longer than 63 bytes", db->path, uid);
      goto done;
    }
    if (n == 1) best = sqlite3_column_int(st, 1);
    exact = best == 2 || (n == 2 && sqlite3_column_int(st, 1) < best); /* its name, while uids only begin so */
  }
  if (!n)
    code = no_such_run(db, text ? text : "");
  else if (n > 1 && !exact)
    code = pc_fail(PC_EARG, "\"%s\" fits several runs in %s (%s is the newest); give more of the uid", text, db->path,
                   uid);
done:
  sqlite3_finalize(st);
  pc_db_unlock(db);
  return code;
}

int pc_db_checkpoint(pc_db *db, const char *uid, int64_t *step, char *path, size_t size) {
  sqlite3_stmt *st = NULL;
  int code = pc_db_lock(db, "checkpoint"), rc;
  if (code != PC_OK) return code;
  *step = -1;
  if (size) path[0] = '\0';
  if ((code = pc_db_ours(db, "checkpoint"))) goto done;
  rc = sqlite3_prepare_v2(db->handle,
                          "select ifnull(step, -1), path from checkpoint where uid = ?1 and complete = 1 "
                          "order by step desc, t_ms desc limit 1",
                          -1, &st, NULL);
  if (rc == SQLITE_OK) {
    sqlite3_bind_text(st, 1, uid, -1, SQLITE_TRANSIENT);
    rc = sqlite3_step(st);
  }
  if (rc == SQLITE_ROW) {
    *step = sqlite3_column_int64(st, 0);
    snprintf(path, size, "%s", pc_col_text(st, 1));
  } else if (rc != SQLITE_DONE) {
    code = pc_db_fail(db, rc, "checkpoint");
  }
done:
  sqlite3_finalize(st);
  pc_db_unlock(db);
  return code;
}

/* ---- stale runs ---- */

int pc_db_stale(pc_db *db, int reap, pc_stale_fn visit, void *ctx, int *n) {
  static const char op[] = "reap";
  sqlite3_stmt *st = NULL;
  int code = pc_db_lock(db, op), rc;
  int64_t now = pc_now_ms();
  *n = 0;
  if (code != PC_OK) return code;
  if ((code = pc_db_ours(db, op))) goto done;
  if (reap && (code = pc_db_begin(db, PC_BUSY_MS, op))) goto done;
  rc = sqlite3_prepare_v2(db->handle,
                          "select uid, experiment, host, pid, ifnull(pid_start, -1), heartbeat_ms, id from run "
                          "where status = 'running' order by started_ms",
                          -1, &st, NULL);
  if (rc != SQLITE_OK) code = pc_db_fail(db, rc, op);
  while (code == PC_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    const char *host = pc_col_text(st, 2);
    int64_t pid = sqlite3_column_int64(st, 3), silent = pc_since(now, sqlite3_column_int64(st, 5));
    if (pc_process_alive(host, pid, sqlite3_column_int64(st, 4), silent)) continue;
    ++*n;
    if (visit) visit(ctx, pc_col_text(st, 0), pc_col_text(st, 1), host, pid, (double)silent / 1000);
    if (reap)
      code = pc_db_run_sql(db, NULL, op,
                           "update run set status = 'killed', ended_ms = heartbeat_ms, "
                           "error = ifnull(error, 'the process died without a word (reaped)') where id = ?1",
                           "i", sqlite3_column_int64(st, 6));
  }
  if (code == PC_OK && rc != SQLITE_DONE) code = pc_db_fail(db, rc, op);
  sqlite3_finalize(st);
  if (reap) code = pc_db_end(db, code, op);
done:
  pc_db_unlock(db);
  return code;
}
