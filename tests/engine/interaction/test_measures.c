/* test_measures.c: measures of decoders against functions whose derivatives are known, and their own gradients. */
#include "check_main.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"
#include "interaction/contrast.h"
#include "interaction/hessian.h"
#include "interaction/weights.h"
#include "options.h"

#define CHECK(...)   WITH(pc_gradcheck_opts, PC_GRADCHECK_OPTIONS, __VA_ARGS__)
#define HESSIAN(...) WITH(pc_hessian_opts, PC_HESSIAN_OPTIONS, __VA_ARGS__)
#define SLOTS(...)   WITH(pc_slot_opts, PC_SLOT_OPTIONS, __VA_ARGS__)

/* x = (w z1 z2, sin z1 + z2^2) of two slots of one number; ctx: w, or NULL for 1 */
static int product(void *ctx, pc_tensor *z, pc_tensor **y) {
  pc_scope s = {0};
  pc_tensor *a = pc_select(&s, z, 1, 0), *b = pc_select(&s, z, 1, 1), *ab = pc_mul(&s, a, b);
  if (ctx) ab = pc_mul(&s, ab, ctx);
  pc_tensor *both[2] = {ab, pc_add(&s, pc_sin(&s, a), pc_square(&s, b))};
  *y = pc_cat(&s, 2, both, 1);
  return pc_scope_end(&s, y, 1);
}

static int additive(void *ctx, pc_tensor *z, pc_tensor **y) {
  pc_scope s = {0};
  *y = pc_sum(&s, pc_sin(&s, z), 1, (int[]){1}, 0);
  return pc_scope_end(&s, y, 1);
}

static int too_few(void *ctx, pc_tensor *z, pc_tensor **y) { return pc_tensor_zeros(y, PC_F64, 2, (int64_t[]){1, 2}); }

static pc_tensor *slots(void) { return tensor_of(PC_F64, 3, (int64_t[]){2, 2, 1}, (double[]){0.5, -1, 2, 0.25}); }

static pc_slot_opts options(int exact) { return SLOTS(.name = "measure", .method = exact, .batch = 64); }

START_TEST(hessian_known) {
  pc_tensor *z = slots();
  for (int exact = 0; exact < 2; exact++)
    for (int64_t batch = 1; batch <= 64; batch += 63) {
      pc_slot_opts o = options(exact);
      pc_hessian_norms r;
      o.batch = batch;
      must(pc_hessian_of(&r, &(pc_slot_function){product, NULL, "decoder"}, z, &HESSIAN(.probes = 0), &o));
      const double at[2] = {0.5, 2}, half = sqrt(0.5);
      for (int b = 0; b < 2; b++) {
        close_to(pc_at(r.blocks, 4 * b), sin(at[b]) * half, 1e-6);
        close_to(pc_at(r.blocks, 4 * b + 1), half, 1e-6);
        close_to(pc_at(r.blocks, 4 * b + 3), 2 * half, 1e-6);
        close_to(pc_at(r.mixed, b), 1, 1e-6);
        close_to(pc_at(r.share, b), 1 / (1 + (sin(at[b]) * sin(at[b]) + 4) / 2), 1e-6);
      }
      pc_hessian_norms_release(&r);
      must(pc_hessian_of(&r, &(pc_slot_function){additive, NULL, "decoder"}, z, &HESSIAN(.probes = 2), &o));
      close_to(pc_at(r.mixed, 0), 0, 1e-6);
      ck_assert(pc_at(r.within, 0) > 1e-3);
      pc_hessian_norms_release(&r);
    }
  pc_tensor_release(z);
}
END_TEST

START_TEST(contrast_known) {
  pc_tensor *z = slots(), *c, *S;
  for (int exact = 0; exact < 2; exact++) {
    pc_slot_opts o = options(exact);
    const pc_slot_function f = {product, NULL, "decoder"};
    must(pc_contrast(&c, &f, z, 0, &o));
    close_to(pc_at(c, 0), 0.5 + 2 * cos(0.5), 1e-6); /* gradients (z2, z1) and (cos z1, 2 z2) */
    close_to(pc_at(c, 1), 0.5 + 0.5 * fabs(cos(2)), 1e-6);
    must(pc_slot_jacobian(&S, &f, z, 0, &o));
    ck_assert_str_eq(pc_shape_str(S), "(2,2,2)");
    close_to(pc_at(S, 0), 1, 1e-6);
    close_to(pc_at(S, 3), 2, 1e-6);
    pc_tensor_release(c);
    pc_tensor_release(S);
  }
  pc_tensor_release(z);
}
END_TEST

/* The measures as losses in w. */
static int contrast_loss(void *exact, pc_tensor *const *x, int nx, pc_tensor **y) {
  pc_slot_opts o = options(exact != NULL);
  pc_tensor *z = slots();
  o.create_graph = 1;
  int rc = pc_contrast(y, &(pc_slot_function){product, x[0], "decoder"}, z, 0, &o);
  pc_tensor_release(z);
  return rc;
}

static int share_loss(void *exact, pc_tensor *const *x, int nx, pc_tensor **y) {
  pc_slot_opts o = options(exact != NULL);
  pc_hessian_norms r;
  pc_tensor *z = slots();
  o.create_graph = 1;
  int rc = pc_hessian_of(&r, &(pc_slot_function){product, x[0], "decoder"}, z, &HESSIAN(.probes = 0), &o);
  *y = rc == PC_OK ? pc_tensor_retain(r.share) : NULL;
  pc_tensor_release(z);
  if (rc == PC_OK) pc_hessian_norms_release(&r);
  return rc;
}

START_TEST(penalties_have_gradients) {
  int on;
  for (int exact = 0; exact < 2; exact++) {
    pc_tensor *w = VEC(PC_F64, 0.7);
    must(pc_set_requires_grad(w, 1));
    must(pc_gradcheck(contrast_loss, exact ? &on : NULL, &w, 1, &CHECK(.rtol = 1e-4, .atol = 1e-6)));
    must(pc_gradcheck(share_loss, exact ? &on : NULL, &w, 1, &CHECK(.rtol = 1e-4, .atol = 1e-5)));
    pc_tensor_release(w);
  }
}
END_TEST

START_TEST(weights) {
  pc_tensor *y, *s = tensor_of(PC_F32, 3, (int64_t[]){1, 3, 3}, (double[]){0.5, 0.5, 0, 0, 0, 0, 0, 0, 1});
  must(pc_weights_jis(&y, s, NULL, 0)); /* (1/2 - 1/3)/(1 - 1/3) and 1; a pixel of no slot is left out */
  close_to(pc_at(y, 0), (0.25 + 1) / 2, 1e-6);
  pc_tensor_release(y);
  pc_tensor *masks = VEC(PC_I64, 1, 1, 0);
  must(pc_weights_jis(&y, s, masks, 0));
  close_to(pc_at(y, 0), 0.25, 1e-6);
  pc_tensor_release(y);
  pc_tensor *a = tensor_of(PC_F32, 3, (int64_t[]){1, 4, 2}, (double[]){0.9, 0.1, 0.2, 0.8, 0.9, 0.1, 0.1, 0.9});
  must(pc_weights_segment(&y, a, 4, 4, "segment"));
  const int want[4] = {1, 1, 2, 2};
  for (int i = 0; i < 16; i++) ck_assert_int_eq((int)pc_at(y, i), want[i % 4]);
  pc_tensor_release(y);
  must_fail(pc_weights_segment(&y, s, 4, 4, "segment"), PC_ESHAPE, "3 places are no grid in the proportions of 4 x 4");
  must_fail(pc_weights_segment(&y, a, 0, 4, "segment"), PC_ESHAPE, "0 x 4");
  must_fail(pc_weights_jis(&y, s, a, 0), PC_ESHAPE, "one label for each of the 3 pixels");
  pc_tensor_release(s);
  pc_tensor_release(a);
  pc_tensor_release(masks);
}
END_TEST

START_TEST(messages) {
  pc_tensor *z = slots(), *flat = VEC(PC_F64, 1, 2), *y;
  const pc_slot_function f = {product, NULL, "decoder"};
  pc_slot_opts o = options(0);
  pc_hessian_norms r;
  must_fail(pc_contrast(&y, &f, flat, 0, &o), PC_ESHAPE,
            "measure: slots must be (B,K,m) of at least one image, one slot and one latent, got (2)");
  must_fail(pc_contrast(&y, &(pc_slot_function){too_few, NULL, "decoder"}, z, 0, &o), PC_ESHAPE,
            "the decoder gave a tensor (1,2)");
  must_fail(pc_hessian_of(&r, &f, z, &HESSIAN(.probes = -1), &o), PC_EARG,
            "measure: probes: expected an integer >= 0, got -1");
  must_fail(pc_hessian_of(&r, &f, z, &HESSIAN(.outputs = {1, 0}), &o), PC_EARG,
            "measure: outputs: expected an integer >= 1, got 0");
  must_fail(pc_tangent_of(&r, &f, &f, z, flat, &HESSIAN(.probes = 0), &SLOTS(.name = "measure", .batch = 0)), PC_EARG,
            "measure: batch: expected an integer >= 1, got 0");
  o.eps = (pc_maybe_num){1, NAN};
  must_fail(pc_slot_jacobian(&y, &f, z, 1, &o), PC_EARG, "measure: eps: expected a number > 0, got nan");
  o.eps.given = 0, o.scale = tensor_of(PC_F64, 1, (int64_t[]){3}, (double[]){1, 1, 1});
  must_fail(pc_slot_jacobian(&y, &f, z, 1, &o), PC_ESHAPE, "scale must be (2,1) or (1), got (3)");
  pc_tensor_release(o.scale);
  pc_tensor_release(z);
  pc_tensor_release(flat);
}
END_TEST

static Suite *suite(void) {
  Suite *s = suite_create("measures");
  TCase *tc = tcase_create("measures");
  tcase_set_timeout(tc, 120);
  tcase_add_test(tc, hessian_known);
  tcase_add_test(tc, contrast_known);
  tcase_add_test(tc, penalties_have_gradients);
  tcase_add_test(tc, weights);
  tcase_add_test(tc, messages);
  suite_add_tcase(s, tc);
  return s;
}
SUITE_MAIN(suite)
