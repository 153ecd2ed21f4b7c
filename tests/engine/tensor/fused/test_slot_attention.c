/* test_slot_attention.c: attention to few slots in one pass: tiers, forward and backward, at odd
 * sizes and with each of its options; any part of the gradients; thread counts; messages. */
#include "engine/tensor/brute.h"

#include "base/parallel.h"
#include "tensor/fused/slot_attention.h"

typedef struct shape {
  int64_t bx, b, n, d, h, m, dv;
  int norm, residual, c, bias;
} shape;

static const shape shapes[] = {{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},     {2, 2, 65, 7, 3, 3, 7, 1, 1, 1, 1},
                               {1, 3, 63, 63, 2, 7, 63, 1, 1, 1, 1},  {3, 3, 7, 65, 1, 63, 3, 0, 0, 1, 0},
                               {1, 7, 300, 64, 4, 3, 64, 1, 1, 1, 1}, {9, 9, 257, 16, 12, 16, 16, 1, 1, 0, 1},
                               {2, 2, 130, 20, 4, 5, 20, 0, 1, 0, 0}, {1, 5, 65, 3, 3, 1, 65, 1, 0, 0, 1},
                               {2, 2, 33, 12, 2, 600, 5, 1, 0, 1, 0}, {1, 65, 63, 8, 1, 3, 8, 1, 1, 1, 0}};
enum { SHAPES = sizeof shapes / sizeof *shapes, IN = PC_SLOT_INPUTS };

static void make(const shape *t, pc_tensor **in, pc_val *v) {
  in[PC_SLOT_X] = rnd(PC_F32, SIZES(t->bx, t->n, t->d));
  in[PC_SLOT_K] = rnd(PC_F32, SIZES(t->b, t->h, t->m, t->d));
  in[PC_SLOT_V] = rnd(PC_F32, SIZES(t->b, t->h, t->m, t->dv));
  in[PC_SLOT_C] = t->c ? rnd(PC_F32, SIZES(t->b, t->h, t->m)) : NULL;
  in[PC_SLOT_BIAS] = t->bias ? rnd(PC_F32, SIZES(t->dv)) : NULL;
  v[PC_SLOT_NORM] = PC_VI(t->norm);
  v[PC_SLOT_EPS] = PC_VD(1e-5);
  v[PC_SLOT_RESIDUAL] = PC_VI(t->residual);
}

static uint64_t all_of(pc_tensor *const *in) {
  uint64_t all = 0;
  for (int i = 0; i < IN; i++) all |= (uint64_t)(in[i] != NULL) << i;
  return all;
}

static void let_go(pc_tensor **t, int n) {
  for (int i = 0; i < n; i++) pc_tensor_release(t[i]);
}

static void run(pc_tensor *const *in, const pc_val *v, pc_tensor *gout, pc_tensor *gw, uint64_t need, pc_tensor **y,
                pc_tensor **g) {
  pc_tensor *all[3 + IN] = {gout, gw};
  pc_val w[PC_SLOT_NEED + 1];
  must(pc_fwd_slot_attention(y, in, IN, v));
  all[2] = y[1];
  memcpy(all + 3, in, sizeof *in * IN);
  memcpy(w, v, sizeof *v * PC_SLOT_VALUES);
  w[PC_SLOT_NEED] = PC_VI((int64_t)need);
  must(pc_fwd_slot_attention_backward(g, all, 3 + IN, w));
}

START_TEST(tiers) {
  const shape *t = &shapes[_i];
  pc_tensor *in[IN], *ref[2], *y[2], *want[IN], *g[IN];
  pc_val v[PC_SLOT_VALUES];
  make(t, in, v);
  pc_tensor *gout = rnd(PC_F32, SIZES(t->b, t->n, t->dv)), *gw = rnd(PC_F32, SIZES(t->b, t->h, t->n, t->m));
  for (int part = 0; part < 3; part++) { /* both gradients, either alone */
    pc_tensor *go = part == 1 ? NULL : gout, *gv = part == 2 ? NULL : gw;
    must(pc_cpu_set_tier(PC_TIER_REF));
    run(in, v, go, gv, all_of(in), ref, want);
    for (int tier = PC_TIER_BASE; tier <= (int)pc_cpu_best(); tier++) {
      must(pc_cpu_set_tier((pc_tier)tier));
      run(in, v, go, gv, all_of(in), y, g);
      same(y[0], ref[0], 5e-5, "out");
      same(y[1], ref[1], 2e-5, "weights");
      for (int i = 0; i < IN; i++)
        if (in[i]) same(g[i], want[i], 1e-3, "gradient");
      let_go(y, 2);
      let_go(g, IN);
    }
    must(pc_cpu_set_tier(pc_cpu_best()));
    let_go(ref, 2);
    let_go(want, IN);
  }
  pc_tensor_release(gout);
  pc_tensor_release(gw);
  let_go(in, IN);
}
END_TEST

START_TEST(parts_and_threads) {
  const shape *t = &shapes[_i];
  pc_tensor *in[IN], *y[2][2], *g[2][IN];
  pc_val v[PC_SLOT_VALUES];
  int was = pc_num_threads();
  make(t, in, v);
  pc_tensor *gout = rnd(PC_F32, SIZES(t->b, t->n, t->dv));
  pc_set_num_threads(1);
  run(in, v, gout, NULL, all_of(in), y[0], g[0]);
  for (int threads = 1; threads <= 3; threads++)
    for (int part = 0; part <= IN; part++) { /* all; each alone */
      uint64_t need = part ? all_of(in) & (uint64_t)1 << (part - 1) : all_of(in);
      pc_set_num_threads(threads);
      run(in, v, gout, NULL, need, y[1], g[1]);
      same(y[1][0], y[0][0], 0, "out");
      same(y[1][1], y[0][1], 0, "weights");
      for (int i = 0; i < IN; i++) {
        ck_assert_int_eq(g[1][i] != NULL, need >> i & 1);
        if (g[1][i]) same(g[1][i], g[0][i], 0, "gradient");
      }
      let_go(y[1], 2);
      let_go(g[1], IN);
    }
  pc_set_num_threads(was);
  let_go(y[0], 2);
  let_go(g[0], IN);
  pc_tensor_release(gout);
  let_go(in, IN);
}
END_TEST

/* Scores that exp cannot take, and far apart between the heads of a row. */
START_TEST(large_scores) {
  pc_val v[PC_SLOT_VALUES] = {PC_VNONE};
  pc_tensor *in[IN] = {NULL}, *y[2];
  must(pc_tensor_full(&in[0], PC_F32, SIZES(1, 20, 1), 1e4));
  must(pc_tensor_from(&in[1], PC_F32, SIZES(1, 2, 2, 1), (float[]){1e4F, -1e4F, -1e4F, -1e4F}));
  must(pc_tensor_from(&in[2], PC_F32, SIZES(1, 2, 2, 1), (float[]){3, 5, 2, 4}));
  must(pc_fwd_slot_attention(y, in, IN, v));
  for (int i = 0; i < 20; i++) ck_assert_double_eq(pc_at(y[0], i), 6); /* 3, and the mean of 2 and 4 */
  let_go(in, 3);
  let_go(y, 2);
}
END_TEST

START_TEST(messages) {
  pc_val v[PC_SLOT_VALUES] = {PC_VNONE};
  pc_tensor *x = rnd(PC_F32, SIZES(2, 5, 6)), *k = rnd(PC_F32, SIZES(2, 2, 3, 6)), *k8 = rnd(PC_F32, SIZES(2, 2, 3, 8)),
            *k0 = rnd(PC_F32, SIZES(2, 2, 0, 6)), *c = rnd(PC_F32, SIZES(2, 3, 2)), *b = rnd(PC_F32, SIZES(5));
  refuses(pc_fwd_slot_attention, 3, (pc_tensor *[]){x, x, x}, v, PC_ESHAPE,
          "slot_attention: x (2,5,6), k (2,5,6), v (2,5,6) must be (B,N,D), (B,H,M,D), (B,H,M,Dv)");
  refuses(
      pc_fwd_slot_attention, 3, (pc_tensor *[]){x, k8, k8}, v, PC_ESHAPE,
      "slot_attention: x (2,5,6), k (2,2,3,8), v (2,2,3,8): x and k need the same width, k and v the same heads and "
      "keys, all the same batch (x may have batch 1)");
  refuses(pc_fwd_slot_attention, 3, (pc_tensor *[]){x, k0, k0}, v, PC_ESHAPE,
          "slot_attention: k (2,2,0,6) has no keys: softmax over nothing");
  refuses(pc_fwd_slot_attention, 4, (pc_tensor *[]){x, k, k, c}, v, PC_ESHAPE,
          "slot_attention: c (2,3,2) must be (B,H,M), one number for each key of k (2,2,3,6)");
  refuses(pc_fwd_slot_attention, 5, (pc_tensor *[]){x, k, k, NULL, b}, v, PC_ESHAPE,
          "slot_attention: bias (5) must be (6): the width of v (2,2,3,6)");
  v[PC_SLOT_RESIDUAL] = PC_VI(1);
  refuses(pc_fwd_slot_attention, 3, (pc_tensor *[]){x, k, k8}, v, PC_ESHAPE,
          "slot_attention: x (2,5,6) goes around the attention, so v (2,2,3,8) must be as wide");
  let_go((pc_tensor *[]){x, k, k8, k0, c, b}, 6);
}
END_TEST

int main(void) {
  Suite *s = suite_create("slot attention");
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 120);
  tcase_add_loop_test(tc, tiers, 0, SHAPES);
  tcase_add_loop_test(tc, parts_and_threads, 0, SHAPES);
  tcase_add_test(tc, large_scores);
  tcase_add_test(tc, messages);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
