/* emoji.h: scenes composed on the spot: animal cut-outs pasted on photographs of places.
 *
 * A folder of assets holds emoji/NAME.png (square cut-outs with alpha, one an
 * animal) and panoramas/NAME.png (equirectangular, twice as wide as high, one
 * a place); experiments/data/assets has 32 and 10. Each image is a
 * perspective view of one place with one animal left and one right, drawn by
 * the seed; the result is a pc_scenes object like a folder of rendered
 * pictures, with PUG:SPAR's columns, masks, and these numeric columns:
 *   variant            the image's number, from 0
 *   camera_azimuth     degrees, +-8 about the place's own
 *   x1 y1 x2 y2        where an animal's feet stand, in shares of the side
 *   flip1 flip2        1: mirrored
 *   scale1 scale2      height of the cut-out in shares of the side, .36 to .44
 *   overlap            0: apart ... 1: brought together; uniform in [0, opts.occlusion]
 *   front              1, 2: which animal stands nearer (lower) and hides the other
 *   occlusion1, 2      share of the animal's pixels hidden by the other
 * Animals, places and textures are drawn independently. The place's mean
 * colour tints the animals and they darken the ground below; otherwise they
 * do not interact, except where one hides the other.
 *
 * Image i is a function of (assets, seed, first + i, size, the lists, occlusion) alone:
 * not of count, nor of the number of threads. Images are drawn in parallel
 * once and kept when they take less than opts.keep, else drawn whenever
 * they are asked for (a fraction of a millisecond each). The digest covers the
 * table, the size and the assets' pixels.
 *
 * Geometry: a view looks down by 8 degrees with a field of 45. Cut-outs and
 * shadows are placed between pixels; cut-outs are scaled by area averaging
 * with premultiplied alpha.
 */
#ifndef PC_DATASETS_EMOJI_H
#define PC_DATASETS_EMOJI_H

#include "datasets/scenes.h"

#define PC_EMOJI_OPTIONS(X, S)                                                                    \
  X(S, int64, count, "1..2147483648", 1000, "images", "")                                         \
  X(S, int, size, "8..1024", 64, "pixels", "height and width")                                    \
  X(S, int64, seed, "0..", 0, "", "which endless set")                                            \
  X(S, num, occlusion, "0..1", 0, "", "0: never meant to overlap; 1: brought together")           \
  X(S, int64, first, "1..4503599627370496", 1, "", "number of the first image: parts of one set") \
  X(S, num, keep, "0..", 512, "MiB", "pixels kept in memory at most; more are drawn when asked for")

typedef struct pc_emoji_opts {
  PC_EMOJI_OPTIONS(PC_OPTION_FIELD, )
  const char *const *places;   /* names; NULL: all of the folder */
  const char *const *animals;  /* names; NULL: all of the folder */
  const char *const *textures; /* of Default, Blue, Red, Grass, Stone; NULL: Default */
  int nplaces, nanimals, ntextures;
  /* From the calling thread while drawing; nonzero stops with PC_EINTR. */
  int (*progress)(int64_t done, int64_t total, void *ctx);
  void *progress_ctx;
} pc_emoji_opts;
#define PC_EMOJI_OPTS_INIT \
  { PC_EMOJI_OPTIONS(PC_OPTION_INIT, ) }
extern const pc_options pc_emoji_options;

/* opts may be NULL. PC_ENOTFOUND names a folder, animal or place that is not there and lists those that are. */
int pc_emoji_open(pc_scenes **out, const char *assets, const pc_emoji_opts *opts);

#endif
