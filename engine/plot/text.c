#include "plot/text.h"

#include <cairo.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plot/canvas.h"

static const struct {
  const char *name;
  uint32_t light, dark;
} roles[] = {{"none", 0, 0},
             {"ground", 0xffffff, 0x0f1419},
             {"text", 0x1c2430, 0xe6e9ee},
             {"muted", 0x5b6675, 0x9aa5b4},
             {"axis", 0x8d97a5, 0x667080},
             {"grid", 0xe6e9ee, 0x262d37},
             {"frame", 0xd1242f, 0xff6b6b}};

static const struct {
  const char *name;
  uint32_t light, dark;
} series[PC_SERIES_COLORS] = {{"s0", 0x0072b2, 0x4fb0ee}, {"s1", 0xd55e00, 0xff8f4a}, {"s2", 0x009e73, 0x35cfa2},
                              {"s3", 0xcc79a7, 0xe9a1c9}, {"s4", 0xe69f00, 0xf5c04d}, {"s5", 0x56b4e9, 0xa3dcff},
                              {"s6", 0x6b7280, 0xaab2bf}};

uint32_t pc_ink_rgb(uint32_t ink, int dark) {
  if (ink & PC_INK_RGB) return ink & 0xffffff;
  if (ink >= PC_INK_SERIES) {
    uint32_t k = (ink - PC_INK_SERIES) % PC_SERIES_COLORS;
    return dark ? series[k].dark : series[k].light;
  }
  if (ink > PC_INK_FRAME) ink = PC_INK_NONE;
  return dark ? roles[ink].dark : roles[ink].light;
}

const char *pc_ink_name(uint32_t ink) {
  if (ink & PC_INK_RGB) return NULL;
  if (ink >= PC_INK_SERIES) return series[(ink - PC_INK_SERIES) % PC_SERIES_COLORS].name;
  return roles[ink <= PC_INK_FRAME ? ink : PC_INK_NONE].name;
}

uint32_t pc_colormap(double v) {
  static const uint8_t anchor[9][3] = {{68, 1, 84},    {71, 44, 122}, {59, 81, 139},  {44, 113, 142}, {33, 144, 141},
                                       {39, 173, 129}, {92, 200, 99}, {170, 220, 50}, {253, 231, 37}};
  uint32_t rgb = 0;
  v = v > 0 ? (v < 1 ? v : 1) : 0;
  int k = (int)(v * 8);
  if (k > 7) k = 7;
  double t = v * 8 - k;
  for (int c = 0; c < 3; c++) rgb = rgb << 8 | (uint32_t)((1 - t) * anchor[k][c] + t * anchor[k + 1][c] + 0.5);
  return rgb;
}

/* Relative luminance of WCAG 2. */
static double luminance(uint32_t rgb) {
  static const double weight[3] = {0.2126, 0.7152, 0.0722};
  double sum = 0;
  for (int c = 0; c < 3; c++) {
    double v = (rgb >> (16 - 8 * c) & 255) / 255.0;
    sum += weight[c] * (v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4));
  }
  return sum;
}

uint32_t pc_contrast_ink(uint32_t rgb) { return PC_INK_RGB | (luminance(rgb) > 0.179 ? 0x000000 : 0xffffff); }

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
  pc_canvas_font(cr, size, bold);
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
