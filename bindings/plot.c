/* plot.c: percept.plot.c: plots as objects; scripts/percept/draw/plot.lua gives them their options. */
#include <string.h>

#include "base/alloc.h"
#include "bindings/args.h"
#include "bindings/datasets.h"
#include "plot/plot.h"

int luaopen_percept_plot(lua_State *L);

enum { MAX_NAMES = 400 };

typedef struct plot_handle {
  pc_plot *p;
  int dark; /* how it is drawn unless a call says otherwise */
} plot_handle;
#define HANDLE(a, name) ((plot_handle *)pc_arg_object(a, name))

static int plot_gc(lua_State *L) {
  plot_handle *h = lua_touserdata(L, 1);
  pc_plot_free(h->p);
  h->p = NULL;
  return 0;
}

static int limits(lua_State *L, const char *what, int at, int *has, double out[2]) {
  *has = at != 0;
  if (!at) return PC_OK;
  lua_rawgeti(L, at, 1);
  lua_rawgeti(L, at, 2);
  int good = lua_objlen(L, at) == 2 && lua_isnumber(L, -2) && lua_isnumber(L, -1);
  out[0] = lua_tonumber(L, -2), out[1] = lua_tonumber(L, -1);
  lua_pop(L, 2);
  return good ? PC_OK : pc_fail(PC_EARG, "plot: %s is {low, high}", what);
}

static int f_new(lua_State *L, pc_args *a) {
  const char *groups[MAX_NAMES];
  pc_plot_opts o = PC_OPTIONS_WITH(pc_plot_opts, PC_PLOT_OPTIONS, .title = pc_arg_str(a, "title"),
                                   .xlabel = pc_arg_str(a, "xlabel"), .ylabel = pc_arg_str(a, "ylabel"));
  pc_args_options(a, &o);
  int rc = limits(L, "xlim", pc_arg_at(a, "xlim"), &o.has_xlim, o.xlim);
  if (rc == PC_OK) rc = limits(L, "ylim", pc_arg_at(a, "ylim"), &o.has_ylim, o.ylim);
  if (rc == PC_OK && pc_arg_at(a, "groups")) {
    if ((o.ngroups = pc_list_of_strings(L, "plot: groups", pc_arg_at(a, "groups"), groups, MAX_NAMES)) < 0)
      rc = o.ngroups;
    o.groups = groups;
  }
  if (rc < 0) return rc;
  plot_handle *h = pc_new_object(L, "plot", sizeof *h);
  h->dark = !strcmp(pc_arg_str(a, "theme"), "dark");
  rc = pc_plot_new(&h->p, &o);
  return rc < 0 ? rc : 1;
}

static int p_add(lua_State *L, pc_args *a) {
  static const char *const kinds[] = {"line", "points", "both", "bars"};
  pc_series_opts s = {.name = pc_arg_str(a, "name"),
                      .y = pc_arg_tensor(a, "y"),
                      .x = pc_arg_tensor(a, "x"),
                      .sd = pc_arg_tensor(a, "sd"),
                      .low = pc_arg_tensor(a, "low"),
                      .high = pc_arg_tensor(a, "high"),
                      .dashed = pc_arg_bool(a, "dashed"),
                      .color = {pc_arg_given(a, "color"), pc_arg_given(a, "color") ? pc_arg_int(a, "color") : 0}};
  while (strcmp(kinds[s.kind], pc_arg_str(a, "kind")) != 0) s.kind++;
  return pc_done(pc_plot_add(HANDLE(a, "self")->p, &s));
}

static int p_heat(lua_State *L, pc_args *a) {
  const char *rows[MAX_NAMES], *cols[MAX_NAMES];
  double lim[2] = {0, 0};
  pc_heat_opts h = {.values = pc_arg_tensor(a, "values"),
                    .framed = pc_arg_tensor(a, "framed"),
                    .row_labels = rows,
                    .col_labels = cols,
                    .frame_name = pc_arg_str(a, "frame_name")};
  int rc = limits(L, "limits", pc_arg_at(a, "limits"), &h.has_limits, lim);
  h.low = lim[0], h.high = lim[1];
  if (rc == PC_OK && pc_arg_at(a, "rows") &&
      (h.nrow_labels = pc_list_of_strings(L, "plot: rows", pc_arg_at(a, "rows"), rows, MAX_NAMES)) < 0)
    rc = h.nrow_labels;
  if (rc == PC_OK && pc_arg_at(a, "columns") &&
      (h.ncol_labels = pc_list_of_strings(L, "plot: columns", pc_arg_at(a, "columns"), cols, MAX_NAMES)) < 0)
    rc = h.ncol_labels;
  return rc < 0 ? rc : pc_done(pc_plot_heat(HANDLE(a, "self")->p, &h));
}

static int dark(const pc_args *a) {
  return pc_arg_given(a, "theme") ? !strcmp(pc_arg_str(a, "theme"), "dark") : HANDLE(a, "self")->dark;
}

static int p_svg(lua_State *L, pc_args *a) {
  char *text;
  int rc = pc_plot_svg(&text, HANDLE(a, "self")->p, dark(a));
  if (rc < 0) return rc;
  lua_pushstring(L, text);
  pc_free(text);
  return 1;
}

static int p_pixels(lua_State *L, pc_args *a) {
  pc_tensor *t;
  int rc = pc_plot_pixels(&t, HANDLE(a, "self")->p, dark(a), pc_arg_num(a, "scale"));
  if (rc < 0) return rc;
  pc_push_tensor(L, t);
  return 1;
}

static int p_save(lua_State *L, pc_args *a) {
  return pc_done(pc_plot_save(pc_arg_str(a, "path"), HANDLE(a, "self")->p, dark(a), pc_arg_num(a, "scale")));
}

static int f_css(lua_State *L, pc_args *a) {
  char *text;
  int rc = pc_plot_css(&text, !strcmp(pc_arg_str(a, "theme"), "dark"), pc_arg_str(a, "selector"));
  if (rc < 0) return rc;
  lua_pushstring(L, text);
  pc_free(text);
  return 1;
}

static const pc_luafn functions[] = {
    {"new",
     "title:str(any)?, xlabel:str(any)?, ylabel:str(any)?, @, xlim:table?, ylim:table?, groups:table?, "
     "theme:str(light|dark)=light",
     f_new, "an empty plot", 0, NULL, &pc_plot_options},
    {"css", "theme:str(light|dark)=light, selector:str=.plot", f_css,
     "a style sheet that gives inline SVG plots the colours of a theme", 0},
    {0}};

static const pc_luafn methods[] = {
    {"add",
     "self:plot, kind:str(line|points|both|bars), name:str(any)?, y:tensor, x:tensor?, sd:tensor?, low:tensor?, "
     "high:tensor?, dashed:bool=false, color:int(1..)?",
     p_add, "adds a series; y (N), or (seeds,N): mean and standard deviation", 0},
    {"heat",
     "self:plot, values:tensor, framed:tensor?, rows:table?, columns:table?, limits:table?, frame_name:str(any)?",
     p_heat, "makes it a heat map", 0},
    {"svg", "self:plot, theme:str(light|dark)?", p_svg, "the plot as SVG text", 0},
    {"pixels", "self:plot, theme:str(light|dark)?, scale:num(0<..)=2", p_pixels, "the plot as u8 (H,W,3)", 0},
    {"save", "self:plot, path:str, theme:str(light|dark)?, scale:num(0<..)=2", p_save, "writes x.svg or x.png", 0},
    {0}};

int luaopen_percept_plot(lua_State *L) {
  pc_class(L, "plot", methods, plot_gc);
  lua_pop(L, 1);
  lua_newtable(L);
  pc_register(L, "plot", functions);
  return 1;
}
