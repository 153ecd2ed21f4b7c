#include "db/check.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/error.h"

enum {
  PC_CHECK_ROWS = 20000,    /* rows of a table whose types are looked at */
  PC_VALUE_MAX = 256 << 20, /* bytes of one value */
  PC_UID_MAX = 63,          /* bytes of a uid: pc_run has room for these */
  PC_CHECKED = 64,          /* files whose rows this process remembers to have looked at */
  PC_SHOW = 48,             /* bytes of a difference that a message shows */
};

/* ---- the file ---- */

static const char *kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

int pc_check_file(const char *path, int *exists) {
  static const char *const beside[] = {"-journal", "-wal", "-shm"};
  struct stat st;
  char *real, *name;
  int code = PC_OK;
  *exists = 0;
  if (stat(path, &st)) {
    if (errno == ENOENT || errno == ENOTDIR) return PC_OK;
    return pc_fail(PC_EIO, "open: %s: %s", path, strerror(errno));
  }
  *exists = 1;
  if (!S_ISREG(st.st_mode)) return pc_fail(PC_EARG, "open: %s is %s; a database is a file", path, kind_of(st.st_mode));
  real = realpath(path, NULL);
  if (!real) return pc_fail(PC_EIO, "open: %s: %s", path, strerror(errno));
  name = pc_malloc(strlen(real) + 16);
  if (!name) code = PC_ENOMEM;
  for (size_t i = 0; i < sizeof beside / sizeof *beside && code == PC_OK; i++) {
    sprintf(name, "%s%s", real, beside[i]);
    if (!stat(name, &st) && !S_ISREG(st.st_mode))
      code = pc_fail(PC_EARG, "open: %s is %s; beside a database it is a file of SQLite's", name, kind_of(st.st_mode));
  }
  pc_free(name);
  free(real);
  return code;
}

int pc_check_harden(sqlite3 *h) {
  static const struct {
    int id, most;
  } limits[] = {{SQLITE_LIMIT_LENGTH, PC_VALUE_MAX}, {SQLITE_LIMIT_SQL_LENGTH, 4 << 20},
                {SQLITE_LIMIT_ATTACHED, 1},          {SQLITE_LIMIT_TRIGGER_DEPTH, 8},
                {SQLITE_LIMIT_EXPR_DEPTH, 500},      {SQLITE_LIMIT_WORKER_THREADS, 0}};
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) sqlite3_limit(h, limits[i].id, limits[i].most);
  sqlite3_db_config(h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  sqlite3_db_config(h, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
  return sqlite3_exec(h, "pragma cell_size_check = on", NULL, NULL, NULL);
}

void pc_check_distrust(sqlite3 *h) { sqlite3_db_config(h, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL); }

/* ---- what percept makes ---- */

typedef struct object {
  char *type, *name, *sql; /* sql: normal() */
  char *types;             /* of a table: the query that finds a value of the wrong type; NULL: not looked at */
} object;

static struct {
  object *list;
  int n, cap;
  pthread_mutex_t lock;
} ours = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int is_word(char c) { return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80; }

/* A statement without comments and blanks that carry no meaning, in lower case but for what stands in quotes. */
static char *normal(const char *sql) {
  char *out = pc_malloc(strlen(sql) + 1), *o = out;
  if (!out) return NULL;
  for (int blank = 0; *sql;) {
    if (isspace((unsigned char)*sql)) {
      blank = 1, sql++;
    } else if (!strncmp(sql, "--", 2)) {
      blank = 1, sql += strcspn(sql, "\n");
    } else if (!strncmp(sql, "/*", 2)) {
      const char *end = strstr(sql + 2, "*/");
      blank = 1, sql = end ? end + 2 : sql + strlen(sql);
    } else if (strchr("'\"`", *sql)) {
      char quote = *sql;
      do *o++ = *sql++;
      while (*sql && *sql != quote);
      if (*sql) *o++ = *sql++;
      blank = 0;
    } else {
      if (blank && o > out && is_word(o[-1]) && is_word(*sql)) *o++ = ' ';
      *o++ = (char)tolower((unsigned char)*sql++);
      blank = 0;
    }
  }
  *o = '\0';
  return out;
}

/* the types that a column of a declared type may hold, as a list of SQL */
static const char *fitting(const char *declared, int not_null) {
  static const struct {
    const char *declared, *types, *or_null;
  } known[] = {{"text", "'text'", "'text','null'"},
               {"integer", "'integer'", "'integer','null'"},
               {"real", "'real','integer'", "'real','integer','null'"},
               {"numeric", "'real','integer'", "'real','integer','null'"},
               {"blob", "'blob'", "'blob','null'"}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (!sqlite3_stricmp(known[i].declared, declared)) return not_null ? known[i].types : known[i].or_null;
  return NULL;
}

/* select first key, wrong column, its type, what is expected from TABLE: one row, of the first that is wrong. typeof
 * and not "is null": SQLite believes NOT NULL and would not look. */
static char *types_query(sqlite3 *h, const char *table) {
  sqlite3_stmt *st = NULL;
  sqlite3_str *which = sqlite3_str_new(h), *type = sqlite3_str_new(h), *want = sqlite3_str_new(h);
  char *w, *t, *n, *out = NULL, key[64] = "", *kept = NULL;
  int rc = sqlite3_prepare_v2(h, "select name, type, \"notnull\", pk from pragma_table_info(?1)", -1, &st, NULL);
  if (rc == SQLITE_OK) sqlite3_bind_text(st, 1, table, -1, SQLITE_STATIC);
  while (rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
    const char *name = pc_col_text(st, 0), *declared = pc_col_text(st, 1);
    const char *fit = fitting(declared, sqlite3_column_int(st, 2) || sqlite3_column_int(st, 3));
    if (!*key) snprintf(key, sizeof key, "%s", name);
    if (!fit) continue;
    sqlite3_str_appendf(which, " when typeof(%s) not in (%s) then '%q'", name, fit, name);
    sqlite3_str_appendf(type, " when typeof(%s) not in (%s) then typeof(%s)", name, fit, name);
    sqlite3_str_appendf(want, " when typeof(%s) not in (%s) then '%q'", name, fit, declared);
  }
  sqlite3_finalize(st);
  w = sqlite3_str_finish(which), t = sqlite3_str_finish(type), n = sqlite3_str_finish(want);
  if (w && t && n)
    out = sqlite3_mprintf(
        "select * from (select %s, case%s end as k, case%s end, case%s end from "
        "(select * from main.%s limit %d)) where k is not null limit 1",
        key, w, t, n, table, PC_CHECK_ROWS);
  sqlite3_free(w), sqlite3_free(t), sqlite3_free(n);
  if (out) kept = pc_strdup(out);
  sqlite3_free(out);
  return kept;
}

static int add_object(sqlite3 *h, const char *type, const char *name, const char *sql) {
  /* curves: long, and read as numbers alone */
  static const char *const curves[] = {"metric", "metric_block", "system_sample"};
  object *o;
  int look = !strcmp(type, "table");
  if (ours.n == ours.cap) {
    int cap = ours.cap ? 2 * ours.cap : 64;
    object *list = pc_realloc(ours.list, (size_t)cap * sizeof *list);
    if (!list) return PC_ENOMEM;
    ours.list = list;
    ours.cap = cap;
  }
  for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) look = look && strcmp(name, curves[i]) != 0;
  o = &ours.list[ours.n];
  *o = (object){pc_strdup(type), pc_strdup(name), normal(sql), look ? types_query(h, name) : NULL};
  ours.n++; /* also when incomplete: forget() frees it */
  return o->type && o->name && o->sql && (!look || o->types) ? PC_OK : PC_ENOMEM;
}

static void forget(void) {
  for (int i = 0; i < ours.n; i++) {
    pc_free(ours.list[i].type);
    pc_free(ours.list[i].name);
    pc_free(ours.list[i].sql);
    pc_free(ours.list[i].types);
  }
  ours.n = 0;
}

/* Makes a database in memory, once, and keeps what it consists of. */
static int learn(void) {
  sqlite3 *h = NULL;
  sqlite3_stmt *st = NULL;
  int code = PC_OK, rc;
  pthread_mutex_lock(&ours.lock);
  if (ours.n) goto done;
  rc = sqlite3_open_v2(":memory:", &h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_exec(h, pc_sql_file("schema.sql"), NULL, NULL, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_exec(h, pc_sql_file("views.sql"), NULL, NULL, NULL);
  if (rc == SQLITE_OK)
    rc = sqlite3_prepare_v2(h, "select type, name, sql from sqlite_master where sql is not null", -1, &st, NULL);
  while (rc == SQLITE_OK && code == PC_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    code = add_object(h, pc_col_text(st, 0), pc_col_text(st, 1), pc_col_text(st, 2));
    rc = SQLITE_OK;
  }
  if (code == PC_OK && rc != SQLITE_DONE) code = pc_sql_fail(h, "the schema", rc, "open");
  sqlite3_finalize(st);
  sqlite3_close(h);
  if (code != PC_OK) forget();
done:
  pthread_mutex_unlock(&ours.lock);
  return code;
}

/* ---- the schema ---- */

static int changed(pc_db *db, const object *o, const char *sql) {
  size_t at = 0, from;
  while (sql[at] && sql[at] == o->sql[at]) at++;
  for (from = at; from > 0 && is_word(sql[from - 1]); from--) {
  }
  return pc_fail(PC_EFORMAT,
                 "open: %s: %s %s is not the one that percept makes: \"%.*s\" stands where \"%.*s\" is expected; "
                 "percept sql still reads the file",
                 db->path, o->type, o->name, PC_SHOW, sql + from, PC_SHOW, o->sql + from);
}

/* An older table has the columns of ours up to some point: migrations only add. */
static int earlier(const object *o, const char *sql) {
  size_t n = strlen(sql);
  return !strcmp(o->type, "view") || (n && sql[n - 1] == ')' && !strncmp(sql, o->sql, n - 1));
}

static int compare(pc_db *db, const char *type, const char *name, const char *sql, int old, char *seen) {
  char *text;
  int code = PC_OK;
  const object *o = NULL;
  for (int i = 0; i < ours.n && !o; i++)
    if (!strcmp(ours.list[i].name, name)) o = &ours.list[i], seen[i] = 1;
  if (o && strcmp(o->type, type))
    return pc_fail(PC_EFORMAT, "open: %s: %s is a %s where a %s is expected; percept sql still reads the file",
                   db->path, name, type, o->type);
  text = normal(sql);
  if (!text) return PC_ENOMEM;
  if (o && strcmp(o->sql, text) && !(old && earlier(o, text)))
    code = changed(db, o, text);
  else if (!o && !strcmp(type, "trigger"))
    code = pc_fail(PC_EFORMAT, "open: %s: trigger %s is not percept's and would act when a run is recorded; drop it",
                   db->path, name);
  else if (!o && !strncmp(text, "create virtual", 14))
    code = pc_fail(PC_EFORMAT, "open: %s: %s is a virtual table; a percept database has none: keep it in another file",
                   db->path, name);
  pc_free(text);
  return code;
}

static int missing(pc_db *db, const char *seen) {
  for (int i = 0; i < ours.n; i++)
    if (!seen[i])
      return pc_fail(PC_EFORMAT, "open: %s: %s %s is missing; percept sql still reads the file", db->path,
                     ours.list[i].type, ours.list[i].name);
  return PC_OK;
}

int pc_check_schema(pc_db *db, int64_t version) {
  sqlite3_stmt *st = NULL;
  int code = learn(), rc, old = version < PC_DB_VERSION;
  char *seen;
  if (code != PC_OK) return code;
  seen = pc_calloc((size_t)ours.n + 1, 1);
  if (!seen) return PC_ENOMEM;
  rc = sqlite3_prepare_v2(db->handle,
                          "select type, name, sql from main.sqlite_master where name not like 'sqlite\\_%' escape '\\'",
                          -1, &st, NULL);
  while (rc == SQLITE_OK && code == PC_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    code = compare(db, pc_col_text(st, 0), pc_col_text(st, 1), pc_col_text(st, 2), old, seen);
    rc = SQLITE_OK;
  }
  if (code == PC_OK && rc != SQLITE_DONE) code = pc_db_fail(db, rc, "open");
  sqlite3_finalize(st);
  if (code == PC_OK && !old) code = missing(db, seen);
  pc_free(seen);
  return code;
}

/* ---- rows ---- */

/* words for a type: of a value as typeof has it, of a column as declared */
static const char *type_name(const char *type) {
  static const struct {
    const char *type, *words;
  } known[] = {{"null", "NULL"},     {"text", "text"},       {"blob", "a blob"}, {"integer", "a whole number"},
               {"real", "a number"}, {"numeric", "a number"}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (!sqlite3_stricmp(known[i].type, type)) return known[i].words;
  return type;
}

static int wrong_row(pc_db *db, const char *table, const char *key, const char *column, const char *type,
                     const char *want) {
  return pc_fail(PC_EFORMAT,
                 "open: %s: %s %.40s: %s is %s where %s is expected: percept has not written that; percept sql still "
                 "reads the file",
                 db->path, table, key, column, type_name(type), type_name(want));
}

static int check_table(pc_db *db, const object *o) {
  sqlite3_stmt *st = NULL;
  int code = PC_OK, rc = sqlite3_prepare_v2(db->handle, o->types, -1, &st, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_step(st);
  if (rc == SQLITE_ROW)
    code = wrong_row(db, o->name, pc_col_text(st, 0), pc_col_text(st, 1), pc_col_text(st, 2), pc_col_text(st, 3));
  else if (rc != SQLITE_DONE)
    code = pc_db_fail(db, rc, "open");
  sqlite3_finalize(st);
  return code;
}

/* A uid names files and goes to the terminal: no slash, no control character, no more than there is room for. */
static int check_uids(pc_db *db) {
  int64_t id = 0;
  char sql[256];
  int code;
  snprintf(
      sql, sizeof sql,
      "select id from (select id, uid from main.run limit %d) where length(cast(uid as blob)) not between 1 and %d "
      "or uid glob ?1 or instr(cast(uid as blob), x'00') limit 1",
      PC_CHECK_ROWS, PC_UID_MAX);
  code = pc_db_run_sql(db, &id, "open", sql, "s", "*[/\x01-\x1f\x7f]*");
  if (code == PC_OK && id)
    code = pc_fail(PC_EFORMAT,
                   "open: %s: run %lld: its uid is not 1 to %d characters without slashes and control characters; "
                   "percept sql still reads the file",
                   db->path, (long long)id, PC_UID_MAX);
  return code;
}

/* Has this process looked at this file? It remembers the last PC_CHECKED of them. */
static int looked_at(const struct stat *st, int remember) {
  static struct {
    dev_t dev;
    ino_t ino;
    struct timespec changed;
  } known[PC_CHECKED];
  static int n;
  int found = 0;
  pthread_mutex_lock(&ours.lock);
  for (int i = 0; i < PC_CHECKED && i < n && !found; i++)
    found = known[i].dev == st->st_dev && known[i].ino == st->st_ino && known[i].changed.tv_sec == st->st_mtim.tv_sec &&
            known[i].changed.tv_nsec == st->st_mtim.tv_nsec;
  if (remember && !found) {
    known[n % PC_CHECKED].dev = st->st_dev;
    known[n % PC_CHECKED].ino = st->st_ino;
    known[n++ % PC_CHECKED].changed = st->st_mtim;
  }
  pthread_mutex_unlock(&ours.lock);
  return found;
}

int pc_check_rows(pc_db *db) {
  struct stat st;
  int there = stat(db->path, &st) == 0, code = PC_OK;
  if (there && looked_at(&st, 0)) return PC_OK;
  for (int i = 0; i < ours.n && code == PC_OK; i++)
    if (ours.list[i].types) code = check_table(db, &ours.list[i]);
  if (code == PC_OK) code = check_uids(db);
  if (code == PC_OK && there) looked_at(&st, 1);
  return code;
}
