/* png.h: pictures and label masks from and to PNG files (libpng).
 *
 * Every standard colour type and depth is read: gray of 1, 2, 4, 8, 16 bits,
 * gray + alpha, palette (with or without tRNS), RGB, RGBA, interlaced or not.
 *  - As a picture: u8 (H,W,C) with the C asked for. C = 1: luma (299 R + 587 G +
 *    114 B) / 1000; C = 3; C = 4. 16 bits are scaled to 8 with rounding. For
 *    C = 1 and 3 transparent pixels are composited over white, in the stored
 *    (gamma-encoded) values; for C = 4 alpha is kept, 255 where there is none.
 *    Gamma, colour profile and orientation chunks are ignored.
 *  - As labels: u8 (H,W) holding the stored numbers as they are: the palette
 *    index, or the gray level without scaling (1-bit gray gives 0 and 1).
 *    Colour pictures and 16-bit levels over 255 are refused.
 * A file is refused before memory is spent when it is larger than
 * PC_IMAGE_MAX_SIDE or PC_IMAGE_MAX_PIXELS, or claims more pixels than its
 * bytes could hold. Errors name the file: PC_ENOTFOUND, PC_EIO, PC_EFORMAT
 * ("not a PNG file", "truncated", libpng's own sentence).
 * The pc_png_decode* functions touch no tensor: worker threads may call them.
 */
#ifndef PC_IMAGES_PNG_H
#define PC_IMAGES_PNG_H

#include <stddef.h>
#include <stdint.h>

#include "tensor/tensor.h"

#define PC_IMAGE_MAX_SIDE   32768
#define PC_IMAGE_MAX_PIXELS (1 << 27)

/* A decoded picture: `data` is (height,width,channels) from pc_malloc. */
typedef struct pc_image {
  int64_t height, width;
  int channels; /* 1 for labels */
  uint8_t *data;
} pc_image;

void pc_image_clear(pc_image *im); /* frees the data */

/* channels: 1, 3 or 4; 0 = labels. `name` stands for the file in messages. */
int pc_png_decode_memory(pc_image *out, const void *data, size_t n, int channels, const char *name);
int pc_png_decode(pc_image *out, const char *path, int channels);

int pc_png_read(pc_tensor **out, const char *path, int channels); /* u8 (H,W,channels) */
int pc_png_read_labels(pc_tensor **out, const char *path);        /* u8 (H,W) */

/* Writes (H,W), (H,W,1), (H,W,3) or (H,W,4): u8 as it is, f32 and f64 as
 * round(255 x) clamped to [0,1] (NaN gives 0). The file appears whole or not
 * at all. `text`: pairs of keyword and value for tEXt chunks, ended by NULL,
 * or NULL. */
int pc_png_write(const char *path, const pc_tensor *image, const char *const *text);
/* 8-bit pixels (H,W,C), C in {1,2,3,4} */
int pc_png_write_pixels(const char *path, const uint8_t *data, int64_t height, int64_t width, int channels,
                        const char *const *text);

#endif
