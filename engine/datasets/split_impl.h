/* split_impl.h: shared by split.c (cells) and split_latents.c; not for other modules. */
#ifndef PC_DATASETS_SPLIT_IMPL_H
#define PC_DATASETS_SPLIT_IMPL_H

#include "datasets/split.h"

/* kind[i] of pc_cell for each of n images: fills the five index tensors and the digest. val, test: shares of the ID
 * images as in the options. */
int pc_split_divide(pc_split *s, const uint8_t *kind, int64_t n, double val, double test, uint64_t seed);

/* Streams of the seed: each use of randomness has its own counter range. */
enum { PC_SPLIT_STREAM_DIVIDE, PC_SPLIT_STREAM_CELLS, PC_SPLIT_STREAM_PSEUDO };
#define PC_SPLIT_COUNTER(stream) ((uint64_t)(stream) << 48)

#endif
