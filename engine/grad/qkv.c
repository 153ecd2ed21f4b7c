/* qkv.c: the op qkv (tensor/qkv.h) for C callers, its formula, and its gradients. */
#include "grad/rows.h"
#include "grad/compose.h"
#include "grad/formula.h"
#include "grad/ops_nn.h"
#include "tensor/fused/norm.h"

static void formula(pc_scope *s, const pc_val *v, pc_tensor *const *in, int nin, pc_tensor **y) {
  pc_tensor *h = in[PC_QKV_X];
  if (v[PC_QKV_NORM].i)
    h = pc_layer_norm(s, h, in[PC_QKV_GAMMA], in[PC_QKV_BETA], 1, v[PC_QKV_EPS].set ? v[PC_QKV_EPS].d : PC_NORM_EPS);
  for (int i = 0; i < PC_QKV; i++) y[i] = pc_linear(s, h, in[PC_QKV_W + 2 * i], in[PC_QKV_W + 2 * i + 1]);
}

void pc_qkv_run(pc_scope *s, pc_tensor *x, const pc_qkv_form *f, pc_tensor **y) {
  pc_tensor *in[PC_QKV_INPUTS] = {x, f->norm_weight, f->norm_bias}, *out[PC_MAX_OUT] = {NULL};
  const pc_val v[PC_QKV_VALUES] = {PC_VI(f->norm != 0), PC_VD(f->eps)};
  for (int i = 0; i < PC_QKV; i++) {
    y[i] = NULL;
    in[PC_QKV_W + 2 * i] = f->weight[i];
    in[PC_QKV_W + 2 * i + 1] = f->bias[i];
  }
  if (s->rc == PC_OK && x && pc_higher_order()) {
    formula(s, v, in, PC_QKV_INPUTS, y);
    return;
  }
  if (s->rc < 0 || !x || pc_note(s, pc_apply(PC_OP_qkv, out, in, PC_QKV_INPUTS, v, PC_QKV_VALUES)) < 0) return;
  for (int i = 0; i < PC_QKV; i++) y[i] = pc_own(s, out[i]);
}

void pc_bwd_qkv(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin) {
  if (pc_grad_enabled() || !g[0] || !g[1] || !g[2]) {
    pc_bwd_by_formula(s, n, g, gin, formula);
    return;
  }
  pc_bwd_by_row(s, n, gin, PC_OP_qkv_backward, PC_QKV, g, PC_QKV_VALUES);
}
