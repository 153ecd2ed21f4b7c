/* fuzz.h: what the fuzz targets share.
 *
 * A target is fuzz_<name>.c with one function, LLVMFuzzerTestOneInput: bytes in, 0 out, whatever they
 * are. libFuzzer drives it (make fuzz); replay.c runs it over files that are kept (make test). Or it is
 * <name>.lua, which returns a function of one string: fuzz_script.c calls it in a state with percept.
 * What must not happen is a crash, a sanitizer's report, a leak, more than 10 s or 2 GiB for one input,
 * and, where a target asserts something besides, pc_fuzz_expect() failing.
 */
#ifndef PC_TESTS_FUZZ_H
#define PC_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* libFuzzer's own mutation, for those who repair digests after it; absent in replay builds. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

#define pc_fuzz_expect(condition)                                               \
  do {                                                                          \
    if (!(condition)) {                                                         \
      fprintf(stderr, "%s:%d: expected: %s\n", __FILE__, __LINE__, #condition); \
      abort();                                                                  \
    }                                                                           \
  } while (0)

/* A folder of this process in memory (or /tmp); made once. */
static inline const char *pc_fuzz_folder(void) {
  static char dir[64];
  if (!*dir) {
    const char *top = getenv("FUZZ_SCRATCH"); /* the driver's, who removes it */
    snprintf(dir, sizeof dir, "%.40s/percept-%d",
             top                        ? top
             : access("/dev/shm", W_OK) ? "/tmp"
                                        : "/dev/shm",
             (int)getpid());
    mkdir(dir, 0700);
  }
  return dir;
}

/* Writes the input under that folder; the path is valid until the next call. */
static inline const char *pc_fuzz_file(const char *name, const uint8_t *data, size_t size) {
  static char path[128];
  snprintf(path, sizeof path, "%s/%s", pc_fuzz_folder(), name);
  FILE *f = fopen(path, "wb");
  pc_fuzz_expect(f != NULL);
  pc_fuzz_expect(fwrite(data, 1, size, f) == size);
  fclose(f);
  return path;
}

#endif
