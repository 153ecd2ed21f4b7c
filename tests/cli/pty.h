/* pty.h: the prompt on a pseudo-terminal: what is typed, what is shown, how soon. */
#ifndef PC_TESTS_CLI_PTY_H
#define PC_TESTS_CLI_PTY_H

#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct {
  int fd;
  pid_t pid;
  char *text; /* everything shown so far, NUL-terminated */
  size_t n, room;
} pty;

static inline double pty_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline void pty_rest(double seconds) {
  struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
  nanosleep(&t, NULL);
}

/* How much slower things may be: under a sanitizer. */
static inline double pty_slow(void) { return getenv("PERCEPT_SANITIZED") ? 10 : 1; }

/* Starts the prompt with so many threads; home is a scratch folder. */
static inline void pty_start(pty *p, int threads, const char *home) {
  const char *given = getenv("PERCEPT");
  char number[16], *program = realpath(given ? given : "build/percept", NULL);
  struct winsize size = {50, 200, 0, 0};
  memset(p, 0, sizeof *p);
  snprintf(number, sizeof number, "%d", threads);
  p->pid = forkpty(&p->fd, NULL, NULL, &size);
  if (p->pid == 0) {
    setenv("HOME", home, 1);
    setenv("TERM", "dumb", 1);
    setenv("OMP_NUM_THREADS", number, 1);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("XDG_DATA_HOME");
    if (chdir(home) == 0 && program) execl(program, "percept", (char *)NULL);
    _exit(127);
  }
  free(program);
}

/* Takes what is shown, for at most so long; 0 at the end of the program. */
static inline int pty_read(pty *p, double seconds) {
  struct pollfd in = {p->fd, POLLIN, 0};
  if (poll(&in, 1, (int)(seconds * 1000)) <= 0) return 1;
  if (p->room - p->n < 65537) p->text = realloc(p->text, p->room = p->room * 2 + 131072);
  ssize_t got = read(p->fd, p->text + p->n, 65536);
  if (got <= 0) return 0;
  p->n += (size_t)got;
  p->text[p->n] = '\0';
  return 1;
}

static inline void pty_type(pty *p, const char *text) {
  if (write(p->fd, text, strlen(text)) < 0) perror("pty");
}

static inline void pty_enter(pty *p, const char *line) {
  pty_type(p, line);
  pty_type(p, "\r");
}

/* Waits until `what` is shown behind place `from`: the seconds it took, or -1. */
static inline double pty_sees(pty *p, size_t from, const char *what, double seconds) {
  double began = pty_now(), end = began + seconds * pty_slow();
  for (;;) {
    if (p->n > from && strstr(p->text + from, what)) return pty_now() - began;
    if (pty_now() > end || !pty_read(p, 0.02)) return -1;
  }
}

static inline int pty_alive(pty *p) { return waitpid(p->pid, NULL, WNOHANG) == 0; }

static inline void pty_end(pty *p) {
  if (pty_alive(p)) {
    kill(p->pid, SIGKILL);
    waitpid(p->pid, NULL, 0);
  }
  close(p->fd);
  free(p->text);
}

/* A name and a folder for what the program keeps in its home. */
static inline char *pty_home(char *pattern) {
  if (!mkdtemp(pattern)) perror("mkdtemp");
  return pattern;
}

static inline void pty_remove(const char *home) {
  char command[300];
  snprintf(command, sizeof command, "rm -rf '%s'", home);
  if (system(command)) fprintf(stderr, "%s is left behind\n", home);
}

#endif
