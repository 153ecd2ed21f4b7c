/* scratch.h: a temporary folder per test, and checks of error codes and sentences. */
#ifndef PC_TESTS_SCRATCH_H
#define PC_TESTS_SCRATCH_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define ok(e) ck_assert_msg((e) == PC_OK, "%s", pc_error_text())
#define fails(code, e, part)                                                                 \
  do {                                                                                       \
    pc_error_clear();                                                                        \
    ck_assert_int_eq((e), code);                                                             \
    ck_assert_msg(strstr(pc_error_text(), part), "'%s' not in '%s'", part, pc_error_text()); \
  } while (0)

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

static inline int run_suite(const char *name, void (*add)(TCase *)) {
  Suite *s = suite_create(name);
  TCase *c = tcase_create("all");
  tcase_set_timeout(c, 120);
  tcase_add_checked_fixture(c, scratch_make, scratch_remove);
  add(c);
  suite_add_tcase(s, c);
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_NORMAL);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed ? 1 : 0;
}

#endif
