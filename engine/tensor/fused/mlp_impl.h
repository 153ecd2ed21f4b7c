/* mlp_impl.h: one call of the mlp kernels (tensor/backend.h), forward or backward. All arrays are contiguous and of
 * dtype d; there is at least one row. */
#ifndef PC_TENSOR_MLP_IMPL_H
#define PC_TENSOR_MLP_IMPL_H

#include "tensor/fused/mlp.h"
#include "tensor/pointwise/act.h"

typedef struct pc_mlp {
  pc_dtype d;
  size_t es; /* bytes of an element */
  int64_t rows;
  int layers;
  int64_t width[PC_MLP_MAX + 1], widest;
  pc_activation act;
  int last_act, residual, norm;
  double eps;
  const char *x, *gamma, *beta, *w[PC_MLP_MAX], *b[PC_MLP_MAX]; /* gamma, beta, b: or NULL */
  char *y;
  char *kept; /* p_i or act'(p_i), layer after layer, each (rows, width); forward: to be written; or NULL */
  int slopes; /* act'(p_i) it is */

  /* backward; what is NULL is not wanted */
  const char *gy;
  char *gx, *ggamma, *gbeta, *gw[PC_MLP_MAX], *gb[PC_MLP_MAX];
} pc_mlp;

static inline char *pc_mlp_at(const pc_mlp *k, const void *p, int64_t elements) {
  return (char *)p + (int64_t)k->es * elements;
}

static inline int pc_mlp_has_act(const pc_mlp *k, int i) { return i + 1 < k->layers || k->last_act; }

/* Where p_i of row r is kept. */
static inline char *pc_mlp_kept(const pc_mlp *k, int i, int64_t r) {
  int64_t off = r * k->width[i + 1];
  for (int j = 0; j < i; j++) off += k->rows * k->width[j + 1];
  return pc_mlp_at(k, k->kept, off);
}

#endif
