/* edit.c: module percept.edit: reading lines with libedit: history, completion, Ctrl-C. */
#include <errno.h>
#include <glob.h>
#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>
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
  pc_front_open(); /* it looks into the user's tables */
  int failed = lua_pcall(L, 3, 1, 0);
  pc_front_close();
  if (!failed && lua_istable(L, -1)) {
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

/* ---- reading ---- */

/* What came while a line was read. Handlers only note it; read_key() looks before it waits and while it waits. */
static volatile sig_atomic_t stop_key, resized;
static int cancelled; /* Ctrl-C was read */
static struct termios
    keys;                /* Ctrl-C and its like come as characters while a line is read: in their place among others */
static sigset_t outside; /* the signals that are blocked while nobody waits */

static void on_stop(int sig) { stop_key = 1; }
static void on_resize(int sig) { resized = 1; }

/* Ctrl-Z: the terminal as the shell expects it, and ours again afterwards. */
static void suspend(void) {
  stop_key = 0;
  rl_deprep_terminal();
  raise(SIGSTOP);
  rl_prep_terminal(1);
  rl_forced_update_display();
}

/* Signals of the terminal off. libedit sets its own mode for every line, so this is asked before every byte. */
static void take_keys(int fd) {
  struct termios t;
  if (tcgetattr(fd, &t) || !(t.c_lflag & ISIG)) return;
  keys = t;
  t.c_lflag &= ~(tcflag_t)ISIG;
  tcsetattr(fd, TCSANOW, &t);
}

/* What Ctrl-C and its like do, now that they are characters; 0: another character. */
static int is_special(unsigned char byte) {
  if (byte == _POSIX_VDISABLE || !(keys.c_lflag & ISIG)) return 0;
  if (byte == keys.c_cc[VINTR]) return cancelled = 1;
  if (byte == keys.c_cc[VSUSP]) return stop_key = 1;
  return byte == keys.c_cc[VQUIT] && raise(SIGQUIT) == 0;
}

/* What was typed behind the end of a line before its signals were back: read here, for the next line. */
static unsigned char ahead[4096];
static int nahead;

/* The line is complete and will run: from here on Ctrl-C is a signal again, also one that is waiting to be read. */
static void end_of_line(int fd) {
  struct pollfd in = {fd, POLLIN, 0};
  if (!(keys.c_lflag & ISIG)) return;
  struct termios t;
  if (tcgetattr(fd, &t) == 0) {
    t.c_lflag |= ISIG;
    tcsetattr(fd, TCSANOW, &t);
  }
  while (nahead < (int)sizeof ahead && poll(&in, 1, 0) > 0 && read(fd, ahead + nahead, 1) == 1)
    if (ahead[nahead++] == keys.c_cc[VINTR]) {
      nahead = 0; /* as the terminal drops what stands before it */
      raise(SIGINT);
    }
}

/* From the terminal, or what was read ahead. */
static ssize_t take(int fd, unsigned char *byte) {
  if (!nahead) return read(fd, byte, 1);
  *byte = ahead[0];
  memmove(ahead, ahead + 1, (size_t)--nahead);
  return 1;
}

/* The next byte; -1 at the end of the input or after a signal that asks to stop. */
static int read_byte(void) {
  struct pollfd in = {fileno(rl_instream ? rl_instream : stdin), POLLIN, 0};
  sigset_t blocked;
  unsigned char byte;
  int got = -1;
  sigprocmask(SIG_BLOCK, &outside, &blocked);
  while (!pc_front_signal() && !cancelled) {
    take_keys(in.fd);
    if (stop_key) suspend();
    if (resized) resized = 0, rl_resize_terminal();
    if (!nahead && ppoll(&in, 1, NULL, &blocked) < 0) {
      if (errno == EINTR) continue;
      break;
    }
    sigprocmask(SIG_SETMASK, &blocked, NULL); /* a key that was typed behind Ctrl-C is not taken before it */
    sigprocmask(SIG_BLOCK, &outside, NULL);
    if (pc_front_signal() || stop_key) continue;
    ssize_t n = take(in.fd, &byte);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n == 1 && is_special(byte)) continue;
    if (n == 1) got = byte;
    if (got == '\r' || got == '\n') end_of_line(in.fd);
    break;
  }
  sigprocmask(SIG_SETMASK, &blocked, NULL);
  return got;
}

/* A character: libedit takes what this returns as a wchar_t. */
static int read_key(FILE *unused) {
  mbstate_t state = {0};
  wchar_t wide;
  (void)unused;
  for (;;) {
    int byte = read_byte();
    char c = (char)byte;
    if (byte < 0) return -1;
    size_t n = mbrtowc(&wide, &c, 1, &state);
    if (n == (size_t)-1) return byte; /* no text of this terminal's: as it is */
    if (n != (size_t)-2) return (int)wide;
  }
}

/* Signals wake read_key() and nothing else: libedit's frames are left by returning. */
static char *read_line(const char *prompt) {
  struct sigaction sa, stop, winch;
  sigemptyset(&outside);
  sigaddset(&outside, SIGINT);
  sigaddset(&outside, SIGTERM);
  sigaddset(&outside, SIGTSTP);
  sigaddset(&outside, SIGWINCH);
  memset(&sa, 0, sizeof sa);
  sa.sa_handler = on_stop;
  sigaction(SIGTSTP, &sa, &stop);
  sa.sa_handler = on_resize;
  sigaction(SIGWINCH, &sa, &winch);
  char *line = readline(prompt);
  sigaction(SIGTSTP, &stop, NULL);
  sigaction(SIGWINCH, &winch, NULL);
  return line;
}

/* Letters beyond ASCII are typed as UTF-8, whatever the locale: text is UTF-8 everywhere in the program. */
static void use_utf8(void) {
  setlocale(LC_CTYPE, "");
  if (strcmp(nl_langinfo(CODESET), "UTF-8")) setlocale(LC_CTYPE, "C.UTF-8");
}

/* Once: rl_initialize() forgets the history that add_history() was given before. */
static void initialise(void) {
  static int ready;
  if (ready) return;
  use_utf8();
  rl_readline_name = "percept";
  rl_catch_signals = rl_catch_sigwinch = 0;
  rl_getc_function = read_key;
  rl_completion_query_items = INT_MAX; /* its question would be read past read_key() */
  rl_initialize();
  rl_attempted_completion_function = complete;
  rl_basic_word_break_characters = " \t\n\"'><=;|&{}(+-*/%^#~),";
  rl_completer_word_break_characters = " \t\n\"'><=;|&{}(+-*/%^#~),";
  ready = 1;
}

/* A line; nil and "interrupt" after Ctrl-C; nil at the end. */
static int f_readline(lua_State *L, pc_args *a) {
  initialise();
  cancelled = 0;
  memset(&keys, 0, sizeof keys);
  reading = L;
  if (pc_arg_at(a, "complete")) {
    lua_pushvalue(L, pc_arg_at(a, "complete"));
    completer = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  char *line = read_line(pc_arg_str(a, "prompt"));
  luaL_unref(L, LUA_REGISTRYINDEX, completer);
  completer = LUA_NOREF;
  forget_candidates();
  int stopped = cancelled || pc_front_signal() == SIGINT;
  if (pc_front_signal() == SIGINT) pc_front_reset();
  if (line && !stopped) {
    lua_pushstring(L, line);
    free(line);
    return 1;
  }
  free(line);
  lua_pushnil(L);
  if (!stopped) return 1;
  lua_pushliteral(L, "interrupt");
  return 2;
}

/* ---- running ---- */

/* xpcall of what a signal may stop. */
static int f_call(lua_State *L, pc_args *a) {
  int at = lua_gettop(L) + 1;
  lua_pushvalue(L, pc_arg_at(a, "handler"));
  lua_pushvalue(L, pc_arg_at(a, "fn"));
  pc_front_open();
  int failed = lua_pcall(L, 0, LUA_MULTRET, at);
  pc_front_close();
  lua_pushboolean(L, !failed);
  lua_replace(L, at);
  return lua_gettop(L) - at + 1;
}

static int f_prompt(lua_State *L, pc_args *a) {
  (void)L;
  pc_front_prompt(pc_arg_bool(a, "on"));
  return 0;
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

static const pc_luafn fns[] = {
    {"readline", "prompt:str(any)=\"\", complete:function?", f_readline,
     "a line from the terminal; nil at its end; nil and \"interrupt\" after Ctrl-C"},
    {"add_history", "line:str(any)", f_add_history, "a line that arrow-up brings back"},
    {"glob", "pattern:str(any)", f_list, "paths that match a pattern; folders end in /"},
    {"call", "fn:function, handler:function", f_call,
     "xpcall(fn, handler) of an entry: what a signal stops at the prompt"},
    {"prompt", "on:bool", f_prompt, "from here on a signal is noted, and an error only in call() and completion"},
    {"reset", "", f_reset, "forgets an interrupt that was handled"},
    {0}};

int luaopen_percept_edit(lua_State *L) {
  lua_newtable(L);
  pc_register(L, "edit", fns);
  return 1;
}
