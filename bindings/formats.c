/* formats.c: percept.formats: npy, npz, safetensors, checkpoints. */
#include <stdlib.h>
#include <string.h>

#include "bindings/args.h"
#include "formats/checkpoint.h"
#include "formats/npy.h"
#include "formats/npz.h"
#include "formats/safetensors.h"

int luaopen_percept_formats(lua_State *L);

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* The arguments tensors and, where there is one, metadata as a bundle, names in order. */
static int bundle_of(lua_State *L, pc_bundle **out, const pc_args *a) {
  int at = pc_arg_at(a, "tensors"), meta = pc_arg_has(a, "metadata") ? pc_arg_at(a, "metadata") : 0;
  int n = 0, max = 0, rc = pc_bundle_new(out);
  if (rc < 0) return rc;
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) max++;
  const char **names = lua_newuserdata(L, sizeof *names * (size_t)(max ? max : 1)); /* the collector frees it */
  for (lua_pushnil(L); lua_next(L, at) && rc == PC_OK; lua_pop(L, 1)) {
    if (!pc_text(L, -2) || !pc_to_tensor(L, -1)) {
      rc = pc_fail(PC_EARG, "formats: a table name -> tensor is expected, names without NUL bytes; entry %s is %s",
                   pc_text(L, -2) ? pc_text(L, -2) : pc_describe(L, -2), pc_describe(L, -1));
      lua_pop(L, 2);
      break;
    }
    names[n++] = pc_text(L, -2);
  }
  qsort(names, (size_t)n, sizeof *names, by_name);
  for (int i = 0; i < n && rc == PC_OK; i++) {
    lua_pushstring(L, names[i]);
    lua_rawget(L, at);
    rc = pc_bundle_add(*out, names[i], pc_to_tensor(L, -1));
    lua_pop(L, 1);
  }
  for (lua_pushnil(L); meta && rc == PC_OK && lua_next(L, meta); lua_pop(L, 1)) {
    if (pc_text(L, -2) && pc_text_or_number(L, -1))
      rc = pc_bundle_set(*out, pc_text(L, -2), pc_text_or_number(L, -1));
    else
      rc = pc_fail(PC_EARG, "formats: metadata are strings by name, without NUL bytes; entry %s is %s",
                   pc_describe(L, -2), pc_describe(L, -1));
    if (rc < 0) {
      lua_pop(L, 2);
      break;
    }
  }
  if (rc < 0) {
    pc_bundle_free(*out);
    *out = NULL;
  }
  return rc;
}

static int push_bundle(lua_State *L, int rc, pc_bundle *b) {
  if (rc < 0) return rc;
  lua_newtable(L);
  for (int64_t i = 0; i < pc_bundle_count(b); i++) {
    pc_push_tensor(L, pc_tensor_retain(pc_bundle_tensor(b, i)));
    lua_setfield(L, -2, pc_bundle_name(b, i));
  }
  lua_newtable(L);
  for (int64_t i = 0; i < pc_bundle_nmeta(b); i++) {
    lua_pushstring(L, pc_bundle_value(b, i));
    lua_setfield(L, -2, pc_bundle_key(b, i));
  }
  pc_bundle_free(b);
  return 2;
}

#define WRITER(fn, write)                   \
  static int fn(lua_State *L, pc_args *a) { \
    pc_bundle *b;                           \
    int rc = bundle_of(L, &b, a);           \
    if (rc < 0) return rc;                  \
    rc = write(pc_arg_str(a, "path"), b);   \
    pc_bundle_free(b);                      \
    return pc_done(rc);                     \
  }
#define READER(fn, read)                      \
  static int fn(lua_State *L, pc_args *a) {   \
    pc_bundle *b = NULL;                      \
    int rc = read(&b, pc_arg_str(a, "path")); \
    return push_bundle(L, rc, b);             \
  }

static int write_npz(const char *path, pc_bundle *b) { return pc_npz_write(path, b, NULL); }
static int write_safetensors(const char *path, pc_bundle *b) { return pc_safetensors_write(path, b); }

WRITER(f_save_checkpoint, pc_checkpoint_write)
WRITER(f_save_safetensors, write_safetensors)
WRITER(f_save_npz, write_npz)
READER(f_load_checkpoint, pc_checkpoint_read)
READER(f_load_safetensors, pc_safetensors_read)
READER(f_load_npz, pc_npz_read)

static int f_save_npy(lua_State *L, pc_args *a) {
  return pc_done(pc_npy_write(pc_arg_str(a, "path"), pc_arg_tensor(a, "tensor")));
}

static int f_load_npy(lua_State *L, pc_args *a) {
  pc_tensor *t;
  int rc = pc_npy_read(&t, pc_arg_str(a, "path"));
  if (rc < 0) return rc;
  pc_push_tensor(L, t);
  return 1;
}

static const pc_luafn functions[] = {
    {"save_checkpoint", "path:str, tensors:table, metadata:table?", f_save_checkpoint,
     "safetensors with a digest, written whole or not at all", 0},
    {"load_checkpoint", "path:str", f_load_checkpoint, "-> tensors by name, metadata", 0},
    {"save_safetensors", "path:str, tensors:table, metadata:table?", f_save_safetensors,
     "named tensors, opens in Python", 0},
    {"load_safetensors", "path:str", f_load_safetensors, "-> tensors by name, metadata", 0},
    {"save_npz", "path:str, tensors:table", f_save_npz, "named tensors for numpy.load", 0},
    {"load_npz", "path:str", f_load_npz, "-> tensors by name", 0},
    {"save_npy", "path:str, tensor:tensor", f_save_npy, "one tensor for numpy.load", 0},
    {"load_npy", "path:str", f_load_npy, "-> one tensor", 0},
    {0}};

int luaopen_percept_formats(lua_State *L) {
  lua_newtable(L);
  pc_register(L, "formats", functions);
  return 1;
}
