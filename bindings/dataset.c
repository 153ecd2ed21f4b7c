/* dataset.c: the class of data sets, of every kind; and those that a script supplies as tensors or functions. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "bindings/datasets.h"
#include "datasets/arrays.h"

enum { MAX_COLUMNS = 256, MAX_NAMES = 4096 };

/* ---- the class ---- */

static char live_key; /* registry[&live_key][ctx]: the userdata whose environment holds a script's functions; weak */

int pc_push_dataset(lua_State *L, pc_dataset *ds) {
  ((dataset_handle *)pc_new_object(L, "dataset", sizeof(dataset_handle)))->ds = ds;
  return 1;
}

static int dataset_gc(lua_State *L) {
  dataset_handle *h = lua_touserdata(L, 1);
  pc_dataset_free(h->ds);
  h->ds = NULL;
  return 0;
}

static int give(lua_State *L, int rc, pc_tensor *const *t) {
  if (rc < 0) return rc;
  pc_push_tensor(L, *t);
  return 1;
}

static int number(lua_State *L, int64_t n) { return lua_pushnumber(L, (lua_Number)n), 1; }
static int s_count(lua_State *L, pc_args *a) { return number(L, pc_dataset_count(DATASET(a, "self"))); }
static int s_height(lua_State *L, pc_args *a) { return number(L, pc_dataset_height(DATASET(a, "self"))); }
static int s_width(lua_State *L, pc_args *a) { return number(L, pc_dataset_width(DATASET(a, "self"))); }
static int s_channels(lua_State *L, pc_args *a) { return number(L, pc_dataset_channels(DATASET(a, "self"))); }
static int s_digest(lua_State *L, pc_args *a) { return lua_pushstring(L, pc_dataset_digest(DATASET(a, "self"))), 1; }
static int s_dir(lua_State *L, pc_args *a) { return lua_pushstring(L, pc_dataset_dir(DATASET(a, "self"))), 1; }
static int s_note(lua_State *L, pc_args *a) { return lua_pushstring(L, pc_dataset_note(DATASET(a, "self"))), 1; }
static int s_name(lua_State *L, pc_args *a) { return lua_pushstring(L, pc_dataset_name(DATASET(a, "self"))), 1; }
static int s_kind(lua_State *L, pc_args *a) { return lua_pushstring(L, pc_dataset_kind(DATASET(a, "self"))), 1; }
static int s_check(lua_State *L, pc_args *a) {
  int rc = pc_dataset_check(DATASET(a, "self"));
  if (rc < 0) return rc;
  return lua_pushvalue(L, pc_arg_at(a, "self")), 1;
}

int pc_push_licence(lua_State *L, const pc_licence *l) {
  lua_pushstring(L, l->name);
  lua_pushstring(L, l->notice);
  lua_pushboolean(L, l->restricted);
  return 3;
}

static int s_licence(lua_State *L, pc_args *a) { return pc_push_licence(L, pc_dataset_licence(DATASET(a, "self"))); }

static int s_filename(lua_State *L, pc_args *a) {
  const pc_dataset *ds = DATASET(a, "self");
  int64_t i = pc_arg_int64(a, "i"), n = pc_dataset_count(ds);
  if (i < 0) i += n;
  if (i < 0 || i >= n)
    return pc_fail(PC_EINDEX, "filename: no image %lld; there are %lld", (long long)i + 1, (long long)n);
  return lua_pushstring(L, pc_dataset_filename(ds, i)), 1;
}

static int s_images(lua_State *L, pc_args *a) {
  pc_tensor *t;
  pc_dtype d = pc_arg_given(a, "dtype") ? pc_arg_dtype(a, "dtype") : PC_F32;
  return give(L, pc_dataset_images(&t, DATASET(a, "self"), pc_arg_tensor(a, "index"), d), &t);
}

static int s_masks(lua_State *L, pc_args *a) {
  pc_tensor *t;
  return give(L, pc_dataset_masks(&t, DATASET(a, "self"), pc_arg_tensor(a, "index")), &t);
}

static int s_has(lua_State *L, pc_args *a) {
  const pc_dataset *ds = DATASET(a, "self");
  const char *what = pc_arg_str(a, "what");
  return lua_pushboolean(L, !strcmp(what, "masks") ? pc_dataset_has_masks(ds) : pc_dataset_has_latents(ds)), 1;
}

static int s_latents(lua_State *L, pc_args *a) {
  pc_tensor *t;
  return give(L, pc_dataset_latents(&t, DATASET(a, "self"), pc_arg_tensor(a, "index"), 0), &t);
}

static int s_unit(lua_State *L, pc_args *a) {
  pc_tensor *t;
  return give(L, pc_dataset_latents(&t, DATASET(a, "self"), pc_arg_tensor(a, "index"), 1), &t);
}

static int s_factor(lua_State *L, pc_args *a) {
  const pc_dataset *ds = DATASET(a, "self");
  pc_tensor *t;
  int f, rc = pc_dataset_factor_find(&f, ds, pc_arg_str(a, "name"));
  return give(L, rc < 0 ? rc : pc_dataset_factor_of(&t, ds, f, pc_arg_tensor(a, "index")), &t);
}

static int s_numeric(lua_State *L, pc_args *a) {
  const pc_dataset *ds = DATASET(a, "self");
  pc_tensor *t;
  int c, rc = pc_dataset_numeric_find(&c, ds, pc_arg_str(a, "name"));
  return give(L, rc < 0 ? rc : pc_dataset_numeric_of(&t, ds, c, pc_arg_tensor(a, "index")), &t);
}

static int s_factors(lua_State *L, pc_args *a) {
  const pc_dataset *ds = DATASET(a, "self");
  lua_newtable(L);
  for (int f = 0; f < pc_dataset_nfactors(ds); f++)
    lua_pushstring(L, pc_dataset_factor_at(ds, f)->name), lua_rawseti(L, -2, f + 1);
  lua_newtable(L);
  for (int c = 0; c < pc_dataset_nnumeric(ds); c++)
    lua_pushstring(L, pc_dataset_numeric_at(ds, c)->name), lua_rawseti(L, -2, c + 1);
  return 2;
}

static int s_values(lua_State *L, pc_args *a) {
  const pc_dataset *ds = DATASET(a, "self");
  int f, rc = pc_dataset_factor_find(&f, ds, pc_arg_str(a, "name"));
  if (rc < 0) return rc;
  const pc_dataset_factor *of = pc_dataset_factor_at(ds, f);
  lua_newtable(L);
  for (int64_t v = 0; v < of->nvalues; v++) lua_pushstring(L, of->value[v]), lua_rawseti(L, -2, (int)v + 1);
  return 1;
}

static const pc_luafn methods[] = {
    {"count", "self:dataset", s_count, "number of images", 0},
    {"height", "self:dataset", s_height, "of the images, in pixels", 0},
    {"width", "self:dataset", s_width, "of the images, in pixels", 0},
    {"channels", "self:dataset", s_channels, "of the images", 0},
    {"images", "self:dataset, index:tensor?, dtype:dtype?", s_images,
     "images (B,H,W,C): f32 in [0,1], or u8; index counts from 1", 0},
    {"masks", "self:dataset, index:tensor?", s_masks, "u8 (B,H,W) labels", 0},
    {"latents", "self:dataset, index:tensor?", s_latents, "true slots (B,K,L)", 0},
    {"unit", "self:dataset, index:tensor?", s_unit, "true slots (B,K,L) in [0,1], for split_latents", 0},
    {"has", "self:dataset, what:str(masks|latents)", s_has, "are there any?", 0},
    {"factor", "self:dataset, name:str, index:tensor?", s_factor, "i64 (B) value numbers of a factor, from 1", 0},
    {"numeric", "self:dataset, name:str, index:tensor?", s_numeric, "f64 (B) of a numeric column", 0},
    {"factors", "self:dataset", s_factors, "-> names of factors, names of numeric columns", 0},
    {"values", "self:dataset, name:str", s_values, "the values of a factor, sorted", 0},
    {"filename", "self:dataset, i:index", s_filename, "file of image i; nil: the images are no files", 0},
    {"digest", "self:dataset", s_digest, "32 hex digits over table, selection and pixels", 0},
    {"name", "self:dataset", s_name, "what it is called", 0},
    {"kind", "self:dataset", s_kind, "scenes, sprites, arrays, or dataset: a script's own", 0},
    {"dir", "self:dataset", s_dir, "the folder or file; \"\" if there is none", 0},
    {"check", "self:dataset", s_check, "reads the first and the last image and mask twice; an error, or the data set",
     0},
    {"licence", "self:dataset", s_licence,
     "-> name, notice, restricted: whether it forbids training generative models (PUG): then keep pictures and "
     "decoders "
     "to yourself",
     0},
    {"note", "self:dataset", s_note, "what a user should know (skipped files, no cache); \"\" if nothing", 0},
    {0}};

/* ---- a script's functions as a class ---- */

typedef struct script {
  char unused; /* its address is what counts */
} script;

/* The function `member` of the script's data set, and the index, on the stack. */
static int push_call(lua_State *L, const script *s, const char *member, const pc_tensor *index, pc_dtype dtype) {
  if (!lua_checkstack(L, 8)) return pc_fail(PC_ENOMEM, "dataset: the stack of Lua is full");
  lua_pushlightuserdata(L, &live_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  lua_pushlightuserdata(L, (void *)(uintptr_t)s);
  lua_rawget(L, -2);
  if (lua_type(L, -1) != LUA_TUSERDATA) return pc_fail(PC_ESTATE, "dataset: its functions are gone");
  lua_getfenv(L, -1);
  pc_dataset *ds = ((dataset_handle *)lua_touserdata(L, -2))->ds;
  lua_pushstring(L, member);
  lua_rawget(L, -2);
  pc_tensor *at = NULL;
  int64_t n = pc_dataset_count(ds);
  int rc = index ? pc_clone(&at, index) : pc_tensor_empty(&at, PC_I64, 1, &n);
  if (rc < 0) return rc;
  for (int64_t i = 0; !index && i < n; i++) pc_i64(at)[i] = i + PC_INDEX_BASE;
  pc_push_tensor(L, at);
  lua_pushstring(L, pc_dtype_name(dtype));
  return PC_OK;
}

static int run_script(void *ctx, pc_tensor **out, const char *member, const pc_tensor *index, pc_dtype dtype) {
  lua_State *L = pc_lua_now();
  if (!L) return pc_fail(PC_ESTATE, "dataset: no Lua runs");
  int top = lua_gettop(L), rc = push_call(L, ctx, member, index, dtype);
  if (rc == PC_OK) rc = pc_callback(L, 2, 1);
  pc_tensor *t = rc == PC_OK ? pc_to_tensor(L, -1) : NULL;
  if (rc == PC_OK && !t)
    rc = pc_fail(PC_ECALLBACK, "dataset: %s returned %s, not a tensor", member, pc_describe(L, -1));
  if (rc == PC_OK) rc = pc_dataset_pixels(out, t, dtype);
  if (rc < 0 && t) rc = pc_error_prefix(rc, "dataset: %s", member);
  lua_settop(L, top);
  return rc;
}

static int script_images(void *ctx, pc_tensor **out, const pc_tensor *index, pc_dtype dtype) {
  return run_script(ctx, out, "images", index, dtype);
}

static int script_masks(void *ctx, pc_tensor **out, const pc_tensor *index) {
  return run_script(ctx, out, "masks", index, PC_U8);
}

/* A data set whose pixels come from functions at these places of the stack; masks 0: none. */
static int new_script(lua_State *L, const pc_dataset_facts *f, int images, int masks) {
  static const pc_dataset_class bare = {"dataset", script_images, NULL, NULL, pc_free};
  static const pc_dataset_class masked = {"dataset", script_images, script_masks, NULL, pc_free};
  pc_dataset *ds;
  script *s = pc_calloc(1, sizeof *s);
  int rc = s ? pc_dataset_new(&ds, masks ? &masked : &bare, s, f) : PC_ENOMEM;
  if (rc < 0) return pc_free(s), rc;
  pc_push_dataset(L, ds);
  lua_newtable(L);
  lua_pushvalue(L, images), lua_setfield(L, -2, "images");
  if (masks) lua_pushvalue(L, masks), lua_setfield(L, -2, "masks");
  lua_setfenv(L, -2);
  lua_pushlightuserdata(L, &live_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  lua_pushlightuserdata(L, s);
  lua_pushvalue(L, -3);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  return 1;
}

/* ---- facts from Lua ---- */

typedef struct lua_facts {
  pc_dataset_factor factor[MAX_COLUMNS];
  pc_dataset_column numeric[MAX_COLUMNS];
  const char **value; /* of all factors, one after another */
  int64_t nvalue, room;
} lua_facts;

/* Entry i of the list `member` of the arguments: a table; its `name`. The entry stays on the stack. */
static const char *entry(lua_State *L, pc_args *a, const char *member, int i, int *rc) {
  lua_rawgeti(L, pc_arg_at(a, member), i + 1);
  const char *name = NULL;
  if (lua_istable(L, -1)) {
    lua_pushliteral(L, "name");
    lua_rawget(L, -2);
    name = lua_type(L, -1) == LUA_TSTRING ? pc_text(L, -1) : NULL; /* the table keeps it alive */
    lua_pop(L, 1);
  }
  *rc = name ? PC_OK : pc_fail(PC_EARG, "dataset: %s: entry %d: a table with a name is expected", member, i + 1);
  return name;
}

/* Field `field` of the entry on top: a contiguous tensor (count) of that type; it stays alive with the entry. */
static int vector(lua_State *L, const char *what, const char *name, const char *field, int64_t count, pc_dtype dtype,
                  const pc_tensor **out) {
  lua_pushstring(L, field);
  lua_rawget(L, -2);
  const pc_tensor *t = *out = pc_to_tensor(L, -1);
  int ok = t && t->dtype == dtype && t->ndim == 1 && t->size[0] == count && pc_is_contiguous(t);
  int rc = ok ? PC_OK
              : pc_fail(PC_ESHAPE, "dataset: %s '%s': %s: %s (%lld), a number an image, is needed, got %s", what, name,
                        field, pc_dtype_name(dtype), (long long)count, pc_describe(L, -1));
  lua_pop(L, 1);
  return rc;
}

static int read_values(lua_State *L, const char *name, lua_facts *f, pc_dataset_factor *to) {
  lua_pushliteral(L, "values");
  lua_rawget(L, -2);
  if (!lua_istable(L, -1)) {
    int rc =
        pc_fail(PC_EARG, "dataset: factor '%s': values: a list of texts is needed, got %s", name, pc_describe(L, -1));
    return lua_pop(L, 1), rc;
  }
  int64_t n = (int64_t)lua_objlen(L, -1);
  if (f->nvalue + n > f->room)
    return lua_pop(L, 1), pc_fail(PC_EARG, "dataset: more than %lld values", (long long)f->room);
  to->value = f->value + f->nvalue;
  to->nvalues = n;
  for (int64_t i = 0; i < n; i++) {
    lua_rawgeti(L, -1, (int)i + 1);
    f->value[f->nvalue++] = lua_type(L, -1) == LUA_TSTRING ? pc_text(L, -1) : NULL;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return PC_OK;
}

static int read_columns(lua_State *L, pc_args *a, lua_facts *f, pc_dataset_facts *to) {
  int nf = (int)lua_objlen(L, pc_arg_at(a, "factors")), nc = (int)lua_objlen(L, pc_arg_at(a, "numeric")), rc = PC_OK;
  const pc_tensor *t;
  if (nf > MAX_COLUMNS || nc > MAX_COLUMNS) return pc_fail(PC_EARG, "dataset: at most %d columns", MAX_COLUMNS);
  for (int i = 0; rc == PC_OK && i < nf; i++) {
    const char *name = f->factor[i].name = entry(L, a, "factors", i, &rc);
    if (rc == PC_OK) rc = read_values(L, name, f, &f->factor[i]);
    if (rc == PC_OK) rc = vector(L, "factor", name, "index", to->count, PC_I64, &t);
    if (rc == PC_OK) f->factor[i].index = pc_i64(t);
    lua_pop(L, 1);
  }
  for (int i = 0; rc == PC_OK && i < nc; i++) {
    const char *name = f->numeric[i].name = entry(L, a, "numeric", i, &rc);
    if (rc == PC_OK) rc = vector(L, "numeric column", name, "values", to->count, PC_F64, &t);
    if (rc == PC_OK) f->numeric[i].value = pc_f64(t);
    lua_pop(L, 1);
  }
  to->factor = f->factor, to->nfactor = nf;
  to->numeric = f->numeric, to->nnumeric = nc;
  return rc;
}

static int new_arrays(lua_State *L, pc_args *a, const pc_dataset_facts *f, const pc_tensor *images) {
  const pc_tensor *masks = pc_arg_at(a, "masks") ? pc_to_tensor(L, pc_arg_at(a, "masks")) : NULL;
  if (pc_arg_at(a, "masks") && !masks) return pc_arg_fail(L, a, "masks", "a tensor, as images are one");
  pc_arrays_parts p = {.facts = *f, .images = images, .masks = masks, .white = pc_arg_num(a, "white")};
  if (pc_arg_given(a, "channels")) p.channels = (pc_maybe_int){1, pc_arg_int(a, "channels")};
  pc_dataset *ds;
  int rc = pc_arrays_new(&ds, &p);
  return rc < 0 ? rc : pc_push_dataset(L, ds);
}

static int f_make(lua_State *L, pc_args *a) {
  pc_licence l;
  lua_facts *f = pc_calloc(1, sizeof *f);
  if (!f || !(f->value = pc_calloc(1 << 16, sizeof *f->value))) return pc_free(f), PC_ENOMEM;
  f->room = 1 << 16;
  pc_dataset_facts to = {.name = pc_arg_str(a, "name"),
                         .digest = pc_arg_str(a, "digest"),
                         .note = pc_arg_str(a, "note"),
                         .count = pc_arg_int64(a, "count"),
                         .height = pc_arg_int64(a, "height"),
                         .width = pc_arg_int64(a, "width"),
                         .channels = pc_arg_int64(a, "channels"),
                         .latents = pc_arg_tensor(a, "latents"),
                         .unit = pc_arg_tensor(a, "unit"),
                         .licence = &l};
  const pc_tensor *images = pc_to_tensor(L, pc_arg_at(a, "images"));
  if (images && images->ndim) to.count = images->size[0];
  const char *name = pc_arg_str(a, "licence"), *notice = pc_arg_str(a, "notice");
  int rc = pc_licence_copy(&l, name ? name : "unknown", notice ? notice : "", pc_arg_bool(a, "restricted"));
  if (rc == PC_OK) rc = read_columns(L, a, f, &to);
  if (rc == PC_OK && images)
    rc = new_arrays(L, a, &to, images);
  else if (rc == PC_OK && (lua_type(L, pc_arg_at(a, "images")) != LUA_TFUNCTION ||
                           (pc_arg_at(a, "masks") && lua_type(L, pc_arg_at(a, "masks")) != LUA_TFUNCTION)))
    rc = pc_arg_fail(L, a, "images", "images and masks: tensors, or functions (index, dtype) -> tensor");
  else if (rc == PC_OK)
    rc = new_script(L, &to, pc_arg_at(a, "images"), pc_arg_at(a, "masks"));
  pc_licence_clear(&l);
  pc_free(f->value);
  pc_free(f);
  return rc;
}

static int f_arrays(lua_State *L, pc_args *a) {
  const char *factors[MAX_COLUMNS], *names[MAX_COLUMNS];
  pc_arrays_opts o = PC_ARRAYS_OPTS_INIT;
  pc_arrays_names n = {.factors = factors, .names = names};
  pc_dataset *ds;
  int at = pc_arg_at(a, "factors"), k;
  if (at && (k = n.nfactors = pc_list_of_strings(L, "arrays: factors", at, factors, MAX_COLUMNS)) < 0) return k;
  if ((at = pc_arg_at(a, "names")) &&
      (k = n.nnames = pc_list_of_strings(L, "arrays: names", at, names, MAX_COLUMNS)) < 0)
    return k;
  pc_args_options(a, &o);
  int rc = pc_arrays_open(&ds, pc_arg_str(a, "file"), &o, &n);
  return rc < 0 ? rc : pc_push_dataset(L, ds);
}

static const pc_luafn functions[] = {
    {"dataset_kind", "self:dataset", s_kind, "the kind of a data set; an error for anything else", 0},
    {"make",
     "name:str, images:any, count:int64=0, height:int64=0, width:int64=0, channels:int64?, digest:str?, masks:any?, "
     "factors:table, numeric:table, latents:tensor?, unit:tensor?, note:str(any)?, licence:str?, notice:str(any)?, "
     "restricted:bool=false, white:num(0<..255)=255",
     f_make, "the strict form that datasets.dataset brings a table into", 0},
    {"arrays", "file:str, @, factors:table?, names:table?", f_arrays,
     "the images of FILE.npy or FILE.npz, with factors from its members and from a table beside it (FILE.csv, "
     "labels.csv) -> dataset; factors: number columns of the table that are factors; names: of the columns of "
     "(N,F) members",
     0, NULL, &pc_arrays_options},
    {0}};

void pc_open_dataset(lua_State *L) {
  pc_class(L, "dataset", methods, dataset_gc);
  lua_pop(L, 1);
  lua_pushlightuserdata(L, &live_key);
  lua_newtable(L);
  lua_newtable(L);
  lua_pushliteral(L, "v"), lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawset(L, LUA_REGISTRYINDEX);
  pc_register(L, "datasets", functions);
}
