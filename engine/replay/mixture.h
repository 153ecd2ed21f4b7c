/* mixture.h: Gaussian mixtures by expectation maximisation (Dempster, Laird & Rubin 1977).
 *
 *   p(x) = sum_c w_c N(x; mean_c, L_c L_c^T)
 * Centres start by k-means++ (Arthur & Vassilvitskii 2007) and a few rounds of k-means; EM stops when the mean log
 * likelihood rises by less than 1e-4 or after `iterations`. Covariances get 1e-6 of the data's mean variance (and
 * 1e-8) on their diagonal, and are drawn towards the spherical one of the same trace as if m + 1 further points said
 * so: a component of few points stays a density. A component that loses its points keeps its place with weight 0.
 */
#ifndef PC_REPLAY_MIXTURE_H
#define PC_REPLAY_MIXTURE_H

#include "base/rng.h"

typedef struct pc_mixture {
  int components, m;
  double *weight; /* (components), sum 1 */
  double *top;    /* (components) log w_c - log det L_c - m/2 log 2 pi */
  double *mean;   /* (components,m) */
  double *factor; /* (components,m,m) lower triangular L_c */
} pc_mixture;

/* x (n,m), n >= 1. components: 1 to n; more are lowered to n. */
int pc_mixture_fit(pc_mixture *out, const double *x, int64_t n, int m, int components, int iterations, pc_rng *g);
double pc_mixture_log_density(const pc_mixture *p, const double *x, double *work); /* work: m + components numbers */
void pc_mixture_draw(const pc_mixture *p, double *x, double *work, pc_rng *g);     /* work: m numbers */
void pc_mixture_free(pc_mixture *p);

/* Lower Cholesky factor of the (m,m) covariance in place; diagonal entries below 1e-12 count as that. */
void pc_cholesky_in_place(double *c, int m);

#endif
