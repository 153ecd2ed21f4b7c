/* queries.c: the slot head of learned queries; see encoder.h, parts.h. */
#include <stdio.h>

#include "encoders/parts.h"
#include "grad/ops_shape.h"

int pc_query_check(const char *who, pc_query_head_opts *o) {
  if (o->slots < 1 || o->slot_dim < 1) return pc_fail(PC_EARG, "%s: slots and slot_dim are required", who);
  if (o->tokens < 1) return pc_fail(PC_EARG, "%s: tokens, the width of the base's tokens, is required", who);
  if (!o->width) o->width = 96;
  if (!o->heads) o->heads = 4;
  if (!o->layers) o->layers = 5;
  if (!o->ff) o->ff = 2 * o->width;
  if (o->layers > PC_QUERY_LAYERS_MAX || o->layers < 1) return pc_fail(PC_EARG, "%s: 1 to 16 layers", who);
  return PC_OK;
}

int pc_query_build(pc_module *m, pc_query_part *e) {
  const pc_query_head_opts *o = &e->o;
  pc_module *part = NULL;
  int rc = PC_OK;
  if (!o->no_norm && (rc = pc_nn_layer_norm(&part, o->tokens, 0, 0)) == PC_OK)
    rc = pc_part_child(m, "norm_tokens", rc, part, &e->norm_tokens);
  if (rc == PC_OK)
    rc = pc_module_param(m, "queries", 2, (int64_t[]){o->slots, o->width},
                         o->query_sd > 0 ? PC_INIT_NORMAL : PC_INIT_UNIFORM, o->query_sd > 0 ? o->query_sd : 1, 0, 0);
  if (rc == PC_OK) e->queries = pc_module_get(m, "queries");
  for (int64_t l = 0; l < o->layers && rc == PC_OK; l++) {
    char name[24];
    snprintf(name, sizeof name, "block%d", (int)l + 1);
    rc = pc_nn_block(&part, o->width, o->heads,
                     &(pc_block_opts){.width_kv = o->tokens, .inner = o->width, .self_attention = 1, .ff = o->ff});
    if (rc == PC_OK) rc = pc_part_child(m, name, rc, part, &e->blocks[l]);
  }
  if (rc == PC_OK && (rc = pc_nn_layer_norm(&part, o->width, 0, 0)) == PC_OK)
    rc = pc_part_child(m, "norm_out", rc, part, &e->norm_out);
  if (rc == PC_OK && (rc = pc_nn_linear(&part, o->width, (o->no_vae ? 1 : 2) * o->slot_dim, NULL)) == PC_OK)
    rc = pc_part_child(m, "head", rc, part, &e->head);
  return rc;
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
  pc_part_slots(s, pc_run1(s, e->head, pc_run1(s, e->norm_out, q)), e->o.slot_dim, e->o.no_vae, out);
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

int pc_encoder_queries(pc_module **out, const pc_query_head_opts *opts) {
  pc_query_head_opts o = *opts;
  int rc = pc_query_check("queries", &o);
  *out = NULL;
  if (rc < 0 || (rc = pc_module_new(out, &queries_class, sizeof(pc_query_part))) < 0) return rc;
  ((pc_query_part *)(*out)->self)->o = o;
  if ((rc = pc_query_build(*out, (*out)->self)) < 0) {
    pc_module_release(*out);
    *out = NULL;
  }
  return rc;
}
