/* split.h: held-out combinations of known values, by rule.
 *
 * Cells. A pair of factors (a, b) puts every image into a cell of the matrix
 * "values of a x values of b"; all pairs of a split share one matrix (values
 * are told apart by name). The rule holds some cells out. An image is
 * in-domain (ID) when all of its cells are ID cells, out-of-domain (OOD) when
 * at least one is held out. So for PUG's background split the pairs are
 * (character_name, world_name) and (character2_name, world_name); for textures
 * (character_name, character_texture) and (character2_name,
 * character2_texture); for objects the unordered pair (character_name,
 * character2_name). Values in `ignore` ("blank") form no cell: an image with
 * nothing but ignored values is ID. Two animals of one kind are a pair like any
 * other, the diagonal of the matrix. Scenes with one animal (no character2_name)
 * have one pair; their object split is an error. PUG's textures come in pairs
 * and have other names left and right (Blue with Red): the matrix has a column
 * for each name, and a cell holds out images by that side alone.
 *   band    cell (i,j) of an R x C matrix is held out when
 *           (j - floor(i C/R) + offset) mod C < w_i, w_i = round((i+1) f C) - round(i f C), f = fraction:
 *           round(R f C) cells in all. Where f C is whole every row, and for R >= C every column, loses that
 *           many; else they differ by one (3 textures, f = .2: three rows of five lose one of their three).
 *           Unordered: (i + j + offset) mod C < w, which is symmetric, w = floor(f C); of the next diagonal
 *           the share f C - w of its pairs.
 *   random  round(fraction x occurring cells) of the occurring cells by seed,
 *           leaving each value one ID cell in each pair at least.
 *   list    the cells named.
 * ID images are then divided by seed into train, validation and test. For
 * model selection without a look at OOD, `pseudo` carves that share of the
 * ID cells (at random, by seed) into a pseudo-OOD set: their images are in
 * neither train, validation nor test.
 *
 * Asserted, else PC_EARG with the value at fault and a remedy: every value of
 * every factor of the dataset occurs in train; no image of train, validation
 * or test has a held-out or pseudo-OOD cell; no set that was asked for is empty.
 *
 * Continuous latents are split by pc_split_latents().
 * A split owns its tensors and names, and does not need the dataset later.
 */
#ifndef PC_DATASETS_SPLIT_H
#define PC_DATASETS_SPLIT_H

#include <stdint.h>

#include "base/options.h"
#include "datasets/dataset.h"
#include "formats/file.h"
#include "tensor/tensor.h"

typedef struct pc_split_pair {
  const char *a, *b;
} pc_split_pair;

typedef enum pc_split_rule { PC_SPLIT_BAND, PC_SPLIT_RANDOM, PC_SPLIT_LIST } pc_split_rule;

/* Shares of the ID images that are not trained on; 0: none. */
#define PC_SPLIT_SHARES(X, S)                                               \
  X(S, num, val, "0..<1", 0.1, "", "share of the ID images for validation") \
  X(S, num, test, "0..<1", 0, "", "likewise for testing")
#define PC_SPLIT_OPTIONS(X, S)                                                                             \
  X(S, str, preset, "", NULL, "", "PUG's pairs: background (where no pairs are given), texture or object") \
  X(S, choice, rule, "band|random|list", PC_SPLIT_BAND, "", "which cells are held out")                    \
  X(S, num, fraction, "0<..<1", 0.25, "", "of the cells, of rules band and random")                        \
  X(S, int, offset, "", 0, "", "which band")                                                               \
  X(S, bool, unordered, "", 0, "", "(u,v) and (v,u) are one cell; also by preset object")                  \
  PC_SPLIT_SHARES(X, S)                                                                                    \
  X(S, num, pseudo, "0..<1", 0, "", "share of the ID cells made pseudo-OOD")                               \
  X(S, int64, seed, "", 0, "", "")

typedef struct pc_split_opts {
  PC_SPLIT_OPTIONS(PC_OPTION_FIELD, )
  const pc_split_pair *pairs; /* factor names; instead of a preset */
  int npairs;
  const pc_split_pair *cells; /* list: values (of a, of b) */
  int ncells;
  const char *const *ignore; /* values that form no cell; NULL: "blank" */
  int nignore;
} pc_split_opts;
#define PC_SPLIT_OPTS_INIT \
  { PC_SPLIT_OPTIONS(PC_OPTION_INIT, ) }
extern const pc_options pc_split_options;

typedef enum pc_cell { PC_CELL_ID, PC_CELL_PSEUDO, PC_CELL_OOD } pc_cell;

typedef struct pc_split {
  pc_tensor *id_train, *id_val, *id_test, *pseudo_ood, *ood; /* i64 (n), ascending, from PC_INDEX_BASE; may be (0) */
  int64_t rows, cols;                                        /* of the cell matrix; 0 for continuous latents */
  char **row, **col;                                         /* names of its values, sorted */
  uint8_t *cell;                                             /* (rows,cols) of pc_cell */
  int64_t *count;                                            /* (rows,cols): images with that cell */
  char *row_factor, *col_factor;                             /* names of the first pair; NULL for latents */
  int unordered;                                             /* the matrix is symmetric */
  char digest[PC_DIGEST_SIZE]; /* of the five index lists: the same images in the same sets */
} pc_split;

/* opts may be NULL. */
int pc_split_cells(pc_split **out, const pc_dataset *ds, const pc_split_opts *opts);
void pc_split_free(pc_split *s); /* accepts NULL */
/* The matrix as text: rows, columns, '.' ID, 'o' pseudo-OOD, '#' held out. From pc_malloc, NULL when out of memory. */
char *pc_split_describe(const pc_split *s);

/* ---- continuous latents ---- */

/* unit: f32 or f64 (N,K,L) in [0,1], K slots of L latents.
 *   diagonal  ID when for every latent l the K values lie within `delta` of
 *             the diagonal: |u_l - mean(u_l)|_2 <= delta. Latent `shift`
 *             has been moved by k/K mod 1 in slot k (to prevent overlap) and
 *             is moved back first.
 *   planes    ID when all slots but one sit at `anchor` (within `tolerance`).
 *   gap       as planes, and no latent of the free slot lies inside
 *             `gap`. */
typedef enum pc_latent_rule { PC_LATENT_DIAGONAL, PC_LATENT_PLANES, PC_LATENT_GAP } pc_latent_rule;

/* Of sprites, too: their sampler and this split agree. */
#define PC_LATENT_DELTA(X, S)  X(S, num, delta, "0<..", 0.125, "", "radius about the diagonal that is ID")
#define PC_LATENT_ANCHOR(X, S) X(S, num, anchor, "0..1", 0.5, "", "where the other slots of a plane sit")
#define PC_LATENT_GAP_INIT \
  { .05, .45 }
#define PC_SPLIT_LATENTS_OPTIONS(X, S)                                                    \
  X(S, choice, rule, "diagonal|planes|gap", PC_LATENT_DIAGONAL, "", "")                   \
  PC_LATENT_DELTA(X, S)                                                                   \
  X(S, int, shift, "0..", 2, "", "the latent that was moved by k/K, from 1; 0: none was") \
  PC_LATENT_ANCHOR(X, S)                                                                  \
  X(S, num, tolerance, "0..", 1e-6, "", "how near to the anchor is at it")                \
  PC_SPLIT_SHARES(X, S)                                                                   \
  X(S, int64, seed, "", 0, "", "")

typedef struct pc_split_latents_opts {
  PC_SPLIT_LATENTS_OPTIONS(PC_OPTION_FIELD, )
  double gap[2]; /* of rule gap: ascending */
} pc_split_latents_opts;
#define PC_SPLIT_LATENTS_OPTS_INIT \
  { PC_SPLIT_LATENTS_OPTIONS(PC_OPTION_INIT, ).gap = PC_LATENT_GAP_INIT }
extern const pc_options pc_split_latents_options;

int pc_split_latents(pc_split **out, const pc_tensor *unit, const pc_split_latents_opts *opts);

#endif
