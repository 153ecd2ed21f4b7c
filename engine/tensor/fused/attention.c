#include "tensor/fused/attention.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "base/vmath.h"
#include "tensor/backend.h"
#include "tensor/fused/calls.h"
#include "tensor/gemm/gemm.h"
#include "tensor/tile.h"

enum { PARTS = 4 };

typedef pc_attention attn;

/* ---- softmax of short rows ---- */

#define PC_TEMPLATE "tensor/fused/attention_softmax.inc"
#include "base/float_types.inc"

static void softmax(const attn *a, void *x, int64_t rows) {
  if (!rows || !a->m) return;
  if (a->d == PC_F32)
    softmax_f32(x, rows, a->m);
  else
    softmax_f64(x, rows, a->m);
}

static void softmax_grad(const attn *a, void *g, const void *w, int64_t rows) {
  if (a->d == PC_F32)
    softmax_grad_f32(g, w, rows, a->m, a->scale);
  else
    softmax_grad_f64(g, w, rows, a->m, a->scale);
}

/* ---- one problem: image b, head h ---- */

static char *at(const char *p, size_t es, int64_t elements) { return (char *)p + (int64_t)es * elements; }
static char *q_of(const attn *a, const char *q, int64_t b, int64_t p) {
  return at(q, a->es, (a->shared ? 0 : b) * a->n * a->dq + p * a->e);
}
/* keys: (B,M,d) with heads side by side */
static char *k_of(const attn *a, const char *k, int64_t b, int64_t p) {
  return at(k, a->es, b * a->keys * a->dq + p * a->e);
}
static char *v_of(const attn *a, const char *v, int64_t b, int64_t p) {
  return at(v, a->es, b * a->keys * a->dv + p * a->ev);
}
static char *out_of(const attn *a, const char *o, int64_t b, int64_t p) {
  return at(o, a->es, b * a->n * a->dv + p * a->ev);
}
static char *w_of(const attn *a, const char *w, int64_t b, int64_t p) {
  return at(w, a->es, (b * a->problems + p) * a->n * a->keys);
}

/* Weights of rows [r, r + rows) of a problem. */
static void weigh(const attn *a, int64_t b, int64_t p, int64_t r, int64_t rows, char *w) {
  pc_mat q = PC_ROWS(at(q_of(a, a->q, b, p), a->es, r * a->dq), a->dq);
  pc_gemm(a->d, rows, a->keys, a->e, a->scale, q, PC_COLS(k_of(a, a->k, b, p), a->dq), 0, PC_ROWS(w, a->keys));
  softmax(a, w, rows);
}

static void forward(int64_t begin, int64_t end, void *ctx) {
  const attn *a = ctx;
  int64_t tile = pc_tile_rows(a->n, (int64_t)a->es * (a->e + a->ev + a->keys));
  for (int64_t i = begin; i < end; i++) {
    int64_t b = i / a->problems, p = i % a->problems;
    pc_mat v = PC_ROWS(v_of(a, a->v, b, p), a->dv);
    for (int64_t r = 0; r < a->n; r += tile) {
      int64_t rows = a->n - r < tile ? a->n - r : tile;
      char *w = at(w_of(a, a->w, b, p), a->es, r * a->keys);
      pc_mat o = PC_ROWS(at(out_of(a, a->out, b, p), a->es, r * a->dv), a->dv);
      weigh(a, b, p, r, rows, w);
      pc_gemm(a->d, rows, a->ev, a->keys, 1, PC_ROWS(w, a->keys), v, 0, o);
    }
  }
}

/* Adds problem (b,p)'s part; first: gq is set, not added to. gs: (2, tile, keys). */
static void backward_one(const attn *a, char *gs, int64_t tile, int64_t b, int64_t p, int first) {
  pc_mat k = PC_ROWS(k_of(a, a->k, b, p), a->dq), vt = PC_COLS(v_of(a, a->v, b, p), a->dv);
  for (int64_t r = 0; r < a->n; r += tile) {
    int64_t rows = a->n - r < tile ? a->n - r : tile;
    char *w = a->w ? at(w_of(a, a->w, b, p), a->es, r * a->keys) : at(gs, a->es, tile * a->keys), *go = NULL;
    pc_mat s = PC_ROWS(gs, a->keys), q = PC_ROWS(at(q_of(a, a->q, b, p), a->es, r * a->dq), a->dq);
    if (!a->w) weigh(a, b, p, r, rows, w);
    if (a->gw) memcpy(gs, at(w_of(a, a->gw, b, p), a->es, r * a->keys), (size_t)(rows * a->keys) * a->es);
    if (a->gout) {
      go = at(out_of(a, a->gout, b, p), a->es, r * a->dv);
      pc_gemm(a->d, rows, a->keys, a->ev, 1, PC_ROWS(go, a->dv), vt, a->gw != NULL, s);
      pc_gemm(a->d, a->keys, a->ev, rows, 1, PC_COLS(w, a->keys), PC_ROWS(go, a->dv), r > 0,
              PC_ROWS(v_of(a, a->gv, b, p), a->dv));
    }
    softmax_grad(a, gs, w, rows);
    if (a->gq)
      pc_gemm(a->d, rows, a->e, a->keys, 1, s, k, !first, PC_ROWS(at(q_of(a, a->gq, b, p), a->es, r * a->dq), a->dq));
    pc_gemm(a->d, a->keys, a->e, rows, 1, PC_COLS(gs, a->keys), q, r > 0, PC_ROWS(k_of(a, a->gk, b, p), a->dq));
  }
}

/* A shared q collects the gradients of all images: then a task is a head and a run of
 * images in order, with a gq of its own. */
static void backward(int64_t begin, int64_t end, void *ctx) {
  attn *a = ctx, mine = *a;
  int64_t tile = pc_tile_rows(a->n, (int64_t)a->es * (a->e + a->ev + 2 * a->keys));
  char *gs = pc_malloc((size_t)(2 * tile * a->keys) * a->es);
  if (!gs) {
    __atomic_store_n(&a->failed, 1, __ATOMIC_RELAXED);
    return;
  }
  for (int64_t i = begin; i < end; i++) {
    int64_t p = i % a->problems, part = i / a->problems;
    if (!a->shared) {
      backward_one(a, gs, tile, part, p, 1);
      continue;
    }
    int64_t first = part * a->b / a->parts, stop = (part + 1) * a->b / a->parts;
    mine.gq = at(a->gq, a->es, part * a->n * a->dq);
    for (int64_t b = first; b < stop; b++) backward_one(&mine, gs, tile, b, p, b == first);
  }
  pc_free(gs);
}

static int backward_shared(attn *a) {
  int64_t n = a->n * a->dq;
  char *gq = a->gq;
  a->parts = a->b < PARTS ? a->b : PARTS;
  if (!(a->gq = pc_malloc((size_t)(a->parts * n) * a->es))) return PC_ENOMEM;
  pc_parallel_for(a->parts * a->problems, 1, backward, a);
  pc_tile_fold(a->d, gq, a->gq, a->parts, n);
  pc_free(a->gq);
  a->gq = gq;
  return a->failed ? PC_ENOMEM : PC_OK;
}

/* ---- plain loops ---- */

#define PC_TEMPLATE "tensor/fused/attention_plain.inc"
#include "base/float_types.inc"

/* ---- running ---- */

static int64_t grain_of(const attn *a, double flops) {
  int64_t tasks = a->b * a->problems;
  return flops * (double)(tasks * a->n) * (double)(a->keys * (a->e + a->ev)) < 1e6 ? tasks : tasks / 16 + 1;
}

int pc_ref_attention_forward(attn *a) {
  (a->d == PC_F32 ? plain_forward_f32 : plain_forward_f64)(a);
  return PC_OK;
}

int pc_host_attention_forward(attn *a) {
  pc_parallel_for(a->b * a->problems, grain_of(a, 2), forward, a);
  return PC_OK;
}

int pc_ref_attention_backward(attn *a) {
  char *w = a->w ? NULL : pc_malloc((size_t)(a->b * a->problems * a->n * a->keys) * a->es);
  double *gs = pc_malloc(sizeof *gs * (size_t)(a->keys + 1));
  int rc = gs && (a->w || w) ? PC_OK : PC_ENOMEM;
  memset(a->gq, 0, (size_t)((a->shared ? 1 : a->b) * a->n * a->dq) * a->es); /* the loops add */
  memset(a->gk, 0, (size_t)(a->b * a->keys * a->dq) * a->es);
  memset(a->gv, 0, (size_t)(a->b * a->keys * a->dv) * a->es);
  if (rc == PC_OK && w) {
    a->w = w;
    (a->d == PC_F32 ? plain_weights_f32 : plain_weights_f64)(a);
  }
  if (rc == PC_OK) (a->d == PC_F32 ? plain_backward_f32 : plain_backward_f64)(a, gs);
  pc_free(gs);
  pc_free(w);
  return rc;
}

int pc_host_attention_backward(attn *a) {
  if (a->shared) return backward_shared(a);
  pc_parallel_for(a->b * a->problems, grain_of(a, 6), backward, a);
  return a->failed ? PC_ENOMEM : PC_OK;
}

/* ---- arguments ---- */

enum { MAX_OPERANDS = 6 };

static pc_dtype common(pc_tensor *const *t) { /* q, k, v */
  pc_dtype d = pc_dtype_promote(pc_dtype_promote(t[0]->dtype, t[1]->dtype), t[2]->dtype);
  return pc_dtype_is_float(d) ? d : PC_F32;
}

static int setup(attn *a, pc_tensor *const *t, const pc_val *v) {
  const pc_tensor *q = t[0], *k = t[1], *val = t[2];
  int64_t h = v[0].set ? v[0].i : 1;
  if (q->ndim != 3 || k->ndim != 3 || val->ndim != 3)
    return pc_fail(PC_ESHAPE, "attention: q %s, k %s, v %s must be (B,N,d), (B,M,d), (B,M,dv)", pc_shape_str(q),
                   pc_shape_str(k), pc_shape_str(val));
  if (q->size[2] != k->size[2] || k->size[1] != val->size[1] || k->size[0] != val->size[0] ||
      (q->size[0] != k->size[0] && q->size[0] != 1))
    return pc_fail(
        PC_ESHAPE,
        "attention: q %s, k %s, v %s: q and k need the same width, k and v the same keys, all the same batch (q "
        "may have batch 1)",
        pc_shape_str(q), pc_shape_str(k), pc_shape_str(val));
  if (h < 1 || q->size[2] % h || val->size[2] % h)
    return pc_fail(PC_EARG, "attention: heads = %lld must divide the width of q %s and of v %s", (long long)h,
                   pc_shape_str(q), pc_shape_str(val));
  if (k->size[1] < 1) return pc_fail(PC_ESHAPE, "attention: k %s has no keys: softmax over nothing", pc_shape_str(k));
  *a = (attn){.b = k->size[0],
              .h = h,
              .n = q->size[1],
              .m = k->size[1],
              .e = q->size[2] / h,
              .ev = val->size[2] / h,
              .problems = h,
              .keys = k->size[1],
              .dq = q->size[2],
              .dv = val->size[2],
              .shared = q->size[0] == 1 && k->size[0] != 1};
  a->scale = v[1].set ? v[1].d : a->e ? 1 / sqrt((double)a->e) : 1;
  return PC_OK;
}

static void set_dtype(attn *a, pc_dtype d) {
  a->d = d;
  a->es = pc_dtype_size(d);
}

static int do_forward(attn *a, pc_tensor **out, pc_tensor *const *in, const int64_t *wsize) {
  pc_tensor *t[3] = {NULL};
  int rc;
  set_dtype(a, common(in));
  out[0] = out[1] = NULL;
  if ((rc = pc_take(t, in, 3, a->d)) < 0 ||
      (rc = pc_tensor_empty(&out[0], a->d, 3, (int64_t[]){a->b, a->n, a->dv})) < 0 ||
      (rc = pc_tensor_empty(&out[1], a->d, 4, wsize)) < 0)
    goto done;
  a->q = pc_data(t[0]);
  a->k = pc_data(t[1]);
  a->v = pc_data(t[2]);
  a->out = pc_data(out[0]);
  a->w = pc_data(out[1]);
  if (!a->keys) memset(a->out, 0, (size_t)pc_numel(out[0]) * a->es);
  if (pc_numel(out[1])) rc = pc_kernels_now()->attention_forward(a);
done:
  pc_drop(t, 3);
  if (rc < 0) pc_drop(out, 2);
  return rc;
}

/* in: gout?, gw?, q, k, v, w? */
static int do_backward(attn *a, pc_tensor **out, pc_tensor *const *in) {
  pc_tensor *t[MAX_OPERANDS] = {NULL};
  int rc;
  set_dtype(a, common(in + 2));
  for (int i = 0; i < 3; i++) out[i] = NULL;
  if ((rc = pc_take(t, in, MAX_OPERANDS, a->d)) < 0) goto done;
  for (int i = 0; i < 3; i++)
    if ((rc = pc_tensor_empty(&out[i], a->d, in[2 + i]->ndim, in[2 + i]->size)) < 0) goto done;
  a->gout = pc_data_or_null(t[0]);
  a->gw = pc_data_or_null(t[1]);
  a->q = pc_data(t[2]);
  a->k = pc_data(t[3]);
  a->v = pc_data(t[4]);
  a->w = pc_data_or_null(t[5]);
  a->gq = pc_data(out[0]);
  a->gk = pc_data(out[1]);
  a->gv = pc_data(out[2]);
  int empty = a->b * a->problems * a->n * a->keys == 0;
  for (int i = 0; i < 3; i++) /* nothing reaches v without gout */
    if (empty || (i == 2 && !a->gout)) memset(pc_data(out[i]), 0, (size_t)pc_numel(out[i]) * a->es);
  if (!empty && (a->gout || a->gw)) rc = pc_kernels_now()->attention_backward(a);
done:
  pc_drop(t, MAX_OPERANDS);
  if (rc < 0) pc_drop(out, 3);
  return rc;
}

int pc_fwd_attention(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  attn a;
  int rc = setup(&a, in, v);
  return rc < 0 ? rc : do_forward(&a, out, in, (int64_t[]){a.b, a.h, a.n, a.m});
}

int pc_fwd_attention_backward(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  attn a;
  int rc = setup(&a, in + 2, v);
  return rc < 0 ? rc : do_backward(&a, out, in);
}
