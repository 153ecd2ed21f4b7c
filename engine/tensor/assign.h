/* assign.h: writing values into the places that a mask or a list of positions
 * picks: what `x[mask] = y` and `x[positions] = y` mean. No gradients.
 * Values broadcast as in NumPy; the version of t goes up. */
#ifndef PC_TENSOR_ASSIGN_H
#define PC_TENSOR_ASSIGN_H

#include "tensor/tensor.h"

/* mask: u8, its shape equals the first dimensions of t. With c places picked,
 * src broadcasts to (c, the other sizes of t). */
int pc_assign_mask(pc_tensor *t, const pc_tensor *mask, const pc_tensor *src);

/* index: i64 or i32 positions from PC_INDEX_BASE (negative: from the end), any shape, in dimension dim of t.
 * src broadcasts to t's shape with size[dim] replaced by index's shape. */
int pc_assign_index(pc_tensor *t, int dim, const pc_tensor *index, const pc_tensor *src);

#endif
