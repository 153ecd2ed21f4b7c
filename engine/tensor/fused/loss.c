#include "tensor/fused/loss.h"

#include "base/alloc.h"
#include "base/cpu.h"
#include "base/parallel.h"
#include "tensor/simd.h"

enum { CHUNK = 1 << 14 };

typedef struct job {
  const void *x, *y;
  double *part; /* a chunk's sum */
  double scale;
  void *gx, *gy; /* or NULL */
} job;

/* ---- plain loops; also what f64 runs ---- */

#define PLAIN(T)                                                                                              \
  static void sum_##T(int64_t begin, int64_t end, void *ctx) {                                                \
    const job *j = ctx;                                                                                       \
    const T *x = j->x, *y = j->y;                                                                             \
    double s = 0;                                                                                             \
    for (int64_t i = begin; i < end; i++) s += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]); \
    j->part[begin / CHUNK] = s;                                                                               \
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
  sum_vectors((const float *)j->x + begin, (const float *)j->y + begin, end - begin, &j->part[begin / CHUNK]);
}

/* ---- calls ---- */

static int operands(pc_tensor **t, pc_tensor *const *in, pc_dtype *d) {
  const pc_tensor *x = in[0], *y = in[1];
  if (!pc_same_shape(x, y))
    return pc_fail(PC_ESHAPE, "squared_error: x %s and y %s must have the same shape", pc_shape_str(x),
                   pc_shape_str(y));
  *d = pc_float_dtype(x, y);
  for (int i = 0; i < 2; i++) {
    pc_tensor *c;
    int rc = pc_to_dtype(&c, in[i], *d);
    if (rc < 0) return rc;
    rc = pc_contiguous(&t[i], c);
    pc_tensor_release(c);
    if (rc < 0) return rc;
  }
  return PC_OK;
}

int pc_fwd_squared_error(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *t[2] = {NULL};
  pc_dtype d;
  job j = {NULL};
  *out = NULL;
  int rc = operands(t, in, &d);
  if (rc < 0) goto done;
  int64_t n = pc_numel(t[0]), chunks = (n + CHUNK - 1) / CHUNK;
  double sum = 0;
  if (!(j.part = pc_malloc(sizeof(double) * (size_t)(chunks + 1)))) {
    rc = PC_ENOMEM;
    goto done;
  }
  j.x = pc_data(t[0]);
  j.y = pc_data(t[1]);
  pc_parallel_for(n, CHUNK, d == PC_F64 ? sum_double : pc_cpu_tier() == PC_TIER_REF ? sum_float : fast_sum, &j);
  for (int64_t c = 0; c < chunks; c++) sum += j.part[c];
  rc = pc_tensor_full(out, d, 0, NULL, sum);
done:
  pc_free(j.part);
  pc_tensor_release(t[0]);
  pc_tensor_release(t[1]);
  return rc;
}

int pc_fwd_squared_error_backward(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *g = in[0];
  uint64_t need = (uint64_t)v[0].i;
  pc_tensor *t[2] = {NULL};
  pc_dtype d;
  out[0] = out[1] = NULL;
  int rc = operands(t, in + 1, &d);
  for (int i = 0; i < 2 && rc == PC_OK; i++)
    if (need >> i & 1) rc = pc_tensor_empty(&out[i], d, t[i]->ndim, t[i]->size);
  if (rc == PC_OK) {
    job j = {.x = pc_data(t[0]), .y = pc_data(t[1]), .scale = 2 * pc_at(g, 0)};
    j.gx = out[0] ? pc_data(out[0]) : NULL;
    j.gy = out[1] ? pc_data(out[1]) : NULL;
    pc_parallel_for(pc_numel(t[0]), CHUNK, d == PC_F64 ? grad_double : grad_float, &j);
  }
  for (int i = 0; i < 2; i++) {
    pc_tensor_release(t[i]);
    if (rc == PC_OK) continue;
    pc_tensor_release(out[i]);
    out[i] = NULL;
  }
  return rc;
}
