/* winograd.c: f32 convolutions with fewer multiplications: Winograd's minimal filtering F(4x4,3x3) (Lavin and Gray
 * 2015, arXiv 1509.09308).
 *
 * Four outputs of a filter of three taps, y_i = sum_k d_{i+k} w_k, need 6 products in place of 12:
 *   y = A' [(G w) . (B' d)],   two dimensions: y = A' [(G w G') . (B' d B)] A
 * where rows of B' are the polynomials that vanish at all but one of six points, A' evaluates at the points, G does so
 * over the norms. Points are 0, +-3/4, +-3/2, inf: all constants but those of G are exact in few bits, and errors a
 * fifth of those with 0, +-1, +-2, inf.
 *
 * Strides. The big side is split by residues, big_r[t] = big[s·t + r]; tap ky of residue r = (ky - p) mod s has offset
 * e = (ky - p - r) / s. Where all offsets are within three, first .. first+2 (5x5 with stride 2, 3x3 with 1), each
 * residue has a filter w_r of three taps, some of them zero, and all of them share the tiles of 4 of the small grid:
 *   forward    y[i] = sum_r sum_e big_r[i+e] w_r[e]: windows of 6 from 4t + first, products summed over r
 *   transpose  big_r[i] = sum_e y[i-e] w_r[e]: windows of y from 4t - first - 2, taps reversed, one result a residue
 *   weight     gw_r[e] = sum_i y[i] big_r[i+e]: the same bilinear form, so gw_r = G' [sum over tiles (A y A') . (B' d
 * B)] G A missing last tap makes the product at inf zero, a missing first one that at 0: left out. 5x5 with stride 2
 * takes 121 products a tile in place of 400.
 *
 * Products of one point over a block of tiles are matrix products (tiles, channels) x (channels, channels), done by
 * the kernels of gemm_kernel.h. Blocks are as large as L2 takes with what lies between the transforms; the weights,
 * larger, come from L3 once a block. Windows are read from the image where it lies; pixels outside are zeros.
 *
 * An infinity or NaN of the source spreads to all outputs of its tiles. */
#include <string.h>

#include "base/alloc.h"
#include "base/cpu.h"
#include "base/parallel.h"
#include "tensor/conv_impl.h"
#include "tensor/gemm_kernel.h"
#include "tensor/transpose.h"
#include "tensor/winograd_kernel.h"

enum { MAX_STRIDE = 3, MAX_RES = MAX_STRIDE * MAX_STRIDE, TILE = 4, WINDOW = 6, PAD = 16, ALL = PC_WG_POINTS };

/* ---- geometry ---- */

typedef struct split {
  int64_t first;          /* offset of the first tap */
  int tap[MAX_STRIDE][3]; /* number of the tap, or -1 */
} split;

static int split_side(split *d, int64_t k, int64_t s, int64_t p) {
  int64_t last = 0;
  if (s > MAX_STRIDE || k > 3 * MAX_STRIDE) return 0;
  for (int pass = 0; pass < 2; pass++)
    for (int64_t i = 0; i < k; i++) {
      int64_t r = ((i - p) % s + s) % s, e = (i - p - r) / s;
      if (pass) {
        d->tap[r][e - d->first] = (int)i;
        continue;
      }
      if (i == 0 || e < d->first) d->first = e;
      if (i == 0 || e > last) last = e;
      if (last - d->first > 2) return 0;
      for (int j = 0; j < 3; j++) d->tap[r][j] = -1;
    }
  return 1;
}

/* An image side read in windows or tiles: pixel i of tile t is step·(TILE·t + i + start) + residue. */
typedef struct reader {
  const float *x;
  const uint8_t *mask; /* or NULL */
  int64_t h, w, c, sy, sx, y0, x0;
  int size; /* pixels a side */
} reader;

typedef struct job {
  const pc_conv_geo *g;
  const pc_kernel *kernel;
  const pc_wg_kernel *wg;
  split y, x;
  int residues;
  uint64_t points[MAX_RES]; /* bits: products that are not zero */
  int taps[MAX_RES][9];     /* in the order of the windows; -1: none */
  int64_t ty, tx, tiles;    /* tiles of an image and of all */
  int64_t block, blocks;    /* tiles a block */
  reader src, gy;
  const float *w, *bias;
  float *dst, *u, *zeros;
  int64_t place[MAX_RES][ALL], panel[ALL]; /* of weights: first panel's row 0 of a residue, and from panel to panel */
  int relu, failed;
  float *part;
  int64_t floats; /* of sums */
  int64_t parts;
} job;

/* All residues' taps and points; 0: not a filter of three taps. */
static int split_up(job *j, const pc_conv_geo *g, int reversed) {
  if (g->groups != 1 || g->dy != 1 || g->dx != 1 || !split_side(&j->y, g->kh, g->sy, g->py) ||
      !split_side(&j->x, g->kw, g->sx, g->px))
    return 0;
  j->g = g;
  j->residues = (int)(g->sy * g->sx);
  for (int r = 0; r < j->residues; r++) {
    int ry = r / (int)g->sx, rx = r % (int)g->sx, there[2][3] = {{0}};
    for (int i = 0; i < 9; i++) {
      int a = reversed ? 2 - i / 3 : i / 3, b = reversed ? 2 - i % 3 : i % 3;
      int ky = ry < g->kh ? j->y.tap[ry][a] : -1, kx = rx < g->kw ? j->x.tap[rx][b] : -1;
      j->taps[r][i] = ky < 0 || kx < 0 ? -1 : ky * (int)g->kw + kx;
      if (j->taps[r][i] >= 0) there[0][i / 3] = there[1][i % 3] = 1;
    }
    j->points[r] = 0;
    for (int p = 0; p < ALL; p++) { /* points 0 and 1 of a dimension are the first and the last tap */
      int a = p / 6, b = p % 6;
      if ((a > 1 || there[0][2 * a]) && (b > 1 || there[1][2 * b]) && (there[0][0] || there[0][1] || there[0][2]))
        j->points[r] |= 1ull << p;
    }
  }
  return 1;
}

static int64_t up(int64_t a, int64_t b) { return (a + b - 1) / b; }

static int active(const job *j, int r, int p) { return (int)(j->points[r] >> p & 1); }

/* Sizes of the grid that tiles cover. */
static void cover(job *j, int transposed) {
  const pc_conv_geo *g = j->g;
  j->ty = up(transposed ? up(g->h, g->sy) : g->oh, TILE);
  j->tx = up(transposed ? up(g->w, g->sx) : g->ow, TILE);
  j->tiles = g->n * j->ty * j->tx;
}

int pc_winograd_suits(pc_dtype d, const pc_conv_geo *g, pc_conv_op op) {
  job j;
  int points = 0;
  if (d != PC_F32 || pc_cpu_tier() == PC_TIER_REF || g->c % 16 || g->o % 16 || g->c < 32 || g->o < 32 || g->n < 1)
    return 0;
  if (!split_up(&j, g, 0)) return 0;
  cover(&j, op == PC_CONV_TRANSPOSE);
  for (int r = 0; r < j.residues; r++) points += __builtin_popcountll(j.points[r]);
  double ours = (double)points * (double)j.tiles, direct = (double)(g->kh * g->kw) * (double)(g->n * g->oh * g->ow);
  return ours <= 0.6 * direct && j.tiles >= 16;
}

/* ---- tiles ---- */

typedef struct spot {
  int64_t n, i, j;
} spot;

static spot spot_of(const job *j, int64_t tile) {
  return (spot){tile / (j->ty * j->tx), tile / j->tx % j->ty, tile % j->tx};
}

static void next(const job *j, spot *s) {
  if (++s->j < j->tx) return;
  s->j = 0;
  if (++s->i < j->ty) return;
  s->i = 0;
  s->n++;
}

/* Addresses of the pixels of a tile's window, of its residue; those outside the image are zeros. */
static void read_tile(const job *j, const reader *s, spot t, int r, const float **at, const uint8_t **mask) {
  int64_t y = s->sy * (TILE * t.i + s->y0) + (s->sy > 1 ? r / s->sx : 0), x = s->sx * (TILE * t.j + s->x0) + r % s->sx;
  int64_t col = s->sx * s->c;
  int lo = 0, hi = s->size;
  while (lo < hi && x + lo * s->sx < 0) lo++;
  while (hi > lo && x + (hi - 1) * s->sx >= s->w) hi--;
  for (int i = 0; i < s->size; i++, y += s->sy, at += s->size) {
    int64_t off = ((t.n * s->h + y) * s->w + x) * s->c;
    int in = y >= 0 && y < s->h;
    for (int k = 0; k < s->size; k++) at[k] = in && k >= lo && k < hi ? s->x + off + k * col : j->zeros;
    for (int k = 0; mask && k < s->size; k++)
      mask[k] = in && k >= lo && k < hi ? s->mask + off + k * col : (const uint8_t *)j->zeros;
    if (mask) mask += s->size;
  }
}

/* Transforms `rows` tiles from `first` on: group q of points, to floats a tile apart. */
static void transform(const job *j, const reader *s, int64_t first, int64_t rows, int r, int q, float *to,
                      int64_t point, int64_t panel, int64_t apart) {
  const float *at[ALL];
  const uint8_t *mask[ALL];
  pc_wg_in u = {.at = at, .mask = s->mask ? mask : NULL, .n = s->c, .point = point, .panel = panel};
  spot t = spot_of(j, first);
  for (int64_t i = 0; i < rows; i++, next(j, &t)) {
    read_tile(j, s, t, r, at, s->mask ? mask : NULL);
    u.to = to + i * apart;
    (s->size == WINDOW ? j->wg->window : j->wg->tile)[q](&u);
  }
}

/* C (rows, cols) (+)= A B: rows of A lda floats apart, read by runs; B in panels. */
static void product(const job *j, int64_t rows, int64_t cols, const float *a, int64_t lda, const pc_run *runs,
                    int nruns, const float *b, int64_t panel, float *c, int64_t ldc, int add) {
  const int64_t mr = j->kernel->mr, nr = j->kernel->nr;
  const float *ap[PC_MR_MAX];
  float *cp[PC_MR_MAX];
  pc_block u = {.a = ap, .c = cp, .runs = runs, .nruns = nruns, .add = add};
  for (int64_t at = 0; at < cols; at += nr, b += panel) {
    u.b = b;
    u.cols = (int)(cols - at < nr ? cols - at : nr);
    for (int64_t i = 0; i < rows; i += mr) {
      int64_t m = rows - i < mr ? rows - i : mr;
      for (int64_t k = 0; k < m; k++) {
        ap[k] = a + (i + k) * lda;
        cp[k] = c + (i + k) * ldc + at;
      }
      j->kernel->run[m](&u);
    }
  }
}

/* Tiles a block: as many as take `most` bytes at `bytes` each, a multiple of `step`, all blocks about the same. */
static void cut(job *j, int64_t bytes, int64_t step, int64_t least) {
  int64_t most = (j->kernel->nr == PC_NR_MAX ? 768 : 384) * 1024 / bytes / step * step;
  if (most < least) most = least;
  j->blocks = up(j->tiles, most);
  if (j->blocks < 4 && j->tiles >= 4 * step) j->blocks = 4;
  j->block = up(up(j->tiles, j->blocks), step) * step;
  j->blocks = up(j->tiles, j->block);
}

static void fail(job *j) { __atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED); }

/* ---- weights ---- */

/* Where the weights of each point lie, as panels of k (of all residues together: k times theirs) by n; returns floats.
 */
static int64_t lay_weights(job *j, int64_t k, int64_t n, int together) {
  const int64_t nr = j->kernel->nr, panels = up(n, nr);
  int64_t at = 0;
  for (int p = 0; p < ALL; p++) {
    int64_t count = 0;
    for (int r = 0; together && r < j->residues; r++)
      if (active(j, r, p)) j->place[r][p] = at + count++ * k * nr;
    j->panel[p] = (together ? count : 1) * k * nr;
    if (count) at += panels * j->panel[p] + PAD;
  }
  for (int r = 0; !together && r < j->residues; r++)
    for (int p = 0; p < ALL; p++)
      if (active(j, r, p)) {
        j->place[r][p] = at;
        at += panels * k * nr + PAD;
      }
  return at;
}

typedef struct filters {
  const job *j;
  const float *w; /* numbers of a tap and a row of panels follow each other */
  int64_t tap, row, k, n;
} filters;

static void filter_rows(int64_t begin, int64_t end, void *ctx) {
  const filters *f = ctx;
  const job *j = f->j;
  const float *taps[9];
  float *to[ALL];
  for (int64_t t = begin; t < end; t++) {
    int64_t r = t / f->k, row = t % f->k;
    for (int i = 0; i < 9; i++) taps[i] = j->taps[r][i] < 0 ? j->zeros : f->w + j->taps[r][i] * f->tap + row * f->row;
    for (int p = 0; p < ALL; p++) to[p] = active(j, (int)r, p) ? j->u + j->place[r][p] + row * j->kernel->nr : NULL;
    j->wg->filter(taps, to, j->panel, f->n);
  }
}

/* Weights (o, taps, c) as (taps, c, o) */
static void turn_taps(int64_t begin, int64_t end, void *ctx) {
  const filters *f = ctx;
  const pc_conv_geo *g = f->j->g;
  int64_t taps = g->kh * g->kw;
  for (int64_t t = begin; t < end; t++)
    pc_transpose_f32((float *)f->w + t * f->tap, f->row, f->j->w + t * g->c, taps * g->c, g->o, g->c);
}

static int make_weights(job *j, int forward) {
  const pc_conv_geo *g = j->g;
  int64_t k = forward ? g->c : g->o, n = forward ? g->o : g->c, taps = g->kh * g->kw, rows = 8192 / n + 1;
  filters f = {.j = j, .w = j->w, .tap = g->c, .row = taps * g->c, .k = k, .n = n};
  float *turned = NULL;
  if (!(j->u = pc_malloc(sizeof(float) * (size_t)lay_weights(j, k, n, forward)))) return PC_ENOMEM;
  if (forward) {
    if (!(turned = pc_malloc(sizeof *turned * (size_t)(taps * k * n)))) return PC_ENOMEM;
    f.w = turned;
    f.tap = k * n;
    f.row = n;
    pc_parallel_for(taps, rows / k + 1, turn_taps, &f);
  }
  pc_parallel_for(j->residues * k, rows, filter_rows, &f);
  pc_free(turned);
  return PC_OK;
}

/* ---- forward and transpose ---- */

/* Outputs of residue r of `rows` tiles from `first` on; products of a point `point` floats apart. */
static void write_tiles(const job *j, int64_t first, int64_t rows, int r, const float *m, int64_t point, int forward) {
  const pc_conv_geo *g = j->g;
  int64_t sy = forward ? 1 : g->sy, sx = forward ? 1 : g->sx, h = forward ? g->oh : g->h, w = forward ? g->ow : g->w;
  int64_t c = forward ? g->o : g->c;
  pc_wg_out u = {.point = point, .n = c, .row = sy * w * c, .col = sx * c, .bias = j->bias, .relu = j->relu};
  spot t = spot_of(j, first);
  for (int64_t i = 0; i < rows; i++, next(j, &t)) {
    int64_t y = sy * TILE * t.i + r / sx, x = sx * TILE * t.j + r % sx;
    if (y >= h || x >= w) continue;
    u.rows = (int)(up(h - y, sy) < TILE ? up(h - y, sy) : TILE);
    u.cols = (int)(up(w - x, sx) < TILE ? up(w - x, sx) : TILE);
    u.m = m + i * c;
    u.y = j->dst + ((t.n * h + y) * w + x) * c;
    j->wg->output(&u);
  }
}

static void forward_block(const job *j, int64_t first, int64_t rows, float *v, int64_t vp, float *m, int64_t mp) {
  const int64_t c = j->g->c, o = j->g->o, group = PC_WG_GROUP * vp;
  for (int q = 0; q < PC_WG_GROUPS; q++) {
    for (int r = 0; r < j->residues; r++)
      if (j->points[r]) transform(j, &j->src, first, rows, r, q, v + r * group, vp, j->kernel->nr, c);
    for (int i = 0; i < PC_WG_GROUP; i++) {
      int p = q * PC_WG_GROUP + i, n = 0;
      const float *b = NULL;
      pc_run runs[MAX_RES];
      for (int r = 0; r < j->residues; r++) {
        if (!active(j, r, p)) continue;
        if (!n) b = j->u + j->place[r][p];
        runs[n++] = (pc_run){r * group + i * vp, c};
      }
      if (n)
        product(j, rows, o, v, c, runs, n, b, j->panel[p], m + p * mp, o, 0);
      else
        memset(m + p * mp, 0, sizeof *m * (size_t)(rows * o));
    }
  }
  write_tiles(j, first, rows, 0, m, mp, 1);
}

static void transpose_block(const job *j, int64_t first, int64_t rows, float *v, int64_t vp, float *m, int64_t mp) {
  const int64_t c = j->g->c, o = j->g->o;
  const pc_run run = {0, o};
  for (int q = 0; q < PC_WG_GROUPS; q++)
    transform(j, &j->src, first, rows, 0, q, v + q * PC_WG_GROUP * vp, vp, j->kernel->nr, o);
  for (int r = 0; r < j->residues; r++) {
    for (int p = 0; p < ALL; p++)
      if (active(j, r, p))
        product(j, rows, c, v + p * vp, o, &run, 1, j->u + j->place[r][p], j->panel[p], m + p * mp, c, 0);
      else
        memset(m + p * mp, 0, sizeof *m * (size_t)(rows * c));
    write_tiles(j, first, rows, r, m, mp, 0);
  }
}

static void run_blocks(job *j, int64_t begin, int64_t end, int forward) {
  const pc_conv_geo *g = j->g;
  int64_t vp = j->block * (forward ? g->c : g->o) + PAD, mp = j->block * (forward ? g->o : g->c) + PAD;
  int64_t vs = (forward ? j->residues * PC_WG_GROUP : ALL) * vp;
  float *v = pc_malloc(sizeof *v * (size_t)(vs + ALL * mp));
  if (!v) {
    fail(j);
    return;
  }
  for (int64_t first = begin * j->block, stop = end * j->block; first < stop && first < j->tiles; first += j->block) {
    int64_t rows = j->tiles - first < j->block ? j->tiles - first : j->block;
    (forward ? forward_block : transpose_block)(j, first, rows, v, vp, v + vs, mp);
  }
  pc_free(v);
}

static void forward_blocks(int64_t begin, int64_t end, void *ctx) { run_blocks(ctx, begin, end, 1); }
static void transpose_blocks(int64_t begin, int64_t end, void *ctx) { run_blocks(ctx, begin, end, 0); }

static int start(job *j, const pc_conv_geo *g, int transposed) {
  split_up(j, g, transposed);
  cover(j, transposed);
  j->kernel = pc_gemm_kernel();
  j->wg = pc_winograd_kernel();
  j->zeros = pc_calloc((size_t)(g->c > g->o ? g->c : g->o), sizeof *j->zeros);
  return j->zeros ? PC_OK : PC_ENOMEM;
}

static reader big_side(const job *j, const float *x, const uint8_t *mask) {
  const pc_conv_geo *g = j->g;
  return (reader){x, mask, g->h, g->w, g->c, g->sy, g->sx, j->y.first, j->x.first, WINDOW};
}

static int run(job *j, const pc_conv_geo *g, int forward) {
  int64_t per = (forward ? g->c * PC_WG_GROUP * j->residues + g->o * ALL : (g->c + g->o) * ALL) * 4;
  int rc = make_weights(j, forward);
  if (rc == PC_OK) {
    cut(j, per, j->kernel->mr, j->kernel->mr);
    pc_parallel_for(j->blocks, up(j->blocks, 32), forward ? forward_blocks : transpose_blocks, j);
    if (j->failed) rc = PC_ENOMEM;
  }
  pc_free(j->u);
  pc_free(j->zeros);
  return rc;
}

int pc_winograd_forward(const pc_conv_geo *g, float *y, const float *x, const float *w, const float *bias,
                        pc_conv_fused f) {
  job j = {.w = w, .bias = bias, .dst = y, .relu = f.relu};
  if (start(&j, g, 0) < 0) return PC_ENOMEM;
  j.src = big_side(&j, x, f.mask);
  return run(&j, g, 1);
}

int pc_winograd_transpose(const pc_conv_geo *g, float *x, const float *y, const float *w, const float *bias,
                          pc_conv_fused f) {
  job j = {.w = w, .bias = bias, .dst = x, .relu = f.relu};
  if (start(&j, g, 1) < 0) return PC_ENOMEM;
  j.src = (reader){y, f.mask, g->oh, g->ow, g->o, 1, 1, -j.y.first - 2, -j.x.first - 2, WINDOW};
  return run(&j, g, 0);
}

/* ---- weight gradient ---- */

enum { TURNED = 8 }; /* tiles turned at once */

/* Buffers of one thread: windows in panels (12 points), tiles turned (12), TURNED tiles before that, sums. */
typedef struct sums {
  float *v, *y, *few, *sum;
  int64_t vp, yp, fp;
} sums;

static void weight_block(const job *j, int64_t first, int64_t rows, const sums *s, int add) {
  const int64_t c = j->g->c, o = j->g->o, nr = j->kernel->nr;
  const pc_run run = {0, rows};
  for (int q = 0; q < PC_WG_GROUPS; q++) {
    for (int64_t t = 0; t < rows; t += TURNED) {
      int64_t n = rows - t < TURNED ? rows - t : TURNED;
      transform(j, &j->gy, first + t, n, 0, q, s->few, s->fp, nr, o);
      for (int i = 0; i < PC_WG_GROUP; i++)
        pc_transpose_f32(s->y + i * s->yp + t, j->block, s->few + i * s->fp, o, n, o);
    }
    for (int r = 0; r < j->residues; r++) {
      if (!j->points[r]) continue;
      transform(j, &j->src, first, rows, r, q, s->v, s->vp, j->block * nr, nr);
      for (int i = 0; i < PC_WG_GROUP; i++)
        if (active(j, r, q * PC_WG_GROUP + i))
          product(j, o, c, s->y + i * s->yp, j->block, &run, 1, s->v + i * s->vp, j->block * nr,
                  s->sum + j->place[r][q * PC_WG_GROUP + i], c, add);
    }
  }
}

/* Sums of all points to the gradient (o, taps, c). */
static void weight_taps(const job *j, const float *sum, float *gw) {
  const int64_t c = j->g->c, taps = j->g->kh * j->g->kw;
  const float *from[ALL];
  float *to[9];
  for (int r = 0; r < j->residues; r++)
    for (int64_t o = 0; o < j->g->o && j->points[r]; o++) {
      for (int p = 0; p < ALL; p++) from[p] = active(j, r, p) ? sum + j->place[r][p] + o * c : j->zeros;
      for (int i = 0; i < 9; i++) to[i] = j->taps[r][i] < 0 ? NULL : gw + (o * taps + j->taps[r][i]) * c;
      j->wg->gradient(from, to, c);
    }
}

/* Where the sums of each point lie; returns floats. */
static int64_t lay_sums(job *j) {
  int64_t at = 0;
  for (int q = 0; q < PC_WG_GROUPS; q++)
    for (int r = 0; r < j->residues; r++)
      for (int p = q * PC_WG_GROUP; p < (q + 1) * PC_WG_GROUP; p++)
        if (active(j, r, p)) {
          j->place[r][p] = at;
          at += j->g->o * j->g->c + PAD;
        }
  return at;
}

static void weight_parts(int64_t begin, int64_t end, void *ctx) {
  job *j = ctx;
  const pc_conv_geo *g = j->g;
  const int64_t nr = j->kernel->nr, all = j->floats, size = g->o * g->kh * g->kw * g->c;
  sums s = {.vp = up(g->c, nr) * nr * j->block + PAD, .yp = g->o * j->block + PAD, .fp = g->o * TURNED + PAD};
  s.v = pc_malloc(sizeof(float) * (size_t)(PC_WG_GROUP * (s.vp + s.yp + s.fp) + all));
  if (!s.v) {
    fail(j);
    return;
  }
  s.y = s.v + PC_WG_GROUP * s.vp;
  s.few = s.y + PC_WG_GROUP * s.yp;
  s.sum = s.few + PC_WG_GROUP * s.fp;
  for (int64_t part = begin; part < end; part++) {
    int64_t from = part * j->blocks / j->parts, to = (part + 1) * j->blocks / j->parts;
    for (int64_t b = from; b < to; b++) {
      int64_t first = b * j->block, rows = j->tiles - first < j->block ? j->tiles - first : j->block;
      weight_block(j, first, rows, &s, b > from);
    }
    weight_taps(j, s.sum, j->part + part * size);
  }
  pc_free(s.v);
}

int pc_winograd_weight(const pc_conv_geo *g, float *gw, const float *x, const float *y, pc_conv_fused f) {
  enum { PARTS = 8 };
  job j = {0};
  int64_t size = g->o * g->kh * g->kw * g->c;
  if (start(&j, g, 0) < 0) return PC_ENOMEM;
  j.src = big_side(&j, x, f.mask);
  j.gy = (reader){y, f.mask_gy, g->oh, g->ow, g->o, 1, 1, 0, 0, TILE};
  j.floats = lay_sums(&j);
  cut(&j, (g->c + g->o) * PC_WG_GROUP * 4, TURNED, 4 * TURNED);
  j.parts = j.blocks < PARTS ? j.blocks : PARTS;
  j.part = j.parts > 1 ? pc_malloc(sizeof *gw * (size_t)(j.parts * size)) : gw;
  if (j.part)
    pc_parallel_for(j.parts, 1, weight_parts, &j);
  else
    fail(&j);
  if (!j.failed && j.parts > 1) {
    memcpy(gw, j.part, sizeof *gw * (size_t)size);
    for (int64_t p = 1; p < j.parts; p++)
      for (int64_t i = 0; i < size; i++) gw[i] += j.part[p * size + i];
  }
  if (j.parts > 1) pc_free(j.part);
  pc_free(j.zeros);
  return j.failed ? PC_ENOMEM : PC_OK;
}
