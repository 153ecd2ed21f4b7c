#include "base/vmath.h"

#include <math.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/cpu.h"
#include "base/simd.h"

/* ---- the reference, and f64: libm ---- */

static double ref_exp(double x) { return exp(x); }
static double ref_log(double x) { return log(x); }
static double ref_log1p(double x) { return log1p(x); }
static double ref_expm1(double x) { return expm1(x); }
static double ref_tanh(double x) { return tanh(x); }
static double ref_erf(double x) { return erf(x); }
static double ref_sigmoid(double x) { return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)); }
static double ref_gelu(double x) { return x < -40 ? -0.0 : 0.5 * x * erfc(-x * M_SQRT1_2); }
static double ref_silu(double x) { return x < -760 ? -0.0 : x * ref_sigmoid(x); }
static double ref_slope(double x) {
  if (fabs(x) > 40) return x > 0;
  return 0.5 * erfc(-x * M_SQRT1_2) + x * exp(-0.5 * x * x) * 0.3989422804014327;
}

#define X(f)                                                             \
  static void ref_array_##f(float *y, const float *x, int64_t n) {       \
    for (int64_t i = 0; i < n; i++) y[i] = (float)ref_##f((double)x[i]); \
  }                                                                      \
  void pc_v##f##_f64(double *y, const double *x, int64_t n) {            \
    for (int64_t i = 0; i < n; i++) y[i] = ref_##f(x[i]);                \
  }
PC_VMATH_MAP(X)
#undef X
static void ref_array_gelu_grad(float *dx, const float *dy, const float *x, int64_t n) {
  for (int64_t i = 0; i < n; i++) dx[i] = (float)(dy[i] * ref_slope((double)x[i]));
}
void pc_vgelu_grad_f64(double *dx, const double *dy, const double *x, int64_t n) {
  for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * ref_slope(x[i]);
}

static void ref_array_gelu_both(float *y, float *dx, const float *dy, const float *x, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    float v = (float)ref_gelu((double)x[i]);
    dx[i] = (float)((dy ? dy[i] : 1) * ref_slope((double)x[i]));
    y[i] = v;
  }
}
void pc_vgelu_both_f64(double *y, double *dx, const double *dy, const double *x, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    double v = ref_gelu(x[i]);
    dx[i] = (dy ? dy[i] : 1) * ref_slope(x[i]);
    y[i] = v;
  }
}

/* ---- tiers ---- */

#define SEL(m, a, b) ((VF)(((VI)(m) & (VI)(a)) | (~(VI)(m) & (VI)(b))))
/* x * 2^n by two factors, so that neither leaves the exponent's range */
#define POW2(k)     ((VF)((__builtin_convertvector((k), VI) + 127) << 23))
#define HALF(n)     (((n)*0.5f + 0x1.8p23f) - 0x1.8p23f)
#define LDEXP(x, n) ((x)*POW2(HALF(n)) * POW2((n)-HALF(n)))

#define FMA(a, b, c)          ((a) * (b) + (c))
#define QUOTIENT(a, b, lo, r) ((a) / (b)) /* a full division, where everything else rounds more often */
#define W                     4
#define N(name)               base_##name
#include "base/vmath_kernels.inc"
#undef FMA
#undef W
#undef N

#if defined(__x86_64__)
PC_AVX2_BEGIN
#define FMA(a, b, c) ((VF)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#undef QUOTIENT
/* one step of correction makes up for the rounding of r and b */
#define QUOTIENT(a, b, lo, r) FMA(FMA(-(a) * (r), (lo), FMA(-(a) * (r), (b), (a))), (r), (a) * (r))
#define W                     8
#define N(name)               avx2_##name
#define ANY(m)                (_mm256_movemask_ps((__m256)(m)) != 0)
#define WIDER(...)
#include "base/vmath_kernels.inc"
#undef ANY
#undef WIDER
#undef FMA
#undef W
#undef N
PC_TARGET_END

PC_AVX512_BEGIN
#undef LDEXP
#define LDEXP(x, n)  ((VF)_mm512_scalef_ps((__m512)(x), (__m512)(n)))
#define FMA(a, b, c) ((VF)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define W            16
#define N(name)      avx512_##name
#define ANY(m)       (_mm512_movepi32_mask((__m512i)(m)) != 0)
#define WIDER(...)   , __VA_ARGS__
#include "base/vmath_kernels.inc"
#undef ANY
#undef WIDER
#undef FMA
#undef W
#undef N
PC_TARGET_END

#define DISPATCH(f, ...)                                       \
  switch (pc_cpu_tier()) {                                     \
    case PC_TIER_REF: ref_array_##f(__VA_ARGS__); break;       \
    case PC_TIER_BASE: base_array_##f(__VA_ARGS__); break;     \
    case PC_TIER_AVX2: avx2_array_##f(__VA_ARGS__); break;     \
    case PC_TIER_AVX512: avx512_array_##f(__VA_ARGS__); break; \
  }
#else
#define DISPATCH(f, ...)            \
  if (pc_cpu_tier() == PC_TIER_REF) \
    ref_array_##f(__VA_ARGS__);     \
  else                              \
    base_array_##f(__VA_ARGS__);
#endif

#define X(f) \
  void pc_v##f##_f32(float *y, const float *x, int64_t n) { DISPATCH(f, y, x, n) }
PC_VMATH_MAP(X)
#undef X
void pc_vgelu_grad_f32(float *dx, const float *dy, const float *x, int64_t n) { DISPATCH(gelu_grad, dx, dy, x, n) }
void pc_vgelu_both_f32(float *y, float *dx, const float *dy, const float *x, int64_t n) {
  DISPATCH(gelu_both, y, dx, dy, x, n)
}
