/* datasets.h: the parts of the module percept.datasets. */
#ifndef PC_BINDINGS_DATASETS_H
#define PC_BINDINGS_DATASETS_H

#include "bindings/args.h"
#include "datasets/split.h"

/* A string or the list of strings at stack place `at` -> their number; `what` names them in messages. */
int pc_list_of_strings(lua_State *L, const char *what, int at, const char **out, int max);
/* Pushes {id_train, ...} and frees the split; 1, or a negative error. */
int pc_push_split(lua_State *L, pc_split *s);
/* sprites.c: registers sprites and split_latents in the table on top of the stack. */
void pc_open_sprites(lua_State *L);

#endif
