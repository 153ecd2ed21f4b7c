/* norm.h: layer_norm over the last dimensions, group_norm over (N,...,C).
 *   y = (x - mean) / sqrt(var + eps) * weight + bias,  var without Bessel's correction
 * The backward kernels recompute mean and 1/sqrt(var + eps) from x: cheaper
 * than keeping them. Weight and bias are both optional.
 */
#ifndef PC_TENSOR_NORM_H
#define PC_TENSOR_NORM_H

#include "tensor/kernel.h"

#define PC_NORM_EPS        1e-5 /* eps of every norm that is not told another */
#define PC_NORM_EPS_TEXT   PC_NORM_TEXT(PC_NORM_EPS)
#define PC_NORM_TEXT(x)    PC_NORM_TEXT_OF(x)
#define PC_NORM_TEXT_OF(x) #x

pc_forward_fn pc_fwd_layer_norm, pc_fwd_group_norm;
/* (g, x, weight?), same values as the forward: out = gx, gweight, gbias (the last two in the shape of weight, or of
 * what it would be). */
pc_forward_fn pc_fwd_layer_norm_backward, pc_fwd_group_norm_backward;

/* Layer norm of a tile, for kernels that have one in cache, on the caller's thread: rows of c
 * contiguous elements of dtype d, y apart from x. w, b: c elements or NULL. */
void pc_norm_rows(pc_dtype d, int64_t rows, int64_t c, double eps, const void *x, const void *w, const void *b,
                  void *y);
/* Its gradients: gx (rows,c), no overlap with g or x; gw and gb (c) are added to; both NULL: not wanted. */
void pc_norm_rows_backward(pc_dtype d, int64_t rows, int64_t c, double eps, const void *g, const void *x, const void *w,
                           void *gx, void *gw, void *gb);

#endif
