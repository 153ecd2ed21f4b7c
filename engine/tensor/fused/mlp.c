#include "tensor/fused/mlp.h"

#include <string.h>

#include "base/alloc.h"
#include "base/cpu.h"
#include "base/parallel.h"
#include "base/simd.h"
#include "tensor/fused/mlp_impl.h"
#include "tensor/fused/norm.h"
#include "tensor/tile.h"

enum {
  TILE_BYTES = 384 << 10, /* of a tile's layers: with the packed weights they stay in L2 */
  STREAM_FROM = 1 << 20,  /* bytes of weights that pass through the caches once a tile */
  TILE_STREAM = 3 << 19,  /* and a tile's layers then */
  TILE_UNIT = 12,         /* rows of the widest kernel; narrower ones take a divisor of it */
  TILE_MAX = 252,
  TILE_MIN = 36,
  PARTS = 8,            /* of the sums over rows, at most */
  PARTS_APART = 64,     /* the same when weights are not among the sums */
  APART_FROM = 2 << 20, /* bytes of weight gradients from which they are formed apart */
  BUNCH_BYTES = 4 << 20 /* of gradients and inputs laid out for that */
};

static char *at(const pc_mlp *k, const void *p, int64_t elements) { return pc_mlp_at(k, p, elements); }
static int has_act(const pc_mlp *k, int i) { return pc_mlp_has_act(k, i); }

/* ---- small loops over a tile ---- */

#define LOOPS(T)                                                             \
  static PC_CLONES void times_##T(T *y, const T *g, const T *s, int64_t n) { \
    PC_IVDEP                                                                 \
    for (int64_t i = 0; i < n; i++) y[i] = g[i] * s[i];                      \
  }
LOOPS(float)
LOOPS(double)

/* ---- forward ---- */

/* Rows [r, r + rows) through the layers. buf: two of (tile, widest). p[i]: where p_i goes, or its slope, or NULL:
 * nowhere. y NULL: only the p_i are wanted. */
static void tile_forward(const pc_mlp *k, int64_t r, int64_t rows, char *const *buf, char *const *p, int slopes,
                         char *y) {
  const char *x = at(k, k->x, r * k->width[0]), *a = x;
  if (k->norm) {
    pc_norm_rows(k->d, rows, k->width[0], k->eps, x, k->gamma, k->beta, buf[0]);
    a = buf[0];
  }
  for (int i = 0; i < k->layers; i++) {
    int last = i + 1 == k->layers, act = has_act(k, i), around = last && k->residual && !act;
    char *other = a == buf[0] ? buf[1] : buf[0], *to = !act ? y : p[i] && !slopes ? p[i] : last && !slopes ? y : other;
    if (!to) return;
    if (around) pc_tile_offset(k->d, to, x, k->b[i], rows, k->width[i + 1]);
    pc_gemm_packed(rows, pc_far(PC_ROWS((char *)a, k->width[i]), a == x), &k->ahead[i], around ? NULL : k->b[i], around,
                   pc_far(PC_ROWS(to, k->width[i + 1]), to != other && !around));
    if (!act) return;
    if (!y && (last || !has_act(k, i + 1))) return;
    char *out = last ? y : !slopes ? other : to == buf[0] ? buf[1] : buf[0];
    if (slopes)
      pc_activation_both(k->act, k->d, out, p[i], NULL, to, rows * k->width[i + 1]);
    else
      pc_activation_run(k->act, k->d, out, to, rows * k->width[i + 1]);
    a = out;
  }
  if (k->residual) pc_tile_add(k->d, y, x, rows * k->width[k->layers]);
}

static void forward(int64_t begin, int64_t end, void *ctx) {
  pc_mlp *k = ctx;
  size_t bytes = (size_t)(k->tile * k->widest) * k->es;
  char *m = pc_malloc(2 * bytes + 1), *p[PC_MLP_MAX] = {NULL};
  if (!m) {
    __atomic_store_n(&k->failed, 1, __ATOMIC_RELAXED);
    return;
  }
  char *buf[2] = {m, m + bytes};
  for (int64_t t = begin; t < end; t++) {
    int64_t r = t * k->tile, rows = k->rows - r < k->tile ? k->rows - r : k->tile;
    for (int i = 0; k->kept && i < k->layers; i++)
      if (has_act(k, i)) p[i] = pc_mlp_kept(k, i, r);
    tile_forward(k, r, rows, buf, p, k->kept && k->slopes, at(k, k->y, r * k->width[k->layers]));
  }
  pc_free(m);
}

/* ---- backward ---- */

/* What a task works in: (tile, widest) each, and the p_i when they were not kept. */
typedef struct room {
  char *m, *buf[3], *p[PC_MLP_MAX];
} room;

static int room_new(room *w, const pc_mlp *k) {
  size_t each = (size_t)(k->tile * k->widest) * k->es, all = 3 * each;
  for (int i = 0; k->again && i < k->layers; i++) all += (size_t)(k->tile * k->width[i + 1]) * k->es;
  if (!(w->m = pc_malloc(all + 1))) return PC_ENOMEM;
  for (int i = 0; i < 3; i++) w->buf[i] = w->m + (size_t)i * each;
  char *next = w->m + 3 * each;
  for (int i = 0; k->again && i < k->layers; i++) {
    w->p[i] = next;
    next += (size_t)(k->tile * k->width[i + 1]) * k->es;
  }
  return PC_OK;
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
static void finish_rows(const pc_mlp *k, int64_t r, int64_t rows, const char *ga, char *spare, char *sum) {
  int64_t n = k->width[0];
  char *gx = k->gx ? at(k, k->gx, r * n) : spare;
  char *gw = k->need_norm ? at(k, sum, k->at_norm) : NULL, *gb = gw ? at(k, gw, n) : NULL;
  if (k->norm) pc_norm_rows_backward(k->d, rows, n, k->eps, ga, at(k, k->x, r * n), k->gamma, gx, gw, gb);
  if (k->norm && k->residual && k->gx) pc_tile_add(k->d, gx, at(k, k->gy, r * n), rows * n);
}

/* Where row r's gradient at the output of layer i goes, its input: into a buffer, or where all rows' stand. */
static char *gradient_at(const pc_mlp *k, int i, int64_t r, char *buf) {
  return k->g_all[i] ? at(k, k->g_all[i], (r - k->first * k->part_rows) * k->width[i + 1]) : buf;
}

static char *input_at(const pc_mlp *k, int i, int64_t r, char *buf) {
  return k->a_all[i] ? at(k, k->a_all[i], (r - k->first * k->part_rows) * k->width[i]) : buf;
}

/* Rows [r, r + rows): their gx, and what they add to the sums. */
static void tile_backward(const pc_mlp *k, int64_t r, int64_t rows, room *w, char *sum) {
  const char *x = at(k, k->x, r * k->width[0]), *gy = at(k, k->gy, r * k->width[k->layers]), *g = gy;
  char **buf = w->buf, *p[PC_MLP_MAX];
  for (int i = 0; i < k->layers; i++) p[i] = k->kept && has_act(k, i) ? pc_mlp_kept(k, i, r) : w->p[i];
  if (k->again) tile_forward(k, r, rows, buf, p, 0, NULL);
  if (k->last_act) {
    char *to = gradient_at(k, k->layers - 1, r, buf[0]);
    through_act(k, NULL, to, gy, p[k->layers - 1], rows * k->width[k->layers]);
    g = to;
  }
  for (int i = k->layers - 1; i >= k->bottom; i--) {
    int64_t in = k->width[i], out = k->width[i + 1];
    char *down = g == buf[0] ? buf[1] : buf[0], *spare = input_at(k, i, r, buf[2]);
    const char *a = i || k->norm ? spare : x;
    if (i) down = gradient_at(k, i - 1, r, down);
    if (i >= k->low) {
      int around = !i && !k->norm && k->residual;
      if (!i && !k->norm) down = at(k, k->gx, r * in);
      if (around) memcpy(down, gy, (size_t)(rows * in) * k->es);
      pc_gemm_packed(rows, pc_far(PC_ROWS((char *)g, out), g == gy), &k->back[i], NULL, around,
                     pc_far(PC_ROWS(down, in), down != buf[0] && down != buf[1] && !around));
      if (i) through_act(k, k->need_w[i] ? spare : NULL, down, down, p[i - 1], rows * in);
    } else if (i && k->need_w[i]) {
      pc_activation_run(k->act, k->d, spare, p[i - 1], rows * in);
    }
    if (!i && k->norm && k->need_w[i]) pc_norm_rows(k->d, rows, in, k->eps, x, k->gamma, k->beta, spare);
    if (k->need_w[i] && !k->apart)
      pc_gemm(k->d, out, in, rows, 1, PC_COLS((char *)g, out), PC_ROWS((char *)a, in), 1,
              PC_ROWS(at(k, sum, k->at_w[i]), in));
    if (k->need_b[i]) pc_tile_columns(k->d, at(k, sum, k->at_b[i]), g, rows, out, out);
    g = down;
    if (!i && i >= k->low) finish_rows(k, r, rows, g, buf[2], sum);
  }
}

static void backward(int64_t begin, int64_t end, void *ctx) {
  pc_mlp *k = ctx;
  room w = {NULL};
  if (room_new(&w, k) < 0) {
    __atomic_store_n(&k->failed, 1, __ATOMIC_RELAXED);
    return;
  }
  for (int64_t part = k->first + begin; part < k->first + end; part++) {
    char *sum = at(k, k->sum, part * k->sums);
    int64_t stop = (part + 1) * k->part_rows < k->rows ? (part + 1) * k->part_rows : k->rows;
    memset(sum, 0, (size_t)k->sums * k->es);
    for (int64_t r = part * k->part_rows; r < stop; r += k->tile)
      tile_backward(k, r, stop - r < k->tile ? stop - r : k->tile, &w, sum);
  }
  pc_free(w.m);
}

/* Those of row r on, of layer i, from where they stand: laid out, or as they came. */
static void add_weight(const pc_mlp *k, int i, int64_t rows, int *rc) {
  int64_t r = k->first * k->part_rows, in = k->width[i], out = k->width[i + 1];
  char *g = k->g_all[i] ? k->g_all[i] : at(k, k->gy, r * out), *a = k->a_all[i] ? k->a_all[i] : at(k, k->x, r * in);
  if (*rc < 0 || !k->need_w[i]) return;
  *rc = pc_gemm_many(&(pc_gemm_job){.d = k->d,
                                    .batch = 1,
                                    .m = out,
                                    .n = in,
                                    .k = rows,
                                    .alpha = 1,
                                    .beta = k->first > 0,
                                    .a = PC_COLS(g, out),
                                    .b = PC_ROWS(a, in),
                                    .c = PC_ROWS(k->gw[i], in)});
}

/* Room for the gradients and inputs of `rows` rows, from m on; how many bytes it takes. m NULL: only that. */
static int64_t lay_out(pc_mlp *k, int64_t rows, char *m) {
  int64_t bytes = 0;
  for (int i = 0; i < k->layers; i++) {
    int g = k->need_w[i] && pc_mlp_has_act(k, i), a = k->need_w[i] && (i || k->norm); /* else they are gy, x */
    if (m && g) k->g_all[i] = m + bytes;
    if (g) bytes += (rows * k->width[i + 1] * (int64_t)k->es + 63) / 64 * 64;
    if (m && a) k->a_all[i] = m + bytes;
    if (a) bytes += (rows * k->width[i] * (int64_t)k->es + 63) / 64 * 64;
  }
  return bytes;
}

/* Bunch after bunch: the tiles, then the weights' gradients. */
static int backward_apart(pc_mlp *k) {
  int64_t rows = k->bunch * k->part_rows < k->rows ? k->bunch * k->part_rows : k->rows;
  int rc = PC_OK;
  char *m = pc_malloc((size_t)lay_out(k, rows, NULL) + 1);
  if (!m) return PC_ENOMEM;
  lay_out(k, rows, m);
  for (k->first = 0; k->first < k->parts && rc == PC_OK && !k->failed; k->first += k->bunch) {
    int64_t n = k->parts - k->first < k->bunch ? k->parts - k->first : k->bunch, r = k->first * k->part_rows;
    pc_parallel_for(n, 1, backward, k);
    int64_t here = n * k->part_rows < k->rows - r ? n * k->part_rows : k->rows - r;
    for (int i = 0; i < k->layers && !k->failed; i++) add_weight(k, i, here, &rc);
  }
  pc_free(m);
  return rc;
}

/* ---- arguments ---- */

static int64_t width_of(const pc_tensor *t) { return t->ndim ? t->size[t->ndim - 1] : 0; }

static int check_vector(const char *what, const pc_tensor *t, int64_t n) {
  if (!t || (t->ndim == 1 && t->size[0] == n)) return PC_OK;
  return pc_fail(PC_ESHAPE, "mlp: %s %s must be (%lld): the width of x", what, pc_shape_str(t), (long long)n);
}

/* Shapes and options into *k. */
static int setup(pc_mlp *k, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *x = in[PC_MLP_X];
  int layers = (nin - PC_MLP_W) / 2, rc;
  if (layers < 1 || layers > PC_MLP_MAX || nin != PC_MLP_W + 2 * layers)
    return pc_fail(PC_EARG, "mlp: 1 to %d layers, each a weight and a bias or none, not %d tensors", PC_MLP_MAX,
                   nin - PC_MLP_W);
  *k = (pc_mlp){.layers = layers, .widest = width_of(x), .rows = 1};
  k->act = (pc_activation)v[PC_MLP_ACT].i;
  k->last_act = v[PC_MLP_LAST_ACT].i != 0;
  k->residual = v[PC_MLP_RESIDUAL].i != 0;
  k->norm = v[PC_MLP_NORM].i != 0;
  k->slopes = v[PC_MLP_KEEP].i == 2;
  k->eps = v[PC_MLP_EPS].set ? v[PC_MLP_EPS].d : 1e-5;
  k->d = pc_float_dtype(x, in[PC_MLP_W]);
  k->es = pc_dtype_size(k->d);
  if (k->act >= PC_ACTIVATION_COUNT) return pc_fail(PC_EARG, "mlp: no activation of number %d", (int)k->act);
  if (!x->ndim) return pc_fail(PC_ESHAPE, "mlp: x %s must be (...,in)", pc_shape_str(x));
  for (int i = 0; i < x->ndim - 1; i++) k->rows *= x->size[i];
  k->width[0] = width_of(x);
  for (int i = 0; i < layers; i++) {
    const pc_tensor *w = in[PC_MLP_W + 2 * i], *b = in[PC_MLP_W + 2 * i + 1];
    if (w->ndim == 2 && !i && w->size[1] != k->width[0])
      return pc_fail(PC_ESHAPE, "mlp: x %s must end in the %lld inputs of its first weight %s (out,in)",
                     pc_shape_str(x), (long long)w->size[1], pc_shape_str(w));
    if (w->ndim != 2 || w->size[1] != k->width[i])
      return pc_fail(PC_ESHAPE, "mlp: weight %d %s must be (out,%lld): what comes in is %lld wide", i + 1,
                     pc_shape_str(w), (long long)k->width[i], (long long)k->width[i]);
    if (b && (b->ndim != 1 || b->size[0] != w->size[0]))
      return pc_fail(PC_ESHAPE, "mlp: bias %d %s must be (%lld): the outputs of weight %s", i + 1, pc_shape_str(b),
                     (long long)w->size[0], pc_shape_str(w));
    k->width[i + 1] = w->size[0];
    if (w->size[0] > k->widest) k->widest = w->size[0];
  }
  if ((rc = check_vector("norm's weight", in[PC_MLP_GAMMA], k->width[0])) < 0 ||
      (rc = check_vector("norm's bias", in[PC_MLP_BETA], k->width[0])) < 0)
    return rc;
  if (k->residual && k->width[layers] != k->width[0])
    return pc_fail(PC_ESHAPE, "mlp: x %s goes around the layers, so they must end %lld wide, not %lld", pc_shape_str(x),
                   (long long)k->width[0], (long long)k->width[layers]);
  int64_t bytes = (int64_t)k->es * (2 * k->widest + k->width[0] + 1), weights = 0;
  for (int i = 0; i < layers; i++) weights += k->width[i] * k->width[i + 1] * (int64_t)k->es;
  k->tile = (weights < STREAM_FROM ? TILE_BYTES : TILE_STREAM) / bytes / TILE_UNIT * TILE_UNIT;
  if (k->tile > TILE_MAX) k->tile = TILE_MAX;
  if (k->tile > k->rows / 4)
    k->tile = (k->rows / 4 + TILE_UNIT - 1) / TILE_UNIT * TILE_UNIT; /* few rows: still a part for each thread */
  if (k->tile < TILE_MIN) k->tile = TILE_MIN;
  if (k->tile > k->rows) k->tile = k->rows ? k->rows : 1;
  return PC_OK;
}

static const char *data_or_null(const pc_tensor *t) { return t ? pc_data(t) : NULL; }

static void point(pc_mlp *k, pc_tensor *const *t) {
  k->x = pc_data(t[PC_MLP_X]);
  k->gamma = data_or_null(t[PC_MLP_GAMMA]);
  k->beta = data_or_null(t[PC_MLP_BETA]);
  for (int i = 0; i < k->layers; i++) {
    k->w[i] = pc_data(t[PC_MLP_W + 2 * i]);
    k->b[i] = data_or_null(t[PC_MLP_W + 2 * i + 1]);
  }
}

static int pack_ahead(pc_mlp *k, int n) {
  int rc = PC_OK;
  for (int i = 0; i < n && rc == PC_OK; i++)
    rc = pc_pack(&k->ahead[i], k->d, k->width[i], k->width[i + 1], PC_COLS((char *)k->w[i], k->width[i]));
  return rc;
}

static void unpack(pc_mlp *k) {
  for (int i = 0; i < k->layers; i++) {
    pc_pack_free(&k->ahead[i]);
    pc_pack_free(&k->back[i]);
  }
}

static double flops(const pc_mlp *k) {
  double n = 0;
  for (int i = 0; i < k->layers; i++) n += 2.0 * (double)k->width[i] * (double)k->width[i + 1];
  return n * (double)k->rows;
}

static const double serial_flops = 1.5e6; /* below, a second thread costs more than it brings */

static int run_forward(pc_mlp *k) {
  if (pc_cpu_tier() == PC_TIER_REF) return pc_mlp_plain_forward(k);
  int rc = pack_ahead(k, k->layers);
  if (rc < 0) return rc;
  int64_t tiles = (k->rows + k->tile - 1) / k->tile;
  pc_parallel_for(tiles, flops(k) < serial_flops ? tiles : tiles / 32 + 1, forward, k);
  return k->failed ? PC_ENOMEM : PC_OK;
}

int pc_fwd_mlp(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *t[PC_MLP_W + 2 * PC_MLP_MAX] = {NULL};
  pc_mlp k;
  out[0] = out[1] = NULL;
  int rc = setup(&k, in, nin, v);
  if (rc < 0) return rc;
  const pc_tensor *x = in[PC_MLP_X];
  int64_t size[PC_MAX_DIM], kept = 0;
  memcpy(size, x->size, sizeof size);
  size[x->ndim - 1] = k.width[k.layers];
  for (int i = 0; v[PC_MLP_KEEP].i && i < k.layers; i++)
    if (has_act(&k, i)) kept += k.rows * k.width[i + 1];
  if ((rc = pc_take(t, in, nin, k.d)) < 0 || (rc = pc_tensor_empty(&out[0], k.d, x->ndim, size)) < 0 ||
      (rc = pc_tensor_empty(&out[1], k.d, 1, &kept)) < 0)
    goto done;
  point(&k, t);
  k.y = pc_data(out[0]);
  k.kept = kept ? pc_data(out[1]) : NULL;
  if (pc_numel(out[0]) || kept) rc = run_forward(&k);
  unpack(&k);
done:
  pc_drop(t, nin);
  if (rc < 0) pc_drop(out, 2);
  return rc;
}

/* Which layers work, and where their sums go. */
static void plan_backward(pc_mlp *k, uint64_t need) {
  int lowest = k->layers;
  int64_t weights = 0, laid = 0;
  for (int i = 0; i < k->layers; i++) {
    k->need_w[i] = need >> (PC_MLP_W + 2 * i) & 1;
    if (!k->need_w[i]) continue;
    weights += k->width[i] * k->width[i + 1] * (int64_t)k->es;
    laid += (k->width[i] + k->width[i + 1]) * (int64_t)k->es;
  }
  k->apart = weights >= APART_FROM && pc_cpu_tier() != PC_TIER_REF;
  for (int i = k->layers - 1; i >= 0; i--) {
    k->need_b[i] = need >> (PC_MLP_W + 2 * i + 1) & 1;
    if (k->need_w[i] || k->need_b[i]) lowest = i;
    k->at_w[i] = k->sums;
    if (k->need_w[i] && !k->apart) k->sums += k->width[i] * k->width[i + 1];
    k->at_b[i] = k->sums;
    if (k->need_b[i]) k->sums += k->width[i + 1];
  }
  k->need_norm = k->norm && need & (1u << PC_MLP_GAMMA | 1u << PC_MLP_BETA);
  int down = need & 1 || k->need_norm;
  k->low = down ? 0 : lowest + 1;
  k->bottom = down ? 0 : lowest;
  k->at_norm = k->sums;
  if (k->need_norm) k->sums += 2 * k->width[0];
  int64_t tiles = (k->rows + k->tile - 1) / k->tile, most = k->sums && !k->apart ? PARTS : PARTS_APART;
  if (flops(k) < serial_flops) most = 1;
  k->part_rows = (tiles + most - 1) / most * k->tile;
  k->parts = k->part_rows ? (k->rows + k->part_rows - 1) / k->part_rows : 0;
  if (!k->apart) return;
  k->bunch = k->part_rows ? BUNCH_BYTES / (k->part_rows * laid) : 1;
  if (k->bunch < 4) k->bunch = 4;
}

/* The gradient of a weight needs what came into its layer. */
static int wants_values(const pc_mlp *k) {
  for (int i = 1; i < k->layers; i++)
    if (k->need_w[i]) return 1;
  return 0;
}

static int run_backward(pc_mlp *k) {
  k->sum = pc_calloc((size_t)(k->parts * k->sums + 1), k->es);
  if (!k->sum) return PC_ENOMEM;
  if (pc_cpu_tier() == PC_TIER_REF) return pc_mlp_plain_backward(k);
  int rc = k->again ? pack_ahead(k, k->layers) : PC_OK;
  for (int i = k->low; i < k->layers && rc == PC_OK; i++)
    rc = pc_pack(&k->back[i], k->d, k->width[i + 1], k->width[i], PC_ROWS((char *)k->w[i], k->width[i]));
  if (rc < 0) return rc;
  if (k->apart)
    rc = backward_apart(k);
  else
    pc_parallel_for(k->parts, 1, backward, k);
  return k->failed ? PC_ENOMEM : rc;
}

/* The sums of n numbers from place `from` of all parts, in order. */
static int fold(pc_tensor **out, const pc_mlp *k, int64_t from, int ndim, const int64_t *size) {
  int rc = pc_tensor_empty(out, k->d, ndim, size);
  if (rc < 0) return rc;
  int64_t n = pc_numel(*out);
  if (!k->parts) {
    memset(pc_data(*out), 0, (size_t)n * k->es);
    return PC_OK;
  }
  memcpy(pc_data(*out), at(k, k->sum, from), (size_t)n * k->es);
  for (int64_t p = 1; p < k->parts; p++) pc_tile_add(k->d, pc_data(*out), at(k, k->sum, p * k->sums + from), n);
  return PC_OK;
}

static int hand_out(pc_tensor **out, const pc_mlp *k, uint64_t need) {
  int rc = PC_OK;
  if (k->norm && need >> PC_MLP_GAMMA & 1) rc = fold(&out[PC_MLP_GAMMA], k, k->at_norm, 1, k->width);
  if (rc == PC_OK && k->norm && need >> PC_MLP_BETA & 1)
    rc = fold(&out[PC_MLP_BETA], k, k->at_norm + k->width[0], 1, k->width);
  for (int i = 0; i < k->layers && rc == PC_OK; i++) {
    if (k->need_w[i] && !k->apart)
      rc = fold(&out[PC_MLP_W + 2 * i], k, k->at_w[i], 2, (int64_t[]){k->width[i + 1], k->width[i]});
    if (rc == PC_OK && k->need_b[i]) rc = fold(&out[PC_MLP_W + 2 * i + 1], k, k->at_b[i], 1, &k->width[i + 1]);
  }
  return rc;
}

int pc_fwd_mlp_backward(pc_tensor **out, pc_tensor *const *all, int nall, const pc_val *v) {
  pc_tensor *const *in = all + 2, *gy = all[0], *kept = all[1];
  int nin = nall - 2;
  uint64_t need = (uint64_t)v[PC_MLP_NEED].i;
  pc_tensor *t[PC_MLP_W + 2 * PC_MLP_MAX] = {NULL}, *g = NULL;
  pc_mlp k;
  for (int i = 0; i < nin; i++) out[i] = NULL;
  int rc = setup(&k, in, nin, v);
  if (rc < 0) return rc;
  if ((rc = pc_take(t, in, nin, k.d)) < 0 || (rc = pc_take(&g, &gy, 1, k.d)) < 0) goto done;
  const pc_tensor *x = in[PC_MLP_X];
  if (need & 1 && (rc = pc_tensor_empty(&out[PC_MLP_X], k.d, x->ndim, x->size)) < 0) goto done;
  plan_backward(&k, need);
  point(&k, t);
  for (int i = 0; k.apart && i < k.layers; i++) {
    if (!k.need_w[i]) continue;
    const int64_t shape[2] = {k.width[i + 1], k.width[i]};
    if ((rc = (k.rows ? pc_tensor_empty : pc_tensor_zeros)(&out[PC_MLP_W + 2 * i], k.d, 2, shape)) < 0) goto done;
    k.gw[i] = pc_data(out[PC_MLP_W + 2 * i]);
  }
  k.gy = pc_data(g);
  k.gx = out[PC_MLP_X] ? pc_data(out[PC_MLP_X]) : NULL;
  k.kept = kept && pc_numel(kept) && !(k.slopes && wants_values(&k)) ? pc_data(kept) : NULL;
  k.again = !k.kept && (k.layers > 1 || k.last_act);
  if ((rc = run_backward(&k)) == PC_OK) rc = hand_out(out, &k, need);
  pc_free(k.sum);
  unpack(&k);
done:
  pc_drop(t, nin);
  pc_tensor_release(g);
  if (rc < 0) pc_drop(out, nin);
  return rc;
}
