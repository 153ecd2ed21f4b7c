/* metrics.c: percept.metrics: matching, scores, slot health. */
#include "bindings/args.h"
#include "metrics/health.h"
#include "metrics/matching.h"
#include "metrics/overlap.h"
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

static int f_chance(lua_State *L, pc_args *a) {
  double v = 0;
  int rc = pc_chance(&v, pc_arg_tensor(a, "labels"));
  return number(L, rc, v);
}

static int f_slot_use(lua_State *L, pc_args *a) {
  pc_tensor *share, *mixed;
  double entropy = 0;
  int rc = pc_slot_use(&share, &mixed, &entropy, pc_arg_tensor(a, "attention"));
  if (rc < 0) return rc;
  pc_push_tensor(L, share);
  pc_push_tensor(L, mixed);
  lua_pushnumber(L, entropy);
  return 3;
}

/* Sets a field of the table on top to the tensor, if there is one, and lets go of it. */
static void field(lua_State *L, const char *name, pc_tensor **t) {
  if (!*t) return;
  pc_push_tensor(L, *t);
  *t = NULL;
  lua_setfield(L, -2, name);
}

/* Sets the field `thresholds` of the table on top: the options that were judged by. */
static void thresholds(lua_State *L, const pc_health_opts *o) {
  lua_newtable(L);
  for (int i = 0; i < pc_health_options.n; i++) {
    const pc_option *row = &pc_health_options.rows[i]; /* numbers, all of them */
    lua_pushnumber(L, *(const double *)(const void *)((const char *)o + row->at));
    lua_setfield(L, -2, row->name);
  }
  lua_setfield(L, -2, "thresholds");
}

static int f_slot_health(lua_State *L, pc_args *a) {
  pc_health_opts o = PC_HEALTH_OPTS_INIT;
  pc_slot_health h = {0};
  pc_tensor *share = pc_arg_tensor(a, "share"), *mixed = pc_arg_tensor(a, "mixed"), *own[2] = {NULL, NULL};
  pc_tensor *attention = pc_arg_tensor(a, "attention");
  double entropy = 0;
  int rc = PC_OK;
  pc_args_options(a, &o);
  if (attention && (share || mixed))
    return pc_fail(PC_EARG, "metrics.slot_health: give attention, or share and mixed of slot_use, not both");
  if (attention) rc = pc_slot_use(&own[0], &own[1], &entropy, attention);
  if (attention) share = own[0], mixed = own[1];
  if (rc == PC_OK)
    rc = pc_slot_health_new(&h, share, mixed, pc_arg_tensor(a, "accuracy"), pc_arg_tensor(a, "chance"), &o);
  pc_tensor_release(own[0]);
  pc_tensor_release(own[1]);
  if (rc < 0) return rc;
  lua_createtable(L, 0, 14);
  field(L, "usage", &h.usage);
  field(L, "present", &h.present);
  field(L, "entropy", &h.entropy);
  field(L, "empty", &h.empty);
  field(L, "skill", &h.skill);
  field(L, "told", &h.told);
  field(L, "times", &h.times);
  field(L, "owner", &h.owner);
  field(L, "place", &h.place);
  lua_pushinteger(L, h.slots), lua_setfield(L, -2, "slots");
  lua_pushinteger(L, h.n_empty), lua_setfield(L, -2, "empties");
  lua_pushboolean(L, h.good), lua_setfield(L, -2, "good");
  if (attention) lua_pushnumber(L, entropy), lua_setfield(L, -2, "mean_entropy");
  thresholds(L, &o);
  pc_slot_health_free(&h);
  return 1;
}

static int f_slot_of(lua_State *L, pc_args *a) {
  pc_tensor *t;
  int rc = pc_slot_assign(&t, pc_arg_tensor(a, "accuracy"), pc_arg_tensor(a, "empty"));
  if (rc < 0) return rc;
  pc_push_tensor(L, t);
  return 1;
}

static int overlap(lua_State *L, pc_args *a, pc_overlap_kind kind) {
  pc_tensor *t;
  int rc = pc_overlap(&t, pc_arg_tensor(a, "predicted"), pc_arg_tensor(a, "target"), kind, pc_arg_bool(a, "foreground"),
                      pc_arg_int64(a, "background"));
  if (rc < 0) return rc;
  pc_push_tensor(L, t);
  return 1;
}

static int f_mbo(lua_State *L, pc_args *a) { return overlap(L, a, PC_OVERLAP_BEST); }
static int f_miou(lua_State *L, pc_args *a) { return overlap(L, a, PC_OVERLAP_MATCHED); }

static const pc_luafn functions[] = {
    {"hungarian", "cost:tensor, maximize:bool=false", f_hungarian,
     "best assignment of rows to columns: (R,C) -> list of columns, total; (B,R,C) -> i64 (B,R), f64 (B)", 0},
    {"accuracy", "predicted:tensor, target:tensor", f_accuracy, "share of equal labels", 0},
    {"confusion", "predicted:tensor, target:tensor, classes:int(1..)", f_confusion,
     "i64 (classes,classes): row target, column predicted", 0},
    {"r2", "predicted:tensor, target:tensor, variance_weighted:bool=false", f_r2,
     "1 - SS_res/SS_tot, mean over columns, or weighted by their SS_tot; a target that never varies: 1 when predicted "
     "exactly, else 0",
     0},
    {"r2_columns", "predicted:tensor, target:tensor", f_r2_columns, "R2 of each column, f64 (D)", 0},
    {"ari", "predicted:tensor, target:tensor", f_ari, "adjusted Rand index of two labellings", 0},
    {"ari_masks", "predicted:tensor, target:tensor", f_ari_masks,
     "adjusted Rand index of each image's masks (B,...), f64 (B)", 0},
    {"fg_ari", "predicted:tensor, target:tensor, background:int(0..)=0", f_fg_ari,
     "adjusted Rand index of foreground pixels, f64 (B)", 0},
    {"mbo", "predicted:tensor, target:tensor, background:int64=0, foreground:bool=true", f_mbo,
     "mean best overlap of masks (B,...): over the target's objects, the largest intersection over union with any "
     "predicted segment, f64 (B); foreground: the label `background` is no object; NaN: an image without objects",
     0},
    {"miou", "predicted:tensor, target:tensor, background:int64=0, foreground:bool=true", f_miou,
     "mean intersection over union of objects and their own segments, by the best assignment, f64 (B); an object "
     "without "
     "a segment counts as 0; otherwise as mbo",
     0},
    {"chance", "labels:tensor", f_chance, "share of the commonest label: what guessing reaches", 0},
    {"slot_use", "attention:tensor", f_slot_use,
     "attention (B,pixels,K), adding up to 1 over K -> share of each image's pixels, f64 (B,K); the part of it that is "
     "divided between slots, f64 (B,K); mean entropy of a pixel over slots / log K",
     0},
    {"slot_health", "attention:tensor?, share:tensor?, mixed:tensor?, accuracy:tensor?, chance:tensor?, @",
     f_slot_health,
     "is a slot empty, has each factor a slot of its own? From attention (B,pixels,K), or share and mixed of slot_use "
     "(N,K); accuracy (K,F) of each slot's readouts on ID validation, chance (F). -> {good, slots, empties; usage, "
     "present, entropy, empty (K); skill, told (K,F); times, owner, place (F); thresholds}; percept.health says it in "
     "words",
     0, NULL, &pc_health_options},
    {"slot_of", "accuracy:tensor, empty:tensor?", f_slot_of,
     "which slot is read for which factor, i64 (F): one to one where slots suffice, never an empty one. accuracy "
     "(K,F), "
     "empty u8 (K)",
     0},
    {0}};

int luaopen_percept_metrics(lua_State *L) {
  lua_newtable(L);
  pc_register(L, "metrics", functions);
  return 1;
}
