/* front.c: signals. The handler sets the engine's flag, which ops poll, and a
 * debug hook, which stops plain Lua loops. A second signal before the first
 * was noticed ends the process: the loop it waits for is compiled and sees no hook.
 *
 * The error may land in a pcall of the script, which is right for its cleaning
 * up; a second later it is raised again, and from the third time on at every
 * instruction, so that a loop around a pcall ends, too. */
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "bindings/args.h"
#include "bindings/percept.h"

static lua_State *front;
static sigjmp_buf *volatile jump_to;
static volatile sig_atomic_t caught, waiting, raised;
enum { STUBBORN = 3 };

int pc_front_signal(void) { return caught; }

static void disarm(void) {
  if (front) lua_sethook(front, NULL, 0, 0);
  (void)(pc_interrupted() && pc_check_interrupt());
  alarm(0);
  waiting = raised = 0;
}

void pc_front_reset(void) {
  if (caught == SIGTERM) return; /* goes on until the program ends */
  caught = 0;
  disarm();
}

void pc_front_quiet(void) { disarm(); }

/* The signal becomes an error now: not again before a second has passed. */
void pc_front_noticed(void) {
  waiting = 0;
  if (++raised >= STUBBORN) return;
  if (front) lua_sethook(front, NULL, 0, 0);
  alarm(1);
}

void pc_front_set_jump(void *jump) { jump_to = jump; }

static void stop(lua_State *L, lua_Debug *ar) {
  (void)ar;
  pc_front_noticed();
  if (pc_interrupted()) pc_check_interrupt();
  lua_pushstring(L, caught == SIGTERM ? "terminated" : "interrupted"); /* as operations say it: no place */
  lua_error(L);
}

static void arm(void) {
  pc_interrupt_set();
  lua_sethook(front, stop, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

static void on_alarm(int sig) {
  if (caught && raised) arm();
}

static void on_signal(int sig) {
  if (jump_to && sig == SIGINT) siglongjmp(*jump_to, 1);
  if (waiting++) _exit(128 + sig);
  caught = sig;
  arm();
}

void pc_front_catch_signals(lua_State *L) {
  struct sigaction sa;
  memset(&sa, 0, sizeof sa);
  sa.sa_handler = on_signal;
  sigemptyset(&sa.sa_mask);
  front = L;
  sigaction(SIGINT, &sa, NULL);
  sigaction(SIGTERM, &sa, NULL);
  sa.sa_handler = on_alarm;
  sa.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &sa, NULL);
  signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of write(), not the end */
}
