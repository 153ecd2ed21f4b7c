/* recurrent.c: the GRU cell, as Slot Attention uses it. */
#include "grad/ops_linalg.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_shape.h"
#include "nn/build.h"

/* r = s(Wr x + Ur h), z = s(Wz x + Uz h), n = tanh(Wn x + r (Un h)), h' = (1-z) n + z h;
 * the three gates are rows of one (3 hidden, in) matrix. */
static void fwd_gru(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  int64_t h = m->params[1].t->size[1];
  pc_tensor *gi = pc_linear(s, in[0], m->params[0].t, m->params[2].t);
  pc_tensor *gh = pc_linear(s, in[1], m->params[1].t, m->params[3].t);
  if (s->rc < 0) return;
  int last = gi->ndim - 1;
  pc_tensor *r = pc_op1(s, PC_OP_sigmoid, pc_add(s, pc_narrow(s, gi, last, 0, h, 1), pc_narrow(s, gh, last, 0, h, 1)));
  pc_tensor *z = pc_op1(s, PC_OP_sigmoid, pc_add(s, pc_narrow(s, gi, last, h, h, 1), pc_narrow(s, gh, last, h, h, 1)));
  pc_tensor *n = pc_op1(
      s, PC_OP_tanh, pc_add(s, pc_narrow(s, gi, last, 2 * h, h, 1), pc_mul(s, r, pc_narrow(s, gh, last, 2 * h, h, 1))));
  out[0] = pc_add(s, n, pc_mul(s, z, pc_sub(s, in[1], n)));
}

static const pc_module_class gru_class = {
    "gru_cell", 2, 2, 1, fwd_gru, NULL, "x (B,in), h (B,hidden) -> h' (B,hidden)"};

int pc_nn_gru_cell(pc_module **out, int64_t in, int64_t hidden) {
  *out = NULL;
  if (in < 1 || hidden < 1)
    return pc_fail(PC_EARG, "gru_cell: in %lld, hidden %lld: at least 1", (long long)in, (long long)hidden);
  pc_build b;
  const int64_t rows = 3 * hidden;
  pc_build_begin(&b, &gru_class, 0);
  pc_build_param(&b, "weight_ih", 2, (int64_t[]){rows, in}, PC_INIT_FAN_IN, 1, hidden, 0);
  pc_build_param(&b, "weight_hh", 2, (int64_t[]){rows, hidden}, PC_INIT_FAN_IN, 1, hidden, 0);
  pc_build_param(&b, "bias_ih", 1, &rows, PC_INIT_FAN_IN, 1, hidden, 0);
  pc_build_param(&b, "bias_hh", 1, &rows, PC_INIT_FAN_IN, 1, hidden, 0);
  return pc_build_end(&b, out);
}
