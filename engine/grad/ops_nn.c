#include "grad/ops_nn.h"

static pc_val pair(const int64_t p[2], int64_t least) {
  return pc_vlist(2, (int64_t[]){p[0] > least ? p[0] : least, p[1] > least ? p[1] : least});
}

static const pc_conv_opts plain;

pc_tensor *pc_conv2d(pc_scope *s, pc_tensor *x, pc_tensor *weight, pc_tensor *bias, const pc_conv_opts *o) {
  if (!o) o = &plain;
  const pc_val v[4] = {pair(o->stride, 1), pair(o->padding, 0), pair(o->dilation, 1), PC_VI(o->groups ? o->groups : 1)};
  return pc_op(s, PC_OP_conv2d, 3, (pc_tensor *[]){x, weight, bias}, 4, v, 4);
}

pc_tensor *pc_conv_transpose2d(pc_scope *s, pc_tensor *x, pc_tensor *weight, pc_tensor *bias, const pc_conv_opts *o) {
  if (!o) o = &plain;
  const pc_val v[5] = {pair(o->stride, 1), pair(o->padding, 0), pair(o->output_padding, 0),
                       PC_VI(o->groups ? o->groups : 1), pair(o->dilation, 1)};
  return pc_op(s, PC_OP_conv_transpose2d, 3, (pc_tensor *[]){x, weight, bias}, 5, v, 4);
}

pc_tensor *pc_conv2d_weight(pc_scope *s, pc_tensor *x, pc_tensor *gy, int64_t kh, int64_t kw, const pc_conv_opts *o) {
  if (!o) o = &plain;
  const pc_val v[5] = {pair(o->stride, 1), pair(o->padding, 0), pair(o->dilation, 1), PC_VI(o->groups ? o->groups : 1),
                       pc_vlist(2, (int64_t[]){kh, kw})};
  return pc_op(s, PC_OP_conv2d_weight, 2, (pc_tensor *[]){x, gy}, 5, v, 0);
}

pc_tensor *pc_layer_norm(pc_scope *s, pc_tensor *x, pc_tensor *weight, pc_tensor *bias, int dims, double eps) {
  const pc_val v[2] = {PC_VI(dims), PC_VD(eps > 0 ? eps : 1e-5)};
  return pc_op(s, PC_OP_layer_norm, 3, (pc_tensor *[]){x, weight, bias}, 2, v, 6);
}

pc_tensor *pc_group_norm(pc_scope *s, pc_tensor *x, int groups, pc_tensor *weight, pc_tensor *bias, double eps) {
  const pc_val v[2] = {PC_VI(groups), PC_VD(eps > 0 ? eps : 1e-5)};
  return pc_op(s, PC_OP_group_norm, 3, (pc_tensor *[]){x, weight, bias}, 2, v, 6);
}
