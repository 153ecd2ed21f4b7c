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

/* out (rows of the last dimension) = sum of t over all dimensions but the last, where mask (u8) is not 0 (NULL:
 * everywhere); f32 and f64. */
int pc_column_sums(pc_tensor **out, const pc_tensor *t, const pc_tensor *mask);

/* Gradients of y = x W' + b, g = dL/dy (..., out): each wanted pointer (not NULL) gets
 * gx = g W in x's shape, gw = g' x (out,in), gb = sum of g (out). */
int pc_linear_grads(pc_tensor **gx, pc_tensor **gw, pc_tensor **gb, const pc_tensor *g, const pc_tensor *x,
                    const pc_tensor *w);

/* t itself (retained) or a copy, of dtype d, such that BLAS can address its last two dimensions. ndim >= 2. */
int pc_blas_operand(pc_tensor **out, const pc_tensor *t, pc_dtype d);

#endif
