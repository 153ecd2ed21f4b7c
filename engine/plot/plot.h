/* plot.h: lines with bands, points, bars and heat maps, as SVG or as pixels.
 *
 * A plot is made of options and series and then drawn, as often as wanted, light
 * or dark. It copies what it is given. Data are tensors of any dtype:
 *  - y of shape (N) is one curve; of shape (S,N) it is S seeds, drawn as their mean
 *    with a band (or an error bar) of one standard deviation (n-1) either side. NaN
 *    are left out of both; where fewer than two seeds have a value there is no band.
 *  - sd (N), or low and high (N), give the band instead.
 *  - x of shape (N), or NULL for 1, 2, 3, ...
 * NaN and infinite values, and values that a log axis cannot show, leave a gap;
 * a note in the corner counts values of the last kind. A curve with more
 * points than the drawing has columns keeps the extremes of each column.
 * The kinds: bars go by groups (x is the group's number); a heat map is alone.
 * Errors: PC_EARG, PC_ESHAPE with the series' name; PC_ENOMEM.
 */
#ifndef PC_PLOT_PLOT_H
#define PC_PLOT_PLOT_H

#include "base/options.h"
#include "tensor/tensor.h"

typedef struct pc_plot pc_plot;

#define PC_PLOT_OPTIONS(X, S)                                                                             \
  X(S, num, width, "0<..", 640, "units", "")                                                              \
  X(S, num, height, "0<..", 400, "units", "")                                                             \
  X(S, choice, xscale, "linear|log", PC_SCALE_LINEAR, "", "")                                             \
  X(S, choice, yscale, "linear|log", PC_SCALE_LINEAR, "", "")                                             \
  X(S, bool, zero, "", 0, "", "the y axis starts at 0 when all data is on one side of it (bars: always)") \
  X(S, bool, legend, "", 1, "", "when there is more than one name")                                       \
  X(S, maybe_bool, numbers, "", 0, "", "bars, heat maps: print the values; else heat maps alone do")      \
  X(S, maybe_int, digits, "1..17", 0, "", "significant digits of printed values; else 3, heat maps 2")

typedef enum pc_scale { PC_SCALE_LINEAR, PC_SCALE_LOG } pc_scale;

typedef struct pc_plot_opts {
  PC_PLOT_OPTIONS(PC_OPTION_FIELD, )
  const char *title, *xlabel, *ylabel; /* NULL: none */
  int has_xlim, has_ylim;              /* limits instead of the data's */
  double xlim[2], ylim[2];
  const char *const *groups; /* of bars: their names */
  int ngroups;
} pc_plot_opts;
extern const pc_options pc_plot_options;

enum { PC_SERIES_LINE, PC_SERIES_POINTS, PC_SERIES_BOTH, PC_SERIES_BARS };

typedef struct pc_series_opts {
  const char *name; /* NULL: not in the legend */
  int kind;
  const pc_tensor *x, *y, *sd, *low, *high;
  int dashed;
  pc_maybe_int color; /* counted from 1, round and round PC_SERIES_COLORS; not given: by its place among the series */
} pc_series_opts;

typedef struct pc_heat_opts {
  const pc_tensor *values; /* (R,C) */
  const pc_tensor *framed; /* (R,C), nonzero: a frame around the cell, 2: a dashed one; or NULL */
  const char *const *row_labels, *const *col_labels;
  int nrow_labels, ncol_labels;
  int has_limits; /* of the colours; else the data's */
  double low, high;
  const char *frame_name; /* what frames mean, for the legend */
} pc_heat_opts;

/* opts may be NULL. */
int pc_plot_new(pc_plot **out, const pc_plot_opts *opts);
void pc_plot_free(pc_plot *p);
int pc_plot_add(pc_plot *p, const pc_series_opts *s);
int pc_plot_heat(pc_plot *p, const pc_heat_opts *h);

int pc_plot_svg(char **out, const pc_plot *p, int dark); /* from pc_malloc */
/* u8 (H,W,3); scale: pixels a unit. */
int pc_plot_pixels(pc_tensor **out, const pc_plot *p, int dark, double scale);
/* Writes path, which ends in .svg or .png (else PC_EARG); whole or not at all. */
int pc_plot_save(const char *path, const pc_plot *p, int dark, double scale);

/* CSS that gives the classed elements of pc_plot_svg the colours of a theme; from pc_malloc. */
int pc_plot_css(char **out, int dark, const char *selector);

#endif
