/* conv.h: convolution of channels-last images, its transpose, and its weight gradient.
 *
 * One geometry serves all three. The big side x is (n,h,w,c), the small side y
 * is (n,oh,ow,o), the weight (o, kh, kw, c/groups), and
 *   conv2d            y[oy,ox,o] = sum_{ky,kx,c} x[oy·s - p + ky·d, ...] w[o,ky,kx,c]
 *   conv_transpose2d  its adjoint, y -> x: the same weight, read as (I, kh, kw, O/groups)
 *   conv2d_weight     (x, y) -> gradient of the weight
 * Each is the gradient of the others, which is how second order comes about.
 *
 * How, f32: filters of three taps a residue of the stride, with 32 channels or more, by minimal filtering with a half
 * to a quarter of the multiplications (winograd.c). Else a window's rows are runs of neighbouring numbers, so the
 * kernels read an image (in a frame of zeros) in place. f64: rows of pixels are gathered into a tile of L2 (im2col of
 * 64-1024 rows, never the whole matrix) and multiplied by BLAS. The transpose runs as s·s stride-1 convolutions, one
 * for each phase of the output grid: the same reading, no scattered adds, so every thread owns its output.
 */
#ifndef PC_TENSOR_CONV_H
#define PC_TENSOR_CONV_H

#include "tensor/kernel.h"

typedef struct pc_conv_geo {
  int64_t n, h, w, c; /* big side */
  int64_t oh, ow, o;  /* small side */
  int64_t kh, kw, groups;
  int64_t sy, sx, py, px, dy, dx; /* stride, padding, dilation */
} pc_conv_geo;

/* conv2d (x, weight, bias?; stride, padding, dilation, groups) */
pc_forward_fn pc_fwd_conv2d;
/* conv_transpose2d (x, weight, bias?; stride, padding, output_padding, groups, dilation) */
pc_forward_fn pc_fwd_conv_transpose2d;
/* conv2d_weight (x, gy; stride, padding, dilation, groups, kernel) */
pc_forward_fn pc_fwd_conv2d_weight;

/* The same, with max(0, ·) on the way out. */
pc_forward_fn pc_fwd_conv2d_relu, pc_fwd_conv_transpose2d_relu;
/* (g, on, x?, weight; stride, padding, ... as of the forward, size, need): their gradients for x, weight and bias,
 * where bit 0, 1, 2 of `need` is set, the others NULL. `on` (u8 of g's shape, contiguous) says where the result is
 * positive: g counts there. x, whose four sizes are `size`, may be missing when the weight's gradient is not wanted. */
pc_forward_fn pc_fwd_conv2d_relu_backward, pc_fwd_conv_transpose2d_relu_backward;
enum { PC_CONV_SIZE = 5, PC_CONV_NEED, PC_CONV_VALUES }; /* places of the last two */

/* What is done on the way in and out. */
typedef struct pc_conv_fused {
  int relu; /* the result is max(0, ·) */
  const uint8_t
      *mask; /* the source (x of forward and weight, y of transpose) counts where this is not 0; NULL: everywhere */
  const uint8_t *mask_gy; /* the same of weight's y */
} pc_conv_fused;

/* Raw kernels over contiguous data of dtype d; bias may be NULL. PC_ENOMEM is their only failure. */
int pc_conv_forward(pc_dtype d, const pc_conv_geo *k, void *y, const void *x, const void *w, const void *bias,
                    pc_conv_fused f);
int pc_conv_transpose(pc_dtype d, const pc_conv_geo *k, void *x, const void *y, const void *w, const void *bias,
                      pc_conv_fused f);
int pc_conv_weight(pc_dtype d, const pc_conv_geo *k, void *gw, const void *x, const void *y, pc_conv_fused f);

/* What the kernels of this room get (tensor/backend.h). */
typedef struct pc_conv_call {
  pc_dtype d;
  const pc_conv_geo *g;
  void *out;         /* forward y, transpose x, weight gw */
  const void *a, *b; /* forward x, w; transpose y, w; weight x, y */
  const void *bias;  /* or NULL */
  pc_conv_fused f;
} pc_conv_call;

/* The plain loops. */
void pc_conv_forward_ref(pc_dtype d, const pc_conv_geo *k, void *y, const void *x, const void *w, const void *bias);
void pc_conv_transpose_ref(pc_dtype d, const pc_conv_geo *k, void *x, const void *y, const void *w, const void *bias);
void pc_conv_weight_ref(pc_dtype d, const pc_conv_geo *k, void *gw, const void *x, const void *y);

#endif
