/* test_reduce.c: reductions against numbers worked out by hand and against plain
 * loops over pc_at(): every dtype, any strides, sizes 0 and 1, large sums, the
 * same bits for any number of threads, messages. */
#include "tensor/reduce/reduce.h"

#include <stdint.h>

#include "base/parallel.h"
#include "engine/tensor/brute.h"

#define NAN_D ((double)NAN)
#define INF_D ((double)INFINITY)

static const pc_val none[8];

/* The op's outputs; those not asked for are let go. */
static void run(pc_forward_fn *f, pc_tensor *x, const pc_val *v, pc_tensor **first, pc_tensor **second) {
  pc_tensor *out[4] = {NULL};
  must(f(out, &x, 1, v));
  *first = out[0];
  if (second)
    *second = out[1];
  else
    pc_tensor_release(out[1]);
}

static void is_(pc_tensor *t, const char *shape, pc_dtype d, const double *want, const char *what) {
  ck_assert_msg(!strcmp(pc_shape_str(t), shape), "%s: shape %s, expected %s", what, pc_shape_str(t), shape);
  ck_assert_msg(t->dtype == d, "%s: dtype %s", what, pc_dtype_name((pc_dtype)t->dtype));
  for (int64_t i = 0; i < pc_numel(t); i++) {
    double a = pc_at(t, i), b = want[i];
    if (!(isnan(a) && isnan(b)) && a != b && !(fabs(a - b) <= 1e-6 * (1 + fabs(b))))
      ck_abort_msg("%s: element %lld is %.9g, expected %.9g", what, (long long)i, a, b);
  }
  pc_tensor_release(t);
}
#define IS(t, shape, d, what, ...) is_(t, shape, d, (double[]){__VA_ARGS__}, what)

static pc_val dims(int n, int64_t a, int64_t b) { return pc_vlist(n, (int64_t[]){a, b}); }
static pc_val number(double d) { return PC_VD(d); }

/* ---- by hand ---- */

START_TEST(sums) {
  pc_tensor *x = MAT(PC_F32, 2, 3, 1, 2, 3, 4, 5, 6), *y;
  run(pc_fwd_sum, x, none, &y, NULL);
  IS(y, "()", PC_F32, "sum", 21);
  run(pc_fwd_sum, x, (pc_val[8]){dims(1, 0, 0)}, &y, NULL);
  IS(y, "(3)", PC_F32, "sum over rows", 5, 7, 9);
  run(pc_fwd_sum, x, (pc_val[8]){dims(1, -1, 0)}, &y, NULL);
  IS(y, "(2)", PC_F32, "sum over the last", 6, 15);
  run(pc_fwd_sum, x, (pc_val[8]){dims(1, 0, 0), PC_VI(1)}, &y, NULL);
  IS(y, "(1,3)", PC_F32, "keepdim", 5, 7, 9);
  run(pc_fwd_sum, x, (pc_val[8]){dims(2, 0, 1), PC_VI(1)}, &y, NULL);
  IS(y, "(1,1)", PC_F32, "both dims", 21);
  run(pc_fwd_mean, x, (pc_val[8]){dims(1, 1, 0)}, &y, NULL);
  IS(y, "(2)", PC_F32, "mean", 2, 5);
  pc_tensor_release(x);
  for (int d = 0; d < PC_DTYPE_COUNT; d++) {
    x = MAT((pc_dtype)d, 2, 2, 200, 100, 3, 4);
    run(pc_fwd_sum, x, (pc_val[8]){dims(1, 1, 0)}, &y, NULL); /* 300 does not fit u8 */
    IS(y, "(2)", pc_dtype_is_float((pc_dtype)d) ? (pc_dtype)d : PC_I64, pc_dtype_name((pc_dtype)d), 300, 7);
    run(pc_fwd_prod, x, (pc_val[8]){dims(1, 1, 0)}, &y, NULL);
    IS(y, "(2)", pc_dtype_is_float((pc_dtype)d) ? (pc_dtype)d : PC_I64, "prod", 20000, 12);
    pc_tensor_release(x);
  }
}
END_TEST

START_TEST(spreads) {
  pc_tensor *x = MAT(PC_F64, 2, 4, 1, 2, 3, 6, 5, 5, 5, 5), *y; /* means 3 and 5, squares 14 and 0 */
  run(pc_fwd_var, x, (pc_val[8]){dims(1, 1, 0)}, &y, NULL);
  IS(y, "(2)", PC_F64, "var", 14.0 / 3, 0);
  run(pc_fwd_var, x, (pc_val[8]){dims(1, 1, 0), PC_VI(0), PC_VI(1)}, &y, NULL);
  IS(y, "(2,1)", PC_F64, "biased var", 3.5, 0);
  run(pc_fwd_std, x, (pc_val[8]){dims(1, 1, 0)}, &y, NULL);
  IS(y, "(2)", PC_F64, "std", sqrt(14.0 / 3), 0);
  pc_tensor_release(x);
  x = VEC(PC_F32, 16777216, 16777217 + 1, 16777216 + 4); /* far from 0: sums of squares would cancel */
  run(pc_fwd_var, x, none, &y, NULL);
  IS(y, "()", PC_F32, "var of close large numbers", 4);
  pc_tensor_release(x);
  x = VEC(PC_F32, 7);
  run(pc_fwd_var, x, none, &y, NULL);
  IS(y, "()", PC_F32, "unbiased var of one", NAN_D);
  run(pc_fwd_std, x, (pc_val[8]){PC_VNONE, PC_VI(0)}, &y, NULL);
  IS(y, "()", PC_F32, "biased std of one", 0);
  pc_tensor_release(x);
}
END_TEST

START_TEST(norms) {
  pc_tensor *x = MAT(PC_F32, 2, 2, 3, -4, 0, 0), *y;
  static const double p[] = {2, 1, 0, 3, INFINITY}, want[] = {5, 7, 2, 4.49794144527541, 4};
  for (int k = 0; k < 5; k++) {
    run(pc_fwd_norm, x, (pc_val[8]){number(p[k]), dims(1, 1, 0)}, &y, NULL);
    IS(y, "(2)", PC_F32, "norm", want[k], 0);
    run(pc_fwd_norm, x, (pc_val[8]){number(p[k])}, &y, NULL);
    IS(y, "()", PC_F32, "norm of all", want[k]);
  }
  pc_tensor_release(x);
  x = VEC(PC_F32, 3e30, 4e30); /* squares overflow f32 */
  run(pc_fwd_norm, x, none, &y, NULL);
  IS(y, "()", PC_F32, "norm of large numbers", 5e30);
  pc_tensor_release(x);
}
END_TEST

START_TEST(logsumexps) {
  pc_tensor *x = MAT(PC_F32, 4, 2, 1000, 1000, -INF_D, -INF_D, -INF_D, 3, INF_D, 1), *y;
  run(pc_fwd_logsumexp, x, (pc_val[8]){dims(1, 1, 0)}, &y, NULL);
  IS(y, "(4)", PC_F32, "logsumexp", 1000 + log(2), -INF_D, 3, INF_D);
  pc_tensor_release(x);
  x = MAT(PC_F64, 3, 3, NAN_D, 1, 2, 1, NAN_D, INF_D, INF_D, 1, NAN_D); /* a NaN is never lost */
  run(pc_fwd_logsumexp, x, (pc_val[8]){dims(1, 1, 0)}, &y, NULL);
  IS(y, "(3)", PC_F64, "logsumexp of NaN", NAN_D, NAN_D, NAN_D);
  pc_tensor_release(x);
}
END_TEST

START_TEST(truths) {
  pc_tensor *x = MAT(PC_F32, 3, 2, 0, 0, 0, 2, NAN_D, 1), *y;
  run(pc_fwd_any, x, (pc_val[8]){dims(1, 1, 0)}, &y, NULL);
  IS(y, "(3)", PC_U8, "any", 0, 1, 1);
  run(pc_fwd_all, x, (pc_val[8]){dims(1, 1, 0)}, &y, NULL); /* NaN is not 0 */
  IS(y, "(3)", PC_U8, "all", 0, 0, 1);
  run(pc_fwd_any, x, none, &y, NULL);
  IS(y, "()", PC_U8, "any of all", 1);
  pc_tensor_release(x);
}
END_TEST

START_TEST(extremes) {
  pc_tensor *x = MAT(PC_F32, 2, 3, 1, 7, 7, -2, -5, 4), *y, *at;
  run(pc_fwd_max, x, none, &y, &at);
  IS(y, "()", PC_F32, "max", 7);
  IS(at, "()", PC_I64, "position in the flattened tensor", 2);
  run(pc_fwd_max, x, (pc_val[8]){PC_VI(1)}, &y, &at);
  IS(y, "(2)", PC_F32, "max along rows", 7, 4);
  IS(at, "(2)", PC_I64, "the first of equals, from 1", 2, 3);
  run(pc_fwd_min, x, (pc_val[8]){PC_VI(0), PC_VI(1)}, &y, &at);
  IS(y, "(1,3)", PC_F32, "min", -2, -5, 4);
  IS(at, "(1,3)", PC_I64, "its positions", 2, 2, 2);
  run(pc_fwd_argmax, x, (pc_val[8]){PC_VI(-1)}, &y, NULL);
  IS(y, "(2)", PC_I64, "argmax", 2, 3);
  run(pc_fwd_argmin, x, none, &y, NULL);
  IS(y, "()", PC_I64, "argmin", 5);
  run(pc_fwd_amax, x, (pc_val[8]){dims(2, 0, 1)}, &y, NULL);
  IS(y, "()", PC_F32, "amax", 7);
  run(pc_fwd_amin, x, (pc_val[8]){dims(1, 0, 0), PC_VI(1)}, &y, NULL);
  IS(y, "(1,3)", PC_F32, "amin", -2, -5, 4);
  pc_tensor_release(x);
  x = MAT(PC_F64, 3, 3, 1, NAN_D, 9, -INF_D, -INF_D, -INF_D, 3, INF_D, NAN_D);
  run(pc_fwd_max, x, (pc_val[8]){PC_VI(1)}, &y, &at);
  IS(y, "(3)", PC_F64, "NaN wins", NAN_D, -INF_D, NAN_D);
  IS(at, "(3)", PC_I64, "where NaN is", 2, 1, 3);
  pc_tensor_release(x);
}
END_TEST

/* Whole numbers beyond 2^53 are not rounded on the way through. */
START_TEST(whole_numbers_are_exact) {
  const int64_t big = ((int64_t)1 << 53) + 1, v[3] = {big, big - 1, -big}, p[3] = {3, 3002399751580331, 1};
  pc_tensor *x, *y, *at;
  must(pc_tensor_from(&x, PC_I64, 1, (int64_t[]){3}, v));
  run(pc_fwd_sum, x, none, &y, NULL);
  ck_assert_int_eq(pc_i64(y)[0], big - 1);
  pc_tensor_release(y);
  run(pc_fwd_max, x, none, &y, &at);
  ck_assert_int_eq(pc_i64(y)[0], big);
  ck_assert_int_eq(pc_i64(at)[0], 1);
  pc_tensor_release(y);
  pc_tensor_release(at);
  run(pc_fwd_amin, x, none, &y, NULL);
  ck_assert_int_eq(pc_i64(y)[0], -big);
  pc_tensor_release(y);
  pc_tensor_release(x);
  must(pc_tensor_from(&x, PC_I64, 1, (int64_t[]){3}, p)); /* 2^53 + 1 = 3 * 3002399751580331 */
  run(pc_fwd_prod, x, none, &y, NULL);
  ck_assert_int_eq(pc_i64(y)[0], big);
  pc_tensor_release(y);
  pc_tensor_release(x);
}
END_TEST

START_TEST(counts) {
  pc_tensor *x, *y;
  must(pc_tensor_from(&x, PC_I64, 2, (int64_t[]){2, 2}, (int64_t[]){1, 3, 3, 2}));
  run(pc_fwd_bincount, x, none, &y, NULL);
  IS(y, "(3)", PC_I64, "bincount", 1, 1, 2);
  run(pc_fwd_bincount, x, (pc_val[8]){PC_VI(5)}, &y, NULL);
  IS(y, "(5)", PC_I64, "minlength", 1, 1, 2, 0, 0);
  pc_tensor_release(x);
}
END_TEST

START_TEST(nothing_to_reduce) {
  pc_tensor *x, *y;
  must(pc_tensor_empty(&x, PC_F32, 2, (int64_t[]){0, 3}));
  run(pc_fwd_sum, x, none, &y, NULL);
  IS(y, "()", PC_F32, "empty sum", 0);
  run(pc_fwd_sum, x, (pc_val[8]){dims(1, 0, 0)}, &y, NULL);
  IS(y, "(3)", PC_F32, "empty column sums", 0, 0, 0);
  run(pc_fwd_sum, x, (pc_val[8]){dims(1, 1, 0)}, &y, NULL);
  IS(y, "(0)", PC_F32, "no sums", 0);
  run(pc_fwd_mean, x, none, &y, NULL);
  IS(y, "()", PC_F32, "empty mean", NAN_D);
  run(pc_fwd_prod, x, (pc_val[8]){dims(1, 0, 0)}, &y, NULL);
  IS(y, "(3)", PC_F32, "empty product", 1, 1, 1);
  run(pc_fwd_logsumexp, x, none, &y, NULL);
  IS(y, "()", PC_F32, "empty logsumexp", -INF_D);
  run(pc_fwd_all, x, none, &y, NULL);
  IS(y, "()", PC_U8, "all of none", 1);
  run(pc_fwd_any, x, none, &y, NULL);
  IS(y, "()", PC_U8, "any of none", 0);
  run(pc_fwd_amax, x, (pc_val[8]){dims(1, 1, 0)}, &y, NULL);
  IS(y, "(0)", PC_F32, "no maxima are wanted", 0);
  refuses(pc_fwd_max, 1, &x, none, PC_ESHAPE, "max: nothing to choose from in a tensor of shape (0,3)");
  refuses(pc_fwd_amin, 1, &x, (pc_val[8]){dims(1, 0, 0)}, PC_ESHAPE,
          "amin: nothing to choose from in a tensor of shape (0,3)");
  refuses(pc_fwd_argmax, 1, &x, (pc_val[8]){PC_VI(0)}, PC_ESHAPE,
          "argmax: nothing to choose from in a tensor of shape (0,3)");
  pc_tensor_release(x);
  must(pc_tensor_scalar(&x, PC_F32, 4));
  run(pc_fwd_sum, x, none, &y, NULL);
  IS(y, "()", PC_F32, "sum of a number", 4);
  run(pc_fwd_max, x, (pc_val[8]){PC_VI(-1)}, &y, NULL);
  IS(y, "()", PC_F32, "max of a number", 4);
  pc_tensor_release(x);
}
END_TEST

/* ---- against plain loops: all subsets of dims, all layouts ---- */

static double brute_sum(const pc_tensor *x, unsigned mask, int64_t at) {
  double s = 0;
  for (int64_t i = 0; i < pc_numel(x); i++) {
    int64_t left = i, idx[PC_MAX_DIM], k = 0;
    for (int d = x->ndim - 1; d >= 0; d--) idx[d] = left % x->size[d], left /= x->size[d];
    for (int d = 0; d < x->ndim; d++)
      if (!(mask >> d & 1)) k = k * x->size[d] + idx[d];
    if (k == at) s += pc_at(x, i);
  }
  return s;
}

static void all_subsets(pc_tensor *x) {
  for (unsigned mask = 1; mask < 1u << x->ndim; mask++) {
    pc_val v[8] = {{.set = 1}};
    pc_tensor *y;
    double n = 1;
    for (int d = 0; d < x->ndim; d++)
      if (mask >> d & 1) v[0].l[v[0].nl++] = d, n *= (double)x->size[d];
    for (int tier = PC_TIER_REF; tier <= (int)pc_cpu_best(); tier++)
      for (int mean = 0; mean < 2; mean++) {
        y = run_tier((pc_tier)tier, mean ? pc_fwd_mean : pc_fwd_sum, 1, &x, v);
        for (int64_t i = 0; i < pc_numel(y); i++) {
          double want = brute_sum(x, mask, i) / (mean ? n : 1);
          if (!(fabs(pc_at(y, i) - want) <= 1e-4 * (1 + fabs(want))))
            ck_abort_msg("%s of %s over dims %#x, tier %s: element %lld is %g, expected %g", mean ? "mean" : "sum",
                         pc_shape_str(x), mask, pc_tier_name((pc_tier)tier), (long long)i, pc_at(y, i), want);
        }
        pc_tensor_release(y);
      }
  }
  pc_tensor_release(x);
}

START_TEST(any_dims_any_strides) {
  pc_dtype d = _i ? PC_F64 : PC_F32;
  pc_tensor *t, *w;
  all_subsets(rnd(d, SIZES(3, 1, 5, 4)));
  all_subsets(rnd_t(d, SIZES(2, 3, 17)));
  all_subsets(rnd_s(d, SIZES(2, 4, 5)));
  all_subsets(rnd(d, SIZES(7, 33)));
  t = rnd(d, SIZES(3, 1));
  must(pc_view_expand(&w, t, 2, (int64_t[]){3, 6})); /* stride 0 */
  pc_tensor_release(t);
  all_subsets(w);
}
END_TEST

/* ---- long sums ---- */

/* Of equal numbers every rounding goes the same way: the worst case. Rows add 16 floats a lane
 * before they go on in double, columns 256, so the error is at most 16 or 256 roundings of 2^-24;
 * a single float accumulator is off by more than 1e-2 here. */
START_TEST(long_sums_stay_accurate) {
  int64_t n = 1 << 24;
  pc_tensor *x, *y, *m;
  must(pc_tensor_full(&x, PC_F32, 1, &n, 0.1));
  double exact = (double)n * (double)0.1f;
  run(pc_fwd_sum, x, none, &y, NULL);
  ck_assert_double_eq_tol(pc_item(y), exact, exact * 16 * 0x1p-24);
  pc_tensor_release(y);
  run(pc_fwd_mean, x, none, &y, NULL);
  ck_assert_double_eq_tol(pc_item(y), (double)0.1f, 0.1 * 16 * 0x1p-24);
  pc_tensor_release(y);
  run(pc_fwd_norm, x, none, &y, NULL); /* in double throughout: one rounding */
  ck_assert_double_eq_tol(pc_item(y), 4096 * (double)0.1f, 4096 * 0.1 * 0x1p-23);
  pc_tensor_release(y);
  must(pc_view_reshape(&m, x, 2, (int64_t[]){n / 4, 4}));
  run(pc_fwd_sum, m, (pc_val[8]){dims(1, 0, 0)}, &y, NULL);
  for (int64_t i = 0; i < 4; i++) ck_assert_double_eq_tol(pc_at(y, i), exact / 4, exact / 4 * 256 * 0x1p-24);
  pc_tensor_release(y);
  pc_tensor_release(m);
  pc_tensor_release(x);
}
END_TEST

/* ---- threads ---- */

START_TEST(threads_change_no_bit) {
  static pc_forward_fn *const f[] = {pc_fwd_sum, pc_fwd_mean, pc_fwd_var, pc_fwd_std, pc_fwd_logsumexp, pc_fwd_prod};
  static const int64_t size[][2] = {{300000, 1}, {70001, 5}, {5, 70001}, {1000, 333}};
  int was = pc_num_threads();
  for (int s = 0; s < 4; s++) {
    pc_tensor *x = rnd(PC_F32, 2, size[s]), *a, *b;
    for (int k = 0; k < 6; k++)
      for (int64_t d = -1; d < 2; d++) {
        pc_val v[8] = {d < 0 ? PC_VNONE : dims(1, d, 0)};
        pc_set_num_threads(1);
        run(f[k], x, v, &a, NULL);
        pc_set_num_threads(2);
        run(f[k], x, v, &b, NULL);
        ck_assert_mem_eq(pc_data(a), pc_data(b), sizeof(float) * (size_t)pc_numel(a));
        pc_tensor_release(a);
        pc_tensor_release(b);
      }
    pc_tensor_release(x);
  }
  pc_set_num_threads(was);
}
END_TEST

/* ---- messages ---- */

START_TEST(messages) {
  pc_tensor *x = MAT(PC_F32, 2, 2, 1, 2, 3, 4), *k = MAT(PC_I64, 2, 2, 1, 2, 0, 4);
  refuses(pc_fwd_sum, 1, &x, (pc_val[8]){dims(1, 2, 0)}, PC_EINDEX, "sum: no dimension 3 in a tensor of shape (2,2)");
  refuses(pc_fwd_sum, 1, &x, (pc_val[8]){dims(1, -3, 0)}, PC_EINDEX, "sum: no dimension -3 in a tensor of shape (2,2)");
  refuses(pc_fwd_var, 1, &x, (pc_val[8]){dims(2, 1, -1)}, PC_EARG, "var: dimension 2 is given twice");
  refuses(pc_fwd_max, 1, &x, (pc_val[8]){PC_VI(5)}, PC_EINDEX, "max: no dimension 6 in a tensor of shape (2,2)");
  refuses(pc_fwd_mean, 1, &k, none, PC_EDTYPE, "mean: needs f32 or f64, got i64; use x:to('f32'):mean()");
  refuses(pc_fwd_norm, 1, &x, (pc_val[8]){number(-1)}, PC_EARG, "norm: p must not be negative, got -1");
  refuses(pc_fwd_bincount, 1, &x, none, PC_EDTYPE, "bincount: needs integer classes, got f32");
  refuses(pc_fwd_bincount, 1, &k, none, PC_EINDEX, "bincount: class 0; classes count from 1");
  pc_tensor_release(x);
  pc_tensor_release(k);
}
END_TEST

int main(void) {
  Suite *s = suite_create("reduce");
  TCase *tc = tcase_create("reduce");
  tcase_set_timeout(tc, 60);
  tcase_add_test(tc, sums);
  tcase_add_test(tc, spreads);
  tcase_add_test(tc, norms);
  tcase_add_test(tc, logsumexps);
  tcase_add_test(tc, truths);
  tcase_add_test(tc, extremes);
  tcase_add_test(tc, whole_numbers_are_exact);
  tcase_add_test(tc, counts);
  tcase_add_test(tc, nothing_to_reduce);
  tcase_add_loop_test(tc, any_dims_any_strides, 0, 2);
  tcase_add_test(tc, long_sums_stay_accurate);
  tcase_add_test(tc, threads_change_no_bit);
  tcase_add_test(tc, messages);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
