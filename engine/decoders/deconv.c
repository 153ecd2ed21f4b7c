/* deconv.c: fully connected layers, then transposed convolutions that double a small grid: one net shared by
 * all slots whose paintings are added (additive), or one net of all slots at once (cnn); see decoder.h. */
#include "decoders/decoder.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"
#include "nn/build.h"

enum { MOST_LAYERS = 16, MOST_DOUBLINGS = 8 };

typedef struct deconv_self {
  pc_deconv_opts o;
  const char *who;
  int shared; /* one net a slot */
  int doublings;
  int64_t width_px, grid_h, grid_w;
  pc_module *net, *up;
  pc_tensor *mean; /* (H,W,C) */
} deconv_self;

/* Channels of the grid after `level` doublings: halved from `coarse` down to `features`. */
static int64_t channels_at(const pc_deconv_opts *o, int level) {
  int64_t c = pc_int64_or(o->coarse, o->features) >> level;
  return c > o->features ? c : o->features;
}

/* codes (n,width) -> images (n,H,W,C) */
static pc_tensor *paint(pc_scope *s, const deconv_self *d, pc_tensor *codes) {
  pc_tensor *y = pc_run1(s, d->net, codes);
  if (!y) return NULL;
  y = pc_reshape(s, y, 4, (int64_t[]){y->size[0], d->grid_h, d->grid_w, channels_at(&d->o, 0)});
  return pc_run1(s, d->up, y);
}

static void fwd_deconv(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  const deconv_self *d = m->self;
  const pc_deconv_opts *o = &d->o;
  pc_tensor *z = in[0], *y;
  if (!pc_check_slots(s, d->who, z, o->slots, o->slot_dim)) return;
  int64_t b = z->size[0], k = z->size[1], dim = o->slot_dim;
  if (d->shared) {
    y = paint(s, d, pc_reshape(s, z, 2, (int64_t[]){b * k, dim}));
    y = pc_reshape(s, y, 5, (int64_t[]){b, k, o->height, d->width_px, o->channels});
    y = pc_sum(s, y, 1, (int[]){1}, 0);
  } else {
    y = paint(s, d, pc_reshape(s, z, 2, (int64_t[]){b, k * dim}));
  }
  out[0] = pc_add(s, y, d->mean);
}

static const pc_module_class additive_class = {"additive_decoder",
                                               1,
                                               1,
                                               2,
                                               fwd_deconv,
                                               NULL,
                                               "slots (B,K,m) -> image (B,H,W,C): the sum of what each slot paints"};
static const pc_module_class cnn_class = {
    "cnn_decoder", 1, 1, 2, fwd_deconv, NULL, "slots (B,K,m) -> image (B,H,W,C); no structure over slots"};

/* Finds the grid: the image halved until a side would fall below 4 or be odd. */
static int find_grid(deconv_self *d) {
  d->grid_h = d->o.height, d->grid_w = d->width_px = PC_WIDTH_PX(&d->o);
  while (d->grid_h % 2 == 0 && d->grid_w % 2 == 0 && d->grid_h >= 8 && d->grid_w >= 8 && d->doublings < MOST_DOUBLINGS)
    d->grid_h /= 2, d->grid_w /= 2, d->doublings++;
  if (d->doublings) return PC_OK;
  return pc_fail(PC_EARG, "%s: an image of %lld x %lld is no doubled grid: use even sides of at least 8", d->who,
                 (long long)d->o.height, (long long)d->width_px);
}

/* width -> hidden... -> grid_h*grid_w*channels, the activation after each. */
static int build_net(pc_module **net, const deconv_self *d) {
  const pc_deconv_opts *o = &d->o;
  pc_build b = pc_build_sequence();
  int64_t widths[MOST_LAYERS + 2];
  int n = 0;
  widths[n++] = o->slot_dim * (d->shared ? 1 : o->slots.value);
  for (int64_t l = 0; l < o->layers; l++) widths[n++] = o->hidden;
  widths[n++] = d->grid_h * d->grid_w * channels_at(o, 0);
  pc_build_mlp(&b, NULL, n, widths, (pc_activation)o->act);
  pc_build_activation(&b, NULL, (pc_activation)o->act);
  return pc_build_end(&b, net);
}

/* Transposed convolutions of 4 x 4, stride 2, the activation between them. */
static int build_up(pc_module **up, const deconv_self *d) {
  const pc_nn_conv_opts twice = PC_OPTIONS_WITH(pc_nn_conv_opts, PC_CONV_TRANSPOSE_OPTIONS, .stride = 2, .padding = 1);
  pc_build b = pc_build_sequence();
  for (int l = 0; l < d->doublings; l++) {
    int last = l + 1 == d->doublings;
    int64_t to = last ? d->o.channels : channels_at(&d->o, l + 1);
    pc_build_conv_transpose2d(&b, NULL, channels_at(&d->o, l), to, 4, &twice);
    if (!last) pc_build_activation(&b, NULL, (pc_activation)d->o.act);
  }
  return pc_build_end(&b, up);
}

PC_OPTIONS_TABLE(pc_additive_decoder_options, "additive_decoder", pc_deconv_opts, PC_ADDITIVE_DECODER_OPTIONS);
PC_OPTIONS_TABLE(pc_cnn_decoder_options, "cnn_decoder", pc_deconv_opts, PC_CNN_DECODER_OPTIONS);

static int make(pc_module **out, const pc_deconv_opts *o, const pc_module_class *cls, const pc_options *table) {
  deconv_self self = {.o = *o, .who = cls->name, .shared = cls == &additive_class};
  pc_build b;
  pc_module *part = NULL;
  *out = NULL;
  int rc = pc_options_check(table, cls->name, o);
  if (rc == PC_OK) rc = find_grid(&self);
  if (rc < 0) return rc;
  deconv_self *d = pc_build_begin(&b, cls, sizeof *d);
  if (!d) return pc_build_end(&b, out);
  *d = self;
  d->mean = pc_build_buffer(&b, "mean", 3, (int64_t[]){o->height, d->width_px, o->channels}, 0);
  rc = build_net(&part, d);
  d->net = pc_build_child(&b, "net", rc, &part);
  rc = build_up(&part, d);
  d->up = pc_build_child(&b, "up", rc, &part);
  return pc_build_end(&b, out);
}

int pc_decoder_additive(pc_module **out, const pc_deconv_opts *o) {
  return make(out, o, &additive_class, &pc_additive_decoder_options);
}
int pc_decoder_cnn(pc_module **out, const pc_deconv_opts *o) {
  return make(out, o, &cnn_class, &pc_cnn_decoder_options);
}
