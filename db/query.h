/* query.h: SQL in, rows out: to a sink, or printed as a table, CSV, JSON,
 * Markdown or LaTeX.
 *
 * Reads alone unless `write` is set and the database was opened for writing.
 * "@name" stands for the embedded file queries/name.sql. Text may hold several
 * statements; each that yields columns makes one result. Parameters are given
 * by name; one that the text does not have, or that it has and nobody gave, is
 * an error (in embedded queries those without "(required)" in their head
 * comment default to NULL). Ctrl-C ends a query with PC_EINTR. Without `write`
 * nothing else is reached either: no other file (ATTACH), no pragma that acts.
 *
 * A comment `-- pivot: k` in the text turns long rows into wide ones: the first
 * k columns name the row, the next one the column, the last is the cell. With
 * `-- pivot: k by j` the first j tell rows apart; the rest is taken from a row's
 * first line.
 *
 * Use a pc_db of its own for queries, not one that runs are recorded through
 * (PC_ESTATE): a transaction of the recorder must not meet a user's statement.
 */
#ifndef PC_DB_QUERY_H
#define PC_DB_QUERY_H

#include <stdint.h>
#include <stdio.h>

#include "db/recorder.h"

typedef enum pc_value_type { PC_SQL_NULL, PC_SQL_INT, PC_SQL_REAL, PC_SQL_TEXT, PC_SQL_BLOB } pc_value_type;

typedef struct pc_value {
  pc_value_type type;
  int64_t i;        /* INT */
  double d;         /* REAL; also set for INT */
  const char *text; /* TEXT (NUL-terminated) and BLOB */
  size_t size;      /* bytes of text */
} pc_value;

typedef struct pc_sql_param {
  const char *name; /* without the colon */
  pc_value value;
} pc_sql_param;

/* The value that a word of the command line means: a number where it reads as one, else text. */
pc_value pc_value_parse(const char *text);

/* Receives results. Each function may be NULL; a negative return ends the query
 * with that code. Values live until the function returns. */
typedef struct pc_row_sink {
  void *ctx;
  int (*begin)(void *ctx, int n, const char *const *names); /* a result with n columns */
  int (*row)(void *ctx, int n, const pc_value *values);
  int (*end)(void *ctx);
  int (*changed)(void *ctx, int64_t rows); /* a statement without columns is done */
} pc_row_sink;

typedef enum pc_format {
  PC_FORMAT_TABLE,
  PC_FORMAT_CSV,
  PC_FORMAT_JSON,
  PC_FORMAT_MARKDOWN,
  PC_FORMAT_LATEX
} pc_format;
int pc_format_parse(pc_format *out, const char *name); /* "table", "csv", "json", "markdown", "latex"; PC_EARG */

typedef struct pc_query_opts {
  pc_format format;
  int write;                  /* statements that change the file are allowed */
  const pc_sql_param *params; /* n_params of them */
  int n_params;
  int defuse; /* CSV: an apostrophe before texts that a spreadsheet would run as a formula */
  int bold;   /* table: for terminals: a bold head, the states of runs in colour */
} pc_query_opts;

int pc_query_rows(pc_db *db, const char *sql, const pc_query_opts *opts, const pc_row_sink *sink);

/* Table: columns aligned by display width, numbers to the right with 6 digits,
 * NULL empty, what steers a terminal spelled out (base/text.h), at most 10,000
 * bytes of a cell. CSV: RFC 4180 (CRLF), full precision. JSON: an array of objects
 * per result, types kept, blobs as hex, NaN as null, infinity as 9e999.
 * Markdown, LaTeX (booktabs): as the table. */
int pc_query_print(pc_db *db, const char *sql, const pc_query_opts *opts, FILE *out);

/* The text of a file that the program embeds, as "schema.sql"; NULL if there is none. */
const char *pc_sql_file(const char *name);

/* The embedded queries, by number from 0; name "" at the end. */
typedef struct pc_query_info {
  char name[64];    /* without .sql */
  char title[160];  /* first line of the head comment */
  const char *text; /* the file */
} pc_query_info;
pc_query_info pc_query_embedded(int i);

#endif
