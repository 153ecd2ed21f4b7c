/* bwd_linalg.h: backward functions of ops_linalg.def. */
#ifndef PC_GRAD_BWD_LINALG_H
#define PC_GRAD_BWD_LINALG_H

#include "grad/op.h"

pc_backward_fn pc_bwd_matmul, pc_bwd_matmul_t, pc_bwd_rows_product, pc_bwd_outer, pc_bwd_addmm, pc_bwd_linear;

#endif
