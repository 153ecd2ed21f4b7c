/* mlp_impl.h: one call of the mlp kernels, forward or backward; shared by mlp.c and its
 * plain loops, mlp_plain.c. All arrays are contiguous and of dtype d.
 */
#ifndef PC_TENSOR_MLP_IMPL_H
#define PC_TENSOR_MLP_IMPL_H

#include "tensor/pointwise/act.h"
#include "tensor/gemm/gemm.h"
#include "tensor/fused/mlp.h"

typedef struct pc_mlp {
  pc_dtype d;
  size_t es; /* bytes of an element */
  int64_t rows, tile;
  int layers;
  int64_t width[PC_MLP_MAX + 1], widest;
  pc_activation act;
  int last_act, residual, norm;
  double eps;
  const char *x, *gamma, *beta, *w[PC_MLP_MAX], *b[PC_MLP_MAX]; /* gamma, beta, b: or NULL */
  char *y;
  char *kept;                  /* p_i or act'(p_i), layer after layer, each (rows, width); or NULL */
  int slopes;                  /* act'(p_i) it is */
  pc_packed ahead[PC_MLP_MAX]; /* W_i' */

  /* backward */
  const char *gy;
  char *gx;  /* or NULL */
  int again; /* activations that were not kept are computed again */
  int need_w[PC_MLP_MAX], need_b[PC_MLP_MAX], need_norm;
  int low;                    /* layers from here on pass a gradient down to their input */
  int bottom;                 /* layers below get none */
  pc_packed back[PC_MLP_MAX]; /* W_i */
  /* Sums over rows: gW_i, gb_i, and gamma's and beta's, one after the other. */
  int64_t at_w[PC_MLP_MAX], at_b[PC_MLP_MAX], at_norm, sums;
  int64_t part_rows, parts;
  char *sum; /* (parts, sums) */
  /* Weight gradients too large to stay in cache while tiles pass: gradients and inputs of the layers are laid out for
   * `bunch` parts of rows at a time, from part `first` on, and their product is one for all those rows. */
  int apart;
  int64_t bunch, first;
  char *g_all[PC_MLP_MAX], *a_all[PC_MLP_MAX], *gw[PC_MLP_MAX];
  int failed;
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

/* The reference: row by row, sums in double. Return PC_OK or PC_ENOMEM. */
int pc_mlp_plain_forward(const pc_mlp *k);
int pc_mlp_plain_backward(const pc_mlp *k); /* into the first part of sum, which is zero */

#endif
