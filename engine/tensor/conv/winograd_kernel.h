/* winograd_kernel.h: the transforms of minimal filtering F(4x4,3x3), by tier; winograd.c says what they are for.
 *
 * A dimension has six points, in this order: 0, inf, 3/4, -3/4, 3/2, -3/2; point (p,q) of a tile is number 6p + q. The
 * three pairs of p are groups of 12 points. Vectors run over channels, whose number is a multiple of 16. What is
 * written goes to to + point·(number within the group) + the place of the channel, which is c where channels follow
 * each other (panel = nr), and c / nr · panel + c % nr in panels as the products take them (gemm_kernel.h).
 */
#ifndef PC_TENSOR_WINOGRAD_KERNEL_H
#define PC_TENSOR_WINOGRAD_KERNEL_H

#include <stdint.h>

enum { PC_WG_POINTS = 36, PC_WG_GROUPS = 3, PC_WG_GROUP = 12 };

/* Pixels of one tile. */
typedef struct pc_wg_in {
  const float *const *at;     /* 6x6 (window) or 4x4 (tile) pixels */
  const uint8_t *const *mask; /* of the same pixels: a number counts where this is not 0; NULL: everywhere */
  int64_t n;                  /* channels */
  float *to;
  int64_t point, panel;
} pc_wg_in;

/* Products of one tile: point p at m + p·point. */
typedef struct pc_wg_out {
  const float *m;
  int64_t point, n;
  float *y;         /* output (0,0); (i,j) at y + i·row + j·col */
  int64_t row, col; /* floats */
  int rows, cols;   /* outputs to write, 1..4 */
  const float *bias;
  int relu;
} pc_wg_out;

typedef struct pc_wg_kernel {
  void (*window[PC_WG_GROUPS])(const pc_wg_in *u); /* B' d B, by group */
  void (*tile[PC_WG_GROUPS])(const pc_wg_in *u);   /* A y A' */
  void (*output)(const pc_wg_out *u);              /* A' m A + bias, relu */
  /* G w G' of n columns: nine taps to the points whose place is not NULL; panel of each point */
  void (*filter)(const float *const *taps, float *const *to, const int64_t *panel, int64_t n);
  /* G' s G: 36 points to the taps whose place is not NULL */
  void (*gradient)(const float *const *from, float *const *taps, int64_t n);
} pc_wg_kernel;

const pc_wg_kernel *pc_winograd_kernel(void); /* of the current tier; not for the reference tier */

#endif
