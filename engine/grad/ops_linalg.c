#include "grad/ops_linalg.h"

#include <stddef.h>

pc_tensor *pc_matmul(pc_scope *s, pc_tensor *a, pc_tensor *b) { return pc_op2(s, PC_OP_matmul, a, b); }
pc_tensor *pc_matmul_t(pc_scope *s, pc_tensor *a, pc_tensor *b, int ta, int tb) {
  const pc_val v[2] = {PC_VI(ta), PC_VI(tb)};
  return pc_op(s, PC_OP_matmul_t, 2, (pc_tensor *[]){a, b}, 2, v, 0);
}
pc_tensor *pc_rows_product(pc_scope *s, pc_tensor *x, pc_tensor *y) { return pc_op2(s, PC_OP_rows_product, x, y); }
pc_tensor *pc_bmm(pc_scope *s, pc_tensor *a, pc_tensor *b) { return pc_op2(s, PC_OP_bmm, a, b); }
pc_tensor *pc_dot(pc_scope *s, pc_tensor *a, pc_tensor *b) { return pc_op2(s, PC_OP_dot, a, b); }
pc_tensor *pc_outer(pc_scope *s, pc_tensor *a, pc_tensor *b) { return pc_op2(s, PC_OP_outer, a, b); }
pc_tensor *pc_addmm(pc_scope *s, pc_tensor *input, pc_tensor *mat1, pc_tensor *mat2, double beta, double alpha) {
  const pc_val v[2] = {PC_VD(beta), PC_VD(alpha)};
  return pc_op(s, PC_OP_addmm, 3, (pc_tensor *[]){input, mat1, mat2}, 2, v, 0);
}
pc_tensor *pc_linear(pc_scope *s, pc_tensor *x, pc_tensor *weight, pc_tensor *bias) {
  return pc_op(s, PC_OP_linear, 3, (pc_tensor *[]){x, weight, bias}, 0, NULL, 4);
}

pc_tensor *pc_inverse(pc_scope *s, pc_tensor *a) { return pc_op1(s, PC_OP_inverse, a); }
pc_tensor *pc_solve(pc_scope *s, pc_tensor *a, pc_tensor *b) { return pc_op2(s, PC_OP_solve, a, b); }
pc_tensor *pc_cholesky(pc_scope *s, pc_tensor *a) { return pc_op1(s, PC_OP_cholesky, a); }
pc_tensor *pc_lstsq(pc_scope *s, pc_tensor *a, pc_tensor *b) { return pc_op2(s, PC_OP_lstsq, a, b); }
pc_tensor *pc_pinv(pc_scope *s, pc_tensor *a) { return pc_op1(s, PC_OP_pinv, a); }
pc_tensor *pc_det(pc_scope *s, pc_tensor *a) { return pc_op1(s, PC_OP_det, a); }
pc_tensor *pc_logdet(pc_scope *s, pc_tensor *a) { return pc_op1(s, PC_OP_logdet, a); }

/* All outputs of an op of one matrix into the scope. */
static int several(pc_scope *s, pc_opcode op, pc_tensor *a, int nv, const pc_val *v, pc_tensor **out) {
  for (int i = 0; i < PC_MAX_OUT; i++) out[i] = NULL;
  if (s->rc < 0) return 0;
  if (!a) return pc_note(s, pc_fail(PC_EARG, "%s: operand 1 is missing", pc_ops[op].name)), 0;
  if (pc_note(s, pc_apply(op, out, &a, 1, v, nv)) < 0) return 0;
  for (int i = 0; i < pc_ops[op].nout; i++) out[i] = pc_own(s, out[i]);
  return 1;
}

pc_tensor *pc_eigh(pc_scope *s, pc_tensor *a, pc_tensor **v) {
  pc_tensor *out[PC_MAX_OUT];
  several(s, PC_OP_eigh, a, 0, NULL, out);
  if (v) *v = out[1];
  return out[0];
}

pc_tensor *pc_svd(pc_scope *s, pc_tensor *a, int full_matrices, pc_tensor **u, pc_tensor **vh) {
  pc_tensor *out[PC_MAX_OUT];
  several(s, PC_OP_svd, a, 1, &PC_VI(full_matrices), out);
  if (u) *u = out[0];
  if (vh) *vh = out[2];
  return out[1];
}

pc_tensor *pc_qr(pc_scope *s, pc_tensor *a, pc_tensor **r) {
  pc_tensor *out[PC_MAX_OUT];
  several(s, PC_OP_qr, a, 0, NULL, out);
  if (r) *r = out[1];
  return out[0];
}
