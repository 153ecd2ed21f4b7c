/* emoji: composed scenes from assets made here: geometry by hand, chance, occlusion, mistakes, lack of memory. */
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "datasets/emoji.h"
#include "datasets/split.h"
#include "images/png.h"
#include "options.h"
#include "scratch.h"

#define SPLIT(...) WITH(pc_split_opts, PC_SPLIT_OPTIONS, __VA_ARGS__)
#define EMOJI(...) WITH(pc_emoji_opts, PC_EMOJI_OPTIONS, __VA_ARGS__)

enum { PH = 90, PW = 180, CUT = 40 };

/* Two panoramas: red grows with the column, or all gray 128; cut-outs: an opaque square, a disc, nothing. */
static void make(void) {
  static uint8_t pano[PH * PW * 3], cut[CUT * CUT * 4];
  ck_assert_int_eq(mkdir(at("panoramas"), 0777) | mkdir(at("emoji"), 0777), 0);
  for (int i = 0; i < PH * PW; i++) pano[3 * i] = (uint8_t)(i % PW), pano[3 * i + 1] = 0, pano[3 * i + 2] = 90;
  must(pc_png_write_pixels(at("panoramas/Ramp.png"), pano, PH, PW, 3, NULL));
  memset(pano, 128, sizeof pano);
  must(pc_png_write_pixels(at("panoramas/Gray.png"), pano, PH, PW, 3, NULL));
  for (int shape = 0; shape < 3; shape++) {
    for (int i = 0; i < CUT * CUT; i++) {
      double x = i % CUT - CUT / 2 + .5, y = i / CUT - CUT / 2 + .5;
      int in = shape == 0 || (shape == 1 && hypot(x, y) < CUT / 2);
      cut[4 * i] = 200, cut[4 * i + 1] = 40, cut[4 * i + 2] = 20, cut[4 * i + 3] = (uint8_t)(in ? 255 : 0);
    }
    must(pc_png_write_pixels(at((const char *[]){"emoji/Box.png", "emoji/Disc.png", "emoji/Void.png"}[shape]), cut, CUT,
                             CUT, 4, NULL));
  }
}

static const char *box[] = {"Box"}, *gone[] = {"Void"}, *gray[] = {"Gray"}, *ramp[] = {"Ramp"};

static double number(const pc_scenes *ds, const char *name, int64_t i) {
  int c;
  must(pc_scenes_numeric_find(&c, ds, name));
  return pc_scenes_numeric_values(ds, c)[i];
}

/* The scenes' split, by way of the data set that they are. */
static int split_scenes(pc_split **s, pc_scenes *scenes, const pc_split_opts *o) {
  pc_dataset *d;
  must(pc_scenes_dataset(&d, scenes, NULL));
  int rc = pc_split_cells(s, d, o);
  pc_dataset_free(d);
  return rc;
}

START_TEST(test_columns) {
  pc_scenes *ds;
  must(pc_emoji_open(&ds, dir, &EMOJI(.count = 300, .size = 16, .occlusion = .5)));
  ck_assert_int_eq(pc_scenes_count(ds), 300);
  ck_assert(pc_scenes_height(ds) == 16 && pc_scenes_width(ds) == 16 && pc_scenes_has_masks(ds));
  const char *factor[] = {"world_name",     "character_name",    "character2_name",   "character1_pos",
                          "character2_pos", "character_texture", "character2_texture"};
  const int64_t values[] = {2, 3, 3, 1, 1, 1, 1};
  ck_assert_int_eq(pc_scenes_nfactors(ds), 7);
  for (int k = 0; k < 7; k++) {
    ck_assert_str_eq(pc_scenes_factor_name(ds, k), factor[k]);
    ck_assert_int_eq(pc_scenes_factor_nvalues(ds, k), values[k]);
  }
  int64_t seen[3][3] = {{0}};
  double most = 0;
  for (int64_t i = 0; i < 300; i++) {
    seen[pc_scenes_factor_index(ds, 1)[i] - 1][pc_scenes_factor_index(ds, 2)[i] - 1]++;
    double overlap = number(ds, "overlap", i), azimuth = number(ds, "camera_azimuth", i);
    ck_assert(overlap >= 0 && overlap <= .5);
    most = fmax(most, overlap);
    double home = pc_scenes_factor_index(ds, 0)[i] == 1 ? 0 : 45; /* Gray, Ramp */
    ck_assert(fabs(azimuth - home) <= 8);
    for (int k = 0; k < 2; k++) {
      double x = number(ds, k ? "x2" : "x1", i), y = number(ds, k ? "y2" : "y1", i);
      ck_assert(fabs(x - (.5 + (k ? 1 : -1) * (.24 - .18 * overlap))) <= .0301 && y >= .68 && y <= .78);
      double scale = number(ds, k ? "scale2" : "scale1", i), flip = number(ds, k ? "flip2" : "flip1", i);
      ck_assert(scale >= .36 && scale <= .44 && (flip == 0 || flip == 1));
    }
    ck_assert_int_eq(number(ds, "front", i) == 2, number(ds, "y2", i) >= number(ds, "y1", i));
    ck_assert(number(ds, "variant", i) == (double)i);
  }
  ck_assert(most > .45);
  for (int a = 0; a < 3; a++)
    for (int b = 0; b < 3; b++) ck_assert(seen[a][b] > 10 && seen[a][b] < 70); /* 33 each, give or take */
  pc_split *s;
  must(split_scenes(&s, ds, &SPLIT(.preset = "object", .fraction = .3)));
  pc_split_free(s);
  pc_scenes_free(ds);
}
END_TEST

/* Without animals: the view. Right in the middle the camera looks along longitude azimuth + 90, 8 degrees down. */
START_TEST(test_view) {
  pc_scenes *ds;
  pc_tensor *t;
  enum { S = 22 }; /* a panorama as wide as a view needs: nothing is reduced */
  must(pc_emoji_open(&ds, dir,
                     &EMOJI(.count = 40, .size = S, .animals = gone, .nanimals = 1, .places = ramp, .nplaces = 1)));
  must(pc_scenes_images(&t, ds, NULL, PC_U8));
  for (int i = 0; i < 40; i++) {
    double at_middle = fmod(.5 - (number(ds, "camera_azimuth", i) + 90) / 360 + 2, 1) * PW - .5;
    const uint8_t *p = pc_u8(t) + (size_t)i * S * S * 3;
    int r = S / 2, c = S / 2;
    double got = (p[3 * (r * S + c)] + p[3 * (r * S + c - 1)]) / 2.0; /* left and right of the middle */
    ck_assert_msg(fabs(got - at_middle) <= 1, "image %d: red %g, expected %g", i, got, at_middle);
    double step =
        (p[3 * (r * S + S - 1)] - p[3 * (r * S)]) / (double)(S - 1); /* degrees a pixel, /2: 2 degrees a column */
    ck_assert_msg(step > .8 && step < 1.3, "%g", step);
    ck_assert_int_eq(p[1], 0);
    ck_assert_int_eq(p[2], 90);
  }
  pc_tensor_release(t);
  pc_scenes_free(ds);
}
END_TEST

/* An opaque box on gray 128: light is 1, so its colour stays; its area, its place, its shadow. */
START_TEST(test_animal) {
  pc_scenes *ds;
  pc_tensor *t, *m;
  enum { S = 64 };
  must(pc_emoji_open(
      &ds, dir,
      &EMOJI(.count = 30, .size = S, .seed = 3, .animals = box, .nanimals = 1, .places = gray, .nplaces = 1)));
  must(pc_scenes_images(&t, ds, NULL, PC_U8));
  must(pc_scenes_masks(&m, ds, NULL));
  for (int i = 0; i < 30; i++) {
    const uint8_t *p = pc_u8(t) + (size_t)i * S * S * 3, *mask = pc_u8(m) + (size_t)i * S * S;
    ck_assert(p[0] == 128 && p[1] == 128 && mask[0] == 0);
    for (int k = 0; k < 2; k++) {
      double x = number(ds, k ? "x2" : "x1", i) * S, y = number(ds, k ? "y2" : "y1", i) * S;
      double side = number(ds, k ? "scale2" : "scale1", i) * S, n = 0, sx = 0, sy = 0;
      for (int q = 0; q < S * S; q++)
        if (mask[q] == k + 1) n++, sx += q % S + .5, sy += q / S + .5;
      ck_assert_msg(fabs(n - side * side) < 2.2 * side, "%g pixels for %g", n, side * side);
      ck_assert(fabs(sx / n - x) < .6 && fabs(sy / n - (y - side / 2)) < .6);
      const uint8_t *in = p + 3 * ((int)(y - side / 2) * S + (int)x), *below = p + 3 * ((int)(y + 1) * S + (int)x);
      ck_assert(in[0] == 200 && in[1] == 40 && in[2] == 20);
      ck_assert_msg(below[0] < 115 && below[0] > 70 && below[0] == below[1], "%d", below[0]);
    }
    ck_assert(number(ds, "occlusion1", i) == 0 && number(ds, "occlusion2", i) == 0);
  }
  pc_tensor_release(m);
  pc_tensor_release(t);
  pc_scenes_free(ds);
}
END_TEST

START_TEST(test_occlusion) { /* boxes: the hidden share is the area they share */
  pc_scenes *ds;
  pc_tensor *m;
  enum { S = 64, N = 60 };
  int hit = 0;
  must(pc_emoji_open(&ds, dir, &EMOJI(.count = N, .size = S, .animals = box, .nanimals = 1, .occlusion = 1)));
  must(pc_scenes_masks(&m, ds, NULL));
  for (int i = 0; i < N; i++) {
    double x[2], y[2], side[2], n = 0;
    for (int k = 0; k < 2; k++) {
      x[k] = number(ds, k ? "x2" : "x1", i) * S, y[k] = number(ds, k ? "y2" : "y1", i) * S;
      side[k] = number(ds, k ? "scale2" : "scale1", i) * S;
    }
    int front = (int)number(ds, "front", i) - 1, behind = !front;
    double w = fmin(x[0] + side[0] / 2, x[1] + side[1] / 2) - fmax(x[0] - side[0] / 2, x[1] - side[1] / 2);
    double h = fmin(y[0], y[1]) - fmax(y[0] - side[0], y[1] - side[1]);
    double expected = fmax(w, 0) * h / (side[behind] * side[behind]);
    double got = number(ds, behind ? "occlusion2" : "occlusion1", i);
    ck_assert_msg(fabs(got - expected) < .08, "image %d: %g, expected %g", i, got, expected);
    ck_assert(number(ds, behind ? "occlusion1" : "occlusion2", i) == 0);
    for (int q = 0; q < S * S; q++) n += pc_u8(m)[i * S * S + q] == behind + 1;
    ck_assert_msg(fabs(n - side[behind] * side[behind] * (1 - got)) < 2.2 * side[behind], "%g", n);
    hit += got > .3;
  }
  ck_assert_int_gt(hit, 5);
  pc_tensor_release(m);
  pc_scenes_free(ds);
}
END_TEST

START_TEST(test_determinism) { /* not of count, threads, keep; parts of one set; another seed is another set */
  pc_scenes *all, *few, *part, *lazy, *other;
  pc_tensor *a, *b, *index, *m, *n;
  const char *tex[] = {"Default", "Blue", "Stone"};
  pc_emoji_opts o = EMOJI(.count = 50, .size = 24, .seed = 9, .occlusion = .7, .textures = tex, .ntextures = 3);
  must(pc_emoji_open(&all, dir, &o));
  o.keep = 0;
  pc_set_num_threads(1);
  must(pc_emoji_open(&lazy, dir, &o));
  pc_set_num_threads(2);
  ck_assert_str_eq(pc_scenes_digest(all), pc_scenes_digest(lazy));
  ck_assert_ptr_nonnull(strstr(pc_scenes_note(lazy), "drawn when they are asked for"));
  ck_assert_str_eq(pc_scenes_note(all), "");
  must(pc_scenes_images(&a, all, NULL, PC_U8));
  must(pc_scenes_images(&b, lazy, NULL, PC_U8));
  ck_assert_int_eq(memcmp(pc_u8(a), pc_u8(b), (size_t)pc_numel(a)), 0);
  must(pc_scenes_masks(&m, all, NULL));
  must(pc_scenes_masks(&n, lazy, NULL));
  ck_assert_int_eq(memcmp(pc_u8(m), pc_u8(n), (size_t)pc_numel(m)), 0);
  pc_tensor_release(b);
  int64_t three = 3, list[3] = {41, 2, 41};
  must(pc_tensor_from(&index, PC_I64, 1, &three, list));
  must(pc_scenes_images(&b, lazy, index, PC_F32));
  for (int64_t k = 0; k < 24 * 24 * 3; k++) {
    ck_assert_float_eq(pc_f32(b)[k], (float)pc_u8(a)[40 * 24 * 24 * 3 + k] / 255.0f);
    ck_assert_float_eq(pc_f32(b)[k], pc_f32(b)[2 * 24 * 24 * 3 + k]);
  }
  pc_tensor_release(b);
  o.keep = 512;
  o.count = 7;
  must(pc_emoji_open(&few, dir, &o));
  o.first = 31;
  must(pc_emoji_open(&part, dir, &o));
  must(pc_scenes_images(&b, few, NULL, PC_U8));
  ck_assert_int_eq(memcmp(pc_u8(a), pc_u8(b), (size_t)pc_numel(b)), 0);
  pc_tensor_release(b);
  must(pc_scenes_images(&b, part, NULL, PC_U8));
  ck_assert_int_eq(memcmp(pc_u8(a) + 30 * 24 * 24 * 3, pc_u8(b), (size_t)pc_numel(b)), 0);
  ck_assert_str_eq(pc_scenes_filename(part, 0), pc_scenes_filename(all, 30));
  pc_tensor_release(b);
  o = EMOJI(.count = 50, .size = 24, .seed = 10, .occlusion = .7, .textures = tex, .ntextures = 3);
  must(pc_emoji_open(&other, dir, &o));
  ck_assert_str_ne(pc_scenes_digest(other), pc_scenes_digest(all));
  pc_scenes *one[] = {all, few, part, lazy, other};
  for (int i = 0; i < 5; i++) pc_scenes_free(one[i]);
  pc_tensor *t[] = {a, index, m, n};
  for (int i = 0; i < 4; i++) pc_tensor_release(t[i]);
  uint8_t px[CUT * CUT * 4] = {0}; /* other pixels under the same name: another digest */
  must(pc_emoji_open(&all, dir, &EMOJI(.count = 3, .size = 8)));
  must(pc_png_write_pixels(at("emoji/Box.png"), px, CUT, CUT, 4, NULL));
  must(pc_emoji_open(&other, dir, &EMOJI(.count = 3, .size = 8)));
  ck_assert_str_ne(pc_scenes_digest(other), pc_scenes_digest(all));
  pc_scenes_free(other);
  pc_scenes_free(all);
}
END_TEST

START_TEST(test_sizes) { /* the smallest, odd ones, larger than the assets */
  const int size[] = {8, 9, 33, 150};
  for (int k = 0; k < 4; k++) {
    pc_scenes *ds;
    pc_tensor *t;
    must(pc_emoji_open(&ds, dir, &EMOJI(.count = 5, .size = size[k], .occlusion = 1, .animals = box, .nanimals = 1)));
    must(pc_scenes_masks(&t, ds, NULL));
    int64_t on = 0;
    for (int64_t i = 0; i < pc_numel(t); i++) on += pc_u8(t)[i] > 0;
    double share = (double)on / (double)pc_numel(t);
    ck_assert_msg(share > .12 && share < .4, "size %d: %g", size[k], share);
    pc_tensor_release(t);
    pc_scenes_free(ds);
  }
}
END_TEST

START_TEST(test_mistakes) {
  pc_scenes *ds;
  uint8_t px[30 * 20 * 4] = {0};
  const char *dog[] = {"Dog"}, *twice[] = {"Box", "Box"}, *pink[] = {"Pink"};
  must_fail(pc_emoji_open(&ds, at("nowhere"), NULL), PC_ENOTFOUND,
            "assets names the folder that holds emoji/ and panoramas/");
  must_fail(pc_emoji_open(&ds, dir, &EMOJI(.animals = dog, .nanimals = 1)), PC_ENOTFOUND,
            "no animal 'Dog'; there are: Box, Disc, Void");
  must_fail(pc_emoji_open(&ds, dir, &EMOJI(.places = dog, .nplaces = 1)), PC_ENOTFOUND,
            "no place 'Dog'; there are: Gray, Ramp");
  must_fail(pc_emoji_open(&ds, dir, &EMOJI(.textures = pink, .ntextures = 1)), PC_ENOTFOUND,
            "no texture 'Pink'; there are: Default, Blue, Red, Grass, Stone");
  must_fail(pc_emoji_open(&ds, dir, &EMOJI(.animals = twice, .nanimals = 2)), PC_EARG, "'Box' is named twice");
  must_fail(pc_emoji_open(&ds, dir, &EMOJI(.size = 4)), PC_EARG,
            "emoji: size: expected an integer from 8 to 1024, got 4");
  must_fail(pc_emoji_open(&ds, dir, &EMOJI(.occlusion = 1.5)), PC_EARG,
            "emoji: occlusion: expected a number from 0 to 1, got 1.5");
  must_fail(pc_emoji_open(&ds, dir, &EMOJI(.occlusion = NAN)), PC_EARG, "emoji: occlusion");
  must_fail(pc_emoji_open(&ds, dir, &EMOJI(.count = -1)), PC_EARG, "emoji: count: expected");
  must(pc_png_write_pixels(at("emoji/Aa.png"), px, 20, 30, 4, NULL));
  must_fail(pc_emoji_open(&ds, dir, NULL), PC_EFORMAT, "a cut-out is square");
  must(pc_png_write_pixels(at("emoji/Aa.png"), px, 20, 20, 4, NULL));
  must_fail(pc_emoji_open(&ds, dir, NULL), PC_EFORMAT, "is 40 pixels high, those before it 20");
  put("emoji/Aa.png", "no picture");
  must_fail(pc_emoji_open(&ds, dir, NULL), PC_EFORMAT, "Aa.png");
}
END_TEST

START_TEST(test_faults) { /* every allocation fails once: an error, no crash, no leak */
  pc_scenes *ds;
  pc_alloc_stats before, after;
  pc_set_num_threads(1);
  for (int lazy = 0; lazy < 2; lazy++) {
    int done = 0;
    for (int nth = 1; nth < 2000 && !done; nth++) {
      pc_tensor *t = NULL;
      pc_alloc_get_stats(&before);
      pc_alloc_fail_nth(nth);
      int rc = pc_emoji_open(&ds, dir, &EMOJI(.count = 4, .size = 8, .keep = lazy ? 0 : 512));
      if (rc == PC_OK) {
        rc = pc_scenes_images(&t, ds, NULL, PC_U8);
        done = rc == PC_OK && nth > 40;
      }
      pc_alloc_fail_nth(0);
      if (rc < 0) ck_assert_msg(rc == PC_ENOMEM, "%d %s", rc, pc_error_text());
      pc_tensor_release(t);
      pc_scenes_free(ds);
      pc_alloc_get_stats(&after);
      ck_assert_msg(before.live == after.live, "allocation %d: %lld bytes", nth, (long long)(after.live - before.live));
    }
    ck_assert(done);
  }
  pc_set_num_threads(2);
}
END_TEST

static void add(TCase *c) {
  tcase_add_checked_fixture(c, make, NULL);
  tcase_add_test(c, test_columns);
  tcase_add_test(c, test_view);
  tcase_add_test(c, test_animal);
  tcase_add_test(c, test_occlusion);
  tcase_add_test(c, test_determinism);
  tcase_add_test(c, test_sizes);
  tcase_add_test(c, test_mistakes);
  tcase_add_test(c, test_faults);
}

int main(void) { return run_in_scratch("emoji", add); }
