/* inverter.h: perception by inverting a decoder (arXiv 2512.08854, Eq. 4.3).
 *
 *   z*(x) = argmin_z || f(z) - x ||^2 + prior * ||z||^2
 * per image, the decoder frozen, batched; started from given slots (the encoder's
 * guess, the prior, a bank's nearest code). Adam on z. An image leaves the batch when
 * its best loss has fallen by less than a fraction `tol` over `patience` steps; the
 * best slots seen are returned, so that the result is never worse than the start.
 */
#ifndef PC_INVERTER_INVERTER_H
#define PC_INVERTER_INVERTER_H

#include "nn/module.h"

/* image = f(z): z (b,K,m) -> (b,H,W,C), new reference, with history when gradients are on. */
typedef int pc_decode_fn(void *ctx, pc_tensor *z, pc_tensor **image);
int pc_decode_module(void *module, pc_tensor *z, pc_tensor **image); /* ctx: a pc_module* decoder */

typedef struct pc_invert_opts {
  int steps;     /* at most; 0: 100 */
  double lr;     /* of Adam; 0: 0.05 */
  double prior;  /* weight of ||z||^2 */
  double tol;    /* relative decrease; 0: 1e-4; negative: never stop early */
  int patience;  /* steps; 0: 20 */
  int trace;     /* keep the loss of every image at every step */
  int64_t batch; /* images at once; 0: 64 */
} pc_invert_opts;

typedef struct pc_invert_result {
  pc_tensor *z;         /* (B,K,m) the best slots seen */
  pc_tensor *loss;      /* (B) squared error of z, summed over an image (with the prior term) */
  pc_tensor *steps;     /* (B) i64, steps taken */
  pc_tensor *converged; /* (B) u8, 1: stopped before `steps` */
  pc_tensor *trace;     /* (B,steps+1), the last value repeated after an image stopped; NULL unless asked for */
  int64_t evaluations;  /* images decoded in all */
} pc_invert_result;

/* x (B,H,W,C) and z0 (B,K,m) of one float dtype. On error nothing is returned. */
int pc_invert(pc_invert_result *out, pc_decode_fn *f, void *ctx, pc_tensor *x, pc_tensor *z0, const pc_invert_opts *o);
void pc_invert_result_release(pc_invert_result *r);

#endif
