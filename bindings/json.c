#include "bindings/json.h"

#include <lauxlib.h>
#include <math.h>

static json_t *json_of(lua_State *L, int at, int depth) {
  json_t *j = NULL;
  switch (lua_type(L, at)) {
    case LUA_TNIL: return json_null();
    case LUA_TBOOLEAN: return json_boolean(lua_toboolean(L, at));
    case LUA_TSTRING: return json_string(lua_tostring(L, at));
    case LUA_TNUMBER: {
      double v = lua_tonumber(L, at);
      if (v == floor(v) && fabs(v) < 9e15) return json_integer((json_int_t)v);
      return isfinite(v) ? json_real(v) : json_string(isnan(v) ? "nan" : v > 0 ? "inf" : "-inf");
    }
    case LUA_TTABLE: break;
    default: return json_string(lua_typename(L, lua_type(L, at)));
  }
  if (depth > 20) return json_string("...");
  int n = (int)lua_objlen(L, at);
  luaL_checkstack(L, 4, "json");
  if (n > 0) {
    j = json_array();
    for (int i = 1; i <= n; i++) {
      lua_rawgeti(L, at, i);
      json_array_append_new(j, json_of(L, lua_gettop(L), depth + 1));
      lua_pop(L, 1);
    }
    return j;
  }
  j = json_object();
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1))
    if (lua_type(L, -2) == LUA_TSTRING)
      json_object_set_new(j, lua_tostring(L, -2), json_of(L, lua_gettop(L), depth + 1));
  return j;
}

char *pc_json_text(lua_State *L, int at, int flags) {
  if (!at) return NULL;
  json_t *j = json_of(L, at, 0);
  char *text = json_dumps(j, JSON_SORT_KEYS | (size_t)flags);
  json_decref(j);
  return text;
}

void pc_push_json(lua_State *L, const json_t *j) {
  luaL_checkstack(L, 4, "json");
  switch (json_typeof(j)) {
    case JSON_OBJECT: {
      const char *key;
      json_t *v;
      lua_newtable(L);
      json_object_foreach((json_t *)j, key, v) {
        pc_push_json(L, v);
        lua_setfield(L, -2, key);
      }
      return;
    }
    case JSON_ARRAY:
      lua_newtable(L);
      for (size_t i = 0; i < json_array_size(j); i++)
        pc_push_json(L, json_array_get(j, i)), lua_rawseti(L, -2, (int)i + 1);
      return;
    case JSON_STRING: lua_pushstring(L, json_string_value(j)); return;
    case JSON_INTEGER:
    case JSON_REAL: lua_pushnumber(L, json_number_value(j)); return;
    case JSON_TRUE:
    case JSON_FALSE: lua_pushboolean(L, json_is_true(j)); return;
    default: lua_pushnil(L);
  }
}
