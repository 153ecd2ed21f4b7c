/* ops_linalg.h: matrix products and the linear algebra that is called from C, as typed C functions in a
 * scope (op.h): results are borrowed from s, NULL after an error. */
#ifndef PC_GRAD_OPS_LINALG_H
#define PC_GRAD_OPS_LINALG_H

#include "grad/op.h"

pc_tensor *pc_matmul(pc_scope *s, pc_tensor *a, pc_tensor *b);
/* op(a) op(b): ta, tb swap the last two dimensions of an operand (at least 2-d). */
pc_tensor *pc_matmul_t(pc_scope *s, pc_tensor *a, pc_tensor *b, int ta, int tb);
/* sum over rows of x_r' y_r: (...,k) (...,n) -> (k,n) */
pc_tensor *pc_rows_product(pc_scope *s, pc_tensor *x, pc_tensor *y);
pc_tensor *pc_bmm(pc_scope *s, pc_tensor *a, pc_tensor *b);
/* x (...,in), weight (out,in), bias (out) or NULL -> (...,out) */
pc_tensor *pc_linear(pc_scope *s, pc_tensor *x, pc_tensor *weight, pc_tensor *bias);

/* over the last two dimensions */
pc_tensor *pc_inverse(pc_scope *s, pc_tensor *a);
pc_tensor *pc_solve(pc_scope *s, pc_tensor *a, pc_tensor *b);

#endif
