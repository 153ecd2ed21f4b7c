/* pw_gelu.c: derivatives of GELU of any order; see pointwise.h.
 *
 * gelu'(x) = Phi(x) + x phi(x); from the second on gelu^(n)(x) = phi(x) p_n(x) with p_2 = 2 - x^2 and
 * p_(n+1) = p_n' - x p_n, because phi' = -x phi. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "base/simd.h"
#include "base/vmath.h"
#include "tensor/pointwise/pointwise.h"
#include "tensor/pw.h"
#include "tensor/tile.h"

enum { BLOCK = 256 };

/* Coefficients of p_n from x^0 to x^n, scaled by 1/sqrt(2 pi). order 1: none, the slope has its own function. */
typedef struct curve {
  int order;
  double c[PC_GELU_ORDERS + 2];
} curve;

static curve polynomial(int64_t order) {
  curve p = {.order = (int)order, .c = {[0] = 2 * 0.3989422804014327, [2] = -0.3989422804014327}};
  for (int64_t n = 2; n < order; n++) {
    double next[PC_GELU_ORDERS + 2] = {0};
    for (int i = 0; i <= PC_GELU_ORDERS; i++) {
      next[i] += (i + 1) * p.c[i + 1];
      next[i + 1] -= p.c[i];
    }
    memcpy(p.c, next, sizeof next);
  }
  return p;
}

/* ya = g gelu^(n)(x), yx = g a gelu^(n+1)(x) */
typedef struct both {
  curve low, high;
  const void *g, *a, *x;
  void *ya, *yx;
} both;

#define PC_TEMPLATE "tensor/pointwise/pw_gelu.inc"
#include "base/float_types.inc"

static int check(const char *op, int64_t order, int64_t most, const pc_tensor *a, const pc_tensor *x) {
  if (order < 1 || order > most)
    return pc_fail(PC_EARG, "%s: order %lld is not within 1 to %lld", op, (long long)order, (long long)most);
  if (!pc_same_shape(a, x) || a->dtype != x->dtype || !pc_dtype_is_float((pc_dtype)x->dtype))
    return pc_fail(PC_ESHAPE, "%s: factor %s %s, input %s %s", op, pc_dtype_name((pc_dtype)a->dtype), pc_shape_str(a),
                   pc_dtype_name((pc_dtype)x->dtype), pc_shape_str(x));
  return PC_OK;
}

int pc_fwd_gelu_derivative(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  static const pc_vec slope[2] = {{slope_f32}, {slope_f64}}, one[2] = {{one_f32}, {one_f64}};
  pc_tensor *a = in[0], *x = in[1];
  int64_t order = v[0].set ? v[0].i : 1;
  *out = NULL;
  int rc = check("gelu_derivative", order, PC_GELU_ORDERS, a, x);
  if (rc < 0 || (rc = pc_tensor_empty(out, (pc_dtype)x->dtype, x->ndim, x->size)) < 0) return rc;
  curve c = polynomial(order);
  pc_pw_run(*out, 2, (pc_tensor *[]){a, x}, &(order > 1 ? one : slope)[x->dtype], &c, PC_GRAIN_MATH);
  return PC_OK;
}

int pc_fwd_gelu_derivative_backward(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *t[3], *g = in[0], *a = in[1], *x = in[2];
  int64_t order = v[0].set ? v[0].i : 1;
  out[0] = out[1] = NULL;
  int rc = check("gelu_derivative_backward", order, PC_GELU_ORDERS - 1, a, x);
  if (rc == PC_OK) rc = check("gelu_derivative_backward", order, PC_GELU_ORDERS - 1, g, x);
  if (rc < 0) return rc;
  rc = pc_take(t, in, 3, (pc_dtype)x->dtype);
  for (int i = 0; i < 2 && rc == PC_OK; i++) rc = pc_tensor_empty(&out[i], (pc_dtype)x->dtype, x->ndim, x->size);
  if (rc == PC_OK) {
    both k = {.low = polynomial(order),
              .high = polynomial(order + 1),
              .g = pc_data(t[0]),
              .a = pc_data(t[1]),
              .x = pc_data(t[2]),
              .ya = pc_data(out[0]),
              .yx = pc_data(out[1])};
    pc_parallel_for(pc_numel(x), PC_GRAIN_MATH, x->dtype == PC_F32 ? both_f32 : both_f64, &k);
  }
  pc_drop(t, 3);
  if (rc < 0) {
    pc_tensor_release(out[0]);
    out[0] = NULL;
  }
  return rc;
}
