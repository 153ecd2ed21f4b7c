/* ink: colours that tell apart, light and dark. */
#include "plot/ink.h"
#include "scratch.h"

static double distance(uint32_t a, uint32_t b) {
  double sum = 0;
  for (int k = 0; k < 3; k++) {
    double d = (double)(a >> 8 * k & 255) - (double)(b >> 8 * k & 255);
    sum += d * d;
  }
  return sum;
}

START_TEST(test_colors) {
  for (int dark = 0; dark < 2; dark++)
    for (uint32_t i = 0; i < PC_SERIES_COLORS; i++) {
      uint32_t c = pc_ink_rgb(PC_INK_SERIES + i, dark);
      ck_assert(distance(c, pc_ink_rgb(PC_INK_GROUND, dark)) > 60 * 60);
      for (uint32_t k = 0; k < i; k++) ck_assert(distance(c, pc_ink_rgb(PC_INK_SERIES + k, dark)) > 50 * 50);
    }
  ck_assert_uint_eq(pc_contrast_ink(0xfde725), PC_INK_RGB);
  ck_assert_uint_eq(pc_contrast_ink(0x440154), PC_INK_RGB | 0xffffff);
  ck_assert_str_eq(pc_ink_name(PC_INK_TEXT), "text");
  ck_assert_str_eq(pc_ink_name(PC_INK_SERIES + 8), "s1");
  ck_assert_ptr_null(pc_ink_name(PC_INK_RGB | 1));
}
END_TEST

static void tests(TCase *tc) { tcase_add_test(tc, test_colors); }

int main(void) { return run_in_scratch("plot ink", tests); }
