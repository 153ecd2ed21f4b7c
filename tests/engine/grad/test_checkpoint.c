/* test_checkpoint.c: recompute in backward: the same values and gradients to second order, weights noticed,
 * random numbers repeated, memory, messages, faults. */
#include "base/alloc.h"
#include "base/rng.h"
#include "check_main.h"
#include "grad/checkpoint.h"
#include "grad/ops_linalg.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"

typedef struct net {
  pc_tensor *w; /* (4,4) */
  double drop;
  int depth, runs, released, bad; /* bad: 1 other shapes, 2 fewer results when it runs again */
} net;

/* y = tanh(x w) depth times, and x's row sums; b may be NULL */
static int run(void *ctx, pc_tensor *const *in, int nin, pc_tensor **out, int *nout) {
  net *n = ctx;
  pc_scope s = {0};
  n->runs++;
  pc_tensor *y = in[0];
  for (int i = 0; i < n->depth; i++) y = pc_op1(&s, PC_OP_tanh, pc_linear(&s, y, n->w, NULL));
  if (nin > 1 && in[1]) y = pc_mul(&s, y, in[1]);
  if (n->drop > 0) y = pc_dropout(&s, y, n->drop, 1);
  out[0] = n->bad == 1 && n->runs > 1 ? pc_narrow(&s, y, 0, 0, 1, 1) : y;
  out[1] = pc_sum(&s, in[0], 1, (int[]){1}, 0);
  *nout = n->bad == 2 && n->runs > 1 ? 1 : 2;
  int rc = pc_scope_end(&s, out, *nout);
  if (*nout == 1) out[1] = NULL;
  if (rc < 0) *nout = 0;
  return rc;
}

static void released(void *ctx) { ((net *)ctx)->released++; }

static pc_tensor *normal(uint64_t seed, int64_t rows, int64_t columns, int wants) {
  pc_tensor *t;
  pc_rng g = {0};
  pc_rng_seed(&g, seed);
  must(pc_tensor_empty(&t, PC_F64, 2, (int64_t[]){rows, columns}));
  pc_rng_fill_normal_f64(&g, pc_f64(t), rows * columns);
  must(pc_set_requires_grad(t, wants));
  return t;
}

static int call(net *n, int checkpointed, pc_tensor *const *in, int nin, pc_tensor **out) {
  int nout;
  out[0] = out[1] = NULL;
  return checkpointed ? pc_checkpoint(out, &nout, in, nin, (pc_recompute){n, run, released})
                      : run(n, in, nin, out, &nout);
}

/* sum of y^2 and 3 sums, and its gradients with respect to x, b, w; second: of the gradient's square */
static int everything(net *n, int checkpointed, pc_tensor *const *in, int nin, int second, pc_tensor **g,
                      double *value) {
  pc_tensor *out[PC_MAX_OUT], *x[3] = {in[0], n->w, nin > 1 ? in[1] : NULL}, *first[3] = {NULL};
  int nx = nin > 1 ? 3 : 2, rc = call(n, checkpointed, in, nin, out);
  if (rc < 0) return rc;
  pc_scope s = {0};
  pc_tensor *y = pc_add(&s, pc_sum(&s, pc_mul(&s, out[0], out[0]), 0, NULL, 0),
                        pc_mul_scalar(&s, pc_sum(&s, pc_mul(&s, out[1], out[1]), 0, NULL, 0), 3));
  if (s.rc == PC_OK) *value = pc_f64(y)[0];
  rc = s.rc < 0 ? s.rc : pc_grad(second ? first : g, &y, NULL, 1, x, nx, &(pc_grad_opts){.create_graph = second});
  if (rc == PC_OK && second) {
    pc_tensor *sum = NULL;
    for (int i = 0; i < nx; i++) {
      pc_tensor *q = pc_sum(&s, pc_mul(&s, first[i], first[i]), 0, NULL, 0);
      sum = sum ? pc_add(&s, sum, q) : q;
    }
    rc = s.rc < 0 ? s.rc : pc_grad(g, &sum, NULL, 1, x, nx, NULL);
  }
  for (int i = 0; i < 3; i++) pc_tensor_release(first[i]);
  for (int k = 0; k < 2; k++) pc_tensor_release(out[k]);
  pc_note(&s, rc);
  return pc_scope_end(&s, NULL, 0);
}

static void compare(net *n, pc_tensor *const *in, int nin, int second) {
  pc_tensor *g[2][3] = {{NULL}};
  double value[2];
  for (int c = 0; c < 2; c++) {
    pc_rng_seed(pc_rng_global(), 5);
    must(everything(n, c, in, nin, second, g[c], &value[c]));
  }
  close_to(value[0], value[1], 0);
  for (int i = 0; i < (nin > 1 ? 3 : 2); i++) {
    ck_assert(pc_same_shape(g[0][i], g[1][i]));
    for (int64_t k = 0; k < pc_numel(g[0][i]); k++) close_to(pc_at(g[0][i], k), pc_at(g[1][i], k), 1e-11);
    for (int c = 0; c < 2; c++) pc_tensor_release(g[c][i]);
  }
}

START_TEST(same_values_and_gradients) {
  net n = {.w = normal(1, 4, 4, 1), .depth = 2};
  pc_tensor *in[2] = {normal(2, 3, 4, 1), normal(3, 3, 4, 1)};
  compare(&n, in, 1, 0);
  compare(&n, in, 2, 0);
  compare(&n, in, 2, 1);
  n.drop = 0.4;
  compare(&n, in, 2, 0);
  compare(&n, in, 2, 1);
  ck_assert_int_eq(n.released, 5);
  ck_assert_ptr_null(pc_grad_get(n.w));
  pc_tensor_release(in[0]);
  pc_tensor_release(in[1]);
  pc_tensor_release(n.w);
}
END_TEST

/* backward() to leaves; what does not want a gradient gets none; nothing recorded when nothing wants one. */
START_TEST(leaves) {
  net n = {.w = normal(1, 4, 4, 1), .depth = 2};
  pc_tensor *x = normal(2, 3, 4, 0), *out[PC_MAX_OUT], *gy, *plain;
  must(pc_tensor_full(&gy, PC_F64, 2, (int64_t[]){3, 4}, 1));
  for (int c = 0; c < 2; c++) {
    must(call(&n, c, &x, 1, out));
    must(pc_backward(out[0], gy, c)); /* once more with the graph kept */
    if (c) must(pc_backward(out[0], gy, 0));
    if (!c) {
      must(pc_clone(&plain, pc_grad_get(n.w)));
      must(pc_grad_set(n.w, NULL));
    }
    ck_assert_int_eq(pc_requires_grad(out[1]), c); /* a result of the node, though x wants none */
    for (int k = 0; k < 2; k++) pc_tensor_release(out[k]);
  }
  for (int i = 0; i < 16; i++) close_to(pc_at(pc_grad_get(n.w), i), 2 * pc_at(plain, i), 1e-12);
  ck_assert_ptr_null(pc_grad_get(x));
  must(pc_set_requires_grad(n.w, 0));
  n.released = n.runs = 0;
  must(call(&n, 1, &x, 1, out));
  ck_assert_int_eq(pc_requires_grad(out[0]), 0);
  ck_assert_int_eq(n.released, 1);
  ck_assert_int_eq(n.runs, 1);
  for (int k = 0; k < 2; k++) pc_tensor_release(out[k]);
  pc_tensor *all[] = {x, gy, plain, n.w};
  for (int i = 0; i < 4; i++) pc_tensor_release(all[i]);
}
END_TEST

/* Asked for x alone, no gradient of w is made: the product for it would need w's shape of memory. */
START_TEST(memory_of_one_piece) {
  enum { ROWS = 4096, PIECES = 8 };
  net n = {.w = normal(1, 4, 4, 1), .depth = 12};
  pc_tensor *x = normal(2, ROWS, 4, 1), *gy, *g;
  int64_t most[2];
  must(pc_tensor_full(&gy, PC_F64, 2, (int64_t[]){ROWS, 4}, 1));
  for (int c = 0; c < 2; c++) {
    pc_tensor *y = pc_tensor_retain(x), *out[PC_MAX_OUT];
    pc_alloc_stats before;
    pc_alloc_get_stats(&before);
    int64_t mark = pc_alloc_mark();
    for (int i = 0; i < PIECES; i++) {
      must(call(&n, c, &y, 1, out));
      pc_tensor_release(y);
      pc_tensor_release(out[1]);
      y = out[0];
    }
    must(pc_grad(&g, &y, &gy, 1, &x, 1, NULL));
    most[c] = pc_alloc_measure(mark) - before.live;
    pc_tensor_release(g);
    pc_tensor_release(y);
  }
  ck_assert_int_gt(most[0], (int64_t)ROWS * 32 * PIECES * n.depth);
  ck_assert_int_lt(most[1], (int64_t)ROWS * 32 * (PIECES + 2 * n.depth + 8));
  pc_tensor_release(x);
  pc_tensor_release(gy);
  pc_tensor_release(n.w);
}
END_TEST

START_TEST(messages) {
  net n = {.w = normal(1, 4, 4, 1), .depth = 1}, other = n;
  pc_tensor *x = normal(2, 3, 4, 1), *out[PC_MAX_OUT], *g[3], *w = n.w;
  double value;
  for (int bad = 1; bad <= 2; bad++) {
    n.bad = bad, n.runs = 0;
    must_fail(everything(&n, 1, &x, 1, 0, g, &value), bad == 1 ? PC_ESHAPE : PC_ESTATE,
              bad == 1 ? "backward of checkpoint: result 1 had shape (3,4), and (1,4) when the function ran again"
                       : "the function gave 2 results, and 1 when it ran again");
  }
  pc_scope s = {0};
  other.w = pc_mul_scalar(&s, w, 2); /* history that is no argument */
  must_fail(call(&other, 1, &x, 1, out), PC_EARG,
            "uses a result with history of shape (4,4) that is none of its arguments");
  ck_assert_ptr_null(out[0]);
  ck_assert_int_eq(other.released, 1);
  ck_assert_int_eq(pc_grad_enabled(), 1);
  must(pc_scope_end(&s, NULL, 0));
  n.bad = 0;
  must(call(&n, 1, &x, 1, out));
  int was = pc_grad_set_enabled(0);
  must(pc_inplace_begin("fill", w));
  pc_grad_set_enabled(was);
  pc_tensor *gy;
  must(pc_tensor_full(&gy, PC_F64, 2, (int64_t[]){3, 4}, 1));
  must_fail(pc_backward(out[0], gy, 0), PC_ESTATE, "changed in place");
  pc_tensor *all[] = {x, w, gy, out[0], out[1]};
  for (int i = 0; i < 5; i++) pc_tensor_release(all[i]);
}
END_TEST

START_TEST(failing_allocations_leak_nothing) {
  net n = {.w = normal(1, 4, 4, 1), .depth = 2, .drop = 0.2};
  pc_tensor *in[2] = {normal(2, 3, 4, 1), normal(3, 3, 4, 1)}, *g[3];
  pc_alloc_stats before, after;
  double value;
  for (int second = 0; second < 2; second++) {
    int rc = PC_ENOMEM, nth = 1;
    must(everything(&n, 1, in, 2, second, g, &value)); /* the autograd state of leaves is made */
    for (int i = 0; i < 3; i++) pc_tensor_release(g[i]);
    pc_alloc_get_stats(&before);
    for (; rc < 0 && nth < 4000; nth++) {
      pc_alloc_fail_nth(nth);
      rc = everything(&n, 1, in, 2, second, g, &value);
      pc_alloc_fail_nth(0);
      for (int i = 0; rc == PC_OK && i < 3; i++) pc_tensor_release(g[i]);
      if (rc < 0) ck_assert_int_eq(rc, PC_ENOMEM);
      ck_assert_int_eq(pc_grad_enabled(), 1);
      pc_alloc_get_stats(&after);
      ck_assert_int_eq(after.live, before.live);
    }
    ck_assert_int_gt(nth, 10);
    ck_assert_int_lt(nth, 4000);
  }
  pc_tensor *all[] = {in[0], in[1], n.w};
  for (int i = 0; i < 3; i++) pc_tensor_release(all[i]);
}
END_TEST

static Suite *checkpoint_suite(void) {
  Suite *s = suite_create("checkpoint");
  TCase *tc = tcase_create("checkpoint");
  tcase_set_timeout(tc, 60);
  tcase_add_test(tc, same_values_and_gradients);
  tcase_add_test(tc, leaves);
  tcase_add_test(tc, memory_of_one_piece);
  tcase_add_test(tc, messages);
  tcase_add_test(tc, failing_allocations_leak_nothing);
  suite_add_tcase(s, tc);
  return s;
}

SUITE_MAIN(checkpoint_suite)
