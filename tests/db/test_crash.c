/* What is left after kill -9, a full disk, a lock; resuming; several processes at once; merging.
 * Children are forked while no database is open in this process. */
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/alloc.h"
#include "db/internal.h"
#include "db/query.h"
#include "fixture.h"

static void nap(int ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL); }

/* a child that calls exit must not print what stands in the parent's buffers */
static pid_t fork_clean(void) {
  fflush(NULL);
  return fork();
}

/* In a child a failed check must end the child, not run the rest of the suite a second time. */
#define CHILD_OK(call)                                            \
  do {                                                            \
    if ((call) != 0) {                                            \
      fprintf(stderr, "child: %s: %s\n", #call, pc_error_text()); \
      _exit(1);                                                   \
    }                                                             \
  } while (0)

static pc_run *child_start(pc_db **db, const char *config) {
  pc_run *run;
  CHILD_OK(pc_db_open(db, file, PC_DB_CREATE));
  CHILD_OK(pc_run_start(&run, *db, &(pc_run_config){.experiment = "test", .config_json = config, .no_git = 1}));
  return run;
}

static int wait_for(pid_t pid) {
  int status;
  ck_assert_int_eq(waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int count_stale(int reap) {
  pc_db *db;
  int n;
  must(pc_db_open(&db, file, PC_DB_WRITE));
  must(pc_db_stale(db, reap, NULL, NULL, &n));
  pc_db_close(db);
  return n;
}

START_TEST(killed_outright) {
  pid_t pid = fork_clean();
  if (!pid) {
    pc_db *db;
    pc_run *run = child_start(&db, NULL);
    for (int i = 0; i < 100; i++) CHILD_OK(log1(run, i, "loss", i));
    nap(1700); /* no call of the recorder in the meantime: its thread writes the rows */
    CHILD_OK(log1(run, 100, "loss", 100));
    kill(getpid(), SIGKILL);
  }
  nap(1500);
  if (kill(pid, 0) == 0) ASK("select status from run", "running");
  ck_assert_int_eq(wait_for(pid), -SIGKILL);
  ASK("select count(*) >= 100 from metric", "1");
  ASK("select n = (select count(*) from metric) from metric_last", "1");
  ASK("pragma integrity_check", "ok");
  ASK("select status from run", "running");
  ck_assert_int_eq(count_stale(0), 1);
  ck_assert_int_eq(count_stale(1), 1);
  ck_assert_int_eq(count_stale(0), 0);
  ASK("select status || (ended_ms = heartbeat_ms) || error from run",
      "killed1the process died without a word (reaped)");
}
END_TEST

START_TEST(exit_marks_open_runs_failed) {
  pid_t pid = fork_clean();
  if (!pid) {
    pc_db *db;
    pc_run *run = child_start(&db, NULL);
    CHILD_OK(log1(run, 1, "loss", 1));
    exit(0);
  }
  ck_assert_int_eq(wait_for(pid), 0);
  ASK("select status || error from run", "failedthe process exited before the run was finished");
  ASK("select count(*) from metric", "1");
}
END_TEST

START_TEST(a_fork_may_not_use_the_parents_handle) {
  pc_db *db = open_db();
  pc_run *run = start(db, NULL);
  pid_t pid = fork_clean();
  if (!pid) {
    int ok = log1(run, 1, "x", 1) == PC_ESTATE && strstr(pc_error_text(), "before a fork") != NULL;
    pc_run_free(run);
    pc_db_close(db);
    exit(ok ? 0 : 1); /* the exit handler must leave the parent's run alone */
  }
  ck_assert_int_eq(wait_for(pid), 0);
  ASK("select status from run", "running");
  ck_assert_int_eq(count_stale(0), 0);
  must(log1(run, 1, "x", 1));
  must(pc_run_finish(run, PC_RUN_DONE, NULL));
  pc_run_free(run);
  pc_db_close(db);
  ASK("select status || (select count(*) from metric) from run", "done1");
}
END_TEST

START_TEST(resume_leaves_no_step_twice) {
  pc_db *db;
  pc_run *run = NULL;
  char uid[64], path[200], text[200];
  int64_t step;
  pid_t pid = fork_clean();
  if (!pid) {
    run = child_start(&db, "{\"lr\": 0.5, \"seed\": 3}");
    for (int i = 1; i <= 20; i++) {
      CHILD_OK(log1(run, i, "loss", i));
      if (i % 5 == 0) CHILD_OK(log1(run, i, "val", 100 - i));
      if (i == 8) CHILD_OK(pc_run_artifact(run, "checkpoint", 8, "a.ckpt", "d8", 1));
      if (i == 16) CHILD_OK(pc_run_artifact(run, "checkpoint", 16, "b.ckpt", "d16", 1));
    }
    CHILD_OK(pc_run_flush(run));
    kill(getpid(), SIGKILL);
  }
  ck_assert_int_eq(wait_for(pid), -SIGKILL);
  db = open_db();
  snprintf(uid, sizeof uid, "%s", ask("select uid from run"));
  must(pc_db_checkpoint(db, uid, &step, path, sizeof path));
  ck_assert_int_eq(step, 16);
  ck_assert_str_eq(path, "b.ckpt");
  must_fail(pc_run_resume(&run, db, uid, 8, &(pc_run_config){.config_json = "{\"lr\": 0.25}", .no_git = 1}), PC_EARG,
            "parameter lr is recorded as 0.5 and cannot become 0.25");
  ASK("select count(*) from metric", "24"); /* a refused resume changes nothing */
  uid[17] = '\0';                           /* a beginning will do */
  must(pc_run_resume(&run, db, uid, 8, &(pc_run_config){.config_json = "{\"lr\": 0.5}", .no_git = 1}));
  ck_assert_int_eq(pc_run_step(run), 8);
  ASK("select status || resumed || (pid <> 0) from run", "running11");
  ASK("select count(*) || ' ' || max(step) from metric", "9 8");
  ASK("select step || ' ' || last || ' ' || max || ' ' || n from run_metric where metric = 'loss'", "8 8.0 8.0 8");
  ASK("select step || ' ' || last || ' ' || min || ' ' || n from run_metric where metric = 'val'", "5 95.0 95.0 1");
  ASK("select group_concat(path) from artifact", "a.ckpt");
  ASK("select text like 'resumed at step 8 on %' from event", "1");
  for (int i = 9; i <= 20; i++) {
    must(log1(run, i, "loss", -i));
    if (i % 5 == 0) must(log1(run, i, "val", i));
  }
  must(pc_run_result(run, &(pc_result){.method = "m", .split = "id", .metric = "x", .value = 1}));
  must(pc_run_finish(run, PC_RUN_DONE, NULL));
  pc_run_free(run);
  ASK("select count(*) || ' ' || count(distinct step) from metric where name_id = (select id from metric_name where "
      "name = 'loss')",
      "20 20");
  ASK("select last || ' ' || min || ' ' || max || ' ' || n from run_metric where metric = 'loss'",
      "-20.0 -20.0 8.0 20");
  ASK("select n from run_metric where metric = 'val'", "4");
  ASK("select status || seed || (error is null) from run join result using (seed)", "done31");
  /* from the newest checkpoint; and one that is finished may go on */
  must(pc_run_resume(&run, db, uid, -1, NULL));
  ck_assert_int_eq(pc_run_step(run), 8);
  pc_run_free(run);
  must_fail(pc_run_resume(&run, db, "zzz", 0, NULL), PC_ENOTFOUND, "resume: no run in");
  snprintf(text, sizeof text, "update run set pid = %d, pid_start = null, status = 'running'", (int)getppid());
  must(pc_db_exec(db, text, "test"));
  must_fail(pc_run_resume(&run, db, uid, 0, NULL), PC_ESTATE, "is alive (process");
  must(pc_db_exec(db, "update run set host = 'elsewhere', heartbeat_ms = heartbeat_ms - 61000", "test"));
  must(pc_run_resume(&run, db, uid, 0, NULL));
  pc_run_free(run);
  pc_db_close(db);
  ASK("select count(*) || (select count(*) from metric_last) from metric", "00");
}
END_TEST

static char said[2000]; /* the last line for the user, and how many there were */
static int n_said;
static void listen(const char *text) {
  snprintf(said, sizeof said, "%s", text);
  n_said++;
}

START_TEST(a_full_file_loses_nothing) {
  pc_db *db = open_db();
  pc_run *run = start(db, NULL);
  char before[40];
  int64_t i;
  n_said = 0;
  pc_db_say = listen;
  for (i = 0; i < 1000; i++) must(log1(run, i, "a", (double)i));
  must(pc_run_flush(run));
  snprintf(before, sizeof before, "%s", ask("pragma page_count"));
  must(pc_db_run_sql(db, NULL, "test", "pragma max_page_count = 40", ""));
  for (; i < 40000; i++) must(log1(run, i, "a", (double)i)); /* the training goes on */
  ck_assert_int_eq(n_said, 1);                               /* it is told once a minute, not at every call */
  ck_assert_msg(
      strstr(said, file) && strstr(said, "full") && strstr(said, "free space") && strstr(said, "rows are kept"), "%s",
      said);
  must_fail(pc_run_flush(run), PC_EIO, "what was written earlier is safe");
  must_fail(
      pc_run_result(run, &(pc_result){.method = "m", .split = "id", .metric = "x", .value = 1, .extra_json = "[0]"}) ==
              PC_OK
          ? pc_run_flush(run)
          : PC_EIO,
      PC_EIO, "full");
  must_fail(pc_run_finish(run, PC_RUN_DONE, NULL), PC_EIO, "rows are kept");
  ASK("select count(*) >= 1000 from metric", "1");
  ASK("select n = (select count(*) from metric) from metric_last", "1");
  must(pc_db_run_sql(db, NULL, "test", "pragma max_page_count = 1000000", ""));
  must(pc_run_flush(run));
  ck_assert_msg(strstr(said, "written again") != NULL, "%s", said);
  ASK("select count(*) || ' ' || max(step) from metric", "40000 39999");
  ASK("select n || ' ' || last from metric_last", "40000 39999.0");
  must(pc_run_finish(run, PC_RUN_DONE, NULL));
  pc_run_free(run);
  pc_db_close(db);
  ASK("select status from run", "done");
  ASK("pragma integrity_check", "ok");
}
END_TEST

START_TEST(a_limit_on_the_file_size) {
  pid_t pid = fork_clean();
  if (!pid) { /* the system refuses the write, as it does on a full disk */
    pc_db *db;
    pc_run *run = child_start(&db, NULL);
    struct rlimit limit = {400 << 10, RLIM_INFINITY};
    pc_db_say = listen;
    signal(SIGXFSZ, SIG_IGN);
    for (int i = 0; i < 1000; i++) CHILD_OK(log1(run, i, "a", i));
    CHILD_OK(pc_run_flush(run));
    if (setrlimit(RLIMIT_FSIZE, &limit)) _exit(2);
    for (int i = 1000; i < 60000; i++) CHILD_OK(log1(run, i, "a", i));
    if (!n_said) _exit(4);
    if (!strstr(said, "rows are kept")) _exit(3);
    limit.rlim_cur = RLIM_INFINITY;
    if (setrlimit(RLIMIT_FSIZE, &limit)) _exit(2);
    CHILD_OK(pc_run_flush(run));
    CHILD_OK(pc_run_finish(run, PC_RUN_DONE, NULL));
    pc_run_free(run);
    pc_db_close(db);
    _exit(0);
  }
  ck_assert_int_eq(wait_for(pid), 0);
  ASK("select count(*) || ' ' || max(step) from metric", "60000 59999");
  ASK("select n from metric_last", "60000");
  ASK("select status from run", "done");
  ASK("pragma integrity_check", "ok");
}
END_TEST

START_TEST(the_buffer_has_a_bound) {
  pc_db *db = open_db();
  pc_run *run = start(db, NULL);
  enum { N = PC_ROWS_MAX + 1000 };
  must(pc_db_run_sql(db, NULL, "test", "pragma max_page_count = 1", "")); /* what is there already is the floor */
  pc_db_say = listen;
  for (int i = 0; i < PC_ROWS_MAX; i++) must(log1(run, i, "a", i));
  for (int i = PC_ROWS_MAX; i < N; i++) must_fail(log1(run, i, "a", i), PC_EIO, "no room for more than");
  must_fail(pc_run_flush(run), PC_EIO, "1000 later ones are lost");
  must(pc_db_run_sql(db, NULL, "test", "pragma max_page_count = 1000000", ""));
  must(pc_run_flush(run));
  must(log1(run, N, "a", 5));
  pc_run_free(run);
  pc_db_close(db);
  ASK("select count(*) = 1048577 and max(step) = 1049576 from metric", "1");
  ASK("select n = (select count(*) from metric) from metric_last", "1");
}
END_TEST

START_TEST(another_writer_holds_the_lock) {
  pc_db *db = open_db();
  pc_run *run = start(db, NULL);
  sqlite3 *h;
  struct timespec t0, t1;
  double worst = 0;
  ck_assert_int_eq(sqlite3_open(file, &h), SQLITE_OK);
  ck_assert_int_eq(sqlite3_exec(h, "begin immediate", NULL, NULL, NULL), SQLITE_OK);
  for (int i = 0; i < 2000; i++) { /* training goes on: no error, no long wait */
    double ms;
    clock_gettime(CLOCK_MONOTONIC, &t0);
    must(log1(run, i, "a", i));
    clock_gettime(CLOCK_MONOTONIC, &t1);
    ms = (double)(t1.tv_sec - t0.tv_sec) * 1e3 + (double)(t1.tv_nsec - t0.tv_nsec) / 1e6;
    if (ms > worst) worst = ms;
  }
  ck_assert_double_lt(worst, 1500);
  ck_assert_int_eq(sqlite3_exec(h, "commit", NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(h);
  must(pc_run_flush(run));
  ASK("select count(*) from metric", "2000");
  pc_run_free(run);
  pc_db_close(db);
}
END_TEST

START_TEST(two_processes_record_at_once) {
  enum { PROCESSES = 3, STEPS = 6000 };
  pid_t pid[PROCESSES];
  for (int p = 0; p < PROCESSES; p++) {
    if ((pid[p] = fork_clean())) continue;
    pc_db *db;
    pc_run *run = child_start(&db, NULL);
    for (int i = 0; i < STEPS; i++) {
      const char *names[] = {"a", "b"};
      double values[] = {i, -i};
      CHILD_OK(pc_run_log(run, i, 2, names, values));
      if (i % 500 == 0) CHILD_OK(pc_run_flush(run));
      if (i % 1000 == 0)
        CHILD_OK(pc_run_result(run, &(pc_result){.method = "m", .split = "id", .metric = "x", .value = i}));
    }
    CHILD_OK(pc_run_finish(run, PC_RUN_DONE, NULL));
    pc_run_free(run);
    pc_db_close(db);
    _exit(0);
  }
  for (int p = 0; p < PROCESSES; p++) ck_assert_int_eq(wait_for(pid[p]), 0);
  ASK("select count(*) from metric", "36000");
  ASK("select min(n) || ' ' || max(n) || ' ' || count(*) from metric_last", "6000 6000 6");
  ASK("select count(*) || ' ' || sum(status = 'done') from run", "3 3");
  ASK("select count(*) || ' ' || min(value) from result", "3 5000.0");
  ASK("select count(*) from metric_name", "2");
  ASK("pragma integrity_check", "ok");
}
END_TEST

START_TEST(migrating_twice_and_at_once) {
  pid_t pid[4];
  pc_db *db;
  char schema[200];
  for (int p = 0; p < 4; p++) {
    if ((pid[p] = fork_clean())) continue;
    CHILD_OK(pc_db_open(&db, file, PC_DB_CREATE));
    pc_db_close(db);
    _exit(0);
  }
  for (int p = 0; p < 4; p++) ck_assert_int_eq(wait_for(pid[p]), 0);
  ASK("pragma user_version", "2");
  ASK("pragma journal_mode", "wal");
  snprintf(schema, sizeof schema, "%s",
           ask("select sum(length(sql)) || ' ' || count(*) || ' ' || max(rootpage) from sqlite_master"));
  db = open_db();
  pc_db_close(db);
  ASK("select sum(length(sql)) || ' ' || count(*) || ' ' || max(rootpage) from sqlite_master", schema);
  must(pc_db_open(&db, file, PC_DB_WRITE));
  must(pc_db_exec(db, "pragma user_version = 99", "test"));
  pc_db_close(db);
  must_fail(pc_db_open(&db, file, PC_DB_WRITE), PC_EFORMAT, "schema version 99, this percept knows up to 2; update");
}
END_TEST

START_TEST(files_of_others) {
  pc_db *db;
  sqlite3 *h;
  FILE *f = fopen(file, "w");
  for (int i = 0; i < 2000; i++) fputs("not a database", f);
  fclose(f);
  must_fail(pc_db_open(&db, file, PC_DB_WRITE), PC_EFORMAT, "is not an SQLite database");
  snprintf(file, sizeof file, "%s/other.db", dir);
  sqlite3_open(file, &h);
  sqlite3_exec(h, "create table notes(a)", NULL, NULL, NULL);
  sqlite3_close(h);
  must_fail(pc_db_open(&db, file, PC_DB_CREATE), PC_EFORMAT, "of another program");
  ASK("select count(*) from sqlite_master", "1");
  must(pc_db_open(&db, file, PC_DB_READ));
  pc_db_close(db);
  snprintf(file, sizeof file, "%s/d.db", dir); /* as on a network file system */
  setenv("PERCEPT_JOURNAL", "delete", 1);
  db = open_db();
  unsetenv("PERCEPT_JOURNAL");
  ck_assert_ptr_nonnull(strstr(pc_db_note(db), "percept merge"));
  pc_run_free(start(db, NULL));
  pc_db_close(db);
  ASK("pragma journal_mode", "delete");
}
END_TEST

START_TEST(a_copied_file_is_complete) {
  pc_db *db = open_db();
  pc_run *run = start(db, NULL);
  char wal[200];
  struct stat st;
  for (int i = 0; i < 1000; i++) must(log1(run, i, "a", i));
  must(pc_run_finish(run, PC_RUN_DONE, NULL));
  pc_run_free(run);
  pc_db_close(db);
  snprintf(wal, sizeof wal, "%s-wal", file);
  ck_assert(stat(wal, &st) != 0 || st.st_size == 0);
}
END_TEST

static void record(const char *name, int rows, const char *parent, char uid[64]) {
  pc_db *db = open_db();
  pc_run *run;
  must(pc_run_start(
      &run, db,
      &(pc_run_config){
          .experiment = "m", .name = name, .parent = parent, .no_git = 1, .config_json = "{\"seed\": 1, \"k\": 2}"}));
  snprintf(uid, 64, "%s", pc_run_uid(run));
  for (int i = 0; i < rows; i++) must(log1(run, i, i % 2 ? "odd" : "even", i));
  must(pc_run_result(run, &(pc_result){.method = "m", .split = "id", .metric = "x", .value = rows}));
  must(pc_run_source(run, "module", "m.lua", "return 1", 8));
  must(pc_run_dataset(run, "d", "data", 3, NULL, NULL));
  must(pc_run_tag(run, "t"));
  must(pc_run_finish(run, PC_RUN_DONE, NULL));
  pc_run_free(run);
  pc_db_close(db);
}

START_TEST(merging_is_idempotent) {
  char a[128], b[128], parent[64], child[64], third[64];
  pc_merge_counts n;
  pc_db *db;
  pc_run *run;
  snprintf(a, sizeof a, "%s", file);
  record("first", 3, NULL, third);
  snprintf(b, sizeof b, "%s/b.db", dir);
  snprintf(file, sizeof file, "%s", b);
  record("odd one", 0, NULL, third);
  record("parent", 11, NULL, parent);
  record("child", 4, parent, child);
  snprintf(file, sizeof file, "%s", a);
  for (int pass = 0; pass < 2; pass++) {
    must(pc_db_open(&db, a, PC_DB_WRITE));
    must(pc_db_merge(db, b, NULL, &n));
    pc_db_close(db);
    ck_assert_int_eq(n.added, pass ? 0 : 3);
    ck_assert_int_eq(n.same, pass ? 3 : 0);
    ck_assert_int_eq(n.replaced, 0);
    ASK("select count(*) || ' ' || (select count(*) from metric) || ' ' || (select count(*) from result) || ' ' || "
        "(select count(*) from source) || ' ' || (select count(*) from run_source) || ' ' || (select count(*) from "
        "param) "
        "|| ' ' || (select count(*) from tag) from run",
        "4 18 4 1 4 8 4");
    ASK("select p.name from run c join run p on p.id = c.parent_id where c.name = 'child'", "parent");
    ASK("select group_concat(metric || last || n) from (select * from run_metric where name = 'parent' order by "
        "metric)",
        "even10.06,odd9.05");
    ASK("pragma foreign_key_check", "(none)");
  }
  /* the other file goes on: its run is fresher and replaces ours, tags given here stay */
  must(pc_db_open(&db, a, PC_DB_WRITE));
  must(pc_db_exec(db, "insert into tag select id, 'mine' from run where name = 'parent'", "test"));
  pc_db_close(db);
  nap(5);
  must(pc_db_open(&db, b, PC_DB_WRITE));
  must(pc_run_resume(&run, db, parent, 10, NULL));
  must(log1(run, 11, "odd", 77));
  must(pc_run_finish(run, PC_RUN_DONE, NULL));
  pc_run_free(run);
  pc_db_close(db);
  must(pc_db_open(&db, a, PC_DB_WRITE));
  must(pc_db_merge(db, b, NULL, &n));
  ck_assert_int_eq(n.replaced, 1);
  ck_assert_int_eq(n.same, 2);
  must_fail(pc_db_merge(db, a, NULL, &n), PC_EARG, "is the file to merge into");
  snprintf(file, sizeof file, "%s/link.db", dir); /* under another name */
  ck_assert_int_eq(link(a, file), 0);
  must_fail(pc_db_merge(db, file, NULL, &n), PC_EARG, "is the file to merge into");
  unlink(file);
  snprintf(file, sizeof file, "%s", a);
  must_fail(pc_db_merge(db, "/no/such.db", NULL, &n), PC_ENOTFOUND, "merge: open: there is no database");
  must(pc_db_archive(db, child, 1));
  must(pc_db_delete_run(db, third));
  pc_db_close(db);
  ASK("select group_concat(metric || last || n) from (select * from run_metric where name = 'parent' order by metric)",
      "even10.06,odd77.06");
  ASK("select group_concat(tag) from tag join run on id = run_id where name = 'parent'", "mine,t");
  ASK("select p.name || c.archived from run c join run p on p.id = c.parent_id where c.name = 'child'", "parent1");
  ASK("select count(*) || (select count(*) from param) from run", "36");
}
END_TEST

/* The nth allocation fails, for every n: an error or success, never a crash, and a sound file. */
START_TEST(memory_runs_out) {
  int refused = 0;
  for (int n = 1; n <= 150; n++) {
    pc_db *db = NULL;
    pc_run *run = NULL;
    FILE *sink = fopen("/dev/null", "w");
    int code;
    snprintf(file, sizeof file, "%s/%d.db", dir, n);
    pc_alloc_fail_nth(n);
    code = pc_db_open(&db, file, PC_DB_CREATE);
    if (!code)
      code = pc_run_start(&run, db,
                          &(pc_run_config){.experiment = "e", .config_json = "{\"a\": {\"b\": [1]}}", .no_git = 1});
    for (int i = 0; run && i < 600; i++) {
      char name[8];
      snprintf(name, sizeof name, "m%d", i % 40);
      code |= log1(run, i, name, i);
    }
    if (run) code |= pc_run_source(run, "module", "m", "text", 4) | pc_run_finish(run, PC_RUN_DONE, NULL);
    pc_run_free(run);
    pc_db_close(db);
    db = NULL;
    code |= pc_db_open(&db, file, PC_DB_READ);
    if (db) code |= pc_query_print(db, "@sheet", &(pc_query_opts){.format = (pc_format)(n % 5)}, sink);
    pc_db_close(db);
    pc_alloc_fail_nth(0);
    fclose(sink);
    refused += code != PC_OK;
    if (access(file, F_OK) == 0) ASK("pragma quick_check", "ok");
  }
  ck_assert_int_gt(refused, 100);
}
END_TEST

static Suite *suite(void) {
  Suite *s = suite_create("crash");
  TCase *t = tcase_create("crash");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 60);
  tcase_add_test(t, killed_outright);
  tcase_add_test(t, exit_marks_open_runs_failed);
  tcase_add_test(t, a_fork_may_not_use_the_parents_handle);
  tcase_add_test(t, resume_leaves_no_step_twice);
  tcase_add_test(t, a_full_file_loses_nothing);
  tcase_add_test(t, a_limit_on_the_file_size);
  tcase_add_test(t, the_buffer_has_a_bound);
  tcase_add_test(t, another_writer_holds_the_lock);
  tcase_add_test(t, two_processes_record_at_once);
  tcase_add_test(t, migrating_twice_and_at_once);
  tcase_add_test(t, files_of_others);
  tcase_add_test(t, a_copied_file_is_complete);
  tcase_add_test(t, merging_is_idempotent);
  tcase_add_test(t, memory_runs_out);
  suite_add_tcase(s, t);
  return s;
}

SUITE_MAIN(suite)
