/* pixel.c: every slot answers every position through one MLP, masks put the answers together; see decoder.h. */
#include "decoders/decoder.h"
#include "grad/ops_nn.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_shape.h"
#include "nn/build.h"

typedef struct pixel_self {
  pc_pixel_decoder_opts o;
  int64_t width_px;
  pc_module *slot, *place, *net;
  pc_tensor *positions; /* (Q, 4*octaves) */
} pixel_self;

static void fwd_pixel(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  const pixel_self *d = m->self;
  const pc_pixel_decoder_opts *o = &d->o;
  pc_tensor *z = in[0];
  if (!pc_check_slots(s, "pixel_decoder", z, o->slots, o->slot_dim)) return;
  int64_t b = z->size[0], k = z->size[1], gh = o->height / o->patch, gw = d->width_px / o->patch;
  int64_t c = o->channels + (o->masks != PC_MASKS_NONE);
  /* the first layer of (slot, position): the position's share is the same for all slots and images */
  pc_tensor *a = pc_run1(s, d->slot, pc_reshape(s, z, 3, (int64_t[]){b * k, 1, o->slot_dim}));
  pc_tensor *y =
      pc_activation_op(s, (pc_activation)o->act, pc_add(s, a, pc_unsqueeze(s, pc_run1(s, d->place, d->positions), 0)));
  y = pc_unpatch(s, pc_run1(s, d->net, y), gh, gw, o->patch, c);
  pc_put_together(s, pc_reshape(s, y, 5, (int64_t[]){b, k, o->height, d->width_px, c}), (pc_masks)o->masks, out);
}

static const pc_module_class pixel_class = {
    "pixel_decoder", 1, 1, 2, fwd_pixel, NULL, "slots (B,K,m) -> image (B,H,W,C), masks (B,H*W,K)"};

PC_OPTIONS_TABLE(pc_pixel_decoder_options, "pixel_decoder", pc_pixel_decoder_opts, PC_PIXEL_DECODER_OPTIONS);

int pc_decoder_pixel(pc_module **out, const pc_pixel_decoder_opts *o) {
  pc_build b;
  pc_tensor *t = NULL;
  int64_t widths[18];
  int n = 0;
  *out = NULL;
  int rc = pc_options_check(&pc_pixel_decoder_options, pixel_class.name, o);
  if (rc == PC_OK) rc = PC_CHECK_PATCHES(pixel_class.name, o);
  if (rc < 0) return rc;
  pixel_self *d = pc_build_begin(&b, &pixel_class, sizeof *d);
  if (!d) return pc_build_end(&b, out);
  d->o = *o;
  d->width_px = PC_WIDTH_PX(o);
  for (int64_t l = 0; l < o->layers; l++) widths[n++] = o->hidden;
  widths[n++] = o->patch * o->patch * (o->channels + (o->masks != PC_MASKS_NONE));
  rc = pc_embed_fourier(&t, o->height / o->patch, d->width_px / o->patch, o->octaves);
  d->positions = pc_build_table(&b, "positions", rc, &t);
  d->slot = pc_build_linear(&b, "slot", o->slot_dim, o->hidden);
  d->place = pc_build_matrix(&b, "place", 4 * o->octaves, o->hidden);
  d->net = pc_build_mlp(&b, "net", n, widths, (pc_activation)o->act);
  return pc_build_end(&b, out);
}
