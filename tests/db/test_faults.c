/* test_faults.c: the life of a database with each allocation of ours, of SQLite and of jansson, and each read, write
 * and flush of SQLite failing in turn, once and with all that follow: an error with a text, no crash, a file that is
 * sound, and what a flush had promised is in it. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "db/internal.h"
#include "db/sweep.h"
#include "fixture.h"

/* ---- what fails ---- */

enum { OURS, SQL_MEMORY, JSON_MEMORY, SQL_FILES, KINDS };
static const char *const kind_name[] = {"memory", "SQLite's memory", "jansson's memory", "SQLite's files"};

static atomic_long countdown[KINDS]; /* 0: off; n: the nth fails; -n: the nth and all that follow */
static atomic_long hits;

static int due(int kind) {
  long n = atomic_load(&countdown[kind]);
  if (!n) return 0;
  if (n == -1) return (int)atomic_fetch_add(&hits, 1) + 1;
  return atomic_fetch_add(&countdown[kind], n > 0 ? -1 : 1) == 1 ? (int)atomic_fetch_add(&hits, 1) + 1 : 0;
}

static void arm(int kind, long n) {
  atomic_store(&hits, 0);
  if (kind == OURS)
    pc_alloc_fail_nth(n);
  else
    atomic_store(&countdown[kind], n);
}

/* Whether the order came to a failure. */
static int disarm(int kind) {
  if (kind == OURS) return pc_alloc_fail_nth(0) == 0;
  atomic_store(&countdown[kind], 0);
  return atomic_load(&hits) > 0;
}

static sqlite3_mem_methods plain;
static void *sql_malloc(int n) { return due(SQL_MEMORY) ? NULL : plain.xMalloc(n); }
static void *sql_realloc(void *p, int n) { return due(SQL_MEMORY) ? NULL : plain.xRealloc(p, n); }
static void *json_malloc_(size_t n) { return due(JSON_MEMORY) ? NULL : malloc(n); }

static sqlite3_vfs *disk, shim;
static const sqlite3_io_methods *inner; /* of every file of the unix VFS that we meet: WAL and database alike */
static sqlite3_io_methods outer;

static int f_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at) {
  return due(SQL_FILES) ? SQLITE_IOERR_READ : inner->xRead(f, p, n, at);
}
static int f_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at) {
  int which = due(SQL_FILES);
  return which ? (which & 1 ? SQLITE_FULL : SQLITE_IOERR_WRITE) : inner->xWrite(f, p, n, at);
}
/* The disk itself is not waited for. */
static int f_sync(sqlite3_file *f, int flags) { return due(SQL_FILES) ? SQLITE_IOERR_FSYNC : SQLITE_OK; }
static int f_truncate(sqlite3_file *f, sqlite3_int64 n) {
  return due(SQL_FILES) ? SQLITE_IOERR_TRUNCATE : inner->xTruncate(f, n);
}
static int shim_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out) {
  if (due(SQL_FILES)) return SQLITE_CANTOPEN;
  int rc = disk->xOpen(v, name, f, flags, out);
  if (rc != SQLITE_OK || !f->pMethods) return rc;
  if (!inner) {
    inner = f->pMethods;
    outer = *inner;
    outer.xRead = f_read, outer.xWrite = f_write, outer.xSync = f_sync, outer.xTruncate = f_truncate;
  }
  if (f->pMethods == inner) f->pMethods = &outer;
  return rc;
}

static void put_shims(void) {
  sqlite3_mem_methods m;
  sqlite3_config(SQLITE_CONFIG_GETMALLOC, &plain);
  m = plain;
  m.xMalloc = sql_malloc, m.xRealloc = sql_realloc;
  sqlite3_config(SQLITE_CONFIG_MALLOC, &m);
  sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0); /* every allocation is one */
  json_set_alloc_funcs(json_malloc_, free);
  disk = sqlite3_vfs_find(NULL);
  shim = *disk;
  shim.zName = "faults";
  shim.xOpen = shim_open;
  sqlite3_vfs_register(&shim, 1);
}

/* ---- what is done ---- */

static int promised; /* rows that a flush said are in the file */

#define TRY(call)                    \
  do {                               \
    if ((rc = (call)) < 0) goto end; \
  } while (0)

static const char config[] = "{\"width\": 64, \"deep\": {\"on\": true, \"list\": [1, \"a\"]}, \"seed\": 3}";

static int record(pc_db *db) {
  pc_run *run = NULL;
  int rc;
  char script[160], digest[33];
  snprintf(script, sizeof script, "%s/s.lua", dir);
  pc_run_config c = {.experiment = "faults",
                     .name = "n",
                     .note = "a note",
                     .config_json = config,
                     .script = script,
                     .no_git = 1,
                     .command = "percept s.lua",
                     .tags = (const char *[]){"a", "b"},
                     .n_tags = 2,
                     .env = (pc_kv[]){{"k", "v"}},
                     .n_env = 1};
  TRY(pc_run_start(&run, db, &c));
  for (int i = 1; i <= 300; i++) TRY(log1(run, i, i & 1 ? "loss" : "acc", i));
  TRY(pc_run_flush(run));
  promised = 300;
  TRY(log1(run, 7, "loss", 2)); /* a step that comes again */
  TRY(pc_run_goal(run, "loss", "min"));
  TRY(pc_run_param_num(run, "more", 2));
  TRY(pc_run_param_text(run, "word", "w"));
  TRY(pc_run_param_bool(run, "flag", 1));
  TRY(pc_run_params(run, "{\"x\": {\"y\": 1}}"));
  TRY(pc_run_result(run, &(pc_result){"m", "ood", "acc", .value = 0.5, .n = 9, .extra_json = "{\"k\": 1}"}));
  TRY(pc_run_artifact(run, "checkpoint", 100, script, NULL, -1));
  TRY(pc_run_dataset(run, "00112233445566778899aabbccddeeff", "scenes", 4, script, NULL));
  TRY(pc_run_source(run, "module", script, NULL, 0));
  TRY(pc_run_tag(run, "c"));
  TRY(pc_run_untag(run, "a"));
  TRY(pc_run_note(run, "another"));
  TRY(pc_run_env(run, "l", "w"));
  TRY(pc_run_event(run, "warning", "text"));
  TRY(pc_run_finish(run, PC_RUN_DONE, NULL));
  char uid[64];
  snprintf(uid, sizeof uid, "%s", pc_run_uid(run));
  pc_run_free(run);
  run = NULL;
  TRY(pc_run_resume(&run, db, uid, -1, &c));
  TRY(log1(run, 101, "loss", 1));
  TRY(pc_run_finish(run, PC_RUN_FAILED, "why"));
  TRY(pc_db_archive(db, uid, 1));
  TRY(pc_db_note_run(db, uid, NULL));
  TRY(pc_db_event(db, uid, "info", "e"));
  TRY(pc_config_digest(digest, config));
  int added, got;
  pc_cell cells[] = {{digest, 1, "{\"a\": 1}"}, {digest, 2, "{\"a\": 2}"}};
  TRY(pc_sweep_add(db, &(pc_sweep){"s", "faults", script, "{\"axes\": [\"a\"]}", "percept sweep"}, 2, cells, &added));
  TRY(pc_sweep_claim(db, "s", digest, 1, 0, &got));
  TRY(pc_sweep_release(db, "s", digest, 1));
end:
  pc_run_free(run);
  return rc;
}

static int ask_all(pc_db *db) {
  static const char *const text[] = {"select uid, experiment, status, seed, note from run",
                                     "@best",
                                     "@seeds",
                                     "@failed",
                                     "select stddev(value), median(value), quantile(value, 0.5) from metric",
                                     "-- pivot: 1\nselect r.uid, n.name, m.value from metric_last m join run r on r.id "
                                     "= m.run_id join metric_name n on "
                                     "n.id = m.name_id",
                                     "select unzstd(body) from source limit 1",
                                     "select digest('x'), x'00ff', null, 1e999"};
  char *out = NULL;
  size_t size;
  FILE *f = open_memstream(&out, &size);
  int rc = PC_OK;
  for (size_t i = 0; i < sizeof text / sizeof *text && rc == PC_OK; i++) {
    rc = pc_query_print(db, text[i], &(pc_query_opts){.format = (pc_format)(i % 5), .bold = 1}, f);
    if (rc == PC_EARG) rc = PC_OK; /* a query that wants a parameter */
  }
  fclose(f);
  free(out);
  return rc;
}

enum { CREATE, OPEN, RECORD, READ, PARTS };
static const char *const part_name[] = {"creating", "opening", "recording", "merging and reading"};

static int merge_and_read(pc_db *db) {
  char uid[64], found[256];
  pc_merge_counts counts;
  int64_t step;
  int rc, n;
  TRY(pc_db_merge(db, file, &(pc_merge_opts){.thin = 10}, &counts));
  ck_assert_int_eq(counts.added, 1);
  TRY(pc_db_merge(db, file, &(pc_merge_opts){0}, &counts));
  TRY(pc_db_find_run(db, "n", uid));
  TRY(pc_db_checkpoint(db, uid, &step, found, sizeof found));
  TRY(pc_db_stale(db, 1, NULL, NULL, &n));
  TRY(pc_db_tag(db, uid, "z", 1));
  TRY(ask_all(db));
  TRY(pc_db_delete_run(db, uid));
end:
  return rc;
}

/* The fault counts from the opening on, or, where there is more to do, from after it. */
static int life(int part, int kind, long nth) {
  pc_db *db = NULL;
  char path[160];
  snprintf(path, sizeof path, "%s/o.db", dir);
  if (part <= OPEN) arm(kind, nth);
  int rc = pc_db_open(&db, part == READ ? path : file, PC_DB_CREATE);
  if (part > OPEN) arm(kind, nth);
  if (rc == PC_OK && part == RECORD) rc = record(db);
  if (rc == PC_OK && part == READ) rc = merge_and_read(db);
  pc_db_close(db);
  return rc;
}

static void quiet(const char *text) {}

static void shell(const char *command) {
  char line[400];
  snprintf(line, sizeof line, "cd '%s' && %s", dir, command);
  ck_assert_int_eq(system(line), 0);
}

/* The files that a part begins with. */
static void fresh(int part) {
  static const char *const begin[] = {"rm -f [to].db*", "rm -f [to].db*; cp full t.db", "rm -f [to].db*; cp made t.db",
                                      "rm -f [to].db*; cp full t.db; cp made o.db"};
  shell(begin[part]);
  promised = 0;
}

/* A journal that was left is rolled back, as whoever opens the file next does. */
static void sound(void) {
  sqlite3 *h;
  ck_assert_int_eq(sqlite3_open(file, &h), SQLITE_OK);
  ck_assert_msg(sqlite3_exec(h, "select * from sqlite_master", NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(h));
  sqlite3_close(h);
  ASK("pragma integrity_check", "ok");
}

/* One life with one fault: is it over? */
static int try_one(int kind, int part, long n) {
  fresh(part);
  pc_fail(PC_OK, "%s", "");
  int rc = life(part, kind, n), failed = disarm(kind);
  if (rc < 0 && !*pc_error_text()) ck_abort_msg("%s, %ld: code %d without a text", kind_name[kind], n, rc);
  if (rc == PC_EARG && kind != JSON_MEMORY) /* jansson's lexer takes it for a mistake in the text */
    ck_abort_msg("%s, %ld: %s", kind_name[kind], n, pc_error_text());
  if (rc < 0 && !failed) ck_abort_msg("%s, %ld: %s, though nothing failed", kind_name[kind], n, pc_error_text());
  pc_db_finish_open(PC_RUN_FAILED, "fault"); /* a run that could not be finished while all failed */
  ck_assert_msg(pc_db_open_runs() == 0, "%s, %ld: runs are open", kind_name[kind], n);
  if (!access(file, F_OK)) sound();
  if (promised) { /* of 300 steps the last 200 may be deleted: a resume at the checkpoint */
    int rows = atoi(ask("select count(*) from metric"));
    if (rows < 100) ck_abort_msg("%s, %ld: %d rows are left", kind_name[kind], n, rows);
  }
  return !failed;
}

/* How many of a kind a part has. */
static long total(int kind, int part) {
  const long many = 1000000000;
  fresh(part);
  must(life(part, kind, many));
  return kind == OURS ? many - pc_alloc_fail_nth(0) : many - atomic_exchange(&countdown[kind], 0);
}

START_TEST(every_fault) {
  int kind = _i / 2, sign = _i % 2 ? -1 : 1;
  void (*say)(const char *) = pc_db_say;
  pc_db_say = quiet;
  setup();
  shell("echo \"print 'a script that is recorded'\" >s.lua");
  must(life(CREATE, OURS, 0));
  shell("cp t.db made");
  must(life(RECORD, OURS, 0));
  shell("cp t.db full");
  for (int part = 0; part < PARTS; part++) {
    long n = 1, step = total(kind, part) / 40 + 1; /* of SQLite's thousands some */
    while (!try_one(kind, part, sign * n)) n += n < 12 ? 1 : step;
    ck_assert_msg(n > (part == RECORD ? 20 : 0), "%s, %s: only %ld could fail", part_name[part], kind_name[kind], n);
    fresh(part);
    must(life(part, OURS, 0)); /* afterwards all is well */
  }
  pc_db_say = say;
  teardown();
}
END_TEST

int main(void) {
  put_shims();
  Suite *s = suite_create("db faults");
  TCase *tc = tcase_create("faults");
  tcase_set_timeout(tc, 600);
  tcase_add_loop_test(tc, every_fault, 0, 2 * KINDS);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
