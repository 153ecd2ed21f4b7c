/* kernel.h: the one signature of every forward function, and its arguments.
 *
 * A forward function allocates its outputs, computes, and knows no gradient:
 *   out[0..nout): new references on success; all NULL on failure.
 *   in[0..nin):   borrowed; an optional tensor that was not given is NULL.
 *   v[]:          the other arguments, in the order of the op's signature.
 * It checks shapes and dtypes itself and fails with a message that names op,
 * argument, shapes and remedy; it never trusts the caller. That is its shape
 * rule; the numbers come from a kernel, which stands in a table by backend
 * (backend.h).
 */
#ifndef PC_TENSOR_KERNEL_H
#define PC_TENSOR_KERNEL_H

#include "tensor/tensor.h"

/* One non-tensor argument. `set` is 0 when the caller left it out (then the
 * default of the signature is filled in, if it has one). */
typedef struct pc_val {
  uint8_t set;
  int nl;        /* how many entries of l are used (dims, size, size2) */
  int64_t i;     /* int, bool, dim (from 0), index (from 0), dtype */
  double d;      /* num */
  const char *s; /* str; borrowed for the duration of the call */
  int64_t l[PC_MAX_DIM];
} pc_val;

typedef int pc_forward_fn(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v);

/* Convenience for C callers building v[]. */
#define PC_VI(x) ((pc_val){.set = 1, .i = (x)})
#define PC_VD(x) ((pc_val){.set = 1, .d = (x)})
#define PC_VNONE ((pc_val){0})
pc_val pc_vlist(int n, const int64_t *l); /* dims, sizes */

#endif
