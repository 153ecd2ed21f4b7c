/* mask.c: taking elements by a mask. */
#include <string.h>

#include "tensor/index.h"

static int check_mask(const char *op, const pc_tensor *mask) {
  if (mask->dtype == PC_U8) return PC_OK;
  return pc_fail(PC_EDTYPE, "%s: mask must be u8, is %s; comparisons like x:gt(0) make masks", op,
                 pc_dtype_name((pc_dtype)mask->dtype));
}

/* t broadcast to (ndim, size) and contiguous */
static int spread(pc_tensor **out, const pc_tensor *t, int ndim, const int64_t *size) {
  pc_tensor *wide = NULL;
  int rc = pc_view_expand(&wide, t, ndim, size);
  *out = NULL;
  if (rc == PC_OK) rc = pc_contiguous(out, wide);
  pc_tensor_release(wide);
  return rc;
}

static int64_t count_ones(const pc_tensor *mask) {
  const uint8_t *m = pc_u8(mask);
  int64_t n = pc_numel(mask), ones = 0;
  for (int64_t i = 0; i < n; i++) ones += m[i] != 0;
  return ones;
}

#define PACK(T)                            \
  {                                        \
    T *d = to;                             \
    const T *s = from;                     \
    for (int64_t i = 0, k = 0; i < n; i++) \
      if (mask[i]) d[k++] = s[i];          \
    break;                                 \
  }
#define UNPACK(T)                          \
  {                                        \
    T *d = to;                             \
    const T *s = from;                     \
    for (int64_t i = 0, k = 0; i < n; i++) \
      if (mask[i]) d[i] = s[k++];          \
    break;                                 \
  }

static void pack(void *to, const void *from, const uint8_t *mask, int64_t n, size_t width) {
  switch (width) {
    case 4: PACK(uint32_t)
    case 8: PACK(uint64_t)
    default: PACK(uint8_t)
  }
}

static void unpack(void *to, const void *from, const uint8_t *mask, int64_t n, size_t width) {
  switch (width) {
    case 4: UNPACK(uint32_t)
    case 8: UNPACK(uint64_t)
    default: UNPACK(uint8_t)
  }
}

int pc_fwd_masked_select(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *x = NULL, *m = NULL;
  int64_t size[PC_MAX_DIM], ones;
  int ndim, rc = check_mask("masked_select", in[1]);
  *out = NULL;
  if (rc < 0 || (rc = pc_broadcast_shape("masked_select", in[0], in[1], &ndim, size)) < 0) return rc;
  if ((rc = spread(&x, in[0], ndim, size)) < 0 || (rc = spread(&m, in[1], ndim, size)) < 0) goto done;
  ones = count_ones(m);
  if ((rc = pc_tensor_empty(out, (pc_dtype)x->dtype, 1, &ones)) < 0) goto done;
  pack(pc_data(*out), pc_data(x), pc_u8(m), pc_numel(m), pc_dtype_size((pc_dtype)x->dtype));
done:
  pc_tensor_release(x);
  pc_tensor_release(m);
  return rc;
}

/* g (1-dim) back into zeros of size v[0], where the mask (broadcast to it) is set. */
int pc_fwd_masked_select_grad(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *g = NULL, *m = NULL;
  int rc = check_mask("masked_select_grad", in[1]);
  *out = NULL;
  if (rc < 0 || (rc = spread(&m, in[1], v[0].nl, v[0].l)) < 0 || (rc = pc_contiguous(&g, in[0])) < 0) goto done;
  if (g->ndim != 1 || count_ones(m) != g->size[0]) {
    rc = pc_fail(PC_ESHAPE, "masked_select_grad: gradient of shape %s for a mask with %lld ones", pc_shape_str(g),
                 (long long)count_ones(m));
    goto done;
  }
  if ((rc = pc_tensor_zeros(out, (pc_dtype)g->dtype, v[0].nl, v[0].l)) < 0) goto done;
  unpack(pc_data(*out), pc_data(g), pc_u8(m), pc_numel(m), pc_dtype_size((pc_dtype)g->dtype));
done:
  pc_tensor_release(g);
  pc_tensor_release(m);
  return rc;
}
