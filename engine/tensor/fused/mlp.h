/* mlp.h: norm, linear layers with activations between them, and the way around, in one pass.
 *
 *   a_0 = norm(x) gamma + beta, or x;   p_i = a_{i-1} W_i' + b_i;   a_i = act(p_i)   i = 1..L
 *   y = p_L, or act(p_L);   with `residual` y += x
 * x (..., w_0), W_i (w_i, w_{i-1}), y (..., w_L). Rows are independent, so a tile of them goes
 * through all layers before the next one starts, and nothing between x and y leaves the cache.
 * For the backward pass the forward may keep p_i of every layer with an activation (`keep` 1),
 * which saves a third of the backward's work and costs the memory of those layers; or, when no
 * weight will want a gradient, act'(p_i) (`keep` 2): the frozen decoder of a search needs nothing
 * else, and value and slope of an activation cost little more than one of them. What is not there,
 * backward computes again, tile by tile.
 *
 *   g_L = gy (act'(p_L));   gW_i = g_i' a_{i-1};   gb_i = sum_rows g_i;   g_{i-1} = (g_i W_i) act'(p_{i-1})
 *   gx = the norm's gradient of g_1 W_1, + gy with `residual`
 * Gradients that nobody asks for are not computed. Sums over rows are made by parts whose
 * bounds depend on the shapes only, and the parts are added in order: the same bits for any
 * number of threads.
 */
#ifndef PC_TENSOR_MLP_H
#define PC_TENSOR_MLP_H

#include "tensor/kernel.h"

enum { PC_MLP_MAX = 16 }; /* layers */

/* Values of the op, in the order of its signature. */
enum { PC_MLP_ACT, PC_MLP_LAST_ACT, PC_MLP_RESIDUAL, PC_MLP_NORM, PC_MLP_EPS, PC_MLP_KEEP, PC_MLP_VALUES };
enum { PC_MLP_NEED = PC_MLP_VALUES }; /* of the backward: bit i: the gradient of input i is wanted */

/* Places in in[]: x, gamma?, beta?, then W_1, b_1?, W_2, b_2?, ... */
enum { PC_MLP_X, PC_MLP_GAMMA, PC_MLP_BETA, PC_MLP_W };

/* act is a pc_activation. out: y and what is kept, (rows · widths), of size 0 without `keep`. */
pc_forward_fn pc_fwd_mlp;

/* (gy, kept?, then in[] of the forward; its values, need): gradients of those inputs i whose bit is set in `need`, the
 * others NULL; kept is the forward's second output. */
pc_forward_fn pc_fwd_mlp_backward;

#endif
