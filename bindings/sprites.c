/* sprites.c: percept.datasets.sprites and split_latents: worlds made from exact latents. */
#include <string.h>

#include "bindings/datasets.h"
#include "datasets/sprites.h"

#define I(k) a->a[k].v.i
#define D(k) a->a[k].v.d

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
  double gap[2] = {0, 0}, anchor = D(17);
  *o = (pc_sprites_opts){.objects = (int)I(1),
                         .height = (int)I(2),
                         .width = (int)(a->a[3].v.set ? I(3) : I(2)),
                         .samples = (int)I(4),
                         .saturation = D(11),
                         .value = D(12),
                         .delta = D(16),
                         .anchor = anchor > 0 ? anchor : -1,
                         .min_distance = D(19),
                         .seed = (uint64_t)I(20),
                         .first = I(21) - 1};
  int rc = PC_OK;
  if (a->a[5].at) {
    if ((o->nshapes = pc_list_of_strings(L, "sprites: shapes", a->a[5].at, shapes, 16)) < 0) return o->nshapes;
    o->shapes = shapes;
  }
  const struct {
    const char *what;
    int arg, n;
    double *to;
  } lists[] = {{"sprites: x", 6, 2, o->x},          {"sprites: y", 7, 2, o->y},
               {"sprites: scale", 8, 2, o->scale},  {"sprites: hue", 9, 2, o->hue},
               {"sprites: angle", 10, 2, o->angle}, {"sprites: background", 13, 3, o->background},
               {"sprites: gap", 18, 2, gap}};
  for (size_t i = 0; i < sizeof lists / sizeof *lists && rc == PC_OK; i++)
    rc = numbers(L, lists[i].what, a->a[lists[i].arg].at, lists[i].to, lists[i].n);
  o->gap_lo = gap[0];
  o->gap_hi = gap[1];
  return rc < 0 ? rc : pc_sprites_sampler_parse(&o->sampler, a->a[15].v.s);
}

static int f_sprites(lua_State *L, pc_args *a) {
  const char *shapes[16];
  pc_sprites_opts o;
  pc_tensor *unit = NULL, *latents = NULL, *images = NULL, *masks = NULL;
  int rc = read_options(L, a, &o, shapes);
  if (rc == PC_OK) rc = pc_sprites_sample(&unit, I(0), &o);
  if (rc == PC_OK) rc = pc_sprites_latents(&latents, unit, &o);
  if (rc == PC_OK) rc = pc_sprites_render(&images, &masks, latents, (pc_dtype)I(14), &o);
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

static int f_split_latents(lua_State *L, pc_args *a) {
  static const char *const rules[] = {"diagonal", "planes", "gap"};
  pc_split *s = NULL;
  double gap[2] = {0, 0};
  pc_split_latents_opts o = {.delta = D(2),
                             .no_shift = I(3) == 0,
                             .shift_dim = (int)I(3) - 1,
                             .anchor = D(4),
                             .tolerance = D(5),
                             .val = D(7),
                             .test = D(8),
                             .seed = (uint64_t)I(9)};
  for (int i = 0; i < 3; i++)
    if (!strcmp(a->a[1].v.s, rules[i])) o.rule = (pc_latent_rule)i;
  if (o.no_shift) o.shift_dim = 0;
  int rc = numbers(L, "split_latents: gap", a->a[6].at, gap, 2);
  o.gap_lo = gap[0];
  o.gap_hi = gap[1];
  if (rc == PC_OK) rc = pc_split_latents(&s, a->a[0].t, &o);
  return rc < 0 ? rc : pc_push_split(L, s);
}

static const pc_luafn functions[] = {
    {"sprites",
     "n:int, objects:int=2, height:int=64, width:int?, samples:int=5, shapes:table?, x:table?, y:table?, scale:table?, "
     "hue:table?, "
     "angle:table?, saturation:num=1, value:num=1, background:table?, dtype:dtype=f32, "
     "sampler:str(random|diagonal|off_diagonal|planes|planes_gap)=random, delta:num=0.125, anchor:num=0.5, gap:table?, "
     "min_distance:num=0, seed:int=0, first:int=1",
     f_sprites,
     "n images of coloured shapes -> {images (n,H,W,3), masks u8 (n,H,W), latents, unit (n,objects,6)}; ranges are "
     "{lo, hi}",
     0},
    {"split_latents",
     "unit:tensor, rule:str(diagonal|planes|gap)=diagonal, delta:num=0.125, shift:int=2, anchor:num=0.5, "
     "tolerance:num=1e-6, gap:table?, "
     "val:num=0.1, test:num=-1, seed:int=0",
     f_split_latents, "ID and OOD of unit latents (N,K,L) by rule; shift: the latent that was moved by k/K (0: none)",
     0},
    {0}};

void pc_open_sprites(lua_State *L) { pc_register(L, "datasets", functions); }
