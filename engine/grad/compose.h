/* compose.h: what backward functions of linalg and nn write their formulas with. */
#ifndef PC_GRAD_COMPOSE_H
#define PC_GRAD_COMPOSE_H

#include "grad/ops_linalg.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_shape.h"

#endif
