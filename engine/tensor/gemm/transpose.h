/* transpose.h: to[j·ldt + i] = from[i·ldf + j] for i < rows, j < cols: (rows,cols) turned into (cols,rows).
 * The two do not overlap. In blocks of 8 x 8 that stay in registers. */
#ifndef PC_TENSOR_TRANSPOSE_H
#define PC_TENSOR_TRANSPOSE_H

#include <stdint.h>

void pc_transpose_f32(float *to, int64_t ldt, const float *from, int64_t ldf, int64_t rows, int64_t cols);

#endif
