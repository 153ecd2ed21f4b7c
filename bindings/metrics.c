/* metrics.c: percept.metrics: matching and scores. */
#include "bindings/args.h"
#include "metrics/matching.h"
#include "metrics/scores.h"

int luaopen_percept_metrics(lua_State *L);

static int number(lua_State *L, int rc, double v) {
  if (rc < 0) return rc;
  lua_pushnumber(L, v);
  return 1;
}

static int f_hungarian(lua_State *L, pc_args *a) {
  pc_tensor *t, *total = NULL;
  int rc = pc_match(&t, &total, pc_arg_tensor(a, "cost"), pc_arg_bool(a, "maximize"));
  if (rc < 0) return rc;
  if (t->ndim == 1) { /* one matrix: a list of columns and the sum */
    lua_newtable(L);
    for (int64_t i = 0; i < t->size[0]; i++)
      lua_pushnumber(L, (lua_Number)pc_i64(t)[i]), lua_rawseti(L, -2, (int)i + 1);
    lua_pushnumber(L, pc_item(total));
    pc_tensor_release(t);
    pc_tensor_release(total);
    return 2;
  }
  pc_push_tensor(L, t);
  pc_push_tensor(L, total);
  return 2;
}

static int f_accuracy(lua_State *L, pc_args *a) {
  double v = 0;
  int rc = pc_accuracy(&v, pc_arg_tensor(a, "predicted"), pc_arg_tensor(a, "target"));
  return number(L, rc, v);
}

static int f_confusion(lua_State *L, pc_args *a) {
  pc_tensor *t;
  int rc = pc_confusion(&t, pc_arg_tensor(a, "predicted"), pc_arg_tensor(a, "target"), pc_arg_int64(a, "classes"));
  if (rc < 0) return rc;
  pc_push_tensor(L, t);
  return 1;
}

static int f_r2(lua_State *L, pc_args *a) {
  double v = 0;
  int rc = pc_r2(&v, pc_arg_tensor(a, "predicted"), pc_arg_tensor(a, "target"),
                 pc_arg_bool(a, "variance_weighted") ? PC_R2_VARIANCE_WEIGHTED : PC_R2_UNIFORM);
  return number(L, rc, v);
}

static int f_ari(lua_State *L, pc_args *a) {
  double v = 0;
  int rc = pc_ari(&v, pc_arg_tensor(a, "predicted"), pc_arg_tensor(a, "target"));
  return number(L, rc, v);
}

static int f_fg_ari(lua_State *L, pc_args *a) {
  pc_tensor *t;
  int rc =
      pc_ari_masks(&t, pc_arg_tensor(a, "predicted"), pc_arg_tensor(a, "target"), 1, pc_arg_int64(a, "background"));
  if (rc < 0) return rc;
  pc_push_tensor(L, t);
  return 1;
}

static int f_r2_columns(lua_State *L, pc_args *a) {
  pc_tensor *t;
  int rc = pc_r2_columns(&t, pc_arg_tensor(a, "predicted"), pc_arg_tensor(a, "target"));
  if (rc < 0) return rc;
  pc_push_tensor(L, t);
  return 1;
}

static int f_ari_masks(lua_State *L, pc_args *a) {
  pc_tensor *t;
  int rc = pc_ari_masks(&t, pc_arg_tensor(a, "predicted"), pc_arg_tensor(a, "target"), 0, 0);
  if (rc < 0) return rc;
  pc_push_tensor(L, t);
  return 1;
}

static const pc_luafn functions[] = {
    {"hungarian", "cost:tensor, maximize:bool=false", f_hungarian,
     "best assignment of rows to columns: (R,C) -> list of columns, total; (B,R,C) -> i64 (B,R), f64 (B)", 0},
    {"accuracy", "predicted:tensor, target:tensor", f_accuracy, "share of equal labels", 0},
    {"confusion", "predicted:tensor, target:tensor, classes:int(1..)", f_confusion,
     "i64 (classes,classes): row target, column predicted", 0},
    {"r2", "predicted:tensor, target:tensor, variance_weighted:bool=false", f_r2,
     "1 - SS_res/SS_tot, mean over columns", 0},
    {"r2_columns", "predicted:tensor, target:tensor", f_r2_columns, "R2 of each column, f64 (D)", 0},
    {"ari", "predicted:tensor, target:tensor", f_ari, "adjusted Rand index of two labellings", 0},
    {"ari_masks", "predicted:tensor, target:tensor", f_ari_masks,
     "adjusted Rand index of each image's masks (B,...), f64 (B)", 0},
    {"fg_ari", "predicted:tensor, target:tensor, background:int(0..)=0", f_fg_ari,
     "adjusted Rand index of foreground pixels, f64 (B)", 0},
    {0}};

int luaopen_percept_metrics(lua_State *L) {
  lua_newtable(L);
  pc_register(L, "metrics", functions);
  return 1;
}
