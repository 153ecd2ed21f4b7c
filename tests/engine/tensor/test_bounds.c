/* test_bounds.c: sizes, starts and counts that no machine has: products of them wrap
 * in 64 bits, and what wraps must not pass for a small number. Each is refused, or is
 * an empty view; none may look outside its storage. */
#include <stdint.h>

#include "engine/tensor/brute.h"
#include "tensor/shape.h"

#define V(...) ((pc_val[8]){__VA_ARGS__})
#define L(...) pc_vlist(SIZES(__VA_ARGS__))

/* 2^53 is the largest whole number the language above passes on. Nothing here asks for an
 * amount of memory that some machine might have. */
START_TEST(huge_numbers_do_not_wrap) {
  const int64_t big = (int64_t)1 << 32, most = (int64_t)1 << 53;
  pc_tensor *x = rnd(PC_F32, SIZES(4)), *m = rnd(PC_F32, SIZES(3, 4096)), *out;
  ck_assert_int_eq(pc_fwd_narrow(&out, &x, 1, V(PC_VI(0), PC_VI(0), PC_VI(big + 1), PC_VI(big))), PC_EINDEX);
  ck_assert_int_eq(pc_fwd_narrow(&out, &x, 1, V(PC_VI(0), PC_VI(1), PC_VI(most), PC_VI(1))), PC_EINDEX);
  ck_assert_int_eq(pc_fwd_narrow(&out, &x, 1, V(PC_VI(0), PC_VI(most), PC_VI(2), PC_VI(1))), PC_EINDEX);
  ck_assert_int_lt(pc_fwd_unfold(&out, &x, 1, V(PC_VI(0), PC_VI(most), PC_VI(1))), 0);
  ck_assert_int_lt(pc_fwd_tile(&out, &x, 1, V(L(most, most))), 0);
  ck_assert_int_lt(pc_fwd_repeat_interleave(&out, &x, 1, V(PC_VI(most))), 0);
  ck_assert_int_lt(pc_fwd_repeat_interleave(&out, &m, 1, V(PC_VI(most), PC_VI(0))), 0);
  ck_assert_int_lt(pc_fwd_pad(&out, &x, 1, V(L(most, most))), 0);
  ck_assert_int_lt(pc_fwd_diag(&out, &x, 1, V(PC_VI(most))), 0);
  must(pc_fwd_diagonal(&out, &m, 1, V(PC_VI(most))));
  ck_assert_str_eq(pc_shape_str(out), "(0)");
  pc_tensor_release(out);
  must(pc_fwd_narrow(&out, &m, 1, V(PC_VI(0), PC_VI(2), PC_VI(1), PC_VI(most)))); /* one row: any step will do */
  ck_assert_str_eq(pc_shape_str(out), "(1,4096)");
  ck_assert_double_eq(pc_at(out, 7), pc_at(m, 2 * 4096 + 7));
  pc_tensor_release(out);
  pc_tensor_release(x);
  pc_tensor_release(m);
}
END_TEST

START_TEST(every_narrow_stays_inside) { /* all small cases: accepted exactly when the last element exists */
  pc_tensor *x = rnd(PC_F32, SIZES(5)), *out;
  for (int64_t start = -2; start < 8; start++)
    for (int64_t length = -1; length < 8; length++)
      for (int64_t step = 0; step < 8; step++) {
        int fits = start >= 0 && length >= 0 && step >= 1 && (length == 0 || start + (length - 1) * step < 5);
        int rc = pc_view_narrow(&out, x, 0, start, length, step);
        ck_assert_msg((rc == PC_OK) == fits, "start %d, length %d, step %d: rc %d", (int)start, (int)length, (int)step,
                      rc);
        if (rc == PC_OK) pc_tensor_release(out);
      }
  pc_tensor_release(x);
}
END_TEST

int main(void) {
  Suite *s = suite_create("bounds");
  TCase *tc = tcase_create("bounds");
  tcase_add_test(tc, huge_numbers_do_not_wrap);
  tcase_add_test(tc, every_narrow_stays_inside);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
