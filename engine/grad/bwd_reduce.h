/* bwd_reduce.h: backward functions of ops_reduce.def. */
#ifndef PC_GRAD_BWD_REDUCE_H
#define PC_GRAD_BWD_REDUCE_H

#include "grad/op.h"

pc_backward_fn pc_bwd_sum, pc_bwd_mean, pc_bwd_var, pc_bwd_std, pc_bwd_prod, pc_bwd_norm, pc_bwd_logsumexp, pc_bwd_max,
    pc_bwd_amax, pc_bwd_median, pc_bwd_cumsum, pc_bwd_cumsum_reverse, pc_bwd_cumprod, pc_bwd_prod_others,
    pc_bwd_recurrence, pc_bwd_softmax, pc_bwd_log_softmax, pc_bwd_sort, pc_bwd_topk;

#endif
