/* datasets.c: percept.datasets: scenes, splits, batches. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "bindings/datasets.h"
#include "datasets/emoji.h"
#include "datasets/sampler.h"
#include "datasets/scenes.h"
#include "datasets/split.h"

int luaopen_percept_datasets(lua_State *L);

enum { MAX_FILTERS = 16, MAX_VALUES = 256 };

/* ---- lists of strings on the Lua stack; the strings stay where Lua keeps them ---- */

int pc_list_of_strings(lua_State *L, const char *what, int at, const char **out, int max) {
  if (lua_istable(L, at)) return pc_each_text(L, what, at, out, max);
  if (!(out[0] = pc_text(L, at)))
    return pc_fail(PC_EARG, "%s: a string or a list of strings is expected, got %s", what, pc_describe(L, at));
  return 1;
}

typedef struct filters {
  pc_scenes_filter f[MAX_FILTERS];
  const char *values[MAX_FILTERS][MAX_VALUES];
  int n;
} filters;

/* {column = "value" or {values}}: adds one filter a column. */
static int add_filters(lua_State *L, filters *fs, int at, int exclude) {
  if (!at) return PC_OK;
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    const char *column = pc_text(L, -2);
    if (!column) return pc_fail(PC_EARG, "scenes: a filter is {column = value or {values}}");
    if (fs->n == MAX_FILTERS) return pc_fail(PC_EARG, "scenes: at most %d filters", MAX_FILTERS);
    int n = pc_list_of_strings(L, column, lua_gettop(L), fs->values[fs->n], MAX_VALUES);
    if (n < 0) return n;
    fs->f[fs->n] = (pc_scenes_filter){column, fs->values[fs->n], n, exclude};
    fs->n++;
  }
  return PC_OK;
}

/* ---- scenes ---- */

/* Scenes, which are given back, as a data set. */
static int push_scenes(lua_State *L, pc_scenes *s, const char *name) {
  pc_dataset *ds;
  int rc = pc_scenes_dataset(&ds, s, name);
  pc_scenes_free(s);
  return rc < 0 ? rc : pc_push_dataset(L, ds);
}

static int f_scenes(lua_State *L, pc_args *a) {
  const char *factors[64];
  pc_scenes *s;
  filters *fs = pc_calloc(1, sizeof *fs);
  if (!fs) return PC_ENOMEM;
  pc_scenes_opts o = PC_SCENES_OPTS_INIT;
  pc_args_options(a, &o);
  o.factors = factors;
  int rc = add_filters(L, fs, pc_arg_at(a, "only"), 0);
  if (rc == PC_OK) rc = add_filters(L, fs, pc_arg_at(a, "exclude"), 1);
  if (rc == PC_OK && pc_arg_at(a, "factors")) {
    int n = pc_list_of_strings(L, "scenes: factors", pc_arg_at(a, "factors"), factors, 64);
    if (n < 0) rc = n;
    o.nfactors = n;
  }
  o.filters = fs->f;
  o.nfilters = fs->n;
  if (rc == PC_OK) rc = pc_scenes_open(&s, pc_arg_str(a, "dir"), &o);
  pc_free(fs);
  if (rc < 0) return rc;
  if (pc_scenes_first_use(s, o.cache_dir))
    fprintf(stderr, "%s (%s)\n%s\n", pc_scenes_dir(s), pc_scenes_licence(s)->name, pc_scenes_licence(s)->notice);
  return push_scenes(L, s, NULL);
}

static int f_emoji(lua_State *L, pc_args *a) {
  const char *lists[3][MAX_VALUES];
  static const char *const names[3] = {"textures", "animals", "places"};
  int n[3] = {0, 0, 0};
  pc_scenes *s;
  for (int k = 0; k < 3; k++) {
    char what[40];
    if (!pc_arg_given(a, names[k])) continue;
    snprintf(what, sizeof what, "emoji: %s", names[k]);
    if ((n[k] = pc_list_of_strings(L, what, pc_arg_at(a, names[k]), lists[k], MAX_VALUES)) < 0) return n[k];
    if (n[k] == 0) return pc_fail(PC_EARG, "%s: an empty list; leave it out for all", what);
  }
  pc_emoji_opts o = PC_EMOJI_OPTS_INIT;
  pc_args_options(a, &o);
  o.textures = lists[0], o.ntextures = n[0];
  o.animals = lists[1], o.nanimals = n[1];
  o.places = lists[2], o.nplaces = n[2];
  int rc = pc_emoji_open(&s, pc_arg_str(a, "assets"), &o);
  if (rc < 0) return rc;
  return push_scenes(L, s, "emoji");
}

static int give(lua_State *L, int rc, pc_tensor *const *t) {
  if (rc < 0) return rc;
  pc_push_tensor(L, *t);
  return 1;
}

static int f_licence(lua_State *L, pc_args *a) {
  pc_licence l;
  int rc = pc_scenes_folder_licence(&l, pc_arg_str(a, "dir"));
  if (rc == PC_OK) rc = pc_push_licence(L, &l);
  pc_licence_clear(&l);
  return rc;
}

/* ---- splits ---- */

static void set_tensor(lua_State *L, const char *name, pc_tensor *t) {
  pc_push_tensor(L, pc_tensor_retain(t));
  lua_setfield(L, -2, name);
}

static void set_names(lua_State *L, const char *name, char *const *list, int64_t n) {
  lua_createtable(L, (int)n, 0);
  for (int64_t i = 0; i < n; i++) lua_pushstring(L, list[i]), lua_rawseti(L, -2, (int)i + 1);
  lua_setfield(L, -2, name);
}

/* The cell matrix of a split into the table on top of the stack. */
static int set_matrix(lua_State *L, const pc_split *s) {
  int64_t size[2] = {s->rows, s->cols};
  pc_tensor *cell = NULL, *count = NULL;
  int rc = pc_tensor_from(&cell, PC_U8, 2, size, s->cell);
  if (rc == PC_OK) rc = pc_tensor_from(&count, PC_I64, 2, size, s->count);
  char *text = rc == PC_OK ? pc_split_describe(s) : NULL;
  if (rc == PC_OK && text) {
    set_tensor(L, "cell", cell);
    set_tensor(L, "count", count);
    set_names(L, "rows", s->row, s->rows);
    set_names(L, "columns", s->col, s->cols);
    lua_pushstring(L, s->row_factor), lua_setfield(L, -2, "row_factor");
    lua_pushstring(L, s->col_factor), lua_setfield(L, -2, "column_factor");
    lua_pushboolean(L, s->unordered), lua_setfield(L, -2, "unordered");
    lua_pushstring(L, text), lua_setfield(L, -2, "cells");
  } else if (rc == PC_OK) {
    rc = PC_ENOMEM;
  }
  pc_free(text);
  pc_tensor_release(cell);
  pc_tensor_release(count);
  return rc;
}

int pc_push_split(lua_State *L, pc_split *s) {
  lua_newtable(L);
  set_tensor(L, "id_train", s->id_train);
  set_tensor(L, "id_val", s->id_val);
  set_tensor(L, "id_test", s->id_test);
  set_tensor(L, "pseudo_ood", s->pseudo_ood);
  set_tensor(L, "ood", s->ood);
  lua_pushstring(L, s->digest), lua_setfield(L, -2, "digest");
  int rc = s->rows ? set_matrix(L, s) : PC_OK;
  pc_split_free(s);
  return rc < 0 ? rc : 1;
}

/* {{"a","b"}, ...} */
static int pairs_of(lua_State *L, const char *what, int at, pc_split_pair *out, int max) {
  if (!at) return 0;
  int n = (int)lua_objlen(L, at);
  if (n > max) return pc_fail(PC_EARG, "%s: at most %d pairs", what, max);
  for (int i = 0; i < n; i++) {
    const char *ab[2];
    lua_rawgeti(L, at, i + 1);
    int k = lua_istable(L, -1) ? pc_list_of_strings(L, what, lua_gettop(L), ab, 2) : 0;
    if (k != 2) return pc_fail(PC_EARG, "%s: entry %d must be a pair {a, b} of names", what, i + 1);
    out[i] = (pc_split_pair){ab[0], ab[1]};
    lua_pop(L, 1);
  }
  return n;
}

static int f_split(lua_State *L, pc_args *a) {
  pc_split_pair pairs[16], cells[1024];
  const char *ignore[64];
  pc_split *s = NULL;
  pc_split_opts o = PC_SPLIT_OPTS_INIT;
  int rc = PC_OK;
  pc_args_options(a, &o);
  o.pairs = pairs;
  o.cells = cells;
  if ((o.npairs = pairs_of(L, "split: pairs", pc_arg_at(a, "pairs"), pairs, 16)) < 0) rc = o.npairs;
  if (rc == PC_OK && (o.ncells = pairs_of(L, "split: cells", pc_arg_at(a, "cells"), cells, 1024)) < 0) rc = o.ncells;
  if (rc == PC_OK && pc_arg_at(a, "ignore")) {
    o.ignore = ignore;
    if ((o.nignore = pc_list_of_strings(L, "split: ignore", pc_arg_at(a, "ignore"), ignore, 64)) < 0) rc = o.nignore;
  }
  if (o.npairs == 0) o.pairs = NULL;
  if (rc == PC_OK) rc = pc_split_cells(&s, DATASET(a, "dataset"), &o);
  return rc < 0 ? rc : pc_push_split(L, s);
}

/* ---- batches ---- */

typedef struct batches_handle {
  pc_batches *b;
} batches_handle;
#define BATCHES(a, name) (((batches_handle *)pc_arg_object(a, name))->b)

static int batches_gc(lua_State *L) {
  batches_handle *h = lua_touserdata(L, 1);
  pc_batches_free(h->b);
  h->b = NULL;
  return 0;
}

static int f_batches(lua_State *L, pc_args *a) {
  pc_batches *b;
  int64_t n = pc_numel(pc_arg_tensor(a, "index")), batch = pc_arg_int64(a, "batch");
  pc_batches_opts o = {.sequential = !pc_arg_bool(a, "shuffle"),
                       .keep_last = pc_arg_given(a, "keep_last") ? pc_arg_bool(a, "keep_last") : batch > n};
  int rc = pc_batches_new(&b, pc_arg_tensor(a, "index"), batch, (uint64_t)pc_arg_int64(a, "seed"), &o);
  if (rc < 0) return rc;
  ((batches_handle *)pc_new_object(L, "batches", sizeof(batches_handle)))->b = b;
  return 1;
}

static int b_next(lua_State *L, pc_args *a) {
  pc_tensor *t;
  return give(L, pc_batches_next(&t, BATCHES(a, "self")), &t);
}

static int b_state(lua_State *L, pc_args *a) {
  pc_batches_position p = pc_batches_tell(BATCHES(a, "self"));
  char text[80];
  snprintf(text, sizeof text, "%llu %lld %lld", (unsigned long long)p.seed, (long long)p.epoch, (long long)p.cursor);
  return lua_pushstring(L, text), 1;
}

static int b_set_state(lua_State *L, pc_args *a) {
  unsigned long long seed;
  long long epoch, cursor;
  if (sscanf(pc_arg_str(a, "state"), "%llu %lld %lld", &seed, &epoch, &cursor) != 3)
    return pc_fail(PC_EFORMAT, "batches: '%s' is no saved position", pc_arg_str(a, "state"));
  return pc_done(pc_batches_seek(BATCHES(a, "self"), (pc_batches_position){seed, epoch, cursor}));
}

static int b_per_epoch(lua_State *L, pc_args *a) {
  return lua_pushnumber(L, (lua_Number)pc_batches_per_epoch(BATCHES(a, "self"))), 1;
}

static const pc_luafn batches_methods[] = {
    {"next", "self:batches", b_next, "the next batch of indices, i64 (batch)", 0},
    {"state", "self:batches", b_state, "the position, a string", 0},
    {"set_state", "self:batches, state:str", b_set_state, "goes on from a position", 0},
    {"per_epoch", "self:batches", b_per_epoch, "batches an epoch", 0},
    {0}};

static const pc_luafn functions[] = {
    {"scenes", "dir:str, @, only:table?, exclude:table?, factors:table?", f_scenes,
     "a folder of PNGs with labels.csv; only/exclude = {column = {values}}; decoded once into a mapped cache", 0, NULL,
     &pc_scenes_options},
    {"emoji", "assets:str=experiments/data/assets, @, textures:table?, animals:table?, places:table?", f_emoji,
     "composed scenes, as many as wanted: animal cut-outs (assets/emoji) on photographs of places (assets/panoramas) "
     "-> "
     "scenes; textures of Default, Blue, Red, Grass, Stone; occlusion 0..1 brings the two together; image i depends on "
     "seed and first alone; pixels above keep MiB are drawn when asked for",
     0, NULL, &pc_emoji_options},
    {"split", "dataset:dataset, @, pairs:table?, cells:table?, ignore:table?", f_split,
     "held-out combinations -> {id_train, id_val, id_test, pseudo_ood, ood (i64 indices), digest, cells (text), cell "
     "(u8 rows x columns: 0 ID, 1 pseudo-OOD, 2 OOD), count (images), rows, columns (names), row_factor, "
     "column_factor}; "
     "val, test: shares of the ID images, 0: none; see pictures.split",
     0, NULL, &pc_split_options},
    {"licence", "dir:str", f_licence,
     "licence of a folder of scenes, without opening it -> name, notice, restricted; from its file LICENSE, or PUG's",
     0},
    {"batches", "index:tensor, batch:int(1..), seed:int64=0, shuffle:bool=true, keep_last:bool?", f_batches,
     "batches of indices, shuffled anew each epoch, resumable; keep_last: an epoch may end with a smaller one (left "
     "out: "
     "only when there are fewer indices than a batch)",
     0},
    {0}};

int luaopen_percept_datasets(lua_State *L) {
  pc_class(L, "batches", batches_methods, batches_gc);
  lua_pop(L, 1);
  lua_newtable(L);
  pc_register(L, "datasets", functions);
  pc_open_dataset(L);
  pc_open_sprites(L);
  return 1;
}
