/* open.h: opening what others wrote.
 *
 * A path may name a FIFO nobody writes to, a device, a folder: opening the
 * first would wait for ever, reading the second never end. Whoever reads a file
 * by a path that stands in a database, a table or on a command line opens it here.
 */
#ifndef PC_BASE_OPEN_H
#define PC_BASE_OPEN_H

#include <stdint.h>

/* *fd of a regular file, for reading, closed by exec; *size its bytes (NULL: not wanted). Never waits.
 * PC_ENOTFOUND, or PC_EIO: "path: not a regular file (it is a FIFO)". */
int pc_open_regular(int *fd, int64_t *size, const char *path);

#endif
