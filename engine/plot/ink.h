/* ink.h: the colours of plots, light and dark. */
#ifndef PC_PLOT_INK_H
#define PC_PLOT_INK_H

#include <stdint.h>

#include "images/color.h"

/* A colour: a role, whose value depends on the theme, or a fixed 0xRRGGBB | PC_INK_RGB. */
enum {
  PC_INK_NONE = 0,
  PC_INK_GROUND,
  PC_INK_TEXT,
  PC_INK_MUTED, /* tick labels, notes */
  PC_INK_AXIS,
  PC_INK_GRID,
  PC_INK_FRAME,       /* around what is singled out */
  PC_INK_SERIES = 16, /* + series % PC_SERIES_COLORS */
  PC_INK_RGB = 1 << 24
};
/* Okabe and Ito's colours that tell apart for every kind of colour vision (jfly.uni-koeln.de/color), a gray as the
 * seventh; lighter ones of the same hues for the dark theme. */
#define PC_SERIES_COLORS 7

uint32_t pc_ink_rgb(uint32_t ink, int dark); /* 0xRRGGBB */
const char *pc_ink_name(uint32_t ink);       /* "text", "s0": the class of SVG elements; NULL for a fixed colour */

uint32_t pc_contrast_ink(uint32_t rgb); /* of text on it */

#endif
