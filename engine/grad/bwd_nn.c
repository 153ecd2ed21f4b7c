/* bwd_nn.c: gradients of convolution and norms. */
#include "grad/rows.h"
#include "tensor/fused/norm.h"

#include <string.h>

#include "grad/compose.h"
#include "grad/formula.h"
#include "grad/ops_nn.h"
#include "tensor/conv/conv.h"

#define BWD(name) void pc_bwd_##name(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin)
#define IN(i)     pc_node_in(n, i)

static pc_tensor *back(pc_scope *s, const pc_node *n, int i, pc_tensor *g) {
  return pc_to(s, g, pc_node_in_dtype(n, i));
}

/* ---- convolution: each of the three is the gradient of the others ---- */

static void read_pair(int64_t out[2], const pc_val *v, int64_t otherwise) {
  out[0] = out[1] = otherwise;
  if (v->set && v->nl >= 1) {
    out[0] = v->l[0];
    out[1] = v->nl > 1 ? v->l[1] : v->l[0];
  }
}

static pc_conv_opts options(const pc_val *stride, const pc_val *padding, const pc_val *dilation, const pc_val *groups) {
  pc_conv_opts o = {.groups = groups->set ? groups->i : 1};
  read_pair(o.stride, stride, 1);
  read_pair(o.padding, padding, 0);
  read_pair(o.dilation, dilation, 1);
  return o;
}

/* Output padding that makes the transpose of small (N,h,w,·) as large as big. */
static pc_conv_opts sized(pc_conv_opts o, const int64_t *big, const int64_t *small, int64_t kh, int64_t kw) {
  o.output_padding[0] = big[1] - ((small[1] - 1) * o.stride[0] - 2 * o.padding[0] + o.dilation[0] * (kh - 1) + 1);
  o.output_padding[1] = big[2] - ((small[2] - 1) * o.stride[1] - 2 * o.padding[1] + o.dilation[1] * (kw - 1) + 1);
  return o;
}

/* Sum over all but the last dimension. */
static pc_tensor *bias_grad(pc_scope *s, const pc_node *n, int i, pc_tensor *g) {
  if (pc_grad_enabled()) return back(s, n, i, pc_sum_to(s, g, pc_node_in_shape(n, i)));
  return back(s, n, i, pc_op1(s, PC_OP_column_sums, g));
}

BWD(conv2d) {
  const pc_val *v = pc_node_val(n);
  pc_conv_opts o = options(&v[0], &v[1], &v[2], &v[3]);
  const pc_shape *xs = pc_node_in_shape(n, 0), *ws = pc_node_in_shape(n, 1);
  pc_conv_opts t = sized(o, xs->size, g[0]->size, ws->size[1], ws->size[2]);
  if (pc_needs(n, 1)) gin[1] = back(s, n, 1, pc_conv2d_weight(s, IN(0), g[0], ws->size[1], ws->size[2], &o));
  if (pc_needs(n, 2)) gin[2] = bias_grad(s, n, 2, g[0]);
  pc_node_done(n, 0);
  if (pc_needs(n, 0)) gin[0] = back(s, n, 0, pc_conv_transpose2d(s, g[0], IN(1), NULL, &t));
}

BWD(conv_transpose2d) {
  const pc_val *v = pc_node_val(n);
  pc_conv_opts o = options(&v[0], &v[1], &v[4], &v[3]);
  const pc_shape *ws = pc_node_in_shape(n, 1);
  if (pc_needs(n, 1)) gin[1] = back(s, n, 1, pc_conv2d_weight(s, g[0], IN(0), ws->size[1], ws->size[2], &o));
  if (pc_needs(n, 2)) gin[2] = bias_grad(s, n, 2, g[0]);
  pc_node_done(n, 0);
  if (pc_needs(n, 0)) gin[0] = back(s, n, 0, pc_conv2d(s, g[0], IN(1), NULL, &o));
}

/* With relu: g counts where the result is positive. By the row `op`, or the same made of ops. */
static void relu_conv(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin, pc_opcode op, int nv,
                      pc_backward_fn *plain) {
  if (pc_grad_enabled()) {
    pc_tensor *masked = pc_where(s, pc_node_sign(n), g[0], pc_number(s, 0));
    if (masked) plain(s, n, &masked, gin);
    return;
  }
  pc_tensor *in[4] = {pc_to(s, g[0], pc_node_in_dtype(n, 0)), pc_node_sign(n), IN(0), IN(1)}, *out[3];
  pc_val v[PC_CONV_VALUES] = {{0}};
  memcpy(v, pc_node_val(n), sizeof(pc_val) * (size_t)nv);
  v[PC_CONV_SIZE] = pc_vlist(4, pc_node_in_shape(n, 0)->size);
  for (int only_x = 0; only_x < 2; only_x++) { /* x may go before its gradient is made */
    int need = only_x ? pc_needs(n, 0) : pc_needs(n, 1) << 1 | pc_needs(n, 2) << 2;
    v[PC_CONV_NEED] = PC_VI(need);
    if (s->rc < 0 || (need && pc_note(s, pc_apply(op, out, in, 4, v, PC_CONV_VALUES)) < 0)) return;
    for (int i = 0; i < 3; i++)
      if (need >> i & 1) gin[i] = back(s, n, i, pc_own(s, out[i]));
    in[2] = NULL;
    if (!only_x) pc_node_done(n, 0);
  }
}

BWD(conv2d_relu) { relu_conv(s, n, g, gin, PC_OP_conv2d_relu_backward, 4, pc_bwd_conv2d); }
BWD(conv_transpose2d_relu) {
  relu_conv(s, n, g, gin, PC_OP_conv_transpose2d_relu_backward, 5, pc_bwd_conv_transpose2d);
}

BWD(conv2d_weight) {
  const pc_val *v = pc_node_val(n);
  pc_conv_opts o = options(&v[0], &v[1], &v[2], &v[3]);
  const pc_shape *xs = pc_node_in_shape(n, 0), *ys = pc_node_in_shape(n, 1);
  pc_conv_opts t = sized(o, xs->size, ys->size, g[0]->size[1], g[0]->size[2]);
  if (pc_needs(n, 0)) gin[0] = back(s, n, 0, pc_conv_transpose2d(s, IN(1), g[0], NULL, &t));
  if (pc_needs(n, 1)) gin[1] = back(s, n, 1, pc_conv2d(s, IN(0), g[0], NULL, &o));
}

/* ---- norms ---- */

/* h = (x - mean(x)) rstd; means over the dimensions that `stat` has at size 1, `count` elements each. */
static pc_tensor *normalised(pc_scope *s, pc_tensor *x, const pc_shape *stat, double count, double eps,
                             pc_tensor **rstd) {
  pc_tensor *xc = pc_sub(s, x, pc_mul_scalar(s, pc_sum_to(s, x, stat), 1 / count));
  pc_tensor *var = pc_mul_scalar(s, pc_sum_to(s, pc_mul(s, xc, xc), stat), 1 / count);
  *rstd = pc_rsqrt(s, pc_add_scalar(s, var, eps));
  return pc_mul(s, xc, *rstd);
}

/* gx = rstd (v - mean(v) - h mean(v h)), v = g w. h is also what the weight's gradient needs. */
static pc_tensor *normalised_grad(pc_scope *s, pc_tensor *x, pc_tensor *v, const pc_shape *stat, double count,
                                  double eps, pc_tensor **h) {
  pc_tensor *rstd;
  *h = normalised(s, x, stat, count, eps, &rstd);
  if (!v) return NULL;
  pc_tensor *m1 = pc_mul_scalar(s, pc_sum_to(s, v, stat), 1 / count);
  pc_tensor *m2 = pc_mul_scalar(s, pc_sum_to(s, pc_mul(s, v, *h), stat), 1 / count);
  return pc_mul(s, rstd, pc_sub(s, pc_sub(s, v, m1), pc_mul(s, *h, m2)));
}

/* One call of the fused kernel gives all three. */
static void fused(pc_scope *s, const pc_node *n, pc_opcode op, pc_tensor *g, pc_tensor **gin) {
  pc_tensor *out[PC_MAX_OUT] = {NULL}, *in[3] = {g, IN(0), pc_node_nin(n) > 1 ? IN(1) : NULL};
  if (s->rc < 0 || pc_note(s, pc_apply(op, out, in, 3, pc_node_val(n), 2)) < 0) return;
  for (int i = 0; i < 3; i++) {
    pc_own(s, out[i]);
    if (pc_needs(n, i)) gin[i] = back(s, n, i, out[i]);
  }
}

/* P(v) and B(a,b) of tensor/norm_higher.h */
static pc_tensor *first(pc_scope *s, const pc_val *v, pc_tensor *a, pc_tensor *x) {
  return pc_op(s, PC_OP_layer_norm_first, 2, (pc_tensor *[]){a, x}, 2, v, 0);
}
static pc_tensor *second(pc_scope *s, const pc_val *v, pc_tensor *a, pc_tensor *b, pc_tensor *x) {
  return pc_op(s, PC_OP_layer_norm_second, 3, (pc_tensor *[]){a, b, x}, 2, v, 0);
}

BWD(layer_norm) {
  if (!pc_grad_enabled()) {
    fused(s, n, PC_OP_layer_norm_backward, g[0], gin);
    return;
  }
  const pc_val *val = pc_node_val(n);
  pc_tensor *w = pc_node_nin(n) > 1 ? IN(1) : NULL, *x = IN(0);
  if (pc_needs(n, 0)) gin[0] = back(s, n, 0, first(s, val, w ? pc_mul(s, g[0], w) : g[0], x));
  if (pc_needs(n, 1)) {
    pc_tensor *h = pc_op(s, PC_OP_layer_norm, 3, (pc_tensor *[]){x, NULL, NULL}, 2, val, 6);
    gin[1] = back(s, n, 1, pc_sum_to(s, pc_mul(s, g[0], h), pc_node_in_shape(n, 1)));
  }
  if (pc_needs(n, 2)) gin[2] = back(s, n, 2, pc_sum_to(s, g[0], pc_node_in_shape(n, 2)));
}

/* All gradients in one pass. */
static void higher(pc_scope *s, const pc_node *n, pc_opcode op, pc_tensor *g, pc_tensor **gin) {
  pc_tensor *out[PC_MAX_OUT] = {NULL}, *in[4] = {g, IN(0), IN(1), pc_node_nin(n) > 2 ? IN(2) : NULL};
  int nin = pc_node_nin(n);
  if (s->rc < 0 || pc_note(s, pc_apply(op, out, in, nin + 1, pc_node_val(n), 2)) < 0) return;
  for (int i = 0; i < nin; i++) gin[i] = back(s, n, i, pc_own(s, out[i]));
}

BWD(layer_norm_first) {
  if (!pc_grad_enabled()) {
    higher(s, n, PC_OP_layer_norm_first_backward, g[0], gin);
    return;
  }
  const pc_val *val = pc_node_val(n);
  if (pc_needs(n, 0)) gin[0] = back(s, n, 0, first(s, val, g[0], IN(1)));
  if (pc_needs(n, 1)) gin[1] = back(s, n, 1, second(s, val, g[0], IN(0), IN(1)));
}

/* B(a,b) = -r (t_a P(b) + t_b P(a) + <a,P(b)> h / n) */
static void second_formula(pc_scope *s, const pc_val *v, pc_tensor *const *in, int nin, pc_tensor **y) {
  pc_tensor *a = in[0], *b = in[1], *x = in[2], *r;
  double count = 1, eps = v[1].set ? v[1].d : PC_NORM_EPS;
  pc_shape stat = {.ndim = x->ndim};
  for (int i = 0, inner = x->ndim - (v[0].set ? (int)v[0].i : 1); i < x->ndim; i++) {
    stat.size[i] = i < inner ? x->size[i] : 1;
    if (i >= inner) count *= (double)x->size[i];
  }
  pc_tensor *h = normalised(s, x, &stat, count, eps, &r), *pa = first(s, v, a, x), *pb = first(s, v, b, x);
  pc_tensor *ta = pc_sum_to(s, pc_mul(s, a, h), &stat), *tb = pc_sum_to(s, pc_mul(s, b, h), &stat),
            *ab = pc_sum_to(s, pc_mul(s, a, pb), &stat);
  pc_tensor *sum = pc_add(s, pc_add(s, pc_mul(s, ta, pb), pc_mul(s, tb, pa)), pc_mul(s, ab, h));
  y[0] = pc_mul_scalar(s, pc_mul(s, r, sum), -1 / count);
}

BWD(layer_norm_second) {
  if (!pc_grad_enabled()) {
    higher(s, n, PC_OP_layer_norm_second_backward, g[0], gin);
    return;
  }
  const pc_val *val = pc_node_val(n);
  pc_tensor *x = IN(2);
  if (pc_needs(n, 0)) gin[0] = back(s, n, 0, second(s, val, g[0], IN(1), x));
  if (pc_needs(n, 1)) gin[1] = back(s, n, 1, second(s, val, g[0], IN(0), x));
  if (!pc_needs(n, 2)) return;
  pc_tensor *all[3] = {NULL};
  pc_bwd_by_formula(s, n, g, all, second_formula);
  gin[2] = all[2];
}

BWD(group_norm) {
  const pc_val *val = pc_node_val(n);
  if (!pc_grad_enabled()) {
    fused(s, n, PC_OP_group_norm_backward, g[0], gin);
    return;
  }
  pc_tensor *x = IN(0), *w = pc_node_nin(n) > 1 ? IN(1) : NULL, *h;
  const pc_shape *xs = pc_node_in_shape(n, 0);
  int64_t groups = val[0].set ? val[0].i : 1, c = xs->size[xs->ndim - 1], pixels = 1;
  for (int i = 1; i < xs->ndim - 1; i++) pixels *= xs->size[i];
  const int64_t cut[4] = {xs->size[0], pixels, groups, c / groups};
  const pc_shape stat = {.ndim = 4, .size = {xs->size[0], 1, groups, 1}};
  double count = (double)(pixels * (c / groups)), eps = val[1].set ? val[1].d : PC_NORM_EPS;
  pc_tensor *v = pc_reshape(s, w ? pc_mul(s, g[0], w) : g[0], 4, cut);
  pc_tensor *gx = normalised_grad(s, pc_reshape(s, x, 4, cut), v, &stat, count, eps, &h);
  if (pc_needs(n, 0)) gin[0] = back(s, n, 0, pc_reshape(s, gx, xs->ndim, xs->size));
  if (pc_needs(n, 1)) {
    pc_tensor *gh = pc_mul(s, g[0], pc_reshape(s, h, xs->ndim, xs->size));
    gin[1] = back(s, n, 1, pc_sum_to(s, gh, pc_node_in_shape(n, 1)));
  }
  if (pc_needs(n, 2)) gin[2] = back(s, n, 2, pc_sum_to(s, g[0], pc_node_in_shape(n, 2)));
}

/* ---- losses ---- */

BWD(squared_error) {
  if (!pc_grad_enabled()) {
    pc_bwd_by_row(s, n, gin, PC_OP_squared_error_backward, 1, g, 0);
    return;
  }
  pc_tensor *gx = pc_mul(s, pc_mul_scalar(s, g[0], 2), pc_sub(s, IN(0), IN(1)));
  if (pc_needs(n, 0)) gin[0] = back(s, n, 0, gx);
  if (pc_needs(n, 1)) gin[1] = back(s, n, 1, pc_neg(s, gx));
}
