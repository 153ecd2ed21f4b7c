/* pointwise.h: forward functions of engine/grad/ops_pointwise.def.
 *
 * Operands broadcast; dtypes promote as in PyTorch: float beats integer, wider
 * beats narrower, a number of the language above (a weak 0-dim tensor) keeps the
 * tensor's dtype unless it is fractional and the tensor is integer (then f32).
 * Functions that are real-valued by nature turn integers into f32. Comparisons
 * and logic give u8 with 0 or 1. Integers wrap around.
 */
#ifndef PC_TENSOR_POINTWISE_H
#define PC_TENSOR_POINTWISE_H

#include "tensor/kernel.h"

/* two operands */
#define PC_ARITH_MAP(X)   X(add) X(sub) X(mul) X(div) X(pow) X(maximum) X(minimum) X(fmod) X(remainder)
#define PC_COMPARE_MAP(X) X(eq) X(ne) X(lt) X(le) X(gt) X(ge) X(logical_and) X(logical_or) X(logical_xor)
/* one operand, any dtype */
#define PC_UNARY_MAP(X) X(neg) X(abs) X(sign) X(square) X(relu) X(floor) X(ceil) X(round) X(trunc)
/* one operand, real-valued */
// clang-format off
#define PC_REAL_MAP(X) \
  X(exp) X(log) X(log1p) X(expm1) X(sqrt) X(rsqrt) X(reciprocal) X(silu) X(sigmoid) X(tanh) X(sin) X(cos) X(tan) \
  X(asin) X(acos) X(atan) X(sinh) X(cosh) X(erf)
// clang-format on
/* one operand, u8 result */
#define PC_TEST_MAP(X) X(logical_not) X(isnan) X(isinf) X(isfinite)
/* with arguments of their own */
// clang-format off
#define PC_POINTWISE_OTHER_MAP(X) \
  X(clamp) X(gelu) X(elu) X(leaky_relu) X(softplus) X(where) X(lerp) X(masked_fill) X(dropout) X(to) X(clone) \
  X(contiguous)
// clang-format on

#define X(name) pc_forward_fn pc_fwd_##name;
PC_ARITH_MAP(X)
PC_COMPARE_MAP(X)
PC_UNARY_MAP(X)
PC_REAL_MAP(X)
PC_TEST_MAP(X)
PC_POINTWISE_OTHER_MAP(X)
#undef X

/* Fused gradients of activations, for when nobody differentiates them again:
 *   out = g * f'(x). `t` is the activation's input x, or its output y for
 *   relu, sigmoid and tanh. par: elu (alpha), leaky_relu (slope), softplus
 *   (beta, threshold), clamp (lo, hi). g and t have one shape; same float dtype. */
typedef enum pc_act {
  PC_ACT_RELU,
  PC_ACT_SIGMOID,
  PC_ACT_TANH,
  PC_ACT_GELU,
  PC_ACT_GELU_TANH,
  PC_ACT_SILU,
  PC_ACT_ELU,
  PC_ACT_LEAKY_RELU,
  PC_ACT_SOFTPLUS,
  PC_ACT_CLAMP,
  PC_ACT_COUNT
} pc_act;
int pc_act_grad(pc_tensor **out, pc_act kind, pc_tensor *g, pc_tensor *t, const double *par);
/* (g, t; kind, p, q, over): the same as a row; with `over` g itself is the result, where nobody else holds it. */
pc_forward_fn pc_fwd_act_backward;

/* (a, x; order): a times the order-th derivative of GELU at x, order 1 to PC_GELU_ORDERS; a and x have one
 * shape and float dtype. Its own gradients are of its kind, so that penalties on second derivatives stay
 * one pass an activation. */
enum { PC_GELU_ORDERS = 8 };
pc_forward_fn pc_fwd_gelu_derivative;
/* (g, a, x; order): its gradients for a and x, g gelu^(n)(x) and g a gelu^(n+1)(x), in one pass; order to
 * PC_GELU_ORDERS - 1 */
pc_forward_fn pc_fwd_gelu_derivative_backward;

#endif
