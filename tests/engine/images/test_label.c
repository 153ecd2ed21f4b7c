/* label: what comes from users is made fit to draw; letters land where they belong. */
#include "images/label.h"
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

START_TEST(test_draw) {
  enum { H = 40, W = 120 };
  static uint8_t p[H * W * 3];
  const uint8_t red[3] = {255, 0, 0};
  memset(p, 255, sizeof p);
  must(pc_label_draw(p, H, W, 28, 10, "HIH", 20, 0, red));
  double w = pc_label_width("HIH", 20, 0);
  int left = W, right = -1, top = H, bottom = -1;
  for (int y = 0; y < H; y++)
    for (int x = 0; x < W; x++)
      if (p[(y * W + x) * 3 + 1] < 128) {
        left = x < left ? x : left, right = x > right ? x : right;
        top = y < top ? y : top, bottom = y > bottom ? y : bottom;
        ck_assert_int_eq(p[(y * W + x) * 3], 255);
      }
  ck_assert_int_ge(left, 10);
  ck_assert_int_le(right, 10 + (int)w);
  ck_assert_int_gt(right - left, (int)(0.8 * w));
  ck_assert_int_eq(bottom, 27); /* on the baseline */
  ck_assert(top >= 12 && top <= 15);
  for (int x = -60; x < W + 60; x += 30) /* over every border */
    for (int y = -30; y < H + 60; y += 20) must(pc_label_draw(p, H, W, y, x, "over the border", 20, 1, red));
  must(pc_label_draw(p, H, W, 10, 10, "", 20, 1, red));
}
END_TEST

static void add(TCase *c) {
  tcase_add_test(c, test_clean);
  tcase_add_test(c, test_fit);
  tcase_add_test(c, test_draw);
}

int main(void) { return run_in_scratch("label", add); }
