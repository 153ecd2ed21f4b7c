/* lbfgs.c: limited-memory BFGS with a strong Wolfe line search (Nocedal & Wright 2006,
 * algorithms 7.4, 3.5 and 3.6; cubic interpolation). All in double. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "optim/optim.h"

PC_OPTIONS_TABLE(pc_lbfgs_options, "lbfgs", pc_lbfgs_opts, PC_LBFGS_OPTIONS);

typedef struct solver {
  int64_t n;
  int m, used, next; /* history capacity, pairs held, where the next goes */
  double *s, *y;     /* (m,n) steps and gradient differences */
  double *rho, *alpha;
  double *x, *g, *d, *xt, *gt; /* point, gradient, direction, trial point and gradient */
  pc_objective_fn *f;
  void *ctx;
  int evaluations;
} solver;

static double dot(const double *a, const double *b, int64_t n) {
  double s = 0;
  for (int64_t i = 0; i < n; i++) s += a[i] * b[i];
  return s;
}

static double max_abs(const double *a, int64_t n) { /* NaN if there is one */
  double m = 0;
  for (int64_t i = 0; i < n; i++)
    if (!(fabs(a[i]) <= m)) m = fabs(a[i]);
  return m;
}

/* d = -H g by the two-loop recursion. */
static void direction(solver *v) {
  int64_t n = v->n;
  for (int64_t i = 0; i < n; i++) v->d[i] = -v->g[i];
  for (int k = 0; k < v->used; k++) {
    int j = ((v->next - 1 - k) % v->m + v->m) % v->m;
    v->alpha[j] = v->rho[j] * dot(v->s + j * n, v->d, n);
    for (int64_t i = 0; i < n; i++) v->d[i] -= v->alpha[j] * v->y[j * n + i];
  }
  if (v->used) {
    int j = ((v->next - 1) % v->m + v->m) % v->m;
    double scale = 1 / (v->rho[j] * dot(v->y + j * n, v->y + j * n, n));
    for (int64_t i = 0; i < n; i++) v->d[i] *= scale;
  }
  for (int k = v->used - 1; k >= 0; k--) {
    int j = ((v->next - 1 - k) % v->m + v->m) % v->m;
    double beta = v->rho[j] * dot(v->y + j * n, v->d, n);
    for (int64_t i = 0; i < n; i++) v->d[i] += (v->alpha[j] - beta) * v->s[j * n + i];
  }
}

/* phi(a) = f(x + a d); leaves the trial point and gradient in xt, gt. */
static int phi(solver *v, double a, double *value, double *slope) {
  for (int64_t i = 0; i < v->n; i++) v->xt[i] = v->x[i] + a * v->d[i];
  int rc = v->f(v->ctx, v->xt, value, v->gt, v->n);
  v->evaluations++;
  *slope = dot(v->gt, v->d, v->n);
  return rc;
}

static double cubic_min(double a, double fa, double da, double b, double fb, double db) {
  double d1 = da + db - 3 * (fa - fb) / (a - b), q = d1 * d1 - da * db;
  if (!(q >= 0)) return 0.5 * (a + b);
  double d2 = (b > a ? 1 : -1) * sqrt(q), t = b - (b - a) * (db + d2 - d1) / (db - da + 2 * d2);
  double lo = fmin(a, b), hi = fmax(a, b), margin = 0.1 * (hi - lo);
  return isfinite(t) ? fmin(fmax(t, lo + margin), hi - margin) : 0.5 * (a + b);
}

static int zoom(solver *v, double f0, double g0, double lo, double flo, double dlo, double hi, double fhi, double dhi,
                double *value, double *step) {
  for (int it = 0; it < 20; it++) {
    double a = cubic_min(lo, flo, dlo, hi, fhi, dhi), fa, da;
    int rc = phi(v, a, &fa, &da);
    if (rc < 0) return rc;
    *value = fa;
    *step = a;
    if (!(fa <= f0 + 1e-4 * a * g0) || fa >= flo) {
      hi = a, fhi = fa, dhi = da;
    } else {
      if (fabs(da) <= -0.9 * g0) return PC_OK;
      if (da * (hi - lo) >= 0) hi = lo, fhi = flo, dhi = dlo;
      lo = a, flo = fa, dlo = da;
    }
    if (fabs(hi - lo) < 1e-14) break;
  }
  return lo > 0 && *step != lo ? phi(v, *step = lo, value, &dlo) : PC_OK;
}

static int line_search(solver *v, double f0, double first, double *value, double *step) {
  double g0 = dot(v->g, v->d, v->n), prev = 0, fp = f0, dp = g0, a = first, fa, da;
  for (int it = 0; it < 20; it++) {
    int rc = phi(v, a, &fa, &da);
    if (rc < 0) return rc;
    *value = fa;
    *step = a;
    if (!(fa <= f0 + 1e-4 * a * g0) || (it && fa >= fp)) return zoom(v, f0, g0, prev, fp, dp, a, fa, da, value, step);
    if (fabs(da) <= -0.9 * g0) return PC_OK;
    if (da >= 0) return zoom(v, f0, g0, a, fa, da, prev, fp, dp, value, step);
    prev = a, fp = fa, dp = da;
    a *= 2;
  }
  return PC_OK;
}

static void remember(solver *v) {
  int64_t n = v->n;
  double *s = v->s + v->next * n, *y = v->y + v->next * n, sy = 0, yy = 0;
  for (int64_t i = 0; i < n; i++) {
    s[i] = v->xt[i] - v->x[i];
    y[i] = v->gt[i] - v->g[i];
    sy += s[i] * y[i];
    yy += y[i] * y[i];
  }
  if (!(sy > 1e-10 * yy)) return; /* curvature condition: skip the pair */
  v->rho[v->next] = 1 / sy;
  v->next = (v->next + 1) % v->m;
  if (v->used < v->m) v->used++;
}

static int iterate(solver *v, const pc_lbfgs_opts *o, pc_lbfgs_result *r) {
  double tol_g = o->tol_grad, tol_c = o->tol_change, f = r->value;
  if (!isfinite(f)) return PC_OK; /* nowhere to go from here: not converged */
  for (r->iterations = 0; r->iterations < o->max_iter; r->iterations++) {
    if (max_abs(v->g, v->n) <= tol_g) {
      r->converged = 1;
      break;
    }
    direction(v);
    if (!(dot(v->d, v->g, v->n) < 0)) { /* history gone bad: steepest descent */
      v->used = 0;
      direction(v);
    }
    double first = v->used ? 1 : fmin(1, 1 / (1e-300 + max_abs(v->g, v->n) * (double)v->n)), fnew = f, step = 0;
    int rc = line_search(v, f, first, &fnew, &step);
    if (rc < 0) return rc;
    if (!(fnew < f)) {
      r->converged = max_abs(v->g, v->n) <= 1e3 * tol_g;
      break; /* no decrease to be had in float */
    }
    remember(v);
    memcpy(v->x, v->xt, sizeof(double) * (size_t)v->n);
    memcpy(v->g, v->gt, sizeof(double) * (size_t)v->n);
    double drop = f - fnew;
    r->value = f = fnew;
    if (drop <= tol_c * fmax(1, fabs(f)) || step * max_abs(v->d, v->n) <= tol_c) {
      r->iterations++;
      r->converged = 1;
      break;
    }
  }
  return PC_OK;
}

int pc_lbfgs(double *x, int64_t n, pc_objective_fn *f, void *ctx, const pc_lbfgs_opts *o, pc_lbfgs_result *r) {
  if (!o) o = pc_lbfgs_options.defaults;
  *r = (pc_lbfgs_result){0};
  int rc = pc_options_check(&pc_lbfgs_options, "lbfgs", o);
  if (rc < 0) return rc;
  solver v = {.n = n, .m = o->history, .x = x, .f = f, .ctx = ctx};
  double *mem = pc_calloc((size_t)n * (size_t)(2 * v.m + 4) + 2 * (size_t)v.m, sizeof(double));
  if (!mem) return PC_ENOMEM;
  v.s = mem;
  v.y = v.s + n * v.m;
  v.g = v.y + n * v.m;
  v.d = v.g + n;
  v.xt = v.d + n;
  v.gt = v.xt + n;
  v.rho = v.gt + n;
  v.alpha = v.rho + v.m;
  rc = f(ctx, x, &r->value, v.g, n);
  v.evaluations = 1;
  if (rc == PC_OK) rc = iterate(&v, o, r);
  r->evaluations = v.evaluations;
  pc_free(mem);
  return rc;
}
