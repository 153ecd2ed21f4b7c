/* ticks.h: where the marks of an axis stand and what they say.
 *
 * An axis maps [lo,hi] to [0,1], linearly or by logarithm. Linear ticks are 1, 2 or
 * 5 times a power of ten apart; log ticks are powers of ten, or 1-2-5 within
 * them where the axis spans few. All labels of an axis share their number of decimals; very
 * large and very small axes share a power of ten, which `note` holds ("×10⁶").
 */
#ifndef PC_PLOT_TICKS_H
#define PC_PLOT_TICKS_H

#define PC_MAX_TICKS 24

typedef struct pc_axis {
  double lo, hi; /* lo < hi; both > 0 if log */
  int log;
  int n;
  double at[PC_MAX_TICKS];
  char label[PC_MAX_TICKS][24];
  char note[24]; /* "" or the power of ten that labels are to be multiplied by */
} pc_axis;

/* Makes an axis for data in [lo,hi] (finite, lo <= hi; a single value is widened; log
 * needs lo > 0), widened to round numbers if `round`, with about `want` ticks. */
void pc_axis_make(pc_axis *a, double lo, double hi, int log, int round, int want);

double pc_axis_map(const pc_axis *a, double v); /* -> [0,1]; NaN where the axis has no place for v */

/* A number for people: about `digits` significant ones, no exponent for moderate sizes. */
void pc_format_number(char *buf, int size, double v, int digits);

/* One number of several that are to be compared: decimals so that the largest, `most` in size, has `digits`
 * of them or one more; pc_format_number for very large and small `most`. */
void pc_format_among(char *buf, int size, double v, double most, int digits);

#endif
