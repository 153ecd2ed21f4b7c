/* format.h: sinks that print. One per format; a sink is used for one query. */
#ifndef PC_DB_FORMAT_H
#define PC_DB_FORMAT_H

#include "db/query.h"

typedef struct pc_printer pc_printer;

/* NULL on lack of memory. */
pc_printer *pc_printer_new(FILE *out, pc_format format, int bold);
void pc_printer_defuse(pc_printer *p); /* CSV: texts that a spreadsheet would run begin with an apostrophe */
pc_row_sink pc_printer_sink(pc_printer *p);
void pc_printer_free(pc_printer *p);

/* Columns a terminal needs for UTF-8 text: wide characters two, combining marks none. */
int pc_text_width(const char *text);

#endif
