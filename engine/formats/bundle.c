#include "formats/bundle.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/alloc.h"

/* Strings in order, found by open addressing: slot holds position + 1. */
typedef struct names {
  char **name;
  int64_t n, cap;
  int64_t *slot;
  int64_t nslot; /* a power of two, more than twice n; 0 at the start */
} names;

struct pc_bundle {
  names tensors, keys;
  void **tensor; /* (tensors.cap) of pc_tensor * */
  void **value;  /* (keys.cap) of char * */
};

static int64_t find(const names *t, const char *s) {
  if (!t->nslot) return -1;
  for (uint64_t h = XXH3_64bits(s, strlen(s));; h++) {
    int64_t at = t->slot[h & (uint64_t)(t->nslot - 1)];
    if (!at) return -1;
    if (!strcmp(t->name[at - 1], s)) return at - 1;
  }
}

static void enter(names *t, int64_t i) {
  uint64_t h = XXH3_64bits(t->name[i], strlen(t->name[i]));
  while (t->slot[h & (uint64_t)(t->nslot - 1)]) h++;
  t->slot[h & (uint64_t)(t->nslot - 1)] = i + 1;
}

/* Room for one more, also in the parallel array *side of pointers. */
static int grow(names *t, void ***side) {
  if (t->n < t->cap) return PC_OK;
  int64_t cap = t->cap ? 2 * t->cap : 16, nslot = 4 * cap;
  char **name = pc_realloc(t->name, (size_t)cap * sizeof *name);
  if (!name) return PC_ENOMEM;
  t->name = name;
  void **more = pc_realloc(*side, (size_t)cap * sizeof *more);
  if (!more) return PC_ENOMEM;
  *side = more;
  int64_t *slot = pc_calloc((size_t)nslot, sizeof *slot);
  if (!slot) return PC_ENOMEM;
  pc_free(t->slot);
  t->slot = slot;
  t->nslot = nslot;
  t->cap = cap;
  for (int64_t i = 0; i < t->n; i++) enter(t, i);
  return PC_OK;
}

int pc_bundle_new(pc_bundle **out) { return (*out = pc_calloc(1, sizeof **out)) ? PC_OK : PC_ENOMEM; }

void pc_bundle_free(pc_bundle *b) {
  if (!b) return;
  for (int64_t i = 0; i < b->tensors.n; i++) {
    pc_free(b->tensors.name[i]);
    pc_tensor_release(b->tensor[i]);
  }
  for (int64_t i = 0; i < b->keys.n; i++) {
    pc_free(b->keys.name[i]);
    pc_free(b->value[i]);
  }
  pc_free(b->tensors.name);
  pc_free(b->tensors.slot);
  pc_free(b->tensor);
  pc_free(b->keys.name);
  pc_free(b->keys.slot);
  pc_free(b->value);
  pc_free(b);
}

int pc_bundle_add(pc_bundle *b, const char *name, pc_tensor *t) {
  names *s = &b->tensors;
  if (find(s, name) >= 0) return pc_fail(PC_EARG, "two tensors are named '%s'", name);
  int rc = grow(s, &b->tensor);
  if (rc < 0) return rc;
  if (!(s->name[s->n] = pc_strdup(name))) return PC_ENOMEM;
  b->tensor[s->n] = pc_tensor_retain(t);
  enter(s, s->n++);
  return PC_OK;
}

int64_t pc_bundle_count(const pc_bundle *b) { return b->tensors.n; }
const char *pc_bundle_name(const pc_bundle *b, int64_t i) { return b->tensors.name[i]; }
pc_tensor *pc_bundle_tensor(const pc_bundle *b, int64_t i) { return b->tensor[i]; }

pc_tensor *pc_bundle_find(const pc_bundle *b, const char *name) {
  int64_t i = find(&b->tensors, name);
  return i < 0 ? NULL : b->tensor[i];
}

int pc_bundle_get(pc_tensor **out, const pc_bundle *b, const char *name) {
  char list[900];
  size_t n = 0;
  if ((*out = pc_tensor_retain(pc_bundle_find(b, name)))) return PC_OK;
  list[0] = '\0';
  for (int64_t i = 0; i < b->tensors.n && n < sizeof list; i++)
    n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", b->tensors.name[i]);
  return pc_fail(PC_ENOTFOUND, "no tensor '%s'; there are: %s", name, b->tensors.n ? list : "none");
}

/* ---- metadata ---- */

int pc_bundle_set(pc_bundle *b, const char *key, const char *value) {
  names *s = &b->keys;
  int64_t i = find(s, key);
  char *v = pc_strdup(value);
  if (!v) return PC_ENOMEM;
  if (i >= 0) {
    pc_free(b->value[i]);
    b->value[i] = v;
    return PC_OK;
  }
  if (grow(s, &b->value) < 0 || !(s->name[s->n] = pc_strdup(key))) {
    pc_free(v);
    return PC_ENOMEM;
  }
  b->value[s->n] = v;
  enter(s, s->n++);
  return PC_OK;
}

int pc_bundle_setf(pc_bundle *b, const char *key, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(NULL, 0, fmt, ap);
  va_end(ap);
  char *s = pc_malloc((size_t)n + 1);
  if (!s) return PC_ENOMEM;
  va_start(ap, fmt);
  vsnprintf(s, (size_t)n + 1, fmt, ap);
  va_end(ap);
  int rc = pc_bundle_set(b, key, s);
  pc_free(s);
  return rc;
}

int64_t pc_bundle_nmeta(const pc_bundle *b) { return b->keys.n; }
const char *pc_bundle_key(const pc_bundle *b, int64_t i) { return b->keys.name[i]; }
const char *pc_bundle_value(const pc_bundle *b, int64_t i) { return b->value[i]; }

const char *pc_bundle_meta(const pc_bundle *b, const char *key) {
  int64_t i = find(&b->keys, key);
  return i < 0 ? NULL : b->value[i];
}

/* u or f: the numbers of the one or the other kind. */
static int set_numbers(pc_bundle *b, const char *key, const uint64_t *u, const double *f, int n) {
  char *s = pc_malloc((size_t)n * 32 + 1);
  size_t len = 0;
  if (!s) return PC_ENOMEM;
  s[0] = '\0';
  for (int i = 0; i < n; i++)
    len += (size_t)(u ? snprintf(s + len, 32, "%s%llu", i ? " " : "", (unsigned long long)u[i])
                      : snprintf(s + len, 32, "%s%.17g", i ? " " : "", f[i]));
  int rc = pc_bundle_set(b, key, s);
  pc_free(s);
  return rc;
}

static int get_numbers(uint64_t *u, double *f, int n, const pc_bundle *b, const char *key) {
  const char *s = pc_bundle_meta(b, key), *p = s;
  if (!s) return pc_fail(PC_ENOTFOUND, "no entry '%s' in the metadata", key);
  for (int i = 0; i < n; i++) {
    char *end;
    errno = 0;
    while (*p == ' ') p++;
    if (u && *p == '-') goto bad;
    if (u)
      u[i] = strtoull(p, &end, 10);
    else
      f[i] = strtod(p, &end);
    if (end == p || (u && errno)) goto bad;
    p = end;
  }
  while (*p == ' ') p++;
  if (!*p) return PC_OK;
bad:
  return pc_fail(PC_EFORMAT, "metadata '%s' is '%.60s'; %d %s are needed", key, s, n, u ? "whole numbers" : "numbers");
}

int pc_bundle_set_u64(pc_bundle *b, const char *key, const uint64_t *v, int n) {
  return set_numbers(b, key, v, NULL, n);
}
int pc_bundle_get_u64(uint64_t *v, int n, const pc_bundle *b, const char *key) {
  return get_numbers(v, NULL, n, b, key);
}
int pc_bundle_set_f64(pc_bundle *b, const char *key, const double *v, int n) { return set_numbers(b, key, NULL, v, n); }
int pc_bundle_get_f64(double *v, int n, const pc_bundle *b, const char *key) { return get_numbers(NULL, v, n, b, key); }
