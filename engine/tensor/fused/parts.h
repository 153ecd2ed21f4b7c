/* parts.h: rows in tiles, tiles in parts: how kernels that take rows tile by tile share the work and
 * sum over rows.
 *
 * A tile stays in cache while it goes through everything there is to do. Tiles go together in parts:
 * a part is a task with sums of its own. Bounds depend on the shapes only, and parts are added in
 * order: the same bits for any number of threads. Several problems of as many rows each may be cut
 * alike: then part i belongs to problem i / parts.
 */
#ifndef PC_TENSOR_PARTS_H
#define PC_TENSOR_PARTS_H

#include "tensor/tensor.h"

typedef struct pc_parts {
  pc_dtype d;
  int64_t rows, tile;       /* of a problem; of a tile */
  int64_t part_rows, parts; /* whole tiles; of a problem */
  int64_t sums;             /* numbers that a part sums */
  char *sum;                /* (problems, parts, sums) */
  int failed;
} pc_parts;

/* Rows [r, r + rows) of a problem, on the caller's thread. room is the task's own; sum is the part's. */
typedef void pc_tile_fn(void *ctx, int64_t problem, int64_t r, int64_t rows, char *room, char *sum);

/* Rows of a tile whose rows take `bytes` each, `budget` together: 36 to 252, in multiples of 12, the rows of the widest
 * kernel (narrower ones take a divisor of it); few rows still make a part for each thread. */
int64_t pc_parts_tile(int64_t rows, int64_t bytes, int64_t budget);
/* p->rows in at most `most` parts of p->tile rows and more. */
void pc_parts_cut(pc_parts *p, int64_t most);
/* Makes sum, zeros; PC_ENOMEM. pc_free(p->sum) is the caller's. */
int pc_parts_sums(pc_parts *p, int64_t problems);
/* fn over all tiles of parts [first, end), `grain` parts to a task and at least `room` bytes for it; PC_ENOMEM. */
int pc_parts_run(pc_parts *p, int64_t first, int64_t end, int64_t grain, size_t room, pc_tile_fn *fn, void *ctx);
/* out = the sums of the n numbers from place `from` on over parts [first, end), in order */
void pc_parts_fold(const pc_parts *p, int64_t first, int64_t end, int64_t from, int64_t n, void *out);

#endif
