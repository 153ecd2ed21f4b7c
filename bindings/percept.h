/* percept.h: the module `percept` and the way a program's end is told.
 *
 * Modules written in C are listed in modules.def; each has
 * `int luaopen_percept_<name>(lua_State *L)` in bindings/. Modules written in
 * Lua are the files of scripts/, embedded in the program under the names that
 * scripts/modules.def gives them; the environment variable PERCEPT_PATH names a
 * folder (such as scripts/) that goes before.
 */
#ifndef PC_BINDINGS_PERCEPT_H
#define PC_BINDINGS_PERCEPT_H

#include <lua.h>
#include <stddef.h>

#define PC_VERSION "0.1.0"

typedef struct {
  const char *name; /* of the module: "percept.train" */
  const char *path; /* of its file in scripts/: "percept/run/train" */
  const unsigned char *data;
  size_t size;
} pc_embedded;
extern const pc_embedded pc_embedded_lua[];

int luaopen_percept(lua_State *L);
/* Calls the functions given to percept.on_exit, last one first, then closes open runs; their errors go to stderr. */
void pc_run_exit_functions(lua_State *L, const char *status, const char *message);
/* Closes every open run of this process, its sources complete; what cannot be written goes to stderr (recorder.c). */
void pc_finish_open_runs(lua_State *L, const char *status, const char *message);
/* Pushes a global as it was at the start, whatever was assigned to it since: package, require, tostring, ... */
void pc_push_global(lua_State *L, const char *name);

/* ---- signals (front.c) ---- */
/* SIGINT and SIGTERM stop the running op, then unwind Lua with the error "interrupted" or "terminated". */
void pc_front_catch_signals(lua_State *L);
/* Forgets an interrupt that was handled (the prompt goes on). SIGTERM stays. */
void pc_front_reset(void);
/* The script has ended: nothing is raised any more, what ends the program may run. */
void pc_front_quiet(void);
/* An op gave up: the signal has been noticed. */
void pc_front_noticed(void);
/* A signal that was noticed is not raised again for so many seconds: something is being put in order. */
void pc_front_hold(double seconds);
/* Before the Lua state is closed: from here on a signal ends the program as it would without us. */
void pc_front_end(void);
/* on: the prompt begins; signals are noted, and raised only between open and close, where the user's entry runs. */
void pc_front_prompt(int on);
void pc_front_open(void);
void pc_front_close(void);
/* The signal that ended the script: SIGINT, SIGTERM, or 0. */
int pc_front_signal(void);

#endif
