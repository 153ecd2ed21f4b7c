/* Clocks that are set, locks that last, a run that somebody else took up. */
#include <pthread.h>
#include <time.h>

#include "db/internal.h"
#include "fixture.h"

static void nap(int ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL); }

static char said[2000]; /* the last line for the user, and how many there were */
static int n_said;
static void listen(const char *text) {
  snprintf(said, sizeof said, "%s", text);
  n_said++;
}

/* A clock that tests set: the wall clock may jump, the monotonic one goes on. */
static int64_t wall_jump, tick_jump;
static int64_t jumping(int clock) {
  struct timespec t;
  clock_gettime((clockid_t)clock, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 +
         __atomic_load_n(clock == CLOCK_REALTIME ? &wall_jump : &tick_jump, __ATOMIC_SEQ_CST);
}

START_TEST(a_clock_that_is_set_stops_nothing) {
  static const int64_t jumps[] = {-3600000, 3600000, -86400000};
  static const char earlier[] = "select heartbeat_ms < (julianday('now') - 2440587.5) * 86400000 - 80000000 from run";
  pc_clock_ms = jumping;
  pc_db *db = open_db();
  pc_run *run = start(db, NULL);
  for (int k = 0; k < 3; k++) {
    char want[20];
    __atomic_store_n(&wall_jump, jumps[k], __ATOMIC_SEQ_CST);
    must(log1(run, k, "a", k));
    snprintf(want, sizeof want, "%d", k + 1);
    for (int i = 0; i < 100 && strcmp(ask("select count(*) from metric"), want) != 0; i++) nap(50);
    ASK("select count(*) from metric", want); /* by the thread, 1 s later by any clock */
  }
  for (int i = 0; i < 100 && strcmp(ask(earlier), "1") != 0; i++) nap(50); /* the heartbeat, too */
  ASK(earlier, "1");
  __atomic_store_n(&wall_jump, 0, __ATOMIC_SEQ_CST);
  pc_run_free(run);
  pc_db_close(db);
}
END_TEST

static void *unlock(void *arg) {
  nap(800);
  __atomic_store_n(&tick_jump, 31000, __ATOMIC_SEQ_CST); /* half a minute later */
  nap(1200);
  sqlite3_exec(arg, "commit", NULL, NULL, NULL);
  return NULL;
}

START_TEST(a_command_says_what_it_waits_for) {
  pc_db *db;
  sqlite3 *h;
  pc_db_say = listen;
  n_said = 0;
  db = open_db();
  ck_assert_int_eq(sqlite3_open(file, &h), SQLITE_OK);
  ck_assert_int_eq(sqlite3_exec(h, "begin immediate", NULL, NULL, NULL), SQLITE_OK);
  must_fail(pc_db_begin(db, PC_SAY_SOON_MS + 600, "tag"), PC_EIO, "another process is writing it");
  ck_assert_int_eq(n_said, 1);
  ck_assert_msg(strstr(said, "locked by another process; waiting 2 s for it") != NULL, "%s", said);
  ck_assert_int_eq(sqlite3_exec(h, "commit", NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(h);
  pc_db_close(db);
}
END_TEST

START_TEST(a_long_lock_is_waited_for) {
  pc_db *db;
  pc_run *run;
  sqlite3 *h;
  pthread_t thread;
  pc_clock_ms = jumping;
  pc_db_say = listen;
  n_said = 0;
  db = open_db();
  run = start(db, NULL);
  ck_assert_int_eq(sqlite3_open(file, &h), SQLITE_OK);
  ck_assert_int_eq(sqlite3_exec(h, "begin immediate", NULL, NULL, NULL), SQLITE_OK);
  must(log1(run, 1, "a", 1));
  ck_assert_int_eq(pthread_create(&thread, NULL, unlock, h), 0);
  must(pc_run_artifact(run, "checkpoint", 1, "a.ckpt", "d", 1)); /* flushes */
  pthread_join(thread, NULL);
  ck_assert_msg(n_said && strstr(said, "database is locked by another process for 3"), "%s", said);
  ck_assert_int_eq(sqlite3_exec(h, "begin immediate", NULL, NULL, NULL), SQLITE_OK);
  must(log1(run, 2, "a", 2));
  pc_interrupt_set(); /* Ctrl-C ends a wait; the rows stay */
  must_fail(pc_run_flush(run), PC_EINTR, "is locked by another process");
  ck_assert_int_eq(sqlite3_exec(h, "commit", NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(h);
  must(pc_run_finish(run, PC_RUN_DONE, NULL));
  pc_run_free(run);
  pc_db_close(db);
  ASK("select count(*) || (select count(*) from artifact) from metric", "21");
}
END_TEST

START_TEST(a_run_has_one_writer) {
  pc_db *db = open_db(), *other;
  pc_run *run = start(db, NULL), *again;
  must(log1(run, 1, "a", 1));
  must(pc_run_flush(run));
  /* silent for long, on another host as far as the file tells: somebody takes it up */
  must(pc_db_open(&other, file, PC_DB_WRITE));
  must(pc_db_exec(other, "update run set host = 'elsewhere', heartbeat_ms = heartbeat_ms - 61000", "test"));
  must(pc_run_resume(&again, other, pc_run_uid(run), 1, NULL));
  must(pc_db_exec(other, "update run set host = 'a third'", "test")); /* one process plays both: tell them apart */
  must(log1(run, 2, "a", -2));
  must_fail(pc_run_flush(run), PC_ESTATE, "was taken up by another process, or deleted");
  must_fail(log1(run, 3, "a", -3), PC_ESTATE, "is killed");
  pc_run_free(run);
  pc_db_close(db);
  snprintf(said, sizeof said, "update run set host = '%s'", again->host);
  must(pc_db_exec(other, said, "test"));
  must(log1(again, 2, "a", 2));
  must(pc_run_finish(again, PC_RUN_DONE, NULL));
  pc_run_free(again);
  pc_db_close(other);
  ASK("select group_concat(value) || (select status from run) from metric", "1.0,2.0done");
}
END_TEST

static Suite *suite(void) {
  Suite *s = suite_create("waits");
  TCase *t = tcase_create("waits");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 60);
  tcase_add_test(t, a_clock_that_is_set_stops_nothing);
  tcase_add_test(t, a_command_says_what_it_waits_for);
  tcase_add_test(t, a_long_lock_is_waited_for);
  tcase_add_test(t, a_run_has_one_writer);
  suite_add_tcase(s, t);
  return s;
}

SUITE_MAIN(suite)
