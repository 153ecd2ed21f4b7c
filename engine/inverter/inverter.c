#include "inverter/inverter.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"

/* The images of one chunk that are still being searched. Row r of the tensors is image id[r]. */
typedef struct active {
  int64_t n;
  int64_t *id;
  pc_tensor *z, *x; /* (n,K,m), (n,H,W,C) */
  double *m, *v;    /* Adam's moments, (n, K*m) */
} active;

typedef struct search {
  pc_decode_fn *f;
  void *ctx;
  pc_invert_opts o;
  pc_invert_result *r;
  pc_tensor *x, *z0;
  int64_t dim;      /* K*m */
  double *best;     /* (B) lowest loss so far */
  double *anchor;   /* (B) loss `patience` steps ago */
  pc_tensor *zbest; /* r->z */
} search;

int pc_decode_module(void *module, pc_tensor *z, pc_tensor **image) {
  pc_scope s = {0};
  pc_tensor *out[PC_MAX_OUT];
  pc_module_run(&s, module, &z, 1, out);
  *image = out[0];
  return pc_scope_end(&s, image, 1);
}

static double get(const pc_tensor *t, int64_t i) { return t->dtype == PC_F32 ? pc_f32(t)[i] : pc_f64(t)[i]; }

static void put(pc_tensor *t, int64_t i, double v) {
  if (t->dtype == PC_F32)
    pc_f32(t)[i] = (float)v;
  else
    pc_f64(t)[i] = v;
}

/* Loss of every active image and its gradient with respect to z (NULL: losses only). */
static int evaluate(search *s, active *a, pc_tensor **loss, pc_tensor **grad) {
  pc_scope sc = {0};
  pc_tensor *image = NULL, *z = a->z, *per = NULL, *g = NULL;
  int was = pc_grad_set_enabled(grad != NULL), rc = pc_set_requires_grad(z, grad != NULL);
  *loss = NULL;
  if (rc == PC_OK) rc = s->f(s->ctx, z, &image);
  if (rc == PC_OK && !pc_same_shape(image, a->x))
    rc = pc_fail(PC_ESHAPE, "invert: the decoder gives %s for images of shape %s", pc_shape_str(image),
                 pc_shape_str(a->x));
  if (rc == PC_OK) {
    int64_t flat = a->n ? pc_numel(a->x) / a->n : 0;
    pc_tensor *d = pc_op1(&sc, PC_OP_square, pc_sub(&sc, image, a->x));
    per = pc_sum(&sc, pc_reshape(&sc, d, 2, (int64_t[]){a->n, flat}), 1, (int[]){1}, 0);
    if (s->o.prior > 0) {
      pc_tensor *zz =
          pc_sum(&sc, pc_reshape(&sc, pc_op1(&sc, PC_OP_square, z), 2, (int64_t[]){a->n, s->dim}), 1, (int[]){1}, 0);
      per = pc_add(&sc, per, pc_mul_scalar(&sc, zz, s->o.prior));
    }
    pc_tensor *total = pc_sum(&sc, per, 0, NULL, 0);
    if ((rc = sc.rc) == PC_OK && grad) rc = pc_grad(&g, &total, NULL, 1, &z, 1, NULL);
  }
  pc_note(&sc, rc);
  rc = pc_scope_end(&sc, &per, 1);
  pc_tensor_release(image);
  pc_grad_set_enabled(was);
  if (rc == PC_OK) {
    rc = pc_contiguous(loss, per);
    if (grad && rc == PC_OK) rc = pc_contiguous(grad, g);
  }
  pc_tensor_release(per);
  pc_tensor_release(g);
  s->r->evaluations += a->n;
  return rc;
}

/* Notes the losses of step t; an image that gets better hands in its slots. */
static void note_losses(search *s, active *a, const pc_tensor *loss, int t) {
  for (int64_t r = 0; r < a->n; r++) {
    int64_t i = a->id[r];
    double l = get(loss, r);
    if (l < s->best[i] || t == 0) { /* a NaN never replaces a number */
      s->best[i] = l;
      put(s->r->loss, i, l);
      size_t w = pc_dtype_size(a->z->dtype) * (size_t)s->dim;
      memcpy((char *)pc_data(s->zbest) + (size_t)i * w, (char *)pc_data(a->z) + (size_t)r * w, w);
    }
    if (s->r->trace)
      for (int k = t; k <= s->o.steps; k++) put(s->r->trace, i * (s->o.steps + 1) + k, l);
  }
}

static void adam(search *s, active *a, const pc_tensor *g, int t) {
  double c1 = 1 - pow(0.9, t), c2 = 1 - pow(0.999, t);
  for (int64_t k = 0; k < a->n * s->dim; k++) {
    double d = get(g, k);
    a->m[k] = 0.9 * a->m[k] + 0.1 * d;
    a->v[k] = 0.999 * a->v[k] + 0.001 * d * d;
    put(a->z, k, get(a->z, k) - s->o.lr * (a->m[k] / c1) / (sqrt(a->v[k] / c2) + 1e-8));
  }
  a->z->storage->version++;
}

/* Moves row `from` to row `to` in everything the chunk holds. */
static void move_row(search *s, active *a, int64_t to, int64_t from) {
  size_t wz = pc_dtype_size(a->z->dtype) * (size_t)s->dim, wd = sizeof(double) * (size_t)s->dim;
  size_t wx = pc_dtype_size(a->x->dtype) * (size_t)(pc_numel(a->x) / a->x->size[0]);
  memcpy((char *)pc_data(a->z) + (size_t)to * wz, (char *)pc_data(a->z) + (size_t)from * wz, wz);
  memcpy((char *)pc_data(a->x) + (size_t)to * wx, (char *)pc_data(a->x) + (size_t)from * wx, wx);
  memcpy(a->m + to * s->dim, a->m + from * s->dim, wd);
  memcpy(a->v + to * s->dim, a->v + from * s->dim, wd);
  a->id[to] = a->id[from];
}

static int shrink(pc_tensor **t, int64_t n) {
  pc_tensor *v;
  int rc = pc_view_narrow(&v, *t, 0, 0, n, 1);
  if (rc < 0) return rc;
  pc_tensor_release(*t);
  *t = v;
  return PC_OK;
}

/* Every `patience` steps: images that no longer get better leave the batch. */
static int drop_finished(search *s, active *a, int t) {
  int64_t kept = 0;
  if (s->o.tol < 0 || t % s->o.patience) return PC_OK;
  for (int64_t r = 0; r < a->n; r++) {
    int64_t i = a->id[r];
    int stuck = !(s->anchor[i] - s->best[i] > s->o.tol * fabs(s->anchor[i]));
    s->anchor[i] = s->best[i];
    if (stuck) {
      pc_i64(s->r->steps)[i] = t;
      pc_u8(s->r->converged)[i] = 1;
    } else if (kept++ != r) {
      move_row(s, a, kept - 1, r);
    }
  }
  if (kept == a->n) return PC_OK;
  a->n = kept;
  int rc = kept ? shrink(&a->z, kept) : PC_OK;
  return rc == PC_OK && kept ? shrink(&a->x, kept) : rc;
}

static int run_steps(search *s, active *a) {
  pc_tensor *loss = NULL, *grad = NULL;
  int rc = PC_OK, t;
  for (t = 0; t < s->o.steps && a->n && rc == PC_OK; t++) {
    if ((rc = evaluate(s, a, &loss, &grad)) < 0) break;
    note_losses(s, a, loss, t);
    if (t == 0)
      for (int64_t r = 0; r < a->n; r++) s->anchor[a->id[r]] = s->best[a->id[r]];
    pc_set_requires_grad(a->z, 0);
    adam(s, a, grad, t + 1);
    pc_tensor_release(loss);
    pc_tensor_release(grad);
    loss = grad = NULL;
    if (t) rc = drop_finished(s, a, t);
  }
  if (rc == PC_OK && a->n) { /* where the last step led */
    for (int64_t r = 0; r < a->n; r++) pc_i64(s->r->steps)[a->id[r]] = t;
    if ((rc = evaluate(s, a, &loss, NULL)) == PC_OK) note_losses(s, a, loss, t);
  }
  pc_tensor_release(loss);
  pc_tensor_release(grad);
  return rc;
}

static int chunk(search *s, int64_t from, int64_t n) {
  active a = {.n = n};
  pc_tensor *vz = NULL, *vx = NULL;
  int rc = PC_ENOMEM;
  a.id = pc_malloc(sizeof *a.id * (size_t)n);
  a.m = pc_calloc((size_t)(n * s->dim), sizeof *a.m);
  a.v = pc_calloc((size_t)(n * s->dim), sizeof *a.v);
  if (!a.id || !a.m || !a.v) goto done;
  for (int64_t r = 0; r < n; r++) a.id[r] = from + r;
  if ((rc = pc_view_narrow(&vz, s->z0, 0, from, n, 1)) < 0 || (rc = pc_view_narrow(&vx, s->x, 0, from, n, 1)) < 0)
    goto done;
  if ((rc = pc_clone(&a.z, vz)) < 0 || (rc = pc_clone(&a.x, vx)) < 0) goto done;
  rc = run_steps(s, &a);
done:
  pc_tensor_release(vz);
  pc_tensor_release(vx);
  pc_tensor_release(a.z);
  pc_tensor_release(a.x);
  pc_free(a.id);
  pc_free(a.m);
  pc_free(a.v);
  return rc;
}

void pc_invert_result_release(pc_invert_result *r) {
  pc_tensor_release(r->z);
  pc_tensor_release(r->loss);
  pc_tensor_release(r->steps);
  pc_tensor_release(r->converged);
  pc_tensor_release(r->trace);
  *r = (pc_invert_result){0};
}

static int check(const pc_tensor *x, const pc_tensor *z0, pc_invert_opts *o) {
  if (x->ndim < 2 || z0->ndim != 3 || x->size[0] != z0->size[0])
    return pc_fail(PC_ESHAPE, "invert: images %s need as many slots (B,K,m), got %s", pc_shape_str(x),
                   pc_shape_str(z0));
  if (x->dtype != z0->dtype || !pc_dtype_is_float(x->dtype))
    return pc_fail(PC_EDTYPE, "invert: images are %s and slots %s; both must be one float dtype (images in [0,1])",
                   pc_dtype_name(x->dtype), pc_dtype_name(z0->dtype));
  if (!o->steps) o->steps = 100;
  if (!(o->lr > 0)) o->lr = 0.05;
  if (o->tol == 0) o->tol = 1e-4;
  if (!o->patience) o->patience = 20;
  if (!o->batch) o->batch = 64;
  if (o->steps < 1 || o->patience < 1 || o->batch < 1)
    return pc_fail(PC_EARG, "invert: steps, patience and batch must be at least 1");
  return PC_OK;
}

int pc_invert(pc_invert_result *out, pc_decode_fn *f, void *ctx, pc_tensor *x, pc_tensor *z0,
              const pc_invert_opts *opts) {
  search s = {.f = f, .ctx = ctx, .r = out, .x = x, .z0 = z0};
  if (opts) s.o = *opts;
  *out = (pc_invert_result){0};
  int rc = check(x, z0, &s.o);
  if (rc < 0) return rc;
  int64_t b = x->size[0];
  s.dim = z0->size[1] * z0->size[2];
  s.best = pc_calloc((size_t)(b ? b : 1), sizeof(double));
  s.anchor = pc_calloc((size_t)(b ? b : 1), sizeof(double));
  if (!s.best || !s.anchor) rc = PC_ENOMEM;
  if (rc == PC_OK) rc = pc_clone(&out->z, z0);
  if (rc == PC_OK) rc = pc_tensor_zeros(&out->loss, x->dtype, 1, &b);
  if (rc == PC_OK) rc = pc_tensor_zeros(&out->steps, PC_I64, 1, &b);
  if (rc == PC_OK) rc = pc_tensor_zeros(&out->converged, PC_U8, 1, &b);
  if (rc == PC_OK && s.o.trace) rc = pc_tensor_zeros(&out->trace, x->dtype, 2, (int64_t[]){b, s.o.steps + 1});
  s.zbest = out->z;
  for (int64_t from = 0; from < b && rc == PC_OK; from += s.o.batch)
    rc = chunk(&s, from, b - from < s.o.batch ? b - from : s.o.batch);
  pc_free(s.best);
  pc_free(s.anchor);
  if (rc < 0) pc_invert_result_release(out);
  return rc;
}
