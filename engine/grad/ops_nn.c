#include "grad/ops_nn.h"

#include <stddef.h>

static pc_val pair(const int64_t p[2], int64_t least) {
  return pc_vlist(2, (int64_t[]){p[0] > least ? p[0] : least, p[1] > least ? p[1] : least});
}

static const pc_conv_opts plain;

pc_tensor *pc_conv2d(pc_scope *s, pc_tensor *x, pc_tensor *weight, pc_tensor *bias, const pc_conv_opts *o) {
  if (!o) o = &plain;
  const pc_val v[4] = {pair(o->stride, 1), pair(o->padding, 0), pair(o->dilation, 1), PC_VI(o->groups ? o->groups : 1)};
  return pc_op(s, o->relu ? PC_OP_conv2d_relu : PC_OP_conv2d, 3, (pc_tensor *[]){x, weight, bias}, 4, v, 4);
}

pc_tensor *pc_conv_transpose2d(pc_scope *s, pc_tensor *x, pc_tensor *weight, pc_tensor *bias, const pc_conv_opts *o) {
  if (!o) o = &plain;
  const pc_val v[5] = {pair(o->stride, 1), pair(o->padding, 0), pair(o->output_padding, 0),
                       PC_VI(o->groups ? o->groups : 1), pair(o->dilation, 1)};
  return pc_op(s, o->relu ? PC_OP_conv_transpose2d_relu : PC_OP_conv_transpose2d, 3, (pc_tensor *[]){x, weight, bias},
               5, v, 4);
}

pc_tensor *pc_conv2d_weight(pc_scope *s, pc_tensor *x, pc_tensor *gy, int64_t kh, int64_t kw, const pc_conv_opts *o) {
  if (!o) o = &plain;
  const pc_val v[5] = {pair(o->stride, 1), pair(o->padding, 0), pair(o->dilation, 1), PC_VI(o->groups ? o->groups : 1),
                       pc_vlist(2, (int64_t[]){kh, kw})};
  return pc_op(s, PC_OP_conv2d_weight, 2, (pc_tensor *[]){x, gy}, 5, v, 0);
}

pc_tensor *pc_layer_norm(pc_scope *s, pc_tensor *x, pc_tensor *weight, pc_tensor *bias, int dims, double eps) {
  const pc_val v[2] = {PC_VI(dims), PC_VD(eps)};
  return pc_op(s, PC_OP_layer_norm, 3, (pc_tensor *[]){x, weight, bias}, 2, v, 6);
}

pc_tensor *pc_group_norm(pc_scope *s, pc_tensor *x, int groups, pc_tensor *weight, pc_tensor *bias, double eps) {
  const pc_val v[2] = {PC_VI(groups), PC_VD(eps)};
  return pc_op(s, PC_OP_group_norm, 3, (pc_tensor *[]){x, weight, bias}, 2, v, 6);
}

/* Two results: the first is returned, the second goes to *w if wanted. */
static pc_tensor *attend(pc_scope *s, pc_opcode op, int nin, pc_tensor *const *in, int nv, const pc_val *v,
                         pc_tensor **w) {
  pc_tensor *out[PC_MAX_OUT] = {NULL};
  if (w) *w = NULL;
  if (s->rc < 0) return NULL;
  for (int i = 0; i < 3; i++)
    if (!in[i]) return pc_note(s, pc_fail(PC_EARG, "%s: operand %d is missing", pc_ops[op].name, i + 1)), NULL;
  if (pc_note(s, pc_apply(op, out, in, nin, v, nv)) < 0) return NULL;
  pc_tensor *weights = pc_own(s, out[1]);
  if (w) *w = weights;
  return pc_own(s, out[0]);
}

pc_tensor *pc_attention(pc_scope *s, pc_tensor *q, pc_tensor *k, pc_tensor *v, int heads, double scale, pc_tensor **w) {
  const pc_val val[2] = {PC_VI(heads), {.set = scale != 0, .d = scale}};
  return attend(s, PC_OP_attention, 3, (pc_tensor *[]){q, k, v}, 2, val, w);
}

pc_tensor *pc_slot_attention(pc_scope *s, pc_tensor *x, pc_tensor *k, pc_tensor *v, const pc_slot_form *f,
                             pc_tensor **w) {
  static const pc_slot_form bare;
  if (!f) f = &bare;
  const pc_val val[PC_SLOT_VALUES] = {PC_VI(f->norm != 0), PC_VD(f->eps), PC_VI(f->residual != 0)};
  pc_tensor *in[PC_SLOT_INPUTS] = {x, k, v, f->c, f->bias};
  if (s->rc == PC_OK && x && k && v && pc_higher_order()) {
    pc_tensor *y[2];
    pc_slot_attention_composed(s, val, in, PC_SLOT_INPUTS, y);
    if (w) *w = y[1];
    return y[0];
  }
  return attend(s, PC_OP_slot_attention, PC_SLOT_INPUTS, in, PC_SLOT_VALUES, val, w);
}

pc_tensor *pc_composite(pc_scope *s, pc_tensor *x, int sigmoid, pc_tensor **masks) {
  pc_tensor *out[PC_MAX_OUT] = {NULL};
  const pc_val mode = {.set = 1, .s = sigmoid ? "sigmoid" : "softmax"};
  if (masks) *masks = NULL;
  if (s->rc < 0 || !x || pc_note(s, pc_apply(PC_OP_composite, out, &x, 1, &mode, 1)) < 0) return NULL;
  pc_tensor *m = pc_own(s, out[1]);
  if (masks) *masks = m;
  return pc_own(s, out[0]);
}
