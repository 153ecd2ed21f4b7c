#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "datasets/sprites_impl.h"

const char *const pc_sprites_shape_names[PC_SHAPE_KINDS] = {"square",   "triangle", "circle", "diamond",
                                                            "pentagon", "hexagon",  "star",   "cross"};

int pc_sprites_shape_kind(const char *name) {
  for (int i = 0; i < PC_SHAPE_KINDS; i++)
    if (!strcmp(name, pc_sprites_shape_names[i])) return i;
  return -1;
}

/* Regular polygon of n corners on the circle of radius 1/2, one corner up
 * (y = +1/2): inside all edges, whose normals lie between the corners. */
static int in_polygon(double x, double y, int n) {
  double apothem = .5 * cos(M_PI / n);
  for (int i = 0; i < n; i++) {
    double a = M_PI / 2 + M_PI * (2 * i + 1) / n;
    if (x * cos(a) + y * sin(a) > apothem) return 0;
  }
  return 1;
}

/* Five points at radius 1/2, the inner corners where a pentagram has them. */
static int in_star(double x, double y) {
  const double inner = .5 * 0.3819660112501051, step = M_PI / 5;
  double r = sqrt(x * x + y * y), a = atan2(x, y);     /* from the upper point, clockwise */
  a = fabs(a - 2 * step * floor(a / (2 * step) + .5)); /* to the nearest point: 0 .. step */
  double px = r * sin(a), py = r * cos(a);             /* the edge goes from (0,1/2) to inner (sin step, cos step) */
  double ex = inner * sin(step), ey = inner * cos(step) - .5;
  return ex * (py - .5) - ey * px <= 0;
}

/* In the shape's own frame: y up, size 1. */
static int inside(int kind, double x, double y) {
  switch (kind) {
    case 0: return fabs(x) <= .5 && fabs(y) <= .5;
    case 1: return in_polygon(x, y, 3);
    case 2: return x * x + y * y <= .25;
    case 3: return fabs(x) + fabs(y) <= .5;
    case 4: return in_polygon(x, y, 5);
    case 5: return in_polygon(x, y, 6);
    case 6: return in_star(x, y);
    default: return (fabs(x) <= 1. / 6 && fabs(y) <= .5) || (fabs(y) <= 1. / 6 && fabs(x) <= .5);
  }
}

static void hsv_to_rgb(double h, double s, double v, float out[3]) {
  static const double shift[3] = {5, 3, 1};
  for (int i = 0; i < 3; i++) {
    double k = fmod(shift[i] + 6 * h, 6), m = fmin(fmin(k, 4 - k), 1);
    out[i] = (float)(v - v * s * fmax(m, 0));
  }
}

typedef struct job {
  const pc_sprites_world *w;
  const float *latents; /* (N,K,6) */
  uint8_t *u8, *masks;
  float *f32;
  int out_of_memory;
} job;

/* owner: (H S, W S) points; touched: (H,W) pixels where any object has been. */
static void paint(const pc_sprites_world *w, const float *z, int object, uint8_t *owner, uint8_t *touched) {
  int64_t S = w->S, side = w->H < w->W ? w->H : w->W;
  double size = z[PC_SPRITES_SCALE] * (double)side, reach = size * .71;
  double cx = z[PC_SPRITES_X] * (double)w->W, cy = z[PC_SPRITES_Y] * (double)w->H;
  double a = z[PC_SPRITES_ANGLE] * M_PI / 180, c = cos(a), s = sin(a);
  int kind = w->shape[(int)z[PC_SPRITES_SHAPE] - PC_INDEX_BASE];
  if (!(size > 0)) return;
  double left = fmax(floor(cx - reach), 0), right = fmin(ceil(cx + reach), (double)w->W);
  double top = fmax(floor(cy - reach), 0), bottom = fmin(ceil(cy + reach), (double)w->H);
  if (left >= right || top >= bottom) return;
  for (int64_t y = (int64_t)top * S; y < (int64_t)bottom * S; y++)
    for (int64_t x = (int64_t)left * S; x < (int64_t)right * S; x++) {
      double dx = (((double)x + .5) / (double)S - cx) / size, dy = (cy - ((double)y + .5) / (double)S) / size;
      if (!inside(kind, c * dx + s * dy, -s * dx + c * dy)) continue;
      owner[y * w->W * S + x] = (uint8_t)object;
      touched[y / S * w->W + x / S] = 1;
    }
}

/* Pixel p = (y,x) of image i from the points it holds. */
static void resolve_pixel(const job *j, int64_t i, int64_t y, int64_t x, const uint8_t *owner,
                          float color[PC_SPRITES_MAX_OBJECTS + 1][3], int any) {
  const pc_sprites_world *w = j->w;
  int64_t S = w->S, at = (i * w->H + y) * w->W + x;
  int count[PC_SPRITES_MAX_OBJECTS + 1] = {0}, best = 0;
  if (any) {
    for (int64_t r = 0; r < S; r++)
      for (int64_t k = 0; k < S; k++) count[owner[(y * S + r) * w->W * S + x * S + k]]++;
  } else {
    count[0] = (int)(S * S);
  }
  float rgb[3] = {0};
  for (int k = 0; k <= w->K; k++) {
    if (!count[k]) continue;
    if (count[k] >= count[best]) best = k;
    for (int c = 0; c < 3; c++) rgb[c] += color[k][c] * (float)count[k] / (float)(S * S);
  }
  if (j->masks) j->masks[at] = (uint8_t)best;
  for (int c = 0; c < 3; c++) {
    float v = rgb[c] > 1 ? 1 : rgb[c] < 0 ? 0 : rgb[c];
    if (j->u8)
      j->u8[at * 3 + c] = (uint8_t)(v * 255 + .5f);
    else
      j->f32[at * 3 + c] = v;
  }
}

static void render_range(int64_t begin, int64_t end, void *ctx) {
  job *j = ctx;
  const pc_sprites_world *w = j->w;
  size_t points = (size_t)(w->H * w->W * w->S * w->S), pixels = (size_t)(w->H * w->W);
  float color[PC_SPRITES_MAX_OBJECTS + 1][3];
  uint8_t *owner = pc_malloc(points + pixels);
  if (!owner) {
    __atomic_store_n(&j->out_of_memory, 1, __ATOMIC_RELAXED);
    return;
  }
  uint8_t *touched = owner + points;
  memset(owner, 0, points + pixels);
  for (int c = 0; c < 3; c++) color[0][c] = (float)w->background[c];
  for (int64_t i = begin; i < end; i++) {
    for (int64_t k = 0; k < w->K; k++) {
      const float *z = j->latents + (i * w->K + k) * PC_SPRITES_LATENTS;
      hsv_to_rgb(z[PC_SPRITES_HUE], w->saturation, w->value, color[k + 1]);
      paint(w, z, (int)k + 1, owner, touched);
    }
    for (int64_t p = 0; p < (int64_t)pixels; p++) {
      resolve_pixel(j, i, p / w->W, p % w->W, owner, color, touched[p]);
      if (!touched[p]) continue;
      touched[p] = 0;
      for (int64_t r = 0; r < w->S; r++)
        memset(owner + ((p / w->W) * w->S + r) * w->W * w->S + (p % w->W) * w->S, 0, (size_t)w->S);
    }
  }
  pc_free(owner);
}

static int check_latents(const pc_sprites_world *w, const pc_tensor *t) {
  static const char *const names[] = {"shape", "x", "y", "scale", "hue", "angle"};
  for (int64_t i = 0; i < pc_numel(t); i++) {
    int l = (int)(i % PC_SPRITES_LATENTS);
    float v = pc_f32(t)[i];
    int64_t object = i / PC_SPRITES_LATENTS;
    int bad = !isfinite(v);
    if (l == PC_SPRITES_SHAPE) bad |= !(v >= PC_INDEX_BASE && v < w->nshapes + PC_INDEX_BASE);
    if (l == PC_SPRITES_SCALE) bad |= !(v >= 0 && v <= 16);
    if (l == PC_SPRITES_HUE) bad |= !(v >= 0 && v <= 1);
    if (bad)
      return pc_fail(
          PC_EARG,
          "sprites: %s is %g in image %lld, object %lld; shapes go from %d to %d, hue from 0 to 1, scale from 0 to 16",
          names[l], (double)v, (long long)(object / w->K) + PC_INDEX_BASE, (long long)(object % w->K) + PC_INDEX_BASE,
          PC_INDEX_BASE, w->nshapes - 1 + PC_INDEX_BASE);
  }
  return PC_OK;
}

int pc_sprites_render(pc_tensor **images, pc_tensor **masks, const pc_tensor *latents, pc_dtype dtype,
                      const pc_sprites_opts *opts) {
  pc_sprites_world w;
  pc_tensor *wide = NULL, *flat = NULL;
  *images = NULL;
  if (masks) *masks = NULL;
  int rc = pc_sprites_resolve(&w, opts);
  if (rc < 0) return rc;
  if (dtype != PC_U8 && dtype != PC_F32)
    return pc_fail(PC_EDTYPE, "sprites: images come as u8 or f32, not %s", pc_dtype_name(dtype));
  if (latents->ndim != 3 || latents->size[1] != w.K || latents->size[2] != PC_SPRITES_LATENTS ||
      !pc_dtype_is_float((pc_dtype)latents->dtype))
    return pc_fail(PC_ESHAPE, "sprites: latents have shape %s, dtype %s; floats of shape (N,%lld,%d) are needed",
                   pc_shape_str(latents), pc_dtype_name((pc_dtype)latents->dtype), (long long)w.K, PC_SPRITES_LATENTS);
  int64_t n = latents->size[0], size[4] = {n, w.H, w.W, 3};
  if ((rc = pc_to_dtype(&wide, latents, PC_F32)) < 0 || (rc = pc_contiguous(&flat, wide)) < 0 ||
      (rc = check_latents(&w, flat)) < 0 || (rc = pc_tensor_empty(images, dtype, 4, size)) < 0 ||
      (masks && (rc = pc_tensor_empty(masks, PC_U8, 3, size)) < 0))
    goto done;
  job j = {.w = &w, .latents = pc_f32(flat), .masks = masks ? pc_u8(*masks) : NULL};
  if (dtype == PC_U8)
    j.u8 = pc_u8(*images);
  else
    j.f32 = pc_f32(*images);
  pc_stoppable_begin();
  pc_parallel_for(n, 16, render_range, &j);
  rc = pc_stoppable_end(rc);
  if (rc == PC_OK && j.out_of_memory) rc = pc_fail(PC_ENOMEM, "sprites: out of memory while rendering");
done:
  if (rc < 0) {
    pc_tensor_release(*images);
    *images = NULL;
    if (masks) {
      pc_tensor_release(*masks);
      *masks = NULL;
    }
  }
  pc_tensor_release(flat);
  pc_tensor_release(wide);
  return rc;
}
