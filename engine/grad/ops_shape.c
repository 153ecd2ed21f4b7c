#include "grad/ops_shape.h"

#define ONE(op, ...) \
  pc_op(s, PC_OP_##op, 1, &x, sizeof((pc_val[]){__VA_ARGS__}) / sizeof(pc_val), (pc_val[]){__VA_ARGS__}, 0)

pc_tensor *pc_reshape(pc_scope *s, pc_tensor *x, int nd, const int64_t *size) {
  return ONE(reshape, pc_vlist(nd, size));
}
pc_tensor *pc_transpose(pc_scope *s, pc_tensor *x, int d0, int d1) { return ONE(transpose, PC_VI(d0), PC_VI(d1)); }
pc_tensor *pc_narrow(pc_scope *s, pc_tensor *x, int dim, int64_t start, int64_t length, int64_t step) {
  return ONE(narrow, PC_VI(dim), PC_VI(start), PC_VI(length), PC_VI(step));
}
pc_tensor *pc_select(pc_scope *s, pc_tensor *x, int dim, int64_t index) {
  return ONE(select, PC_VI(dim), PC_VI(index));
}
pc_tensor *pc_expand(pc_scope *s, pc_tensor *x, int nd, const int64_t *size) { return ONE(expand, pc_vlist(nd, size)); }
pc_tensor *pc_unsqueeze(pc_scope *s, pc_tensor *x, int dim) { return ONE(unsqueeze, PC_VI(dim)); }
pc_tensor *pc_squeeze(pc_scope *s, pc_tensor *x, int dim) { return ONE(squeeze, PC_VI(dim)); }
pc_tensor *pc_flatten(pc_scope *s, pc_tensor *x, int from, int to) { return ONE(flatten, PC_VI(from), PC_VI(to)); }
pc_tensor *pc_unfold(pc_scope *s, pc_tensor *x, int dim, int64_t size, int64_t step) {
  return ONE(unfold, PC_VI(dim), PC_VI(size), PC_VI(step));
}
pc_tensor *pc_diagonal(pc_scope *s, pc_tensor *x, int64_t offset, int d0, int d1) {
  return ONE(diagonal, PC_VI(offset), PC_VI(d0), PC_VI(d1));
}
pc_tensor *pc_tril(pc_scope *s, pc_tensor *x, int64_t diagonal) { return ONE(tril, PC_VI(diagonal)); }
pc_tensor *pc_flip(pc_scope *s, pc_tensor *x, int n, const int64_t *dims) { return ONE(flip, pc_vlist(n, dims)); }
pc_tensor *pc_roll(pc_scope *s, pc_tensor *x, int64_t shift, int dim) { return ONE(roll, PC_VI(shift), PC_VI(dim)); }
pc_tensor *pc_tile(pc_scope *s, pc_tensor *x, int n, const int64_t *counts) { return ONE(tile, pc_vlist(n, counts)); }
pc_tensor *pc_repeat_interleave(pc_scope *s, pc_tensor *x, int64_t repeats, int dim) {
  return ONE(repeat_interleave, PC_VI(repeats), PC_VI(dim));
}
pc_tensor *pc_pad(pc_scope *s, pc_tensor *x, int n, const int64_t *pad, double value) {
  return ONE(pad, pc_vlist(n, pad), PC_VD(value));
}

pc_tensor *pc_permute(pc_scope *s, pc_tensor *x, const int *perm) {
  int64_t p[PC_MAX_DIM];
  if (!x) return NULL;
  for (int i = 0; i < x->ndim; i++) p[i] = perm[i];
  const pc_val v = pc_vlist(x->ndim, p);
  return pc_op(s, PC_OP_permute, 1, &x, 1, &v, 0);
}

pc_tensor *pc_cat(pc_scope *s, int n, pc_tensor *const *parts, int dim) {
  return pc_op(s, PC_OP_cat, n, parts, 1, &PC_VI(dim), 0);
}
pc_tensor *pc_stack(pc_scope *s, int n, pc_tensor *const *parts, int dim) {
  return pc_op(s, PC_OP_stack, n, parts, 1, &PC_VI(dim), 0);
}

pc_tensor *pc_gather(pc_scope *s, pc_tensor *x, int dim, pc_tensor *index) {
  return pc_op(s, PC_OP_gather, 2, (pc_tensor *[]){x, index}, 1, &PC_VI(dim), 0);
}
pc_tensor *pc_scatter_add(pc_scope *s, pc_tensor *x, int dim, pc_tensor *index, pc_tensor *src) {
  return pc_op(s, PC_OP_scatter_add, 3, (pc_tensor *[]){x, index, src}, 1, &PC_VI(dim), 0);
}
pc_tensor *pc_index_select(pc_scope *s, pc_tensor *x, int dim, pc_tensor *index) {
  return pc_op(s, PC_OP_index_select, 2, (pc_tensor *[]){x, index}, 1, &PC_VI(dim), 0);
}
pc_tensor *pc_index_add(pc_scope *s, pc_tensor *x, int dim, pc_tensor *index, pc_tensor *source) {
  return pc_op(s, PC_OP_index_add, 3, (pc_tensor *[]){x, index, source}, 1, &PC_VI(dim), 0);
}
pc_tensor *pc_masked_select(pc_scope *s, pc_tensor *x, pc_tensor *mask) {
  return pc_op2(s, PC_OP_masked_select, x, mask);
}
pc_tensor *pc_embedding(pc_scope *s, pc_tensor *weight, pc_tensor *idx) {
  return pc_op2(s, PC_OP_embedding, weight, idx);
}
