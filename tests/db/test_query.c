/* Running SQL: formats, refusals, errors with a position, functions. */
#include <math.h>

#include "db/digest.h"
#include "db/format.h"
#include "db/internal.h"
#include "db/query.h"
#include "fixture.h"

static void make(void) {
  pc_db *db;
  setup();
  db = open_db();
  pc_db_close(db);
}

static char *print(const char *text, pc_format format, int write) {
  char *out = NULL;
  size_t size;
  FILE *f = open_memstream(&out, &size);
  pc_db *db;
  int code;
  must(pc_db_open(&db, file, write ? PC_DB_WRITE : PC_DB_READ));
  code = pc_query_print(db, text, &(pc_query_opts){.format = format, .write = write}, f);
  pc_db_close(db);
  fclose(f);
  if (code == PC_OK) return out;
  free(out);
  return NULL;
}

#define PRINTS(text, format, want)     \
  do {                                 \
    char *s_ = print(text, format, 0); \
    ck_assert_ptr_nonnull(s_);         \
    ck_assert_str_eq(s_, want);        \
    free(s_);                          \
  } while (0)

#define REFUSES(text, part)                                                            \
  do {                                                                                 \
    ck_assert_ptr_null(print(text, PC_FORMAT_TABLE, 0));                               \
    ck_assert_msg(strstr(pc_error_text(), part) != NULL, "text: %s", pc_error_text()); \
  } while (0)

#define MIXED \
  "select * from (values ('é', 1, 0.5, null), ('日本', 1000, 1234567.891, x'00ff'), ('a\"b,c', -3, 1e100, 'x|y'))"

/* A query that reads reaches this file alone. */
START_TEST(reading_reaches_nothing_else) {
  REFUSES("attach 'other.db' as o", "another file is refused without --write");
  REFUSES("detach main", "another file is refused");
  REFUSES("select 1; pragma query_only = 0; delete from run", "pragma query_only is refused");
  REFUSES("pragma wal_checkpoint", "pragma wal_checkpoint is refused");
  REFUSES("select load_extension('x')", "load_extension is refused");
  PRINTS("pragma user_version", PC_FORMAT_CSV, "user_version\r\n2\r\n");
  PRINTS("select name from pragma_table_info('tag') limit 1", PC_FORMAT_CSV, "name\r\nrun_id\r\n");
}
END_TEST

/* What steers a terminal is spelled out, whatever it is; data stay data. */
START_TEST(shown_texts_steer_nothing) {
  PRINTS("select cast(x'c29b41e280aeff0062' as text) as a", PC_FORMAT_TABLE,
         "a\n──────────────────────\n\\u009bA\\u202e\\xff\\x00b\n");
  PRINTS("select cast(x'c29b0062ff' as text) as a", PC_FORMAT_JSON, "[{\"a\": \"\\u009b\\u0000b\xef\xbf\xbd\"}]\n");
  PRINTS("select char(27) || '[31m' as a", PC_FORMAT_CSV, "a\r\n\x1b[31m\r\n");
}
END_TEST

START_TEST(formulas_are_defused_where_asked) {
  char *out = NULL;
  size_t size;
  FILE *f = open_memstream(&out, &size);
  pc_db *db;
  must(pc_db_open(&db, file, PC_DB_READ));
  must(pc_query_print(db, "select '=1+1' as a, '-2.5' as b, '@x' as c, -3 as d, 'a=b' as e, char(9) || 'x' as f",
                      &(pc_query_opts){.format = PC_FORMAT_CSV, .defuse = 1}, f));
  pc_db_close(db);
  fclose(f);
  ck_assert_str_eq(out, "a,b,c,d,e,f\r\n'=1+1,-2.5,'@x,-3,a=b,'\tx\r\n");
  free(out);
}
END_TEST

START_TEST(tables) {
  PRINTS("select 'encoder' as method, 'ood' as split, 0.123456789 as value union all select 'b', 'id', 1.0",
         PC_FORMAT_TABLE,
         "method   split     value\n"
         "───────  ─────  ────────\n"
         "encoder  ood    0.123457\n"
         "b        id            1\n");
  PRINTS("select 'é' as a, 1 as n union all select '日本', 22", PC_FORMAT_TABLE,
         "a      n\n────  ──\né      1\n日本  22\n");
  PRINTS("select null as a, x'0102' as b, 'two\nlines' as c, 9e999 as d, char(27) as e", PC_FORMAT_TABLE,
         "a  b        c             d  e\n─  ───────  ──────────  ───  ────\n   x'0102'  two\\nlines  inf  \\x1b\n");
  PRINTS("select 1 as a where 0", PC_FORMAT_TABLE, "a\n─\n(no rows)\n");
  PRINTS("select 1 as a; -- two\n select 2 as b;", PC_FORMAT_TABLE, "a\n─\n1\n\nb\n─\n2\n");
  ck_assert_int_eq(pc_text_width("e\xcc\x81日"), 3);
}
END_TEST

START_TEST(csv) {
  PRINTS(MIXED, PC_FORMAT_CSV,
         "column1,column2,column3,column4\r\n"
         "é,1,0.5,\r\n"
         "日本,1000,1234567.891,00ff\r\n"
         "\"a\"\"b,c\",-3,1e+100,x|y\r\n");
  PRINTS("select 'two\nlines' as \"a,b\", '' as empty, 0.1 + 0.2 as x, 1.0 / 3 as y", PC_FORMAT_CSV,
         "\"a,b\",empty,x,y\r\n\"two\nlines\",\"\",0.30000000000000004,0.3333333333333333\r\n");
}
END_TEST

START_TEST(json) {
  PRINTS(MIXED, PC_FORMAT_JSON,
         "[{\"column1\": \"é\", \"column2\": 1, \"column3\": 0.5, \"column4\": null},\n"
         " {\"column1\": \"日本\", \"column2\": 1000, \"column3\": 1234567.891, \"column4\": \"00ff\"},\n"
         " {\"column1\": \"a\\\"b,c\", \"column2\": -3, \"column3\": 1e+100, \"column4\": \"x|y\"}]\n");
  PRINTS("select 1 as a, 2.0 as a, 9e999 as b, 'x' || char(10, 9, 1, 92) as c, cast(x'ff41' as text) as d",
         PC_FORMAT_JSON,
         "[{\"a\": 1, \"a_2\": 2.0, \"b\": 9e999, \"c\": \"x\\n\\t\\u0001\\\\\", \"d\": \"\xef\xbf\xbd"
         "A\"}]\n");
  PRINTS("select 1 as a where 0", PC_FORMAT_JSON, "[]\n");
}
END_TEST

START_TEST(markdown_and_latex) {
  PRINTS("select 'a|b' as method, 0.25 as value union all select 'c', 10", PC_FORMAT_MARKDOWN,
         "| method | value |\n|--------|------:|\n| a\\|b   |  0.25 |\n| c      |    10 |\n");
  PRINTS("select 'a_b' as m, '0.5 ± 0.1' as v", PC_FORMAT_LATEX,
         "\\begin{tabular}{ll}\n\\toprule\nm    & v             \\\\\n\\midrule\na\\_b & 0.5 $\\pm$ 0.1 \\\\\n"
         "\\bottomrule\n\\end{tabular}\n");
}
END_TEST

START_TEST(pivots) {
  PRINTS(
      "-- pivot: 1\nselect * from (values ('r1', 'b', 1), ('r1', 'a', 2), ('r2', 'c', 3), ('r3', null, null), ('r2', "
      "'b', 4))",
      PC_FORMAT_CSV, "column1,b,a,c\r\nr1,1,2,\r\nr2,4,,3\r\nr3,,,\r\n");
  REFUSES("-- pivot: 3\nselect 1, 2, 3", "pivot: 3 needs 5 columns");
}
END_TEST

START_TEST(writes_are_refused_unless_asked_for) {
  char into[300];
  REFUSES("delete from run", "add --write if it is meant");
  REFUSES("select 1; update run set note = 'x'", "this would change");
  REFUSES("create table x(a)", "create table x(a)");
  REFUSES("pragma user_version = 9", "--write");
  snprintf(into, sizeof into, "vacuum into '%s/copy.db'", dir);
  REFUSES(into, "");
  snprintf(into, sizeof into, "%s/copy.db", dir);
  ck_assert_int_ne(access(into, F_OK), 0);
  ASK("pragma user_version", "2");
  free(print("create table x(a); insert into x values (5)", PC_FORMAT_TABLE, 1));
  ASK("select a from x", "5");
}
END_TEST

START_TEST(errors_point_at_the_place) {
  REFUSES("select method,\n  vlue from result", "line 2, column 3: no such column: vlue\n    vlue from result\n    ^");
  REFUSES("selekt 1", "line 1, column 1: near \"selekt\": syntax error");
  REFUSES("select 1; select * from nowhere", "no such table: nowhere");
  REFUSES("select :x", "parameter x has no value; give x=");
  REFUSES("select ?", "write :name instead of ?");
  pc_interrupt_set();
  REFUSES("with recursive c(i) as (select 1 union all select i + 1 from c) select count(*) from c", "interrupted");
  ck_assert_int_eq(pc_interrupted(), 0);
}
END_TEST

START_TEST(parameters) {
  pc_value v = pc_value_parse("-12");
  pc_db *db;
  char *out = NULL;
  size_t size;
  FILE *f = open_memstream(&out, &size);
  pc_sql_param p[] = {{"x", pc_value_parse("1e-3")}, {"y", pc_value_parse("ab")}};
  ck_assert(v.type == PC_SQL_INT && v.i == -12);
  ck_assert_int_eq(pc_value_parse("20260131-1").type, PC_SQL_TEXT);
  ck_assert_int_eq(pc_value_parse("0x10").type, PC_SQL_TEXT);
  ck_assert_int_eq(pc_value_parse("inf").type, PC_SQL_TEXT);
  ck_assert_int_eq(pc_value_parse("nan").type, PC_SQL_TEXT);
  ck_assert_int_eq(pc_value_parse("").type, PC_SQL_TEXT);
  ck_assert_int_eq(pc_value_parse("99999999999999999999").type, PC_SQL_REAL);
  must(pc_db_open(&db, file, PC_DB_READ));
  must(pc_query_print(db, "select :x as x, $y as y, @x * 2 as z",
                      &(pc_query_opts){.format = PC_FORMAT_CSV, .params = p, .n_params = 2}, f));
  must_fail(pc_query_print(db, "select :x", &(pc_query_opts){.params = p, .n_params = 2}, f), PC_EARG,
            "no parameter :y");
  fclose(f);
  ck_assert_str_eq(out, "x,y,z\r\n0.001,ab,0.002\r\n");
  free(out);
  pc_db_close(db);
}
END_TEST

START_TEST(functions) {
  /* 1 2 3 4 10: mean 4, squares 9 4 1 0 36 = 50, 50 / 4; large offset: no cancellation */
  PRINTS(
      "select round(stddev(x) * stddev(x), 9) as var, median(x) as med, quantile(x, 0.25) as q, quantile(x, 1) as top "
      "from (select column1 as x from (values (1), (2), (3), (4), (10), (null)))",
      PC_FORMAT_CSV, "var,med,q,top\r\n12.5,3,2,10\r\n");
  PRINTS(
      "select median(column1) as m, quantile(column1, 0.9) as q, stddev(column1 + 1e9) as s from (values (1), (2), "
      "(3), (4))",
      PC_FORMAT_TABLE, "  m    q        s\n───  ───  ───────\n2.5  3.7  1.29099\n");
  PRINTS("select stddev(1) as a, median(null) as b, quantile(1, 0) as c", PC_FORMAT_CSV, "a,b,c\r\n,,1\r\n");
  REFUSES("select quantile(1, 2)", "q must be within 0 and 1");
  REFUSES("select unzstd('x')", "unzstd");
  /* what `printf abc | xxhsum -H2` prints, and of nothing */
  PRINTS("select digest('abc') as d, digest('') as e, digest(null) as n", PC_FORMAT_CSV,
         "d,e,n\r\n06b05ab6733a618578af5f94892f3950,99aa06d3014798d86001c324468d497f,\r\n");
}
END_TEST

START_TEST(sources_are_read_back) {
  pc_db *db;
  pc_run *run;
  char text[4992];
  for (size_t i = 0; i < sizeof text; i++) text[i] = "local x = 1\n"[i % 12];
  must(pc_db_open(&db, file, PC_DB_WRITE));
  run = start(db, NULL);
  must(pc_run_source(run, "module", "m.lua", text, sizeof text));
  must(pc_run_source(run, "module", "empty.lua", "", 0));
  must_fail(pc_query_rows(db, "select 1", NULL, &(pc_row_sink){0}), PC_ESTATE, "open");
  pc_run_free(run);
  pc_db_close(db);
  PRINTS(
      "select path, bytes, length(body) < 200 as small, digest(unzstd(body)) = digest as same, "
      "substr(unzstd(body), 4981) as tail from source join run_source using (digest) order by bytes",
      PC_FORMAT_CSV, "path,bytes,small,same,tail\r\nempty.lua,0,1,1,\"\"\r\nm.lua,4992,1,1,\"local x = 1\n\"\r\n");
}
END_TEST

START_TEST(a_folder_that_cannot_be_written) {
  char command[200];
  if (geteuid() == 0) return; /* root may write anywhere */
  snprintf(command, sizeof command, "chmod 555 %s", dir);
  ck_assert_int_eq(system(command), 0);
  PRINTS("select count(*) as n from run", PC_FORMAT_CSV, "n\r\n0\r\n");
  snprintf(command, sizeof command, "chmod 755 %s", dir);
  ck_assert_int_eq(system(command), 0);
}
END_TEST

static Suite *suite(void) {
  Suite *s = suite_create("query");
  TCase *t = tcase_create("query");
  tcase_add_checked_fixture(t, make, teardown);
  tcase_add_test(t, reading_reaches_nothing_else);
  tcase_add_test(t, shown_texts_steer_nothing);
  tcase_add_test(t, formulas_are_defused_where_asked);
  tcase_add_test(t, tables);
  tcase_add_test(t, csv);
  tcase_add_test(t, json);
  tcase_add_test(t, markdown_and_latex);
  tcase_add_test(t, pivots);
  tcase_add_test(t, writes_are_refused_unless_asked_for);
  tcase_add_test(t, errors_point_at_the_place);
  tcase_add_test(t, parameters);
  tcase_add_test(t, functions);
  tcase_add_test(t, sources_are_read_back);
  tcase_add_test(t, a_folder_that_cannot_be_written);
  suite_add_tcase(s, t);
  return s;
}

SUITE_MAIN(suite)
