#include "tensor/reduce/rows.h"

#include <string.h>

#include "tensor/reduce/reduce.h"

int pc_dim(const char *op, const pc_tensor *x, int64_t dim, int *out) {
  int64_t d = dim < 0 ? dim + x->ndim : dim;
  if (x->ndim == 0 && (dim == 0 || dim == -1)) return *out = 0, PC_OK;
  if (d < 0 || d >= x->ndim)
    return pc_fail(PC_EINDEX, "%s: no dimension %lld in a tensor of shape %s", op,
                   (long long)(dim < 0 ? dim : dim + PC_INDEX_BASE), pc_shape_str(x));
  *out = (int)d;
  return PC_OK;
}

int pc_reduced_dims(const char *op, const pc_tensor *x, const pc_val *v, uint8_t reduced[PC_MAX_DIM]) {
  int all = !v->set || v->nl == 0;
  memset(reduced, all, PC_MAX_DIM);
  for (int i = 0; !all && i < v->nl; i++) {
    int d = 0, rc = pc_dim(op, x, v->l[i], &d);
    if (rc < 0) return rc;
    if (x->ndim && reduced[d]) return pc_fail(PC_EARG, "%s: dimension %d is given twice", op, d + PC_INDEX_BASE);
    reduced[d] = 1;
  }
  return PC_OK;
}

int pc_rows_init(pc_rows *r, const pc_tensor *x, const uint8_t *reduced, int keepdim) {
  int perm[PC_MAX_DIM], k = 0;
  *r = (pc_rows){.rows = 1, .n = 1};
  for (int d = 0; d < x->ndim; d++)
    if (!reduced[d]) {
      perm[k++] = d;
      r->rows *= x->size[d];
      r->size[r->ndim++] = x->size[d];
    } else if (keepdim) {
      r->size[r->ndim++] = 1;
    }
  for (int d = 0; d < x->ndim; d++)
    if (reduced[d]) perm[k++] = d, r->n *= x->size[d];
  pc_tensor *p;
  int rc = pc_view_permute(&p, x, perm);
  if (rc < 0) return rc;
  rc = pc_contiguous(&r->x, p);
  pc_tensor_release(p);
  return rc;
}

void pc_rows_done(pc_rows *r) {
  pc_tensor_release(r->x);
  r->x = NULL;
}

int pc_rows_along(pc_rows *r, const pc_tensor *x, int dim) {
  uint8_t reduced[PC_MAX_DIM] = {0};
  if (x->ndim) reduced[dim] = 1;
  int rc = pc_rows_init(r, x, reduced, 0);
  if (r->n == 0) r->rows = 0; /* however many: there is nothing in them */
  return rc;
}

int pc_rows_back(pc_tensor **out, pc_tensor *y, const pc_tensor *x, int dim) {
  int perm[PC_MAX_DIM], k = 0;
  if (x->ndim == 0) return *out = pc_tensor_retain(y), PC_OK;
  for (int d = 0; d < x->ndim; d++) perm[d] = d == dim ? x->ndim - 1 : k++;
  pc_tensor *p;
  int rc = pc_view_permute(&p, y, perm);
  *out = NULL;
  if (rc < 0) return rc;
  rc = pc_contiguous(out, p);
  pc_tensor_release(p);
  return rc;
}
