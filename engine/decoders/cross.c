/* cross.c: the cross-attention decoder; see decoder.h. */
#include <stdio.h>

#include "base/alloc.h"
#include "decoders/decoder.h"
#include "grad/checkpoint.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"
#include "nn/build.h"

typedef struct cross_self {
  pc_cross_decoder_opts o;
  int64_t ff, width_px;
  pc_module *slots, *queries, *pixels, *blocks[16];
} cross_self;

pc_tensor *pc_unpatch(pc_scope *s, pc_tensor *x, int64_t gh, int64_t gw, int64_t p, int64_t c) {
  if (!x) return NULL;
  int64_t b = x->size[0];
  if (p == 1) return pc_reshape(s, x, 4, (int64_t[]){b, gh, gw, c});
  x = pc_reshape(s, x, 6, (int64_t[]){b, gh, gw, p, p, c});
  x = pc_permute(s, x, (int[]){0, 1, 3, 2, 4, 5});
  return pc_reshape(s, x, 4, (int64_t[]){b, gh * p, gw * p, c});
}

int pc_check_slots(pc_scope *s, const char *who, const pc_tensor *z, pc_maybe_int64 slots, int64_t dim) {
  char number[24] = "K";
  if (!z) return 0;
  if (z->ndim == 3 && z->size[2] == dim && z->size[1] == pc_int64_or(slots, z->size[1])) return 1;
  if (slots.given) snprintf(number, sizeof number, "%lld", (long long)slots.value);
  pc_note(s, pc_fail(PC_ESHAPE, "%s: slots must be (B,%s,%lld), got %s", who, number, (long long)dim, pc_shape_str(z)));
  return 0;
}

int pc_check_patches(const char *who, int64_t patch, int64_t height, int64_t width) {
  if (height % patch == 0 && width % patch == 0) return PC_OK;
  return pc_fail(PC_EARG, "%s: patches of %lld do not tile an image of %lld x %lld", who, (long long)patch,
                 (long long)height, (long long)width);
}

/* x (1,q,width), c (B,K,width_kv) -> patches (B,q,patch*patch*channels), attention (B,q,K) */
static void decode_queries(pc_scope *s, const cross_self *d, pc_tensor *x, pc_tensor *c, pc_tensor **out) {
  pc_tensor *attention = NULL;
  for (int64_t l = 0; l < d->o.layers && s->rc == PC_OK; l++) {
    pc_tensor *xc[2] = {x, c}, *y[PC_MAX_OUT];
    pc_module_run(s, d->blocks[l], xc, 2, y);
    x = y[0];
    attention = attention ? pc_add(s, attention, y[1]) : y[1];
  }
  /* (B,heads,q,K) summed over layers -> (B,q,K), rows sum to 1 */
  out[1] = pc_mul_scalar(s, pc_sum(s, attention, 1, (int[]){1}, 0), 1.0 / (double)(d->o.layers * d->o.heads));
  out[0] = pc_run1(s, d->pixels, x);
}

/* ---- tiles of queries ---- */

static int run_tile(void *ctx, pc_tensor *const *in, int nin, pc_tensor **out, int *nout) {
  pc_module *m = ctx;
  pc_scope s = {0};
  decode_queries(&s, m->self, in[0], in[1], out);
  *nout = s.rc == PC_OK ? 2 : 0;
  return pc_scope_end(&s, out, 2);
}

static void release_module(void *m) { pc_module_release(m); }

/* Queries at a time. What one query of one image needs while it is recorded and differentiated, in
 * floats: per layer the residual, normed and attended query and their gradients (8 widths), the hidden
 * layer (2 ff) and the weights (2 heads K); then two hidden layers and the patch. */
static int tile_of(const cross_self *d, const pc_tensor *c, int64_t queries, int64_t *tile) {
  const pc_cross_decoder_opts *o = &d->o;
  int64_t limit = pc_alloc_limit(), k = c->size[1];
  int64_t floats =
      o->layers * (8 * o->width + 2 * d->ff + 2 * o->heads * k) + 6 * o->width + 2 * o->patch * o->patch * o->channels;
  int64_t bytes = (int64_t)pc_dtype_size(c->dtype) * floats * (c->size[0] ? c->size[0] : 1);
  *tile = pc_int64_or(o->tile, queries);
  if (o->tile.given || !limit) return PC_OK;
  *tile = limit / 4 / bytes;
  if (*tile < 1)
    return pc_fail(PC_ENOMEM,
                   "cross_decoder: a tile may take a quarter of the memory limit of %lld bytes, and one query of %lld "
                   "images takes about %lld; decode fewer images at once or raise --memory-limit",
                   (long long)limit, (long long)c->size[0], (long long)bytes);
  int64_t tiles = (queries + *tile - 1) / *tile; /* of like sizes */
  *tile = (queries + tiles - 1) / tiles;
  return PC_OK;
}

static void decode_tiles(pc_scope *s, pc_module *m, pc_tensor *x, pc_tensor *c, int64_t tile, pc_tensor **out) {
  int64_t queries = x->size[1], n = (queries + tile - 1) / tile;
  pc_tensor **part = pc_calloc((size_t)(2 * n), sizeof *part);
  if (!part) {
    pc_note(s, PC_ENOMEM);
    return;
  }
  for (int64_t i = 0; i < n && s->rc == PC_OK; i++) {
    int64_t at = i * tile, length = queries - at < tile ? queries - at : tile;
    pc_tensor *in[2] = {pc_narrow(s, x, 1, at, length, 1), c}, *y[PC_MAX_OUT];
    int nout = 0;
    if (s->rc < 0) break;
    if (pc_note(s, pc_checkpoint(y, &nout, in, 2, (pc_recompute){pc_module_retain(m), run_tile, release_module})) < 0)
      break;
    part[i] = pc_own(s, y[0]);
    part[n + i] = pc_own(s, y[1]);
  }
  for (int k = 0; k < 2; k++) out[k] = s->rc == PC_OK ? pc_cat(s, (int)n, part + k * n, 1) : NULL;
  pc_free(part);
}

static void fwd_cross(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  const cross_self *d = m->self;
  if (!pc_check_slots(s, "decoder", in[0], d->o.slots, d->o.slot_dim)) return;
  pc_tensor *c = pc_run1(s, d->slots, in[0]);
  pc_tensor *x = pc_unsqueeze(s, pc_run1(s, d->queries, m->params[0].t), 0); /* position alone, once a step */
  int64_t p = d->o.patch, tile = 0;
  if (s->rc < 0 || pc_note(s, tile_of(d, c, x->size[1], &tile)) < 0) return;
  if (tile >= x->size[1])
    decode_queries(s, d, x, c, out);
  else
    decode_tiles(s, m, x, c, tile, out);
  out[0] = pc_unpatch(s, out[0], d->o.height / p, d->width_px / p, p, d->o.channels);
}

static const pc_module_class cross_class = {
    "cross_decoder", 1, 1, 2, fwd_cross, NULL, "slots (B,K,m) -> image (B,H,W,C), slot attention (B,Q,K)"};

PC_OPTIONS_TABLE(pc_cross_decoder_options, "cross_decoder", pc_cross_decoder_opts, PC_CROSS_DECODER_OPTIONS);

int pc_decoder_cross(pc_module **out, const pc_cross_decoder_opts *o) {
  pc_build build, *b = &build;
  pc_tensor *t = NULL;
  char name[24];
  *out = NULL;
  int rc = pc_options_check(&pc_cross_decoder_options, cross_class.name, o);
  if (rc == PC_OK) rc = PC_CHECK_PATCHES(cross_class.name, o);
  if (rc < 0) return rc;
  cross_self *d = pc_build_begin(b, &cross_class, sizeof *d);
  if (!d) return pc_build_end(b, out);
  const int64_t w = o->width, width_kv = pc_int64_or(o->width_kv, 2 * w), hidden = pc_int64_or(o->slot_hidden, 4 * w);
  d->o = *o;
  d->ff = pc_int64_or(o->ff, 2 * w);
  d->width_px = PC_WIDTH_PX(o);
  const pc_block_opts block = PC_OPTIONS_WITH(pc_block_opts, PC_BLOCK_OPTIONS, .context = PC_GIVEN(width_kv),
                                              .ff = PC_GIVEN(d->ff), .bias = o->bias);
  rc = pc_embed_fourier(&t, o->height / o->patch, d->width_px / o->patch, o->octaves);
  pc_build_table(b, "positions", rc, &t);
  d->slots = pc_build_mlp(b, "slots", 3, (int64_t[]){o->slot_dim, hidden, width_kv}, PC_ACTIVATION_gelu);
  d->queries = pc_build_mlp(b, "queries", 3, (int64_t[]){4 * o->octaves, 2 * w, w}, PC_ACTIVATION_gelu);
  for (int64_t l = 0; l < o->layers; l++)
    d->blocks[l] = pc_build_block(b, pc_build_name(name, sizeof name, "block", l), w, o->heads, &block);
  d->pixels = pc_build_mlp(b, "pixels", 4, (int64_t[]){w, w, w, o->patch * o->patch * o->channels}, PC_ACTIVATION_gelu);
  return pc_build_end(b, out);
}
