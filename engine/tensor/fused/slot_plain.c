/* slot_plain.c: slot attention as plain loops: what slot_attention.h says, and nothing else. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "tensor/fused/slot_impl.h"

/* One position of a problem, for all its images. */
typedef struct spot {
  double *h, *gh, *g; /* (dx), (dx), (all) */
  double rstd;
} spot;

static int spot_new(spot *t, const pc_slots *a) {
  t->h = pc_malloc(sizeof(double) * (size_t)(2 * a->dx + a->all + 1));
  if (!t->h) return PC_ENOMEM;
  t->gh = t->h + a->dx;
  t->g = t->gh + a->dx;
  return PC_OK;
}

#define PLAIN(T)                                                                                                \
  static void normal_##T(spot *t, const pc_slots *a, int64_t p, int64_t n) {                                    \
    const T *x = (const T *)a->x + (p * a->n + n) * a->dx;                                                      \
    double mean = 0, var = 0;                                                                                   \
    for (int64_t i = 0; i < a->dx; i++) mean += x[i] / (double)a->dx;                                           \
    for (int64_t i = 0; i < a->dx; i++) var += (x[i] - mean) * (x[i] - mean) / (double)a->dx;                   \
    t->rstd = 1 / sqrt(var + a->eps);                                                                           \
    for (int64_t i = 0; i < a->dx; i++) t->h[i] = a->norm ? (x[i] - mean) * t->rstd : x[i];                     \
  }                                                                                                             \
  static void weights_##T(const spot *t, const pc_slots *a, int64_t first, T *w) {                              \
    for (int64_t g = first; g < first + a->m; g++) {                                                            \
      double s = 0;                                                                                             \
      for (int64_t i = 0; i < a->dx; i++) s += t->h[i] * ((const T *)a->k)[g * a->dx + i];                      \
      w[g - first] = (T)(s + (a->c ? ((const T *)a->c)[g] : 0));                                                \
    }                                                                                                           \
    double top = w[0], sum = 0;                                                                                 \
    for (int64_t m = 1; m < a->m; m++) top = w[m] > top ? w[m] : top;                                           \
    for (int64_t m = 0; m < a->m; m++) sum += exp(w[m] - top);                                                  \
    for (int64_t m = 0; m < a->m; m++) w[m] = (T)(exp(w[m] - top) / sum);                                       \
  }                                                                                                             \
  static void forward_##T(spot *t, const pc_slots *a, int64_t p, int64_t n) {                                   \
    const T *x = (const T *)a->x + (p * a->n + n) * a->dx;                                                      \
    T *w = (T *)a->w + (p * a->n + n) * a->all;                                                                 \
    normal_##T(t, a, p, n);                                                                                     \
    for (int64_t g = 0; g < a->all; g += a->m) weights_##T(t, a, p * a->all + g, w + g);                        \
    for (int64_t b = 0; b < a->images; b++)                                                                     \
      for (int64_t e = 0; e < a->dv; e++) {                                                                     \
        double s = (a->bias ? ((const T *)a->bias)[e] : 0) + (a->residual ? x[e] : 0);                          \
        for (int64_t g = 0; g < a->keys; g++)                                                                   \
          s += (double)w[b * a->keys + g] * ((const T *)a->v)[((p * a->images + b) * a->keys + g) * a->dv + e]; \
        ((T *)a->out)[((p * a->images + b) * a->n + n) * a->dv + e] = (T)s;                                     \
      }                                                                                                         \
  }                                                                                                             \
  /* gradients of the scores into t->g */                                                                       \
  static void scores_back_##T(spot *t, const pc_slots *a, int64_t p, int64_t n, T *sums) {                      \
    const T *w = (const T *)a->w + (p * a->n + n) * a->all;                                                     \
    for (int64_t g = 0; g < a->all; g++) {                                                                      \
      const T *go = (const T *)a->gout + ((p * a->images + g / a->keys) * a->n + n) * a->dv;                    \
      const T *v = (const T *)a->v + (p * a->all + g) * a->dv;                                                  \
      t->g[g] = a->gw ? ((const T *)a->gw)[(p * a->n + n) * a->all + g] : 0;                                    \
      for (int64_t e = 0; a->gout && e < a->dv; e++) {                                                          \
        t->g[g] += (double)go[e] * v[e];                                                                        \
        if (a->need_v) sums[a->at_v + g * a->dv + e] += w[g] * go[e];                                           \
        if (a->need_bias && g % a->keys == 0) sums[a->at_bias + e] += go[e];                                    \
      }                                                                                                         \
    }                                                                                                           \
    for (int64_t g = 0; g < a->all; g += a->m) {                                                                \
      double sum = 0;                                                                                           \
      for (int64_t m = g; m < g + a->m; m++) sum += t->g[m] * w[m];                                             \
      for (int64_t m = g; m < g + a->m; m++) t->g[m] = w[m] * (t->g[m] - sum);                                  \
    }                                                                                                           \
  }                                                                                                             \
  static void backward_##T(spot *t, const pc_slots *a, int64_t p, int64_t n) {                                  \
    T *sums = (T *)a->sum + p * a->sums;                                                                        \
    double m1 = 0, m2 = 0;                                                                                      \
    normal_##T(t, a, p, n);                                                                                     \
    scores_back_##T(t, a, p, n, sums);                                                                          \
    memset(t->gh, 0, sizeof(double) * (size_t)a->dx);                                                           \
    for (int64_t g = 0; g < a->all; g++) {                                                                      \
      if (a->need_c) sums[a->at_c + g] += (T)t->g[g];                                                           \
      for (int64_t i = 0; i < a->dx; i++) {                                                                     \
        if (a->need_k) sums[g * a->dx + i] += (T)(t->g[g] * t->h[i]);                                           \
        t->gh[i] += t->g[g] * ((const T *)a->k)[(p * a->all + g) * a->dx + i];                                  \
      }                                                                                                         \
    }                                                                                                           \
    for (int64_t i = 0; i < a->dx; i++) {                                                                       \
      m1 += t->gh[i] / (double)a->dx;                                                                           \
      m2 += t->gh[i] * t->h[i] / (double)a->dx;                                                                 \
    }                                                                                                           \
    for (int64_t i = 0; a->gx && i < a->dx; i++) {                                                              \
      double g = a->norm ? t->rstd * (t->gh[i] - m1 - t->h[i] * m2) : t->gh[i];                                 \
      for (int64_t b = 0; a->residual && a->gout && b < a->images; b++)                                         \
        g += ((const T *)a->gout)[((p * a->images + b) * a->n + n) * a->dv + i];                                \
      ((T *)a->gx)[(p * a->n + n) * a->dx + i] = (T)g;                                                          \
    }                                                                                                           \
  }
PLAIN(float)
PLAIN(double)

static int each(const pc_slots *a, void (*f)(spot *, const pc_slots *, int64_t, int64_t)) {
  spot t;
  if (spot_new(&t, a) < 0) return PC_ENOMEM;
  for (int64_t i = 0; i < a->problems * a->n; i++) f(&t, a, i / a->n, i % a->n);
  pc_free(t.h);
  return PC_OK;
}

int pc_slots_plain_forward(const pc_slots *a) { return each(a, a->d == PC_F32 ? forward_float : forward_double); }
int pc_slots_plain_backward(const pc_slots *a) { return each(a, a->d == PC_F32 ? backward_float : backward_double); }
