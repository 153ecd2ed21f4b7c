/* plot.c: percept.plot.c: plots as objects; scripts/percept/plot.lua gives them their options. */
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
#define HANDLE(arg) ((plot_handle *)(arg).p)

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
  pc_plot_opts o = {.title = a->a[0].v.s,
                    .xlabel = a->a[1].v.s,
                    .ylabel = a->a[2].v.s,
                    .width = a->a[3].v.d,
                    .height = a->a[4].v.d,
                    .xlog = !strcmp(a->a[5].v.s, "log"),
                    .ylog = !strcmp(a->a[6].v.s, "log"),
                    .zero = (int)a->a[9].v.i,
                    .nolegend = !a->a[10].v.i,
                    .values = a->a[12].v.set ? a->a[12].v.i ? 1 : -1 : 0,
                    .digits = (int)a->a[13].v.i};
  int rc = limits(L, "xlim", a->a[7].at, &o.has_xlim, o.xlim);
  if (rc == PC_OK) rc = limits(L, "ylim", a->a[8].at, &o.has_ylim, o.ylim);
  if (rc == PC_OK && a->a[11].at) {
    if ((o.ngroups = pc_list_of_strings(L, "plot: groups", a->a[11].at, groups, MAX_NAMES)) < 0) rc = o.ngroups;
    o.groups = groups;
  }
  if (rc < 0) return rc;
  plot_handle *h = pc_new_object(L, "plot", sizeof *h);
  h->dark = !strcmp(a->a[14].v.s, "dark");
  rc = pc_plot_new(&h->p, &o);
  return rc < 0 ? rc : 1;
}

static int p_add(lua_State *L, pc_args *a) {
  static const char *const kinds[] = {"line", "points", "both", "bars"};
  pc_series_opts s = {.name = a->a[2].v.s,
                      .y = a->a[3].t,
                      .x = a->a[4].t,
                      .sd = a->a[5].t,
                      .low = a->a[6].t,
                      .high = a->a[7].t,
                      .dashed = (int)a->a[8].v.i,
                      .color = (int)a->a[9].v.i};
  while (strcmp(kinds[s.kind], a->a[1].v.s) != 0) s.kind++;
  if (s.color < 0) return pc_fail(PC_EARG, "plot: color = %d: colours count from 1", s.color);
  return pc_plot_add(HANDLE(a->a[0])->p, &s);
}

static int p_heat(lua_State *L, pc_args *a) {
  const char *rows[MAX_NAMES], *cols[MAX_NAMES];
  double lim[2] = {0, 0};
  pc_heat_opts h = {
      .values = a->a[1].t, .framed = a->a[2].t, .row_labels = rows, .col_labels = cols, .frame_name = a->a[6].v.s};
  int rc = limits(L, "limits", a->a[5].at, &h.has_limits, lim);
  h.low = lim[0], h.high = lim[1];
  if (rc == PC_OK && a->a[3].at &&
      (h.nrow_labels = pc_list_of_strings(L, "plot: rows", a->a[3].at, rows, MAX_NAMES)) < 0)
    rc = h.nrow_labels;
  if (rc == PC_OK && a->a[4].at &&
      (h.ncol_labels = pc_list_of_strings(L, "plot: columns", a->a[4].at, cols, MAX_NAMES)) < 0)
    rc = h.ncol_labels;
  return rc < 0 ? rc : pc_plot_heat(HANDLE(a->a[0])->p, &h);
}

static int dark(const pc_args *a, int i) {
  return a->a[i].v.set && a->a[i].v.s ? !strcmp(a->a[i].v.s, "dark") : HANDLE(a->a[0])->dark;
}

static int p_svg(lua_State *L, pc_args *a) {
  char *text;
  int rc = pc_plot_svg(&text, HANDLE(a->a[0])->p, dark(a, 1));
  if (rc < 0) return rc;
  lua_pushstring(L, text);
  pc_free(text);
  return 1;
}

static int p_pixels(lua_State *L, pc_args *a) {
  pc_tensor *t;
  int rc = pc_plot_pixels(&t, HANDLE(a->a[0])->p, dark(a, 1), a->a[2].v.d);
  if (rc < 0) return rc;
  pc_push_tensor(L, t);
  return 1;
}

static int p_save(lua_State *L, pc_args *a) {
  return pc_plot_save(a->a[1].v.s, HANDLE(a->a[0])->p, dark(a, 2), a->a[3].v.d);
}

static int f_css(lua_State *L, pc_args *a) {
  char *text;
  int rc = pc_plot_css(&text, !strcmp(a->a[0].v.s, "dark"), a->a[1].v.s);
  if (rc < 0) return rc;
  lua_pushstring(L, text);
  pc_free(text);
  return 1;
}

static const pc_luafn functions[] = {
    {"new",
     "title:str?, xlabel:str?, ylabel:str?, width:num=640, height:num=400, xscale:str(linear|log)=linear, "
     "yscale:str(linear|log)=linear, xlim:table?, ylim:table?, zero:bool=false, legend:bool=true, groups:table?, "
     "numbers:bool?, digits:int=0, theme:str(light|dark)=light",
     f_new, "an empty plot", 0},
    {"css", "theme:str(light|dark)=light, selector:str=.plot", f_css,
     "a style sheet that gives inline SVG plots the colours of a theme", 0},
    {0}};

static const pc_luafn methods[] = {
    {"add",
     "self:plot, kind:str(line|points|both|bars), name:str?, y:tensor, x:tensor?, sd:tensor?, low:tensor?, "
     "high:tensor?, dashed:bool=false, color:int=0",
     p_add, "adds a series; y (N), or (seeds,N): mean and standard deviation", 0},
    {"heat", "self:plot, values:tensor, framed:tensor?, rows:table?, columns:table?, limits:table?, frame_name:str?",
     p_heat, "makes it a heat map", 0},
    {"svg", "self:plot, theme:str(light|dark)?", p_svg, "the plot as SVG text", 0},
    {"pixels", "self:plot, theme:str(light|dark)?, scale:num=2", p_pixels, "the plot as u8 (H,W,3)", 0},
    {"save", "self:plot, path:str, theme:str(light|dark)?, scale:num=2", p_save, "writes x.svg or x.png", 0},
    {0}};

int luaopen_percept_plot(lua_State *L) {
  pc_class(L, "plot", methods, plot_gc);
  lua_pop(L, 1);
  lua_newtable(L);
  pc_register(L, "plot", functions);
  return 1;
}
