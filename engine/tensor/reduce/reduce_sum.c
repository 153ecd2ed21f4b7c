/* reduce_sum.c: sums and means, the reductions that training spends time on.
 *
 * x contiguous is seen as (outer, n, inner): the reduced dims lie side by side.
 * inner == 1: rows, eight float lanes over runs of RUN, runs added in double.
 * inner > 1:  columns, one float per column over RUN rows, runs added in double.
 * n is cut into chunks of at most CHUNK elements of work, each with a partial result
 * of its own, added in order: the same bits for any number of threads.
 * Dims that do not lie side by side go through a contiguous copy (rows.h).
 */
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "base/simd.h"
#include "tensor/backend.h"
#include "tensor/reduce/calls.h"
#include "tensor/reduce/reduce.h"
#include "tensor/reduce/rows.h"

enum { RUN = 256, CHUNK = 1 << 16, STRIP = 2048 };

typedef struct sum_job {
  const void *x;
  pc_dtype dtype;
  int64_t outer, n, inner, chunks, per; /* chunks of `per` of the n */
  double *part;                         /* (outer, chunks, inner) */
} sum_job;

static double row_f32(const float *x, int64_t n) {
  double s = 0;
  if (n < 16) { /* a row of slots */
    for (int64_t i = 0; i < n; i++) s += (double)x[i];
    return s;
  }
  for (int64_t i = 0; i < n; i += RUN) {
    float lane[16] = {0};
    int64_t end = i + RUN < n ? i + RUN : n, j = i;
    for (; j + 16 <= end; j += 16)
      for (int l = 0; l < 16; l++) lane[l] += x[j + l];
    double r = 0;
    for (int l = 0; l < 16; l++) r += (double)lane[l];
    for (; j < end; j++) r += (double)x[j];
    s += r;
  }
  return s;
}

#define ROW(type, name)                                \
  static double row_##name(const type *x, int64_t n) { \
    double s = 0;                                      \
    for (int64_t i = 0; i < n; i++) s += (double)x[i]; \
    return s;                                          \
  }
ROW(double, f64)

/* part[c] += sum of n rows of x (n, inner) */
static void columns_f32(double *part, const float *x, int64_t n, int64_t inner) {
  enum { WIDTH = 512 };
  float acc[WIDTH];
  for (int64_t c0 = 0; c0 < inner; c0 += WIDTH) {
    int64_t w = inner - c0 < WIDTH ? inner - c0 : WIDTH;
    for (int64_t i = 0; i < n; i += RUN) {
      int64_t end = i + RUN < n ? i + RUN : n;
      memset(acc, 0, sizeof(float) * (size_t)w);
      for (int64_t j = i; j < end; j++) {
        const float *row = x + j * inner + c0;
        for (int64_t c = 0; c < w; c++) acc[c] += row[c];
      }
      for (int64_t c = 0; c < w; c++) part[c0 + c] += (double)acc[c];
    }
  }
}

static void columns_f64(double *part, const double *x, int64_t n, int64_t inner) {
  for (int64_t j = 0; j < n; j++)
    for (int64_t c = 0; c < inner; c++) part[c] += x[j * inner + c];
}

static void sum_piece(int64_t begin, int64_t end, void *ctx) {
  const sum_job *s = ctx;
  for (int64_t t = begin; t < end; t++) {
    int64_t o = t / s->chunks, k = t % s->chunks, from = k * s->per, n = s->n - from < s->per ? s->n - from : s->per;
    double *part = s->part + t * s->inner;
    int64_t at = (o * s->n + from) * s->inner;
    if (s->inner == 1) {
      *part = s->dtype == PC_F32 ? row_f32((const float *)s->x + at, n) : row_f64((const double *)s->x + at, n);
      continue;
    }
    memset(part, 0, sizeof(double) * (size_t)s->inner);
    if (s->dtype == PC_F32)
      columns_f32(part, (const float *)s->x + at, n, s->inner);
    else
      columns_f64(part, (const double *)s->x + at, n, s->inner);
  }
}

/* At most RUN rows of inner > 1 numbers: the same sums with nothing in between, strip by strip of the columns. */
typedef struct few_job {
  const float *x;
  float *out;
  int64_t n, inner, strips;
  double scale;
} few_job;

PC_CLONES static void few_rows(float *restrict out, const float *restrict x, int64_t n, int64_t inner, int64_t w,
                               double scale) {
  memcpy(out, x, sizeof *out * (size_t)w);
  for (int64_t j = 1; j < n; j++)
    for (int64_t c = 0; c < w; c++) out[c] += x[j * inner + c];
  for (int64_t c = 0; scale != 1 && c < w; c++) out[c] = (float)((double)out[c] * scale);
}

static void few_piece(int64_t begin, int64_t end, void *ctx) {
  const few_job *s = ctx;
  for (int64_t t = begin; t < end; t++) {
    int64_t o = t / s->strips, at = t % s->strips * STRIP, w = s->inner - at < STRIP ? s->inner - at : STRIP;
    few_rows(s->out + o * s->inner + at, s->x + o * s->n * s->inner + at, s->n, s->inner, w, s->scale);
  }
}

static void sum_few(float *out, const float *x, int64_t outer, int64_t n, int64_t inner, double scale) {
  few_job s = {.x = x, .out = out, .n = n, .inner = inner, .strips = (inner + STRIP - 1) / STRIP, .scale = scale};
  int64_t work = n * (inner < STRIP ? inner : STRIP), grain = 32768 / work;
  pc_parallel_for(outer * s.strips, grain > 0 ? grain : 1, few_piece, &s);
}

static void put(const pc_sum_call *c, int64_t i, double sum) {
  if (c->d == PC_F32)
    ((float *)c->out)[i] = (float)(sum * c->scale);
  else
    ((double *)c->out)[i] = sum * c->scale;
}

/* The plain loop: what the chunks must agree with. */
int pc_ref_sums(pc_sum_call *c) {
  for (int64_t i = 0; i < c->outer * c->inner; i++) {
    int64_t at = i / c->inner * c->n * c->inner + i % c->inner;
    double s = 0;
    for (int64_t j = 0; j < c->n; j++, at += c->inner)
      s += c->d == PC_F32 ? (double)((const float *)c->x)[at] : ((const double *)c->x)[at];
    put(c, i, s);
  }
  return PC_OK;
}

int pc_host_sums(pc_sum_call *c) {
  int64_t outer = c->outer, n = c->n, inner = c->inner;
  sum_job s = {.x = c->x, .dtype = c->d, .outer = outer, .n = n, .inner = inner};
  if (outer == 0 || inner == 0) return PC_OK;
  if (c->d == PC_F32 && inner > 1 && n > 0 && n <= RUN) {
    sum_few(c->out, c->x, outer, n, inner, c->scale);
    return PC_OK;
  }
  s.per = CHUNK / inner > RUN ? CHUNK / inner / RUN * RUN : RUN;
  s.chunks = n > 0 ? (n + s.per - 1) / s.per : 1;
  s.part = pc_malloc(sizeof(double) * (size_t)(outer * s.chunks * inner));
  if (!s.part) return PC_ENOMEM;
  int64_t work = n / s.chunks * inner + inner, grain = 32768 / (work > 0 ? work : 1);
  pc_parallel_for(outer * s.chunks, grain > 0 ? grain : 1, sum_piece, &s);
  for (int64_t o = 0; o < outer; o++)
    for (int64_t q = 0; q < inner; q++) {
      double v = 0;
      for (int64_t k = 0; k < s.chunks; k++) v += s.part[(o * s.chunks + k) * inner + q];
      put(c, o * inner + q, v);
    }
  pc_free(s.part);
  return PC_OK;
}

static int sum_int(pc_tensor **out, const pc_rows *r) {
  pc_tensor *x;
  int rc = pc_to_dtype(&x, r->x, PC_I64);
  if (rc < 0) return rc;
  if ((rc = pc_tensor_zeros(out, PC_I64, r->ndim, r->size)) == PC_OK)
    for (int64_t i = 0; i < r->rows; i++)
      for (int64_t j = 0; j < r->n; j++) pc_i64(*out)[i] += pc_i64(x)[i * r->n + j];
  pc_tensor_release(x);
  return rc;
}

/* Do the reduced dims of a contiguous x lie side by side? Then (outer, n, inner). */
static int side_by_side(const pc_tensor *x, const uint8_t *reduced, int64_t *outer, int64_t *n, int64_t *inner) {
  int stage = 0; /* 0 before, 1 in, 2 behind the run */
  *outer = *n = *inner = 1;
  if (!pc_is_contiguous(x)) return 0;
  for (int d = 0; d < x->ndim; d++) {
    if (x->size[d] == 1) continue;
    if (reduced[d] && stage == 2) return 0;
    if (reduced[d])
      stage = 1, *n *= x->size[d];
    else if (stage == 0)
      *outer *= x->size[d];
    else
      stage = 2, *inner *= x->size[d];
  }
  return 1;
}

static int sum_or_mean(const char *op, pc_tensor **out, const pc_tensor *x, const pc_val *v, int mean) {
  uint8_t reduced[PC_MAX_DIM];
  int64_t outer, n, inner, count = 1, size[PC_MAX_DIM];
  int rc = pc_reduced_dims(op, x, &v[0], reduced), nd = 0, keep = v[1].set && v[1].i;
  pc_rows r = {0};
  *out = NULL;
  if (rc < 0) return rc;
  for (int d = 0; d < x->ndim; d++) {
    if (reduced[d]) count *= x->size[d];
    if (!reduced[d])
      size[nd++] = x->size[d];
    else if (keep)
      size[nd++] = 1;
  }
  if (mean && !pc_dtype_is_float(x->dtype))
    return pc_fail(PC_EDTYPE, "mean: needs f32 or f64, got %s; use x:to('f32'):mean()", pc_dtype_name(x->dtype));
  double scale = mean ? 1.0 / (double)count : 1.0; /* an empty mean is 0/0: NaN */
  if (pc_dtype_is_float(x->dtype) && side_by_side(x, reduced, &outer, &n, &inner)) {
    if ((rc = pc_tensor_empty(out, x->dtype, nd, size)) == PC_OK)
      rc =
          pc_kernels_now()->sums(&(pc_sum_call){(pc_dtype)x->dtype, pc_data(*out), pc_data(x), outer, n, inner, scale});
    goto done;
  }
  if ((rc = pc_rows_init(&r, x, reduced, keep)) < 0) return rc;
  if (!pc_dtype_is_float(x->dtype)) {
    rc = sum_int(out, &r);
  } else if ((rc = pc_tensor_empty(out, x->dtype, nd, size)) == PC_OK) {
    rc = pc_kernels_now()->sums(&(pc_sum_call){(pc_dtype)x->dtype, pc_data(*out), pc_data(r.x), r.rows, r.n, 1, scale});
  }
done:
  pc_rows_done(&r);
  if (rc < 0) {
    pc_tensor_release(*out);
    *out = NULL;
  }
  return rc;
}

int pc_fwd_sum(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return sum_or_mean("sum", out, in[0], v, 0);
}
int pc_fwd_mean(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return sum_or_mean("mean", out, in[0], v, 1);
}
