/* slot_plain.c: slot attention as plain loops: what slot_attention.h says, and nothing else. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "tensor/backend.h"
#include "tensor/fused/slot_impl.h"
#include "tensor/tile.h"

/* One position of a problem, for all its images. */
typedef struct spot {
  double *h, *gh, *g; /* (dx), (dx), (all) */
  char *bias;         /* what the problem adds to its gradient */
  double rstd;
} spot;

static int spot_new(spot *t, const pc_slots *a) {
  t->h = pc_malloc(sizeof(double) * (size_t)(2 * a->dx + a->all + a->dv + 1));
  if (!t->h) return PC_ENOMEM;
  t->gh = t->h + a->dx;
  t->g = t->gh + a->dx;
  t->bias = (char *)(t->g + a->all);
  return PC_OK;
}

#define PC_TEMPLATE "tensor/fused/slot_plain.inc"
#include "base/float_types.inc"

static int each(const pc_slots *a, void (*f)(spot *, const pc_slots *, int64_t, int64_t)) {
  spot t;
  if (spot_new(&t, a) < 0) return PC_ENOMEM;
  for (int64_t p = 0; p < a->problems; p++) {
    memset(t.bias, 0, (size_t)a->dv * a->es);
    for (int64_t n = 0; n < a->n; n++) f(&t, a, p, n);
    if (a->gbias) pc_tile_add(a->d, a->gbias, t.bias, a->dv);
  }
  pc_free(t.h);
  return PC_OK;
}

int pc_ref_slots_forward(pc_slots *a) { return each(a, a->d == PC_F32 ? forward_f32 : forward_f64); }

static void clear(const pc_slots *a, char *sum, int64_t n) {
  if (sum) memset(sum, 0, (size_t)n * a->es);
}

int pc_ref_slots_backward(pc_slots *a) {
  clear(a, a->gk, a->problems * a->all * a->dx);
  clear(a, a->gv, a->problems * a->all * a->dv);
  clear(a, a->gc, a->problems * a->all);
  clear(a, a->gbias, a->dv);
  return each(a, a->d == PC_F32 ? backward_f32 : backward_f64);
}
