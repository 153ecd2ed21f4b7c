#include "metrics/health.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"
#include "metrics/matching.h"

PC_OPTIONS_TABLE(pc_health_options, "slot_health", pc_health_opts, PC_HEALTH_OPTIONS);

static void drop(pc_tensor **t) {
  pc_tensor_release(*t);
  *t = NULL;
}

/* A contiguous f64 copy of x, which has to be floats. */
static int doubles(pc_tensor **out, const pc_tensor *x, const char *fn, const char *what) {
  pc_tensor *wide;
  *out = NULL;
  if (!pc_dtype_is_float((pc_dtype)x->dtype))
    return pc_fail(PC_EDTYPE, "%s: %s is %s; floats are needed", fn, what, pc_dtype_name((pc_dtype)x->dtype));
  int rc = pc_to_dtype(&wide, x, PC_F64);
  if (rc < 0) return rc;
  rc = pc_contiguous(out, wide);
  pc_tensor_release(wide);
  return rc;
}

/* ---- usage and entropy ---- */

/* Entropy over slots of each pixel, (B,P), not divided by log K. */
static int entropies(pc_tensor **out, double *mean, pc_tensor *attention) {
  pc_scope s = {0};
  int64_t K = attention->size[2], flat[2] = {attention->size[0] * attention->size[1], K};
  pc_tensor *keep[2];
  int was = pc_grad_set_enabled(0);
  pc_tensor *a = pc_reshape(&s, attention, 2, flat);
  keep[0] = pc_sum(&s, pc_mul(&s, a, pc_log(&s, pc_add_scalar(&s, a, 1e-12))), 1, (int[]){1}, 0);
  keep[1] = pc_mean(&s, keep[0], 0, NULL, 0);
  pc_grad_set_enabled(was);
  int rc = pc_scope_end(&s, keep, 2);
  if (rc < 0) return rc;
  *mean = -pc_item(keep[1]);
  pc_tensor_release(keep[1]);
  rc = doubles(out, keep[0], "slot_use", "attention");
  pc_tensor_release(keep[0]);
  return rc;
}

/* share, mixed (B,K) of attention a (B,P,K) and negative entropies h (B,P). */
static void fold(double *share, double *mixed, const double *a, const double *h, int64_t B, int64_t P, int64_t K) {
  double unit = 1 / (double)P, bits = K > 1 ? -unit / log((double)K) : 0;
  for (int64_t b = 0; b < B; b++)
    for (int64_t p = 0; p < P; p++) {
      const double *row = a + (b * P + p) * K, e = h[b * P + p] * bits;
      for (int64_t k = 0; k < K; k++) {
        share[b * K + k] += row[k] * unit;
        mixed[b * K + k] += row[k] * e;
      }
    }
}

int pc_slot_use(pc_tensor **share, pc_tensor **mixed, double *entropy, pc_tensor *attention) {
  pc_tensor *a = NULL, *h = NULL, *m = NULL;
  double mean = NAN;
  *share = NULL;
  if (mixed) *mixed = NULL;
  if (attention->ndim != 3 || pc_numel(attention) == 0)
    return pc_fail(PC_ESHAPE, "slot_use: attention has shape %s; (B,pixels,K), none of them 0, is needed",
                   pc_shape_str(attention));
  int64_t B = attention->size[0], P = attention->size[1], K = attention->size[2], size[2] = {B, K};
  int rc = doubles(&a, attention, "slot_use", "attention");
  if (rc == PC_OK) rc = entropies(&h, &mean, attention);
  if (rc == PC_OK) rc = pc_tensor_zeros(share, PC_F64, 2, size);
  if (rc == PC_OK) rc = pc_tensor_zeros(&m, PC_F64, 2, size);
  if (rc == PC_OK) {
    fold(pc_f64(*share), pc_f64(m), pc_f64(a), pc_f64(h), B, P, K);
    if (entropy) *entropy = K > 1 ? (mean < 0 ? 0 : mean) / log((double)K) : 0; /* the 1e-12 may make it negative */
    if (mixed) *mixed = m, m = NULL;
  } else {
    drop(share);
  }
  pc_tensor_release(m);
  pc_tensor_release(h);
  pc_tensor_release(a);
  return rc;
}

/* ---- chance ---- */

static int by_value(const void *x, const void *y) {
  int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
  return (a > b) - (a < b);
}

int pc_chance(double *out, const pc_tensor *labels) {
  pc_tensor *wide;
  *out = NAN;
  if (pc_dtype_is_float((pc_dtype)labels->dtype))
    return pc_fail(PC_EDTYPE, "chance: labels are %s; integers are needed", pc_dtype_name((pc_dtype)labels->dtype));
  int64_t n = pc_numel(labels), most = 0;
  if (n == 0) return pc_fail(PC_EARG, "chance: there are no labels");
  int rc = pc_to_dtype(&wide, labels, PC_I64);
  pc_tensor *flat = NULL;
  if (rc == PC_OK) rc = pc_clone(&flat, wide);
  pc_tensor_release(wide);
  if (rc < 0) return rc;
  int64_t *v = pc_i64(flat);
  qsort(v, (size_t)n, sizeof *v, by_value);
  for (int64_t i = 0, j; i < n; i = j) {
    for (j = i + 1; j < n && v[j] == v[i];) j++;
    if (j - i > most) most = j - i;
  }
  *out = (double)most / (double)n;
  pc_tensor_release(flat);
  return PC_OK;
}

/* ---- the verdict ---- */

static int usage(pc_slot_health *h, const double *share, const double *mixed, int64_t N, const pc_health_opts *o) {
  int64_t K = h->slots;
  int rc = pc_tensor_zeros(&h->usage, PC_F64, 1, &K);
  if (rc == PC_OK) rc = pc_tensor_zeros(&h->present, PC_F64, 1, &K);
  if (rc == PC_OK) rc = pc_tensor_zeros(&h->entropy, PC_F64, 1, &K);
  if (rc < 0) return rc;
  for (int64_t k = 0; k < K; k++) {
    double s = 0, m = 0, n = 0;
    for (int64_t i = 0; i < N; i++) {
      s += share[i * K + k];
      m += mixed[i * K + k];
      n += share[i * K + k] >= o->holds;
    }
    pc_f64(h->usage)[k] = s / (double)N;
    pc_f64(h->present)[k] = n / (double)N;
    pc_f64(h->entropy)[k] = s > 0 ? fmax(m / s, 0) : NAN;
    pc_u8(h->empty)[k] = (uint8_t) !(s / (double)N >= o->empty); /* NaN is empty, too */
    h->n_empty += pc_u8(h->empty)[k];
  }
  return PC_OK;
}

static double skill_of(double accuracy, double chance) { return chance < 1 ? (accuracy - chance) / (1 - chance) : NAN; }

/* told (K,F): skill that reaches both thresholds, of slots that are not empty. */
static void tell(pc_slot_health *h, const pc_health_opts *o) {
  int64_t K = h->slots, F = h->factors;
  const double *skill = pc_f64(h->skill);
  for (int64_t f = 0; f < F; f++) {
    double best = 0;
    for (int64_t k = 0; k < K; k++)
      if (!pc_u8(h->empty)[k]) best = fmax(best, skill[k * F + f]);
    for (int64_t k = 0; k < K; k++) {
      double s = skill[k * F + f];
      int told = !pc_u8(h->empty)[k] && s >= o->tells && s >= o->near * best;
      pc_u8(h->told)[k * F + f] = (uint8_t)told;
      pc_i64(h->times)[f] += told;
      if (told && s == best && pc_i64(h->place)[f] < PC_INDEX_BASE) pc_i64(h->place)[f] = k + PC_INDEX_BASE;
    }
  }
}

/* As many factors as possible get a slot that tells them, of these assignments the one of the largest skill. */
static int own(pc_slot_health *h) {
  int64_t K = h->slots, F = h->factors;
  double *cost = pc_malloc((size_t)(F * K) * sizeof *cost);
  int64_t *of = pc_malloc((size_t)F * sizeof *of);
  int rc = cost && of ? PC_OK : PC_ENOMEM;
  for (int64_t i = 0; rc == PC_OK && i < F * K; i++) {
    int64_t at = i % K * F + i / K;
    cost[i] = pc_u8(h->told)[at] ? -((double)F + pc_f64(h->skill)[at]) : 0; /* one more outweighs any skill */
  }
  if (rc == PC_OK) rc = pc_hungarian(of, NULL, cost, F, K);
  for (int64_t f = 0; rc == PC_OK && f < F; f++)
    if (of[f] >= 0 && pc_u8(h->told)[of[f] * F + f]) pc_i64(h->owner)[f] = pc_i64(h->place)[f] = of[f] + PC_INDEX_BASE;
  pc_free(of);
  pc_free(cost);
  return rc;
}

static int telling(pc_slot_health *h, const double *accuracy, const double *chance, const pc_health_opts *o) {
  int64_t K = h->slots, F = h->factors, size[2] = {K, F};
  int rc = pc_tensor_zeros(&h->skill, PC_F64, 2, size);
  if (rc == PC_OK) rc = pc_tensor_zeros(&h->told, PC_U8, 2, size);
  if (rc == PC_OK) rc = pc_tensor_zeros(&h->times, PC_I64, 1, &F);
  if (rc == PC_OK) rc = pc_tensor_zeros(&h->owner, PC_I64, 1, &F);
  if (rc == PC_OK) rc = pc_tensor_zeros(&h->place, PC_I64, 1, &F);
  for (int64_t f = 0; rc == PC_OK && f < F; f++) {
    pc_i64(h->owner)[f] = pc_i64(h->place)[f] = PC_INDEX_BASE - 1;
    if (!(chance[f] >= 0 && chance[f] <= 1))
      return pc_fail(PC_EARG, "slot_health: chance of factor %lld is %g; a share from 0 to 1 is needed",
                     (long long)f + PC_INDEX_BASE, chance[f]);
  }
  for (int64_t i = 0; rc == PC_OK && i < K * F; i++) {
    if (accuracy[i] < 0 || accuracy[i] > 1)
      return pc_fail(PC_EARG, "slot_health: accuracy of slot %lld for factor %lld is %g; a share from 0 to 1 is needed",
                     (long long)(i / F) + PC_INDEX_BASE, (long long)(i % F) + PC_INDEX_BASE, accuracy[i]);
    pc_f64(h->skill)[i] = skill_of(accuracy[i], chance[i % F]);
  }
  if (rc == PC_OK) {
    tell(h, o);
    rc = own(h);
  }
  for (int64_t f = 0; rc == PC_OK && f < F; f++)
    if (chance[f] < 1 && pc_i64(h->owner)[f] < PC_INDEX_BASE) h->good = 0;
  return rc;
}

static int check(const pc_tensor *share, const pc_tensor *mixed, const pc_tensor *accuracy, const pc_tensor *chance) {
  const char *fn = "slot_health";
  if (!share != !mixed) return pc_fail(PC_EARG, "%s: share and mixed come from slot_use: give both or neither", fn);
  if (!accuracy != !chance) return pc_fail(PC_EARG, "%s: accuracy and chance: give both or neither", fn);
  if (!share && !accuracy) return pc_fail(PC_EARG, "%s: there is neither attention nor accuracy to look at", fn);
  if (share && (share->ndim != 2 || pc_numel(share) == 0 || !pc_same_shape(share, mixed)))
    return pc_fail(PC_ESHAPE, "%s: share has shape %s, mixed %s; both (N,K), not empty, are needed", fn,
                   pc_shape_str(share), pc_shape_str(mixed));
  if (accuracy && (accuracy->ndim != 2 || pc_numel(accuracy) == 0))
    return pc_fail(PC_ESHAPE, "%s: accuracy has shape %s; (K,F), not empty, is needed", fn, pc_shape_str(accuracy));
  if (accuracy && (chance->ndim != 1 || chance->size[0] != accuracy->size[1]))
    return pc_fail(PC_ESHAPE, "%s: accuracy %s has %lld factors, chance has shape %s", fn, pc_shape_str(accuracy),
                   (long long)accuracy->size[1], pc_shape_str(chance));
  if (accuracy && share && accuracy->size[0] != share->size[1])
    return pc_fail(PC_ESHAPE, "%s: accuracy %s has %lld slots, attention %lld", fn, pc_shape_str(accuracy),
                   (long long)accuracy->size[0], (long long)share->size[1]);
  return PC_OK;
}

int pc_slot_health_new(pc_slot_health *out, const pc_tensor *share, const pc_tensor *mixed, const pc_tensor *accuracy,
                       const pc_tensor *chance, const pc_health_opts *opts) {
  pc_tensor *in[4] = {NULL};
  const pc_tensor *given[4] = {share, mixed, accuracy, chance};
  const char *const names[4] = {"share", "mixed", "accuracy", "chance"};
  memset(out, 0, sizeof *out);
  int rc = pc_options_check(&pc_health_options, "slot_health", opts);
  if (rc == PC_OK) rc = check(share, mixed, accuracy, chance);
  for (int i = 0; rc == PC_OK && i < 4; i++)
    if (given[i]) rc = doubles(&in[i], given[i], "slot_health", names[i]);
  if (rc == PC_OK) {
    out->slots = share ? share->size[1] : accuracy->size[0];
    out->factors = accuracy ? accuracy->size[1] : 0;
    out->good = 1;
    rc = pc_tensor_zeros(&out->empty, PC_U8, 1, &out->slots);
  }
  if (rc == PC_OK && share) rc = usage(out, pc_f64(in[0]), pc_f64(in[1]), share->size[0], opts);
  if (rc == PC_OK && accuracy) rc = telling(out, pc_f64(in[2]), pc_f64(in[3]), opts);
  if (out->n_empty) out->good = 0;
  for (int i = 0; i < 4; i++) pc_tensor_release(in[i]);
  if (rc < 0) pc_slot_health_free(out);
  return rc;
}

void pc_slot_health_free(pc_slot_health *h) {
  if (!h) return;
  pc_tensor **all[] = {&h->usage, &h->present, &h->entropy, &h->empty, &h->skill,
                       &h->told,  &h->times,   &h->owner,   &h->place};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) drop(all[i]);
}

/* ---- which slot is read ---- */

/* a (K,F), slots (n) that count -> of (F) */
static int assign(int64_t *of, const double *a, const int64_t *slots, int64_t n, int64_t F) {
  double *cost = pc_malloc((size_t)(F * n) * sizeof *cost);
  if (!cost) return PC_ENOMEM;
  for (int64_t f = 0; f < F; f++)
    for (int64_t j = 0; j < n; j++) cost[f * n + j] = -a[slots[j] * F + f];
  int rc = pc_hungarian(of, NULL, cost, F, n);
  for (int64_t f = 0; rc == PC_OK && f < F; f++) {
    if (of[f] < 0) { /* fewer slots than factors */
      of[f] = 0;
      for (int64_t j = 1; j < n; j++)
        if (cost[f * n + j] < cost[f * n + of[f]]) of[f] = j;
    }
    of[f] = slots[of[f]] + PC_INDEX_BASE;
  }
  pc_free(cost);
  return rc;
}

int pc_slot_assign(pc_tensor **slot_of, const pc_tensor *accuracy, const pc_tensor *empty) {
  pc_tensor *a = NULL;
  int64_t *slots = NULL, n = 0;
  *slot_of = NULL;
  if (accuracy->ndim != 2 || pc_numel(accuracy) == 0)
    return pc_fail(PC_ESHAPE, "slot_of: accuracy has shape %s; (K,F), not empty, is needed", pc_shape_str(accuracy));
  int64_t K = accuracy->size[0], F = accuracy->size[1];
  if (empty && (empty->ndim != 1 || empty->size[0] != K || empty->dtype != PC_U8 || !pc_is_contiguous(empty)))
    return pc_fail(PC_ESHAPE, "slot_of: empty is %s %s; u8 (%lld), a flag for each slot, is needed",
                   pc_dtype_name((pc_dtype)empty->dtype), pc_shape_str(empty), (long long)K);
  int rc = doubles(&a, accuracy, "slot_of", "accuracy");
  for (int64_t i = 0; rc == PC_OK && i < K * F; i++)
    if (!isfinite(pc_f64(a)[i]))
      rc = pc_fail(PC_EARG, "slot_of: accuracy of slot %lld for factor %lld is %g; a finite number is needed",
                   (long long)(i / F) + PC_INDEX_BASE, (long long)(i % F) + PC_INDEX_BASE, pc_f64(a)[i]);
  if (rc == PC_OK && !(slots = pc_malloc((size_t)K * sizeof *slots))) rc = PC_ENOMEM;
  for (int64_t k = 0; rc == PC_OK && k < K; k++)
    if (!empty || !pc_u8(empty)[k]) slots[n++] = k;
  for (int64_t k = 0; rc == PC_OK && n == 0 && k < K; k++) slots[k] = k;
  if (rc == PC_OK) rc = pc_tensor_zeros(slot_of, PC_I64, 1, &F);
  if (rc == PC_OK) rc = assign(pc_i64(*slot_of), pc_f64(a), slots, n ? n : K, F);
  if (rc < 0) drop(slot_of);
  pc_free(slots);
  pc_tensor_release(a);
  return rc;
}
