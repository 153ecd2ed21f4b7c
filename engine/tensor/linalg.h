/* linalg.h: forward functions of engine/grad/ops_linalg.def. */
#ifndef PC_TENSOR_LINALG_H
#define PC_TENSOR_LINALG_H

#include "tensor/matmul.h"

#endif
