/* bwd_pointwise.c: gradients of the pointwise ops, written in ops again. Where a
 * fused kernel exists it is used as long as nobody records. */
#include "grad/rows.h"

#include <math.h>
#include <string.h>

#include "grad/ops_pointwise.h"

#define BWD(name) void pc_bwd_##name(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin)
#define IN(i)     pc_node_in(n, i)
#define OUT()     pc_node_out(s, n, 0)

/* The gradient of input i: broadcasting undone, in the input's dtype. */
static pc_tensor *fold(pc_scope *s, const pc_node *n, int i, pc_tensor *g) {
  return pc_to(s, pc_sum_to(s, g, pc_node_in_shape(n, i)), pc_node_in_dtype(n, i));
}

static pc_tensor *zero(pc_scope *s) { return pc_number(s, 0); }

/* ---- two operands ---- */

BWD(add) {
  if (pc_needs(n, 0)) gin[0] = fold(s, n, 0, g[0]);
  if (pc_needs(n, 1)) gin[1] = fold(s, n, 1, g[0]);
}

BWD(sub) {
  if (pc_needs(n, 0)) gin[0] = fold(s, n, 0, g[0]);
  if (pc_needs(n, 1)) gin[1] = pc_neg(s, fold(s, n, 1, g[0]));
}

BWD(mul) {
  if (pc_needs(n, 0)) gin[0] = fold(s, n, 0, pc_mul(s, g[0], IN(1)));
  if (pc_needs(n, 1)) gin[1] = fold(s, n, 1, pc_mul(s, g[0], IN(0)));
}

BWD(div) { /* d(a/b) = da/b - (a/b) db/b */
  pc_tensor *ga = pc_div(s, g[0], IN(1));
  if (pc_needs(n, 0)) gin[0] = fold(s, n, 0, ga);
  if (pc_needs(n, 1)) gin[1] = pc_neg(s, fold(s, n, 1, pc_mul(s, ga, pc_div(s, IN(0), IN(1)))));
}

/* d(a^b) = b a^(b-1) da + a^b log(a) db. At b == 0 the first term is 0 whatever a is; at
 * a == 0 the second one is 0 unless b is negative, as in PyTorch. */
BWD(pow) {
  pc_tensor *a = IN(0), *b = IN(1);
  if (pc_needs(n, 0)) {
    pc_tensor *d;
    if (b->ndim == 0 && !pc_requires_grad(b)) {
      double p = pc_item(b);
      d = p == 0   ? pc_mul_scalar(s, g[0], 0)
          : p == 1 ? g[0]
                   : pc_mul(s, g[0], pc_mul_scalar(s, pc_pow_scalar(s, a, p - 1), p));
    } else {
      pc_tensor *slope = pc_mul(s, b, pc_pow(s, a, pc_add_scalar(s, b, -1)));
      d = pc_mul(s, g[0], pc_where(s, pc_eq(s, b, zero(s)), zero(s), slope));
    }
    gin[0] = fold(s, n, 0, d);
  }
  if (pc_needs(n, 1)) {
    pc_tensor *is0 = pc_logical_and(s, pc_eq(s, a, zero(s)), pc_ge(s, b, zero(s))),
              *safe = pc_where(s, is0, pc_number(s, 1), a);
    gin[1] = fold(s, n, 1, pc_mul(s, g[0], pc_mul(s, pc_pow(s, a, b), pc_log(s, safe))));
  }
}

/* wins, loses: comparisons that say whose gradient it is; a tie is shared */
static void extremum(pc_scope *s, const pc_node *n, pc_tensor *g, pc_tensor **gin, pc_tensor *first) {
  pc_tensor *tie = pc_eq(s, IN(0), IN(1)), *half = pc_mul_scalar(s, g, 0.5);
  if (pc_needs(n, 0)) gin[0] = fold(s, n, 0, pc_where(s, tie, half, pc_where(s, first, g, zero(s))));
  if (pc_needs(n, 1)) gin[1] = fold(s, n, 1, pc_where(s, tie, half, pc_where(s, first, zero(s), g)));
}
BWD(maximum) { extremum(s, n, g[0], gin, pc_gt(s, IN(0), IN(1))); }
BWD(minimum) { extremum(s, n, g[0], gin, pc_lt(s, IN(0), IN(1))); }

/* a mod b = a - b * whole, and whole does not move */
static void modulo(pc_scope *s, const pc_node *n, pc_tensor *g, pc_tensor **gin, pc_tensor *whole) {
  if (pc_needs(n, 0)) gin[0] = fold(s, n, 0, g);
  if (pc_needs(n, 1)) gin[1] = pc_neg(s, fold(s, n, 1, pc_mul(s, g, whole)));
}
BWD(fmod) { modulo(s, n, g[0], gin, pc_trunc(s, pc_div(s, IN(0), IN(1)))); }
BWD(remainder) { modulo(s, n, g[0], gin, pc_floor(s, pc_div(s, IN(0), IN(1)))); }

BWD(lerp) {
  if (pc_needs(n, 0)) gin[0] = fold(s, n, 0, pc_mul(s, g[0], pc_rsub_scalar(s, 1, IN(2))));
  if (pc_needs(n, 1)) gin[1] = fold(s, n, 1, pc_mul(s, g[0], IN(2)));
  if (pc_needs(n, 2)) gin[2] = fold(s, n, 2, pc_mul(s, g[0], pc_sub(s, IN(1), IN(0))));
}

BWD(where) {
  if (pc_needs(n, 1)) gin[1] = fold(s, n, 1, pc_where(s, IN(0), g[0], zero(s)));
  if (pc_needs(n, 2)) gin[2] = fold(s, n, 2, pc_where(s, IN(0), zero(s), g[0]));
}

BWD(masked_fill) { gin[0] = pc_masked_fill(s, g[0], IN(1), 0); }

/* ---- one operand: g times the derivative ---- */

BWD(neg) { gin[0] = pc_neg(s, g[0]); }
BWD(exp) { gin[0] = pc_mul(s, g[0], OUT()); }
BWD(log) { gin[0] = pc_div(s, g[0], IN(0)); }
BWD(log1p) { gin[0] = pc_div(s, g[0], pc_add_scalar(s, IN(0), 1)); }
BWD(expm1) { gin[0] = pc_mul(s, g[0], pc_add_scalar(s, OUT(), 1)); }
BWD(sqrt) { gin[0] = pc_div(s, pc_mul_scalar(s, g[0], 0.5), OUT()); }
BWD(rsqrt) { gin[0] = pc_mul(s, pc_mul_scalar(s, g[0], -0.5), pc_pow_scalar(s, OUT(), 3)); }
BWD(square) { gin[0] = pc_mul(s, pc_mul_scalar(s, g[0], 2), IN(0)); }
BWD(reciprocal) { gin[0] = pc_neg(s, pc_mul(s, g[0], pc_square(s, OUT()))); }
BWD(abs) { gin[0] = pc_mul(s, g[0], pc_sign(s, IN(0))); }
BWD(sin) { gin[0] = pc_mul(s, g[0], pc_cos(s, IN(0))); }
BWD(cos) { gin[0] = pc_neg(s, pc_mul(s, g[0], pc_sin(s, IN(0)))); }
BWD(tan) { gin[0] = pc_mul(s, g[0], pc_add_scalar(s, pc_square(s, OUT()), 1)); }
BWD(asin) { gin[0] = pc_mul(s, g[0], pc_rsqrt(s, pc_rsub_scalar(s, 1, pc_square(s, IN(0))))); }
BWD(acos) { gin[0] = pc_neg(s, pc_mul(s, g[0], pc_rsqrt(s, pc_rsub_scalar(s, 1, pc_square(s, IN(0)))))); }
BWD(atan) { gin[0] = pc_div(s, g[0], pc_add_scalar(s, pc_square(s, IN(0)), 1)); }
BWD(sinh) { gin[0] = pc_mul(s, g[0], pc_cosh(s, IN(0))); }
BWD(cosh) { gin[0] = pc_mul(s, g[0], pc_sinh(s, IN(0))); }
BWD(erf) { /* 2/sqrt(pi) exp(-x^2) */
  gin[0] = pc_mul(s, pc_mul_scalar(s, g[0], 1.1283791670955126), pc_exp(s, pc_neg(s, pc_square(s, IN(0)))));
}

BWD(flat) { /* a step function: 0 everywhere but at the steps */
  pc_tensor *z = NULL;
  pc_note(s, pc_tensor_zeros(&z, (pc_dtype)g[0]->dtype, g[0]->ndim, g[0]->size));
  gin[0] = pc_own(s, z);
}

BWD(to) { gin[0] = pc_to(s, g[0], pc_node_in_dtype(n, 0)); }
BWD(copy) { gin[0] = g[0]; }

/* ---- activations ---- */

static double arg(const pc_node *n, int k, double otherwise) {
  const pc_val *v = pc_node_val(n);
  return v && v[k].set ? v[k].d : otherwise;
}

/* The fused kernel, when nobody will differentiate the result; NULL otherwise. */
static pc_tensor *fused(pc_scope *s, const pc_node *n, pc_act kind, pc_tensor *g, pc_tensor *t, double p, double q) {
  const pc_val v[] = {PC_VI(kind), PC_VD(p), PC_VD(q), PC_VI(1)};
  if (pc_grad_enabled() || !g || !t || g->dtype != t->dtype) return NULL;
  return pc_op(s, PC_OP_act_backward, 2, (pc_tensor *[]){g, t}, 4, v, 0);
}
/* Returns from the backward function when the fused kernel did the work. */
#define TRY_FUSED(kind, t, p, q) \
  if (!pc_grad_enabled() && (gin[0] = fused(s, n, kind, g[0], t, p, q))) return

static pc_tensor *pick(pc_scope *s, pc_tensor *mask, pc_tensor *g) { return pc_where(s, mask, g, zero(s)); }

BWD(clamp) {
  double lo = arg(n, 0, -INFINITY), hi = arg(n, 1, INFINITY);
  pc_tensor *x = IN(0);
  TRY_FUSED(PC_ACT_CLAMP, x, lo, hi);
  pc_tensor *inside = pc_logical_and(s, pc_ge(s, x, pc_number(s, lo)), pc_le(s, x, pc_number(s, hi)));
  gin[0] = pick(s, inside, g[0]);
}

BWD(relu) {
  pc_tensor *y = OUT();
  TRY_FUSED(PC_ACT_RELU, y, 0, 0);
  gin[0] = pick(s, pc_gt(s, y, zero(s)), g[0]);
}

BWD(leaky_relu) {
  double slope = arg(n, 0, 0.01);
  TRY_FUSED(PC_ACT_LEAKY_RELU, IN(0), slope, 0);
  gin[0] = pc_where(s, pc_lt(s, IN(0), zero(s)), pc_mul_scalar(s, g[0], slope), g[0]);
}

BWD(elu) {
  double alpha = arg(n, 0, 1);
  pc_tensor *x = IN(0);
  TRY_FUSED(PC_ACT_ELU, x, alpha, 0);
  pc_tensor *e = pc_mul_scalar(s, pc_exp(s, pc_clamp(s, x, -INFINITY, 0)), alpha);
  gin[0] = pc_where(s, pc_lt(s, x, zero(s)), pc_mul(s, g[0], e), g[0]);
}

BWD(sigmoid) {
  pc_tensor *y = OUT();
  TRY_FUSED(PC_ACT_SIGMOID, y, 0, 0);
  gin[0] = pc_mul(s, g[0], pc_mul(s, y, pc_rsub_scalar(s, 1, y)));
}

BWD(tanh) {
  pc_tensor *y = OUT();
  TRY_FUSED(PC_ACT_TANH, y, 0, 0);
  gin[0] = pc_mul(s, g[0], pc_rsub_scalar(s, 1, pc_square(s, y)));
}

BWD(silu) { /* s(x) (1 + x (1 - s(x))) */
  pc_tensor *x = IN(0);
  TRY_FUSED(PC_ACT_SILU, x, 0, 0);
  pc_tensor *sg = pc_sigmoid(s, x);
  gin[0] = pc_mul(s, g[0], pc_mul(s, sg, pc_add_scalar(s, pc_mul(s, x, pc_rsub_scalar(s, 1, sg)), 1)));
}

BWD(softplus) {
  double beta = arg(n, 0, 1), threshold = arg(n, 1, 20);
  pc_tensor *x = IN(0);
  TRY_FUSED(PC_ACT_SOFTPLUS, x, beta, threshold);
  pc_tensor *bx = beta == 1 ? x : pc_mul_scalar(s, x, beta);
  if (pc_node_in_dtype(n, 0) == PC_F32 && threshold >= 17) { /* the sigmoid is 1 there: exp(-17) < 2^-24 */
    gin[0] = pc_mul(s, g[0], pc_sigmoid(s, bx));
    return;
  }
  gin[0] = pc_where(s, pc_gt(s, bx, pc_number(s, threshold)), g[0], pc_mul(s, g[0], pc_sigmoid(s, bx)));
}

/* a gelu^(order)(x) */
static pc_tensor *gelu_derivative(pc_scope *s, pc_tensor *a, pc_tensor *x, int64_t order) {
  return pc_op(s, PC_OP_gelu_derivative, 2, (pc_tensor *[]){a, x}, 1, &PC_VI(order), 0);
}

/* y = x/2 (1 + t), t = tanh(u), u = c0 (x + c1 x^3): (1 + t)/2 + x/2 (1 - t^2) c0 (1 + 3 c1 x^2) */
static pc_tensor *gelu_tanh_slope(pc_scope *s, pc_tensor *x) {
  const double c0 = 0.7978845608028654, c1 = 0.044715;
  pc_tensor *x2 = pc_clamp(s, pc_square(s, x), 0, 1e30); /* beyond, 1 - t^2 is 0, and infinity times 0 is not */
  pc_tensor *u = pc_mul(s, pc_mul_scalar(s, x, c0), pc_add_scalar(s, pc_mul_scalar(s, x2, c1), 1));
  pc_tensor *t = pc_tanh(s, u), *du = pc_mul_scalar(s, pc_add_scalar(s, pc_mul_scalar(s, x2, 3 * c1), 1), c0);
  pc_tensor *dt = pc_mul(s, pc_rsub_scalar(s, 1, pc_square(s, t)), du);
  return pc_mul_scalar(s, pc_add(s, pc_add_scalar(s, t, 1), pc_mul(s, x, dt)), 0.5);
}

BWD(gelu) {
  const pc_val *v = pc_node_val(n);
  int approximate = v && v[0].set && v[0].s && !strcmp(v[0].s, "tanh");
  pc_tensor *x = IN(0);
  TRY_FUSED(approximate ? PC_ACT_GELU_TANH : PC_ACT_GELU, x, 0, 0);
  gin[0] = approximate ? pc_mul(s, g[0], gelu_tanh_slope(s, x))
                       : gelu_derivative(s, pc_to(s, g[0], pc_node_in_dtype(n, 0)), x, 1);
}

BWD(gelu_derivative) {
  int64_t order = pc_node_val(n)[0].set ? pc_node_val(n)[0].i : 1;
  pc_tensor *a = IN(0), *x = IN(1);
  if (!pc_grad_enabled() && pc_needs(n, 0) && pc_needs(n, 1)) {
    pc_tensor *out[PC_MAX_OUT] = {NULL}, *in[3] = {g[0], a, x};
    if (s->rc < 0 || pc_note(s, pc_apply(PC_OP_gelu_derivative_backward, out, in, 3, pc_node_val(n), 1)) < 0) return;
    for (int i = 0; i < 2; i++) gin[i] = pc_own(s, out[i]);
    return;
  }
  if (pc_needs(n, 0)) gin[0] = gelu_derivative(s, g[0], x, order);
  if (pc_needs(n, 1)) gin[1] = gelu_derivative(s, pc_mul(s, g[0], a), x, order + 1);
}

BWD(dropout) {
  double p = arg(n, 0, 0.5);
  const pc_val *v = pc_node_val(n);
  int off = p == 0 || (v && v[1].set && !v[1].i);
  if (!g[0]) return;
  gin[0] = off ? g[0] : pick(s, pc_node_out(s, n, 1), pc_mul_scalar(s, g[0], p < 1 ? 1 / (1 - p) : 0));
}
