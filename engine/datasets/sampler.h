/* sampler.h: batches of indices, shuffled anew each epoch, that can stop and
 * go on exactly.
 *
 * Epoch e visits every index once, in a Philox permutation of (seed, e) alone;
 * so the position (seed, epoch, cursor) is the whole state, and a restored
 * sampler gives the batches the saved one would have given.
 * Owns a copy of the indices.
 */
#ifndef PC_DATASETS_SAMPLER_H
#define PC_DATASETS_SAMPLER_H

#include <stdint.h>

#include "tensor/tensor.h"

typedef struct pc_batches pc_batches;

typedef struct pc_batches_opts {
  int sequential; /* no shuffling */
  int keep_last;  /* an epoch's last batch may be smaller; otherwise the remainder is left out of that epoch */
} pc_batches_opts;

typedef struct pc_batches_position {
  uint64_t seed;
  int64_t epoch;  /* from 0 */
  int64_t cursor; /* indices of this epoch already given */
} pc_batches_position;

/* index: integer (n), n >= 1, copied; 1 <= batch; without keep_last batch <= n. opts may be NULL. */
int pc_batches_new(pc_batches **out, const pc_tensor *index, int64_t batch, uint64_t seed, const pc_batches_opts *opts);
void pc_batches_free(pc_batches *b); /* accepts NULL */

/* The next batch, i64 (batch); goes into the next epoch by itself. */
int pc_batches_next(pc_tensor **out, pc_batches *b);
int64_t pc_batches_per_epoch(const pc_batches *b);
pc_batches_position pc_batches_tell(const pc_batches *b);
/* PC_EARG when the position does not fit (negative, cursor beyond n). */
int pc_batches_seek(pc_batches *b, pc_batches_position pos);

#endif
