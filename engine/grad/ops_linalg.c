#include "grad/ops_linalg.h"

#include <stddef.h>

pc_tensor *pc_matmul(pc_scope *s, pc_tensor *a, pc_tensor *b) { return pc_op2(s, PC_OP_matmul, a, b); }
pc_tensor *pc_matmul_t(pc_scope *s, pc_tensor *a, pc_tensor *b, int ta, int tb) {
  const pc_val v[2] = {PC_VI(ta), PC_VI(tb)};
  return pc_op(s, PC_OP_matmul_t, 2, (pc_tensor *[]){a, b}, 2, v, 0);
}
pc_tensor *pc_rows_product(pc_scope *s, pc_tensor *x, pc_tensor *y) { return pc_op2(s, PC_OP_rows_product, x, y); }
pc_tensor *pc_bmm(pc_scope *s, pc_tensor *a, pc_tensor *b) { return pc_op2(s, PC_OP_bmm, a, b); }
pc_tensor *pc_linear(pc_scope *s, pc_tensor *x, pc_tensor *weight, pc_tensor *bias) {
  return pc_op(s, PC_OP_linear, 3, (pc_tensor *[]){x, weight, bias}, 0, NULL, 4);
}

pc_tensor *pc_inverse(pc_scope *s, pc_tensor *a) { return pc_op1(s, PC_OP_inverse, a); }
pc_tensor *pc_solve(pc_scope *s, pc_tensor *a, pc_tensor *b) { return pc_op2(s, PC_OP_solve, a, b); }
