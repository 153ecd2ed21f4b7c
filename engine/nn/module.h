/* module.h: models as trees of named parameters over one flat buffer.
 *
 * A module holds parameters (leaf tensors that want gradients), buffers
 * (tensors that are saved but not trained) and child modules, each under a name;
 * a parameter's full name is its path: "decoder.block1.attention.q.weight".
 * Invariants
 *  - Parameters and children keep the order in which they were added; the
 *    parameters of a subtree are therefore a contiguous run of the whole list.
 *  - After pc_module_flatten every trained parameter of the tree is a view of
 *    one flat value tensor, and its gradient a view of one flat gradient tensor,
 *    in tree order: the optimiser is one loop, a checkpoint one blob. Flattening
 *    again, or flattening a subtree, finds it done and changes nothing.
 *  - A module may appear under two parents (shared weights): it is counted once.
 * Ownership: reference-counted; a parent holds its children.
 */
#ifndef PC_NN_MODULE_H
#define PC_NN_MODULE_H

#include "base/rng.h"
#include "grad/op.h"

typedef struct pc_module pc_module;

/* Computes out[0..nout) from in[0..nin); results are borrowed from the scope. */
typedef void pc_module_forward_fn(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out);

typedef struct pc_module_class {
  const char *name; /* "linear" */
  int nin_min, nin_max;
  int nout;
  pc_module_forward_fn *forward;
  void (*release)(pc_module *m); /* frees what m->self points to; may be NULL */
  const char *help;              /* one line: shapes in, shapes out */
} pc_module_class;

enum { PC_FIXED = 2, PC_MAX_HEIGHT = 200 };

typedef struct pc_parameter {
  char *name;
  pc_tensor *t;
  int is_buffer; /* saved, not trained: 1 by birth, PC_FIXED by pc_module_fix */
} pc_parameter;

typedef struct pc_child {
  char *name;
  pc_module *m;
} pc_child;

struct pc_module {
  const pc_module_class *cls;
  int refs;
  int height;   /* 1 + the highest child's: trees are walked by recursion */
  int training; /* dropout and the like; 1 at birth */
  int nparams, nkids;
  pc_parameter *params;
  pc_child *kids;
  void *self; /* the class's own options, freed with pc_free after cls->release */
};

int pc_module_new(pc_module **out, const pc_module_class *cls, size_t self_bytes);
pc_module *pc_module_retain(pc_module *m);
void pc_module_release(pc_module *m);

#define PC_INIT_MAP(X) X(ZEROS, zeros) PC_INIT_SOME(X)
#define PC_INIT_SOME(X)                                                                                      \
  X(ONES, ones)                                                                                              \
  X(NORMAL, normal)                   /* N(0, gain^2) */                                                     \
  X(UNIFORM, uniform)                 /* U(0, gain) */                                                       \
  X(FAN_IN, fan_in)                   /* U(-b, b), b = gain / sqrt(fan_in): PyTorch's for linear and conv */ \
  X(XAVIER_UNIFORM, xavier_uniform)   /* b = gain * sqrt(6 / (fan_in + fan_out)) */                          \
  X(XAVIER_NORMAL, xavier_normal)     /* sd = gain * sqrt(2 / (fan_in + fan_out)) */                         \
  X(KAIMING_UNIFORM, kaiming_uniform) /* b = gain * sqrt(3 / fan_in) */                                      \
  X(KAIMING_NORMAL, kaiming_normal)   /* sd = gain / sqrt(fan_in) */                                         \
  X(ORTHOGONAL, orthogonal)           /* first dim against the rest */
typedef enum pc_init {
#define X(NAME, name) PC_INIT_##NAME,
  PC_INIT_MAP(X)
#undef X
      PC_INIT_COUNT
} pc_init;
/* "zeros|ones|...": the choices of an option, in the order of the enum. */
#define PC_INIT_BAR(NAME, name) "|" #name
#define PC_INITS                "zeros" PC_INIT_SOME(PC_INIT_BAR)
int pc_init_fill(pc_tensor *t, pc_init kind, double gain, int64_t fan_in, int64_t fan_out, pc_rng *g);

/* Adds a new f32 parameter filled from the global generator. */
int pc_module_param(pc_module *m, const char *name, int ndim, const int64_t *size, pc_init init, double gain,
                    int64_t fan_in, int64_t fan_out);
/* Adds an existing tensor (retained). A parameter must be a float leaf; it is made to want gradients. */
int pc_module_add_tensor(pc_module *m, const char *name, pc_tensor *t, int is_buffer);
int pc_module_add_child(pc_module *m, const char *name, pc_module *child); /* retains */
/* The same, taking over the reference of a child just made: pc_module_adopt(m, "q", rc, child). */
int pc_module_adopt(pc_module *m, const char *name, int rc, pc_module *child);

pc_tensor *pc_module_get(const pc_module *m, const char *path);   /* borrowed parameter or buffer, or NULL */
pc_module *pc_module_child(const pc_module *m, const char *name); /* borrowed, or NULL */

/* Runs forward. Checks the number of inputs. */
void pc_module_run(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out);
pc_tensor *pc_run1(pc_scope *s, pc_module *m, pc_tensor *x); /* one in, first out */
pc_tensor *pc_run2(pc_scope *s, pc_module *m, pc_tensor *x, pc_tensor *y);

/* Walks every distinct parameter and buffer in tree order. path is valid during the call. */
typedef int pc_parameter_fn(void *ctx, const char *path, pc_parameter *p);
int pc_module_each(pc_module *m, pc_parameter_fn *fn, void *ctx);
int64_t pc_module_count(pc_module *m); /* trained numbers; or negative: no memory */
void pc_module_set_training(pc_module *m, int on);
int pc_module_set_requires_grad(pc_module *m, int on); /* freeze and unfreeze */
/* on: every parameter of the tree becomes a constant: saved and loaded under its name, but it takes no gradient and
 * has no place in a flat buffer, in optimisers, in the count; off: constants become parameters again. Before
 * an optimiser is made: one that has the parameters keeps them. */
int pc_module_fix(pc_module *m, int on);
void pc_module_drop(pc_module *m, int i); /* lets go of parameter i of m itself */

typedef struct pc_flat {
  pc_tensor *values; /* (n): the parameters are views of it */
  pc_tensor *grads;  /* (n) */
} pc_flat;
/* Both are new references of the caller. A tree without parameters gives PC_EARG, mixed dtypes PC_EDTYPE. */
int pc_module_flatten(pc_module *m, pc_flat *out);
int pc_module_zero_grad(pc_module *m);

/* Copies values by path from src to dst: same names and shapes, or an error that names what differs. */
int pc_module_copy_values(pc_module *dst, pc_module *src);

#endif
