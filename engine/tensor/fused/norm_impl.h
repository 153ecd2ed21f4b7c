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

/* Where sums in float lose what matters: a row far from 0 for how much it varies (the mean's rounding times r shows in
 * the result; the square of FAR), or a long one. */
enum { LONG_ROW = 2048 };
static const float FAR = 64;

/* The same of one row with sums in double. A row of equal numbers has exactly that mean and no variance. */
__attribute__((noinline, unused)) static void careful_stats(const float *x, int64_t c, float eps, float *mean,
                                                            float *rstd) {
  double sum[4] = {0}, square[4] = {0}, m;
  for (int64_t i = 0; i < c; i++) sum[i & 3] += (double)x[i];
  m = (sum[0] + sum[1] + sum[2] + sum[3]) / (double)c;
  for (int64_t i = 0; i < c; i++) square[i & 3] += ((double)x[i] - m) * ((double)x[i] - m);
  *mean = (float)m;
  *rstd = (float)(1 / sqrt((square[0] + square[1] + square[2] + square[3]) / (double)c + (double)eps));
}

/* Mean and 1/sqrt(var + eps) of n rows of c elements. Not 0: one of them asks for careful_row_stats. */
PC_INLINE int row_stats(const float *x, int64_t c, float eps, const int n, pc_vf *mean, pc_vf *rstd) {
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
  int far = c > LONG_ROW;
  for (int q = 0; q < n; q++) far |= mean[q][0] * mean[q][0] * (r[q] * r[q]) > FAR;
  for (int q = 0; q < n; q++) rstd[q] = pc_vset(r[q]);
  return far;
}

/* The same of one row, carefully where it has to be. */
PC_INLINE void careful_row_stats(const float *x, int64_t c, float eps, pc_vf *mean, pc_vf *rstd) {
  float m, r;
  if (!row_stats(x, c, eps, 1, mean, rstd)) return;
  careful_stats(x, c, eps, &m, &r);
  *mean = pc_vset(m);
  *rstd = pc_vset(r);
}

#endif
