/* pivot.h: a sink in front of another: long rows in, wide rows out. Columns stand
 * in the order of their first appearance, rows likewise; a cell given twice keeps
 * the last value, one never given is NULL. */
#ifndef PC_DB_PIVOT_H
#define PC_DB_PIVOT_H

#include "db/query.h"

typedef struct pc_pivot pc_pivot;

/* keys: how many leading columns stand before the pivoted ones; by: how many of them tell rows apart, 0: all of
 * them; the others keep what the first line of a row says. NULL on lack of memory. */
pc_pivot *pc_pivot_new(int keys, int by, const pc_row_sink *to);
pc_row_sink pc_pivot_sink(pc_pivot *p);
void pc_pivot_free(pc_pivot *p);

#endif
