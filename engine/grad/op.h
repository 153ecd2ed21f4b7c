/* op.h: differentiable operations: the op table, applying an op, the tape.
 *
 * The op table (ops.def, one X-macro row an op) generates the opcode enum, the
 * dispatch table, the registration in the language above, the help text and
 * the test list. pc_apply() runs an op's forward function and, when gradients
 * are on and an input wants one, records a node: that is the tape. The tape is
 * the graph itself: outputs hold their node, a node holds what its backward
 * needs, and backward lets go of it node by node.
 *
 * Backward functions are written with ops again (through a pc_scope), so that
 * grad-of-grad works: when create_graph is off, recording is off while they
 * run. A backward may take a faster, non-differentiable route when
 * !pc_grad_enabled().
 */
#ifndef PC_GRAD_OP_H
#define PC_GRAD_OP_H

#include "grad/signature.h"

#define PC_MAX_OUT   4  /* results of a row with a gradient */
#define PC_MAX_GRADS 40 /* results of a row without one: the backward of a fused op has as many as that has inputs */

typedef enum pc_opcode {
#define OP(name, ...) PC_OP_##name,
#include "grad/ops.def"
#undef OP
  PC_OP_COUNT
} pc_opcode;

/* Flags of a row. What backward reads must be declared: the rest is let go at once. */
enum {
  PC_NODIFF = 1,    /* has no gradient: comparisons, argmax, fused backward kernels */
  PC_SMOOTH = 2,    /* twice differentiable: gets a second-order check */
  PC_ISVIEW = 4,    /* output shares the storage of in[0] */
  PC_SAVE_OUT = 8,  /* backward reads out[] */
  PC_SAVE_IN = 16,  /* backward reads all of in[] */
  PC_SAVE_IN0 = 32, /* backward reads in[0] only */
  PC_SAVE_IN1 = 64,
  PC_SAVE_IN2 = 128,
  PC_SAVE_OUT1 = 512,  /* backward reads out[1] only */
  PC_SAVE_SIGN = 1024, /* backward reads where out[0] > 0: pc_node_sign() */
  PC_HIDDEN = 256      /* not registered in the language above (helpers of backward) */
};

/* ---- expression scopes ----
 * A scope owns the temporaries of a formula and holds its first error. Every
 * pc_xxx(scope, ...) returns a borrowed tensor that lives as long as the scope,
 * or NULL after an error; NULL operands pass through, so formulas need no checks:
 *     pc_scope s = {0};
 *     pc_tensor *y = pc_mul(&s, g, pc_cos(&s, x));
 *     return pc_scope_end(&s, &y, 1);   // the caller's reference; frees the rest
 */
typedef struct pc_scope {
  int rc; /* first error, or 0 */
  int n, cap;
  pc_tensor **own;
  pc_tensor *few[16]; /* before own[] is needed */
} pc_scope;

/* Hands the reference t over to the scope; returns t. If t is NULL, notes the last error. */
pc_tensor *pc_own(pc_scope *s, pc_tensor *t);
/* For int-returning functions: pc_note(s, f(&t, ...)) records rc. Returns rc. */
int pc_note(pc_scope *s, int rc);
/* Ends the scope: the n tensors keep[] become references of the caller (retained),
 * everything else is released. On error keep[] is set to NULL. Returns rc. */
int pc_scope_end(pc_scope *s, pc_tensor **keep, int n);
/* Releases the temporaries made after mark (= s->n at that time) except keep. */
pc_tensor *pc_scope_pop(pc_scope *s, int mark, pc_tensor *keep);

/* ---- nodes ---- */
typedef struct pc_node pc_node;
typedef void pc_backward_fn(pc_scope *s, const pc_node *n, pc_tensor *const *gout, pc_tensor **gin);

typedef struct pc_shape {
  int ndim;
  int64_t size[PC_MAX_DIM];
} pc_shape;

/* What a backward function may ask of its node. gout[k] is NULL when output k
 * got no gradient. gin[i] is to be set (borrowed from the scope) for every i
 * with pc_needs(n, i); others are ignored. gin[i] must have the input's shape
 * (pc_sum_to folds a broadcast back). */
int pc_needs(const pc_node *n, int i);
pc_tensor *pc_node_in(const pc_node *n, int i);               /* saved input, borrowed, in the graph */
pc_tensor *pc_node_out(pc_scope *s, const pc_node *n, int k); /* saved output, in the graph */
pc_tensor *pc_node_sign(const pc_node *n);                    /* u8: where output 0 is positive; borrowed */
/* Lets go of saved input i, which this backward function reads no more, unless the graph is kept: what it makes next
 * may lie where the input lay. */
void pc_node_done(const pc_node *n, int i);
const pc_shape *pc_node_in_shape(const pc_node *n, int i);
pc_dtype pc_node_in_dtype(const pc_node *n, int i);
const pc_shape *pc_node_out_shape(const pc_node *n, int k);
int pc_node_nin(const pc_node *n);
const pc_val *pc_node_val(const pc_node *n); /* the arguments of the forward call */

/* ---- the table ---- */
typedef struct pc_op_info {
  const char *name; /* "matmul" */
  int nout;
  int flags;
  const char *sig; /* "x:tensor, dim:dims?, keepdim:bool=false": grammar, ranges and defaults in grad/signature.h */
  pc_forward_fn *forward;
  pc_backward_fn *backward;
  double tol;       /* relative tolerance of its float64 gradient check */
  const char *help; /* one line: what, shapes, source equation */
} pc_op_info;
extern const pc_op_info pc_ops[PC_OP_COUNT];

/* The signature of a row; all are parsed at the first call. NULL without memory for them. */
const pc_signature *pc_op_signature(pc_opcode op);

/* Runs an op; records it when it has to. out[] gets ops[op].nout new references. Arguments that are left out (v shorter
 * than the signature, or not set) have the row's defaults; what is given is held to the row's ranges. */
int pc_apply(pc_opcode op, pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v, int nv);
/* The same in a scope, first output. A NULL in[i] is taken as an error already noted
 * unless bit i of `optional` is set. */
pc_tensor *pc_op(pc_scope *s, pc_opcode op, int nin, pc_tensor *const *in, int nv, const pc_val *v, unsigned optional);
/* Shorthands. */
pc_tensor *pc_op1(pc_scope *s, pc_opcode op, pc_tensor *a);
pc_tensor *pc_op2(pc_scope *s, pc_opcode op, pc_tensor *a, pc_tensor *b);

/* ---- gradients ---- */
int pc_grad_enabled(void);
int pc_grad_set_enabled(int on); /* returns what it was */
/* Whether fused ops (mlp, qkv, slot_attention) that are recorded now become the operations of their formulas: for
 * graphs differentiated more than once, where a fused op would compute its formula again for each gradient recorded. */
int pc_higher_order(void);
int pc_set_higher_order(int on);                /* returns what it was; means nothing while gradients are off */
int pc_requires_grad(const pc_tensor *t);       /* leaf flag or has history */
int pc_set_requires_grad(pc_tensor *t, int on); /* leaves of float dtype only */
int pc_is_leaf(const pc_tensor *t);
pc_tensor *pc_grad_get(const pc_tensor *leaf); /* borrowed, or NULL */
int pc_grad_set(pc_tensor *leaf,
                pc_tensor *g); /* retains g (NULL clears); later backward passes add into it in place */
int pc_detach(pc_tensor **out, const pc_tensor *t);

/* Writes through t: called by everything that changes a tensor in place. Fails when
 * the tape tracks t (a leaf that wants a gradient, or a result with history) and
 * gradients are on; bumps the version otherwise. op names the culprit. */
int pc_inplace_begin(const char *op, pc_tensor *t);

/* d sum(y·gy)/d leaves, added to each leaf's grad. gy NULL: y has one element. */
int pc_backward(pc_tensor *y, pc_tensor *gy, int retain_graph);

typedef struct pc_grad_opts {
  int create_graph; /* results are differentiable themselves; implies retain_graph */
  int retain_graph;
  int allow_unused; /* gx[i] = NULL when y does not depend on x[i], instead of an error */
} pc_grad_opts;
/* gx[i] = d sum_k(y_k·gy_k) / d x_i; gy or gy[k] may be NULL for one-element y. New references. */
int pc_grad(pc_tensor **gx, pc_tensor *const *y, pc_tensor *const *gy, int ny, pc_tensor *const *x, int nx,
            const pc_grad_opts *opts);

/* ---- custom operations: a forward/backward pair of the language above ---- */
typedef struct pc_custom {
  const char *name; /* for messages */
  void *ctx;
  void (*release)(void *ctx);
  /* gin[i] new references or NULL; returns 0 or negative with the error set */
  int (*backward)(void *ctx, pc_tensor *const *gout, int nout, pc_tensor **gin, int nin);
  /* in place of it, for those who ask their node what is needed (pc_needs) */
  int (*node_backward)(void *ctx, const pc_node *n, pc_tensor *const *gout, pc_tensor **gin);
} pc_custom;
/* Connects already computed outputs to inputs. Takes over c.ctx. */
int pc_record_custom(pc_tensor **out, int nout, pc_tensor *const *in, int nin, const pc_custom *c);

/* ---- anomaly mode ---- names the op and the caller's line that made the first NaN */
void pc_set_anomaly(int on);
int pc_get_anomaly(void);
void pc_set_where_hook(const char *(*where)(void)); /* "file.lua:12", or "" */

/* ---- checks (engine/grad/gradcheck.c) ---- */
typedef int pc_fn(void *ctx, pc_tensor *const *x, int nx, pc_tensor **y); /* y: new reference, any shape */
#define PC_GRADCHECK_OPTIONS(X, S)                            \
  X(S, num, eps, "0<..", 1e-6, "", "step of the differences") \
  X(S, num, rtol, "0..", 1e-5, "", "relative tolerance")      \
  X(S, num, atol, "0..", 1e-7, "", "absolute tolerance")      \
  X(S, bool, second_order, "", 0, "", "gradients of gradients, too")
PC_OPTIONS_STRUCT(pc_gradcheck_opts, PC_GRADCHECK_OPTIONS);
#define PC_GRADCHECK_OPTS_INIT \
  { PC_GRADCHECK_OPTIONS(PC_OPTION_INIT, ) }
extern const pc_options pc_gradcheck_options;
/* Compares backward with central differences for float64 inputs; PC_ENUM with the worst element named. */
int pc_gradcheck(pc_fn *f, void *ctx, pc_tensor *const *x, int nx, const pc_gradcheck_opts *opts);

#endif
