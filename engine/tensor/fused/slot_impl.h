/* slot_impl.h: one call of the slot attention kernels; shared by slot_attention.c and its plain
 * loops, slot_plain.c. A problem is what shares rows of x: one image each, or all images when x
 * has batch 1. All arrays are contiguous and of dtype d; w lies as (problem, N, image, H, M).
 */
#ifndef PC_TENSOR_SLOT_IMPL_H
#define PC_TENSOR_SLOT_IMPL_H

#include "tensor/gemm/gemm.h"
#include "tensor/fused/slot_attention.h"

typedef struct pc_slots {
  pc_dtype d;
  size_t es;
  int64_t problems, images; /* images a problem */
  int64_t n, h, m, dx, dv;
  int64_t keys;   /* H M: columns an image */
  int64_t all;    /* images · keys: columns of a problem */
  int64_t padded; /* the same in whole vectors: what a row of scores takes in a tile */
  int norm, residual;
  double eps;
  const char *x, *k, *v, *c, *bias;
  char *out, *w;

  /* backward */
  const char *gout, *gw; /* or NULL; gw lies as w */
  char *gx;              /* or NULL, as the next four */
  int need_k, need_v, need_c, need_bias;
  /* sums over the rows of a chunk: gk (all,dx), gv (all,dv), gc (all), gbias (dv) */
  int64_t at_v, at_c, at_bias, sums;
  char *sum; /* (problems, chunks, sums) */

  int64_t tile, chunk_rows, chunks; /* chunks a problem: runs of tiles that are a task */
  pc_packed *pk, *pv;               /* of each problem, of each image; what they hold differs by direction */
  int failed;
} pc_slots;

static inline char *pc_slots_at(const pc_slots *a, const void *p, int64_t elements) {
  return (char *)p + (int64_t)a->es * elements;
}

/* The reference: position by position, sums in double; backward into sum with one chunk, which is zero. */
int pc_slots_plain_forward(const pc_slots *a);
int pc_slots_plain_backward(const pc_slots *a);

#endif
