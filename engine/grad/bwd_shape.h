/* bwd_shape.h: backward functions of ops_shape.def. */
#ifndef PC_GRAD_BWD_SHAPE_H
#define PC_GRAD_BWD_SHAPE_H

#include "grad/op.h"

#endif
