#include "tensor/fused/composite.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "base/vmath.h"
#include "tensor/backend.h"
#include "tensor/fused/calls.h"
#include "tensor/tile.h"

enum { BLOCK = 64 }; /* pixels at work: their masks stay in L1 */

typedef pc_composite job;

#define PC_TEMPLATE "tensor/fused/composite.inc"
#include "base/float_types.inc"

static int run(pc_composite *j, int plain) {
  int64_t tasks = j->b * ((j->pixels + BLOCK - 1) / BLOCK), work = BLOCK * j->k * (j->c + 1);
  j->plain = plain;
  if (j->k) pc_parallel_for(tasks, 32768 / (work ? work : 1) + 1, j->d == PC_F32 ? run_f32 : run_f64, j);
  return j->failed ? PC_ENOMEM : PC_OK;
}
int pc_ref_composite(pc_composite *j) { return run(j, 1); }
int pc_host_composite(pc_composite *j) { return run(j, 0); } /* exponentials of a block at once */

/* ---- ops ---- */

static int setup(job *j, const pc_tensor *x, const pc_val *mode) {
  if (x->ndim != 5 || x->size[4] < 2)
    return pc_fail(PC_ESHAPE, "composite: x %s must be (B,K,H,W,C+1): colours and a mask's logit, for each slot",
                   pc_shape_str(x));
  *j = (job){.d = pc_float_dtype(x, NULL),
             .b = x->size[0],
             .k = x->size[1],
             .pixels = x->size[2] * x->size[3],
             .c = x->size[4] - 1};
  if (j->k < 1) return pc_fail(PC_ESHAPE, "composite: x %s has no slots", pc_shape_str(x));
  j->sigmoid = mode->set && mode->s && !strcmp(mode->s, "sigmoid");
  return PC_OK;
}

int pc_fwd_composite(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *x = NULL;
  const int64_t *s = in[0]->size;
  job j;
  int rc = setup(&j, in[0], v);
  out[0] = out[1] = NULL;
  if (rc < 0) return rc;
  if ((rc = pc_take(&x, in, 1, j.d)) < 0 ||
      (rc = pc_tensor_empty(&out[0], j.d, 4, (int64_t[]){s[0], s[2], s[3], j.c})) < 0 ||
      (rc = pc_tensor_empty(&out[1], j.d, 4, s)) < 0)
    goto done;
  j.x = pc_data(x);
  j.image = pc_data(out[0]);
  j.out = pc_data(out[1]);
  rc = pc_kernels_now()->composite(&j);
done:
  pc_tensor_release(x);
  if (rc < 0) pc_drop(out, 2);
  return rc;
}

int pc_fwd_composite_backward(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *t[4] = {NULL};
  job j;
  int rc = setup(&j, in[2], v);
  *out = NULL;
  if (rc == PC_OK) rc = pc_take(t, in, 4, j.d);
  if (rc == PC_OK) rc = pc_tensor_empty(out, j.d, 5, in[2]->size);
  if (rc == PC_OK) {
    j.g = pc_data_or_null(t[0]);
    j.gm = pc_data_or_null(t[1]);
    j.x = pc_data(t[2]);
    j.masks = pc_data(t[3]);
    j.out = pc_data(*out);
    rc = pc_kernels_now()->composite(&j);
  }
  pc_drop(t, 4);
  if (rc < 0) pc_drop(out, 1);
  return rc;
}
