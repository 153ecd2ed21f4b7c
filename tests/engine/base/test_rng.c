/* test_rng.c: Philox against its published vectors, moments, independence of threads, saved state. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "base/parallel.h"
#include "base/rng.h"

/* The known-answer tests of Random123 for philox4x32-10. */
START_TEST(known_answers) {
  static const struct {
    uint32_t ctr[4], key[2], want[4];
  } kat[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  uint32_t out[4];
  for (int i = 0; i < 3; i++) {
    pc_rng_philox(kat[i].key, kat[i].ctr, out);
    ck_assert(!memcmp(out, kat[i].want, sizeof out));
  }
  pc_rng_block(0, 0, out);
  ck_assert(!memcmp(out, kat[0].want, sizeof out));
  const uint32_t key[2] = {0x89abcdef, 0x01234567}, ctr[4] = {0x76543210, 0xfedcba98, 0, 0};
  uint32_t want[4];
  pc_rng_philox(key, ctr, want);
  pc_rng_block(0x0123456789abcdefull, 0xfedcba9876543210ull, out);
  ck_assert(!memcmp(out, want, sizeof out));
}
END_TEST

enum { N = 200000 };
static double a[N], b[N];
static float f[N], h[N];
static int64_t k[N];

static void moments(const double *x, double *mean, double *var, double *skew, double *kurt) {
  double m = 0, v = 0, s = 0, q = 0;
  for (int i = 0; i < N; i++) m += x[i] / N;
  for (int i = 0; i < N; i++) v += (x[i] - m) * (x[i] - m) / N;
  for (int i = 0; i < N; i++) s += pow((x[i] - m) / sqrt(v), 3) / N, q += pow((x[i] - m) / sqrt(v), 4) / N;
  *mean = m, *var = v, *skew = s, *kurt = q;
}

START_TEST(distributions) {
  pc_rng g;
  double m, v, s, q, corr = 0;
  pc_rng_seed(&g, 7);
  for (int wide = 0; wide < 2; wide++) {
    wide ? pc_rng_fill_uniform_f64(&g, a, N) : pc_rng_fill_uniform_f32(&g, f, N);
    for (int i = 0; i < N && !wide; i++) a[i] = f[i];
    for (int i = 0; i < N; i++) ck_assert(a[i] >= 0 && a[i] < 1);
    moments(a, &m, &v, &s, &q);
    ck_assert(fabs(m - 0.5) < 0.003 && fabs(v - 1 / 12.0) < 0.001 && fabs(q - 1.8) < 0.02);
    wide ? pc_rng_fill_normal_f64(&g, a, N) : pc_rng_fill_normal_f32(&g, f, N);
    for (int i = 0; i < N && !wide; i++) a[i] = f[i];
    moments(a, &m, &v, &s, &q);
    ck_assert_msg(fabs(m) < 0.01 && fabs(v - 1) < 0.02 && fabs(s) < 0.03 && fabs(q - 3) < 0.08, "%g %g %g %g", m, v, s,
                  q);
    corr = 0;
    for (int i = 1; i < N; i++) corr += a[i] * a[i - 1] / N;
    ck_assert(fabs(corr) < 0.01);
  }
}
END_TEST

START_TEST(whole_numbers) {
  pc_rng g;
  int count[7] = {0};
  pc_rng_seed(&g, 1);
  pc_rng_fill_below_i64(&g, k, N, -3, 4);
  for (int i = 0; i < N; i++) {
    ck_assert(k[i] >= -3 && k[i] < 4);
    count[k[i] + 3]++;
  }
  for (int i = 0; i < 7; i++) ck_assert_int_lt(abs(count[i] - N / 7), 700);
  for (int i = 0; i < 1000; i++) ck_assert_int_eq(pc_rng_below(&g, 1), 0);
  for (int i = 0; i < 1000; i++) ck_assert_int_lt(pc_rng_below(&g, INT64_MAX), INT64_MAX);
  pc_rng_permutation(&g, k, 1000);
  int64_t moved = 0, sum = 0;
  char seen[1000] = {0};
  for (int i = 0; i < 1000; i++) seen[k[i]] = 1, moved += k[i] != i;
  for (int i = 0; i < 1000; i++) sum += seen[i];
  ck_assert_int_eq(sum, 1000);
  ck_assert_int_gt(moved, 900);
}
END_TEST

/* The same numbers for any thread count, any length, and from a saved state. */
START_TEST(reproducible) {
  int before = pc_num_threads();
  pc_rng g, saved;
  pc_rng_seed(&g, 42);
  pc_rng_next(&g);
  saved = g;
  pc_set_num_threads(1);
  pc_rng_fill_normal_f32(&g, f, N);
  pc_rng_fill_normal_f64(&g, a, N);
  uint64_t after = g.counter;
  ck_assert_uint_eq(after, saved.counter + N / 4 + N / 2);
  g = saved;
  pc_set_num_threads(3);
  pc_rng_fill_normal_f32(&g, h, N);
  pc_rng_fill_normal_f64(&g, b, N);
  ck_assert_uint_eq(g.counter, after);
  ck_assert(!memcmp(f, h, sizeof f));
  ck_assert(!memcmp(a, b, sizeof a));
  for (int n = 0; n < 40; n++) {
    g = saved;
    float few[64] = {0};
    pc_rng_fill_normal_f32(&g, few, n);
    ck_assert(!memcmp(few, f, sizeof(float) * (size_t)n));
    ck_assert(few[n] == 0);
    ck_assert_uint_eq(g.counter, saved.counter + (uint64_t)(n + 3) / 4);
  }
  pc_set_num_threads(before);
}
END_TEST

/* Arrays are made of the blocks of the raw function, in order. */
START_TEST(arrays_are_blocks) {
  pc_rng g = {.seed = 99, .counter = 0xfffffff0u}; /* the lower counter word runs over on the way */
  pc_rng_fill_uniform_f32(&g, f, 1001);
  for (uint64_t i = 0; i < 1001; i++) {
    uint32_t o[4];
    pc_rng_block(99, 0xfffffff0u + i / 4, o);
    ck_assert(f[i] == (float)(o[i % 4] >> 8) * 0x1p-24f);
  }
}
END_TEST

START_TEST(seeds_differ) {
  pc_rng g1, g2;
  pc_rng_seed(&g1, 1), pc_rng_seed(&g2, 2);
  pc_rng_fill_uniform_f64(&g1, a, 1000);
  pc_rng_fill_uniform_f64(&g2, b, 1000);
  for (int i = 0; i < 1000; i++) ck_assert(a[i] != b[i]);
  ck_assert_ptr_eq(pc_rng_global(), pc_rng_global());
}
END_TEST

int main(void) {
  Suite *s = suite_create("rng");
  TCase *tc = tcase_create("all");
  tcase_add_test(tc, known_answers);
  tcase_add_test(tc, distributions);
  tcase_add_test(tc, whole_numbers);
  tcase_add_test(tc, reproducible);
  tcase_add_test(tc, arrays_are_blocks);
  tcase_add_test(tc, seeds_differ);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
