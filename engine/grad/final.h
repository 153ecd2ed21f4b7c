/* final.h: acting on a leaf's gradient within backward, as soon as it is complete.
 *
 * An optimiser that takes its step there needs no gradients of the other parameters, and each can go when it has
 * been used: the gradients of a model are never there together.
 * Invariants
 *  - take() is called in pc_backward, at most once a pass for each leaf, when every node that adds to the leaf's
 *    gradient or has saved memory of the leaf (itself, a view, a detached alias) has run. It may write to the leaf's
 *    values and let its gradient go.
 *  - Leaves of one flat buffer share a version: the tape counts it up when the pass is over, for all that were taken.
 *  - A backward within another one (of a custom op) takes nothing: what it added stays in the leaves' gradients.
 */
#ifndef PC_GRAD_FINAL_H
#define PC_GRAD_FINAL_H

#include "grad/op.h"

typedef struct pc_final {
  int (*take)(void *ctx, int index); /* 0 or negative with the error set, which ends backward */
  void *ctx;
  int index;
  pc_tensor *leaf; /* borrowed */
} pc_final;

/* f is borrowed until pc_final_off. PC_ESTATE when another one is set for this leaf. */
int pc_final_on(const pc_final *f);
void pc_final_off(const pc_final *f); /* of another one's: nothing */

/* ---- what the tape does for it ---- */
typedef struct pc_finals {
  struct waiting *leaf; /* by storage and place */
  int n;
  int *use, *at; /* node k uses leaf[use[at[k] .. at[k+1])] */
  int nuse, cap;
} pc_finals;

/* Which leaves the nodes (in the order in which they will run) use. No leaf waits: f->n is 0. */
int pc_finals_plan(pc_finals *f, pc_node *const *nodes, int n);
int pc_finals_ran(pc_finals *f, int k); /* node k has run */
void pc_finals_end(pc_finals *f);
int pc_finals_wanted(void); /* some leaf waits somewhere */

#endif
