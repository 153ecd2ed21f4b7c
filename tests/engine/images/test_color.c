/* color: palettes for quantities and labels. */
#include <math.h>

#include "images/color.h"
#include "scratch.h"

START_TEST(test_palette) {
  uint8_t v[4] = {0, 1, 2, 13};
  int64_t size[2] = {2, 2};
  pc_tensor *t, *r;
  must(pc_tensor_from(&t, PC_U8, 2, size, v));
  must(pc_labels_to_rgb(&r, t));
  ck_assert_str_eq(pc_shape_str(r), "(2,2,3)");
  ck_assert_int_eq(memcmp(pc_u8(r) + 3, pc_u8(r) + 9, 3), 0); /* 13 is 1 again */
  ck_assert_int_ne(memcmp(pc_u8(r) + 3, pc_u8(r) + 6, 3), 0);
  pc_tensor_release(r);
  pc_tensor_release(t);
}
END_TEST

START_TEST(test_map) {
  ck_assert_uint_eq(pc_colormap(0), 0x440154);
  ck_assert_uint_eq(pc_colormap(1), 0xfde725);
  ck_assert_uint_eq(pc_colormap(-3), 0x440154);
  ck_assert_uint_eq(pc_colormap(9), 0xfde725);
  ck_assert_uint_eq(pc_colormap(NAN), 0x440154);
  double last = -1;
  for (int i = 0; i <= 100; i++) { /* brighter and brighter */
    uint32_t c = pc_colormap(i / 100.);
    double y = 0.2126 * (c >> 16 & 255) + 0.7152 * (c >> 8 & 255) + 0.0722 * (c & 255);
    ck_assert(y > last);
    last = y;
  }
  ck_assert_uint_eq(pc_contrast_rgb(0xfde725), 0);
  ck_assert_uint_eq(pc_contrast_rgb(0x440154), 0xffffff);
}
END_TEST

START_TEST(test_colorize) {
  float v[6] = {0, 2, 1, NAN, -5, 7};
  int64_t size[3] = {1, 2, 3};
  pc_tensor *t, *c;
  must(pc_tensor_from(&t, PC_F32, 3, size, v));
  must(pc_colorize(&c, t, 0, 2));
  ck_assert_str_eq(pc_shape_str(c), "(1,2,3,3)");
  static const uint32_t want[6] = {0x440154, 0xfde725, 0x21908d, 0x808080, 0x440154, 0xfde725};
  for (int i = 0; i < 6; i++) {
    const uint8_t *p = pc_u8(c) + 3 * i;
    ck_assert_uint_eq((uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2], want[i]);
  }
  pc_tensor_release(c);
  must(pc_colorize(&c, t, 1, 1)); /* no span */
  pc_tensor_release(c);
  must_fail(pc_colorize(&c, t, 2, 1), PC_EARG, "limits 2 and 1");
  pc_tensor_release(t);
  must(pc_tensor_zeros(&t, PC_F32, 1, size));
  must_fail(pc_colorize(&c, t, 0, 1), PC_ESHAPE, "values have shape (1); (H,W) or (N,H,W)");
  pc_tensor_release(t);
}
END_TEST

static void add(TCase *c) {
  tcase_add_test(c, test_palette);
  tcase_add_test(c, test_map);
  tcase_add_test(c, test_colorize);
}

int main(void) { return run_in_scratch("color", add); }
