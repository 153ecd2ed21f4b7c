/* iter.h: walking several strided tensors of one (broadcast) shape together.
 *
 * pc_iter_init merges dimensions that all operands step through as one, and
 * pc_iter_run hands two-dimensional pieces to an inner loop, in parallel:
 *   for j < n1, i < n0: operand k is at p[k] + j*s1[k] + i*s0[k]   (bytes)
 * Pieces depend on the shape alone, never on the number of threads. Contiguous
 * operands of one shape arrive as one long row (n1 == 1, s0 = element size);
 * row broadcast as s1 == 0, column broadcast as s0 == 0.
 * Operand 0 is the one written; it must not be broadcast.
 */
#ifndef PC_TENSOR_ITER_H
#define PC_TENSOR_ITER_H

#include "tensor/tensor.h"

#define PC_ITER_MAX 4

typedef struct pc_iter {
  int nop, ndim; /* ndim >= 1 after merging; dim 0 is the innermost */
  int64_t size[PC_MAX_DIM];
  int64_t stride[PC_ITER_MAX][PC_MAX_DIM]; /* bytes */
  char *base[PC_ITER_MAX];
} pc_iter;

typedef void pc_loop_fn(char *const *p, const int64_t *s0, const int64_t *s1, int64_t n0, int64_t n1, void *ctx);

/* op[0..nop) broadcast to (ndim, size); the caller has checked that they do. */
void pc_iter_init(pc_iter *it, int ndim, const int64_t *size, int nop, pc_tensor *const *op);
/* grain: elements per piece (0: 32768, right for memory-bound loops). */
void pc_iter_run(const pc_iter *it, int64_t grain, pc_loop_fn *fn, void *ctx);
/* The same in pieces of n0 <= cut and the whole of dimension 1, for loops that go by tiles. */
void pc_iter_run_tiles(const pc_iter *it, int64_t cut, pc_loop_fn *fn, void *ctx);

/* What the kernel `copy` gets (tensor/backend.h): operand 0 of it, of dtype `to`, becomes operand 1, of dtype `from`.
 */
typedef struct pc_copy_call {
  pc_iter *it;
  pc_dtype to, from;
} pc_copy_call;

#endif
