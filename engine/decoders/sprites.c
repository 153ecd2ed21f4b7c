/* sprites.c: a slot is what and where: it paints a picture of its own, which is moved, scaled, and laid over those
 * behind it; see decoder.h. */
#include "decoders/decoder.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"
#include "nn/build.h"

PC_OPTIONS_TABLE(pc_sprites_decoder_options, "sprites", pc_sprites_decoder_opts, PC_SPRITES_DECODER_OPTIONS);

enum { PLACE = 3, MAX_LAYERS = 16 }; /* numbers of a slot that say where: x, y, log scale */

typedef struct sprites_self {
  pc_sprites_decoder_opts o;
  int64_t width_px;
  pc_module *picture, *world, *depth; /* world: or NULL; depth: of order learned */
  pc_tensor *backdrop;                /* (C): without a world */
} sprites_self;

/* z (n,m) -> theta (n,2,3): from a pixel of the view to a place of the picture, which covers `size` of the view. */
static pc_tensor *view_to_picture(pc_scope *s, pc_tensor *z, double size) {
  pc_tensor *x = pc_select(s, z, 1, 0), *y = pc_select(s, z, 1, 1), *scale = pc_select(s, z, 1, 2);
  /* log scales stay within -2 and 2: nothing overflows, and a search comes back from anywhere */
  pc_tensor *bounded = pc_mul_scalar(s, pc_tanh(s, pc_mul_scalar(s, scale, 0.5)), 2);
  pc_tensor *e = pc_mul_scalar(s, pc_exp(s, pc_neg(s, bounded)), 1 / size), *zero = pc_mul_scalar(s, e, 0);
  pc_tensor *rows[6] = {e, zero, pc_neg(s, pc_mul(s, e, x)), zero, e, pc_neg(s, pc_mul(s, e, y))};
  pc_tensor *theta = pc_stack(s, 6, rows, 1);
  return theta ? pc_reshape(s, theta, 3, (int64_t[]){theta->size[0], 2, 3}) : NULL;
}

/* Pictures (n,P,P,c) in the view (n,H,W,c). */
static pc_tensor *into_view(pc_scope *s, const sprites_self *d, pc_tensor *picture, pc_tensor *theta,
                            const char *padding) {
  const pc_val view[1] = {pc_vlist(2, (int64_t[]){d->o.height, d->width_px})};
  const pc_val how[2] = {PC_VNONE, {.set = 1, .s = padding}};
  pc_tensor *grid = pc_op(s, PC_OP_affine_grid, 1, &theta, 1, view, 0);
  return pc_op(s, PC_OP_grid_sample, 2, (pc_tensor *[]){picture, grid}, 2, how, 0);
}

static pc_tensor *codes(pc_scope *s, pc_tensor *z) {
  return pc_narrow(s, z, -1, PLACE, z->size[z->ndim - 1] - PLACE, 1);
}

/* Objects z (B,K,m) -> their layers (B,K,H*W,C+1): colours times alpha, alpha; nothing outside of the picture. */
static pc_tensor *layers(pc_scope *s, const sprites_self *d, pc_tensor *z) {
  int64_t b = z->size[0], k = z->size[1], c = d->o.channels, p = d->o.picture;
  pc_tensor *flat = pc_reshape(s, z, 2, (int64_t[]){b * k, z->size[2]});
  if (!flat) return NULL;
  pc_tensor *rgba = pc_reshape(s, pc_run1(s, d->picture, codes(s, flat)), 4, (int64_t[]){b * k, p, p, c + 1});
  pc_tensor *alpha = pc_sigmoid(s, pc_narrow(s, rgba, 3, c, 1, 1));
  pc_tensor *colours = pc_mul(s, pc_narrow(s, rgba, 3, 0, c, 1), alpha);
  pc_tensor *picture = pc_cat(s, 2, (pc_tensor *[]){colours, alpha}, 3);
  pc_tensor *y = into_view(s, d, picture, view_to_picture(s, flat, d->o.size), "zeros");
  return pc_reshape(s, y, 4, (int64_t[]){b, k, d->o.height * d->width_px, c + 1});
}

/* How much of layer k is seen through the others: alpha (B,K,P), depth (B,K,1) or NULL -> (B,P), NULL: all. */
static pc_tensor *seen(pc_scope *s, pc_tensor *alpha, pc_tensor *depth, int64_t k, int64_t n) {
  pc_tensor *through = NULL;
  for (int64_t j = 0; j < n; j++) {
    if (j == k || (!depth && j > k)) continue;
    pc_tensor *hides = pc_select(s, alpha, 1, j);
    if (depth) hides = pc_mul(s, hides, pc_sigmoid(s, pc_sub(s, pc_select(s, depth, 1, j), pc_select(s, depth, 1, k))));
    pc_tensor *lets = pc_rsub_scalar(s, 1, hides);
    through = through ? pc_mul(s, through, lets) : lets;
  }
  return through;
}

/* What is behind all objects: (B,P,C), or (C). */
static pc_tensor *behind(pc_scope *s, const sprites_self *d, pc_tensor *z) {
  int64_t b = z->size[0], c = d->o.channels, p = d->o.picture;
  if (!d->world) return d->backdrop;
  pc_tensor *own = pc_select(s, z, 1, z->size[1] - 1);
  if (!own) return NULL;
  pc_tensor *picture = pc_reshape(s, pc_run1(s, d->world, codes(s, own)), 4, (int64_t[]){b, p, p, c});
  pc_tensor *y = into_view(s, d, picture, view_to_picture(s, own, d->o.wide), "border");
  return pc_reshape(s, y, 3, (int64_t[]){b, d->o.height * d->width_px, c});
}

static void fwd_sprites(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  const sprites_self *d = m->self;
  pc_tensor *z = in[0], *masks[PC_SPRITES_DECODER_SLOTS], *sum = NULL, *covered = NULL;
  if (!pc_check_slots(s, "sprites_decoder", z, d->o.slots, d->o.slot_dim)) return;
  int64_t b = z->size[0], n = z->size[1] - (d->world != NULL), c = d->o.channels;
  if (n < 1 || n >= PC_SPRITES_DECODER_SLOTS) {
    pc_note(s, pc_fail(PC_ESHAPE, "sprites_decoder: slots %s: 1 to %d objects%s are needed", pc_shape_str(z),
                       PC_SPRITES_DECODER_SLOTS - 1, d->world ? " and the world's slot" : ""));
    return;
  }
  pc_tensor *objects = pc_narrow(s, z, 1, 0, n, 1);
  pc_tensor *all = objects ? layers(s, d, objects) : NULL;
  pc_tensor *alpha = pc_select(s, all, 3, c), *colours = pc_narrow(s, all, 3, 0, c, 1), *depth = NULL;
  if (d->depth && all) depth = pc_run1(s, d->depth, codes(s, objects));
  for (int64_t k = 0; k < n && s->rc == PC_OK; k++) {
    pc_tensor *part = pc_select(s, colours, 1, k), *through = seen(s, alpha, depth, k, n);
    masks[k] = pc_select(s, alpha, 1, k);
    if (through) part = pc_mul(s, part, pc_unsqueeze(s, through, 2)), masks[k] = pc_mul(s, masks[k], through);
    sum = sum ? pc_add(s, sum, part) : part;
    covered = covered ? pc_add(s, covered, masks[k]) : masks[k];
  }
  if (s->rc < 0) return;
  pc_tensor *rest = pc_rsub_scalar(s, 1, covered);
  sum = pc_add(s, sum, pc_mul(s, pc_unsqueeze(s, rest, 2), behind(s, d, z)));
  if (d->world) masks[n] = rest;
  out[0] = pc_reshape(s, sum, 4, (int64_t[]){b, d->o.height, d->width_px, c});
  out[1] = s->rc < 0 ? NULL : pc_stack(s, (int)z->size[1], masks, 2);
}

static const pc_module_class sprites_class = {
    "sprites_decoder", 1, 1, 2, fwd_sprites, NULL, "slots (B,K,m) -> image (B,H,W,C), masks (B,H*W,K)"};

/* An MLP from a code to numbers of a picture. */
static pc_module *painter(pc_build *b, const char *name, const pc_sprites_decoder_opts *o, int64_t numbers) {
  int64_t widths[MAX_LAYERS + 2] = {o->slot_dim - PLACE};
  int n = 1;
  for (int64_t l = 0; l < o->layers; l++) widths[n++] = o->hidden;
  widths[n++] = numbers;
  return pc_build_mlp(b, name, n, widths, PC_ACTIVATION_gelu);
}

int pc_decoder_sprites(pc_module **out, const pc_sprites_decoder_opts *o) {
  pc_build b;
  *out = NULL;
  int rc = pc_options_check(&pc_sprites_decoder_options, "sprites", o);
  if (rc < 0) return rc;
  const int64_t pixels = o->picture * o->picture;
  sprites_self *d = pc_build_begin(&b, &sprites_class, sizeof *d);
  if (!d) return pc_build_end(&b, out);
  d->o = *o;
  d->width_px = PC_WIDTH_PX(o);
  d->picture = painter(&b, "picture", o, pixels * (o->channels + 1));
  if (o->order == PC_SPRITES_ORDER_LEARNED) d->depth = pc_build_linear(&b, "depth", o->slot_dim - PLACE, 1);
  if (o->world == PC_SPRITES_WORLD_NONE)
    d->backdrop = pc_build_param(&b, "backdrop", 1, &o->channels, PC_INIT_ZEROS, 0, 1, 1);
  else
    d->world = painter(&b, "world", o, pixels * o->channels);
  return pc_build_end(&b, out);
}
