/* test_sprites_decoder.c: what lies over what, where pictures go, messages, gradients. */
#include "decoders/decoder.h"
#include "engine/nn/modules.h"

/* Pictures of one pixel with a known alpha at the same place: what is in front hides what is behind. */
START_TEST(sprites_lie_over_each_other) {
  pc_module *m;
  pc_sprites_decoder_opts o = PC_SPRITES_DECODER_OPTS_INIT;
  o.slot_dim = 4, o.height = 3, o.channels = 1, o.picture = 1, o.layers = 0, o.size = 30;
  const double z[12] = {0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3};
  for (int k = 0; k < 4; k++) {
    o.order = k % 2 ? PC_SPRITES_ORDER_GIVEN : PC_SPRITES_ORDER_LEARNED;
    o.world = k / 2 ? PC_SPRITES_WORLD_LAST : PC_SPRITES_WORLD_NONE;
    must(pc_decoder_sprites(&m, &o));
    pc_tensor *w = pc_module_get(m, "picture.1.weight"), *in = tensor_of(PC_F32, 3, (int64_t[]){1, 3, 4}, z);
    must(pc_fill(pc_module_get(m, "picture.1.bias"), 0)); /* alpha 1/2, of what the picture covers of the middle */
    pc_f32(w)[0] = 1, pc_f32(w)[1] = 0;                   /* colour: the code */
    if (o.order == PC_SPRITES_ORDER_LEARNED) must(pc_fill(pc_module_get(m, "depth.weight"), -100));
    pc_tensor *out[PC_MAX_OUT];
    must(run_module(m, &in, 1, out));
    shape_is(out[0], "(1,3,3,1)");
    shape_is(out[1], "(1,9,3)");
    double a = (double)pc_at(out[1], 4 * 3), rest = 1, sum = 0;
    close_to(a, 0.5, 0.05);
    for (int j = 0; j < (o.world == PC_SPRITES_WORLD_LAST ? 2 : 3); j++) {
      close_to(pc_at(out[1], 4 * 3 + j), rest * a, 1e-5);
      sum += rest * a * z[4 * j + 3], rest *= 1 - a;
    }
    if (o.world == PC_SPRITES_WORLD_NONE)
      close_to(pc_at(out[0], 4), sum, 1e-5);
    else
      close_to(pc_at(out[1], 4 * 3 + 2), rest, 1e-5);
    pc_tensor *drop[] = {in, out[0], out[1]};
    for (int i = 0; i < 3; i++) pc_tensor_release(drop[i]);
    pc_module_release(m);
  }
}
END_TEST

/* A picture that is moved by whole pixels is the same picture, elsewhere; far away it is gone; scales are bounded. */
START_TEST(sprites_are_moved) {
  pc_module *m;
  pc_sprites_decoder_opts o = PC_SPRITES_DECODER_OPTS_INIT;
  o.slot_dim = 5, o.height = 8, o.picture = 4, o.world = PC_SPRITES_WORLD_NONE, o.hidden = 6;
  must(pc_decoder_sprites(&m, &o));
  const double z[20] = {0, 0, 0, 1, -1, .5, .25, 0, 1, -1, 50, 0, 0, 1, -1, 0, 0, -1e30, 1, -1};
  pc_tensor *in = tensor_of(PC_F32, 3, (int64_t[]){4, 1, 5}, z), *y = first_of(m, in, NULL);
  for (int64_t r = 0; r < 7; r++)
    for (int64_t c = 0; c < 6; c++)
      for (int64_t k = 0; k < 3; k++)
        close_to(pc_at(y, (r * 8 + c) * 3 + k), pc_at(y, 192 + ((r + 1) * 8 + c + 2) * 3 + k), 1e-6);
  for (int64_t i = 2 * 192; i < 3 * 192; i++) close_to(pc_at(y, i), 0, 0);
  for (int64_t i = 3 * 192; i < 4 * 192; i++) ck_assert(isfinite(pc_at(y, i)));
  pc_tensor_release(in);
  pc_tensor_release(y);
  pc_module_release(m);
  o.slot_dim = 3;
  must_fail(pc_decoder_sprites(&m, &o), PC_EARG, "sprites: slot_dim: expected an integer >= 4, got 3");
  o = (pc_sprites_decoder_opts)PC_SPRITES_DECODER_OPTS_INIT, o.slot_dim = 5, o.height = 4;
  must(pc_decoder_sprites(&m, &o));
  pc_tensor *one = NORMAL(PC_F32, 1, 2, 1, 5), *out[PC_MAX_OUT];
  must_fail(run_module(m, &one, 1, out), PC_ESHAPE, "1 to 63 objects and the world's slot are needed");
  pc_tensor_release(one);
  pc_module_release(m);
}
END_TEST

START_TEST(gradients) {
  pc_module *m;
  for (int k = 0; k < 4; k++) {
    pc_sprites_decoder_opts d = PC_SPRITES_DECODER_OPTS_INIT;
    pc_tensor *what = NORMAL(PC_F64, 1, 2, 3, 5);
    d.slot_dim = 5, d.height = 4, d.width_px = (pc_maybe_int64){1, 3}, d.channels = 1, d.picture = 3, d.hidden = 3;
    d.layers = 1, d.order = k % 2, d.world = k / 2;
    must(pc_decoder_sprites(&m, &d));
    gradcheck_module(m, &what, 1, 0, 1);
    gradcheck_module(m, &what, 1, 1, 1);
    pc_module_release(m);
    pc_tensor_release(what);
  }
}
END_TEST

static Suite *sprites_suite(void) {
  Suite *s = suite_create("sprites_decoder");
  TCase *tc = tcase_create("sprites_decoder");
  tcase_set_timeout(tc, 60);
  tcase_add_test(tc, sprites_lie_over_each_other);
  tcase_add_test(tc, sprites_are_moved);
  tcase_add_test(tc, gradients);
  suite_add_tcase(s, tc);
  return s;
}

SUITE_MAIN(sprites_suite)
