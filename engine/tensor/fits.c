/* fits.c: may elements go into another dtype without becoming other numbers? */
#include <math.h>

#include "tensor/tensor.h"

/* What integers of dtype d hold: low <= x < top. */
static void range_of(pc_dtype d, double *low, double *top) {
  *low = d == PC_U8 ? 0 : d == PC_I32 ? -0x1p31 : -0x1p63;
  *top = d == PC_U8 ? 256 : d == PC_I32 ? 0x1p31 : 0x1p63;
}

/* Place of the first of n elements that does not fit, or n. A fraction fits when it is to be cut. */
#define FIRST(T)                                             \
  {                                                          \
    const T *x = p;                                          \
    for (int64_t i = 0; i < n; i++) {                        \
      double v = cut ? trunc((double)x[i]) : (double)x[i];   \
      if (!(v >= low && v < top) || v != floor(v)) return i; \
    }                                                        \
    return n;                                                \
  }
static int64_t first_misfit(const void *p, pc_dtype from, int64_t n, double low, double top, int cut) {
  switch (from) {
    case PC_F32: FIRST(float)
    case PC_F64: FIRST(double)
    case PC_I64: FIRST(int64_t)
    default: FIRST(int32_t)
  }
}

int pc_check_fits(const char *op, const pc_tensor *t, pc_dtype d, int cut) {
  double low, top;
  pc_tensor *c;
  if (pc_dtype_is_float(d) || t->dtype == d || t->dtype == PC_U8 || (t->dtype == PC_I32 && d == PC_I64)) return PC_OK;
  int rc = pc_contiguous(&c, t);
  if (rc < 0) return rc;
  range_of(d, &low, &top);
  int64_t n = pc_numel(c), i = first_misfit(pc_data(c), (pc_dtype)c->dtype, n, low, top, cut);
  if (i < n && t->dtype == PC_I64)
    rc = pc_fail(PC_EARG, "%s%s%lld does not fit into %s", op ? op : "", op ? ": " : "", (long long)pc_at_i64(c, i),
                 pc_dtype_name(d));
  else if (i < n)
    rc = pc_fail(PC_EARG, "%s%s%.15g does not fit into %s%s", op ? op : "", op ? ": " : "", pc_at(c, i),
                 pc_dtype_name(d), !cut && pc_at(c, i) != floor(pc_at(c, i)) ? ", which holds whole numbers only" : "");
  pc_tensor_release(c);
  return rc;
}
