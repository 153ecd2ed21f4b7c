/* tensor_index.c: x[key] and x[key] = value.
 *
 * key is one of
 *   i                       entry i of dimension 1 (negative: from the end)
 *   { e1, e2, ... }         one entry a dimension, from the first on:
 *                             i            one position: the dimension goes away
 *                             {}           all of the dimension
 *                             {a, b}       positions a to b, both included
 *                             {a, b, s}    every s-th of them
 *                             {a}          position a, the dimension stays (size 1)
 *                             a tensor     these positions (i64) or this mask (u8, 1-dim); at most one of these
 *   a u8 tensor             a mask over the first dimensions
 *   an i64 or i32 tensor    positions in dimension 1
 * Numbers and ranges give views, tensors give copies. When every dimension is
 * picked by a number the result is a Lua number, or, when the tape tracks x, a
 * 0-dim tensor, so that gradients flow. Lists of positions are tensors, not
 * tables, because {1, 3} is a range.
 */
#include <math.h>
#include <string.h>

#include "bindings/tensor.h"
#include "tensor/assign.h"

/* A view under construction: cur is owned. */
typedef struct view {
  pc_tensor *cur;
  int dim;     /* next dimension of cur */
  int place;   /* next dimension of x, for messages */
  int numbers; /* only numbers so far */
  const pc_tensor *x;
  int tracked;
} view;

static void step(view *v, pc_tensor *next) {
  pc_tensor_release(v->cur);
  v->cur = next;
}

static int check(const view *v, int64_t p, int64_t n, int64_t *out) {
  int64_t k = p < 0 ? p + n : p - 1;
  if (p == 0 || k < 0 || k >= n)
    return pc_fail(PC_EINDEX, "index %lld is out of bounds for dimension %d of size %lld in a tensor of shape %s%s",
                   (long long)p, v->place + 1, (long long)n, pc_shape_str(v->x),
                   p == 0 ? "; positions count from 1" : "");
  *out = k;
  return PC_OK;
}

static int integer_at(lua_State *L, int idx, int64_t *out) {
  double d = lua_tonumber(L, idx);
  if (lua_type(L, idx) != LUA_TNUMBER || d != floor(d) || fabs(d) > 9e15)
    return pc_fail(PC_EINDEX, "index: expected an integer, got %s", pc_describe(L, idx));
  *out = (int64_t)d;
  return PC_OK;
}

static int pick(view *v, int64_t p) {
  int64_t k;
  pc_tensor *next = NULL;
  int rc = check(v, p, v->cur->size[v->dim], &k);
  if (rc < 0) return rc;
  pc_val val[2] = {PC_VI(v->dim), PC_VI(k)};
  rc = v->tracked ? pc_apply_named("select", &next, &v->cur, 1, val, 2) : pc_view_select(&next, v->cur, v->dim, k);
  if (rc < 0) return rc;
  step(v, next);
  v->place++;
  return PC_OK;
}

static int range(lua_State *L, view *v, int idx) {
  int n = (int)lua_objlen(L, idx), rc;
  int64_t e[3] = {1, -1, 1}, size = v->cur->size[v->dim], first, last;
  v->numbers = 0;
  if (n > 3) return pc_fail(PC_EINDEX, "index: a range is {}, {a}, {a, b} or {a, b, step}, not a table of %d", n);
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, idx, i + 1);
    rc = integer_at(L, lua_gettop(L), &e[i]);
    lua_pop(L, 1);
    if (rc < 0) return rc;
  }
  if (n == 1) e[1] = e[0];
  if (n == 0) {
    v->dim++, v->place++;
    return PC_OK;
  }
  if (e[2] < 1)
    return pc_fail(PC_EINDEX, "index: the step of a range is at least 1, not %lld; x:flip() reverses", (long long)e[2]);
  if ((rc = check(v, e[0], size, &first)) < 0 || (rc = check(v, e[1], size, &last)) < 0) return rc;
  if (last < first)
    return pc_fail(PC_EINDEX, "index: the range {%lld, %lld} of dimension %d of %s is empty", (long long)e[0],
                   (long long)e[1], v->place + 1, pc_shape_str(v->x));
  pc_tensor *next = NULL;
  int64_t length = (last - first) / e[2] + 1;
  pc_val val[4] = {PC_VI(v->dim), PC_VI(first), PC_VI(length), PC_VI(e[2])};
  rc = v->tracked ? pc_apply_named("narrow", &next, &v->cur, 1, val, 4)
                  : pc_view_narrow(&next, v->cur, v->dim, first, length, e[2]);
  if (rc < 0) return rc;
  step(v, next);
  v->dim++, v->place++;
  return PC_OK;
}

/* Follows a table of entries. A tensor entry is returned in *list with its dimension of the final view. */
static int follow(lua_State *L, view *v, int key, pc_tensor **list, int *list_dim) {
  int n = (int)lua_objlen(L, key), rc = PC_OK;
  if (n > v->x->ndim)
    return pc_fail(PC_EINDEX, "index: %d entries for a tensor of shape %s with %d dimensions", n, pc_shape_str(v->x),
                   v->x->ndim);
  for (int i = 1; i <= n && rc == PC_OK; i++) {
    lua_rawgeti(L, key, i);
    int top = lua_gettop(L);
    pc_tensor *t = pc_to_tensor(L, top);
    int64_t p;
    if (t && *list) {
      rc = pc_fail(PC_EINDEX, "index: one tensor of positions at a time; index twice, or use gather");
    } else if (t) {
      *list = t;
      *list_dim = v->dim;
      v->dim++, v->place++, v->numbers = 0;
    } else if (lua_istable(L, top)) {
      rc = range(L, v, top);
    } else if ((rc = integer_at(L, top, &p)) == PC_OK) {
      rc = pick(v, p);
    }
    lua_pop(L, 1);
  }
  return rc;
}

static int start(lua_State *L, view *v, pc_tensor *x, int key, int tracked, pc_tensor **list, int *list_dim) {
  int64_t p;
  int rc;
  *v = (view){.cur = pc_tensor_retain(x), .x = x, .numbers = 1, .tracked = tracked};
  *list = NULL;
  *list_dim = 0;
  if (pc_to_tensor(L, key)) {
    *list = pc_to_tensor(L, key);
    v->numbers = 0;
    rc = PC_OK;
  } else if (lua_istable(L, key)) {
    rc = follow(L, v, key, list, list_dim);
  } else if (lua_type(L, key) != LUA_TNUMBER) {
    rc = pc_fail(PC_EINDEX, "index: expected an integer, a table of entries or a tensor, got %s", pc_describe(L, key));
  } else if ((rc = integer_at(L, key, &p)) == PC_OK) {
    rc = x->ndim ? pick(v, p) : pc_fail(PC_EINDEX, "index: a 0-dim tensor has no entries; x:item() is its number");
  }
  if (rc == PC_OK && *list && (*list)->dtype != PC_U8 && (*list)->dtype != PC_I64 && (*list)->dtype != PC_I32)
    rc = pc_fail(PC_EDTYPE, "index: a tensor of positions is i64 and a mask is u8, not %s; use x:long() or x:byte()",
                 pc_dtype_name((pc_dtype)(*list)->dtype));
  return rc;
}

/* Positions of the ones in a 1-dim mask. */
static int positions_of(pc_tensor **out, const pc_tensor *mask, int64_t size) {
  if (mask->ndim != 1 || mask->size[0] != size)
    return pc_fail(PC_ESHAPE, "index: a mask of shape %s for a dimension of size %lld", pc_shape_str(mask),
                   (long long)size);
  int64_t n = 0, k = 0;
  for (int64_t i = 0; i < size; i++) n += pc_at(mask, i) != 0;
  int rc = pc_tensor_empty(out, PC_I64, 1, &n);
  for (int64_t i = 0; rc == PC_OK && i < size; i++)
    if (pc_at(mask, i) != 0) pc_i64(*out)[k++] = i + PC_INDEX_BASE;
  return rc;
}

/* A mask over the first dimensions of v->cur: these become one, n positions of it are selected: (n, rest). */
static int apply_mask(view *v, pc_tensor *mask) {
  pc_tensor *x = v->cur, *whole = NULL, *flat = NULL, *index = NULL, *out = NULL;
  int64_t size[PC_MAX_DIM + 1], n = pc_numel(mask);
  int lead = mask->ndim, ndim = x->ndim - lead + 1;
  if (lead > x->ndim || memcmp(mask->size, x->size, sizeof(int64_t) * (size_t)lead))
    return pc_fail(PC_ESHAPE,
                   "index: a mask of shape %s does not fit a tensor of shape %s; "
                   "its sizes are those of the first dimensions, mask:expand(...) makes them so",
                   pc_shape_str(mask), pc_shape_str(x));
  if (lead == 0) return pc_fail(PC_ESHAPE, "index: a mask has at least one dimension; x:masked_select(m) broadcasts");
  size[0] = n;
  memcpy(size + 1, x->size + lead, sizeof(int64_t) * (size_t)(ndim - 1));
  int rc = pc_contiguous(&whole, mask);
  if (rc == PC_OK) rc = pc_view_reshape(&flat, whole, 1, &n);
  if (rc == PC_OK) rc = positions_of(&index, flat, n);
  pc_val shape = pc_vlist(ndim, size), zero = PC_VI(0);
  if (rc == PC_OK) rc = pc_apply_named("reshape", &out, &x, 1, &shape, 1);
  if (rc == PC_OK) {
    step(v, out);
    rc = pc_apply_named("index_select", &out, (pc_tensor *[]){v->cur, index}, 2, &zero, 1);
  }
  if (rc == PC_OK) step(v, out);
  pc_tensor_release(index);
  pc_tensor_release(flat);
  pc_tensor_release(whole);
  return rc;
}

static int apply_list(view *v, pc_tensor *list, int dim) {
  pc_tensor *out = NULL, *index = NULL, *flat = NULL;
  int rc;
  if (list->dtype == PC_U8 && list->ndim != 1) { /* a mask over several dimensions */
    if (dim) return pc_fail(PC_ESHAPE, "index: inside of {...} a mask has one dimension, not %d", list->ndim);
    return apply_mask(v, list);
  }
  if (list->dtype == PC_U8)
    rc = positions_of(&index, list, v->cur->size[dim]);
  else
    rc = pc_to_dtype(&index, list, PC_I64);
  if (rc < 0) return rc;
  int64_t n = pc_numel(index);
  if (index->ndim == 1) {
    flat = pc_tensor_retain(index);
  } else {
    pc_tensor *whole = NULL;
    rc = pc_contiguous(&whole, index);
    if (rc == PC_OK) rc = pc_view_reshape(&flat, whole, 1, &n);
    pc_tensor_release(whole);
  }
  if (rc == PC_OK) {
    pc_val val = PC_VI(dim);
    rc = pc_apply_named("index_select", &out, (pc_tensor *[]){v->cur, flat}, 2, &val, 1);
  }
  if (rc == PC_OK) step(v, out);
  if (rc == PC_OK && index->ndim != 1) {
    int64_t size[2 * PC_MAX_DIM];
    int ndim = v->cur->ndim - 1 + index->ndim;
    if (ndim > PC_MAX_DIM) {
      rc = pc_fail(PC_ESHAPE, "index: the result has more than %d dimensions", PC_MAX_DIM);
    } else {
      memcpy(size, v->cur->size, sizeof(int64_t) * (size_t)dim);
      memcpy(size + dim, index->size, sizeof(int64_t) * index->ndim);
      memcpy(size + dim + index->ndim, v->cur->size + dim + 1, sizeof(int64_t) * (size_t)(v->cur->ndim - 1 - dim));
      pc_val val = pc_vlist(ndim, size);
      rc = pc_apply_named("reshape", &out, &v->cur, 1, &val, 1);
      if (rc == PC_OK) step(v, out);
    }
  }
  pc_tensor_release(flat);
  pc_tensor_release(index);
  return rc;
}

int pc_index_get(lua_State *L, pc_tensor *t, int key) {
  view v;
  pc_tensor *list;
  int list_dim, rc = start(L, &v, t, key, pc_tracked(t), &list, &list_dim);
  if (rc == PC_OK && list) rc = apply_list(&v, list, list_dim);
  if (rc < 0) {
    pc_tensor_release(v.cur);
    return rc;
  }
  if (v.numbers && v.cur->ndim == 0 && !v.tracked) {
    rc = pc_push_element(L, "index", v.cur, 0);
    pc_tensor_release(v.cur);
    return rc < 0 ? rc : 1;
  }
  pc_push_tensor(L, v.cur);
  return 1;
}

int pc_index_set(lua_State *L, pc_tensor *t, int key, int value) {
  view v = {0};
  pc_tensor *list = NULL, *src = pc_tensor_retain(pc_to_tensor(L, value));
  int list_dim, rc = PC_OK;
  if (!src && lua_type(L, value) == LUA_TNUMBER)
    rc = pc_tensor_scalar(&src, PC_F64, lua_tonumber(L, value));
  else if (!src && (lua_istable(L, value) || lua_isboolean(L, value)))
    rc = pc_tensor_of_lua(L, "assignment", value, PC_F64, 1, &src);
  else if (!src)
    rc = pc_fail(PC_EARG, "assignment: expected a tensor, a number or a table, got %s", pc_describe(L, value));
  if (rc == PC_OK && pc_tracked(src))
    rc = pc_fail(PC_ESTATE,
                 "assignment: the value has gradient history, which an assignment would lose; "
                 "use where, cat or scatter_add, or assign y:detach()");
  if (rc == PC_OK) rc = pc_check_fits("assignment", src, (pc_dtype)t->dtype, pc_to_tensor(L, value) != NULL);
  if (rc == PC_OK) rc = pc_inplace_begin("assignment", t);
  if (rc == PC_OK) rc = start(L, &v, t, key, 0, &list, &list_dim);
  if (rc == PC_OK && list && list->dtype == PC_U8 && list_dim == 0) {
    rc = pc_assign_mask(v.cur, list, src);
  } else if (rc == PC_OK && list) {
    pc_tensor *index = list->dtype == PC_U8 ? NULL : pc_tensor_retain(list);
    if (!index) rc = positions_of(&index, list, v.cur->size[list_dim]);
    if (rc == PC_OK) rc = pc_assign_index(v.cur, list_dim, index, src);
    pc_tensor_release(index);
  } else if (rc == PC_OK) {
    rc = pc_copy_into(v.cur, src);
    if (rc < 0) pc_error_prefix(rc, "assignment");
  }
  pc_tensor_release(v.cur);
  pc_tensor_release(src);
  return rc;
}
