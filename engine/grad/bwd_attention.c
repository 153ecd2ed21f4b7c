/* bwd_attention.c: gradients of attention and slot_attention. For attention, with w = softmax(S), O = W V:
 *   gW = gO V' + gw,  gS = w (gW - sum_m gW w),  gQ = gS K,  gK = gS' Q,  gV = W' gO */
#include <math.h>

#include "grad/rows.h"
#include "grad/compose.h"
#include "grad/formula.h"
#include "grad/ops_nn.h"
#include "grad/ops_reduce.h"
#include "tensor/fused/norm.h"

#define BWD(name) void pc_bwd_##name(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin)
#define IN(i)     pc_node_in(n, i)

static void fused(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin) {
  pc_tensor *out[PC_MAX_OUT] = {NULL}, *in[6] = {g[0], g[1], IN(0), IN(1), IN(2), NULL};
  if (s->rc < 0 || pc_note(s, pc_apply(PC_OP_attention_backward, out, in, 6, pc_node_val(n), 2)) < 0) return;
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
    fused(s, n, g, gin);
    return;
  }
  int64_t h = val[0].set ? val[0].i : 1, e = pc_node_in_shape(n, 0)->size[2] / h;
  double scale = val[1].set ? val[1].d : e ? 1 / sqrt((double)e) : 1;
  pc_tensor *q = split_heads(s, IN(0), h), *k = split_heads(s, IN(1), h), *v = split_heads(s, IN(2), h),
            *go = split_heads(s, g[0], h), *gw = g[1];
  pc_tensor *w = pc_softmax(s, pc_mul_scalar(s, pc_matmul_t(s, q, k, 0, 1), scale), 3);
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

/* ---- slot attention ---- */

/* With the heads' keys side by side, scores and contexts of an image are one product each. */
void pc_slot_attention_composed(pc_scope *s, const pc_val *v, pc_tensor *const *in, int nin, pc_tensor **y) {
  pc_tensor *x = in[PC_SLOT_X], *k = in[PC_SLOT_K], *val = in[PC_SLOT_V], *c = nin > PC_SLOT_C ? in[PC_SLOT_C] : NULL,
            *bias = nin > PC_SLOT_BIAS ? in[PC_SLOT_BIAS] : NULL;
  double eps = v[PC_SLOT_EPS].set ? v[PC_SLOT_EPS].d : PC_NORM_EPS;
  int64_t b = k->size[0], h = k->size[1], m = k->size[2], n = x->size[1];
  pc_tensor *g = v[PC_SLOT_NORM].i ? pc_layer_norm(s, x, NULL, NULL, 1, eps) : x;
  pc_tensor *scores = pc_matmul_t(s, g, pc_reshape(s, k, 3, (int64_t[]){b, h * m, k->size[3]}), 0, 1);
  if (c) scores = pc_add(s, scores, pc_reshape(s, c, 3, (int64_t[]){b, 1, h * m}));
  pc_tensor *w = pc_softmax(s, pc_reshape(s, scores, 4, (int64_t[]){b, n, h, m}), 3);
  pc_tensor *flat = pc_reshape(s, w, 3, (int64_t[]){b, n, h * m});
  pc_tensor *out = pc_matmul(s, flat, pc_reshape(s, val, 3, (int64_t[]){b, h * m, val->size[3]}));
  if (bias) out = pc_add(s, out, bias);
  y[0] = v[PC_SLOT_RESIDUAL].i ? pc_add(s, x, out) : out;
  y[1] = pc_transpose(s, w, 1, 2);
}

BWD(slot_attention) {
  if (pc_grad_enabled()) {
    pc_bwd_by_formula(s, n, g, gin, pc_slot_attention_composed);
    return;
  }
  pc_tensor *first[3] = {g[0], g[1], pc_node_out(s, n, 1)};
  pc_bwd_by_row(s, n, gin, PC_OP_slot_attention_backward, 3, first, PC_SLOT_VALUES);
}
