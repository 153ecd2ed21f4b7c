#include "db/migrate.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "db/check.h"

static int look(pc_db *db, int64_t *version, int64_t *application, int64_t *tables) {
  int code = pc_db_run_sql(db, version, "open", "pragma user_version", "");
  if (code == PC_OK) code = pc_db_run_sql(db, application, "open", "pragma application_id", "");
  if (code == PC_OK) code = pc_db_run_sql(db, tables, "open", "select count(*) from sqlite_master", "");
  return code;
}

static int check_encoding(pc_db *db) {
  sqlite3_stmt *st = NULL;
  int code = PC_OK, rc = sqlite3_prepare_v2(db->handle, "pragma encoding", -1, &st, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_step(st);
  if (rc != SQLITE_ROW)
    code = pc_db_fail(db, rc, "open");
  else if (strcmp(pc_col_text(st, 0), "UTF-8") != 0)
    code = pc_fail(PC_EFORMAT, "open: %s: its texts are %s; percept writes UTF-8", db->path, pc_col_text(st, 0));
  sqlite3_finalize(st);
  return code;
}

int pc_migrate_check(pc_db *db) {
  int64_t version, application, tables;
  int code = look(db, &version, &application, &tables);
  if (code != PC_OK || db->foreign) return code;
  if (!tables && !db->writable)
    return pc_fail(PC_ENOTFOUND, "open: %s is empty: no run has been recorded into it", db->path);
  if (!tables) return PC_OK;
  if (application != PC_DB_APPLICATION) {
    if (!db->writable) {
      db->foreign = 1; /* reading any SQLite file does no harm */
      return PC_OK;
    }
    return pc_fail(PC_EFORMAT, "open: %s is an SQLite database of another program; record into a file of its own",
                   db->path);
  }
  if (version > PC_DB_VERSION)
    return pc_fail(PC_EFORMAT, "open: %s has schema version %lld, this percept knows up to %d; update percept",
                   db->path, (long long)version, PC_DB_VERSION);
  if (version < 1)
    return pc_fail(PC_EFORMAT, "open: %s has schema version %lld, which no percept writes; percept sql still reads it",
                   db->path, (long long)version);
  return check_encoding(db);
}

static int drop_views(pc_db *db) {
  sqlite3_stmt *st = NULL;
  sqlite3_str *sql = sqlite3_str_new(db->handle);
  char *text;
  int code = PC_OK,
      rc = sqlite3_prepare_v2(db->handle, "select name from sqlite_master where type = 'view'", -1, &st, NULL);
  while (rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
    sqlite3_str_appendf(sql, "drop view \"%w\";", pc_col_text(st, 0));
  sqlite3_finalize(st);
  text = sqlite3_str_finish(sql);
  if (text) code = pc_db_exec(db, text, "migrate");
  sqlite3_free(text);
  return code;
}

static int upgrade(pc_db *db, int64_t version, int fresh) {
  int code = PC_OK;
  char name[64], pragma[128];
  if (fresh) {
    code = pc_db_exec(db, pc_sql_file("schema.sql"), "migrate");
  } else {
    for (int64_t v = version + 1; v <= PC_DB_VERSION && code == PC_OK; v++) {
      const char *sql;
      snprintf(name, sizeof name, "migrations/%03d.sql", (int)v);
      sql = pc_sql_file(name);
      code = sql ? pc_db_exec(db, sql, "migrate")
                 : pc_fail(PC_EFORMAT, "migrate: %s: no way from version %lld", db->path, (long long)version);
    }
  }
  if (code == PC_OK && !fresh) code = drop_views(db);
  if (code == PC_OK) code = pc_db_exec(db, pc_sql_file("views.sql"), "migrate");
  snprintf(pragma, sizeof pragma, "pragma application_id = %d; pragma user_version = %d", PC_DB_APPLICATION,
           PC_DB_VERSION);
  if (code == PC_OK) code = pc_db_exec(db, pragma, "migrate");
  return code;
}

int pc_migrate(pc_db *db) {
  int64_t version, application, tables;
  int code = look(db, &version, &application, &tables);
  if (code != PC_OK || (tables && version == PC_DB_VERSION)) return code;
  code = pc_db_begin(db, PC_BUSY_MS, "migrate");
  if (code != PC_OK) return code;
  code = look(db, &version, &application, &tables); /* another process may have been first */
  if (code == PC_OK && !(tables && version == PC_DB_VERSION)) {
    /* nobody else's triggers act while we write into a file that is not looked at yet */
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    code = upgrade(db, version, tables == 0);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 1, NULL);
    if (code == PC_OK) code = pc_check_schema(db, PC_DB_VERSION);
  }
  return pc_db_end(db, code, "migrate");
}
