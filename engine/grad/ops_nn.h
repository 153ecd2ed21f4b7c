/* ops_nn.h: convolution, norms, attention as typed C functions in a
 * scope (op.h): results are borrowed from s, NULL after an error. Layouts as in
 * tensor/nn.h: images (N,H,W,C). */
#ifndef PC_GRAD_OPS_NN_H
#define PC_GRAD_OPS_NN_H

#include "grad/op.h"
#include "tensor/pointwise/act.h"
#include "tensor/fused/mlp.h"
#include "tensor/fused/norm.h"
#include "tensor/fused/qkv.h"
#include "tensor/fused/slot_attention.h"

/* The zero value of an entry stands for its default: stride 1, padding 0, dilation 1, groups 1. */
typedef struct pc_conv_opts {
  int64_t stride[2], padding[2], dilation[2], output_padding[2];
  int64_t groups;
  int relu; /* max(0, ·) of the result, in the same pass */
} pc_conv_opts;

/* o may be NULL: all defaults. bias may be NULL. */
pc_tensor *pc_conv2d(pc_scope *s, pc_tensor *x, pc_tensor *weight, pc_tensor *bias, const pc_conv_opts *o);
pc_tensor *pc_conv_transpose2d(pc_scope *s, pc_tensor *x, pc_tensor *weight, pc_tensor *bias, const pc_conv_opts *o);
/* image (B,H,W,C) from painting slots (B,K,H,W,C+1); masks (B,K,H,W) if wanted (tensor/composite.h). */
pc_tensor *pc_composite(pc_scope *s, pc_tensor *x, int sigmoid, pc_tensor **masks);
/* Gradient (O,kh,kw,I/groups) of the weight of a convolution of x whose output has gradient gy. */
pc_tensor *pc_conv2d_weight(pc_scope *s, pc_tensor *x, pc_tensor *gy, int64_t kh, int64_t kw, const pc_conv_opts *o);

/* Over the last `dims` dimensions; weight and bias may be NULL. eps: PC_NORM_EPS, or another. */
pc_tensor *pc_layer_norm(pc_scope *s, pc_tensor *x, pc_tensor *weight, pc_tensor *bias, int dims, double eps);
pc_tensor *pc_group_norm(pc_scope *s, pc_tensor *x, int groups, pc_tensor *weight, pc_tensor *bias, double eps);

/* q (B or 1,N,d), k (B,M,d), v (B,M,dv) -> out (B,N,dv) and, if w is not NULL, the weights (B,heads,N,M).
 * scale 0 stands for 1/sqrt(d/heads). */
pc_tensor *pc_attention(pc_scope *s, pc_tensor *q, pc_tensor *k, pc_tensor *v, int heads, double scale, pc_tensor **w);
/* Projections folded into few keys (tensor/slot_attention.h): x (B or 1,N,D), k (B,H,M,D), v (B,H,M,Dv). */
typedef struct pc_slot_form {
  pc_tensor *c, *bias; /* (B,H,M), (Dv), or NULL */
  int norm, residual;
  double eps; /* of norm */
} pc_slot_form;
/* f may be NULL: none of it. */
pc_tensor *pc_slot_attention(pc_scope *s, pc_tensor *x, pc_tensor *k, pc_tensor *v, const pc_slot_form *f,
                             pc_tensor **w);
/* Its formula (grad/formula.h): the same made of simple ops, y[0] and the weights y[1]. */
void pc_slot_attention_composed(pc_scope *s, const pc_val *v, pc_tensor *const *in, int nin, pc_tensor **y);

/* Linear layers in a row, as one op (tensor/mlp.h). */
typedef struct pc_mlp_form {
  int n;                              /* layers, 1 to PC_MLP_MAX */
  pc_tensor *weight[PC_MLP_MAX];      /* (out,in) */
  pc_tensor *bias[PC_MLP_MAX];        /* (out), or NULL */
  int norm;                           /* layer norm of x first */
  pc_tensor *norm_weight, *norm_bias; /* or NULL */
  double eps;                         /* of norm */
  pc_activation act;                  /* between layers */
  int last_act;                       /* and after the last */
  int residual;                       /* y += x */
  int recompute;                      /* backward computes the layers again; they are not kept */
} pc_mlp_form;
pc_tensor *pc_mlp_run(pc_scope *s, pc_tensor *x, const pc_mlp_form *f);
/* The same as the formula it stands for, op by op: what its second-order gradients differentiate.
 * p, if not NULL: the inputs of all activations, one after the other, flat; NULL if there are none. */
pc_tensor *pc_mlp_composed(pc_scope *s, pc_tensor *x, const pc_mlp_form *f, pc_tensor **p);
/* The projections of self-attention, as one op (tensor/qkv.h): y[3], NULL after an error. */
typedef struct pc_qkv_form {
  pc_tensor *weight[PC_QKV], *bias[PC_QKV]; /* (out,in); (out), or NULL */
  int norm;                                 /* layer norm of x first */
  pc_tensor *norm_weight, *norm_bias;       /* or NULL */
  double eps;                               /* of norm */
} pc_qkv_form;
void pc_qkv_run(pc_scope *s, pc_tensor *x, const pc_qkv_form *f, pc_tensor **y);
/* f by ops, whichever it is. */
pc_tensor *pc_activation_op(pc_scope *s, pc_activation f, pc_tensor *x);

#endif
