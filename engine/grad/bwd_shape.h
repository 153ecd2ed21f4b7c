/* bwd_shape.h: backward functions of ops_shape.def. Each is the transposed map
 * of its op, made of ops, so it can be differentiated again. */
#ifndef PC_GRAD_BWD_SHAPE_H
#define PC_GRAD_BWD_SHAPE_H

#include "grad/op.h"

// clang-format off
#define PC_BWD_SHAPE_MAP(X) \
  X(reshape) X(permute) X(transpose) X(t) X(narrow) X(select) X(expand) X(unfold) X(diagonal) X(narrow_grad) \
  X(unfold_grad) X(diagonal_grad) X(masked_select_grad) X(diag) X(tril) X(triu) X(flip) X(roll) X(cat) X(stack) \
  X(tile) X(repeat_interleave) X(pad) X(gather) X(scatter_add) X(index_select) X(index_add) X(masked_select) \
  X(embedding)
// clang-format on

#define X(name) pc_backward_fn pc_bwd_##name;
PC_BWD_SHAPE_MAP(X)
#undef X

#endif
