/* process.c: percept.process: child processes, the working folder, the terminal, signals. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/spawn.h"
#include "bindings/args.h"
#include "bindings/percept.h"

int luaopen_percept_process(lua_State *L);

enum { MAX_WORDS = 512 };

/* The words of a list; they live as long as the list. */
static int words_of(lua_State *L, int at, const char **words, const char *what) {
  int n = at ? (int)lua_objlen(L, at) : 0;
  if (n >= MAX_WORDS) return pc_fail(PC_EARG, "spawn: more than %d %s", MAX_WORDS - 1, what);
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, at, i + 1);
    words[i] = pc_text_or_number(L, -1);
    lua_pop(L, 1);
    if (!words[i]) return pc_fail(PC_EARG, "spawn: %s: number %d is no string without NUL bytes", what, i + 1);
  }
  words[n] = NULL;
  return n;
}

static int f_spawn(lua_State *L, pc_args *a) {
  const char *argv[MAX_WORDS], *extra[MAX_WORDS];
  pid_t pid;
  int rc = words_of(L, pc_arg_at(a, "command"), argv, "words"), more;
  if (rc < 0) return rc;
  if (rc == 0) return pc_fail(PC_EARG, "spawn: the command is empty");
  more = words_of(L, pc_arg_at(a, "env"), extra, "variables");
  if (more < 0) return more;
  rc = pc_spawn(&pid, argv,
                &(pc_spawn_opts){.extra = extra, .n_extra = more, .own_group = 1, .log = pc_arg_str(a, "log")});
  if (rc) return pc_fail(PC_EIO, "spawn: %s: %s", argv[0], strerror(rc));
  lua_pushinteger(L, pid);
  return 1;
}

/* Waits for one child. EINTR goes on: the caller's signal is looked at afterwards, and the child ends by itself. */
static int wait_for(pid_t pid) {
  int status;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* A program of the same terminal, run to its end; its output. No shell: the words are its
 * arguments as they are. */
static int f_capture(lua_State *L, pc_args *a) {
  const char *argv[MAX_WORDS];
  luaL_Buffer out;
  char block[4096];
  pid_t pid;
  int fd, rc = words_of(L, pc_arg_at(a, "command"), argv, "words");
  if (rc < 0) return rc;
  if (rc == 0) return pc_fail(PC_EARG, "capture: the command is empty");
  if ((rc = pc_spawn(&pid, argv, &(pc_spawn_opts){.out = &fd}))) {
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", argv[0], strerror(rc));
    return 2;
  }
  luaL_buffinit(L, &out);
  for (ssize_t n; (n = read(fd, block, sizeof block)) != 0;)
    if (n > 0)
      luaL_addlstring(&out, block, (size_t)n);
    else if (errno != EINTR)
      break;
  close(fd);
  luaL_pushresult(&out);
  lua_pushinteger(L, wait_for(pid));
  return 2;
}

static void rest(int ms) {
  struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000L};
  nanosleep(&t, NULL); /* a signal ends it early */
}

static int push_ended(lua_State *L, pid_t pid, int status) {
  lua_pushinteger(L, pid);
  if (WIFSIGNALED(status)) {
    lua_pushnil(L);
    lua_pushinteger(L, WTERMSIG(status));
    return 3;
  }
  lua_pushinteger(L, WEXITSTATUS(status));
  return 2;
}

/* A child that ended, within so many seconds; looked for every millisecond at first, then every twentieth of the time
 * that has passed, at most 50 ms: whoever times a child is wrong by 5 % and a millisecond. */
static int f_wait(lua_State *L, pc_args *a) {
  int left = (int)(pc_arg_num(a, "seconds") * 1000), passed = 0, pause = 1, status;
  for (;;) {
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid > 0) return push_ended(L, pid, status);
    if (pid < 0 && errno == ECHILD) return 0;
    if (left <= 0 || pc_interrupted()) return 0;
    if (pause > left) pause = left;
    rest(pause);
    left -= pause;
    passed += pause;
    pause = 1 + passed / 20;
    if (pause > 50) pause = 50;
  }
}

static int f_children_cpu(lua_State *L, pc_args *a) {
  struct rusage u;
  getrusage(RUSAGE_CHILDREN, &u);
  lua_pushnumber(L, (lua_Number)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                        1e-6 * (lua_Number)(u.ru_utime.tv_usec + u.ru_stime.tv_usec));
  return 1;
}

static int f_kill(lua_State *L, pc_args *a) {
  static const struct {
    const char *name;
    int number;
  } known[] = {{"INT", SIGINT}, {"TERM", SIGTERM}, {"KILL", SIGKILL}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (!strcmp(pc_arg_str(a, "signal"), known[i].name)) {
      lua_pushboolean(L, kill((pid_t)pc_arg_int64(a, "pid"), known[i].number) == 0);
      return 1;
    }
  return pc_fail(PC_EARG, "kill: signal '%s' is none of INT, TERM, KILL", pc_arg_str(a, "signal"));
}

static int f_sleep(lua_State *L, pc_args *a) {
  rest((int)(pc_arg_num(a, "seconds") * 1000));
  return 0;
}

/* Ends this process when its parent does: a pool that is killed leaves nothing behind. */
static int f_die_with_parent(lua_State *L, pc_args *a) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != (pid_t)pc_arg_int64(a, "pid")) kill(getpid(), SIGTERM); /* it was faster */
  return 0;
}

/* The signal that asks to stop, once: from then on the script goes on undisturbed, to end in order. */
static int f_taken_signal(lua_State *L, pc_args *a) {
  int sig = pc_front_signal();
  if (!sig) return 0;
  pc_front_quiet();
  lua_pushstring(L, sig == SIGTERM ? "TERM" : "INT");
  return 1;
}

/* Time for putting things in order, undisturbed by the signal that ended the script. */
static int f_hold_signal(lua_State *L, pc_args *a) {
  pc_front_hold(pc_arg_num(a, "seconds"));
  return 0;
}

static int f_pid(lua_State *L, pc_args *a) {
  lua_pushinteger(L, getpid());
  return 1;
}

static int f_cwd(lua_State *L, pc_args *a) {
  char path[4096];
  if (!getcwd(path, sizeof path)) return pc_fail(PC_EIO, "cwd: %s", strerror(errno));
  lua_pushstring(L, path);
  return 1;
}

static int f_chdir(lua_State *L, pc_args *a) {
  if (chdir(pc_arg_str(a, "path"))) return pc_fail(PC_EIO, "chdir: '%s': %s", pc_arg_str(a, "path"), strerror(errno));
  return 0;
}

static int f_program(lua_State *L, pc_args *a) {
  char path[4096];
  ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
  lua_pushlstring(L, path, n > 0 ? (size_t)n : 0);
  return 1;
}

static int f_hostname(lua_State *L, pc_args *a) {
  char host[256] = "unknown";
  gethostname(host, sizeof host - 1);
  lua_pushstring(L, host);
  return 1;
}

static int f_user(lua_State *L, pc_args *a) {
  struct passwd *p = getpwuid(getuid());
  lua_pushstring(L, p ? p->pw_name : "");
  return 1;
}

static const pc_luafn functions[] = {
    {"spawn", "command:table, env:table?, log:str?", f_spawn,
     "starts a program in a group of its own, {\"NAME=value\", ...} added to its environment -> pid", 0},
    {"capture", "command:table", f_capture,
     "runs a program to its end, without a shell -> what it printed, exit code; nil and the reason if there is none",
     0},
    {"wait", "seconds:num(0..1e6)", f_wait,
     "a child that ended -> pid, exit code or nil, signal; nothing when none did", 0},
    {"children_cpu", "", f_children_cpu, "seconds of processor time of the children that ended", 0},
    {"kill", "pid:int, signal:str", f_kill, "sends INT, TERM or KILL -> was there such a process?", 0},
    {"sleep", "seconds:num(0..1e6)", f_sleep, "rests; a signal ends it early", 0},
    {"die_with_parent", "pid:int", f_die_with_parent, "SIGTERM to this process when its parent, pid, ends", 0},
    {"taken_signal", "", f_taken_signal,
     "\"INT\" or \"TERM\" when one came: it is taken as noticed, the script ends by itself", 0},
    {"hold_signal", "seconds:num(0..1e6)", f_hold_signal,
     "a signal that was raised as an error is not raised again for so many seconds: time to put things in order", 0},
    {"pid", "", f_pid, "number of this process", 0},
    {"cwd", "", f_cwd, "the working folder", 0},
    {"chdir", "path:str", f_chdir, "changes the working folder", 0},
    {"program", "", f_program, "path of this program", 0},
    {"hostname", "", f_hostname, "name of this machine", 0},
    {"user", "", f_user, "name of the user; empty if it is not known", 0},
    {0}};

int luaopen_percept_process(lua_State *L) {
  lua_newtable(L);
  pc_register(L, "process", functions);
  return 1;
}
