/* loss.h: sums of a loss over all elements in one pass, and their gradients.
 *   squared_error = sum (x - y)^2;   gx = 2 g (x - y) = -gy
 * Sums run over chunks of fixed bounds, added in order: the same bits for any number of threads.
 */
#ifndef PC_TENSOR_LOSS_H
#define PC_TENSOR_LOSS_H

#include "tensor/kernel.h"

/* (x, y): one shape, float -> 0-dim */
pc_forward_fn pc_fwd_squared_error;

/* (g, x, y; need): g 0-dim; gx and gy where the bit of `need` is set, else NULL. */
pc_forward_fn pc_fwd_squared_error_backward;

#endif
