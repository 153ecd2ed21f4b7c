/* test_norm.c: layer and group norm against their definitions; tiers; messages. */
#include "engine/tensor/brute.h"

#include "base/parallel.h"
#include "tensor/fused/norm.h"

static const pc_val none[4];

/* y at every element, from the definition: statistics over the last dimension. */
START_TEST(layer_norm_by_definition) {
  static const int64_t sizes[] = {1, 3, 7, 16, 63, 65, 200};
  for (int k = 0; k < 7; k++) {
    int64_t c = sizes[k], rows = 37;
    pc_tensor *x = rnd(PC_F32, SIZES(rows, c)), *w = rnd(PC_F32, SIZES(c)), *b = rnd(PC_F32, SIZES(c));
    pc_tensor *in[] = {x, w, b}, *y = run_tier(pc_cpu_best(), pc_fwd_layer_norm, 3, in, none), *want;
    must(pc_tensor_empty(&want, PC_F64, SIZES(rows, c)));
    for (int64_t r = 0; r < rows; r++) {
      double m = 0, v = 0;
      for (int64_t i = 0; i < c; i++) m += pc_f32(x)[r * c + i] / (double)c;
      for (int64_t i = 0; i < c; i++) v += pow(pc_f32(x)[r * c + i] - m, 2) / (double)c;
      for (int64_t i = 0; i < c; i++)
        pc_f64(want)[r * c + i] = (pc_f32(x)[r * c + i] - m) / sqrt(v + 1e-5) * pc_f32(w)[i] + pc_f32(b)[i];
    }
    same(y, want, c == 1 ? 1e-3 : 2e-5, "layer_norm");
    tiers_agree(pc_fwd_layer_norm, 3, in, none, 2e-5, "layer_norm tiers");
    tiers_agree(pc_fwd_layer_norm, 1, in, none, 2e-5, "layer_norm without weight");
    tiers_agree(pc_fwd_layer_norm_backward, 3, (pc_tensor *[]){x, x, w}, none, 2e-4, "layer_norm backward");
    pc_tensor *all[] = {x, w, b, y, want};
    for (int i = 0; i < 5; i++) pc_tensor_release(all[i]);
  }
}
END_TEST

START_TEST(group_norm_by_definition) {
  pc_tensor *x = rnd(PC_F32, SIZES(3, 5, 7, 6)), *w = rnd(PC_F32, SIZES(6)), *b = rnd(PC_F32, SIZES(6));
  pc_tensor *in[] = {x, w, b};
  for (int groups = 1; groups <= 6; groups++) {
    pc_val v[2] = {PC_VI(groups)};
    if (6 % groups) continue;
    pc_tensor *y = run_tier(pc_cpu_best(), pc_fwd_group_norm, 3, in, v), *want;
    must(pc_tensor_empty(&want, PC_F64, SIZES(3, 5, 7, 6)));
    int64_t cg = 6 / groups;
    for (int64_t n = 0; n < 3; n++)
      for (int64_t q = 0; q < groups; q++) {
        double m = 0, s = 0, count = (double)(35 * cg);
        for (int64_t i = 0; i < 35 * 6; i++)
          if (i % 6 / cg == q) m += pc_f32(x)[n * 210 + i] / count;
        for (int64_t i = 0; i < 35 * 6; i++)
          if (i % 6 / cg == q) s += pow(pc_f32(x)[n * 210 + i] - m, 2) / count;
        for (int64_t i = 0; i < 35 * 6; i++)
          if (i % 6 / cg == q)
            pc_f64(want)[n * 210 + i] =
                (pc_f32(x)[n * 210 + i] - m) / sqrt(s + 1e-5) * pc_f32(w)[i % 6] + pc_f32(b)[i % 6];
      }
    same(y, want, 2e-5, "group_norm");
    tiers_agree(pc_fwd_group_norm, 3, in, v, 2e-5, "group_norm tiers");
    tiers_agree(pc_fwd_group_norm_backward, 3, (pc_tensor *[]){y, x, w}, v, 2e-4, "group_norm backward");
    pc_tensor_release(y);
    pc_tensor_release(want);
  }
  for (int i = 0; i < 3; i++) pc_tensor_release(in[i]);
}
END_TEST

/* Sums over many rows do not depend on how many threads share them. */
START_TEST(threads) {
  pc_tensor *x = rnd(PC_F32, SIZES(5000, 65)), *g = rnd(PC_F32, SIZES(5000, 65)), *out[2][3];
  for (int t = 0; t < 2; t++) {
    pc_set_num_threads(t + 1);
    must(pc_fwd_layer_norm_backward(out[t], (pc_tensor *[]){g, x, NULL}, 3, none));
  }
  for (int i = 0; i < 3; i++) {
    same(out[0][i], out[1][i], 0, "1 and 2 threads");
    pc_tensor_release(out[0][i]);
    pc_tensor_release(out[1][i]);
  }
  pc_tensor_release(x);
  pc_tensor_release(g);
}
END_TEST

static pc_tensor *wide(pc_tensor *x) {
  pc_tensor *y;
  must(pc_to_dtype(&y, x, PC_F64));
  return y;
}

/* Equal numbers come out as 0, whatever they are: nothing may be left of the mean's rounding. */
START_TEST(constants_are_zero) {
  static const double values[] = {0.01, 0.1, 3, 3.1, 100.1, 1e4 + 0.1, -1e6};
  static const int64_t sizes[] = {3, 8, 64, 96, 257, 4096};
  for (int t = PC_TIER_REF; t <= (int)pc_cpu_best(); t++)
    for (int i = 0; i < 7 * 6; i++) {
      int64_t c = sizes[i / 7];
      pc_tensor *x, *y;
      const pc_val groups[2] = {PC_VI(c % 2 ? 1 : 2)};
      must(pc_tensor_empty(&x, PC_F32, SIZES(2, 9, 9, c)));
      must(pc_fill(x, values[i % 7]));
      for (int g = 0; g < 2; g++) {
        y = run_tier((pc_tier)t, g ? pc_fwd_group_norm : pc_fwd_layer_norm, 1, &x, g ? groups : none);
        for (int64_t k = 0; k < pc_numel(y); k++)
          if (!(fabs((double)pc_f32(y)[k]) <= 1e-6))
            ck_abort_msg("%g of %lld, tier %d: %g", values[i % 7], (long long)c, t, (double)pc_f32(y)[k]);
        pc_tensor_release(y);
      }
      pc_tensor_release(x);
    }
}
END_TEST

/* Numbers far from 0 for how much they vary, and many of them: f32 against f64, forward and backward. */
START_TEST(far_and_many) {
  static const struct {
    int64_t n, h, c;
    double offset, tol;
  } cases[] = {{4, 3, 64, 1000, 2e-4}, {4, 3, 33, -200, 5e-5},  {2, 300, 1, 1, 1e-5},
               {1, 64, 8, 50, 2e-5},   {1, 1, 5000, 0.5, 5e-6}, {3, 1, 5000, 30, 2e-5}};
  for (int t = PC_TIER_REF; t <= (int)pc_cpu_best(); t++)
    for (int i = 0; i < 6; i++)
      for (int g = 0; g < 2; g++) {
        if (cases[i].c == 1 && !g) continue;
        pc_tensor *x = rnd(PC_F32, SIZES(cases[i].n, cases[i].h, cases[i].h, cases[i].c));
        for (int64_t k = 0; k < pc_numel(x); k++) pc_f32(x)[k] += (float)cases[i].offset;
        pc_tensor *gy = rnd(PC_F32, SIZES(cases[i].n, cases[i].h, cases[i].h, cases[i].c));
        pc_tensor *x64 = wide(x), *gy64 = wide(gy), *in[] = {gy, x}, *in64[] = {gy64, x64};
        pc_forward_fn *fwd = g ? pc_fwd_group_norm : pc_fwd_layer_norm;
        pc_forward_fn *bwd = g ? pc_fwd_group_norm_backward : pc_fwd_layer_norm_backward;
        pc_tensor *y = run_tier((pc_tier)t, fwd, 1, &x, none), *want = run_tier(PC_TIER_REF, fwd, 1, &x64, none);
        same(y, want, cases[i].tol, "forward");
        pc_tensor *gx[3], *want_gx[3];
        pc_cpu_set_tier((pc_tier)t);
        must(bwd(gx, in, 2, none));
        must(bwd(want_gx, in64, 2, none));
        same(gx[0], want_gx[0], 4 * cases[i].tol, "backward");
        pc_tensor *all[] = {x, gy, x64, gy64, y, want};
        for (int k = 0; k < 6; k++) pc_tensor_release(all[k]);
        for (int k = 0; k < 3; k++) pc_tensor_release(gx[k]), pc_tensor_release(want_gx[k]);
      }
  pc_cpu_set_tier(pc_cpu_best());
}
END_TEST

START_TEST(messages) {
  pc_tensor *x = rnd(PC_F32, SIZES(2, 3, 8)), *w = rnd(PC_F32, SIZES(7)), *v1 = rnd(PC_F32, SIZES(4));
  const pc_val dims[2] = {PC_VI(4)}, three[2] = {PC_VI(3)};
  refuses(pc_fwd_layer_norm, 2, (pc_tensor *[]){x, w}, none, PC_ESHAPE,
          "layer_norm: weight (7) must have the shape (8) of the last 1 dimension of x (2,3,8)");
  refuses(pc_fwd_layer_norm, 1, &x, dims, PC_EARG,
          "layer_norm: dims = 4 must be between 1 and the 3 dimensions of x (2,3,8)");
  refuses(pc_fwd_group_norm, 1, &x, three, PC_EARG,
          "group_norm: groups = 3 does not divide the 8 channels (last dimension) of x (2,3,8)");
  refuses(pc_fwd_group_norm, 1, &v1, none, PC_ESHAPE, "group_norm: x (4) must be (N,...,C): channels last");
  pc_tensor_release(x);
  pc_tensor_release(w);
  pc_tensor_release(v1);
}
END_TEST

int main(void) {
  Suite *s = suite_create("norm");
  TCase *tc = tcase_create("norm");
  tcase_set_timeout(tc, 60);
  tcase_add_test(tc, layer_norm_by_definition);
  tcase_add_test(tc, group_norm_by_definition);
  tcase_add_test(tc, threads);
  tcase_add_test(tc, constants_are_zero);
  tcase_add_test(tc, far_and_many);
  tcase_add_test(tc, messages);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
