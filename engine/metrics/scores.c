#include "metrics/scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* Contiguous copies of both as d; checks kind and shapes. */
static int pair(const char *op, pc_tensor **p, pc_tensor **t, const pc_tensor *predicted, const pc_tensor *target,
                pc_dtype d) {
  const pc_tensor *in[2] = {predicted, target};
  pc_tensor **out[2] = {p, t};
  *p = *t = NULL;
  if (!pc_same_shape(predicted, target))
    return pc_fail(PC_ESHAPE, "%s: predictions have shape %s, targets %s", op, pc_shape_str(predicted),
                   pc_shape_str(target));
  for (int i = 0; i < 2; i++) {
    pc_tensor *wide;
    if (pc_dtype_is_float((pc_dtype)in[i]->dtype) != (d == PC_F64))
      return pc_fail(PC_EDTYPE, "%s: %s are %s; %s are needed", op, i ? "targets" : "predictions",
                     pc_dtype_name((pc_dtype)in[i]->dtype), d == PC_F64 ? "floats" : "integers");
    int rc = pc_to_dtype(&wide, in[i], d);
    if (rc == PC_OK) {
      rc = pc_contiguous(out[i], wide);
      pc_tensor_release(wide);
    }
    if (rc < 0) return rc;
  }
  return PC_OK;
}

static void unpair(pc_tensor *p, pc_tensor *t) {
  pc_tensor_release(p);
  pc_tensor_release(t);
}

int pc_accuracy(double *out, const pc_tensor *predicted, const pc_tensor *target) {
  pc_tensor *p, *t;
  int rc = pair("accuracy", &p, &t, predicted, target, PC_I64);
  *out = NAN;
  if (rc == PC_OK) {
    int64_t n = pc_numel(p), hits = 0;
    for (int64_t i = 0; i < n; i++) hits += pc_i64(p)[i] == pc_i64(t)[i];
    if (n == 0)
      rc = pc_fail(PC_EARG, "accuracy: there are no predictions");
    else
      *out = (double)hits / (double)n;
  }
  unpair(p, t);
  return rc;
}

int pc_confusion(pc_tensor **out, const pc_tensor *predicted, const pc_tensor *target, int64_t classes) {
  pc_tensor *p, *t;
  int64_t size[2] = {classes, classes};
  *out = NULL;
  if (classes < 1) return pc_fail(PC_EARG, "confusion: %lld classes", (long long)classes);
  int rc = pair("confusion", &p, &t, predicted, target, PC_I64);
  if (rc == PC_OK) rc = pc_tensor_zeros(out, PC_I64, 2, size);
  for (int64_t i = 0; rc == PC_OK && i < pc_numel(p); i++) {
    int64_t a = pc_i64(t)[i] - PC_INDEX_BASE, b = pc_i64(p)[i] - PC_INDEX_BASE;
    if (a < 0 || a >= classes || b < 0 || b >= classes)
      rc = pc_fail(PC_EINDEX, "confusion: element %lld has target %lld, prediction %lld; labels go from %d to %lld",
                   (long long)i + PC_INDEX_BASE, (long long)a + PC_INDEX_BASE, (long long)b + PC_INDEX_BASE,
                   PC_INDEX_BASE, (long long)classes - 1 + PC_INDEX_BASE);
    else
      pc_i64(*out)[a * classes + b]++;
  }
  if (rc < 0) {
    pc_tensor_release(*out);
    *out = NULL;
  }
  unpair(p, t);
  return rc;
}

/* ---- R2 ---- */

/* res, tot (D): sums of squares per column; two passes, so that large means do no harm. */
static void squares(double *res, double *tot, const double *p, const double *t, int64_t n, int64_t D) {
  for (int64_t d = 0; d < D; d++) {
    double mean = 0;
    res[d] = tot[d] = 0;
    for (int64_t i = 0; i < n; i++) mean += t[i * D + d] / (double)n;
    for (int64_t i = 0; i < n; i++) {
      double e = p[i * D + d] - t[i * D + d], v = t[i * D + d] - mean;
      res[d] += e * e;
      tot[d] += v * v;
    }
    /* a constant column leaves the rounding of its mean behind */
    if (tot[d] <= (double)n * mean * mean * 1e-30) tot[d] = 0;
  }
}

static double ratio(double res, double tot) { return tot > 0 ? 1 - res / tot : res == 0 ? 1 : res > 0 ? 0 : NAN; }

static int r2(double *out, pc_tensor **columns, const pc_tensor *predicted, const pc_tensor *target, pc_r2_mean mean) {
  pc_tensor *p = NULL, *t = NULL;
  double *sums = NULL;
  if (target->ndim < 1 || target->ndim > 2)
    return pc_fail(PC_ESHAPE, "r2: targets have shape %s; (N) or (N,D) is needed", pc_shape_str(target));
  int64_t n = target->size[0], D = target->ndim == 2 ? target->size[1] : 1;
  if (n < 1 || D < 1) return pc_fail(PC_EARG, "r2: shape %s holds no numbers", pc_shape_str(target));
  int rc = pair("r2", &p, &t, predicted, target, PC_F64);
  if (rc == PC_OK && !(sums = pc_malloc((size_t)(2 * D) * sizeof *sums))) rc = PC_ENOMEM;
  if (rc == PC_OK && columns) rc = pc_tensor_empty(columns, PC_F64, 1, &D);
  if (rc == PC_OK) {
    double res = 0, tot = 0, sum = 0;
    squares(sums, sums + D, pc_f64(p), pc_f64(t), n, D);
    for (int64_t d = 0; d < D; d++) {
      double v = ratio(sums[d], sums[D + d]);
      if (columns) pc_f64(*columns)[d] = v;
      res += sums[d];
      tot += sums[D + d];
      sum += v / (double)D;
    }
    if (out) *out = mean == PC_R2_UNIFORM ? sum : ratio(res, tot);
  }
  pc_free(sums);
  unpair(p, t);
  return rc;
}

int pc_r2(double *out, const pc_tensor *predicted, const pc_tensor *target, pc_r2_mean mean) {
  *out = NAN;
  return r2(out, NULL, predicted, target, mean);
}

int pc_r2_columns(pc_tensor **out, const pc_tensor *predicted, const pc_tensor *target) {
  *out = NULL;
  return r2(NULL, out, predicted, target, PC_R2_UNIFORM);
}

/* ---- ARI ---- */

typedef struct cell {
  int64_t a, b;
} cell;

static int by_a_b(const void *x, const void *y) {
  const cell *p = x, *q = y;
  if (p->a != q->a) return p->a < q->a ? -1 : 1;
  return (p->b > q->b) - (p->b < q->b);
}

static int by_b(const void *x, const void *y) {
  const cell *p = x, *q = y;
  return (p->b > q->b) - (p->b < q->b);
}

static double pairs(int64_t n) { return (double)n * (double)(n - 1) / 2; }

/* sum over runs of equal keys of (run length choose 2); which: 0 a, 1 b, 2 both */
static double run_pairs(const cell *c, int64_t n, int which) {
  double sum = 0;
  for (int64_t i = 0, j; i < n; i = j) {
    for (j = i + 1; j < n; j++)
      if ((which != 1 && c[j].a != c[i].a) || (which != 0 && c[j].b != c[i].b)) break;
    sum += pairs(j - i);
  }
  return sum;
}

int pc_ari_labels(double *out, const int64_t *a, const int64_t *b, const uint8_t *use, int64_t n) {
  int64_t m = 0;
  cell *c = pc_malloc((size_t)n * sizeof *c);
  *out = NAN;
  if (!c) return PC_ENOMEM;
  for (int64_t i = 0; i < n; i++)
    if (!use || use[i]) c[m++] = (cell){a[i], b[i]};
  qsort(c, (size_t)m, sizeof *c, by_a_b);
  double sa = run_pairs(c, m, 0), both = run_pairs(c, m, 2);
  qsort(c, (size_t)m, sizeof *c, by_b);
  double sb = run_pairs(c, m, 1), all = pairs(m);
  double expected = all > 0 ? sa * sb / all : 0, top = (sa + sb) / 2;
  *out = top == expected ? 1 : (both - expected) / (top - expected);
  pc_free(c);
  return PC_OK;
}

int pc_ari(double *out, const pc_tensor *predicted, const pc_tensor *target) {
  pc_tensor *p, *t;
  *out = NAN;
  int rc = pair("ari", &p, &t, predicted, target, PC_I64);
  if (rc == PC_OK) rc = pc_ari_labels(out, pc_i64(p), pc_i64(t), NULL, pc_numel(p));
  unpair(p, t);
  return rc;
}

int pc_ari_masks(pc_tensor **out, const pc_tensor *predicted, const pc_tensor *target, int foreground_only,
                 int64_t background) {
  pc_tensor *p = NULL, *t = NULL;
  uint8_t *use = NULL;
  *out = NULL;
  if (target->ndim < 2)
    return pc_fail(PC_ESHAPE, "ari: target masks have shape %s; (B,H,W) is needed", pc_shape_str(target));
  int rc = pair("ari", &p, &t, predicted, target, PC_I64);
  int64_t B = target->size[0], n = B ? pc_numel(target) / B : 0;
  if (rc == PC_OK) rc = pc_tensor_empty(out, PC_F64, 1, &B);
  if (rc == PC_OK && !(use = pc_malloc((size_t)n))) rc = PC_ENOMEM;
  for (int64_t i = 0; rc == PC_OK && i < B; i++) {
    const int64_t *pi = pc_i64(p) + i * n, *ti = pc_i64(t) + i * n;
    int64_t some = 0;
    for (int64_t k = 0; k < n; k++) some += use[k] = (uint8_t)(!foreground_only || ti[k] != background);
    rc = pc_ari_labels(&pc_f64(*out)[i], pi, ti, use, n);
    if (!some && foreground_only) pc_f64(*out)[i] = NAN;
  }
  if (rc < 0) {
    pc_tensor_release(*out);
    *out = NULL;
  }
  pc_free(use);
  unpair(p, t);
  return rc;
}
