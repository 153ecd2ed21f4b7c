/* norm_higher.h: derivatives of layer norm beyond the first, in closed form.
 *
 * With h = (x - mean(x)) r, r = 1 / sqrt(var(x) + eps) over a row of n elements, and for any row v
 * m_v = mean(v), t_v = mean(v h):
 *   P(v)     = d<v,h>/dx = r (v - m_v - t_v h)
 *   B(a,b)   = d<a,P(b)>/dx = -r (t_a P(b) + t_b P(a) + <a,P(b)> h / n)
 *   C(u,a,b) = d<u,B(a,b)>/dx
 *            = r^2 h / n (t_a <u,P(b)> + t_b <u,P(a)> + t_u <a,P(b)>)
 *              - r / n (P(a) <u,P(b)> + P(b) <u,P(a)> + P(u) <a,P(b)>)
 *              - r (t_a B(u,b) + t_b B(u,a) + t_u B(a,b))
 * from dr/dx = -r^2 h / n and dt_v/dx = P(v) / n. P is symmetric, <a,P(b)> = r (<a,b> - n m_a m_b - n t_a t_b),
 * and B and C do not depend on the order of their arguments: all three are derivatives of <v,h> along
 * directions. Each result is a sum of the rows given, h and a constant, so that one pass over a row gives the
 * products they need and a second one all results.
 *
 * First gradient of layer norm without weights: gx = P(g). Of P(v) under g: gv = P(g), gx = B(g,v). Of B(a,b)
 * under g: ga = B(g,b), gb = B(g,a), gx = C(g,a,b).
 */
#ifndef PC_TENSOR_NORM_HIGHER_H
#define PC_TENSOR_NORM_HIGHER_H

#include "tensor/kernel.h"

/* Tensors of one shape; values: dims, eps as for layer_norm. */
pc_forward_fn pc_fwd_layer_norm_first;           /* v, x -> P(v) */
pc_forward_fn pc_fwd_layer_norm_second;          /* a, b, x -> B(a,b) */
pc_forward_fn pc_fwd_layer_norm_first_backward;  /* g, v, x -> P(g), B(g,v) */
pc_forward_fn pc_fwd_layer_norm_second_backward; /* g, a, b, x -> B(g,b), B(g,a), C(g,a,b) */

#endif
