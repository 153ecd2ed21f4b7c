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

#include "tensor/tensor.h"

typedef struct pc_grid_opts {
  int columns;                      /* 0: as near to a square as can be */
  int padding;                      /* 0: 2; negative: none */
  int scale;                        /* enlargement; 0: 1 */
  int dark;                         /* black ground and white text; else white and black */
  int label_scale;                  /* of the bitmap font; 0: 1 */
  double font;                      /* size of outline letters in pixels; 0: the bitmap font */
  const char *const *column_labels; /* ncolumn_labels of them, or NULL */
  int ncolumn_labels;
  const char *const *row_labels;
  int nrow_labels;
} pc_grid_opts;

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
