/* reduce.c: the other reductions, row by row (rows.h), computed in double. */
#include "tensor/reduce.h"

#include <math.h>

#include "base/parallel.h"
#include "tensor/rows.h"

/* Reads element i of a contiguous tensor as double. */
static inline double get(const pc_tensor *t, int64_t i) {
  switch (t->dtype) {
    case PC_F32: return (double)((const float *)pc_data(t))[i];
    case PC_F64: return ((const double *)pc_data(t))[i];
    case PC_I64: return (double)((const int64_t *)pc_data(t))[i];
    case PC_I32: return (double)((const int32_t *)pc_data(t))[i];
    default: return (double)((const uint8_t *)pc_data(t))[i];
  }
}

static inline void put(pc_tensor *t, int64_t i, double v) {
  switch (t->dtype) {
    case PC_F32: ((float *)pc_data(t))[i] = (float)v; break;
    case PC_F64: ((double *)pc_data(t))[i] = v; break;
    case PC_I64: ((int64_t *)pc_data(t))[i] = (int64_t)v; break;
    case PC_I32: ((int32_t *)pc_data(t))[i] = (int32_t)v; break;
    default: ((uint8_t *)pc_data(t))[i] = (uint8_t)v;
  }
}

typedef struct row_job row_job;
struct row_job {
  const pc_rows *r;
  pc_tensor *y, *index;
  double a, b; /* the op's own numbers */
  void (*row)(const row_job *j, int64_t i);
};

static void run_rows(int64_t begin, int64_t end, void *ctx) {
  const row_job *j = ctx;
  for (int64_t i = begin; i < end; i++) j->row(j, i);
}

static void each_row(row_job *j) {
  int64_t grain = 16384 / (j->r->n > 0 ? j->r->n : 1);
  pc_parallel_for(j->r->rows, grain > 0 ? grain : 1, run_rows, j);
}

#define X(k) get(j->r->x, i *j->r->n + (k))
#define N (j->r->n)

static void row_var(const row_job *j, int64_t i) { /* a: correction, b: 1 for the root */
  double mean = 0, s = 0, den = (double)N - j->a;
  for (int64_t k = 0; k < N; k++) mean += X(k);
  mean /= (double)N;
  for (int64_t k = 0; k < N; k++) s += (X(k) - mean) * (X(k) - mean);
  s = den > 0 ? s / den : (double)NAN;
  put(j->y, i, j->b ? sqrt(s) : s);
}

static void row_prod(const row_job *j, int64_t i) {
  double s = 1;
  for (int64_t k = 0; k < N; k++) s *= X(k);
  put(j->y, i, s);
}

static void row_norm(const row_job *j, int64_t i) {
  double s = 0, p = j->a;
  for (int64_t k = 0; k < N; k++) {
    double v = fabs(X(k));
    if (p == 2) s += v * v;
    else if (p == 1) s += v;
    else if (isinf(p)) s = isnan(v) || v > s ? v : s;
    else if (p == 0) s += v != 0;
    else s += pow(v, p);
  }
  put(j->y, i, p == 2 ? sqrt(s) : p == 1 || isinf(p) || p == 0 ? s : pow(s, 1 / p));
}

static void row_logsumexp(const row_job *j, int64_t i) {
  double m = -INFINITY, s = 0;
  for (int64_t k = 0; k < N; k++) m = isnan(X(k)) ? NAN : fmax(m, X(k));
  if (isinf(m) || isnan(m)) {
    put(j->y, i, m);
    return;
  }
  for (int64_t k = 0; k < N; k++) s += exp(X(k) - m);
  put(j->y, i, m + log(s));
}

static void row_any(const row_job *j, int64_t i) { /* a: 0 any, 1 all */
  int all = j->a != 0, r = all;
  for (int64_t k = 0; k < N; k++) {
    if (all && X(k) == 0) r = 0;
    if (!all && X(k) != 0) r = 1;
  }
  put(j->y, i, r);
}

/* The first of the largest (a = 1) or smallest (a = -1); a NaN wins, as in NumPy. */
static void row_extreme(const row_job *j, int64_t i) {
  int64_t at = 0;
  double best = X(0);
  for (int64_t k = 1; k < N && !isnan(best); k++)
    if (isnan(X(k)) || j->a * X(k) > j->a * best) best = X(k), at = k;
  if (j->y) put(j->y, i, best);
  if (j->index) put(j->index, i, (double)(at + PC_INDEX_BASE));
}

#undef X
#undef N

/* Shared frame: rows, result of dtype, one row function. */
static int reduce(const char *op, pc_tensor **out, const pc_tensor *x, const pc_val *dims, int keep, pc_dtype d,
                  void (*row)(const row_job *, int64_t), double a, double b, int need_some) {
  uint8_t reduced[PC_MAX_DIM];
  pc_rows r = {0};
  int rc = pc_reduced_dims(op, x, dims, reduced);
  *out = NULL;
  if (rc == PC_OK) rc = pc_rows_init(&r, x, reduced, keep);
  if (rc == PC_OK && need_some && r.n == 0 && r.rows > 0)
    rc = pc_fail(PC_ESHAPE, "%s: nothing to choose from in a tensor of shape %s", op, pc_shape_str(x));
  if (rc == PC_OK) rc = pc_tensor_empty(out, d, r.ndim, r.size);
  if (rc == PC_OK) {
    row_job j = {.r = &r, .y = *out, .a = a, .b = b, .row = row};
    each_row(&j);
  }
  pc_rows_done(&r);
  return rc;
}

static pc_dtype float_of(const pc_tensor *x) { return pc_dtype_is_float(x->dtype) ? (pc_dtype)x->dtype : PC_F32; }

static int flag(const pc_val *v, int otherwise) { return v->set ? v->i != 0 : otherwise; }

int pc_fwd_var(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return reduce("var", out, in[0], &v[0], flag(&v[2], 0), float_of(in[0]), row_var, flag(&v[1], 1), 0, 0);
}

int pc_fwd_std(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return reduce("std", out, in[0], &v[0], flag(&v[2], 0), float_of(in[0]), row_var, flag(&v[1], 1), 1, 0);
}

int pc_fwd_prod(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_dtype d = pc_dtype_is_float(in[0]->dtype) ? (pc_dtype)in[0]->dtype : PC_I64;
  return reduce("prod", out, in[0], &v[0], flag(&v[1], 0), d, row_prod, 0, 0, 0);
}

int pc_fwd_norm(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  double p = v[0].set ? v[0].d : 2;
  if (!(p >= 0)) return pc_fail(PC_EARG, "norm: p must not be negative, got %g", p);
  return reduce("norm", out, in[0], &v[1], flag(&v[2], 0), float_of(in[0]), row_norm, p, 0, 0);
}

int pc_fwd_logsumexp(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return reduce("logsumexp", out, in[0], &v[0], flag(&v[1], 0), float_of(in[0]), row_logsumexp, 0, 0, 0);
}

int pc_fwd_any(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return reduce("any", out, in[0], &v[0], flag(&v[1], 0), PC_U8, row_any, 0, 0, 0);
}

int pc_fwd_all(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return reduce("all", out, in[0], &v[0], flag(&v[1], 0), PC_U8, row_any, 1, 0, 0);
}

int pc_fwd_amax(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return reduce("amax", out, in[0], &v[0], flag(&v[1], 0), in[0]->dtype, row_extreme, 1, 0, 1);
}

int pc_fwd_amin(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return reduce("amin", out, in[0], &v[0], flag(&v[1], 0), in[0]->dtype, row_extreme, -1, 0, 1);
}

/* values (or NULL) and positions along one dim, or over everything when dim is unset */
static int extreme(const char *op, pc_tensor **values, pc_tensor **index, const pc_tensor *x, const pc_val *v, double sign) {
  uint8_t reduced[PC_MAX_DIM];
  pc_rows r = {0};
  pc_val dims = v[0];
  if (values) *values = NULL;
  *index = NULL;
  if (dims.set) dims.nl = 1, dims.l[0] = dims.i;
  int rc = pc_reduced_dims(op, x, &dims, reduced);
  if (rc == PC_OK) rc = pc_rows_init(&r, x, reduced, flag(&v[1], 0));
  if (rc == PC_OK && r.n == 0 && r.rows > 0)
    rc = pc_fail(PC_ESHAPE, "%s: nothing to choose from in a tensor of shape %s", op, pc_shape_str(x));
  if (rc == PC_OK && values) rc = pc_tensor_empty(values, x->dtype, r.ndim, r.size);
  if (rc == PC_OK) rc = pc_tensor_empty(index, PC_I64, r.ndim, r.size);
  if (rc == PC_OK) {
    row_job j = {.r = &r, .y = values ? *values : NULL, .index = *index, .a = sign, .row = row_extreme};
    each_row(&j);
  } else if (values) {
    pc_tensor_release(*values);
    *values = NULL;
  }
  pc_rows_done(&r);
  return rc;
}

int pc_fwd_max(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) { return extreme("max", &out[0], &out[1], in[0], v, 1); }
int pc_fwd_min(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) { return extreme("min", &out[0], &out[1], in[0], v, -1); }
int pc_fwd_argmax(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) { return extreme("argmax", NULL, &out[0], in[0], v, 1); }
int pc_fwd_argmin(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) { return extreme("argmin", NULL, &out[0], in[0], v, -1); }

int pc_fwd_bincount(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *x, *c;
  int64_t n = v[0].set ? v[0].i : 0;
  *out = NULL;
  if (pc_dtype_is_float(in[0]->dtype)) return pc_fail(PC_EDTYPE, "bincount: needs integer classes, got %s", pc_dtype_name(in[0]->dtype));
  int rc = pc_contiguous(&c, in[0]);
  if (rc < 0) return rc;
  rc = pc_to_dtype(&x, c, PC_I64);
  pc_tensor_release(c);
  if (rc < 0) return rc;
  for (int64_t i = 0; i < pc_numel(x); i++) {
    int64_t k = pc_i64(x)[i];
    if (k < PC_INDEX_BASE) rc = pc_fail(PC_EINDEX, "bincount: class %lld; classes count from %d", (long long)k, PC_INDEX_BASE);
    if (k - PC_INDEX_BASE + 1 > n) n = k - PC_INDEX_BASE + 1;
  }
  if (rc == PC_OK && (rc = pc_tensor_zeros(out, PC_I64, 1, &n)) == PC_OK)
    for (int64_t i = 0; i < pc_numel(x); i++) pc_i64(*out)[pc_i64(x)[i] - PC_INDEX_BASE]++;
  pc_tensor_release(x);
  return rc;
}
