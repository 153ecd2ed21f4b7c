/* nn.c: percept.nn: layers and losses. */
#include "base/alloc.h"
#include "bindings/module.h"
#include "grad/checkpoint.h"
#include "nn/layers.h"
#include "nn/loss.h"

int luaopen_percept_nn(lua_State *L);
void pc_module_functions(lua_State *L);

/* Options o: the defaults of T's rows, and what the arguments say. */
#define OPTIONS(T, LIST, o)         \
  T o = PC_OPTIONS_WITH(T, LIST, ); \
  pc_args_options(a, &(o))

static int f_linear(lua_State *L, pc_args *a) {
  pc_module *m;
  OPTIONS(pc_linear_opts, PC_LINEAR_OPTIONS, o);
  return pc_made_module(L, pc_nn_linear(&m, pc_arg_int64(a, "in"), pc_arg_int64(a, "out"), &o), &m);
}

static int f_conv2d(lua_State *L, pc_args *a) {
  pc_module *m;
  OPTIONS(pc_nn_conv_opts, PC_CONV_OPTIONS, o);
  return pc_made_module(
      L, pc_nn_conv2d(&m, pc_arg_int64(a, "in"), pc_arg_int64(a, "out"), pc_arg_int64(a, "kernel"), &o), &m);
}

static int f_conv_transpose2d(lua_State *L, pc_args *a) {
  pc_module *m;
  OPTIONS(pc_nn_conv_opts, PC_CONV_TRANSPOSE_OPTIONS, o);
  return pc_made_module(
      L, pc_nn_conv_transpose2d(&m, pc_arg_int64(a, "in"), pc_arg_int64(a, "out"), pc_arg_int64(a, "kernel"), &o), &m);
}

static int f_layer_norm(lua_State *L, pc_args *a) {
  pc_module *m;
  OPTIONS(pc_layer_norm_opts, PC_LAYER_NORM_OPTIONS, o);
  return pc_made_module(L, pc_nn_layer_norm(&m, pc_arg_int64(a, "width"), &o), &m);
}

static int f_group_norm(lua_State *L, pc_args *a) {
  pc_module *m;
  OPTIONS(pc_group_norm_opts, PC_GROUP_NORM_OPTIONS, o);
  return pc_made_module(L, pc_nn_group_norm(&m, pc_arg_int64(a, "groups"), pc_arg_int64(a, "channels"), &o), &m);
}

static int f_dropout(lua_State *L, pc_args *a) {
  pc_module *m;
  OPTIONS(pc_dropout_opts, PC_DROPOUT_OPTIONS, o);
  return pc_made_module(L, pc_nn_dropout(&m, &o), &m);
}

static int f_activation(lua_State *L, pc_args *a) {
  pc_module *m;
  OPTIONS(pc_activation_opts, PC_ACTIVATION_OPTIONS, o);
  return pc_made_module(L, pc_nn_activation(&m, (pc_activation)o.kind), &m);
}

static int f_flatten(lua_State *L, pc_args *a) {
  pc_module *m;
  return pc_made_module(L, pc_nn_flatten(&m), &m);
}

/* The integers of the list at stack place `at`. */
static int int_list(lua_State *L, const char *fn, int at, int64_t *out, int max) {
  int n = (int)lua_objlen(L, at);
  if (n > max) return pc_fail(PC_EARG, "%s: at most %d entries in a list, got %d", fn, max, n);
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, at, i + 1);
    lua_Number v = lua_tonumber(L, -1);
    int ok = lua_type(L, -1) == LUA_TNUMBER && pc_number_is_whole(v);
    lua_pop(L, 1);
    if (!ok) return pc_fail(PC_EARG, "%s: entry %d of the list is no whole number", fn, i + 1);
    out[i] = (int64_t)v;
  }
  return n;
}

static int f_mlp(lua_State *L, pc_args *a) {
  pc_module *m;
  int64_t w[64];
  OPTIONS(pc_mlp_opts, PC_MLP_OPTIONS, o);
  int n = int_list(L, "nn.mlp", pc_arg_at(a, "widths"), w, 64);
  return pc_made_module(L, n < 0 ? n : pc_nn_mlp(&m, n, w, (pc_activation)o.activation), &m);
}

static int f_sequential(lua_State *L, pc_args *a) {
  pc_module *m, *parts[256];
  int at = pc_arg_at(a, "modules"), n = (int)lua_objlen(L, at);
  if (n > 256) return pc_fail(PC_EARG, "nn.sequential: at most 256 modules");
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, at, i + 1);
    parts[i] = pc_to_module(L, -1);
    if (!parts[i]) return pc_fail(PC_EARG, "nn.sequential: entry %d is %s, not a module", i + 1, pc_describe(L, -1));
    lua_pop(L, 1);
  }
  return pc_made_module(L, pc_nn_sequential(&m, n, parts), &m);
}

static int f_attention(lua_State *L, pc_args *a) {
  pc_module *m;
  OPTIONS(pc_attention_opts, PC_ATTENTION_OPTIONS, o);
  return pc_made_module(L, pc_nn_attention(&m, pc_arg_int64(a, "width"), pc_arg_int64(a, "heads"), &o), &m);
}

static int f_block(lua_State *L, pc_args *a) {
  pc_module *m;
  OPTIONS(pc_block_opts, PC_BLOCK_OPTIONS, o);
  return pc_made_module(L, pc_nn_block(&m, pc_arg_int64(a, "width"), pc_arg_int64(a, "heads"), &o), &m);
}

static int f_gru_cell(lua_State *L, pc_args *a) {
  pc_module *m;
  return pc_made_module(L, pc_nn_gru_cell(&m, pc_arg_int64(a, "in"), pc_arg_int64(a, "hidden")), &m);
}

static int f_position(lua_State *L, pc_args *a) {
  pc_module *m;
  OPTIONS(pc_position_opts, PC_POSITION_OPTIONS, o);
  return pc_made_module(L, pc_nn_position(&m, pc_arg_int64(a, "n"), pc_arg_int64(a, "width"), o.sd), &m);
}

static int push_table(lua_State *L, int rc, pc_tensor *const *t) {
  if (rc < 0) return rc;
  pc_push_tensor(L, *t);
  return 1;
}

static int f_sincos(lua_State *L, pc_args *a) {
  pc_tensor *t;
  return push_table(L, pc_embed_sincos_1d(&t, pc_arg_int64(a, "n"), pc_arg_int64(a, "width")), &t);
}

static int f_sincos2d(lua_State *L, pc_args *a) {
  pc_tensor *t;
  return push_table(
      L, pc_embed_sincos_2d(&t, pc_arg_int64(a, "height"), pc_arg_int64(a, "width"), pc_arg_int64(a, "channels")), &t);
}

static int f_fourier(lua_State *L, pc_args *a) {
  pc_tensor *t;
  OPTIONS(pc_fourier_opts, PC_FOURIER_OPTIONS, o);
  return push_table(L, pc_embed_fourier(&t, pc_arg_int64(a, "height"), pc_arg_int64(a, "width"), o.octaves), &t);
}

static int f_init(lua_State *L, pc_args *a) {
  pc_tensor *t = pc_arg_tensor(a, "t");
  int64_t n = pc_numel(t), out = t->ndim ? t->size[0] : 1, in = out ? n / out : 0;
  OPTIONS(pc_init_opts, PC_INIT_OPTIONS, o);
  int was = pc_grad_set_enabled(0); /* filling a parameter is no step of a computation */
  int rc = pc_inplace_begin("nn.init", t);
  if (rc == PC_OK) rc = pc_init_fill(t, (pc_init)o.kind, o.gain, in, out, pc_rng_global());
  pc_grad_set_enabled(was);
  if (rc < 0) return rc;
  lua_pushvalue(L, pc_arg_at(a, "t"));
  return 1;
}

/* ---- checkpoint ---- */

/* What a call needs to run again: references into the registry. */
typedef struct again {
  lua_State *home;
  int fn, args; /* the function; its arguments as a table */
  int nargs;
  int nin, arg_of[32]; /* argument number of each tensor, from 1 */
} again;

static void again_release(void *ctx) {
  again *c = ctx;
  luaL_unref(c->home, LUA_REGISTRYINDEX, c->fn);
  luaL_unref(c->home, LUA_REGISTRYINDEX, c->args);
  pc_free(c);
}

static int again_run(void *ctx, pc_tensor *const *in, int nin, pc_tensor **out, int *nout) {
  const again *c = ctx;
  lua_State *L = pc_lua_now();
  int top = lua_gettop(L), tensor = 0;
  *nout = 0;
  if (!lua_checkstack(L, c->nargs + 8)) return pc_fail(PC_ENOMEM, "checkpoint: Lua's stack is full");
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->args);
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->fn);
  for (int i = 1; i <= c->nargs; i++) {
    if (tensor < nin && c->arg_of[tensor] == i)
      pc_push_tensor(L, pc_tensor_retain(in[tensor++]));
    else
      lua_rawgeti(L, top + 1, i);
  }
  int rc = pc_callback(L, c->nargs, LUA_MULTRET), n = lua_gettop(L) - top - 1;
  if (rc == PC_OK && (n < 1 || n > PC_MAX_OUT))
    rc = pc_fail(PC_EARG, "checkpoint: the function returned %d results; 1 to %d tensors are expected", n, PC_MAX_OUT);
  for (int k = 0; k < n && rc == PC_OK; k++) {
    pc_tensor *t = pc_to_tensor(L, top + 2 + k);
    if (t)
      out[(*nout)++] = pc_tensor_retain(t);
    else
      rc = pc_fail(PC_EARG, "checkpoint: result %d of the function is %s, not a tensor", k + 1,
                   pc_describe(L, top + 2 + k));
  }
  for (int k = 0; rc < 0 && k < *nout; k++) {
    pc_tensor_release(out[k]);
    out[k] = NULL;
  }
  if (rc < 0) *nout = 0;
  lua_settop(L, top);
  return rc;
}

static int f_checkpoint(lua_State *L, pc_args *a) {
  pc_tensor *in[32], *out[PC_MAX_OUT];
  again c = {.home = pc_lua_home(L), .nargs = a->nrest}, *keep;
  int nout = 0, fn = pc_arg_at(a, "fn");
  if (!pc_to_module(L, fn) && lua_type(L, fn) != LUA_TFUNCTION)
    return pc_fail(PC_EARG, "checkpoint: argument 1 is %s; a module or a function is expected", pc_describe(L, fn));
  for (int i = 0; i < a->nrest; i++) {
    pc_tensor *t = pc_to_tensor(L, a->rest + i);
    if (!t) continue;
    if (c.nin == 32) return pc_fail(PC_EARG, "checkpoint: more than 32 tensors");
    c.arg_of[c.nin] = i + 1;
    in[c.nin++] = t;
  }
  if (!(keep = pc_malloc(sizeof *keep))) return PC_ENOMEM;
  lua_pushvalue(L, fn);
  c.fn = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_createtable(L, a->nrest, 0);
  for (int i = 0; i < a->nrest; i++) {
    if (pc_to_tensor(L, a->rest + i)) continue; /* the tape holds those */
    lua_pushvalue(L, a->rest + i);
    lua_rawseti(L, -2, i + 1);
  }
  c.args = luaL_ref(L, LUA_REGISTRYINDEX);
  *keep = c;
  int rc = pc_checkpoint(out, &nout, in, c.nin, (pc_recompute){keep, again_run, again_release});
  if (rc < 0) return rc;
  for (int k = 0; k < nout; k++) pc_push_tensor(L, out[k]);
  return nout;
}

/* ---- losses ---- */

static int loss_end(lua_State *L, pc_scope *s, pc_tensor *loss) {
  int rc = pc_scope_end(s, &loss, 1);
  return push_table(L, rc, &loss);
}

static int f_mse(lua_State *L, pc_args *a) {
  pc_scope s = {0};
  OPTIONS(pc_loss_opts, PC_LOSS_OPTIONS, o);
  return loss_end(L, &s, pc_loss_mse(&s, pc_arg_tensor(a, "x"), pc_arg_tensor(a, "y"), (pc_reduction)o.reduction));
}

static int f_cross_entropy(lua_State *L, pc_args *a) {
  pc_scope s = {0};
  OPTIONS(pc_cross_entropy_opts, PC_CROSS_ENTROPY_OPTIONS, o);
  return loss_end(L, &s,
                  pc_loss_cross_entropy(&s, pc_arg_tensor(a, "logits"), pc_arg_tensor(a, "target"), o.label_smoothing,
                                        (pc_reduction)o.reduction));
}

static int f_bce(lua_State *L, pc_args *a) {
  pc_scope s = {0};
  OPTIONS(pc_loss_opts, PC_LOSS_OPTIONS, o);
  return loss_end(L, &s,
                  pc_loss_bce_logits(&s, pc_arg_tensor(a, "x"), pc_arg_tensor(a, "target"), (pc_reduction)o.reduction));
}

static int f_gaussian_nll(lua_State *L, pc_args *a) {
  pc_scope s = {0};
  OPTIONS(pc_gaussian_nll_opts, PC_GAUSSIAN_NLL_OPTIONS, o);
  return loss_end(L, &s,
                  pc_loss_gaussian_nll(&s, pc_arg_tensor(a, "mean"), pc_arg_tensor(a, "x"), pc_arg_tensor(a, "var"),
                                       o.eps, (pc_reduction)o.reduction));
}

static int f_kl(lua_State *L, pc_args *a) {
  pc_scope s = {0};
  OPTIONS(pc_loss_opts, PC_KL_OPTIONS, o);
  return loss_end(L, &s,
                  pc_loss_kl(&s, pc_arg_tensor(a, "mean"), pc_arg_tensor(a, "log_std"), (pc_reduction)o.reduction));
}

static const pc_luafn functions[] = {
    {"linear", "in:int(1..), out:int(1..), @", f_linear, "(..., in) -> (..., out): x W^T + b", 0, NULL,
     &pc_linear_options},
    {"conv2d", "in:int(1..), out:int(1..), kernel:int(1..), @", f_conv2d, "(B,H,W,in) -> (B,H',W',out)", 0, NULL,
     &pc_conv_options},
    {"conv_transpose2d", "in:int(1..), out:int(1..), kernel:int(1..), @", f_conv_transpose2d,
     "(B,H,W,in) -> (B,H',W',out), the transpose of conv2d", 0, NULL, &pc_conv_transpose_options},
    {"layer_norm", "width:int(1..), @", f_layer_norm, "(..., width): (x - mean) / sd * weight + bias", 0, NULL,
     &pc_layer_norm_options},
    {"group_norm", "groups:int(1..), channels:int(1..), @", f_group_norm,
     "(B,...,C) normalised over groups of channels", 0, NULL, &pc_group_norm_options},
    {"dropout", "@", f_dropout, "zeroes with probability p while training", 0, NULL, &pc_dropout_options},
    {"activation", "@", f_activation, "x -> kind(x), element by element; none: x itself", 0, NULL,
     &pc_activation_options},
    {"flatten", "", f_flatten, "(B,...) -> (B,n)", 0},
    {"mlp", "widths:table, @", f_mlp, "linear, activation, ..., linear through the widths {in, hidden..., out}", 0,
     NULL, &pc_mlp_options},
    {"sequential", "modules:table", f_sequential, "modules in a row: {nn.linear(..), nn.activation'relu', ...}", 0},
    {"attention", "width:int(1..), heads:int(1..), @", f_attention,
     "multi-head attention: x (B,N,width)[, context (B,M,context)] -> (B,N,width), weights (B,heads,N,M)", 0, NULL,
     &pc_attention_options},
    {"block", "width:int(1..), heads:int(1..), @", f_block,
     "pre-norm Transformer block: x (B,N,width)[, context (B,M,context)] -> x, weights", 0, NULL, &pc_block_options},
    {"gru_cell", "in:int(1..), hidden:int(1..)", f_gru_cell, "x (B,in), h (B,hidden) -> h' (B,hidden)", 0},
    {"position", "n:int(1..), width:int(1..), @", f_position, "adds a learned (n,width) table", 0, NULL,
     &pc_position_options},
    {"sincos", "n:int(1..), width:int(1..)", f_sincos, "sine-cosine position table (n,width)", 0},
    {"sincos2d", "height:int(1..), width:int(1..), channels:int(1..)", f_sincos2d,
     "sine-cosine table of a grid (height*width,channels)", 0},
    {"fourier", "height:int(1..), width:int(1..), @", f_fourier,
     "Fourier features of grid coordinates (height*width,4*octaves)", 0, NULL, &pc_fourier_options},
    {"init", "t:tensor, @", f_init, "fills a parameter in place: xavier_uniform, kaiming_normal, orthogonal, ...", 0,
     NULL, &pc_init_options},
    {"checkpoint", "fn:any, ...", f_checkpoint,
     "fn(...), keeping nothing of the way there: backward runs fn (a function or a module) again and differentiates "
     "that; "
     "the same values and gradients for less memory and fn once more (arXiv 1604.06174). Weights fn uses get their "
     "gradients; results with history must be arguments",
     0},
    {"mse", "x:tensor, y:tensor, @", f_mse, "squared error", 0, NULL, &pc_loss_options},
    {"cross_entropy", "logits:tensor, target:tensor, @", f_cross_entropy, "logits (...,C), target (...) classes from 1",
     0, NULL, &pc_cross_entropy_options},
    {"bce_with_logits", "x:tensor, target:tensor, @", f_bce, "binary cross entropy of logits", 0, NULL,
     &pc_loss_options},
    {"gaussian_nll", "mean:tensor, x:tensor, var:tensor, @", f_gaussian_nll, "0.5 (log var + (x - mean)^2 / var)", 0,
     NULL, &pc_gaussian_nll_options},
    {"kl", "mean:tensor, log_std:tensor, @", f_kl, "KL(N(mean, std^2) || N(0,1)), std = exp(log_std)", 0, NULL,
     &pc_kl_options},
    {0}};

int luaopen_percept_nn(lua_State *L) {
  pc_module_class_open(L);
  lua_newtable(L);
  pc_register(L, "nn", functions);
  pc_module_functions(L);
  return 1;
}
