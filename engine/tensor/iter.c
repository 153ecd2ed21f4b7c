#include "tensor/iter.h"

#include <stdlib.h>

#include "base/parallel.h"

static void swap_dims(pc_iter *it, int a, int b) {
  int64_t t = it->size[a];
  it->size[a] = it->size[b], it->size[b] = t;
  for (int k = 0; k < it->nop; k++) {
    t = it->stride[k][a];
    it->stride[k][a] = it->stride[k][b], it->stride[k][b] = t;
  }
}

/* Merges dim d+1 into d where every operand allows it. */
static int mergeable(const pc_iter *it, int d) {
  for (int k = 0; k < it->nop; k++)
    if (it->stride[k][d + 1] != it->stride[k][d] * it->size[d]) return 0;
  return 1;
}

void pc_iter_init(pc_iter *it, int ndim, const int64_t *size, int nop, pc_tensor *const *op) {
  it->nop = nop;
  it->ndim = 0;
  for (int k = 0; k < nop; k++) it->base[k] = pc_data(op[k]);
  for (int i = ndim - 1; i >= 0; i--) { /* innermost first; sizes of 1 carry nothing */
    if (size[i] == 1) continue;
    int d = it->ndim++;
    it->size[d] = size[i];
    for (int k = 0; k < nop; k++) {
      int j = i - (ndim - op[k]->ndim);
      int64_t esz = (int64_t)pc_dtype_size((pc_dtype)op[k]->dtype);
      it->stride[k][d] = j < 0 || op[k]->size[j] == 1 ? 0 : op[k]->stride[j] * esz;
    }
  }
  for (int i = 1; i < it->ndim; i++) /* the written operand decides the order */
    for (int j = i; j > 0 && llabs(it->stride[0][j]) < llabs(it->stride[0][j - 1]); j--) swap_dims(it, j, j - 1);
  int w = 0;
  for (int d = 1; d < it->ndim; d++) {
    /* compare dim d with the last kept one, w */
    if (d != w + 1) {
      it->size[w + 1] = it->size[d];
      for (int k = 0; k < nop; k++) it->stride[k][w + 1] = it->stride[k][d];
    }
    if (mergeable(it, w))
      it->size[w] *= it->size[w + 1];
    else
      w++;
  }
  if (it->ndim) {
    it->ndim = w + 1;
  } else {
    it->ndim = 1;
    it->size[0] = 1;
    for (int k = 0; k < nop; k++) it->stride[k][0] = (int64_t)pc_dtype_size((pc_dtype)op[k]->dtype);
  }
}

typedef struct job {
  const pc_iter *it;
  pc_loop_fn *fn;
  void *ctx;
  int64_t cut;   /* elements of a row per piece; == size[0]: whole rows */
  int64_t parts; /* pieces per row */
} job;

/* Where row r (over dims 1..) begins; returns the index within dim 1. */
static int64_t locate(const pc_iter *it, int64_t r, char **p) {
  int64_t first = 0;
  for (int k = 0; k < it->nop; k++) p[k] = it->base[k];
  for (int d = 1; d < it->ndim; d++) {
    int64_t i = r % it->size[d];
    r /= it->size[d];
    if (d == 1) first = i;
    for (int k = 0; k < it->nop; k++) p[k] += i * it->stride[k][d];
  }
  return first;
}

static void strides_of(const pc_iter *it, int d, int64_t *s) {
  for (int k = 0; k < it->nop; k++) s[k] = d < it->ndim ? it->stride[k][d] : 0;
}

static void whole_rows(int64_t begin, int64_t end, void *ctx) {
  const job *j = ctx;
  const pc_iter *it = j->it;
  char *p[PC_ITER_MAX];
  int64_t s0[PC_ITER_MAX], s1[PC_ITER_MAX];
  strides_of(it, 0, s0);
  strides_of(it, 1, s1);
  for (int64_t r = begin; r < end;) {
    int64_t at = locate(it, r, p), n1 = it->ndim > 1 ? it->size[1] - at : 1;
    if (n1 > end - r) n1 = end - r;
    j->fn(p, s0, s1, it->size[0], n1, j->ctx);
    r += n1;
  }
}

static void row_parts(int64_t begin, int64_t end, void *ctx) {
  const job *j = ctx;
  const pc_iter *it = j->it;
  char *p[PC_ITER_MAX];
  int64_t s0[PC_ITER_MAX], s1[PC_ITER_MAX];
  strides_of(it, 0, s0);
  strides_of(it, 1, s1);
  for (int64_t t = begin; t < end; t++) {
    locate(it, t / j->parts, p);
    int64_t from = t % j->parts * j->cut, n0 = it->size[0] - from < j->cut ? it->size[0] - from : j->cut;
    for (int k = 0; k < it->nop; k++) p[k] += from * s0[k];
    j->fn(p, s0, s1, n0, 1, j->ctx);
  }
}

void pc_iter_run(const pc_iter *it, int64_t grain, pc_loop_fn *fn, void *ctx) {
  int64_t rows = 1, row = it->size[0];
  for (int d = 1; d < it->ndim; d++) rows *= it->size[d];
  if (row == 0 || rows == 0) return;
  if (grain <= 0) grain = 32768;
  job j = {it, fn, ctx, row, 1};
  if (row <= grain) {
    pc_parallel_for(rows, grain / row > 0 ? grain / row : 1, whole_rows, &j);
    return;
  }
  j.cut = grain;
  j.parts = (row + grain - 1) / grain;
  pc_parallel_for(rows * j.parts, 1, row_parts, &j);
}

/* Piece t: block t % parts of dimension 0, index t / parts over dims 2.. */
static void tile_parts(int64_t begin, int64_t end, void *ctx) {
  const job *j = ctx;
  const pc_iter *it = j->it;
  int64_t s0[PC_ITER_MAX], s1[PC_ITER_MAX], n1 = it->ndim > 1 ? it->size[1] : 1;
  strides_of(it, 0, s0);
  strides_of(it, 1, s1);
  for (int64_t t = begin; t < end; t++) {
    char *p[PC_ITER_MAX];
    int64_t from = t % j->parts * j->cut, n0 = it->size[0] - from < j->cut ? it->size[0] - from : j->cut;
    locate(it, t / j->parts * n1, p);
    for (int k = 0; k < it->nop; k++) p[k] += from * s0[k];
    j->fn(p, s0, s1, n0, n1, j->ctx);
  }
}

void pc_iter_run_tiles(const pc_iter *it, int64_t cut, pc_loop_fn *fn, void *ctx) {
  int64_t outer = 1;
  for (int d = 2; d < it->ndim; d++) outer *= it->size[d];
  if (outer == 0 || it->size[0] == 0 || (it->ndim > 1 && it->size[1] == 0)) return;
  job j = {it, fn, ctx, cut, (it->size[0] + cut - 1) / cut};
  pc_parallel_for(outer * j.parts, 1, tile_parts, &j);
}
