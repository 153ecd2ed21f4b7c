#include "tensor/fused/qkv.h"

#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "tensor/gemm/gemm.h"
#include "tensor/fused/norm.h"
#include "tensor/tile.h"

enum {
  TILE_BYTES = 256 << 10, /* of what a tile writes */
  TILE_UNIT = 12,         /* rows of the widest kernel; narrower ones take a divisor of it */
  TILE_MAX = 252,
  TILE_MIN = 36,
  PARTS = 64 /* of the sums over rows, at most */
};

typedef struct qkv {
  pc_dtype d;
  size_t es;
  int64_t rows, tile, width, to[PC_QKV]; /* to: widths of the projections */
  int norm;
  double eps;
  const char *x, *gamma, *beta, *w[PC_QKV], *b[PC_QKV];
  pc_packed packed[PC_QKV]; /* W_i' forward, W_i backward */
  char *y[PC_QKV];
  /* backward */
  const char *gy[PC_QKV];
  char *gx, *h; /* (rows, width) or NULL: not wanted */
  int need_b[PC_QKV], need_norm;
  int64_t at_b[PC_QKV], at_norm, sums, part_rows, parts;
  char *sum; /* (parts, sums): gamma's and beta's gradients, and the biases' */
  int failed;
} qkv;

static char *at(const qkv *k, const void *p, int64_t elements) { return (char *)p + (int64_t)k->es * elements; }

/* ---- a tile ---- */

static void tile_forward(const qkv *k, int64_t r, int64_t rows, char *buf) {
  char *h = at(k, k->x, r * k->width);
  if (k->norm) {
    pc_norm_rows(k->d, rows, k->width, k->eps, h, k->gamma, k->beta, buf);
    h = buf;
  }
  for (int i = 0; i < PC_QKV; i++)
    pc_gemm_packed(rows, PC_ROWS(h, k->width), &k->packed[i], k->b[i], 0,
                   pc_far(PC_ROWS(at(k, k->y[i], r * k->to[i]), k->to[i]), 1));
}

static void tile_backward(const qkv *k, int64_t r, int64_t rows, char *buf, char *sum) {
  const char *x = at(k, k->x, r * k->width);
  if (k->gx || k->need_norm) {
    char *gx = k->gx ? at(k, k->gx, r * k->width) : at(k, buf, k->tile * k->width), *g = k->norm ? buf : gx;
    for (int i = 0; i < PC_QKV; i++)
      pc_gemm_packed(rows, pc_far(PC_ROWS(at(k, k->gy[i], r * k->to[i]), k->to[i]), 1), &k->packed[i], NULL, i > 0,
                     PC_ROWS(g, k->width));
    char *gw = k->need_norm ? at(k, sum, k->at_norm) : NULL;
    if (k->norm)
      pc_norm_rows_backward(k->d, rows, k->width, k->eps, g, x, k->gamma, gx, gw, gw ? at(k, gw, k->width) : NULL);
  }
  for (int i = 0; i < PC_QKV; i++)
    if (k->need_b[i])
      pc_tile_columns(k->d, at(k, sum, k->at_b[i]), at(k, k->gy[i], r * k->to[i]), rows, k->to[i], k->to[i]);
  if (k->norm && k->h) pc_norm_rows(k->d, rows, k->width, k->eps, x, k->gamma, k->beta, at(k, k->h, r * k->width));
}

/* Parts of the rows. */
static void task(int64_t begin, int64_t end, void *ctx) {
  qkv *k = ctx;
  char *buf = pc_malloc((size_t)(2 * k->tile * k->width) * k->es + 1);
  if (!buf) {
    __atomic_store_n(&k->failed, 1, __ATOMIC_RELAXED);
    return;
  }
  for (int64_t part = begin; part < end; part++) {
    int64_t stop = (part + 1) * k->part_rows < k->rows ? (part + 1) * k->part_rows : k->rows;
    for (int64_t r = part * k->part_rows; r < stop; r += k->tile) {
      int64_t rows = stop - r < k->tile ? stop - r : k->tile;
      if (k->y[0])
        tile_forward(k, r, rows, buf);
      else
        tile_backward(k, r, rows, buf, at(k, k->sum, part * k->sums));
    }
  }
  pc_free(buf);
}

static int run(qkv *k) {
  static const double serial_flops = 1.5e6; /* below, a second thread costs more than it brings */
  double flops = 2.0 * (double)k->rows * (double)(k->width * (k->to[0] + k->to[1] + k->to[2]));
  pc_parallel_for(k->parts, flops < serial_flops ? k->parts : 1, task, k);
  for (int i = 0; i < PC_QKV; i++) pc_pack_free(&k->packed[i]);
  return k->failed ? PC_ENOMEM : PC_OK;
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
static int setup(qkv *k, pc_tensor **t, pc_tensor *const *in, int nin, const pc_val *v) {
  if (nin != PC_QKV_INPUTS) return pc_fail(PC_EARG, "qkv: %d tensors are needed, not %d", PC_QKV_INPUTS, nin);
  int rc = check(in, v[PC_QKV_NORM].i != 0);
  if (rc < 0) return rc;
  const pc_tensor *x = in[PC_QKV_X];
  *k = (qkv){.d = pc_float_dtype(x, in[PC_QKV_W]), .rows = 1, .norm = v[PC_QKV_NORM].i != 0};
  k->eps = v[PC_QKV_EPS].set ? v[PC_QKV_EPS].d : 1e-5;
  k->es = pc_dtype_size(k->d);
  for (int i = 0; i < x->ndim - 1; i++) k->rows *= x->size[i];
  k->width = x->size[x->ndim - 1];
  if ((rc = pc_take(t, in, nin, k->d)) < 0) return rc;
  int64_t bytes = k->width;
  for (int i = 0; i < PC_QKV; i++) {
    const pc_tensor *b = t[PC_QKV_W + 2 * i + 1];
    k->to[i] = in[PC_QKV_W + 2 * i]->size[0];
    k->w[i] = pc_data(t[PC_QKV_W + 2 * i]);
    k->b[i] = b ? pc_data(b) : NULL;
    bytes += k->to[i];
  }
  k->x = pc_data(t[PC_QKV_X]);
  k->gamma = t[PC_QKV_GAMMA] ? pc_data(t[PC_QKV_GAMMA]) : NULL;
  k->beta = t[PC_QKV_BETA] ? pc_data(t[PC_QKV_BETA]) : NULL;
  k->tile = TILE_BYTES / (bytes * (int64_t)k->es + 1) / TILE_UNIT * TILE_UNIT;
  if (k->tile > TILE_MAX) k->tile = TILE_MAX;
  if (k->tile > k->rows / 4)
    k->tile = (k->rows / 4 + TILE_UNIT - 1) / TILE_UNIT * TILE_UNIT; /* few rows: still a part for each thread */
  if (k->tile < TILE_MIN) k->tile = TILE_MIN;
  int64_t tiles = (k->rows + k->tile - 1) / k->tile;
  k->part_rows = (tiles + PARTS - 1) / PARTS * k->tile;
  k->parts = k->part_rows ? (k->rows + k->part_rows - 1) / k->part_rows : 0;
  return PC_OK;
}

int pc_fwd_qkv(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *t[PC_QKV_INPUTS] = {NULL};
  qkv k;
  for (int i = 0; i < PC_QKV; i++) out[i] = NULL;
  int rc = setup(&k, t, in, nin, v);
  for (int i = 0; i < PC_QKV && rc == PC_OK; i++) {
    const pc_tensor *x = in[PC_QKV_X];
    int64_t size[PC_MAX_DIM];
    memcpy(size, x->size, sizeof size);
    size[x->ndim - 1] = k.to[i];
    if ((rc = pc_tensor_empty(&out[i], k.d, x->ndim, size)) < 0) break;
    k.y[i] = pc_data(out[i]);
    rc = pc_pack(&k.packed[i], k.d, k.width, k.to[i], PC_COLS((char *)k.w[i], k.width));
  }
  if (rc == PC_OK)
    rc = run(&k);
  else
    for (int i = 0; i < PC_QKV && t[0]; i++) pc_pack_free(&k.packed[i]);
  pc_drop(t, PC_QKV_INPUTS);
  if (rc < 0) pc_drop(out, PC_QKV);
  return rc;
}

/* ---- backward ---- */

static void plan_sums(qkv *k, uint64_t need) {
  for (int i = 0; i < PC_QKV; i++) {
    k->need_b[i] = need >> (PC_QKV_W + 2 * i + 1) & 1;
    k->at_b[i] = k->sums;
    if (k->need_b[i]) k->sums += k->to[i];
  }
  k->need_norm = k->norm && need & (1u << PC_QKV_GAMMA | 1u << PC_QKV_BETA);
  k->at_norm = k->sums;
  if (k->need_norm) k->sums += 2 * k->width;
}

/* The sums of n numbers from place `from` of all parts, in order. */
static int fold(pc_tensor **out, const qkv *k, int64_t from, int64_t n) {
  int rc = pc_tensor_zeros(out, k->d, 1, &n);
  for (int64_t p = 0; p < k->parts && rc == PC_OK; p++)
    pc_tile_add(k->d, pc_data(*out), at(k, k->sum, p * k->sums + from), n);
  return rc;
}

static int hand_out(pc_tensor **out, const qkv *k, uint64_t need) {
  int rc = PC_OK;
  if (need >> PC_QKV_GAMMA & 1) rc = fold(&out[PC_QKV_GAMMA], k, k->at_norm, k->width);
  if (rc == PC_OK && need >> PC_QKV_BETA & 1) rc = fold(&out[PC_QKV_BETA], k, k->at_norm + k->width, k->width);
  for (int i = 0; i < PC_QKV && rc == PC_OK; i++) {
    int place = PC_QKV_W + 2 * i;
    if (k->need_b[i]) rc = fold(&out[place + 1], k, k->at_b[i], k->to[i]);
    if (rc < 0 || !(need >> place & 1)) continue;
    rc = (k->rows ? pc_tensor_empty : pc_tensor_zeros)(&out[place], k->d, 2, (int64_t[]){k->to[i], k->width});
    if (rc < 0) break;
    rc = pc_gemm_many(&(pc_gemm_job){.d = k->d,
                                     .batch = k->rows > 0,
                                     .m = k->to[i],
                                     .n = k->width,
                                     .k = k->rows,
                                     .alpha = 1,
                                     .a = PC_COLS((char *)k->gy[i], k->to[i]),
                                     .b = PC_ROWS(k->norm ? k->h : (char *)k->x, k->width),
                                     .c = PC_ROWS(pc_data(out[place]), k->width)});
  }
  return rc;
}

int pc_fwd_qkv_backward(pc_tensor **out, pc_tensor *const *gy, int nin, const pc_val *v) {
  pc_tensor *const *in = gy + PC_QKV;
  uint64_t need = (uint64_t)v[PC_QKV_NEED].i;
  pc_tensor *t[PC_QKV_INPUTS] = {NULL}, *g[PC_QKV] = {NULL};
  const uint64_t weights = (uint64_t)1 << PC_QKV_W | (uint64_t)1 << (PC_QKV_W + 2) | (uint64_t)1 << (PC_QKV_W + 4);
  const pc_tensor *x = in[PC_QKV_X];
  qkv k;
  for (int i = 0; i < PC_QKV_INPUTS; i++) out[i] = NULL;
  int rc = setup(&k, t, in, nin - PC_QKV, v);
  if (rc < 0) goto done;
  plan_sums(&k, need);
  if ((rc = pc_take(g, gy, PC_QKV, k.d)) < 0 ||
      (need & 1 && (rc = pc_tensor_empty(&out[PC_QKV_X], k.d, x->ndim, x->size)) < 0))
    goto done;
  rc = PC_ENOMEM;
  k.gx = need & 1 ? pc_data(out[PC_QKV_X]) : NULL;
  if (!(k.sum = pc_calloc((size_t)(k.parts * k.sums + 1), k.es))) goto done;
  if (k.norm && need & weights && !(k.h = pc_malloc((size_t)(k.rows * k.width) * k.es + 1))) goto done;
  for (int i = 0; i < PC_QKV; i++) {
    k.gy[i] = pc_data(g[i]);
    if (pc_pack(&k.packed[i], k.d, k.to[i], k.width, PC_ROWS((char *)k.w[i], k.width)) < 0) k.failed = 1;
  }
  if ((rc = k.failed ? PC_ENOMEM : PC_OK) == PC_OK) rc = run(&k);
  if (rc == PC_OK) rc = hand_out(out, &k, need);
done:
  if (t[0]) { /* k is made */
    for (int i = 0; i < PC_QKV; i++) pc_pack_free(&k.packed[i]);
    pc_free(k.sum);
    pc_free(k.h);
  }
  pc_drop(t, PC_QKV_INPUTS);
  pc_drop(g, PC_QKV);
  if (rc < 0) pc_drop(out, PC_QKV_INPUTS);
  return rc;
}
