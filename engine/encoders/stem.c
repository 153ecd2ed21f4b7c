/* stem.c: the CNN that gives tokens, and small things that all encoders need; see encoder.h, parts.h. */
#include <math.h>
#include <stdio.h>

#include "encoders/parts.h"
#include "grad/ops_linalg.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_shape.h"

int pc_part_child(pc_module *m, const char *name, int rc, pc_module *part, pc_module **slot) {
  *slot = part;
  return pc_module_adopt(m, name, rc, part);
}

int pc_part_buffer(pc_module *m, const char *name, int ndim, const int64_t *size, double value, pc_tensor **slot) {
  pc_tensor *t;
  int rc = pc_tensor_full(&t, PC_F32, ndim, size, value);
  if (rc < 0) return rc;
  rc = pc_module_add_tensor(m, name, t, 1);
  *slot = t; /* the module holds it */
  pc_tensor_release(t);
  return rc;
}

int pc_part_check_image(const pc_tensor *x, int64_t height, int64_t width, int64_t channels) {
  if (x->ndim == 4 && x->size[1] == height && x->size[2] == width && x->size[3] == channels) return PC_OK;
  return pc_fail(PC_ESHAPE, "encoder: images must be (B,%lld,%lld,%lld), got %s", (long long)height, (long long)width,
                 (long long)channels, pc_shape_str(x));
}

void pc_part_slots(pc_scope *s, pc_tensor *h, int64_t slot_dim, int no_vae, pc_tensor **out) {
  if (no_vae) {
    out[0] = h;
    return;
  }
  out[0] = pc_narrow(s, h, 2, 0, slot_dim, 1);
  /* std = 0.5 exp(s): starts small, so that reconstruction forms first (2411.07784's code) */
  out[1] = pc_add_scalar(s, pc_narrow(s, h, 2, slot_dim, slot_dim, 1), log(0.5));
}

/* ---- the stem ---- */

int pc_stem_check(const char *who, pc_cnn_opts *o) {
  if (!o->height) o->height = 64;
  if (!o->width_px) o->width_px = o->height;
  if (!o->channels) o->channels = 3;
  if (!o->width) o->width = 96;
  if (!o->stages) {
    o->stages = 4;
    for (int i = 0; i < 4; i++)
      if (!o->conv_channels[i]) o->conv_channels[i] = (const int64_t[]){32, 64, o->width, o->width}[i];
  }
  if (o->stages > PC_STEM_MAX) return pc_fail(PC_EARG, "%s: at most 8 convolutions", who);
  for (int64_t i = 0; i < o->stages; i++) {
    if (!o->conv_channels[i]) o->conv_channels[i] = o->width;
    if (!o->conv_kernel[i]) o->conv_kernel[i] = i ? 3 : 5;
    if (!o->conv_stride[i]) o->conv_stride[i] = i < 3 ? 2 : 1;
  }
  if (o->conv_channels[o->stages - 1] != o->width)
    return pc_fail(PC_EARG, "%s: the last convolution has %lld channels, the tokens are %lld wide", who,
                   (long long)o->conv_channels[o->stages - 1], (long long)o->width);
  return PC_OK;
}

static int build_convs(pc_module *m, pc_stem *e) {
  const pc_cnn_opts *o = &e->o;
  int64_t h = o->height, w = o->width_px, c = o->channels;
  pc_module *part = NULL;
  int rc = PC_OK;
  for (int64_t i = 0; i < o->stages && rc == PC_OK; i++) {
    char name[24];
    int64_t pad = o->conv_kernel[i] / 2;
    snprintf(name, sizeof name, "conv%d", (int)i + 1);
    rc = pc_nn_conv2d(&part, c, o->conv_channels[i], o->conv_kernel[i],
                      &(pc_nn_conv_opts){.stride = o->conv_stride[i], .padding = pad});
    if (rc == PC_OK) rc = pc_part_child(m, name, rc, part, &e->convs[i]);
    c = o->conv_channels[i];
    h = (h + 2 * pad - o->conv_kernel[i]) / o->conv_stride[i] + 1;
    w = (w + 2 * pad - o->conv_kernel[i]) / o->conv_stride[i] + 1;
  }
  e->tokens = h * w;
  if (rc == PC_OK && e->tokens < 1)
    rc = pc_fail(PC_EARG, "%s: the image is too small for the convolutions", m->cls->name);
  return rc;
}

int pc_stem_build(pc_module *m, pc_stem *e) {
  const pc_cnn_opts *o = &e->o;
  pc_module *part = NULL;
  int rc = pc_part_buffer(m, "input_mean", 3, (int64_t[]){o->height, o->width_px, o->channels}, 0, &e->mean);
  if (rc == PC_OK) rc = pc_part_buffer(m, "input_scale", 0, NULL, 1, &e->scale);
  if (rc == PC_OK) rc = build_convs(m, e);
  if (rc == PC_OK &&
      (rc = pc_nn_position(&part, e->tokens, o->width, o->position_sd > 0 ? o->position_sd : 0.02)) == PC_OK)
    rc = pc_part_child(m, "position", rc, part, &e->position);
  if (rc == PC_OK && (rc = pc_nn_layer_norm(&part, o->width, 0, 0)) == PC_OK)
    rc = pc_part_child(m, "norm_tokens", rc, part, &e->norm_tokens);
  if (rc == PC_OK && o->token_maps) {
    rc = pc_module_param(m, "token_maps", 3, (int64_t[]){e->tokens, o->width, o->width}, PC_INIT_KAIMING_NORMAL, 1,
                         o->width, 0);
    e->maps = pc_module_get(m, "token_maps");
  } else if (rc == PC_OK &&
             (rc = pc_nn_mlp(&part, 3, (int64_t[]){o->width, o->width, o->width}, PC_NN_GELU)) == PC_OK) {
    rc = pc_part_child(m, "tokens", rc, part, &e->mlp);
  }
  return rc;
}

pc_tensor *pc_stem_run(pc_scope *s, const pc_stem *e, pc_tensor *x) {
  if (!x || pc_note(s, pc_part_check_image(x, e->o.height, e->o.width_px, e->o.channels)) < 0) return NULL;
  int64_t b = x->size[0];
  x = pc_div(s, pc_sub(s, x, e->mean), e->scale);
  for (int64_t i = 0; i < e->o.stages; i++) x = pc_nn_convolve(s, e->convs[i], x, i + 1 < e->o.stages);
  x = pc_reshape(s, x, 3, (int64_t[]){b, e->tokens, e->o.width});
  if (e->maps) x = pc_transpose(s, pc_bmm(s, pc_transpose(s, x, 0, 1), e->maps), 0, 1);
  x = pc_run1(s, e->norm_tokens, pc_run1(s, e->position, x));
  return e->mlp ? pc_run1(s, e->mlp, x) : x;
}

/* ---- as an encoder's base ---- */

static void fwd_cnn(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  out[0] = pc_stem_run(s, m->self, in[0]);
}

static const pc_module_class cnn_class = {"cnn", 1, 1, 1, fwd_cnn, NULL, "image (B,H,W,C) -> tokens (B,T,width)"};

int pc_encoder_cnn(pc_module **out, const pc_cnn_opts *opts) {
  pc_cnn_opts o = *opts;
  int rc = pc_stem_check("cnn", &o);
  *out = NULL;
  if (rc < 0 || (rc = pc_module_new(out, &cnn_class, sizeof(pc_stem))) < 0) return rc;
  ((pc_stem *)(*out)->self)->o = o;
  if ((rc = pc_stem_build(*out, (*out)->self)) < 0) {
    pc_module_release(*out);
    *out = NULL;
  }
  return rc;
}
