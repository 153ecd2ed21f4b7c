/* shape_help.h: small tensors and comparisons for test_shape.c and test_index.c.
 * Ops run through their forward functions, without the tape. */
#ifndef PC_TESTS_SHAPE_HELP_H
#define PC_TESTS_SHAPE_HELP_H

#include <check.h>
#include <math.h>
#include <string.h>

#include "check_main.h"
#include "tensor/shape.h"

#define DIMS(...) \
  (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]) { __VA_ARGS__ }
#define LIST(...) pc_vlist(DIMS(__VA_ARGS__))
#define VALUES(...) \
  (pc_val[8]) { __VA_ARGS__ }
#define EXPECT(t, shape, ...) \
  expect(t, shape, (int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (double[]){__VA_ARGS__})

/* 1, 2, 3, ... */
static inline pc_tensor *counting(pc_dtype d, int ndim, const int64_t *size) {
  pc_tensor *t = NULL, *c = NULL;
  must(pc_tensor_empty(&t, PC_F64, ndim, size));
  for (int64_t i = 0; i < pc_numel(t); i++) pc_f64(t)[i] = (double)(i + 1);
  must(pc_to_dtype(&c, t, d));
  pc_tensor_release(t);
  return c;
}

/* counting(), but of a transposed, strided layout */
static inline pc_tensor *scattered(pc_dtype d, int64_t rows, int64_t cols) {
  pc_tensor *t = NULL, *v = NULL, *w = NULL, *c = counting(d, 2, (int64_t[]){rows, cols});
  must(pc_tensor_zeros(&t, d, 2, (int64_t[]){cols, 2 * rows}));
  must(pc_view_narrow(&v, t, 1, 0, rows, 2));
  must(pc_view_permute(&w, v, (int[]){1, 0}));
  must(pc_copy_into(w, c));
  pc_tensor_release(t);
  pc_tensor_release(v);
  pc_tensor_release(c);
  return w;
}

static inline pc_tensor *indices(int ndim, const int64_t *size, const int64_t *values) {
  pc_tensor *t = NULL;
  must(pc_tensor_from(&t, PC_I64, ndim, size, values));
  return t;
}

static inline void expect(pc_tensor *t, const char *shape, int n, const double *want) {
  ck_assert_ptr_nonnull(t);
  ck_assert_str_eq(pc_shape_str(t), shape);
  for (int i = 0; i < n && i < pc_numel(t); i++)
    ck_assert_msg(pc_at(t, i) == want[i], "element %d is %g, not %g", i + 1, pc_at(t, i), want[i]);
}

/* Runs f on n tensors, releases them, returns the result. */
static inline pc_tensor *run(pc_forward_fn *f, int n, pc_tensor *const *in, const pc_val *v) {
  static const pc_val none[8];
  pc_tensor *out = NULL;
  must(f(&out, in, n, v ? v : none));
  for (int i = 0; i < n; i++) pc_tensor_release(in[i]);
  return out;
}

#define RUN(f, v, ...) \
  run(pc_fwd_##f, (int)(sizeof((pc_tensor *[]){__VA_ARGS__}) / sizeof(pc_tensor *)), (pc_tensor *[]){__VA_ARGS__}, v)

/* The op must fail with this code and sentence, and leave no output. */
static inline void refuse(pc_forward_fn *f, int n, pc_tensor *const *in, const pc_val *v, int code, const char *text) {
  static const pc_val none[8];
  pc_tensor *out = NULL;
  int rc = f(&out, in, n, v ? v : none);
  ck_assert_int_eq(rc, code);
  ck_assert_ptr_null(out);
  ck_assert_msg(strstr(pc_error_text(), text) != NULL, "message: %s", pc_error_text());
  for (int i = 0; i < n; i++) pc_tensor_release(in[i]);
}

#define REFUSE(f, code, text, v, ...)                                                                                 \
  refuse(pc_fwd_##f, (int)(sizeof((pc_tensor *[]){__VA_ARGS__}) / sizeof(pc_tensor *)), (pc_tensor *[]){__VA_ARGS__}, \
         v, code, text)

#define DONE(t, shape, ...)            \
  do {                                 \
    pc_tensor *done_ = (t);            \
    EXPECT(done_, shape, __VA_ARGS__); \
    pc_tensor_release(done_);          \
  } while (0)

#endif
