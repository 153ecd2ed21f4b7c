/* matmul.h: matrix products of tensors.
 *
 * matmul follows NumPy: 1-d operands are a row on the left and a column on the
 * right, leading dimensions broadcast. f32 and f64 go to BLAS (tensor/gemm.h),
 * transposed views without a copy; integers take plain loops.
 */
#ifndef PC_TENSOR_MATMUL_H
#define PC_TENSOR_MATMUL_H

#include "tensor/kernel.h"

pc_forward_fn pc_fwd_matmul, pc_fwd_bmm, pc_fwd_addmm, pc_fwd_linear, pc_fwd_dot, pc_fwd_outer;
/* op(a) op(b), each with its last two dimensions swapped if asked (v: ta, tb); at least 2-d. */
pc_forward_fn pc_fwd_matmul_t;
/* sum over all rows r of x_r' y_r: (...,k) and (...,n) give (k,n). Weight gradients. */
pc_forward_fn pc_fwd_rows_product;

/* (t, mask?): sum of t over all dimensions but the last, where mask (u8, contiguous) is not 0; f32 and f64. */
pc_forward_fn pc_fwd_column_sums;

/* (g, x, w; need): gradients of y = x W' + b, g = dL/dy (..., out): gx = g W in g's shape, gw = g' x (out,in), gb = sum
 * of g (out), where the bit of `need` is set. */
pc_forward_fn pc_fwd_linear_backward;

/* t itself (retained) or a copy, of dtype d, such that BLAS can address its last two dimensions. ndim >= 2. */
int pc_blas_operand(pc_tensor **out, const pc_tensor *t, pc_dtype d);

#endif
