/* sprites_impl.h: shared by sprites.c (sampling) and sprites_render.c; not for other modules. */
#ifndef PC_DATASETS_SPRITES_IMPL_H
#define PC_DATASETS_SPRITES_IMPL_H

#include "datasets/sprites.h"

enum { PC_SHAPE_KINDS = 8, PC_SPRITES_MAX_OBJECTS = 16 };

/* The options with every default filled in. */
typedef struct pc_sprites_world {
  int64_t K, H, W, S; /* objects, pixels, points a side of a pixel */
  int nshapes;
  int shape[PC_SHAPE_KINDS];                             /* kinds, see sprites_render.c */
  double lo[PC_SPRITES_LATENTS], hi[PC_SPRITES_LATENTS]; /* of shape: 0 and nshapes */
  int varies[PC_SPRITES_LATENTS];
  double saturation, value, background[3], delta, anchor, gap_lo, gap_hi, min_distance;
  pc_sprites_sampler sampler;
  uint64_t seed;
  int64_t first;
} pc_sprites_world;

int pc_sprites_resolve(pc_sprites_world *w, const pc_sprites_opts *opts);
int pc_sprites_shape_kind(const char *name); /* -1: unknown */
extern const char *const pc_sprites_shape_names[PC_SHAPE_KINDS];

#endif
