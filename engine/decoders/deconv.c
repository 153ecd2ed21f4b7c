/* deconv.c: fully connected layers, then transposed convolutions that double a small grid: one net shared by
 * all slots whose paintings are added (additive), or one net of all slots at once (cnn); see decoder.h. */
#include "decoders/decoder.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"

enum { MOST_LAYERS = 8, MOST_DOUBLINGS = 8 };

typedef struct deconv_self {
  pc_deconv_opts o;
  const char *who;
  int shared; /* one net a slot */
  int doublings;
  int64_t grid_h, grid_w;
  pc_module *net, *up;
  pc_tensor *mean; /* (H,W,C) */
} deconv_self;

/* Channels of the grid after `level` doublings: halved from `coarse` down to `features`. */
static int64_t channels_at(const pc_deconv_opts *o, int level) {
  int64_t c = o->coarse >> level;
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
    y = pc_reshape(s, y, 5, (int64_t[]){b, k, o->height, o->width_px, o->channels});
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

/* Fills in defaults; finds the grid: the image halved until a side would fall below 4 or be odd. */
static int check(deconv_self *d) {
  pc_deconv_opts *o = &d->o;
  if (!o->height) o->height = 64;
  if (!o->width_px) o->width_px = o->height;
  if (!o->channels) o->channels = 3;
  if (!o->hidden) o->hidden = 256;
  if (!o->layers) o->layers = 2;
  if (!o->features) o->features = 32;
  if (!o->act) o->act = PC_NN_ELU;
  if (o->slot_dim < 1 || (!d->shared && o->slots < 1))
    return pc_fail(PC_EARG, "%s: %s", d->who,
                   d->shared ? "slot_dim must be at least 1" : "slots and slot_dim are required");
  if (o->height < 1 || o->width_px < 1 || o->channels < 1 || o->hidden < 1 || o->features < 1 || o->coarse < 0)
    return pc_fail(PC_EARG, "%s: sizes must be at least 1", d->who);
  if (o->layers > MOST_LAYERS || o->layers < 1)
    return pc_fail(PC_EARG, "%s: 1 to %d hidden layers, not %lld", d->who, (int)MOST_LAYERS, (long long)o->layers);
  d->grid_h = o->height, d->grid_w = o->width_px;
  while (d->grid_h % 2 == 0 && d->grid_w % 2 == 0 && d->grid_h >= 8 && d->grid_w >= 8 && d->doublings < MOST_DOUBLINGS)
    d->grid_h /= 2, d->grid_w /= 2, d->doublings++;
  if (!d->doublings)
    return pc_fail(PC_EARG, "%s: an image of %lld x %lld is no doubled grid: use even sides of at least 8", d->who,
                   (long long)o->height, (long long)o->width_px);
  return PC_OK;
}

/* width -> hidden... -> grid_h*grid_w*channels, the activation after each. */
static int build_net(pc_module **net, const deconv_self *d) {
  const pc_deconv_opts *o = &d->o;
  pc_module *parts[2] = {NULL};
  int64_t widths[MOST_LAYERS + 2];
  int n = 0;
  *net = NULL;
  widths[n++] = o->slot_dim * (d->shared ? 1 : o->slots);
  for (int64_t l = 0; l < o->layers; l++) widths[n++] = o->hidden;
  widths[n++] = d->grid_h * d->grid_w * channels_at(o, 0);
  int rc = pc_nn_mlp(&parts[0], n, widths, o->act);
  if (rc == PC_OK) rc = pc_nn_activation(&parts[1], o->act);
  if (rc == PC_OK) rc = pc_nn_sequential(net, 2, parts);
  for (int i = 0; i < 2; i++) pc_module_release(parts[i]);
  return rc;
}

/* Transposed convolutions of 4 x 4, stride 2, the activation between them. */
static int build_up(pc_module **up, const deconv_self *d) {
  const pc_deconv_opts *o = &d->o;
  pc_module *parts[2 * MOST_DOUBLINGS] = {NULL};
  int n = 0, rc = PC_OK;
  *up = NULL;
  for (int l = 0; l < d->doublings && rc == PC_OK; l++) {
    int64_t to = l + 1 < d->doublings ? channels_at(o, l + 1) : o->channels;
    rc = pc_nn_conv_transpose2d(&parts[n], channels_at(o, l), to, 4, &(pc_nn_conv_opts){.stride = 2, .padding = 1});
    n += rc == PC_OK;
    if (rc == PC_OK && l + 1 < d->doublings) {
      rc = pc_nn_activation(&parts[n], o->act);
      n += rc == PC_OK;
    }
  }
  if (rc == PC_OK) rc = pc_nn_sequential(up, n, parts);
  for (int i = 0; i < n; i++) pc_module_release(parts[i]);
  return rc;
}

static int build(pc_module *m) {
  deconv_self *d = m->self;
  pc_module *part = NULL;
  pc_tensor *mean = NULL;
  int rc = pc_tensor_zeros(&mean, PC_F32, 3, (int64_t[]){d->o.height, d->o.width_px, d->o.channels});
  if (rc == PC_OK) rc = pc_module_add_tensor(m, "mean", mean, 1);
  d->mean = mean; /* the module holds it */
  pc_tensor_release(mean);
  if (rc == PC_OK && (rc = build_net(&part, d)) == PC_OK) rc = pc_module_adopt(m, "net", rc, d->net = part);
  if (rc == PC_OK && (rc = build_up(&part, d)) == PC_OK) rc = pc_module_adopt(m, "up", rc, d->up = part);
  return rc;
}

static int make(pc_module **out, const pc_deconv_opts *o, int shared) {
  deconv_self d = {.o = *o, .who = shared ? "additive_decoder" : "cnn_decoder", .shared = shared};
  int rc = check(&d);
  *out = NULL;
  if (rc < 0 || (rc = pc_module_new(out, shared ? &additive_class : &cnn_class, sizeof(deconv_self))) < 0) return rc;
  *(deconv_self *)(*out)->self = d;
  if ((rc = build(*out)) < 0) {
    pc_module_release(*out);
    *out = NULL;
  }
  return rc;
}

int pc_decoder_additive(pc_module **out, const pc_deconv_opts *o) { return make(out, o, 1); }
int pc_decoder_cnn(pc_module **out, const pc_deconv_opts *o) { return make(out, o, 0); }
