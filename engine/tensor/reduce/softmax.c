/* softmax.c: softmax and log_softmax over one dim, forward and fused backward.
 *
 *   y = exp(x - max) / sum exp(x - max);      dx = y (dy - sum dy y)
 *   l = x - max - log sum exp(x - max);       dx = dy - exp(l) sum dy
 * Rows are contiguous (rows.h). Rows of a few slots (n <= SMALL) are taken BLOCK at a
 * time, transposed into columns, so that the lanes of a vector are different rows:
 * with 3 to 16 slots a row does not fill a vector. Over a dim that is not the last (slots
 * before pixels) neighbours in memory are different rows already: columns, up to PC_COLUMN long,
 * are taken where they lie. The plain loop is the reference.
 */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "base/simd.h"
#include "base/vmath.h"
#include "tensor/backend.h"
#include "tensor/reduce/calls.h"
#include "tensor/reduce/reduce.h"
#include "tensor/reduce/rows.h"

enum { SMALL = 16, BLOCK = 64 };

typedef pc_softmax_rows soft_job;

/* ---- plain rows ---- */

#define PC_TEMPLATE "tensor/reduce/softmax.inc"
#include "base/float_types.inc"

static void plain_forward(int64_t begin, int64_t end, void *ctx) {
  const soft_job *j = ctx;
  for (int64_t r = begin; r < end; r++) {
    if (j->d == PC_F32)
      row_f32(j, r, 1);
    else
      row_f64(j, r, 1);
  }
}

static void plain_backward(int64_t begin, int64_t end, void *ctx) {
  const soft_job *j = ctx;
  for (int64_t r = begin; r < end; r++) {
    if (j->d == PC_F32)
      back_f32(j, r);
    else
      back_f64(j, r);
  }
}

/* ---- blocks of short f32 rows, lanes are rows ---- */

static void short_rows(const soft_job *j, int64_t r0) {
  float c[SMALL][BLOCK], e[SMALL][BLOCK], m[BLOCK], s[BLOCK];
  const int64_t n = j->n;
  if (n < 1) return;
  const float *x = (const float *)j->x + r0 * n;
  float *y = (float *)j->y + r0 * n;
  for (int64_t i = 0; i < BLOCK; i++)
    for (int64_t k = 0; k < n; k++) c[k][i] = x[i * n + k];
  memcpy(m, c[0], sizeof m);
  for (int64_t k = 1; k < n; k++)
    for (int i = 0; i < BLOCK; i++) m[i] = c[k][i] > m[i] ? c[k][i] : m[i];
  for (int64_t k = 0; k < n; k++)
    for (int i = 0; i < BLOCK; i++) c[k][i] -= m[i];
  pc_vexp_f32(e[0], c[0], n * BLOCK);
  memset(s, 0, sizeof s);
  for (int64_t k = 0; k < n; k++)
    for (int i = 0; i < BLOCK; i++) s[i] += e[k][i];
  if (j->log) {
    pc_vlog_f32(s, s, BLOCK);
    for (int64_t i = 0; i < BLOCK; i++)
      for (int64_t k = 0; k < n; k++) y[i * n + k] = c[k][i] - s[i];
    return;
  }
  for (int i = 0; i < BLOCK; i++) s[i] = 1 / s[i];
  for (int64_t i = 0; i < BLOCK; i++)
    for (int64_t k = 0; k < n; k++) y[i * n + k] = e[k][i] * s[i];
}

static void short_back(const soft_job *j, int64_t r0, int64_t rows) {
  int64_t n = j->n;
  const float *y = (const float *)j->x + r0 * n, *g = (const float *)j->g + r0 * n;
  float *d = (float *)j->y + r0 * n;
  for (int64_t i = 0; i < rows; i++, y += n, g += n, d += n) {
    float s = 0;
    for (int64_t k = 0; k < n; k++) s += g[k] * y[k];
    for (int64_t k = 0; k < n; k++) d[k] = y[k] * (g[k] - s);
  }
}

static int has_odd(const float *x, int64_t n) { /* NaN or infinite: the plain row knows what to do */
  float s = 0;
  for (int64_t i = 0; i < n; i++) s += x[i] - x[i];
  return !(s == 0);
}

static void forward_rows(int64_t begin, int64_t end, void *ctx) {
  const soft_job *j = ctx;
  int fast = j->d == PC_F32 && j->n <= SMALL && j->n > 0;
  int64_t r = begin;
  for (; fast && r + BLOCK <= end; r += BLOCK) {
    if (has_odd((const float *)j->x + r * j->n, BLOCK * j->n))
      for (int64_t i = r; i < r + BLOCK; i++) row_f32(j, i, 0);
    else
      short_rows(j, r);
  }
  for (; r < end; r++) {
    if (j->d == PC_F32)
      row_f32(j, r, 0);
    else
      row_f64(j, r, 0);
  }
}

static void backward_rows(int64_t begin, int64_t end, void *ctx) {
  const soft_job *j = ctx;
  if (j->d == PC_F32 && !j->log && j->n <= SMALL)
    short_back(j, begin, end - begin);
  else
    plain_backward(begin, end, ctx);
}

static int64_t grain_of(int64_t n) { /* a multiple of BLOCK rows, about 16k elements */
  int64_t rows = 16384 / (n > 0 ? n : 1) / BLOCK * BLOCK;
  return rows > 0 ? rows : n > 16384 ? 1 : BLOCK;
}

int pc_ref_softmax_rows(pc_softmax_rows *j) {
  pc_parallel_for(j->rows, grain_of(j->n), j->g ? plain_backward : plain_forward, j);
  return PC_OK;
}

int pc_host_softmax_rows(pc_softmax_rows *j) {
  pc_parallel_for(j->rows, grain_of(j->n), j->g ? backward_rows : forward_rows, j);
  return PC_OK;
}

/* ---- f32 columns: x is (outer, n, inner), lanes are neighbours of the innermost ---- */

static int64_t blocks_of(const pc_softmax_columns *j) { return (j->inner + BLOCK - 1) / BLOCK; } /* an outer index */

/* n lines of w floats; what is missing of BLOCK is 0. */
static void take_lines(float (*to)[BLOCK], const float *from, int64_t n, int64_t inner, int64_t w) {
  for (int64_t k = 0; k < n; k++) {
    memcpy(to[k], from + k * inner, sizeof(float) * (size_t)w);
    memset(to[k] + w, 0, sizeof(float) * (size_t)(BLOCK - w));
  }
}

static PC_CLONES void shift_lines(float (*c)[BLOCK], int64_t n) {
  float m[BLOCK];
  for (int i = 0; i < BLOCK; i++) m[i] = -INFINITY;
  for (int64_t k = 0; k < n; k++)
    for (int i = 0; i < BLOCK; i++) m[i] = c[k][i] > m[i] || c[k][i] != c[k][i] ? c[k][i] : m[i];
  for (int i = 0; i < BLOCK; i++) m[i] = m[i] - m[i] == 0 || m[i] != m[i] ? m[i] : 0;
  for (int64_t k = 0; k < n; k++)
    for (int i = 0; i < BLOCK; i++) c[k][i] -= m[i];
}

static PC_CLONES void add_lines(float *s, float (*e)[BLOCK], int64_t n) {
  for (int i = 0; i < BLOCK; i++) s[i] = 0;
  for (int64_t k = 0; k < n; k++)
    for (int i = 0; i < BLOCK; i++) s[i] += e[k][i];
}

static PC_CLONES void scale_lines(float (*e)[BLOCK], const float *s, int64_t n) {
  float by[BLOCK];
  for (int i = 0; i < BLOCK; i++) by[i] = 1 / s[i];
  for (int64_t k = 0; k < n; k++)
    for (int i = 0; i < BLOCK; i++) e[k][i] *= by[i];
}

static PC_CLONES void lower_lines(float (*c)[BLOCK], const float *s, int64_t n) {
  for (int64_t k = 0; k < n; k++)
    for (int i = 0; i < BLOCK; i++) c[k][i] -= s[i];
}

static void forward_columns(int64_t begin, int64_t end, void *ctx) {
  const pc_softmax_columns *j = ctx;
  int64_t blocks = blocks_of(j);
  float c[PC_COLUMN][BLOCK], e[PC_COLUMN][BLOCK], s[BLOCK];
  for (int64_t b = begin; b < end; b++) {
    int64_t i = b % blocks * BLOCK, at = b / blocks * j->n * j->inner + i,
            w = j->inner - i < BLOCK ? j->inner - i : BLOCK;
    take_lines(c, j->x + at, j->n, j->inner, w);
    shift_lines(c, j->n);
    pc_vexp_f32(e[0], c[0], j->n * BLOCK);
    add_lines(s, e, j->n);
    if (j->log) {
      pc_vlog_f32(s, s, BLOCK);
      lower_lines(c, s, j->n);
    } else {
      scale_lines(e, s, j->n);
    }
    for (int64_t k = 0; k < j->n; k++) memcpy(j->y + at + k * j->inner, (j->log ? c : e)[k], sizeof(float) * (size_t)w);
  }
}

static PC_CLONES void back_lines(float (*g)[BLOCK], float (*y)[BLOCK], int64_t n, int log) {
  float s[BLOCK] = {0};
  for (int64_t k = 0; k < n; k++)
    for (int i = 0; i < BLOCK; i++) s[i] += log ? g[k][i] : g[k][i] * y[k][i];
  for (int64_t k = 0; k < n; k++)
    for (int i = 0; i < BLOCK; i++) g[k][i] = log ? g[k][i] - y[k][i] * s[i] : y[k][i] * (g[k][i] - s[i]);
}

static void backward_columns(int64_t begin, int64_t end, void *ctx) {
  const pc_softmax_columns *j = ctx;
  int64_t blocks = blocks_of(j);
  float y[PC_COLUMN][BLOCK], g[PC_COLUMN][BLOCK];
  for (int64_t b = begin; b < end; b++) {
    int64_t i = b % blocks * BLOCK, at = b / blocks * j->n * j->inner + i,
            w = j->inner - i < BLOCK ? j->inner - i : BLOCK;
    take_lines(y, j->x + at, j->n, j->inner, w);
    take_lines(g, j->g + at, j->n, j->inner, w);
    if (j->log) pc_vexp_f32(y[0], y[0], j->n * BLOCK);
    back_lines(g, y, j->n, j->log);
    for (int64_t k = 0; k < j->n; k++) memcpy(j->y + at + k * j->inner, g[k], sizeof(float) * (size_t)w);
  }
}

int pc_host_softmax_columns(pc_softmax_columns *j) {
  pc_parallel_for(j->outer * blocks_of(j), 16384 / (j->n * BLOCK) + 1, j->g ? backward_columns : forward_columns, j);
  return PC_OK;
}

/* ---- ops ---- */

/* Columns where they lie, if x is such a case: 1, a result or a code; else 0. g NULL: forward. */
static int by_columns(pc_tensor **out, const pc_tensor *x, const pc_tensor *g, int dim, int log) {
  int64_t inner = 1, n = x->ndim ? x->size[dim] : 0;
  pc_tensor *cx = NULL, *cg = NULL;
  for (int d = dim + 1; d < x->ndim; d++) inner *= x->size[d];
  if (x->dtype != PC_F32 || n < 1 || n > PC_COLUMN || inner < BLOCK / 4 || !pc_kernels_now()->softmax_columns) return 0;
  int rc = pc_contiguous(&cx, x);
  if (rc == PC_OK && g) rc = pc_contiguous(&cg, g);
  if (rc == PC_OK) rc = pc_tensor_empty(out, PC_F32, x->ndim, x->size);
  if (rc == PC_OK) {
    pc_softmax_columns j = {.x = pc_f32(cx), .y = pc_f32(*out), .n = n, .inner = inner, .log = log};
    j.g = g ? pc_f32(cg) : NULL;
    j.outer = pc_numel(x) / (n * inner);
    rc = pc_kernels_now()->softmax_columns(&j);
  }
  pc_tensor_release(cx);
  pc_tensor_release(cg);
  return rc < 0 ? rc : 1;
}

static int forward(const char *op, pc_tensor **out, const pc_tensor *x, const pc_val *v, int log) {
  pc_rows r = {0};
  pc_tensor *cast = NULL, *y = NULL;
  int dim, rc = pc_dim(op, x, v[0].set ? v[0].i : -1, &dim);
  *out = NULL;
  if (rc == PC_OK && (rc = by_columns(out, x, NULL, dim, log)) != 0) return rc < 0 ? rc : PC_OK;
  if (rc == PC_OK) rc = pc_rows_along(&r, x, dim);
  if (rc == PC_OK) rc = pc_to_dtype(&cast, r.x, pc_dtype_is_float(x->dtype) ? (pc_dtype)x->dtype : PC_F32);
  if (rc == PC_OK) rc = pc_tensor_empty(&y, cast->dtype, r.x->ndim, r.x->size);
  if (rc == PC_OK) {
    soft_job j = {.d = (pc_dtype)y->dtype, .x = pc_data(cast), .y = pc_data(y), .rows = r.rows, .n = r.n, .log = log};
    rc = pc_kernels_now()->softmax_rows(&j);
    if (rc == PC_OK) rc = pc_rows_back(out, y, x, dim);
  }
  pc_tensor_release(y);
  pc_tensor_release(cast);
  pc_rows_done(&r);
  return rc;
}

/* in: gradient, result of the forward */
static int backward(const char *op, pc_tensor **out, pc_tensor *const *in, const pc_val *v, int log) {
  pc_rows rg = {0}, ry = {0};
  pc_tensor *d = NULL;
  int dim, rc = pc_dim(op, in[1], v[0].set ? v[0].i : -1, &dim);
  *out = NULL;
  if (rc == PC_OK && (!pc_same_shape(in[0], in[1]) || in[0]->dtype != in[1]->dtype))
    rc = pc_fail(PC_ESHAPE, "%s: gradient %s, result %s", op, pc_shape_str(in[0]), pc_shape_str(in[1]));
  if (rc == PC_OK && (rc = by_columns(out, in[1], in[0], dim, log)) != 0) return rc < 0 ? rc : PC_OK;
  if (rc == PC_OK) rc = pc_rows_along(&rg, in[0], dim);
  if (rc == PC_OK) rc = pc_rows_along(&ry, in[1], dim);
  if (rc == PC_OK) rc = pc_tensor_empty(&d, in[1]->dtype, ry.x->ndim, ry.x->size);
  if (rc == PC_OK) {
    soft_job j = {.d = (pc_dtype)d->dtype, .x = pc_data(ry.x), .g = pc_data(rg.x), .y = pc_data(d)};
    j.rows = ry.rows, j.n = ry.n, j.log = log;
    rc = pc_kernels_now()->softmax_rows(&j);
    if (rc == PC_OK) rc = pc_rows_back(out, d, in[1], dim);
  }
  pc_tensor_release(d);
  pc_rows_done(&rg);
  pc_rows_done(&ry);
  return rc;
}

int pc_fwd_softmax(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return forward("softmax", out, in[0], v, 0);
}
int pc_fwd_log_softmax(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return forward("log_softmax", out, in[0], v, 1);
}
int pc_fwd_softmax_backward(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return backward("softmax_backward", out, in, v, 0);
}
int pc_fwd_log_softmax_backward(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return backward("log_softmax_backward", out, in, v, 1);
}
