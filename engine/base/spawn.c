#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

extern char **environ;

/* getenv takes the first of a name. */
static const char **environment(const pc_spawn_opts *o) {
  size_t n = 0, extra = (size_t)o->n_extra;
  while (environ[n]) n++;
  const char **env = pc_malloc((extra + n + 1) * sizeof *env);
  if (!env) return NULL;
  if (extra) memcpy(env, o->extra, extra * sizeof *env);
  memcpy(env + extra, environ, (n + 1) * sizeof *env);
  return env;
}

int pc_spawn(pid_t *pid, const char *const *argv, const pc_spawn_opts *o) {
  posix_spawn_file_actions_t fa;
  posix_spawnattr_t at;
  sigset_t none, dfl;
  int fd[2] = {-1, -1};
  if (o->out && pipe2(fd, O_CLOEXEC)) return errno;
  const char **env = environment(o);
  posix_spawn_file_actions_init(&fa);
  posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
  if (o->out) {
    posix_spawn_file_actions_adddup2(&fa, fd[1], 1);
    posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
  } else if (o->log) {
    posix_spawn_file_actions_addopen(&fa, 1, o->log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    posix_spawn_file_actions_adddup2(&fa, 1, 2);
  }
  posix_spawnattr_init(&at);
  sigemptyset(&none);
  sigfillset(&dfl);
  posix_spawnattr_setsigmask(&at, &none);
  posix_spawnattr_setsigdefault(&at, &dfl);
  posix_spawnattr_setpgroup(&at, 0);
  posix_spawnattr_setflags(
      &at, (short)(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (o->own_group ? POSIX_SPAWN_SETPGROUP : 0)));
  int e = env ? posix_spawnp(pid, argv[0], &fa, &at, (char *const *)argv, (char *const *)env) : ENOMEM;
  posix_spawnattr_destroy(&at);
  posix_spawn_file_actions_destroy(&fa);
  pc_free(env);
  if (!o->out) return e;
  close(fd[1]);
  if (e)
    close(fd[0]);
  else
    *o->out = fd[0];
  return e;
}
