#include "images/overlay.h"

#include <math.h>

#include "images/color.h"

static int check(const pc_tensor *x, const pc_tensor *m) {
  if (x->ndim != 4 || (x->size[3] != 1 && x->size[3] != 3 && x->size[3] != 4))
    return pc_fail(PC_ESHAPE, "overlay: images have shape %s; (N,H,W,C) with C = 1, 3 or 4 is needed", pc_shape_str(x));
  if (x->dtype != PC_U8 && !pc_dtype_is_float((pc_dtype)x->dtype))
    return pc_fail(PC_EDTYPE, "overlay: images are %s; u8, f32 or f64 are needed", pc_dtype_name((pc_dtype)x->dtype));
  int labels = m->ndim == 3 && m->dtype == PC_U8, weights = m->ndim == 4 && pc_dtype_is_float((pc_dtype)m->dtype);
  if (!labels && !weights)
    return pc_fail(m->ndim == 3 || m->ndim == 4 ? PC_EDTYPE : PC_ESHAPE,
                   "overlay: masks have shape %s, dtype %s; labels u8 (N,H,W) or weights, floats (N,h,w,K), are needed",
                   pc_shape_str(m), pc_dtype_name((pc_dtype)m->dtype));
  int64_t h = m->size[1], w = m->size[2];
  if (m->size[0] != x->size[0] || (labels && (h != x->size[1] || w != x->size[2])) ||
      (weights && (h == 0 || w == 0 || x->size[1] % h || x->size[2] % w)))
    return pc_fail(PC_ESHAPE, "overlay: images have shape %s, masks %s", pc_shape_str(x), pc_shape_str(m));
  return PC_OK;
}

static double level(const pc_tensor *t, int64_t i) {
  double v = t->dtype == PC_U8 ? pc_u8(t)[i] / 255.0 : t->dtype == PC_F32 ? pc_f32(t)[i] : pc_f64(t)[i];
  return v > 0 ? (v < 1 ? v : 1) : 0;
}

typedef struct view { /* contiguous operands */
  const pc_tensor *x, *m;
  int64_t H, W, C, sy, sx; /* sy, sx: picture pixels a place of the weights */
} view;

/* The label of pixel (n,y,x), for weights 1 + the strongest slot, or 0; and its colour, mixed. */
static int label_at(const view *v, int64_t n, int64_t y, int64_t x, double color[3]) {
  const pc_tensor *m = v->m;
  color[0] = color[1] = color[2] = 0;
  if (m->ndim == 3) {
    int k = pc_u8(m)[(n * v->H + y) * v->W + x];
    for (int c = 0; c < 3; c++) color[c] = (pc_label_rgb(k) >> (16 - 8 * c) & 255) / 255.0;
    return k;
  }
  int64_t K = m->size[3], at = ((n * m->size[1] + y / v->sy) * m->size[2] + x / v->sx) * K;
  double sum = 0, most = 0;
  int best = 0;
  for (int64_t k = 0; k < K; k++) {
    double a = m->dtype == PC_F32 ? pc_f32(m)[at + k] : pc_f64(m)[at + k];
    if (!(a > 0) || isinf(a)) continue;
    if (a > most) most = a, best = (int)k + 1;
    for (int c = 0; c < 3; c++) color[c] += a * (pc_label_rgb((int)k + 1) >> (16 - 8 * c) & 255) / 255.0;
    sum += a;
  }
  for (int c = 0; c < 3 && sum > 0; c++) color[c] /= sum;
  return best;
}

static int is_border(const view *v, int64_t n, int64_t y, int64_t x, int label) {
  double unused[3];
  return (y + 1 < v->H && label_at(v, n, y + 1, x, unused) != label) ||
         (x + 1 < v->W && label_at(v, n, y, x + 1, unused) != label) ||
         (y > 0 && label_at(v, n, y - 1, x, unused) != label) || (x > 0 && label_at(v, n, y, x - 1, unused) != label);
}

static void paint(uint8_t *to, const view *v, const pc_overlay_opts *o, double alpha) {
  for (int64_t n = 0; n < v->x->size[0]; n++)
    for (int64_t y = 0; y < v->H; y++)
      for (int64_t x = 0; x < v->W; x++) {
        double color[3], a;
        int label = label_at(v, n, y, x, color);
        a = label ? (o->outline && is_border(v, n, y, x, label) ? 1 : alpha) : 0;
        for (int c = 0; c < 3; c++) {
          double p = level(v->x, ((n * v->H + y) * v->W + x) * v->C + (v->C == 1 ? 0 : c));
          *to++ = (uint8_t)(((1 - a) * p + a * color[c]) * 255 + 0.5);
        }
      }
}

PC_OPTIONS_TABLE(pc_overlay_options, "overlay", pc_overlay_opts, PC_OVERLAY_OPTIONS);

int pc_overlay(pc_tensor **out, const pc_tensor *images, const pc_tensor *masks, const pc_overlay_opts *opts) {
  static const pc_overlay_opts defaults = PC_OVERLAY_OPTS_INIT;
  const pc_overlay_opts *o = opts ? opts : &defaults;
  pc_tensor *x = NULL, *m = NULL;
  *out = NULL;
  int rc = pc_options_check(&pc_overlay_options, "overlay", o);
  if (rc == PC_OK) rc = check(images, masks);
  if (rc < 0) return rc;
  int64_t size[4] = {images->size[0], images->size[1], images->size[2], 3};
  if ((rc = pc_contiguous(&x, images)) == PC_OK && (rc = pc_contiguous(&m, masks)) == PC_OK &&
      (rc = pc_tensor_empty(out, PC_U8, 4, size)) == PC_OK) {
    view v = {.x = x, .m = m, .H = size[1], .W = size[2], .C = x->size[3], .sy = 1, .sx = 1};
    if (m->ndim == 4) v.sy = v.H / m->size[1], v.sx = v.W / m->size[2];
    paint(pc_u8(*out), &v, o, o->alpha);
  }
  pc_tensor_release(x);
  pc_tensor_release(m);
  return rc;
}
