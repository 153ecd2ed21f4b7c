/* scenes.h: a folder of pictures with a table of factors, ready for training.
 *
 * The folder holds a CSV file (labels.csv; labels_pug_animal.csv and
 * PUG_SPARE.csv are found, too) with a column `filename`, and PNG files at
 * <dir>/<filename>, or <dir>/<character_name>/<filename> (PUG:Animals), or
 * <dir>/<world_name>/<filename> (PUG:SPARE), or <dir>/images/<filename>. A
 * column `maskname` names label PNGs (8-bit gray or palette) found the same
 * way. Of the other columns one whose every value is a number is *numeric*,
 * any other a *factor*: categorical, its values sorted by name and counted
 * from PC_INDEX_BASE. PUG:SPAR, PUG:Animals and spar_cycles load by one call.
 * Where the images have several pairs of character1_pos and character2_pos
 * (left-right, bottom-top) there is one more factor, `relation`.
 *
 * Pictures are decoded once, in parallel, resized (images/resize.h) to one
 * (H,W) as u8 RGB, and kept in a cache file that later runs map. The file is
 * in opts.cache_dir, else $PERCEPT_CACHE, else $XDG_CACHE_HOME/percept, else
 * ~/.cache/percept; it is written under a temporary name and renamed. Its key
 * covers the table, the selection, the size asked for, every picture's name,
 * size and modification time, and the decoder's version; its bytes are
 * checked against their digest: a cache that is old, cut or damaged is built
 * anew. Where none can be written the pictures stay in memory, with a note.
 *
 * Invariants: count() >= 1; images are numbered 0 .. count()-1 in C, in the
 * order of the table (rows filtered out or skipped have no number); index
 * tensors count from PC_INDEX_BASE. A scenes object never changes.
 * Ownership: reference counted; strings live as long as the object.
 */
#ifndef PC_DATASETS_SCENES_H
#define PC_DATASETS_SCENES_H

#include <stdint.h>

#include "base/options.h"
#include "datasets/dataset.h"
#include "tensor/tensor.h"

typedef struct pc_scenes pc_scenes;

/* Rows whose value in `column` is one of `values` (or none of them, with
 * exclude). Unknown columns and values are errors that list the known ones. */
typedef struct pc_scenes_filter {
  const char *column;
  const char *const *values;
  int nvalues;
  int exclude;
} pc_scenes_filter;

typedef enum pc_scenes_on_error { PC_SCENES_STOP, PC_SCENES_SKIP } pc_scenes_on_error;

/* Without height and width pictures are as stored, all equal; with one of them they keep the first one's aspect. */
#define PC_SCENES_OPTIONS(X, S)                                                                                       \
  X(S, maybe_int, height, "1..16384", 0, "pixels", "left out: as stored, or by width and the first picture's aspect") \
  X(S, maybe_int, width, "1..16384", 0, "pixels", "likewise")                                                         \
  X(S, str, labels, "", NULL, "", "the table's file inside of dir; left out: found")                                  \
  X(S, choice, on_error, "stop|skip", PC_SCENES_STOP, "", "unreadable pictures: an error, or left out with a note")   \
  X(S, str, cache_dir, "any", NULL, "", "empty: no cache")                                                            \
  X(S, bool, masks, "", 1, "", "")

typedef struct pc_scenes_opts {
  PC_SCENES_OPTIONS(PC_OPTION_FIELD, )
  const pc_scenes_filter *filters; /* all have to hold */
  int nfilters;
  const char *const *factors; /* numeric columns to take as factors all the same (camera_yaw, variant) */
  int nfactors;
  /* From the calling thread, some times a second while decoding; nonzero stops with PC_EINTR. */
  int (*progress)(int64_t done, int64_t total, void *ctx);
  void *progress_ctx;
} pc_scenes_opts;
#define PC_SCENES_OPTS_INIT \
  { PC_SCENES_OPTIONS(PC_OPTION_INIT, ) }
extern const pc_options pc_scenes_options;

/* opts may be NULL. */
int pc_scenes_open(pc_scenes **out, const char *dir, const pc_scenes_opts *opts);
pc_scenes *pc_scenes_retain(pc_scenes *ds);
void pc_scenes_free(pc_scenes *ds); /* gives one reference back; accepts NULL */
/* The scenes as a data set, which keeps a reference; name NULL: the folder's. */
int pc_scenes_dataset(pc_dataset **out, pc_scenes *ds, const char *name);

/* ---- facts ---- */
int64_t pc_scenes_count(const pc_scenes *ds);
int64_t pc_scenes_height(const pc_scenes *ds);
int64_t pc_scenes_width(const pc_scenes *ds);
int pc_scenes_has_masks(const pc_scenes *ds);
const char *pc_scenes_dir(const pc_scenes *ds);
const char *pc_scenes_filename(const pc_scenes *ds, int64_t i);
/* 32 hex digits over the table, the selection and the decoded pixels: the same data anywhere has the same digest. */
const char *pc_scenes_digest(const pc_scenes *ds);
const char *pc_scenes_note(const pc_scenes *ds); /* what a user should know (skipped files, no cache); "" if nothing */
const pc_licence *pc_scenes_licence(const pc_scenes *ds);
/* 1 the first time this user opens scenes of that restricted licence (licence.h): the notice should be shown. */
int pc_scenes_first_use(const pc_scenes *ds, const char *cache_dir);
int pc_scenes_folder_licence(pc_licence *out, const char *dir); /* without opening it; pc_licence_clear() afterwards */
const char *pc_scenes_cache_path(const pc_scenes *ds);          /* the mapped file; "" when in memory */

/* ---- factors (categorical) ---- f: 0 .. nfactors-1 */
int pc_scenes_nfactors(const pc_scenes *ds);
const char *pc_scenes_factor_name(const pc_scenes *ds, int f);
int pc_scenes_factor_find(int *f, const pc_scenes *ds, const char *name); /* PC_ENOTFOUND lists the factors */
int64_t pc_scenes_factor_nvalues(const pc_scenes *ds, int f);
const char *pc_scenes_factor_value(const pc_scenes *ds, int f, int64_t v); /* v from 0, sorted by name */
int pc_scenes_factor_value_find(int64_t *v, const pc_scenes *ds, int f, const char *value);
const int64_t *pc_scenes_factor_index(const pc_scenes *ds, int f); /* (count), from PC_INDEX_BASE */
/* i64 (B) of the images at `index` (NULL: all) */
int pc_scenes_factor(pc_tensor **out, const pc_scenes *ds, int f, const pc_tensor *index);

/* ---- numeric columns ---- c: 0 .. nnumeric-1 */
int pc_scenes_nnumeric(const pc_scenes *ds);
const char *pc_scenes_numeric_name(const pc_scenes *ds, int c);
int pc_scenes_numeric_find(int *c, const pc_scenes *ds, const char *name);
const double *pc_scenes_numeric_values(const pc_scenes *ds, int c); /* (count) */

/* ---- pixels ---- index: integer (B), from PC_INDEX_BASE; NULL: all images */
int pc_scenes_images(pc_tensor **out, const pc_scenes *ds, const pc_tensor *index,
                     pc_dtype dtype);                                              /* u8, or f32 in [0,1]: (B,H,W,3) */
int pc_scenes_masks(pc_tensor **out, const pc_scenes *ds, const pc_tensor *index); /* u8 (B,H,W) */

/* i64 indices, ascending, of the images that pass all filters; may be (0). Columns: factors and numeric ones. */
int pc_scenes_where(pc_tensor **out, const pc_scenes *ds, const pc_scenes_filter *filters, int nfilters);

#endif
