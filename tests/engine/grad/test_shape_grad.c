/* test_shape_grad.c: second order through shape and index ops. They are linear,
 * so the table's check meets no second derivative; here each is followed by a
 * square, and what its backward is made of gets differentiated. */
#include <stdlib.h>

#include "check_main.h"
#include "base/rng.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"
#include "options.h"

#define CHECK(...) WITH(pc_gradcheck_opts, PC_GRADCHECK_OPTIONS, __VA_ARGS__)

typedef pc_tensor *formula(pc_scope *s, pc_tensor *x, pc_tensor *u, pc_tensor *i);

/* x, u: (3,4); i: (3,4) indices in 1..3 */
static pc_tensor *list(pc_scope *s, pc_tensor *i) { return pc_select(s, i, 1, 0); }
static pc_tensor *f_gather(pc_scope *s, pc_tensor *x, pc_tensor *u, pc_tensor *i) { return pc_gather(s, x, 1, i); }
static pc_tensor *f_scatter(pc_scope *s, pc_tensor *x, pc_tensor *u, pc_tensor *i) {
  return pc_scatter_add(s, x, 0, pc_narrow(s, i, 0, 0, 2, 1), u);
}
static pc_tensor *f_index_select(pc_scope *s, pc_tensor *x, pc_tensor *u, pc_tensor *i) {
  return pc_index_select(s, x, 0, list(s, i));
}
static pc_tensor *f_index_add(pc_scope *s, pc_tensor *x, pc_tensor *u, pc_tensor *i) {
  return pc_index_add(s, x, 0, list(s, i), u);
}
static pc_tensor *f_embedding(pc_scope *s, pc_tensor *x, pc_tensor *u, pc_tensor *i) { return pc_embedding(s, x, i); }
static pc_tensor *f_masked(pc_scope *s, pc_tensor *x, pc_tensor *u, pc_tensor *i) {
  return pc_masked_select(s, x, pc_gt(s, i, pc_number(s, 1)));
}
static pc_tensor *f_masked_wide(pc_scope *s, pc_tensor *x, pc_tensor *u, pc_tensor *i) {
  return pc_masked_select(s, pc_narrow(s, x, 0, 1, 1, 1), pc_gt(s, i, pc_number(s, 1)));
}
static pc_tensor *f_cat(pc_scope *s, pc_tensor *x, pc_tensor *u, pc_tensor *i) {
  return pc_cat(s, 3, (pc_tensor *[]){x, u, pc_narrow(s, x, 1, 1, 2, 2)}, 1);
}
static pc_tensor *f_stack(pc_scope *s, pc_tensor *x, pc_tensor *u, pc_tensor *i) {
  return pc_stack(s, 2, (pc_tensor *[]){pc_select(s, x, 0, 2), pc_select(s, u, 0, -1)}, -1);
}
static pc_tensor *f_windows(pc_scope *s, pc_tensor *x, pc_tensor *u, pc_tensor *i) {
  return pc_diagonal(s, pc_unfold(s, x, 1, 2, 1), 1, 0, 1);
}
static pc_tensor *f_repeat(pc_scope *s, pc_tensor *x, pc_tensor *u, pc_tensor *i) {
  return pc_repeat_interleave(s, pc_tile(s, pc_tril(s, x, 0), 2, (int64_t[]){2, 3}), 2, 0);
}
static pc_tensor *f_expand(pc_scope *s, pc_tensor *x, pc_tensor *u, pc_tensor *i) {
  return pc_expand(s, pc_unsqueeze(s, pc_transpose(s, x, 0, 1), 1), 3, (int64_t[]){-1, 2, -1});
}
static pc_tensor *f_moved(pc_scope *s, pc_tensor *x, pc_tensor *u, pc_tensor *i) {
  pc_tensor *p = pc_pad(s, pc_permute(s, x, (int[]){1, 0}), 4, (int64_t[]){1, -1, 0, 2}, 0.5);
  return pc_roll(s, pc_flip(s, pc_flatten(s, p, 0, -1), 1, (int64_t[]){0}), 2, 0);
}

static formula *const formulas[] = {f_gather, f_scatter,     f_index_select, f_index_add, f_embedding,
                                    f_masked, f_masked_wide, f_cat,          f_stack,     f_windows,
                                    f_repeat, f_expand,      f_moved};

static int squared(void *ctx, pc_tensor *const *x, int nx, pc_tensor **y) {
  pc_scope s = {0};
  *y = pc_square(&s, formulas[*(int *)ctx](&s, x[0], x[1], x[2]));
  return pc_scope_end(&s, y, 1);
}

START_TEST(second_order) {
  pc_tensor *x[3] = {NULL};
  pc_rng g = {0};
  int which = _i;
  pc_rng_seed(&g, 11);
  for (int k = 0; k < 3; k++) {
    ck_assert_int_eq(pc_tensor_empty(&x[k], k < 2 ? PC_F64 : PC_I64, 2, (int64_t[]){3, 4}), PC_OK);
    for (int e = 0; e < 12; e++) {
      if (k < 2)
        pc_f64(x[k])[e] = pc_rng_uniform(&g) - 0.5;
      else
        pc_i64(x[k])[e] = PC_INDEX_BASE + pc_rng_below(&g, 3);
    }
    if (k < 2) ck_assert_int_eq(pc_set_requires_grad(x[k], 1), PC_OK);
  }
  int rc = pc_gradcheck(squared, &which, x, 3, &CHECK(.second_order = 1));
  ck_assert_msg(rc == PC_OK, "formula %d: %s", which + 1, pc_error_text());
  for (int k = 0; k < 3; k++) pc_tensor_release(x[k]);
}
END_TEST

/* cat of different dtypes: each part's gradient has the part's dtype. */
START_TEST(promoted_parts) {
  pc_tensor *a = NULL, *b = NULL;
  pc_scope s = {0};
  ck_assert_int_eq(pc_tensor_full(&a, PC_F32, 1, (int64_t[]){2}, 3), PC_OK);
  ck_assert_int_eq(pc_tensor_full(&b, PC_F64, 1, (int64_t[]){1}, 5), PC_OK);
  pc_set_requires_grad(a, 1);
  pc_set_requires_grad(b, 1);
  pc_tensor *y = pc_sum(&s, pc_square(&s, pc_cat(&s, 2, (pc_tensor *[]){a, b}, 0)), 0, NULL, 0);
  ck_assert_msg(y != NULL, "%s", pc_error_text());
  ck_assert_int_eq(pc_backward(y, NULL, 0), PC_OK);
  ck_assert_int_eq(pc_grad_get(a)->dtype, PC_F32);
  ck_assert_int_eq(pc_grad_get(b)->dtype, PC_F64);
  ck_assert_double_eq(pc_at(pc_grad_get(a), 1), 6);
  ck_assert_double_eq(pc_at(pc_grad_get(b), 0), 10);
  pc_scope_end(&s, NULL, 0);
  pc_tensor_release(a);
  pc_tensor_release(b);
}
END_TEST

int main(void) {
  Suite *s = suite_create("shape gradients");
  TCase *tc = tcase_create("shape");
  tcase_add_loop_test(tc, second_order, 0, (int)(sizeof formulas / sizeof *formulas));
  tcase_add_test(tc, promoted_parts);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
