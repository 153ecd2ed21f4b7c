/* jacobian.c: the Jacobian of a decoder at the slots of many images; see lm.h. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "inverter/lm.h"
#include "tensor/gemm/gemm.h"

double pc_lm_get(const pc_search *s, const void *p, int64_t i) {
  return s->dtype == PC_F32 ? (double)((const float *)p)[i] : ((const double *)p)[i];
}

void pc_lm_put(const pc_search *s, void *p, int64_t i, double v) {
  if (s->dtype == PC_F32)
    ((float *)p)[i] = (float)v;
  else
    ((double *)p)[i] = v;
}

void pc_lm_project(const pc_lm *l, int64_t row, void *x, double *out) {
  const pc_search *s = l->s;
  int64_t d = s->dim, p = s->pixels;
  void *y = pc_search_row(s, l->work, row, p + d * d);
  y = pc_search_row(s, y, 1, p);
  pc_gemm(s->dtype, d, 1, p, 1, PC_ROWS(pc_search_row(s, l->jac, row * d, p), p), PC_COLS(x, p), 0, PC_ROWS(y, 1));
  for (int64_t i = 0; i < d; i++) out[i] = pc_lm_get(s, y, i);
}

/* J J^T of the rows just built */
static void squares(int64_t begin, int64_t end, void *ctx) {
  const pc_lm *l = ctx;
  const pc_search *s = l->s;
  int64_t d = s->dim, p = s->pixels;
  for (int64_t k = begin; k < end; k++) {
    int64_t row = l->rows[k];
    void *j = pc_search_row(s, l->jac, row * d, p), *y = pc_search_row(s, l->work, row, p + d * d);
    y = pc_search_row(s, y, 1, p);
    pc_gemm(s->dtype, d, d, p, 1, PC_ROWS(j, p), PC_COLS(j, p), 0, PC_ROWS(y, d));
    for (int64_t i = 0; i < d * d; i++) l->a[row * d * d + i] = pc_lm_get(s, y, i);
  }
}

/* ---- forward differences ---- */

/* The step: cancellation (an image in f32 is good to about 1e-6) against curvature. */
static double step_of(const pc_search *s, double z) { return (s->dtype == PC_F32 ? 2e-3 : 1e-6) * fmax(1, fabs(z)); }

typedef struct columns { /* the pairs (row, slot number) number from..from+n of l->rows, decoded */
  pc_lm *l;
  const void *image;
  int64_t from;
} columns;

/* (f(z + h e_j) - x - r) / h */
#define COLUMN(type, name)                                                                                          \
  static void column_##name(type *restrict out, const type *y, const type *x, const type *r, double h, int64_t n) { \
    const type k = (type)(1 / h);                                                                                   \
    for (int64_t i = 0; i < n; i++) out[i] = k * (y[i] - x[i] - r[i]);                                              \
  }
COLUMN(float, f32)
COLUMN(double, f64)

static void take_columns(int64_t begin, int64_t end, void *ctx) {
  const columns *k = ctx;
  const pc_lm *l = k->l;
  const pc_search *s = l->s;
  for (int64_t i = begin; i < end; i++) {
    int64_t row = l->rows[(k->from + i) / s->dim], j = (k->from + i) % s->dim, n = s->pixels;
    void *out = pc_search_row(s, l->jac, row * s->dim + j, n), *y = pc_search_row(s, (void *)k->image, i, n);
    const void *x = pc_search_target_image(s, l->c, row), *r = pc_search_row(s, l->res, row, n);
    double h = step_of(s, pc_lm_get(s, l->c->z, row * s->dim + j));
    if (s->dtype == PC_F32)
      column_f32(out, y, x, r, h, n);
    else
      column_f64(out, y, x, r, h, n);
  }
}

static int differences(pc_lm *l) { /* D decodes a row, `batch` at a time */
  pc_search *s = l->s;
  const size_t w = pc_dtype_size(s->dtype) * (size_t)s->dim;
  int64_t total = l->nrows * s->dim;
  int rc = PC_OK;
  for (int64_t from = 0, n; rc == PC_OK && from < total; from += n) {
    pc_tensor *z = NULL, *image = NULL;
    n = total - from < s->batch ? total - from : s->batch;
    if ((rc = pc_tensor_empty(&z, s->dtype, 3, (int64_t[]){n, s->z0->size[1], s->z0->size[2]})) < 0) break;
    for (int64_t i = 0; i < n; i++) {
      int64_t row = l->rows[(from + i) / s->dim], j = (from + i) % s->dim;
      void *zi = pc_search_row(s, pc_data(z), i, s->dim);
      memcpy(zi, pc_search_row(s, l->c->z, row, s->dim), w);
      double at = pc_lm_get(s, zi, j);
      pc_lm_put(s, zi, j, at + step_of(s, at));
    }
    if ((rc = pc_search_decode(s, z, &image)) == PC_OK) {
      columns k = {l, pc_data(image), from};
      pc_parallel_for(n, 1, take_columns, &k);
    }
    pc_tensor_release(z);
    pc_tensor_release(image);
  }
  if (rc == PC_OK) pc_search_charge_rows(s, l->c, l->rows, l->nrows, (double)s->dim);
  return rc;
}

/* ---- the decoder's own ---- */

static int closed_form(pc_lm *l) { /* a few rows at a time: the result is as large as J itself */
  pc_search *s = l->s;
  int64_t d = s->dim, p = s->pixels, few = s->batch / d > 0 ? s->batch / d : 1;
  const size_t w = pc_dtype_size(s->dtype) * (size_t)d, wj = w * (size_t)p;
  int rc = PC_OK;
  for (int64_t from = 0, n; rc == PC_OK && from < l->nrows; from += n) {
    pc_tensor *z = NULL, *j = NULL, *flat = NULL;
    double units = 0;
    n = l->nrows - from < few ? l->nrows - from : few;
    rc = pc_tensor_empty(&z, s->dtype, 3, (int64_t[]){n, s->z0->size[1], s->z0->size[2]});
    for (int64_t i = 0; rc == PC_OK && i < n; i++)
      memcpy(pc_search_row(s, pc_data(z), i, d), pc_search_row(s, l->c->z, l->rows[from + i], d), w);
    if (rc == PC_OK) rc = s->o.jacobian(s->ctx, z, &j, &units);
    if (rc == PC_OK &&
        (j->dtype != s->dtype || j->ndim < 3 || j->size[0] != n || j->size[1] != d || pc_numel(j) != n * d * p))
      rc = pc_fail(PC_ESHAPE, "invert: the decoder's Jacobian is %s %s; %s (%lld,%lld,%lld) is expected",
                   pc_dtype_name(j->dtype), pc_shape_str(j), pc_dtype_name(s->dtype), (long long)n, (long long)d,
                   (long long)p);
    if (rc == PC_OK) rc = pc_contiguous(&flat, j);
    for (int64_t i = 0; rc == PC_OK && i < n; i++)
      memcpy(pc_search_row(s, l->jac, l->rows[from + i] * d, p), (char *)pc_data(flat) + wj * (size_t)i, wj);
    if (rc == PC_OK) pc_search_charge_rows(s, l->c, l->rows + from, n, units);
    pc_tensor_release(z);
    pc_tensor_release(j);
    pc_tensor_release(flat);
  }
  return rc;
}

int pc_lm_build(pc_lm *l) {
  int rc = l->s->o.jacobian ? closed_form(l) : differences(l);
  if (rc == PC_OK) pc_parallel_for(l->nrows, 1, squares, l);
  return rc;
}
