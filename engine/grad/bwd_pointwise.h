/* bwd_pointwise.h: backward functions of ops_pointwise.def. */
#ifndef PC_GRAD_BWD_POINTWISE_H
#define PC_GRAD_BWD_POINTWISE_H

#include "grad/op.h"

// clang-format off
#define PC_BWD_POINTWISE_MAP(X) \
  X(add) X(sub) X(mul) X(div) X(pow) X(maximum) X(minimum) X(fmod) X(remainder) X(lerp) X(neg) X(exp) X(log) \
  X(log1p) X(expm1) X(sqrt) X(rsqrt) X(square) X(reciprocal) X(abs) X(sin) X(cos) X(tan) X(asin) X(acos) X(atan) \
  X(sinh) X(cosh) X(erf) X(flat) X(clamp) X(relu) X(gelu) X(gelu_derivative) X(silu) X(elu) X(leaky_relu) X(sigmoid) X(tanh) \
  X(softplus) X(dropout) X(where) X(masked_fill) X(to) X(copy)
// clang-format on
#define X(name) pc_backward_fn pc_bwd_##name;
PC_BWD_POINTWISE_MAP(X)
#undef X

#endif
