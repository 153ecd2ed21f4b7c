/* bwd_reduce.h: backward functions of ops_reduce.def. */
#ifndef PC_GRAD_BWD_REDUCE_H
#define PC_GRAD_BWD_REDUCE_H

#include "grad/op.h"

#endif
