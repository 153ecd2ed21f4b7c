/* args_message.c: how values are named in messages, and the way errors leave C. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "bindings/args.h"
#include "bindings/percept.h"

const char *pc_describe(lua_State *L, int idx) {
  static _Thread_local char ring[4][160];
  static _Thread_local int next;
  char *s = ring[next = (next + 1) % 4];
  pc_tensor *t = pc_to_tensor(L, idx);
  int type = lua_type(L, idx);
  if (t) {
    snprintf(s, 160, "%s tensor %s", pc_dtype_name(t->dtype), pc_shape_str(t));
  } else if (type == LUA_TSTRING) {
    size_t n;
    const char *str = lua_tolstring(L, idx, &n);
    const char *end = strlen(str) < n ? "\\0..." : n > 40 ? "..." : "";
    snprintf(s, 160, "string \"%.*s%s\"", n > 40 ? 37 : 40, str, end);
  } else if (type == LUA_TNUMBER) {
    snprintf(s, 160, "number %.14g", lua_tonumber(L, idx));
  } else if (type == LUA_TBOOLEAN) {
    snprintf(s, 160, "%s", lua_toboolean(L, idx) ? "true" : "false");
  } else if (type == LUA_TTABLE) {
    size_t n = lua_objlen(L, idx);
    snprintf(s, 160, n ? "table of %zu" : "table", n);
  } else if (type == LUA_TUSERDATA && luaL_getmetafield(L, idx, "__name")) {
    snprintf(s, 160, "%s", pc_text(L, -1) ? pc_text(L, -1) : "userdata");
    lua_pop(L, 1);
  } else {
    snprintf(s, 160, "%s", type == LUA_TNONE ? "nothing" : lua_typename(L, type));
  }
  return s;
}

/* Edit distance (insert, delete, replace, swap neighbours), words up to 31 letters. */
static int distance(const char *a, const char *b) {
  int n = (int)strlen(a), m = (int)strlen(b), d[33][33];
  if (n > 31 || m > 31) return 99;
  for (int i = 0; i <= n; i++) d[i][0] = i;
  for (int j = 0; j <= m; j++) d[0][j] = j;
  for (int i = 1; i <= n; i++)
    for (int j = 1; j <= m; j++) {
      int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
      if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
      if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
        best = d[i - 2][j - 2] + 1;
      d[i][j] = best;
    }
  return d[n][m];
}

const char *pc_nearest(const char *word, const char *const *words, int n) {
  const char *best = NULL;
  int len = (int)strlen(word), least = len <= 3 ? 2 : len / 3 + 2; /* a candidate must be nearer than this */
  for (int i = 0; i < n; i++) {
    int d = distance(word, words[i]);
    if (d >= (int)strlen(words[i]) && d >= len) continue; /* nothing in common */
    if (d < least ||
        (best && d == least &&
         (strlen(words[i]) < strlen(best) || (strlen(words[i]) == strlen(best) && strcmp(words[i], best) < 0))))
      least = d, best = words[i];
  }
  return best;
}

/* A Lua error value that is no string, or too long a one for the engine's error text, travels beside it. */
static char thrown_key; /* registry[&thrown_key]: the value */
static int thrown;      /* there is one, and it is what the last PC_ECALLBACK is about */
static const char beside[] = "error in a callback";

/* "file.lua:12: " of the nearest Lua function that still is on the stack (tail calls leave none). */
static void push_where(lua_State *L) {
  lua_Debug ar;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0) continue;
    lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
    return;
  }
  lua_pushliteral(L, "");
}

/* Pops the value. */
static void set_thrown(lua_State *L) {
  lua_pushlightuserdata(L, &thrown_key);
  lua_insert(L, -2);
  lua_rawset(L, LUA_REGISTRYINDEX);
}

int pc_raise(lua_State *L, int rc) {
  if (rc == PC_ECALLBACK && thrown) { /* prefixes of the engine's are lost */
    thrown = 0;
    lua_pushlightuserdata(L, &thrown_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_pushnil(L);
    set_thrown(L);
    return lua_error(L);
  }
  if (rc == PC_EINTR) {
    pc_front_noticed();
    if (pc_interrupted()) pc_check_interrupt();
    lua_pushstring(L, pc_front_signal() == SIGTERM ? "terminated" : "interrupted");
    return lua_error(L);
  }
  if (rc == PC_ECALLBACK)
    lua_pushliteral(L, ""); /* the callback's own message has its position */
  else
    push_where(L);
  const char *text = pc_error_text();
  lua_pushstring(L, *text ? text : pc_error_name(rc));
  if (rc == PC_ENOMEM) {
    pc_alloc_stats s;
    pc_alloc_get_stats(&s);
    lua_pushfstring(L, "; %f MiB are in use: a smaller batch needs less, variables set to nil free theirs",
                    (double)(s.live * 10 >> 20) / 10);
    lua_concat(L, 2);
  }
  lua_concat(L, 2);
  return lua_error(L);
}

int pc_caught(lua_State *L, int levels) {
  static const char overflow[] = "stack overflow"; /* Lua's own limit came first */
  const char *text = pc_text(L, -1);
  size_t n = text ? strlen(text) : 0, k = sizeof overflow - 1;
  thrown = !text || n >= 1500;
  if (!thrown) {
    int rc = n >= k && !strcmp(text + n - k, overflow)
                 ? pc_fail(PC_ECALLBACK, "%s: recursion too deep (%d levels)", text, levels)
                 : pc_fail(PC_ECALLBACK, "%s", text);
    lua_pop(L, 1);
    return rc;
  }
  set_thrown(L);
  return pc_fail(PC_ECALLBACK, "%s", beside);
}

const char *pc_lua_where(void) {
  static char buf[160];
  lua_State *L = pc_lua_now();
  lua_Debug ar;
  *buf = 0;
  if (!L) return buf;
  for (int level = 0; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0) continue;
    snprintf(buf, sizeof buf, "%s:%d", ar.short_src, ar.currentline);
    break;
  }
  return buf;
}

/* ---- the collector ----
 * Lua sees 16 bytes where a tensor holds megabytes, so we tell it: a whole cycle
 * has to be done by the time `budget` bytes have been allocated: half of what
 * survived the last cycle, twice the Lua heap (whose size is the price of a
 * cycle), and at least LEAST. A step of n moves the collector by about 2n KiB; a
 * cycle costs about 1.5 times the Lua heap. Steps go in small bites, because
 * LuaJIT carries what is left of a bite at the end of a cycle over as debt. */
void pc_gc_pace(lua_State *L) {
  enum { LEAST = 2 << 20, QUANTUM = 1 << 18 };
  static int64_t seen, budget = LEAST;
  int64_t fresh = pc_alloc_total() - seen;
  if (fresh < QUANTUM) return;
  seen += fresh;
  int64_t heap = (int64_t)lua_gc(L, LUA_GCCOUNT, 0) << 10;
  if (budget < 2 * heap) budget = 2 * heap;
  double share = (double)fresh / (double)budget;
  int done = 0;
  if (share >= 1) {
    lua_gc(L, LUA_GCCOLLECT, 0);
    done = 1;
  } else {
    int kib = 1 + (int)(share * (double)(heap >> 10)), bite = 1 + kib / 16;
    for (; kib > 0 && !done; kib -= bite) done = lua_gc(L, LUA_GCSTEP, bite);
  }
  if (!done) return;
  pc_alloc_stats s;
  pc_alloc_get_stats(&s);
  budget = s.live / 2 > LEAST ? s.live / 2 : LEAST;
}
