/* test_gemm.c: raw products against their definition: odd sizes, transposed
 * operands, strides wider than rows, packed B, bias, alpha and beta, every tier;
 * the same bits whatever the number of threads; turning matrices. */
#include "engine/tensor/brute.h"

#include <math.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "tensor/gemm/gemm.h"
#include "tensor/gemm/transpose.h"

static const int64_t sizes[] = {1, 3, 7, 16, 63, 65};
enum { SIZES_N = sizeof sizes / sizeof *sizes };
static int64_t gap = 5; /* by which lines are longer than they must be */

typedef struct operand {
  float *p;
  pc_mat m;
  int64_t n;
} operand;

static float noise(int64_t i) { return (float)((uint64_t)(i * 2654435761u) >> 8 & 0xffff) / 65536.0f - 0.5f; }

/* rows x cols with lines `gap` longer than they must be; NaN between the lines. */
static operand make(int64_t rows, int64_t cols, int turned) {
  int64_t lines = turned ? cols : rows, ld = (turned ? rows : cols) + gap;
  operand o = {.n = lines * ld};
  o.p = pc_malloc(sizeof *o.p * (size_t)o.n);
  ck_assert_ptr_nonnull(o.p);
  for (int64_t i = 0; i < o.n; i++) o.p[i] = i % ld < ld - gap ? noise(i) : NAN;
  o.m = turned ? PC_COLS(o.p, ld) : PC_ROWS(o.p, ld);
  return o;
}

static double element(pc_mat m, int64_t i, int64_t j) { return ((const float *)m.p)[i * m.rs + j * m.cs]; }

static void check(const char *what, int64_t m, int64_t n, int64_t k, operand a, operand b, operand c, const float *was,
                  double alpha, double beta, const float *bias) {
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      int64_t at = i * c.m.rs + j * c.m.cs;
      double want = bias ? bias[j] : beta != 0 ? beta * was[at] : 0;
      for (int64_t l = 0; l < k; l++) want += alpha * element(a.m, i, l) * element(b.m, l, j);
      if (!(fabs(c.p[at] - want) < 1e-5 * (double)(k + 8)))
        ck_abort_msg("%s %d x %d x %d, (%d,%d): %g, not %g", what, (int)m, (int)n, (int)k, (int)i, (int)j,
                     (double)c.p[at], want);
    }
  for (int64_t i = 0; i < c.n; i++) /* nothing between the lines was touched */
    if (isnan(was[i]) && !isnan(c.p[i])) ck_abort_msg("%s wrote between the lines", what);
}

static void one(int64_t m, int64_t n, int64_t k, int ta, int tb, double alpha, double beta) {
  operand a = make(m, k, ta), b = make(k, n, tb), c = make(m, n, 0);
  float *was = pc_malloc(sizeof *was * (size_t)c.n), *bias = pc_malloc(sizeof *bias * (size_t)n);
  memcpy(was, c.p, sizeof *was * (size_t)c.n);
  for (int64_t j = 0; j < n; j++) bias[j] = noise(j + 99);
  pc_gemm(PC_F32, m, n, k, alpha, a.m, b.m, beta, c.m);
  check("gemm", m, n, k, a, b, c, was, alpha, beta, NULL);
  pc_packed p;
  must(pc_pack(&p, PC_F32, k, n, b.m));
  memcpy(c.p, was, sizeof *was * (size_t)c.n);
  pc_gemm_packed(m, a.m, &p, NULL, beta, c.m);
  check("packed", m, n, k, a, b, c, was, 1, beta, NULL);
  pc_gemm_packed(m, a.m, &p, bias, 0, c.m);
  check("packed, bias", m, n, k, a, b, c, was, 1, 0, bias);
  pc_pack_free(&p);
  pc_free(was);
  pc_free(bias);
  pc_free(a.p);
  pc_free(b.p);
  pc_free(c.p);
}

/* Every tier this CPU has; _i: rows of C. */
START_TEST(odd_sizes) {
  for (int tier = PC_TIER_REF; tier <= (int)pc_cpu_best(); tier++) {
    must(pc_cpu_set_tier((pc_tier)tier));
    for (int n = 0; n < SIZES_N; n++)
      for (int k = 0; k < SIZES_N; k++) {
        one(sizes[_i], sizes[n], sizes[k], 0, 0, 1, 0);
        one(sizes[_i], sizes[n], sizes[k], 1, 0, 1, 1);
        one(sizes[_i], sizes[n], sizes[k], 0, 1, 0.5, 0);
        one(sizes[_i], sizes[n], sizes[k], 1, 1, -2, 0.25);
      }
  }
  must(pc_cpu_set_tier(pc_cpu_best()));
}
END_TEST

/* Sizes past every block: of k, of the columns at work, of the rows at work. */
START_TEST(past_the_blocks) {
  one(7, 33, 2000, 1, 1, 1, 0);
  one(1100, 17, 96, 0, 0, 1, 1);
  one(50, 700, 700, 1, 0, 1, 0);
  one(13, 4, 1601, 0, 0, 1, 1);
}
END_TEST

/* Rows a multiple of 2 KiB apart are copied; matrices that are taken for far away, from their first row to their last.
 */
START_TEST(strides_that_collide) {
  gap = 512 - 67;
  one(1, 65, 67, 0, 0, 1, 0);
  one(63, 64, 67, 0, 0, 1, 1);
  one(500, 65, 67, 0, 1, -2, 0.25);
  gap = 1024 - 900;
  one(65, 100, 900, 0, 0, 1, 1);
  gap = 5;
}
END_TEST

START_TEST(far_away) {
  for (int k = 1; k < 70; k += 17) {
    operand a = make(61, k, 0), b = make(k, 70, 0), c = make(61, 70, 0);
    float *was = pc_malloc(sizeof *was * (size_t)c.n);
    memcpy(was, c.p, sizeof *was * (size_t)c.n);
    pc_packed p;
    must(pc_pack(&p, PC_F32, k, 70, b.m));
    pc_gemm_packed(61, pc_far(a.m, 1), &p, NULL, 1, pc_far(c.m, 1));
    check("far", 61, 70, k, a, b, c, was, 1, 1, NULL);
    pc_pack_free(&p);
    pc_free(was);
    pc_free(a.p);
    pc_free(b.p);
    pc_free(c.p);
  }
}
END_TEST

/* No inner dimension: C is the bias, or beta C. */
START_TEST(no_k) {
  float c[6] = {1, 2, 3, 4, 5, 6}, bias[3] = {7, 8, 9}, none = 0;
  pc_packed p;
  must(pc_pack(&p, PC_F32, 0, 3, PC_ROWS(&none, 3)));
  pc_gemm_packed(2, PC_ROWS(&none, 1), &p, NULL, 1, PC_ROWS(c, 3));
  ck_assert_float_eq(c[5], 6);
  pc_gemm_packed(2, PC_ROWS(&none, 1), &p, bias, 0, PC_ROWS(c, 3));
  ck_assert_float_eq(c[0], 7);
  ck_assert_float_eq(c[5], 9);
  pc_gemm(PC_F32, 2, 3, 0, 1, PC_ROWS(&none, 1), PC_ROWS(&none, 3), 0, PC_ROWS(c, 3));
  ck_assert_float_eq(c[5], 0);
  pc_pack_free(&p);
}
END_TEST

START_TEST(threads_give_the_same_bits) {
  enum { M = 3000, N = 96, K = 70 };
  operand a = make(M, K, 0), b = make(K, N, 1), c = make(M, N, 0), d = make(M, N, 0);
  int was = pc_num_threads();
  pc_gemm_job j = {.d = PC_F32, .batch = 1, .m = M, .n = N, .k = K, .alpha = 1, .a = a.m, .b = b.m, .c = c.m};
  pc_set_num_threads(1);
  must(pc_gemm_many(&j));
  pc_set_num_threads(3);
  j.c = d.m;
  must(pc_gemm_many(&j));
  pc_set_num_threads(was);
  ck_assert_mem_eq(c.p, d.p, sizeof *c.p * (size_t)(c.n - gap));
  pc_free(a.p);
  pc_free(b.p);
  pc_free(c.p);
  pc_free(d.p);
}
END_TEST

START_TEST(turning) {
  for (int r = 0; r < SIZES_N; r++)
    for (int q = 0; q < SIZES_N; q++) {
      int64_t rows = sizes[r], cols = sizes[q], ldf = cols + 3, ldt = rows + 2;
      float *from = pc_malloc(sizeof *from * (size_t)(rows * ldf)), *to = pc_calloc((size_t)(cols * ldt), sizeof *to);
      for (int64_t i = 0; i < rows * ldf; i++) from[i] = noise(i);
      pc_transpose_f32(to, ldt, from, ldf, rows, cols);
      for (int64_t j = 0; j < cols; j++)
        for (int64_t i = 0; i < ldt; i++)
          if (to[j * ldt + i] != (i < rows ? from[i * ldf + j] : 0)) ck_abort_msg("%d x %d", (int)rows, (int)cols);
      pc_free(from);
      pc_free(to);
    }
}
END_TEST

int main(void) {
  Suite *s = suite_create("gemm");
  TCase *tc = tcase_create("gemm");
  tcase_set_timeout(tc, 60);
  tcase_add_loop_test(tc, odd_sizes, 0, SIZES_N);
  tcase_add_test(tc, past_the_blocks);
  tcase_add_test(tc, strides_that_collide);
  tcase_add_test(tc, far_away);
  tcase_add_test(tc, no_k);
  tcase_add_test(tc, threads_give_the_same_bits);
  tcase_add_test(tc, turning);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
