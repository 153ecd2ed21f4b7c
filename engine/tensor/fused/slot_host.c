/* slot_host.c: the slot attention kernels tile by tile. */
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "base/simd.h"
#include "base/vmath.h"
#include "tensor/backend.h"
#include "tensor/fused/norm.h"
#include "tensor/fused/parts.h"
#include "tensor/fused/slot_impl.h"
#include "tensor/gemm/gemm.h"
#include "tensor/tile.h"

enum {
  TILE_BYTES = 256 << 10,
  TILE_UNIT = 48, /* a multiple of the kernels' rows and of LANES */
  TILE_MAX = 240,
  TILE_MIN = 48,
  CHUNKS = 8, /* of a problem's rows, at most */
  VECTOR = 16 /* scores of a row are padded to whole vectors: the kernels store nothing narrower quickly */
};

/* A call, and how it is gone about. */
typedef struct plan {
  const pc_slots *a;
  pc_parts parts;
  int64_t padded;     /* columns of a problem in whole vectors: what a row of scores takes in a tile */
  const char *c;      /* padded */
  pc_packed *pk, *pv; /* of each problem, of each image; what they hold differs by direction */
  /* sums over the rows of a part: gk (all,dx), gv (all,dv), gc (all), gbias (dv) */
  int64_t at_v, at_c, at_bias;
} plan;

static char *at(const pc_slots *a, const void *p, int64_t elements) { return pc_slots_at(a, p, elements); }

/* ---- loops over a tile ---- */

#define LOOPS(T)                                                                                   \
  /* g (rows, ld) = w (g - sum_m g w), groups of m; w (rows, c) */                                 \
  static void softmax_back_##T(T *g, int64_t ld, const T *w, int64_t rows, int64_t c, int64_t m) { \
    for (int64_t r = 0; r < rows; r++)                                                             \
      for (int64_t q = 0; q < c; q += m) {                                                         \
        T *p = g + r * ld + q, sum = 0;                                                            \
        const T *y = w + r * c + q;                                                                \
        for (int64_t j = 0; j < m; j++) sum += p[j] * y[j];                                        \
        for (int64_t j = 0; j < m; j++) p[j] = y[j] * (p[j] - sum);                                \
      }                                                                                            \
  }
LOOPS(float)
LOOPS(double)

/* w (rows, c) = softmax of s (rows, ld) in groups of m. With 3 to 16 slots a group does not fill a
 * vector, so LANES rows at a time are turned: then a vector holds one score of LANES rows. */
enum { LANES = 16, TURNED = 512 };

#define PC_TEMPLATE "tensor/fused/slot_softmax.inc"
#include "base/float_types.inc"

static void softmax(const plan *z, void *w, const void *s, int64_t rows) {
  const pc_slots *a = z->a;
  if (a->d == PC_F32)
    softmax_f32(w, s, z->padded, rows, a->all, a->m);
  else
    softmax_f64(w, s, z->padded, rows, a->all, a->m);
}

static void softmax_back(const plan *z, void *g, const void *w, int64_t rows) {
  const pc_slots *a = z->a;
  if (a->d == PC_F32)
    softmax_back_float(g, z->padded, w, rows, a->all, a->m);
  else
    softmax_back_double(g, z->padded, w, rows, a->all, a->m);
}

/* ---- places ---- */

static const char *x_at(const pc_slots *a, int64_t p, int64_t r) { return at(a, a->x, (p * a->n + r) * a->dx); }
static char *w_at(const pc_slots *a, const void *w, int64_t p, int64_t r) { return at(a, w, (p * a->n + r) * a->all); }
static char *out_at(const pc_slots *a, const void *out, int64_t p, int64_t b, int64_t r) {
  return at(a, out, ((p * a->images + b) * a->n + r) * a->dv);
}

/* ---- forward ---- */

/* out of image b: its weights times its values, on top of what is there. */
static void tile_out(const plan *z, int64_t p, int64_t b, int64_t r, int64_t rows, const char *w) {
  const pc_slots *a = z->a;
  char *y = out_at(a, a->out, p, b, r);
  const char *x = x_at(a, p, r);
  if (a->residual) pc_tile_offset(a->d, y, x, a->bias, rows, a->dv);
  pc_gemm_packed(rows, PC_ROWS(at(a, w, b * a->keys), a->all), &z->pv[p * a->images + b], a->residual ? NULL : a->bias,
                 a->residual, pc_far(PC_ROWS(y, a->dv), !a->residual));
}

/* room: h (tile, dx), s (tile, padded); backward: also g (tile, dx) */
static size_t room_of(const plan *z) { return (size_t)(z->parts.tile * (2 * z->a->dx + z->padded)) * z->a->es; }
static char *scores_in(const plan *z, char *room) { return at(z->a, room, z->parts.tile * z->a->dx); }
static char *gradient_in(const plan *z, char *room) { return at(z->a, room, z->parts.tile * (z->a->dx + z->padded)); }

static void forward(void *ctx, int64_t p, int64_t r, int64_t rows, char *room, char *sum) {
  const plan *z = ctx;
  const pc_slots *a = z->a;
  const char *h = x_at(a, p, r);
  char *w = w_at(a, a->w, p, r), *s = scores_in(z, room);
  if (a->norm) {
    pc_norm_rows(a->d, rows, a->dx, a->eps, h, NULL, NULL, room);
    h = room;
  }
  pc_gemm_packed(rows, pc_far(PC_ROWS((char *)h, a->dx), !a->norm), &z->pk[p], z->c ? at(a, z->c, p * z->padded) : NULL,
                 0, PC_ROWS(s, z->padded));
  softmax(z, w, s, rows);
  for (int64_t b = 0; b < a->images; b++) tile_out(z, p, b, r, rows, w);
}

/* ---- backward ---- */

/* The gradient of the weights as it came, where it did, and nothing in the padding. */
static void lay_weights_grad(const plan *z, int64_t p, int64_t r, int64_t rows, char *s) {
  const pc_slots *a = z->a;
  size_t given = a->gw ? (size_t)a->all * a->es : 0, from = a->gout && !a->gw ? (size_t)a->all * a->es : given,
         line = (size_t)z->padded * a->es;
  for (int64_t i = 0; i < rows; i++, s += line) {
    if (given) memcpy(s, w_at(a, a->gw, p, r + i), given);
    memset(s + from, 0, line - from);
  }
}

/* What image b says of the scores, and of its values and the bias. */
static void image_back(const plan *z, int64_t p, int64_t b, int64_t r, int64_t rows, char *s, char *sum) {
  const pc_slots *a = z->a;
  char *go = out_at(a, a->gout, p, b, r);
  pc_gemm_packed(rows, pc_far(PC_ROWS(go, a->dv), 1), &z->pv[p * a->images + b], NULL, a->gw != NULL,
                 PC_ROWS(at(a, s, b * a->keys), z->padded));
  if (a->gv)
    pc_gemm(a->d, a->keys, a->dv, rows, 1, PC_COLS(at(a, w_at(a, a->w, p, r), b * a->keys), a->all), PC_ROWS(go, a->dv),
            1, PC_ROWS(at(a, sum, z->at_v + b * a->keys * a->dv), a->dv));
  if (a->gbias) pc_tile_columns(a->d, at(a, sum, z->at_bias), go, rows, a->dv, a->dv);
}

static void backward(void *ctx, int64_t p, int64_t r, int64_t rows, char *room, char *sum) {
  const plan *z = ctx;
  const pc_slots *a = z->a;
  const char *x = x_at(a, p, r), *h = x;
  char *s = scores_in(z, room);
  lay_weights_grad(z, p, r, rows, s);
  for (int64_t b = 0; a->gout && b < a->images; b++) image_back(z, p, b, r, rows, s, sum);
  softmax_back(z, s, w_at(a, a->w, p, r), rows);
  if (a->gc) pc_tile_columns(a->d, at(a, sum, z->at_c), s, rows, a->all, z->padded);
  if (a->gk) {
    if (a->norm) pc_norm_rows(a->d, rows, a->dx, a->eps, x, NULL, NULL, room);
    if (a->norm) h = room;
    pc_gemm(a->d, a->all, a->dx, rows, 1, PC_COLS(s, z->padded), PC_ROWS((char *)h, a->dx), 1, PC_ROWS(sum, a->dx));
  }
  if (!a->gx) return;
  char *gx = at(a, a->gx, (p * a->n + r) * a->dx), *gh = a->norm ? gradient_in(z, room) : gx;
  pc_gemm_packed(rows, PC_ROWS(s, z->padded), &z->pk[p], NULL, 0, pc_far(PC_ROWS(gh, a->dx), !a->norm));
  if (a->norm) pc_norm_rows_backward(a->d, rows, a->dx, a->eps, gh, x, NULL, gx, NULL, NULL);
  for (int64_t b = 0; a->residual && a->gout && b < a->images; b++)
    pc_tile_add(a->d, gx, out_at(a, a->gout, p, b, r), rows * a->dx);
}

/* ---- packing ---- */

/* Rows of a problem's keys (or values, or one number a key) with zeros in the padding: (problems, padded, width). */
static char *pad_keys(const plan *z, const char *from, int64_t width) {
  const pc_slots *a = z->a;
  char *to = pc_calloc((size_t)(a->problems * z->padded * width + 1), a->es);
  for (int64_t p = 0; to && p < a->problems; p++)
    memcpy(at(a, to, p * z->padded * width), at(a, from, p * a->all * width), (size_t)(a->all * width) * a->es);
  return to;
}

/* forward: scores h K', out W V; backward: gh = gS K, gW = gO V'. padded_v: NULL when a problem has many images:
 * their columns lie side by side. */
static int pack(plan *z, const char *padded_keys, const char *padded_v, int back) {
  const pc_slots *a = z->a;
  int64_t np = a->problems, nb = a->problems * a->images, keys = padded_v ? z->padded : a->keys;
  int rc = PC_OK;
  if (!(z->pk = pc_calloc((size_t)(np + nb + 1), sizeof *z->pk))) return PC_ENOMEM;
  z->pv = z->pk + np;
  for (int64_t p = 0; p < np && rc == PC_OK; p++) {
    char *k = at(a, padded_keys, p * z->padded * a->dx);
    rc = back ? pc_pack(&z->pk[p], a->d, z->padded, a->dx, PC_ROWS(k, a->dx))
              : pc_pack(&z->pk[p], a->d, a->dx, z->padded, PC_COLS(k, a->dx));
  }
  for (int64_t b = 0; b < nb && rc == PC_OK; b++) {
    char *v = at(a, padded_v ? padded_v : a->v, b * keys * a->dv);
    rc = back ? pc_pack(&z->pv[b], a->d, a->dv, keys, PC_COLS(v, a->dv))
              : pc_pack(&z->pv[b], a->d, a->keys, a->dv, PC_ROWS(v, a->dv));
  }
  return rc;
}

static void unpack(plan *z) {
  for (int64_t i = 0; z->pk && i < z->a->problems * (1 + z->a->images); i++) pc_pack_free(&z->pk[i]);
  pc_free(z->pk);
}

/* ---- plans ---- */

static void start(plan *z, const pc_slots *a) {
  *z = (plan){.a = a, .padded = (a->all + VECTOR - 1) / VECTOR * VECTOR, .parts = {.d = a->d, .rows = a->n}};
  int64_t tile = TILE_BYTES / ((int64_t)a->es * (2 * a->dx + z->padded + a->dv) + 1) / TILE_UNIT * TILE_UNIT;
  tile = tile > TILE_MAX ? TILE_MAX : tile < TILE_MIN ? TILE_MIN : tile;
  if (a->problems < 4 && tile > a->n / 4) tile = (a->n / 4 / TILE_UNIT + 1) * TILE_UNIT;
  if (tile > a->n) tile = a->n ? a->n : 1;
  z->parts.tile = tile;
  pc_parts_cut(&z->parts, (CHUNKS + a->problems) / (a->problems + 1) + 1); /* many images: each is a task */
}

static int run(plan *z, int back) {
  const pc_slots *a = z->a;
  int pad_c = a->c && !back, pad_v = back && a->images == 1;
  char *keys = pad_keys(z, a->k, a->dx), *c = pad_c ? pad_keys(z, a->c, 1) : NULL,
       *values = pad_v ? pad_keys(z, a->v, a->dv) : NULL;
  z->c = c;
  int rc = keys && (c || !pad_c) && (values || !pad_v) ? pack(z, keys, values, back) : PC_ENOMEM;
  if (rc == PC_OK) {
    double flops = (back ? 8.0 : 4.0) * (double)(a->problems * a->n) * (double)a->all * (double)(a->dx + a->dv);
    int64_t tasks = a->problems * z->parts.parts;
    rc = pc_parts_run(&z->parts, 0, tasks, flops < PC_SERIAL_FLOPS ? tasks : tasks / 64 + 1, room_of(z),
                      back ? backward : forward, z);
  }
  unpack(z);
  pc_free(keys);
  pc_free(values);
  pc_free(c);
  return rc;
}

int pc_host_slots_forward(pc_slots *a) {
  plan z;
  start(&z, a);
  return run(&z, 0);
}

static void plan_sums(plan *z) {
  const pc_slots *a = z->a;
  z->at_v = a->gk ? a->all * a->dx : 0;
  z->at_c = z->at_v + (a->gv ? a->all * a->dv : 0);
  z->at_bias = z->at_c + (a->gc ? a->all : 0);
  z->parts.sums = z->at_bias + (a->gbias ? a->dv : 0);
}

/* out (problems, n): each problem's own parts */
static void fold(const plan *z, char *out, int64_t from, int64_t n) {
  int64_t parts = z->parts.parts;
  for (int64_t p = 0; out && p < z->a->problems; p++)
    pc_parts_fold(&z->parts, p * parts, (p + 1) * parts, from, n, at(z->a, out, p * n));
}

int pc_host_slots_backward(pc_slots *a) {
  plan z;
  start(&z, a);
  plan_sums(&z);
  int rc = pc_parts_sums(&z.parts, a->problems);
  if (rc == PC_OK) rc = run(&z, 1);
  if (rc == PC_OK) {
    fold(&z, a->gk, 0, a->all * a->dx);
    fold(&z, a->gv, z.at_v, a->all * a->dv);
    fold(&z, a->gc, z.at_c, a->all);
    if (a->gbias) pc_parts_fold(&z.parts, 0, a->problems * z.parts.parts, z.at_bias, a->dv, a->gbias);
  }
  pc_free(z.parts.sum);
  return rc;
}
