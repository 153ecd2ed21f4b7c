/* conv_impl.h: what the forms of the convolution kernels share: a gather and BLAS for f64 (conv_kernel.c),
 * windows read in place (conv_window.c) and minimal filtering (winograd.c) for f32. */
#ifndef PC_TENSOR_CONV_IMPL_H
#define PC_TENSOR_CONV_IMPL_H

#include "tensor/conv/conv.h"
#include "tensor/gemm/gemm.h"

/* A run of neighbouring source pixels that one output pixel reads. */
typedef struct pc_taps {
  int64_t dy, dx, count;
} pc_taps;

/* A regular grid of output pixels that all read the source by the same runs: all of a
 * convolution's output, or one phase of a transposed one's. */
typedef struct pc_grid_piece {
  int64_t gh, gw;             /* the grid, for each image */
  int64_t isy, isx;           /* source position of grid point (i,j): (i·isy + dy, j·isx + dx) */
  int64_t oy0, ox0, osy, osx; /* its output position: (oy0 + i·osy, ox0 + j·osx) */
  pc_taps *runs;
  int nruns;
  int64_t k;                  /* numbers an output reads, one group */
  pc_mat b;                   /* weights of group 0: (k, cout) */
  int64_t bgroup;             /* elements to the next group's */
  int64_t tile, tiles, first; /* of the gathering form: rows a tile, tiles, tiles of the pieces before */
} pc_grid_piece;

typedef struct pc_conv_job {
  pc_dtype d;
  size_t es;
  const char *src, *src_end;
  int64_t n, h, w, c, cin; /* source (n,h,w,c), cin channels a group */
  char *dst;
  int64_t oh, ow, o, cout;
  int64_t groups;
  const char *bias;
  pc_grid_piece *pieces;
  int npieces;
  pc_conv_fused fused; /* done by conv_window.c only */
  int in_place;        /* conv_window.c takes it */
  int failed;
  /* weight gradient: parts of the work, each with its own sum */
  const char *gy;
  char *part;
  int64_t parts;
} pc_conv_job;

/* How many parts a weight's gradient is summed in: few when they are large. */
static inline int64_t pc_conv_parts(int64_t pieces, int64_t bytes) {
  int64_t most = bytes > 1 << 20 ? 2 : 8;
  return pieces < most ? pieces : most;
}

/* f32, not for the reference tier; PC_ENOMEM is their only failure. */
int pc_window_run(pc_conv_job *j);
int pc_window_weight(pc_conv_job *j, float *gw);

/* With fewer multiplications (winograd.c), where that pays. Failures as above. */
typedef enum pc_conv_op { PC_CONV_FORWARD, PC_CONV_TRANSPOSE, PC_CONV_WEIGHT } pc_conv_op;
int pc_winograd_suits(pc_dtype d, const pc_conv_geo *g, pc_conv_op op); /* on the host's fast backends */
int pc_winograd_forward(const pc_conv_geo *g, float *y, const float *x, const float *w, const float *bias,
                        pc_conv_fused f);
int pc_winograd_transpose(const pc_conv_geo *g, float *x, const float *y, const float *w, const float *bias,
                          pc_conv_fused f);
int pc_winograd_weight(const pc_conv_geo *g, float *gw, const float *x, const float *y, pc_conv_fused f);

#endif
