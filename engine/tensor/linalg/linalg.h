/* linalg.h: forward functions of engine/grad/ops_linalg.def: products
 * (matmul.h) and decompositions by LAPACK, over the last two dimensions, for
 * every matrix of the leading ones.
 *
 * A matrix that a decomposition cannot handle is PC_ENUM with the op, the
 * matrix's place in the batch (counted from PC_INDEX_BASE) and the remedy.
 * cholesky and eigh work on the symmetric part (A + A')/2, so that gradients
 * are symmetric; eigenvectors and singular vectors have the sign that makes
 * the largest component of a column of v (of u) positive.
 */
#ifndef PC_TENSOR_LINALG_H
#define PC_TENSOR_LINALG_H

#include "tensor/gemm/matmul.h"

pc_forward_fn pc_fwd_inverse;  /* (a) */
pc_forward_fn pc_fwd_solve;    /* (a (...,n,n), b (...,n,k) or (...,n)) -> x with a x = b; batches broadcast */
pc_forward_fn pc_fwd_cholesky; /* (a) -> lower triangular l, a = l l' */
pc_forward_fn pc_fwd_eigh;     /* (a) -> w (...,n) rising, v (...,n,n), a = v diag(w) v' */
pc_forward_fn pc_fwd_svd;      /* (a (...,m,n); full_matrices = false) -> u, s falling, vh, a = u diag(s) vh */
pc_forward_fn pc_fwd_qr;       /* (a (...,m,n)) -> q (...,m,k), r (...,k,n), k = min(m,n) */
pc_forward_fn pc_fwd_lstsq;    /* (a (...,m,n), b (...,m,k) or (...,m); rcond?) -> least-norm x of least |a x - b| */
pc_forward_fn pc_fwd_pinv;     /* (a (...,m,n); rcond?) -> (...,n,m); singular values below rcond·largest count as 0 */
pc_forward_fn pc_fwd_det;      /* (a) -> (...) */
pc_forward_fn pc_fwd_logdet;   /* (a) -> (...): -inf where singular, NaN where the determinant is negative */
pc_forward_fn pc_fwd_cofactor; /* (a) -> (...,n,n): the gradient of det, for singular matrices too (cofactor.c) */

#endif
