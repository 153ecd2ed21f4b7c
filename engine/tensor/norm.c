#include "tensor/norm.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "tensor/matmul.h"
#include "tensor/simd.h"

/* One description for both: layer_norm is (rows, 1, D) with one group and a weight of D
 * entries a row; group_norm is (N, S, C) with statistics over S and C/G and C weights. */
typedef struct norm {
  int64_t n, s, c, groups; /* x: (n, s, c) */
  double eps;
  const void *x, *g, *w, *b;
  void *y;       /* forward: y; backward: gx */
  void *pw, *pb; /* backward: partial sums, (chunks, c); both NULL (rows): not wanted */
  int64_t grain;
} norm;

/* ---- plain loops, double sums; also what f64 runs ---- */

#define PLAIN(T)                                                                                          \
  static void stats_##T(const norm *k, int64_t n, int64_t q, double *mean, double *rstd) {                \
    int64_t cg = k->c / k->groups;                                                                        \
    const T *x = (const T *)k->x + n * k->s * k->c + q * cg;                                              \
    double m = 0, v = 0, count = (double)(k->s * cg);                                                     \
    for (int64_t s = 0; s < k->s; s++)                                                                    \
      for (int64_t c = 0; c < cg; c++) m += x[s * k->c + c];                                              \
    m /= count;                                                                                           \
    for (int64_t s = 0; s < k->s; s++)                                                                    \
      for (int64_t c = 0; c < cg; c++) v += (x[s * k->c + c] - m) * (x[s * k->c + c] - m);                \
    *mean = m;                                                                                            \
    *rstd = 1 / sqrt(v / count + k->eps);                                                                 \
  }                                                                                                       \
  static void plain_forward_##T(int64_t begin, int64_t end, void *ctx) {                                  \
    const norm *k = ctx;                                                                                  \
    int64_t cg = k->c / k->groups;                                                                        \
    const T *w = k->w, *b = k->b;                                                                         \
    for (int64_t n = begin; n < end; n++)                                                                 \
      for (int64_t q = 0; q < k->groups; q++) {                                                           \
        double mean, rstd;                                                                                \
        stats_##T(k, n, q, &mean, &rstd);                                                                 \
        for (int64_t s = 0; s < k->s; s++)                                                                \
          for (int64_t c = q * cg; c < (q + 1) * cg; c++) {                                               \
            int64_t i = (n * k->s + s) * k->c + c;                                                        \
            ((T *)k->y)[i] = (T)((((const T *)k->x)[i] - mean) * rstd * (w ? w[c] : 1) + (b ? b[c] : 0)); \
          }                                                                                               \
      }                                                                                                   \
  }                                                                                                       \
  static void plain_backward_##T(int64_t begin, int64_t end, void *ctx) {                                 \
    const norm *k = ctx;                                                                                  \
    int64_t cg = k->c / k->groups;                                                                        \
    const T *w = k->w;                                                                                    \
    int64_t part = begin / k->grain * k->c;                                                               \
    T *pw = k->pw ? (T *)k->pw + part : NULL, *pb = k->pw ? (T *)k->pb + part : NULL;                     \
    for (int64_t n = begin; n < end; n++)                                                                 \
      for (int64_t q = 0; q < k->groups; q++) {                                                           \
        double mean, rstd, m1 = 0, m2 = 0, count = (double)(k->s * cg);                                   \
        stats_##T(k, n, q, &mean, &rstd);                                                                 \
        for (int64_t s = 0; s < k->s; s++)                                                                \
          for (int64_t c = q * cg; c < (q + 1) * cg; c++) {                                               \
            int64_t i = (n * k->s + s) * k->c + c;                                                        \
            double g = ((const T *)k->g)[i], h = (((const T *)k->x)[i] - mean) * rstd;                    \
            if (pw) pw[c] += (T)(g * h);                                                                  \
            if (pb) pb[c] += (T)g;                                                                        \
            m1 += g * (w ? w[c] : 1);                                                                     \
            m2 += g * (w ? w[c] : 1) * h;                                                                 \
          }                                                                                               \
        for (int64_t s = 0; s < k->s; s++)                                                                \
          for (int64_t c = q * cg; c < (q + 1) * cg; c++) {                                               \
            int64_t i = (n * k->s + s) * k->c + c;                                                        \
            double g = ((const T *)k->g)[i], h = (((const T *)k->x)[i] - mean) * rstd;                    \
            ((T *)k->y)[i] = (T)(rstd * (g * (w ? w[c] : 1) - m1 / count - h * m2 / count));              \
          }                                                                                               \
      }                                                                                                   \
  }
PLAIN(float)
PLAIN(double)

/* ---- f32, rows (layer_norm) ---- */

/* Four sums at a time, so that a row is not one chain of additions. */
PC_INLINE float row_sum(const float *x, int64_t c) {
  pc_vf a[4] = {{0}};
  float s = 0;
  int64_t i = 0;
  for (; i + 4 * PC_LANES <= c; i += 4 * PC_LANES)
    for (int k = 0; k < 4; k++) a[k] += pc_vload(x + i + k * PC_LANES);
  for (; i + PC_LANES <= c; i += PC_LANES) a[0] += pc_vload(x + i);
  for (; i < c; i++) s += x[i];
  a[0] = (a[0] + a[1]) + (a[2] + a[3]);
  return s + pc_vsum(a);
}

PC_INLINE float row_squares(const float *x, float mean, int64_t c) {
  pc_vf a[4] = {{0}}, m = pc_vset(mean);
  float s = 0;
  int64_t i = 0;
  for (; i + 4 * PC_LANES <= c; i += 4 * PC_LANES)
    for (int k = 0; k < 4; k++) {
      pc_vf p = pc_vload(x + i + k * PC_LANES) - m;
      a[k] += p * p;
    }
  for (; i + PC_LANES <= c; i += PC_LANES) {
    pc_vf p = pc_vload(x + i) - m;
    a[0] += p * p;
  }
  for (; i < c; i++) s += (x[i] - mean) * (x[i] - mean);
  a[0] = (a[0] + a[1]) + (a[2] + a[3]);
  return s + pc_vsum(a);
}

PC_TIERED(rows_forward, (int64_t begin, int64_t end, const norm *k), (begin, end, k)) {
  int64_t c = k->c;
  const float *restrict w = k->w, *restrict b = k->b;
  for (int64_t r = begin; r < end; r++) {
    const float *restrict x = (const float *)k->x + r * c;
    float *restrict y = (float *)k->y + r * c;
    float mean = row_sum(x, c) / (float)c;
    float rstd = 1 / sqrtf(row_squares(x, mean, c) / (float)c + (float)k->eps);
    pc_vf vm = pc_vset(mean), vr = pc_vset(rstd);
    int64_t i = 0;
    if (w && b)
      for (; i + PC_LANES <= c; i += PC_LANES)
        pc_vstore(y + i, (pc_vload(x + i) - vm) * vr * pc_vload(w + i) + pc_vload(b + i));
    else if (!w && !b)
      for (; i + PC_LANES <= c; i += PC_LANES) pc_vstore(y + i, (pc_vload(x + i) - vm) * vr);
    for (; i < c; i++) y[i] = (x[i] - mean) * rstd * (w ? w[i] : 1) + (b ? b[i] : 0);
  }
}

/* With h = (x - mean) rstd and v = g w:  gx = rstd (v - mean(v) - h mean(v h)). */
PC_TIERED(rows_backward, (int64_t begin, int64_t end, const norm *k), (begin, end, k)) {
  int64_t c = k->c;
  const float *restrict w = k->w;
  int sums = k->pw != NULL;
  float *restrict pw = sums ? (float *)k->pw + begin / k->grain * c : NULL, *restrict pb =
                                                                                sums ? (float *)k->pb +
                                                                                           begin / k->grain * c
                                                                                     : NULL;
  for (int64_t r = begin; r < end; r++) {
    const float *restrict x = (const float *)k->x + r * c, *restrict g = (const float *)k->g + r * c;
    float *restrict gx = (float *)k->y + r * c;
    float mean = row_sum(x, c) / (float)c, m1 = 0, m2 = 0;
    float rstd = 1 / sqrtf(row_squares(x, mean, c) / (float)c + (float)k->eps);
    pc_vf s1 = {0}, s2 = {0}, vm = pc_vset(mean), vr = pc_vset(rstd);
    int64_t i = 0;
    for (; i + PC_LANES <= c; i += PC_LANES) {
      pc_vf vg = pc_vload(g + i), h = (pc_vload(x + i) - vm) * vr;
      if (sums) {
        pc_vstore(pw + i, pc_vload(pw + i) + vg * h);
        pc_vstore(pb + i, pc_vload(pb + i) + vg);
      }
      if (w) vg *= pc_vload(w + i);
      s1 += vg;
      s2 += vg * h;
    }
    for (; i < c; i++) {
      float v = g[i], h = (x[i] - mean) * rstd;
      if (sums) pw[i] += v * h;
      if (sums) pb[i] += v;
      if (w) v *= w[i];
      m1 += v;
      m2 += v * h;
    }
    m1 = (m1 + pc_vsum(&s1)) / (float)c;
    m2 = (m2 + pc_vsum(&s2)) / (float)c;
    pc_vf v1 = pc_vset(m1), v2 = pc_vset(m2);
    for (i = 0; i + PC_LANES <= c; i += PC_LANES) {
      pc_vf vg = pc_vload(g + i), h = (pc_vload(x + i) - vm) * vr;
      if (w) vg *= pc_vload(w + i);
      pc_vstore(gx + i, vr * (vg - v1 - h * v2));
    }
    for (; i < c; i++) gx[i] = rstd * (g[i] * (w ? w[i] : 1) - m1 - (x[i] - mean) * rstd * m2);
  }
}

/* ---- f32, channels last (group_norm) ---- */

enum { CHANNELS_MAX = 2048 }; /* what fits the little arrays below; more goes to the plain loops */

PC_INLINE void group_stats(const norm *k, const float *x, float *mean, float *rstd) {
  int64_t c = k->c, cg = c / k->groups;
  float sum[CHANNELS_MAX];
  double count = (double)(k->s * cg);
  memset(sum, 0, sizeof(float) * (size_t)c);
  for (int64_t s = 0; s < k->s; s++)
    for (int64_t i = 0; i < c; i++) sum[i] += x[s * c + i];
  for (int64_t q = 0; q < k->groups; q++) {
    double m = 0;
    for (int64_t i = q * cg; i < (q + 1) * cg; i++) m += sum[i];
    for (int64_t i = q * cg; i < (q + 1) * cg; i++) mean[i] = (float)(m / count);
  }
  memset(sum, 0, sizeof(float) * (size_t)c);
  for (int64_t s = 0; s < k->s; s++)
    for (int64_t i = 0; i < c; i++) sum[i] += (x[s * c + i] - mean[i]) * (x[s * c + i] - mean[i]);
  for (int64_t q = 0; q < k->groups; q++) {
    double v = 0;
    for (int64_t i = q * cg; i < (q + 1) * cg; i++) v += sum[i];
    for (int64_t i = q * cg; i < (q + 1) * cg; i++) rstd[i] = (float)(1 / sqrt(v / count + k->eps));
  }
}

PC_TIERED(groups_forward, (int64_t begin, int64_t end, const norm *k), (begin, end, k)) {
  int64_t c = k->c;
  float mean[CHANNELS_MAX], rstd[CHANNELS_MAX];
  for (int64_t n = begin; n < end; n++) {
    const float *restrict x = (const float *)k->x + n * k->s * c;
    float *restrict y = (float *)k->y + n * k->s * c;
    group_stats(k, x, mean, rstd);
    for (int64_t i = 0; i < c; i++) { /* y = x·rstd + mean, with the affine part folded in */
      float a = rstd[i] * (k->w ? ((const float *)k->w)[i] : 1);
      mean[i] = (k->b ? ((const float *)k->b)[i] : 0) - mean[i] * a;
      rstd[i] = a;
    }
    for (int64_t s = 0; s < k->s; s++)
      for (int64_t i = 0; i < c; i++) y[s * c + i] = x[s * c + i] * rstd[i] + mean[i];
  }
}

PC_TIERED(groups_backward, (int64_t begin, int64_t end, const norm *k), (begin, end, k)) {
  int64_t c = k->c, cg = c / k->groups;
  const float *restrict w = k->w;
  float mean[CHANNELS_MAX], rstd[CHANNELS_MAX], sg[CHANNELS_MAX], sh[CHANNELS_MAX];
  float *restrict pw = (float *)k->pw + begin / k->grain * c, *restrict pb = (float *)k->pb + begin / k->grain * c;
  double count = (double)(k->s * cg);
  for (int64_t n = begin; n < end; n++) {
    const float *restrict x = (const float *)k->x + n * k->s * c, *restrict g = (const float *)k->g + n * k->s * c;
    float *restrict gx = (float *)k->y + n * k->s * c;
    group_stats(k, x, mean, rstd);
    memset(sg, 0, sizeof(float) * (size_t)c);
    memset(sh, 0, sizeof(float) * (size_t)c);
    for (int64_t s = 0; s < k->s; s++)
      for (int64_t i = 0; i < c; i++) {
        sg[i] += g[s * c + i];
        sh[i] += g[s * c + i] * (x[s * c + i] - mean[i]);
      }
    for (int64_t i = 0; i < c; i++) {
      sh[i] *= rstd[i];
      pw[i] += sh[i];
      pb[i] += sg[i];
    }
    for (int64_t q = 0; q < k->groups; q++) {
      double m1 = 0, m2 = 0;
      for (int64_t i = q * cg; i < (q + 1) * cg; i++) {
        m1 += sg[i] * (w ? w[i] : 1);
        m2 += sh[i] * (w ? w[i] : 1);
      }
      for (int64_t i = q * cg; i < (q + 1) * cg; i++) {
        float r = rstd[i];
        sg[i] = (float)(-r * m1 / count); /* gx = a g + sg + (x - mean) sh */
        sh[i] = (float)(-r * r * m2 / count);
        rstd[i] = r * (w ? w[i] : 1);
      }
    }
    for (int64_t s = 0; s < k->s; s++)
      for (int64_t i = 0; i < c; i++) gx[s * c + i] = rstd[i] * g[s * c + i] + sg[i] + (x[s * c + i] - mean[i]) * sh[i];
  }
}

/* ---- running ---- */

static void fast_rows_forward(int64_t begin, int64_t end, void *ctx) { rows_forward(begin, end, ctx); }
static void fast_rows_backward(int64_t begin, int64_t end, void *ctx) { rows_backward(begin, end, ctx); }
static void fast_groups_forward(int64_t begin, int64_t end, void *ctx) { groups_forward(begin, end, ctx); }
static void fast_groups_backward(int64_t begin, int64_t end, void *ctx) { groups_backward(begin, end, ctx); }

static pc_range_fn choose(const norm *k, pc_dtype d, int backward) {
  if (d == PC_F64) return backward ? plain_backward_double : plain_forward_double;
  if (pc_cpu_tier() == PC_TIER_REF) return backward ? plain_backward_float : plain_forward_float;
  if (k->s == 1 && k->groups == 1) return backward ? fast_rows_backward : fast_rows_forward;
  if (k->c > CHANNELS_MAX) return backward ? plain_backward_float : plain_forward_float;
  return backward ? fast_groups_backward : fast_groups_forward;
}

void pc_norm_rows(pc_dtype d, int64_t rows, int64_t c, double eps, const void *x, const void *w, const void *b,
                  void *y) {
  norm k = {.n = rows, .s = 1, .c = c, .groups = 1, .eps = eps, .x = x, .w = w, .b = b, .y = y, .grain = rows + 1};
  if (rows && c) choose(&k, d, 0)(0, rows, &k);
}

void pc_norm_rows_backward(pc_dtype d, int64_t rows, int64_t c, double eps, const void *g, const void *x, const void *w,
                           void *gx, void *gw, void *gb) {
  norm k = {.n = rows,
            .s = 1,
            .c = c,
            .groups = 1,
            .eps = eps,
            .x = x,
            .g = g,
            .w = w,
            .y = gx,
            .pw = gw,
            .pb = gb,
            .grain = rows + 1};
  if (rows && c) choose(&k, d, 1)(0, rows, &k);
}

/* Contiguous of dtype d; NULL stays NULL. */
static int prepared(pc_tensor **out, const pc_tensor *t, pc_dtype d) {
  pc_tensor *c;
  *out = NULL;
  if (!t) return PC_OK;
  int rc = pc_to_dtype(&c, t, d);
  if (rc < 0) return rc;
  rc = pc_contiguous(out, c);
  pc_tensor_release(c);
  return rc;
}

static int check_affine(const char *op, const char *what, const pc_tensor *x, const pc_tensor *w, int dims) {
  if (!w) return PC_OK;
  if (w->ndim == dims && !memcmp(w->size, x->size + x->ndim - dims, sizeof(int64_t) * (size_t)dims)) return PC_OK;
  return pc_fail(PC_ESHAPE, "%s: %s %s must have the shape %s of the last %d dimension%s of x %s", op, what,
                 pc_shape_str(w), pc_dims_str(dims, x->size + x->ndim - dims), dims, dims == 1 ? "" : "s",
                 pc_shape_str(x));
}

static int run_forward(pc_tensor **out, pc_tensor *const *in, int nin, norm *k) {
  pc_tensor *x = NULL, *w = NULL, *b = NULL;
  pc_dtype d = pc_float_dtype(in[0], NULL);
  int rc;
  *out = NULL;
  if ((rc = prepared(&x, in[0], d)) < 0 || (rc = prepared(&w, nin > 1 ? in[1] : NULL, d)) < 0 ||
      (rc = prepared(&b, nin > 2 ? in[2] : NULL, d)) < 0 || (rc = pc_tensor_empty(out, d, x->ndim, x->size)) < 0)
    goto done;
  k->x = pc_data(x);
  k->w = w ? pc_data(w) : NULL;
  k->b = b ? pc_data(b) : NULL;
  k->y = pc_data(*out);
  int64_t each = k->s * k->c;
  k->grain = each >= 16384 ? 1 : 16384 / (each ? each : 1) + 1;
  if (each) pc_parallel_for(k->n, k->grain, choose(k, d, 0), k);
done:
  pc_tensor_release(x);
  pc_tensor_release(w);
  pc_tensor_release(b);
  return rc;
}

static void fold_partials(pc_dtype d, void *out, const void *part, int64_t chunks, int64_t c) {
  for (int64_t i = 0; i < c; i++) {
    double s = 0;
    for (int64_t p = 0; p < chunks; p++)
      s += d == PC_F32 ? ((const float *)part)[p * c + i] : ((const double *)part)[p * c + i];
    if (d == PC_F32)
      ((float *)out)[i] = (float)s;
    else
      ((double *)out)[i] = s;
  }
}

static int run_backward(pc_tensor **out, pc_tensor *const *in, int nin, norm *k, int dims) {
  pc_tensor *g = NULL, *x = NULL, *w = NULL;
  pc_dtype d = pc_float_dtype(in[0], in[1]);
  void *part = NULL;
  int rc;
  out[0] = out[1] = out[2] = NULL;
  if ((rc = prepared(&g, in[0], d)) < 0 || (rc = prepared(&x, in[1], d)) < 0 ||
      (rc = prepared(&w, nin > 2 ? in[2] : NULL, d)) < 0 || (rc = pc_tensor_empty(&out[0], d, x->ndim, x->size)) < 0 ||
      (rc = pc_tensor_empty(&out[1], d, dims, x->size + x->ndim - dims)) < 0 ||
      (rc = pc_tensor_empty(&out[2], d, dims, x->size + x->ndim - dims)) < 0)
    goto done;
  int64_t each = k->s * k->c;
  k->grain = each >= 16384 ? 1 : 16384 / (each ? each : 1) + 1;
  if (k->grain < k->n / 64) k->grain = k->n / 64;
  int64_t chunks = each ? (k->n + k->grain - 1) / k->grain : 0;
  if (!(part = pc_calloc((size_t)(2 * chunks * k->c + 1), pc_dtype_size(d)))) {
    rc = PC_ENOMEM;
    goto done;
  }
  k->x = pc_data(x);
  k->g = pc_data(g);
  k->w = w ? pc_data(w) : NULL;
  k->y = pc_data(out[0]);
  k->pw = part;
  k->pb = (char *)part + (size_t)(chunks * k->c) * pc_dtype_size(d);
  if (each) pc_parallel_for(k->n, k->grain, choose(k, d, 1), k);
  fold_partials(d, pc_data(out[1]), k->pw, chunks, k->c);
  fold_partials(d, pc_data(out[2]), k->pb, chunks, k->c);
done:
  pc_free(part);
  pc_tensor_release(g);
  pc_tensor_release(x);
  pc_tensor_release(w);
  for (int i = 0; i < 3 && rc < 0; i++) {
    pc_tensor_release(out[i]);
    out[i] = NULL;
  }
  return rc;
}

/* ---- ops ---- */

static int layer_shape(norm *k, const pc_tensor *x, const pc_val *v, int *dims) {
  *dims = v[0].set ? (int)v[0].i : 1;
  if (*dims < 1 || *dims > x->ndim)
    return pc_fail(PC_EARG, "layer_norm: dims = %d must be between 1 and the %d dimensions of x %s", *dims, x->ndim,
                   pc_shape_str(x));
  *k = (norm){.n = 1, .s = 1, .c = 1, .groups = 1, .eps = v[1].set ? v[1].d : 1e-5};
  for (int i = 0; i < x->ndim; i++) *(i < x->ndim - *dims ? &k->n : &k->c) *= x->size[i];
  return PC_OK;
}

int pc_fwd_layer_norm(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  norm k;
  int dims, rc = layer_shape(&k, in[0], v, &dims);
  if (rc == PC_OK && nin > 1) rc = check_affine("layer_norm", "weight", in[0], in[1], dims);
  if (rc == PC_OK && nin > 2) rc = check_affine("layer_norm", "bias", in[0], in[2], dims);
  return rc < 0 ? rc : run_forward(out, in, nin, &k);
}

int pc_fwd_layer_norm_backward(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  norm k;
  int dims, rc = layer_shape(&k, in[1], v, &dims);
  return rc < 0 ? rc : run_backward(out, in, nin, &k, dims);
}

static int group_shape(norm *k, const pc_tensor *x, const pc_val *v) {
  int64_t groups = v[0].set ? v[0].i : 1;
  if (x->ndim < 2) return pc_fail(PC_ESHAPE, "group_norm: x %s must be (N,...,C): channels last", pc_shape_str(x));
  int64_t c = x->size[x->ndim - 1];
  if (groups < 1 || c % groups)
    return pc_fail(PC_EARG, "group_norm: groups = %lld does not divide the %lld channels (last dimension) of x %s",
                   (long long)groups, (long long)c, pc_shape_str(x));
  *k = (norm){.n = x->size[0], .s = 1, .c = c, .groups = groups, .eps = v[1].set ? v[1].d : 1e-5};
  for (int i = 1; i < x->ndim - 1; i++) k->s *= x->size[i];
  return PC_OK;
}

int pc_fwd_group_norm(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  norm k;
  int rc = group_shape(&k, in[0], v);
  if (rc == PC_OK && nin > 1) rc = check_affine("group_norm", "weight", in[0], in[1], 1);
  if (rc == PC_OK && nin > 2) rc = check_affine("group_norm", "bias", in[0], in[2], 1);
  return rc < 0 ? rc : run_forward(out, in, nin, &k);
}

int pc_fwd_group_norm_backward(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  norm k;
  int rc = group_shape(&k, in[1], v);
  return rc < 0 ? rc : run_backward(out, in, nin, &k, 1);
}
