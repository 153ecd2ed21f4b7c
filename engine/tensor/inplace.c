#include "tensor/inplace.h"

#include <string.h>

#include "base/simd.h"
#include "tensor/convert.h"
#include "tensor/pw.h"

/* y[i] = EXPR of a = dst, b = src, k = the number of the call */
#define FORM(fn, T, SRC, EXPR)                                                            \
  static PC_CLONES void fn(void *y_, const void *const *x_, int64_t n, const void *ctx) { \
    T *y = y_;                                                                            \
    const T *x0 = x_[0], *x1 = x_[1], k = (T) * (const double *)ctx;                      \
    (void)k, (void)x1;                                                                    \
    PC_IVDEP                                                                              \
    for (int64_t i = 0; i < n; i++) {                                                     \
      const T a = x0[i], b = SRC;                                                         \
      (void)b;                                                                            \
      y[i] = (T)(EXPR);                                                                   \
    }                                                                                     \
  }
#define FLOATS(name, EXPR)                 \
  FORM(name##_f32_vv, float, x1[i], EXPR)  \
  FORM(name##_f32_vs, float, *x1, EXPR)    \
  FORM(name##_f64_vv, double, x1[i], EXPR) \
  FORM(name##_f64_vs, double, *x1, EXPR)

/* Integers by way of f64 for the factor, wrapping sums otherwise. */
#define INTS(name, T, sfx, EXPR)                                                          \
  static void name##_##sfx(void *y_, const void *const *x_, int64_t n, const void *ctx) { \
    T *y = y_;                                                                            \
    const T *x0 = x_[0], *x1 = x_[1];                                                     \
    const double k = *(const double *)ctx;                                                \
    (void)k;                                                                              \
    for (int64_t i = 0; i < n; i++) {                                                     \
      const T a = x0[i], b = x1[i];                                                       \
      y[i] = (T)(EXPR);                                                                   \
    }                                                                                     \
  }

FLOATS(add, a + b)
FLOATS(axpy, a + k * b)
FLOATS(mul, a *b)
FLOATS(div, a / b)
FLOATS(lerp, a + k * (b - a))
INTS(axpy, int64_t, i64, (uint64_t)a + (k == 1 ? (uint64_t)b : (uint64_t)pc_f64_to_i64(k * (double)b)))
INTS(axpy, int32_t, i32, (uint32_t)a + (uint32_t)(k == 1 ? (int64_t)b : pc_f64_to_i64(k * (double)b)))
INTS(axpy, uint8_t, u8, a + (k == 1 ? (int64_t)b : pc_f64_to_i64(k * (double)b)))
INTS(mul, int64_t, i64, (uint64_t)a *(uint64_t)b)
INTS(mul, int32_t, i32, (uint32_t)a *(uint32_t)b)
INTS(mul, uint8_t, u8, a *b)

#define ROW(name, sfx) \
  { name##_##sfx##_vv, name##_##sfx##_vs, NULL }
static const pc_vec add_table[PC_DTYPE_COUNT] = {ROW(add, f32), ROW(add, f64), {axpy_i64}, {axpy_i32}, {axpy_u8}};
static const pc_vec axpy_table[PC_DTYPE_COUNT] = {ROW(axpy, f32), ROW(axpy, f64), {axpy_i64}, {axpy_i32}, {axpy_u8}};
static const pc_vec mul_table[PC_DTYPE_COUNT] = {ROW(mul, f32), ROW(mul, f64), {mul_i64}, {mul_i32}, {mul_u8}};
static const pc_vec div_table[PC_DTYPE_COUNT] = {ROW(div, f32), ROW(div, f64)};
static const pc_vec lerp_table[PC_DTYPE_COUNT] = {ROW(lerp, f32), ROW(lerp, f64)};

static int identical(const pc_tensor *a, const pc_tensor *b) {
  return a->offset == b->offset && pc_same_shape(a, b) && a->dtype == b->dtype &&
         !memcmp(a->stride, b->stride, sizeof(int64_t) * a->ndim);
}

static int check(const char *op, const pc_tensor *dst, const pc_tensor *src) {
  int64_t size[PC_MAX_DIM];
  int n = 0, rc = pc_broadcast_shape(op, dst, src, &n, size);
  if (rc < 0) return rc;
  if (n != dst->ndim || memcmp(size, dst->size, sizeof(int64_t) * (size_t)n))
    return pc_fail(PC_ESHAPE, "%s: shape %s does not broadcast to the destination's %s", op, pc_shape_str(src),
                   pc_shape_str(dst));
  for (int i = 0; i < dst->ndim; i++)
    if (dst->size[i] > 1 && dst->stride[i] == 0)
      return pc_fail(PC_EARG,
                     "%s: the destination of shape %s is expanded: several elements share one place; clone() it", op,
                     pc_shape_str(dst));
  return PC_OK;
}

static int run(const char *op, const pc_vec *table, pc_tensor *dst, const pc_tensor *src, double k) {
  pc_operand b = {0};
  pc_tensor *copy = NULL, *use = (pc_tensor *)src;
  int rc = check(op, dst, src);
  if (rc < 0) return rc;
  if (!table[dst->dtype].vv)
    return pc_fail(PC_EDTYPE, "%s: the destination is %s; it must be f32 or f64", op,
                   pc_dtype_name((pc_dtype)dst->dtype));
  if (dst->storage == src->storage && !identical(dst, src)) {
    if ((rc = pc_clone(&copy, src)) < 0) return rc;
    use = copy;
  }
  if ((rc = pc_operand_get(&b, use, (pc_dtype)dst->dtype)) == PC_OK) {
    dst->storage->version++;
    pc_pw_run(dst, 2, (pc_tensor *[]){dst, b.t}, &table[dst->dtype], &k, 0);
  }
  pc_operand_done(&b);
  pc_tensor_release(copy);
  return rc;
}

int pc_add_into(pc_tensor *dst, const pc_tensor *src, double alpha) {
  return run("add_", alpha == 1 ? add_table : axpy_table, dst, src, alpha);
}
int pc_mul_into(pc_tensor *dst, const pc_tensor *src) { return run("mul_", mul_table, dst, src, 0); }
int pc_div_into(pc_tensor *dst, const pc_tensor *src) { return run("div_", div_table, dst, src, 0); }
int pc_lerp_into(pc_tensor *dst, const pc_tensor *src, double w) { return run("lerp_", lerp_table, dst, src, w); }

/* ---- with a number ---- */

#define NUMBER(name, T, sfx, EXPR)                                                                  \
  static PC_CLONES void name##_##sfx(void *y_, const void *const *x_, int64_t n, const void *ctx) { \
    T *y = y_;                                                                                      \
    const T *x = x_[0], p = (T)((const double *)ctx)[0], q = (T)((const double *)ctx)[1];           \
    (void)q;                                                                                        \
    PC_IVDEP                                                                                        \
    for (int64_t i = 0; i < n; i++) {                                                               \
      const T v = x[i];                                                                             \
      y[i] = EXPR;                                                                                  \
    }                                                                                               \
  }
NUMBER(scale, float, f32, v *p)
NUMBER(scale, double, f64, v *p)
NUMBER(clamp, float, f32, v<p ? p : v> q ? q : v)
NUMBER(clamp, double, f64, v<p ? p : v> q ? q : v)

static int with_numbers(const char *op, const pc_vec *table, pc_tensor *dst, double p, double q) {
  const double par[2] = {p, q};
  int rc = check(op, dst, dst);
  if (rc < 0) return rc;
  if (!pc_dtype_is_float((pc_dtype)dst->dtype))
    return pc_fail(PC_EDTYPE, "%s: the destination is %s; it must be f32 or f64", op,
                   pc_dtype_name((pc_dtype)dst->dtype));
  dst->storage->version++;
  pc_pw_run(dst, 1, &dst, &table[dst->dtype], par, 0);
  return PC_OK;
}

int pc_scale(pc_tensor *dst, double a) {
  static const pc_vec table[2] = {{scale_f32}, {scale_f64}};
  return with_numbers("mul_", table, dst, a, 0);
}
int pc_clamp_into(pc_tensor *dst, double lo, double hi) {
  static const pc_vec table[2] = {{clamp_f32}, {clamp_f64}};
  return with_numbers("clamp_", table, dst, lo, hi);
}
