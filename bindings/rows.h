/* rows.h: rows of a query as tables of Lua, and values of Lua as a query's parameters: nothing is cut, merged or
 * rounded on the way. Columns of one name become a, a_2; a whole number beyond 2^53 is refused; strings may hold NUL
 * bytes. */
#ifndef PC_BINDINGS_ROWS_H
#define PC_BINDINGS_ROWS_H

#include <lua.h>

#include "db/query.h"

enum { PC_MAX_PARAMS = 32 };

/* The table at `at` (0: none) as at most PC_MAX_PARAMS parameters, borrowed; how many, or PC_EARG. */
int pc_rows_params(lua_State *L, int at, pc_sql_param *params);

/* Pushes the list of rows and the list of column names, also when it fails. */
int pc_rows_query(lua_State *L, pc_db *db, const char *sql, const pc_query_opts *opts);

#endif
