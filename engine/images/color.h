/* color.h: numbers and labels as colours.
 *
 * Two palettes: an ordered one for quantities (viridis of matplotlib, CC0: the
 * brighter, the more, for every kind of colour vision and in gray), and twelve
 * distinct colours for labels. Colours are 0xRRGGBB.
 */
#ifndef PC_IMAGES_COLOR_H
#define PC_IMAGES_COLOR_H

#include <stdint.h>

#include "tensor/tensor.h"

uint32_t pc_colormap(double v);         /* [0,1]; others are clamped, NaN is 0 */
uint32_t pc_contrast_rgb(uint32_t rgb); /* black or white, whichever reads better on it (WCAG 2) */
uint32_t pc_label_rgb(int label);       /* 0 is dark gray; the twelve repeat */

/* Values (H,W) or (N,H,W) of any dtype -> u8 (...,3); [low,high] is the whole map; NaN is gray. */
int pc_colorize(pc_tensor **out, const pc_tensor *values, double low, double high);

/* u8 labels (H,W) or (N,H,W) -> u8 (...,3). */
int pc_labels_to_rgb(pc_tensor **out, const pc_tensor *labels);

#endif
