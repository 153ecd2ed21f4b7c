/* compose.h: what backward functions of linalg and nn write their formulas with. */
#ifndef PC_GRAD_COMPOSE_H
#define PC_GRAD_COMPOSE_H

#include "grad/ops_linalg.h"
#include "grad/ops_pointwise.h"
#if __has_include("grad/ops_shape.h")
#include "grad/ops_shape.h"
#else
static inline pc_tensor *pc_reshape(pc_scope *s, pc_tensor *t, int ndim, const int64_t *size) {
  return pc_note(s, pc_fail(PC_ESTATE, "reshape is missing")), NULL;
}
#endif

#endif
