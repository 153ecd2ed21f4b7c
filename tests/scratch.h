/* scratch.h: a temporary folder per test. */
#ifndef PC_TESTS_SCRATCH_H
#define PC_TESTS_SCRATCH_H

#include <stdio.h>

#include "check_main.h"

static char dir[256];

static inline void scratch_make(void) {
  snprintf(dir, sizeof dir, "%s/percept-test-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
  ck_assert_ptr_nonnull(mkdtemp(dir));
}

static inline void scratch_remove(void) {
  char cmd[700];
  snprintf(cmd, sizeof cmd, "chmod -R u+w '%s' && rm -rf '%s'", dir, dir);
  ck_assert_int_eq(system(cmd), 0);
}

/* A path in the folder; one of 8 rotating buffers. */
static inline const char *at(const char *name) {
  static char path[8][600];
  static int k;
  snprintf(path[k = (k + 1) % 8], 600, "%s/%s", dir, name);
  return path[k];
}

static inline void put_bytes(const char *name, const void *data, size_t n) {
  FILE *f = fopen(at(name), "wb");
  ck_assert_ptr_nonnull(f);
  ck_assert_uint_eq(fwrite(data, 1, n, f), n);
  fclose(f);
}

static inline void put(const char *name, const char *text) { put_bytes(name, text, strlen(text)); }

static inline int run_in_scratch(const char *name, void (*add)(TCase *)) {
  Suite *s = suite_create(name);
  TCase *c = tcase_create("all");
  tcase_set_timeout(c, 120);
  tcase_add_checked_fixture(c, scratch_make, scratch_remove);
  add(c);
  suite_add_tcase(s, c);
  return run_suite(s);
}

#endif
