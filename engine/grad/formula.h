/* formula.h: gradients of a fused op: by the row that computes them in one pass, or differentiable themselves.
 *
 * A fused op has kernels for its gradients, and a formula: the same values, made of other ops.
 * When somebody will differentiate the gradients again, backward writes the formula out and lets
 * the tape differentiate it; no second formula for the gradients has to be kept true.
 */
#ifndef PC_GRAD_FORMULA_H
#define PC_GRAD_FORMULA_H

#include "grad/op.h"

enum { PC_FORMULA_INPUTS = 40, PC_ROW_VALUES = 8 }; /* at most */

/* y[k]: output k from the inputs, borrowed from the scope; NULL for one of size 0. */
typedef void pc_formula_fn(pc_scope *s, const pc_val *v, pc_tensor *const *in, int nin, pc_tensor **y);

/* Sets gin from g as a backward function does; inputs and values are the node's, all inputs saved.
 * Recorded when gradients are on. */
void pc_bwd_by_formula(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin, pc_formula_fn *f);

/* Sets gin by the row `op`, which computes all gradients in one pass; nobody differentiates them. Its inputs are
 * first[] and then the node's, its values the node's first nv and then `need`: bit i for input i. */
void pc_bwd_by_row(pc_scope *s, const pc_node *n, pc_tensor **gin, pc_opcode op, int nfirst, pc_tensor *const *first,
                   int nv);

#endif
