/* records.c: percept.records: keeping house in a database: tags, notes, archive, sweeps, tables of Lua rows. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "bindings/args.h"
#include "bindings/percept.h"
#include "db/digest.h"
#include "db/format.h"
#include "db/query.h"
#include "db/recorder.h"
#include "db/sweep.h"

int luaopen_percept_records(lua_State *L);

/* ---- runs that ended ---- */

/* A database for one change; the change's code is what the caller returns. */
#define CHANGE(path, call)                        \
  do {                                            \
    pc_db *db;                                    \
    int rc_ = pc_db_open(&db, path, PC_DB_WRITE); \
    if (rc_ < 0) return rc_;                      \
    rc_ = (call);                                 \
    pc_db_close(db);                              \
    return pc_done(rc_);                          \
  } while (0)

static int f_archive(lua_State *L, pc_args *a) {
  CHANGE(pc_arg_str(a, "db"), pc_db_archive(db, pc_arg_str(a, "uid"), pc_arg_bool(a, "on")));
}

static int f_tag(lua_State *L, pc_args *a) {
  CHANGE(pc_arg_str(a, "db"), pc_db_tag(db, pc_arg_str(a, "uid"), pc_arg_str(a, "tag"), pc_arg_bool(a, "on")));
}

static int f_note(lua_State *L, pc_args *a) {
  CHANGE(pc_arg_str(a, "db"), pc_db_note_run(db, pc_arg_str(a, "uid"), pc_arg_str(a, "note")));
}

static int f_event(lua_State *L, pc_args *a) {
  CHANGE(pc_arg_str(a, "db"), pc_db_event(db, pc_arg_str(a, "uid"), pc_arg_str(a, "level"), pc_arg_str(a, "text")));
}

static int f_delete(lua_State *L, pc_args *a) {
  CHANGE(pc_arg_str(a, "db"), pc_db_delete_run(db, pc_arg_str(a, "uid")));
}

/* ---- sweeps ---- */

/* A text of the table itself, which keeps it: one that a metamethod makes, or that a number becomes, nobody would. */
static const char *field(lua_State *L, int at, const char *name) {
  lua_pushstring(L, name);
  lua_rawget(L, at);
  const char *s = pc_text(L, -1);
  lua_pop(L, 1);
  return s;
}

/* Cell i on top of the stack: {digest = , seed = , set = JSON}. */
static int read_cell(lua_State *L, int i, pc_cell *out) {
  static const char expected[] = "sweep: cell %d: a cell is {digest = , seed = , set = JSON}";
  int cell = lua_gettop(L);
  if (!lua_istable(L, cell)) return pc_fail(PC_EARG, expected, i);
  lua_pushliteral(L, "seed");
  lua_rawget(L, cell);
  double seed = lua_tonumber(L, -1);
  int whole = lua_type(L, -1) == LUA_TNUMBER && seed == floor(seed) && fabs(seed) <= 9007199254740992.0;
  *out = (pc_cell){
      .seed = whole ? (int64_t)seed : 0, .config_digest = field(L, cell, "digest"), .set_json = field(L, cell, "set")};
  lua_settop(L, cell);
  return whole && out->config_digest && out->set_json ? PC_OK : pc_fail(PC_EARG, expected, i);
}

static int f_sweep(lua_State *L, pc_args *a) {
  int at = pc_arg_at(a, "cells"), n = (int)lua_objlen(L, at), added, rc = PC_OK;
  pc_db *db;
  pc_sweep sweep = {.name = pc_arg_str(a, "name"),
                    .experiment = pc_arg_str(a, "experiment"),
                    .script = pc_arg_str(a, "script"),
                    .spec_json = pc_arg_str(a, "spec"),
                    .command = pc_arg_str(a, "command")};
  pc_cell *cells = lua_newuserdata(L, ((size_t)n + 1) * sizeof *cells); /* the collector frees it */
  for (int i = 0; i < n && rc == PC_OK; i++) {
    lua_rawgeti(L, at, i + 1);
    rc = read_cell(L, i + 1, &cells[i]);
    lua_pop(L, 1);
  }
  if (rc == PC_OK) rc = pc_db_open(&db, pc_arg_str(a, "db"), PC_DB_CREATE);
  if (rc == PC_OK) {
    rc = pc_sweep_add(db, &sweep, n, cells, &added);
    pc_db_close(db);
  }
  if (rc < 0) return rc;
  lua_pushinteger(L, added);
  return 1;
}

static int f_claim(lua_State *L, pc_args *a) {
  pc_db *db;
  int got = 0, rc = pc_db_open(&db, pc_arg_str(a, "db"), PC_DB_WRITE);
  if (rc < 0) return rc;
  rc = pc_sweep_claim(db, pc_arg_str(a, "sweep"), pc_arg_str(a, "digest"), pc_arg_int64(a, "seed"),
                      pc_arg_bool(a, "again"), &got);
  pc_db_close(db);
  lua_pushboolean(L, got);
  return rc < 0 ? rc : 1;
}

static int f_release(lua_State *L, pc_args *a) {
  CHANGE(pc_arg_str(a, "db"),
         pc_sweep_release(db, pc_arg_str(a, "sweep"), pc_arg_str(a, "digest"), pc_arg_int64(a, "seed")));
}

static int f_config_digest(lua_State *L, pc_args *a) {
  char digest[33];
  int rc = pc_config_digest(digest, pc_arg_str(a, "config"));
  if (rc < 0) return rc;
  lua_pushstring(L, digest);
  return 1;
}

/* ---- digests, texts ---- */

static int f_digest_file(lua_State *L, pc_args *a) {
  char digest[PC_DIGEST_SIZE];
  int64_t bytes;
  int rc = pc_digest_file(digest, &bytes, pc_arg_str(a, "path"));
  if (rc < 0) return rc;
  lua_pushstring(L, digest);
  lua_pushnumber(L, (lua_Number)bytes);
  return 2;
}

static int f_digest(lua_State *L, pc_args *a) {
  char digest[PC_DIGEST_SIZE];
  size_t n;
  const char *text = lua_tolstring(L, pc_arg_at(a, "text"), &n);
  pc_digest_bytes(digest, text, n);
  lua_pushstring(L, digest);
  return 1;
}

static int f_sql_file(lua_State *L, pc_args *a) {
  const char *text = pc_sql_file(pc_arg_str(a, "name"));
  if (!text) return pc_fail(PC_ENOTFOUND, "sql_file: there is no db/%s", pc_arg_str(a, "name"));
  lua_pushstring(L, text);
  return 1;
}

/* ---- rows of Lua through the one formatter ---- */

static pc_value value_at(lua_State *L, int at) {
  pc_value v = {0};
  if (lua_type(L, at) == LUA_TNUMBER) {
    v.d = lua_tonumber(L, at);
    v.type = v.d == floor(v.d) && fabs(v.d) < 9e15 ? PC_SQL_INT : PC_SQL_REAL;
    if (v.type == PC_SQL_INT) v.i = (int64_t)v.d;
  } else if (lua_type(L, at) == LUA_TSTRING || lua_type(L, at) == LUA_TBOOLEAN) {
    v.type = PC_SQL_TEXT;
    v.text = lua_type(L, at) == LUA_TSTRING ? lua_tolstring(L, at, &v.size) : lua_toboolean(L, at) ? "true" : "false";
    if (lua_type(L, at) == LUA_TBOOLEAN) v.size = strlen(v.text);
  }
  return v;
}

enum { MAX_COLUMNS = 256 };

static int print_rows(lua_State *L, const pc_row_sink *sink, int names_at, int rows_at) {
  const char *names[MAX_COLUMNS];
  pc_value v[MAX_COLUMNS];
  int n = (int)lua_objlen(L, names_at), rows = (int)lua_objlen(L, rows_at), base = lua_gettop(L), rc;
  if (n > MAX_COLUMNS) return pc_fail(PC_EARG, "table: at most %d columns", MAX_COLUMNS);
  luaL_checkstack(L, n + 4, "table");
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, names_at, i + 1);
    names[i] = pc_text_or_number(L, -1) ? pc_text_or_number(L, -1) : "";
    lua_pop(L, 1); /* the list keeps it */
  }
  rc = sink->begin(sink->ctx, n, names);
  for (int r = 1; r <= rows && rc == PC_OK; r++) {
    lua_rawgeti(L, rows_at, r);
    if (!lua_istable(L, -1)) return pc_fail(PC_EARG, "table: row %d is no list", r);
    for (int i = 0; i < n; i++) {
      lua_rawgeti(L, base + 1, i + 1);
      v[i] = value_at(L, -1);
    }
    rc = sink->row(sink->ctx, n, v);
    lua_settop(L, base);
  }
  return rc == PC_OK ? sink->end(sink->ctx) : rc;
}

static int f_table(lua_State *L, pc_args *a) {
  pc_format format;
  pc_printer *p;
  int rc = pc_format_parse(&format, pc_arg_str(a, "format"));
  if (rc < 0) return rc;
  p = pc_printer_new(stdout, format, pc_arg_bool(a, "bold"));
  if (!p) return PC_ENOMEM;
  pc_row_sink sink = pc_printer_sink(p);
  rc = print_rows(L, &sink, pc_arg_at(a, "names"), pc_arg_at(a, "rows"));
  pc_printer_free(p);
  if (rc == PC_OK && fflush(stdout)) rc = pc_fail(PC_EIO, "table: the reader of the result is gone");
  return pc_done(rc);
}

static int f_text_width(lua_State *L, pc_args *a) {
  lua_pushinteger(L, pc_text_width(pc_arg_str(a, "text")));
  return 1;
}

static int f_shown(lua_State *L, pc_args *a) {
  size_t n;
  const char *s = lua_tolstring(L, pc_arg_at(a, "text"), &n); /* a number, too */
  char *text;
  if (!s) return pc_arg_fail(L, a, "text", NULL);
  if (!(text = pc_text_shown(s, n, pc_arg_bool(a, "lines")))) return PC_ENOMEM;
  lua_pushstring(L, text);
  pc_free(text);
  return 1;
}

static const pc_luafn functions[] = {
    {"archive", "db:str, uid:str, on:bool=true", f_archive, "sets or clears the archived mark of a run", 0},
    {"tag", "db:str, uid:str, tag:str, on:bool=true", f_tag, "adds or takes away a tag", 0},
    {"note", "db:str, uid:str, note:str(any)?", f_note, "sets or clears the note of a run", 0},
    {"event", "db:str, uid:str, level:str(info|warning|error), text:str(any)", f_event, "adds an event to a run", 0},
    {"delete", "db:str, uid:str", f_delete, "deletes a run with everything that hangs on it", 0},
    {"sweep", "db:str, name:str, experiment:str, script:str, spec:str, command:str(any)?, cells:table", f_sweep,
     "adds a sweep or the cells it lacks, {{digest, seed, set = JSON}, ...} -> how many are new", 0},
    {"claim", "db:str, sweep:str, digest:str, seed:int64, again:bool=false", f_claim,
     "is this cell missing, and now ours to run?", 0},
    {"release", "db:str, sweep:str, digest:str, seed:int64", f_release, "gives a claimed cell back", 0},
    {"config_digest", "config:str", f_config_digest, "run.config_digest of a configuration, given as JSON", 0},
    {"digest_file", "path:str", f_digest_file, "-> XXH3-128 of a file, its bytes", 0},
    {"digest", "text:str(bytes)", f_digest, "XXH3-128 of a text", 0},
    {"sql_file", "name:str", f_sql_file, "an embedded file of db/, as 'schema.sql'", 0},
    {"table", "names:table, rows:table, format:str=table, bold:bool=false", f_table,
     "prints lists of values as recorder.print prints a query", 0},
    {"shown", "text:any, lines:bool=false", f_shown,
     "a text for a terminal: what would steer it is spelled out (\\x1b, \\u202e); lines: newlines and tabs stay", 0},
    {"text_width", "text:str(any)", f_text_width, "columns of a terminal that a text needs", 0},
    {0}};

int luaopen_percept_records(lua_State *L) {
  lua_newtable(L);
  pc_register(L, "records", functions);
  return 1;
}
