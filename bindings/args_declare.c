/* args_declare.c: signatures, parsed once at registration into declarations, and printed for help. */
#include "bindings/args_impl.h"

#include <stdio.h>
#include <string.h>

const pc_arg_type pc_arg_types[PC_T_CLASS] = {
    [PC_T_TENSOR] = {"a tensor", 0},
    [PC_T_VALUE] = {"a tensor or a number", 1},
    [PC_T_TENSORS] = {"tensors or a list of tensors", 0},
    [PC_T_INT] = {"an integer", 1},
    [PC_T_NUM] = {"a number", 1},
    [PC_T_BOOL] = {"true or false", 0},
    [PC_T_STR] = {"a string", 0},
    [PC_T_DIM] = {"a dimension (1, 2, ... or -1, -2, ... from the end)", 1},
    [PC_T_DIMS] = {"a dimension or a list of dimensions", 1},
    [PC_T_INDEX] = {"a position (1, 2, ... or -1, -2, ... from the end)", 1},
    [PC_T_SIZE] = {"sizes: integers or one list of them", 1},
    [PC_T_SIZE2] = {"an integer or a pair {a, b}", 1},
    [PC_T_DTYPE] = {"a dtype: \"f32\", \"f64\", \"i64\", \"i32\" or \"u8\"", 0},
    [PC_T_ANY] = {"a value", 1},
    [PC_T_TABLE] = {"a table", 0},
    [PC_T_FUNCTION] = {"a function", 0},
};

static int trampoline(lua_State *L) { return pc_call_declared(L, lua_touserdata(L, lua_upvalueindex(1))); }

static char decl_key; /* registry[&decl_key]: functions -> declarations, weak keys */

static void push_decls(lua_State *L) {
  lua_pushlightuserdata(L, &decl_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  if (!lua_isnil(L, -1)) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_newtable(L);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushlightuserdata(L, &decl_key);
  lua_pushvalue(L, -2);
  lua_rawset(L, LUA_REGISTRYINDEX);
}

/* Are the tensors first, and nothing else that must be given? */
static int is_direct(const pc_signature *s) {
  if (s->nin < 1 || s->nin > 4 || s->variadic) return 0;
  for (int i = 0; i < s->n; i++)
    if (i < s->nin ? s->p[i].type > PC_T_VALUE : s->p[i].type <= PC_T_TENSORS || !s->p[i].optional) return 0;
  return 1;
}

/* The signature with `@` replaced by the rows of the option table; on the Lua stack. */
static const char *push_signature(lua_State *L, const pc_luafn *fn) {
  const char *sig = fn->sig ? fn->sig : "";
  if (!fn->options) {
    lua_pushstring(L, sig);
    return lua_tostring(L, -1);
  }
  size_t size = pc_options_signature(fn->options, NULL, 0) + 1;
  char *rows = lua_newuserdata(L, size);
  pc_options_signature(fn->options, rows, size);
  luaL_gsub(L, sig, "@", rows);
  lua_remove(L, -2);
  return lua_tostring(L, -1);
}

/* Pushes a declaration: one block with its signature and its texts. */
static pc_decl *push_decl(lua_State *L, const char *module, const pc_luafn *fn, int op) {
  const char *sig = push_signature(L, fn), *help = fn->help ? fn->help : "";
  size_t parsed = op < 0 ? pc_signature_bytes(sig) : 0, names = (module ? strlen(module) : 0) + strlen(fn->name) + 2;
  char *at = lua_newuserdata(L, sizeof(pc_decl) + parsed + names + strlen(help) + 1);
  pc_decl *d = (pc_decl *)at;
  char *text = at + sizeof *d + parsed;
  pc_signature *own = NULL;
  int rc = op < 0 ? pc_signature_parse(&own, at + sizeof *d, sig) : PC_OK;
  if (rc < 0) luaL_error(L, "%s: %s", fn->name, pc_error_text());
  snprintf(text, names, module ? "%s.%s" : "%s%s", module ? module : "", fn->name);
  *d = (pc_decl){.name = text, .call = fn->call, .flags = fn->flags, .op = op, .options = fn->options};
  d->help = strcpy(text + names, help);
  d->sig = op < 0 ? own : pc_op_signature((pc_opcode)op);
  if (!d->sig) luaL_error(L, "%s: %s", fn->name, pc_error_text());
  d->direct = is_direct(d->sig) ? fn->direct : NULL;
  lua_remove(L, -2); /* the text of the signature */
  return d;
}

const pc_decl *pc_declare_table(lua_State *L, const pc_luafn *fn) {
  pc_decl *d = push_decl(L, NULL, fn, -1);
  luaL_ref(L, LUA_REGISTRYINDEX);
  return d;
}

void pc_declare(lua_State *L, const char *module, const pc_luafn *fn, int op, int nup) {
  push_decl(L, module, fn, op);
  if (nup) lua_insert(L, -2);
  lua_pushvalue(L, nup ? -2 : -1);
  if (nup)
    lua_insert(L, -3); /* decl, decl, up */
  else
    lua_insert(L, -2); /* decl, decl */
  lua_pushcclosure(L, trampoline, 1 + nup);
  push_decls(L); /* decl, f, decls */
  lua_pushvalue(L, -2);
  lua_pushvalue(L, -4);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  lua_remove(L, -2);
}

void pc_register(lua_State *L, const char *module, const pc_luafn *fns) {
  for (; fns->name; fns++) {
    pc_declare(L, module, fns, -1, 0);
    lua_setfield(L, -2, fns->name);
  }
}

const pc_decl *pc_decl_of(lua_State *L, int idx) {
  lua_pushvalue(L, idx);
  push_decls(L);
  lua_insert(L, -2);
  lua_rawget(L, -2);
  const pc_decl *d = lua_touserdata(L, -1);
  lua_pop(L, 2);
  return d;
}

void pc_push_usage(lua_State *L, const pc_decl *d) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  luaL_addstring(&b, d->name);
  luaL_addchar(&b, '(');
  for (int i = 0; i < d->sig->n; i++) {
    const pc_param *p = &d->sig->p[i];
    if (i) luaL_addstring(&b, ", ");
    luaL_addstring(&b, p->name);
    if (p->text) {
      luaL_addchar(&b, '=');
      if (p->type == PC_T_STR || p->type == PC_T_DTYPE) luaL_addchar(&b, '"');
      luaL_addstring(&b, p->text);
      if (p->type == PC_T_STR || p->type == PC_T_DTYPE) luaL_addchar(&b, '"');
    } else if (p->optional) {
      luaL_addchar(&b, '?');
    }
  }
  if (d->sig->variadic) luaL_addstring(&b, d->sig->n ? ", ..." : "...");
  luaL_addchar(&b, ')');
  luaL_pushresult(&b);
}

void pc_class(lua_State *L, const char *name, const pc_luafn *methods, lua_CFunction gc) {
  pc_plain_class(L, name, gc);
  lua_newtable(L);
  if (methods) pc_register(L, name, methods);
  lua_setfield(L, -2, "__index");
}
