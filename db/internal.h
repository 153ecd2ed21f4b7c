/* internal.h: what the recorder's files share; nobody outside db/ includes it
 * except its tests.
 *
 * Locking: db->lock guards everything in pc_db and its runs. Functions named
 * *_locked expect it held. A transaction begins and ends under one hold.
 */
#ifndef PC_DB_INTERNAL_H
#define PC_DB_INTERNAL_H

#include <jansson.h>
#include <pthread.h>
#include <sqlite3.h>
#include <sys/types.h>

#include "db/query.h"
#include "db/recorder.h"

/* SQL files, embedded by the Makefile under their path below db/ */
typedef struct {
  const char *name;
  const unsigned char *data; /* ends in a NUL that size does not count */
  size_t size;
} pc_embedded;
extern const pc_embedded pc_embedded_sql[];

enum {
  PC_ROWS_FLUSH = 512,            /* rows that make a flush due */
  PC_ROWS_MAX = 1 << 20,          /* rows kept while the file cannot be written: 40 MB */
  PC_FLUSH_MS = 1000,             /* age of the oldest row that makes a flush due */
  PC_HEARTBEAT_MS = 2000,         /* between heartbeats */
  PC_BLOCK_ROWS = 128,            /* rows of one series that a row of metric_block stands for */
  PC_SAMPLE_MS = 10000,           /* between rows of system_sample */
  PC_STALE_MS = 60000,            /* silence after which a run on another host is stale */
  PC_BUSY_MS = 30000,             /* how long a command waits for other writers */
  PC_BUSY_WAIT = -1,              /* a training waits on, saying so every PC_SAY_MS; Ctrl-C ends the wait */
  PC_SAY_SOON_MS = 2000,          /* after that a command that waits says so */
  PC_SAY_MS = 60000,              /* between two lines that say the same */
  PC_BUSY_TIMED_MS = 250,         /* how long a timed one does */
  PC_RETRY_MS = 1000,             /* pause after a timed write failed */
  PC_DB_APPLICATION = 0x70726370, /* PRAGMA application_id: "prcp" */
};

typedef struct pc_row {
  pc_run *run;
  int32_t name; /* index into db->names */
  int64_t step;
  double value;
  int64_t t_ms;
} pc_row;

typedef struct pc_name {
  char *text;
  uint64_t hash;
  int64_t id; /* metric_name.id; 0: not in the file yet */
  int fresh;  /* id stems from the transaction that is open */
} pc_name;

/* what one run knows of one metric */
typedef struct pc_log_series {
  int64_t top;  /* largest step logged; a step above it is a new row */
  int seen;     /* top is valid */
  int rebuild;  /* a step came twice or late: metric_last and the blocks are counted anew from metric */
  int64_t tail; /* rows in the file behind the last block; -1: to be counted */
  /* the rows of the flush at hand: */
  int touched;
  int64_t step, t_ms, n, n_nan;
  double last, min, max;
  int64_t tail_after; /* what `tail` will be when the transaction is in the file */
} pc_log_series;

typedef enum pc_stmt {
  PC_STMT_METRIC,
  PC_STMT_LAST,
  PC_STMT_REBUILD,
  PC_STMT_BLOCK,
  PC_STMT_UNBLOCK,
  PC_STMT_TAIL,
  PC_STMT_NAME_ADD,
  PC_STMT_NAME_ID,
  PC_STMT_HEARTBEAT,
  PC_STMT_SAMPLE,
  PC_STMT_PARAM,
  PC_STMT_PARAM_GET,
  PC_STMT_COUNT
} pc_stmt;

struct pc_db {
  sqlite3 *handle;
  char *path;
  char note[256];
  int writable;
  int foreign; /* another program's file, or one as it is: for plain SQL alone */
  int refs;    /* the opener's and one per run */
  pid_t owner; /* the process that opened it */
  pthread_mutex_t lock;
  pthread_cond_t wake; /* tells the thread to stop */
  pthread_t thread;
  int thread_on, thread_stop;

  pc_run *runs; /* open and finished ones that are not freed yet */
  pc_name *names;
  int n_names, cap_names;
  int32_t *slots; /* open hash over names: index + 1, 0 empty; cap_slots a power of two */
  int cap_slots;

  pc_row *rows;
  int n_rows, cap_rows;
  int64_t lost; /* rows refused since the last successful flush */
  /* ages and pauses, by pc_tick_ms: a clock that is set must not stop them */
  int64_t oldest;  /* when the oldest row of the buffer came */
  int64_t retry;   /* no timed write before this time */
  int64_t beat;    /* last heartbeat */
  int64_t sample;  /* last system_sample */
  int64_t failing; /* since when writes fail; 0: they do not */
  int64_t said;    /* when that was last told; 0: not yet */
  int busy_ms;     /* of the transaction that is open */
  ino_t wal;       /* of the log beside the file, which stays while we have it open; 0: not seen yet */
  int late_code;   /* a failure of a timed write that no caller has seen yet */
  char late_text[1024];
  sqlite3_stmt *stmt[PC_STMT_COUNT];
  pc_db *next; /* the registry of this process */
};

struct pc_run {
  pc_db *db;
  pc_run *next;
  int64_t id;
  char uid[64];
  char host[256]; /* with pid: whose run it is, as the file says while it is ours */
  int64_t pid;
  int64_t resumed_at;
  int has_seed;
  int64_t seed;
  int other_data; /* a repeated run may use data that the first did not */
  pc_run_status status;
  pc_log_series *series; /* by index into db->names */
  int n_series;
};

/* open.c */
int64_t pc_now_ms(void);                           /* wall clock: what is written */
int64_t pc_tick_ms(void);                          /* monotonic: ages, pauses, deadlines */
int64_t pc_since(int64_t now_ms, int64_t then_ms); /* now - then, within int64_t whatever a file says */
extern int64_t (*pc_clock_ms)(int clock);          /* CLOCK_REALTIME or CLOCK_MONOTONIC; tests put theirs here */
extern void (*pc_db_say)(const char *text);        /* one line for the user; tests listen here */
void pc_db_sayf(const char *format, ...) __attribute__((format(printf, 1, 2)));
int pc_db_ours(pc_db *db, const char *op);                          /* PC_EFORMAT for another program's file */
int pc_db_name(const char *op, const char *what, const char *text); /* PC_EARG unless NULL or UTF-8 */
int pc_db_transient(pc_db *db);            /* may the failure at hand pass by itself: a lock, a full disk? */
int pc_db_lock(pc_db *db, const char *op); /* PC_ESTATE after fork or when read-only */
void pc_db_unlock(pc_db *db);
void pc_db_ref(pc_db *db);
int pc_sql_fail(sqlite3 *handle, const char *path, int rc, const char *op); /* pc_fail for an SQLite code */
int pc_db_fail(pc_db *db, int rc, const char *op);
int pc_db_begin(pc_db *db, int busy_ms, const char *op);
int pc_db_end(pc_db *db, int code, const char *op); /* COMMIT when code is 0, else ROLLBACK; returns the code */
int pc_db_exec(pc_db *db, const char *sql, const char *op);
/* One statement, arguments by letter: i int64_t, I pointer to int64_t or NULL, d double, s text or NULL.
 * A query's first column of its first row goes to *out when out is not NULL (0 if there is no row). */
int pc_db_run_sql(pc_db *db, int64_t *out, const char *op, const char *sql, const char *types, ...);
int pc_stmt_get(pc_db *db, pc_stmt which, sqlite3_stmt **out);
const char *pc_col_text(sqlite3_stmt *st, int i); /* column i as text; "" where SQLite has NULL (or no memory) */
extern pc_db *pc_db_registry;
extern pthread_mutex_t pc_db_registry_lock;

/* log.c */
int pc_log_flush_locked(pc_db *db, int busy_ms, const char *op);
int pc_log_drop_locked(pc_run *run); /* forgets its buffered rows; how many there were */
int pc_log_thread_start_locked(pc_db *db);
void pc_log_thread_stop(pc_db *db);
int pc_log_name(pc_db *db, const char *name, int32_t *index); /* registers; lock held */
int pc_log_series_load(pc_run *run);                          /* from metric_last, after a resume; lock held */

/* params.c: needs a transaction */
int pc_params_add(pc_db *db, int64_t run_id, json_t *object, const char *op);
int pc_params_check(pc_db *db, int64_t run_id, json_t *object, const char *op);
int pc_params_digest(char out[33], json_t *object);
int pc_json_object(json_t **out, const char *text, const char *op); /* NULL or "" gives {} */

/* provenance.c */
typedef struct pc_provenance {
  char host[256], user[128], cpu[128];
  char cwd[4096];
  int64_t pid, pid_start;
  char commit[65]; /* "" outside of git */
  int dirty;
  char *diff; /* NULL when clean or not asked for; pc_free */
  size_t diff_size;
} pc_provenance;
void pc_provenance_host(pc_provenance *p);
void pc_provenance_git(pc_provenance *p, const char *script);
int pc_process_alive(const char *host, int64_t pid, int64_t start, int64_t silent_ms);
int64_t pc_process_start(int64_t pid); /* kernel ticks; -1: no such process */
int64_t pc_process_rss(void);
int64_t pc_process_peak_rss(void);
double pc_process_cpu_s(void);

/* source.c: needs a transaction */
int pc_source_add(pc_db *db, int64_t run_id, const char *kind, const char *path, const char *text, size_t size,
                  const char *op);
int pc_read_file(char **out, size_t *size, const char *path, const char *op); /* pc_free; NUL-terminated */

/* functions.c */
int pc_sql_functions(sqlite3 *handle);

#endif
