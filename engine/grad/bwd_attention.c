/* bwd_attention.c: gradients of attention and slot_attention. With w = softmax(S), O = W V:
 *   gW = gO V' + gw,  gS = w (gW - sum_m gW w),  gQ = gS K,  gK = gS' Q,  gV = W' gO */
#include <math.h>

#include "grad/bwd_nn.h"
#include "grad/compose.h"

#define BWD(name) void pc_bwd_##name(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin)
#define IN(i)     pc_node_in(n, i)

static void fused(pc_scope *s, const pc_node *n, pc_opcode op, int nv, pc_tensor *const *g, pc_tensor **gin) {
  pc_tensor *out[PC_MAX_OUT] = {NULL}, *in[6] = {g[0], g[1], IN(0), IN(1), IN(2), pc_node_out(s, n, 1)};
  if (s->rc < 0 || pc_note(s, pc_apply(op, out, in, 6, pc_node_val(n), nv)) < 0) return;
  for (int i = 0; i < 3; i++) {
    pc_own(s, out[i]);
    if (pc_needs(n, i)) gin[i] = pc_to(s, out[i], pc_node_in_dtype(n, i));
  }
}

/* (B,N,H·e) -> (B,H,N,e) and back */
static pc_tensor *split_heads(pc_scope *s, pc_tensor *t, int64_t heads) {
  if (!t) return NULL;
  pc_tensor *r = pc_reshape(s, t, 4, (int64_t[]){t->size[0], t->size[1], heads, t->size[2] / heads});
  return pc_permute(s, r, (int[]){0, 2, 1, 3});
}

static pc_tensor *join_heads(pc_scope *s, pc_tensor *t) {
  pc_tensor *r = pc_permute(s, t, (int[]){0, 2, 1, 3});
  return r ? pc_reshape(s, r, 3, (int64_t[]){r->size[0], r->size[1], r->size[2] * r->size[3]}) : NULL;
}

/* w (gw - sum over the keys of gw w) */
static pc_tensor *softmax_grad(pc_scope *s, pc_tensor *w, pc_tensor *gw) {
  pc_tensor *p = pc_mul(s, w, gw);
  if (!p) return NULL;
  pc_shape one = {.ndim = p->ndim};
  for (int i = 0; i < p->ndim; i++) one.size[i] = i == p->ndim - 1 ? 1 : p->size[i];
  return pc_sub(s, p, pc_mul(s, w, pc_sum_to(s, p, &one)));
}

BWD(attention) {
  const pc_val *val = pc_node_val(n);
  if (!pc_grad_enabled()) {
    fused(s, n, PC_OP_attention_backward, 2, g, gin);
    return;
  }
  int64_t h = val[0].set ? val[0].i : 1, e = pc_node_in_shape(n, 0)->size[2] / h;
  double scale = val[1].set ? val[1].d : e ? 1 / sqrt((double)e) : 1;
  pc_tensor *w = pc_node_out(s, n, 1), *q = split_heads(s, IN(0), h), *k = split_heads(s, IN(1), h),
            *v = split_heads(s, IN(2), h), *go = split_heads(s, g[0], h), *gw = g[1];
  if (go) {
    pc_tensor *t = pc_matmul_t(s, go, v, 0, 1);
    gw = gw ? pc_add(s, gw, t) : t;
  }
  pc_tensor *gs = pc_mul_scalar(s, softmax_grad(s, w, gw), scale);
  if (pc_needs(n, 0)) {
    pc_tensor *gq = join_heads(s, pc_matmul(s, gs, k));
    gin[0] = pc_to(s, pc_sum_to(s, gq, pc_node_in_shape(n, 0)), pc_node_in_dtype(n, 0));
  }
  if (pc_needs(n, 1)) gin[1] = pc_to(s, join_heads(s, pc_matmul_t(s, gs, q, 1, 0)), pc_node_in_dtype(n, 1));
  if (pc_needs(n, 2))
    gin[2] =
        go ? pc_to(s, join_heads(s, pc_matmul_t(s, w, go, 1, 0)), pc_node_in_dtype(n, 2)) : pc_mul_scalar(s, IN(2), 0);
}

BWD(slot_attention) {
  if (!pc_grad_enabled()) {
    fused(s, n, PC_OP_slot_attention_backward, 0, g, gin);
    return;
  }
  const pc_shape *ks = pc_node_in_shape(n, 1);
  pc_tensor *w = pc_node_out(s, n, 1), *k = IN(1), *v = IN(2), *gw = g[1];
  /* every head sees x and the whole gradient of the output: a dimension of size 1 to broadcast */
  const pc_shape *xs = pc_node_in_shape(n, 0);
  pc_tensor *x = pc_reshape(s, IN(0), 4, (int64_t[]){xs->size[0], 1, xs->size[1], xs->size[2]}), *go = NULL;
  if (g[0]) {
    go = pc_reshape(s, g[0], 4, (int64_t[]){g[0]->size[0], 1, g[0]->size[1], g[0]->size[2]});
    pc_tensor *t = pc_matmul_t(s, go, v, 0, 1);
    gw = gw ? pc_add(s, gw, t) : t;
  }
  pc_tensor *gs = softmax_grad(s, w, gw);
  if (pc_needs(n, 0)) {
    pc_shape one = {.ndim = 4, .size = {xs->size[0], 1, xs->size[1], xs->size[2]}};
    gin[0] = pc_to(s, pc_reshape(s, pc_sum_to(s, pc_matmul(s, gs, k), &one), 3, xs->size), pc_node_in_dtype(n, 0));
  }
  if (pc_needs(n, 1)) gin[1] = pc_to(s, pc_sum_to(s, pc_matmul_t(s, gs, x, 1, 0), ks), pc_node_in_dtype(n, 1));
  if (pc_needs(n, 2))
    gin[2] = go ? pc_to(s, pc_sum_to(s, pc_matmul_t(s, w, go, 1, 0), pc_node_in_shape(n, 2)), pc_node_in_dtype(n, 2))
                : pc_mul_scalar(s, v, 0);
}
