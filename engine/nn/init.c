/* init.c: initial values of parameters. Fans are given by the layer, which knows its layout. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "nn/module.h"

/* Rows orthonormal (or columns, when there are more rows), times gain: modified Gram-Schmidt on
 * a normal matrix, in double. Saxe et al. 2014. */
static int orthogonal(double *x, int64_t n, double gain, int64_t rows, pc_rng *g) {
  int64_t cols = rows ? n / rows : 0, flip = rows > cols, r = flip ? cols : rows, c = flip ? rows : cols;
  double *q = pc_malloc(sizeof *q * (size_t)(n ? n : 1));
  if (!q) return PC_ENOMEM;
  pc_rng_fill_normal_f64(g, q, n);
  for (int64_t i = 0; i < r; i++) {
    for (int64_t j = 0; j < i; j++) {
      double dot = 0;
      for (int64_t k = 0; k < c; k++) dot += q[i * c + k] * q[j * c + k];
      for (int64_t k = 0; k < c; k++) q[i * c + k] -= dot * q[j * c + k];
    }
    double norm = 0;
    for (int64_t k = 0; k < c; k++) norm += q[i * c + k] * q[i * c + k];
    norm = sqrt(norm);
    for (int64_t k = 0; k < c; k++) q[i * c + k] /= norm;
  }
  for (int64_t i = 0; i < rows; i++)
    for (int64_t k = 0; k < cols; k++) x[i * cols + k] = gain * (flip ? q[k * c + i] : q[i * c + k]);
  pc_free(q);
  return PC_OK;
}

int pc_init_fill(pc_tensor *t, pc_init kind, double gain, int64_t fan_in, int64_t fan_out, pc_rng *g) {
  int64_t n = pc_numel(t);
  double fi = fan_in > 0 ? (double)fan_in : 1, fo = fan_out > 0 ? (double)fan_out : 1, b = 0, sd = 0;
  int normal = 0, rc = PC_OK;
  switch (kind) {
    case PC_INIT_ZEROS: return pc_fill(t, 0);
    case PC_INIT_ONES: return pc_fill(t, 1);
    case PC_INIT_NORMAL: normal = 1, sd = gain; break;
    case PC_INIT_UNIFORM: b = gain; break;
    case PC_INIT_FAN_IN: b = gain / sqrt(fi); break;
    case PC_INIT_XAVIER_UNIFORM: b = gain * sqrt(6 / (fi + fo)); break;
    case PC_INIT_XAVIER_NORMAL: normal = 1, sd = gain * sqrt(2 / (fi + fo)); break;
    case PC_INIT_KAIMING_UNIFORM: b = gain * sqrt(3 / fi); break;
    case PC_INIT_KAIMING_NORMAL: normal = 1, sd = gain / sqrt(fi); break;
    default: break; /* orthogonal */
  }
  double *x = pc_malloc(sizeof *x * (size_t)(n ? n : 1));
  if (!x) return PC_ENOMEM;
  if (kind == PC_INIT_ORTHOGONAL) {
    rc = orthogonal(x, n, gain, t->ndim ? t->size[0] : 1, g);
  } else if (normal) {
    pc_rng_fill_normal_f64(g, x, n);
    for (int64_t i = 0; i < n; i++) x[i] *= sd;
  } else {
    pc_rng_fill_uniform_f64(g, x, n);
    for (int64_t i = 0; i < n; i++) x[i] = kind == PC_INIT_UNIFORM ? b * x[i] : b * (2 * x[i] - 1);
  }
  pc_tensor *tmp = NULL;
  if (rc == PC_OK) rc = pc_tensor_from(&tmp, PC_F64, t->ndim, t->size, x);
  if (rc == PC_OK) rc = pc_copy_into(t, tmp);
  pc_tensor_release(tmp);
  pc_free(x);
  return rc;
}
