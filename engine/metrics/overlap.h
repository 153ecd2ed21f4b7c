/* overlap.h: how well segments cover objects, as intersection over union.
 *
 * Labels are any integers; an object is a label of the target, a segment a label of the prediction, both with at least
 * one pixel. With foreground_only the label `background` is no object; its pixels still count in the unions.
 *   best     mean over objects of the best IoU that any segment has with it: one segment may serve several objects
 *            (mean best overlap, mBO)
 *   matched  mean over objects of the IoU with its own segment, of the assignment with the largest sum; an object
 *            without one counts as 0 (mIoU)
 * Cases without an answer are defined:
 *   an image without objects (no pixels, or all background)   NaN; means leave it out
 *   both sides one cluster                                    1
 */
#ifndef PC_METRICS_OVERLAP_H
#define PC_METRICS_OVERLAP_H

#include "tensor/tensor.h"

typedef enum pc_overlap_kind { PC_OVERLAP_BEST, PC_OVERLAP_MATCHED } pc_overlap_kind;

enum { PC_OVERLAP_LABELS = 1024 }; /* of one side of an image, at most: PC_EARG beyond */

/* Masks (B,...), integers of one shape -> f64 (B). */
int pc_overlap(pc_tensor **out, const pc_tensor *predicted, const pc_tensor *target, pc_overlap_kind kind,
               int foreground_only, int64_t background);

#endif
