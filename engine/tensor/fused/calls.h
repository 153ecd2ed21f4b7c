/* calls.h: what the kernels of this room get (tensor/backend.h), beside those of mlp_impl.h and slot_impl.h.
 * Arrays are contiguous and of dtype d, f32 or f64; es is the bytes of an element. */
#ifndef PC_TENSOR_FUSED_CALLS_H
#define PC_TENSOR_FUSED_CALLS_H

#include "tensor/fused/qkv.h"

/* One description for both: layer_norm is (rows, 1, D) with one group and a weight of D
 * entries a row; group_norm is (N, S, C) with statistics over S and C/G and C weights. */
typedef struct pc_norm {
  pc_dtype d;
  int64_t n, s, c, groups; /* x: (n, s, c) */
  double eps;
  const void *x, *g, *w, *b; /* g: backward; w, b: or NULL */
  void *y;                   /* forward: y; backward: gx */
  void *pw, *pb; /* backward: sums for weight and bias are added here, (parts, c), a part each `grain` of the n; both
                    NULL (rows): not wanted */
  int64_t grain; /* of the n that a thread takes at a time */
} pc_norm;

/* See norm_higher.h: v are its vectors, y its results. */
typedef enum pc_norm_what {
  PC_NORM_FIRST,
  PC_NORM_SECOND,
  PC_NORM_FIRST_BACKWARD,
  PC_NORM_SECOND_BACKWARD
} pc_norm_what;
enum { PC_NORM_VECTORS = 3 };
typedef struct pc_norm_higher {
  pc_dtype d;
  pc_norm_what what;
  int64_t rows, c; /* rows of c elements */
  double eps;
  const void *x, *v[PC_NORM_VECTORS];
  void *y[PC_NORM_VECTORS];
} pc_norm_higher;

enum { PC_LOSS_CHUNK = 1 << 14 };
typedef struct pc_loss {
  pc_dtype d;
  int64_t n;
  const void *x, *y;
  double *part;  /* forward: the sum of each PC_LOSS_CHUNK numbers */
  double scale;  /* backward: gx = scale (x - y), gy = -gx */
  void *gx, *gy; /* or NULL */
} pc_loss;

typedef struct pc_composite {
  pc_dtype d;
  int64_t b, k, pixels, c; /* x: (b, k, pixels, c + 1) */
  int sigmoid;
  const void *x, *masks, *g, *gm; /* g, gm may be NULL */
  void *image, *out;              /* image NULL: backward. out: masks, or gx */
  int plain, failed;              /* the kernel's own */
} pc_composite;

/* A batch of S = Q K', W = softmax(scale S), O = W V, one for each (b,h), with row strides of their own. */
typedef struct pc_attention {
  pc_dtype d;
  size_t es;
  int64_t b, h, n, m, e, ev; /* e, ev: width of a head's query and value */
  int64_t problems, keys;    /* problems an image; columns of S */
  int64_t dq, dv;            /* row strides of q, k and of v, out */
  double scale;
  int shared; /* q has batch 1 */
  const char *q, *k, *v, *gout, *gw;
  char *w, *out; /* w NULL in backward: computed again, a tile at a time */
  char *gq, *gk, *gv;
  int64_t parts; /* the kernel's own, as the next: of a shared q: runs of images with a gq each */
  int failed;
} pc_attention;

typedef struct pc_qkv {
  pc_dtype d;
  size_t es;
  int64_t rows, width, to[PC_QKV]; /* to: widths of the projections; there is a row */
  int norm;
  double eps;
  const char *x, *gamma, *beta, *w[PC_QKV], *b[PC_QKV];
  char *y[PC_QKV];
  /* backward; what is NULL is not wanted */
  const char *gy[PC_QKV];
  char *gx, *ggamma, *gbeta, *gw[PC_QKV], *gb[PC_QKV];
} pc_qkv;

#endif
