/* render.c: one layer of cross-attention with a value map for every position; see decoder.h. */
#include <math.h>

#include "base/parallel.h"
#include "decoders/decoder.h"
#include "grad/ops_linalg.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"
#include "nn/build.h"

typedef struct render_self {
  pc_render_decoder_opts o;
  int64_t width_px;
  pc_module *code, *key, *value, *queries; /* z -> h, h -> key, h -> image, position -> query */
  pc_module *center;                       /* h -> where the slot's window is; NULL without windows */
  pc_tensor *identity, *bias, *positions, *mean;
  pc_tensor *place, *windowed; /* (Q,2) in [-1,1]: of the queries; (K,1): window of every slot, 0 of the last */
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

/* -w_k |p - c_k|^2 of every slot at every place: c (B,K,2) -> (B,K,Q) */
static pc_tensor *window(pc_scope *s, const render_self *d, pc_tensor *c) {
  pc_tensor *p2 = pc_sum(s, pc_mul(s, d->place, d->place), 1, (int[]){1}, 0);
  pc_tensor *c2 = pc_sum(s, pc_mul(s, c, c), 1, (int[]){2}, 1);
  pc_tensor *far = pc_add(s, pc_sub(s, p2, pc_mul_scalar(s, pc_linear(s, c, d->place, NULL), 2)), c2);
  return pc_mul(s, far, d->windowed);
}

/* softmax over slots of q . key(h) + b_k + window: (B,Q,K). Scores (B,K,Q) come out of one product. */
static pc_tensor *slot_attention(pc_scope *s, const render_self *d, pc_tensor *h, pc_tensor *q, pc_tensor *c) {
  pc_tensor *score = pc_linear(s, pc_run1(s, d->key, h), q, NULL);
  if (c) score = pc_add(s, score, window(s, d, c));
  return pc_softmax(s, pc_add(s, pc_transpose(s, score, 1, 2), d->bias), 2);
}

static void fwd_render(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  const render_self *d = m->self;
  if (!pc_check_slots(s, "render_decoder", in[0], (pc_maybe_int64)PC_GIVEN(d->o.slots), d->o.slot_dim)) return;
  int64_t p = d->o.patch, gh = d->o.height / p, gw = d->width_px / p;
  pc_tensor *h = pc_op1(s, PC_OP_gelu, pc_add(s, pc_run1(s, d->code, in[0]), d->identity));
  pc_tensor *q = pc_mul_scalar(s, pc_run1(s, d->queries, d->positions), 1 / sqrt((double)d->o.key_dim));
  pc_tensor *a = slot_attention(s, d, h, q, d->center ? pc_run1(s, d->center, h) : NULL);
  pc_tensor *y = compose(s, a, pc_run1(s, d->value, h), gh * gw);
  out[0] = pc_add(s, pc_unpatch(s, y, gh, gw, p, d->o.channels), d->mean);
  out[1] = a;
}

/* ---- the Jacobian ----
 * With v_kp = V_p h_k + c_p the patch is y_p = mean_p + sum_k a_pk v_kp. A number z_kj of slot k moves
 * h_k by t = gelu'(W z_k + b + e_k) * W_:j, its score at p by s_p = q_p . (W_key t) / sqrt(key_dim)
 * [- 2 w_k (c_k - p) . (W_center t)], and so
 *   d y_p / d z_kj = a_pk (V_p t + s_p (v_kp - sum_i a_pi v_ip))
 * Only one slot's map is applied to each of the K*m tangents: m decodes' work in place of K*m. */

static pc_tensor *gelu_slope(pc_scope *s, pc_tensor *x) {
  pc_tensor *leaf = NULL, *y = NULL, *ones = NULL, *slope = NULL;
  int was = pc_grad_set_enabled(1), rc = x ? pc_detach(&leaf, x) : PC_EARG;
  if (rc == PC_OK) rc = pc_set_requires_grad(leaf, 1);
  if (rc == PC_OK) rc = pc_apply(PC_OP_gelu, &y, &leaf, 1, NULL, 0);
  if (rc == PC_OK) rc = pc_tensor_full(&ones, x->dtype, x->ndim, x->size, 1);
  if (rc == PC_OK) rc = pc_grad(&slope, &y, &ones, 1, &leaf, 1, NULL);
  pc_grad_set_enabled(was);
  pc_tensor_release(leaf);
  pc_tensor_release(y);
  pc_tensor_release(ones);
  if (rc < 0) return pc_note(s, rc), NULL;
  return pc_own(s, slope);
}

typedef struct tangents {
  const render_self *d;
  const float *a, *v, *score; /* (B,Q,K), (B,K,Q*D), (B,K*m,Q) */
  const float *map;           /* (B,K*m,Q*D): V t */
  float *out;                 /* (B,K*m,H,W,C) */
} tangents;

static void compose_tangents(int64_t begin, int64_t end, void *ctx) { /* over B*K*m */
  const tangents *t = ctx;
  const pc_render_decoder_opts *o = &t->d->o;
  const int64_t p = o->patch, width = t->d->width_px, gw = width / p, queries = o->height / p * gw,
                run = p * o->channels, each = p * run;
  for (int64_t i = begin; i < end; i++) {
    int64_t b = i / (o->slots * o->slot_dim), k = i / o->slot_dim % o->slots;
    const float *map = t->map + i * queries * each, *v = t->v + b * o->slots * queries * each;
    float *out = t->out + i * queries * each;
    for (int64_t q = 0; q < queries; q++) {
      const float *a = t->a + (b * queries + q) * o->slots, s = t->score[i * queries + q];
      float *corner = out + q / gw * p * width * o->channels + q % gw * run;
      for (int64_t e = 0; e < each; e++) {
        float mean = 0;
        for (int64_t l = 0; l < o->slots; l++) mean += a[l] * v[(l * queries + q) * each + e];
        corner[e / run * width * o->channels + e % run] =
            a[k] * (map[q * each + e] + s * (v[(k * queries + q) * each + e] - mean));
      }
    }
  }
}

/* -2 w_k (c_k - p) . u for the tangents u = W_center t (B,K,m,2) of the centres c (B,K,2): (B*K*m,Q) */
static pc_tensor *window_tangents(pc_scope *s, const render_self *d, pc_tensor *c, pc_tensor *u) {
  if (!c || !u) return NULL;
  int64_t b = c->size[0], k = d->o.slots, m = d->o.slot_dim;
  u = pc_reshape(s, u, 4, (int64_t[]){b, k, m, 2});
  pc_tensor *cu = pc_sum(s, pc_mul(s, u, pc_unsqueeze(s, c, 2)), 1, (int[]){3}, 1); /* (B,K,m,1) */
  pc_tensor *y = pc_mul(s, pc_sub(s, cu, pc_linear(s, u, d->place, NULL)), pc_unsqueeze(s, d->windowed, 2));
  return y ? pc_reshape(s, pc_mul_scalar(s, y, 2), 2, (int64_t[]){b * k * m, d->place->size[0]}) : NULL;
}

static int render_jacobian(void *module, pc_tensor *z, pc_tensor **jacobian, double *units) {
  const render_self *d = ((pc_module *)module)->self;
  const pc_render_decoder_opts *o = &d->o;
  const int64_t k = o->slots, m = o->slot_dim, hidden = o->hidden;
  pc_scope sc = {0}, *s = &sc;
  int was = pc_grad_set_enabled(0);
  *jacobian = NULL;
  if (pc_check_slots(s, "decoder", z, (pc_maybe_int64)PC_GIVEN(k), m) && z->dtype != PC_F32)
    pc_note(s, pc_fail(PC_EDTYPE, "decoder: slots are %s, the Jacobian is made in f32", pc_dtype_name(z->dtype)));
  if (sc.rc == PC_OK) {
    const int64_t b = z->size[0];
    pc_tensor *pre = pc_add(s, pc_run1(s, d->code, z), d->identity), *h = pc_op1(s, PC_OP_gelu, pre);
    pc_tensor *w = pc_reshape(s, pc_transpose(s, d->code->params[0].t, 0, 1), 4, (int64_t[]){1, 1, m, hidden});
    pc_tensor *t =
        pc_reshape(s, pc_mul(s, pc_unsqueeze(s, gelu_slope(s, pre), 2), w), 2, (int64_t[]){b * k * m, hidden});
    pc_tensor *q = pc_mul_scalar(s, pc_run1(s, d->queries, d->positions), 1 / sqrt((double)o->key_dim));
    pc_tensor *c = d->center ? pc_run1(s, d->center, h) : NULL;
    pc_tensor *a = slot_attention(s, d, h, q, c), *v = pc_run1(s, d->value, h);
    pc_tensor *map = pc_linear(s, t, d->value->params[0].t, NULL);
    pc_tensor *score = pc_linear(s, pc_linear(s, t, d->key->params[0].t, NULL), q, NULL); /* (B*K*m,Q) */
    if (c) score = pc_add(s, score, window_tangents(s, d, c, pc_linear(s, t, d->center->params[0].t, NULL)));
    if (sc.rc == PC_OK)
      pc_note(s, pc_tensor_empty(jacobian, PC_F32, 5, (int64_t[]){b, k * m, o->height, d->width_px, o->channels}));
    pc_tensor *flat[4] = {a, v, score, map};
    for (int i = 0; i < 4 && sc.rc == PC_OK; i++)
      if (pc_note(s, pc_contiguous(&flat[i], flat[i])) == PC_OK) pc_own(s, flat[i]);
    if (sc.rc == PC_OK) {
      tangents job = {d, pc_f32(flat[0]), pc_f32(flat[1]), pc_f32(flat[2]), pc_f32(flat[3]), pc_f32(*jacobian)};
      pc_parallel_for(b * k * m, 1, compose_tangents, &job);
    }
  }
  pc_grad_set_enabled(was);
  *units = (double)(m + 1);
  int rc = pc_scope_end(s, NULL, 0);
  if (rc < 0) {
    pc_tensor_release(*jacobian);
    *jacobian = NULL;
  }
  return rc;
}

static const pc_module_class render_class = {
    "render_decoder", 1, 1, 2, fwd_render, NULL, "slots (B,K,m) -> image (B,H,W,C), slot attention (B,Q,K)"};

pc_jacobian_fn *pc_decoder_jacobian(const pc_module *m) { return m->cls == &render_class ? render_jacobian : NULL; }

/* Centres of the grid's cells in [-1,1]: (gh*gw,2), and -w_k: (K,1), none for the last slot. */
static void add_windows(pc_build *b, render_self *d, int64_t gh, int64_t gw) {
  const int64_t slots = d->o.slots;
  d->place = pc_build_buffer(b, "place", 2, (int64_t[]){gh * gw, 2}, 0);
  for (int64_t i = 0; d->place && i < gh * gw; i++) {
    pc_f32(d->place)[2 * i] = (float)(2 * (i / gw + 0.5) / (double)gh - 1);
    pc_f32(d->place)[2 * i + 1] = (float)(2 * (i % gw + 0.5) / (double)gw - 1);
  }
  d->windowed = pc_build_buffer(b, "windowed", 2, (int64_t[]){slots, 1}, -d->o.window);
  if (d->windowed) pc_f32(d->windowed)[slots - 1] = 0;
  d->center = pc_build_linear(b, "center", d->o.hidden, 2);
}

PC_OPTIONS_TABLE(pc_render_decoder_options, "render_decoder", pc_render_decoder_opts, PC_RENDER_DECODER_OPTIONS);

int pc_decoder_render(pc_module **out, const pc_render_decoder_opts *o) {
  pc_build build, *b = &build;
  pc_tensor *t = NULL;
  *out = NULL;
  int rc = pc_options_check(&pc_render_decoder_options, render_class.name, o);
  if (rc == PC_OK) rc = PC_CHECK_PATCHES(render_class.name, o);
  if (rc < 0) return rc;
  render_self *d = pc_build_begin(b, &render_class, sizeof *d);
  if (!d) return pc_build_end(b, out);
  d->o = *o;
  d->width_px = PC_WIDTH_PX(o);
  const int64_t gh = o->height / o->patch, gw = d->width_px / o->patch, pixels = o->height * d->width_px * o->channels;
  rc = pc_embed_fourier(&t, gh, gw, o->octaves);
  d->positions = pc_build_table(b, "positions", rc, &t);
  d->mean = pc_build_buffer(b, "mean", 3, (int64_t[]){o->height, d->width_px, o->channels}, 0);
  d->identity = pc_build_param(b, "identity", 2, (int64_t[]){o->slots, o->hidden}, PC_INIT_NORMAL, o->identity, 0, 0);
  d->bias = pc_build_param(b, "slot_logits", 1, &o->slots, PC_INIT_ZEROS, 1, 0, 0);
  if (d->bias) pc_f32(d->bias)[o->slots - 1] = (float)o->background;
  d->code = pc_build_linear(b, "code", o->slot_dim, o->hidden);
  d->key = pc_build_linear(b, "key", o->hidden, o->key_dim);
  d->queries = pc_build_mlp(b, "queries", 3, (int64_t[]){4 * o->octaves, 64, o->key_dim}, PC_ACTIVATION_gelu);
  d->value = pc_build_linear(b, "value", o->hidden, pixels);
  if (o->window > 0) add_windows(b, d, gh, gw);
  return pc_build_end(b, out);
}
