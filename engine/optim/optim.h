/* optim.h: optimisers over parameter groups.
 *
 * A group is a list of leaf tensors with options of its own. Neighbouring
 * parameters of a flattened module (engine/nn/module.h) are joined into one
 * range, so that a step over a model is one loop: one pass reads gradient,
 * moments and value and writes moments and value (28 bytes a parameter for Adam).
 * Invariants
 *  - The optimiser holds references to its parameters; state (momentum, moments)
 *    is one flat tensor a slot for the whole group.
 *  - A parameter without a gradient is left alone. Steps run outside the tape
 *    and bump the parameters' versions.
 *  - Results do not depend on the number of threads.
 *
 * During backward (pc_optim_during_backward): each parameter is stepped within pc_backward as soon as its gradient is
 * complete (grad/final.h), and the gradient goes at once, so that the gradients of a model are never there together:
 * a quarter of what values, gradients and two moments take. The numbers are those of a step afterwards, bit by bit.
 * pc_optim_step then steps what is left and ends the step; one backward a step, and no clipping by the norm of all
 * gradients, which is not known before the first parameter moves. A backward that fails halfway has moved some.
 */
#ifndef PC_OPTIM_OPTIM_H
#define PC_OPTIM_OPTIM_H

#include "base/options.h"
#include "nn/module.h"

typedef enum pc_optim_kind { PC_OPTIM_SGD, PC_OPTIM_ADAM, PC_OPTIM_ADAMW } pc_optim_kind;

/* Options of a group: rows of base/options.h. Adam and AdamW differ in what weight decay does and in its default. */
#define PC_OPTIM_LR(X, S) X(S, num, lr, "0..", 1e-3, "", "step length; 0: the parameters stay")
#define PC_OPTIM_MOMENTS(X, S)                                                       \
  X(S, num, beta1, "0..<1", 0.9, "", "share of the mean gradient that a step keeps") \
  X(S, num, beta2, "0..<1", 0.999, "", "likewise of the mean square")                \
  X(S, num, eps, "0..", 1e-8, "", "added to the root of the mean square")
#define PC_OPTIM_DECAY(X, S, by) X(S, num, weight_decay, "0..", by, "", "")
#define PC_OPTIM_MOMENTUM(X, S)                               \
  X(S, num, momentum, "0..", 0, "", "share of the last step") \
  X(S, bool, nesterov, "", 0, "", "looks ahead; needs momentum")
#define PC_SGD_OPTIONS(X, S)   PC_OPTIM_LR(X, S) PC_OPTIM_MOMENTUM(X, S) PC_OPTIM_DECAY(X, S, 0)
#define PC_ADAM_OPTIONS(X, S)  PC_OPTIM_LR(X, S) PC_OPTIM_MOMENTS(X, S) PC_OPTIM_DECAY(X, S, 0)
#define PC_ADAMW_OPTIONS(X, S) PC_OPTIM_LR(X, S) PC_OPTIM_MOMENTS(X, S) PC_OPTIM_DECAY(X, S, 0.01)
#define PC_OPTIM_OPTIONS(X, S) PC_ADAM_OPTIONS(X, S) PC_OPTIM_MOMENTUM(X, S)
PC_OPTIONS_STRUCT(pc_optim_opts, PC_OPTIM_OPTIONS);
#define PC_SGD_OPTS_INIT \
  { PC_SGD_OPTIONS(PC_OPTION_INIT, ) }
#define PC_ADAM_OPTS_INIT \
  { PC_ADAM_OPTIONS(PC_OPTION_INIT, ) }
#define PC_ADAMW_OPTS_INIT \
  { PC_ADAMW_OPTIONS(PC_OPTION_INIT, ) }
extern const pc_options pc_sgd_options, pc_adam_options, pc_adamw_options;

typedef struct pc_optim pc_optim;

int pc_optim_new(pc_optim **out, pc_optim_kind kind);
void pc_optim_release(pc_optim *o);
/* Adds a group; parameters that do not want gradients are left out. PC_EARG when none remain, or for an option out of
 * range. opts NULL: the kind's defaults. */
int pc_optim_add_group(pc_optim *o, pc_tensor *const *params, int n, const pc_optim_opts *opts);
int pc_optim_add_module(pc_optim *o, pc_module *m, const pc_optim_opts *opts); /* flattens m */
/* After the last group: from now on steps are taken during backward. Gradients held so far are let go. PC_ESTATE when
 * another optimiser does so for one of the parameters. */
int pc_optim_during_backward(pc_optim *o);
int pc_optim_ngroups(const pc_optim *o);
double pc_optim_lr(const pc_optim *o, int group);
int pc_optim_set_lr(pc_optim *o, int group, double lr); /* group -1: all; PC_EARG when out of range */
int pc_optim_step(pc_optim *o);
int pc_optim_zero_grad(pc_optim *o); /* during backward: lets gradients go */
/* sqrt of the sum of squares of all gradients, before; scales them so that it is at most max_norm (0: only measures).
 * During backward: the norm of the gradients since the last step; PC_ESTATE for max_norm > 0. */
int pc_optim_clip_grad_norm(pc_optim *o, double max_norm, double *norm);
int64_t pc_optim_steps(const pc_optim *o);

/* State for checkpoints: slot k of group g ("m", "v" or "momentum"), borrowed 1-d tensors, made on demand. */
int pc_optim_nslots(const pc_optim *o);
const char *pc_optim_slot_name(const pc_optim *o, int slot);
int pc_optim_state(pc_optim *o, int group, int slot, pc_tensor **out);
void pc_optim_set_steps(pc_optim *o, int64_t steps);
pc_optim_kind pc_optim_kind_of(const pc_optim *o);
const char *pc_optim_name(const pc_optim *o); /* "sgd", "adam", "adamw" */

/* ---- L-BFGS (Nocedal & Wright, algorithm 7.4), over one flat vector x ---- */
/* Computes value and gradient (n numbers) at x. */
typedef int pc_objective_fn(void *ctx, const double *x, double *value, double *grad, int64_t n);
#define PC_LBFGS_OPTIONS(X, S)                                               \
  X(S, int, max_iter, "0..", 100, "iterations", "")                          \
  X(S, int, history, "1..1000", 10, "steps", "")                             \
  X(S, num, tol_grad, "0..", 1e-7, "", "stops when max |g| is at most this") \
  X(S, num, tol_change, "0..", 1e-12, "", "stops when the step or the decrease is at most this")
PC_OPTIONS_STRUCT(pc_lbfgs_opts, PC_LBFGS_OPTIONS);
#define PC_LBFGS_OPTS_INIT \
  { PC_LBFGS_OPTIONS(PC_OPTION_INIT, ) }
extern const pc_options pc_lbfgs_options;
typedef struct pc_lbfgs_result {
  double value;
  int iterations, evaluations, converged;
} pc_lbfgs_result;
/* Minimises from x, in place; strong Wolfe line search (c1 1e-4, c2 0.9). */
int pc_lbfgs(double *x, int64_t n, pc_objective_fn *f, void *ctx, const pc_lbfgs_opts *o,
             pc_lbfgs_result *r); /* o NULL: the defaults */

#endif
