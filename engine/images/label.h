/* label.h: words on pictures: clean UTF-8, their widths, outline letters through cairo.
 *
 * Labels come from users and from databases. Before anything is measured or
 * drawn they are cleaned: bytes that are no UTF-8 become U+FFFD, control
 * characters become blanks, so that cairo and XML both take them.
 * The font is DejaVu Sans, or what fontconfig gives for it.
 */
#ifndef PC_IMAGES_LABEL_H
#define PC_IMAGES_LABEL_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Cleans text into buf (size >= 8), cut at a whole character. NULL is "". Returns buf. */
char *pc_text_clean(char *buf, size_t size, const char *text);

/* Width in pixels at a font size. Clean text. */
double pc_label_width(const char *text, double size, int bold);

/* Shortens clean text in place with an ellipsis until it is at most `room` wide; buf holds `size` bytes. */
void pc_text_fit(char *buf, size_t size, double font, int bold, double room);

/* Clean text onto u8 pixels (height,width,3), its baseline at y, beginning at x; what lies outside is cut. */
int pc_label_draw(uint8_t *pixels, int64_t height, int64_t width, double y, double x, const char *text, double size,
                  int bold, const uint8_t color[3]);

/* Selects the font on a cairo context. */
struct _cairo;
void pc_label_font(struct _cairo *cr, double size, int bold);

#endif
