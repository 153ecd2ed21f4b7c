/* slot_attention.c: Slot Attention as a head on tokens; see encoder.h.
 *
 * Slots are few, tokens many, so the projections of keys and values go into the slots:
 * (Wq s)·(Wk t) = ((Wq s) Wk)·t and sum_t a_t Wv t = Wv (sum_t a_t t): a token pays 4 K tokens-width
 * operations an iteration, and is read as it is.
 */
#include <math.h>

#include "encoders/parts.h"
#include "grad/ops_linalg.h"
#include "grad/ops_nn.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"
#include "nn/fuse.h"

typedef struct sa_self {
  pc_slot_attention_opts o;
  pc_module *norm_tokens, *norm_slots, *q, *k, *v, *gru, *norm_ff, *ff, *norm_out, *head;
  pc_tensor *start;
} sa_self;

/* One iteration: t (B,T,tokens) normalised, slots (B,K,width) -> slots; the attention (B,K,T) to *a. */
static pc_tensor *step(pc_scope *s, const sa_self *e, pc_tensor *t, pc_tensor *slots, pc_tensor **a) {
  if (s->rc < 0 || !slots) return NULL;
  int64_t b = slots->size[0], k = e->o.slots, w = e->o.width;
  pc_tensor *q = pc_run1(s, e->q, pc_run1(s, e->norm_slots, slots));
  q = pc_mul_scalar(s, pc_matmul(s, q, e->k->params[0].t), 1 / sqrt((double)w)); /* (B,K,tokens) */
  *a = pc_softmax(s, pc_matmul_t(s, q, t, 0, 1), 1);
  pc_tensor *n = pc_add_scalar(s, *a, e->o.eps);
  n = pc_div(s, n, pc_sum(s, n, 1, (int[]){2}, 1));
  pc_tensor *u = pc_run1(s, e->v, pc_matmul(s, n, t));
  u = pc_run2(s, e->gru, pc_reshape(s, u, 2, (int64_t[]){b * k, w}), pc_reshape(s, slots, 2, (int64_t[]){b * k, w}));
  u = pc_reshape(s, u, 3, (int64_t[]){b, k, w});
  if (!u) return NULL;
  pc_module *ff[3] = {e->ff->kids[0].m, e->ff->kids[1].m, e->ff->kids[2].m}; /* linear, relu, linear */
  return pc_fuse_around(s, u, e->norm_ff, ff, 3, 0);
}

static void fwd_sa(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  const sa_self *e = m->self;
  pc_tensor *t = in[0], *a = NULL;
  if (t && (t->ndim != 3 || t->size[2] != e->o.tokens))
    pc_note(s, pc_fail(PC_ESHAPE, "slot_attention: tokens must be (B,T,%lld), got %s", (long long)e->o.tokens,
                       pc_shape_str(t)));
  if (s->rc < 0 || !t || !(t = pc_run1(s, e->norm_tokens, t))) return;
  pc_tensor *start = pc_expand(s, pc_unsqueeze(s, e->start, 0), 3, (int64_t[]){t->size[0], e->o.slots, e->o.width});
  pc_tensor *slots = start;
  int was = e->o.through ? pc_grad_enabled() : pc_grad_set_enabled(0);
  for (int64_t i = 0; i < e->o.iterations; i++) slots = step(s, e, t, slots, &a);
  pc_grad_set_enabled(was);
  if (!e->o.through) {
    pc_tensor *plain = NULL;
    if (s->rc == PC_OK) pc_note(s, pc_detach(&plain, start));
    if (s->rc < 0) return;
    pc_own(s, plain);
    slots = step(s, e, t, pc_add(s, slots, pc_sub(s, start, plain)), &a); /* + 0, for start's gradient */
  }
  pc_part_slots(s, pc_run1(s, e->head, pc_run1(s, e->norm_out, slots)), e->o.slot_dim, e->o.no_vae, out);
  out[2] = a;
}

static const pc_module_class sa_class = {
    "slot_attention",
    1,
    1,
    3,
    fwd_sa,
    NULL,
    "tokens (B,T,width) -> slot means (B,K,m), log_std (B,K,m), attention (B,K,T)"};

static int add_norm(pc_module *m, const char *name, int64_t width, pc_module **slot) {
  pc_module *part = NULL;
  int rc = pc_nn_layer_norm(&part, width, 0, 0);
  return pc_part_child(m, name, rc, part, slot);
}

static int add_linear(pc_module *m, const char *name, int64_t in, int64_t out, int no_bias, pc_module **slot) {
  pc_module *part = NULL;
  int rc = pc_nn_linear(&part, in, out, &(pc_linear_opts){.no_bias = no_bias});
  return pc_part_child(m, name, rc, part, slot);
}

static int build(pc_module *m) {
  sa_self *e = m->self;
  const pc_slot_attention_opts *o = &e->o;
  int64_t w = o->width;
  pc_module *part = NULL;
  int rc = add_norm(m, "norm_tokens", o->tokens, &e->norm_tokens);
  if (rc == PC_OK) rc = pc_module_param(m, "start", 2, (int64_t[]){o->slots, w}, PC_INIT_NORMAL, o->start_sd, 0, 0);
  if (rc == PC_OK) e->start = pc_module_get(m, "start");
  if (rc == PC_OK) rc = add_norm(m, "norm_slots", w, &e->norm_slots);
  if (rc == PC_OK) rc = add_linear(m, "q", w, w, 1, &e->q);
  if (rc == PC_OK) rc = add_linear(m, "k", o->tokens, w, 1, &e->k);
  if (rc == PC_OK) rc = add_linear(m, "v", o->tokens, w, 1, &e->v);
  if (rc == PC_OK && (rc = pc_nn_gru_cell(&part, w, w)) == PC_OK) rc = pc_part_child(m, "gru", rc, part, &e->gru);
  if (rc == PC_OK) rc = add_norm(m, "norm_ff", w, &e->norm_ff);
  if (rc == PC_OK && (rc = pc_nn_mlp(&part, 3, (int64_t[]){w, o->hidden, w}, PC_NN_RELU)) == PC_OK)
    rc = pc_part_child(m, "ff", rc, part, &e->ff);
  if (rc == PC_OK) rc = add_norm(m, "norm_out", w, &e->norm_out);
  if (rc == PC_OK) rc = add_linear(m, "head", w, (o->no_vae ? 1 : 2) * o->slot_dim, 0, &e->head);
  return rc;
}

int pc_encoder_slot_attention(pc_module **out, const pc_slot_attention_opts *opts) {
  pc_slot_attention_opts o = *opts;
  *out = NULL;
  if (o.slots < 1 || o.slot_dim < 1)
    return pc_fail(PC_EARG, "slot_attention: slots and slot_dim are required, at least 1");
  if (o.tokens < 1) return pc_fail(PC_EARG, "slot_attention: tokens, the width of the base's tokens, is required");
  if (!o.width) o.width = 96;
  if (!o.iterations) o.iterations = 3;
  if (!o.hidden) o.hidden = 2 * o.width;
  if (o.start_sd <= 0) o.start_sd = 1;
  if (o.eps <= 0) o.eps = 1e-8;
  if (o.iterations < 1) return pc_fail(PC_EARG, "slot_attention: at least 1 iteration");
  int rc = pc_module_new(out, &sa_class, sizeof(sa_self));
  if (rc < 0) return rc;
  ((sa_self *)(*out)->self)->o = o;
  if ((rc = build(*out)) < 0) {
    pc_module_release(*out);
    *out = NULL;
  }
  return rc;
}
