/* test_parallel.c: ranges are covered once, chunk bounds ignore the thread count; tiers by name. */
#include <cblas.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/parallel.h"

typedef struct seen {
  int count[10000];
  int64_t bound[10000]; /* end of the chunk that begins here */
} seen;

static void visit(int64_t begin, int64_t end, void *ctx) {
  seen *s = ctx;
  s->bound[begin] = end;
  for (int64_t i = begin; i < end; i++) __atomic_add_fetch(&s->count[i], 1, __ATOMIC_RELAXED);
}

START_TEST(every_item_once) {
  static seen one, two;
  const int64_t n[] = {0, 1, 7, 64, 65, 9999, 10000}, grain[] = {1, 3, 64, 20000};
  int before = pc_num_threads();
  for (int a = 0; a < 7; a++)
    for (int b = 0; b < 4; b++) {
      memset(&one, 0, sizeof one), memset(&two, 0, sizeof two);
      pc_set_num_threads(1);
      pc_parallel_for(n[a], grain[b], visit, &one);
      pc_set_num_threads(3);
      pc_parallel_for(n[a], grain[b], visit, &two);
      for (int64_t i = 0; i < 10000; i++) ck_assert_int_eq(one.count[i], i < n[a]);
      ck_assert(!memcmp(&one, &two, sizeof one));
    }
  pc_set_num_threads(before);
}
END_TEST

static void outer(int64_t begin, int64_t end, void *ctx) {
  for (int64_t i = begin; i < end; i++) pc_parallel_for(1000, 10, visit, (seen *)ctx + i);
}
START_TEST(nested_runs_in_place) {
  static seen s[4];
  pc_parallel_for(4, 1, outer, s);
  for (int k = 0; k < 4; k++)
    for (int i = 0; i < 1000; i++) ck_assert_int_eq(s[k].count[i], 1);
}
END_TEST

START_TEST(thread_count) {
  int before = pc_num_threads();
  ck_assert_int_ge(before, 1);
  ck_assert_int_eq(pc_set_num_threads(5), 5);
  ck_assert_int_eq(pc_num_threads(), 5);
  ck_assert_int_eq(pc_set_num_threads(0), 1);
  ck_assert_int_eq(openblas_get_num_threads(), 1);
  pc_set_num_threads(before);
}
END_TEST

START_TEST(tiers) {
  ck_assert_str_eq(pc_tier_name(PC_TIER_REF), "ref");
  ck_assert_str_eq(pc_tier_name(PC_TIER_AVX512), "avx512");
  pc_tier before = pc_cpu_tier();
  for (int t = 0; t < 4; t++) {
    int rc = pc_cpu_set_tier((pc_tier)t);
    ck_assert_int_eq(rc, t <= (int)pc_cpu_best() ? PC_OK : PC_EARG);
    if (rc == PC_OK) ck_assert_int_eq(pc_cpu_tier(), t);
  }
  ck_assert_int_eq(pc_cpu_set_tier((pc_tier)9), PC_EARG);
  pc_cpu_set_tier(before);
}
END_TEST

int main(void) {
  Suite *s = suite_create("parallel");
  TCase *tc = tcase_create("all");
  tcase_add_test(tc, every_item_once);
  tcase_add_test(tc, nested_runs_in_place);
  tcase_add_test(tc, thread_count);
  tcase_add_test(tc, tiers);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
