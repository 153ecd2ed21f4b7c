/* inplace.h: dst := f(dst, src), for optimisers and for accumulating gradients.
 *
 * src broadcasts to dst's shape and is converted to dst's dtype first; dst and
 * src may be the same tensor or views of one storage. The version of dst goes
 * up. The tape is not asked: callers that may meet a tracked tensor call
 * pc_inplace_begin first (grad/op.h).
 */
#ifndef PC_TENSOR_INPLACE_H
#define PC_TENSOR_INPLACE_H

#include "tensor/tensor.h"

int pc_add_into(pc_tensor *dst, const pc_tensor *src, double alpha); /* dst += alpha * src */
int pc_mul_into(pc_tensor *dst, const pc_tensor *src);               /* dst *= src */
int pc_div_into(pc_tensor *dst, const pc_tensor *src);               /* dst /= src; float dst */
int pc_lerp_into(pc_tensor *dst, const pc_tensor *src, double w);    /* dst += w * (src - dst); float dst */
int pc_scale(pc_tensor *dst, double a);                              /* dst *= a; float dst */
int pc_clamp_into(pc_tensor *dst, double lo, double hi);             /* dst = min(max(dst, lo), hi) */

#endif
