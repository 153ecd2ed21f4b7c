/* ops_reduce.h: the rows of ops_reduce.def for C. nd 0: all dims. Dims from 0. */
#ifndef PC_GRAD_OPS_REDUCE_H
#define PC_GRAD_OPS_REDUCE_H

#include "grad/op.h"

pc_tensor *pc_sum(pc_scope *s, pc_tensor *x, int nd, const int *dims, int keepdim);
pc_tensor *pc_mean(pc_scope *s, pc_tensor *x, int nd, const int *dims, int keepdim);
pc_tensor *pc_softmax(pc_scope *s, pc_tensor *x, int dim);
pc_tensor *pc_log_softmax(pc_scope *s, pc_tensor *x, int dim);

#endif
