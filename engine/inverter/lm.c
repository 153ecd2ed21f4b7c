/* lm.c: Levenberg-Marquardt on slots, the Jacobian kept up by rank-1 updates; see inverter.h.
 *
 * Residual r(z) = f(z) - x, objective |r|^2 + prior |z|^2 (+ entropy term). J = dr/dz is stored
 * as (D,P); half the gradient is g = J r + prior z (+ half that of the entropy term). A step solves
 *   (J J^T + prior I + mu diag(J J^T)) d = -g
 * (Marquardt 1963) and is taken when it lowers the objective; mu follows the ratio of the decrease
 * to the predicted one (Nielsen 1999). Building J costs D decodes, or a closed form's price, and is
 * done for an image at the start and when nothing else helps. In between J learns
 *   from the decode at z + d, how r changed along d (Broyden 1965; Madsen, Nielsen & Tingleff 2004, 3.5):
 *     u = (r(z+d) - r(z) - J^T d) / d.d,   J += d u^T
 *   from a backward pass, what J r is (the adjoint update of Schlenkrich, Griewank & Walther 2010):
 *     w = J_exact r - J r,                 J += w r^T / r.r
 * and J J^T by the same rank-1 terms. First steps decode only. Once they stall, what is wrong is
 * mostly g: from then on an image is looked at with its gradient.
 */
#include "inverter/lm.h"

#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "tensor/gemm/gemm.h"

enum { TRIES = 12 };              /* rejected steps in a row before an image gives up */
static const double STALL = 0.05; /* steps without a gradient go on while they gain this fraction */

/* ---- the step ---- */

static double dot(const double *a, const double *b, int64_t n) {
  double s = 0;
  for (int64_t i = 0; i < n; i++) s += a[i] * b[i];
  return s;
}

/* d = -(a + prior I + mu diag)^-1 g; 0 when the matrix is not positive definite */
static int solve(const pc_lm *l, int64_t row, double *m) {
  const pc_search *s = l->s;
  const int64_t n = s->dim;
  const double *a = l->a + row * n * n;
  double *d = l->d + row * n, top = 0;
  for (int64_t i = 0; i < n; i++) top = fmax(top, a[i * n + i]);
  memcpy(m, a, sizeof(double) * (size_t)(n * n));
  for (int64_t i = 0; i < n; i++) {
    m[i * n + i] += s->o.prior + l->row[row].mu * fmax(a[i * n + i], 1e-6 * top);
    d[i] = -l->g[row * n + i];
  }
  return LAPACKE_dposv_work(LAPACK_COL_MAJOR, 'L', (int)n, 1, m, (int)n, d, (int)n) == 0;
}

/* The trial of row number k of a part goes to part->at; what the model expects of it. */
static void propose(pc_lm *l, pc_chunk *part, int64_t k) {
  const pc_search *s = l->s;
  const int64_t n = s->dim, row = part->live[k];
  pc_lm_row *st = &l->row[row];
  const double *a = l->a + row * n * n, *g = l->g + row * n;
  double *d = l->d + row * n, *m = l->m + row * (n + 2) * n, most = 0, size = 0;
  int ok = 0;
  for (int i = 0; i < TRIES && !(ok = solve(l, row, m)); i++) st->mu *= 10;
  for (int64_t i = 0; i < n; i++) {
    double z = pc_lm_get(s, l->c->z, row * n + i);
    pc_lm_put(s, pc_data(part->at), k * n + i, ok ? z + d[i] : z);
    d[i] = pc_lm_get(s, pc_data(part->at), k * n + i) - z; /* the step that float takes */
    most = fmax(most, fabs(d[i]));
    size = fmax(size, fabs(z));
  }
  st->length = most / (1 + size);
  st->gain = -2 * dot(g, d, n) - s->o.prior * dot(d, d, n);
  for (int64_t i = 0; i < n; i++) st->gain -= d[i] * dot(a + i * n, d, n);
}

/* ---- learning from the trial ---- */

/* work = r(z+d) - r(z) and r(z+d) */
#define DIFFER(type, name)                                                                              \
  static void differ_##name(type *restrict u, const type *y, const type *x, const type *r, int64_t n) { \
    for (int64_t i = 0; i < n; i++) u[i] = y[i] - x[i] - r[i];                                          \
  }                                                                                                     \
  static double scale_##name(type *restrict u, double by, int64_t n) { /* u *= by; u.u */               \
    double sum = 0;                                                                                     \
    for (int64_t i = 0; i < n; i++) {                                                                   \
      u[i] *= (type)by;                                                                                 \
      sum += (double)u[i] * (double)u[i];                                                               \
    }                                                                                                   \
    return sum;                                                                                         \
  }                                                                                                     \
  static void residual_##name(type *restrict r, const type *y, const type *x, int64_t n) {              \
    for (int64_t i = 0; i < n; i++) r[i] = y[i] - x[i];                                                 \
  }
DIFFER(float, f32)
DIFFER(double, f64)

/* Broyden's update of J and of J J^T. y: the image at z + d. */
static void broyden(pc_lm *l, int64_t row, const void *y) {
  const pc_search *s = l->s;
  const int64_t n = s->dim, p = s->pixels;
  const void *x = pc_search_target_image(s, l->c, row);
  void *j = pc_search_row(s, l->jac, row * n, p), *r = pc_search_row(s, l->res, row, p);
  void *u = pc_search_row(s, l->work, row, p + n * n), *dt = pc_search_row(s, u, 1, p);
  double *a = l->a + row * n * n, *d = l->d + row * n, *v = l->m + row * (n + 2) * n, dd = dot(d, d, n), uu;
  if (!(dd > 0)) return;
  for (int64_t i = 0; i < n; i++) pc_lm_put(s, dt, i, d[i]);
  if (s->dtype == PC_F32)
    differ_f32(u, y, x, r, p);
  else
    differ_f64(u, y, x, r, p);
  pc_gemm(s->dtype, 1, p, n, -1, PC_ROWS(dt, n), PC_ROWS(j, p), 1, PC_ROWS(u, p));
  uu = s->dtype == PC_F32 ? scale_f32(u, 1 / dd, p) : scale_f64(u, 1 / dd, p);
  pc_lm_project(l, row, u, v); /* overwrites dt */
  for (int64_t i = 0; i < n; i++) pc_lm_put(s, dt, i, d[i]);
  pc_gemm(s->dtype, n, p, 1, 1, PC_ROWS(dt, 1), PC_ROWS(u, p), 1, PC_ROWS(j, p));
  for (int64_t i = 0; i < n; i++)
    for (int64_t k = 0; k < n; k++) a[i * n + k] += v[i] * d[k] + d[i] * v[k] + uu * d[i] * d[k];
}

/* g where the row stands */
static void gradient(pc_lm *l, int64_t row) {
  const pc_search *s = l->s;
  const int64_t n = s->dim;
  double *g = l->g + row * n;
  pc_lm_project(l, row, pc_search_row(s, l->res, row, s->pixels), g);
  for (int64_t i = 0; i < n; i++) {
    g[i] += s->o.prior * pc_lm_get(s, l->c->z, row * n + i);
    if (l->e) g[i] += l->e[row * n + i];
  }
}

/* The adjoint update: a backward pass says that half the objective's gradient is `exact` (D). */
static void correct(pc_lm *l, int64_t row, const void *grad, int64_t k) {
  const pc_search *s = l->s;
  const int64_t n = s->dim, p = s->pixels;
  void *j = pc_search_row(s, l->jac, row * n, p), *r = pc_search_row(s, l->res, row, p);
  void *w = pc_search_row(s, pc_search_row(s, l->work, row, p + n * n), 1, p);
  double *a = l->a + row * n * n, *g = l->g + row * n, *jr = l->m + row * (n + 2) * n, *dw = jr + n, rr;
  rr = s->dtype == PC_F32 ? scale_f32(r, 1, p) : scale_f64(r, 1, p);
  pc_lm_project(l, row, r, jr);
  for (int64_t i = 0; i < n; i++) {
    g[i] = 0.5 * pc_lm_get(s, grad, k * n + i);
    dw[i] = g[i] - s->o.prior * pc_lm_get(s, l->c->z, row * n + i) - (l->e ? l->e[row * n + i] : 0) - jr[i];
    pc_lm_put(s, w, i, dw[i]);
  }
  if (!(rr > 0)) return;
  pc_gemm(s->dtype, n, p, 1, 1 / rr, PC_ROWS(w, 1), PC_ROWS(r, p), 1, PC_ROWS(j, p));
  for (int64_t i = 0; i < n; i++)
    for (int64_t q = 0; q < n; q++) a[i * n + q] += (jr[i] * dw[q] + dw[i] * jr[q] + dw[i] * dw[q]) / rr;
}

/* The row moves to the trial number k of its part. */
static void move(pc_lm *l, const pc_chunk *part, int64_t row, int64_t k) {
  const pc_search *s = l->s;
  const int64_t n = s->dim, p = s->pixels;
  const void *y = pc_search_row(s, pc_data(part->image), k, p), *x = pc_search_target_image(s, l->c, row);
  void *r = pc_search_row(s, l->res, row, p);
  memcpy(pc_search_row(s, l->c->z, row, n), pc_search_row(s, pc_data(part->at), k, n),
         pc_dtype_size(s->dtype) * (size_t)n);
  if (s->dtype == PC_F32)
    residual_f32(r, y, x, p);
  else
    residual_f64(r, y, x, p);
  for (int64_t i = 0; l->e && i < n; i++) l->e[row * n + i] = 0.5 * pc_lm_get(s, pc_data(part->term), k * n + i);
  l->row[row].loss = part->loss[k];
}

/* Takes or rejects the trial of a row; learns from it; says what is needed next, or that the row is done. */
static void judge(pc_lm *l, const pc_chunk *part, int64_t k) {
  const pc_search *s = l->s;
  const int64_t row = part->live[k];
  pc_lm_row *st = &l->row[row];
  const double was = st->loss, drop = was - part->loss[k]; /* a NaN is no drop */
  if (drop > 0) {
    double ratio = st->gain > 0 ? drop / st->gain : 1, q = 2 * ratio - 1;
    st->mu = fmax(st->mu * fmax(1.0 / 3, 1 - q * q * q), 1e-8);
    st->nu = 2;
    st->failed = 0;
    st->small = st->exact && drop <= s->o.tol * was ? st->small + 1 : 0;
    broyden(l, row, pc_search_row(s, pc_data(part->image), k, s->pixels));
    move(l, part, row, k);
    st->age++;
    if (st->exact)
      correct(l, row, pc_data(part->grad), k);
    else if (drop < STALL * was)
      st->need = PC_LM_GRADIENT;
    else
      gradient(l, row);
  } else {
    st->failed++;
    if (st->exact || !st->age) {
      st->mu *= st->nu;
      st->nu *= 2;
    }
    if (st->age) st->need = !st->exact ? PC_LM_GRADIENT : st->failed >= 2 ? PC_LM_JACOBIAN : PC_LM_NOTHING;
  }
  if (s->o.tol < 0) return;
  int nowhere = st->length < (s->dtype == PC_F32 ? 1e-6 : 1e-12);
  l->done[row] = st->small >= 2 || (st->small && st->age == 1) || (st->exact && nowhere) || st->failed > TRIES;
}

typedef struct piece {
  pc_lm *l;
  pc_chunk *part;
} piece;

static void propose_all(int64_t begin, int64_t end, void *ctx) {
  const piece *p = ctx;
  for (int64_t k = begin; k < end; k++) propose(p->l, p->part, k);
}

static void judge_all(int64_t begin, int64_t end, void *ctx) {
  const piece *p = ctx;
  for (int64_t k = begin; k < end; k++) judge(p->l, p->part, k);
}

static void correct_all(int64_t begin, int64_t end, void *ctx) {
  const piece *p = ctx;
  for (int64_t k = begin; k < end; k++) correct(p->l, p->part->live[k], pc_data(p->part->grad), k);
}

/* ---- the search ---- */

static void stand(const pc_lm *l, pc_chunk *part) { /* at = z of a part's rows */
  const pc_search *s = l->s;
  for (int64_t k = 0; k < part->nlive; k++)
    memcpy(pc_search_row(s, pc_data(part->at), k, s->dim), pc_search_row(s, l->c->z, part->live[k], s->dim),
           pc_dtype_size(s->dtype) * (size_t)s->dim);
}

static int start(pc_lm *l) {
  pc_search *s = l->s;
  pc_chunk *c = l->c, *part = &l->part[0];
  memcpy(part->live, c->live, sizeof *c->live * (size_t)c->n);
  part->nlive = c->n;
  int rc = pc_search_begin(s, part);
  if (rc < 0) return rc;
  stand(l, part);
  if ((rc = pc_search_look(s, part, PC_LOOK_IMAGE | PC_LOOK_TERM)) < 0) return rc;
  for (int64_t r = 0; r < c->n; r++) {
    l->row[r] = (pc_lm_row){.mu = s->o.damping, .nu = 2, .need = PC_LM_JACOBIAN};
    move(l, part, r, r);
    l->done[r] = !isfinite(l->row[r].loss);
    pc_search_trace(s, c, r, 0, l->row[r].loss);
  }
  pc_search_retire(s, c, 0, l->done);
  return PC_OK;
}

/* Builds J where it is needed; rows whose J is not finite are done. */
static int renew_jacobians(pc_lm *l, int t) {
  pc_chunk *c = l->c;
  const int64_t n = l->s->dim;
  l->nrows = 0;
  for (int64_t k = 0; k < c->nlive; k++)
    if (l->row[c->live[k]].need == PC_LM_JACOBIAN) l->rows[l->nrows++] = c->live[k];
  int rc = l->nrows ? pc_lm_build(l) : PC_OK;
  if (rc < 0) return rc;
  for (int64_t i = 0; i < l->nrows; i++) {
    int64_t row = l->rows[i];
    double sum = 0;
    for (int64_t q = 0; q < n * n; q++) sum += l->a[row * n * n + q];
    l->row[row].need = PC_LM_NOTHING;
    l->row[row].age = l->row[row].failed = 0;
    l->done[row] = !isfinite(sum);
    gradient(l, row);
  }
  if (l->nrows) pc_search_drop(l->s, c, t, l->done);
  return PC_OK;
}

/* A backward pass where rows stand whose steps have stalled; from now on they are exact. */
static int renew_gradients(pc_lm *l) {
  pc_search *s = l->s;
  pc_chunk *c = l->c, *part = &l->part[1];
  part->nlive = 0;
  for (int64_t k = 0; k < c->nlive; k++) {
    pc_lm_row *st = &l->row[c->live[k]];
    if (st->need != PC_LM_GRADIENT) continue;
    part->live[part->nlive++] = c->live[k];
    st->need = PC_LM_NOTHING;
    st->exact = 1;
  }
  if (!part->nlive) return PC_OK;
  int rc = pc_search_begin(s, part);
  if (rc < 0) return rc;
  stand(l, part);
  if ((rc = pc_search_look(s, part, PC_LOOK_GRAD)) < 0) return rc;
  pc_parallel_for(part->nlive, 1, correct_all, &(piece){l, part});
  return PC_OK;
}

/* One step of every live row: those with exact gradients, and the others. */
static int step(pc_lm *l) {
  pc_chunk *c = l->c;
  int rc = PC_OK;
  for (int exact = 0; exact < 2; exact++) l->part[exact].nlive = 0;
  for (int64_t k = 0; k < c->nlive; k++) {
    pc_chunk *part = &l->part[l->row[c->live[k]].exact];
    part->live[part->nlive++] = c->live[k];
  }
  for (int exact = 0; exact < 2 && rc == PC_OK; exact++) {
    pc_chunk *part = &l->part[exact];
    piece p = {l, part};
    if (!part->nlive || (rc = pc_search_begin(l->s, part)) < 0) continue;
    pc_parallel_for(part->nlive, 1, propose_all, &p);
    rc = pc_search_look(l->s, part, PC_LOOK_IMAGE | PC_LOOK_TERM | (exact ? PC_LOOK_GRAD : 0));
    if (rc == PC_OK) pc_parallel_for(part->nlive, 1, judge_all, &p);
  }
  return rc;
}

static int steps(pc_lm *l) {
  pc_search *s = l->s;
  pc_chunk *c = l->c;
  int rc = start(l);
  for (int t = 1; rc == PC_OK && c->nlive && t <= s->o.steps; t++) {
    if ((rc = renew_jacobians(l, t - 1)) < 0 || (rc = renew_gradients(l)) < 0 || (rc = step(l)) < 0) break;
    for (int64_t k = 0; k < c->nlive; k++) pc_search_trace(s, c, c->live[k], t, l->row[c->live[k]].loss);
    pc_search_retire(s, c, t, l->done);
  }
  return rc;
}

static int make_part(pc_lm *l, pc_chunk *part) {
  *part = (pc_chunk){.from = l->c->from, .n = l->c->n};
  part->live = pc_malloc(sizeof *part->live * (size_t)l->c->n);
  part->loss = pc_malloc(sizeof *part->loss * (size_t)l->c->n);
  return part->live && part->loss ? PC_OK : PC_ENOMEM;
}

int pc_search_lm(pc_search *s, pc_chunk *c) {
  pc_lm l = {.s = s, .c = c};
  const size_t w = pc_dtype_size(s->dtype), n = (size_t)c->n, d = (size_t)s->dim, p = (size_t)s->pixels;
  int rc = PC_ENOMEM, entropy = s->o.entropy != 0;
  l.row = pc_calloc(n, sizeof *l.row);
  l.jac = pc_malloc(w * n * d * p);
  l.res = pc_malloc(w * n * p);
  l.work = pc_malloc(w * n * (p + d * d));
  double *numbers = pc_calloc(n * (d * d + (d + 2) * d + 2 * d + (entropy ? d : 0)), sizeof(double));
  l.done = pc_calloc(n, 1);
  l.rows = pc_malloc(sizeof *l.rows * n);
  if (l.row && l.jac && l.res && l.work && numbers && l.done && l.rows) {
    l.a = numbers;
    l.m = l.a + n * d * d;
    l.g = l.m + n * (d + 2) * d;
    l.d = l.g + n * d;
    l.e = entropy ? l.d + n * d : NULL;
    rc = make_part(&l, &l.part[0]);
    if (rc == PC_OK) rc = make_part(&l, &l.part[1]);
    if (rc == PC_OK) rc = steps(&l);
  }
  for (int i = 0; i < 2; i++) pc_chunk_release(&l.part[i]);
  pc_free(l.row);
  pc_free(l.jac);
  pc_free(l.res);
  pc_free(l.work);
  pc_free(numbers);
  pc_free(l.done);
  pc_free(l.rows);
  return rc;
}
