/* replay.c: percept.replay: marginals fitted to a bank of slots, and drawn from. */
#include <string.h>

#include "bindings/args.h"
#include "replay/replay.h"

int luaopen_percept_replay(lua_State *L);

typedef struct replay_handle {
  pc_replay *r;
} replay_handle;

static int replay_gc(lua_State *L) {
  replay_handle *h = lua_touserdata(L, 1);
  pc_replay_free(h->r);
  h->r = NULL;
  return 0;
}

static int group_of(lua_State *L, int at, uint64_t *mask) {
  *mask = 0;
  for (int i = 1, n = lua_istable(L, at) ? (int)lua_objlen(L, at) : 0; i <= n; i++) {
    lua_rawgeti(L, at, i);
    double slot = lua_isnumber(L, -1) ? lua_tonumber(L, -1) : 0;
    lua_pop(L, 1);
    if (!(slot >= 1 && slot <= PC_REPLAY_MAX_SLOTS)) return 0;
    *mask |= (uint64_t)1 << ((int)slot - 1);
  }
  return *mask != 0;
}

/* groups = {{1, 3}, {2, 3}} */
static int groups_of(lua_State *L, int at, pc_replay_opts *o) {
  int n = lua_istable(L, at) ? (int)lua_objlen(L, at) : 0;
  if (n < 1 || n > PC_REPLAY_MAX_GROUPS)
    return pc_fail(PC_EARG, "replay: exclude.groups is a list of 1 to %d lists of slots, such as {{1, 3}, {2, 3}}",
                   (int)PC_REPLAY_MAX_GROUPS);
  for (int g = 0; g < n; g++) {
    lua_rawgeti(L, at, g + 1);
    int good = group_of(L, lua_gettop(L), &o->groups[g]);
    lua_pop(L, 1);
    if (!good)
      return pc_fail(PC_EARG, "replay: group %d of exclude.groups must be a list of slots, counted from 1", g + 1);
  }
  o->ngroups = n;
  return PC_OK;
}

/* exclude = {labels = (N,K), combinations = (M,K), groups = {{...}, ...}}; tensors stay where the caller holds them */
static int exclude_of(lua_State *L, int at, pc_replay_opts *o) {
  static const char *const known[] = {"labels", "combinations", "groups"};
  int rc = PC_OK;
  lua_pushnil(L);
  while (rc == PC_OK && lua_next(L, at)) {
    const char *key = pc_text(L, -2) ? pc_text(L, -2) : "?";
    int value = lua_gettop(L);
    if (!strcmp(key, known[2])) {
      rc = groups_of(L, value, o);
    } else if (!strcmp(key, known[0]) || !strcmp(key, known[1])) {
      pc_tensor *t = pc_to_tensor(L, value);
      *(!strcmp(key, known[0]) ? &o->labels : &o->seen) = t;
      if (!t) rc = pc_fail(PC_EARG, "replay: exclude.%s is %s, not a tensor of integers", key, pc_describe(L, value));
    } else {
      rc = pc_fail(PC_EARG, "replay: exclude has no '%s': known are labels, combinations, groups", key);
    }
    lua_pop(L, 1);
  }
  return rc;
}

static int opts_of(lua_State *L, pc_args *a, pc_replay_opts *o) {
  pc_args_options(a, o);
  return pc_arg_given(a, "exclude") ? exclude_of(L, pc_arg_at(a, "exclude"), o) : PC_OK;
}

static int draw(lua_State *L, const pc_replay *r, int64_t n, int with_rows) {
  pc_tensor *z, *rows = NULL;
  int rc = pc_replay_draw(r, &z, with_rows ? &rows : NULL, n, pc_rng_global());
  if (rc < 0) return rc;
  pc_push_tensor(L, z);
  if (rows) pc_push_tensor(L, rows);
  return rows ? 2 : 1;
}

static int f_fit(lua_State *L, pc_args *a) {
  pc_replay_opts o = PC_REPLAY_OPTS_INIT;
  pc_replay *r;
  int rc = opts_of(L, a, &o);
  if (rc == PC_OK) rc = pc_replay_fit(&r, pc_arg_tensor(a, "bank"), &o);
  if (rc < 0) return rc;
  ((replay_handle *)pc_new_object(L, "sampler", sizeof(replay_handle)))->r = r;
  return 1;
}

static int f_sample(lua_State *L, pc_args *a) {
  pc_replay_opts o = PC_REPLAY_OPTS_INIT;
  pc_replay *r;
  int rc = opts_of(L, a, &o);
  if (rc == PC_OK) rc = pc_replay_fit(&r, pc_arg_tensor(a, "bank"), &o);
  if (rc < 0) return rc;
  rc = draw(L, r, pc_arg_int64(a, "n"), pc_arg_bool(a, "rows"));
  pc_replay_free(r);
  return rc;
}

static int m_sample(lua_State *L, pc_args *a) {
  return draw(L, ((replay_handle *)pc_arg_object(a, "sampler"))->r, pc_arg_int64(a, "n"), pc_arg_bool(a, "rows"));
}

#define OPTIONS_HELP                                                                                                \
  "marginals: empirical, gaussian, mixture (per slot a Gaussian mixture of `components`, by EM from k-means++ "     \
  "centres of `seed`) or prior. exclude = {labels = (N,K) integers, the value of each slot of the bank; "           \
  "combinations = (M,K), those that occurred (default: labels); groups = {{1, 3}, {2, 3}}}: empirical draws whose " \
  "labels occurred in every group (default: one of all slots) are drawn again, at most `tries` times in a "         \
  "row"

static const pc_luafn methods[] = {
    {"sample", "sampler:sampler, n:int64(0..), rows:bool=false", m_sample,
     "n slot sets (n,K,m); rows: of empirical marginals the bank rows they come from, too: i64 (n,K)", 0},
    {0}};

static const pc_luafn replay_functions[] = {
    {"sample", "bank:tensor, n:int64(0..), @, exclude:table?, rows:bool=false", f_sample,
     "n slot sets (n,K,m), each slot drawn for itself from the bank (N,K,m); rows: of empirical marginals the bank "
     "rows drawn, too, i64 (n,K) (arXiv 2512.08854, Eq. 4.4). " OPTIONS_HELP,
     0, NULL, &pc_replay_options},
    {"fit", "bank:tensor, @, exclude:table?", f_fit,
     "the same as an object, fitted once and drawn from often: s:sample(n). " OPTIONS_HELP, 0, NULL,
     &pc_replay_options},
    {0}};

int luaopen_percept_replay(lua_State *L) {
  pc_class(L, "sampler", methods, replay_gc);
  lua_pop(L, 1);
  lua_newtable(L);
  pc_register(L, "replay", replay_functions);
  return 1;
}
