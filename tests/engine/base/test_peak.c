/* test_peak.c: the measured peak is a plausible rate in every tier, and of all threads together. */
#include <stdlib.h>

#include "base/cpu.h"
#include "base/parallel.h"
#include "base/peak.h"
#include "check_main.h"

START_TEST(tiers_rise) {
  pc_tier before = pc_cpu_tier();
  int threads = pc_num_threads();
  double rate[PC_TIER_AVX512 + 1] = {0};
  pc_set_num_threads(1);
  for (int t = PC_TIER_REF; t <= (int)pc_cpu_best(); t++) {
    ck_assert_int_eq(pc_cpu_set_tier((pc_tier)t), 0);
    rate[t] = pc_fma_peak(0.02);
    ck_assert_double_ge(rate[t], 0.1);  /* GFLOP/s of the slowest machine */
    ck_assert_double_le(rate[t], 1000); /* of one core: 64 FLOP a cycle at 15 GHz */
  }
  /* twice the lanes and fused: four times base, unless something else is on the core's other half, or the moment was a
   * bad one; sanitized programs are not compiled for speed */
  double ratio = rate[PC_TIER_AVX2] / rate[PC_TIER_BASE];
  for (int again = 0; again < 5 && ratio < 1.5; again++) {
    pc_cpu_set_tier(PC_TIER_BASE);
    double base = pc_fma_peak(0.05);
    if (pc_cpu_best() >= PC_TIER_AVX2) pc_cpu_set_tier(PC_TIER_AVX2);
    ratio = pc_fma_peak(0.05) / base;
  }
  if (pc_cpu_best() >= PC_TIER_AVX2 && !getenv("PERCEPT_SANITIZED")) ck_assert_double_ge(ratio, 1.5);
  pc_cpu_set_tier(before);
  pc_set_num_threads(threads);
}
END_TEST

START_TEST(threads_add) {
  int threads = pc_num_threads();
  pc_set_num_threads(1);
  double one = pc_fma_peak(0.05);
  pc_set_num_threads(2);
  double two = pc_fma_peak(0.05);
  for (int again = 0; again < 5 && two < 0.8 * one; again++) two = pc_fma_peak(0.05);
  ck_assert_double_ge(two, 0.8 * one); /* two halves of one core give 1 */
  ck_assert_double_le(two, 3 * one);
  pc_set_num_threads(threads);
}
END_TEST

static Suite *suite(void) {
  Suite *s = suite_create("base/peak");
  TCase *t = tcase_create("peak");
  tcase_add_test(t, tiers_rise);
  tcase_add_test(t, threads_add);
  suite_add_tcase(s, t);
  return s;
}

SUITE_MAIN(suite)
