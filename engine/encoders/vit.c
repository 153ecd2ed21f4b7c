/* vit.c: the Vision Transformer; see vit.h. */
#include "encoders/vit.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "encoders/parts.h"
#include "grad/ops_nn.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_shape.h"
#include "nn/fuse.h"

typedef struct vit_block {
  pc_module *norm1, *attention, *norm2, *fc1, *act, *fc2;
  pc_tensor *scale1, *scale2; /* (width), or NULL */
} vit_block;

typedef struct vit_self {
  pc_vit_opts o;
  int64_t width_px, grid; /* grid: how many patches */
  int class_row;          /* the first row of positions is the class token's */
  pc_module *patch, *norm_pre, *norm_out;
  pc_tensor *mean, *scale, *class_token, *registers, *position;
  vit_block *blocks;
} vit_self;

/* ---- forward ---- */

static pc_tensor *run_block(pc_scope *s, const vit_self *v, const vit_block *b, pc_tensor *x) {
  pc_tensor *y = pc_nn_self_attention(s, b->attention, b->norm1, x, !b->scale1);
  x = b->scale1 ? pc_add(s, x, pc_mul(s, y, b->scale1)) : y;
  if (!x) return NULL;
  if (!b->scale2 && v->o.activation < PC_ACTIVATION_KERNELS)
    return pc_fuse_around(s, x, b->norm2, (pc_module *[]){b->fc1, b->act, b->fc2}, 3, v->o.recompute);
  y = pc_fuse_sequence(s, x, (pc_module *[]){b->norm2, b->fc1, b->act, b->fc2}, 4);
  return pc_add(s, x, b->scale2 ? pc_mul(s, y, b->scale2) : y);
}

/* x (B,grid,width) + positions, behind class token and registers */
static pc_tensor *with_prefix(pc_scope *s, const vit_self *v, pc_tensor *x) {
  int64_t b = x->size[0], w = v->o.width;
  pc_tensor *p = v->position, *parts[2], *c = v->class_token;
  int rows = v->class_row;
  int n = 0;
  x = pc_add(s, x, rows ? pc_narrow(s, p, 0, 1, v->grid, 1) : p);
  if (rows) c = pc_add(s, c, pc_narrow(s, p, 0, 0, 1, 1));
  if (c) parts[n++] = c;
  if (v->registers) parts[n++] = v->registers;
  if (!n || s->rc < 0) return x;
  c = n > 1 ? pc_cat(s, n, parts, 0) : parts[0];
  c = pc_expand(s, pc_unsqueeze(s, c, 0), 3, (int64_t[]){b, -1, w});
  return pc_cat(s, 2, (pc_tensor *[]){c, x}, 1);
}

static void fwd_vit(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  const vit_self *v = m->self;
  pc_tensor *x = in[0];
  if (!x || pc_note(s, pc_part_check_image(x, v->o.height, v->width_px, v->o.channels)) < 0) return;
  x = pc_run1(s, v->patch, pc_div(s, pc_sub(s, x, v->mean), v->scale));
  x = pc_reshape(s, x, 3, (int64_t[]){in[0]->size[0], v->grid, v->o.width});
  if (!x || !(x = with_prefix(s, v, x))) return;
  if (v->norm_pre) x = pc_run1(s, v->norm_pre, x);
  for (int64_t i = 0; i < v->o.depth && s->rc == PC_OK; i++) x = run_block(s, v, &v->blocks[i], x);
  if (v->norm_out) x = pc_run1(s, v->norm_out, x);
  if (x && v->o.tokens == PC_VIT_PATCHES) x = pc_narrow(s, x, 1, x->size[1] - v->grid, v->grid, 1);
  out[0] = x;
}

static void release(pc_module *m) { pc_free(((vit_self *)m->self)->blocks); }

static const pc_module_class vit_class = {"vit", 1, 1, 1, fwd_vit, release, "image (B,H,W,C) -> tokens (B,T,width)"};

/* ---- making one ---- */

static void fwd_none(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) { out[0] = in[0]; }
static const pc_module_class block_class = {"vit_block", 1, 1, 1, fwd_none, NULL, "the parts of a block of vit"};

/* A parameter of `width` numbers that all are `value`; with gradients off. */
static pc_tensor *add_scale(pc_build *b, const char *name, int64_t width, double value) {
  pc_tensor *t = pc_build_param(b, name, 1, &width, PC_INIT_NORMAL, 0, 0, 0);
  if (t) pc_build_note(b, pc_fill(t, value));
  return t;
}

static int build_block(pc_module **out, const pc_vit_opts *o, int64_t heads, vit_block *v) {
  const int64_t w = o->width, ff = pc_int64_or(o->ff, 4 * w);
  pc_build b;
  pc_build_begin(&b, &block_class, 0);
  v->norm1 = pc_build_norm(&b, "norm1", w, o->eps);
  v->attention = pc_build_attention(&b, "attention", w, heads, &(pc_attention_opts){.bias = o->qkv_bias});
  v->norm2 = pc_build_norm(&b, "norm2", w, o->eps);
  v->fc1 = pc_build_linear(&b, "fc1", w, ff);
  v->act = pc_build_activation(&b, "act", (pc_activation)o->activation);
  v->fc2 = pc_build_linear(&b, "fc2", ff, w);
  if (o->layer_scale.given) {
    v->scale1 = add_scale(&b, "scale1", w, o->layer_scale.value);
    v->scale2 = add_scale(&b, "scale2", w, o->layer_scale.value);
  }
  return pc_build_end(&b, out);
}

/* Xavier uniform weights, biases 0: linear layers and the patch convolution, which is one */
static int initialise(void *ctx, const char *path, pc_parameter *p) {
  pc_tensor *t = p->t;
  if (!strcmp(p->name, "bias")) return pc_init_fill(t, PC_INIT_ZEROS, 1, 0, 0, pc_rng_global());
  if (strcmp(p->name, "weight") || t->ndim < 2) return PC_OK;
  int64_t out = t->size[0], in = pc_numel(t) / out;
  return pc_init_fill(t, PC_INIT_XAVIER_UNIFORM, 1, in, out, pc_rng_global());
}

static void add_positions(pc_build *b, vit_self *v, int64_t gh, int64_t gw) {
  const int64_t w = v->o.width;
  pc_tensor *t = NULL;
  if (v->o.position != PC_VIT_SINCOS) {
    v->position = pc_build_param(b, "position", 2, (int64_t[]){v->grid + v->class_row, w}, PC_INIT_NORMAL, 0.02, 0, 0);
    return;
  }
  int rc = pc_embed_sincos_2d(&t, gh, gw, w);
  v->position = pc_build_table(b, "position", rc, &t);
}

static int build(pc_build *b, vit_self *v) {
  const pc_vit_opts *o = &v->o;
  const int64_t w = o->width, gh = o->height / o->patch, gw = v->width_px / o->patch,
                heads = pc_int64_or(o->heads, w % 64 ? 1 : w / 64);
  pc_module *block = NULL;
  char name[32];
  v->grid = gh * gw;
  if (!(v->blocks = pc_calloc((size_t)o->depth, sizeof *v->blocks))) return PC_ENOMEM;
  v->mean = pc_build_buffer(b, "input_mean", 3, (int64_t[]){o->height, v->width_px, o->channels}, 0);
  v->scale = pc_build_buffer(b, "input_scale", 1, &o->channels, 1);
  if (o->class_token)
    v->class_token = pc_build_param(b, "class_token", 2, (int64_t[]){1, w}, PC_INIT_NORMAL, 0.02, 0, 0);
  if (o->registers)
    v->registers = pc_build_param(b, "registers", 2, (int64_t[]){o->registers, w}, PC_INIT_NORMAL, 0.02, 0, 0);
  add_positions(b, v, gh, gw);
  v->patch = pc_build_conv2d(
      b, "patch", o->channels, w, o->patch,
      &PC_OPTIONS_WITH(pc_nn_conv_opts, PC_CONV_OPTIONS, .stride = (int)o->patch, .bias = o->patch_bias));
  if (o->pre_norm) v->norm_pre = pc_build_norm(b, "norm_pre", w, o->eps);
  for (int64_t i = 0; i < o->depth && b->rc == PC_OK; i++) {
    int rc = build_block(&block, o, heads, &v->blocks[i]);
    pc_build_child(b, pc_build_name(name, sizeof name, "block", i), rc, &block);
  }
  if (o->final_norm) v->norm_out = pc_build_norm(b, "norm_out", w, o->eps);
  return b->rc == PC_OK ? pc_module_each(b->m, initialise, NULL) : b->rc;
}

PC_OPTIONS_TABLE(pc_vit_options, "vit", pc_vit_opts, PC_VIT_OPTIONS);

static int check(const pc_vit_opts *o) {
  int rc = pc_options_check(&pc_vit_options, "vit", o), fixed = o->position == PC_VIT_SINCOS;
  if (rc < 0) return rc;
  if (o->class_position.given && o->class_position.value && (!o->class_token || fixed))
    return pc_fail(PC_EARG, "vit: class_position: there is no row for a class token %s",
                   fixed ? "in a sincos table" : "without class_token");
  if (o->height % o->patch || PC_WIDTH_PX(o) % o->patch)
    return pc_fail(PC_EARG, "vit: patches of %lld do not tile an image of %lld x %lld; choose sides that are multiples",
                   (long long)o->patch, (long long)o->height, (long long)PC_WIDTH_PX(o));
  return PC_OK;
}

int pc_encoder_vit(pc_module **out, const pc_vit_opts *o) {
  pc_build b;
  int rc = check(o);
  *out = NULL;
  if (rc < 0) return rc;
  vit_self *v = pc_build_begin(&b, &vit_class, sizeof *v);
  if (!v) return pc_build_end(&b, out);
  v->o = *o;
  v->width_px = PC_WIDTH_PX(o);
  v->class_row =
      o->class_token && o->position != PC_VIT_SINCOS && (!o->class_position.given || o->class_position.value);
  int was = pc_grad_set_enabled(0); /* initial values are no step of a computation */
  pc_build_note(&b, build(&b, v));
  pc_grad_set_enabled(was);
  return pc_build_end(&b, out);
}
