/* cofactor.c: the cofactors of square matrices, which exist where the inverse does not. */
#include <lapacke.h>
#include <math.h>

#include "base/alloc.h"
#include "tensor/linalg/linalg.h"

/* The determinant of an orthogonal matrix (n,n), which is lost: 1 or -1. */
static double handedness(double *q, lapack_int n, lapack_int *piv) {
  double sign = 1;
  LAPACKE_dgetrf(LAPACK_ROW_MAJOR, n, n, q, n, piv);
  for (lapack_int i = 0; i < n; i++) sign *= (piv[i] != i + 1) == (q[i * n + i] > 0) ? -1 : 1;
  return sign;
}

/* a = u diag(s) vh: cof(a) = det(u) det(vh) u diag(p) vh with p_i the product of all s but s_i. In place. */
static int cofactor(double *a, int64_t n, double *work, lapack_int *piv) {
  double *u = work, *vh = u + n * n, *s = vh + n * n, *p = s + n, *keep = p + n, sign;
  lapack_int size = (lapack_int)n;
  if (LAPACKE_dgesdd(LAPACK_ROW_MAJOR, 'A', size, size, a, size, s, u, size, vh, size))
    return pc_fail(PC_ENUM, "det: no convergence for the gradient of a singular matrix; is it badly scaled?");
  for (int64_t i = 0; i < n; i++) {
    p[i] = 1;
    for (int64_t j = 0; j < n; j++) p[i] *= j == i ? 1 : s[j];
  }
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) {
      a[i * n + j] = 0;
      for (int64_t k = 0; k < n; k++) a[i * n + j] += u[i * n + k] * p[k] * vh[k * n + j];
    }
  for (int64_t i = 0; i < n * n; i++) keep[i] = u[i];
  sign = handedness(keep, size, piv) * handedness(vh, size, piv);
  for (int64_t i = 0; i < n * n; i++) a[i] *= sign;
  return PC_OK;
}

int pc_fwd_cofactor(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *a = in[0];
  pc_tensor *dense = NULL, *wide = NULL, *c = NULL;
  *out = NULL;
  if (a->ndim < 2 || a->size[a->ndim - 1] != a->size[a->ndim - 2])
    return pc_fail(PC_ESHAPE, "cofactor: the matrices of a %s are not square", pc_shape_str(a));
  int64_t n = a->size[a->ndim - 1], each = n * n, batch = each ? pc_numel(a) / each : 0;
  double *work = pc_malloc(sizeof(double) * (size_t)(3 * each + 2 * n + 1));
  lapack_int *piv = pc_malloc(sizeof *piv * (size_t)(n + 1));
  int rc = work && piv ? pc_contiguous(&dense, a) : PC_ENOMEM;
  if (rc == PC_OK) rc = pc_to_dtype(&wide, dense, PC_F64);
  if (rc == PC_OK) rc = pc_clone(&c, wide);
  for (int64_t i = 0; rc == PC_OK && i < pc_numel(c); i++)
    if (!isfinite(pc_f64(c)[i])) rc = pc_fail(PC_ENUM, "det: the matrix contains NaN or infinity");
  for (int64_t b = 0; rc == PC_OK && b < batch; b++) rc = cofactor(pc_f64(c) + b * each, n, work, piv);
  if (rc == PC_OK) rc = pc_to_dtype(out, c, pc_float_dtype(a, NULL));
  pc_tensor_release(dense);
  pc_tensor_release(wide);
  pc_tensor_release(c);
  pc_free(work);
  pc_free(piv);
  return rc;
}
