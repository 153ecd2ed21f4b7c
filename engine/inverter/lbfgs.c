/* lbfgs.c: L-BFGS on slots, every image with a history and a line search of its own; see inverter.h.
 *
 * The direction is the two-loop recursion (Nocedal & Wright, algorithm 7.4) over the last pairs
 * (change of z, change of gradient). The step along it satisfies the weak Wolfe conditions
 * (decrease 1e-4, slope 0.9), found by bracketing (Lewis & Overton 2013): too long when the loss
 * has not fallen enough, too short when it still falls as steeply. All images look at once, each
 * at a place of its own, so that a line search of one does not wait for the others'.
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "inverter/search.h"

enum { TRIALS = 10 }; /* looks along one direction */

typedef struct line {  /* of one row */
  double loss, slope;  /* where it stands, and along the direction */
  double t, low, high; /* the step on trial, its bracket; high infinite: none yet */
  int trials, used, next;
  int done;
} line;

typedef struct lbfgs {
  pc_search *s;
  pc_chunk *c;
  line *row;
  double *z, *g, *d;          /* (n,D) where a row stands, the gradient there, the direction */
  double *zs, *ys, *rho, *al; /* (n,H,D) pairs, (n,H) 1 / y.s, (n,H) scratch */
} lbfgs;

static double get(const pc_search *s, const void *p, int64_t i) {
  return s->dtype == PC_F32 ? (double)((const float *)p)[i] : ((const double *)p)[i];
}

static double dot(const double *a, const double *b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

static double largest(const double *a, int64_t n) {
  double m = 0;
  for (int64_t i = 0; i < n; i++) m = fmax(m, fabs(a[i]));
  return m;
}

/* d = -H g by the two loops; a new bracket. The first step moves no slot number by more than lr. */
static void direction(lbfgs *l, int64_t r) {
  const int64_t n = l->s->dim, h = l->s->o.history;
  line *w = &l->row[r];
  double *d = l->d + r * n, *g = l->g + r * n, *alpha = l->al + r * h, *rho = l->rho + r * h;
  double *zs = l->zs + r * h * n, *ys = l->ys + r * h * n;
  for (int again = 0; again < 2; again++) {
    for (int64_t i = 0; i < n; i++) d[i] = -g[i];
    for (int k = 0; k < w->used; k++) {
      int at = (int)((w->next - 1 - k + h) % h);
      alpha[at] = rho[at] * dot(zs + at * n, d, n);
      for (int64_t i = 0; i < n; i++) d[i] -= alpha[at] * ys[at * n + i];
    }
    if (w->used) {
      int last = (int)((w->next - 1 + h) % h);
      double scale = 1 / (rho[last] * dot(ys + last * n, ys + last * n, n));
      for (int64_t i = 0; i < n; i++) d[i] *= scale;
    }
    for (int k = w->used - 1; k >= 0; k--) {
      int at = (int)((w->next - 1 - k + h) % h);
      double b = rho[at] * dot(ys + at * n, d, n);
      for (int64_t i = 0; i < n; i++) d[i] += (alpha[at] - b) * zs[at * n + i];
    }
    w->slope = dot(d, g, n);
    if (w->slope < 0 || !w->used) break;
    w->used = 0; /* a history gone bad: steepest descent */
  }
  w->t = w->used ? 1 : l->s->o.lr / (largest(g, n) + 1e-300);
  w->low = w->trials = 0;
  w->high = INFINITY;
  double least = (l->s->dtype == PC_F32 ? 1e-7 : 1e-14) * (1 + largest(l->z + r * n, n)); /* float's own grain */
  if (!(w->slope < 0) || !(w->t * largest(d, n) > least)) w->done = 1;                    /* or no number */
}

/* The row moves to the trial with gradient g, remembering the pair. */
static void take(lbfgs *l, int64_t r, double loss, const void *at, const void *grad) {
  const int64_t n = l->s->dim, h = l->s->o.history;
  line *w = &l->row[r];
  double *zs = l->zs + (r * h + w->next) * n, *ys = l->ys + (r * h + w->next) * n;
  for (int64_t i = 0; i < n; i++) {
    double z = get(l->s, at, i), g = get(l->s, grad, i);
    zs[i] = z - l->z[r * n + i];
    ys[i] = g - l->g[r * n + i];
    l->z[r * n + i] = z;
    l->g[r * n + i] = g;
  }
  double sy = dot(zs, ys, n);
  if (sy > 1e-10 * dot(ys, ys, n)) { /* positive curvature only */
    l->rho[r * h + w->next] = 1 / sy;
    w->next = (w->next + 1) % (int)h;
    if (w->used < h) w->used++;
  }
  w->loss = loss;
  direction(l, r);
}

/* What the look at z + t d says: take it, or another t. */
static void judge(lbfgs *l, int64_t r, int64_t k) {
  const pc_search *s = l->s;
  const int64_t n = s->dim;
  line *w = &l->row[r];
  const void *at = pc_search_row(s, pc_data(l->c->at), k, n), *grad = pc_search_row(s, pc_data(l->c->grad), k, n);
  double loss = l->c->loss[k], slope = 0;
  for (int64_t i = 0; i < n; i++) slope += l->d[r * n + i] * get(s, grad, i);
  int number = isfinite(loss) && isfinite(slope), lower = number && loss <= w->loss + 1e-4 * w->t * w->slope;
  w->trials++;
  if (lower && (slope >= 0.9 * w->slope || w->trials >= TRIALS)) {
    take(l, r, loss, at, grad);
    return;
  }
  if (w->trials >= TRIALS) { /* no step along this direction */
    if (number && loss < w->loss) {
      take(l, r, loss, at, grad);
    } else if (w->used) {
      w->used = 0;
      direction(l, r);
    } else {
      w->done = 1;
    }
    return;
  }
  if (lower) {
    w->low = w->t;
    w->t = isinf(w->high) ? 2 * w->t : 0.5 * (w->low + w->high);
    return;
  }
  w->high = w->t;
  double reach = w->high - w->low, to = 0.5 * reach;
  if (number && w->low == 0) { /* the minimum of the parabola through both losses and the slope */
    double curve = loss - w->loss - w->t * w->slope;
    if (curve > 0) to = -0.5 * w->slope * w->t * w->t / curve;
  }
  w->t = w->low + fmin(fmax(to, 0.1 * reach), number ? 0.5 * reach : 0.1 * reach);
}

static void judge_all(int64_t begin, int64_t end, void *ctx) {
  lbfgs *l = ctx;
  for (int64_t k = begin; k < end; k++) judge(l, l->c->live[k], k);
}

static void place(lbfgs *l, pc_tensor *at) { /* at = z + t d of the live rows */
  const int64_t n = l->s->dim;
  for (int64_t k = 0; k < l->c->nlive; k++) {
    int64_t r = l->c->live[k];
    for (int64_t i = 0; i < n; i++) {
      double z = l->z[r * n + i] + l->row[r].t * l->d[r * n + i];
      if (l->s->dtype == PC_F32)
        pc_f32(at)[k * n + i] = (float)z;
      else
        pc_f64(at)[k * n + i] = z;
    }
  }
}

static void first(lbfgs *l) { /* the look at the starts: losses, gradients, directions */
  const int64_t n = l->s->dim;
  for (int64_t r = 0; r < l->c->n; r++) {
    for (int64_t i = 0; i < n; i++) l->g[r * n + i] = get(l->s, pc_data(l->c->grad), r * n + i);
    l->row[r].loss = l->c->loss[r];
    direction(l, r);
    if (!isfinite(l->row[r].loss)) l->row[r].done = 1;
    pc_search_trace(l->s, l->c, r, 0, l->row[r].loss);
  }
}

static int steps(lbfgs *l, uint8_t *done) {
  pc_search *s = l->s;
  pc_chunk *c = l->c;
  int rc = PC_OK;
  for (int t = 0; rc == PC_OK && c->nlive && t <= s->o.steps; t++) {
    if ((rc = pc_search_begin(s, c)) < 0) break;
    place(l, c->at);
    if ((rc = pc_search_look(s, c, PC_LOOK_GRAD)) < 0) break;
    if (t == 0)
      first(l);
    else
      pc_parallel_for(c->nlive, 8, judge_all, l);
    for (int64_t k = 0; k < c->nlive; k++) {
      int64_t r = c->live[k];
      if (t) pc_search_trace(s, c, r, t, l->row[r].loss);
      done[r] = (uint8_t)l->row[r].done;
    }
    pc_search_retire(s, c, t, done);
  }
  return rc;
}

int pc_search_lbfgs(pc_search *s, pc_chunk *c) {
  lbfgs l = {.s = s, .c = c};
  const size_t n = (size_t)c->n, d = (size_t)s->dim, h = (size_t)s->o.history;
  int rc = PC_ENOMEM;
  l.row = pc_calloc(n, sizeof *l.row);
  double *numbers = pc_calloc(n * (3 * d + 2 * h * d + 2 * h), sizeof(double));
  uint8_t *done = pc_calloc(n, 1);
  if (l.row && numbers && done) {
    l.z = numbers;
    l.g = l.z + n * d;
    l.d = l.g + n * d;
    l.zs = l.d + n * d;
    l.ys = l.zs + n * h * d;
    l.rho = l.ys + n * h * d;
    l.al = l.rho + n * h;
    for (int64_t i = 0; i < c->n * s->dim; i++) l.z[i] = get(s, c->z, i);
    rc = steps(&l, done);
  }
  pc_free(l.row);
  pc_free(numbers);
  pc_free(done);
  return rc;
}
