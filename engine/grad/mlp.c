/* mlp.c: the op mlp (tensor/mlp.h) for C callers, its formula, and its gradients. */
#include "grad/rows.h"
#include "grad/compose.h"
#include "grad/formula.h"
#include "grad/ops_nn.h"
#include "grad/ops_pointwise.h"
#include "tensor/fused/norm.h"

enum { MAX_IN = PC_MLP_W + 2 * PC_MLP_MAX };

pc_tensor *pc_activation_op(pc_scope *s, pc_activation f, pc_tensor *x) {
  static const pc_opcode ops[] = {[PC_ACTIVATION_relu] = PC_OP_relu,
                                  [PC_ACTIVATION_gelu] = PC_OP_gelu,
                                  [PC_ACTIVATION_silu] = PC_OP_silu,
                                  [PC_ACTIVATION_elu] = PC_OP_elu,
                                  [PC_ACTIVATION_leaky_relu] = PC_OP_leaky_relu,
                                  [PC_ACTIVATION_tanh] = PC_OP_tanh,
                                  [PC_ACTIVATION_sigmoid] = PC_OP_sigmoid};
  switch (f) {
    case PC_ACTIVATION_none: return x;
    case PC_ACTIVATION_gelu_tanh: return pc_gelu_tanh(s, x);
    case PC_ACTIVATION_quick_gelu: /* x sigmoid(c x) = silu(c x) / c */
      return pc_mul_scalar(s, pc_op1(s, PC_OP_silu, pc_mul_scalar(s, x, 1.702)), 1 / 1.702);
    default: return pc_op1(s, ops[f], x);
  }
}

static int inputs(pc_tensor **in, pc_tensor *x, const pc_mlp_form *f) {
  in[PC_MLP_X] = x;
  in[PC_MLP_GAMMA] = f->norm ? f->norm_weight : NULL;
  in[PC_MLP_BETA] = f->norm ? f->norm_bias : NULL;
  for (int i = 0; i < f->n; i++) {
    in[PC_MLP_W + 2 * i] = f->weight[i];
    in[PC_MLP_W + 2 * i + 1] = f->bias[i];
  }
  return PC_MLP_W + 2 * f->n;
}

pc_tensor *pc_mlp_run(pc_scope *s, pc_tensor *x, const pc_mlp_form *f) {
  pc_tensor *in[MAX_IN], *out[PC_MAX_OUT] = {NULL};
  if (s->rc < 0) return NULL;
  if (!x || f->n < 1 || f->n > PC_MLP_MAX)
    return pc_note(s, pc_fail(PC_EARG, "mlp: an input and 1 to %d layers are needed, not %d", PC_MLP_MAX, f->n)), NULL;
  if (pc_higher_order()) return pc_mlp_composed(s, x, f, NULL);
  int nin = inputs(in, x, f), keep = 0, weights = 0;
  for (int i = 0; i < nin; i++) {
    if (!in[i] && i >= PC_MLP_W && !((i - PC_MLP_W) & 1))
      return pc_note(s, pc_fail(PC_EARG, "mlp: weight %d is missing", (i - PC_MLP_W) / 2 + 1)), NULL;
    int wants = pc_grad_enabled() && pc_requires_grad(in[i]);
    keep |= wants;
    weights |= wants && i >= PC_MLP_W;
  }
  const pc_val v[PC_MLP_VALUES] = {PC_VI(f->act),      PC_VI(f->last_act),
                                   PC_VI(f->residual), PC_VI(f->norm != 0),
                                   PC_VD(f->eps),      PC_VI(keep && !f->recompute ? weights ? 1 : 2 : 0)};
  if (pc_note(s, pc_apply(PC_OP_mlp, out, in, nin, v, PC_MLP_VALUES)) < 0) return NULL;
  pc_tensor_release(out[1]);
  return pc_own(s, out[0]);
}

pc_tensor *pc_mlp_composed(pc_scope *s, pc_tensor *x, const pc_mlp_form *f, pc_tensor **p) {
  pc_tensor *a = f->norm ? pc_layer_norm(s, x, f->norm_weight, f->norm_bias, 1, f->eps) : x, *flat[PC_MLP_MAX];
  int n = 0;
  for (int i = 0; i < f->n; i++) {
    a = pc_linear(s, a, f->weight[i], f->bias[i]);
    if (i + 1 == f->n && !f->last_act) break;
    if (p && a) flat[n++] = pc_reshape(s, a, 1, (int64_t[]){pc_numel(a)});
    a = pc_activation_op(s, f->act, a);
  }
  if (p) *p = n && s->rc == PC_OK ? pc_cat(s, n, flat, 0) : NULL;
  return f->residual ? pc_add(s, x, a) : a;
}

/* ---- gradients ---- */

static void formula(pc_scope *s, const pc_val *v, pc_tensor *const *in, int nin, pc_tensor **y) {
  pc_mlp_form f = {.n = (nin - PC_MLP_W) / 2,
                   .norm = v[PC_MLP_NORM].i != 0,
                   .norm_weight = in[PC_MLP_GAMMA],
                   .norm_bias = in[PC_MLP_BETA],
                   .eps = v[PC_MLP_EPS].set ? v[PC_MLP_EPS].d : PC_NORM_EPS,
                   .act = (pc_activation)v[PC_MLP_ACT].i,
                   .last_act = v[PC_MLP_LAST_ACT].i != 0,
                   .residual = v[PC_MLP_RESIDUAL].i != 0};
  for (int i = 0; i < f.n; i++) {
    f.weight[i] = in[PC_MLP_W + 2 * i];
    f.bias[i] = in[PC_MLP_W + 2 * i + 1];
  }
  y[0] = pc_mlp_composed(s, in[PC_MLP_X], &f, v[PC_MLP_KEEP].i == 1 ? &y[1] : NULL);
}

void pc_bwd_mlp(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin) {
  if (pc_grad_enabled() || g[1]) {
    pc_bwd_by_formula(s, n, g, gin, formula);
    return;
  }
  pc_tensor *first[2] = {g[0], pc_node_out(s, n, 1)};
  pc_bwd_by_row(s, n, gin, PC_OP_mlp_backward, 2, first, PC_MLP_VALUES);
}
