/* fuse.h: layers that run as one op. A layer norm, linear layers and the activations between
 * them make one pass over the rows (tensor/mlp.h) instead of one an op, a convolution takes the relu
 * after it along: same parameters, same numbers.
 */
#ifndef PC_NN_FUSE_H
#define PC_NN_FUSE_H

#include "nn/layers.h"

/* Runs parts, in a row: pieces that can be one op as one, other modules by themselves. */
pc_tensor *pc_fuse_sequence(pc_scope *s, pc_tensor *x, pc_module *const *parts, int n);

/* x + parts(norm(x)): the feed-forward half of a Transformer block. recompute: as one op, it keeps nothing of the
 * layers between for backward. */
pc_tensor *pc_fuse_around(pc_scope *s, pc_tensor *x, pc_module *norm, pc_module *const *parts, int n, int recompute);

/* What layers.c tells about its modules. */
extern const pc_module_class pc_linear_class, pc_layer_norm_class;
double pc_layer_norm_eps(const pc_module *m);
int pc_is_conv(const pc_module *m);
int pc_activation_of(const pc_module *m); /* a pc_activation, or -1: another module */

#endif
