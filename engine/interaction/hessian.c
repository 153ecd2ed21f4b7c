#include "interaction/hessian.h"

#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"

typedef struct task {
  const pc_slot_function *f; /* whose second derivatives are asked for */
  const pc_slot_function *decoder;
  const pc_hessian_opts *h;
  const pc_slot_opts *o;
  pc_tensor *z, *x; /* x: images, or NULL: of the decoder */
  pc_tensor *scale;
  int64_t i, j; /* the block */
} task;

/* ---- pairs of directions ---- */

static pc_tensor *normal(pc_scope *s, pc_dtype d, int64_t n, int64_t m) {
  pc_tensor *t = NULL;
  if (pc_note(s, pc_tensor_empty(&t, d, 2, (int64_t[]){n, m})) < 0) return NULL;
  if (d == PC_F64)
    pc_rng_fill_normal_f64(pc_rng_global(), pc_f64(t), n * m);
  else
    pc_rng_fill_normal_f32(pc_rng_global(), pc_f32(t), n * m);
  return pc_own(s, t);
}

static pc_tensor *unit(pc_scope *s, pc_dtype d, int64_t m, int64_t a) {
  pc_tensor *t = NULL, *all = NULL;
  if (pc_note(s, pc_tensor_zeros(&t, d, 1, &m)) < 0) return NULL;
  all = pc_own(s, t);
  if (d == PC_F64)
    pc_f64(t)[a] = 1;
  else
    pc_f32(t)[a] = 1;
  return all;
}

static pc_tensor *direction(pc_scope *s, const task *q, pc_tensor *z, int64_t k, pc_tensor *values) {
  return pc_slots_in(s, z, k, pc_mul(s, values, pc_select(s, q->scale, 0, k)));
}

/* Directions u[], v[] of slots i and j: random probes, drawn before anything is computed, or every pair of slot
 * numbers. */
static void directions(pc_scope *s, const task *q, pc_tensor *z, int n, pc_tensor **u, pc_tensor **v) {
  pc_dtype d = (pc_dtype)z->dtype;
  int64_t m = z->size[2];
  for (int k = 0; k < n && s->rc == PC_OK; k++) {
    pc_tensor *a = q->h->probes > 0 ? normal(s, d, z->size[0], m) : unit(s, d, m, k / m);
    pc_tensor *b = q->h->probes > 0 ? normal(s, d, z->size[0], m) : unit(s, d, m, k % m);
    u[k] = direction(s, q, z, q->i, a);
    v[k] = direction(s, q, z, q->j, b);
  }
}

/* ---- (d^2 f / du dv)^2, mean over outputs ---- */

static pc_tensor *per_image(pc_scope *s, pc_tensor *y) {
  return y ? pc_reshape(s, y, 2, (int64_t[]){y->size[0], pc_numel(y) / y->size[0]}) : NULL;
}

/* By four calls around x: (B). */
static pc_tensor *by_differences(pc_scope *s, const task *q, pc_tensor *x, pc_tensor *u, pc_tensor *v) {
  double h = pc_slots_step(q->o, q->z, 0.1, 1e-3);
  pc_tensor *plus = pc_mul_scalar(s, pc_add(s, u, v), h), *minus = pc_mul_scalar(s, pc_sub(s, u, v), h), *y[4];
  pc_tensor *at[4] = {pc_add(s, x, plus), pc_add(s, x, minus), pc_sub(s, x, minus), pc_sub(s, x, plus)};
  pc_slots_apply(s, q->f, q->o, 4, at, y);
  pc_tensor *sum = pc_add(s, pc_sub(s, pc_sub(s, y[0], y[1]), y[2]), y[3]);
  pc_tensor *second = pc_div(s, sum, pc_number(s, 4 * h * h));
  return pc_mean(s, pc_square(s, per_image(s, second)), 1, (int[]){1}, 0);
}

/* d (d f_p/dx . u)/dx . v, squared, of output p: (B); NULL: it is 0. */
static pc_tensor *of_output(pc_scope *s, const task *q, pc_tensor *y, int64_t p, pc_tensor *x, pc_tensor *u,
                            pc_tensor *v) {
  pc_grad_opts first = {.create_graph = 1, .allow_unused = 1},
               last = {.create_graph = q->o->create_graph, .retain_graph = 1, .allow_unused = 1};
  pc_tensor *g = NULL, *h = NULL, *one = pc_sum(s, pc_select(s, y, 1, p), 0, NULL, 0);
  if (!one || pc_note(s, pc_grad(&g, &one, NULL, 1, &x, 1, &first)) < 0 || !g) return NULL;
  pc_own(s, g);
  if (!pc_requires_grad(g)) return NULL;
  pc_tensor *along = pc_sum(s, pc_mul(s, g, u), 0, NULL, 0);
  if (!along || pc_note(s, pc_grad(&h, &along, NULL, 1, &x, 1, &last)) < 0 || !h) return NULL;
  pc_own(s, h);
  return pc_square(s, pc_sum(s, per_image(s, pc_mul(s, h, v)), 1, (int[]){1}, 0));
}

/* By gradients, of every output or of some random ones. */
static pc_tensor *by_gradients(pc_scope *s, const task *q, pc_tensor *at, pc_tensor *u, pc_tensor *v) {
  int was = pc_set_higher_order(1);
  pc_tensor *x = pc_slots_leaf(s, q->o, at), *y = per_image(s, pc_slots_call(s, q->f, q->o, x)), *sum = NULL;
  pc_set_higher_order(was);
  if (!y) return NULL;
  int64_t d = y->size[1], n = q->h->outputs.given && q->h->outputs.value < d ? q->h->outputs.value : d;
  int64_t *pick = pc_malloc(sizeof *pick * (size_t)n);
  if (!pick || pc_note(s, pc_tensor_zeros(&sum, (pc_dtype)at->dtype, 1, at->size)) < 0) {
    pc_free(pick);
    pc_note(s, PC_ENOMEM);
    return NULL;
  }
  pc_own(s, sum);
  for (int64_t k = 0; k < n; k++) {
    pick[k] = k;
    if (n < d) pc_rng_fill_below_i64(pc_rng_global(), &pick[k], 1, 0, d);
  }
  int mark = s->n;
  for (int64_t k = 0; k < n && s->rc == PC_OK; k++) {
    pc_tensor *part = of_output(s, q, y, pick[k], x, u, v);
    if (part) sum = pc_add(s, sum, part);
    if (!q->o->create_graph && sum) {
      pc_tensor *bare = NULL;
      pc_note(s, pc_detach(&bare, sum));
      sum = pc_own(s, bare);
    }
    sum = pc_scope_pop(s, mark, sum);
  }
  pc_free(pick);
  return pc_div(s, sum, pc_number(s, (double)n));
}

static pc_tensor *squared(pc_scope *s, const task *q, pc_tensor *x, pc_tensor *u, pc_tensor *v) {
  if (q->o->method != PC_SLOT_EXACT) return by_differences(s, q, x, u, v);
  int was = pc_grad_set_enabled(1);
  pc_tensor *y = by_gradients(s, q, x, u, v);
  pc_grad_set_enabled(was);
  return y;
}

/* J u and J v by differences, for tangents of the images. */
static void tangents(pc_scope *s, const task *q, pc_tensor *z, pc_tensor **u, pc_tensor **v) {
  double h = z->dtype == PC_F64 ? 1e-4 : 1e-2;
  pc_tensor *a = pc_mul_scalar(s, *u, h), *b = pc_mul_scalar(s, *v, h), *y[4];
  pc_tensor *at[4] = {pc_add(s, z, a), pc_sub(s, z, a), pc_add(s, z, b), pc_sub(s, z, b)};
  pc_slots_apply(s, q->decoder, q->o, 4, at, y);
  *u = pc_div(s, pc_sub(s, y[0], y[1]), pc_number(s, 2 * h));
  *v = pc_div(s, pc_sub(s, y[2], y[3]), pc_number(s, 2 * h));
}

/* ---- the blocks ---- */

static pc_tensor *block_part(pc_scope *s, void *ctx, int64_t from, int64_t count) {
  const task *q = ctx;
  pc_tensor *z = pc_narrow(s, q->z, 0, from, count, 1), *x = z, *sum = NULL;
  int64_t m = q->z->size[2];
  int n = q->h->probes > 0 ? q->h->probes : (int)(m * m);
  double weight = q->h->probes > 0 ? 1. / q->h->probes : 1;
  if (q->decoder) x = q->x ? pc_narrow(s, q->x, 0, from, count, 1) : pc_slots_call(s, q->decoder, q->o, z);
  if (s->rc < 0) return NULL;
  pc_tensor **u = pc_malloc(sizeof *u * 2 * (size_t)(n + 1)), **v = u ? u + n : NULL;
  if (!u) {
    pc_note(s, PC_ENOMEM);
    return NULL;
  }
  directions(s, q, z, n, u, v);
  int mark = s->n;
  for (int k = 0; k < n && s->rc == PC_OK; k++) {
    if (q->decoder) tangents(s, q, z, &u[k], &v[k]);
    pc_tensor *part = pc_mul_scalar(s, squared(s, q, x, u[k], v[k]), weight);
    sum = pc_scope_pop(s, mark, sum ? pc_add(s, sum, part) : part);
  }
  pc_free(u);
  return sum;
}

/* Mean squares by block as (B,K,K), f64. */
static pc_tensor *blocks(pc_scope *s, task *q) {
  if (s->rc < 0) return NULL;
  int64_t k = q->z->size[1], b = q->z->size[0];
  pc_tensor **all = pc_malloc(sizeof *all * (size_t)(k * k + 1));
  if (!all) {
    pc_note(s, PC_ENOMEM);
    return NULL;
  }
  for (q->i = 0; q->i < k; q->i++)
    for (q->j = q->i; q->j < k; q->j++) {
      int mark = s->n;
      pc_tensor *t = s->rc < 0 ? NULL : pc_slots_by_parts(s, b, q->o->batch, block_part, q);
      all[q->i * k + q->j] = all[q->j * k + q->i] = pc_scope_pop(s, mark, pc_to(s, t, PC_F64));
    }
  pc_tensor *y = pc_reshape(s, pc_stack(s, (int)(k * k), all, 1), 3, (int64_t[]){b, k, k});
  pc_free(all);
  return y;
}

static int norms(pc_hessian_norms *out, task *q) {
  pc_scope s = {0};
  memset(out, 0, sizeof *out);
  int64_t k = q->z->size[1];
  int was = pc_grad_enabled();
  if (!q->o->create_graph) pc_grad_set_enabled(0);
  q->scale = pc_slots_scale(&s, q->o, q->z);
  pc_tensor *all = blocks(&s, q), *eye = NULL;
  if (s.rc == PC_OK && pc_note(&s, pc_tensor_zeros(&eye, PC_F64, 2, (int64_t[]){k, k})) == PC_OK) pc_own(&s, eye);
  for (int64_t i = 0; eye && i < k; i++) pc_f64(eye)[i * k + i] = 1;
  pc_tensor *within = pc_sum(&s, pc_mul(&s, all, eye), 2, (int[]){1, 2}, 0);
  pc_tensor *mixed = pc_sum(&s, pc_mul(&s, all, pc_rsub_scalar(&s, 1, eye)), 2, (int[]){1, 2}, 0);
  pc_tensor *keep[4] = {pc_sqrt(&s, all), pc_sqrt(&s, within), pc_sqrt(&s, mixed),
                        pc_div(&s, mixed, pc_add_scalar(&s, pc_add(&s, within, mixed), 1e-300))};
  pc_grad_set_enabled(was);
  int rc = pc_scope_end(&s, keep, 4);
  if (rc == PC_OK) *out = (pc_hessian_norms){keep[0], keep[1], keep[2], keep[3]};
  return rc;
}

void pc_hessian_norms_release(pc_hessian_norms *r) {
  pc_tensor *t[4] = {r->blocks, r->within, r->mixed, r->share};
  for (int i = 0; i < 4; i++) pc_tensor_release(t[i]);
  memset(r, 0, sizeof *r);
}

PC_OPTIONS_TABLE(pc_hessian_options, "hessian", pc_hessian_opts, PC_HESSIAN_OPTIONS);

static int check(const pc_slot_opts *o, const pc_hessian_opts *h, const pc_tensor *z) {
  int rc = pc_slots_check(o, z);
  return rc < 0 ? rc : pc_options_check(&pc_hessian_options, o->name, h);
}

int pc_hessian_of(pc_hessian_norms *out, const pc_slot_function *decoder, pc_tensor *z, const pc_hessian_opts *h,
                  const pc_slot_opts *o) {
  task q = {.f = decoder, .h = h, .o = o, .z = z};
  int rc = check(o, h, z);
  return rc < 0 ? rc : norms(out, &q);
}

int pc_tangent_of(pc_hessian_norms *out, const pc_slot_function *encoder, const pc_slot_function *decoder, pc_tensor *z,
                  pc_tensor *x, const pc_hessian_opts *h, const pc_slot_opts *o) {
  task q = {.f = encoder, .decoder = decoder, .h = h, .o = o, .z = z, .x = x};
  int rc = check(o, h, z);
  if (rc < 0) return rc;
  if (x && x->size[0] != z->size[0])
    return pc_fail(PC_ESHAPE, "%s: %lld images for %lld slot sets", o->name, (long long)x->size[0],
                   (long long)z->size[0]);
  return norms(out, &q);
}
