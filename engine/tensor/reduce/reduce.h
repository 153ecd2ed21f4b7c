/* reduce.h: reductions and scans: forward functions of engine/grad/ops_reduce.def.
 *
 * A reduction over dims views its input as (outer, n, inner). Sums of f32 are
 * taken in float over short runs and in double across them; runs and chunks
 * depend on the shape alone, so results do not depend on the number of threads.
 * Sums of integers are i64. An empty sum is 0, an empty product 1; an empty
 * maximum is an error. Positions (argmax, sort) are i64 from PC_INDEX_BASE.
 */
#ifndef PC_TENSOR_REDUCE_H
#define PC_TENSOR_REDUCE_H

#include "tensor/kernel.h"

// clang-format off
#define PC_REDUCE_MAP(X) \
  X(sum) X(mean) X(var) X(std) X(prod) X(norm) X(logsumexp) X(any) X(all) X(max) X(min) X(amax) X(amin) \
  X(argmax) X(argmin) X(cumsum) X(cumsum_reverse) X(cumprod) X(prod_others) X(recurrence) X(softmax) X(log_softmax) \
  X(softmax_backward) X(log_softmax_backward) X(sort) X(argsort) X(topk) X(median) X(bincount)
// clang-format on

#define X(name) pc_forward_fn pc_fwd_##name;
PC_REDUCE_MAP(X)
#undef X

/* Which dims an argument of type dims means: flags per dim; unset: all. Negative dims count from the end. */
int pc_reduced_dims(const char *op, const pc_tensor *x, const pc_val *v, uint8_t reduced[PC_MAX_DIM]);
/* One dim argument: negative counts from the end (of ndim dims). */
int pc_dim(const char *op, const pc_tensor *x, int64_t dim, int *out);

#endif
