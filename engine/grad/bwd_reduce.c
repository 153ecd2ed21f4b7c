/* bwd_reduce.c: gradients of reductions and scans, as formulas over ops. */
#include "grad/rows.h"

#include <math.h>
#include <string.h>

#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"
#include "tensor/reduce/reduce.h"

/* ---- for C callers ---- */

static pc_tensor *with_dims(pc_scope *s, pc_opcode op, pc_tensor *x, int nd, const int *dims, int keepdim) {
  pc_val v[2] = {PC_VNONE, PC_VI(keepdim)};
  for (int i = 0; i < nd; i++) v[0].l[i] = dims[i];
  v[0].set = nd > 0;
  v[0].nl = nd;
  return pc_op(s, op, 1, &x, 2, v, 0);
}

pc_tensor *pc_sum(pc_scope *s, pc_tensor *x, int nd, const int *dims, int keepdim) {
  return with_dims(s, PC_OP_sum, x, nd, dims, keepdim);
}
pc_tensor *pc_mean(pc_scope *s, pc_tensor *x, int nd, const int *dims, int keepdim) {
  return with_dims(s, PC_OP_mean, x, nd, dims, keepdim);
}

static pc_tensor *along(pc_scope *s, pc_opcode op, pc_tensor *x, int64_t dim) {
  pc_val v = PC_VI(dim);
  return pc_op(s, op, 1, &x, 1, &v, 0);
}

pc_tensor *pc_softmax(pc_scope *s, pc_tensor *x, int dim) { return along(s, PC_OP_softmax, x, dim); }
pc_tensor *pc_log_softmax(pc_scope *s, pc_tensor *x, int dim) { return along(s, PC_OP_log_softmax, x, dim); }

/* ---- shared ---- */

/* What a reduction over `dims` did to its input's shape. */
typedef struct fold {
  int ndim;
  int64_t full[PC_MAX_DIM], kept[PC_MAX_DIM]; /* input sizes; the same with 1 for what was reduced */
  int nd, dims[PC_MAX_DIM];                   /* the reduced dims */
  int64_t n;                                  /* elements per result */
} fold;

static fold folded(const pc_node *node, const pc_val *dims) {
  const pc_shape *in = pc_node_in_shape(node, 0);
  fold f = {.ndim = in->ndim, .n = 1};
  uint8_t red[PC_MAX_DIM] = {0};
  if (!dims || !dims->set || dims->nl == 0) {
    memset(red, 1, sizeof red);
  } else {
    for (int i = 0; i < dims->nl && in->ndim; i++) red[dims->l[i] < 0 ? dims->l[i] + in->ndim : dims->l[i]] = 1;
  }
  for (int d = 0; d < in->ndim; d++) {
    f.full[d] = in->size[d];
    f.kept[d] = red[d] ? 1 : in->size[d];
    if (red[d]) f.dims[f.nd++] = d, f.n *= in->size[d];
  }
  return f;
}

static fold folded_one(const pc_node *node, const pc_val *dim) {
  pc_val dims = *dim;
  if (dim->set) dims.nl = 1, dims.l[0] = dim->i;
  return folded(node, &dims);
}

/* A result (or its gradient) with the reduced dims as 1: broadcasts against the input. */
static pc_tensor *unfold_to(pc_scope *s, const fold *f, pc_tensor *t) { return pc_reshape(s, t, f->ndim, f->kept); }

static pc_tensor *spread(pc_scope *s, const fold *f, pc_tensor *t) {
  return pc_expand(s, unfold_to(s, f, t), f->ndim, f->full);
}

static pc_tensor *resum(pc_scope *s, const fold *f, pc_tensor *x) {
  return f->nd ? pc_sum(s, x, f->nd, f->dims, 1) : x;
}

/* ---- sums, means, spreads ---- */

void pc_bwd_sum(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin) {
  fold f = folded(n, &pc_node_val(n)[0]);
  gin[0] = spread(s, &f, g[0]);
}

void pc_bwd_mean(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin) {
  fold f = folded(n, &pc_node_val(n)[0]);
  gin[0] = spread(s, &f, pc_mul_scalar(s, g[0], 1.0 / (double)f.n));
}

/* d var / dx = 2 (x - mean) / (n - correction) */
static pc_tensor *centred(pc_scope *s, const pc_node *n, const fold *f, double *den) {
  const pc_val *v = pc_node_val(n);
  pc_tensor *x = pc_node_in(n, 0);
  *den = (double)f->n - (v[1].set ? (double)(v[1].i != 0) : 1);
  return pc_sub(s, x, pc_mul_scalar(s, resum(s, f, x), 1.0 / (double)f->n));
}

void pc_bwd_var(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin) {
  fold f = folded(n, &pc_node_val(n)[0]);
  double den;
  pc_tensor *c = centred(s, n, &f, &den);
  gin[0] = pc_mul(s, pc_mul_scalar(s, unfold_to(s, &f, g[0]), 2 / den), c);
}

/* 1 where y is 0, and what y may be divided as: y itself, 1 where it is 0. */
static pc_tensor *divisor(pc_scope *s, pc_tensor *y, pc_tensor **zero) {
  *zero = pc_to(s, pc_eq(s, y, pc_number(s, 0)), y ? (pc_dtype)y->dtype : PC_F64);
  return pc_add(s, y, *zero);
}

/* A root has no slope at 0: where all elements are equal the gradient is 0, a subgradient, in every order. */
void pc_bwd_std(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin) {
  fold f = folded(n, &pc_node_val(n)[0]);
  double den;
  pc_tensor *c = centred(s, n, &f, &den), *zero, *y = divisor(s, pc_node_out(s, n, 0), &zero);
  pc_tensor *scale = pc_div(s, pc_mul_scalar(s, g[0], 1 / den), y);
  gin[0] = pc_mul(s, unfold_to(s, &f, pc_mul(s, scale, pc_rsub_scalar(s, 1, zero))), c);
}

/* The largest share the gradient; all zeros have none. */
static pc_tensor *norm_of_largest(pc_scope *s, const fold *f, pc_tensor *x, pc_tensor *y, pc_tensor *gy) {
  pc_tensor *hit = pc_to(s, pc_eq(s, pc_abs(s, x), y), x ? (pc_dtype)x->dtype : PC_F64);
  return pc_mul(s, gy, pc_div(s, pc_mul(s, pc_sign(s, x), hit), resum(s, f, hit)));
}

/* y = (sum |x|^p)^(1/p): dy/dx = sign(x) |x|^(p-1) y^(1-p); 0 where y is 0, and where x is and the slope is infinite.
 */
void pc_bwd_norm(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin) {
  const pc_val *v = pc_node_val(n);
  double p = v[0].set ? v[0].d : 2;
  fold f = folded(n, &v[1]);
  pc_tensor *x = pc_node_in(n, 0), *y = unfold_to(s, &f, pc_node_out(s, n, 0)), *gy = unfold_to(s, &f, g[0]), *zero;
  if (p == 0) {
    gin[0] = pc_mul_scalar(s, x, 0);
    return;
  }
  if (p == 1) {
    gin[0] = pc_mul(s, gy, pc_sign(s, x));
    return;
  }
  if (isinf(p)) {
    gin[0] = norm_of_largest(s, &f, x, y, gy);
    return;
  }
  y = divisor(s, y, &zero);
  gy = pc_mul(s, gy, pc_rsub_scalar(s, 1, zero));
  if (p == 2) {
    gin[0] = pc_mul(s, pc_div(s, gy, y), x);
    return;
  }
  pc_tensor *a = pc_abs(s, x);
  if (p < 2) a = divisor(s, a, &zero);
  gin[0] = pc_mul(s, pc_mul(s, gy, pc_pow_scalar(s, y, 1 - p)), pc_mul(s, pc_sign(s, x), pc_pow_scalar(s, a, p - 1)));
}

void pc_bwd_logsumexp(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin) {
  fold f = folded(n, &pc_node_val(n)[0]);
  pc_tensor *y = pc_node_out(s, n, 0);
  y = pc_where(s, pc_eq(s, y, pc_number(s, -INFINITY)), pc_number(s, 0), y); /* nothing but -inf: no gradient */
  pc_tensor *e = pc_op1(s, PC_OP_exp, pc_sub(s, pc_node_in(n, 0), unfold_to(s, &f, y)));
  gin[0] = pc_mul(s, unfold_to(s, &f, g[0]), e);
}

/* ---- choices: the gradient goes back to where the value came from ---- */

static pc_tensor *zeros_like_input(pc_scope *s, const pc_node *n) {
  const pc_shape *in = pc_node_in_shape(n, 0);
  pc_tensor *z = NULL;
  if (pc_note(s, pc_tensor_zeros(&z, pc_node_in_dtype(n, 0), in->ndim, in->size)) < 0) return NULL;
  return pc_own(s, z);
}

/* g and index with dim present (size k in dim); or over the flattened input when flat. */
static pc_tensor *scatter_back(pc_scope *s, const pc_node *n, pc_tensor *g, pc_tensor *index, int dim, int flat) {
  const pc_shape *in = pc_node_in_shape(n, 0);
  int64_t total = 1, one = 1;
  for (int d = 0; d < in->ndim; d++) total *= in->size[d];
  pc_tensor *z = zeros_like_input(s, n);
  if (flat || in->ndim == 0) {
    z = pc_reshape(s, z, 1, &total);
    int64_t k = g ? pc_numel(g) : one;
    z = pc_scatter_add(s, z, 0, pc_reshape(s, index, 1, &k), pc_reshape(s, g, 1, &k));
    return pc_reshape(s, z, in->ndim, in->size);
  }
  return pc_scatter_add(s, z, dim, index, g);
}

static int real_dim(const pc_node *n, const pc_val *v) {
  int nd = pc_node_in_shape(n, 0)->ndim;
  int64_t d = v->set ? v->i : -1;
  return (int)(d < 0 ? d + nd : d);
}

void pc_bwd_max(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin) {
  const pc_val *v = pc_node_val(n);
  fold f = folded_one(n, &v[0]);
  if (!g[0]) return;
  gin[0] =
      scatter_back(s, n, unfold_to(s, &f, g[0]), unfold_to(s, &f, pc_node_out(s, n, 1)), real_dim(n, &v[0]), !v[0].set);
}

void pc_bwd_median(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin) { pc_bwd_max(s, n, g, gin); }

void pc_bwd_amax(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin) {
  fold f = folded(n, &pc_node_val(n)[0]);
  pc_tensor *hit = pc_op2(s, PC_OP_eq, pc_node_in(n, 0), unfold_to(s, &f, pc_node_out(s, n, 0)));
  pc_val to = PC_VI(pc_node_in_dtype(n, 0));
  hit = pc_op(s, PC_OP_to, 1, &hit, 1, &to, 0);
  gin[0] = pc_mul(s, unfold_to(s, &f, g[0]), pc_div(s, hit, resum(s, &f, hit)));
}

void pc_bwd_sort(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin) {
  if (g[0]) gin[0] = scatter_back(s, n, g[0], pc_node_out(s, n, 1), real_dim(n, &pc_node_val(n)[0]), 0);
}

void pc_bwd_topk(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin) {
  if (g[0]) gin[0] = scatter_back(s, n, g[0], pc_node_out(s, n, 1), real_dim(n, &pc_node_val(n)[1]), 0);
}

/* ---- scans ---- */

static int64_t dim_of(const pc_node *n) { return pc_node_val(n)[0].set ? pc_node_val(n)[0].i : -1; }

void pc_bwd_cumsum(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin) {
  gin[0] = along(s, PC_OP_cumsum_reverse, g[0], dim_of(n));
}

void pc_bwd_cumsum_reverse(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin) {
  gin[0] = along(s, PC_OP_cumsum, g[0], dim_of(n));
}

/* ---- softmax ---- */

static pc_tensor *fused(pc_scope *s, pc_opcode op, pc_tensor *g, pc_tensor *y, int64_t dim) {
  pc_tensor *in[2] = {g, y};
  pc_val v = PC_VI(dim);
  return pc_op(s, op, 2, in, 1, &v, 0);
}

void pc_bwd_softmax(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin) {
  pc_tensor *y = pc_node_out(s, n, 0);
  if (!pc_grad_enabled()) {
    gin[0] = fused(s, PC_OP_softmax_backward, g[0], y, dim_of(n));
    return;
  }
  int dim = real_dim(n, &pc_node_val(n)[0]);
  pc_tensor *gy = pc_mul(s, g[0], y);
  if (pc_node_in_shape(n, 0)->ndim) gy = pc_sum(s, gy, 1, &dim, 1);
  gin[0] = pc_mul(s, y, pc_sub(s, g[0], gy));
}

void pc_bwd_log_softmax(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin) {
  pc_tensor *y = pc_node_out(s, n, 0);
  if (!pc_grad_enabled()) {
    gin[0] = fused(s, PC_OP_log_softmax_backward, g[0], y, dim_of(n));
    return;
  }
  int dim = real_dim(n, &pc_node_val(n)[0]);
  pc_tensor *total = pc_node_in_shape(n, 0)->ndim ? pc_sum(s, g[0], 1, &dim, 1) : g[0];
  gin[0] = pc_sub(s, g[0], pc_mul(s, pc_op1(s, PC_OP_exp, y), total));
}
