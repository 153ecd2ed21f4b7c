/* pw.h: the engine under every pointwise op: from a loop over contiguous arrays
 * to tensors of any strides, broadcast, in parallel.
 *
 * A vector function computes y[i] = f(x[0][i], x[1][i], ...) for i < n over
 * contiguous arrays; y may be one of the x. Operands that are not contiguous
 * are gathered into small buffers first. A binary function may come in forms
 * that take one operand as a single number (vs: second, sv: first).
 */
#ifndef PC_TENSOR_PW_H
#define PC_TENSOR_PW_H

#include "tensor/tensor.h"

#define PC_PW_MAXIN 3

typedef void pc_vec_fn(void *y, const void *const *x, int64_t n, const void *ctx);

typedef struct pc_vec {
  pc_vec_fn *vv; /* NULL: not defined for this dtype */
  pc_vec_fn *vs, *sv;
} pc_vec;

/* out = f(in...): in[] broadcast to out's shape (checked by the caller); out may be in[0].
 * grain: elements a thread takes at a time, 0 for memory-bound functions. */
void pc_pw_run(pc_tensor *out, int nin, pc_tensor *const *in, const pc_vec *f, const void *ctx, int64_t grain);

/* What the kernel `pointwise` gets: the arguments of pc_pw_run. */
typedef struct pc_pw_call {
  pc_tensor *out;
  int nin;
  pc_tensor *const *in;
  const pc_vec *f;
  const void *ctx;
  int64_t grain;
} pc_pw_call;

enum { PC_GRAIN_MATH = 4096 }; /* for functions that cost tens of cycles an element */

/* What two operands compute in. A number of the language above (weak) keeps the other's
 * dtype when that is float, or when both are whole; otherwise makes it f32. */
pc_dtype pc_pw_promote(const pc_tensor *a, const pc_tensor *b);

/* An operand in dtype d: t itself, a 0-dim one kept in *slot, or a converted copy in slot->own. */
typedef struct pc_operand {
  pc_tensor *t;   /* what to use; borrowed */
  pc_tensor *own; /* to be released */
  pc_tensor scalar;
  pc_storage storage;
  int64_t bits;
} pc_operand;
int pc_operand_get(pc_operand *slot, pc_tensor *t, pc_dtype d);
void pc_operand_done(pc_operand *slot);

/* New tensor of dtype d and the shape the operands broadcast to. */
int pc_pw_out(pc_tensor **out, const char *op, pc_dtype d, int nin, pc_tensor *const *in);

#endif
