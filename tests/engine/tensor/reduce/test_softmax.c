/* test_softmax.c: softmax and log_softmax and their fused gradients: by hand,
 * against plain loops in double for every row length around the short-row path,
 * over each dimension, extremes and infinities, the same bits for any number of threads. */
#include <stdint.h>

#include "base/parallel.h"
#include "engine/tensor/brute.h"
#include "tensor/reduce/reduce.h"

static const pc_val none[8];

/* y = softmax of x along dim, by the definition, in double. */
static pc_tensor *brute(pc_tensor *x, int dim, int log_) {
  pc_tensor *y;
  must(pc_tensor_empty(&y, PC_F64, x->ndim, x->size));
  int64_t n = x->size[dim], inner = 1, outer = 1;
  for (int d = 0; d < dim; d++) outer *= x->size[d];
  for (int d = dim + 1; d < x->ndim; d++) inner *= x->size[d];
  for (int64_t o = 0; o < outer; o++)
    for (int64_t i = 0; i < inner; i++) {
      double s = 0, m = -INFINITY;
      for (int64_t k = 0; k < n; k++) m = fmax(m, pc_at(x, (o * n + k) * inner + i));
      for (int64_t k = 0; k < n; k++) s += exp(pc_at(x, (o * n + k) * inner + i) - m);
      for (int64_t k = 0; k < n; k++) {
        double l = pc_at(x, (o * n + k) * inner + i) - m - log(s);
        pc_f64(y)[(o * n + k) * inner + i] = log_ ? l : exp(l);
      }
    }
  return y;
}

/* dx from dy and y, by the definition. */
static pc_tensor *brute_back(pc_tensor *g, pc_tensor *y, int dim, int log_) {
  pc_tensor *d;
  must(pc_tensor_empty(&d, PC_F64, y->ndim, y->size));
  int64_t n = y->size[dim], inner = 1, total = pc_numel(y);
  for (int k = dim + 1; k < y->ndim; k++) inner *= y->size[k];
  for (int64_t i = 0; i < total; i++) {
    int64_t first = i / (n * inner) * n * inner + i % inner;
    double s = 0;
    for (int64_t k = 0; k < n; k++) s += pc_at(g, first + k * inner) * (log_ ? 1 : pc_at(y, first + k * inner));
    pc_f64(d)[i] = log_ ? pc_at(g, i) - exp(pc_at(y, i)) * s : pc_at(y, i) * (pc_at(g, i) - s);
  }
  return d;
}

static void check(pc_tensor *x, const char *what) {
  double tol = x->dtype == PC_F32 ? 3e-6 : 1e-13;
  for (int dim = 0; dim < x->ndim; dim++)
    for (int log_ = 0; log_ < 2; log_++) {
      pc_tensor *want = brute(x, dim, log_), *g = rnd((pc_dtype)x->dtype, x->ndim, x->size), *gwant;
      for (int t = PC_TIER_REF; t <= (int)pc_cpu_best(); t++) {
        pc_val v[8] = {PC_VI(dim - (t & 1 ? x->ndim : 0))}; /* from the front, from the end */
        pc_tensor *y = run_tier((pc_tier)t, log_ ? pc_fwd_log_softmax : pc_fwd_softmax, 1, &x, v);
        same(y, want, tol, what);
        gwant = brute_back(g, y, dim, log_);
        pc_tensor *d = run_tier((pc_tier)t, log_ ? pc_fwd_log_softmax_backward : pc_fwd_softmax_backward, 2,
                                (pc_tensor *[]){g, y}, v);
        same(d, gwant, 10 * tol, "its gradient");
        pc_tensor_release(d);
        pc_tensor_release(gwant);
        pc_tensor_release(y);
      }
      pc_tensor_release(g);
      pc_tensor_release(want);
    }
  pc_tensor_release(x);
}

START_TEST(by_hand) {
  pc_tensor *x, *y;
  must(pc_tensor_from(&x, PC_F64, 2, (int64_t[]){2, 2}, (double[]){0, log(3), 5, 5}));
  must(pc_fwd_softmax(&y, &x, 1, none)); /* the last dimension unless told */
  static const double want[] = {0.25, 0.75, 0.5, 0.5};
  for (int i = 0; i < 4; i++) ck_assert_double_eq_tol(pc_at(y, i), want[i], 1e-15);
  pc_tensor_release(y);
  must(pc_fwd_log_softmax(&y, &x, 1, none));
  for (int i = 0; i < 4; i++) ck_assert_double_eq_tol(pc_at(y, i), log(want[i]), 1e-15);
  pc_tensor_release(y);
  pc_tensor_release(x);
  must(pc_tensor_from(&x, PC_I64, 1, (int64_t[]){2}, (int64_t[]){4, 4})); /* whole numbers count as f32 */
  must(pc_fwd_softmax(&y, &x, 1, none));
  ck_assert_int_eq(y->dtype, PC_F32);
  ck_assert_double_eq_tol(pc_at(y, 1), 0.5, 1e-7);
  pc_tensor_release(y);
  pc_tensor_release(x);
}
END_TEST

START_TEST(row_lengths) { /* _i + 1 slots; 200 rows are three blocks and a rest */
  check(rnd(PC_F32, SIZES(200, _i + 1)), "short rows");
  check(rnd(PC_F64, SIZES(9, _i + 1)), "short rows of f64");
}
END_TEST

START_TEST(layouts) {
  check(rnd(PC_F32, SIZES(3, 70, 7)), "three dims");
  check(rnd_t(PC_F32, SIZES(130, 5)), "transposed");
  check(rnd_s(PC_F32, SIZES(2, 65, 3)), "strided");
  check(rnd(PC_F32, SIZES(2, 700)), "long rows");
  check(rnd(PC_F32, SIZES(2, 4, 130)), "slots before pixels");
  check(rnd(PC_F32, SIZES(64, 3, 65)), "long columns");
  check(rnd(PC_F64, SIZES(2, 3, 65)), "columns of f64");
  check(rnd(PC_F32, SIZES(1, 1)), "one");
}
END_TEST

START_TEST(large_and_infinite) { /* _i: the slots come first, so that rows are columns */
  enum { R = 64 };               /* a whole block of the short-row path, or of columns */
  const float inf = INFINITY;
  float v[R * 3];
  pc_tensor *x, *y;
  for (int i = 0; i < R; i++) v[3 * i] = 1e30f, v[3 * i + 1] = 1e30f, v[3 * i + 2] = -1e30f;
  v[30] = 2, v[31] = -inf, v[32] = 2;       /* row 10: a slot masked out */
  v[33] = NAN, v[34] = 1, v[35] = 2;        /* row 11 */
  v[36] = -inf, v[37] = -inf, v[38] = -inf; /* row 12: nothing left to choose */
  float turned[R * 3];
  for (int i = 0; i < R * 3; i++) turned[i % 3 * R + i / 3] = v[i];
  must(pc_tensor_from(&x, PC_F32, 2, _i ? (int64_t[]){3, R} : (int64_t[]){R, 3}, _i ? turned : v));
  const pc_val dim[8] = {PC_VI(_i ? 0 : 1)};
  const int row = _i ? 1 : 3, slot = _i ? R : 1;
  for (int t = PC_TIER_REF; t <= (int)pc_cpu_best(); t++) {
    y = run_tier((pc_tier)t, pc_fwd_softmax, 1, &x, dim);
    for (int i = 0; i < R; i++)
      for (int k = 0; k < 3; k++) {
        double a = pc_at(y, row * i + slot * k), want = i == 10 ? (k == 1 ? 0 : 0.5) : k == 2 ? 0 : 0.5;
        if (i == 11 || i == 12)
          ck_assert_msg(isnan(a), "row %d of tier %s is %g", i, pc_tier_name((pc_tier)t), a);
        else
          ck_assert_msg(fabs(a - want) < 1e-6, "row %d, slot %d, tier %s: %g", i, k, pc_tier_name((pc_tier)t), a);
      }
    pc_tensor_release(y);
    y = run_tier((pc_tier)t, pc_fwd_log_softmax, 1, &x, dim);
    ck_assert_double_eq_tol(pc_at(y, 0), -log(2), 1e-6);
    ck_assert(isinf(pc_at(y, 10 * row + slot)) && pc_at(y, 10 * row + slot) < 0);
    pc_tensor_release(y);
  }
  pc_tensor_release(x);
}
END_TEST

START_TEST(threads_change_no_bit) {
  static const int64_t size[][2] = {{50000, 3}, {20000, 16}, {3000, 100}, {3, 60000}};
  int was = pc_num_threads();
  for (int s = 0; s < 4; s++)
    for (int64_t dim = 0; dim < 2; dim++) {
      pc_tensor *x = rnd(PC_F32, 2, size[s]), *a, *b;
      pc_val v[8] = {PC_VI(dim)};
      pc_set_num_threads(1);
      must(pc_fwd_softmax(&a, &x, 1, v));
      pc_set_num_threads(2);
      must(pc_fwd_softmax(&b, &x, 1, v));
      ck_assert_mem_eq(pc_data(a), pc_data(b), sizeof(float) * (size_t)pc_numel(a));
      pc_tensor_release(a);
      pc_tensor_release(b);
      pc_tensor_release(x);
    }
  pc_set_num_threads(was);
}
END_TEST

START_TEST(empty_and_messages) {
  pc_tensor *x, *y, *z;
  must(pc_tensor_empty(&x, PC_F32, 2, (int64_t[]){3, 0}));
  for (int64_t dim = 0; dim < 2; dim++) {
    pc_val v[8] = {PC_VI(dim)};
    must(pc_fwd_softmax(&y, &x, 1, v));
    ck_assert_str_eq(pc_shape_str(y), "(3,0)");
    pc_tensor_release(y);
  }
  must(pc_tensor_scalar(&z, PC_F32, 3));
  must(pc_fwd_softmax(&y, &z, 1, none));
  ck_assert_double_eq(pc_item(y), 1);
  pc_tensor_release(y);
  pc_tensor_release(z);
  refuses(pc_fwd_softmax, 1, &x, (pc_val[8]){PC_VI(2)}, PC_EINDEX,
          "softmax: no dimension 3 in a tensor of shape (3,0)");
  refuses(pc_fwd_log_softmax, 1, &x, (pc_val[8]){PC_VI(-3)}, PC_EINDEX,
          "log_softmax: no dimension -3 in a tensor of shape (3,0)");
  pc_tensor_release(x);
}
END_TEST

int main(void) {
  Suite *s = suite_create("softmax");
  TCase *tc = tcase_create("softmax");
  tcase_set_timeout(tc, 60);
  tcase_add_test(tc, by_hand);
  tcase_add_loop_test(tc, row_lengths, 0, 20);
  tcase_add_test(tc, layouts);
  tcase_add_loop_test(tc, large_and_infinite, 0, 2);
  tcase_add_test(tc, threads_change_no_bit);
  tcase_add_test(tc, empty_and_messages);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
