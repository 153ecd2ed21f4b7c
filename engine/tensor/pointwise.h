/* pointwise.h: forward functions of engine/grad/ops_pointwise.def. */
#ifndef PC_TENSOR_POINTWISE_H
#define PC_TENSOR_POINTWISE_H

#include "tensor/kernel.h"

#endif
