#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "datasets/scenes_impl.h"

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static int by_number(const void *a, const void *b) {
  double x = strtod(*(const char *const *)a, NULL), y = strtod(*(const char *const *)b, NULL);
  return x < y ? -1 : x > y ? 1 : by_text(a, b);
}

/* Sorts s[0..n) and drops repetitions; returns how many are left. */
static int64_t sort_unique(const char **s, int64_t n, int numeric) {
  int64_t m = 0;
  qsort(s, (size_t)n, sizeof *s, numeric ? by_number : by_text);
  for (int64_t i = 0; i < n; i++)
    if (!m || strcmp(s[i], s[m - 1])) s[m++] = s[i];
  return m;
}

static void join(char *out, size_t cap, const char *const *s, int64_t n) {
  size_t len = 0;
  out[0] = '\0';
  for (int64_t i = 0; i < n; i++) {
    size_t need = strlen(s[i]) + 2;
    if (len + need + 24 > cap) {
      snprintf(out + len, cap - len, ", ... (%lld in all)", (long long)n);
      return;
    }
    len += (size_t)snprintf(out + len, cap - len, "%s%s", i ? ", " : "", s[i]);
  }
}

/* A plain decimal number in the C locale, whatever the program's locale is. */
static int parse_number(double *out, const char *s, locale_t c_locale) {
  char *end;
  if (!strchr("+-.0123456789", *s) || !*s) return 0;
  *out = strtod_l(s, &end, c_locale);
  return end != s && !*end;
}

/* ---- filters ---- */

static int value_known(const pc_csv *csv, const int64_t *rows, int64_t n, int col, const char *value) {
  for (int64_t i = 0; i < n; i++)
    if (!strcmp(pc_csv_cell(csv, rows ? rows[i] : i, col), value)) return 1;
  return 0;
}

static int unknown_value(const pc_csv *csv, const int64_t *rows, int64_t n, int col, const char *value) {
  const char **all = pc_malloc((size_t)n * sizeof *all);
  char list[1200];
  if (!all) return PC_ENOMEM;
  for (int64_t i = 0; i < n; i++) all[i] = pc_csv_cell(csv, rows ? rows[i] : i, col);
  join(list, sizeof list, all, sort_unique(all, n, 0));
  pc_free(all);
  return pc_fail(PC_ENOTFOUND, "scenes: column '%s' has no value '%s'; there are: %s", pc_csv_header(csv, col), value,
                 list);
}

static int passes(const pc_csv *csv, int64_t row, int col, const pc_scenes_filter *f) {
  const char *cell = pc_csv_cell(csv, row, col);
  for (int v = 0; v < f->nvalues; v++)
    if (!strcmp(cell, f->values[v])) return !f->exclude;
  return f->exclude;
}

/* keep[i] &= filter, over the given rows (NULL: all n). */
static int apply_filter(uint8_t *keep, const pc_csv *csv, const int64_t *rows, int64_t n, const pc_scenes_filter *f) {
  int col, rc;
  if (!f->column) return pc_fail(PC_EARG, "scenes: a filter without a column");
  if (f->nvalues < 1)
    return pc_fail(PC_EARG, "scenes: the filter on '%s' has no values; leave it out to keep all", f->column);
  if ((rc = pc_csv_column(&col, csv, f->column)) < 0) return pc_error_prefix(rc, "scenes: filter");
  for (int v = 0; v < f->nvalues; v++)
    if (!value_known(csv, rows, n, col, f->values[v])) return unknown_value(csv, rows, n, col, f->values[v]);
  for (int64_t i = 0; i < n; i++) keep[i] &= (uint8_t)passes(csv, rows ? rows[i] : i, col, f);
  return PC_OK;
}

int pc_scenes_select(pc_scenes *ds, const pc_scenes_opts *opts) {
  int64_t rows = pc_csv_rows(ds->csv), m = 0;
  int rc = PC_OK;
  uint8_t *keep = pc_malloc((size_t)rows);
  ds->sel = pc_malloc((size_t)rows * sizeof *ds->sel);
  if (!keep || !ds->sel) {
    pc_free(keep);
    return PC_ENOMEM;
  }
  memset(keep, 1, (size_t)rows);
  for (int i = 0; i < opts->nfilters && rc == PC_OK; i++)
    rc = apply_filter(keep, ds->csv, NULL, rows, &opts->filters[i]);
  for (int64_t i = 0; i < rows; i++)
    if (keep[i]) ds->sel[m++] = i;
  ds->nsel = m;
  pc_free(keep);
  if (rc == PC_OK && m == 0)
    rc = pc_fail(PC_EARG, "scenes %s: none of the %lld rows passes the filters", ds->dir, (long long)rows);
  return rc;
}

/* ---- columns ---- */

/* The column's values on rows row[0..n) (NULL: all); the numeric test looks at every row of
 * the table, so that a filter does not turn a factor into a number. */
int pc_scenes_read_column(pc_scenes_column *c, const pc_csv *csv, const int64_t *row, int64_t n, int force_factor,
                          locale_t loc) {
  int64_t rows = pc_csv_rows(csv);
  double x;
  c->numeric = 1;
  for (int64_t i = 0; i < rows && c->numeric; i++) c->numeric = parse_number(&x, pc_csv_cell(csv, i, c->csv_col), loc);
  if (c->numeric && !force_factor) {
    if (!(c->number = pc_malloc((size_t)n * sizeof *c->number))) return PC_ENOMEM;
    for (int64_t i = 0; i < n; i++) parse_number(&c->number[i], pc_csv_cell(csv, row ? row[i] : i, c->csv_col), loc);
    return PC_OK;
  }
  const char **s = c->value = pc_malloc((size_t)n * sizeof *s);
  c->index = pc_malloc((size_t)n * sizeof *c->index);
  if (!s || !c->index) return PC_ENOMEM;
  for (int64_t i = 0; i < n; i++) s[i] = pc_csv_cell(csv, row ? row[i] : i, c->csv_col);
  c->nvalues = sort_unique(s, n, c->numeric);
  for (int64_t i = 0; i < n; i++) {
    const char *cell = pc_csv_cell(csv, row ? row[i] : i, c->csv_col);
    const char **at = bsearch(&cell, s, (size_t)c->nvalues, sizeof *s, c->numeric ? by_number : by_text);
    c->index[i] = at - s + PC_INDEX_BASE;
  }
  c->numeric = 0;
  return PC_OK;
}

/* How the two animals stand, from character1_pos and character2_pos: a factor of its own where it varies. *have: it
 * does. */
static int add_relation(pc_scenes *ds, pc_scenes_column *c, int *have) {
  enum { MOST = 16, LEN = 64 };
  char name[MOST][LEN], own[LEN];
  const char *sorted[MOST];
  int one = pc_csv_find(ds->csv, "character1_pos"), two = pc_csv_find(ds->csv, "character2_pos"), m = 0;
  *have = 0;
  if (one < 0 || two < 0 || pc_csv_find(ds->csv, "relation") >= 0) return PC_OK;
  if (!(c->index = pc_malloc((size_t)ds->n * sizeof *c->index))) return PC_ENOMEM;
  for (int64_t i = 0; i < ds->n; i++) {
    int64_t row = ds->sel[ds->slot[i]];
    int len = snprintf(own, sizeof own, "%s-%s", pc_csv_cell(ds->csv, row, one), pc_csv_cell(ds->csv, row, two)), k = 0;
    while (k < m && strcmp(name[k], own)) k++;
    if (len >= LEN || k == MOST) return PC_OK; /* no few relations: no factor */
    if (k == m) memcpy(name[m++], own, sizeof own);
    c->index[i] = k;
  }
  if (m < 2) return PC_OK;
  for (int k = 0; k < m; k++) sorted[k] = name[k];
  qsort(sorted, (size_t)m, sizeof *sorted, by_text);
  c->own = pc_malloc((size_t)m * LEN);
  c->value = pc_malloc((size_t)m * sizeof *c->value);
  if (!c->own || !c->value) return PC_ENOMEM;
  for (int k = 0; k < m; k++) {
    memcpy(c->own + k * LEN, sorted[k], LEN);
    c->value[k] = c->own + k * LEN;
  }
  for (int64_t i = 0; i < ds->n; i++) {
    int k = 0;
    while (strcmp(c->value[k], name[c->index[i]])) k++;
    c->index[i] = k + PC_INDEX_BASE;
  }
  c->nvalues = m;
  c->csv_col = -1;
  c->name = "relation";
  *have = 1;
  return PC_OK;
}

int pc_scenes_columns(pc_scenes *ds, const pc_scenes_opts *opts) {
  int cols = pc_csv_cols(ds->csv), rc = PC_OK, col;
  for (int i = 0; i < opts->nfactors; i++)
    if ((rc = pc_csv_column(&col, ds->csv, opts->factors[i])) < 0) return pc_error_prefix(rc, "scenes: factors");
  pc_scenes_column *all = ds->column = pc_calloc((size_t)cols + 1, sizeof *all);
  pc_scenes_column *sorted = pc_calloc((size_t)cols + 1, sizeof *sorted);
  int64_t *row = pc_malloc((size_t)ds->n * sizeof *row);
  locale_t loc = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (!all || !sorted || !row || !loc) rc = PC_ENOMEM;
  for (int64_t i = 0; row && i < ds->n; i++) row[i] = ds->sel[ds->slot[i]];
  for (int i = 0; i < cols && rc == PC_OK; i++) {
    int force = 0;
    if (i == ds->name_col || i == pc_csv_find(ds->csv, "maskname")) continue;
    for (int k = 0; k < opts->nfactors; k++) force |= !strcmp(opts->factors[k], pc_csv_header(ds->csv, i));
    all[ds->ncolumn].csv_col = i;
    all[ds->ncolumn].name = pc_csv_header(ds->csv, i);
    rc = pc_scenes_read_column(&all[ds->ncolumn++], ds->csv, row, ds->n, force, loc);
  }
  if (rc == PC_OK) {
    int have;
    pc_scenes_column *c = &all[ds->ncolumn];
    rc = add_relation(ds, c, &have);
    if (rc < 0 || have) {
      ds->ncolumn++;
    } else {
      pc_free(c->index);
      *c = (pc_scenes_column){0};
    }
  }
  if (rc == PC_OK) { /* factors to the front */
    for (int pass = 0, m = 0; pass < 2; pass++)
      for (int i = 0; i < ds->ncolumn; i++)
        if (all[i].numeric == pass) sorted[m++] = all[i], ds->nfactor += !pass;
    memcpy(all, sorted, (size_t)ds->ncolumn * sizeof *all);
  }
  if (loc) freelocale(loc);
  pc_free(row);
  pc_free(sorted);
  return rc;
}

/* ---- questions ---- */

static const char *column_name(const pc_scenes *ds, int c) { return ds->column[c].name; }

static int find(int *out, const pc_scenes *ds, const char *name, int from, int to, const char *kind) {
  const char *names[256] = {0};
  char list[1200];
  int n = 0;
  for (int i = from; i < to; i++) {
    if (!strcmp(column_name(ds, i), name)) return *out = i - from, PC_OK;
    if (n < 256) names[n++] = column_name(ds, i);
  }
  join(list, sizeof list, names, n);
  return pc_fail(PC_ENOTFOUND, "scenes: no %s '%s'; there are: %s", kind, name, n ? list : "none");
}

int pc_scenes_nfactors(const pc_scenes *ds) { return ds->nfactor; }
const char *pc_scenes_factor_name(const pc_scenes *ds, int f) { return column_name(ds, f); }
int pc_scenes_factor_find(int *f, const pc_scenes *ds, const char *name) {
  return find(f, ds, name, 0, ds->nfactor, "factor");
}
int64_t pc_scenes_factor_nvalues(const pc_scenes *ds, int f) { return ds->column[f].nvalues; }
const char *pc_scenes_factor_value(const pc_scenes *ds, int f, int64_t v) { return ds->column[f].value[v]; }
const int64_t *pc_scenes_factor_index(const pc_scenes *ds, int f) { return ds->column[f].index; }

int pc_scenes_factor_value_find(int64_t *v, const pc_scenes *ds, int f, const char *value) {
  const pc_scenes_column *c = &ds->column[f];
  char list[1200];
  for (int64_t i = 0; i < c->nvalues; i++)
    if (!strcmp(c->value[i], value)) return *v = i, PC_OK;
  join(list, sizeof list, c->value, c->nvalues);
  return pc_fail(PC_ENOTFOUND, "scenes: factor '%s' has no value '%s'; there are: %s", column_name(ds, f), value, list);
}

int pc_scenes_nnumeric(const pc_scenes *ds) { return ds->ncolumn - ds->nfactor; }
const char *pc_scenes_numeric_name(const pc_scenes *ds, int c) { return column_name(ds, ds->nfactor + c); }
int pc_scenes_numeric_find(int *c, const pc_scenes *ds, const char *name) {
  return find(c, ds, name, ds->nfactor, ds->ncolumn, "numeric column");
}
const double *pc_scenes_numeric_values(const pc_scenes *ds, int c) { return ds->column[ds->nfactor + c].number; }

int pc_scenes_where(pc_tensor **out, const pc_scenes *ds, const pc_scenes_filter *filters, int nfilters) {
  int64_t *rows = pc_malloc((size_t)ds->n * sizeof *rows), m = 0;
  uint8_t *keep = pc_malloc((size_t)ds->n);
  int rc = rows && keep ? PC_OK : PC_ENOMEM;
  *out = NULL;
  if (rc == PC_OK) {
    memset(keep, 1, (size_t)ds->n);
    for (int64_t i = 0; i < ds->n; i++) rows[i] = ds->sel[ds->slot[i]];
  }
  for (int i = 0; i < nfilters && rc == PC_OK; i++) rc = apply_filter(keep, ds->csv, rows, ds->n, &filters[i]);
  if (rc == PC_OK) {
    for (int64_t i = 0; i < ds->n; i++)
      if (keep[i]) rows[m++] = i + PC_INDEX_BASE;
    rc = pc_tensor_from(out, PC_I64, 1, &m, rows);
  }
  pc_free(keep);
  pc_free(rows);
  return rc;
}
