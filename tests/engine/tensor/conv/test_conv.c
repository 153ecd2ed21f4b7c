/* test_conv.c: convolution, its transpose and its weight gradient: fast tiers
 * against the plain loops, minimal filtering where it is taken and by itself, the plain loops against each other
 * (adjointness) and against a hand-computed image; messages. */
#include "engine/tensor/brute.h"

#include "base/alloc.h"
#include "base/parallel.h"
#include "tensor/conv/conv_impl.h"

static pc_val two(int64_t a, int64_t b) { return pc_vlist(2, (int64_t[]){a, b}); }

/* 3x3 image, 2x2 kernel, by hand. */
START_TEST(by_hand) {
  pc_tensor *in[3], *y;
  must(pc_tensor_from(&in[0], PC_F64, SIZES(1, 3, 3, 1), (double[]){1, 2, 3, 4, 5, 6, 7, 8, 9}));
  must(pc_tensor_from(&in[1], PC_F64, SIZES(1, 2, 2, 1), (double[]){1, 0, 0, -2}));
  must(pc_tensor_from(&in[2], PC_F64, SIZES(1), (double[]){10}));
  static const double plain[] = {1, 0, -2, -3}, strided[] = {8, 4, -4, -3},
                      back[] = {11, 12, 13, 10, 14, 13, 12, 4, 17, 10, 9, -2, 10, -4, -6, -8};
  const pc_val none[5] = {{0}}, v[5] = {two(2, 2), two(1, 1)};
  y = run_tier(pc_cpu_best(), pc_fwd_conv2d, 3, in, none);
  ck_assert_str_eq(pc_shape_str(y), "(1,2,2,1)");
  for (int i = 0; i < 4; i++) ck_assert_double_eq(pc_f64(y)[i], plain[i]);
  pc_tensor_release(y);
  y = run_tier(pc_cpu_best(), pc_fwd_conv2d, 3, in, v);
  for (int i = 0; i < 4; i++) ck_assert_double_eq(pc_f64(y)[i], strided[i]);
  pc_tensor_release(y);
  y = run_tier(pc_cpu_best(), pc_fwd_conv_transpose2d, 3, in, none);
  ck_assert_str_eq(pc_shape_str(y), "(1,4,4,1)");
  for (int i = 0; i < 16; i++) ck_assert_double_eq(pc_f64(y)[i], back[i]);
  pc_tensor_release(y);
  for (int i = 0; i < 3; i++) pc_tensor_release(in[i]);
}
END_TEST

typedef struct shape {
  int64_t n, h, w, c, o, kh, kw, s, p, d, g;
} shape;

static const shape shapes[] = {
    {2, 9, 7, 3, 5, 3, 3, 1, 1, 1, 1},   {1, 7, 7, 1, 1, 1, 1, 1, 0, 1, 1},   {3, 8, 8, 7, 63, 1, 1, 1, 0, 1, 1},
    {2, 16, 16, 3, 8, 5, 5, 2, 2, 1, 1}, {2, 15, 13, 7, 3, 3, 5, 2, 1, 1, 1}, {1, 63, 65, 1, 3, 3, 3, 1, 1, 1, 1},
    {2, 11, 12, 6, 4, 3, 3, 1, 2, 2, 2}, {1, 9, 9, 4, 4, 3, 3, 3, 1, 1, 4},   {4, 16, 16, 32, 65, 3, 3, 2, 1, 1, 1},
    {1, 5, 5, 2, 3, 2, 2, 4, 0, 1, 1},   {5, 1, 1, 3, 7, 1, 1, 1, 0, 1, 1},   {2, 3, 40, 5, 7, 3, 1, 1, 1, 1, 1},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static int64_t out_size(int64_t n, const shape *s, int64_t k) { return (n + 2 * s->p - s->d * (k - 1) - 1) / s->s + 1; }

static double inner(const pc_tensor *a, const pc_tensor *b) {
  double s = 0;
  for (int64_t i = 0; i < pc_numel(a); i++) s += pc_at(a, i) * pc_at(b, i);
  return s;
}

/* <conv(x,w), y> = <x, convT(y,w)> = <w, weight(x,y)>: three ops, one trilinear form. */
START_TEST(tiers_and_adjoints) {
  const shape *s = &shapes[_i];
  int64_t oh = out_size(s->h, s, s->kh), ow = out_size(s->w, s, s->kw);
  int64_t ah = s->h - ((oh - 1) * s->s - 2 * s->p + s->d * (s->kh - 1) + 1),
          aw = s->w - ((ow - 1) * s->s - 2 * s->p + s->d * (s->kw - 1) + 1);
  const pc_val st = two(s->s, s->s), pad = two(s->p, s->p), dil = two(s->d, s->d);
  const pc_val vc[5] = {st, pad, dil, PC_VI(s->g)}, vt[5] = {st, pad, two(ah, aw), PC_VI(s->g), dil},
               vw[5] = {st, pad, dil, PC_VI(s->g), two(s->kh, s->kw)};
  for (int f64 = 0; f64 < 2; f64++) {
    pc_dtype d = f64 ? PC_F64 : PC_F32;
    double tol = f64 ? 1e-11 : 2e-4;
    pc_tensor *x = rnd(d, SIZES(s->n, s->h, s->w, s->c)), *y = rnd(d, SIZES(s->n, oh, ow, s->o)),
              *w = rnd(d, SIZES(s->o, s->kh, s->kw, s->c / s->g)), *bo = rnd(d, SIZES(s->o)), *bc = rnd(d, SIZES(s->c));
    tiers_agree(pc_fwd_conv2d, 3, (pc_tensor *[]){x, w, bo}, vc, tol, "conv2d");
    tiers_agree(pc_fwd_conv_transpose2d, 3, (pc_tensor *[]){y, w, bc}, vt, tol, "conv_transpose2d");
    tiers_agree(pc_fwd_conv2d_weight, 2, (pc_tensor *[]){x, y}, vw, tol, "conv2d_weight");
    pc_tensor *cy = run_tier(PC_TIER_REF, pc_fwd_conv2d, 2, (pc_tensor *[]){x, w}, vc),
              *cx = run_tier(PC_TIER_REF, pc_fwd_conv_transpose2d, 2, (pc_tensor *[]){y, w}, vt),
              *cw = run_tier(PC_TIER_REF, pc_fwd_conv2d_weight, 2, (pc_tensor *[]){x, y}, vw);
    double a = inner(cy, y), scale = 1 + fabs(a);
    ck_assert_double_eq_tol(inner(cx, x), a, 100 * tol * scale);
    ck_assert_double_eq_tol(inner(cw, w), a, 100 * tol * scale);
    pc_tensor *all[] = {x, y, w, bo, bc, cy, cx, cw};
    for (int i = 0; i < 8; i++) pc_tensor_release(all[i]);
  }
}
END_TEST

START_TEST(threads) {
  const pc_val v[5] = {two(2, 2), two(1, 1), two(1, 1), PC_VI(1), two(3, 3)};
  pc_tensor *x = rnd(PC_F32, SIZES(8, 33, 31, 16)), *w = rnd(PC_F32, SIZES(24, 3, 3, 16)),
            *y = rnd(PC_F32, SIZES(8, 17, 16, 24));
  pc_forward_fn *f[] = {pc_fwd_conv2d, pc_fwd_conv2d_weight, pc_fwd_conv_transpose2d};
  pc_tensor *in[][2] = {{x, w}, {x, y}, {y, w}};
  const pc_val vt[5] = {two(2, 2), two(1, 1), two(0, 0), PC_VI(1), two(1, 1)};
  for (int i = 0; i < 3; i++) {
    pc_set_num_threads(1);
    pc_tensor *one = run_tier(pc_cpu_best(), f[i], 2, in[i], i == 2 ? vt : v);
    pc_set_num_threads(2);
    pc_tensor *two_ = run_tier(pc_cpu_best(), f[i], 2, in[i], i == 2 ? vt : v);
    same(one, two_, 0, "1 and 2 threads");
    pc_tensor_release(one);
    pc_tensor_release(two_);
  }
  pc_tensor_release(x);
  pc_tensor_release(w);
  pc_tensor_release(y);
}
END_TEST

/* ---- minimal filtering (winograd.c) ---- */

typedef struct filtering {
  int64_t n, h, w, c, o, kh, kw, sy, sx, py, px;
  int taken; /* by pc_conv_*: bits of forward, transpose, weight */
} filtering;

static const filtering filterings[] = {
    {4, 16, 16, 64, 64, 5, 5, 2, 2, 2, 2, 7}, {2, 16, 16, 32, 48, 3, 3, 1, 1, 1, 1, 7},
    {3, 15, 33, 48, 32, 5, 5, 2, 2, 2, 2, 7}, {1, 63, 65, 32, 32, 3, 3, 1, 1, 1, 1, 7},
    {1, 65, 63, 32, 32, 5, 5, 2, 2, 2, 2, 7}, {1, 16, 16, 32, 32, 3, 3, 1, 1, 1, 1, 7},
    {3, 31, 32, 32, 32, 4, 4, 2, 2, 1, 1, 7}, {2, 32, 32, 32, 32, 6, 6, 2, 2, 2, 2, 7},
    {8, 32, 16, 32, 32, 5, 3, 2, 1, 2, 1, 7}, {6, 18, 18, 32, 32, 5, 5, 2, 2, 0, 1, 5},
    {1, 1, 1, 32, 32, 3, 3, 1, 1, 1, 1, 0},   {3, 3, 7, 32, 32, 3, 3, 1, 1, 1, 1, 0},
    {2, 7, 3, 32, 32, 5, 5, 2, 2, 2, 2, 0},   {4, 16, 16, 32, 32, 1, 1, 2, 2, 0, 0, 0},
    {2, 36, 34, 32, 32, 7, 7, 3, 3, 3, 3, 7}, {2, 13, 14, 32, 32, 2, 3, 3, 1, 0, 1, 0},
    {2, 9, 9, 32, 32, 3, 3, 1, 1, 4, 0, 5},
};
enum { FILTERINGS = sizeof filterings / sizeof *filterings };

static pc_conv_geo geometry(const filtering *f) {
  return (pc_conv_geo){f->n,
                       f->h,
                       f->w,
                       f->c,
                       (f->h + 2 * f->py - f->kh) / f->sy + 1,
                       (f->w + 2 * f->px - f->kw) / f->sx + 1,
                       f->o,
                       f->kh,
                       f->kw,
                       1,
                       f->sy,
                       f->sx,
                       f->py,
                       f->px,
                       1,
                       1};
}

static int run_op(pc_conv_op op, const pc_conv_geo *g, float *out, const pc_tensor *a, const pc_tensor *b,
                  const pc_tensor *bias, pc_conv_fused f, int filtered) {
  const float *pb = bias ? pc_f32(bias) : NULL;
  if (op == PC_CONV_FORWARD)
    return filtered ? pc_winograd_forward(g, out, pc_f32(a), pc_f32(b), pb, f)
                    : pc_conv_forward(PC_F32, g, out, pc_f32(a), pc_f32(b), pb, f);
  if (op == PC_CONV_TRANSPOSE)
    return filtered ? pc_winograd_transpose(g, out, pc_f32(a), pc_f32(b), pb, f)
                    : pc_conv_transpose(PC_F32, g, out, pc_f32(a), pc_f32(b), pb, f);
  return filtered ? pc_winograd_weight(g, out, pc_f32(a), pc_f32(b), f)
                  : pc_conv_weight(PC_F32, g, out, pc_f32(a), pc_f32(b), f);
}

static pc_tensor *random_mask(const pc_tensor *t) {
  pc_tensor *m;
  must(pc_tensor_empty(&m, PC_U8, t->ndim, t->size));
  for (int64_t i = 0; i < pc_numel(t); i++) pc_u8(m)[i] = (i * 2654435761u >> 7) % 3 ? (uint8_t)(1 + i % 255) : 0;
  return m;
}

/* All tiers against the plain loops, plain and with bias, relu and masks; through the front door, too, which takes it
 * where it says so. */
START_TEST(minimal_filtering) {
  const filtering *s = &filterings[_i];
  pc_conv_geo g = geometry(s);
  pc_tensor *x = rnd(PC_F32, SIZES(g.n, g.h, g.w, g.c)), *y = rnd(PC_F32, SIZES(g.n, g.oh, g.ow, g.o)),
            *w = rnd(PC_F32, SIZES(g.o, g.kh, g.kw, g.c)), *bo = rnd(PC_F32, SIZES(g.o)), *bc = rnd(PC_F32, SIZES(g.c)),
            *mx = random_mask(x), *my = random_mask(y), *out[2];
  for (int op = PC_CONV_FORWARD; op <= PC_CONV_WEIGHT; op++) {
    const pc_tensor *a = op == PC_CONV_TRANSPOSE ? y : x, *b = op == PC_CONV_WEIGHT ? y : w,
                    *like = op == PC_CONV_FORWARD     ? y
                            : op == PC_CONV_TRANSPOSE ? x
                                                      : w,
                    *bias = op == PC_CONV_FORWARD     ? bo
                            : op == PC_CONV_TRANSPOSE ? bc
                                                      : NULL;
    for (int i = 0; i < 2; i++) must(pc_tensor_empty(&out[i], PC_F32, like->ndim, like->size));
    for (int fused = 0; fused < 2; fused++) {
      pc_conv_fused f = {0};
      if (fused) {
        f.mask = pc_u8(op == PC_CONV_TRANSPOSE ? my : mx);
        f.mask_gy = op == PC_CONV_WEIGHT ? pc_u8(my) : NULL;
        f.relu = op != PC_CONV_WEIGHT;
      }
      must(pc_cpu_set_tier(PC_TIER_REF));
      must(run_op((pc_conv_op)op, &g, pc_f32(out[0]), a, b, fused ? bias : NULL, f, 0));
      double size = 0; /* errors are relative to a result's typical size */
      for (int64_t i = 0; i < pc_numel(out[0]); i++) size += pc_at(out[0], i) * pc_at(out[0], i);
      size = sqrt(size / (double)pc_numel(out[0]));
      for (int t = PC_TIER_BASE; t <= (int)pc_cpu_best(); t++)
        for (int filtered = 0; filtered < 2; filtered++) {
          must(pc_cpu_set_tier((pc_tier)t));
          ck_assert_int_eq(pc_winograd_suits(PC_F32, &g, (pc_conv_op)op), s->taken >> op & 1);
          ck_assert(!pc_winograd_suits(PC_F64, &g, (pc_conv_op)op));
          for (int64_t i = 0; i < pc_numel(out[1]); i++) pc_f32(out[1])[i] = NAN;
          must(run_op((pc_conv_op)op, &g, pc_f32(out[1]), a, b, fused ? bias : NULL, f, filtered));
          for (int64_t i = 0; i < pc_numel(out[1]); i++) {
            double got = pc_at(out[1], i), want = pc_at(out[0], i);
            if (!(fabs(got - want) <= 3e-5 * (size + fabs(want))))
              ck_abort_msg("shape %d, op %d, tier %d, fused %d, filtered %d: element %lld: %.9g, expected %.9g", _i, op,
                           t, fused, filtered, (long long)i, got, want);
          }
        }
    }
    for (int i = 0; i < 2; i++) pc_tensor_release(out[i]);
  }
  must(pc_cpu_set_tier(pc_cpu_best()));
  pc_tensor *all[] = {x, y, w, bo, bc, mx, my};
  for (int i = 0; i < 7; i++) pc_tensor_release(all[i]);
}
END_TEST

/* Other shapes are not taken; the same bits for any number of threads; a failing allocation is an error, and nothing is
 * kept. */
START_TEST(filtering_limits) {
  const pc_conv_geo good = geometry(&filterings[0]);
  pc_conv_geo bad[7];
  for (int i = 0; i < 7; i++) bad[i] = good;
  bad[0].groups = 2;
  bad[1].dy = 2;
  bad[2].c = 24;
  bad[3].o = 16;
  bad[4].kh = 7;
  bad[5].sy = 4;
  bad[6].n = 0;
  for (int i = 0; i < 7; i++)
    for (int op = PC_CONV_FORWARD; op <= PC_CONV_WEIGHT; op++)
      ck_assert_msg(!pc_winograd_suits(PC_F32, &bad[i], (pc_conv_op)op), "shape %d, op %d", i, op);
  pc_conv_geo g = good;
  g.n = 40;
  pc_tensor *x = rnd(PC_F32, SIZES(g.n, g.h, g.w, g.c)), *y = rnd(PC_F32, SIZES(g.n, g.oh, g.ow, g.o)),
            *w = rnd(PC_F32, SIZES(g.o, g.kh, g.kw, g.c)), *out[2];
  for (int op = PC_CONV_FORWARD; op <= PC_CONV_WEIGHT; op++) {
    const pc_tensor *a = op == PC_CONV_TRANSPOSE ? y : x, *b = op == PC_CONV_WEIGHT ? y : w,
                    *like = op == PC_CONV_FORWARD     ? y
                            : op == PC_CONV_TRANSPOSE ? x
                                                      : w;
    for (int i = 0; i < 2; i++) {
      must(pc_tensor_empty(&out[i], PC_F32, like->ndim, like->size));
      pc_set_num_threads(i + 1);
      must(run_op((pc_conv_op)op, &g, pc_f32(out[i]), a, b, NULL, (pc_conv_fused){0}, 0));
    }
    same(out[0], out[1], 0, "1 and 2 threads");
    pc_alloc_stats before, after;
    pc_alloc_get_stats(&before);
    int fine = 0, failures = 0;
    for (int64_t nth = 1; fine < 2; nth++) {
      pc_alloc_fail_nth(nth);
      int rc = run_op((pc_conv_op)op, &g, pc_f32(out[1]), a, b, NULL, (pc_conv_fused){0}, 0);
      pc_alloc_fail_nth(0);
      ck_assert(rc == PC_OK || rc == PC_ENOMEM);
      failures += rc != PC_OK;
      fine = rc == PC_OK ? fine + 1 : 0;
      pc_alloc_get_stats(&after);
      ck_assert_int_eq(after.live, before.live);
    }
    ck_assert_int_ge(failures, 4);
    same(out[0], out[1], 0, "after failures");
    for (int i = 0; i < 2; i++) pc_tensor_release(out[i]);
  }
  pc_tensor_release(x);
  pc_tensor_release(y);
  pc_tensor_release(w);
}
END_TEST

START_TEST(messages) {
  const pc_val none[5] = {{0}}, s0[5] = {two(0, 1)}, g2[5] = {{0}, {0}, {0}, PC_VI(2)},
               ap[5] = {two(2, 2), {0}, two(2, 0)};
  pc_tensor *x = rnd(PC_F32, SIZES(2, 3, 8, 8)), *w = rnd(PC_F32, SIZES(16, 5, 5, 3)),
            *one = rnd(PC_F32, SIZES(8, 8, 3)), *im = rnd(PC_F32, SIZES(2, 3, 3, 3)), *b = rnd(PC_F32, SIZES(3)),
            *w3 = rnd(PC_F32, SIZES(3, 3, 3, 3)), *im9 = rnd(PC_F32, SIZES(1, 9, 9, 3));
  refuses(
      pc_fwd_conv2d, 2, (pc_tensor *[]){x, w}, none, PC_ESHAPE,
      "conv2d: x (2,3,8,8) has 8 channels (its last dimension), weight (16,5,5,3) (O,kh,kw,I/groups) takes 3; images "
      "are "
      "channels last: did you mean x:permute(1,3,4,2)?");
  refuses(pc_fwd_conv2d, 2, (pc_tensor *[]){one, w}, none, PC_ESHAPE,
          "conv2d: x (8,8,3) must be (N,H,W,C); one image? unsqueeze(1) it");
  refuses(pc_fwd_conv2d, 2, (pc_tensor *[]){im, w}, none, PC_ESHAPE,
          "conv2d: kernel of weight (16,5,5,3) (dilation {1,1}) is larger than x (2,3,3,3) padded by {0,0}");
  refuses(pc_fwd_conv2d, 2, (pc_tensor *[]){im, w3}, s0, PC_EARG, "conv2d: stride {0,1} must be at least 1");
  refuses(pc_fwd_conv2d, 2, (pc_tensor *[]){im, w3}, g2, PC_ESHAPE,
          "conv2d: x (2,3,3,3) has 3 channels (its last dimension), weight (3,3,3,3) (O,kh,kw,I/groups) takes 6");
  refuses(pc_fwd_conv2d, 3, (pc_tensor *[]){im9, w, b}, none, PC_ESHAPE,
          "conv2d: bias (3) must be (16): the output channels of weight (16,5,5,3)");
  refuses(
      pc_fwd_conv_transpose2d, 2, (pc_tensor *[]){im, w}, none, PC_ESHAPE,
      "conv_transpose2d: x (2,3,3,3) has 3 channels (its last dimension), weight (16,5,5,3) (I,kh,kw,O/groups) takes "
      "16");
  refuses(pc_fwd_conv_transpose2d, 2, (pc_tensor *[]){im, w3}, ap, PC_EARG,
          "conv_transpose2d: output_padding {2,0} must be smaller than stride {2,2}");
  pc_tensor *all[] = {x, w, one, im, b, w3, im9};
  for (int i = 0; i < 7; i++) pc_tensor_release(all[i]);
}
END_TEST

int main(void) {
  Suite *s = suite_create("conv");
  TCase *tc = tcase_create("conv");
  tcase_set_timeout(tc, 60);
  tcase_add_test(tc, by_hand);
  tcase_add_loop_test(tc, tiers_and_adjoints, 0, SHAPES);
  tcase_add_test(tc, threads);
  tcase_add_loop_test(tc, minimal_filtering, 0, FILTERINGS);
  tcase_add_test(tc, filtering_limits);
  tcase_add_test(tc, messages);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
