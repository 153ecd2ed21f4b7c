/* args.c: calls are checked against declarations. */
#include "bindings/args_impl.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "bindings/stack.h"

static const char *expected(const pc_param *p) {
  static _Thread_local char buf[160];
  if (p->type == PC_T_CLASS) {
    snprintf(buf, sizeof buf, "a %s", p->type_name);
    return buf;
  }
  if (p->choices) {
    snprintf(buf, sizeof buf, "one of %s", p->choices);
    return buf;
  }
  return pc_arg_types[p->type].expected;
}

int pc_arg_fail_at(lua_State *L, const pc_args *a, int i, const char *what) {
  const pc_param *p = &a->decl->sig->p[i];
  const char *remedy = "";
  int at = a->a[i].at;
  int tensorish = p->type <= PC_T_TENSORS;
  if (!what) what = expected(p);
  if (tensorish && at && lua_istable(L, at)) remedy = "; T.tensor{...} makes a tensor of a table";
  if (i == 0 && tensorish && !at) remedy = "; methods are called with a colon";
  if (!tensorish && p->type != PC_T_ANY && at && pc_to_tensor(L, at) && pc_numel(pc_to_tensor(L, at)) == 1)
    remedy = "; x:item() is the number in a one-element tensor";
  return pc_fail(PC_EARG, "%s: argument %d (%s): expected %s, got %s%s", a->decl->name, i + 1, p->name, what,
                 at ? pc_describe(L, at) : "nothing", remedy);
}

static int to_int(lua_State *L, int idx, int64_t *out) {
  if (lua_type(L, idx) != LUA_TNUMBER) return 0;
  double x = lua_tonumber(L, idx);
  if (!(fabs(x) <= 9007199254740992.0) || x != floor(x)) return 0;
  *out = (int64_t)x;
  return 1;
}

static int is_position(pc_type t) { return t == PC_T_DIM || t == PC_T_DIMS || t == PC_T_INDEX; }

static int take_int(lua_State *L, pc_args *a, int i, int idx, int64_t *out) {
  const pc_param *p = &a->decl->sig->p[i];
  if (!to_int(L, idx, out)) {
    a->a[i].at = idx;
    if (p->type == PC_T_INT && lua_type(L, idx) == LUA_TNUMBER)
      return pc_range_fail(a->decl->name, p->name, &p->range, lua_tonumber(L, idx));
    return pc_arg_fail_at(L, a, i, lua_type(L, idx) == LUA_TNUMBER ? "an integer" : NULL);
  }
  if (is_position(p->type) && !pc_from_position(*out, out))
    return pc_fail(PC_EARG, "%s: argument %d (%s): 0 is not a %s: they count from 1, or from -1 backwards",
                   a->decl->name, i + 1, p->name, p->type == PC_T_INDEX ? "position" : "dimension");
  return PC_OK;
}

/* A list of integers from the table at idx. */
static int take_list(lua_State *L, pc_args *a, int i, int idx) {
  pc_val *v = &a->a[i].v;
  int n = (int)lua_objlen(L, idx), rc = PC_OK;
  if (n > PC_MAX_DIM)
    return pc_fail(PC_EARG, "%s: argument %d (%s): a list of %d entries; the most is %d", a->decl->name, i + 1,
                   a->decl->sig->p[i].name, n, PC_MAX_DIM);
  v->nl = n;
  for (int k = 0; k < n && rc == PC_OK; k++) {
    lua_rawgeti(L, idx, k + 1);
    int64_t x;
    if (to_int(L, -1, &x))
      rc = take_int(L, a, i, lua_gettop(L), &v->l[k]);
    else
      rc = pc_fail(PC_EARG, "%s: argument %d (%s): entry %d of the list: expected an integer, got %s", a->decl->name,
                   i + 1, a->decl->sig->p[i].name, k + 1, pc_describe(L, -1));
    lua_pop(L, 1);
  }
  if (rc == PC_OK && a->decl->sig->p[i].type == PC_T_SIZE2 && n != 2) rc = pc_arg_fail_at(L, a, i, NULL);
  return rc;
}

/* Numbers from idx on, up to `last`. *used says how many stack values were taken. */
static int take_run(lua_State *L, pc_args *a, int i, int idx, int last, int *used) {
  pc_val *v = &a->a[i].v;
  const pc_decl *d = a->decl;
  int more = i + 1 >= d->sig->n || d->sig->p[i + 1].type == PC_T_CLASS || !pc_arg_types[d->sig->p[i + 1].type].number;
  int n = 0, rc = PC_OK;
  do {
    if (n == PC_MAX_DIM)
      return pc_fail(PC_EARG, "%s: argument %d (%s): more than %d numbers", d->name, i + 1, d->sig->p[i].name,
                     PC_MAX_DIM);
    if ((rc = take_int(L, a, i, idx + n, &v->l[n])) < 0) return rc;
    n++;
  } while (more && idx + n <= last && lua_type(L, idx + n) == LUA_TNUMBER);
  v->nl = n;
  *used = n;
  return PC_OK;
}

static int take_tensors(lua_State *L, pc_args *a, int i, int idx, int last, int *used) {
  int is_list = lua_istable(L, idx), n = 0, kept = 0;
  if (is_list) {
    n = (int)lua_objlen(L, idx);
  } else {
    while (idx + n <= last && pc_to_tensor(L, idx + n)) n++;
    *used = n;
  }
  if (n == 0 && !is_list) return pc_arg_fail_at(L, a, i, NULL);
  a->list = lua_newuserdata(L, sizeof(pc_tensor *) * (size_t)(n + 1)); /* stays on the stack: no leak */
  a->nlist = n;
  if (is_list) lua_createtable(L, n, 0), kept = lua_gettop(L);
  for (int k = 0; k < n; k++) {
    if (!is_list) {
      a->list[k] = pc_to_tensor(L, idx + k);
      continue;
    }
    lua_rawgeti(L, idx, k + 1);
    a->list[k] = pc_to_tensor(L, -1);
    if (!a->list[k])
      return pc_fail(PC_EARG, "%s: argument %d (%s): entry %d of the list: expected a tensor, got %s", a->decl->name,
                     i + 1, a->decl->sig->p[i].name, k + 1, pc_describe(L, -1));
    lua_rawseti(L, kept, k + 1); /* a callback may change the list itself */
  }
  return PC_OK;
}

int pc_number_is_whole(double x) { return x == floor(x) && fabs(x) <= 9007199254740992.0 && !(x == 0 && signbit(x)); }

static int take_value(lua_State *L, pc_args *a, int i, int idx) {
  if ((a->a[i].t = pc_to_tensor(L, idx))) return PC_OK;
  if (lua_type(L, idx) != LUA_TNUMBER) return pc_arg_fail_at(L, a, i, NULL);
  double x = lua_tonumber(L, idx);
  pc_tensor *t;
  int rc = pc_tensor_scalar(&t, pc_number_is_whole(x) ? PC_I64 : PC_F64, x);
  if (rc < 0) return rc;
  t->weak = 1;
  a->own[a->nown++] = a->a[i].t = t;
  return PC_OK;
}

static int callable(lua_State *L, int idx) {
  if (lua_isfunction(L, idx)) return 1;
  if (!luaL_getmetafield(L, idx, "__call")) return 0;
  lua_pop(L, 1);
  return 1;
}

/* A word that is none of the choices: the message, and the choice that is most like it. */
static int no_choice(lua_State *L, const pc_args *a, int i) {
  const pc_param *p = &a->decl->sig->p[i];
  const char *words[32], *near;
  char text[1024], list[400];
  int n = 0, rc = pc_arg_fail_at(L, a, i, NULL);
  snprintf(list, sizeof list, "%s", p->choices);
  for (char *s = list, *rest; s && n < 32; s = rest) {
    if ((rest = strchr(s, '|'))) *rest++ = 0;
    words[n++] = s;
  }
  if (strlen(a->a[i].v.s) < 3 || !(near = pc_nearest(a->a[i].v.s, words, n))) return rc;
  snprintf(text, sizeof text, "%s", pc_error_text());
  return pc_fail(PC_EARG, "%s; did you mean '%s'?", text, near);
}

/* Takes argument i from stack place idx (and following ones up to last, for runs). */
static int take(lua_State *L, pc_args *a, int i, int idx, int last, int *used) {
  const pc_param *p = &a->decl->sig->p[i];
  pc_arg *arg = &a->a[i];
  pc_dtype d;
  int rc = PC_OK, type = lua_type(L, idx);
  *used = 1;
  arg->at = idx;
  arg->v.set = 1;
  switch (p->type) {
    case PC_T_TENSOR:
      if (!(arg->t = pc_to_tensor(L, idx))) rc = pc_arg_fail_at(L, a, i, NULL);
      break;
    case PC_T_VALUE: rc = take_value(L, a, i, idx); break;
    case PC_T_TENSORS: rc = take_tensors(L, a, i, idx, last, used); break;
    case PC_T_INT:
    case PC_T_DIM:
    case PC_T_INDEX:
      if ((rc = take_int(L, a, i, idx, &arg->v.i)) == PC_OK) arg->v.d = (double)arg->v.i;
      break;
    case PC_T_NUM:
      if (type != LUA_TNUMBER) rc = pc_arg_fail_at(L, a, i, NULL);
      arg->v.d = lua_tonumber(L, idx);
      break;
    case PC_T_BOOL:
      if (type != LUA_TBOOLEAN) rc = pc_arg_fail_at(L, a, i, NULL);
      arg->v.i = lua_toboolean(L, idx);
      break;
    case PC_T_STR:
      if (type != LUA_TSTRING) return pc_arg_fail_at(L, a, i, NULL);
      arg->v.s = lua_tostring(L, idx);
      if (!p->bytes && strlen(arg->v.s) != lua_objlen(L, idx))
        return pc_arg_fail_at(L, a, i, "a string without NUL bytes");
      if (p->choices && !pc_one_of(arg->v.s, p->choices)) return no_choice(L, a, i);
      break;
    case PC_T_DTYPE:
      if (!pc_text(L, idx) || pc_dtype_parse(&d, pc_text(L, idx)) < 0) return pc_arg_fail_at(L, a, i, NULL);
      arg->v.i = d;
      break;
    case PC_T_DIMS:
    case PC_T_SIZE: rc = type == LUA_TTABLE ? take_list(L, a, i, idx) : take_run(L, a, i, idx, last, used); break;
    case PC_T_SIZE2:
      if (type == LUA_TTABLE) {
        rc = take_list(L, a, i, idx);
      } else if ((rc = take_int(L, a, i, idx, &arg->v.l[0])) == PC_OK) {
        arg->v.l[1] = arg->v.l[0];
        arg->v.nl = 2;
      }
      break;
    case PC_T_ANY: break;
    case PC_T_TABLE:
      if (type != LUA_TTABLE) rc = pc_arg_fail_at(L, a, i, NULL);
      break;
    case PC_T_FUNCTION:
      if (!callable(L, idx)) rc = pc_arg_fail_at(L, a, i, NULL);
      break;
    case PC_T_CLASS:
      if (!(arg->p = pc_to_object(L, idx, p->type_name))) rc = pc_arg_fail_at(L, a, i, NULL);
      break;
  }
  return rc == PC_OK ? pc_param_check(a->decl->name, p, &arg->v) : rc;
}

enum { KEYS_NONE = 0, KEYS_LIST = 1, KEYS_NAMED = 2 };

/* Which kinds of keys a table has. */
static int keys_of(lua_State *L, int idx) {
  int kinds = lua_objlen(L, idx) > 0 ? KEYS_LIST : 0;
  lua_pushnil(L);
  while (lua_next(L, idx)) {
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING) continue;
    lua_pop(L, 1);
    return kinds | KEYS_NAMED;
  }
  return kinds;
}

static int unknown_name(const pc_decl *d, const char *key) {
  const char *known[PC_MAX_ARGS];
  char list[400];
  int n = 0;
  *list = 0;
  for (int i = 0; i < d->sig->n; i++) {
    known[i] = d->sig->p[i].name;
    if (n < (int)sizeof list - 40) n += snprintf(list + n, sizeof list - n, i ? ", %s" : "%s", d->sig->p[i].name);
  }
  const char *near = pc_nearest(key, known, d->sig->n);
  char hint[80] = "";
  if (near) snprintf(hint, sizeof hint, "did you mean '%s'? ", near);
  return pc_fail(PC_EARG, "%s: unknown option '%s'; %sknown are: %s", d->name, key, hint, list);
}

static int take_named(lua_State *L, pc_args *a, int idx, int with_list) {
  const pc_decl *d = a->decl;
  int rc;
  for (lua_pushnil(L); lua_next(L, idx);) {
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING) {
      if (with_list && lua_type(L, -1) == LUA_TNUMBER) continue;
      rc = pc_fail(PC_EARG, "%s: the table of options has the entry [%s]; options are name = value", d->name,
                   lua_type(L, -1) == LUA_TNUMBER ? lua_pushfstring(L, "%f", lua_tonumber(L, -1)) : pc_describe(L, -1));
      return rc;
    }
    const char *key = pc_text(L, -1);
    int i = 0;
    if (!key) return pc_fail(PC_EARG, "%s: unknown option %s", d->name, pc_describe(L, -1));
    while (i < d->sig->n && strcmp(d->sig->p[i].name, key)) i++;
    if (i == d->sig->n) return unknown_name(d, key);
    if (a->a[i].at)
      return pc_fail(PC_EARG, "%s: argument %d (%s) is given twice: by position and by name", d->name, i + 1, key);
  }
  if (!lua_checkstack(L, d->sig->n + 4)) return pc_fail(PC_ESTATE, "%s: Lua's stack is full", d->name);
  for (int i = 0; i < d->sig->n; i++) {
    int used;
    if (a->a[i].at) continue;
    lua_pushstring(L, d->sig->p[i].name);
    lua_rawget(L, idx);
    if (lua_isnil(L, -1)) {
      lua_pop(L, 1);
      continue;
    }
    int at = lua_gettop(L);
    if ((rc = take(L, a, i, at, at, &used)) < 0) return rc; /* the value stays on the stack */
  }
  return PC_OK;
}

static int takes_table(lua_State *L, pc_type t, int idx) {
  return t == PC_T_ANY || t == PC_T_TABLE || (t == PC_T_FUNCTION && callable(L, idx));
}
static int takes_list(pc_type t) { return t == PC_T_TENSORS || t == PC_T_DIMS || t == PC_T_SIZE || t == PC_T_SIZE2; }

static int too_many(lua_State *L, const pc_decl *d, int top) {
  pc_push_usage(L, d);
  return pc_fail(PC_EARG, "%s: too many arguments: %d given (%s); usage: %s", d->name, top, pc_describe(L, top),
                 lua_tostring(L, -1));
}

/* Nothing is given yet. */
static void begin(const pc_decl *d, pc_args *a) {
  a->decl = d;
  a->n = d->sig->n;
  a->nown = a->nlist = a->rest = a->nrest = 0;
  a->list = NULL;
  for (int k = 0; k < d->sig->n; k++) {
    a->a[k].at = 0;
    a->a[k].t = NULL;
    a->a[k].p = NULL;
    if (d->sig->p[k].type <= PC_T_TENSORS) /* no value besides the tensor */
      a->a[k].v.set = 0;
    else
      a->a[k].v = d->sig->p[k].def;
  }
}

static int nothing_missing(lua_State *L, const pc_args *a) {
  for (int k = 0; k < a->n; k++)
    if (!a->a[k].at && !a->decl->sig->p[k].optional) return pc_arg_fail_at(L, a, k, NULL);
  return PC_OK;
}

int pc_read_table(lua_State *L, const pc_decl *d, int idx, pc_args *a) {
  if (idx < 0) idx = lua_gettop(L) + 1 + idx;
  begin(d, a);
  int rc = take_named(L, a, idx, 1);
  return rc < 0 ? rc : nothing_missing(L, a);
}

static int is_bool(const pc_option *o) { return o->type == PC_OPTION_bool || o->type == PC_OPTION_maybe_bool; }

void pc_args_options(const pc_args *a, void *opts) {
  const pc_options *t = a->decl->options;
  for (int i = 0; t && i < t->n; i++) {
    const pc_arg *x = &a->a[pc_signature_find(a->decl->sig, t->rows[i].name)];
    if (!x->at) continue;
    if (t->rows[i].type == PC_OPTION_sizes)
      pc_option_set_sizes(&t->rows[i], opts, x->v.l, x->v.nl);
    else if (x->v.s)
      pc_option_set_str(&t->rows[i], opts, x->v.s);
    else
      pc_option_set_num(&t->rows[i], opts, is_bool(&t->rows[i]) ? (double)x->v.i : x->v.d);
  }
}

static int parse(lua_State *L, const pc_decl *d, pc_args *a) {
  int top = lua_gettop(L), i = 0, rc, used;
  begin(d, a);
  for (int idx = 1; idx <= top; idx += used, i++) {
    used = 1;
    if (i == d->sig->n && d->sig->variadic) {
      a->rest = idx;
      a->nrest = top - idx + 1;
      break;
    }
    if (idx == top && lua_istable(L, idx) && (i >= d->sig->n || !takes_table(L, d->sig->p[i].type, idx))) {
      int keys = keys_of(L, idx), list = i < d->sig->n && takes_list(d->sig->p[i].type);
      /* an empty pair does not exist: {} is a table without options there */
      if (!(keys & KEYS_LIST) && (keys & KEYS_NAMED || !list || d->sig->p[i].type == PC_T_SIZE2)) {
        if ((rc = take_named(L, a, idx, 0)) < 0) return rc;
        break;
      }
      if (list) {
        if ((rc = take(L, a, i, idx, top, &used)) < 0) return rc;
        if (keys & KEYS_NAMED && (rc = take_named(L, a, idx, 1)) < 0) return rc;
        break;
      }
    }
    if (lua_isnil(L, idx)) continue;
    if (i >= d->sig->n) return too_many(L, d, top);
    if ((rc = take(L, a, i, idx, top, &used)) < 0) return rc;
  }
  return nothing_missing(L, a);
}

/* ---- the one C function behind every declared one ---- */

static lua_State *now; /* in the innermost of the calls that run */
static int levels;     /* how many of them there are */

lua_State *pc_lua_now(void) { return now; }

/* What the function says it pushed can be there: a number that leaked from elsewhere would be Lua's garbage. */
static int honest(lua_State *L, const pc_decl *d, int base, int rc) {
  if (rc <= lua_gettop(L) - base) return rc;
  return pc_fail(PC_ESTATE, "%s: a fault in Percept: %d results are claimed, %d were pushed", d->name, rc,
                 lua_gettop(L) - base);
}

void pc_args_release(pc_args *a) {
  while (a->nown > 0) pc_tensor_release(a->own[--a->nown]);
}

static int run(lua_State *L, const pc_decl *d, pc_args *a) {
  int rc = parse(L, d, a), base = lua_gettop(L);
  if (rc == PC_OK) rc = honest(L, d, base, d->call(L, a));
  pc_args_release(a);
  return rc;
}

int pc_named(const char *op, int rc) {
  size_t n = strlen(op);
  if (rc != PC_ENOMEM) return rc;
  for (const char *s = pc_error_text(); (s = strstr(s, op)); s += n) /* "tensor" also stands in texts about tensors */
    if (s[n] == ':') return rc;
  return pc_error_prefix(rc, "%s", op);
}

int pc_call_declared(lua_State *L, const pc_decl *d) {
  lua_State *before = now;
  pc_args a;
  int top = lua_gettop(L), rc = pc_stack_check(d->name, levels);
  if (rc < 0) return pc_raise(L, rc);
  now = L;
  levels++;
  rc = d->direct && top == d->sig->nin ? d->direct(L, d) : PC_NOT_DIRECT;
  for (int again = 0; rc == PC_NOT_DIRECT || rc == PC_ENOMEM; again = 1) {
    rc = run(L, d, &a);
    if (rc != PC_ENOMEM || again || !(d->flags & PC_RETRY)) break;
    lua_settop(L, top);
    lua_gc(L, LUA_GCCOLLECT, 0);
    pc_alloc_trim();
  }
  now = before;
  levels--;
  rc = pc_named(d->name, rc);
  if (rc < 0) return pc_raise(L, rc);
  pc_gc_pace(L);
  return rc;
}

int pc_callback(lua_State *L, int nargs, int nresults) {
  lua_State *before = now;
  int depth = levels, rc = pc_stack_check("callback", levels);
  if (rc < 0) return rc;
  rc = lua_pcall(L, nargs, nresults, 0);
  now = before; /* Lua's own errors leave calls without a word */
  levels = depth;
  return rc ? pc_caught(L, depth) : PC_OK;
}
