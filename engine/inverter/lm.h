/* lm.h: the state of a Levenberg-Marquardt search of one chunk; internal: lm.c and jacobian.c. */
#ifndef PC_INVERTER_LM_H
#define PC_INVERTER_LM_H

#include "inverter/search.h"

typedef struct pc_lm_row {
  double loss;   /* the objective where the row stands */
  double mu, nu; /* damping, relative to the diagonal; its next growth factor */
  double gain;   /* decrease the model predicts for the step on trial */
  double length; /* of that step, relative: max |d| / (1 + max |z|) */
  int age;       /* updates since J was built */
  int failed;    /* trials in a row that were no better */
  int small;     /* steps in a row that gained less than tol, with an exact gradient */
  int exact;     /* trials are looked at with their gradient, g is exact */
  enum { PC_LM_NOTHING, PC_LM_GRADIENT, PC_LM_JACOBIAN } need; /* before the next step */
} pc_lm_row;

/* D = K*m slot numbers, P pixels; arrays without a type are of the images' dtype, a row each */
typedef struct pc_lm {
  pc_search *s;
  pc_chunk *c;      /* rows, and where they stand */
  pc_chunk part[2]; /* the looks of a step: rows without and with a gradient */
  pc_lm_row *row;
  void *jac, *res; /* (n,D,P) d r / d z; (n,P) r = f(z) - x */
  void *work;      /* (n,P + D*D) scratch */
  double *a;       /* (n,D,D) J J^T */
  double *g;       /* (n,D) J r + prior z + half the entropy term's gradient */
  double *d;       /* (n,D) the step on trial */
  double *e;       /* (n,D) half the gradient of the entropy term where the row stands; NULL without */
  double *m;       /* (n,D+2,D) scratch */
  uint8_t *done;   /* (n) */
  int64_t *rows;   /* (n) rows whose J is being built */
  int64_t nrows;
} pc_lm;

double pc_lm_get(const pc_search *s, const void *p, int64_t i);
void pc_lm_put(const pc_search *s, void *p, int64_t i, double v);
/* out (D) = J x with x (P) of the images' dtype. */
void pc_lm_project(const pc_lm *l, int64_t row, void *x, double *out);

/* Builds J and a of l->rows where they stand; charges it. */
int pc_lm_build(pc_lm *l);

#endif
