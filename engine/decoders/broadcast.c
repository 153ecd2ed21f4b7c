/* broadcast.c: every slot paints alone, masks put the paintings together; see decoder.h. */
#include "decoders/decoder.h"
#include "grad/ops_linalg.h"
#include "grad/ops_nn.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"
#include "nn/build.h"

typedef struct broadcast_self {
  pc_broadcast_decoder_opts o;
  int64_t width_px, grid_h, grid_w;
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
  pc_put_together(s, pc_reshape(s, y, 5, (int64_t[]){b, k, o->height, d->width_px, c}), (pc_masks)o->masks, out);
}

static const pc_module_class broadcast_class = {
    "broadcast_decoder", 1, 1, 2, fwd_broadcast, NULL, "slots (B,K,m) -> image (B,H,W,C), masks (B,H*W,K)"};

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
  const int pad = (int)o->kernel / 2;
  const pc_nn_conv_opts twice = PC_OPTIONS_WITH(pc_nn_conv_opts, PC_CONV_TRANSPOSE_OPTIONS, .stride = 2, .padding = pad,
                                                .output_padding = 1),
                        plain = PC_OPTIONS_WITH(pc_nn_conv_opts, PC_CONV_TRANSPOSE_OPTIONS, .padding = pad);
  pc_build b = pc_build_sequence();
  int64_t in = o->slot_dim;
  for (int64_t l = 0; l < o->doublings; l++, in = o->hidden) {
    pc_build_conv_transpose2d(&b, NULL, in, o->hidden, o->kernel, &twice);
    pc_build_activation(&b, NULL, (pc_activation)o->act);
  }
  pc_build_conv_transpose2d(&b, NULL, in, o->channels + (o->masks != PC_MASKS_NONE), o->kernel, &plain);
  return pc_build_end(&b, net);
}

PC_OPTIONS_TABLE(pc_broadcast_decoder_options, "broadcast_decoder", pc_broadcast_decoder_opts,
                 PC_BROADCAST_DECODER_OPTIONS);

static int check(const pc_broadcast_decoder_opts *o) {
  const char *who = broadcast_class.name;
  int rc = pc_options_check(&pc_broadcast_decoder_options, who, o);
  if (rc < 0) return rc;
  if (o->height % (1 << o->doublings) || PC_WIDTH_PX(o) % (1 << o->doublings))
    return pc_fail(PC_EARG, "%s: an image of %lld x %lld is not a grid doubled %lld times", who, (long long)o->height,
                   (long long)PC_WIDTH_PX(o), (long long)o->doublings);
  if (o->kernel % 2 == 0) return pc_fail(PC_EARG, "%s: kernel must be odd, not %lld", who, (long long)o->kernel);
  return PC_OK;
}

int pc_decoder_broadcast(pc_module **out, const pc_broadcast_decoder_opts *o) {
  pc_build b;
  pc_tensor *t = NULL;
  pc_module *net = NULL;
  int rc = check(o);
  *out = NULL;
  if (rc < 0) return rc;
  broadcast_self *d = pc_build_begin(&b, &broadcast_class, sizeof *d);
  if (!d) return pc_build_end(&b, out);
  d->o = *o;
  d->width_px = PC_WIDTH_PX(o);
  d->grid_h = o->height >> o->doublings;
  d->grid_w = d->width_px >> o->doublings;
  rc = coordinates(&t, d->grid_h, d->grid_w);
  d->coords = pc_build_table(&b, "coords", rc, &t);
  d->position = pc_build_linear(&b, "position", 2, o->slot_dim);
  rc = build_net(&net, o);
  d->net = pc_build_child(&b, "net", rc, &net);
  return pc_build_end(&b, out);
}
