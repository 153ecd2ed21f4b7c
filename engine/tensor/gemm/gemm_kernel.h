/* gemm_kernel.h: the inner product of every f32 product here, chosen by tier.
 *
 * One call computes a block of C, at most mr rows by nr columns, in registers:
 *   C[i][j] (+)= init_j + sum_r sum_{t < len_r} a_i[off_r + t] B[t', j]
 * where t' counts through all runs in order. A row of A is an address and a list
 * of runs (offset, length) that all rows share: one run of k floats is a plain
 * matrix; the kh rows of a kernel window are kh runs, so that a convolution
 * reads its image in place and nothing is gathered.
 *   run  takes B as a panel: t' rows of nr floats; columns past `cols` are read, and not used.
 *        The sum runs in order of k, one accumulator an element.
 *   dot  is for 1 to 4 columns (colours, a mask), which would leave most of a panel empty:
 *        B lies in columns, ldb floats apart, and the lanes of a vector are different k.
 * The bits depend on how the caller cuts k, and on nothing else.
 */
#ifndef PC_TENSOR_GEMM_KERNEL_H
#define PC_TENSOR_GEMM_KERNEL_H

#include <stdint.h>

typedef struct pc_k_run {
  int64_t off, len; /* floats */
} pc_k_run;

typedef struct pc_block {
  const float *const *a; /* rows of A */
  float *const *c;       /* rows of C */
  const pc_k_run *runs;
  int nruns;
  const float *b;    /* at the first run's first k */
  int64_t ldb;       /* dot only */
  const float *init; /* nr floats that C starts from, or NULL: zeros; not read when add is set */
  int cols;          /* columns of C to write, 1..nr */
  int add;           /* C += */
  int relu;          /* then C = max(C, 0); NaN stays */
} pc_block;

enum { PC_MR_MAX = 12, PC_NR_MAX = 32, PC_DOT_COLS = 4, PC_DOT_ROWS = 3 };

/* The kernel set of a tier. Not for the reference tier (gemm.c has plain loops). */
typedef struct pc_kernel {
  int mr, nr;
  void (*run[PC_MR_MAX + 1])(const pc_block *b);   /* by rows, 1..mr */
  void (*dot[PC_DOT_ROWS + 1])(const pc_block *b); /* by rows, 1..PC_DOT_ROWS */
} pc_kernel;

const pc_kernel *pc_gemm_kernel(void); /* of the current tier */

#endif
