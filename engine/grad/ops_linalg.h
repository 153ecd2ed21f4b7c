/* ops_linalg.h: matrix products and linear algebra as typed C functions in a
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
pc_tensor *pc_dot(pc_scope *s, pc_tensor *a, pc_tensor *b);
pc_tensor *pc_outer(pc_scope *s, pc_tensor *a, pc_tensor *b);
pc_tensor *pc_addmm(pc_scope *s, pc_tensor *input, pc_tensor *mat1, pc_tensor *mat2, double beta, double alpha);
/* x (...,in), weight (out,in), bias (out) or NULL -> (...,out) */
pc_tensor *pc_linear(pc_scope *s, pc_tensor *x, pc_tensor *weight, pc_tensor *bias);

/* ---- decompositions: over the last two dimensions; results that are not wanted may be NULL ---- */
pc_tensor *pc_inverse(pc_scope *s, pc_tensor *a);
pc_tensor *pc_solve(pc_scope *s, pc_tensor *a, pc_tensor *b);
pc_tensor *pc_cholesky(pc_scope *s, pc_tensor *a);
/* eigenvalues; eigenvectors to *v */
pc_tensor *pc_eigh(pc_scope *s, pc_tensor *a, pc_tensor **v);
/* singular values; vectors to *u and *vh */
pc_tensor *pc_svd(pc_scope *s, pc_tensor *a, int full_matrices, pc_tensor **u, pc_tensor **vh);
/* q; r to *r */
pc_tensor *pc_qr(pc_scope *s, pc_tensor *a, pc_tensor **r);
pc_tensor *pc_lstsq(pc_scope *s, pc_tensor *a, pc_tensor *b);
pc_tensor *pc_pinv(pc_scope *s, pc_tensor *a);
pc_tensor *pc_det(pc_scope *s, pc_tensor *a);
pc_tensor *pc_logdet(pc_scope *s, pc_tensor *a);

#endif
