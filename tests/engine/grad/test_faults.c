/* test_faults.c: every op, forward and backward, with each of its allocations
 * failing in turn, once and with all that follow: an error, no crash, nothing kept. */
#include <stdlib.h>

#include "check_main.h"
#include "base/alloc.h"
#include "engine/grad/calls.h"

/* Forward, then the gradient of each float output for the inputs that want one. */
static int attempt(call *c, int create_graph) {
  pc_tensor *out[PC_MAX_GRADS] = {NULL}, *want[MAX_IN], *g[MAX_IN] = {NULL};
  int nw = 0, rc = pc_apply(c->op, out, c->in, c->nin, c->v, c->nv);
  for (int i = 0; i < c->nin; i++)
    if (pc_requires_grad(c->in[i])) want[nw++] = c->in[i];
  for (int k = 0; k < pc_ops[c->op].nout && rc == PC_OK; k++) {
    pc_tensor *gy;
    if (!nw || !pc_requires_grad(out[k])) continue;
    if ((rc = pc_tensor_full(&gy, (pc_dtype)out[k]->dtype, out[k]->ndim, out[k]->size, 1)) < 0) break;
    pc_grad_opts o = {.allow_unused = 1, .retain_graph = 1, .create_graph = create_graph};
    rc = pc_grad(g, &out[k], &gy, 1, want, nw, &o);
    pc_tensor_release(gy);
    for (int i = 0; i < nw; i++) {
      pc_tensor_release(g[i]);
      g[i] = NULL;
    }
  }
  for (int k = 0; k < pc_ops[c->op].nout; k++) {
    if (rc < 0 && out[k] && !out[k]->refs) ck_abort_msg("%s: an output is dead", pc_ops[c->op].name);
    pc_tensor_release(out[k]);
  }
  return rc;
}

static int64_t live(void) {
  pc_alloc_stats st;
  pc_alloc_get_stats(&st);
  return st.live;
}

START_TEST(allocations_fail) {
  pc_opcode op = (pc_opcode)_i;
  for (int k = 0; k < table[op].n; k++)
    for (int way = 0; way < 4; way++) {
      int graph = way & 1, sign = way & 2 ? -1 : 1; /* once alone, then with all that follow */
      call c;
      build(&c, op, &table[op].cases[k], PC_F64, !(pc_ops[op].flags & PC_NODIFF));
      must(attempt(&c, graph)); /* leaves get what they keep */
      int64_t before = live();
      /* an op may do without some buffer: only three successes in a row are the end */
      for (int64_t nth = 1, fine = 0; fine < 3; nth++) {
        pc_alloc_fail_nth(sign * nth);
        int rc = attempt(&c, graph);
        pc_alloc_fail_nth(0);
        if (live() != before)
          ck_abort_msg("%s, case %d: %lld bytes kept after allocation %lld failed", pc_ops[op].name, k + 1,
                       (long long)(live() - before), (long long)nth);
        fine = rc == PC_OK ? fine + 1 : 0;
        if (rc < 0 && rc != PC_ENOMEM)
          ck_abort_msg("%s, case %d: code %d: %s", pc_ops[op].name, k + 1, rc, pc_error_text());
      }
      drop(&c);
    }
}
END_TEST

int main(void) {
  Suite *s = suite_create("op faults");
  TCase *tc = tcase_create("allocations");
  tcase_set_timeout(tc, 120);
  tcase_add_loop_test(tc, allocations_fail, 0, PC_OP_COUNT);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
