/* ops_shape.h: the shape and index ops as typed C functions in a scope (op.h):
 * results are borrowed from s, NULL after an error. Dimensions count from 0,
 * negative ones from the end; index tensors from PC_INDEX_BASE. */
#ifndef PC_GRAD_OPS_SHAPE_H
#define PC_GRAD_OPS_SHAPE_H

#include "grad/op.h"

/* ---- views ---- */
pc_tensor *pc_reshape(pc_scope *s, pc_tensor *x, int nd, const int64_t *size);
pc_tensor *pc_permute(pc_scope *s, pc_tensor *x, const int *perm); /* x->ndim entries */
pc_tensor *pc_transpose(pc_scope *s, pc_tensor *x, int d0, int d1);
pc_tensor *pc_narrow(pc_scope *s, pc_tensor *x, int dim, int64_t start, int64_t length, int64_t step);
pc_tensor *pc_select(pc_scope *s, pc_tensor *x, int dim, int64_t index);
pc_tensor *pc_expand(pc_scope *s, pc_tensor *x, int nd, const int64_t *size);
pc_tensor *pc_unsqueeze(pc_scope *s, pc_tensor *x, int dim); /* negative: from the end of the result */
pc_tensor *pc_squeeze(pc_scope *s, pc_tensor *x, int dim);
pc_tensor *pc_flatten(pc_scope *s, pc_tensor *x, int from, int to);
pc_tensor *pc_unfold(pc_scope *s, pc_tensor *x, int dim, int64_t size, int64_t step);
pc_tensor *pc_diagonal(pc_scope *s, pc_tensor *x, int64_t offset, int d0, int d1);

/* ---- copies ---- */
pc_tensor *pc_cat(pc_scope *s, int n, pc_tensor *const *parts, int dim);
pc_tensor *pc_stack(pc_scope *s, int n, pc_tensor *const *parts, int dim);
pc_tensor *pc_tril(pc_scope *s, pc_tensor *x, int64_t diagonal);
pc_tensor *pc_flip(pc_scope *s, pc_tensor *x, int n, const int64_t *dims);
pc_tensor *pc_roll(pc_scope *s, pc_tensor *x, int64_t shift, int dim);
pc_tensor *pc_tile(pc_scope *s, pc_tensor *x, int n, const int64_t *counts);
pc_tensor *pc_repeat_interleave(pc_scope *s, pc_tensor *x, int64_t repeats, int dim);
/* pairs (before, after), the last dimension first; n numbers */
pc_tensor *pc_pad(pc_scope *s, pc_tensor *x, int n, const int64_t *pad, double value);

/* ---- by index ---- */
pc_tensor *pc_gather(pc_scope *s, pc_tensor *x, int dim, pc_tensor *index);
pc_tensor *pc_scatter_add(pc_scope *s, pc_tensor *x, int dim, pc_tensor *index, pc_tensor *src);
pc_tensor *pc_index_select(pc_scope *s, pc_tensor *x, int dim, pc_tensor *index);
pc_tensor *pc_index_add(pc_scope *s, pc_tensor *x, int dim, pc_tensor *index, pc_tensor *source);
pc_tensor *pc_masked_select(pc_scope *s, pc_tensor *x, pc_tensor *mask);
pc_tensor *pc_embedding(pc_scope *s, pc_tensor *weight, pc_tensor *idx);

#endif
