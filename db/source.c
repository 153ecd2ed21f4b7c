/* source.c: texts that made a run, each distinct one stored once, compressed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/open.h"
#include "db/digest.h"
#include "db/internal.h"

int pc_read_file(char **out, size_t *size, const char *path, const char *op) {
  size_t n = 0, cap = 65536;
  char *text = NULL;
  int fd, code = pc_open_regular(&fd, NULL, path);
  *out = NULL;
  if (code < 0) return pc_error_prefix(code, "%s", op);
  FILE *f = fdopen(fd, "rb");
  if (!f) {
    close(fd);
    return pc_fail(PC_ENOMEM, "%s: %s: %s", op, path, strerror(errno));
  }
  text = pc_malloc(cap);
  while (text) {
    n += fread(text + n, 1, cap - n - 1, f);
    if (n + 1 < cap) break;
    char *more = pc_realloc(text, cap * 2);
    if (!more) {
      pc_free(text);
      text = NULL;
      break;
    }
    text = more;
    cap *= 2;
  }
  if (!text)
    code = PC_ENOMEM;
  else if (ferror(f))
    code = pc_fail(PC_EIO, "%s: %s: %s", op, path, strerror(errno));
  fclose(f);
  if (code != PC_OK) {
    pc_free(text);
    return code;
  }
  text[n] = '\0';
  *out = text;
  *size = n;
  return PC_OK;
}

static int insert(pc_db *db, const char *digest, const void *body, size_t packed, size_t size, const char *op) {
  sqlite3_stmt *st = NULL;
  int rc = sqlite3_prepare_v2(db->handle, "insert or ignore into source(digest, bytes, body) values (?1, ?2, ?3)", -1,
                              &st, NULL);
  if (rc == SQLITE_OK) {
    sqlite3_bind_text(st, 1, digest, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, (int64_t)size);
    sqlite3_bind_blob64(st, 3, body, packed, SQLITE_STATIC);
    rc = sqlite3_step(st);
  }
  if (rc == SQLITE_DONE) rc = SQLITE_OK;
  int code = rc == SQLITE_OK ? PC_OK : pc_db_fail(db, rc, op);
  sqlite3_finalize(st);
  return code;
}

int pc_source_add(pc_db *db, int64_t run_id, const char *kind, const char *path, const char *text, size_t size,
                  const char *op) {
  char digest[PC_DIGEST_SIZE];
  int64_t have;
  int code;
  pc_digest_bytes(digest, text, size);
  code = pc_db_run_sql(db, &have, op, "select 1 from source where digest = ?1", "s", digest);
  if (code == PC_OK && !have) {
    size_t cap = ZSTD_compressBound(size), packed;
    void *body = pc_malloc(cap);
    if (!body) return PC_ENOMEM;
    packed = ZSTD_compress(body, cap, text, size, 6);
    code = ZSTD_isError(packed) ? pc_fail(PC_EIO, "%s: %s: %s", op, path, ZSTD_getErrorName(packed))
                                : insert(db, digest, body, packed, size, op);
    pc_free(body);
  }
  if (code == PC_OK)
    code = pc_db_run_sql(db, NULL, op,
                         "insert into run_source(run_id, kind, path, digest) values (?1, ?2, ?3, ?4) "
                         "on conflict do update set digest = excluded.digest",
                         "isss", run_id, kind, path, digest);
  return code;
}

int pc_run_source(pc_run *run, const char *kind, const char *path, const char *text, size_t size) {
  static const char op[] = "run:source";
  pc_db *db = run->db;
  char *own = NULL;
  int code;
  if (!kind) kind = "other";
  if (strcmp(kind, "script") && strcmp(kind, "module") && strcmp(kind, "diff") && strcmp(kind, "other"))
    return pc_fail(PC_EARG, "%s: %s: kind \"%s\" is none of script, module, diff, other", op, path, kind);
  if (!text) {
    if ((code = pc_read_file(&own, &size, path, op))) return code;
    text = own;
  }
  code = pc_db_lock(db, op);
  if (code == PC_OK) {
    code = pc_db_begin(db, PC_BUSY_WAIT, op);
    if (code == PC_OK) code = pc_db_end(db, pc_source_add(db, run->id, kind, path, text, size, op), op);
    pc_db_unlock(db);
  }
  pc_free(own);
  return code;
}
