/* test_profile.c: counters per op: calls, bytes, self time, backward rows; nothing is counted when it is off. */
#include <string.h>

#include "check_main.h"
#include "grad/op.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/profile.h"

static int find(pc_profile_row *row, const char *op, int backward) {
  for (int i = 0; pc_profile_get(i, row); i++)
    if (!strcmp(row->op, op) && row->backward == backward) return 1;
  return 0;
}

static void work(void) { /* y = sum(x * x + x), forward and backward */
  pc_tensor *x = VEC(PC_F64, 2, -1);
  must(pc_set_requires_grad(x, 1));
  pc_scope s = {0};
  pc_tensor *y = pc_sum(&s, pc_add(&s, pc_mul(&s, x, x), x), 0, NULL, 0);
  must(pc_scope_end(&s, &y, 1));
  must(pc_backward(y, NULL, 0));
  pc_tensor_release(y);
  pc_tensor_release(x);
}

START_TEST(counts_calls_and_bytes) {
  pc_profile_row r;
  pc_profile_start();
  work();
  pc_profile_stop();
  ck_assert(find(&r, "sum", 0));
  ck_assert_int_eq(r.calls, 1);
  ck_assert_int_eq(r.bytes, 8 * (2 + 1)); /* two read, one written */
  ck_assert(find(&r, "mul", 1));
  ck_assert_int_eq(r.calls, 1);
  ck_assert_int_eq(r.bytes, 0);
  ck_assert(find(&r, "sum", 1));
}
END_TEST

START_TEST(off_means_off) {
  pc_profile_row r;
  pc_profile_start();
  pc_profile_stop();
  work();
  ck_assert(!pc_profile_get(0, &r));
}
END_TEST

START_TEST(starting_again_forgets) {
  pc_profile_row r;
  pc_profile_start();
  work();
  pc_profile_start();
  pc_profile_stop();
  ck_assert(!pc_profile_get(0, &r));
}
END_TEST

START_TEST(time_inside_counts_once) {
  pc_profile_mark outer, within;
  pc_profile_row r;
  double sum = 0;
  pc_profile_start();
  pc_profile_enter(&outer);
  pc_profile_enter(&within);
  for (volatile int i = 0; i < 3000000; i++) continue;
  pc_profile_leave(&within, PC_OP_exp, 0);
  pc_profile_leave(&outer, -1, 1);
  pc_profile_stop();
  ck_assert(find(&r, "custom", 1));
  double around = r.seconds;
  ck_assert(find(&r, "exp", 0));
  ck_assert(r.seconds > 1e-4);
  ck_assert_msg(around < r.seconds / 2, "the op around has %g s of its own, the one inside %g", around, r.seconds);
  for (int i = 0; pc_profile_get(i, &r); i++) sum += r.seconds;
  ck_assert(sum > 0);
}
END_TEST

static Suite *profile_suite(void) {
  Suite *s = suite_create("profile");
  TCase *tc = tcase_create("profile");
  tcase_add_test(tc, counts_calls_and_bytes);
  tcase_add_test(tc, off_means_off);
  tcase_add_test(tc, starting_again_forgets);
  tcase_add_test(tc, time_inside_counts_once);
  suite_add_tcase(s, tc);
  return s;
}

SUITE_MAIN(profile_suite)
