/* sampler: each epoch a permutation, exact resume, mistakes. */
#include "base/rng.h"
#include "datasets/sampler.h"
#include "scratch.h"

static pc_tensor *indices(int64_t n) {
  pc_tensor *t;
  must(pc_tensor_empty(&t, PC_I64, 1, &n));
  for (int64_t i = 0; i < n; i++) pc_i64(t)[i] = 100 + i;
  return t;
}

START_TEST(test_epochs) {
  pc_tensor *idx = indices(10), *t;
  pc_batches *b;
  int first[10], other = 0;
  must(pc_batches_new(&b, idx, 4, 5, &(pc_batches_opts){.keep_last = 1}));
  ck_assert_int_eq(pc_batches_per_epoch(b), 3);
  for (int e = 0; e < 3; e++) {
    int seen[10] = {0}, at_ = 0;
    for (int k = 0; k < 3; k++) {
      must(pc_batches_next(&t, b));
      ck_assert_int_eq(pc_numel(t), k < 2 ? 4 : 2);
      for (int i = 0; i < pc_numel(t); i++) {
        int v = (int)pc_i64(t)[i] - 100;
        seen[v]++;
        if (!e) first[at_] = v;
        other += e == 1 && first[at_] != v;
        at_++;
      }
      pc_tensor_release(t);
    }
    for (int i = 0; i < 10; i++) ck_assert_int_eq(seen[i], 1);
  }
  ck_assert_int_gt(other, 0); /* epochs differ */
  pc_batches_free(b);
  must(pc_batches_new(&b, idx, 4, 5, NULL));
  ck_assert_int_eq(pc_batches_per_epoch(b), 2);
  for (int k = 0; k < 5; k++) {
    must(pc_batches_next(&t, b));
    ck_assert_int_eq(pc_numel(t), 4);
    pc_tensor_release(t);
  }
  ck_assert_int_eq(pc_batches_tell(b).epoch, 2);
  pc_batches_free(b);
  must(pc_batches_new(&b, idx, 10, 5, &(pc_batches_opts){.sequential = 1}));
  must(pc_batches_next(&t, b));
  for (int i = 0; i < 10; i++) ck_assert_int_eq(pc_i64(t)[i], 100 + i);
  pc_tensor_release(t);
  pc_batches_free(b);
  pc_tensor_release(idx);
}
END_TEST

START_TEST(test_resume) {
  pc_tensor *idx = indices(37), *t, *u;
  pc_batches *a, *b;
  must(pc_batches_new(&a, idx, 5, 9, NULL));
  for (int k = 0; k < 17; k++) {
    must(pc_batches_next(&t, a));
    pc_tensor_release(t);
  }
  must(pc_batches_new(&b, idx, 5, 1234, NULL));
  must(pc_batches_seek(b, pc_batches_tell(a)));
  for (int k = 0; k < 30; k++) {
    must(pc_batches_next(&t, a));
    must(pc_batches_next(&u, b));
    ck_assert_int_eq(memcmp(pc_i64(t), pc_i64(u), 5 * sizeof(int64_t)), 0);
    pc_tensor_release(t);
    pc_tensor_release(u);
  }
  must_fail(pc_batches_seek(b, (pc_batches_position){.epoch = 0, .cursor = 38}), PC_EARG, "cursor 38");
  must_fail(pc_batches_seek(b, (pc_batches_position){.epoch = -1}), PC_EARG, "epoch -1");
  pc_batches_free(a);
  pc_batches_free(b);
  must_fail(pc_batches_new(&a, idx, 38, 0, NULL), PC_EARG, "batch size 38, but only 37 indices; take smaller batches");
  must_fail(pc_batches_new(&a, idx, 0, 0, NULL), PC_EARG, "batch size 0");
  pc_tensor_release(idx);
  idx = indices(0);
  must_fail(pc_batches_new(&a, idx, 1, 0, NULL), PC_EARG, "there are no indices");
  pc_tensor_release(idx);
}
END_TEST

static void add(TCase *c) {
  tcase_add_test(c, test_epochs);
  tcase_add_test(c, test_resume);
}

int main(void) { return run_in_scratch("sampler", add); }
