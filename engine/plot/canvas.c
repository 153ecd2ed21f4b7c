#include "plot/canvas.h"

#include <cairo.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

struct pc_canvas {
  int svg, dark;
  double width, height, scale;
  cairo_surface_t *surface; /* pixels */
  cairo_t *cr;
  char *text; /* SVG so far */
  size_t used, room;
  int rc; /* first error */
};

static const double dashes[4][4] = {{0}, {6, 4}, {1.5, 3}, {7, 3, 1.5, 3}};
static const int ndash[4] = {0, 2, 2, 4};

static void put(pc_canvas *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(pc_canvas *c, const char *fmt, ...) {
  va_list ap;
  if (c->rc < 0) return;
  for (;;) {
    size_t left = c->room - c->used;
    va_start(ap, fmt);
    int n = vsnprintf(c->text + c->used, left, fmt, ap);
    va_end(ap);
    if ((size_t)n < left) {
      c->used += (size_t)n;
      return;
    }
    size_t room = 2 * c->room + (size_t)n;
    char *bigger = pc_realloc(c->text, room);
    if (!bigger) {
      c->rc = pc_fail(PC_ENOMEM, "plot: no memory for a drawing of %zu bytes", room);
      return;
    }
    c->text = bigger;
    c->room = room;
  }
}

static void put_escaped(pc_canvas *c, const char *s) {
  for (; *s; s++) switch (*s) {
      case '&': put(c, "&amp;"); break;
      case '<': put(c, "&lt;"); break;
      case '>': put(c, "&gt;"); break;
      case '"': put(c, "&quot;"); break;
      default: put(c, "%c", *s);
    }
}

/* A coordinate with at most two decimals: enough for any screen, and short. */
static void put_number(pc_canvas *c, const char *before, double v) {
  char buf[40];
  snprintf(buf, sizeof buf, "%.2f", v);
  char *end = buf + strlen(buf);
  while (end[-1] == '0') *--end = '\0';
  if (end[-1] == '.') *--end = '\0';
  put(c, "%s%s", before, strcmp(buf, "-0") ? buf : "0");
}

int pc_canvas_new(pc_canvas **out, int svg, double width, double height, double scale, int dark, const char *title) {
  char clean[512];
  *out = NULL;
  if (!(width >= 60 && width <= 8000 && height >= 60 && height <= 8000))
    return pc_fail(PC_EARG, "plot: %g x %g pixels; sides of 60 to 8000 make sense", width, height);
  if (!svg && !(scale >= 0.25 && scale * width <= 16000 && scale * height <= 16000))
    return pc_fail(PC_EARG, "plot: scale %g makes %g x %g pixels; between 0.25 and 16000 pixels a side make sense",
                   scale, scale * width, scale * height);
  pc_canvas *c = pc_calloc(1, sizeof *c);
  if (!c) return PC_ENOMEM;
  *c = (pc_canvas){.svg = svg, .dark = dark, .width = width, .height = height, .scale = scale};
  if (svg) {
    c->room = 4096;
    if (!(c->text = pc_malloc(c->room))) {
      pc_free(c);
      return PC_ENOMEM;
    }
    put(c,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" width=\"%g\" height=\"%g\" viewBox=\"0 0 %g %g\" "
        "font-family=\"'DejaVu Sans',Verdana,system-ui,sans-serif\" role=\"img\"",
        width, height, width, height);
    if (title && *title) {
      put(c, " aria-label=\"");
      put_escaped(c, pc_text_clean(clean, sizeof clean, title));
      put(c, "\"");
    }
    put(c, ">\n");
  } else {
    c->surface =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)lround(width * scale), (int)lround(height * scale));
    c->cr = cairo_create(c->surface);
    cairo_scale(c->cr, scale, scale);
  }
  pc_canvas_rect(c, 0, 0, width, height, &(pc_pen){.fill = PC_INK_GROUND});
  *out = c;
  return PC_OK;
}

void pc_canvas_free(pc_canvas *c) {
  if (!c) return;
  if (c->cr) cairo_destroy(c->cr);
  if (c->surface) cairo_surface_destroy(c->surface);
  pc_free(c->text);
  pc_free(c);
}

static void set_ink(pc_canvas *c, uint32_t ink, double alpha) {
  uint32_t rgb = pc_ink_rgb(ink, c->dark);
  cairo_set_source_rgba(c->cr, (rgb >> 16 & 255) / 255.0, (rgb >> 8 & 255) / 255.0, (rgb & 255) / 255.0, alpha);
}

static double opacity(const pc_pen *p) { return p->alpha > 0 ? p->alpha : 1; }

/* Fills and strokes the current path of cairo. */
static void apply_pen(pc_canvas *c, const pc_pen *p) {
  if (p->fill) {
    set_ink(c, p->fill, opacity(p));
    cairo_fill_preserve(c->cr);
  }
  if (p->stroke) {
    set_ink(c, p->stroke, opacity(p));
    cairo_set_line_width(c->cr, p->width > 0 ? p->width : 1);
    cairo_set_line_join(c->cr, CAIRO_LINE_JOIN_ROUND);
    cairo_set_dash(c->cr, dashes[p->dash & 3], ndash[p->dash & 3], 0);
    cairo_stroke_preserve(c->cr);
  }
  cairo_new_path(c->cr);
}

static void put_ink(pc_canvas *c, const char *attribute, uint32_t ink) {
  put(c, " %s=\"#%06x\"", attribute, (unsigned)pc_ink_rgb(ink, c->dark));
}

/* The attributes of a pen, and the end of the tag. */
static void put_pen(pc_canvas *c, const pc_pen *p) {
  const char *f = p->fill ? pc_ink_name(p->fill) : NULL, *s = p->stroke ? pc_ink_name(p->stroke) : NULL;
  if (f || s) put(c, " class=\"%s%s%s%s%s\"", f ? "f-" : "", f ? f : "", f && s ? " " : "", s ? "s-" : "", s ? s : "");
  if (p->fill)
    put_ink(c, "fill", p->fill);
  else
    put(c, " fill=\"none\"");
  if (p->stroke) {
    put_ink(c, "stroke", p->stroke);
    if (p->width > 0 && p->width != 1) put_number(c, " stroke-width=\"", p->width), put(c, "\"");
    for (int i = 0; i < ndash[p->dash & 3]; i++)
      put_number(c, i ? " " : " stroke-dasharray=\"", dashes[p->dash & 3][i]);
    put(c, "%s", ndash[p->dash & 3] ? "\" stroke-linejoin=\"round\"" : " stroke-linejoin=\"round\"");
  }
  if (opacity(p) < 1) put_number(c, " opacity=\"", opacity(p)), put(c, "\"");
  put(c, "/>\n");
}

/* cairo counts in fixed point, so far-away points are brought near: off every canvas is off the canvas. */
static double near(double v) { return v > 1e5 ? 1e5 : v < -1e5 ? -1e5 : v == v ? v : 0; }

void pc_canvas_path(pc_canvas *c, int64_t n, const double *xy, int closed, const pc_pen *pen) {
  if (n < 1 || c->rc < 0) return;
  if (c->svg) {
    put(c, "<path d=\"");
    for (int64_t i = 0; i < n; i++) {
      put_number(c, i ? "L" : "M", near(xy[2 * i]));
      put_number(c, " ", near(xy[2 * i + 1]));
    }
    put(c, closed ? "Z\"" : "\"");
    put_pen(c, pen);
    return;
  }
  for (int64_t i = 0; i < n; i++) cairo_line_to(c->cr, near(xy[2 * i]), near(xy[2 * i + 1]));
  if (closed) cairo_close_path(c->cr);
  apply_pen(c, pen);
}

void pc_canvas_line(pc_canvas *c, double x1, double y1, double x2, double y2, const pc_pen *pen) {
  pc_canvas_path(c, 2, (double[]){x1, y1, x2, y2}, 0, pen);
}

void pc_canvas_rect(pc_canvas *c, double x, double y, double w, double h, const pc_pen *pen) {
  if (c->rc < 0) return;
  x = near(x), y = near(y), w = near(w), h = near(h);
  if (c->svg) {
    put_number(c, "<rect x=\"", x);
    put_number(c, "\" y=\"", y);
    put_number(c, "\" width=\"", w);
    put_number(c, "\" height=\"", h);
    put(c, "\"");
    put_pen(c, pen);
    return;
  }
  cairo_rectangle(c->cr, x, y, w, h);
  apply_pen(c, pen);
}

void pc_canvas_circle(pc_canvas *c, double x, double y, double r, const pc_pen *pen) {
  if (c->rc < 0) return;
  x = near(x), y = near(y);
  if (c->svg) {
    put_number(c, "<circle cx=\"", x);
    put_number(c, "\" cy=\"", y);
    put_number(c, "\" r=\"", r);
    put(c, "\"");
    put_pen(c, pen);
    return;
  }
  cairo_arc(c->cr, x, y, r, 0, 2 * 3.14159265358979);
  apply_pen(c, pen);
}

void pc_canvas_text(pc_canvas *c, double x, double y, const pc_face *f, const char *text) {
  static const char *const anchors[] = {"start", "middle", "end"};
  char clean[1024];
  if (c->rc < 0) return;
  pc_text_clean(clean, sizeof clean, text);
  if (!*clean) return;
  if (c->svg) {
    const char *name = pc_ink_name(f->ink);
    put_number(c, "<text x=\"", x);
    put_number(c, "\" y=\"", y);
    put_number(c, "\" font-size=\"", f->size);
    put(c, "\"");
    if (f->bold) put(c, " font-weight=\"bold\"");
    if (f->anchor) put(c, " text-anchor=\"%s\"", anchors[f->anchor]);
    if (name) put(c, " class=\"f-%s\"", name);
    put_ink(c, "fill", f->ink);
    if (f->angle != 0) {
      put_number(c, " transform=\"rotate(", -f->angle);
      put_number(c, " ", x);
      put_number(c, " ", y);
      put(c, ")\"");
    }
    put(c, ">");
    put_escaped(c, clean);
    put(c, "</text>\n");
    return;
  }
  double w = f->anchor ? pc_label_width(clean, f->size, f->bold) : 0;
  cairo_save(c->cr);
  pc_label_font(c->cr, f->size, f->bold);
  set_ink(c, f->ink, 1);
  cairo_translate(c->cr, x, y);
  cairo_rotate(c->cr, -f->angle * 3.14159265358979 / 180);
  cairo_move_to(c->cr, f->anchor == PC_ANCHOR_MIDDLE ? -w / 2 : f->anchor == PC_ANCHOR_END ? -w : 0, 0);
  cairo_show_text(c->cr, clean);
  cairo_new_path(c->cr);
  cairo_restore(c->cr);
}

void pc_canvas_clip(pc_canvas *c, double x, double y, double w, double h) {
  if (c->rc < 0) return;
  if (c->svg) { /* a nested svg cuts, and needs no id */
    put_number(c, "<svg x=\"", x);
    put_number(c, "\" y=\"", y);
    put_number(c, "\" width=\"", w);
    put_number(c, "\" height=\"", h);
    put_number(c, "\" viewBox=\"", x);
    put_number(c, " ", y);
    put_number(c, " ", w);
    put_number(c, " ", h);
    put(c, "\">\n");
    return;
  }
  cairo_save(c->cr);
  cairo_rectangle(c->cr, x, y, w, h);
  cairo_clip(c->cr);
}

void pc_canvas_unclip(pc_canvas *c) {
  if (c->rc < 0) return;
  if (c->svg)
    put(c, "</svg>\n");
  else
    cairo_restore(c->cr);
}

void pc_canvas_fail(pc_canvas *c, int rc) {
  if (c->rc == PC_OK) c->rc = rc;
}

int pc_canvas_svg(char **out, pc_canvas *c) {
  *out = NULL;
  put(c, "</svg>\n");
  if (c->rc < 0) return c->rc;
  *out = c->text;
  c->text = NULL;
  return PC_OK;
}

int pc_canvas_pixels(pc_tensor **out, pc_canvas *c) {
  *out = NULL;
  if (c->rc < 0) return c->rc;
  if (cairo_status(c->cr))
    return pc_fail(PC_ESTATE, "plot: cairo: %s; is a font there (Debian: fonts-dejavu-core)?",
                   cairo_status_to_string(cairo_status(c->cr)));
  cairo_surface_flush(c->surface);
  int h = cairo_image_surface_get_height(c->surface), w = cairo_image_surface_get_width(c->surface);
  int stride = cairo_image_surface_get_stride(c->surface);
  const unsigned char *data = cairo_image_surface_get_data(c->surface);
  int64_t size[3] = {h, w, 3};
  int rc = pc_tensor_empty(out, PC_U8, 3, size);
  if (rc < 0) return rc;
  uint8_t *to = pc_u8(*out);
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      uint32_t v;
      memcpy(&v, data + (size_t)y * (size_t)stride + 4 * (size_t)x, 4);
      for (int k = 0; k < 3; k++) *to++ = (uint8_t)(v >> (16 - 8 * k));
    }
  return PC_OK;
}
