/* test_qkv.c: the three projections of self-attention in one pass against the formula op by op: values and all
 * gradients, at odd sizes, in every tier, for any part of the inputs; the same bits for any number of threads;
 * second derivatives, results nobody uses; messages. */
#include "engine/tensor/brute.h"

#include "base/parallel.h"
#include "grad/op.h"
#include "grad/ops_linalg.h"
#include "grad/ops_nn.h"

typedef struct shape {
  int64_t rows, width, to[PC_QKV];
  int norm, affine, bias;
} shape;

static const shape shapes[] = {{1, 1, {1, 1, 1}, 1, 1, 1},        {3, 7, {7, 63, 3}, 1, 1, 0},
                               {65, 63, {65, 7, 1}, 0, 0, 1},     {300, 65, {65, 65, 65}, 1, 0, 1},
                               {63, 3, {63, 1, 65}, 0, 0, 0},     {1000, 96, {96, 96, 96}, 1, 1, 1},
                               {7000, 16, {16, 16, 16}, 1, 1, 1}, {0, 5, {3, 3, 5}, 1, 1, 1}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void make(const shape *t, pc_tensor **in) {
  memset(in, 0, sizeof *in * PC_QKV_INPUTS);
  in[PC_QKV_X] = rnd(PC_F32, SIZES(t->rows, t->width));
  if (t->affine) in[PC_QKV_GAMMA] = rnd(PC_F32, SIZES(t->width));
  if (t->affine) in[PC_QKV_BETA] = rnd(PC_F32, SIZES(t->width));
  for (int i = 0; i < PC_QKV; i++) {
    pc_tensor *w = in[PC_QKV_W + 2 * i] = rnd(PC_F32, SIZES(t->to[i], t->width));
    for (int64_t k = 0; k < pc_numel(w); k++) pc_f32(w)[k] /= sqrtf((float)t->width);
    if (t->bias) in[PC_QKV_W + 2 * i + 1] = rnd(PC_F32, SIZES(t->to[i]));
  }
  for (int i = 0; i < PC_QKV_INPUTS; i++)
    if (in[i]) must(pc_set_requires_grad(in[i], 1));
}

static void let_go(pc_tensor **t, int n) {
  for (int i = 0; i < n; i++) pc_tensor_release(t[i]);
}

static void gradients(const shape *t, pc_tensor **gy) {
  for (int i = 0; i < PC_QKV; i++) gy[i] = rnd(PC_F32, SIZES(t->rows, t->to[i]));
}

static uint64_t all_of(pc_tensor *const *in) {
  uint64_t all = 0;
  for (int i = 0; i < PC_QKV_INPUTS; i++) all |= (uint64_t)(in[i] != NULL) << i;
  return all;
}

static pc_qkv_form form(const shape *t, pc_tensor *const *in) {
  pc_qkv_form f = {.norm = t->norm, .eps = PC_NORM_EPS, .norm_weight = in[PC_QKV_GAMMA], .norm_bias = in[PC_QKV_BETA]};
  for (int i = 0; i < PC_QKV; i++) {
    f.weight[i] = in[PC_QKV_W + 2 * i];
    f.bias[i] = in[PC_QKV_W + 2 * i + 1];
  }
  return f;
}

static void composed(pc_scope *s, const shape *t, pc_tensor *const *in, pc_tensor **y) {
  pc_tensor *h = in[0];
  if (t->norm) h = pc_layer_norm(s, h, in[PC_QKV_GAMMA], in[PC_QKV_BETA], 1, PC_NORM_EPS);
  for (int i = 0; i < PC_QKV; i++) y[i] = pc_linear(s, h, in[PC_QKV_W + 2 * i], in[PC_QKV_W + 2 * i + 1]);
}

/* Through the tape. used: how many of the results have a gradient, from the last on. */
static void against_formula(const shape *t, int used) {
  pc_tensor *in[PC_QKV_INPUTS], *x[PC_QKV_INPUTS], *y[2][PC_QKV], *gy[PC_QKV], *g[2][PC_QKV_INPUTS];
  int nx = 0;
  make(t, in);
  pc_qkv_form f = form(t, in);
  pc_scope s = {0};
  pc_qkv_run(&s, in[0], &f, y[0]);
  composed(&s, t, in, y[1]);
  must(s.rc);
  for (int i = 0; i < PC_QKV_INPUTS; i++)
    if (in[i] && (i < PC_QKV_W || i >= PC_QKV_W + 2 * (PC_QKV - used))) x[nx++] = in[i];
  gradients(t, gy);
  for (int i = 0; i < PC_QKV; i++) same(y[0][i], y[1][i], 2e-5, "y");
  for (int k = 0; k < 2; k++) must(pc_grad(g[k], y[k] + PC_QKV - used, gy + PC_QKV - used, used, x, nx, NULL));
  for (int i = 0; i < nx; i++) same(g[0][i], g[1][i], 5e-4, "gradient");
  for (int k = 0; k < 2; k++) let_go(g[k], nx);
  pc_scope_end(&s, NULL, 0);
  let_go(gy, PC_QKV);
  let_go(in, PC_QKV_INPUTS);
}

START_TEST(formula) {
  against_formula(&shapes[_i], PC_QKV);
  against_formula(&shapes[_i], 1); /* two results that nobody uses */
}
END_TEST

static void run(const shape *t, pc_tensor *const *in, pc_tensor *const *gy, uint64_t need, pc_tensor **y,
                pc_tensor **g) {
  const pc_val v[] = {PC_VI(t->norm), PC_VD(1e-5), PC_VI((int64_t)need)};
  pc_tensor *all[PC_QKV + PC_QKV_INPUTS];
  memcpy(all, gy, sizeof *gy * PC_QKV);
  memcpy(all + PC_QKV, in, sizeof *in * PC_QKV_INPUTS);
  must(pc_fwd_qkv(y, in, PC_QKV_INPUTS, v));
  must(pc_fwd_qkv_backward(g, all, PC_QKV + PC_QKV_INPUTS, v));
}

START_TEST(tiers) {
  const shape *t = &shapes[_i];
  pc_tensor *in[PC_QKV_INPUTS], *y[2][PC_QKV], *gy[PC_QKV], *g[2][PC_QKV_INPUTS];
  make(t, in);
  gradients(t, gy);
  must(pc_cpu_set_tier(PC_TIER_REF));
  run(t, in, gy, all_of(in), y[0], g[0]);
  for (int tier = PC_TIER_BASE; tier <= (int)pc_cpu_best(); tier++) {
    must(pc_cpu_set_tier((pc_tier)tier));
    run(t, in, gy, all_of(in), y[1], g[1]);
    for (int i = 0; i < PC_QKV; i++) same(y[1][i], y[0][i], 2e-5, pc_tier_name((pc_tier)tier));
    for (int i = 0; i < PC_QKV_INPUTS; i++)
      if (in[i]) same(g[1][i], g[0][i], 5e-4, pc_tier_name((pc_tier)tier));
    let_go(y[1], PC_QKV);
    let_go(g[1], PC_QKV_INPUTS);
  }
  must(pc_cpu_set_tier(pc_cpu_best()));
  let_go(y[0], PC_QKV);
  let_go(g[0], PC_QKV_INPUTS);
  let_go(gy, PC_QKV);
  let_go(in, PC_QKV_INPUTS);
}
END_TEST

/* Any part of the gradients, on any number of threads: the same bits. */
START_TEST(parts) {
  const shape *t = &shapes[_i];
  pc_tensor *in[PC_QKV_INPUTS], *y[2][PC_QKV], *gy[PC_QKV], *g[2][PC_QKV_INPUTS];
  int was = pc_num_threads();
  make(t, in);
  gradients(t, gy);
  pc_set_num_threads(1);
  run(t, in, gy, all_of(in), y[0], g[0]);
  for (int threads = 1; threads <= 3; threads++)
    for (int part = 0; part <= PC_QKV_INPUTS; part++) { /* all; each alone */
      uint64_t need = part ? all_of(in) & (uint64_t)1 << (part - 1) : all_of(in);
      pc_set_num_threads(threads);
      run(t, in, gy, need, y[1], g[1]);
      for (int i = 0; i < PC_QKV; i++) same(y[1][i], y[0][i], 0, "y");
      for (int i = 0; i < PC_QKV_INPUTS; i++) {
        ck_assert_int_eq(g[1][i] != NULL, need >> i & 1);
        if (g[1][i]) same(g[1][i], g[0][i], 0, "gradient");
      }
      let_go(y[1], PC_QKV);
      let_go(g[1], PC_QKV_INPUTS);
    }
  pc_set_num_threads(was);
  let_go(y[0], PC_QKV);
  let_go(g[0], PC_QKV_INPUTS);
  let_go(gy, PC_QKV);
  let_go(in, PC_QKV_INPUTS);
}
END_TEST

START_TEST(messages) {
  pc_val v[PC_QKV_VALUES] = {PC_VI(0), PC_VD(1e-5)};
  pc_tensor *x = rnd(PC_F32, SIZES(3, 4)), *w = rnd(PC_F32, SIZES(6, 4)), *u = rnd(PC_F32, SIZES(5, 7)),
            *b = rnd(PC_F32, SIZES(5)), *g = rnd(PC_F32, SIZES(4)), *s0;
  must(pc_tensor_full(&s0, PC_F32, 0, NULL, 1));
  refuses(pc_fwd_qkv, 3, (pc_tensor *[]){x, NULL, NULL}, v, PC_EARG, "qkv: 9 tensors are needed, not 3");
  refuses(pc_fwd_qkv, 9, (pc_tensor *[]){s0, NULL, NULL, w, NULL, w, NULL, w, NULL}, v, PC_ESHAPE,
          "qkv: x () must be (...,in)");
  refuses(pc_fwd_qkv, 9, (pc_tensor *[]){x, NULL, NULL, w, NULL, u, NULL, w, NULL}, v, PC_ESHAPE,
          "qkv: weight (5,7) must be (out,4): x is (3,4)");
  refuses(pc_fwd_qkv, 9, (pc_tensor *[]){x, NULL, NULL, w, NULL, NULL, NULL, w, NULL}, v, PC_ESHAPE,
          "qkv: weight none must be (out,4): x is (3,4)");
  refuses(pc_fwd_qkv, 9, (pc_tensor *[]){x, NULL, NULL, w, b, w, NULL, w, NULL}, v, PC_ESHAPE,
          "qkv: a bias (5) must be (6)");
  refuses(pc_fwd_qkv, 9, (pc_tensor *[]){x, b, NULL, w, NULL, w, NULL, w, NULL}, v, PC_ESHAPE,
          "qkv: the norm's weight or bias (5) must be (4)");
  refuses(pc_fwd_qkv, 9, (pc_tensor *[]){x, g, NULL, w, NULL, w, NULL, w, NULL}, v, PC_EARG,
          "qkv: a norm's weight or bias without a norm");
  let_go((pc_tensor *[]){x, w, u, b, g, s0}, 6);
}
END_TEST

int main(void) {
  Suite *s = suite_create("qkv");
  TCase *tc = tcase_create("qkv");
  tcase_set_timeout(tc, 60);
  tcase_add_loop_test(tc, formula, 0, SHAPES);
  tcase_add_loop_test(tc, tiers, 0, SHAPES);
  tcase_add_loop_test(tc, parts, 0, SHAPES);
  tcase_add_test(tc, messages);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
