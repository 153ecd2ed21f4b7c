/* composite.h: slots that each paint an image and a mask, put together.
 *
 * composite (x; mode): x (B,K,H,W,C+1), the last channel a mask's logit
 *   l_k = x[b,k,p,C],  m_k = softmax over slots of l, or sigmoid(l_k)
 *   image[b,p] = sum_k m_k x[b,k,p,:C]
 *   -> image (B,H,W,C), masks (B,K,H,W)
 * Softmax masks sum to 1 at a pixel, which couples the slots; sigmoid masks keep the
 * decoder additive (arXiv 2310.05327). One pass over x forward, one backward:
 *   gx_k = m_k g,  d_k = g·x_k + gm_k,
 *   gl_k = m_k (d_k - sum_j m_j d_j) (softmax),  m_k (1 - m_k) d_k (sigmoid)
 */
#ifndef PC_TENSOR_COMPOSITE_H
#define PC_TENSOR_COMPOSITE_H

#include "tensor/kernel.h"

/* (x; mode): out = image, masks */
pc_forward_fn pc_fwd_composite;
/* (g?, gm?, x, masks; mode): out = gx */
pc_forward_fn pc_fwd_composite_backward;

#endif
