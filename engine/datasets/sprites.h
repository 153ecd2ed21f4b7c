/* sprites.h: a procedural world: K coloured shapes on a plain ground, made
 * from exact latents, for experiments where the truth has to be known.
 *
 * Three steps, each usable alone:
 *   pc_sprites_sample  unit latents (N,K,6) in [0,1], by a sampler
 *   pc_sprites_latents unit -> physical latents (N,K,6)
 *   pc_sprites_render  physical -> images (N,H,W,3) and masks (N,H,W)
 * Latents, in this order (PC_SPRITES_SHAPE ...):
 *   shape  class, from PC_INDEX_BASE, in the order of opts.shapes
 *   x, y   centre as a share of width and height, from the left and the top
 *   scale  size as a share of the smaller side: the square's side, the others' diameter
 *   hue    [0,1], with opts.saturation and opts.value (HSV)
 *   angle  degrees, counter-clockwise
 * Unit u stands for lo + u (hi - lo), for shapes for class floor(u nshapes).
 * A latent that cannot vary (lo = hi, one shape) has unit value `anchor` in
 * every slot, so that no rule looks at it.
 * Object k is painted over the objects before it. Pixels are antialiased by
 * samples x samples points on a grid; the mask holds the object (1..K) that owns
 * most of a pixel's points, 0 the ground, the later one in a tie.
 * Image i depends on (seed, i) and the options alone, not on N or threads.
 */
#ifndef PC_DATASETS_SPRITES_H
#define PC_DATASETS_SPRITES_H

#include <stdint.h>

#include "tensor/tensor.h"

enum {
  PC_SPRITES_SHAPE,
  PC_SPRITES_X,
  PC_SPRITES_Y,
  PC_SPRITES_SCALE,
  PC_SPRITES_HUE,
  PC_SPRITES_ANGLE,
  PC_SPRITES_LATENTS
};

typedef enum pc_sprites_sampler {
  PC_SPRITES_RANDOM,   /* uniform */
  PC_SPRITES_DIAGONAL, /* ID: the K values of each latent within `delta` of the diagonal; x then moved by k/K mod 1 */
  PC_SPRITES_OFF_DIAGONAL, /* OOD: uniform, some latent farther than delta; objects at least min_distance apart */
  PC_SPRITES_PLANES,       /* one slot uniform, chosen at random, the others at `anchor` */
  PC_SPRITES_PLANES_GAP    /* the same, the free slot's latents outside (gap_lo, gap_hi) */
} pc_sprites_sampler;
/* "random", "diagonal", "off_diagonal", "planes", "planes_gap" */
int pc_sprites_sampler_parse(pc_sprites_sampler *out, const char *name);

typedef struct pc_sprites_opts {
  int objects;                         /* K; 0: 2; at most 16 */
  int height, width;                   /* 0: 64 */
  int samples;                         /* per pixel side; 0: 5 */
  const char *const *shapes;           /* of square triangle circle diamond pentagon hexagon star cross */
  int nshapes;                         /* 0: square, triangle, circle */
  double x[2], y[2], scale[2], hue[2]; /* {lo, hi}; {0, 0}: .1-.9, .2-.8, .09-.22, .05-.95 */
  double angle[2];                     /* degrees; {0, 0}: always 0 */
  double saturation, value;            /* 0: 1 */
  double background[3];                /* RGB in [0,1] */
  pc_sprites_sampler sampler;
  double delta;          /* 0: 0.125 */
  double anchor;         /* 0: 0.5; negative: the corner 0 */
  double gap_lo, gap_hi; /* 0, 0: .05, .45 */
  double min_distance;   /* between centres, in shares; 0: .2 off the diagonal, none elsewhere; negative: none */
  uint64_t seed;
  int64_t first; /* the number of the first image: parts of one endless set */
} pc_sprites_opts;

/* All check opts; NULL opts are all defaults. */
int pc_sprites_sample(pc_tensor **unit, int64_t n, const pc_sprites_opts *opts); /* f32 (N,K,6) */
int pc_sprites_latents(pc_tensor **latents, const pc_tensor *unit, const pc_sprites_opts *opts);
/* dtype u8, or f32 in [0,1]. masks may be NULL. PC_EARG names a latent without meaning (shape 9 of 3, NaN). */
int pc_sprites_render(pc_tensor **images, pc_tensor **masks, const pc_tensor *latents, pc_dtype dtype,
                      const pc_sprites_opts *opts);

#endif
