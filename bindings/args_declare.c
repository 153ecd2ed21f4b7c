/* args_declare.c: signatures, parsed once at registration into declarations, and printed for help. */
#include "bindings/args_impl.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

const pc_arg_type pc_arg_types[PC_T_CLASS] = {
    [PC_T_TENSOR] = {"tensor", "a tensor", 0},
    [PC_T_VALUE] = {"value", "a tensor or a number", 1},
    [PC_T_TENSORS] = {"tensors", "tensors or a list of tensors", 0},
    [PC_T_INT] = {"int", "an integer", 1},
    [PC_T_NUM] = {"num", "a number", 1},
    [PC_T_BOOL] = {"bool", "true or false", 0},
    [PC_T_STR] = {"str", "a string", 0},
    [PC_T_DIM] = {"dim", "a dimension (1, 2, ... or -1, -2, ... from the end)", 1},
    [PC_T_DIMS] = {"dims", "a dimension or a list of dimensions", 1},
    [PC_T_INDEX] = {"index", "a position (1, 2, ... or -1, -2, ... from the end)", 1},
    [PC_T_SIZE] = {"size", "sizes: integers or one list of them", 1},
    [PC_T_SIZE2] = {"size2", "an integer or a pair {a, b}", 1},
    [PC_T_DTYPE] = {"dtype", "a dtype: \"f32\", \"f64\", \"i64\", \"i32\" or \"u8\"", 0},
    [PC_T_ANY] = {"any", "a value", 1},
    [PC_T_TABLE] = {"table", "a table", 0},
    [PC_T_FUNCTION] = {"function", "a function", 0},
};

static char *trim(char *s) {
  while (isspace((unsigned char)*s)) s++;
  for (char *e = s + strlen(s); e > s && isspace((unsigned char)e[-1]); *--e = 0) {
  }
  return s;
}

/* Cuts s at the first `sep` outside of braces; returns the rest or NULL. */
static char *cut(char *s, char sep) {
  int depth = 0;
  for (; *s; s++) {
    if (*s == '{' || *s == '(') depth++;
    if (*s == '}' || *s == ')') depth--;
    if (*s == sep && !depth) {
      *s = 0;
      return s + 1;
    }
  }
  return NULL;
}

static int parse_list(const char *text, pc_val *v, int positions) {
  char *end;
  v->nl = 0;
  for (const char *s = text + (*text == '{'); *s && *s != '}'; s = *end == ',' ? end + 1 : end) {
    int64_t x = strtoll(s, &end, 10);
    if (end == s || v->nl == PC_MAX_DIM) return 0;
    if (positions) pc_from_lua_position(x, &x);
    v->l[v->nl++] = x;
    while (isspace((unsigned char)*end)) end++;
  }
  return 1;
}

static int parse_default(pc_param *p) {
  const char *s = p->text;
  char *end;
  pc_dtype d;
  switch (p->type) {
    case PC_T_INT: p->def.i = strtoll(s, &end, 10); return end != s && !*end;
    case PC_T_DIM:
    case PC_T_INDEX: return pc_from_lua_position(strtoll(s, &end, 10), &p->def.i) && end != s && !*end;
    case PC_T_VALUE: return !strcmp(s, "nil") || !strcmp(s, "none") || (strtod(s, &end), end != s);
    case PC_T_NUM: p->def.d = strtod(s, &end); return end != s && !*end;
    case PC_T_BOOL: p->def.i = !strcmp(s, "true"); return p->def.i || !strcmp(s, "false");
    case PC_T_STR: p->def.s = s; return 1;
    case PC_T_DTYPE:
      if (pc_dtype_parse(&d, s) < 0) return 0;
      p->def.i = d;
      return 1;
    case PC_T_SIZE2:
      if (!parse_list(s, &p->def, 0) || p->def.nl < 1) return 0;
      if (p->def.nl == 1) p->def.l[1] = p->def.l[0];
      p->def.nl = 2;
      return 1;
    case PC_T_SIZE: return parse_list(s, &p->def, 0);
    case PC_T_DIMS: return parse_list(s, &p->def, 1);
    default: return 1; /* any, table, ...: the text is for help, the function applies it */
  }
}

/* Parses one `name:type[?][=default]` in place. Returns NULL or what is wrong. */
static const char *parse_param(char *s, pc_param *p) {
  char *text = cut(s, '=');
  char *type = cut(s, ':');
  if (!type) return "no type";
  p->name = trim(s);
  type = trim(type);
  if (text) {
    text = trim(text);
    size_t n = strlen(text);
    if (n >= 2 && *text == '"' && text[n - 1] == '"') text[n - 1] = 0, text++;
    p->text = text;
    p->optional = 1;
  }
  size_t n = strlen(type);
  if (n && type[n - 1] == '?') type[--n] = 0, p->optional = 1;
  char *paren = strchr(type, '(');
  if (paren && n && type[n - 1] == ')') {
    type[n - 1] = 0;
    *paren = 0;
    p->choices = paren + 1;
  }
  p->type_name = trim(type);
  p->type = PC_T_CLASS;
  for (size_t i = 0; i < PC_T_CLASS; i++)
    if (!strcmp(pc_arg_types[i].name, p->type_name)) p->type = (pc_type)i;
  if (!*p->name || !*p->type_name) return "empty name or type";
  if (p->text && !parse_default(p)) return "the default does not fit the type";
  return NULL;
}

static char *put(char **at, const char *s) {
  size_t n = strlen(s) + 1;
  char *r = memcpy(*at, s, n);
  *at += n;
  return r;
}

static int trampoline(lua_State *L) { return pc_call_declared(L, lua_touserdata(L, lua_upvalueindex(1))); }

static char decl_key; /* registry[&decl_key]: functions -> declarations, weak keys */

static void push_decls(lua_State *L) {
  lua_pushlightuserdata(L, &decl_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  if (!lua_isnil(L, -1)) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_newtable(L);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushlightuserdata(L, &decl_key);
  lua_pushvalue(L, -2);
  lua_rawset(L, LUA_REGISTRYINDEX);
}

enum { MAX_DIRECT = 8 };

/* Tensors first, nothing else that must be given: then left_out lies at the next aligned place behind `at`. */
static void declare_direct(pc_decl *d, char *at) {
  int may = d->nin > 0 && d->nin <= 4 && d->nv <= MAX_DIRECT && !d->variadic;
  for (int i = 0; i < d->n && may; i++)
    may = i < d->nin ? d->p[i].type <= PC_T_VALUE : d->p[i].type > PC_T_TENSORS && d->p[i].optional;
  if (!may) d->direct = NULL;
  if (!d->direct) return;
  d->left_out = (pc_val *)(((uintptr_t)at + sizeof(pc_val) - 1) / _Alignof(pc_val) * _Alignof(pc_val));
  for (int i = 0; i < d->nv; i++) d->left_out[i] = d->p[d->nin + i].def;
}

void pc_declare(lua_State *L, const char *module, const pc_luafn *fn, int op, int nup) {
  const char *sig = fn->sig ? fn->sig : "", *help = fn->help ? fn->help : "";
  size_t bytes = sizeof(pc_decl) + strlen(fn->name) + strlen(sig) + strlen(help) + (module ? strlen(module) : 0) + 8;
  if (fn->direct) bytes += (MAX_DIRECT + 1) * sizeof(pc_val); /* left_out, aligned */
  pc_decl *d = memset(lua_newuserdata(L, bytes), 0, bytes);
  char *at = (char *)(d + 1), *rest;
  d->name = at;
  if (module) at += sprintf(at, "%s.", module);
  put(&at, fn->name);
  d->help = put(&at, help);
  rest = trim(put(&at, sig));
  d->call = fn->call;
  d->flags = fn->flags;
  d->direct = fn->direct;
  d->op = op;
  while (rest && *rest) {
    char *s = rest;
    rest = cut(s, ',');
    if (!strcmp(trim(s), "...") && !rest) {
      d->variadic = 1;
      break;
    }
    if (d->n == PC_MAX_ARGS) luaL_error(L, "%s: more than %d arguments declared", d->name, PC_MAX_ARGS);
    pc_param *p = &d->p[d->n++];
    const char *wrong = parse_param(trim(s), p);
    if (wrong) luaL_error(L, "%s: signature '%s', argument %d: %s", d->name, sig, d->n, wrong);
    if (p->type <= PC_T_TENSORS)
      d->nin++;
    else
      d->nv++;
  }
  declare_direct(d, at);
  if (nup) lua_insert(L, -2);
  lua_pushvalue(L, nup ? -2 : -1);
  if (nup)
    lua_insert(L, -3); /* decl, decl, up */
  else
    lua_insert(L, -2); /* decl, decl */
  lua_pushcclosure(L, trampoline, 1 + nup);
  push_decls(L); /* decl, f, decls */
  lua_pushvalue(L, -2);
  lua_pushvalue(L, -4);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  lua_remove(L, -2);
}

void pc_register(lua_State *L, const char *module, const pc_luafn *fns) {
  for (; fns->name; fns++) {
    pc_declare(L, module, fns, -1, 0);
    lua_setfield(L, -2, fns->name);
  }
}

const pc_decl *pc_decl_of(lua_State *L, int idx) {
  lua_pushvalue(L, idx);
  push_decls(L);
  lua_insert(L, -2);
  lua_rawget(L, -2);
  const pc_decl *d = lua_touserdata(L, -1);
  lua_pop(L, 2);
  return d;
}

void pc_push_usage(lua_State *L, const pc_decl *d) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  luaL_addstring(&b, d->name);
  luaL_addchar(&b, '(');
  for (int i = 0; i < d->n; i++) {
    const pc_param *p = &d->p[i];
    if (i) luaL_addstring(&b, ", ");
    luaL_addstring(&b, p->name);
    if (p->text) {
      luaL_addchar(&b, '=');
      if (p->type == PC_T_STR || p->type == PC_T_DTYPE) luaL_addchar(&b, '"');
      luaL_addstring(&b, p->text);
      if (p->type == PC_T_STR || p->type == PC_T_DTYPE) luaL_addchar(&b, '"');
    } else if (p->optional) {
      luaL_addchar(&b, '?');
    }
  }
  if (d->variadic) luaL_addstring(&b, d->n ? ", ..." : "...");
  luaL_addchar(&b, ')');
  luaL_pushresult(&b);
}

void pc_class(lua_State *L, const char *name, const pc_luafn *methods, lua_CFunction gc) {
  pc_plain_class(L, name, gc);
  lua_newtable(L);
  if (methods) pc_register(L, name, methods);
  lua_setfield(L, -2, "__index");
}
