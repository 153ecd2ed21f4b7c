/* ops_pointwise.h: the pointwise ops as typed C functions in a scope (op.h):
 * results are borrowed from s, NULL after an error. Broadcasting and dtypes: see
 * tensor/pointwise.h. pc_number(s, c) makes a number that takes part in no
 * promotion: pc_gt(s, x, pc_number(s, 0)). */
#ifndef PC_GRAD_OPS_POINTWISE_H
#define PC_GRAD_OPS_POINTWISE_H

#include "grad/op.h"
#include "tensor/pointwise/pointwise.h"

#define X(name) pc_tensor *pc_##name(pc_scope *s, pc_tensor *a, pc_tensor *b);
PC_ARITH_MAP(X)
PC_COMPARE_MAP(X)
#undef X
#define X(name) pc_tensor *pc_##name(pc_scope *s, pc_tensor *x);
PC_UNARY_MAP(X)
PC_REAL_MAP(X)
PC_TEST_MAP(X)
#undef X

pc_tensor *pc_number(pc_scope *s, double c);
pc_tensor *pc_add_scalar(pc_scope *s, pc_tensor *x, double c);  /* x + c */
pc_tensor *pc_mul_scalar(pc_scope *s, pc_tensor *x, double c);  /* x * c */
pc_tensor *pc_rsub_scalar(pc_scope *s, double c, pc_tensor *x); /* c - x */
pc_tensor *pc_pow_scalar(pc_scope *s, pc_tensor *x, double c);  /* x ^ c */

pc_tensor *pc_clamp(pc_scope *s, pc_tensor *x, double lo, double hi); /* -INFINITY, INFINITY: no bound */
pc_tensor *pc_gelu_tanh(pc_scope *s, pc_tensor *x);
pc_tensor *pc_where(pc_scope *s, pc_tensor *cond, pc_tensor *x, pc_tensor *other);
pc_tensor *pc_masked_fill(pc_scope *s, pc_tensor *x, pc_tensor *mask, double value);
pc_tensor *pc_dropout(pc_scope *s, pc_tensor *x, double p, int training);
pc_tensor *pc_to(pc_scope *s, pc_tensor *x, pc_dtype d);
pc_tensor *pc_cloned(pc_scope *s, pc_tensor *x); /* op clone */

/* Sums g over the dimensions in which `shape` was broadcast to g's shape; g itself when there is none. */
pc_tensor *pc_sum_to(pc_scope *s, pc_tensor *g, const pc_shape *shape);

#endif
