/* test_pointwise.c: values against libm, promotion, integers, layouts, masks, in-place updates, messages. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "base/alloc.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "tensor/inplace.h"
#include "tensor/pointwise/pointwise.h"

#define SZ(...) \
  ((int)(sizeof((int64_t[]){__VA_ARGS__}) / 8)), (const int64_t[]) { __VA_ARGS__ }
static pc_tensor *of(pc_dtype d, int n, const double *v) {
  pc_tensor *t, *c;
  const int64_t size[1] = {n};
  must(pc_tensor_from(&t, PC_F64, 1, size, v));
  must(pc_to_dtype(&c, t, d));
  pc_tensor_release(t);
  return c;
}
#define OF(d, ...) of(d, (int)(sizeof((double[]){__VA_ARGS__}) / 8), (const double[]){__VA_ARGS__})

static pc_tensor *number(double v) {
  pc_tensor *t;
  must(pc_tensor_scalar(&t, PC_F64, v));
  t->weak = 1;
  return t;
}

static pc_tensor *random_normal(pc_dtype d, int ndim, const int64_t *size) {
  pc_tensor *t, *c;
  must(pc_tensor_empty(&t, PC_F64, ndim, size));
  pc_rng_fill_normal_f64(pc_rng_global(), pc_f64(t), pc_numel(t));
  must(pc_to_dtype(&c, t, d));
  pc_tensor_release(t);
  return c;
}

/* f(a, b) has this dtype and these values; lets go of a and b. */
static void gives(pc_forward_fn *f, pc_tensor *a, pc_tensor *b, pc_dtype d, int n, const double *want) {
  pc_tensor *y;
  must(f(&y, (pc_tensor *[]){a, b}, b ? 2 : 1, (const pc_val[2]){{0}}));
  ck_assert_str_eq(pc_dtype_name((pc_dtype)y->dtype), pc_dtype_name(d));
  ck_assert_int_eq(pc_numel(y), n);
  for (int i = 0; i < n; i++) {
    double v = pc_at(y, i);
    ck_assert_msg((isnan(v) && isnan(want[i])) || v == want[i] || fabs(v - want[i]) < 1e-6 * fabs(want[i]),
                  "element %d: %g, not %g", i, v, want[i]);
  }
  pc_tensor_release(y), pc_tensor_release(a), pc_tensor_release(b);
}
#define GIVES(f, a, b, d, ...) \
  gives(pc_fwd_##f, a, b, d, (int)(sizeof((double[]){__VA_ARGS__}) / 8), (const double[]){__VA_ARGS__})

START_TEST(promotion) {
  GIVES(add, OF(PC_I64, 1, 2), OF(PC_F32, 0.5, 0.5), PC_F32, 1.5, 2.5);
  GIVES(add, OF(PC_F32, 1, 2), OF(PC_F64, 0.5, 0.5), PC_F64, 1.5, 2.5);
  GIVES(mul, OF(PC_U8, 2, 3), OF(PC_I32, -1, 4), PC_I32, -2, 12);
  /* a number keeps the dtype of the tensor beside it ... */
  GIVES(mul, OF(PC_F32, 1, 2), number(0.1), PC_F32, 0.1, 0.2);
  GIVES(add, OF(PC_I64, 1, 2), number(3), PC_I64, 4, 5);
  GIVES(sub, number(3), OF(PC_I32, 1, 2), PC_I32, 2, 1);
  /* ... unless it is fractional and the tensor is not */
  GIVES(mul, OF(PC_I64, 1, 2), number(0.5), PC_F32, 0.5, 1);
  GIVES(add, number(1), number(2), PC_F32, 3);
  /* real-valued by nature */
  GIVES(div, OF(PC_I64, 1, 2), OF(PC_I64, 2, 4), PC_F32, 0.5, 0.5);
  GIVES(div, OF(PC_F64, 1), number(4), PC_F64, 0.25);
  GIVES(exp, OF(PC_I32, 0, 1), NULL, PC_F32, 1, 2.718281828);
  GIVES(sqrt, OF(PC_F64, 2), NULL, PC_F64, 1.4142135623730951);
  GIVES(eq, OF(PC_I64, 1, 2), OF(PC_F32, 1, 3), PC_U8, 1, 0);
  /* numbers beyond the integers of the other side */
  GIVES(gt, OF(PC_U8, 0, 255), number(-1), PC_U8, 1, 1);
  GIVES(lt, OF(PC_U8, 0, 255), number(300), PC_U8, 1, 1);
  GIVES(eq, OF(PC_U8, 0, 44), number(300), PC_U8, 0, 0);
  GIVES(gt, OF(PC_I64, 0, 1), number(0.5), PC_U8, 0, 1);
}
END_TEST

START_TEST(integers) {
  GIVES(add, OF(PC_U8, 250, 1), OF(PC_U8, 10, 1), PC_U8, 4, 2);
  GIVES(add, OF(PC_I32, INT32_MAX), number(1), PC_I32, INT32_MIN);
  GIVES(neg, OF(PC_I32, INT32_MIN, 5), NULL, PC_I32, INT32_MIN, -5);
  GIVES(abs, OF(PC_I64, -3, 3), NULL, PC_I64, 3, 3);
  GIVES(sign, OF(PC_U8, 0, 9), NULL, PC_U8, 0, 1);
  GIVES(pow, OF(PC_I64, 2, 3, -2), OF(PC_I64, 10, 0, 3), PC_I64, 1024, 1, -8);
  GIVES(pow, OF(PC_I64, 3), number(2), PC_I64, 9);
  GIVES(fmod, OF(PC_I64, 7, -7, 7, -7), OF(PC_I64, 3, 3, -3, -1), PC_I64, 1, -1, 1, 0);
  GIVES(remainder, OF(PC_I64, 7, -7, 7, -7), OF(PC_I64, 3, 3, -3, -3), PC_I64, 1, 2, -2, -1);
  GIVES(remainder, OF(PC_F32, 7, -7, 7.5, -7), OF(PC_F32, 3, 3, -2, -3), PC_F32, 1, 2, -0.5, -1);
  GIVES(maximum, OF(PC_I32, 1, 5), OF(PC_U8, 3, 3), PC_I32, 3, 5);
  pc_tensor *y, *a = OF(PC_I64, 1, 2), *z = OF(PC_I64, 0, 1), *m = OF(PC_I64, -1, 1);
  must_fail(pc_fwd_fmod(&y, (pc_tensor *[]){a, z}, 2, NULL), PC_EARG, "divided by zero");
  must_fail(pc_fwd_pow(&y, (pc_tensor *[]){a, m}, 2, NULL), PC_EARG, "negative power");
  ck_assert_ptr_null(y);
  pc_tensor_release(a), pc_tensor_release(z), pc_tensor_release(m);
}
END_TEST

START_TEST(special_values) {
  const double inf = INFINITY;
  GIVES(maximum, OF(PC_F32, NAN, 1, 2), OF(PC_F32, 1, NAN, 1), PC_F32, NAN, NAN, 2);
  GIVES(minimum, OF(PC_F64, NAN, 1, -inf), OF(PC_F64, 1, NAN, 1), PC_F64, NAN, NAN, -inf);
  GIVES(relu, OF(PC_F32, NAN, -1, 2, inf), NULL, PC_F32, NAN, 0, 2, inf);
  GIVES(sign, OF(PC_F32, NAN, -3, 0, 2), NULL, PC_F32, NAN, -1, 0, 1);
  GIVES(round, OF(PC_F32, 0.5, 1.5, 2.5, -0.5), NULL, PC_F32, 0, 2, 2, 0);
  GIVES(pow, OF(PC_F32, 0, -8, inf, 2), number(0), PC_F32, 1, 1, 1, 1);
  GIVES(pow, OF(PC_F32, 4, 0, -inf, 9), number(0.5), PC_F32, 2, 0, inf, 3);
  GIVES(pow, OF(PC_F32, 4, -2), number(-1), PC_F32, 0.25, -0.5);
  GIVES(pow, OF(PC_F64, 4, -2), number(-2), PC_F64, 1 / 16.0, 0.25);
  GIVES(pow, number(2), OF(PC_F32, 3, -1), PC_F32, 8, 0.5);
  GIVES(isnan, OF(PC_F32, NAN, inf, 1), NULL, PC_U8, 1, 0, 0);
  GIVES(isinf, OF(PC_F64, NAN, -inf, 1), NULL, PC_U8, 0, 1, 0);
  GIVES(isfinite, OF(PC_F32, NAN, inf, 1), NULL, PC_U8, 0, 0, 1);
  GIVES(isfinite, OF(PC_I64, 5), NULL, PC_U8, 1);
  GIVES(logical_and, OF(PC_F32, 2, 0, NAN), OF(PC_I64, 1, 1, 1), PC_U8, 1, 0, 1);
  GIVES(logical_xor, OF(PC_U8, 2, 0), OF(PC_U8, 1, 1), PC_U8, 0, 1);
  GIVES(logical_not, OF(PC_F32, 2, 0), NULL, PC_U8, 0, 1);
  GIVES(softplus, OF(PC_F32, -200, 0, 200), NULL, PC_F32, 0, 0.69314718, 200);
  GIVES(sigmoid, OF(PC_F64, -800, 800), NULL, PC_F64, 0, 1);
}
END_TEST

/* Every layout against element by element arithmetic through pc_at. */
static void layouts(pc_tensor *a, pc_tensor *b) {
  pc_tensor *y, *av, *bv;
  must(pc_fwd_sub(&y, (pc_tensor *[]){a, b}, 2, NULL));
  must(pc_view_expand(&av, a, y->ndim, y->size));
  must(pc_view_expand(&bv, b, y->ndim, y->size));
  for (int64_t i = 0; i < pc_numel(y); i++)
    ck_assert_msg((float)pc_at(y, i) == (float)pc_at(av, i) - (float)pc_at(bv, i), "%s - %s, element %d",
                  pc_shape_str(a), pc_shape_str(b), (int)i);
  pc_tensor_release(y), pc_tensor_release(av), pc_tensor_release(bv);
}

START_TEST(every_layout) {
  static const struct {
    int na, nb;
    int64_t a[4], b[4];
  } shapes[] = {{2, 2, {7, 9}, {7, 9}},
                {2, 1, {7, 600}, {600}},
                {2, 2, {600, 7}, {600, 1}},
                {2, 2, {5, 1}, {1, 700}},
                {2, 1, {400, 3}, {3}},
                {2, 2, {400, 3}, {400, 1}},
                {4, 3, {2, 5, 6, 3}, {5, 1, 3}},
                {3, 4, {6, 1, 4}, {3, 6, 5, 1}},
                {1, 0, {50}, {0}},
                {0, 2, {0}, {3, 4}},
                {0, 0, {0}, {0}},
                {2, 2, {300, 300}, {300, 300}},
                {2, 2, {0, 3}, {1, 3}},
                {3, 1, {3, 50, 700}, {1}}};
  for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
    pc_tensor *a = random_normal(PC_F32, shapes[k].na, shapes[k].a),
              *b = random_normal(PC_F32, shapes[k].nb, shapes[k].b);
    layouts(a, b);
    layouts(b, a);
    if (shapes[k].na >= 2 && shapes[k].a[0]) { /* the same shape, but stored transposed and with gaps */
      int64_t size[4], n = shapes[k].na;
      int perm[4] = {0, 1, 2, 3};
      for (int i = 0; i < n; i++) size[i] = shapes[k].a[i];
      size[n - 1] = shapes[k].a[n - 2], size[n - 2] = 2 * shapes[k].a[n - 1];
      pc_tensor *wide = random_normal(PC_F32, (int)n, size), *gap, *t;
      must(pc_view_narrow(&gap, wide, (int)n - 2, 0, shapes[k].a[n - 1], 2));
      perm[n - 1] = (int)n - 2, perm[n - 2] = (int)n - 1;
      must(pc_view_permute(&t, gap, perm));
      layouts(t, b);
      layouts(b, t);
      layouts(t, a);
      layouts(t, t);
      pc_tensor_release(wide), pc_tensor_release(gap), pc_tensor_release(t);
    }
    pc_tensor_release(a), pc_tensor_release(b);
  }
}
END_TEST

START_TEST(same_bits_for_any_thread_count) {
  int before = pc_num_threads();
  pc_tensor *a = random_normal(PC_F32, SZ(300, 1000)), *b = random_normal(PC_F32, SZ(300, 1)), *y1, *y2;
  for (int k = 0; k < 3; k++) {
    pc_forward_fn *f = k == 0 ? pc_fwd_mul : k == 1 ? pc_fwd_gelu : pc_fwd_softplus;
    const pc_val none[4] = {{0}};
    pc_set_num_threads(1);
    must(f(&y1, (pc_tensor *[]){a, b}, 2, none));
    pc_set_num_threads(3);
    must(f(&y2, (pc_tensor *[]){a, b}, 2, none));
    ck_assert(!memcmp(pc_data(y1), pc_data(y2), 4 * 300000));
    pc_tensor_release(y1), pc_tensor_release(y2);
  }
  pc_set_num_threads(before);
  pc_tensor_release(a), pc_tensor_release(b);
}
END_TEST

START_TEST(choosing) {
  pc_tensor *y, *c = OF(PC_U8, 1, 0, 2), *cf = OF(PC_F32, 0.5, 0, -1), *a = OF(PC_F32, 1, 2, 3), *n = number(9);
  for (int k = 0; k < 2; k++) {
    must(pc_fwd_where(&y, (pc_tensor *[]){k ? cf : c, a, n}, 3, NULL));
    ck_assert(pc_at(y, 0) == 1 && pc_at(y, 1) == 9 && pc_at(y, 2) == 3 && y->dtype == PC_F32);
    pc_tensor_release(y);
  }
  must(pc_fwd_masked_fill(&y, (pc_tensor *[]){a, c}, 2, &PC_VD(-1)));
  ck_assert(pc_at(y, 0) == -1 && pc_at(y, 1) == 2 && pc_at(y, 2) == -1);
  pc_tensor_release(y);
  pc_tensor *big = random_normal(PC_F32, SZ(2, 3));
  must_fail(pc_fwd_masked_fill(&y, (pc_tensor *[]){a, big}, 2, &PC_VD(0)), PC_ESHAPE,
            "mask (2,3) does not broadcast to x (3)");
  const pc_val lo[2] = {PC_VD(1.5), PC_VNONE}, both[2] = {PC_VD(2), PC_VD(2.5)}, none[2] = {{0}};
  must(pc_fwd_clamp(&y, &a, 1, lo));
  ck_assert(pc_at(y, 0) == 1.5 && pc_at(y, 2) == 3);
  pc_tensor_release(y);
  must(pc_fwd_clamp(&y, &a, 1, both));
  ck_assert(pc_at(y, 0) == 2 && pc_at(y, 2) == 2.5);
  pc_tensor_release(y);
  must(pc_fwd_clamp(&y, &c, 1, lo)); /* u8, fractional bound */
  ck_assert(y->dtype == PC_F32 && pc_at(y, 1) == 1.5);
  pc_tensor_release(y);
  must_fail(pc_fwd_clamp(&y, &a, 1, none), PC_EARG, "min, max or both");
  must_fail(pc_fwd_gelu(&y, &a, 1, &(pc_val){.set = 1, .s = "erf"}), PC_EARG, "'none' or 'tanh', not 'erf'");
  must_fail(pc_fwd_to(&y, &a, 1, none), PC_EDTYPE, "give a dtype");
  pc_tensor *two = OF(PC_F32, 1, 2);
  must_fail(pc_fwd_add(&y, (pc_tensor *[]){big, two}, 2, NULL), PC_ESHAPE, "add: shapes (2,3) and (2)");
  pc_tensor_release(two);
  pc_tensor_release(c), pc_tensor_release(cf), pc_tensor_release(a), pc_tensor_release(n), pc_tensor_release(big);
}
END_TEST

START_TEST(dropout) {
  pc_tensor *x, *out[2], *again[2];
  must(pc_tensor_full(&x, PC_F32, SZ(100, 100), 3));
  const pc_val v[2] = {PC_VD(0.3), PC_VNONE}, eval[2] = {PC_VD(0.3), PC_VI(0)}, bad[2] = {PC_VD(1.5), PC_VNONE};
  pc_rng_seed(pc_rng_global(), 5);
  must(pc_fwd_dropout(out, &x, 1, v));
  double kept = 0;
  for (int i = 0; i < 10000; i++) {
    int keep = pc_u8(out[1])[i];
    kept += keep;
    ck_assert(keep ? fabs(pc_f32(out[0])[i] - 3 / 0.7) < 1e-5 : pc_f32(out[0])[i] == 0);
  }
  ck_assert(fabs(kept / 10000 - 0.7) < 0.02);
  pc_rng_seed(pc_rng_global(), 5);
  must(pc_fwd_dropout(again, &x, 1, v));
  ck_assert(!memcmp(pc_data(out[1]), pc_data(again[1]), 10000));
  for (int k = 0; k < 2; k++) pc_tensor_release(out[k]), pc_tensor_release(again[k]);
  must(pc_fwd_dropout(out, &x, 1, eval));
  ck_assert(pc_at(out[0], 77) == 3);
  for (int k = 0; k < 2; k++) pc_tensor_release(out[k]);
  must_fail(pc_fwd_dropout(out, &x, 1, bad), PC_EARG, "p is a probability, not 1.5");
  pc_tensor_release(x);
}
END_TEST

/* The fused gradients in f32 against the same in f64, and those against differences of the forward function. */
START_TEST(activation_gradients) {
  static const struct {
    pc_act kind;
    pc_forward_fn *f;
    int of_output;
    double par[2];
    const char *how;
  } acts[] = {
      {PC_ACT_RELU, pc_fwd_relu, 1, {0, 0}, NULL},         {PC_ACT_SIGMOID, pc_fwd_sigmoid, 1, {0, 0}, NULL},
      {PC_ACT_TANH, pc_fwd_tanh, 1, {0, 0}, NULL},         {PC_ACT_GELU, pc_fwd_gelu, 0, {0, 0}, "none"},
      {PC_ACT_GELU_TANH, pc_fwd_gelu, 0, {0, 0}, "tanh"},  {PC_ACT_SILU, pc_fwd_silu, 0, {0, 0}, NULL},
      {PC_ACT_ELU, pc_fwd_elu, 0, {1.5, 0}, NULL},         {PC_ACT_LEAKY_RELU, pc_fwd_leaky_relu, 0, {0.1, 0}, NULL},
      {PC_ACT_SOFTPLUS, pc_fwd_softplus, 0, {2, 3}, NULL}, {PC_ACT_CLAMP, pc_fwd_clamp, 0, {-0.5, 0.7}, NULL}};
  const double eps = 1e-6;
  pc_tensor *x = random_normal(PC_F64, SZ(3, 301)), *g = random_normal(PC_F64, SZ(3, 301)), *up, *dn, *e, *t, *d, *f[3];
  must(pc_tensor_scalar(&e, PC_F64, eps));
  must(pc_fwd_add(&up, (pc_tensor *[]){x, e}, 2, NULL));
  must(pc_fwd_sub(&dn, (pc_tensor *[]){x, e}, 2, NULL));
  for (size_t k = 0; k < sizeof acts / sizeof *acts; k++) {
    const pc_val v[2] = {{.set = acts[k].how || acts[k].par[0] != 0, .d = acts[k].par[0], .s = acts[k].how},
                         {.set = acts[k].par[1] != 0, .d = acts[k].par[1]}};
    pc_tensor *in[3] = {x, up, dn};
    for (int i = 0; i < 3; i++) must(acts[k].f(&f[i], &in[i], 1, v));
    must(pc_act_grad(&d, acts[k].kind, g, acts[k].of_output ? f[0] : x, acts[k].par));
    for (int i = 0; i < 903; i++) {
      double want = pc_f64(g)[i] * (pc_f64(f[1])[i] - pc_f64(f[2])[i]) / (2 * eps);
      ck_assert_msg(fabs(pc_f64(d)[i] - want) < 1e-7 + 1e-6 * fabs(want), "activation %d: %g, not %g", (int)k,
                    pc_f64(d)[i], want);
    }
    pc_tensor *g32, *t32, *d32;
    t = acts[k].of_output ? f[0] : x;
    must(pc_to_dtype(&g32, g, PC_F32));
    must(pc_to_dtype(&t32, t, PC_F32));
    must(pc_act_grad(&d32, acts[k].kind, g32, t32, acts[k].par));
    for (int i = 0; i < 903; i++) ck_assert(fabs(pc_f32(d32)[i] - pc_f64(d)[i]) < 2e-6 * (1 + fabs(pc_f64(g)[i])));
    must_fail(pc_act_grad(&t, acts[k].kind, g, t32, acts[k].par), PC_ESHAPE, "activation gradient");
    pc_tensor_release(g32), pc_tensor_release(t32), pc_tensor_release(d32), pc_tensor_release(d);
    for (int i = 0; i < 3; i++) pc_tensor_release(f[i]);
  }
  pc_tensor_release(x), pc_tensor_release(g), pc_tensor_release(up), pc_tensor_release(dn), pc_tensor_release(e);
}
END_TEST

START_TEST(in_place) {
  pc_tensor *x = OF(PC_F32, 1, 2, 3), *y = OF(PC_I64, 1, 1, 2), *i = OF(PC_I64, 5, 6, 7), *n = number(2), *a, *b;
  uint32_t version = x->storage->version;
  must(pc_add_into(x, y, -0.5));
  ck_assert(pc_at(x, 0) == 0.5 && pc_at(x, 2) == 2 && x->storage->version == version + 1);
  must(pc_add_into(x, x, 1)); /* onto itself */
  ck_assert(pc_at(x, 0) == 1 && pc_at(x, 2) == 4);
  must(pc_mul_into(x, n));
  must(pc_div_into(x, n));
  must(pc_scale(x, 3));
  ck_assert(pc_at(x, 0) == 3 && pc_at(x, 2) == 12);
  must(pc_clamp_into(x, 4, 10));
  ck_assert(pc_at(x, 0) == 4 && pc_at(x, 2) == 10);
  must(pc_lerp_into(x, n, 0.5));
  ck_assert(pc_at(x, 0) == 3 && pc_at(x, 2) == 6);
  must(pc_add_into(i, y, 2));
  ck_assert(pc_at(i, 0) == 7 && pc_at(i, 2) == 11);
  must(pc_view_narrow(&a, x, 0, 1, 2, 1));
  must(pc_view_narrow(&b, x, 0, 0, 2, 1));
  double x0 = pc_at(x, 0), x1 = pc_at(x, 1), x2 = pc_at(x, 2);
  must(pc_add_into(a, b, 1)); /* overlapping views: reads what was there before */
  ck_assert(pc_at(x, 0) == x0 && pc_at(x, 1) == x1 + x0 && pc_at(x, 2) == x2 + x1);
  pc_tensor *big = random_normal(PC_F32, SZ(2, 3));
  must_fail(pc_add_into(x, big, 1), PC_ESHAPE, "shape (2,3) does not broadcast to the destination's (3)");
  must_fail(pc_div_into(i, n), PC_EDTYPE, "it must be f32 or f64");
  must(pc_add_into(big, x, 1)); /* row broadcast */
  pc_tensor_release(x), pc_tensor_release(y), pc_tensor_release(i), pc_tensor_release(n);
  pc_tensor_release(a), pc_tensor_release(b), pc_tensor_release(big);
}
END_TEST

/* Each allocation of an op may fail: an error, no output, nothing lost. */
START_TEST(out_of_memory) {
  pc_tensor *a = random_normal(PC_F32, SZ(2, 3)), *b = random_normal(PC_F64, SZ(3, 2)), *bt, *out[2] = {NULL};
  const pc_val none[4] = {{0}};
  pc_alloc_stats before, after;
  must(pc_view_permute(&bt, b, (int[]){1, 0}));
  pc_alloc_get_stats(&before);
  for (int k = 0; k < 4; k++) {
    pc_forward_fn *f = k == 0 ? pc_fwd_add : k == 1 ? pc_fwd_where : k == 2 ? pc_fwd_dropout : pc_fwd_lerp;
    pc_tensor *in[3] = {a, bt, a};
    int nth = 0, rc = PC_ENOMEM;
    while (rc != PC_OK) {
      pc_alloc_fail_nth(++nth);
      rc = f(out, in, 3, none);
      pc_alloc_fail_nth(0);
      ck_assert_int_lt(nth, 20);
      if (rc == PC_OK) break;
      ck_assert_int_eq(rc, PC_ENOMEM);
      ck_assert_ptr_null(out[0]);
    }
    ck_assert_int_gt(nth, 1);
    pc_tensor_release(out[0]);
    if (k == 2) pc_tensor_release(out[1]);
    pc_alloc_get_stats(&after);
    ck_assert_int_eq(after.live, before.live);
  }
  pc_tensor_release(a), pc_tensor_release(b), pc_tensor_release(bt);
}
END_TEST

int main(void) {
  Suite *s = suite_create("pointwise");
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 30);
  tcase_add_test(tc, promotion);
  tcase_add_test(tc, integers);
  tcase_add_test(tc, special_values);
  tcase_add_test(tc, every_layout);
  tcase_add_test(tc, same_bits_for_any_thread_count);
  tcase_add_test(tc, choosing);
  tcase_add_test(tc, dropout);
  tcase_add_test(tc, activation_gradients);
  tcase_add_test(tc, in_place);
  tcase_add_test(tc, out_of_memory);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
