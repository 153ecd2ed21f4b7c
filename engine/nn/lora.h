/* lora.h: low-rank adaptation of attention projections (Hu et al. 2021, arXiv 2106.09685).
 *
 *   y = x W' + b + (alpha / rank) (x A') B',   A (rank,in) uniform as a linear layer's weight, B (out,rank) 0 at birth
 * A linear layer becomes one with A and B in place: W and b keep their names and become constants
 * (pc_module_fix), "lora_a" and "lora_b" come beside them. So the module computes what it did until B moves,
 * weights saved without LoRA load by name into W and b, and merging leaves the plain layer behind.
 */
#ifndef PC_NN_LORA_H
#define PC_NN_LORA_H

#include "base/options.h"
#include "nn/module.h"

#define PC_LORA_OPTIONS(X, S)                                                            \
  X(S, int64, rank, "1..", 4, "", "of B A")                                              \
  X(S, maybe_num, alpha, "", 0, "", "B A is scaled by alpha / rank; left out: the rank") \
  X(S, str, on, "", "qv", "", "which projections of every attention: letters of q, k, v, o")
PC_OPTIONS_STRUCT(pc_lora_opts, PC_LORA_OPTIONS);
extern const pc_options pc_lora_options;

/* Fixes every parameter of m, then adapts the projections named in `on` ("q", "k", "v", "o" in any
 * order) of every attention in m. Before an optimiser is made. PC_EARG: no attention in m, adapted already,
 * rank below 1. */
int pc_lora_add(pc_module *m, const pc_lora_opts *o);

/* W += (alpha / rank) B A wherever m is adapted, and A and B go. The weights stay constants until pc_module_fix(m, 0).
 * PC_EARG when nothing is adapted. */
int pc_lora_merge(pc_module *m);

#endif
