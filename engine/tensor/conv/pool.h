/* pool.h: pooling and resampling of channels-last images (N,H,W,C).
 *
 * The linear ones come as a map and its adjoint, which are each other's
 * gradients; max_pool2d has a fused backward that finds the winners again
 * (the first of equals, in row order).
 */
#ifndef PC_TENSOR_POOL_H
#define PC_TENSOR_POOL_H

#include "tensor/kernel.h"

/* (x; kernel_size, stride = kernel_size, padding = 0): windows of the zero-padded
 * image, divided by the whole window (padding counts), as PyTorch does. */
pc_forward_fn pc_fwd_avg_pool2d, pc_fwd_max_pool2d;
/* Adjoint of avg_pool2d (g; kernel_size, stride, padding, {H,W} of x). */
pc_forward_fn pc_fwd_avg_pool2d_adjoint;
/* (g, x; as max_pool2d): g sent to the winners. */
pc_forward_fn pc_fwd_max_pool2d_backward;
/* The winners' values of another image: (x, u; as max_pool2d) -> u at x's winners; adjoint of the above in g. */
pc_forward_fn pc_fwd_max_pool2d_take;

/* (x; size?, scale_factor?, mode = 'nearest' | 'bilinear', align_corners = false) */
pc_forward_fn pc_fwd_upsample;
/* Adjoint of upsample (g; size of x, mode, align_corners, scale_factor?). */
pc_forward_fn pc_fwd_upsample_adjoint;

#endif
