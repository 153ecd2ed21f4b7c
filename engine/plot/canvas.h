/* canvas.h: a surface to draw a plot on: SVG text, or pixels through cairo.
 *
 * Coordinates are pixels from the upper left corner; y grows downwards. The same
 * calls give the same drawing in both formats. SVG is written here and not by
 * cairo, because a report needs what cairo's SVG surface does not give: text as
 * text (to search, select, read aloud), no ids (several drawings live in one page),
 * and a class on each element that has a themed colour, so that a style sheet can
 * switch to dark: `f-<ink>` for fills, `s-<ink>` for strokes (ink.h names them).
 * Colours of the chosen theme stand in the elements besides, for viewers without CSS.
 * Errors are sticky: drawing calls return nothing, the finishing call tells.
 */
#ifndef PC_PLOT_CANVAS_H
#define PC_PLOT_CANVAS_H

#include <stdint.h>

#include "images/label.h"
#include "plot/ink.h"
#include "tensor/tensor.h"

typedef struct pc_canvas pc_canvas;

typedef struct pc_pen {
  uint32_t fill, stroke; /* inks; PC_INK_NONE: not filled, not stroked */
  double alpha;          /* opacity of both; 0: 1 */
  double width;          /* of the stroke; 0: 1 */
  int dash;              /* 0 solid, 1 dashed, 2 dotted, 3 dash-dot */
} pc_pen;

enum { PC_ANCHOR_START, PC_ANCHOR_MIDDLE, PC_ANCHOR_END };

typedef struct pc_face { /* how text looks */
  double size;
  int bold;
  uint32_t ink;
  int anchor;
  double angle; /* degrees, counter-clockwise around (x,y) */
} pc_face;

/* svg != 0: SVG, scale is ignored; else pixels, `scale` of them a unit. PC_EARG: absurd sizes. */
int pc_canvas_new(pc_canvas **out, int svg, double width, double height, double scale, int dark, const char *title);
void pc_canvas_free(pc_canvas *c);

/* n points, x and y in turn. */
void pc_canvas_path(pc_canvas *c, int64_t n, const double *xy, int closed, const pc_pen *pen);
void pc_canvas_line(pc_canvas *c, double x1, double y1, double x2, double y2, const pc_pen *pen);
void pc_canvas_rect(pc_canvas *c, double x, double y, double w, double h, const pc_pen *pen);
void pc_canvas_circle(pc_canvas *c, double x, double y, double r, const pc_pen *pen);
/* Baseline at y. Text is cleaned. */
void pc_canvas_text(pc_canvas *c, double x, double y, const pc_face *face, const char *text);
/* Drawing is cut to a rectangle until pc_canvas_unclip. Not nested. */
void pc_canvas_clip(pc_canvas *c, double x, double y, double w, double h);
void pc_canvas_unclip(pc_canvas *c);

void pc_canvas_fail(pc_canvas *c, int rc);           /* what finishing will return */
int pc_canvas_svg(char **out, pc_canvas *c);         /* from pc_malloc */
int pc_canvas_pixels(pc_tensor **out, pc_canvas *c); /* u8 (H,W,3) */

#endif
