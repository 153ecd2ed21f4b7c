/* interaction.c: percept.interaction.c, for the Lua file of that name: the attention penalty. */
#include "bindings/args.h"
#include "interaction/penalty.h"

int luaopen_percept_interaction(lua_State *L);

static int f_attention(lua_State *L, pc_args *a) {
  pc_scope s = {0};
  pc_tensor *y = pc_interaction_attention(&s, pc_arg_tensor(a, "attention"));
  int rc = pc_scope_end(&s, &y, 1);
  if (rc < 0) return rc;
  pc_push_tensor(L, y);
  return 1;
}

static const pc_luafn interaction_functions[] = {
    {"attention", "attention:tensor", f_attention,
     "mean over images and positions of sum_{i<j} A_i A_j, attention (B,Q,K) with rows that sum to 1", 0},
    {0}};

int luaopen_percept_interaction(lua_State *L) {
  lua_newtable(L);
  pc_register(L, "interaction", interaction_functions);
  return 1;
}
