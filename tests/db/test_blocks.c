/* Blocks of metric rows: that they cover what they say after every kind of write, and that a database of version 1
 * gets them with everything else it lacks. */
#include "db/query.h"
#include "db/internal.h"
#include "db/sweep.h"
#include "fixture.h"

/* one line a series: rows, blocks, rows within blocks, steps between blocks that belong to none, wrong minima */
static const char *state(void) {
  return ask(
      "select (select count(*) from metric) || ' ' || count(*) || ' ' || ifnull(sum(n), 0) || ' ' || "
      "(select count(*) from metric m where m.step <= (select max(final) from metric_block b where b.run_id = m.run_id "
      "and b.name_id = m.name_id) and not exists (select 1 from metric_block b where b.run_id = m.run_id and "
      "b.name_id = m.name_id and m.step between b.step and b.final)) || ' ' || "
      "(select count(*) from metric_block b where b.min is not (select min(value) from metric m where m.run_id = "
      "b.run_id "
      "and m.name_id = b.name_id and m.step between b.step and b.final) or b.n <> (select count(*) from metric m where "
      "m.run_id = b.run_id and m.name_id = b.name_id and m.step between b.step and b.final)) from metric_block");
}

static double value_of(int64_t step) { return (double)(1000 - step) + (double)(step * 37 % 11); }

START_TEST(blocks_follow_the_rows) {
  pc_db *db = open_db();
  pc_run *run = start(db, "{}");
  for (int64_t s = 0; s < 127; s++) must(log1(run, 2 * s, "loss", value_of(2 * s)));
  must(pc_run_flush(run));
  ck_assert_str_eq(state(), "127 0 0 0 0");
  must(log1(run, 254, "loss", 1));
  must(pc_run_flush(run));
  ck_assert_str_eq(state(), "128 1 128 0 0");
  for (int64_t s = 128; s < 1000; s++) must(log1(run, 2 * s, "loss", value_of(2 * s)));
  must(pc_run_flush(run));
  ck_assert_str_eq(state(), "1000 7 896 0 0");
  must(log1(run, 301, "loss", -5)); /* late: between two rows */
  must(log1(run, 10, "loss", -6));  /* again */
  must(pc_run_flush(run));
  ck_assert_str_eq(state(), "1001 7 896 0 0");
  ASK("select min from metric_block order by step limit 1", "-6.0");
  must(pc_run_finish(run, PC_RUN_KILLED, NULL));
  pc_run_free(run);
  must(pc_run_resume(&run, db, "2", 501, &(pc_run_config){.no_git = 1})); /* rows behind go, blocks with them */
  ck_assert_str_eq(state(), "252 0 0 0 0");
  for (int64_t s = 502; s < 700; s++) must(log1(run, s, "loss", 3));
  must(pc_run_flush(run));
  ck_assert_str_eq(state(), "450 3 384 0 0");
  must(pc_run_finish(run, PC_RUN_DONE, NULL));
  pc_run_free(run);
  pc_db_close(db);
}
END_TEST

static int64_t found;
static int keep_step(void *ctx, int n, const pc_value *v) {
  found = v[4].type == PC_SQL_NULL ? -1 : v[4].i;
  return PC_OK;
}

START_TEST(the_threshold_is_the_first_row_that_reached_it) {
  pc_db *db = open_db(), *reader;
  pc_run *run = start(db, "{}");
  pc_row_sink sink = {.row = keep_step};
  for (int64_t s = 0; s < 1000; s++) must(log1(run, s, "loss", value_of(s)));
  must(pc_run_finish(run, PC_RUN_DONE, NULL));
  pc_run_free(run);
  pc_db_close(db);
  must(pc_db_open(&reader, file, PC_DB_READ));
  for (int k = 0; k <= 1010; k += 7) {
    pc_sql_param p[3] = {{"metric", {.type = PC_SQL_TEXT, .text = "loss", .size = 4}},
                         {"value", {.type = PC_SQL_REAL, .d = k}},
                         {"goal", {.type = PC_SQL_TEXT, .text = k % 2 ? "min" : "max", .size = 3}}};
    int64_t want = -1;
    for (int64_t s = 0; s < 1000 && want < 0; s++)
      if (k % 2 ? value_of(s) <= k : value_of(s) >= k) want = s;
    found = -2;
    must(pc_query_rows(reader, "@threshold", &(pc_query_opts){.params = p, .n_params = 3}, &sink));
    ck_assert_msg(found == want, "%s %d: step %lld, not %lld", k % 2 ? "min" : "max", k, (long long)found,
                  (long long)want);
  }
  pc_db_close(reader);
}
END_TEST

static void load_fixture(const char *path) {
  char text[65536], *error = NULL;
  FILE *f = fopen(path, "r");
  sqlite3 *h;
  ck_assert_msg(f != NULL, "%s: run from the top of the tree", path);
  text[fread(text, 1, sizeof text - 1, f)] = '\0';
  fclose(f);
  ck_assert_int_eq(sqlite3_open(file, &h), SQLITE_OK);
  ck_assert_msg(sqlite3_exec(h, text, NULL, NULL, &error) == SQLITE_OK, "%s: %s", path, error);
  sqlite3_close(h);
}

/* what a database consists of, independent of how its text is written; views are made anew and need no look */
static const char *structure(void) {
  static char kept[4096];
  snprintf(kept, sizeof kept, "%s",
           ask("select group_concat(x, ';') from (select m.type || ' ' || m.name || '(' || ifnull((select "
               "group_concat(c.name || ' ' || c.type || ' ' || c.\"notnull\" || c.pk) from (select * from "
               "pragma_table_info(m.name) order by name) c), '') || ')' as x from sqlite_master m "
               "where m.type <> 'view' and m.name not like 'sqlite_%' order by m.type, m.name)"));
  return kept;
}

START_TEST(version_1_becomes_the_present_one) {
  char fresh[4096];
  pc_db *db = open_db();
  pc_run *run;
  pc_db_close(db);
  snprintf(fresh, sizeof fresh, "%s", structure());
  ck_assert_int_eq(remove(file), 0);
  load_fixture("tests/db/fixtures/v1.sql");
  ASK("pragma user_version", "1");
  ck_assert_str_ne(structure(), fresh);
  must(pc_db_open(&db, file, PC_DB_READ)); /* whoever opens it first brings it up to date */
  pc_db_close(db);
  ASK("pragma user_version", "2");
  ck_assert_str_eq(structure(), fresh);
  ASK("select group_concat(uid || status) from run", "20260101-000000-00000001done,20260101-000000-00000002killed");
  ASK("select count(*) || ' ' || total(value) || ' ' || sum(value is null) from metric", "302 45057.5 1");
  ASK("select group_concat(run_id || ':' || step || '-' || final || ':' || min || ':' || max) from metric_block",
      "1:0-127:173.0:300.0,1:128-255:45.0:172.0");
  ASK("select value from run_result", "0.75");
  ASK("select tags from run_list where name = 'long'", "kept");
  ASK("pragma integrity_check", "ok");
  ASK("select count(*) from pragma_foreign_key_check", "0");
  must(pc_db_open(&db, file, PC_DB_WRITE));
  must(pc_run_resume(&run, db, "short", 5, &(pc_run_config){.no_git = 1})); /* and it can be gone on with */
  must(log1(run, 6, "loss", 6));
  must(pc_run_finish(run, PC_RUN_DONE, NULL));
  pc_run_free(run);
  pc_db_close(db);
  ASK("select n || ' ' || last from metric_last where run_id = 2", "2 6.0");
}
END_TEST

START_TEST(merging_and_thinning_keep_ends_and_blocks) {
  char other[160];
  pc_db *db = open_db(), *to;
  pc_run *run = start(db, "{}");
  pc_merge_counts n;
  for (int64_t s = 0; s < 1000; s++) must(log1(run, s, "loss", value_of(s)));
  for (int64_t s = 0; s < 5; s++) must(log1(run, s, "few", 1));
  must(pc_run_finish(run, PC_RUN_DONE, NULL));
  pc_run_free(run);
  pc_db_close(db);
  snprintf(other, sizeof other, "%s/thin.db", dir);
  must(pc_db_open(&to, other, PC_DB_CREATE));
  must(pc_db_merge(to, file, &(pc_merge_opts){.thin = 50}, &n));
  ck_assert_int_eq(n.added, 1);
  pc_db_close(to);
  snprintf(file, sizeof file, "%s/thin.db", dir);
  ASK("select count(*) || ' ' || min(step) || ' ' || max(step) from metric m join metric_name n on n.id = m.name_id "
      "where n.name = 'loss'",
      "50 0 999");
  ASK("select max(gap) from (select step - lag(step) over (order by step) as gap from metric where name_id = "
      "(select id from metric_name where name = 'loss'))",
      "21");
  ASK("select count(*) from metric m join metric_name n on n.id = m.name_id where n.name = 'few'", "5");
  ASK("select n || ' ' || last from metric_last l join metric_name n on n.id = l.name_id where n.name = 'loss'",
      "1000 4.0");
  must(pc_db_open(&to, file, PC_DB_WRITE));
  snprintf(other, sizeof other, "%s/t.db", dir);
  must(pc_db_merge(to, other, &(pc_merge_opts){.experiment = "none"}, &n));
  ck_assert_int_eq(n.added + n.replaced + n.same, 0);
  pc_db_close(to);
  snprintf(file, sizeof file, "%s/whole.db", dir);
  must(pc_db_open(&to, file, PC_DB_CREATE));
  must(pc_db_merge(to, other, NULL, &n));
  pc_db_close(to);
  ck_assert_str_eq(state(), "1005 7 896 0 0");
}
END_TEST

START_TEST(cells_of_a_sweep_are_claimed_once) {
  pc_db *db = open_db();
  pc_run *run;
  char digest[33];
  int added, got;
  pc_sweep sweep = {.name = "s", .experiment = "test", .script = "x.lua"};
  must(pc_config_digest(digest, "{\"lr\": 0.1, \"seed\": 5}"));
  pc_cell cells[] = {{digest, 1, "{}"}, {digest, 2, "{}"}};
  must(pc_sweep_add(db, &sweep, 2, cells, &added));
  ck_assert_int_eq(added, 2);
  must(pc_sweep_add(db, &sweep, 2, cells, &added));
  ck_assert_int_eq(added, 0);
  sweep.script = "y.lua";
  must_fail(pc_sweep_add(db, &sweep, 2, cells, &added), PC_EARG, "the name s belongs to another script");
  must(pc_sweep_claim(db, "s", digest, 1, 0, &got));
  ck_assert_int_eq(got, 1);
  must(pc_sweep_claim(db, "s", digest, 1, 0, &got));
  ck_assert_int_eq(got, 0);
  must(pc_sweep_release(db, "s", digest, 1));
  must(pc_run_start(
      &run, db,
      &(pc_run_config){.experiment = "test", .sweep = "s", .config_json = "{\"seed\": 1, \"lr\": 0.1}", .no_git = 1}));
  ASK("select group_concat(status) from (select status from sweep_cell order by nth)", "running,queued");
  must(pc_sweep_claim(db, "s", digest, 1, 0, &got));
  ck_assert_int_eq(got, 0); /* its run is alive */
  must(pc_run_finish(run, PC_RUN_KILLED, NULL));
  pc_run_free(run);
  must(pc_sweep_claim(db, "s", digest, 1, 0, &got));
  ck_assert_int_eq(got, 1);
  must(pc_run_start(
      &run, db,
      &(pc_run_config){.experiment = "test", .sweep = "s", .config_json = "{\"seed\": 1, \"lr\": 0.1}", .no_git = 1}));
  must(pc_run_finish(run, PC_RUN_DONE, NULL));
  pc_run_free(run);
  must(pc_sweep_release(db, "s", digest, 1));
  ASK("select group_concat(status || runs) from (select status, runs from sweep_cell order by nth)", "done2,queued0");
  must(pc_sweep_claim(db, "s", digest, 1, 0, &got));
  ck_assert_int_eq(got, 0);
  must(pc_sweep_claim(db, "s", digest, 1, 1, &got)); /* again */
  ck_assert_int_eq(got, 1);
  must(pc_db_exec(db, "update cell set claim = 'elsewhere:1:1', claim_ms = 0", "test"));
  must(pc_sweep_claim(db, "s", digest, 2, 0, &got)); /* silent for long on another host */
  ck_assert_int_eq(got, 1);
  must_fail(pc_sweep_claim(db, "s", "nothing", 1, 0, &got), PC_ENOTFOUND, "s has no cell nothing with seed 1");
  pc_db_close(db);
}
END_TEST

START_TEST(a_repeated_run_takes_the_same_data_alone) {
  pc_db *db = open_db();
  pc_run *first = start(db, "{}"), *second;
  must(pc_run_dataset(first, "d1", "scenes", 10, NULL, NULL));
  must(pc_run_finish(first, PC_RUN_DONE, NULL));
  pc_run_config again = {.experiment = "test", .repeats = pc_run_uid(first), .no_git = 1};
  must(pc_run_start(&second, db, &again));
  must(pc_run_dataset(second, "d1", "scenes", 10, NULL, NULL));
  must_fail(pc_run_dataset(second, "d2", "scenes", 10, NULL, NULL), PC_ESTATE, "the data has changed");
  must(pc_run_dataset(second, "d3", "more", 10, NULL, "bank")); /* a role the first run did not have */
  pc_run_free(second);
  again.other_data = 1;
  must(pc_run_start(&second, db, &again));
  must(pc_run_dataset(second, "d2", "scenes", 10, NULL, NULL));
  ASK("select r.uid = (select uid from run order by id limit 1) from run x join run r on r.id = x.repeats_id "
      "order by x.id desc limit 1",
      "1");
  pc_run_free(second);
  again.repeats = "nobody";
  must_fail(pc_run_start(&second, db, &again), PC_ENOTFOUND, "the repeated run nobody is not in");
  pc_run_free(first);
  pc_db_close(db);
}
END_TEST

static Suite *suite(void) {
  Suite *s = suite_create("blocks");
  TCase *t = tcase_create("blocks");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 60);
  tcase_add_test(t, blocks_follow_the_rows);
  tcase_add_test(t, the_threshold_is_the_first_row_that_reached_it);
  tcase_add_test(t, version_1_becomes_the_present_one);
  tcase_add_test(t, merging_and_thinning_keep_ends_and_blocks);
  tcase_add_test(t, cells_of_a_sweep_are_claimed_once);
  tcase_add_test(t, a_repeated_run_takes_the_same_data_alone);
  suite_add_tcase(s, t);
  return s;
}

SUITE_MAIN(suite)
