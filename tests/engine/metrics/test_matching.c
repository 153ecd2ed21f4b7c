/* matching: against every assignment, both orientations, batches, mistakes. */
#include <math.h>

#include "base/rng.h"
#include "metrics/matching.h"
#include "scratch.h"

/* Least total over all injective maps of the shorter side into the longer. */
static double brute(const double *c, int rows, int cols, int row, unsigned taken, int skips) {
  if (row == rows) return 0;
  double best = INFINITY;
  if (skips > 0) best = brute(c, rows, cols, row + 1, taken, skips - 1);
  for (int j = 0; j < cols; j++)
    if (!(taken >> j & 1)) best = fmin(best, c[row * cols + j] + brute(c, rows, cols, row + 1, taken | 1u << j, skips));
  return best;
}

START_TEST(test_brute_force) {
  pc_rng g = {11, 0};
  double c[36], total;
  int64_t assign[6];
  for (int round = 0; round < 60; round++)
    for (int rows = 1; rows <= 6; rows++) {
      int cols = 1 + (int)pc_rng_below(&g, 6);
      for (int i = 0; i < rows * cols; i++)
        c[i] = round % 2 ? pc_rng_uniform(&g) * 10 - 5 : (double)pc_rng_below(&g, 4); /* ties, too */
      must(pc_hungarian(assign, &total, c, rows, cols));
      double sum = 0;
      unsigned seen = 0;
      int matched = 0;
      for (int i = 0; i < rows; i++) {
        if (assign[i] < 0) continue;
        ck_assert(assign[i] < cols && !(seen >> assign[i] & 1));
        seen |= 1u << assign[i];
        sum += c[i * cols + assign[i]];
        matched++;
      }
      ck_assert_int_eq(matched, rows < cols ? rows : cols);
      ck_assert_double_eq_tol(sum, total, 1e-12);
      ck_assert_double_eq_tol(total, brute(c, rows, cols, 0, 0, rows > cols ? rows - cols : 0), 1e-9);
    }
}
END_TEST

START_TEST(test_tensors) {
  float c[12] = {1, 9, 9, 9, 9, 1, /**/ 5, 1, 0, 3, 2, 2};
  int64_t size[3] = {2, 2, 3}, none[2] = {0, 4};
  pc_tensor *t, *a, *s;
  must(pc_tensor_from(&t, PC_F32, 3, size, c));
  must(pc_match(&a, &s, t, 0));
  ck_assert_str_eq(pc_shape_str(a), "(2,2)");
  ck_assert(pc_i64(a)[0] == 1 && pc_i64(a)[1] == 3 && pc_i64(a)[2] == 3 && pc_i64(a)[3] == 2);
  ck_assert_double_eq(pc_f64(s)[0], 2);
  ck_assert_double_eq(pc_f64(s)[1], 2);
  pc_tensor_release(a);
  pc_tensor_release(s);
  must(pc_match(&a, &s, t, 1));
  ck_assert_double_eq(pc_f64(s)[0], 18);
  ck_assert_double_eq(pc_f64(s)[1], 7);
  pc_tensor_release(a);
  pc_tensor_release(s);
  pc_f32(t)[7] = NAN;
  must_fail(pc_match(&a, &s, t, 0), PC_EARG, "batch item 2: match: the cost at row 1, column 2 is");
  pc_tensor_release(t);
  must(pc_tensor_zeros(&t, PC_F64, 2, none));
  must(pc_match(&a, NULL, t, 0));
  ck_assert_int_eq(pc_numel(a), 0);
  pc_tensor_release(a);
  pc_tensor_release(t);
  must(pc_tensor_zeros(&t, PC_I64, 3, size));
  must_fail(pc_match(&a, NULL, t, 0), PC_EDTYPE, "dtype i64");
  pc_tensor_release(t);
}
END_TEST

static void add(TCase *c) {
  tcase_add_test(c, test_brute_force);
  tcase_add_test(c, test_tensors);
}

int main(void) { return run_in_scratch("matching", add); }
