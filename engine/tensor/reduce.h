/* reduce.h: forward functions of engine/grad/ops_reduce.def. */
#ifndef PC_TENSOR_REDUCE_H
#define PC_TENSOR_REDUCE_H

#include "tensor/kernel.h"

#endif
