#include "formats/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/alloc.h"

int pc_file_read(char **out, size_t *n, const char *path, size_t limit) {
  struct stat st;
  char *data = NULL;
  size_t got = 0;
  int rc = PC_OK;
  *out = NULL;
  *n = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return pc_fail(errno == ENOENT ? PC_ENOTFOUND : PC_EIO, "%s: %s", path, strerror(errno));
  if (fstat(fd, &st) < 0) {
    rc = pc_fail(PC_EIO, "%s: %s", path, strerror(errno));
    goto done;
  }
  if (!S_ISREG(st.st_mode)) {
    rc = pc_fail(PC_EIO, "%s: not a regular file", path);
    goto done;
  }
  if (limit && (uint64_t)st.st_size > limit) {
    rc = pc_fail(PC_EFORMAT, "%s: %lld bytes are more than the %lld that make sense here", path, (long long)st.st_size,
                 (long long)limit);
    goto done;
  }
  size_t want = (size_t)st.st_size;
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

int pc_file_begin(pc_file_writer *w, const char *path) {
  static atomic_uint serial;
  size_t n = strlen(path) + 48;
  *w = (pc_file_writer){0};
  w->path = pc_strdup(path);
  w->tmp = pc_malloc(n);
  if (!w->path || !w->tmp) {
    pc_file_abort(w);
    return PC_ENOMEM;
  }
  snprintf(w->tmp, n, "%s.tmp-%ld-%u", path, (long)getpid(), atomic_fetch_add(&serial, 1));
  int fd = open(w->tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd >= 0 && !(w->f = fdopen(fd, "wb"))) close(fd), unlink(w->tmp);
  if (!w->f) {
    int e = errno;
    pc_free(w->tmp);
    w->tmp = NULL;
    pc_file_abort(w);
    return pc_fail(PC_EIO, "%s: cannot be written: %s", path, strerror(e));
  }
  return PC_OK;
}

int pc_file_write(pc_file_writer *w, const void *data, size_t n) {
  if (n && fwrite(data, 1, n, w->f) != n)
    return pc_fail(PC_EIO, "%s: writing failed: %s", w->path, strerror(errno ? errno : EIO));
  return PC_OK;
}

int pc_file_commit(pc_file_writer *w) {
  int rc = PC_OK;
  if (fflush(w->f) || fsync(fileno(w->f))) rc = pc_fail(PC_EIO, "%s: writing failed: %s", w->path, strerror(errno));
  if (fclose(w->f) && rc == PC_OK) rc = pc_fail(PC_EIO, "%s: writing failed: %s", w->path, strerror(errno));
  w->f = NULL;
  if (rc == PC_OK && rename(w->tmp, w->path))
    rc = pc_fail(PC_EIO, "%s: cannot be replaced: %s", w->path, strerror(errno));
  if (rc == PC_OK) {
    pc_free(w->tmp);
    w->tmp = NULL;
  }
  pc_file_abort(w);
  return rc;
}

void pc_file_abort(pc_file_writer *w) {
  if (w->f) fclose(w->f);
  if (w->tmp) unlink(w->tmp);
  pc_free(w->tmp);
  pc_free(w->path);
  *w = (pc_file_writer){0};
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
