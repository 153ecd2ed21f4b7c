/* The pictures of a scenes folder: found, decoded in parallel, cached.
 *
 * Cache file: one header (4096 bytes), ok (nsel), images, masks, report; each
 * section starts at a multiple of 64. The header carries the key, the digest
 * of everything behind it and its own digest. */
#define XXH_STATIC_LINKING_ONLY
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/alloc.h"
#include "base/open.h"
#include "base/parallel.h"
#include "datasets/scenes_impl.h"
#include "images/png.h"
#include "images/resize.h"

#define DECODER_VERSION 2   /* raise when the same file would decode to other pixels, or the key changes */
#define BLOCK           128 /* pictures between two calls of progress */
#define PATH_MAX_LEN    4096
#define FRESH_SECONDS   3 /* file systems tell times by up to two seconds: a younger file may change unnoticed */

typedef struct header {
  char magic[8];
  int64_t nsel, height, width, masks;
  int64_t report_bytes, total_bytes;
  char key[PC_DIGEST_SIZE];
  char payload[PC_DIGEST_SIZE]; /* of all bytes behind the header */
  char self[PC_DIGEST_SIZE];    /* of the header with this field zeroed */
} header;

#define HEADER_BYTES 4096
static const char MAGIC[8] = {'P', 'C', 'S', 'C', 'E', 'N', 'E', '1'};

typedef struct loader {
  pc_scenes *ds;
  const pc_scenes_opts *opts;
  int world_col, character_col;  /* -1: none */
  uint8_t *layout, *mask_layout; /* (nsel): where each file was found */
  char **failure;                /* (nsel): why it is unreadable, or NULL */
  int64_t nfailed;
  char key[PC_DIGEST_SIZE];
  int64_t begin; /* decoding: first picture of the block */
  int out_of_memory;
} loader;

/* ---- finding ---- */

#define NLAYOUT 4

/* 0 when the layout does not apply or the name is too long. */
static int make_path(char *out, const loader *l, int64_t row, int col, int layout) {
  static const char *const sub[2] = {"images", "masks"};
  const pc_csv *csv = l->ds->csv;
  const char *file = pc_csv_cell(csv, row, col), *folder = NULL;
  if (layout == 1 && l->character_col >= 0) folder = pc_csv_cell(csv, row, l->character_col);
  if (layout == 2 && l->world_col >= 0) folder = pc_csv_cell(csv, row, l->world_col);
  if (layout == 3) folder = sub[col == l->ds->mask_col];
  if (layout > 0 && !folder) return 0;
  int n = folder ? snprintf(out, PATH_MAX_LEN, "%s/%s/%s", l->ds->dir, folder, file)
                 : snprintf(out, PATH_MAX_LEN, "%s/%s", l->ds->dir, file);
  return n > 0 && n < PATH_MAX_LEN;
}

/* The path relative to the folder: what messages show. */
static const char *relative(const loader *l, const char *path) {
  size_t n = strlen(l->ds->dir);
  return !strncmp(path, l->ds->dir, n) && path[n] == '/' ? path + n + 1 : path;
}

static void fail_row(loader *l, int64_t i, const char *text) {
  char *s = pc_strdup(text);
  if (s)
    l->failure[i] = s;
  else
    __atomic_store_n(&l->out_of_memory, 1, __ATOMIC_RELAXED);
}

/* Tries the layout of the row before first. */
static int find_file(loader *l, int64_t i, int col, uint8_t *layout, int *last, struct stat *st) {
  char path[PATH_MAX_LEN], text[PATH_MAX_LEN + 64];
  int64_t row = l->ds->sel[i];
  if (!*pc_csv_cell(l->ds->csv, row, col)) {
    snprintf(text, sizeof text, "line %lld: no %s", (long long)pc_csv_line(l->ds->csv, row),
             pc_csv_header(l->ds->csv, col));
    fail_row(l, i, text);
    return 0;
  }
  for (int t = -1; t < NLAYOUT; t++) {
    int k = t < 0 ? *last : t;
    if (!make_path(path, l, row, col, k) || stat(path, st) || !S_ISREG(st->st_mode)) continue;
    *layout = (uint8_t)k;
    *last = k;
    return 1;
  }
  snprintf(text, sizeof text, "%s: no such file", pc_csv_cell(l->ds->csv, row, col));
  fail_row(l, i, text);
  return 0;
}

/* What tells this file from another of its name. Size and times that programs set may stay the same; the time of the
 * last change of any kind (ctime) can't be set back. A file so fresh that it might change again within one tick of it
 * is read. */
static void file_facts(XXH3_state_t *h, const loader *l, int64_t i, int col, int layout, const struct stat *st) {
  char path[PATH_MAX_LEN], digest[PC_DIGEST_SIZE] = "", *data;
  int64_t facts[6] = {st->st_size,        st->st_mtim.tv_sec,  st->st_mtim.tv_nsec,
                      st->st_ctim.tv_sec, st->st_ctim.tv_nsec, layout};
  struct timespec now;
  size_t n;
  clock_gettime(CLOCK_REALTIME, &now);
  if (now.tv_sec - st->st_ctim.tv_sec < FRESH_SECONDS && make_path(path, l, l->ds->sel[i], col, layout) &&
      pc_file_read(&data, &n, path, 0) == PC_OK) {
    pc_digest(digest, data, n);
    pc_free(data);
  }
  XXH3_128bits_update(h, facts, sizeof facts);
  XXH3_128bits_update(h, digest, sizeof digest);
}

/* Stats every file; the key covers what was found and what was asked for: without height and width pictures of several
 * sizes are refused, which a cache of scaled ones must not hide. */
static int find_all(loader *l) {
  XXH3_state_t h;
  pc_scenes *ds = l->ds;
  struct stat st;
  int last[2] = {0, 0};
  XXH3_INITSTATE(&h);
  XXH3_128bits_reset(&h);
  int64_t fixed[6] = {DECODER_VERSION, l->opts->height.value, l->opts->width.value,
                      ds->name_col,    ds->mask_col,          ds->nsel};
  XXH3_128bits_update(&h, fixed, sizeof fixed);
  XXH3_128bits_update(&h, pc_csv_digest(ds->csv), PC_DIGEST_SIZE - 1);
  for (int64_t i = 0; i < ds->nsel; i++)
    for (int m = 0; m < (ds->mask_col >= 0 ? 2 : 1); m++) {
      int col = m ? ds->mask_col : ds->name_col;
      const char *name = pc_csv_cell(ds->csv, ds->sel[i], col);
      uint8_t *layout = m ? &l->mask_layout[i] : &l->layout[i];
      XXH3_128bits_update(&h, name, strlen(name) + 1);
      if (!l->failure[i] && find_file(l, i, col, layout, &last[m], &st))
        file_facts(&h, l, i, col, *layout, &st);
      else
        XXH3_128bits_update(&h, "none", 5);
    }
  XXH128_hash_t d = XXH3_128bits_digest(&h);
  snprintf(l->key, sizeof l->key, "%016llx%016llx", (unsigned long long)d.high64, (unsigned long long)d.low64);
  return l->out_of_memory ? pc_fail(PC_ENOMEM, "scenes: out of memory") : PC_OK;
}

/* ---- what is unreadable ---- */

/* "  file: reason" lines, at most 20 and about `room` bytes, then a count. */
static char *list_failures(const loader *l, size_t room) {
  char *s = pc_malloc(room + 128);
  size_t n = 0;
  int64_t shown = 0;
  if (!s) return NULL;
  s[0] = '\0';
  for (int64_t i = 0; i < l->ds->nsel && shown < 20; i++) {
    if (!l->failure[i]) continue;
    if (shown && n + strlen(l->failure[i]) + 4 > room) break;
    n += (size_t)snprintf(s + n, room - n, "\n  %s", l->failure[i]);
    if (n >= room) n = room - 1;
    shown++;
  }
  if (shown < l->nfailed) snprintf(s + n, 128, "\n  ... and %lld more", (long long)(l->nfailed - shown));
  return s;
}

static int count_failures(loader *l) {
  l->nfailed = 0;
  for (int64_t i = 0; i < l->ds->nsel; i++) l->nfailed += l->failure[i] != NULL;
  return l->nfailed > 0;
}

/* After a pass: an error, or a report and go on. */
static int judge(loader *l) {
  pc_scenes *ds = l->ds;
  if (!count_failures(l)) return PC_OK;
  int all = l->nfailed == ds->nsel;
  if (l->opts->on_error == PC_SCENES_SKIP && !all) {
    pc_free(ds->report);
    return (ds->report = list_failures(l, 20 * 400)) ? PC_OK : PC_ENOMEM;
  }
  char *list = list_failures(l, 1500);
  if (!list) return PC_ENOMEM;
  int rc = pc_fail(PC_EIO, "scenes %s: %lld of %lld pictures cannot be read%s:%s", ds->dir, (long long)l->nfailed,
                   (long long)ds->nsel, all ? "" : " (on_error = skip leaves them out)", list);
  pc_free(list);
  return rc;
}

/* ---- decoding ---- */

static int decode_one(loader *l, int64_t i) {
  pc_scenes *ds = l->ds;
  char path[PATH_MAX_LEN], text[PATH_MAX_LEN + 256];
  pc_image im = {0}, mask = {0};
  int rc;
  make_path(path, l, ds->sel[i], ds->name_col, l->layout[i]);
  if ((rc = pc_png_decode(&im, path, 3)) < 0) goto failed;
  if (!l->opts->height.given && !l->opts->width.given && (im.height != ds->height || im.width != ds->width)) {
    snprintf(text, sizeof text, "%s: %lld x %lld pixels, the first picture has %lld x %lld; give height and width",
             relative(l, path), (long long)im.height, (long long)im.width, (long long)ds->height, (long long)ds->width);
    rc = PC_EFORMAT;
    goto done;
  }
  rc = pc_resize_pixels_u8(ds->images + i * ds->height * ds->width * 3, ds->height, ds->width, im.data, im.height,
                           im.width, 3);
  if (rc < 0) goto failed;
  if (ds->mask_col >= 0) {
    make_path(path, l, ds->sel[i], ds->mask_col, l->mask_layout[i]);
    if ((rc = pc_png_decode(&mask, path, 0)) < 0) goto failed;
    if (mask.height != im.height || mask.width != im.width) {
      snprintf(text, sizeof text, "%s: the mask has %lld x %lld pixels, its picture %lld x %lld", relative(l, path),
               (long long)mask.height, (long long)mask.width, (long long)im.height, (long long)im.width);
      rc = PC_EFORMAT;
      goto done;
    }
    pc_resize_labels_u8(ds->masks + i * ds->height * ds->width, ds->height, ds->width, mask.data, mask.height,
                        mask.width);
  }
  ds->ok[i] = 1;
  goto done;
failed:
  snprintf(text, sizeof text, "%s", relative(l, pc_error_text()));
done:
  if (rc < 0) {
    fail_row(l, i, text);
    if (rc == PC_ENOMEM) __atomic_store_n(&l->out_of_memory, 1, __ATOMIC_RELAXED);
    memset(ds->images + i * ds->height * ds->width * 3, 0, (size_t)(ds->height * ds->width * 3));
    if (ds->masks) memset(ds->masks + i * ds->height * ds->width, 0, (size_t)(ds->height * ds->width));
  }
  pc_image_clear(&mask);
  pc_image_clear(&im);
  return rc;
}

static void decode_range(int64_t begin, int64_t end, void *ctx) {
  loader *l = ctx;
  for (int64_t i = l->begin + begin; i < l->begin + end; i++)
    if (!l->failure[i] && !l->out_of_memory) decode_one(l, i);
}

static int decode_all(loader *l) {
  int64_t n = l->ds->nsel;
  for (l->begin = 0; l->begin < n; l->begin += BLOCK) {
    int64_t m = n - l->begin < BLOCK ? n - l->begin : BLOCK;
    pc_stoppable_begin();
    pc_parallel_for(m, 4, decode_range, l);
    int rc = pc_stoppable_end(PC_OK);
    if (l->out_of_memory) return pc_fail(PC_ENOMEM, "scenes %s: out of memory while decoding", l->ds->dir);
    if (rc == PC_OK) rc = pc_check_interrupt();
    if (rc < 0) return pc_error_prefix(rc, "scenes %s", l->ds->dir);
    if (l->opts->progress && l->opts->progress(l->begin + m, n, l->opts->progress_ctx))
      return pc_fail(PC_EINTR, "scenes %s: stopped while decoding", l->ds->dir);
  }
  return PC_OK;
}

/* height, width: as asked for, or from the first readable picture. */
static int fix_size(loader *l) {
  pc_scenes *ds = l->ds;
  pc_image im = {0};
  char path[PATH_MAX_LEN];
  ds->height = l->opts->height.value;
  ds->width = l->opts->width.value;
  if (ds->height && ds->width) return PC_OK;
  for (int64_t i = 0; i < ds->nsel; i++) {
    if (l->failure[i]) continue;
    make_path(path, l, ds->sel[i], ds->name_col, l->layout[i]);
    if (pc_png_decode(&im, path, 3) < 0) continue;
    double h = (double)im.height, w = (double)im.width;
    if (!ds->height && !ds->width)
      ds->height = im.height, ds->width = im.width;
    else if (!ds->height)
      ds->height = (int64_t)((double)ds->width * h / w + 0.5);
    else
      ds->width = (int64_t)((double)ds->height * w / h + 0.5);
    if (ds->height < 1) ds->height = 1;
    if (ds->width < 1) ds->width = 1;
    pc_image_clear(&im);
    return PC_OK;
  }
  ds->height = ds->height ? ds->height : 1; /* nothing is readable: decoding will say so */
  ds->width = ds->width ? ds->width : 1;
  return PC_OK;
}

/* ---- the bytes: file layout, digests ---- */

static size_t align64(size_t n) { return (n + 63) & ~(size_t)63; }

/* Byte positions of the sections; returns 0 when the sizes overflow. */
static int layout_bytes(const pc_scenes *ds, size_t *images, size_t *masks, size_t *report) {
  size_t px, im, mk;
  if (__builtin_mul_overflow((size_t)ds->nsel, (size_t)(ds->height * ds->width), &px) ||
      __builtin_mul_overflow(px, (size_t)3, &im) || im > (size_t)1 << 62)
    return 0;
  mk = ds->mask_col >= 0 ? px : 0;
  *images = HEADER_BYTES + align64((size_t)ds->nsel);
  *masks = *images + align64(im);
  *report = *masks + align64(mk);
  return 1;
}

static void point_into(pc_scenes *ds, uint8_t *base) {
  size_t im = 0, mk = 0, rp = 0;
  layout_bytes(ds, &im, &mk, &rp);
  ds->ok = base + HEADER_BYTES;
  ds->images = base + im;
  ds->masks = ds->mask_col >= 0 ? base + mk : NULL;
}

/* What the pictures are, wherever they lie: table, selection, pixels. */
static void content_digest(pc_scenes *ds, const char *payload) {
  XXH3_state_t h;
  XXH3_INITSTATE(&h);
  XXH3_128bits_reset(&h);
  XXH3_128bits_update(&h, pc_csv_digest(ds->csv), PC_DIGEST_SIZE - 1);
  XXH3_128bits_update(&h, ds->sel, (size_t)ds->nsel * sizeof *ds->sel);
  int64_t size[2] = {ds->height, ds->width};
  XXH3_128bits_update(&h, size, sizeof size);
  XXH3_128bits_update(&h, payload, PC_DIGEST_SIZE - 1);
  XXH128_hash_t d = XXH3_128bits_digest(&h);
  snprintf(ds->digest, sizeof ds->digest, "%016llx%016llx", (unsigned long long)d.high64, (unsigned long long)d.low64);
}

static void header_digest(char out[PC_DIGEST_SIZE], const header *h) {
  header copy;
  memcpy(&copy, h, sizeof copy);
  memset(copy.self, 0, sizeof copy.self);
  pc_digest(out, &copy, sizeof copy);
}

/* ---- the cache file ---- */

void pc_scenes_cache_folder(char *out, size_t size, const char *asked) {
  const char *env;
  if (asked)
    snprintf(out, size, "%s", asked);
  else if ((env = getenv("PERCEPT_CACHE")) && *env)
    snprintf(out, size, "%s", env);
  else if ((env = getenv("XDG_CACHE_HOME")) && *env)
    snprintf(out, size, "%s/percept", env);
  else if ((env = getenv("HOME")) && *env)
    snprintf(out, size, "%s/.cache/percept", env);
  else
    out[0] = '\0';
}

/* <cache>/<digest of folder, table, selection and the size asked for>-<h>x<w>.scenes: data that
 * changed replaces its own old file. NULL: no cache (or no memory). */
static char *cache_name(const loader *l, char *why, size_t why_size) {
  const char *dir = l->opts->cache_dir;
  char buf[PATH_MAX_LEN], *path = NULL, *real = realpath(l->ds->dir, NULL), id[PC_DIGEST_SIZE];
  why[0] = '\0';
  pc_scenes_cache_folder(buf, sizeof buf, dir);
  if (!buf[0]) {
    if (!dir) snprintf(why, why_size, "no cache folder: $PERCEPT_CACHE and $HOME are not set");
  } else if (pc_make_dirs(buf) < 0) {
    snprintf(why, why_size, "no cache: %s", pc_error_text());
  } else {
    XXH3_state_t h;
    XXH3_INITSTATE(&h);
    XXH3_128bits_reset(&h);
    const char *d = real ? real : l->ds->dir;
    XXH3_128bits_update(&h, d, strlen(d) + 1);
    XXH3_128bits_update(&h, l->ds->sel, (size_t)l->ds->nsel * sizeof *l->ds->sel);
    int64_t asked[2] = {l->opts->height.value, l->opts->width.value};
    XXH3_128bits_update(&h, asked, sizeof asked);
    XXH128_hash_t v = XXH3_128bits_digest(&h);
    snprintf(id, sizeof id, "%016llx%016llx", (unsigned long long)v.high64, (unsigned long long)v.low64);
    size_t n = strlen(buf) + 96;
    if ((path = pc_malloc(n)))
      snprintf(path, n, "%s/%s-%lldx%lld%s.scenes", buf, id, (long long)l->ds->height, (long long)l->ds->width,
               l->ds->mask_col >= 0 ? "m" : "");
  }
  free(real);
  return path;
}

/* 1: mapped and sound; 0: not there, old, cut or damaged. Private mapping: a
 * stray write never reaches the file. */
static int cache_open(loader *l, const char *path) {
  pc_scenes *ds = l->ds;
  header h;
  char digest[PC_DIGEST_SIZE];
  size_t im = 0, mk = 0, rp = 0;
  struct stat st;
  void *map = MAP_FAILED;
  int good = 0, fd;
  if (pc_open_regular(&fd, NULL, path) < 0) return 0;
  if (!layout_bytes(ds, &im, &mk, &rp) || fstat(fd, &st) || st.st_size < HEADER_BYTES) goto done;
  if (read(fd, &h, sizeof h) != (ssize_t)sizeof h || memcmp(h.magic, MAGIC, sizeof MAGIC)) goto done;
  header_digest(digest, &h);
  if (memcmp(digest, h.self, sizeof digest) || memcmp(h.key, l->key, sizeof h.key)) goto done;
  if (h.nsel != ds->nsel || h.height != ds->height || h.width != ds->width || h.masks != (ds->mask_col >= 0) ||
      h.report_bytes < 0 || h.report_bytes > 1 << 20 || h.total_bytes != st.st_size ||
      (size_t)h.total_bytes != rp + (size_t)h.report_bytes)
    goto done;
  map = mmap(NULL, (size_t)h.total_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
  if (map == MAP_FAILED) goto done;
  pc_digest(digest, (char *)map + HEADER_BYTES, (size_t)h.total_bytes - HEADER_BYTES);
  if (memcmp(digest, h.payload, sizeof digest)) goto done;
  if (h.report_bytes) {
    pc_free(ds->report);
    if (!(ds->report = pc_malloc((size_t)h.report_bytes + 1))) goto done;
    memcpy(ds->report, (char *)map + rp, (size_t)h.report_bytes);
    ds->report[h.report_bytes] = '\0';
  }
  ds->map = map;
  ds->map_bytes = (size_t)h.total_bytes;
  point_into(ds, map);
  content_digest(ds, h.payload);
  good = 1;
done:
  if (!good && map != MAP_FAILED) munmap(map, (size_t)h.total_bytes);
  close(fd);
  return good;
}

/* Writes header and report behind the decoded bytes at `base`. */
static void seal(loader *l, uint8_t *base, size_t report_at, size_t total) {
  header h;
  memset(&h, 0, sizeof h); /* padding, too: it is written and digested */
  h.nsel = l->ds->nsel;
  h.height = l->ds->height;
  h.width = l->ds->width;
  h.masks = l->ds->mask_col >= 0;
  h.report_bytes = (int64_t)(total - report_at);
  h.total_bytes = (int64_t)total;
  memcpy(h.magic, MAGIC, sizeof MAGIC);
  memcpy(h.key, l->key, sizeof h.key);
  if (total > report_at) memcpy(base + report_at, l->ds->report, total - report_at);
  pc_digest(h.payload, base + HEADER_BYTES, total - HEADER_BYTES);
  header_digest(h.self, &h);
  memcpy(base, &h, sizeof h);
  content_digest(l->ds, h.payload);
}

#define REPORT_ROOM (20 * 400 + 128)

/* Decodes into a new file, shared mapping; the space is reserved first, so
 * that a full disk is an error here and no signal later. *built = 0 with PC_OK:
 * no file could be made (why says it), memory is the way. */
static int build_file(loader *l, const char *path, int *built, char *why, size_t why_size) {
  pc_scenes *ds = l->ds;
  pc_file_writer w;
  size_t im = 0, mk = 0, rp = 0;
  int e, rc;
  *built = 0;
  layout_bytes(ds, &im, &mk, &rp);
  size_t room = rp + REPORT_ROOM;
  if (pc_file_begin(&w, path) < 0) {
    snprintf(why, why_size, "no cache: %s", pc_error_text());
    return PC_OK;
  }
  if ((e = posix_fallocate(fileno(w.f), 0, (off_t)room))) {
    snprintf(why, why_size, "no cache: %s: no room for %.1f MiB: %s", path, (double)room / (1 << 20), strerror(e));
    pc_file_abort(&w);
    return PC_OK;
  }
  uint8_t *map = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(w.f), 0);
  if (map == MAP_FAILED) {
    snprintf(why, why_size, "no cache: %s: %s", path, strerror(errno));
    pc_file_abort(&w);
    return PC_OK;
  }
  point_into(ds, map);
  if ((rc = decode_all(l)) == PC_OK && (rc = judge(l)) == PC_OK) {
    size_t total = rp + (ds->report ? strlen(ds->report) : 0);
    seal(l, map, rp, total);
    *built = 1;
    if (ftruncate(fileno(w.f), (off_t)total)) *built = 0;
  }
  munmap(map, room);
  ds->ok = ds->images = ds->masks = NULL;
  if (rc == PC_OK && *built && pc_file_commit(&w) < 0) {
    snprintf(why, why_size, "no cache: %s", pc_error_text());
    *built = 0;
  }
  pc_file_abort(&w);
  return rc;
}

static int build_memory(loader *l) {
  pc_scenes *ds = l->ds;
  size_t im = 0, mk = 0, rp = 0;
  int rc;
  layout_bytes(ds, &im, &mk, &rp);
  if (!(ds->block = pc_calloc(1, rp + REPORT_ROOM)))
    return pc_error_prefix(PC_ENOMEM, "scenes %s: %.1f MiB for the decoded pictures", ds->dir, (double)rp / (1 << 20));
  point_into(ds, ds->block);
  if ((rc = decode_all(l)) < 0 || (rc = judge(l)) < 0) return rc;
  seal(l, ds->block, rp, rp + (ds->report ? strlen(ds->report) : 0));
  return PC_OK;
}

static int load(loader *l) {
  pc_scenes *ds = l->ds;
  char why[1024];
  size_t im = 0, mk = 0, rp = 0;
  int rc, built = 0;
  if ((rc = find_all(l)) < 0) return rc; /* a first time: for the layouts */
  if (l->opts->on_error == PC_SCENES_STOP && (rc = judge(l)) < 0) return rc;
  if ((rc = fix_size(l)) < 0) return rc;
  int64_t size[2] = {ds->height, ds->width}; /* the size joins the key */
  char both[2 * PC_DIGEST_SIZE + sizeof size];
  memcpy(both, l->key, PC_DIGEST_SIZE);
  memcpy(both + PC_DIGEST_SIZE, size, sizeof size);
  pc_digest(l->key, both, PC_DIGEST_SIZE + sizeof size);
  if (!layout_bytes(ds, &im, &mk, &rp))
    return pc_fail(PC_EARG, "scenes %s: %lld pictures of %lld x %lld are too large to address", ds->dir,
                   (long long)ds->nsel, (long long)ds->height, (long long)ds->width);
  ds->cache_path = cache_name(l, why, sizeof why);
  if (ds->cache_path && cache_open(l, ds->cache_path)) {
    if (ds->report && l->opts->on_error == PC_SCENES_STOP) {
      int64_t bad = 0;
      for (int64_t i = 0; i < ds->nsel; i++) bad += !ds->ok[i];
      return pc_fail(PC_EIO, "scenes %s: %lld of %lld pictures cannot be read (on_error = skip leaves them out):%s",
                     ds->dir, (long long)bad, (long long)ds->nsel, ds->report);
    }
    return PC_OK;
  }
  if (ds->cache_path) {
    if ((rc = build_file(l, ds->cache_path, &built, why, sizeof why)) < 0) return rc;
    if (built && cache_open(l, ds->cache_path)) return PC_OK;
    if (built) snprintf(why, sizeof why, "no cache: %s cannot be read back", ds->cache_path);
    pc_free(ds->cache_path);
    ds->cache_path = NULL;
  }
  if (why[0] && (rc = pc_scenes_add_note(ds, "%s; the pictures are kept in memory", why)) < 0) return rc;
  for (int64_t i = 0; i < ds->nsel; i++) { /* after a file that came to nothing: once more */
    pc_free(l->failure[i]);
    l->failure[i] = NULL;
  }
  char key[PC_DIGEST_SIZE];
  memcpy(key, l->key, sizeof key);
  if ((rc = find_all(l)) < 0) return rc;
  memcpy(l->key, key, sizeof key);
  return build_memory(l);
}

int pc_scenes_load(pc_scenes *ds, const pc_scenes_opts *opts) {
  size_t n = (size_t)ds->nsel;
  loader l = {.ds = ds,
              .opts = opts,
              .world_col = pc_csv_find(ds->csv, "world_name"),
              .character_col = pc_csv_find(ds->csv, "character_name")};
  l.layout = pc_calloc(n, 1);
  l.mask_layout = pc_calloc(n, 1);
  l.failure = pc_calloc(n, sizeof *l.failure);
  int rc = l.layout && l.mask_layout && l.failure ? load(&l) : PC_ENOMEM;
  for (size_t i = 0; l.failure && i < n; i++) pc_free(l.failure[i]);
  pc_free(l.failure);
  pc_free(l.mask_layout);
  pc_free(l.layout);
  return rc;
}
