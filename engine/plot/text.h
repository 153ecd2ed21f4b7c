/* text.h: words and colours of the pictures: clean UTF-8, widths, the palettes.
 *
 * Labels come from users and from databases. Before anything is measured or
 * drawn they are cleaned: bytes that are no UTF-8 become U+FFFD, control
 * characters become blanks, so that cairo and XML both take them.
 * Widths are those of DejaVu Sans (or what fontconfig gives for it) in cairo.
 */
#ifndef PC_PLOT_TEXT_H
#define PC_PLOT_TEXT_H

#include <stddef.h>
#include <stdint.h>

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

/* A perceptually ordered colour map (viridis of matplotlib, CC0): v in [0,1] -> 0xRRGGBB; others are clamped. */
uint32_t pc_colormap(double v);
/* Black or white, whichever reads better on rgb. */
uint32_t pc_contrast_ink(uint32_t rgb);

/* Cleans text into buf (size >= 8), cut at a whole character. Returns buf. */
char *pc_text_clean(char *buf, size_t size, const char *text);

/* Width in pixels at a font size. Clean text. */
double pc_label_width(const char *text, double size, int bold);

/* Shortens clean text in place with an ellipsis until it is at most `room` wide; buf holds `size` bytes. */
void pc_text_fit(char *buf, size_t size, double font, int bold, double room);

#endif
