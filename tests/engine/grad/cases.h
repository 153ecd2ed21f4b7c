/* cases.h: the language in which an op's test cases are written.
 *
 * Every row of the op table must have a list `cases_<name>`, or test_ops.c does
 * not compile: an op without a gradient check cannot exist.
 *   CASES(softmax, C(T(2, 3)), C(T(2, 3), VI(0)), C(TT(3, 2)), C(T(0, 3)))
 * Inputs: T random normal f64, TP random in [0.5,2], TU random in [-0.9,0.9], TT the same as T but not
 * contiguous, TS 0-dim, TB random 0/1 u8, TI(n, ...) random i64 in 1..n, TN an
 * optional tensor left out, TSPD symmetric positive definite (last two dims).
 * Values: VI int, VD num, VL list, VSTR string, VNO left out. */
#ifndef PC_TESTS_CASES_H
#define PC_TESTS_CASES_H

#include "grad/op.h"

enum { K_END, K_T, K_TP, K_TT, K_TS, K_TB, K_TI, K_TN, K_TU, K_SPD, K_VI, K_VD, K_VL, K_VSTR, K_VNO };

typedef struct spec {
  int kind, n;
  int64_t s[8];
  double d;
  int64_t hi;
  const char *str;
} spec;

typedef struct op_case {
  spec a[24];
} op_case;

#define COUNT_OF(...) ((int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))
/* one line each */
// clang-format off
#define T(...) {.kind = K_T, .n = COUNT_OF(__VA_ARGS__), .s = {__VA_ARGS__}}
#define TU(...) {.kind = K_TU, .n = COUNT_OF(__VA_ARGS__), .s = {__VA_ARGS__}}
#define TP(...) {.kind = K_TP, .n = COUNT_OF(__VA_ARGS__), .s = {__VA_ARGS__}}
#define TT(...) {.kind = K_TT, .n = COUNT_OF(__VA_ARGS__), .s = {__VA_ARGS__}}
#define TB(...) {.kind = K_TB, .n = COUNT_OF(__VA_ARGS__), .s = {__VA_ARGS__}}
#define TI(top, ...) {.kind = K_TI, .hi = (top), .n = COUNT_OF(__VA_ARGS__), .s = {__VA_ARGS__}}
#define TSPD(...) {.kind = K_SPD, .n = COUNT_OF(__VA_ARGS__), .s = {__VA_ARGS__}}
#define TS() {.kind = K_TS}
#define TN {.kind = K_TN}
#define VI(x) {.kind = K_VI, .hi = (x)}
#define VD(x) {.kind = K_VD, .d = (x)}
#define VL(...) {.kind = K_VL, .n = COUNT_OF(__VA_ARGS__), .s = {__VA_ARGS__}}
#define VSTR(x) {.kind = K_VSTR, .str = (x)}
#define VNO {.kind = K_VNO}
#define C(...) {{__VA_ARGS__}}
// clang-format on
#define CASES(name, ...)                               \
  static const op_case cases_##name[] = {__VA_ARGS__}; \
  enum { ncases_##name = sizeof cases_##name / sizeof *cases_##name };

#endif
