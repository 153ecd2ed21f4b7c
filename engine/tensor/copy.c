/* copy.c: moving elements between tensors, with broadcasting and conversion. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "tensor/backend.h"
#include "tensor/convert.h"
#include "tensor/iter.h"
#include "tensor/tensor.h"

/* ---- inner loops: one for each pair of dtypes ---- */

enum { TILE = 32, PIECE = 32768 };

/* dst runs along i, src along j. */
static int crosswise(const int64_t *s0, const int64_t *s1, int64_t ds, int64_t ss, int64_t n1) {
  return n1 > 1 && s0[0] == ds && s1[1] == ss && s0[1] != ss && s0[1] != 0;
}

/* Rows of src run down the columns of dst: go by tiles, so that each cache line is read once. */
#define TRANSPOSE(D, S, conv)                                                             \
  for (int64_t jj = 0; jj < n1; jj += TILE)                                               \
    for (int64_t ii = 0; ii < n0; ii += TILE) {                                           \
      int64_t je = jj + TILE < n1 ? jj + TILE : n1, ie = ii + TILE < n0 ? ii + TILE : n0; \
      for (int64_t j = jj; j < je; j++) {                                                 \
        D *d = (D *)(p[0] + j * s1[0]);                                                   \
        const char *s = p[1] + j * s1[1];                                                 \
        for (int64_t i = ii; i < ie; i++) d[i] = conv(*(const S *)(s + i * s0[1]));       \
      }                                                                                   \
    }

/* The same for 4 bytes moved as they are, 4 x 4 in registers. */
typedef int32_t quad __attribute__((vector_size(16)));
static quad load4(const char *p) {
  quad v;
  memcpy(&v, p, sizeof v);
  return v;
}
static void transpose4(char *const *p, const int64_t *s0, const int64_t *s1, int64_t n0, int64_t n1, void *ctx) {
  int64_t n1q = n1 & ~(int64_t)3, n0q = n0 & ~(int64_t)3;
  for (int64_t ii = 0; ii < n0q; ii += TILE) {
    int64_t ie = ii + TILE < n0q ? ii + TILE : n0q;
    for (int64_t j = 0; j < n1q; j += 4)
      for (int64_t i = ii; i < ie; i += 4) {
        const char *s = p[1] + j * 4 + i * s0[1];
        char *d = p[0] + j * s1[0] + i * 4;
        quad a = load4(s), b = load4(s + s0[1]), c = load4(s + 2 * s0[1]), e = load4(s + 3 * s0[1]);
        quad ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab1 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
        quad ce0 = __builtin_shufflevector(c, e, 0, 4, 1, 5), ce1 = __builtin_shufflevector(c, e, 2, 6, 3, 7);
        quad r[4] = {__builtin_shufflevector(ab0, ce0, 0, 1, 4, 5), __builtin_shufflevector(ab0, ce0, 2, 3, 6, 7),
                     __builtin_shufflevector(ab1, ce1, 0, 1, 4, 5), __builtin_shufflevector(ab1, ce1, 2, 3, 6, 7)};
        for (int k = 0; k < 4; k++) memcpy(d + k * s1[0], &r[k], sizeof(quad));
      }
  }
  for (int64_t j = 0; j < n1; j++) /* what is left at the edges */
    for (int64_t i = j < n1q ? n0q : 0; i < n0; i++) memcpy(p[0] + j * s1[0] + i * 4, p[1] + j * 4 + i * s0[1], 4);
}

#define COPY_ROW(dn, D, sn, S)                                                                          \
  static inline void row_##dn##_##sn(char *d, const char *s, int64_t d0, int64_t s0, int64_t n) {       \
    if (d0 == sizeof(D) && s0 == sizeof(S)) {                                                           \
      D *restrict dv = (D *)d;                                                                          \
      const S *restrict sv = (const S *)s;                                                              \
      for (int64_t i = 0; i < n; i++) dv[i] = pc_##sn##_to_##dn(sv[i]);                                 \
    } else if (d0 == sizeof(D) && s0 == 0) {                                                            \
      D v = pc_##sn##_to_##dn(*(const S *)s), *dv = (D *)d;                                             \
      for (int64_t i = 0; i < n; i++) dv[i] = v;                                                        \
    } else {                                                                                            \
      for (int64_t i = 0; i < n; i++) *(D *)(d + i * d0) = pc_##sn##_to_##dn(*(const S *)(s + i * s0)); \
    }                                                                                                   \
  }
#define COPY(dn, D, sn, S)                                                                                   \
  COPY_ROW(dn, D, sn, S)                                                                                     \
  static void copy_##dn##_##sn(char *const *p, const int64_t *s0, const int64_t *s1, int64_t n0, int64_t n1, \
                               void *ctx) {                                                                  \
    const int64_t ds = sizeof(D), ss = sizeof(S);                                                            \
    if (crosswise(s0, s1, ds, ss, n1)) {                                                                     \
      TRANSPOSE(D, S, pc_##sn##_to_##dn)                                                                     \
      return;                                                                                                \
    }                                                                                                        \
    for (int64_t j = 0; j < n1; j++) row_##dn##_##sn(p[0] + j * s1[0], p[1] + j * s1[1], s0[0], s0[1], n0);  \
  }

#define FROM(sn, S)       \
  COPY(f32, float, sn, S) \
  COPY(f64, double, sn, S) COPY(i64, int64_t, sn, S) COPY(i32, int32_t, sn, S) COPY(u8, uint8_t, sn, S)
FROM(f32, float)
FROM(f64, double)
FROM(i64, int64_t)
FROM(i32, int32_t)
FROM(u8, uint8_t)

#define ROW(dn) \
  { copy_##dn##_f32, copy_##dn##_f64, copy_##dn##_i64, copy_##dn##_i32, copy_##dn##_u8 }
static pc_loop_fn *const loops[PC_DTYPE_COUNT][PC_DTYPE_COUNT] = {ROW(f32), ROW(f64), ROW(i64), ROW(i32), ROW(u8)};

/* ---- interface ---- */

/* Finds the dimension along which src runs, puts it next to the one along which dst runs. */
int pc_ref_copy(pc_copy_call *c) {
  pc_iter *it = c->it;
  pc_dtype to = c->to, from = c->from;
  int64_t ds = (int64_t)pc_dtype_size(to), ss = (int64_t)pc_dtype_size(from);
  int along = 0;
  for (int d = 1; d < it->ndim && !along; d++)
    if (it->stride[1][d] == ss && it->size[d] > 1) along = d;
  if (!along || it->stride[0][0] != ds || it->stride[1][0] == ss || it->stride[1][0] == 0) {
    pc_iter_run(it, 0, loops[to][from], NULL);
    return PC_OK;
  }
  for (int d = along; d > 1; d--) {
    int64_t size = it->size[d];
    it->size[d] = it->size[d - 1], it->size[d - 1] = size;
    for (int k = 0; k < 2; k++) {
      int64_t stride = it->stride[k][d];
      it->stride[k][d] = it->stride[k][d - 1], it->stride[k][d - 1] = stride;
    }
  }
  int64_t cut = PIECE / it->size[1] / TILE * TILE;
  pc_loop_fn *fn = to == from && ds == 4 ? transpose4 : loops[to][from];
  pc_iter_run_tiles(it, cut > TILE ? cut : TILE, fn, NULL);
  return PC_OK;
}

static int walk(pc_iter *it, pc_dtype to, pc_dtype from) {
  return pc_kernels_now()->copy(&(pc_copy_call){it, to, from});
}

/* Same storage, other elements: the loops would read what they have written. */
static int may_overlap(const pc_tensor *a, const pc_tensor *b) {
  if (a->storage != b->storage || pc_numel(a) == 0 || pc_numel(b) == 0) return 0;
  return !(a->dtype == b->dtype && a->offset == b->offset && pc_same_shape(a, b) &&
           !memcmp(a->stride, b->stride, sizeof(int64_t) * a->ndim));
}

static int check_destination(const char *op, const pc_tensor *dst) {
  for (int i = 0; i < dst->ndim; i++)
    if (dst->size[i] > 1 && dst->stride[i] == 0)
      return pc_fail(PC_EARG,
                     "%s: writing into an expanded tensor of shape %s: several elements share one place; clone() it",
                     op, pc_shape_str(dst));
  return PC_OK;
}

int pc_copy_into(pc_tensor *dst, const pc_tensor *src) {
  int64_t size[PC_MAX_DIM];
  int n = 0, rc = pc_broadcast_shape("copy", dst, src, &n, size);
  if (rc == PC_OK && (n != dst->ndim || memcmp(size, dst->size, sizeof(int64_t) * (size_t)n)))
    rc = pc_fail(PC_ESHAPE, "copy: shape %s does not broadcast to the destination's %s", pc_shape_str(src),
                 pc_shape_str(dst));
  if (rc < 0 || (rc = check_destination("copy", dst)) < 0) return rc;
  pc_tensor *own = NULL;
  if (may_overlap(dst, src)) {
    if ((rc = pc_clone(&own, src)) < 0) return rc;
    src = own;
  }
  dst->storage->version++;
  pc_iter it;
  pc_iter_init(&it, dst->ndim, dst->size, 2, (pc_tensor *[]){dst, (pc_tensor *)src});
  rc = walk(&it, (pc_dtype)dst->dtype, (pc_dtype)src->dtype);
  pc_tensor_release(own);
  return rc;
}

static void set_number(void *at, pc_dtype d, double v) {
  static const int64_t none[2];
  loops[d][PC_F64]((char *[]){at, (char *)&v}, none, none, 1, 1, NULL);
}

static int converted(pc_tensor **out, const pc_tensor *t, pc_dtype d) {
  int rc = pc_tensor_empty(out, d, t->ndim, t->size);
  if (rc < 0) return rc;
  pc_iter it;
  pc_iter_init(&it, t->ndim, t->size, 2, (pc_tensor *[]){*out, (pc_tensor *)t});
  if ((rc = walk(&it, d, (pc_dtype)t->dtype)) < 0) {
    pc_tensor_release(*out);
    *out = NULL;
  }
  return rc;
}

int pc_clone(pc_tensor **out, const pc_tensor *t) { return converted(out, t, (pc_dtype)t->dtype); }

int pc_contiguous(pc_tensor **out, const pc_tensor *t) {
  if (!pc_is_contiguous(t)) return pc_clone(out, t);
  *out = pc_tensor_retain((pc_tensor *)t);
  return PC_OK;
}

int pc_to_dtype(pc_tensor **out, const pc_tensor *t, pc_dtype d) {
  if (t->dtype != d) return converted(out, t, d);
  *out = pc_tensor_retain((pc_tensor *)t);
  return PC_OK;
}

int pc_fill(pc_tensor *t, double value) {
  if (t->ndim == 0) { /* numbers of the language above take this way: no walk */
    t->storage->version++;
    set_number(pc_data(t), (pc_dtype)t->dtype, value);
    return PC_OK;
  }
  pc_tensor src = {.dtype = PC_F64, .refs = 1};
  pc_storage st = {.data = &value, .bytes = sizeof value, .refs = 1};
  src.storage = &st;
  return pc_copy_into(t, &src);
}

static int64_t offset_of(const pc_tensor *t, int64_t linear) {
  int64_t at = t->offset;
  for (int i = t->ndim - 1; i >= 0; i--) {
    at += linear % t->size[i] * t->stride[i];
    linear /= t->size[i];
  }
  return at;
}

double pc_at(const pc_tensor *t, int64_t linear) {
  int64_t at = offset_of(t, linear);
  const void *d = t->storage->data;
  switch (t->dtype) {
    case PC_F32: return ((const float *)d)[at];
    case PC_F64: return ((const double *)d)[at];
    case PC_I64: return (double)((const int64_t *)d)[at];
    case PC_I32: return ((const int32_t *)d)[at];
    default: return ((const uint8_t *)d)[at];
  }
}

int64_t pc_at_i64(const pc_tensor *t, int64_t linear) {
  return t->dtype == PC_I64 ? ((const int64_t *)t->storage->data)[offset_of(t, linear)] : (int64_t)pc_at(t, linear);
}

double pc_item(const pc_tensor *t) {
  assert(pc_numel(t) == 1);
  return pc_at(t, 0);
}
