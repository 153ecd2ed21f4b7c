/* main.c: the program percept: a Lua state with `percept` in it, and the command line
 * (scripts/percept/main.lua). Exit codes: 0 ok, 1 error, 2 usage, 130 interrupted, 143 terminated. */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"
#include "bindings/percept.h"
#include "db/recorder.h"
#include "bindings/stack.h"

#define OURS "scripts/percept/"

/* "scripts/percept/x.lua:12: text" -> "text": a place in the workbench tells its user nothing. */
static const char *without_our_place(const char *message) {
  size_t n = strlen(OURS);
  if (strncmp(message, OURS, n)) return message;
  const char *p = strchr(message, ':');
  while (p && p[1] >= '0' && p[1] <= '9') p = strchr(p + 1, ':');
  return p && p[1] == ' ' ? p + 2 : message;
}

/* Adds to string errors the user's own part of the traceback; PERCEPT_TRACE=1 keeps all of it. */
static int handler(lua_State *L) {
  if (!lua_isstring(L, 1)) {
    luaL_callmeta(L, 1, "__tostring");
    return 1;
  }
  luaL_traceback(L, L, NULL, 1);
  const char *trace = lua_tostring(L, -1);
  int all = getenv("PERCEPT_TRACE") != NULL, kept = 0;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  luaL_addstring(&b, all ? lua_tostring(L, 1) : without_our_place(lua_tostring(L, 1)));
  for (const char *line = strchr(trace, '\n'); line; line = strchr(line + 1, '\n')) {
    const char *end = strchr(line + 1, '\n');
    size_t n = end ? (size_t)(end - line) : strlen(line);
    int ours = !strncmp(line + 1, "\t" OURS, strlen(OURS) + 1) || !strncmp(line + 1, "\t[C]", 4) ||
               !strncmp(line + 1, "\t[builtin", 9);
    if (ours && !all) continue;
    if (!kept++) luaL_addstring(&b, "\nstack traceback:");
    luaL_addlstring(&b, line, n);
  }
  luaL_pushresult(&b);
  return 1;
}

static int body(lua_State *L) {
  int argc = (int)lua_tointeger(L, 1);
  char **argv = lua_touserdata(L, 2);
  luaL_openlibs(L);
  pc_stack_guard_coroutines(L);
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, luaopen_percept);
  lua_setfield(L, -2, "percept");
  lua_settop(L, 0);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "percept");
  lua_call(L, 1, 0);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "percept.main");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "main");
  lua_createtable(L, argc, 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i);
  }
  lua_call(L, 1, 1);
  return 1;
}

/* So long may what ends the program run after a signal before it is interrupted again. */
#define EXIT_SECONDS 1.0

static int finish(lua_State *L, int failed) {
  int sig = pc_front_signal(), code = 0;
  const char *message = NULL;
  if (failed) {
    message = lua_tostring(L, -1);
    if (!message) message = lua_pushfstring(L, "(error object: %s)", luaL_typename(L, -1));
    code = sig == SIGTERM ? 143 : sig == SIGINT ? 130 : 1;
    if (sig) {
      fprintf(stderr, "percept: %s\n", sig == SIGTERM ? "terminated" : "interrupted");
    } else {
      char *shown = pc_text_shown(message, strlen(message), 1); /* it may quote a file of anybody's */
      fprintf(stderr, "percept: %s\n", shown ? shown : "out of memory");
      pc_free(shown);
    }
  } else {
    code = lua_isnumber(L, -1) ? (int)lua_tointeger(L, -1) : 0;
    if (sig == SIGTERM) code = 143;
  }
  pc_front_hold(EXIT_SECONDS);
  pc_run_exit_functions(L, code >= 128 ? "killed" : code ? "failed" : "done", message);
  if (!sig && pc_front_signal()) code = 128 + pc_front_signal();
  pc_front_hold(EXIT_SECONDS);
  if (!code && pc_db_open_runs()) code = 1; /* one could not be closed: rows of it are lost */
  return code;
}

/* libgomp's threads spin between parallel regions. Alone on a machine that saves microseconds;
 * with a busy neighbour each region then waits for a time slice (a step of 14 ms took 490).
 * It reads its policy before main() runs: the program sets a short spin and starts itself again,
 * once, unless the user has chosen. */
static void bound_spinning(char **argv) {
  if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
  setenv("GOMP_SPINCOUNT", "1000", 1);
  execv("/proc/self/exe", argv); /* where it fails, things are as they were */
}

/* Who starts the program with a standard stream closed gets files of its own under the stream's number: what is printed
 * would land in a checkpoint. The place is taken by something that can be neither read nor written the way it is used.
 */
static void occupy_streams(void) {
  for (int fd = 0; fd <= 2; fd++)
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) (void)!open("/dev/null", fd ? O_RDONLY : O_WRONLY);
}

int main(int argc, char **argv) {
  occupy_streams();
  bound_spinning(argv);
  pc_stack_raise_limit();
  lua_State *L = luaL_newstate();
  if (!L) {
    fputs("percept: no memory for a Lua state\n", stderr);
    return 1;
  }
  pc_front_catch_signals(L);
  lua_pushcfunction(L, handler);
  lua_pushcfunction(L, body);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  int code = finish(L, lua_pcall(L, 2, 1, 1));
  fflush(stdout);
  pc_front_end();
  lua_close(L);
  int lost = ferror(stdout);
  if (fclose(stdout) || lost) { /* a full disk: what was printed is not there */
    fputs("percept: standard output: not everything could be written\n", stderr);
    if (!code) code = 1;
  }
  return code;
}
