/* inverter.c: percept.inverter.c, for the Lua file of that name: search, with a decoder and a readout written in C or
 * Lua. */
#include "inverter/inverter.h"

#include "bindings/module.h"
#include "grad/ops_shape.h"

int luaopen_percept_inverter(lua_State *L);

typedef struct lua_decoder {
  lua_State *L;
  int fn; /* stack place */
} lua_decoder;

static int decode_lua(void *ctx, pc_tensor *z, pc_tensor **image) {
  lua_decoder *d = ctx;
  int top = lua_gettop(d->L);
  *image = NULL;
  lua_pushvalue(d->L, d->fn);
  pc_push_tensor(d->L, pc_tensor_retain(z));
  int rc = pc_callback(d->L, 1, 1);
  pc_tensor *t = rc == PC_OK ? pc_to_tensor(d->L, -1) : NULL;
  if (rc == PC_OK && !t)
    rc = pc_fail(PC_ECALLBACK, "search: the decoder returned %s, not an image tensor", pc_describe(d->L, -1));
  if (t) *image = pc_tensor_retain(t);
  lua_settop(d->L, top);
  return rc;
}

/* The readout's results, each a tensor of logits. */
static int logits_lua(void *ctx, pc_tensor *z, pc_tensor **logits, int *n) {
  lua_decoder *d = ctx;
  int top = lua_gettop(d->L);
  *n = 0;
  lua_pushvalue(d->L, d->fn);
  pc_push_tensor(d->L, pc_tensor_retain(z));
  int rc = pc_callback(d->L, 1, LUA_MULTRET), count = lua_gettop(d->L) - top;
  if (rc == PC_OK && (count < 1 || count > PC_MAX_READOUTS))
    rc = pc_fail(PC_ECALLBACK, "search: the readout returned %d values; 1 to %d tensors of logits are expected", count,
                 PC_MAX_READOUTS);
  for (int i = 0; i < count && rc == PC_OK; i++) {
    pc_tensor *t = pc_to_tensor(d->L, top + 1 + i);
    if (t)
      logits[(*n)++] = pc_tensor_retain(t);
    else
      rc = pc_fail(PC_ECALLBACK, "search: result %d of the readout is %s, not a tensor of logits", i + 1,
                   pc_describe(d->L, top + 1 + i));
  }
  lua_settop(d->L, top);
  return rc;
}

/* z0: a tensor (B,K,m) or (S,B,K,m), or a list of S tensors (B,K,m); a new reference. */
static int starts_of(lua_State *L, pc_args *a, pc_tensor **z0) {
  int at = pc_arg_at(a, "z0"), n = 0;
  pc_tensor *part[64];
  pc_scope s = {0};
  *z0 = pc_tensor_retain(pc_to_tensor(L, at));
  if (*z0) return PC_OK;
  if (!lua_istable(L, at) || !lua_objlen(L, at)) return pc_arg_fail(L, a, "z0", "slots (B,K,m) or a list of them");
  for (int count = (int)lua_objlen(L, at); n < count; n++) {
    if (n == 64) return pc_fail(PC_EARG, "search: at most 64 starts in a list; stack them to one tensor (S,B,K,m)");
    lua_rawgeti(L, at, n + 1);
    part[n] = pc_to_tensor(L, -1);
    if (!part[n]) return pc_fail(PC_EARG, "search: start %d is %s, not slots (B,K,m)", n + 1, pc_describe(L, -1));
    lua_pop(L, 1);
  }
  *z0 = pc_stack(&s, n, part, 0);
  return pc_scope_end(&s, z0, 1);
}

static int push_found(lua_State *L, pc_invert_result *r) {
  const struct {
    const char *name;
    pc_tensor *t;
  } field[] = {{"z", r->z},         {"loss", r->loss}, {"steps", r->steps},     {"converged", r->converged},
               {"start", r->start}, {"cost", r->cost}, {"seconds", r->seconds}, {"trace", r->trace}};
  lua_createtable(L, 0, 9);
  for (size_t i = 0; i < sizeof field / sizeof *field; i++)
    if (field[i].t) pc_push_tensor(L, field[i].t), lua_setfield(L, -2, field[i].name);
  lua_pushnumber(L, (lua_Number)r->evaluations), lua_setfield(L, -2, "evaluations");
  return 1;
}

static int is_callable(lua_State *L, int at) { return pc_to_module(L, at) || lua_type(L, at) == LUA_TFUNCTION; }

static int f_search(lua_State *L, pc_args *a) {
  pc_module *m = pc_to_module(L, pc_arg_at(a, "decoder")), *readout;
  lua_decoder d = {L, pc_arg_at(a, "decoder")}, labels = {L, pc_arg_at(a, "readout")};
  pc_tensor *z0 = NULL;
  pc_invert_result r;
  pc_invert_opts o = PC_INVERT_OPTS_INIT;
  pc_args_options(a, &o);
  o.target = pc_arg_tensor(a, "target");
  if (!is_callable(L, d.fn))
    return pc_fail(PC_EARG, "search: the decoder is %s; a module or a function(z) -> image is expected",
                   pc_describe(L, d.fn));
  if (labels.fn) {
    if (!is_callable(L, labels.fn))
      return pc_fail(PC_EARG, "search: the readout is %s; a module or a function(z) -> logits is expected",
                     pc_describe(L, labels.fn));
    readout = pc_to_module(L, labels.fn);
    o.readout = readout ? pc_logits_module : logits_lua;
    o.readout_ctx = readout ? (void *)readout : &labels;
  }
  int rc = starts_of(L, a, &z0);
  if (rc == PC_OK)
    rc = m ? pc_invert_module(&r, m, pc_arg_tensor(a, "x"), z0, &o)
           : pc_invert(&r, decode_lua, &d, pc_arg_tensor(a, "x"), z0, &o);
  pc_tensor_release(z0);
  return rc < 0 ? rc : push_found(L, &r);
}

static const pc_luafn inverter_functions[] = {
    {"search", "decoder:any, x:tensor, z0:any, @, target:value?, readout:any?", f_search,
     "argmin_z ||decoder(z) - x||^2 + prior ||z||^2 + entropy H(softmax readout(z)) for each image of x (B,H,W,C), "
     "started at z0 (B,K,m), or the best of S starts: (S,B,K,m) or a list (arXiv 2512.08854, Eq. 4.3). "
     "method: adam, lbfgs or lm (Levenberg-Marquardt). An image leaves when its loss fell by less than tol in patience "
     "steps, or is at its target. batch: images at once -> {z (B,K,m), loss, steps, converged, start, cost (decodes), "
     "seconds: (B); trace "
     "(B,steps+1); evaluations: decodes in all}",
     0, NULL, &pc_invert_options},
    {0}};

int luaopen_percept_inverter(lua_State *L) {
  pc_module_class_open(L);
  lua_newtable(L);
  pc_register(L, "inverter", inverter_functions);
  return 1;
}
