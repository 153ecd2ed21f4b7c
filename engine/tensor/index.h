/* index.h: forward functions of engine/grad/ops_shape.def that move elements by
 * index tensors and masks. Assignment through them: assign.h.
 *
 * An index tensor is i64 or i32 and counts from PC_INDEX_BASE; every index is
 * checked before anything is written, and a bad one is named with its position,
 * its value and the size it left. A mask is u8; nonzero means taken. Additions
 * run in the order of the index, so equal indices give the same bits for any
 * number of threads.
 */
#ifndef PC_TENSOR_INDEX_H
#define PC_TENSOR_INDEX_H

#include "tensor/kernel.h"

#define PC_INDEX_MAP(X) \
  X(gather)             \
  X(scatter_add) X(index_select) X(index_add) X(masked_select) X(masked_select_grad) X(one_hot) X(embedding)

#define X(name) pc_forward_fn pc_fwd_##name;
PC_INDEX_MAP(X)
#undef X

/* idx as contiguous i64 counted from 0 (a new reference), all of it in [0, size);
 * `what` names the dimension in messages: "dimension 2 of shape (3,4)". */
int pc_index_from(pc_tensor **out, const char *op, const pc_tensor *idx, int64_t size, const char *what);

#endif
