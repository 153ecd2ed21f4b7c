/* test_vit.c: the Vision Transformer: shapes, gradients of its variants, names, position tables, lack of memory. */
#include "base/alloc.h"
#include "encoders/vit.h"
#include "engine/nn/modules.h"

/* 4 x 6 pixels, patches of 2: 2 x 3 of them */
static const pc_vit_opts tiny = {PC_VIT_OPTIONS(PC_OPTION_INIT, ).height = 4,
                                 .width_px = PC_GIVEN(6),
                                 .channels = 2,
                                 .patch = 2,
                                 .width = 4,
                                 .depth = 1,
                                 .heads = PC_GIVEN(2),
                                 .ff = PC_GIVEN(5)};

static pc_vit_opts variant(int k) {
  pc_vit_opts o = tiny;
  if (k == 1) o.class_token = 0, o.activation = PC_ACTIVATION_gelu_tanh, o.pre_norm = 1, o.patch_bias = 0;
  if (k == 2) o.registers = 2, o.layer_scale = (pc_maybe_num)PC_GIVEN(0.7), o.qkv_bias = 0;
  if (k == 2) o.class_position = (pc_maybe_int)PC_GIVEN(0);
  if (k == 3) o.position = PC_VIT_SINCOS, o.layer_scale = (pc_maybe_num)PC_GIVEN(0.7);
  if (k == 3) o.activation = PC_ACTIVATION_quick_gelu, o.final_norm = 0, o.depth = 2;
  if (k == 4) o.registers = 1, o.tokens = PC_VIT_PATCHES;
  return o;
}

START_TEST(shapes) {
  static const char *const tokens[] = {"(3,7,4)", "(3,6,4)", "(3,9,4)", "(3,7,4)", "(3,6,4)"};
  static const char *const rows[] = {"(7,4)", "(6,4)", "(6,4)", "(6,4)", "(7,4)"};
  pc_tensor *x = NORMAL(PC_F32, 1, 3, 4, 6, 2);
  for (int k = 0; k < 5; k++) {
    pc_module *m;
    pc_vit_opts o = variant(k);
    must(pc_encoder_vit(&m, &o));
    pc_tensor *y = first_of(m, x, NULL);
    shape_is(y, tokens[k]);
    shape_is(pc_module_get(m, "position"), rows[k]);
    pc_tensor_release(y);
    pc_module_release(m);
  }
  pc_tensor_release(x);
}
END_TEST

START_TEST(gradients) {
  for (int k = 0; k < 5; k++) {
    pc_module *m;
    pc_vit_opts o = variant(k);
    pc_tensor *x = NORMAL(PC_F64, 2, 2, 4, 6, 2);
    must(pc_encoder_vit(&m, &o));
    gradcheck_module(m, &x, 1, 0, 0);
    pc_module_release(m);
    pc_tensor_release(x);
  }
}
END_TEST

START_TEST(names) {
  pc_vit_opts o = {PC_VIT_OPTIONS(PC_OPTION_INIT, )};
  must(pc_vit_preset(&o, "vit_small_patch14_reg4_dinov2"));
  ck_assert_int_eq(o.width, 384);
  ck_assert_int_eq(o.heads.value, 6);
  ck_assert_int_eq(o.patch, 14);
  ck_assert_int_eq(o.registers, 4);
  ck_assert_int_eq(o.height, 518);
  ck_assert(o.class_position.given && !o.class_position.value && o.layer_scale.value > 0);
  o = PC_OPTIONS_WITH(pc_vit_opts, PC_VIT_OPTIONS, );
  must(pc_vit_preset(&o, "vit_so400m_patch14_siglip_384"));
  ck_assert_int_eq(o.ff.value, 4304);
  ck_assert_int_eq(PC_WIDTH_PX(&o), 384);
  ck_assert(!o.class_token);
  must_fail(pc_vit_preset(&o, "vit_small_patch"), PC_EARG, "'patch' in the name 'vit_small_patch'");
  must_fail(pc_vit_preset(&o, "vit_small_patch99999999999999"), PC_EARG, "is not understood");
  must_fail(pc_vit_preset(&o, "vit__small"), PC_EARG, "'' in the name");
  must_fail(pc_vit_preset(&o, "a_word_that_is_longer_than_any_that_is_known_here"), PC_EARG, "'a' in the name");
  o = PC_OPTIONS_WITH(pc_vit_opts, PC_VIT_OPTIONS, );
  must_fail(pc_vit_preset(&o, ""), PC_EARG, "says no size");
}
END_TEST

/* Keys' kernel with a = -0.5 reproduces lines, with a = -0.75 only nearly, where no border is near. */
START_TEST(positions) {
  pc_tensor *t, *y;
  must(pc_tensor_empty(&t, PC_F32, 2, (int64_t[]){8 * 8, 2}));
  for (int i = 0; i < 64; i++) pc_f32(t)[2 * i] = (float)(i / 8), pc_f32(t)[2 * i + 1] = (float)(i % 8);
  for (int antialias = 0; antialias < 2; antialias++) {
    pc_vit_grid_opts o = {.antialias = antialias};
    double tol = antialias ? 1e-5 : 0.06;
    must(pc_vit_positions(&y, t, (int64_t[]){8, 8}, (int64_t[]){16, 12}, &o));
    shape_is(y, "(192,2)");
    for (int i = 5; i < 11; i++)
      for (int j = 4; j < 8; j++) {
        close_to(pc_f32(y)[2 * (12 * i + j)], (i + 0.5) / 2 - 0.5, tol);
        close_to(pc_f32(y)[2 * (12 * i + j) + 1], (j + 0.5) * 8 / 12 - 0.5, tol);
      }
    pc_tensor_release(y);
  }
  must_fail(pc_vit_positions(&y, t, (int64_t[]){8, 8}, (int64_t[]){2, 2}, &(pc_vit_grid_opts){.prefix = 1}), PC_ESHAPE,
            "(1 + 8 x 8, width) is expected, got (64,2)");
  must_fail(pc_vit_positions(&y, t, (int64_t[]){8, 8}, (int64_t[]){0, 2}, &(pc_vit_grid_opts){0}), PC_EARG,
            "1 to 4096 a side");
  pc_tensor_release(t);
}
END_TEST

START_TEST(messages) {
  pc_module *m;
  pc_vit_opts o = tiny;
  o.patch = 4;
  must_fail(pc_encoder_vit(&m, &o), PC_EARG, "patches of 4 do not tile an image of 4 x 6");
  ck_assert_ptr_null(m);
  o = tiny, o.heads.value = 3;
  must_fail(pc_encoder_vit(&m, &o), PC_EARG, "3 heads do not divide");
  o = tiny, o.depth = -1;
  must_fail(pc_encoder_vit(&m, &o), PC_EARG, "vit: depth: expected an integer from 1 to 1000, got -1");
  o = tiny, o.position = PC_VIT_SINCOS, o.width = 6;
  must_fail(pc_encoder_vit(&m, &o), PC_EARG, "multiple of 4");
  o.class_position = (pc_maybe_int)PC_GIVEN(1);
  must_fail(pc_encoder_vit(&m, &o), PC_EARG, "class_position: there is no row for a class token in a sincos table");
}
END_TEST

START_TEST(every_allocation_may_fail) {
  pc_module *m = NULL;
  pc_vit_opts o = variant(2);
  int rc = PC_ENOMEM, n = 0;
  while (rc == PC_ENOMEM && ++n < 2000) {
    pc_alloc_fail_nth(n);
    rc = pc_encoder_vit(&m, &o);
    pc_alloc_fail_nth(0);
    if (rc < 0) ck_assert_ptr_null(m);
  }
  must(rc);
  ck_assert_int_gt(n, 50);
  pc_tensor *x = NORMAL(PC_F32, 1, 1, 4, 6, 2), *out[PC_MAX_OUT];
  for (n = 1, rc = PC_ENOMEM; rc == PC_ENOMEM && n < 2000; n++) {
    pc_alloc_fail_nth(n);
    rc = run_module(m, &x, 1, out);
    pc_alloc_fail_nth(0);
  }
  must(rc);
  pc_tensor_release(out[0]);
  pc_tensor_release(x);
  pc_module_release(m);
}
END_TEST

static Suite *vit_suite(void) {
  Suite *s = suite_create("vit");
  TCase *tc = tcase_create("vit");
  tcase_set_timeout(tc, 60);
  tcase_add_test(tc, shapes);
  tcase_add_test(tc, gradients);
  tcase_add_test(tc, names);
  tcase_add_test(tc, positions);
  tcase_add_test(tc, messages);
  tcase_add_test(tc, every_allocation_may_fail);
  suite_add_tcase(s, tc);
  return s;
}

SUITE_MAIN(vit_suite)
