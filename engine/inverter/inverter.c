/* inverter.c: options, starts, chunks and results of a search; the methods are rows of methods.def. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "inverter/search.h"

int pc_decode_module(void *module, pc_tensor *z, pc_tensor **image) {
  pc_scope s = {0};
  pc_tensor *out[PC_MAX_OUT];
  pc_module_run(&s, module, &z, 1, out);
  *image = out[0];
  return pc_scope_end(&s, image, 1);
}

int pc_logits_module(void *module, pc_tensor *z, pc_tensor **logits, int *n) {
  *n = 1;
  return pc_decode_module(module, z, logits);
}

const char pc_invert_words[] = ""
#define METHOD(NAME, name, patience, arrays) "|" #name
#include "inverter/methods.def"
#undef METHOD
    ;

static const struct {
  pc_search_fn *run;
  int patience, arrays;
} methods[] = {
#define METHOD(NAME, name, patience, arrays) {pc_search_##name, patience, arrays},
#include "inverter/methods.def"
#undef METHOD
};

PC_OPTIONS_TABLE(pc_invert_options, "search", pc_invert_opts, PC_INVERT_OPTIONS);

/* ---- one chunk ---- */

static int chunk(pc_search *s, int64_t from, int64_t n) {
  pc_chunk c = {.from = from, .n = n, .nlive = n};
  size_t width = pc_dtype_size(s->dtype) * (size_t)s->dim;
  int rc = PC_ENOMEM;
  c.live = pc_malloc(sizeof *c.live * (size_t)n);
  c.z = pc_malloc(width * (size_t)n);
  c.loss = pc_malloc(sizeof *c.loss * (size_t)n);
  if (c.live && c.z && c.loss) {
    for (int64_t r = 0; r < n; r++) c.live[r] = r;
    memcpy(c.z, (char *)pc_data(s->z0) + width * (size_t)from, width * (size_t)n);
    rc = methods[s->o.method].run(s, &c);
  }
  pc_chunk_release(&c);
  return rc;
}

/* ---- options ---- */

static int check_shapes(const pc_tensor *x, const pc_tensor *z0, const pc_invert_opts *o) {
  int starts = z0->ndim == 4; /* (S,B,K,m) */
  if (x->ndim < 2 || (z0->ndim != 3 && !starts) || x->size[0] != z0->size[starts])
    return pc_fail(PC_ESHAPE, "invert: images %s need as many slots (B,K,m), or (S,B,K,m) for S starts, got %s",
                   pc_shape_str(x), pc_shape_str(z0));
  if (starts && z0->size[0] < 1) return pc_fail(PC_ESHAPE, "invert: no start in slots %s", pc_shape_str(z0));
  if (x->dtype != z0->dtype || !pc_dtype_is_float(x->dtype))
    return pc_fail(PC_EDTYPE, "invert: images are %s and slots %s; both must be one float dtype (images in [0,1])",
                   pc_dtype_name(x->dtype), pc_dtype_name(z0->dtype));
  if (!o->target) return PC_OK;
  if (o->target->ndim && (o->target->ndim != 1 || o->target->size[0] != x->size[0]))
    return pc_fail(PC_ESHAPE, "invert: %lld images need one target or as many, got %s", (long long)x->size[0],
                   pc_shape_str(o->target));
  return PC_OK;
}

static int check_options(pc_search *s) {
  const pc_invert_opts *o = &s->o;
  int rc = pc_options_check(&pc_invert_options, "search", o);
  if (rc < 0) return rc;
  if (o->entropy != 0 && !o->readout)
    return pc_fail(PC_EARG, "search: the entropy term needs a readout: slots (b,K,m) -> class logits (b,...,classes)");
  s->patience = o->patience.given ? o->patience.value : methods[o->method].patience;
  return PC_OK;
}

/* ---- results ---- */

void pc_invert_result_release(pc_invert_result *r) {
  pc_tensor *const all[] = {r->z, r->loss, r->steps, r->converged, r->start, r->cost, r->seconds, r->trace};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) pc_tensor_release(all[i]);
  *r = (pc_invert_result){0};
}

static int make_results(pc_search *s, pc_invert_result *out, const pc_tensor *x, const pc_tensor *z0) {
  const int64_t b = s->images;
  int at = z0->ndim - 3, rc = pc_tensor_empty(&out->z, s->dtype, 3, z0->size + at);
  if (rc == PC_OK) rc = pc_tensor_empty(&out->loss, s->dtype, 1, &b);
  if (rc == PC_OK) rc = pc_tensor_empty(&out->steps, PC_I64, 1, &b);
  if (rc == PC_OK) rc = pc_tensor_empty(&out->converged, PC_U8, 1, &b);
  if (rc == PC_OK) rc = pc_tensor_empty(&out->start, PC_I64, 1, &b);
  if (rc == PC_OK) rc = pc_tensor_zeros(&out->cost, PC_F64, 1, &b);
  if (rc == PC_OK) rc = pc_tensor_zeros(&out->seconds, PC_F64, 1, &b);
  if (rc == PC_OK && s->o.trace) rc = pc_tensor_empty(&out->trace, s->dtype, 2, (int64_t[]){b, s->o.steps + 1});
  return rc;
}

static void put(pc_tensor *t, int64_t i, double v) {
  if (t->dtype == PC_F32)
    pc_f32(t)[i] = (float)v;
  else
    pc_f64(t)[i] = v;
}

/* Of the starts of each image, the one with the lowest loss (the first of equals; a number before a NaN). */
static void choose(const pc_search *s, pc_invert_result *out) {
  const size_t size = pc_dtype_size(s->dtype), wz = size * (size_t)s->dim, wt = size * (size_t)(s->o.steps + 1);
  for (int64_t b = 0; b < s->images; b++) {
    int64_t win = b;
    for (int64_t i = b; i < s->starts; i += s->images) {
      if (s->best[i] < s->best[win] || (isnan(s->best[win]) && !isnan(s->best[i]))) win = i;
      pc_f64(out->cost)[b] += s->cost[i];
      pc_f64(out->seconds)[b] += s->seconds[i];
    }
    memcpy((char *)pc_data(out->z) + wz * (size_t)b, (char *)pc_data(s->zbest) + wz * (size_t)win, wz);
    if (out->trace)
      memcpy((char *)pc_data(out->trace) + wt * (size_t)b, (char *)pc_data(s->trace) + wt * (size_t)win, wt);
    put(out->loss, b, s->best[win]);
    pc_i64(out->steps)[b] = s->steps[win];
    pc_u8(out->converged)[b] = s->converged[win];
    pc_i64(out->start)[b] = win / s->images + PC_INDEX_BASE;
    out->evaluations += pc_f64(out->cost)[b];
  }
}

/* ---- images at once ---- */

enum { BATCH = 64 };
static const double JACOBIANS = 256e6; /* bytes that those of a batch may take when nobody says otherwise */

/* Most bytes beyond the live ones while n images are decoded and differentiated. */
static int probe(pc_search *s, int64_t n, int64_t *bytes) {
  pc_tensor *z = NULL, *image = NULL, *seed = NULL, *g = NULL;
  const size_t w = pc_dtype_size(s->dtype) * (size_t)s->dim;
  pc_alloc_stats before;
  pc_alloc_get_stats(&before);
  int64_t mark = pc_alloc_mark();
  int rc = pc_tensor_empty(&z, s->dtype, 3, (int64_t[]){n, s->z0->size[1], s->z0->size[2]});
  for (int64_t i = 0; rc == PC_OK && i < n; i++)
    memcpy((char *)pc_data(z) + w * (size_t)i, (char *)pc_data(s->z0) + w * (size_t)(i % s->starts), w);
  if (rc == PC_OK) rc = pc_set_requires_grad(z, 1);
  pc_grad_set_enabled(1);
  if (rc == PC_OK) rc = s->f(s->ctx, z, &image);
  pc_grad_set_enabled(0);
  if (rc == PC_OK) rc = pc_tensor_zeros(&seed, image->dtype, image->ndim, image->size);
  if (rc == PC_OK && pc_requires_grad(image)) rc = pc_grad(&g, &image, &seed, 1, &z, 1, NULL);
  *bytes = pc_alloc_measure(mark) - before.live;
  pc_tensor_release(z);
  pc_tensor_release(image);
  pc_tensor_release(seed);
  pc_tensor_release(g);
  return rc;
}

/* The default: 64 images; of a method with arrays as many as keep a quarter of a gigabyte; under a memory
 * limit as many as fit it, judged by what one and two take. */
static int choose_batch(pc_search *s) {
  const int arrays = methods[s->o.method].arrays;
  const double own = (double)pc_dtype_size(s->dtype) * (double)s->pixels * (arrays ? arrays * (double)s->dim + 4 : 2);
  int64_t limit = pc_alloc_limit(), one = 0, two = 0;
  pc_alloc_stats st;
  s->batch = s->o.batch.given ? s->o.batch.value : BATCH;
  if (s->o.batch.given) return PC_OK;
  if (arrays && own * BATCH > JACOBIANS) s->batch = own < JACOBIANS ? (int64_t)(JACOBIANS / own) : 1;
  if (!limit || !s->starts) return PC_OK;
  int rc = probe(s, 1, &one);
  if (rc == PC_OK && s->starts > 1 && probe(s, 2, &two) < 0) two = limit;
  pc_alloc_get_stats(&st);
  double room = 0.9 * (double)(limit - st.live), each = fmax((double)(two - one), 0.25 * (double)one);
  int64_t fit = (int64_t)((room - (double)one - own) / (each + own)) + 1;
  if (rc == PC_ENOMEM || (rc == PC_OK && room < (double)one + own))
    return pc_fail(PC_ENOMEM,
                   "invert: not even one image at a time fits: it takes about %.0f bytes, %lld are live and the memory "
                   "limit is %lld; raise --memory-limit, or give the decoder a smaller tile",
                   (double)one + own, (long long)st.live, (long long)limit);
  if (rc == PC_OK && fit < s->batch) s->batch = fit;
  return rc;
}

/* ---- the search ---- */

static int prepare(pc_search *s, pc_tensor *x, pc_tensor *z0) {
  const int64_t b = s->images = x->size[0], *slots = z0->size + z0->ndim - 2;
  pc_tensor *flat = NULL;
  s->dtype = x->dtype;
  s->dim = slots[0] * slots[1];
  s->starts = z0->ndim == 4 ? z0->size[0] * b : b;
  s->pixels = 1;
  for (int d = 1; d < x->ndim; d++) s->pixels *= x->size[d];
  size_t n = (size_t)(s->starts ? s->starts : 1);
  s->best = pc_calloc(4 * n, sizeof(double));
  s->steps = pc_calloc(n, sizeof *s->steps);
  s->converged = pc_calloc(n, 1);
  if (!s->best || !s->steps || !s->converged) return PC_ENOMEM;
  s->anchor = s->best + n;
  s->cost = s->anchor + n;
  s->seconds = s->cost + n;
  int rc = pc_contiguous(&s->x, x);
  if (rc == PC_OK) rc = pc_contiguous(&flat, z0);
  if (rc == PC_OK) rc = pc_view_reshape(&s->z0, flat, 3, (int64_t[]){s->starts, slots[0], slots[1]});
  pc_tensor_release(flat);
  if (rc == PC_OK) rc = pc_clone(&s->zbest, s->z0);
  if (rc == PC_OK && s->o.trace) rc = pc_tensor_zeros(&s->trace, s->dtype, 2, (int64_t[]){s->starts, s->o.steps + 1});
  return rc;
}

int pc_invert(pc_invert_result *out, pc_decode_fn *f, void *ctx, pc_tensor *x, pc_tensor *z0,
              const pc_invert_opts *opts) {
  pc_search s = {.f = f, .ctx = ctx, .o = PC_INVERT_OPTS_INIT};
  if (opts) s.o = *opts;
  *out = (pc_invert_result){0};
  int rc = check_shapes(x, z0, &s.o), was = pc_grad_set_enabled(0);
  if (rc == PC_OK) rc = check_options(&s);
  if (rc == PC_OK) rc = prepare(&s, x, z0);
  if (rc == PC_OK) rc = make_results(&s, out, x, z0);
  if (rc == PC_OK) rc = choose_batch(&s);
  for (int64_t from = 0; rc == PC_OK && from < s.starts && s.images; from += s.batch)
    rc = chunk(&s, from, s.starts - from < s.batch ? s.starts - from : s.batch);
  if (rc == PC_OK) choose(&s, out);
  pc_grad_set_enabled(was);
  pc_free(s.best);
  pc_free(s.steps);
  pc_free(s.converged);
  pc_tensor_release(s.x);
  pc_tensor_release(s.z0);
  pc_tensor_release(s.zbest);
  pc_tensor_release(s.trace);
  if (rc < 0) pc_invert_result_release(out);
  return rc;
}

/* ---- a module as decoder ---- */

typedef struct frozen { /* the parameters that wanted gradients */
  pc_tensor **t;
  int n, cap;
} frozen;

static int freeze_one(void *ctx, const char *path, pc_parameter *p) {
  frozen *f = ctx;
  if (p->is_buffer || !p->t->requires_grad) return PC_OK;
  if (f->n == f->cap) {
    int cap = f->cap ? 2 * f->cap : 64;
    pc_tensor **t = pc_realloc(f->t, sizeof *t * (size_t)cap);
    if (!t) return PC_ENOMEM;
    f->t = t;
    f->cap = cap;
  }
  f->t[f->n++] = p->t;
  p->t->requires_grad = 0;
  return PC_OK;
}

int pc_invert_module(pc_invert_result *out, pc_module *decoder, pc_tensor *x, pc_tensor *z0,
                     const pc_invert_opts *opts) {
  pc_invert_opts o = opts ? *opts : (pc_invert_opts)PC_INVERT_OPTS_INIT;
  frozen f = {NULL, 0, 0};
  *out = (pc_invert_result){0};
  if (!o.jacobian) o.jacobian = pc_decoder_jacobian(decoder);
  int rc = pc_module_each(decoder, freeze_one, &f); /* what depends on weights alone leaves no node */
  if (rc == PC_OK) rc = pc_invert(out, pc_decode_module, decoder, x, z0, &o);
  for (int i = 0; i < f.n; i++) f.t[i]->requires_grad = 1;
  pc_free(f.t);
  return rc;
}
