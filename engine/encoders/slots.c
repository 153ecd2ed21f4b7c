/* slots.c: CNN and learned-query slot Transformer; see encoder.h. */
#include <math.h>
#include <stdio.h>

#include "encoders/encoder.h"
#include "grad/ops_linalg.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_shape.h"

typedef struct slots_self {
  pc_slot_encoder_opts o;
  int64_t tokens;
  pc_module *convs[8], *position, *norm_tokens, *tokens_mlp, *blocks[16], *norm_out, *head;
  pc_tensor *queries, *maps, *mean, *scale;
} slots_self;

static void fwd_slots(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  const slots_self *e = m->self;
  pc_tensor *x = in[0], *y[PC_MAX_OUT];
  if (!x) return;
  if (x->ndim != 4 || x->size[1] != e->o.height || x->size[2] != e->o.width_px || x->size[3] != e->o.channels) {
    pc_note(s, pc_fail(PC_ESHAPE, "encoder: images must be (B,%lld,%lld,%lld), got %s", (long long)e->o.height,
                       (long long)e->o.width_px, (long long)e->o.channels, pc_shape_str(x)));
    return;
  }
  int64_t b = x->size[0];
  x = pc_div(s, pc_sub(s, x, e->mean), e->scale);
  for (int64_t i = 0; i < e->o.stages; i++) x = pc_nn_convolve(s, e->convs[i], x, i + 1 < e->o.stages);
  x = pc_reshape(s, x, 3, (int64_t[]){b, e->tokens, e->o.width});
  if (e->maps) x = pc_transpose(s, pc_bmm(s, pc_transpose(s, x, 0, 1), e->maps), 0, 1);
  x = pc_run1(s, e->norm_tokens, pc_run1(s, e->position, x));
  if (e->tokens_mlp) x = pc_run1(s, e->tokens_mlp, x);
  pc_tensor *q = pc_expand(s, pc_unsqueeze(s, e->queries, 0), 3, (int64_t[]){b, e->o.slots, e->o.width});
  for (int64_t l = 0; l < e->o.layers && s->rc == PC_OK; l++) {
    pc_tensor *qx[2] = {q, x};
    pc_module_run(s, e->blocks[l], qx, 2, y);
    q = y[0];
  }
  pc_tensor *h = pc_run1(s, e->head, pc_run1(s, e->norm_out, q));
  if (e->o.no_vae) {
    out[0] = h;
    return;
  }
  out[0] = pc_narrow(s, h, 2, 0, e->o.slot_dim, 1);
  /* std = 0.5 exp(s): starts small, so that reconstruction forms first (2411.07784's code) */
  out[1] = pc_add_scalar(s, pc_narrow(s, h, 2, e->o.slot_dim, e->o.slot_dim, 1), log(0.5));
}

static const pc_module_class slots_class = {
    "slot_encoder", 1, 1, 2, fwd_slots, NULL, "image (B,H,W,C) -> slot means (B,K,m), log_std (B,K,m)"};

static int check(pc_slot_encoder_opts *o) {
  if (o->slots < 1 || o->slot_dim < 1) return pc_fail(PC_EARG, "slot_encoder: slots and slot_dim are required");
  if (!o->height) o->height = 64;
  if (!o->width_px) o->width_px = o->height;
  if (!o->channels) o->channels = 3;
  if (!o->width) o->width = 96;
  if (!o->heads) o->heads = 4;
  if (!o->layers) o->layers = 3;
  if (!o->ff) o->ff = 2 * o->width;
  if (!o->stages) {
    o->stages = 4;
    for (int i = 0; i < 4; i++)
      if (!o->conv_channels[i]) o->conv_channels[i] = (const int64_t[]){32, 64, o->width, o->width}[i];
  }
  if (o->stages > 8 || o->layers > 16 || o->layers < 1)
    return pc_fail(PC_EARG, "slot_encoder: at most 8 convolutions and 1 to 16 layers");
  for (int64_t i = 0; i < o->stages; i++) {
    if (!o->conv_channels[i]) o->conv_channels[i] = o->width;
    if (!o->conv_kernel[i]) o->conv_kernel[i] = i ? 3 : 5;
    if (!o->conv_stride[i]) o->conv_stride[i] = i < 3 ? 2 : 1;
  }
  if (o->conv_channels[o->stages - 1] != o->width)
    return pc_fail(PC_EARG, "slot_encoder: the last convolution has %lld channels, the tokens are %lld wide",
                   (long long)o->conv_channels[o->stages - 1], (long long)o->width);
  return PC_OK;
}

static int add(pc_module *m, const char *name, int rc, pc_module *part, pc_module **slot) {
  *slot = part;
  return pc_module_adopt(m, name, rc, part);
}

static int add_buffer(pc_module *m, const char *name, int ndim, const int64_t *size, double value, pc_tensor **slot) {
  pc_tensor *t;
  int rc = pc_tensor_full(&t, PC_F32, ndim, size, value);
  if (rc < 0) return rc;
  rc = pc_module_add_tensor(m, name, t, 1);
  *slot = t; /* the module holds it */
  pc_tensor_release(t);
  return rc;
}

static int build(pc_module *m) {
  slots_self *e = m->self;
  const pc_slot_encoder_opts *o = &e->o;
  int64_t h = o->height, w = o->width_px, c = o->channels;
  pc_module *part = NULL;
  int rc = add_buffer(m, "input_mean", 3, (int64_t[]){h, w, c}, 0, &e->mean);
  if (rc == PC_OK) rc = add_buffer(m, "input_scale", 0, NULL, 1, &e->scale);
  for (int64_t i = 0; i < o->stages && rc == PC_OK; i++) {
    char name[24];
    int64_t pad = o->conv_kernel[i] / 2;
    snprintf(name, sizeof name, "conv%d", (int)i + 1);
    rc = pc_nn_conv2d(&part, c, o->conv_channels[i], o->conv_kernel[i],
                      &(pc_nn_conv_opts){.stride = o->conv_stride[i], .padding = pad});
    if (rc == PC_OK) rc = add(m, name, rc, part, &e->convs[i]);
    c = o->conv_channels[i];
    h = (h + 2 * pad - o->conv_kernel[i]) / o->conv_stride[i] + 1;
    w = (w + 2 * pad - o->conv_kernel[i]) / o->conv_stride[i] + 1;
  }
  e->tokens = h * w;
  if (rc == PC_OK && e->tokens < 1) rc = pc_fail(PC_EARG, "slot_encoder: the image is too small for the convolutions");
  if (rc == PC_OK &&
      (rc = pc_nn_position(&part, e->tokens, o->width, o->position_sd > 0 ? o->position_sd : 0.02)) == PC_OK)
    rc = add(m, "position", rc, part, &e->position);
  if (rc == PC_OK && (rc = pc_nn_layer_norm(&part, o->width, 0, 0)) == PC_OK)
    rc = add(m, "norm_tokens", rc, part, &e->norm_tokens);
  if (rc == PC_OK && o->token_maps) {
    rc = pc_module_param(m, "token_maps", 3, (int64_t[]){e->tokens, o->width, o->width}, PC_INIT_KAIMING_NORMAL, 1,
                         o->width, 0);
    e->maps = pc_module_get(m, "token_maps");
  } else if (rc == PC_OK &&
             (rc = pc_nn_mlp(&part, 3, (int64_t[]){o->width, o->width, o->width}, PC_NN_GELU)) == PC_OK) {
    rc = add(m, "tokens", rc, part, &e->tokens_mlp);
  }
  if (rc == PC_OK)
    rc = pc_module_param(m, "queries", 2, (int64_t[]){o->slots, o->width},
                         o->query_sd > 0 ? PC_INIT_NORMAL : PC_INIT_UNIFORM, o->query_sd > 0 ? o->query_sd : 1, 0, 0);
  if (rc == PC_OK) e->queries = pc_module_get(m, "queries");
  for (int64_t l = 0; l < o->layers && rc == PC_OK; l++) {
    char name[24];
    snprintf(name, sizeof name, "block%d", (int)l + 1);
    rc = pc_nn_block(&part, o->width, o->heads,
                     &(pc_block_opts){.width_kv = o->width, .self_attention = 1, .ff = o->ff});
    if (rc == PC_OK) rc = add(m, name, rc, part, &e->blocks[l]);
  }
  if (rc == PC_OK && (rc = pc_nn_layer_norm(&part, o->width, 0, 0)) == PC_OK)
    rc = add(m, "norm_out", rc, part, &e->norm_out);
  if (rc == PC_OK && (rc = pc_nn_linear(&part, o->width, (o->no_vae ? 1 : 2) * o->slot_dim, NULL)) == PC_OK)
    rc = add(m, "head", rc, part, &e->head);
  return rc;
}

int pc_encoder_slots(pc_module **out, const pc_slot_encoder_opts *opts) {
  pc_slot_encoder_opts o = *opts;
  int rc = check(&o);
  *out = NULL;
  if (rc < 0 || (rc = pc_module_new(out, &slots_class, sizeof(slots_self))) < 0) return rc;
  ((slots_self *)(*out)->self)->o = o;
  if ((rc = build(*out)) < 0) {
    pc_module_release(*out);
    *out = NULL;
  }
  return rc;
}
