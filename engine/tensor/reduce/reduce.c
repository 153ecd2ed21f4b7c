/* reduce.c: var, std, prod, norm, logsumexp, any, all: rows (rows.h) folded into a
 * double. Sums: reduce_sum.c. Maxima: extreme.c.
 *
 * A fold runs over pieces of at most PIECE elements, eight lanes each; rows longer
 * than that are folded piece by piece in parallel and the pieces joined in order, so
 * that the bits depend on the shape alone. Rows of integers are taken as f64, except
 * products, which stay i64.
 */
#include "tensor/reduce/reduce.h"

#include <math.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "base/vmath.h"
#include "tensor/backend.h"
#include "tensor/reduce/calls.h"
#include "tensor/reduce/rows.h"

enum { PIECE = 1 << 15, LANES = 8, BLOCK = 256 };

/* ---- one piece ---- */

#define LARGER(m, v) ((v) > (m) || (v) != (v) ? (v) : (m)) /* a NaN stays: nothing is larger */

#define PC_TEMPLATE "tensor/reduce/fold.inc"
#include "base/float_types.inc"

static int fold_piece(pc_fold_call *c, int ref) {
  c->result = c->d == PC_F32 ? fold_f32(c->kind, c->x, c->n, c->a, ref) : fold_f64(c->kind, c->x, c->n, c->a, ref);
  return PC_OK;
}
int pc_ref_fold(pc_fold_call *c) { return fold_piece(c, 1); }
int pc_host_fold(pc_fold_call *c) { return fold_piece(c, 0); } /* exponentials of a block at once */

static double join(pc_fold_kind kind, double s, double t) {
  if (kind == PC_LARGEST || kind == PC_LARGEST_ABSOLUTE) return LARGER(s, t);
  return kind == PC_PRODUCT ? s * t : s + t;
}

/* ---- rows ---- */

typedef struct fold_job fold_job;
struct fold_job {
  const pc_tensor *x; /* (rows, n), f32 or f64 */
  int64_t n;
  pc_tensor *y;
  double a, b;  /* the op's own numbers */
  double *part; /* one for each piece of a long row; NULL when rows fit a piece */
  double (*row)(const fold_job *j, int64_t i);
};

typedef struct pieces {
  const fold_job *j;
  pc_fold_kind kind;
  int64_t row;
  double a;
} pieces;

static double piece(const pieces *p, int64_t from, int64_t n) {
  const pc_tensor *x = p->j->x;
  size_t at = (size_t)(p->row * p->j->n + from) * pc_dtype_size((pc_dtype)x->dtype);
  pc_fold_call c = {.kind = p->kind, .d = (pc_dtype)x->dtype, .x = (char *)pc_data(x) + at, .n = n, .a = p->a};
  pc_kernels_now()->fold(&c);
  return c.result;
}

static void run_pieces(int64_t begin, int64_t end, void *ctx) {
  const pieces *p = ctx;
  for (int64_t k = begin; k < end; k++) {
    int64_t from = k * PIECE, left = p->j->n - from;
    p->j->part[k] = piece(p, from, left < PIECE ? left : PIECE);
  }
}

static double fold(const fold_job *j, int64_t row, pc_fold_kind kind, double a) {
  pieces p = {j, kind, row, a};
  if (!j->part) return piece(&p, 0, j->n);
  int64_t n = (j->n + PIECE - 1) / PIECE;
  pc_parallel_for(n, 1, run_pieces, &p);
  double s = j->part[0];
  for (int64_t k = 1; k < n; k++) s = join(kind, s, j->part[k]);
  return s;
}

static void run_rows(int64_t begin, int64_t end, void *ctx) {
  const fold_job *j = ctx;
  for (int64_t i = begin; i < end; i++) {
    double v = j->row(j, i);
    if (j->y->dtype == PC_F32)
      pc_f32(j->y)[i] = (float)v;
    else
      pc_f64(j->y)[i] = v;
  }
}

static int fold_rows(fold_job *j, int64_t rows) {
  if (j->n <= PIECE) {
    int64_t grain = PIECE / (j->n > 0 ? j->n : 1);
    pc_parallel_for(rows, grain > 0 ? grain : 1, run_rows, j);
    return PC_OK;
  }
  j->part = pc_malloc(sizeof(double) * (size_t)((j->n + PIECE - 1) / PIECE));
  if (!j->part) return PC_ENOMEM;
  run_rows(0, rows, j); /* one after the other: the threads share each of them */
  pc_free(j->part);
  return PC_OK;
}

/* a: correction, b: 1 for the root. Equal numbers have no variance, whatever the mean was rounded to. */
static double row_var(const fold_job *j, int64_t i) {
  double den = (double)j->n - j->a, mean = fold(j, i, PC_SUM, 0) / (double)j->n;
  double s = den > 0 ? fold(j, i, PC_SQUARED_DEVIATION, mean) / den : (double)NAN;
  if (s > 0 && s <= mean * mean * 1e-18) {
    int64_t at = i * j->n;
    double first = j->x->dtype == PC_F32 ? (double)pc_f32(j->x)[at] : pc_f64(j->x)[at];
    if (fold(j, i, PC_SQUARED_DEVIATION, first) == 0) s = 0;
  }
  return j->b != 0 ? sqrt(s) : s;
}

static double row_prod(const fold_job *j, int64_t i) { return fold(j, i, PC_PRODUCT, 0); }

static double row_norm(const fold_job *j, int64_t i) {
  double p = j->a;
  if (p == 2) return sqrt(fold(j, i, PC_SQUARE, 0));
  if (p == 1) return fold(j, i, PC_ABSOLUTE, 0);
  if (p == 0) return fold(j, i, PC_NONZERO, 0);
  if (isinf(p)) return j->n ? fold(j, i, PC_LARGEST_ABSOLUTE, 0) : 0;
  return pow(fold(j, i, PC_POWER, p), 1 / p);
}

static double row_logsumexp(const fold_job *j, int64_t i) {
  double m = fold(j, i, PC_LARGEST, 0);
  return isinf(m) || isnan(m) ? m : m + log(fold(j, i, PC_EXPONENTIAL, m));
}

static pc_dtype float_of(const pc_tensor *x) {
  return pc_dtype_is_float((pc_dtype)x->dtype) ? (pc_dtype)x->dtype : PC_F32;
}

static int flag(const pc_val *v, int otherwise) { return v->set ? v->i != 0 : otherwise; }

static int reduce(const char *op, pc_tensor **out, const pc_tensor *x, const pc_val *dims, int keep,
                  double (*row)(const fold_job *, int64_t), double a, double b) {
  uint8_t reduced[PC_MAX_DIM];
  pc_rows r = {0};
  pc_tensor *cast = NULL;
  int rc = pc_reduced_dims(op, x, dims, reduced);
  *out = NULL;
  if (rc == PC_OK) rc = pc_rows_init(&r, x, reduced, keep);
  if (rc == PC_OK) rc = pc_to_dtype(&cast, r.x, x->dtype == PC_F32 ? PC_F32 : PC_F64);
  if (rc == PC_OK) rc = pc_tensor_empty(out, float_of(x), r.ndim, r.size);
  if (rc == PC_OK) {
    fold_job j = {.x = cast, .n = r.n, .y = *out, .a = a, .b = b, .row = row};
    if ((rc = fold_rows(&j, r.rows)) < 0) {
      pc_tensor_release(*out);
      *out = NULL;
    }
  }
  pc_tensor_release(cast);
  pc_rows_done(&r);
  return rc;
}

int pc_fwd_var(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return reduce("var", out, in[0], &v[0], flag(&v[2], 0), row_var, flag(&v[1], 1), 0);
}

int pc_fwd_std(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return reduce("std", out, in[0], &v[0], flag(&v[2], 0), row_var, flag(&v[1], 1), 1);
}

int pc_fwd_norm(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  double p = v[0].set ? v[0].d : 2;
  if (!(p >= 0)) return pc_fail(PC_EARG, "norm: p must not be negative, got %g", p);
  return reduce("norm", out, in[0], &v[1], flag(&v[2], 0), row_norm, p, 0);
}

int pc_fwd_logsumexp(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return reduce("logsumexp", out, in[0], &v[0], flag(&v[1], 0), row_logsumexp, 0, 0);
}

/* ---- whole numbers and truth ---- */

/* rows of x in dtype d (its own: PC_DTYPE_COUNT) and a result of dtype y */
static int framed(const char *op, pc_tensor **out, pc_rows *r, pc_tensor **cast, const pc_tensor *x, const pc_val *v,
                  pc_dtype d, pc_dtype y) {
  uint8_t reduced[PC_MAX_DIM];
  int rc = pc_reduced_dims(op, x, &v[0], reduced);
  *out = NULL;
  if (rc == PC_OK) rc = pc_rows_init(r, x, reduced, flag(&v[1], 0));
  if (rc == PC_OK) rc = pc_to_dtype(cast, r->x, d == PC_DTYPE_COUNT ? (pc_dtype)x->dtype : d);
  return rc == PC_OK ? pc_tensor_empty(out, y, r->ndim, r->size) : rc;
}

int pc_fwd_prod(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_rows r = {0};
  pc_tensor *x = NULL;
  if (pc_dtype_is_float((pc_dtype)in[0]->dtype))
    return reduce("prod", out, in[0], &v[0], flag(&v[1], 0), row_prod, 0, 0);
  int rc = framed("prod", out, &r, &x, in[0], v, PC_I64, PC_I64);
  for (int64_t i = 0; rc == PC_OK && i < r.rows; i++) {
    uint64_t p = 1; /* unsigned: what does not fit wraps, as in NumPy */
    for (int64_t k = 0; k < r.n; k++) p *= (uint64_t)pc_i64(x)[i * r.n + k];
    pc_i64(*out)[i] = (int64_t)p;
  }
  pc_tensor_release(x);
  pc_rows_done(&r);
  return rc;
}

/* Is there an element that is zero (or is not)? NaN is not zero. */
#define HAS(type)                                  \
  {                                                \
    const type *x = (const type *)pc_data(t) + at; \
    for (int64_t k = 0; k < n; k++)                \
      if ((x[k] == 0) == zero) return 1;           \
    return 0;                                      \
  }
static int has(const pc_tensor *t, int64_t at, int64_t n, int zero) {
  switch (t->dtype) {
    case PC_F32: HAS(float)
    case PC_F64: HAS(double)
    case PC_I64: HAS(int64_t)
    case PC_I32: HAS(int32_t)
    default: HAS(uint8_t)
  }
}

static int truth(const char *op, pc_tensor **out, const pc_tensor *t, const pc_val *v, int all) {
  pc_rows r = {0};
  pc_tensor *x = NULL;
  int rc = framed(op, out, &r, &x, t, v, PC_DTYPE_COUNT, PC_U8);
  for (int64_t i = 0; rc == PC_OK && i < r.rows; i++) pc_u8(*out)[i] = (uint8_t)(has(x, i * r.n, r.n, all) != all);
  pc_tensor_release(x);
  pc_rows_done(&r);
  return rc;
}

int pc_fwd_any(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return truth("any", out, in[0], v, 0);
}

int pc_fwd_all(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return truth("all", out, in[0], v, 1);
}

int pc_fwd_bincount(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *x, *c;
  int64_t n = v[0].set ? v[0].i : 0;
  *out = NULL;
  if (pc_dtype_is_float((pc_dtype)in[0]->dtype))
    return pc_fail(PC_EDTYPE, "bincount: needs integer classes, got %s", pc_dtype_name((pc_dtype)in[0]->dtype));
  int rc = pc_contiguous(&c, in[0]);
  if (rc < 0) return rc;
  rc = pc_to_dtype(&x, c, PC_I64);
  pc_tensor_release(c);
  if (rc < 0) return rc;
  for (int64_t i = 0; i < pc_numel(x); i++) {
    int64_t k = pc_i64(x)[i];
    if (k < PC_INDEX_BASE)
      rc = pc_fail(PC_EINDEX, "bincount: class %lld; classes count from %d", (long long)k, PC_INDEX_BASE);
    if (k - PC_INDEX_BASE + 1 > n) n = k - PC_INDEX_BASE + 1;
  }
  if (rc == PC_OK && (rc = pc_tensor_zeros(out, PC_I64, 1, &n)) == PC_OK)
    for (int64_t i = 0; i < pc_numel(x); i++) pc_i64(*out)[pc_i64(x)[i] - PC_INDEX_BASE]++;
  pc_tensor_release(x);
  return rc;
}
