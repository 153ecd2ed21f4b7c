/* tensor_inplace.c: methods that change a tensor: their names end in _. */
#include <math.h>
#include <string.h>

#include "bindings/tensor.h"
#include "tensor/inplace.h"

/* Returns x itself, so that calls chain. */
static int self(lua_State *L, pc_args *a, int rc) {
  if (rc < 0) return rc;
  lua_pushvalue(L, pc_arg_at(a, "x"));
  return 1;
}

/* Says no where writing would lose what was computed: fractions into integers. */
static int begin(pc_args *a, const pc_tensor *other) {
  pc_tensor *x = pc_arg_tensor(a, "x");
  int rc = pc_inplace_begin(a->decl->name, x);
  if (rc == PC_OK && other && pc_dtype_is_float((pc_dtype)other->dtype) && !pc_dtype_is_float((pc_dtype)x->dtype))
    rc = pc_fail(PC_EDTYPE, "%s: a fraction does not fit into %s; use x:float() first", a->decl->name,
                 pc_dtype_name((pc_dtype)x->dtype));
  if (rc == PC_OK && other && other->weak) rc = pc_check_fits(a->decl->name, other, (pc_dtype)x->dtype, 0);
  return rc;
}

static int add(lua_State *L, pc_args *a, double alpha) {
  int rc = begin(a, pc_arg_tensor(a, "other"));
  if (rc == PC_OK && !(alpha == floor(alpha) && fabs(alpha) <= 0x1p53) &&
      !pc_dtype_is_float((pc_dtype)pc_arg_tensor(a, "x")->dtype))
    rc = pc_fail(PC_EDTYPE, "%s: alpha %g for an integer tensor", a->decl->name, alpha);
  if (rc == PC_OK) rc = pc_add_into(pc_arg_tensor(a, "x"), pc_arg_tensor(a, "other"), alpha);
  return self(L, a, rc);
}

static int m_add(lua_State *L, pc_args *a) { return add(L, a, pc_arg_num(a, "alpha")); }
static int m_sub(lua_State *L, pc_args *a) { return add(L, a, -pc_arg_num(a, "alpha")); }

static int m_mul(lua_State *L, pc_args *a) {
  int rc = begin(a, pc_arg_tensor(a, "other"));
  return self(L, a, rc == PC_OK ? pc_mul_into(pc_arg_tensor(a, "x"), pc_arg_tensor(a, "other")) : rc);
}

static int m_div(lua_State *L, pc_args *a) {
  int rc = begin(a, NULL);
  return self(L, a, rc == PC_OK ? pc_div_into(pc_arg_tensor(a, "x"), pc_arg_tensor(a, "other")) : rc);
}

static int fill(lua_State *L, pc_args *a, double value) {
  int rc = pc_inplace_begin(a->decl->name, pc_arg_tensor(a, "x"));
  if (rc == PC_OK) rc = pc_number_fits(a->decl->name, value, (pc_dtype)pc_arg_tensor(a, "x")->dtype);
  if (rc == PC_OK) rc = pc_fill(pc_arg_tensor(a, "x"), value);
  return self(L, a, rc);
}

static int m_fill(lua_State *L, pc_args *a) { return fill(L, a, pc_arg_num(a, "value")); }
static int m_zero(lua_State *L, pc_args *a) { return fill(L, a, 0); }

static int m_copy(lua_State *L, pc_args *a) {
  int rc = pc_inplace_begin("copy_", pc_arg_tensor(a, "x"));
  if (rc == PC_OK) rc = pc_check_fits("copy_", pc_arg_tensor(a, "src"), (pc_dtype)pc_arg_tensor(a, "x")->dtype, 1);
  if (rc == PC_OK) rc = pc_copy_into(pc_arg_tensor(a, "x"), pc_arg_tensor(a, "src"));
  return self(L, a, rc);
}

static int m_clamp(lua_State *L, pc_args *a) {
  double lo = pc_arg_at(a, "min") ? pc_arg_num(a, "min") : -INFINITY,
         hi = pc_arg_at(a, "max") ? pc_arg_num(a, "max") : INFINITY;
  int rc = begin(a, NULL);
  return self(L, a, rc == PC_OK ? pc_clamp_into(pc_arg_tensor(a, "x"), lo, hi) : rc);
}

/* x := a + b * noise; noise as the generator would fill a new tensor of x's shape */
static int noise(lua_State *L, pc_args *a, int normal, double shift, double scale) {
  pc_tensor *x = pc_arg_tensor(a, "x"), *t = NULL;
  int rc = pc_inplace_begin(a->decl->name, x);
  if (rc == PC_OK && !pc_dtype_is_float((pc_dtype)x->dtype))
    rc = pc_fail(PC_EDTYPE, "%s: needs a float tensor, this one is %s", a->decl->name,
                 pc_dtype_name((pc_dtype)x->dtype));
  if (rc == PC_OK) rc = pc_tensor_empty(&t, (pc_dtype)x->dtype, x->ndim, x->size);
  if (rc < 0) return rc;
  int64_t n = pc_numel(t);
  pc_rng *g = pc_arg_rng(a);
  if (t->dtype == PC_F32) {
    float *p = pc_f32(t);
    (normal ? pc_rng_fill_normal_f32 : pc_rng_fill_uniform_f32)(g, p, n);
    for (int64_t i = 0; i < n; i++) p[i] = (float)(shift + scale * p[i]);
  } else {
    double *p = pc_f64(t);
    (normal ? pc_rng_fill_normal_f64 : pc_rng_fill_uniform_f64)(g, p, n);
    for (int64_t i = 0; i < n; i++) p[i] = shift + scale * p[i];
  }
  rc = pc_copy_into(x, t);
  pc_tensor_release(t);
  return self(L, a, rc);
}

static int m_uniform(lua_State *L, pc_args *a) {
  return noise(L, a, 0, pc_arg_num(a, "low"), pc_arg_num(a, "high") - pc_arg_num(a, "low"));
}
static int m_normal(lua_State *L, pc_args *a) { return noise(L, a, 1, pc_arg_num(a, "mean"), pc_arg_num(a, "std")); }

static const pc_luafn fns[] = {
    {"add_", "x:tensor, other:value, alpha:num=1", m_add, "x = x + alpha * other, in place"},
    {"sub_", "x:tensor, other:value, alpha:num=1", m_sub, "x = x - alpha * other, in place"},
    {"mul_", "x:tensor, other:value", m_mul, "x = x * other, in place"},
    {"div_", "x:tensor, other:value", m_div, "x = x / other, in place"},
    {"clamp_", "x:tensor, min:num(any)?, max:num(any)?", m_clamp, "x limited to [min, max], in place"},
    {"fill_", "x:tensor, value:num(any)", m_fill, "every element = value"},
    {"zero_", "x:tensor", m_zero, "every element = 0"},
    {"copy_", "x:tensor, src:tensor", m_copy, "x = src, broadcast and converted"},
    {"uniform_", "x:tensor, low:num=0, high:num=1, generator:rng?", m_uniform, "uniform in [low, high), in place"},
    {"normal_", "x:tensor, mean:num=0, std:num(0..)=1, generator:rng?", m_normal, "normal, in place"},
    {0}};

void pc_open_inplace(lua_State *L, int tf, int tm) {
  (void)tf;
  lua_pushvalue(L, tm);
  pc_register(L, NULL, fns);
  lua_pop(L, 1);
}
