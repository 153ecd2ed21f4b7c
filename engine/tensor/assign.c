/* assign.c: masked and indexed assignment, by rows. */
#include "tensor/assign.h"

#include <string.h>

#include "base/alloc.h"

/* Copies src, broadcast to (n, row sizes of t), into the n rows at the given
 * element offsets; rows are t without its first `lead` dimensions. */
static int assign_rows(pc_tensor *t, int lead, const int64_t *at, int64_t n, const pc_tensor *src) {
  int ndim = t->ndim - lead + 1;
  int64_t size[PC_MAX_DIM + 1] = {n};
  memcpy(size + 1, t->size + lead, sizeof(int64_t) * (size_t)(ndim - 1));
  pc_tensor *wide = NULL, *flat = NULL, *row = NULL;
  int rc = ndim > PC_MAX_DIM ? pc_fail(PC_ESHAPE, "assignment: a 0-dim mask on %d dimensions", t->ndim)
                             : pc_view_expand(&wide, src, ndim, size);
  if (rc == PC_ENOMEM) return rc;
  if (rc < 0) {
    rc = pc_fail(PC_ESHAPE, "assignment: values of shape %s do not broadcast to the %s that is picked",
                 pc_shape_str(src), pc_dims_str(ndim, size));
    goto done;
  }
  if ((rc = pc_to_dtype(&flat, wide, (pc_dtype)t->dtype)) < 0) goto done;
  if (flat == wide || !pc_is_contiguous(flat) || flat->storage == t->storage) { /* values may overlap the destination */
    pc_tensor_release(flat);
    if ((rc = pc_clone(&flat, wide)) < 0) goto done;
  }
  if ((rc = pc_view_strided(&row, t, ndim - 1, t->size + lead, t->stride + lead, t->offset)) < 0) goto done;
  size_t item = pc_dtype_size((pc_dtype)t->dtype);
  int64_t len = pc_numel(row);
  char *data = t->storage->data;
  t->storage->version++;
  if (pc_is_contiguous(row)) {
    for (int64_t k = 0; k < n; k++)
      memcpy(data + (size_t)at[k] * item, (char *)pc_data(flat) + (size_t)(k * len) * item, (size_t)len * item);
    goto done;
  }
  pc_tensor part = *flat;
  part.ndim = (uint8_t)(ndim - 1);
  memcpy(part.size, flat->size + 1, sizeof(int64_t) * (size_t)(ndim - 1));
  memcpy(part.stride, flat->stride + 1, sizeof(int64_t) * (size_t)(ndim - 1));
  for (int64_t k = 0; k < n && rc == PC_OK; k++) {
    row->offset = at[k];
    part.offset = flat->offset + k * len;
    rc = pc_copy_into(row, &part);
  }
done:
  pc_tensor_release(row);
  pc_tensor_release(flat);
  pc_tensor_release(wide);
  return rc;
}

int pc_assign_mask(pc_tensor *t, const pc_tensor *mask, const pc_tensor *src) {
  if (mask->dtype != PC_U8)
    return pc_fail(PC_EDTYPE, "assignment: a mask is u8, this one is %s", pc_dtype_name((pc_dtype)mask->dtype));
  if (mask->ndim > t->ndim || memcmp(mask->size, t->size, sizeof(int64_t) * mask->ndim))
    return pc_fail(PC_ESHAPE, "assignment: a mask of shape %s does not fit a tensor of shape %s", pc_shape_str(mask),
                   pc_shape_str(t));
  int64_t total = pc_numel(mask), n = 0;
  int64_t *at = pc_malloc(sizeof(int64_t) * (size_t)(total ? total : 1));
  if (!at) return PC_ENOMEM;
  for (int64_t i = 0; i < total; i++) {
    if (pc_at(mask, i) == 0) continue;
    int64_t offset = t->offset, left = i;
    for (int d = mask->ndim - 1; d >= 0; d--) {
      offset += left % mask->size[d] * t->stride[d];
      left /= mask->size[d];
    }
    at[n++] = offset;
  }
  int rc = assign_rows(t, mask->ndim, at, n, src);
  pc_free(at);
  return rc;
}

/* View of t with dimension dim moved to the front. */
static int to_front(pc_tensor **out, const pc_tensor *t, int dim) {
  int perm[PC_MAX_DIM], k = 0;
  perm[k++] = dim;
  for (int d = 0; d < t->ndim; d++)
    if (d != dim) perm[k++] = d;
  return pc_view_permute(out, t, perm);
}

/* src broadcast to t's shape with size[dim] replaced by the index's sizes; these flattened and in front. */
static int index_values(pc_tensor **out, const pc_tensor *t, int dim, const pc_tensor *index, const pc_tensor *src) {
  int64_t size[2 * PC_MAX_DIM], n = pc_numel(index);
  int ndim = t->ndim - 1 + index->ndim;
  pc_tensor *wide = NULL, *flat = NULL;
  if (ndim > PC_MAX_DIM) return pc_fail(PC_ESHAPE, "assignment: more than %d dimensions are picked", PC_MAX_DIM);
  memcpy(size, t->size, sizeof(int64_t) * (size_t)dim);
  memcpy(size + dim, index->size, sizeof(int64_t) * index->ndim);
  memcpy(size + dim + index->ndim, t->size + dim + 1, sizeof(int64_t) * (size_t)(t->ndim - 1 - dim));
  int rc = pc_view_expand(&wide, src, ndim, size);
  if (rc == PC_ENOMEM) return rc;
  if (rc < 0)
    return pc_fail(PC_ESHAPE, "assignment: values of shape %s do not broadcast to the %s that is picked",
                   pc_shape_str(src), pc_dims_str(ndim, size));
  if (index->ndim != 1) {
    pc_tensor *whole = NULL;
    rc = pc_clone(&whole, wide);
    memcpy(size, t->size, sizeof(int64_t) * t->ndim);
    size[dim] = n;
    if (rc == PC_OK) rc = pc_view_reshape(&flat, whole, t->ndim, size);
    pc_tensor_release(whole);
  } else {
    flat = pc_tensor_retain(wide);
  }
  if (rc == PC_OK) rc = to_front(out, flat, dim);
  pc_tensor_release(flat);
  pc_tensor_release(wide);
  return rc;
}

int pc_assign_index(pc_tensor *t, int dim, const pc_tensor *index, const pc_tensor *src) {
  if (index->dtype != PC_I64 && index->dtype != PC_I32)
    return pc_fail(PC_EDTYPE, "assignment: positions are i64, these are %s; use x:long()",
                   pc_dtype_name((pc_dtype)index->dtype));
  if (t->ndim == 0) return pc_fail(PC_EINDEX, "assignment: a 0-dim tensor has no dimension to pick positions from");
  int64_t n = pc_numel(index), *at = pc_malloc(sizeof(int64_t) * (size_t)(n ? n : 1));
  pc_tensor *front = NULL, *values = NULL;
  int rc = at ? PC_OK : PC_ENOMEM;
  for (int64_t i = 0; i < n && rc == PC_OK; i++) {
    int64_t p = (int64_t)pc_at(index, i), k = p < 0 ? p + t->size[dim] : p - PC_INDEX_BASE;
    if (p == 0 || k < 0 || k >= t->size[dim])
      rc = pc_fail(PC_EINDEX, "assignment: position %lld is out of bounds for dimension %d of %s", (long long)p,
                   dim + 1, pc_shape_str(t));
    else
      at[i] = t->offset + k * t->stride[dim];
  }
  if (rc == PC_OK) rc = to_front(&front, t, dim);
  if (rc == PC_OK) rc = index_values(&values, t, dim, index, src);
  if (rc == PC_OK) rc = assign_rows(front, 1, at, n, values);
  pc_tensor_release(values);
  pc_tensor_release(front);
  pc_free(at);
  return rc;
}
