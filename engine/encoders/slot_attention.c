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
  int was = e->o.detach ? pc_grad_set_enabled(0) : pc_grad_enabled();
  for (int64_t i = 0; i < e->o.iterations; i++) slots = step(s, e, t, slots, &a);
  pc_grad_set_enabled(was);
  if (e->o.detach) {
    pc_tensor *plain = NULL;
    if (s->rc == PC_OK) pc_note(s, pc_detach(&plain, start));
    if (s->rc < 0) return;
    pc_own(s, plain);
    slots = step(s, e, t, pc_add(s, slots, pc_sub(s, start, plain)), &a); /* + 0, for start's gradient */
  }
  pc_part_slots(s, pc_run1(s, e->head, pc_run1(s, e->norm_out, slots)), e->o.slot_dim, e->o.vae, out);
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

PC_OPTIONS_TABLE(pc_slot_attention_options, "slot_attention", pc_slot_attention_opts, PC_SLOT_ATTENTION_OPTIONS);

int pc_encoder_slot_attention(pc_module **out, const pc_slot_attention_opts *o) {
  pc_build build, *b = &build;
  pc_module *gru = NULL;
  *out = NULL;
  int rc = pc_options_check(&pc_slot_attention_options, sa_class.name, o);
  if (rc < 0) return rc;
  sa_self *e = pc_build_begin(b, &sa_class, sizeof *e);
  if (!e) return pc_build_end(b, out);
  const int64_t w = o->width, t = o->tokens;
  e->o = *o;
  e->norm_tokens = pc_build_norm(b, "norm_tokens", t, PC_NORM_EPS);
  e->start = pc_build_param(b, "start", 2, (int64_t[]){o->slots, w}, PC_INIT_NORMAL, o->start_sd, 0, 0);
  e->norm_slots = pc_build_norm(b, "norm_slots", w, PC_NORM_EPS);
  e->q = pc_build_matrix(b, "q", w, w);
  e->k = pc_build_matrix(b, "k", t, w);
  e->v = pc_build_matrix(b, "v", t, w);
  rc = pc_nn_gru_cell(&gru, w, w);
  e->gru = pc_build_child(b, "gru", rc, &gru);
  e->norm_ff = pc_build_norm(b, "norm_ff", w, PC_NORM_EPS);
  e->ff = pc_build_mlp(b, "ff", 3, (int64_t[]){w, pc_int64_or(o->hidden, 2 * w), w}, PC_ACTIVATION_relu);
  e->norm_out = pc_build_norm(b, "norm_out", w, PC_NORM_EPS);
  e->head = pc_build_linear(b, "head", w, (o->vae ? 2 : 1) * o->slot_dim);
  return pc_build_end(b, out);
}
