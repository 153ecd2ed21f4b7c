/* csv: RFC 4180 by example, and the sentence of every error. */
#include "base/alloc.h"
#include "formats/csv.h"
#include "scratch.h"

static int parse(pc_csv **t, const char *s) { return pc_csv_parse(t, s, strlen(s), "t.csv"); }

START_TEST(test_plain) {
  pc_csv *t;
  must(parse(&t, "a,b,c\r\n1,,x y\r\n\"q,\"\"q\"\"\",\"two\r\nlines\",last"));
  ck_assert_int_eq(pc_csv_rows(t), 2);
  ck_assert_int_eq(pc_csv_cols(t), 3);
  ck_assert_str_eq(pc_csv_header(t, 2), "c");
  ck_assert_str_eq(pc_csv_cell(t, 0, 1), "");
  ck_assert_str_eq(pc_csv_cell(t, 0, 2), "x y");
  ck_assert_str_eq(pc_csv_cell(t, 1, 0), "q,\"q\"");
  ck_assert_str_eq(pc_csv_cell(t, 1, 1), "two\r\nlines");
  ck_assert_str_eq(pc_csv_cell(t, 1, 2), "last");
  ck_assert_int_eq(pc_csv_find(t, "b"), 1);
  ck_assert_int_eq(pc_csv_find(t, "B"), -1);
  int c;
  must_fail(pc_csv_column(&c, t, "z"), PC_ENOTFOUND, "t.csv: no column 'z'; there are: a, b, c");
  pc_csv_free(t);
  must(parse(&t, "\xef\xbb\xbfname,n\n\n\n\"x\",1\n\ny,\n"));
  ck_assert_str_eq(pc_csv_header(t, 0), "name");
  ck_assert_int_eq(pc_csv_rows(t), 2);
  ck_assert_int_eq(pc_csv_line(t, 0), 4);
  ck_assert_int_eq(pc_csv_line(t, 1), 6);
  ck_assert_str_eq(pc_csv_cell(t, 1, 1), "");
  pc_csv_free(t);
  must(parse(&t, "a,b\n1,"));
  ck_assert_str_eq(pc_csv_cell(t, 0, 1), "");
  pc_csv_free(t);
}
END_TEST

START_TEST(test_errors) {
  pc_csv *t;
  must_fail(parse(&t, ""), PC_EFORMAT, "t.csv: the file is empty");
  must_fail(parse(&t, "\n\r\n\n"), PC_EFORMAT, "t.csv: the file is empty");
  must_fail(parse(&t, "a,b\n1,2\n1,2,3\n"), PC_EFORMAT, "t.csv:3: the row has 3 fields, the header has 2");
  must_fail(parse(&t, "a,b\n\"1\n2\",x\n7\n"), PC_EFORMAT, "t.csv:4: the row has 1 field, the header has 2");
  must_fail(parse(&t, "a,b\n1,2\n3,\"x\n\n"), PC_EFORMAT, "t.csv:3: a quote is opened here and never closed");
  must_fail(parse(&t, "a,b\n\"1\"x,2\n"), PC_EFORMAT, "t.csv:2: 'x' after a closing quote");
  must_fail(parse(&t, "a,,c\n"), PC_EFORMAT, "column 2 has no name");
  must_fail(parse(&t, "a,b,a\n"), PC_EFORMAT, "columns 1 and 3 are both named 'a'");
  must_fail(pc_csv_parse(&t, "a,b\n1,\0\n", 8, "t.csv"), PC_EFORMAT, "t.csv:2: a zero byte");
  must_fail(pc_csv_read(&t, at("x.csv")), PC_ENOTFOUND, "x.csv: No such file");
  put("r.csv", "k\nv\n");
  must(pc_csv_read(&t, at("r.csv")));
  ck_assert_str_eq(pc_csv_cell(t, 0, 0), "v");
  pc_csv_free(t);
}
END_TEST

START_TEST(test_any_bytes) { /* all short strings over the characters that matter: no crash, memory intact */
  static const char alphabet[] = "a,\"\n\r";
  char s[9];
  pc_csv *t;
  pc_alloc_stats before, after;
  pc_alloc_get_stats(&before);
  for (int n = 1; n <= 6; n++) {
    int total = 1;
    for (int i = 0; i < n; i++) total *= 5;
    for (int code = 0; code < total; code++) {
      for (int i = 0, c = code; i < n; i++, c /= 5) s[i] = alphabet[c % 5];
      if (pc_csv_parse(&t, s, (size_t)n, "t") == PC_OK) {
        for (int64_t r = 0; r < pc_csv_rows(t); r++)
          for (int c = 0; c < pc_csv_cols(t); c++) ck_assert_uint_le(strlen(pc_csv_cell(t, r, c)), (size_t)n);
        pc_csv_free(t);
      }
    }
  }
  pc_alloc_get_stats(&after);
  ck_assert_int_eq(before.live, after.live);
}
END_TEST

static void add(TCase *c) {
  tcase_add_test(c, test_plain);
  tcase_add_test(c, test_errors);
  tcase_add_test(c, test_any_bytes);
}

int main(void) { return run_in_scratch("csv", add); }
