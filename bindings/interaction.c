/* interaction.c: percept.interaction.c, for the Lua file of that name: measures of decoders and encoders written in C
 * or Lua. */
#include <string.h>

#include "bindings/args.h"
#include "interaction/contrast.h"
#include "interaction/hessian.h"
#include "interaction/penalty.h"
#include "interaction/weights.h"

int luaopen_percept_interaction(lua_State *L);

static int f_attention(lua_State *L, pc_args *a) {
  pc_scope s = {0};
  pc_tensor *y = pc_interaction_attention(&s, pc_arg_tensor(a, "attention"));
  int rc = pc_scope_end(&s, &y, 1);
  if (rc < 0) return rc;
  pc_push_tensor(L, y);
  return 1;
}

/* ---- functions of slots that are modules or functions of Lua ---- */

typedef struct lua_function {
  lua_State *L;
  int at; /* stack place */
  const char *name, *what;
} lua_function;

static int call_lua(void *ctx, pc_tensor *z, pc_tensor **y) {
  lua_function *f = ctx;
  int top = lua_gettop(f->L);
  *y = NULL;
  lua_pushvalue(f->L, f->at);
  pc_push_tensor(f->L, pc_tensor_retain(z));
  int rc = pc_callback(f->L, 1, 1);
  pc_tensor *t = rc == PC_OK ? pc_to_tensor(f->L, -1) : NULL;
  if (rc == PC_OK && !t)
    rc = pc_fail(PC_ECALLBACK, "%s: the %s gave %s for %lld inputs; a tensor (%lld,...) is expected", f->name, f->what,
                 luaL_typename(f->L, -1), (long long)z->size[0], (long long)z->size[0]);
  if (t) *y = pc_tensor_retain(t);
  lua_settop(f->L, top);
  return rc;
}

static int function_of(lua_State *L, pc_args *a, const char *name, const char *what, lua_function *f,
                       pc_slot_function *out) {
  *f = (lua_function){L, pc_arg_at(a, what), name, what};
  *out = (pc_slot_function){call_lua, f, what};
  int type = lua_type(L, f->at);
  if (type == LUA_TFUNCTION || type == LUA_TUSERDATA || type == LUA_TTABLE) return PC_OK;
  return pc_fail(PC_EARG, "%s: the %s is %s; a module or a function is expected", name, what, lua_typename(L, type));
}

static pc_slot_opts options_of(const pc_args *a, const char *name) {
  pc_slot_opts o = PC_SLOT_OPTS_INIT;
  pc_args_options(a, &o);
  o.name = name;
  o.scale = pc_arg_tensor(a, "scale");
  return o;
}

static int push(lua_State *L, int rc, pc_tensor *t) {
  if (rc < 0) return rc;
  pc_push_tensor(L, t);
  return 1;
}

static int f_jacobian(lua_State *L, pc_args *a) {
  lua_function lua;
  pc_slot_function f;
  pc_tensor *y = NULL;
  pc_slot_opts o = options_of(a, "interaction.jacobian");
  int rc = function_of(L, a, o.name, "decoder", &lua, &f);
  if (rc == PC_OK) rc = pc_slot_jacobian(&y, &f, pc_arg_tensor(a, "z"), pc_arg_bool(a, "normalise"), &o);
  return push(L, rc, y);
}

static int f_contrast(lua_State *L, pc_args *a) {
  lua_function lua;
  pc_slot_function f;
  pc_tensor *y = NULL;
  pc_slot_opts o = options_of(a, "interaction.contrast");
  o.create_graph = pc_arg_bool(a, "create_graph");
  int rc = function_of(L, a, o.name, "decoder", &lua, &f);
  if (rc == PC_OK) rc = pc_contrast(&y, &f, pc_arg_tensor(a, "z"), pc_arg_bool(a, "image"), &o);
  return push(L, rc, y);
}

static int push_norms(lua_State *L, int rc, const pc_hessian_norms *r) {
  if (rc < 0) return rc;
  lua_createtable(L, 0, 4);
  pc_push_tensor(L, r->blocks), lua_setfield(L, -2, "blocks");
  pc_push_tensor(L, r->within), lua_setfield(L, -2, "within");
  pc_push_tensor(L, r->mixed), lua_setfield(L, -2, "mixed");
  pc_push_tensor(L, r->share), lua_setfield(L, -2, "share");
  return 1;
}

/* The options of second derivatives: those of both of the engine's tables. */
#define SECOND(X, S) PC_HESSIAN_OPTIONS(X, S) PC_SLOT_OPTIONS(X, S)
PC_OPTIONS_STRUCT(second_opts, SECOND);
extern const pc_options pc_second_options;
PC_OPTIONS_TABLE(pc_second_options, "second", second_opts, SECOND);

static void second_of(const pc_args *a, const char *name, pc_hessian_opts *h, pc_slot_opts *o) {
  second_opts given = {SECOND(PC_OPTION_INIT, )};
  pc_args_options(a, &given);
  *h = (pc_hessian_opts){given.probes, given.outputs};
  *o = (pc_slot_opts){.eps = given.eps, .method = given.method, .batch = given.batch, .name = name};
  o->scale = pc_arg_tensor(a, "scale");
  o->create_graph = pc_arg_bool(a, "create_graph");
}

static int f_hessian(lua_State *L, pc_args *a) {
  lua_function lua;
  pc_slot_function f;
  pc_hessian_norms r;
  pc_slot_opts o;
  pc_hessian_opts h;
  second_of(a, "interaction.hessian", &h, &o);
  int rc = function_of(L, a, o.name, "decoder", &lua, &f);
  if (rc == PC_OK) rc = pc_hessian_of(&r, &f, pc_arg_tensor(a, "z"), &h, &o);
  return push_norms(L, rc, &r);
}

static int f_tangent(lua_State *L, pc_args *a) {
  lua_function lua[2];
  pc_slot_function encoder, decoder;
  pc_hessian_norms r;
  pc_slot_opts o;
  pc_hessian_opts h;
  second_of(a, "interaction.tangent", &h, &o);
  int rc = function_of(L, a, o.name, "decoder", &lua[0], &decoder);
  if (rc == PC_OK) rc = function_of(L, a, o.name, "encoder", &lua[1], &encoder);
  if (rc == PC_OK) rc = pc_tangent_of(&r, &encoder, &decoder, pc_arg_tensor(a, "z"), pc_arg_tensor(a, "x"), &h, &o);
  return push_norms(L, rc, &r);
}

static int f_jis(lua_State *L, pc_args *a) {
  pc_tensor *y = NULL;
  int rc =
      pc_weights_jis(&y, pc_arg_tensor(a, "weights"), pc_arg_tensor(a, "masks"), (double)pc_arg_int64(a, "background"));
  return push(L, rc, y);
}

static int f_segment(lua_State *L, pc_args *a) {
  pc_tensor *y = NULL;
  int rc = pc_weights_segment(&y, pc_arg_tensor(a, "weights"), pc_arg_int64(a, "height"), pc_arg_int64(a, "width"),
                              pc_arg_str(a, "name"));
  return push(L, rc, y);
}

static const pc_luafn interaction_functions[] = {
    {"attention", "attention:tensor", f_attention,
     "mean over images and positions of sum_{i<j} A_i A_j, attention (B,Q,K) with rows that sum to 1", 0},
    {"jacobian", "decoder:any, z:tensor, normalise:bool=true, @, scale:tensor?", f_jacobian,
     "slot Jacobian S (B,P,K): sum over channels and slot numbers of |d x_p / d z_k|, each pixel's divided by their "
     "sum over "
     "slots (a pixel that depends on nothing keeps 0) (arXiv 2411.07784). eps: step of the central differences (0.01; "
     "f64 "
     "1e-4); exact: 2 K m passes of gradients; scale (K,m) or (m): derivatives with respect to z / scale",
     0, NULL, &pc_slot_options},
    {"contrast", "decoder:any, z:tensor, image:bool=false, create_graph:bool=false, @, scale:tensor?", f_contrast,
     "(B)", 0, NULL, &pc_slot_options},
    {"hessian", "decoder:any, z:tensor, @, scale:tensor?, create_graph:bool=false", f_hessian,
     "norms of the blocks D2_ij f, slots i and j, at z (B,K,m): {blocks (B,K,K): root mean square over outputs of the "
     "Frobenius norm; within, mixed (B): of the diagonal blocks, of the others; share (B): mixed^2 / (within^2 + "
     "mixed^2)}, "
     "f64. mixed is 0 for additive decoders (arXiv 2411.07784). E (u' D2_ij f v)^2 over normal u, v is the square of "
     "the "
     "norm: `probes` pairs of directions, or all pairs of slot numbers (0). differences: four decodes a pair, step eps "
     "(0.1; "
     "f64 1e-3); exact: gradients of gradients for every output or `outputs` random ones. scale (K,m) or (m): with "
     "respect "
     "to z / scale. create_graph: share is a loss",
     0, NULL, &pc_second_options},
    {"tangent", "encoder:any, decoder:any, z:tensor, x:tensor?, @, scale:tensor?, create_graph:bool=false", f_tangent,
     "how far an encoder g keeps the condition on inverses of additive decoders: slot blocks of J' D2 g_l J, J = Df(z) "
     "the "
     "tangents of the images x (left out: f(z)), mean over latents l: {blocks, within, mixed, share} as of hessian. "
     "mixed is "
     "0 at g = the inverse of an additive f (two derivatives of g(f(z)) = z; arXiv 2512.08854, Eq. 3.4)",
     0, NULL, &pc_second_options},
    {"jis", "weights:tensor, masks:tensor?, background:int=0", f_jis, "f64 (B)", 0},
    {"segment", "weights:tensor, height:int, width:int, name:str=interaction.segment", f_segment,
     "i64 (B,height,width)", 0},
    {0}};

int luaopen_percept_interaction(lua_State *L) {
  lua_newtable(L);
  pc_register(L, "interaction", interaction_functions);
  return 1;
}
