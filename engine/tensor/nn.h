/* nn.h: forward functions of engine/grad/ops_nn.def. */
#ifndef PC_TENSOR_NN_H
#define PC_TENSOR_NN_H

#include "tensor/attention.h"
#include "tensor/composite.h"
#include "tensor/conv.h"
#include "tensor/loss.h"
#include "tensor/mlp.h"
#include "tensor/norm.h"
#include "tensor/norm_higher.h"
#include "tensor/pool.h"
#include "tensor/qkv.h"
#include "tensor/slot_attention.h"

#endif
