/* calls.h: what the kernels of this room get (tensor/backend.h). Arrays are contiguous. */
#ifndef PC_TENSOR_REDUCE_CALLS_H
#define PC_TENSOR_REDUCE_CALLS_H

#include "tensor/tensor.h"

/* out (outer, inner) = scale · sum over n of x (outer, n, inner); f32 or f64 */
typedef struct pc_sum_call {
  pc_dtype d;
  void *out;
  const void *x;
  int64_t outer, n, inner;
  double scale;
} pc_sum_call;

typedef enum pc_fold_kind {
  PC_SQUARED_DEVIATION, /* sum (x - a)^2 */
  PC_SUM,
  PC_ABSOLUTE, /* sum |x| */
  PC_SQUARE,
  PC_NONZERO, /* how many are not 0 */
  PC_POWER,   /* sum |x|^a */
  PC_LARGEST, /* NaN if there is one */
  PC_LARGEST_ABSOLUTE,
  PC_EXPONENTIAL, /* sum exp(x - a) */
  PC_PRODUCT
} pc_fold_kind;

/* n numbers folded into one, on the caller's thread; f32 or f64 */
typedef struct pc_fold_call {
  pc_fold_kind kind;
  pc_dtype d;
  const void *x;
  int64_t n;
  double a, result;
} pc_fold_call;

/* y (rows, n) from x, or, with the gradient g, from x the forward's result; f32 or f64 */
typedef struct pc_softmax_rows {
  pc_dtype d;
  const void *x, *g; /* g NULL: forward */
  void *y;
  int64_t rows, n;
  int log;
} pc_softmax_rows;

/* The same over n of (outer, n, inner), f32; 1 <= n <= PC_COLUMN. */
enum { PC_COLUMN = 64 };
typedef struct pc_softmax_columns {
  const float *x, *g;
  float *y;
  int64_t outer, n, inner;
  int log;
} pc_softmax_columns;

#endif
