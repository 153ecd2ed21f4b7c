#include "bindings/json.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "bindings/args.h"

#define BYTES  "bytes:"
#define NUMBER "number:"
enum { DEEPEST = 100, KEY_ROOM = 64 };

typedef struct writer {
  lua_State *L;
  const char *what;
  char path[512]; /* of the value under way: "model.layers[2]" */
  const void *table[DEEPEST];
  int depth;
} writer;

/* ---- text ---- */

/* Bytes of the UTF-8 character at s; 0: none begins here. */
static size_t character(const unsigned char *s, size_t n) {
  size_t k = *s < 0x80 ? 1 : *s < 0xC2 ? 0 : *s < 0xE0 ? 2 : *s < 0xF0 ? 3 : *s < 0xF5 ? 4 : 0;
  if (k > n) return 0;
  for (size_t i = 1; i < k; i++)
    if ((s[i] & 0xC0) != 0x80) return 0;
  if (k == 3 && ((*s == 0xE0 && s[1] < 0xA0) || (*s == 0xED && s[1] > 0x9F))) return 0; /* overlong; half a surrogate */
  if (k == 4 && ((*s == 0xF0 && s[1] < 0x90) || (*s == 0xF4 && s[1] > 0x8F))) return 0;
  return k;
}

static int is_text(const char *s, size_t n) {
  for (size_t i = 0, k; i < n; i += k)
    if (!s[i] || !(k = character((const unsigned char *)s + i, n - i))) return 0;
  return 1;
}

/* Every byte that is no text as \xNN; `first` bytes of it in any case. From pc_malloc. */
static char *as_bytes(const char *s, size_t n, size_t first) {
  char *out = pc_malloc(sizeof BYTES + 4 * n);
  size_t at = sizeof BYTES - 1;
  if (!out) return NULL;
  memcpy(out, BYTES, sizeof BYTES);
  for (size_t i = 0; i < n;) {
    size_t k = s[i] && s[i] != '\\' && i >= first ? character((const unsigned char *)s + i, n - i) : 0;
    if (k)
      memcpy(out + at, s + i, k), at += k;
    else
      at += (size_t)snprintf(out + at, 5, "\\x%02x", (unsigned char)s[i]);
    i += k ? k : 1;
  }
  out[at] = '\0';
  return out;
}

/* Would this text be read as something else? */
static int looks_encoded(const char *s, int key) {
  if (!strncmp(s, BYTES, sizeof BYTES - 1) && strstr(s, "\\x")) return 1;
  if (!key) return !strncmp(s, NUMBER, sizeof NUMBER - 1);
  size_t n = strlen(s);
  if (n < 3 || s[0] != '[' || s[n - 1] != ']') return 0;
  if (!strcmp(s, "[true]") || !strcmp(s, "[false]") || !strcmp(s, "[inf]") || !strcmp(s, "[-inf]")) return 1;
  return strspn(s + 1, "+-.0123456789eE") == n - 2;
}

/* The text of a string that JSON can hold: the string itself, or *own. */
static const char *text_of(lua_State *L, int at, int key, char **own) {
  size_t n;
  const char *s = lua_tolstring(L, at, &n);
  *own = NULL;
  if (is_text(s, n) && !looks_encoded(s, key)) return s;
  return *own = as_bytes(s, n, is_text(s, n));
}

/* ---- writing ---- */

static json_t *fail(const writer *w, const char *why) {
  pc_fail(PC_EARG, "%s: %s %s", w->what, *w->path ? w->path : "the value", why);
  return NULL;
}

static json_t *out_of_memory(const writer *w) {
  pc_fail(PC_ENOMEM, "%s: out of memory", w->what);
  return NULL;
}

static json_t *number(double v) {
  if (isnan(v)) return json_string(NUMBER "nan");
  if (isinf(v)) return json_string(v > 0 ? NUMBER "inf" : NUMBER "-inf");
  if (v == 0 && signbit(v)) return json_real(-0.0);
  if (v == floor(v) && fabs(v) < 9e15) return json_integer((json_int_t)v);
  return json_real(v);
}

/* Are the keys 1..n? An empty table is no list. */
static int is_list(lua_State *L, int at, int *n) {
  double largest = 0, count = 0;
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    double k = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
    if (!(k >= 1 && k == floor(k) && k < 1e9)) {
      lua_pop(L, 2);
      return 0;
    }
    if (k > largest) largest = k;
    count++;
  }
  *n = (int)largest;
  return count > 0 && count == largest;
}

static json_t *value_of(writer *w, int at);

static json_t *list_of(writer *w, int at, int n) {
  json_t *j = json_array(), *item = NULL;
  size_t len = strlen(w->path);
  for (int i = 1; j && i <= n; i++) {
    snprintf(w->path + len, sizeof w->path - len, "[%d]", i);
    lua_rawgeti(w->L, at, i);
    item = value_of(w, lua_gettop(w->L));
    lua_pop(w->L, 1);
    w->path[len] = '\0';
    if (!item || json_array_append_new(j, item)) {
      json_decref(j);
      return item ? out_of_memory(w) : NULL;
    }
  }
  return j;
}

/* The key at -2 as text, *own to be freed; NULL and an error: it can't be one. */
static const char *key_of(writer *w, char buf[KEY_ROOM], char **own) {
  lua_State *L = w->L;
  *own = NULL;
  if (lua_type(L, -2) == LUA_TSTRING) {
    if (!lua_objlen(L, -2)) return fail(w, "has an empty key: it can't be recorded"), NULL;
    const char *s = text_of(L, lua_gettop(L) - 1, 1, own);
    return s ? s : (out_of_memory(w), NULL);
  }
  if (lua_type(L, -2) == LUA_TNUMBER) {
    double k = lua_tonumber(L, -2);
    snprintf(buf, KEY_ROOM, k == floor(k) && fabs(k) < 9e15 ? "[%.0f]" : "[%.17g]", k == 0 ? 0 : k);
    return buf;
  }
  if (lua_type(L, -2) == LUA_TBOOLEAN) return lua_toboolean(L, -2) ? "[true]" : "[false]";
  pc_fail(PC_EARG, "%s: %s has a %s as key: it can't be recorded; keys are texts, numbers and booleans", w->what,
          *w->path ? w->path : "the value", luaL_typename(L, -2));
  return NULL;
}

static json_t *object_of(writer *w, int at) {
  json_t *j = json_object(), *item;
  size_t len = strlen(w->path);
  char buf[KEY_ROOM], *own;
  if (!j) return out_of_memory(w);
  for (lua_pushnil(w->L); lua_next(w->L, at); lua_pop(w->L, 1)) {
    const char *key = key_of(w, buf, &own);
    item = NULL;
    if (key) {
      snprintf(w->path + len, sizeof w->path - len, "%s%s", len && *key != '[' ? "." : "", key);
      item = value_of(w, lua_gettop(w->L));
      w->path[len] = '\0';
    }
    int bad = !item || json_object_set_new(j, key, item);
    pc_free(own);
    if (bad) {
      lua_pop(w->L, 2);
      json_decref(j);
      return item ? out_of_memory(w) : NULL;
    }
  }
  return j;
}

static json_t *table_of(writer *w, int at) {
  const void *self = lua_topointer(w->L, at);
  int n;
  for (int i = 0; i < w->depth; i++)
    if (w->table[i] == self) return fail(w, "contains itself: it can't be recorded");
  if (w->depth == DEEPEST) return fail(w, "lies more than 100 tables deep: it can't be recorded");
  luaL_checkstack(w->L, 6, "json");
  w->table[w->depth++] = self;
  json_t *j = is_list(w->L, at, &n) ? list_of(w, at, n) : object_of(w, at);
  w->depth--;
  return j;
}

static json_t *value_of(writer *w, int at) {
  lua_State *L = w->L;
  json_t *j;
  switch (lua_type(L, at)) {
    case LUA_TNIL: j = json_null(); break;
    case LUA_TBOOLEAN: j = json_boolean(lua_toboolean(L, at)); break;
    case LUA_TNUMBER: j = number(lua_tonumber(L, at)); break;
    case LUA_TTABLE: return table_of(w, at);
    case LUA_TSTRING: {
      char *own;
      const char *s = text_of(L, at, 0, &own);
      j = s ? json_string(s) : NULL;
      pc_free(own);
      break;
    }
    default:
      pc_fail(PC_EARG, "%s: %s is %s: it can't be recorded; numbers, texts, booleans and tables of them can", w->what,
              *w->path ? w->path : "the value", pc_describe(L, at));
      return NULL;
  }
  return j ? j : out_of_memory(w);
}

int pc_json_text(lua_State *L, char **out, int at, int flags, const char *what) {
  *out = NULL;
  if (!at) return PC_OK;
  writer w = {.L = L, .what = what};
  json_t *j = value_of(&w, at);
  if (!j) return pc_error_code();
  *out = json_dumps(j, JSON_SORT_KEYS | (size_t)flags);
  json_decref(j);
  return *out ? PC_OK : pc_fail(PC_ENOMEM, "%s: out of memory", what);
}

/* ---- reading ---- */

static void push_text(lua_State *L, const char *s) {
  luaL_Buffer b;
  char *end;
  if (!strncmp(s, NUMBER, sizeof NUMBER - 1)) {
    double v = strtod(s + sizeof NUMBER - 1, &end);
    if (!*end && !isfinite(v)) {
      lua_pushnumber(L, v);
      return;
    }
  }
  if (strncmp(s, BYTES, sizeof BYTES - 1) || !strstr(s, "\\x")) {
    lua_pushstring(L, s);
    return;
  }
  luaL_buffinit(L, &b);
  for (s += sizeof BYTES - 1; *s;) {
    unsigned byte;
    if (s[0] == '\\' && s[1] == 'x' && sscanf(s + 2, "%2x", &byte) == 1 && s[2] && s[3]) {
      luaL_addchar(&b, (char)byte);
      s += 4;
    } else {
      luaL_addchar(&b, *s++);
    }
  }
  luaL_pushresult(&b);
}

static void push_key(lua_State *L, const char *s) {
  size_t n = strlen(s);
  char *end;
  if (n > 2 && s[0] == '[' && s[n - 1] == ']') {
    double v = strtod(s + 1, &end);
    if (end > s + 1 && end == s + n - 1 && v == v) {
      lua_pushnumber(L, v);
      return;
    }
    if (!strcmp(s, "[true]") || !strcmp(s, "[false]")) {
      lua_pushboolean(L, s[1] == 't');
      return;
    }
  }
  push_text(L, s);
}

void pc_push_json(lua_State *L, const json_t *j) {
  luaL_checkstack(L, 4, "json");
  switch (json_typeof(j)) {
    case JSON_OBJECT: {
      const char *key;
      json_t *v;
      lua_newtable(L);
      json_object_foreach((json_t *)j, key, v) {
        push_key(L, key);
        pc_push_json(L, v);
        lua_rawset(L, -3);
      }
      return;
    }
    case JSON_ARRAY:
      lua_newtable(L);
      for (size_t i = 0; i < json_array_size(j); i++)
        pc_push_json(L, json_array_get(j, i)), lua_rawseti(L, -2, (int)i + 1);
      return;
    case JSON_STRING: push_text(L, json_string_value(j)); return;
    case JSON_INTEGER:
    case JSON_REAL: lua_pushnumber(L, json_number_value(j)); return;
    case JSON_TRUE:
    case JSON_FALSE: lua_pushboolean(L, json_is_true(j)); return;
    default: lua_pushnil(L);
  }
}
