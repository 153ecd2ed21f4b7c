/* recorder.c: percept.recorder: runs and queries over db/. */
#include <errno.h>
#include <gnu/libc-version.h>
#include <jansson.h>
#include <math.h>
#include <png.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/parallel.h"
#include "bindings/args.h"
#include "bindings/json.h"
#include "bindings/percept.h"
#include "bindings/rows.h"
#include "db/query.h"
#include "db/recorder.h"
#include "formats/file.h"
#include "tensor/backend.h"

int luaopen_percept_recorder(lua_State *L);

typedef struct run_handle {
  pc_run *r;
} run_handle;
#define RUN(a, name) (((run_handle *)pc_arg_object(a, name))->r)

static int f_json(lua_State *L, pc_args *a) {
  char *text;
  int rc = pc_json_text(L, &text, pc_arg_at(a, "value"), JSON_ENCODE_ANY, "json");
  if (rc < 0) return rc;
  lua_pushstring(L, text);
  free(text);
  return 1;
}

static int f_parse_json(lua_State *L, pc_args *a) {
  json_error_t e;
  json_t *j = json_loads(pc_arg_str(a, "text"), JSON_DECODE_ANY, &e);
  if (!j) return pc_fail(PC_EFORMAT, "json: %s at line %d", e.text, e.line);
  pc_push_json(L, j);
  json_decref(j);
  return 1;
}

/* ---- the Lua files a run uses ---- */

static int is_builtin(const char *name) {
  static const char *const builtin[] = {"_G",      "string", "table",     "math", "io",  "os",
                                        "package", "debug",  "coroutine", "bit",  "jit", "ffi"};
  for (size_t i = 0; i < sizeof builtin / sizeof *builtin; i++)
    if (!strcmp(name, builtin[i])) return 1;
  return !strncmp(name, "jit.", 4);
}

/* Every file that was required so far becomes a source of the run. What the program embeds is told by its version. */
static int record_modules(lua_State *L, pc_run *r) {
  int top = lua_gettop(L), rc = PC_OK;
  luaL_checkstack(L, 12, "modules");
  pc_push_global(L, "package");
  lua_getfield(L, top + 1, "loaded");
  lua_getfield(L, top + 1, "preload");
  lua_getfield(L, top + 1, "path");
  lua_getfield(L, top + 1, "searchpath");
  if (lua_istable(L, top + 2) && lua_istable(L, top + 3) && lua_isfunction(L, top + 5))
    for (lua_pushnil(L); rc == PC_OK && lua_next(L, top + 2); lua_settop(L, top + 6)) {
      if (lua_type(L, top + 6) != LUA_TSTRING || is_builtin(lua_tostring(L, top + 6))) continue;
      lua_pushvalue(L, top + 6);
      lua_rawget(L, top + 3);
      if (!lua_isnil(L, -1)) continue;
      lua_pushvalue(L, top + 5);
      lua_pushvalue(L, top + 6);
      lua_pushvalue(L, top + 4);
      if (lua_pcall(L, 2, 1, 0) == 0 && lua_isstring(L, -1))
        rc = pc_run_source(r, "module", lua_tostring(L, -1), NULL, 0);
    }
  lua_settop(L, top);
  return rc;
}

/* ---- runs ---- */

static char open_key; /* registry[&open_key]: the handles of open runs; a run lives until it is finished */

static void push_open(lua_State *L) {
  lua_pushlightuserdata(L, &open_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  if (lua_istable(L, -1)) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushlightuserdata(L, &open_key);
  lua_pushvalue(L, -2);
  lua_rawset(L, LUA_REGISTRYINDEX);
}

static void set_open(lua_State *L, int at, int on) {
  push_open(L);
  lua_pushvalue(L, at);
  lua_pushboolean(L, 1);
  if (!on) lua_pop(L, 1), lua_pushnil(L);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

void pc_finish_open_runs(lua_State *L, const char *status, const char *message) {
  pc_run_status st = !strcmp(status, "done") ? PC_RUN_DONE : !strcmp(status, "killed") ? PC_RUN_KILLED : PC_RUN_FAILED;
  if (!pc_db_open_runs()) return;
  push_open(L);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    run_handle *h = pc_to_object(L, -2, "run");
    if (h && h->r && pc_run_get_status(h->r) == PC_RUN_RUNNING && record_modules(L, h->r) < 0)
      fprintf(stderr, "percept: %s\n", pc_error_text());
  }
  lua_pop(L, 1);
  pc_db_finish_open(st, message);
  if (pc_db_open_runs()) fprintf(stderr, "percept: a run could not be closed: %s\n", pc_error_text());
  lua_pushlightuserdata(L, &open_key);
  lua_pushnil(L);
  lua_rawset(L, LUA_REGISTRYINDEX);
}

static int run_gc(lua_State *L) {
  run_handle *h = lua_touserdata(L, 1);
  pc_run_free(h->r);
  h->r = NULL;
  return 0;
}

static int push_run(lua_State *L, pc_run *r) {
  ((run_handle *)pc_new_object(L, "run", sizeof(run_handle)))->r = r;
  lua_newtable(L);
  lua_setfenv(L, -2); /* fields that scripts hang on a run */
  set_open(L, lua_gettop(L), 1);
  int rc = record_modules(L, r);
  return rc < 0 ? rc : 1;
}

enum { MAX_ENV = 64, MAX_TAGS = 64 };

char *openblas_get_config(void);
char *openblas_get_corename(void);

/* The versions that decide a number. */
static int versions(lua_State *L, pc_kv *env) {
  int n = 0;
  pc_push_global(L, "jit");
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, "version"); /* the table keeps the string */
    if (lua_isstring(L, -1)) env[n++] = (pc_kv){"luajit", lua_tostring(L, -1)};
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  env[n++] = (pc_kv){"percept", PC_VERSION};
  env[n++] = (pc_kv){"openblas", openblas_get_config()};
  env[n++] = (pc_kv){"blas_core", openblas_get_corename()};
  env[n++] = (pc_kv){"compiler", __VERSION__};
  env[n++] = (pc_kv){"libc", gnu_get_libc_version()};
  env[n++] = (pc_kv){"libpng", png_get_libpng_ver(NULL)};
  env[n++] = (pc_kv){"zstd", ZSTD_versionString()};
  env[n++] = (pc_kv){"sqlite", sqlite3_libversion()};
  env[n++] = (pc_kv){"simd", pc_backend_now()->name};
  return n;
}

/* Library versions and settings that the run row keeps. */
static int environment(lua_State *L, pc_kv *env, int at) {
  int n = versions(L, env);
  for (lua_pushnil(L); at && lua_next(L, at); lua_pop(L, 1)) {
    const char *key = pc_text(L, -2), *value = pc_text(L, -1);
    if (!key || !value || n == MAX_ENV)
      return pc_fail(PC_EARG, "start: env: %s is %s; at most %d strings by name, without NUL bytes",
                     key ? key : "a key", pc_describe(L, key ? -1 : -2), MAX_ENV);
    env[n++] = (pc_kv){key, value};
  }
  return n;
}

static int read_tags(lua_State *L, const char **tags, int at) {
  int n = at ? (int)lua_objlen(L, at) : 0;
  if (n > MAX_TAGS) return pc_fail(PC_EARG, "start: tags: %d are given, at most %d are kept", n, MAX_TAGS);
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, at, i + 1);
    tags[i] = pc_text(L, -1);
    if (!tags[i])
      return pc_fail(PC_EARG, "start: tags: tag %d is %s; a string without NUL bytes is expected", i + 1,
                     pc_describe(L, -1));
    lua_pop(L, 1);
  }
  return n;
}

static int f_start(lua_State *L, pc_args *a) {
  const char *tags[MAX_TAGS];
  pc_kv env[MAX_ENV];
  pc_db *db;
  pc_run *r = NULL;
  int n_tags = read_tags(L, tags, pc_arg_at(a, "tags")), n_env = environment(L, env, pc_arg_at(a, "env"));
  if (n_tags < 0 || n_env < 0) return n_tags < 0 ? n_tags : n_env;
  char *json;
  int rc = pc_json_text(L, &json, pc_arg_at(a, "config"), JSON_COMPACT, "config");
  if (rc < 0) return rc;
  pc_run_config c = {.experiment = pc_arg_str(a, "experiment"),
                     .name = pc_arg_str(a, "name"),
                     .has_seed = pc_arg_given(a, "seed"),
                     .seed = pc_arg_int64(a, "seed"),
                     .config_json = json,
                     .script = pc_arg_str(a, "script"),
                     .note = pc_arg_str(a, "note"),
                     .parent = pc_arg_str(a, "parent"),
                     .sweep = pc_arg_str(a, "sweep"),
                     .command = pc_arg_str(a, "command"),
                     .repeats = pc_arg_str(a, "repeats"),
                     .other_data = pc_arg_bool(a, "other_data"),
                     .threads = pc_num_threads(),
                     .tags = tags,
                     .n_tags = n_tags,
                     .env = env,
                     .n_env = n_env};
  rc = pc_db_open(&db, pc_arg_str(a, "db"), PC_DB_CREATE);
  if (rc == PC_OK) {
    rc = pc_run_start(&r, db, &c);
    pc_db_close(db); /* the run holds it */
  }
  free(json);
  return rc < 0 ? rc : push_run(L, r);
}

static int f_resume(lua_State *L, pc_args *a) {
  pc_db *db;
  pc_run *r;
  if (pc_arg_given(a, "step") && pc_arg_int64(a, "step") < 0)
    return pc_fail(PC_EARG, "resume: step is %lld; 0 is the beginning, without it the newest checkpoint's is taken",
                   (long long)pc_arg_int64(a, "step"));
  int rc = pc_db_open(&db, pc_arg_str(a, "db"), PC_DB_WRITE);
  if (rc < 0) return rc;
  rc = pc_run_resume(&r, db, pc_arg_str(a, "uid"), pc_arg_given(a, "step") ? pc_arg_int64(a, "step") : -1, NULL);
  pc_db_close(db);
  return rc < 0 ? rc : push_run(L, r);
}

static int m_uid(lua_State *L, pc_args *a) { return lua_pushstring(L, pc_run_uid(RUN(a, "self"))), 1; }
static int m_db(lua_State *L, pc_args *a) { return lua_pushstring(L, pc_db_path(pc_run_db(RUN(a, "self")))), 1; }
static int m_step(lua_State *L, pc_args *a) { return lua_pushnumber(L, (lua_Number)pc_run_step(RUN(a, "self"))), 1; }

static int m_log(lua_State *L, pc_args *a) {
  const char *names[256];
  double values[256];
  int n = 0, at = pc_arg_at(a, "values");
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    pc_tensor *t = pc_to_tensor(L, -1);
    int ok = pc_text(L, -2) && n < 256 && (lua_type(L, -1) == LUA_TNUMBER || (t && pc_numel(t) == 1));
    if (!ok)
      return pc_fail(
          PC_EARG,
          "log: at most 256 figures {name = number or one-element tensor}, names without NUL bytes; '%s' is %s",
          lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?", pc_describe(L, -1));
    names[n] = lua_tostring(L, -2);
    values[n++] = t ? pc_item(t) : lua_tonumber(L, -1);
  }
  return pc_done(pc_run_log(RUN(a, "self"), pc_arg_int64(a, "step"), n, names, values));
}

static int m_flush(lua_State *L, pc_args *a) { return pc_done(pc_run_flush(RUN(a, "self"))); }

static int m_result(lua_State *L, pc_args *a) {
  char *extra;
  int rc = pc_json_text(L, &extra, pc_arg_at(a, "extra"), JSON_COMPACT, "result: extra");
  if (rc < 0) return rc;
  pc_result r = {.method = pc_arg_str(a, "method"),
                 .split = pc_arg_str(a, "split"),
                 .metric = pc_arg_str(a, "metric"),
                 .value = pc_arg_num(a, "value"),
                 .factor = pc_arg_str(a, "factor"),
                 .n = pc_arg_int64(a, "n"),
                 .extra_json = extra};
  rc = pc_run_result(RUN(a, "self"), &r);
  free(extra);
  return pc_done(rc);
}

static int m_artifact(lua_State *L, pc_args *a) {
  return pc_done(pc_run_artifact(RUN(a, "self"), pc_arg_str(a, "kind"),
                                 pc_arg_given(a, "step") ? pc_arg_int64(a, "step") : -1, pc_arg_str(a, "path"), NULL,
                                 -1));
}

static int m_dataset(lua_State *L, pc_args *a) {
  return pc_done(pc_run_dataset(RUN(a, "self"), pc_arg_str(a, "digest"), pc_arg_str(a, "name"),
                                pc_arg_given(a, "n") ? pc_arg_int64(a, "n") : -1, pc_arg_str(a, "path"),
                                pc_arg_str(a, "role")));
}

static int m_source(lua_State *L, pc_args *a) {
  const char *text = pc_arg_str(a, "text");
  return pc_done(
      pc_run_source(RUN(a, "self"), pc_arg_str(a, "kind"), pc_arg_str(a, "path"), text, text ? strlen(text) : 0));
}

static int m_tag(lua_State *L, pc_args *a) { return pc_done(pc_run_tag(RUN(a, "self"), pc_arg_str(a, "tag"))); }
static int m_goal(lua_State *L, pc_args *a) {
  return pc_done(pc_run_goal(RUN(a, "self"), pc_arg_str(a, "metric"), pc_arg_str(a, "goal")));
}

static int m_param(lua_State *L, pc_args *a) {
  const char *key = pc_arg_str(a, "key");
  int at = pc_arg_at(a, "value"), kind = lua_type(L, at), rc;
  char *json;
  if (kind != LUA_TBOOLEAN && kind != LUA_TNUMBER && kind != LUA_TSTRING)
    return pc_fail(PC_EARG, "param: '%s' is %s; a number, a string or a boolean is expected", key, pc_describe(L, at));
  lua_createtable(L, 0, 1); /* written as a configuration is */
  lua_pushvalue(L, pc_arg_at(a, "key"));
  lua_pushvalue(L, at);
  lua_rawset(L, -3);
  rc = pc_json_text(L, &json, lua_gettop(L), JSON_COMPACT, "param");
  lua_pop(L, 1);
  if (rc == PC_OK) rc = pc_run_params(RUN(a, "self"), json);
  free(json);
  return pc_done(rc);
}

static int m_finish(lua_State *L, pc_args *a) {
  static const char *const names[] = {"done", "failed", "killed"};
  static const pc_run_status statuses[] = {PC_RUN_DONE, PC_RUN_FAILED, PC_RUN_KILLED};
  for (int i = 0; i < 3; i++)
    if (!strcmp(pc_arg_str(a, "status"), names[i])) {
      int rc = record_modules(L, RUN(a, "self"));
      if (rc == PC_OK) rc = pc_run_finish(RUN(a, "self"), statuses[i], pc_arg_str(a, "error"));
      if (rc == PC_OK) set_open(L, pc_arg_at(a, "self"), 0);
      return rc;
    }
  return pc_fail(PC_EARG, "finish: status '%s' is none of done, failed, killed", pc_arg_str(a, "status"));
}

static const pc_luafn methods[] = {
    {"uid", "self:run", m_uid, "the run's unique name", 0},
    {"db_path", "self:run", m_db, "the database file", 0},
    {"step", "self:run", m_step, "the step it was resumed at; -1 for a fresh run", 0},
    {"log", "self:run, step:int64, values:table", m_log,
     "figures of one step: {loss = 0.3, ...}; buffered, in the file within 2 s", 0},
    {"flush", "self:run", m_flush, "writes what is buffered now", 0},
    {"result",
     "self:run, method:str, split:str, metric:str, value:num(any), factor:str(any)?, n:int64(0..)=0, extra:table?",
     m_result, "one number of a table: {method = 'search', split = 'ood', metric = 'accuracy', value = 0.8}", 0},
    {"artifact", "self:run, path:str, kind:str=file, step:int64?", m_artifact,
     "a file that belongs to the run, with its digest", 0},
    {"dataset", "self:run, digest:str, name:str, n:int64(0..)?, path:str?, role:str?", m_dataset, "data the run used",
     0},
    {"source", "self:run, kind:str, path:str, text:str(any)?", m_source, "source code the run used", 0},
    {"tag", "self:run, tag:str", m_tag, "adds a tag", 0},
    {"goal", "self:run, metric:str, goal:str(min|max)", m_goal, "in which direction a metric is better", 0},
    {"param", "self:run, key:str, value:any", m_param, "adds a parameter; changing one is an error", 0},
    {"finish", "self:run, status:str(done|failed|killed)=done, error:str(any)?", m_finish,
     "closes the run: done, failed or killed", 0},
    {0}};

/* run.field: a method or a field a script hung there */
static int run_index(lua_State *L) {
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  if (!lua_isnil(L, -1)) return 1;
  if (!pc_to_object(L, 1, "run")) return 1; /* another self: no field */
  lua_getfenv(L, 1);
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  return 1;
}

static int run_newindex(lua_State *L) {
  lua_settop(L, 3);
  if (!pc_to_object(L, 1, "run") || lua_isnil(L, 2) || lua_tonumber(L, 2) != lua_tonumber(L, 2))
    return pc_raise(L, pc_fail(PC_EARG, "run: no field %s of %s can be set", pc_describe(L, 2), pc_describe(L, 1)));
  lua_getfenv(L, 1);
  lua_insert(L, 2);
  lua_rawset(L, 2);
  return 0;
}

/* ---- queries ---- */

static int open_for(pc_db **db, const char *path, int write) {
  return pc_db_open(db, path, write ? PC_DB_WRITE : PC_DB_READ);
}

static int f_query(lua_State *L, pc_args *a) {
  pc_sql_param p[PC_MAX_PARAMS];
  pc_db *db;
  int n = pc_rows_params(L, pc_arg_at(a, "params"), p);
  if (n < 0) return n;
  int write = pc_arg_bool(a, "write"), rc = open_for(&db, pc_arg_str(a, "db"), write);
  if (rc < 0) return rc;
  rc = pc_rows_query(L, db, pc_arg_str(a, "sql"), &(pc_query_opts){.params = p, .n_params = n, .write = write});
  pc_db_close(db);
  return rc < 0 ? rc : 2;
}

static int f_parameter(lua_State *L, pc_args *a) {
  pc_value v = pc_value_parse(pc_arg_str(a, "text"));
  int exact = v.type == PC_SQL_REAL || (v.type == PC_SQL_INT && v.i <= 1LL << 53 && v.i >= -(1LL << 53));
  if (exact)
    lua_pushnumber(L, v.d);
  else
    lua_pushvalue(L, pc_arg_at(a, "text"));
  return 1;
}

static int f_print(lua_State *L, pc_args *a) {
  pc_sql_param p[PC_MAX_PARAMS];
  pc_db *db;
  pc_query_opts o = {.write = pc_arg_bool(a, "write"),
                     .params = p,
                     .bold = pc_arg_bool(a, "bold"),
                     .defuse = pc_arg_bool(a, "defuse")};
  int n = pc_rows_params(L, pc_arg_at(a, "params"), p),
      rc = n < 0 ? n : pc_format_parse(&o.format, pc_arg_str(a, "format"));
  o.n_params = n;
  if (rc == PC_OK)
    rc = pc_db_open(&db, pc_arg_str(a, "db"),
                    (o.write ? PC_DB_WRITE : PC_DB_READ) | (pc_arg_bool(a, "raw") ? PC_DB_RAW : 0));
  if (rc < 0) return rc;
  const char *to = pc_arg_str(a, "to");
  pc_file_writer w = {0};
  if (to) rc = pc_file_begin(&w, to);
  if (rc == PC_OK) rc = pc_query_print(db, pc_arg_str(a, "sql"), &o, to ? w.f : stdout);
  if (to && rc == PC_OK) rc = pc_file_commit(&w);
  pc_file_abort(&w);
  if (!to && fflush(stdout) && rc == PC_OK) rc = pc_fail(PC_EIO, "print: standard output: %s", strerror(errno));
  pc_db_close(db);
  return pc_done(rc);
}

static int f_queries(lua_State *L, pc_args *a) {
  lua_newtable(L);
  for (int i = 0;; i++) {
    pc_query_info q = pc_query_embedded(i);
    if (!*q.name) return 1;
    lua_createtable(L, 0, 2);
    lua_pushstring(L, q.name), lua_setfield(L, -2, "name");
    lua_pushstring(L, q.title), lua_setfield(L, -2, "title");
    lua_pushstring(L, q.text), lua_setfield(L, -2, "text");
    lua_rawseti(L, -2, i + 1);
  }
}

static int f_find(lua_State *L, pc_args *a) {
  pc_db *db;
  char uid[64];
  int rc = open_for(&db, pc_arg_str(a, "db"), 0);
  if (rc < 0) return rc;
  rc = pc_db_find_run(db, pc_arg_str(a, "text"), uid);
  pc_db_close(db);
  if (rc < 0) return rc;
  lua_pushstring(L, uid);
  return 1;
}

static int f_checkpoint(lua_State *L, pc_args *a) {
  pc_db *db;
  int64_t step;
  char path[4096];
  int rc = open_for(&db, pc_arg_str(a, "db"), 0);
  if (rc < 0) return rc;
  rc = pc_db_checkpoint(db, pc_arg_str(a, "uid"), &step, path, sizeof path);
  pc_db_close(db);
  if (rc < 0) return rc;
  lua_pushnumber(L, (lua_Number)step);
  lua_pushstring(L, path);
  return 2;
}

static void list_stale(void *ctx, const char *uid, const char *experiment, const char *host, int64_t pid,
                       double silent) {
  lua_State *L = ctx;
  lua_createtable(L, 0, 5);
  lua_pushstring(L, uid), lua_setfield(L, -2, "uid");
  lua_pushstring(L, experiment), lua_setfield(L, -2, "experiment");
  lua_pushstring(L, host), lua_setfield(L, -2, "host");
  lua_pushnumber(L, (lua_Number)pid), lua_setfield(L, -2, "pid");
  lua_pushnumber(L, silent), lua_setfield(L, -2, "silent");
  lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
}

static int f_stale(lua_State *L, pc_args *a) {
  pc_db *db;
  int n, reap = pc_arg_bool(a, "reap"), rc = open_for(&db, pc_arg_str(a, "db"), reap);
  if (rc < 0) return rc;
  lua_newtable(L);
  rc = pc_db_stale(db, reap, list_stale, L, &n);
  pc_db_close(db);
  return rc < 0 ? rc : 1;
}

static int f_merge(lua_State *L, pc_args *a) {
  pc_db *db;
  pc_merge_counts c;
  int rc = pc_db_open(&db, pc_arg_str(a, "db"), PC_DB_CREATE);
  if (rc < 0) return rc;
  pc_merge_opts o = {.thin = pc_arg_int64(a, "thin"),
                     .experiment = pc_arg_str(a, "experiment"),
                     .skip_archived = !pc_arg_bool(a, "archived")};
  rc = pc_db_merge(db, pc_arg_str(a, "from"), &o, &c);
  pc_db_close(db);
  if (rc < 0) return rc;
  lua_pushinteger(L, c.added);
  lua_pushinteger(L, c.replaced);
  lua_pushinteger(L, c.same);
  return 3;
}

static int f_versions(lua_State *L, pc_args *a) {
  pc_kv env[MAX_ENV];
  int n = versions(L, env);
  lua_createtable(L, 0, n);
  for (int i = 0; i < n; i++) lua_pushstring(L, env[i].value), lua_setfield(L, -2, env[i].key);
  return 1;
}

static int f_finish_open(lua_State *L, pc_args *a) {
  pc_finish_open_runs(L, pc_arg_str(a, "status"), pc_arg_str(a, "error"));
  return 0;
}

static const pc_luafn functions[] = {
    {"start",
     "db:str, experiment:str, name:str?, seed:int64?, config:table?, script:str?, tags:table?, note:str(any)?, "
     "parent:str?, "
     "sweep:str?, command:str(any)?, env:table?, repeats:str?, other_data:bool=false",
     f_start, "opens a run and records its provenance -> run", 0},
    {"resume", "db:str, uid:str, step:int64?", f_resume, "takes a run up again; rows behind the step go -> run", 0},
    {"query", "db:str, sql:str, params:table?, write:bool=false", f_query,
     "rows of a query as tables by column name, and the names in order; '@name' is a shipped query; params: numbers "
     "and texts by name; write: it may change the file",
     0},
    {"parameter", "text:str(any)", f_parameter, "a word of a command as a query's parameter: a number, or the text", 0},
    {"print",
     "db:str, sql:str, format:str=table, write:bool=false, params:table?, bold:bool=false, to:str?, "
     "raw:bool=false, defuse:bool=false",
     f_print,
     "prints a query, to a file if `to` names one: table, csv, json, markdown, latex; raw: of any SQLite file; defuse: "
     "in "
     "CSV an apostrophe stands before texts that a spreadsheet would run as a formula",
     0},
    {"queries", "", f_queries, "the shipped queries: list of {name, title, text}", 0},
    {"find", "db:str, text:str(any)", f_find, "full uid of the run whose uid begins so or whose name it is", 0},
    {"checkpoint", "db:str, uid:str", f_checkpoint,
     "step and path of the newest complete checkpoint; -1 and '' if none", 0},
    {"stale", "db:str, reap:bool=false", f_stale, "runs that say running but are not; reap marks them killed", 0},
    {"merge", "db:str, from:str, thin:int(0..)=0, experiment:str?, archived:bool=true", f_merge,
     "copies the runs of another file; thin: rows of each curve, 0 all -> added, replaced, same", 0},
    {"versions", "", f_versions, "what a run records of the program and its libraries", 0},
    {"finish_open", "status:str(done|failed|killed), error:str(any)?", f_finish_open,
     "closes every open run of this process", 0},
    {"json", "value:any", f_json, "a Lua value as JSON", 0},
    {"parse_json", "text:str(any)", f_parse_json, "JSON as a Lua value", 0},
    {0}};

int luaopen_percept_recorder(lua_State *L) {
  pc_class(L, "run", methods, run_gc);
  lua_getfield(L, -1, "__index");
  lua_pushcclosure(L, run_index, 1);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, run_newindex);
  lua_setfield(L, -2, "__newindex");
  lua_newtable(L);
  pc_register(L, "run", methods);
  lua_setfield(L, -2, "methods");
  lua_pop(L, 1);
  lua_newtable(L);
  pc_register(L, "recorder", functions);
  return 1;
}
