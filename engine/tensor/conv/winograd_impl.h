/* winograd_impl.h: what the three operations of winograd.c and winograd_weight.c share (winograd_plan.c): how a
 * geometry is split into filters of three taps, its tiles, transforms of many tiles, products.
 *
 * Tiles of all images are numbered through; a block is some that follow each other. What lies between the transforms is
 * kept by points: point p of all tiles of a block, then the next.
 */
#ifndef PC_TENSOR_WINOGRAD_IMPL_H
#define PC_TENSOR_WINOGRAD_IMPL_H

#include "tensor/conv/conv_impl.h"
#include "tensor/gemm/gemm_kernel.h"
#include "tensor/conv/winograd_kernel.h"

enum {
  PC_WG_STRIDE = 3, /* at most */
  PC_WG_RESIDUES = PC_WG_STRIDE * PC_WG_STRIDE,
  PC_WG_TILE = 4,
  PC_WG_WINDOW = 6,
  PC_WG_PAD = 16,  /* floats between points, lest all lie a power of two apart */
  PC_WG_LINE = 16, /* floats a cache line */
  /* What lies between the transforms, with 1 MiB of L2; half of it with less. The sums of the weight gradient pass by
   * once a block: fewer blocks are worth a little of L3. */
  PC_WG_RUN_BYTES = 600 << 10,
  PC_WG_WEIGHT_BYTES = 1792 << 10
};

/* One dimension: taps by residue. */
typedef struct pc_wg_split {
  int64_t first;            /* offset of the first tap */
  int tap[PC_WG_STRIDE][3]; /* its number, or -1 */
} pc_wg_split;

/* Images read in windows or tiles: pixel i of tile t is s·(4t + i + first) + residue. */
typedef struct pc_wg_reader {
  const float *x;
  const uint8_t *mask; /* or NULL */
  int64_t h, w, c, sy, sx, y0, x0;
  int size; /* pixels a side */
} pc_wg_reader;

typedef struct pc_wg_job {
  const pc_conv_geo *g;
  const pc_kernel *kernel;
  const pc_wg_kernel *wg;
  pc_wg_split y, x;
  int residues, together;          /* sy·sx; at work at once */
  uint64_t points[PC_WG_RESIDUES]; /* bits: products that are not zero */
  int taps[PC_WG_RESIDUES][9];     /* in the order of the windows; -1: none */
  int64_t ty, tx, tiles;           /* tiles of an image, and of all */
  int64_t block, blocks;           /* tiles a block */
  pc_wg_reader src, gy;            /* gy: weight only */
  pc_wg_reader out;                /* forward and transpose: the grid written, sizes only */
  const float *w, *bias;
  float *dst, *u, *zeros;                                                           /* u: weights; zeros: a pixel */
  int64_t place[PC_WG_RESIDUES][PC_WG_POINTS], panel[PC_WG_RESIDUES][PC_WG_POINTS]; /* of weights, or of sums */
  int64_t sums, parts;                                                              /* weight: floats of sums */
  float *part;
  int relu, failed;
} pc_wg_job;

/* Tile t of image n, row i, column j. */
typedef struct pc_wg_spot {
  int64_t n, i, j;
} pc_wg_spot;

/* Pixels that what comes after the products at work will read or write. Each call of a kernel asks for some of their
 * lines, so that they come while it computes. */
typedef struct pc_wg_ahead {
  const float **at;         /* pixels */
  int64_t n, lines;         /* how many; lines of one */
  int64_t pixel, line, per; /* where it is; lines a call */
} pc_wg_ahead;

static inline int pc_wg_active(const pc_wg_job *j, int r, int p) { return (int)(j->points[r] >> p & 1); }
static inline int64_t pc_wg_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t pc_wg_rows(const pc_wg_job *j, int64_t first) {
  return j->tiles - first < j->block ? j->tiles - first : j->block;
}

pc_wg_spot pc_wg_spot_of(const pc_wg_job *j, int64_t tile);
void pc_wg_next(const pc_wg_job *j, pc_wg_spot *s);

/* Splits the geometry; PC_ENOMEM is its only failure. reversed: taps as transpose meets them. */
int pc_wg_start(pc_wg_job *j, const pc_conv_geo *g, int transposed);
pc_wg_reader pc_wg_big_side(const pc_wg_job *j, const float *x, const uint8_t *mask);
/* Tiles a block: as many as take `most` bytes at `bytes` each, at least `least`, a multiple of `step`, all blocks about
 * the same; four blocks where there are tiles enough, for the threads. */
void pc_wg_cut(pc_wg_job *j, int64_t most, int64_t bytes, int64_t step, int64_t least);
void pc_wg_fail(pc_wg_job *j);

/* `rows` tiles from `first` on: all points of residue r, each to floats `apart` after the tile before. */
void pc_wg_transform(const pc_wg_job *j, const pc_wg_reader *s, int64_t first, int64_t rows, int r, float *to,
                     int64_t point, int64_t panel, int64_t apart);
/* C (rows, cols) (+)= A B: rows of A lda floats apart, read by runs; B in panels. */
void pc_wg_product(const pc_wg_job *j, int64_t rows, int64_t cols, const float *a, int64_t lda, const pc_k_run *runs,
                   int nruns, const float *b, int64_t panel, float *c, int64_t ldc, int add, pc_wg_ahead *soon);

/* Adds the middle of all windows of residue r. */
void pc_wg_windows_ahead(const pc_wg_job *j, pc_wg_ahead *a, int64_t first, int64_t rows, int r);
/* Begins: products (rows, cols) of residues from..to-1 are next. */
void pc_wg_begin(const pc_wg_job *j, pc_wg_ahead *a, int64_t channels, int from, int to, int64_t rows, int64_t cols);

#endif
