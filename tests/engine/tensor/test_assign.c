/* test_assign.c: values written through masks and lists of positions: by hand,
 * through transposes, equal positions; a bad position is found before anything is written. */
#include "tensor/assign.h"

#include <stdint.h>

#include "engine/tensor/brute.h"

#define IN(...) ((pc_tensor *[]){__VA_ARGS__})

static void holds(const pc_tensor *t, const char *shape, const double *want, const char *what) {
  ck_assert_msg(!strcmp(pc_shape_str(t), shape), "%s: shape %s, expected %s", what, pc_shape_str(t), shape);
  for (int64_t i = 0; i < pc_numel(t); i++)
    ck_assert_msg(pc_at(t, i) == want[i], "%s: element %lld is %g, expected %g", what, (long long)i, pc_at(t, i),
                  want[i]);
}
#define HOLDS(t, shape, what, ...) holds(t, shape, (double[]){__VA_ARGS__}, what)

static void drop(int n, pc_tensor *const *t) {
  for (int i = 0; i < n; i++) pc_tensor_release(t[i]);
}

START_TEST(assigning) {
  pc_tensor *x = MAT(PC_F32, 2, 3, 1, 2, 3, 4, 5, 6), *m = MAT(PC_U8, 2, 3, 1, 0, 0, 0, 0, 1), *r = VEC(PC_U8, 0, 1);
  pc_tensor *two = VEC(PC_F64, 7, 8), *i = VEC(PC_I64, 3, 1), *n, *t;
  must(pc_tensor_scalar(&n, PC_F64, 9));
  uint32_t version = x->storage->version;
  must(pc_assign_mask(x, m, two));
  ck_assert_uint_gt(x->storage->version, version);
  HOLDS(x, "(2,3)", "one value a place", 7, 2, 3, 4, 5, 8);
  must(pc_assign_mask(x, r, n));
  HOLDS(x, "(2,3)", "a mask of rows", 7, 2, 3, 9, 9, 9);
  must(pc_assign_index(x, 1, i, two));
  HOLDS(x, "(2,3)", "columns 3 and 1", 8, 2, 7, 8, 9, 7);
  must(pc_view_permute(&t, x, (int[]){1, 0}));
  must(pc_assign_index(t, 0, i, n));
  HOLDS(x, "(2,3)", "through a transpose", 9, 2, 9, 9, 9, 9);
  pc_tensor *same_ = VEC(PC_I64, 2, 2);
  must(pc_assign_index(t, 1, same_, two));
  HOLDS(x, "(2,3)", "the last of equals stays", 9, 2, 9, 8, 8, 8);
  drop(8, IN(x, m, r, two, i, n, t, same_));
}
END_TEST

START_TEST(a_bad_index_writes_nothing) {
  pc_tensor *x = VEC(PC_F32, 1, 2, 3), *i = VEC(PC_I64, 1, 4), *z = VEC(PC_I64, 1, 0), *v = VEC(PC_F32, 8, 9);
  ck_assert_int_eq(pc_assign_index(x, 0, i, v), PC_EINDEX);
  ck_assert_str_eq(pc_error_text(), "assignment: position 4 is out of bounds for dimension 1 of (3)");
  ck_assert_int_eq(pc_assign_index(x, 0, z, v), PC_EINDEX);
  HOLDS(x, "(3)", "nothing is written", 1, 2, 3);
  drop(4, IN(x, i, z, v));
}
END_TEST

int main(void) {
  Suite *s = suite_create("assign");
  TCase *tc = tcase_create("assign");
  tcase_add_test(tc, assigning);
  tcase_add_test(tc, a_bad_index_writes_nothing);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
