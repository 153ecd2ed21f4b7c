/* resize.h: pictures and masks to another size.
 *
 * Each axis by itself: to fewer pixels by area averaging (the exact box
 * filter: target pixel i covers source interval [i s, (i+1) s), s = from/to,
 * and partly covered pixels count by their share); to more by linear
 * interpolation between pixel centres, clamped at the border. Means are taken
 * over the stored values. u8 results are rounded to nearest. Masks take the
 * source pixel under the target pixel's centre. An unchanged size is a copy.
 * The raw functions touch no tensor: worker threads may call them.
 */
#ifndef PC_IMAGES_RESIZE_H
#define PC_IMAGES_RESIZE_H

#include <stdint.h>

#include "tensor/tensor.h"

/* (sh,sw,c) -> (dh,dw,c), sides >= 1; only PC_ENOMEM can happen. */
int pc_resize_pixels_u8(uint8_t *dst, int64_t dh, int64_t dw, const uint8_t *src, int64_t sh, int64_t sw, int64_t c);
int pc_resize_pixels_f32(float *dst, int64_t dh, int64_t dw, const float *src, int64_t sh, int64_t sw, int64_t c);
void pc_resize_labels_u8(uint8_t *dst, int64_t dh, int64_t dw, const uint8_t *src, int64_t sh, int64_t sw);

/* u8 or f32, (H,W,C) or (N,H,W,C) -> same with (height,width) */
int pc_resize(pc_tensor **out, const pc_tensor *t, int64_t height, int64_t width);
/* u8 (H,W) or (N,H,W) */
int pc_resize_labels(pc_tensor **out, const pc_tensor *t, int64_t height, int64_t width);

#endif
