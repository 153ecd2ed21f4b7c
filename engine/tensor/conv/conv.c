#include "tensor/conv/conv.h"

#include <stdio.h>
#include <string.h>

#include "tensor/gemm/matmul.h"
#include "tensor/tile.h"

/* ---- arguments ---- */

/* A size2 argument, or its default for both. */
static int pair(const char *op, const char *name, const pc_val *v, int64_t otherwise, int64_t least, int64_t *y,
                int64_t *x) {
  *y = *x = otherwise;
  if (v->set && v->nl >= 1) {
    *y = v->l[0];
    *x = v->nl > 1 ? v->l[1] : v->l[0];
  }
  if (*y >= least && *x >= least) return PC_OK;
  return pc_fail(PC_EARG, "%s: %s {%lld,%lld} must be at least %lld", op, name, (long long)*y, (long long)*x,
                 (long long)least);
}

static int window(const char *op, pc_conv_geo *g, const pc_val *stride, const pc_val *padding, const pc_val *dilation,
                  const pc_val *groups) {
  int rc;
  if ((rc = pair(op, "stride", stride, 1, 1, &g->sy, &g->sx)) < 0 ||
      (rc = pair(op, "padding", padding, 0, 0, &g->py, &g->px)) < 0 ||
      (rc = pair(op, "dilation", dilation, 1, 1, &g->dy, &g->dx)) < 0)
    return rc;
  g->groups = groups->set ? groups->i : 1;
  if (g->groups < 1) return pc_fail(PC_EARG, "%s: groups = %lld must be at least 1", op, (long long)g->groups);
  return PC_OK;
}

static int check_ranks(const char *op, const pc_tensor *x, const pc_tensor *w, const char *wshape) {
  if (x->ndim != 4)
    return pc_fail(PC_ESHAPE, "%s: x %s must be (N,H,W,C)%s", op, pc_shape_str(x),
                   x->ndim == 3 ? "; one image? unsqueeze(1) it" : "");
  if (w->ndim != 4) return pc_fail(PC_ESHAPE, "%s: weight %s must be %s", op, pc_shape_str(w), wshape);
  if (w->size[0] < 1 || w->size[1] < 1 || w->size[2] < 1 || w->size[3] < 1)
    return pc_fail(PC_ESHAPE, "%s: weight %s has an empty dimension", op, pc_shape_str(w));
  return PC_OK;
}

static int channels_differ(const char *op, const pc_tensor *x, const pc_tensor *w, int64_t want, const char *wshape) {
  const char *hint = x->size[1] == want ? "; images are channels last: did you mean x:permute(1,3,4,2)?" : "";
  return pc_fail(PC_ESHAPE, "%s: x %s has %lld channels (its last dimension), weight %s %s takes %lld%s", op,
                 pc_shape_str(x), (long long)x->size[3], pc_shape_str(w), wshape, (long long)want, hint);
}

static int check_bias(const char *op, const pc_tensor *b, int64_t out, const pc_tensor *w) {
  if (!b || (b->ndim == 1 && b->size[0] == out)) return PC_OK;
  return pc_fail(PC_ESHAPE, "%s: bias %s must be (%lld): the output channels of weight %s", op, pc_shape_str(b),
                 (long long)out, pc_shape_str(w));
}

/* Contiguous operands of one dtype; pc_drop(o.t, 3) lets go of them. */
typedef struct operands {
  pc_dtype d;
  pc_tensor *t[3];
} operands;

static int take(operands *o, pc_tensor *const *in, int nin) {
  *o = (operands){.d = pc_float_dtype(in[0], in[1])};
  return pc_take(o->t, in, nin < 3 ? nin : 3, o->d);
}

static int finish(int rc, pc_tensor **out) {
  if (rc < 0) {
    pc_tensor_release(*out);
    *out = NULL;
  }
  return rc;
}

/* ---- ops ---- */

static int conv2d(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v, int relu) {
  static const char wshape[] = "(O,kh,kw,I/groups)";
  const pc_tensor *x = in[0], *w = in[1];
  pc_conv_geo g = {0};
  operands o = {0};
  int rc = window("conv2d", &g, &v[0], &v[1], &v[2], &v[3]);
  *out = NULL;
  if (rc < 0 || (rc = check_ranks("conv2d", x, w, wshape)) < 0) return rc;
  g.n = x->size[0], g.h = x->size[1], g.w = x->size[2], g.c = x->size[3];
  g.o = w->size[0], g.kh = w->size[1], g.kw = w->size[2];
  if (g.c != w->size[3] * g.groups) return channels_differ("conv2d", x, w, w->size[3] * g.groups, wshape);
  if (g.o % g.groups)
    return pc_fail(PC_EARG, "conv2d: groups = %lld does not divide the %lld output channels of weight %s",
                   (long long)g.groups, (long long)g.o, pc_shape_str(w));
  if ((rc = check_bias("conv2d", nin > 2 ? in[2] : NULL, g.o, w)) < 0) return rc;
  int64_t ey = g.h + 2 * g.py - g.dy * (g.kh - 1) - 1, ex = g.w + 2 * g.px - g.dx * (g.kw - 1) - 1;
  if (ey < 0 || ex < 0)
    return pc_fail(
        PC_ESHAPE, "conv2d: kernel of weight %s (dilation {%lld,%lld}) is larger than x %s padded by {%lld,%lld}",
        pc_shape_str(w), (long long)g.dy, (long long)g.dx, pc_shape_str(x), (long long)g.py, (long long)g.px);
  g.oh = ey / g.sy + 1;
  g.ow = ex / g.sx + 1;
  if ((rc = take(&o, in, nin)) < 0 || (rc = pc_tensor_empty(out, o.d, 4, (int64_t[]){g.n, g.oh, g.ow, g.o})) < 0)
    goto done;
  rc = pc_conv_forward(o.d, &g, pc_data(*out), pc_data(o.t[0]), pc_data(o.t[1]), pc_data_or_null(o.t[2]),
                       (pc_conv_fused){.relu = relu});
done:
  pc_drop(o.t, 3);
  return finish(rc, out);
}

static int conv_transpose2d(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v, int relu) {
  static const char op[] = "conv_transpose2d", wshape[] = "(I,kh,kw,O/groups)";
  const pc_tensor *x = in[0], *w = in[1];
  pc_conv_geo g = {0};
  operands o = {0};
  int64_t ay, ax; /* output padding: which of the stride's possible sizes */
  int rc = window(op, &g, &v[0], &v[1], &v[4], &v[3]);
  *out = NULL;
  if (rc < 0 || (rc = pair(op, "output_padding", &v[2], 0, 0, &ay, &ax)) < 0 ||
      (rc = check_ranks(op, x, w, wshape)) < 0)
    return rc;
  g.n = x->size[0], g.oh = x->size[1], g.ow = x->size[2], g.o = x->size[3];
  g.kh = w->size[1], g.kw = w->size[2], g.c = w->size[3] * g.groups;
  if (g.o != w->size[0]) return channels_differ(op, x, w, w->size[0], wshape);
  if (g.o % g.groups)
    return pc_fail(PC_EARG, "%s: groups = %lld does not divide the %lld input channels of x %s", op,
                   (long long)g.groups, (long long)g.o, pc_shape_str(x));
  if ((rc = check_bias(op, nin > 2 ? in[2] : NULL, g.c, w)) < 0) return rc;
  if (ay >= g.sy || ax >= g.sx)
    return pc_fail(PC_EARG, "%s: output_padding {%lld,%lld} must be smaller than stride {%lld,%lld}", op, (long long)ay,
                   (long long)ax, (long long)g.sy, (long long)g.sx);
  g.h = (g.oh - 1) * g.sy - 2 * g.py + g.dy * (g.kh - 1) + ay + 1;
  g.w = (g.ow - 1) * g.sx - 2 * g.px + g.dx * (g.kw - 1) + ax + 1;
  if (g.oh < 1 || g.ow < 1 || g.h < 1 || g.w < 1)
    return pc_fail(PC_ESHAPE, "%s: x %s with weight %s, padding {%lld,%lld} gives an output of %lld x %lld pixels", op,
                   pc_shape_str(x), pc_shape_str(w), (long long)g.py, (long long)g.px, (long long)g.h, (long long)g.w);
  if ((rc = take(&o, in, nin)) < 0 || (rc = pc_tensor_empty(out, o.d, 4, (int64_t[]){g.n, g.h, g.w, g.c})) < 0)
    goto done;
  rc = pc_conv_transpose(o.d, &g, pc_data(*out), pc_data(o.t[0]), pc_data(o.t[1]), pc_data_or_null(o.t[2]),
                         (pc_conv_fused){.relu = relu});
done:
  pc_drop(o.t, 3);
  return finish(rc, out);
}

int pc_fwd_conv2d(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return conv2d(out, in, nin, v, 0);
}
int pc_fwd_conv2d_relu(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return conv2d(out, in, nin, v, 1);
}
int pc_fwd_conv_transpose2d(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return conv_transpose2d(out, in, nin, v, 0);
}
int pc_fwd_conv_transpose2d_relu(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return conv_transpose2d(out, in, nin, v, 1);
}

int pc_fwd_conv2d_weight(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  static const char op[] = "conv2d_weight";
  const pc_tensor *x = in[0], *y = in[1];
  pc_conv_geo g = {0};
  operands o = {0};
  int rc = window(op, &g, &v[0], &v[1], &v[2], &v[3]);
  *out = NULL;
  if (rc < 0 || (rc = pair(op, "kernel", &v[4], 1, 1, &g.kh, &g.kw)) < 0) return rc;
  if (x->ndim != 4 || y->ndim != 4 || x->size[0] != y->size[0] || x->size[3] % g.groups || y->size[3] % g.groups)
    return pc_fail(PC_ESHAPE, "%s: x %s and gy %s with groups = %lld do not belong together", op, pc_shape_str(x),
                   pc_shape_str(y), (long long)g.groups);
  g.n = x->size[0], g.h = x->size[1], g.w = x->size[2], g.c = x->size[3];
  g.oh = y->size[1], g.ow = y->size[2], g.o = y->size[3];
  int64_t ey = g.h + 2 * g.py - g.dy * (g.kh - 1) - 1, ex = g.w + 2 * g.px - g.dx * (g.kw - 1) - 1;
  if (ey < 0 || ex < 0 || ey / g.sy + 1 != g.oh || ex / g.sx + 1 != g.ow)
    return pc_fail(PC_ESHAPE, "%s: gy %s is not the size of a convolution of x %s with this kernel", op,
                   pc_shape_str(y), pc_shape_str(x));
  if ((rc = take(&o, in, 2)) < 0 ||
      (rc = pc_tensor_empty(out, o.d, 4, (int64_t[]){g.o, g.kh, g.kw, g.c / g.groups})) < 0)
    goto done;
  rc = pc_conv_weight(o.d, &g, pc_data(*out), pc_data(o.t[0]), pc_data(o.t[1]), (pc_conv_fused){0});
done:
  pc_drop(o.t, 3);
  return finish(rc, out);
}

/* ---- gradients of a convolution with relu ---- */

/* geo: its window is set. in: g, on, x or NULL, weight. */
static int relu_backward(pc_tensor **out, pc_tensor *const *in, const pc_val *v, pc_conv_geo *geo, int transposed) {
  operands o = {0};
  const pc_tensor *g = in[0], *on = in[1], *w = in[3];
  const int64_t *size = v[PC_CONV_SIZE].l, *large = transposed ? g->size : size, *little = transposed ? size : g->size;
  int64_t need = v[PC_CONV_NEED].i;
  if (g->ndim != 4 || w->ndim != 4 || v[PC_CONV_SIZE].nl != 4 || (need & 2 && !in[2]))
    return pc_fail(PC_ESHAPE, "conv: g %s, weight %s and the size of x must have four dimensions", pc_shape_str(g),
                   pc_shape_str(w));
  geo->n = large[0], geo->h = large[1], geo->w = large[2], geo->c = large[3];
  geo->oh = little[1], geo->ow = little[2], geo->o = little[3];
  geo->kh = w->size[1], geo->kw = w->size[2];
  if (on->dtype != PC_U8 || !pc_same_shape(on, g) || !pc_is_contiguous(on))
    return pc_fail(PC_ESHAPE, "conv: where %s %s is positive cannot be said by %s %s",
                   pc_dtype_name((pc_dtype)g->dtype), pc_shape_str(g), pc_dtype_name((pc_dtype)on->dtype),
                   pc_shape_str(on));
  int rc = take(&o, (pc_tensor *[]){in[0], in[3], in[2]}, 3);
  const uint8_t *mask = pc_u8(on);
  if (rc == PC_OK && need & 2 && (rc = pc_tensor_empty(&out[1], o.d, 4, w->size)) == PC_OK) {
    void *a = pc_data(o.t[transposed ? 0 : 2]), *b = pc_data(o.t[transposed ? 2 : 0]);
    pc_conv_fused f = {.mask = transposed ? mask : NULL, .mask_gy = transposed ? NULL : mask};
    rc = pc_conv_weight(o.d, geo, pc_data(out[1]), a, b, f);
  }
  if (rc == PC_OK && need & 4) rc = pc_fwd_column_sums(&out[2], (pc_tensor *[]){o.t[0], in[1]}, 2, NULL);
  if (rc == PC_OK && need & 1 && (rc = pc_tensor_empty(&out[0], o.d, 4, size)) == PC_OK)
    rc = (transposed ? pc_conv_forward : pc_conv_transpose)(o.d, geo, pc_data(out[0]), pc_data(o.t[0]), pc_data(o.t[1]),
                                                            NULL, (pc_conv_fused){.mask = mask});
  pc_drop(o.t, 3);
  for (int i = 0; i < 3; i++) finish(rc, &out[i]);
  return rc;
}

int pc_fwd_conv2d_relu_backward(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_conv_geo geo = {0};
  out[0] = out[1] = out[2] = NULL;
  int rc = window("conv2d_relu", &geo, &v[0], &v[1], &v[2], &v[3]);
  return rc < 0 ? rc : relu_backward(out, in, v, &geo, 0);
}

int pc_fwd_conv_transpose2d_relu_backward(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_conv_geo geo = {0};
  out[0] = out[1] = out[2] = NULL;
  int rc = window("conv_transpose2d_relu", &geo, &v[0], &v[1], &v[4], &v[3]);
  return rc < 0 ? rc : relu_backward(out, in, v, &geo, 1);
}
