/* test_alloc.c: counts, alignment, reuse, limits, injected failures, threads. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/parallel.h"

static pc_alloc_stats stats(void) {
  pc_alloc_stats st;
  pc_alloc_get_stats(&st);
  return st;
}

/* Under the sanitizer, or when asked, nothing is kept. */
static int cached(void) {
#if defined(__SANITIZE_ADDRESS__)
  return 0;
#else
  const char *e = getenv("PERCEPT_NO_CACHE");
  return !(e && *e && *e != '0');
#endif
}

START_TEST(every_size_is_aligned_and_usable) {
  int64_t before = stats().live;
  for (size_t n = 0; n < 3000000; n = n < 2000 ? n + 1 : n + n / 3) {
    unsigned char *p = pc_malloc(n);
    ck_assert_ptr_nonnull(p);
    ck_assert_uint_eq((uintptr_t)p % 64, 0);
    ck_assert_int_eq(stats().live, before + (int64_t)n);
    memset(p, 0xa5, n);
    pc_free(p);
  }
  ck_assert_int_eq(stats().live, before);
  pc_free(NULL);
}
END_TEST

START_TEST(calloc_is_zero_even_when_reused) {
  for (size_t n = 100; n < 3000000; n *= 10) {
    unsigned char *p = pc_malloc(n);
    memset(p, 0xff, n);
    pc_free(p);
    p = pc_calloc(n / 10, 10);
    unsigned char any = 0;
    for (size_t i = 0; i < n; i++) any |= p[i];
    ck_assert_int_eq(any, 0);
    pc_free(p);
  }
  ck_assert_ptr_null(pc_calloc(SIZE_MAX / 2, 3));
  ck_assert_int_eq(pc_error_code(), PC_ENOMEM);
}
END_TEST

START_TEST(realloc_keeps_contents) {
  size_t n = 1;
  unsigned char *p = pc_realloc(NULL, n);
  p[0] = 7;
  int64_t before = stats().live - 1;
  for (; n < 3000000; n = n * 3 / 2 + 1) {
    size_t more = n * 3 / 2 + 1;
    p = pc_realloc(p, more);
    ck_assert(p[0] == 7 && p[n - 1] == 7);
    memset(p, 7, more);
    ck_assert_int_eq(stats().live, before + (int64_t)more);
  }
  p = pc_realloc(p, 10);
  ck_assert(p[9] == 7);
  pc_free(p);
  ck_assert_int_eq(stats().live, before);
}
END_TEST

START_TEST(freed_blocks_are_handed_out_again) {
  if (!cached()) return;
  for (size_t n = 100; n < 100000000; n *= 10) {
    void *p = pc_malloc(n);
    pc_free(p);
    ck_assert_ptr_eq(pc_malloc(n), p);
    pc_free(p);
  }
  ck_assert_int_gt(stats().cached, 0);
  pc_alloc_trim();
  ck_assert_int_eq(stats().cached, 0);
}
END_TEST

/* Sizes that never come back must not pile up: live and cached stay within 1.5 x the peak + 32 MiB. */
START_TEST(a_wider_block_serves_at_the_peak) {
  enum { N = 24 };
  void *wide[N], *narrow[N];
  pc_alloc_stats before, after;
  pc_alloc_trim();
  for (int i = 0; i < N; i++) memset(wide[i] = pc_malloc(3 << 20), 1, 3 << 20);
  for (int i = 0; i < N; i++) pc_free(wide[i]);
  pc_alloc_get_stats(&before);
  if (before.cached < (int64_t)N * (3 << 20)) return; /* under the sanitizer nothing is cached */
  for (int i = 0; i < N; i++) narrow[i] = pc_malloc(5 << 19);
  pc_alloc_get_stats(&after);
  ck_assert_msg(after.cached == before.cached - (int64_t)N * (3 << 20), "%lld cached before, %lld after",
                (long long)before.cached, (long long)after.cached);
  void *small = pc_malloc(1 << 20); /* far from 3 MiB: its own */
  pc_alloc_get_stats(&before);
  ck_assert(before.cached == after.cached);
  pc_free(small);
  for (int i = 0; i < N; i++) pc_free(narrow[i]);
  pc_alloc_trim();
}
END_TEST

START_TEST(the_cache_is_bounded) {
  pc_alloc_trim();
  int64_t base = stats().live;
  for (size_t n = 1000000; n < 40000000; n += 333333) {
    void *p = pc_malloc(n);
    ck_assert_ptr_nonnull(p);
    pc_free(p);
    /* the peak is at most this block, rounded up by an eighth */
    ck_assert_int_le(stats().cached, base * 2 + (int64_t)(1.5 * 1.125 * (double)n) + (33 << 20));
  }
}
END_TEST

START_TEST(peak_and_total) {
  pc_alloc_reset_peak();
  int64_t live = stats().live, total = pc_alloc_total();
  void *p = pc_malloc(1000), *q = pc_malloc(2000);
  pc_free(p);
  pc_free(q);
  ck_assert_int_eq(stats().peak, live + 3000);
  ck_assert_int_eq(pc_alloc_total(), total + 3000);
  pc_alloc_reset_peak();
  ck_assert_int_eq(stats().peak, live);
}
END_TEST

START_TEST(the_limit_says_live_wanted_and_limit) {
  int64_t live = stats().live;
  char text[200];
  pc_alloc_set_limit(live + 1000);
  void *p = pc_malloc(600);
  ck_assert_ptr_nonnull(p);
  ck_assert_ptr_null(pc_malloc(500));
  snprintf(text, sizeof text, "out of memory: %lld bytes live, 500 more wanted, the memory limit is %lld",
           (long long)live + 600, (long long)live + 1000);
  ck_assert_str_eq(pc_error_text(), text);
  ck_assert_int_eq(pc_error_code(), PC_ENOMEM);
  ck_assert_ptr_null(pc_realloc(p, 2000));
  pc_alloc_set_limit(0);
  pc_free(p); /* still there after the failed realloc */
  ck_assert_ptr_null(pc_malloc((size_t)1 << 60));
  ck_assert_int_eq(stats().live, live);
}
END_TEST

START_TEST(bytes_are_read_with_units) {
  static const struct {
    const char *text;
    int64_t bytes;
  } good[] = {
      {"0", 0},          {"65536", 65536}, {"1k", 1024}, {"512M", 512 << 20}, {"1.5G", 3LL << 29}, {"2GiB", 2LL << 30},
      {"1T", 1LL << 40}, {"10KB", 10240}};
  static const char *const bad[] = {"", "M", "5Q", "-1", "12MM", "1e30", "nan", "1 G"};
  int64_t bytes;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    ck_assert_int_eq(pc_alloc_parse_bytes(&bytes, good[i].text), PC_OK);
    ck_assert_int_eq(bytes, good[i].bytes);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    ck_assert_int_eq(pc_alloc_parse_bytes(&bytes, bad[i]), PC_EARG);
    ck_assert_ptr_nonnull(strstr(pc_error_text(), "is no number of bytes; write 65536, 512M or 1.5G"));
  }
}
END_TEST

START_TEST(a_stretch_is_measured) { /* and the peak since start is kept */
  pc_alloc_stats before, after;
  pc_free(pc_malloc(1 << 20));
  pc_alloc_get_stats(&before);
  int64_t mark = pc_alloc_mark();
  pc_free(pc_malloc(5000));
  ck_assert_int_eq(pc_alloc_measure(mark) - before.live, 5000);
  pc_alloc_get_stats(&after);
  ck_assert_int_eq(after.peak, before.peak);
  mark = pc_alloc_mark();
  pc_free(pc_malloc(8 << 20));
  ck_assert_int_eq(pc_alloc_measure(mark) - before.live, 8 << 20);
  pc_alloc_get_stats(&after);
  ck_assert_int_ge(after.peak, before.live + (8 << 20));
  pc_alloc_set_limit(77 << 20);
  ck_assert_int_eq(pc_alloc_limit(), 77 << 20);
  pc_alloc_set_limit(0);
  ck_assert_int_eq(pc_alloc_limit(), 0);
}
END_TEST

START_TEST(the_nth_allocation_fails_once) {
  pc_alloc_fail_nth(3);
  void *a = pc_malloc(10), *b = pc_malloc(10), *c = pc_malloc(10), *d = pc_malloc(10);
  ck_assert(a && b && !c && d);
  ck_assert_ptr_nonnull(strstr(pc_error_text(), "out of memory"));
  pc_free(a), pc_free(b), pc_free(d);
  pc_alloc_fail_nth(1);
  ck_assert_ptr_null(pc_strdup("x"));
  pc_alloc_fail_nth(1);
  pc_alloc_fail_nth(0);
  char *s = pc_strdup("percept");
  ck_assert_str_eq(s, "percept");
  pc_free(s);
}
END_TEST

static void churn(int64_t begin, int64_t end, void *ctx) {
  for (int64_t i = begin; i < end; i++) {
    size_t n = (size_t)(i * 7919 % 100000);
    unsigned char *p = pc_malloc(n + 1), *q = pc_malloc(n / 3 + 1);
    p[n] = 1, q[n / 3] = 2;
    pc_free(p);
    pc_free(q);
  }
}
START_TEST(threads) {
  int64_t live = stats().live, n = pc_num_threads();
  pc_set_num_threads(4);
  pc_parallel_for(20000, 100, churn, NULL);
  pc_set_num_threads((int)n);
  ck_assert_int_eq(stats().live, live);
}
END_TEST

int main(void) {
  Suite *s = suite_create("alloc");
  TCase *tc = tcase_create("all");
  tcase_add_test(tc, every_size_is_aligned_and_usable);
  tcase_add_test(tc, calloc_is_zero_even_when_reused);
  tcase_add_test(tc, realloc_keeps_contents);
  tcase_add_test(tc, freed_blocks_are_handed_out_again);
  tcase_add_test(tc, a_wider_block_serves_at_the_peak);
  tcase_add_test(tc, the_cache_is_bounded);
  tcase_add_test(tc, peak_and_total);
  tcase_add_test(tc, the_limit_says_live_wanted_and_limit);
  tcase_add_test(tc, bytes_are_read_with_units);
  tcase_add_test(tc, a_stretch_is_measured);
  tcase_add_test(tc, the_nth_allocation_fails_once);
  tcase_add_test(tc, threads);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
