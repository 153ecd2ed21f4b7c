/* scores: by hand, by another formula, and where there is no answer. */
#include <math.h>

#include "base/rng.h"
#include "metrics/scores.h"
#include "scratch.h"

static pc_tensor *ints(pc_dtype d, int64_t n, const int64_t *v) {
  pc_tensor *t, *r;
  must(pc_tensor_from(&t, PC_I64, 1, &n, v));
  must(pc_to_dtype(&r, t, d));
  pc_tensor_release(t);
  return r;
}

START_TEST(test_accuracy_confusion) {
  pc_tensor *p = ints(PC_I64, 5, (int64_t[]){1, 2, 3, 3, 1}), *t = ints(PC_I32, 5, (int64_t[]){1, 2, 3, 1, 2}), *c;
  double a;
  must(pc_accuracy(&a, p, t));
  ck_assert_double_eq(a, .6);
  must(pc_confusion(&c, p, t, 3));
  const int64_t want[9] = {1, 0, 1, 1, 1, 0, 0, 0, 1};
  ck_assert_int_eq(memcmp(pc_i64(c), want, sizeof want), 0);
  pc_tensor_release(c);
  must_fail(pc_confusion(&c, p, t, 2), PC_EINDEX, "element 3 has target 3, prediction 3; labels go from 1 to 2");
  pc_tensor *q = ints(PC_I64, 4, (int64_t[]){1, 2, 3, 3});
  must_fail(pc_accuracy(&a, q, t), PC_ESHAPE, "predictions have shape (4), targets (5)");
  pc_tensor *z = ints(PC_I64, 0, NULL);
  must_fail(pc_accuracy(&a, z, z), PC_EARG, "no predictions");
  pc_tensor_release(z);
  pc_tensor_release(q);
  pc_tensor_release(p);
  pc_tensor_release(t);
}
END_TEST

START_TEST(test_r2) {
  /* column 1: SS_res 1, SS_tot 5; column 2: constant, predicted exactly; column 3: constant, missed */
  double t[12] = {1, 7, .1, 2, 7, .1, 3, 7, .1, 4, 7, .1}, p[12] = {1, 7, .1, 2, 7, .1, 4, 7, .1, 4, 7, .2}, v;
  int64_t size[2] = {4, 3}, col[1] = {4};
  pc_tensor *a, *b, *c;
  must(pc_tensor_from(&a, PC_F64, 2, size, p));
  must(pc_tensor_from(&b, PC_F64, 2, size, t));
  must(pc_r2_columns(&c, a, b));
  ck_assert_double_eq_tol(pc_f64(c)[0], .8, 1e-12);
  ck_assert_double_eq(pc_f64(c)[1], 1);
  ck_assert_double_eq(pc_f64(c)[2], 0);
  must(pc_r2(&v, a, b, PC_R2_UNIFORM));
  ck_assert_double_eq_tol(v, .6, 1e-12);
  must(pc_r2(&v, a, b, PC_R2_VARIANCE_WEIGHTED));
  ck_assert_double_eq_tol(v, 1 - 1.01 / 5, 1e-12);
  pc_tensor_release(c);
  pc_tensor_release(a);
  must(pc_tensor_full(&a, PC_F32, 1, col, 2.5)); /* the mean */
  must(pc_tensor_from(&c, PC_F32, 1, col, (float[]){1, 2, 3, 4}));
  must(pc_r2(&v, a, c, PC_R2_UNIFORM));
  ck_assert_double_eq_tol(v, 0, 1e-12);
  must_fail(pc_r2(&v, a, b, PC_R2_UNIFORM), PC_ESHAPE, "predictions have shape (4), targets (4,3)");
  pc_tensor_release(a);
  pc_tensor_release(b);
  pc_tensor_release(c);
}
END_TEST

/* By counting pairs: a independent formula of the same index. */
static double ari_pairs(const int64_t *a, const int64_t *b, int n) {
  double tp = 0, fp = 0, fn = 0, tn = 0;
  for (int i = 0; i < n; i++)
    for (int j = i + 1; j < n; j++) {
      int x = a[i] == a[j], y = b[i] == b[j];
      tp += x && y, fp += x && !y, fn += !x && y, tn += !x && !y;
    }
  double d = (tp + fn) * (fn + tn) + (tp + fp) * (fp + tn);
  return d == 0 ? 1 : 2 * (tp * tn - fn * fp) / d;
}

START_TEST(test_ari) {
  double v;
  /* sklearn's documented example: 0.5714285714 */
  int64_t a[8] = {0, 0, 1, 2}, b[8] = {0, 0, 1, 1};
  must(pc_ari_labels(&v, a, b, NULL, 4));
  ck_assert_double_eq_tol(v, 0.5714285714285714, 1e-12);
  must(pc_ari_labels(&v, (int64_t[]){0, 0, 1, 1}, (int64_t[]){7, 7, -3, -3}, NULL, 4));
  ck_assert_double_eq(v, 1);
  must(pc_ari_labels(&v, (int64_t[]){0, 1, 0, 1}, (int64_t[]){0, 0, 1, 1}, NULL, 4));
  ck_assert_double_eq_tol(v, -.5, 1e-12);
  must(pc_ari_labels(&v, (int64_t[]){5, 5, 5}, (int64_t[]){1, 1, 1}, NULL, 3));
  ck_assert_double_eq(v, 1);
  must(pc_ari_labels(&v, (int64_t[]){1, 2, 3}, (int64_t[]){4, 5, 6}, NULL, 3));
  ck_assert_double_eq(v, 1);
  must(pc_ari_labels(&v, (int64_t[]){1, 1, 1}, (int64_t[]){4, 5, 6}, NULL, 3));
  ck_assert_double_eq(v, 0);
  must(pc_ari_labels(&v, a, b, NULL, 0));
  ck_assert_double_eq(v, 1);
  pc_rng g = {2, 0};
  for (int round = 0; round < 50; round++) {
    int64_t x[30], y[30];
    for (int i = 0; i < 30; i++) x[i] = pc_rng_below(&g, 4), y[i] = pc_rng_below(&g, 2) ? x[i] : pc_rng_below(&g, 5);
    must(pc_ari_labels(&v, x, y, NULL, 30));
    ck_assert_double_eq_tol(v, ari_pairs(x, y, 30), 1e-12);
  }
}
END_TEST

START_TEST(test_fg_ari) {
  uint8_t target[12] = {0, 0, 1, 1, 2, 2, 0, 0, 0, 0, 0, 0}, pred[12] = {9, 8, 3, 3, 4, 4, 1, 2, 3, 4, 5, 6};
  int64_t size[3] = {2, 2, 3};
  pc_tensor *p, *t, *r;
  must(pc_tensor_from(&p, PC_U8, 3, size, pred));
  must(pc_tensor_from(&t, PC_U8, 3, size, target));
  must(pc_ari_masks(&r, p, t, 1, 0));
  ck_assert_double_eq(pc_f64(r)[0], 1); /* the split background does not count */
  ck_assert(isnan(pc_f64(r)[1]));       /* no foreground */
  pc_tensor_release(r);
  must(pc_ari_masks(&r, p, t, 0, 0));
  int64_t a[6] = {9, 8, 3, 3, 4, 4}, b[6] = {0, 0, 1, 1, 2, 2};
  ck_assert_double_eq_tol(pc_f64(r)[0], ari_pairs(a, b, 6), 1e-12);
  ck_assert_double_eq(pc_f64(r)[1], 0);
  pc_tensor_release(r);
  pc_tensor_release(p);
  pc_tensor_release(t);
}
END_TEST

static void add(TCase *c) {
  tcase_add_test(c, test_accuracy_confusion);
  tcase_add_test(c, test_r2);
  tcase_add_test(c, test_ari);
  tcase_add_test(c, test_fg_ari);
}

int main(void) { return run_in_scratch("scores", add); }
