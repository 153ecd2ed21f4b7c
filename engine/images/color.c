#include "images/color.h"

#include <math.h>
#include <string.h>

uint32_t pc_colormap(double v) {
  static const uint8_t anchor[9][3] = {{68, 1, 84},    {71, 44, 122}, {59, 81, 139},  {44, 113, 142}, {33, 144, 141},
                                       {39, 173, 129}, {92, 200, 99}, {170, 220, 50}, {253, 231, 37}};
  uint32_t rgb = 0;
  v = v > 0 ? (v < 1 ? v : 1) : 0;
  int k = (int)(v * 8);
  if (k > 7) k = 7;
  double t = v * 8 - k;
  for (int c = 0; c < 3; c++) rgb = rgb << 8 | (uint32_t)((1 - t) * anchor[k][c] + t * anchor[k + 1][c] + 0.5);
  return rgb;
}

/* Relative luminance of WCAG 2. */
static double luminance(uint32_t rgb) {
  static const double weight[3] = {0.2126, 0.7152, 0.0722};
  double sum = 0;
  for (int c = 0; c < 3; c++) {
    double v = (rgb >> (16 - 8 * c) & 255) / 255.0;
    sum += weight[c] * (v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4));
  }
  return sum;
}

uint32_t pc_contrast_rgb(uint32_t rgb) { return luminance(rgb) > 0.179 ? 0x000000 : 0xffffff; }

uint32_t pc_label_rgb(int label) {
  static const uint32_t color[13] = {0x282828, 0xe6503c, 0x468ce6, 0x5abe5a, 0xf0b432, 0xa064d2, 0x3cc8c8,
                                     0xf078b4, 0x966e46, 0xaad246, 0x7878f0, 0xfa8c46, 0xb4b4b4};
  return color[label ? (label - 1) % 12 + 1 : 0];
}

static void put_rgb(uint8_t *p, uint32_t rgb) { p[0] = rgb >> 16 & 255, p[1] = rgb >> 8 & 255, p[2] = rgb & 255; }

int pc_labels_to_rgb(pc_tensor **out, const pc_tensor *labels) {
  pc_tensor *flat;
  int64_t size[PC_MAX_DIM];
  *out = NULL;
  if (labels->dtype != PC_U8 || labels->ndim < 2 || labels->ndim > 3)
    return pc_fail(labels->dtype != PC_U8 ? PC_EDTYPE : PC_ESHAPE,
                   "labels_to_rgb: labels have shape %s, dtype %s; u8 (H,W) or (N,H,W) is needed", pc_shape_str(labels),
                   pc_dtype_name((pc_dtype)labels->dtype));
  memcpy(size, labels->size, sizeof size);
  size[labels->ndim] = 3;
  int rc = pc_contiguous(&flat, labels);
  if (rc < 0) return rc;
  if ((rc = pc_tensor_empty(out, PC_U8, labels->ndim + 1, size)) == PC_OK)
    for (int64_t i = 0; i < pc_numel(flat); i++) put_rgb(pc_u8(*out) + 3 * i, pc_label_rgb(pc_u8(flat)[i]));
  pc_tensor_release(flat);
  return rc;
}

int pc_colorize(pc_tensor **out, const pc_tensor *values, double low, double high) {
  int64_t size[PC_MAX_DIM];
  *out = NULL;
  if (values->ndim < 2 || values->ndim > 3)
    return pc_fail(PC_ESHAPE, "colorize: values have shape %s; (H,W) or (N,H,W) is needed", pc_shape_str(values));
  if (!(low <= high))
    return pc_fail(PC_EARG, "colorize: limits %g and %g: the first must not be above the second", low, high);
  memcpy(size, values->size, sizeof size);
  size[values->ndim] = 3;
  pc_tensor *f64, *flat = NULL;
  int rc = pc_to_dtype(&f64, values, PC_F64);
  if (rc == PC_OK) {
    rc = pc_contiguous(&flat, f64);
    pc_tensor_release(f64);
  }
  if (rc == PC_OK && (rc = pc_tensor_empty(out, PC_U8, values->ndim + 1, size)) == PC_OK)
    for (int64_t i = 0; i < pc_numel(flat); i++) {
      double v = pc_f64(flat)[i];
      put_rgb(pc_u8(*out) + 3 * i, v != v ? 0x808080 : pc_colormap(high > low ? (v - low) / (high - low) : 0.5));
    }
  pc_tensor_release(flat);
  return rc;
}
