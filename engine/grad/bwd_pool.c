/* bwd_pool.c: gradients of pooling and resampling: adjoints of each other. */
#include <string.h>

#include "grad/rows.h"
#include "grad/compose.h"

#define BWD(name) void pc_bwd_##name(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin)
#define IN(i)     pc_node_in(n, i)

static pc_tensor *back(pc_scope *s, const pc_node *n, int i, pc_tensor *g) {
  return pc_to(s, g, pc_node_in_dtype(n, i));
}

static pc_tensor *call(pc_scope *s, pc_opcode op, int nin, pc_tensor *const *in, const pc_val *v, int nv) {
  return pc_op(s, op, nin, in, nv, v, 0);
}

/* Rows and columns of an image, as a size2 argument. */
static pc_val pixels(const pc_shape *image) { return pc_vlist(2, image->size + 1); }

BWD(avg_pool2d) {
  const pc_val *v = pc_node_val(n), w[4] = {v[0], v[1], v[2], pixels(pc_node_in_shape(n, 0))};
  if (pc_needs(n, 0)) gin[0] = back(s, n, 0, call(s, PC_OP_avg_pool2d_adjoint, 1, g, w, 4));
}

BWD(avg_pool2d_adjoint) {
  if (pc_needs(n, 0)) gin[0] = back(s, n, 0, call(s, PC_OP_avg_pool2d, 1, g, pc_node_val(n), 3));
}

/* The winners move only where two values are equal: x itself gets no gradient from them. */
BWD(max_pool2d) {
  if (pc_needs(n, 0))
    gin[0] = back(s, n, 0, call(s, PC_OP_max_pool2d_backward, 2, (pc_tensor *[]){g[0], IN(0)}, pc_node_val(n), 3));
}

BWD(max_pool2d_backward) {
  if (pc_needs(n, 0))
    gin[0] = back(s, n, 0, call(s, PC_OP_max_pool2d_take, 2, (pc_tensor *[]){IN(1), g[0]}, pc_node_val(n), 3));
  if (pc_needs(n, 1)) gin[1] = pc_mul_scalar(s, IN(1), 0);
}

BWD(max_pool2d_take) {
  if (pc_needs(n, 0)) gin[0] = pc_mul_scalar(s, IN(0), 0);
  if (pc_needs(n, 1))
    gin[1] = back(s, n, 1, call(s, PC_OP_max_pool2d_backward, 2, (pc_tensor *[]){g[0], IN(0)}, pc_node_val(n), 3));
}

BWD(upsample) {
  const pc_val *v = pc_node_val(n), w[4] = {pixels(pc_node_in_shape(n, 0)), v[2], v[3], v[1]};
  if (pc_needs(n, 0)) gin[0] = back(s, n, 0, call(s, PC_OP_upsample_adjoint, 1, g, w, 4));
}

BWD(upsample_adjoint) {
  const pc_val *v = pc_node_val(n);
  pc_val w[4] = {PC_VNONE, v[3], v[1], v[2]};
  if (!v[3].set) w[0] = pixels(pc_node_in_shape(n, 0));
  if (pc_needs(n, 0)) gin[0] = back(s, n, 0, call(s, PC_OP_upsample, 1, g, w, 4));
}
