/* checkpoint.h: recompute in backward (gradient checkpointing; Chen et al. 2016, arXiv 1604.06174).
 *
 * pc_checkpoint computes y = f(x) and keeps nothing of the way there: backward runs f again,
 * recorded this time, and differentiates that. Memory for f's intermediates is needed only
 * while one such piece is at work; the price is f once more.
 * Invariants
 *  - Values and gradients are those of f(x) called as it is, to any order: f runs on the same
 *    numbers, with the global generator where it stood (dropout draws the same).
 *  - f may use leaves (weights) that are not among its arguments: they are noticed when f runs
 *    and get their gradients. A result with history must come in as an argument; an f that
 *    uses one otherwise is an error that says so.
 *  - f gives the same number of results of the same shapes each time, and keeps nothing.
 */
#ifndef PC_GRAD_CHECKPOINT_H
#define PC_GRAD_CHECKPOINT_H

#include "grad/op.h"

typedef struct pc_recompute {
  void *ctx;
  /* out[0..*nout), at most PC_MAX_OUT new references; in[] are the arguments or stand-ins for them */
  int (*run)(void *ctx, pc_tensor *const *in, int nin, pc_tensor **out, int *nout);
  void (*release)(void *ctx); /* NULL: nothing to free */
} pc_recompute;

/* Takes over f.ctx, also on error. out[k] new references. Without recording, f alone. */
int pc_checkpoint(pc_tensor **out, int *nout, pc_tensor *const *in, int nin, pc_recompute f);

/* ---- what the tape does for it ---- */
/* The tensors that want gradients and went into ops since pc_watch_begin, each once. */
typedef struct pc_watch {
  pc_tensor **t; /* retained */
  int n, cap, rc;
  struct pc_watch *outer;
} pc_watch;
void pc_watch_begin(pc_watch *w);
void pc_watch_end(pc_watch *w); /* innermost first; t stays: pc_watch_release */
void pc_watch_release(pc_watch *w);

#endif
