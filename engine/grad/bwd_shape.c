/* bwd_shape.c: every op of this family is linear in its float operands; its
 * backward is the transposed map. Arguments come from the node: v[]. */
#include "grad/rows.h"

#include <string.h>

#include "grad/ops_pointwise.h"
#include "grad/ops_shape.h"

#define BACKWARD(name) void pc_bwd_##name(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin)

static pc_tensor *reshape_to(pc_scope *s, pc_tensor *g, const pc_shape *to) {
  return pc_reshape(s, g, to->ndim, to->size);
}

static pc_tensor *zeros_like_in(pc_scope *s, const pc_node *n, int i) {
  const pc_shape *in = pc_node_in_shape(n, i);
  pc_tensor *z;
  if (pc_note(s, pc_tensor_zeros(&z, pc_node_in_dtype(n, i), in->ndim, in->size)) < 0) return NULL;
  return pc_own(s, z);
}

/* v[0] as a dimension from 0 in a tensor of ndim dimensions */
static int dim_of(const pc_val *v, int ndim, int64_t dflt) {
  int64_t d = v->set ? v->i : dflt;
  return (int)(d < 0 ? d + ndim : d);
}

static int64_t count(const pc_shape *p, int from, int to) {
  int64_t n = 1;
  for (int i = from; i < to; i++) n *= p->size[i];
  return n;
}

/* ---- views ---- */

BACKWARD(reshape) { gin[0] = reshape_to(s, g[0], pc_node_in_shape(n, 0)); }

BACKWARD(permute) {
  const pc_val *v = pc_node_val(n);
  int back[PC_MAX_DIM], nd = pc_node_in_shape(n, 0)->ndim;
  for (int i = 0; i < nd; i++) back[dim_of(&PC_VI(v[0].l[i]), nd, 0)] = i;
  gin[0] = pc_permute(s, g[0], back);
}

BACKWARD(transpose) {
  const pc_val *v = pc_node_val(n);
  gin[0] = pc_op(s, PC_OP_transpose, 1, g, 2, v, 0);
}

BACKWARD(t) { gin[0] = pc_op1(s, PC_OP_t, g[0]); }

static pc_tensor *unnarrow(pc_scope *s, pc_tensor *g, const pc_shape *size, int dim, int64_t start, int64_t step) {
  const pc_val v[5] = {pc_vlist(size->ndim, size->size), PC_VI(dim), PC_VI(start), PC_VI(g ? g->size[dim] : 0),
                       PC_VI(step)};
  return pc_op(s, PC_OP_narrow_grad, 1, &g, 5, v, 0);
}

BACKWARD(narrow) {
  const pc_val *v = pc_node_val(n);
  const pc_shape *in = pc_node_in_shape(n, 0);
  int dim = dim_of(&v[0], in->ndim, 0);
  int64_t start = v[1].i < 0 ? v[1].i + in->size[dim] : v[1].i;
  gin[0] = unnarrow(s, g[0], in, dim, start, v[3].set ? v[3].i : 1);
}

BACKWARD(select) {
  const pc_val *v = pc_node_val(n);
  const pc_shape *in = pc_node_in_shape(n, 0);
  int dim = dim_of(&v[0], in->ndim, 0);
  int64_t at = v[1].i < 0 ? v[1].i + in->size[dim] : v[1].i;
  gin[0] = unnarrow(s, pc_unsqueeze(s, g[0], dim), in, dim, at, 1);
}

BACKWARD(narrow_grad) {
  const pc_val *v = pc_node_val(n);
  gin[0] = pc_op(s, PC_OP_narrow, 1, g, 4, v + 1, 0);
}

BACKWARD(expand) { gin[0] = pc_sum_to(s, g[0], pc_node_in_shape(n, 0)); }

/* op(g, size of the node's input, the node's first nv arguments) */
static pc_tensor *put_back(pc_scope *s, pc_opcode op, pc_tensor *g, const pc_node *n, int nv) {
  const pc_shape *in = pc_node_in_shape(n, 0);
  pc_val v[4] = {pc_vlist(in->ndim, in->size)};
  for (int i = 0; i < nv; i++) v[1 + i] = pc_node_val(n)[i];
  return pc_op(s, op, 1, &g, 1 + nv, v, 0);
}

BACKWARD(unfold) { gin[0] = put_back(s, PC_OP_unfold_grad, g[0], n, 3); }
BACKWARD(unfold_grad) { gin[0] = pc_op(s, PC_OP_unfold, 1, g, 3, pc_node_val(n) + 1, 0); }
BACKWARD(diagonal) { gin[0] = put_back(s, PC_OP_diagonal_grad, g[0], n, 3); }
BACKWARD(diagonal_grad) { gin[0] = pc_op(s, PC_OP_diagonal, 1, g, 3, pc_node_val(n) + 1, 0); }

/* ---- copies ---- */

BACKWARD(diag) {
  const pc_val *v = pc_node_val(n);
  int64_t k = v[0].set ? v[0].i : 0;
  if (pc_node_in_shape(n, 0)->ndim == 1)
    gin[0] = pc_diagonal(s, g[0], k, 0, 1);
  else
    gin[0] = put_back(s, PC_OP_diagonal_grad, g[0], n, 1);
}

BACKWARD(tril) { gin[0] = pc_op(s, PC_OP_tril, 1, g, 1, pc_node_val(n), 0); }
BACKWARD(triu) { gin[0] = pc_op(s, PC_OP_triu, 1, g, 1, pc_node_val(n), 0); }
BACKWARD(flip) { gin[0] = pc_op(s, PC_OP_flip, 1, g, 1, pc_node_val(n), 0); }

BACKWARD(roll) {
  const pc_val *v = pc_node_val(n);
  gin[0] = pc_op(s, PC_OP_roll, 1, g, 2, (pc_val[]){PC_VI(-v[0].i), v[1]}, 0);
}

BACKWARD(cat) {
  int dim = dim_of(pc_node_val(n), pc_node_in_shape(n, 0)->ndim, 0);
  int64_t at = 0;
  for (int k = 0; k < pc_node_nin(n); k++) {
    int64_t len = pc_node_in_shape(n, k)->size[dim];
    if (pc_needs(n, k)) gin[k] = pc_to(s, pc_narrow(s, g[0], dim, at, len, 1), pc_node_in_dtype(n, k));
    at += len;
  }
}

BACKWARD(stack) {
  int dim = dim_of(pc_node_val(n), pc_node_in_shape(n, 0)->ndim + 1, 0);
  for (int k = 0; k < pc_node_nin(n); k++)
    if (pc_needs(n, k)) gin[k] = pc_to(s, pc_select(s, g[0], dim, k), pc_node_in_dtype(n, k));
}

/* g seen as (outer, r, inner), summed over the repetitions */
static pc_tensor *sum_repeats(pc_scope *s, pc_tensor *g, int64_t outer, int64_t r, int64_t inner) {
  const pc_shape once = {3, {outer, 1, inner}};
  return pc_sum_to(s, pc_reshape(s, g, 3, (int64_t[]){outer, r, inner}), &once);
}

BACKWARD(tile) {
  const pc_val *v = pc_node_val(n);
  const pc_shape *in = pc_node_in_shape(n, 0);
  pc_shape size = *pc_node_out_shape(n, 0);
  pc_tensor *x = g[0];
  for (int i = 0; i < size.ndim; i++) {
    int64_t r = i < size.ndim - v[0].nl ? 1 : v[0].l[i - (size.ndim - v[0].nl)];
    if (r == 1) continue;
    int j = i - (size.ndim - in->ndim);
    size.size[i] = j < 0 ? 1 : in->size[j];
    x = sum_repeats(s, x, count(&size, 0, i), r, count(&size, i, size.ndim));
  }
  gin[0] = reshape_to(s, x, in);
}

BACKWARD(repeat_interleave) {
  const pc_val *v = pc_node_val(n);
  const pc_shape *in = pc_node_in_shape(n, 0);
  int cut = v[1].set ? dim_of(&v[1], in->ndim, 0) + 1 : in->ndim;
  gin[0] = reshape_to(s, sum_repeats(s, g[0], count(in, 0, cut), v[0].i, count(in, cut, in->ndim)), in);
}

BACKWARD(pad) {
  pc_val v = pc_node_val(n)[0];
  for (int i = 0; i < v.nl; i++) v.l[i] = -v.l[i];
  gin[0] = pc_op(s, PC_OP_pad, 1, g, 1, &v, 0);
}

/* ---- by index ---- */

BACKWARD(gather) {
  const pc_val *v = pc_node_val(n);
  if (pc_needs(n, 0)) gin[0] = pc_scatter_add(s, zeros_like_in(s, n, 0), (int)v[0].i, pc_node_in(n, 1), g[0]);
}

BACKWARD(scatter_add) {
  const pc_val *v = pc_node_val(n);
  gin[0] = g[0];
  if (!pc_needs(n, 2)) return;
  const pc_shape *src = pc_node_in_shape(n, 2), *idx = pc_node_in_shape(n, 1);
  pc_tensor *gs = pc_to(s, pc_gather(s, g[0], (int)v[0].i, pc_node_in(n, 1)), pc_node_in_dtype(n, 2));
  for (int i = 0; i < src->ndim; i++) { /* src may be longer than the index: no gradient there */
    pc_shape wide = *idx;
    for (int j = 0; j <= i; j++) wide.size[j] = src->size[j];
    if (src->size[i] != idx->size[i]) gs = unnarrow(s, gs, &wide, i, 0, 1);
  }
  gin[2] = gs;
}

BACKWARD(index_select) {
  const pc_val *v = pc_node_val(n);
  if (pc_needs(n, 0)) gin[0] = pc_index_add(s, zeros_like_in(s, n, 0), (int)v[0].i, pc_node_in(n, 1), g[0]);
}

BACKWARD(index_add) {
  const pc_val *v = pc_node_val(n);
  gin[0] = g[0];
  if (pc_needs(n, 2))
    gin[2] = pc_to(s, pc_index_select(s, g[0], (int)v[0].i, pc_node_in(n, 1)), pc_node_in_dtype(n, 2));
}

BACKWARD(masked_select) {
  const pc_shape *in = pc_node_in_shape(n, 0), *m = pc_node_in_shape(n, 1);
  pc_shape wide = {.ndim = in->ndim > m->ndim ? in->ndim : m->ndim};
  for (int i = 0; i < wide.ndim; i++) {
    int a = i - (wide.ndim - in->ndim), b = i - (wide.ndim - m->ndim);
    int64_t sa = a < 0 ? 1 : in->size[a], sb = b < 0 ? 1 : m->size[b];
    wide.size[i] = sa == 1 ? sb : sa;
  }
  const pc_val v = pc_vlist(wide.ndim, wide.size);
  pc_tensor *const two[2] = {g[0], pc_node_in(n, 1)};
  gin[0] = pc_sum_to(s, pc_op(s, PC_OP_masked_select_grad, 2, two, 1, &v, 0), in);
}

BACKWARD(masked_select_grad) { gin[0] = pc_masked_select(s, g[0], pc_node_in(n, 1)); }

BACKWARD(embedding) {
  const pc_shape *idx = pc_node_in_shape(n, 1), *w = pc_node_in_shape(n, 0);
  int64_t words = count(idx, 0, idx->ndim);
  pc_tensor *list = pc_reshape(s, pc_node_in(n, 1), 1, &words);
  pc_tensor *rows = pc_reshape(s, g[0], 2, (int64_t[]){words, w->size[1]});
  gin[0] = pc_index_add(s, zeros_like_in(s, n, 0), 0, list, rows);
}
