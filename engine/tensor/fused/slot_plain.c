/* slot_plain.c: slot attention as plain loops: what slot_attention.h says, and nothing else. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "tensor/fused/slot_impl.h"

/* One position of a problem, for all its images. */
typedef struct spot {
  double *h, *gh, *g; /* (dx), (dx), (all) */
  double rstd;
} spot;

static int spot_new(spot *t, const pc_slots *a) {
  t->h = pc_malloc(sizeof(double) * (size_t)(2 * a->dx + a->all + 1));
  if (!t->h) return PC_ENOMEM;
  t->gh = t->h + a->dx;
  t->g = t->gh + a->dx;
  return PC_OK;
}

#define PC_TEMPLATE "tensor/fused/slot_plain.inc"
#include "base/float_types.inc"

static int each(const pc_slots *a, void (*f)(spot *, const pc_slots *, int64_t, int64_t)) {
  spot t;
  if (spot_new(&t, a) < 0) return PC_ENOMEM;
  for (int64_t i = 0; i < a->problems * a->n; i++) f(&t, a, i / a->n, i % a->n);
  pc_free(t.h);
  return PC_OK;
}

int pc_slots_plain_forward(const pc_slots *a) { return each(a, a->d == PC_F32 ? forward_f32 : forward_f64); }
int pc_slots_plain_backward(const pc_slots *a) { return each(a, a->d == PC_F32 ? backward_f32 : backward_f64); }
