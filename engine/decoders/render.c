/* render.c: one layer of cross-attention with a value map for every position; see decoder.h. */
#include <math.h>

#include "decoders/decoder.h"
#include "grad/ops_linalg.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"

typedef struct render_self {
  pc_render_decoder_opts o;
  pc_module *code, *key, *value, *queries; /* z -> h, h -> key, h -> image, position -> query */
  pc_tensor *identity, *bias, *positions, *mean;
} render_self;

/* sum_k a_pk v_kp: a (B,Q,K), v (B,K,Q*D) -> (B,Q,D). K is small: K products of whole images beat
 * B*Q matrix products of a row with a (K,D) matrix. */
static pc_tensor *compose(pc_scope *s, pc_tensor *a, pc_tensor *v, int64_t queries) {
  if (!a || !v) return NULL;
  int64_t b = v->size[0], slots = v->size[1], d = v->size[2] / queries;
  pc_tensor *sum = NULL;
  v = pc_reshape(s, v, 4, (int64_t[]){b, slots, queries, d});
  for (int64_t k = 0; k < slots; k++) {
    pc_tensor *part = pc_mul(s, pc_select(s, v, 1, k), pc_narrow(s, a, 2, k, 1, 1));
    sum = sum ? pc_add(s, sum, part) : part;
  }
  return sum;
}

static void fwd_render(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  const render_self *d = m->self;
  if (!pc_check_slots(s, "render_decoder", in[0], d->o.slots, d->o.slot_dim)) return;
  int64_t p = d->o.patch, gh = d->o.height / p, gw = d->o.width_px / p;
  pc_tensor *h = pc_op1(s, PC_OP_gelu, pc_add(s, pc_run1(s, d->code, in[0]), d->identity));
  pc_tensor *q = pc_mul_scalar(s, pc_run1(s, d->queries, d->positions), 1 / sqrt((double)d->o.key_dim));
  pc_tensor *k = pc_run1(s, d->key, h);
  /* scores (B,K,Q) come out of one product; attention wants (B,Q,K) */
  pc_tensor *a = pc_softmax(s, pc_add(s, pc_transpose(s, pc_linear(s, k, q, NULL), 1, 2), d->bias), 2);
  pc_tensor *y = compose(s, a, pc_run1(s, d->value, h), gh * gw);
  out[0] = pc_add(s, pc_unpatch(s, y, gh, gw, p, d->o.channels), d->mean);
  out[1] = a;
}

static const pc_module_class render_class = {
    "render_decoder", 1, 1, 2, fwd_render, NULL, "slots (B,K,m) -> image (B,H,W,C), slot attention (B,Q,K)"};

static int check(pc_render_decoder_opts *o) {
  if (!o->height) o->height = 64;
  if (!o->width_px) o->width_px = o->height;
  if (!o->channels) o->channels = 3;
  if (!o->patch) o->patch = 4;
  if (!o->hidden) o->hidden = 256;
  if (!o->key_dim) o->key_dim = 96;
  if (!o->octaves) o->octaves = 4;
  if (!(o->identity > 0)) o->identity = 0.3;
  if (o->slots < 1 || o->slot_dim < 1) return pc_fail(PC_EARG, "render_decoder: slots and slot_dim are required");
  if (o->patch < 1 || o->height % o->patch || o->width_px % o->patch)
    return pc_fail(PC_EARG, "render_decoder: patches of %lld do not tile an image of %lld x %lld", (long long)o->patch,
                   (long long)o->height, (long long)o->width_px);
  return PC_OK;
}

static int add(pc_module *m, const char *name, int rc, pc_module *part, pc_module **slot) {
  *slot = part;
  return pc_module_adopt(m, name, rc, part);
}

static int add_buffer(pc_module *m, const char *name, int rc, pc_tensor *t, pc_tensor **slot) {
  if (rc == PC_OK) rc = pc_module_add_tensor(m, name, t, 1);
  *slot = t; /* the module holds it */
  pc_tensor_release(t);
  return rc;
}

static int build(pc_module *m) {
  render_self *d = m->self;
  const pc_render_decoder_opts *o = &d->o;
  pc_module *part = NULL;
  pc_tensor *t = NULL;
  int64_t gh = o->height / o->patch, gw = o->width_px / o->patch, pixels = o->height * o->width_px * o->channels;
  int rc = pc_embed_fourier(&t, gh, gw, o->octaves);
  rc = add_buffer(m, "positions", rc, t, &d->positions);
  if (rc == PC_OK) rc = pc_tensor_zeros(&t, PC_F32, 3, (int64_t[]){o->height, o->width_px, o->channels});
  if (rc == PC_OK) rc = add_buffer(m, "mean", rc, t, &d->mean);
  if (rc == PC_OK)
    rc = pc_module_param(m, "identity", 2, (int64_t[]){o->slots, o->hidden}, PC_INIT_NORMAL, o->identity, 0, 0);
  if (rc == PC_OK) d->identity = pc_module_get(m, "identity");
  if (rc == PC_OK) rc = pc_module_param(m, "slot_logits", 1, &o->slots, PC_INIT_ZEROS, 1, 0, 0);
  if (rc == PC_OK) pc_f32(d->bias = pc_module_get(m, "slot_logits"))[o->slots - 1] = (float)o->background;
  if (rc == PC_OK && (rc = pc_nn_linear(&part, o->slot_dim, o->hidden, NULL)) == PC_OK)
    rc = add(m, "code", rc, part, &d->code);
  if (rc == PC_OK && (rc = pc_nn_linear(&part, o->hidden, o->key_dim, NULL)) == PC_OK)
    rc = add(m, "key", rc, part, &d->key);
  if (rc == PC_OK && (rc = pc_nn_mlp(&part, 3, (int64_t[]){4 * o->octaves, 64, o->key_dim}, PC_NN_GELU)) == PC_OK)
    rc = add(m, "queries", rc, part, &d->queries);
  if (rc == PC_OK && (rc = pc_nn_linear(&part, o->hidden, pixels, NULL)) == PC_OK)
    rc = add(m, "value", rc, part, &d->value);
  return rc;
}

int pc_decoder_render(pc_module **out, const pc_render_decoder_opts *opts) {
  pc_render_decoder_opts o = *opts;
  int rc = check(&o);
  *out = NULL;
  if (rc < 0 || (rc = pc_module_new(out, &render_class, sizeof(render_self))) < 0) return rc;
  ((render_self *)(*out)->self)->o = o;
  if ((rc = build(*out)) < 0) {
    pc_module_release(*out);
    *out = NULL;
  }
  return rc;
}
