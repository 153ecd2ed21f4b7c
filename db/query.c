#include "db/query.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "db/format.h"
#include "db/internal.h"
#include "db/pivot.h"

enum { MAX_COLUMNS = 2000 };

pc_value pc_value_parse(const char *text) {
  char *end;
  pc_value v = {.type = PC_SQL_TEXT, .text = text, .size = strlen(text)};
  long long i;
  double d;
  if (!*text || isspace((unsigned char)*text) || strpbrk(text, "xX")) return v; /* no hexadecimal */
  i = *text == '-';
  if (*text == '+' || (text[i] == '0' && isdigit((unsigned char)text[i + 1]))) return v; /* 007 is a name */
  errno = 0;
  i = strtoll(text, &end, 10);
  if (!*end && !errno) return (pc_value){.type = PC_SQL_INT, .i = i, .d = (double)i};
  errno = 0;
  d = strtod(text, &end);
  if (!*end && !errno && d == d && (isdigit((unsigned char)end[-1]) || end[-1] == '.'))
    return (pc_value){.type = PC_SQL_REAL, .d = d};
  return v;
}

int pc_format_parse(pc_format *out, const char *name) {
  static const char *const names[] = {"table", "csv", "json", "markdown", "latex"};
  for (int i = 0; i < 5; i++)
    if (!strcmp(name, names[i])) {
      *out = (pc_format)i;
      return PC_OK;
    }
  return pc_fail(PC_EARG, "sql: format \"%s\" is none of table, csv, json, markdown, latex", name);
}

/* ---- the embedded queries ---- */

pc_query_info pc_query_embedded(int i) {
  pc_query_info info = {0};
  for (const pc_embedded *f = pc_embedded_sql; f->name; f++) {
    static const char prefix[] = "queries/";
    if (strncmp(f->name, prefix, sizeof prefix - 1) || i-- > 0) continue;
    snprintf(info.name, sizeof info.name, "%s", f->name + sizeof prefix - 1);
    info.name[strcspn(info.name, ".")] = '\0';
    info.text = (const char *)f->data;
    snprintf(info.title, sizeof info.title, "%.*s", (int)strcspn(info.text, "\n"), info.text);
    memmove(info.title, info.title + strspn(info.title, "- "), strlen(info.title + strspn(info.title, "- ")) + 1);
    break;
  }
  return info;
}

static int resolve(const char **sql, int *embedded) {
  char file[128], known[512] = "";
  *embedded = **sql == '@';
  if (!*embedded) return PC_OK;
  snprintf(file, sizeof file, "queries/%s.sql", *sql + 1);
  const char *text = pc_sql_file(file);
  if (text) {
    *sql = text;
    return PC_OK;
  }
  for (int i = 0;; i++) {
    pc_query_info info = pc_query_embedded(i);
    size_t used = strlen(known);
    if (!info.name[0]) break;
    snprintf(known + used, sizeof known - used, "%s@%s", i ? ", " : "", info.name);
  }
  return pc_fail(PC_ENOTFOUND, "sql: there is no query %s; there are %s", *sql, known);
}

/* ---- errors ---- */

/* The line of the text around offset, with a caret below it. */
static int syntax_fail(pc_db *db, const char *sql, const char *statement, int rc) {
  int offset = sqlite3_error_offset(db->handle);
  const char *at, *line, *end;
  char caret[200];
  int n, row = 1;
  if (offset < 0) return pc_sql_fail(db->handle, db->path, rc, "sql");
  at = statement + offset;
  for (line = at; line > sql && line[-1] != '\n'; line--) {
  }
  for (const char *c = sql; c < line; c++) row += *c == '\n';
  end = line + strcspn(line, "\n");
  if (at - line > 100) line = at - 100;
  if (end - line > 160) end = line + 160;
  n = 0;
  for (const char *c = line; c < at && n < (int)sizeof caret - 1; c++)
    if (((unsigned char)*c & 0xc0) != 0x80) caret[n++] = *c == '\t' ? '\t' : ' ';
  caret[n] = '\0';
  return pc_fail(PC_EARG, "sql: line %d, column %d: %s\n  %.*s\n  %s^", row, n + 1, sqlite3_errmsg(db->handle),
                 (int)(end - line), line, caret);
}

/* ---- parameters ---- */

/* the line of the head comment that describes :name, cut of its dashes */
static const char *describe(const char *sql, const char *name, char *out, size_t size) {
  size_t n = strlen(name);
  for (const char *line = sql; !strncmp(line, "--", 2); line += strcspn(line, "\n"), line += *line == '\n') {
    const char *c = line + 2 + strspn(line + 2, " ");
    if (*c == ':' && !strncmp(c + 1, name, n) && !isalnum((unsigned char)c[1 + n]) && c[1 + n] != '_') {
      c += 1 + n;
      c += strspn(c, " ");
      snprintf(out, size, "%.*s", (int)strcspn(c, "\n"), c);
      return out;
    }
  }
  return NULL;
}

static int bind_value(sqlite3_stmt *st, int i, const pc_value *v) {
  switch (v->type) {
    case PC_SQL_INT: return sqlite3_bind_int64(st, i, v->i);
    case PC_SQL_REAL: return sqlite3_bind_double(st, i, v->d);
    case PC_SQL_TEXT: return sqlite3_bind_text(st, i, v->text, (int)v->size, SQLITE_STATIC);
    case PC_SQL_BLOB: return sqlite3_bind_blob64(st, i, v->text, v->size, SQLITE_STATIC);
    default: return sqlite3_bind_null(st, i);
  }
}

static int bind_params(pc_db *db, sqlite3_stmt *st, const char *sql, int embedded, const pc_query_opts *o, char *used) {
  int n = sqlite3_bind_parameter_count(st);
  for (int i = 1; i <= n; i++) {
    const char *name = sqlite3_bind_parameter_name(st, i);
    char about[200];
    int k;
    if (!name) return pc_fail(PC_EARG, "sql: parameters go by name: write :name instead of ?");
    name++;
    for (k = 0; k < o->n_params && strcmp(o->params[k].name, name); k++) {
    }
    if (k < o->n_params) {
      int rc = bind_value(st, i, &o->params[k].value);
      if (rc != SQLITE_OK) return pc_db_fail(db, rc, "sql");
      used[k] = 1;
      continue;
    }
    if (!describe(sql, name, about, sizeof about)) snprintf(about, sizeof about, "a value for it");
    if (!embedded || strstr(about, "(required)"))
      return pc_fail(PC_EARG, "sql: parameter %s has no value; give %s=… (%s)", name, name, about);
  }
  return PC_OK;
}

static int all_used(const pc_query_opts *o, const char *used) {
  for (int k = 0; k < o->n_params; k++)
    if (!used[k]) return pc_fail(PC_EARG, "sql: the query has no parameter :%s", o->params[k].name);
  return PC_OK;
}

/* ---- running ---- */

static int read_values(sqlite3_stmt *st, pc_value *v, int n) {
  for (int i = 0; i < n; i++) {
    v[i] = (pc_value){0};
    switch (sqlite3_column_type(st, i)) {
      case SQLITE_INTEGER:
        v[i].type = PC_SQL_INT;
        v[i].i = sqlite3_column_int64(st, i);
        v[i].d = (double)v[i].i;
        break;
      case SQLITE_FLOAT:
        v[i].type = PC_SQL_REAL;
        v[i].d = sqlite3_column_double(st, i);
        break;
      case SQLITE_TEXT:
        v[i].type = PC_SQL_TEXT;
        v[i].text = (const char *)sqlite3_column_text(st, i);
        v[i].size = (size_t)sqlite3_column_bytes(st, i);
        if (!v[i].text) return PC_ENOMEM;
        break;
      case SQLITE_BLOB:
        v[i].type = PC_SQL_BLOB;
        v[i].text = sqlite3_column_blob(st, i);
        v[i].size = (size_t)sqlite3_column_bytes(st, i);
        if (!v[i].text) v[i].text = ""; /* of no bytes */
        break;
      default: break;
    }
  }
  return PC_OK;
}

static int step_all(pc_db *db, sqlite3_stmt *st, const pc_row_sink *sink) {
  int n = sqlite3_column_count(st), code = PC_OK, rc;
  const char **names = pc_malloc((size_t)(n + 1) * sizeof *names);
  pc_value *values = pc_malloc((size_t)(n + 1) * sizeof *values);
  if (!names || !values) {
    code = PC_ENOMEM;
    goto done;
  }
  for (int i = 0; i < n; i++) names[i] = sqlite3_column_name(st, i);
  if (n && sink->begin) code = sink->begin(sink->ctx, n, names);
  while (code == PC_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    code = read_values(st, values, n);
    if (code == PC_OK && sink->row) code = sink->row(sink->ctx, n, values);
  }
  if (code == PC_OK && rc != SQLITE_DONE)
    code = rc == SQLITE_INTERRUPT && pc_interrupted() ? pc_check_interrupt() : pc_db_fail(db, rc, "sql");
  if (code == PC_OK && n && sink->end) code = sink->end(sink->ctx);
  if (code == PC_OK && !n && sink->changed) code = sink->changed(sink->ctx, sqlite3_changes64(db->handle));
done:
  pc_free(names);
  pc_free(values);
  return code;
}

static int may_run(pc_db *db, sqlite3_stmt *st, const pc_query_opts *o) {
  char head[80];
  const char *text = sqlite3_sql(st);
  if (sqlite3_stmt_readonly(st) || (o->write && db->writable)) return PC_OK;
  text += strspn(text, " \t\n");
  snprintf(head, sizeof head, "%.60s%s", text, strlen(text) > 60 ? "…" : "");
  head[strcspn(head, "\n")] = '\0';
  if (!o->write)
    return pc_fail(PC_ESTATE, "sql: this would change %s: %s\n  add --write if it is meant", db->path, head);
  return pc_fail(PC_ESTATE, "sql: %s is open for reading alone: %s", db->path, head);
}

/* ---- what a query that reads may do ---- */

static int listed(const char *name, const char *const *list) {
  for (; *list; list++)
    if (!sqlite3_stricmp(name, *list)) return 1;
  return 0;
}

/* ctx: 100 characters for what is refused */
static int authorize(void *ctx, int action, const char *a, const char *b, const char *schema, const char *inner) {
  static const char *const looks[] = {
      "table_info",       "table_xinfo",       "table_list",      "index_list",  "index_info", "index_xinfo",
      "foreign_key_list", "foreign_key_check", "integrity_check", "quick_check", NULL};
  static const char *const acts[] = {"wal_checkpoint", "incremental_vacuum", "optimize", "shrink_memory", NULL};
  static const char *const reaches[] = {"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer", NULL};
  int refused = action == SQLITE_ATTACH || action == SQLITE_DETACH;
  const char *what = refused ? "another file" : "";
  if (action == SQLITE_PRAGMA && (b ? !listed(a, looks) : listed(a, acts))) refused = 1, what = a;
  if (action == SQLITE_FUNCTION && b && listed(b, reaches)) refused = 1, what = b;
  if (refused) snprintf(ctx, 100, "%s%s", action == SQLITE_PRAGMA ? "pragma " : "", what);
  return refused ? SQLITE_DENY : SQLITE_OK;
}

static int poll_interrupt(void *ctx) { return pc_interrupted(); }

static int pivot_keys(const char *sql, int *by) {
  const char *c = strstr(sql, "-- pivot:");
  int keys = 0;
  *by = 0;
  if (c) sscanf(c + 9, "%d by %d", &keys, by);
  return keys;
}

static int run_all(pc_db *db, const char *sql, int embedded, const pc_query_opts *o, const pc_row_sink *sink) {
  char *used = pc_calloc((size_t)o->n_params + 1, 1), refused[100] = "";
  int code = used ? PC_OK : PC_ENOMEM;
  const char *rest = sql;
  sqlite3_progress_handler(db->handle, 20000, poll_interrupt, NULL);
  if (!o->write) sqlite3_exec(db->handle, "pragma query_only = 1", NULL, NULL, NULL);
  if (!o->write) sqlite3_set_authorizer(db->handle, authorize, refused);
  while (code == PC_OK && *rest) {
    sqlite3_stmt *st = NULL;
    const char *statement = rest;
    int rc = sqlite3_prepare_v2(db->handle, statement, -1, &st, &rest);
    if (rc != SQLITE_OK) {
      code = *refused ? pc_fail(PC_ESTATE, "sql: a query reads this file alone; %s is refused without --write", refused)
                      : syntax_fail(db, sql, statement, rc);
      break;
    }
    if (!st) continue; /* space or comment */
    code = may_run(db, st, o);
    if (code == PC_OK) code = bind_params(db, st, sql, embedded, o, used);
    /* asked before anything runs where there is one statement, which is nearly always */
    if (code == PC_OK && !rest[strspn(rest, " \t\r\n;")]) code = all_used(o, used);
    if (code == PC_OK) code = step_all(db, st, sink);
    sqlite3_finalize(st);
  }
  sqlite3_set_authorizer(db->handle, NULL, NULL);
  if (!o->write) sqlite3_exec(db->handle, "pragma query_only = 0", NULL, NULL, NULL);
  sqlite3_progress_handler(db->handle, 0, NULL, NULL);
  pc_free(used);
  return code;
}

int pc_query_rows(pc_db *db, const char *sql, const pc_query_opts *opts, const pc_row_sink *sink) {
  static const pc_query_opts plain;
  pc_row_sink front = *sink;
  pc_pivot *pivot = NULL;
  int embedded, code, keys, by;
  if (!opts) opts = &plain;
  if ((code = resolve(&sql, &embedded))) return code;
  if ((code = pc_db_lock(db, "sql"))) return code;
  if (db->runs)
    code = pc_fail(PC_ESTATE, "sql: runs are recorded through this handle; open %s once more to query it", db->path);
  pc_db_unlock(db);
  if (code != PC_OK) return code;
  keys = pivot_keys(sql, &by);
  if (keys > 0) {
    pivot = pc_pivot_new(keys, by, sink);
    if (!pivot) return PC_ENOMEM;
    front = pc_pivot_sink(pivot);
  }
  code = run_all(db, sql, embedded, opts, &front);
  pc_pivot_free(pivot);
  return code;
}

int pc_query_print(pc_db *db, const char *sql, const pc_query_opts *opts, FILE *out) {
  pc_printer *p = pc_printer_new(out, opts ? opts->format : PC_FORMAT_TABLE, opts ? opts->bold : 0);
  pc_row_sink sink;
  int code;
  if (!p) return PC_ENOMEM;
  if (opts && opts->defuse) pc_printer_defuse(p);
  sink = pc_printer_sink(p);
  code = pc_query_rows(db, sql, opts, &sink);
  if (code == PC_OK && fflush(out)) code = pc_fail(PC_EIO, "sql: cannot write the result: %s", strerror(errno));
  pc_printer_free(p);
  return code;
}
