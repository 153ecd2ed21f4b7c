/* rows.h: the functions of the op table's rows, declared from the rows: a row and its functions are all there is to an
 * op. A backward function that several rows share belongs to one of them, or is named here. */
#ifndef PC_GRAD_ROWS_H
#define PC_GRAD_ROWS_H

#include "grad/op.h"

#define OP(name, ...)          \
  pc_forward_fn pc_fwd_##name; \
  pc_backward_fn pc_bwd_##name;
#include "grad/ops.def"
#undef OP

pc_backward_fn pc_bwd_flat, pc_bwd_copy; /* of steps: no gradient; of what is copied: the same */

#endif
