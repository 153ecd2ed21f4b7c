/* test_pool.c: pooling and resampling by hand-computed numbers; messages. */
#include "engine/tensor/brute.h"

#include "tensor/conv/pool.h"

static pc_val two(int64_t a, int64_t b) { return pc_vlist(2, (int64_t[]){a, b}); }

static void is(pc_tensor *y, const char *shape, const double *want) {
  ck_assert_str_eq(pc_shape_str(y), shape);
  for (int64_t i = 0; i < pc_numel(y); i++) ck_assert_double_eq_tol(pc_at(y, i), want[i], 1e-12);
  pc_tensor_release(y);
}

START_TEST(windows) {
  pc_tensor *x, *y, *g;
  must(pc_tensor_from(&x, PC_F64, SIZES(1, 3, 3, 1), (double[]){1, 2, 3, 4, 9, 6, 7, 8, 5}));
  const pc_val plain[3] = {two(2, 2), two(1, 1)}, padded[3] = {two(2, 2), PC_VNONE, two(1, 1)};
  must(pc_fwd_max_pool2d(&y, &x, 1, plain));
  is(y, "(1,2,2,1)", (double[]){9, 9, 9, 9});
  must(pc_fwd_avg_pool2d(&y, &x, 1, plain));
  is(y, "(1,2,2,1)", (double[]){4, 5, 7, 7});
  must(pc_fwd_avg_pool2d(&y, &x, 1, padded)); /* zeros count */
  is(y, "(1,2,2,1)", (double[]){0.25, 1.25, 2.75, 7});
  must(pc_fwd_max_pool2d(&y, &x, 1, padded)); /* zeros do not */
  is(y, "(1,2,2,1)", (double[]){1, 3, 7, 9});
  must(pc_tensor_from(&g, PC_F64, SIZES(1, 2, 2, 1), (double[]){1, 2, 3, 4}));
  must(pc_fwd_max_pool2d_backward(&y, (pc_tensor *[]){g, x}, 2, plain));
  is(y, "(1,3,3,1)", (double[]){0, 0, 0, 0, 10, 0, 0, 0, 0});
  pc_tensor_release(g);
  pc_tensor_release(x);
}
END_TEST

START_TEST(resampling) {
  pc_tensor *x, *y;
  must(pc_tensor_from(&x, PC_F64, SIZES(1, 1, 2, 1), (double[]){0, 4}));
  const pc_val near[4] = {two(2, 4)}, lin[4] = {two(1, 4), PC_VNONE, {.set = 1, .s = "bilinear"}},
               align[4] = {two(1, 5), PC_VNONE, {.set = 1, .s = "bilinear"}, PC_VI(1)},
               factor[4] = {PC_VNONE, PC_VD(2), {.set = 1, .s = "bilinear"}};
  must(pc_fwd_upsample(&y, &x, 1, near));
  is(y, "(1,2,4,1)", (double[]){0, 0, 4, 4, 0, 0, 4, 4});
  must(pc_fwd_upsample(&y, &x, 1, lin));
  is(y, "(1,1,4,1)", (double[]){0, 1, 3, 4});
  must(pc_fwd_upsample(&y, &x, 1, align));
  is(y, "(1,1,5,1)", (double[]){0, 1, 2, 3, 4});
  must(pc_fwd_upsample(&y, &x, 1, factor));
  is(y, "(1,2,4,1)", (double[]){0, 1, 3, 4, 0, 1, 3, 4});
  pc_tensor_release(x);
}
END_TEST

START_TEST(messages) {
  pc_tensor *x = rnd(PC_F32, SIZES(1, 4, 4, 2)), *flat = rnd(PC_F32, SIZES(4, 4, 2));
  const pc_val k2[3] = {two(2, 2)}, k9[3] = {two(9, 9)}, pad[3] = {two(2, 2), PC_VNONE, two(2, 2)}, none[4] = {{0}},
               mode[4] = {two(2, 2), PC_VNONE, {.set = 1, .s = "cubic"}};
  refuses(pc_fwd_max_pool2d, 1, &flat, k2, PC_ESHAPE,
          "max_pool2d: x (4,4,2) must be (N,H,W,C); one image? unsqueeze(1) it");
  refuses(pc_fwd_max_pool2d, 1, &x, k9, PC_ESHAPE, "max_pool2d: kernel_size {9,9} is larger than x (1,4,4,2)");
  refuses(pc_fwd_avg_pool2d, 1, &x, pad, PC_EARG,
          "avg_pool2d: padding {2,2} must be at most half of kernel_size {2,2}");
  refuses(pc_fwd_upsample, 1, &x, none, PC_EARG, "upsample: give either size {H,W} or scale_factor");
  refuses(pc_fwd_upsample, 1, &x, mode, PC_EARG, "upsample: mode 'cubic' is not known; use 'nearest' or 'bilinear'");
  pc_tensor_release(x);
  pc_tensor_release(flat);
}
END_TEST

int main(void) {
  Suite *s = suite_create("pool");
  TCase *tc = tcase_create("pool");
  tcase_add_test(tc, windows);
  tcase_add_test(tc, resampling);
  tcase_add_test(tc, messages);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
