/* slot_attention.c: the shape rule of slot attention and of its gradients; kernels: slot_plain.c, slot_host.c. */
#include "tensor/fused/slot_attention.h"
#include "tensor/fused/norm.h"

#include <string.h>

#include "tensor/backend.h"
#include "tensor/fused/slot_impl.h"
#include "tensor/tile.h"

static int check(pc_tensor *const *t, int nin) {
  const pc_tensor *x = t[PC_SLOT_X], *k = t[PC_SLOT_K], *v = t[PC_SLOT_V], *c = nin > PC_SLOT_C ? t[PC_SLOT_C] : NULL,
                  *bias = nin > PC_SLOT_BIAS ? t[PC_SLOT_BIAS] : NULL;
  if (x->ndim != 3 || k->ndim != 4 || v->ndim != 4)
    return pc_fail(PC_ESHAPE, "slot_attention: x %s, k %s, v %s must be (B,N,D), (B,H,M,D), (B,H,M,Dv)",
                   pc_shape_str(x), pc_shape_str(k), pc_shape_str(v));
  if (x->size[2] != k->size[3] || memcmp(k->size, v->size, 3 * sizeof(int64_t)) ||
      (x->size[0] != k->size[0] && x->size[0] != 1))
    return pc_fail(
        PC_ESHAPE,
        "slot_attention: x %s, k %s, v %s: x and k need the same width, k and v the same heads and keys, all the "
        "same batch (x may have batch 1)",
        pc_shape_str(x), pc_shape_str(k), pc_shape_str(v));
  if (k->size[2] < 1)
    return pc_fail(PC_ESHAPE, "slot_attention: k %s has no keys: softmax over nothing", pc_shape_str(k));
  if (c && (c->ndim != 3 || memcmp(c->size, k->size, 3 * sizeof(int64_t))))
    return pc_fail(PC_ESHAPE, "slot_attention: c %s must be (B,H,M), one number for each key of k %s", pc_shape_str(c),
                   pc_shape_str(k));
  if (bias && (bias->ndim != 1 || bias->size[0] != v->size[3]))
    return pc_fail(PC_ESHAPE, "slot_attention: bias %s must be (%lld): the width of v %s", pc_shape_str(bias),
                   (long long)v->size[3], pc_shape_str(v));
  return PC_OK;
}

static int setup(pc_slots *a, pc_tensor *const *t, int nin, const pc_val *val) {
  const pc_tensor *x = t[PC_SLOT_X], *k = t[PC_SLOT_K], *v = t[PC_SLOT_V];
  int rc = check(t, nin);
  if (rc < 0) return rc;
  int shared = x->size[0] == 1;
  pc_dtype d = pc_dtype_promote(pc_dtype_promote(x->dtype, k->dtype), v->dtype);
  *a = (pc_slots){.d = pc_dtype_is_float(d) ? d : PC_F32,
                  .problems = shared ? 1 : k->size[0],
                  .images = shared ? k->size[0] : 1,
                  .n = x->size[1],
                  .h = k->size[1],
                  .m = k->size[2],
                  .dx = x->size[2],
                  .dv = v->size[3],
                  .norm = val[PC_SLOT_NORM].i != 0,
                  .residual = val[PC_SLOT_RESIDUAL].i != 0,
                  .eps = val[PC_SLOT_EPS].set ? val[PC_SLOT_EPS].d : PC_NORM_EPS};
  a->es = pc_dtype_size(a->d);
  a->keys = a->h * a->m;
  a->all = a->images * a->keys;
  if (a->residual && a->dx != a->dv)
    return pc_fail(PC_ESHAPE, "slot_attention: x %s goes around the attention, so v %s must be as wide",
                   pc_shape_str(x), pc_shape_str(v));
  return PC_OK;
}

static void point(pc_slots *a, pc_tensor *const *t) {
  a->x = pc_data(t[PC_SLOT_X]);
  a->k = pc_data(t[PC_SLOT_K]);
  a->v = pc_data(t[PC_SLOT_V]);
  a->c = pc_data_or_null(t[PC_SLOT_C]);
  a->bias = pc_data_or_null(t[PC_SLOT_BIAS]);
}

/* Weights as they lie, (B,N,H,M) or (N,B,H,M), seen as (B,H,N,M); and back. */
static int turn_weights(pc_tensor **out, const pc_tensor *w, int shared, int back) {
  static const int order[2][2][4] = {{{0, 2, 1, 3}, {0, 2, 1, 3}}, {{1, 2, 0, 3}, {2, 0, 1, 3}}};
  return pc_view_permute(out, w, (int *)order[shared][back]);
}

int pc_fwd_slot_attention(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *t[PC_SLOT_INPUTS] = {NULL}, *w = NULL;
  pc_slots a;
  out[0] = out[1] = NULL;
  int rc = setup(&a, in, nin, v);
  if (rc < 0) return rc;
  int64_t b = a.problems * a.images, one[4] = {b, a.n, a.h, a.m}, all[4] = {a.n, b, a.h, a.m};
  int shared = a.problems == 1 && a.images != 1;
  if ((rc = pc_take(t, in, nin, a.d)) < 0 || (rc = pc_tensor_empty(&out[0], a.d, 3, (int64_t[]){b, a.n, a.dv})) < 0 ||
      (rc = pc_tensor_empty(&w, a.d, 4, shared ? all : one)) < 0)
    goto done;
  point(&a, t);
  a.out = pc_data(out[0]);
  a.w = pc_data(w);
  if (pc_numel(out[0]) || pc_numel(w)) rc = pc_kernels_now()->slots_forward(&a);
  if (rc == PC_OK) rc = turn_weights(&out[1], w, shared, 0);
done:
  pc_drop(t, PC_SLOT_INPUTS);
  pc_tensor_release(w);
  if (rc < 0) pc_drop(out, 2);
  return rc;
}

/* The gradients that are wanted, and where they go. */
static int make_grads(pc_tensor **out, pc_slots *a, pc_tensor *const *in, int nin, uint64_t need) {
  int some = a->problems * a->n > 0;
  for (int i = 0; i < nin; i++) {
    if (!in[i] || !(need >> i & 1)) continue;
    int rc = (some ? pc_tensor_empty : pc_tensor_zeros)(&out[i], a->d, in[i]->ndim, in[i]->size);
    if (rc < 0) return rc;
  }
  char **to[] = {&a->gx, &a->gk, &a->gv, &a->gc, &a->gbias};
  for (int i = 0; i < nin; i++) *to[i] = pc_data_or_null(out[i]);
  return PC_OK;
}

/* The weights, or their gradient, the way the kernels want them. */
static int take_weights(pc_tensor **to, pc_tensor *w, const pc_slots *a) {
  pc_tensor *v;
  if (!w) return PC_OK;
  int rc = turn_weights(&v, w, a->problems == 1 && a->images != 1, 1);
  if (rc < 0) return rc;
  rc = pc_take(to, &v, 1, a->d);
  pc_tensor_release(v);
  return rc;
}

int pc_fwd_slot_attention_backward(pc_tensor **out, pc_tensor *const *all, int nall, const pc_val *v) {
  pc_tensor *const *in = all + 3, *gout = all[0], *gw = all[1], *w = all[2];
  int nin = nall - 3;
  uint64_t need = (uint64_t)v[PC_SLOT_NEED].i;
  pc_tensor *t[PC_SLOT_INPUTS] = {NULL}, *g[3] = {NULL};
  pc_slots a;
  for (int i = 0; i < nin; i++) out[i] = NULL;
  int rc = setup(&a, in, nin, v);
  if (rc < 0) return rc;
  if ((rc = pc_take(t, in, nin, a.d)) < 0 || (rc = pc_take(&g[0], &gout, 1, a.d)) < 0 ||
      (rc = take_weights(&g[1], gw, &a)) < 0 || (rc = take_weights(&g[2], w, &a)) < 0)
    goto done;
  if ((rc = make_grads(out, &a, in, nin, need)) < 0) goto done;
  point(&a, t);
  a.gout = pc_data_or_null(g[0]);
  a.gw = pc_data_or_null(g[1]);
  a.w = pc_data(g[2]);
  if (a.problems > 0 && a.n > 0) rc = pc_kernels_now()->slots_backward(&a);
done:
  pc_drop(t, PC_SLOT_INPUTS);
  pc_drop(g, 3);
  if (rc < 0) pc_drop(out, nin);
  return rc;
}
