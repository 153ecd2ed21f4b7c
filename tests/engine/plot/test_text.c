/* text: what comes from users is made fit to draw; colours tell apart. */
#include "plot/text.h"
#include "scratch.h"

START_TEST(test_clean) {
  static const struct {
    const char *in, *out;
  } t[] = {{"plain", "plain"},
           {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
           {"a\tb\nc\x01"
            "d\x7f",
            "a b c d "},
           {"\xff"
            "x\xc3",
            "\xef\xbf\xbdx\xef\xbf\xbd"},
           {"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"},                 /* overlong */
           {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
           {"\xf0\x9f\x90\x98", "\xf0\x9f\x90\x98"},                 /* an elephant */
           {"\xef\xbf\xbf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* U+FFFF is no XML */
           {"", ""}};
  char buf[64];
  for (size_t i = 0; i < sizeof t / sizeof *t; i++) ck_assert_str_eq(pc_text_clean(buf, sizeof buf, t[i].in), t[i].out);
  ck_assert_str_eq(pc_text_clean(buf, sizeof buf, NULL), "");
  ck_assert_str_eq(pc_text_clean(buf, 8, "abcde\xc3\xbc\xc3\xbc"), "abcde\xc3\xbc"); /* no half character */
}
END_TEST

START_TEST(test_fit) {
  char buf[64] = "a rather long label of a series";
  double all = pc_label_width(buf, 11, 0);
  ck_assert(all > 100 && all < 300);
  ck_assert(pc_label_width(buf, 22, 0) > 1.9 * all && pc_label_width(buf, 11, 1) > all);
  pc_text_fit(buf, sizeof buf, 11, 0, all + 1);
  ck_assert_str_eq(buf, "a rather long label of a series");
  pc_text_fit(buf, sizeof buf, 11, 0, 80);
  ck_assert(strstr(buf, "\xe2\x80\xa6") && pc_label_width(buf, 11, 0) <= 80 && !strncmp(buf, "a rather", 8));
  strcpy(buf, "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc");
  pc_text_fit(buf, sizeof buf, 11, 0, 30);
  char again[64];
  ck_assert_str_eq(pc_text_clean(again, sizeof again, buf), buf);
  pc_text_fit(buf, sizeof buf, 11, 0, 0);
  ck_assert_str_eq(buf, "\xe2\x80\xa6");
}
END_TEST

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
  ck_assert_uint_eq(pc_colormap(0), 0x440154);
  ck_assert_uint_eq(pc_colormap(1), 0xfde725);
  ck_assert_uint_eq(pc_colormap(-3), 0x440154);
  ck_assert_uint_eq(pc_colormap(9), 0xfde725);
  ck_assert_uint_eq(pc_contrast_ink(0xfde725), PC_INK_RGB);
  ck_assert_uint_eq(pc_contrast_ink(0x440154), PC_INK_RGB | 0xffffff);
  ck_assert_str_eq(pc_ink_name(PC_INK_TEXT), "text");
  ck_assert_str_eq(pc_ink_name(PC_INK_SERIES + 8), "s1");
  ck_assert_ptr_null(pc_ink_name(PC_INK_RGB | 1));
}
END_TEST

static void tests(TCase *tc) {
  tcase_add_test(tc, test_clean);
  tcase_add_test(tc, test_fit);
  tcase_add_test(tc, test_colors);
}

int main(void) { return run_suite("plot text", tests); }
