/* provenance.c: where a run takes place: host, process, CPU, git. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/spawn.h"
#include "db/internal.h"

enum { GIT_WAIT_MS = 5000, GIT_DIFF_MAX = 8 << 20 };

int64_t pc_process_start(int64_t pid) {
  char path[64], text[1024], *p;
  unsigned long long ticks;
  size_t n;
  FILE *f;
  snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
  f = fopen(path, "r");
  if (!f) return -1;
  n = fread(text, 1, sizeof text - 1, f);
  fclose(f);
  text[n] = '\0';
  p = strrchr(text, ')'); /* the command's name may hold anything */
  if (!p || p[1] == '\0' || p[2] == 'Z') return -1;
  p += 2;
  for (int field = 3; field < 22 && p; field++) p = strchr(p + 1, ' ');
  return p && sscanf(p, "%llu", &ticks) == 1 ? (int64_t)ticks : -1;
}

/* Is the process that wrote (host, pid, start) alive? Unknown for another host: how long it is silent tells. */
int pc_process_alive(const char *host, int64_t pid, int64_t start, int64_t silent_ms) {
  char here[256] = "";
  int64_t now;
  gethostname(here, sizeof here - 1);
  if (strcmp(here, host)) return silent_ms < PC_STALE_MS;
  now = pc_process_start(pid);
  return now >= 0 && (start < 0 || now == start);
}

int64_t pc_process_rss(void) {
  long total, resident = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (!f) return 0;
  if (fscanf(f, "%ld %ld", &total, &resident) != 2) resident = 0;
  fclose(f);
  return (int64_t)resident * sysconf(_SC_PAGESIZE);
}

int64_t pc_process_peak_rss(void) {
  struct rusage u;
  return getrusage(RUSAGE_SELF, &u) ? 0 : (int64_t)u.ru_maxrss * 1024;
}

double pc_process_cpu_s(void) {
  struct rusage u;
  if (getrusage(RUSAGE_SELF, &u)) return 0;
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void cpu_model(char *out, size_t size) {
  char line[512];
  FILE *f = fopen("/proc/cpuinfo", "r");
  snprintf(out, size, "unknown");
  if (!f) return;
  while (fgets(line, sizeof line, f)) {
    char *colon = strchr(line, ':');
    if (strncmp(line, "model name", 10) || !colon) continue;
    colon += strspn(colon, ": \t");
    colon[strcspn(colon, "\n")] = '\0';
    snprintf(out, size, "%s", colon);
    break;
  }
  fclose(f);
}

void pc_provenance_host(pc_provenance *p) {
  struct passwd *pw = getpwuid(getuid());
  if (gethostname(p->host, sizeof p->host)) snprintf(p->host, sizeof p->host, "unknown");
  p->host[sizeof p->host - 1] = '\0';
  snprintf(p->user, sizeof p->user, "%s", pw ? pw->pw_name : "");
  if (!getcwd(p->cwd, sizeof p->cwd)) p->cwd[0] = '\0';
  cpu_model(p->cpu, sizeof p->cpu);
  p->pid = getpid();
  p->pid_start = pc_process_start(p->pid);
}

/* ---- git: asked as a program, with a deadline, without locks, pagers or prompts ---- */

/* What git prints, up to max bytes; NULL when it fails or takes too long. */
static char *git(size_t *size, size_t max, const char *const *argv) {
  pid_t pid;
  static const char *const extra[] = {"GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C"};
  int fd, status = -1, ok = 0;
  size_t n = 0, cap = 4096;
  int64_t until = pc_tick_ms() + GIT_WAIT_MS;
  char *text = pc_malloc(cap);
  if (!text) return NULL;
  if (pc_spawn(&pid, argv, &(pc_spawn_opts){.extra = extra, .n_extra = 3, .out = &fd})) {
    pc_free(text);
    return NULL;
  }
  for (;;) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int64_t left = until - pc_tick_ms();
    ssize_t got;
    if (left <= 0) break;
    if (poll(&p, 1, (int)left) < 0 && errno == EINTR) continue;
    if (!p.revents) break;
    if (n + 1 == cap) {
      char *more = cap > max ? NULL : pc_realloc(text, cap * 2);
      if (!more) break;
      text = more;
      cap *= 2;
    }
    got = read(fd, text + n, cap - n - 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      ok = got == 0;
      break;
    }
    n += (size_t)got;
  }
  close(fd);
  if (!ok) kill(pid, SIGKILL);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!ok || !WIFEXITED(status) || WEXITSTATUS(status)) {
    pc_free(text);
    return NULL;
  }
  text[n] = '\0';
  *size = n;
  return text;
}

void pc_provenance_git(pc_provenance *p, const char *script) {
  char dir[4096];
  char *slash, *text;
  size_t n;
  snprintf(dir, sizeof dir, "%s", script ? script : "./");
  slash = strrchr(dir, '/');
  if (!slash)
    snprintf(dir, sizeof dir, ".");
  else
    slash[slash == dir] = '\0';
  text = git(&n, 256, (const char *const[]){"git", "-C", dir, "rev-parse", "--verify", "HEAD", NULL});
  if (!text) return;
  text[strcspn(text, "\n")] = '\0';
  snprintf(p->commit, sizeof p->commit, "%s", text);
  pc_free(text);
  /* a file git ignores or does not know is not dirt, unless it is the script: that one is kept as a source */
  text = git(&n, GIT_DIFF_MAX,
             (const char *const[]){"git", "-C", dir, "status", "--porcelain", "--untracked-files=no",
                                   "--ignore-submodules", NULL});
  p->dirty = text && n > 0;
  pc_free(text);
  if (!p->dirty) return;
  p->diff = git(&p->diff_size, GIT_DIFF_MAX,
                (const char *const[]){"git", "-C", dir, "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--no-color",
                                      "--binary", NULL});
}
