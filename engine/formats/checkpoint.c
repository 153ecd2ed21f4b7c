#define XXH_STATIC_LINKING_ONLY
#include "formats/checkpoint.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/alloc.h"
#include "formats/file.h"
#include "formats/safetensors.h"

#define FORMAT_KEY "percept.format"
#define DIGEST_KEY "percept.digest"
#define FORMAT     "checkpoint 1"

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Over names and keys in sorted order: the file has an order of its own. */
static int digest(char out[PC_DIGEST_SIZE], const pc_bundle *b) {
  int64_t n = pc_bundle_count(b), m = pc_bundle_nmeta(b);
  const char **s = pc_malloc((size_t)(n > m ? n : m) * sizeof *s);
  XXH3_state_t h;
  int rc = PC_OK;
  if (!s) return PC_ENOMEM;
  XXH3_INITSTATE(&h);
  XXH3_128bits_reset(&h);
  for (int64_t i = 0; i < n; i++) s[i] = pc_bundle_name(b, i);
  qsort(s, (size_t)n, sizeof *s, by_text);
  for (int64_t i = 0; i < n && rc == PC_OK; i++) {
    pc_tensor *t = pc_bundle_find(b, s[i]), *flat;
    int64_t facts[2] = {t->dtype, t->ndim};
    XXH3_128bits_update(&h, s[i], strlen(s[i]) + 1);
    XXH3_128bits_update(&h, facts, sizeof facts);
    XXH3_128bits_update(&h, t->size, t->ndim * sizeof *t->size);
    if ((rc = pc_contiguous(&flat, t)) < 0) break;
    XXH3_128bits_update(&h, pc_data(flat), (size_t)pc_numel(flat) * pc_dtype_size((pc_dtype)flat->dtype));
    pc_tensor_release(flat);
  }
  for (int64_t i = 0; i < m; i++) s[i] = pc_bundle_key(b, i);
  qsort(s, (size_t)m, sizeof *s, by_text);
  for (int64_t i = 0; i < m; i++) {
    const char *v = pc_bundle_meta(b, s[i]);
    if (!strcmp(s[i], DIGEST_KEY)) continue;
    XXH3_128bits_update(&h, s[i], strlen(s[i]) + 1);
    XXH3_128bits_update(&h, v, strlen(v) + 1);
  }
  XXH128_hash_t d = XXH3_128bits_digest(&h);
  snprintf(out, PC_DIGEST_SIZE, "%016llx%016llx", (unsigned long long)d.high64, (unsigned long long)d.low64);
  pc_free(s);
  return rc;
}

int pc_checkpoint_write(const char *path, pc_bundle *b) {
  char d[PC_DIGEST_SIZE];
  int rc = pc_bundle_set(b, FORMAT_KEY, FORMAT);
  if (rc == PC_OK) rc = digest(d, b);
  if (rc == PC_OK) rc = pc_bundle_set(b, DIGEST_KEY, d);
  if (rc == PC_OK) rc = pc_safetensors_write(path, b);
  return rc < 0 ? pc_error_prefix(rc, "checkpoint") : rc;
}

int pc_checkpoint_read(pc_bundle **out, const char *path) {
  char d[PC_DIGEST_SIZE];
  int rc = pc_safetensors_read(out, path);
  if (rc < 0) return pc_error_prefix(rc, "checkpoint");
  const char *format = pc_bundle_meta(*out, FORMAT_KEY), *stored = pc_bundle_meta(*out, DIGEST_KEY);
  if (!format || !stored)
    rc = pc_fail(PC_EFORMAT, "checkpoint: %s: a safetensors file, but no checkpoint of percept", path);
  else if (strcmp(format, FORMAT))
    rc = pc_fail(PC_EFORMAT, "checkpoint: %s: format '%.40s'; '%s' can be read", path, format, FORMAT);
  else if ((rc = digest(d, *out)) == PC_OK && strcmp(d, stored))
    rc = pc_fail(PC_EFORMAT, "checkpoint: %s: the content does not fit its digest: the file is damaged", path);
  if (rc < 0) {
    pc_bundle_free(*out);
    *out = NULL;
  }
  return rc;
}

/* ---- restore ---- */

typedef struct complaints {
  char text[1500];
  size_t len;
  int64_t n;
} complaints;

static void complain(complaints *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void complain(complaints *c, const char *fmt, ...) {
  va_list ap;
  char line[300];
  va_start(ap, fmt);
  int n = vsnprintf(line, sizeof line, fmt, ap);
  va_end(ap);
  if (n > (int)sizeof line - 1) n = (int)sizeof line - 1;
  if (c->n++ < 8 && c->len + (size_t)n + 4 < sizeof c->text)
    c->len += (size_t)snprintf(c->text + c->len, sizeof c->text - c->len, "\n  %s", line);
}

static char *full_name(const char *prefix, const char *name) {
  size_t n = (prefix ? strlen(prefix) : 0) + strlen(name) + 1;
  char *s = pc_malloc(n);
  if (s) snprintf(s, n, "%s%s", prefix ? prefix : "", name);
  return s;
}

static void check_one(complaints *c, const char *name, const pc_tensor *have, const pc_tensor *want) {
  if (!have)
    complain(c, "'%.120s' is not in the checkpoint", name);
  else if (!pc_same_shape(have, want))
    complain(c, "'%.120s' has shape %s in the checkpoint, %s here", name, pc_shape_str(have), pc_shape_str(want));
  else if (have->dtype != want->dtype)
    complain(c, "'%.120s' is %s in the checkpoint, %s here", name, pc_dtype_name((pc_dtype)have->dtype),
             pc_dtype_name((pc_dtype)want->dtype));
}

/* Names of b with the prefix that nobody asked for. `asked` is sorted. */
static void check_extra(complaints *c, const pc_bundle *b, const char *prefix, char **asked, int64_t n) {
  size_t len = prefix ? strlen(prefix) : 0;
  for (int64_t i = 0; i < pc_bundle_count(b); i++) {
    const char *name = pc_bundle_name(b, i);
    if (len && strncmp(name, prefix, len)) continue;
    if (!bsearch(&name, asked, (size_t)n, sizeof *asked, by_text))
      complain(c, "'%.120s' is in the checkpoint, but not here", name);
  }
}

int pc_checkpoint_restore(const pc_bundle *b, const char *prefix, const char *const *name, pc_tensor *const *dst,
                          int64_t n, int partial) {
  complaints c = {.n = 0};
  int rc = PC_OK;
  char **full = pc_calloc((size_t)n + 1, sizeof *full), **sorted = pc_calloc((size_t)n + 1, sizeof *sorted);
  if (!full || !sorted) rc = PC_ENOMEM;
  for (int64_t i = 0; i < n && rc == PC_OK; i++) {
    if (!(full[i] = sorted[i] = full_name(prefix, name[i])))
      rc = PC_ENOMEM;
    else
      check_one(&c, full[i], pc_bundle_find(b, full[i]), dst[i]);
  }
  if (rc == PC_OK && !partial) {
    qsort(sorted, (size_t)n, sizeof *sorted, by_text);
    check_extra(&c, b, prefix, sorted, n);
  }
  if (rc == PC_OK && c.n)
    rc = pc_fail(PC_EARG, "checkpoint: it does not fit the model:%s%s", c.text, c.n > 8 ? "\n  ... and more" : "");
  for (int64_t i = 0; i < n && rc == PC_OK; i++) rc = pc_copy_into(dst[i], pc_bundle_find(b, full[i]));
  for (int64_t i = 0; full && i < n; i++) pc_free(full[i]);
  pc_free(sorted);
  pc_free(full);
  return rc;
}

int pc_checkpoint_put_rng(pc_bundle *b, const char *key, const pc_rng *g) {
  return pc_bundle_set_u64(b, key, (uint64_t[]){g->seed, g->counter}, 2);
}

int pc_checkpoint_get_rng(pc_rng *g, const pc_bundle *b, const char *key) {
  uint64_t v[2];
  int rc = pc_bundle_get_u64(v, 2, b, key);
  if (rc == PC_OK) *g = (pc_rng){v[0], v[1]};
  return rc;
}
