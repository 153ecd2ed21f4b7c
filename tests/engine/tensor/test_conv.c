/* test_conv.c: convolution, its transpose and its weight gradient: fast tiers
 * against the plain loops, the plain loops against each other (adjointness) and
 * against a hand-computed image; messages. */
#include "engine/tensor/brute.h"

#include "base/parallel.h"
#include "tensor/conv.h"

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

START_TEST(messages) {
  const pc_val none[5] = {{0}}, s0[5] = {two(0, 1)}, g2[5] = {{0}, {0}, {0}, PC_VI(2)},
               ap[5] = {two(2, 2), {0}, two(2, 0)};
  pc_tensor *x = rnd(PC_F32, SIZES(2, 3, 8, 8)), *w = rnd(PC_F32, SIZES(16, 5, 5, 3)),
            *one = rnd(PC_F32, SIZES(8, 8, 3)), *im = rnd(PC_F32, SIZES(2, 3, 3, 3)), *b = rnd(PC_F32, SIZES(3)),
            *w3 = rnd(PC_F32, SIZES(3, 3, 3, 3)), *im9 = rnd(PC_F32, SIZES(1, 9, 9, 3));
  fails(pc_fwd_conv2d, 2, (pc_tensor *[]){x, w}, none, PC_ESHAPE,
        "conv2d: x (2,3,8,8) has 8 channels (its last dimension), weight (16,5,5,3) (O,kh,kw,I/groups) takes 3; images "
        "are "
        "channels last: did you mean x:permute(1,3,4,2)?");
  fails(pc_fwd_conv2d, 2, (pc_tensor *[]){one, w}, none, PC_ESHAPE,
        "conv2d: x (8,8,3) must be (N,H,W,C); one image? unsqueeze(1) it");
  fails(pc_fwd_conv2d, 2, (pc_tensor *[]){im, w}, none, PC_ESHAPE,
        "conv2d: kernel of weight (16,5,5,3) (dilation {1,1}) is larger than x (2,3,3,3) padded by {0,0}");
  fails(pc_fwd_conv2d, 2, (pc_tensor *[]){im, w3}, s0, PC_EARG, "conv2d: stride {0,1} must be at least 1");
  fails(pc_fwd_conv2d, 2, (pc_tensor *[]){im, w3}, g2, PC_ESHAPE,
        "conv2d: x (2,3,3,3) has 3 channels (its last dimension), weight (3,3,3,3) (O,kh,kw,I/groups) takes 6");
  fails(pc_fwd_conv2d, 3, (pc_tensor *[]){im9, w, b}, none, PC_ESHAPE,
        "conv2d: bias (3) must be (16): the output channels of weight (16,5,5,3)");
  fails(pc_fwd_conv_transpose2d, 2, (pc_tensor *[]){im, w}, none, PC_ESHAPE,
        "conv_transpose2d: x (2,3,3,3) has 3 channels (its last dimension), weight (16,5,5,3) (I,kh,kw,O/groups) takes "
        "16");
  fails(pc_fwd_conv_transpose2d, 2, (pc_tensor *[]){im, w3}, ap, PC_EARG,
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
  tcase_add_test(tc, messages);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
