/* params.c: a configuration as typed rows: nested objects become a.b.c, a list stays one parameter (its JSON).
 *
 * JSON holds keys and values that it lacks as text (bindings/json.h): the key
 * "[100]" is the number 100, "number:inf" an infinity. A row is called a.100
 * unless "100" stands beside it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "db/digest.h"
#include "db/internal.h"

/* one parameter: a boolean has num and txt, null has neither */
typedef struct value {
  int has_num;
  double num;
  int exact; /* num is the integer `whole` */
  int64_t whole;
  const char *txt;
  int string; /* txt is a string of its own, neither a boolean nor a list */
} value;

typedef int (*leaf_fn)(void *ctx, const char *key, const value *v);

/* NaN stays text: SQL would read NULL, another configuration. */
static value text(const char *s) {
  if (!strcmp(s, "number:inf")) return (value){.has_num = 1, .num = INFINITY};
  if (!strcmp(s, "number:-inf")) return (value){.has_num = 1, .num = -INFINITY};
  return (value){.txt = s, .string = 1};
}

static int leaf(json_t *j, const char *key, leaf_fn fn, void *ctx) {
  value v = {0};
  char *dump = NULL;
  int code;
  switch (json_typeof(j)) {
    case JSON_INTEGER:
      v = (value){.has_num = 1, .num = (double)json_integer_value(j), .exact = 1, .whole = json_integer_value(j)};
      break;
    case JSON_REAL: v = (value){.has_num = 1, .num = json_real_value(j)}; break;
    case JSON_TRUE: v = (value){.has_num = 1, .num = 1, .exact = 1, .whole = 1, .txt = "true"}; break;
    case JSON_FALSE: v = (value){.has_num = 1, .exact = 1, .txt = "false"}; break;
    case JSON_STRING: v = text(json_string_value(j)); break;
    case JSON_NULL: break;
    default:
      dump = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
      if (!dump) return pc_fail(PC_ENOMEM, "config: %s: out of memory", key);
      v.txt = dump;
  }
  code = fn(ctx, key, &v);
  free(dump);
  return code;
}

/* "[100]" as 100, where no sibling is called so; else the name itself. */
static const char *natural(json_t *object, const char *name, char buf[64]) {
  size_t n = strlen(name);
  if (n < 3 || n > 64 || name[0] != '[' || name[n - 1] != ']') return name;
  memcpy(buf, name + 1, n - 2);
  buf[n - 2] = '\0';
  return json_object_get(object, buf) ? name : buf;
}

/* naturally: keys as a user writes them; else as they are distinct. */
static int walk(json_t *object, char *key, size_t used, size_t size, int naturally, leaf_fn fn, void *ctx) {
  const char *name;
  char buf[64];
  json_t *j;
  int code = PC_OK;
  json_object_foreach(object, name, j) {
    if (!*name) return pc_fail(PC_EARG, "config: %s has an empty key", used ? key : "the configuration");
    int n = snprintf(key + used, size - used, "%s%s", used ? "." : "", naturally ? natural(object, name, buf) : name);
    if (n < 0 || (size_t)n >= size - used) return pc_fail(PC_EARG, "config: key %s… is longer than %zu", key, size - 1);
    if (json_is_object(j) && json_object_size(j))
      code = walk(j, key, used + (size_t)n, size, naturally, fn, ctx);
    else
      code = leaf(j, key, fn, ctx);
    if (code != PC_OK) return code;
  }
  return PC_OK;
}

static int each(json_t *object, int naturally, leaf_fn fn, void *ctx) {
  char key[1024] = "";
  return walk(object, key, 0, sizeof key, naturally, fn, ctx);
}

int pc_json_object(json_t **out, const char *text, const char *op) {
  json_error_t e;
  *out = NULL;
  if (!text || !*text)
    *out = json_object();
  else
    *out = json_loads(text, JSON_REJECT_DUPLICATES, &e);
  if (!*out && text && *text && *e.text)
    return pc_fail(PC_EARG, "%s: config is not JSON: line %d, column %d: %s", op, e.line, e.column, e.text);
  if (!*out) return pc_fail(PC_ENOMEM, "%s: out of memory", op);
  if (!json_is_object(*out)) {
    json_decref(*out);
    *out = NULL;
    return pc_fail(PC_EARG, "%s: config is JSON, but not an object: give {\"key\": value, …}", op);
  }
  return PC_OK;
}

/* ---- comparing and adding ---- */

typedef struct add_ctx {
  pc_db *db;
  int64_t run_id;
  const char *op;
  int check_only; /* absent keys are not added */
} add_ctx;

static void show(char *out, size_t size, int has_num, double num, const char *txt) {
  if (txt && has_num)
    snprintf(out, size, "%s", txt);
  else if (txt)
    snprintf(out, size, "\"%s\"", txt);
  else if (has_num)
    snprintf(out, size, "%.15g", num);
  else
    snprintf(out, size, "null");
}

/* *state: 0 no such key, 1 equal, 2 other; old receives what is recorded */
static int compare(add_ctx *c, const char *key, const value *v, int *state, char *old, size_t size) {
  sqlite3_stmt *st;
  int code = pc_stmt_get(c->db, PC_STMT_PARAM_GET, &st), rc;
  if (code != PC_OK) return code;
  sqlite3_bind_int64(st, 1, c->run_id);
  sqlite3_bind_text(st, 2, key, -1, SQLITE_TRANSIENT);
  rc = sqlite3_step(st);
  *state = 0;
  if (rc == SQLITE_ROW) {
    int has = sqlite3_column_type(st, 0) != SQLITE_NULL;
    double num = sqlite3_column_double(st, 0);
    const char *txt = (const char *)sqlite3_column_text(st, 1);
    int same = has == v->has_num && (!has || num == v->num) && !txt == !v->txt && (!txt || !strcmp(txt, v->txt));
    *state = same ? 1 : 2;
    show(old, size, has, num, txt);
  } else if (rc != SQLITE_DONE) {
    code = pc_db_fail(c->db, rc, c->op);
  }
  sqlite3_reset(st);
  return code;
}

static int add(void *ctx, const char *key, const value *v) {
  add_ctx *c = ctx;
  sqlite3_stmt *st;
  char old[256], now[256];
  int state, rc, code = compare(c, key, v, &state, old, sizeof old);
  if (code != PC_OK || state == 1 || (c->check_only && state == 0)) return code;
  if (state == 2) {
    show(now, sizeof now, v->has_num, v->num, v->txt);
    return pc_fail(PC_EARG, "%s: parameter %s is recorded as %s and cannot become %s; start another run for it", c->op,
                   key, old, now);
  }
  if ((code = pc_stmt_get(c->db, PC_STMT_PARAM, &st))) return code;
  sqlite3_bind_int64(st, 1, c->run_id);
  sqlite3_bind_text(st, 2, key, -1, SQLITE_TRANSIENT);
  if (v->exact)
    sqlite3_bind_int64(st, 3, v->whole);
  else if (v->has_num)
    sqlite3_bind_double(st, 3, v->num);
  else
    sqlite3_bind_null(st, 3);
  if (v->txt)
    sqlite3_bind_text(st, 4, v->txt, -1, SQLITE_TRANSIENT);
  else
    sqlite3_bind_null(st, 4);
  rc = sqlite3_step(st);
  if (rc != SQLITE_DONE) code = pc_db_fail(c->db, rc, c->op);
  sqlite3_reset(st);
  return code;
}

int pc_params_add(pc_db *db, int64_t run_id, json_t *object, const char *op) {
  add_ctx c = {db, run_id, op, 0};
  return each(object, 1, add, &c);
}

int pc_params_check(pc_db *db, int64_t run_id, json_t *object, const char *op) {
  add_ctx c = {db, run_id, op, 1};
  return each(object, 1, add, &c);
}

/* ---- digest: the sorted leaves but `seed`, so that the order and nesting written do not matter ----
 *
 * A leaf is a line: key#number, key=text. A text that could be taken for something else (a boolean's, a list's, with a
 * line's end) and a key that holds a mark are written as JSON: key~"text", "key"=text. */

typedef struct line_list {
  char **lines;
  int n, cap;
} line_list;

/* Is this string the text of another kind of value, or more than one line? */
static int ambiguous(const char *s) {
  if (strchr(s, '\n') || !strcmp(s, "true") || !strcmp(s, "false")) return 1;
  if (*s != '[' && *s != '{') return 0;
  json_t *j = json_loads(s, 0, NULL);
  json_decref(j);
  return j != NULL;
}

/* The text as JSON, from malloc. */
static char *quoted(const char *s) {
  json_t *j = json_string(s);
  char *out = j ? json_dumps(j, JSON_ENCODE_ANY) : NULL;
  json_decref(j);
  return out;
}

static int add_line(line_list *l, const char *key, const char *text, char mark) {
  char *line, *own = NULL;
  size_t size;
  if (strpbrk(key, "=#~\n\"") && !(key = own = quoted(key))) return PC_ENOMEM;
  size = strlen(key) + strlen(text) + 4;
  if (l->n == l->cap) {
    int cap = l->cap ? 2 * l->cap : 32;
    char **lines = pc_realloc(l->lines, (size_t)cap * sizeof *lines);
    if (!lines) {
      free(own);
      return PC_ENOMEM;
    }
    l->lines = lines;
    l->cap = cap;
  }
  line = pc_malloc(size);
  if (line) {
    snprintf(line, size, "%s%c%s\n", key, mark, text);
    l->lines[l->n++] = line;
  }
  free(own);
  return line ? PC_OK : PC_ENOMEM;
}

static int collect(void *ctx, const char *key, const value *v) {
  char number[64] = "", *own;
  int code;
  if (!strcmp(key, "seed")) return PC_OK;
  if (!v->txt) {
    if (v->has_num) snprintf(number, sizeof number, "%.17g", v->num);
    return add_line(ctx, key, number, '#');
  }
  if (!v->string || !ambiguous(v->txt)) return add_line(ctx, key, v->txt, '=');
  if (!(own = quoted(v->txt))) return PC_ENOMEM;
  code = add_line(ctx, key, own, '~');
  free(own);
  return code;
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int pc_params_digest(char out[33], json_t *object) {
  line_list l = {0};
  pc_digest *d = NULL;
  int code = each(object, 0, collect, &l);
  if (code == PC_OK && !(d = pc_digest_new())) code = PC_ENOMEM;
  if (l.n) qsort(l.lines, (size_t)l.n, sizeof *l.lines, by_text);
  for (int i = 0; i < l.n; i++) {
    if (d) pc_digest_update(d, l.lines[i], strlen(l.lines[i]));
    pc_free(l.lines[i]);
  }
  if (d) pc_digest_final(d, out);
  pc_free(l.lines);
  return code;
}

/* ---- public: parameters added later ---- */

static int later(pc_run *run, json_t *object, const char *op) {
  pc_db *db = run->db;
  int code;
  if (!object) return pc_fail(PC_ENOMEM, "%s: out of memory", op);
  code = pc_db_lock(db, op);
  if (code == PC_OK) {
    code = pc_db_begin(db, PC_BUSY_WAIT, op);
    if (code == PC_OK) code = pc_db_end(db, pc_params_add(db, run->id, object, op), op);
    pc_db_unlock(db);
  }
  json_decref(object);
  return code;
}

static int later_one(pc_run *run, const char *key, json_t *v) {
  json_t *object = json_object();
  if (!key || !*key) {
    json_decref(v);
    json_decref(object);
    return pc_fail(PC_EARG, "run:param: the key is empty");
  }
  if (!v || !object || json_object_set_new(object, key, v)) {
    json_decref(object);
    return pc_fail(PC_EARG, "run:param: %s: not a finite number or not UTF-8", key);
  }
  return later(run, object, "run:param");
}

int pc_run_param_num(pc_run *run, const char *key, double v) {
  if (v == floor(v) && fabs(v) < 9e15) return later_one(run, key, json_integer((json_int_t)v));
  return later_one(run, key, json_real(v));
}

int pc_run_param_text(pc_run *run, const char *key, const char *v) { return later_one(run, key, json_string(v)); }

int pc_run_param_bool(pc_run *run, const char *key, int v) { return later_one(run, key, json_boolean(v)); }

int pc_run_params(pc_run *run, const char *json) {
  json_t *object;
  int code = pc_json_object(&object, json, "run:param");
  return code == PC_OK ? later(run, object, "run:param") : code;
}
