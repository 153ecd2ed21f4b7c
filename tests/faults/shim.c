/* shim.c: a library put before a program (LD_PRELOAD) in which the world fails at a moment of our choosing.
 *
 * PERCEPT_FAULT=KIND:N[:SEED] - what happens at the Nth call of its sort (1 = the first). Only files below
 * PERCEPT_FAULT_ROOT count, and of memory only what the program and the libraries that it hands data to ask for.
 *   malloc     the Nth allocation gives NULL, once
 *   mapping    the Nth anonymous mapping fails, once (Lua's own memory)
 *   write      the Nth write fails with EIO, once
 *   short      the Nth write writes a part
 *   full       from the Nth write on the disk is full (ENOSPC)
 *   sync       the Nth fsync fails with EIO, once
 *   read       the Nth read fails with EIO, once
 *   open       the Nth open fails with EMFILE, once
 *   rename     the Nth rename fails with EACCES, once
 *   readonly   from the Nth open on nothing opens for writing (EROFS)
 *   vanish     at the Nth write the file that is written to is unlinked
 *   clock      from the Nth look on the wall clock is an hour off (SEED odd: back, even: ahead)
 *   term, int  at the Nth write the process gets SIGTERM, SIGINT
 *   kill       at the Nth write the process is killed
 *   power      at the Nth write the power goes: of what was written since a file's last fsync each part is there, gone,
 *              or torn at a sector, as SEED says; names given since the folder's last fsync may be gone, too
 *   count      nothing happens; at the end the numbers of calls are written to PERCEPT_FAULT_COUNTS
 *
 * Nothing here allocates. One lock guards the counters and the log of writes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { SECTOR = 512, MAX_UNDO = 4096, MAX_BYTES = 64 << 20, MAX_NAMES = 256 };

typedef enum sort { MALLOC, MAPPING, WRITE, SYNC, READ, OPEN, RENAME, CLOCK, SORTS } sort;
static const char *const sort_names[SORTS] = {"malloc", "mapping", "write", "sync", "read", "open", "rename", "clock"};
static const struct {
  const char *kind;
  sort counts;
} kinds[] = {{"malloc", MALLOC}, {"mapping", MAPPING}, {"write", WRITE}, {"short", WRITE},   {"full", WRITE},
             {"sync", SYNC},     {"read", READ},       {"open", OPEN},   {"rename", RENAME}, {"readonly", OPEN},
             {"vanish", WRITE},  {"clock", CLOCK},     {"term", WRITE},  {"int", WRITE},     {"kill", WRITE},
             {"power", WRITE},   {"count", SORTS}};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *kind = "";
static sort counted = SORTS;
static long nth, calls[SORTS];
static uint64_t random_state = 1;
static char root[512];
static int on, done;

static uint64_t draw(uint64_t n) { /* splitmix64 */
  uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (z ^ (z >> 31)) % n;
}

/* ---- the functions behind ours: system calls, so that nothing is looked up while starting ---- */
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
static ssize_t sys_pwrite(int fd, const void *p, size_t n, off_t at) { return syscall(SYS_pwrite64, fd, p, n, at); }
static ssize_t sys_pread(int fd, void *p, size_t n, off_t at) { return syscall(SYS_pread64, fd, p, n, at); }

__attribute__((constructor)) static void begin(void) {
  const char *what = getenv("PERCEPT_FAULT"), *dir = getenv("PERCEPT_FAULT_ROOT");
  static char name[32];
  if (!what || !dir || !realpath(dir, root)) return;
  size_t n = strcspn(what, ":");
  if (n >= sizeof name) return;
  memcpy(name, what, n);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (!strcmp(kinds[i].kind, name)) kind = kinds[i].kind, counted = kinds[i].counts;
  char *end = (char *)what + n;
  if (*end == ':') nth = strtol(end + 1, &end, 10);
  if (*end == ':') random_state = strtoull(end + 1, NULL, 10) + 1;
  on = 1;
}

static int is(const char *name) { return !strcmp(kind, name); }

/* Counts a call; 1: it is the one. `lasting`: also every one after it. */
static int due(sort s, int lasting) {
  if (!on) return 0;
  long n = __atomic_add_fetch(&calls[s], 1, __ATOMIC_RELAXED);
  return counted == s && nth > 0 && (n == nth || (lasting && n > nth));
}

__attribute__((destructor)) static void end(void) {
  const char *to = getenv("PERCEPT_FAULT_COUNTS");
  char text[512];
  int n = 0, fd = to && is("count") ? (int)syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;
  if (fd < 0) return;
  for (int i = 0; i < SORTS; i++) n += snprintf(text + n, sizeof text - (size_t)n, "%s %ld\n", sort_names[i], calls[i]);
  syscall(SYS_write, fd, text, n);
  syscall(SYS_close, fd);
}

static int path_of(int fd, char out[512]) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, out, 511);
  if (n <= 0) return 0;
  out[n] = 0;
  return !strncmp(out, root, strlen(root));
}

static int ours(const char *path) {
  char full[1024];
  if (!on || !path) return 0;
  if (*path == '/') return !strncmp(path, root, strlen(root));
  return getcwd(full, sizeof full) && !strncmp(full, root, strlen(root));
}

/* ---- the power: what is written waits in a log until its file is synced ---- */
typedef struct undo {
  dev_t dev;
  ino_t ino;
  int fd; /* our own, to write through later */
  off_t at, size_before;
  size_t n, kept; /* bytes written; old bytes kept at `old` */
  char *old;
} undo;
static undo log_[MAX_UNDO];
static int nlog;
static char *bytes;
static size_t used;
typedef struct renamed {
  char to[400], kept[400]; /* the new name; a link to what had it before, or "" */
} renamed;
static renamed names[MAX_NAMES];
static int nnames;

static void remember(int fd, off_t at, size_t n) {
  struct stat st;
  if (!is("power") || fstat(fd, &st) || nlog == MAX_UNDO) return;
  if (!bytes) bytes = mmap(NULL, MAX_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (used + n > MAX_BYTES) return;
  undo *u = &log_[nlog];
  *u = (undo){
      .dev = st.st_dev, .ino = st.st_ino, .at = at, .size_before = st.st_size, .n = n, .old = bytes + used, .fd = -1};
  for (int i = 0; i < nlog; i++)
    if (log_[i].ino == u->ino && log_[i].dev == u->dev) u->fd = log_[i].fd;
  char path[512];
  if (u->fd < 0 && path_of(fd, path)) u->fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
  if (u->fd < 0) return;
  ssize_t got = sys_pread(u->fd, u->old, n, at);
  u->kept = got > 0 ? (size_t)got : 0;
  used += u->kept;
  nlog++;
}

static void synced(int fd) {
  struct stat st;
  int kept = 0;
  if (!is("power") || fstat(fd, &st)) return;
  if (S_ISDIR(st.st_mode)) {
    for (int i = 0; i < nnames; i++)
      if (*names[i].kept) syscall(SYS_unlink, names[i].kept);
    nnames = 0;
    return;
  }
  for (int i = 0; i < nlog; i++)
    if (log_[i].ino != st.st_ino || log_[i].dev != st.st_dev) log_[kept++] = log_[i];
  nlog = kept;
}

/* Last write first. Each is undone, kept, or torn: its first sectors stay. */
static void power_off(void) {
  for (int i = nlog - 1; i >= 0; i--) {
    undo *u = &log_[i];
    uint64_t what = draw(3);
    if (what == 0) continue;
    size_t from = what == 1 ? 0 : (size_t)draw(u->n / SECTOR + 1) * SECTOR;
    if (from < u->kept) sys_pwrite(u->fd, u->old + from, u->kept - from, u->at + (off_t)from);
    if (u->at + (off_t)u->n > u->size_before && u->at + (off_t)from >= u->size_before) {
      struct stat st; /* the file had not grown yet, unless later bytes stayed */
      if (!fstat(u->fd, &st) && st.st_size == u->at + (off_t)u->n) syscall(SYS_ftruncate, u->fd, u->at + (off_t)from);
    }
  }
  for (int i = nnames - 1; i >= 0; i--)
    if (draw(2) == 0) {
      if (*names[i].kept)
        syscall(SYS_rename, names[i].kept, names[i].to);
      else
        syscall(SYS_unlink, names[i].to);
    }
  for (int i = 0; i < nnames; i++)
    if (*names[i].kept) syscall(SYS_unlink, names[i].kept);
  syscall(SYS_exit_group, 137);
}

/* ---- writes ---- */
static ssize_t fault_write(int fd, const void *p, size_t n, off_t at, int positioned) {
  char path[512];
  if (!on || done || !path_of(fd, path)) goto plain;
  int hit = due(WRITE, is("full"));
  if (hit && is("write")) return errno = EIO, -1;
  if (hit && is("full")) return errno = ENOSPC, -1;
  if (hit && is("short") && n > 1) n = 1 + draw(n - 1);
  if (hit && is("vanish")) syscall(SYS_unlink, path);
  if (hit && is("term")) kill(getpid(), SIGTERM);
  if (hit && is("int")) kill(getpid(), SIGINT);
  if (hit && is("kill")) kill(getpid(), SIGKILL);
  pthread_mutex_lock(&lock);
  if (is("power")) {
    off_t where = positioned ? at : lseek(fd, 0, SEEK_CUR);
    if (!positioned && fcntl(fd, F_GETFL) & O_APPEND) where = lseek(fd, 0, SEEK_END);
    remember(fd, where, n);
  }
  ssize_t r = positioned ? sys_pwrite(fd, p, n, at) : syscall(SYS_write, fd, p, n);
  if (hit && is("power")) power_off();
  pthread_mutex_unlock(&lock);
  return r;
plain:
  return positioned ? sys_pwrite(fd, p, n, at) : syscall(SYS_write, fd, p, n);
}

ssize_t write(int fd, const void *p, size_t n) { return fault_write(fd, p, n, 0, 0); }
ssize_t pwrite(int fd, const void *p, size_t n, off_t at) { return fault_write(fd, p, n, at, 1); }
ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at) { return fault_write(fd, p, n, at, 1); }

/* stdio writes past the symbol `write`: streams on files get functions of ours */
static ssize_t cookie_write(void *c, const char *p, size_t n) {
  size_t left = n;
  while (left) {
    ssize_t r = write((int)(intptr_t)c, p, left);
    if (r < 0) return 0;
    p += r, left -= (size_t)r;
  }
  return (ssize_t)n;
}
static ssize_t cookie_read(void *c, char *p, size_t n) { return read((int)(intptr_t)c, p, n); }
static int cookie_seek(void *c, off64_t *at, int whence) {
  return (*at = lseek((int)(intptr_t)c, *at, whence)) < 0 ? -1 : 0;
}
static int cookie_close(void *c) { return close((int)(intptr_t)c); }

static FILE *stream(const char *path, const char *mode) {
  int plus = strchr(mode, '+') != NULL, flags = plus ? O_RDWR : *mode == 'r' ? O_RDONLY : O_WRONLY;
  if (*mode == 'w') flags |= O_CREAT | O_TRUNC;
  if (*mode == 'a') flags |= O_CREAT | O_APPEND;
  if (strchr(mode, 'x')) flags |= O_EXCL;
  int fd = open(path, flags | O_CLOEXEC, 0666);
  if (fd < 0) return NULL;
  static const cookie_io_functions_t io = {cookie_read, cookie_write, cookie_seek, cookie_close};
  FILE *f = fopencookie((void *)(intptr_t)fd, mode, io);
  if (f) f->_fileno = fd; /* for fileno() and fsync() */
  return f;
}
FILE *fopen(const char *path, const char *mode) {
  static FILE *(*real)(const char *, const char *);
  if (on && !done && ours(path) && *mode != 'r') return stream(path, mode);
  if (!real) real = (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, "fopen");
  return real(path, mode);
}
FILE *fopen64(const char *path, const char *mode) { return fopen(path, mode); }

/* ---- reading, syncing, opening, names ---- */
ssize_t read(int fd, void *p, size_t n) {
  char path[512];
  if (on && path_of(fd, path) && due(READ, 0) && is("read")) return errno = EIO, -1;
  return syscall(SYS_read, fd, p, n);
}
ssize_t pread(int fd, void *p, size_t n, off_t at) {
  char path[512];
  if (on && path_of(fd, path) && due(READ, 0) && is("read")) return errno = EIO, -1;
  return sys_pread(fd, p, n, at);
}
ssize_t pread64(int fd, void *p, size_t n, off64_t at) { return pread(fd, p, n, at); }

static int fault_sync(int fd, long call) {
  char path[512];
  if (!on || !path_of(fd, path)) return (int)syscall(call, fd);
  if (due(SYNC, 0) && is("sync")) return errno = EIO, -1;
  pthread_mutex_lock(&lock);
  int r = (int)syscall(call, fd);
  if (!r) synced(fd);
  pthread_mutex_unlock(&lock);
  return r;
}
int fsync(int fd) { return fault_sync(fd, SYS_fsync); }
int fdatasync(int fd) { return fault_sync(fd, SYS_fdatasync); }

static int fault_open(int dir, const char *path, int flags, mode_t mode) {
  if (on && !done && ours(path)) {
    int hit = due(OPEN, is("readonly"));
    if (hit && is("open")) return errno = EMFILE, -1;
    if (hit && is("readonly") && (flags & O_ACCMODE) != O_RDONLY) return errno = EROFS, -1;
  }
  return (int)syscall(SYS_openat, dir, path, flags, mode);
}
#define MODE_OF(flags, mode)             \
  mode_t mode = 0;                       \
  if ((flags) & (O_CREAT | O_TMPFILE)) { \
    va_list ap;                          \
    va_start(ap, flags);                 \
    mode = (mode_t)va_arg(ap, int);      \
    va_end(ap);                          \
  }
int open(const char *path, int flags, ...) {
  MODE_OF(flags, mode)
  return fault_open(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
  MODE_OF(flags, mode)
  return fault_open(AT_FDCWD, path, flags, mode);
}
int openat(int dir, const char *path, int flags, ...) {
  MODE_OF(flags, mode)
  return fault_open(dir, path, flags, mode);
}

int rename(const char *from, const char *to) {
  if (!on || done || !ours(to)) return (int)syscall(SYS_rename, from, to);
  if (due(RENAME, 0) && is("rename")) return errno = EACCES, -1;
  pthread_mutex_lock(&lock);
  if (is("power") && nnames < MAX_NAMES) {
    renamed *r = &names[nnames];
    snprintf(r->to, sizeof r->to, "%s", to);
    snprintf(r->kept, sizeof r->kept, "%.350s.before-%d", to, nnames);
    if (syscall(SYS_link, to, r->kept)) *r->kept = 0;
    nnames++;
  }
  int rc = (int)syscall(SYS_rename, from, to);
  pthread_mutex_unlock(&lock);
  return rc;
}

/* ---- memory ---- */
/* Whether the caller is the program, or a library that does its work on data of ours. */
static int counts(void *caller) {
  static const char *const libraries[] = {"/percept", "sqlite3", "libpng", "jansson", "libzstd", "libz.so", NULL};
  Dl_info info;
  struct link_map *map; /* of _dl_find_object's kind: no lock that malloc would need */
  if (!dladdr1(caller, &info, (void **)&map, RTLD_DL_LINKMAP) || !info.dli_fname) return 0;
  for (int i = 0; libraries[i]; i++)
    if (strstr(info.dli_fname, libraries[i])) return 1;
  return 0;
}

static int fails(void *caller) {
  static __thread int inside; /* dladdr may allocate */
  if (!on || inside || done || counted != MALLOC) {
    if (!on || inside || !is("count")) return 0;
  }
  inside = 1;
  int hit = counts(caller) && due(MALLOC, 0) && is("malloc");
  inside = 0;
  return hit;
}

void *malloc(size_t n) { return fails(__builtin_return_address(0)) ? (errno = ENOMEM, NULL) : __libc_malloc(n); }
void *calloc(size_t n, size_t size) {
  return fails(__builtin_return_address(0)) ? (errno = ENOMEM, NULL) : __libc_calloc(n, size);
}
void *realloc(void *p, size_t n) {
  return fails(__builtin_return_address(0)) ? (errno = ENOMEM, NULL) : __libc_realloc(p, n);
}
int posix_memalign(void **out, size_t alignment, size_t n) {
  extern void *__libc_memalign(size_t, size_t);
  if (fails(__builtin_return_address(0))) return ENOMEM;
  *out = __libc_memalign(alignment, n);
  return *out ? 0 : ENOMEM;
}
void *aligned_alloc(size_t alignment, size_t n) {
  void *p;
  if (fails(__builtin_return_address(0))) return errno = ENOMEM, NULL;
  return posix_memalign(&p, alignment, n) ? NULL : p;
}
void *mmap(void *addr, size_t n, int prot, int flags, int fd, off_t at) {
  if (on && fd < 0 && due(MAPPING, 0) && is("mapping")) return errno = ENOMEM, MAP_FAILED;
  return (void *)syscall(SYS_mmap, addr, n, prot, flags, fd, at);
}
void *mmap64(void *addr, size_t n, int prot, int flags, int fd, off64_t at) {
  return mmap(addr, n, prot, flags, fd, at);
}

/* ---- the wall clock ---- */
static long hour(void) { return due(CLOCK, 1) && is("clock") ? (random_state & 1 ? -3600 : 3600) : 0; }
int clock_gettime(clockid_t id, struct timespec *t) {
  int r = (int)syscall(SYS_clock_gettime, id, t);
  if (on && !r && id == CLOCK_REALTIME) t->tv_sec += hour();
  return r;
}
int gettimeofday(struct timeval *restrict t, void *restrict zone) {
  (void)zone;
  struct timespec s;
  clock_gettime(CLOCK_REALTIME, &s);
  t->tv_sec = s.tv_sec, t->tv_usec = s.tv_nsec / 1000;
  return 0;
}
time_t time(time_t *out) {
  struct timespec s;
  clock_gettime(CLOCK_REALTIME, &s);
  if (out) *out = s.tv_sec;
  return s.tv_sec;
}
