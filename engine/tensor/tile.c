#include "tensor/tile.h"

#include <string.h>

#include "base/simd.h"

int pc_take(pc_tensor **t, pc_tensor *const *in, int n, pc_dtype d) {
  for (int i = 0; i < n; i++) t[i] = NULL;
  for (int i = 0; i < n; i++) {
    pc_tensor *c;
    int rc;
    if (!in[i]) continue;
    if ((rc = pc_to_dtype(&c, in[i], d)) < 0) return rc;
    rc = pc_contiguous(&t[i], c);
    pc_tensor_release(c);
    if (rc < 0) return rc;
  }
  return PC_OK;
}

void pc_drop(pc_tensor **t, int n) {
  for (int i = 0; i < n; i++) {
    pc_tensor_release(t[i]);
    t[i] = NULL;
  }
}

#define LOOPS(T)                                                                                                       \
  static PC_CLONES void add_##T(T *restrict y, const T *restrict x, int64_t n) {                                       \
    for (int64_t i = 0; i < n; i++) y[i] += x[i];                                                                      \
  }                                                                                                                    \
  static PC_CLONES void offset_##T(T *restrict y, const T *restrict x, const T *restrict b, int64_t rows, int64_t c) { \
    for (int64_t r = 0; r < rows; r++)                                                                                 \
      for (int64_t i = 0; i < c; i++) y[r * c + i] = x[r * c + i] + b[i];                                              \
  }                                                                                                                    \
  static PC_CLONES void columns_##T(T *restrict sum, const T *restrict x, int64_t rows, int64_t c, int64_t ld) {       \
    for (int64_t r = 0; r < rows; r++)                                                                                 \
      for (int64_t i = 0; i < c; i++) sum[i] += x[r * ld + i];                                                         \
  }
LOOPS(float)
LOOPS(double)

void pc_tile_add(pc_dtype d, void *y, const void *x, int64_t n) {
  if (d == PC_F32)
    add_float(y, x, n);
  else
    add_double(y, x, n);
}

void pc_tile_fold(pc_dtype d, void *y, const void *parts, int64_t np, int64_t n) {
  size_t bytes = (size_t)n * pc_dtype_size(d);
  memcpy(y, parts, bytes);
  for (int64_t p = 1; p < np; p++) pc_tile_add(d, y, (const char *)parts + (size_t)p * bytes, n);
}

void pc_tile_columns(pc_dtype d, void *sum, const void *x, int64_t rows, int64_t c, int64_t ld) {
  if (d == PC_F32)
    columns_float(sum, x, rows, c, ld);
  else
    columns_double(sum, x, rows, c, ld);
}

void pc_tile_offset(pc_dtype d, void *y, const void *x, const void *b, int64_t rows, int64_t c) {
  if (!b)
    memcpy(y, x, (size_t)(rows * c) * pc_dtype_size(d));
  else if (d == PC_F32)
    offset_float(y, x, b, rows, c);
  else
    offset_double(y, x, b, rows, c);
}
