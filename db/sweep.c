#include "db/sweep.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "db/internal.h"

int pc_config_digest(char out[33], const char *config_json) {
  json_t *config;
  int code = pc_json_object(&config, config_json, "sweep");
  if (code == PC_OK) code = pc_params_digest(out, config);
  json_decref(config);
  return code;
}

/* ---- adding ---- */

static int add_sweep(pc_db *db, const pc_sweep *s, const char *op) {
  int64_t there = 0, ours = 0;
  int code = pc_db_run_sql(db, &there, op, "select count(*) from sweep where name = ?1", "s", s->name);
  if (code == PC_OK)
    code =
        pc_db_run_sql(db, &ours, op, "select count(*) from sweep where name = ?1 and script = ?2 and experiment = ?3",
                      "sss", s->name, s->script, s->experiment);
  if (code != PC_OK || ours) return code;
  if (there)
    return pc_fail(PC_EARG, "%s: the name %s belongs to another script in %s; choose another with --name", op, s->name,
                   db->path);
  return pc_db_run_sql(db, NULL, op,
                       "insert into sweep(name, experiment, script, spec_json, command, created_ms) "
                       "values (?1, ?2, ?3, ?4, ?5, ?6)",
                       "sssssi", s->name, s->experiment, s->script, s->spec_json ? s->spec_json : "{}", s->command,
                       pc_now_ms());
}

static int add_cells(pc_db *db, const char *sweep, int n, const pc_cell *cells, const char *op) {
  int64_t nth;
  int code = pc_db_run_sql(db, &nth, op, "select ifnull(max(nth), 0) from cell where sweep = ?1", "s", sweep);
  for (int i = 0; i < n && code == PC_OK; i++)
    code = pc_db_run_sql(db, NULL, op,
                         "insert or ignore into cell(sweep, config_digest, seed, nth, set_json) "
                         "values (?1, ?2, ?3, ?4, ?5)",
                         "ssiis", sweep, cells[i].config_digest, cells[i].seed, nth + 1 + i, cells[i].set_json);
  return code;
}

int pc_sweep_add(pc_db *db, const pc_sweep *s, int n, const pc_cell *cells, int *added) {
  static const char op[] = "sweep";
  int64_t before = 0, after = 0;
  int code;
  *added = 0;
  if (!s->name || !*s->name) return pc_fail(PC_EARG, "%s: the name is empty", op);
  if ((code = pc_db_lock(db, op))) return code;
  code = pc_db_begin(db, PC_BUSY_WAIT, op);
  if (code == PC_OK) {
    code = add_sweep(db, s, op);
    if (code == PC_OK)
      code = pc_db_run_sql(db, &before, op, "select count(*) from cell where sweep = ?1", "s", s->name);
    if (code == PC_OK) code = add_cells(db, s->name, n, cells, op);
    if (code == PC_OK) code = pc_db_run_sql(db, &after, op, "select count(*) from cell where sweep = ?1", "s", s->name);
    code = pc_db_end(db, code, op);
  }
  pc_db_unlock(db);
  if (code == PC_OK) *added = (int)(after - before);
  return code;
}

/* ---- claiming ---- */

static void claimant(char out[400]) {
  char host[256] = "unknown";
  gethostname(host, sizeof host - 1);
  snprintf(out, 400, "%s:%lld:%lld", host, (long long)getpid(), (long long)pc_process_start(getpid()));
}

/* Is whoever made this claim still at it? */
static int claim_holds(const char *claim, int64_t silent_ms) {
  char host[256];
  long long pid, start;
  if (!claim || sscanf(claim, "%255[^:]:%lld:%lld", host, &pid, &start) != 3) return 0;
  return pc_process_alive(host, pid, start, silent_ms);
}

static int is_claimed(pc_db *db, const char *sweep, const char *digest, int64_t seed, int *held, const char *op) {
  sqlite3_stmt *st = NULL;
  int code = PC_OK, rc = sqlite3_prepare_v2(db->handle,
                                            "select claim, claim_ms from cell "
                                            "where sweep = ?1 and config_digest = ?2 and seed = ?3",
                                            -1, &st, NULL);
  *held = 0;
  if (rc != SQLITE_OK) return pc_db_fail(db, rc, op);
  sqlite3_bind_text(st, 1, sweep, -1, SQLITE_STATIC);
  sqlite3_bind_text(st, 2, digest, -1, SQLITE_STATIC);
  sqlite3_bind_int64(st, 3, seed);
  rc = sqlite3_step(st);
  if (rc == SQLITE_ROW)
    *held = claim_holds(pc_col_text(st, 0), pc_since(pc_now_ms(), sqlite3_column_int64(st, 1)));
  else if (rc == SQLITE_DONE)
    code = pc_fail(PC_ENOTFOUND, "%s: %s has no cell %s with seed %lld", op, sweep, digest, (long long)seed);
  else
    code = pc_db_fail(db, rc, op);
  sqlite3_finalize(st);
  return code;
}

/* Does a run of the cell stand against another one: done (unless again), or alive? */
static int is_taken(pc_db *db, const char *sweep, const char *digest, int64_t seed, int again, int *taken,
                    const char *op) {
  sqlite3_stmt *st = NULL;
  int rc = sqlite3_prepare_v2(db->handle,
                              "select status, host, pid, ifnull(pid_start, -1), heartbeat_ms from run "
                              "where sweep = ?1 and config_digest = ?2 and seed = ?3",
                              -1, &st, NULL);
  *taken = 0;
  if (rc != SQLITE_OK) return pc_db_fail(db, rc, op);
  sqlite3_bind_text(st, 1, sweep, -1, SQLITE_STATIC);
  sqlite3_bind_text(st, 2, digest, -1, SQLITE_STATIC);
  sqlite3_bind_int64(st, 3, seed);
  while (!*taken && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    const char *status = pc_col_text(st, 0);
    if (!strcmp(status, "done")) *taken = !again;
    if (!strcmp(status, "running"))
      *taken = pc_process_alive(pc_col_text(st, 1), sqlite3_column_int64(st, 2), sqlite3_column_int64(st, 3),
                                pc_since(pc_now_ms(), sqlite3_column_int64(st, 4)));
  }
  sqlite3_finalize(st);
  return *taken || rc == SQLITE_DONE ? PC_OK : pc_db_fail(db, rc, op);
}

int pc_sweep_claim(pc_db *db, const char *sweep, const char *digest, int64_t seed, int again, int *got) {
  static const char op[] = "sweep";
  char who[400];
  int held = 0, taken = 0, code = pc_db_lock(db, op);
  *got = 0;
  if (code != PC_OK) return code;
  claimant(who);
  code = pc_db_begin(db, PC_BUSY_WAIT, op);
  if (code == PC_OK) {
    code = is_claimed(db, sweep, digest, seed, &held, op);
    if (code == PC_OK) code = is_taken(db, sweep, digest, seed, again, &taken, op);
    if (code == PC_OK && !held && !taken)
      code = pc_db_run_sql(db, NULL, op,
                           "update cell set claim = ?4, claim_ms = ?5 where sweep = ?1 and config_digest = ?2 and "
                           "seed = ?3",
                           "ssisi", sweep, digest, seed, who, pc_now_ms());
    code = pc_db_end(db, code, op);
  }
  pc_db_unlock(db);
  *got = code == PC_OK && !held && !taken;
  return code;
}

int pc_sweep_release(pc_db *db, const char *sweep, const char *digest, int64_t seed) {
  static const char op[] = "sweep";
  int code = pc_db_lock(db, op);
  if (code != PC_OK) return code;
  code = pc_db_begin(db, PC_BUSY_WAIT, op);
  if (code == PC_OK)
    code = pc_db_end(db,
                     pc_db_run_sql(db, NULL, op,
                                   "update cell set claim = null, claim_ms = null where sweep = ?1 and "
                                   "config_digest = ?2 and seed = ?3",
                                   "ssi", sweep, digest, seed),
                     op);
  pc_db_unlock(db);
  return code;
}
