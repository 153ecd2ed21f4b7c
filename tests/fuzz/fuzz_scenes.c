/* A folder of scenes whose cache, or whose table, is the input: odd first byte, the table; even, the cache. What opens
 * must give images, factors and a digest, and a cache may not change what they are. */
#include "fuzz.h"

#include <dirent.h>

#include "datasets/scenes.h"
#include "formats/file.h"
#include "images/png.h"

static char dir[96], cache[96], good[PC_DIGEST_SIZE];

static void write_file(const char *path, const void *data, size_t n) {
  FILE *f = fopen(path, "wb");
  pc_fuzz_expect(f && fwrite(data, 1, n, f) == n);
  fclose(f);
}

static void folder(void) {
  static const uint8_t pixels[2][4 * 4 * 3] = {{200, 10}, {5, 250, 3}};
  static const char table[] = "filename,animal,x\na.png,Cat,1\nb.png,Dog,2.5\n";
  char path[160];
  snprintf(dir, sizeof dir, "%s/scenes", pc_fuzz_folder());
  snprintf(cache, sizeof cache, "%s/cache", pc_fuzz_folder());
  mkdir(dir, 0700);
  mkdir(cache, 0700);
  for (int i = 0; i < 2; i++) {
    snprintf(path, sizeof path, "%s/%c.png", dir, 'a' + i);
    pc_fuzz_expect(pc_png_write_pixels(path, pixels[i], 4, 4, 3, NULL) == PC_OK);
  }
  snprintf(path, sizeof path, "%s/labels.csv", dir);
  write_file(path, table, sizeof table - 1);
}

static int open_scenes(pc_scenes **ds, const char *labels) {
  pc_scenes_opts o = PC_SCENES_OPTS_INIT;
  o.cache_dir = cache;
  o.labels = labels;
  return pc_scenes_open(ds, dir, &o);
}

static void look(pc_scenes *ds) {
  pc_tensor *x;
  pc_fuzz_expect(pc_scenes_images(&x, ds, NULL, PC_U8) == PC_OK);
  pc_fuzz_expect(x->size[0] == pc_scenes_count(ds));
  pc_tensor_release(x);
  for (int f = 0; f < pc_scenes_nfactors(ds); f++) {
    int64_t n = pc_scenes_factor_nvalues(ds, f);
    pc_fuzz_expect(n > 0 || !pc_scenes_count(ds));
    for (int64_t i = 0; i < pc_scenes_count(ds); i++)
      pc_fuzz_expect(pc_scenes_factor_index(ds, f)[i] >= 1 && pc_scenes_factor_index(ds, f)[i] <= n);
  }
}

/* Every file of the cache's folder becomes the input: whatever its name is. */
static void spoil(const uint8_t *data, size_t size) {
  DIR *d = opendir(cache);
  char path[400];
  for (struct dirent *e; d && (e = readdir(d));) {
    snprintf(path, sizeof path, "%s/%s", cache, e->d_name);
    if (e->d_name[0] != '.') write_file(path, data, size);
  }
  if (d) closedir(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  pc_scenes *ds;
  if (!*dir) {
    folder();
    pc_fuzz_expect(open_scenes(&ds, NULL) == PC_OK);
    snprintf(good, sizeof good, "%s", pc_scenes_digest(ds));
    pc_scenes_free(ds);
  }
  if (!size) return 0;
  if (data[0] & 1) {
    char path[160];
    snprintf(path, sizeof path, "%s/input.csv", dir);
    write_file(path, data + 1, size - 1);
    if (open_scenes(&ds, "input.csv") < 0) {
      pc_fuzz_expect(*pc_error_text());
      return 0;
    }
  } else {
    spoil(data + 1, size - 1);
    pc_fuzz_expect(open_scenes(&ds, NULL) == PC_OK); /* a spoilt cache is made again */
    pc_fuzz_expect(!strcmp(pc_scenes_digest(ds), good));
  }
  look(ds);
  pc_scenes_free(ds);
  return 0;
}
