/* einsum.h: Einstein summation, as NumPy and PyTorch write it: "bij,bjk->bik".
 *
 * Operands are contracted from left to right; each step is a permutation, a
 * reshape and one matrix product (batch = letters both have and someone still
 * needs), so the result is as differentiable as matmul is. A letter twice in
 * one term takes the diagonal; "..." stands for leading dimensions that
 * broadcast; without "->" the result has the letters that occur once, in
 * alphabetical order, after "...".
 */
#ifndef PC_GRAD_EINSUM_H
#define PC_GRAD_EINSUM_H

#include "grad/op.h"

/* Borrowed from s, of its own storage; NULL after an error. At least one operand. */
pc_tensor *pc_einsum(pc_scope *s, const char *equation, int n, pc_tensor *const *operands);

#endif
