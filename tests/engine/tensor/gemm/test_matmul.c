/* test_matmul.c: products against triple loops, at odd sizes and in every layout. */
#include "engine/tensor/brute.h"

#include "base/parallel.h"
#include "tensor/gemm/matmul.h"

static const pc_val none[4];
static const int64_t odd[] = {1, 3, 7, 63, 65};
enum { ODD = sizeof odd / sizeof *odd };

/* c = a b for two matrices, element by element. */
static pc_tensor *by_hand(const pc_tensor *a, const pc_tensor *b) {
  int64_t m = a->size[0], k = a->size[1], n = b->size[1];
  pc_tensor *c;
  must(pc_tensor_empty(&c, PC_F64, SIZES(m, n)));
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      double s = 0;
      for (int64_t l = 0; l < k; l++) s += pc_at(a, i * k + l) * pc_at(b, l * n + j);
      pc_f64(c)[i * n + j] = s;
    }
  return c;
}

START_TEST(odd_sizes) {
  pc_tensor *(*make[])(pc_dtype, int, const int64_t *) = {rnd, rnd_t, rnd_s};
  pc_dtype d = _i ? PC_F64 : PC_F32;
  double tol = _i ? 1e-12 : 1e-4;
  for (int i = 0; i < ODD * ODD * ODD; i++)
    for (int lay = 0; lay < 9; lay++) {
      int64_t m = odd[i % ODD], n = odd[i / ODD % ODD], k = odd[i / ODD / ODD];
      if (lay && m * n * k > 7 * 63 * 65) continue;
      pc_tensor *in[] = {make[lay % 3](d, SIZES(m, k)), make[lay / 3](d, SIZES(k, n))};
      pc_tensor *want = by_hand(in[0], in[1]), *got = run_tier(pc_cpu_best(), pc_fwd_matmul, 2, in, none);
      same(got, want, tol, "matmul");
      tiers_agree(pc_fwd_matmul, 2, in, none, tol, "matmul tiers");
      pc_tensor_release(in[0]);
      pc_tensor_release(in[1]);
      pc_tensor_release(want);
      pc_tensor_release(got);
    }
}
END_TEST

/* Large enough to be cut: rows, columns, inner dimension. */
START_TEST(cut_products) {
  static const int64_t size[][3] = {{700, 65, 70}, {9, 1200, 130}, {40, 30, 5000}, {300, 300, 300}};
  for (int i = 0; i < 4; i++) {
    int64_t m = size[i][0], n = size[i][1], k = size[i][2];
    pc_tensor *in[] = {rnd_t(PC_F64, SIZES(m, k)), rnd(PC_F64, SIZES(k, n))};
    tiers_agree(pc_fwd_matmul, 2, in, none, 1e-11, "cut matmul");
    pc_set_num_threads(1);
    pc_tensor *one = run_tier(pc_cpu_best(), pc_fwd_matmul, 2, in, none);
    pc_set_num_threads(2);
    pc_tensor *two = run_tier(pc_cpu_best(), pc_fwd_matmul, 2, in, none);
    same(one, two, 0, "1 and 2 threads");
    for (int j = 0; j < 2; j++) pc_tensor_release(in[j]);
    pc_tensor_release(one);
    pc_tensor_release(two);
  }
}
END_TEST

static void shape_is(const pc_tensor *t, int n, const int64_t *size) {
  ck_assert_str_eq(pc_shape_str(t), pc_dims_str(n, size));
}

/* NumPy's rules for 1-d operands and batch dimensions. */
START_TEST(numpy_rules) {
  static const struct {
    int na, nb, nc;
    int64_t a[4], b[4], c[4];
  } t[] = {
      {1, 1, 0, {5}, {5}, {0}},
      {1, 2, 1, {5}, {5, 3}, {3}},
      {2, 1, 1, {4, 5}, {5}, {4}},
      {3, 2, 3, {2, 4, 5}, {5, 3}, {2, 4, 3}},
      {2, 3, 3, {4, 5}, {2, 5, 3}, {2, 4, 3}},
      {4, 3, 4, {6, 1, 4, 5}, {2, 5, 3}, {6, 2, 4, 3}},
      {1, 3, 2, {5}, {2, 5, 3}, {2, 3}},
      {3, 1, 2, {2, 4, 5}, {5}, {2, 4}},
      {3, 3, 3, {0, 4, 5}, {0, 5, 3}, {0, 4, 3}},
      {2, 2, 2, {4, 0}, {0, 3}, {4, 3}},
      {2, 2, 2, {0, 2}, {2, 3}, {0, 3}},
  };
  for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
    pc_tensor *in[] = {rnd(PC_F64, t[i].na, t[i].a), rnd(PC_F64, t[i].nb, t[i].b)};
    pc_tensor *c = run_tier(pc_cpu_best(), pc_fwd_matmul, 2, in, none);
    shape_is(c, t[i].nc, t[i].c);
    tiers_agree(pc_fwd_matmul, 2, in, none, 1e-13, "rules");
    if (t[i].na == 2 && t[i].nb == 3) { /* each batch entry is a product of matrices */
      for (int64_t b = 0; b < t[i].b[0]; b++) {
        pc_tensor *mb, *mc;
        must(pc_view_select(&mb, in[1], 0, b));
        must(pc_view_select(&mc, c, 0, b));
        pc_tensor *want = by_hand(in[0], mb);
        same(mc, want, 1e-13, "batch");
        pc_tensor_release(mb);
        pc_tensor_release(mc);
        pc_tensor_release(want);
      }
    }
    for (int j = 0; j < 2; j++) pc_tensor_release(in[j]);
    pc_tensor_release(c);
  }
}
END_TEST

START_TEST(integers) {
  pc_tensor *in[2], *c;
  must(pc_tensor_from(&in[0], PC_I64, SIZES(2, 2), (int64_t[]){1, 2, 3, 4}));
  must(pc_tensor_from(&in[1], PC_I32, SIZES(2, 2), (int32_t[]){5, 6, 7, -8}));
  must(pc_fwd_matmul(&c, in, 2, none));
  ck_assert_int_eq(c->dtype, PC_I64);
  static const int64_t want[] = {19, -10, 43, -14};
  for (int i = 0; i < 4; i++) ck_assert_int_eq(pc_i64(c)[i], want[i]);
  for (int j = 0; j < 2; j++) pc_tensor_release(in[j]);
  pc_tensor_release(c);
}
END_TEST

/* linear = x w' + b, and its gradients. */
START_TEST(linear_and_gradients) {
  pc_tensor *x = rnd(PC_F64, SIZES(3, 5, 7)), *w = rnd_t(PC_F64, SIZES(4, 7)), *b = rnd(PC_F64, SIZES(4));
  pc_tensor *in[] = {x, w, b}, *y = run_tier(pc_cpu_best(), pc_fwd_linear, 3, in, none);
  for (int64_t r = 0; r < 15; r++)
    for (int64_t o = 0; o < 4; o++) {
      double s = pc_at(b, o);
      for (int64_t i = 0; i < 7; i++) s += pc_at(x, r * 7 + i) * pc_at(w, o * 7 + i);
      ck_assert_double_eq_tol(pc_at(y, r * 4 + o), s, 1e-13);
    }
  pc_tensor *g = rnd(PC_F64, SIZES(3, 5, 4)), *grads[3], *gx, *gw, *gb;
  must(pc_fwd_linear_backward(grads, (pc_tensor *[]){g, x, w}, 3, &PC_VI(7)));
  gx = grads[0], gw = grads[1], gb = grads[2];
  ck_assert(pc_same_shape(gx, x) && pc_same_shape(gw, w) && pc_same_shape(gb, b));
  for (int64_t o = 0; o < 4; o++) {
    double sb = 0;
    for (int64_t r = 0; r < 15; r++) sb += pc_at(g, r * 4 + o);
    ck_assert_double_eq_tol(pc_at(gb, o), sb, 1e-13);
    for (int64_t i = 0; i < 7; i++) {
      double s = 0;
      for (int64_t r = 0; r < 15; r++) s += pc_at(g, r * 4 + o) * pc_at(x, r * 7 + i);
      ck_assert_double_eq_tol(pc_at(gw, o * 7 + i), s, 1e-13);
    }
  }
  for (int64_t r = 0; r < 15; r++)
    for (int64_t i = 0; i < 7; i++) {
      double s = 0;
      for (int64_t o = 0; o < 4; o++) s += pc_at(g, r * 4 + o) * pc_at(w, o * 7 + i);
      ck_assert_double_eq_tol(pc_at(gx, r * 7 + i), s, 1e-13);
    }
  pc_tensor *all[] = {x, w, b, y, g, gx, gw, gb};
  for (int i = 0; i < 8; i++) pc_tensor_release(all[i]);
}
END_TEST

START_TEST(addmm_scales) {
  pc_tensor *in[] = {rnd(PC_F32, SIZES(3)), rnd(PC_F32, SIZES(2, 4)), rnd_t(PC_F32, SIZES(4, 3))};
  pc_val v[2] = {PC_VD(0.5), PC_VD(-2)};
  pc_tensor *y = run_tier(pc_cpu_best(), pc_fwd_addmm, 3, in, v), *p = by_hand(in[1], in[2]);
  for (int i = 0; i < 6; i++) ck_assert_double_eq_tol(pc_at(y, i), 0.5 * pc_at(in[0], i % 3) - 2 * pc_at(p, i), 1e-5);
  for (int i = 0; i < 3; i++) pc_tensor_release(in[i]);
  pc_tensor_release(y);
  pc_tensor_release(p);
}
END_TEST

START_TEST(messages) {
  pc_tensor *a = rnd(PC_F32, SIZES(16, 64)), *b = rnd(PC_F32, SIZES(10, 64)), *c = rnd(PC_F32, SIZES(2, 3, 4)),
            *s = rnd(PC_F32, 0, NULL), *v = rnd(PC_F32, SIZES(3)), *d = rnd(PC_F32, SIZES(3, 4, 5));
  refuses(pc_fwd_matmul, 2, (pc_tensor *[]){a, b}, none, PC_ESHAPE,
          "matmul: inner sizes differ: a (16,64) has 64 columns, b (10,64) has 10 rows; did you mean b:t()?");
  refuses(pc_fwd_matmul, 2, (pc_tensor *[]){b, a}, none, PC_ESHAPE,
          "matmul: inner sizes differ: a (10,64) has 64 columns, b (16,64) has 16 rows; did you mean b:t()?");
  refuses(pc_fwd_matmul, 2, (pc_tensor *[]){a, v}, none, PC_ESHAPE,
          "matmul: inner sizes differ: a (16,64) has 64 columns, b (3) has 3 rows; b must have 64 rows");
  refuses(pc_fwd_matmul, 2, (pc_tensor *[]){c, d}, none, PC_ESHAPE,
          "matmul: batch dimensions do not broadcast: a (2,3,4), b (3,4,5) (all but the last two must)");
  refuses(pc_fwd_matmul, 2, (pc_tensor *[]){a, s}, none, PC_ESHAPE,
          "matmul: b is 0-dim: a (16,64), b (); use * to multiply by a number");
  refuses(pc_fwd_bmm, 2, (pc_tensor *[]){c, d}, none, PC_ESHAPE,
          "bmm: a (2,3,4) and b (3,4,5): both must be (batch,rows,columns) with equal batch; matmul broadcasts");
  refuses(pc_fwd_linear, 2, (pc_tensor *[]){c, a}, none, PC_ESHAPE,
          "linear: x (2,3,4) must end in the 64 inputs of weight (16,64) (out,in)");
  refuses(pc_fwd_linear, 3, (pc_tensor *[]){a, b, v}, none, PC_ESHAPE,
          "linear: bias (3) must be (10): the outputs of weight (10,64)");
  pc_tensor *all[] = {a, b, c, s, v, d};
  for (int i = 0; i < 6; i++) pc_tensor_release(all[i]);
}
END_TEST

int main(void) {
  Suite *s = suite_create("matmul");
  TCase *tc = tcase_create("matmul");
  tcase_set_timeout(tc, 60);
  tcase_add_loop_test(tc, odd_sizes, 0, 2);
  tcase_add_test(tc, cut_products);
  tcase_add_test(tc, numpy_rules);
  tcase_add_test(tc, integers);
  tcase_add_test(tc, linear_and_gradients);
  tcase_add_test(tc, addmm_scales);
  tcase_add_test(tc, messages);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
