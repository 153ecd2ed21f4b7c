#include "bindings/rows.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "bindings/args.h"

typedef struct rows_ctx {
  lua_State *L;
  int list, names; /* where on the stack the rows and the columns' names are gathered */
  int n, n_names;
} rows_ctx;

/* Is the name among the first n of the list? */
static int is_name(lua_State *L, int list, int n, const char *name) {
  int found = 0;
  for (int i = 1; i <= n && !found; i++) {
    lua_rawgeti(L, list, i);
    found = !strcmp(lua_tostring(L, -1), name);
    lua_pop(L, 1);
  }
  return found;
}

/* Columns of one name stay apart, as in JSON: a, a_2. */
static int rows_begin(void *ctx, int n, const char *const *names) {
  rows_ctx *c = ctx;
  for (int i = 0; i < n; i++) {
    lua_pushstring(c->L, names[i]);
    for (int k = 2; is_name(c->L, c->names, i, lua_tostring(c->L, -1)); k++) {
      lua_pop(c->L, 1);
      lua_pushfstring(c->L, "%s_%d", names[i], k);
    }
    lua_rawseti(c->L, c->names, i + 1);
  }
  for (int i = n; i < c->n_names; i++) lua_pushnil(c->L), lua_rawseti(c->L, c->names, i + 1);
  c->n_names = n;
  return PC_OK;
}

static int rows_row(void *ctx, int n, const pc_value *v) {
  rows_ctx *c = ctx;
  lua_createtable(c->L, 0, n);
  for (int i = 0; i < n; i++) {
    if (v[i].type == PC_SQL_NULL) continue;
    lua_rawgeti(c->L, c->names, i + 1);
    if (v[i].type == PC_SQL_INT && (v[i].i > 1LL << 53 || v[i].i < -(1LL << 53)))
      return pc_fail(PC_EARG,
                     "query: column %s holds %lld, more than a number of Lua holds exactly; select cast(%s as text)",
                     lua_tostring(c->L, -1), (long long)v[i].i, lua_tostring(c->L, -1));
    if (v[i].type == PC_SQL_INT || v[i].type == PC_SQL_REAL)
      lua_pushnumber(c->L, v[i].d);
    else
      lua_pushlstring(c->L, v[i].text, v[i].size);
    lua_rawset(c->L, -3);
  }
  lua_rawseti(c->L, c->list, ++c->n);
  return PC_OK;
}

static pc_value number_value(double d) { /* whole numbers as such: SQL divides them so */
  if (d == floor(d) && fabs(d) < 9e15) return (pc_value){.type = PC_SQL_INT, .i = (int64_t)d, .d = d};
  return (pc_value){.type = PC_SQL_REAL, .d = d};
}

int pc_rows_params(lua_State *L, int at, pc_sql_param *p) {
  int n = 0;
  for (lua_pushnil(L); at && lua_next(L, at); lua_pop(L, 1)) {
    size_t size;
    if (!pc_text(L, -2) || n == PC_MAX_PARAMS)
      return pc_fail(PC_EARG, "query: parameters are values by name, at most %d", PC_MAX_PARAMS);
    p[n].name = lua_tostring(L, -2);
    if (lua_type(L, -1) == LUA_TNUMBER) {
      p[n].value = number_value(lua_tonumber(L, -1));
    } else if (lua_type(L, -1) == LUA_TSTRING) {
      const char *text = lua_tolstring(L, -1, &size);
      p[n].value = (pc_value){.type = PC_SQL_TEXT, .text = text, .size = size};
    } else {
      return pc_fail(PC_EARG, "query: parameter %s is %s; a number or a string is expected", p[n].name,
                     pc_describe(L, -1));
    }
    n++;
  }
  return n;
}

int pc_rows_query(lua_State *L, pc_db *db, const char *sql, const pc_query_opts *opts) {
  rows_ctx c = {.L = L};
  int rc;
  lua_newtable(L), c.list = lua_gettop(L);
  lua_newtable(L), c.names = lua_gettop(L);
  rc = pc_query_rows(db, sql, opts, &(pc_row_sink){.ctx = &c, .begin = rows_begin, .row = rows_row});
  lua_settop(L, c.names);
  return rc;
}
