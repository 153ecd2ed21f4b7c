/* json.h: values of Lua as JSON and back.
 *
 * A table with a list part is an array, another one an object of its string
 * keys (an empty one is {}). Whole numbers are integers; infinities and NaN,
 * which JSON lacks, are the strings "inf", "-inf", "nan". null comes back as nil.
 */
#ifndef PC_BINDINGS_JSON_H
#define PC_BINDINGS_JSON_H

#include <jansson.h>
#include <lua.h>

/* The value at this place, keys sorted; from malloc. flags: of jansson. NULL when at is 0. */
char *pc_json_text(lua_State *L, int at, int flags);
void pc_push_json(lua_State *L, const json_t *j);

#endif
