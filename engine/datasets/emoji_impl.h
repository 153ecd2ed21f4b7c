/* emoji_impl.h: what emoji.c (assets, table) and emoji_draw.c (pixels) share; not for other modules. */
#ifndef PC_DATASETS_EMOJI_IMPL_H
#define PC_DATASETS_EMOJI_IMPL_H

#include "datasets/emoji.h"

typedef float pc_rgba __attribute__((vector_size(16))); /* one pixel */

typedef struct pc_emoji {
  int64_t size; /* S */
  int nplaces, nanimals, ntextures;
  uint64_t seed;
  int64_t first;
  double occlusion;
  double *home; /* (nplaces): azimuth of each place's view */
  /* views: pixel p of a view at azimuth a reads column across[p] - a/360 width, row down[p] of the panorama */
  float *across, *down;   /* (S,S) */
  int64_t view_h, view_w; /* of the strips: the rows of the reduced panoramas that a view can see */
  pc_rgba *strip;         /* (nplaces,view_h,view_w), 0..255 */
  int64_t cut;            /* side of the reduced cut-outs */
  pc_rgba *cutout;        /* (nanimals,ntextures,cut,cut), 0..255 times alpha, alpha 0..1 */
} pc_emoji;

/* Everything that chance decides about one image. */
typedef struct pc_emoji_plan {
  int place, animal[2], texture[2], flip[2];
  int front; /* 0, 1: the one drawn last */
  double azimuth, overlap, x[2], y[2], scale[2];
} pc_emoji_plan;

void pc_emoji_draw_plan(pc_emoji_plan *plan, const pc_emoji *e, int64_t i);

/* Image i: image u8 (S,S,3), mask u8 (S,S), hidden: share of each animal's pixels that the other covers. Each may be
 * NULL. Only PC_ENOMEM can happen. For worker threads, too. */
int pc_emoji_draw(const pc_emoji *e, int64_t i, uint8_t *image, uint8_t *mask, double hidden[2]);

/* Fills across and down for a panorama of (height,width); *from, *to: the rows that views see. */
void pc_emoji_view(const pc_emoji *e, int64_t height, int64_t width, int64_t *from, int64_t *to);

#endif
