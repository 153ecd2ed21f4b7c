/* test_vmath.c: every function in every tier against libm in double precision. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/vmath.h"

typedef void fn32(float *, const float *, int64_t);
typedef void fn64(double *, const double *, int64_t);
static const struct {
  const char *name;
  fn32 *f;
  fn64 *ref;
} fns[] = {
#define X(f) {#f, pc_v##f##_f32, pc_v##f##_f64},
    PC_VMATH_MAP(X)
#undef X
};
enum { NFN = sizeof fns / sizeof *fns, N = 1 << 16 };

/* Distance in units of the last place of the exact value (denormals share one unit). */
static double ulps(float got, double want) {
  if (isnan(want)) return isnan(got) ? 0 : INFINITY;
  if (isinf((float)want)) return got == (float)want || fabs(got) > 3.402e38f ? 0 : INFINITY;
  if (isinf(got)) return INFINITY;
  int e;
  frexp(want, &e);
  double unit = ldexp(1, (e < -125 ? -125 : e) - 24);
  return fabs((double)got - want) / unit;
}

static float from_bits(uint32_t u) {
  float f;
  memcpy(&f, &u, sizeof f);
  return f;
}

static float x[N], y[N];

static void compare(int k, const char *range) {
  fns[k].f(y, x, N);
  double worst = 0, at = 0, got = 0;
  for (int i = 0; i < N; i++) {
    double in = x[i], want;
    fns[k].ref(&want, &in, 1);
    double u = ulps(y[i], want);
    if (u > worst) worst = u, at = in, got = y[i];
  }
  if (getenv("VERBOSE"))
    printf("%-8s %-8s %-8s %.2f ulp at %.9g\n", fns[k].name, pc_tier_name(pc_cpu_tier()), range, worst, at);
  ck_assert_msg(worst <= 4, "%s, tier %s, %s: %.9g gives %.9g, %.1f ulp off", fns[k].name, pc_tier_name(pc_cpu_tier()),
                range, at, got, worst);
}

static void each_tier(void (*test)(int k)) {
  for (int t = PC_TIER_REF; t <= (int)pc_cpu_best(); t++) {
    ck_assert_int_eq(pc_cpu_set_tier((pc_tier)t), PC_OK);
    for (int k = 0; k < NFN; k++) test(k);
  }
}

static void ranges(int k) {
  for (uint32_t i = 0; i < N; i++)
    x[i] = from_bits(i << 16 | (i * 2654435761u) >> 16); /* all exponents and signs, NaNs */
  compare(k, "all");
  for (int i = 0; i < N; i++) x[i] = -1 + 2 * (float)i / N;
  compare(k, "small");
  for (int i = 0; i < N; i++) x[i] = -20 + 40 * (float)i / N;
  compare(k, "medium");
  for (int i = 0; i < N; i++) x[i] = -110 + 220 * (float)i / N;
  compare(k, "large");
  for (int i = 0; i < N; i++) x[i] = from_bits((uint32_t)i * 128 + (i & 1 ? 0x80000000u : 0)); /* denormals */
  compare(k, "denormal");
}

START_TEST(accuracy) { each_tier(ranges); }
END_TEST

static void specials(int k) {
  const float in[6] = {INFINITY, -INFINITY, NAN, 0.0f, -0.0f, 3e38f};
  float out[6];
  fns[k].f(out, in, 6);
  for (int i = 0; i < 6; i++) {
    double v = in[i], want;
    fns[k].ref(&want, &v, 1);
    ck_assert_msg((isnan(out[i]) && isnan(want)) || out[i] == (float)want || ulps(out[i], want) <= 4,
                  "%s(%g) = %g, libm says %g", fns[k].name, v, out[i], want);
    if (!isnan(want) && want == 0)
      ck_assert_msg(!signbit(out[i]) == !signbit(want), "%s(%g): sign of zero", fns[k].name, v);
  }
}
START_TEST(special_values) { each_tier(specials); }
END_TEST

/* Whatever the length and the place, an element's value is the same; y may be x. */
static void lengths(int k) {
  float whole[67], part[67];
  for (int i = 0; i < 67; i++) x[i] = 0.05f + 0.1f * (float)i;
  fns[k].f(whole, x, 67);
  for (int n = 0; n <= 67; n++) {
    memcpy(part, x, sizeof part);
    fns[k].f(part, part, n);
    ck_assert_msg(!memcmp(part, whole, sizeof(float) * (size_t)n), "%s: length %d", fns[k].name, n);
    ck_assert_msg(!memcmp(part + n, x + n, sizeof(float) * (size_t)(67 - n)), "%s: wrote past length %d", fns[k].name,
                  n);
  }
}
START_TEST(any_length) { each_tier(lengths); }
END_TEST

START_TEST(gelu_slope) {
  static float one[N];
  for (int i = 0; i < N; i++) x[i] = -20 + 40 * (float)i / N, one[i] = 1;
  for (int t = PC_TIER_REF; t <= (int)pc_cpu_best(); t++) {
    ck_assert_int_eq(pc_cpu_set_tier((pc_tier)t), PC_OK);
    pc_vgelu_grad_f32(y, one, x, N);
    for (int i = 0; i < N; i++) {
      double v = x[i], w = 1, want;
      pc_vgelu_grad_f64(&want, &w, &v, 1);
      /* relative away from the zero at -0.75, absolute there */
      ck_assert_msg(fabs(y[i] - want) <= 1e-6 * fabs(want) + (v > -1.5 ? 2e-7 : 1e-44),
                    "tier %s: gelu'(%.9g) = %.9g, not %.9g", pc_tier_name((pc_tier)t), v, y[i], want);
    }
  }
}
END_TEST

/* The value and the slope in one call are the ones of two calls, dx may be dy, at any length. */
START_TEST(gelu_both) {
  static float dy[N], v[N], slope[N], dx[N];
  for (int i = 0; i < N; i++) x[i] = -20 + 40 * (float)i / N, dy[i] = (float)(i % 7) - 3;
  for (int t = PC_TIER_REF; t <= (int)pc_cpu_best(); t++) {
    ck_assert_int_eq(pc_cpu_set_tier((pc_tier)t), PC_OK);
    for (int n = N - 3; n <= N; n++) {
      pc_vgelu_f32(v, x, n);
      pc_vgelu_grad_f32(slope, dy, x, n);
      memcpy(dx, dy, sizeof dx);
      pc_vgelu_both_f32(y, dx, dx, x, n);
      for (int i = 0; i < n; i++)
        ck_assert_msg(y[i] == v[i] && fabsf(dx[i] - slope[i]) <= 4e-7f * fabsf(slope[i]) + 1e-6f * (x[i] > -2),
                      "tier %s, x = %.9g", pc_tier_name((pc_tier)t), x[i]);
    }
  }
}
END_TEST

int main(void) {
  Suite *s = suite_create("vmath");
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 60);
  tcase_add_test(tc, accuracy);
  tcase_add_test(tc, special_values);
  tcase_add_test(tc, any_length);
  tcase_add_test(tc, gelu_slope);
  tcase_add_test(tc, gelu_both);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
