/* slot_attention.h: attention of many positions to few slots, with everything around it that
 * a pre-norm block does, in one pass.
 *
 *   h = (x - mean) / sqrt(var + eps) over each row with `norm`, else x
 *   w[b,h,n,:] = softmax_m(h[b,n]·k[b,h,m] + c[b,h,m])
 *   out[b,n] = sum_{h,m} w[b,h,n,m] v[b,h,m] (+ bias) (+ x[b,n] with `residual`)
 * x (B or 1,N,D), k (B,H,M,D), v (B,H,M,Dv), c (B,H,M), bias (Dv) -> out (B,N,Dv), w (B,H,N,M).
 *
 * Multi-head attention takes this form when the projections are folded into the few keys: with
 * q = Wq (gamma h + beta) + bq, keys s_k and values s_v of a head (width e) and output weight Wo
 *   q·s_k / sqrt(e) = h·k + c,  k = gamma Wq' s_k / sqrt(e),  c = (Wq beta + bq)·s_k / sqrt(e)
 *   Wo (sum_m w s_v) = sum_m w v,  v = Wo s_v
 * A position then pays 2 H M (D + Dv) operations, whatever the width of the attention.
 *
 * x of batch 1 is shared by all images: it is normalised once, all images' scores are one product,
 * and its gradient is one product, too.
 */
#ifndef PC_TENSOR_SLOT_ATTENTION_H
#define PC_TENSOR_SLOT_ATTENTION_H

#include "tensor/kernel.h"

enum { PC_SLOT_X, PC_SLOT_K, PC_SLOT_V, PC_SLOT_C, PC_SLOT_BIAS, PC_SLOT_INPUTS };
enum { PC_SLOT_NORM, PC_SLOT_EPS, PC_SLOT_RESIDUAL, PC_SLOT_VALUES };
enum { PC_SLOT_NEED = PC_SLOT_VALUES }; /* of the backward: bit i: the gradient of input i is wanted */

/* (x, k, v, c?, bias?; norm, eps, residual): out, w */
pc_forward_fn pc_fwd_slot_attention;

/* (gout?, gw?, w, then in[] of the forward; its values, need): gradients of those inputs whose bit is set in `need`,
 * the others NULL; w is the forward's second output. */
pc_forward_fn pc_fwd_slot_attention_backward;

#endif
