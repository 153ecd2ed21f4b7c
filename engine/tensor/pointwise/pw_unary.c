/* pw_unary.c: functions of one operand. */
#include <math.h>
#include <string.h>

#include "base/simd.h"
#include "base/vmath.h"
#include "tensor/pointwise/pointwise.h"
#include "tensor/pw.h"

#define LOOP(fn, CLONE, T, R, EXPR)                                                   \
  static CLONE void fn(void *y_, const void *const *x_, int64_t n, const void *ctx) { \
    R *y = y_;                                                                        \
    const T *x = x_[0];                                                               \
    PC_IVDEP                                                                          \
    for (int64_t i = 0; i < n; i++) {                                                 \
      const T v = x[i];                                                               \
      y[i] = (R)(EXPR);                                                               \
    }                                                                                 \
  }
#define NOCLONE

static int run(pc_tensor **out, const pc_vec *f, pc_dtype d, pc_dtype result, pc_tensor *x, const void *ctx,
               int64_t grain) {
  pc_operand a = {0};
  int rc = pc_tensor_empty(out, result, x->ndim, x->size);
  if (rc < 0) return rc;
  if ((rc = pc_operand_get(&a, x, d)) == PC_OK) {
    pc_pw_run(*out, 1, &a.t, f, ctx, grain);
  } else {
    pc_tensor_release(*out);
    *out = NULL;
  }
  pc_operand_done(&a);
  return rc;
}

static pc_dtype real_dtype(const pc_tensor *x) { return x->dtype == PC_F64 ? PC_F64 : PC_F32; }

/* ---- any dtype ---- */

/* T, its unsigned twin U (integers wrap), and the float forms */
#define ANY(name, F32, F64, SIGNED, UNSIGNED)                                                                          \
  LOOP(name##_f32, PC_CLONES, float, float, F32)                                                                       \
  LOOP(name##_f64, PC_CLONES, double, double, F64)                                                                     \
  LOOP(name##_i64, NOCLONE, int64_t, int64_t, SIGNED(uint64_t))                                                        \
  LOOP(name##_i32, NOCLONE, int32_t, int32_t, SIGNED(uint32_t))                                                        \
  LOOP(name##_u8, NOCLONE, uint8_t, uint8_t, UNSIGNED)                                                                 \
  int pc_fwd_##name(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {                                 \
    static const pc_vec table[PC_DTYPE_COUNT] = {{name##_f32}, {name##_f64}, {name##_i64}, {name##_i32}, {name##_u8}}; \
    return run(out, &table[in[0]->dtype], (pc_dtype)in[0]->dtype, (pc_dtype)in[0]->dtype, in[0], NULL, 0);             \
  }
#define I_NEG(U)    (U)0 - (U)v
#define I_ABS(U)    v < 0 ? (U)0 - (U)v : (U)v
#define I_SIGN(U)   (v > 0) - (v < 0)
#define I_SQUARE(U) (U) v *(U)v
#define I_RELU(U)   v > 0 ? v : 0
#define I_SAME(U)   v
ANY(neg, -v, -v, I_NEG, -v)
ANY(abs, fabsf(v), fabs(v), I_ABS, v)
ANY(sign, v > 0 ? 1 : v < 0 ? -1 : v, v > 0 ? 1 : v < 0 ? -1 : v, I_SIGN, v > 0)
ANY(square, v *v, v *v, I_SQUARE, v *v)
ANY(relu, v < 0 ? 0 : v, v < 0 ? 0 : v, I_RELU, v) /* NaN stays NaN */
ANY(floor, floorf(v), floor(v), I_SAME, v)
ANY(ceil, ceilf(v), ceil(v), I_SAME, v)
ANY(round, rintf(v), rint(v), I_SAME, v) /* halves to even, as NumPy and PyTorch */
ANY(trunc, truncf(v), trunc(v), I_SAME, v)

/* ---- real-valued ---- */

#define REAL_FWD(name, grain)                                                          \
  int pc_fwd_##name(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) { \
    static const pc_vec table[2] = {{name##_f32}, {name##_f64}};                       \
    pc_dtype d = real_dtype(in[0]);                                                    \
    return run(out, &table[d], d, d, in[0], NULL, grain);                              \
  }
#define REAL(name, CLONE, F32, F64, grain)     \
  LOOP(name##_f32, CLONE, float, float, F32)   \
  LOOP(name##_f64, CLONE, double, double, F64) \
  REAL_FWD(name, grain)
REAL(sqrt, PC_CLONES, sqrtf(v), sqrt(v), 0)
REAL(rsqrt, PC_CLONES, 1 / sqrtf(v), 1 / sqrt(v), 0)
REAL(reciprocal, PC_CLONES, 1 / v, 1 / v, 0)
REAL(tan, NOCLONE, tanf(v), tan(v), PC_GRAIN_MATH)
REAL(asin, NOCLONE, asinf(v), asin(v), PC_GRAIN_MATH)
REAL(acos, NOCLONE, acosf(v), acos(v), PC_GRAIN_MATH)
REAL(atan, NOCLONE, atanf(v), atan(v), PC_GRAIN_MATH)
REAL(sinh, NOCLONE, sinhf(v), sinh(v), PC_GRAIN_MATH)
REAL(cosh, NOCLONE, coshf(v), cosh(v), PC_GRAIN_MATH)
REAL(sin, NOCLONE, sinf(v), sin(v), PC_GRAIN_MATH)
REAL(cos, NOCLONE, cosf(v), cos(v), PC_GRAIN_MATH)

#define VMATH(name)                                                                                                   \
  static void name##_f32(void *y, const void *const *x, int64_t n, const void *ctx) { pc_v##name##_f32(y, x[0], n); } \
  static void name##_f64(void *y, const void *const *x, int64_t n, const void *ctx) { pc_v##name##_f64(y, x[0], n); }
#define VREAL(name) VMATH(name) REAL_FWD(name, PC_GRAIN_MATH)
VREAL(exp)
VREAL(log)
VREAL(log1p)
VREAL(expm1)
VREAL(tanh)
VREAL(erf)
VREAL(sigmoid)
VREAL(silu)

/* ---- tests: u8 ---- */

#define TEST(name, FLOAT, INT)                                                                                         \
  LOOP(name##_f32, NOCLONE, float, uint8_t, FLOAT)                                                                     \
  LOOP(name##_f64, NOCLONE, double, uint8_t, FLOAT)                                                                    \
  LOOP(name##_i64, NOCLONE, int64_t, uint8_t, INT)                                                                     \
  LOOP(name##_i32, NOCLONE, int32_t, uint8_t, INT)                                                                     \
  LOOP(name##_u8, NOCLONE, uint8_t, uint8_t, INT)                                                                      \
  int pc_fwd_##name(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {                                 \
    static const pc_vec table[PC_DTYPE_COUNT] = {{name##_f32}, {name##_f64}, {name##_i64}, {name##_i32}, {name##_u8}}; \
    return run(out, &table[in[0]->dtype], (pc_dtype)in[0]->dtype, PC_U8, in[0], NULL, 0);                              \
  }
TEST(logical_not, v == 0, v == 0)
TEST(isnan, v != v, v != v)
TEST(isinf, v - v != v - v && v == v, ((void)v, 0))
TEST(isfinite, v - v == v - v, ((void)v, 1))

/* ---- with arguments: ctx is two doubles ---- */

#define PAR_LOOP(name, CLONE, T, EXPR)                                                    \
  static CLONE void name(void *y_, const void *const *x_, int64_t n, const void *ctx) {   \
    T *y = y_;                                                                            \
    const T *x = x_[0], p = (T)((const double *)ctx)[0], q = (T)((const double *)ctx)[1]; \
    (void)q;                                                                              \
    PC_IVDEP                                                                              \
    for (int64_t i = 0; i < n; i++) {                                                     \
      const T v = x[i];                                                                   \
      y[i] = EXPR;                                                                        \
    }                                                                                     \
  }
#define PAR(name, CLONE, EXPR)             \
  PAR_LOOP(name##_f32, CLONE, float, EXPR) \
  PAR_LOOP(name##_f64, CLONE, double, EXPR)

static int with_par(pc_tensor **out, const pc_vec *table, pc_tensor *x, double p, double q, int64_t grain) {
  pc_dtype d = real_dtype(x);
  const double par[2] = {p, q};
  return run(out, &table[d], d, d, x, par, grain);
}
static double num(const pc_val *v, double otherwise) { return v->set ? v->d : otherwise; }

PAR(leaky_relu, PC_CLONES, v < 0 ? p * v : v)

/* By blocks: t = FN(BEFORE), then y = AFTER, for functions built on a transcendental one. */
#define EACH(T, STATEMENT)          \
  for (int64_t i = 0; i < m; i++) { \
    const T v = x[i];               \
    STATEMENT;                      \
  }
#define BLOCKS(name, sfx, T, BEFORE, FN, AFTER)                                           \
  static void name##_##sfx(void *y_, const void *const *x_, int64_t n, const void *ctx) { \
    const T p = (T)((const double *)ctx)[0], q = (T)((const double *)ctx)[1];             \
    (void)p, (void)q;                                                                     \
    for (int64_t at = 0; at < n; at += 256) {                                             \
      T *y = (T *)y_ + at, t[256];                                                        \
      const T *x = (const T *)x_[0] + at;                                                 \
      int64_t m = n - at < 256 ? n - at : 256;                                            \
      EACH(T, t[i] = BEFORE)                                                              \
      FN(t, t, m);                                                                        \
      EACH(T, y[i] = AFTER)                                                               \
    }                                                                                     \
  }

static void log1p_exp_f32(float *y, const float *x, int64_t n) { pc_vexp_f32(y, x, n), pc_vlog1p_f32(y, y, n); }
static void log1p_exp_f64(double *y, const double *x, int64_t n) { pc_vexp_f64(y, x, n), pc_vlog1p_f64(y, y, n); }

BLOCKS(elu, f32, float, v < 0 ? v : 0, pc_vexpm1_f32, v < 0 ? p * t[i] : v)
BLOCKS(elu, f64, double, v < 0 ? v : 0, pc_vexpm1_f64, v < 0 ? p * t[i] : v)
/* log(1 + exp(p v)) / p without overflow; linear above the threshold q, as PyTorch */
BLOCKS(softplus, f32, float, -fabsf(p *v), log1p_exp_f32, p *v > q ? v : ((p * v < 0 ? 0 : p * v) + t[i]) / p)
BLOCKS(softplus, f64, double, -fabs(p *v), log1p_exp_f64, p *v > q ? v : ((p * v < 0 ? 0 : p * v) + t[i]) / p)
PAR(clamp, PC_CLONES, v<p ? p : v> q ? q : v)

int pc_fwd_leaky_relu(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  static const pc_vec table[2] = {{leaky_relu_f32}, {leaky_relu_f64}};
  return with_par(out, table, in[0], num(v, 0.01), 0, 0);
}
int pc_fwd_elu(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  static const pc_vec table[2] = {{elu_f32}, {elu_f64}};
  return with_par(out, table, in[0], num(v, 1), 0, PC_GRAIN_MATH);
}
int pc_fwd_softplus(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  static const pc_vec table[2] = {{softplus_f32}, {softplus_f64}};
  return with_par(out, table, in[0], num(v, 1), num(v + 1, 20), PC_GRAIN_MATH);
}

int pc_fwd_clamp(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  static const pc_vec table[2] = {{clamp_f32}, {clamp_f64}};
  double lo = num(v, -INFINITY), hi = num(v + 1, INFINITY);
  *out = NULL;
  if (!v[0].set && !v[1].set) return pc_fail(PC_EARG, "clamp: give min, max or both");
  if (isnan(lo) || isnan(hi)) return pc_fail(PC_EARG, "clamp: min or max is nan");
  pc_dtype d = (pc_dtype)in[0]->dtype;
  if (pc_dtype_is_float(d)) return with_par(out, table, in[0], lo, hi, 0);
  /* integers: through f64 when the bounds are whole, else the result is f32 */
  pc_tensor *wide = NULL;
  const double par[2] = {lo, hi};
  int whole = (isinf(lo) || lo == floor(lo)) && (isinf(hi) || hi == floor(hi));
  int rc = run(&wide, &table[PC_F64], PC_F64, PC_F64, in[0], par, 0);
  if (rc == PC_OK) rc = pc_to_dtype(out, wide, whole ? d : PC_F32);
  pc_tensor_release(wide);
  return rc;
}

/* ---- GELU (Hendrycks & Gimpel 2016): x Phi(x), or its tanh form ---- */

#define SQRT_2_PI 0.7978845608028654 /* sqrt(2/pi) */
#define CUBIC     0.044715

VMATH(gelu)

#define INNER(T) (T) SQRT_2_PI *(v + (T)CUBIC * v * v * v)
BLOCKS(gelu_tanh, f32, float, INNER(float), pc_vtanh_f32, 0.5f * v * (1 + t[i]))
BLOCKS(gelu_tanh, f64, double, INNER(double), pc_vtanh_f64, 0.5 * v * (1 + t[i]))

int pc_fwd_gelu(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  static const pc_vec exact[2] = {{gelu_f32}, {gelu_f64}}, approximate[2] = {{gelu_tanh_f32}, {gelu_tanh_f64}};
  const char *how = v[0].set && v[0].s ? v[0].s : "none";
  *out = NULL;
  if (strcmp(how, "none") && strcmp(how, "tanh"))
    return pc_fail(PC_EARG, "gelu: approximate is 'none' or 'tanh', not '%s'", how);
  return with_par(out, strcmp(how, "tanh") ? exact : approximate, in[0], 0, 0, PC_GRAIN_MATH);
}
