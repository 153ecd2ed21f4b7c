/* test_attention.c: the attention module in its two orders: textbook for many
 * keys, projections folded into the keys for few; both give the same outputs,
 * weights and gradients. */
#include <stdio.h>

#include "engine/tensor/brute.h"

#include "grad/ops_linalg.h"
#include "grad/ops_nn.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"
#include "nn/layers.h"

enum { WIDTH = 12, KV = 10, INNER = 32, HEADS = 4, PARAMS = 8 };

static pc_tensor *project(pc_scope *s, pc_module *m, const char *name, pc_tensor *x) {
  char weight[64], bias[64];
  snprintf(weight, sizeof weight, "%s.weight", name);
  snprintf(bias, sizeof bias, "%s.bias", name);
  return pc_linear(s, x, pc_module_get(m, weight), pc_module_get(m, bias));
}

/* The textbook's order, from the module's own parameters. */
static pc_tensor *textbook(pc_scope *s, pc_module *m, pc_tensor *x, pc_tensor *c, pc_tensor **w) {
  pc_tensor *q = project(s, m, "q", x), *k = project(s, m, "k", c), *v = project(s, m, "v", c);
  if (q && k && q->size[0] < k->size[0]) q = pc_expand(s, q, 3, (int64_t[]){k->size[0], -1, -1});
  return project(s, m, "o", pc_attention(s, q, k, v, HEADS, 0, w));
}

static pc_tensor *loss(pc_scope *s, pc_tensor *y, pc_tensor *w) {
  return pc_add(s, pc_mean(s, pc_square(s, y), 0, NULL, 0), pc_mean(s, pc_square(s, w), 0, NULL, 0));
}

START_TEST(orders_agree) {
  static const struct {
    int64_t bx, b, n, m;
  } t[] = {{2, 2, 64, 3}, {1, 3, 64, 3}, {2, 2, 5, 3}, {2, 2, 6, 40}, {3, 1, 16, 2}, {0, 0, 64, 3}};
  static const char *const names[PARAMS] = {"q.weight", "k.weight", "v.weight", "o.weight",
                                            "o.bias",   "q.bias",   "k.bias",   "v.bias"};
  pc_module *m;
  int params = _i ? PARAMS : PARAMS - 3;
  must(pc_nn_attention(&m, WIDTH, HEADS,
                       &PC_OPTIONS_WITH(pc_attention_opts, PC_ATTENTION_OPTIONS, .context = PC_GIVEN(KV),
                                        .inner = PC_GIVEN(INNER), .bias = _i)));
  for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
    pc_tensor *x = rnd(PC_F32, SIZES(t[i].bx, t[i].n, WIDTH)), *c = rnd(PC_F32, SIZES(t[i].b, t[i].m, KV)),
              *p[PARAMS + 1], *g[2][PARAMS + 1] = {{NULL}}, *y[2], *w[2];
    must(pc_set_requires_grad(x, 1));
    for (int k = 0; k < params; k++) p[k] = pc_module_get(m, names[k]);
    p[params] = x;
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
      must(pc_grad(g[k], &l, NULL, 1, p, params + 1, NULL));
    }
    if (g[1][0]) {
      same(y[0], y[1], 1e-4, "output");
      same(w[0], w[1], 1e-5, "weights");
    }
    for (int k = 0; k <= params; k++) {
      if (g[1][k]) same(g[0][k], g[1][k], 1e-4, k < params ? names[k] : "x");
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

typedef struct parameters {
  pc_tensor *t[40];
  const char *name[40];
  int n;
} parameters;

static int collect(void *ctx, const char *path, pc_parameter *p) {
  parameters *all = ctx;
  for (int64_t i = 0; i < pc_numel(p->t) && strstr(path, "norm"); i++) pc_f32(p->t)[i] += 0.1F * (float)(i % 5);
  all->name[all->n] = strdup(path);
  all->t[all->n++] = p->t;
  return PC_OK;
}

static pc_tensor *normal_rows(pc_scope *s, pc_module *m, const char *name, pc_tensor *x) {
  char weight[64], bias[64];
  snprintf(weight, sizeof weight, "%s.weight", name);
  snprintf(bias, sizeof bias, "%s.bias", name);
  return pc_layer_norm(s, x, pc_module_get(m, weight), pc_module_get(m, bias), 1, PC_NORM_EPS);
}

/* A block as its parts say, one op at a time. */
static pc_tensor *block_by_hand(pc_scope *s, pc_module *m, pc_tensor *x, pc_tensor *c, pc_tensor **w) {
  pc_tensor *none;
  if (c) x = pc_add(s, x, textbook(s, pc_module_child(m, "cross"), normal_rows(s, m, "norm_cross", x), c, w));
  if (pc_module_child(m, "self")) {
    pc_tensor *n = normal_rows(s, m, "norm_self", x);
    x = pc_add(s, x, textbook(s, pc_module_child(m, "self"), n, n, c ? &none : w));
  }
  pc_tensor *h = project(s, m, "ff.1", normal_rows(s, m, "norm_ff", x));
  return pc_add(s, x, project(s, m, "ff.3", pc_op1(s, PC_OP_gelu, h)));
}

/* Fused blocks against that: outputs, weights, all gradients; first with the gradient of the
 * weights, too; and gradients of gradients. */
START_TEST(blocks_by_hand) {
  static const struct {
    int64_t bx, b, n, m, inner;
    int cross, self;
  } t[] = {{2, 2, 65, 3, 32, 1, 0}, {1, 3, 63, 3, 32, 1, 0}, {1, 7, 65, 1, 20, 1, 1},
           {3, 3, 3, 63, 0, 1, 1},  {2, 2, 7, 0, 0, 0, 1},   {300, 300, 8, 1, 32, 1, 0}};
  parameters all = {.n = 0};
  pc_module *m;
  pc_block_opts o = {.self_attention = t[_i].self, .ff = PC_GIVEN(33)};
  if (t[_i].cross) o.context = (pc_maybe_int64)PC_GIVEN(20);
  if (t[_i].inner) o.inner = (pc_maybe_int64)PC_GIVEN(t[_i].inner);
  must(pc_nn_block(&m, WIDTH, HEADS, &o));
  must(pc_module_each(m, collect, &all));
  pc_tensor *x = rnd(PC_F32, SIZES(t[_i].bx, t[_i].n, WIDTH)),
            *c = t[_i].cross ? rnd(PC_F32, SIZES(t[_i].b, t[_i].m, 20)) : NULL, *g[2][40], *second[2];
  all.name[all.n] = strdup("x");
  all.t[all.n++] = x;
  if (c) all.name[all.n] = strdup("context"), all.t[all.n++] = c;
  for (int i = all.n - 2; i < all.n; i++) must(pc_set_requires_grad(all.t[i], 1));
  pc_scope s = {0};
  pc_tensor *y[2], *w[2];
  for (int k = 0; k < 2; k++) {
    pc_tensor *in[2] = {x, c}, *out[PC_MAX_OUT] = {NULL};
    if (k == 0)
      pc_module_run(&s, m, in, c ? 2 : 1, out);
    else
      out[0] = block_by_hand(&s, m, x, c, &out[1]);
    must(s.rc);
    y[k] = out[0];
    w[k] = out[1];
    pc_tensor *l = loss(&s, y[k], w[k]), *gx;
    must(pc_grad(g[k], &l, NULL, 1, all.t, all.n, &(pc_grad_opts){.retain_graph = 1}));
    must(pc_grad(&gx, &l, NULL, 1, &x, 1, &(pc_grad_opts){.create_graph = 1}));
    pc_tensor *norm = pc_sum(&s, pc_square(&s, pc_own(&s, gx)), 0, NULL, 0), *p = all.t[3];
    must(pc_grad(&second[k], &norm, NULL, 1, &p, 1, NULL));
  }
  same(y[0], y[1], 1e-4, "output");
  same(w[0], w[1], 1e-5, "weights");
  same(second[0], second[1], 1e-4, "second order");
  for (int i = 0; i < all.n; i++) {
    same(g[0][i], g[1][i], 2e-4, all.name[i]);
    for (int k = 0; k < 2; k++) pc_tensor_release(g[k][i]);
    free((char *)all.name[i]);
  }
  for (int k = 0; k < 2; k++) pc_tensor_release(second[k]);
  pc_scope_end(&s, NULL, 0);
  pc_tensor_release(x);
  pc_tensor_release(c);
  pc_module_release(m);
}
END_TEST

int main(void) {
  Suite *s = suite_create("nn attention");
  TCase *tc = tcase_create("attention");
  tcase_add_loop_test(tc, orders_agree, 0, 2);
  tcase_add_loop_test(tc, blocks_by_hand, 0, 6);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
