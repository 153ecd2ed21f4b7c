/* overlap: by hand, and where there is no answer. */
#include <math.h>

#include "base/rng.h"
#include "metrics/overlap.h"
#include "scratch.h"

static pc_tensor *masks(pc_dtype d, int64_t b, int64_t n, const int64_t *v) {
  pc_tensor *t, *r;
  must(pc_tensor_from(&t, PC_I64, 2, (int64_t[]){b, n}, v));
  must(pc_to_dtype(&r, t, d));
  pc_tensor_release(t);
  return r;
}

static double one(pc_overlap_kind kind, int64_t n, const int64_t *predicted, const int64_t *target, int foreground) {
  pc_tensor *p = masks(PC_I64, 1, n, predicted), *t = masks(PC_I32, 1, n, target), *r;
  must(pc_overlap(&r, p, t, kind, foreground, 0));
  double v = pc_f64(r)[0];
  pc_tensor_release(p);
  pc_tensor_release(t);
  pc_tensor_release(r);
  return v;
}

START_TEST(test_by_hand) {
  /* objects 1 (4 pixels), 2 (2), background 2; segment 7: 3 of 1; 8: 1 of 1, both of 2; 9: the background */
  const int64_t t[8] = {1, 1, 1, 1, 2, 2, 0, 0}, p[8] = {7, 7, 7, 8, 8, 8, 9, 9};
  close_to(one(PC_OVERLAP_BEST, 8, p, t, 1), (3. / 4 + 2. / 3) / 2, 1e-12);
  close_to(one(PC_OVERLAP_MATCHED, 8, p, t, 1), (3. / 4 + 2. / 3) / 2, 1e-12);
  close_to(one(PC_OVERLAP_BEST, 8, p, t, 0), (3. / 4 + 2. / 3 + 1) / 3, 1e-12);
  /* one segment for both objects: best takes it twice, matched once; the background is in the union */
  const int64_t whole[8] = {5, 5, 5, 5, 5, 5, 5, 5};
  close_to(one(PC_OVERLAP_BEST, 8, whole, t, 1), (4. / 8 + 2. / 8) / 2, 1e-12);
  close_to(one(PC_OVERLAP_MATCHED, 8, whole, t, 1), 4. / 8 / 2, 1e-12);
  /* the best of each object is the same segment: the assignment gives one of them its second best */
  const int64_t shared[8] = {3, 3, 3, 4, 3, 3, 9, 9};
  close_to(one(PC_OVERLAP_BEST, 8, shared, t, 1), (3. / 6 + 2. / 5) / 2, 1e-12);
  close_to(one(PC_OVERLAP_MATCHED, 8, shared, t, 1), (1. / 4 + 2. / 5) / 2, 1e-12);
}
END_TEST

START_TEST(test_without_an_answer) {
  const int64_t none[4] = {0, 0, 0, 0}, same[4] = {3, 3, 3, 3}, apart[4] = {1, 2, 3, 4};
  for (int k = 0; k < 2; k++) {
    ck_assert(isnan(one((pc_overlap_kind)k, 4, same, none, 1))); /* no object */
    ck_assert(isnan(one((pc_overlap_kind)k, 0, NULL, NULL, 0))); /* no pixel */
    close_to(one((pc_overlap_kind)k, 4, same, none, 0), 1, 0);   /* one cluster on both sides */
    close_to(one((pc_overlap_kind)k, 4, apart, apart, 1), 1, 0);
  }
  close_to(one(PC_OVERLAP_BEST, 4, apart, same, 1), 0.25, 1e-12);
  pc_tensor *p = masks(PC_U8, 2, 2, (int64_t[]){1, 1, 1, 2}), *t = masks(PC_I64, 2, 2, (int64_t[]){0, 0, 4, 5}), *r;
  must(pc_overlap(&r, p, t, PC_OVERLAP_MATCHED, 1, 0)); /* images are apart */
  ck_assert(isnan(pc_f64(r)[0]) && pc_f64(r)[1] == 1);
  pc_tensor_release(r);
  pc_tensor *half = masks(PC_F32, 2, 2, (int64_t[]){1, 1, 1, 2}), *line, *many, *empty = masks(PC_I64, 0, 4, NULL);
  must(pc_overlap(&r, empty, empty, PC_OVERLAP_BEST, 1, 0));
  ck_assert_int_eq(pc_numel(r), 0);
  pc_tensor_release(r);
  must_fail(pc_overlap(&r, half, t, PC_OVERLAP_BEST, 1, 0), PC_EDTYPE, "mbo: predictions are f32; integers are needed");
  must_fail(pc_overlap(&r, p, empty, PC_OVERLAP_MATCHED, 1, 0), PC_ESHAPE,
            "miou: predicted masks have shape (2,2), target masks (0,4); both must be (B,...)");
  must(pc_tensor_zeros(&many, PC_I64, 2, (int64_t[]){1, 2000}));
  for (int64_t i = 0; i < 2000; i++) pc_i64(many)[i] = i;
  must_fail(pc_overlap(&r, many, many, PC_OVERLAP_BEST, 1, 0), PC_EARG,
            "mbo: image 1 has 2000 segments and 1999 objects; at most 1024");
  must(pc_tensor_zeros(&line, PC_I64, 1, (int64_t[]){3}));
  must_fail(pc_overlap(&r, line, line, PC_OVERLAP_BEST, 1, 0), PC_ESHAPE, "must be (B,...)");
  pc_tensor *drop[] = {p, t, half, line, many, empty};
  for (int i = 0; i < 6; i++) pc_tensor_release(drop[i]);
}
END_TEST

/* Names of labels mean nothing; a matched mean is never above the best. */
START_TEST(test_labels_are_names) {
  pc_rng g = {5, 0};
  for (int round = 0; round < 50; round++) {
    int64_t p[30], t[30], q[30];
    for (int i = 0; i < 30; i++) p[i] = pc_rng_below(&g, 4), t[i] = pc_rng_below(&g, 5), q[i] = 1000 - 7 * p[i];
    for (int k = 0; k < 2; k++)
      close_to(one((pc_overlap_kind)k, 30, p, t, 1), one((pc_overlap_kind)k, 30, q, t, 1), 1e-12);
    ck_assert(one(PC_OVERLAP_MATCHED, 30, p, t, 0) <= one(PC_OVERLAP_BEST, 30, p, t, 0) + 1e-12);
  }
}
END_TEST

static void add(TCase *c) {
  tcase_add_test(c, test_by_hand);
  tcase_add_test(c, test_without_an_answer);
  tcase_add_test(c, test_labels_are_names);
}

int main(void) { return run_in_scratch("overlap", add); }
