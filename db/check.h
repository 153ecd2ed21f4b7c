/* check.h: is this file what percept makes? Asked at every opening, before a row of it is believed.
 *
 * - Regular files alone are opened: a FIFO or a device in the place of the database, its log or its journal would
 *   block or answer for ever.
 * - The schema is compared, statement by statement, with what schema.sql and views.sql give. Tables and indices of
 *   the user's own may stand beside ours; triggers and virtual tables may not: they run when we write or read.
 * - Rows: every column of the lists holds the type it was declared with. SQLite does not see to that itself (a blob
 *   stays one in a text column), and who edits a file by hand need not keep NOT NULL. Looked at once per process and
 *   file, in the first PC_CHECK_ROWS rows of a table; curves are read as numbers alone and left out.
 * What passed may still hold anything in later rows: rows are read with pc_col_text, which never gives NULL.
 */
#ifndef PC_DB_CHECK_H
#define PC_DB_CHECK_H

#include "db/internal.h"

/* PC_EARG unless path is a regular file or absent. *exists as stat has it. */
int pc_check_file(const char *path, int *exists);

/* What we ask of SQLite before it reads a file that may be anybody's: defensive, no extensions, cells checked, limits.
 */
int pc_check_harden(sqlite3 *handle);
/* The schema is not ours: its views may call nothing that acts. Not from the beginning on: SQLite 3.40 holds
 * json_valid, which our own tables call, for something that does. */
void pc_check_distrust(sqlite3 *handle);

/* PC_EFORMAT names the first table, view, index or trigger that is missing, changed or not ours. An older version
 * (a file that could not be migrated) may lack what later ones added. */
int pc_check_schema(pc_db *db, int64_t version);

/* PC_EFORMAT: "run 3: host is NULL where text is expected". */
int pc_check_rows(pc_db *db);

#endif
