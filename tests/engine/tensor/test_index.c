/* test_index.c: taking and adding by index tensors and masks, against values worked out by hand. */
#include <stdlib.h>

#include "check_main.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "engine/tensor/shape_help.h"

#define IDX(shape, ...) indices(shape, (int64_t[]){__VA_ARGS__})
#define SH(...)         DIMS(__VA_ARGS__)

static pc_tensor *m23(void) { return counting(PC_F32, DIMS(2, 3)); }

static pc_tensor *zeros(pc_dtype d, int ndim, const int64_t *size) {
  pc_tensor *t = NULL;
  must(pc_tensor_zeros(&t, d, ndim, size));
  return t;
}

static pc_tensor *mask_of(int ndim, const int64_t *size, const uint8_t *bits) {
  pc_tensor *t = NULL;
  must(pc_tensor_from(&t, PC_U8, ndim, size, bits));
  return t;
}

static pc_tensor *index0(int64_t i) { return indices(0, NULL, &i); }

static pc_tensor *as_i32(pc_tensor *t) {
  pc_tensor *c = NULL;
  must(pc_to_dtype(&c, t, PC_I32));
  pc_tensor_release(t);
  return c;
}

START_TEST(gathers) {
  DONE(RUN(gather, VALUES(PC_VI(1)), m23(), IDX(SH(2, 2), 3, 1, 2, 2)), "(2,2)", 3, 1, 5, 5);
  DONE(RUN(gather, VALUES(PC_VI(0)), m23(), IDX(SH(1, 3), 2, 1, 2)), "(1,3)", 4, 2, 6);
  DONE(RUN(gather, VALUES(PC_VI(-2)), scattered(PC_I64, 2, 3), as_i32(IDX(SH(3, 2), 1, 2, 2, 1, 1, 1))), "(3,2)", 1, 5,
       4, 2, 1, 2);
  DONE(RUN(gather, VALUES(PC_VI(1)), counting(PC_U8, DIMS(2, 2, 2)), IDX(SH(2, 1, 2), 1, 2, 2, 1)), "(2,1,2)", 1, 4, 7,
       6);
  DONE(RUN(gather, VALUES(PC_VI(0)), counting(PC_F64, DIMS(3)), zeros(PC_I64, DIMS(0))), "(0)", 0);
  DONE(RUN(gather, VALUES(PC_VI(0)), counting(PC_F64, DIMS(3)), index0(3)), "()", 3);
}
END_TEST

START_TEST(scatters) {
  DONE(RUN(scatter_add, VALUES(PC_VI(1)), zeros(PC_F32, DIMS(2, 3)), IDX(SH(2, 2), 3, 1, 2, 2),
           counting(PC_F32, DIMS(2, 2))),
       "(2,3)", 2, 0, 1, 0, 7, 0);
  DONE(RUN(scatter_add, VALUES(PC_VI(0)), m23(), IDX(SH(3, 2), 1, 2, 1, 2, 2, 2), scattered(PC_F32, 3, 2)), "(2,3)", 5,
       2, 3, 9, 17, 6);
  DONE(RUN(scatter_add, VALUES(PC_VI(0)), counting(PC_I64, DIMS(2)), IDX(SH(1), 2), counting(PC_I32, DIMS(4))), "(2)",
       1, 3);
}
END_TEST

START_TEST(slices) {
  DONE(RUN(index_select, VALUES(PC_VI(0)), m23(), IDX(SH(3), 2, 1, 2)), "(3,3)", 4, 5, 6, 1, 2, 3, 4, 5, 6);
  DONE(RUN(index_select, VALUES(PC_VI(-1)), scattered(PC_F64, 2, 3), IDX(SH(2), 3, 1)), "(2,2)", 3, 1, 6, 4);
  DONE(RUN(index_select, VALUES(PC_VI(1)), m23(), zeros(PC_I64, DIMS(0))), "(2,0)", 0);
  DONE(RUN(index_add, VALUES(PC_VI(0)), zeros(PC_F32, DIMS(2, 3)), IDX(SH(2), 2, 2), m23()), "(2,3)", 0, 0, 0, 5, 7, 9);
  DONE(RUN(index_add, VALUES(PC_VI(1)), scattered(PC_I32, 2, 3), IDX(SH(2), 1, 3), counting(PC_I32, DIMS(2, 2))),
       "(2,3)", 2, 2, 5, 7, 5, 10);
  DONE(RUN(embedding, NULL, m23(), IDX(SH(1, 2), 2, 1)), "(1,2,3)", 4, 5, 6, 1, 2, 3);
  pc_tensor *y = RUN(one_hot, VALUES(PC_VI(3)), IDX(SH(2), 3, 1));
  ck_assert_int_eq(y->dtype, PC_I64);
  DONE(y, "(2,3)", 0, 0, 1, 1, 0, 0);
  DONE(RUN(one_hot, NULL, IDX(SH(2), 1, 2)), "(2,2)", 1, 0, 0, 1);
}
END_TEST

START_TEST(masks) {
  DONE(RUN(masked_select, NULL, m23(), mask_of(DIMS(2, 3), (uint8_t[]){0, 1, 0, 0, 1, 1})), "(3)", 2, 5, 6);
  DONE(RUN(masked_select, NULL, scattered(PC_F64, 2, 3), mask_of(DIMS(3), (uint8_t[]){1, 0, 7})), "(4)", 1, 3, 4, 6);
  DONE(RUN(masked_select, NULL, counting(PC_I64, DIMS(2, 1)), mask_of(DIMS(1, 2), (uint8_t[]){1, 0})), "(2)", 1, 2);
  DONE(RUN(masked_select, NULL, m23(), zeros(PC_U8, DIMS(2, 3))), "(0)", 0);
  DONE(RUN(masked_select_grad, VALUES(LIST(2, 2)), counting(PC_F32, DIMS(2)), mask_of(DIMS(2), (uint8_t[]){0, 1})),
       "(2,2)", 0, 1, 0, 2);
}
END_TEST

/* Sums with many equal indices: the same bits for any number of threads, and right. */
START_TEST(threads_agree) {
  enum { N = 3000, W = 64, K = 5 };
  pc_tensor *src = zeros(PC_F32, DIMS(N, W)), *idx = zeros(PC_I64, DIMS(N)), *full = zeros(PC_I64, DIMS(N, W)), *y[4];
  pc_rng g = {0};
  pc_rng_seed(&g, 5);
  double want[K][W] = {{0}};
  for (int64_t i = 0; i < N; i++) {
    pc_i64(idx)[i] = PC_INDEX_BASE + pc_rng_below(&g, K);
    for (int64_t j = 0; j < W; j++) {
      float x = (float)pc_rng_uniform(&g);
      pc_f32(src)[i * W + j] = x;
      pc_i64(full)[i * W + j] = pc_i64(idx)[i];
      want[pc_i64(idx)[i] - PC_INDEX_BASE][j] += x;
    }
  }
  pc_tensor *zero = zeros(PC_F32, DIMS(K, W));
  int was = pc_num_threads();
  for (int k = 0; k < 2; k++) {
    pc_set_num_threads(k + 1);
    must(pc_fwd_index_add(&y[k], (pc_tensor *[]){zero, idx, src}, 3, VALUES(PC_VI(0))));
    must(pc_fwd_scatter_add(&y[2 + k], (pc_tensor *[]){zero, full, src}, 3, VALUES(PC_VI(0))));
  }
  pc_set_num_threads(was);
  for (int64_t i = 0; i < K * W; i++) ck_assert_double_eq_tol(pc_f32(y[0])[i], want[i / W][i % W], 1e-2);
  for (int k = 1; k < 4; k++) ck_assert(!memcmp(pc_data(y[0]), pc_data(y[k]), sizeof(float) * K * W));
  for (int k = 0; k < 4; k++) pc_tensor_release(y[k]);
  pc_tensor_release(zero);
  pc_tensor_release(src);
  pc_tensor_release(idx);
  pc_tensor_release(full);
}
END_TEST

START_TEST(messages) {
  REFUSE(gather, PC_EINDEX, "gather: index 4 at position (2,1) is outside 1..3 (dimension 2 of shape (2,3))",
         VALUES(PC_VI(1)), m23(), IDX(SH(2, 2), 1, 2, 4, 1));
  REFUSE(gather, PC_EINDEX, "gather: index 0 at position (1,1) is outside 1..3", VALUES(PC_VI(1)), m23(),
         IDX(SH(1, 1), 0));
  REFUSE(gather, PC_EDTYPE, "gather: index must be i64 or i32, is f32", VALUES(PC_VI(1)), m23(), m23());
  REFUSE(gather, PC_ESHAPE, "gather: index has shape (3,1), x has (2,3)", VALUES(PC_VI(1)), m23(),
         IDX(SH(3, 1), 1, 1, 1));
  REFUSE(scatter_add, PC_ESHAPE, "scatter_add: index has shape (2,2), src has (2,1)", VALUES(PC_VI(1)), m23(),
         IDX(SH(2, 2), 1, 1, 1, 1), counting(PC_F32, DIMS(2, 1)));
  REFUSE(scatter_add, PC_EINDEX, "scatter_add: index 9 at position (1,2)", VALUES(PC_VI(1)), m23(), IDX(SH(1, 2), 1, 9),
         m23());
  REFUSE(index_select, PC_EINDEX, "index_select: index 3 at position (2) is outside 1..2", VALUES(PC_VI(0)), m23(),
         IDX(SH(2), 1, 3));
  REFUSE(index_select, PC_ESHAPE, "for one index an element use gather", VALUES(PC_VI(0)), m23(), IDX(SH(1, 1), 1));
  REFUSE(index_add, PC_ESHAPE, "index_add: source has shape (2,3), expected (1,3)", VALUES(PC_VI(0)), m23(),
         IDX(SH(1), 1), m23());
  REFUSE(embedding, PC_EINDEX, "embedding: index 3 at position () is outside 1..2", NULL, m23(), index0(3));
  REFUSE(embedding, PC_ESHAPE, "weight must be (words, width)", NULL, counting(PC_F32, DIMS(3)), IDX(SH(1), 1));
  REFUSE(one_hot, PC_EINDEX, "one_hot: index 4 at position (1) is outside 1..3", VALUES(PC_VI(3)), IDX(SH(1), 4));
  REFUSE(masked_select, PC_EDTYPE, "mask must be u8, is f32", NULL, m23(), m23());
  REFUSE(masked_select, PC_ESHAPE, "masked_select: shapes (2,3) and (2) do not broadcast", NULL, m23(),
         zeros(PC_U8, DIMS(2)));
}
END_TEST

int main(void) {
  Suite *s = suite_create("index");
  TCase *tc = tcase_create("index");
  tcase_add_test(tc, gathers);
  tcase_add_test(tc, scatters);
  tcase_add_test(tc, slices);
  tcase_add_test(tc, masks);
  tcase_add_test(tc, threads_agree);
  tcase_add_test(tc, messages);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
