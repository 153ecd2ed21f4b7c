/* health: usage, entropy, who tells what and the verdict, by hand; and where there is no answer. */
#include <math.h>

#include "base/alloc.h"
#include "metrics/health.h"
#include "scratch.h"

static pc_tensor *reals(int nd, const int64_t *size, const double *v) {
  pc_tensor *t;
  must(pc_tensor_from(&t, PC_F64, nd, size, v));
  return t;
}

#define SIZE(...)  ((int64_t[]){__VA_ARGS__})
#define REALS(...) ((double[]){__VA_ARGS__})

/* Two images of two pixels, two slots: [1 0 | .5 .5], [0 1 | .25 .75] */
START_TEST(test_use) {
  pc_tensor *a = reals(3, SIZE(2, 2, 2), REALS(1, 0, .5, .5, 0, 1, .25, .75)), *share, *mixed;
  double entropy, e = -(.25 * log(.25) + .75 * log(.75)) / log(2);
  must(pc_slot_use(&share, &mixed, &entropy, a));
  ck_assert_str_eq(pc_shape_str(share), "(2,2)");
  const double want[4] = {.75, .25, .125, .875}, mix[4] = {.25, .25, .125 * e, .375 * e};
  for (int i = 0; i < 4; i++) {
    ck_assert_double_eq_tol(pc_f64(share)[i], want[i], 1e-15);
    ck_assert_double_eq_tol(pc_f64(mixed)[i], mix[i], 1e-11);
  }
  ck_assert_double_eq_tol(entropy, (1 + e) / 4, 1e-11);
  pc_slot_health h;
  pc_health_opts o = PC_HEALTH_OPTS_INIT;
  o.holds = .25;
  o.empty = .43751;
  must(pc_slot_health_new(&h, share, mixed, NULL, NULL, &o));
  ck_assert_double_eq(pc_f64(h.usage)[0], .4375);
  ck_assert_double_eq(pc_f64(h.usage)[1], .5625);
  ck_assert_double_eq(pc_f64(h.present)[0], .5); /* 3/4, 1/8 */
  ck_assert_double_eq(pc_f64(h.present)[1], 1);  /* 1/4 is enough */
  ck_assert_double_eq_tol(pc_f64(h.entropy)[0], (.25 + .125 * e) / .875, 1e-11);
  ck_assert_double_eq_tol(pc_f64(h.entropy)[1], (.25 + .375 * e) / 1.125, 1e-11);
  ck_assert(pc_u8(h.empty)[0] == 1 && pc_u8(h.empty)[1] == 0 && h.n_empty == 1 && !h.good);
  ck_assert(!h.skill && !h.told && h.factors == 0);
  pc_slot_health_free(&h);
  o.empty = .4375; /* less than that is empty */
  must(pc_slot_health_new(&h, share, mixed, NULL, NULL, &o));
  ck_assert(h.good && h.n_empty == 0);
  pc_slot_health_free(&h);
  pc_tensor_release(mixed);
  pc_tensor_release(share);
  pc_tensor_release(a);
}
END_TEST

START_TEST(test_use_at_the_edge) {
  pc_tensor *one = reals(3, SIZE(1, 2, 1), REALS(1, 1)), *share, *mixed;
  pc_tensor *none = reals(3, SIZE(1, 2, 3), REALS(1, 0, 0, 1, 0, 0)), *nan = reals(3, SIZE(1, 1, 2), REALS(NAN, 1));
  double entropy;
  pc_slot_health h;
  pc_health_opts o = PC_HEALTH_OPTS_INIT;
  must(pc_slot_use(&share, NULL, &entropy, one)); /* one slot: nothing to be divided */
  ck_assert_double_eq(entropy, 0);
  pc_tensor_release(share);
  must(pc_slot_use(&share, &mixed, &entropy, none)); /* slots that hold nothing at all */
  ck_assert_double_eq_tol(entropy, 0, 1e-11);
  ck_assert_double_ge(entropy, 0);
  must(pc_slot_health_new(&h, share, mixed, NULL, NULL, &o));
  ck_assert(h.n_empty == 2 && isnan(pc_f64(h.entropy)[1]) && pc_f64(h.usage)[1] == 0 && pc_f64(h.present)[1] == 0);
  ck_assert_double_ge(pc_f64(h.entropy)[0], 0);
  pc_slot_health_free(&h);
  o.empty = 0; /* obeyed: nothing is ever empty */
  must(pc_slot_health_new(&h, share, mixed, NULL, NULL, &o));
  ck_assert(h.n_empty == 0 && h.good);
  pc_slot_health_free(&h);
  pc_tensor_release(share);
  pc_tensor_release(mixed);
  must(pc_slot_use(&share, &mixed, &entropy, nan));
  must(pc_slot_health_new(&h, share, mixed, NULL, NULL, &o));
  ck_assert(isnan(entropy) && isnan(pc_f64(h.usage)[0]) && pc_u8(h.empty)[0] && !h.good);
  pc_slot_health_free(&h);
  pc_tensor_release(share);
  pc_tensor_release(mixed);
  pc_tensor_release(nan);
  pc_tensor_release(none);
  pc_tensor *flat = reals(2, SIZE(2, 1), REALS(1, 1));
  must_fail(pc_slot_use(&share, &mixed, &entropy, flat), PC_ESHAPE, "attention has shape (2,1); (B,pixels,K)");
  pc_tensor_release(flat);
  pc_tensor_release(one);
}
END_TEST

START_TEST(test_chance) {
  pc_tensor *t;
  double c;
  must(pc_tensor_from(&t, PC_I64, 1, SIZE(5), (int64_t[]){3, 1, 3, 2, 3}));
  must(pc_chance(&c, t));
  ck_assert_double_eq(c, .6);
  ck_assert_int_eq(pc_i64(t)[1], 1); /* left as it was */
  pc_tensor_release(t);
  must(pc_tensor_from(&t, PC_I64, 1, SIZE(2), (int64_t[]){7, 7}));
  must(pc_chance(&c, t));
  ck_assert_double_eq(c, 1);
  pc_tensor_release(t);
  must(pc_tensor_zeros(&t, PC_I64, 1, SIZE(0)));
  must_fail(pc_chance(&c, t), PC_EARG, "no labels");
  pc_tensor_release(t);
}
END_TEST

/* ---- verdicts: usage (K) of one image, accuracies (K,F), chance .1 each unless said ---- */

static pc_slot_health judge(int64_t K, int64_t F, const double *usage, const double *accuracy, const double *chance) {
  pc_tensor *share = usage ? reals(2, SIZE(1, K), usage) : NULL, *acc = reals(2, SIZE(K, F), accuracy), *c;
  pc_slot_health h;
  pc_health_opts o = PC_HEALTH_OPTS_INIT;
  must(pc_tensor_full(&c, PC_F64, 1, &F, .1));
  for (int64_t f = 0; chance && f < F; f++) pc_f64(c)[f] = chance[f];
  must(pc_slot_health_new(&h, share, share, acc, c, &o));
  pc_tensor_release(share);
  pc_tensor_release(acc);
  pc_tensor_release(c);
  return h;
}

#define OWNERS(h, ...) ck_assert_int_eq(memcmp(pc_i64((h).owner), SIZE(__VA_ARGS__), sizeof SIZE(__VA_ARGS__)), 0)
#define PLACES(h, ...) ck_assert_int_eq(memcmp(pc_i64((h).place), SIZE(__VA_ARGS__), sizeof SIZE(__VA_ARGS__)), 0)
#define TIMES(h, ...)  ck_assert_int_eq(memcmp(pc_i64((h).times), SIZE(__VA_ARGS__), sizeof SIZE(__VA_ARGS__)), 0)

START_TEST(test_good) {
  /* left, right, world; the world shows in the things, which it lights */
  pc_slot_health h = judge(3, 3, REALS(.2, .2, .6), REALS(.1, .8, .9, .9, .1, .85, .2, .1, 1), NULL);
  ck_assert(h.good);
  OWNERS(h, 2, 1, 3);
  PLACES(h, 2, 1, 3);
  TIMES(h, 1, 1, 3);
  ck_assert_double_eq_tol(pc_f64(h.skill)[1], .7 / .9, 1e-15);
  ck_assert_double_eq_tol(pc_f64(h.skill)[0], 0, 1e-15);
  ck_assert(pc_u8(h.told)[1] == 1 && pc_u8(h.told)[0] == 0);
  pc_slot_health_free(&h);
  /* what two slots tell alike belongs to the one that has nothing else to tell */
  h = judge(2, 2, NULL, REALS(.95, .9, .9, .1), NULL);
  ck_assert(h.good);
  OWNERS(h, 2, 1);
  TIMES(h, 2, 1);
  pc_slot_health_free(&h);
}
END_TEST

START_TEST(test_bad) {
  /* slot 2 is empty, though its code tells the world; left and world share slot 1 */
  pc_slot_health h = judge(3, 3, REALS(.7, .005, .295), REALS(.9, .1, .95, .1, .1, .99, .1, .9, .1), NULL);
  ck_assert(!h.good && h.n_empty == 1);
  OWNERS(h, 0, 3, 1);
  PLACES(h, 1, 3, 1);
  TIMES(h, 1, 1, 1);
  pc_slot_health_free(&h);
  /* right is told by another slot far less well than by the one it shares; world by none */
  h = judge(3, 3, REALS(.3, .3, .4), REALS(.95, .9, .1, .1, .6, .1, .1, .1, .5), NULL);
  ck_assert(!h.good);
  OWNERS(h, 1, 0, 0);
  PLACES(h, 1, 1, 0);
  TIMES(h, 1, 1, 0);
  pc_slot_health_free(&h);
  /* more factors than slots */
  h = judge(1, 2, NULL, REALS(.8, .9), NULL);
  ck_assert(!h.good);
  OWNERS(h, 0, 1);
  PLACES(h, 1, 1);
  pc_slot_health_free(&h);
}
END_TEST

START_TEST(test_undefined) {
  /* a factor of one value isn't asked for; an accuracy that is NaN tells nothing */
  pc_slot_health h = judge(2, 2, NULL, REALS(.9, 1, NAN, 1), REALS(.1, 1));
  ck_assert(h.good);
  OWNERS(h, 1, 0);
  TIMES(h, 1, 0);
  ck_assert(isnan(pc_f64(h.skill)[1]) && isnan(pc_f64(h.skill)[2]));
  pc_slot_health_free(&h);
  h = judge(2, 1, NULL, REALS(NAN, NAN), NULL);
  ck_assert(!h.good);
  OWNERS(h, 0);
  pc_slot_health_free(&h);
  /* worse than chance */
  h = judge(1, 1, NULL, REALS(0), REALS(.5));
  ck_assert_double_eq(pc_f64(h.skill)[0], -1);
  ck_assert(!h.good);
  pc_slot_health_free(&h);
}
END_TEST

START_TEST(test_mistakes) {
  pc_health_opts o = PC_HEALTH_OPTS_INIT;
  pc_slot_health h;
  pc_tensor *a = reals(2, SIZE(2, 1), REALS(.5, 2)), *b = reals(1, SIZE(1), REALS(.1)),
            *c = reals(1, SIZE(2), REALS(0, 0));
  pc_tensor *s = reals(2, SIZE(1, 3), REALS(.5, .2, .3)), *nan = reals(1, SIZE(1), REALS(NAN));
  must_fail(pc_slot_health_new(&h, NULL, NULL, a, b, &o), PC_EARG, "accuracy of slot 2 for factor 1 is 2");
  must_fail(pc_slot_health_new(&h, NULL, NULL, a, nan, &o), PC_EARG, "chance of factor 1 is nan");
  must_fail(pc_slot_health_new(&h, NULL, NULL, a, c, &o), PC_ESHAPE,
            "accuracy (2,1) has 1 factors, chance has shape (2)");
  must_fail(pc_slot_health_new(&h, s, s, a, b, &o), PC_ESHAPE, "accuracy (2,1) has 2 slots, attention 3");
  must_fail(pc_slot_health_new(&h, s, NULL, a, b, &o), PC_EARG, "share and mixed");
  must_fail(pc_slot_health_new(&h, NULL, NULL, a, NULL, &o), PC_EARG, "accuracy and chance");
  must_fail(pc_slot_health_new(&h, NULL, NULL, NULL, NULL, &o), PC_EARG, "neither");
  o.tells = 1.5;
  must_fail(pc_slot_health_new(&h, s, s, NULL, NULL, &o), PC_EARG, "tells: expected a number from 0 to 1, got 1.5");
  ck_assert(!h.usage && !h.empty);
  pc_tensor *all[] = {a, b, c, s, nan};
  for (int i = 0; i < 5; i++) pc_tensor_release(all[i]);
}
END_TEST

/* ---- which slot is read ---- */

static void assigned(int64_t K, int64_t F, const double *accuracy, const uint8_t *empty, const int64_t *want) {
  pc_tensor *a = reals(2, SIZE(K, F), accuracy), *e = NULL, *of;
  if (empty) must(pc_tensor_from(&e, PC_U8, 1, &K, empty));
  must(pc_slot_assign(&of, a, e));
  for (int64_t f = 0; f < F; f++) ck_assert_int_eq(pc_i64(of)[f], want[f]);
  pc_tensor_release(of);
  pc_tensor_release(e);
  pc_tensor_release(a);
}

START_TEST(test_assign) {
  const double acc[9] = {.9, .1, .95, .1, .1, .99, .1, .9, .1}; /* the world from slot 2, which is empty */
  assigned(3, 3, acc, NULL, SIZE(1, 3, 2));
  assigned(3, 3, acc, (uint8_t[]){0, 0, 0}, SIZE(1, 3, 2));
  assigned(3, 3, acc, (uint8_t[]){0, 1, 0}, SIZE(1, 3, 1));
  assigned(3, 3, acc, (uint8_t[]){1, 1, 1}, SIZE(1, 3, 2)); /* all: the answer as if none was */
  assigned(2, 1, REALS(.2, .9), (uint8_t[]){0, 1}, SIZE(1));
  assigned(1, 3, REALS(.2, .9, .5), NULL, SIZE(1, 1, 1));
  pc_tensor *a = reals(2, SIZE(1, 2), REALS(.5, NAN)), *of;
  must_fail(pc_slot_assign(&of, a, NULL), PC_EARG, "accuracy of slot 1 for factor 2 is nan");
  must_fail(pc_slot_assign(&of, a, a), PC_ESHAPE, "empty is f64 (1,2); u8 (1)");
  pc_tensor_release(a);
}
END_TEST

static int everything(pc_tensor *attention, pc_tensor *accuracy, pc_tensor *chance) {
  pc_tensor *share, *mixed = NULL, *of = NULL;
  pc_slot_health h = {0};
  pc_health_opts o = PC_HEALTH_OPTS_INIT;
  double x;
  int rc = pc_slot_use(&share, &mixed, &x, attention);
  if (rc == PC_OK) rc = pc_slot_health_new(&h, share, mixed, accuracy, chance, &o);
  if (rc == PC_OK) rc = pc_slot_assign(&of, accuracy, h.empty);
  pc_tensor_release(share);
  pc_tensor_release(mixed);
  pc_tensor_release(of);
  pc_slot_health_free(&h);
  return rc;
}

START_TEST(test_every_allocation_may_fail) {
  pc_tensor *a = reals(3, SIZE(2, 2, 2), REALS(1, 0, .5, .5, 0, 1, .25, .75)), *b = reals(2, SIZE(2, 1), REALS(.9, .2));
  pc_tensor *c = reals(1, SIZE(1), REALS(.25));
  int failed = 0;
  for (int n = 1; n < 60; n++) {
    pc_alloc_fail_nth(n);
    int rc = everything(a, b, c);
    pc_alloc_fail_nth(0);
    ck_assert_msg(rc == PC_OK || rc == PC_ENOMEM, "allocation %d: %s", n, pc_error_text());
    failed += rc == PC_ENOMEM;
  }
  ck_assert_int_gt(failed, 20);
  must(everything(a, b, c));
  pc_tensor_release(a);
  pc_tensor_release(b);
  pc_tensor_release(c);
}
END_TEST

static void add(TCase *t) {
  tcase_add_test(t, test_use);
  tcase_add_test(t, test_use_at_the_edge);
  tcase_add_test(t, test_chance);
  tcase_add_test(t, test_good);
  tcase_add_test(t, test_bad);
  tcase_add_test(t, test_undefined);
  tcase_add_test(t, test_mistakes);
  tcase_add_test(t, test_assign);
  tcase_add_test(t, test_every_allocation_may_fail);
}

int main(void) { return run_in_scratch("health", add); }
