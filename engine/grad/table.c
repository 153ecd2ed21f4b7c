/* table.c: the op table as data. */
#include "grad/op.h"

#include "grad/bwd_linalg.h"
#include "grad/bwd_nn.h"
#include "grad/bwd_pointwise.h"
#include "grad/bwd_reduce.h"
#include "grad/bwd_shape.h"
#include "tensor/linalg/linalg.h"
#include "tensor/conv/conv.h"
#include "tensor/conv/pool.h"
#include "tensor/fused/attention.h"
#include "tensor/fused/composite.h"
#include "tensor/fused/loss.h"
#include "tensor/fused/mlp.h"
#include "tensor/fused/norm.h"
#include "tensor/fused/norm_higher.h"
#include "tensor/fused/qkv.h"
#include "tensor/fused/slot_attention.h"
#include "tensor/pointwise/pointwise.h"
#include "tensor/reduce/reduce.h"
#include "tensor/shape.h"

const pc_op_info pc_ops[PC_OP_COUNT] = {
#define OP(name, nout, flags, sig, forward, backward, tol, help) \
  {#name, nout, flags, sig, forward, backward, tol, help},
#include "grad/ops.def"
#undef OP
};
