/* bwd_linalg.h: backward functions of ops_linalg.def. */
#ifndef PC_GRAD_BWD_LINALG_H
#define PC_GRAD_BWD_LINALG_H

#include "grad/op.h"

pc_backward_fn pc_bwd_matmul, pc_bwd_matmul_t, pc_bwd_rows_product, pc_bwd_outer, pc_bwd_addmm, pc_bwd_linear;
pc_backward_fn pc_bwd_inverse, pc_bwd_solve, pc_bwd_cholesky, pc_bwd_eigh, pc_bwd_svd, pc_bwd_qr, pc_bwd_lstsq,
    pc_bwd_pinv, pc_bwd_det, pc_bwd_cofactor, pc_bwd_logdet;

#endif
