/* open.c: opening and closing a database, locking, transactions, SQLite's errors in our words. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/text.h"
#include "db/check.h"
#include "db/internal.h"
#include "db/migrate.h"

pc_db *pc_db_registry;
pthread_mutex_t pc_db_registry_lock = PTHREAD_MUTEX_INITIALIZER;

static int64_t system_ms(int clock) {
  struct timespec t;
  clock_gettime((clockid_t)clock, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t (*pc_clock_ms)(int clock) = system_ms;
int64_t pc_now_ms(void) { return pc_clock_ms(CLOCK_REALTIME); }
int64_t pc_tick_ms(void) { return pc_clock_ms(CLOCK_MONOTONIC); }

int64_t pc_since(int64_t now_ms, int64_t then_ms) {
  int64_t d;
  return __builtin_sub_overflow(now_ms, then_ms, &d) ? (then_ms < 0 ? INT64_MAX : INT64_MIN) : d;
}

static void say_stderr(const char *text) {
  char *shown = pc_text_shown(text, strlen(text), 1);
  fprintf(stderr, "percept: %s\n", shown ? shown : "");
  pc_free(shown);
}
void (*pc_db_say)(const char *text) = say_stderr;

void pc_db_sayf(const char *format, ...) {
  char text[1500];
  va_list ap;
  va_start(ap, format);
  vsnprintf(text, sizeof text, format, ap);
  va_end(ap);
  pc_db_say(text);
}

const char *pc_sql_file(const char *name) {
  for (const pc_embedded *f = pc_embedded_sql; f->name; f++)
    if (!strcmp(f->name, name)) return (const char *)f->data;
  return NULL;
}

/* ---- errors ---- */

static int sql_code(int rc) {
  switch (rc & 0xff) {
    case SQLITE_NOMEM: return PC_ENOMEM;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE:
    case SQLITE_ERROR:
    case SQLITE_TOOBIG: return PC_EARG;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT: return PC_EFORMAT;
    case SQLITE_INTERRUPT: return PC_EINTR;
    case SQLITE_MISUSE: return PC_ESTATE;
    default: return PC_EIO;
  }
}

static const char *sql_remedy(int rc) {
  switch (rc & 0xff) {
    case SQLITE_FULL: return "; free space on its file system and try again";
    case SQLITE_READONLY: return "; the file or its folder cannot be written: copy it, or record into another file";
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return "; another process is writing it: try again when that has ended";
    case SQLITE_CANTOPEN: return "; does its folder exist, and may you write there?";
    case SQLITE_CORRUPT: return "; keep a copy, then try: sqlite3 FILE .recover | sqlite3 NEW";
    default: return "";
  }
}

int pc_sql_fail(sqlite3 *handle, const char *path, int rc, const char *op) {
  const char *text = handle ? sqlite3_errmsg(handle) : sqlite3_errstr(rc);
  int sys = handle && (rc & 0xff) == SQLITE_IOERR ? sqlite3_system_errno(handle) : 0;
  if ((rc & 0xff) == SQLITE_NOTADB) text = "this file is not an SQLite database";
  if (sys) return pc_fail(sql_code(rc), "%s: %s: %s (%s)%s", op, path, text, strerror(sys), sql_remedy(SQLITE_FULL));
  return pc_fail(sql_code(rc), "%s: %s: %s%s", op, path, text, sql_remedy(rc));
}

int pc_db_fail(pc_db *db, int rc, const char *op) { return pc_sql_fail(db->handle, db->path, rc, op); }

/* ---- lock, transactions, statements ---- */

int pc_db_lock(pc_db *db, const char *op) {
  if (db->owner != getpid())
    return pc_fail(PC_ESTATE, "%s: %s was opened by process %ld before a fork; open it again in this one", op, db->path,
                   (long)db->owner);
  pthread_mutex_lock(&db->lock);
  return PC_OK;
}

void pc_db_unlock(pc_db *db) { pthread_mutex_unlock(&db->lock); }

int pc_db_exec(pc_db *db, const char *sql, const char *op) {
  int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
  return rc == SQLITE_OK ? PC_OK : pc_db_fail(db, rc, op);
}

int pc_db_ours(pc_db *db, const char *op) {
  return db->foreign ? pc_fail(PC_EFORMAT, "%s: %s is an SQLite database of another program", op, db->path) : PC_OK;
}

int pc_db_transient(pc_db *db) {
  switch (sqlite3_errcode(db->handle) & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_NOMEM: return 1;
    default: return 0;
  }
}

int pc_db_name(const char *op, const char *what, const char *text) {
  ptrdiff_t at = text ? pc_text_bad(text, strlen(text)) : -1;
  if (at < 0) return PC_OK;
  return pc_fail(PC_EARG, "%s: the %s is not UTF-8: byte 0x%02x at offset %lld", op, what, (unsigned char)text[at],
                 (long long)at);
}

static int is_busy(int rc) { return (rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED; }

/* A statement that other writers may hold up: for busy_ms, or for as long as it takes. Ctrl-C ends the wait; one that
 * was pressed before does not end a wait with a bound: it may be why a run is being closed. */
static int exec_waiting(pc_db *db, const char *sql, const char *op) {
  int wait = db->busy_ms == PC_BUSY_WAIT, pressed = !wait && pc_interrupted();
  int64_t start = pc_tick_ms(), say = start + (wait ? PC_BUSY_MS : PC_SAY_SOON_MS);
  sqlite3_busy_timeout(db->handle, wait || db->busy_ms > PC_BUSY_TIMED_MS ? PC_BUSY_TIMED_MS : db->busy_ms);
  for (;;) {
    int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    if (rc == SQLITE_OK) return PC_OK;
    if (!is_busy(rc) || (!wait && pc_tick_ms() - start >= db->busy_ms)) return pc_db_fail(db, rc, op);
    if (!pressed && pc_interrupted())
      return pc_error_prefix(pc_check_interrupt(), "%s: %s is locked by another process", op, db->path);
    if (pc_tick_ms() < say) continue;
    if (wait)
      pc_db_sayf("%s: database is locked by another process for %lld s; waiting (Ctrl-C ends that)", db->path,
                 (long long)(pc_tick_ms() - start) / 1000);
    else
      pc_db_sayf("%s: database is locked by another process; waiting %d s for it (Ctrl-C ends that)", db->path,
                 db->busy_ms / 1000);
    say += PC_SAY_MS;
  }
}

/* A file that is gone from its name takes everything that is written and gives nothing back. SQLite knows of the
 * database itself; its log is ours to look at. */
static int check_place(pc_db *db, const char *op) {
  int moved = 0;
  const char *wal = sqlite3_filename_wal(sqlite3_db_filename(db->handle, "main"));
  struct stat st;
  sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  if (moved)
    return pc_fail(PC_ESTATE,
                   "%s: %s was removed, renamed or replaced while it is in use; nothing can be recorded any more "
                   "(what was written before is in the file that stood there)",
                   op, db->path);
  int there = wal && stat(wal, &st) == 0;
  if (db->wal && (!there || st.st_ino != db->wal))
    return pc_fail(PC_ESTATE,
                   "%s: %s-wal was removed or replaced while it is in use; the newest rows were in it, and nothing can "
                   "be recorded any more",
                   op, db->path);
  db->wal = there ? st.st_ino : 0;
  return PC_OK;
}

int pc_db_begin(pc_db *db, int busy_ms, const char *op) {
  if (!db->writable) return pc_fail(PC_ESTATE, "%s: %s is open for reading alone", op, db->path);
  int code = check_place(db, op);
  if (code != PC_OK) return code;
  db->busy_ms = busy_ms;
  return exec_waiting(db, "begin immediate", op);
}

int pc_db_end(pc_db *db, int code, const char *op) {
  if (code == PC_OK) code = exec_waiting(db, "commit", op);
  /* a full disk may have rolled back already; a failed commit leaves the transaction open */
  if (code != PC_OK && !sqlite3_get_autocommit(db->handle)) sqlite3_exec(db->handle, "rollback", NULL, NULL, NULL);
  for (int i = 0; i < db->n_names; i++) {
    if (db->names[i].fresh && code != PC_OK) db->names[i].id = 0;
    db->names[i].fresh = 0;
  }
  return code;
}

static int bind_args(sqlite3_stmt *st, const char *types, va_list ap) {
  int rc = SQLITE_OK;
  for (int i = 1; *types && rc == SQLITE_OK; types++, i++) {
    const int64_t *p;
    const char *s;
    switch (*types) {
      case 'i': rc = sqlite3_bind_int64(st, i, va_arg(ap, int64_t)); break;
      case 'd': rc = sqlite3_bind_double(st, i, va_arg(ap, double)); break;
      case 'I':
        p = va_arg(ap, const int64_t *);
        rc = p ? sqlite3_bind_int64(st, i, *p) : sqlite3_bind_null(st, i);
        break;
      default:
        s = va_arg(ap, const char *);
        rc = s ? sqlite3_bind_text(st, i, s, -1, SQLITE_TRANSIENT) : sqlite3_bind_null(st, i);
    }
  }
  return rc;
}

int pc_db_run_sql(pc_db *db, int64_t *out, const char *op, const char *sql, const char *types, ...) {
  sqlite3_stmt *st = NULL;
  va_list ap;
  int code = PC_OK, rc = sqlite3_prepare_v2(db->handle, sql, -1, &st, NULL);
  if (out) *out = 0;
  if (rc == SQLITE_OK) {
    va_start(ap, types);
    rc = bind_args(st, types, ap);
    va_end(ap);
  }
  if (rc == SQLITE_OK) {
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
      if (out) *out = sqlite3_column_int64(st, 0);
      rc = SQLITE_OK;
    } else if (rc == SQLITE_DONE) {
      rc = SQLITE_OK;
    }
  }
  if (rc != SQLITE_OK) code = pc_db_fail(db, rc, op);
  sqlite3_finalize(st);
  return code;
}

const char *pc_col_text(sqlite3_stmt *st, int i) {
  const char *text = (const char *)sqlite3_column_text(st, i);
  return text ? text : "";
}

static const char *const stmt_sql[PC_STMT_COUNT] = {
    [PC_STMT_METRIC] =
        "insert into metric(run_id, name_id, step, value, t_ms) values (?1, ?2, ?3, ?4, ?5) "
        "on conflict do update set value = excluded.value, t_ms = excluded.t_ms",
    [PC_STMT_LAST] =
        "insert into metric_last(run_id, name_id, step, last, min, max, n, n_nan, t_ms) "
        "values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) on conflict do update set "
        "step = excluded.step, last = excluded.last, t_ms = excluded.t_ms, "
        "min = min(ifnull(min, excluded.min), ifnull(excluded.min, min)), "
        "max = max(ifnull(max, excluded.max), ifnull(excluded.max, max)), "
        "n = n + excluded.n, n_nan = n_nan + excluded.n_nan",
    [PC_STMT_REBUILD] =
        "insert or replace into metric_last(run_id, name_id, step, last, min, max, n, n_nan, t_ms) "
        "select ?1, ?2, z.step, z.value, min(m.value), max(m.value), count(*), "
        "count(*) - count(m.value), z.t_ms from metric m, "
        "(select step, value, t_ms from metric where run_id = ?1 and name_id = ?2 "
        "order by step desc limit 1) z where m.run_id = ?1 and m.name_id = ?2 group by z.step",
    [PC_STMT_BLOCK] =
        "insert into metric_block(run_id, name_id, step, final, min, max, n) "
        "select ?1, ?2, min(step), max(step), min(value), max(value), count(*) from (select step, value from metric "
        "where run_id = ?1 and name_id = ?2 and step > ifnull((select final from metric_block where run_id = ?1 "
        "and name_id = ?2 order by step desc limit 1), -9e18) order by step limit 128) having count(*) = 128",
    [PC_STMT_UNBLOCK] = "delete from metric_block where run_id = ?1 and name_id = ?2",
    [PC_STMT_TAIL] =
        "select count(*) from metric where run_id = ?1 and name_id = ?2 and step > ifnull((select final from "
        "metric_block where run_id = ?1 and name_id = ?2 order by step desc limit 1), -9e18)",
    [PC_STMT_NAME_ADD] = "insert or ignore into metric_name(name) values (?1)",
    [PC_STMT_NAME_ID] = "select id from metric_name where name = ?1",
    [PC_STMT_HEARTBEAT] =
        "update run set heartbeat_ms = ?2, peak_rss_bytes = ?3 where id = ?1 and pid = ?4 and host = ?5",
    [PC_STMT_SAMPLE] = "insert or replace into system_sample(run_id, t_ms, rss_bytes, cpu_s) values (?1, ?2, ?3, ?4)",
    [PC_STMT_PARAM] = "insert into param(run_id, key, num, txt) values (?1, ?2, ?3, ?4)",
    [PC_STMT_PARAM_GET] = "select num, txt from param where run_id = ?1 and key = ?2",
};

int pc_stmt_get(pc_db *db, pc_stmt which, sqlite3_stmt **out) {
  if (!db->stmt[which]) {
    int rc = sqlite3_prepare_v3(db->handle, stmt_sql[which], -1, SQLITE_PREPARE_PERSISTENT, &db->stmt[which], NULL);
    if (rc != SQLITE_OK) return pc_db_fail(db, rc, "record");
  }
  *out = db->stmt[which];
  sqlite3_reset(*out);
  return PC_OK;
}

/* ---- opening ---- */

/* file systems on which shared memory or locks cannot be trusted: WAL would corrupt or hang */
static const char *network_fs(const char *path) {
  static const struct {
    unsigned long magic;
    const char *name;
  } known[] = {{0x6969, "NFS"},       {0x0BD00BD0, "Lustre"}, {0x517B, "SMB"},      {0xFF534D42, "CIFS"},
               {0xFE534D42, "SMB2"},  {0x65735546, "FUSE"},   {0x47504653, "GPFS"}, {0x00C36400, "Ceph"},
               {0x5346414F, "AFS"},   {0x19830326, "BeeGFS"}, {0x01021997, "9p"},   {0x73757245, "Coda"},
               {0x7461636f, "OCFS2"}, {0x01161970, "GFS2"},   {0xAAD7AAEA, "PanFS"}};
  char dir[4096];
  struct statfs fs;
  char *slash;
  snprintf(dir, sizeof dir, "%s", path);
  slash = strrchr(dir, '/');
  if (slash) slash[slash == dir] = '\0';
  if (statfs(slash ? dir : ".", &fs)) return NULL;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if ((unsigned long)fs.f_type == known[i].magic || ((unsigned long)fs.f_type & 0xffffffffUL) == known[i].magic)
      return known[i].name;
  return NULL;
}

static int set_journal(pc_db *db) {
  const char *fs = network_fs(db->path), *want = getenv("PERCEPT_JOURNAL");
  int wal = want ? strcmp(want, "delete") != 0 : fs == NULL;
  int64_t until = pc_tick_ms() + PC_BUSY_MS;
  if (!wal)
    snprintf(db->note, sizeof db->note, "%s: rollback journal instead of WAL (%s): %s", db->path, fs ? fs : "asked for",
             "let one process write a file and join the files with percept merge");
  /* the change of mode does not always call the busy handler: try again by hand */
  for (;;) {
    int rc =
        sqlite3_exec(db->handle, wal ? "pragma journal_mode = wal" : "pragma journal_mode = delete", NULL, NULL, NULL);
    if (rc == SQLITE_OK) break;
    if ((rc & 0xff) != SQLITE_BUSY || pc_tick_ms() > until) return pc_db_fail(db, rc, "open");
    sqlite3_sleep(20);
  }
  return pc_db_exec(db, "pragma synchronous = normal; pragma journal_size_limit = 67108864", "open");
}

/* A WAL database in a folder that cannot be written has no place for its shared memory. If the log has been
 * emptied the file alone is complete and may be read as it is. */
static int reopen_immutable(pc_db *db) {
  size_t n = strlen(db->path);
  char *uri = pc_malloc(3 * n + 32), *u = uri;
  int rc;
  if (!uri) return SQLITE_NOMEM;
  u += sprintf(u, "file:");
  for (const char *c = db->path; *c; c++)
    if (strchr("?#%", *c))
      u += sprintf(u, "%%%02x", (unsigned char)*c);
    else
      *u++ = *c;
  strcpy(u, "?immutable=1");
  sqlite3_close(db->handle);
  rc = sqlite3_open_v2(uri, &db->handle, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
  if (rc == SQLITE_OK) rc = pc_check_harden(db->handle);
  if (rc == SQLITE_OK) rc = sqlite3_exec(db->handle, "select 1 from sqlite_master", NULL, NULL, NULL);
  snprintf(db->note, sizeof db->note, "%s: in a folder that cannot be written; read without its log", db->path);
  pc_free(uri);
  return rc;
}

static int open_handle(pc_db *db, int flags) {
  int mode = SQLITE_OPEN_READONLY, rc, code, there, memory = !strcmp(db->path, ":memory:");
  if (flags & PC_DB_CREATE)
    mode = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  else if (flags & PC_DB_WRITE)
    mode = SQLITE_OPEN_READWRITE;
  if (!memory) {
    if ((code = pc_check_file(db->path, &there))) return code;
    if (!there && !(flags & PC_DB_CREATE))
      return pc_fail(PC_ENOTFOUND, "open: there is no database %s; name one with --db FILE, or record a run", db->path);
  }
  rc = sqlite3_open_v2(db->path, &db->handle, mode, NULL);
  if (rc != SQLITE_OK) return pc_db_fail(db, rc, "open");
  sqlite3_extended_result_codes(db->handle, 1);
  rc = pc_check_harden(db->handle);
  if (rc != SQLITE_OK) return pc_db_fail(db, rc, "open");
  sqlite3_busy_timeout(db->handle, PC_BUSY_MS);
  rc = sqlite3_exec(db->handle, "select 1 from sqlite_master", NULL, NULL, NULL);
  if (!db->writable && ((rc & 0xff) == SQLITE_CANTOPEN || (rc & 0xff) == SQLITE_READONLY)) rc = reopen_immutable(db);
  if (rc != SQLITE_OK) return pc_db_fail(db, rc, "open");
  if (db->writable && sqlite3_db_readonly(db->handle, "main"))
    return pc_fail(PC_EIO, "open: %s: attempt to write a readonly database%s", db->path, sql_remedy(SQLITE_READONLY));
  rc = pc_sql_functions(db->handle);
  if (rc != SQLITE_OK) return pc_db_fail(db, rc, "open");
  return PC_OK;
}

static void destroy(pc_db *db) {
  for (int i = 0; i < PC_STMT_COUNT; i++) sqlite3_finalize(db->stmt[i]);
  if (db->handle) {
    if (db->writable) { /* a copied file is to be complete */
      sqlite3_busy_timeout(db->handle, 500);
      sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    }
    sqlite3_close_v2(db->handle);
  }
  for (int i = 0; i < db->n_names; i++) pc_free(db->names[i].text);
  pc_free(db->names);
  pc_free(db->slots);
  pc_free(db->rows);
  pc_free(db->path);
  pthread_mutex_destroy(&db->lock);
  pthread_cond_destroy(&db->wake);
  pc_free(db);
}

static void exit_handler(void) {
  pc_db_finish_open(PC_RUN_FAILED, "the process exited before the run was finished");
  for (pc_db *db = pc_db_registry; db; db = db->next)
    if (db->owner == getpid() && db->n_rows)
      pc_db_sayf("%s: %d rows could not be written and are lost: %s", db->path, db->n_rows, pc_error_text());
}

static void register_db(pc_db *db) {
  static int once;
  pthread_mutex_lock(&pc_db_registry_lock);
  if (!once) once = atexit(exit_handler) == 0;
  db->next = pc_db_registry;
  pc_db_registry = db;
  pthread_mutex_unlock(&pc_db_registry_lock);
}

static void unregister_db(pc_db *db) {
  pthread_mutex_lock(&pc_db_registry_lock);
  for (pc_db **p = &pc_db_registry; *p; p = &(*p)->next)
    if (*p == db) {
      *p = db->next;
      break;
    }
  pthread_mutex_unlock(&pc_db_registry_lock);
}

/* Our queries ask for what this version has: an older file is brought up to date before it is read, where it may be
 * written; where it may not, it is read as it is. */
static void upgrade_before_reading(pc_db *db) {
  int64_t version = PC_DB_VERSION, application = 0;
  pc_db *writer;
  if (pc_db_run_sql(db, &version, "open", "pragma user_version", "") != PC_OK || version >= PC_DB_VERSION) return;
  if (pc_db_run_sql(db, &application, "open", "pragma application_id", "") != PC_OK || application != PC_DB_APPLICATION)
    return;
  if (pc_db_open(&writer, db->path, PC_DB_WRITE | PC_DB_RAW) == PC_OK)
    pc_db_close(writer);
  else
    snprintf(db->note, sizeof db->note,
             "%s: schema version %lld cannot be brought up to %d here; some queries will fail", db->path,
             (long long)version, PC_DB_VERSION);
}

/* What is there is what percept makes, or it is refused. */
static int check(pc_db *db, int flags) {
  int64_t version = 0;
  int code;
  code = pc_db_run_sql(db, &version, "open", "pragma user_version", "");
  if (code == PC_OK) code = pc_check_schema(db, version);
  if (code != PC_OK && code != PC_ENOMEM && db->foreign) {
    pc_check_distrust(db->handle);
    return PC_OK;
  }
  if (code == PC_OK && version == PC_DB_VERSION && !db->foreign && !(flags & PC_DB_RAW)) code = pc_check_rows(db);
  return code;
}

int pc_db_open(pc_db **out, const char *path, int flags) {
  int code;
  pthread_condattr_t attr;
  pc_db *db = NULL;
  *out = NULL;
  if (!path || !*path) return pc_fail(PC_EARG, "open: the database's file name is empty");
  db = pc_calloc(1, sizeof *db);
  if (!db) return PC_ENOMEM;
  pthread_mutex_init(&db->lock, NULL);
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&db->wake, &attr);
  pthread_condattr_destroy(&attr);
  db->refs = 1;
  db->owner = getpid();
  db->writable = (flags & (PC_DB_WRITE | PC_DB_CREATE)) != 0;
  db->foreign = flags == PC_DB_RAW;
  db->path = pc_strdup(path);
  if (!db->path) {
    code = PC_ENOMEM;
    goto fail;
  }
  code = open_handle(db, flags);
  if (code == PC_OK) code = pc_migrate_check(db);
  if (code == PC_OK && !db->writable && !db->foreign) upgrade_before_reading(db);
  if (code == PC_OK && db->writable) code = set_journal(db);
  if (code == PC_OK && db->writable) code = pc_migrate(db);
  if (code == PC_OK) code = check(db, flags);
  /* set after the migration: within it rows may stand without their parents for a moment */
  if (code == PC_OK) code = pc_db_exec(db, "pragma foreign_keys = on", "open");
  if (code != PC_OK) goto fail;
  register_db(db);
  *out = db;
  return PC_OK;
fail:
  db->writable = 0;
  destroy(db);
  return code;
}

void pc_db_ref(pc_db *db) { __atomic_add_fetch(&db->refs, 1, __ATOMIC_SEQ_CST); }

void pc_db_close(pc_db *db) {
  if (!db) return;
  if (db->owner != getpid()) return; /* the parent's: closing it here would drop the parent's file locks */
  if (__atomic_load_n(&db->refs, __ATOMIC_SEQ_CST) > 1 && db->writable) {
    pthread_mutex_lock(&db->lock);
    pc_log_flush_locked(db, PC_BUSY_MS, "close");
    pthread_mutex_unlock(&db->lock);
  }
  if (__atomic_sub_fetch(&db->refs, 1, __ATOMIC_SEQ_CST) > 0) return;
  pc_log_thread_stop(db);
  unregister_db(db);
  destroy(db);
}

const char *pc_db_path(const pc_db *db) { return db->path; }
const char *pc_db_note(const pc_db *db) { return db->note; }
