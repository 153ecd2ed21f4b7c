#include "tensor/fused/parts.h"

#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "tensor/tile.h"

enum { UNIT = 12, MOST = 252, LEAST = 36 };

int64_t pc_parts_tile(int64_t rows, int64_t bytes, int64_t budget) {
  int64_t tile = budget / bytes / UNIT * UNIT;
  if (tile > MOST) tile = MOST;
  if (tile > rows / 4) tile = (rows / 4 + UNIT - 1) / UNIT * UNIT;
  if (tile < LEAST) tile = LEAST;
  return tile <= rows ? tile : rows ? rows : 1;
}

void pc_parts_cut(pc_parts *p, int64_t most) {
  int64_t tiles = (p->rows + p->tile - 1) / p->tile;
  p->part_rows = (tiles + most - 1) / most * p->tile;
  p->parts = p->part_rows ? (p->rows + p->part_rows - 1) / p->part_rows : 0;
}

int pc_parts_sums(pc_parts *p, int64_t problems) {
  p->sum = pc_calloc((size_t)(problems * p->parts * p->sums + 1), pc_dtype_size(p->d));
  return p->sum ? PC_OK : PC_ENOMEM;
}

typedef struct run_of {
  pc_parts *p;
  int64_t first;
  size_t room;
  pc_tile_fn *fn;
  void *ctx;
} run_of;

static void task(int64_t begin, int64_t end, void *ctx) {
  const run_of *w = ctx;
  pc_parts *p = w->p;
  char *room = pc_malloc(w->room + 1);
  if (!room) {
    __atomic_store_n(&p->failed, 1, __ATOMIC_RELAXED);
    return;
  }
  for (int64_t i = w->first + begin; i < w->first + end; i++) {
    char *sum = p->sum ? p->sum + i * p->sums * (int64_t)pc_dtype_size(p->d) : NULL;
    int64_t r = i % p->parts * p->part_rows, stop = r + p->part_rows < p->rows ? r + p->part_rows : p->rows;
    for (; r < stop; r += p->tile) w->fn(w->ctx, i / p->parts, r, stop - r < p->tile ? stop - r : p->tile, room, sum);
  }
  pc_free(room);
}

int pc_parts_run(pc_parts *p, int64_t first, int64_t end, int64_t grain, size_t room, pc_tile_fn *fn, void *ctx) {
  run_of w = {.p = p, .first = first, .room = room, .fn = fn, .ctx = ctx};
  pc_parallel_for(end - first, grain, task, &w);
  return p->failed ? PC_ENOMEM : PC_OK;
}

void pc_parts_fold(const pc_parts *p, int64_t first, int64_t end, int64_t from, int64_t n, void *out) {
  int64_t es = (int64_t)pc_dtype_size(p->d);
  memset(out, 0, (size_t)(n * es));
  for (int64_t i = first; i < end; i++) pc_tile_add(p->d, out, p->sum + (i * p->sums + from) * es, n);
}
