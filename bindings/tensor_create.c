/* tensor_create.c: new tensors, and the generators they may be filled from. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "bindings/tensor.h"

static pc_dtype default_dtype = PC_F32;
pc_dtype pc_default_dtype(void) { return default_dtype; }

/* The trailing options of every creating function: dtype, requires_grad, generator. */
static pc_dtype wanted(const pc_args *a, pc_dtype otherwise) {
  return pc_arg_given(a, "dtype") ? pc_arg_dtype(a, "dtype") : otherwise;
}

static int give(lua_State *L, const pc_args *a, int rc, pc_tensor *t) {
  if (rc == PC_OK && pc_arg_has(a, "requires_grad") && pc_arg_bool(a, "requires_grad")) rc = pc_set_requires_grad(t, 1);
  if (rc < 0) {
    pc_tensor_release(t);
    return a->decl->sig->p[0].type == PC_T_ANY ? rc : pc_error_prefix(rc, "%s", a->decl->name);
  }
  pc_push_tensor(L, t);
  return 1;
}

pc_rng *pc_arg_rng(const pc_args *a) {
  pc_rng *g = pc_arg_object(a, "generator");
  return g ? g : pc_rng_global();
}

/* ---- constant ---- */

int pc_number_fits(const char *op, double value, pc_dtype d) {
  pc_storage number = {.data = &value, .bytes = sizeof value, .refs = 1};
  const pc_tensor t = {.dtype = PC_F64, .refs = 1, .storage = &number};
  return pc_dtype_is_float(d) ? PC_OK : pc_check_fits(op, &t, d, 0);
}

static int full(lua_State *L, pc_args *a, double value) {
  pc_tensor *t = NULL;
  const pc_val *v = pc_arg_val(a, "size");
  int rc = pc_number_fits(NULL, value, wanted(a, default_dtype));
  if (rc == PC_OK) rc = pc_tensor_full(&t, wanted(a, default_dtype), v->nl, v->l, value);
  return give(L, a, rc, t);
}

static int f_zeros(lua_State *L, pc_args *a) { return full(L, a, 0); }
static int f_ones(lua_State *L, pc_args *a) { return full(L, a, 1); }
static int f_full(lua_State *L, pc_args *a) { return full(L, a, pc_arg_num(a, "value")); }

static int f_empty(lua_State *L, pc_args *a) {
  pc_tensor *t = NULL;
  int rc = pc_tensor_empty(&t, wanted(a, default_dtype), pc_arg_val(a, "size")->nl, pc_arg_val(a, "size")->l);
  return give(L, a, rc, t);
}

static int like(lua_State *L, pc_args *a, double value) {
  pc_tensor *x = pc_arg_tensor(a, "x"), *t = NULL;
  int rc = pc_number_fits(NULL, value, wanted(a, (pc_dtype)x->dtype));
  if (rc == PC_OK) rc = pc_tensor_full(&t, wanted(a, (pc_dtype)x->dtype), x->ndim, x->size, value);
  return give(L, a, rc, t);
}

static int f_zeros_like(lua_State *L, pc_args *a) { return like(L, a, 0); }
static int f_ones_like(lua_State *L, pc_args *a) { return like(L, a, 1); }
static int f_full_like(lua_State *L, pc_args *a) { return like(L, a, pc_arg_num(a, "value")); }

static int f_empty_like(lua_State *L, pc_args *a) {
  pc_tensor *x = pc_arg_tensor(a, "x"), *t = NULL;
  int rc = pc_tensor_empty(&t, wanted(a, (pc_dtype)x->dtype), x->ndim, x->size);
  return give(L, a, rc, t);
}

/* ---- sequences: computed in f64, then stored ---- */

static int sequence(pc_tensor **out, pc_dtype d, int64_t n, double start, double step) {
  pc_tensor *t = NULL, *f64 = NULL;
  int rc = pc_tensor_empty(&f64, PC_F64, 1, &n);
  if (rc < 0) return rc;
  for (int64_t i = 0; i < n; i++) pc_f64(f64)[i] = start + (double)i * step;
  rc = pc_check_fits(NULL, f64, d, 0);
  if (rc == PC_OK) rc = pc_to_dtype(&t, f64, d);
  pc_tensor_release(f64);
  *out = t;
  return rc;
}

static int f_arange(lua_State *L, pc_args *a) {
  double start = pc_arg_num(a, "start"), stop = pc_arg_num(a, "stop"), step = pc_arg_num(a, "step");
  if (!pc_arg_at(a, "stop")) stop = start, start = 0;
  if (step == 0 || !isfinite(step) || !isfinite(stop - start))
    return pc_fail(PC_EARG, "arange: no sequence from %g to %g by steps of %g", start, stop, step);
  double count = ceil((stop - start) / step);
  if (count > 1e15) return pc_fail(PC_ENOMEM, "arange: %g elements are too many", count);
  pc_tensor *t = NULL;
  int rc = sequence(&t, wanted(a, default_dtype), count > 0 ? (int64_t)count : 0, start, step);
  return give(L, a, rc, t);
}

static int f_linspace(lua_State *L, pc_args *a) {
  double start = pc_arg_num(a, "start"), stop = pc_arg_num(a, "stop");
  int64_t n = pc_arg_int64(a, "steps");
  pc_tensor *t = NULL;
  if (n < 0) return pc_fail(PC_EARG, "linspace: argument 3 (steps): expected 0 or more, got %lld", (long long)n);
  int rc = sequence(&t, PC_F64, n, start, n > 1 ? (stop - start) / (double)(n - 1) : 0);
  if (rc < 0) return give(L, a, rc, NULL);
  if (n > 1) pc_f64(t)[n - 1] = stop;
  pc_tensor *x = NULL;
  rc = pc_check_fits(NULL, t, wanted(a, default_dtype), 1);
  if (rc == PC_OK) rc = pc_to_dtype(&x, t, wanted(a, default_dtype));
  pc_tensor_release(t);
  return give(L, a, rc, x);
}

static int f_eye(lua_State *L, pc_args *a) {
  int64_t size[2] = {pc_arg_int64(a, "n"), pc_arg_at(a, "m") ? pc_arg_int64(a, "m") : pc_arg_int64(a, "n")};
  pc_tensor *t = NULL, *diagonal = NULL;
  int rc = pc_tensor_zeros(&t, wanted(a, default_dtype), 2, size);
  if (rc == PC_OK) {
    int64_t n = size[0] < size[1] ? size[0] : size[1], step = size[1] + 1;
    rc = pc_view_strided(&diagonal, t, 1, &n, &step, 0);
    if (rc == PC_OK) rc = pc_fill(diagonal, 1);
    pc_tensor_release(diagonal);
  }
  return give(L, a, rc, t);
}

/* ---- random ---- */

static int random_fill(pc_tensor *t, pc_rng *g, int normal, const char *op) {
  int64_t n = pc_numel(t);
  if (t->dtype == PC_F32)
    (normal ? pc_rng_fill_normal_f32 : pc_rng_fill_uniform_f32)(g, pc_f32(t), n);
  else if (t->dtype == PC_F64)
    (normal ? pc_rng_fill_normal_f64 : pc_rng_fill_uniform_f64)(g, pc_f64(t), n);
  else
    return pc_fail(PC_EDTYPE, "needs a float dtype, not %s; for integers use randint", pc_dtype_name(t->dtype));
  return PC_OK;
}

static int fresh_random(lua_State *L, pc_args *a, int ndim, const int64_t *size, pc_dtype d, int normal) {
  pc_tensor *t = NULL;
  int rc = pc_tensor_empty(&t, d, ndim, size);
  pc_stoppable_begin();
  if (rc == PC_OK) rc = random_fill(t, pc_arg_rng(a), normal, a->decl->name);
  rc = pc_stoppable_end(rc);
  return give(L, a, rc, t);
}

static int f_rand(lua_State *L, pc_args *a) {
  return fresh_random(L, a, pc_arg_val(a, "size")->nl, pc_arg_val(a, "size")->l, wanted(a, default_dtype), 0);
}
static int f_randn(lua_State *L, pc_args *a) {
  return fresh_random(L, a, pc_arg_val(a, "size")->nl, pc_arg_val(a, "size")->l, wanted(a, default_dtype), 1);
}
static int f_rand_like(lua_State *L, pc_args *a) {
  pc_tensor *x = pc_arg_tensor(a, "x");
  return fresh_random(L, a, x->ndim, x->size, wanted(a, (pc_dtype)x->dtype), 0);
}
static int f_randn_like(lua_State *L, pc_args *a) {
  pc_tensor *x = pc_arg_tensor(a, "x");
  return fresh_random(L, a, x->ndim, x->size, wanted(a, (pc_dtype)x->dtype), 1);
}

static int f_randint(lua_State *L, pc_args *a) {
  int64_t lo = pc_arg_int64(a, "low"), hi = pc_arg_int64(a, "high");
  pc_tensor *t = NULL, *x = NULL;
  if (hi <= lo) return pc_fail(PC_EARG, "randint: no integer from %lld up to below %lld", (long long)lo, (long long)hi);
  int rc = pc_tensor_empty(&t, PC_I64, pc_arg_val(a, "size")->nl, pc_arg_val(a, "size")->l);
  if (rc < 0) return give(L, a, rc, NULL);
  pc_stoppable_begin();
  pc_rng_fill_below_i64(pc_arg_rng(a), pc_i64(t), pc_numel(t), lo, hi);
  rc = pc_stoppable_end(PC_OK);
  if (rc == PC_OK) rc = pc_to_dtype(&x, t, wanted(a, PC_I64));
  pc_tensor_release(t);
  return give(L, a, rc, x);
}

static int f_randperm(lua_State *L, pc_args *a) {
  int64_t n = pc_arg_int64(a, "n");
  pc_tensor *t = NULL;
  int rc = pc_tensor_empty(&t, PC_I64, 1, &n);
  if (rc == PC_OK) {
    pc_stoppable_begin();
    pc_rng_permutation(pc_arg_rng(a), pc_i64(t), n);
    rc = pc_stoppable_end(PC_OK);
    for (int64_t i = 0; rc == PC_OK && i < n; i++) pc_i64(t)[i] += PC_INDEX_BASE;
  }
  return give(L, a, rc, t);
}

/* ---- from Lua values ---- */

typedef struct shape_of_table {
  int ndim;
  int64_t size[PC_MAX_DIM];
  int all_boolean;
} shape_of_table;

static int infer(lua_State *L, const char *op, int idx, shape_of_table *s) {
  lua_pushvalue(L, idx);
  for (s->ndim = 0; lua_istable(L, -1); s->ndim++) {
    if (s->ndim == PC_MAX_DIM) return pc_fail(PC_ESHAPE, "%s: tables nested deeper than %d", op, PC_MAX_DIM);
    s->size[s->ndim] = (int64_t)lua_objlen(L, -1);
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
    if (s->size[s->ndim] == 0) {
      s->ndim++;
      break;
    }
  }
  s->all_boolean = lua_isboolean(L, -1);
  lua_pop(L, 1);
  return PC_OK;
}

static int store(lua_State *L, const char *op, const shape_of_table *s, int dim, char *path, size_t at, double **out) {
  int type = lua_type(L, -1), rc;
  if (dim == s->ndim) {
    if (type == LUA_TNUMBER)
      *(*out)++ = lua_tonumber(L, -1);
    else if (type == LUA_TBOOLEAN)
      *(*out)++ = lua_toboolean(L, -1);
    else
      return pc_fail(PC_EARG, "%s: entry %s: expected a number%s, got %s", op, *path ? path : "",
                     type == LUA_TTABLE ? " as before" : "", pc_describe(L, -1));
    return PC_OK;
  }
  if (type != LUA_TTABLE)
    return pc_fail(PC_ESHAPE, "%s: entry %s: expected a table of %lld, got %s", op, path, (long long)s->size[dim],
                   pc_describe(L, -1));
  int64_t n = (int64_t)lua_objlen(L, -1);
  if (n != s->size[dim])
    return pc_fail(PC_ESHAPE, "%s: ragged table: entry %s has %lld elements where the first has %lld", op, path,
                   (long long)n, (long long)s->size[dim]);
  for (int64_t i = 1; i <= n; i++) {
    snprintf(path + at, 24, "[%lld]", (long long)i);
    lua_rawgeti(L, -1, (int)i);
    rc = store(L, op, s, dim + 1, path, at + strlen(path + at), out);
    lua_pop(L, 1);
    if (rc < 0) return rc;
  }
  path[at] = 0;
  return PC_OK;
}

int pc_tensor_of_lua(lua_State *L, const char *op, int idx, pc_dtype dtype, int dtype_given, pc_tensor **out) {
  shape_of_table s;
  char path[24 * (PC_MAX_DIM + 2)] = "";
  pc_tensor *f64 = NULL;
  *out = NULL;
  if (pc_to_tensor(L, idx)) {
    pc_tensor *x = pc_to_tensor(L, idx);
    int rc = pc_check_fits(op, x, dtype_given ? dtype : (pc_dtype)x->dtype, 1);
    if (rc == PC_OK) rc = pc_clone(&f64, x);
    if (rc == PC_OK) rc = pc_to_dtype(out, f64, dtype_given ? dtype : (pc_dtype)x->dtype);
    pc_tensor_release(f64);
    return rc;
  }
  int rc = infer(L, op, idx, &s);
  if (rc < 0) return rc;
  if (!dtype_given && s.all_boolean) dtype = PC_U8;
  if ((rc = pc_tensor_empty(&f64, PC_F64, s.ndim, s.size)) < 0) return rc;
  double *at = pc_f64(f64);
  lua_pushvalue(L, idx);
  rc = store(L, op, &s, 0, path, 0, &at);
  lua_pop(L, 1);
  if (rc == PC_OK) rc = pc_check_fits(op, f64, dtype, 0);
  if (rc == PC_OK) rc = pc_to_dtype(out, f64, dtype);
  pc_tensor_release(f64);
  return rc;
}

static int f_tensor(lua_State *L, pc_args *a) {
  pc_tensor *t = NULL;
  pc_dtype d = wanted(a, default_dtype);
  int rc = pc_tensor_of_lua(L, a->decl->name, pc_arg_at(a, "data"), d, pc_arg_given(a, "dtype"), &t);
  return give(L, a, rc, t);
}

/* ---- generators ---- */

static int f_manual_seed(lua_State *L, pc_args *a) {
  (void)L;
  pc_rng_seed(pc_rng_global(), (uint64_t)pc_arg_int64(a, "seed"));
  return 0;
}

static int push_state(lua_State *L, const pc_rng *g) {
  char s[40];
  snprintf(s, sizeof s, "%016llx:%016llx", (unsigned long long)g->seed, (unsigned long long)g->counter);
  lua_pushstring(L, s);
  return 1;
}

static int take_state(const char *s, pc_rng *g) {
  unsigned long long seed, counter;
  char end;
  if (sscanf(s, "%16llx:%16llx%c", &seed, &counter, &end) != 2)
    return pc_fail(PC_EARG, "set_state: '%.40s' is not the state of a generator, as state() gives it", s);
  g->seed = seed;
  g->counter = counter;
  return PC_OK;
}

static int f_get_state(lua_State *L, pc_args *a) { return (void)a, push_state(L, pc_rng_global()); }
static int f_set_state(lua_State *L, pc_args *a) {
  return (void)L, take_state(pc_arg_str(a, "state"), pc_rng_global());
}
static int g_state(lua_State *L, pc_args *a) { return push_state(L, pc_arg_object(a, "g")); }
static int g_set_state(lua_State *L, pc_args *a) {
  return (void)L, take_state(pc_arg_str(a, "state"), pc_arg_object(a, "g"));
}
static int g_seed(lua_State *L, pc_args *a) {
  return (void)L, pc_rng_seed(pc_arg_object(a, "g"), (uint64_t)pc_arg_int64(a, "seed")), 0;
}
static int g_uniform(lua_State *L, pc_args *a) { return lua_pushnumber(L, pc_rng_uniform(pc_arg_object(a, "g"))), 1; }

static int g_below(lua_State *L, pc_args *a) {
  if (pc_arg_int64(a, "n") < 1) return pc_fail(PC_EARG, "rng.random: n must be at least 1");
  return lua_pushnumber(L, (lua_Number)(1 + pc_rng_below(pc_arg_object(a, "g"), pc_arg_int64(a, "n")))), 1;
}

static int f_generator(lua_State *L, pc_args *a) {
  pc_rng *g = pc_new_object(L, "rng", sizeof *g);
  pc_rng_seed(g, (uint64_t)pc_arg_int64(a, "seed"));
  return 1;
}

static int f_get_default(lua_State *L, pc_args *a) {
  return (void)a, lua_pushstring(L, pc_dtype_name(default_dtype)), 1;
}
static int f_set_default(lua_State *L, pc_args *a) {
  (void)L;
  if (!pc_dtype_is_float(pc_arg_dtype(a, "dtype")))
    return pc_fail(PC_EDTYPE, "set_default_dtype: the default is f32 or f64, not %s",
                   pc_dtype_name(pc_arg_dtype(a, "dtype")));
  default_dtype = pc_arg_dtype(a, "dtype");
  return 0;
}

#define OPTIONS ", dtype:dtype?, requires_grad:bool=false"
#define RANDOM  OPTIONS ", generator:rng?"

static const pc_luafn create[] = {
    {"zeros", "size:size?" OPTIONS, f_zeros, "a tensor of zeros: zeros(2,3) or zeros{2,3}", PC_RETRY},
    {"ones", "size:size?" OPTIONS, f_ones, "a tensor of ones", PC_RETRY},
    {"full", "size:size, value:num(any)" OPTIONS, f_full, "a tensor of one value: full({2,3}, 7)", PC_RETRY},
    {"empty", "size:size?" OPTIONS, f_empty, "a tensor with undefined contents", PC_RETRY},
    {"arange", "start:num, stop:num?, step:num=1" OPTIONS, f_arange,
     "start, start+step, ... below stop; arange(n) is 0..n-1", PC_RETRY},
    {"linspace", "start:num, stop:num, steps:int64(0..)=100" OPTIONS, f_linspace,
     "evenly spaced numbers, both ends included", PC_RETRY},
    {"eye", "n:int64(0..), m:int64(0..)?" OPTIONS, f_eye, "ones on the diagonal, zeros elsewhere", PC_RETRY},
    {"rand", "size:size?" RANDOM, f_rand, "uniform in [0,1)", PC_RETRY},
    {"randn", "size:size?" RANDOM, f_randn, "standard normal", PC_RETRY},
    {"randint", "low:int64, high:int64, size:size, dtype:dtype=i64, generator:rng?", f_randint,
     "integers from low up to high-1 (positions in n things: randint(1, n+1, size))", PC_RETRY},
    {"randperm", "n:int64(0..), generator:rng?", f_randperm, "a random order of 1..n, i64", PC_RETRY},
    {"tensor", "data:any" OPTIONS, f_tensor, "a tensor of a number, a boolean, nested tables or (a copy of) a tensor",
     PC_RETRY},
    {"from_table", "data:any" OPTIONS, f_tensor, "a tensor of nested tables of numbers", PC_RETRY},
    {"zeros_like", "x:tensor" OPTIONS, f_zeros_like, "zeros in the shape and dtype of x", PC_RETRY},
    {"ones_like", "x:tensor" OPTIONS, f_ones_like, "ones in the shape and dtype of x", PC_RETRY},
    {"full_like", "x:tensor, value:num(any)" OPTIONS, f_full_like, "one value in the shape and dtype of x", PC_RETRY},
    {"empty_like", "x:tensor" OPTIONS, f_empty_like, "undefined contents in the shape and dtype of x", PC_RETRY},
    {"rand_like", "x:tensor" RANDOM, f_rand_like, "uniform in [0,1) in the shape and dtype of x", PC_RETRY},
    {"randn_like", "x:tensor" RANDOM, f_randn_like, "standard normal in the shape and dtype of x", PC_RETRY},
    {"manual_seed", "seed:int64", f_manual_seed, "seeds the global generator"},
    {"get_rng_state", "", f_get_state, "the state of the global generator, a string"},
    {"set_rng_state", "state:str", f_set_state, "puts the global generator into a state"},
    {"generator", "seed:int64=0", f_generator, "a generator of its own, for the option generator ="},
    {"get_default_dtype", "", f_get_default, "dtype of new tensors: \"f32\" unless changed"},
    {"set_default_dtype", "dtype:dtype", f_set_default, "dtype of new tensors from now on"},
    {0}};

static const pc_luafn rng_methods[] = {{"seed", "g:rng, seed:int64", g_seed, "starts anew from a seed"},
                                       {"state", "g:rng", g_state, "the state, a string"},
                                       {"set_state", "g:rng, state:str", g_set_state, "goes on from a state"},
                                       {"uniform", "g:rng", g_uniform, "one number in [0,1)"},
                                       {"random", "g:rng, n:int64(1..)", g_below, "one integer of 1..n"},
                                       {0}};

void pc_open_create(lua_State *L, int tf, int tm) {
  (void)tm;
  pc_class(L, "rng", rng_methods, NULL);
  lua_pop(L, 1);
  lua_pushvalue(L, tf);
  pc_register(L, NULL, create);
  lua_pop(L, 1);
}
