/* fixture.h: a scratch folder per test and short ways to ask a database. */
#ifndef PC_TESTS_DB_FIXTURE_H
#define PC_TESTS_DB_FIXTURE_H

#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#include "check_main.h"
#include "db/recorder.h"

static char dir[64], file[128];

static void setup(void) {
  snprintf(dir, sizeof dir, "/tmp/percept_db_XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(dir));
  snprintf(file, sizeof file, "%s/t.db", dir);
}

static void teardown(void) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", dir);
  ck_assert_int_eq(system(command), 0);
}

/* first column of the first row, through a plain connection of its own: what another program would see */
static inline const char *ask(const char *sql) {
  static char text[4096];
  sqlite3 *h;
  sqlite3_stmt *st;
  ck_assert_int_eq(sqlite3_open_v2(file, &h, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
  sqlite3_busy_timeout(h, 5000);
  ck_assert_msg(sqlite3_prepare_v2(h, sql, -1, &st, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(h));
  snprintf(text, sizeof text, "(none)");
  if (sqlite3_step(st) == SQLITE_ROW) {
    const char *s = (const char *)sqlite3_column_text(st, 0);
    snprintf(text, sizeof text, "%s", s ? s : "NULL");
  }
  sqlite3_finalize(st);
  sqlite3_close(h);
  return text;
}

#define ASK(sql, want) ck_assert_str_eq(ask(sql), want)

static inline pc_db *open_db(void) {
  pc_db *db = NULL;
  must(pc_db_open(&db, file, PC_DB_CREATE));
  return db;
}

static inline pc_run *start(pc_db *db, const char *config) {
  pc_run *run = NULL;
  must(pc_run_start(&run, db, &(pc_run_config){.experiment = "test", .config_json = config, .no_git = 1}));
  return run;
}

static inline int log1(pc_run *run, int64_t step, const char *name, double value) {
  return pc_run_log(run, step, 1, &name, &value);
}

#endif
