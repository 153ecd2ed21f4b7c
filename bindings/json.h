/* json.h: values of Lua as JSON and back, so that different values have different texts.
 *
 * A table whose keys are 1..n is an array, another one (an empty one, too) an
 * object. JSON has keys of text alone, text in UTF-8 alone, and no infinity:
 *   key 100, 0.5, true      "[100]", "[0.5]", "[true]"
 *   inf, -inf, NaN          "number:inf", "number:-inf", "number:nan"
 *   -0                      -0.0
 *   text with other bytes   "bytes:K\xe4tz": each such byte, NUL and the backslash as \xNN
 * Text that looks like one of these is written as bytes itself (its first odd
 * character as \xNN). What can't be written is an error that names its path: functions,
 * handles, boxed integers, tables as keys, an empty key, a table within itself,
 * more than 100 levels. null comes back as nil.
 */
#ifndef PC_BINDINGS_JSON_H
#define PC_BINDINGS_JSON_H

#include <jansson.h>
#include <lua.h>

/* The value at this place, keys sorted; *out from malloc, NULL when at is 0. flags: of jansson. PC_EARG:
 * "<what>: model.act is a function ...". */
int pc_json_text(lua_State *L, char **out, int at, int flags, const char *what);
void pc_push_json(lua_State *L, const json_t *j);

#endif
