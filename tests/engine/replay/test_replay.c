/* test_replay.c: marginals are kept, slots become independent. */
#include "engine/nn/modules.h"
#include "replay/replay.h"

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
  for (int kind = 0; kind < 3; kind++) {
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
  pc_tensor *z, *flat = NORMAL(PC_F32, 1, 4, 2), *none = NORMAL(PC_F32, 1, 0, 2, 2), *ints,
                *bank = dependent(PC_F32, 3);
  pc_rng g = {1, 0};
  pc_marginal kind;
  must(pc_to_dtype(&ints, bank, PC_I64));
  must_fail(pc_replay_sample(&z, flat, 2, PC_MARGINAL_EMPIRICAL, &g), PC_ESHAPE,
            "slots (N,K,m) of a float dtype with N at least 1, got (4,2) f32");
  must_fail(pc_replay_sample(&z, none, 2, PC_MARGINAL_EMPIRICAL, &g), PC_ESHAPE, "got (0,2,2)");
  must_fail(pc_replay_sample(&z, ints, 2, PC_MARGINAL_EMPIRICAL, &g), PC_ESHAPE, "i64");
  must_fail(pc_replay_sample(&z, bank, -2, PC_MARGINAL_EMPIRICAL, &g), PC_EARG, "cannot draw -2");
  must_fail(pc_marginal_parse(&kind, "mixture"), PC_EARG, "known are empirical, gaussian, prior");
  must(pc_marginal_parse(&kind, "gaussian"));
  ck_assert_int_eq(kind, PC_MARGINAL_GAUSSIAN);
  pc_tensor *all[] = {flat, none, ints, bank};
  for (int i = 0; i < 4; i++) pc_tensor_release(all[i]);
}
END_TEST

static Suite *replay_suite(void) {
  Suite *s = suite_create("replay");
  TCase *tc = tcase_create("replay");
  tcase_add_test(tc, empirical_marginals_and_independence);
  tcase_add_test(tc, gaussian_mean_and_covariance);
  tcase_add_test(tc, prior_and_degenerate_banks);
  tcase_add_test(tc, the_same_seed_the_same_draw);
  tcase_add_test(tc, messages);
  suite_add_tcase(s, tc);
  return s;
}

SUITE_MAIN(replay_suite)
