/* norm_impl.h: mean and deviation of f32 rows, several at a time. Include last: it brings simd.h.
 *
 * Rows go several at a time: the chains of additions, roots and divisions of one hide behind those of the others;
 * what a row gets does not depend on how many go with it. The last vector of a row whose length is no multiple of
 * PC_LANES ends where the row ends; sums take only what is new in it. Rows shorter than a vector: plain loops. */
#ifndef PC_TENSOR_NORM_IMPL_H
#define PC_TENSOR_NORM_IMPL_H

#include <math.h>
#include <stdint.h>

#include "tensor/simd.h"

enum { ROWS_FORWARD = 8, ROWS_BACKWARD = 4 };

/* Which lanes of the last vector are new: the last `odd`. */
PC_INLINE pc_vi new_lanes(int64_t odd) {
  const pc_vi lane = {0, 1, 2, 3, 4, 5, 6, 7};
  return lane >= (int)(PC_LANES - odd);
}
PC_INLINE pc_vf only(pc_vf v, pc_vi lanes) { return (pc_vf)((pc_vi)v & lanes); }
#define ALL ((pc_vi){-1, -1, -1, -1, -1, -1, -1, -1})

/* One vector of each of n rows, c apart; n is known where this is inlined. */
PC_INLINE void add_sums(pc_vf *sum, const float *x, int64_t c, const int n, pc_vi lanes) {
  for (int q = 0; q < n; q++) sum[q] += only(pc_vload(x + q * c), lanes);
}
PC_INLINE void add_squares(pc_vf *sum, const pc_vf *mean, const float *x, int64_t c, const int n, pc_vi lanes) {
  for (int q = 0; q < n; q++) {
    pc_vf d = only(pc_vload(x + q * c) - mean[q], lanes);
    sum[q] += d * d;
  }
}

/* Mean and 1/sqrt(var + eps) of n rows of c elements. */
PC_INLINE void row_stats(const float *x, int64_t c, float eps, const int n, pc_vf *mean, pc_vf *rstd) {
  int64_t odd = c % PC_LANES;
  pc_vf sum[ROWS_FORWARD] = {{0}}, square[ROWS_FORWARD] = {{0}};
  float r[ROWS_FORWARD];
  for (int64_t i = 0; i + PC_LANES <= c; i += PC_LANES) add_sums(sum, x + i, c, n, ALL);
  if (odd) add_sums(sum, x + c - PC_LANES, c, n, new_lanes(odd));
  for (int q = 0; q < n; q++) mean[q] = pc_vset(pc_vsum(&sum[q]) / (float)c);
  for (int64_t i = 0; i + PC_LANES <= c; i += PC_LANES) add_squares(square, mean, x + i, c, n, ALL);
  if (odd) add_squares(square, mean, x + c - PC_LANES, c, n, new_lanes(odd));
  for (int q = 0; q < n; q++) r[q] = pc_vsum(&square[q]);
  for (int q = 0; q < n; q++) r[q] = 1 / sqrtf(r[q] / (float)c + eps);
  for (int q = 0; q < n; q++) rstd[q] = pc_vset(r[q]);
}

#endif
