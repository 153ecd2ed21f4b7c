/* bwd_composite.c: gradient of composite; the formulas stand in tensor/composite.h. */
#include <string.h>

#include "grad/rows.h"
#include "grad/compose.h"

void pc_bwd_composite(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin) {
  pc_tensor *x = pc_node_in(n, 0), *m = pc_node_out(s, n, 1), *gx;
  const pc_val *v = pc_node_val(n);
  if (!pc_grad_enabled()) {
    pc_tensor *in[4] = {g[0], g[1], x, m};
    if (s->rc < 0 || pc_note(s, pc_apply(PC_OP_composite_backward, &gx, in, 4, v, 1)) < 0) return;
    gin[0] = pc_to(s, pc_own(s, gx), pc_node_in_dtype(n, 0));
    return;
  }
  const pc_shape *xs = pc_node_in_shape(n, 0);
  int64_t c = xs->size[4] - 1;
  pc_tensor *mx = pc_unsqueeze(s, m, 4), *d = g[1] ? pc_unsqueeze(s, g[1], 4) : NULL, *paint;
  if (g[0]) {
    const pc_shape one = {.ndim = 5, .size = {xs->size[0], xs->size[1], xs->size[2], xs->size[3], 1}};
    pc_tensor *slots = pc_unsqueeze(s, g[0], 1); /* every slot sees the image's gradient */
    pc_tensor *dot = pc_sum_to(s, pc_mul(s, slots, pc_narrow(s, x, 4, 0, c, 1)), &one);
    paint = pc_mul(s, mx, slots);
    d = d ? pc_add(s, d, dot) : dot;
  } else {
    paint = pc_mul_scalar(s, pc_narrow(s, x, 4, 0, c, 1), 0);
  }
  const pc_shape all = {.ndim = 5, .size = {xs->size[0], 1, xs->size[2], xs->size[3], 1}};
  pc_tensor *md = pc_mul(s, mx, d);
  pc_tensor *logit = v[0].set && v[0].s && !strcmp(v[0].s, "sigmoid")
                         ? pc_mul(s, md, pc_rsub_scalar(s, 1, mx))
                         : pc_sub(s, md, pc_mul(s, mx, pc_sum_to(s, md, &all)));
  gin[0] = pc_to(s, pc_cat(s, 2, (pc_tensor *[]){paint, logit}, 4), pc_node_in_dtype(n, 0));
}
