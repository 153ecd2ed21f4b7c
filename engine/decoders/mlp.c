/* mlp.c: the unstructured fully connected decoder, a control; see decoder.h. */
#include "decoders/decoder.h"
#include "grad/ops_shape.h"

typedef struct mlp_self {
  pc_mlp_decoder_opts o;
  pc_module *net;
} mlp_self;

static void fwd_mlp_decoder(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  const mlp_self *d = m->self;
  pc_tensor *z = in[0];
  if (!pc_check_slots(s, "mlp_decoder", z, d->o.slots, d->o.slot_dim)) return;
  int64_t b = z->size[0];
  pc_tensor *y = pc_run1(s, d->net, pc_reshape(s, z, 2, (int64_t[]){b, d->o.slots * d->o.slot_dim}));
  out[0] = pc_reshape(s, y, 4, (int64_t[]){b, d->o.height, d->o.width_px, d->o.channels});
}

static const pc_module_class mlp_decoder_class = {
    "mlp_decoder", 1, 1, 2, fwd_mlp_decoder, NULL, "slots (B,K,m) -> image (B,H,W,C); no structure over slots"};

int pc_decoder_mlp(pc_module **out, const pc_mlp_decoder_opts *opts) {
  pc_mlp_decoder_opts o = *opts;
  int64_t widths[18];
  int n = 0;
  *out = NULL;
  if (!o.height) o.height = 64;
  if (!o.width_px) o.width_px = o.height;
  if (!o.channels) o.channels = 3;
  if (!o.hidden) o.hidden = 256;
  if (!o.layers) o.layers = 2;
  if (o.slots < 1 || o.slot_dim < 1 || o.layers < 1 || o.layers > 16)
    return pc_fail(PC_EARG, "mlp_decoder: slots and slot_dim are required, 1 to 16 layers");
  int rc = pc_module_new(out, &mlp_decoder_class, sizeof(mlp_self));
  if (rc < 0) return rc;
  mlp_self *d = (*out)->self;
  d->o = o;
  widths[n++] = o.slots * o.slot_dim;
  for (int64_t l = 0; l < o.layers; l++) widths[n++] = o.hidden;
  widths[n++] = o.height * o.width_px * o.channels;
  rc = pc_nn_mlp(&d->net, n, widths, PC_NN_GELU);
  if (rc == PC_OK) rc = pc_module_adopt(*out, "net", rc, d->net);
  if (rc < 0) {
    pc_module_release(*out);
    *out = NULL;
  }
  return rc;
}
