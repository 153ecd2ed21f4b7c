/* Splits of continuous latents: diagonal band, orthogonal planes. */
#include <math.h>

#include "base/alloc.h"
#include "datasets/split_impl.h"

/* u: (K,L) of one image */
static int near_diagonal(const double *u, int64_t K, int64_t L, const pc_split_latents_opts *o) {
  for (int64_t l = 0; l < L; l++) {
    double mean = 0, d2 = 0;
    for (int pass = 0; pass < 2; pass++)
      for (int64_t k = 0; k < K; k++) {
        double v = u[k * L + l];
        if (l == o->shift - 1) {
          v -= (double)k / (double)K;
          v -= floor(v);
        }
        if (!pass)
          mean += v / (double)K;
        else
          d2 += (v - mean) * (v - mean);
      }
    if (d2 > o->delta * o->delta * (1 + 1e-6)) return 0;
  }
  return 1;
}

static int on_plane(const double *u, int64_t K, int64_t L, const pc_split_latents_opts *o, double lo, double hi) {
  int64_t away = -1;
  for (int64_t k = 0; k < K; k++)
    for (int64_t l = 0; l < L; l++)
      if (fabs(u[k * L + l] - o->anchor) > o->tolerance) {
        if (away >= 0 && away != k) return 0;
        away = k;
      }
  for (int64_t l = 0; o->rule == PC_LATENT_GAP && away >= 0 && l < L; l++)
    if (u[away * L + l] > lo && u[away * L + l] < hi) return 0;
  return 1;
}

PC_OPTIONS_TABLE(pc_split_latents_options, "split_latents", pc_split_latents_opts, PC_SPLIT_LATENTS_OPTIONS);

int pc_split_latents(pc_split **out, const pc_tensor *unit, const pc_split_latents_opts *opts) {
  static const pc_split_latents_opts defaults = PC_SPLIT_LATENTS_OPTS_INIT;
  const pc_split_latents_opts *o = opts ? opts : &defaults;
  double lo = o->gap[0], hi = o->gap[1];
  pc_tensor *wide = NULL, *flat = NULL;
  uint8_t *kind = NULL;
  pc_split *s = NULL;
  *out = NULL;
  int rc = pc_options_check(&pc_split_latents_options, "split_latents", o);
  if (rc < 0) return rc;
  if (unit->ndim != 3 || !pc_dtype_is_float((pc_dtype)unit->dtype))
    return pc_fail(unit->ndim != 3 ? PC_ESHAPE : PC_EDTYPE,
                   "split_latents: the latents have shape %s, dtype %s; f32 or f64 (images, slots, latents) is needed",
                   pc_shape_str(unit), pc_dtype_name((pc_dtype)unit->dtype));
  int64_t n = unit->size[0], K = unit->size[1], L = unit->size[2];
  if (K < 2)
    return pc_fail(PC_ESHAPE, "split_latents: %s has %lld slot; combinations need two", pc_shape_str(unit),
                   (long long)K);
  if (!(lo < hi))
    return pc_fail(PC_EARG, "split_latents: gap: expected {low, high} with low < high, got {%g, %g}", lo, hi);
  if (o->rule == PC_LATENT_DIAGONAL && o->shift > L)
    return pc_fail(PC_EARG, "split_latents: shift = %d, but slots have %lld latents", o->shift, (long long)L);
  rc = pc_to_dtype(&wide, unit, PC_F64);
  if (rc == PC_OK) rc = pc_contiguous(&flat, wide);
  if (rc == PC_OK && (!(kind = pc_malloc((size_t)n)) || !(s = pc_calloc(1, sizeof *s)))) rc = PC_ENOMEM;
  for (int64_t i = 0; rc == PC_OK && i < n; i++) {
    const double *u = pc_f64(flat) + i * K * L;
    int id = o->rule == PC_LATENT_DIAGONAL ? near_diagonal(u, K, L, o) : on_plane(u, K, L, o, lo, hi);
    kind[i] = id ? PC_CELL_ID : PC_CELL_OOD;
  }
  if (rc == PC_OK) rc = pc_split_divide(s, kind, n, o->val, o->test, (uint64_t)o->seed);
  if (rc < 0)
    pc_split_free(s);
  else
    *out = s;
  pc_free(kind);
  pc_tensor_release(flat);
  pc_tensor_release(wide);
  return rc;
}
