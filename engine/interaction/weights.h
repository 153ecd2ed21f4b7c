/* weights.h: slot attention or slot Jacobians (B,Q,K) as statements about slots.
 *
 * JIS (arXiv 2411.07784): mean over pixels of max_k S, S summing to 1 over slots, as (v - 1/K)/(1 - 1/K): 1 when every
 * pixel depends on one slot. J-ARI: FG-ARI of the slot each pixel depends on most, pc_weights_segment(), against masks
 * (metrics/scores.h).
 */
#ifndef PC_INTERACTION_WEIGHTS_H
#define PC_INTERACTION_WEIGHTS_H

#include "grad/op.h"

/* JIS of each image, f64 (B); NaN where no pixel counts. masks (B,...) with one label for each pixel: only those that
 * are not `background` count; NULL: all. Pixels that depend on no slot are left out. */
int pc_weights_jis(pc_tensor **out, pc_tensor *weights, pc_tensor *masks, double background);
/* The slot that has most of each pixel, i64 (B,height,width), counted from PC_INDEX_BASE: bilinear from the grid of Q
 * places, which has the proportions of height x width. */
int pc_weights_segment(pc_tensor **out, pc_tensor *weights, int64_t height, int64_t width, const char *name);

#endif
