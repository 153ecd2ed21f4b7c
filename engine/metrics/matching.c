#include "metrics/matching.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"

/* n <= m. Rows enter one by one; each is placed by a shortest augmenting path
 * in reduced costs cost[i][j] - u[i] - v[j] >= 0. Column 0 is the path's start;
 * rows and columns count from 1 in here. row_of[j]: the row at column j. */
typedef struct work {
  const double *cost;
  int64_t n, m;
  int by_column; /* cost is stored (m,n) */
  double *u, *v, *least;
  int64_t *row_of, *way;
  uint8_t *used;
} work;

static double at(const work *w, int64_t i, int64_t j) {
  return w->by_column ? w->cost[(j - 1) * w->n + i - 1] : w->cost[(i - 1) * w->m + j - 1];
}

static void place(work *w, int64_t i) {
  int64_t j0 = 0;
  for (int64_t j = 0; j <= w->m; j++) w->least[j] = INFINITY, w->used[j] = 0;
  w->row_of[0] = i;
  do {
    int64_t i0 = w->row_of[j0], j1 = 0;
    double delta = INFINITY;
    w->used[j0] = 1;
    for (int64_t j = 1; j <= w->m; j++) {
      if (w->used[j]) continue;
      double c = at(w, i0, j) - w->u[i0] - w->v[j];
      if (c < w->least[j]) w->least[j] = c, w->way[j] = j0;
      if (j1 == 0 || w->least[j] < delta) delta = w->least[j], j1 = j;
    }
    for (int64_t j = 0; j <= w->m; j++)
      if (w->used[j])
        w->u[w->row_of[j]] += delta, w->v[j] -= delta;
      else
        w->least[j] -= delta;
    j0 = j1;
  } while (w->row_of[j0]);
  for (; j0; j0 = w->way[j0]) w->row_of[j0] = w->row_of[w->way[j0]];
}

int pc_hungarian(int64_t *assign, double *total, const double *cost, int64_t rows, int64_t cols) {
  int swap = rows > cols;
  int64_t n = swap ? cols : rows, m = swap ? rows : cols;
  double sum = 0;
  for (int64_t i = 0; i < rows * cols; i++)
    if (!isfinite(cost[i]))
      return pc_fail(PC_EARG, "match: the cost at row %lld, column %lld is %g; costs have to be finite",
                     (long long)(i / cols) + PC_INDEX_BASE, (long long)(i % cols) + PC_INDEX_BASE, cost[i]);
  work w = {.cost = cost, .n = n, .m = m, .by_column = swap};
  double *reals = pc_calloc((size_t)(n + 1 + 2 * (m + 1)), sizeof *reals);
  int64_t *ints = pc_calloc((size_t)(2 * (m + 1)), sizeof *ints);
  w.used = pc_calloc((size_t)m + 1, 1);
  int rc = reals && ints && w.used ? PC_OK : PC_ENOMEM;
  if (rc == PC_OK) {
    w.u = reals;
    w.v = reals + n + 1;
    w.least = w.v + m + 1;
    w.row_of = ints;
    w.way = ints + m + 1;
    for (int64_t i = 1; i <= n; i++) place(&w, i);
    for (int64_t i = 0; i < rows; i++) assign[i] = -1;
    for (int64_t j = 1; j <= m; j++) {
      if (!w.row_of[j]) continue;
      sum += at(&w, w.row_of[j], j);
      if (swap)
        assign[j - 1] = w.row_of[j] - 1;
      else
        assign[w.row_of[j] - 1] = j - 1;
    }
    if (total) *total = sum;
  }
  pc_free(w.used);
  pc_free(ints);
  pc_free(reals);
  return rc;
}

int pc_match(pc_tensor **assign, pc_tensor **total, const pc_tensor *cost, int maximize) {
  pc_tensor *wide = NULL, *flat = NULL;
  *assign = NULL;
  if (total) *total = NULL;
  if (cost->ndim < 2 || cost->ndim > 3 || !pc_dtype_is_float((pc_dtype)cost->dtype))
    return pc_fail(cost->ndim < 2 || cost->ndim > 3 ? PC_ESHAPE : PC_EDTYPE,
                   "match: costs have shape %s, dtype %s; f32 or f64 (R,C) or (B,R,C) is needed", pc_shape_str(cost),
                   pc_dtype_name((pc_dtype)cost->dtype));
  int lead = cost->ndim - 2;
  int64_t B = lead ? cost->size[0] : 1, R = cost->size[lead], C = cost->size[lead + 1];
  int rc = pc_to_dtype(&wide, cost, PC_F64);
  if (rc == PC_OK) rc = pc_clone(&flat, wide); /* negated below, perhaps */
  if (rc == PC_OK) rc = pc_tensor_empty(assign, PC_I64, lead + 1, cost->size);
  if (rc == PC_OK && total) rc = pc_tensor_zeros(total, PC_F64, lead, cost->size);
  for (int64_t i = 0; rc == PC_OK && maximize && i < B * R * C; i++) pc_f64(flat)[i] = -pc_f64(flat)[i];
  for (int64_t b = 0; rc == PC_OK && b < B; b++) {
    double sum;
    rc = pc_hungarian(pc_i64(*assign) + b * R, &sum, pc_f64(flat) + b * R * C, R, C);
    if (rc < 0 && lead) pc_error_prefix(rc, "batch item %lld", (long long)b + PC_INDEX_BASE);
    for (int64_t i = 0; rc == PC_OK && i < R; i++) pc_i64(*assign)[b * R + i] += PC_INDEX_BASE;
    if (rc == PC_OK && total) pc_f64(*total)[b] = maximize ? -sum : sum;
  }
  if (rc < 0) {
    pc_tensor_release(*assign);
    *assign = NULL;
    if (total) {
      pc_tensor_release(*total);
      *total = NULL;
    }
  }
  pc_tensor_release(flat);
  pc_tensor_release(wide);
  return rc;
}
