/* conv_ref.c: convolution as its definition reads. */
#include "tensor/conv/conv.h"

/* Position on the big side of tap k at small position o; the caller checks the bounds. */
#define AT(o, k, s, p, d) ((o) * (s) - (p) + (k) * (d))

#define REF(T)                                                                                                      \
  static void forward_##T(const pc_conv_geo *g, T *y, const T *x, const T *w, const T *bias) {                      \
    int64_t cg = g->c / g->groups, og = g->o / g->groups;                                                           \
    for (int64_t i = 0; i < g->n * g->oh * g->ow * g->o; i++) {                                                     \
      int64_t o = i % g->o, ox = i / g->o % g->ow, oy = i / g->o / g->ow % g->oh, n = i / g->o / g->ow / g->oh;     \
      double s = bias ? bias[o] : 0;                                                                                \
      for (int64_t ky = 0; ky < g->kh; ky++)                                                                        \
        for (int64_t kx = 0; kx < g->kw; kx++) {                                                                    \
          int64_t iy = AT(oy, ky, g->sy, g->py, g->dy), ix = AT(ox, kx, g->sx, g->px, g->dx);                       \
          if (iy < 0 || iy >= g->h || ix < 0 || ix >= g->w) continue;                                               \
          const T *xp = x + ((n * g->h + iy) * g->w + ix) * g->c + o / og * cg;                                     \
          const T *wp = w + ((o * g->kh + ky) * g->kw + kx) * cg;                                                   \
          for (int64_t c = 0; c < cg; c++) s += (double)xp[c] * wp[c];                                              \
        }                                                                                                           \
      y[i] = (T)s;                                                                                                  \
    }                                                                                                               \
  }                                                                                                                 \
  static void transpose_##T(const pc_conv_geo *g, T *x, const T *y, const T *w, const T *bias) {                    \
    int64_t cg = g->c / g->groups, og = g->o / g->groups;                                                           \
    for (int64_t i = 0; i < g->n * g->h * g->w * g->c; i++) {                                                       \
      int64_t c = i % g->c, ix = i / g->c % g->w, iy = i / g->c / g->w % g->h, n = i / g->c / g->w / g->h;          \
      double s = bias ? bias[c] : 0;                                                                                \
      for (int64_t ky = 0; ky < g->kh; ky++)                                                                        \
        for (int64_t kx = 0; kx < g->kw; kx++) {                                                                    \
          int64_t ty = iy + g->py - ky * g->dy, tx = ix + g->px - kx * g->dx;                                       \
          if (ty < 0 || tx < 0 || ty % g->sy || tx % g->sx || ty / g->sy >= g->oh || tx / g->sx >= g->ow) continue; \
          const T *yp = y + ((n * g->oh + ty / g->sy) * g->ow + tx / g->sx) * g->o;                                 \
          for (int64_t o = c / cg * og; o < (c / cg + 1) * og; o++)                                                 \
            s += (double)yp[o] * w[((o * g->kh + ky) * g->kw + kx) * cg + c % cg];                                  \
        }                                                                                                           \
      x[i] = (T)s;                                                                                                  \
    }                                                                                                               \
  }                                                                                                                 \
  static void weight_##T(const pc_conv_geo *g, T *gw, const T *x, const T *y) {                                     \
    int64_t cg = g->c / g->groups, og = g->o / g->groups;                                                           \
    for (int64_t i = 0; i < g->o * g->kh * g->kw * cg; i++) {                                                       \
      int64_t c = i % cg, kx = i / cg % g->kw, ky = i / cg / g->kw % g->kh, o = i / cg / g->kw / g->kh;             \
      double s = 0;                                                                                                 \
      for (int64_t p = 0; p < g->n * g->oh * g->ow; p++) {                                                          \
        int64_t ox = p % g->ow, oy = p / g->ow % g->oh, n = p / g->ow / g->oh;                                      \
        int64_t iy = AT(oy, ky, g->sy, g->py, g->dy), ix = AT(ox, kx, g->sx, g->px, g->dx);                         \
        if (iy < 0 || iy >= g->h || ix < 0 || ix >= g->w) continue;                                                 \
        s += (double)x[((n * g->h + iy) * g->w + ix) * g->c + o / og * cg + c] * y[p * g->o + o];                   \
      }                                                                                                             \
      gw[i] = (T)s;                                                                                                 \
    }                                                                                                               \
  }
REF(float)
REF(double)

void pc_conv_forward_ref(pc_dtype d, const pc_conv_geo *k, void *y, const void *x, const void *w, const void *bias) {
  if (d == PC_F32)
    forward_float(k, y, x, w, bias);
  else
    forward_double(k, y, x, w, bias);
}

void pc_conv_transpose_ref(pc_dtype d, const pc_conv_geo *k, void *x, const void *y, const void *w, const void *bias) {
  if (d == PC_F32)
    transpose_float(k, x, y, w, bias);
  else
    transpose_double(k, x, y, w, bias);
}

void pc_conv_weight_ref(pc_dtype d, const pc_conv_geo *k, void *gw, const void *x, const void *y) {
  if (d == PC_F32)
    weight_float(k, gw, x, y);
  else
    weight_double(k, gw, x, y);
}
