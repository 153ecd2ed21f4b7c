/* scan.c: ops along one dim that keep it: cumsum, cumprod, sort, topk, median. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "tensor/reduce/reduce.h"
#include "tensor/reduce/rows.h"

/* ---- cumulative sums and products, and the products of all others ---- */

typedef struct scan_job {
  const pc_tensor *x;
  pc_tensor *y;
  int64_t n;
  int kind; /* 0 sum, 1 sum from the end, 2 product, 3 product of all others */
} scan_job;

enum { PC_SCAN_BLOCK = 1 << 16 }; /* elements between looks for a signal */

#define PC_TEMPLATE "tensor/reduce/scan.inc"
#define ACC         double
#include "base/float_types.inc"
#undef ACC
#define T          int64_t
#define ACC        int64_t
#define PC_T(name) name##_i64
#include "tensor/reduce/scan.inc"
#undef T
#undef ACC
#undef PC_T

static void scan_rows(int64_t begin, int64_t end, void *ctx) {
  const scan_job *j = ctx;
  for (int64_t r = begin; r < end; r++) {
    if (j->x->dtype == PC_F32)
      scan_f32(j, r);
    else if (j->x->dtype == PC_F64)
      scan_f64(j, r);
    else
      scan_i64(j, r);
  }
}

static int scan(const char *op, pc_tensor **out, const pc_tensor *x, const pc_val *v, int kind) {
  pc_rows r = {0};
  pc_tensor *cast = NULL, *y = NULL;
  int dim, rc = pc_dim(op, x, v[0].set ? v[0].i : -1, &dim);
  *out = NULL;
  if (rc == PC_OK) rc = pc_rows_along(&r, x, dim);
  if (rc == PC_OK) rc = pc_to_dtype(&cast, r.x, pc_dtype_is_float(x->dtype) ? (pc_dtype)x->dtype : PC_I64);
  if (rc == PC_OK) rc = pc_tensor_empty(&y, cast->dtype, r.x->ndim, r.x->size);
  if (rc == PC_OK) {
    scan_job j = {cast, y, r.n, kind};
    int64_t grain = 16384 / (r.n > 0 ? r.n : 1);
    if (pc_numel(y)) pc_parallel_for(r.rows, grain > 0 ? grain : 1, scan_rows, &j); /* 2^40 rows of nothing are none */
    rc = pc_rows_back(out, y, x, dim);
  }
  pc_tensor_release(y);
  pc_tensor_release(cast);
  pc_rows_done(&r);
  return rc;
}

int pc_fwd_cumsum(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return scan("cumsum", out, in[0], v, 0);
}
int pc_fwd_cumsum_reverse(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return scan("cumsum", out, in[0], v, 1);
}
int pc_fwd_cumprod(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return scan("cumprod", out, in[0], v, 2);
}
int pc_fwd_prod_others(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return scan("prod", out, in[0], v, 3);
}

/* y_k = g_k + x_k y_(k-1); from the end: y_k = g_k + x_(k+1) y_(k+1) */
static void recur(const pc_tensor *g, const pc_tensor *x, pc_tensor *y, int64_t n, int64_t row, int reverse) {
  double s = 0;
  for (int64_t i = 0; i < n; i++) {
    int64_t k = row * n + (reverse ? n - 1 - i : i), f = reverse ? k + 1 : k;
    if (i) s *= x->dtype == PC_F32 ? (double)pc_f32(x)[f] : pc_f64(x)[f];
    s += g->dtype == PC_F32 ? (double)pc_f32(g)[k] : pc_f64(g)[k];
    if (y->dtype == PC_F32)
      pc_f32(y)[k] = (float)s;
    else
      pc_f64(y)[k] = s;
  }
}

int pc_fwd_recurrence(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_rows g = {0}, x = {0};
  pc_tensor *y = NULL;
  int dim, rc = pc_dim("recurrence", in[0], v[0].set ? v[0].i : -1, &dim);
  *out = NULL;
  if (rc == PC_OK && (!pc_same_shape(in[0], in[1]) || in[0]->dtype != in[1]->dtype || !pc_dtype_is_float(in[0]->dtype)))
    rc = pc_fail(PC_ESHAPE, "recurrence: g %s and x %s must be floats of one kind and shape", pc_shape_str(in[0]),
                 pc_shape_str(in[1]));
  if (rc == PC_OK) rc = pc_rows_along(&g, in[0], dim);
  if (rc == PC_OK) rc = pc_rows_along(&x, in[1], dim);
  if (rc == PC_OK) rc = pc_tensor_empty(&y, in[0]->dtype, g.x->ndim, g.x->size);
  if (rc == PC_OK) {
    for (int64_t i = 0; i < g.rows; i++) recur(g.x, x.x, y, g.n, i, v[1].set && v[1].i);
    rc = pc_rows_back(out, y, in[0], dim);
  }
  pc_tensor_release(y);
  pc_rows_done(&g);
  pc_rows_done(&x);
  return rc;
}

/* ---- sorting: stable, NaN last when rising ---- */

/* Floats are compared as f64, whole numbers as i64: neither is rounded. */
typedef struct keyed {
  union {
    double f;
    int64_t i;
  } key;
  int64_t at;
} keyed;

static int by_place(const keyed *x, const keyed *y) { return x->at < y->at ? -1 : 1; }

static int rising_f(const void *a, const void *b) {
  const keyed *x = a, *y = b;
  if (x->key.f < y->key.f) return -1;
  if (x->key.f > y->key.f) return 1;
  if (isnan(x->key.f) != isnan(y->key.f)) return isnan(x->key.f) ? 1 : -1;
  return by_place(x, y);
}

static int falling_f(const void *a, const void *b) {
  const keyed *x = a, *y = b;
  if (x->key.f > y->key.f) return -1;
  if (x->key.f < y->key.f) return 1;
  if (isnan(x->key.f) != isnan(y->key.f)) return isnan(x->key.f) ? -1 : 1;
  return by_place(x, y);
}

static int rising_i(const void *a, const void *b) {
  const keyed *x = a, *y = b;
  return x->key.i != y->key.i ? (x->key.i < y->key.i ? -1 : 1) : by_place(x, y);
}

static int falling_i(const void *a, const void *b) {
  const keyed *x = a, *y = b;
  return x->key.i != y->key.i ? (x->key.i > y->key.i ? -1 : 1) : by_place(x, y);
}

typedef struct sort_job {
  const pc_tensor *x;
  int64_t n, keep;
  int (*compare)(const void *, const void *);
  pc_tensor *values, *index; /* either may be NULL */
  int failed;
} sort_job;

enum { SORT_BLOCK = 1 << 16 }; /* what is sorted, read or written before signals are looked for */

static void read_keys(keyed *k, const pc_tensor *x, int64_t from, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    if (i % SORT_BLOCK == 0 && pc_should_stop()) return;
    k[i].at = i;
    switch (x->dtype) {
      case PC_F32: k[i].key.f = (double)pc_f32(x)[from + i]; break;
      case PC_F64: k[i].key.f = pc_f64(x)[from + i]; break;
      case PC_I64: k[i].key.i = pc_i64(x)[from + i]; break;
      case PC_I32: k[i].key.i = ((const int32_t *)pc_data(x))[from + i]; break;
      default: k[i].key.i = pc_u8(x)[from + i];
    }
  }
}

/* from[lo, mid) and from[mid, hi), both in order, into to[lo, hi); 0 when a signal came. */
static int merge(const keyed *from, keyed *to, int64_t lo, int64_t mid, int64_t hi, const sort_job *j) {
  int64_t a = lo, b = mid;
  for (int64_t i = lo; i < hi; i++) {
    if (i % SORT_BLOCK == 0 && pc_should_stop()) return 0;
    to[i] = b == hi || (a < mid && j->compare(&from[a], &from[b]) < 0) ? from[a++] : from[b++];
  }
  return 1;
}

/* A long row in blocks, between which a signal is noticed: then 0. No two keys compare equal: any way gives one order.
 */
static int sort_row(keyed *k, keyed *other, const sort_job *j) {
  int64_t n = j->n;
  for (int64_t i = 0; i < n; i += SORT_BLOCK) {
    if (pc_should_stop()) return 0;
    qsort(k + i, (size_t)(n - i < SORT_BLOCK ? n - i : SORT_BLOCK), sizeof *k, j->compare);
  }
  keyed *from = k, *to = other;
  for (int64_t width = SORT_BLOCK; width < n; width *= 2) {
    for (int64_t lo = 0; lo < n; lo += 2 * width) {
      int64_t mid = lo + width < n ? lo + width : n, hi = mid + width < n ? mid + width : n;
      if (!merge(from, to, lo, mid, hi, j)) return 0;
    }
    keyed *t = from;
    from = to;
    to = t;
  }
  if (from != k) memcpy(k, from, sizeof *k * (size_t)n);
  return 1;
}

static void write_sorted(const keyed *k, int64_t row, const sort_job *j) {
  size_t w = pc_dtype_size((pc_dtype)j->x->dtype);
  for (int64_t i = 0; i < j->keep; i++) {
    if (i % SORT_BLOCK == 0 && pc_should_stop()) return;
    if (j->index) pc_i64(j->index)[row * j->keep + i] = k[i].at + PC_INDEX_BASE;
    if (!j->values) continue;
    const char *from = (const char *)pc_data(j->x) + w * (size_t)(row * j->n + k[i].at);
    char *to = (char *)pc_data(j->values) + w * (size_t)(row * j->keep + i);
    for (size_t b = 0; b < w; b++) to[b] = from[b];
  }
}

static void sort_some(int64_t begin, int64_t end, void *ctx) {
  sort_job *j = ctx;
  int64_t spare = j->n > SORT_BLOCK ? j->n : 0;
  keyed *k = pc_malloc(sizeof *k * (size_t)(j->n + spare + 1));
  if (!k) {
    __atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED);
    return;
  }
  for (int64_t row = begin; row < end; row++) {
    read_keys(k, j->x, row * j->n, j->n);
    if (!sort_row(k, k + j->n, j)) break;
    write_sorted(k, row, j);
  }
  pc_free(k);
}

/* Sorts rows of (rows,n); writes the first `keep` of each to values and index (either may be NULL). */
static int sort_rows(const pc_rows *r, int64_t keep, int descending, pc_tensor *values, pc_tensor *index) {
  sort_job j = {.x = r->x, .n = r->n, .keep = keep, .values = values, .index = index};
  int64_t grain = 4096 / (r->n > 0 ? r->n : 1);
  if (pc_dtype_is_float((pc_dtype)r->x->dtype))
    j.compare = descending ? falling_f : rising_f;
  else
    j.compare = descending ? falling_i : rising_i;
  pc_parallel_for(r->rows, grain > 0 ? grain : 1, sort_some, &j);
  return j.failed ? pc_fail(PC_ENOMEM, "sort: out of memory for a row of %lld", (long long)r->n) : PC_OK;
}

/* The frame of sort, argsort and topk. keep < 0: all. */
static int ordered(const char *op, pc_tensor **values, pc_tensor **index, const pc_tensor *x, const pc_val *dimv,
                   int64_t keep, int descending) {
  pc_rows r = {0};
  pc_tensor *vals = NULL, *at = NULL;
  int64_t size[PC_MAX_DIM];
  int dim, rc = pc_dim(op, x, dimv->set ? dimv->i : -1, &dim);
  if (values) *values = NULL;
  *index = NULL;
  if (rc == PC_OK) rc = pc_rows_along(&r, x, dim);
  if (rc < 0) return rc;
  if (keep < 0) keep = r.n;
  if (keep > r.n)
    rc = pc_fail(PC_EINDEX, "%s: k = %lld, but dimension %d of shape %s has %lld", op, (long long)keep,
                 dim + PC_INDEX_BASE, pc_shape_str(x), (long long)r.n);
  for (int d = 0; d < r.x->ndim; d++) size[d] = r.x->size[d];
  if (r.x->ndim) size[r.x->ndim - 1] = keep;
  if (rc == PC_OK && values) rc = pc_tensor_empty(&vals, x->dtype, r.x->ndim, size);
  if (rc == PC_OK) rc = pc_tensor_empty(&at, PC_I64, r.x->ndim, size);
  if (rc == PC_OK) rc = sort_rows(&r, keep, descending, vals, at);
  if (rc == PC_OK && values) rc = pc_rows_back(values, vals, x, dim);
  if (rc == PC_OK && (rc = pc_rows_back(index, at, x, dim)) < 0 && values) {
    pc_tensor_release(*values);
    *values = NULL;
  }
  pc_tensor_release(vals);
  pc_tensor_release(at);
  pc_rows_done(&r);
  return rc;
}

int pc_fwd_sort(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return ordered("sort", &out[0], &out[1], in[0], &v[0], -1, v[1].set && v[1].i);
}

int pc_fwd_argsort(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return ordered("argsort", NULL, &out[0], in[0], &v[0], -1, v[1].set && v[1].i);
}

int pc_fwd_topk(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  if (v[0].i < 0) return pc_fail(PC_EARG, "topk: k must not be negative, got %lld", (long long)v[0].i);
  return ordered("topk", &out[0], &out[1], in[0], &v[1], v[0].i, v[2].set ? v[2].i != 0 : 1);
}

static int is_nan(const pc_tensor *t, int64_t i) {
  return t->dtype == PC_F32 ? pc_f32(t)[i] != pc_f32(t)[i] : pc_f64(t)[i] != pc_f64(t)[i];
}

/* A row with a NaN has no order: its median is the first NaN, put where the median is taken. vals: sorted, NaN last. */
static void median_of_nan(pc_tensor *vals, pc_tensor *at, int dim, int64_t mid) {
  int64_t n = vals->size[dim], inner = vals->stride[dim], rows = n ? pc_numel(vals) / n : 0;
  for (int64_t r = 0; r < rows; r++) {
    int64_t row = r / inner * inner * n + r % inner, k = n;
    while (k > 0 && is_nan(vals, row + (k - 1) * inner)) k--;
    if (k == n) continue;
    memcpy((char *)pc_data(vals) + (size_t)(row + mid * inner) * pc_dtype_size(vals->dtype),
           (char *)pc_data(vals) + (size_t)(row + k * inner) * pc_dtype_size(vals->dtype), pc_dtype_size(vals->dtype));
    pc_i64(at)[row + mid * inner] = pc_i64(at)[row + k * inner];
  }
}

/* Values and positions of the lower median along dim, or of everything when dim is unset. */
int pc_fwd_median(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *flat = NULL, *vals = NULL, *at = NULL, *x = in[0];
  int64_t n = pc_numel(x);
  pc_val dimv = v[0];
  int rc = PC_OK, dim = 0;
  if (!dimv.set) {
    pc_tensor *c;
    if ((rc = pc_contiguous(&c, x)) < 0) return rc;
    rc = pc_view_reshape(&flat, c, 1, &n);
    pc_tensor_release(c);
    if (rc < 0) return rc;
    x = flat;
  }
  rc = pc_dim("median", x, dimv.set ? dimv.i : 0, &dim);
  if (rc == PC_OK && x->ndim && x->size[dim] == 0)
    rc = pc_fail(PC_ESHAPE, "median: nothing to choose from in a tensor of shape %s", pc_shape_str(in[0]));
  dimv = PC_VI(dim);
  if (rc == PC_OK) rc = ordered("median", &vals, &at, x, &dimv, -1, 0);
  int64_t mid = x->ndim ? (x->size[dim] - 1) / 2 : 0;
  if (rc == PC_OK && x->ndim && pc_dtype_is_float(x->dtype)) median_of_nan(vals, at, dim, mid);
  if (rc == PC_OK) rc = x->ndim ? pc_view_select(&out[0], vals, dim, mid) : pc_clone(&out[0], vals);
  if (rc == PC_OK && (rc = x->ndim ? pc_view_select(&out[1], at, dim, mid) : pc_clone(&out[1], at)) < 0) {
    pc_tensor_release(out[0]);
    out[0] = NULL;
  }
  pc_tensor_release(flat);
  pc_tensor_release(vals);
  pc_tensor_release(at);
  return rc;
}
