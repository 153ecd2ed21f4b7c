/* conv_ref.c: convolution as its definition reads. */
#include "tensor/conv/conv.h"

/* Position on the big side of tap k at small position o; the caller checks the bounds. */
#define AT(o, k, s, p, d) ((o) * (s) - (p) + (k) * (d))

#define PC_TEMPLATE "tensor/conv/conv_ref.inc"
#include "base/float_types.inc"

void pc_conv_forward_ref(pc_dtype d, const pc_conv_geo *k, void *y, const void *x, const void *w, const void *bias) {
  if (d == PC_F32)
    forward_f32(k, y, x, w, bias);
  else
    forward_f64(k, y, x, w, bias);
}

void pc_conv_transpose_ref(pc_dtype d, const pc_conv_geo *k, void *x, const void *y, const void *w, const void *bias) {
  if (d == PC_F32)
    transpose_f32(k, x, y, w, bias);
  else
    transpose_f64(k, x, y, w, bias);
}

void pc_conv_weight_ref(pc_dtype d, const pc_conv_geo *k, void *gw, const void *x, const void *y) {
  if (d == PC_F32)
    weight_f32(k, gw, x, y);
  else
    weight_f64(k, gw, x, y);
}
