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
  pc_module *norm1, *attention, *norm2, *fc1, *act, *fc2; /* act NULL: not one of nn's */
  pc_tensor *scale1, *scale2;                             /* (width), or NULL */
} vit_block;

typedef struct vit_self {
  pc_vit_opts o;
  int64_t grid; /* patches */
  pc_module *patch, *norm_pre, *norm_out;
  pc_tensor *mean, *scale, *class_token, *registers, *position;
  vit_block *blocks;
} vit_self;

static const char *const act_names[] = {"gelu", "gelu_tanh", "quick_gelu"};

int pc_vit_act_parse(pc_vit_act *out, const char *name) {
  for (int i = 0; i < 3; i++)
    if (!strcmp(name, act_names[i])) return *out = (pc_vit_act)i, PC_OK;
  return pc_fail(PC_EARG, "vit: activation '%s': known are gelu, gelu_tanh, quick_gelu", name);
}

/* ---- forward ---- */

static pc_tensor *activate(pc_scope *s, pc_vit_act act, pc_tensor *x) {
  if (act == PC_VIT_GELU_TANH) return pc_gelu_tanh(s, x);
  /* x sigmoid(c x) = silu(c x) / c */
  return pc_mul_scalar(s, pc_op1(s, PC_OP_silu, pc_mul_scalar(s, x, 1.702)), 1 / 1.702);
}

static pc_tensor *run_block(pc_scope *s, const vit_self *v, const vit_block *b, pc_tensor *x) {
  pc_tensor *y = pc_nn_self_attention(s, b->attention, b->norm1, x, !b->scale1);
  x = b->scale1 ? pc_add(s, x, pc_mul(s, y, b->scale1)) : y;
  if (!x) return NULL;
  if (b->act && !b->scale2)
    return pc_fuse_around(s, x, b->norm2, (pc_module *[]){b->fc1, b->act, b->fc2}, 3, v->o.recompute);
  if (b->act) {
    y = pc_fuse_sequence(s, x, (pc_module *[]){b->norm2, b->fc1, b->act, b->fc2}, 4);
  } else {
    y = pc_fuse_sequence(s, x, (pc_module *[]){b->norm2, b->fc1}, 2);
    y = pc_run1(s, b->fc2, activate(s, v->o.act, y));
  }
  return pc_add(s, x, b->scale2 ? pc_mul(s, y, b->scale2) : y);
}

/* x (B,grid,width) + positions, behind class token and registers */
static pc_tensor *with_prefix(pc_scope *s, const vit_self *v, pc_tensor *x) {
  int64_t b = x->size[0], w = v->o.width;
  pc_tensor *p = v->position, *parts[2], *c = v->class_token;
  int rows = c && !v->o.no_class_position;
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
  if (!x || pc_note(s, pc_part_check_image(x, v->o.height, v->o.width_px, v->o.channels)) < 0) return;
  x = pc_run1(s, v->patch, pc_div(s, pc_sub(s, x, v->mean), v->scale));
  x = pc_reshape(s, x, 3, (int64_t[]){in[0]->size[0], v->grid, v->o.width});
  if (!x || !(x = with_prefix(s, v, x))) return;
  if (v->norm_pre) x = pc_run1(s, v->norm_pre, x);
  for (int64_t i = 0; i < v->o.depth && s->rc == PC_OK; i++) x = run_block(s, v, &v->blocks[i], x);
  if (v->norm_out) x = pc_run1(s, v->norm_out, x);
  if (x && v->o.patches_only) x = pc_narrow(s, x, 1, x->size[1] - v->grid, v->grid, 1);
  out[0] = x;
}

static void release(pc_module *m) { pc_free(((vit_self *)m->self)->blocks); }

static const pc_module_class vit_class = {"vit", 1, 1, 1, fwd_vit, release, "image (B,H,W,C) -> tokens (B,T,width)"};

/* ---- making one ---- */

static int check(pc_vit_opts *o) {
  if (!o->height) o->height = 224;
  if (!o->width_px) o->width_px = o->height;
  if (!o->channels) o->channels = 3;
  if (!o->patch) o->patch = 16;
  if (!o->width) o->width = 384;
  if (!o->depth) o->depth = 12;
  if (!o->heads) o->heads = o->width % 64 ? 1 : o->width / 64;
  if (!o->ff) o->ff = 4 * o->width;
  if (o->eps <= 0) o->eps = 1e-6;
  if (o->no_class_token || o->sincos) o->no_class_position = 1;
  if (o->depth < 1 || o->depth > 1000 || o->heads < 1 || o->width < 1 || o->ff < 1 || o->registers < 0 ||
      o->channels < 1)
    return pc_fail(PC_EARG,
                   "vit: depth %lld, width %lld, heads %lld, ff %lld, channels %lld: all at least 1, depth at most "
                   "1000; registers %lld: at least 0",
                   (long long)o->depth, (long long)o->width, (long long)o->heads, (long long)o->ff,
                   (long long)o->channels, (long long)o->registers);
  if (o->patch < 1 || o->height < 1 || o->width_px < 1 || o->height % o->patch || o->width_px % o->patch)
    return pc_fail(PC_EARG, "vit: patches of %lld do not tile an image of %lld x %lld; choose sides that are multiples",
                   (long long)o->patch, (long long)o->height, (long long)o->width_px);
  return PC_OK;
}

static int add_norm(pc_module *m, const char *name, const pc_vit_opts *o, pc_module **slot) {
  pc_module *part = NULL;
  int rc = pc_nn_layer_norm(&part, o->width, o->eps, 0);
  return pc_part_child(m, name, rc, part, slot);
}

/* parameters of tokens and positions; layer scales */
static int add_param(pc_module *m, const char *name, int ndim, const int64_t *size, double sd, pc_tensor **slot) {
  int rc = pc_module_param(m, name, ndim, size, PC_INIT_NORMAL, sd, 0, 0);
  if (rc == PC_OK) *slot = pc_module_get(m, name);
  return rc;
}

static void fwd_none(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) { out[0] = in[0]; }
static const pc_module_class block_class = {"vit_block", 1, 1, 1, fwd_none, NULL, "the parts of a block of vit"};

static int build_block(pc_module *m, const pc_vit_opts *o, vit_block *b) {
  pc_module *part = NULL;
  int rc = add_norm(m, "norm1", o, &b->norm1);
  if (rc == PC_OK) {
    rc = pc_nn_attention(&part, o->width, o->width, o->heads, &(pc_attention_opts){.qkv_bias = !o->no_qkv_bias});
    rc = pc_part_child(m, "attention", rc, part, &b->attention);
  }
  if (rc == PC_OK) rc = add_norm(m, "norm2", o, &b->norm2);
  for (int i = 0; i < 2 && rc == PC_OK; i++) {
    part = NULL;
    rc = pc_nn_linear(&part, i ? o->ff : o->width, i ? o->width : o->ff, NULL);
    rc = pc_part_child(m, i ? "fc2" : "fc1", rc, part, i ? &b->fc2 : &b->fc1);
    if (rc == PC_OK && !i && o->act == PC_VIT_GELU) {
      part = NULL;
      rc = pc_nn_activation(&part, PC_NN_GELU);
      rc = pc_part_child(m, "act", rc, part, &b->act);
    }
  }
  for (int i = 0; i < 2 && rc == PC_OK && o->layer_scale != 0; i++) {
    pc_tensor **slot = i ? &b->scale2 : &b->scale1;
    rc = add_param(m, i ? "scale2" : "scale1", 1, &o->width, 0, slot);
    if (rc == PC_OK) {
      int was = pc_grad_set_enabled(0);
      rc = pc_fill(*slot, o->layer_scale);
      pc_grad_set_enabled(was);
    }
  }
  return rc;
}

/* Xavier uniform weights, biases 0: linear layers and the patch convolution, which is one */
static int initialise(void *ctx, const char *path, pc_parameter *p) {
  pc_tensor *t = p->t;
  if (!strcmp(p->name, "bias")) return pc_init_fill(t, PC_INIT_ZEROS, 1, 0, 0, pc_rng_global());
  if (strcmp(p->name, "weight") || t->ndim < 2) return PC_OK;
  int64_t out = t->size[0], in = pc_numel(t) / out;
  return pc_init_fill(t, PC_INIT_XAVIER_UNIFORM, 1, in, out, pc_rng_global());
}

static int build(pc_module *m) {
  vit_self *v = m->self;
  const pc_vit_opts *o = &v->o;
  pc_module *part = NULL;
  int64_t gh = o->height / o->patch, gw = o->width_px / o->patch, rows = gh * gw + !o->no_class_position;
  v->grid = gh * gw;
  if (!(v->blocks = pc_calloc((size_t)o->depth, sizeof *v->blocks))) return PC_ENOMEM;
  int rc = pc_part_buffer(m, "input_mean", 3, (int64_t[]){o->height, o->width_px, o->channels}, 0, &v->mean);
  if (rc == PC_OK) rc = pc_part_buffer(m, "input_scale", 1, &o->channels, 1, &v->scale);
  if (rc == PC_OK && !o->no_class_token)
    rc = add_param(m, "class_token", 2, (int64_t[]){1, o->width}, 0.02, &v->class_token);
  if (rc == PC_OK && o->registers)
    rc = add_param(m, "registers", 2, (int64_t[]){o->registers, o->width}, 0.02, &v->registers);
  if (rc == PC_OK && o->sincos) {
    pc_tensor *table = NULL;
    rc = pc_embed_sincos_2d(&table, gh, gw, o->width);
    if (rc == PC_OK) rc = pc_module_add_tensor(m, "position", table, 1);
    v->position = table; /* the module holds it */
    pc_tensor_release(table);
  } else if (rc == PC_OK) {
    rc = add_param(m, "position", 2, (int64_t[]){rows, o->width}, 0.02, &v->position);
  }
  if (rc == PC_OK) {
    rc = pc_nn_conv2d(&part, o->channels, o->width, o->patch,
                      &(pc_nn_conv_opts){.stride = o->patch, .no_bias = o->no_patch_bias});
    rc = pc_part_child(m, "patch", rc, part, &v->patch);
  }
  if (rc == PC_OK && o->pre_norm) rc = add_norm(m, "norm_pre", o, &v->norm_pre);
  for (int64_t i = 0; i < o->depth && rc == PC_OK; i++) {
    char name[32];
    snprintf(name, sizeof name, "block%d", (int)i + 1);
    part = NULL;
    rc = pc_module_new(&part, &block_class, 0);
    if (rc == PC_OK) rc = build_block(part, o, &v->blocks[i]);
    rc = pc_module_adopt(m, name, rc, part);
  }
  if (rc == PC_OK && !o->no_final_norm) rc = add_norm(m, "norm_out", o, &v->norm_out);
  return rc == PC_OK ? pc_module_each(m, initialise, NULL) : rc;
}

int pc_encoder_vit(pc_module **out, const pc_vit_opts *opts) {
  pc_vit_opts o = *opts;
  int rc = check(&o);
  *out = NULL;
  if (rc < 0 || (rc = pc_module_new(out, &vit_class, sizeof(vit_self))) < 0) return rc;
  ((vit_self *)(*out)->self)->o = o;
  int was = pc_grad_set_enabled(0); /* initial values are no step of a computation */
  rc = build(*out);
  pc_grad_set_enabled(was);
  if (rc < 0) {
    pc_module_release(*out);
    *out = NULL;
  }
  return rc;
}
