#include "nn/module.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

int pc_module_new(pc_module **out, const pc_module_class *cls, size_t self_bytes) {
  *out = NULL;
  pc_module *m = pc_calloc(1, sizeof *m);
  if (!m) return PC_ENOMEM;
  m->cls = cls;
  m->refs = 1;
  m->training = 1;
  if (self_bytes && !(m->self = pc_calloc(1, self_bytes))) {
    pc_free(m);
    return PC_ENOMEM;
  }
  *out = m;
  return PC_OK;
}

pc_module *pc_module_retain(pc_module *m) {
  if (m) m->refs++;
  return m;
}

void pc_module_release(pc_module *m) {
  if (!m || --m->refs) return;
  if (m->cls->release) m->cls->release(m);
  for (int i = 0; i < m->nparams; i++) {
    pc_tensor_release(m->params[i].t);
    pc_free(m->params[i].name);
  }
  for (int i = 0; i < m->nkids; i++) {
    pc_module_release(m->kids[i].m);
    pc_free(m->kids[i].name);
  }
  pc_free(m->params);
  pc_free(m->kids);
  pc_free(m->self);
  pc_free(m);
}

static int check_name(const pc_module *m, const char *name) {
  if (!*name || strchr(name, '.'))
    return pc_fail(PC_EARG, "%s: '%s' is no name for a parameter or child: not empty, no dots", m->cls->name, name);
  for (int i = 0; i < m->nparams; i++)
    if (!strcmp(m->params[i].name, name)) return pc_fail(PC_EARG, "%s: '%s' is there already", m->cls->name, name);
  for (int i = 0; i < m->nkids; i++)
    if (!strcmp(m->kids[i].name, name)) return pc_fail(PC_EARG, "%s: '%s' is there already", m->cls->name, name);
  return PC_OK;
}

int pc_module_add_tensor(pc_module *m, const char *name, pc_tensor *t, int is_buffer) {
  int rc = check_name(m, name);
  if (rc < 0) return rc;
  if (!is_buffer) {
    if (!pc_is_leaf(t))
      return pc_fail(PC_EARG, "%s: parameter '%s' must be a leaf, not the result of an op; detach() it", m->cls->name,
                     name);
    if ((rc = pc_set_requires_grad(t, 1)) < 0) return pc_error_prefix(rc, "%s: parameter '%s'", m->cls->name, name);
  }
  pc_parameter *p = pc_realloc(m->params, sizeof *p * (size_t)(m->nparams + 1));
  if (!p) return PC_ENOMEM;
  m->params = p;
  char *copy = pc_strdup(name);
  if (!copy) return PC_ENOMEM;
  m->params[m->nparams++] = (pc_parameter){copy, pc_tensor_retain(t), is_buffer};
  return PC_OK;
}

int pc_module_param(pc_module *m, const char *name, int ndim, const int64_t *size, pc_init init, double gain,
                    int64_t fan_in, int64_t fan_out) {
  pc_tensor *t;
  int rc = pc_tensor_empty(&t, PC_F32, ndim, size);
  if (rc < 0) return rc;
  rc = pc_init_fill(t, init, gain, fan_in, fan_out, pc_rng_global());
  if (rc == PC_OK) rc = pc_module_add_tensor(m, name, t, 0);
  pc_tensor_release(t);
  return rc;
}

int pc_module_add_child(pc_module *m, const char *name, pc_module *child) {
  int rc = check_name(m, name);
  if (rc < 0) return rc;
  if (child->height >= PC_MAX_HEIGHT)
    return pc_fail(PC_EARG, "%s: child '%s': modules are nested more than %d deep", m->cls->name, name, PC_MAX_HEIGHT);
  pc_child *k = pc_realloc(m->kids, sizeof *k * (size_t)(m->nkids + 1));
  if (!k) return PC_ENOMEM;
  m->kids = k;
  char *copy = pc_strdup(name);
  if (!copy) return PC_ENOMEM;
  m->kids[m->nkids++] = (pc_child){copy, pc_module_retain(child)};
  if (m->height <= child->height) m->height = child->height + 1;
  return PC_OK;
}

int pc_module_adopt(pc_module *m, const char *name, int rc, pc_module *child) {
  if (rc == PC_OK) rc = pc_module_add_child(m, name, child);
  pc_module_release(child);
  return rc;
}

pc_module *pc_module_child(const pc_module *m, const char *name) {
  for (int i = 0; i < m->nkids; i++)
    if (!strcmp(m->kids[i].name, name)) return m->kids[i].m;
  return NULL;
}

pc_tensor *pc_module_get(const pc_module *m, const char *path) {
  const char *dot = strchr(path, '.');
  if (!dot) {
    for (int i = 0; i < m->nparams; i++)
      if (!strcmp(m->params[i].name, path)) return m->params[i].t;
    return NULL;
  }
  size_t len = (size_t)(dot - path);
  for (int i = 0; i < m->nkids; i++)
    if (strlen(m->kids[i].name) == len && !strncmp(m->kids[i].name, path, len))
      return pc_module_get(m->kids[i].m, dot + 1);
  return NULL;
}

/* ---- running ---- */

void pc_module_run(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  for (int k = 0; k < m->cls->nout; k++) out[k] = NULL;
  if (s->rc < 0) return;
  if (nin < m->cls->nin_min || nin > m->cls->nin_max) {
    pc_note(s,
            pc_fail(PC_EARG, "%s: takes %d to %d inputs, got %d", m->cls->name, m->cls->nin_min, m->cls->nin_max, nin));
    return;
  }
  m->cls->forward(s, m, in, nin, out);
  if (s->rc < 0)
    for (int k = 0; k < m->cls->nout; k++) out[k] = NULL;
}

pc_tensor *pc_run1(pc_scope *s, pc_module *m, pc_tensor *x) {
  pc_tensor *out[PC_MAX_OUT];
  pc_module_run(s, m, &x, 1, out);
  return out[0];
}

pc_tensor *pc_run2(pc_scope *s, pc_module *m, pc_tensor *x, pc_tensor *y) {
  pc_tensor *in[2] = {x, y}, *out[PC_MAX_OUT];
  pc_module_run(s, m, in, 2, out);
  return out[0];
}

/* ---- walking ---- */

typedef struct walk {
  pc_parameter_fn *fn;
  void *ctx;
  char path[512];
  const pc_tensor **seen;
  int nseen, cap;
} walk;

static int first_time(walk *w, const pc_tensor *t) {
  for (int i = 0; i < w->nseen; i++)
    if (w->seen[i] == t) return 0;
  if (w->nseen == w->cap) {
    const pc_tensor **more = pc_realloc((void *)w->seen, sizeof *more * (size_t)(w->cap ? 2 * w->cap : 64));
    if (!more) return PC_ENOMEM;
    w->seen = more;
    w->cap = w->cap ? 2 * w->cap : 64;
  }
  w->seen[w->nseen++] = t;
  return 1;
}

static int visit(walk *w, pc_module *m, size_t at) {
  int rc;
  for (int i = 0; i < m->nparams; i++) {
    if ((rc = first_time(w, m->params[i].t)) < 0) return rc;
    if (rc == 0) continue;
    snprintf(w->path + at, sizeof w->path - at, "%s", m->params[i].name);
    if ((rc = w->fn(w->ctx, w->path, &m->params[i])) < 0) return rc;
  }
  for (int i = 0; i < m->nkids; i++) {
    int n = snprintf(w->path + at, sizeof w->path - at, "%s.", m->kids[i].name);
    if ((size_t)n >= sizeof w->path - at) return pc_fail(PC_EARG, "module: path '%s' is too long", w->path);
    if ((rc = visit(w, m->kids[i].m, at + (size_t)n)) < 0) return rc;
  }
  return PC_OK;
}

int pc_module_each(pc_module *m, pc_parameter_fn *fn, void *ctx) {
  walk w = {.fn = fn, .ctx = ctx};
  int rc = visit(&w, m, 0);
  pc_free((void *)w.seen);
  return rc;
}

static int count(void *ctx, const char *path, pc_parameter *p) {
  if (!p->is_buffer) *(int64_t *)ctx += pc_numel(p->t);
  return PC_OK;
}

int64_t pc_module_count(pc_module *m) {
  int64_t n = 0;
  int rc = pc_module_each(m, count, &n);
  return rc < 0 ? rc : n;
}

void pc_module_set_training(pc_module *m, int on) {
  m->training = on != 0;
  for (int i = 0; i < m->nkids; i++) pc_module_set_training(m->kids[i].m, on);
}

static int set_requires(void *ctx, const char *path, pc_parameter *p) {
  return p->is_buffer ? PC_OK : pc_set_requires_grad(p->t, *(int *)ctx);
}

int pc_module_set_requires_grad(pc_module *m, int on) { return pc_module_each(m, set_requires, &on); }

static int fix_one(void *ctx, const char *path, pc_parameter *p) {
  int on = *(int *)ctx, rc;
  if (p->is_buffer != (on ? 0 : PC_FIXED)) return PC_OK;
  if (on && (rc = pc_grad_set(p->t, NULL)) < 0) return rc;
  if ((rc = pc_set_requires_grad(p->t, !on)) < 0) return rc;
  p->is_buffer = on ? PC_FIXED : 0;
  return PC_OK;
}

int pc_module_fix(pc_module *m, int on) { return pc_module_each(m, fix_one, &on); }

void pc_module_drop(pc_module *m, int i) {
  pc_tensor_release(m->params[i].t);
  pc_free(m->params[i].name);
  m->nparams--;
  for (; i < m->nparams; i++) m->params[i] = m->params[i + 1];
}

static int zero_one(void *ctx, const char *path, pc_parameter *p) {
  pc_tensor *g = pc_grad_get(p->t);
  return g ? pc_fill(g, 0) : PC_OK;
}

int pc_module_zero_grad(pc_module *m) { return pc_module_each(m, zero_one, NULL); }

/* ---- the flat buffer ---- */

typedef struct flatten {
  pc_flat flat;
  int64_t n; /* numbers so far */
  int dtype; /* -1: none yet */
  /* is the tree flat already? the storages, where they begin and where the next parameter should be */
  pc_storage *vs, *gs;
  int64_t v0, vo, g0, go;
  int done;
} flatten;

static int measure(void *ctx, const char *path, pc_parameter *p) {
  flatten *f = ctx;
  if (p->is_buffer) return PC_OK;
  pc_tensor *t = p->t, *g = pc_grad_get(t);
  if (f->dtype < 0) {
    f->dtype = t->dtype;
    f->vs = t->storage;
    f->gs = g ? g->storage : NULL;
    f->v0 = f->vo = t->offset;
    f->g0 = f->go = g ? g->offset : 0;
    f->done = g != NULL;
  } else if (t->dtype != f->dtype) {
    return pc_fail(PC_EDTYPE, "module: parameter '%s' is %s, others are %s: one flat buffer needs one dtype", path,
                   pc_dtype_name(t->dtype), pc_dtype_name((pc_dtype)f->dtype));
  }
  if (!pc_is_contiguous(t) || t->storage != f->vs || t->offset != f->vo || !g || g->storage != f->gs ||
      g->offset != f->go || !pc_is_contiguous(g))
    f->done = 0;
  f->n += pc_numel(t);
  f->vo += pc_numel(t);
  f->go += pc_numel(t);
  return PC_OK;
}

/* The slice of a flat tensor that begins at `at`, in the shape of t. */
static int slice_like(pc_tensor **out, const pc_tensor *flat, const pc_tensor *t, int64_t at) {
  int64_t stride[PC_MAX_DIM], k = 1;
  for (int d = t->ndim - 1; d >= 0; d--) stride[d] = k, k *= t->size[d];
  return pc_view_strided(out, flat, t->ndim, t->size, stride, at);
}

static int move(void *ctx, const char *path, pc_parameter *p) {
  flatten *f = ctx;
  pc_tensor *t = p->t, *value = NULL, *g = NULL, *old = pc_grad_get(t);
  if (p->is_buffer) return PC_OK;
  int rc = slice_like(&value, f->flat.values, t, f->n);
  if (rc == PC_OK) rc = pc_copy_into(value, t);
  if (rc == PC_OK) rc = slice_like(&g, f->flat.grads, t, f->n);
  if (rc == PC_OK && old) rc = pc_copy_into(g, old);
  if (rc == PC_OK) rc = pc_grad_set(t, g);
  pc_tensor_release(value);
  pc_tensor_release(g);
  if (rc < 0) return rc;
  pc_tensor_rebase(t, f->flat.values->storage, f->n);
  f->n += pc_numel(t);
  return PC_OK;
}

static int first_param(void *ctx, const char *path, pc_parameter *p) {
  pc_tensor **t = ctx;
  if (!p->is_buffer && !*t) *t = p->t;
  return PC_OK;
}

/* One-dimensional views over what is flat already. */
static int reuse(pc_flat *out, pc_module *m, const flatten *f) {
  int64_t one = 1;
  pc_tensor *first = NULL;
  int rc = pc_module_each(m, first_param, &first);
  if (rc == PC_OK) rc = pc_view_strided(&out->values, first, 1, &f->n, &one, f->v0);
  if (rc == PC_OK && (rc = pc_view_strided(&out->grads, pc_grad_get(first), 1, &f->n, &one, f->g0)) < 0) {
    pc_tensor_release(out->values);
    out->values = NULL;
  }
  return rc;
}

int pc_module_flatten(pc_module *m, pc_flat *out) {
  flatten f = {.dtype = -1};
  *out = (pc_flat){NULL, NULL};
  int rc = pc_module_each(m, measure, &f);
  if (rc < 0) return rc;
  if (f.dtype < 0) return pc_fail(PC_EARG, "module: %s has no parameters", m->cls->name);
  if (f.done) return reuse(out, m, &f);
  if ((rc = pc_tensor_zeros(&f.flat.values, (pc_dtype)f.dtype, 1, &f.n)) < 0) return rc;
  if ((rc = pc_tensor_zeros(&f.flat.grads, (pc_dtype)f.dtype, 1, &f.n)) == PC_OK) {
    f.n = 0;
    rc = pc_module_each(m, move, &f);
  }
  if (rc < 0) {
    pc_tensor_release(f.flat.values);
    pc_tensor_release(f.flat.grads);
    return rc;
  }
  pc_alloc_trim(); /* where the parameters were: sizes that steps seldom ask for */
  *out = f.flat;
  return PC_OK;
}

/* ---- copying between equal trees ---- */

static int copy_one(void *ctx, const char *path, pc_parameter *p) {
  pc_tensor *src = pc_module_get(ctx, path);
  if (!src) return pc_fail(PC_ENOTFOUND, "module: the source has no parameter '%s'", path);
  if (!pc_same_shape(src, p->t))
    return pc_fail(PC_ESHAPE, "module: '%s' is %s here and %s in the source", path, pc_shape_str(p->t),
                   pc_shape_str(src));
  return pc_copy_into(p->t, src);
}

int pc_module_copy_values(pc_module *dst, pc_module *src) { return pc_module_each(dst, copy_one, src); }
