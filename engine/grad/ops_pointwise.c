#include "grad/ops_pointwise.h"

#include <math.h>

#include "grad/ops_reduce.h"

#define X(name) \
  pc_tensor *pc_##name(pc_scope *s, pc_tensor *a, pc_tensor *b) { return pc_op2(s, PC_OP_##name, a, b); }
PC_ARITH_MAP(X)
PC_COMPARE_MAP(X)
#undef X
#define X(name) \
  pc_tensor *pc_##name(pc_scope *s, pc_tensor *x) { return pc_op1(s, PC_OP_##name, x); }
PC_UNARY_MAP(X)
PC_REAL_MAP(X)
PC_TEST_MAP(X)
#undef X

pc_tensor *pc_number(pc_scope *s, double c) {
  pc_tensor *t = NULL;
  if (s->rc < 0 || pc_note(s, pc_tensor_scalar(&t, PC_F64, c)) < 0) return NULL;
  t->weak = 1;
  return pc_own(s, t);
}

pc_tensor *pc_add_scalar(pc_scope *s, pc_tensor *x, double c) { return pc_add(s, x, pc_number(s, c)); }
pc_tensor *pc_mul_scalar(pc_scope *s, pc_tensor *x, double c) { return pc_mul(s, x, pc_number(s, c)); }
pc_tensor *pc_rsub_scalar(pc_scope *s, double c, pc_tensor *x) { return pc_sub(s, pc_number(s, c), x); }
pc_tensor *pc_pow_scalar(pc_scope *s, pc_tensor *x, double c) { return pc_pow(s, x, pc_number(s, c)); }

static pc_tensor *unary(pc_scope *s, pc_opcode op, pc_tensor *x, int nv, const pc_val *v) {
  return pc_op(s, op, 1, &x, nv, v, 0);
}

pc_tensor *pc_clamp(pc_scope *s, pc_tensor *x, double lo, double hi) {
  const pc_val v[2] = {{.set = !isinf(lo), .d = lo}, {.set = !isinf(hi), .d = hi}};
  return unary(s, PC_OP_clamp, x, 2, v);
}
pc_tensor *pc_gelu_tanh(pc_scope *s, pc_tensor *x) {
  return unary(s, PC_OP_gelu, x, 1, &(pc_val){.set = 1, .s = "tanh"});
}
pc_tensor *pc_where(pc_scope *s, pc_tensor *cond, pc_tensor *x, pc_tensor *other) {
  return pc_op(s, PC_OP_where, 3, (pc_tensor *[]){cond, x, other}, 0, NULL, 0);
}
pc_tensor *pc_masked_fill(pc_scope *s, pc_tensor *x, pc_tensor *mask, double value) {
  return pc_op(s, PC_OP_masked_fill, 2, (pc_tensor *[]){x, mask}, 1, &PC_VD(value), 0);
}
pc_tensor *pc_dropout(pc_scope *s, pc_tensor *x, double p, int training) {
  const pc_val v[2] = {PC_VD(p), PC_VI(training)};
  return unary(s, PC_OP_dropout, x, 2, v);
}
pc_tensor *pc_to(pc_scope *s, pc_tensor *x, pc_dtype d) {
  if (x && x->dtype == d) return x;
  return unary(s, PC_OP_to, x, 1, &PC_VI(d));
}
pc_tensor *pc_cloned(pc_scope *s, pc_tensor *x) { return pc_op1(s, PC_OP_clone, x); }

/* ---- the way back from broadcasting ---- */

pc_tensor *pc_sum_to(pc_scope *s, pc_tensor *g, const pc_shape *shape) {
  int lead[PC_MAX_DIM], ones[PC_MAX_DIM];
  int nlead = 0, nones = 0;
  if (!g) return NULL;
  for (int i = 0; i < g->ndim; i++) {
    int j = i - (g->ndim - shape->ndim);
    if (j < 0)
      lead[nlead++] = i;
    else if (shape->size[j] == 1 && g->size[i] != 1)
      ones[nones++] = j; /* counted after the leading ones are gone */
  }
  if (nlead) g = pc_sum(s, g, nlead, lead, 0);
  return nones ? pc_sum(s, g, nones, ones, 1) : g;
}
