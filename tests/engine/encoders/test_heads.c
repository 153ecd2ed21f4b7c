/* test_heads.c: bases and heads by themselves: the CNN, learned queries, Slot Attention. */
#include "base/alloc.h"
#include "encoders/encoder.h"
#include "engine/nn/modules.h"

static const pc_query_head_opts queries = {PC_QUERY_HEAD_OPTIONS(PC_OPTION_INIT, ).slots = 3,
                                           .slot_dim = 2,
                                           .tokens = 5,
                                           .width = 4,
                                           .heads = 2,
                                           .layers = 1,
                                           .ff = PC_GIVEN(5)};
static const pc_slot_attention_opts attention = {PC_SLOT_ATTENTION_OPTIONS(PC_OPTION_INIT, ).slots = 3,
                                                 .slot_dim = 2,
                                                 .tokens = 5,
                                                 .width = 4,
                                                 .iterations = 2,
                                                 .hidden = PC_GIVEN(3),
                                                 .detach = 0};

START_TEST(shapes) {
  pc_module *m;
  pc_tensor *x = NORMAL(PC_F32, 1, 4, 7, 5), *out[PC_MAX_OUT];
  must(pc_encoder_queries(&m, &queries));
  must(run_module(m, &x, 1, out));
  shape_is(out[0], "(4,3,2)");
  shape_is(out[1], "(4,3,2)");
  pc_tensor_release(out[0]);
  pc_tensor_release(out[1]);
  pc_module_release(m);
  pc_slot_attention_opts o = attention;
  o.vae = 0;
  must(pc_encoder_slot_attention(&m, &o));
  must(run_module(m, &x, 1, out));
  shape_is(out[0], "(4,3,2)");
  ck_assert_ptr_null(out[1]);
  shape_is(out[2], "(4,3,7)");
  pc_tensor_release(out[0]);
  pc_tensor_release(out[2]);
  pc_module_release(m);
  pc_tensor_release(x);
}
END_TEST

START_TEST(gradients) {
  for (int k = 0; k < 3; k++) {
    pc_module *m;
    pc_tensor *x = k == 2 ? NORMAL(PC_F64, 3, 1, 4, 4, 2) : NORMAL(PC_F64, 3, 2, 3, 5);
    if (k == 0) must(pc_encoder_queries(&m, &queries));
    if (k == 1) must(pc_encoder_slot_attention(&m, &attention));
    if (k == 2)
      must(pc_encoder_cnn(
          &m, &PC_OPTIONS_WITH(pc_cnn_opts, PC_CNN_OPTIONS, .height = 4, .channels = 2, .conv_channels = {1, 2, {3, 4}},
                               .conv_kernel = {1, 2, {3, 3}}, .conv_stride = {1, 2, {2, 1}}, .width = 4)));
    gradcheck_module(m, &x, 1, 0, 0);
    if (k < 2) gradcheck_module(m, &x, 1, 1, 0);
    pc_module_release(m);
    pc_tensor_release(x);
  }
}
END_TEST

/* One more iteration without history is what one more iteration computes. */
START_TEST(the_further_step_is_an_iteration) {
  pc_module *detached, *through;
  pc_slot_attention_opts o = attention;
  o.detach = 1;
  must(pc_encoder_slot_attention(&detached, &o));
  o.detach = 0, o.iterations = 3;
  must(pc_encoder_slot_attention(&through, &o));
  must(pc_module_copy_values(through, detached));
  pc_tensor *x = NORMAL(PC_F32, 1, 2, 6, 5), *a = first_of(detached, x, NULL), *b = first_of(through, x, NULL);
  for (int64_t i = 0; i < 12; i++) close_to(pc_at(a, i), pc_at(b, i), 1e-6);
  pc_tensor_release(a);
  pc_tensor_release(b);
  pc_tensor_release(x);
  pc_module_release(detached);
  pc_module_release(through);
}
END_TEST

START_TEST(messages) {
  pc_module *m;
  pc_query_head_opts q = queries;
  q.tokens = 0;
  must_fail(pc_encoder_queries(&m, &q), PC_EARG, "queries: tokens: expected an integer >= 1");
  ck_assert_ptr_null(m);
  q = queries, q.layers = 17;
  must_fail(pc_encoder_queries(&m, &q), PC_EARG, "layers: expected an integer from 1 to 16, got 17");
  pc_slot_attention_opts o = attention;
  o.iterations = -1;
  must_fail(pc_encoder_slot_attention(&m, &o), PC_EARG, "iterations: expected an integer from 1 to 1000000, got -1");
  must(pc_encoder_slot_attention(&m, &attention));
  pc_tensor *x = NORMAL(PC_F32, 1, 2, 6, 4), *out[PC_MAX_OUT];
  must_fail(run_module(m, &x, 1, out), PC_ESHAPE, "tokens must be (B,T,5), got (2,6,4)");
  pc_tensor_release(x);
  pc_module_release(m);
}
END_TEST

START_TEST(every_allocation_may_fail) {
  for (int k = 0; k < 2; k++) {
    pc_module *m = NULL;
    pc_slot_attention_opts o = attention;
    o.detach = 1;
    int rc = PC_ENOMEM, n;
    for (n = 1; rc == PC_ENOMEM && n < 2000; n++) {
      pc_alloc_fail_nth(n);
      rc = k ? pc_encoder_slot_attention(&m, &o) : pc_encoder_queries(&m, &queries);
      pc_alloc_fail_nth(0);
      if (rc < 0) ck_assert_ptr_null(m);
    }
    must(rc);
    pc_tensor *x = NORMAL(PC_F32, 1, 1, 3, 5), *out[PC_MAX_OUT];
    for (n = 1, rc = PC_ENOMEM; rc == PC_ENOMEM && n < 2000; n++) {
      pc_alloc_fail_nth(n);
      rc = run_module(m, &x, 1, out);
      pc_alloc_fail_nth(0);
      ck_assert(pc_grad_enabled());
    }
    must(rc);
    for (int i = 0; i < 3; i++) pc_tensor_release(out[i]);
    pc_tensor_release(x);
    pc_module_release(m);
  }
}
END_TEST

static Suite *heads_suite(void) {
  Suite *s = suite_create("heads");
  TCase *tc = tcase_create("heads");
  tcase_set_timeout(tc, 60);
  tcase_add_test(tc, shapes);
  tcase_add_test(tc, gradients);
  tcase_add_test(tc, the_further_step_is_an_iteration);
  tcase_add_test(tc, messages);
  tcase_add_test(tc, every_allocation_may_fail);
  suite_add_tcase(s, tc);
  return s;
}

SUITE_MAIN(heads_suite)
