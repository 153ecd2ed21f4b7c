/* winograd.c: f32 convolutions with fewer multiplications: Winograd's minimal filtering F(4x4,3x3) (Lavin and Gray
 * 2015, arXiv 1509.09308).
 *
 * Four outputs of a filter of three taps, y_i = sum_k d_{i+k} w_k, need 6 products in place of 12:
 *   y = A' [(G w) . (B' d)],   two dimensions: y = A' [(G w G') . (B' d B)] A
 * where rows of B' are the polynomials that vanish at all but one of six points, A' evaluates at the points, G does so
 * over the norms. Points are 0, +-3/4, +-3/2, inf: all constants but those of G are exact in few bits, and the
 * largest errors a fifth of those with 0, +-1, +-2, inf, the mean ones half.
 *
 * Strides. The big side is split by residues, big_r[t] = big[s·t + r]; tap ky of residue r = (ky - p) mod s has offset
 * e = (ky - p - r) / s. Where all offsets are within three, first .. first+2 (5x5 with stride 2, 3x3 with 1), each
 * residue has a filter w_r of three taps, some of them zero, and all of them share the tiles of 4 of the small grid:
 *   forward    y[i] = sum_r sum_e big_r[i+e] w_r[e]: windows of 6 from 4t + first, products summed over r
 *   transpose  big_r[i] = sum_e y[i-e] w_r[e]: windows of y from 4t - first - 2, taps reversed, one result a residue
 *   weight     gw_r[e] = sum_i y[i] big_r[i+e]: the same bilinear form, so that, summed over tiles,
 *              gw_r = G' [sum (A y A') . (B' d B)] G
 *
 * A missing last tap makes the product at inf zero, a missing first one that at 0: left out. 5x5 with stride 2 takes
 * 121 products a tile in place of 400.
 *
 * Products of one point over a block of tiles are matrix products (tiles, channels) x (channels, channels), done by
 * the kernels of gemm_kernel.h. Blocks are as large as L2 takes with what lies between the transforms; the weights,
 * larger, come from L3 once a block. Windows are read from the image where it lies; pixels outside are zeros.
 *
 * An infinity or NaN of the source spreads to all outputs of its tiles. */
#include "tensor/conv/winograd_impl.h"

#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "tensor/gemm/transpose.h"

/* ---- weights ---- */

/* Where the weights of each point lie: panels (k of each residue at work at once, n); returns floats. */
static int64_t lay_weights(pc_wg_job *j, int64_t k, int64_t n) {
  const int64_t nr = j->kernel->nr;
  int64_t at = 0;
  for (int from = 0; from < j->residues; from += j->together)
    for (int p = 0; p < PC_WG_POINTS; p++) {
      int64_t rows = 0;
      for (int r = from; r < from + j->together; r++) {
        j->place[r][p] = at + rows * nr;
        if (pc_wg_active(j, r, p)) rows += k;
      }
      for (int r = from; r < from + j->together; r++) j->panel[r][p] = rows * nr;
      if (rows) at += pc_wg_up(n, nr) * rows * nr + PC_WG_PAD;
    }
  return at;
}

typedef struct filters {
  const pc_wg_job *j;
  const float *w; /* numbers of a tap and a row of panels follow each other */
  int64_t tap, row, k, n;
} filters;

static void filter_rows(int64_t begin, int64_t end, void *ctx) {
  const filters *f = ctx;
  const pc_wg_job *j = f->j;
  const float *taps[9];
  float *to[PC_WG_POINTS];
  for (int64_t t = begin; t < end; t++) {
    int64_t r = t / f->k, row = t % f->k;
    for (int i = 0; i < 9; i++) taps[i] = j->taps[r][i] < 0 ? j->zeros : f->w + j->taps[r][i] * f->tap + row * f->row;
    for (int p = 0; p < PC_WG_POINTS; p++)
      to[p] = pc_wg_active(j, (int)r, p) ? j->u + j->place[r][p] + row * j->kernel->nr : NULL;
    j->wg->filter(taps, to, j->panel[r], f->n);
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

static int make_weights(pc_wg_job *j, int forward) {
  const pc_conv_geo *g = j->g;
  int64_t k = forward ? g->c : g->o, n = forward ? g->o : g->c, taps = g->kh * g->kw, rows = 8192 / n + 1;
  filters f = {.j = j, .w = j->w, .tap = g->c, .row = taps * g->c, .k = k, .n = n};
  float *turned = NULL;
  if (!(j->u = pc_malloc(sizeof(float) * (size_t)lay_weights(j, k, n)))) return PC_ENOMEM;
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
static void write_tiles(const pc_wg_job *j, int64_t first, int64_t rows, int r, const float *m, int64_t point) {
  const pc_wg_reader *g = &j->out;
  pc_wg_out u = {.point = point, .n = g->c, .row = g->sy * g->w * g->c, .col = g->sx * g->c, .bias = j->bias};
  pc_wg_spot t = pc_wg_spot_of(j, first);
  u.relu = j->relu;
  for (int64_t i = 0; i < rows; i++, pc_wg_next(j, &t)) {
    int64_t y = g->sy * PC_WG_TILE * t.i + r / g->sx, x = g->sx * PC_WG_TILE * t.j + r % g->sx;
    if (y >= g->h || x >= g->w) continue;
    int64_t down = pc_wg_up(g->h - y, g->sy), across = pc_wg_up(g->w - x, g->sx);
    u.rows = (int)(down < PC_WG_TILE ? down : PC_WG_TILE);
    u.cols = (int)(across < PC_WG_TILE ? across : PC_WG_TILE);
    u.m = m + i * g->c;
    u.y = j->dst + ((t.n * g->h + y) * g->w + x) * g->c;
    j->wg->output(&u);
  }
}

/* Adds the pixels that write_tiles will write. */
static void outputs_ahead(const pc_wg_job *j, pc_wg_ahead *a, int64_t first, int64_t rows, int r) {
  const pc_wg_reader *g = &j->out;
  pc_wg_spot t = pc_wg_spot_of(j, first);
  for (int64_t i = 0; i < rows; i++, pc_wg_next(j, &t)) {
    int64_t y0 = g->sy * PC_WG_TILE * t.i + r / g->sx, x0 = g->sx * PC_WG_TILE * t.j + r % g->sx;
    for (int k = 0; k < PC_WG_TILE * PC_WG_TILE; k++) {
      int64_t y = y0 + k / PC_WG_TILE * g->sy, x = x0 + k % PC_WG_TILE * g->sx;
      if (y < g->h && x < g->w) a->at[a->n++] = j->dst + ((t.n * g->h + y) * g->w + x) * g->c;
    }
  }
}

/* Some residues at once; their products are added to those of the residues before. */
static void forward_block(const pc_wg_job *j, int64_t first, int64_t rows, float *v, int64_t vp, float *m, int64_t mp,
                          pc_wg_ahead *soon) {
  const int64_t c = j->g->c, o = j->g->o;
  for (int from = 0; from < j->residues; from += j->together) {
    for (int r = from; r < from + j->together; r++)
      if (j->points[r])
        pc_wg_transform(j, &j->src, first, rows, r, v + (r - from) * PC_WG_POINTS * vp, vp, j->kernel->nr, c);
    soon->n = 0;
    for (int r = from + j->together; r < from + 2 * j->together; r++) {
      if (r < j->residues)
        pc_wg_windows_ahead(j, soon, first, rows, r);
      else
        pc_wg_windows_ahead(j, soon, first + rows, pc_wg_rows(j, first + rows), r - j->residues);
    }
    pc_wg_begin(j, soon, c, from, from + j->together, rows, o);
    for (int p = 0; p < PC_WG_POINTS; p++) {
      const float *b = NULL;
      pc_k_run runs[PC_WG_RESIDUES];
      int n = 0;
      for (int r = from; r < from + j->together; r++) {
        if (!pc_wg_active(j, r, p)) continue;
        if (!n) b = j->u + j->place[r][p];
        runs[n++] = (pc_k_run){((r - from) * PC_WG_POINTS + p) * vp, c};
      }
      if (n)
        pc_wg_product(j, rows, o, v, c, runs, n, b, j->panel[from][p], m + p * mp, o, from > 0, soon);
      else if (from == 0)
        memset(m + p * mp, 0, sizeof *m * (size_t)(rows * o));
    }
  }
  write_tiles(j, first, rows, 0, m, mp);
}

static void transpose_block(const pc_wg_job *j, int64_t first, int64_t rows, float *v, int64_t vp, float *m, int64_t mp,
                            pc_wg_ahead *soon) {
  const int64_t c = j->g->c, o = j->g->o;
  const pc_k_run run = {0, o};
  pc_wg_transform(j, &j->src, first, rows, 0, v, vp, j->kernel->nr, o);
  for (int r = 0; r < j->residues; r++) {
    soon->n = 0;
    outputs_ahead(j, soon, first, rows, r);
    pc_wg_begin(j, soon, c, r, r + 1, rows, c);
    for (int p = 0; p < PC_WG_POINTS; p++)
      if (pc_wg_active(j, r, p))
        pc_wg_product(j, rows, c, v + p * vp, o, &run, 1, j->u + j->place[r][p], j->panel[r][p], m + p * mp, c, 0,
                      soon);
      else
        memset(m + p * mp, 0, sizeof *m * (size_t)(rows * c));
    write_tiles(j, first, rows, r, m, mp);
  }
}

static void run_blocks(pc_wg_job *j, int64_t begin, int64_t end, int forward) {
  int64_t vp = j->block * j->src.c + PC_WG_PAD, mp = j->block * j->out.c + PC_WG_PAD;
  int64_t vs = j->together * PC_WG_POINTS * vp;
  float *v = pc_malloc(sizeof *v * (size_t)(vs + PC_WG_POINTS * mp));
  pc_wg_ahead soon = {.at = pc_malloc(sizeof *soon.at * (size_t)(j->together * j->block * PC_WG_TILE * PC_WG_TILE))};
  if (!v || !soon.at) pc_wg_fail(j);
  for (int64_t b = begin; b < end && v && soon.at; b++) {
    int64_t first = b * j->block, rows = pc_wg_rows(j, first);
    (forward ? forward_block : transpose_block)(j, first, rows, v, vp, v + vs, mp, &soon);
  }
  pc_free(v);
  pc_free(soon.at);
}

static void forward_blocks(int64_t begin, int64_t end, void *ctx) { run_blocks(ctx, begin, end, 1); }
static void transpose_blocks(int64_t begin, int64_t end, void *ctx) { run_blocks(ctx, begin, end, 0); }

static int run(pc_wg_job *j, int forward) {
  j->together = forward ? (int)j->g->sx : 1; /* a row of residues: whole rows of the image */
  int rc = make_weights(j, forward);
  if (rc == PC_OK) {
    int64_t bytes = (j->src.c * j->together + j->out.c) * PC_WG_POINTS * (int64_t)sizeof(float);
    pc_wg_cut(j, PC_WG_RUN_BYTES, bytes, j->kernel->mr, j->kernel->mr);
    pc_parallel_for(j->blocks, pc_wg_up(j->blocks, 32), forward ? forward_blocks : transpose_blocks, j);
    if (j->failed) rc = PC_ENOMEM;
  }
  pc_free(j->u);
  pc_free(j->zeros);
  return rc;
}

int pc_winograd_forward(const pc_conv_geo *g, float *y, const float *x, const float *w, const float *bias,
                        pc_conv_fused f) {
  pc_wg_job j = {.w = w, .bias = bias, .dst = y, .relu = f.relu};
  if (pc_wg_start(&j, g, 0) < 0) return PC_ENOMEM;
  j.src = pc_wg_big_side(&j, x, f.mask);
  j.out = (pc_wg_reader){.h = g->oh, .w = g->ow, .c = g->o, .sy = 1, .sx = 1};
  return run(&j, 1);
}

int pc_winograd_transpose(const pc_conv_geo *g, float *x, const float *y, const float *w, const float *bias,
                          pc_conv_fused f) {
  pc_wg_job j = {.w = w, .bias = bias, .dst = x, .relu = f.relu};
  if (pc_wg_start(&j, g, 1) < 0) return PC_ENOMEM;
  j.src = (pc_wg_reader){y, f.mask, g->oh, g->ow, g->o, 1, 1, -j.y.first - 2, -j.x.first - 2, PC_WG_WINDOW};
  j.out = pc_wg_big_side(&j, NULL, NULL);
  return run(&j, 0);
}
