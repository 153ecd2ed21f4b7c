/* adam.c: Adam on slots (Kingma & Ba 2015, beta 0.9, 0.999), one pass a step; see inverter.h. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "inverter/search.h"

#define PC_TEMPLATE "optim/adam.inc"
#include "base/float_types.inc"

/* One row's step; its moments lie together. */
#define STEP(T, name)                                                                            \
  static void step_##name(T *z, T *mv, const T *g, int64_t n, double lr, double c1, double c2) { \
    const adam_by_##name by = {.b1 = (T)0.9,                                                     \
                               .a1 = (T)0.1,                                                     \
                               .b2 = (T)0.999,                                                   \
                               .a2 = (T)0.001,                                                   \
                               .lr = (T)(lr / c1),                                               \
                               .rc2 = (T)(1 / sqrt(c2)),                                         \
                               .eps = (T)1e-8,                                                   \
                               .keep = 1};                                                       \
    adam_numbers_##name(z, mv, mv + n, g, n, by);                                                \
  }
STEP(float, f32)
STEP(double, f64)

static void stand(const pc_search *s, pc_chunk *c) { /* at = z of the live rows */
  const size_t w = pc_dtype_size(s->dtype) * (size_t)s->dim;
  for (int64_t k = 0; k < c->nlive; k++)
    memcpy((char *)pc_data(c->at) + (size_t)k * w, pc_search_row(s, c->z, c->live[k], s->dim), w);
}

int pc_search_adam(pc_search *s, pc_chunk *c) {
  void *moments = pc_calloc((size_t)(2 * c->n * s->dim), pc_dtype_size(s->dtype));
  int rc = moments ? PC_OK : PC_ENOMEM;
  for (int t = 0; rc == PC_OK && c->nlive && t <= s->o.steps; t++) { /* the last look takes no step */
    if ((rc = pc_search_begin(s, c)) < 0) break;
    stand(s, c);
    if ((rc = pc_search_look(s, c, t < s->o.steps ? PC_LOOK_GRAD : 0)) < 0) break;
    for (int64_t k = 0; k < c->nlive; k++) {
      int64_t r = c->live[k];
      pc_search_trace(s, c, r, t, c->loss[k]);
      if (t == s->o.steps) continue;
      void *z = pc_search_row(s, c->z, r, s->dim), *mv = pc_search_row(s, moments, r, 2 * s->dim);
      const void *g = pc_search_row(s, pc_data(c->grad), k, s->dim);
      double c1 = 1 - pow(0.9, t + 1), c2 = 1 - pow(0.999, t + 1);
      if (s->dtype == PC_F32)
        step_f32(z, mv, g, s->dim, s->o.lr, c1, c2);
      else
        step_f64(z, mv, g, s->dim, s->o.lr, c1, c2);
    }
    if (t < s->o.steps)
      pc_search_retire(s, c, t, NULL);
    else
      for (int64_t k = 0; k < c->nlive; k++) s->steps[c->from + c->live[k]] = t;
  }
  pc_free(moments);
  return rc;
}
