/* shape.h: forward functions of engine/grad/ops_shape.def that move elements
 * by position: views, joining, repeating, padding. By index tensors: index.h.
 *
 * Views share the storage of their operand; everything else gives a new
 * contiguous tensor of the operand's dtype (cat and stack promote). Dimensions
 * in pc_val count from 0, negative ones from the end; messages count from 1.
 * The `*_grad` functions are the transposed maps: they put a gradient where the
 * view took its elements from, in zeros of the given size.
 */
#ifndef PC_TENSOR_SHAPE_H
#define PC_TENSOR_SHAPE_H

#include "tensor/index.h"
#include "tensor/kernel.h"

#define PC_VIEW_MAP(X) \
  X(view) X(permute) X(transpose) X(t) X(narrow) X(select) X(expand) X(squeeze) X(unsqueeze) X(unfold) X(diagonal)
#define PC_SHAPE_MAP(X) \
  X(reshape)            \
  X(flatten) X(diag) X(tril) X(triu) X(flip) X(roll) X(cat) X(stack) X(tile) X(repeat_) X(repeat_interleave) X(pad)
#define PC_UNVIEW_MAP(X) X(narrow_grad) X(unfold_grad) X(diagonal_grad)

#define X(name) pc_forward_fn pc_fwd_##name;
PC_VIEW_MAP(X)
PC_SHAPE_MAP(X)
PC_UNVIEW_MAP(X)
#undef X

/* v as a dimension of a tensor with ndim dimensions of which x is shown in the
 * message; dflt when it was not given. */
int pc_shape_dim(const char *op, const pc_tensor *x, int ndim, const pc_val *v, int64_t dflt, int *out);

#endif
