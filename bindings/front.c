/* front.c: signals. SIGINT and SIGTERM become Lua errors, "interrupted" and "terminated", wherever the
 * program is: operations poll the engine's flag, interpreted Lua has a debug hook, compiled Lua
 * is led to an exit (compiled.h). Until one of the three has noticed, a timer looks again.
 *
 * The error may land in a pcall of the script, which is right for its cleaning up. So it is
 * raised again a while later, and from the third time on at every instruction: a loop
 * around a pcall ends, too.
 *
 * A call that reacts to none of this (a C function of Lua's, of LAPACK) holds up a script for a second;
 * then a thread of its own closes the runs that are open and ends the program.
 *
 * The prompt's own code must not be torn: at the prompt a signal is only noted, except while an
 * entry runs, between pc_front_open() and pc_front_close().
 *
 * Handlers call functions that are safe in them, and lua_sethook(), which is made for it. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "bindings/args.h"
#include "bindings/compiled.h"
#include "bindings/percept.h"
#include "db/recorder.h"

enum {
  STUBBORN = 3,    /* from this error on: at every instruction */
  TICK = 5,        /* ms between looks at code that has not noticed */
  AGAIN = 300,     /* ms from one error to the next, in a script */
  AGAIN_HERE = 40, /* and at the prompt, where nothing has to be cleaned up but what holds signals back */
  PATIENCE = 1000, /* ms until a script that does not notice is ended */
  LAST = 4000,     /* ms more for closing its runs */
  PRESSES = 3,     /* of Ctrl-C after PATIENCE that end a prompt whose call does not notice */
};

static lua_State *front;
static volatile sig_atomic_t caught, waiting, raised, prompt, closed, presses, told;
static volatile long since, next_raise; /* ms: the signal that waits; the next error */
static sem_t due;

int pc_front_signal(void) { return caught; }

static long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Looks in `first` ms and every TICK from then on; never for 0. */
static void look(long first) {
  struct itimerval t = {{0, TICK * 1000}, {first / 1000, first % 1000 * 1000}};
  setitimer(ITIMER_REAL, &t, NULL);
}

static void disarm(void) {
  look(0);
  pc_compiled_enough();
  waiting = raised = presses = told = 0;
  if (front) lua_sethook(front, NULL, 0, 0);
  (void)(pc_interrupted() && pc_check_interrupt());
}

static void block(sigset_t *before) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &set, before);
}

void pc_front_reset(void) {
  sigset_t before;
  if (caught == SIGTERM) return; /* goes on until the program ends */
  block(&before);
  if (caught != SIGTERM) caught = 0;
  disarm();
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void pc_front_quiet(void) { disarm(); }

/* The signal becomes an error now: not again before some time has passed. */
void pc_front_noticed(void) {
  long pause = prompt ? AGAIN_HERE : AGAIN;
  waiting = 0;
  pc_compiled_enough();
  if (++raised >= STUBBORN) return;
  if (front) lua_sethook(front, NULL, 0, 0);
  next_raise = now() + pause;
  look(pause);
}

void pc_front_hold(double seconds) {
  if (!caught) return;
  disarm();
  raised = 1;
  next_raise = now() + (long)(seconds * 1000);
  look((long)(seconds * 1000));
}

/* Nothing is open any more: a finaliser of the script that does not end, ends with the program. After a signal it is
 * the timer that ends it. */
void pc_front_end(void) {
  if (caught) return;
  look(0);
  signal(SIGALRM, SIG_IGN);
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
}

static void stop(lua_State *L, lua_Debug *ar) {
  (void)ar;
  pc_front_noticed();
  if (pc_interrupted()) pc_check_interrupt();
  lua_pushstring(L, caught == SIGTERM ? "terminated" : "interrupted"); /* as operations say it: no place */
  lua_error(L);
}

static void arm(void *context) {
  pc_interrupt_set();
  lua_sethook(front, stop, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
  pc_compiled_leave(context);
}

static void say(const char *text) { (void)!write(2, text, strlen(text)); }

static void out_of_patience(void) {
  if (!prompt || caught == SIGTERM) {
    sem_post(&due);
  } else if (!told) {
    told = 1;
    presses = 0;
    say("\nthis call does not listen; Ctrl-C three times ends the session\n");
  }
}

static void on_tick(int sig, siginfo_t *info, void *context) {
  int before = errno;
  if (waiting) {
    if (now() - since > PATIENCE) out_of_patience();
    if (now() - since > PATIENCE + LAST && (!prompt || caught == SIGTERM)) _exit(128 + caught);
    arm(context);
  } else if (raised && now() >= next_raise && !closed) {
    since = now();
    waiting = 1;
    arm(context);
  }
  errno = before;
}

static void on_signal(int sig, siginfo_t *info, void *context) {
  int before = errno;
  if (caught != SIGTERM) caught = sig;
  if (!closed) {
    if (!waiting) {
      since = now();
      waiting = 1;
    } else if (told && ++presses >= PRESSES) {
      sem_post(&due);
    }
    look(TICK);
    arm(context);
  }
  errno = before;
}

void pc_front_prompt(int on) {
  sigset_t before;
  block(&before);
  prompt = closed = on;
  if (caught == SIGINT) caught = 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void pc_front_open(void) {
  sigset_t before;
  if (!prompt) return;
  block(&before);
  closed = 0;
  if (caught) raise(caught); /* it came before the entry ran; delivered when it is unblocked */
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void pc_front_close(void) {
  sigset_t before;
  if (!prompt) return;
  block(&before);
  closed = 1;
  disarm();
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* The last resort: a thread, since the one of Lua may be anywhere. The database's functions may be called from any. */
static void *last_resort(void *unused) {
  (void)unused;
  for (;;) {
    while (sem_wait(&due)) continue;
    if (!waiting) continue;
    const char *word = caught == SIGTERM ? "terminated" : "interrupted";
    pc_db_finish_open(PC_RUN_KILLED, word);
    say("percept: ");
    say(word);
    say(" in a call that does not listen\n");
    if (ftrylockfile(stdout) == 0) fflush(stdout);
    _exit(128 + caught);
  }
  return NULL;
}

static void watch(void) {
  pthread_t thread;
  pthread_attr_t attr;
  sigset_t all, before;
  sem_init(&due, 0, 0);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_init(&attr);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  pthread_create(&thread, &attr, last_resort, NULL); /* without it a second signal does what it would */
  pthread_attr_destroy(&attr);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void pc_front_catch_signals(lua_State *L) {
  struct sigaction sa;
  memset(&sa, 0, sizeof sa);
  sa.sa_sigaction = on_signal;
  sigemptyset(&sa.sa_mask);
  sigaddset(&sa.sa_mask, SIGINT);
  sigaddset(&sa.sa_mask, SIGTERM);
  sigaddset(&sa.sa_mask, SIGALRM);
  sa.sa_flags = SA_SIGINFO;
  front = L;
  pc_compiled_start(&sa);
  watch();
  sigaction(SIGINT, &sa, NULL);
  sigaction(SIGTERM, &sa, NULL);
  sa.sa_sigaction = on_tick;
  sa.sa_flags = SA_SIGINFO | SA_RESTART;
  sigaction(SIGALRM, &sa, NULL);
  signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of write(), not the end */
}
