/* penalty.h: how much slots interact in a decoder, as something to minimise.
 *
 * With attention A (B,Q,K), rows summing to 1 (averaged over layers and heads),
 *   interaction = mean over B and Q of sum_{i<j} A_i A_j = mean (1 - sum_k A_k^2) / 2:
 * 0 when every position looks at one slot, (1 - 1/K)/2 when it looks at all alike.
 * arXiv 2411.07784 sums over its heads instead of averaging: its alpha times heads^2
 * is the alpha here, so that one scale holds for any image size and number of heads.
 */
#ifndef PC_INTERACTION_PENALTY_H
#define PC_INTERACTION_PENALTY_H

#include "grad/op.h"

pc_tensor *pc_interaction_attention(pc_scope *s, pc_tensor *attention); /* 0-dim, differentiable */

#endif
