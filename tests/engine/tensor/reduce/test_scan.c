/* test_scan.c: running sums and products, sorting, the k largest, medians: by
 * hand, ties and NaN, along each dimension, strided, empty, messages. */
#include <stdint.h>

#include "base/parallel.h"
#include "engine/tensor/brute.h"
#include "tensor/reduce/reduce.h"

#define NAN_D ((double)NAN)

static const pc_val none[8];

static void is_(pc_tensor *t, const char *shape, pc_dtype d, const double *want, const char *what) {
  ck_assert_msg(!strcmp(pc_shape_str(t), shape), "%s: shape %s, expected %s", what, pc_shape_str(t), shape);
  ck_assert_msg(t->dtype == d, "%s: dtype %s", what, pc_dtype_name((pc_dtype)t->dtype));
  for (int64_t i = 0; i < pc_numel(t); i++) {
    double a = pc_at(t, i), b = want[i];
    ck_assert_msg((isnan(a) && isnan(b)) || a == b, "%s: element %lld is %.9g, expected %.9g", what, (long long)i, a,
                  b);
  }
  pc_tensor_release(t);
}
#define IS(t, shape, d, what, ...) is_(t, shape, d, (double[]){__VA_ARGS__}, what)

START_TEST(running) {
  pc_tensor *x = MAT(PC_F32, 2, 3, 1, 2, 3, 4, 5, 6), *y, *t;
  must(pc_fwd_cumsum(&y, &x, 1, none));
  IS(y, "(2,3)", PC_F32, "cumsum", 1, 3, 6, 4, 9, 15);
  must(pc_fwd_cumsum(&y, &x, 1, (pc_val[8]){PC_VI(0)}));
  IS(y, "(2,3)", PC_F32, "cumsum down", 1, 2, 3, 5, 7, 9);
  must(pc_fwd_cumsum_reverse(&y, &x, 1, none));
  IS(y, "(2,3)", PC_F32, "from the end", 6, 5, 3, 15, 11, 6);
  must(pc_fwd_cumprod(&y, &x, 1, none));
  IS(y, "(2,3)", PC_F32, "cumprod", 1, 2, 6, 4, 20, 120);
  must(pc_fwd_prod_others(&y, &x, 1, none));
  IS(y, "(2,3)", PC_F32, "product of the others", 6, 3, 2, 30, 24, 20);
  must(pc_view_permute(&t, x, (int[]){1, 0}));
  must(pc_fwd_cumsum(&y, &t, 1, none));
  IS(y, "(3,2)", PC_F32, "transposed", 1, 5, 2, 7, 3, 9);
  pc_tensor_release(t);
  pc_tensor_release(x);
  x = MAT(PC_U8, 1, 3, 200, 100, 0);
  must(pc_fwd_cumsum(&y, &x, 1, none));
  IS(y, "(1,3)", PC_I64, "of bytes", 200, 300, 300);
  pc_tensor_release(x);
  x = MAT(PC_F64, 1, 3, 0, 2, 0);
  must(pc_fwd_prod_others(&y, &x, 1, none));
  IS(y, "(1,3)", PC_F64, "two zeros", 0, 0, 0);
  pc_tensor_release(x);
}
END_TEST

START_TEST(sorting) {
  pc_tensor *x = MAT(PC_F32, 2, 4, 3, 1, 3, 2, -1, NAN_D, 0, -1), *out[4];
  must(pc_fwd_sort(out, &x, 1, none));
  IS(out[0], "(2,4)", PC_F32, "rising, NaN last", 1, 2, 3, 3, -1, -1, 0, NAN_D);
  IS(out[1], "(2,4)", PC_I64, "equals keep their order", 2, 4, 1, 3, 1, 4, 3, 2);
  must(pc_fwd_sort(out, &x, 1, (pc_val[8]){PC_VI(-1), PC_VI(1)}));
  IS(out[0], "(2,4)", PC_F32, "falling, NaN first", 3, 3, 2, 1, NAN_D, 0, -1, -1);
  IS(out[1], "(2,4)", PC_I64, "equals keep their order here, too", 1, 3, 4, 2, 2, 3, 1, 4);
  must(pc_fwd_argsort(out, &x, 1, (pc_val[8]){PC_VI(0)}));
  IS(out[0], "(2,4)", PC_I64, "argsort down", 2, 1, 2, 2, 1, 2, 1, 1);
  must(pc_fwd_topk(out, &x, 1, (pc_val[8]){PC_VI(2)}));
  IS(out[0], "(2,2)", PC_F32, "topk", 3, 3, NAN_D, 0);
  IS(out[1], "(2,2)", PC_I64, "its positions", 1, 3, 2, 3);
  must(pc_fwd_topk(out, &x, 1, (pc_val[8]){PC_VI(1), PC_VI(-1), PC_VI(0)}));
  IS(out[0], "(2,1)", PC_F32, "the smallest", 1, -1);
  IS(out[1], "(2,1)", PC_I64, "its position", 2, 1);
  pc_tensor_release(x);
}
END_TEST

START_TEST(whole_numbers_are_exact) { /* 2^53 and 2^53 + 1 are one and the same double */
  const int64_t b = (int64_t)1 << 53, v[] = {b + 1, b, b + 3, b + 2};
  pc_tensor *x, *out[4];
  must(pc_tensor_from(&x, PC_I64, 1, (int64_t[]){4}, v));
  must(pc_fwd_sort(out, &x, 1, none));
  for (int i = 0; i < 4; i++) ck_assert_int_eq(pc_i64(out[0])[i], b + i);
  pc_tensor_release(out[0]);
  pc_tensor_release(out[1]);
  pc_tensor_release(x);
}
END_TEST

START_TEST(medians) {
  pc_tensor *x = MAT(PC_F32, 2, 4, 9, 1, 5, 3, 2, 2, 8, 0), *out[4];
  must(pc_fwd_median(out, &x, 1, none)); /* 0 1 2 2 3 5 8 9: the lower of the two in the middle */
  IS(out[0], "()", PC_F32, "median", 2);
  IS(out[1], "()", PC_I64, "its position", 6);
  must(pc_fwd_median(out, &x, 1, (pc_val[8]){PC_VI(1)}));
  IS(out[0], "(2)", PC_F32, "row medians", 3, 2);
  IS(out[1], "(2)", PC_I64, "their positions", 4, 1);
  pc_tensor_release(x);
}
END_TEST

/* Sorted values are in order, and are what their positions say: rows in any layout. */
START_TEST(random_rows) {
  pc_tensor *all[] = {rnd(PC_F32, SIZES(5, 300)), rnd_t(PC_F32, SIZES(40, 7)), rnd_s(PC_F64, SIZES(2, 9, 30))};
  for (int k = 0; k < 3; k++) {
    pc_tensor *x = all[k], *out[4];
    int64_t n = x->size[x->ndim - 1];
    must(pc_fwd_sort(out, &x, 1, none));
    for (int64_t i = 0; i < pc_numel(x); i++) {
      if (i % n) ck_assert_double_le(pc_at(out[0], i - 1), pc_at(out[0], i));
      ck_assert_double_eq(pc_at(x, i / n * n + (int64_t)pc_at(out[1], i) - PC_INDEX_BASE), pc_at(out[0], i));
    }
    pc_tensor_release(out[0]);
    pc_tensor_release(out[1]);
    pc_tensor_release(x);
  }
}
END_TEST

START_TEST(threads_change_no_bit) {
  static pc_forward_fn *const f[] = {pc_fwd_cumsum, pc_fwd_cumprod, pc_fwd_argsort};
  int was = pc_num_threads();
  pc_tensor *x = rnd(PC_F32, SIZES(700, 70)), *a, *b;
  for (int k = 0; k < 3; k++)
    for (int64_t dim = 0; dim < 2; dim++) {
      pc_val v[8] = {PC_VI(dim)};
      pc_set_num_threads(1);
      must(f[k](&a, &x, 1, v));
      pc_set_num_threads(2);
      must(f[k](&b, &x, 1, v));
      ck_assert_mem_eq(pc_data(a), pc_data(b), pc_dtype_size((pc_dtype)a->dtype) * (size_t)pc_numel(a));
      pc_tensor_release(a);
      pc_tensor_release(b);
    }
  pc_set_num_threads(was);
  pc_tensor_release(x);
}
END_TEST

START_TEST(empty_and_messages) {
  pc_tensor *x, *y, *out[4];
  must(pc_tensor_empty(&x, PC_F32, 2, (int64_t[]){0, 3}));
  must(pc_fwd_cumsum(&y, &x, 1, (pc_val[8]){PC_VI(0)}));
  IS(y, "(0,3)", PC_F32, "empty cumsum", 0);
  must(pc_fwd_sort(out, &x, 1, (pc_val[8]){PC_VI(0)}));
  IS(out[0], "(0,3)", PC_F32, "empty sort", 0);
  IS(out[1], "(0,3)", PC_I64, "empty sort", 0);
  must(pc_fwd_topk(out, &x, 1, (pc_val[8]){PC_VI(0)}));
  IS(out[0], "(0,0)", PC_F32, "no largest", 0);
  IS(out[1], "(0,0)", PC_I64, "no largest", 0);
  refuses(pc_fwd_topk, 1, &x, (pc_val[8]){PC_VI(4)}, PC_EINDEX, "topk: k = 4, but dimension 2 of shape (0,3) has 3");
  refuses(pc_fwd_topk, 1, &x, (pc_val[8]){PC_VI(-1)}, PC_EARG, "topk: k must not be negative, got -1");
  refuses(pc_fwd_median, 1, &x, none, PC_ESHAPE, "median: nothing to choose from in a tensor of shape (0,3)");
  refuses(pc_fwd_sort, 1, &x, (pc_val[8]){PC_VI(2)}, PC_EINDEX, "sort: no dimension 3 in a tensor of shape (0,3)");
  refuses(pc_fwd_cumsum, 1, &x, (pc_val[8]){PC_VI(2)}, PC_EINDEX, "cumsum: no dimension 3 in a tensor of shape (0,3)");
  pc_tensor_release(x);
}
END_TEST

int main(void) {
  Suite *s = suite_create("scan");
  TCase *tc = tcase_create("scan");
  tcase_set_timeout(tc, 60);
  tcase_add_test(tc, running);
  tcase_add_test(tc, sorting);
  tcase_add_test(tc, whole_numbers_are_exact);
  tcase_add_test(tc, medians);
  tcase_add_test(tc, random_rows);
  tcase_add_test(tc, threads_change_no_bit);
  tcase_add_test(tc, empty_and_messages);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
