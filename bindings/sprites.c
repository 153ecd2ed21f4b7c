/* sprites.c: percept.datasets.sprites and split_latents: worlds made from exact latents. */
#include <string.h>

#include "bindings/datasets.h"
#include "datasets/sprites.h"

/* n numbers of the list at `at` (nothing there: left alone). */
static int numbers(lua_State *L, const char *what, int at, double *out, int n) {
  if (!at) return PC_OK;
  if ((int)lua_objlen(L, at) != n)
    return pc_fail(PC_EARG, "%s: a list of %d numbers is expected, got %d", what, n, (int)lua_objlen(L, at));
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, at, i + 1);
    if (lua_type(L, -1) != LUA_TNUMBER)
      return pc_fail(PC_EARG, "%s: entry %d is %s, not a number", what, i + 1, pc_describe(L, -1));
    out[i] = lua_tonumber(L, -1);
    lua_pop(L, 1);
  }
  return PC_OK;
}

static int read_options(lua_State *L, pc_args *a, pc_sprites_opts *o, const char **shapes) {
  *o = (pc_sprites_opts)PC_SPRITES_OPTS_INIT;
  pc_args_options(a, o);
  int rc = PC_OK;
  if (pc_arg_at(a, "shapes")) {
    if ((o->nshapes = pc_list_of_strings(L, "sprites: shapes", pc_arg_at(a, "shapes"), shapes, 16)) < 0)
      return o->nshapes;
    o->shapes = shapes;
  }
  const struct {
    const char *name;
    int n;
    double *to;
  } lists[] = {{"x", 2, o->x},     {"y", 2, o->y},         {"scale", 2, o->scale},
               {"hue", 2, o->hue}, {"angle", 2, o->angle}, {"background", 3, o->background},
               {"gap", 2, o->gap}};
  for (size_t i = 0; i < sizeof lists / sizeof *lists && rc == PC_OK; i++) {
    char what[40];
    snprintf(what, sizeof what, "sprites: %s", lists[i].name);
    rc = numbers(L, what, pc_arg_at(a, lists[i].name), lists[i].to, lists[i].n);
  }
  return rc;
}

static int f_sprites(lua_State *L, pc_args *a) {
  const char *shapes[16];
  pc_sprites_opts o;
  pc_tensor *unit = NULL, *latents = NULL, *images = NULL, *masks = NULL;
  int rc = read_options(L, a, &o, shapes);
  if (rc == PC_OK) rc = pc_sprites_sample(&unit, pc_arg_int64(a, "n"), &o);
  if (rc == PC_OK) rc = pc_sprites_latents(&latents, unit, &o);
  if (rc == PC_OK) rc = pc_sprites_render(&images, &masks, latents, pc_arg_dtype(a, "dtype"), &o);
  if (rc < 0) {
    pc_tensor_release(unit);
    pc_tensor_release(latents);
    return rc;
  }
  lua_createtable(L, 0, 4);
  pc_push_tensor(L, images), lua_setfield(L, -2, "images");
  pc_push_tensor(L, masks), lua_setfield(L, -2, "masks");
  pc_push_tensor(L, latents), lua_setfield(L, -2, "latents");
  pc_push_tensor(L, unit), lua_setfield(L, -2, "unit");
  return 1;
}

static int f_sprite_set(lua_State *L, pc_args *a) {
  const char *shapes[16];
  pc_sprites_opts o;
  pc_dataset *ds = NULL;
  int rc = read_options(L, a, &o, shapes);
  if (rc == PC_OK) rc = pc_sprites_dataset(&ds, pc_arg_int64(a, "n"), &o);
  return rc < 0 ? rc : pc_push_dataset(L, ds);
}

/* Unit latents: a tensor, or those of a data set; a new reference. */
static int unit_of(lua_State *L, pc_args *a, pc_tensor **out) {
  dataset_handle *h = pc_to_object(L, pc_arg_at(a, "unit"), "dataset");
  pc_tensor *t = pc_to_tensor(L, pc_arg_at(a, "unit"));
  if (h) return pc_dataset_latents(out, h->ds, NULL, 1);
  if (!t) return pc_arg_fail(L, a, "unit", "a tensor (N,K,L), or a data set with unit latents");
  *out = pc_tensor_retain(t);
  return PC_OK;
}

static int f_split_latents(lua_State *L, pc_args *a) {
  pc_split *s = NULL;
  pc_tensor *unit = NULL;
  pc_split_latents_opts o = PC_SPLIT_LATENTS_OPTS_INIT;
  pc_args_options(a, &o);
  int rc = numbers(L, "split_latents: gap", pc_arg_at(a, "gap"), o.gap, 2);
  if (rc == PC_OK) rc = unit_of(L, a, &unit);
  if (rc == PC_OK) rc = pc_split_latents(&s, unit, &o);
  pc_tensor_release(unit);
  return rc < 0 ? rc : pc_push_split(L, s);
}

#define SPRITES                                                                                                     \
  "n:int64(1..), @, shapes:table?, x:table?, y:table?, scale:table?, hue:table?, angle:table?, background:table?, " \
  "gap:table?"

static const pc_luafn functions[] = {
    {"sprite_set", SPRITES, f_sprite_set,
     "the same as a dataset: object k has factors shapeK, colorK and numeric columns xK, yK, scaleK, hueK, angleK; "
     "masks, latents, unit",
     0, NULL, &pc_sprites_options},
    {"sprites", SPRITES ", dtype:dtype=f32", f_sprites,
     "n images of coloured shapes -> {images (n,H,W,3), masks u8 (n,H,W), latents, unit (n,objects,6)}; ranges are "
     "{lo, hi}",
     0, NULL, &pc_sprites_options},
    {"split_latents", "unit:any, @, gap:table?", f_split_latents,
     "ID and OOD of unit latents (N,K,L), a tensor's or a data set's, by rule", 0, NULL, &pc_split_latents_options},
    {0}};

void pc_open_sprites(lua_State *L) { pc_register(L, "datasets", functions); }
