/* test_module.c: trees of parameters: paths, one flat buffer, sharing, copying, freezing. */
#include "engine/nn/modules.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"

static const pc_module_class plain = {"plain", 1, 1, 1, NULL, NULL, "x -> x"};

static pc_module *linear(int64_t in, int64_t out) {
  pc_module *m;
  must(pc_nn_linear(&m, in, out, NULL));
  return m;
}

/* root: weight (2); a: linear 2 -> 3; b: mlp 3-4-1 */
static pc_module *tree(void) {
  pc_module *m, *b;
  must(pc_module_new(&m, &plain, 0));
  must(pc_module_param(m, "weight", 1, (int64_t[]){2}, PC_INIT_ONES, 1, 0, 0));
  must(pc_module_adopt(m, "a", PC_OK, linear(2, 3)));
  must(pc_nn_mlp(&b, 3, (int64_t[]){3, 4, 1}, PC_ACTIVATION_relu));
  must(pc_module_adopt(m, "b", PC_OK, b));
  return m;
}

static int join(void *ctx, const char *path, pc_parameter *p) {
  strcat(strcat((char *)ctx, path), p->is_buffer ? "* " : " ");
  return PC_OK;
}

START_TEST(paths) {
  char names[512] = "";
  pc_module *m = tree();
  must(pc_module_each(m, join, names));
  ck_assert_str_eq(names, "weight a.weight a.bias b.1.weight b.1.bias b.3.weight b.3.bias ");
  ck_assert_int_eq(pc_module_count(m), 2 + 9 + 16 + 5);
  shape_is(pc_module_get(m, "b.1.weight"), "(4,3)");
  ck_assert_ptr_null(pc_module_get(m, "b.2.weight"));
  ck_assert_ptr_null(pc_module_get(m, "b"));
  ck_assert_ptr_null(pc_module_get(m, "a.weight.x"));
  ck_assert_ptr_null(pc_module_child(m, "c"));
  ck_assert_ptr_eq(pc_module_child(m, "a"), m->kids[0].m);
  must_fail(pc_module_param(m, "weight", 0, NULL, PC_INIT_ZEROS, 1, 0, 0), PC_EARG, "weight");
  must_fail(pc_module_add_child(m, "a", m->kids[1].m), PC_EARG, "'a'");
  must_fail(pc_module_add_child(m, "x.y", m->kids[1].m), PC_EARG, "x.y");
  pc_module_release(m);
}
END_TEST

START_TEST(tensors_that_are_no_parameters) {
  pc_module *m = tree();
  pc_tensor *ints = VEC(PC_I64, 1, 2), *x = VEC(PC_F32, 1, 2), *y;
  pc_scope s = {0};
  must_fail(pc_module_add_tensor(m, "ints", ints, 0), PC_EDTYPE, "parameter 'ints'");
  must(pc_module_add_tensor(m, "ints", ints, 1));
  must(pc_set_requires_grad(x, 1));
  y = pc_mul_scalar(&s, x, 2);
  must_fail(pc_module_add_tensor(m, "y", y, 0), PC_EARG, "detach()");
  must(pc_scope_end(&s, NULL, 0));
  ck_assert_int_eq(pc_module_count(m), 32);
  pc_tensor_release(ints);
  pc_tensor_release(x);
  pc_module_release(m);
}
END_TEST

START_TEST(one_flat_buffer) {
  pc_module *m = tree();
  pc_flat f, again, part;
  double before[32];
  pc_tensor *w = pc_module_get(m, "a.weight"), *g;
  for (int i = 0; i < 6; i++) before[i] = (double)pc_f32(w)[i];
  g = MAT(PC_F32, 3, 2, 1, 2, 3, 4, 5, 6);
  must(pc_grad_set(w, g));
  must(pc_module_flatten(m, &f));
  ck_assert_int_eq(pc_numel(f.values), 32);
  ck_assert_ptr_eq(pc_data(w), pc_f32(f.values) + 2); /* tree order */
  ck_assert_ptr_eq(pc_data(pc_module_get(m, "b.3.bias")), pc_f32(f.values) + 31);
  for (int i = 0; i < 6; i++) {
    close_to((double)pc_f32(w)[i], before[i], 0);
    close_to((double)pc_f32(f.grads)[2 + i], i + 1, 0); /* gradients move, too */
  }
  must(pc_module_flatten(m, &again));
  ck_assert_ptr_eq(again.values->storage, f.values->storage);
  ck_assert_ptr_eq(again.grads->storage, f.grads->storage);
  must(pc_module_flatten(pc_module_child(m, "b"), &part)); /* a subtree is a slice of it */
  ck_assert_ptr_eq(pc_data(part.values), pc_f32(f.values) + 11);
  ck_assert_int_eq(pc_numel(part.values), 21);
  must(pc_fill(f.values, 7));
  close_to((double)pc_f32(pc_module_get(m, "b.1.bias"))[3], 7, 0);
  must(pc_module_zero_grad(m));
  close_to((double)pc_f32(f.grads)[5], 0, 0);
  pc_flat *all[] = {&f, &again, &part};
  for (int i = 0; i < 3; i++) {
    pc_tensor_release(all[i]->values);
    pc_tensor_release(all[i]->grads);
  }
  pc_tensor_release(g);
  pc_module_release(m);
}
END_TEST

START_TEST(flattening_what_cannot_be) {
  pc_module *m, *act;
  pc_flat f;
  pc_tensor *d = VEC(PC_F64, 1, 2);
  must(pc_nn_activation(&act, PC_ACTIVATION_relu));
  must_fail(pc_module_flatten(act, &f), PC_EARG, "relu has no parameters");
  m = tree();
  must(pc_module_add_tensor(m, "wide", d, 0));
  must_fail(pc_module_flatten(m, &f), PC_EDTYPE, "'wide' is f64, others are f32");
  pc_tensor_release(d);
  pc_module_release(act);
  pc_module_release(m);
}
END_TEST

START_TEST(shared_weights_count_once) {
  pc_module *m, *part = linear(2, 2);
  pc_flat f;
  char names[128] = "";
  must(pc_nn_sequential(&m, 2, (pc_module *[]){part, part}));
  ck_assert_int_eq(pc_module_count(m), 6);
  must(pc_module_each(m, join, names));
  ck_assert_str_eq(names, "1.weight 1.bias ");
  ck_assert_ptr_eq(pc_module_get(m, "2.bias"), part->params[1].t);
  must(pc_module_flatten(m, &f));
  ck_assert_int_eq(pc_numel(f.values), 6);
  /* the gradient is the sum over both uses: y = w (w x), d/dw at w = 2, x = 3 in one dimension */
  pc_tensor *x = MAT(PC_F32, 1, 2, 3, 0), *y;
  pc_scope s = {0};
  must(pc_fill(f.values, 0));
  pc_f32(f.values)[0] = 2;
  y = pc_sum(&s, pc_run1(&s, m, x), 0, NULL, 0);
  must(s.rc);
  must(pc_backward(y, NULL, 0));
  close_to((double)pc_f32(f.grads)[0], 12, 1e-6);
  must(pc_scope_end(&s, NULL, 0));
  pc_tensor_release(x);
  pc_tensor_release(f.values);
  pc_tensor_release(f.grads);
  pc_module_release(part);
  pc_module_release(m);
}
END_TEST

START_TEST(copying) {
  pc_module *a = tree(), *b = tree(), *other = linear(2, 3);
  must(pc_module_copy_values(b, a));
  ck_assert_mem_eq(pc_data(pc_module_get(a, "b.1.weight")), pc_data(pc_module_get(b, "b.1.weight")), 48);
  ck_assert_ptr_ne(pc_data(pc_module_get(a, "b.1.weight")), pc_data(pc_module_get(b, "b.1.weight")));
  must_fail(pc_module_copy_values(b, other), PC_ESHAPE, "'weight' is (2) here and (3,2) in the source");
  must_fail(pc_module_copy_values(b, pc_module_child(b, "a")), PC_ESHAPE, "'weight'");
  must_fail(pc_module_copy_values(other, pc_module_child(b, "b")), PC_ENOTFOUND, "no parameter 'weight'");
  pc_module_release(a);
  pc_module_release(b);
  pc_module_release(other);
}
END_TEST

START_TEST(freezing_and_training) {
  pc_module *m = tree();
  must(pc_module_set_requires_grad(m, 0));
  ck_assert_int_eq(pc_requires_grad(pc_module_get(m, "a.bias")), 0);
  must(pc_module_set_requires_grad(m, 1));
  ck_assert_int_eq(pc_requires_grad(pc_module_get(m, "a.bias")), 1);
  pc_module_set_training(m, 0);
  ck_assert_int_eq(m->kids[1].m->kids[0].m->training, 0);
  pc_module_release(m);
}
END_TEST

START_TEST(number_of_inputs) {
  pc_module *m = linear(2, 3);
  pc_tensor *x = MAT(PC_F32, 1, 2, 1, 2), *out[PC_MAX_OUT];
  must_fail(run_module(m, (pc_tensor *[]){x, x}, 2, out), PC_EARG, "linear: takes 1 to 1 inputs, got 2");
  must_fail(run_module(m, NULL, 0, out), PC_EARG, "linear: takes 1 to 1 inputs, got 0");
  pc_tensor_release(x);
  pc_module_release(m);
}
END_TEST

/* ---- initial values ---- */

static double moment(const pc_tensor *t, int k) {
  double s = 0;
  for (int64_t i = 0; i < pc_numel(t); i++) s += pow((double)pc_f32(t)[i], k);
  return s / (double)pc_numel(t);
}

START_TEST(initial_values) {
  int64_t size[2] = {200, 300};
  pc_tensor *t;
  pc_rng g = {0};
  pc_rng_seed(&g, 5);
  must(pc_tensor_empty(&t, PC_F32, 2, size));
  const struct {
    const char *name;
    double variance, bound; /* 0: unbounded */
  } cases[] = {{"normal", 4, 0},
               {"fan_in", 4.0 / 300 / 3, 2 / sqrt(300)},
               {"xavier_uniform", 4 * 2.0 / 500, 2 * sqrt(6.0 / 500)},
               {"xavier_normal", 4 * 2.0 / 500, 0},
               {"kaiming_uniform", 4.0 / 300, 2 * sqrt(3.0 / 300)},
               {"kaiming_normal", 4.0 / 300, 0},
               {"orthogonal", 4.0 / 300, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int kind = pc_choice(PC_INITS, cases[i].name);
    ck_assert_int_ge(kind, 0);
    must(pc_init_fill(t, (pc_init)kind, 2, 300, 200, &g));
    double v = moment(t, 2);
    close_to(moment(t, 1), 0, 4 * sqrt(cases[i].variance / 60000));
    ck_assert_msg(fabs(v / cases[i].variance - 1) < 0.04, "%s: variance %g, not %g", cases[i].name, v,
                  cases[i].variance);
    for (int64_t k = 0; cases[i].bound > 0 && k < pc_numel(t); k++)
      ck_assert(fabs((double)pc_f32(t)[k]) <= cases[i].bound * 1.000001);
  }
  must(pc_init_fill(t, PC_INIT_UNIFORM, 3, 0, 0, &g));
  close_to(moment(t, 1), 1.5, 0.02);
  ck_assert_int_eq(pc_choice(PC_INITS, "he"), -1);
  pc_tensor_release(t);
}
END_TEST

START_TEST(orthogonality) {
  const int64_t sizes[3][2] = {{5, 12}, {12, 5}, {6, 6}};
  for (int c = 0; c < 3; c++) {
    int64_t rows = sizes[c][0], cols = sizes[c][1], small = rows < cols ? rows : cols;
    pc_tensor *t;
    pc_rng g = {3, 0};
    must(pc_tensor_empty(&t, PC_F32, 2, sizes[c]));
    must(pc_init_fill(t, PC_INIT_ORTHOGONAL, 3, 0, 0, &g));
    for (int64_t i = 0; i < small; i++)
      for (int64_t j = 0; j < small; j++) {
        double dot = 0;
        for (int64_t k = 0; k < rows * cols / small; k++)
          dot += (double)(rows <= cols ? pc_f32(t)[i * cols + k] * pc_f32(t)[j * cols + k]
                                       : pc_f32(t)[k * cols + i] * pc_f32(t)[k * cols + j]);
        close_to(dot, i == j ? 9 : 0, 1e-5);
      }
    pc_tensor_release(t);
  }
}
END_TEST

static Suite *module_suite(void) {
  Suite *s = suite_create("module");
  TCase *tc = tcase_create("module");
  tcase_add_test(tc, paths);
  tcase_add_test(tc, tensors_that_are_no_parameters);
  tcase_add_test(tc, one_flat_buffer);
  tcase_add_test(tc, flattening_what_cannot_be);
  tcase_add_test(tc, shared_weights_count_once);
  tcase_add_test(tc, copying);
  tcase_add_test(tc, freezing_and_training);
  tcase_add_test(tc, number_of_inputs);
  tcase_add_test(tc, initial_values);
  tcase_add_test(tc, orthogonality);
  suite_add_tcase(s, tc);
  return s;
}

SUITE_MAIN(module_suite)
