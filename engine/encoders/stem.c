/* stem.c: the CNN that gives tokens, and small things that all encoders need; see encoder.h, parts.h. */
#include <math.h>

#include "encoders/parts.h"
#include "grad/ops_linalg.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_shape.h"

int pc_part_check_image(const pc_tensor *x, int64_t height, int64_t width, int64_t channels) {
  if (x->ndim == 4 && x->size[1] == height && x->size[2] == width && x->size[3] == channels) return PC_OK;
  return pc_fail(PC_ESHAPE, "encoder: images must be (B,%lld,%lld,%lld), got %s", (long long)height, (long long)width,
                 (long long)channels, pc_shape_str(x));
}

void pc_part_slots(pc_scope *s, pc_tensor *h, int64_t slot_dim, int vae, pc_tensor **out) {
  if (!vae) {
    out[0] = h;
    return;
  }
  out[0] = pc_narrow(s, h, 2, 0, slot_dim, 1);
  /* std = 0.5 exp(s): starts small, so that reconstruction forms first (2411.07784's code) */
  out[1] = pc_add_scalar(s, pc_narrow(s, h, 2, slot_dim, slot_dim, 1), log(0.5));
}

/* ---- the stem ---- */

/* How many convolutions the lists speak of, 4 without any; PC_EARG when they differ. */
static int count_stages(const char *who, const pc_cnn_opts *o) {
  const pc_sizes *lists[] = {&o->conv_channels, &o->conv_kernel, &o->conv_stride};
  int stages = 0;
  for (int i = 0; i < 3; i++) {
    if (!lists[i]->given) continue;
    if (stages && lists[i]->n != stages)
      return pc_fail(PC_EARG, "%s: conv_channels, conv_kernel and conv_stride need as many entries each, got %d and %d",
                     who, stages, lists[i]->n);
    stages = lists[i]->n;
  }
  return stages ? stages : 4;
}

int pc_stem_check(const char *who, pc_stem *e, const pc_cnn_opts *o) {
  const int n = count_stages(who, o), any = o->conv_channels.given || o->conv_kernel.given || o->conv_stride.given;
  if (n < 0) return n;
  pc_sizes *channels = &e->o.conv_channels, *kernel = &e->o.conv_kernel, *stride = &e->o.conv_stride;
  e->o = *o;
  e->width_px = PC_WIDTH_PX(o);
  e->stages = n;
  for (int i = 0; i < n; i++) {
    if (!channels->given) channels->v[i] = any || i > 1 ? o->width : 32 << i;
    if (!kernel->given) kernel->v[i] = i ? 3 : 5;
    if (!stride->given) stride->v[i] = i < 3 ? 2 : 1;
  }
  if (channels->v[n - 1] != o->width)
    return pc_fail(PC_EARG, "%s: the last convolution has %lld channels, the tokens are %lld wide", who,
                   (long long)channels->v[n - 1], (long long)o->width);
  return PC_OK;
}

static void build_convs(pc_build *b, pc_stem *e) {
  int64_t h = e->o.height, w = e->width_px, c = e->o.channels;
  int fits = 1;
  char name[24];
  for (int i = 0; i < e->stages; i++) {
    const int64_t kernel = e->o.conv_kernel.v[i], stride = e->o.conv_stride.v[i], pad = kernel / 2;
    e->convs[i] =
        pc_build_conv2d(b, pc_build_name(name, sizeof name, "conv", i), c, e->o.conv_channels.v[i], kernel,
                        &PC_OPTIONS_WITH(pc_nn_conv_opts, PC_CONV_OPTIONS, .stride = (int)stride, .padding = (int)pad));
    c = e->o.conv_channels.v[i];
    fits = fits && h + 2 * pad >= kernel && w + 2 * pad >= kernel;
    h = (h + 2 * pad - kernel) / stride + 1;
    w = (w + 2 * pad - kernel) / stride + 1;
  }
  e->tokens = h * w;
  if (!fits && b->rc == PC_OK)
    pc_build_note(b, pc_fail(PC_EARG, "%s: the image is too small for the convolutions", b->m->cls->name));
}

void pc_stem_build(pc_build *b, pc_stem *e) {
  const pc_cnn_opts *o = &e->o;
  const int64_t w = o->width;
  e->mean = pc_build_buffer(b, "input_mean", 3, (int64_t[]){o->height, e->width_px, o->channels}, 0);
  e->scale = pc_build_buffer(b, "input_scale", 0, NULL, 1);
  build_convs(b, e);
  e->position = pc_build_position(b, "position", e->tokens, w, o->position_sd);
  e->norm_tokens = pc_build_norm(b, "norm_tokens", w, PC_NORM_EPS);
  if (o->token_maps)
    e->maps = pc_build_param(b, "token_maps", 3, (int64_t[]){e->tokens, w, w}, PC_INIT_KAIMING_NORMAL, 1, w, 0);
  else
    e->mlp = pc_build_mlp(b, "tokens", 3, (int64_t[]){w, w, w}, PC_ACTIVATION_gelu);
}

pc_tensor *pc_stem_run(pc_scope *s, const pc_stem *e, pc_tensor *x) {
  if (!x || pc_note(s, pc_part_check_image(x, e->o.height, e->width_px, e->o.channels)) < 0) return NULL;
  int64_t b = x->size[0];
  x = pc_div(s, pc_sub(s, x, e->mean), e->scale);
  for (int i = 0; i < e->stages; i++) x = pc_nn_convolve(s, e->convs[i], x, i + 1 < e->stages);
  x = pc_reshape(s, x, 3, (int64_t[]){b, e->tokens, e->o.width});
  if (e->maps) x = pc_transpose(s, pc_bmm(s, pc_transpose(s, x, 0, 1), e->maps), 0, 1);
  x = pc_run1(s, e->norm_tokens, pc_run1(s, e->position, x));
  return e->mlp ? pc_run1(s, e->mlp, x) : x;
}

/* ---- as an encoder's base ---- */

static void fwd_cnn(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  out[0] = pc_stem_run(s, m->self, in[0]);
}

static const pc_module_class cnn_class = {"cnn", 1, 1, 1, fwd_cnn, NULL, "image (B,H,W,C) -> tokens (B,T,width)"};

PC_OPTIONS_TABLE(pc_cnn_options, "cnn", pc_cnn_opts, PC_CNN_OPTIONS);

int pc_encoder_cnn(pc_module **out, const pc_cnn_opts *o) {
  pc_build b;
  pc_stem stem = {.stages = 0};
  *out = NULL;
  int rc = pc_options_check(&pc_cnn_options, cnn_class.name, o);
  if (rc == PC_OK) rc = pc_stem_check(cnn_class.name, &stem, o);
  if (rc < 0) return rc;
  pc_stem *e = pc_build_begin(&b, &cnn_class, sizeof *e);
  if (!e) return pc_build_end(&b, out);
  *e = stem;
  pc_stem_build(&b, e);
  return pc_build_end(&b, out);
}
