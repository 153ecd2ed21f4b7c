/* seen.h: which combinations of slot values occurred.
 *
 * A combination occurred when, for every group of slots, its labels in that group stand together in some row of
 * `combinations` (replay.h). One exact hash set a group. Holds copies; nothing of the tensors is kept.
 */
#ifndef PC_REPLAY_SEEN_H
#define PC_REPLAY_SEEN_H

#include "tensor/tensor.h"

typedef struct pc_seen pc_seen;
/* labels (rows,slots), combinations (M,slots) or NULL for the labels themselves, of an integer dtype;
 * groups: ngroups bit masks of slots, 0 of them: all slots together. */
int pc_seen_new(pc_seen **out, int64_t rows, int64_t slots, const pc_tensor *labels, const pc_tensor *combinations,
                const uint64_t *groups, int ngroups);
/* 1: the slots of bank rows from[k] (from 0), k < slots, make a combination that occurred. */
int pc_seen_has(const pc_seen *s, const int64_t *from);
void pc_seen_free(pc_seen *s);

#endif
