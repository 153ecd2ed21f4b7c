/* spawn.h: starting programs: words, never a line for a shell.
 *
 * The child reads nothing (its input is empty) and finds signals as a fresh program expects them, whatever is blocked
 * or caught here.
 */
#ifndef PC_BASE_SPAWN_H
#define PC_BASE_SPAWN_H

#include <sys/types.h>

typedef struct pc_spawn_opts {
  const char *const *extra; /* n_extra of "NAME=value", before the environment of this process */
  int n_extra;
  int own_group;   /* Ctrl-C at the terminal does not reach the child: who started it passes it on */
  const char *log; /* a file for output and errors; NULL: where they go here, unless `out` is wanted */
  int *out; /* what the child prints is read here, the caller closes it; its errors go nowhere. NULL: not wanted */
} pc_spawn_opts;

/* Starts argv[0], looked for in PATH, with the words up to NULL. 0, or an errno (ENOMEM, ENOENT, ...): nothing is open.
 */
int pc_spawn(pid_t *pid, const char *const *argv, const pc_spawn_opts *o);

#endif
