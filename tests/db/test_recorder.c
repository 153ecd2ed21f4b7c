/* What a run writes, and what it refuses. */
#include <math.h>
#include <time.h>

#include "db/digest.h"
#include "fixture.h"

START_TEST(a_run_and_all_that_hangs_on_it) {
  pc_db *db = open_db();
  pc_run *run = NULL, *child = NULL;
  char script[160], picture[160], digest[PC_DIGEST_SIZE];
  const char *tags[] = {"paper", "first"};
  FILE *f;
  snprintf(script, sizeof script, "%s/s.lua", dir);
  f = fopen(script, "w");
  fputs("print 'hello'\n", f);
  fclose(f);
  must(pc_run_start(
      &run, db,
      &(pc_run_config){.experiment = "exp",
                       .name = "n1",
                       .config_json = "{\"seed\": 7, \"model\": {\"dim\": 64, \"lr\": 5e-4, \"act\": \"gelu\", "
                                      "\"bias\": true, \"sizes\": [1, 2], \"drop\": null}}",
                       .script = script,
                       .command = "percept run s.lua",
                       .threads = 2,
                       .tags = tags,
                       .n_tags = 2,
                       .env = (pc_kv[]){{"openblas", "0.3.21"}},
                       .n_env = 1}));
  ck_assert_int_eq((int)strlen(pc_run_uid(run)), 24);
  ck_assert_int_eq(pc_run_step(run), -1);
  must(pc_run_tag(run, "later"));
  must(pc_run_untag(run, "first"));
  must(pc_run_note(run, "a note"));
  must(pc_run_env(run, "simd", "avx2"));
  must(pc_run_event(run, "warning", "look"));
  must(pc_run_goal(run, "loss", "min"));
  must(pc_run_dataset(run, "d1", "spar", 120, "data/spar", NULL));
  must(pc_run_dataset(run, "d1", "spar", -1, NULL, "test"));
  must(pc_run_source(run, "module", "a.lua", "return 1", 8));
  must(pc_run_source(run, "module", "b.lua", "return 1", 8));
  snprintf(picture, sizeof picture, "%s/p.png", dir);
  f = fopen(picture, "w");
  fputs("pixels", f);
  fclose(f);
  must(pc_run_artifact(run, "figure", -1, picture, NULL, -1));
  must(pc_run_result(run,
                     &(pc_result){.method = "encoder", .split = "ood", .metric = "accuracy", .value = 0.25, .n = 40}));
  must(pc_run_result(run,
                     &(pc_result){.method = "encoder", .split = "ood", .metric = "accuracy", .value = 0.5, .n = 41}));
  must(pc_run_start(&child, db, &(pc_run_config){.experiment = "exp", .parent = pc_run_uid(run), .no_git = 1}));
  must(pc_run_finish(child, PC_RUN_FAILED, "boom\nstack traceback"));
  must(pc_run_finish(run, PC_RUN_DONE, NULL));
  must(pc_run_finish(run, PC_RUN_DONE, NULL));
  pc_run_free(child);
  pc_run_free(run);
  pc_db_close(db);

  ASK("select status || seed || threads from run where id = 1", "done72");
  ASK("select ended_ms >= started_ms and peak_rss_bytes > 1000000 from run where id = 1", "1");
  ASK("select pid = (select pid from run where id = 2) and length(cpu) > 0 and length(host) > 0 from run where id = 1",
      "1");
  ASK("select group_concat(key || '=' || typeof(num) || '/' || ifnull(txt, '-'), ' ') from (select * from param where "
      "run_id = 1 order by key)",
      "model.act=null/gelu model.bias=integer/true model.dim=integer/- model.drop=null/- model.lr=real/- "
      "model.sizes=null/[1,2] seed=integer/-");
  ASK("select group_concat(tag) from tag", "later,paper");
  ASK("select note from run where id = 1", "a note");
  ASK("select group_concat(key || value) from env", "openblas0.3.21,simdavx2");
  ASK("select level || text from event", "warninglook");
  ASK("select goal from metric_name where name = 'loss'", "min");
  ASK("select group_concat(role) || max(n) || max(path) from run_dataset join dataset using (digest)",
      "data,test120data/spar");
  ASK("select count(*) from source", "2"); /* script, one module text */
  ASK("select count(*) from run_source", "3");
  pc_digest_bytes(digest, "pixels", 6);
  ASK("select digest from artifact", digest);
  ASK("select bytes from artifact", "6");
  ASK("select method || split || value || n || seed from result", "encoderood0.5417");
  ASK("select method, split, value from result", "encoder");
  ASK("select parent_id || status || error from run where id = 2", "1failedboom\nstack traceback");
  ASK("select uid from run_list where status = 'done' and stale = 0 and tags = 'later paper'",
      ask("select uid from run where id = 1"));
  ASK("pragma integrity_check", "ok");
  ASK("pragma foreign_key_check", "(none)");
}
END_TEST

START_TEST(parameters_are_typed_and_do_not_change) {
  pc_db *db = open_db();
  pc_run *run = start(db, "{\"lr\": 0.5, \"name\": \"a\", \"on\": true, \"k\": 3}");
  must(pc_run_params(run, "{\"lr\": 0.5, \"k\": 3.0, \"on\": true, \"new\": {\"x\": 1}}"));
  must(pc_run_param_num(run, "lr", 0.5));
  must(pc_run_param_bool(run, "flag", 0));
  must(pc_run_param_text(run, "word", "1"));
  must_fail(pc_run_param_num(run, "lr", 0.25), PC_EARG, "parameter lr is recorded as 0.5 and cannot become 0.25");
  must_fail(pc_run_param_text(run, "name", "b"), PC_EARG, "recorded as \"a\" and cannot become \"b\"");
  must_fail(pc_run_param_bool(run, "on", 0), PC_EARG, "recorded as true and cannot become false");
  must_fail(pc_run_param_text(run, "k", "3"), PC_EARG, "recorded as 3 and cannot become \"3\"");
  must_fail(pc_run_param_num(run, "word", 1), PC_EARG, "recorded as \"1\" and cannot become 1");
  must_fail(pc_run_param_num(run, "bad", NAN), PC_EARG, "bad");
  must_fail(pc_run_params(run, "[1]"), PC_EARG, "not an object");
  must_fail(pc_run_params(run, "{\"a\": }"), PC_EARG, "line 1, column 7");
  /* all or nothing: the good key of a refused call is not there */
  must_fail(pc_run_params(run, "{\"a0\": 1, \"lr\": 9}"), PC_EARG, "lr");
  pc_run_free(run);
  pc_db_close(db);
  ASK("select count(*) from param where key = 'a0'", "0");
  ASK("select num from param where key = 'new.x'", "1");
  ASK("select num || txt from param where key = 'flag'", "0false");
}
END_TEST

START_TEST(equal_configurations_have_equal_digests) {
  pc_db *db = open_db();
  pc_run *a = start(db, "{\"seed\": 1, \"m\": {\"a\": 1, \"b\": \"x\"}}");
  pc_run *b = start(db, "{\"m\": {\"b\": \"x\", \"a\": 1.0}, \"seed\": 2}");
  pc_run *c = start(db, "{\"m\": {\"b\": \"x\", \"a\": 2}, \"seed\": 2}");
  pc_run_free(a);
  pc_run_free(b);
  pc_run_free(c);
  pc_db_close(db);
  ASK("select count(distinct config_digest) from run", "2");
  ASK("select count(distinct config_digest) from run where id < 3", "1");
}
END_TEST

/* Names are UTF-8 or refused; steps and values are kept to the bit. */
START_TEST(names_are_whole) {
  pc_db *db = open_db();
  pc_run *run = start(db, NULL), *none;
  must_fail(log1(run, 1, "lo\xffss", 1), PC_EARG, "metric's name is not UTF-8: byte 0xff at offset 2");
  must_fail(pc_run_tag(run, "\xc3"), PC_EARG, "tag is not UTF-8");
  must_fail(pc_run_note(run, "a\x80"), PC_EARG, "note is not UTF-8");
  must_fail(pc_run_start(&none, db, &(pc_run_config){.experiment = "\xfe", .no_git = 1}), PC_EARG,
            "experiment is not UTF-8");
  must(log1(run, INT64_C(1) << 53, "größe", -1e-310));
  pc_run_free(run);
  pc_db_close(db);
  ASK("select step || ' ' || (value = -1e-310) || name from metric join metric_name on id = name_id",
      "9007199254740992 1größe");
}
END_TEST

START_TEST(metrics_and_their_last_values) {
  pc_db *db = open_db();
  pc_run *run = start(db, NULL);
  const char *names[] = {"loss", "acc"};
  for (int i = 1; i <= 1000; i++) {
    double values[] = {1.0 / i, i == 500 ? NAN : i};
    must(pc_run_log(run, i, 2, names, values));
  }
  must(log1(run, 1001, "loss", INFINITY));
  must(log1(run, 1, "nan", NAN));
  must(pc_run_flush(run));
  ASK("select count(*) from metric", "2002");
  ASK("select value is null from metric join metric_name n on n.id = name_id where name = 'acc' and step = 500", "1");
  ASK("select value = 9e999 from metric where step = 1001", "1");
  ASK("select step || ' ' || (last = 9e999) || ' ' || min || ' ' || (max = 9e999) || ' ' || n || ' ' || n_nan "
      "from run_metric where metric = 'loss'",
      "1001 1 0.001 1 1001 0");
  ASK("select step || ' ' || last || ' ' || min || ' ' || max || ' ' || n || ' ' || n_nan from run_metric where metric "
      "= 'acc'",
      "1000 1000.0 1.0 1000.0 1000 1");
  ASK("select (last is null) || (min is null) || n || n_nan from run_metric where metric = 'nan'", "1111");
  /* a step again and an earlier one: the value is replaced, the summary counted anew */
  must(log1(run, 1000, "acc", 5));
  must(log1(run, 0, "acc", -3));
  must(log1(run, 1001, "acc", 6));
  must(log1(run, 2, "nan", 4));
  must(pc_run_flush(run));
  ASK("select step || ' ' || last || ' ' || min || ' ' || max || ' ' || n || ' ' || n_nan from run_metric where metric "
      "= 'acc'",
      "1001 6.0 -3.0 999.0 1002 1");
  ASK("select last || min || max || n || n_nan from run_metric where metric = 'nan'", "4.04.04.021");
  must(log1(run, 1002, "acc", 1));
  pc_run_free(run);
  pc_db_close(db);
  ASK("select n || status || error from run_metric join run using (uid) where metric = 'acc'",
      "1003failedthe run was dropped without run:finish()");
}
END_TEST

START_TEST(refusals_name_the_remedy) {
  pc_db *db = open_db(), *reader = NULL;
  pc_run *run = NULL, *again = NULL;
  must_fail(pc_run_start(&run, db, &(pc_run_config){.config_json = "{}"}), PC_EARG, "experiment is missing");
  must_fail(pc_run_start(&run, db, &(pc_run_config){.experiment = "e", .parent = "zz", .no_git = 1}), PC_ENOTFOUND,
            "parent zz");
  ASK("select count(*) from run", "0");
  run = start(db, NULL);
  must_fail(pc_run_result(run, &(pc_result){.method = "m", .metric = "x"}), PC_EARG, "split is missing");
  must_fail(pc_run_result(run, &(pc_result){.method = "m", .split = "id", .metric = "x", .extra_json = "{"}), PC_EARG,
            "JSON");
  must_fail(pc_run_artifact(run, "figure", -1, "/no/such/file", NULL, -1), PC_ENOTFOUND, "/no/such/file");
  must_fail(pc_run_source(run, "book", "a", "b", 1), PC_EARG, "script, module");
  must_fail(pc_run_event(run, "loud", "b"), PC_EARG, "info, warning, error");
  must_fail(pc_run_goal(run, "loss", "down"), PC_EARG, "\"down\" is neither");
  must_fail(log1(run, 1, "", 1), PC_EARG, "name is empty");
  must_fail(pc_run_resume(&again, db, pc_run_uid(run), 0, NULL), PC_ESTATE, "open in this process");
  must(pc_run_finish(run, PC_RUN_DONE, NULL));
  must_fail(log1(run, 1, "a", 1), PC_ESTATE, "is done; start a run or resume it");
  must(pc_db_open(&reader, file, PC_DB_READ));
  must_fail(pc_run_start(&again, reader, &(pc_run_config){.experiment = "e", .no_git = 1}), PC_ESTATE, "reading alone");
  pc_db_close(reader);
  pc_run_free(run);
  pc_db_close(db);
  must_fail(pc_db_open(&db, "/no/such/folder/x.db", PC_DB_CREATE), PC_EIO, "does its folder exist");
  must_fail(pc_db_open(&db, dir, PC_DB_CREATE), PC_EARG, "is a folder");
  snprintf(file, sizeof file, "%s/none.db", dir);
  must_fail(pc_db_open(&db, file, PC_DB_READ), PC_ENOTFOUND, "there is no database");
  must_fail(pc_db_open(&db, file, PC_DB_WRITE), PC_ENOTFOUND, "there is no database");
}
END_TEST

START_TEST(every_open_run_can_be_finished_at_once) {
  pc_db *db = open_db();
  pc_run *a = start(db, NULL), *b = start(db, NULL);
  ck_assert_int_eq(pc_db_open_runs(), 2);
  must(pc_run_finish(a, PC_RUN_DONE, NULL));
  must(log1(b, 1, "x", 1));
  ck_assert_int_eq(pc_db_finish_open(PC_RUN_KILLED, "SIGTERM"), 1);
  ck_assert_int_eq(pc_db_finish_open(PC_RUN_KILLED, "SIGTERM"), 0);
  ck_assert_int_eq(pc_run_get_status(b), PC_RUN_KILLED);
  pc_db_close(db); /* before its runs: they hold it */
  ASK("select group_concat(status) || (select count(*) from metric) from run", "done,killed1");
  pc_run_free(a);
  pc_run_free(b);
}
END_TEST

START_TEST(git_is_asked) {
  char command[1024], script[160];
  pc_db *db = open_db();
  pc_run *run = NULL;
  snprintf(command, sizeof command,
           "cd %s && git init -q . && git config user.email a@b.invalid && git config user.name n && "
           "echo one > s.lua && git add s.lua && git commit -qm first",
           dir);
  ck_assert_int_eq(system(command), 0);
  snprintf(script, sizeof script, "%s/s.lua", dir);
  must(pc_run_start(&run, db, &(pc_run_config){.experiment = "e", .script = script}));
  pc_run_free(run);
  ASK("select length(commit_id) || dirty from run", "400");
  snprintf(command, sizeof command, "echo two >> %s", script);
  ck_assert_int_eq(system(command), 0);
  must(pc_run_start(&run, db, &(pc_run_config){.experiment = "e", .script = script}));
  pc_run_free(run);
  ASK("select dirty from run where id = 2", "1");
  ASK("select bytes > 50 from source join run_source using (digest) where kind = 'diff' and run_id = 2", "1");
  must(pc_run_start(&run, db, &(pc_run_config){.experiment = "e", .script = "/proc/none.lua"}));
  pc_run_free(run);
  ASK("select commit_id is null and dirty is null from run where id = 3", "1");
  pc_db_close(db);
}
END_TEST

START_TEST(logging_is_cheap) {
  pc_db *db = open_db();
  pc_run *run = start(db, NULL);
  enum { STEPS = 10000 };
  const char *names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
  double values[10] = {0}, us;
  struct timespec t0, t1;
  clock_gettime(CLOCK_MONOTONIC, &t0);
  for (int i = 0; i < STEPS; i++) must(pc_run_log(run, i, 10, names, values));
  must(pc_run_flush(run));
  clock_gettime(CLOCK_MONOTONIC, &t1);
  us = ((double)(t1.tv_sec - t0.tv_sec) * 1e6 + (double)(t1.tv_nsec - t0.tv_nsec) / 1e3) / STEPS;
  printf("logging 10 metrics: %.1f us a step\n", us);
  ck_assert_double_lt(us, 10 * 100);
  ASK("select count(*) from metric", "100000");
  pc_run_free(run);
  pc_db_close(db);
}
END_TEST

static Suite *suite(void) {
  Suite *s = suite_create("recorder");
  TCase *t = tcase_create("recorder");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 60);
  tcase_add_test(t, a_run_and_all_that_hangs_on_it);
  tcase_add_test(t, parameters_are_typed_and_do_not_change);
  tcase_add_test(t, equal_configurations_have_equal_digests);
  tcase_add_test(t, names_are_whole);
  tcase_add_test(t, metrics_and_their_last_values);
  tcase_add_test(t, refusals_name_the_remedy);
  tcase_add_test(t, every_open_run_can_be_finished_at_once);
  tcase_add_test(t, git_is_asked);
  tcase_add_test(t, logging_is_cheap);
  suite_add_tcase(s, t);
  return s;
}

SUITE_MAIN(suite)
