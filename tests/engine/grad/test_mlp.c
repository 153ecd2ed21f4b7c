/* test_mlp.c: linear layers in one pass against the formula op by op: values and all gradients,
 * at odd sizes, in every tier, with kept and with recomputed layers, for any part of the
 * inputs; the same bits for any number of threads; messages. */
#include "engine/tensor/brute.h"

#include "base/parallel.h"
#include "grad/op.h"
#include "grad/ops_nn.h"

enum { MAX_IN = PC_MLP_W + 2 * 3 };

typedef struct shape {
  int64_t rows, width[4];
  int layers, norm, residual, last_act, no_bias;
  pc_activation act;
} shape;

static const shape shapes[] = {{1, {1, 1}, 1, 0, 0, 0, 0, PC_ACTIVATION_gelu},
                               {3, {7, 63, 7}, 2, 1, 1, 0, 0, PC_ACTIVATION_gelu},
                               {65, {63, 65, 3}, 2, 0, 0, 0, 0, PC_ACTIVATION_relu},
                               {300, {65, 7, 65}, 2, 1, 1, 0, 1, PC_ACTIVATION_silu},
                               {63, {3, 65, 7, 63}, 3, 0, 0, 1, 0, PC_ACTIVATION_tanh},
                               {7, {65, 65}, 1, 1, 1, 1, 0, PC_ACTIVATION_sigmoid},
                               {1000, {20, 33, 20}, 2, 1, 1, 0, 0, PC_ACTIVATION_gelu},
                               {1111, {64, 48, 48, 64}, 3, 1, 1, 1, 0, PC_ACTIVATION_elu},
                               {257, {16, 16, 3}, 2, 1, 0, 0, 0, PC_ACTIVATION_leaky_relu},
                               {33, {4, 5, 6, 2}, 3, 0, 0, 0, 1, PC_ACTIVATION_none},
                               {90, {600, 900, 600}, 2, 1, 1, 0, 0, PC_ACTIVATION_gelu}, /* weights' gradients apart, */
                               {700, {3000, 180}, 1, 1, 0, 1, 0, PC_ACTIVATION_gelu},    /* in bunches of rows, */
                               {61, {700, 800, 3, 1000}, 3, 0, 0, 1, 1, PC_ACTIVATION_silu}, /* without a norm */
                               {0, {5, 3, 5}, 2, 1, 1, 0, 0, PC_ACTIVATION_gelu}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* x, gamma, beta, W_1, b_1, ... wanting gradients */
static int make(const shape *t, pc_tensor **in) {
  int nin = PC_MLP_W + 2 * t->layers;
  memset(in, 0, sizeof *in * MAX_IN);
  in[PC_MLP_X] = rnd(PC_F32, SIZES(t->rows, t->width[0]));
  if (t->norm) in[PC_MLP_GAMMA] = rnd(PC_F32, SIZES(t->width[0]));
  if (t->norm && !t->no_bias) in[PC_MLP_BETA] = rnd(PC_F32, SIZES(t->width[0]));
  for (int i = 0; i < t->layers; i++) {
    pc_tensor *w = in[PC_MLP_W + 2 * i] = rnd(PC_F32, SIZES(t->width[i + 1], t->width[i]));
    for (int64_t k = 0; k < pc_numel(w); k++) pc_f32(w)[k] /= sqrtf((float)t->width[i]);
    if (!t->no_bias) in[PC_MLP_W + 2 * i + 1] = rnd(PC_F32, SIZES(t->width[i + 1]));
  }
  for (int i = 0; i < nin; i++)
    if (in[i]) must(pc_set_requires_grad(in[i], 1));
  return nin;
}

static void let_go(pc_tensor **t, int n) {
  for (int i = 0; i < n; i++) pc_tensor_release(t[i]);
}

static pc_mlp_form form(const shape *t, pc_tensor *const *in) {
  pc_mlp_form f = {.n = t->layers,
                   .norm = t->norm,
                   .eps = PC_NORM_EPS,
                   .norm_weight = in[PC_MLP_GAMMA],
                   .norm_bias = in[PC_MLP_BETA],
                   .act = t->act,
                   .last_act = t->last_act,
                   .residual = t->residual};
  for (int i = 0; i < t->layers; i++) {
    f.weight[i] = in[PC_MLP_W + 2 * i];
    f.bias[i] = in[PC_MLP_W + 2 * i + 1];
  }
  return f;
}

static void values(const shape *t, int keep, pc_val *v) {
  const pc_val all[PC_MLP_VALUES] = {PC_VI(t->act),  PC_VI(t->last_act), PC_VI(t->residual),
                                     PC_VI(t->norm), PC_VD(1e-5),        PC_VI(keep)};
  memcpy(v, all, sizeof all);
}

START_TEST(formula) {
  const shape *t = &shapes[_i];
  pc_tensor *in[MAX_IN], *x[MAX_IN], *y[2], *g[2][MAX_IN];
  int nin = make(t, in), nx = 0;
  pc_mlp_form f = form(t, in);
  pc_tensor *gy = rnd(PC_F32, SIZES(t->rows, t->width[t->layers]));
  for (int i = 0; i < nin; i++)
    if (in[i]) x[nx++] = in[i];
  pc_scope s = {0};
  y[0] = pc_mlp_run(&s, in[PC_MLP_X], &f);
  y[1] = pc_mlp_composed(&s, in[PC_MLP_X], &f, NULL);
  must(s.rc);
  same(y[0], y[1], 2e-5, "y");
  for (int k = 0; k < 2; k++) must(pc_grad(g[k], &y[k], &gy, 1, x, nx, NULL));
  for (int i = 0; i < nx; i++) same(g[0][i], g[1][i], 5e-4, "gradient");
  for (int k = 0; k < 2; k++) let_go(g[k], nx);
  pc_scope_end(&s, NULL, 0);
  pc_tensor_release(gy);
  let_go(in, nin);
}
END_TEST

static void run(const shape *t, pc_tensor *const *in, int nin, int keep, pc_tensor *gy, uint64_t need, pc_tensor **y,
                pc_tensor **g) {
  pc_val v[PC_MLP_NEED + 1];
  pc_tensor *out[2], *all[MAX_IN + 2] = {gy};
  values(t, keep, v);
  v[PC_MLP_NEED] = PC_VI((int64_t)need);
  must(pc_fwd_mlp(out, in, nin, v));
  all[1] = out[1];
  memcpy(all + 2, in, sizeof *in * (size_t)nin);
  must(pc_fwd_mlp_backward(g, all, nin + 2, v));
  *y = out[0];
  pc_tensor_release(out[1]);
}

START_TEST(tiers) {
  const shape *t = &shapes[_i];
  pc_tensor *in[MAX_IN], *y[2], *g[2][MAX_IN];
  int nin = make(t, in);
  uint64_t all = 0;
  for (int i = 0; i < nin; i++) all |= (uint64_t)(in[i] != NULL) << i;
  pc_tensor *gy = rnd(PC_F32, SIZES(t->rows, t->width[t->layers]));
  must(pc_cpu_set_tier(PC_TIER_REF));
  run(t, in, nin, 1, gy, all, &y[0], g[0]);
  for (int tier = PC_TIER_BASE; tier <= (int)pc_cpu_best(); tier++)
    for (int keep = 0; keep < 3; keep++) {
      must(pc_cpu_set_tier((pc_tier)tier));
      run(t, in, nin, keep, gy, all, &y[1], g[1]);
      same(y[1], y[0], 2e-5, pc_tier_name((pc_tier)tier));
      for (int i = 0; i < nin; i++)
        if (in[i]) same(g[1][i], g[0][i], 5e-4, pc_tier_name((pc_tier)tier));
      pc_tensor_release(y[1]);
      let_go(g[1], nin);
    }
  must(pc_cpu_set_tier(pc_cpu_best()));
  pc_tensor_release(y[0]);
  let_go(g[0], nin);
  pc_tensor_release(gy);
  let_go(in, nin);
}
END_TEST

static void equal_bits(const pc_tensor *a, const pc_tensor *b, const char *what) {
  ck_assert_msg(!memcmp(pc_data(a), pc_data(b), sizeof(float) * (size_t)pc_numel(a)), "%s differs", what);
}

/* Any part of the gradients, on any number of threads: the same bits. */
START_TEST(parts) {
  const shape *t = &shapes[_i];
  pc_tensor *in[MAX_IN], *y[2], *g[2][MAX_IN];
  int nin = make(t, in), was = pc_num_threads();
  uint64_t all = 0;
  for (int i = 0; i < nin; i++) all |= (uint64_t)(in[i] != NULL) << i;
  pc_tensor *gy = rnd(PC_F32, SIZES(t->rows, t->width[t->layers]));
  pc_set_num_threads(1);
  run(t, in, nin, 1, gy, all, &y[0], g[0]);
  for (int threads = 1; threads <= 3; threads++)
    for (int part = 0; part <= nin; part++) { /* all; each alone */
      uint64_t need = part ? all & (uint64_t)1 << (part - 1) : all;
      pc_set_num_threads(threads);
      run(t, in, nin, part % 3, gy, need, &y[1], g[1]);
      equal_bits(y[0], y[1], "y");
      for (int i = 0; i < nin; i++) {
        ck_assert_int_eq(g[1][i] != NULL, need >> i & 1);
        if (g[1][i] && (need == all || i == 0)) equal_bits(g[0][i], g[1][i], "gradient");
        if (g[1][i]) same(g[1][i], g[0][i], 1e-4, "gradient");
      }
      pc_tensor_release(y[1]);
      let_go(g[1], nin);
    }
  pc_set_num_threads(was);
  pc_tensor_release(y[0]);
  let_go(g[0], nin);
  pc_tensor_release(gy);
  let_go(in, nin);
}
END_TEST

/* A layer keeps what its backward needs only when there will be one. */
START_TEST(keeps_when_recording) {
  pc_tensor *in[MAX_IN];
  int nin = make(&shapes[1], in);
  pc_mlp_form f = form(&shapes[1], in);
  pc_scope s = {0};
  pc_tensor *y = pc_mlp_run(&s, in[0], &f);
  must(s.rc);
  ck_assert(pc_requires_grad(y));
  int was = pc_grad_set_enabled(0);
  y = pc_mlp_run(&s, in[0], &f);
  pc_grad_set_enabled(was);
  must(s.rc);
  ck_assert(!pc_requires_grad(y));
  pc_scope_end(&s, NULL, 0);
  let_go(in, nin);
}
END_TEST

START_TEST(messages) {
  pc_val v[PC_MLP_VALUES];
  pc_tensor *x = rnd(PC_F32, SIZES(3, 4)), *w = rnd(PC_F32, SIZES(6, 4)), *u = rnd(PC_F32, SIZES(5, 7)),
            *b = rnd(PC_F32, SIZES(5)), *z = rnd(PC_F32, SIZES(0)), *s0;
  must(pc_tensor_full(&s0, PC_F32, 0, NULL, 1));
  values(&shapes[0], 0, v);
  refuses(pc_fwd_mlp, 3, (pc_tensor *[]){x, NULL, NULL}, v, PC_EARG,
          "mlp: 1 to 16 layers, each a weight and a bias or none, not 0 tensors");
  refuses(pc_fwd_mlp, 5, (pc_tensor *[]){x, NULL, NULL, u, NULL}, v, PC_ESHAPE,
          "mlp: x (3,4) must end in the 7 inputs of its first weight (5,7) (out,in)");
  refuses(pc_fwd_mlp, 5, (pc_tensor *[]){s0, NULL, NULL, u, NULL}, v, PC_ESHAPE, "mlp: x () must be (...,in)");
  refuses(pc_fwd_mlp, 7, (pc_tensor *[]){x, NULL, NULL, w, NULL, u, NULL}, v, PC_ESHAPE,
          "mlp: weight 2 (5,7) must be (out,6): what comes in is 6 wide");
  refuses(pc_fwd_mlp, 5, (pc_tensor *[]){x, NULL, NULL, w, b}, v, PC_ESHAPE,
          "mlp: bias 1 (5) must be (6): the outputs of weight (6,4)");
  refuses(pc_fwd_mlp, 5, (pc_tensor *[]){x, b, NULL, w, NULL}, v, PC_ESHAPE,
          "mlp: norm's weight (5) must be (4): the width of x");
  v[PC_MLP_RESIDUAL].i = 1;
  refuses(pc_fwd_mlp, 5, (pc_tensor *[]){x, NULL, NULL, w, NULL}, v, PC_ESHAPE,
          "mlp: x (3,4) goes around the layers, so they must end 4 wide, not 6");
  v[PC_MLP_ACT].i = 99;
  refuses(pc_fwd_mlp, 5, (pc_tensor *[]){x, NULL, NULL, w, NULL}, v, PC_EARG, "mlp: no activation of number 99");
  let_go((pc_tensor *[]){x, w, u, b, z, s0}, 6);
}
END_TEST

int main(void) {
  Suite *s = suite_create("mlp");
  TCase *tc = tcase_create("mlp");
  tcase_set_timeout(tc, 60);
  tcase_add_loop_test(tc, formula, 0, SHAPES);
  tcase_add_loop_test(tc, tiers, 0, SHAPES);
  tcase_add_loop_test(tc, parts, 0, SHAPES);
  tcase_add_test(tc, keeps_when_recording);
  tcase_add_test(tc, messages);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
