/* winograd_weight.c: the weight gradient of winograd.c: sums over tiles of the outer products of both sides'
 * transforms. */
#include "tensor/conv/winograd_impl.h"

#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "tensor/gemm/transpose.h"
#include "tensor/tile.h"

enum { TURNED = 8 }; /* tiles turned at once */

/* Buffers of one thread: windows in panels, tiles turned, TURNED tiles before that, sums; all points of each. */
typedef struct sums {
  float *v, *y, *few, *sum;
  int64_t vp, yp, fp;
} sums;

static void weight_block(const pc_wg_job *j, int64_t first, int64_t rows, const sums *s, int add, pc_wg_ahead *soon) {
  const int64_t c = j->g->c, o = j->g->o, nr = j->kernel->nr;
  const pc_k_run run = {0, rows};
  for (int64_t t = 0; t < rows; t += TURNED) {
    int64_t n = rows - t < TURNED ? rows - t : TURNED;
    pc_wg_transform(j, &j->gy, first + t, n, 0, s->few, s->fp, nr, o);
    for (int p = 0; p < PC_WG_POINTS; p++)
      pc_transpose_f32(s->y + p * s->yp + t, j->block, s->few + p * s->fp, o, n, o);
  }
  for (int r = 0; r < j->residues; r++) {
    if (!j->points[r]) continue;
    pc_wg_transform(j, &j->src, first, rows, r, s->v, s->vp, j->block * nr, nr);
    soon->n = 0;
    if (r + 1 < j->residues)
      pc_wg_windows_ahead(j, soon, first, rows, r + 1);
    else
      pc_wg_windows_ahead(j, soon, first + rows, pc_wg_rows(j, first + rows), 0);
    pc_wg_begin(j, soon, c, r, r + 1, o, c);
    for (int p = 0; p < PC_WG_POINTS; p++)
      if (pc_wg_active(j, r, p))
        pc_wg_product(j, o, c, s->y + p * s->yp, j->block, &run, 1, s->v + p * s->vp, j->block * nr,
                      s->sum + j->place[r][p], c, add, soon);
  }
}

/* Sums of all points to the gradient (o, taps, c). */
static void weight_taps(const pc_wg_job *j, const float *sum, float *gw) {
  const int64_t c = j->g->c, taps = j->g->kh * j->g->kw;
  const float *from[PC_WG_POINTS];
  float *to[9];
  for (int r = 0; r < j->residues; r++)
    for (int64_t o = 0; o < j->g->o && j->points[r]; o++) {
      for (int p = 0; p < PC_WG_POINTS; p++) from[p] = pc_wg_active(j, r, p) ? sum + j->place[r][p] + o * c : j->zeros;
      for (int i = 0; i < 9; i++) to[i] = j->taps[r][i] < 0 ? NULL : gw + (o * taps + j->taps[r][i]) * c;
      j->wg->gradient(from, to, c);
    }
}

/* Where the sums of each point lie; returns floats. */
static int64_t lay_sums(pc_wg_job *j) {
  int64_t at = 0;
  for (int r = 0; r < j->residues; r++)
    for (int p = 0; p < PC_WG_POINTS; p++)
      if (pc_wg_active(j, r, p)) {
        j->place[r][p] = at;
        at += j->g->o * j->g->c + PC_WG_PAD;
      }
  return at;
}

static void weight_parts(int64_t begin, int64_t end, void *ctx) {
  pc_wg_job *j = ctx;
  const pc_conv_geo *g = j->g;
  const int64_t nr = j->kernel->nr, all = j->sums, size = g->o * g->kh * g->kw * g->c;
  sums s = {.vp = pc_wg_up(g->c, nr) * nr * j->block + PC_WG_PAD,
            .yp = g->o * j->block + PC_WG_PAD,
            .fp = g->o * TURNED + PC_WG_PAD};
  s.v = pc_malloc(sizeof(float) * (size_t)(PC_WG_POINTS * (s.vp + s.yp + s.fp) + all));
  pc_wg_ahead soon = {.at = pc_malloc(sizeof *soon.at * (size_t)(j->block * PC_WG_TILE * PC_WG_TILE))};
  if (!s.v || !soon.at) {
    pc_wg_fail(j);
    goto done;
  }
  s.y = s.v + PC_WG_POINTS * s.vp;
  s.few = s.y + PC_WG_POINTS * s.yp;
  s.sum = s.few + PC_WG_POINTS * s.fp;
  for (int64_t part = begin; part < end; part++) {
    int64_t from = part * j->blocks / j->parts, to = (part + 1) * j->blocks / j->parts;
    for (int64_t b = from; b < to; b++) weight_block(j, b * j->block, pc_wg_rows(j, b * j->block), &s, b > from, &soon);
    weight_taps(j, s.sum, j->part + part * size);
  }
done:
  pc_free(s.v);
  pc_free(soon.at);
}

int pc_winograd_weight(const pc_conv_geo *g, float *gw, const float *x, const float *y, pc_conv_fused f) {
  enum { PARTS = 8 };
  pc_wg_job j = {0};
  int64_t size = g->o * g->kh * g->kw * g->c;
  if (pc_wg_start(&j, g, 0) < 0) return PC_ENOMEM;
  j.src = pc_wg_big_side(&j, x, f.mask);
  j.gy = (pc_wg_reader){y, f.mask_gy, g->oh, g->ow, g->o, 1, 1, 0, 0, PC_WG_TILE};
  j.sums = lay_sums(&j);
  pc_wg_cut(&j, PC_WG_WEIGHT_BYTES, (g->c + g->o) * PC_WG_POINTS * 4, TURNED, 4 * TURNED);
  j.parts = j.blocks < PARTS ? j.blocks : PARTS;
  j.part = j.parts > 1 ? pc_malloc(sizeof *gw * (size_t)(j.parts * size)) : gw;
  if (j.part)
    pc_parallel_for(j.parts, 1, weight_parts, &j);
  else
    pc_wg_fail(&j);
  if (!j.failed && j.parts > 1) pc_tile_fold(PC_F32, gw, j.part, j.parts, size);
  if (j.parts > 1) pc_free(j.part);
  pc_free(j.zeros);
  return j.failed ? PC_ENOMEM : PC_OK;
}
