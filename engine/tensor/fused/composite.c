#include "tensor/fused/composite.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cpu.h"
#include "base/parallel.h"
#include "base/vmath.h"

enum { BLOCK = 64 }; /* pixels at work: their masks stay in L1 */

typedef struct job {
  int64_t b, k, pixels, c;
  int sigmoid, ref, failed;
  const void *x, *masks, *g, *gm; /* g, gm may be NULL */
  void *image, *out;              /* out: masks forward, gx backward */
} job;

#define PASSES(T, expfn, vexp)                                                                        \
  /* m (k,BLOCK): logits in, masks out; n of each row are used */                                     \
  static void masks_##T(const job *j, T *m, int64_t n) {                                              \
    T top[BLOCK], sum[BLOCK] = {0};                                                                   \
    for (int64_t i = 0; i < n; i++) top[i] = m[i];                                                    \
    for (int64_t k = 1; k < j->k; k++)                                                                \
      for (int64_t i = 0; i < n; i++) top[i] = m[k * BLOCK + i] > top[i] ? m[k * BLOCK + i] : top[i]; \
    for (int64_t k = 0; k < j->k; k++) {                                                              \
      T *r = m + k * BLOCK;                                                                           \
      for (int64_t i = 0; i < n; i++) r[i] = j->sigmoid ? -r[i] : r[i] - top[i];                      \
      if (j->ref)                                                                                     \
        for (int64_t i = 0; i < n; i++) r[i] = expfn(r[i]);                                           \
      else                                                                                            \
        vexp(r, r, n);                                                                                \
      for (int64_t i = 0; i < n; i++) sum[i] += r[i];                                                 \
    }                                                                                                 \
    for (int64_t k = 0; k < j->k; k++)                                                                \
      for (int64_t i = 0; i < n; i++)                                                                 \
        m[k * BLOCK + i] = j->sigmoid ? 1 / (1 + m[k * BLOCK + i]) : m[k * BLOCK + i] / sum[i];       \
  }                                                                                                   \
  static void forward_##T(const job *j, int64_t b, int64_t p, int64_t n, T *m) {                      \
    const int64_t c = j->c;                                                                           \
    T *image = (T *)j->image + (b * j->pixels + p) * c;                                               \
    for (int64_t k = 0; k < j->k; k++)                                                                \
      for (int64_t i = 0; i < n; i++)                                                                 \
        m[k * BLOCK + i] = ((const T *)j->x)[((b * j->k + k) * j->pixels + p + i) * (c + 1) + c];     \
    masks_##T(j, m, n);                                                                               \
    memset(image, 0, sizeof(T) * (size_t)(n * c));                                                    \
    for (int64_t k = 0; k < j->k; k++) {                                                              \
      const T *x = (const T *)j->x + ((b * j->k + k) * j->pixels + p) * (c + 1);                      \
      memcpy((T *)j->out + (b * j->k + k) * j->pixels + p, m + k * BLOCK, sizeof(T) * (size_t)n);     \
      for (int64_t i = 0; i < n; i++)                                                                 \
        for (int64_t q = 0; q < c; q++) image[i * c + q] += m[k * BLOCK + i] * x[i * (c + 1) + q];    \
    }                                                                                                 \
  }                                                                                                   \
  static void backward_##T(const job *j, int64_t b, int64_t p, int64_t n, T *d) {                     \
    const int64_t c = j->c;                                                                           \
    const T *g = j->g ? (const T *)j->g + (b * j->pixels + p) * c : NULL;                             \
    T mean[BLOCK] = {0};                                                                              \
    for (int64_t k = 0; k < j->k; k++) {                                                              \
      int64_t at = (b * j->k + k) * j->pixels + p;                                                    \
      const T *x = (const T *)j->x + at * (c + 1), *m = (const T *)j->masks + at;                     \
      T *gx = (T *)j->out + at * (c + 1);                                                             \
      for (int64_t i = 0; i < n; i++) {                                                               \
        T s = j->gm ? ((const T *)j->gm)[at + i] : 0;                                                 \
        for (int64_t q = 0; q < c; q++) {                                                             \
          T gq = g ? g[i * c + q] : 0;                                                                \
          s += gq * x[i * (c + 1) + q];                                                               \
          gx[i * (c + 1) + q] = m[i] * gq;                                                            \
        }                                                                                             \
        d[k * BLOCK + i] = s;                                                                         \
        mean[i] += m[i] * s;                                                                          \
      }                                                                                               \
    }                                                                                                 \
    for (int64_t k = 0; k < j->k; k++) {                                                              \
      int64_t at = (b * j->k + k) * j->pixels + p;                                                    \
      const T *m = (const T *)j->masks + at;                                                          \
      T *gx = (T *)j->out + at * (c + 1);                                                             \
      for (int64_t i = 0; i < n; i++) {                                                               \
        T s = d[k * BLOCK + i];                                                                       \
        gx[i * (c + 1) + c] = m[i] * (j->sigmoid ? (1 - m[i]) * s : s - mean[i]);                     \
      }                                                                                               \
    }                                                                                                 \
  }                                                                                                   \
  static void run_##T(int64_t begin, int64_t end, void *ctx) {                                        \
    job *j = ctx;                                                                                     \
    int64_t blocks = (j->pixels + BLOCK - 1) / BLOCK;                                                 \
    T *m = pc_malloc(sizeof *m * (size_t)(BLOCK * j->k));                                             \
    if (!m) {                                                                                         \
      __atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED);                                              \
      return;                                                                                         \
    }                                                                                                 \
    for (int64_t t = begin; t < end; t++) {                                                           \
      int64_t p = t % blocks * BLOCK, n = j->pixels - p < BLOCK ? j->pixels - p : BLOCK;              \
      (j->image ? forward_##T : backward_##T)(j, t / blocks, p, n, m);                                \
    }                                                                                                 \
    pc_free(m);                                                                                       \
  }
PASSES(float, expf, pc_vexp_f32)
PASSES(double, exp, pc_vexp_f64)

static int run(job *j, pc_dtype d) {
  int64_t tasks = j->b * ((j->pixels + BLOCK - 1) / BLOCK), work = BLOCK * j->k * (j->c + 1);
  j->ref = pc_cpu_tier() == PC_TIER_REF;
  if (j->k) pc_parallel_for(tasks, 32768 / (work ? work : 1) + 1, d == PC_F32 ? run_float : run_double, j);
  return j->failed ? PC_ENOMEM : PC_OK;
}

static int setup(job *j, const pc_tensor *x, const pc_val *mode) {
  if (x->ndim != 5 || x->size[4] < 2)
    return pc_fail(PC_ESHAPE, "composite: x %s must be (B,K,H,W,C+1): colours and a mask's logit, for each slot",
                   pc_shape_str(x));
  *j = (job){.b = x->size[0], .k = x->size[1], .pixels = x->size[2] * x->size[3], .c = x->size[4] - 1};
  if (j->k < 1) return pc_fail(PC_ESHAPE, "composite: x %s has no slots", pc_shape_str(x));
  j->sigmoid = mode->set && mode->s && !strcmp(mode->s, "sigmoid");
  return PC_OK;
}

/* A contiguous copy of dtype d, or the tensor itself; NULL stays NULL. */
static int dense(pc_tensor **to, const pc_tensor *t, pc_dtype d) {
  pc_tensor *c = NULL;
  *to = NULL;
  if (!t) return PC_OK;
  int rc = pc_to_dtype(&c, t, d);
  if (rc == PC_OK) rc = pc_contiguous(to, c);
  pc_tensor_release(c);
  return rc;
}

int pc_fwd_composite(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_dtype d = pc_float_dtype(in[0], NULL);
  pc_tensor *x = NULL;
  const int64_t *s = in[0]->size;
  job j;
  int rc = setup(&j, in[0], v);
  out[0] = out[1] = NULL;
  if (rc < 0) return rc;
  if ((rc = dense(&x, in[0], d)) < 0 || (rc = pc_tensor_empty(&out[0], d, 4, (int64_t[]){s[0], s[2], s[3], j.c})) < 0 ||
      (rc = pc_tensor_empty(&out[1], d, 4, s)) < 0)
    goto done;
  j.x = pc_data(x);
  j.image = pc_data(out[0]);
  j.out = pc_data(out[1]);
  rc = run(&j, d);
done:
  pc_tensor_release(x);
  for (int i = 0; i < 2 && rc < 0; i++) {
    pc_tensor_release(out[i]);
    out[i] = NULL;
  }
  return rc;
}

int pc_fwd_composite_backward(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_dtype d = pc_float_dtype(in[2], NULL);
  pc_tensor *t[4] = {NULL};
  job j;
  int rc = setup(&j, in[2], v);
  *out = NULL;
  for (int i = 0; i < 4 && rc == PC_OK; i++) rc = dense(&t[i], in[i], d);
  if (rc == PC_OK) rc = pc_tensor_empty(out, d, 5, in[2]->size);
  if (rc == PC_OK) {
    j.g = t[0] ? pc_data(t[0]) : NULL;
    j.gm = t[1] ? pc_data(t[1]) : NULL;
    j.x = pc_data(t[2]);
    j.masks = pc_data(t[3]);
    j.out = pc_data(*out);
    rc = run(&j, d);
  }
  for (int i = 0; i < 4; i++) pc_tensor_release(t[i]);
  if (rc < 0) {
    pc_tensor_release(*out);
    *out = NULL;
  }
  return rc;
}
