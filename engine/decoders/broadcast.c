/* broadcast.c: every slot paints alone, masks put the paintings together; see decoder.h. */
#include <stdio.h>
#include <string.h>

#include "decoders/decoder.h"
#include "grad/ops_linalg.h"
#include "grad/ops_nn.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"

typedef struct broadcast_self {
  pc_broadcast_decoder_opts o;
  int64_t grid_h, grid_w;
  pc_module *position, *net;
  pc_tensor *coords; /* (grid_h*grid_w, 2) in [-1,1] */
} broadcast_self;

/* (B,K,m) -> (B*K,h,w,m): the slot's code at every place, plus the place's own. */
static pc_tensor *spread(pc_scope *s, const broadcast_self *d, pc_tensor *z) {
  int64_t m = d->o.slot_dim, n = z->size[0] * z->size[1];
  pc_tensor *where = pc_run1(s, d->position, d->coords);
  pc_tensor *x = pc_add(s, pc_reshape(s, z, 3, (int64_t[]){n, 1, m}), pc_unsqueeze(s, where, 0));
  return pc_reshape(s, x, 4, (int64_t[]){n, d->grid_h, d->grid_w, m});
}

void pc_put_together(pc_scope *s, pc_tensor *y, pc_masks how, pc_tensor **out) {
  pc_tensor *masks;
  if (!y) return;
  if (how == PC_MASKS_NONE) {
    out[0] = pc_sum(s, y, 1, (int[]){1}, 0);
    return;
  }
  int64_t b = y->size[0], k = y->size[1], pixels = y->size[2] * y->size[3];
  out[0] = pc_composite(s, y, how == PC_MASKS_SIGMOID, &masks);
  out[1] = pc_transpose(s, pc_reshape(s, masks, 3, (int64_t[]){b, k, pixels}), 1, 2);
}

static void fwd_broadcast(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  const broadcast_self *d = m->self;
  const pc_broadcast_decoder_opts *o = &d->o;
  pc_tensor *z = in[0];
  if (!pc_check_slots(s, "broadcast_decoder", z, o->slots, o->slot_dim)) return;
  int64_t b = z->size[0], k = z->size[1], c = o->channels + (o->masks != PC_MASKS_NONE);
  pc_tensor *y = pc_run1(s, d->net, spread(s, d, z));
  pc_put_together(s, pc_reshape(s, y, 5, (int64_t[]){b, k, o->height, o->width_px, c}), o->masks, out);
}

static const pc_module_class broadcast_class = {
    "broadcast_decoder", 1, 1, 2, fwd_broadcast, NULL, "slots (B,K,m) -> image (B,H,W,C), masks (B,H*W,K)"};

int pc_masks_parse(pc_masks *out, const char *name) {
  static const char *const names[] = {"softmax", "sigmoid", "none"};
  for (int i = 0; i < 3; i++)
    if (!strcmp(name, names[i])) return *out = (pc_masks)i, PC_OK;
  return pc_fail(PC_EARG, "decoder: unknown masks '%s': known are softmax, sigmoid, none", name);
}

static int check(pc_broadcast_decoder_opts *o) {
  if (!o->height) o->height = 64;
  if (!o->width_px) o->width_px = o->height;
  if (!o->channels) o->channels = 3;
  if (!o->hidden) o->hidden = 64;
  if (!o->doublings) o->doublings = 3;
  if (!o->kernel) o->kernel = 5;
  if (!o->act) o->act = PC_NN_RELU;
  if (o->slot_dim < 1) return pc_fail(PC_EARG, "broadcast_decoder: slot_dim must be at least 1");
  if (o->doublings < 1 || o->doublings > 8 || o->height % (1 << o->doublings) || o->width_px % (1 << o->doublings))
    return pc_fail(PC_EARG, "broadcast_decoder: an image of %lld x %lld is not a grid doubled %lld times",
                   (long long)o->height, (long long)o->width_px, (long long)o->doublings);
  if (o->kernel < 3 || o->kernel % 2 == 0)
    return pc_fail(PC_EARG, "broadcast_decoder: kernel must be odd and at least 3, not %lld", (long long)o->kernel);
  return PC_OK;
}

/* Coordinates (row, column) -> (x, y) in [-1,1], both ends included. */
static int coordinates(pc_tensor **out, int64_t h, int64_t w) {
  int rc = pc_tensor_empty(out, PC_F32, 2, (int64_t[]){h * w, 2});
  for (int64_t i = 0; rc == PC_OK && i < h * w; i++) {
    pc_f32(*out)[2 * i] = w > 1 ? (float)(2.0 * (double)(i % w) / (double)(w - 1) - 1) : -1;
    pc_f32(*out)[2 * i + 1] = h > 1 ? (float)(2.0 * (double)(i / w) / (double)(h - 1) - 1) : -1;
  }
  return rc;
}

/* doublings x (transposed convolution of stride 2, activation), then one of stride 1 to colours and mask. */
static int build_net(pc_module **net, const pc_broadcast_decoder_opts *o) {
  pc_module *parts[2 * 8 + 1] = {NULL};
  int n = 0, rc = PC_OK;
  int64_t in = o->slot_dim, pad = o->kernel / 2;
  *net = NULL;
  for (int64_t l = 0; l < o->doublings && rc == PC_OK; l++, in = o->hidden) {
    rc = pc_nn_conv_transpose2d(&parts[n], in, o->hidden, o->kernel,
                                &(pc_nn_conv_opts){.stride = 2, .padding = pad, .output_padding = 1});
    n += rc == PC_OK;
    if (rc == PC_OK) rc = pc_nn_activation(&parts[n], o->act);
    n += rc == PC_OK;
  }
  if (rc == PC_OK)
    rc = pc_nn_conv_transpose2d(&parts[n], in, o->channels + (o->masks != PC_MASKS_NONE), o->kernel,
                                &(pc_nn_conv_opts){.stride = 1, .padding = pad});
  n += rc == PC_OK;
  if (rc == PC_OK) rc = pc_nn_sequential(net, n, parts);
  for (int i = 0; i < n; i++) pc_module_release(parts[i]);
  return rc;
}

int pc_decoder_broadcast(pc_module **out, const pc_broadcast_decoder_opts *opts) {
  pc_broadcast_decoder_opts o = *opts;
  pc_module *part = NULL;
  pc_tensor *coords = NULL;
  int rc = check(&o);
  *out = NULL;
  if (rc < 0 || (rc = pc_module_new(out, &broadcast_class, sizeof(broadcast_self))) < 0) return rc;
  broadcast_self *d = (*out)->self;
  d->o = o;
  d->grid_h = o.height >> o.doublings;
  d->grid_w = o.width_px >> o.doublings;
  rc = coordinates(&coords, d->grid_h, d->grid_w);
  if (rc == PC_OK) rc = pc_module_add_tensor(*out, "coords", coords, 1);
  d->coords = coords; /* the module holds it */
  pc_tensor_release(coords);
  if (rc == PC_OK) rc = pc_nn_linear(&part, 2, o.slot_dim, NULL);
  if (rc == PC_OK) rc = pc_module_adopt(*out, "position", rc, d->position = part);
  if (rc == PC_OK) rc = build_net(&part, &o);
  if (rc == PC_OK) rc = pc_module_adopt(*out, "net", rc, d->net = part);
  if (rc < 0) {
    pc_module_release(*out);
    *out = NULL;
  }
  return rc;
}
