/* replay.h: new combinations of known slots (arXiv 2512.08854, Eq. 4.4).
 *
 *   z~ ~ prod_k p_k(z_k), p_k the marginal of inferred slot k on ID images.
 * empirical  row k of z~ is slot k of a bank image drawn for k alone
 * gaussian   p_k is normal with the bank's mean and covariance of slot k
 * mixture    p_k = sum_c w_c N(mean_c, cov_c), fitted to slot k by EM from k-means++ centres (mixture.h)
 * prior      N(0,1)
 * Slots must be aligned (slot k means the same in every image), as learned queries give it.
 *
 * Fitting is apart from drawing, so that a training step only draws. A fitted sampler holds copies of what
 * it needs: the bank may change or go.
 *
 * Combinations already seen may be left out (empirical only, whose rows have labels): label (i,k) says which
 * value slot k of bank row i has, and a draw that occurred in ID is drawn again. It occurred when, for every
 * group of slots, the labels it has there stand together in some row of `seen`: one group of all slots asks
 * for whole combinations; the groups {1,3}, {2,3} for (animal, world) cells, of which an ID image has two.
 */
#ifndef PC_REPLAY_REPLAY_H
#define PC_REPLAY_REPLAY_H

#include "base/options.h"
#include "base/rng.h"
#include "tensor/tensor.h"

typedef enum pc_marginal {
  PC_MARGINAL_EMPIRICAL,
  PC_MARGINAL_GAUSSIAN,
  PC_MARGINAL_PRIOR,
  PC_MARGINAL_MIXTURE
} pc_marginal;

enum { PC_REPLAY_MAX_SLOTS = 64, PC_REPLAY_MAX_GROUPS = 64 };

enum { PC_REPLAY_COMPONENTS = 8 }; /* of a mixture, when nobody says how many; fewer of a bank of fewer rows */
#define PC_REPLAY_OPTIONS(X, S)                                                                         \
  X(S, choice, marginals, "empirical|gaussian|prior|mixture", PC_MARGINAL_EMPIRICAL, "", "")            \
  X(S, maybe_int, components, "1..1024", 0, "", "of the mixture; left out: 8, at most the bank's rows") \
  X(S, int, iterations, "0..", 100, "", "of EM, at most")                                               \
  X(S, int64, seed, "", 0, "", "of the mixture's first centres")                                        \
  X(S, int, tries, "1..", 10000, "", "draws of a slot set before giving up")

typedef struct pc_replay_opts {
  PC_REPLAY_OPTIONS(PC_OPTION_FIELD, )
  const pc_tensor *labels; /* (N,K) integers: the value of each slot of the bank; NULL: nothing left out */
  const pc_tensor *seen;   /* (M,K) integers: combinations that occurred; NULL: the rows of labels */
  int ngroups;             /* 0: one group of all slots */
  uint64_t groups[PC_REPLAY_MAX_GROUPS]; /* bit k: slot k, from 0, belongs to it */
} pc_replay_opts;
#define PC_REPLAY_OPTS_INIT \
  { PC_REPLAY_OPTIONS(PC_OPTION_INIT, ) }
extern const pc_options pc_replay_options;

typedef struct pc_replay pc_replay;
/* Fits the marginals of a bank (N,K,m), f32 or f64, N >= 1. o may be NULL. */
int pc_replay_fit(pc_replay **out, const pc_tensor *bank, const pc_replay_opts *o);
/* Draws n slot sets (n,K,m) of the bank's dtype. rows (may be NULL): i64 (n,K), the bank rows they come from,
 * counted from PC_INDEX_BASE; NULL is given for other marginals than empirical. PC_EARG when `tries` draws in a row
 * were combinations that occurred. */
int pc_replay_draw(const pc_replay *r, pc_tensor **z, pc_tensor **rows, int64_t n, pc_rng *g);
void pc_replay_free(pc_replay *r);

/* Fits and draws. */
int pc_replay_sample(pc_tensor **out, const pc_tensor *bank, int64_t n, pc_marginal kind, pc_rng *g);

#endif
