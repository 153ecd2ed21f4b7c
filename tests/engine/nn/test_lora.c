/* test_lora.c: constants, low-rank terms, merging. */
#include "base/alloc.h"
#include "engine/nn/modules.h"
#include "nn/lora.h"

static int randomise(void *ctx, const char *path, pc_parameter *p) {
  return p->is_buffer ? PC_OK : pc_init_fill(p->t, PC_INIT_NORMAL, 0.5, 0, 0, pc_rng_global());
}

START_TEST(constants) {
  pc_module *m;
  pc_flat flat;
  must(pc_nn_block(&m, 4, 2, NULL));
  int64_t n = pc_module_count(m);
  must(pc_module_fix(m, 1));
  ck_assert_int_eq(pc_module_count(m), 0);
  must_fail(pc_module_flatten(m, &flat), PC_EARG, "no parameters");
  must(pc_module_set_requires_grad(m, 1)); /* not of constants */
  ck_assert(!pc_requires_grad(pc_module_get(m, "self.q.weight")));
  must(pc_module_fix(m, 0));
  ck_assert_int_eq(pc_module_count(m), n);
  ck_assert(pc_requires_grad(pc_module_get(m, "self.q.weight")));
  pc_module_release(m);
}
END_TEST

START_TEST(gradients) {
  pc_module *m;
  pc_tensor *x = NORMAL(PC_F64, 1, 2, 3, 4);
  must(pc_nn_block(&m, 4, 2, &PC_OPTIONS_WITH(pc_block_opts, PC_BLOCK_OPTIONS, .ff = PC_GIVEN(5), .bias = 1)));
  must(pc_lora_add(m, &(pc_lora_opts){2, PC_GIVEN(6), "qkvo"}));
  ck_assert_int_eq(pc_module_count(m), 4 * 2 * (4 + 4));
  must(pc_module_each(m, randomise, NULL));
  gradcheck_module(m, &x, 1, 0, 1);
  pc_module_release(m);
  pc_tensor_release(x);
}
END_TEST

START_TEST(merging) {
  pc_module *m;
  pc_tensor *x = NORMAL(PC_F64, 1, 2, 3, 4), *a, *b;
  must(pc_nn_block(&m, 4, 2, NULL));
  must(pc_lora_add(m, &(pc_lora_opts){3, PC_GIVEN(1.5), "vo"}));
  must(pc_module_each(m, randomise, NULL));
  to_f64(m);
  a = first_of(m, x, NULL);
  must(pc_lora_merge(m));
  b = first_of(m, x, NULL);
  for (int64_t i = 0; i < 24; i++) close_to(pc_at(a, i), pc_at(b, i), 1e-12);
  ck_assert_ptr_null(pc_module_get(m, "self.v.lora_a"));
  must_fail(pc_lora_merge(m), PC_EARG, "nothing in block is adapted");
  pc_tensor_release(a);
  pc_tensor_release(b);
  pc_tensor_release(x);
  pc_module_release(m);
}
END_TEST

START_TEST(messages) {
  pc_module *m;
  must(pc_nn_linear(&m, 2, 2, NULL));
  must_fail(pc_lora_add(m, &(pc_lora_opts){1, PC_GIVEN(1), "q"}), PC_EARG, "linear has no attention to adapt");
  ck_assert(pc_requires_grad(m->params[0].t));
  must_fail(pc_lora_add(m, &(pc_lora_opts){0, PC_GIVEN(1), "q"}), PC_EARG,
            "lora: rank: expected an integer >= 1, got 0");
  must_fail(pc_lora_add(m, &(pc_lora_opts){1, PC_GIVEN(1), ""}), PC_EARG,
            "lora: on: expected a string that is not empty");
  pc_module_release(m);
  must(pc_nn_attention(&m, 4, 2, NULL));
  must(pc_lora_add(m, &(pc_lora_opts){1, PC_GIVEN(1), "q"}));
  must_fail(pc_lora_add(m, &(pc_lora_opts){1, PC_GIVEN(1), "vq"}), PC_EARG, "adapted already");
  ck_assert_int_eq(pc_module_count(m), 8); /* the second call changed nothing */
  pc_module_release(m);
}
END_TEST

START_TEST(every_allocation_may_fail) {
  pc_module *m;
  pc_tensor *x = NORMAL(PC_F32, 1, 2, 3, 4);
  for (int n = 1, rc = PC_ENOMEM; rc == PC_ENOMEM && n < 500; n++) {
    must(pc_nn_attention(&m, 4, 2, NULL));
    pc_alloc_fail_nth(n);
    rc = pc_lora_add(m, &(pc_lora_opts){1, PC_GIVEN(1), "qv"});
    pc_alloc_fail_nth(0);
    pc_tensor *y = first_of(m, x, NULL); /* whatever happened, it runs */
    if (rc == PC_OK) {
      for (rc = PC_ENOMEM, n = 1; rc == PC_ENOMEM && n < 500; n++) {
        pc_alloc_fail_nth(n);
        rc = pc_lora_merge(m);
        pc_alloc_fail_nth(0);
        ck_assert(pc_grad_enabled());
      }
      must(rc);
    }
    pc_tensor_release(y);
    pc_module_release(m);
  }
  pc_tensor_release(x);
}
END_TEST

static Suite *lora_suite(void) {
  Suite *s = suite_create("lora");
  TCase *tc = tcase_create("lora");
  tcase_set_timeout(tc, 60);
  tcase_add_test(tc, constants);
  tcase_add_test(tc, gradients);
  tcase_add_test(tc, merging);
  tcase_add_test(tc, messages);
  tcase_add_test(tc, every_allocation_may_fail);
  suite_add_tcase(s, tc);
  return s;
}

SUITE_MAIN(lora_suite)
