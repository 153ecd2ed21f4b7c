/* pw_grad.c: fused gradients of activations; see pointwise.h. */
#include <math.h>
#include <string.h>

#include "base/simd.h"
#include "base/vmath.h"
#include "tensor/pointwise/pointwise.h"
#include "tensor/pw.h"

/* y[i] = EXPR of g (gradient) and v (the activation's input or output) */
#define GRAD(name, CLONE, sfx, T, EXPR)                                                                 \
  static CLONE void name##_##sfx(void *y_, const void *const *x_, int64_t n, const void *ctx) {         \
    T *y = y_;                                                                                          \
    const T *x0 = x_[0], *x1 = x_[1], p = (T)((const double *)ctx)[0], q = (T)((const double *)ctx)[1]; \
    (void)p, (void)q;                                                                                   \
    PC_IVDEP                                                                                            \
    for (int64_t i = 0; i < n; i++) {                                                                   \
      const T g = x0[i], v = x1[i];                                                                     \
      y[i] = EXPR;                                                                                      \
    }                                                                                                   \
  }
#define BOTH(name, EXPR) GRAD(name, PC_CLONES, f32, float, EXPR) GRAD(name, PC_CLONES, f64, double, EXPR)

BOTH(relu, v > 0 ? g : 0)
BOTH(sigmoid, g *v *(1 - v))
BOTH(tanh, g *(1 - v * v))
BOTH(leaky_relu, v < 0 ? g * p : g)
BOTH(clamp, v >= p && v <= q ? g : 0)

static void gelu_f32(void *y, const void *const *x, int64_t n, const void *ctx) { pc_vgelu_grad_f32(y, x[0], x[1], n); }
static void gelu_f64(void *y, const void *const *x, int64_t n, const void *ctx) { pc_vgelu_grad_f64(y, x[0], x[1], n); }

/* These go by blocks: t = a transcendental of x by vmath, then the formula with t. */
#define EACH(T, STATEMENT)          \
  for (int64_t i = 0; i < m; i++) { \
    const T g = x0[i], v = x1[i];   \
    (void)g;                        \
    STATEMENT;                      \
  }
#define BLOCKS(name, sfx, T, BEFORE, FN, AFTER)                                           \
  static void name##_##sfx(void *y_, const void *const *x_, int64_t n, const void *ctx) { \
    const T p = (T)((const double *)ctx)[0], q = (T)((const double *)ctx)[1];             \
    (void)p, (void)q;                                                                     \
    for (int64_t at = 0; at < n; at += 256) {                                             \
      T *y = (T *)y_ + at, t[256];                                                        \
      const T *x0 = (const T *)x_[0] + at, *x1 = (const T *)x_[1] + at;                   \
      int64_t m = n - at < 256 ? n - at : 256;                                            \
      EACH(T, t[i] = BEFORE)                                                              \
      FN##_##sfx(t, t, m);                                                                \
      EACH(T, y[i] = AFTER)                                                               \
    }                                                                                     \
  }
#define BOTH_BLOCKS(name, BEFORE, FN, AFTER) \
  BLOCKS(name, f32, float, BEFORE, FN, AFTER) BLOCKS(name, f64, double, BEFORE, FN, AFTER)

#define C0     ((double)0.7978845608028654) /* sqrt(2/pi) */
#define C1     ((double)0.044715)
#define TOT(x) ((__typeof__(t[0]))(x))
/* y = x/2 (1 + t), t = tanh(u), u = C0 (x + C1 x^3):  y' = (1 + t)/2 + x/2 (1 - t^2) C0 (1 + 3 C1 x^2) */
BOTH_BLOCKS(gelu_tanh, TOT(C0) * (v + TOT(C1) * v * v * v), pc_vtanh,
            g *(TOT(0.5) * (1 + t[i]) +
                TOT(0.5) * v * (1 - t[i] * t[i]) * TOT(C0) * (1 + 3 * TOT(C1) * v * (v * v < TOT(1e30) ? v : 0))))
BOTH_BLOCKS(silu, v, pc_vsigmoid, g *t[i] * (1 + v * (1 - t[i])))
BOTH_BLOCKS(elu, v < 0 ? v : 0, pc_vexp, v < 0 ? g * p * t[i] : g)
BOTH_BLOCKS(softplus, p *v, pc_vsigmoid, p *v > q ? g : g * t[i])

static int act_grad(pc_tensor **out, pc_act kind, pc_tensor *g, pc_tensor *t, const double *par, int in_place) {
#define ROW(name)                \
  {                              \
    {name##_f32}, { name##_f64 } \
  }
  static const pc_vec table[PC_ACT_COUNT][2] = {ROW(relu), ROW(sigmoid), ROW(tanh),       ROW(gelu),     ROW(gelu_tanh),
                                                ROW(silu), ROW(elu),     ROW(leaky_relu), ROW(softplus), ROW(clamp)};
  static const double none[2];
  *out = NULL;
  if (!pc_same_shape(g, t) || g->dtype != t->dtype || !pc_dtype_is_float((pc_dtype)g->dtype))
    return pc_fail(PC_ESHAPE, "activation gradient: gradient %s %s, input %s %s", pc_dtype_name((pc_dtype)g->dtype),
                   pc_shape_str(g), pc_dtype_name((pc_dtype)t->dtype), pc_shape_str(t));
  int rc = in_place ? PC_OK : pc_tensor_empty(out, (pc_dtype)g->dtype, g->ndim, g->size);
  if (rc < 0) return rc;
  if (in_place) *out = pc_tensor_retain(g);
  int cheap = kind == PC_ACT_RELU || kind == PC_ACT_LEAKY_RELU || kind == PC_ACT_CLAMP;
  pc_pw_run(*out, 2, (pc_tensor *[]){g, t}, &table[kind][g->dtype], par ? par : none, cheap ? 0 : PC_GRAIN_MATH);
  return PC_OK;
}

int pc_act_grad(pc_tensor **out, pc_act kind, pc_tensor *g, pc_tensor *t, const double *par) {
  return act_grad(out, kind, g, t, par, 0);
}

int pc_fwd_act_backward(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const double par[2] = {v[1].d, v[2].d};
  *out = NULL;
  if (v[0].i < 0 || v[0].i >= PC_ACT_COUNT)
    return pc_fail(PC_EARG, "activation gradient: no activation of number %lld", (long long)v[0].i);
  return act_grad(out, (pc_act)v[0].i, in[0], in[1], par, v[3].i && pc_is_sole(in[0]) && pc_is_contiguous(in[0]));
}
