/* pw_binary.c: arithmetic, comparisons and logic of two operands. */
#include <math.h>

#include "base/simd.h"
#include "tensor/pointwise/pointwise.h"
#include "tensor/pw.h"

/* y[i] = EXPR of a and b, in the three forms of pc_vec. T operand, R result. */
#define FORM_VV(fn, CLONE, T, R, EXPR)                                                \
  static CLONE void fn(void *y_, const void *const *x_, int64_t n, const void *ctx) { \
    R *y = y_;                                                                        \
    const T *x0 = x_[0], *x1 = x_[1];                                                 \
    PC_IVDEP                                                                          \
    for (int64_t i = 0; i < n; i++) {                                                 \
      const T a = x0[i], b = x1[i];                                                   \
      y[i] = (R)(EXPR);                                                               \
    }                                                                                 \
  }
#define FORM_VS(fn, CLONE, T, R, EXPR)                                                \
  static CLONE void fn(void *y_, const void *const *x_, int64_t n, const void *ctx) { \
    R *y = y_;                                                                        \
    const T *x0 = x_[0], b = *(const T *)x_[1];                                       \
    PC_IVDEP                                                                          \
    for (int64_t i = 0; i < n; i++) {                                                 \
      const T a = x0[i];                                                              \
      y[i] = (R)(EXPR);                                                               \
    }                                                                                 \
  }
#define FORM_SV(fn, CLONE, T, R, EXPR)                                                \
  static CLONE void fn(void *y_, const void *const *x_, int64_t n, const void *ctx) { \
    R *y = y_;                                                                        \
    const T a = *(const T *)x_[0], *x1 = x_[1];                                       \
    PC_IVDEP                                                                          \
    for (int64_t i = 0; i < n; i++) {                                                 \
      const T b = x1[i];                                                              \
      y[i] = (R)(EXPR);                                                               \
    }                                                                                 \
  }
#define FORMS(name, CLONE, T, R, EXPR)  \
  FORM_VV(name##_vv, CLONE, T, R, EXPR) \
  FORM_VS(name##_vs, CLONE, T, R, EXPR) \
  FORM_SV(name##_sv, CLONE, T, R, EXPR)
#define VEC(name) \
  { name##_vv, name##_vs, name##_sv }
#define NOCLONE

/* Integers wrap around, as in NumPy: computed unsigned. */
#define ARITH_LOOPS(name, FLOAT32, FLOAT64, INT)                       \
  FORMS(name##_f32, PC_CLONES, float, float, FLOAT32)                  \
  FORMS(name##_f64, PC_CLONES, double, double, FLOAT64)                \
  FORMS(name##_i64, NOCLONE, int64_t, int64_t, INT(int64_t, uint64_t)) \
  FORMS(name##_i32, NOCLONE, int32_t, int32_t, INT(int32_t, uint32_t)) \
  FORMS(name##_u8, NOCLONE, uint8_t, uint8_t, INT(uint8_t, uint32_t))
#define ARITH(name, FLOAT32, FLOAT64, INT)                                                               \
  ARITH_LOOPS(name, FLOAT32, FLOAT64, INT)                                                               \
  static const pc_vec name##_table[PC_DTYPE_COUNT] = {VEC(name##_f32), VEC(name##_f64), VEC(name##_i64), \
                                                      VEC(name##_i32), VEC(name##_u8)};
#define ARITH_FLOAT(name, FLOAT32, FLOAT64)             \
  FORMS(name##_f32, PC_CLONES, float, float, FLOAT32)   \
  FORMS(name##_f64, PC_CLONES, double, double, FLOAT64) \
  static const pc_vec name##_table[PC_DTYPE_COUNT] = {VEC(name##_f32), VEC(name##_f64)};
#define COMPARE(name, EXPR)                                                                              \
  FORMS(name##_f32, PC_CLONES, float, uint8_t, EXPR)                                                     \
  FORMS(name##_f64, NOCLONE, double, uint8_t, EXPR)                                                      \
  FORMS(name##_i64, NOCLONE, int64_t, uint8_t, EXPR)                                                     \
  FORMS(name##_i32, NOCLONE, int32_t, uint8_t, EXPR)                                                     \
  FORMS(name##_u8, NOCLONE, uint8_t, uint8_t, EXPR)                                                      \
  static const pc_vec name##_table[PC_DTYPE_COUNT] = {VEC(name##_f32), VEC(name##_f64), VEC(name##_i64), \
                                                      VEC(name##_i32), VEC(name##_u8)};

#define I_ADD(T, U) (U) a + (U)b
#define I_SUB(T, U) (U) a - (U)b
#define I_MUL(T, U) (U) a *(U)b
#define I_MAX(T, U) a > b ? a : b
#define I_MIN(T, U) a < b ? a : b
/* the caller has refused b == 0; b == -1 is apart because MIN / -1 does not exist */
#define I_FMOD(T, U) b == (T)-1 ? 0 : a % b
#define I_REM(T, U)  b == (T)-1 ? 0 : a % b + (a % b != 0 && (a % b < 0) != (b < 0) ? b : 0)

/* the result has the sign of b (Python's %) */
static inline float rem_f32(float a, float b) {
  float r = fmodf(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
static inline double rem_f64(double a, double b) {
  double r = fmod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
/* exponent >= 0, checked by the caller */
static inline uint64_t ipow(uint64_t a, uint64_t b) {
  uint64_t r = 1;
  for (; b; b >>= 1, a *= a)
    if (b & 1) r *= a;
  return r;
}
#define I_POW(T, U) ipow((uint64_t)a, (uint64_t)b)

ARITH(add, a + b, a + b, I_ADD)
ARITH(sub, a - b, a - b, I_SUB)
ARITH(mul, a *b, a *b, I_MUL)
ARITH_FLOAT(div, a / b, a / b)
/* a NaN on either side comes through */
ARITH(maximum, a > b || a != a ? a : b, a > b || a != a ? a : b, I_MAX)
ARITH(minimum, a < b || a != a ? a : b, a < b || a != a ? a : b, I_MIN)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtype-limits"
ARITH(fmod, fmodf(a, b), fmod(a, b), I_FMOD)
ARITH(remainder, rem_f32(a, b), rem_f64(a, b), I_REM)
#pragma GCC diagnostic pop
ARITH_LOOPS(rawpow, powf(a, b), pow(a, b), I_POW)
COMPARE(eq, a == b)
COMPARE(ne, a != b)
COMPARE(lt, a < b)
COMPARE(le, a <= b)
COMPARE(gt, a > b)
COMPARE(ge, a >= b)
COMPARE(logical_and, a != 0 && b != 0)
COMPARE(logical_or, a != 0 || b != 0)
COMPARE(logical_xor, (a != 0) != (b != 0))

/* ---- a power whose exponent is one of the common numbers is products and roots ---- */

#define PC_TEMPLATE "tensor/pointwise/pow.inc"
#include "base/float_types.inc"
static const pc_vec pow_table[PC_DTYPE_COUNT] = {{rawpow_f32_vv, pow_vs_f32, rawpow_f32_sv},
                                                 {rawpow_f64_vv, pow_vs_f64, rawpow_f64_sv},
                                                 VEC(rawpow_i64),
                                                 VEC(rawpow_i32),
                                                 VEC(rawpow_u8)};

/* ---- forward functions ---- */

/* A number the integers of the other side cannot hold (u8 > -1) is compared in i64. */
static pc_dtype comparable(pc_dtype d, const pc_tensor *a, const pc_tensor *b) {
  const pc_tensor *w = a->weak ? a : b;
  if (!w->weak || (d != PC_U8 && d != PC_I32)) return d;
  double v = pc_at(w, 0);
  int fits = d == PC_U8 ? v >= 0 && v <= 255 : v >= INT32_MIN && v <= INT32_MAX;
  return fits ? d : PC_I64;
}

/* A number that the integers of the other side cannot hold is refused, not cut down to what they can. */
static int check_number(const char *name, pc_dtype d, const pc_tensor *a, const pc_tensor *b) {
  const pc_tensor *w = a->weak ? a : b;
  if (!w->weak || pc_dtype_is_float(d)) return PC_OK;
  double v = pc_at(w, 0), top = d == PC_U8 ? 255 : d == PC_I32 ? INT32_MAX : 0x1p63;
  double low = d == PC_U8 ? 0 : d == PC_I32 ? INT32_MIN : -0x1p63;
  if (v >= low && (d == PC_I64 ? v < top : v <= top)) return PC_OK;
  return pc_fail(PC_EARG, "%s: %.17g does not fit into %s; use x:%s() first", name, v, pc_dtype_name(d),
                 d == PC_I64 ? "double" : "long");
}

static int run(pc_tensor **out, const char *name, const pc_vec *table, int to_float, int to_bool, pc_tensor *const *in,
               int64_t grain) {
  pc_operand a, b;
  a.own = b.own = NULL;
  *out = NULL;
  pc_dtype d = pc_pw_promote(in[0], in[1]);
  if (to_float && !pc_dtype_is_float(d)) d = PC_F32;
  if (to_bool) d = comparable(d, in[0], in[1]);
  int rc = to_bool ? PC_OK : check_number(name, d, in[0], in[1]);
  if (rc == PC_OK) rc = pc_pw_out(out, name, to_bool ? PC_U8 : d, 2, in);
  if (rc < 0 || (rc = pc_operand_get(&a, in[0], d)) < 0 || (rc = pc_operand_get(&b, in[1], d)) < 0) goto done;
  pc_pw_run(*out, 2, (pc_tensor *[]){a.t, b.t}, &table[d], NULL, grain);
done:
  pc_operand_done(&a);
  pc_operand_done(&b);
  if (rc < 0) {
    pc_tensor_release(*out);
    *out = NULL;
  }
  return rc;
}

#define ARITH_FWD(name, to_float, grain)                                               \
  int pc_fwd_##name(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) { \
    return run(out, #name, name##_table, to_float, 0, in, grain);                      \
  }
ARITH_FWD(add, 0, 0)
ARITH_FWD(sub, 0, 0)
ARITH_FWD(mul, 0, 0)
ARITH_FWD(div, 1, 0)
ARITH_FWD(maximum, 0, 0)
ARITH_FWD(minimum, 0, 0)

#define COMPARE_FWD(name)                                                              \
  int pc_fwd_##name(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) { \
    return run(out, #name, name##_table, 0, 1, in, 0);                                 \
  }
COMPARE_FWD(eq)
COMPARE_FWD(ne)
COMPARE_FWD(lt)
COMPARE_FWD(le)
COMPARE_FWD(gt)
COMPARE_FWD(ge)
COMPARE_FWD(logical_and)
COMPARE_FWD(logical_or)
COMPARE_FWD(logical_xor)

/* Integer operands only: does any element of t satisfy t < bound or t == 0? Slow walk, small tensors mostly. */
static int any_element(const pc_tensor *t, int (*bad)(double)) {
  int64_t n = pc_numel(t);
  for (int64_t i = 0; i < n; i++)
    if (bad(pc_at(t, i))) return 1;
  return 0;
}
static int is_zero(double v) { return v == 0; }
static int is_negative(double v) { return v < 0; }

static int modulo(pc_tensor **out, const char *name, const pc_vec *table, pc_tensor *const *in) {
  *out = NULL;
  if (!pc_dtype_is_float(pc_pw_promote(in[0], in[1])) && any_element(in[1], is_zero))
    return pc_fail(PC_EARG, "%s: an integer of shape %s divided by zero; convert to f32 to get nan", name,
                   pc_shape_str(in[0]));
  return run(out, name, table, 0, 0, in, PC_GRAIN_MATH);
}
int pc_fwd_fmod(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return modulo(out, "fmod", fmod_table, in);
}
int pc_fwd_remainder(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return modulo(out, "remainder", remainder_table, in);
}

int pc_fwd_pow(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  *out = NULL;
  if (!pc_dtype_is_float(pc_pw_promote(in[0], in[1])) && any_element(in[1], is_negative))
    return pc_fail(PC_EARG, "pow: an integer of shape %s to a negative power; convert to f32 first",
                   pc_shape_str(in[0]));
  return run(out, "pow", pow_table, 0, 0, in, PC_GRAIN_MATH);
}
