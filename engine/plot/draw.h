/* draw.h: what the drawing files of engine/plot share. Private to this folder. */
#ifndef PC_PLOT_DRAW_H
#define PC_PLOT_DRAW_H

#include "plot/canvas.h"
#include "plot/plot.h"
#include "plot/ticks.h"

#define PC_NAME_MAX 200

typedef struct pc_series {
  char *name;              /* clean; NULL: none */
  int kind, dashed, color; /* color: index of the palette */
  int band;                /* low and high mean something */
  int64_t n;
  double *x, *y, *low, *high; /* n each, one block that x points to */
} pc_series;

typedef struct pc_heat {
  int64_t rows, cols;
  double *value;                 /* rows*cols */
  uint8_t *framed;               /* 0, 1, or 2: dashed */
  char **row_label, **col_label; /* rows, cols; entries may be NULL */
  char *frame_name;
  double low, high;
} pc_heat;

struct pc_plot {
  pc_plot_opts o; /* its pointers are copies that the plot owns */
  char *title, *xlabel, *ylabel;
  char **groups;
  pc_series *series;
  int nseries, room;
  pc_heat *heat;
};

/* Sizes of text and gaps, in pixels. */
enum { PC_FONT_TITLE = 14, PC_FONT = 11, PC_FONT_SMALL = 10, PC_EDGE = 10 };

typedef struct pc_panel { /* the rectangle that data live in */
  double x, y, w, h;
} pc_panel;

/* Draws title and legend; returns the y below them. */
double pc_draw_head(pc_canvas *c, const pc_plot *p);
/* Axes, grid and labels around `panel`; ticks of x unless the axis is NULL (groups). */
void pc_draw_axes(pc_canvas *c, const pc_plot *p, const pc_panel *panel, const pc_axis *x, const pc_axis *y);
void pc_draw_xy(pc_canvas *c, const pc_plot *p, double top);
void pc_draw_bars(pc_canvas *c, const pc_plot *p, double top);
void pc_draw_heat(pc_canvas *c, const pc_plot *p, double top);

/* Extremes over y, low and high of all series that an axis (log or not) can show; *hidden counts those it
 * cannot. Returns 0 when there is none. */
int pc_y_range(const pc_plot *p, int log, double *lo, double *hi, int64_t *hidden);
void pc_draw_note(pc_canvas *c, const pc_plot *p, const pc_panel *panel, int64_t hidden, int empty);
/* Width of the widest label of an axis. */
double pc_axis_width(const pc_axis *a);

#endif
