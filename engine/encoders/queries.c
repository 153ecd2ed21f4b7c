/* queries.c: the slot head of learned queries; see encoder.h, parts.h. */
#include "encoders/parts.h"
#include "grad/ops_shape.h"

void pc_query_build(pc_build *b, pc_query_part *e) {
  const pc_query_head_opts *o = &e->o;
  const pc_block_opts block =
      PC_OPTIONS_WITH(pc_block_opts, PC_BLOCK_OPTIONS, .context = PC_GIVEN(o->tokens), .inner = PC_GIVEN(o->width),
                      .self_attention = 1, .ff = PC_GIVEN(pc_int64_or(o->ff, 2 * o->width)));
  char name[24];
  if (o->norm) e->norm_tokens = pc_build_norm(b, "norm_tokens", o->tokens, PC_NORM_EPS);
  e->queries = pc_build_param(b, "queries", 2, (int64_t[]){o->slots, o->width},
                              o->query_sd.given ? PC_INIT_NORMAL : PC_INIT_UNIFORM, pc_num_or(o->query_sd, 1), 0, 0);
  for (int64_t l = 0; l < o->layers; l++)
    e->blocks[l] = pc_build_block(b, pc_build_name(name, sizeof name, "block", l), o->width, o->heads, &block);
  e->norm_out = pc_build_norm(b, "norm_out", o->width, PC_NORM_EPS);
  e->head = pc_build_linear(b, "head", o->width, (o->vae ? 2 : 1) * o->slot_dim);
}

void pc_query_run(pc_scope *s, const pc_query_part *e, pc_tensor *x, pc_tensor **out) {
  pc_tensor *y[PC_MAX_OUT];
  if (!x) return;
  if (e->norm_tokens) x = pc_run1(s, e->norm_tokens, x);
  if (s->rc < 0) return;
  pc_tensor *q = pc_expand(s, pc_unsqueeze(s, e->queries, 0), 3, (int64_t[]){x->size[0], e->o.slots, e->o.width});
  for (int64_t l = 0; l < e->o.layers && s->rc == PC_OK; l++) {
    pc_tensor *qx[2] = {q, x};
    pc_module_run(s, e->blocks[l], qx, 2, y);
    q = y[0];
  }
  pc_part_slots(s, pc_run1(s, e->head, pc_run1(s, e->norm_out, q)), e->o.slot_dim, e->o.vae, out);
}

static void fwd_queries(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  const pc_query_part *e = m->self;
  if (in[0] && (in[0]->ndim != 3 || in[0]->size[2] != e->o.tokens)) {
    pc_note(s, pc_fail(PC_ESHAPE, "queries: tokens must be (B,T,%lld), got %s", (long long)e->o.tokens,
                       pc_shape_str(in[0])));
    return;
  }
  pc_query_run(s, e, in[0], out);
}

static const pc_module_class queries_class = {
    "queries", 1, 1, 2, fwd_queries, NULL, "tokens (B,T,width) -> slot means (B,K,m), log_std (B,K,m)"};

PC_OPTIONS_TABLE(pc_query_head_options, "queries", pc_query_head_opts, PC_QUERY_HEAD_OPTIONS);

int pc_encoder_queries(pc_module **out, const pc_query_head_opts *o) {
  pc_build b;
  *out = NULL;
  int rc = pc_options_check(&pc_query_head_options, queries_class.name, o);
  if (rc < 0) return rc;
  pc_query_part *e = pc_build_begin(&b, &queries_class, sizeof *e);
  if (!e) return pc_build_end(&b, out);
  e->o = *o;
  pc_query_build(&b, e);
  return pc_build_end(&b, out);
}
