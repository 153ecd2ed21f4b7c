#include "formats/csv.h"

#include <string.h>

#include "base/alloc.h"
#include "formats/file.h"

struct pc_csv {
  char *name;
  char *text;    /* the cells, each ended by a 0, in place of the file's bytes */
  char **cell;   /* (rows + 1, cols), the header first */
  int64_t *line; /* of each row, the header first */
  int64_t rows;  /* without the header */
  int cols;
  int64_t ncell, cell_cap, line_cap;
  char digest[PC_DIGEST_SIZE];
};

static int push_cell(pc_csv *t, char *s) {
  if (t->ncell == t->cell_cap) {
    int64_t cap = t->cell_cap ? 2 * t->cell_cap : 256;
    char **p = pc_realloc(t->cell, (size_t)cap * sizeof *p);
    if (!p) return PC_ENOMEM;
    t->cell = p;
    t->cell_cap = cap;
  }
  t->cell[t->ncell++] = s;
  return PC_OK;
}

static int push_line(pc_csv *t, int64_t nrow, int64_t line) {
  if (nrow == t->line_cap) {
    int64_t cap = t->line_cap ? 2 * t->line_cap : 64;
    int64_t *p = pc_realloc(t->line, (size_t)cap * sizeof *p);
    if (!p) return PC_ENOMEM;
    t->line = p;
    t->line_cap = cap;
  }
  t->line[nrow] = line;
  return PC_OK;
}

/* One field from *r on, moved to *w (w <= r: a field only shrinks) and ended.
 * *r then stands on the ',' or newline that ends it, or on `end`. The byte
 * there has to be looked at before the 0 is written: *term receives it. */
static int field(pc_csv *t, char **r, char **w, char *end, int64_t *line, int *term) {
  char *p = *r, *q = *w;
  int64_t start = *line;
  if (p < end && *p == '"') {
    for (p++;; p++) {
      if (p >= end)
        return pc_fail(PC_EFORMAT, "%s:%lld: a quote is opened here and never closed", t->name, (long long)start);
      if (*p == '"') {
        if (p + 1 < end && p[1] == '"') {
          p++;
        } else {
          p++;
          break;
        }
      }
      if (*p == '\n') ++*line;
      *q++ = *p;
    }
    if (p < end && *p == '\r' && p + 1 < end && p[1] == '\n') p++;
    if (p < end && *p != ',' && *p != '\n')
      return pc_fail(PC_EFORMAT, "%s:%lld: '%c' after a closing quote; a comma or the end of the line belongs there",
                     t->name, (long long)*line, *p);
  } else {
    while (p < end && *p != ',' && *p != '\n') *q++ = *p++;
    if (p < end && *p == '\n' && p > *r && p[-1] == '\r') q--;
  }
  *term = p < end ? *p : 0;
  *r = p;
  *q = '\0'; /* overwrites at most the terminator, or the byte after the text */
  *w = q + 1;
  return PC_OK;
}

static int check_header(pc_csv *t) {
  for (int i = 0; i < t->cols; i++) {
    if (!*t->cell[i])
      return pc_fail(PC_EFORMAT, "%s:%lld: column %d has no name in the header", t->name, (long long)t->line[0], i + 1);
    for (int j = 0; j < i; j++)
      if (!strcmp(t->cell[i], t->cell[j]))
        return pc_fail(PC_EFORMAT, "%s:%lld: columns %d and %d are both named '%s'", t->name, (long long)t->line[0],
                       j + 1, i + 1, t->cell[i]);
  }
  return PC_OK;
}

static int parse(pc_csv *t, size_t n) {
  char *r = t->text, *end = t->text + n, *w;
  int64_t line = 1, nrow = 0;
  int rc;
  if (n >= 3 && !memcmp(r, "\xef\xbb\xbf", 3)) r += 3;
  w = r;
  char *nul = memchr(r, 0, (size_t)(end - r));
  if (nul) {
    for (char *p = r; p < nul; p++) line += *p == '\n';
    return pc_fail(PC_EFORMAT, "%s:%lld: a zero byte: this is not a text file", t->name, (long long)line);
  }
  while (r < end) {
    if (*r == '\n' || (*r == '\r' && r + 1 < end && r[1] == '\n')) {
      r += *r == '\r' ? 2 : 1;
      line++;
      continue;
    }
    if ((rc = push_line(t, nrow, line)) < 0) return rc;
    int64_t fields = 0;
    for (int term = ',';;) {
      char *s = w;
      if ((rc = field(t, &r, &w, end, &line, &term)) < 0 || (rc = push_cell(t, s)) < 0) return rc;
      fields++;
      if (r < end) r++;
      if (term != ',') {
        if (term == '\n') line++;
        break;
      }
    }
    if (nrow == 0) {
      if (fields > 10000) return pc_fail(PC_EFORMAT, "%s:1: %lld columns are too many", t->name, (long long)fields);
      t->cols = (int)fields;
      if ((rc = check_header(t)) < 0) return rc;
    } else if (fields != t->cols) {
      return pc_fail(PC_EFORMAT, "%s:%lld: the row has %lld field%s, the header has %d", t->name,
                     (long long)t->line[nrow], (long long)fields, fields == 1 ? "" : "s", t->cols);
    }
    nrow++;
  }
  if (!nrow) return pc_fail(PC_EFORMAT, "%s: the file is empty; a header row is needed", t->name);
  t->rows = nrow - 1;
  return PC_OK;
}

int pc_csv_parse(pc_csv **out, const char *text, size_t n, const char *name) {
  pc_csv *t = pc_calloc(1, sizeof *t);
  int rc = PC_ENOMEM;
  *out = NULL;
  if (!t) return PC_ENOMEM;
  t->name = pc_strdup(name);
  t->text = pc_malloc(n + 2); /* an empty last field needs its 0 behind the text */
  if (t->name && t->text) {
    memcpy(t->text, text, n);
    t->text[n] = t->text[n + 1] = '\0';
    pc_digest(t->digest, text, n);
    rc = parse(t, n);
  }
  if (rc < 0) {
    pc_csv_free(t);
    return rc;
  }
  *out = t;
  return PC_OK;
}

int pc_csv_read(pc_csv **out, const char *path) {
  char *text;
  size_t n;
  *out = NULL;
  int rc = pc_file_read(&text, &n, path, 0);
  if (rc < 0) return rc;
  rc = pc_csv_parse(out, text, n, path);
  pc_free(text);
  return rc;
}

void pc_csv_free(pc_csv *t) {
  if (!t) return;
  pc_free(t->line);
  pc_free(t->cell);
  pc_free(t->text);
  pc_free(t->name);
  pc_free(t);
}

int64_t pc_csv_rows(const pc_csv *t) { return t->rows; }
int pc_csv_cols(const pc_csv *t) { return t->cols; }
const char *pc_csv_header(const pc_csv *t, int col) { return t->cell[col]; }
const char *pc_csv_cell(const pc_csv *t, int64_t row, int col) { return t->cell[(row + 1) * t->cols + col]; }
int64_t pc_csv_line(const pc_csv *t, int64_t row) { return t->line[row + 1]; }
const char *pc_csv_digest(const pc_csv *t) { return t->digest; }

int pc_csv_find(const pc_csv *t, const char *name) {
  for (int i = 0; i < t->cols; i++)
    if (!strcmp(t->cell[i], name)) return i;
  return -1;
}

int pc_csv_column(int *out, const pc_csv *t, const char *name) {
  char list[900];
  size_t n = 0;
  if ((*out = pc_csv_find(t, name)) >= 0) return PC_OK;
  list[0] = '\0';
  for (int i = 0; i < t->cols && n < sizeof list - 1; i++)
    n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", t->cell[i]);
  return pc_fail(PC_ENOTFOUND, "%s: no column '%s'; there are: %s", t->name, name, list);
}
