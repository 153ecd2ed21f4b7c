/* attention.h: softmax attention with the weights as a second result.
 *
 * attention: q (B or 1,N,d), k (B,M,d), v (B,M,dv), H heads, e = d/H:
 *   w[b,h,n,:] = softmax_m(scale q[b,n,h]·k[b,m,h]),  out[b,n,h] = sum_m w[b,h,n,m] v[b,m,h]
 *   -> out (B,N,dv), w (B,H,N,M). scale is 1/sqrt(e) unless given. q of batch 1 is shared by all images.
 * For many queries and few keys see slot_attention.h.
 */
#ifndef PC_TENSOR_ATTENTION_H
#define PC_TENSOR_ATTENTION_H

#include "tensor/kernel.h"

/* (q, k, v; heads, scale) */
pc_forward_fn pc_fwd_attention;
/* (gout?, gw?, q, k, v, w?; heads, scale): out = gq, gk, gv. Without w it is computed again, a tile of queries at a
 * time: 2 of 12 multiplications a weight more, and nothing of (B,H,N,M) kept. */
pc_forward_fn pc_fwd_attention_backward;

#endif
