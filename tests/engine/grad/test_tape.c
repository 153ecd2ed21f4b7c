/* test_tape.c: the tape: accumulation, graphs that branch, freeing, versions, second order, custom ops, anomaly. */
#include "base/alloc.h"
#include "check_main.h"
#include "grad/op.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"

static pc_tensor *leaf(double a, double b) {
  pc_tensor *t = VEC(PC_F64, a, b);
  must(pc_set_requires_grad(t, 1));
  return t;
}

static pc_tensor *keep(pc_scope *s, pc_tensor *t) {
  must(pc_scope_end(s, &t, 1));
  return t;
}

START_TEST(branches_add_up) { /* y = sum(x*x + 3x): dy/dx = 2x + 3; twice: accumulated */
  pc_tensor *x = leaf(2, -1);
  for (int pass = 1; pass <= 2; pass++) {
    pc_scope s = {0};
    pc_tensor *y = keep(&s, pc_sum(&s, pc_add(&s, pc_mul(&s, x, x), pc_mul_scalar(&s, x, 3)), 0, NULL, 0));
    must(pc_backward(y, NULL, 0));
    close_to(pc_f64(pc_grad_get(x))[0], 7 * pass, 1e-12);
    close_to(pc_f64(pc_grad_get(x))[1], 1 * pass, 1e-12);
    pc_tensor_release(y);
  }
  pc_tensor_release(x);
}
END_TEST

/* Ten inputs behind what is asked for: the branch costs nothing, and what it would have made is not let go. */
START_TEST(a_wide_op_aside) {
  pc_tensor *parts[10], *w = leaf(3, 4), *g = NULL;
  pc_scope s = {0};
  for (int i = 0; i < 10; i++) parts[i] = leaf(i, 1);
  pc_tensor *y = keep(&s, pc_sum(&s, pc_mul(&s, pc_narrow(&s, pc_cat(&s, 10, parts, 0), 0, 18, 2, 1), w), 0, NULL, 0));
  must(pc_grad(&g, &y, NULL, 1, &w, 1, NULL));
  close_to(pc_f64(g)[0], 9, 1e-12);
  close_to(pc_f64(g)[1], 1, 1e-12);
  pc_tensor_release(g);
  pc_tensor_release(y);
  pc_tensor_release(w);
  for (int i = 0; i < 10; i++) pc_tensor_release(parts[i]);
}
END_TEST

START_TEST(second_order) { /* y = sum x^3: y'' v = 6 x v */
  pc_tensor *x = leaf(2, -1), *g, *h;
  pc_scope s = {0};
  pc_tensor *y = keep(&s, pc_sum(&s, pc_mul(&s, x, pc_mul(&s, x, x)), 0, NULL, 0));
  must(pc_grad(&g, &y, NULL, 1, &x, 1, &(pc_grad_opts){.create_graph = 1}));
  close_to(pc_f64(g)[0], 12, 1e-12);
  pc_tensor *v = VEC(PC_F64, 1, 10);
  must(pc_grad(&h, &g, &v, 1, &x, 1, NULL));
  close_to(pc_f64(h)[0], 12, 1e-12);
  close_to(pc_f64(h)[1], -60, 1e-12);
  ck_assert_ptr_null(pc_grad_get(x)); /* grad() leaves the leaves alone */
  pc_tensor_release(v);
  pc_tensor_release(h);
  pc_tensor_release(g);
  pc_tensor_release(y);
  pc_tensor_release(x);
}
END_TEST

START_TEST(freed_graph_is_named) {
  pc_tensor *x = leaf(1, 2);
  pc_scope s = {0};
  pc_tensor *y = keep(&s, pc_sum(&s, pc_mul(&s, x, x), 0, NULL, 0));
  must(pc_backward(y, NULL, 1));
  must(pc_backward(y, NULL, 0));
  must_fail(pc_backward(y, NULL, 0), PC_ESTATE, "retain_graph=true");
  pc_tensor_release(y);
  pc_tensor_release(x);
}
END_TEST

START_TEST(changed_in_place_is_an_error) {
  pc_tensor *x = leaf(1, 2), *w = VEC(PC_F64, 3, 4);
  pc_scope s = {0};
  pc_tensor *y = keep(&s, pc_sum(&s, pc_mul(&s, x, w), 0, NULL, 0));
  must(pc_inplace_begin("fill_", w));
  must_fail(pc_backward(y, NULL, 0), PC_ESTATE, "backward of mul: input 2 of shape (2) was changed in place");
  must_fail(pc_inplace_begin("fill_", x), PC_ESTATE, "no_grad");
  pc_grad_set_enabled(0);
  must(pc_inplace_begin("fill_", x));
  pc_grad_set_enabled(1);
  pc_tensor_release(y);
  pc_tensor_release(w);
  pc_tensor_release(x);
}
END_TEST

START_TEST(errors_have_remedies) {
  pc_tensor *x = leaf(1, 2), *c = VEC(PC_F64, 1, 2), *g;
  pc_scope s = {0};
  pc_tensor *y = keep(&s, pc_mul(&s, x, x));
  must_fail(pc_backward(y, NULL, 0), PC_ESHAPE, "a result of shape (2) needs a gradient of the same shape");
  must_fail(pc_backward(c, NULL, 0), PC_ESTATE, "no history");
  pc_tensor *one = VEC(PC_F64, 1);
  must_fail(pc_backward(y, one, 0), PC_ESHAPE, "the gradient has shape (1), the result (2)");
  must_fail(pc_grad(&g, &y, &c, 1, &c, 1, NULL), PC_ESTATE, "requires_grad_()");
  pc_tensor *z = leaf(1, 1);
  must_fail(pc_grad(&g, &y, &c, 1, &z, 1, NULL), PC_ESTATE, "does not depend on input 1");
  must(pc_grad(&g, &y, &c, 1, &z, 1, &(pc_grad_opts){.allow_unused = 1, .retain_graph = 1}));
  ck_assert_ptr_null(g);
  pc_tensor *i = NULL;
  must(pc_tensor_zeros(&i, PC_I64, 0, NULL));
  must_fail(pc_set_requires_grad(i, 1), PC_EDTYPE, "only f32 and f64");
  pc_tensor_release(i);
  pc_tensor_release(z);
  pc_tensor_release(one);
  pc_tensor_release(y);
  pc_tensor_release(c);
  pc_tensor_release(x);
}
END_TEST

START_TEST(long_chains_do_not_recurse) {
  pc_alloc_stats before, after;
  pc_alloc_get_stats(&before);
  pc_tensor *x = leaf(1, 2), *y = pc_tensor_retain(x);
  for (int i = 0; i < 50000; i++) {
    pc_scope s = {0};
    pc_tensor *next = keep(&s, pc_add_scalar(&s, y, 1));
    pc_tensor_release(y);
    y = next;
  }
  pc_scope s = {0};
  pc_tensor *sum = keep(&s, pc_sum(&s, y, 0, NULL, 0));
  must(pc_backward(sum, NULL, 0));
  close_to(pc_f64(pc_grad_get(x))[1], 1, 0);
  pc_tensor_release(sum);
  pc_tensor_release(y);
  pc_tensor_release(x);
  pc_alloc_get_stats(&after);
  ck_assert_int_eq(before.live, after.live);
}
END_TEST

static int twice_backward(void *ctx, pc_tensor *const *gout, int nout, pc_tensor **gin, int nin) {
  pc_scope s = {0};
  ++*(int *)ctx;
  gin[0] = pc_mul_scalar(&s, gout[0], 2);
  return pc_scope_end(&s, gin, 1);
}

static int broken_backward(void *ctx, pc_tensor *const *gout, int nout, pc_tensor **gin, int nin) {
  return pc_fail(PC_ECALLBACK, "told to fail");
}

START_TEST(custom_ops) {
  static int calls;
  pc_tensor *x = leaf(1, 2), *y, *sum;
  pc_scope s = {0};
  must(pc_detach(&y, x));
  must(pc_record_custom(&y, 1, &x, 1, &(pc_custom){.name = "twice", .ctx = &calls, .backward = twice_backward}));
  sum = keep(&s, pc_sum(&s, y, 0, NULL, 0));
  must(pc_backward(sum, NULL, 0));
  ck_assert_int_eq(calls, 1);
  close_to(pc_f64(pc_grad_get(x))[0], 2, 0);
  pc_tensor_release(sum);
  pc_tensor_release(y);
  must(pc_detach(&y, x));
  must(pc_record_custom(&y, 1, &x, 1, &(pc_custom){.name = "broken", .backward = broken_backward}));
  sum = keep(&s, pc_sum(&s, y, 0, NULL, 0));
  must_fail(pc_backward(sum, NULL, 0), PC_ECALLBACK, "backward of broken: told to fail");
  pc_tensor_release(sum);
  pc_tensor_release(y);
  pc_tensor_release(x);
}
END_TEST

static const char *here(void) { return "net.lua:12"; }

START_TEST(anomaly_names_op_and_line) {
  pc_tensor *x = leaf(-1, 2), *y;
  pc_set_anomaly(1);
  pc_set_where_hook(here);
  must_fail(pc_apply(PC_OP_log, &y, &x, 1, NULL, 0), PC_ENUM, "log made the first NaN");
  ck_assert_ptr_nonnull(strstr(pc_error_text(), "net.lua:12"));
  pc_set_anomaly(0);
  pc_set_where_hook(NULL);
  pc_tensor_release(x);
}
END_TEST

START_TEST(interrupts_stop_at_the_next_op) {
  pc_tensor *x = leaf(1, 2), *y;
  pc_interrupt_set();
  must_fail(pc_apply(PC_OP_exp, &y, &x, 1, NULL, 0), PC_EINTR, "interrupted");
  must(pc_apply(PC_OP_exp, &y, &x, 1, NULL, 0)); /* once */
  pc_tensor_release(y);
  pc_tensor_release(x);
}
END_TEST

START_TEST(failing_allocations_leak_nothing) {
  pc_alloc_stats before, after;
  for (int nth = 1; nth < 60; nth++) {
    pc_tensor *x = leaf(1, 2);
    pc_alloc_get_stats(&before);
    pc_alloc_fail_nth(nth);
    pc_scope s = {0};
    pc_tensor *y = pc_sum(&s, pc_mul(&s, pc_op1(&s, PC_OP_exp, x), x), 0, NULL, 0);
    int rc = pc_scope_end(&s, &y, 1);
    if (rc == PC_OK) rc = pc_backward(y, NULL, 0);
    pc_alloc_fail_nth(0);
    pc_tensor_release(y);
    must(pc_grad_set(x, NULL));
    pc_alloc_get_stats(&after);
    if (nth > 1) ck_assert_int_le(after.live - before.live, 512); /* the leaf's own record may stay */
    pc_tensor_release(x);
    if (rc == PC_OK) return; /* fewer allocations than nth: every one has failed once */
    ck_assert_int_eq(rc, PC_ENOMEM);
  }
  ck_abort_msg("the formula never ran to its end");
}
END_TEST

static Suite *tape_suite(void) {
  Suite *s = suite_create("tape");
  TCase *tc = tcase_create("tape");
  tcase_set_timeout(tc, 60);
  tcase_add_test(tc, branches_add_up);
  tcase_add_test(tc, a_wide_op_aside);
  tcase_add_test(tc, second_order);
  tcase_add_test(tc, freed_graph_is_named);
  tcase_add_test(tc, changed_in_place_is_an_error);
  tcase_add_test(tc, errors_have_remedies);
  tcase_add_test(tc, long_chains_do_not_recurse);
  tcase_add_test(tc, custom_ops);
  tcase_add_test(tc, anomaly_names_op_and_line);
  tcase_add_test(tc, interrupts_stop_at_the_next_op);
  tcase_add_test(tc, failing_allocations_leak_nothing);
  suite_add_tcase(s, tc);
  return s;
}

SUITE_MAIN(tape_suite)
