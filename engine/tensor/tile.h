/* tile.h: what kernels share that take rows tile by tile: operands of one dtype, and small loops over a tile.
 */
#ifndef PC_TENSOR_TILE_H
#define PC_TENSOR_TILE_H

#include "tensor/tensor.h"

/* Contiguous operands of dtype d: n of them into t, each the tensor itself or a copy, to be dropped; NULL stays NULL.
 */
int pc_take(pc_tensor **t, pc_tensor *const *in, int n, pc_dtype d);
void pc_drop(pc_tensor **t, int n); /* sets them to NULL */

/* On the caller's thread, d PC_F32 or PC_F64: */
void pc_tile_add(pc_dtype d, void *y, const void *x, int64_t n); /* y += x; no overlap */
/* y (n) = the sum of np rows of n, in order; np >= 1 */
void pc_tile_fold(pc_dtype d, void *y, const void *parts, int64_t np, int64_t n);
/* sum (c) += the rows of x, ld elements apart */
void pc_tile_columns(pc_dtype d, void *sum, const void *x, int64_t rows, int64_t c, int64_t ld);
/* y = x + b, rows of c elements; b NULL: a copy */
void pc_tile_offset(pc_dtype d, void *y, const void *x, const void *b, int64_t rows, int64_t c);

#endif
