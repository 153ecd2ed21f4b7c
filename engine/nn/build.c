#include "nn/build.h"

#include <stdio.h>

void *pc_build_begin(pc_build *b, const pc_module_class *cls, size_t self_bytes) {
  *b = (pc_build){0, NULL};
  b->rc = pc_module_new(&b->m, cls, self_bytes);
  return b->rc < 0 ? NULL : self_bytes ? b->m->self : b->m;
}

pc_build pc_build_into(pc_module *m) { return (pc_build){PC_OK, m}; }

int pc_build_note(pc_build *b, int rc) {
  if (b->rc == PC_OK && rc < 0) b->rc = rc;
  return b->rc;
}

int pc_build_end(pc_build *b, pc_module **out) {
  if (b->rc < 0) pc_module_release(b->m);
  *out = b->rc < 0 ? NULL : b->m;
  b->m = NULL;
  return b->rc;
}

/* ---- parameters and buffers ---- */

pc_tensor *pc_build_param(pc_build *b, const char *name, int ndim, const int64_t *size, pc_init init, double gain,
                          int64_t fan_in, int64_t fan_out) {
  if (b->rc < 0) return NULL;
  int rc = pc_module_param(b->m, name, ndim, size, init, gain, fan_in, fan_out);
  return pc_build_note(b, rc) < 0 ? NULL : pc_module_get(b->m, name);
}

pc_tensor *pc_build_table(pc_build *b, const char *name, int rc, pc_tensor **t) {
  pc_tensor *held = *t;
  if (pc_build_note(b, rc) == PC_OK) pc_build_note(b, pc_module_add_tensor(b->m, name, held, 1));
  if (rc == PC_OK) pc_tensor_release(held);
  *t = NULL;
  return b->rc < 0 ? NULL : held;
}

pc_tensor *pc_build_buffer(pc_build *b, const char *name, int ndim, const int64_t *size, double value) {
  pc_tensor *t = NULL;
  if (b->rc < 0) return NULL;
  int rc = pc_tensor_full(&t, PC_F32, ndim, size, value);
  return pc_build_table(b, name, rc, &t);
}

/* ---- children ---- */

pc_module *pc_build_child(pc_build *b, const char *name, int rc, pc_module **part) {
  char number[24];
  pc_module *child = *part;
  *part = NULL;
  if (pc_build_note(b, rc) < 0) {
    if (rc == PC_OK) pc_module_release(child);
    return NULL;
  }
  if (!name) name = pc_build_name(number, sizeof number, "", b->m->nkids);
  return pc_build_note(b, pc_module_adopt(b->m, name, rc, child)) < 0 ? NULL : child;
}

const char *pc_build_name(char *room, size_t size, const char *stem, int64_t i) {
  snprintf(room, size, "%s%lld", stem, (long long)i + 1);
  return room;
}

/* Makes a part and adds it, unless there was an error before. */
#define BUILD(b, name, make)                       \
  do {                                             \
    pc_module *part = NULL;                        \
    if ((b)->rc < 0) return NULL;                  \
    int rc = make;                                 \
    return pc_build_child((b), (name), rc, &part); \
  } while (0)

pc_module *pc_build_linear(pc_build *b, const char *name, int64_t in, int64_t out) {
  BUILD(b, name, pc_nn_linear(&part, in, out, NULL));
}

pc_module *pc_build_matrix(pc_build *b, const char *name, int64_t in, int64_t out) {
  BUILD(b, name, pc_nn_linear(&part, in, out, &PC_OPTIONS_WITH(pc_linear_opts, PC_LINEAR_OPTIONS, .bias = 0)));
}

pc_module *pc_build_mlp(pc_build *b, const char *name, int n, const int64_t *widths, pc_activation act) {
  BUILD(b, name, pc_nn_mlp(&part, n, widths, act));
}

pc_module *pc_build_activation(pc_build *b, const char *name, pc_activation act) {
  BUILD(b, name, pc_nn_activation(&part, act));
}

pc_module *pc_build_norm(pc_build *b, const char *name, int64_t width, double eps) {
  BUILD(b, name,
        pc_nn_layer_norm(&part, width, &PC_OPTIONS_WITH(pc_layer_norm_opts, PC_LAYER_NORM_OPTIONS, .eps = eps)));
}

pc_module *pc_build_position(pc_build *b, const char *name, int64_t n, int64_t width, double sd) {
  BUILD(b, name, pc_nn_position(&part, n, width, sd));
}

pc_module *pc_build_conv2d(pc_build *b, const char *name, int64_t in, int64_t out, int64_t kernel,
                           const pc_nn_conv_opts *o) {
  BUILD(b, name, pc_nn_conv2d(&part, in, out, kernel, o));
}

pc_module *pc_build_conv_transpose2d(pc_build *b, const char *name, int64_t in, int64_t out, int64_t kernel,
                                     const pc_nn_conv_opts *o) {
  BUILD(b, name, pc_nn_conv_transpose2d(&part, in, out, kernel, o));
}

pc_module *pc_build_attention(pc_build *b, const char *name, int64_t width, int64_t heads, const pc_attention_opts *o) {
  BUILD(b, name, pc_nn_attention(&part, width, heads, o));
}

pc_module *pc_build_block(pc_build *b, const char *name, int64_t width, int64_t heads, const pc_block_opts *o) {
  BUILD(b, name, pc_nn_block(&part, width, heads, o));
}

pc_build pc_build_sequence(void) {
  pc_build b = {0, NULL};
  b.rc = pc_nn_sequential(&b.m, 0, NULL);
  return b;
}
