#include "images/resize.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"

/* The weights of one axis: target i = sum_t weight[i*taps + t] source[first[i] + t]. */
typedef struct axis {
  int64_t taps;
  int64_t *first;
  float *weight;
} axis;

static void axis_free(axis *a) {
  pc_free(a->weight);
  pc_free(a->first);
  *a = (axis){0};
}

static int axis_new(axis *a, int64_t to, int64_t from) {
  double s = (double)from / (double)to;
  a->taps = to < from ? (int64_t)ceil(s) + 1 : 2;
  if (a->taps > from) a->taps = from;
  a->first = pc_malloc((size_t)to * sizeof *a->first);
  a->weight = pc_calloc((size_t)(to * a->taps), sizeof *a->weight);
  if (!a->first || !a->weight) {
    axis_free(a);
    return PC_ENOMEM;
  }
  for (int64_t i = 0; i < to; i++) {
    float *w = a->weight + i * a->taps;
    if (to < from) { /* whole numbers over `to`: the borders fall exactly */
      int64_t lo = i * from, hi = (i + 1) * from, first = lo / to;
      if (first + a->taps > from) first = from - a->taps;
      a->first[i] = first;
      for (int64_t t = 0; t < a->taps; t++) {
        int64_t l = (first + t) * to, h = l + to;
        int64_t cover = (h < hi ? h : hi) - (l > lo ? l : lo);
        if (cover > 0) w[t] = (float)((double)cover / (double)from);
      }
    } else {
      double x = ((double)i + 0.5) * s - 0.5;
      if (x < 0) x = 0;
      if (x > (double)(from - 1)) x = (double)(from - 1);
      int64_t first = (int64_t)x;
      if (first + a->taps > from) first = from - a->taps;
      a->first[i] = first;
      double f = x - (double)first;
      w[0] = (float)(1 - f);
      if (a->taps > 1) w[1] = (float)f;
    }
  }
  return PC_OK;
}

static inline uint8_t store_u8(float v) { return v >= 255 ? 255 : (uint8_t)(v + 0.5f); }
static inline float store_f32(float v) { return v; }

#define T          uint8_t
#define PC_T(name) name##_u8
#include "images/resize.inc"
#undef T
#undef PC_T
#define T          float
#define PC_T(name) name##_f32
#include "images/resize.inc"
#undef T
#undef PC_T

void pc_resize_labels_u8(uint8_t *dst, int64_t dh, int64_t dw, const uint8_t *src, int64_t sh, int64_t sw) {
  for (int64_t y = 0; y < dh; y++) {
    const uint8_t *row = src + (2 * y + 1) * sh / (2 * dh) * sw;
    for (int64_t x = 0; x < dw; x++) *dst++ = row[(2 * x + 1) * sw / (2 * dw)];
  }
}

typedef struct job {
  const pc_tensor *src;
  pc_tensor *dst;
  int64_t sh, sw, dh, dw, c;
  int labels;
  int rc; /* written with the same value only */
} job;

static void run(int64_t begin, int64_t end, void *ctx) {
  job *j = ctx;
  for (int64_t i = begin; i < end; i++) {
    int64_t s = i * j->sh * j->sw * j->c, d = i * j->dh * j->dw * j->c;
    int rc = PC_OK;
    if (j->labels)
      pc_resize_labels_u8(pc_u8(j->dst) + d, j->dh, j->dw, pc_u8(j->src) + s, j->sh, j->sw);
    else if (j->src->dtype == PC_U8)
      rc = pc_resize_pixels_u8(pc_u8(j->dst) + d, j->dh, j->dw, pc_u8(j->src) + s, j->sh, j->sw, j->c);
    else
      rc = pc_resize_pixels_f32(pc_f32(j->dst) + d, j->dh, j->dw, pc_f32(j->src) + s, j->sh, j->sw, j->c);
    if (rc < 0) __atomic_store_n(&j->rc, rc, __ATOMIC_RELAXED);
  }
}

static int resize(pc_tensor **out, const pc_tensor *t, int64_t height, int64_t width, int labels) {
  const char *op = labels ? "resize_labels" : "resize";
  int base = labels ? 2 : 3; /* dims of one picture */
  pc_tensor *flat = NULL;
  *out = NULL;
  if (t->ndim != base && t->ndim != base + 1)
    return pc_fail(PC_ESHAPE, "%s: shape %s is neither %s", op, pc_shape_str(t),
                   labels ? "(H,W) nor (N,H,W)" : "(H,W,C) nor (N,H,W,C)");
  if (t->dtype != PC_U8 && (labels || t->dtype != PC_F32))
    return pc_fail(PC_EDTYPE, "%s: the tensor is %s, not %s", op, pc_dtype_name(t->dtype), labels ? "u8" : "u8 or f32");
  int y = t->ndim - base;
  if (height < 1 || width < 1 || height > 1 << 20 || width > 1 << 20)
    return pc_fail(PC_EARG, "%s: the new size %lld x %lld makes no picture", op, (long long)height, (long long)width);
  if (t->size[y] < 1 || t->size[y + 1] < 1)
    return pc_fail(PC_ESHAPE, "%s: shape %s has no pixels", op, pc_shape_str(t));
  int64_t size[PC_MAX_DIM];
  memcpy(size, t->size, sizeof size);
  size[y] = height;
  size[y + 1] = width;
  int rc = pc_contiguous(&flat, t);
  if (rc == PC_OK) rc = pc_tensor_empty(out, t->dtype, t->ndim, size);
  if (rc == PC_OK) {
    job j = {flat, *out, t->size[y], t->size[y + 1], height, width, labels ? 1 : t->size[y + 2], labels, PC_OK};
    pc_stoppable_begin();
    pc_parallel_for(y ? t->size[0] : 1, 1, run, &j);
    if (j.rc < 0) rc = pc_fail(j.rc, "%s: out of memory", op);
    rc = pc_stoppable_end(rc);
    if (rc < 0) {
      pc_tensor_release(*out);
      *out = NULL;
    }
  }
  pc_tensor_release(flat);
  return rc;
}

int pc_resize(pc_tensor **out, const pc_tensor *t, int64_t height, int64_t width) {
  return resize(out, t, height, width, 0);
}

int pc_resize_labels(pc_tensor **out, const pc_tensor *t, int64_t height, int64_t width) {
  return resize(out, t, height, width, 1);
}
