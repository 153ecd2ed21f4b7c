/* The embedded queries on a small database, against answers worked out by hand. */
#include <math.h>

#include "db/query.h"
#include "fixture.h"

/* ---- the database: four runs of a grid, a child that failed, a run that died ---- */

static void sql(const char *text) {
  sqlite3 *h;
  char *err = NULL;
  ck_assert_int_eq(sqlite3_open(file, &h), SQLITE_OK);
  ck_assert_msg(sqlite3_exec(h, text, NULL, NULL, &err) == SQLITE_OK, "%s: %s", text, err);
  sqlite3_close(h);
}

static void result(pc_run *run, const char *method, double id, double ood) {
  must(pc_run_result(run, &(pc_result){.method = method, .split = "id", .metric = "accuracy", .value = id}));
  must(pc_run_result(run, &(pc_result){.method = method, .split = "ood", .metric = "accuracy", .value = ood}));
}

static void grid_run(pc_db *db, int dim, int seed, const double *loss, double encoder, double search) {
  char config[80];
  pc_run *run;
  snprintf(config, sizeof config, "{\"seed\": %d, \"model\": {\"dim\": %d}, \"act\": \"gelu\"}", seed, dim);
  must(pc_run_start(&run, db, &(pc_run_config){.experiment = "grid", .config_json = config, .no_git = 1}));
  for (int step = 0; step < 5; step++) must(log1(run, step, "loss", loss[step]));
  result(run, "encoder", 0.95, encoder);
  result(run, "encoder+search", 0.97, search);
  must(pc_run_dataset(run, "d16e57", "spar", 120, NULL, NULL));
  if (dim == 64) {
    char path[40];
    for (int step = 2; step <= 4; step += 2) {
      snprintf(path, sizeof path, "runs/%d/%d.ckpt", seed, step);
      must(pc_run_artifact(run, "checkpoint", step, path, step == 2 ? "c2" : "c4", 10));
    }
    snprintf(path, sizeof path, "runs/%d/grid.png", seed);
    must(pc_run_artifact(run, "figure", -1, path, seed == 1 ? "f1" : "f2", 10));
  }
  must(pc_run_finish(run, PC_RUN_DONE, NULL));
  pc_run_free(run);
}

static void build(void) {
  pc_db *db;
  pc_run *run;
  const char *parent;
  setup();
  db = open_db();
  grid_run(db, 32, 1, (double[]){5, 4, 3, 2, 1}, 0.2, 0.6);
  grid_run(db, 32, 2, (double[]){5, 4, 3, 2, 3}, 0.4, 0.6);
  grid_run(db, 64, 1, (double[]){4, 2, 1, 0.5, 0.25}, 0.5, 0.9);
  grid_run(db, 64, 2, (double[]){4, NAN, 2, 2, 2}, 0.7, 0.8);
  parent = ask("select uid from run where id = 3");
  must(pc_run_start(&run, db, &(pc_run_config){.experiment = "invert", .name = "kid", .parent = parent, .no_git = 1}));
  must(log1(run, 0, "mse", 0.125));
  must(pc_run_finish(run, PC_RUN_FAILED, "s.lua:3: boom\nstack traceback:\n\t[C]: ?"));
  pc_run_free(run);
  must(pc_run_start(&run, db, &(pc_run_config){.experiment = "invert", .name = "dead", .no_git = 1}));
  must(pc_run_finish(run, PC_RUN_DONE, NULL));
  pc_run_free(run);
  pc_db_close(db);
  /* names and times that the answers can state */
  sql("update run set uid = 'u' || id, started_ms = 1000000000000 + id * 1000, ended_ms = 1000000005000 + id * 1000,"
      " heartbeat_ms = 1000000005000 + id * 1000, host = 'box', cpu = 'c', commit_id = 'abc' || (id > 2), dirty = 0;"
      "update metric set t_ms = 1000000000000 + run_id * 1000 + step * 500;"
      "update run set status = 'running', ended_ms = null where id = 6;"
      "update artifact set complete = 0 where run_id = 4 and step = 4");
}

/* ---- a sink that writes a|b|c lines, numbers to six digits ---- */

static char got[8192];
static size_t used;

static int on_begin(void *ctx, int n, const char *const *names) {
  for (int i = 0; i < n; i++) used += (size_t)snprintf(got + used, sizeof got - used, "%s%s", i ? "|" : "", names[i]);
  used += (size_t)snprintf(got + used, sizeof got - used, "\n");
  return PC_OK;
}

static int on_row(void *ctx, int n, const pc_value *v) {
  for (int i = 0; i < n; i++) {
    char text[400] = "";
    if (v[i].type == PC_SQL_INT) snprintf(text, sizeof text, "%lld", (long long)v[i].i);
    if (v[i].type == PC_SQL_REAL) snprintf(text, sizeof text, "%.6g", v[i].d);
    if (v[i].type == PC_SQL_TEXT) snprintf(text, sizeof text, "%s", v[i].text);
    used += (size_t)snprintf(got + used, sizeof got - used, "%s%s", i ? "|" : "", text);
  }
  used += (size_t)snprintf(got + used, sizeof got - used, "\n");
  return PC_OK;
}

/* parameters: name, value, … , NULL; as the command line would give them */
static int query(const char *text, const char **words) {
  pc_sql_param params[8];
  pc_row_sink sink = {.begin = on_begin, .row = on_row};
  pc_db *db;
  int n = 0, code;
  for (; words[2 * n]; n++) params[n] = (pc_sql_param){words[2 * n], pc_value_parse(words[2 * n + 1])};
  used = 0;
  got[0] = '\0';
  must(pc_db_open(&db, file, PC_DB_READ));
  code = pc_query_rows(db, text, &(pc_query_opts){.params = params, .n_params = n}, &sink);
  pc_db_close(db);
  return code;
}

#define ANSWER(name, want, ...)                                   \
  do {                                                            \
    must(query(name, (const char *[]){__VA_ARGS__, NULL, NULL})); \
    ck_assert_str_eq(got, want);                                  \
  } while (0)

static char *config_of(int id, char out[16]) {
  char q[100];
  snprintf(q, sizeof q, "select substr(config_digest, 1, 8) from run where id = %d", id);
  snprintf(out, 16, "%s", ask(q));
  return out;
}

START_TEST(best) {
  char want[600], c32[16], c64[16];
  config_of(1, c32);
  config_of(3, c64);
  ck_assert_str_ne(c32, c64);
  snprintf(want, sizeof want,
           "experiment|config|uid|name|seed|status|best|runs\n"
           "grid|%s|u3||1|done|0.25|2\n"
           "grid|%s|u1||1|done|1|2\n",
           c64, c32);
  ANSWER("@best", want, "metric", "loss");
  snprintf(want, sizeof want,
           "experiment|config|uid|name|seed|status|best|runs\n"
           "grid|%s|u4||2|done|0.7|2\n"
           "grid|%s|u2||2|done|0.4|2\n",
           c64, c32);
  ANSWER("@best", want, "metric", "encoder/ood/accuracy", "goal", "max", "experiment", "grid");
  ANSWER("@best", "experiment|config|uid|name|seed|status|best|runs\n", "metric", "loss", "experiment", "none");
}
END_TEST

START_TEST(seeds) {
  /* encoder: 0.2, 0.4: mean 0.3, sd sqrt(0.02); 0.5, 0.7: the same spread */
  ANSWER("@seeds",
         "experiment|a|b|mean|sd|n|min|max\n"
         "grid|32|gelu|0.3|0.141421|2|0.2|0.4\n"
         "grid|64|gelu|0.6|0.141421|2|0.5|0.7\n",
         "metric", "encoder/ood/accuracy", "a", "model.dim", "b", "act");
  /* last losses 1, 3 and 0.25, 2: sd sqrt(2), 1.75 / sqrt(2) */
  ANSWER("@seeds",
         "experiment|a|b|mean|sd|n|min|max\n"
         "grid|32||2|1.41421|2|1|3\n"
         "grid|64||1.125|1.23744|2|0.25|2\n",
         "metric", "loss", "a", "model.dim");
  /* the same configuration and seed once more: the newer run replaces the older, n stays 2 */
  sql("insert into run(uid, experiment, seed, status, started_ms, heartbeat_ms, host, pid, config_digest)"
      " select 'u7', experiment, seed, 'done', started_ms + 1, heartbeat_ms, host, pid, config_digest from run where "
      "id = 1;"
      "insert into param select 7, key, num, txt from param where run_id = 1;"
      "insert into metric_last select 7, name_id, step, 5, min, max, n, n_nan, t_ms from metric_last where run_id = 1");
  ANSWER("@seeds",
         "experiment|a|b|mean|sd|n|min|max\n"
         "grid|32||4|1.41421|2|3|5\n"
         "grid|64||1.125|1.23744|2|0.25|2\n",
         "metric", "loss", "a", "model.dim");
}
END_TEST

START_TEST(diff) {
  ANSWER("@diff",
         "kind|key|a|b\n"
         "run|commit|abc0|abc1\n"
         "run|seed|2|1\n"
         "param|model.dim|32|64\n"
         "param|seed|2|1\n"
         "figure|encoder+search/ood/accuracy|0.6|0.9\n"
         "figure|encoder/ood/accuracy|0.4|0.5\n"
         "figure|loss|3|0.25\n",
         "a", "u2", "b", "u3");
  ANSWER("@diff", "kind|key|a|b\n", "a", "u2", "b", "u2");
}
END_TEST

START_TEST(curve) {
  ANSWER("@curve",
         "uid|name|seed|step|value|seconds\n"
         "u3||1|0|4|0\nu3||1|2|1|1\nu3||1|4|0.25|2\n",
         "metric", "loss", "run", "u3", "points", "3");
  ANSWER("@curve",
         "uid|name|seed|step|value|seconds\n"
         "u4||2|0|4|0\nu4||2|1||0.5\nu4||2|2|2|1\nu4||2|3|2|1.5\nu4||2|4|2|2\n",
         "metric", "loss", "run", "u4");
  must(query("@curve", (const char *[]){"metric", "loss", "points", "2", NULL, NULL}));
  ck_assert_ptr_nonnull(strstr(got, "u1||1|0|5|0\nu1||1|4|1|2\nu2||2|0|5|0\n"));
}
END_TEST

START_TEST(failures) {
  must(query("@failed", (const char *[]){NULL, NULL}));
  ck_assert_ptr_nonnull(strstr(got, "u6|invert|dead|stale|"));
  ck_assert_ptr_nonnull(strstr(got, "|silent for "));
  ck_assert_ptr_nonnull(strstr(got, "u5|invert|kid|failed|"));
  ck_assert_ptr_nonnull(strstr(got, "|0|s.lua:3: boom\n"));
  ck_assert_ptr_null(strstr(got, "u1|"));
  ASK("select uid from run_stale", "u6");
}
END_TEST

START_TEST(origin) {
  const char *want = "runs/2/grid.png|f2|u4|grid|2|abc1|0|spar|d16e57|";
  must(query("@origin", (const char *[]){"file", "2/grid.png", NULL, NULL}));
  ck_assert_msg(strstr(got, want) != NULL, "%s", got);
  must(query("@origin", (const char *[]){"file", "f2", NULL, NULL}));
  ck_assert_msg(strstr(got, want) != NULL, "%s", got);
  must(query("@origin", (const char *[]){"file", "id.png", NULL, NULL})); /* an end, but not of a path */
  ck_assert_ptr_null(strstr(got, "u4"));
}
END_TEST

START_TEST(checkpoints) {
  must(query("@checkpoints", (const char *[]){"run", "u3", NULL, NULL}));
  ck_assert_msg(strstr(got, "u3|4|1|runs/1/4.ckpt|10|c4|1|") && strstr(got, "u3|2|0|runs/1/2.ckpt|10|c2|1|"), "%s",
                got);
  must(query("@checkpoints", (const char *[]){"run", "u4", NULL, NULL})); /* step 4 was never completed */
  ck_assert_msg(strstr(got, "u4|4|0|") && strstr(got, "u4|2|1|"), "%s", got);
  must(query("@checkpoints", (const char *[]){NULL, NULL}));
  ck_assert_msg(strstr(got, "u3|4|1|") && strstr(got, "u4|2|1|") && !strstr(got, "u3|2|"), "%s", got);
}
END_TEST

START_TEST(threshold) {
  ANSWER("@threshold",
         "uid|experiment|name|seed|step|seconds|value\n"
         "u3|grid||1|1|0.5|2\n"
         "u4|grid||2|2|1|2\n"
         "u1|grid||1|3|1.5|2\n"
         "u2|grid||2|3|1.5|2\n",
         "metric", "loss", "value", "2");
  ANSWER("@threshold",
         "uid|experiment|name|seed|step|seconds|value\n"
         "u1|grid||1|0|0|5\n"
         "u2|grid||2|0|0|5\n"
         "u3|grid||1|||\n"
         "u4|grid||2|||\n",
         "metric", "loss", "value", "4.5", "goal", "max");
}
END_TEST

START_TEST(sheet) { /* parameters, metrics, then results in the order in which they were recorded */
  ANSWER("@sheet",
         "uid|experiment|name|seed|status|act|model.dim|loss|encoder/id/accuracy|encoder/ood/accuracy|"
         "encoder+search/id/accuracy|encoder+search/ood/accuracy\n"
         "u4|grid||2|done|gelu|64|2|0.95|0.7|0.97|0.8\n"
         "u3|grid||1|done|gelu|64|0.25|0.95|0.5|0.97|0.9\n"
         "u2|grid||2|done|gelu|32|3|0.95|0.4|0.97|0.6\n"
         "u1|grid||1|done|gelu|32|1|0.95|0.2|0.97|0.6\n",
         "experiment", "grid");
  ANSWER("@sheet", "uid|experiment|name|seed|status|mse\nu6|invert|dead||running|\nu5|invert|kid||failed|0.125\n",
         "experiment", "invert");
}
END_TEST

START_TEST(children) {
  ANSWER("@children",
         "decoder|decoder_name|decoder_checkpoint|uid|experiment|name|seed|status|figure|value\n"
         "u3||c4|u5|invert|kid||failed|mse|0.125\n",
         "run", "u3");
  ANSWER("@children", "decoder|decoder_name|decoder_checkpoint|uid|experiment|name|seed|status|figure|value\n", "run",
         "u1");
}
END_TEST

START_TEST(paired) {
  /* dim 32 and 64 are two configurations: the newest run of a seed counts; differences 0.9-0.5, 0.8-0.7 */
  ANSWER("@paired",
         "experiment|seed|a|b|difference\n"
         "grid|1|0.9|0.5|0.4\n"
         "grid|2|0.8|0.7|0.1\n"
         "grid|mean|0.85|0.6|0.25\n"
         "grid|sd|0.0707107|0.141421|0.212132\n"
         "grid|a larger, of n|2|2|\n",
         "a", "encoder+search", "b", "encoder", "metric", "accuracy");
  ANSWER("@paired",
         "experiment|seed|a|b|difference\n"
         "grid|1|0.25|1|-0.75\n"
         "grid|2|2|3|-1\n"
         "grid|mean|1.125|2|-0.875\n"
         "grid|sd|1.23744|1.41421|0.176777\n"
         "grid|a larger, of n|0|2|\n",
         "a", "64", "b", "32", "metric", "loss", "key", "model.dim");
}
END_TEST

START_TEST(paper) {
  char want[1000], c32[16], c64[16];
  int first = strcmp(config_of(1, c32), config_of(3, c64)) < 0;
  char a[400], b[400];
  snprintf(a, sizeof a,
           "grid|%s||encoder|0.950 ± 0.000 (2)|0.300 ± 0.141 (2)\n"
           "grid|%s||encoder+search|0.970 ± 0.000 (2)|0.600 ± 0.000 (2)\n",
           c32, c32);
  snprintf(b, sizeof b,
           "grid|%s||encoder|0.950 ± 0.000 (2)|0.600 ± 0.141 (2)\n"
           "grid|%s||encoder+search|0.970 ± 0.000 (2)|0.850 ± 0.071 (2)\n",
           c64, c64);
  snprintf(want, sizeof want, "experiment|config|factor|method|id|ood\n%s%s", first ? a : b, first ? b : a);
  ANSWER("@paper", want, "experiment", "grid");
  sql("update run set status = 'failed' where id = 2");
  must(query("@paper", (const char *[]){NULL, NULL}));
  ck_assert_msg(strstr(got, "|encoder|0.950 (1)|0.200 (1)\n") != NULL, "%s", got);
}
END_TEST

/* Run 1 is good, its slot 3 also shows what slot 1 is for; in run 2 slot 1 holds left and right, slot 2 is empty, slot
 * 3 tells nothing, and a user's method "slot attention" is no slot. */
START_TEST(slots) {
#define ROW(run, slot, metric, factor, value, extra) \
  "(" #run ", 'slot " #slot "', 'id', '" metric "', '" factor "', " value ", " extra ", 1)"
#define USE(run, slot, usage, empty)                                                                        \
  ROW(run, slot, "usage", "", usage, "null")                                                                \
  "," ROW(run, slot, "present", "", "1", "null") "," ROW(run, slot, "entropy", "", "0.25", "null") "," ROW( \
      run, slot, "empty", "", empty, "null")
#define TELLS(run, slot, factor, value, told, own, place) \
  ROW(run, slot, "tells", factor, value,                  \
      "'{\"told\": " told ", \"own\": " own ", \"place\": " place ", \"name\": \"the " factor "\"}'")
  sql("insert into result(run_id, method, split, metric, factor, value, extra_json, t_ms) values" /**/
      USE(1, 1, "0.2", "0") "," USE(1, 2, "0.3", "0") "," USE(1, 3, "0.5", "0") "," /**/
      TELLS(1, 1, "left", "0.9", "true", "true", "true") "," /**/
      TELLS(1, 2, "right", "0.8", "true", "true", "true") "," /**/
      TELLS(1, 3, "left", "0.95", "true", "false", "false") "," /**/
      ROW(1, 3, "tells", "world", "null", "'{\"told\": false}'") "," /**/
      "(1, 'slots', 'id', 'good', '', 1, '{\"line\": \"slots: left, right\"}', 1)," /**/
      USE(2, 1, "0.6", "0") "," USE(2, 2, "0", "1") "," USE(2, 10, "0.4", "0") "," /**/
      TELLS(2, 1, "left", "0.9", "true", "false", "true") "," /**/
      TELLS(2, 1, "right", "0.95", "true", "true", "true") "," /**/
      TELLS(2, 2, "right", "0.99", "false", "false", "false") "," /**/
      TELLS(2, 10, "right", "0.1", "false", "false", "false") "," /**/
      "(2, 'slots', 'id', 'good', '', 0, null, 1), (2, 'slot attention', 'id', 'usage', '', 1, null, 1)");
  ANSWER("@slots",
         "uid|experiment|name|seed|split|slot|usage|present|entropy|tells|verdict|good\n"
         "u2|grid||2|id|1|0.6|1|0.25|the right, the left|shared|0\n"
         "u2|grid||2|id|2|0|1|0.25||empty|0\n"
         "u2|grid||2|id|10|0.4|1|0.25||nothing|0\n"
         "u1|grid||1|id|1|0.2|1|0.25|the left|own|1\n"
         "u1|grid||1|id|2|0.3|1|0.25|the right|own|1\n"
         "u1|grid||1|id|3|0.5|1|0.25|the left|redundant|1\n",
         "experiment", "grid");
  ANSWER("@slots",
         "uid|experiment|name|seed|split|slot|usage|present|entropy|tells|verdict|good\n"
         "u1|grid||1|id|1|0.2|1|0.25|the left|own|1\n"
         "u1|grid||1|id|2|0.3|1|0.25|the right|own|1\n"
         "u1|grid||1|id|3|0.5|1|0.25|the left|redundant|1\n",
         "good", "1");
  ANSWER("@slots", "uid|experiment|name|seed|split|slot|usage|present|entropy|tells|verdict|good\n", "run", "u3");
  /* the share of good runs, one query */
  ANSWER("@seeds",
         "experiment|a|b|mean|sd|n|min|max\n"
         "grid|32||0.5|0.707107|2|0|1\n",
         "metric", "slots/id/good", "a", "model.dim");
}
END_TEST

START_TEST(plain_sqlite_reads_them) {
  int n = 0;
  for (;; n++) {
    pc_query_info q = pc_query_embedded(n);
    sqlite3 *h;
    sqlite3_stmt *st = NULL;
    if (!q.name[0]) break;
    ck_assert_msg(strlen(q.title) > 20 && q.title[0] != '-', "%s: %s", q.name, q.title);
    ck_assert_int_eq(sqlite3_open_v2(file, &h, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    ck_assert_msg(sqlite3_prepare_v2(h, q.text, -1, &st, NULL) == SQLITE_OK, "%s: %s", q.name, sqlite3_errmsg(h));
    ck_assert_int_ne(sqlite3_stmt_readonly(st), 0);
    for (int i = 1; i <= sqlite3_bind_parameter_count(st); i++) { /* each parameter is described in the head */
      char head[64];
      snprintf(head, sizeof head, "--   %s ", sqlite3_bind_parameter_name(st, i));
      ck_assert_msg(strstr(q.text, head) != NULL, "%s: %s is not described", q.name, head);
    }
    sqlite3_finalize(st);
    sqlite3_close(h);
  }
  ck_assert_int_gt(n, 0);
  must_fail(query("@best", (const char *[]){NULL, NULL}), PC_EARG, "parameter metric has no value; give metric=");
  must_fail(query("@best", (const char *[]){"metric", "loss", "gaol", "max", NULL, NULL}), PC_EARG,
            "no parameter :gaol");
  must_fail(query("@bets", (const char *[]){NULL, NULL}), PC_ENOTFOUND, "no query @bets; there are @best, ");
}
END_TEST

static Suite *suite(void) {
  Suite *s = suite_create("queries");
  TCase *t = tcase_create("queries");
  tcase_add_checked_fixture(t, build, teardown);
  tcase_set_timeout(t, 60);
  tcase_add_test(t, best);
  tcase_add_test(t, seeds);
  tcase_add_test(t, diff);
  tcase_add_test(t, curve);
  tcase_add_test(t, failures);
  tcase_add_test(t, origin);
  tcase_add_test(t, checkpoints);
  tcase_add_test(t, threshold);
  tcase_add_test(t, sheet);
  tcase_add_test(t, children);
  tcase_add_test(t, paired);
  tcase_add_test(t, paper);
  tcase_add_test(t, slots);
  tcase_add_test(t, plain_sqlite_reads_them);
  suite_add_tcase(s, t);
  return s;
}

SUITE_MAIN(suite)
