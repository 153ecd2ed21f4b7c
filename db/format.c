#include "db/format.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/text.h"

enum { PC_CELL_MAX = 10000 }; /* bytes of a cell that a table shows */

struct pc_printer {
  FILE *out;
  pc_format format;
  int bold;
  int defuse;   /* CSV: no formulas */
  int terminal; /* CSV goes to one: what steers is spelled out */
  int n;        /* columns */
  int results;  /* results begun */
  int64_t rows; /* rows of this result */
  char **names; /* unique: JSON objects need it */
  char **cells; /* table, Markdown: kept until the widths are known, n per row */
  char *right;  /* per cell: a number */
  size_t n_cells, cap_cells;
};

/* ---- text ---- */

static int char_width(uint32_t c) {
  static const struct {
    uint32_t from, to;
    int width;
  } range[] = {{0x0300, 0x036f, 0},   {0x0483, 0x0489, 0},   {0x0591, 0x05bd, 0},  {0x0610, 0x061a, 0},
               {0x064b, 0x065f, 0},   {0x1100, 0x115f, 2},   {0x1ab0, 0x1aff, 0},  {0x1dc0, 0x1dff, 0},
               {0x200b, 0x200f, 0},   {0x20d0, 0x20ff, 0},   {0x2e80, 0x303e, 2},  {0x3041, 0xa4cf, 2},
               {0xac00, 0xd7a3, 2},   {0xf900, 0xfaff, 2},   {0xfe00, 0xfe0f, 0},  {0xfe20, 0xfe2f, 0},
               {0xfe30, 0xfe6f, 2},   {0xff00, 0xff60, 2},   {0xffe0, 0xffe6, 2},  {0x1f300, 0x1f64f, 2},
               {0x1f680, 0x1f6ff, 2}, {0x1f900, 0x1f9ff, 2}, {0x20000, 0x3fffd, 2}};
  if (c < 0x300) return 1;
  for (size_t i = 0; i < sizeof range / sizeof *range; i++)
    if (c >= range[i].from && c <= range[i].to) return range[i].width;
  return 1;
}

static int is_ascii(const char *text) {
  while (*text > 0) text++;
  return !*text;
}

int pc_text_width(const char *text) {
  size_t n = strlen(text);
  uint32_t c;
  int w = 0;
  if (is_ascii(text)) return (int)n;
  for (size_t at = 0; at < n; w += char_width(c)) at += pc_text_decode(text + at, n - at, &c);
  return w;
}

/* shortest text that reads back as the same double */
static void full_number(char out[40], double d) {
  for (int digits = 15; digits <= 16; digits++) {
    snprintf(out, 40, "%.*g", digits, d);
    if (strtod(out, NULL) == d) return;
  }
  snprintf(out, 40, "%.17g", d);
}

static void short_number(char out[40], double d) {
  if (isinf(d))
    snprintf(out, 40, d > 0 ? "inf" : "-inf");
  else if (d == floor(d) && fabs(d) < 1e15)
    snprintf(out, 40, "%.0f", d);
  else
    snprintf(out, 40, "%.6g", d);
}

static char *hex(const pc_value *v, const char *before, const char *after) {
  size_t head = strlen(before), n = head + 2 * v->size + strlen(after) + 1;
  char *out = pc_malloc(n), *c;
  if (!out) return NULL;
  strcpy(out, before);
  c = out + head;
  for (size_t i = 0; i < v->size; i++) c += sprintf(c, "%02x", (unsigned char)v->text[i]);
  strcpy(c, after);
  return out;
}

/* ---- CSV, JSON: streamed ---- */

/* A spreadsheet takes a text that begins so for a formula and runs it; one that is a number is none. */
static int is_formula(const char *s, size_t size) {
  char *end;
  if (!size || !strchr("=+-@\t\r", s[0])) return 0;
  (void)strtod(s, &end);
  return end != s + size;
}

static void csv_field(const pc_printer *p, const char *s, size_t size) {
  FILE *out = p->out;
  char *shown = p->terminal ? pc_text_shown(s, size, 1) : NULL;
  if (shown) s = shown, size = strlen(shown);
  int formula = p->defuse && is_formula(s, size);
  int quote = memchr(s, '"', size) || memchr(s, ',', size) || memchr(s, '\n', size) || memchr(s, '\r', size) ||
              (size && (s[0] == ' ' || s[size - 1] == ' '));
  if (quote) putc('"', out);
  if (formula) putc('\'', out);
  for (size_t i = 0; i < size; i++) {
    if (s[i] == '"') putc('"', out);
    putc(s[i], out);
  }
  if (quote) putc('"', out);
  pc_free(shown);
}

static int csv_row(pc_printer *p, const pc_value *v) {
  char number[40];
  for (int i = 0; i < p->n; i++) {
    if (i) putc(',', p->out);
    if (v[i].type == PC_SQL_INT) fprintf(p->out, "%lld", (long long)v[i].i);
    if (v[i].type == PC_SQL_REAL) {
      full_number(number, v[i].d);
      fputs(number, p->out);
    }
    if (v[i].type == PC_SQL_TEXT) {
      if (v[i].size)
        csv_field(p, v[i].text, v[i].size);
      else
        fputs("\"\"", p->out); /* an empty text is not NULL */
    }
    if (v[i].type == PC_SQL_BLOB) {
      char *text = hex(&v[i], "", "");
      if (!text) return PC_ENOMEM;
      fputs(text, p->out);
      pc_free(text);
    }
  }
  fputs("\r\n", p->out);
  return PC_OK;
}

static void json_string(FILE *out, const char *s, size_t n) {
  putc('"', out);
  for (size_t at = 0; at < n;) {
    uint32_t c;
    size_t size = pc_text_decode(s + at, n - at, &c);
    if (c == '"' || c == '\\')
      fprintf(out, "\\%c", (int)c);
    else if (c == '\n')
      fputs("\\n", out);
    else if (c == '\t')
      fputs("\\t", out);
    else if (c == PC_TEXT_BAD) /* JSON has no bytes */
      fputs("\xef\xbf\xbd", out);
    else if (pc_text_steers(c))
      fprintf(out, "\\u%04x", (unsigned)c);
    else
      fwrite(s + at, 1, size, out);
    at += size;
  }
  putc('"', out);
}

static int json_row(pc_printer *p, const pc_value *v) {
  char number[40];
  fputs(p->rows ? ",\n {" : "[{", p->out);
  for (int i = 0; i < p->n; i++) {
    if (i) fputs(", ", p->out);
    json_string(p->out, p->names[i], strlen(p->names[i]));
    fputs(": ", p->out);
    switch (v[i].type) {
      case PC_SQL_INT: fprintf(p->out, "%lld", (long long)v[i].i); break;
      case PC_SQL_REAL:
        full_number(number, v[i].d);
        fputs(isinf(v[i].d) ? (v[i].d > 0 ? "9e999" : "-9e999") : number, p->out);
        if (!isinf(v[i].d) && !strpbrk(number, ".e")) fputs(".0", p->out); /* stays a real */
        break;
      case PC_SQL_TEXT: json_string(p->out, v[i].text, v[i].size); break;
      case PC_SQL_BLOB: {
        char *text = hex(&v[i], "\"", "\"");
        if (!text) return PC_ENOMEM;
        fputs(text, p->out);
        pc_free(text);
        break;
      }
      default: fputs("null", p->out);
    }
  }
  putc('}', p->out);
  return PC_OK;
}

/* ---- table, Markdown, LaTeX: kept, then printed ---- */

/* what stands for a character in a format; NULL: the character itself, or spelled out where it steers */
static const char *stand_in(const char *s, uint32_t c, pc_format format) {
  static char escaped[3] = "\\?";
  if (c == '\n') return format == PC_FORMAT_MARKDOWN ? "<br>" : format == PC_FORMAT_LATEX ? " " : "\\n";
  if (c == '\t') return format == PC_FORMAT_TABLE ? "\\t" : " ";
  if (c == '\r') return "";
  if (format == PC_FORMAT_MARKDOWN) return c == '|' ? "\\|" : NULL;
  if (format != PC_FORMAT_LATEX || !c) return NULL;
  if (c == '\\') return "\\textbackslash{}";
  if (c == '~') return "\\textasciitilde{}";
  if (c == '^') return "\\textasciicircum{}";
  if (c == 0xb1) return "$\\pm$";
  if (c < 0x80 && strchr("&%$#_{}", (int)c)) {
    escaped[1] = *s;
    return escaped;
  }
  return NULL;
}

/* One line, what steers spelled out: nothing in the file may steer the terminal. Markdown and LaTeX escaped. */
static char *one_line(const char *s, size_t n, pc_format format) {
  size_t cut = n, cap, at = 0;
  char *out, *o, spelled[12];
  if (format == PC_FORMAT_TABLE && n > PC_CELL_MAX) /* a table is for eyes; CSV and JSON have all of it */
    for (cut = PC_CELL_MAX; cut > PC_CELL_MAX - 4 && ((unsigned char)s[cut] & 0xc0) == 0x80;) cut--;
  cap = cut * 16 + 8;
  out = o = pc_malloc(cap);
  if (!out) return NULL;
  while (at < cut) {
    uint32_t c;
    size_t size = pc_text_decode(s + at, cut - at, &c);
    const char *put = stand_in(s + at, c, format);
    if (put) {
      o = stpcpy(o, put);
    } else if (c == PC_TEXT_BAD || pc_text_steers(c)) {
      size_t k = pc_text_spell(spelled, c, (unsigned char)s[at]);
      memcpy(o, spelled, k);
      o += k;
    } else {
      memcpy(o, s + at, size);
      o += size;
    }
    at += size;
  }
  strcpy(o, cut < n ? "…" : "");
  return out;
}

static char *cell_text(const pc_value *v, pc_format format) {
  char number[40] = "";
  if (v->type == PC_SQL_TEXT) return one_line(v->text, v->size, format);
  if (v->type == PC_SQL_BLOB) {
    pc_value cut = *v;
    if (cut.size > 16) cut.size = 16;
    return hex(&cut, "x'", v->size > 16 ? "…'" : "'");
  }
  if (v->type == PC_SQL_INT) snprintf(number, sizeof number, "%lld", (long long)v->i);
  if (v->type == PC_SQL_REAL) short_number(number, v->d);
  return pc_strdup(number);
}

static int keep_row(pc_printer *p, const pc_value *v) {
  if (p->n_cells + (size_t)p->n > p->cap_cells) {
    size_t cap = p->cap_cells ? 2 * p->cap_cells : 256;
    char **cells;
    char *right;
    while (cap < p->n_cells + (size_t)p->n) cap *= 2;
    cells = pc_realloc(p->cells, cap * sizeof *cells);
    if (!cells) return PC_ENOMEM;
    p->cells = cells;
    right = pc_realloc(p->right, cap);
    if (!right) return PC_ENOMEM;
    p->right = right;
    p->cap_cells = cap;
  }
  for (int i = 0; i < p->n; i++) {
    char *text = cell_text(&v[i], p->format);
    if (!text) return PC_ENOMEM;
    p->right[p->n_cells] = v[i].type == PC_SQL_INT || v[i].type == PC_SQL_REAL;
    p->cells[p->n_cells++] = text;
  }
  return PC_OK;
}

static void pad(FILE *out, const char *text, int width, int right, int last) {
  int blank = width - pc_text_width(text);
  for (int k = 0; right && k < blank; k++) putc(' ', out);
  fputs(text, out);
  for (int k = 0; !right && !last && k < blank; k++) putc(' ', out);
}

/* numbers to the right: a column is numeric when its cells that are not empty are */
static void measure(const pc_printer *p, int *width, char *numeric) {
  for (int i = 0; i < p->n; i++) {
    int seen = 0;
    width[i] = pc_text_width(p->names[i]);
    numeric[i] = 1;
    for (size_t c = (size_t)i; c < p->n_cells; c += (size_t)p->n) {
      int w = pc_text_width(p->cells[c]);
      if (w > width[i]) width[i] = w;
      if (*p->cells[c]) seen = 1;
      if (*p->cells[c] && !p->right[c]) numeric[i] = 0;
    }
    if (!seen) numeric[i] = 0;
    if (p->format == PC_FORMAT_MARKDOWN && width[i] < 3) width[i] = 3;
  }
}

static void print_rule(const pc_printer *p, const int *width, const char *numeric) {
  if (p->format == PC_FORMAT_MARKDOWN) putc('|', p->out);
  for (int i = 0; i < p->n; i++) {
    int dash = p->format == PC_FORMAT_MARKDOWN ? width[i] + 2 - (numeric[i] != 0) : width[i];
    if (p->format == PC_FORMAT_TABLE && i) fputs("  ", p->out);
    for (int k = 0; k < dash; k++) fputs(p->format == PC_FORMAT_MARKDOWN ? "-" : "─", p->out);
    if (p->format == PC_FORMAT_MARKDOWN) fputs(numeric[i] ? ":|" : "|", p->out);
  }
  putc('\n', p->out);
}

/* on a terminal the state of a run is seen before it is read */
static const char *status_colour(const char *word) {
  static const struct {
    const char *word, *colour;
  } known[] = {{"done", "\033[32m"},   {"running", "\033[36m"}, {"queued", "\033[2m"},
               {"failed", "\033[31m"}, {"killed", "\033[33m"},  {"stale", "\033[33m"}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (!strcmp(word, known[i].word)) return known[i].colour;
  return NULL;
}

static void print_line(const pc_printer *p, char *const *cells, const int *width, const char *numeric) {
  const char *between = p->format == PC_FORMAT_TABLE ? "  " : p->format == PC_FORMAT_MARKDOWN ? " | " : " & ";
  if (p->format == PC_FORMAT_MARKDOWN) fputs("| ", p->out);
  for (int i = 0; i < p->n; i++) {
    const char *colour = p->bold && !strcmp(p->names[i], "status") ? status_colour(cells[i]) : NULL;
    if (i) fputs(between, p->out);
    if (colour) fputs(colour, p->out);
    pad(p->out, cells[i], width[i], numeric[i], p->format == PC_FORMAT_TABLE && i == p->n - 1);
    if (colour) fputs("\033[0m", p->out);
  }
  fputs(p->format == PC_FORMAT_MARKDOWN ? " |\n" : p->format == PC_FORMAT_LATEX ? " \\\\\n" : "\n", p->out);
}

static int print_kept(pc_printer *p) {
  int *width = pc_malloc(((size_t)p->n + 1) * sizeof *width);
  char *numeric = pc_malloc((size_t)p->n + 1);
  int code = PC_OK;
  if (!width || !numeric) {
    code = PC_ENOMEM;
    goto done;
  }
  measure(p, width, numeric);
  if (p->format == PC_FORMAT_LATEX) {
    fputs("\\begin{tabular}{", p->out);
    for (int i = 0; i < p->n; i++) putc(numeric[i] ? 'r' : 'l', p->out);
    fputs("}\n\\toprule\n", p->out);
  }
  if (p->bold) fputs("\033[1m", p->out);
  print_line(p, p->names, width, numeric);
  if (p->bold) fputs("\033[0m", p->out);
  if (p->format == PC_FORMAT_LATEX)
    fputs("\\midrule\n", p->out);
  else
    print_rule(p, width, numeric);
  for (size_t c = 0; c < p->n_cells; c += (size_t)p->n) print_line(p, p->cells + c, width, numeric);
  if (p->format == PC_FORMAT_LATEX) fputs("\\bottomrule\n\\end{tabular}\n", p->out);
  if (p->format == PC_FORMAT_TABLE && !p->rows) fputs("(no rows)\n", p->out);
done:
  pc_free(width);
  pc_free(numeric);
  return code;
}

/* ---- the sink ---- */

static void clear(pc_printer *p) {
  for (size_t i = 0; i < p->n_cells; i++) pc_free(p->cells[i]);
  for (int i = 0; i < p->n && p->names; i++) pc_free(p->names[i]);
  pc_free(p->names);
  p->names = NULL;
  p->n_cells = 0;
  p->n = 0;
  p->rows = 0;
}

static char *unique_name(const pc_printer *p, int n, const char *name) {
  char text[300];
  int seen = 1;
  snprintf(text, sizeof text, "%s", name);
  for (int i = 0; i < n; i++)
    if (!strcmp(p->names[i], text)) {
      snprintf(text, sizeof text, "%.280s_%d", name, ++seen);
      i = -1;
    }
  return pc_strdup(text);
}

static int on_begin(void *ctx, int n, const char *const *names) {
  pc_printer *p = ctx;
  int json = p->format == PC_FORMAT_JSON;
  clear(p);
  p->names = pc_calloc((size_t)n + 1, sizeof *p->names);
  if (!p->names) return PC_ENOMEM;
  p->n = n;
  for (int i = 0; i < n; i++) {
    p->names[i] = json ? unique_name(p, i, names[i])
                       : one_line(names[i], strlen(names[i]), p->format == PC_FORMAT_CSV ? PC_FORMAT_TABLE : p->format);
    if (!p->names[i]) return PC_ENOMEM;
  }
  if (p->results++ && !json) fputs(p->format == PC_FORMAT_CSV ? "\r\n" : "\n", p->out);
  if (p->format == PC_FORMAT_CSV) {
    for (int i = 0; i < n; i++) {
      if (i) putc(',', p->out);
      csv_field(p, p->names[i], strlen(p->names[i]));
    }
    fputs("\r\n", p->out);
  }
  return PC_OK;
}

static int on_row(void *ctx, int n, const pc_value *v) {
  pc_printer *p = ctx;
  int code;
  if (p->format == PC_FORMAT_CSV)
    code = csv_row(p, v);
  else if (p->format == PC_FORMAT_JSON)
    code = json_row(p, v);
  else
    code = keep_row(p, v);
  p->rows++;
  if (code == PC_OK && ferror(p->out)) code = pc_fail(PC_EIO, "sql: the reader of the result is gone");
  return code;
}

static int on_end(void *ctx) {
  pc_printer *p = ctx;
  int code = PC_OK;
  if (p->format == PC_FORMAT_JSON)
    fputs(p->rows ? "]\n" : "[]\n", p->out);
  else if (p->format != PC_FORMAT_CSV)
    code = print_kept(p);
  clear(p);
  return code;
}

static int on_changed(void *ctx, int64_t rows) { return PC_OK; }

void pc_printer_defuse(pc_printer *p) { p->defuse = 1; }

pc_printer *pc_printer_new(FILE *out, pc_format format, int bold) {
  pc_printer *p = pc_calloc(1, sizeof *p);
  if (!p) return NULL;
  p->out = out;
  p->format = format;
  p->bold = bold && format == PC_FORMAT_TABLE;
  p->terminal = isatty(fileno(out));
  return p;
}

pc_row_sink pc_printer_sink(pc_printer *p) { return (pc_row_sink){p, on_begin, on_row, on_end, on_changed}; }

void pc_printer_free(pc_printer *p) {
  if (!p) return;
  clear(p);
  pc_free(p->cells);
  pc_free(p->right);
  pc_free(p);
}
