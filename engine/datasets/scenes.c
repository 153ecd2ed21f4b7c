#include "datasets/scenes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "datasets/scenes_impl.h"

int pc_scenes_add_note(pc_scenes *ds, const char *fmt, ...) {
  va_list ap;
  size_t have = ds->note ? strlen(ds->note) : 0;
  va_start(ap, fmt);
  int need = vsnprintf(NULL, 0, fmt, ap);
  va_end(ap);
  char *s = pc_realloc(ds->note, have + (size_t)need + 2);
  if (!s) return PC_ENOMEM;
  ds->note = s;
  if (have) s[have++] = '\n';
  va_start(ap, fmt);
  vsnprintf(s + have, (size_t)need + 1, fmt, ap);
  va_end(ap);
  return PC_OK;
}

int pc_scenes_find_table(char *path, size_t size, const char *dir, const char *labels) {
  static const char *const known[] = {"labels.csv", "labels_pug_animal.csv", "PUG_SPARE.csv"};
  struct stat st;
  if (stat(dir, &st)) return pc_fail(PC_ENOTFOUND, "scenes: no folder %s", dir);
  if (!S_ISDIR(st.st_mode)) return pc_fail(PC_EARG, "scenes: %s is a file; give the folder that holds labels.csv", dir);
  snprintf(path, size, "%s/%s", dir, labels ? labels : known[0]);
  for (size_t i = 1; !labels && i < sizeof known / sizeof *known && stat(path, &st); i++)
    snprintf(path, size, "%s/%s", dir, known[i]);
  if (!labels && stat(path, &st))
    return pc_fail(PC_ENOTFOUND, "scenes: %s holds none of %s, %s, %s; name the table with labels", dir, known[0],
                   known[1], known[2]);
  return PC_OK;
}

static int read_table(pc_scenes *ds, const pc_scenes_opts *opts) {
  char path[4096];
  int rc = pc_scenes_find_table(path, sizeof path, ds->dir, opts->labels);
  if (rc < 0) return rc;
  if ((rc = pc_csv_read(&ds->csv, path)) < 0) return pc_error_prefix(rc, "scenes");
  if ((rc = pc_csv_column(&ds->name_col, ds->csv, "filename")) < 0) return pc_error_prefix(rc, "scenes");
  ds->mask_col = opts->masks ? pc_csv_find(ds->csv, "maskname") : -1;
  if (pc_csv_rows(ds->csv) == 0) return pc_fail(PC_EFORMAT, "scenes: %s: a header and no rows", path);
  return pc_licence_of(&ds->licence, ds->dir, strrchr(path, '/') + 1, ds->csv);
}

int pc_scenes_folder_licence(pc_licence *out, const char *dir) {
  char path[4096];
  pc_csv *csv;
  *out = (pc_licence){0};
  int rc = pc_scenes_find_table(path, sizeof path, dir, NULL);
  if (rc < 0) return rc;
  if ((rc = pc_csv_read(&csv, path)) < 0) return pc_error_prefix(rc, "scenes");
  rc = pc_licence_of(out, dir, strrchr(path, '/') + 1, csv);
  pc_csv_free(csv);
  return rc;
}

int pc_scenes_first_use(const pc_scenes *ds, const char *cache_dir) {
  char cache[4096];
  pc_scenes_cache_folder(cache, sizeof cache, cache_dir && *cache_dir ? cache_dir : NULL);
  return pc_licence_first_use(&ds->licence, cache);
}

/* Numbers the readable pictures. */
static int number(pc_scenes *ds) {
  if (!(ds->slot = pc_malloc((size_t)ds->nsel * sizeof *ds->slot))) return PC_ENOMEM;
  for (int64_t i = 0; i < ds->nsel; i++)
    if (ds->ok[i]) ds->slot[ds->n++] = i;
  if (ds->n == 0) return pc_fail(PC_EIO, "scenes %s: no picture can be read", ds->dir);
  if (!ds->report) return PC_OK;
  return pc_scenes_add_note(ds, "%lld of %lld pictures cannot be read and are left out:%s",
                            (long long)(ds->nsel - ds->n), (long long)ds->nsel, ds->report);
}

PC_OPTIONS_TABLE(pc_scenes_options, "scenes", pc_scenes_opts, PC_SCENES_OPTIONS);

int pc_scenes_open(pc_scenes **out, const char *dir, const pc_scenes_opts *opts) {
  static const pc_scenes_opts defaults = PC_SCENES_OPTS_INIT;
  pc_scenes *ds;
  int rc;
  *out = NULL;
  if (!opts) opts = &defaults;
  if ((rc = pc_options_check(&pc_scenes_options, "scenes", opts)) < 0) return rc;
  if (!(ds = pc_calloc(1, sizeof *ds))) return PC_ENOMEM;
  ds->refs = 1;
  ds->mask_col = -1;
  size_t len = strlen(dir);
  while (len > 1 && dir[len - 1] == '/') len--;
  rc = (ds->dir = pc_strdup(dir)) ? PC_OK : PC_ENOMEM;
  if (rc == PC_OK) ds->dir[len] = '\0';
  if (rc == PC_OK) rc = read_table(ds, opts);
  if (rc == PC_OK) rc = pc_scenes_select(ds, opts);
  if (rc == PC_OK) rc = pc_scenes_load(ds, opts);
  if (rc == PC_OK) rc = number(ds);
  if (rc == PC_OK) rc = pc_scenes_columns(ds, opts);
  if (rc < 0)
    pc_scenes_free(ds);
  else
    *out = ds;
  return rc;
}

pc_scenes *pc_scenes_retain(pc_scenes *ds) {
  ds->refs++;
  return ds;
}

void pc_scenes_free(pc_scenes *ds) {
  if (!ds || --ds->refs) return;
  for (int i = 0; i < ds->ncolumn; i++) {
    pc_free(ds->column[i].number);
    pc_free(ds->column[i].value);
    pc_free(ds->column[i].index);
    pc_free(ds->column[i].own);
  }
  if (ds->map) munmap(ds->map, ds->map_bytes);
  if (ds->draw) ds->draw_free(ds->draw_ctx);
  pc_free(ds->block);
  pc_free(ds->column);
  pc_free(ds->note);
  pc_licence_clear(&ds->licence);
  pc_free(ds->report);
  pc_free(ds->cache_path);
  pc_free(ds->slot);
  pc_free(ds->sel);
  pc_csv_free(ds->csv);
  pc_free(ds->dir);
  pc_free(ds);
}

int64_t pc_scenes_count(const pc_scenes *ds) { return ds->n; }
int64_t pc_scenes_height(const pc_scenes *ds) { return ds->height; }
int64_t pc_scenes_width(const pc_scenes *ds) { return ds->width; }
int pc_scenes_has_masks(const pc_scenes *ds) { return ds->masks || ds->draw; }
const char *pc_scenes_dir(const pc_scenes *ds) { return ds->dir; }
const char *pc_scenes_digest(const pc_scenes *ds) { return ds->digest; }
const char *pc_scenes_note(const pc_scenes *ds) { return ds->note ? ds->note : ""; }
const pc_licence *pc_scenes_licence(const pc_scenes *ds) { return &ds->licence; }
const char *pc_scenes_cache_path(const pc_scenes *ds) { return ds->map ? ds->cache_path : ""; }
const char *pc_scenes_filename(const pc_scenes *ds, int64_t i) {
  return pc_csv_cell(ds->csv, ds->sel[ds->slot[i]], ds->name_col);
}

/* ---- batches ---- */

/* The 0-based numbers of the images at an index; NULL: all. */
static int resolve(int64_t **list, int64_t *n, const pc_scenes *ds, const pc_tensor *index) {
  pc_tensor *at;
  *list = NULL;
  int rc = pc_dataset_index(&at, "scenes", ds->n, index);
  if (rc < 0) return rc;
  *n = at ? pc_numel(at) : ds->n;
  *list = pc_malloc((size_t)*n * sizeof **list);
  for (int64_t i = 0; *list && i < *n; i++) (*list)[i] = at ? pc_i64(at)[i] - PC_INDEX_BASE : i;
  pc_tensor_release(at);
  return *list ? PC_OK : PC_ENOMEM;
}

typedef struct gather {
  const pc_scenes *ds;
  const int64_t *list;
  const uint8_t *from;
  size_t bytes; /* of one picture */
  uint8_t *to_u8;
  float *to_f32;
  const float *scale; /* 256 values: v/255 */
  int masks, failed;
} gather;

/* The bytes of image i: where they lie, or drawn into `into`. NULL: no memory. */
static const uint8_t *pixels_of(const gather *g, int64_t i, uint8_t *into) {
  const pc_scenes *ds = g->ds;
  if (!ds->draw) return g->from + (size_t)ds->slot[i] * g->bytes;
  int rc = ds->draw(ds->draw_ctx, ds->slot[i], g->masks ? NULL : into, g->masks ? into : NULL);
  return rc < 0 ? NULL : into;
}

static void copy_range(int64_t begin, int64_t end, void *ctx) {
  gather *g = ctx;
  uint8_t *drawn = g->ds->draw ? pc_malloc(g->bytes) : NULL;
  for (int64_t i = begin; i < end; i++) {
    const uint8_t *p = g->ds->draw && !drawn ? NULL : pixels_of(g, g->list[i], drawn);
    if (!p) {
      __atomic_store_n(&g->failed, 1, __ATOMIC_RELAXED);
      break;
    }
    if (g->to_u8) {
      memcpy(g->to_u8 + (size_t)i * g->bytes, p, g->bytes);
    } else {
      float *q = g->to_f32 + (size_t)i * g->bytes;
      for (size_t k = 0; k < g->bytes; k++) q[k] = g->scale[p[k]];
    }
  }
  pc_free(drawn);
}

static int batch(pc_tensor **out, const pc_scenes *ds, const pc_tensor *index, pc_dtype dtype, int masks) {
  int64_t *list, n;
  float scale[256];
  *out = NULL;
  int rc = resolve(&list, &n, ds, index);
  if (rc < 0) return rc;
  int64_t size[4] = {n, ds->height, ds->width, 3};
  if ((rc = pc_tensor_empty(out, dtype, masks ? 3 : 4, size)) == PC_OK) {
    for (int i = 0; i < 256; i++) scale[i] = (float)i / 255.0f;
    gather g = {.ds = ds,
                .list = list,
                .from = masks ? ds->masks : ds->images,
                .bytes = (size_t)(ds->height * ds->width * (masks ? 1 : 3)),
                .scale = scale,
                .masks = masks};
    if (dtype == PC_U8)
      g.to_u8 = pc_u8(*out);
    else
      g.to_f32 = pc_f32(*out);
    pc_stoppable_begin();
    pc_parallel_for(n, 8, copy_range, &g);
    if (g.failed) rc = pc_fail(PC_ENOMEM, "scenes: out of memory while drawing images");
    rc = pc_stoppable_end(rc);
    if (rc < 0) {
      pc_tensor_release(*out);
      *out = NULL;
    }
  }
  pc_free(list);
  return rc;
}

int pc_scenes_images(pc_tensor **out, const pc_scenes *ds, const pc_tensor *index, pc_dtype dtype) {
  *out = NULL;
  if (dtype != PC_U8 && dtype != PC_F32)
    return pc_fail(PC_EDTYPE, "scenes: images come as u8 or f32, not %s", pc_dtype_name(dtype));
  return batch(out, ds, index, dtype, 0);
}

int pc_scenes_masks(pc_tensor **out, const pc_scenes *ds, const pc_tensor *index) {
  *out = NULL;
  if (!pc_scenes_has_masks(ds))
    return pc_fail(PC_ESTATE,
                   "scenes %s: there are no masks: the table has no column 'maskname', or no_masks was given", ds->dir);
  return batch(out, ds, index, PC_U8, 1);
}

int pc_scenes_factor(pc_tensor **out, const pc_scenes *ds, int f, const pc_tensor *index) {
  int64_t *list, n;
  *out = NULL;
  int rc = resolve(&list, &n, ds, index);
  if (rc < 0) return rc;
  if ((rc = pc_tensor_empty(out, PC_I64, 1, &n)) == PC_OK)
    for (int64_t i = 0; i < n; i++) pc_i64(*out)[i] = ds->column[f].index[list[i]];
  pc_free(list);
  return rc;
}

/* ---- as a data set ---- */

static int class_images(void *ctx, pc_tensor **out, const pc_tensor *index, pc_dtype dtype) {
  return pc_scenes_images(out, ctx, index, dtype);
}

static int class_masks(void *ctx, pc_tensor **out, const pc_tensor *index) { return pc_scenes_masks(out, ctx, index); }

static const char *class_filename(void *ctx, int64_t i) { return pc_scenes_filename(ctx, i); }

static void class_free(void *ctx) { pc_scenes_free(ctx); }

int pc_scenes_dataset(pc_dataset **out, pc_scenes *ds, const char *name) {
  static const pc_dataset_class bare = {"scenes", class_images, NULL, class_filename, class_free};
  static const pc_dataset_class masked = {"scenes", class_images, class_masks, class_filename, class_free};
  const char *slash = strrchr(ds->dir, '/');
  pc_dataset_factor *factor = pc_calloc((size_t)ds->ncolumn + 1, sizeof *factor);
  pc_dataset_column *numeric = pc_calloc((size_t)ds->ncolumn + 1, sizeof *numeric);
  pc_dataset_facts f = {.name = name                ? name
                                : slash && slash[1] ? slash + 1
                                                    : ds->dir,
                        .dir = ds->dir,
                        .digest = ds->digest,
                        .note = ds->note,
                        .licence = &ds->licence,
                        .count = ds->n,
                        .height = ds->height,
                        .width = ds->width,
                        .channels = 3,
                        .factor = factor,
                        .nfactor = ds->nfactor,
                        .numeric = numeric,
                        .nnumeric = ds->ncolumn - ds->nfactor};
  int rc = factor && numeric ? PC_OK : PC_ENOMEM;
  *out = NULL;
  for (int i = 0; rc == PC_OK && i < ds->ncolumn; i++) {
    const pc_scenes_column *c = &ds->column[i];
    if (i < ds->nfactor)
      factor[i] = (pc_dataset_factor){c->name, c->nvalues, c->value, c->index};
    else
      numeric[i - ds->nfactor] = (pc_dataset_column){c->name, c->number};
  }
  if (rc == PC_OK) rc = pc_dataset_new(out, pc_scenes_has_masks(ds) ? &masked : &bare, ds, &f);
  if (rc == PC_OK) pc_scenes_retain(ds);
  pc_free(factor);
  pc_free(numeric);
  return rc;
}
