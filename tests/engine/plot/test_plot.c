/* plot: what is drawn, where, and what is refused. */
#include <math.h>

#include "base/alloc.h"
#include "options.h"
#include "plot/plot.h"
#include "plot/ink.h"
#include "scratch.h"
#include "svg.h"

static pc_tensor *vec(int64_t n, const double *v) {
  pc_tensor *t;
  must(pc_tensor_from(&t, PC_F64, 1, &n, v));
  return t;
}
#define V(...) vec((int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (double[]){__VA_ARGS__})

static pc_tensor *mat(int64_t r, int64_t c, const double *v) {
  pc_tensor *t;
  int64_t size[2] = {r, c};
  must(pc_tensor_from(&t, PC_F64, 2, size, v));
  return t;
}

static char *svg(pc_plot *p) {
  char *s;
  must(pc_plot_svg(&s, p, 0));
  ck_assert_msg(!svg_fault(s), "%s in %s", svg_fault(s), s);
  ck_assert(!strstr(s, "nan") && !strstr(s, "inf"));
  return s;
}

/* Pixels of about this colour. */
static int64_t painted(const pc_tensor *t, uint32_t rgb) {
  int64_t n = 0;
  for (int64_t i = 0; i < t->size[0] * t->size[1]; i++) {
    const uint8_t *p = pc_u8(t) + 3 * i;
    n += abs(p[0] - (int)(rgb >> 16 & 255)) + abs(p[1] - (int)(rgb >> 8 & 255)) + abs(p[2] - (int)(rgb & 255)) < 6;
  }
  return n;
}

START_TEST(test_seeds) { /* mean and sd of seeds: the same drawing as from mean and sd */
  double y[6] = {1, 2, NAN, 3, 4, 5}, mean[3] = {2, 3, 5}, sd[3] = {sqrt(2), sqrt(2), NAN};
  pc_tensor *ys = mat(2, 3, y), *m = vec(3, mean), *s = vec(3, sd);
  pc_plot *a, *b;
  must(pc_plot_new(&a, NULL));
  must(pc_plot_new(&b, NULL));
  must(pc_plot_add(a, &(pc_series_opts){.y = ys}));
  must(pc_plot_add(b, &(pc_series_opts){.y = m, .sd = s}));
  char *sa = svg(a), *sb = svg(b);
  ck_assert_str_eq(sa, sb);
  ck_assert_int_eq(count_of(sa, "opacity=\"0.2\""), 1); /* the band ends before the third point */
  pc_free(sa);
  pc_free(sb);
  pc_plot_free(a);
  pc_plot_free(b);
  pc_tensor_release(ys);
  pc_tensor_release(m);
  pc_tensor_release(s);
}
END_TEST

START_TEST(test_gaps) {
  pc_tensor *y = V(1, 2, NAN, 3, NAN, 4, 5, INFINITY);
  pc_plot *p;
  must(pc_plot_new(&p, NULL));
  must(pc_plot_add(p, &(pc_series_opts){.y = y}));
  char *s = svg(p);
  ck_assert_int_eq(count_of(s, "class=\"s-s0\""), 2); /* two lines, one point between gaps */
  ck_assert_int_eq(count_of(s, "<circle"), 1);
  pc_free(s);
  pc_plot_free(p);
  pc_tensor_release(y);
}
END_TEST

START_TEST(test_log) {
  pc_tensor *y = V(1, 0, -3, 100);
  pc_plot *p;
  must(pc_plot_new(&p, &WITH(pc_plot_opts, PC_PLOT_OPTIONS, .yscale = PC_SCALE_LOG)));
  must(pc_plot_add(p, &(pc_series_opts){.y = y}));
  char *s = svg(p);
  ck_assert(strstr(s, "2 values \xe2\x89\xa4 0 not shown"));
  pc_free(s);
  pc_plot_free(p);
  pc_tensor_release(y);
}
END_TEST

START_TEST(test_strange_data) {
  const pc_plot_opts kinds[] = {WITH(pc_plot_opts, PC_PLOT_OPTIONS, .zero = 0),
                                WITH(pc_plot_opts, PC_PLOT_OPTIONS, .yscale = PC_SCALE_LOG),
                                WITH(pc_plot_opts, PC_PLOT_OPTIONS, .xscale = PC_SCALE_LOG, .yscale = PC_SCALE_LOG),
                                WITH(pc_plot_opts, PC_PLOT_OPTIONS, .zero = 1, .width = 60, .height = 60)};
  double big[4] = {-1e308, 1e308, 5e-324, 0};
  int64_t none = 0;
  pc_tensor *data[] = {V(3), V(NAN, NAN), vec(4, big), V(1e300), V(5, 5, 5), NULL};
  must(pc_tensor_empty(&data[5], PC_F64, 1, &none));
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
    for (size_t i = 0; i < 6; i++)
      for (int kind = PC_SERIES_LINE; kind <= PC_SERIES_BOTH; kind++) {
        pc_plot *p;
        pc_tensor *t;
        must(pc_plot_new(&p, &kinds[k]));
        must(pc_plot_add(p, &(pc_series_opts){.y = data[i], .sd = data[i], .name = "one", .kind = kind}));
        must(pc_plot_add(p, &(pc_series_opts){.y = data[i], .x = data[i], .name = "two", .kind = kind}));
        char *s = svg(p);
        ck_assert_int_eq(strstr(s, "no data") != NULL, i == 1 || i == 5);
        pc_free(s);
        must(pc_plot_pixels(&t, p, 1, 1));
        pc_tensor_release(t);
        pc_plot_free(p);
      }
  for (int i = 0; i < 6; i++) pc_tensor_release(data[i]);
}
END_TEST

START_TEST(test_thinning) { /* many points: a short drawing that keeps the extremes */
  enum { N = 200000 };
  int64_t n = N;
  pc_tensor *y;
  must(pc_tensor_zeros(&y, PC_F32, 1, &n));
  pc_f32(y)[N / 3] = 7;
  pc_f32(y)[N / 2] = -7;
  pc_plot *p;
  must(pc_plot_new(&p, NULL));
  must(pc_plot_add(p, &(pc_series_opts){.y = y}));
  char *s = svg(p);
  ck_assert_int_lt(strlen(s), 150000);
  pc_free(s);
  pc_tensor *t;
  must(pc_plot_pixels(&t, p, 0, 1));
  ck_assert_int_gt(painted(t, 0x0072b2), 500);
  for (int64_t row = 0, seen = 0; row < t->size[0]; row++) { /* a spike up and a spike down cross almost every row */
    for (int64_t x = 0; x < t->size[1]; x++) {
      const uint8_t *q = pc_u8(t) + (row * t->size[1] + x) * 3;
      if (q[0] < 120 && q[2] > 150) {
        seen++;
        break;
      }
    }
    if (row == t->size[0] - 1) ck_assert_int_gt(seen, t->size[0] / 2);
  }
  pc_tensor_release(t);
  pc_plot_free(p);
  pc_tensor_release(y);
}
END_TEST

START_TEST(test_bars) {
  const char *groups[] = {"ID", "OOD"};
  pc_tensor *a = V(1, 0.5), *b = V(0.25, NAN), *sd = V(0.1, 0.1);
  pc_plot *p;
  must(pc_plot_new(&p, &WITH(pc_plot_opts, PC_PLOT_OPTIONS, .groups = groups, .ngroups = 2, .numbers = PC_GIVEN(1),
                             .ylim = {0, 1}, .has_ylim = 1)));
  must(pc_plot_add(p, &(pc_series_opts){.name = "a", .y = a, .kind = PC_SERIES_BARS}));
  must(pc_plot_add(p, &(pc_series_opts){.name = "b", .y = b, .sd = sd, .kind = PC_SERIES_BARS}));
  char *s = svg(p);
  ck_assert(strstr(s, ">ID<") && strstr(s, ">OOD<") && strstr(s, ">0.500<") && strstr(s, ">0.250<"));
  ck_assert_int_eq(count_of(s, "class=\"f-s0\""), 3); /* two bars and the legend */
  ck_assert_int_eq(count_of(s, "class=\"f-s1\""), 2); /* the NaN has none */
  pc_free(s);
  pc_tensor *t;
  must(pc_plot_pixels(&t, p, 0, 1));
  double one = (double)painted(t, 0x0072b2), two = (double)painted(t, 0xd55e00);
  ck_assert_msg(fabs(one / two - 6) < 0.5, "areas %g : %g", one, two); /* 1 + .5 against .25 */
  pc_tensor_release(t);
  pc_plot_free(p);
  must(pc_plot_new(&p, &WITH(pc_plot_opts, PC_PLOT_OPTIONS, .groups = groups, .ngroups = 1)));
  must_fail(pc_plot_add(p, &(pc_series_opts){.name = "a", .y = a, .kind = PC_SERIES_BARS}), PC_ESHAPE,
            "series 'a' has 2 values for 1 groups");
  pc_plot_free(p);
  pc_tensor_release(a);
  pc_tensor_release(b);
  pc_tensor_release(sd);
}
END_TEST

START_TEST(test_heat) {
  const char *rows[] = {"cat", "<goat>"}, *cols[] = {"Park", "Dawn", "City"};
  double v[6] = {0, 0.5, 1, NAN, 0.25, 0.75}, f[6] = {0, 1, 0, 0, 0, 1};
  pc_tensor *values = mat(2, 3, v), *framed = mat(2, 3, f), *t;
  pc_plot *p;
  pc_heat_opts o = {.values = values,
                    .framed = framed,
                    .row_labels = rows,
                    .nrow_labels = 2,
                    .col_labels = cols,
                    .ncol_labels = 3,
                    .frame_name = "held out"};
  must(pc_plot_new(&p, NULL));
  must(pc_plot_heat(p, &o));
  char *s = svg(p);
  ck_assert(strstr(s, ">&lt;goat&gt;<") && strstr(s, ">Dawn<") && strstr(s, ">0.75<") && strstr(s, ">held out<"));
  ck_assert_int_eq(count_of(s, "s-frame"), 3); /* two cells and the legend */
  ck_assert(strstr(s, "#440154") && strstr(s, "#fde725") && strstr(s, "class=\"f-grid\"")); /* NaN: no colour */
  pc_free(s);
  must(pc_plot_pixels(&t, p, 0, 1));
  ck_assert_int_gt(painted(t, pc_colormap(0.5)), 1000);
  pc_tensor_release(t);
  must_fail(pc_plot_heat(p, &o), PC_ESTATE, "alone in its plot");
  must_fail(pc_plot_add(p, &(pc_series_opts){.y = values}), PC_ESTATE, "takes no series");
  pc_plot_free(p);
  must(pc_plot_new(&p, NULL));
  o.nrow_labels = 1;
  must_fail(pc_plot_heat(p, &o), PC_ESHAPE, "1 row labels for 2 rows");
  o.values = NULL;
  must_fail(pc_plot_heat(p, &o), PC_ESHAPE, "values have shape ()");
  pc_plot_free(p);
  pc_tensor_release(values);
  pc_tensor_release(framed);
}
END_TEST

START_TEST(test_mistakes) {
  pc_plot *p;
  pc_tensor *y = V(1, 2, 3), *x = V(1, 2), *cube;
  must_fail(pc_plot_new(&p, &WITH(pc_plot_opts, PC_PLOT_OPTIONS, .width = 0)), PC_EARG,
            "plot: width: expected a number > 0, got 0");
  must_fail(pc_plot_new(&p, &WITH(pc_plot_opts, PC_PLOT_OPTIONS, .height = NAN)), PC_EARG, "plot: height: expected");
  must_fail(pc_plot_new(&p, &WITH(pc_plot_opts, PC_PLOT_OPTIONS, .digits = PC_GIVEN(0))), PC_EARG,
            "plot: digits: expected");
  must_fail(pc_plot_new(&p, &WITH(pc_plot_opts, PC_PLOT_OPTIONS, .has_xlim = 1, .xlim = {2, 1})), PC_EARG,
            "xlim = {2, 1}: the first must be below");
  must_fail(
      pc_plot_new(&p, &WITH(pc_plot_opts, PC_PLOT_OPTIONS, .has_ylim = 1, .yscale = PC_SCALE_LOG, .ylim = {0, 1})),
      PC_EARG, "a log axis begins above 0");
  must(pc_tensor_zeros(&cube, PC_F32, 3, (int64_t[]){1, 1, 1}));
  must(pc_plot_new(&p, NULL));
  must_fail(pc_plot_add(p, &(pc_series_opts){.name = "loss", .y = y, .x = x}), PC_ESHAPE,
            "series 'loss': x has shape (2), y has 3 values");
  must_fail(pc_plot_add(p, &(pc_series_opts){.y = cube}), PC_ESHAPE,
            "y has shape (1,1,1); (N), or (seeds,N), is needed");
  must_fail(pc_plot_add(p, &(pc_series_opts){.name = "z"}), PC_ESHAPE, "series 'z': y has shape ()");
  must_fail(pc_plot_add(p, &(pc_series_opts){.name = "z", .y = y, .low = y}), PC_EARG, "low and high belong together");
  must_fail(pc_plot_save(at("x.pdf"), p, 0, 1), PC_EARG, "ends in neither .svg nor .png");
  must_fail(pc_plot_save(at("no/such/x.svg"), p, 0, 1), PC_EIO, "no/such/x.svg");
  must(pc_plot_save(at("x.svg"), p, 0, 1));
  must(pc_plot_save(at("x.png"), p, 1, 1));
  pc_plot_free(p);
  pc_plot_free(NULL);
  pc_tensor_release(y);
  pc_tensor_release(x);
  pc_tensor_release(cube);
}
END_TEST

START_TEST(test_css) {
  char *s;
  must(pc_plot_css(&s, 1, ".plot"));
  ck_assert_int_eq(count_of(s, "\n"), 6 + PC_SERIES_COLORS);
  ck_assert(strstr(s, ".plot .f-text{fill:#e6e9ee}.plot .s-text{stroke:#e6e9ee}"));
  pc_free(s);
}
END_TEST

START_TEST(test_no_memory) {
  const char *groups[] = {"a", "b"};
  pc_alloc_stats before, after;
  pc_tensor *y = V(1, 2), *m = mat(1, 2, (double[]){1, 2});
  pc_alloc_get_stats(&before);
  for (int heat = 0; heat < 2; heat++)
    for (int nth = 1, done = 0; !done; nth++) {
      pc_plot *p = NULL;
      char *s = NULL;
      pc_alloc_fail_nth(nth);
      int rc = pc_plot_new(&p, &WITH(pc_plot_opts, PC_PLOT_OPTIONS, .title = "t", .xlabel = "x",
                                     .groups = heat ? NULL : groups, .ngroups = heat ? 0 : 2));
      if (rc == PC_OK)
        rc = heat ? pc_plot_heat(
                        p, &(pc_heat_opts){.values = m, .row_labels = groups, .nrow_labels = 1, .frame_name = "f"})
                  : pc_plot_add(p, &(pc_series_opts){.name = "n", .y = y, .kind = PC_SERIES_BARS});
      if (rc == PC_OK) rc = pc_plot_svg(&s, p, 0);
      pc_alloc_fail_nth(0);
      done = rc == PC_OK && s != NULL;
      if (!done) ck_assert_int_eq(rc, PC_ENOMEM);
      pc_free(s);
      pc_plot_free(p);
    }
  pc_alloc_get_stats(&after);
  ck_assert_int_eq(before.live, after.live);
  pc_tensor_release(y);
  pc_tensor_release(m);
}
END_TEST

static void tests(TCase *tc) {
  tcase_add_test(tc, test_seeds);
  tcase_add_test(tc, test_gaps);
  tcase_add_test(tc, test_log);
  tcase_add_test(tc, test_strange_data);
  tcase_add_test(tc, test_thinning);
  tcase_add_test(tc, test_bars);
  tcase_add_test(tc, test_heat);
  tcase_add_test(tc, test_mistakes);
  tcase_add_test(tc, test_css);
  tcase_add_test(tc, test_no_memory);
}

int main(void) { return run_in_scratch("plot", tests); }
