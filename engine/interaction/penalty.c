#include "interaction/penalty.h"

#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"

pc_tensor *pc_interaction_attention(pc_scope *s, pc_tensor *a) {
  if (!a) {
    pc_note(s, s->rc < 0 ? s->rc : pc_fail(PC_EARG, "interaction: this decoder gives no slot attention"));
    return NULL;
  }
  if (a->ndim != 3) {
    pc_note(s, pc_fail(PC_ESHAPE, "interaction: attention must be (B,Q,K), got %s", pc_shape_str(a)));
    return NULL;
  }
  double rows = (double)(a->size[0] * a->size[1]);
  pc_tensor *sum = pc_sum(s, a, 1, (int[]){2}, 0);
  pc_tensor *pairs = pc_sub(s, pc_op1(s, PC_OP_square, sum), pc_sum(s, pc_op1(s, PC_OP_square, a), 1, (int[]){2}, 0));
  return pc_mul_scalar(s, pc_sum(s, pairs, 0, NULL, 0), 0.5 / (rows > 0 ? rows : 1));
}
