/* arrays.h: a data set of plain arrays: images (N,H,W,C), and what belongs to them.
 *
 * Images are u8, or f32 in [0,1]; (N,H,W) is one channel. They stay as they are stored: u8 is kept as u8, and one
 * channel becomes three (channels) only as images are asked for. Masks are whole numbers (N,H,W), 0..255.
 *
 * A file. NAME.npy is the images. Of NAME.npz's members
 *   images    option `images`, else images, imgs, x, X: the first there is
 *   masks     option `masks`, else masks
 *   latents, unit   the options, else latents and unit: floats (N,K,L), true slots
 *   whole numbers (N)    a factor named as the member; (N,F): F factors, named by `names`, else MEMBER1, MEMBER2, ...
 *   other numbers (N), (N,F)   numeric columns likewise; where names would meet, the numeric ones end in _value
 *   anything else         passed over, with a note; so is what holds Python objects (pickles)
 * Values of a factor are the numbers that occur, as text, in order. So dSprites' file is read as it is, with
 * names = color, shape, scale, orientation, posX, posY, and white = 1.
 * A table beside the file (option `table`; else NAME.csv, else labels.csv in its folder; "none": no table) has a row
 * an image. Columns of numbers are numeric unless `factors` names them, others are factors; a table's columns go
 * before a member of the same name.
 *
 * The digest covers all of it. Sizes that differ from the images' are errors with both numbers.
 */
#ifndef PC_DATASETS_ARRAYS_H
#define PC_DATASETS_ARRAYS_H

#include "base/options.h"
#include "datasets/dataset.h"

#define PC_ARRAYS_OPTIONS(X, S)                                                                                \
  X(S, str, images, "any", "", "", "member with the images; \"\": images, imgs, x or X")                       \
  X(S, str, masks, "any", "", "", "member with the masks; \"\": masks")                                        \
  X(S, str, latents, "any", "", "", "member with the true slots (N,K,L); \"\": latents")                       \
  X(S, str, unit, "any", "", "", "member with the true slots in [0,1]; \"\": unit")                            \
  X(S, str, table, "any", "", "", "the table's path; \"\": FILE.csv or labels.csv beside; \"none\": no table") \
  X(S, maybe_int, channels, "1..64", 0, "", "of the images; not given: as stored, and 3 of 1")                 \
  X(S, num, white, "0<..255", 255, "", "the u8 that is full brightness")
PC_OPTIONS_STRUCT(pc_arrays_opts, PC_ARRAYS_OPTIONS);
#define PC_ARRAYS_OPTS_INIT \
  { PC_ARRAYS_OPTIONS(PC_OPTION_INIT, ) }
extern const pc_options pc_arrays_options;

typedef struct pc_arrays_names {
  const char *const *factors; /* numeric columns of the table that are factors all the same */
  int nfactors;
  const char *const *names; /* of the columns of (N,F) members */
  int nnames;
} pc_arrays_names;

/* opts, names may be NULL. */
int pc_arrays_open(pc_dataset **out, const char *path, const pc_arrays_opts *opts, const pc_arrays_names *names);

/* What stands in memory already. */
typedef struct pc_arrays_parts {
  const char *kind;        /* "arrays": what messages begin with */
  pc_dataset_facts facts;  /* without digest, count and sizes: they come from the images */
  const pc_tensor *images; /* u8 or f32 (N,H,W) or (N,H,W,C) */
  const pc_tensor *masks;  /* (N,H,W) whole numbers; NULL: none */
  pc_maybe_int channels;   /* as above */
  double white;            /* as above */
} pc_arrays_parts;

/* Shares the tensors where their type is right already. */
int pc_arrays_new(pc_dataset **out, const pc_arrays_parts *parts);

#endif
