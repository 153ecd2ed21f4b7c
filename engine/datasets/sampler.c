#include "datasets/sampler.h"

#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"

struct pc_batches {
  int64_t n, batch;
  int64_t *index; /* (n) as given */
  int64_t *order; /* (n) positions in index, of epoch `ordered` */
  int64_t ordered;
  pc_batches_opts opts;
  pc_batches_position pos;
};

int pc_batches_new(pc_batches **out, const pc_tensor *index, int64_t batch, uint64_t seed,
                   const pc_batches_opts *opts) {
  pc_tensor *wide = NULL, *flat = NULL;
  pc_batches *b = NULL;
  int rc;
  *out = NULL;
  if (index->ndim != 1 || pc_dtype_is_float((pc_dtype)index->dtype))
    return pc_fail(PC_ESHAPE, "batches: indices have shape %s, dtype %s; integers of shape (n) are needed",
                   pc_shape_str(index), pc_dtype_name((pc_dtype)index->dtype));
  int64_t n = index->size[0];
  if (n < 1) return pc_fail(PC_EARG, "batches: there are no indices");
  if (batch < 1) return pc_fail(PC_EARG, "batches: batch size %lld; at least 1 is needed", (long long)batch);
  if (batch > n && !(opts && opts->keep_last))
    return pc_fail(PC_EARG, "batches: batch size %lld, but only %lld indices; take smaller batches, or keep_last",
                   (long long)batch, (long long)n);
  if (!(b = pc_calloc(1, sizeof *b))) return PC_ENOMEM;
  b->n = n;
  b->batch = batch;
  b->ordered = -1;
  b->pos.seed = seed;
  if (opts) b->opts = *opts;
  b->index = pc_malloc((size_t)n * sizeof *b->index);
  b->order = pc_malloc((size_t)n * sizeof *b->order);
  rc = b->index && b->order ? PC_OK : PC_ENOMEM;
  if (rc == PC_OK) rc = pc_to_dtype(&wide, index, PC_I64);
  if (rc == PC_OK) rc = pc_contiguous(&flat, wide);
  if (rc == PC_OK) memcpy(b->index, pc_i64(flat), (size_t)n * sizeof *b->index);
  pc_tensor_release(flat);
  pc_tensor_release(wide);
  if (rc < 0)
    pc_batches_free(b);
  else
    *out = b;
  return rc;
}

void pc_batches_free(pc_batches *b) {
  if (!b) return;
  pc_free(b->order);
  pc_free(b->index);
  pc_free(b);
}

/* Each epoch draws from its own range of counters, so no epoch needs the one before. */
static void shuffle(pc_batches *b) {
  pc_rng g = {b->pos.seed, (uint64_t)b->pos.epoch << 40};
  if (b->opts.sequential)
    for (int64_t i = 0; i < b->n; i++) b->order[i] = i;
  else
    pc_rng_permutation(&g, b->order, b->n);
  b->ordered = b->pos.epoch;
}

int pc_batches_next(pc_tensor **out, pc_batches *b) {
  int64_t left = b->n - b->pos.cursor, m = b->batch;
  pc_batches_position next = b->pos;
  *out = NULL;
  if (left < (b->opts.keep_last ? 1 : b->batch)) {
    next.epoch++;
    next.cursor = 0;
    left = b->n;
  }
  if (m > left) m = left;
  int rc = pc_tensor_empty(out, PC_I64, 1, &m);
  if (rc < 0) return rc;
  b->pos = next;
  if (b->ordered != b->pos.epoch) shuffle(b);
  for (int64_t i = 0; i < m; i++) pc_i64(*out)[i] = b->index[b->order[b->pos.cursor + i]];
  b->pos.cursor += m;
  return PC_OK;
}

int64_t pc_batches_per_epoch(const pc_batches *b) {
  return b->opts.keep_last ? (b->n + b->batch - 1) / b->batch : b->n / b->batch;
}
pc_batches_position pc_batches_tell(const pc_batches *b) { return b->pos; }

int pc_batches_seek(pc_batches *b, pc_batches_position pos) {
  if (pos.epoch < 0 || pos.epoch >= (int64_t)1 << 24 || pos.cursor < 0 || pos.cursor > b->n)
    return pc_fail(PC_EARG, "batches: position (epoch %lld, cursor %lld) is not one of these %lld indices",
                   (long long)pos.epoch, (long long)pos.cursor, (long long)b->n);
  b->pos = pos;
  b->ordered = -1;
  return PC_OK;
}
