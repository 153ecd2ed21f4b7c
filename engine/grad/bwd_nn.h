/* bwd_nn.h: backward functions of ops_nn.def. */
#ifndef PC_GRAD_BWD_NN_H
#define PC_GRAD_BWD_NN_H

#include "grad/op.h"

#endif
