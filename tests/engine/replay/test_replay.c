/* test_replay.c: marginals are kept, slots become independent. */
#include "engine/nn/modules.h"
#include "replay/mixture.h"
#include "replay/replay.h"
#include "options.h"

#define REPLAY(...) WITH(pc_replay_opts, PC_REPLAY_OPTIONS, __VA_ARGS__)

/* Bank row i: slot 1 holds (i, -i), slot 2 holds (100 + i, 0): perfectly dependent. */
static pc_tensor *dependent(pc_dtype d, int64_t rows) {
  pc_tensor *t, *u;
  must(pc_tensor_empty(&t, PC_F64, 3, (int64_t[]){rows, 2, 2}));
  for (int64_t i = 0; i < rows; i++) {
    double *z = pc_f64(t) + 4 * i;
    z[0] = (double)i, z[1] = -(double)i, z[2] = 100 + (double)i, z[3] = 0;
  }
  must(pc_to_dtype(&u, t, d));
  pc_tensor_release(t);
  return u;
}

START_TEST(empirical_marginals_and_independence) {
  enum { R = 5, N = 20000 };
  pc_tensor *bank = dependent(PC_F32, R), *z;
  pc_rng g = {11, 0};
  int joint[R][R] = {{0}};
  must(pc_replay_sample(&z, bank, N, PC_MARGINAL_EMPIRICAL, &g));
  shape_is(z, "(20000,2,2)");
  for (int64_t i = 0; i < N; i++) {
    const float *row = pc_f32(z) + 4 * i;
    int a = (int)row[0], b = (int)row[2] - 100;
    ck_assert(a >= 0 && a < R && b >= 0 && b < R);
    ck_assert(row[1] == -row[0] && row[3] == 0); /* a slot is drawn whole, in its place */
    joint[a][b]++;
  }
  double chi = 0, expected = (double)N / (R * R); /* 24 degrees of freedom: 99.99 % below 59 */
  for (int a = 0; a < R; a++)
    for (int b = 0; b < R; b++) chi += (joint[a][b] - expected) * (joint[a][b] - expected) / expected;
  ck_assert_msg(chi < 59, "chi square %g", chi);
  ck_assert_msg(chi > 6, "chi square %g: too even to be drawn", chi);
  pc_tensor_release(z);
  pc_tensor_release(bank);
}
END_TEST

START_TEST(gaussian_mean_and_covariance) {
  enum { R = 500, N = 40000 };
  pc_tensor *bank = NORMAL(PC_F64, 3, R, 2, 3), *z;
  pc_rng g = {12, 0};
  for (int64_t i = 0; i < R; i++) { /* slot 2: correlated, shifted; and a copy of slot 1's first number */
    double *s = pc_f64(bank) + 6 * i;
    s[4] = 0.8 * s[3] + 0.6 * s[4] + 5;
    s[5] = s[0];
  }
  must(pc_replay_sample(&z, bank, N, PC_MARGINAL_GAUSSIAN, &g));
  double mean[2][6] = {{0}}, cov[2][6][6] = {{{0}}};
  const pc_tensor *t[2] = {bank, z};
  for (int w = 0; w < 2; w++) {
    int64_t n = t[w]->size[0];
    for (int64_t i = 0; i < n; i++)
      for (int a = 0; a < 6; a++) mean[w][a] += pc_f64(t[w])[6 * i + a] / (double)n;
    for (int64_t i = 0; i < n; i++)
      for (int a = 0; a < 6; a++)
        for (int b = 0; b < 6; b++)
          cov[w][a][b] += (pc_f64(t[w])[6 * i + a] - mean[w][a]) * (pc_f64(t[w])[6 * i + b] - mean[w][b]) / (double)n;
  }
  for (int a = 0; a < 6; a++) {
    close_to(mean[1][a], mean[0][a], 0.03);
    for (int b = 0; b < 6; b++)
      close_to(cov[1][a][b], a / 3 == b / 3 ? cov[0][a][b] : 0, 0.05); /* slots are independent */
  }
  ck_assert(fabs(cov[0][0][5]) > 0.8); /* in the bank they are not */
  pc_tensor_release(z);
  pc_tensor_release(bank);
}
END_TEST

/* Two clear clusters of unequal weight and covariance are found again, and drawn from. */
START_TEST(mixture_of_two) {
  enum { N = 3000 };
  static double x[N][2];
  pc_rng g = {5, 0};
  pc_mixture p;
  double e[2], work[8], share = 0, mean[2] = {0}, cov = 0;
  for (int i = 0; i < N; i++) {
    pc_rng_fill_normal_f64(&g, e, 2);
    if (i % 3)
      x[i][0] = 5 + e[0], x[i][1] = -3 + 0.8 * e[0] + 0.6 * e[1];
    else
      x[i][0] = -5 + 0.5 * e[0], x[i][1] = 2 + 0.5 * e[1];
  }
  must(pc_mixture_fit(&p, &x[0][0], N, 2, 2, 100, &g));
  int big = p.weight[1] > p.weight[0];
  close_to(p.weight[big], 2.0 / 3, 0.01);
  close_to(p.weight[0] + p.weight[1], 1, 1e-12);
  close_to(p.mean[2 * big], 5, 0.1);
  close_to(p.mean[2 * big + 1], -3, 0.1);
  close_to(p.mean[2 * !big], -5, 0.1);
  const double *l = p.factor + 4 * big;
  close_to(l[0] * l[0], 1, 0.1);
  close_to(l[0] * l[2], 0.8, 0.1);
  for (int i = 0; i < 20000; i++) {
    pc_mixture_draw(&p, e, work, &g);
    if (e[0] < 0) continue;
    share += 1, mean[0] += e[0], mean[1] += e[1], cov += (e[0] - 5) * (e[1] + 3);
  }
  close_to(share / 20000, 2.0 / 3, 0.02);
  close_to(mean[0] / share, 5, 0.1);
  close_to(mean[1] / share, -3, 0.1);
  close_to(cov / share, 0.8, 0.1);
  pc_mixture_free(&p);
  /* one component is the Gaussian of the sample: its log density in closed form */
  double one[4] = {-1, 1, 3, 5}; /* mean 2, variance 5 */
  must(pc_mixture_fit(&p, one, 4, 1, 1, 10, &g));
  close_to(pc_mixture_log_density(&p, &one[3], work), -0.5 * log(2 * 3.14159265358979 * 5) - 0.9, 1e-4);
  pc_mixture_free(&p);
}
END_TEST

/* EM never falls: more rounds, no lower likelihood; and two components beat one where there are two. */
START_TEST(mixture_likelihood_rises) {
  enum { N = 400, M = 3 };
  pc_tensor *t = NORMAL(PC_F64, 9, N, M);
  double work[16], before = -1e300;
  for (int64_t i = 0; i < N / 2; i++) pc_f64(t)[i * M] += 4;
  for (int rounds = 0; rounds < 40; rounds += 3) {
    pc_mixture p;
    pc_rng g = {3, 0};
    double total = 0;
    must(pc_mixture_fit(&p, pc_f64(t), N, M, 4, rounds, &g));
    for (int i = 0; i < N; i++) total += pc_mixture_log_density(&p, pc_f64(t) + i * M, work) / N;
    ck_assert_msg(total > before - 2e-3, "%d rounds: %g after %g", rounds, total, before); /* covariances are shrunk */
    before = total;
    pc_mixture_free(&p);
  }
  pc_tensor_release(t);
}
END_TEST

START_TEST(mixtures_of_poor_banks) {
  pc_tensor *bank = dependent(PC_F32, 3), *z;
  pc_replay *r;
  pc_rng g = {2, 0};
  /* a component for each row, rows on a line, a slot number that never varies */
  must(pc_replay_fit(&r, bank, &REPLAY(.marginals = PC_MARGINAL_MIXTURE, .components = {1, (int)bank->size[0]})));
  must(pc_replay_draw(r, &z, NULL, 1000, &g));
  for (int64_t i = 0; i < 1000; i++) {
    const float *v = pc_f32(z) + 4 * i;
    ck_assert(fabsf(v[0]) < 10 && fabsf(v[0] + v[1]) < 0.2f && v[2] > 90 && v[2] < 112 && fabsf(v[3]) < 0.1f);
  }
  pc_tensor_release(z);
  pc_replay_free(r);
  pc_tensor_release(bank);
}
END_TEST

/* Rows are told, and combinations that occurred are never drawn; the bank may be gone by then. */
START_TEST(combinations_left_out) {
  pc_tensor *bank = dependent(PC_F64, 3), *labels, *z, *rows;
  pc_replay *r;
  pc_rng g = {8, 0};
  must(pc_tensor_empty(&labels, PC_I64, 2, (int64_t[]){3, 2}));
  for (int i = 0; i < 6; i++) pc_i64(labels)[i] = i / 2 == 2 ? 0 : i / 2; /* rows 1 and 3 have the same value */
  must(pc_replay_fit(&r, bank, &REPLAY(.labels = labels)));
  pc_tensor_release(bank);
  pc_tensor_release(labels);
  must(pc_replay_draw(r, &z, &rows, 500, &g));
  shape_is(rows, "(500,2)");
  for (int64_t i = 0; i < 500; i++) {
    const int64_t *row = pc_i64(rows) + 2 * i;
    close_to(pc_f64(z)[4 * i], (double)(row[0] - 1), 0);
    close_to(pc_f64(z)[4 * i + 2], (double)(100 + row[1] - 1), 0);
    ck_assert((row[0] == 2) != (row[1] == 2));
  }
  pc_tensor_release(rows);
  pc_tensor_release(z);
  pc_replay_free(r);
}
END_TEST

START_TEST(prior_and_degenerate_banks) {
  enum { N = 20000 };
  pc_tensor *bank = dependent(PC_F32, 1), *z;
  pc_rng g = {13, 0};
  double s1 = 0, s2 = 0;
  must(pc_replay_sample(&z, bank, N, PC_MARGINAL_PRIOR, &g));
  for (int64_t i = 0; i < 4 * N; i++) s1 += (double)pc_f32(z)[i], s2 += (double)(pc_f32(z)[i] * pc_f32(z)[i]);
  close_to(s1 / (4 * N), 0, 0.02);
  close_to(s2 / (4 * N), 1, 0.02);
  pc_tensor_release(z);
  must(pc_replay_sample(&z, bank, 3, PC_MARGINAL_GAUSSIAN, &g)); /* no spread at all */
  for (int i = 0; i < 3; i++) close_to((double)pc_f32(z)[4 * i + 2], 100, 1e-2);
  pc_tensor_release(z);
  must(pc_replay_sample(&z, bank, 0, PC_MARGINAL_EMPIRICAL, &g));
  shape_is(z, "(0,2,2)");
  pc_tensor_release(z);
  pc_tensor_release(bank);
}
END_TEST

START_TEST(the_same_seed_the_same_draw) {
  pc_tensor *bank = dependent(PC_F64, 7), *turned, *z[3];
  for (int kind = 0; kind < 4; kind++) {
    for (int k = 0; k < 2; k++) {
      pc_rng g = {21, 0};
      must(pc_replay_sample(&z[k], bank, 10, (pc_marginal)kind, &g));
    }
    ck_assert_mem_eq(pc_data(z[0]), pc_data(z[1]), sizeof(double) * 40);
    pc_tensor_release(z[0]);
    pc_tensor_release(z[1]);
  }
  pc_rng g = {21, 0}, h = {21, 0}; /* a view gives what its copy gives */
  must(pc_view_permute(&turned, bank, (int[]){0, 2, 1}));
  must(pc_clone(&z[2], turned));
  must(pc_replay_sample(&z[0], turned, 10, PC_MARGINAL_EMPIRICAL, &g));
  must(pc_replay_sample(&z[1], z[2], 10, PC_MARGINAL_EMPIRICAL, &h));
  ck_assert_mem_eq(pc_data(z[0]), pc_data(z[1]), sizeof(double) * 40);
  for (int k = 0; k < 3; k++) pc_tensor_release(z[k]);
  pc_tensor_release(turned);
  pc_tensor_release(bank);
}
END_TEST

START_TEST(messages) {
  pc_replay *r;
  pc_tensor *z, *flat = NORMAL(PC_F32, 1, 4, 2), *none = NORMAL(PC_F32, 1, 0, 2, 2), *ints,
                *bank = dependent(PC_F32, 3);
  pc_rng g = {1, 0};
  must(pc_to_dtype(&ints, bank, PC_I64));
  must_fail(pc_replay_sample(&z, flat, 2, PC_MARGINAL_EMPIRICAL, &g), PC_ESHAPE,
            "slots (N,K,m) of a float dtype with N at least 1, got (4,2) f32");
  must_fail(pc_replay_sample(&z, none, 2, PC_MARGINAL_EMPIRICAL, &g), PC_ESHAPE, "got (0,2,2)");
  must_fail(pc_replay_sample(&z, ints, 2, PC_MARGINAL_EMPIRICAL, &g), PC_ESHAPE, "i64");
  must_fail(pc_replay_sample(&z, bank, -2, PC_MARGINAL_EMPIRICAL, &g), PC_EARG, "cannot draw -2");
  must_fail(pc_replay_fit(&r, bank, &REPLAY(.marginals = 9)), PC_EARG, "replay: marginals: expected one of empirical|");
  must_fail(pc_replay_fit(&r, bank, &REPLAY(.tries = 0)), PC_EARG, "replay: tries: expected an integer >= 1, got 0");
  must_fail(pc_replay_fit(&r, bank, &REPLAY(.marginals = PC_MARGINAL_MIXTURE, .components = {1, 500})), PC_EARG,
            "replay: components: 500 of a bank of");
  pc_tensor *all[] = {flat, none, ints, bank};
  for (int i = 0; i < 4; i++) pc_tensor_release(all[i]);
}
END_TEST

static Suite *replay_suite(void) {
  Suite *s = suite_create("replay");
  TCase *tc = tcase_create("replay");
  tcase_add_test(tc, empirical_marginals_and_independence);
  tcase_add_test(tc, gaussian_mean_and_covariance);
  tcase_add_test(tc, mixture_of_two);
  tcase_add_test(tc, mixture_likelihood_rises);
  tcase_add_test(tc, mixtures_of_poor_banks);
  tcase_add_test(tc, combinations_left_out);
  tcase_add_test(tc, prior_and_degenerate_banks);
  tcase_add_test(tc, the_same_seed_the_same_draw);
  tcase_add_test(tc, messages);
  suite_add_tcase(s, tc);
  return s;
}

SUITE_MAIN(replay_suite)
