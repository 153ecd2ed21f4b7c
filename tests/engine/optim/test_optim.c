/* test_optim.c: each optimiser against hand-computed steps; schedules; clipping; L-BFGS on Rosenbrock. */
#include "base/parallel.h"
#include "check_main.h"
#include "optim/optim.h"
#include "optim/schedule.h"

static pc_tensor *param(double a, double b, double ga, double gb) {
  pc_tensor *t = VEC(PC_F64, a, b), *g = VEC(PC_F64, ga, gb);
  must(pc_set_requires_grad(t, 1));
  must(pc_grad_set(t, g));
  pc_tensor_release(g);
  return t;
}

START_TEST(sgd_momentum) {
  pc_optim *o;
  pc_tensor *x = param(1, -2, 0.5, 1);
  must(pc_optim_new(&o, PC_OPTIM_SGD));
  must(pc_optim_add_group(o, &x, 1, &(pc_optim_opts){.lr = 0.1, .momentum = 0.9, .weight_decay = 0.1}));
  must(pc_optim_step(o)); /* d = g + .1x = .6, .8; buf = d */
  close_to(pc_f64(x)[0], 1 - 0.1 * 0.6, 1e-12);
  close_to(pc_f64(x)[1], -2 - 0.1 * 0.8, 1e-12);
  must(pc_optim_step(o)); /* d = .5 + .094; buf = .54 + .594 */
  close_to(pc_f64(x)[0], 0.94 - 0.1 * (0.9 * 0.6 + 0.594), 1e-12);
  pc_optim_release(o);
  pc_tensor_release(x);
}
END_TEST

START_TEST(nesterov) {
  pc_optim *o;
  pc_tensor *x = param(1, 0, 1, 0);
  must(pc_optim_new(&o, PC_OPTIM_SGD));
  must(pc_optim_add_group(o, &x, 1, &(pc_optim_opts){.lr = 0.1, .momentum = 0.5, .nesterov = 1}));
  must(pc_optim_step(o)); /* buf = 1, d = 1 + .5*1 */
  close_to(pc_f64(x)[0], 1 - 0.15, 1e-12);
  must_fail(pc_optim_add_group(o, &x, 1, &(pc_optim_opts){.nesterov = 1}), PC_EARG, "nesterov needs momentum");
  pc_optim_release(o);
  pc_tensor_release(x);
}
END_TEST

static double adam_by_hand(double x, double g, int steps, double lr, double l2, double decoupled) {
  double m = 0, v = 0;
  for (int t = 1; t <= steps; t++) {
    double d = g + l2 * x;
    m = 0.9 * m + 0.1 * d;
    v = 0.999 * v + 0.001 * d * d;
    x = x * (1 - lr * decoupled) - lr * (m / (1 - pow(0.9, t))) / (sqrt(v / (1 - pow(0.999, t))) + 1e-8);
  }
  return x;
}

START_TEST(adam_and_adamw) {
  for (int w = 0; w < 2; w++) {
    pc_optim *o;
    pc_tensor *x = param(1, -2, 0.3, -4);
    must(pc_optim_new(&o, w ? PC_OPTIM_ADAMW : PC_OPTIM_ADAM));
    must(pc_optim_add_group(
        o, &x, 1, &(pc_optim_opts){.lr = 0.01, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.2}));
    for (int t = 0; t < 5; t++) must(pc_optim_step(o));
    close_to(pc_f64(x)[0], adam_by_hand(1, 0.3, 5, 0.01, w ? 0 : 0.2, w ? 0.2 : 0), 1e-10);
    close_to(pc_f64(x)[1], adam_by_hand(-2, -4, 5, 0.01, w ? 0 : 0.2, w ? 0.2 : 0), 1e-10);
    pc_optim_release(o);
    pc_tensor_release(x);
  }
}
END_TEST

START_TEST(groups_and_frozen) {
  pc_optim *o;
  pc_tensor *x = param(1, 1, 1, 1), *y = param(1, 1, 1, 1), *frozen = VEC(PC_F64, 1, 1);
  must(pc_optim_new(&o, PC_OPTIM_SGD));
  must(pc_optim_add_group(o, &x, 1, &(pc_optim_opts){.lr = 0.1}));
  must(pc_optim_add_group(o, (pc_tensor *[]){frozen, y}, 2, &(pc_optim_opts){.lr = 0.2}));
  must_fail(pc_optim_add_group(o, &frozen, 1, NULL), PC_EARG, "no parameter wants a gradient");
  must_fail(pc_optim_add_group(o, &x, 1, &(pc_optim_opts){.lr = -1}), PC_EARG,
            "sgd: lr: expected a number >= 0, got -1");
  must(pc_optim_step(o));
  close_to(pc_f64(x)[0], 0.9, 1e-12);
  close_to(pc_f64(y)[0], 0.8, 1e-12);
  close_to(pc_f64(frozen)[0], 1, 0);
  pc_optim_set_lr(o, -1, 0.5);
  close_to(pc_optim_lr(o, 1), 0.5, 0);
  double norm;
  must(pc_optim_clip_grad_norm(o, 1.0, &norm));
  close_to(norm, 2, 1e-12);
  close_to(pc_f64(pc_grad_get(x))[0], 0.5, 1e-6);
  pc_optim_release(o);
  pc_tensor_release(x);
  pc_tensor_release(y);
  pc_tensor_release(frozen);
}
END_TEST

START_TEST(threads_do_not_matter) {
  pc_tensor *x[2], *g;
  int64_t n = 200001;
  for (int k = 0; k < 2; k++) {
    pc_optim *o;
    pc_rng r = {0};
    pc_set_num_threads(k + 1);
    must(pc_tensor_empty(&x[k], PC_F32, 1, &n));
    must(pc_tensor_empty(&g, PC_F32, 1, &n));
    pc_rng_fill_normal_f32(&r, pc_f32(x[k]), n);
    pc_rng_fill_normal_f32(&r, pc_f32(g), n);
    must(pc_set_requires_grad(x[k], 1));
    must(pc_grad_set(x[k], g));
    must(pc_optim_new(&o, PC_OPTIM_ADAM));
    must(pc_optim_add_group(o, &x[k], 1, NULL));
    for (int t = 0; t < 3; t++) must(pc_optim_step(o));
    pc_optim_release(o);
    pc_tensor_release(g);
  }
  ck_assert_mem_eq(pc_f32(x[0]), pc_f32(x[1]), sizeof(float) * (size_t)n);
  pc_tensor_release(x[0]);
  pc_tensor_release(x[1]);
}
END_TEST

START_TEST(schedules) {
  pc_schedule warm[] = {{.kind = PC_SCHED_LINEAR, .value = 0, .end = 1, .steps = 10},
                        {.kind = PC_SCHED_CONSTANT, .value = 1, .steps = 5},
                        {.kind = PC_SCHED_COSINE, .value = 1, .end = 0.2, .steps = 10}};
  must(pc_schedule_check(warm, 3));
  close_to(pc_schedule_at(warm, 3, 0), 0, 0);
  close_to(pc_schedule_at(warm, 3, 5), 0.5, 1e-12);
  close_to(pc_schedule_at(warm, 3, 12), 1, 0);
  close_to(pc_schedule_at(warm, 3, 20), 0.6, 1e-12);
  close_to(pc_schedule_at(warm, 3, 500), 0.2, 1e-12);
  pc_schedule drop = {.kind = PC_SCHED_STEP, .value = 8, .gamma = 0.5, .every = 3};
  close_to(pc_schedule_at(&drop, 1, 8), 2, 1e-12);
  pc_schedule decay = {.kind = PC_SCHED_EXP, .value = 1, .gamma = 0.1, .every = 2};
  close_to(pc_schedule_at(&decay, 1, 2), 0.1, 1e-12);
  warm[1].steps = 0;
  must_fail(pc_schedule_check(warm, 3), PC_EARG, "never reached");
}
END_TEST

static int rosenbrock(void *ctx, const double *x, double *f, double *g, int64_t n) {
  *f = 0;
  memset(g, 0, sizeof *g * (size_t)n);
  for (int64_t i = 0; i + 1 < n; i++) {
    double a = x[i + 1] - x[i] * x[i], b = 1 - x[i];
    *f += 100 * a * a + b * b;
    g[i] += -400 * a * x[i] - 2 * b;
    g[i + 1] += 200 * a;
  }
  return PC_OK;
}

static int failing(void *ctx, const double *x, double *f, double *g, int64_t n) {
  return pc_fail(PC_ECALLBACK, "no value");
}

START_TEST(lbfgs) {
  double x[6] = {-1.2, 1, -1.2, 1, 0, 0};
  pc_lbfgs_result r;
  pc_lbfgs_opts with = PC_LBFGS_OPTS_INIT;
  with.max_iter = 300;
  must(pc_lbfgs(x, 6, rosenbrock, NULL, &with, &r));
  ck_assert_int_eq(r.converged, 1);
  for (int i = 0; i < 6; i++) close_to(x[i], 1, 1e-5);
  ck_assert_int_lt(r.evaluations, 200);
  must_fail(pc_lbfgs(x, 6, failing, NULL, NULL, &r), PC_ECALLBACK, "no value");
}
END_TEST

static Suite *optim_suite(void) {
  Suite *s = suite_create("optim");
  TCase *tc = tcase_create("optim");
  tcase_add_test(tc, sgd_momentum);
  tcase_add_test(tc, nesterov);
  tcase_add_test(tc, adam_and_adamw);
  tcase_add_test(tc, groups_and_frozen);
  tcase_add_test(tc, threads_do_not_matter);
  tcase_add_test(tc, schedules);
  tcase_add_test(tc, lbfgs);
  suite_add_tcase(s, tc);
  return s;
}

SUITE_MAIN(optim_suite)
