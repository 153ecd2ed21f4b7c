/* norm.h: layer_norm over the last dimensions, group_norm over (N,...,C).
 *   y = (x - mean) / sqrt(var + eps) * weight + bias,  var without Bessel's correction
 * The backward kernels recompute mean and 1/sqrt(var + eps) from x: cheaper
 * than keeping them. Weight and bias are both optional.
 */
#ifndef PC_TENSOR_NORM_H
#define PC_TENSOR_NORM_H

#include "tensor/kernel.h"

pc_forward_fn pc_fwd_layer_norm, pc_fwd_group_norm;
/* (g, x, weight?), same values as the forward: out = gx, gweight, gbias (the last two in the shape of weight, or of
 * what it would be). */
pc_forward_fn pc_fwd_layer_norm_backward, pc_fwd_group_norm_backward;

#endif
