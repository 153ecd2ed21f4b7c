#include "images/label.h"

#include <cairo.h>
#include <math.h>
#include <string.h>

/* Bytes of the character at s, 0 if it is no UTF-8 (overlong, surrogate, cut). */
static int utf8_length(const unsigned char *s) {
  uint32_t code;
  int n = s[0] < 0x80 ? 1 : (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : (s[0] & 0xf8) == 0xf0 ? 4 : 0;
  static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
  if (n < 2) return n;
  code = s[0] & (0xff >> (n + 1));
  for (int i = 1; i < n; i++) {
    if ((s[i] & 0xc0) != 0x80) return 0;
    code = code << 6 | (s[i] & 0x3f);
  }
  if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) || (code & 0xfffe) == 0xfffe) return 0;
  return n;
}

char *pc_text_clean(char *buf, size_t size, const char *text) {
  size_t at = 0;
  const unsigned char *s = (const unsigned char *)(text ? text : "");
  while (*s) {
    int n = utf8_length(s);
    const char *piece = n ? (const char *)s : "\xef\xbf\xbd";
    size_t bytes = n ? (size_t)n : 3;
    if (n == 1 && (*s < 32 || *s == 127)) piece = " ";
    if (n == 2 && s[0] == 0xc2 && s[1] < 0xa0) piece = " ", bytes = 1; /* C1 controls */
    if (at + bytes + 1 > size) break;
    memcpy(buf + at, piece, bytes);
    at += bytes;
    s += n ? n : 1;
  }
  buf[at] = '\0';
  return buf;
}

double pc_label_width(const char *text, double size, int bold) {
  cairo_text_extents_t e;
  cairo_surface_t *s = cairo_image_surface_create(CAIRO_FORMAT_A8, 1, 1);
  cairo_t *cr = cairo_create(s);
  pc_label_font(cr, size, bold);
  cairo_text_extents(cr, text, &e);
  double w = cairo_status(cr) ? 0.6 * size * (double)strlen(text) : e.x_advance;
  cairo_destroy(cr);
  cairo_surface_destroy(s);
  return w;
}

void pc_text_fit(char *buf, size_t size, double font, int bold, double room) {
  size_t n = strlen(buf);
  if (pc_label_width(buf, font, bold) <= room) return;
  if (n + 4 > size) n = size - 4;
  while (n > 0) {
    while (n > 0 && ((unsigned char)buf[n] & 0xc0) == 0x80) n--; /* to the start of a character */
    strcpy(buf + n, "\xe2\x80\xa6");
    if (n == 0 || pc_label_width(buf, font, bold) <= room) return;
    buf[n] = '\0';
    n--;
  }
}

void pc_label_font(cairo_t *cr, double size, int bold) {
  cairo_font_options_t *o = cairo_font_options_create();
  cairo_font_options_set_hint_metrics(o, CAIRO_HINT_METRICS_OFF); /* widths that do not depend on the scale */
  cairo_font_options_set_antialias(o, CAIRO_ANTIALIAS_GRAY);
  cairo_set_font_options(cr, o);
  cairo_font_options_destroy(o);
  cairo_select_font_face(cr, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL,
                         bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size(cr, size);
}

int pc_label_draw(uint8_t *pixels, int64_t height, int64_t width, double y, double x, const char *text, double size,
                  int bold, const uint8_t color[3]) {
  int64_t w = (int64_t)ceil(pc_label_width(text, size, bold)) + 4, h = (int64_t)ceil(1.5 * size) + 2;
  int64_t left = (int64_t)floor(x) - 1, top = (int64_t)floor(y - 1.1 * size);
  if (w > 32000 || h > 32000) return pc_fail(PC_EARG, "label: text of %lld pixels", (long long)w);
  cairo_surface_t *s = cairo_image_surface_create(CAIRO_FORMAT_A8, (int)w, (int)h);
  cairo_t *cr = cairo_create(s);
  pc_label_font(cr, size, bold);
  cairo_move_to(cr, x - (double)left, y - (double)top);
  cairo_show_text(cr, text);
  cairo_surface_flush(s);
  int failed = cairo_status(cr) != 0;
  const uint8_t *alpha = cairo_image_surface_get_data(s);
  int64_t stride = cairo_image_surface_get_stride(s);
  for (int64_t i = 0; !failed && i < h; i++)
    for (int64_t k = 0; k < w; k++) {
      int64_t yy = top + i, xx = left + k;
      int a = alpha[i * stride + k];
      if (!a || yy < 0 || xx < 0 || yy >= height || xx >= width) continue;
      uint8_t *p = pixels + (yy * width + xx) * 3;
      for (int c = 0; c < 3; c++) p[c] = (uint8_t)((p[c] * (255 - a) + color[c] * a + 127) / 255);
    }
  cairo_destroy(cr);
  cairo_surface_destroy(s);
  if (failed) return pc_fail(PC_ESTATE, "label: cairo cannot draw text; is a font there (Debian: fonts-dejavu-core)?");
  return PC_OK;
}
