/* text.c: Lua's strings as C's. */
#include <string.h>

#include "bindings/args.h"

const char *pc_text(lua_State *L, int idx) {
  size_t n;
  if (lua_type(L, idx) != LUA_TSTRING) return NULL;
  const char *s = lua_tolstring(L, idx, &n);
  return strlen(s) == n ? s : NULL;
}

const char *pc_text_or_number(lua_State *L, int idx) {
  static char key; /* registry[&key]: text -> true: numbers that were written out */
  if (lua_type(L, idx) != LUA_TNUMBER) return pc_text(L, idx);
  lua_pushvalue(L, idx);
  const char *s = lua_tostring(L, -1);
  lua_pushlightuserdata(L, &key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushlightuserdata(L, &key);
    lua_pushvalue(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
  }
  lua_pushvalue(L, -2);
  lua_pushboolean(L, 1);
  lua_rawset(L, -3);
  lua_pop(L, 2);
  return s;
}

int pc_each_text(lua_State *L, const char *what, int at, const char **out, int max) {
  int n = at ? (int)lua_objlen(L, at) : 0;
  if (n > max) return pc_fail(PC_EARG, "%s: at most %d entries, got %d", what, max, n);
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, at, i + 1);
    out[i] = pc_text_or_number(L, -1); /* the list keeps it alive */
    if (!out[i])
      return pc_fail(PC_EARG, "%s: entry %d is %s, not a string without NUL bytes", what, i + 1, pc_describe(L, -1));
    lua_pop(L, 1);
  }
  return n;
}
