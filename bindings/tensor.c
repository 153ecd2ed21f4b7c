/* tensor.c: the module percept.tensor: metamethods, operators, conversions. */
#include "bindings/tensor.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "bindings/percept.h"
#include "bindings/stack.h"
#include "grad/einsum.h"

int luaopen_percept_tensor(lua_State *L);

/* ---- metamethods: plain C functions, for speed and because Lua fixes their arguments ---- */

static int finish(lua_State *L, int rc) {
  if (rc < 0) return pc_raise(L, rc);
  pc_gc_pace(L);
  return rc;
}

/* Upvalue 1: the table of methods. */
static int unknown_field(lua_State *L, const char *key) {
  const char *words[600];
  int n = 0;
  for (lua_pushnil(L); lua_next(L, lua_upvalueindex(1)); lua_pop(L, 1))
    if (n < 600 && lua_type(L, -2) == LUA_TSTRING) words[n++] = lua_tostring(L, -2);
  const char *near = pc_nearest(key, words, n);
  return pc_fail(PC_EARG, "a tensor has no method or field '%s'%s%s%s", key, near ? "; did you mean '" : "",
                 near ? near : "", near ? "'?" : "");
}

/* The tensor a metamethod was called with: debug.getmetatable(x).__index(io.stdout, 1) is Lua, too. Raises. */
static pc_tensor *self_of(lua_State *L, const char *name) {
  pc_tensor *t = pc_to_tensor(L, 1);
  if (!t) pc_raise(L, pc_fail(PC_EARG, "tensor.%s: expected a tensor, got %s", name, pc_describe(L, 1)));
  lua_settop(L, 3);
  return t;
}

static int tensor_index(lua_State *L) {
  pc_tensor *t = self_of(L, "__index");
  if (lua_type(L, 2) != LUA_TSTRING) return finish(L, pc_named("index", pc_index_get(L, t, 2)));
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  if (!lua_isnil(L, -1)) return 1;
  const char *key = pc_text(L, 2);
  if (!key) return finish(L, pc_fail(PC_EARG, "a tensor has no method or field %s", pc_describe(L, 2)));
  if (!strcmp(key, "grad")) {
    pc_push_tensor(L, pc_tensor_retain(pc_grad_get(t)));
    return 1;
  }
  return finish(L, unknown_field(L, key));
}

static int tensor_newindex(lua_State *L) {
  pc_tensor *t = self_of(L, "__newindex");
  if (lua_type(L, 2) != LUA_TSTRING) return finish(L, pc_named("assignment", pc_done(pc_index_set(L, t, 2, 3))));
  if (!pc_text(L, 2) || strcmp(pc_text(L, 2), "grad"))
    return finish(L, pc_fail(PC_EARG, "a tensor has no field '%s' to assign to; only grad", lua_tostring(L, 2)));
  pc_tensor *g = pc_to_tensor(L, 3);
  if (!g && !lua_isnil(L, 3))
    return finish(L, pc_fail(PC_EARG, "grad: expected a tensor or nil, got %s", pc_describe(L, 3)));
  return finish(L, pc_done(pc_grad_set(t, g)));
}

static int tensor_len(lua_State *L) {
  pc_tensor *t = self_of(L, "__len");
  if (t->ndim == 0) return finish(L, pc_fail(PC_ESHAPE, "#: a 0-dim tensor has no length; x:item() is its number"));
  lua_pushnumber(L, (lua_Number)t->size[0]);
  return 1;
}

static int tensor_tostring(lua_State *L) {
  pc_push_printed(L, self_of(L, "__tostring"));
  return 1;
}

static int tensor_concat(lua_State *L) {
  int rc = pc_stack_check("tensor.__concat", 0); /* a script's own tostring may come back here */
  if (rc < 0) return pc_raise(L, rc);
  lua_settop(L, 2);
  for (int i = 1; i <= 2; i++) {
    pc_push_global(L, "tostring");
    lua_pushvalue(L, i);
    lua_call(L, 1, 1);
  }
  lua_concat(L, 2);
  return 1;
}

static int tensor_order(lua_State *L) {
  return finish(L, pc_fail(PC_EARG,
                           "comparing tensors with < gives one boolean in Lua; use x:lt(y), x:le(y), x:gt(y), "
                           "x:ge(y), or compare x:item()"));
}

/* Upvalue 1: the declaration of the op, 2: the sign written in Lua. */
static int tensor_operator(lua_State *L) {
  for (int i = 1; i <= 2; i++)
    if (lua_type(L, i) != LUA_TUSERDATA && lua_type(L, i) != LUA_TNUMBER)
      return finish(L, pc_fail(PC_EARG, "%s: operand %d: expected a tensor or a number, got %s",
                               lua_tostring(L, lua_upvalueindex(2)), i, pc_describe(L, i)));
  const pc_decl *d = lua_touserdata(L, lua_upvalueindex(1));
  lua_settop(L, d->sig->n); /* unary minus passes its operand twice */
  return pc_call_declared(L, d);
}

static void open_operators(lua_State *L, int meta, int tf) {
  static const char *const ops[][3] = {
      {"__add", "add", "+"},       {"__sub", "sub", "-"}, {"__mul", "mul", "*"},          {"__div", "div", "/"},
      {"__mod", "remainder", "%"}, {"__pow", "pow", "^"}, {"__unm", "neg", "unary minus"}};
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
    lua_getfield(L, tf, ops[i][1]);
    if (lua_isnil(L, -1)) {
      lua_pop(L, 1);
      continue;
    }
    lua_getupvalue(L, -1, 1);
    lua_pushstring(L, ops[i][2]);
    lua_pushcclosure(L, tensor_operator, 2);
    lua_setfield(L, meta, ops[i][0]);
    lua_pop(L, 1);
  }
}

/* ---- facts ---- */

static void push_sizes(lua_State *L, int n, const int64_t *s) {
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    lua_pushnumber(L, (lua_Number)s[i]);
    lua_rawseti(L, -2, i + 1);
  }
}

static int one_or_all(lua_State *L, pc_args *a, const int64_t *what) {
  pc_tensor *t = pc_arg_tensor(a, "x");
  if (a->n < 2 || !pc_arg_at(a, "dim")) {
    push_sizes(L, t->ndim, what);
    return 1;
  }
  int64_t d = pc_arg_int64(a, "dim") < 0 ? pc_arg_int64(a, "dim") + t->ndim : pc_arg_int64(a, "dim");
  if (d < 0 || d >= t->ndim)
    return pc_fail(PC_EINDEX, "%s: dimension %d of a tensor of shape %s with %d dimensions", a->decl->name,
                   (int)lua_tointeger(L, pc_arg_at(a, "dim")), pc_shape_str(t), t->ndim);
  lua_pushnumber(L, (lua_Number)what[d]);
  return 1;
}

static int m_size(lua_State *L, pc_args *a) { return one_or_all(L, a, pc_arg_tensor(a, "x")->size); }
static int m_stride(lua_State *L, pc_args *a) { return one_or_all(L, a, pc_arg_tensor(a, "x")->stride); }

static int m_dim(lua_State *L, pc_args *a) { return lua_pushinteger(L, pc_arg_tensor(a, "x")->ndim), 1; }
static int m_numel(lua_State *L, pc_args *a) {
  return lua_pushnumber(L, (lua_Number)pc_numel(pc_arg_tensor(a, "x"))), 1;
}
static int m_dtype(lua_State *L, pc_args *a) {
  return lua_pushstring(L, pc_dtype_name(pc_arg_tensor(a, "x")->dtype)), 1;
}
static int m_is_contiguous(lua_State *L, pc_args *a) {
  return lua_pushboolean(L, pc_is_contiguous(pc_arg_tensor(a, "x"))), 1;
}

static int m_ptr(lua_State *L, pc_args *a) {
  lua_pushlightuserdata(L, pc_data(pc_arg_tensor(a, "x")));
  return 1;
}

static int m_item(lua_State *L, pc_args *a) {
  pc_tensor *t = pc_arg_tensor(a, "x");
  if (pc_numel(t) != 1)
    return pc_fail(PC_ESHAPE, "item: the tensor has %lld elements (shape %s), not 1; x:to_table() gives all of them",
                   (long long)pc_numel(t), pc_shape_str(t));
  int rc = pc_push_element(L, "item", t, 0);
  return rc < 0 ? rc : 1;
}

int pc_push_element(lua_State *L, const char *op, const pc_tensor *t, int64_t linear) {
  double v = pc_at(t, linear);
  if (t->dtype == PC_I64 && fabs(v) >= 0x1p53 && (v >= 0x1p63 || (int64_t)v != pc_at_i64(t, linear)))
    return pc_fail(PC_EARG, "%s: %lld has more digits than a Lua number holds; tostring(x) shows them", op,
                   (long long)pc_at_i64(t, linear));
  lua_pushnumber(L, v);
  return PC_OK;
}

/* -> the next element's place, or a code with nothing to rely on above the caller's top */
static int64_t to_table(lua_State *L, const pc_tensor *t, int dim, int64_t linear) {
  if (dim == t->ndim) {
    int rc = pc_push_element(L, "to_table", t, linear);
    return rc < 0 ? rc : linear + 1;
  }
  lua_createtable(L, (int)t->size[dim], 0);
  for (int64_t i = 0; i < t->size[dim]; i++) {
    if (i % 4096 == 0 && pc_interrupted()) return pc_check_interrupt();
    if ((linear = to_table(L, t, dim + 1, linear)) < 0) return linear;
    lua_rawseti(L, -2, (int)i + 1);
  }
  return linear;
}

static int m_to_table(lua_State *L, pc_args *a) {
  enum { MOST = 100000000 }; /* LuaJIT's tables end at 2^27 entries */
  int64_t n = pc_numel(pc_arg_tensor(a, "x"));
  if (n > MOST) return pc_fail(PC_ENOMEM, "to_table: %lld elements; a table holds at most %d", (long long)n, MOST);
  luaL_checkstack(L, PC_MAX_DIM + 2, NULL);
  const pc_tensor *x = pc_arg_tensor(a, "x");
  double tables = 1;
  for (int d = 0; d < x->ndim - 1; d++) tables *= (double)x->size[d];
  if (tables > 0x1p26) return pc_fail(PC_ENOMEM, "to_table: shape %s would be %.0f tables", pc_shape_str(x), tables);
  int64_t end = to_table(L, x, 0, 0);
  return end < 0 ? (int)end : 1;
}

static int m_is_tensor(lua_State *L, pc_args *a) {
  lua_pushboolean(L, pc_arg_at(a, "x") && pc_to_tensor(L, pc_arg_at(a, "x")) != NULL);
  return 1;
}

static int m_same_storage(lua_State *L, pc_args *a) {
  lua_pushboolean(L, pc_arg_tensor(a, "x")->storage == pc_arg_tensor(a, "y")->storage);
  return 1;
}

/* ---- conversions ---- */

static int convert(lua_State *L, pc_tensor *t, pc_dtype d) {
  pc_tensor *out = NULL;
  pc_val v = PC_VI(d);
  int rc;
  if (pc_tracked(t) && t->dtype != d && pc_dtype_is_float(d))
    rc = pc_apply_named("to", &out, &t, 1, &v, 1);
  else if (t->dtype == d)
    rc = PC_OK, out = pc_tensor_retain(t);
  else if ((rc = pc_check_fits("to", t, d, 1)) == PC_OK)
    rc = pc_to_dtype(&out, t, d);
  if (rc < 0) return rc;
  pc_push_tensor(L, out);
  return 1;
}

static int m_float(lua_State *L, pc_args *a) { return convert(L, pc_arg_tensor(a, "x"), PC_F32); }
static int m_double(lua_State *L, pc_args *a) { return convert(L, pc_arg_tensor(a, "x"), PC_F64); }
static int m_long(lua_State *L, pc_args *a) { return convert(L, pc_arg_tensor(a, "x"), PC_I64); }
static int m_int(lua_State *L, pc_args *a) { return convert(L, pc_arg_tensor(a, "x"), PC_I32); }
static int m_byte(lua_State *L, pc_args *a) { return convert(L, pc_arg_tensor(a, "x"), PC_U8); }
static int m_to(lua_State *L, pc_args *a) { return convert(L, pc_arg_tensor(a, "x"), pc_arg_dtype(a, "dtype")); }
static int m_type_as(lua_State *L, pc_args *a) {
  return convert(L, pc_arg_tensor(a, "x"), (pc_dtype)pc_arg_tensor(a, "other")->dtype);
}

/* ---- several results ---- */

static int piece(lua_State *L, pc_tensor *t, int dim, int64_t start, int64_t length) {
  pc_tensor *out = NULL;
  pc_val v[3] = {PC_VI(dim), PC_VI(start), PC_VI(length)};
  int rc = pc_tracked(t) ? pc_apply_named("narrow", &out, &t, 1, v, 3) : pc_view_narrow(&out, t, dim, start, length, 1);
  if (rc < 0) return rc;
  if (!lua_checkstack(L, 2)) {
    pc_tensor_release(out);
    return pc_fail(PC_EARG, "too many pieces for Lua's stack");
  }
  pc_push_tensor(L, out);
  return PC_OK;
}

static int resolve_dim(const pc_args *a, const pc_tensor *t, int64_t dim, int *out) {
  int64_t d = dim < 0 ? dim + t->ndim : dim;
  if (d < 0 || d >= t->ndim)
    return pc_fail(PC_EINDEX, "%s: dimension %lld of a tensor of shape %s with %d dimensions", a->decl->name,
                   (long long)(dim < 0 ? dim : dim + 1), pc_shape_str(t), t->ndim);
  *out = (int)d;
  return PC_OK;
}

static int pieces(lua_State *L, pc_tensor *t, int d, int64_t length) {
  int n = 0, rc;
  for (int64_t at = 0; at < t->size[d]; at += length, n++) {
    int64_t left = t->size[d] - at;
    if ((rc = piece(L, t, d, at, left < length ? left : length)) < 0) return rc;
  }
  return n;
}

static int m_chunk(lua_State *L, pc_args *a) {
  pc_tensor *t = pc_arg_tensor(a, "x");
  int64_t n = pc_arg_int64(a, "chunks");
  int d, rc = resolve_dim(a, t, pc_arg_int64(a, "dim"), &d);
  if (rc < 0) return rc;
  if (n < 1) return pc_fail(PC_EARG, "chunk: argument 2 (chunks): expected at least 1, got %lld", (long long)n);
  int64_t length = (t->size[d] + n - 1) / n;
  return pieces(L, t, d, length ? length : 1);
}

static int m_split(lua_State *L, pc_args *a) {
  pc_tensor *t = pc_arg_tensor(a, "x");
  const pc_val *v = pc_arg_val(a, "size");
  int d, rc = resolve_dim(a, t, pc_arg_int64(a, "dim"), &d);
  if (rc < 0) return rc;
  int64_t at = 0;
  for (int i = 0; i < v->nl; i++) {
    if (v->l[i] < (v->nl == 1)) return pc_fail(PC_EARG, "split: sizes must be positive, got %lld", (long long)v->l[i]);
    at += v->l[i];
  }
  if (v->nl == 1 && !lua_istable(L, pc_arg_at(a, "size"))) return pieces(L, t, d, v->l[0]);
  if (at != t->size[d])
    return pc_fail(PC_ESHAPE, "split: the sizes add up to %lld, dimension %d of %s is %lld", (long long)at, d + 1,
                   pc_shape_str(t), (long long)t->size[d]);
  at = 0;
  for (int i = 0; i < v->nl; at += v->l[i++])
    if ((rc = piece(L, t, d, at, v->l[i])) < 0) return rc;
  return v->nl;
}

static int m_unbind(lua_State *L, pc_args *a) {
  pc_tensor *t = pc_arg_tensor(a, "x");
  int d, rc = resolve_dim(a, t, pc_arg_int64(a, "dim"), &d);
  if (rc < 0) return rc;
  for (int64_t i = 0; i < t->size[d]; i++) {
    pc_tensor *out = NULL;
    pc_val v[2] = {PC_VI(d), PC_VI(i)};
    rc = pc_tracked(t) ? pc_apply_named("select", &out, &t, 1, v, 2) : pc_view_select(&out, t, d, i);
    if (rc < 0) return rc;
    if (!lua_checkstack(L, 2)) {
      pc_tensor_release(out);
      return pc_fail(PC_EARG, "unbind: %lld pieces are too many for Lua's stack", (long long)t->size[d]);
    }
    pc_push_tensor(L, out);
  }
  return (int)t->size[d];
}

static int f_einsum(lua_State *L, pc_args *a) {
  pc_scope s = {0};
  pc_tensor *y = pc_einsum(&s, pc_arg_str(a, "equation"), a->nlist, a->list);
  int rc = pc_scope_end(&s, &y, 1);
  if (rc < 0) return rc;
  pc_push_tensor(L, y);
  return 1;
}

static int f_set_num_threads(lua_State *L, pc_args *a) {
  int64_t n = pc_arg_int64(a, "n");
  if (n < 1 || n > PC_MAX_THREADS)
    return pc_fail(PC_EARG, "set_num_threads: argument 1 (n): expected 1 to %d, got %lld", PC_MAX_THREADS,
                   (long long)n);
  return (void)L, pc_done(pc_set_num_threads((int)n));
}

static int f_get_num_threads(lua_State *L, pc_args *a) { return (void)a, lua_pushinteger(L, pc_num_threads()), 1; }

static const pc_luafn facts[] = {
    {"size", "x:tensor, dim:dim?", m_size, "the sizes as a table, or one of them"},
    {"shape", "x:tensor", m_size, "the sizes as a table"},
    {"stride", "x:tensor, dim:dim?", m_stride, "the strides in elements as a table, or one of them"},
    {"dim", "x:tensor", m_dim, "the number of dimensions"},
    {"ndim", "x:tensor", m_dim, "the number of dimensions"},
    {"numel", "x:tensor", m_numel, "the number of elements"},
    {"dtype", "x:tensor", m_dtype, "\"f32\", \"f64\", \"i64\", \"i32\" or \"u8\""},
    {"is_contiguous", "x:tensor", m_is_contiguous, "true when the elements lie in row-major order"},
    {"ptr", "x:tensor", m_ptr, "address of the first element, for ffi.cast; valid as long as the tensor lives"},
    {"item", "x:tensor", m_item, "the number in a one-element tensor"},
    {"to_table", "x:tensor", m_to_table, "nested Lua tables of numbers"},
    {"same_storage", "x:tensor, y:tensor", m_same_storage, "true when both are views of the same memory"},
    {"to", "x:tensor, dtype:dtype", m_to, "the same elements in another dtype; x itself when it has it", PC_RETRY},
    {"type_as", "x:tensor, other:tensor", m_type_as, "x in the dtype of other", PC_RETRY},
    {"float", "x:tensor", m_float, "x as f32", PC_RETRY},
    {"double", "x:tensor", m_double, "x as f64", PC_RETRY},
    {"long", "x:tensor", m_long, "x as i64 (towards zero)", PC_RETRY},
    {"int", "x:tensor", m_int, "x as i32 (towards zero)", PC_RETRY},
    {"byte", "x:tensor", m_byte, "x as u8 (towards zero)", PC_RETRY},
    {"chunk", "x:tensor, chunks:int64(1..), dim:dim=1", m_chunk,
     "views of `chunks` nearly equal parts, as several results"},
    {"split", "x:tensor, size:size, dim:dim=1", m_split,
     "views of `size` entries each (or of a list of sizes), as several results"},
    {"unbind", "x:tensor, dim:dim=1", m_unbind, "the slices along a dimension, as several results"},
    {0}};

static const pc_luafn plain[] = {{"is_tensor", "x:any?", m_is_tensor, "true for tensors"},
                                 {"einsum", "equation:str, operands:tensors", f_einsum,
                                  "sum of products by index letters: \"bij,bjk->bik\"", PC_RETRY},
                                 {"set_num_threads", "n:int", f_set_num_threads, "threads for kernels"},
                                 {"get_num_threads", "", f_get_num_threads, "threads for kernels"},
                                 {0}};

void pc_open_facts(lua_State *L, int tf, int tm) {
  static const char *const alias[][2] = {
      {"repeat_", "repeat"}, {"tile", "repeat"}, {"size", "sizes"}, {"numel", "nelement"}};
  pc_open_both(L, tf, tm, facts);
  lua_pushvalue(L, tf);
  pc_register(L, NULL, plain);
  lua_pop(L, 1);
  for (size_t i = 0; i < sizeof alias / sizeof *alias; i++)
    for (int k = 0; k < 2; k++) {
      int table = k ? tm : tf;
      lua_getfield(L, table, alias[i][1]);
      int there = !lua_isnil(L, -1);
      lua_pop(L, 1);
      if (there) continue;
      lua_getfield(L, table, alias[i][0]);
      lua_setfield(L, table, alias[i][1]);
    }
}

int luaopen_percept_tensor(lua_State *L) {
  static const struct {
    const char *name;
    lua_CFunction f;
  } meta_fns[] = {{"__len", tensor_len},
                  {"__tostring", tensor_tostring},
                  {"__concat", tensor_concat},
                  {"__lt", tensor_order},
                  {"__le", tensor_order}};
  lua_newtable(L);
  int tf = lua_gettop(L);
  lua_newtable(L);
  int tm = lua_gettop(L);
  pc_push_tensor_class(L);
  int meta = lua_gettop(L);
  pc_open_ops(L, tf, tm);
  pc_open_create(L, tf, tm);
  pc_open_inplace(L, tf, tm);
  pc_open_facts(L, tf, tm);
  pc_open_print(L, tf, tm);
  pc_open_grad(L, tf, tm);
  open_operators(L, meta, tf);
  for (size_t i = 0; i < sizeof meta_fns / sizeof *meta_fns; i++) {
    lua_pushcfunction(L, meta_fns[i].f);
    lua_setfield(L, meta, meta_fns[i].name);
  }
  lua_pushvalue(L, tm);
  lua_pushcclosure(L, tensor_index, 1);
  lua_setfield(L, meta, "__index");
  lua_pushvalue(L, tm);
  lua_pushcclosure(L, tensor_newindex, 1);
  lua_setfield(L, meta, "__newindex");
  lua_pushvalue(L, tm); /* for completion and help */
  lua_setfield(L, meta, "methods");
  lua_pushvalue(L, tm);
  lua_setfield(L, tf, "methods");
  for (int d = 0; d < PC_DTYPE_COUNT; d++) {
    lua_pushstring(L, pc_dtype_name((pc_dtype)d));
    lua_setfield(L, tf, pc_dtype_name((pc_dtype)d));
  }
  lua_settop(L, tf);
  pc_push_global(L, "require"); /* what is written in Lua */
  lua_pushliteral(L, "percept.autograd");
  lua_call(L, 1, 1);
  lua_pushvalue(L, tf);
  lua_call(L, 1, 0);
  return 1;
}
