/* test_ops.c: one table drives every op through its cases: first- and second-
 * order gradients against differences in float64. Backends: test_backends.c. */
#include <stdlib.h>

#include "check_main.h"
#include "engine/grad/calls.h"
#include "options.h"

#define CHECK(...) WITH(pc_gradcheck_opts, PC_GRADCHECK_OPTIONS, __VA_ARGS__)

static int run_op(void *ctx, pc_tensor *const *x, int nx, pc_tensor **y) {
  call *c = ctx;
  pc_tensor *out[PC_MAX_GRADS];
  int rc = pc_apply(c->op, out, x, nx, c->v, c->nv);
  *y = NULL;
  if (rc < 0) return rc;
  for (int k = 0; k < pc_ops[c->op].nout; k++) {
    if (k == c->which)
      *y = out[k];
    else
      pc_tensor_release(out[k]);
  }
  return PC_OK;
}

static int output_is_float(call *c) {
  pc_tensor *y;
  must(run_op(c, c->in, c->nin, &y));
  int f = y && y->dtype == PC_F64; /* differences need it */
  pc_tensor_release(y);
  return f;
}

START_TEST(gradients) {
  pc_opcode op = (pc_opcode)_i;
  const pc_op_info *row = &pc_ops[op];
  for (int k = 0; k < table[op].n; k++) {
    call c;
    build(&c, op, &table[op].cases[k], PC_F64, !(row->flags & PC_NODIFF));
    for (c.which = 0; c.which < row->nout; c.which++) {
      if (!output_is_float(&c) || row->flags & PC_NODIFF) continue;
      pc_gradcheck_opts o = CHECK(.rtol = row->tol, .second_order = (row->flags & PC_SMOOTH) != 0);
      int rc = pc_gradcheck(run_op, &c, c.in, c.nin, &o);
      ck_assert_msg(rc == PC_OK, "%s, case %d, output %d: %s", row->name, k + 1, c.which + 1, pc_error_text());
    }
    drop(&c);
  }
}
END_TEST

int main(void) {
  Suite *s = suite_create("ops");
  TCase *tc = tcase_create("table");
  tcase_set_timeout(tc, 120);
  tcase_add_loop_test(tc, gradients, 0, PC_OP_COUNT);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
