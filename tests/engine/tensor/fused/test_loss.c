/* test_loss.c: squared error against plain sums at odd sizes, tiers, thread counts, messages. */
#include "engine/tensor/brute.h"

#include "base/parallel.h"
#include "tensor/fused/loss.h"

static const int64_t sizes[] = {0, 1, 3, 7, 31, 33, 63, 65, 16384, 16385, 100003};

START_TEST(sums) {
  int64_t n = sizes[_i];
  pc_tensor *in[2] = {rnd(PC_F32, SIZES(n)), rnd(PC_F32, SIZES(n))}, *out, *one, *g[2];
  double want = 0;
  for (int64_t i = 0; i < n; i++) want += pow(pc_at(in[0], i) - pc_at(in[1], i), 2);
  must(pc_tensor_full(&one, PC_F32, 0, NULL, 0.5));
  for (int tier = PC_TIER_REF; tier <= (int)pc_cpu_best(); tier++) {
    must(pc_cpu_set_tier((pc_tier)tier));
    must(pc_fwd_squared_error(&out, in, 2, NULL));
    ck_assert_double_le(fabs(pc_at(out, 0) - want), 1e-6 * want);
    must(pc_fwd_squared_error_backward(g, (pc_tensor *[]){one, in[0], in[1]}, 3, &PC_VI(3)));
    for (int64_t i = 0; i < n; i++) {
      float d = pc_f32(in[0])[i] - pc_f32(in[1])[i];
      if (pc_f32(g[0])[i] != d || pc_f32(g[1])[i] != -d) ck_abort_msg("gradient %lld", (long long)i);
    }
    pc_tensor_release(out);
    pc_tensor_release(g[0]);
    pc_tensor_release(g[1]);
  }
  must(pc_cpu_set_tier(pc_cpu_best()));
  must(pc_fwd_squared_error_backward(g, (pc_tensor *[]){one, in[0], in[1]}, 3, &PC_VI(2)));
  ck_assert_ptr_null(g[0]);
  pc_tensor *all[] = {in[0], in[1], one, g[1]};
  for (int i = 0; i < 4; i++) pc_tensor_release(all[i]);
}
END_TEST

START_TEST(threads) {
  pc_tensor *in[2] = {rnd(PC_F32, SIZES(7, 30001)), rnd_t(PC_F32, SIZES(7, 30001))}, *out[3];
  int was = pc_num_threads();
  for (int t = 0; t < 3; t++) {
    pc_set_num_threads(t + 1);
    must(pc_fwd_squared_error(&out[t], in, 2, NULL));
    ck_assert(pc_f32(out[t])[0] == pc_f32(out[0])[0]);
  }
  pc_set_num_threads(was);
  pc_tensor *all[] = {in[0], in[1], out[0], out[1], out[2]};
  for (int i = 0; i < 5; i++) pc_tensor_release(all[i]);
}
END_TEST

START_TEST(messages) {
  pc_tensor *in[2] = {rnd(PC_F32, SIZES(2, 3)), rnd(PC_F32, SIZES(3))};
  refuses(pc_fwd_squared_error, 2, in, NULL, PC_ESHAPE, "squared_error: x (2,3) and y (3) must have the same shape");
  pc_tensor_release(in[0]);
  pc_tensor_release(in[1]);
}
END_TEST

int main(void) {
  Suite *s = suite_create("loss");
  TCase *tc = tcase_create("loss");
  tcase_add_loop_test(tc, sums, 0, (int)(sizeof sizes / sizeof *sizes));
  tcase_add_test(tc, threads);
  tcase_add_test(tc, messages);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
