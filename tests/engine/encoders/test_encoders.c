/* test_encoders.c: the slot encoder: shapes, options, messages, independence of images, gradients. */
#include "encoders/encoder.h"
#include "engine/nn/modules.h"

/* 8 x 12 pixels, two convolutions of stride 2: 2 x 3 tokens */
static const pc_slot_encoder_opts tiny = {PC_SLOT_ENCODER_OPTIONS(PC_OPTION_INIT, ).slots = 3,
                                          .slot_dim = 2,
                                          .height = 8,
                                          .width_px = PC_GIVEN(12),
                                          .channels = 2,
                                          .conv_channels = {1, 2, {3, 4}},
                                          .conv_kernel = {1, 2, {3, 3}},
                                          .conv_stride = {1, 2, {2, 2}},
                                          .width = 4,
                                          .heads = 2,
                                          .layers = 1,
                                          .ff = PC_GIVEN(5)};

START_TEST(shapes) {
  pc_module *m;
  pc_tensor *x = NORMAL(PC_F32, 1, 5, 8, 12, 2), *out[PC_MAX_OUT];
  pc_slot_encoder_opts o = tiny;
  for (int maps = 0; maps < 2; maps++) {
    o.token_maps = maps;
    must(pc_encoder_slots(&m, &o));
    must(run_module(m, &x, 1, out));
    shape_is(out[0], "(5,3,2)");
    shape_is(out[1], "(5,3,2)");
    shape_is(pc_module_get(m, "position.weight"), "(6,4)");
    if (maps) shape_is(pc_module_get(m, "token_maps"), "(6,4,4)");
    pc_tensor_release(out[0]);
    pc_tensor_release(out[1]);
    pc_module_release(m);
  }
  o.vae = 0;
  must(pc_encoder_slots(&m, &o));
  must(run_module(m, &x, 1, out));
  shape_is(out[0], "(5,3,2)");
  ck_assert_ptr_null(out[1]);
  pc_tensor_release(out[0]);
  pc_module_release(m);
  pc_tensor_release(x);
}
END_TEST

START_TEST(defaults) {
  pc_module *m;
  pc_tensor *x, *out[PC_MAX_OUT];
  must(pc_tensor_full(&x, PC_F32, 4, (int64_t[]){1, 64, 64, 3}, 0.5));
  must(
      pc_encoder_slots(&m, &PC_OPTIONS_WITH(pc_slot_encoder_opts, PC_SLOT_ENCODER_OPTIONS, .slots = 2, .slot_dim = 5)));
  must(run_module(m, &x, 1, out));
  shape_is(out[0], "(1,2,5)");
  shape_is(pc_module_get(m, "conv1.weight"), "(32,5,5,3)");
  shape_is(pc_module_get(m, "position.weight"), "(64,96)");
  pc_tensor_release(out[0]);
  pc_tensor_release(out[1]);
  pc_tensor_release(x);
  pc_module_release(m);
}
END_TEST

START_TEST(images_of_a_batch_are_independent) {
  pc_module *m;
  must(pc_encoder_slots(&m, &tiny));
  to_f64(m);
  pc_tensor *x = NORMAL(PC_F64, 1, 3, 8, 12, 2), *all = first_of(m, x, NULL), *row, *one, *c;
  must(pc_contiguous(&c, all));
  for (int64_t b = 0; b < 3; b++) {
    pc_tensor *oc;
    must(pc_view_narrow(&row, x, 0, b, 1, 1));
    one = first_of(m, row, NULL);
    must(pc_contiguous(&oc, one));
    for (int64_t i = 0; i < 6; i++) close_to(pc_f64(oc)[i], pc_f64(c)[b * 6 + i], 1e-12);
    pc_tensor_release(oc);
    pc_tensor_release(row);
    pc_tensor_release(one);
  }
  pc_tensor_release(c);
  pc_tensor_release(all);
  pc_tensor_release(x);
  pc_module_release(m);
}
END_TEST

START_TEST(input_is_standardised) {
  pc_module *m;
  must(pc_encoder_slots(&m, &tiny));
  pc_tensor *x = NORMAL(PC_F32, 1, 1, 8, 12, 2), *y, *a = first_of(m, x, NULL), *b;
  must(pc_clone(&y, x)); /* y = 2 x + 3 with mean 3 and scale 2 is x again */
  for (int64_t i = 0; i < pc_numel(y); i++) pc_f32(y)[i] = 2 * pc_f32(x)[i] + 3;
  must(pc_fill(pc_module_get(m, "input_mean"), 3));
  must(pc_fill(pc_module_get(m, "input_scale"), 2));
  b = first_of(m, y, NULL);
  for (int64_t i = 0; i < 6; i++) close_to(pc_at(a, i), pc_at(b, i), 1e-4);
  pc_tensor_release(a);
  pc_tensor_release(b);
  pc_tensor_release(x);
  pc_tensor_release(y);
  pc_module_release(m);
}
END_TEST

START_TEST(messages) {
  pc_module *m;
  pc_slot_encoder_opts o = tiny;
  pc_tensor *x = NORMAL(PC_F32, 1, 5, 8, 8, 2), *out[PC_MAX_OUT];
  o.slots = 0;
  must_fail(pc_encoder_slots(&m, &o), PC_EARG, "slots: expected an integer >= 1, got 0");
  ck_assert_ptr_null(m);
  o = tiny, o.conv_channels.v[1] = 5;
  must_fail(pc_encoder_slots(&m, &o), PC_EARG, "the last convolution has 5 channels, the tokens are 4 wide");
  o = tiny, o.layers = 17;
  must_fail(pc_encoder_slots(&m, &o), PC_EARG, "layers: expected an integer from 1 to 16, got 17");
  o = tiny, o.heads = 3;
  must_fail(pc_encoder_slots(&m, &o), PC_EARG, "3 heads do not divide");
  must(pc_encoder_slots(&m, &tiny));
  must_fail(run_module(m, &x, 1, out), PC_ESHAPE, "images must be (B,8,12,2), got (5,8,8,2)");
  pc_module_release(m);
  pc_tensor_release(x);
}
END_TEST

START_TEST(gradients) {
  pc_module *m;
  pc_slot_encoder_opts o = tiny;
  o.height = o.width_px.value = 4;
  for (int maps = 0; maps < 2; maps++) {
    pc_tensor *x = NORMAL(PC_F64, 1, 1, 4, 4, 2);
    o.token_maps = maps;
    must(pc_encoder_slots(&m, &o));
    gradcheck_module(m, &x, 1, 0, 0);
    gradcheck_module(m, &x, 1, 1, 0);
    pc_module_release(m);
    pc_tensor_release(x);
  }
}
END_TEST

static Suite *encoders_suite(void) {
  Suite *s = suite_create("encoders");
  TCase *tc = tcase_create("encoders");
  tcase_set_timeout(tc, 60);
  tcase_add_test(tc, shapes);
  tcase_add_test(tc, defaults);
  tcase_add_test(tc, images_of_a_batch_are_independent);
  tcase_add_test(tc, input_is_standardised);
  tcase_add_test(tc, messages);
  tcase_add_test(tc, gradients);
  suite_add_tcase(s, tc);
  return s;
}

SUITE_MAIN(encoders_suite)
