/* bwd_pointwise.h: backward functions of ops_pointwise.def. */
#ifndef PC_GRAD_BWD_POINTWISE_H
#define PC_GRAD_BWD_POINTWISE_H

#include "grad/op.h"

#endif
