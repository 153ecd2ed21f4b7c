/* overlay: labels and weights over pictures, pixel by pixel. */
#include <math.h>

#include "images/color.h"
#include "images/overlay.h"
#include "options.h"
#include "scratch.h"

#define OVERLAY(...) WITH(pc_overlay_opts, PC_OVERLAY_OPTIONS, __VA_ARGS__)

static pc_tensor *make(pc_dtype d, int nd, const int64_t *size, const void *data) {
  pc_tensor *t;
  must(pc_tensor_from(&t, d, nd, size, data));
  return t;
}

static int mixed(int gray, int label, int c, double alpha) {
  return (int)((1 - alpha) * gray + alpha * (pc_label_rgb(label) >> (16 - 8 * c) & 255) + 0.5);
}

START_TEST(test_labels) {
  uint8_t gray[4] = {100, 100, 100, 100}, label[4] = {0, 1, 1, 2};
  pc_tensor *x = make(PC_U8, 4, (int64_t[]){1, 1, 4, 1}, gray), *m = make(PC_U8, 3, (int64_t[]){1, 1, 4}, label), *y;
  must(pc_overlay(&y, x, m, NULL));
  ck_assert_str_eq(pc_shape_str(y), "(1,1,4,3)");
  for (int i = 0; i < 4; i++)
    for (int c = 0; c < 3; c++) ck_assert(abs(pc_u8(y)[3 * i + c] - mixed(100, label[i], c, label[i] ? 0.5 : 0)) <= 1);
  pc_tensor_release(y);
  uint8_t wide[5] = {1, 1, 1, 1, 0};
  pc_tensor *m5 = make(PC_U8, 3, (int64_t[]){1, 1, 5}, wide), *x5;
  must(pc_tensor_full(&x5, PC_F32, 4, (int64_t[]){1, 1, 5, 3}, 0.5));
  must(pc_overlay(&y, x5, m5, &OVERLAY(.alpha = 0.25, .outline = 1)));
  for (int i = 0; i < 5; i++)
    ck_assert(abs(pc_u8(y)[3 * i] - mixed(128, wide[i], 0, i == 4 ? 0 : i == 3 ? 1 : 0.25)) <= 1);
  pc_tensor_release(y);
  pc_tensor_release(m5);
  pc_tensor_release(x5);
  pc_tensor_release(x);
  pc_tensor_release(m);
}
END_TEST

START_TEST(test_weights) { /* one place for 2 x 2 pixels */
  float w[6] = {0.75f, 0.25f, 0, 0, NAN, -1};
  pc_tensor *x, *m = make(PC_F32, 4, (int64_t[]){1, 1, 3, 2}, w), *y;
  must(pc_tensor_full(&x, PC_U8, 4, (int64_t[]){1, 2, 6, 4}, 50));
  must(pc_overlay(&y, x, m, &OVERLAY(.alpha = 1)));
  for (int row = 0; row < 2; row++)
    for (int col = 0; col < 6; col++)
      for (int c = 0; c < 3; c++) {
        int want = col < 2 ? (int)(0.75 * mixed(0, 1, c, 1) + 0.25 * mixed(0, 2, c, 1) + 0.5) : 50;
        ck_assert(abs(pc_u8(y)[(row * 6 + col) * 3 + c] - want) <= 1);
      }
  pc_tensor_release(y);
  pc_tensor_release(x);
  pc_tensor_release(m);
}
END_TEST

START_TEST(test_mistakes) {
  pc_tensor *x, *m, *y;
  must(pc_tensor_zeros(&x, PC_U8, 4, (int64_t[]){1, 4, 4, 3}));
  must(pc_tensor_zeros(&m, PC_U8, 3, (int64_t[]){1, 4, 5}));
  must_fail(pc_overlay(&y, x, m, NULL), PC_ESHAPE, "images have shape (1,4,4,3), masks (1,4,5)");
  must_fail(pc_overlay(&y, m, m, NULL), PC_ESHAPE, "images have shape (1,4,5); (N,H,W,C)");
  pc_tensor_release(m);
  must(pc_tensor_zeros(&m, PC_F32, 3, (int64_t[]){1, 4, 4}));
  must_fail(pc_overlay(&y, x, m, NULL), PC_EDTYPE, "dtype f32; labels u8 (N,H,W) or weights");
  pc_tensor_release(m);
  must(pc_tensor_zeros(&m, PC_F32, 4, (int64_t[]){1, 3, 2, 2}));
  must_fail(pc_overlay(&y, x, m, NULL), PC_ESHAPE, "masks (1,3,2,2)");
  pc_tensor_release(m);
  must(pc_tensor_zeros(&m, PC_F32, 4, (int64_t[]){1, 2, 2, 0}));
  must(pc_overlay(&y, x, m, NULL)); /* no slots: the picture */
  pc_tensor_release(y);
  must_fail(pc_overlay(&y, x, m, &OVERLAY(.alpha = 2)), PC_EARG,
            "overlay: alpha: expected a number from 0 to 1, got 2");
  pc_tensor_release(m);
  pc_tensor_release(x);
}
END_TEST

static void add(TCase *c) {
  tcase_add_test(c, test_labels);
  tcase_add_test(c, test_weights);
  tcase_add_test(c, test_mistakes);
}

int main(void) { return run_in_scratch("overlay", add); }
