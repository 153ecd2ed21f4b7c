/* bwd_decomp.c: gradients of the decompositions, as PyTorch documents them
 * (Giles 2008, "Collected matrix derivative results"; Townsend 2016 for svd;
 * Walter and Lehmann 2012 for qr). Those of eigenvectors and singular vectors
 * hold for distinct eigenvalues and singular values. */
#include <math.h>

#include "grad/rows.h"
#include "grad/compose.h"
#include "grad/formula.h"
#include "grad/ops_reduce.h"

#define BWD(name) void pc_bwd_##name(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin)
#define IN(i)     pc_node_in(n, i)
#define OUT(k)    pc_node_out(s, n, k)

/* ---- shorthands: a b, a b', a' b, a' ---- */

static pc_tensor *mm(pc_scope *s, pc_tensor *a, pc_tensor *b) { return pc_matmul(s, a, b); }
static pc_tensor *mmt(pc_scope *s, pc_tensor *a, pc_tensor *b) { return pc_matmul_t(s, a, b, 0, 1); }
static pc_tensor *tmm(pc_scope *s, pc_tensor *a, pc_tensor *b) { return pc_matmul_t(s, a, b, 1, 0); }
static pc_tensor *tr(pc_scope *s, pc_tensor *a) { return pc_transpose(s, a, -2, -1); }
static pc_tensor *row(pc_scope *s, pc_tensor *a) { return pc_unsqueeze(s, a, -2); }
static pc_tensor *column(pc_scope *s, pc_tensor *a) { return pc_unsqueeze(s, a, -1); }
/* a b^-1 = (b'^-1 a')' */
static pc_tensor *right_solve(pc_scope *s, pc_tensor *a, pc_tensor *b) {
  return tr(s, pc_solve(s, tr(s, b), tr(s, a)));
}
static pc_tensor *symmetric(pc_scope *s, pc_tensor *a) { return pc_mul_scalar(s, pc_add(s, a, tr(s, a)), 0.5); }

static pc_tensor *fold(pc_scope *s, const pc_node *n, int i, pc_tensor *g) {
  return pc_to(s, pc_sum_to(s, g, pc_node_in_shape(n, i)), pc_node_in_dtype(n, i));
}

/* Constant (n,n): `below` under the diagonal, `on` it, `above` over it; dtype and size from the last dimension of like.
 */
static pc_tensor *pattern(pc_scope *s, pc_tensor *like, double below, double on, double above) {
  pc_tensor *t;
  if (!like || s->rc < 0) return NULL;
  int64_t n = like->size[like->ndim - 1];
  if (pc_note(s, pc_tensor_empty(&t, (pc_dtype)like->dtype, 2, (int64_t[]){n, n})) < 0) return NULL;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) {
      double x = j < i ? below : j == i ? on : above;
      if (t->dtype == PC_F32)
        pc_f32(t)[i * n + j] = (float)x;
      else
        pc_f64(t)[i * n + j] = x;
    }
  return pc_own(s, t);
}

/* 1 / (e_j - e_i), 0 on the diagonal */
static pc_tensor *gaps(pc_scope *s, pc_tensor *e) {
  pc_tensor *d = pc_sub(s, row(s, e), column(s, e));
  return pc_div(s, pattern(s, e, 1, 0, 1), pc_add(s, d, pattern(s, e, 0, 1, 0)));
}

static pc_tensor *on_diagonal(pc_scope *s, pc_tensor *v) { return pc_mul(s, column(s, v), pattern(s, v, 0, 1, 0)); }

static pc_tensor *plus(pc_scope *s, pc_tensor *a, pc_tensor *b) { return !a ? b : !b ? a : pc_add(s, a, b); }

/* Whether the right-hand side is one vector for each matrix, as solve and lstsq take it. */
static int is_vector(const pc_shape *a, const pc_shape *b) {
  if (b->ndim != a->ndim - 1) return b->ndim == 1;
  for (int i = 0; i < b->ndim; i++)
    if (b->ndim > 1 && b->size[i] != a->size[i]) return 0;
  return 1;
}

/* ---- square ---- */

BWD(inverse) {
  pc_tensor *y = OUT(0);
  gin[0] = fold(s, n, 0, pc_neg(s, tmm(s, y, mmt(s, g[0], y))));
}

BWD(solve) {
  const pc_shape *as = pc_node_in_shape(n, 0);
  int vector = is_vector(as, pc_node_in_shape(n, 1));
  pc_tensor *x = OUT(0), *gy = g[0];
  if (vector) {
    x = column(s, x);
    gy = column(s, gy);
  }
  pc_tensor *gb = pc_solve(s, tr(s, IN(0)), gy);
  if (pc_needs(n, 0)) gin[0] = fold(s, n, 0, pc_neg(s, mmt(s, gb, x)));
  if (pc_needs(n, 1)) gin[1] = fold(s, n, 1, vector ? pc_squeeze(s, gb, -1) : gb);
}

/* With P = L' gL, lower half and half the diagonal: gA = sym(L'^-1 P L^-1). */
BWD(cholesky) {
  pc_tensor *l = OUT(0), *p = tmm(s, l, g[0]);
  p = pc_mul(s, p, pattern(s, l, 1, 0.5, 0));
  gin[0] = fold(s, n, 0, symmetric(s, right_solve(s, pc_solve(s, tr(s, l), p), l)));
}

BWD(eigh) {
  pc_tensor *w = OUT(0), *v = OUT(1), *inner = NULL;
  if (g[0]) inner = on_diagonal(s, g[0]);
  if (g[1]) inner = plus(s, inner, pc_mul(s, tmm(s, v, g[1]), gaps(s, w)));
  gin[0] = fold(s, n, 0, symmetric(s, mm(s, v, mmt(s, inner, v))));
}

/* Is a small matrix (n,n) of a, beginning at element `at`, nearly singular: its determinant under 1e-4 of what rows
 * of these lengths could span? The second derivative by inverses loses the square of that ratio. */
static int nearly_singular(const pc_tensor *a, int64_t at, int64_t n, double det) {
  double bound = 1;
  for (int64_t i = 0; i < n; i++) {
    double row = 0;
    for (int64_t j = 0; j < n; j++) row += pc_at(a, at + i * n + j) * pc_at(a, at + i * n + j);
    bound *= sqrt(row);
  }
  return fabs(det) < 1e-4 * bound;
}

static int by_cofactors(const pc_tensor *a, const pc_tensor *y) {
  enum { SMALL = 8 }; /* the polynomial below is exact enough up to here */
  if (!a || !y) return 0;
  if (!pc_all_normal(y)) return 1;
  int64_t n = a->size[a->ndim - 1];
  for (int64_t b = 0; pc_grad_enabled() && n <= SMALL && b < pc_numel(y); b++)
    if (nearly_singular(a, b * n * n, n, pc_at(y, b))) return 1;
  return 0;
}

/* det(A) A^-T; where A is singular, or nearly so and to be differentiated again, from the cofactors. */
BWD(det) {
  pc_tensor *a = IN(0), *y = OUT(0);
  if (by_cofactors(a, y))
    gin[0] = fold(s, n, 0, pc_mul(s, column(s, column(s, g[0])), pc_op1(s, PC_OP_cofactor, a)));
  else
    gin[0] = fold(s, n, 0, pc_mul(s, column(s, column(s, pc_mul(s, g[0], y))), tr(s, pc_inverse(s, a))));
}

/* The cofactors as a polynomial (Faddeev and LeVerrier): m = 1; n - 1 times m = a m - tr(a m)/k; cof = (-1)^(n-1) m'.
 */
static void cofactor_formula(pc_scope *s, const pc_val *v, pc_tensor *const *in, int nin, pc_tensor **y) {
  pc_tensor *a = pc_to(s, in[0], PC_F64);
  if (!a) return;
  int64_t size = a->size[a->ndim - 1];
  pc_tensor *eye = pattern(s, a, 0, 1, 0), *m = pc_add(s, eye, pc_mul_scalar(s, a, 0));
  for (int64_t k = 1; k < size; k++) {
    pc_tensor *am = mm(s, a, m), *trace = pc_sum(s, pc_diagonal(s, am, 0, -2, -1), 1, (int[]){-1}, 1);
    m = pc_sub(s, am, pc_mul(s, column(s, pc_mul_scalar(s, trace, 1.0 / (double)k)), eye));
  }
  y[0] = pc_to(s, pc_mul_scalar(s, tr(s, m), size % 2 ? 1 : -1), (pc_dtype)in[0]->dtype);
}

BWD(cofactor) { pc_bwd_by_formula(s, n, g, gin, cofactor_formula); }

BWD(logdet) { gin[0] = fold(s, n, 0, pc_mul(s, column(s, column(s, g[0])), tr(s, pc_inverse(s, IN(0))))); }

/* ---- rectangular ---- */

/* x - q q' x: what is outside the columns of q */
static pc_tensor *outside(pc_scope *s, pc_tensor *q, pc_tensor *x) { return pc_sub(s, x, mm(s, q, tmm(s, q, x))); }

/* gA = u (skew(u' gu) / E · S + S · skew(v' gv) / E + diag gs) vh, E_ij = s_j² - s_i², plus what
 * gu and gv have outside the span of u and v. */
BWD(svd) {
  const pc_val *val = pc_node_val(n);
  const pc_shape *us = pc_node_out_shape(n, 0), *vs = pc_node_out_shape(n, 2);
  int64_t m = us->size[us->ndim - 2], k = pc_node_out_shape(n, 1)->size[us->ndim - 2], c = vs->size[vs->ndim - 1];
  pc_tensor *u = OUT(0), *sv = OUT(1), *vh = OUT(2), *inner = NULL, *ga = NULL;
  if (val[0].set && val[0].i && m != c && (g[0] || g[2])) {
    pc_note(s, pc_fail(PC_ESTATE,
                       "svd: vectors of full_matrices = true are not unique and have no gradient; leave it out"));
    return;
  }
  if (val[0].set && val[0].i && m != c) { /* only the singular values count */
    u = pc_narrow(s, u, -1, 0, k, 1);
    vh = pc_narrow(s, vh, -2, 0, k, 1);
  }
  if (g[1]) inner = on_diagonal(s, g[1]);
  if (g[0] || g[2]) {
    pc_tensor *e = gaps(s, pc_mul(s, sv, sv));
    if (g[0]) {
      pc_tensor *p = tmm(s, u, g[0]);
      inner = plus(s, inner, pc_mul(s, pc_mul(s, pc_sub(s, p, tr(s, p)), e), row(s, sv)));
    }
    if (g[2]) {
      pc_tensor *p = mmt(s, vh, g[2]); /* v' gv */
      inner = plus(s, inner, pc_mul(s, pc_mul(s, pc_sub(s, p, tr(s, p)), e), column(s, sv)));
    }
  }
  ga = mm(s, u, mm(s, inner, vh));
  if (g[0] && m > k) ga = plus(s, ga, mm(s, pc_div(s, outside(s, u, g[0]), row(s, sv)), vh));
  if (g[2] && c > k) {
    pc_tensor *gv = outside(s, tr(s, vh), tr(s, g[2])); /* (c,k) */
    ga = plus(s, ga, mmt(s, pc_div(s, u, row(s, sv)), gv));
  }
  gin[0] = fold(s, n, 0, ga);
}

/* Square or tall: gA = (gQ + Q copy(M)) R'^-1 with M = R gR' - gQ' Q and copy() the lower triangle mirrored. */
static pc_tensor *qr_tall(pc_scope *s, pc_tensor *q, pc_tensor *r, pc_tensor *gq, pc_tensor *gr) {
  pc_tensor *m = NULL;
  if (gr) m = mmt(s, r, gr);
  if (gq) m = m ? pc_sub(s, m, tmm(s, gq, q)) : pc_neg(s, tmm(s, gq, q));
  pc_tensor *low = pc_mul(s, m, pattern(s, r, 1, 0.5, 0));
  return right_solve(s, plus(s, gq, mm(s, q, pc_add(s, low, tr(s, low)))), tr(s, r));
}

BWD(qr) {
  const pc_shape *as = pc_node_in_shape(n, 0);
  int64_t m = as->size[as->ndim - 2], c = as->size[as->ndim - 1];
  pc_tensor *q = OUT(0), *r = OUT(1), *gq = g[0], *gr = g[1];
  if (m >= c) {
    gin[0] = fold(s, n, 0, qr_tall(s, q, r, gq, gr));
    return;
  }
  /* wide: A = [X Y] = Q [U V]; Y = Q V is a product */
  pc_tensor *u = pc_narrow(s, r, -1, 0, m, 1), *v = pc_narrow(s, r, -1, m, c - m, 1), *gu = NULL, *gy = NULL;
  if (gr) {
    pc_tensor *gv = pc_narrow(s, gr, -1, m, c - m, 1);
    gu = pc_narrow(s, gr, -1, 0, m, 1);
    gy = mm(s, q, gv);
    gq = plus(s, gq, mmt(s, mm(s, q, v), gv));
  } else {
    gy = pc_mul_scalar(s, mm(s, q, v), 0);
  }
  gin[0] = fold(s, n, 0, pc_cat(s, 2, (pc_tensor *[]){qr_tall(s, q, u, gq, gu), gy}, as->ndim - 1));
}

/* Full rank. Tall: x = (A'A)^-1 A' b. Wide: x = A' (A A')^-1 b. */
BWD(lstsq) {
  const pc_shape *as = pc_node_in_shape(n, 0);
  int vector = is_vector(as, pc_node_in_shape(n, 1));
  pc_tensor *a = IN(0), *b = IN(1), *x = OUT(0), *gy = g[0], *ga, *gb;
  if (vector) {
    b = column(s, b);
    x = column(s, x);
    gy = column(s, gy);
  }
  if (as->size[as->ndim - 2] >= as->size[as->ndim - 1]) {
    pc_tensor *z = pc_solve(s, tmm(s, a, a), gy), *rest = pc_sub(s, b, mm(s, a, x));
    gb = mm(s, a, z);
    ga = pc_sub(s, mmt(s, rest, z), mmt(s, gb, x));
  } else {
    pc_tensor *aa = mmt(s, a, a), *y = pc_solve(s, aa, b);
    gb = pc_solve(s, aa, mm(s, a, gy));
    ga = pc_sub(s, mmt(s, y, pc_sub(s, gy, tmm(s, a, gb))), mmt(s, gb, x));
  }
  if (pc_needs(n, 0)) gin[0] = fold(s, n, 0, ga);
  if (pc_needs(n, 1)) gin[1] = fold(s, n, 1, vector ? pc_squeeze(s, gb, -1) : gb);
}

/* P = pinv(A): dP = -P dA P + P P' dA' (1 - A P) + (1 - P A) dA' P' P (Golub and Pereyra 1973) */
BWD(pinv) {
  pc_tensor *a = IN(0), *p = OUT(0), *gt = tr(s, g[0]); /* (m,n) */
  pc_tensor *first = tmm(s, p, mmt(s, g[0], p));        /* p' g p' : (m,n) */
  pc_tensor *k = mm(s, gt, p);                          /* (m,m) */
  pc_tensor *l = mm(s, p, gt);                          /* (n,n) */
  /* transposes of g' p p' and p' p g' with what A reaches taken off */
  pc_tensor *second = mmt(s, pc_sub(s, k, mm(s, a, mm(s, p, k))), p);
  pc_tensor *third = tmm(s, p, pc_sub(s, l, mm(s, l, mm(s, p, a))));
  gin[0] = fold(s, n, 0, pc_sub(s, pc_add(s, second, third), first));
}
