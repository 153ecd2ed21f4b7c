/* slot_impl.h: one call of the slot attention kernels (tensor/backend.h). A problem is what shares rows of x: one image
 * each, or all images when x has batch 1. All arrays are contiguous and of dtype d; w lies as (problem, N, image, H,
 * M).
 */
#ifndef PC_TENSOR_SLOT_IMPL_H
#define PC_TENSOR_SLOT_IMPL_H

#include "tensor/fused/slot_attention.h"

typedef struct pc_slots {
  pc_dtype d;
  size_t es;
  int64_t problems, images; /* images a problem */
  int64_t n, h, m, dx, dv;
  int64_t keys; /* H M: columns an image */
  int64_t all;  /* images · keys: columns of a problem */
  int norm, residual;
  double eps;
  const char *x, *k, *v, *c, *bias;
  char *out, *w;

  /* backward; what is NULL is not wanted */
  const char *gout, *gw; /* or NULL; gw lies as w */
  char *gx, *gk, *gv, *gc, *gbias;
} pc_slots;

static inline char *pc_slots_at(const pc_slots *a, const void *p, int64_t elements) {
  return (char *)p + (int64_t)a->es * elements;
}

#endif
