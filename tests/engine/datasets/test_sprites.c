/* sprites: areas and colours against geometry, occlusion, the samplers' rules, threads. */
#include <math.h>

#include "base/parallel.h"
#include "datasets/split.h"
#include "datasets/sprites.h"
#include "options.h"
#include "scratch.h"

#define LATENTS(...) WITH(pc_split_latents_opts, PC_SPLIT_LATENTS_OPTIONS, .gap = PC_LATENT_GAP_INIT, __VA_ARGS__)
#define SPRITES(...) WITH(pc_sprites_opts, PC_SPRITES_OPTIONS, PC_SPRITES_RANGES, __VA_ARGS__)

static pc_tensor *latents(int64_t k, const float *v) {
  pc_tensor *t;
  int64_t size[3] = {1, k, 6};
  must(pc_tensor_from(&t, PC_F32, 3, size, v));
  return t;
}

START_TEST(test_areas) { /* the mean of the red channel is the shape's area */
  static const char *const names[] = {"square",   "triangle", "circle", "diamond",
                                      "pentagon", "hexagon",  "star",   "cross"};
  const double R = .5, area[8] = {1,
                                  3 * sqrt(3) / 4 * R * R,
                                  M_PI / 4,
                                  .5,
                                  2.5 * R * R * sin(2 * M_PI / 5),
                                  1.5 * sqrt(3) * R * R,
                                  5 * .5 * .5 * 0.3819660112501051 * sin(M_PI / 5),
                                  5. / 9};
  for (int s = 0; s < 8; s++)
    for (int turn = 0; turn < 3; turn++) {
      pc_sprites_opts o =
          SPRITES(.objects = 1, .shapes = names, .nshapes = 8, .height = 60, .width = {1, 80}, .samples = 4);
      pc_tensor *z = latents(1, (float[]){(float)(s + 1), .4f, .55f, .5f, 0, 25.f * (float)turn}), *im, *m;
      must(pc_sprites_render(&im, &m, z, PC_F32, &o));
      double sum = 0, mask = 0;
      for (int64_t i = 0; i < 60 * 80; i++) {
        sum += pc_f32(im)[3 * i];
        mask += pc_u8(m)[i];
        ck_assert(pc_f32(im)[3 * i + 1] == 0 && pc_f32(im)[3 * i + 2] == 0); /* hue 0 is red */
      }
      double scale2 = .25 * 60 * 60;
      ck_assert_msg(fabs(sum / scale2 - area[s]) < .01, "%s: area %g, not %g", names[s], sum / scale2, area[s]);
      ck_assert_msg(fabs(mask / scale2 - area[s]) < .03, "%s: mask area %g", names[s], mask / scale2);
      pc_tensor_release(im);
      pc_tensor_release(m);
      pc_tensor_release(z);
    }
}
END_TEST

START_TEST(test_position_occlusion) {
  /* 10 x 10 pixels; a green square over a red one; y counts from the top */
  pc_sprites_opts o = SPRITES(.objects = 2, .height = 10, .width = {1, 10}, .background = {0, 0, 1});
  pc_tensor *z = latents(2, (float[]){1, .3f, .2f, .4f, 0, 0, /**/ 1, .5f, .2f, .4f, 1 / 3.f, 0}), *im, *m;
  must(pc_sprites_render(&im, &m, z, PC_U8, &o));
  for (int y = 0; y < 10; y++)
    for (int x = 0; x < 10; x++) {
      int who = y >= 4 || x < 1 || x >= 7 ? 0 : x < 3 ? 1 : 2;
      const uint8_t *p = pc_u8(im) + (y * 10 + x) * 3;
      ck_assert_int_eq(pc_u8(m)[y * 10 + x], who);
      ck_assert_msg(p[0] == (who == 1 ? 255 : 0) && p[1] == (who == 2 ? 255 : 0) && p[2] == (who ? 0 : 255),
                    "%d,%d: %d %d %d", y, x, p[0], p[1], p[2]);
    }
  pc_tensor_release(im);
  pc_tensor_release(m);
  pc_tensor_release(z);
  z = latents(2, (float[]){2, .5f, .5f, .6f, 0, 0, /**/ 1, 5, 5, .1f, 0,
                           0}); /* triangle: its corner is up; the other one far outside */
  must(pc_sprites_render(&im, &m, z, PC_U8, &o));
  int first = -1, last = -1, top = 0, bottom = 0;
  for (int y = 0; y < 10; y++) {
    int n = 0;
    for (int x = 0; x < 10; x++) n += pc_u8(m)[y * 10 + x] == 1;
    if (n && first < 0) first = y, top = n;
    if (n) last = y, bottom = n;
  }
  ck_assert(first >= 2 && last <= 6 && top < bottom);
  pc_tensor_release(im);
  pc_tensor_release(m);
  pc_tensor_release(z);
}
END_TEST

START_TEST(test_samplers) {
  enum { N = 300 };
  pc_tensor *u, *z;
  pc_split *s;
  for (int K = 2; K <= 4; K++) {
    pc_sprites_opts o = SPRITES(.objects = K, .seed = 3, .sampler = PC_SPRITES_DIAGONAL, .delta = .1);
    pc_split_latents_opts lo = LATENTS(.delta = .1, .shift = PC_SPRITES_X + 1);
    must(pc_sprites_sample(&u, N, &o));
    /* all are inside the band: the split finds no OOD image */
    must_fail(pc_split_latents(&s, u, &lo), PC_EARG, "none of the 300 images is out-of-domain");
    must(pc_sprites_latents(&z, u, &o));
    for (int64_t i = 0; i < N * K; i++) {
      const float *p = pc_f32(z) + i * 6;
      ck_assert(p[0] == 1 || p[0] == 2 || p[0] == 3);
      ck_assert(p[1] >= .0999f && p[1] <= .9001f && p[2] >= .1999f && p[2] <= .8001f && p[3] >= .0899f &&
                p[3] <= .2201f && p[4] >= .0499f && p[4] <= .9501f && p[5] == 0);
    }
    pc_tensor_release(z);
    pc_tensor_release(u);
    o.sampler = PC_SPRITES_OFF_DIAGONAL;
    must(pc_sprites_sample(&u, N, &o));
    must_fail(pc_split_latents(&s, u, &lo), PC_EARG, "no image is left to train on"); /* all are OOD */
    must(pc_sprites_latents(&z, u, &o));
    for (int64_t i = 0; i < N; i++)
      for (int a = 0; a < K; a++)
        for (int b = 0; b < a; b++) {
          const float *p = pc_f32(z) + (i * K + a) * 6, *q = pc_f32(z) + (i * K + b) * 6;
          ck_assert(hypot(p[1] - q[1], p[2] - q[2]) >= .1999);
        }
    pc_tensor_release(z);
    pc_tensor_release(u);
    for (int gap = 0; gap < 2; gap++) {
      o.sampler = gap ? PC_SPRITES_PLANES_GAP : PC_SPRITES_PLANES;
      must(pc_sprites_sample(&u, N, &o));
      must_fail(pc_split_latents(&s, u, &LATENTS(.rule = gap ? PC_LATENT_GAP : PC_LATENT_PLANES, .anchor = .5)),
                PC_EARG, "none of the 300 images");
      int inside = 0;
      for (int64_t i = 0; i < N * K * 6; i++) inside += pc_f32(u)[i] > .06f && pc_f32(u)[i] < .44f;
      ck_assert_int_eq(inside > 0, !gap);
      pc_tensor_release(u);
    }
    o.sampler = PC_SPRITES_RANDOM;
    must(pc_sprites_sample(&u, N, &o));
    double mean = 0;
    for (int64_t i = 0; i < N * K; i++) mean += pc_f32(u)[i * 6 + 2] / (N * K);
    ck_assert_double_eq_tol(mean, .5, .05);
    pc_tensor_release(u);
  }
}
END_TEST

START_TEST(test_determinism) {
  pc_tensor *a, *b, *za, *ia, *ib, *zb, *ma, *mb;
  pc_sprites_opts o = SPRITES(.objects = 3, .seed = 11, .angle = {0, 360}, .height = 24, .width = {1, 32});
  int threads = pc_num_threads();
  pc_set_num_threads(1);
  must(pc_sprites_sample(&a, 100, &o));
  must(pc_sprites_latents(&za, a, &o));
  must(pc_sprites_render(&ia, &ma, za, PC_F32, &o));
  pc_set_num_threads(2);
  o.first = 41; /* images 41.. of the same endless set */
  must(pc_sprites_sample(&b, 60, &o));
  ck_assert_int_eq(memcmp(pc_f32(a) + 40 * 18, pc_f32(b), 60 * 18 * sizeof(float)), 0);
  must(pc_sprites_latents(&zb, b, &o));
  must(pc_sprites_render(&ib, &mb, zb, PC_F32, &o));
  int64_t px = 24 * 32;
  ck_assert_int_eq(memcmp(pc_f32(ia) + 40 * px * 3, pc_f32(ib), (size_t)(60 * px * 3) * sizeof(float)), 0);
  ck_assert_int_eq(memcmp(pc_u8(ma) + 40 * px, pc_u8(mb), (size_t)(60 * px)), 0);
  pc_set_num_threads(threads);
  pc_tensor *all[] = {a, b, za, zb, ia, ib, ma, mb};
  for (int i = 0; i < 8; i++) pc_tensor_release(all[i]);
}
END_TEST

START_TEST(test_mistakes) {
  pc_tensor *t, *im;
  static const char *const bad[] = {"squircle"};
  must_fail(pc_sprites_sample(&t, 1, &SPRITES(.objects = 17)), PC_EARG,
            "sprites: objects: expected an integer from 1 to 16, got 17");
  must_fail(pc_sprites_sample(&t, 1, &SPRITES(.shapes = bad, .nshapes = 1)), PC_EARG,
            "no shape 'squircle'; there are: square");
  must_fail(pc_sprites_sample(&t, 1, &SPRITES(.x = {.9, .1})), PC_EARG, "x goes from 0.9 to 0.1");
  must_fail(pc_sprites_sample(&t, 1, &SPRITES(.min_distance = {1, 3})), PC_EARG, "no image was found");
  must_fail(pc_sprites_sample(&t, 1, &SPRITES(.objects = 1, .sampler = PC_SPRITES_DIAGONAL)), PC_EARG, "one object");
  static const float none[] = {0, -1, NAN, INFINITY, 1e9f};
  for (int i = 0; i < 5; i++) { /* zero is no default */
    pc_sprites_opts o = SPRITES(.objects = (int)fmaxf(-1, fminf(none[i], 99)));
    must_fail(pc_sprites_sample(&t, 1, &o), PC_EARG, "sprites: objects: expected");
    o = SPRITES(.delta = none[i] > 1 ? NAN : none[i]);
    must_fail(pc_sprites_sample(&t, 1, &o), PC_EARG, "sprites: delta: expected");
    o = SPRITES(.background = {0, 0, none[i] == 0 ? 2 : none[i]});
    must_fail(pc_sprites_sample(&t, 1, &o), PC_EARG, "sprites: background: colour 3 is");
  }
  must_fail(pc_sprites_sample(&t, 1, &SPRITES(.gap = {0, 0})), PC_EARG, "sprites: gap: expected {low, high}");
  pc_tensor *z = latents(2, (float[]){1, .5f, .5f, .1f, 0, 0, 4, .5f, .5f, .1f, 0, 0});
  must_fail(pc_sprites_render(&im, NULL, z, PC_U8, NULL), PC_EARG,
            "shape is 4 in image 1, object 2; shapes go from 1 to 3");
  pc_f32(z)[6] = 1;
  pc_f32(z)[2] = NAN;
  must_fail(pc_sprites_render(&im, NULL, z, PC_U8, NULL), PC_EARG, "y is ");
  must_fail(pc_sprites_render(&im, NULL, z, PC_U8, &SPRITES(.objects = 3)), PC_ESHAPE, "latents have shape (1,2,6)");
  must_fail(pc_sprites_render(&im, NULL, z, PC_I64, NULL), PC_EDTYPE, "u8 or f32, not i64");
  pc_tensor_release(z);
}
END_TEST

static void add(TCase *c) {
  tcase_add_test(c, test_areas);
  tcase_add_test(c, test_position_occlusion);
  tcase_add_test(c, test_samplers);
  tcase_add_test(c, test_determinism);
  tcase_add_test(c, test_mistakes);
}

int main(void) { return run_in_scratch("sprites", add); }
