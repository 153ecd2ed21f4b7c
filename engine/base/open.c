#include "base/open.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

static const char *kind_of(mode_t m) {
  return S_ISDIR(m) ? "a folder" : S_ISFIFO(m) ? "a FIFO" : S_ISSOCK(m) ? "a socket" : "a device";
}

int pc_open_regular(int *fd, int64_t *size, const char *path) {
  struct stat st;
  *fd = -1;
  /* asked before opening, since opening alone moves some devices; and after it, since the name may mean another file by
   * then */
  if (stat(path, &st)) return pc_fail(errno == ENOENT ? PC_ENOTFOUND : PC_EIO, "%s: %s", path, strerror(errno));
  if (S_ISREG(st.st_mode)) {
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0 || fstat(*fd, &st)) {
      int e = errno;
      if (*fd >= 0) close(*fd);
      *fd = -1;
      return pc_fail(e == ENOENT ? PC_ENOTFOUND : PC_EIO, "%s: %s", path, strerror(e));
    }
  }
  if (!S_ISREG(st.st_mode)) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
    return pc_fail(PC_EIO, "%s: not a regular file (it is %s)", path, kind_of(st.st_mode));
  }
  if (size) *size = st.st_size;
  return PC_OK;
}
