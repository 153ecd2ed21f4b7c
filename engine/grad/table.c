/* table.c: the op table as data. */
#include "grad/op.h"

#include "grad/bwd_linalg.h"
#include "grad/bwd_nn.h"
#include "grad/bwd_pointwise.h"
#include "grad/bwd_reduce.h"
#include "grad/bwd_shape.h"
#include "tensor/linalg.h"
#include "tensor/nn.h"
#include "tensor/pointwise.h"
#include "tensor/reduce.h"
#include "tensor/shape.h"

const pc_op_info pc_ops[PC_OP_COUNT] = {
#define OP(name, nout, flags, sig, forward, backward, tol, help) \
  {#name, nout, flags, sig, forward, backward, tol, help},
#include "grad/ops.def"
#undef OP
};
