/* conv_kernel.c: geometry of the three convolutions, and their f64 form: gather a tile of pixels,
 * multiply, write. f32 multiplies less where that pays (winograd.c), else reads its windows in place (conv_window.c)
 * unless a kernel has very many taps. */
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "tensor/backend.h"
#include "tensor/conv/conv_impl.h"
#include "tensor/tile.h"

enum { LINE = 64 };

/* ---- gathering ---- */

/* Short runs go in whole lines of 64 bytes: what is written too much is overwritten by the next
 * run or falls into the buffer's slack; nothing is read past the source's end. */
static inline void copy_run(char *to, const char *from, size_t len, const char *end) {
  if (len > 256 || (size_t)(end - from) < len + LINE) {
    memcpy(to, from, len);
    return;
  }
  for (size_t i = 0; i < len; i += LINE) memcpy(to + i, from + i, LINE);
}

/* One row: the pixels of every run, zero outside the image. ch: first channel of the group. */
static void gather_row(const pc_conv_job *j, const pc_grid_piece *p, char *to, int64_t n, int64_t i, int64_t jx,
                       int64_t ch) {
  size_t pixel = (size_t)j->cin * j->es;
  int whole = j->cin == j->c;
  for (const pc_taps *r = p->runs; r < p->runs + p->nruns; r++) {
    int64_t y = i * p->isy + r->dy, x = jx * p->isx + r->dx, left = 0, right = r->count;
    if (y < 0 || y >= j->h)
      left = right;
    else if (x < 0)
      left = -x < right ? -x : right;
    if (right > j->w - x) right = j->w - x > left ? j->w - x : left;
    const char *from = j->src + (size_t)(((n * j->h + y) * j->w + x + left) * j->c + ch) * j->es;
    if (left) memset(to, 0, (size_t)left * pixel);
    if (whole) {
      copy_run(to + (size_t)left * pixel, from, (size_t)(right - left) * pixel, j->src_end);
    } else {
      for (int64_t q = left; q < right; q++, from += (size_t)j->c * j->es) memcpy(to + (size_t)q * pixel, from, pixel);
    }
    if (right < r->count) memset(to + (size_t)right * pixel, 0, (size_t)(r->count - right) * pixel);
    to += (size_t)r->count * pixel;
  }
}

static void gather(const pc_conv_job *j, const pc_grid_piece *p, char *to, int64_t row, int64_t rows, int64_t ch) {
  int64_t jx = row % p->gw, i = row / p->gw % p->gh, n = row / p->gw / p->gh;
  size_t len = (size_t)p->k * j->es;
  for (int64_t r = 0; r < rows; r++, to += len) {
    gather_row(j, p, to, n, i, jx, ch);
    if (++jx < p->gw) continue;
    jx = 0;
    if (++i < p->gh) continue;
    i = 0;
    n++;
  }
}

/* A 1x1 kernel that reads every pixel once needs no gathering: the image is the matrix. */
static int is_direct(const pc_conv_job *j, const pc_grid_piece *p) {
  return p->nruns == 1 && p->runs->count == 1 && !p->runs->dy && !p->runs->dx && p->isy == 1 && p->isx == 1 &&
         p->gh == j->h && p->gw == j->w;
}

static int is_dense(const pc_conv_job *j, const pc_grid_piece *p) {
  return p->osy == 1 && p->osx == 1 && p->gh == j->oh && p->gw == j->ow;
}

/* The matrix of `rows` rows of group q: gathered into buf, or the source itself. */
static pc_mat source(const pc_conv_job *j, const pc_grid_piece *p, char *buf, int64_t row, int64_t rows, int64_t q) {
  if (is_direct(j, p)) return PC_ROWS((char *)j->src + (size_t)(row * j->c + q * j->cin) * j->es, j->c);
  gather(j, p, buf, row, rows, q * j->cin);
  return PC_ROWS(buf, p->k);
}

/* ---- forward, and the phases of the transpose ---- */

static void lay_bias(const pc_conv_job *j, char *rows, int64_t n, int64_t ld, int64_t q) {
  size_t len = (size_t)j->cout * j->es;
  for (int64_t r = 0; r < n; r++, rows += (size_t)ld * j->es) {
    if (j->bias)
      memcpy(rows, j->bias + (size_t)q * len, len);
    else
      memset(rows, 0, len);
  }
}

static void scatter(const pc_conv_job *j, const pc_grid_piece *p, const char *from, int64_t row, int64_t rows,
                    int64_t q) {
  size_t len = (size_t)j->cout * j->es;
  for (int64_t r = row; r < row + rows; r++, from += len) {
    int64_t x = p->ox0 + r % p->gw * p->osx, y = p->oy0 + r / p->gw % p->gh * p->osy, n = r / p->gw / p->gh;
    memcpy(j->dst + (size_t)(((n * j->oh + y) * j->ow + x) * j->o + q * j->cout) * j->es, from, len);
  }
}

static void run_tile(pc_conv_job *j, const pc_grid_piece *p, int64_t t) {
  int64_t row = t * p->tile, all = j->n * p->gh * p->gw, rows = all - row < p->tile ? all - row : p->tile;
  int dense = is_dense(j, p);
  size_t cols = is_direct(j, p) ? 0 : (size_t)(rows * p->k), outs = dense ? 0 : (size_t)(rows * j->cout);
  char *buf = pc_malloc((cols + outs) * j->es + LINE), *out = buf ? buf + cols * j->es + LINE : NULL;
  if (!buf) {
    __atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED);
    return;
  }
  for (int64_t q = 0; q < j->groups; q++) {
    pc_mat a = source(j, p, buf, row, rows, q), b = p->b;
    b.p = (char *)b.p + (size_t)(q * p->bgroup) * j->es;
    pc_mat c = dense ? PC_ROWS(j->dst + (size_t)(row * j->o + q * j->cout) * j->es, j->o) : PC_ROWS(out, j->cout);
    lay_bias(j, c.p, rows, c.rs, q);
    if (p->k) pc_gemm(j->d, rows, j->cout, p->k, 1, a, b, 1, c);
    if (!dense) scatter(j, p, out, row, rows, q);
  }
  pc_free(buf);
}

static void run_tiles(int64_t begin, int64_t end, void *ctx) {
  pc_conv_job *j = ctx;
  int at = 0;
  for (int64_t t = begin; t < end; t++) {
    while (t >= j->pieces[at].first + j->pieces[at].tiles) at++;
    run_tile(j, &j->pieces[at], t - j->pieces[at].first);
  }
}

/* Cuts the pieces into tiles; returns how many. */
static int64_t cut(pc_conv_job *j) {
  int64_t total = 0;
  j->src_end = j->src + (size_t)(j->n * j->h * j->w * j->c) * j->es;
  for (pc_grid_piece *p = j->pieces; p < j->pieces + j->npieces; p++) {
    int64_t rows = j->n * p->gh * p->gw, most = ((rows + 3) / 4 + 15) / 16 * 16;
    double flops = 2.0 * (double)rows * (double)p->k * (double)j->o;
    p->tile = pc_tile_rows(rows, (int64_t)j->es * (p->k + j->cout));
    if (flops > PC_SERIAL_FLOPS && p->tile > most) p->tile = most < 32 ? 32 : most;
    p->tiles = (rows + p->tile - 1) / p->tile;
    p->first = total;
    total += p->tiles;
  }
  return total;
}

static int run_job(pc_conv_job *j) {
  double flops = 0;
  if (j->in_place) return pc_window_run(j);
  for (int i = 0; i < j->npieces; i++)
    flops += 2.0 * (double)(j->n * j->pieces[i].gh * j->pieces[i].gw) * (double)j->pieces[i].k * (double)j->o;
  int64_t tiles = cut(j);
  pc_parallel_for(tiles, flops > PC_SERIAL_FLOPS ? 1 : tiles, run_tiles, j);
  return j->failed ? PC_ENOMEM : PC_OK;
}

/* Whether conv_window.c takes it. */
static int in_place(pc_dtype d, const pc_conv_geo *g) {
  enum { MAX_TAPS = 512 };
  return d == PC_F32 && g->kh * g->kw <= MAX_TAPS && g->n && g->c && g->o;
}

/* ---- making pieces ---- */

/* Appends a tap, longer runs where pixels are neighbours and all channels are read. */
static void add_tap(pc_grid_piece *p, int64_t dy, int64_t dx, int merge) {
  pc_taps *last = p->nruns ? &p->runs[p->nruns - 1] : NULL;
  if (merge && last && last->dy == dy && last->dx + last->count == dx)
    last->count++;
  else
    p->runs[p->nruns++] = (pc_taps){dy, dx, 1};
}

static pc_grid_piece conv_piece(const pc_conv_geo *g, pc_taps *runs) {
  int64_t cg = g->c / g->groups;
  pc_grid_piece p = {.gh = g->oh, .gw = g->ow, .isy = g->sy, .isx = g->sx, .osy = 1, .osx = 1, .runs = runs};
  p.k = g->kh * g->kw * cg;
  for (int64_t ky = 0; ky < g->kh; ky++)
    for (int64_t kx = 0; kx < g->kw; kx++) add_tap(&p, ky * g->dy - g->py, kx * g->dx - g->px, g->groups == 1);
  return p;
}

/* From the big side to the small one, or back. */
static pc_conv_job job_of(pc_dtype d, const pc_conv_geo *g, const void *src, pc_conv_fused f, int back) {
  return (pc_conv_job){.d = d,
                       .es = pc_dtype_size(d),
                       .fused = f,
                       .in_place = in_place(d, g),
                       .src = src,
                       .n = g->n,
                       .h = back ? g->oh : g->h,
                       .w = back ? g->ow : g->w,
                       .c = back ? g->o : g->c,
                       .cin = (back ? g->o : g->c) / g->groups,
                       .oh = back ? g->h : g->oh,
                       .ow = back ? g->w : g->ow,
                       .o = back ? g->c : g->o,
                       .cout = (back ? g->c : g->o) / g->groups,
                       .groups = g->groups};
}

static int forward(pc_dtype d, const pc_conv_geo *g, void *y, const void *x, const void *w, const void *bias,
                   pc_conv_fused f) {
  pc_conv_job j = job_of(d, g, x, f, 0);
  j.dst = y;
  j.bias = bias;
  j.npieces = 1;
  pc_taps *runs = pc_malloc(sizeof *runs * (size_t)(g->kh * g->kw));
  if (!runs) return PC_ENOMEM;
  pc_grid_piece p = conv_piece(g, runs);
  int rc;
  p.b = PC_COLS((void *)w, p.k);
  p.bgroup = j.cout * p.k;
  j.pieces = &p;
  rc = run_job(&j);
  pc_free(runs);
  return rc;
}

/* Phase (ry,rx) of the transpose: output positions with (y + py) % sy == ry read the taps with
 * ky·dy % sy == ry, at source position (y + py - ky·dy) / sy. Taps go from high to low, so that
 * source pixels go from left to right. The weights of the phase are packed (taps·cin, cout) a group. */
static char *phase_piece(const pc_conv_geo *g, pc_grid_piece *p, int64_t ry, int64_t rx, pc_taps *runs, char *pack,
                         const char *w, size_t es) {
  int64_t og = g->o / g->groups, cg = g->c / g->groups, taps = 0;
  int64_t oy0 = ((ry - g->py) % g->sy + g->sy) % g->sy, ox0 = ((rx - g->px) % g->sx + g->sx) % g->sx;
  *p = (pc_grid_piece){.isy = 1, .isx = 1, .oy0 = oy0, .ox0 = ox0, .osy = g->sy, .osx = g->sx, .runs = runs};
  p->gh = oy0 < g->h ? (g->h - oy0 + g->sy - 1) / g->sy : 0;
  p->gw = ox0 < g->w ? (g->w - ox0 + g->sx - 1) / g->sx : 0;
  p->b = PC_ROWS(pack, cg);
  for (int64_t ky = g->kh - 1; ky >= 0; ky--)
    for (int64_t kx = g->kw - 1; kx >= 0; kx--) {
      if (ky * g->dy % g->sy != ry || kx * g->dx % g->sx != rx) continue;
      add_tap(p, (oy0 + g->py - ky * g->dy) / g->sy, (ox0 + g->px - kx * g->dx) / g->sx, g->groups == 1);
      taps++;
    }
  p->k = taps * og;
  p->bgroup = p->k * cg;
  for (int64_t q = 0; q < g->groups; q++)
    for (int64_t ky = g->kh - 1; ky >= 0; ky--)
      for (int64_t kx = g->kw - 1; kx >= 0; kx--) {
        if (ky * g->dy % g->sy != ry || kx * g->dx % g->sx != rx) continue;
        for (int64_t o = q * og; o < (q + 1) * og; o++, pack += (size_t)cg * es)
          memcpy(pack, w + (size_t)(((o * g->kh + ky) * g->kw + kx) * cg) * es, (size_t)cg * es);
      }
  return pack;
}

static int transpose(pc_dtype d, const pc_conv_geo *g, void *x, const void *y, const void *w, const void *bias,
                     pc_conv_fused f) {
  pc_conv_job j = job_of(d, g, y, f, 1);
  j.dst = x;
  j.bias = bias;
  int rc = PC_ENOMEM;
  pc_grid_piece *pieces = pc_malloc(sizeof *pieces * (size_t)(g->sy * g->sx));
  pc_taps *runs = pc_malloc(sizeof *runs * (size_t)(g->kh * g->kw));
  char *pack = pc_malloc((size_t)(g->o * g->kh * g->kw * (g->c / g->groups)) * j.es), *at = pack;
  if (!pieces || !runs || !pack) goto done;
  pc_taps *free_runs = runs;
  for (int64_t ry = 0; ry < g->sy; ry++)
    for (int64_t rx = 0; rx < g->sx; rx++) {
      pc_grid_piece *p = &pieces[j.npieces];
      at = phase_piece(g, p, ry, rx, free_runs, at, w, j.es);
      free_runs += p->nruns;
      if (p->gh && p->gw) j.npieces++;
    }
  j.pieces = pieces;
  rc = run_job(&j);
done:
  pc_free(pieces);
  pc_free(runs);
  pc_free(pack);
  return rc;
}

/* ---- weight gradient ---- */

static void run_parts(int64_t begin, int64_t end, void *ctx) {
  pc_conv_job *j = ctx;
  const pc_grid_piece *p = j->pieces;
  int64_t all = j->n * p->gh * p->gw, per = (p->tiles + j->parts - 1) / j->parts, size = j->o * p->k;
  char *buf = pc_malloc((is_direct(j, p) ? 0 : (size_t)(p->tile * p->k) * j->es) + LINE);
  if (!buf) {
    __atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED);
    return;
  }
  for (int64_t part = begin; part < end; part++) {
    char *sum = j->part + (size_t)(part * size) * j->es;
    int64_t stop = (part + 1) * per < p->tiles ? (part + 1) * per : p->tiles;
    if (part * per >= stop) memset(sum, 0, (size_t)size * j->es);
    for (int64_t t = part * per; t < stop; t++) {
      int64_t row = t * p->tile, rows = all - row < p->tile ? all - row : p->tile;
      for (int64_t q = 0; q < j->groups; q++) {
        pc_mat b = source(j, p, buf, row, rows, q);
        pc_mat a = PC_COLS((char *)j->gy + (size_t)(row * j->o + q * j->cout) * j->es, j->o);
        pc_gemm(j->d, j->cout, p->k, rows, 1, a, b, t > part * per,
                PC_ROWS(sum + (size_t)(q * j->cout * p->k) * j->es, p->k));
      }
    }
  }
  pc_free(buf);
}

static int weight(pc_dtype d, const pc_conv_geo *g, void *gw, const void *x, const void *y, pc_conv_fused f) {
  pc_conv_job j = job_of(d, g, x, f, 0);
  j.gy = y;
  j.npieces = 1;
  pc_taps *runs = pc_malloc(sizeof *runs * (size_t)(g->kh * g->kw));
  if (!runs) return PC_ENOMEM;
  pc_grid_piece p = conv_piece(g, runs);
  j.pieces = &p;
  int64_t tiles = cut(&j), size = g->o * p.k;
  double flops = 2.0 * (double)(g->n * g->oh * g->ow) * (double)size;
  j.parts = flops <= PC_SERIAL_FLOPS ? 1 : pc_conv_parts(tiles, size * (int64_t)j.es);
  if (tiles && j.in_place) {
    int rc = pc_window_weight(&j, gw);
    pc_free(runs);
    return rc;
  }
  if (tiles == 0) {
    memset(gw, 0, (size_t)size * j.es);
  } else if (!(j.part = pc_malloc((size_t)(j.parts * size) * j.es))) {
    j.failed = 1;
  } else {
    pc_parallel_for(j.parts, 1, run_parts, &j);
    if (!j.failed) pc_tile_fold(d, gw, j.part, j.parts, size);
  }
  pc_free(j.part);
  pc_free(runs);
  return j.failed ? PC_ENOMEM : PC_OK;
}

/* ---- interface: what is fused is done apart where the kernels do not do it ---- */

static int64_t big(const pc_conv_geo *g) { return g->n * g->h * g->w * g->c; }
static int64_t small(const pc_conv_geo *g) { return g->n * g->oh * g->ow * g->o; }

#define MASKED(T)                                                                                        \
  static void masked_##T(T *restrict to, const T *restrict x, const uint8_t *restrict mask, int64_t n) { \
    for (int64_t i = 0; i < n; i++) to[i] = mask[i] ? x[i] : 0;                                          \
  }                                                                                                      \
  static void relu_##T(T *x, int64_t n) {                                                                \
    for (int64_t i = 0; i < n; i++) x[i] = x[i] < 0 ? 0 : x[i];                                          \
  }
MASKED(float)
MASKED(double)

/* *x := a copy where mask is not 0, to be freed by way of *copy; nothing to do without a mask. */
static int mask_apart(pc_dtype d, const void **x, void **copy, const uint8_t *mask, int64_t n) {
  *copy = NULL;
  if (!mask) return PC_OK;
  if (!(*copy = pc_malloc((size_t)n * pc_dtype_size(d)))) return PC_ENOMEM;
  if (d == PC_F32)
    masked_float(*copy, *x, mask, n);
  else
    masked_double(*copy, *x, mask, n);
  *x = *copy;
  return PC_OK;
}

static void relu_apart(pc_dtype d, void *x, int64_t n) {
  if (d == PC_F32)
    relu_float(x, n);
  else
    relu_double(x, n);
}

/* The call without what is fused: masks before, relu behind. */
static int apart(const pc_conv_call *c, int64_t na, int64_t nb, int64_t nout, int (*run)(const pc_conv_call *)) {
  pc_conv_call plain = *c;
  void *a = NULL, *b = NULL;
  plain.f = (pc_conv_fused){0};
  int rc = mask_apart(c->d, &plain.a, &a, c->f.mask, na);
  if (rc == PC_OK) rc = mask_apart(c->d, &plain.b, &b, c->f.mask_gy, nb);
  if (rc == PC_OK) rc = run(&plain);
  if (rc == PC_OK && c->f.relu) relu_apart(c->d, c->out, nout);
  pc_free(a);
  pc_free(b);
  return rc;
}

static int plain_forward(const pc_conv_call *c) {
  pc_conv_forward_ref(c->d, c->g, c->out, c->a, c->b, c->bias);
  return PC_OK;
}
static int plain_transpose(const pc_conv_call *c) {
  pc_conv_transpose_ref(c->d, c->g, c->out, c->a, c->b, c->bias);
  return PC_OK;
}
static int plain_weight(const pc_conv_call *c) {
  pc_conv_weight_ref(c->d, c->g, c->out, c->a, c->b);
  return PC_OK;
}
int pc_ref_conv_forward(pc_conv_call *c) { return apart(c, big(c->g), 0, small(c->g), plain_forward); }
int pc_ref_conv_transpose(pc_conv_call *c) { return apart(c, small(c->g), 0, big(c->g), plain_transpose); }
int pc_ref_conv_weight(pc_conv_call *c) { return apart(c, big(c->g), small(c->g), 0, plain_weight); }

static int fast_forward(const pc_conv_call *c) { return forward(c->d, c->g, c->out, c->a, c->b, c->bias, c->f); }
static int fast_transpose(const pc_conv_call *c) { return transpose(c->d, c->g, c->out, c->a, c->b, c->bias, c->f); }
static int fast_weight(const pc_conv_call *c) { return weight(c->d, c->g, c->out, c->a, c->b, c->f); }

int pc_host_conv_forward(pc_conv_call *c) {
  if (pc_winograd_suits(c->d, c->g, PC_CONV_FORWARD))
    return pc_winograd_forward(c->g, c->out, c->a, c->b, c->bias, c->f);
  return in_place(c->d, c->g) ? fast_forward(c) : apart(c, big(c->g), 0, small(c->g), fast_forward);
}

int pc_host_conv_transpose(pc_conv_call *c) {
  if (pc_winograd_suits(c->d, c->g, PC_CONV_TRANSPOSE))
    return pc_winograd_transpose(c->g, c->out, c->a, c->b, c->bias, c->f);
  return in_place(c->d, c->g) ? fast_transpose(c) : apart(c, small(c->g), 0, big(c->g), fast_transpose);
}

int pc_host_conv_weight(pc_conv_call *c) {
  if (pc_winograd_suits(c->d, c->g, PC_CONV_WEIGHT)) return pc_winograd_weight(c->g, c->out, c->a, c->b, c->f);
  return in_place(c->d, c->g) ? fast_weight(c) : apart(c, big(c->g), small(c->g), 0, fast_weight);
}

int pc_conv_forward(pc_dtype d, const pc_conv_geo *g, void *y, const void *x, const void *w, const void *bias,
                    pc_conv_fused f) {
  return pc_kernels_now()->conv_forward(&(pc_conv_call){d, g, y, x, w, bias, f});
}

int pc_conv_transpose(pc_dtype d, const pc_conv_geo *g, void *x, const void *y, const void *w, const void *bias,
                      pc_conv_fused f) {
  return pc_kernels_now()->conv_transpose(&(pc_conv_call){d, g, x, y, w, bias, f});
}

int pc_conv_weight(pc_dtype d, const pc_conv_geo *g, void *gw, const void *x, const void *y, pc_conv_fused f) {
  return pc_kernels_now()->conv_weight(&(pc_conv_call){d, g, gw, x, y, NULL, f});
}
