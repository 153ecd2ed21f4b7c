/* dataset.h: what a data set is to everyone who uses one: a protocol, and the one place where it is checked.
 *
 * A data set has a count, a size (H,W,C), images by index, factors (categorical), numeric columns, a digest, a name, a
 * licence and a note; where there are: masks, latents, file names. Folders of scenes, composed scenes (emoji), sprites,
 * plain arrays and what a caller supplies are all pc_dataset: a table of functions for the pixels, and facts, copied
 * and checked when the data set is made. Splits, studies and commands know nothing else.
 *
 * To add a kind: a pc_dataset_class of your own, and a function that fills pc_dataset_facts and calls pc_dataset_new().
 *
 * Checked by pc_dataset_new(): every member is there; names are distinct; a factor's index is from 1..n of its values,
 * which are distinct; no number is NaN or infinite. Checked at every call: indices are within the count, and what a
 * class returns has the shape and type that was asked for. pc_dataset_check() reads some images, twice, as well.
 *
 * Invariants: count() >= 1; images are numbered 0 .. count()-1 in C, index tensors count from PC_INDEX_BASE. A data
 * set never changes. Reference counted; strings live as long as the data set. Error text begins with the kind's name.
 */
#ifndef PC_DATASETS_DATASET_H
#define PC_DATASETS_DATASET_H

#include <stdint.h>

#include "datasets/licence.h"
#include "tensor/tensor.h"

typedef struct pc_dataset pc_dataset;

typedef struct pc_dataset_factor {
  const char *name;
  int64_t nvalues;
  const char *const *value; /* (nvalues), distinct, none empty */
  const int64_t *index;     /* (count), from PC_INDEX_BASE */
} pc_dataset_factor;

typedef struct pc_dataset_column {
  const char *name;
  const double *value; /* (count), finite */
} pc_dataset_column;

/* What a kind does. index: i64 (B), contiguous, within the count; NULL: all images. */
typedef struct pc_dataset_class {
  const char *kind; /* "scenes": what messages begin with */
  int (*images)(void *ctx, pc_tensor **out, const pc_tensor *index,
                pc_dtype dtype);                                    /* u8, or f32 in [0,1]: (B,H,W,C) */
  int (*masks)(void *ctx, pc_tensor **out, const pc_tensor *index); /* u8 (B,H,W); NULL: none */
  const char *(*filename)(void *ctx, int64_t i);                    /* NULL: none */
  void (*free)(void *ctx);                                          /* NULL: nothing to free */
} pc_dataset_class;

typedef struct pc_dataset_facts {
  const char *name;          /* "spar_cycles" */
  const char *dir;           /* where it is stored; NULL: nowhere */
  const char *digest;        /* the same data anywhere has the same digest */
  const char *note;          /* what a user should know; NULL: nothing */
  const pc_licence *licence; /* NULL: unknown */
  int64_t count, height, width, channels;
  const pc_dataset_factor *factor;
  int nfactor;
  const pc_dataset_column *numeric;
  int nnumeric;
  const pc_tensor *latents, *unit; /* f32 or f64 (N,K,L) true slots, as they are and in [0,1]; NULL: none */
} pc_dataset_facts;

/* Copies the facts. On success ctx is the data set's, on error it stays the caller's. */
int pc_dataset_new(pc_dataset **out, const pc_dataset_class *cls, void *ctx, const pc_dataset_facts *facts);
pc_dataset *pc_dataset_retain(pc_dataset *ds);
void pc_dataset_free(pc_dataset *ds); /* gives one reference back; accepts NULL */

/* Reads the first and the last image (and mask) twice: the same both times, of the right shape and type, f32 in [0,1].
 */
int pc_dataset_check(const pc_dataset *ds);

/* ---- facts ---- */
const char *pc_dataset_kind(const pc_dataset *ds);
const char *pc_dataset_name(const pc_dataset *ds);
const char *pc_dataset_dir(const pc_dataset *ds); /* "" for none */
const char *pc_dataset_digest(const pc_dataset *ds);
const char *pc_dataset_note(const pc_dataset *ds); /* "" for none */
const pc_licence *pc_dataset_licence(const pc_dataset *ds);
int64_t pc_dataset_count(const pc_dataset *ds);
int64_t pc_dataset_height(const pc_dataset *ds);
int64_t pc_dataset_width(const pc_dataset *ds);
int64_t pc_dataset_channels(const pc_dataset *ds);
int pc_dataset_has_masks(const pc_dataset *ds);
int pc_dataset_has_latents(const pc_dataset *ds);
const char *pc_dataset_filename(const pc_dataset *ds, int64_t i); /* NULL: its images are no files */

/* ---- factors, 0 .. nfactors-1, and numeric columns ---- */
int pc_dataset_nfactors(const pc_dataset *ds);
const pc_dataset_factor *pc_dataset_factor_at(const pc_dataset *ds, int f);
int pc_dataset_factor_find(int *f, const pc_dataset *ds, const char *name); /* PC_ENOTFOUND lists the factors */
int pc_dataset_factor_of(pc_tensor **out, const pc_dataset *ds, int f, const pc_tensor *index); /* i64 (B) */
int pc_dataset_nnumeric(const pc_dataset *ds);
const pc_dataset_column *pc_dataset_numeric_at(const pc_dataset *ds, int c);
int pc_dataset_numeric_find(int *c, const pc_dataset *ds, const char *name);
int pc_dataset_numeric_of(pc_tensor **out, const pc_dataset *ds, int c, const pc_tensor *index); /* f64 (B) */

/* ---- pixels and latents ---- index: integer (B), from PC_INDEX_BASE; NULL: all */
int pc_dataset_images(pc_tensor **out, const pc_dataset *ds, const pc_tensor *index, pc_dtype dtype);
int pc_dataset_masks(pc_tensor **out, const pc_dataset *ds, const pc_tensor *index); /* PC_ESTATE: there are none */
int pc_dataset_latents(pc_tensor **out, const pc_dataset *ds, const pc_tensor *index, int unit);

/* ---- for kinds ---- */
/* Checks index tensors of a set of `count` images: a contiguous i64 (B), new reference; NULL for NULL. `what` begins
 * messages. */
int pc_dataset_index(pc_tensor **out, const char *what, int64_t count, const pc_tensor *index);
/* Rows of a contiguous tensor, by an index as above. */
int pc_dataset_rows(pc_tensor **out, const pc_tensor *t, const pc_tensor *index);

/* u8 as f32 (1/255) and f32 in [0,1] as u8, contiguous; whole numbers of other types as u8. PC_EARG: out of range. */
int pc_dataset_pixels(pc_tensor **out, const pc_tensor *t, pc_dtype dtype);

#endif
