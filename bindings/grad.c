/* grad.c: gradients at the surface of percept.tensor. */
#include <string.h>

#include "base/alloc.h"
#include "bindings/tensor.h"

static int m_requires_grad_(lua_State *L, pc_args *a) {
  int rc = pc_set_requires_grad(pc_arg_tensor(a, "x"), pc_arg_bool(a, "on"));
  if (rc < 0) return rc;
  lua_pushvalue(L, pc_arg_at(a, "x"));
  return 1;
}

static int m_requires_grad(lua_State *L, pc_args *a) {
  return lua_pushboolean(L, pc_requires_grad(pc_arg_tensor(a, "x"))), 1;
}
static int m_is_leaf(lua_State *L, pc_args *a) { return lua_pushboolean(L, pc_is_leaf(pc_arg_tensor(a, "x"))), 1; }
static int m_zero_grad(lua_State *L, pc_args *a) { return (void)L, pc_done(pc_grad_set(pc_arg_tensor(a, "x"), NULL)); }

static int m_detach(lua_State *L, pc_args *a) {
  pc_tensor *out = NULL;
  int rc = pc_detach(&out, pc_arg_tensor(a, "x"));
  if (rc < 0) return rc;
  pc_push_tensor(L, out);
  return 1;
}

/* Handles that wait for the collector hold intermediates that the tape alone would let go node by node. Where those
 * are large beside the Lua heap, a collection (about a millisecond a MiB of heap) is nothing beside the step. */
static void collect_first(lua_State *L) {
  enum { TIMES = 64 };
  pc_alloc_stats s;
  pc_alloc_get_stats(&s);
  if (s.live > ((int64_t)lua_gc(L, LUA_GCCOUNT, 0) << 10) * TIMES) lua_gc(L, LUA_GCCOLLECT, 0);
}

static int m_backward(lua_State *L, pc_args *a) {
  collect_first(L);
  return pc_done(pc_backward(pc_arg_tensor(a, "y"), pc_arg_tensor(a, "gradient"), pc_arg_bool(a, "retain_graph")));
}

/* ---- grad(y, x) ---- */

/* The tensors of a tensor or a list at argument i; an array that Lua collects. Entries may be nil where `holes`. */
static int tensors_of(lua_State *L, pc_args *a, const char *name, int holes, int count, pc_tensor ***out, int *n) {
  int at = pc_arg_at(a, name);
  pc_tensor *t = at ? pc_to_tensor(L, at) : NULL;
  if (!t && (!at || !lua_istable(L, at))) return pc_arg_fail(L, a, name, "a tensor or a list of tensors");
  *n = t ? 1 : count ? count : (int)lua_objlen(L, at);
  *out = lua_newuserdata(L, sizeof(pc_tensor *) * (size_t)(*n + 1));
  if (t) (*out)[0] = t;
  for (int k = 0; !t && k < *n; k++) {
    lua_rawgeti(L, at, k + 1);
    (*out)[k] = pc_to_tensor(L, -1);
    if (!(*out)[k] && !(holes && lua_isnil(L, -1)))
      return pc_fail(PC_EARG, "%s: argument %d (%s): entry %d of the list: expected a tensor, got %s", a->decl->name,
                     pc_arg_place(a, name), name, k + 1, pc_describe(L, -1));
    lua_pop(L, 1);
  }
  return PC_OK;
}

static int f_grad(lua_State *L, pc_args *a) {
  pc_tensor **y, **x, **gy = NULL, **gx;
  int ny, nx, ngy, rc;
  pc_grad_opts opts = {.create_graph = pc_arg_bool(a, "create_graph"),
                       .retain_graph = pc_arg_bool(a, "retain_graph"),
                       .allow_unused = pc_arg_bool(a, "allow_unused")};
  if ((rc = tensors_of(L, a, "outputs", 0, 0, &y, &ny)) < 0 || (rc = tensors_of(L, a, "inputs", 0, 0, &x, &nx)) < 0)
    return rc;
  if (pc_arg_at(a, "grad_outputs")) {
    if ((rc = tensors_of(L, a, "grad_outputs", 1, ny, &gy, &ngy)) < 0) return rc;
    if (ngy != ny) return pc_fail(PC_EARG, "grad: %d outputs and %d grad_outputs", ny, ngy);
  }
  size_t bytes = sizeof(pc_tensor *) * (size_t)(nx + 1);
  gx = memset(lua_newuserdata(L, bytes), 0, bytes);
  collect_first(L);
  if ((rc = pc_grad(gx, y, gy, ny, x, nx, &opts)) < 0) return rc;
  if (pc_to_tensor(L, pc_arg_at(a, "inputs"))) {
    pc_push_tensor(L, gx[0]);
    return 1;
  }
  lua_createtable(L, nx, 0);
  for (int k = 0; k < nx; k++) {
    pc_push_tensor(L, gx[k]);
    lua_rawseti(L, -2, k + 1);
  }
  return 1;
}

/* ---- switching recording ---- */

static int with_grad(lua_State *L, pc_args *a, int on) {
  int base = lua_gettop(L);
  if (!lua_checkstack(L, a->nrest + 2)) return pc_fail(PC_ESTATE, "%s: Lua's stack is full", a->decl->name);
  int was = pc_grad_set_enabled(on);
  lua_pushvalue(L, pc_arg_at(a, "fn"));
  for (int i = 0; i < a->nrest; i++) lua_pushvalue(L, a->rest + i);
  int rc = pc_callback(L, a->nrest, LUA_MULTRET);
  pc_grad_set_enabled(was);
  return rc < 0 ? rc : lua_gettop(L) - base;
}

static int f_no_grad(lua_State *L, pc_args *a) { return with_grad(L, a, 0); }
static int f_enable_grad(lua_State *L, pc_args *a) { return with_grad(L, a, 1); }
static int f_higher_order(lua_State *L, pc_args *a) {
  int was = pc_set_higher_order(1);
  int n = with_grad(L, a, pc_grad_enabled());
  pc_set_higher_order(was);
  return n;
}
static int f_is_grad_enabled(lua_State *L, pc_args *a) { return (void)a, lua_pushboolean(L, pc_grad_enabled()), 1; }
static int f_set_grad_enabled(lua_State *L, pc_args *a) {
  return lua_pushboolean(L, pc_grad_set_enabled(pc_arg_bool(a, "on"))), 1;
}

static int f_anomaly(lua_State *L, pc_args *a) {
  lua_pushboolean(L, pc_get_anomaly());
  pc_set_where_hook(pc_lua_where);
  pc_set_anomaly(pc_arg_bool(a, "on"));
  return 1;
}

/* ---- custom operations ---- */

/* What the tape keeps of one call: references into the registry. */
typedef struct custom {
  lua_State *home;
  char name[64];
  int ctx, backward; /* luaL_ref */
  int nargs;         /* of the forward call */
  int nin;
  int arg_of[32]; /* argument number of each tensor input, from 1 */
} custom;

static void custom_release(void *p) {
  custom *c = p;
  luaL_unref(c->home, LUA_REGISTRYINDEX, c->ctx);
  luaL_unref(c->home, LUA_REGISTRYINDEX, c->backward);
  pc_free(c);
}

static int custom_backward(void *p, pc_tensor *const *gout, int nout, pc_tensor **gin, int nin) {
  custom *c = p;
  lua_State *L = pc_lua_now();
  int base = lua_gettop(L);
  if (!lua_checkstack(L, nout + c->nargs + 4)) return pc_fail(PC_ENOMEM, "%s: Lua's stack is full", c->name);
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->backward);
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->ctx);
  for (int k = 0; k < nout; k++) pc_push_tensor(L, pc_tensor_retain(gout[k]));
  int rc = pc_callback(L, nout + 1, c->nargs);
  for (int i = 0; i < nin && rc == PC_OK; i++) {
    int at = base + c->arg_of[i];
    gin[i] = pc_tensor_retain(pc_to_tensor(L, at));
    if (!gin[i] && !lua_isnil(L, at))
      rc = pc_fail(PC_EARG, "%s: backward: result %d: expected a tensor or nil, got %s", c->name, c->arg_of[i],
                   pc_describe(L, at));
  }
  if (rc < 0)
    for (int i = 0; i < nin; i++) {
      pc_tensor_release(gin[i]);
      gin[i] = NULL;
    }
  lua_settop(L, base);
  return rc;
}

/* Runs forward(ctx, ...) without recording; leaves ctx and its results on the stack. */
static int custom_forward(lua_State *L, pc_args *a, const char *name, int *ctx, int *first, int *nout) {
  lua_newtable(L);
  *ctx = lua_gettop(L);
  *first = *ctx + 1;
  if (!lua_checkstack(L, a->nrest + 4)) return pc_fail(PC_ESTATE, "%s: Lua's stack is full", name);
  lua_getfield(L, PC_UPVALUE, "forward");
  lua_pushvalue(L, *ctx);
  for (int i = 0; i < a->nrest; i++) lua_pushvalue(L, a->rest + i);
  int was = pc_grad_set_enabled(0), rc = pc_callback(L, a->nrest + 1, LUA_MULTRET);
  pc_grad_set_enabled(was);
  if (rc < 0) return rc;
  *nout = lua_gettop(L) - *ctx;
  if (*nout < 1 || *nout > PC_MAX_OUT)
    return pc_fail(PC_EARG, "%s: forward returned %d results; 1 to %d tensors are expected", name, *nout, PC_MAX_OUT);
  for (int k = 0; k < *nout; k++)
    if (!pc_to_tensor(L, *first + k))
      return pc_fail(PC_EARG, "%s: forward: result %d: expected a tensor, got %s", name, k + 1,
                     pc_describe(L, *first + k));
  return PC_OK;
}

static int custom_call(lua_State *L, pc_args *a) {
  pc_tensor *in[32], *out[PC_MAX_OUT] = {NULL};
  int ctx, first, nout, wants = 0, rc;
  const char *name = a->decl->name;
  custom c = {.home = pc_lua_home(L), .nargs = a->nrest};
  if ((rc = custom_forward(L, a, name, &ctx, &first, &nout)) < 0) return rc;
  for (int i = 0; i < a->nrest; i++) {
    pc_tensor *t = pc_to_tensor(L, a->rest + i);
    if (!t) continue;
    if (c.nin == 32) return pc_fail(PC_EARG, "%s: more than 32 tensors", name);
    wants |= pc_requires_grad(t);
    c.arg_of[c.nin] = i + 1;
    in[c.nin++] = t;
  }
  for (int k = 0; k < nout && rc == PC_OK; k++) rc = pc_view_alias(&out[k], pc_to_tensor(L, first + k));
  if (rc == PC_OK && wants && pc_grad_enabled()) {
    custom *keep = pc_malloc(sizeof *keep);
    if (!keep) {
      rc = PC_ENOMEM;
    } else {
      strncpy(c.name, name, sizeof c.name - 1);
      lua_pushvalue(L, ctx);
      c.ctx = luaL_ref(L, LUA_REGISTRYINDEX);
      lua_getfield(L, PC_UPVALUE, "backward");
      c.backward = luaL_ref(L, LUA_REGISTRYINDEX);
      *keep = c;
      pc_custom op = {.name = keep->name, .ctx = keep, .release = custom_release, .backward = custom_backward};
      rc = pc_record_custom(out, nout, in, c.nin, &op);
    }
  }
  for (int k = 0; k < nout; k++) {
    if (rc == PC_OK)
      pc_push_tensor(L, out[k]);
    else
      pc_tensor_release(out[k]);
  }
  return rc < 0 ? rc : nout;
}

static int f_custom(lua_State *L, pc_args *a) {
  pc_luafn fn = {pc_arg_at(a, "name") ? pc_arg_str(a, "name") : "custom", "...", custom_call, pc_arg_str(a, "help"), 0};
  lua_newtable(L);
  lua_pushvalue(L, pc_arg_at(a, "forward"));
  lua_setfield(L, -2, "forward");
  lua_pushvalue(L, pc_arg_at(a, "backward"));
  lua_setfield(L, -2, "backward");
  pc_declare(L, NULL, &fn, -1, 1);
  return 1;
}

/* ---- gradcheck ---- */

static int call_checked(void *ctx, pc_tensor *const *x, int nx, pc_tensor **y) {
  lua_State *L = pc_lua_now();
  int fn = *(int *)ctx, base = lua_gettop(L);
  *y = NULL;
  if (!lua_checkstack(L, nx + 4)) return pc_fail(PC_ENOMEM, "gradcheck: Lua's stack is full");
  lua_pushvalue(L, fn);
  for (int i = 0; i < nx; i++) pc_push_tensor(L, pc_tensor_retain(x[i]));
  int rc = pc_callback(L, nx, 1);
  if (rc == PC_OK && !(*y = pc_tensor_retain(pc_to_tensor(L, -1))))
    rc = pc_fail(PC_EARG, "gradcheck: the function returned %s instead of a tensor", pc_describe(L, -1));
  lua_settop(L, base);
  return rc;
}

static int f_gradcheck(lua_State *L, pc_args *a) {
  pc_tensor **x;
  int nx, rc, fn = pc_arg_at(a, "fn");
  pc_gradcheck_opts opts = PC_GRADCHECK_OPTS_INIT;
  pc_args_options(a, &opts);
  if ((rc = tensors_of(L, a, "inputs", 0, 0, &x, &nx)) < 0) return rc;
  rc = pc_gradcheck(call_checked, &fn, x, nx, &opts);
  if (rc == PC_ENUM && !pc_arg_bool(a, "raise_exception")) {
    lua_pushboolean(L, 0);
    lua_pushstring(L, pc_error_text());
    return 2;
  }
  if (rc < 0) return rc;
  lua_pushboolean(L, 1);
  return 1;
}

static const pc_luafn methods[] = {
    {"requires_grad_", "x:tensor, on:bool=true", m_requires_grad_, "x wants a gradient; returns x"},
    {"requires_grad", "x:tensor", m_requires_grad, "true when x wants a gradient or has history"},
    {"is_leaf", "x:tensor", m_is_leaf, "true when x is no result of recorded operations"},
    {"zero_grad", "x:tensor", m_zero_grad, "forgets x.grad"},
    {"detach", "x:tensor", m_detach, "the same elements without history", PC_RETRY},
    {"backward", "y:tensor, gradient:tensor?, retain_graph:bool=false", m_backward,
     "adds d sum(y*gradient)/d leaf to the grad field of each leaf; gradient may be left out when y has one element"},
    {0}};

static const pc_luafn fns[] = {
    {"grad",
     "outputs:any, inputs:any, create_graph:bool=false, retain_graph:bool=false, allow_unused:bool=false, "
     "grad_outputs:any?",
     f_grad, "d sum(outputs*grad_outputs) / d inputs: a tensor for a tensor, a list for a list"},
    {"no_grad", "fn:function, ...", f_no_grad, "fn(...) without recording; errors restore the state"},
    {"higher_order", "fn:function, ...", f_higher_order,
     "fn(...) with fused layers recorded operation by operation: for what is differentiated more than once "
     "(create_graph)"},
    {"enable_grad", "fn:function, ...", f_enable_grad, "fn(...) with recording, inside of no_grad"},
    {"is_grad_enabled", "", f_is_grad_enabled, "true when operations are recorded"},
    {"set_grad_enabled", "on:bool", f_set_grad_enabled, "switches recording; returns what it was"},
    {"anomaly", "on:bool=true", f_anomaly,
     "operations that make the first NaN become errors that name them and the Lua line; returns what it was"},
    {"custom", "forward:function, backward:function, name:str?, help:str(any)=\"\"", f_custom,
     "an operation from forward(ctx, ...) -> tensors and backward(ctx, gy...) -> one gradient or nil for each "
     "argument"},
    {"gradcheck", "fn:function, inputs:any, @, raise_exception:bool=true", f_gradcheck,
     "compares gradients of fn(inputs...) with central differences; inputs are f64", 0, NULL, &pc_gradcheck_options},
    {0}};

void pc_open_grad(lua_State *L, int tf, int tm) {
  pc_open_both(L, tf, tm, methods);
  lua_pushvalue(L, tf);
  pc_register(L, NULL, fns);
  lua_pop(L, 1);
}
