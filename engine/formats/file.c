#include "formats/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/alloc.h"
#include "base/open.h"

int pc_file_read(char **out, size_t *n, const char *path, size_t limit) {
  char *data = NULL;
  size_t got = 0;
  int64_t size;
  int fd, rc = pc_open_regular(&fd, &size, path);
  *out = NULL;
  *n = 0;
  if (rc < 0) return rc;
  if (limit && (uint64_t)size > limit) {
    rc = pc_fail(PC_EFORMAT, "%s: %lld bytes are more than the %lld that make sense here", path, (long long)size,
                 (long long)limit);
    goto done;
  }
  size_t want = (size_t)size;
  if (!(data = pc_malloc(want + 1))) {
    rc = pc_error_prefix(PC_ENOMEM, "%s", path);
    goto done;
  }
  while (got < want) {
    ssize_t r = read(fd, data + got, want - got);
    if (r < 0 && errno == EINTR) continue;
    if (r < 0) {
      rc = pc_fail(PC_EIO, "%s: %s", path, strerror(errno));
      goto done;
    }
    if (r == 0) break; /* shrank while we read: what is there counts */
    got += (size_t)r;
  }
  data[got] = '\0';
  *out = data;
  *n = got;
  data = NULL;
done:
  pc_free(data);
  close(fd);
  return rc;
}

/* ---- writing: what stands there ---- */

/* The folder of a path, in a block of pc_malloc. */
static char *folder_of(const char *path) {
  const char *slash = strrchr(path, '/');
  size_t n = !slash ? 1 : slash == path ? 1 : (size_t)(slash - path);
  char *dir = pc_malloc(n + 1);
  if (!dir) return NULL;
  memcpy(dir, slash ? path : ".", n);
  dir[n] = '\0';
  return dir;
}

/* The end of a chain of symbolic links, whether there is a file or not. */
static int follow(char **out, const char *path) {
  char *at = pc_strdup(path), link[4096];
  *out = NULL;
  for (int i = 0; at; i++) {
    ssize_t n = readlink(at, link, sizeof link - 1);
    if (n < 0) break; /* no link */
    if (i == 40) {
      pc_free(at);
      return pc_fail(PC_EIO, "%s: cannot be written: %s", path, strerror(ELOOP));
    }
    link[n] = '\0';
    char *dir = *link == '/' ? pc_strdup("") : folder_of(at),
         *next = dir ? pc_malloc(strlen(dir) + (size_t)n + 2) : NULL;
    if (next) snprintf(next, strlen(dir) + (size_t)n + 2, "%s%s%s", dir, *dir ? "/" : "", link);
    pc_free(dir);
    pc_free(at);
    at = next;
  }
  *out = at;
  return at ? PC_OK : PC_ENOMEM;
}

/* ---- writing: what a kill left ---- */

/* The process in "name.tmp-<pid>-<n>"; 0 when it is no such name. */
static long writer_of(const char *name) {
  const char *p = NULL;
  char *end;
  for (const char *q = strstr(name, ".tmp-"); q; q = strstr(q + 1, ".tmp-")) p = q;
  if (!p || p == name || p[5] < '1' || p[5] > '9') return 0;
  long pid = strtol(p + 5, &end, 10);
  if (*end != '-' || end[1] < '0' || end[1] > '9') return 0;
  strtol(end + 1, &end, 10);
  return *end ? 0 : pid;
}

static void remove_leftover(int dir, const char *name) {
  struct stat st;
  if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode)) return;
  int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  if (fd < 0) return;
  if (!flock(fd, LOCK_EX | LOCK_NB)) unlinkat(dir, name, 0);
  close(fd);
}

/* Once a folder and process: a folder of ten thousand pictures is not read for each of them. */
static void clean_folder(const char *folder) {
  enum { MOST = 64 };
  static _Atomic uint64_t seen[MOST];
  uint64_t id = XXH3_64bits(folder, strlen(folder)) | 1;
  for (int i = 0;; i++) {
    uint64_t none = 0;
    if (i == MOST || seen[i] == id) return;
    if (atomic_compare_exchange_strong(&seen[i], &none, id)) break;
    if (none == id) return;
  }
  DIR *d = opendir(folder);
  if (!d) return;
  for (struct dirent *e; (e = readdir(d));) {
    long pid = writer_of(e->d_name);
    if (pid > 0 && pid != (long)getpid() && kill((pid_t)pid, 0) && errno == ESRCH) remove_leftover(dirfd(d), e->d_name);
  }
  closedir(d);
}

/* ---- writing ---- */

static int cannot(pc_file_writer *w, const char *path, const char *why) {
  pc_file_abort(w);
  return pc_fail(PC_EIO, "%s: cannot be written: %s", path, why);
}

/* Beside the end of the path, with the permissions of what is replaced. */
static int begin_beside(pc_file_writer *w, const char *path, const struct stat *old) {
  static atomic_uint serial;
  size_t n = strlen(w->end) + 48;
  char *folder = folder_of(w->end);
  if (folder) clean_folder(folder);
  pc_free(folder);
  if (!(w->tmp = pc_malloc(n))) {
    pc_file_abort(w);
    return PC_ENOMEM;
  }
  snprintf(w->tmp, n, "%s.tmp-%ld-%u", w->end, (long)getpid(), atomic_fetch_add(&serial, 1));
  int fd = open(w->tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666), e = errno;
  if (fd >= 0) {
    flock(fd, LOCK_EX | LOCK_NB); /* a sign of life; where locks are not to be had the process's number has to do */
    if (old) (void)!fchmod(fd, old->st_mode & 07777);
    if ((w->f = fdopen(fd, "wb"))) return PC_OK;
    e = errno;
    close(fd);
    unlink(w->tmp);
  }
  pc_free(w->tmp);
  w->tmp = NULL;
  return cannot(w, path, strerror(e));
}

/* Into what stands there: a FIFO, a device; a descriptor of some process, be it a file. */
static int begin_into(pc_file_writer *w, const char *path) {
  int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY);
  if (fd >= 0 && (w->f = fdopen(fd, "wb"))) return PC_OK;
  int e = errno;
  if (fd >= 0) close(fd);
  return cannot(w, path, strerror(e));
}

static int is_descriptor(const char *path) {
  return !strncmp(path, "/dev/std", 8) || !strncmp(path, "/dev/fd/", 8) || !strncmp(path, "/proc/", 6);
}

int pc_file_begin(pc_file_writer *w, const char *path) {
  struct stat st;
  int there = !stat(path, &st);
  *w = (pc_file_writer){0};
  if (!(w->path = pc_strdup(path))) return PC_ENOMEM;
  if (there && S_ISDIR(st.st_mode)) return cannot(w, path, "it is a folder");
  if (there && access(path, W_OK)) return cannot(w, path, strerror(errno));
  if (there && (!S_ISREG(st.st_mode) || is_descriptor(path))) return begin_into(w, path);
  int rc = follow(&w->end, path);
  if (rc == PC_OK) return begin_beside(w, path, there ? &st : NULL);
  pc_file_abort(w);
  return rc;
}

int pc_file_write(pc_file_writer *w, const void *data, size_t n) {
  errno = 0;
  if (n && fwrite(data, 1, n, w->f) != n)
    return pc_fail(PC_EIO, "%s: writing failed: %s", w->path, strerror(errno ? errno : EIO));
  return PC_OK;
}

/* After a rename: without it a power cut may bring the old name back. Some file systems can't; that is no failure. */
static int flush_folder(const pc_file_writer *w, const char *folder) {
  int rc = PC_OK, fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0 && fsync(fd) && (errno == EIO || errno == ENOSPC || errno == EDQUOT))
    rc = pc_fail(PC_EIO, "%s: its folder cannot be flushed to the disk: %s", w->path, strerror(errno));
  if (fd >= 0) close(fd);
  return rc;
}

int pc_file_commit(pc_file_writer *w) {
  /* before the rename: once the new file stands there, memory that runs out must not call it a failure */
  char *folder = w->tmp ? folder_of(w->end) : NULL;
  int rc = w->tmp && !folder ? PC_ENOMEM : PC_OK;
  errno = 0;
  if (rc == PC_OK && (ferror(w->f) || fflush(w->f) || (w->tmp && fsync(fileno(w->f)))))
    rc = pc_fail(PC_EIO, "%s: writing failed: %s", w->path, strerror(errno ? errno : EIO));
  if (fclose(w->f) && rc == PC_OK) rc = pc_fail(PC_EIO, "%s: writing failed: %s", w->path, strerror(errno));
  w->f = NULL;
  if (rc == PC_OK && w->tmp) {
    if (rename(w->tmp, w->end)) {
      rc = pc_fail(PC_EIO, "%s: cannot be replaced: %s", w->path, strerror(errno));
    } else {
      pc_free(w->tmp);
      w->tmp = NULL;
      rc = flush_folder(w, folder);
    }
  }
  pc_free(folder);
  pc_file_abort(w);
  return rc;
}

void pc_file_abort(pc_file_writer *w) {
  if (w->f) fclose(w->f);
  if (w->tmp) unlink(w->tmp);
  pc_free(w->tmp);
  pc_free(w->end);
  pc_free(w->path);
  *w = (pc_file_writer){0};
}

int pc_file_save(const char *path, const void *data, size_t n) {
  pc_file_writer w;
  int rc = pc_file_begin(&w, path);
  if (rc == PC_OK && (rc = pc_file_write(&w, data, n)) == PC_OK) return pc_file_commit(&w);
  pc_file_abort(&w);
  return rc;
}

int pc_make_dirs(const char *dir) {
  char *s = pc_strdup(dir);
  int rc = PC_OK;
  if (!s) return PC_ENOMEM;
  for (char *p = s + (*s == '/'); rc == PC_OK; p++) {
    if (*p && *p != '/') continue;
    char c = *p;
    *p = '\0';
    if (*s && mkdir(s, 0777) && errno != EEXIST)
      rc = pc_fail(PC_EIO, "%s: the folder cannot be made: %s", s, strerror(errno));
    *p = c;
    if (!c) break;
  }
  pc_free(s);
  return rc;
}

void pc_digest(char out[PC_DIGEST_SIZE], const void *data, size_t n) {
  XXH128_hash_t h = XXH3_128bits(data, n);
  snprintf(out, PC_DIGEST_SIZE, "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
}
