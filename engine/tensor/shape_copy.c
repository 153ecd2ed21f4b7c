/* shape_copy.c: joining, repeating, padding, turning: results are new tensors. */
#include <string.h>

#include "base/parallel.h"
#include "tensor/inplace.h"
#include "tensor/shape.h"

/* (outer, n, inner): what lies before and behind dim */
static void split_at(const pc_tensor *x, int dim, int64_t *outer, int64_t *inner) {
  *outer = *inner = 1;
  for (int i = 0; i < x->ndim; i++) {
    if (i < dim) *outer *= x->size[i];
    if (i > dim) *inner *= x->size[i];
  }
}

/* ---- cat, stack ---- */

/* Copies src into out[..., start : start + length, ...] of dim. */
static int put_slice(pc_tensor *out, int dim, int64_t start, int64_t length, const pc_tensor *src) {
  pc_tensor *part = NULL;
  int rc = pc_view_narrow(&part, out, dim, start, length, 1);
  if (rc == PC_OK) rc = pc_copy_into(part, src);
  pc_tensor_release(part);
  return rc;
}

static int join(pc_tensor **out, const char *op, pc_tensor *const *in, int nin, const pc_val *v, int stacking) {
  int64_t size[PC_MAX_DIM + 1], total = 0, at = 0;
  int dim, ndim, rc;
  *out = NULL;
  if (nin < 1) return pc_fail(PC_EARG, "%s: the list of tensors is empty", op);
  ndim = in[0]->ndim + stacking;
  if (!ndim) return pc_fail(PC_ESHAPE, "%s: tensor 1 has no dimension to join along; use stack", op);
  if ((rc = pc_shape_dim(op, in[0], ndim, v, 0, &dim)) < 0) return rc;
  pc_dtype d = (pc_dtype)in[0]->dtype;
  for (int k = 0; k < nin; k++) {
    int fits = in[k]->ndim == in[0]->ndim;
    for (int i = 0; fits && i < in[k]->ndim; i++)
      if (in[k]->size[i] != in[0]->size[i] && (stacking || i != dim)) fits = 0;
    if (!fits)
      return pc_fail(PC_ESHAPE, "%s: tensor %d has shape %s, tensor 1 has %s: sizes must agree%s", op, k + 1,
                     pc_shape_str(in[k]), pc_shape_str(in[0]), stacking ? "" : " except along dim");
    d = pc_dtype_promote(d, (pc_dtype)in[k]->dtype);
    total += stacking ? 1 : in[k]->size[dim];
  }
  for (int i = 0; i < ndim; i++) size[i] = i == dim ? total : in[0]->size[stacking && i > dim ? i - 1 : i];
  if ((rc = pc_tensor_empty(out, d, ndim, size)) < 0) return rc;
  for (int k = 0; k < nin && rc == PC_OK; k++) {
    int64_t n = stacking ? 1 : in[k]->size[dim];
    pc_tensor *flat = NULL;
    rc = stacking ? pc_view_unsqueeze(&flat, in[k], dim) : pc_view_alias(&flat, in[k]);
    if (rc == PC_OK) rc = put_slice(*out, dim, at, n, flat);
    pc_tensor_release(flat);
    at += n;
  }
  if (rc < 0) {
    pc_tensor_release(*out);
    *out = NULL;
  }
  return rc;
}

int pc_fwd_cat(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return join(out, "cat", in, nin, v, 0);
}

int pc_fwd_stack(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return join(out, "stack", in, nin, v, 1);
}

/* ---- tile, repeat_, repeat_interleave ---- */

/* x (contiguous) seen as (outer, row), each row r times in a row; `size`: the result's shape. */
static int repeated(pc_tensor **out, const pc_tensor *x, int64_t outer, int64_t row, int64_t r, int ndim,
                    const int64_t *size) {
  pc_tensor *three = NULL, *wide = NULL, *dense = NULL;
  int rc = pc_view_strided(&three, x, 3, (int64_t[]){outer, 1, row}, (int64_t[]){row, 0, 1}, x->offset);
  if (rc == PC_OK) rc = pc_view_expand(&wide, three, 3, (int64_t[]){outer, r, row});
  if (rc == PC_OK) rc = pc_clone(&dense, wide);
  if (rc == PC_OK) rc = pc_view_reshape(out, dense, ndim, size);
  pc_tensor_release(three);
  pc_tensor_release(wide);
  pc_tensor_release(dense);
  return rc;
}

static int tiled(pc_tensor **out, const char *op, const pc_tensor *x, const pc_val *v) {
  int n = v[0].nl > x->ndim ? v[0].nl : x->ndim, rc;
  int64_t size[PC_MAX_DIM];
  pc_tensor *cur = NULL, *next = NULL;
  *out = NULL;
  for (int i = 0; i < v[0].nl; i++)
    if (v[0].l[i] < 0) return pc_fail(PC_EARG, "%s: repeat count %lld is negative", op, (long long)v[0].l[i]);
  for (int i = 0; i < n; i++) size[i] = i < n - x->ndim ? 1 : x->size[i - (n - x->ndim)];
  if ((rc = pc_clone(&next, x)) < 0) return rc;
  rc = pc_view_reshape(&cur, next, n, size);
  pc_tensor_release(next);
  for (int i = n - 1; i >= 0 && rc == PC_OK; i--) {
    int64_t outer, inner, r = i < n - v[0].nl ? 1 : v[0].l[i - (n - v[0].nl)];
    if (r == 1) continue;
    split_at(cur, i, &outer, &inner);
    int64_t row = size[i] * inner;
    next = NULL;
    if (__builtin_mul_overflow(size[i], r, &size[i]))
      rc = pc_fail(PC_ESHAPE, "%s: dimension %d of %s, %lld times, is too large", op, i + 1, pc_shape_str(cur),
                   (long long)r);
    else
      rc = repeated(&next, cur, outer, row, r, n, size);
    pc_tensor_release(cur);
    cur = next;
  }
  *out = cur;
  return rc;
}

int pc_fwd_tile(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return tiled(out, "tile", in[0], v);
}

int pc_fwd_repeat_(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  if (v[0].nl < in[0]->ndim)
    return pc_fail(PC_ESHAPE, "repeat: %d counts for a tensor of shape %s; give one for each dimension, or use tile",
                   v[0].nl, pc_shape_str(in[0]));
  return tiled(out, "repeat", in[0], v);
}

int pc_fwd_repeat_interleave(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  int64_t size[PC_MAX_DIM], outer, inner, r = v[0].i;
  pc_tensor *dense = NULL;
  int dim = 0, ndim = 1, rc = PC_OK;
  *out = NULL;
  if (r < 0) return pc_fail(PC_EARG, "repeat_interleave: repeat count %lld is negative", (long long)r);
  if (v[1].set) {
    if ((rc = pc_shape_dim("repeat_interleave", in[0], in[0]->ndim, &v[1], 0, &dim)) < 0) return rc;
    split_at(in[0], dim, &outer, &inner);
    outer *= in[0]->size[dim];
    ndim = in[0]->ndim;
    memcpy(size, in[0]->size, sizeof size);
  } else {
    outer = pc_numel(in[0]);
    inner = 1;
    size[0] = outer;
  }
  if (__builtin_mul_overflow(size[dim], r, &size[dim]))
    return pc_fail(PC_ESHAPE, "repeat_interleave: dimension %d of %s, %lld times, is too large", dim + 1,
                   pc_shape_str(in[0]), (long long)r);
  if ((rc = pc_contiguous(&dense, in[0])) < 0) return rc;
  rc = repeated(out, dense, outer, inner, r, ndim, size);
  pc_tensor_release(dense);
  return rc;
}

/* ---- pad ---- */

/* Pairs (before, after) for the last dimension, the one before it, ...; negative counts cut off. */
int pc_fwd_pad(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *x = NULL, *y = NULL, *cut;
  int64_t size[PC_MAX_DIM], from[PC_MAX_DIM] = {0}, to[PC_MAX_DIM] = {0};
  int rc, ndim = in[0]->ndim;
  *out = NULL;
  if (v[0].nl % 2 || v[0].nl / 2 > ndim)
    return pc_fail(PC_ESHAPE,
                   "pad: %d numbers for a tensor of shape %s; give a pair (before, after) a dimension, the last first",
                   v[0].nl, pc_shape_str(in[0]));
  if ((rc = pc_view_alias(&x, in[0])) < 0) return rc;
  for (int i = 0; i < ndim; i++) {
    int k = 2 * (ndim - 1 - i);
    int64_t a = k < v[0].nl ? v[0].l[k] : 0, b = k < v[0].nl ? v[0].l[k + 1] : 0, n = in[0]->size[i];
    size[i] = n + a + b;
    if (size[i] < 0 || n + (a < 0 ? a : 0) + (b < 0 ? b : 0) < 0) {
      rc = pc_fail(PC_ESHAPE, "pad: (%lld, %lld) cuts off more than dimension %d of shape %s has", (long long)a,
                   (long long)b, i + PC_INDEX_BASE, pc_shape_str(in[0]));
      goto done;
    }
    from[i] = a > 0 ? a : 0;
    to[i] = b > 0 ? size[i] - b : size[i];
    if (a >= 0 && b >= 0) continue;
    if ((rc = pc_view_narrow(&cut, x, i, a < 0 ? -a : 0, to[i] - from[i], 1)) < 0) goto done;
    pc_tensor_release(x);
    x = cut;
  }
  if ((rc = pc_tensor_full(out, (pc_dtype)x->dtype, ndim, size, v[1].set ? v[1].d : 0)) < 0) goto done;
  if ((rc = pc_view_alias(&y, *out)) < 0) goto done;
  for (int i = 0; i < ndim; i++) {
    if ((rc = pc_view_narrow(&cut, y, i, from[i], to[i] - from[i], 1)) < 0) goto done;
    pc_tensor_release(y);
    y = cut;
  }
  rc = pc_copy_into(y, x);
done:
  pc_tensor_release(x);
  pc_tensor_release(y);
  if (rc < 0) {
    pc_tensor_release(*out);
    *out = NULL;
  }
  return rc;
}

/* ---- flip, roll ---- */

int pc_fwd_flip(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *x = in[0];
  pc_tensor *back = NULL;
  int n = v[0].set ? v[0].nl : x->ndim, dim, rc;
  unsigned seen = 0;
  if ((rc = pc_view_alias(&back, x)) < 0) return rc;
  for (int i = 0; i < n; i++) {
    if ((rc = pc_shape_dim("flip", x, x->ndim, &PC_VI(v[0].set ? v[0].l[i] : i), 0, &dim)) < 0) goto done;
    if (seen >> dim & 1) {
      rc = pc_fail(PC_EARG, "flip: dimension %d is named twice", dim + PC_INDEX_BASE);
      goto done;
    }
    seen |= 1u << dim;
    if (x->size[dim] < 2) continue;
    back->offset += (x->size[dim] - 1) * x->stride[dim];
    back->stride[dim] = -x->stride[dim];
  }
  rc = pc_clone(out, back);
done:
  pc_tensor_release(back);
  return rc;
}

int pc_fwd_roll(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *x = NULL, *a = NULL, *b = NULL, *y = NULL;
  int64_t all = pc_numel(in[0]), n, k;
  int dim = 0, rc;
  *out = NULL;
  if (v[1].set) {
    if ((rc = pc_shape_dim("roll", in[0], in[0]->ndim, &v[1], 0, &dim)) < 0) return rc;
    rc = pc_view_alias(&x, in[0]);
  } else if ((rc = pc_contiguous(&a, in[0])) == PC_OK) { /* rolled as one row */
    rc = pc_view_reshape(&x, a, 1, &all);
    pc_tensor_release(a);
    a = NULL;
  }
  if (rc < 0) return rc;
  n = x->size[dim];
  k = n ? (v[0].i % n + n) % n : 0; /* the last k come first */
  if ((rc = pc_tensor_empty(&y, (pc_dtype)x->dtype, x->ndim, x->size)) < 0) goto done;
  if ((rc = pc_view_narrow(&a, x, dim, n - k, k, 1)) < 0 || (rc = put_slice(y, dim, 0, k, a)) < 0) goto done;
  if ((rc = pc_view_narrow(&b, x, dim, 0, n - k, 1)) < 0 || (rc = put_slice(y, dim, k, n - k, b)) < 0) goto done;
  rc = pc_view_reshape(out, y, in[0]->ndim, in[0]->size);
done:
  pc_tensor_release(x);
  pc_tensor_release(a);
  pc_tensor_release(b);
  pc_tensor_release(y);
  return rc;
}

/* ---- diag, tril, triu ---- */

int pc_fwd_diag(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *x = in[0];
  int64_t k = v[0].set ? v[0].i : 0;
  const pc_val dv[3] = {PC_VI(k), PC_VNONE, PC_VNONE};
  pc_tensor *view = NULL;
  int rc;
  *out = NULL;
  if (x->ndim != 1 && x->ndim != 2)
    return pc_fail(PC_ESHAPE, "diag: 1 or 2 dimensions, got shape %s; use diagonal", pc_shape_str(x));
  if (x->ndim == 2) {
    if ((rc = pc_fwd_diagonal(&view, in, 1, dv)) == PC_OK) rc = pc_clone(out, view);
  } else {
    int64_t n = x->size[0] + (k < 0 ? -k : k);
    if ((rc = pc_tensor_zeros(out, (pc_dtype)x->dtype, 2, (int64_t[]){n, n})) < 0) return rc;
    if ((rc = pc_fwd_diagonal(&view, out, 1, dv)) == PC_OK) rc = pc_copy_into(view, x);
    if (rc < 0) {
      pc_tensor_release(*out);
      *out = NULL;
    }
  }
  pc_tensor_release(view);
  return rc;
}

typedef struct triangle {
  char *data;
  size_t width;
  int64_t rows, cols, k;
  int lower;
} triangle;

/* Clears what lies outside the triangle in rows [begin, end) of all matrices. */
static void clear_rows(int64_t begin, int64_t end, void *ctx) {
  const triangle *t = ctx;
  for (int64_t r = begin; r < end; r++) {
    int64_t c = r % t->rows + t->k + t->lower, from, to; /* c: first column outside (tril) or inside (triu) */
    if (c < 0) c = 0;
    if (c > t->cols) c = t->cols;
    from = t->lower ? c : 0;
    to = t->lower ? t->cols : c;
    memset(t->data + (size_t)(r * t->cols + from) * t->width, 0, (size_t)(to - from) * t->width);
  }
}

static int triangular(pc_tensor **out, const char *op, const pc_tensor *x, const pc_val *v, int lower) {
  int rc;
  *out = NULL;
  if (x->ndim < 2) return pc_fail(PC_ESHAPE, "%s: at least 2 dimensions, got shape %s", op, pc_shape_str(x));
  if ((rc = pc_clone(out, x)) < 0 || !pc_numel(x)) return rc;
  triangle t = {.data = pc_data(*out), .width = pc_dtype_size((pc_dtype)x->dtype), .lower = lower};
  t.rows = x->size[x->ndim - 2];
  t.cols = x->size[x->ndim - 1];
  t.k = v[0].set ? v[0].i : 0;
  if (t.k > t.cols) t.k = t.cols;
  if (t.k < -t.rows - 1) t.k = -t.rows - 1;
  pc_parallel_for(pc_numel(x) / t.cols, 16384 / t.cols + 1, clear_rows, &t);
  return rc;
}

int pc_fwd_tril(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return triangular(out, "tril", in[0], v, 1);
}

int pc_fwd_triu(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return triangular(out, "triu", in[0], v, 0);
}

/* ---- overlap-add: the transpose of unfold ---- */

int pc_fwd_unfold_grad(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *g = in[0], *all = NULL, *w = NULL;
  int rc = pc_tensor_zeros(&all, (pc_dtype)g->dtype, v[0].nl, v[0].l);
  *out = NULL;
  if (rc < 0 || (rc = pc_fwd_unfold(&w, &all, 1, v + 1)) < 0) goto done;
  if (!pc_same_shape(w, g)) {
    rc = pc_fail(PC_ESHAPE, "unfold_grad: gradient of shape %s for windows of shape %s", pc_shape_str(g),
                 pc_shape_str(w));
    goto done;
  }
  for (int64_t k = 0; k < v[2].i && rc == PC_OK; k++) { /* element k of all windows: no two share a place */
    pc_tensor *dst = NULL, *src = NULL;
    if ((rc = pc_view_select(&dst, w, w->ndim - 1, k)) == PC_OK &&
        (rc = pc_view_select(&src, g, g->ndim - 1, k)) == PC_OK)
      rc = pc_add_into(dst, src, 1);
    pc_tensor_release(dst);
    pc_tensor_release(src);
  }
done:
  pc_tensor_release(w);
  if (rc == PC_OK)
    *out = all;
  else
    pc_tensor_release(all);
  return rc;
}
