#include "tensor/fused/loss.h"

#include "base/alloc.h"
#include "base/parallel.h"
#include "tensor/backend.h"
#include "tensor/fused/calls.h"
#include "tensor/tile.h"
#include "tensor/simd.h"

typedef pc_loss job;

/* ---- plain loops; also what f64 runs ---- */

#define PLAIN(T)                                                                                              \
  static void sum_##T(int64_t begin, int64_t end, void *ctx) {                                                \
    const job *j = ctx;                                                                                       \
    const T *x = j->x, *y = j->y;                                                                             \
    double s = 0;                                                                                             \
    for (int64_t i = begin; i < end; i++) s += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]); \
    j->part[begin / PC_LOSS_CHUNK] = s;                                                                       \
  }                                                                                                           \
  static void grad_##T(int64_t begin, int64_t end, void *ctx) {                                               \
    const job *j = ctx;                                                                                       \
    const T *x = j->x, *y = j->y, c = (T)j->scale;                                                            \
    T *gx = j->gx, *gy = j->gy;                                                                               \
    for (int64_t i = begin; gx && i < end; i++) gx[i] = c * (x[i] - y[i]);                                    \
    for (int64_t i = begin; gy && i < end; i++) gy[i] = c * (y[i] - x[i]);                                    \
  }
PLAIN(float)
PLAIN(double)

/* ---- f32: in vectors, a number in 32 sums its squares with the others of its place ---- */

PC_TIERED(sum_vectors, (const float *x, const float *y, int64_t n, double *sum), (x, y, n, sum)) {
  pc_vf a[4] = {{0}};
  float rest = 0;
  int64_t i = 0;
  for (; i + 4 * PC_LANES <= n; i += 4 * PC_LANES)
    for (int k = 0; k < 4; k++) {
      pc_vf d = pc_vload(x + i + k * PC_LANES) - pc_vload(y + i + k * PC_LANES);
      a[k] += d * d;
    }
  for (; i < n; i++) rest += (x[i] - y[i]) * (x[i] - y[i]);
  double s = rest;
  for (int k = 0; k < 4; k++) s += pc_vsum(&a[k]);
  *sum = s;
}

static void fast_sum(int64_t begin, int64_t end, void *ctx) {
  const job *j = ctx;
  sum_vectors((const float *)j->x + begin, (const float *)j->y + begin, end - begin, &j->part[begin / PC_LOSS_CHUNK]);
}

int pc_ref_squared_error(pc_loss *j) {
  pc_parallel_for(j->n, PC_LOSS_CHUNK, j->d == PC_F64 ? sum_double : sum_float, j);
  return PC_OK;
}

int pc_host_squared_error(pc_loss *j) {
  pc_parallel_for(j->n, PC_LOSS_CHUNK, j->d == PC_F64 ? sum_double : fast_sum, j);
  return PC_OK;
}

int pc_ref_squared_error_backward(pc_loss *j) {
  pc_parallel_for(j->n, PC_LOSS_CHUNK, j->d == PC_F64 ? grad_double : grad_float, j);
  return PC_OK;
}

/* ---- ops ---- */

/* Operands of one shape and dtype, to be dropped, into t and j. */
static int operands(pc_loss *j, pc_tensor **t, pc_tensor *const *in) {
  const pc_tensor *x = in[0], *y = in[1];
  if (!pc_same_shape(x, y))
    return pc_fail(PC_ESHAPE, "squared_error: x %s and y %s must have the same shape", pc_shape_str(x),
                   pc_shape_str(y));
  *j = (pc_loss){.d = pc_float_dtype(x, y), .n = pc_numel(x)};
  int rc = pc_take(t, in, 2, j->d);
  if (rc < 0) return rc;
  j->x = pc_data(t[0]);
  j->y = pc_data(t[1]);
  return PC_OK;
}

int pc_fwd_squared_error(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *t[2] = {NULL};
  pc_loss j = {0};
  double sum = 0;
  *out = NULL;
  int rc = operands(&j, t, in);
  int64_t chunks = (j.n + PC_LOSS_CHUNK - 1) / PC_LOSS_CHUNK;
  if (rc == PC_OK && !(j.part = pc_malloc(sizeof(double) * (size_t)(chunks + 1)))) rc = PC_ENOMEM;
  if (rc == PC_OK) rc = pc_kernels_now()->squared_error(&j);
  for (int64_t c = 0; rc == PC_OK && c < chunks; c++) sum += j.part[c];
  if (rc == PC_OK) rc = pc_tensor_full(out, j.d, 0, NULL, sum);
  pc_free(j.part);
  pc_drop(t, 2);
  return rc;
}

int pc_fwd_squared_error_backward(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *t[2] = {NULL};
  pc_loss j;
  out[0] = out[1] = NULL;
  int rc = operands(&j, t, in + 1);
  for (int i = 0; i < 2 && rc == PC_OK; i++)
    if (v[0].i >> i & 1) rc = pc_tensor_empty(&out[i], j.d, t[i]->ndim, t[i]->size);
  if (rc == PC_OK) {
    j.scale = 2 * pc_at(in[0], 0);
    j.gx = pc_data_or_null(out[0]);
    j.gy = pc_data_or_null(out[1]);
    rc = pc_kernels_now()->squared_error_backward(&j);
  }
  pc_drop(t, 2);
  if (rc < 0) pc_drop(out, 2);
  return rc;
}
