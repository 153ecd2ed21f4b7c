/* look.c: decoding a chunk's slots, the objective and its gradient, and who is done; see search.h. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"
#include "inverter/search.h"
#include "tensor/inplace.h"

void *pc_search_row(const pc_search *s, void *base, int64_t r, int64_t width) {
  return (char *)base + pc_dtype_size(s->dtype) * (size_t)(r * width);
}

const void *pc_search_target_image(const pc_search *s, const pc_chunk *c, int64_t row) {
  return pc_search_row(s, pc_data(s->x), (c->from + row) % s->images, s->pixels);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void pc_search_charge_rows(pc_search *s, const pc_chunk *c, const int64_t *rows, int64_t n, double units) {
  double t = now(), share = s->mark > 0 && n ? (t - s->mark) / (double)n : 0;
  s->mark = t;
  for (int64_t k = 0; k < n; k++) {
    s->cost[c->from + rows[k]] += units;
    s->seconds[c->from + rows[k]] += share;
  }
}

void pc_search_charge(pc_search *s, pc_chunk *c, double units) {
  pc_search_charge_rows(s, c, c->live, c->nlive, units);
}

/* ---- decoding ---- */

static int check_image(const pc_search *s, const pc_tensor *z, const pc_tensor *image) {
  int same = image->ndim == s->x->ndim && image->size[0] == z->size[0];
  for (int d = 1; same && d < image->ndim; d++) same = image->size[d] == s->x->size[d];
  if (!same) {
    int64_t want[PC_MAX_DIM];
    memcpy(want, s->x->size, sizeof want);
    want[0] = z->size[0];
    return pc_fail(PC_ESHAPE, "invert: the decoder gives %s for images of shape %s", pc_shape_str(image),
                   pc_dims_str(s->x->ndim, want));
  }
  if (image->dtype != s->dtype)
    return pc_fail(PC_EDTYPE, "invert: the decoder gives %s images, the images to invert are %s",
                   pc_dtype_name(image->dtype), pc_dtype_name(s->dtype));
  return PC_OK;
}

static int decode(pc_search *s, pc_tensor *z, pc_tensor **image) {
  int rc = s->f(s->ctx, z, image);
  if (rc == PC_OK && (rc = check_image(s, z, *image)) == PC_OK) return PC_OK;
  pc_tensor_release(*image);
  *image = NULL;
  return rc;
}

int pc_search_decode(pc_search *s, pc_tensor *z, pc_tensor **image) {
  pc_tensor *y = NULL;
  *image = NULL;
  int rc = decode(s, z, &y);
  if (rc == PC_OK) rc = pc_contiguous(image, y);
  pc_tensor_release(y);
  return rc;
}

int pc_search_begin(pc_search *s, pc_chunk *c) {
  if (c->at && c->at->size[0] == c->nlive && pc_is_sole(c->at)) {
    c->at->storage->version++;
    return PC_OK;
  }
  pc_tensor_release(c->at);
  c->at = NULL;
  return pc_tensor_empty(&c->at, s->dtype, 3, (int64_t[]){c->nlive, s->z0->size[1], s->z0->size[2]});
}

/* ---- the objective ---- */

typedef struct distance {
  const pc_search *s;
  const pc_chunk *c;
  const void *image;
  void *seed; /* d loss / d image = 2 (image - x), or NULL */
  double *loss;
} distance;

/* Squared error of row k, eight partial sums to a block of 1024 numbers, blocks in double. */
#define PC_TEMPLATE "inverter/distance.inc"
#include "base/float_types.inc"

static void distances(int64_t begin, int64_t end, void *p) {
  const distance *d = p;
  const pc_search *s = d->s;
  for (int64_t k = begin; k < end; k++) {
    const void *x = pc_search_target_image(s, d->c, d->c->live[k]);
    const void *y = pc_search_row(s, (void *)d->image, k, s->pixels);
    void *g = d->seed ? pc_search_row(s, d->seed, k, s->pixels) : NULL;
    d->loss[k] = s->dtype == PC_F32 ? distance_f32(y, x, g, s->pixels) : distance_f64(y, x, g, s->pixels);
  }
}

/* loss += prior |z|^2, grad += 2 prior z */
static void add_prior(const pc_search *s, pc_chunk *c) {
  for (int64_t k = 0; k < c->nlive; k++)
    for (int64_t i = k * s->dim; i < (k + 1) * s->dim; i++) {
      double z = s->dtype == PC_F32 ? (double)pc_f32(c->at)[i] : pc_f64(c->at)[i];
      c->loss[k] += s->o.prior * z * z;
      if (!c->grad) continue;
      if (s->dtype == PC_F32)
        pc_f32(c->grad)[i] += (float)(2 * s->o.prior * z);
      else
        pc_f64(c->grad)[i] += 2 * s->o.prior * z;
    }
}

/* Sum over heads and leading dims of the entropy of softmax(logits): (b), or NULL after an error. */
static pc_tensor *entropies(pc_scope *sc, const pc_search *s, pc_tensor *const *logits, int n, int64_t b) {
  pc_tensor *sum = NULL;
  for (int i = 0; i < n && sc->rc == PC_OK; i++) {
    const pc_tensor *l = logits[i];
    if (l->ndim < 2 || l->size[0] != b || l->size[l->ndim - 1] < 1 || l->dtype != s->dtype) {
      pc_note(sc, pc_fail(PC_ESHAPE,
                          "invert: readout %d gives %s logits of shape %s for %lld images; %s (b,...,classes) "
                          "is expected",
                          i + 1, pc_dtype_name(l->dtype), pc_shape_str(l), (long long)b, pc_dtype_name(s->dtype)));
      return NULL;
    }
    pc_tensor *lp = pc_log_softmax(sc, logits[i], l->ndim - 1);
    pc_tensor *h = pc_mul(sc, pc_op1(sc, PC_OP_exp, lp), lp);
    h = pc_sum(sc, pc_reshape(sc, h, 2, (int64_t[]){b, pc_numel(l) / (b ? b : 1)}), 1, (int[]){1}, 0);
    sum = sum ? pc_add(sc, sum, h) : h;
  }
  return pc_mul_scalar(sc, sum, -s->o.entropy);
}

/* loss += entropy H(readout(z)); its gradient goes to c->term when wanted, and into c->grad when there is one. */
static int add_entropy(pc_search *s, pc_chunk *c, int want) {
  pc_scope sc = {0};
  pc_tensor *logits[PC_MAX_READOUTS] = {NULL}, *h = NULL, *total, *g = NULL;
  int n = 0, was = pc_grad_set_enabled(want), rc = pc_set_requires_grad(c->at, want);
  if (rc == PC_OK) rc = s->o.readout(s->o.readout_ctx, c->at, logits, &n);
  if (rc == PC_OK) {
    h = entropies(&sc, s, logits, n, c->nlive);
    total = pc_sum(&sc, h, 0, NULL, 0);
    if ((rc = sc.rc) == PC_OK && want) rc = pc_grad(&g, &total, NULL, 1, &c->at, 1, NULL);
  }
  pc_grad_set_enabled(was);
  pc_set_requires_grad(c->at, 0);
  for (int64_t k = 0; rc == PC_OK && k < c->nlive; k++) c->loss[k] += pc_at(h, k);
  if (rc == PC_OK && want) rc = pc_contiguous(&c->term, g);
  if (rc == PC_OK && c->grad) rc = pc_add_into(c->grad, c->term, 1.0);
  pc_note(&sc, rc);
  pc_scope_end(&sc, NULL, 0);
  for (int i = 0; i < n; i++) pc_tensor_release(logits[i]);
  pc_tensor_release(g);
  return rc;
}

static int decode_with_gradient(pc_search *s, pc_chunk *c, pc_tensor **image, pc_tensor **flat) {
  pc_tensor *seed = NULL, *g = NULL;
  int rc = pc_set_requires_grad(c->at, 1);
  pc_grad_set_enabled(1);
  if (rc == PC_OK) rc = decode(s, c->at, image);
  pc_grad_set_enabled(0);
  if (rc == PC_OK) rc = pc_contiguous(flat, *image);
  if (rc == PC_OK) rc = pc_tensor_empty(&seed, s->dtype, s->x->ndim, (*image)->size);
  if (rc == PC_OK) {
    distance d = {s, c, pc_data(*flat), pc_data(seed), c->loss};
    pc_parallel_for(c->nlive, 1, distances, &d);
    rc = pc_grad(&g, image, &seed, 1, &c->at, 1, NULL);
  }
  pc_set_requires_grad(c->at, 0);
  if (rc == PC_OK) rc = pc_clone(&c->grad, g); /* ours to add to */
  pc_tensor_release(seed);
  pc_tensor_release(g);
  return rc;
}

static void note_best(pc_search *s, pc_chunk *c) {
  const size_t w = pc_dtype_size(s->dtype) * (size_t)s->dim;
  for (int64_t k = 0; k < c->nlive; k++) {
    int64_t i = c->from + c->live[k];
    int first = s->cost[i] == 0;
    if (!first && !(c->loss[k] < s->best[i]) && !(isnan(s->best[i]) && !isnan(c->loss[k]))) continue;
    s->best[i] = c->loss[k];
    if (first) s->anchor[i] = c->loss[k];
    memcpy((char *)pc_data(s->zbest) + (size_t)i * w, (char *)pc_data(c->at) + (size_t)k * w, w);
  }
}

int pc_search_look(pc_search *s, pc_chunk *c, int flags) {
  pc_tensor *image = NULL, *flat = NULL;
  int want = flags & PC_LOOK_GRAD, rc;
  pc_tensor_release(c->grad);
  pc_tensor_release(c->term);
  pc_tensor_release(c->image);
  c->grad = c->term = c->image = NULL;
  if (!(s->mark > 0)) s->mark = now();
  if (want) {
    rc = decode_with_gradient(s, c, &image, &flat);
  } else if ((rc = pc_search_decode(s, c->at, &flat)) == PC_OK) {
    distance d = {s, c, pc_data(flat), NULL, c->loss};
    pc_parallel_for(c->nlive, 1, distances, &d);
  }
  pc_tensor_release(image);
  if (rc == PC_OK && s->o.prior > 0) add_prior(s, c);
  if (rc == PC_OK && s->o.entropy != 0) rc = add_entropy(s, c, want || flags & PC_LOOK_TERM);
  if (rc == PC_OK) {
    note_best(s, c);
    pc_search_charge(s, c, want ? 2 : 1);
    if (flags & PC_LOOK_IMAGE) c->image = pc_tensor_retain(flat);
  }
  pc_tensor_release(flat);
  return rc;
}

void pc_chunk_release(pc_chunk *c) {
  pc_tensor_release(c->at);
  pc_tensor_release(c->grad);
  pc_tensor_release(c->term);
  pc_tensor_release(c->image);
  pc_free(c->live);
  pc_free(c->z);
  pc_free(c->loss);
}

/* ---- traces and ends ---- */

void pc_search_trace(pc_search *s, pc_chunk *c, int64_t r, int t, double loss) {
  if (!s->trace) return;
  for (int64_t k = t, at = (c->from + r) * (s->o.steps + 1); k <= s->o.steps; k++) {
    if (s->dtype == PC_F32)
      pc_f32(s->trace)[at + k] = (float)loss;
    else
      pc_f64(s->trace)[at + k] = loss;
  }
}

static int at_target(const pc_search *s, int64_t i) {
  const pc_tensor *t = s->o.target;
  return t && s->best[i] <= pc_at(t, t->ndim ? i % s->images : 0);
}

/* Nothing gained over the last `patience` steps? Asked once for each t. */
static int stuck(pc_search *s, int64_t i, int t) {
  if (s->o.tol < 0 || !t || t % s->patience) return 0;
  int no = !(s->anchor[i] - s->best[i] > s->o.tol * fabs(s->anchor[i])); /* a NaN is stuck, too */
  s->anchor[i] = s->best[i];
  return no;
}

static void leave(pc_search *s, pc_chunk *c, int t, const uint8_t *done, int after_step) {
  int64_t kept = 0;
  for (int64_t k = 0; k < c->nlive; k++) {
    int64_t r = c->live[k], i = c->from + r;
    int out = (done && done[r]) || (after_step && (at_target(s, i) || stuck(s, i, t)));
    s->steps[i] = t;
    if (out)
      s->converged[i] = isfinite(s->best[i]) != 0; /* given up on is not arrived */
    else
      c->live[kept++] = r;
  }
  c->nlive = kept;
}

void pc_search_retire(pc_search *s, pc_chunk *c, int t, const uint8_t *done) { leave(s, c, t, done, 1); }
void pc_search_drop(pc_search *s, pc_chunk *c, int t, const uint8_t *done) { leave(s, c, t, done, 0); }
