/* csv.h: tables of text by RFC 4180, with the errors a person needs.
 *
 * Quoted fields may hold commas, doubled quotes and newlines; CRLF and LF end
 * a row; a UTF-8 byte-order mark is skipped; lines with nothing at all are
 * skipped. The first row names the columns: names are non-empty and distinct.
 * Every row has as many fields as the header. Errors are "file:line: reason"
 * (PC_EFORMAT). Cells live as long as the table.
 */
#ifndef PC_FORMATS_CSV_H
#define PC_FORMATS_CSV_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct pc_csv pc_csv;

int pc_csv_read(pc_csv **out, const char *path);
/* Parses n bytes (copied); `name` stands for the file in messages. */
int pc_csv_parse(pc_csv **out, const char *text, size_t n, const char *name);
void pc_csv_free(pc_csv *t); /* accepts NULL */

int64_t pc_csv_rows(const pc_csv *t); /* without the header */
int pc_csv_cols(const pc_csv *t);
const char *pc_csv_header(const pc_csv *t, int col);
const char *pc_csv_cell(const pc_csv *t, int64_t row, int col);
int64_t pc_csv_line(const pc_csv *t, int64_t row);  /* the line its row starts on, from 1 */
int pc_csv_find(const pc_csv *t, const char *name); /* column, or -1 */
/* Column by name; PC_ENOTFOUND lists the columns there are. */
int pc_csv_column(int *out, const pc_csv *t, const char *name);
const char *pc_csv_digest(const pc_csv *t); /* of the file's bytes, see formats/file.h */

#endif
