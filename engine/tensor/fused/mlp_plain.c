/* mlp_plain.c: the mlp kernels as plain loops, row by row: what mlp.h says, and nothing else. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "tensor/fused/mlp_impl.h"

/* One row on its way: p_i and a_i of all layers, a_0 first; h is the normalised row. */
typedef struct row {
  double *a[PC_MLP_MAX + 1], *p[PC_MLP_MAX], *g, *t, *h, rstd;
} row;

static int row_new(row *w, const pc_mlp *k) {
  int64_t n = k->width[0] + 2 * k->widest;
  for (int i = 0; i <= k->layers; i++) n += 2 * k->width[i];
  double *m = pc_malloc(sizeof *m * (size_t)(n + 1));
  if (!m) return PC_ENOMEM;
  w->h = m;
  w->g = w->h + k->width[0];
  w->t = w->g + k->widest;
  w->a[0] = w->t + k->widest;
  for (int i = 0; i < k->layers; i++) {
    w->p[i] = w->a[i] + k->width[i];
    w->a[i + 1] = w->p[i] + k->width[i + 1];
  }
  return PC_OK;
}

static double slope(const pc_mlp *k, double p) {
  double y;
  pc_activation_both(k->act, PC_F64, NULL, &y, NULL, &p, 1);
  return y;
}

#define PLAIN(T)                                                                                                   \
  static void ahead_##T(row *w, const pc_mlp *k, int64_t r) {                                                      \
    int64_t n = k->width[0];                                                                                       \
    const T *x = (const T *)k->x + r * n, *gamma = (const T *)k->gamma, *beta = (const T *)k->beta;                \
    double mean = 0, var = 0;                                                                                      \
    for (int64_t c = 0; c < n; c++) mean += x[c];                                                                  \
    mean /= (double)n;                                                                                             \
    for (int64_t c = 0; c < n; c++) var += (x[c] - mean) * (x[c] - mean);                                          \
    w->rstd = 1 / sqrt(var / (double)n + k->eps);                                                                  \
    for (int64_t c = 0; c < n; c++) {                                                                              \
      w->h[c] = (x[c] - mean) * w->rstd;                                                                           \
      w->a[0][c] = k->norm ? w->h[c] * (gamma ? gamma[c] : 1) + (beta ? beta[c] : 0) : x[c];                       \
    }                                                                                                              \
    for (int i = 0; i < k->layers; i++) {                                                                          \
      int64_t in = k->width[i], out = k->width[i + 1];                                                             \
      const T *m = (const T *)k->w[i], *b = (const T *)k->b[i];                                                    \
      for (int64_t o = 0; o < out; o++) {                                                                          \
        double s = b ? b[o] : 0;                                                                                   \
        for (int64_t c = 0; c < in; c++) s += w->a[i][c] * m[o * in + c];                                          \
        w->p[i][o] = s;                                                                                            \
      }                                                                                                            \
      pc_activation f = pc_mlp_has_act(k, i) ? k->act : PC_ACTIVATION_none;                                        \
      pc_activation_run(f, PC_F64, w->a[i + 1], w->p[i], out);                                                     \
    }                                                                                                              \
  }                                                                                                                \
  static void forward_##T(row *w, const pc_mlp *k) {                                                               \
    int last = k->layers;                                                                                          \
    int64_t n = k->width[last];                                                                                    \
    for (int64_t r = 0; r < k->rows; r++) {                                                                        \
      ahead_##T(w, k, r);                                                                                          \
      for (int64_t c = 0; c < n; c++)                                                                              \
        ((T *)k->y)[r * n + c] = (T)(w->a[last][c] + (k->residual ? ((const T *)k->x)[r * n + c] : 0));            \
      for (int i = 0; k->kept && i < last; i++)                                                                    \
        for (int64_t c = 0; pc_mlp_has_act(k, i) && c < k->width[i + 1]; c++)                                      \
          ((T *)pc_mlp_kept(k, i, r))[c] = (T)(k->slopes ? slope(k, w->p[i][c]) : w->p[i][c]);                     \
    }                                                                                                              \
  }                                                                                                                \
  /* g is the gradient of a_0 now */                                                                               \
  static void back_norm_##T(row *w, const pc_mlp *k) {                                                             \
    int64_t n = k->width[0];                                                                                       \
    const T *gamma = (const T *)k->gamma;                                                                          \
    T *sums = (T *)k->sum + k->at_norm;                                                                            \
    double m1 = 0, m2 = 0;                                                                                         \
    for (int64_t c = 0; c < n; c++) {                                                                              \
      if (k->need_norm) sums[c] += (T)(w->g[c] * w->h[c]);                                                         \
      if (k->need_norm) sums[n + c] += (T)w->g[c];                                                                 \
      w->g[c] *= gamma ? gamma[c] : 1;                                                                             \
      m1 += w->g[c] / (double)n;                                                                                   \
      m2 += w->g[c] * w->h[c] / (double)n;                                                                         \
    }                                                                                                              \
    for (int64_t c = 0; c < n; c++) w->g[c] = w->rstd * (w->g[c] - m1 - w->h[c] * m2);                             \
  }                                                                                                                \
  static void backward_##T(row *w, const pc_mlp *k) {                                                              \
    int64_t n = k->width[0];                                                                                       \
    for (int64_t r = 0; r < k->rows; r++) {                                                                        \
      ahead_##T(w, k, r);                                                                                          \
      const T *gy = (const T *)k->gy + r * k->width[k->layers];                                                    \
      for (int64_t c = 0; c < k->width[k->layers]; c++) w->g[c] = gy[c];                                           \
      for (int i = k->layers - 1; i >= 0; i--) {                                                                   \
        int64_t in = k->width[i], out = k->width[i + 1];                                                           \
        const T *m = (const T *)k->w[i];                                                                           \
        T *gw = (T *)k->sum + k->at_w[i], *gb = (T *)k->sum + k->at_b[i];                                          \
        pc_activation f = pc_mlp_has_act(k, i) ? k->act : PC_ACTIVATION_none;                                      \
        pc_activation_both(f, PC_F64, NULL, w->g, w->g, w->p[i], out);                                             \
        memset(w->t, 0, sizeof(double) * (size_t)in);                                                              \
        for (int64_t o = 0; o < out; o++) {                                                                        \
          if (k->need_b[i]) gb[o] += (T)w->g[o];                                                                   \
          for (int64_t c = 0; c < in; c++) {                                                                       \
            if (k->need_w[i]) gw[o * in + c] += (T)(w->g[o] * w->a[i][c]);                                         \
            w->t[c] += w->g[o] * m[o * in + c];                                                                    \
          }                                                                                                        \
        }                                                                                                          \
        memcpy(w->g, w->t, sizeof(double) * (size_t)in);                                                           \
      }                                                                                                            \
      if (k->norm) back_norm_##T(w, k);                                                                            \
      for (int64_t c = 0; k->gx && c < n; c++) ((T *)k->gx)[r * n + c] = (T)(w->g[c] + (k->residual ? gy[c] : 0)); \
    }                                                                                                              \
  }
PLAIN(float)
PLAIN(double)

static int run(const pc_mlp *k, void (*f32)(row *, const pc_mlp *), void (*f64)(row *, const pc_mlp *)) {
  row w;
  if (row_new(&w, k) < 0) return PC_ENOMEM;
  (k->d == PC_F32 ? f32 : f64)(&w, k);
  pc_free(w.h);
  return PC_OK;
}

int pc_mlp_plain_forward(const pc_mlp *k) { return run(k, forward_float, forward_double); }
int pc_mlp_plain_backward(const pc_mlp *k) { return run(k, backward_float, backward_double); }
