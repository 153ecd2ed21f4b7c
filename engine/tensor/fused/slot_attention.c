#include "tensor/fused/slot_attention.h"

#include <string.h>

#include "base/alloc.h"
#include "base/cpu.h"
#include "base/parallel.h"
#include "base/simd.h"
#include "base/vmath.h"
#include "tensor/fused/norm.h"
#include "tensor/fused/slot_impl.h"
#include "tensor/tile.h"

enum {
  TILE_BYTES = 256 << 10,
  TILE_UNIT = 48, /* a multiple of the kernels' rows and of LANES */
  TILE_MAX = 240,
  TILE_MIN = 48,
  CHUNKS = 8, /* of a problem's rows, at most */
  VECTOR = 16 /* scores of a row are padded to whole vectors: the kernels store nothing narrower quickly */
};

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

static void softmax(const pc_slots *a, void *w, const void *s, int64_t rows) {
  if (a->d == PC_F32)
    softmax_f32(w, s, a->padded, rows, a->all, a->m);
  else
    softmax_f64(w, s, a->padded, rows, a->all, a->m);
}

static void softmax_back(const pc_slots *a, void *g, const void *w, int64_t rows) {
  if (a->d == PC_F32)
    softmax_back_float(g, a->padded, w, rows, a->all, a->m);
  else
    softmax_back_double(g, a->padded, w, rows, a->all, a->m);
}

/* ---- places ---- */

static const char *x_at(const pc_slots *a, int64_t p, int64_t r) { return at(a, a->x, (p * a->n + r) * a->dx); }
static char *w_at(const pc_slots *a, const void *w, int64_t p, int64_t r) { return at(a, w, (p * a->n + r) * a->all); }
static char *out_at(const pc_slots *a, const void *out, int64_t p, int64_t b, int64_t r) {
  return at(a, out, ((p * a->images + b) * a->n + r) * a->dv);
}

/* What a task works in. */
typedef struct room {
  char *m, *h, *s, *g; /* h, g (tile, dx); s (tile, padded) */
} room;

static int room_new(room *w, const pc_slots *a) {
  size_t h = (size_t)(a->tile * a->dx) * a->es, s = (size_t)(a->tile * a->padded) * a->es;
  if (!(w->m = pc_malloc(2 * h + s + 1))) return PC_ENOMEM;
  w->h = w->m;
  w->g = w->m + h;
  w->s = w->m + 2 * h;
  return PC_OK;
}

/* ---- forward ---- */

/* out of image b: its weights times its values, on top of what is there. */
static void tile_out(const pc_slots *a, int64_t p, int64_t b, int64_t r, int64_t rows, const char *w) {
  char *y = out_at(a, a->out, p, b, r);
  const char *x = x_at(a, p, r);
  if (a->residual) pc_tile_offset(a->d, y, x, a->bias, rows, a->dv);
  pc_gemm_packed(rows, PC_ROWS(at(a, w, b * a->keys), a->all), &a->pv[p * a->images + b], a->residual ? NULL : a->bias,
                 a->residual, pc_far(PC_ROWS(y, a->dv), !a->residual));
}

/* Rows [begin, end) of a problem. */
static void rows_forward(const pc_slots *a, int64_t p, int64_t begin, int64_t end, room *t) {
  for (int64_t r = begin; r < end; r += a->tile) {
    int64_t rows = end - r < a->tile ? end - r : a->tile;
    const char *h = x_at(a, p, r);
    char *w = w_at(a, a->w, p, r);
    if (a->norm) {
      pc_norm_rows(a->d, rows, a->dx, a->eps, h, NULL, NULL, t->h);
      h = t->h;
    }
    pc_gemm_packed(rows, pc_far(PC_ROWS((char *)h, a->dx), !a->norm), &a->pk[p],
                   a->c ? at(a, a->c, p * a->padded) : NULL, 0, PC_ROWS(t->s, a->padded));
    softmax(a, w, t->s, rows);
    for (int64_t b = 0; b < a->images; b++) tile_out(a, p, b, r, rows, w);
  }
}

/* ---- backward ---- */

/* The gradient of the weights as it came, where it did, and nothing in the padding. */
static void lay_weights_grad(const pc_slots *a, int64_t p, int64_t r, int64_t rows, char *s) {
  size_t given = a->gw ? (size_t)a->all * a->es : 0, from = a->gout && !a->gw ? (size_t)a->all * a->es : given;
  for (int64_t i = 0; i < rows; i++, s += (size_t)a->padded * a->es) {
    if (given) memcpy(s, w_at(a, a->gw, p, r + i), given);
    memset(s + from, 0, (size_t)a->padded * a->es - from);
  }
}

static void rows_backward(const pc_slots *a, int64_t p, int64_t begin, int64_t end, room *t, char *sum) {
  for (int64_t r = begin; r < end; r += a->tile) {
    int64_t rows = end - r < a->tile ? end - r : a->tile;
    const char *x = x_at(a, p, r), *w = w_at(a, a->w, p, r), *h = x;
    lay_weights_grad(a, p, r, rows, t->s);
    for (int64_t b = 0; a->gout && b < a->images; b++) {
      char *go = out_at(a, a->gout, p, b, r);
      pc_gemm_packed(rows, pc_far(PC_ROWS(go, a->dv), 1), &a->pv[p * a->images + b], NULL, a->gw != NULL,
                     PC_ROWS(at(a, t->s, b * a->keys), a->padded));
      if (a->need_v)
        pc_gemm(a->d, a->keys, a->dv, rows, 1, PC_COLS(at(a, w, b * a->keys), a->all), PC_ROWS(go, a->dv), 1,
                PC_ROWS(at(a, sum, a->at_v + b * a->keys * a->dv), a->dv));
      if (a->need_bias) pc_tile_columns(a->d, at(a, sum, a->at_bias), go, rows, a->dv, a->dv);
    }
    softmax_back(a, t->s, w, rows);
    if (a->need_c) pc_tile_columns(a->d, at(a, sum, a->at_c), t->s, rows, a->all, a->padded);
    if (a->need_k) {
      if (a->norm) pc_norm_rows(a->d, rows, a->dx, a->eps, x, NULL, NULL, t->h);
      if (a->norm) h = t->h;
      pc_gemm(a->d, a->all, a->dx, rows, 1, PC_COLS(t->s, a->padded), PC_ROWS((char *)h, a->dx), 1,
              PC_ROWS(sum, a->dx));
    }
    if (!a->gx) continue;
    char *gx = at(a, a->gx, (p * a->n + r) * a->dx), *gh = a->norm ? t->g : gx;
    pc_gemm_packed(rows, PC_ROWS(t->s, a->padded), &a->pk[p], NULL, 0, pc_far(PC_ROWS(gh, a->dx), !a->norm));
    if (a->norm) pc_norm_rows_backward(a->d, rows, a->dx, a->eps, gh, x, NULL, gx, NULL, NULL);
    for (int64_t b = 0; a->residual && a->gout && b < a->images; b++)
      pc_tile_add(a->d, gx, out_at(a, a->gout, p, b, r), rows * a->dx);
  }
}

/* A task is a chunk of a problem's rows. */
static void task(int64_t begin, int64_t end, void *ctx) {
  pc_slots *a = ctx;
  room t;
  if (room_new(&t, a) < 0) {
    __atomic_store_n(&a->failed, 1, __ATOMIC_RELAXED);
    return;
  }
  for (int64_t i = begin; i < end; i++) {
    int64_t first = i % a->chunks * a->chunk_rows, stop = first + a->chunk_rows < a->n ? first + a->chunk_rows : a->n;
    if (a->out)
      rows_forward(a, i / a->chunks, first, stop, &t);
    else
      rows_backward(a, i / a->chunks, first, stop, &t, at(a, a->sum, i * a->sums));
  }
  pc_free(t.m);
}

/* ---- packing ---- */

/* Rows of a problem's keys (or values, or one number a key) with zeros in the padding: (problems, padded, width). */
static char *pad_keys(const pc_slots *a, const char *from, int64_t width) {
  char *to = pc_calloc((size_t)(a->problems * a->padded * width + 1), a->es);
  for (int64_t p = 0; to && p < a->problems; p++)
    memcpy(at(a, to, p * a->padded * width), at(a, from, p * a->all * width), (size_t)(a->all * width) * a->es);
  return to;
}

/* forward: scores h K', out W V; backward: gh = gS K, gW = gO V'. padded_v: NULL when a problem has many images:
 * their columns lie side by side. */
static int pack(pc_slots *a, const char *padded_keys, const char *padded_v, int back) {
  int64_t np = a->problems, nb = a->problems * a->images, keys = padded_v ? a->padded : a->keys;
  int rc = PC_OK;
  if (!(a->pk = pc_calloc((size_t)(np + nb + 1), sizeof *a->pk))) return PC_ENOMEM;
  a->pv = a->pk + np;
  for (int64_t p = 0; p < np && rc == PC_OK; p++) {
    char *k = at(a, padded_keys, p * a->padded * a->dx);
    rc = back ? pc_pack(&a->pk[p], a->d, a->padded, a->dx, PC_ROWS(k, a->dx))
              : pc_pack(&a->pk[p], a->d, a->dx, a->padded, PC_COLS(k, a->dx));
  }
  for (int64_t b = 0; b < nb && rc == PC_OK; b++) {
    char *v = at(a, padded_v ? padded_v : a->v, b * keys * a->dv);
    rc = back ? pc_pack(&a->pv[b], a->d, a->dv, keys, PC_COLS(v, a->dv))
              : pc_pack(&a->pv[b], a->d, a->keys, a->dv, PC_ROWS(v, a->dv));
  }
  return rc;
}

static void unpack(pc_slots *a) {
  for (int64_t i = 0; a->pk && i < a->problems * (1 + a->images); i++) pc_pack_free(&a->pk[i]);
  pc_free(a->pk);
}

static int run(pc_slots *a) {
  int back = a->out == NULL, rc;
  if (pc_cpu_tier() == PC_TIER_REF) return back ? pc_slots_plain_backward(a) : pc_slots_plain_forward(a);
  int pad_c = a->c && !back, pad_v = back && a->images == 1;
  char *keys = pad_keys(a, a->k, a->dx), *c = pad_c ? pad_keys(a, a->c, 1) : NULL,
       *values = pad_v ? pad_keys(a, a->v, a->dv) : NULL;
  if (pad_c) a->c = c;
  rc = keys && (c || !pad_c) && (values || !pad_v) ? pack(a, keys, values, back) : PC_ENOMEM;
  if (rc == PC_OK) {
    double flops = (back ? 8.0 : 4.0) * (double)(a->problems * a->n) * (double)a->all * (double)(a->dx + a->dv);
    int64_t tasks = a->problems * a->chunks;
    pc_parallel_for(tasks, flops < 1.5e6 ? tasks : tasks / 64 + 1, task, a);
    rc = a->failed ? PC_ENOMEM : PC_OK;
  }
  unpack(a);
  pc_free(keys);
  pc_free(values);
  pc_free(c);
  return rc;
}

/* ---- arguments ---- */

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
                  .eps = val[PC_SLOT_EPS].set ? val[PC_SLOT_EPS].d : 1e-5};
  a->es = pc_dtype_size(a->d);
  a->keys = a->h * a->m;
  a->all = a->images * a->keys;
  a->padded = (a->all + VECTOR - 1) / VECTOR * VECTOR;
  if (a->residual && a->dx != a->dv)
    return pc_fail(PC_ESHAPE, "slot_attention: x %s goes around the attention, so v %s must be as wide",
                   pc_shape_str(x), pc_shape_str(v));
  int64_t tile = TILE_BYTES / ((int64_t)a->es * (2 * a->dx + a->padded + a->dv) + 1) / TILE_UNIT * TILE_UNIT, tiles;
  a->tile = tile > TILE_MAX ? TILE_MAX : tile < TILE_MIN ? TILE_MIN : tile;
  if (a->problems < 4 && a->tile > a->n / 4) a->tile = (a->n / 4 / TILE_UNIT + 1) * TILE_UNIT;
  if (a->tile > a->n) a->tile = a->n ? a->n : 1;
  tiles = (a->n + a->tile - 1) / a->tile;
  int64_t most = (CHUNKS + a->problems) / (a->problems + 1) + 1; /* many images: each is a task */
  a->chunk_rows = (tiles + most - 1) / most * a->tile;
  a->chunks = a->chunk_rows ? (a->n + a->chunk_rows - 1) / a->chunk_rows : 0;
  return PC_OK;
}

static void point(pc_slots *a, pc_tensor *const *t) {
  a->x = pc_data(t[PC_SLOT_X]);
  a->k = pc_data(t[PC_SLOT_K]);
  a->v = pc_data(t[PC_SLOT_V]);
  a->c = t[PC_SLOT_C] ? pc_data(t[PC_SLOT_C]) : NULL;
  a->bias = t[PC_SLOT_BIAS] ? pc_data(t[PC_SLOT_BIAS]) : NULL;
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
  if (pc_numel(out[0]) || pc_numel(w)) rc = run(&a);
  if (rc == PC_OK) rc = turn_weights(&out[1], w, shared, 0);
done:
  pc_drop(t, PC_SLOT_INPUTS);
  pc_tensor_release(w);
  if (rc < 0) pc_drop(out, 2);
  return rc;
}

static void plan_sums(pc_slots *a, uint64_t need) {
  a->need_k = need >> PC_SLOT_K & 1;
  a->need_v = need >> PC_SLOT_V & 1;
  a->need_c = need >> PC_SLOT_C & 1;
  a->need_bias = need >> PC_SLOT_BIAS & 1;
  a->at_v = a->need_k ? a->all * a->dx : 0;
  a->at_c = a->at_v + (a->need_v ? a->all * a->dv : 0);
  a->at_bias = a->at_c + (a->need_c ? a->all : 0);
  a->sums = a->at_bias + (a->need_bias ? a->dv : 0);
}

/* The sums of n numbers from `from` on over all chunks of each problem, in order; `across`: over all problems, too. */
static int fold(pc_tensor **out, const pc_slots *a, const pc_tensor *like, int64_t from, int64_t n, int across) {
  int rc = pc_tensor_empty(out, a->d, like->ndim, like->size);
  if (rc < 0) return rc;
  char *to = pc_data(*out);
  memset(to, 0, (size_t)pc_numel(*out) * a->es);
  for (int64_t p = 0; p < a->problems; p++)
    for (int64_t c = 0; c < a->chunks; c++)
      pc_tile_add(a->d, at(a, to, across ? 0 : p * n), at(a, a->sum, (p * a->chunks + c) * a->sums + from), n);
  return PC_OK;
}

static int hand_out(pc_tensor **out, const pc_slots *a, pc_tensor *const *in) {
  int rc = PC_OK;
  if (a->need_k) rc = fold(&out[PC_SLOT_K], a, in[PC_SLOT_K], 0, a->all * a->dx, 0);
  if (rc == PC_OK && a->need_v) rc = fold(&out[PC_SLOT_V], a, in[PC_SLOT_V], a->at_v, a->all * a->dv, 0);
  if (rc == PC_OK && a->need_c) rc = fold(&out[PC_SLOT_C], a, in[PC_SLOT_C], a->at_c, a->all, 0);
  if (rc == PC_OK && a->need_bias) rc = fold(&out[PC_SLOT_BIAS], a, in[PC_SLOT_BIAS], a->at_bias, a->dv, 1);
  return rc;
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
  const pc_tensor *x = in[PC_SLOT_X];
  pc_slots a;
  for (int i = 0; i < nin; i++) out[i] = NULL;
  int rc = setup(&a, in, nin, v);
  if (rc < 0) return rc;
  if ((rc = pc_take(t, in, nin, a.d)) < 0 || (rc = pc_take(&g[0], &gout, 1, a.d)) < 0 ||
      (rc = take_weights(&g[1], gw, &a)) < 0 || (rc = take_weights(&g[2], w, &a)) < 0)
    goto done;
  if (need & 1 && (rc = pc_tensor_empty(&out[PC_SLOT_X], a.d, 3, x->size)) < 0) goto done;
  point(&a, t);
  a.gout = g[0] ? pc_data(g[0]) : NULL;
  a.gw = g[1] ? pc_data(g[1]) : NULL;
  a.w = pc_data(g[2]);
  a.gx = out[PC_SLOT_X] ? pc_data(out[PC_SLOT_X]) : NULL;
  plan_sums(&a, need);
  if (pc_cpu_tier() == PC_TIER_REF) a.chunks = 1;
  a.sum = pc_calloc((size_t)(a.problems * a.chunks * a.sums + 1), a.es);
  rc = a.sum ? run(&a) : PC_ENOMEM;
  if (rc == PC_OK) rc = hand_out(out, &a, in);
  pc_free(a.sum);
done:
  pc_drop(t, PC_SLOT_INPUTS);
  pc_drop(g, 3);
  if (rc < 0) pc_drop(out, nin);
  return rc;
}
