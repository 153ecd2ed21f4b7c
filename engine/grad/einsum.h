/* einsum.h: sums of products by index letters, made of permute, bmm and sum:
 * differentiable to any order because its parts are.
 *   "bij,bjk->bik"   a letter is a dimension; letters missing on the right are summed
 *   "ij->ji", "ii->", "i,j->ij"
 * Without "->" the result has the letters that occur once, in alphabetical order.
 * Operands are contracted two at a time, from the left. */
#ifndef PC_GRAD_EINSUM_H
#define PC_GRAD_EINSUM_H

#include "grad/op.h"

pc_tensor *pc_einsum(pc_scope *s, const char *equation, int n, pc_tensor *const *operands);

#endif
