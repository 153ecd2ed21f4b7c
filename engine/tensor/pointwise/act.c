#include "tensor/pointwise/act.h"

#include <string.h>

#include "base/simd.h"
#include "base/vmath.h"

/* f(v), and for gradients f'(v), of x alone; comparisons as in the ops: relu' is 0 at 0, the
 * others' branch at 0 is the one above. */
#define RUN(name, sfx, T, F)                                              \
  static PC_CLONES void run_##name##_##sfx(T *y, const T *x, int64_t n) { \
    PC_IVDEP                                                              \
    for (int64_t i = 0; i < n; i++) {                                     \
      const T v = x[i];                                                   \
      y[i] = F;                                                           \
    }                                                                     \
  }
#define BOTH(name, sfx, T, F, SLOPE)                                                          \
  static PC_CLONES void both_##name##_##sfx(T *y, T *gx, const T *g, const T *x, int64_t n) { \
    PC_IVDEP                                                                                  \
    for (int64_t i = 0; i < n; i++) {                                                         \
      const T v = x[i];                                                                       \
      y[i] = F;                                                                               \
      gx[i] = g ? g[i] * (SLOPE) : (SLOPE);                                                   \
    }                                                                                         \
  }
#define SIMPLE(name, sfx, T, F, SLOPE) \
  RUN(name, sfx, T, F)                 \
  BOTH(name, sfx, T, F, SLOPE)
SIMPLE(none, f32, float, v, 1)
SIMPLE(none, f64, double, v, 1)
SIMPLE(relu, f32, float, v<0 ? 0 : v, v> 0 ? 1 : 0) /* NaN stays NaN */
SIMPLE(relu, f64, double, v<0 ? 0 : v, v> 0 ? 1 : 0)
SIMPLE(leaky_relu, f32, float, v < 0 ? v * 0.01f : v, v < 0 ? 0.01f : 1)
SIMPLE(leaky_relu, f64, double, v < 0 ? v * 0.01 : v, v < 0 ? 0.01 : 1)

enum { BLOCK = 256 };

/* By blocks: t = a transcendental of x by vmath, then the formulas with t. */
#define RUN_BLOCKS(name, sfx, T, FN, F)                         \
  static void run_##name##_##sfx(T *y, const T *x, int64_t n) { \
    T t[BLOCK];                                                 \
    for (int64_t at = 0; at < n; at += BLOCK) {                 \
      int64_t m = n - at < BLOCK ? n - at : BLOCK;              \
      FN##_##sfx(t, x + at, m);                                 \
      for (int64_t i = 0; i < m; i++) {                         \
        const T v = x[at + i];                                  \
        (void)v;                                                \
        y[at + i] = F;                                          \
      }                                                         \
    }                                                           \
  }
#define SLOPE_BLOCKS(name, sfx, T, FN, F, SLOPE)                                    \
  static void both_##name##_##sfx(T *y, T *gx, const T *g, const T *x, int64_t n) { \
    T t[BLOCK];                                                                     \
    for (int64_t at = 0; at < n; at += BLOCK) {                                     \
      int64_t m = n - at < BLOCK ? n - at : BLOCK;                                  \
      FN##_##sfx(t, x + at, m);                                                     \
      for (int64_t i = 0; i < m; i++) {                                             \
        const T v = x[at + i];                                                      \
        (void)v;                                                                    \
        y[at + i] = F;                                                              \
        gx[at + i] = g ? g[at + i] * (SLOPE) : (SLOPE);                             \
      }                                                                             \
    }                                                                               \
  }
#define BOTH_BLOCKS(name, FN, F, SLOPE)        \
  RUN_BLOCKS(name, f32, float, FN, F)          \
  RUN_BLOCKS(name, f64, double, FN, F)         \
  SLOPE_BLOCKS(name, f32, float, FN, F, SLOPE) \
  SLOPE_BLOCKS(name, f64, double, FN, F, SLOPE)
BOTH_BLOCKS(silu, pc_vsigmoid, v *t[i], t[i] * (1 + v * (1 - t[i])))
BOTH_BLOCKS(elu, pc_vexpm1, v < 0 ? t[i] : v, v < 0 ? t[i] + 1 : 1)
BOTH_BLOCKS(tanh, pc_vtanh, t[i], 1 - t[i] * t[i])
BOTH_BLOCKS(sigmoid, pc_vsigmoid, t[i], t[i] * (1 - t[i]))

#define GELU(sfx, T)                                                                   \
  static void run_gelu_##sfx(T *y, const T *x, int64_t n) { pc_vgelu_##sfx(y, x, n); } \
  static void both_gelu_##sfx(T *y, T *gx, const T *g, const T *x, int64_t n) { pc_vgelu_both_##sfx(y, gx, g, x, n); }
GELU(f32, float)
GELU(f64, double)

void pc_activation_run(pc_activation f, pc_dtype d, void *y, const void *x, int64_t n) {
  switch (f) {
#define X(name)                  \
  case PC_ACTIVATION_##name:     \
    if (d == PC_F32)             \
      run_##name##_f32(y, x, n); \
    else                         \
      run_##name##_f64(y, x, n); \
    break;
    PC_ACTIVATION_MAP(X)
#undef X
    default: break;
  }
}

void pc_activation_both(pc_activation f, pc_dtype d, void *y, void *gx, const void *g, const void *x, int64_t n) {
  char t[BLOCK * sizeof(double)];
  if (!y) { /* nobody wants the values: they go to a corner of the stack */
    size_t es = pc_dtype_size(d);
    for (int64_t at = 0; at < n; at += BLOCK) {
      size_t off = (size_t)at * es;
      pc_activation_both(f, d, t, (char *)gx + off, g ? (const char *)g + off : NULL, (const char *)x + off,
                         n - at < BLOCK ? n - at : BLOCK);
    }
    return;
  }
  switch (f) {
#define X(name)                          \
  case PC_ACTIVATION_##name:             \
    if (d == PC_F32)                     \
      both_##name##_f32(y, gx, g, x, n); \
    else                                 \
      both_##name##_f64(y, gx, g, x, n); \
    break;
    PC_ACTIVATION_MAP(X)
#undef X
    default: break;
  }
}
