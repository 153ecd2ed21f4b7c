/* health.h: slot health: does each factor have a slot of its own, is a slot empty, do factors share one?
 *
 * Two things are looked at, on in-domain validation images: how much of the images a slot holds (its attention or
 * mask), and what a readout of that slot alone tells (its accuracy against chance). A slot that holds less than the
 * share `empty` is empty; an empty slot tells nothing, whatever its readout says: the decoder does not look at it. A
 * slot tells a factor when its readout's skill, (accuracy - chance) / (1 - chance), reaches `tells`, and the share
 * `near` of the best slot's skill.
 *
 * What one slot holds may show in another (a world lights its things), so that a factor is often told twice. It has a
 * slot of its own when slots can be given to factors one to one such that each tells its factor; factors that are told
 * but get none share the slot that tells them best with that slot's owner.
 *
 * Cases without an answer are defined, not left to chance:
 *   a factor of one value (chance 1)  skill NaN; told by no slot, and not asked for by the verdict
 *   an accuracy that is NaN           skill NaN; not told
 *   attention that is NaN             usage NaN; the slot is empty
 *   a slot with no attention at all   usage 0, entropy NaN
 *   one slot                          entropy 0
 */
#ifndef PC_METRICS_HEALTH_H
#define PC_METRICS_HEALTH_H

#include "base/options.h"
#include "tensor/tensor.h"

/* attention (B,P,K), floats, whose last dimension adds up to 1 ->
 *   share (B,K) f64: of the pixels of each image;
 *   mixed (B,K) f64: mean over pixels of attention times the pixel's entropy over slots divided by log K, so that
 *         sum mixed / sum share over images is how much the pixels of a slot are divided (0: all its own), and sum over
 *         slots the mean entropy of a pixel;
 *   entropy: that mean over all images, in the precision of attention. mixed and entropy may be NULL. */
int pc_slot_use(pc_tensor **share, pc_tensor **mixed, double *entropy, pc_tensor *attention);

/* Share of the commonest label: what guessing reaches. labels (N) integers; PC_EARG for none. */
int pc_chance(double *out, const pc_tensor *labels);

#define PC_HEALTH_OPTIONS(X, S)                                                                               \
  X(S, num, empty, "0..1", 0.01, "share of pixels", "a slot that holds less is empty")                        \
  X(S, num, holds, "0..1", 0.02, "share of pixels", "how much of an image a slot has to hold to count in it") \
  X(S, num, tells, "0..1", 0.5, "", "skill from which a slot tells a factor: 0 chance, 1 never wrong")        \
  X(S, num, near, "0..1", 0.8, "", "and which share of the best slot's skill it has to reach")
PC_OPTIONS_STRUCT(pc_health_opts, PC_HEALTH_OPTIONS);
#define PC_HEALTH_OPTS_INIT \
  { PC_HEALTH_OPTIONS(PC_OPTION_INIT, ) }
extern const pc_options pc_health_options;

/* K slots, F factors. Tensors that were not asked for are NULL. */
typedef struct pc_slot_health {
  int64_t slots, factors;
  pc_tensor *usage;   /* f64 (K): mean share of the pixels */
  pc_tensor *present; /* f64 (K): share of the images of which the slot holds `holds` */
  pc_tensor *entropy; /* f64 (K): of its pixels, weighed by its attention; NaN: holds nothing */
  pc_tensor *empty;   /* u8 (K); all 0 where no attention is known */
  pc_tensor *skill;   /* f64 (K,F) */
  pc_tensor *told;    /* u8 (K,F): slot k is not empty and tells factor f */
  pc_tensor *times;   /* i64 (F): how many slots tell it: 0 it is lost, 2 and more it is told redundantly */
  pc_tensor *owner;   /* i64 (F): its own slot, from PC_INDEX_BASE; PC_INDEX_BASE - 1: none */
  pc_tensor *place;   /* i64 (F): its own slot, else the one that tells it best; PC_INDEX_BASE - 1: told by none */
  int n_empty;
  int good; /* no slot is empty, every factor of more than one value has a slot of its own */
} pc_slot_health;

/* share, mixed (N,K) as above, both or neither; accuracy (K,F), floats, of the readout of each slot for each factor,
 * and chance (F), both or neither. Something has to be there. */
int pc_slot_health_new(pc_slot_health *out, const pc_tensor *share, const pc_tensor *mixed, const pc_tensor *accuracy,
                       const pc_tensor *chance, const pc_health_opts *opts);
void pc_slot_health_free(pc_slot_health *h); /* its tensors; accepts NULL */

/* Which slot is read for which factor: i64 (F) from PC_INDEX_BASE. accuracy (K,F), finite; empty u8 (K) or NULL. Slots
 * that are not empty are assigned one to one with the largest sum of accuracies; factors for which none is left share
 * the slot that tells them best. When all are empty, none counts as empty. */
int pc_slot_assign(pc_tensor **slot_of, const pc_tensor *accuracy, const pc_tensor *empty);

#endif
