/* The pixels of composed scenes. Coordinates: x to the right, y down, in pixels; pixel k covers [k, k+1). */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "datasets/emoji_impl.h"

#define PI 3.14159265358979323846
static const double PITCH = 8, FIELD = 45; /* degrees */

/* ---- chance ---- */

static double between(pc_rng *g, double lo, double hi) { return lo + (hi - lo) * pc_rng_uniform(g); }

void pc_emoji_draw_plan(pc_emoji_plan *plan, const pc_emoji *e, int64_t i) {
  pc_rng g = {e->seed, (uint64_t)(e->first + i) << 8}; /* 256 draws an image */
  plan->place = (int)pc_rng_below(&g, e->nplaces);
  for (int k = 0; k < 2; k++) plan->animal[k] = (int)pc_rng_below(&g, e->nanimals);
  for (int k = 0; k < 2; k++) plan->texture[k] = (int)pc_rng_below(&g, e->ntextures);
  plan->azimuth = e->home[plan->place] + between(&g, -8, 8);
  plan->overlap = e->occlusion * pc_rng_uniform(&g);
  for (int k = 0; k < 2; k++) {
    double apart = 0.24 - 0.18 * plan->overlap;
    plan->x[k] = 0.5 + (k ? apart : -apart) + between(&g, -0.03, 0.03);
    plan->y[k] = between(&g, 0.68, 0.78);
    plan->scale[k] = between(&g, 0.36, 0.44);
    plan->flip[k] = (int)pc_rng_below(&g, 2);
  }
  plan->front = plan->y[1] >= plan->y[0];
}

/* ---- the place ---- */

void pc_emoji_view(const pc_emoji *e, int64_t height, int64_t width, int64_t *from, int64_t *to) {
  int64_t S = e->size;
  double half = tan(FIELD / 2 * PI / 180), tilt = PITCH * PI / 180;
  *from = height;
  *to = 0;
  for (int64_t r = 0; r < S; r++)
    for (int64_t c = 0; c < S; c++) {
      double right = (((double)c + 0.5) / (double)S * 2 - 1) * half;
      double rise = -(((double)r + 0.5) / (double)S * 2 - 1) * half;
      double ahead = cos(tilt) + rise * sin(tilt), up = rise * cos(tilt) - sin(tilt);
      double longitude = atan2(ahead, right), latitude = atan2(up, hypot(ahead, right));
      double v = (0.5 - latitude / PI) * (double)height - 0.5;
      v = fmin(fmax(v, 0), (double)height - 1.001);
      e->across[r * S + c] = (float)((0.5 - longitude / (2 * PI)) * (double)width - 0.5);
      e->down[r * S + c] = (float)v;
      if ((int64_t)v < *from) *from = (int64_t)v;
      if ((int64_t)v + 2 > *to) *to = (int64_t)v + 2;
    }
}

/* Bilinear view into picture (S,S); returns the mean colour. */
static pc_rgba paint_place(pc_rgba *picture, const pc_emoji *e, const pc_emoji_plan *plan) {
  int64_t n = e->size * e->size, w = e->view_w, h = e->view_h;
  const pc_rgba *strip = e->strip + (int64_t)plan->place * h * w;
  /* + 2 w: every sum below is positive */
  float shift = (float)((2 - fmod(plan->azimuth / 360, 1)) * (double)w);
  pc_rgba sum = {0, 0, 0, 0};
  for (int64_t p = 0; p < n; p++) {
    float u = e->across[p] + shift, v = e->down[p];
    int64_t u0 = (int64_t)u, v0 = (int64_t)v;
    float fu = u - (float)u0, fv = v - (float)v0;
    int64_t left = u0;
    while (left >= w) left -= w;
    int64_t right = left + 1 < w ? left + 1 : 0;
    const pc_rgba *top = strip + v0 * w, *low = top + w;
    pc_rgba a = top[left] + (top[right] - top[left]) * fu, b = low[left] + (low[right] - low[left]) * fu;
    picture[p] = a + (b - a) * fv;
    sum += picture[p];
  }
  return sum / (float)n;
}

/* ---- an animal ---- */

/* A cut-out on the pixels [x0, x0+w) x [y0, y0+h), cut off at the border of the picture. */
typedef struct sprite {
  int64_t x0, y0, w, h;
  double left, top, side;
  pc_rgba *pixel; /* (h,w), premultiplied */
} sprite;

enum { MAX_TAPS = 64 };

/* Area weights of target pixel t over `n` source pixels stretched to [origin, origin + side); *first of them. */
static int taps(float *weight, int64_t *first, double t, double origin, double side, int64_t n) {
  double unit = (double)n / side, lo = fmax((t - origin) * unit, 0), hi = fmin((t + 1 - origin) * unit, (double)n);
  int m = 0;
  *first = (int64_t)lo;
  for (int64_t k = *first; (double)k < hi && m < MAX_TAPS; k++)
    weight[m++] = (float)((fmin((double)k + 1, hi) - fmax((double)k, lo)) / unit);
  return m;
}

/* Fills s, whose pixel has room for (size) pixels; `row` for (cut, size). */
static void scale_cutout(sprite *s, pc_rgba *row, const pc_emoji *e, const pc_emoji_plan *plan, int k) {
  double S = (double)e->size;
  int64_t n = e->cut;
  const pc_rgba *from = e->cutout + ((int64_t)plan->animal[k] * e->ntextures + plan->texture[k]) * n * n;
  float weight[MAX_TAPS];
  int64_t first;
  s->side = plan->scale[k] * S;
  s->left = plan->x[k] * S - s->side / 2;
  s->top = plan->y[k] * S - s->side;
  double x1 = fmin(ceil(s->left + s->side), S), y1 = fmin(ceil(s->top + s->side), S);
  s->x0 = (int64_t)fmax(floor(s->left), 0);
  s->y0 = (int64_t)fmax(floor(s->top), 0);
  s->w = (int64_t)x1 - s->x0;
  s->h = (int64_t)y1 - s->y0;
  for (int64_t c = 0; c < s->w; c++) { /* columns first: row (n,w) */
    int m = taps(weight, &first, (double)(s->x0 + c), s->left, s->side, n);
    int64_t step = plan->flip[k] ? -1 : 1, start = plan->flip[k] ? n - 1 - first : first;
    for (int64_t r = 0; r < n; r++) {
      const pc_rgba *p = from + r * n + start;
      pc_rgba v = {0, 0, 0, 0};
      for (int t = 0; t < m; t++) v += p[t * step] * weight[t];
      row[r * s->w + c] = v;
    }
  }
  for (int64_t r = 0; r < s->h; r++) {
    int m = taps(weight, &first, (double)(s->y0 + r), s->top, s->side, n);
    for (int64_t c = 0; c < s->w; c++) {
      pc_rgba v = {0, 0, 0, 0};
      for (int t = 0; t < m; t++) v += row[(first + t) * s->w + c] * weight[t];
      s->pixel[r * s->w + c] = v;
    }
  }
}

static float alpha_at(const sprite *s, int64_t x, int64_t y) {
  x -= s->x0;
  y -= s->y0;
  return x < 0 || y < 0 || x >= s->w || y >= s->h ? 0 : s->pixel[y * s->w + x][3];
}

/* Share of pixel [t, t+1) under [lo, hi) blurred by a Gaussian of that width. */
static float blurred(double t, double lo, double hi, double width) {
  double k = 1 / (width * sqrt(2));
  return (float)(0.5 * (erf((t + 0.5 - lo) * k) - erf((t + 0.5 - hi) * k)));
}

/* The ground below darkens: a soft bar under the feet. At most .6 x 150/255. */
static void paint_shadow(pc_rgba *picture, float *bar, const pc_emoji *e, const sprite *s) {
  int64_t S = e->size;
  double width = s->side / 14, reach = 3.5 * width;
  double x0 = s->left + s->side / 6, x1 = s->left + s->side * 5 / 6;
  double y0 = s->top + s->side * 0.9, y1 = s->top + s->side * (1 + 1.0 / 30) + 1;
  int64_t c0 = (int64_t)fmax(floor(x0 - reach), 0), c1 = (int64_t)fmin(ceil(x1 + reach), (double)S);
  int64_t r0 = (int64_t)fmax(floor(y0 - reach), 0), r1 = (int64_t)fmin(ceil(y1 + reach), (double)S);
  for (int64_t c = c0; c < c1; c++) bar[c] = blurred((double)c, x0, x1, width);
  for (int64_t r = r0; r < r1; r++) {
    float depth = 0.6f * 150 / 255 * blurred((double)r, y0, y1, width);
    for (int64_t c = c0; c < c1; c++) picture[r * S + c] *= 1 - depth * bar[c] * (1 - alpha_at(s, c, r));
  }
}

static void paint_animal(pc_rgba *picture, const pc_emoji *e, const sprite *s, pc_rgba light) {
  for (int64_t r = 0; r < s->h; r++)
    for (int64_t c = 0; c < s->w; c++) {
      pc_rgba *to = picture + (s->y0 + r) * e->size + s->x0 + c, v = s->pixel[r * s->w + c];
      float alpha = v[3], most = 255 * alpha;
      v *= light;
      for (int k = 0; k < 3; k++) v[k] = v[k] > most ? most : v[k];
      *to = *to * (1 - alpha) + v;
    }
}

/* ---- all together ---- */

static void write_mask(uint8_t *mask, int64_t S, const sprite *s, int label) {
  for (int64_t r = 0; r < s->h; r++)
    for (int64_t c = 0; c < s->w; c++)
      if (s->pixel[r * s->w + c][3] > 0.5f) mask[(s->y0 + r) * S + s->x0 + c] = (uint8_t)label;
}

static double hidden_share(const sprite *behind, const sprite *before) {
  int64_t all = 0, gone = 0;
  for (int64_t r = 0; r < behind->h; r++)
    for (int64_t c = 0; c < behind->w; c++) {
      if (behind->pixel[r * behind->w + c][3] <= 0.5f) continue;
      all++;
      gone += alpha_at(before, behind->x0 + c, behind->y0 + r) > 0.5f;
    }
  return all ? (double)gone / (double)all : 0;
}

int pc_emoji_draw(const pc_emoji *e, int64_t i, uint8_t *image, uint8_t *mask, double hidden[2]) {
  int64_t S = e->size, room = S / 2 + 4; /* an animal is at most .44 S + 2 wide */
  pc_emoji_plan plan;
  sprite s[2] = {{0}, {0}};
  size_t pixels = (size_t)((image ? S * S : 0) + 2 * room * room + e->cut * room);
  pc_rgba *block = pc_malloc(pixels * sizeof *block + (size_t)S * sizeof(float));
  if (!block) return PC_ENOMEM;
  pc_rgba *row = block + 2 * room * room, *picture = row + e->cut * room;
  float *bar = (float *)(block + pixels);
  pc_emoji_draw_plan(&plan, e, i);
  for (int k = 0; k < 2; k++) {
    s[k].pixel = block + k * room * room;
    scale_cutout(&s[k], row, e, &plan, k);
  }
  if (hidden) {
    hidden[plan.front] = 0;
    hidden[!plan.front] = hidden_share(&s[!plan.front], &s[plan.front]);
  }
  if (mask) memset(mask, 0, (size_t)(S * S));
  pc_rgba light = {1, 1, 1, 1};
  if (image) light = 0.55f + 0.45f / 128 * paint_place(picture, e, &plan);
  for (int k = 0; k < 2; k++) {
    int which = k ? plan.front : !plan.front;
    if (mask) write_mask(mask, S, &s[which], which + 1);
    if (!image) continue;
    paint_shadow(picture, bar, e, &s[which]);
    paint_animal(picture, e, &s[which], light);
  }
  for (int64_t p = 0; image && p < S * S; p++)
    for (int k = 0; k < 3; k++) {
      float v = picture[p][k] + 0.5f;
      image[3 * p + k] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
  pc_free(block);
  return PC_OK;
}
