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

#include "datasets/dataset.h"
#include "datasets/split.h"
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
  PC_SPRITES_PLANES_GAP    /* the same, the free slot's latents outside `gap` */
} pc_sprites_sampler;

#define PC_SPRITES_OPTIONS(X, S)                                                                                   \
  X(S, int, objects, "1..16", 2, "", "K")                                                                          \
  X(S, int, height, "1..4096", 64, "pixels", "")                                                                   \
  X(S, maybe_int, width, "1..4096", 0, "pixels", "left out: height")                                               \
  X(S, int, samples, "1..16", 5, "", "per pixel side")                                                             \
  X(S, num, saturation, "0..1", 1, "", "")                                                                         \
  X(S, num, value, "0..1", 1, "", "")                                                                              \
  X(S, choice, sampler, "random|diagonal|off_diagonal|planes|planes_gap", PC_SPRITES_RANDOM, "", "")               \
  PC_LATENT_DELTA(X, S)                                                                                            \
  PC_LATENT_ANCHOR(X, S)                                                                                           \
  X(S, maybe_num, min_distance, "0..", 0, "", "between centres, in shares; left out: .2 off the diagonal, else 0") \
  X(S, int64, seed, "", 0, "", "")                                                                                 \
  X(S, int64, first, "1..", 1, "", "number of the first image: parts of one endless set")

typedef struct pc_sprites_opts {
  PC_SPRITES_OPTIONS(PC_OPTION_FIELD, )
  const char *const *shapes; /* of square triangle circle diamond pentagon hexagon star cross */
  int nshapes;
  double x[2], y[2], scale[2], hue[2], angle[2]; /* {lo, hi}; the angle in degrees */
  double gap[2];                                 /* of planes_gap */
  double background[3];                          /* RGB in [0,1] */
} pc_sprites_opts;
extern const char *const pc_sprites_shapes[]; /* the usual ones */
enum { PC_SPRITES_NSHAPES = 3 };
#define PC_SPRITES_RANGES                                                                                        \
  .shapes = pc_sprites_shapes, .nshapes = PC_SPRITES_NSHAPES, .x = {.1, .9}, .y = {.2, .8}, .scale = {.09, .22}, \
  .hue = {.05, .95}, .gap = PC_LATENT_GAP_INIT
#define PC_SPRITES_OPTS_INIT \
  { PC_SPRITES_OPTIONS(PC_OPTION_INIT, ) PC_SPRITES_RANGES }
extern const pc_options pc_sprites_options;

/* All check opts; NULL opts are all defaults. */
int pc_sprites_sample(pc_tensor **unit, int64_t n, const pc_sprites_opts *opts); /* f32 (N,K,6) */
int pc_sprites_latents(pc_tensor **latents, const pc_tensor *unit, const pc_sprites_opts *opts);
/* dtype u8, or f32 in [0,1]. masks may be NULL. PC_EARG names a latent without meaning (shape 9 of 3, NaN). */
int pc_sprites_render(pc_tensor **images, pc_tensor **masks, const pc_tensor *latents, pc_dtype dtype,
                      const pc_sprites_opts *opts);

/* The three steps as a data set: object k has factors shapeK and colorK (the one of the six pure colours that its hue
 * is nearest to; values are those that occur) and numeric columns xK, yK, scaleK, hueK, angleK; masks, latents, unit.
 */
enum { PC_SPRITES_COLOURS = 6 };
int pc_sprites_dataset(pc_dataset **out, int64_t n, const pc_sprites_opts *opts);

#endif
