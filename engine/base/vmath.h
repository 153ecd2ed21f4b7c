/* vmath.h: elementwise transcendental functions over contiguous arrays, with
 * run-time dispatch (AVX-512, AVX2, baseline). y may be x. Accuracy: within
 * 4 ulp of the exact value for f32 in every tier (tests/engine/base/test_vmath.c),
 * denormals included; NaN and infinities as libm has them; gelu and silu of -inf
 * are their limit, -0. The f64 forms and the tier `ref` call libm. */
#ifndef PC_BASE_VMATH_H
#define PC_BASE_VMATH_H

#include <stdint.h>

#define PC_VMATH_MAP(X) X(exp) X(log) X(log1p) X(expm1) X(tanh) X(erf) X(sigmoid) X(gelu) X(silu)

#define X(f)                                               \
  void pc_v##f##_f32(float *y, const float *x, int64_t n); \
  void pc_v##f##_f64(double *y, const double *x, int64_t n);
PC_VMATH_MAP(X)
#undef X

/* dx = dy * gelu'(x) for the exact (erf) GELU; dx may be dy. */
void pc_vgelu_grad_f32(float *dx, const float *dy, const float *x, int64_t n);
void pc_vgelu_grad_f64(double *dx, const double *dy, const double *x, int64_t n);

/* y = gelu(x), dx = dy * gelu'(x): a backward pass that needs both pays one exponential. dx may be dy.
 * dy NULL: dx = gelu'(x). */
void pc_vgelu_both_f32(float *y, float *dx, const float *dy, const float *x, int64_t n);
void pc_vgelu_both_f64(double *y, double *dx, const double *dy, const double *x, int64_t n);

#endif
