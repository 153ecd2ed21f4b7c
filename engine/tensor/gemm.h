/* gemm.h: products of raw strided matrices: the one door to BLAS.
 *
 * A pc_mat is an address and two strides in elements, so a transposed view is
 * a pc_mat with its strides swapped, never a copy. BLAS wants one of the two
 * strides to be 1; pc_mat_fits says whether it is. OpenBLAS always runs on one
 * thread here (tall matrices lose 20-45 % to memory in its threaded form):
 * pc_gemm_many cuts the work into row tiles that stay in cache and hands them
 * to our threads. Tile bounds depend on the shapes only, so results do not
 * depend on the number of threads.
 */
#ifndef PC_TENSOR_GEMM_H
#define PC_TENSOR_GEMM_H

#include "tensor/tensor.h"

typedef struct pc_mat {
  void *p;
  int64_t rs, cs; /* strides of rows and columns */
} pc_mat;

/* Row-major with the given row length, and its transpose. */
#define PC_ROWS(ptr, ld) ((pc_mat){(ptr), (ld), 1})
#define PC_COLS(ptr, ld) ((pc_mat){(ptr), 1, (ld)})

/* Whether BLAS can address a rows x cols matrix with these strides. */
int pc_mat_fits(int64_t rows, int64_t cols, int64_t rs, int64_t cs);

/* C (m,n) = alpha A (m,k) B (k,n) + beta C, on the caller's thread; d is PC_F32
 * or PC_F64, all three fit, beta == 0 does not read C. The reference tier runs
 * plain loops instead of BLAS. */
void pc_gemm(pc_dtype d, int64_t m, int64_t n, int64_t k, double alpha, pc_mat a, pc_mat b, double beta, pc_mat c);

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

/* to (cols,rows) = transpose of from (rows,cols), whose rows are ld apart. */
void pc_transpose_f32(float *restrict to, const float *restrict from, int64_t rows, int64_t cols, int64_t ld);
/* Whether a product of m rows is faster when B is row-major, even at the price of a copy. */
int pc_gemm_wants_rows(pc_dtype d, int64_t m);

/* How many rows of a matrix whose rows take `bytes` to keep at work together in L2. */
int64_t pc_tile_rows(int64_t rows, int64_t bytes);

#endif
