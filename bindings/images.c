/* images.c: percept.images: PNG files, resizing. */
#include "bindings/args.h"
#include "images/png.h"
#include "images/resize.h"

int luaopen_percept_images(lua_State *L);

static int give(lua_State *L, int rc, pc_tensor *t) {
  if (rc < 0) return rc;
  pc_push_tensor(L, t);
  return 1;
}

static int f_read(lua_State *L, pc_args *a) {
  pc_tensor *t;
  int rc = pc_png_read(&t, a->a[0].v.s, (int)a->a[1].v.i);
  return give(L, rc, t);
}

static int f_read_labels(lua_State *L, pc_args *a) {
  pc_tensor *t;
  int rc = pc_png_read_labels(&t, a->a[0].v.s);
  return give(L, rc, t);
}

static int f_write(lua_State *L, pc_args *a) { return pc_png_write(a->a[0].v.s, a->a[1].t, NULL); }

static int f_resize(lua_State *L, pc_args *a) {
  pc_tensor *t;
  int rc = pc_resize(&t, a->a[0].t, a->a[1].v.i, a->a[2].v.set ? a->a[2].v.i : a->a[1].v.i);
  return give(L, rc, t);
}

static const pc_luafn functions[] = {
    {"read", "path:str, channels:int=3", f_read, "a PNG as u8 (H,W,C); channels 1, 3 or 4", 0},
    {"read_labels", "path:str", f_read_labels, "a label PNG as u8 (H,W): palette indices or gray levels as stored", 0},
    {"write", "path:str, image:tensor", f_write, "writes (H,W) or (H,W,C): u8, or floats in [0,1]", 0},
    {"resize", "image:tensor, height:int, width:int?", f_resize, "(H,W,C) or (N,H,W,C) to another size, area averaging", 0},
    {0}};

int luaopen_percept_images(lua_State *L) {
  lua_newtable(L);
  pc_register(L, "images", functions);
  return 1;
}
