/* position.c: position embeddings: learned, sine-cosine, Fourier features of coordinates. */
#include <math.h>

#include "grad/ops_pointwise.h"
#include "nn/build.h"

static void fwd_position(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  out[0] = pc_add(s, in[0], m->params[0].t);
}

static const pc_module_class position_class = {
    "position", 1, 1, 1, fwd_position, NULL, "adds a learned (n,width) table to x (B,n,width)"};

PC_OPTIONS_TABLE(pc_position_options, "position", pc_position_opts, PC_POSITION_OPTIONS);

int pc_nn_position(pc_module **out, int64_t n, int64_t width, double sd) {
  pc_build b;
  *out = NULL;
  int rc = pc_options_check(&pc_position_options, "position", &(pc_position_opts){sd});
  if (rc < 0) return rc;
  if (n < 1 || width < 1)
    return pc_fail(PC_EARG, "position: n %lld, width %lld: at least 1", (long long)n, (long long)width);
  pc_build_begin(&b, &position_class, 0);
  pc_build_param(&b, "weight", 2, (int64_t[]){n, width}, PC_INIT_NORMAL, sd, 0, 0);
  return pc_build_end(&b, out);
}

/* row[2i] = sin(pos / 10000^(2i/width)), row[2i+1] = cos of the same. */
static void sincos_row(float *row, double pos, int64_t width) {
  for (int64_t i = 0; i < width; i++) {
    double a = pos * pow(10000, -(double)(i / 2 * 2) / (double)width);
    row[i] = (float)(i % 2 ? cos(a) : sin(a));
  }
}

int pc_embed_sincos_1d(pc_tensor **out, int64_t n, int64_t width) {
  *out = NULL;
  if (n < 0 || width < 1) /* rows without numbers would be counted all the same */
    return pc_fail(PC_EARG, "sincos: %lld places of width %lld: not negative, and at least 1 wide", (long long)n,
                   (long long)width);
  int rc = pc_tensor_empty(out, PC_F32, 2, (int64_t[]){n, width});
  for (int64_t p = 0; rc == PC_OK && p < n; p++) sincos_row(pc_f32(*out) + p * width, (double)p, width);
  return rc;
}

int pc_embed_sincos_2d(pc_tensor **out, int64_t h, int64_t w, int64_t width) {
  *out = NULL;
  if (width < 1 || width % 4)
    return pc_fail(PC_EARG, "sincos_2d: the width must be a multiple of 4, not %lld", (long long)width);
  if (h < 0 || w < 0 || h > 1 << 20 || w > 1 << 20)
    return pc_fail(PC_EARG, "sincos_2d: grid %lld x %lld: at most 1048576 places a side", (long long)h, (long long)w);
  int rc = pc_tensor_empty(out, PC_F32, 2, (int64_t[]){h * w, width});
  for (int64_t p = 0; rc == PC_OK && p < h * w; p++) {
    sincos_row(pc_f32(*out) + p * width, (double)(p / w), width / 2);
    sincos_row(pc_f32(*out) + p * width + width / 2, (double)(p % w), width / 2);
  }
  return rc;
}

/* Per position: for each octave sin(x), sin(y), cos(x), cos(y) of 2^o pi times the coordinate (IA's decoder). */
PC_OPTIONS_TABLE(pc_fourier_options, "fourier", pc_fourier_opts, PC_FOURIER_OPTIONS);

int pc_embed_fourier(pc_tensor **out, int64_t h, int64_t w, int64_t octaves) {
  *out = NULL;
  int rc = pc_options_check(&pc_fourier_options, "fourier", &(pc_fourier_opts){octaves});
  if (rc < 0) return rc;
  if (h < 1 || w < 1 || h > 1 << 20 || w > 1 << 20)
    return pc_fail(PC_EARG, "fourier: grid %lld x %lld: 1 to 1048576 places a side", (long long)h, (long long)w);
  rc = pc_tensor_empty(out, PC_F32, 2, (int64_t[]){h * w, 4 * octaves});
  for (int64_t p = 0; rc == PC_OK && p < h * w; p++) {
    double y = h > 1 ? (double)(p / w) / (double)(h - 1) : 0, x = w > 1 ? (double)(p % w) / (double)(w - 1) : 0;
    float *row = pc_f32(*out) + p * 4 * octaves;
    for (int64_t o = 0; o < octaves; o++) {
      double f = M_PI * (double)((int64_t)1 << o);
      row[4 * o] = (float)sin(f * x);
      row[4 * o + 1] = (float)sin(f * y);
      row[4 * o + 2] = (float)cos(f * x);
      row[4 * o + 3] = (float)cos(f * y);
    }
  }
  return rc;
}
