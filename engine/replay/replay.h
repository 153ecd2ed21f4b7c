/* replay.h: new combinations of known slots (arXiv 2512.08854, Eq. 4.4).
 *
 *   z~ ~ prod_k p_k(z_k), p_k the marginal of inferred slot k on ID images.
 * Empirical: row k of z~ is slot k of a bank image drawn for k alone; Gaussian: p_k is
 * normal with the bank's mean and covariance of slot k; prior: N(0,1). Slots must be
 * aligned (slot k means the same in every image), as learned queries give it.
 */
#ifndef PC_REPLAY_REPLAY_H
#define PC_REPLAY_REPLAY_H

#include "base/rng.h"
#include "tensor/tensor.h"

typedef enum pc_marginal { PC_MARGINAL_EMPIRICAL, PC_MARGINAL_GAUSSIAN, PC_MARGINAL_PRIOR } pc_marginal;
int pc_marginal_parse(pc_marginal *out, const char *name); /* "empirical", "gaussian", "prior" */

/* Draws n slot sets (n,K,m) from the bank's (N,K,m) slots, f32 or f64, N >= 1. */
int pc_replay_sample(pc_tensor **out, const pc_tensor *bank, int64_t n, pc_marginal kind, pc_rng *g);

#endif
