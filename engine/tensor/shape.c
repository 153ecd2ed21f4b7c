/* shape.c: views and reshapes. Joining, repeating and padding: shape_copy.c. */
#include "tensor/shape.h"

#include <string.h>

int pc_shape_dim(const char *op, const pc_tensor *x, int ndim, const pc_val *v, int64_t dflt, int *out) {
  int64_t d = v->set ? v->i : dflt, r = d < 0 ? d + ndim : d;
  *out = (int)r;
  if (r >= 0 && r < ndim) return PC_OK;
  return pc_fail(PC_EINDEX, "%s: no dimension %lld in a tensor of shape %s", op,
                 (long long)(d < 0 ? d : d + PC_INDEX_BASE), pc_shape_str(x));
}

static int need_size(const char *op, const pc_val *v) {
  return v->set ? PC_OK : pc_fail(PC_EARG, "%s: argument `size` is missing", op);
}

int pc_fwd_view(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  int rc = need_size("view", &v[0]);
  return rc < 0 ? rc : pc_view_reshape(out, in[0], v[0].nl, v[0].l);
}

/* A view where the strides allow one, else a copy. */
static int reshaped(pc_tensor **out, const char *op, const pc_tensor *x, int ndim, const int64_t *size) {
  int64_t full[PC_MAX_DIM];
  pc_tensor *dense = NULL;
  *out = NULL;
  for (int i = 0; i < ndim; i++) full[i] = size[i];
  int rc = pc_resolve_shape(op, x, ndim, full);
  if (rc < 0 || pc_view_reshape(out, x, ndim, full) == PC_OK) return rc;
  if ((rc = pc_clone(&dense, x)) < 0) return rc;
  rc = pc_view_reshape(out, dense, ndim, full);
  pc_tensor_release(dense);
  return rc;
}

int pc_fwd_reshape(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  int rc = need_size("reshape", &v[0]);
  return rc < 0 ? rc : reshaped(out, "reshape", in[0], v[0].nl, v[0].l);
}

int pc_fwd_flatten(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *x = in[0];
  int64_t size[PC_MAX_DIM], one = 1;
  int from, to, n = 0, rc;
  if (x->ndim == 0) return reshaped(out, "flatten", x, 1, &one);
  if ((rc = pc_shape_dim("flatten", x, x->ndim, &v[0], 0, &from)) < 0) return rc;
  if ((rc = pc_shape_dim("flatten", x, x->ndim, &v[1], -1, &to)) < 0) return rc;
  if (from > to)
    return pc_fail(PC_EARG, "flatten: start_dim %d comes after end_dim %d", from + PC_INDEX_BASE, to + PC_INDEX_BASE);
  for (int i = 0; i < x->ndim; i++) {
    if (i > from && i <= to)
      size[n - 1] *= x->size[i];
    else
      size[n++] = x->size[i];
  }
  return reshaped(out, "flatten", x, n, size);
}

int pc_fwd_permute(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *x = in[0];
  int perm[PC_MAX_DIM];
  if (v[0].nl != x->ndim)
    return pc_fail(PC_ESHAPE, "permute: %d dimensions given for a tensor of shape %s; name each one once", v[0].nl,
                   pc_shape_str(x));
  for (int i = 0; i < x->ndim; i++) {
    int rc = pc_shape_dim("permute", x, x->ndim, &PC_VI(v[0].l[i]), 0, &perm[i]);
    if (rc < 0) return rc;
  }
  return pc_view_permute(out, x, perm);
}

static int swapped(pc_tensor **out, const pc_tensor *x, int a, int b) {
  int perm[PC_MAX_DIM];
  for (int i = 0; i < x->ndim; i++) perm[i] = i == a ? b : i == b ? a : i;
  return pc_view_permute(out, x, perm);
}

int pc_fwd_transpose(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  int a, b, rc;
  if ((rc = pc_shape_dim("transpose", in[0], in[0]->ndim, &v[0], -2, &a)) < 0) return rc;
  if ((rc = pc_shape_dim("transpose", in[0], in[0]->ndim, &v[1], -1, &b)) < 0) return rc;
  return swapped(out, in[0], a, b);
}

int pc_fwd_t(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  if (in[0]->ndim > 2)
    return pc_fail(PC_ESHAPE, "t: at most 2 dimensions, got shape %s; use transpose(dim0, dim1)", pc_shape_str(in[0]));
  return in[0]->ndim < 2 ? pc_view_alias(out, in[0]) : swapped(out, in[0], 0, 1);
}

int pc_fwd_narrow(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  int dim, rc = pc_shape_dim("narrow", in[0], in[0]->ndim, &v[0], 0, &dim);
  if (rc < 0) return rc;
  int64_t start = v[1].i < 0 ? v[1].i + in[0]->size[dim] : v[1].i;
  return pc_view_narrow(out, in[0], dim, start, v[2].i, v[3].set ? v[3].i : 1);
}

int pc_fwd_select(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  int dim, rc = pc_shape_dim("select", in[0], in[0]->ndim, &v[0], 0, &dim);
  if (rc < 0) return rc;
  int64_t n = in[0]->size[dim], at = v[1].i < 0 ? v[1].i + n : v[1].i;
  if (at >= 0 && at < n) return pc_view_select(out, in[0], dim, at);
  return pc_fail(PC_EINDEX, "select: index %lld is outside dimension %d of shape %s",
                 (long long)(v[1].i < 0 ? v[1].i : v[1].i + PC_INDEX_BASE), dim + PC_INDEX_BASE, pc_shape_str(in[0]));
}

int pc_fwd_expand(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  int rc = need_size("expand", &v[0]);
  return rc < 0 ? rc : pc_view_expand(out, in[0], v[0].nl, v[0].l);
}

int pc_fwd_squeeze(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  int dim = -1, rc = PC_OK;
  if (v[0].set) rc = pc_shape_dim("squeeze", in[0], in[0]->ndim, &v[0], 0, &dim);
  return rc < 0 ? rc : pc_view_squeeze(out, in[0], dim);
}

int pc_fwd_unsqueeze(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  int dim, rc = pc_shape_dim("unsqueeze", in[0], in[0]->ndim + 1, &v[0], -1, &dim);
  return rc < 0 ? rc : pc_view_unsqueeze(out, in[0], dim);
}

/* ---- views with strides of their own, and their transposes ---- */

/* Windows of n elements every `step` along dim, the elements of a window last. */
static int windows(pc_tensor **out, const char *op, const pc_tensor *x, const pc_val *v) {
  int64_t size[PC_MAX_DIM + 1], stride[PC_MAX_DIM + 1], n = v[1].i, step = v[2].set ? v[2].i : 1;
  int dim, rc = pc_shape_dim(op, x, x->ndim, &v[0], 0, &dim);
  if (rc < 0) return rc;
  if (n < 1 || step < 1 || n > x->size[dim])
    return pc_fail(PC_ESHAPE, "%s: windows of %lld every %lld do not fit dimension %d of shape %s", op, (long long)n,
                   (long long)step, dim + PC_INDEX_BASE, pc_shape_str(x));
  memcpy(size, x->size, sizeof x->size);
  memcpy(stride, x->stride, sizeof x->stride);
  size[x->ndim] = n;
  stride[x->ndim] = x->stride[dim];
  size[dim] = (x->size[dim] - n) / step + 1;
  stride[dim] *= step;
  return pc_view_strided(out, x, x->ndim + 1, size, stride, x->offset);
}

int pc_fwd_unfold(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return windows(out, "unfold", in[0], v);
}

/* Elements (i, i + offset) of dim1 and dim2, as a last dimension. */
static int diagonal_of(pc_tensor **out, const char *op, const pc_tensor *x, const pc_val *v) {
  int64_t size[PC_MAX_DIM], stride[PC_MAX_DIM], k = v[0].set ? v[0].i : 0, at = x->offset, n;
  int a, b, nd = 0, rc;
  if ((rc = pc_shape_dim(op, x, x->ndim, &v[1], 0, &a)) < 0) return rc;
  if ((rc = pc_shape_dim(op, x, x->ndim, &v[2], 1, &b)) < 0) return rc;
  if (a == b) return pc_fail(PC_EARG, "%s: dim1 and dim2 are both %d", op, a + PC_INDEX_BASE);
  n = k >= 0 ? x->size[b] - k : x->size[a] + k;
  if (n > (k >= 0 ? x->size[a] : x->size[b])) n = k >= 0 ? x->size[a] : x->size[b];
  if (n < 0) n = 0;
  if (n) at += k >= 0 ? k * x->stride[b] : -k * x->stride[a];
  for (int i = 0; i < x->ndim; i++)
    if (i != a && i != b) size[nd] = x->size[i], stride[nd++] = x->stride[i];
  size[nd] = n;
  stride[nd++] = x->stride[a] + x->stride[b];
  return pc_view_strided(out, x, nd, size, stride, at);
}

int pc_fwd_diagonal(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return diagonal_of(out, "diagonal", in[0], v);
}

typedef int view_fn(pc_tensor **out, const char *op, const pc_tensor *x, const pc_val *v);

static int narrowed(pc_tensor **out, const char *op, const pc_tensor *x, const pc_val *v) {
  return pc_fwd_narrow(out, (pc_tensor *[]){(pc_tensor *)x}, 1, v);
}

/* Zeros of size v[0], with g in the elements that `view` looks at through v[1..]. */
static int put_back(pc_tensor **out, const char *op, const pc_tensor *g, const pc_val *v, view_fn *view) {
  pc_tensor *all = NULL, *part = NULL;
  int rc = pc_tensor_zeros(&all, (pc_dtype)g->dtype, v[0].nl, v[0].l);
  *out = NULL;
  if (rc < 0 || (rc = view(&part, op, all, v + 1)) < 0) goto done;
  rc = pc_same_shape(part, g) ? pc_copy_into(part, g)
                              : pc_fail(PC_ESHAPE, "%s: gradient of shape %s for a view of shape %s", op,
                                        pc_shape_str(g), pc_shape_str(part));
done:
  pc_tensor_release(part);
  if (rc == PC_OK)
    *out = all;
  else
    pc_tensor_release(all);
  return rc;
}

int pc_fwd_narrow_grad(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return put_back(out, "narrow_grad", in[0], v, narrowed);
}

int pc_fwd_diagonal_grad(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return put_back(out, "diagonal_grad", in[0], v, diagonal_of);
}
