/* datasets.h: the parts of the module percept.datasets. */
#ifndef PC_BINDINGS_DATASETS_H
#define PC_BINDINGS_DATASETS_H

#include "bindings/args.h"
#include "datasets/split.h"

typedef struct dataset_handle {
  pc_dataset *ds;
} dataset_handle;
#define DATASET(a, name) (((dataset_handle *)pc_arg_object(a, name))->ds)
/* dataset.c: pushes a data set, which becomes the object's; 1. The class, and the functions that make one of Lua's. */
int pc_push_dataset(lua_State *L, pc_dataset *ds);
void pc_open_dataset(lua_State *L);
int pc_push_licence(lua_State *L, const pc_licence *l); /* name, notice, restricted */

/* A string or the list of strings at stack place `at` -> their number; `what` names them in messages. */
int pc_list_of_strings(lua_State *L, const char *what, int at, const char **out, int max);
/* Pushes {id_train, ...} and frees the split; 1, or a negative error. */
int pc_push_split(lua_State *L, pc_split *s);
/* sprites.c: registers sprites and split_latents in the table on top of the stack. */
void pc_open_sprites(lua_State *L);

#endif
