/* licence.h: under what terms a data set is, as far as its folder tells.
 *
 * Meta's PUG sets are recognised by what they are: labels_pug_animal.csv (or
 * its columns), PUG_SPARE.csv, PUG:SPAR's columns with no world but its ten,
 * or a folder called PUG, PUG_SPAR and the like. They are CC-BY-NC with an
 * addendum that forbids training generative models on them (README of
 * facebookresearch/PUG), so `restricted` is set: who shows pictures, keeps
 * decoders or gives results away has to ask. Any other folder speaks by its
 * file LICENSE or LICENCE (.txt, .md or bare): the first line is the name.
 */
#ifndef PC_DATASETS_LICENCE_H
#define PC_DATASETS_LICENCE_H

#include "formats/csv.h"

typedef struct pc_licence {
  char *name;     /* "CC BY 4.0"; "unknown" when the folder says nothing */
  char *notice;   /* what a user has to know; "" if nothing */
  int restricted; /* not for training generative models: tell the user, keep pixels to oneself */
} pc_licence;

/* dir: the folder; table: the file name of its table. PC_ENOMEM; a licence file that cannot be read is no error. */
int pc_licence_of(pc_licence *out, const char *dir, const char *table, const pc_csv *csv);
int pc_licence_copy(pc_licence *out, const char *name, const char *notice, int restricted);
void pc_licence_clear(pc_licence *l);

/* 1 when this user has not been shown the notice of a restricted licence before, as a marker in the folder `cache`
 * says, which is then made; else 0. Where no marker can be made it is always the first time. */
int pc_licence_first_use(const pc_licence *l, const char *cache);

#endif
