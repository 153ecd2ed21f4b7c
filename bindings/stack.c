/* stack.c: the guard of the C stack. */
#include "bindings/stack.h"

#include <lauxlib.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/resource.h>

#include "base/error.h"

/* The kernel leaves at least 128 MiB below a main stack. string.gsub takes 9 KiB a level, and LuaJIT's slots last for
 * about 8,000 levels. */
enum { WANTED = 120 << 20, MOST_SPARE = 2 << 20 };

void pc_stack_raise_limit(void) {
  struct rlimit r;
  if (getrlimit(RLIMIT_STACK, &r) || r.rlim_cur == RLIM_INFINITY || r.rlim_cur >= WANTED) return;
  r.rlim_cur = r.rlim_max == RLIM_INFINITY || r.rlim_max >= WANTED ? WANTED : r.rlim_max;
  setrlimit(RLIMIT_STACK, &r); /* where it may not, the guard works with what there is */
}

/* The lowest address at which a call may begin. What lies below is for the engine, BLAS and the collector. */
static uintptr_t lowest(void) {
  pthread_attr_t a;
  void *base = NULL;
  size_t bytes = 0;
  if (pthread_getattr_np(pthread_self(), &a)) return 1;
  pthread_attr_getstack(&a, &base, &bytes);
  pthread_attr_destroy(&a);
  size_t spare = bytes / 8 < MOST_SPARE ? bytes / 8 : MOST_SPARE;
#ifdef __SANITIZE_ADDRESS__ /* it forgets no more than 64 MiB of frames that an error has left */
  if (bytes > 48 << 20) spare = bytes - (48 << 20);
#endif
  return base ? (uintptr_t)base + spare : 1;
}

int pc_stack_is_low(void) {
  static _Thread_local uintptr_t limit;
  if (!limit) limit = lowest();
  return (uintptr_t)__builtin_frame_address(0) < limit;
}

int pc_stack_check(const char *name, int levels) {
  if (!pc_stack_is_low()) return PC_OK;
  return pc_fail(PC_ESTATE, "%s: recursion too deep (%d levels)", name, levels);
}

/* ---- coroutines ---- */

/* A coroutine takes little of the C stack and much of the heap: an eighth is for some 100,000 of them. */
static int resuming(lua_State *L) {
  static uintptr_t top;
  uintptr_t here = (uintptr_t)__builtin_frame_address(0);
  if (!top) top = here;
  if (pc_stack_is_low() || (top > here && top - here > WANTED / 8))
    return luaL_error(L, "coroutine: recursion too deep");
  return 0;
}

void pc_stack_guard_coroutines(lua_State *L) {
  static const char text[] =
      "local check = ...\n"
      "local resume, wrap = coroutine.resume, coroutine.wrap\n"
      "function coroutine.resume(co, ...) check() return resume(co, ...) end\n"
      "function coroutine.wrap(f)\n"
      "  local go = wrap(f)\n"
      "  return function(...) check() return go(...) end\n"
      "end\n";
  luaL_loadbuffer(L, text, sizeof text - 1, "=coroutine");
  lua_pushcfunction(L, resuming);
  lua_call(L, 1, 0);
}
