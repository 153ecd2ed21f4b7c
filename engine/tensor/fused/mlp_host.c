/* mlp_host.c: the mlp kernels tile by tile: a tile of rows goes through all layers in cache. */
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "base/simd.h"
#include "tensor/backend.h"
#include "tensor/fused/mlp_impl.h"
#include "tensor/fused/norm.h"
#include "tensor/fused/parts.h"
#include "tensor/gemm/gemm.h"
#include "tensor/tile.h"

enum {
  TILE_BYTES = 384 << 10, /* of a tile's layers: with the packed weights they stay in L2 */
  STREAM_FROM = 1 << 20,  /* bytes of weights that pass through the caches once a tile */
  TILE_STREAM = 3 << 19,  /* and a tile's layers then */
  PARTS = 8,              /* of the sums over rows, at most */
  PARTS_APART = 64,       /* the same when weights are not among the sums */
  APART_FROM = 2 << 20,   /* bytes of weight gradients from which they are formed apart */
  BUNCH_BYTES = 4 << 20   /* of gradients and inputs laid out for that */
};

/* A call, and how it is gone about. */
typedef struct plan {
  const pc_mlp *k;
  pc_parts parts;
  pc_packed ahead[PC_MLP_MAX]; /* W_i' */

  /* backward */
  pc_packed back[PC_MLP_MAX]; /* W_i */
  int again;                  /* activations that were not kept are computed again */
  int low;                    /* layers from here on pass a gradient down to their input */
  int bottom;                 /* layers below get none */
  /* Sums over rows: gW_i, gb_i, and gamma's and beta's, one after the other. */
  int64_t at_w[PC_MLP_MAX], at_b[PC_MLP_MAX], at_norm;
  /* Weight gradients too large to stay in cache while tiles pass: gradients and inputs of the layers are laid out for
   * `bunch` parts of rows at a time, from part `first` on, and their product is one for all those rows. */
  int apart;
  int64_t bunch, first;
  char *g_all[PC_MLP_MAX], *a_all[PC_MLP_MAX];
} plan;

static char *at(const pc_mlp *k, const void *p, int64_t elements) { return pc_mlp_at(k, p, elements); }
static int has_act(const pc_mlp *k, int i) { return pc_mlp_has_act(k, i); }
static int wants_norm(const pc_mlp *k) { return k->ggamma || k->gbeta; }

/* ---- small loops over a tile ---- */

#define LOOPS(T)                                                             \
  static PC_CLONES void times_##T(T *y, const T *g, const T *s, int64_t n) { \
    PC_IVDEP                                                                 \
    for (int64_t i = 0; i < n; i++) y[i] = g[i] * s[i];                      \
  }
LOOPS(float)
LOOPS(double)

/* ---- forward ---- */

/* Where p_i goes: at once to where it ends up, or to the buffer that is free. When slopes are kept they come with the
 * value, from p_i in a buffer. */
static char *place_of_p(const pc_mlp *k, int i, char *kept, int slopes, char *y, char *spare) {
  if (!has_act(k, i)) return y;
  if (slopes) return spare;
  if (kept) return kept;
  return i + 1 == k->layers ? y : spare;
}

/* Rows [r, r + rows) through the layers. buf: two of (tile, widest). p[i]: where p_i goes, or its slope, or NULL:
 * nowhere. y NULL: only the p_i are wanted. */
static void tile_forward(const plan *w, int64_t r, int64_t rows, char *const *buf, char *const *p, int slopes,
                         char *y) {
  const pc_mlp *k = w->k;
  const char *x = at(k, k->x, r * k->width[0]), *a = x;
  char *used = buf[1], *spare = buf[0]; /* a_{i-1} lies in the used one, once it lies in a buffer */
  if (k->norm) {
    pc_norm_rows(k->d, rows, k->width[0], k->eps, x, k->gamma, k->beta, buf[0]);
    a = used = buf[0];
    spare = buf[1];
  }
  for (int i = 0; i < k->layers; i++) {
    int last = i + 1 == k->layers, act = has_act(k, i), around = last && k->residual && !act;
    char *to = place_of_p(k, i, p[i], slopes, y, spare);
    if (!to) return;
    if (around) pc_tile_offset(k->d, to, x, k->b[i], rows, k->width[i + 1]);
    pc_gemm_packed(rows, pc_far(PC_ROWS((char *)a, k->width[i]), a == x), &w->ahead[i], around ? NULL : k->b[i], around,
                   pc_far(PC_ROWS(to, k->width[i + 1]), to != spare && !around));
    if (!act) return;
    if (!y && (last || !has_act(k, i + 1))) return;
    char *out = last ? y : slopes ? used : spare;
    if (slopes)
      pc_activation_both(k->act, k->d, out, p[i], NULL, to, rows * k->width[i + 1]);
    else
      pc_activation_run(k->act, k->d, out, to, rows * k->width[i + 1]);
    a = out;
    if (out == spare) {
      spare = used;
      used = out;
    }
  }
  if (k->residual) pc_tile_add(k->d, y, x, rows * k->width[k->layers]);
}

static void forward(void *ctx, int64_t problem, int64_t r, int64_t rows, char *room, char *sum) {
  const plan *w = ctx;
  const pc_mlp *k = w->k;
  char *buf[2] = {room, at(k, room, w->parts.tile * k->widest)}, *p[PC_MLP_MAX] = {NULL};
  for (int i = 0; k->kept && i < k->layers; i++)
    if (has_act(k, i)) p[i] = pc_mlp_kept(k, i, r);
  tile_forward(w, r, rows, buf, p, k->kept && k->slopes, at(k, k->y, r * k->width[k->layers]));
}

/* ---- backward ---- */

/* What a task works in: (tile, widest) each, and the p_i when they were not kept. */
typedef struct room_of {
  char *buf[2], *in, *p[PC_MLP_MAX]; /* gradients take turns in buf; inputs of layers lie in `in` */
} room_of;

/* m NULL: only how many bytes it takes. */
static size_t lay_room(room_of *t, const plan *w, char *m) {
  const pc_mlp *k = w->k;
  int64_t each = w->parts.tile * k->widest, all = 3 * each;
  for (int i = 0; i < k->layers; i++) {
    t->p[i] = m && w->again ? at(k, m, all) : NULL;
    if (w->again) all += w->parts.tile * k->width[i + 1];
  }
  if (m) t->buf[0] = m, t->buf[1] = at(k, m, each), t->in = at(k, m, 2 * each);
  return (size_t)all * k->es;
}

/* gx = g act'(p), and a = act(p) unless NULL; p: what was kept. */
static void through_act(const pc_mlp *k, char *a, char *gx, const char *g, const char *p, int64_t n) {
  if (!k->kept || !k->slopes)
    pc_activation_both(k->act, k->d, a, gx, g, p, n);
  else if (k->d == PC_F32)
    times_float((float *)gx, (const float *)g, (const float *)p, n);
  else
    times_double((double *)gx, (const double *)g, (const double *)p, n);
}

/* Layer 0's input: ga is the gradient of a_0, spare a free buffer. */
static void finish_rows(const plan *w, int64_t r, int64_t rows, const char *ga, char *spare, char *sum) {
  const pc_mlp *k = w->k;
  int64_t n = k->width[0];
  char *gx = k->gx ? at(k, k->gx, r * n) : spare;
  char *gw = wants_norm(k) ? at(k, sum, w->at_norm) : NULL, *gb = gw ? at(k, gw, n) : NULL;
  if (k->norm) pc_norm_rows_backward(k->d, rows, n, k->eps, ga, at(k, k->x, r * n), k->gamma, gx, gw, gb);
  if (k->norm && k->residual && k->gx) pc_tile_add(k->d, gx, at(k, k->gy, r * n), rows * n);
}

/* Where row r's gradient at the output of layer i goes, its input: into a buffer, or where all rows' stand. */
static char *gradient_at(const plan *w, int i, int64_t r, char *buf) {
  return w->g_all[i] ? at(w->k, w->g_all[i], (r - w->first * w->parts.part_rows) * w->k->width[i + 1]) : buf;
}

static char *input_at(const plan *w, int i, int64_t r, char *buf) {
  return w->a_all[i] ? at(w->k, w->a_all[i], (r - w->first * w->parts.part_rows) * w->k->width[i]) : buf;
}

/* Rows [r, r + rows): their gx, and what they add to the sums. */
static void backward(void *ctx, int64_t problem, int64_t r, int64_t rows, char *room, char *sum) {
  const plan *w = ctx;
  const pc_mlp *k = w->k;
  const char *x = at(k, k->x, r * k->width[0]), *gy = at(k, k->gy, r * k->width[k->layers]), *g = gy;
  room_of t;
  char *p[PC_MLP_MAX];
  lay_room(&t, w, room);
  for (int i = 0; i < k->layers; i++) p[i] = k->kept && has_act(k, i) ? pc_mlp_kept(k, i, r) : t.p[i];
  if (w->again) tile_forward(w, r, rows, t.buf, p, 0, NULL);
  if (k->last_act) {
    char *to = gradient_at(w, k->layers - 1, r, t.buf[0]);
    through_act(k, NULL, to, gy, p[k->layers - 1], rows * k->width[k->layers]);
    g = to;
  }
  for (int i = k->layers - 1; i >= w->bottom; i--) {
    int64_t in = k->width[i], out = k->width[i + 1];
    char *down = g == t.buf[0] ? t.buf[1] : t.buf[0], *spare = input_at(w, i, r, t.in);
    const char *a = i || k->norm ? spare : x;
    if (i) down = gradient_at(w, i - 1, r, down);
    if (i >= w->low) {
      int around = !i && !k->norm && k->residual;
      if (!i && !k->norm) down = at(k, k->gx, r * in);
      if (around) memcpy(down, gy, (size_t)(rows * in) * k->es);
      pc_gemm_packed(rows, pc_far(PC_ROWS((char *)g, out), g == gy), &w->back[i], NULL, around,
                     pc_far(PC_ROWS(down, in), down != t.buf[0] && down != t.buf[1] && !around));
      if (i) through_act(k, k->gw[i] ? spare : NULL, down, down, p[i - 1], rows * in);
    } else if (i && k->gw[i]) {
      pc_activation_run(k->act, k->d, spare, p[i - 1], rows * in);
    }
    if (!i && k->norm && k->gw[i]) pc_norm_rows(k->d, rows, in, k->eps, x, k->gamma, k->beta, spare);
    if (k->gw[i] && !w->apart)
      pc_gemm(k->d, out, in, rows, 1, PC_COLS((char *)g, out), PC_ROWS((char *)a, in), 1,
              PC_ROWS(at(k, sum, w->at_w[i]), in));
    if (k->gb[i]) pc_tile_columns(k->d, at(k, sum, w->at_b[i]), g, rows, out, out);
    g = down;
    if (!i && i >= w->low) finish_rows(w, r, rows, g, t.in, sum);
  }
}

/* Those of row r on, of layer i, from where they stand: laid out, or as they came. */
static int add_weight(const plan *w, int i, int64_t rows) {
  const pc_mlp *k = w->k;
  int64_t r = w->first * w->parts.part_rows, in = k->width[i], out = k->width[i + 1];
  char *g = w->g_all[i] ? w->g_all[i] : at(k, k->gy, r * out), *a = w->a_all[i] ? w->a_all[i] : at(k, k->x, r * in);
  return pc_gemm_many(&(pc_gemm_job){.d = k->d,
                                     .batch = 1,
                                     .m = out,
                                     .n = in,
                                     .k = rows,
                                     .alpha = 1,
                                     .beta = w->first > 0,
                                     .a = PC_COLS(g, out),
                                     .b = PC_ROWS(a, in),
                                     .c = PC_ROWS(k->gw[i], in)});
}

/* Room for the gradients and inputs of `rows` rows, from m on; how many bytes it takes. m NULL: only that. */
static int64_t lay_out(plan *w, int64_t rows, char *m) {
  const pc_mlp *k = w->k;
  int64_t bytes = 0;
  for (int i = 0; i < k->layers; i++) {
    int g = k->gw[i] && has_act(k, i), a = k->gw[i] && (i || k->norm); /* else they are gy, x */
    if (m && g) w->g_all[i] = m + bytes;
    if (g) bytes += (rows * k->width[i + 1] * (int64_t)k->es + 63) / 64 * 64;
    if (m && a) w->a_all[i] = m + bytes;
    if (a) bytes += (rows * k->width[i] * (int64_t)k->es + 63) / 64 * 64;
  }
  return bytes;
}

/* Bunch after bunch: the tiles, then the weights' gradients. */
static int backward_apart(plan *w, size_t room) {
  const pc_mlp *k = w->k;
  pc_parts *p = &w->parts;
  int64_t rows = w->bunch * p->part_rows < k->rows ? w->bunch * p->part_rows : k->rows;
  int rc = PC_OK;
  char *m = pc_malloc((size_t)lay_out(w, rows, NULL) + 1);
  if (!m) return PC_ENOMEM;
  lay_out(w, rows, m);
  for (w->first = 0; w->first < p->parts && rc == PC_OK; w->first += w->bunch) {
    int64_t n = p->parts - w->first < w->bunch ? p->parts - w->first : w->bunch, r = w->first * p->part_rows;
    rc = pc_parts_run(p, w->first, w->first + n, 1, room, backward, w);
    int64_t here = n * p->part_rows < k->rows - r ? n * p->part_rows : k->rows - r;
    for (int i = 0; i < k->layers && rc == PC_OK; i++)
      if (k->gw[i]) rc = add_weight(w, i, here);
  }
  pc_free(m);
  return rc;
}

/* ---- plans ---- */

static double flops(const pc_mlp *k) {
  double n = 0;
  for (int i = 0; i < k->layers; i++) n += 2.0 * (double)k->width[i] * (double)k->width[i + 1];
  return n * (double)k->rows;
}

static void start(plan *w, const pc_mlp *k) {
  int64_t bytes = (int64_t)k->es * (2 * k->widest + k->width[0] + 1), weights = 0;
  for (int i = 0; i < k->layers; i++) weights += k->width[i] * k->width[i + 1] * (int64_t)k->es;
  *w = (plan){.k = k, .parts = {.d = k->d, .rows = k->rows}};
  w->parts.tile = pc_parts_tile(k->rows, bytes, weights < STREAM_FROM ? TILE_BYTES : TILE_STREAM);
}

static int pack_ahead(plan *w) {
  const pc_mlp *k = w->k;
  int rc = PC_OK;
  for (int i = 0; i < k->layers && rc == PC_OK; i++)
    rc = pc_pack(&w->ahead[i], k->d, k->width[i], k->width[i + 1], PC_COLS((char *)k->w[i], k->width[i]));
  return rc;
}

static void finish(plan *w) {
  for (int i = 0; i < w->k->layers; i++) {
    pc_pack_free(&w->ahead[i]);
    pc_pack_free(&w->back[i]);
  }
  pc_free(w->parts.sum);
}

int pc_host_mlp_forward(pc_mlp *k) {
  plan w;
  start(&w, k);
  int rc = pack_ahead(&w);
  pc_parts_cut(&w.parts, k->rows); /* a part a tile */
  int64_t tiles = w.parts.parts;
  if (rc == PC_OK)
    rc = pc_parts_run(&w.parts, 0, tiles, flops(k) < PC_SERIAL_FLOPS ? tiles : tiles / 32 + 1,
                      (size_t)(2 * w.parts.tile * k->widest) * k->es, forward, &w);
  finish(&w);
  return rc;
}

/* Which layers work, and where their sums go. */
static void plan_backward(plan *w) {
  const pc_mlp *k = w->k;
  int lowest = k->layers;
  int64_t weights = 0, laid = 0, *sums = &w->parts.sums;
  for (int i = 0; i < k->layers; i++) {
    if (!k->gw[i]) continue;
    weights += k->width[i] * k->width[i + 1] * (int64_t)k->es;
    laid += (k->width[i] + k->width[i + 1]) * (int64_t)k->es;
  }
  w->apart = weights >= APART_FROM;
  for (int i = k->layers - 1; i >= 0; i--) {
    if (k->gw[i] || k->gb[i]) lowest = i;
    w->at_w[i] = *sums;
    if (k->gw[i] && !w->apart) *sums += k->width[i] * k->width[i + 1];
    w->at_b[i] = *sums;
    if (k->gb[i]) *sums += k->width[i + 1];
  }
  int down = k->gx || wants_norm(k);
  w->low = down ? 0 : lowest + 1;
  w->bottom = down ? 0 : lowest;
  w->again = !k->kept && (k->layers > 1 || k->last_act);
  w->at_norm = *sums;
  if (wants_norm(k)) *sums += 2 * k->width[0];
  pc_parts_cut(&w->parts, flops(k) < PC_SERIAL_FLOPS ? 1 : *sums && !w->apart ? PARTS : PARTS_APART);
  if (!w->apart) return;
  w->bunch = BUNCH_BYTES / (w->parts.part_rows * laid);
  if (w->bunch < 4) w->bunch = 4;
}

static void hand_out(const plan *w) {
  const pc_mlp *k = w->k;
  const pc_parts *p = &w->parts;
  if (k->ggamma) pc_parts_fold(p, 0, p->parts, w->at_norm, k->width[0], k->ggamma);
  if (k->gbeta) pc_parts_fold(p, 0, p->parts, w->at_norm + k->width[0], k->width[0], k->gbeta);
  for (int i = 0; i < k->layers; i++) {
    if (k->gw[i] && !w->apart) pc_parts_fold(p, 0, p->parts, w->at_w[i], k->width[i] * k->width[i + 1], k->gw[i]);
    if (k->gb[i]) pc_parts_fold(p, 0, p->parts, w->at_b[i], k->width[i + 1], k->gb[i]);
  }
}

int pc_host_mlp_backward(pc_mlp *k) {
  plan w;
  room_of t;
  start(&w, k);
  plan_backward(&w);
  int rc = pc_parts_sums(&w.parts, 1);
  if (rc == PC_OK && w.again) rc = pack_ahead(&w);
  for (int i = w.low; i < k->layers && rc == PC_OK; i++)
    rc = pc_pack(&w.back[i], k->d, k->width[i + 1], k->width[i], PC_ROWS((char *)k->w[i], k->width[i]));
  size_t room = lay_room(&t, &w, NULL);
  if (rc == PC_OK)
    rc = w.apart ? backward_apart(&w, room) : pc_parts_run(&w.parts, 0, w.parts.parts, 1, room, backward, &w);
  if (rc == PC_OK) hand_out(&w);
  finish(&w);
  return rc;
}
