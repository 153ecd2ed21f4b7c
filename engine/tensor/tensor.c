#include "tensor/tensor.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

void (*pc_tensor_ad_release)(struct pc_autograd *ad);

/* A small tensor is one block in place of three: storage, handle, data. A chain of tiny ops is bound by
 * allocations and by the cache lines they touch. The handle counts as one more reference to the storage it
 * was made with, so that the block outlives a handle that moved to another storage and a view that
 * outlives the handle. Under the address sanitizer every tensor has its own blocks, so that it sees their ends. */
enum { AT_HANDLE = 64, AT_DATA = 64 * (1 + (sizeof(pc_tensor) + 63) / 64), WHOLE_UP_TO = 1024 };
_Static_assert(sizeof(pc_storage) <= AT_HANDLE, "the storage must fit in front of the handle");
#if defined(__SANITIZE_ADDRESS__)
#define WHOLE(bytes) 0
#else
#define WHOLE(bytes) ((bytes) <= WHOLE_UP_TO)
#endif

static const struct {
  const char *name;
  size_t size;
  int is_float;
} dtypes[] = {
#define X(e, t, n, f) {n, sizeof(t), f},
    PC_DTYPE_MAP(X)
#undef X
};

size_t pc_dtype_size(pc_dtype d) { return dtypes[d].size; }
const char *pc_dtype_name(pc_dtype d) { return (unsigned)d < PC_DTYPE_COUNT ? dtypes[d].name : "?"; }
int pc_dtype_is_float(pc_dtype d) { return dtypes[d].is_float; }

int pc_dtype_parse(pc_dtype *out, const char *name) {
  static const struct {
    const char *name;
    pc_dtype d;
  } also[] = {{"float", PC_F32}, {"float32", PC_F32}, {"double", PC_F64}, {"float64", PC_F64},
              {"long", PC_I64},  {"int64", PC_I64},   {"int", PC_I32},    {"int32", PC_I32},
              {"byte", PC_U8},   {"uint8", PC_U8},    {"bool", PC_U8}};
  for (int i = 0; i < PC_DTYPE_COUNT; i++)
    if (!strcmp(name, dtypes[i].name)) return *out = (pc_dtype)i, PC_OK;
  for (size_t i = 0; i < sizeof also / sizeof *also; i++)
    if (!strcmp(name, also[i].name)) return *out = also[i].d, PC_OK;
  return pc_fail(PC_EDTYPE, "unknown dtype '%s': known are f32, f64, i64, i32, u8", name);
}

pc_dtype pc_dtype_promote(pc_dtype a, pc_dtype b) {
  if (a == b) return a;
  if (a == PC_F64 || b == PC_F64) return PC_F64;
  if (a == PC_F32 || b == PC_F32) return PC_F32;
  if (a == PC_I64 || b == PC_I64) return PC_I64;
  return PC_I32; /* i32 with u8 */
}

pc_dtype pc_float_dtype(const pc_tensor *a, const pc_tensor *b) {
  pc_dtype d = b ? pc_dtype_promote(a->dtype, b->dtype) : (pc_dtype)a->dtype;
  return pc_dtype_is_float(d) ? d : PC_F32;
}

/* ---- devices ---- */

enum { MAX_DEVICES = 16 };
static const char *devices[MAX_DEVICES] = {"cpu"};

int pc_device_register(pc_device *out, const char *name) {
  for (int i = 0; i < MAX_DEVICES; i++) {
    if (devices[i] && strcmp(devices[i], name)) continue;
    devices[i] = name;
    *out = (pc_device)i;
    return PC_OK;
  }
  return pc_fail(PC_EARG, "device %s: there are %d already", name, MAX_DEVICES);
}

const char *pc_device_name(pc_device d) { return d < MAX_DEVICES && devices[d] ? devices[d] : "?"; }

/* ---- facts ---- */

int64_t pc_numel(const pc_tensor *t) {
  int64_t n = 1;
  for (int i = 0; i < t->ndim; i++) n *= t->size[i];
  return n;
}

int pc_is_contiguous(const pc_tensor *t) {
  int64_t expect = 1;
  for (int i = t->ndim - 1; i >= 0; i--) {
    if (t->size[i] == 0) return 1;
    if (t->size[i] != 1 && t->stride[i] != expect) return 0;
    expect *= t->size[i];
  }
  return 1;
}

int pc_is_sole(const pc_tensor *t) {
  const pc_storage *s = t->storage;
  return t->refs == 1 && s->refs == 1 + (t->within && (const char *)s == (const char *)t - AT_HANDLE);
}

int pc_same_shape(const pc_tensor *a, const pc_tensor *b) {
  return a->ndim == b->ndim && !memcmp(a->size, b->size, sizeof(int64_t) * a->ndim);
}

void *pc_data(const pc_tensor *t) { return (char *)t->storage->data + (size_t)t->offset * dtypes[t->dtype].size; }

const char *pc_dims_str(int ndim, const int64_t *size) {
  static _Thread_local char ring[8][200];
  static _Thread_local int next;
  char *s = ring[next = (next + 1) % 8];
  int n = snprintf(s, 200, "(");
  for (int i = 0; i < ndim && n < 180; i++) n += snprintf(s + n, 200 - n, i ? ",%lld" : "%lld", (long long)size[i]);
  snprintf(s + n, 200 - n, ")");
  return s;
}

const char *pc_shape_str(const pc_tensor *t) { return pc_dims_str(t->ndim, t->size); }

/* ---- life ---- */

static void storage_release(pc_storage *s) {
  if (!s || --s->refs) return;
  if (s->release)
    s->release(s->owner);
  else if (!s->whole)
    pc_free(s->data);
  pc_free(s);
}

static void contiguous_strides(pc_tensor *t) {
  int64_t n = 1;
  for (int i = t->ndim - 1; i >= 0; i--) {
    t->stride[i] = n;
    n *= t->size[i] > 0 ? t->size[i] : 1;
  }
}

/* PC_OK and the bytes of the elements, if there can be such a tensor. */
static int check_shape(int64_t *bytes, pc_dtype d, int ndim, const int64_t *size) {
  if (ndim < 0 || ndim > PC_MAX_DIM)
    return pc_fail(PC_ESHAPE, "a tensor has 0 to %d dimensions, not %d", PC_MAX_DIM, ndim);
  int64_t n = (int64_t)dtypes[d].size, empty = 0;
  for (int i = 0; i < ndim; i++) {
    empty |= size[i] == 0;
    if (size[i] < 0) return pc_fail(PC_ESHAPE, "negative size in shape %s", pc_dims_str(ndim, size));
    if (size[i] && __builtin_mul_overflow(n, size[i], &n))
      return pc_fail(PC_ENOMEM, "shape %s is too large to address", pc_dims_str(ndim, size));
  }
  *bytes = empty ? 0 : n;
  return PC_OK;
}

static void handle_fill(pc_tensor *t, pc_dtype d, int ndim, const int64_t *size) {
  memset(t, 0, sizeof *t);
  t->refs = 1;
  t->dtype = (uint8_t)d;
  t->ndim = (uint8_t)ndim;
  if (ndim) memcpy(t->size, size, sizeof(int64_t) * (size_t)ndim);
  contiguous_strides(t);
}

static int handle_new(pc_tensor **out, pc_dtype d, int ndim, const int64_t *size) {
  int64_t bytes;
  int rc = check_shape(&bytes, d, ndim, size);
  *out = NULL;
  if (rc < 0) return rc;
  pc_tensor *t = pc_malloc(sizeof *t);
  if (!t) return PC_ENOMEM;
  handle_fill(t, d, ndim, size);
  *out = t;
  return PC_OK;
}

static pc_storage *storage_new(void) {
  pc_storage *s = pc_malloc(sizeof *s);
  if (s) *s = (pc_storage){.refs = 1};
  return s;
}

/* The three in one block; NULL without memory. */
static pc_tensor *whole_new(size_t bytes) {
  char *block = pc_malloc(AT_DATA + bytes);
  if (!block) return NULL;
  pc_storage *s = (pc_storage *)block;
  *s = (pc_storage){.refs = 2, .data = block + AT_DATA, .whole = 1};
  return (pc_tensor *)(block + AT_HANDLE);
}

/* Each in its own; NULL without memory. */
static pc_tensor *parts_new(size_t bytes, pc_storage **storage) {
  pc_tensor *t = pc_malloc(sizeof *t);
  pc_storage *s = t ? storage_new() : NULL;
  if (s) s->data = pc_malloc(bytes);
  if (s && s->data) return *storage = s, t;
  pc_free(s);
  pc_free(t);
  return NULL;
}

int pc_tensor_empty(pc_tensor **out, pc_dtype d, int ndim, const int64_t *size) {
  int64_t bytes;
  int rc = check_shape(&bytes, d, ndim, size), whole;
  *out = NULL;
  if (rc < 0) return rc;
  pc_storage *s = NULL;
  whole = WHOLE(bytes);
  pc_tensor *t = whole ? whole_new((size_t)bytes) : parts_new((size_t)bytes, &s);
  if (!t)
    return pc_fail(PC_ENOMEM, "out of memory for a %s tensor of shape %s (%.1f MiB)", dtypes[d].name,
                   pc_dims_str(ndim, size), (double)bytes / (1 << 20));
  handle_fill(t, d, ndim, size);
  t->within = (uint8_t)whole;
  t->storage = whole ? (pc_storage *)((char *)t - AT_HANDLE) : s;
  t->storage->bytes = (size_t)bytes;
  *out = t;
  return PC_OK;
}

int pc_tensor_zeros(pc_tensor **out, pc_dtype d, int ndim, const int64_t *size) {
  int rc = pc_tensor_empty(out, d, ndim, size);
  if (rc == PC_OK) memset((*out)->storage->data, 0, (*out)->storage->bytes);
  return rc;
}

int pc_tensor_full(pc_tensor **out, pc_dtype d, int ndim, const int64_t *size, double value) {
  int rc = pc_tensor_empty(out, d, ndim, size);
  return rc < 0 ? rc : pc_fill(*out, value);
}

int pc_tensor_scalar(pc_tensor **out, pc_dtype d, double value) { return pc_tensor_full(out, d, 0, NULL, value); }

int pc_tensor_wrap(pc_tensor **out, pc_dtype d, int ndim, const int64_t *size, void *data, void (*release)(void *),
                   void *owner) {
  pc_tensor *t;
  int rc = handle_new(&t, d, ndim, size);
  *out = NULL;
  if (rc < 0) return rc;
  pc_storage *s = storage_new();
  if (!s) {
    pc_free(t);
    return PC_ENOMEM;
  }
  s->data = data;
  s->bytes = (size_t)pc_numel(t) * dtypes[d].size;
  s->release = release;
  s->owner = owner;
  t->storage = s;
  *out = t;
  return PC_OK;
}

int pc_tensor_from(pc_tensor **out, pc_dtype d, int ndim, const int64_t *size, const void *data) {
  int rc = pc_tensor_empty(out, d, ndim, size);
  if (rc == PC_OK && (*out)->storage->bytes) memcpy((*out)->storage->data, data, (*out)->storage->bytes);
  return rc;
}

pc_tensor *pc_tensor_retain(pc_tensor *t) {
  if (t) t->refs++;
  return t;
}

void pc_tensor_release(pc_tensor *t) {
  if (!t || --t->refs) return;
  assert(t->refs == 0);
  if (t->ad) pc_tensor_ad_release(t->ad);
  storage_release(t->storage);
  if (t->within)
    storage_release((pc_storage *)((char *)t - AT_HANDLE));
  else
    pc_free(t);
}

void pc_tensor_rebase(pc_tensor *t, pc_storage *storage, int64_t offset) {
  storage->refs++;
  storage_release(t->storage);
  t->storage = storage;
  t->offset = offset;
  contiguous_strides(t);
}

/* ---- views ---- */

int pc_view_strided(pc_tensor **out, const pc_tensor *t, int ndim, const int64_t *size, const int64_t *stride,
                    int64_t offset) {
  pc_tensor *v;
  int rc = handle_new(&v, t->dtype, ndim, size);
  *out = NULL;
  if (rc < 0) return rc;
  if (ndim) memcpy(v->stride, stride, sizeof(int64_t) * (size_t)ndim);
  v->offset = offset;
  v->storage = t->storage;
  v->storage->refs++;
  *out = v;
  return PC_OK;
}

int pc_view_alias(pc_tensor **out, const pc_tensor *t) {
  return pc_view_strided(out, t, t->ndim, t->size, t->stride, t->offset);
}

int pc_view_permute(pc_tensor **out, const pc_tensor *t, const int *perm) {
  int64_t size[PC_MAX_DIM], stride[PC_MAX_DIM];
  unsigned seen = 0;
  for (int i = 0; i < t->ndim; i++) {
    if (perm[i] < 0 || perm[i] >= t->ndim || (seen >> perm[i] & 1))
      return pc_fail(PC_EARG, "permute: the %d dims given are not a permutation of the dims of %s", t->ndim,
                     pc_shape_str(t));
    seen |= 1u << perm[i];
    size[i] = t->size[perm[i]];
    stride[i] = t->stride[perm[i]];
  }
  return pc_view_strided(out, t, t->ndim, size, stride, t->offset);
}

static int check_dim(const char *op, const pc_tensor *t, int dim) {
  if (dim >= 0 && dim < t->ndim) return PC_OK;
  return pc_fail(PC_EINDEX, "%s: no dimension %d in a tensor of shape %s", op, dim + PC_INDEX_BASE, pc_shape_str(t));
}

int pc_view_narrow(pc_tensor **out, const pc_tensor *t, int dim, int64_t start, int64_t length, int64_t step) {
  int rc = check_dim("narrow", t, dim);
  *out = NULL;
  if (rc < 0) return rc;
  if (step < 1 || start < 0 || length < 0 ||
      (length > 0 &&
       (start >= t->size[dim] || length - 1 > (t->size[dim] - 1 - start) / step))) /* no product: it wraps */
    return pc_fail(PC_EINDEX, "narrow: start %lld, length %lld, step %lld leave dimension %d of shape %s",
                   (long long)start + PC_INDEX_BASE, (long long)length, (long long)step, dim + PC_INDEX_BASE,
                   pc_shape_str(t));
  if ((rc = pc_view_alias(out, t)) < 0) return rc;
  (*out)->size[dim] = length;
  if (length > 1) (*out)->stride[dim] *= step; /* else it has no meaning, and step no bound */
  if (length) (*out)->offset += start * t->stride[dim];
  return PC_OK;
}

int pc_view_select(pc_tensor **out, const pc_tensor *t, int dim, int64_t index) {
  int64_t size[PC_MAX_DIM], stride[PC_MAX_DIM];
  int rc = check_dim("select", t, dim), n = 0;
  *out = NULL;
  if (rc < 0) return rc;
  if (index < 0 || index >= t->size[dim])
    return pc_fail(PC_EINDEX, "select: index %lld is outside dimension %d of shape %s",
                   (long long)index + PC_INDEX_BASE, dim + PC_INDEX_BASE, pc_shape_str(t));
  for (int i = 0; i < t->ndim; i++)
    if (i != dim) size[n] = t->size[i], stride[n++] = t->stride[i];
  return pc_view_strided(out, t, n, size, stride, t->offset + index * t->stride[dim]);
}

int pc_view_expand(pc_tensor **out, const pc_tensor *t, int ndim, const int64_t *size) {
  int64_t s[PC_MAX_DIM], st[PC_MAX_DIM];
  int lead = ndim - t->ndim;
  *out = NULL;
  if (lead < 0 || ndim > PC_MAX_DIM) goto bad;
  for (int i = 0; i < ndim; i++) {
    int64_t have = i < lead ? 1 : t->size[i - lead];
    s[i] = size[i] == -1 ? have : size[i];
    if (s[i] != have && have != 1) goto bad;
    st[i] = i < lead || have != s[i] ? 0 : t->stride[i - lead];
  }
  return pc_view_strided(out, t, ndim, s, st, t->offset);
bad:
  return pc_fail(PC_ESHAPE, "expand: shape %s does not expand to %s: only dimensions of size 1 do", pc_shape_str(t),
                 pc_dims_str(ndim, size));
}

int pc_view_unsqueeze(pc_tensor **out, const pc_tensor *t, int dim) {
  int64_t size[PC_MAX_DIM + 1], stride[PC_MAX_DIM + 1];
  *out = NULL;
  if (dim < 0 || dim > t->ndim)
    return pc_fail(PC_EINDEX, "unsqueeze: position %d in a tensor of shape %s", dim + PC_INDEX_BASE, pc_shape_str(t));
  for (int i = 0, j = 0; i <= t->ndim; i++) {
    size[i] = i == dim ? 1 : t->size[j];
    stride[i] = i == dim ? (j < t->ndim ? t->size[j] * t->stride[j] : 1) : t->stride[j];
    if (i != dim) j++;
  }
  return pc_view_strided(out, t, t->ndim + 1, size, stride, t->offset);
}

int pc_view_squeeze(pc_tensor **out, const pc_tensor *t, int dim) {
  int64_t size[PC_MAX_DIM], stride[PC_MAX_DIM];
  int n = 0;
  *out = NULL;
  if (dim != -1) {
    int rc = check_dim("squeeze", t, dim);
    if (rc < 0) return rc;
  }
  for (int i = 0; i < t->ndim; i++)
    if (t->size[i] != 1 || (dim != -1 && dim != i)) size[n] = t->size[i], stride[n++] = t->stride[i];
  return pc_view_strided(out, t, n, size, stride, t->offset);
}

int pc_resolve_shape(const char *op, const pc_tensor *t, int ndim, int64_t *size) {
  int64_t known = 1, n = pc_numel(t);
  int hole = -1;
  for (int i = 0; i < ndim; i++) {
    if (size[i] == -1 && hole < 0)
      hole = i;
    else if (size[i] < 0)
      return pc_fail(PC_ESHAPE, "%s: shape %s: at most one size may be -1", op, pc_dims_str(ndim, size));
    else if (size[i] && __builtin_mul_overflow(known, size[i], &known))
      return pc_fail(PC_ESHAPE, "%s: shape %s is too large", op, pc_dims_str(ndim, size));
    else if (!size[i])
      known = 0;
  }
  if (hole >= 0 && known > 0 && n % known == 0) return size[hole] = n / known, PC_OK;
  if (hole < 0 && known == n) return PC_OK;
  return pc_fail(PC_ESHAPE, "%s: %s has %lld elements, they do not fill shape %s", op, pc_shape_str(t), (long long)n,
                 pc_dims_str(ndim, size));
}

/* Walks old and new dims together: a run of old dims that is contiguous among
 * itself (stride[i] == size[i+1]*stride[i+1]) can be cut anew at will. */
int pc_view_reshape(pc_tensor **out, const pc_tensor *t, int ndim, const int64_t *shape) {
  int64_t size[PC_MAX_DIM], stride[PC_MAX_DIM];
  int rc;
  *out = NULL;
  if (ndim > PC_MAX_DIM) return pc_fail(PC_ESHAPE, "view: %d dimensions; at most %d", ndim, PC_MAX_DIM);
  if (ndim) memcpy(size, shape, sizeof(int64_t) * (size_t)ndim);
  if ((rc = pc_resolve_shape("view", t, ndim, size)) < 0) return rc;
  int64_t n = pc_numel(t);
  if (n == 0) {
    int64_t s = 1;
    for (int i = ndim - 1; i >= 0; i--) stride[i] = s, s *= size[i] ? size[i] : 1;
    return pc_view_strided(out, t, ndim, size, stride, t->offset);
  }
  int v = ndim - 1, chunk_last = t->ndim - 1;
  int64_t base = t->ndim ? t->stride[t->ndim - 1] : 1, tnum = 1, vnum = 1;
  while (chunk_last >= 0 && t->size[chunk_last] == 1) chunk_last--; /* trailing ones have no stride of their own */
  if (chunk_last >= 0) base = t->stride[chunk_last];
  for (int i = chunk_last; i >= 0; i--) {
    tnum *= t->size[i];
    int p = i - 1;
    while (p >= 0 && t->size[p] == 1) p--;
    if (p < 0 || t->stride[p] != tnum * base) { /* the run ends here */
      while (v >= 0 && (vnum < tnum || size[v] == 1)) {
        stride[v] = vnum * base;
        vnum *= size[v--];
      }
      if (vnum != tnum)
        return pc_fail(PC_ESHAPE, "view: the strides of %s allow no view of shape %s; use reshape, which copies",
                       pc_shape_str(t), pc_dims_str(ndim, size));
      if (p >= 0) base = t->stride[p];
      tnum = vnum = 1;
      i = p + 1;
    }
  }
  while (v >= 0) stride[v--] = 1; /* only ones left */
  return pc_view_strided(out, t, ndim, size, stride, t->offset);
}

int pc_broadcast_shape(const char *op, const pc_tensor *a, const pc_tensor *b, int *ndim, int64_t *size) {
  int n = a->ndim > b->ndim ? a->ndim : b->ndim;
  for (int i = 0; i < n; i++) {
    int ia = i - (n - a->ndim), ib = i - (n - b->ndim);
    int64_t sa = ia < 0 ? 1 : a->size[ia], sb = ib < 0 ? 1 : b->size[ib];
    if (sa != sb && sa != 1 && sb != 1)
      return pc_fail(PC_ESHAPE, "%s: shapes %s and %s do not broadcast: dimension %d from the right is %lld and %lld",
                     op, pc_shape_str(a), pc_shape_str(b), n - i, (long long)sa, (long long)sb);
    size[i] = sa == 1 ? sb : sa;
  }
  *ndim = n;
  return PC_OK;
}
