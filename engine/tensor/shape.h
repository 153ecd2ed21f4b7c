/* shape.h: forward functions of engine/grad/ops_shape.def. */
#ifndef PC_TENSOR_SHAPE_H
#define PC_TENSOR_SHAPE_H

#include "tensor/kernel.h"

#endif
