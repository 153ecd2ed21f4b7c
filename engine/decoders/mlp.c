/* mlp.c: the unstructured fully connected decoder, a control; see decoder.h. */
#include "decoders/decoder.h"
#include "grad/ops_shape.h"
#include "nn/build.h"

typedef struct mlp_self {
  pc_mlp_decoder_opts o;
  int64_t width_px;
  pc_module *net;
} mlp_self;

static void fwd_mlp_decoder(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  const mlp_self *d = m->self;
  pc_tensor *z = in[0];
  if (!pc_check_slots(s, "mlp_decoder", z, (pc_maybe_int64)PC_GIVEN(d->o.slots), d->o.slot_dim)) return;
  int64_t b = z->size[0];
  pc_tensor *y = pc_run1(s, d->net, pc_reshape(s, z, 2, (int64_t[]){b, d->o.slots * d->o.slot_dim}));
  out[0] = pc_reshape(s, y, 4, (int64_t[]){b, d->o.height, d->width_px, d->o.channels});
}

static const pc_module_class mlp_decoder_class = {
    "mlp_decoder", 1, 1, 2, fwd_mlp_decoder, NULL, "slots (B,K,m) -> image (B,H,W,C); no structure over slots"};

PC_OPTIONS_TABLE(pc_mlp_decoder_options, "mlp_decoder", pc_mlp_decoder_opts, PC_MLP_DECODER_OPTIONS);

int pc_decoder_mlp(pc_module **out, const pc_mlp_decoder_opts *o) {
  pc_build b;
  int64_t widths[18];
  int n = 0;
  *out = NULL;
  int rc = pc_options_check(&pc_mlp_decoder_options, mlp_decoder_class.name, o);
  if (rc < 0) return rc;
  mlp_self *d = pc_build_begin(&b, &mlp_decoder_class, sizeof *d);
  if (!d) return pc_build_end(&b, out);
  d->o = *o;
  d->width_px = PC_WIDTH_PX(o);
  widths[n++] = o->slots * o->slot_dim;
  for (int64_t l = 0; l < o->layers; l++) widths[n++] = o->hidden;
  widths[n++] = o->height * d->width_px * o->channels;
  d->net = pc_build_mlp(&b, "net", n, widths, PC_ACTIVATION_gelu);
  return pc_build_end(&b, out);
}
