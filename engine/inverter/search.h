/* search.h: what the methods of the inverter share; internal to this folder.
 *
 * A search runs over "starts": start i = s*B + b is image b from its s-th slots. A chunk of
 * starts is searched at once; slot numbers of a chunk's rows are plain arrays of the images'
 * dtype, and rows never move: the live ones are listed in live[], and each step gathers
 * their slots into one tensor to decode. Per start, the base keeps the best loss and slots.
 */
#ifndef PC_INVERTER_SEARCH_H
#define PC_INVERTER_SEARCH_H

#include "inverter/inverter.h"

typedef struct pc_search {
  pc_decode_fn *f;
  void *ctx;
  pc_invert_opts o;
  int patience;                        /* of o, or what suits the method */
  int64_t batch;                       /* likewise: starts searched at once */
  pc_tensor *x;                        /* (B,H,W,C) contiguous */
  pc_tensor *z0;                       /* (S*B,K,m) contiguous */
  int64_t images, starts, dim, pixels; /* B, S, K*m, H*W*C */
  pc_dtype dtype;
  /* of every start, S*B entries */
  double *best, *anchor, *cost, *seconds; /* anchor: best `patience` steps ago */
  int64_t *steps;
  uint8_t *converged;
  pc_tensor *zbest; /* (S*B,K,m) */
  pc_tensor *trace; /* (S*B,steps+1), or NULL */
  double mark;      /* when the clock was last read */
} pc_search;

typedef struct pc_chunk {
  int64_t from, n;      /* starts [from, from+n) */
  int64_t nlive, *live; /* rows, rising */
  void *z;              /* (n,K*m) where each row stands */
  pc_tensor *at;        /* (nlive,K,m) the slots looked at in this step */
  double *loss;         /* (nlive) the objective there */
  pc_tensor *grad;      /* (nlive,K,m) its gradient, or NULL */
  pc_tensor *term;      /* (nlive,K,m) the gradient of the entropy term alone, or NULL */
  pc_tensor *image;     /* (nlive,H,W,C) contiguous: the decode, when kept */
} pc_chunk;

/* Row r of a (rows,width) array of the search's dtype. */
void *pc_search_row(const pc_search *s, void *base, int64_t r, int64_t width);
const void *pc_search_target_image(const pc_search *s, const pc_chunk *c, int64_t row); /* x of a row */

enum { PC_LOOK_GRAD = 1, PC_LOOK_IMAGE = 2, PC_LOOK_TERM = 4 };
/* Decodes c->at; fills loss, grad (GRAD), term (TERM, when there is an entropy term), image (IMAGE);
 * notes the best; charges decodes and time. `at` may be where rows stand or a trial. */
int pc_search_look(pc_search *s, pc_chunk *c, int flags);
/* image = f(z) without gradient, contiguous, of the shape and dtype of the images. */
int pc_search_decode(pc_search *s, pc_tensor *z, pc_tensor **image);
/* Gives c->at the size of the live rows; its contents are for the caller to fill. */
int pc_search_begin(pc_search *s, pc_chunk *c);
/* Time since the last charge goes to the live rows in equal parts; units decodes to each. */
void pc_search_charge(pc_search *s, pc_chunk *c, double units);
void pc_search_charge_rows(pc_search *s, const pc_chunk *c, const int64_t *rows, int64_t n, double units);
/* The loss where row r stands after step t. */
void pc_search_trace(pc_search *s, pc_chunk *c, int64_t r, int t, double loss);
/* After step t, once: rows with done[r] set (done may be NULL), at their target, or without progress leave. */
void pc_search_retire(pc_search *s, pc_chunk *c, int t, const uint8_t *done);
/* The same for done[] alone, at any time. */
void pc_search_drop(pc_search *s, pc_chunk *c, int t, const uint8_t *done);

void pc_chunk_release(pc_chunk *c); /* what it holds */

/* ---- methods ---- a row of methods.def and a function: searches a chunk to its end. In each step it begins
 * (pc_search_begin), puts the places to look at into c->at, looks, traces, moves, and retires who is done. */
typedef int pc_search_fn(pc_search *s, pc_chunk *c);
#define METHOD(NAME, name, patience, arrays) pc_search_fn pc_search_##name;
#include "inverter/methods.def"
#undef METHOD

#endif
