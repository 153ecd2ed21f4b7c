/* resize: against sums and interpolation by hand. */
#include <math.h>

#include "base/rng.h"
#include "images/resize.h"
#include "scratch.h"

START_TEST(test_box_by_hand) { /* 3 -> 2: weights (2/3, 1/3) and (1/3, 2/3) */
  float src[3] = {3, 6, 12}, dst[2];
  must(pc_resize_pixels_f32(dst, 1, 2, src, 1, 3, 1));
  ck_assert_float_eq_tol(dst[0], 4, 1e-5f);
  ck_assert_float_eq_tol(dst[1], 10, 1e-5f);
  uint8_t a[8] = {0, 10, 20, 31, 100, 110, 120, 130}, b[2]; /* (2,4) -> (1,2): means of 2 x 2 */
  must(pc_resize_pixels_u8(b, 1, 2, a, 2, 4, 1));
  ck_assert(b[0] == 55 && b[1] == 75); /* 55, 75.25 */
}
END_TEST

/* The box filter as an integral over a fine grid of whole cells. */
START_TEST(test_box_property) {
  enum { S = 21, D = 9, C = 3 };
  float src[S * S * C], dst[D * D * C], sum = 0, dsum = 0;
  pc_rng g = {3, 0};
  pc_rng_fill_uniform_f32(&g, src, S * S * C);
  must(pc_resize_pixels_f32(dst, D, D, src, S, S, C));
  for (int i = 0; i < S * S * C; i++) sum += src[i] / (S * S);
  for (int i = 0; i < D * D * C; i++) dsum += dst[i] / (D * D);
  ck_assert_float_eq_tol(sum, dsum, 1e-4f); /* the mean is kept */
  for (int y = 0; y < D; y++)
    for (int x = 0; x < D; x++) {
      double v = 0;
      for (int p = 0; p < S; p++)
        for (int q = 0; q < S; q++) {
          double cy = fmin((p + 1) * D, (y + 1) * S) - fmax(p * D, y * S);
          double cx = fmin((q + 1) * D, (x + 1) * S) - fmax(q * D, x * S);
          if (cy > 0 && cx > 0) v += cy * cx * src[(p * S + q) * C + 1];
        }
      ck_assert_double_eq_tol(v / (S * S), dst[(y * D + x) * C + 1], 1e-5);
    }
}
END_TEST

START_TEST(test_up) {
  float src[2] = {0, 1}, dst[4];
  must(pc_resize_pixels_f32(dst, 1, 4, src, 1, 2, 1));
  ck_assert_float_eq_tol(dst[0], 0, 1e-6f);
  ck_assert_float_eq_tol(dst[1], .25f, 1e-6f);
  ck_assert_float_eq_tol(dst[2], .75f, 1e-6f);
  ck_assert_float_eq_tol(dst[3], 1, 1e-6f);
  uint8_t one = 200, big[6];
  must(pc_resize_pixels_u8(big, 2, 3, &one, 1, 1, 1));
  for (int i = 0; i < 6; i++) ck_assert_int_eq(big[i], 200);
  uint8_t lab[4] = {1, 2, 3, 4}, up[16], down[1];
  pc_resize_labels_u8(up, 4, 4, lab, 2, 2);
  ck_assert(up[0] == 1 && up[1] == 1 && up[2] == 2 && up[3] == 2 && up[15] == 4 && up[12] == 3);
  pc_resize_labels_u8(down, 1, 1, lab, 2, 2);
  ck_assert_int_eq(down[0], 4);
}
END_TEST

START_TEST(test_tensors) {
  pc_tensor *t, *r;
  int64_t size[4] = {2, 4, 4, 3}, flat[2] = {4, 4}, none[3] = {0, 4, 3};
  must(pc_tensor_full(&t, PC_U8, 4, size, 77));
  must(pc_resize(&r, t, 3, 5));
  ck_assert_str_eq(pc_shape_str(r), "(2,3,5,3)");
  for (int64_t i = 0; i < pc_numel(r); i++) ck_assert_int_eq(pc_u8(r)[i], 77);
  pc_tensor_release(r);
  must_fail(pc_resize(&r, t, 0, 5), PC_EARG, "new size 0 x 5");
  must_fail(pc_resize_labels(&r, t, 2, 2), PC_ESHAPE, "shape (2,4,4,3) is neither (H,W) nor (N,H,W)");
  pc_tensor_release(t);
  must(pc_tensor_zeros(&t, PC_F64, 4, size));
  must_fail(pc_resize(&r, t, 2, 2), PC_EDTYPE, "the tensor is f64, not u8 or f32");
  pc_tensor_release(t);
  must(pc_tensor_zeros(&t, PC_U8, 3, none));
  must_fail(pc_resize(&r, t, 2, 2), PC_ESHAPE, "has no pixels");
  pc_tensor_release(t);
  must(pc_tensor_full(&t, PC_U8, 2, flat, 3));
  must(pc_resize_labels(&r, t, 2, 7));
  ck_assert(r->size[0] == 2 && r->size[1] == 7 && pc_u8(r)[13] == 3);
  pc_tensor_release(r);
  pc_tensor_release(t);
}
END_TEST

static void add(TCase *c) {
  tcase_add_test(c, test_box_by_hand);
  tcase_add_test(c, test_box_property);
  tcase_add_test(c, test_up);
  tcase_add_test(c, test_tensors);
}

int main(void) { return run_in_scratch("resize", add); }
