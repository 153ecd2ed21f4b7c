/* inverter.h: perception by inverting a decoder (arXiv 2512.08854, Eq. 4.3).
 *
 *   z*(x) = argmin_z || f(z) - x ||^2 + prior ||z||^2 + entropy H(readout(z))
 * per image, the decoder frozen, batched; started from given slots (the encoder's
 * guess, the prior, a bank's nearest code), or from several. Three methods:
 *   Adam      one decode and one backward pass a step
 *   L-BFGS    the same, with curvature from the last gradients of each image
 *   LM        Levenberg-Marquardt: the Jacobian J of the image in the K*m slot numbers is
 *             built rarely (forward differences without gradients, or the decoder's own
 *             closed form) and kept up by Broyden's rank-1 updates, so that a step costs one
 *             decode and a K*m x K*m system. K*m is tens: J^T J is tiny.
 * Invariants
 *  - Images never influence each other: what one gets does not depend on its company.
 *  - The best slots seen are returned, so that the result is never worse than the start; a
 *    loss that is not finite never counts as better.
 *  - An image that is done leaves the batch: when its best loss has fallen by less than a
 *    fraction `tol` over `patience` steps, or is at or below its target.
 *  - No gradient of a weight is computed and no weight's .grad is touched.
 * Cost is counted in decodes of one image: a decode is 1, the backward pass through it 1
 * more (with respect to z alone it has the decode's products, transposed), a Jacobian by
 * differences K*m, a closed form what the decoder says of it.
 */
#ifndef PC_INVERTER_INVERTER_H
#define PC_INVERTER_INVERTER_H

#include "base/options.h"
#include "decoders/decoder.h"
#include "nn/module.h"

/* image = f(z): z (b,K,m) -> (b,H,W,C), new reference, with history when gradients are on. */
typedef int pc_decode_fn(void *ctx, pc_tensor *z, pc_tensor **image);
int pc_decode_module(void *module, pc_tensor *z, pc_tensor **image); /* ctx: a pc_module* decoder */

/* Class logits of slots: z (b,K,m) -> up to PC_MAX_READOUTS tensors (b,...,classes), new references. */
enum { PC_MAX_READOUTS = 16 };
typedef int pc_logits_fn(void *ctx, pc_tensor *z, pc_tensor **logits, int *n);
int pc_logits_module(void *module, pc_tensor *z, pc_tensor **logits, int *n); /* ctx: a pc_module*, its first output */

typedef enum pc_invert_method {
#define METHOD(NAME, name, patience, arrays) PC_INVERT_##NAME,
#include "inverter/methods.def"
#undef METHOD
  PC_INVERT_METHODS /* how many */
} pc_invert_method;
extern const char pc_invert_words[]; /* "|adam|lm|..." */

#define PC_INVERT_OPTIONS(X, S)                                                                                      \
  X(S, choice, method, pc_invert_words + 1, 0, "", "")                                                               \
  X(S, int, steps, "0..", 100, "", "at most; one looks at one place: Adam, L-BFGS 2 decodes, LM 1 and its J")        \
  X(S, num, lr, "0..", 0.05, "", "Adam: its rate; L-BFGS: the largest change of its first step")                     \
  X(S, num, prior, "0..", 0, "", "weight of ||z||^2")                                                                \
  X(S, num, tol, "", 1e-4, "", "relative decrease; negative: never stop for it")                                     \
  X(S, maybe_int, patience, "1..", 0, "steps", "left out: 20 of Adam, 5 of the others")                              \
  X(S, maybe_int64, batch, "1..", 0, "images", "left out: 64, fewer where Jacobians or the memory limit ask for it") \
  X(S, bool, trace, "", 0, "", "the loss where each image stands after every step")                                  \
  X(S, num, damping, "0<..", 1e-3, "", "LM: at the start, relative to the diagonal of J^T J")                        \
  X(S, int, history, "1..1000", 10, "steps", "L-BFGS: pairs kept")                                                   \
  X(S, num, entropy, "", 0, "", "weight of the summed entropy of softmax(readout(z)); needs a readout")

typedef struct pc_invert_opts {
  PC_INVERT_OPTIONS(PC_OPTION_FIELD, )
  pc_logits_fn *readout;
  void *readout_ctx;
  const pc_tensor *target;  /* (B) or (), any dtype: an image at or below it is done; NULL: none */
  pc_jacobian_fn *jacobian; /* of the decoder (decoders/decoder.h), with ctx of f; NULL: forward differences */
} pc_invert_opts;
#define PC_INVERT_OPTS_INIT \
  { PC_INVERT_OPTIONS(PC_OPTION_INIT, ) }
extern const pc_options pc_invert_options;

typedef struct pc_invert_result {
  pc_tensor *z;         /* (B,K,m) the best slots seen, over all starts */
  pc_tensor *loss;      /* (B) the objective of z: squared error summed over an image, and the other terms */
  pc_tensor *steps;     /* (B) i64, steps taken from the start that won */
  pc_tensor *converged; /* (B) u8, 1: stopped before `steps`, with a loss that is a finite number */
  pc_tensor *start;     /* (B) i64, which start won, counted from PC_INDEX_BASE */
  pc_tensor *cost;      /* (B) f64, decodes spent on the image, over all starts */
  pc_tensor *seconds;   /* (B) f64, its share of the time, over all starts */
  pc_tensor *trace;     /* (B,steps+1) of the start that won, the last value repeated; NULL unless asked for */
  double evaluations;   /* the sum of cost */
} pc_invert_result;

/* x (B,H,W,C); z0 (B,K,m), or (S,B,K,m) for S starts; one float dtype. On error nothing is returned. */
int pc_invert(pc_invert_result *out, pc_decode_fn *f, void *ctx, pc_tensor *x, pc_tensor *z0, const pc_invert_opts *o);
/* The same for a decoder module: frozen while it runs, with its closed-form Jacobian where it has one. */
int pc_invert_module(pc_invert_result *out, pc_module *decoder, pc_tensor *x, pc_tensor *z0, const pc_invert_opts *o);
void pc_invert_result_release(pc_invert_result *r);

#endif
