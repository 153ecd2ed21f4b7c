/* test_layers.c: layers against their formulas, shapes, messages, gradients in f64; losses by hand. */
#include "engine/nn/modules.h"
#include "nn/loss.h"

static double val(const pc_tensor *t, int64_t i) { return t->dtype == PC_F64 ? pc_f64(t)[i] : (double)pc_f32(t)[i]; }

/* Builds nothing: the constructor's result, checked. */
#define MADE(m, call) \
  pc_module *m;       \
  must(call)

START_TEST(shapes) {
  pc_tensor *image = NORMAL(PC_F32, 1, 2, 9, 7, 4), *rows = NORMAL(PC_F32, 2, 2, 3, 4), *y;
  MADE(lin, pc_nn_linear(&lin, 4, 6, NULL));
  MADE(conv, pc_nn_conv2d(
                 &conv, 4, 6, 3,
                 &PC_OPTIONS_WITH(pc_nn_conv_opts, PC_CONV_TRANSPOSE_OPTIONS, .stride = 2, .padding = 1, .groups = 2)));
  MADE(up, pc_nn_conv_transpose2d(
               &up, 4, 2, 4, &PC_OPTIONS_WITH(pc_nn_conv_opts, PC_CONV_TRANSPOSE_OPTIONS, .stride = 2, .padding = 1)));
  MADE(ln, pc_nn_layer_norm(&ln, 4, NULL));
  MADE(gn, pc_nn_group_norm(&gn, 2, 4, NULL));
  MADE(flat, pc_nn_flatten(&flat));
  MADE(mlp, pc_nn_mlp(&mlp, 3, (int64_t[]){4, 5, 2}, PC_ACTIVATION_elu));
  MADE(pos, pc_nn_position(&pos, 3, 4, 0.02));
  const struct {
    pc_module *m;
    pc_tensor *x;
    const char *want;
  } cases[] = {{lin, rows, "(2,3,6)"}, {conv, image, "(2,5,4,6)"}, {up, image, "(2,18,14,2)"},
               {ln, rows, "(2,3,4)"},  {gn, image, "(2,9,7,4)"},   {flat, image, "(2,252)"},
               {mlp, rows, "(2,3,2)"}, {pos, rows, "(2,3,4)"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    y = first_of(cases[i].m, cases[i].x, NULL);
    shape_is(y, cases[i].want);
    for (int64_t k = 0; k < pc_numel(y); k++) ck_assert(isfinite(val(y, k)));
    pc_tensor_release(y);
    pc_module_release(cases[i].m);
  }
  pc_tensor_release(image);
  pc_tensor_release(rows);
}
END_TEST

START_TEST(messages) {
  pc_module *m;
  must_fail(pc_nn_linear(&m, 0, 3, NULL), PC_EARG, "linear: in must be at least 1, not 0");
  ck_assert_ptr_null(m);
  must_fail(pc_nn_conv2d(&m, 4, 6, 3, &PC_OPTIONS_WITH(pc_nn_conv_opts, PC_CONV_TRANSPOSE_OPTIONS, .groups = 3)),
            PC_EARG, "groups must divide in and out");
  must_fail(pc_nn_group_norm(&m, 3, 4, NULL), PC_EARG, "3 groups do not divide 4 channels");
  must_fail(pc_nn_dropout(&m, &(pc_dropout_opts){1}), PC_EARG, "dropout: p: expected a number >= 0 and < 1, got 1");
  must_fail(pc_nn_mlp(&m, 1, (int64_t[]){4}, PC_ACTIVATION_relu), PC_EARG, "at least two widths");
  must_fail(pc_nn_attention(&m, 4, 4, &(pc_attention_opts){.context = PC_GIVEN(6)}), PC_EARG,
            "4 heads do not divide the inner width 6");
  must_fail(pc_nn_block(&m, 6, 4, NULL), PC_EARG, "4 heads do not divide");
  must_fail(pc_nn_gru_cell(&m, 0, 4), PC_EARG, "gru_cell: in 0");
  must_fail(pc_nn_position(&m, 0, 4, 1), PC_EARG, "position: n 0");
  must_fail(pc_nn_activation(&m, (pc_activation)99), PC_EARG, "activation: kind: expected one of none|relu|gelu|");
  must_fail(pc_nn_layer_norm(&m, 3, &(pc_layer_norm_opts){.eps = NAN}), PC_EARG, "layer_norm: eps: expected");
  must_fail(pc_nn_linear(&m, 3, 3, &(pc_linear_opts){.gain = -1}), PC_EARG, "linear: gain: expected");
  pc_tensor *t, *x = NORMAL(PC_F32, 1, 2, 5), *out[PC_MAX_OUT];
  must_fail(pc_embed_sincos_2d(&t, 2, 2, 6), PC_EARG, "multiple of 4, not 6");
  must_fail(pc_embed_fourier(&t, 2, 2, 25), PC_EARG, "fourier: octaves: expected an integer from 1 to 24, got 25");
  MADE(lin, pc_nn_linear(&lin, 4, 3, NULL));
  must_fail(run_module(lin, &x, 1, out), PC_ESHAPE, "(2,5)");
  MADE(att, pc_nn_attention(&att, 5, 1, NULL));
  must_fail(run_module(att, &x, 1, out), PC_ESHAPE, "attention: q (2,5)");
  MADE(block, pc_nn_block(&block, 5, 1, &PC_OPTIONS_WITH(pc_block_opts, PC_BLOCK_OPTIONS, .context = PC_GIVEN(5))));
  must_fail(run_module(block, &x, 1, out), PC_EARG, "needs a context as second input");
  pc_module_release(lin);
  pc_module_release(att);
  pc_module_release(block);
  pc_tensor_release(x);
}
END_TEST

START_TEST(linear_by_hand) {
  MADE(m, pc_nn_linear(&m, 2, 2, NULL));
  pc_tensor *x = MAT(PC_F32, 1, 2, 3, 5), *y;
  memcpy(pc_data(m->params[0].t), (float[]){1, 2, -1, 0.5f}, 16);
  memcpy(pc_data(m->params[1].t), (float[]){10, 20}, 8);
  y = first_of(m, x, NULL);
  close_to(val(y, 0), 1 * 3 + 2 * 5 + 10, 1e-6);
  close_to(val(y, 1), -3 + 2.5 + 20, 1e-6);
  pc_tensor_release(x);
  pc_tensor_release(y);
  pc_module_release(m);
  must(pc_nn_linear(&m, 2, 2, &PC_OPTIONS_WITH(pc_linear_opts, PC_LINEAR_OPTIONS, .init = PC_INIT_ZEROS, .bias = 0)));
  ck_assert_int_eq(m->nparams, 1);
  close_to(val(m->params[0].t, 3), 0, 0);
  pc_module_release(m);
}
END_TEST

START_TEST(dropout_while_training) {
  MADE(m, pc_nn_dropout(&m, &(pc_dropout_opts){0.25}));
  pc_tensor *x, *y;
  int64_t n = 40000, zeros = 0;
  must(pc_tensor_full(&x, PC_F32, 1, &n, 3));
  y = first_of(m, x, NULL);
  for (int64_t i = 0; i < n; i++) {
    zeros += val(y, i) == 0;
    if (val(y, i) != 0) close_to(val(y, i), 4, 1e-6);
  }
  close_to((double)zeros / (double)n, 0.25, 0.01);
  pc_tensor_release(y);
  pc_module_set_training(m, 0);
  y = first_of(m, x, NULL);
  ck_assert_mem_eq(pc_data(x), pc_data(y), (size_t)n * 4);
  pc_tensor_release(x);
  pc_tensor_release(y);
  pc_module_release(m);
}
END_TEST

/* ---- attention against plain loops ---- */

/* y[n][o] = sum_i x[n][i] w[o][i] (+ b) */
static void project(double *y, const double *x, const pc_module *l, int64_t n, int64_t in, int64_t out) {
  for (int64_t r = 0; r < n; r++)
    for (int64_t o = 0; o < out; o++) {
      double s = l->nparams > 1 ? val(l->params[1].t, o) : 0;
      for (int64_t i = 0; i < in; i++) s += x[r * in + i] * val(l->params[0].t, o * in + i);
      y[r * out + o] = s;
    }
}

enum { B = 2, N = 3, M = 4, WQ = 4, WKV = 6, HEADS = 2, INNER = 8, E = INNER / HEADS };

START_TEST(attention_is_the_plain_loop) {
  MADE(m, pc_nn_attention(&m, WQ, HEADS,
                          &PC_OPTIONS_WITH(pc_attention_opts, PC_ATTENTION_OPTIONS, .context = PC_GIVEN(WKV),
                                           .inner = PC_GIVEN(INNER), .bias = 1)));
  to_f64(m);
  for (int one = 0; one < 2; one++) { /* a query batch of 1 serves every context */
    pc_tensor *x = NORMAL(PC_F64, 1, one ? 1 : B, N, WQ), *c = NORMAL(PC_F64, 2, B, M, WKV), *out[PC_MAX_OUT];
    must(run_module(m, (pc_tensor *[]){x, c}, 2, out));
    shape_is(out[0], "(2,3,4)");
    shape_is(out[1], "(2,2,3,4)");
    for (int b = 0; b < B; b++) {
      double q[N * INNER], k[M * INNER], v[M * INNER], y[N * INNER] = {0}, o[N * WQ];
      project(q, pc_f64(x) + (one ? 0 : b * N * WQ), pc_module_child(m, "q"), N, WQ, INNER);
      project(k, pc_f64(c) + b * M * WKV, pc_module_child(m, "k"), M, WKV, INNER);
      project(v, pc_f64(c) + b * M * WKV, pc_module_child(m, "v"), M, WKV, INNER);
      for (int h = 0; h < HEADS; h++)
        for (int n = 0; n < N; n++) {
          double w[M], sum = 0;
          for (int j = 0; j < M; j++) {
            double dot = 0;
            for (int e = 0; e < E; e++) dot += q[n * INNER + h * E + e] * k[j * INNER + h * E + e];
            sum += w[j] = exp(dot / sqrt(E));
          }
          for (int j = 0; j < M; j++) {
            close_to(val(out[1], ((b * HEADS + h) * N + n) * M + j), w[j] / sum, 1e-9);
            for (int e = 0; e < E; e++) y[n * INNER + h * E + e] += w[j] / sum * v[j * INNER + h * E + e];
          }
        }
      project(o, y, pc_module_child(m, "o"), N, INNER, WQ);
      for (int i = 0; i < N * WQ; i++) close_to(val(out[0], b * N * WQ + i), o[i], 1e-9);
    }
    pc_tensor_release(x);
    pc_tensor_release(c);
    pc_tensor_release(out[0]);
    pc_tensor_release(out[1]);
  }
  pc_module_release(m);
}
END_TEST

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

START_TEST(gru_is_its_formula) {
  enum { IN = 3, HID = 2 };
  MADE(m, pc_nn_gru_cell(&m, IN, HID));
  to_f64(m);
  pc_tensor *x = NORMAL(PC_F64, 1, 2, IN), *h = NORMAL(PC_F64, 2, 2, HID), *y = first_of(m, x, h);
  shape_is(y, "(2,2)");
  for (int b = 0; b < 2; b++)
    for (int j = 0; j < HID; j++) {
      double a[3], u[3];
      for (int gate = 0; gate < 3; gate++) {
        int row = gate * HID + j;
        a[gate] = val(m->params[2].t, row);
        u[gate] = val(m->params[3].t, row);
        for (int i = 0; i < IN; i++) a[gate] += val(m->params[0].t, row * IN + i) * val(x, b * IN + i);
        for (int i = 0; i < HID; i++) u[gate] += val(m->params[1].t, row * HID + i) * val(h, b * HID + i);
      }
      double r = sigmoid(a[0] + u[0]), z = sigmoid(a[1] + u[1]), n = tanh(a[2] + r * u[2]);
      close_to(val(y, b * HID + j), (1 - z) * n + z * val(h, b * HID + j), 1e-10);
    }
  pc_tensor_release(x);
  pc_tensor_release(h);
  pc_tensor_release(y);
  pc_module_release(m);
}
END_TEST

START_TEST(position_tables) {
  pc_tensor *t;
  must(pc_embed_sincos_1d(&t, 5, 6));
  shape_is(t, "(5,6)");
  close_to(val(t, 3 * 6 + 0), sin(3), 1e-6);
  close_to(val(t, 3 * 6 + 1), cos(3), 1e-6);
  close_to(val(t, 3 * 6 + 4), sin(3 / pow(10000, 4.0 / 6)), 1e-6);
  pc_tensor_release(t);
  must(pc_embed_sincos_2d(&t, 2, 3, 8)); /* position (1,2) is row 5: half for the row, half for the column */
  shape_is(t, "(6,8)");
  close_to(val(t, 5 * 8 + 0), sin(1), 1e-6);
  close_to(val(t, 5 * 8 + 4), sin(2), 1e-6);
  close_to(val(t, 5 * 8 + 7), cos(2 / pow(10000, 2.0 / 4)), 1e-6);
  pc_tensor_release(t);
  must(pc_embed_fourier(&t, 3, 5, 2)); /* position (1,3): y = 1/2, x = 3/4 */
  shape_is(t, "(15,8)");
  const float *row = pc_f32(t) + 8 * 8;
  close_to((double)row[0], sin(M_PI * 0.75), 1e-6);
  close_to((double)row[1], sin(M_PI * 0.5), 1e-6);
  close_to((double)row[2], cos(M_PI * 0.75), 1e-6);
  close_to((double)row[4], sin(2 * M_PI * 0.75), 1e-6);
  close_to((double)row[7], cos(2 * M_PI * 0.5), 1e-6);
  pc_tensor_release(t);
}
END_TEST

/* ---- gradients ---- */

START_TEST(gradients) {
  pc_tensor *rows = NORMAL(PC_F64, 1, 2, 3, 4), *context = NORMAL(PC_F64, 2, 2, 2, 6),
            *image = NORMAL(PC_F64, 3, 1, 4, 4, 2), *x = NORMAL(PC_F64, 4, 2, 4), *h = NORMAL(PC_F64, 5, 2, 3);
  MADE(mlp, pc_nn_mlp(&mlp, 3, (int64_t[]){4, 5, 2}, PC_ACTIVATION_gelu));
  MADE(self, pc_nn_attention(&self, 4, 2, NULL));
  MADE(cross, pc_nn_attention(&cross, 4, 2, &(pc_attention_opts){.context = PC_GIVEN(6)}));
  MADE(block, pc_nn_block(&block, 4, 2,
                          &PC_OPTIONS_WITH(pc_block_opts, PC_BLOCK_OPTIONS, .context = PC_GIVEN(6), .self_attention = 1,
                                           .ff = PC_GIVEN(5))));
  MADE(gru, pc_nn_gru_cell(&gru, 4, 3));
  MADE(conv, pc_nn_conv2d(&conv, 2, 3, 3,
                          &PC_OPTIONS_WITH(pc_nn_conv_opts, PC_CONV_TRANSPOSE_OPTIONS, .stride = 2, .padding = 1)));
  MADE(up, pc_nn_conv_transpose2d(
               &up, 2, 3, 3,
               &PC_OPTIONS_WITH(pc_nn_conv_opts, PC_CONV_TRANSPOSE_OPTIONS, .stride = 2, .output_padding = 1)));
  MADE(ln, pc_nn_layer_norm(&ln, 4, NULL));
  MADE(gn, pc_nn_group_norm(&gn, 2, 2, NULL));
  gradcheck_module(mlp, &rows, 1, 0, 1);
  gradcheck_module(self, &rows, 1, 0, 1);
  gradcheck_module(cross, (pc_tensor *[]){rows, context}, 2, 0, 0);
  gradcheck_module(cross, (pc_tensor *[]){rows, context}, 2, 1, 0);
  gradcheck_module(block, (pc_tensor *[]){rows, context}, 2, 0, 0);
  gradcheck_module(gru, (pc_tensor *[]){x, h}, 2, 0, 1);
  gradcheck_module(conv, &image, 1, 0, 0);
  gradcheck_module(up, &image, 1, 0, 0);
  gradcheck_module(ln, &rows, 1, 0, 1);
  gradcheck_module(gn, &image, 1, 0, 0);
  pc_module *all[] = {mlp, self, cross, block, gru, conv, up, ln, gn};
  for (int i = 0; i < 9; i++) pc_module_release(all[i]);
  pc_tensor *inputs[] = {rows, context, image, x, h};
  for (int i = 0; i < 5; i++) pc_tensor_release(inputs[i]);
}
END_TEST

/* ---- losses ---- */

/* Item of a loss in a scope of its own. */
#define LOSS(want, tol, expr)         \
  do {                                \
    pc_scope sc = {0}, *s = &sc;      \
    pc_tensor *l_ = (expr);           \
    must(sc.rc);                      \
    ck_assert_int_eq(l_->ndim, 0);    \
    close_to(pc_item(l_), want, tol); \
    must(pc_scope_end(s, NULL, 0));   \
  } while (0)
#define LOSS_FAILS(code, text, expr)                 \
  do {                                               \
    pc_scope sc = {0}, *s = &sc;                     \
    (void)(expr);                                    \
    must_fail(pc_scope_end(s, NULL, 0), code, text); \
  } while (0)

START_TEST(losses) {
  pc_tensor *x = MAT(PC_F64, 2, 3, 1, 2, 3, -1, 0, 4), *y = MAT(PC_F64, 2, 3, 0, 2, 5, -1, 1, 1),
            *small = VEC(PC_F64, 1, 2);
  LOSS(15.0 / 6, 1e-12, pc_loss_mse(s, x, y, PC_REDUCE_MEAN)); /* 1 + 0 + 4 + 0 + 1 + 9 */
  LOSS(15, 1e-12, pc_loss_mse(s, x, y, PC_REDUCE_SUM));
  LOSS(7.5, 1e-12, pc_loss_mse(s, x, y, PC_REDUCE_BATCH_MEAN));
  LOSS_FAILS(PC_ESHAPE, "mse: prediction (2,3) and target (2)", pc_loss_mse(s, x, small, PC_REDUCE_MEAN));

  pc_tensor *t = VEC(PC_I64, 3, 1), *bad = VEC(PC_I64, 4, 1);
  double z0 = log(exp(1) + exp(2) + exp(3)), z1 = log(exp(-1) + 1 + exp(4));
  double ce = ((z0 - 3) + (z1 + 1)) / 2, flat = ((z0 - 2) + (z1 - 1)) / 2; /* flat: mean over classes of -log p */
  LOSS(ce, 1e-10, pc_loss_cross_entropy(s, x, t, 0, PC_REDUCE_MEAN));
  LOSS(0.9 * ce + 0.1 * flat, 1e-10, pc_loss_cross_entropy(s, x, t, 0.1, PC_REDUCE_MEAN));
  LOSS_FAILS(PC_EARG, "cross_entropy: label_smoothing: expected a number >= 0 and < 1, got 1",
             pc_loss_cross_entropy(s, x, t, 1, PC_REDUCE_MEAN));
  LOSS_FAILS(PC_EINDEX, "4", pc_loss_cross_entropy(s, x, bad, 0, PC_REDUCE_MEAN));
  LOSS_FAILS(PC_ESHAPE, "cross_entropy: logits (2,3)", pc_loss_cross_entropy(s, x, y, 0, PC_REDUCE_MEAN));

  pc_tensor *logit = VEC(PC_F64, 0, 800, -800, 2), *target = VEC(PC_F64, 1, 1, 0, 0.25);
  LOSS((log(2) + 0 + 0 + log1p(exp(-2)) + 2 - 0.5) / 4, 1e-12, pc_loss_bce_logits(s, logit, target, PC_REDUCE_MEAN));
  LOSS_FAILS(PC_ESHAPE, "bce_with_logits", pc_loss_bce_logits(s, logit, small, PC_REDUCE_MEAN));

  pc_tensor *mean = VEC(PC_F64, 1, 2), *far = VEC(PC_F64, 0, 3), *var = VEC(PC_F64, 4, 0), *ls = VEC(PC_F64, 0, log(2));
  LOSS(0.5 * (log(4) + 1.0 / 4 + log(1e-6) + 1 / 1e-6), 1e-4,
       pc_loss_gaussian_nll(s, mean, far, var, 1e-6, PC_REDUCE_SUM)); /* a variance of 0 is taken as eps */
  LOSS(0.5 * (1 + 1 - 1) + 0.5 * (4 + 4 - 1) - log(2), 1e-12, pc_loss_kl(s, mean, ls, PC_REDUCE_SUM));
  ck_assert_int_eq(pc_choice(pc_loss_options.rows[0].range, "batch_mean"), PC_REDUCE_BATCH_MEAN);
  pc_tensor *all[] = {x, y, small, t, bad, logit, target, mean, far, var, ls};
  for (int i = 0; i < 11; i++) pc_tensor_release(all[i]);
}
END_TEST

static Suite *layers_suite(void) {
  Suite *s = suite_create("layers");
  TCase *tc = tcase_create("layers");
  tcase_set_timeout(tc, 60);
  tcase_add_test(tc, shapes);
  tcase_add_test(tc, messages);
  tcase_add_test(tc, linear_by_hand);
  tcase_add_test(tc, dropout_while_training);
  tcase_add_test(tc, attention_is_the_plain_loop);
  tcase_add_test(tc, gru_is_its_formula);
  tcase_add_test(tc, position_tables);
  tcase_add_test(tc, gradients);
  tcase_add_test(tc, losses);
  suite_add_tcase(s, tc);
  return s;
}

SUITE_MAIN(layers_suite)
