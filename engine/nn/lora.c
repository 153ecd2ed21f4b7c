#include "nn/lora.h"

#include <string.h>

#include "base/alloc.h"
#include "grad/ops_linalg.h"
#include "grad/ops_pointwise.h"
#include "nn/fuse.h"

typedef struct lora_self {
  double scale;
  int bias; /* params: weight, bias?, lora_a, lora_b */
} lora_self;

static void fwd_lora(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  const lora_self *l = m->self;
  pc_tensor *y = pc_linear(s, in[0], m->params[0].t, l->bias ? m->params[1].t : NULL);
  pc_tensor *low = pc_linear(s, in[0], m->params[1 + l->bias].t, NULL);
  low = pc_linear(s, low, m->params[2 + l->bias].t, NULL);
  out[0] = pc_add(s, y, pc_mul_scalar(s, low, l->scale));
}

static const pc_module_class lora_class = {
    "lora_linear", 1, 1, 1, fwd_lora, NULL, "(..., in) -> (..., out): x W^T + b + scale (x A^T) B^T"};

static int adapt(pc_module *m, int64_t rank, double alpha) {
  if (m->cls == &lora_class) return pc_fail(PC_EARG, "lora: adapted already; merge_lora() first");
  if (m->cls != &pc_linear_class) return pc_fail(PC_EARG, "lora: a projection is %s, not linear", m->cls->name);
  if (!rank) return PC_OK;
  int64_t out = m->params[0].t->size[0], in = m->params[0].t->size[1];
  int bias = m->nparams > 1;
  lora_self *l = pc_malloc(sizeof *l);
  if (!l) return PC_ENOMEM;
  int rc = pc_module_param(m, "lora_a", 2, (int64_t[]){rank, in}, PC_INIT_FAN_IN, 1, in, rank);
  if (rc == PC_OK) {
    rc = pc_module_param(m, "lora_b", 2, (int64_t[]){out, rank}, PC_INIT_ZEROS, 1, rank, out);
    if (rc < 0) pc_module_drop(m, m->nparams - 1);
  }
  if (rc < 0) {
    pc_free(l);
    return rc;
  }
  *l = (lora_self){alpha / (double)rank, bias};
  pc_free(m->self);
  m->self = l;
  m->cls = &lora_class;
  return PC_OK;
}

/* Applies to the projections of every attention under m; *found counts them. Rank 0: only looks whether it can. */
static int walk(pc_module *m, const char *which, int64_t rank, double alpha, int *found) {
  int rc = PC_OK;
  if (!strcmp(m->cls->name, "attention")) {
    for (const char *w = which; *w && rc == PC_OK; w++) {
      pc_module *part = pc_module_child(m, (char[]){*w, 0});
      if (!part) return pc_fail(PC_EARG, "lora: on '%s': letters of q, k, v, o are expected", which);
      rc = adapt(part, rank, alpha);
      ++*found;
    }
    return rc;
  }
  for (int i = 0; i < m->nkids && rc == PC_OK; i++) rc = walk(m->kids[i].m, which, rank, alpha, found);
  return rc;
}

PC_OPTIONS_TABLE(pc_lora_options, "lora", pc_lora_opts, PC_LORA_OPTIONS);

int pc_lora_add(pc_module *m, const pc_lora_opts *o) {
  int found = 0, rc = pc_options_check(&pc_lora_options, "lora", o);
  if (rc < 0) return rc;
  if (strspn(o->on, "qkvo") != strlen(o->on))
    return pc_fail(PC_EARG, "lora: on '%s': letters of q, k, v, o are expected, as in \"qv\"", o->on);
  rc = walk(m, o->on, 0, 0, &found);
  if (rc == PC_OK && !found) rc = pc_fail(PC_EARG, "lora: %s has no attention to adapt", m->cls->name);
  if (rc == PC_OK) rc = pc_module_fix(m, 1);
  return rc < 0 ? rc : walk(m, o->on, o->rank, pc_num_or(o->alpha, (double)o->rank), &found);
}

static int merge_one(pc_module *m) {
  const lora_self *l = m->self;
  pc_scope s = {0};
  int a = 1 + l->bias, was = pc_grad_set_enabled(0);
  pc_tensor *w = pc_matmul(&s, m->params[a + 1].t, m->params[a].t);
  w = pc_add(&s, m->params[0].t, pc_mul_scalar(&s, w, l->scale));
  int rc = pc_scope_end(&s, &w, 1);
  if (rc == PC_OK) rc = pc_inplace_begin("merge_lora", m->params[0].t);
  if (rc == PC_OK) rc = pc_copy_into(m->params[0].t, w);
  pc_grad_set_enabled(was);
  pc_tensor_release(w);
  if (rc < 0) return rc;
  pc_module_drop(m, a + 1);
  pc_module_drop(m, a);
  pc_free(m->self);
  m->self = NULL;
  m->cls = &pc_linear_class;
  return PC_OK;
}

static int merge(pc_module *m, int *found) {
  int rc = PC_OK;
  if (m->cls == &lora_class) {
    ++*found;
    return merge_one(m);
  }
  for (int i = 0; i < m->nkids && rc == PC_OK; i++) rc = merge(m->kids[i].m, found);
  return rc;
}

int pc_lora_merge(pc_module *m) {
  int found = 0, rc = merge(m, &found);
  return rc == PC_OK && !found ? pc_fail(PC_EARG, "merge_lora: nothing in %s is adapted", m->cls->name) : rc;
}
