/* recorder.h: what a run did, written to an SQLite file while it does it.
 *
 * Promises
 * - A row that was logged is in the file at most 2 s later, whatever happens to
 *   the process (kill -9 included). Rows are buffered and written in one short
 *   BEGIN IMMEDIATE transaction per 512 rows or 1 s, by the call that finds the
 *   time is due or else by the recorder's own thread; that thread also writes
 *   the heartbeat, so a run in a long evaluation is not taken for dead.
 * - Many processes may record into one file. Timed writes wait 0.25 s for
 *   another writer and then try again later; results, artifacts, pc_run_flush
 *   and pc_run_finish wait for as long as it takes, say so after 30 s and then
 *   once a minute, and end with PC_EINTR at Ctrl-C. Commands wait 30 s.
 * - A full disk or a lock does not end a training: pc_run_log keeps the rows (up
 *   to 1,048,576 of them, then it waits for the lock, or refuses the call's
 *   rows), tries every second and tells the user once a minute. Other calls
 *   return an error that names the file, what is at stake and the remedy. Nothing
 *   committed earlier is lost and the handle stays usable. What the thread met
 *   and cannot pass by itself is returned by the next pc_run_log, once. Rows that
 *   are still unwritten when a run is freed or the process exits are told, with
 *   their number.
 * - Ages go by the monotonic clock; what is written, by the wall clock.
 * - A run that another process resumed or deleted meanwhile is not written any
 *   more: PC_ESTATE, its buffered rows are dropped.
 * - Names, tags and notes are UTF-8 or refused. A metric's value is stored to the
 *   bit, but NaN as NULL and -0 as 0: SQLite has neither.
 * - metric_last always agrees with metric: same transaction.
 *
 * Ownership: a pc_run holds its pc_db; free them in any order. Strings passed in
 * are copied. After fork() the child may not use what the parent opened
 * (PC_ESTATE); it opens the file itself.
 * Threads: all functions may be called from any thread; one lock per pc_db.
 * Functions return 0 or a negative pc_err, text in pc_error_text().
 */
#ifndef PC_DB_RECORDER_H
#define PC_DB_RECORDER_H

#include <stddef.h>
#include <stdint.h>

typedef struct pc_db pc_db;
typedef struct pc_run pc_run;

/* ---- the database ---- */

enum {
  PC_DB_READ = 0,   /* reads; an older schema is brought up to date where it may be. PC_ENOTFOUND */
  PC_DB_WRITE = 1,  /* reads and writes; brings an older schema up to date */
  PC_DB_CREATE = 2, /* PC_DB_WRITE, and makes the file */
  PC_DB_RAW = 4, /* with READ: any SQLite file, for plain SQL alone. With WRITE: its rows are not looked at (repairs) */
};

#define PC_DB_VERSION 2 /* PRAGMA user_version of the schema this program writes */

/* Opens path. WAL; on NFS, Lustre and other network file systems a rollback
 * journal instead (pc_db_note() says so). PERCEPT_JOURNAL=wal|delete overrides.
 * PC_EFORMAT: not SQLite, somebody else's SQLite file, a newer schema, or tables and rows that percept does not make
 * (db/check.h). PC_EARG: not a regular file. */
int pc_db_open(pc_db **out, const char *path, int flags);

/* Writes what is buffered, empties the WAL into the file, lets go. Runs that are
 * still open keep the database open until they are freed. Accepts NULL. */
void pc_db_close(pc_db *db);

const char *pc_db_path(const pc_db *db);
const char *pc_db_note(const pc_db *db); /* something the user should know; "" if nothing */

/* ---- a run ---- */

typedef enum pc_run_status { PC_RUN_RUNNING, PC_RUN_DONE, PC_RUN_FAILED, PC_RUN_KILLED } pc_run_status;
const char *pc_run_status_name(pc_run_status status); /* "running", "done", … */

typedef struct pc_kv {
  const char *key, *value;
} pc_kv;

typedef struct pc_run_config {
  const char *experiment;  /* required, not empty */
  const char *name;        /* the user's word for the run */
  const char *parent;      /* uid of the parent run */
  const char *sweep;       /* which sweep the run is a cell of */
  const char *repeats;     /* uid of the run that this one does over again: pc_run_dataset then takes its data alone */
  int other_data;          /* 1: a repeated run may use other data */
  const char *note;        /* free text */
  int has_seed;            /* 1: seed is meant */
  int64_t seed;            /* also read from the config's "seed" when has_seed is 0 */
  const char *config_json; /* a JSON object; flattened into param. NULL: {} */
  const char *script;      /* path: its text becomes a source, its folder's git repository the provenance */
  const char *command;     /* the command line as typed */
  int threads;             /* 0: not said */
  int no_git;              /* 1: do not ask git */
  const char *const *tags; /* n_tags of them */
  int n_tags;
  const pc_kv *env; /* n_env library versions and settings: {"openblas", "0.3.21"} */
  int n_env;
} pc_run_config;

/* Opens a run: uid, host, pid, CPU, git commit, dirty flag and diff, parameters,
 * sources, tags, all in one transaction. */
int pc_run_start(pc_run **out, pc_db *db, const pc_run_config *config);

/* Takes up a run that ended or died, at `step`: in one transaction deletes its
 * metric rows and checkpoints with a larger step, rebuilds metric_last, and
 * marks it running under this process. uid may be a unique beginning. step < 0:
 * the step of the newest complete checkpoint, from the start if there is none.
 * config may be NULL; where its config_json differs from the recorded
 * parameters, PC_EARG names both values. PC_ESTATE: the run is still alive. */
int pc_run_resume(pc_run **out, pc_db *db, const char *uid, int64_t step, const pc_run_config *config);

const char *pc_run_uid(const pc_run *run);
int64_t pc_run_step(const pc_run *run); /* the step it was resumed at; -1 for a fresh run */
pc_db *pc_run_db(const pc_run *run);
pc_run_status pc_run_get_status(const pc_run *run);

/* n metrics of one step. The same metric and step again replaces the value. NaN
 * is stored as NULL, infinities as they are. */
int pc_run_log(pc_run *run, int64_t step, int n, const char *const *names, const double *values);

/* Writes the buffered rows of the whole database now: at checkpoints. */
int pc_run_flush(pc_run *run);

/* The direction in which a metric is better: goal "min" or "max". */
int pc_run_goal(pc_run *run, const char *metric, const char *goal);

/* Adds parameters after the start. Equal value again: fine. Another value:
 * PC_EARG with both. */
int pc_run_param_num(pc_run *run, const char *key, double value);
int pc_run_param_text(pc_run *run, const char *key, const char *value);
int pc_run_param_bool(pc_run *run, const char *key, int value);
int pc_run_params(pc_run *run, const char *json); /* an object, flattened to a.b.c */

typedef struct pc_result {
  const char *method, *split, *metric; /* required */
  const char *factor;                  /* NULL: all */
  double value;
  int has_seed; /* else the run's */
  int64_t seed;
  int64_t n;              /* images behind the value; 0: not said */
  const char *extra_json; /* anything else; NULL */
} pc_result;

/* The same method, split, metric, factor and seed again replaces the value. */
int pc_run_result(pc_run *run, const pc_result *result);

/* A file that is complete at path. digest NULL and bytes < 0: read from the
 * file. step < 0: none. Flushes the log when kind is "checkpoint". */
int pc_run_artifact(pc_run *run, const char *kind, int64_t step, const char *path, const char *digest, int64_t bytes);

/* role NULL: "data"; n < 0: not said; path may be NULL. */
int pc_run_dataset(pc_run *run, const char *digest, const char *name, int64_t n, const char *path, const char *role);

/* kind: "script", "module", "diff" or "other". text NULL: read from path. */
int pc_run_source(pc_run *run, const char *kind, const char *path, const char *text, size_t size);

int pc_run_tag(pc_run *run, const char *tag);
int pc_run_untag(pc_run *run, const char *tag);
int pc_run_note(pc_run *run, const char *note);
int pc_run_env(pc_run *run, const char *key, const char *value);
int pc_run_event(pc_run *run, const char *level, const char *text); /* level: info, warning, error */

/* Terminal status, error text (NULL when there is none), peak memory. On failure
 * the run stays open and may be finished again. Finishing twice: no effect. */
int pc_run_finish(pc_run *run, pc_run_status status, const char *error);

/* A run that was not finished is marked failed. Accepts NULL. */
void pc_run_free(pc_run *run);

/* Finishes every open run of this process, in all databases. For the front end:
 * after an error, on SIGTERM or Ctrl-C (from the main flow, never from inside a
 * signal handler), and with PC_RUN_DONE when a script ends without finishing.
 * exit() does it with PC_RUN_FAILED. Returns how many runs it finished. */
int pc_db_finish_open(pc_run_status status, const char *error);
int pc_db_open_runs(void); /* how many runs this process has open */

/* ---- other runs ---- */

/* Full uid of the one run whose uid begins with, or whose name is, `text`. */
int pc_db_find_run(pc_db *db, const char *text, char uid[64]);

/* Newest complete checkpoint of uid. *step = -1 and path "" if there is none. */
int pc_db_checkpoint(pc_db *db, const char *uid, int64_t *step, char *path, size_t size);

/* Runs that say running but are not: their process on this host is gone, or they
 * are on another host and silent for 60 s. Calls visit for each (may be NULL);
 * reap != 0 marks them killed. *n: how many. */
typedef void (*pc_stale_fn)(void *ctx, const char *uid, const char *experiment, const char *host, int64_t pid,
                            double silent_s);
int pc_db_stale(pc_db *db, int reap, pc_stale_fn visit, void *ctx, int *n);

/* Sets or clears run.archived; deletes a run with everything that hangs on it. */
int pc_db_archive(pc_db *db, const char *uid, int archived);
int pc_db_delete_run(pc_db *db, const char *uid);

/* Tags and notes of a run that is not open here; note NULL clears it. */
int pc_db_tag(pc_db *db, const char *uid, const char *tag, int on);
int pc_db_note_run(pc_db *db, const char *uid, const char *note);
int pc_db_event(pc_db *db, const char *uid, const char *level, const char *text);

/* Copies the runs of the file at path into db, keyed by uid: a run that is there
 * already is replaced if the other file's is fresher, else left alone, so that
 * merging twice changes nothing. Sweeps of those runs come along. */
typedef struct pc_merge_counts {
  int added, replaced, same;
} pc_merge_counts;
typedef struct pc_merge_opts {
  int64_t thin;           /* rows of each series to copy, evenly spaced, first and last among them; 0: all.
                           * metric_last still tells of all that were logged */
  const char *experiment; /* this one alone; NULL: all */
  int skip_archived;      /* 1: runs that are archived stay behind */
} pc_merge_opts;
int pc_db_merge(pc_db *db, const char *path, const pc_merge_opts *opts, pc_merge_counts *counts);

#endif
