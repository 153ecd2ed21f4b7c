/* module.c: the class of modules: calling, walking, saving, modules written in Lua. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "bindings/module.h"
#include "grad/op.h"
#include "nn/lora.h"

void pc_push_module(lua_State *L, pc_module *m) {
  pc_module_handle *h = pc_new_object(L, "module", sizeof *h);
  h->m = m;
}

int pc_made_module(lua_State *L, int rc, pc_module *const *m) {
  if (rc < 0) return rc;
  pc_push_module(L, *m);
  return 1;
}

pc_module *pc_to_module(lua_State *L, int idx) {
  pc_module_handle *h = pc_to_object(L, idx, "module");
  return h ? h->m : NULL;
}

static int module_gc(lua_State *L) {
  pc_module_handle *h = lua_touserdata(L, 1);
  pc_module_release(h->m);
  h->m = NULL;
  return 0;
}

/* ---- modules whose forward is a Lua function ---- */

typedef struct lua_self {
  lua_State *home;
  int spec; /* registry reference of the table given to nn.module */
} lua_self;

static void lua_release(pc_module *m) {
  const lua_self *self = m->self;
  luaL_unref(self->home, LUA_REGISTRYINDEX, self->spec);
}

static int get_forward(lua_State *L) {
  lua_getfield(L, 1, "forward");
  return 1;
}

/* The function in the place of the table on top, which may inherit it: a metamethod runs as any callback. */
static int push_forward(lua_State *L) {
  lua_pushcfunction(L, get_forward);
  lua_insert(L, -2);
  return pc_callback(L, 1, 1);
}

static void lua_forward(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  lua_State *L = pc_lua_now();
  int top = lua_gettop(L);
  if (!lua_checkstack(L, nin + 8)) {
    pc_note(s, pc_fail(PC_ESTATE, "module: Lua's stack is full"));
    return;
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, ((lua_self *)m->self)->spec);
  if (push_forward(L) == PC_OK) {
    pc_push_module(L, pc_module_retain(m));
    for (int i = 0; i < nin; i++) pc_push_tensor(L, pc_tensor_retain(in[i]));
  }
  if (pc_note(s, lua_gettop(L) > top ? pc_callback(L, nin + 1, LUA_MULTRET) : pc_error_code()) == PC_OK) {
    int n = lua_gettop(L) - top;
    if (n < 1 || n > PC_MAX_OUT)
      pc_note(s,
              pc_fail(PC_ECALLBACK, "module: forward must return 1 to %d tensors, returned %d values", PC_MAX_OUT, n));
    for (int k = 0; k < n && s->rc == PC_OK; k++) {
      pc_tensor *t = pc_to_tensor(L, top + 1 + k);
      if (!t && !lua_isnil(L, top + 1 + k))
        pc_note(s, pc_fail(PC_ECALLBACK, "module: result %d of forward is %s, not a tensor", k + 1,
                           pc_describe(L, top + 1 + k)));
      else if (t)
        out[k] = pc_own(s, pc_tensor_retain(t));
    }
  }
  lua_settop(L, top);
}

static const pc_module_class lua_class = {
    "module", 0, 16, PC_MAX_OUT, lua_forward, lua_release, "a module written in Lua"};

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Children and parameters of the table at idx, in the order of their names: pairs() has none. */
static int adopt_fields(lua_State *L, pc_module *m, int idx) {
  const char *names[256] = {NULL};
  int n = 0, rc = PC_OK;
  for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || (!pc_to_module(L, -1) && !pc_to_tensor(L, -1))) continue;
    if (!pc_text(L, -2))
      rc = pc_fail(PC_EARG, "nn.module: a name without NUL bytes is expected, got %s", pc_describe(L, -2));
    else if (n == 256)
      rc = pc_fail(PC_EARG, "nn.module: at most 256 children and parameters");
    else
      names[n++] = pc_text(L, -2);
  }
  qsort(names, (size_t)n, sizeof *names, by_name);
  for (int i = 0; i < n && rc == PC_OK; i++) {
    lua_pushstring(L, names[i]);
    lua_rawget(L, idx);
    pc_module *child = pc_to_module(L, -1);
    pc_tensor *t = pc_to_tensor(L, -1);
    rc = child ? pc_module_add_child(m, names[i], child)
               : pc_module_add_tensor(m, names[i], t, !pc_dtype_is_float(t->dtype));
    lua_pop(L, 1);
  }
  return rc;
}

static int f_module(lua_State *L, pc_args *a) {
  int at = pc_arg_at(a, "spec");
  pc_module *m;
  lua_getfield(L, at, "forward");
  int ok = lua_isfunction(L, -1);
  lua_pop(L, 1);
  if (!ok) return pc_fail(PC_EARG, "nn.module: the table needs forward = function(self, x, ...)");
  int rc = pc_module_new(&m, &lua_class, sizeof(lua_self));
  if (rc < 0) return rc;
  lua_pushvalue(L, at);
  *(lua_self *)m->self = (lua_self){pc_lua_home(L), luaL_ref(L, LUA_REGISTRYINDEX)};
  rc = adopt_fields(L, m, at);
  if (rc < 0) pc_module_release(m);
  return pc_made_module(L, rc, &m);
}

/* ---- methods ---- */

static int m_call(lua_State *L, pc_args *a) {
  pc_module *m = PC_MODULE(a, "self");
  pc_tensor *out[PC_MAX_OUT] = {NULL};
  pc_scope s = {0};
  int n = m->cls->nout;
  pc_module_run(&s, m, a->list, a->nlist, out);
  int rc = pc_scope_end(&s, out, n);
  if (rc < 0) return rc;
  while (n > 1 && !out[n - 1]) n--;
  for (int k = 0; k < n; k++) pc_push_tensor(L, out[k]);
  return n;
}

typedef struct list_ctx {
  lua_State *L;
  int n, what; /* 0: parameters as a list; 1: named; 2: state (values and buffers, named) */
} list_ctx;

static int list_one(void *ctx, const char *path, pc_parameter *p) {
  list_ctx *c = ctx;
  if (p->is_buffer && c->what < 2) return PC_OK;
  pc_push_tensor(c->L, pc_tensor_retain(p->t));
  if (c->what == 0)
    lua_rawseti(c->L, -2, ++c->n);
  else
    lua_setfield(c->L, -2, path);
  return PC_OK;
}

static int list_as(lua_State *L, pc_args *a, int what) {
  list_ctx c = {L, 0, what};
  lua_newtable(L);
  int rc = pc_module_each(PC_MODULE(a, "self"), list_one, &c);
  return rc < 0 ? rc : 1;
}

static int m_parameters(lua_State *L, pc_args *a) { return list_as(L, a, 0); }
static int m_named(lua_State *L, pc_args *a) { return list_as(L, a, 1); }
static int m_state(lua_State *L, pc_args *a) { return list_as(L, a, 2); }

static int name_one(void *ctx, const char *path, pc_parameter *p) {
  list_ctx *c = ctx;
  lua_pushstring(c->L, path);
  lua_rawseti(c->L, -2, ++c->n);
  return PC_OK;
}

static int m_names(lua_State *L, pc_args *a) {
  list_ctx c = {L, 0, 0};
  lua_newtable(L);
  int rc = pc_module_each(PC_MODULE(a, "self"), name_one, &c);
  return rc < 0 ? rc : 1;
}

typedef struct load_ctx {
  lua_State *L;
  int at, found;
} load_ctx;

static int load_one(void *ctx, const char *path, pc_parameter *p) {
  load_ctx *c = ctx;
  lua_pushstring(c->L, path);
  lua_rawget(c->L, c->at);
  pc_tensor *t = pc_to_tensor(c->L, -1);
  int rc = PC_OK;
  if (!t)
    rc = pc_fail(PC_ENOTFOUND, "load_state: no tensor '%s'", path);
  else if (!pc_same_shape(t, p->t))
    rc = pc_fail(PC_ESHAPE, "load_state: '%s' is %s in the state, %s in the module", path, pc_shape_str(t),
                 pc_shape_str(p->t));
  else
    rc = pc_copy_into(p->t, t);
  c->found++;
  lua_pop(c->L, 1);
  return rc;
}

static int m_load_state(lua_State *L, pc_args *a) {
  pc_module *m = PC_MODULE(a, "self");
  load_ctx c = {L, pc_arg_at(a, "state"), 0};
  int given = 0, rc = pc_module_each(m, load_one, &c);
  if (rc < 0) return rc;
  for (lua_pushnil(L); lua_next(L, c.at); lua_pop(L, 1)) {
    given++;
    const char *name = pc_text(L, -2);
    if (lua_type(L, -2) == LUA_TSTRING && !(name && pc_module_get(m, name))) {
      rc = name ? pc_fail(PC_ENOTFOUND, "load_state: the module has no parameter '%s'", name)
                : pc_fail(PC_ENOTFOUND, "load_state: the module has no parameter %s", pc_describe(L, -2));
      lua_pop(L, 2);
      return rc;
    }
  }
  lua_pushvalue(L, pc_arg_at(a, "self"));
  return 1;
}

static int m_count(lua_State *L, pc_args *a) {
  int64_t n = pc_module_count(PC_MODULE(a, "self"));
  if (n < 0) return (int)n;
  lua_pushnumber(L, (lua_Number)n);
  return 1;
}

static int self_back(lua_State *L, pc_args *a, int rc) {
  if (rc < 0) return rc;
  lua_pushvalue(L, pc_arg_at(a, "self"));
  return 1;
}

static int m_train(lua_State *L, pc_args *a) {
  pc_module_set_training(PC_MODULE(a, "self"), pc_arg_bool(a, "on"));
  return self_back(L, a, PC_OK);
}
static int m_freeze(lua_State *L, pc_args *a) {
  return self_back(L, a, pc_module_set_requires_grad(PC_MODULE(a, "self"), 0));
}
static int m_unfreeze(lua_State *L, pc_args *a) {
  return self_back(L, a, pc_module_set_requires_grad(PC_MODULE(a, "self"), 1));
}
static int m_fix(lua_State *L, pc_args *a) {
  return self_back(L, a, pc_module_fix(PC_MODULE(a, "self"), pc_arg_bool(a, "on")));
}
static int m_lora(lua_State *L, pc_args *a) {
  pc_lora_opts o = PC_OPTIONS_WITH(pc_lora_opts, PC_LORA_OPTIONS, );
  pc_args_options(a, &o);
  return self_back(L, a, pc_lora_add(PC_MODULE(a, "self"), &o));
}
static int m_merge_lora(lua_State *L, pc_args *a) { return self_back(L, a, pc_lora_merge(PC_MODULE(a, "self"))); }
static int m_zero_grad(lua_State *L, pc_args *a) { return self_back(L, a, pc_module_zero_grad(PC_MODULE(a, "self"))); }

static int m_copy(lua_State *L, pc_args *a) {
  return self_back(L, a, pc_module_copy_values(PC_MODULE(a, "self"), PC_MODULE(a, "source")));
}

static int m_flatten(lua_State *L, pc_args *a) {
  pc_flat f;
  int rc = pc_module_flatten(PC_MODULE(a, "self"), &f);
  if (rc < 0) return rc;
  pc_push_tensor(L, f.values);
  pc_push_tensor(L, f.grads);
  return 2;
}

static int m_children(lua_State *L, pc_args *a) {
  pc_module *m = PC_MODULE(a, "self");
  lua_createtable(L, m->nkids, 0);
  for (int i = 0; i < m->nkids; i++) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, m->kids[i].name);
    lua_setfield(L, -2, "name");
    pc_push_module(L, pc_module_retain(m->kids[i].m));
    lua_setfield(L, -2, "module");
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static int m_type(lua_State *L, pc_args *a) {
  lua_pushstring(L, PC_MODULE(a, "self")->cls->name);
  return 1;
}

#define SWITCH "self:module, on:bool=true"

static const pc_luafn methods[] = {
    {"forward", "self:module, inputs:tensors", m_call, "runs the module; the same as calling it", 0},
    {"parameters", "self:module", m_parameters, "list of the trained tensors, in tree order", 0},
    {"named_parameters", "self:module", m_named, "table: full name -> trained tensor", 0},
    {"names", "self:module", m_names, "list of full names of parameters and buffers, in tree order", 0},
    {"state", "self:module", m_state, "table: full name -> parameter or buffer (shared, not copied)", 0},
    {"load_state", "self:module, state:table", m_load_state,
     "copies values in by full name; names and shapes must match", 0},
    {"copy_from", "self:module, source:module", m_copy, "copies all values of an equal module", 0},
    {"count", "self:module", m_count, "number of trained numbers", 0},
    {"train", SWITCH, m_train, "switches training behaviour (dropout) on or off", 0},
    {"freeze", "self:module", m_freeze, "parameters no longer want gradients", 0},
    {"unfreeze", "self:module", m_unfreeze, "parameters want gradients again", 0},
    {"fix", SWITCH, m_fix,
     "parameters become constants: saved and loaded by name, but without gradient, flat buffer or place in an "
     "optimiser made later; false: parameters again",
     0},
    {"lora", "self:module, @", m_lora,
     "fixes the module and adapts its attentions' projections q, k, v, o named in `on`: W x + (alpha / rank) B A x, B "
     "0 at birth (arXiv 2106.09685). Parameters lora_a (rank,in), lora_b (out,rank) beside the weights",
     0, NULL, &pc_lora_options},
    {"merge_lora", "self:module", m_merge_lora, "W += (alpha / rank) B A: the same function in plain weights", 0},
    {"zero_grad", "self:module", m_zero_grad, "sets all gradients to 0", 0},
    {"flatten", "self:module", m_flatten, "moves the parameters into one flat buffer -> values (n), gradients (n)", 0},
    {"children", "self:module", m_children, "list of {name=, module=}", 0},
    {"type", "self:module", m_type, "name of the module's class", 0},
    {0}};

/* m.name: a method, a child, a parameter, or a field of a Lua module's table. Upvalue 1: methods. */
static int module_index(lua_State *L) {
  pc_module *m = pc_to_module(L, 1);
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  if (!lua_isnil(L, -1) || !m) return 1;
  lua_pop(L, 1);
  const char *key = pc_text_or_number(L, 2);
  pc_module *child = key ? pc_module_child(m, key) : NULL;
  pc_tensor *t = key ? pc_module_get(m, key) : NULL;
  if (child) {
    pc_push_module(L, pc_module_retain(child));
  } else if (t) {
    pc_push_tensor(L, pc_tensor_retain(t));
  } else if (m->cls == &lua_class) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, ((lua_self *)m->self)->spec);
    lua_pushvalue(L, 2);
    lua_gettable(L, -2);
  } else {
    lua_pushnil(L);
  }
  return 1;
}

/* self.count = 1 in a module written in Lua: a field of its table. Parameters and children are set once, by nn.module.
 */
static int module_newindex(lua_State *L) {
  pc_module *m = pc_to_module(L, 1);
  const char *key = pc_text(L, 2);
  int rc = PC_OK;
  if (!m || m->cls != &lua_class)
    rc = pc_fail(PC_EARG, "%s: a field cannot be set; write an nn.module{...} around it", m ? m->cls->name : "module");
  else if (key && (pc_module_child(m, key) || pc_module_get(m, key)))
    rc = pc_fail(PC_EARG, "module: '%s' is a child or parameter; change its values in place (copy_, load_state)", key);
  else if (pc_to_module(L, 3))
    rc = pc_fail(PC_EARG, "module: children are given to nn.module{...}, where their parameters are collected");
  if (rc < 0) return pc_raise(L, rc);
  if (lua_isnil(L, 2) || (lua_type(L, 2) == LUA_TNUMBER && lua_tonumber(L, 2) != lua_tonumber(L, 2)))
    return luaL_error(L, "module: %s is no name of a field", pc_describe(L, 2));
  lua_rawgeti(L, LUA_REGISTRYINDEX, ((lua_self *)m->self)->spec);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 3);
  lua_rawset(L, -3);
  return 0;
}

static void print_tree(luaL_Buffer *b, const pc_module *m, int depth) {
  char line[256];
  snprintf(line, sizeof line, "%s", m->cls->name);
  luaL_addstring(b, line);
  for (int i = 0; i < m->nparams; i++) {
    snprintf(line, sizeof line, "%s%s %s", i ? ", " : " (", m->params[i].name, pc_shape_str(m->params[i].t));
    luaL_addstring(b, line);
  }
  if (m->nparams) luaL_addchar(b, ')');
  for (int i = 0; i < m->nkids; i++) {
    snprintf(line, sizeof line, "\n%*s%s: ", 2 * depth + 2, "", m->kids[i].name);
    luaL_addstring(b, line);
    print_tree(b, m->kids[i].m, depth + 1);
  }
}

static int module_tostring(lua_State *L) {
  pc_module *m = pc_to_module(L, 1);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  if (m) print_tree(&b, m, 0);
  luaL_pushresult(&b);
  return 1;
}

static int module_eq(lua_State *L) {
  lua_pushboolean(L, pc_to_module(L, 1) == pc_to_module(L, 2));
  return 1;
}

void pc_module_class_open(lua_State *L) {
  luaL_getmetatable(L, "percept.module");
  int there = !lua_isnil(L, -1);
  lua_pop(L, 1);
  if (there) return;
  pc_class(L, "module", methods, module_gc);
  lua_getfield(L, -1, "__index");
  lua_getfield(L, -1, "forward");
  lua_setfield(L, -3, "__call");
  lua_pushcclosure(L, module_index, 1);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, module_newindex);
  lua_setfield(L, -2, "__newindex");
  lua_pushcfunction(L, module_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushcfunction(L, module_eq);
  lua_setfield(L, -2, "__eq");
  lua_newtable(L);
  pc_register(L, "module", methods);
  lua_setfield(L, -2, "methods"); /* for completion and help */
  lua_pop(L, 1);
}

/* ---- nn.module itself lives here, beside its class ---- */

static const pc_luafn functions[] = {
    {"module", "spec:table", f_module,
     "a module in Lua: {forward = function(self, x, ...) ... end, name = child module or parameter tensor, ...}", 0},
    {0}};

void pc_module_functions(lua_State *L);
void pc_module_functions(lua_State *L) { pc_register(L, "nn", functions); }
