#include "datasets/sprites.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "datasets/sprites_impl.h"

#define TRIES 5000

/* ---- options ---- */

const char *const pc_sprites_shapes[] = {"square", "triangle", "circle"};
PC_OPTIONS_TABLE(pc_sprites_options, "sprites", pc_sprites_opts, PC_SPRITES_OPTIONS);

static int resolve_shapes(pc_sprites_world *w, const pc_sprites_opts *o) {
  const char *const *names = o->shapes;
  w->nshapes = o->nshapes;
  if (w->nshapes < 1 || w->nshapes > PC_SHAPE_KINDS)
    return pc_fail(PC_EARG, "sprites: %d shapes; 1 to %d", w->nshapes, PC_SHAPE_KINDS);
  for (int i = 0; i < w->nshapes; i++)
    if ((w->shape[i] = pc_sprites_shape_kind(names[i])) < 0)
      return pc_fail(
          PC_EARG,
          "sprites: no shape '%s'; there are: square, triangle, circle, diamond, pentagon, hexagon, star, cross",
          names[i]);
  return PC_OK;
}

static int resolve_range(pc_sprites_world *w, int latent, const char *name, const double given[2], double least,
                         double most) {
  w->lo[latent] = given[0];
  w->hi[latent] = given[1];
  if (!(w->lo[latent] >= least && w->lo[latent] <= w->hi[latent] && w->hi[latent] <= most))
    return pc_fail(PC_EARG, "sprites: %s goes from %g to %g; an ascending range inside [%g, %g] is needed", name,
                   w->lo[latent], w->hi[latent], least, most);
  return PC_OK;
}

int pc_sprites_resolve(pc_sprites_world *w, const pc_sprites_opts *opts) {
  static const pc_sprites_opts defaults = PC_SPRITES_OPTS_INIT;
  const pc_sprites_opts *o = opts ? opts : &defaults;
  int rc = pc_options_check(&pc_sprites_options, "sprites", o);
  if (rc < 0) return rc;
  *w = (pc_sprites_world){.K = o->objects,
                          .H = o->height,
                          .W = o->width.given ? o->width.value : o->height,
                          .S = o->samples,
                          .saturation = o->saturation,
                          .value = o->value,
                          .delta = o->delta,
                          .anchor = o->anchor,
                          .gap_lo = o->gap[0],
                          .gap_hi = o->gap[1],
                          .sampler = (pc_sprites_sampler)o->sampler,
                          .seed = (uint64_t)o->seed,
                          .first = o->first - PC_INDEX_BASE};
  memcpy(w->background, o->background, sizeof w->background);
  for (int c = 0; c < 3; c++)
    if (!(w->background[c] >= 0 && w->background[c] <= 1))
      return pc_fail(PC_EARG, "sprites: background: colour %d is %g; numbers from 0 to 1 are expected", c + 1,
                     w->background[c]);
  if ((rc = resolve_shapes(w, o)) < 0 || (rc = resolve_range(w, PC_SPRITES_X, "x", o->x, -1, 2)) < 0 ||
      (rc = resolve_range(w, PC_SPRITES_Y, "y", o->y, -1, 2)) < 0 ||
      (rc = resolve_range(w, PC_SPRITES_SCALE, "scale", o->scale, 0, 4)) < 0 ||
      (rc = resolve_range(w, PC_SPRITES_HUE, "hue", o->hue, 0, 1)) < 0 ||
      (rc = resolve_range(w, PC_SPRITES_ANGLE, "angle", o->angle, -3600, 3600)) < 0)
    return rc;
  w->hi[PC_SPRITES_SHAPE] = w->nshapes;
  for (int l = 0; l < PC_SPRITES_LATENTS; l++) w->varies[l] = w->hi[l] > w->lo[l];
  w->varies[PC_SPRITES_SHAPE] = w->nshapes > 1;
  w->min_distance = o->min_distance.given ? o->min_distance.value : w->sampler == PC_SPRITES_OFF_DIAGONAL ? .2 : 0;
  if (!(w->gap_lo < w->gap_hi) || (w->gap_lo <= 0 && w->gap_hi >= 1))
    return pc_fail(PC_EARG, "sprites: gap: expected {low, high}, ascending, that leaves room in [0,1], got {%g, %g}",
                   w->gap_lo, w->gap_hi);
  if (w->K < 2 && w->sampler != PC_SPRITES_RANDOM)
    return pc_fail(PC_EARG, "sprites: this sampler combines objects; one object knows only 'random'");
  return PC_OK;
}

/* ---- sampling ---- u: (K,6) of one image */

static double normal(pc_rng *g) {
  double a = 1 - pc_rng_uniform(g), b = pc_rng_uniform(g);
  return sqrt(-2 * log(a)) * cos(2 * M_PI * b);
}

/* t (1,...,1) + noise, t uniform, noise uniform in the (K-1)-ball of radius
 * delta orthogonal to (1,...,1); again until it lies in [0,1]^K. 0: gave up. */
static int diagonal_latent(pc_rng *g, const pc_sprites_world *w, double v[PC_SPRITES_MAX_OBJECTS]) {
  for (int tries = 0; tries < TRIES; tries++) {
    double t = pc_rng_uniform(g), r = w->delta * pow(pc_rng_uniform(g), 1.0 / (double)(w->K - 1)), mean = 0, norm = 0;
    int inside = 1;
    for (int64_t k = 0; k < w->K; k++) v[k] = normal(g), mean += v[k] / (double)w->K;
    for (int64_t k = 0; k < w->K; k++) v[k] -= mean, norm += v[k] * v[k];
    if (norm == 0) continue;
    for (int64_t k = 0; k < w->K; k++) {
      v[k] = t + r * v[k] / sqrt(norm);
      inside &= v[k] >= 0 && v[k] <= 1;
    }
    if (inside) return 1;
  }
  return 0;
}

static int draw_diagonal(pc_rng *g, const pc_sprites_world *w, double *u) {
  double v[PC_SPRITES_MAX_OBJECTS];
  for (int l = 0; l < PC_SPRITES_LATENTS; l++) {
    if (!w->varies[l]) continue;
    if (!diagonal_latent(g, w, v)) return 0;
    for (int64_t k = 0; k < w->K; k++) {
      if (l == PC_SPRITES_X) {
        v[k] += (double)k / (double)w->K;
        if (v[k] >= 1) v[k] -= 1;
      }
      u[k * PC_SPRITES_LATENTS + l] = v[k];
    }
  }
  return 1;
}

static void draw_uniform(pc_rng *g, const pc_sprites_world *w, double *slot, int gap) {
  for (int l = 0; l < PC_SPRITES_LATENTS; l++) {
    if (!w->varies[l]) continue;
    double v = pc_rng_uniform(g);
    if (gap) { /* [0,lo] and [hi,1] laid end to end */
      double lo = w->gap_lo > 0 ? w->gap_lo : 0, hi = w->gap_hi < 1 ? w->gap_hi : 1;
      v *= lo + 1 - hi;
      if (v >= lo) v += hi - lo;
    }
    slot[l] = v;
  }
}

static int off_diagonal(const pc_sprites_world *w, const double *u) {
  for (int l = 0; l < PC_SPRITES_LATENTS; l++) {
    double v[PC_SPRITES_MAX_OBJECTS], mean = 0, d2 = 0;
    for (int64_t k = 0; k < w->K; k++) {
      v[k] = u[k * PC_SPRITES_LATENTS + l];
      if (l == PC_SPRITES_X) v[k] -= (double)k / (double)w->K, v[k] -= floor(v[k]);
      mean += v[k] / (double)w->K;
    }
    for (int64_t k = 0; k < w->K; k++) d2 += (v[k] - mean) * (v[k] - mean);
    if (w->varies[l] && d2 > w->delta * w->delta) return 1;
  }
  return 0;
}

static int apart(const pc_sprites_world *w, const double *u) {
  double sx = w->hi[PC_SPRITES_X] - w->lo[PC_SPRITES_X], sy = w->hi[PC_SPRITES_Y] - w->lo[PC_SPRITES_Y];
  for (int64_t i = 0; i < w->K; i++)
    for (int64_t j = 0; j < i; j++) {
      const double *a = u + i * PC_SPRITES_LATENTS, *b = u + j * PC_SPRITES_LATENTS;
      double dx = sx * (a[PC_SPRITES_X] - b[PC_SPRITES_X]), dy = sy * (a[PC_SPRITES_Y] - b[PC_SPRITES_Y]);
      if (dx * dx + dy * dy < w->min_distance * w->min_distance) return 0;
    }
  return 1;
}

/* 0: gave up after TRIES. */
static int draw_image(const pc_sprites_world *w, int64_t i, double *u) {
  pc_rng g = {w->seed, (uint64_t)i << 24};
  for (int tries = 0; tries < TRIES; tries++) {
    int good = 1;
    for (int64_t k = 0; k < w->K * PC_SPRITES_LATENTS; k++) u[k] = w->anchor;
    if (w->sampler == PC_SPRITES_DIAGONAL) {
      good = draw_diagonal(&g, w, u);
    } else if (w->sampler == PC_SPRITES_PLANES || w->sampler == PC_SPRITES_PLANES_GAP) {
      int64_t k = pc_rng_below(&g, w->K);
      draw_uniform(&g, w, u + k * PC_SPRITES_LATENTS, w->sampler == PC_SPRITES_PLANES_GAP);
    } else {
      for (int64_t k = 0; k < w->K; k++) draw_uniform(&g, w, u + k * PC_SPRITES_LATENTS, 0);
      if (w->sampler == PC_SPRITES_OFF_DIAGONAL) good = off_diagonal(w, u);
    }
    if (good && (w->min_distance <= 0 || apart(w, u))) return 1;
  }
  return 0;
}

typedef struct job {
  const pc_sprites_world *w;
  float *out;
  int failed;
} job;

static void sample_range(int64_t begin, int64_t end, void *ctx) {
  job *j = ctx;
  double u[PC_SPRITES_MAX_OBJECTS * PC_SPRITES_LATENTS];
  int64_t m = j->w->K * PC_SPRITES_LATENTS;
  for (int64_t i = begin; i < end; i++) {
    if (!draw_image(j->w, j->w->first + i, u)) __atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED);
    for (int64_t k = 0; k < m; k++) j->out[i * m + k] = (float)u[k];
  }
}

int pc_sprites_sample(pc_tensor **unit, int64_t n, const pc_sprites_opts *opts) {
  pc_sprites_world w;
  *unit = NULL;
  int rc = pc_sprites_resolve(&w, opts);
  if (rc < 0) return rc;
  if (n < 0) return pc_fail(PC_EARG, "sprites: %lld images", (long long)n);
  int64_t size[3] = {n, w.K, PC_SPRITES_LATENTS};
  if ((rc = pc_tensor_empty(unit, PC_F32, 3, size)) < 0) return rc;
  job j = {&w, pc_f32(*unit), 0};
  pc_stoppable_begin();
  pc_parallel_for(n, 64, sample_range, &j);
  if ((rc = pc_stoppable_end(PC_OK)) < 0) {
    pc_tensor_release(*unit);
    *unit = NULL;
    return rc;
  }
  if (j.failed) {
    pc_tensor_release(*unit);
    *unit = NULL;
    return pc_fail(
        PC_EARG,
        "sprites: no image was found in %d tries: %lld objects at least %g apart, delta %g; ask for less distance, "
        "fewer objects or a smaller delta",
        TRIES, (long long)w.K, w.min_distance, w.delta);
  }
  return PC_OK;
}

int pc_sprites_latents(pc_tensor **latents, const pc_tensor *unit, const pc_sprites_opts *opts) {
  pc_sprites_world w;
  pc_tensor *wide = NULL, *flat = NULL;
  *latents = NULL;
  int rc = pc_sprites_resolve(&w, opts);
  if (rc < 0) return rc;
  if (unit->ndim != 3 || unit->size[1] != w.K || unit->size[2] != PC_SPRITES_LATENTS ||
      !pc_dtype_is_float((pc_dtype)unit->dtype))
    return pc_fail(PC_ESHAPE, "sprites: unit latents have shape %s, dtype %s; floats of shape (N,%lld,%d) are needed",
                   pc_shape_str(unit), pc_dtype_name((pc_dtype)unit->dtype), (long long)w.K, PC_SPRITES_LATENTS);
  if ((rc = pc_to_dtype(&wide, unit, PC_F32)) == PC_OK && (rc = pc_contiguous(&flat, wide)) == PC_OK)
    rc = pc_tensor_empty(latents, PC_F32, 3, unit->size);
  for (int64_t i = 0; rc == PC_OK && i < pc_numel(flat); i++) {
    int l = (int)(i % PC_SPRITES_LATENTS);
    double u = pc_f32(flat)[i], v = w.lo[l] + u * (w.hi[l] - w.lo[l]);
    if (l == PC_SPRITES_SHAPE) {
      v = floor(u * w.nshapes);
      v = (v < 0 ? 0 : v > w.nshapes - 1 ? w.nshapes - 1 : v) + PC_INDEX_BASE;
    }
    pc_f32(*latents)[i] = (float)v;
  }
  pc_tensor_release(flat);
  pc_tensor_release(wide);
  return rc;
}
