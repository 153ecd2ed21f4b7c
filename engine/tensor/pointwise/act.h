/* act.h: the activations that layers have: the one list of them; and on plain arrays, for kernels that apply them to a
 * tile while it is in cache. Values as in the ops of the same names (pointwise.h): the exact
 * GELU, ELU with alpha 1, leaky ReLU with slope 0.01; quick_gelu is x sigmoid(1.702 x).
 */
#ifndef PC_TENSOR_ACT_H
#define PC_TENSOR_ACT_H

#include "tensor/tensor.h"

#define PC_ACTIVATION_SOME(X)   X(relu) X(gelu) X(silu) X(elu) X(leaky_relu) X(tanh) X(sigmoid)
#define PC_ACTIVATION_MAP(X)    X(none) PC_ACTIVATION_SOME(X) /* those with kernels below */
#define PC_ACTIVATION_OPS(X)    X(gelu_tanh) X(quick_gelu)    /* those made of ops (grad/ops_nn.h) */
#define PC_ACTIVATION_BAR(name) "|" #name
/* "none|relu|...": the choices of an option (base/options.h), in the order of the enum. */
#define PC_ACTIVATIONS "none" PC_ACTIVATION_SOME(PC_ACTIVATION_BAR) PC_ACTIVATION_OPS(PC_ACTIVATION_BAR)

typedef enum pc_activation {
#define X(name) PC_ACTIVATION_##name,
  PC_ACTIVATION_MAP(X) PC_ACTIVATION_OPS(X)
#undef X
      PC_ACTIVATION_COUNT,
  PC_ACTIVATION_KERNELS = PC_ACTIVATION_gelu_tanh /* how many have kernels */
} pc_activation;

/* y = f(x), n numbers of dtype d (f32 or f64); y may be x. */
void pc_activation_run(pc_activation f, pc_dtype d, void *y, const void *x, int64_t n);

/* y = f(x) and gx = g f'(x); y may not overlap the others, gx may be g. y NULL: gx alone; g NULL: gx = f'(x). */
void pc_activation_both(pc_activation f, pc_dtype d, void *y, void *gx, const void *g, const void *x, int64_t n);

#endif
