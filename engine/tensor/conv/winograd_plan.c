/* winograd_plan.c: geometry, tiles, transforms of many tiles and products of winograd.c. */
#include "tensor/conv/winograd_impl.h"

#include <string.h>

#include "base/alloc.h"
#include "base/cpu.h"

/* ---- geometry ---- */

enum { HINT = 2 }; /* of prefetches: to L2 */

/* 0: the taps of some residue do not fit three. */
static int split_side(pc_wg_split *d, int64_t k, int64_t s, int64_t p) {
  int64_t last = 0;
  if (s > PC_WG_STRIDE || k > 3 * PC_WG_STRIDE) return 0;
  memset(d->tap, -1, sizeof d->tap);
  for (int pass = 0; pass < 2; pass++)
    for (int64_t i = 0; i < k; i++) {
      int64_t r = ((i - p) % s + s) % s, e = (i - p - r) / s;
      if (pass) {
        d->tap[r][e - d->first] = (int)i;
      } else {
        if (i == 0 || e < d->first) d->first = e;
        if (i == 0 || e > last) last = e;
        if (last - d->first > 2) return 0;
      }
    }
  return 1;
}

/* All residues' taps and points; 0: not a filter of three taps. */
static int split_up(pc_wg_job *j, const pc_conv_geo *g, int reversed) {
  if (g->groups != 1 || g->dy != 1 || g->dx != 1 || !split_side(&j->y, g->kh, g->sy, g->py) ||
      !split_side(&j->x, g->kw, g->sx, g->px))
    return 0;
  j->g = g;
  j->residues = (int)(g->sy * g->sx);
  for (int r = 0; r < j->residues; r++) {
    int ry = r / (int)g->sx, rx = r % (int)g->sx, there[2][3] = {{0}};
    for (int i = 0; i < 9; i++) {
      int a = reversed ? 2 - i / 3 : i / 3, b = reversed ? 2 - i % 3 : i % 3;
      int ky = j->y.tap[ry][a], kx = j->x.tap[rx][b];
      j->taps[r][i] = ky < 0 || kx < 0 ? -1 : ky * (int)g->kw + kx;
      if (j->taps[r][i] >= 0) there[0][i / 3] = there[1][i % 3] = 1;
    }
    j->points[r] = 0;
    for (int p = 0; p < PC_WG_POINTS; p++) { /* points 0 and 1 of a dimension are the first and the last tap */
      int a = p / 6, b = p % 6;
      if ((a > 1 || there[0][2 * a]) && (b > 1 || there[1][2 * b]) && (there[0][0] || there[0][1] || there[0][2]))
        j->points[r] |= 1ull << p;
    }
  }
  return 1;
}

/* Sizes of the grid that tiles cover. */
static void cover(pc_wg_job *j, int transposed) {
  const pc_conv_geo *g = j->g;
  j->ty = pc_wg_up(transposed ? pc_wg_up(g->h, g->sy) : g->oh, PC_WG_TILE);
  j->tx = pc_wg_up(transposed ? pc_wg_up(g->w, g->sx) : g->ow, PC_WG_TILE);
  j->tiles = g->n * j->ty * j->tx;
}

/* Measured over 3x3, 4x4, 5x5, strides 1 and 2, 32 to 256 channels, 4 to 64 pixels, 1 to 64 images, three operations: a
 * product here costs about 1.35 of the other path's, and transforming the weights as much as that many tiles. Where
 * half of the multiplications are left, none was slower. */
int pc_winograd_suits(pc_dtype d, const pc_conv_geo *g, pc_conv_op op) {
  pc_wg_job j;
  int points = 0;
  if (d != PC_F32 || g->c % 16 || g->o % 16 || g->c < 32 || g->o < 32 || g->n < 1 || !split_up(&j, g, 0)) return 0;
  cover(&j, op == PC_CONV_TRANSPOSE);
  for (int r = 0; r < j.residues; r++) points += __builtin_popcountll(j.points[r]);
  double weights = 8 + (double)g->c * (double)g->o / 2048, ours = points * ((double)j.tiles + weights);
  return ours <= 0.5 * (double)(g->kh * g->kw) * (double)(g->n * g->oh * g->ow);
}

/* ---- tiles ---- */

pc_wg_spot pc_wg_spot_of(const pc_wg_job *j, int64_t tile) {
  return (pc_wg_spot){tile / (j->ty * j->tx), tile / j->tx % j->ty, tile % j->tx};
}

void pc_wg_next(const pc_wg_job *j, pc_wg_spot *s) {
  if (++s->j < j->tx) return;
  s->j = 0;
  if (++s->i < j->ty) return;
  s->i = 0;
  s->n++;
}

/* Addresses of the pixels of a tile's window, of its residue; those outside the image are zeros. */
static void read_tile(const pc_wg_job *j, const pc_wg_reader *s, pc_wg_spot t, int r, const float **at,
                      const uint8_t **mask) {
  int64_t y = s->sy * (PC_WG_TILE * t.i + s->y0) + r / s->sx, x = s->sx * (PC_WG_TILE * t.j + s->x0) + r % s->sx;
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

static inline void ask(pc_wg_ahead *a) {
  for (int64_t i = 0; i < a->per && a->pixel < a->n; i++) {
    __builtin_prefetch(a->at[a->pixel] + a->line * PC_WG_LINE, 0, HINT);
    if (++a->line < a->lines) continue;
    a->line = 0;
    a->pixel++;
  }
}

void pc_wg_begin(const pc_wg_job *j, pc_wg_ahead *a, int64_t channels, int from, int to, int64_t rows, int64_t cols) {
  uint64_t points = 0;
  for (int r = from; r < to; r++) points |= j->points[r];
  int64_t calls = __builtin_popcountll(points) * pc_wg_up(rows, j->kernel->mr) * pc_wg_up(cols, j->kernel->nr);
  a->pixel = a->line = 0;
  a->lines = pc_wg_up(channels, PC_WG_LINE);
  a->per = calls ? pc_wg_up(a->n * a->lines, calls) : 0;
}

void pc_wg_windows_ahead(const pc_wg_job *j, pc_wg_ahead *a, int64_t first, int64_t rows, int r) {
  const pc_wg_reader *s = &j->src;
  pc_wg_spot t = pc_wg_spot_of(j, first);
  for (int64_t i = 0; i < rows; i++, pc_wg_next(j, &t)) {
    int64_t y = s->sy * (PC_WG_TILE * t.i + s->y0 + 1) + r / s->sx,
            x = s->sx * (PC_WG_TILE * t.j + s->x0 + 1) + r % s->sx;
    for (int k = 0; k < PC_WG_TILE * PC_WG_TILE; k++) {
      int64_t py = y + k / PC_WG_TILE * s->sy, px = x + k % PC_WG_TILE * s->sx;
      if (py >= 0 && px >= 0 && py < s->h && px < s->w) a->at[a->n++] = s->x + ((t.n * s->h + py) * s->w + px) * s->c;
    }
  }
}

void pc_wg_transform(const pc_wg_job *j, const pc_wg_reader *s, int64_t first, int64_t rows, int r, float *to,
                     int64_t point, int64_t panel, int64_t apart) {
  const float *at[PC_WG_POINTS];
  const uint8_t *mask[PC_WG_POINTS];
  pc_wg_in u = {.at = at, .mask = s->mask ? mask : NULL, .n = s->c, .point = point, .panel = panel};
  pc_wg_spot t = pc_wg_spot_of(j, first);
  for (int64_t i = 0; i < rows; i++, pc_wg_next(j, &t)) {
    read_tile(j, s, t, r, at, s->mask ? mask : NULL);
    for (int q = 0; q < PC_WG_GROUPS; q++) {
      u.to = to + i * apart + q * PC_WG_GROUP * point;
      (s->size == PC_WG_WINDOW ? j->wg->window : j->wg->tile)[q](&u);
    }
  }
}

void pc_wg_product(const pc_wg_job *j, int64_t rows, int64_t cols, const float *a, int64_t lda, const pc_k_run *runs,
                   int nruns, const float *b, int64_t panel, float *c, int64_t ldc, int add, pc_wg_ahead *soon) {
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
      ask(soon);
      j->kernel->run[m](&u);
    }
  }
}

void pc_wg_cut(pc_wg_job *j, int64_t most, int64_t bytes, int64_t step, int64_t least) {
  most = (j->kernel->nr == PC_NR_MAX ? most : most / 2) / bytes / step * step;
  if (most < least) most = least;
  int64_t want = j->tiles / least < 4 ? j->tiles / least : 4;
  j->blocks = pc_wg_up(j->tiles, most);
  if (j->blocks < want) j->blocks = want;
  j->block = pc_wg_up(pc_wg_up(j->tiles, j->blocks), step) * step;
  j->blocks = pc_wg_up(j->tiles, j->block);
}

void pc_wg_fail(pc_wg_job *j) { __atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED); }

int pc_wg_start(pc_wg_job *j, const pc_conv_geo *g, int transposed) {
  split_up(j, g, transposed);
  cover(j, transposed);
  j->kernel = pc_gemm_kernel();
  j->wg = pc_winograd_kernel();
  j->zeros = pc_calloc((size_t)(g->c > g->o ? g->c : g->o), sizeof *j->zeros);
  return j->zeros ? PC_OK : PC_ENOMEM;
}

pc_wg_reader pc_wg_big_side(const pc_wg_job *j, const float *x, const uint8_t *mask) {
  const pc_conv_geo *g = j->g;
  return (pc_wg_reader){x, mask, g->h, g->w, g->c, g->sy, g->sx, j->y.first, j->x.first, PC_WG_WINDOW};
}
