#include "metrics/overlap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "metrics/matching.h"

/* One image: which labels there are, and how many pixels they share. */
typedef struct image {
  const int64_t *predicted, *target;
  int64_t n, nsegments, nobjects;
  int64_t *segments, *objects; /* sorted labels, room for n each */
  const char *op;
  int64_t index;
} image;

static int ascending(const void *x, const void *y) {
  const int64_t *p = x, *q = y;
  return (*p > *q) - (*p < *q);
}

static int64_t distinct(int64_t *to, const int64_t *from, int64_t n) {
  int64_t m = 0;
  memcpy(to, from, (size_t)n * sizeof *to);
  qsort(to, (size_t)n, sizeof *to, ascending);
  for (int64_t i = 0; i < n; i++)
    if (!m || to[m - 1] != to[i]) to[m++] = to[i];
  return m;
}

static int64_t place(const int64_t *labels, int64_t n, int64_t label) {
  const int64_t *at = bsearch(&label, labels, (size_t)n, sizeof *labels, ascending);
  return at ? at - labels : -1;
}

static int find_labels(image *m, int foreground_only, int64_t background) {
  m->nsegments = distinct(m->segments, m->predicted, m->n);
  m->nobjects = distinct(m->objects, m->target, m->n);
  int64_t none = foreground_only ? place(m->objects, m->nobjects, background) : -1;
  if (none >= 0) {
    m->nobjects--;
    memmove(m->objects + none, m->objects + none + 1, (size_t)(m->nobjects - none) * sizeof *m->objects);
  }
  if (m->nsegments <= PC_OVERLAP_LABELS && m->nobjects <= PC_OVERLAP_LABELS) return PC_OK;
  return pc_fail(PC_EARG, "%s: image %lld has %lld segments and %lld objects; at most %d of each are compared", m->op,
                 (long long)m->index + PC_INDEX_BASE, (long long)m->nsegments, (long long)m->nobjects,
                 PC_OVERLAP_LABELS);
}

/* iou (nobjects,nsegments), zeros on entry; own: room for both sides' pixel counts. */
static void overlaps(const image *m, double *iou, double *own) {
  double *of_object = own, *of_segment = own + m->nobjects;
  for (int64_t i = 0; i < m->n; i++) {
    int64_t o = place(m->objects, m->nobjects, m->target[i]), s = place(m->segments, m->nsegments, m->predicted[i]);
    of_segment[s]++;
    if (o < 0) continue;
    of_object[o]++;
    iou[o * m->nsegments + s]++;
  }
  for (int64_t o = 0; o < m->nobjects; o++)
    for (int64_t s = 0; s < m->nsegments; s++) {
      double both = iou[o * m->nsegments + s];
      iou[o * m->nsegments + s] = both / (of_object[o] + of_segment[s] - both);
    }
}

static double best(const image *m, const double *iou) {
  double sum = 0;
  for (int64_t o = 0; o < m->nobjects; o++) {
    double most = 0;
    for (int64_t s = 0; s < m->nsegments; s++) most = fmax(most, iou[o * m->nsegments + s]);
    sum += most;
  }
  return sum;
}

static int score(double *out, image *m, pc_overlap_kind kind) {
  int64_t cells = m->nobjects * m->nsegments, assign[PC_OVERLAP_LABELS];
  double sum = 0;
  int rc = PC_OK;
  *out = NAN;
  if (m->nobjects == 0) return PC_OK;
  double *iou = pc_calloc((size_t)(cells + m->nobjects + m->nsegments), sizeof *iou);
  if (!iou) return PC_ENOMEM;
  overlaps(m, iou, iou + cells);
  if (kind == PC_OVERLAP_BEST) {
    sum = best(m, iou);
  } else {
    for (int64_t i = 0; i < cells; i++) iou[i] = -iou[i];
    rc = pc_hungarian(assign, &sum, iou, m->nobjects, m->nsegments);
    sum = -sum;
  }
  if (rc == PC_OK) *out = sum / (double)m->nobjects;
  pc_free(iou);
  return rc;
}

/* Labels as i64, contiguous. */
static int labels(pc_tensor **out, const char *op, const char *name, const pc_tensor *t) {
  pc_tensor *wide;
  *out = NULL;
  if (pc_dtype_is_float((pc_dtype)t->dtype))
    return pc_fail(PC_EDTYPE, "%s: %s are %s; integers are needed", op, name, pc_dtype_name((pc_dtype)t->dtype));
  int rc = pc_to_dtype(&wide, t, PC_I64);
  if (rc < 0) return rc;
  rc = pc_contiguous(out, wide);
  pc_tensor_release(wide);
  return rc;
}

int pc_overlap(pc_tensor **out, const pc_tensor *predicted, const pc_tensor *target, pc_overlap_kind kind,
               int foreground_only, int64_t background) {
  pc_tensor *p = NULL, *t = NULL;
  image m = {.op = kind == PC_OVERLAP_BEST ? "mbo" : "miou"};
  int rc;
  *out = NULL;
  if (target->ndim < 2 || !pc_same_shape(predicted, target))
    return pc_fail(PC_ESHAPE, "%s: predicted masks have shape %s, target masks %s; both must be (B,...)", m.op,
                   pc_shape_str(predicted), pc_shape_str(target));
  int64_t B = target->size[0];
  m.n = B ? pc_numel(target) / B : 0;
  if ((rc = labels(&p, m.op, "predictions", predicted)) < 0 || (rc = labels(&t, m.op, "targets", target)) < 0 ||
      (rc = pc_tensor_empty(out, PC_F64, 1, &B)) < 0)
    goto done;
  m.segments = pc_malloc((size_t)(2 * m.n + 1) * sizeof *m.segments);
  if (!m.segments) rc = PC_ENOMEM;
  m.objects = m.segments + m.n;
  for (m.index = 0; rc == PC_OK && m.index < B; m.index++) {
    m.predicted = pc_i64(p) + m.index * m.n, m.target = pc_i64(t) + m.index * m.n;
    rc = find_labels(&m, foreground_only, background);
    if (rc == PC_OK) rc = score(&pc_f64(*out)[m.index], &m, kind);
  }
done:
  if (rc < 0) {
    pc_tensor_release(*out);
    *out = NULL;
  }
  pc_free(m.segments);
  pc_tensor_release(p);
  pc_tensor_release(t);
  return rc;
}
