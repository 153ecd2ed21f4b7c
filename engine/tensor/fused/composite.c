#include "tensor/fused/composite.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cpu.h"
#include "base/parallel.h"
#include "base/vmath.h"

enum { BLOCK = 64 }; /* pixels at work: their masks stay in L1 */

typedef struct job {
  int64_t b, k, pixels, c;
  int sigmoid, ref, failed;
  const void *x, *masks, *g, *gm; /* g, gm may be NULL */
  void *image, *out;              /* out: masks forward, gx backward */
} job;

#define PC_TEMPLATE "tensor/fused/composite.inc"
#include "base/float_types.inc"

static int run(job *j, pc_dtype d) {
  int64_t tasks = j->b * ((j->pixels + BLOCK - 1) / BLOCK), work = BLOCK * j->k * (j->c + 1);
  j->ref = pc_cpu_tier() == PC_TIER_REF;
  if (j->k) pc_parallel_for(tasks, 32768 / (work ? work : 1) + 1, d == PC_F32 ? run_f32 : run_f64, j);
  return j->failed ? PC_ENOMEM : PC_OK;
}

static int setup(job *j, const pc_tensor *x, const pc_val *mode) {
  if (x->ndim != 5 || x->size[4] < 2)
    return pc_fail(PC_ESHAPE, "composite: x %s must be (B,K,H,W,C+1): colours and a mask's logit, for each slot",
                   pc_shape_str(x));
  *j = (job){.b = x->size[0], .k = x->size[1], .pixels = x->size[2] * x->size[3], .c = x->size[4] - 1};
  if (j->k < 1) return pc_fail(PC_ESHAPE, "composite: x %s has no slots", pc_shape_str(x));
  j->sigmoid = mode->set && mode->s && !strcmp(mode->s, "sigmoid");
  return PC_OK;
}

/* A contiguous copy of dtype d, or the tensor itself; NULL stays NULL. */
static int dense(pc_tensor **to, const pc_tensor *t, pc_dtype d) {
  pc_tensor *c = NULL;
  *to = NULL;
  if (!t) return PC_OK;
  int rc = pc_to_dtype(&c, t, d);
  if (rc == PC_OK) rc = pc_contiguous(to, c);
  pc_tensor_release(c);
  return rc;
}

int pc_fwd_composite(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_dtype d = pc_float_dtype(in[0], NULL);
  pc_tensor *x = NULL;
  const int64_t *s = in[0]->size;
  job j;
  int rc = setup(&j, in[0], v);
  out[0] = out[1] = NULL;
  if (rc < 0) return rc;
  if ((rc = dense(&x, in[0], d)) < 0 || (rc = pc_tensor_empty(&out[0], d, 4, (int64_t[]){s[0], s[2], s[3], j.c})) < 0 ||
      (rc = pc_tensor_empty(&out[1], d, 4, s)) < 0)
    goto done;
  j.x = pc_data(x);
  j.image = pc_data(out[0]);
  j.out = pc_data(out[1]);
  rc = run(&j, d);
done:
  pc_tensor_release(x);
  for (int i = 0; i < 2 && rc < 0; i++) {
    pc_tensor_release(out[i]);
    out[i] = NULL;
  }
  return rc;
}

int pc_fwd_composite_backward(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_dtype d = pc_float_dtype(in[2], NULL);
  pc_tensor *t[4] = {NULL};
  job j;
  int rc = setup(&j, in[2], v);
  *out = NULL;
  for (int i = 0; i < 4 && rc == PC_OK; i++) rc = dense(&t[i], in[i], d);
  if (rc == PC_OK) rc = pc_tensor_empty(out, d, 5, in[2]->size);
  if (rc == PC_OK) {
    j.g = t[0] ? pc_data(t[0]) : NULL;
    j.gm = t[1] ? pc_data(t[1]) : NULL;
    j.x = pc_data(t[2]);
    j.masks = pc_data(t[3]);
    j.out = pc_data(*out);
    rc = run(&j, d);
  }
  for (int i = 0; i < 4; i++) pc_tensor_release(t[i]);
  if (rc < 0) {
    pc_tensor_release(*out);
    *out = NULL;
  }
  return rc;
}
