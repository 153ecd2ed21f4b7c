/* mlp_plain.c: the mlp kernels as plain loops, row by row: what mlp.h says, and nothing else. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "tensor/backend.h"
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

#define PC_TEMPLATE "tensor/fused/mlp_plain.inc"
#include "base/float_types.inc"

static int run(const pc_mlp *k, void (*f32)(row *, const pc_mlp *), void (*f64)(row *, const pc_mlp *)) {
  row w;
  if (row_new(&w, k) < 0) return PC_ENOMEM;
  (k->d == PC_F32 ? f32 : f64)(&w, k);
  pc_free(w.h);
  return PC_OK;
}

int pc_ref_mlp_forward(pc_mlp *k) { return run(k, forward_f32, forward_f64); }

static void clear(const pc_mlp *k, char *sum, int64_t n) {
  if (sum) memset(sum, 0, (size_t)n * k->es);
}

int pc_ref_mlp_backward(pc_mlp *k) {
  clear(k, k->ggamma, k->width[0]);
  clear(k, k->gbeta, k->width[0]);
  for (int i = 0; i < k->layers; i++) {
    clear(k, k->gw[i], k->width[i] * k->width[i + 1]);
    clear(k, k->gb[i], k->width[i + 1]);
  }
  return run(k, backward_f32, backward_f64);
}
