/* scenes_impl.h: what the parts of scenes share; not for other modules.
 * scenes.c: open, batches · scenes_table.c: columns, filters ·
 * scenes_cache.c: finding, decoding and caching the pictures · emoji.c: makes
 * such objects without files. */
#ifndef PC_DATASETS_SCENES_IMPL_H
#define PC_DATASETS_SCENES_IMPL_H

#include <locale.h>

#include "datasets/scenes.h"
#include "formats/csv.h"
#include "formats/file.h"

/* A column of the table other than the file names. */
typedef struct pc_scenes_column {
  const char *name;
  int csv_col; /* -1: made of others */
  int numeric;
  double *number;     /* (count), numeric ones */
  int64_t nvalues;    /* factors: ... */
  const char **value; /* (nvalues) sorted; cells of the table */
  int64_t *index;     /* (count), from PC_INDEX_BASE */
  char *own;          /* the values' text, where it is in no cell */
} pc_scenes_column;

struct pc_scenes {
  int refs;
  char *dir;
  pc_csv *csv;
  int name_col, mask_col; /* mask_col -1: none */
  int64_t nsel;           /* rows that pass the filters: (nsel) pictures are decoded */
  int64_t *sel;           /* (nsel) their rows in the table */
  int64_t n;              /* count(): of these, the readable ones */
  int64_t *slot;          /* (n) where in sel and in the pixels each stands */
  int64_t height, width;
  int ncolumn, nfactor;
  pc_scenes_column *column; /* (ncolumn): factors first, each group in the table's order */
  uint8_t *ok;              /* (nsel): decoded */
  uint8_t *images;          /* (nsel,height,width,3) */
  uint8_t *masks;           /* (nsel,height,width) or NULL */
  void *map;                /* the mapped cache file, or NULL */
  size_t map_bytes;
  void *block; /* the same bytes in memory, or NULL */
  /* Scenes that are drawn when they are asked for (images and masks are NULL); image, mask: either may be NULL. */
  int (*draw)(const void *ctx, int64_t i, uint8_t *image, uint8_t *mask);
  void *draw_ctx;
  void (*draw_free)(void *ctx);
  char *cache_path;
  char *report; /* which pictures were unreadable; NULL: none */
  char *note;
  pc_licence licence;
  char digest[PC_DIGEST_SIZE];
};

/* scenes_table.c */
int pc_scenes_select(pc_scenes *ds, const pc_scenes_opts *opts);  /* fills sel */
int pc_scenes_columns(pc_scenes *ds, const pc_scenes_opts *opts); /* fills column, from sel and slot */
/* A column whose csv_col is set, on n rows of a table (NULL: all); strings stay the table's. loc: "C". */
int pc_scenes_read_column(pc_scenes_column *c, const pc_csv *csv, const int64_t *row, int64_t n, int force_factor,
                          locale_t loc);
/* scenes.c: the table's path: the one asked for, or the first of the known names */
int pc_scenes_find_table(char *path, size_t size, const char *dir, const char *labels);
/* scenes_cache.c: the cache folder by name, "" for none; asked: opts.cache_dir or NULL */
void pc_scenes_cache_folder(char *out, size_t size, const char *asked);
/* scenes_cache.c: fills ok, images, masks, height, width, digest, report */
int pc_scenes_load(pc_scenes *ds, const pc_scenes_opts *opts);
/* appends a line to ds->note */
int pc_scenes_add_note(pc_scenes *ds, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
