/* repl.c: module percept.edit: reading lines with libedit: history, completion, Ctrl-C. */
#include <glob.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <editline/readline.h>

#include "bindings/args.h"
#include "bindings/percept.h"

int luaopen_percept_edit(lua_State *L);

/* The state and the function that completes: valid while a line is being read. */
static lua_State *reading;
static int completer = LUA_NOREF;
static char **candidates;
static int ncandidates;

static void forget_candidates(void) {
  for (int i = 0; i < ncandidates; i++) free(candidates[i]);
  free(candidates);
  candidates = NULL;
  ncandidates = 0;
}

static char *generate(const char *text, int state) {
  static int at;
  (void)text;
  if (!state) at = 0;
  return at < ncandidates ? strdup(candidates[at++]) : NULL;
}

/* completer(word, line, start) -> list of whole words */
static char **complete(const char *text, int start, int end) {
  lua_State *L = reading;
  int base = lua_gettop(L);
  rl_attempted_completion_over = 1;
  rl_completion_append_character = 0;
  forget_candidates();
  if (completer == LUA_NOREF) return NULL;
  lua_rawgeti(L, LUA_REGISTRYINDEX, completer);
  lua_pushlstring(L, text, strlen(text));
  lua_pushlstring(L, rl_line_buffer, (size_t)end);
  lua_pushinteger(L, start + 1);
  if (lua_pcall(L, 3, 1, 0) == 0 && lua_istable(L, -1)) {
    int n = (int)lua_objlen(L, -1);
    candidates = calloc((size_t)n + 1, sizeof *candidates);
    for (int i = 1; candidates && i <= n; i++) {
      lua_rawgeti(L, -1, i);
      if (lua_isstring(L, -1)) candidates[ncandidates++] = strdup(lua_tostring(L, -1));
      lua_pop(L, 1);
    }
  }
  lua_settop(L, base);
  return ncandidates ? rl_completion_matches(text, generate) : NULL;
}

/* Ctrl-C while reading jumps here: only readline's frames lie between. */
static sigjmp_buf cancelled;

static char *read_line(const char *prompt, volatile int *stopped) {
  char *line = NULL;
  *stopped = 0;
  if (sigsetjmp(cancelled, 1)) {
    pc_front_set_jump(NULL);
    *stopped = 1;
    return NULL;
  }
  pc_front_set_jump(&cancelled);
  line = readline(prompt);
  pc_front_set_jump(NULL);
  return line;
}

/* Once: rl_initialize() forgets the history that add_history() was given before. */
static void initialise(void) {
  static int ready;
  if (ready) return;
  rl_readline_name = "percept";
  rl_initialize();
  rl_attempted_completion_function = complete;
  rl_basic_word_break_characters = " \t\n\"'><=;|&{}(+-*/%^#~),";
  rl_completer_word_break_characters = " \t\n\"'><=;|&{}(+-*/%^#~),";
  ready = 1;
}

/* A line; nil and "interrupt" after Ctrl-C; nil at the end. */
static int f_readline(lua_State *L, pc_args *a) {
  volatile int stopped;
  initialise();
  reading = L;
  if (pc_arg_at(a, "complete")) {
    lua_pushvalue(L, pc_arg_at(a, "complete"));
    completer = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  char *line = read_line(pc_arg_str(a, "prompt"), &stopped);
  luaL_unref(L, LUA_REGISTRYINDEX, completer);
  completer = LUA_NOREF;
  forget_candidates();
  if (line) {
    lua_pushstring(L, line);
    free(line);
    return 1;
  }
  lua_pushnil(L);
  if (!stopped) return 1;
  lua_pushliteral(L, "interrupt");
  return 2;
}

static int f_add_history(lua_State *L, pc_args *a) {
  (void)L;
  initialise();
  add_history(pc_arg_str(a, "line"));
  return 0;
}

/* Before the prompt comes back: an interrupt that stopped a command is forgotten. */
static int f_reset(lua_State *L, pc_args *a) {
  (void)L, (void)a;
  pc_front_reset();
  return 0;
}

static int f_list(lua_State *L, pc_args *a) {
  glob_t g;
  lua_newtable(L);
  if (glob(pc_arg_str(a, "pattern"), GLOB_MARK | GLOB_TILDE, NULL, &g)) return 1;
  for (size_t i = 0; i < g.gl_pathc; i++) {
    lua_pushstring(L, g.gl_pathv[i]);
    lua_rawseti(L, -2, (int)i + 1);
  }
  globfree(&g);
  return 1;
}

static const pc_luafn fns[] = {{"readline", "prompt:str=\"\", complete:function?", f_readline,
                                "a line from the terminal; nil at its end; nil and \"interrupt\" after Ctrl-C"},
                               {"add_history", "line:str", f_add_history, "a line that arrow-up brings back"},
                               {"glob", "pattern:str", f_list, "paths that match a pattern; folders end in /"},
                               {"reset", "", f_reset, "forgets an interrupt that was handled"},
                               {0}};

int luaopen_percept_edit(lua_State *L) {
  lua_newtable(L);
  pc_register(L, "edit", fns);
  return 1;
}
