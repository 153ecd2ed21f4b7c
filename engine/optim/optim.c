#include "optim/optim.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "base/simd.h"
#include "grad/final.h"

/* Consecutive parameters that lie next to each other, values and gradients alike. */
typedef struct range {
  int first, count; /* parameters params[first .. first+count) of the group */
  int64_t n;        /* numbers */
  int64_t at;       /* where its state begins in the group's slots */
} range;

typedef struct group {
  pc_optim_opts o;
  pc_tensor **params;
  int n;
  int64_t numel;
  pc_dtype dtype;
  pc_tensor *slot[2];
} group;

/* A parameter that is stepped during backward. */
typedef struct pending {
  pc_final final;
  int group, param;
  int64_t at; /* where its state begins in the group's slots */
  int done;   /* stepped since the last pc_optim_step */
  int had;    /* has had a gradient: without one it is stepped as if by zeros, which it would hold otherwise */
} pending;

struct pc_optim {
  pc_optim_kind kind;
  int ngroups;
  group *groups;
  int64_t steps;
  int npending;
  pending *pending; /* all parameters, or NULL: steps are taken afterwards */
  double squares;   /* of the gradients used during backward since the last step */
};

PC_OPTIONS_TABLE(pc_sgd_options, "sgd", pc_optim_opts, PC_SGD_OPTIONS);
PC_OPTIONS_TABLE(pc_adam_options, "adam", pc_optim_opts, PC_ADAM_OPTIONS);
PC_OPTIONS_TABLE(pc_adamw_options, "adamw", pc_optim_opts, PC_ADAMW_OPTIONS);
static const pc_options *const tables[] = {&pc_sgd_options, &pc_adam_options, &pc_adamw_options};

static const char *const slots[3][2] = {{"momentum", NULL}, {"m", "v"}, {"m", "v"}};

pc_optim_kind pc_optim_kind_of(const pc_optim *o) { return o->kind; }
const char *pc_optim_name(const pc_optim *o) { return tables[o->kind]->name; }
int pc_optim_nslots(const pc_optim *o) { return o->kind == PC_OPTIM_SGD ? 1 : 2; }
const char *pc_optim_slot_name(const pc_optim *o, int slot) { return slots[o->kind][slot]; }
int pc_optim_ngroups(const pc_optim *o) { return o->ngroups; }
double pc_optim_lr(const pc_optim *o, int g) { return o->groups[g].o.lr; }
int64_t pc_optim_steps(const pc_optim *o) { return o->steps; }
void pc_optim_set_steps(pc_optim *o, int64_t steps) { o->steps = steps; }

int pc_optim_set_lr(pc_optim *o, int g, double lr) {
  pc_optim_opts with = {.lr = lr};
  int rc = pc_options_check(tables[o->kind], pc_optim_name(o), &with);
  for (int i = 0; i < o->ngroups && rc == PC_OK; i++)
    if (g < 0 || g == i) o->groups[i].o.lr = lr;
  return rc;
}

int pc_optim_new(pc_optim **out, pc_optim_kind kind) {
  pc_optim *o = pc_calloc(1, sizeof *o);
  *out = o;
  if (!o) return PC_ENOMEM;
  o->kind = kind;
  return PC_OK;
}

static void group_free(group *g) {
  for (int i = 0; i < g->n; i++) pc_tensor_release(g->params[i]);
  pc_free(g->params);
  pc_tensor_release(g->slot[0]);
  pc_tensor_release(g->slot[1]);
}

void pc_optim_release(pc_optim *o) {
  if (!o) return;
  for (int i = 0; i < o->npending; i++) pc_final_off(&o->pending[i].final);
  pc_free(o->pending);
  for (int i = 0; i < o->ngroups; i++) group_free(&o->groups[i]);
  pc_free(o->groups);
  pc_free(o);
}

int pc_optim_add_group(pc_optim *o, pc_tensor *const *params, int n, const pc_optim_opts *opts) {
  group g = {.o = *(opts ? opts : (const pc_optim_opts *)tables[o->kind]->defaults)};
  int rc = pc_options_check(tables[o->kind], pc_optim_name(o), &g.o);
  if (rc == PC_OK && g.o.nesterov && !(g.o.momentum > 0))
    rc = pc_fail(PC_EARG, "%s: nesterov needs momentum > 0", pc_optim_name(o));
  if (rc < 0) return rc;
  if (o->pending) return pc_fail(PC_ESTATE, "%s: groups come before steps are taken during backward", pc_optim_name(o));
  group *more = pc_realloc(o->groups, sizeof g * (size_t)(o->ngroups + 1));
  if (!more) return PC_ENOMEM;
  o->groups = more;
  if (!(g.params = pc_calloc((size_t)(n ? n : 1), sizeof *g.params))) return PC_ENOMEM;
  for (int i = 0; i < n; i++) {
    pc_tensor *t = params[i];
    if (!t->requires_grad) continue;
    if (!pc_is_leaf(t) || !pc_is_contiguous(t) || (g.n && t->dtype != g.dtype)) {
      rc = pc_fail(PC_EARG, "%s: parameter %d of shape %s must be a contiguous leaf of the group's dtype",
                   pc_optim_name(o), i + 1, pc_shape_str(t));
      group_free(&g);
      return rc;
    }
    g.dtype = t->dtype;
    g.params[g.n++] = pc_tensor_retain(t);
    g.numel += pc_numel(t);
  }
  if (!g.n) {
    group_free(&g);
    return pc_fail(PC_EARG, "%s: no parameter wants a gradient; call requires_grad_() or unfreeze the module",
                   pc_optim_name(o));
  }
  o->groups[o->ngroups++] = g;
  return PC_OK;
}

typedef struct gather {
  pc_tensor **t;
  int n, cap;
} gather;

static int gather_one(void *ctx, const char *path, pc_parameter *p) {
  gather *g = ctx;
  if (p->is_buffer) return PC_OK;
  if (g->n == g->cap) {
    int cap = g->cap ? 2 * g->cap : 64;
    pc_tensor **t = pc_realloc(g->t, sizeof *t * (size_t)cap);
    if (!t) return PC_ENOMEM;
    g->t = t;
    g->cap = cap;
  }
  g->t[g->n++] = p->t;
  return PC_OK;
}

int pc_optim_add_module(pc_optim *o, pc_module *m, const pc_optim_opts *opts) {
  pc_flat flat = {NULL, NULL};
  gather g = {NULL, 0, 0};
  int rc = pc_module_flatten(m, &flat);
  if (rc == PC_OK) rc = pc_module_each(m, gather_one, &g);
  if (rc == PC_OK) rc = pc_optim_add_group(o, g.t, g.n, opts);
  pc_free(g.t);
  pc_tensor_release(flat.values);
  pc_tensor_release(flat.grads);
  return rc;
}

int pc_optim_state(pc_optim *o, int group_index, int slot, pc_tensor **out) {
  group *g = &o->groups[group_index];
  if (!g->slot[slot]) {
    int rc = pc_tensor_zeros(&g->slot[slot], g->dtype, 1, &g->numel);
    if (rc < 0) return rc;
  }
  *out = g->slot[slot];
  return PC_OK;
}

int pc_optim_zero_grad(pc_optim *o) {
  for (int k = 0; k < o->ngroups; k++)
    for (int i = 0; i < o->groups[k].n; i++) {
      pc_tensor *t = o->groups[k].params[i], *grad = pc_grad_get(t);
      int rc = !grad ? PC_OK : o->pending ? pc_grad_set(t, NULL) : pc_fill(grad, 0);
      if (rc < 0) return rc;
    }
  return PC_OK;
}

/* ---- ranges ---- */

/* The longest run of parameters from i on whose values and gradients are neighbours in memory. */
static range next_range(const group *g, int i, int64_t at) {
  pc_tensor *t = g->params[i], *d = pc_grad_get(t);
  range r = {.first = i, .count = 1, .n = pc_numel(t), .at = at};
  if (!d) return r;
  for (int j = i + 1; j < g->n; j++) {
    pc_tensor *u = g->params[j], *e = pc_grad_get(u);
    if (!e || u->storage != t->storage || u->offset != t->offset + r.n || e->storage != d->storage ||
        e->offset != d->offset + r.n || !pc_is_contiguous(d) || !pc_is_contiguous(e))
      break;
    r.n += pc_numel(u);
    r.count++;
  }
  return r;
}

typedef struct step_ctx {
  const pc_optim_opts *o;
  pc_optim_kind kind;
  void *x, *s0, *s1;
  const void *g;
  int64_t steps; /* including this one */
  double c1, c2; /* bias corrections 1 - beta^t */
} step_ctx;

/* One loop, written once for float and double. Adam (Kingma & Ba 2015), bias-corrected:
 * m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; x -= lr (m/c1) / (sqrt(v/c2) + eps). */
#define PC_TEMPLATE "optim/step.inc"
#include "base/float_types.inc"

enum { GRAIN = 1 << 15 };

/* `steps`: including this one. Leaves the parameters' version to the caller. */
static int step_range(pc_optim *o, group *g, const range *r, int index, int64_t steps) {
  pc_tensor *t = g->params[r->first], *grad = pc_grad_get(t), *s[2] = {NULL, NULL}, *tmp = NULL;
  int momentum = o->kind == PC_OPTIM_SGD && g->o.momentum > 0, rc = PC_OK;
  for (int k = 0; k < pc_optim_nslots(o); k++)
    if ((o->kind != PC_OPTIM_SGD || momentum) && (rc = pc_optim_state(o, index, k, &s[k])) < 0) return rc;
  if ((rc = pc_contiguous(&tmp, grad)) < 0) return rc;
  size_t at = (size_t)r->at * pc_dtype_size(g->dtype);
  step_ctx c = {.o = &g->o, .kind = o->kind, .x = pc_data(t), .g = pc_data(tmp), .steps = steps};
  c.s0 = s[0] ? (char *)pc_data(s[0]) + at : NULL;
  c.s1 = s[1] ? (char *)pc_data(s[1]) + at : NULL;
  c.c1 = 1 - pow(g->o.beta1, (double)steps);
  c.c2 = 1 - pow(g->o.beta2, (double)steps);
  int f32 = g->dtype == PC_F32, sgd = o->kind == PC_OPTIM_SGD;
  pc_parallel_for(r->n, GRAIN, sgd ? (f32 ? sgd_f32 : sgd_f64) : (f32 ? adam_f32 : adam_f64), &c);
  if (s[0]) s[0]->storage->version++;
  if (s[1]) s[1]->storage->version++;
  pc_tensor_release(tmp);
  return PC_OK;
}

static int step_after(pc_optim *o) {
  o->steps++;
  for (int k = 0; k < o->ngroups; k++) {
    group *g = &o->groups[k];
    int64_t at = 0;
    for (int i = 0; i < g->n;) {
      range r = next_range(g, i, at);
      int there = pc_grad_get(g->params[i]) != NULL, rc = there ? step_range(o, g, &r, k, o->steps) : PC_OK;
      if (rc < 0) return rc;
      if (there) g->params[i]->storage->version++;
      i += r.count;
      at += r.n;
    }
  }
  return PC_OK;
}

/* ---- sums of squares ---- */

/* In double, in a fixed order: eight lanes of a block of 1024, then the lanes. */
PC_CLONES static double sum_squares_f32(const float *x, int64_t n) {
  double s = 0;
  for (int64_t i = 0; i < n; i += 1024) {
    float part[8] = {0};
    int64_t end = i + 1024 < n ? i + 1024 : n, j = i;
    for (; j + 8 <= end; j += 8)
      for (int l = 0; l < 8; l++) part[l] += x[j + l] * x[j + l];
    for (int l = 0; l < 8; l++) s += (double)part[l];
    for (; j < end; j++) s += (double)x[j] * (double)x[j];
  }
  return s;
}

static double sum_squares(const pc_tensor *t) {
  int64_t n = pc_numel(t);
  if (t->dtype == PC_F32) return sum_squares_f32(pc_f32(t), n);
  const double *x = pc_f64(t);
  double s = 0;
  for (int64_t i = 0; i < n; i++) s += x[i] * x[i];
  return s;
}

/* ---- during backward ---- */

static int take(void *ctx, int index) {
  pc_optim *o = ctx;
  pending *p = &o->pending[index];
  group *g = &o->groups[p->group];
  pc_tensor *t = g->params[p->param];
  if (p->done)
    return pc_fail(PC_ESTATE,
                   "%s: a second gradient of a parameter of shape %s, which was stepped during backward: call step() "
                   "after each backward(); to add gradients up, make the optimiser without during_backward",
                   pc_optim_name(o), pc_shape_str(t));
  range r = {.first = p->param, .count = 1, .n = pc_numel(t), .at = p->at};
  double squares = pc_is_contiguous(pc_grad_get(t)) ? sum_squares(pc_grad_get(t)) : 0;
  int rc = step_range(o, g, &r, p->group, o->steps + 1);
  if (rc < 0) return rc;
  o->squares += squares;
  p->done = p->had = 1;
  return pc_grad_set(t, NULL);
}

int pc_optim_during_backward(pc_optim *o) {
  int n = 0, rc = PC_OK;
  if (o->pending) return PC_OK;
  for (int k = 0; k < o->ngroups; k++) n += o->groups[k].n;
  if (!(o->pending = pc_calloc((size_t)(n ? n : 1), sizeof *o->pending))) return PC_ENOMEM;
  for (int k = 0; k < o->ngroups; k++) {
    int64_t at = 0;
    for (int i = 0; i < o->groups[k].n && rc == PC_OK; i++) {
      pending *p = &o->pending[o->npending];
      pc_tensor *t = o->groups[k].params[i];
      *p = (pending){
          .final = {.take = take, .ctx = o, .index = o->npending, .leaf = t}, .group = k, .param = i, .at = at};
      p->had = pc_grad_get(t) != NULL;
      at += pc_numel(t);
      if ((rc = pc_final_on(&p->final)) < 0) return pc_error_prefix(rc, "%s", pc_optim_name(o));
      o->npending++;
      rc = pc_grad_set(t, NULL);
    }
  }
  return rc;
}

/* A gradient of zeros for t. */
static int no_gradient(pc_tensor *t) {
  pc_tensor *g;
  int rc = pc_tensor_zeros(&g, (pc_dtype)t->dtype, t->ndim, t->size);
  if (rc < 0) return rc;
  rc = pc_grad_set(t, g);
  pc_tensor_release(g);
  return rc;
}

int pc_optim_step(pc_optim *o) {
  if (!o->pending) return step_after(o);
  for (int i = 0; i < o->npending; i++) { /* what no outermost backward finished */
    pending *p = &o->pending[i];
    int rc = p->had && !p->done && !pc_grad_get(p->final.leaf) ? no_gradient(p->final.leaf) : PC_OK;
    if (rc == PC_OK && pc_grad_get(p->final.leaf)) rc = take(o, i);
    if (rc < 0) return rc;
    if (p->done) p->final.leaf->storage->version++;
  }
  for (int i = 0; i < o->npending; i++) o->pending[i].done = 0;
  o->steps++;
  o->squares = 0;
  return PC_OK;
}

/* ---- the norm of all gradients ---- */

int pc_optim_clip_grad_norm(pc_optim *o, double max_norm, double *norm) {
  double s = o->squares;
  if (o->pending && max_norm > 0)
    return pc_fail(PC_ESTATE,
                   "clip: this optimiser takes its step during backward, when the norm of all gradients is not known "
                   "yet; leave the largest norm out, or make the optimiser without during_backward");
  for (int pass = 0; pass < 2; pass++) {
    double scale = 1;
    if (pass) {
      *norm = sqrt(s);
      if (!(max_norm > 0) || !(*norm > max_norm)) return PC_OK;
      scale = max_norm / (*norm + 1e-6);
    }
    for (int k = 0; k < o->ngroups; k++)
      for (int i = 0; i < o->groups[k].n; i++) {
        pc_tensor *grad = pc_grad_get(o->groups[k].params[i]);
        if (!grad) continue;
        if (!pc_is_contiguous(grad)) return pc_fail(PC_ESTATE, "clip_grad_norm: a gradient is not contiguous");
        if (!pass) {
          s += sum_squares(grad);
          continue;
        }
        int64_t n = pc_numel(grad);
        float *f = grad->dtype == PC_F32 ? pc_f32(grad) : NULL;
        double *d = f ? NULL : pc_f64(grad);
        for (int64_t j = 0; j < n; j++) {
          if (f)
            f[j] *= (float)scale;
          else
            d[j] *= scale;
        }
        grad->storage->version++;
      }
  }
  return PC_OK;
}
