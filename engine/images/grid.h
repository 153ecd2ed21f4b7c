/* grid.h: many pictures as one, for people to look at.
 *
 * Cells are laid out row by row, `padding` pixels of background between and
 * around them, each picture enlarged by an integer factor (each pixel becomes
 * a square: no blur). Column labels stand above their column, row labels left of
 * their row, in a 5 x 7 bitmap font or, with `font`, in outline letters; text that does not fit is cut. The result is
 * u8 (H,W,3). Pictures: u8, or floats in [0,1] (clamped; NaN is 0), C = 1, 3 or 4 (alpha over the background).
 */
#ifndef PC_IMAGES_GRID_H
#define PC_IMAGES_GRID_H

#include <stdint.h>

#include "base/options.h"
#include "tensor/tensor.h"

#define PC_GRID_OPTIONS(X, S)                                                       \
  X(S, maybe_int, columns, "1..", 0, "", "left out: as near to a square as can be") \
  X(S, int, scale, "1..64", 1, "", "enlargement")                                   \
  X(S, int, padding, "0..1024", 2, "pixels", "")                                    \
  X(S, bool, dark, "", 0, "", "black ground and white text")                        \
  X(S, int, label_scale, "1..16", 1, "", "of the bitmap font")                      \
  X(S, num, font, "0..200", 0, "pixels", "size of outline letters; 0: the bitmap font")

typedef struct pc_grid_opts {
  PC_GRID_OPTIONS(PC_OPTION_FIELD, )
  const char *const *column_labels; /* ncolumn_labels of them, or NULL */
  int ncolumn_labels;
  const char *const *row_labels;
  int nrow_labels;
} pc_grid_opts;
#define PC_GRID_OPTS_INIT \
  { PC_GRID_OPTIONS(PC_OPTION_INIT, ) }
extern const pc_options pc_grid_options;

/* images (N,H,W,C). opts may be NULL. Errors: PC_ESHAPE, PC_EDTYPE, PC_EARG (a picture of absurd size). */
int pc_grid(pc_tensor **out, const pc_tensor *images, const pc_grid_opts *opts);

/* One column of the grid for each of n batches (N,H,W,C), one row for each
 * item: input | reconstruction | slot 1 | ... ; opts->columns is ignored. All of the
 * same H and W; N, C and dtype may differ (missing cells stay empty). */
int pc_grid_columns(pc_tensor **out, const pc_tensor *const *batch, int n, const pc_grid_opts *opts);

/* Text into pixels (height,width,3) with its upper left corner at (y,x), clipped. A character is 6 x 8 times scale. */
void pc_draw_text(uint8_t *pixels, int64_t height, int64_t width, int64_t y, int64_t x, const char *text,
                  const uint8_t color[3], int scale);

#endif
