/* conv_window.c: f32 convolutions that read their windows in place.
 *
 * With channels last, the kw pixels of one row of a window are one run of kw·C
 * floats, and a window is kh runs: exactly a row of A as the kernels take it
 * (gemm_kernel.h). So an image is copied once into a frame of zeros that stays
 * in L2, and every output pixel is a row given by an address in it; im2col would
 * write and read each number kh·kw times. A phase of a transposed convolution is
 * the same with other taps and output pixels a stride apart. The gradient of the
 * weight (o, kh·kw·C) has gy turned as A and panels of the framed image as B. */
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "base/simd.h"
#include "tensor/conv/conv_impl.h"
#include "tensor/gemm/gemm_kernel.h"
#include "tensor/gemm/transpose.h"
#include "tensor/tile.h"

enum {
  CHUNK = 48,     /* output pixels at work: their windows overlap and stay in L1 */
  GROUP = 320,    /* floats of a window at work: a panel of that many rows stays in L1 */
  MAX_RUNS = 512, /* runs of a piece; larger kernels gather */
  PIXELS = 256    /* of gy turned at once, about */
};

/* The frame around an image: rows above and below, columns left and right. */
typedef struct frame {
  int64_t top, left, h, w; /* h, w with the frame */
  int direct;              /* none needed: the image itself */
} frame;

static frame frame_of(const pc_conv_job *j) {
  int64_t y0 = 0, x0 = 0, y1 = j->h - 1, x1 = j->w - 1;
  for (const pc_grid_piece *p = j->pieces; p < j->pieces + j->npieces; p++)
    for (const pc_taps *r = p->runs; r < p->runs + p->nruns; r++) {
      int64_t yl = (p->gh - 1) * p->isy + r->dy, xl = (p->gw - 1) * p->isx + r->dx + r->count - 1;
      if (r->dy < y0) y0 = r->dy;
      if (r->dx < x0) x0 = r->dx;
      if (yl > y1) y1 = yl;
      if (xl > x1) x1 = xl;
    }
  frame f = {.top = -y0, .left = -x0, .h = y1 - y0 + 1, .w = x1 - x0 + 1};
  f.direct = f.h == j->h && f.w == j->w && !j->fused.mask;
  return f;
}

/* to = from[at..at+n), where mask is not 0 (NULL: everywhere) */
PC_CLONES static void copy_masked(float *restrict to, const float *restrict from, const uint8_t *restrict mask,
                                  int64_t at, int64_t n) {
  if (!mask)
    memcpy(to, from + at, sizeof *to * (size_t)n);
  else
    for (int64_t i = 0; i < n; i++) to[i] = mask[at + i] ? from[at + i] : 0;
}

/* The buffer's zeros stay: only the inside is written, image after image. */
static const float *framed(const pc_conv_job *j, const frame *f, int64_t n, float *buf) {
  const float *image = (const float *)j->src + n * j->h * j->w * j->c;
  const uint8_t *mask = j->fused.mask ? j->fused.mask + n * j->h * j->w * j->c : NULL;
  if (f->direct) return image;
  for (int64_t y = 0; y < j->h; y++)
    copy_masked(buf + ((y + f->top) * f->w + f->left) * j->c, image, mask, y * j->w * j->c, j->w * j->c);
  return buf;
}

static void clear(float *at, int64_t n) { memset(at, 0, sizeof *at * (size_t)n); }

/* Buffers of `images` images with their frames of zeros; the slack is for kernels that read a whole
 * panel's width at the end. NULL when direct. */
static int new_buffer(const pc_conv_job *j, const frame *f, int64_t images, float **buf) {
  int64_t row = f->w * j->c, below = f->h - f->top - j->h, right = f->w - f->left - j->w;
  *buf = NULL;
  if (f->direct) return PC_OK;
  if (!(*buf = pc_malloc(sizeof **buf * (size_t)(images * f->h * row + PC_NR_MAX)))) return PC_ENOMEM;
  for (float *b = *buf; images--; b += f->h * row) {
    clear(b, f->top * row);
    clear(b + (f->h - below) * row, below * row);
    for (int64_t y = f->top; y < f->h - below; y++) {
      clear(b + y * row, f->left * j->c);
      clear(b + (y + 1) * row - right * j->c, right * j->c);
    }
  }
  return PC_OK;
}

/* ---- forward, and the phases of the transpose ---- */

typedef struct packed_piece {
  pc_k_run runs[MAX_RUNS]; /* a: offset in the framed image */
  int nruns;
  int64_t k;
  float *panels; /* of group 0; the others follow, `group` floats apart */
  int64_t group;
} packed_piece;

typedef struct window {
  pc_conv_job *j;
  const pc_kernel *kernel;
  frame f;
  packed_piece *pieces;
  int64_t bands; /* parts of an image's grid rows: work for all threads when images are few */
} window;

static void set_runs(const window *w, const pc_grid_piece *p, packed_piece *k) {
  const pc_conv_job *j = w->j;
  for (const pc_taps *r = p->runs; r < p->runs + p->nruns; r++) {
    int64_t len = r->count * j->cin;
    k->runs[k->nruns++] = (pc_k_run){((r->dy + w->f.top) * w->f.w + r->dx + w->f.left) * j->c, len};
    k->k += len;
  }
}

/* Few output channels: every window at once. */
static void run_dots(const window *w, const packed_piece *k, int64_t q, const float *const *a, float *const *c,
                     int64_t rows) {
  const pc_conv_job *j = w->j;
  pc_block u = {.runs = k->runs, .nruns = k->nruns, .b = k->panels + q * k->group, .ldb = k->k, .cols = (int)j->cout};
  u.relu = j->fused.relu;
  u.init = j->bias ? (const float *)j->bias + q * j->cout : NULL;
  for (int64_t i = 0; i < rows; i += PC_DOT_ROWS) {
    u.a = a + i;
    u.c = c + i;
    w->kernel->dot[rows - i < PC_DOT_ROWS ? rows - i : PC_DOT_ROWS](&u);
  }
}

/* One panel's pass over a chunk of pixels. */
static void run_panel(const window *w, const float *const *a, float *const *c, int64_t rows, pc_block *u) {
  int64_t mr = w->kernel->mr;
  for (int64_t i = 0; i < rows; i += mr) {
    u->a = a + i;
    u->c = c + i;
    w->kernel->run[rows - i < mr ? rows - i : mr](u);
  }
}

/* Windows at a, all output channels of group q. */
static void run_group(const window *w, const packed_piece *k, int64_t q, const float *const *a, float *const *c,
                      int64_t rows) {
  const pc_conv_job *j = w->j;
  int64_t nr = w->kernel->nr, done = 0, len;
  float pad[PC_NR_MAX] = {0}, *cj[CHUNK];
  int first = 0, last;
  do { /* runs in groups, so that a panel's part fits L1; also once when there are none */
    for (last = first, len = 0; last < k->nruns && (last == first || len + k->runs[last].len <= GROUP * 16 / nr);)
      len += k->runs[last++].len;
    pc_block u = {
        .runs = k->runs + first, .nruns = last - first, .add = first > 0, .relu = j->fused.relu && last >= k->nruns};
    for (int64_t at = 0; at < j->cout; at += nr) {
      u.b = k->panels + q * k->group + at * k->k + done * nr;
      u.cols = (int)(j->cout - at < nr ? j->cout - at : nr);
      u.init = j->bias ? memcpy(pad, (const float *)j->bias + q * j->cout + at, sizeof *pad * (size_t)u.cols) : NULL;
      for (int64_t i = 0; i < rows; i++) cj[i] = c[i] + at;
      run_panel(w, a, cj, rows, &u);
    }
    first = last;
    done += len;
  } while (first < k->nruns);
}

static void run_band(const window *w, const float *image, int64_t n, int64_t band) {
  const pc_conv_job *j = w->j;
  const float *a[CHUNK], *aq[CHUNK];
  float *c[CHUNK];
  for (int i = 0; i < j->npieces; i++) {
    const pc_grid_piece *p = &j->pieces[i];
    int64_t y0 = band * p->gh / w->bands, y1 = (band + 1) * p->gh / w->bands, left = (y1 - y0) * p->gw;
    int64_t y = y0, x = 0;
    while (left > 0) {
      int64_t rows = left < CHUNK ? left : CHUNK;
      for (int64_t r = 0; r < rows; r++) {
        a[r] = image + (y * p->isy * w->f.w + x * p->isx) * j->c;
        c[r] = (float *)j->dst + (((n * j->oh + p->oy0 + y * p->osy) * j->ow) + p->ox0 + x * p->osx) * j->o;
        if (++x == p->gw) x = 0, y++;
      }
      for (int64_t q = 0; q < j->groups; q++) {
        for (int64_t r = 0; r < rows; r++) aq[r] = a[r] + q * j->cin;
        (j->cout <= PC_DOT_COLS ? run_dots : run_group)(w, &w->pieces[i], q, aq, c, rows);
        for (int64_t r = 0; r < rows; r++) c[r] += j->cout;
      }
      left -= rows;
    }
  }
}

static void run_bands(int64_t begin, int64_t end, void *ctx) {
  const window *w = ctx;
  float *buf;
  if (new_buffer(w->j, &w->f, 1, &buf) < 0) {
    __atomic_store_n(&w->j->failed, 1, __ATOMIC_RELAXED);
    return;
  }
  const float *image = NULL;
  for (int64_t t = begin, at = -1; t < end; t++) {
    int64_t n = t / w->bands;
    if (n != at) image = framed(w->j, &w->f, at = n, buf);
    run_band(w, image, n, t % w->bands);
  }
  pc_free(buf);
}

int pc_window_run(pc_conv_job *j) {
  window w = {.j = j, .kernel = pc_gemm_kernel(), .f = frame_of(j)};
  int64_t nr = w.kernel->nr, floats = 0;
  double flops = 0;
  float *panels = NULL;
  int rc = PC_ENOMEM;
  for (int i = 0; i < j->npieces; i++) {
    const pc_grid_piece *p = &j->pieces[i];
    floats += pc_panels_size(nr, p->k, j->cout) * j->groups;
    flops += 2.0 * (double)(j->n * p->gh * p->gw) * (double)p->k * (double)j->o;
  }
  if (!(w.pieces = pc_calloc((size_t)j->npieces + 1, sizeof *w.pieces)) ||
      !(panels = pc_malloc(sizeof *panels * (size_t)(floats + 1))))
    goto done;
  float *at = panels;
  for (int i = 0; i < j->npieces; i++) {
    const pc_grid_piece *p = &j->pieces[i];
    packed_piece *k = &w.pieces[i];
    set_runs(&w, p, k);
    k->panels = at;
    k->group = pc_panels_size(nr, k->k, j->cout);
    for (int64_t q = 0; q < j->groups; q++, at += k->group) {
      pc_mat b = p->b;
      b.p = (float *)b.p + q * p->bgroup;
      pc_pack_panels(at, nr, k->k, j->cout, b, 1);
    }
  }
  w.bands = j->n >= 8 || flops <= PC_SERIAL_FLOPS ? 1 : (8 + j->n - 1) / (j->n ? j->n : 1);
  int64_t tasks = j->n * w.bands,
          grain = flops <= PC_SERIAL_FLOPS ? tasks : (int64_t)(PC_SERIAL_FLOPS / (flops / (double)tasks));
  pc_parallel_for(tasks, grain, run_bands, &w);
  rc = j->failed ? PC_ENOMEM : PC_OK;
done:
  pc_free(panels);
  pc_free(w.pieces);
  return rc;
}

/* ---- weight gradient ---- */

/* A chunk of pixels whose windows are at work: some rows of one image, or several small images. */
typedef struct chunk {
  int64_t images, rows; /* grid rows of each image */
  const float *at;      /* first window; frames follow each other */
} chunk;

/* Columns [first, first + nr) of the chunk's windows as a panel: a pixel's come from one or more runs. It is read
 * for every mr output channels; in the image its lines lie a power of two apart and evict each other. Whole lines
 * are copied: what is too much is overwritten by the next run or pixel, or falls into the panel's slack. */
static void window_panel(const window *w, const chunk *c, int64_t first, int64_t q, float *to) {
  const pc_conv_job *j = w->j;
  const pc_grid_piece *p = j->pieces;
  const packed_piece *k = w->pieces;
  const int64_t nr = w->kernel->nr, step = p->isx * j->c, row = p->isy * w->f.w * j->c, image = w->f.h * w->f.w * j->c;
  int64_t from[PC_NR_MAX], put[PC_NR_MAX], col = 0;
  int n = 0;
  for (int r = 0; r < k->nruns; col += k->runs[r++].len) {
    int64_t lo = first > col ? first : col, hi = col + k->runs[r].len;
    if (hi > first + nr) hi = first + nr;
    if (lo >= hi) continue;
    from[n] = k->runs[r].off + q * j->cin + lo - col;
    put[n++] = lo - first;
  }
  for (int64_t i = 0; i < c->images; i++)
    for (int64_t y = 0; y < c->rows; y++) {
      const float *at = c->at + i * image + y * row;
      for (int64_t x = 0; x < p->gw; x++, to += nr, at += step)
        for (int s = 0; s < n; s++)
          for (int64_t f = 0; f < nr; f += 8) memcpy(to + put[s] + f, at + from[s] + f, 8 * sizeof *to);
    }
}

/* gw += gy' (cout, pixels) times the chunk's windows (pixels, k). turned: gy', rows `ld` apart. */
static void weight_chunk(const window *w, const chunk *c, const float *turned, int64_t ld, float *panel, float *sum,
                         int add) {
  const pc_conv_job *j = w->j;
  const int64_t nr = w->kernel->nr, mr = w->kernel->mr, k = w->pieces->k;
  const pc_k_run pixels = {0, c->images * c->rows * j->pieces->gw};
  const float *a[PC_MR_MAX];
  float *out[PC_MR_MAX];
  pc_block u = {.a = a, .c = out, .runs = &pixels, .nruns = 1, .b = panel, .add = add};
  for (int64_t q = 0; q < j->groups; q++)
    for (int64_t at = 0; at < k; at += nr) {
      window_panel(w, c, at, q, panel);
      u.cols = (int)(k - at < nr ? k - at : nr);
      for (int64_t o = q * j->cout; o < (q + 1) * j->cout; o += mr) {
        int64_t m = (q + 1) * j->cout - o < mr ? (q + 1) * j->cout - o : mr;
        for (int64_t i = 0; i < m; i++) {
          a[i] = turned + (o + i) * ld;
          out[i] = sum + (o + i) * k + at;
        }
        w->kernel->run[m](&u);
      }
    }
}

/* turned (o, pixels) = gy of pixels from `at` on; with a mask by way of a block on the stack */
static void turn_gy(const pc_conv_job *j, int64_t at, int64_t pixels, float *turned, int64_t ld) {
  enum { FLOATS = 2048 };
  const float *gy = (const float *)j->gy;
  const uint8_t *mask = j->fused.mask_gy;
  float block[FLOATS];
  if (!mask || j->o > FLOATS / 8) {
    pc_transpose_f32(turned, ld, gy + at * j->o, j->o, pixels, j->o);
    for (int64_t i = 0; mask && i < pixels * j->o; i++)
      if (!mask[at * j->o + i]) turned[i % j->o * ld + i / j->o] = 0;
    return;
  }
  int64_t most = FLOATS / j->o / 8 * 8;
  for (int64_t i = 0; i < pixels; i += most) {
    int64_t n = pixels - i < most ? pixels - i : most;
    copy_masked(block, gy, mask, (at + i) * j->o, n * j->o);
    pc_transpose_f32(turned + i, ld, block, j->o, n, j->o);
  }
}

/* Images n.. of the chunk are framed one after the other. */
static void weight_images(const window *w, int64_t n, int64_t images, float *buf, float *turned, int64_t ld,
                          float *panel, float *sum, int add) {
  const pc_conv_job *j = w->j;
  const pc_grid_piece *p = j->pieces;
  int64_t row = p->isy * w->f.w * j->c, most = images > 1 ? p->gh : ld / p->gw;
  for (int64_t i = 0; i < images; i++) framed(j, &w->f, n + i, buf + i * w->f.h * w->f.w * j->c);
  for (int64_t y = 0; y < p->gh; y += most) {
    chunk c = {.images = images, .rows = p->gh - y < most ? p->gh - y : most, .at = buf + y * row};
    turn_gy(j, (n * p->gh + y) * p->gw, images * c.rows * p->gw, turned, ld);
    weight_chunk(w, &c, turned, ld, panel, sum, add || y > 0);
  }
}

/* Parts are runs of images, each summed in order into a buffer of its own. */
static void weight_parts(int64_t begin, int64_t end, void *ctx) {
  window *w = ctx;
  pc_conv_job *j = w->j;
  const pc_grid_piece *p = j->pieces;
  int64_t pixels = p->gh * p->gw, images = pixels * 2 <= PIXELS ? PIXELS / pixels : 1, size = j->o * p->k,
          most = PIXELS / p->gw > 0 ? PIXELS / p->gw : 1, ld = images > 1 ? images * pixels : most * p->gw;
  float *buf, *turned = pc_malloc(sizeof *turned * (size_t)((j->o + w->kernel->nr) * ld + PC_NR_MAX));
  if (new_buffer(j, &w->f, images, &buf) < 0 || !turned) {
    __atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED);
    goto done;
  }
  for (int64_t part = begin; part < end; part++) {
    float *sum = (float *)j->part + part * size;
    int64_t first = part * j->n / j->parts, stop = (part + 1) * j->n / j->parts;
    for (int64_t n = first; n < stop; n += images)
      weight_images(w, n, stop - n < images ? stop - n : images, buf, turned, ld, turned + j->o * ld, sum, n > first);
  }
done:
  pc_free(buf);
  pc_free(turned);
}

int pc_window_weight(pc_conv_job *j, float *gw) {
  window w = {.j = j, .kernel = pc_gemm_kernel(), .f = frame_of(j), .bands = 1};
  int64_t size = j->o * j->pieces->k;
  double flops = 2.0 * (double)(j->n * j->pieces->gh * j->pieces->gw) * (double)size;
  w.f.direct = 0; /* kernels read past the last pixel: the copy has slack */
  j->parts = flops <= PC_SERIAL_FLOPS || j->n < 2 ? 1 : pc_conv_parts(j->n, size * (int64_t)sizeof *gw);
  w.pieces = pc_calloc(1, sizeof *w.pieces);
  j->part = j->parts > 1 ? pc_malloc(sizeof *gw * (size_t)(j->parts * size)) : (char *)gw;
  if (w.pieces && j->part) {
    set_runs(&w, j->pieces, w.pieces);
    pc_parallel_for(j->parts, 1, weight_parts, &w);
  }
  int rc = !w.pieces || !j->part || j->failed ? PC_ENOMEM : PC_OK;
  if (rc == PC_OK && j->parts > 1) pc_tile_fold(PC_F32, gw, j->part, j->parts, size);
  if (j->parts > 1) pc_free(j->part);
  pc_free(w.pieces);
  return rc;
}
