#include "images/grid.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "images/png.h"

/* Where everything stands, in pixels of the result. */
typedef struct plan {
  int64_t h, w; /* of one picture, before enlargement */
  int64_t rows, cols;
  int64_t pad, scale, font; /* font: of the labels */
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

static int make_plan(plan *p, int64_t h, int64_t w, int64_t rows, int64_t cols, const pc_grid_opts *o) {
  int64_t longest = 0;
  *p = (plan){.h = h, .w = w, .rows = rows, .cols = cols};
  p->pad = o->padding ? (o->padding < 0 ? 0 : o->padding) : 2;
  p->scale = o->scale ? o->scale : 1;
  p->font = o->label_scale ? o->label_scale : 1;
  p->ground = o->dark ? 0 : 255;
  p->ink = (uint8_t)(255 - p->ground);
  if (p->scale < 1 || p->scale > 64 || p->font < 1 || p->font > 16 || p->pad > 1024)
    return pc_fail(PC_EARG, "grid: scale %lld, label_scale %lld, padding %lld: 1..64, 1..16 and up to 1024 make sense",
                   (long long)p->scale, (long long)p->font, (long long)p->pad);
  for (int i = 0; i < o->nrow_labels; i++) {
    int64_t n = text_length(o->row_labels[i]);
    longest = n > longest ? n : longest;
  }
  if (longest > 40) longest = 40;
  p->left = longest ? (6 * longest - 1) * p->font + 2 : 0;
  p->top = o->ncolumn_labels ? 8 * p->font + 1 : 0;
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

static void draw_labels(uint8_t *out, const plan *p, const pc_grid_opts *o) {
  int64_t cw = p->w * p->scale + p->pad, ch = p->h * p->scale + p->pad;
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

int pc_grid(pc_tensor **out, const pc_tensor *images, const pc_grid_opts *opts) {
  static const pc_grid_opts none;
  const pc_grid_opts *o = opts ? opts : &none;
  pc_tensor *flat = NULL;
  plan p;
  int64_t h = 0, w = 0;
  *out = NULL;
  int rc = check(images, &h, &w);
  if (rc < 0) return rc;
  int64_t n = images->size[0], cols = o->columns;
  if (n < 1) return pc_fail(PC_ESHAPE, "grid: shape %s holds no picture", pc_shape_str(images));
  if (cols < 0) return pc_fail(PC_EARG, "grid: %lld columns", (long long)cols);
  if (cols == 0) cols = (int64_t)ceil(sqrt((double)n));
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
  static const pc_grid_opts none;
  const pc_grid_opts *o = opts ? opts : &none;
  plan p;
  int64_t h = 0, w = 0, rows = 0;
  int rc = PC_OK;
  *out = NULL;
  if (n < 1) return pc_fail(PC_EARG, "grid: no columns");
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

int pc_labels_to_rgb(pc_tensor **out, const pc_tensor *labels) {
  static const uint8_t color[13][3] = {{40, 40, 40},    {230, 80, 60},  {70, 140, 230},  {90, 190, 90},  {240, 180, 50},
                                       {160, 100, 210}, {60, 200, 200}, {240, 120, 180}, {150, 110, 70}, {170, 210, 70},
                                       {120, 120, 240}, {250, 140, 70}, {180, 180, 180}};
  pc_tensor *flat;
  int64_t size[PC_MAX_DIM];
  *out = NULL;
  if (labels->dtype != PC_U8 || labels->ndim < 2 || labels->ndim > 3)
    return pc_fail(labels->dtype != PC_U8 ? PC_EDTYPE : PC_ESHAPE,
                   "labels_to_rgb: labels have shape %s, dtype %s; u8 (H,W) or (N,H,W) is needed", pc_shape_str(labels),
                   pc_dtype_name((pc_dtype)labels->dtype));
  memcpy(size, labels->size, sizeof size);
  size[labels->ndim] = 3;
  int rc = pc_contiguous(&flat, labels);
  if (rc < 0) return rc;
  if ((rc = pc_tensor_empty(out, PC_U8, labels->ndim + 1, size)) == PC_OK)
    for (int64_t i = 0; i < pc_numel(flat); i++) {
      int v = pc_u8(flat)[i];
      memcpy(pc_u8(*out) + 3 * i, color[v ? (v - 1) % 12 + 1 : 0], 3);
    }
  pc_tensor_release(flat);
  return rc;
}
