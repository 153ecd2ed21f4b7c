/* arrays_file.c: a data set from an npy or npz file and the table beside it. */
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "datasets/arrays.h"
#include "datasets/scenes_impl.h"
#include "formats/npy.h"
#include "formats/npz.h"

enum { MOST = 256, NAME = 128 };

/* Everything that is gathered; names and values are owned here, the data set copies them. */
typedef struct gathered {
  const char *path;
  const pc_arrays_opts *o;
  const pc_arrays_names *names;
  pc_bundle *b;
  pc_csv *csv;
  int64_t count;
  pc_arrays_parts parts;
  pc_tensor *own; /* images of an npy */
  pc_dataset_factor factor[MOST];
  pc_dataset_column numeric[MOST];
  int nfactor, nnumeric;
  void *keep[6 * MOST]; /* blocks to free */
  int nkeep;
  char note[1024];
} gathered;

/* A block that lives as long as g; NULL: no memory. */
static void *keep(gathered *g, void *p) {
  if (p && g->nkeep < (int)(sizeof g->keep / sizeof *g->keep)) return g->keep[g->nkeep++] = p;
  pc_free(p);
  return NULL;
}

static void note(gathered *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void note(gathered *g, const char *fmt, ...) {
  size_t n = strlen(g->note);
  va_list ap;
  va_start(ap, fmt);
  if (n + 2 < sizeof g->note) {
    if (n) g->note[n++] = '\n';
    vsnprintf(g->note + n, sizeof g->note - n, fmt, ap);
  }
  va_end(ap);
}

static int taken(const gathered *g, const char *name) {
  for (int i = 0; i < g->nfactor; i++)
    if (!strcmp(g->factor[i].name, name)) return 1;
  for (int i = 0; i < g->nnumeric; i++)
    if (!strcmp(g->numeric[i].name, name)) return 1;
  return 0;
}

static int full(const gathered *g) {
  if (g->nfactor < MOST && g->nnumeric < MOST) return PC_OK;
  return pc_fail(PC_EFORMAT, "arrays: %s: more than %d columns", g->path, MOST - 1);
}

/* ---- the table beside ---- */

static int is_file(const char *path) {
  struct stat st;
  return !stat(path, &st) && S_ISREG(st.st_mode);
}

/* "" when there is none. */
static int table_path(char *out, size_t size, const gathered *g) {
  const char *asked = g->o->table, *dot = strrchr(g->path, '.'), *slash = strrchr(g->path, '/');
  out[0] = '\0';
  if (!strcmp(asked, "none")) return PC_OK;
  if (*asked) {
    if (strlen(asked) >= size) return pc_fail(PC_EARG, "arrays: table: the path is too long");
    return memcpy(out, asked, strlen(asked) + 1), PC_OK;
  }
  int n = snprintf(out, size, "%.*s.csv", (int)(dot - g->path), g->path);
  if (n < 0 || (size_t)n >= size) return pc_fail(PC_EARG, "arrays: %s: the path is too long", g->path);
  if (is_file(out)) return PC_OK;
  n = snprintf(out, size, "%.*slabels.csv", slash ? (int)(slash - g->path) + 1 : 0, g->path);
  if (n < 0 || (size_t)n >= size || !is_file(out)) out[0] = '\0';
  return PC_OK;
}

static int is_forced(const gathered *g, const char *name) {
  for (int i = 0; i < g->names->nfactors; i++)
    if (!strcmp(g->names->factors[i], name)) return 1;
  return 0;
}

static int add_column(gathered *g, int col, locale_t loc) {
  pc_scenes_column c = {.csv_col = col, .name = pc_csv_header(g->csv, col)};
  int rc = full(g);
  if (rc == PC_OK) rc = pc_scenes_read_column(&c, g->csv, NULL, g->count, is_forced(g, c.name), loc);
  if ((c.number && !keep(g, c.number)) || (c.value && !keep(g, c.value)) || (c.index && !keep(g, c.index)))
    return PC_ENOMEM;
  if (rc < 0) return rc;
  if (c.numeric)
    g->numeric[g->nnumeric++] = (pc_dataset_column){c.name, c.number};
  else
    g->factor[g->nfactor++] = (pc_dataset_factor){c.name, c.nvalues, c.value, c.index};
  return PC_OK;
}

static int read_table(gathered *g) {
  char path[4096];
  int col, rc = table_path(path, sizeof path, g);
  if (rc == PC_OK && !*path && g->names->nfactors)
    return pc_fail(PC_EARG, "arrays: %s: factors names columns of a table, and there is none beside; say which: table",
                   g->path);
  if (rc < 0 || !*path) return rc;
  if ((rc = pc_csv_read(&g->csv, path)) < 0) return pc_error_prefix(rc, "arrays");
  if (pc_csv_rows(g->csv) != g->count)
    return pc_fail(PC_EFORMAT,
                   "arrays: %s has %lld rows, %s has %lld images; a row an image is needed (table = "
                   "\"none\": no table)",
                   path, (long long)pc_csv_rows(g->csv), g->path, (long long)g->count);
  for (int i = 0; i < g->names->nfactors; i++)
    if ((rc = pc_csv_column(&col, g->csv, g->names->factors[i])) < 0) return pc_error_prefix(rc, "arrays: factors");
  locale_t loc = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (!loc) return PC_ENOMEM;
  for (int i = 0; rc == PC_OK && i < pc_csv_cols(g->csv); i++)
    if (strcmp(pc_csv_header(g->csv, i), "filename")) rc = add_column(g, i, loc);
  freelocale(loc);
  return rc;
}

/* ---- members ---- */

static int ascending(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* A factor of whole numbers v (count): its values are those that occur. */
static int add_factor(gathered *g, const char *name, const int64_t *v) {
  int64_t m = 0, *sorted = keep(g, pc_malloc((size_t)g->count * sizeof *sorted));
  int64_t *index = keep(g, pc_malloc((size_t)g->count * sizeof *index));
  if (!sorted || !index) return PC_ENOMEM;
  memcpy(sorted, v, (size_t)g->count * sizeof *sorted);
  qsort(sorted, (size_t)g->count, sizeof *sorted, ascending);
  for (int64_t i = 0; i < g->count; i++)
    if (!m || sorted[i] != sorted[m - 1]) sorted[m++] = sorted[i];
  for (int64_t i = 0; i < g->count; i++) {
    const int64_t *at = bsearch(&v[i], sorted, (size_t)m, sizeof *sorted, ascending);
    index[i] = at - sorted + PC_INDEX_BASE;
  }
  enum { DIGITS = 24 };
  const char **value = keep(g, pc_malloc((size_t)m * sizeof *value));
  char *text = keep(g, pc_malloc((size_t)m * DIGITS)), *own = keep(g, pc_strdup(name));
  if (!value || !text || !own) return PC_ENOMEM;
  for (int64_t i = 0; i < m; i++) {
    snprintf(text + i * DIGITS, DIGITS, "%lld", (long long)sorted[i]);
    value[i] = text + i * DIGITS;
  }
  g->factor[g->nfactor++] = (pc_dataset_factor){own, m, value, index};
  return PC_OK;
}

/* What column k of F of a member is called. */
static void column_name(char out[NAME], const gathered *g, const char *member, int64_t k, int64_t f) {
  if (f > 1 && g->names->nnames == f)
    snprintf(out, NAME, "%.100s", g->names->names[k]);
  else if (f > 1)
    snprintf(out, NAME, "%.100s%lld", member, (long long)k + 1);
  else
    snprintf(out, NAME, "%.100s", member);
}

/* Column k of a member (N,F) of i64 or f64. */
static int add_numbers(gathered *g, const char *member, const pc_tensor *t, int64_t k, int64_t f) {
  char name[NAME];
  int rc = full(g), whole = t->dtype == PC_I64;
  if (rc < 0) return rc;
  column_name(name, g, member, k, f);
  if (!whole && taken(g, name)) strncat(name, "_value", sizeof name - strlen(name) - 1);
  if (taken(g, name)) return note(g, "member '%s': a column '%s' is there already", member, name), PC_OK;
  int64_t *v = keep(g, pc_malloc((size_t)g->count * sizeof *v));
  if (!v) return PC_ENOMEM;
  for (int64_t i = 0; i < g->count; i++) memcpy(&v[i], (const char *)pc_data(t) + 8 * (i * f + k), sizeof *v);
  if (whole) return add_factor(g, name, v);
  char *own = keep(g, pc_strdup(name));
  if (!own) return PC_ENOMEM;
  g->numeric[g->nnumeric++] = (pc_dataset_column){own, (const double *)(const void *)v};
  return PC_OK;
}

static int add_member(gathered *g, const char *member, const pc_tensor *t) {
  pc_tensor *wide = NULL, *flat = NULL;
  int64_t f = t->ndim == 2 ? t->size[1] : 1;
  if (t->ndim < 1 || t->ndim > 2 || t->size[0] != g->count) {
    note(g, "member '%s' is passed over: it is %s, and there are %lld images", member, pc_shape_str(t),
         (long long)g->count);
    return PC_OK;
  }
  int rc = pc_to_dtype(&wide, t, pc_dtype_is_float((pc_dtype)t->dtype) ? PC_F64 : PC_I64);
  if (rc == PC_OK) rc = pc_contiguous(&flat, wide);
  for (int64_t k = 0; rc == PC_OK && k < f; k++) rc = add_numbers(g, member, flat, k, f);
  pc_tensor_release(wide);
  pc_tensor_release(flat);
  return rc;
}

/* The member that an option names (then it must be there), or the first of the usual names. */
static int find_member(const pc_tensor **out, const gathered *g, const char *asked, const char *const *usual) {
  *out = NULL;
  if (*asked) {
    pc_tensor *t;
    int rc = pc_bundle_get(&t, g->b, asked);
    if (rc < 0) return pc_error_prefix(rc, "arrays: %s", g->path);
    *out = t;
    pc_tensor_release(t); /* the bundle holds it */
    return PC_OK;
  }
  for (; *usual && !*out; usual++) *out = pc_bundle_find(g->b, *usual);
  return PC_OK;
}

static int read_members(gathered *g) {
  static const char *const images[] = {"images", "imgs", "x", "X", NULL}, *const masks[] = {"masks", NULL};
  static const char *const latents[] = {"latents", NULL}, *const unit[] = {"unit", NULL};
  int rc = pc_npz_read_known(&g->b, g->path);
  if (rc == PC_OK) rc = find_member(&g->parts.images, g, g->o->images, images);
  if (rc == PC_OK && !g->parts.images) {
    char list[1000] = "";
    for (int64_t i = 0; i < pc_bundle_count(g->b) && strlen(list) < 800; i++)
      snprintf(list + strlen(list), sizeof list - strlen(list), " %.100s", pc_bundle_name(g->b, i));
    return pc_fail(PC_ENOTFOUND,
                   "arrays: %s has no member images, imgs, x or X; option images says which one it is of:%s", g->path,
                   list);
  }
  if (rc == PC_OK) rc = find_member(&g->parts.masks, g, g->o->masks, masks);
  if (rc == PC_OK) rc = find_member(&g->parts.facts.latents, g, g->o->latents, latents);
  if (rc == PC_OK) rc = find_member(&g->parts.facts.unit, g, g->o->unit, unit);
  if (rc == PC_OK && pc_bundle_meta(g->b, "left_out"))
    note(g, "left out, as it is no array of numbers: %s", pc_bundle_meta(g->b, "left_out"));
  return rc;
}

static int read_columns(gathered *g) {
  int rc = PC_OK;
  for (int64_t i = 0; g->b && rc == PC_OK && i < pc_bundle_count(g->b); i++) {
    const pc_tensor *t = pc_bundle_tensor(g->b, i);
    const pc_dataset_facts *f = &g->parts.facts;
    if (t != g->parts.images && t != g->parts.masks && t != f->latents && t != f->unit)
      rc = add_member(g, pc_bundle_name(g->b, i), t);
  }
  return rc;
}

/* ---- the file ---- */

static int ends_with(const char *s, const char *end) {
  size_t n = strlen(s), m = strlen(end);
  return n > m && !strcmp(s + n - m, end);
}

static int read_arrays(gathered *g) {
  if (ends_with(g->path, ".npz")) return read_members(g);
  if (!ends_with(g->path, ".npy"))
    return pc_fail(PC_EARG, "arrays: %s: a file NAME.npy or NAME.npz is needed", g->path);
  const char *const member[] = {g->o->images, g->o->masks, g->o->latents, g->o->unit};
  for (int i = 0; i < 4; i++)
    if (*member[i]) return pc_fail(PC_EARG, "arrays: %s: an npy has no member '%s'", g->path, member[i]);
  int rc = pc_npy_read(&g->own, g->path);
  g->parts.images = g->own;
  return rc;
}

static int check_names(const gathered *g) {
  if (!g->names->nnames || !g->b) return PC_OK;
  for (int64_t i = 0; i < pc_bundle_count(g->b); i++) {
    const pc_tensor *t = pc_bundle_tensor(g->b, i);
    if (t->ndim == 2 && t->size[0] == g->count && t->size[1] == g->names->nnames) return PC_OK;
  }
  return pc_fail(PC_EARG, "arrays: %s: names: %d names, and no member (%lld,%d) to go with them", g->path,
                 g->names->nnames, (long long)g->count, g->names->nnames);
}

int pc_arrays_open(pc_dataset **out, const char *path, const pc_arrays_opts *opts, const pc_arrays_names *names) {
  static const pc_arrays_opts usual = PC_ARRAYS_OPTS_INIT;
  static const pc_arrays_names none;
  const char *slash = strrchr(path, '/');
  char stem[NAME];
  *out = NULL;
  if (!opts) opts = &usual;
  int rc = pc_options_check(&pc_arrays_options, "arrays", opts);
  gathered *g = rc == PC_OK ? pc_calloc(1, sizeof *g) : NULL;
  if (!g) return rc < 0 ? rc : PC_ENOMEM;
  g->path = path;
  g->o = opts;
  g->names = names ? names : &none;
  g->parts.channels = opts->channels;
  g->parts.white = opts->white;
  rc = read_arrays(g);
  g->count = rc == PC_OK && g->parts.images->ndim ? g->parts.images->size[0] : 0;
  if (rc == PC_OK) rc = read_table(g);
  if (rc == PC_OK) rc = check_names(g);
  if (rc == PC_OK) rc = read_columns(g);
  snprintf(stem, sizeof stem, "%.*s", (int)strcspn(slash ? slash + 1 : path, "."), slash ? slash + 1 : path);
  pc_dataset_facts *f = &g->parts.facts;
  f->name = *stem ? stem : "arrays";
  f->dir = path;
  f->note = g->note;
  f->factor = g->factor, f->nfactor = g->nfactor;
  f->numeric = g->numeric, f->nnumeric = g->nnumeric;
  if (rc == PC_OK) rc = pc_arrays_new(out, &g->parts);
  for (int i = 0; i < g->nkeep; i++) pc_free(g->keep[i]);
  pc_tensor_release(g->own);
  pc_csv_free(g->csv);
  pc_bundle_free(g->b);
  pc_free(g);
  return rc;
}
