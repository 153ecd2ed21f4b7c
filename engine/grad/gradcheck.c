/* gradcheck.c: backward against central differences, in float64.
 *
 * The check is on a random projection: with fixed random u, phi(x) = u . f(x)
 * is a scalar, and d phi / d x_i (backward) must equal
 * (phi(x + eps e_i) - phi(x - eps e_i)) / (2 eps) for every element i of every
 * input. A wrong Jacobian entry is missed only if its error is orthogonal to u.
 * Second order: the same check of psi(x) = sum_j v_j . d phi / d x_j.
 */
#include <math.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "grad/op.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"

enum { MAX_IN = 16 };

typedef struct projected {
  pc_fn *f;
  void *ctx;
  pc_tensor *v[MAX_IN]; /* projections of the first gradient; NULL where x_j is not differentiated */
} projected;

static int random_like(pc_tensor **out, const pc_tensor *t, uint64_t seed) {
  pc_rng g = {0};
  int rc = pc_tensor_empty(out, PC_F64, t->ndim, t->size);
  if (rc < 0) return rc;
  pc_rng_seed(&g, seed);
  pc_rng_fill_uniform_f64(&g, pc_f64(*out), pc_numel(*out));
  for (int64_t i = 0; i < pc_numel(*out); i++) pc_f64(*out)[i] += 0.5; /* in [.5,1.5): no entry is lost */
  return PC_OK;
}

/* phi = u . f(x), 0-dim, with history when gradients are on */
static int project(pc_tensor **phi, pc_fn *f, void *ctx, pc_tensor *const *x, int nx) {
  pc_tensor *y = NULL, *u = NULL;
  pc_scope s = {0};
  int rc = f(ctx, x, nx, &y);
  *phi = NULL;
  if (rc < 0) return rc;
  if (y->dtype != PC_F64) {
    pc_tensor_release(y);
    return pc_fail(PC_EDTYPE, "gradcheck: the function must return f64, not %s", pc_dtype_name(y->dtype));
  }
  if ((rc = random_like(&u, y, 77)) == PC_OK) *phi = pc_sum(&s, pc_mul(&s, y, u), 0, NULL, 0);
  pc_note(&s, rc);
  rc = pc_scope_end(&s, phi, 1);
  pc_tensor_release(y);
  pc_tensor_release(u);
  return rc;
}

/* psi = sum_j v_j . d phi/d x_j: the function whose first derivative is the second */
static int psi(void *ctx, pc_tensor *const *x, int nx, pc_tensor **y) {
  projected *p = ctx;
  pc_tensor *phi = NULL, *g[MAX_IN] = {NULL}, *want[MAX_IN];
  pc_scope s = {0};
  int at[MAX_IN], nw = 0;
  int was = pc_grad_set_enabled(1);
  *y = NULL;
  for (int j = 0; j < nx; j++)
    if (p->v[j]) want[nw] = x[j], at[nw++] = j;
  int rc = project(&phi, p->f, p->ctx, x, nx);
  if (rc == PC_OK && pc_requires_grad(phi))
    rc = pc_grad(g, &phi, NULL, 1, want, nw, &(pc_grad_opts){.create_graph = 1, .allow_unused = 1});
  pc_tensor *zero = NULL;
  if (rc == PC_OK) rc = pc_tensor_scalar(&zero, PC_F64, 0);
  pc_note(&s, rc);
  if (rc == PC_OK) {
    *y = pc_own(&s, zero);
    for (int k = 0; k < nw; k++)
      if (g[k]) *y = pc_add(&s, *y, pc_sum(&s, pc_mul(&s, g[k], p->v[at[k]]), 0, NULL, 0));
  }
  rc = pc_scope_end(&s, y, 1);
  for (int k = 0; k < nw; k++) pc_tensor_release(g[k]);
  pc_tensor_release(phi);
  pc_grad_set_enabled(was);
  return rc;
}

static double *address(pc_tensor *t, int64_t linear) {
  int64_t at = t->offset;
  for (int d = t->ndim - 1; d >= 0; d--) {
    at += linear % t->size[d] * t->stride[d];
    linear /= t->size[d];
  }
  return (double *)t->storage->data + at;
}

static int value_at(double *v, pc_fn *f, void *ctx, pc_tensor *const *x, int nx) {
  pc_tensor *phi;
  int was = pc_grad_set_enabled(0), rc = project(&phi, f, ctx, x, nx);
  pc_grad_set_enabled(was);
  if (rc == PC_OK) *v = pc_item(phi), pc_tensor_release(phi);
  return rc;
}

static int check_input(const char *order, pc_fn *f, void *ctx, pc_tensor *const *x, int nx, int j, const pc_tensor *g,
                       const pc_gradcheck_opts *o) {
  const double eps = o->eps, rtol = o->rtol, atol = o->atol;
  for (int64_t i = 0; i < pc_numel(x[j]); i++) {
    double *e = address(x[j], i), kept = *e, up, down;
    int rc;
    *e = kept + eps;
    rc = value_at(&up, f, ctx, x, nx);
    *e = kept - eps;
    if (rc == PC_OK) rc = value_at(&down, f, ctx, x, nx);
    *e = kept;
    if (rc < 0) return rc;
    double numeric = (up - down) / (2 * eps), analytic = g ? pc_at(g, i) : 0;
    double noise = 4e-16 * (fabs(up) + fabs(down)) / eps; /* rounding of the difference quotient itself */
    if (!(fabs(numeric - analytic) <= atol + noise + rtol * (fabs(numeric) + fabs(analytic))))
      return pc_fail(PC_ENUM,
                     "gradcheck: %s-order gradient of input %d, element %lld of shape %s: backward %.9g, numeric %.9g",
                     order, j + 1, (long long)i + 1, pc_shape_str(x[j]), analytic, numeric);
  }
  return PC_OK;
}

static int check(const char *order, pc_fn *f, void *ctx, pc_tensor *const *x, int nx, const pc_gradcheck_opts *o,
                 int create_graph) {
  pc_tensor *phi = NULL, *g[MAX_IN] = {NULL}, *want[MAX_IN];
  int at[MAX_IN], nw = 0, was = pc_grad_set_enabled(1);
  for (int j = 0; j < nx; j++)
    if (x[j] && pc_requires_grad(x[j])) want[nw] = x[j], at[nw++] = j;
  int rc = project(&phi, f, ctx, x, nx);
  if (rc == PC_OK && nw && pc_requires_grad(phi))
    rc = pc_grad(g, &phi, NULL, 1, want, nw, &(pc_grad_opts){.create_graph = create_graph, .allow_unused = 1});
  for (int k = 0; k < nw && rc == PC_OK; k++) rc = check_input(order, f, ctx, x, nx, at[k], g[k], o);
  for (int k = 0; k < nw; k++) pc_tensor_release(g[k]);
  pc_tensor_release(phi);
  pc_grad_set_enabled(was);
  return rc;
}

PC_OPTIONS_TABLE(pc_gradcheck_options, "gradcheck", pc_gradcheck_opts, PC_GRADCHECK_OPTIONS);

int pc_gradcheck(pc_fn *f, void *ctx, pc_tensor *const *x, int nx, const pc_gradcheck_opts *opts) {
  static const pc_gradcheck_opts defaults = PC_GRADCHECK_OPTS_INIT;
  const pc_gradcheck_opts *o = opts ? opts : &defaults;
  projected p = {.f = f, .ctx = ctx};
  int rc = pc_options_check(&pc_gradcheck_options, "gradcheck", o);
  if (rc < 0) return rc;
  if (nx > MAX_IN) return pc_fail(PC_EARG, "gradcheck: at most %d inputs", MAX_IN);
  for (int j = 0; j < nx; j++)
    if (x[j] && pc_requires_grad(x[j]) && x[j]->dtype != PC_F64)
      return pc_fail(PC_EDTYPE, "gradcheck: input %d is %s; differences need f64", j + 1, pc_dtype_name(x[j]->dtype));
  rc = check("first", f, ctx, x, nx, o, 0);
  if (rc < 0 || !o->second_order) return rc;
  /* the route that is made of ops must agree, too, not only the fused one */
  if ((rc = check("first", f, ctx, x, nx, o, 1)) < 0) return rc;
  for (int j = 0; j < nx && rc == PC_OK; j++)
    if (x[j] && pc_requires_grad(x[j])) rc = random_like(&p.v[j], x[j], 1000 + (uint64_t)j);
  if (rc == PC_OK) rc = check("second", psi, &p, x, nx, o, 0);
  for (int j = 0; j < nx; j++) pc_tensor_release(p.v[j]);
  return rc;
}
