/* pixel.c: every slot answers every position through one MLP, masks put the answers together; see decoder.h. */
#include "decoders/decoder.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_shape.h"

typedef struct pixel_self {
  pc_pixel_decoder_opts o;
  pc_module *slot, *place, *net;
  pc_tensor *positions; /* (Q, 4*octaves) */
} pixel_self;

static void fwd_pixel(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  const pixel_self *d = m->self;
  const pc_pixel_decoder_opts *o = &d->o;
  pc_tensor *z = in[0];
  if (!pc_check_slots(s, "pixel_decoder", z, o->slots, o->slot_dim)) return;
  int64_t b = z->size[0], k = z->size[1], gh = o->height / o->patch, gw = o->width_px / o->patch;
  int64_t c = o->channels + (o->masks != PC_MASKS_NONE);
  /* the first layer of (slot, position): the position's share is the same for all slots and images */
  pc_tensor *a = pc_run1(s, d->slot, pc_reshape(s, z, 3, (int64_t[]){b * k, 1, o->slot_dim}));
  pc_tensor *y = pc_activate(s, o->act, pc_add(s, a, pc_unsqueeze(s, pc_run1(s, d->place, d->positions), 0)));
  y = pc_unpatch(s, pc_run1(s, d->net, y), gh, gw, o->patch, c);
  pc_put_together(s, pc_reshape(s, y, 5, (int64_t[]){b, k, o->height, o->width_px, c}), o->masks, out);
}

static const pc_module_class pixel_class = {
    "pixel_decoder", 1, 1, 2, fwd_pixel, NULL, "slots (B,K,m) -> image (B,H,W,C), masks (B,H*W,K)"};

static int check(pc_pixel_decoder_opts *o) {
  if (!o->height) o->height = 64;
  if (!o->width_px) o->width_px = o->height;
  if (!o->channels) o->channels = 3;
  if (!o->patch) o->patch = 1;
  if (!o->hidden) o->hidden = 64;
  if (!o->layers) o->layers = 3;
  if (!o->octaves) o->octaves = 6;
  if (!o->act) o->act = PC_NN_GELU;
  if (o->slot_dim < 1) return pc_fail(PC_EARG, "pixel_decoder: slot_dim must be at least 1");
  if (o->height < 1 || o->width_px < 1 || o->channels < 1 || o->hidden < 1)
    return pc_fail(PC_EARG, "pixel_decoder: sizes must be at least 1");
  if (o->patch < 1 || o->height % o->patch || o->width_px % o->patch)
    return pc_fail(PC_EARG, "pixel_decoder: patches of %lld do not tile an image of %lld x %lld", (long long)o->patch,
                   (long long)o->height, (long long)o->width_px);
  if (o->layers < 1 || o->layers > 16)
    return pc_fail(PC_EARG, "pixel_decoder: 1 to 16 hidden layers, not %lld", (long long)o->layers);
  return PC_OK;
}

static int build(pc_module *m) {
  pixel_self *d = m->self;
  const pc_pixel_decoder_opts *o = &d->o;
  pc_module *part = NULL;
  pc_tensor *t = NULL;
  int64_t widths[18];
  int n = 0;
  int rc = pc_embed_fourier(&t, o->height / o->patch, o->width_px / o->patch, o->octaves);
  if (rc == PC_OK) rc = pc_module_add_tensor(m, "positions", t, 1);
  d->positions = t; /* the module holds it */
  pc_tensor_release(t);
  if (rc == PC_OK && (rc = pc_nn_linear(&part, o->slot_dim, o->hidden, NULL)) == PC_OK)
    rc = pc_module_adopt(m, "slot", rc, d->slot = part);
  if (rc == PC_OK && (rc = pc_nn_linear(&part, 4 * o->octaves, o->hidden, &(pc_linear_opts){.no_bias = 1})) == PC_OK)
    rc = pc_module_adopt(m, "place", rc, d->place = part);
  for (int64_t l = 0; l < o->layers; l++) widths[n++] = o->hidden;
  widths[n++] = o->patch * o->patch * (o->channels + (o->masks != PC_MASKS_NONE));
  if (rc == PC_OK && (rc = pc_nn_mlp(&part, n, widths, o->act)) == PC_OK)
    rc = pc_module_adopt(m, "net", rc, d->net = part);
  return rc;
}

int pc_decoder_pixel(pc_module **out, const pc_pixel_decoder_opts *opts) {
  pc_pixel_decoder_opts o = *opts;
  int rc = check(&o);
  *out = NULL;
  if (rc < 0 || (rc = pc_module_new(out, &pixel_class, sizeof(pixel_self))) < 0) return rc;
  ((pixel_self *)(*out)->self)->o = o;
  if ((rc = build(*out)) < 0) {
    pc_module_release(*out);
    *out = NULL;
  }
  return rc;
}
