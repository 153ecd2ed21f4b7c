/* test_inverter.c: search by every method against the exact minimum of a linear decoder, and on curved ones;
 * early stopping, chunks, starts, targets, the entropy term, traces, cost, NaN, lack of memory. */
#include "base/alloc.h"
#include "engine/nn/modules.h"
#include "grad/ops_linalg.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_shape.h"
#include "inverter/inverter.h"
#include "options.h"

#define INVERT(...) WITH(pc_invert_opts, PC_INVERT_OPTIONS, __VA_ARGS__)

enum { METHODS = PC_INVERT_METHODS };

enum { P = 6, D = 4 }; /* pixels, latents (2 slots of 2) */

/* f(z) = A (z + bend sin z), images (B,2,3,1); beyond |z_i| > wall: NaN */
typedef struct affine {
  pc_tensor *a; /* (P,D) */
  int calls, fail_at, bad_shape;
  double bend, wall;
  int64_t decoded; /* images */
} affine;

static int decode(void *ctx, pc_tensor *z, pc_tensor **image) {
  affine *f = ctx;
  pc_scope s = {0};
  *image = NULL;
  if (++f->calls == f->fail_at) return pc_fail(PC_ECALLBACK, "the decoder gave up");
  int64_t b = z->size[0];
  f->decoded += b;
  pc_tensor *flat = pc_reshape(&s, z, 2, (int64_t[]){b, D});
  if (f->bend != 0) flat = pc_add(&s, flat, pc_mul_scalar(&s, pc_op1(&s, PC_OP_sin, flat), f->bend));
  for (int64_t i = 0; f->wall > 0 && i < b * D; i++)
    if (!(fabs(pc_at(z, i)) <= f->wall))
      flat = pc_op1(&s, PC_OP_log, pc_mul_scalar(&s, pc_op1(&s, PC_OP_exp, flat), -1));
  pc_tensor *y = pc_linear(&s, flat, f->a, NULL);
  y = f->bad_shape ? y : pc_reshape(&s, y, 4, (int64_t[]){b, 2, 3, 1});
  int rc = pc_scope_end(&s, &y, 1);
  *image = y;
  return rc;
}

static affine make(pc_dtype d) {
  affine f = {.a = NORMAL(d, 7, P, D)};
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
                   &INVERT(.method = (pc_invert_method)_i, .steps = 3000, .lr = 0.02, .prior = prior, .tol = 1e-14,
                           .patience = {1, 100})));
    for (int b = 0; b < 5; b++) {
      exact(want, &f, pc_f64(x) + b * P, prior);
      for (int i = 0; i < D; i++) close_to(pc_f64(r.z)[b * D + i], want[i], 1e-3);
      close_to(pc_f64(r.loss)[b], loss_of(&f, want, pc_f64(x) + b * P, prior), 1e-6);
      if (_i == PC_INVERT_LM) ck_assert_int_lt(pc_i64(r.steps)[b], 12);
      if (_i == PC_INVERT_LBFGS) ck_assert_int_lt(pc_i64(r.steps)[b], 200);
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
  must(pc_invert(&r, decode, &f, x, z0, &INVERT(.steps = 10, .lr = 1e6, .trace = 1)));
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
  must(pc_invert(&r, decode, &f, x, z0, &INVERT(.steps = 7, .tol = -1, .trace = 1)));
  close_to(r.evaluations, 3 * (2 * 7 + 1), 0); /* 7 decodes with their backward pass, and where the last step led */
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
  pc_invert_opts o =
      INVERT(.method = (pc_invert_method)_i, .steps = 400, .lr = 0.1, .tol = 1e-3, .patience = {1, 5}, .trace = 1);
  /* differences magnify what the width of a product rounds */
  const double tol = _i == PC_INVERT_LM ? 1e-5 : 1e-9;
  f.bend = _i ? 0.5 : 0;
  for (int b = 0; b < N; b += 2) { /* some start where they end */
    double z[D];
    exact(z, &f, pc_f64(x) + b * P, 0);
    for (int i = 0; i < D; i++) pc_f64(z0)[b * D + i] = z[i] + 0.2 * (b + 1) / N;
  }
  pc_invert_result all, part, one;
  must(pc_invert(&all, decode, &f, x, z0, &o));
  o.batch = (pc_maybe_int64){1, 2};
  must(pc_invert(&part, decode, &f, x, z0, &o));
  close_to(all.evaluations, part.evaluations, 0);
  int64_t low = 400, high = 0;
  double sum = 0;
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
      close_to(pc_f64(all.z)[b * D + i], pc_f64(one.z)[i], tol);
      close_to(pc_f64(part.z)[b * D + i], pc_f64(one.z)[i], tol);
    }
    for (int t = 0; t <= 400; t++) close_to(pc_f64(all.trace)[b * 401 + t], pc_f64(one.trace)[t], tol);
    close_to(pc_f64(all.trace)[b * 401 + 400], pc_f64(all.trace)[b * 401 + steps], 0); /* repeated after the stop */
    pc_invert_result_release(&one);
    pc_tensor_release(xb);
    pc_tensor_release(zb);
  }
  ck_assert_int_lt(low, high);
  ck_assert_int_lt(high, 400);
  close_to(all.evaluations, sum, 0);
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
  pc_f32(x)[P] = _i % 2 ? INFINITY : NAN; /* image 2 */
  pc_invert_result r, clean;
  const pc_invert_opts o = INVERT(.method = (pc_invert_method)(_i / 2), .steps = 50);
  must(pc_invert(&r, decode, &f, x, z0, &o));
  ck_assert(!isfinite(pc_f32(r.loss)[1]));
  ck_assert_int_eq(pc_u8(r.converged)[1], 0);
  ck_assert_int_lt(pc_i64(r.steps)[1], 50); /* it does not go on for nothing */
  ck_assert_mem_eq(pc_f32(r.z) + D, pc_f32(z0) + D, sizeof(float) * D);
  pc_f32(x)[P] = 0;
  must(pc_invert(&clean, decode, &f, x, z0, &o));
  for (int b = 0; b < 3; b += 2)
    for (int i = 0; i < D; i++) close_to((double)pc_f32(r.z)[b * D + i], (double)pc_f32(clean.z)[b * D + i], 1e-5);
  pc_invert_result_release(&r);
  pc_invert_result_release(&clean);
  pc_tensor_release(x);
  pc_tensor_release(z0);
  pc_tensor_release(f.a);
}
END_TEST

/* What every method promises wherever it starts and whatever the decoder does beyond a wall. */
START_TEST(keeps_its_promises) {
  enum { N = 17 };
  for (int dtype = 0; dtype < 2; dtype++) {
    pc_dtype d = dtype ? PC_F64 : PC_F32;
    affine f = make(d);
    pc_tensor *x = NORMAL(d, 1, N, 2, 3, 1), *z0 = NORMAL(d, 2, N, 2, 2);
    pc_invert_result r, start;
    for (int64_t i = 0; i < N * D; i++) {
      double v = pc_at(z0, i);
      v = v > 1.9 ? 1.9 : v < -1.9 ? -1.9 : v;
      if (d == PC_F32)
        pc_f32(z0)[i] = (float)v;
      else
        pc_f64(z0)[i] = v;
    }
    f.bend = 0.9, f.wall = 2;
    must(pc_invert(&start, decode, &f, x, z0, &INVERT(.steps = 1, .lr = 1e-30)));
    f.decoded = 0;
    must(pc_invert(&r, decode, &f, x, z0,
                   &INVERT(.method = (pc_invert_method)_i, .steps = 40, .lr = 0.1, .trace = 1, .prior = 0.1)));
    double cost = 0, better = 0;
    for (int64_t b = 0; b < N; b++) {
      double zz = 0, low = pc_at(r.trace, b * 41), was = pc_at(start.loss, b);
      for (int i = 0; i < D; i++) {
        ck_assert(fabs(pc_at(r.z, b * D + i)) <= 2.0001);
        zz += pc_at(z0, b * D + i) * pc_at(z0, b * D + i);
      }
      close_to(low, was + 0.1 * zz, 1e-4);
      ck_assert(isfinite(pc_at(r.loss, b)) && pc_at(r.loss, b) <= low);
      better += low - pc_at(r.loss, b) > 0.01 * low;
      for (int t = 0; t <= 40; t++) low = fmin(low, pc_at(r.trace, b * 41 + t)); /* fmin passes over a NaN */
      close_to(pc_at(r.loss, b), low, 1e-5);
      cost += pc_f64(r.cost)[b];
      ck_assert(pc_f64(r.seconds)[b] > 0 && pc_f64(r.seconds)[b] < 60);
      ck_assert_int_eq(pc_i64(r.start)[b], 1);
    }
    ck_assert(better > N / 2);
    close_to(r.evaluations, cost, 0);
    ck_assert(r.evaluations >= (double)f.decoded &&
              r.evaluations <= 2 * (double)f.decoded); /* 1, or 2 with a backward */
    pc_invert_result_release(&r);
    pc_invert_result_release(&start);
    pc_tensor_release(x);
    pc_tensor_release(z0);
    pc_tensor_release(f.a);
  }
}
END_TEST

/* A linear decoder needs one Jacobian: 1 + D decodes, then 1 a step. */
START_TEST(lm_counts) {
  affine f = make(PC_F64);
  pc_tensor *x = NORMAL(PC_F64, 1, 3, 2, 3, 1), *z0 = NORMAL(PC_F64, 2, 3, 2, 2);
  pc_invert_result r;
  must(pc_invert(&r, decode, &f, x, z0, &INVERT(.method = PC_INVERT_LM, .steps = 1, .tol = -1)));
  for (int b = 0; b < 3; b++) {
    close_to(pc_f64(r.cost)[b], 1 + D + 1, 0);
    ck_assert_int_eq(pc_i64(r.steps)[b], 1);
    ck_assert_int_eq(pc_u8(r.converged)[b], 0);
  }
  ck_assert_int_eq(f.decoded, 3 * (1 + D + 1));
  pc_invert_result_release(&r);
  pc_tensor_release(x);
  pc_tensor_release(z0);
  pc_tensor_release(f.a);
}
END_TEST

/* Broyden's updates earn their keep: fewer Jacobians than steps on a curved decoder, the same minimum. */
START_TEST(lm_reuses_the_jacobian) {
  enum { N = 8 };
  affine f = make(PC_F64);
  pc_tensor *x, *z = NORMAL(PC_F64, 1, N, 2, 2), *z0 = NORMAL(PC_F64, 2, N, 2, 2);
  pc_invert_result r;
  f.bend = 0.5;
  must(decode(&f, z, &x));
  must(pc_invert(&r, decode, &f, x, z0, &INVERT(.method = PC_INVERT_LM, .steps = 60, .tol = 1e-9)));
  for (int b = 0; b < N; b++) { /* an exact inverse: z + 0.5 sin z rises */
    for (int i = 0; i < D; i++) close_to(pc_f64(r.z)[b * D + i], pc_f64(z)[b * D + i], 1e-4);
    double jacobians = (pc_f64(r.cost)[b] - 1 - (double)pc_i64(r.steps)[b]) / D;
    ck_assert(jacobians >= 1 && jacobians <= 0.67 * (double)pc_i64(r.steps)[b]);
  }
  pc_invert_result_release(&r);
  pc_tensor_release(x);
  pc_tensor_release(z);
  pc_tensor_release(z0);
  pc_tensor_release(f.a);
}
END_TEST

START_TEST(best_of_several_starts) {
  enum { N = 3, S = 4 };
  affine f = make(PC_F64);
  pc_tensor *x = NORMAL(PC_F64, 1, N, 2, 3, 1), *starts = NORMAL(PC_F64, 2, S, N, 2, 2);
  pc_invert_result all, one;
  pc_invert_opts o = INVERT(.method = (pc_invert_method)_i, .steps = 3, .trace = 1, .tol = -1);
  f.bend = 0.9;
  must(pc_invert(&all, decode, &f, x, starts, &o));
  shape_is(all.z, "(3,2,2)");
  double low[N], cost[N] = {0};
  int64_t won[N] = {0};
  for (int64_t s = 0; s < S; s++) {
    pc_tensor *z0, *narrow;
    must(pc_view_narrow(&narrow, starts, 0, s, 1, 1));
    must(pc_view_reshape(&z0, narrow, 3, (int64_t[]){N, 2, 2}));
    must(pc_invert(&one, decode, &f, x, z0, &o));
    for (int b = 0; b < N; b++) {
      cost[b] += pc_f64(one.cost)[b];
      if (s && pc_f64(one.loss)[b] >= low[b]) continue;
      low[b] = pc_f64(one.loss)[b];
      won[b] = s + 1;
    }
    pc_invert_result_release(&one);
    pc_tensor_release(z0);
    pc_tensor_release(narrow);
  }
  for (int b = 0; b < N; b++) {
    close_to(pc_f64(all.loss)[b], low[b], 1e-9);
    ck_assert_int_eq(pc_i64(all.start)[b], won[b]);
    close_to(pc_f64(all.cost)[b], cost[b], 0);
    double least = INFINITY;
    for (int t = 0; t <= 3; t++) least = fmin(least, pc_f64(all.trace)[b * 4 + t]);
    close_to(least, low[b], 1e-9);
  }
  pc_invert_result_release(&all);
  pc_tensor_release(x);
  pc_tensor_release(starts);
  pc_tensor_release(f.a);
}
END_TEST

START_TEST(stops_at_its_target) {
  affine f = make(PC_F64);
  const int64_t n = 4;
  pc_tensor *x = NORMAL(PC_F64, 1, 4, 2, 3, 1), *z0 = NORMAL(PC_F64, 2, 4, 2, 2), *target;
  pc_invert_result free_run, r;
  pc_invert_opts o = INVERT(.method = (pc_invert_method)_i, .steps = 200, .lr = 0.05, .tol = -1);
  must(pc_invert(&free_run, decode, &f, x, z0, &o));
  must(pc_tensor_zeros(&target, PC_F64, 1, &n));
  for (int b = 0; b < 4; b++)
    pc_f64(target)[b] = b == 3 ? 0 : pc_f64(free_run.loss)[b] * 1.01 + 1e-9; /* 3: out of reach */
  o.target = target;
  must(pc_invert(&r, decode, &f, x, z0, &o));
  for (int b = 0; b < 4; b++) {
    if (b == 3) { /* to the end, or until float can go no lower */
      if (_i != PC_INVERT_LBFGS) ck_assert_int_eq(pc_i64(r.steps)[b], 200);
      continue;
    }
    ck_assert_int_eq(pc_u8(r.converged)[b], 1);
    ck_assert(pc_f64(r.loss)[b] <= pc_f64(target)[b]);
    ck_assert(pc_f64(r.cost)[b] < pc_f64(free_run.cost)[b]);
    ck_assert_int_lt(pc_i64(r.steps)[b], 200);
  }
  pc_invert_result_release(&free_run);
  pc_invert_result_release(&r);
  pc_tensor_release(x);
  pc_tensor_release(z0);
  pc_tensor_release(target);
  pc_tensor_release(f.a);
}
END_TEST

/* Two heads: slot 1 through w, slot 2 as it is. */
static int heads(void *ctx, pc_tensor *z, pc_tensor **logits, int *n) {
  pc_scope s = {0};
  logits[0] = pc_linear(&s, pc_select(&s, z, 1, 0), ctx, NULL);
  logits[1] = pc_mul_scalar(&s, pc_select(&s, z, 1, 1), 3);
  *n = 2;
  int rc = pc_scope_end(&s, logits, 2);
  if (rc < 0) *n = 0;
  return rc;
}

static double entropy_of(const double *l, int n) {
  double sum = 0, h = 0, e[8];
  for (int i = 0; i < n; i++) sum += e[i] = exp(l[i]);
  for (int i = 0; i < n; i++) h -= e[i] / sum * log(e[i] / sum);
  return h;
}

static double heads_entropy(const pc_tensor *w, const double *z) {
  double a[3], b[2] = {3 * z[2], 3 * z[3]};
  for (int i = 0; i < 3; i++) a[i] = pc_f64(w)[2 * i] * z[0] + pc_f64(w)[2 * i + 1] * z[1];
  return entropy_of(a, 3) + entropy_of(b, 2);
}

START_TEST(entropy_of_a_readout) {
  affine f = make(PC_F64);
  pc_tensor *x = NORMAL(PC_F64, 1, 5, 2, 3, 1), *z0 = NORMAL(PC_F64, 2, 5, 2, 2), *w = NORMAL(PC_F64, 3, 3, 2);
  pc_invert_result r, plain;
  pc_invert_opts o = INVERT(.method = (pc_invert_method)_i, .steps = 300, .lr = 0.02, .tol = 1e-10, .patience = {1, 50},
                            .prior = 0.05);
  must(pc_invert(&plain, decode, &f, x, z0, &o));
  o.entropy = 0.7, o.readout = heads, o.readout_ctx = w;
  must(pc_invert(&r, decode, &f, x, z0, &o));
  for (int b = 0; b < 5; b++) {
    const double *z = pc_f64(r.z) + b * D, *p = pc_f64(plain.z) + b * D, *xb = pc_f64(x) + b * P;
    close_to(pc_f64(r.loss)[b], loss_of(&f, z, xb, 0.05) + 0.7 * heads_entropy(w, z), 1e-8);
    ck_assert(heads_entropy(w, z) < heads_entropy(w, p));
    ck_assert(pc_f64(r.loss)[b] < pc_f64(plain.loss)[b] + 0.7 * heads_entropy(w, p));
  }
  pc_invert_result_release(&r);
  pc_invert_result_release(&plain);
  pc_tensor *all[] = {x, z0, w, f.a};
  for (int i = 0; i < 4; i++) pc_tensor_release(all[i]);
}
END_TEST

/* No weight gradient is made, in memory or in .grad; what wanted gradients still does. */
START_TEST(weights_are_left_alone) {
  pc_module *m;
  pc_alloc_stats before, after;
  must(pc_decoder_mlp(&m, &PC_OPTIONS_WITH(pc_mlp_decoder_opts, PC_MLP_DECODER_OPTIONS, .slots = 2, .slot_dim = 2,
                                           .height = 16, .hidden = 1024, .layers = 2)));
  pc_tensor *x = NORMAL(PC_F32, 1, 2, 16, 16, 3), *z0 = NORMAL(PC_F32, 2, 2, 2, 2);
  int64_t weights = pc_module_count(m) * 4;
  for (int pass = 0; pass < 2; pass++) {
    pc_invert_result r;
    pc_invert_opts o = INVERT(.method = (pc_invert_method)_i, .steps = 3, .tol = -1);
    pc_alloc_reset_peak();
    pc_alloc_get_stats(&before);
    if (pass)
      must(pc_invert(&r, pc_decode_module, m, x, z0, &o)); /* weights that want gradients all along */
    else
      must(pc_invert_module(&r, m, x, z0, &o));
    pc_alloc_get_stats(&after);
    ck_assert_int_lt(after.peak - before.live, weights / 4);
    pc_invert_result_release(&r);
    pc_tensor *w = pc_module_get(m, "net.1.weight");
    ck_assert_int_eq(pc_requires_grad(w), 1);
    ck_assert_ptr_null(pc_grad_get(w));
  }
  pc_tensor_release(x);
  pc_tensor_release(z0);
  pc_module_release(m);
}
END_TEST

/* The closed form of a decoder leads where differences lead, for less. */
START_TEST(closed_form_jacobian) {
  pc_module *m;
  must(pc_decoder_render(
      &m, &PC_OPTIONS_WITH(pc_render_decoder_opts, PC_RENDER_DECODER_OPTIONS, .slots = 3, .slot_dim = 4, .height = 8,
                           .patch = 2, .hidden = 16, .window = _i ? 2 : 0))); /* with windows */
  pc_tensor *z = NORMAL(PC_F32, 1, 7, 3, 4), *z0 = NORMAL(PC_F32, 2, 7, 3, 4), *x;
  pc_invert_result own, differences;
  pc_invert_opts o = INVERT(.method = PC_INVERT_LM, .steps = 1, .tol = -1);
  must(pc_set_requires_grad(z, 0));
  must(pc_decode_module(m, z, &x));
  pc_tensor *plain;
  must(pc_detach(&plain, x));
  must(pc_invert_module(&own, m, plain, z0, &o));
  must(pc_invert(&differences, pc_decode_module, m, plain, z0, &o));
  for (int i = 0; i < 7 * 12; i++) close_to((double)pc_f32(own.z)[i], (double)pc_f32(differences.z)[i], 2e-2);
  close_to(pc_f64(own.cost)[0], 1 + 5 + 1, 0);
  close_to(pc_f64(differences.cost)[0], 1 + 12 + 1, 0);
  pc_invert_result_release(&own);
  pc_invert_result_release(&differences);
  pc_tensor *all[] = {x, plain, z, z0};
  for (int i = 0; i < 4; i++) pc_tensor_release(all[i]);
  pc_module_release(m);
}
END_TEST

/* The nth allocation fails, for every n: an error, nothing lost, nothing left switched. */
START_TEST(lack_of_memory) {
  affine f = make(PC_F32);
  pc_tensor *x = NORMAL(PC_F32, 1, 3, 2, 3, 1), *z0 = NORMAL(PC_F32, 2, 2, 3, 2, 2), *w = NORMAL(PC_F32, 3, 3, 2);
  pc_invert_opts o = INVERT(.method = (pc_invert_method)_i, .steps = 3, .tol = -1, .batch = {1, 4}, .trace = 1,
                            .prior = 0.1, .entropy = 0.1, .readout = heads, .readout_ctx = w);
  pc_alloc_stats before, after;
  pc_invert_result r;
  int n = 1, rc = PC_ENOMEM;
  must(pc_invert(&r, decode, &f, x, z0, &o));
  pc_invert_result_release(&r);
  pc_alloc_get_stats(&before);
  for (; rc < 0 && n < 5000; n++) {
    pc_alloc_fail_nth(n);
    rc = pc_invert(&r, decode, &f, x, z0, &o);
    pc_alloc_fail_nth(0);
    if (rc < 0) {
      ck_assert_int_eq(rc, PC_ENOMEM);
      ck_assert_ptr_null(r.z);
      ck_assert_int_eq(pc_grad_enabled(), 1);
      pc_alloc_get_stats(&after);
      ck_assert_int_eq(after.live, before.live);
    }
  }
  ck_assert_int_gt(n, 20);
  ck_assert_int_lt(n, 5000);
  pc_invert_result_release(&r);
  pc_tensor *all[] = {x, z0, w, f.a};
  for (int i = 0; i < 4; i++) pc_tensor_release(all[i]);
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
            "images (3,2,3,1) need as many slots (B,K,m), or (S,B,K,m) for S starts, got (2,2,2)");
  must_fail(pc_invert(&r, decode, &f, x, wide, NULL), PC_EDTYPE, "images are f32 and slots f64");
  must_fail(pc_invert(&r, decode, &f, bytes, z0, NULL), PC_EDTYPE, "images are u8");
  must_fail(pc_invert(&r, decode, &f, x, z0, &INVERT(.steps = -1)), PC_EARG,
            "search: steps: expected an integer >= 0, got -1");
  must_fail(pc_invert(&r, decode, &f, x, z0, &INVERT(.entropy = 1)), PC_EARG, "needs a readout");
  must_fail(pc_invert(&r, decode, &f, x, z0, &INVERT(.prior = -1)), PC_EARG,
            "search: prior: expected a number >= 0, got -1");
  must_fail(pc_invert(&r, decode, &f, x, z0, &INVERT(.target = less)), PC_ESHAPE,
            "3 images need one target or as many, got (2,2,2)");
  must_fail(pc_invert(&r, decode, &f, x, z0, &INVERT(.method = 7)), PC_EARG, "search: method: expected one of adam|lm");
  must_fail(pc_invert(&r, decode, &f, x, z0, &INVERT(.patience = {1, 0})), PC_EARG, "search: patience: expected");
  must_fail(pc_invert(&r, decode, &f, x, z0, &INVERT(.batch = {1, 0})), PC_EARG, "search: batch: expected");
  for (int m = 0; m < 3; m++) { /* zero steps and a rate of zero are what they say */
    must(pc_invert(&r, decode, &f, x, z0, &INVERT(.method = m, .steps = 0, .trace = 1)));
    ck_assert_mem_eq(pc_data(r.z), pc_data(z0), sizeof(float) * (size_t)pc_numel(z0));
    shape_is(r.trace, "(3,1)");
    pc_invert_result_release(&r);
    if (m == PC_INVERT_LM) continue;
    must(pc_invert(&r, decode, &f, x, z0, &INVERT(.method = m, .steps = 4, .lr = 0)));
    ck_assert_mem_eq(pc_data(r.z), pc_data(z0), sizeof(float) * (size_t)pc_numel(z0));
    pc_invert_result_release(&r);
  }
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
  tcase_add_loop_test(tc, finds_the_least_squares_solution, 0, METHODS);
  tcase_add_test(tc, never_worse_than_the_start);
  tcase_add_test(tc, counts_and_traces);
  tcase_add_loop_test(tc, company_changes_nothing, 0, METHODS);
  tcase_add_loop_test(tc, nan_stays_where_it_is, 0, 2 * METHODS);
  tcase_add_loop_test(tc, keeps_its_promises, 0, METHODS);
  tcase_add_test(tc, lm_counts);
  tcase_add_test(tc, lm_reuses_the_jacobian);
  tcase_add_loop_test(tc, best_of_several_starts, 0, METHODS);
  tcase_add_loop_test(tc, stops_at_its_target, 0, METHODS);
  tcase_add_loop_test(tc, entropy_of_a_readout, 0, METHODS);
  tcase_add_loop_test(tc, weights_are_left_alone, 0, METHODS);
  tcase_add_loop_test(tc, closed_form_jacobian, 0, 2);
  tcase_add_loop_test(tc, lack_of_memory, 0, METHODS);
  tcase_add_test(tc, nothing_to_do);
  tcase_add_test(tc, messages);
  suite_add_tcase(s, tc);
  return s;
}

SUITE_MAIN(inverter_suite)
