/* ticks: round numbers in order, labels that say them, axes of every size. */
#include <float.h>
#include <math.h>

#include "plot/ticks.h"
#include "scratch.h"

static void is_sound(const pc_axis *a) {
  ck_assert(isfinite(a->lo) && isfinite(a->hi) && a->lo < a->hi);
  ck_assert_int_ge(a->n, 1);
  for (int i = 0; i < a->n; i++) {
    double at = pc_axis_map(a, a->at[i]);
    ck_assert_msg(at > -1e-6 && at < 1 + 1e-6, "tick %g of [%g,%g] at %g", a->at[i], a->lo, a->hi, at);
    ck_assert(a->label[i][0] != '\0' && (i == 0 || a->at[i] > a->at[i - 1]));
    for (int k = 0; k < i; k++) ck_assert_msg(strcmp(a->label[i], a->label[k]) != 0, "two ticks say %s", a->label[i]);
  }
}

START_TEST(test_every_size) {
  for (int e = -300; e <= 300; e += 5)
    for (int k = 0; k < 6; k++) {
      static const double low[] = {0, -1, 0.3, 0.99, -3, 1}, high[] = {1, 1, 7.7, 1, -2, 1};
      pc_axis a;
      double s = pow(10, e);
      for (int round = 0; round < 2; round++) {
        pc_axis_make(&a, low[k] * s, high[k] * s, 0, round, 6);
        is_sound(&a);
        ck_assert_int_le(a.n, 13);
        ck_assert(a.lo <= low[k] * s && a.hi >= high[k] * s);
        if (low[k] <= 0) continue;
        pc_axis_make(&a, low[k] * s, high[k] * s * 1000, 1, round, 6);
        is_sound(&a);
      }
    }
}
END_TEST

START_TEST(test_labels) {
  static const struct {
    double lo, hi;
    int log;
    const char *first, *last, *note;
  } t[] = {{0, 1, 0, "0.0", "1.0", ""},
           {-0.5, 0.5, 0,
            "\xe2\x88\x92"
            "0.4",
            "0.4", ""},
           {0, 4000, 0, "0", "4000", ""},
           {0, 500000, 0, "0", "500k", ""},
           {0, 4e6, 0, "0.0", "4.0M", ""},
           {0, 3e12, 0, "0.0", "3.0",
            "\xc3\x97"
            "10\xc2\xb9\xc2\xb2"},
           {0, 5e-6, 0, "0", "5",
            "\xc3\x97"
            "10\xe2\x81\xbb\xe2\x81\xb6"},
           {1e6, 1e6 + 0.004, 0, "1000000.0000", "1000000.0040", ""},
           {1, 1000, 1, "1", "1000", ""},
           {1e-9, 1, 1, "10\xe2\x81\xbb\xe2\x81\xb9", NULL, ""},
           {0.02, 0.5, 1, "0.02", "0.5", ""}};
  for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
    pc_axis a;
    pc_axis_make(&a, t[i].lo, t[i].hi, t[i].log, 0, 6);
    is_sound(&a);
    ck_assert_str_eq(a.label[0], t[i].first);
    if (t[i].last) ck_assert_str_eq(a.label[a.n - 1], t[i].last);
    ck_assert_str_eq(a.note, t[i].note);
  }
}
END_TEST

START_TEST(test_extremes) {
  pc_axis a;
  pc_axis_make(&a, -DBL_MAX, DBL_MAX, 0, 1, 6);
  is_sound(&a);
  pc_axis_make(&a, DBL_MIN / 4, DBL_MIN / 2, 0, 1, 6);
  is_sound(&a);
  pc_axis_make(&a, DBL_MIN / 4, DBL_MAX, 1, 1, 6);
  is_sound(&a);
  pc_axis_make(&a, 1, 1 + DBL_EPSILON, 0, 0, 6);
  ck_assert(a.lo < a.hi);
  pc_axis_make(&a, 0, 10, 0, 0, -5);
  is_sound(&a);
  pc_axis_make(&a, 0, 1, 1, 0, 5); /* the caller's mistake: still an axis */
  ck_assert(a.lo > 0 && a.lo < a.hi);
  ck_assert(isnan(pc_axis_map(&a, 0)) && isnan(pc_axis_map(&a, NAN)) && isnan(pc_axis_map(&a, INFINITY)));
}
END_TEST

START_TEST(test_format) {
  static const struct {
    double v;
    int digits;
    const char *s;
  } t[] = {{0, 3, "0"},
           {0.9113, 3, "0.911"},
           {12.345, 3, "12.3"},
           {1234, 3, "1234"},
           {1234.5, 3, "1234"},
           {-0.25, 2,
            "\xe2\x88\x92"
            "0.25"},
           {NAN, 3, "\xe2\x80\x93"},
           {INFINITY, 3, "\xe2\x88\x9e"},
           {1.5e9, 3,
            "1.5\xc3\x97"
            "10\xe2\x81\xb9"},
           {2e-5, 2,
            "2\xc3\x97"
            "10\xe2\x81\xbb\xe2\x81\xb5"},
           {0.00123, 2, "0.0012"}};
  char buf[48];
  for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
    pc_format_number(buf, sizeof buf, t[i].v, t[i].digits);
    ck_assert_str_eq(buf, t[i].s);
  }
}
END_TEST

static void tests(TCase *tc) {
  tcase_add_test(tc, test_every_size);
  tcase_add_test(tc, test_labels);
  tcase_add_test(tc, test_extremes);
  tcase_add_test(tc, test_format);
}

int main(void) { return run_in_scratch("plot ticks", tests); }
