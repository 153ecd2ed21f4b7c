/* matching.h: the assignment problem: which slot is which object.
 *
 * Given costs (R,C), chooses min(R,C) pairs, no row and no column twice, of
 * least total cost (Hungarian algorithm with potentials and shortest
 * augmenting paths, O(min^2 max)). Among equally good assignments the choice
 * is deterministic.
 */
#ifndef PC_METRICS_MATCHING_H
#define PC_METRICS_MATCHING_H

#include <stdint.h>

#include "tensor/tensor.h"

/* cost (rows,cols), finite. assign (rows): the column of each row, from 0, or
 * -1 (only when rows > cols). total may be NULL. PC_EARG for NaN or infinity. */
int pc_hungarian(int64_t *assign, double *total, const double *cost, int64_t rows, int64_t cols);

/* cost f32/f64 (R,C) or (B,R,C) -> i64 (R) or (B,R): columns from
 * PC_INDEX_BASE, PC_INDEX_BASE - 1 for a row without one. `maximize`: scores
 * in place of costs. total (optional): f64 () or (B), summed over the pairs. */
int pc_match(pc_tensor **assign, pc_tensor **total, const pc_tensor *cost, int maximize);

#endif
