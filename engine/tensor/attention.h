/* attention.h: softmax attention with the weights as a second result.
 *
 * attention: q (B or 1,N,d), k (B,M,d), v (B,M,dv), H heads, e = d/H:
 *   w[b,h,n,:] = softmax_m(scale q[b,n,h]·k[b,m,h]),  out[b,n,h] = sum_m w[b,h,n,m] v[b,m,h]
 *   -> out (B,N,dv), w (B,H,N,M). scale is 1/sqrt(e) unless given. q of batch 1 is shared by all images.
 * slot_attention: the same with the projections folded into few keys. For keys made from slots
 * (x Wq)(s Wk)' = x (Wq (s Wk)') and (w (s Wv)) Wo = w ((s Wv) Wo), so with
 *   k (B,H,M,D) = scale Wq_h (s Wk)_h' and v (B,H,M,Dv) = (s Wv)_h Wo_h
 * every head sees all of x (B or 1,N,D) and the heads' contexts add up:
 *   w[b,h,n,:] = softmax_m(x[b,n]·k[b,h,m]),  out[b,n] = sum_{h,m} w[b,h,n,m] v[b,h,m]
 *   -> out (B,N,Dv), w (B,H,N,M), stored as (B,N,H,M).
 * A pixel pays 2 H M (D + Dv) multiply-adds, whatever the width of the attention.
 */
#ifndef PC_TENSOR_ATTENTION_H
#define PC_TENSOR_ATTENTION_H

#include "tensor/kernel.h"

/* (q, k, v; heads, scale) */
pc_forward_fn pc_fwd_attention;
/* (gout?, gw?, q, k, v, w; heads, scale): out = gq, gk, gv */
pc_forward_fn pc_fwd_attention_backward;
/* (x, k, v) */
pc_forward_fn pc_fwd_slot_attention;
/* (gout?, gw?, x, k, v, w): out = gx, gk, gv */
pc_forward_fn pc_fwd_slot_attention_backward;

#endif
