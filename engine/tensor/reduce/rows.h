/* rows.h: a tensor rearranged so that what is reduced lies in rows. Internal to reduce*.c.
 *
 * pc_rows_init gives a contiguous (rows, n) copy or view of x in which each row
 * holds the elements that reduce to one result, and the shape of the results.
 */
#ifndef PC_TENSOR_ROWS_H
#define PC_TENSOR_ROWS_H

#include "tensor/kernel.h"

typedef struct pc_rows {
  pc_tensor *x;    /* (kept dims..., n), contiguous */
  int64_t rows, n; /* x is rows * n elements */
  int ndim;        /* of the result */
  int64_t size[PC_MAX_DIM];
} pc_rows;

/* reduced: flags per dim of x. */
int pc_rows_init(pc_rows *r, const pc_tensor *x, const uint8_t *reduced, int keepdim);
void pc_rows_done(pc_rows *r);
/* For an op along one dim that keeps it: rows along dim; pc_rows_back brings (rows,n') results of the
 * same kept dims back into x's order, with size n' in dim. Empty rows are no rows. */
int pc_rows_along(pc_rows *r, const pc_tensor *x, int dim);
int pc_rows_back(pc_tensor **out, pc_tensor *y, const pc_tensor *x, int dim);

#endif
