#include "db/digest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/open.h"

static void hex(char out[PC_DIGEST_SIZE], XXH128_hash_t h) {
  XXH128_canonical_t c;
  XXH128_canonicalFromHash(&c, h);
  for (size_t i = 0; i < sizeof c.digest; i++) snprintf(out + 2 * i, 3, "%02x", c.digest[i]);
}

void pc_digest_bytes(char out[PC_DIGEST_SIZE], const void *data, size_t size) { hex(out, XXH3_128bits(data, size)); }

struct pc_digest {
  XXH3_state_t *state;
};

pc_digest *pc_digest_new(void) {
  pc_digest *d = pc_malloc(sizeof *d);
  if (!d) return NULL;
  d->state = XXH3_createState();
  if (!d->state) {
    pc_free(d);
    pc_fail(PC_ENOMEM, "digest: out of memory");
    return NULL;
  }
  XXH3_128bits_reset(d->state);
  return d;
}

void pc_digest_update(pc_digest *d, const void *data, size_t size) { XXH3_128bits_update(d->state, data, size); }

void pc_digest_final(pc_digest *d, char out[PC_DIGEST_SIZE]) {
  hex(out, XXH3_128bits_digest(d->state));
  XXH3_freeState(d->state);
  pc_free(d);
}

int pc_digest_file(char out[PC_DIGEST_SIZE], int64_t *bytes, const char *path) {
  int code = PC_OK;
  int64_t total = 0;
  size_t n;
  char *buf = NULL;
  pc_digest *d = NULL;
  enum { CHUNK = 1 << 20 };
  int fd, rc = pc_open_regular(&fd, NULL, path);
  if (rc < 0) return pc_error_prefix(rc, "digest");
  FILE *f = fdopen(fd, "rb");
  if (!f) {
    close(fd);
    return pc_fail(PC_ENOMEM, "digest: %s: %s", path, strerror(errno));
  }
  buf = pc_malloc(CHUNK);
  d = buf ? pc_digest_new() : NULL;
  if (!d) {
    code = PC_ENOMEM;
    goto done;
  }
  while ((n = fread(buf, 1, CHUNK, f)) > 0) {
    pc_digest_update(d, buf, n);
    total += (int64_t)n;
  }
  if (ferror(f)) code = pc_fail(PC_EIO, "digest: %s: %s", path, strerror(errno));
  if (bytes) *bytes = total;
done:
  if (d) pc_digest_final(d, out);
  pc_free(buf);
  fclose(f);
  return code;
}
