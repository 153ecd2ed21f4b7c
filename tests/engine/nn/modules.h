/* modules.h: helpers of the suites of modules: a tree in f64, gradient checks of whole modules. */
#ifndef PC_TESTS_MODULES_H
#define PC_TESTS_MODULES_H

#include "check_main.h"
#include "nn/layers.h"
#include "options.h"

#define CHECK(...) WITH(pc_gradcheck_opts, PC_GRADCHECK_OPTIONS, __VA_ARGS__)

/* Makes a parameter f64 where it stands: modules may hold pointers to it. */
static int widen(void *ctx, const char *path, pc_parameter *p) {
  pc_tensor *u;
  if (p->t->dtype == PC_F64) return PC_OK;
  must(pc_to_dtype(&u, p->t, PC_F64));
  pc_storage *mine = p->t->storage;
  p->t->storage = u->storage;
  p->t->offset = u->offset;
  p->t->dtype = PC_F64;
  u->storage = mine;
  u->dtype = PC_F32;
  pc_tensor_release(u);
  return PC_OK;
}

static inline void to_f64(pc_module *m) { must(pc_module_each(m, widen, NULL)); }

static inline pc_tensor *normal(pc_dtype d, int nd, const int64_t *size, uint64_t seed) {
  pc_tensor *t, *u;
  pc_rng g = {0};
  pc_rng_seed(&g, seed);
  must(pc_tensor_empty(&t, PC_F64, nd, size));
  pc_rng_fill_normal_f64(&g, pc_f64(t), pc_numel(t));
  must(pc_to_dtype(&u, t, d));
  pc_tensor_release(t);
  return u;
}
#define NORMAL(d, seed, ...) \
  normal(d, (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__}, seed)

/* Runs a module; out[k] are new references or NULL. */
static inline int run_module(pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  pc_scope s = {0};
  for (int k = 0; k < PC_MAX_OUT; k++) out[k] = NULL;
  pc_module_run(&s, m, in, nin, out);
  return pc_scope_end(&s, out, m->cls->nout);
}

/* First output of a module that must run. */
static inline pc_tensor *first_of(pc_module *m, pc_tensor *a, pc_tensor *b) {
  pc_tensor *out[PC_MAX_OUT];
  must(run_module(m, (pc_tensor *[]){a, b}, b ? 2 : 1, out));
  for (int k = 1; k < PC_MAX_OUT; k++) pc_tensor_release(out[k]);
  return out[0];
}

static inline void shape_is(const pc_tensor *t, const char *want) {
  ck_assert_ptr_nonnull(t);
  ck_assert_str_eq(pc_shape_str(t), want);
}

typedef struct checked {
  pc_module *m;
  int nin, which;
} checked;

static int checked_fn(void *ctx, pc_tensor *const *x, int nx, pc_tensor **y) {
  checked *c = ctx;
  pc_tensor *out[PC_MAX_OUT];
  int rc = run_module(c->m, x, c->nin, out);
  for (int k = 0; k < PC_MAX_OUT; k++)
    if (k != c->which) pc_tensor_release(out[k]);
  *y = out[c->which];
  return rc;
}

typedef struct listed {
  pc_tensor *t[256];
  int n;
} listed;

static int list_param(void *ctx, const char *path, pc_parameter *p) {
  listed *l = ctx;
  if (!p->is_buffer && l->n < 256) l->t[l->n++] = p->t;
  return PC_OK;
}

/* Gradients of output `which` with respect to the inputs and every parameter, seven tensors at a time. */
static inline void gradcheck_module(pc_module *m, pc_tensor *const *in, int nin, int which, int second_order) {
  checked c = {m, nin, which};
  listed l = {{NULL}, 0};
  to_f64(m);
  for (int i = 0; i < nin; i++) must(pc_set_requires_grad(in[i], 1));
  must(pc_module_each(m, list_param, &l));
  for (int from = 0; from == 0 || from < l.n; from += 6) {
    pc_tensor *x[8];
    int n = 0;
    for (int i = 0; i < nin; i++) x[n++] = in[i];
    for (int i = from; i < l.n && n < 8; i++) x[n++] = l.t[i];
    must(pc_gradcheck(checked_fn, &c, x, n,
                      &CHECK(.second_order = second_order && from == 0, .rtol = 1e-4, .atol = 1e-6)));
    for (int i = 0; i < nin; i++) must(pc_set_requires_grad(in[i], from + 6 >= l.n));
  }
}

#endif
