#include "tensor/fused/norm.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "tensor/backend.h"
#include "tensor/fused/calls.h"
#include "tensor/tile.h"
#include "tensor/fused/norm_impl.h"

typedef pc_norm norm;

/* ---- plain loops, double sums; also what f64 runs ---- */

#define PC_TEMPLATE "tensor/fused/norm_plain.inc"
#include "base/float_types.inc"

/* ---- f32, rows (layer_norm) ---- */

PC_INLINE void put_rows(float *y, const float *x, const float *w, const float *b, int64_t c, const int n,
                        const pc_vf *mean, const pc_vf *rstd) {
  pc_vf vw = w ? pc_vload(w) : pc_vset(1), vb = b ? pc_vload(b) : pc_vset(0);
  for (int q = 0; q < n; q++) pc_vstore(y + q * c, (pc_vload(x + q * c) - mean[q]) * rstd[q] * vw + vb);
}

PC_INLINE void forward_with(const norm *k, int64_t r, const int n, const pc_vf *mean, const pc_vf *rstd) {
  int64_t c = k->c;
  const float *restrict x = (const float *)k->x + r * c, *restrict w = k->w, *restrict b = k->b;
  float *restrict y = (float *)k->y + r * c;
  for (int64_t i = 0;; i = i + 2 * PC_LANES <= c ? i + PC_LANES : c - PC_LANES) {
    put_rows(y + i, x + i, w ? w + i : NULL, b ? b + i : NULL, c, n, mean, rstd);
    if (i + PC_LANES == c) break;
  }
}

PC_INLINE void forward_of(const norm *k, int64_t r, const int n) {
  const float *x = (const float *)k->x + r * k->c;
  pc_vf mean[ROWS_FORWARD], rstd[ROWS_FORWARD];
  if (__builtin_expect(!row_stats(x, k->c, (float)k->eps, n, mean, rstd), 1)) {
    forward_with(k, r, n, mean, rstd);
    return;
  }
  for (int q = 0; q < n; q++) { /* one by one */
    pc_vf m, s;
    careful_row_stats(x + q * k->c, k->c, (float)k->eps, &m, &s);
    forward_with(k, r + q, 1, &m, &s);
  }
}

PC_TIERED(rows_forward, (int64_t begin, int64_t end, const norm *k), (begin, end, k)) {
  int64_t r = begin;
  for (; r + ROWS_FORWARD <= end; r += ROWS_FORWARD) forward_of(k, r, ROWS_FORWARD);
  for (; r < end; r++) forward_of(k, r, 1);
}

/* Sums over the row: s1 of v = g w, s2 of v h. Over the rows: pw of g h, pb of g; both NULL: not wanted. */
PC_INLINE void add_products(pc_vf *s1, pc_vf *s2, float *pw, float *pb, const float *g, const float *x, const float *w,
                            int64_t c, const int n, const pc_vf *mean, const pc_vf *rstd, pc_vi lanes) {
  pc_vf vw = w ? pc_vload(w) : pc_vset(1), ww = {0}, wb = {0};
  for (int q = 0; q < n; q++) {
    pc_vf vg = only(pc_vload(g + q * c), lanes), h = (pc_vload(x + q * c) - mean[q]) * rstd[q];
    ww += vg * h;
    wb += vg;
    vg *= vw;
    s1[q] += vg;
    s2[q] += vg * h;
  }
  if (pw) {
    pc_vstore(pw, pc_vload(pw) + ww);
    pc_vstore(pb, pc_vload(pb) + wb);
  }
}

PC_INLINE void put_gradients(float *gx, const float *g, const float *x, const float *w, int64_t c, const int n,
                             const pc_vf *mean, const pc_vf *rstd, const pc_vf *m1, const pc_vf *m2) {
  pc_vf vw = w ? pc_vload(w) : pc_vset(1);
  for (int q = 0; q < n; q++) {
    pc_vf h = (pc_vload(x + q * c) - mean[q]) * rstd[q];
    pc_vstore(gx + q * c, rstd[q] * (pc_vload(g + q * c) * vw - m1[q] - h * m2[q]));
  }
}

/* With h = (x - mean) rstd and v = g w:  gx = rstd (v - mean(v) - h mean(v h)). */
PC_INLINE void backward_with(const norm *k, int64_t r, const int n, float *restrict pw, float *restrict pb,
                             const pc_vf *mean, const pc_vf *rstd) {
  int64_t c = k->c, odd = c % PC_LANES, last = c - PC_LANES;
  const float *restrict x = (const float *)k->x + r * c, *restrict g = (const float *)k->g + r * c, *restrict w = k->w;
  float *restrict gx = (float *)k->y + r * c;
  pc_vf s1[ROWS_BACKWARD] = {{0}}, s2[ROWS_BACKWARD] = {{0}};
  for (int64_t i = 0; i <= last; i += PC_LANES)
    add_products(s1, s2, pw ? pw + i : NULL, pw ? pb + i : NULL, g + i, x + i, w ? w + i : NULL, c, n, mean, rstd, ALL);
  if (odd)
    add_products(s1, s2, pw ? pw + last : NULL, pw ? pb + last : NULL, g + last, x + last, w ? w + last : NULL, c, n,
                 mean, rstd, new_lanes(odd));
  for (int q = 0; q < n; q++) {
    s1[q] = pc_vset(pc_vsum(&s1[q]) / (float)c);
    s2[q] = pc_vset(pc_vsum(&s2[q]) / (float)c);
  }
  for (int64_t i = 0;; i = i + 2 * PC_LANES <= c ? i + PC_LANES : last) {
    put_gradients(gx + i, g + i, x + i, w ? w + i : NULL, c, n, mean, rstd, s1, s2);
    if (i == last) break;
  }
}

PC_INLINE void backward_of(const norm *k, int64_t r, const int n, float *restrict pw, float *restrict pb) {
  const float *x = (const float *)k->x + r * k->c;
  pc_vf mean[ROWS_BACKWARD], rstd[ROWS_BACKWARD];
  if (__builtin_expect(!row_stats(x, k->c, (float)k->eps, n, mean, rstd), 1)) {
    backward_with(k, r, n, pw, pb, mean, rstd);
    return;
  }
  for (int q = 0; q < n; q++) { /* with the same sums over rows, whatever goes carefully: see add_products */
    pc_vf m, s;
    careful_row_stats(x + q * k->c, k->c, (float)k->eps, &m, &s);
    backward_with(k, r + q, 1, pw, pb, &m, &s);
  }
}

PC_TIERED(rows_backward, (int64_t begin, int64_t end, const norm *k), (begin, end, k)) {
  int64_t r = begin, part = begin / k->grain * k->c;
  if (k->pw) {
    float *pw = (float *)k->pw + part, *pb = (float *)k->pb + part;
    for (; r + ROWS_BACKWARD <= end; r += ROWS_BACKWARD) backward_of(k, r, ROWS_BACKWARD, pw, pb);
    for (; r < end; r++) backward_of(k, r, 1, pw, pb);
  } else {
    for (; r + ROWS_BACKWARD <= end; r += ROWS_BACKWARD) backward_of(k, r, ROWS_BACKWARD, NULL, NULL);
    for (; r < end; r++) backward_of(k, r, 1, NULL, NULL);
  }
}

/* ---- f32, channels last (group_norm) ---- */

enum { CHANNELS_MAX = 2048 }; /* what fits the little arrays below; more goes to the plain loops */

enum { RUN = 64 }; /* places added in float before they go on in double */

/* sum (c): of x over all s places of each channel; with `mean` square (c), too: of x - mean and its square. */
PC_INLINE void add_places(const norm *k, const float *restrict x, const float *restrict mean, double *restrict sum,
                          double *restrict square) {
  int64_t c = k->c;
  float run[CHANNELS_MAX], run2[CHANNELS_MAX];
  memset(sum, 0, sizeof(double) * (size_t)c);
  if (mean) memset(square, 0, sizeof(double) * (size_t)c);
  for (int64_t from = 0; from < k->s; from += RUN) {
    int64_t to = from + RUN < k->s ? from + RUN : k->s;
    memset(run, 0, sizeof(float) * (size_t)c);
    memset(run2, 0, sizeof(float) * (size_t)c);
    for (int64_t s = from; s < to; s++)
      for (int64_t i = 0; i < c; i++) {
        float d = x[s * c + i] - (mean ? mean[i] : 0);
        run[i] += d;
        if (mean) run2[i] += d * d;
      }
    for (int64_t i = 0; i < c; i++) {
      sum[i] += (double)run[i];
      if (mean) square[i] += (double)run2[i];
    }
  }
}

/* Two passes: the sums of the second are taken about the mean of the first, and say what that one missed. */
PC_INLINE void group_stats(const norm *k, const float *x, float *mean, float *rstd) {
  int64_t c = k->c, cg = c / k->groups;
  double sum[CHANNELS_MAX], square[CHANNELS_MAX], count = (double)(k->s * cg);
  add_places(k, x, NULL, sum, NULL);
  for (int64_t q = 0; q < k->groups; q++) {
    double m = 0;
    for (int64_t i = q * cg; i < (q + 1) * cg; i++) m += sum[i];
    for (int64_t i = q * cg; i < (q + 1) * cg; i++) mean[i] = (float)(m / count);
  }
  add_places(k, x, mean, sum, square);
  for (int64_t q = 0; q < k->groups; q++) {
    double m = 0, v = 0;
    for (int64_t i = q * cg; i < (q + 1) * cg; i++) m += sum[i], v += square[i];
    m /= count;
    v = v / count - m * m;
    for (int64_t i = q * cg; i < (q + 1) * cg; i++) {
      mean[i] = (float)((double)mean[i] + m);
      rstd[i] = (float)(1 / sqrt((v < 0 ? 0 : v) + k->eps)); /* v NaN: NaN */
    }
  }
}

PC_TIERED(groups_forward, (int64_t begin, int64_t end, const norm *k), (begin, end, k)) {
  int64_t c = k->c;
  const float *w = k->w, *b = k->b;
  float mean[CHANNELS_MAX], scale[CHANNELS_MAX], shift[CHANNELS_MAX];
  for (int64_t n = begin; n < end; n++) {
    const float *restrict x = (const float *)k->x + n * k->s * c;
    float *restrict y = (float *)k->y + n * k->s * c;
    group_stats(k, x, mean, scale);
    for (int64_t i = 0; i < c; i++) {
      scale[i] *= w ? w[i] : 1;
      shift[i] = b ? b[i] : 0;
    }
    for (int64_t s = 0; s < k->s; s++) /* the difference first: what is large on both sides goes before it is scaled */
      for (int64_t i = 0; i < c; i++) y[s * c + i] = (x[s * c + i] - mean[i]) * scale[i] + shift[i];
  }
}

/* sg and sh (c): sums of g and of g (x - mean) over the places. */
PC_INLINE void add_gradients(const norm *k, const float *restrict x, const float *restrict g,
                             const float *restrict mean, double *restrict sg, double *restrict sh) {
  int64_t c = k->c;
  float run[CHANNELS_MAX], run2[CHANNELS_MAX];
  memset(sg, 0, sizeof(double) * (size_t)c);
  memset(sh, 0, sizeof(double) * (size_t)c);
  for (int64_t from = 0; from < k->s; from += RUN) {
    int64_t to = from + RUN < k->s ? from + RUN : k->s;
    memset(run, 0, sizeof(float) * (size_t)c);
    memset(run2, 0, sizeof(float) * (size_t)c);
    for (int64_t s = from; s < to; s++)
      for (int64_t i = 0; i < c; i++) {
        run[i] += g[s * c + i];
        run2[i] += g[s * c + i] * (x[s * c + i] - mean[i]);
      }
    for (int64_t i = 0; i < c; i++) {
      sg[i] += (double)run[i];
      sh[i] += (double)run2[i];
    }
  }
}

/* With h = (x - mean) r and v = g w:  gx = r (v - mean(v) - h mean(v h)) = a g + shift + (x - mean) slope. */
PC_TIERED(groups_backward, (int64_t begin, int64_t end, const norm *k), (begin, end, k)) {
  int64_t c = k->c, cg = c / k->groups;
  const float *restrict w = k->w;
  float mean[CHANNELS_MAX], rstd[CHANNELS_MAX], shift[CHANNELS_MAX], slope[CHANNELS_MAX];
  double sg[CHANNELS_MAX], sh[CHANNELS_MAX];
  float *restrict pw = (float *)k->pw + begin / k->grain * c, *restrict pb = (float *)k->pb + begin / k->grain * c;
  double count = (double)(k->s * cg);
  for (int64_t n = begin; n < end; n++) {
    const float *restrict x = (const float *)k->x + n * k->s * c, *restrict g = (const float *)k->g + n * k->s * c;
    float *restrict gx = (float *)k->y + n * k->s * c;
    group_stats(k, x, mean, rstd);
    add_gradients(k, x, g, mean, sg, sh);
    for (int64_t i = 0; i < c; i++) {
      sh[i] *= (double)rstd[i];
      pw[i] += (float)sh[i];
      pb[i] += (float)sg[i];
    }
    for (int64_t q = 0; q < k->groups; q++) {
      double m1 = 0, m2 = 0;
      for (int64_t i = q * cg; i < (q + 1) * cg; i++) {
        m1 += sg[i] * (double)(w ? w[i] : 1);
        m2 += sh[i] * (double)(w ? w[i] : 1);
      }
      for (int64_t i = q * cg; i < (q + 1) * cg; i++) {
        double r = (double)rstd[i];
        shift[i] = (float)(-r * m1 / count);
        slope[i] = (float)(-r * r * m2 / count);
        rstd[i] *= w ? w[i] : 1;
      }
    }
    for (int64_t s = 0; s < k->s; s++)
      for (int64_t i = 0; i < c; i++)
        gx[s * c + i] = rstd[i] * g[s * c + i] + shift[i] + (x[s * c + i] - mean[i]) * slope[i];
  }
}

/* ---- running ---- */

static void fast_rows_forward(int64_t begin, int64_t end, void *ctx) { rows_forward(begin, end, ctx); }
static void fast_rows_backward(int64_t begin, int64_t end, void *ctx) { rows_backward(begin, end, ctx); }
static void fast_groups_forward(int64_t begin, int64_t end, void *ctx) { groups_forward(begin, end, ctx); }
static void fast_groups_backward(int64_t begin, int64_t end, void *ctx) { groups_backward(begin, end, ctx); }

static pc_range_fn choose(const norm *k, int backward) {
  if (k->d == PC_F64) return backward ? plain_backward_f64 : plain_forward_f64;
  int rows = k->s == 1 && k->groups == 1;
  if (rows && k->c >= PC_LANES) return backward ? fast_rows_backward : fast_rows_forward;
  if (rows || k->c > CHANNELS_MAX) return backward ? plain_backward_f32 : plain_forward_f32;
  return backward ? fast_groups_backward : fast_groups_forward;
}

static int run(norm *k, pc_range_fn f) {
  pc_parallel_for(k->n, k->grain, f, k);
  return PC_OK;
}
int pc_ref_norm_forward(norm *k) { return run(k, k->d == PC_F64 ? plain_forward_f64 : plain_forward_f32); }
int pc_ref_norm_backward(norm *k) { return run(k, k->d == PC_F64 ? plain_backward_f64 : plain_backward_f32); }
int pc_host_norm_forward(norm *k) { return run(k, choose(k, 0)); }
int pc_host_norm_backward(norm *k) { return run(k, choose(k, 1)); }

void pc_norm_rows(pc_dtype d, int64_t rows, int64_t c, double eps, const void *x, const void *w, const void *b,
                  void *y) {
  norm k = {
      .d = d, .n = rows, .s = 1, .c = c, .groups = 1, .eps = eps, .x = x, .w = w, .b = b, .y = y, .grain = rows + 1};
  if (rows && c) pc_kernels_now()->norm_forward(&k);
}

void pc_norm_rows_backward(pc_dtype d, int64_t rows, int64_t c, double eps, const void *g, const void *x, const void *w,
                           void *gx, void *gw, void *gb) {
  norm k = {.d = d,
            .n = rows,
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
  if (rows && c) pc_kernels_now()->norm_backward(&k);
}

static int check_affine(const char *op, const char *what, const pc_tensor *x, const pc_tensor *w, int dims) {
  if (!w) return PC_OK;
  if (w->ndim == dims && !memcmp(w->size, x->size + x->ndim - dims, sizeof(int64_t) * (size_t)dims)) return PC_OK;
  return pc_fail(PC_ESHAPE, "%s: %s %s must have the shape %s of the last %d dimension%s of x %s", op, what,
                 pc_shape_str(w), pc_dims_str(dims, x->size + x->ndim - dims), dims, dims == 1 ? "" : "s",
                 pc_shape_str(x));
}

static int run_forward(pc_tensor **out, pc_tensor *const *in, int nin, norm *k) {
  pc_tensor *t[3] = {NULL};
  k->d = pc_float_dtype(in[0], NULL);
  *out = NULL;
  int rc = pc_take(t, in, nin < 3 ? nin : 3, k->d);
  if (rc == PC_OK) rc = pc_tensor_empty(out, k->d, in[0]->ndim, in[0]->size);
  if (rc == PC_OK) {
    k->x = pc_data(t[0]);
    k->w = pc_data_or_null(t[1]);
    k->b = pc_data_or_null(t[2]);
    k->y = pc_data(*out);
    int64_t each = k->s * k->c;
    k->grain = each >= 16384 ? 1 : 16384 / (each ? each : 1) + 1;
    if (each) rc = pc_kernels_now()->norm_forward(k);
  }
  pc_drop(t, 3);
  if (rc < 0) pc_drop(out, 1);
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
  pc_tensor *t[3] = {NULL};
  const pc_tensor *x = in[1];
  pc_dtype d = k->d = pc_float_dtype(in[0], x);
  void *part = NULL;
  out[0] = out[1] = out[2] = NULL;
  int rc = pc_take(t, in, nin < 3 ? nin : 3, d);
  if (rc < 0 || (rc = pc_tensor_empty(&out[0], d, x->ndim, x->size)) < 0 ||
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
  k->g = pc_data(t[0]);
  k->x = pc_data(t[1]);
  k->w = pc_data_or_null(t[2]);
  k->y = pc_data(out[0]);
  k->pw = part;
  k->pb = (char *)part + (size_t)(chunks * k->c) * pc_dtype_size(d);
  if (each) rc = pc_kernels_now()->norm_backward(k);
  fold_partials(d, pc_data(out[1]), k->pw, chunks, k->c);
  fold_partials(d, pc_data(out[2]), k->pb, chunks, k->c);
done:
  pc_free(part);
  pc_drop(t, 3);
  if (rc < 0) pc_drop(out, 3);
  return rc;
}

/* ---- ops ---- */

static int layer_shape(norm *k, const pc_tensor *x, const pc_val *v, int *dims) {
  *dims = v[0].set ? (int)v[0].i : 1;
  if (*dims < 1 || *dims > x->ndim)
    return pc_fail(PC_EARG, "layer_norm: dims = %d must be between 1 and the %d dimensions of x %s", *dims, x->ndim,
                   pc_shape_str(x));
  *k = (norm){.n = 1, .s = 1, .c = 1, .groups = 1, .eps = v[1].set ? v[1].d : PC_NORM_EPS};
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
  *k = (norm){.n = x->size[0], .s = 1, .c = c, .groups = groups, .eps = v[1].set ? v[1].d : PC_NORM_EPS};
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
