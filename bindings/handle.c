/* handle.c: userdata that hold engine objects. */
#include "bindings/handle.h"

#include <string.h>

static char tensor_key; /* registry[&tensor_key]: the metatable of tensors */

/* Where that metatable is in the Lua state that opened percept last: every op asks, and a look into the
 * registry costs more than the op's other checks together. The registry's address tells states apart;
 * in another state the long way is gone. */
static struct {
  const void *registry, *meta;
  int ref; /* registry[ref]: the same metatable */
} known;

static int is_known(lua_State *L) { return known.registry && lua_topointer(L, LUA_REGISTRYINDEX) == known.registry; }

/* The debug library puts any metatable on any userdata: a metatable alone proves nothing. */
typedef struct handle {
  pc_tensor *t;
  const void *mark; /* &tensor_key: it was made here */
} handle;

void pc_push_tensor(lua_State *L, pc_tensor *t) {
  if (!t) {
    lua_pushnil(L);
    return;
  }
  handle *h = lua_newuserdata(L, sizeof *h);
  h->t = t;
  h->mark = &tensor_key;
  if (is_known(L)) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, known.ref);
  } else {
    lua_pushlightuserdata(L, &tensor_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
  }
  lua_setmetatable(L, -2);
}

pc_tensor *pc_to_tensor(lua_State *L, int idx) {
  handle *h = lua_touserdata(L, idx); /* tables may borrow our metatable, light userdata have none of their own */
  if (!h || lua_objlen(L, idx) != sizeof *h || h->mark != &tensor_key || !lua_getmetatable(L, idx)) return NULL;
  int same;
  if (is_known(L)) {
    same = lua_topointer(L, -1) == known.meta;
    lua_pop(L, 1);
  } else {
    lua_pushlightuserdata(L, &tensor_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
  }
  return same ? h->t : NULL;
}

/* A script may call it as it likes, and use what the collector has closed, from a finaliser of its own. */
static int tensor_gc(lua_State *L) {
  pc_tensor *t = pc_to_tensor(L, 1);
  if (!t) return 0;
  ((handle *)lua_touserdata(L, 1))->t = NULL;
  pc_tensor_release(t);
  return 0;
}

/* getmetatable() gives the name, not the table on top of the stack. */
static void protect(lua_State *L, const char *name) {
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__metatable");
}

void pc_push_tensor_class(lua_State *L) {
  lua_pushlightuserdata(L, &tensor_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  if (!lua_isnil(L, -1)) return;
  lua_pop(L, 1);
  luaL_newmetatable(L, "percept.tensor");
  lua_pushliteral(L, "percept.tensor");
  lua_setfield(L, -2, "__name");
  protect(L, "percept.tensor");
  lua_pushcfunction(L, tensor_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushlightuserdata(L, &tensor_key);
  lua_pushvalue(L, -2);
  lua_rawset(L, LUA_REGISTRYINDEX);
  lua_pushvalue(L, -1);
  known.ref = luaL_ref(L, LUA_REGISTRYINDEX);
  known.meta = lua_topointer(L, -1);
  known.registry = lua_topointer(L, LUA_REGISTRYINDEX);
}

/* ---- other classes ---- */

/* Behind an object's bytes stands the address of its class's metatable, so that one under a borrowed metatable is
 * known. */
static size_t mark_at(size_t bytes) { return (bytes + sizeof(void *) - 1) / sizeof(void *) * sizeof(void *); }

/* Is the userdata at idx an object that was made for the metatable on top? */
static int made_for_top(lua_State *L, int idx) {
  size_t size = lua_objlen(L, idx);
  const void *mark;
  if (lua_type(L, idx) != LUA_TUSERDATA || size < sizeof mark) return 0;
  memcpy(&mark, (const char *)lua_touserdata(L, idx) + size - sizeof mark, sizeof mark);
  return mark == lua_topointer(L, -1);
}

static const char *class_name(lua_State *L, const char *name) { return lua_pushfstring(L, "percept.%s", name); }

/* Upvalues: the class's metatable, its gc. */
static int finalise(lua_State *L) {
  if (lua_type(L, 1) != LUA_TUSERDATA || !lua_getmetatable(L, 1)) return 0;
  int ours = lua_rawequal(L, -1, lua_upvalueindex(1)) && made_for_top(L, 1);
  lua_settop(L, 1);
  if (!ours) return 0;
  lua_tocfunction(L, lua_upvalueindex(2))(L);
  lua_newtable(L);
  lua_pushvalue(L, lua_upvalueindex(3));
  lua_setfield(L, -2, "__name");
  lua_setmetatable(L, 1);
  return 0;
}

void pc_plain_class(lua_State *L, const char *name, lua_CFunction gc) {
  const char *full = class_name(L, name);
  luaL_newmetatable(L, full);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "__name");
  protect(L, full);
  lua_remove(L, -2);
  if (!gc) return;
  lua_pushvalue(L, -1);
  lua_pushcfunction(L, gc);
  lua_pushfstring(L, "a %s that was closed", name);
  lua_pushcclosure(L, finalise, 3);
  lua_setfield(L, -2, "__gc");
}

void *pc_new_object(lua_State *L, const char *name, size_t bytes) {
  size_t at = mark_at(bytes);
  char *p = memset(lua_newuserdata(L, at + sizeof(void *)), 0, at);
  luaL_getmetatable(L, class_name(L, name));
  lua_remove(L, -2);
  const void *meta = lua_topointer(L, -1);
  memcpy(p + at, &meta, sizeof meta);
  lua_setmetatable(L, -2);
  return p;
}

void *pc_to_object(lua_State *L, int idx, const char *name) {
  if (idx < 0 && idx > LUA_REGISTRYINDEX) idx += lua_gettop(L) + 1;
  if (lua_type(L, idx) != LUA_TUSERDATA || !lua_getmetatable(L, idx)) return NULL;
  luaL_getmetatable(L, class_name(L, name));
  int same = lua_rawequal(L, -1, -3) && made_for_top(L, idx);
  lua_pop(L, 3);
  return same ? lua_touserdata(L, idx) : NULL;
}

/* ---- a thread for the end of things ---- */

lua_State *pc_lua_home(lua_State *L) {
  static char key; /* registry[&key]: the thread */
  lua_pushlightuserdata(L, &key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_newthread(L);
    lua_pushlightuserdata(L, &key);
    lua_pushvalue(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
  }
  lua_State *home = lua_tothread(L, -1);
  lua_pop(L, 1);
  return home;
}
