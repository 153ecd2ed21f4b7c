/* percept.c: `require "percept"`: the module of modules. */
#include "bindings/percept.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "bindings/args.h"

#define MODULE(name) int luaopen_percept_##name(lua_State *L);
#include "bindings/modules.def"
#undef MODULE

/* ---- the globals of the workbench's own Lua ---- */

/* registry[&env_key]: what its chunks see as globals: the standard library as it was at the start, copied. Whoever
 * assigns `print`, or empties `string`, at the prompt changes his own globals, not the prompt's. What isn't there is
 * looked for in _G, and an assignment goes there. */
static char env_key;

static void copy_fields(lua_State *L, int from, int to) {
  for (lua_pushnil(L); lua_next(L, from);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, to);
  }
}

/* print() for the workbench: a function that the user put in its place is obeyed, the global tostring isn't asked.
 * Upvalues: tostring, print. */
static int own_print(lua_State *L) {
  int n = lua_gettop(L);
  lua_pushliteral(L, "print");
  lua_rawget(L, LUA_GLOBALSINDEX);
  if (lua_isfunction(L, -1) && !lua_rawequal(L, -1, lua_upvalueindex(2))) {
    lua_insert(L, 1);
    lua_call(L, n, 0);
    return 0;
  }
  for (int i = 1; i <= n; i++) {
    size_t len;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, i);
    lua_call(L, 1, 1);
    const char *text = lua_tolstring(L, -1, &len);
    if (i > 1) putchar('\t');
    if (text) fwrite(text, 1, len, stdout);
    lua_pop(L, 1);
  }
  putchar('\n');
  return 0;
}

static void make_environment(lua_State *L) {
  lua_pushlightuserdata(L, &env_key);
  lua_newtable(L);
  int env = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, LUA_GLOBALSINDEX);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2); /* name, name, value */
    if (lua_istable(L, -1) && !lua_rawequal(L, -1, LUA_GLOBALSINDEX)) {
      lua_newtable(L);
      copy_fields(L, lua_gettop(L) - 1, lua_gettop(L));
      lua_remove(L, -2);
    }
    lua_rawset(L, env);
  }
  lua_getfield(L, env, "tostring");
  lua_getfield(L, env, "print");
  lua_pushcclosure(L, own_print, 2);
  lua_setfield(L, env, "print");
  lua_createtable(L, 0, 2);
  lua_pushvalue(L, LUA_GLOBALSINDEX);
  lua_setfield(L, -2, "__index");
  lua_pushvalue(L, LUA_GLOBALSINDEX);
  lua_setfield(L, -2, "__newindex");
  lua_setmetatable(L, env);
  lua_rawset(L, LUA_REGISTRYINDEX);
}

static void push_environment(lua_State *L) {
  lua_pushlightuserdata(L, &env_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
}

void pc_push_global(lua_State *L, const char *name) {
  push_environment(L);
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
}

/* ---- embedded Lua ---- */

/* Pushes the chunk of dir/<path>.lua and returns 1; 0 when there is no such file. Raises its mistakes. */
static int load_from(lua_State *L, const char *dir, const char *path) {
  lua_pushfstring(L, "%s/%s.lua", dir, path);
  FILE *f = fopen(lua_tostring(L, -1), "r");
  if (!f) return 0;
  fclose(f);
  if (luaL_loadfile(L, lua_tostring(L, -1))) lua_error(L);
  return 1;
}

/* Upvalue 1: the entry. A file of PERCEPT_PATH goes before it: percept/run/train.lua, or as `require` calls the module,
 * percept/train.lua. */
static int load_embedded(lua_State *L) {
  const pc_embedded *e = lua_touserdata(L, lua_upvalueindex(1));
  const char *dir = getenv("PERCEPT_PATH");
  int own = 0;
  if (dir && *dir) own = load_from(L, dir, e->path) || load_from(L, dir, luaL_gsub(L, e->name, ".", "/"));
  if (!own) {
    lua_pushfstring(L, "@scripts/%s.lua", e->path);
    if (luaL_loadbuffer(L, (const char *)e->data, e->size, lua_tostring(L, -1))) return lua_error(L);
  }
  push_environment(L);
  lua_setfenv(L, -2);
  lua_pushstring(L, e->name);
  lua_call(L, 1, 1);
  return 1;
}

static void preload(lua_State *L) {
  static const struct {
    const char *name;
    lua_CFunction open;
  } modules[] = {
#define MODULE(name) {"percept." #name, luaopen_percept_##name},
#include "bindings/modules.def"
#undef MODULE
  };
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  for (const pc_embedded *e = pc_embedded_lua; e->name; e++) {
    if (!strcmp(e->name, "percept")) continue;
    lua_pushlightuserdata(L, (void *)(uintptr_t)e);
    lua_pushcclosure(L, load_embedded, 1);
    lua_setfield(L, -2, e->name);
  }
  for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
    lua_getfield(L, -1, modules[i].name); /* a Lua file of the same name wraps the C module: it is percept.<name>.c */
    if (lua_isnil(L, -1)) {
      lua_pushcfunction(L, modules[i].open);
      lua_setfield(L, -3, modules[i].name);
    } else {
      lua_pushfstring(L, "%s.c", modules[i].name);
      lua_pushcfunction(L, modules[i].open);
      lua_rawset(L, -4);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
}

/* percept.x is require("percept.x") */
static int percept_index(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  lua_pushfstring(L, "percept.%s", lua_tostring(L, 2));
  pc_push_global(L, "package");
  lua_getfield(L, -1, "preload");
  lua_pushvalue(L, 3);
  lua_rawget(L, -2);
  if (lua_isnil(L, -1)) return 1;
  pc_push_global(L, "require");
  lua_pushvalue(L, 3);
  lua_call(L, 1, 1);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, -2);
  lua_rawset(L, 1);
  return 1;
}

/* ---- functions of the module itself ---- */

/* Functions to call at the end, last one first: registry[&exit_key] */
static char exit_key;

static int f_on_exit(lua_State *L, pc_args *a) {
  lua_pushlightuserdata(L, &exit_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  if (lua_isnil(L, -1)) {
    lua_newtable(L);
    lua_pushlightuserdata(L, &exit_key);
    lua_pushvalue(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
  }
  lua_pushvalue(L, pc_arg_at(a, "fn"));
  lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
  return 0;
}

void pc_run_exit_functions(lua_State *L, const char *status, const char *message) {
  lua_pushlightuserdata(L, &exit_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  int list = lua_gettop(L);
  while (lua_istable(L, list) && lua_objlen(L, list) > 0) {
    int n = (int)lua_objlen(L, list);
    lua_rawgeti(L, list, n);
    lua_pushnil(L);
    lua_rawseti(L, list, n);
    lua_pushstring(L, status);
    lua_pushstring(L, message);
    if (lua_pcall(L, 2, 0, 0) == 0) continue;
    size_t size = 0;
    const char *why = lua_tolstring(L, -1, &size);
    char *shown = pc_text_shown(why ? why : "error", why ? size : 5, 1); /* it may quote a file of anybody's */
    fprintf(stderr, "percept: at exit: %s\n", shown ? shown : "error");
    pc_free(shown);
    lua_pop(L, 1);
  }
  lua_settop(L, list - 1);
  pc_finish_open_runs(L, status, message);
}

static int f_run_exit(lua_State *L, pc_args *a) {
  pc_run_exit_functions(L, pc_arg_str(a, "status"), pc_arg_str(a, "message"));
  return 0;
}

static int f_signal(lua_State *L, pc_args *a) {
  (void)a;
  int s = pc_front_signal();
  if (!s) return 0;
  lua_pushstring(L, s == SIGTERM ? "terminated" : "interrupted");
  return 1;
}

/* declare(name, sig, fn, help): fn is called with the declared arguments in order, defaults filled in. */
static int call_lua(lua_State *L, pc_args *a) {
  const pc_decl *d = a->decl;
  int base = lua_gettop(L);
  luaL_checkstack(L, d->sig->n + a->nrest + 4, "too many arguments");
  lua_pushvalue(L, PC_UPVALUE);
  for (int i = 0; i < d->sig->n; i++) {
    const pc_param *p = &d->sig->p[i];
    const pc_arg *x = &a->a[i];
    if (x->at && (p->type == PC_T_SIZE || p->type == PC_T_DIMS || p->type == PC_T_SIZE2 || p->type == PC_T_TENSORS)) {
      int n = p->type == PC_T_TENSORS ? a->nlist : x->v.nl;
      if (p->type == PC_T_TENSORS && lua_istable(L, x->at)) {
        lua_pushvalue(L, x->at);
        continue;
      }
      lua_createtable(L, n, 0);
      for (int k = 0; k < n; k++) {
        if (p->type == PC_T_TENSORS)
          lua_pushvalue(L, x->at + k);
        else
          lua_pushnumber(L, (lua_Number)(x->v.l[k] + (p->type == PC_T_DIMS && x->v.l[k] >= 0)));
        lua_rawseti(L, -2, k + 1);
      }
    } else if (x->at) {
      lua_pushvalue(L, x->at);
    } else if (!p->text) {
      lua_pushnil(L);
    } else if (p->type == PC_T_BOOL) {
      lua_pushboolean(L, (int)x->v.i);
    } else if (p->type == PC_T_INT) {
      lua_pushnumber(L, (lua_Number)x->v.i);
    } else if (p->type == PC_T_DIM || p->type == PC_T_INDEX) {
      lua_pushnumber(L, (lua_Number)(x->v.i + (x->v.i >= 0)));
    } else if (p->type == PC_T_NUM) {
      lua_pushnumber(L, x->v.d);
    } else if (p->type == PC_T_STR || p->type == PC_T_DTYPE) {
      lua_pushstring(L, p->text);
    } else if (p->type == PC_T_SIZE2 || p->type == PC_T_SIZE || p->type == PC_T_DIMS) {
      lua_createtable(L, x->v.nl, 0);
      for (int k = 0; k < x->v.nl; k++) {
        lua_pushnumber(L, (lua_Number)(x->v.l[k] + (p->type == PC_T_DIMS && x->v.l[k] >= 0)));
        lua_rawseti(L, -2, k + 1);
      }
    } else {
      lua_pushnil(L);
    }
  }
  for (int i = 0; i < a->nrest; i++) lua_pushvalue(L, a->rest + i);
  int rc = pc_callback(L, d->sig->n + a->nrest, LUA_MULTRET);
  return rc < 0 ? rc : lua_gettop(L) - base;
}

static int f_declare(lua_State *L, pc_args *a) {
  pc_luafn fn = {pc_arg_str(a, "name"), pc_arg_str(a, "signature"), call_lua, pc_arg_str(a, "help"), 0};
  lua_pushvalue(L, pc_arg_at(a, "fn"));
  pc_declare(L, NULL, &fn, -1, 1);
  return 1;
}

/* usage(fn): the signature, the help line and the table of arguments of a declared function; nothing for others */
static int f_usage(lua_State *L, pc_args *a) {
  const pc_decl *d = pc_decl_of(L, pc_arg_at(a, "x"));
  if (!d) return 0;
  pc_push_usage(L, d);
  lua_pushstring(L, d->help);
  lua_createtable(L, d->sig->n, 0);
  for (int i = 0; i < d->sig->n; i++) {
    lua_newtable(L);
    lua_pushstring(L, d->sig->p[i].name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, d->sig->p[i].type_name);
    lua_setfield(L, -2, "type");
    lua_pushstring(L, d->sig->p[i].choices);
    lua_setfield(L, -2, "choices");
    lua_pushstring(L, d->sig->p[i].range_text);
    lua_setfield(L, -2, "range");
    lua_pushboolean(L, d->sig->p[i].optional);
    lua_setfield(L, -2, "optional");
    const pc_option *row = d->options ? pc_options_find(d->options, d->sig->p[i].name) : NULL;
    if (row && *row->help) lua_pushstring(L, row->help), lua_setfield(L, -2, "help");
    if (d->sig->p[i].text) {
      lua_pushstring(L, d->sig->p[i].text);
      lua_setfield(L, -2, "default");
    }
    lua_rawseti(L, -2, i + 1);
  }
  return 3;
}

/* The word of a list that is most like another one. */
static int f_nearest(lua_State *L, pc_args *a) {
  const char *words[512];
  int n = (int)lua_objlen(L, pc_arg_at(a, "words")), count = 0;
  for (int i = 1; i <= n && count < 512; i++) {
    lua_rawgeti(L, pc_arg_at(a, "words"), i); /* the list keeps it alive */
    if (lua_type(L, -1) == LUA_TSTRING) words[count++] = lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  lua_pushstring(L, pc_nearest(pc_arg_str(a, "word"), words, count));
  return 1;
}

static int f_embedded(lua_State *L, pc_args *a) {
  for (const pc_embedded *e = pc_embedded_lua; e->name; e++)
    if (!strcmp(e->name, pc_arg_str(a, "name")) || !strcmp(e->path, pc_arg_str(a, "name")))
      return lua_pushlstring(L, (const char *)e->data, e->size), 1;
  return 0;
}

static const pc_luafn fns[] = {
    {"signal", "", f_signal, "\"interrupted\" or \"terminated\" when a signal is ending the script, else nothing"},
    {"on_exit", "fn:function", f_on_exit,
     "fn(status, message) is called when the program ends; status: \"done\", \"failed\" or \"killed\""},
    {"run_exit_functions", "status:str, message:str(any)?", f_run_exit, "calls and forgets what on_exit() was given"},
    {"declare", "name:str, signature:str, fn:function, help:str(any)=\"\"", f_declare,
     "a function whose calls are checked against a signature, and which help() knows"},
    {"usage", "x:any", f_usage, "signature, help line and argument table of a declared function"},
    {"nearest", "word:str(any), words:table", f_nearest,
     "the word of the list that is most like the given one; nil if none is"},
    {"embedded", "name:str", f_embedded,
     "source text of a Lua module that the program holds, by its name or its path in scripts/; nothing for others"},
    {0}};

int luaopen_percept(lua_State *L) {
  make_environment(L);
  preload(L);
  lua_newtable(L);
  pc_register(L, NULL, fns);
  lua_pushliteral(L, PC_VERSION);
  lua_setfield(L, -2, "version");
  lua_newtable(L);
  lua_pushcfunction(L, percept_index);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "loaded");
  lua_pushvalue(L, -3);
  lua_setfield(L, -2, "percept");
  lua_pop(L, 2);
  lua_getglobal(L, "require"); /* every module hands out tensors: their class must be there */
  lua_pushliteral(L, "percept.tensor");
  lua_call(L, 1, 0);
  return 1;
}
