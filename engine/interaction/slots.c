#include "interaction/slots.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"

PC_OPTIONS_TABLE(pc_slot_options, "derivatives", pc_slot_opts, PC_SLOT_OPTIONS);

int pc_slots_check(const pc_slot_opts *o, const pc_tensor *z) {
  if (z->ndim != 3 || z->size[0] < 1 || z->size[1] < 1 || z->size[2] < 1)
    return pc_fail(PC_ESHAPE, "%s: slots must be (B,K,m) of at least one image, one slot and one latent, got %s",
                   o->name, pc_shape_str(z));
  if (!pc_dtype_is_float((pc_dtype)z->dtype))
    return pc_fail(PC_EDTYPE, "%s: slots must be f32 or f64, not %s", o->name, pc_dtype_name((pc_dtype)z->dtype));
  return pc_options_check(&pc_slot_options, o->name, o);
}

pc_tensor *pc_slots_call(pc_scope *s, const pc_slot_function *f, const pc_slot_opts *o, pc_tensor *z) {
  pc_tensor *y = NULL;
  if (s->rc < 0 || !z || pc_note(s, f->f(f->ctx, z, &y)) < 0) return NULL;
  pc_own(s, y);
  if (y->ndim >= 2 && y->size[0] == z->size[0]) return y;
  pc_note(s, pc_fail(PC_ESHAPE, "%s: the %s gave a tensor %s for %lld inputs; a tensor (%lld,...) is expected", o->name,
                     f->what, pc_shape_str(y), (long long)z->size[0], (long long)z->size[0]));
  return NULL;
}

void pc_slots_apply(pc_scope *s, const pc_slot_function *f, const pc_slot_opts *o, int n, pc_tensor *const *z,
                    pc_tensor **y) {
  memset(y, 0, sizeof *y * (size_t)n);
  if (s->rc < 0) return;
  int64_t b = z[0]->size[0], at_once = o->batch / b > 1 ? o->batch / b : 1;
  for (int from = 0; from < n && s->rc == PC_OK; from += (int)at_once) {
    int some = n - from < at_once ? n - from : (int)at_once;
    pc_tensor *all = pc_slots_call(s, f, o, some > 1 ? pc_cat(s, some, z + from, 0) : z[from]);
    for (int i = 0; i < some; i++) y[from + i] = pc_narrow(s, all, 0, i * b, b, 1);
  }
}

pc_tensor *pc_slots_scale(pc_scope *s, const pc_slot_opts *o, pc_tensor *z) {
  if (s->rc < 0) return NULL;
  int64_t k = z->size[1], m = z->size[2];
  pc_tensor *one = NULL, *t = o->scale;
  if (pc_note(s, pc_tensor_full(&one, (pc_dtype)z->dtype, 2, (int64_t[]){k, m}, 1)) < 0) return NULL;
  pc_own(s, one);
  if (!t) return one;
  if ((t->ndim == 2 && t->size[0] == k && t->size[1] == m) || (t->ndim == 1 && t->size[0] == m))
    return pc_mul(s, pc_to(s, t, (pc_dtype)z->dtype), one);
  pc_note(s, pc_fail(PC_ESHAPE, "%s: scale must be (%lld,%lld) or (%lld), got %s", o->name, (long long)k, (long long)m,
                     (long long)m, pc_shape_str(t)));
  return NULL;
}

double pc_slots_step(const pc_slot_opts *o, const pc_tensor *z, double coarse, double fine) {
  return o->eps.given ? o->eps.value : z->dtype == PC_F64 ? fine : coarse;
}

pc_tensor *pc_slots_in(pc_scope *s, pc_tensor *z, int64_t k, pc_tensor *values) {
  pc_tensor *part[3] = {NULL}; /* zeros, the slot, zeros */
  int n = 0;
  if (s->rc < 0 || !values) return NULL;
  int64_t size[3] = {z->size[0], k, z->size[2]};
  pc_tensor *zero = NULL;
  if (k > 0) {
    if (pc_note(s, pc_tensor_zeros(&zero, (pc_dtype)z->dtype, 3, size)) < 0) return NULL;
    part[n++] = pc_own(s, zero);
  }
  size[1] = 1;
  part[n++] = pc_expand(s, pc_unsqueeze(s, values->ndim == 1 ? pc_unsqueeze(s, values, 0) : values, 1), 3, size);
  size[1] = z->size[1] - k - 1;
  if (size[1] > 0) {
    if (pc_note(s, pc_tensor_zeros(&zero, (pc_dtype)z->dtype, 3, size)) < 0) return NULL;
    part[n++] = pc_own(s, zero);
  }
  return pc_cat(s, n, part, 1);
}

pc_tensor *pc_slots_leaf(pc_scope *s, const pc_slot_opts *o, pc_tensor *z) {
  pc_tensor *x = NULL;
  if (s->rc < 0) return NULL;
  if (o->create_graph && pc_requires_grad(z)) return z;
  if (pc_note(s, pc_detach(&x, z)) < 0) return NULL;
  pc_own(s, x);
  return pc_note(s, pc_set_requires_grad(x, 1)) < 0 ? NULL : x;
}

static pc_tensor *zeros_like(pc_scope *s, const pc_tensor *y) {
  pc_tensor *t = NULL;
  return pc_note(s, pc_tensor_zeros(&t, (pc_dtype)y->dtype, y->ndim, y->size)) < 0 ? NULL : pc_own(s, t);
}

/* J v, by differentiating u -> J'u, which is linear in u, in the direction v. */
static pc_tensor *jvp(pc_scope *s, const pc_slot_function *f, const pc_slot_opts *o, pc_tensor *z, pc_tensor *v) {
  pc_grad_opts keep = {.create_graph = 1, .allow_unused = 1},
               last = {.create_graph = o->create_graph, .allow_unused = 1};
  pc_tensor *x = pc_slots_leaf(s, o, z), *g = NULL, *d = NULL;
  int was = pc_set_higher_order(1);
  pc_tensor *y = pc_slots_call(s, f, o, x);
  pc_set_higher_order(was);
  if (!y || !pc_requires_grad(y)) return y ? zeros_like(s, y) : NULL;
  pc_tensor *u = zeros_like(s, y);
  if (!u || pc_note(s, pc_set_requires_grad(u, 1)) < 0) return NULL;
  if (pc_note(s, pc_grad(&g, &y, &u, 1, &x, 1, &keep)) < 0) return NULL;
  if (!g) return zeros_like(s, y);
  pc_own(s, g);
  if (!pc_requires_grad(g)) return zeros_like(s, y);
  if (pc_note(s, pc_grad(&d, &g, &v, 1, &u, 1, &last)) < 0) return NULL;
  return d ? pc_own(s, d) : zeros_like(s, y);
}

pc_tensor *pc_slots_jvp(pc_scope *s, const pc_slot_function *f, const pc_slot_opts *o, pc_tensor *z, pc_tensor *v) {
  if (s->rc < 0 || !v) return NULL;
  int was = pc_grad_set_enabled(1);
  pc_tensor *d = jvp(s, f, o, z, v);
  pc_grad_set_enabled(was);
  return d;
}

pc_tensor *pc_slots_pixels(pc_scope *s, pc_tensor *y) {
  if (!y || y->ndim == 2) return pc_unsqueeze(s, y, 2);
  int64_t b = y->size[0], c = y->size[y->ndim - 1];
  return pc_reshape(s, y, 3, (int64_t[]){b, b && c ? pc_numel(y) / (b * c) : 0, c});
}

/* ---- all directions of the slots ---- */

typedef struct sums {
  const pc_slot_function *f;
  const pc_slot_opts *o;
  pc_tensor *z, *scale;
  int pixels;
  pc_slots_reduce *each;
} sums;

/* Every output for itself, unless pixels are wanted. */
static int outputs(void *ctx, pc_tensor *z, pc_tensor **y) {
  const sums *q = ctx;
  pc_scope s = {0};
  *y = pc_slots_call(&s, q->f, q->o, z);
  if (*y && !q->pixels) *y = pc_reshape(&s, *y, 2, (int64_t[]){(*y)->size[0], pc_numel(*y) / (*y)->size[0]});
  return pc_scope_end(&s, y, 1);
}

/* Direction a of slot k: a row of the scale's diagonal. */
static pc_tensor *direction(pc_scope *s, const sums *q, int64_t k, int64_t a) {
  int64_t m = q->z->size[2];
  pc_tensor *e = NULL;
  if (pc_note(s, pc_tensor_zeros(&e, (pc_dtype)q->z->dtype, 1, &m)) < 0) return NULL;
  pc_own(s, e);
  if (q->z->dtype == PC_F64)
    pc_f64(e)[a] = 1;
  else
    pc_f32(e)[a] = 1;
  return pc_slots_in(s, q->z, k, pc_mul(s, e, pc_select(s, q->scale, 0, k)));
}

static pc_tensor *add_to(pc_scope *s, pc_tensor *sum, pc_tensor *part) { return sum ? pc_add(s, sum, part) : part; }

static pc_tensor *sum_exact(pc_scope *s, sums *q, int64_t k) {
  const pc_slot_function f = {outputs, q, q->f->what};
  pc_tensor *sum = NULL;
  int mark = s->n;
  for (int64_t a = 0; a < q->z->size[2] && s->rc == PC_OK; a++) {
    pc_tensor *d = pc_slots_jvp(s, &f, q->o, q->z, direction(s, q, k, a));
    sum = pc_scope_pop(s, mark, add_to(s, sum, q->each(s, pc_slots_pixels(s, d))));
  }
  return sum;
}

static pc_tensor *sum_differences(pc_scope *s, sums *q, int64_t k) {
  if (s->rc < 0) return NULL; /* its text is the one that is told */
  const pc_slot_function f = {outputs, q, q->f->what};
  int64_t m = q->z->size[2];
  double h = pc_slots_step(q->o, q->z, 1e-2, 1e-4);
  pc_tensor *sum = NULL, **at = pc_malloc(sizeof *at * (size_t)(4 * m + 1)), **y = at ? at + 2 * m : NULL;
  int mark = s->n;
  if (!at) {
    pc_note(s, PC_ENOMEM);
    return NULL;
  }
  for (int64_t a = 0; a < m; a++) {
    pc_tensor *v = pc_mul_scalar(s, direction(s, q, k, a), h);
    at[2 * a] = pc_add(s, q->z, v);
    at[2 * a + 1] = pc_sub(s, q->z, v);
  }
  pc_slots_apply(s, &f, q->o, (int)(2 * m), at, y);
  for (int64_t a = 0; a < m; a++) {
    pc_tensor *d = pc_div(s, pc_slots_pixels(s, pc_sub(s, y[2 * a], y[2 * a + 1])), pc_number(s, 2 * h));
    sum = add_to(s, sum, q->each(s, d));
  }
  pc_free(at);
  return pc_scope_pop(s, mark, sum);
}

pc_tensor *pc_slots_sums(pc_scope *s, const pc_slot_function *f, const pc_slot_opts *o, pc_tensor *z, int pixels,
                         pc_slots_reduce *each) {
  sums q = {f, o, z, pc_slots_scale(s, o, z), pixels, each};
  if (s->rc < 0) return NULL;
  int64_t n = z->size[1];
  pc_tensor **slot = pc_malloc(sizeof *slot * (size_t)(n + 1));
  if (!slot) {
    pc_note(s, PC_ENOMEM);
    return NULL;
  }
  for (int64_t k = 0; k < n; k++)
    slot[k] = o->method == PC_SLOT_EXACT ? sum_exact(s, &q, k) : sum_differences(s, &q, k);
  pc_tensor *all = pc_stack(s, (int)n, slot, 2);
  pc_free(slot);
  return all;
}

/* ---- parts of many slot sets ---- */

pc_tensor *pc_slots_by_parts(pc_scope *s, int64_t count, int64_t batch, pc_slots_part *part, void *ctx) {
  if (count <= batch) return part(s, ctx, 0, count);
  int64_t n = (count + batch - 1) / batch;
  pc_tensor **some = pc_malloc(sizeof *some * (size_t)n);
  if (!some) {
    pc_note(s, PC_ENOMEM);
    return NULL;
  }
  for (int64_t i = 0; i < n; i++) {
    int mark = s->n;
    pc_tensor *t = part(s, ctx, i * batch, count - i * batch < batch ? count - i * batch : batch);
    some[i] = pc_scope_pop(s, mark, t);
  }
  pc_tensor *all = pc_cat(s, (int)n, some, 0);
  pc_free(some);
  return all;
}
