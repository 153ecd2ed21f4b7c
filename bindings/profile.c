/* profile.c: percept.profile.c: counters of time per op, for scripts/percept/run/profile.lua. */
#include "bindings/args.h"
#include "grad/profile.h"

int luaopen_percept_profile(lua_State *L);

static int f_start(lua_State *L, pc_args *a) {
  (void)L, (void)a;
  pc_profile_start();
  return 0;
}

static int f_stop(lua_State *L, pc_args *a) {
  pc_profile_row r;
  (void)a;
  pc_profile_stop();
  lua_newtable(L);
  for (int i = 0; pc_profile_get(i, &r); i++) {
    lua_createtable(L, 0, 5);
    lua_pushstring(L, r.op), lua_setfield(L, -2, "op");
    lua_pushboolean(L, r.backward), lua_setfield(L, -2, "backward");
    lua_pushnumber(L, (lua_Number)r.calls), lua_setfield(L, -2, "calls");
    lua_pushnumber(L, (lua_Number)r.bytes), lua_setfield(L, -2, "bytes");
    lua_pushnumber(L, r.seconds), lua_setfield(L, -2, "seconds");
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static const pc_luafn functions[] = {
    {"start", "", f_start, "forgets what was counted, counts from now on", 0},
    {"stop", "", f_stop, "stops -> list of {op, backward, calls, bytes, seconds (of its own)}", 0},
    {0}};

int luaopen_percept_profile(lua_State *L) {
  lua_newtable(L);
  pc_register(L, "profile", functions);
  return 1;
}
