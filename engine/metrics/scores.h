/* scores.h: how good predictions are. All in double; labels are any integers.
 *
 * Cases without an answer are defined, not left to chance:
 *   accuracy of no predictions        PC_EARG
 *   R2 of a target that never varies  1 when predicted exactly, else 0
 *   ARI of fewer than 2 elements, or both sides one cluster, or both all
 *   singletons                        1
 *   FG-ARI without a foreground pixel NaN; means leave it out
 */
#ifndef PC_METRICS_SCORES_H
#define PC_METRICS_SCORES_H

#include <stdint.h>

#include "tensor/tensor.h"

/* Share of equal elements; same shape, integers. */
int pc_accuracy(double *out, const pc_tensor *predicted, const pc_tensor *target);

/* i64 (classes,classes): entry (t,p) counts target t predicted as p; labels
 * from PC_INDEX_BASE to classes. PC_EINDEX names a label outside. */
int pc_confusion(pc_tensor **out, const pc_tensor *predicted, const pc_tensor *target, int64_t classes);

/* R2 = 1 - SS_res / SS_tot per column of (N) or (N,D), floats. */
typedef enum pc_r2_mean {
  PC_R2_UNIFORM,          /* mean over columns */
  PC_R2_VARIANCE_WEIGHTED /* weighted by SS_tot: sum SS_res over sum SS_tot */
} pc_r2_mean;
int pc_r2(double *out, const pc_tensor *predicted, const pc_tensor *target, pc_r2_mean mean);
int pc_r2_columns(pc_tensor **out, const pc_tensor *predicted, const pc_tensor *target); /* f64 (D) */

/* Adjusted Rand index (Hubert & Arabie 1985) of two labellings of n elements;
 * where use is not NULL, of the elements with use[i] != 0 only. */
int pc_ari_labels(double *out, const int64_t *a, const int64_t *b, const uint8_t *use, int64_t n);
/* (n) integers, same shape */
int pc_ari(double *out, const pc_tensor *predicted, const pc_tensor *target);
/* Masks (B,...) integers -> f64 (B). foreground_only: pixels whose target is
 * `background` do not count (FG-ARI). */
int pc_ari_masks(pc_tensor **out, const pc_tensor *predicted, const pc_tensor *target, int foreground_only,
                 int64_t background);

#endif
