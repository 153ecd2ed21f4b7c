/* replay.c: runs a target over the files named on the command line (folders: the files in them): what `make test` does
 * with the seeds and with every input that once was a finding. Prints "N passed, 0 failed"; a finding ends it. */
#include "fuzz.h"

#include <dirent.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size) { return size; }

static int runs;

static void run_file(const char *path) {
  FILE *f = fopen(path, "rb");
  if (!f) {
    fprintf(stderr, "cannot open %s\n", path);
    exit(2);
  }
  fseek(f, 0, SEEK_END);
  size_t n = (size_t)ftell(f);
  rewind(f);
  uint8_t *data = malloc(n ? n : 1); /* exactly as large, so that tools see a read beyond */
  if (!data || fread(data, 1, n, f) != n) exit(2);
  fclose(f);
  LLVMFuzzerTestOneInput(data, n);
  free(data);
  runs++;
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    DIR *d = opendir(argv[i]);
    if (!d) {
      run_file(argv[i]);
      continue;
    }
    for (struct dirent *e; (e = readdir(d));) {
      char path[1024];
      if (e->d_name[0] == '.') continue;
      snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
      run_file(path);
    }
    closedir(d);
  }
  printf("%d passed, 0 failed\n", runs);
  return 0;
}
