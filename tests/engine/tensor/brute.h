/* brute.h: what the kernel suites share: random tensors, runs of a forward
 * function under a tier, comparison with numbers from plain loops. */
#ifndef PC_TESTS_BRUTE_H
#define PC_TESTS_BRUTE_H

#include "base/cpu.h"
#include "base/rng.h"
#include "check_main.h"
#include "tensor/kernel.h"

#define UNUSED __attribute__((unused))
#define SIZES(...) \
  (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]) { __VA_ARGS__ }

static pc_rng brute_rng = {.seed = 7};

/* Contiguous, normal numbers. */
UNUSED static pc_tensor *rnd(pc_dtype d, int n, const int64_t *size) {
  pc_tensor *t;
  must(pc_tensor_empty(&t, d, n, size));
  if (d == PC_F32)
    pc_rng_fill_normal_f32(&brute_rng, pc_f32(t), pc_numel(t));
  else
    pc_rng_fill_normal_f64(&brute_rng, pc_f64(t), pc_numel(t));
  return t;
}

/* The same, as a view with the last two dimensions swapped in memory. */
UNUSED static pc_tensor *rnd_t(pc_dtype d, int n, const int64_t *size) {
  int64_t s[PC_MAX_DIM];
  int perm[PC_MAX_DIM];
  for (int i = 0; i < n; i++) s[i] = size[i], perm[i] = i;
  s[n - 1] = size[n - 2], s[n - 2] = size[n - 1];
  perm[n - 1] = n - 2, perm[n - 2] = n - 1;
  pc_tensor *t = rnd(d, n, s), *v;
  must(pc_view_permute(&v, t, perm));
  pc_tensor_release(t);
  return v;
}

/* Strides that BLAS cannot take: every second element of both last dimensions. */
UNUSED static pc_tensor *rnd_s(pc_dtype d, int n, const int64_t *size) {
  int64_t s[PC_MAX_DIM];
  for (int i = 0; i < n; i++) s[i] = size[i] * (i >= n - 2 ? 2 : 1);
  pc_tensor *t = rnd(d, n, s), *v, *w;
  must(pc_view_narrow(&v, t, n - 1, 0, size[n - 1], 2));
  must(pc_view_narrow(&w, v, n - 2, 0, size[n - 2], 2));
  pc_tensor_release(t);
  pc_tensor_release(v);
  return w;
}

UNUSED static pc_tensor *run_tier(pc_tier tier, pc_forward_fn *f, int nin, pc_tensor *const *in, const pc_val *v) {
  pc_tensor *out[4] = {NULL};
  must(pc_cpu_set_tier(tier));
  must(f(out, in, nin, v));
  must(pc_cpu_set_tier(pc_cpu_best()));
  for (int i = 1; i < 4; i++) pc_tensor_release(out[i]);
  return out[0];
}

UNUSED static void same(const pc_tensor *a, const pc_tensor *b, double tol, const char *what) {
  ck_assert_msg(pc_same_shape(a, b), "%s: shapes %s and %s", what, pc_shape_str(a), pc_shape_str(b));
  for (int64_t i = 0; i < pc_numel(a); i++) {
    double x = pc_at(a, i), y = pc_at(b, i);
    if (!(fabs(x - y) <= tol * (1 + fabs(y)))) /* ck_assert itself is slow */
      ck_abort_msg("%s: element %lld of %s: %.9g, expected %.9g", what, (long long)i, pc_shape_str(a), x, y);
  }
}

/* Every tier against the reference tier. */
UNUSED static void tiers_agree(pc_forward_fn *f, int nin, pc_tensor *const *in, const pc_val *v, double tol,
                               const char *what) {
  pc_tensor *ref = run_tier(PC_TIER_REF, f, nin, in, v);
  for (int t = PC_TIER_BASE; t <= (int)pc_cpu_best(); t++) {
    pc_tensor *y = run_tier((pc_tier)t, f, nin, in, v);
    same(y, ref, tol, what);
    pc_tensor_release(y);
  }
  pc_tensor_release(ref);
}

UNUSED static void refuses(pc_forward_fn *f, int nin, pc_tensor *const *in, const pc_val *v, int code,
                           const char *text) {
  pc_tensor *out[4] = {NULL};
  int rc = f(out, in, nin, v);
  ck_assert_int_eq(rc, code);
  ck_assert_str_eq(pc_error_text(), text);
  ck_assert_ptr_null(out[0]);
}

#endif
