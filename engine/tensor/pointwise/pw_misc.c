/* pw_misc.c: choosing, mixing, masks, dropout, conversion and copies as ops. */
#include <string.h>

#include "base/rng.h"
#include "base/simd.h"
#include "tensor/pointwise/pointwise.h"
#include "tensor/pw.h"

/* ---- where(cond, a, b), masked_fill ---- */

/* T by width alone: choosing moves bits */
#define WHERE(sfx, T)                                                                              \
  static PC_CLONES void where_##sfx(void *y_, const void *const *x_, int64_t n, const void *ctx) { \
    T *y = y_;                                                                                     \
    const uint8_t *c = x_[0];                                                                      \
    const T *a = x_[1], *b = x_[2];                                                                \
    PC_IVDEP                                                                                       \
    for (int64_t i = 0; i < n; i++) {                                                              \
      const T u = a[i], w = b[i];                                                                  \
      y[i] = c[i] ? u : w;                                                                         \
    }                                                                                              \
  }
WHERE(4, uint32_t)
WHERE(8, uint64_t)
WHERE(1, uint8_t)
static const pc_vec where_table[PC_DTYPE_COUNT] = {{where_4}, {where_8}, {where_8}, {where_4}, {where_1}};

/* cond as u8 0/1: other dtypes by != 0 */
static int as_mask(pc_tensor **out, pc_tensor *cond) {
  if (cond->dtype == PC_U8) return *out = pc_tensor_retain(cond), PC_OK;
  pc_tensor *zero = NULL;
  int rc = pc_tensor_scalar(&zero, PC_F32, 0);
  if (rc == PC_OK) {
    zero->weak = 1;
    rc = pc_fwd_ne(out, (pc_tensor *[]){cond, zero}, 2, NULL);
  }
  pc_tensor_release(zero);
  return rc;
}

static int choose(pc_tensor **out, const char *name, pc_dtype d, pc_tensor *cond, pc_tensor *x, pc_tensor *y) {
  pc_operand a = {0}, b = {0};
  pc_tensor *mask = NULL;
  int rc = pc_pw_out(out, name, d, 3, (pc_tensor *[]){cond, x, y});
  if (rc < 0 || (rc = as_mask(&mask, cond)) < 0) goto done;
  if ((rc = pc_operand_get(&a, x, d)) < 0 || (rc = pc_operand_get(&b, y, d)) < 0) goto done;
  pc_pw_run(*out, 3, (pc_tensor *[]){mask, a.t, b.t}, &where_table[d], NULL, 0);
done:
  pc_operand_done(&a);
  pc_operand_done(&b);
  pc_tensor_release(mask);
  if (rc < 0) {
    pc_tensor_release(*out);
    *out = NULL;
  }
  return rc;
}

int pc_fwd_where(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_dtype d = pc_pw_promote(in[1], in[2]);
  *out = NULL;
  for (int i = 1; i < 3; i++) { /* numbers beside a tensor; those of two tensors are promoted */
    int rc = in[i]->weak ? pc_check_fits("where", in[i], d, 0) : PC_OK;
    if (rc < 0) return rc;
  }
  return choose(out, "where", d, in[0], in[1], in[2]);
}

int pc_fwd_masked_fill(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *value = NULL;
  int64_t size[PC_MAX_DIM];
  int ndim, rc = pc_broadcast_shape("masked_fill", in[0], in[1], &ndim, size);
  *out = NULL;
  if (rc < 0) return rc;
  if (ndim != in[0]->ndim || memcmp(size, in[0]->size, sizeof(int64_t) * (size_t)ndim))
    return pc_fail(PC_ESHAPE, "masked_fill: mask %s does not broadcast to x %s", pc_shape_str(in[1]),
                   pc_shape_str(in[0]));
  if ((rc = pc_tensor_scalar(&value, PC_F64, v[0].d)) < 0) return rc;
  if ((rc = pc_check_fits("masked_fill", value, (pc_dtype)in[0]->dtype, 0)) == PC_OK)
    rc = choose(out, "masked_fill", (pc_dtype)in[0]->dtype, in[1], value, in[0]);
  pc_tensor_release(value);
  return rc;
}

/* ---- lerp: a + w (b - a), the form that is exact at both ends as in PyTorch ---- */

#define LERP(sfx, T)                                                                              \
  static PC_CLONES void lerp_##sfx(void *y_, const void *const *x_, int64_t n, const void *ctx) { \
    T *y = y_;                                                                                    \
    const T *a = x_[0], *b = x_[1], *w = x_[2];                                                   \
    PC_IVDEP                                                                                      \
    for (int64_t i = 0; i < n; i++) {                                                             \
      const T u = a[i], d = b[i] - u, k = w[i];                                                   \
      y[i] = k < (T)0.5 ? u + k * d : b[i] - d * (1 - k);                                         \
    }                                                                                             \
  }
LERP(f32, float)
LERP(f64, double)

int pc_fwd_lerp(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  static const pc_vec table[2] = {{lerp_f32}, {lerp_f64}};
  pc_operand o[3] = {{0}};
  pc_dtype d = pc_pw_promote(in[0], in[1]), w = (pc_dtype)in[2]->dtype;
  if (!in[2]->weak) d = pc_dtype_promote(d, w);
  if (!pc_dtype_is_float(d)) d = PC_F32;
  int rc = pc_pw_out(out, "lerp", d, 3, in);
  for (int k = 0; k < 3 && rc == PC_OK; k++) rc = pc_operand_get(&o[k], in[k], d);
  if (rc == PC_OK) pc_pw_run(*out, 3, (pc_tensor *[]){o[0].t, o[1].t, o[2].t}, &table[d], NULL, 0);
  for (int k = 0; k < 3; k++) pc_operand_done(&o[k]);
  if (rc < 0) {
    pc_tensor_release(*out);
    *out = NULL;
  }
  return rc;
}

/* ---- dropout: y = x * keep / (1 - p); out[1] is keep, u8 (0-dim 1 when nothing is dropped) ---- */

#define DROP(sfx, T)                                                                              \
  static PC_CLONES void drop_##sfx(void *y_, const void *const *x_, int64_t n, const void *ctx) { \
    T *y = y_, scale = (T) * (const double *)ctx;                                                 \
    const T *x = x_[0];                                                                           \
    const uint8_t *keep = x_[1];                                                                  \
    PC_IVDEP                                                                                      \
    for (int64_t i = 0; i < n; i++) y[i] = keep[i] ? x[i] * scale : 0;                            \
  }
DROP(f32, float)
DROP(f64, double)

static int keep_mask(pc_tensor **out, const pc_tensor *x, double p) {
  int64_t n = pc_numel(x);
  float u[1024];
  pc_rng *g = pc_rng_global();
  int rc = pc_tensor_empty(out, PC_U8, x->ndim, x->size);
  if (rc < 0) return rc;
  uint8_t *keep = pc_u8(*out);
  for (int64_t at = 0; at < n; at += 1024) {
    int64_t m = n - at < 1024 ? n - at : 1024;
    pc_rng_fill_uniform_f32(g, u, m);
    for (int64_t i = 0; i < m; i++) keep[at + i] = (double)u[i] >= p;
  }
  return PC_OK;
}

int pc_fwd_dropout(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  static const pc_vec table[2] = {{drop_f32}, {drop_f64}};
  double p = v[0].set ? v[0].d : 0.5, scale = p < 1 ? 1 / (1 - p) : 0;
  int training = v[1].set ? v[1].i != 0 : 1, rc;
  pc_tensor *x = in[0];
  out[0] = out[1] = NULL;
  if (!(p >= 0 && p <= 1)) return pc_fail(PC_EARG, "dropout: p is a probability, not %g", p);
  if (!pc_dtype_is_float((pc_dtype)x->dtype))
    return pc_fail(PC_EDTYPE, "dropout: x is %s; it must be f32 or f64", pc_dtype_name((pc_dtype)x->dtype));
  if (!training || p == 0) {
    if ((rc = pc_tensor_scalar(&out[1], PC_U8, 1)) == PC_OK) out[0] = pc_tensor_retain(x);
    return rc;
  }
  if ((rc = keep_mask(&out[1], x, p)) < 0) return rc;
  if ((rc = pc_tensor_empty(&out[0], (pc_dtype)x->dtype, x->ndim, x->size)) < 0) {
    pc_tensor_release(out[1]);
    out[1] = NULL;
    return rc;
  }
  pc_pw_run(out[0], 2, (pc_tensor *[]){x, out[1]}, &table[x->dtype], &scale, 0);
  return PC_OK;
}

/* ---- conversion and copies ---- */

int pc_fwd_to(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  *out = NULL;
  if (!v[0].set || v[0].i < 0 || v[0].i >= PC_DTYPE_COUNT)
    return pc_fail(PC_EDTYPE, "to: give a dtype: f32, f64, i64, i32 or u8");
  int rc = pc_check_fits("to", in[0], (pc_dtype)v[0].i, 1);
  return rc < 0 ? rc : pc_to_dtype(out, in[0], (pc_dtype)v[0].i);
}
int pc_fwd_clone(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) { return pc_clone(out, in[0]); }
int pc_fwd_contiguous(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return pc_contiguous(out, in[0]);
}
