/* optim.c: percept.optim: optimisers, L-BFGS, schedules. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "bindings/module.h"
#include "optim/optim.h"
#include "optim/schedule.h"

int luaopen_percept_optim(lua_State *L);

typedef struct optim_handle {
  pc_optim *o;
} optim_handle;
#define OPTIM(a, name) (((optim_handle *)pc_arg_object(a, name))->o)

static int optim_gc(lua_State *L) {
  optim_handle *h = lua_touserdata(L, 1);
  pc_optim_release(h->o);
  h->o = NULL;
  return 0;
}

static const pc_decl *group_of[3]; /* {params = ..., lr = ...}, by kind */

/* The options of the group on top of the stack override opts. */
static int read_group(lua_State *L, pc_optim_kind kind, pc_optim_opts *opts) {
  pc_args a;
  int rc = pc_read_table(L, group_of[kind], -1, &a);
  if (rc == PC_OK) pc_args_options(&a, opts);
  pc_args_release(&a);
  return rc;
}

enum { MAX_NESTED = 100 }; /* stack places of Lua: one or two a list */

static int add_params(lua_State *L, pc_optim *o, int at, const pc_optim_opts *opts);

/* The list of tensors (or modules) at stack place `at` as one group. */
static int add_list(lua_State *L, pc_optim *o, int at, const pc_optim_opts *opts) {
  int n = (int)lua_objlen(L, at), rc = PC_OK, nt = 0;
  pc_tensor **t = pc_malloc(sizeof *t * (size_t)(n ? n : 1));
  if (!t) return PC_ENOMEM;
  for (int i = 0; i < n && rc == PC_OK; i++) {
    lua_rawgeti(L, at, i + 1);
    pc_tensor *x = pc_to_tensor(L, -1);
    if (x)
      t[nt++] = x;
    else if (lua_istable(L, -1) || pc_to_module(L, -1))
      rc = add_params(L, o, lua_gettop(L), opts); /* a group of its own */
    else
      rc = pc_fail(PC_EARG, "%s: entry %d is %s; tensors, modules or groups {params = ..., lr = ...} are expected",
                   pc_optim_name(o), i + 1, pc_describe(L, -1));
    lua_pop(L, 1);
  }
  if (rc == PC_OK && (nt || !n)) rc = pc_optim_add_group(o, t, nt, opts);
  pc_free(t);
  return rc;
}

static int add_params(lua_State *L, pc_optim *o, int at, const pc_optim_opts *opts) {
  if (lua_gettop(L) > MAX_NESTED || !lua_checkstack(L, 8)) /* a list in itself never ends */
    return pc_fail(PC_EARG, "%s: lists of parameters are nested too deep", pc_optim_name(o));
  pc_module *m = pc_to_module(L, at);
  pc_tensor *t = pc_to_tensor(L, at);
  pc_optim_opts mine = *opts;
  int rc;
  if (m) return pc_optim_add_module(o, m, opts);
  if (t) return pc_optim_add_group(o, &t, 1, opts);
  if (!lua_istable(L, at))
    return pc_fail(PC_EARG, "%s: parameters are a module, a tensor, a list, or groups; got %s", pc_optim_name(o),
                   pc_describe(L, at));
  lua_pushliteral(L, "params");
  lua_rawget(L, at);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return add_list(L, o, at, opts);
  }
  int params = lua_gettop(L);
  lua_pushvalue(L, at);
  rc = read_group(L, pc_optim_kind_of(o), &mine);
  lua_settop(L, params);
  if (rc == PC_OK) rc = add_params(L, o, lua_gettop(L), &mine);
  lua_pop(L, 1);
  return rc;
}

static int make(lua_State *L, pc_args *a, pc_optim_kind kind, pc_optim_opts *opts) {
  pc_optim *o;
  pc_args_options(a, opts);
  int rc = pc_optim_new(&o, kind);
  if (rc == PC_OK) rc = add_params(L, o, pc_arg_at(a, "params"), opts);
  if (rc == PC_OK && pc_arg_bool(a, "during_backward")) rc = pc_optim_during_backward(o);
  if (rc < 0) {
    pc_optim_release(o);
    return rc;
  }
  ((optim_handle *)pc_new_object(L, "optimizer", sizeof(optim_handle)))->o = o;
  return 1;
}

static int f_sgd(lua_State *L, pc_args *a) {
  pc_optim_opts o = PC_SGD_OPTS_INIT;
  return make(L, a, PC_OPTIM_SGD, &o);
}
static int f_adam(lua_State *L, pc_args *a) {
  pc_optim_opts o = PC_ADAM_OPTS_INIT;
  return make(L, a, PC_OPTIM_ADAM, &o);
}
static int f_adamw(lua_State *L, pc_args *a) {
  pc_optim_opts o = PC_ADAMW_OPTS_INIT;
  return make(L, a, PC_OPTIM_ADAMW, &o);
}

/* ---- methods ---- */

static int m_step(lua_State *L, pc_args *a) { return pc_done(pc_optim_step(OPTIM(a, "self"))); }
static int m_zero_grad(lua_State *L, pc_args *a) { return pc_done(pc_optim_zero_grad(OPTIM(a, "self"))); }

static int m_clip(lua_State *L, pc_args *a) {
  double norm = 0;
  int rc = pc_optim_clip_grad_norm(OPTIM(a, "self"), pc_arg_num(a, "max_norm"), &norm);
  if (rc < 0) return rc;
  lua_pushnumber(L, norm);
  return 1;
}

static int m_lr(lua_State *L, pc_args *a) {
  pc_optim *o = OPTIM(a, "self");
  int g = pc_arg_given(a, "group") ? pc_arg_int(a, "group") - 1 : -1;
  if (g >= pc_optim_ngroups(o) || g < -1)
    return pc_fail(PC_EINDEX, "lr: no group %d; there are %d", g + 1, pc_optim_ngroups(o));
  int rc = pc_arg_given(a, "value") ? pc_optim_set_lr(o, g, pc_arg_num(a, "value")) : PC_OK;
  if (rc < 0) return rc;
  lua_pushnumber(L, pc_optim_lr(o, g < 0 ? 0 : g));
  return 1;
}

static int m_steps(lua_State *L, pc_args *a) {
  lua_pushnumber(L, (lua_Number)pc_optim_steps(OPTIM(a, "self")));
  return 1;
}

static int m_state(lua_State *L, pc_args *a) {
  pc_optim *o = OPTIM(a, "self");
  lua_newtable(L);
  for (int g = 0; g < pc_optim_ngroups(o); g++)
    for (int k = 0; k < pc_optim_nslots(o); k++) {
      pc_tensor *t;
      int rc = pc_optim_state(o, g, k, &t);
      if (rc < 0) return rc;
      lua_pushfstring(L, "%d.%s", g + 1, pc_optim_slot_name(o, k));
      pc_push_tensor(L, pc_tensor_retain(t));
      lua_rawset(L, -3);
    }
  lua_newtable(L);
  lua_pushstring(L, pc_optim_name(o));
  lua_setfield(L, -2, "kind");
  lua_pushnumber(L, (lua_Number)pc_optim_steps(o));
  lua_setfield(L, -2, "steps");
  return 2;
}

/* Goes over the slots of a saved state: all of them are looked at before the first is taken. */
static int load_slots(lua_State *L, pc_args *a, pc_optim *o, int take) {
  for (int g = 0; g < pc_optim_ngroups(o); g++)
    for (int k = 0; k < pc_optim_nslots(o); k++) {
      pc_tensor *t, *from;
      int rc = pc_optim_state(o, g, k, &t);
      if (rc < 0) return rc;
      lua_pushfstring(L, "%d.%s", g + 1, pc_optim_slot_name(o, k));
      lua_rawget(L, pc_arg_at(a, "tensors"));
      from = pc_to_tensor(L, -1);
      if (!from || !pc_same_shape(from, t))
        return pc_fail(PC_ESHAPE, "load_state: slot '%s' of group %d is %s, needs shape %s", pc_optim_slot_name(o, k),
                       g + 1, from ? pc_shape_str(from) : "missing", pc_shape_str(t));
      if (take && (rc = pc_copy_into(t, from)) < 0) return rc;
      lua_pop(L, 1);
    }
  return PC_OK;
}

static int m_load_state(lua_State *L, pc_args *a) {
  pc_optim *o = OPTIM(a, "self");
  lua_getfield(L, pc_arg_at(a, "scalars"), "kind");
  const char *kind = pc_text(L, -1);
  if (!kind || strcmp(kind, pc_optim_name(o)))
    return pc_fail(PC_EARG, "load_state: the state is of optimiser '%s', this is %s", kind ? kind : "?",
                   pc_optim_name(o));
  int rc = load_slots(L, a, o, 0);
  if (rc < 0) return rc;
  lua_getfield(L, pc_arg_at(a, "scalars"), "steps");
  double steps = lua_tonumber(L, -1); /* a checkpoint has it as a text */
  if (!lua_isnumber(L, -1) || !(steps >= 0 && steps <= 0x1p53 && steps == floor(steps)))
    return pc_fail(PC_EARG, "load_state: steps must be a whole number from 0 on, got %s", pc_describe(L, -1));
  if ((rc = load_slots(L, a, o, 1)) < 0) return rc;
  pc_optim_set_steps(o, (int64_t)steps);
  return 0;
}

static const pc_luafn methods[] = {
    {"step", "self:optimizer", m_step, "one step along the gradients", 0},
    {"zero_grad", "self:optimizer", m_zero_grad, "sets all gradients to 0", 0},
    {"clip", "self:optimizer, max_norm:num(0..inf)=0", m_clip,
     "scales gradients to at most max_norm (0: none) -> their norm before; not with during_backward, which knows the "
     "norm only afterwards",
     0},
    {"lr", "self:optimizer, value:num(0..)?, group:int(1..)?", m_lr,
     "reads or sets the learning rate (of all groups, or one)", 0},
    {"steps", "self:optimizer", m_steps, "steps taken", 0},
    {"state", "self:optimizer", m_state, "-> tensors {\"1.m\" = ...}, scalars {kind, steps}; shared, not copied", 0},
    {"load_state", "self:optimizer, tensors:table, scalars:table", m_load_state, "puts a saved state back", 0},
    {0}};

/* ---- L-BFGS ---- */

typedef struct objective {
  lua_State *L;
  int fn; /* stack place */
  pc_tensor *x;
} objective;

static int objective_call(void *ctx, const double *x, double *value, double *grad, int64_t n) {
  objective *o = ctx;
  pc_tensor *leaf = NULL, *y, *g = NULL, *gc = NULL, *gd = NULL, *xd = NULL;
  int was = pc_grad_set_enabled(1), top = lua_gettop(o->L), rc;
  rc = pc_tensor_from(&xd, PC_F64, o->x->ndim, o->x->size, x);
  if (rc == PC_OK) rc = pc_to_dtype(&leaf, xd, o->x->dtype);
  if (rc == PC_OK) rc = pc_set_requires_grad(leaf, 1);
  if (rc == PC_OK) {
    lua_pushvalue(o->L, o->fn);
    pc_push_tensor(o->L, pc_tensor_retain(leaf));
    rc = pc_callback(o->L, 1, 1);
  }
  if (rc == PC_OK && (!(y = pc_to_tensor(o->L, -1)) || pc_numel(y) != 1))
    rc = pc_fail(PC_ECALLBACK, "lbfgs: the function must return a tensor with one element, not %s",
                 pc_describe(o->L, -1));
  if (rc == PC_OK) rc = pc_grad(&g, &y, NULL, 1, &leaf, 1, NULL);
  if (rc == PC_OK) rc = pc_contiguous(&gc, g);
  if (rc == PC_OK) rc = pc_to_dtype(&gd, gc, PC_F64);
  if (rc == PC_OK) {
    *value = pc_item(y);
    memcpy(grad, pc_f64(gd), sizeof(double) * (size_t)n);
  }
  pc_tensor_release(xd);
  pc_tensor_release(leaf);
  pc_tensor_release(g);
  pc_tensor_release(gc);
  pc_tensor_release(gd);
  lua_settop(o->L, top);
  pc_grad_set_enabled(was);
  return rc;
}

static int f_lbfgs(lua_State *L, pc_args *a) {
  objective o = {L, pc_arg_at(a, "fn"), pc_arg_tensor(a, "x")};
  pc_tensor *c = NULL, *d = NULL, *x = NULL, *result = NULL;
  pc_lbfgs_result r;
  pc_lbfgs_opts opts = PC_LBFGS_OPTS_INIT;
  pc_args_options(a, &opts);
  int rc = pc_contiguous(&c, pc_arg_tensor(a, "x"));
  if (rc == PC_OK) rc = pc_to_dtype(&d, c, PC_F64);
  if (rc == PC_OK) rc = pc_clone(&x, d);
  if (rc == PC_OK) rc = pc_lbfgs(pc_f64(x), pc_numel(x), objective_call, &o, &opts, &r);
  if (rc == PC_OK) rc = pc_to_dtype(&result, x, pc_arg_tensor(a, "x")->dtype);
  pc_tensor_release(c);
  pc_tensor_release(d);
  pc_tensor_release(x);
  if (rc < 0) return rc;
  pc_push_tensor(L, result);
  lua_createtable(L, 0, 4);
  lua_pushnumber(L, r.value), lua_setfield(L, -2, "value");
  lua_pushinteger(L, r.iterations), lua_setfield(L, -2, "iterations");
  lua_pushinteger(L, r.evaluations), lua_setfield(L, -2, "evaluations");
  lua_pushboolean(L, r.converged), lua_setfield(L, -2, "converged");
  return 2;
}

/* ---- schedules ---- */

enum { MAX_PIECES = 16 };
typedef struct schedule_handle {
  int n;
  pc_schedule p[MAX_PIECES];
} schedule_handle;

/* What a piece may say, and which kinds understand what: an option that a kind does not know is an error. */
enum { FROM = 1, TO = 2, STEPS = 4, GAMMA = 8, EVERY = 16 };
static const char *const piece_options[] = {"from", "to", "steps", "gamma", "every"};
static const struct piece_kind {
  const char *name;
  int known, needed;
} piece_kinds[] = {[PC_SCHED_CONSTANT] = {"constant", FROM | STEPS, FROM},
                   [PC_SCHED_LINEAR] = {"linear", FROM | TO | STEPS, FROM | TO | STEPS},
                   [PC_SCHED_COSINE] = {"cosine", FROM | TO | STEPS, FROM | TO | STEPS},
                   [PC_SCHED_STEP] = {"step", FROM | GAMMA | EVERY | STEPS, FROM | GAMMA},
                   [PC_SCHED_EXP] = {"exp", FROM | GAMMA | EVERY | TO | STEPS, FROM}};
enum { NKINDS = sizeof piece_kinds / sizeof *piece_kinds, NOPTIONS = sizeof piece_options / sizeof *piece_options };

static const char *listed(int options) { /* "kind, from, steps" */
  static _Thread_local char text[80];
  strcpy(text, "kind");
  for (int k = 0; k < NOPTIONS; k++)
    if (options >> k & 1) strcat(strcat(text, ", "), piece_options[k]);
  return text;
}

/* The kind of the piece on top of the stack. */
static int piece_kind(lua_State *L, int i, pc_schedule_kind *kind) {
  lua_getfield(L, -1, "kind");
  const char *name = pc_text(L, -1);
  int k = 0;
  while (k < NKINDS && !(name && !strcmp(name, piece_kinds[k].name))) k++;
  int rc = k < NKINDS
               ? PC_OK
               : pc_fail(PC_EARG, "schedule: piece %d needs kind = constant, linear, cosine, step or exp, got %s", i,
                         pc_describe(L, -1));
  lua_pop(L, 1);
  *kind = (pc_schedule_kind)k;
  return rc;
}

/* Option `key` (its name at stack place -2, its value on top) of a piece. */
static int piece_option(lua_State *L, int i, pc_schedule *p, int *given) {
  const char *name = pc_text(L, -2);
  const struct piece_kind *kind = &piece_kinds[p->kind];
  int k = 0;
  if (name && !strcmp(name, "kind")) return PC_OK;
  while (k < NOPTIONS && !(name && !strcmp(name, piece_options[k]))) k++;
  if (k == NOPTIONS || !(kind->known >> k & 1))
    return pc_fail(PC_EARG, "schedule: piece %d: unknown option %s of kind '%s'; known are %s", i,
                   name ? name : pc_describe(L, -2), kind->name, listed(kind->known));
  double v = lua_tonumber(L, -1);
  if (lua_type(L, -1) != LUA_TNUMBER || !isfinite(v))
    return pc_fail(PC_EARG, "schedule: piece %d: %s must be a finite number, got %s", i, name, pc_describe(L, -1));
  if ((1 << k & (STEPS | EVERY)) && (v < 1 || v != floor(v) || v > 0x1p53))
    return pc_fail(PC_EARG, "schedule: piece %d: %s must be a whole number from 1 on, got %s", i, name,
                   pc_describe(L, -1));
  *given |= 1 << k;
  switch (1 << k) {
    case FROM: p->value = v; break;
    case TO: p->end = v; break;
    case GAMMA: p->gamma = v; break;
    case STEPS: p->steps = (int64_t)v; break;
    default: p->every = (int64_t)v;
  }
  return PC_OK;
}

static int read_piece(lua_State *L, int i, pc_schedule *p) {
  int given = 0, rc;
  *p = (pc_schedule){0};
  if (!lua_istable(L, -1)) return pc_fail(PC_EARG, "schedule: piece %d is %s, not a table", i, pc_describe(L, -1));
  if ((rc = piece_kind(L, i, &p->kind)) < 0) return rc;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
    if ((rc = piece_option(L, i, p, &given)) < 0) {
      lua_pop(L, 2);
      return rc;
    }
  const struct piece_kind *kind = &piece_kinds[p->kind];
  if (kind->needed & ~given)
    return pc_fail(PC_EARG, "schedule: piece %d (%s) needs %s", i, kind->name,
                   listed(kind->needed & ~given) + strlen("kind, "));
  if (p->kind != PC_SCHED_EXP) return PC_OK;
  p->toward = (given & TO) != 0;
  if (p->toward ? !(given & STEPS) || given & (GAMMA | EVERY) : !(given & GAMMA))
    return pc_fail(PC_EARG,
                   "schedule: piece %d (exp) goes by gamma (and every), or to a value in steps: give one of both", i);
  return PC_OK;
}

static int f_schedule(lua_State *L, pc_args *a) {
  schedule_handle h = {(int)lua_objlen(L, pc_arg_at(a, "pieces")), {{0}}};
  int rc = PC_OK;
  if (h.n < 1 || h.n > MAX_PIECES) return pc_fail(PC_EARG, "schedule: 1 to %d pieces, got %d", MAX_PIECES, h.n);
  for (int i = 0; i < h.n && rc == PC_OK; i++) {
    lua_rawgeti(L, pc_arg_at(a, "pieces"), i + 1);
    rc = read_piece(L, i + 1, &h.p[i]);
    lua_pop(L, 1);
  }
  if (rc == PC_OK) rc = pc_schedule_check(h.p, h.n);
  if (rc < 0) return rc;
  *(schedule_handle *)pc_new_object(L, "schedule", sizeof h) = h;
  return 1;
}

static int m_at(lua_State *L, pc_args *a) {
  const schedule_handle *h = pc_arg_object(a, "self");
  int64_t step = pc_arg_int64(a, "step");
  if (step < 0) return pc_fail(PC_EARG, "at: step must not be negative, got %lld; steps count from 0", (long long)step);
  lua_pushnumber(L, pc_schedule_at(h->p, h->n, step));
  return 1;
}

static const pc_luafn schedule_methods[] = {{"at", "self:schedule, step:int64", m_at, "value at a step, from 0", 0},
                                            {0}};

static const pc_luafn functions[] = {
    {"sgd", "params:any, @, during_backward:bool=false", f_sgd,
     "params: module, tensor, list, or groups {{params = ..., lr = ...}, ...}; during_backward: each parameter steps "
     "within backward(), as soon as its gradient is complete, and the gradient goes: the same numbers, less memory; "
     "step() "
     "after each backward() ends the step; no clip(max_norm)",
     0, NULL, &pc_sgd_options},
    {"adam", "params:any, @, during_backward:bool=false", f_adam,
     "Adam (Kingma & Ba 2015); weight decay as L2; during_backward as in sgd", 0, NULL, &pc_adam_options},
    {"adamw", "params:any, @, during_backward:bool=false", f_adamw,
     "Adam with decoupled weight decay (Loshchilov & Hutter 2019); during_backward as in sgd", 0, NULL,
     &pc_adamw_options},
    {"lbfgs", "fn:function, x:tensor, @", f_lbfgs,
     "minimises fn(x) -> one-element tensor, from x -> x, {value, iterations, evaluations, converged}", 0, NULL,
     &pc_lbfgs_options},
    {"schedule", "pieces:table", f_schedule,
     "values over steps, pieces in a row: {{kind = 'linear', from = 0, to = 1e-3, steps = 500}, {kind = 'cosine', "
     "...}}; constant {from}, linear and cosine {from, to, steps}, step {from, gamma, every = 1}, exp {from, gamma, "
     "every "
     "= 1} or {from, to, steps}; steps is how long a piece runs",
     0},
    {0}};

int luaopen_percept_optim(lua_State *L) {
  pc_module_class_open(L);
  pc_class(L, "optimizer", methods, optim_gc);
  lua_pop(L, 1);
  pc_class(L, "schedule", schedule_methods, NULL);
  lua_getfield(L, -1, "__index");
  lua_getfield(L, -1, "at");
  lua_setfield(L, -3, "__call");
  lua_pop(L, 2);
  lua_newtable(L);
  pc_register(L, "optim", functions);
  const pc_luafn groups[] = {{"sgd: a group", "params:any, @", NULL, "", 0, NULL, &pc_sgd_options},
                             {"adam: a group", "params:any, @", NULL, "", 0, NULL, &pc_adam_options},
                             {"adamw: a group", "params:any, @", NULL, "", 0, NULL, &pc_adamw_options}};
  for (int k = 0; k < 3; k++) group_of[k] = pc_declare_table(L, &groups[k]);
  return 1;
}
