#include "tensor/conv/pool.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "tensor/tile.h"

/* ---- windows ---- */

typedef struct pool {
  int64_t n, h, w, c, oh, ow;
  int64_t kh, kw, sy, sx, py, px;
  const void *x, *g, *u;
  void *y;
} pool;

static void pair(const pc_val *v, int64_t otherwise_y, int64_t otherwise_x, int64_t *y, int64_t *x) {
  *y = otherwise_y;
  *x = otherwise_x;
  if (!v->set) return;
  *y = v->nl >= 1 ? v->l[0] : v->i;
  *x = v->nl > 1 ? v->l[1] : *y;
}

static int window(const char *op, pool *p, const pc_val *v) {
  pair(&v[0], 0, 0, &p->kh, &p->kw);
  pair(&v[1], p->kh, p->kw, &p->sy, &p->sx);
  pair(&v[2], 0, 0, &p->py, &p->px);
  if (p->kh < 1 || p->kw < 1 || p->sy < 1 || p->sx < 1)
    return pc_fail(PC_EARG, "%s: kernel_size {%lld,%lld} and stride {%lld,%lld} must be at least 1", op,
                   (long long)p->kh, (long long)p->kw, (long long)p->sy, (long long)p->sx);
  if (p->py < 0 || p->px < 0 || p->py > p->kh / 2 || p->px > p->kw / 2)
    return pc_fail(PC_EARG, "%s: padding {%lld,%lld} must be at most half of kernel_size {%lld,%lld}", op,
                   (long long)p->py, (long long)p->px, (long long)p->kh, (long long)p->kw);
  return PC_OK;
}

static int geometry(const char *op, pool *p, const pc_tensor *x, const pc_val *v) {
  int rc = window(op, p, v);
  if (rc < 0) return rc;
  if (x->ndim != 4)
    return pc_fail(PC_ESHAPE, "%s: x %s must be (N,H,W,C)%s", op, pc_shape_str(x),
                   x->ndim == 3 ? "; one image? unsqueeze(1) it" : "");
  p->n = x->size[0], p->h = x->size[1], p->w = x->size[2], p->c = x->size[3];
  if (p->h + 2 * p->py < p->kh || p->w + 2 * p->px < p->kw)
    return pc_fail(PC_ESHAPE, "%s: kernel_size {%lld,%lld} is larger than x %s", op, (long long)p->kh, (long long)p->kw,
                   pc_shape_str(x));
  p->oh = (p->h + 2 * p->py - p->kh) / p->sy + 1;
  p->ow = (p->w + 2 * p->px - p->kw) / p->sx + 1;
  return PC_OK;
}

/* The part of output pixel o's window that lies in the image: [*from, *to). */
static void inside(int64_t o, int64_t stride, int64_t pad, int64_t k, int64_t size, int64_t *from, int64_t *to) {
  int64_t a = o * stride - pad, b = a + k;
  *from = a < 0 ? 0 : a;
  *to = b > size ? size : b;
}

/* One image a step; channels innermost. */
#define PC_TEMPLATE "tensor/conv/pool.inc"
#include "base/float_types.inc"

static int run(pc_tensor **out, pool *p, const pc_tensor *x, const pc_tensor *other, int small, pc_range_fn f32,
               pc_range_fn f64) {
  pc_tensor *a = NULL, *b = NULL;
  pc_dtype d = pc_float_dtype(x, other);
  int64_t size[4] = {p->n, small ? p->oh : p->h, small ? p->ow : p->w, p->c};
  int rc;
  *out = NULL;
  if ((rc = pc_take(&a, (pc_tensor *[]){(pc_tensor *)x}, 1, d)) < 0 ||
      (other && (rc = pc_take(&b, (pc_tensor *[]){(pc_tensor *)other}, 1, d)) < 0) ||
      (rc = pc_tensor_empty(out, d, 4, size)) < 0)
    goto done;
  p->x = pc_data(a);
  p->g = p->u = b ? pc_data(b) : pc_data(a);
  p->y = pc_data(*out);
  int64_t each = p->h * p->w * p->c;
  if (each) pc_parallel_for(p->n, each >= 16384 ? 1 : 16384 / each + 1, d == PC_F32 ? f32 : f64, p);
done:
  pc_tensor_release(a);
  pc_tensor_release(b);
  return rc;
}

int pc_fwd_avg_pool2d(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pool p = {0};
  int rc = geometry("avg_pool2d", &p, in[0], v);
  return rc < 0 ? rc : run(out, &p, in[0], NULL, 1, average_f32, average_f64);
}

int pc_fwd_max_pool2d(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pool p = {0};
  int rc = geometry("max_pool2d", &p, in[0], v);
  return rc < 0 ? rc : run(out, &p, in[0], NULL, 1, maximum_f32, maximum_f64);
}

int pc_fwd_avg_pool2d_adjoint(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *g = in[0];
  pool p = {0};
  int rc = window("avg_pool2d_adjoint", &p, v);
  if (rc < 0) return rc;
  pair(&v[3], 0, 0, &p.h, &p.w);
  if (g->ndim == 4) p.n = g->size[0], p.oh = g->size[1], p.ow = g->size[2], p.c = g->size[3];
  if (g->ndim != 4 || p.h + 2 * p.py < p.kh || p.w + 2 * p.px < p.kw || p.oh != (p.h + 2 * p.py - p.kh) / p.sy + 1 ||
      p.ow != (p.w + 2 * p.px - p.kw) / p.sx + 1)
    return pc_fail(PC_ESHAPE, "avg_pool2d_adjoint: g %s is not the size of a pooling of (%lld,%lld) pixels",
                   pc_shape_str(g), (long long)p.h, (long long)p.w);
  return run(out, &p, g, NULL, 0, average_adjoint_f32, average_adjoint_f64);
}

static int winners(pool *p, const char *op, const pc_tensor *x, const pc_tensor *other, int small, const pc_val *v) {
  int rc = geometry(op, p, x, v);
  if (rc < 0) return rc;
  int64_t want[4] = {p->n, small ? p->oh : p->h, small ? p->ow : p->w, p->c};
  if (other->ndim == 4 && !memcmp(other->size, want, sizeof want)) return PC_OK;
  return pc_fail(PC_ESHAPE, "%s: operands %s and %s do not belong together", op, pc_shape_str(x), pc_shape_str(other));
}

int pc_fwd_max_pool2d_backward(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pool p = {0};
  int rc = winners(&p, "max_pool2d_backward", in[1], in[0], 1, v);
  return rc < 0 ? rc : run(out, &p, in[1], in[0], 0, maximum_backward_f32, maximum_backward_f64);
}

int pc_fwd_max_pool2d_take(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pool p = {0};
  int rc = winners(&p, "max_pool2d_take", in[0], in[1], 0, v);
  return rc < 0 ? rc : run(out, &p, in[0], in[1], 1, maximum_take_f32, maximum_take_f64);
}

/* ---- resampling: a source pair and a weight for each output row and column ---- */

typedef struct axis {
  int64_t *a, *b; /* source positions */
  double *t;      /* value = (1-t) at a + t at b */
} axis;

typedef struct resample {
  int64_t n, h, w, c, oh, ow;
  axis y, x;
  const void *src;
  void *dst;
} resample;

static int axis_make(axis *ax, int64_t out, int64_t in, int bilinear, int align, double scale) {
  double step = scale > 0 ? 1 / scale : (double)in / (double)out;
  if (align) step = out > 1 ? (double)(in - 1) / (double)(out - 1) : 0;
  ax->a = pc_malloc((size_t)(out ? out : 1) * (2 * sizeof(int64_t) + sizeof(double)));
  if (!ax->a) return PC_ENOMEM;
  ax->b = ax->a + out;
  ax->t = (double *)(ax->b + out);
  for (int64_t o = 0; o < out; o++) {
    double at = align ? (double)o * step : bilinear ? ((double)o + 0.5) * step - 0.5 : floor((double)o * step);
    if (at < 0) at = 0;
    if (at > (double)(in - 1)) at = (double)(in - 1);
    ax->a[o] = (int64_t)at;
    ax->b[o] = ax->a[o] + 1 < in ? ax->a[o] + 1 : ax->a[o];
    ax->t[o] = bilinear ? at - (double)ax->a[o] : 0;
  }
  return PC_OK;
}

#define PC_TEMPLATE "tensor/conv/resample.inc"
#include "base/float_types.inc"

static int read_mode(const char *op, const pc_val *mode, const pc_val *align, int *bilinear) {
  const char *m = mode->set && mode->s ? mode->s : "nearest";
  *bilinear = !strcmp(m, "bilinear");
  if (!*bilinear && strcmp(m, "nearest"))
    return pc_fail(PC_EARG, "%s: mode '%s' is not known; use 'nearest' or 'bilinear'", op, m);
  if (align->set && align->i && !*bilinear) return pc_fail(PC_EARG, "%s: align_corners goes with mode 'bilinear'", op);
  return PC_OK;
}

/* big: (oh,ow) is the destination; else it is the source and (h,w) the destination. */
static int run_resample(pc_tensor **out, resample *r, const pc_tensor *src, int adjoint, int bilinear, int align,
                        double scale) {
  pc_tensor *a = NULL;
  pc_dtype d = pc_float_dtype(src, NULL);
  int64_t size[4] = {r->n, adjoint ? r->h : r->oh, adjoint ? r->w : r->ow, r->c};
  int rc;
  *out = NULL;
  if ((rc = axis_make(&r->y, r->oh, r->h, bilinear, align, scale)) < 0 ||
      (rc = axis_make(&r->x, r->ow, r->w, bilinear, align, scale)) < 0 ||
      (rc = pc_take(&a, (pc_tensor *[]){(pc_tensor *)src}, 1, d)) < 0 || (rc = pc_tensor_empty(out, d, 4, size)) < 0)
    goto done;
  r->src = pc_data(a);
  r->dst = pc_data(*out);
  int64_t each = r->oh * r->ow * r->c;
  pc_range_fn f =
      d == PC_F32 ? (adjoint ? upsample_adjoint_f32 : upsample_f32) : (adjoint ? upsample_adjoint_f64 : upsample_f64);
  if (each) pc_parallel_for(r->n, each >= 16384 ? 1 : 16384 / each + 1, f, r);
done:
  pc_tensor_release(a);
  pc_free(r->y.a);
  pc_free(r->x.a);
  return rc;
}

int pc_fwd_upsample(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *x = in[0];
  resample r = {0};
  int bilinear, rc = read_mode("upsample", &v[2], &v[3], &bilinear);
  *out = NULL;
  if (rc < 0) return rc;
  if (x->ndim != 4) return pc_fail(PC_ESHAPE, "upsample: x %s must be (N,H,W,C)", pc_shape_str(x));
  r.n = x->size[0], r.h = x->size[1], r.w = x->size[2], r.c = x->size[3];
  double scale = v[1].set ? v[1].d : 0;
  if (v[0].set == (scale != 0))
    return pc_fail(PC_EARG, "upsample: give either size {H,W} or scale_factor%s", v[0].set ? ", not both" : "");
  if (v[0].set) {
    pair(&v[0], 0, 0, &r.oh, &r.ow);
  } else {
    r.oh = (int64_t)floor((double)r.h * scale);
    r.ow = (int64_t)floor((double)r.w * scale);
  }
  if (r.oh < 1 || r.ow < 1 || r.h < 1 || r.w < 1)
    return pc_fail(PC_ESHAPE, "upsample: x %s to %lld x %lld pixels: every side needs at least one", pc_shape_str(x),
                   (long long)r.oh, (long long)r.ow);
  return run_resample(out, &r, x, 0, bilinear, v[3].set && v[3].i, scale);
}

int pc_fwd_upsample_adjoint(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *g = in[0];
  resample r = {0};
  int bilinear, rc = read_mode("upsample_adjoint", &v[1], &v[2], &bilinear);
  *out = NULL;
  if (rc < 0) return rc;
  pair(&v[0], 0, 0, &r.h, &r.w);
  if (g->ndim != 4 || r.h < 1 || r.w < 1)
    return pc_fail(PC_ESHAPE, "upsample_adjoint: g %s must be (N,H,W,C), the size at least 1", pc_shape_str(g));
  r.n = g->size[0], r.oh = g->size[1], r.ow = g->size[2], r.c = g->size[3];
  return run_resample(out, &r, g, 1, bilinear, v[2].set && v[2].i, v[3].set ? v[3].d : 0);
}
