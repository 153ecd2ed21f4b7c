/* tensor_inplace.c: methods that change a tensor: their names end in _. */
#include <string.h>

#include "bindings/tensor.h"

/* Returns x itself, so that calls chain. */
static int self(lua_State *L, pc_args *a, int rc) {
  if (rc < 0) return rc;
  lua_pushvalue(L, a->a[0].at);
  return 1;
}

/* x := op(x, other); the result must keep the shape of x. */
static int arithmetic(lua_State *L, pc_args *a, const char *op) {
  pc_tensor *x = a->a[0].t, *other = a->a[1].t, *scaled = NULL, *y = NULL, *alpha = NULL;
  int rc = pc_inplace_begin(a->decl->name, x), was = pc_grad_set_enabled(0);
  if (rc == PC_OK && a->n > 2 && a->a[2].at) {
    if ((rc = pc_tensor_scalar(&alpha, PC_F64, a->a[2].v.d)) == PC_OK) {
      alpha->weak = 1;
      rc = pc_apply_named("mul", &scaled, (pc_tensor *[]){other, alpha}, 2, NULL, 0);
      other = scaled;
    }
  }
  if (rc == PC_OK) rc = pc_apply_named(op, &y, (pc_tensor *[]){x, other}, 2, NULL, 0);
  if (rc == PC_OK && !pc_same_shape(x, y))
    rc = pc_fail(PC_ESHAPE, "%s: the result has shape %s, x has %s: other %s may not widen x", a->decl->name,
                 pc_shape_str(y), pc_shape_str(x), pc_shape_str(other));
  if (rc == PC_OK && pc_dtype_is_float((pc_dtype)y->dtype) && !pc_dtype_is_float((pc_dtype)x->dtype))
    rc = pc_fail(PC_EDTYPE, "%s: the result is %s and does not fit into %s; use x:float() first", a->decl->name,
                 pc_dtype_name((pc_dtype)y->dtype), pc_dtype_name((pc_dtype)x->dtype));
  if (rc == PC_OK) rc = pc_copy_into(x, y);
  pc_grad_set_enabled(was);
  pc_tensor_release(y);
  pc_tensor_release(scaled);
  pc_tensor_release(alpha);
  return self(L, a, rc);
}

static int m_add(lua_State *L, pc_args *a) { return arithmetic(L, a, "add"); }
static int m_sub(lua_State *L, pc_args *a) { return arithmetic(L, a, "sub"); }
static int m_mul(lua_State *L, pc_args *a) { return arithmetic(L, a, "mul"); }
static int m_div(lua_State *L, pc_args *a) { return arithmetic(L, a, "div"); }
static int m_pow(lua_State *L, pc_args *a) { return arithmetic(L, a, "pow"); }

static int fill(lua_State *L, pc_args *a, double value) {
  int rc = pc_inplace_begin(a->decl->name, a->a[0].t);
  if (rc == PC_OK) rc = pc_fill(a->a[0].t, value);
  return self(L, a, rc);
}

static int m_fill(lua_State *L, pc_args *a) { return fill(L, a, a->a[1].v.d); }
static int m_zero(lua_State *L, pc_args *a) { return fill(L, a, 0); }

static int m_copy(lua_State *L, pc_args *a) {
  int rc = pc_inplace_begin("copy_", a->a[0].t);
  if (rc == PC_OK) rc = pc_copy_into(a->a[0].t, a->a[1].t);
  return self(L, a, rc);
}

static int m_clamp(lua_State *L, pc_args *a) {
  pc_tensor *x = a->a[0].t, *y = NULL;
  pc_val v[2] = {a->a[1].v, a->a[2].v};
  int rc = pc_inplace_begin("clamp_", x), was = pc_grad_set_enabled(0);
  if (rc == PC_OK) rc = pc_apply_named("clamp", &y, &x, 1, v, 2);
  if (rc == PC_OK) rc = pc_copy_into(x, y);
  pc_grad_set_enabled(was);
  pc_tensor_release(y);
  return self(L, a, rc);
}

/* x := a + b * noise; noise as the generator would fill a new tensor of x's shape */
static int noise(lua_State *L, pc_args *a, int normal, double shift, double scale) {
  pc_tensor *x = a->a[0].t, *t = NULL;
  int rc = pc_inplace_begin(a->decl->name, x);
  if (rc == PC_OK && !pc_dtype_is_float((pc_dtype)x->dtype))
    rc = pc_fail(PC_EDTYPE, "%s: needs a float tensor, this one is %s", a->decl->name,
                 pc_dtype_name((pc_dtype)x->dtype));
  if (rc == PC_OK) rc = pc_tensor_empty(&t, (pc_dtype)x->dtype, x->ndim, x->size);
  if (rc < 0) return rc;
  int64_t n = pc_numel(t);
  pc_rng *g = pc_arg_rng(&a->a[3]);
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

static int m_uniform(lua_State *L, pc_args *a) { return noise(L, a, 0, a->a[1].v.d, a->a[2].v.d - a->a[1].v.d); }
static int m_normal(lua_State *L, pc_args *a) { return noise(L, a, 1, a->a[1].v.d, a->a[2].v.d); }

static const pc_luafn fns[] = {
    {"add_", "x:tensor, other:value, alpha:num=1", m_add, "x = x + alpha * other, in place"},
    {"sub_", "x:tensor, other:value, alpha:num=1", m_sub, "x = x - alpha * other, in place"},
    {"mul_", "x:tensor, other:value", m_mul, "x = x * other, in place"},
    {"div_", "x:tensor, other:value", m_div, "x = x / other, in place"},
    {"pow_", "x:tensor, exponent:value", m_pow, "x = x ^ exponent, in place"},
    {"clamp_", "x:tensor, min:num?, max:num?", m_clamp, "x limited to [min, max], in place"},
    {"fill_", "x:tensor, value:num", m_fill, "every element = value"},
    {"zero_", "x:tensor", m_zero, "every element = 0"},
    {"copy_", "x:tensor, src:tensor", m_copy, "x = src, broadcast and converted"},
    {"uniform_", "x:tensor, low:num=0, high:num=1, generator:rng?", m_uniform, "uniform in [low, high), in place"},
    {"normal_", "x:tensor, mean:num=0, std:num=1, generator:rng?", m_normal, "normal, in place"},
    {0}};

void pc_open_inplace(lua_State *L, int tf, int tm) {
  (void)tf;
  lua_pushvalue(L, tm);
  pc_register(L, NULL, fns);
  lua_pop(L, 1);
}
