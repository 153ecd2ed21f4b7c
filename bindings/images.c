/* images.c: percept.images: PNG files, resizing, grids, masks and numbers as colours. */
#include "bindings/args.h"
#include "images/color.h"
#include "images/grid.h"
#include "images/overlay.h"
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
  int rc = pc_png_read(&t, pc_arg_str(a, "path"), pc_arg_int(a, "channels"));
  return give(L, rc, t);
}

static int f_read_labels(lua_State *L, pc_args *a) {
  pc_tensor *t;
  int rc = pc_png_read_labels(&t, pc_arg_str(a, "path"));
  return give(L, rc, t);
}

static int f_write(lua_State *L, pc_args *a) {
  return pc_done(pc_png_write(pc_arg_str(a, "path"), pc_arg_tensor(a, "image"), NULL));
}

static int f_resize(lua_State *L, pc_args *a) {
  pc_tensor *t;
  int rc = pc_resize(&t, pc_arg_tensor(a, "image"), pc_arg_int64(a, "height"),
                     pc_arg_given(a, "width") ? pc_arg_int64(a, "width") : pc_arg_int64(a, "height"));
  return give(L, rc, t);
}

enum { MAX_LABELS = 256 };

/* A tensor (N,H,W,C): cells row by row. A list of tensors: one column each. */
static int f_grid(lua_State *L, pc_args *a) {
  const char *cols[MAX_LABELS], *rows[MAX_LABELS];
  pc_tensor *t, *one = pc_to_tensor(L, pc_arg_at(a, "images"));
  pc_grid_opts o = PC_GRID_OPTS_INIT;
  pc_args_options(a, &o);
  o.column_labels = cols;
  o.row_labels = rows;
  o.ncolumn_labels = pc_each_text(L, "grid: column_labels", pc_arg_at(a, "column_labels"), cols, MAX_LABELS);
  if (o.ncolumn_labels < 0) return o.ncolumn_labels;
  o.nrow_labels = pc_each_text(L, "grid: row_labels", pc_arg_at(a, "row_labels"), rows, MAX_LABELS);
  if (o.nrow_labels < 0) return o.nrow_labels;
  int rc;
  if (one) {
    rc = pc_grid(&t, one, &o);
  } else {
    const pc_tensor *batch[64];
    int n = lua_istable(L, pc_arg_at(a, "images")) ? (int)lua_objlen(L, pc_arg_at(a, "images")) : 0;
    if (n < 1 || n > 64)
      return pc_fail(PC_EARG, "grid: images (N,H,W,C) or a list of 1 to 64 of them, got %s",
                     pc_describe(L, pc_arg_at(a, "images")));
    for (int i = 0; i < n; i++) {
      lua_rawgeti(L, pc_arg_at(a, "images"), i + 1);
      if (!(batch[i] = pc_to_tensor(L, -1)))
        return pc_fail(PC_EARG, "grid: column %d is %s, not a tensor", i + 1, pc_describe(L, -1));
      lua_pop(L, 1);
    }
    rc = pc_grid_columns(&t, batch, n, &o);
  }
  return give(L, rc, rc < 0 ? NULL : t);
}

static int f_overlay(lua_State *L, pc_args *a) {
  pc_tensor *t;
  pc_overlay_opts o = PC_OVERLAY_OPTS_INIT;
  pc_args_options(a, &o);
  int rc = pc_overlay(&t, pc_arg_tensor(a, "images"), pc_arg_tensor(a, "masks"), &o);
  return give(L, rc, t);
}

static int f_colorize(lua_State *L, pc_args *a) {
  pc_tensor *t;
  int rc = pc_colorize(&t, pc_arg_tensor(a, "values"), pc_arg_num(a, "low"), pc_arg_num(a, "high"));
  return give(L, rc, t);
}

static int f_labels_to_rgb(lua_State *L, pc_args *a) {
  pc_tensor *t;
  int rc = pc_labels_to_rgb(&t, pc_arg_tensor(a, "labels"));
  return give(L, rc, t);
}

static const pc_luafn functions[] = {
    {"grid", "images:any, @, column_labels:table?, row_labels:table?", f_grid,
     "one picture u8 (H,W,3) of many: (N,H,W,C) row by row, or a list of batches, one a column", 0, NULL,
     &pc_grid_options},
    {"overlay", "images:tensor, masks:tensor, @", f_overlay,
     "masks as colours over (N,H,W,C) -> u8 (N,H,W,3); masks: u8 labels (N,H,W), or weights (N,h,w,K) as of attention",
     0, NULL, &pc_overlay_options},
    {"colorize", "values:tensor, low:num=0, high:num=1", f_colorize,
     "numbers (H,W) or (N,H,W) as colours u8 (...,3): the brighter, the more; NaN is gray", 0},
    {"labels_to_rgb", "labels:tensor", f_labels_to_rgb, "u8 labels (H,W) or (N,H,W) in twelve distinct colours", 0},
    {"read", "path:str, channels:int(1..4)=3", f_read, "a PNG as u8 (H,W,C); channels 1, 3 or 4", 0},
    {"read_labels", "path:str", f_read_labels, "a label PNG as u8 (H,W): palette indices or gray levels as stored", 0},
    {"write", "path:str, image:tensor", f_write, "writes (H,W) or (H,W,C): u8, or floats in [0,1]", 0},
    {"resize", "image:tensor, height:int(1..), width:int(1..)?", f_resize,
     "(H,W,C) or (N,H,W,C) to another size, area averaging", 0},
    {0}};

int luaopen_percept_images(lua_State *L) {
  lua_newtable(L);
  pc_register(L, "images", functions);
  return 1;
}
