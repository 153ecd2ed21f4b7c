/* canvas: the same calls in SVG and in pixels. */
#include <math.h>

#include "base/alloc.h"
#include "plot/canvas.h"
#include "scratch.h"
#include "svg.h"

static void draw(pc_canvas *c) {
  pc_canvas_rect(c, 10, 20, 30, 10, &(pc_pen){.fill = PC_INK_SERIES});
  pc_canvas_circle(c, 70, 25, 8, &(pc_pen){.fill = PC_INK_RGB | 0x00ff00});
  pc_canvas_clip(c, 0, 50, 50, 30);
  pc_canvas_line(c, 0, 60, 1e300, 60, &(pc_pen){.stroke = PC_INK_TEXT, .width = 4});
  pc_canvas_unclip(c);
  pc_canvas_path(c, 3, (double[]){60, 60, 90, 60, 60, 90}, 1, &(pc_pen){.fill = PC_INK_AXIS, .alpha = 0.5});
  pc_canvas_text(c, 5, 95, &(pc_face){.size = 10, .ink = PC_INK_MUTED, .angle = 10}, "a<b> & \"c\" \x01\xff");
}

static uint32_t at_pixel(const pc_tensor *t, int x, int y) {
  const uint8_t *p = pc_u8(t) + (y * t->size[1] + x) * 3;
  return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

START_TEST(test_pixels) {
  for (int dark = 0; dark < 2; dark++)
    for (int scale = 1; scale < 3; scale++) {
      pc_canvas *c;
      pc_tensor *t;
      must(pc_canvas_new(&c, 0, 100, 100, scale, dark, NULL));
      draw(c);
      must(pc_canvas_pixels(&t, c));
      ck_assert_int_eq(t->size[0], 100 * scale);
      ck_assert_int_eq(t->size[1], 100 * scale);
      ck_assert_uint_eq(at_pixel(t, 25 * scale, 25 * scale), pc_ink_rgb(PC_INK_SERIES, dark));
      ck_assert_uint_eq(at_pixel(t, 70 * scale, 25 * scale), 0x00ff00);
      ck_assert_uint_eq(at_pixel(t, 45 * scale, 60 * scale), pc_ink_rgb(PC_INK_TEXT, dark));
      ck_assert_uint_eq(at_pixel(t, 55 * scale, 60 * scale), pc_ink_rgb(PC_INK_GROUND, dark)); /* clipped */
      uint32_t half = at_pixel(t, 68 * scale, 68 * scale), a = pc_ink_rgb(PC_INK_AXIS, dark),
               b = pc_ink_rgb(PC_INK_GROUND, dark);
      ck_assert(fabs((half & 255) - ((a & 255) + (b & 255)) / 2.) <= 1);
      pc_tensor_release(t);
      pc_canvas_free(c);
    }
}
END_TEST

START_TEST(test_svg) {
  pc_canvas *c;
  char *s;
  must(pc_canvas_new(&c, 1, 100, 100, 1, 0, "title \"quoted\" <x>"));
  draw(c);
  must(pc_canvas_svg(&s, c));
  ck_assert_msg(!svg_fault(s), "%s in %s", svg_fault(s), s);
  ck_assert(strstr(s, "aria-label=\"title &quot;quoted&quot; &lt;x&gt;\""));
  ck_assert(strstr(s, ">a&lt;b&gt; &amp; &quot;c&quot;  \xef\xbf\xbd</text>"));
  ck_assert(strstr(s, "class=\"f-s0\" fill=\"#0072b2\"") && strstr(s, "fill=\"#00ff00\""));
  ck_assert(strstr(s, "transform=\"rotate(-10 5 95)\"") && strstr(s, "opacity=\"0.5\""));
  ck_assert(!strstr(s, "nan") && !strstr(s, "inf") && !strstr(s, "id="));
  ck_assert_int_eq(count_of(s, "<svg"), 2); /* the clip */
  pc_free(s);
  pc_canvas_free(c);
}
END_TEST

START_TEST(test_mistakes) {
  pc_canvas *c;
  must_fail(pc_canvas_new(&c, 1, 10, 100, 1, 0, NULL), PC_EARG, "10 x 100 pixels; sides of 60 to 8000");
  must_fail(pc_canvas_new(&c, 1, NAN, 100, 1, 0, NULL), PC_EARG, "sides of 60 to 8000");
  must_fail(pc_canvas_new(&c, 0, 4000, 100, 100, 0, NULL), PC_EARG, "scale 100");
  ck_assert_ptr_null(c);
  must(pc_canvas_new(&c, 1, 100, 100, 1, 0, NULL));
  char *s;
  pc_canvas_fail(c, pc_fail(PC_ENOMEM, "plot: no memory"));
  must_fail((draw(c), pc_fail(PC_ENOMEM, "plot: no memory"), pc_canvas_svg(&s, c)), PC_ENOMEM, "");
  ck_assert_ptr_null(s);
  pc_canvas_free(c);
  pc_canvas_free(NULL);
}
END_TEST

/* Whichever allocation fails: an error, no leak, no crash. */
START_TEST(test_no_memory) {
  pc_alloc_stats before, after;
  pc_alloc_get_stats(&before);
  for (int nth = 1, done = 0; !done; nth++) {
    pc_canvas *c;
    char *s = NULL;
    pc_alloc_fail_nth(nth);
    int rc = pc_canvas_new(&c, 1, 100, 100, 1, 0, "t");
    if (rc == PC_OK) {
      for (int i = 0; i < 60; i++) draw(c);
      rc = pc_canvas_svg(&s, c);
    }
    pc_alloc_fail_nth(0);
    done = rc == PC_OK;
    if (!done) ck_assert_int_eq(rc, PC_ENOMEM);
    pc_free(s);
    pc_canvas_free(c);
  }
  pc_alloc_get_stats(&after);
  ck_assert_int_eq(before.live, after.live);
}
END_TEST

static void tests(TCase *tc) {
  tcase_add_test(tc, test_pixels);
  tcase_add_test(tc, test_svg);
  tcase_add_test(tc, test_mistakes);
  tcase_add_test(tc, test_no_memory);
}

int main(void) { return run_in_scratch("plot canvas", tests); }
