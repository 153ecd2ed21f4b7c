/* fuzz_script.c: a target written in Lua: tests/fuzz/<SCRIPT>.lua returns a function of one string, called for every
 * input in one state with percept. It may raise errors as it likes (they are what is expected of nonsense), but those
 * that begin with "fuzz: " are findings. */
#include "fuzz.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "base/alloc.h"
#include "bindings/percept.h"

#ifndef SCRIPT
#define SCRIPT "set"
#endif

static lua_State *L;

static void open_state(void) {
  const char *top = getenv("PERCEPT_TOP");
  char path[512];
  setenv("PERCEPT_FUZZ_DIR", pc_fuzz_folder(), 1);
  pc_fuzz_expect((L = luaL_newstate()) != NULL);
  luaL_openlibs(L);
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, luaopen_percept);
  lua_setfield(L, -2, "percept");
  lua_settop(L, 0);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "percept");
  lua_call(L, 1, 0);
  pc_alloc_set_limit((int64_t)256 << 20);
  snprintf(path, sizeof path, "%s/tests/fuzz/" SCRIPT ".lua", top ? top : ".");
  if (luaL_loadfile(L, path) || lua_pcall(L, 0, 1, 0)) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    abort();
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!L) open_state();
  lua_pushvalue(L, 1);
  lua_pushlstring(L, (const char *)data, size);
  if (lua_pcall(L, 1, 0, 0)) {
    const char *text = lua_tostring(L, -1);
    if (text && !strncmp(text, "fuzz: ", 6)) {
      fprintf(stderr, "%s\n", text);
      abort();
    }
  }
  lua_settop(L, 1);
  lua_gc(L, LUA_GCCOLLECT, 0);
  return 0;
}
