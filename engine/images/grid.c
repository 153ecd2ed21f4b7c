#include "images/grid.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "images/label.h"
#include "images/png.h"

/* Where everything stands, in pixels of the result. */
typedef struct plan {
  int64_t h, w; /* of one picture, before enlargement */
  int64_t rows, cols;
  int64_t pad, scale, font; /* font: of the labels */
  double letters;           /* size of outline letters; 0: the bitmap font */
  int64_t left, top;        /* margins for labels */
  int64_t height, width;    /* of the result */
  uint8_t ground, ink;
} plan;

/* Characters, not bytes. */
static int64_t text_length(const char *s) {
  int64_t n = 0;
  for (; *s; s++) n += ((unsigned char)*s & 0xc0) != 0x80;
  return n;
}

enum { LONGEST = 30 }; /* of an outline label, in font sizes */

static void outline_margins(plan *p, const pc_grid_opts *o) {
  char text[512];
  double most = 0;
  for (int i = 0; i < o->nrow_labels; i++)
    most = fmax(most, pc_label_width(pc_text_clean(text, sizeof text, o->row_labels[i]), p->letters, 0));
  most = fmin(most, LONGEST * p->letters);
  p->left = most > 0 ? (int64_t)ceil(most + 0.6 * p->letters) : 0;
  p->top = o->ncolumn_labels ? (int64_t)ceil(1.5 * p->letters) : 0;
}

static int make_plan(plan *p, int64_t h, int64_t w, int64_t rows, int64_t cols, const pc_grid_opts *o) {
  int64_t longest = 0;
  *p = (plan){.h = h, .w = w, .rows = rows, .cols = cols};
  p->pad = o->padding;
  p->scale = o->scale;
  p->font = o->label_scale;
  p->letters = o->font;
  p->ground = o->dark ? 0 : 255;
  p->ink = (uint8_t)(255 - p->ground);
  for (int i = 0; i < o->nrow_labels; i++) {
    int64_t n = text_length(o->row_labels[i]);
    longest = n > longest ? n : longest;
  }
  if (longest > 40) longest = 40;
  p->left = longest ? (6 * longest - 1) * p->font + 2 : 0;
  p->top = o->ncolumn_labels ? 8 * p->font + 1 : 0;
  if (p->letters > 0) outline_margins(p, o);
  p->height = p->top + p->pad + rows * (h * p->scale + p->pad);
  p->width = p->left + p->pad + cols * (w * p->scale + p->pad);
  if (p->height > PC_IMAGE_MAX_SIDE || p->width > PC_IMAGE_MAX_SIDE || p->height * p->width > PC_IMAGE_MAX_PIXELS)
    return pc_fail(PC_EARG,
                   "grid: %lld x %lld pictures of %lld x %lld make %lld x %lld pixels, which is too much; show fewer",
                   (long long)rows, (long long)cols, (long long)(h * p->scale), (long long)(w * p->scale),
                   (long long)p->height, (long long)p->width);
  if (p->height < 1 || p->width < 1) return pc_fail(PC_ESHAPE, "grid: there is nothing to show");
  return PC_OK;
}

static int check(const pc_tensor *t, int64_t *h, int64_t *w) {
  if (t->ndim != 4 || (t->size[3] != 1 && t->size[3] != 3 && t->size[3] != 4))
    return pc_fail(PC_ESHAPE, "grid: images have shape %s; (N,H,W,C) with C = 1, 3 or 4 is needed", pc_shape_str(t));
  if (t->dtype != PC_U8 && !pc_dtype_is_float((pc_dtype)t->dtype))
    return pc_fail(PC_EDTYPE, "grid: images are %s; u8, f32 or f64 are needed", pc_dtype_name((pc_dtype)t->dtype));
  if (*h && (*h != t->size[1] || *w != t->size[2]))
    return pc_fail(PC_ESHAPE, "grid: one batch has pictures of %lld x %lld, another %s", (long long)*h, (long long)*w,
                   pc_shape_str(t));
  *h = t->size[1];
  *w = t->size[2];
  return PC_OK;
}

static double level(const pc_tensor *t, int64_t i) {
  double v = t->dtype == PC_U8 ? pc_u8(t)[i] / 255.0 : t->dtype == PC_F32 ? pc_f32(t)[i] : pc_f64(t)[i];
  return v > 0 ? (v < 1 ? v : 1) : 0;
}

/* Picture n of the contiguous batch t into cell (row,col). */
static void put(uint8_t *out, const plan *p, const pc_tensor *t, int64_t n, int64_t row, int64_t col) {
  int64_t C = t->size[3], s = p->scale;
  int64_t y0 = p->top + p->pad + row * (p->h * s + p->pad), x0 = p->left + p->pad + col * (p->w * s + p->pad);
  for (int64_t y = 0; y < p->h; y++)
    for (int64_t x = 0; x < p->w; x++) {
      int64_t at = ((n * p->h + y) * p->w + x) * C;
      double a = C == 4 ? level(t, at + 3) : 1;
      for (int k = 0; k < 3; k++) {
        double v = a * level(t, at + (C == 1 ? 0 : k)) + (1 - a) * p->ground / 255.0;
        uint8_t byte = (uint8_t)(v * 255 + 0.5);
        for (int64_t i = 0; i < s * s; i++) out[((y0 + y * s + i / s) * p->width + x0 + x * s + i % s) * 3 + k] = byte;
      }
    }
}

/* Text of at most `room` pixels, centred on `middle` (or starting at x). */
static void label(uint8_t *out, const plan *p, int64_t y, int64_t x, int64_t room, int centre, const char *text) {
  char cut[512];
  const uint8_t ink[3] = {p->ink, p->ink, p->ink};
  int64_t fits = (room + p->font) / (6 * p->font), n = text_length(text);
  size_t bytes = 0;
  if (n > fits) n = fits;
  for (int64_t i = 0; bytes < sizeof cut - 1 && text[bytes]; bytes++) {
    if (((unsigned char)text[bytes] & 0xc0) != 0x80 && i++ == n) break;
    cut[bytes] = text[bytes];
  }
  cut[bytes] = '\0';
  if (centre) x += (room - (6 * n - 1) * p->font) / 2;
  pc_draw_text(out, p->height, p->width, y, x, cut, ink, (int)p->font);
}

/* The same in outline letters; row labels end before the pictures. */
static void outline_label(uint8_t *out, const plan *p, int row, int64_t at, int64_t room, const char *label_text) {
  char text[512];
  const uint8_t ink[3] = {p->ink, p->ink, p->ink};
  pc_text_clean(text, sizeof text, label_text);
  pc_text_fit(text, sizeof text, p->letters, 0, (double)room);
  double w = pc_label_width(text, p->letters, 0);
  double y = row ? (double)at + 0.36 * p->letters : 1.12 * p->letters;
  double x = row ? (double)p->left - w - 0.3 * p->letters : (double)at - w / 2;
  pc_label_draw(out, p->height, p->width, y, x, text, p->letters, 0, ink);
}

static void draw_outline_labels(uint8_t *out, const plan *p, const pc_grid_opts *o) {
  int64_t w = p->w * p->scale, h = p->h * p->scale;
  for (int i = 0; i < o->ncolumn_labels && i < p->cols; i++)
    outline_label(out, p, 0, p->left + p->pad + i * (w + p->pad) + w / 2, w + p->pad, o->column_labels[i]);
  for (int i = 0; i < o->nrow_labels && i < p->rows; i++)
    outline_label(out, p, 1, p->top + p->pad + i * (h + p->pad) + h / 2, p->left - 2, o->row_labels[i]);
}

static void draw_labels(uint8_t *out, const plan *p, const pc_grid_opts *o) {
  int64_t cw = p->w * p->scale + p->pad, ch = p->h * p->scale + p->pad;
  if (p->letters > 0) {
    draw_outline_labels(out, p, o);
    return;
  }
  for (int i = 0; i < o->ncolumn_labels && i < p->cols; i++)
    label(out, p, 1, p->left + p->pad + i * cw, p->w * p->scale, 1, o->column_labels[i]);
  for (int i = 0; i < o->nrow_labels && i < p->rows; i++)
    label(out, p, p->top + p->pad + i * ch + (p->h * p->scale - 7 * p->font) / 2, 1, p->left, 0, o->row_labels[i]);
}

static int canvas(pc_tensor **out, const plan *p) {
  int64_t size[3] = {p->height, p->width, 3};
  int rc = pc_tensor_empty(out, PC_U8, 3, size);
  if (rc == PC_OK) memset(pc_u8(*out), p->ground, (size_t)pc_numel(*out));
  return rc;
}

PC_OPTIONS_TABLE(pc_grid_options, "grid", pc_grid_opts, PC_GRID_OPTIONS);
static const pc_grid_opts defaults = PC_GRID_OPTS_INIT;

int pc_grid(pc_tensor **out, const pc_tensor *images, const pc_grid_opts *opts) {
  const pc_grid_opts *o = opts ? opts : &defaults;
  pc_tensor *flat = NULL;
  plan p;
  int64_t h = 0, w = 0;
  *out = NULL;
  int rc = pc_options_check(&pc_grid_options, "grid", o);
  if (rc == PC_OK) rc = check(images, &h, &w);
  if (rc < 0) return rc;
  int64_t n = images->size[0], cols = o->columns.value;
  if (n < 1) return pc_fail(PC_ESHAPE, "grid: shape %s holds no picture", pc_shape_str(images));
  if (!o->columns.given) cols = (int64_t)ceil(sqrt((double)n));
  if ((rc = make_plan(&p, h, w, (n + cols - 1) / cols, cols, o)) < 0) return rc;
  if ((rc = pc_contiguous(&flat, images)) < 0) return rc;
  if ((rc = canvas(out, &p)) == PC_OK) {
    for (int64_t i = 0; i < n; i++) put(pc_u8(*out), &p, flat, i, i / cols, i % cols);
    draw_labels(pc_u8(*out), &p, o);
  }
  pc_tensor_release(flat);
  return rc;
}

int pc_grid_columns(pc_tensor **out, const pc_tensor *const *batch, int n, const pc_grid_opts *opts) {
  const pc_grid_opts *o = opts ? opts : &defaults;
  plan p;
  int64_t h = 0, w = 0, rows = 0;
  *out = NULL;
  if (n < 1) return pc_fail(PC_EARG, "grid: no columns");
  int rc = pc_options_check(&pc_grid_options, "grid", o);
  for (int k = 0; k < n && rc == PC_OK; k++) {
    rc = check(batch[k], &h, &w);
    if (rc == PC_OK && batch[k]->size[0] > rows) rows = batch[k]->size[0];
  }
  if (rc < 0 || (rc = make_plan(&p, h, w, rows, n, o)) < 0 || (rc = canvas(out, &p)) < 0) return rc;
  for (int k = 0; k < n && rc == PC_OK; k++) {
    pc_tensor *flat;
    if ((rc = pc_contiguous(&flat, batch[k])) < 0) break;
    for (int64_t i = 0; i < flat->size[0]; i++) put(pc_u8(*out), &p, flat, i, i, k);
    pc_tensor_release(flat);
  }
  if (rc == PC_OK) {
    draw_labels(pc_u8(*out), &p, o);
  } else {
    pc_tensor_release(*out);
    *out = NULL;
  }
  return rc;
}
