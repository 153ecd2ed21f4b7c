/* front.c: signals. The handler sets the engine's flag, which ops poll, and a
 * debug hook, which stops plain Lua loops. A second signal before the first
 * was noticed ends the process: the loop it waits for is compiled and sees no hook. */
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "bindings/args.h"
#include "bindings/percept.h"

static lua_State *front;
static sigjmp_buf *volatile jump_to;
static volatile sig_atomic_t caught, waiting;

int pc_front_signal(void) { return caught; }

void pc_front_reset(void) {
  if (caught == SIGTERM) return; /* goes on until the program ends */
  caught = 0;
  waiting = 0;
  (void)(pc_interrupted() && pc_check_interrupt());
}

void pc_front_noticed(void) {
  if (front) lua_sethook(front, NULL, 0, 0);
  waiting = 0;
}

void pc_front_set_jump(void *jump) { jump_to = jump; }

static void stop(lua_State *L, lua_Debug *ar) {
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  waiting = 0;
  if (pc_interrupted()) pc_check_interrupt();
  luaL_error(L, caught == SIGTERM ? "terminated" : "interrupted");
}

static void on_signal(int sig) {
  if (jump_to && sig == SIGINT) siglongjmp(*jump_to, 1);
  if (waiting++ && sig == SIGINT) _exit(130);
  caught = sig;
  pc_interrupt_set();
  lua_sethook(front, stop, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

void pc_front_catch_signals(lua_State *L) {
  struct sigaction sa;
  memset(&sa, 0, sizeof sa);
  sa.sa_handler = on_signal;
  sigemptyset(&sa.sa_mask);
  front = L;
  sigaction(SIGINT, &sa, NULL);
  sigaction(SIGTERM, &sa, NULL);
  signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of write(), not the end */
}
