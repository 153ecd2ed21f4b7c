/* test_penalty.c: the attention penalty by hand, its extremes, its gradient. */
#include "engine/nn/modules.h"
#include "grad/ops_reduce.h"
#include "interaction/penalty.h"
#include "options.h"

#define CHECK(...) WITH(pc_gradcheck_opts, PC_GRADCHECK_OPTIONS, __VA_ARGS__)

static double penalty(pc_tensor *a) {
  pc_scope s = {0};
  pc_tensor *y = pc_interaction_attention(&s, a);
  must(s.rc);
  ck_assert_int_eq(y->ndim, 0);
  double v = pc_item(y);
  must(pc_scope_end(&s, NULL, 0));
  return v;
}

START_TEST(by_hand) {
  pc_tensor *a = tensor_of(PC_F64, 3, (int64_t[]){1, 2, 3}, (double[]){0.5, 0.3, 0.2, 0.1, 0.1, 0.8});
  /* sum_{i<j}: .15 + .10 + .06 = .31; .01 + .08 + .08 = .17 */
  close_to(penalty(a), (0.31 + 0.17) / 2, 1e-12);
  pc_tensor_release(a);
  a = tensor_of(PC_F64, 3, (int64_t[]){2, 1, 3}, (double[]){1, 0, 0, 0, 0, 1}); /* one slot each: nothing interacts */
  close_to(penalty(a), 0, 1e-12);
  pc_tensor_release(a);
  a = tensor_of(PC_F64, 3, (int64_t[]){1, 1, 4}, (double[]){0.25, 0.25, 0.25, 0.25}); /* all alike: (1 - 1/K) / 2 */
  close_to(penalty(a), 0.375, 1e-12);
  pc_tensor_release(a);
  a = tensor_of(PC_F64, 3, (int64_t[]){1, 1, 3}, (double[]){6, 4, 2}); /* heads summed, as 2411.07784: 24 + 12 + 8 */
  close_to(penalty(a), 44, 1e-12);
  pc_tensor_release(a);
  a = tensor_of(PC_F64, 3, (int64_t[]){0, 4, 3}, NULL);
  close_to(penalty(a), 0, 0);
  pc_tensor_release(a);
}
END_TEST

static int penalty_fn(void *ctx, pc_tensor *const *x, int nx, pc_tensor **y) {
  pc_scope s = {0};
  *y = pc_interaction_attention(&s, x[0]);
  return pc_scope_end(&s, y, 1);
}

START_TEST(gradient) {
  pc_tensor *a = NORMAL(PC_F64, 1, 2, 3, 4);
  must(pc_set_requires_grad(a, 1));
  must(pc_gradcheck(penalty_fn, NULL, &a, 1, &CHECK(.second_order = 1)));
  pc_tensor_release(a);
}
END_TEST

START_TEST(messages) {
  pc_scope s = {0};
  pc_tensor *a = NORMAL(PC_F64, 1, 3, 4);
  ck_assert_ptr_null(pc_interaction_attention(&s, a));
  must_fail(pc_scope_end(&s, NULL, 0), PC_ESHAPE, "attention must be (B,Q,K), got (3,4)");
  s = (pc_scope){0};
  ck_assert_ptr_null(pc_interaction_attention(&s, NULL));
  must_fail(pc_scope_end(&s, NULL, 0), PC_EARG, "gives no slot attention");
  pc_tensor_release(a);
}
END_TEST

static Suite *penalty_suite(void) {
  Suite *s = suite_create("penalty");
  TCase *tc = tcase_create("penalty");
  tcase_add_test(tc, by_hand);
  tcase_add_test(tc, gradient);
  tcase_add_test(tc, messages);
  suite_add_tcase(s, tc);
  return s;
}

SUITE_MAIN(penalty_suite)
