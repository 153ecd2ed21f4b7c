#include "base/vmath.h"

#include <math.h>

static double sigmoid(double x) { return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)); }
static double gelu(double x) { return 0.5 * x * erfc(-x * M_SQRT1_2); }
static double silu(double x) { return x * sigmoid(x); }
static double gelu_slope(double x) { return 0.5 * erfc(-x * M_SQRT1_2) + x * exp(-0.5 * x * x) * 0.3989422804014327; }

#define X(f)                                                  \
  void pc_v##f##_f64(double *y, const double *x, int64_t n) { \
    for (int64_t i = 0; i < n; i++) y[i] = f(x[i]);           \
  }                                                           \
  void pc_v##f##_f32(float *y, const float *x, int64_t n) {   \
    for (int64_t i = 0; i < n; i++) y[i] = (float)f(x[i]);    \
  }
PC_VMATH_MAP(X)
#undef X

void pc_vgelu_grad_f64(double *dx, const double *dy, const double *x, int64_t n) {
  for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * gelu_slope(x[i]);
}
void pc_vgelu_grad_f32(float *dx, const float *dy, const float *x, int64_t n) {
  for (int64_t i = 0; i < n; i++) dx[i] = (float)(dy[i] * gelu_slope(x[i]));
}
