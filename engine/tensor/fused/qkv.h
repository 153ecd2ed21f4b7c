/* qkv.h: the three projections of self-attention, behind a layer norm or none, in one pass.
 *
 *   h = norm(x) gamma + beta, or x;   y_i = h W_i' + b_i,   i = q, k, v
 *   g = sum_i gy_i W_i;   gW_i = gy_i' h;   gb_i = sum_rows gy_i;   gx = the norm's gradient of g
 * x (..., w), W_i (w_i, w), y_i (..., w_i). Op by op, h is written, read three times and kept for the weights'
 * gradients. Here a tile of it stays in cache under all three products, and backward makes it again from x.
 * Sums over rows are made by parts whose bounds depend on the shapes only, in order: the same bits for any number of
 * threads.
 */
#ifndef PC_TENSOR_QKV_H
#define PC_TENSOR_QKV_H

#include "tensor/kernel.h"

enum { PC_QKV = 3 };
enum { PC_QKV_NORM, PC_QKV_EPS, PC_QKV_VALUES };
enum { PC_QKV_NEED = PC_QKV_VALUES }; /* of the backward: bit i: the gradient of input i is wanted */
/* Places in in[]: x, gamma?, beta?, then W_q, b_q?, W_k, b_k?, W_v, b_v? */
enum { PC_QKV_X, PC_QKV_GAMMA, PC_QKV_BETA, PC_QKV_W, PC_QKV_INPUTS = PC_QKV_W + 2 * PC_QKV };

pc_forward_fn pc_fwd_qkv; /* out: y_q, y_k, y_v */

/* (gy_q, gy_k, gy_v, then in[] of the forward; its values, need): gradients of those inputs i whose bit is set in
 * `need`, the others NULL. */
pc_forward_fn pc_fwd_qkv_backward;

#endif
