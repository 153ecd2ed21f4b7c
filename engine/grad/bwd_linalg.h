/* bwd_linalg.h: backward functions of ops_linalg.def. */
#ifndef PC_GRAD_BWD_LINALG_H
#define PC_GRAD_BWD_LINALG_H

#include "grad/op.h"

#endif
