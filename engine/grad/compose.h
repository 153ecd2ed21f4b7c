/* compose.h: what backward functions of linalg and nn write their formulas with. */
#ifndef PC_GRAD_COMPOSE_H
#define PC_GRAD_COMPOSE_H

#include "grad/ops_linalg.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_shape.h"

/* May results be divided by what they were multiplied from? Not where one is 0, subnormal, infinite or NaN. */
int pc_all_normal(const pc_tensor *y);

#endif
