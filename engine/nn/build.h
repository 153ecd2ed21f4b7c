/* build.h: modules put together as formulas are (pc_scope in grad/op.h): the first error sticks, what comes after it
 * does nothing, and the end tells.
 *
 *   pc_build b;
 *   pair *p = pc_build_begin(&b, &pair_class, sizeof *p);   NULL after an error: nothing to fill
 *   if (p) {
 *     p->first = pc_build_linear(&b, "first", in, hidden);  a child under that name; borrowed: the module holds it
 *     p->second = pc_build_linear(&b, "second", hidden, out);
 *   }
 *   return pc_build_end(&b, out);                            the module, or NULL and the error
 *
 * Parameters are drawn from the global generator in the order of the calls, which is that of the names.
 */
#ifndef PC_NN_BUILD_H
#define PC_NN_BUILD_H

#include "nn/layers.h"

typedef struct pc_build {
  int rc;       /* first error, or 0 */
  pc_module *m; /* NULL when there is no memory for it */
} pc_build;

/* Starts a module of the class. Returns its m->self, zeroed; with self_bytes 0 a pointer that only says that it is
 * there. NULL: no memory. */
void *pc_build_begin(pc_build *b, const pc_module_class *cls, size_t self_bytes);
/* Goes on with a module that is there: adds to m, which the caller keeps. Ended by reading b.rc. */
pc_build pc_build_into(pc_module *m);
int pc_build_note(pc_build *b, int rc); /* for functions that return an error */
/* Hands the module over, or releases it: *out is NULL then. Returns the first error. */
int pc_build_end(pc_build *b, pc_module **out);

/* ---- parameters and buffers, borrowed; NULL after an error ---- */
pc_tensor *pc_build_param(pc_build *b, const char *name, int ndim, const int64_t *size, pc_init init, double gain,
                          int64_t fan_in, int64_t fan_out);
pc_tensor *pc_build_buffer(pc_build *b, const char *name, int ndim, const int64_t *size,
                           double value); /* f32, filled */
/* A buffer just made: pc_build_table(&b, "position", pc_embed_fourier(&t, ...), &t). Takes over the reference. */
pc_tensor *pc_build_table(pc_build *b, const char *name, int rc, pc_tensor **t);

/* ---- children, borrowed; NULL after an error. name NULL: "1", "2", ... as in a sequence ---- */
/* One just made: pc_build_child(&b, "net", pc_my_net(&part, ...), &part). Takes over the reference. */
pc_module *pc_build_child(pc_build *b, const char *name, int rc, pc_module **part);
/* One of several alike: "block1", "block2", ... for i from 0. */
const char *pc_build_name(char *room, size_t size, const char *stem, int64_t i);
pc_module *pc_build_linear(pc_build *b, const char *name, int64_t in, int64_t out);
pc_module *pc_build_matrix(pc_build *b, const char *name, int64_t in, int64_t out); /* linear without bias */
pc_module *pc_build_mlp(pc_build *b, const char *name, int n, const int64_t *widths, pc_activation act);
pc_module *pc_build_activation(pc_build *b, const char *name, pc_activation act);
pc_module *pc_build_norm(pc_build *b, const char *name, int64_t width, double eps); /* layer norm */
pc_module *pc_build_position(pc_build *b, const char *name, int64_t n, int64_t width, double sd);
pc_module *pc_build_conv2d(pc_build *b, const char *name, int64_t in, int64_t out, int64_t kernel,
                           const pc_nn_conv_opts *o);
pc_module *pc_build_conv_transpose2d(pc_build *b, const char *name, int64_t in, int64_t out, int64_t kernel,
                                     const pc_nn_conv_opts *o);
pc_module *pc_build_attention(pc_build *b, const char *name, int64_t width, int64_t heads, const pc_attention_opts *o);
pc_module *pc_build_block(pc_build *b, const char *name, int64_t width, int64_t heads, const pc_block_opts *o);

/* A sequence as a child: what is added to the build it returns stands in it; pc_build_child(&b, "net",
 * pc_build_end(&seq, &part), &part) closes it. */
pc_build pc_build_sequence(void);

#endif
