/* migrate.h: bringing a file to PC_DB_VERSION.
 *
 * A new file gets schema.sql; an older one gets migrations/NNN.sql for every
 * version it lacks; either way the views are made anew. All of it in one BEGIN
 * IMMEDIATE, after the version is read again inside: processes that start
 * together do it once. Jobs of older programs go on writing an upgraded file
 * as long as migrations only add. */
#ifndef PC_DB_MIGRATE_H
#define PC_DB_MIGRATE_H

#include "db/internal.h"

/* PC_EFORMAT when the file is somebody else's or newer than this program. */
int pc_migrate_check(pc_db *db);
int pc_migrate(pc_db *db);

#endif
