/* test_attention.c: attention against its definition, few and many keys, a query
 * shared by all images; slot_attention folded gives what the textbook order gives;
 * tiers; messages. */
#include "engine/tensor/brute.h"

#include "base/parallel.h"
#include "tensor/fused/attention.h"
#include "tensor/gemm/matmul.h"
#include "tensor/fused/slot_attention.h"

/* w and out by definition; q may have batch 1. */
static void define(const pc_tensor *q, const pc_tensor *k, const pc_tensor *v, int64_t h, double scale, pc_tensor **out,
                   pc_tensor **w) {
  int64_t b = k->size[0], n = q->size[1], m = k->size[1], d = q->size[2], dv = v->size[2], e = d / h, ev = dv / h;
  must(pc_tensor_zeros(out, PC_F64, SIZES(b, n, dv)));
  must(pc_tensor_empty(w, PC_F64, SIZES(b, h, n, m)));
  for (int64_t i = 0; i < b * h * n; i++) {
    int64_t in = i % n, ih = i / n % h, ib = i / n / h, iq = q->size[0] == 1 ? 0 : ib;
    double *p = pc_f64(*w) + i * m, sum = 0;
    for (int64_t j = 0; j < m; j++) {
      double s = 0;
      for (int64_t t = 0; t < e; t++)
        s += pc_at(q, (iq * n + in) * d + ih * e + t) * pc_at(k, (ib * m + j) * d + ih * e + t);
      sum += p[j] = exp(s * scale);
    }
    for (int64_t j = 0; j < m; j++) {
      p[j] /= sum;
      for (int64_t t = 0; t < ev; t++)
        pc_f64(*out)[(ib * n + in) * dv + ih * ev + t] += p[j] * pc_at(v, (ib * m + j) * dv + ih * ev + t);
    }
  }
}

static const struct {
  int64_t bq, b, n, m, d, dv, h;
} cases[] = {{2, 2, 65, 3, 12, 8, 4},
             {1, 3, 63, 4, 6, 6, 2},
             {2, 2, 7, 63, 10, 5, 5},
             {1, 1, 1, 1, 1, 1, 1},
             {3, 3, 300, 7, 48, 36, 12}};

START_TEST(by_definition) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pc_tensor *q = rnd(PC_F32, SIZES(cases[i].bq, cases[i].n, cases[i].d)),
              *k = rnd(PC_F32, SIZES(cases[i].b, cases[i].m, cases[i].d)),
              *v = rnd(PC_F32, SIZES(cases[i].b, cases[i].m, cases[i].dv)), *out[2], *wo, *ww;
    const pc_val val[2] = {PC_VI(cases[i].h)};
    pc_tensor *in[] = {q, k, v};
    must(pc_fwd_attention(out, in, 3, val));
    define(q, k, v, cases[i].h, 1 / sqrt((double)(cases[i].d / cases[i].h)), &wo, &ww);
    same(out[0], wo, 1e-5, "attention");
    same(out[1], ww, 1e-5, "attention weights");
    tiers_agree(pc_fwd_attention, 3, in, val, 1e-5, "attention tiers");
    for (int part = 0; part < 6; part++) { /* both gradients, either alone; weights kept, or computed again */
      pc_tensor *six[] = {part % 3 == 1 ? NULL : wo, part % 3 == 2 ? NULL : ww, q, k, v, out[1]}, *ref[3], *fast[3];
      must(pc_cpu_set_tier(PC_TIER_REF));
      must(pc_fwd_attention_backward(ref, six, 6, val));
      if (part >= 3) six[5] = NULL;
      if (part == 3) { /* the reference, too, must find the weights by itself */
        pc_tensor *again[3];
        must(pc_fwd_attention_backward(again, six, 6, val));
        for (int g = 0; g < 3; g++) {
          same(again[g], ref[g], 1e-6, "reference without weights");
          pc_tensor_release(again[g]);
        }
      }
      must(pc_cpu_set_tier(pc_cpu_best()));
      must(pc_fwd_attention_backward(fast, six, 6, val));
      for (int g = 0; g < 3; g++) {
        same(fast[g], ref[g], 2e-4, "attention backward");
        pc_tensor_release(ref[g]);
        pc_tensor_release(fast[g]);
      }
    }
    pc_tensor *all[] = {q, k, v, out[0], out[1], wo, ww};
    for (int j = 0; j < 7; j++) pc_tensor_release(all[j]);
  }
}
END_TEST

/* Large scores: softmax must not overflow. */
START_TEST(large_scores) {
  pc_tensor *in[3], *out[2];
  must(pc_tensor_full(&in[0], PC_F32, SIZES(1, 2, 1), 1e4));
  must(pc_tensor_from(&in[1], PC_F32, SIZES(1, 2, 1), (float[]){1e4F, -1e4F}));
  must(pc_tensor_from(&in[2], PC_F32, SIZES(1, 2, 1), (float[]){3, 5}));
  must(pc_fwd_attention(out, in, 3, (pc_val[]){PC_VI(1), PC_VNONE}));
  for (int i = 0; i < 2; i++) ck_assert_double_eq(pc_at(out[0], i), 3);
  for (int i = 0; i < 3; i++) pc_tensor_release(in[i]);
  pc_tensor_release(out[0]);
  pc_tensor_release(out[1]);
}
END_TEST

/* ((x Wq)(s Wk)', softmax, (s Wv), Wo) in the textbook's order and folded. */
START_TEST(folding) {
  int64_t B = 2, N = 33, D = 6, H = 2, M = 3, e = 5, A = 10;
  pc_tensor *x = rnd(PC_F64, SIZES(B, N, D)), *wq = rnd(PC_F64, SIZES(D, A)), *kk = rnd(PC_F64, SIZES(B, M, A)),
            *vv = rnd(PC_F64, SIZES(B, M, A)), *wo = rnd(PC_F64, SIZES(A, D)), *q, *att[2], *want, *fold[2], *fk, *fv;
  const pc_val val[2] = {PC_VI(H)}, bare[PC_SLOT_VALUES] = {PC_VNONE};
  must(pc_fwd_matmul(&q, (pc_tensor *[]){x, wq}, 2, NULL));
  must(pc_fwd_attention(att, (pc_tensor *[]){q, kk, vv}, 3, val));
  must(pc_fwd_matmul(&want, (pc_tensor *[]){att[0], wo}, 2, NULL));
  must(pc_tensor_zeros(&fk, PC_F64, SIZES(B, H, M, D)));
  must(pc_tensor_zeros(&fv, PC_F64, SIZES(B, H, M, D)));
  for (int64_t i = 0; i < B * H * M * D; i++) {
    int64_t d = i % D, m = i / D % M, h = i / D / M % H, b = i / D / M / H;
    for (int64_t t = 0; t < e; t++) {
      pc_f64(fk)[i] += pc_f64(wq)[d * A + h * e + t] * pc_f64(kk)[(b * M + m) * A + h * e + t] / sqrt((double)e);
      pc_f64(fv)[i] += pc_f64(vv)[(b * M + m) * A + h * e + t] * pc_f64(wo)[(h * e + t) * D + d];
    }
  }
  must(pc_fwd_slot_attention(fold, (pc_tensor *[]){x, fk, fv}, 3, bare));
  same(fold[0], want, 1e-12, "folded attention");
  same(fold[1], att[1], 1e-12, "folded weights");
  pc_tensor *all[] = {x, wq, kk, vv, wo, q, att[0], att[1], want, fold[0], fold[1], fk, fv};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) pc_tensor_release(all[i]);
}
END_TEST

/* The gradient of a shared query adds up over images in a fixed order. */
START_TEST(threads) {
  pc_tensor *q = rnd(PC_F32, SIZES(1, 200, 32)), *k = rnd(PC_F32, SIZES(9, 3, 32)), *g = rnd(PC_F32, SIZES(9, 200, 32)),
            *w, *o, *out[2][3];
  const pc_val val[2] = {PC_VI(4)};
  pc_tensor *f[2];
  must(pc_fwd_attention(f, (pc_tensor *[]){q, k, k}, 3, val));
  o = f[0], w = f[1];
  for (int t = 0; t < 2; t++) {
    pc_set_num_threads(t + 1);
    must(pc_fwd_attention_backward(out[t], (pc_tensor *[]){g, NULL, q, k, k, t ? w : NULL}, 6, val));
  }
  for (int i = 0; i < 3; i++) {
    same(out[0][i], out[1][i], 0, "1 and 2 threads");
    pc_tensor_release(out[0][i]);
    pc_tensor_release(out[1][i]);
  }
  pc_tensor *all[] = {q, k, g, w, o};
  for (int i = 0; i < 5; i++) pc_tensor_release(all[i]);
}
END_TEST

START_TEST(messages) {
  pc_tensor *q = rnd(PC_F32, SIZES(2, 5, 6)), *k = rnd(PC_F32, SIZES(2, 3, 6)), *k8 = rnd(PC_F32, SIZES(2, 3, 8)),
            *k0 = rnd(PC_F32, SIZES(2, 0, 6));
  const pc_val four[2] = {PC_VI(4)}, one[2] = {PC_VI(1)};
  refuses(pc_fwd_attention, 3, (pc_tensor *[]){q, k, k}, four, PC_EARG,
          "attention: heads = 4 must divide the width of q (2,5,6) and of v (2,3,6)");
  refuses(
      pc_fwd_attention, 3, (pc_tensor *[]){q, k8, k8}, one, PC_ESHAPE,
      "attention: q (2,5,6), k (2,3,8), v (2,3,8): q and k need the same width, k and v the same keys, all the same "
      "batch (q may have batch 1)");
  refuses(pc_fwd_attention, 3, (pc_tensor *[]){q, k0, k0}, one, PC_ESHAPE,
          "attention: k (2,0,6) has no keys: softmax over nothing");
  pc_tensor *all[] = {q, k, k8, k0};
  for (int i = 0; i < 4; i++) pc_tensor_release(all[i]);
}
END_TEST

int main(void) {
  Suite *s = suite_create("attention");
  TCase *tc = tcase_create("attention");
  tcase_set_timeout(tc, 60);
  tcase_add_test(tc, by_definition);
  tcase_add_test(tc, large_scores);
  tcase_add_test(tc, folding);
  tcase_add_test(tc, threads);
  tcase_add_test(tc, messages);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
