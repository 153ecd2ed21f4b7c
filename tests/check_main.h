/* check_main.h: what every Check suite needs: must(), tensors from lists, main(). */
#ifndef PC_TESTS_CHECK_MAIN_H
#define PC_TESTS_CHECK_MAIN_H

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "tensor/tensor.h"

/* The call succeeds. */
#define must(call)                                                 \
  do {                                                             \
    int rc_ = (call);                                              \
    ck_assert_msg(rc_ == PC_OK, "%s: %s", #call, pc_error_text()); \
  } while (0)

/* The call fails with this code and its message holds the text. */
#define must_fail(call, code, text)                                                  \
  do {                                                                               \
    int rc_ = (call);                                                                \
    ck_assert_int_eq(rc_, code);                                                     \
    ck_assert_msg(strstr(pc_error_text(), text), "message is: %s", pc_error_text()); \
  } while (0)

#define close_to(a, b, tol)                                                          \
  do {                                                                               \
    double a_ = (a), b_ = (b);                                                       \
    ck_assert_msg(fabs(a_ - b_) <= (tol), "%s = %.10g, %s = %.10g", #a, a_, #b, b_); \
  } while (0)

static inline pc_tensor *tensor_of(pc_dtype d, int nd, const int64_t *size, const double *x) {
  pc_tensor *t, *u;
  must(pc_tensor_from(&t, PC_F64, nd, size, x));
  must(pc_to_dtype(&u, t, d));
  pc_tensor_release(t);
  return u;
}
#define VEC(d, ...) \
  tensor_of(d, 1, (int64_t[]){(int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double))}, (double[]){__VA_ARGS__})
#define MAT(d, r, c, ...) tensor_of(d, 2, (int64_t[]){r, c}, (double[]){__VA_ARGS__})

static inline int run_suite(Suite *s) {
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_NORMAL);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* main() of a suite made by `static Suite *make(void)`. */
#define SUITE_MAIN(make) \
  int main(void) { return run_suite(make()); }

#endif
