/* index.c: taking and adding elements by index tensors. Masks: mask.c. */
#include "tensor/index.h"

#include <stdio.h>
#include <string.h>

#include "base/parallel.h"
#include "tensor/shape.h"

/* ---- reading index tensors ---- */

static int check_dtype(const char *op, const pc_tensor *idx) {
  if (idx->dtype == PC_I64 || idx->dtype == PC_I32) return PC_OK;
  return pc_fail(PC_EDTYPE, "%s: index must be i64 or i32, is %s; convert it with :to('i64')", op,
                 pc_dtype_name((pc_dtype)idx->dtype));
}

/* "(1,3)", counted from PC_INDEX_BASE, of element `linear` */
static const char *position(const pc_tensor *t, int64_t linear) {
  int64_t at[PC_MAX_DIM];
  for (int i = t->ndim - 1; i >= 0; i--) {
    at[i] = linear % t->size[i] + PC_INDEX_BASE;
    linear /= t->size[i];
  }
  return pc_dims_str(t->ndim, at);
}

int pc_index_from(pc_tensor **out, const char *op, const pc_tensor *idx, int64_t size, const char *what) {
  int rc = check_dtype(op, idx);
  *out = NULL;
  if (rc < 0 || (rc = pc_tensor_empty(out, PC_I64, idx->ndim, idx->size)) < 0) return rc;
  if ((rc = pc_copy_into(*out, idx)) < 0) goto fail;
  int64_t *p = pc_i64(*out), n = pc_numel(idx);
  for (int64_t i = 0; i < n; i++) {
    if (p[i] >= PC_INDEX_BASE && p[i] - PC_INDEX_BASE < size) {
      p[i] -= PC_INDEX_BASE;
      continue;
    }
    rc = pc_fail(PC_EINDEX, "%s: index %lld at position %s is outside %d..%lld (%s)", op, (long long)p[i],
                 position(idx, i), PC_INDEX_BASE, (long long)size - 1 + PC_INDEX_BASE, what);
    goto fail;
  }
  return PC_OK;
fail:
  pc_tensor_release(*out);
  *out = NULL;
  return rc;
}

static int index_along(pc_tensor **out, const char *op, const pc_tensor *idx, const pc_tensor *x, int dim) {
  char what[256];
  snprintf(what, sizeof what, "dimension %d of shape %s", dim + PC_INDEX_BASE, pc_shape_str(x));
  return pc_index_from(out, op, idx, x->size[dim], what);
}

static int fail_with(pc_tensor **out, int rc) {
  pc_tensor_release(*out);
  *out = NULL;
  return rc;
}

/* ---- gather, scatter_add: one index an element ---- */

/* a: the tensor indexed along dim (any strides); b: what has the index's layout, stepped by its own strides */
typedef struct pairing {
  char *a, *b;
  const int64_t *idx; /* contiguous */
  int ndim, dim, width;
  int64_t size[PC_MAX_DIM]; /* of the index */
  int64_t as[PC_MAX_DIM], bs[PC_MAX_DIM];
  int64_t rows_per_item; /* rows of the index's last dimension a parallel item has */
  pc_dtype dtype;
} pairing;

static void pair_up(pairing *p, pc_tensor *a, pc_tensor *b, pc_tensor *idx, int dim) {
  *p = (pairing){.a = pc_data(a), .b = pc_data(b), .idx = pc_i64(idx), .ndim = idx->ndim, .dim = dim};
  p->dtype = (pc_dtype)a->dtype;
  p->width = (int)pc_dtype_size(p->dtype);
  for (int i = 0; i < idx->ndim; i++) {
    p->size[i] = idx->size[i];
    p->as[i] = a->stride[i] * p->width;
    p->bs[i] = b->stride[i] * p->width;
  }
}

/* Where row r of the index's last dimension begins in a and b. */
static void row_start(const pairing *p, int64_t r, char **a, char **b) {
  *a = p->a;
  *b = p->b;
  for (int i = p->ndim - 2; i >= 0; i--) {
    int64_t c = r % p->size[i];
    r /= p->size[i];
    if (i != p->dim) *a += c * p->as[i];
    *b += c * p->bs[i];
  }
}

#define EACH(T, statement)                                               \
  for (int64_t j = 0; j < n; j++) {                                      \
    T *at = (T *)(a + idx[j] * along + j * aj), *bt = (T *)(b + j * bj); \
    statement;                                                           \
  }                                                                      \
  break

static void each_row(const pairing *p, int64_t begin, int64_t end, int adding) {
  int last = p->ndim - 1;
  int64_t n = p->size[last], along = p->as[p->dim], aj = p->dim == last ? 0 : p->as[last], bj = p->bs[last];
  for (int64_t r = begin; r < end; r++) {
    char *a, *b;
    const int64_t *idx = p->idx + r * n;
    row_start(p, r, &a, &b);
    if (adding) {
      switch (p->dtype) {
        case PC_F32: EACH(float, *at += *bt);
        case PC_F64: EACH(double, *at += *bt);
        case PC_I64: EACH(uint64_t, *at += *bt);
        case PC_I32: EACH(uint32_t, *at += *bt);
        default: EACH(uint8_t, *at = (uint8_t)(*at + *bt));
      }
    } else {
      switch (p->width) {
        case 4: EACH(uint32_t, *bt = *at);
        case 8: EACH(uint64_t, *bt = *at);
        default: EACH(uint8_t, *bt = *at);
      }
    }
  }
}

static void gather_rows(int64_t begin, int64_t end, void *ctx) { each_row(ctx, begin, end, 0); }

static void scatter_items(int64_t begin, int64_t end, void *ctx) {
  const pairing *p = ctx;
  each_row(p, begin * p->rows_per_item, end * p->rows_per_item, 1);
}

/* A 0-dim tensor counts as one of shape (1). */
static int at_least_1d(pc_tensor **out, pc_tensor *t) {
  return t->ndim ? pc_view_alias(out, t) : pc_view_unsqueeze(out, t, 0);
}

/* The index must fit into x everywhere but along dim. */
static int check_index_shape(const char *op, const pc_tensor *idx, const pc_tensor *x, int dim, const char *of) {
  int ok = idx->ndim == x->ndim;
  for (int i = 0; ok && i < x->ndim; i++)
    if (i != dim && idx->size[i] > x->size[i]) ok = 0;
  if (ok) return PC_OK;
  return pc_fail(PC_ESHAPE, "%s: index has shape %s, %s has %s: as many dimensions are needed, none longer%s", op,
                 pc_shape_str(idx), of, pc_shape_str(x), dim < 0 ? "" : " except along dim");
}

int pc_fwd_gather(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *x = NULL, *i1 = NULL, *idx = NULL, *y = NULL;
  int dim, rc;
  *out = NULL;
  if ((rc = at_least_1d(&x, in[0])) < 0 || (rc = at_least_1d(&i1, in[1])) < 0) goto done;
  if ((rc = pc_shape_dim("gather", x, x->ndim, &v[0], 0, &dim)) < 0) goto done;
  if ((rc = check_index_shape("gather", i1, x, dim, "x")) < 0) goto done;
  if ((rc = index_along(&idx, "gather", i1, x, dim)) < 0) goto done;
  if ((rc = pc_tensor_empty(&y, (pc_dtype)x->dtype, idx->ndim, idx->size)) < 0) goto done;
  pairing p;
  pair_up(&p, x, y, idx, dim);
  int64_t n = p.size[p.ndim - 1];
  if (pc_numel(idx)) pc_parallel_for(pc_numel(idx) / n, 16384 / n + 1, gather_rows, &p);
  rc = pc_view_reshape(out, y, in[1]->ndim, in[1]->size);
done:
  pc_tensor_release(x);
  pc_tensor_release(i1);
  pc_tensor_release(idx);
  pc_tensor_release(y);
  return rc;
}

int pc_fwd_scatter_add(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *y = NULL, *i1 = NULL, *idx = NULL, *s1 = NULL, *src = NULL;
  int dim, rc;
  *out = NULL;
  if ((rc = pc_clone(out, in[0])) < 0 || (rc = at_least_1d(&y, *out)) < 0) goto done;
  if ((rc = at_least_1d(&i1, in[1])) < 0 || (rc = at_least_1d(&s1, in[2])) < 0) goto done;
  if ((rc = pc_shape_dim("scatter_add", y, y->ndim, &v[0], 0, &dim)) < 0) goto done;
  if ((rc = check_index_shape("scatter_add", i1, y, dim, "x")) < 0) goto done;
  if ((rc = check_index_shape("scatter_add", i1, s1, -1, "src")) < 0) goto done;
  if ((rc = index_along(&idx, "scatter_add", i1, y, dim)) < 0) goto done;
  if ((rc = pc_to_dtype(&src, s1, (pc_dtype)y->dtype)) < 0) goto done;
  pairing p;
  pair_up(&p, y, src, idx, dim);
  if (pc_numel(idx)) { /* what lies before dim never meets: parallel; the rest in order */
    int64_t items = 1, rows = pc_numel(idx) / p.size[p.ndim - 1];
    for (int i = 0; i < dim && i < p.ndim - 1; i++) items *= p.size[i];
    p.rows_per_item = rows / items;
    pc_parallel_for(items, 16384 * items / pc_numel(idx) + 1, scatter_items, &p);
  }
done:
  pc_tensor_release(y);
  pc_tensor_release(i1);
  pc_tensor_release(idx);
  pc_tensor_release(s1);
  pc_tensor_release(src);
  return rc < 0 ? fail_with(out, rc) : rc;
}

/* ---- index_select, index_add, embedding: one index a slice ---- */

/* x as (outer, size, inner) and y as (outer, count, inner), both contiguous */
typedef struct slices {
  char *x;
  const char *y;
  const int64_t *idx;
  int64_t size, count, inner, block; /* block: columns a parallel item has */
  size_t width;
  pc_dtype dtype;
} slices;

static void take_slices(int64_t begin, int64_t end, void *ctx) {
  const slices *s = ctx;
  const size_t row = (size_t)s->inner * s->width;
  for (int64_t r = begin; r < end; r++) {
    int64_t o = r / s->count, k = s->idx[r % s->count];
    memcpy((char *)s->y + (size_t)r * row, s->x + (size_t)(o * s->size + k) * row, row);
  }
}

#define ADD_ROW(T)                                           \
  {                                                          \
    T *d = (T *)s->x + to;                                   \
    const T *g = (const T *)s->y + from;                     \
    for (int64_t i = 0; i < n; i++) d[i] = (T)(d[i] + g[i]); \
    break;                                                   \
  }

/* Items are blocks of columns: each adds its slices in the order of the index. */
static void add_slices(int64_t begin, int64_t end, void *ctx) {
  const slices *s = ctx;
  int64_t blocks = (s->inner + s->block - 1) / s->block;
  for (int64_t it = begin; it < end; it++) {
    int64_t o = it / blocks, c = it % blocks * s->block, n = s->inner - c < s->block ? s->inner - c : s->block;
    for (int64_t k = 0; k < s->count; k++) {
      int64_t to = (o * s->size + s->idx[k]) * s->inner + c, from = (o * s->count + k) * s->inner + c;
      switch (s->dtype) {
        case PC_F32: ADD_ROW(float)
        case PC_F64: ADD_ROW(double)
        case PC_I64: ADD_ROW(uint64_t)
        case PC_I32: ADD_ROW(uint32_t)
        default: ADD_ROW(uint8_t)
      }
    }
  }
}

static int64_t around(const pc_tensor *x, int dim, slices *s) {
  int64_t outer = 1;
  s->inner = 1;
  for (int i = 0; i < x->ndim; i++) {
    if (i < dim) outer *= x->size[i];
    if (i > dim) s->inner *= x->size[i];
  }
  s->size = x->size[dim];
  s->dtype = (pc_dtype)x->dtype;
  s->width = pc_dtype_size(s->dtype);
  return outer;
}

static int take(pc_tensor **out, const pc_tensor *x, int dim, const pc_tensor *idx, int ndim, const int64_t *size) {
  pc_tensor *dense = NULL;
  slices s = {.idx = pc_i64(idx), .count = pc_numel(idx)};
  int rc = pc_contiguous(&dense, x);
  *out = NULL;
  if (rc < 0 || (rc = pc_tensor_empty(out, (pc_dtype)x->dtype, ndim, size)) < 0) goto done;
  int64_t outer = around(dense, dim, &s);
  s.x = pc_data(dense);
  s.y = pc_data(*out);
  if (pc_numel(*out)) pc_parallel_for(outer * s.count, 16384 / s.inner + 1, take_slices, &s);
done:
  pc_tensor_release(dense);
  return rc;
}

static int check_list(const char *op, const pc_tensor *idx) {
  if (idx->ndim == 1) return PC_OK;
  return pc_fail(PC_ESHAPE, "%s: index must have 1 dimension, has shape %s; for one index an element use %s", op,
                 pc_shape_str(idx), !strcmp(op, "index_add") ? "scatter_add" : "gather");
}

int pc_fwd_index_select(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *idx = NULL;
  int64_t size[PC_MAX_DIM];
  int dim, rc;
  *out = NULL;
  if ((rc = pc_shape_dim("index_select", in[0], in[0]->ndim, &v[0], 0, &dim)) < 0) return rc;
  if ((rc = check_list("index_select", in[1])) < 0) return rc;
  if ((rc = index_along(&idx, "index_select", in[1], in[0], dim)) < 0) return rc;
  memcpy(size, in[0]->size, sizeof size);
  size[dim] = idx->size[0];
  rc = take(out, in[0], dim, idx, in[0]->ndim, size);
  pc_tensor_release(idx);
  return rc;
}

int pc_fwd_index_add(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *idx = NULL, *src = NULL, *dense = NULL;
  int64_t want[PC_MAX_DIM];
  int dim, rc;
  *out = NULL;
  if ((rc = pc_shape_dim("index_add", in[0], in[0]->ndim, &v[0], 0, &dim)) < 0) return rc;
  if ((rc = check_list("index_add", in[1])) < 0) return rc;
  memcpy(want, in[0]->size, sizeof want);
  want[dim] = in[1]->size[0];
  if (in[2]->ndim != in[0]->ndim || memcmp(want, in[2]->size, sizeof(int64_t) * in[0]->ndim))
    return pc_fail(PC_ESHAPE, "index_add: source has shape %s, expected %s (x %s, %lld indices)", pc_shape_str(in[2]),
                   pc_dims_str(in[0]->ndim, want), pc_shape_str(in[0]), (long long)in[1]->size[0]);
  if ((rc = index_along(&idx, "index_add", in[1], in[0], dim)) < 0) return rc;
  if ((rc = pc_clone(out, in[0])) < 0) goto done;
  if ((rc = pc_to_dtype(&src, in[2], (pc_dtype)in[0]->dtype)) < 0 || (rc = pc_contiguous(&dense, src)) < 0) goto done;
  slices s = {.idx = pc_i64(idx), .count = idx->size[0], .x = pc_data(*out), .y = pc_data(dense)};
  int64_t outer = around(*out, dim, &s);
  s.block = 1024;
  if (pc_numel(dense)) {
    int64_t width = s.inner < s.block ? s.inner : s.block;
    pc_parallel_for(outer * ((s.inner + s.block - 1) / s.block), 16384 / (s.count * width) + 1, add_slices, &s);
  }
done:
  pc_tensor_release(idx);
  pc_tensor_release(src);
  pc_tensor_release(dense);
  return rc < 0 ? fail_with(out, rc) : rc;
}

int pc_fwd_embedding(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *w = in[0], *i = in[1];
  pc_tensor *idx = NULL;
  int64_t size[PC_MAX_DIM];
  int rc;
  *out = NULL;
  if (w->ndim != 2)
    return pc_fail(PC_ESHAPE, "embedding: weight must be (words, width), has shape %s", pc_shape_str(w));
  if (i->ndim == PC_MAX_DIM) return pc_fail(PC_ESHAPE, "embedding: idx has %d dimensions already", PC_MAX_DIM);
  if ((rc = index_along(&idx, "embedding", i, w, 0)) < 0) return rc;
  memcpy(size, i->size, sizeof size);
  size[i->ndim] = w->size[1];
  rc = take(out, w, 0, idx, i->ndim + 1, size);
  pc_tensor_release(idx);
  return rc;
}

/* ---- one_hot ---- */

int pc_fwd_one_hot(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *x = in[0];
  pc_tensor *idx = NULL;
  int64_t size[PC_MAX_DIM], n = v[0].i, count = pc_numel(x);
  int rc;
  *out = NULL;
  if (x->ndim == PC_MAX_DIM) return pc_fail(PC_ESHAPE, "one_hot: x has %d dimensions already", PC_MAX_DIM);
  if (!v[0].set) { /* as many classes as the largest index says */
    if ((rc = check_dtype("one_hot", x)) < 0) return rc;
    for (int64_t i = n = 0; i < count; i++) {
      int64_t k = (int64_t)pc_at(x, i) + 1 - PC_INDEX_BASE;
      if (k > n) n = k;
    }
  }
  if (n < 0) return pc_fail(PC_EARG, "one_hot: %lld classes", (long long)n);
  if ((rc = pc_index_from(&idx, "one_hot", x, n, "num_classes")) < 0) return rc;
  memcpy(size, x->size, sizeof size);
  size[x->ndim] = n;
  if ((rc = pc_tensor_zeros(out, PC_I64, x->ndim + 1, size)) == PC_OK)
    for (int64_t i = 0; i < count; i++) pc_i64(*out)[i * n + pc_i64(idx)[i]] = 1;
  pc_tensor_release(idx);
  return rc;
}
