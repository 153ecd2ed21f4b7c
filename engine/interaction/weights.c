#include "interaction/weights.h"

#include <math.h>

#include "base/alloc.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"

static int check(const char *name, const pc_tensor *a) {
  if (a->ndim == 3) return PC_OK;
  return pc_fail(PC_ESHAPE, "%s: slot attention or a slot Jacobian (B,Q,K) is expected, got %s", name, pc_shape_str(a));
}

/* Largest values over a dimension, and where they are. */
static pc_tensor *largest(pc_scope *s, pc_tensor *x, int dim, pc_tensor **where) {
  pc_tensor *out[2] = {NULL};
  if (s->rc < 0 || !x || pc_note(s, pc_apply(PC_OP_max, out, &x, 1, (pc_val[]){PC_VI(dim), PC_VI(0)}, 2)) < 0)
    return NULL;
  for (int i = 0; i < 2; i++) pc_own(s, out[i]);
  if (where) *where = out[1];
  return out[0];
}

static pc_tensor *jis(pc_scope *s, pc_tensor *a, pc_tensor *masks, double background) {
  double k = (double)a->size[2];
  pc_tensor *total = pc_sum(s, a, 1, (int[]){2}, 0);
  pc_tensor *use = pc_to(s, pc_gt(s, total, pc_number(s, 0)), PC_F64);
  if (masks) {
    pc_tensor *labels = pc_reshape(s, masks, 2, a->size);
    use = pc_mul(s, use, pc_to(s, pc_ne(s, labels, pc_number(s, background)), PC_F64));
  }
  pc_tensor *most = pc_div(s, largest(s, a, 2, NULL), pc_add_scalar(s, total, 1e-30));
  pc_tensor *v = pc_div(s, pc_add_scalar(s, pc_to(s, most, PC_F64), -1 / k), pc_number(s, 1 - 1 / k));
  return pc_div(s, pc_sum(s, pc_mul(s, v, use), 1, (int[]){1}, 0), pc_sum(s, use, 1, (int[]){1}, 0));
}

int pc_weights_jis(pc_tensor **out, pc_tensor *a, pc_tensor *masks, double background) {
  const char *name = "interaction.jis";
  *out = NULL;
  int rc = check(name, a);
  if (rc < 0) return rc;
  if (a->size[2] < 2) return pc_fail(PC_EARG, "%s: one slot alone cannot interact; K must be at least 2", name);
  if (masks && pc_numel(masks) != a->size[0] * a->size[1])
    return pc_fail(PC_ESHAPE, "%s: masks %s are not one label for each of the %lld pixels of %lld images", name,
                   pc_shape_str(masks), (long long)a->size[1], (long long)a->size[0]);
  pc_scope s = {0};
  int was = pc_grad_set_enabled(0);
  *out = jis(&s, a, masks, background);
  pc_grad_set_enabled(was);
  return pc_scope_end(&s, out, 1);
}

/* ---- the slot of each pixel ---- */

/* Along dimension dim of x (B,h,w,K) to `size`, linear between the centres of places, the last one kept outside of
 * them. */
static pc_tensor *resize_along(pc_scope *s, pc_tensor *x, int dim, int64_t size) {
  if (!x || x->size[dim] == size) return x;
  int64_t from = x->size[dim], shape[4] = {1, 1, 1, 1};
  pc_tensor *low = NULL, *high = NULL, *weight = NULL;
  if (pc_note(s, pc_tensor_empty(&low, PC_I64, 1, &size)) < 0) return NULL;
  pc_own(s, low);
  if (pc_note(s, pc_tensor_empty(&high, PC_I64, 1, &size)) < 0) return NULL;
  pc_own(s, high);
  shape[dim] = size;
  if (pc_note(s, pc_tensor_empty(&weight, PC_F64, 4, shape)) < 0) return NULL;
  pc_own(s, weight);
  for (int64_t i = 0; i < size; i++) {
    double at = fmin(fmax((i + 0.5) * (double)from / (double)size + 0.5, 1), (double)from), below = floor(at);
    pc_i64(low)[i] = (int64_t)below - 1 + PC_INDEX_BASE;
    pc_i64(high)[i] = (int64_t)fmin(below + 1, (double)from) - 1 + PC_INDEX_BASE;
    pc_f64(weight)[i] = at - below;
  }
  pc_tensor *w = pc_to(s, weight, (pc_dtype)x->dtype);
  pc_tensor *a = pc_mul(s, pc_index_select(s, x, dim, low), pc_rsub_scalar(s, 1, w));
  return pc_add(s, a, pc_mul(s, pc_index_select(s, x, dim, high), w));
}

int pc_weights_segment(pc_tensor **out, pc_tensor *a, int64_t height, int64_t width, const char *name) {
  *out = NULL;
  int rc = check(name, a);
  if (rc < 0) return rc;
  int64_t q = a->size[1];
  double rows = floor(sqrt((double)q * (double)height / (double)width) + 0.5);
  int64_t h = height > 0 && width > 0 && rows >= 1 ? (int64_t)rows : 0;
  if (!h || q % h || fabs((double)(q / h) / (double)h - (double)width / (double)height) > 1e-6)
    return pc_fail(PC_ESHAPE, "%s: %lld places are no grid in the proportions of %lld x %lld", name, (long long)q,
                   (long long)height, (long long)width);
  pc_scope s = {0};
  int was = pc_grad_set_enabled(0);
  pc_tensor *map = pc_reshape(&s, a, 4, (int64_t[]){a->size[0], h, q / h, a->size[2]});
  largest(&s, resize_along(&s, resize_along(&s, map, 1, height), 2, width), 3, out);
  pc_grad_set_enabled(was);
  return pc_scope_end(&s, out, 1);
}
