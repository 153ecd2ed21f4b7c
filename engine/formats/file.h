/* file.h: whole files in, whole files out, and digests of their bytes.
 *
 * Reading gives one counted block. Writing never leaves half a file under the
 * final name: bytes go to `path.tmp-<pid>-<n>` in the same folder, which is
 * flushed to the disk (fsync) and renamed over `path` by pc_file_commit(), the
 * folder flushed behind it; pc_file_abort() (or a failure) removes it. Messages
 * name the path as given.
 *
 * What stands at `path` already is respected: a symbolic link is followed to
 * its end, a file's permissions stay, one that may not be written is an error,
 * as is a folder; a FIFO or a device is written into, not replaced.
 *
 * A process that is killed leaves its temporary file. The first write of a
 * process into a folder removes those there whose process is gone and whose
 * lock (flock) nobody holds, on this machine or another.
 */
#ifndef PC_FORMATS_FILE_H
#define PC_FORMATS_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

/* The file's bytes in a block of pc_malloc, with a 0 after the last one (not
 * counted in *n). PC_ENOTFOUND, PC_EIO (also what is no regular file: open.h),
 * PC_EFORMAT when larger than `limit` (0 = none). */
int pc_file_read(char **out, size_t *n, const char *path, size_t limit);

typedef struct pc_file_writer {
  FILE *f;    /* what to write to */
  char *path; /* as given; owned */
  char *end;  /* where it leads: what is renamed to; owned */
  char *tmp;  /* owned; NULL when bytes go into a FIFO or a device */
} pc_file_writer;

int pc_file_begin(pc_file_writer *w, const char *path);
int pc_file_write(pc_file_writer *w, const void *data, size_t n); /* PC_EIO names the path */
int pc_file_commit(pc_file_writer *w);                            /* flush, fsync, rename; aborts itself on failure */
int pc_file_save(const char *path, const void *data, size_t n);   /* the three in one */
void pc_file_abort(pc_file_writer *w);                            /* harmless after commit or on a zeroed writer */

/* mkdir -p; PC_EIO names the folder that cannot be made. */
int pc_make_dirs(const char *dir);

/* XXH3-128 as 32 hexadecimal digits and a 0. */
#define PC_DIGEST_SIZE 33
void pc_digest(char out[PC_DIGEST_SIZE], const void *data, size_t n);

#endif
