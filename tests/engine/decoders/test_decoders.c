/* test_decoders.c: shapes, options, messages, what attention and patches mean, gradients. */
#include <stdlib.h>

#include "base/alloc.h"
#include "decoders/decoder.h"
#include "engine/nn/modules.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"

static const pc_cross_decoder_opts tiny_cross = {PC_CROSS_DECODER_OPTIONS(PC_OPTION_INIT, ).slots = PC_GIVEN(3),
                                                 .slot_dim = 2,
                                                 .height = 4,
                                                 .width_px = PC_GIVEN(6),
                                                 .channels = 2,
                                                 .patch = 2,
                                                 .width = 4,
                                                 .width_kv = PC_GIVEN(4),
                                                 .heads = 2,
                                                 .layers = 2,
                                                 .ff = PC_GIVEN(3),
                                                 .octaves = 2};
static const pc_render_decoder_opts tiny_render = {PC_RENDER_DECODER_OPTIONS(PC_OPTION_INIT, ).slots = 3,
                                                   .slot_dim = 2,
                                                   .height = 4,
                                                   .width_px = PC_GIVEN(6),
                                                   .channels = 2,
                                                   .patch = 2,
                                                   .hidden = 4,
                                                   .key_dim = 3,
                                                   .octaves = 2};

static void rows_sum_to_1(const pc_tensor *a) {
  int64_t k = a->size[2];
  for (int64_t r = 0; r < a->size[0] * a->size[1]; r++) {
    double sum = 0;
    for (int64_t j = 0; j < k; j++) {
      ck_assert(pc_f32(a)[r * k + j] >= 0);
      sum += (double)pc_f32(a)[r * k + j];
    }
    close_to(sum, 1, 1e-5);
  }
}

START_TEST(shapes_and_attention) {
  pc_module *m[2];
  pc_tensor *z = NORMAL(PC_F32, 1, 5, 3, 2), *out[PC_MAX_OUT];
  must(pc_decoder_cross(&m[0], &tiny_cross));
  must(pc_decoder_render(&m[1], &tiny_render));
  for (int i = 0; i < 2; i++) {
    must(run_module(m[i], &z, 1, out));
    shape_is(out[0], "(5,4,6,2)");
    shape_is(out[1], "(5,6,3)"); /* 2 x 3 patches */
    rows_sum_to_1(out[1]);
    pc_tensor_release(out[0]);
    pc_tensor_release(out[1]);
    pc_module_release(m[i]);
  }
  pc_tensor_release(z);
}
END_TEST

/* Every slot paints alone: with sigmoid masks or none, taking a slot away takes exactly its painting away. */
START_TEST(broadcast_is_additive) {
  for (int masks = PC_MASKS_SIGMOID; masks <= PC_MASKS_NONE; masks++) {
    pc_broadcast_decoder_opts o = {PC_BROADCAST_DECODER_OPTIONS(PC_OPTION_INIT, ).slot_dim = 3,
                                   .height = 8,
                                   .width_px = PC_GIVEN(4),
                                   .channels = 2,
                                   .hidden = 5,
                                   .doublings = 2};
    pc_module *m;
    pc_tensor *z = NORMAL(PC_F32, 1, 2, 3, 3), *part, *all, *some, *last;
    o.masks = (pc_masks)masks;
    must(pc_decoder_broadcast(&m, &o));
    all = first_of(m, z, NULL);
    shape_is(all, "(2,8,4,2)");
    must(pc_view_narrow(&part, z, 1, 0, 2, 1));
    some = first_of(m, part, NULL);
    pc_tensor_release(part);
    must(pc_view_narrow(&part, z, 1, 2, 1, 1));
    last = first_of(m, part, NULL);
    for (int64_t i = 0; i < pc_numel(all); i++)
      close_to((double)pc_f32(all)[i], (double)pc_f32(some)[i] + (double)pc_f32(last)[i], 1e-5);
    pc_tensor *drop[] = {z, part, all, some, last};
    for (int i = 0; i < 5; i++) pc_tensor_release(drop[i]);
    pc_module_release(m);
  }
}
END_TEST

START_TEST(broadcast_masks_and_messages) {
  pc_module *m;
  pc_tensor *z = NORMAL(PC_F32, 1, 2, 3, 3), *out[PC_MAX_OUT];
  must(pc_decoder_broadcast(&m, &PC_OPTIONS_WITH(pc_broadcast_decoder_opts, PC_BROADCAST_DECODER_OPTIONS,
                                                 .slots = PC_GIVEN(3), .slot_dim = 3, .height = 16, .hidden = 4)));
  must(run_module(m, &z, 1, out));
  shape_is(out[0], "(2,16,16,3)");
  shape_is(out[1], "(2,256,3)");
  pc_tensor *rows;
  must(pc_contiguous(&rows, out[1]));
  rows_sum_to_1(rows);
  ck_assert_int_eq(pc_module_count(m), 3 * 2 + 3 + (3 * 25 * 4 + 4) + 2 * (4 * 25 * 4 + 4) + (4 * 25 * 4 + 4));
  pc_tensor *drop[] = {z, rows, out[0], out[1]};
  for (int i = 0; i < 4; i++) pc_tensor_release(drop[i]);
  pc_module_release(m);
  must_fail(pc_decoder_broadcast(&m, &PC_OPTIONS_WITH(pc_broadcast_decoder_opts, PC_BROADCAST_DECODER_OPTIONS,
                                                      .slot_dim = 3, .height = 20)),
            PC_EARG, "an image of 20 x 20 is not a grid doubled 3 times");
  must_fail(pc_decoder_broadcast(&m, &PC_OPTIONS_WITH(pc_broadcast_decoder_opts, PC_BROADCAST_DECODER_OPTIONS,
                                                      .slot_dim = 3, .kernel = 4)),
            PC_EARG, "kernel must be odd, not 4");
}
END_TEST

/* The plain sum of one CNN a slot: taking a slot away takes its painting (and not the mean) away; slots commute. */
START_TEST(additive_is_a_sum) {
  pc_module *m;
  pc_deconv_opts o = {PC_ADDITIVE_DECODER_OPTIONS(PC_OPTION_INIT, ).slot_dim = 3,
                      .height = 16,
                      .width_px = PC_GIVEN(8),
                      .channels = 2,
                      .hidden = 6,
                      .features = 3,
                      .coarse = PC_GIVEN(8)};
  pc_tensor *z = NORMAL(PC_F32, 1, 2, 3, 3), *part, *out[PC_MAX_OUT], *one[3];
  must(pc_decoder_additive(&m, &o));
  /* grid 8 x 4, one doubling: 3 -> 6 -> 6 -> 8*4*8 -> (16,8,2) */
  ck_assert_int_eq(pc_module_count(m), (3 * 6 + 6) + (6 * 6 + 6) + (6 * 256 + 256) + (8 * 16 * 2 + 2));
  must(run_module(m, &z, 1, out));
  shape_is(out[0], "(2,16,8,2)");
  ck_assert_ptr_null(out[1]);
  must(pc_fill(pc_module_get(m, "mean"), 0.25));
  for (int k = 0; k < 3; k++) {
    must(pc_view_narrow(&part, z, 1, k, 1, 1));
    one[k] = first_of(m, part, NULL);
    pc_tensor_release(part);
  }
  for (int64_t i = 0; i < pc_numel(out[0]); i++) {
    double sum = 0;
    for (int k = 0; k < 3; k++) sum += (double)pc_f32(one[k])[i] - 0.25;
    close_to((double)pc_f32(out[0])[i], sum, 1e-5);
  }
  for (int k = 0; k < 3; k++) pc_tensor_release(one[k]);
  pc_tensor_release(out[0]);
  pc_tensor_release(z);
  pc_module_release(m);
}
END_TEST

/* The CNN control is the same net over the slots in a row: with one slot it is the additive decoder. */
START_TEST(cnn_and_its_sizes) {
  static const int64_t sides[] = {8, 32, 64, 128};
  pc_module *m, *c;
  pc_tensor *z = NORMAL(PC_F32, 1, 2, 1, 3), *a, *b, *out[PC_MAX_OUT];
  for (int i = 0; i < 4; i++) {
    pc_deconv_opts o = {PC_ADDITIVE_DECODER_OPTIONS(PC_OPTION_INIT, ).slots = PC_GIVEN(1), .slot_dim = 3,
                        .height = sides[i], .hidden = 8, .features = 4};
    must(pc_decoder_additive(&m, &o));
    must(pc_decoder_cnn(&c, &o));
    must(pc_module_copy_values(c, m));
    a = first_of(m, z, NULL);
    must(run_module(c, &z, 1, out));
    b = out[0];
    ck_assert_ptr_null(out[1]);
    ck_assert_int_eq(a->size[1], sides[i]);
    ck_assert_int_eq(a->size[3], 3);
    for (int64_t k = 0; k < pc_numel(a); k++) close_to((double)pc_f32(a)[k], (double)pc_f32(b)[k], 1e-5);
    pc_tensor_release(a);
    pc_tensor_release(b);
    pc_module_release(m);
    pc_module_release(c);
  }
  must(pc_decoder_cnn(&c, &PC_OPTIONS_WITH(pc_deconv_opts, PC_ADDITIVE_DECODER_OPTIONS, .slots = PC_GIVEN(2),
                                           .slot_dim = 3, .height = 8, .hidden = 4, .features = 4)));
  must_fail(run_module(c, &z, 1, out), PC_ESHAPE, "cnn_decoder: slots must be (B,2,3), got (2,1,3)");
  pc_module_release(c);
  pc_tensor_release(z);
  must_fail(pc_decoder_cnn(&c, &PC_OPTIONS_WITH(pc_deconv_opts, PC_ADDITIVE_DECODER_OPTIONS, .slot_dim = 3)), PC_EARG,
            "cnn_decoder: slots must be given");
  must_fail(
      pc_decoder_additive(&c, &PC_OPTIONS_WITH(pc_deconv_opts, PC_ADDITIVE_DECODER_OPTIONS, .slots = PC_GIVEN(3))),
      PC_EARG, "slot_dim: expected an integer >= 1, got 0");
  must_fail(pc_decoder_additive(
                &c, &PC_OPTIONS_WITH(pc_deconv_opts, PC_ADDITIVE_DECODER_OPTIONS, .slot_dim = 3, .height = 33)),
            PC_EARG, "an image of 33 x 33 is no doubled grid: use even sides of at least 8");
  must_fail(pc_decoder_additive(
                &c, &PC_OPTIONS_WITH(pc_deconv_opts, PC_ADDITIVE_DECODER_OPTIONS, .slot_dim = 3, .layers = 17)),
            PC_EARG, "layers: expected an integer from 1 to 16, got 17");
}
END_TEST

START_TEST(pixel_masks_and_patches) {
  pc_module *m;
  pc_tensor *z = NORMAL(PC_F32, 1, 2, 3, 3), *out[PC_MAX_OUT], *rows, *part, *all, *sum[2];
  pc_pixel_decoder_opts o = {PC_PIXEL_DECODER_OPTIONS(PC_OPTION_INIT, ).slot_dim = 3,
                             .height = 6,
                             .width_px = PC_GIVEN(4),
                             .channels = 2,
                             .hidden = 5,
                             .octaves = 2,
                             .patch = 2};
  must(pc_decoder_pixel(&m, &o));
  ck_assert_int_eq(pc_module_count(m), (3 * 5 + 5) + 8 * 5 + 2 * (25 + 5) + 5 * 12 + 12);
  must(run_module(m, &z, 1, out));
  shape_is(out[0], "(2,6,4,2)");
  shape_is(out[1], "(2,24,3)");
  must(pc_contiguous(&rows, out[1]));
  rows_sum_to_1(rows);
  pc_tensor *drop[] = {out[0], out[1], rows};
  for (int i = 0; i < 3; i++) pc_tensor_release(drop[i]);
  pc_module_release(m);
  for (int masks = PC_MASKS_SIGMOID; masks <= PC_MASKS_NONE; masks++) { /* additive */
    o.masks = (pc_masks)masks, o.patch = 1;
    must(pc_decoder_pixel(&m, &o));
    all = first_of(m, z, NULL);
    for (int k = 0; k < 2; k++) {
      must(pc_view_narrow(&part, z, 1, k ? 2 : 0, k ? 1 : 2, 1));
      sum[k] = first_of(m, part, NULL);
      pc_tensor_release(part);
    }
    for (int64_t i = 0; i < pc_numel(all); i++)
      close_to((double)pc_f32(all)[i], (double)pc_f32(sum[0])[i] + (double)pc_f32(sum[1])[i], 1e-5);
    pc_tensor_release(all);
    pc_tensor_release(sum[0]);
    pc_tensor_release(sum[1]);
    pc_module_release(m);
  }
  o.patch = 4;
  must_fail(pc_decoder_pixel(&m, &o), PC_EARG, "patches of 4 do not tile an image of 6 x 4");
  must_fail(
      pc_decoder_pixel(&m, &PC_OPTIONS_WITH(pc_pixel_decoder_opts, PC_PIXEL_DECODER_OPTIONS, .slots = PC_GIVEN(3))),
      PC_EARG, "slot_dim: expected an integer >= 1, got 0");
  must_fail(pc_decoder_pixel(
                &m, &PC_OPTIONS_WITH(pc_pixel_decoder_opts, PC_PIXEL_DECODER_OPTIONS, .slot_dim = 3, .layers = 17)),
            PC_EARG, "layers: expected an integer from 1 to 16, got 17");
  pc_tensor_release(z);
}
END_TEST

START_TEST(the_control_has_no_attention) {
  pc_module *m;
  pc_tensor *z = NORMAL(PC_F32, 1, 5, 3, 2), *out[PC_MAX_OUT];
  must(pc_decoder_mlp(&m, &PC_OPTIONS_WITH(pc_mlp_decoder_opts, PC_MLP_DECODER_OPTIONS, .slots = 3, .slot_dim = 2,
                                           .height = 4, .channels = 1, .hidden = 8, .layers = 3)));
  must(run_module(m, &z, 1, out));
  shape_is(out[0], "(5,4,4,1)");
  ck_assert_ptr_null(out[1]);
  ck_assert_int_eq(pc_module_count(m), 6 * 8 + 8 + 2 * (64 + 8) + 8 * 16 + 16);
  pc_tensor_release(out[0]);
  pc_tensor_release(z);
  pc_module_release(m);
}
END_TEST

/* Decoding one image at a time gives what a batch gives; the order of slots matters only as the decoder says. */
START_TEST(images_of_a_batch_are_independent) {
  pc_module *m;
  must(pc_decoder_cross(&m, &tiny_cross));
  to_f64(m);
  pc_tensor *z = NORMAL(PC_F64, 1, 3, 3, 2), *all = first_of(m, z, NULL), *row, *one, *swapped;
  for (int64_t b = 0; b < 3; b++) {
    must(pc_view_narrow(&row, z, 0, b, 1, 1));
    one = first_of(m, row, NULL);
    for (int64_t i = 0; i < 48; i++) close_to(pc_f64(one)[i], pc_f64(all)[b * 48 + i], 1e-12);
    pc_tensor_release(row);
    pc_tensor_release(one);
  }
  must(pc_clone(&swapped, z)); /* cross-attention sees a set: slots 1 and 2 exchanged, the same image */
  memcpy(pc_f64(swapped), pc_f64(z) + 2, 16);
  memcpy(pc_f64(swapped) + 2, pc_f64(z), 16);
  one = first_of(m, swapped, NULL);
  for (int64_t i = 0; i < 48; i++) close_to(pc_f64(one)[i], pc_f64(all)[i], 1e-12);
  pc_tensor_release(one);
  pc_tensor_release(all);
  pc_tensor_release(swapped);
  pc_tensor_release(z);
  pc_module_release(m);
}
END_TEST

START_TEST(patches_go_where_they_belong) {
  pc_tensor *t, *x, *y;
  double v[24];
  pc_scope s = {0};
  for (int i = 0; i < 24; i++) v[i] = i;
  x = tensor_of(PC_F32, 3, (int64_t[]){1, 6, 4}, v); /* 2 x 3 patches of 2 x 2, one channel */
  y = pc_unpatch(&s, x, 2, 3, 2, 1);
  must(s.rc);
  must(pc_contiguous(&t, y));
  shape_is(t, "(1,4,6,1)");
  /* pixel (r,c) is entry (r%2, c%2) of patch (r/2, c/2) */
  for (int r = 0; r < 4; r++)
    for (int c = 0; c < 6; c++) close_to((double)pc_f32(t)[r * 6 + c], (r / 2 * 3 + c / 2) * 4 + r % 2 * 2 + c % 2, 0);
  pc_tensor_release(t);
  must(pc_scope_end(&s, NULL, 0));
  pc_tensor_release(x);
}
END_TEST

START_TEST(the_mean_image_is_added) {
  pc_module *m;
  must(pc_decoder_render(&m, &tiny_render));
  pc_tensor *z = NORMAL(PC_F32, 1, 1, 3, 2), *a = first_of(m, z, NULL), *b;
  must(pc_fill(pc_module_get(m, "mean"), 0.5));
  b = first_of(m, z, NULL);
  for (int64_t i = 0; i < 48; i++) close_to((double)(pc_f32(b)[i] - pc_f32(a)[i]), 0.5, 1e-6);
  pc_tensor_release(a);
  pc_tensor_release(b);
  pc_tensor_release(z);
  pc_module_release(m);
}
END_TEST

/* With codes that say nothing the score of slot k at place p is b_k - w |p - c_k|^2, of the last b_K. */
START_TEST(windows_by_formula) {
  pc_module *m;
  pc_render_decoder_opts o = tiny_render;
  const double at[2][2] = {{-0.4, 0.1}, {0.7, -0.6}}; /* (y,x); the code is 0, so gelu(code) is 0 and c its bias */
  o.window = 3;
  for (int k = 0; k < 2; k++) {
    must(pc_decoder_render(&m, &o));
    const char *zero[] = {"code.weight", "code.bias", "identity", "key.bias"};
    for (int i = 0; i < 4; i++) must(pc_fill(pc_module_get(m, zero[i]), 0));
    for (int i = 0; i < 2; i++) pc_f32(pc_module_get(m, "center.bias"))[i] = (float)at[k][i];
    pc_tensor *z = NORMAL(PC_F32, 1, 1, 3, 2), *out[PC_MAX_OUT];
    must(run_module(m, &z, 1, out));
    for (int q = 0; q < 6; q++) {
      double y = q / 3 - 0.5, x = 2 * (q % 3 + 0.5) / 3 - 1;
      double e = exp(-3 * (pow(y - at[k][0], 2) + pow(x - at[k][1], 2)));
      for (int j = 0; j < 3; j++) close_to((double)pc_f32(out[1])[q * 3 + j], (j < 2 ? e : 1) / (2 * e + 1), 1e-5);
    }
    pc_tensor_release(out[0]);
    pc_tensor_release(out[1]);
    pc_tensor_release(z);
    pc_module_release(m);
  }
}
END_TEST

/* Image, attention and gradients of the slots and of every weight; most bytes on the way. */
typedef struct decoded {
  pc_tensor *image, *attention, *gz;
  double *weights;
  int n;
  int64_t most;
} decoded;

static int decode_once(decoded *d, pc_module *m, pc_tensor *z) {
  pc_tensor *out[PC_MAX_OUT], *g[256];
  pc_alloc_stats before;
  listed l = {.n = 0};
  l.t[l.n++] = z;
  must(pc_module_each(m, list_param, &l));
  pc_alloc_get_stats(&before);
  int64_t mark = pc_alloc_mark();
  int rc = run_module(m, &z, 1, out);
  if (rc == PC_OK) { /* both outputs matter */
    pc_scope s = {0};
    pc_tensor *y = pc_add(&s, pc_sum(&s, pc_mul(&s, out[0], out[0]), 0, NULL, 0),
                          pc_sum(&s, pc_mul(&s, out[1], out[1]), 0, NULL, 0));
    rc = s.rc == PC_OK ? pc_grad(g, &y, NULL, 1, l.t, l.n, NULL) : s.rc;
    pc_note(&s, rc);
    rc = pc_scope_end(&s, NULL, 0);
  }
  d->most = pc_alloc_measure(mark) - before.live;
  d->image = out[0], d->attention = out[1];
  if (rc < 0) return rc;
  d->weights = malloc(sizeof(double) * (size_t)pc_module_count(m));
  d->n = 0;
  for (int i = 1; i < l.n; i++) {
    for (int64_t k = 0; k < pc_numel(g[i]); k++) d->weights[d->n++] = pc_at(g[i], k);
    pc_tensor_release(g[i]);
  }
  d->gz = g[0];
  return PC_OK;
}

static void forget(decoded *d) {
  pc_tensor *all[] = {d->image, d->attention, d->gz};
  for (int i = 0; i < 3; i++) pc_tensor_release(all[i]);
  free(d->weights);
  *d = (decoded){NULL};
}

static void same(const pc_tensor *a, const pc_tensor *b) {
  ck_assert(pc_same_shape(a, b));
  for (int64_t i = 0; i < pc_numel(a); i++) close_to(pc_at(a, i), pc_at(b, i), 1e-10);
}

/* The cross decoder in tiles of odd sizes: the same image, attention and gradients. 63 queries of 5 images. */
START_TEST(tiles_change_nothing) {
  pc_tensor *z = NORMAL(PC_F64, 1, 5, 3, 2);
  decoded whole = {NULL}, tiled = {NULL};
  must(pc_set_requires_grad(z, 1));
  static const int64_t sizes[] = {0, 1, 3, 7, 62, 63, 65};
  for (int i = 0; i < 7; i++) {
    pc_module *m;
    pc_cross_decoder_opts o = tiny_cross;
    o.height = 14, o.width_px.value = 18;
    if (sizes[i]) o.tile = (pc_maybe_int64)PC_GIVEN(sizes[i]);
    pc_rng_seed(pc_rng_global(), 3);
    must(pc_decoder_cross(&m, &o));
    to_f64(m);
    must(decode_once(i ? &tiled : &whole, m, z));
    if (i) {
      same(whole.image, tiled.image);
      same(whole.attention, tiled.attention);
      same(whole.gz, tiled.gz);
      ck_assert_int_eq(whole.n, tiled.n);
      for (int k = 0; k < whole.n; k++) close_to(whole.weights[k], tiled.weights[k], 1e-10);
      forget(&tiled);
    }
    pc_module_release(m);
  }
  forget(&whole);
  pc_tensor_release(z);
}
END_TEST

/* Under a memory limit the tile is chosen: what exceeds the limit whole stays below it in tiles. */
START_TEST(a_memory_limit_is_kept) {
  pc_module *m;
  pc_alloc_stats st;
  pc_tensor *z = NORMAL(PC_F32, 1, 4, 3, 4);
  decoded whole = {NULL}, tiled = {NULL}, none = {NULL};
  pc_cross_decoder_opts o = {PC_CROSS_DECODER_OPTIONS(PC_OPTION_INIT, ).slots = PC_GIVEN(3), .slot_dim = 4,
                             .height = 48, .patch = 1, .width = 32};
  must(pc_decoder_cross(&m, &o));
  must(pc_set_requires_grad(z, 1));
  must(decode_once(&whole, m, z));
  pc_alloc_get_stats(&st);
  int64_t limit = st.live + whole.most / 3;
  pc_alloc_set_limit(limit);
  must(decode_once(&tiled, m, z)); /* the limit is a hard one: this would have failed */
  pc_alloc_set_limit(0);
  ck_assert_int_lt(tiled.most, whole.most / 3);
  for (int64_t i = 0; i < pc_numel(whole.image); i++)
    close_to((double)pc_f32(whole.image)[i], (double)pc_f32(tiled.image)[i], 1e-5);
  for (int k = 0; k < whole.n; k++) close_to(whole.weights[k], tiled.weights[k], 1e-3 * (1 + fabs(whole.weights[k])));
  forget(&tiled);
  pc_module_release(m);
  o.tile = (pc_maybe_int64)PC_GIVEN(48 * 48); /* asked for: no tiles */
  must(pc_decoder_cross(&m, &o));
  pc_alloc_set_limit(limit);
  must_fail(decode_once(&none, m, z), PC_ENOMEM, "out of memory");
  pc_alloc_set_limit(0);
  pc_module_release(m);
  o.tile.given = 0, o.height = 4;
  must(pc_decoder_cross(&m, &o));
  pc_tensor *many = NORMAL(PC_F32, 1, 256, 3, 4);
  pc_alloc_get_stats(&st);
  pc_alloc_set_limit(st.live + 2500000); /* room for the slots, but not for one query of all images */
  must_fail(decode_once(&none, m, many), PC_ENOMEM, "one query of 256 images takes about");
  pc_alloc_set_limit(0);
  pc_tensor_release(many);
  pc_module_release(m);
  forget(&whole);
  pc_tensor_release(z);
}
END_TEST

START_TEST(messages) {
  pc_module *m;
  pc_cross_decoder_opts o = tiny_cross;
  pc_render_decoder_opts r = tiny_render;
  pc_tensor *z = NORMAL(PC_F32, 1, 5, 2, 2), *flat = NORMAL(PC_F32, 1, 5, 6), *out[PC_MAX_OUT];
  o.patch = 4;
  must_fail(pc_decoder_cross(&m, &o), PC_EARG, "patches of 4 do not tile an image of 4 x 6");
  ck_assert_ptr_null(m);
  o = tiny_cross, o.slot_dim = 0;
  must_fail(pc_decoder_cross(&m, &o), PC_EARG, "slot_dim: expected an integer >= 1, got 0");
  o = tiny_cross, o.layers = 17;
  must_fail(pc_decoder_cross(&m, &o), PC_EARG, "layers: expected an integer from 1 to 16, got 17");
  o = tiny_cross, o.heads = 3;
  must_fail(pc_decoder_cross(&m, &o), PC_EARG, "3 heads do not divide the inner width 4");
  o = tiny_cross, o.octaves = 30;
  must_fail(pc_decoder_cross(&m, &o), PC_EARG, "octaves: expected an integer from 1 to 24, got 30");
  r.slots = 0;
  must_fail(pc_decoder_render(&m, &r), PC_EARG, "slots: expected an integer >= 1, got 0");
  r = tiny_render, r.window = -1;
  must_fail(pc_decoder_render(&m, &r), PC_EARG, "render_decoder: window: expected a number >= 0, got -1");
  r = tiny_render, r.patch = 3;
  must_fail(pc_decoder_render(&m, &r), PC_EARG, "patches of 3 do not tile");
  must_fail(pc_decoder_mlp(&m, &PC_OPTIONS_WITH(pc_mlp_decoder_opts, PC_MLP_DECODER_OPTIONS, .slots = 3)), PC_EARG,
            "slot_dim: expected an integer >= 1");
  must(pc_decoder_cross(&m, &tiny_cross));
  must_fail(run_module(m, &z, 1, out), PC_ESHAPE, "slots must be (B,3,2), got (5,2,2)");
  must_fail(run_module(m, &flat, 1, out), PC_ESHAPE, "got (5,6)");
  pc_module_release(m);
  o = tiny_cross, o.slots.given = 0; /* any number of slots */
  must(pc_decoder_cross(&m, &o));
  must(run_module(m, &z, 1, out));
  shape_is(out[1], "(5,6,2)");
  pc_tensor_release(out[0]);
  pc_tensor_release(out[1]);
  pc_module_release(m);
  pc_tensor_release(z);
  pc_tensor_release(flat);
}
END_TEST

START_TEST(gradients) {
  pc_module *m;
  pc_tensor *z = NORMAL(PC_F64, 1, 2, 3, 2);
  pc_cross_decoder_opts o = tiny_cross;
  o.layers = 1, o.width_px.value = o.height = 4;
  must(pc_decoder_cross(&m, &o));
  gradcheck_module(m, &z, 1, 0, 0);
  gradcheck_module(m, &z, 1, 1, 0);
  pc_module_release(m);
  for (int windows = 0; windows < 2; windows++) {
    pc_render_decoder_opts r = tiny_render;
    r.window = windows * 3;
    must(pc_decoder_render(&m, &r));
    gradcheck_module(m, &z, 1, 0, 0);
    gradcheck_module(m, &z, 1, 1, 0);
    pc_module_release(m);
  }
  must(pc_decoder_broadcast(
      &m, &PC_OPTIONS_WITH(pc_broadcast_decoder_opts, PC_BROADCAST_DECODER_OPTIONS, .slots = PC_GIVEN(3), .slot_dim = 2,
                           .height = 4, .channels = 1, .hidden = 3, .doublings = 1, .act = PC_ACTIVATION_tanh)));
  gradcheck_module(m, &z, 1, 0, 0);
  gradcheck_module(m, &z, 1, 1, 0);
  pc_module_release(m);
  must(pc_decoder_pixel(&m, &PC_OPTIONS_WITH(pc_pixel_decoder_opts, PC_PIXEL_DECODER_OPTIONS, .slots = PC_GIVEN(3),
                                             .slot_dim = 2, .height = 4, .width_px = PC_GIVEN(2), .channels = 1,
                                             .hidden = 3, .layers = 2, .octaves = 1, .patch = 2)));
  gradcheck_module(m, &z, 1, 0, 0);
  gradcheck_module(m, &z, 1, 1, 0);
  pc_module_release(m);
  for (int shared = 0; shared < 2; shared++) {
    pc_deconv_opts d = {PC_ADDITIVE_DECODER_OPTIONS(PC_OPTION_INIT, ).slots = PC_GIVEN(3),
                        .slot_dim = 2,
                        .height = 8,
                        .channels = 1,
                        .hidden = 3,
                        .layers = 1,
                        .features = 2,
                        .act = PC_ACTIVATION_gelu};
    must(shared ? pc_decoder_additive(&m, &d) : pc_decoder_cnn(&m, &d));
    gradcheck_module(m, &z, 1, 0, 1);
    pc_module_release(m);
  }
  must(pc_decoder_mlp(&m, &PC_OPTIONS_WITH(pc_mlp_decoder_opts, PC_MLP_DECODER_OPTIONS, .slots = 3, .slot_dim = 2,
                                           .height = 3, .channels = 1, .hidden = 4)));
  gradcheck_module(m, &z, 1, 0, 0);
  pc_module_release(m);
  pc_tensor_release(z);
}
END_TEST

static Suite *decoders_suite(void) {
  Suite *s = suite_create("decoders");
  TCase *tc = tcase_create("decoders");
  tcase_set_timeout(tc, 60);
  tcase_add_test(tc, shapes_and_attention);
  tcase_add_test(tc, broadcast_is_additive);
  tcase_add_test(tc, broadcast_masks_and_messages);
  tcase_add_test(tc, additive_is_a_sum);
  tcase_add_test(tc, cnn_and_its_sizes);
  tcase_add_test(tc, pixel_masks_and_patches);
  tcase_add_test(tc, the_control_has_no_attention);
  tcase_add_test(tc, images_of_a_batch_are_independent);
  tcase_add_test(tc, patches_go_where_they_belong);
  tcase_add_test(tc, the_mean_image_is_added);
  tcase_add_test(tc, windows_by_formula);
  tcase_add_test(tc, tiles_change_nothing);
  tcase_add_test(tc, a_memory_limit_is_kept);
  tcase_add_test(tc, messages);
  tcase_add_test(tc, gradients);
  suite_add_tcase(s, tc);
  return s;
}

SUITE_MAIN(decoders_suite)
