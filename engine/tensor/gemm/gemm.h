/* gemm.h: products of raw strided matrices.
 *
 * A pc_mat is an address and two strides in elements, so a transposed view is
 * a pc_mat with its strides swapped, never a copy. One of the two strides must
 * be 1; pc_mat_fits says whether it is. f32 runs on our own kernels
 * (gemm_kernel.h): the matrices of this work are tall and thin (pixels by
 * width), where OpenBLAS 0.3.21 reaches 55-80 % of a core's peak because it
 * packs both operands at every call. Here B is packed, once for all tiles when
 * it is a weight (pc_pack), and A is read where it lies. f64 and products of a
 * few rows go to OpenBLAS, always on one thread: pc_gemm_many cuts the work into
 * row tiles that stay in cache and hands them to our threads. Tile bounds depend
 * on the shapes only, so results do not depend on the number of threads.
 */
#ifndef PC_TENSOR_GEMM_H
#define PC_TENSOR_GEMM_H

#include "tensor/tensor.h"

typedef struct pc_mat {
  void *p;
  int64_t rs, cs; /* strides of rows and columns */
  int far;        /* A, C: not in the caches; while rows are at work the next ones are asked for */
} pc_mat;

/* Row-major with the given row length, and its transpose. */
#define PC_ROWS(ptr, ld) ((pc_mat){.p = (ptr), .rs = (ld), .cs = 1})
#define PC_COLS(ptr, ld) ((pc_mat){.p = (ptr), .rs = 1, .cs = (ld)})

static inline pc_mat pc_far(pc_mat m, int far) {
  m.far = far;
  return m;
}

/* Whether a product can address a rows x cols matrix with these strides. */
int pc_mat_fits(int64_t rows, int64_t cols, int64_t rs, int64_t cs);

/* C (m,n) = alpha A (m,k) B (k,n) + beta C, on the caller's thread; d is PC_F32
 * or PC_F64, all three fit, beta == 0 does not read C. The reference tier runs
 * plain loops. */
void pc_gemm(pc_dtype d, int64_t m, int64_t n, int64_t k, double alpha, pc_mat a, pc_mat b, double beta, pc_mat c);

struct pc_packed_call;
/* B (k,n) laid out for the kernels once, for many products: a weight under all tiles of
 * pixels, or under all steps of a search. Belongs to the tier it was packed in. */
typedef struct pc_packed {
  pc_dtype d;
  int64_t k, n;
  const struct pc_kernel *kernel;           /* NULL: row-major, for f64 and the reference */
  int (*product)(struct pc_packed_call *c); /* of the backend that packed it */
  void *p;
} pc_packed;

int pc_pack(pc_packed *out, pc_dtype d, int64_t k, int64_t n, pc_mat b); /* PC_ENOMEM is its only failure */
/* B (k,n), scaled, as the kernels take it (gemm_kernel.h): panels of nr columns, the last one padded
 * with zeros, or, for n up to PC_DOT_COLS, columns. pc_panels_size floats. */
int64_t pc_panels_size(int64_t nr, int64_t k, int64_t n);
void pc_pack_panels(float *to, int64_t nr, int64_t k, int64_t n, pc_mat b, float alpha);
void pc_pack_free(pc_packed *p); /* accepts a zeroed struct */
/* C (m,n) = A B + beta C, on the caller's thread. bias: a row of n elements added to every row
 * of C, or NULL; with a bias beta is 0. Rows of C are contiguous (c.cs == 1). */
void pc_gemm_packed(int64_t m, pc_mat a, const pc_packed *b, const void *bias, double beta, pc_mat c);

/* A batch of products; product i uses a.p + aoff[i] elements and so on (NULL: all 0).
 * bias, if not NULL, is a row of n elements added to every row of C (then beta is 0). */
typedef struct pc_gemm_job {
  pc_dtype d;
  int64_t batch, m, n, k;
  double alpha, beta;
  pc_mat a, b, c;
  const int64_t *aoff, *boff, *coff;
  const void *bias;
} pc_gemm_job;

/* Runs the job on all threads. PC_ENOMEM is its only failure. */
int pc_gemm_many(const pc_gemm_job *job);

/* How many rows of a matrix whose rows take `bytes` to keep at work together in L2. */
int64_t pc_tile_rows(int64_t rows, int64_t bytes);

/* ---- what the kernels of this room get (tensor/backend.h) ---- */

/* As of pc_gemm; there is something to do. */
typedef struct pc_product {
  pc_dtype d;
  int64_t m, n, k;
  double alpha, beta;
  pc_mat a, b, c;
} pc_product;

/* out: d, k, n are set; p, and what a kernel wants to find again, are to be. */
typedef struct pc_pack_call {
  pc_packed *out;
  pc_mat b;
} pc_pack_call;

/* As of pc_gemm_packed; there is something to do. */
typedef struct pc_packed_call {
  int64_t m;
  const pc_packed *b;
  const void *bias;
  double beta;
  pc_mat a, c;
} pc_packed_call;

#endif
