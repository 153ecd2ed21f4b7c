/* test_attention.c: the attention module in its two orders: textbook for many
 * keys, projections folded into the keys for few; both give the same outputs,
 * weights and gradients. */
#include "engine/tensor/brute.h"

#include "grad/ops_linalg.h"
#include "grad/ops_nn.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "nn/layers.h"

enum { WIDTH = 12, KV = 10, INNER = 32, HEADS = 4, PARAMS = 5 };

/* The textbook's order, from the module's own parameters. */
static pc_tensor *textbook(pc_scope *s, pc_module *m, pc_tensor *x, pc_tensor *c, pc_tensor **w) {
  pc_tensor *q = pc_linear(s, x, pc_module_get(m, "q.weight"), NULL),
            *k = pc_linear(s, c, pc_module_get(m, "k.weight"), NULL),
            *v = pc_linear(s, c, pc_module_get(m, "v.weight"), NULL);
  return pc_linear(s, pc_attention(s, q, k, v, HEADS, 0, w), pc_module_get(m, "o.weight"), pc_module_get(m, "o.bias"));
}

static pc_tensor *loss(pc_scope *s, pc_tensor *y, pc_tensor *w) {
  return pc_add(s, pc_mean(s, pc_square(s, y), 0, NULL, 0), pc_mean(s, pc_square(s, w), 0, NULL, 0));
}

START_TEST(orders_agree) {
  static const struct {
    int64_t bx, b, n, m;
  } t[] = {{2, 2, 64, 3}, {1, 3, 64, 3}, {2, 2, 5, 3}, {2, 2, 6, 40}, {3, 1, 16, 2}, {0, 0, 64, 3}};
  static const char *const names[PARAMS] = {"q.weight", "k.weight", "v.weight", "o.weight", "o.bias"};
  pc_module *m;
  must(pc_nn_attention(&m, WIDTH, KV, HEADS, &(pc_attention_opts){.inner = INNER}));
  for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
    pc_tensor *x = rnd(PC_F32, SIZES(t[i].bx, t[i].n, WIDTH)), *c = rnd(PC_F32, SIZES(t[i].b, t[i].m, KV)),
              *p[PARAMS + 1], *g[2][PARAMS + 1] = {{NULL}}, *y[2], *w[2];
    must(pc_set_requires_grad(x, 1));
    for (int k = 0; k < PARAMS; k++) p[k] = pc_module_get(m, names[k]);
    p[PARAMS] = x;
    pc_scope s = {0};
    for (int k = 0; k < 2; k++) {
      pc_tensor *out[PC_MAX_OUT] = {NULL}, *in[2] = {x, c};
      if (k == 0) {
        pc_module_run(&s, m, in, 2, out);
      } else if (t[i].b == 1 && t[i].bx > 1) { /* one context for all */
        break;
      } else {
        out[0] = textbook(&s, m, x, c, &out[1]);
      }
      ck_assert_msg(s.rc == PC_OK, "%s", pc_error_text());
      y[k] = out[0];
      w[k] = out[1];
      pc_tensor *l = t[i].b ? loss(&s, y[k], w[k]) : pc_sum(&s, y[k], 0, NULL, 0);
      must(pc_grad(g[k], &l, NULL, 1, p, PARAMS + 1, NULL));
    }
    if (g[1][0]) {
      same(y[0], y[1], 1e-4, "output");
      same(w[0], w[1], 1e-5, "weights");
    }
    for (int k = 0; k <= PARAMS; k++) {
      if (g[1][k]) same(g[0][k], g[1][k], 1e-4, k < PARAMS ? names[k] : "x");
      pc_tensor_release(g[0][k]);
      pc_tensor_release(g[1][k]);
    }
    pc_scope_end(&s, NULL, 0);
    pc_tensor_release(x);
    pc_tensor_release(c);
  }
  pc_module_release(m);
}
END_TEST

int main(void) {
  Suite *s = suite_create("nn attention");
  TCase *tc = tcase_create("attention");
  tcase_add_test(tc, orders_agree);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
