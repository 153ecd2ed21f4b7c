#include "tensor/fused/qkv.h"

#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "tensor/backend.h"
#include "tensor/fused/calls.h"
#include "tensor/fused/norm.h"
#include "tensor/fused/parts.h"
#include "tensor/gemm/gemm.h"
#include "tensor/tile.h"

enum {
  TILE_BYTES = 256 << 10, /* of what a tile writes */
  PARTS = 64              /* of the sums over rows, at most */
};

/* A call, and how it is gone about. */
typedef struct plan {
  const pc_qkv *k;
  pc_parts parts;
  pc_packed packed[PC_QKV]; /* W_i' forward, W_i backward */
  char *h;                  /* (rows, width) or NULL: not wanted */
  int64_t at_b[PC_QKV], at_norm;
} plan;

static char *at(const pc_qkv *k, const void *p, int64_t elements) { return (char *)p + (int64_t)k->es * elements; }

/* ---- a tile ---- */

static void tile_forward(void *ctx, int64_t problem, int64_t r, int64_t rows, char *buf, char *sum) {
  const plan *w = ctx;
  const pc_qkv *k = w->k;
  char *h = at(k, k->x, r * k->width);
  if (k->norm) {
    pc_norm_rows(k->d, rows, k->width, k->eps, h, k->gamma, k->beta, buf);
    h = buf;
  }
  for (int i = 0; i < PC_QKV; i++)
    pc_gemm_packed(rows, PC_ROWS(h, k->width), &w->packed[i], k->b[i], 0,
                   pc_far(PC_ROWS(at(k, k->y[i], r * k->to[i]), k->to[i]), 1));
}

static void tile_backward(void *ctx, int64_t problem, int64_t r, int64_t rows, char *buf, char *sum) {
  const plan *w = ctx;
  const pc_qkv *k = w->k;
  const char *x = at(k, k->x, r * k->width);
  int wants_norm = k->ggamma || k->gbeta;
  if (k->gx || wants_norm) {
    char *gx = k->gx ? at(k, k->gx, r * k->width) : at(k, buf, w->parts.tile * k->width), *g = k->norm ? buf : gx;
    for (int i = 0; i < PC_QKV; i++)
      pc_gemm_packed(rows, pc_far(PC_ROWS(at(k, k->gy[i], r * k->to[i]), k->to[i]), 1), &w->packed[i], NULL, i > 0,
                     PC_ROWS(g, k->width));
    char *gw = wants_norm ? at(k, sum, w->at_norm) : NULL;
    if (k->norm)
      pc_norm_rows_backward(k->d, rows, k->width, k->eps, g, x, k->gamma, gx, gw, gw ? at(k, gw, k->width) : NULL);
  }
  for (int i = 0; i < PC_QKV; i++)
    if (k->gb[i])
      pc_tile_columns(k->d, at(k, sum, w->at_b[i]), at(k, k->gy[i], r * k->to[i]), rows, k->to[i], k->to[i]);
  if (k->norm && w->h) pc_norm_rows(k->d, rows, k->width, k->eps, x, k->gamma, k->beta, at(k, w->h, r * k->width));
}

/* ---- kernels: one code for all backends, over products that have their own ---- */

static void start(plan *w, const pc_qkv *k) {
  int64_t bytes = (k->width + k->to[0] + k->to[1] + k->to[2]) * (int64_t)k->es + 1;
  *w = (plan){.k = k, .parts = {.d = k->d, .rows = k->rows}};
  w->parts.tile = pc_parts_tile(k->rows, bytes, TILE_BYTES);
  pc_parts_cut(&w->parts, PARTS);
}

static int run(plan *w, pc_tile_fn *tile) {
  const pc_qkv *k = w->k;
  double flops = 2.0 * (double)k->rows * (double)(k->width * (k->to[0] + k->to[1] + k->to[2]));
  int64_t parts = w->parts.parts;
  return pc_parts_run(&w->parts, 0, parts, flops < PC_SERIAL_FLOPS ? parts : 1,
                      (size_t)(2 * w->parts.tile * k->width) * k->es, tile, w);
}

static void finish(plan *w) {
  for (int i = 0; i < PC_QKV; i++) pc_pack_free(&w->packed[i]);
  pc_free(w->parts.sum);
  pc_free(w->h);
}

int pc_ref_qkv_forward(pc_qkv *k) {
  plan w;
  int rc = PC_OK;
  start(&w, k);
  for (int i = 0; i < PC_QKV && rc == PC_OK; i++)
    rc = pc_pack(&w.packed[i], k->d, k->width, k->to[i], PC_COLS((char *)k->w[i], k->width));
  if (rc == PC_OK) rc = run(&w, tile_forward);
  finish(&w);
  return rc;
}

static void plan_sums(plan *w) {
  const pc_qkv *k = w->k;
  for (int i = 0; i < PC_QKV; i++) {
    w->at_b[i] = w->parts.sums;
    if (k->gb[i]) w->parts.sums += k->to[i];
  }
  w->at_norm = w->parts.sums;
  if (k->ggamma || k->gbeta) w->parts.sums += 2 * k->width;
}

static int hand_out(const plan *w) {
  const pc_qkv *k = w->k;
  const pc_parts *p = &w->parts;
  int rc = PC_OK;
  if (k->ggamma) pc_parts_fold(p, 0, p->parts, w->at_norm, k->width, k->ggamma);
  if (k->gbeta) pc_parts_fold(p, 0, p->parts, w->at_norm + k->width, k->width, k->gbeta);
  for (int i = 0; i < PC_QKV && rc == PC_OK; i++) {
    if (k->gb[i]) pc_parts_fold(p, 0, p->parts, w->at_b[i], k->to[i], k->gb[i]);
    if (!k->gw[i]) continue;
    rc = pc_gemm_many(&(pc_gemm_job){.d = k->d,
                                     .batch = 1,
                                     .m = k->to[i],
                                     .n = k->width,
                                     .k = k->rows,
                                     .alpha = 1,
                                     .a = PC_COLS((char *)k->gy[i], k->to[i]),
                                     .b = PC_ROWS(k->norm ? w->h : (char *)k->x, k->width),
                                     .c = PC_ROWS(k->gw[i], k->width)});
  }
  return rc;
}

int pc_ref_qkv_backward(pc_qkv *k) {
  plan w;
  start(&w, k);
  plan_sums(&w);
  int rc = pc_parts_sums(&w.parts, 1), wants_h = k->norm && (k->gw[0] || k->gw[1] || k->gw[2]);
  if (rc == PC_OK && wants_h && !(w.h = pc_malloc((size_t)(k->rows * k->width) * k->es + 1))) rc = PC_ENOMEM;
  for (int i = 0; i < PC_QKV && rc == PC_OK; i++)
    rc = pc_pack(&w.packed[i], k->d, k->to[i], k->width, PC_ROWS((char *)k->w[i], k->width));
  if (rc == PC_OK) rc = run(&w, tile_backward);
  if (rc == PC_OK) rc = hand_out(&w);
  finish(&w);
  return rc;
}

/* ---- arguments ---- */

static int check(pc_tensor *const *in, int norm) {
  const pc_tensor *x = in[PC_QKV_X];
  if (!x->ndim) return pc_fail(PC_ESHAPE, "qkv: x %s must be (...,in)", pc_shape_str(x));
  int64_t width = x->size[x->ndim - 1];
  for (int i = 1; i < PC_QKV_INPUTS; i++) {
    const pc_tensor *t = in[i], *w = in[i < PC_QKV_W ? i : i - (i - PC_QKV_W) % 2];
    int is_weight = i >= PC_QKV_W && w == t;
    int64_t want = i < PC_QKV_W ? width : w ? w->size[0] : 0;
    if (is_weight && (!t || t->ndim != 2 || t->size[1] != width))
      return pc_fail(PC_ESHAPE, "qkv: weight %s must be (out,%lld): x is %s", t ? pc_shape_str(t) : "none",
                     (long long)width, pc_shape_str(x));
    if (!is_weight && t && (t->ndim != 1 || t->size[0] != want))
      return pc_fail(PC_ESHAPE, "qkv: %s %s must be (%lld)", i < PC_QKV_W ? "the norm's weight or bias" : "a bias",
                     pc_shape_str(t), (long long)want);
    if (!norm && t && i < PC_QKV_W) return pc_fail(PC_EARG, "qkv: a norm's weight or bias without a norm");
  }
  return PC_OK;
}

/* Shapes, options and operands; t: PC_QKV_INPUTS, to be dropped. */
static int setup(pc_qkv *k, pc_tensor **t, pc_tensor *const *in, int nin, const pc_val *v) {
  if (nin != PC_QKV_INPUTS) return pc_fail(PC_EARG, "qkv: %d tensors are needed, not %d", PC_QKV_INPUTS, nin);
  int rc = check(in, v[PC_QKV_NORM].i != 0);
  if (rc < 0) return rc;
  const pc_tensor *x = in[PC_QKV_X];
  *k = (pc_qkv){.d = pc_float_dtype(x, in[PC_QKV_W]), .rows = 1, .norm = v[PC_QKV_NORM].i != 0};
  k->eps = v[PC_QKV_EPS].set ? v[PC_QKV_EPS].d : PC_NORM_EPS;
  k->es = pc_dtype_size(k->d);
  for (int i = 0; i < x->ndim - 1; i++) k->rows *= x->size[i];
  k->width = x->size[x->ndim - 1];
  if ((rc = pc_take(t, in, nin, k->d)) < 0) return rc;
  for (int i = 0; i < PC_QKV; i++) {
    k->to[i] = in[PC_QKV_W + 2 * i]->size[0];
    k->w[i] = pc_data(t[PC_QKV_W + 2 * i]);
    k->b[i] = pc_data_or_null(t[PC_QKV_W + 2 * i + 1]);
  }
  k->x = pc_data(t[PC_QKV_X]);
  k->gamma = pc_data_or_null(t[PC_QKV_GAMMA]);
  k->beta = pc_data_or_null(t[PC_QKV_BETA]);
  return PC_OK;
}

int pc_fwd_qkv(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *t[PC_QKV_INPUTS] = {NULL};
  pc_qkv k;
  for (int i = 0; i < PC_QKV; i++) out[i] = NULL;
  int rc = setup(&k, t, in, nin, v);
  for (int i = 0; i < PC_QKV && rc == PC_OK; i++) {
    const pc_tensor *x = in[PC_QKV_X];
    int64_t size[PC_MAX_DIM];
    memcpy(size, x->size, sizeof size);
    size[x->ndim - 1] = k.to[i];
    if ((rc = pc_tensor_empty(&out[i], k.d, x->ndim, size)) == PC_OK) k.y[i] = pc_data(out[i]);
  }
  if (rc == PC_OK && k.rows) rc = pc_kernels_now()->qkv_forward(&k);
  pc_drop(t, PC_QKV_INPUTS);
  if (rc < 0) pc_drop(out, PC_QKV);
  return rc;
}

/* The gradients that are wanted, and where they go. */
static int make_grads(pc_tensor **out, pc_qkv *k, pc_tensor *const *in, uint64_t need) {
  for (int i = 0; i < PC_QKV_INPUTS; i++) {
    if (!in[i] || !(need >> i & 1)) continue;
    int rc = (k->rows ? pc_tensor_empty : pc_tensor_zeros)(&out[i], k->d, in[i]->ndim, in[i]->size);
    if (rc < 0) return rc;
  }
  k->gx = pc_data_or_null(out[PC_QKV_X]);
  k->ggamma = pc_data_or_null(out[PC_QKV_GAMMA]);
  k->gbeta = pc_data_or_null(out[PC_QKV_BETA]);
  for (int i = 0; i < PC_QKV; i++) {
    k->gw[i] = pc_data_or_null(out[PC_QKV_W + 2 * i]);
    k->gb[i] = pc_data_or_null(out[PC_QKV_W + 2 * i + 1]);
  }
  return PC_OK;
}

int pc_fwd_qkv_backward(pc_tensor **out, pc_tensor *const *gy, int nin, const pc_val *v) {
  pc_tensor *const *in = gy + PC_QKV, *t[PC_QKV_INPUTS] = {NULL}, *g[PC_QKV] = {NULL};
  pc_qkv k;
  for (int i = 0; i < PC_QKV_INPUTS; i++) out[i] = NULL;
  int rc = setup(&k, t, in, nin - PC_QKV, v);
  if (rc == PC_OK) rc = pc_take(g, gy, PC_QKV, k.d);
  if (rc == PC_OK) rc = make_grads(out, &k, in, (uint64_t)v[PC_QKV_NEED].i);
  for (int i = 0; i < PC_QKV && rc == PC_OK; i++) k.gy[i] = pc_data(g[i]);
  if (rc == PC_OK && k.rows) rc = pc_kernels_now()->qkv_backward(&k);
  pc_drop(t, PC_QKV_INPUTS);
  pc_drop(g, PC_QKV);
  if (rc < 0) pc_drop(out, PC_QKV_INPUTS);
  return rc;
}
