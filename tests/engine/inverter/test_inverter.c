/* test_inverter.c: search against the exact minimum of a linear decoder; early stopping, chunks, traces, NaN. */
#include "engine/nn/modules.h"
#include "grad/ops_linalg.h"
#include "grad/ops_shape.h"
#include "inverter/inverter.h"

enum { P = 6, D = 4 }; /* pixels, latents (2 slots of 2) */

/* f(z) = A z, images (B,2,3,1) */
typedef struct affine {
  pc_tensor *a; /* (P,D) */
  int calls, fail_at, bad_shape;
} affine;

static int decode(void *ctx, pc_tensor *z, pc_tensor **image) {
  affine *f = ctx;
  pc_scope s = {0};
  *image = NULL;
  if (++f->calls == f->fail_at) return pc_fail(PC_ECALLBACK, "the decoder gave up");
  int64_t b = z->size[0];
  pc_tensor *y = pc_linear(&s, pc_reshape(&s, z, 2, (int64_t[]){b, D}), f->a, NULL);
  y = f->bad_shape ? y : pc_reshape(&s, y, 4, (int64_t[]){b, 2, 3, 1});
  int rc = pc_scope_end(&s, &y, 1);
  *image = y;
  return rc;
}

static affine make(pc_dtype d) {
  affine f = {NORMAL(d, 7, P, D), 0, 0, 0};
  return f;
}

/* (A^T A + prior I) z = A^T x by elimination */
static void exact(double *z, const affine *f, const double *x, double prior) {
  double m[D][D + 1] = {{0}};
  const double *a = pc_f64(f->a);
  for (int i = 0; i < D; i++) {
    for (int j = 0; j < D; j++)
      for (int p = 0; p < P; p++) m[i][j] += a[p * D + i] * a[p * D + j];
    m[i][i] += prior;
    for (int p = 0; p < P; p++) m[i][D] += a[p * D + i] * x[p];
  }
  for (int i = 0; i < D; i++)
    for (int r = 0; r < D; r++) {
      double k = m[r][i] / m[i][i];
      for (int j = i; r != i && j <= D; j++) m[r][j] -= k * m[i][j];
    }
  for (int i = 0; i < D; i++) z[i] = m[i][D] / m[i][i];
}

static double loss_of(const affine *f, const double *z, const double *x, double prior) {
  double s = 0;
  for (int p = 0; p < P; p++) {
    double y = -x[p];
    for (int i = 0; i < D; i++) y += pc_f64(f->a)[p * D + i] * z[i];
    s += y * y;
  }
  for (int i = 0; i < D; i++) s += prior * z[i] * z[i];
  return s;
}

START_TEST(finds_the_least_squares_solution) {
  affine f = make(PC_F64);
  pc_tensor *x = NORMAL(PC_F64, 1, 5, 2, 3, 1), *z0 = NORMAL(PC_F64, 2, 5, 2, 2);
  for (int with_prior = 0; with_prior < 2; with_prior++) {
    double prior = with_prior ? 0.3 : 0, want[D];
    pc_invert_result r;
    must(pc_invert(&r, decode, &f, x, z0,
                   &(pc_invert_opts){.steps = 3000, .lr = 0.02, .prior = prior, .tol = 1e-14, .patience = 100}));
    for (int b = 0; b < 5; b++) {
      exact(want, &f, pc_f64(x) + b * P, prior);
      for (int i = 0; i < D; i++) close_to(pc_f64(r.z)[b * D + i], want[i], 1e-3);
      close_to(pc_f64(r.loss)[b], loss_of(&f, want, pc_f64(x) + b * P, prior), 1e-6);
    }
    ck_assert_ptr_null(r.trace);
    pc_invert_result_release(&r);
  }
  pc_tensor_release(x);
  pc_tensor_release(z0);
  pc_tensor_release(f.a);
}
END_TEST

START_TEST(never_worse_than_the_start) {
  affine f = make(PC_F64);
  pc_tensor *x = NORMAL(PC_F64, 1, 4, 2, 3, 1), *z0 = NORMAL(PC_F64, 2, 4, 2, 2);
  pc_invert_result r; /* an absurd rate: every step is worse */
  must(pc_invert(&r, decode, &f, x, z0, &(pc_invert_opts){.steps = 10, .lr = 1e6, .trace = 1}));
  ck_assert_mem_eq(pc_data(r.z), pc_data(z0), sizeof(double) * 16);
  for (int b = 0; b < 4; b++) {
    close_to(pc_f64(r.loss)[b], loss_of(&f, pc_f64(z0) + b * D, pc_f64(x) + b * P, 0), 1e-9);
    close_to(pc_f64(r.trace)[b * 11], pc_f64(r.loss)[b], 0);
    ck_assert(pc_f64(r.trace)[b * 11 + 10] > 1e6);
  }
  pc_invert_result_release(&r);
  pc_tensor_release(x);
  pc_tensor_release(z0);
  pc_tensor_release(f.a);
}
END_TEST

START_TEST(counts_and_traces) {
  affine f = make(PC_F64);
  pc_tensor *x = NORMAL(PC_F64, 1, 3, 2, 3, 1), *z0 = NORMAL(PC_F64, 2, 3, 2, 2);
  pc_invert_result r;
  must(pc_invert(&r, decode, &f, x, z0, &(pc_invert_opts){.steps = 7, .tol = -1, .trace = 1}));
  ck_assert_int_eq(r.evaluations, 3 * 8); /* 7 steps and where the last one led */
  ck_assert_int_eq(f.calls, 8);
  shape_is(r.trace, "(3,8)");
  shape_is(r.z, "(3,2,2)");
  for (int b = 0; b < 3; b++) {
    double low = pc_f64(r.trace)[b * 8];
    for (int t = 0; t < 8; t++) low = fmin(low, pc_f64(r.trace)[b * 8 + t]);
    close_to(pc_f64(r.loss)[b], low, 0);
    close_to(loss_of(&f, pc_f64(r.z) + b * D, pc_f64(x) + b * P, 0), low, 1e-9);
    ck_assert_int_eq(pc_i64(r.steps)[b], 7);
    ck_assert_int_eq(pc_u8(r.converged)[b], 0);
  }
  pc_invert_result_release(&r);
  pc_tensor_release(x);
  pc_tensor_release(z0);
  pc_tensor_release(f.a);
}
END_TEST

/* Images leave the batch at different steps; each gets what it would have got alone, and chunks change nothing. */
START_TEST(company_changes_nothing) {
  enum { N = 9 };
  affine f = make(PC_F64);
  pc_tensor *x = NORMAL(PC_F64, 1, N, 2, 3, 1), *z0 = NORMAL(PC_F64, 2, N, 2, 2);
  pc_invert_opts o = {.steps = 400, .lr = 0.1, .tol = 1e-3, .patience = 5, .trace = 1};
  for (int b = 0; b < N; b += 2) { /* some start where they end */
    double z[D];
    exact(z, &f, pc_f64(x) + b * P, 0);
    for (int i = 0; i < D; i++) pc_f64(z0)[b * D + i] = z[i] + 0.2 * (b + 1) / N;
  }
  pc_invert_result all, part, one;
  must(pc_invert(&all, decode, &f, x, z0, &o));
  o.batch = 2;
  must(pc_invert(&part, decode, &f, x, z0, &o));
  ck_assert_int_eq(all.evaluations, part.evaluations);
  int64_t sum = 0, low = 400, high = 0;
  for (int64_t b = 0; b < N; b++) {
    pc_tensor *xb, *zb;
    must(pc_view_narrow(&xb, x, 0, b, 1, 1));
    must(pc_view_narrow(&zb, z0, 0, b, 1, 1));
    must(pc_invert(&one, decode, &f, xb, zb, &o));
    int64_t steps = pc_i64(one.steps)[0];
    sum += one.evaluations;
    low = steps < low ? steps : low;
    high = steps > high ? steps : high;
    ck_assert_int_eq(pc_i64(all.steps)[b], steps);
    ck_assert_int_eq(pc_i64(part.steps)[b], steps);
    ck_assert_int_eq(pc_u8(all.converged)[b], steps < 400);
    for (int i = 0; i < D; i++) {
      close_to(pc_f64(all.z)[b * D + i], pc_f64(one.z)[i], 1e-9);
      close_to(pc_f64(part.z)[b * D + i], pc_f64(one.z)[i], 1e-9);
    }
    for (int t = 0; t <= 400; t++) close_to(pc_f64(all.trace)[b * 401 + t], pc_f64(one.trace)[t], 1e-9);
    close_to(pc_f64(all.trace)[b * 401 + 400], pc_f64(all.trace)[b * 401 + steps], 0); /* repeated after the stop */
    pc_invert_result_release(&one);
    pc_tensor_release(xb);
    pc_tensor_release(zb);
  }
  ck_assert_int_lt(low, high);
  ck_assert_int_lt(high, 400);
  ck_assert_int_eq(all.evaluations, sum);
  pc_invert_result_release(&all);
  pc_invert_result_release(&part);
  pc_tensor_release(x);
  pc_tensor_release(z0);
  pc_tensor_release(f.a);
}
END_TEST

START_TEST(nan_stays_where_it_is) {
  affine f = make(PC_F32);
  pc_tensor *x = NORMAL(PC_F32, 1, 3, 2, 3, 1), *z0 = NORMAL(PC_F32, 2, 3, 2, 2);
  pc_f32(x)[P] = NAN; /* image 2 */
  pc_invert_result r, clean;
  must(pc_invert(&r, decode, &f, x, z0, &(pc_invert_opts){.steps = 50}));
  ck_assert(isnan(pc_f32(r.loss)[1]));
  ck_assert_int_eq(pc_u8(r.converged)[1], 1); /* it does not go on for nothing */
  ck_assert_mem_eq(pc_f32(r.z) + D, pc_f32(z0) + D, sizeof(float) * D);
  pc_f32(x)[P] = 0;
  must(pc_invert(&clean, decode, &f, x, z0, &(pc_invert_opts){.steps = 50}));
  for (int b = 0; b < 3; b += 2)
    for (int i = 0; i < D; i++) close_to((double)pc_f32(r.z)[b * D + i], (double)pc_f32(clean.z)[b * D + i], 1e-5);
  pc_invert_result_release(&r);
  pc_invert_result_release(&clean);
  pc_tensor_release(x);
  pc_tensor_release(z0);
  pc_tensor_release(f.a);
}
END_TEST

START_TEST(nothing_to_do) {
  affine f = make(PC_F32);
  pc_tensor *x = NORMAL(PC_F32, 1, 0, 2, 3, 1), *z0 = NORMAL(PC_F32, 2, 0, 2, 2);
  pc_invert_result r;
  must(pc_invert(&r, decode, &f, x, z0, NULL));
  ck_assert_int_eq(f.calls, 0);
  shape_is(r.z, "(0,2,2)");
  pc_invert_result_release(&r);
  pc_tensor_release(x);
  pc_tensor_release(z0);
  pc_tensor_release(f.a);
}
END_TEST

START_TEST(messages) {
  affine f = make(PC_F32);
  pc_tensor *x = NORMAL(PC_F32, 1, 3, 2, 3, 1), *z0 = NORMAL(PC_F32, 2, 3, 2, 2), *less = NORMAL(PC_F32, 2, 2, 2, 2),
            *wide = NORMAL(PC_F64, 2, 3, 2, 2), *bytes;
  pc_invert_result r;
  must(pc_to_dtype(&bytes, x, PC_U8));
  must_fail(pc_invert(&r, decode, &f, x, less, NULL), PC_ESHAPE,
            "images (3,2,3,1) need as many slots (B,K,m), got (2,2,2)");
  must_fail(pc_invert(&r, decode, &f, x, wide, NULL), PC_EDTYPE, "images are f32 and slots f64");
  must_fail(pc_invert(&r, decode, &f, bytes, z0, NULL), PC_EDTYPE, "images are u8");
  must_fail(pc_invert(&r, decode, &f, x, z0, &(pc_invert_opts){.steps = -1}), PC_EARG, "must be at least 1");
  f.bad_shape = 1;
  must_fail(pc_invert(&r, decode, &f, x, z0, NULL), PC_ESHAPE, "the decoder gives (3,6) for images of shape (3,2,3,1)");
  f.bad_shape = 0, f.fail_at = f.calls + 3;
  must_fail(pc_invert(&r, decode, &f, x, z0, NULL), PC_ECALLBACK, "the decoder gave up");
  ck_assert_ptr_null(r.z);
  ck_assert_int_eq(pc_grad_enabled(), 1);
  ck_assert_int_eq(pc_requires_grad(z0), 0);
  pc_tensor *all[] = {x, z0, less, wide, bytes, f.a};
  for (int i = 0; i < 6; i++) pc_tensor_release(all[i]);
}
END_TEST

static Suite *inverter_suite(void) {
  Suite *s = suite_create("inverter");
  TCase *tc = tcase_create("inverter");
  tcase_set_timeout(tc, 60);
  tcase_add_test(tc, finds_the_least_squares_solution);
  tcase_add_test(tc, never_worse_than_the_start);
  tcase_add_test(tc, counts_and_traces);
  tcase_add_test(tc, company_changes_nothing);
  tcase_add_test(tc, nan_stays_where_it_is);
  tcase_add_test(tc, nothing_to_do);
  tcase_add_test(tc, messages);
  suite_add_tcase(s, tc);
  return s;
}

SUITE_MAIN(inverter_suite)
