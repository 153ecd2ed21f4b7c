/* attention.c: multi-head attention and Transformer blocks as modules. */
#include <math.h>

#include "grad/ops_linalg.h"
#include "grad/ops_nn.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_shape.h"
#include "nn/build.h"
#include "nn/fuse.h"

typedef struct attention_self {
  int64_t heads;
  pc_module *q, *k, *v, *o; /* borrowed from the children */
} attention_self;

/* softmax(q k^T / sqrt(e)) v, by heads; a batch of 1 on either side serves the other's */
static pc_tensor *attend(pc_scope *s, pc_tensor *q, pc_tensor *k, pc_tensor *v, int64_t heads, pc_tensor **weights) {
  if (s->rc < 0) return NULL;
  if (q->ndim == 3 && k->ndim == 3 && k->size[0] == 1 && q->size[0] > 1) {
    k = pc_expand(s, k, 3, (int64_t[]){q->size[0], -1, -1});
    v = pc_expand(s, v, 3, (int64_t[]){q->size[0], -1, -1});
  }
  return pc_attention(s, q, k, v, (int)heads, 0, weights);
}

/* The projections are plain linear layers: their weights may be read. */
static int plain(const attention_self *a) {
  return a->q->cls == &pc_linear_class && a->k->cls == &pc_linear_class && a->v->cls == &pc_linear_class &&
         a->o->cls == &pc_linear_class;
}

/* Few keys under many queries, as slots under pixels: the projections of q and o go into the keys and
 * values (tensor/slot_attention.h), so that a query pays 4 heads M width operations in place of
 * 4 inner (width + M). */
static int folds(const attention_self *a, const pc_tensor *x, const pc_tensor *context) {
  int64_t inner = a->q->params[0].t->size[0];
  return x && context && plain(a) && x->ndim == 3 && context->ndim == 3 &&
         (x->size[0] == 1 || x->size[0] == context->size[0]) && x->size[1] >= 8 * context->size[1] &&
         2 * a->heads * context->size[1] <= inner;
}

/* t (B,M,heads e), by heads times `by` (heads,e,n) -> (B,heads,M,n): heads outermost on the way, so that all
 * images' keys are rows of one product. */
static pc_tensor *fold_into(pc_scope *s, pc_tensor *t, pc_tensor *by) {
  if (!t || !by) return NULL;
  int64_t b = t->size[0], m = t->size[1], h = by->size[0], e = by->size[1], n = by->size[2];
  t = pc_transpose(s, pc_reshape(s, t, 3, (int64_t[]){b * m, h, e}), 0, 1);
  t = pc_reshape(s, pc_matmul(s, t, by), 4, (int64_t[]){h, b, m, n});
  return pc_transpose(s, t, 0, 1);
}

/* norm, if not NULL: a layer_norm of x; its weight and bias, and q's bias, go into k and c. around: x is added. */
static pc_tensor *attend_folded(pc_scope *s, const attention_self *a, pc_tensor *x, pc_module *norm, pc_tensor *k,
                                pc_tensor *v, int around, pc_tensor **weights) {
  pc_tensor *wq = a->q->params[0].t, *wo = a->o->params[0].t; /* (inner,width), (width,inner) */
  pc_tensor *bq = a->q->nparams > 1 ? a->q->params[1].t : NULL;
  pc_tensor *gamma = norm && norm->nparams ? norm->params[0].t : NULL,
            *beta = norm && norm->nparams > 1 ? norm->params[1].t : NULL;
  pc_slot_form f = {.bias = a->o->nparams > 1 ? a->o->params[1].t : NULL, .norm = norm != NULL, .residual = around};
  if (s->rc < 0) return NULL;
  int64_t h = a->heads, inner = wq->size[0], e = inner / h, width = wq->size[1];
  if (norm) f.eps = pc_layer_norm_eps(norm);
  k = pc_mul_scalar(s, k, 1 / sqrt((double)e));
  if (beta) bq = pc_linear(s, beta, wq, bq);
  if (bq) f.c = pc_select(s, fold_into(s, k, pc_reshape(s, bq, 3, (int64_t[]){h, e, 1})), 3, 0);
  if (gamma) wq = pc_mul(s, wq, gamma);
  k = fold_into(s, k, pc_reshape(s, wq, 3, (int64_t[]){h, e, width}));
  wo = pc_permute(s, pc_reshape(s, wo, 3, (int64_t[]){width, h, e}), (int[]){1, 2, 0});
  return pc_slot_attention(s, x, k, fold_into(s, v, wo), &f, weights);
}

/* Few queries over many keys, as a slot encoder's over tokens: then the keys' and values' projections go
 * into the queries. With t the context, (q Wk')·t and (w t) Wv, so that t is read as it is:
 *   q' = q_h Wk_h: (B,heads N,width_kv),  w = softmax(q' t' / sqrt(e)),  out_h = (w t) Wv_h' + bv_h
 * A key's bias adds the same to all scores of a query and drops out; weights sum to 1, so a value's stays.
 * heads N width_kv operations a token in place of 2 inner width_kv. */
static int folds_queries(const attention_self *a, const pc_tensor *x, const pc_tensor *context) {
  int64_t inner = a->q->params[0].t->size[0];
  return x && context && plain(a) && x->ndim == 3 && context->ndim == 3 && x->size[0] == context->size[0] &&
         context->size[1] >= 8 * x->size[1] && 2 * a->heads * x->size[1] <= inner;
}

static pc_tensor *attend_few(pc_scope *s, const attention_self *a, pc_tensor *x, pc_tensor *context,
                             pc_tensor **weights) {
  pc_tensor *wk = a->k->params[0].t, *wv = a->v->params[0].t, *w; /* (inner,width_kv) */
  if (s->rc < 0) return NULL;
  int64_t b = x->size[0], n = x->size[1], m = context->size[1], h = a->heads, inner = wk->size[0], e = inner / h,
          width = wk->size[1];
  pc_tensor *q = fold_into(s, pc_run1(s, a->q, x), pc_reshape(s, wk, 3, (int64_t[]){h, e, width}));
  q = pc_reshape(s, q, 3, (int64_t[]){b, h * n, width});
  pc_tensor *y = pc_attention(s, q, context, context, 1, 1 / sqrt((double)e), &w);
  *weights = pc_reshape(s, w, 4, (int64_t[]){b, h, n, m});
  /* (B,heads,N,width) times Wv' by heads -> (B,N,inner) */
  y = pc_transpose(s, pc_reshape(s, y, 4, (int64_t[]){b, h, n, width}), 0, 1);
  y = pc_reshape(s, y, 3, (int64_t[]){h, b * n, width});
  y = pc_matmul_t(s, y, pc_reshape(s, wv, 3, (int64_t[]){h, e, width}), 0, 1);
  y = pc_reshape(s, pc_transpose(s, y, 0, 1), 3, (int64_t[]){b, n, inner});
  return a->v->nparams > 1 ? pc_add(s, y, a->v->params[1].t) : y;
}

/* q, k, v of norm(x), or of x. */
static void project(pc_scope *s, const attention_self *a, pc_tensor *x, pc_module *norm, pc_tensor **p) {
  pc_module *by[PC_QKV] = {a->q, a->k, a->v};
  pc_qkv_form f = {.norm = norm != NULL};
  for (int i = 0; i < PC_QKV; i++) {
    f.weight[i] = by[i]->params[0].t;
    f.bias[i] = by[i]->nparams > 1 ? by[i]->params[1].t : NULL;
  }
  if (norm) {
    f.norm_weight = norm->nparams ? norm->params[0].t : NULL;
    f.norm_bias = norm->nparams > 1 ? norm->params[1].t : NULL;
    f.eps = pc_layer_norm_eps(norm);
  }
  pc_qkv_run(s, x, &f, p);
}

/* x (+ around) attention of norm(x) to the context; norm may be NULL. */
static pc_tensor *attention(pc_scope *s, const attention_self *a, pc_tensor *x, pc_module *norm, pc_tensor *context,
                            int around, pc_tensor **weights) {
  pc_tensor *n = NULL, *p[PC_QKV];
  int self = context == NULL;
  if (self && plain(a)) {
    project(s, a, x, norm, p);
    pc_tensor *y = pc_run1(s, a->o, attend(s, p[0], p[1], p[2], a->heads, weights));
    return around ? pc_add(s, x, y) : y;
  }
  if (self) context = n = norm ? pc_run1(s, norm, x) : x;
  if (!self && folds_queries(a, x, context)) {
    n = norm ? pc_run1(s, norm, x) : x;
    pc_tensor *few = pc_run1(s, a->o, attend_few(s, a, n, context, weights));
    return around ? pc_add(s, x, few) : few;
  }
  pc_tensor *k = pc_run1(s, a->k, context), *v = pc_run1(s, a->v, context);
  if (s->rc < 0) return NULL;
  if (!self && folds(a, x, context)) return attend_folded(s, a, x, norm, k, v, around, weights);
  if (!self) n = norm ? pc_run1(s, norm, x) : x;
  pc_tensor *y = pc_run1(s, a->o, attend(s, pc_run1(s, a->q, n), k, v, a->heads, weights));
  return around ? pc_add(s, x, y) : y;
}

pc_tensor *pc_nn_self_attention(pc_scope *s, pc_module *m, pc_module *norm, pc_tensor *x, int around) {
  pc_tensor *weights = NULL;
  return attention(s, m->self, x, norm, NULL, around, &weights);
}

static void fwd_attention(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  out[0] = attention(s, m->self, in[0], NULL, nin > 1 ? in[1] : NULL, 0, &out[1]);
}

static const pc_module_class attention_class = {
    "attention",
    1,
    2,
    2,
    fwd_attention,
    NULL,
    "x (B,N,width)[, context (B,M,width_kv)] -> (B,N,width), weights (B,heads,N,M)"};

PC_OPTIONS_TABLE(pc_attention_options, "attention", pc_attention_opts, PC_ATTENTION_OPTIONS);

int pc_nn_attention(pc_module **out, int64_t width, int64_t heads, const pc_attention_opts *o) {
  pc_build b;
  *out = NULL;
  if (!o) o = pc_attention_options.defaults;
  int rc = pc_options_check(&pc_attention_options, "attention", o);
  if (rc < 0) return rc;
  int64_t context = pc_int64_or(o->context, width), inner = pc_int64_or(o->inner, context);
  if (heads < 1 || inner % heads)
    return pc_fail(PC_EARG, "attention: %lld heads do not divide the inner width %lld", (long long)heads,
                   (long long)inner);
  pc_module *(*const add)(pc_build *, const char *, int64_t, int64_t) = o->bias ? pc_build_linear : pc_build_matrix;
  attention_self *a = pc_build_begin(&b, &attention_class, sizeof *a);
  if (!a) return pc_build_end(&b, out);
  a->heads = heads;
  a->q = add(&b, "q", width, inner);
  a->k = add(&b, "k", context, inner);
  a->v = add(&b, "v", context, inner);
  a->o = pc_build_linear(&b, "o", inner, width);
  return pc_build_end(&b, out);
}

/* ---- block ---- */

typedef struct block_self {
  pc_module *norm_cross, *cross, *norm_self, *self, *norm_ff, *ff;
  int recompute;
} block_self;

static void fwd_block(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  const block_self *b = m->self;
  pc_tensor *x = in[0];
  if (b->cross) {
    if (nin < 2) {
      pc_note(s, pc_fail(PC_EARG, "block: cross-attention needs a context as second input"));
      return;
    }
    x = attention(s, b->cross->self, x, b->norm_cross, in[1], 1, &out[1]);
  }
  if (b->self) {
    pc_tensor *w = NULL;
    x = attention(s, b->self->self, x, b->norm_self, NULL, 1, &w);
    if (!b->cross) out[1] = w;
  }
  pc_module *ff[3] = {b->ff->kids[0].m, b->ff->kids[1].m, b->ff->kids[2].m}; /* linear, GELU, linear */
  out[0] = pc_fuse_around(s, x, b->norm_ff, ff, 3, b->recompute);
}

static const pc_module_class block_class = {
    "block", 1, 2, 2, fwd_block, NULL, "pre-norm Transformer block: x (B,N,width)[, context] -> x, weights"};

PC_OPTIONS_TABLE(pc_block_options, "block", pc_block_opts, PC_BLOCK_OPTIONS);

int pc_nn_block(pc_module **out, int64_t width, int64_t heads, const pc_block_opts *o) {
  pc_build build, *b = &build;
  *out = NULL;
  if (!o) o = pc_block_options.defaults;
  int rc = pc_options_check(&pc_block_options, "block", o);
  block_self *m = rc < 0 ? NULL : pc_build_begin(b, &block_class, sizeof *m);
  if (!m) return rc < 0 ? rc : pc_build_end(b, out);
  m->recompute = o->recompute;
  if (o->context.given) {
    m->norm_cross = pc_build_norm(b, "norm_cross", width, PC_NORM_EPS);
    m->cross = pc_build_attention(b, "cross", width, heads, &(pc_attention_opts){o->context, o->inner, o->bias});
  }
  if (o->self_attention || !o->context.given) {
    m->norm_self = pc_build_norm(b, "norm_self", width, PC_NORM_EPS);
    m->self = pc_build_attention(b, "self", width, heads, &(pc_attention_opts){.bias = o->bias});
  }
  m->norm_ff = pc_build_norm(b, "norm_ff", width, PC_NORM_EPS);
  m->ff = pc_build_mlp(b, "ff", 3, (int64_t[]){width, pc_int64_or(o->ff, 4 * width), width}, PC_ACTIVATION_gelu);
  return pc_build_end(b, out);
}
