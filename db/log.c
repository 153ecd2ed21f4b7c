/* log.c: the row buffer, the flush, the thread that keeps its time. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/alloc.h"
#include "base/error.h"
#include "db/internal.h"

/* ---- names ---- */

static int slots_grow(pc_db *db) {
  int cap = db->cap_slots ? db->cap_slots * 2 : 64;
  int32_t *slots = pc_calloc((size_t)cap, sizeof *slots);
  if (!slots) return PC_ENOMEM;
  for (int i = 0; i < db->n_names; i++) {
    uint64_t at = db->names[i].hash & (uint64_t)(cap - 1);
    while (slots[at]) at = (at + 1) & (uint64_t)(cap - 1);
    slots[at] = i + 1;
  }
  pc_free(db->slots);
  db->slots = slots;
  db->cap_slots = cap;
  return PC_OK;
}

int pc_log_name(pc_db *db, const char *name, int32_t *index) {
  size_t size = strlen(name);
  uint64_t hash = XXH3_64bits(name, size), at;
  pc_name *n;
  if (db->n_names * 2 >= db->cap_slots && slots_grow(db)) return PC_ENOMEM;
  for (at = hash & (uint64_t)(db->cap_slots - 1); db->slots[at]; at = (at + 1) & (uint64_t)(db->cap_slots - 1)) {
    n = &db->names[db->slots[at] - 1];
    if (n->hash == hash && !strcmp(n->text, name)) {
      *index = db->slots[at] - 1;
      return PC_OK;
    }
  }
  if (!size) return pc_fail(PC_EARG, "run:log: a metric's name is empty");
  int code = pc_db_name("run:log", "metric's name", name);
  if (code != PC_OK) return code;
  if (db->n_names == db->cap_names) {
    int cap = db->cap_names ? db->cap_names * 2 : 32;
    pc_name *names = pc_realloc(db->names, (size_t)cap * sizeof *names);
    if (!names) return PC_ENOMEM;
    db->names = names;
    db->cap_names = cap;
  }
  n = &db->names[db->n_names];
  *n = (pc_name){.text = pc_strdup(name), .hash = hash};
  if (!n->text) return PC_ENOMEM;
  *index = db->n_names++;
  db->slots[at] = *index + 1;
  return PC_OK;
}

/* metric_name.id of a name, made if the file has none; inside a transaction */
static int name_id(pc_db *db, pc_name *n) {
  sqlite3_stmt *st;
  int rc, code = PC_OK;
  if (n->id) return PC_OK;
  for (int pass = 0; pass < 2 && !n->id && code == PC_OK; pass++) {
    code = pc_stmt_get(db, PC_STMT_NAME_ID, &st);
    if (code != PC_OK) return code;
    sqlite3_bind_text(st, 1, n->text, -1, SQLITE_STATIC);
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
      n->id = sqlite3_column_int64(st, 0);
      n->fresh = 1;
    } else if (rc != SQLITE_DONE) {
      code = pc_db_fail(db, rc, "record");
    }
    sqlite3_reset(st);
    if (n->id || code != PC_OK) break;
    code = pc_stmt_get(db, PC_STMT_NAME_ADD, &st);
    if (code != PC_OK) return code;
    sqlite3_bind_text(st, 1, n->text, -1, SQLITE_STATIC);
    rc = sqlite3_step(st);
    if (rc != SQLITE_DONE) code = pc_db_fail(db, rc, "record");
    sqlite3_reset(st);
  }
  return code;
}

static pc_log_series *series_of(pc_run *run, int32_t name) {
  if (name >= run->n_series) {
    int n = (name + 16) & ~15;
    pc_log_series *s = pc_realloc(run->series, (size_t)n * sizeof *s);
    if (!s) return NULL;
    memset(s + run->n_series, 0, (size_t)(n - run->n_series) * sizeof *s);
    run->series = s;
    run->n_series = n;
  }
  return &run->series[name];
}

int pc_log_series_load(pc_run *run) {
  pc_db *db = run->db;
  sqlite3_stmt *st = NULL;
  int code = PC_OK, rc;
  rc = sqlite3_prepare_v2(db->handle,
                          "select n.name, l.step from metric_last l join metric_name n on n.id = l.name_id "
                          "where l.run_id = ?1",
                          -1, &st, NULL);
  if (rc != SQLITE_OK) return pc_db_fail(db, rc, "resume");
  sqlite3_bind_int64(st, 1, run->id);
  while (code == PC_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    int32_t name;
    pc_log_series *s = NULL;
    code = pc_log_name(db, pc_col_text(st, 0), &name);
    if (code == PC_OK && !(s = series_of(run, name))) code = PC_ENOMEM;
    if (!s) break;
    s->seen = 1;
    s->tail = -1;
    s->top = sqlite3_column_int64(st, 1);
  }
  if (code == PC_OK && rc != SQLITE_DONE) code = pc_db_fail(db, rc, "resume");
  sqlite3_finalize(st);
  return code;
}

/* ---- the flush ---- */

static void series_touch(pc_log_series *s, const pc_row *r) {
  int nan = isnan(r->value);
  if (!s->touched) {
    s->touched = 1;
    s->n = s->n_nan = 0;
    s->min = INFINITY;
    s->max = -INFINITY;
  }
  s->step = r->step;
  s->t_ms = r->t_ms;
  s->last = r->value;
  s->n++;
  s->n_nan += nan;
  if (!nan && r->value < s->min) s->min = r->value;
  if (!nan && r->value > s->max) s->max = r->value;
}

static void bind_value(sqlite3_stmt *st, int i, double v, int present) {
  if (present && !isnan(v))
    sqlite3_bind_double(st, i, v);
  else
    sqlite3_bind_null(st, i);
}

static int write_rows(pc_db *db, const char *op) {
  sqlite3_stmt *st;
  int code = pc_stmt_get(db, PC_STMT_METRIC, &st);
  for (int i = 0; i < db->n_rows && code == PC_OK; i++) {
    const pc_row *r = &db->rows[i];
    pc_name *n = &db->names[r->name];
    int rc;
    if (!n->id && (code = name_id(db, n))) break;
    sqlite3_bind_int64(st, 1, r->run->id);
    sqlite3_bind_int64(st, 2, n->id);
    sqlite3_bind_int64(st, 3, r->step);
    bind_value(st, 4, r->value, 1);
    sqlite3_bind_int64(st, 5, r->t_ms);
    rc = sqlite3_step(st);
    if (rc != SQLITE_DONE) code = pc_db_fail(db, rc, op);
    sqlite3_reset(st);
    series_touch(&r->run->series[r->name], r);
  }
  return code;
}

static int write_last(pc_db *db, const char *op) {
  int code = PC_OK;
  for (pc_run *run = db->runs; run && code == PC_OK; run = run->next) {
    for (int i = 0; i < run->n_series && code == PC_OK; i++) {
      pc_log_series *s = &run->series[i];
      sqlite3_stmt *st;
      int rc, some = s->n > s->n_nan;
      if (!s->touched) continue;
      code = pc_stmt_get(db, s->rebuild ? PC_STMT_REBUILD : PC_STMT_LAST, &st);
      if (code != PC_OK) break;
      sqlite3_bind_int64(st, 1, run->id);
      sqlite3_bind_int64(st, 2, db->names[i].id);
      if (!s->rebuild) {
        sqlite3_bind_int64(st, 3, s->step);
        bind_value(st, 4, s->last, 1);
        bind_value(st, 5, s->min, some);
        bind_value(st, 6, s->max, some);
        sqlite3_bind_int64(st, 7, s->n);
        sqlite3_bind_int64(st, 8, s->n_nan);
        sqlite3_bind_int64(st, 9, s->t_ms);
      }
      rc = sqlite3_step(st);
      if (rc != SQLITE_DONE) code = pc_db_fail(db, rc, op);
      sqlite3_reset(st);
    }
  }
  return code;
}

static int step_series(pc_db *db, pc_stmt which, const pc_run *run, int name, int64_t *out, const char *op) {
  sqlite3_stmt *st;
  int code = pc_stmt_get(db, which, &st), rc;
  if (code != PC_OK) return code;
  sqlite3_bind_int64(st, 1, run->id);
  sqlite3_bind_int64(st, 2, db->names[name].id);
  rc = sqlite3_step(st);
  if (rc == SQLITE_ROW && out) *out = sqlite3_column_int64(st, 0);
  if (rc != SQLITE_DONE && rc != SQLITE_ROW) code = pc_db_fail(db, rc, op);
  sqlite3_reset(st);
  return code;
}

/* Every full 128 rows of a tail become a block. A series that was written out of order begins anew. */
static int write_blocks(pc_db *db, const char *op) {
  int code = PC_OK;
  for (pc_run *run = db->runs; run && code == PC_OK; run = run->next) {
    for (int i = 0; i < run->n_series && code == PC_OK; i++) {
      pc_log_series *s = &run->series[i];
      if (!s->touched) continue;
      s->tail_after = s->tail + s->n;
      if (s->rebuild) code = step_series(db, PC_STMT_UNBLOCK, run, i, NULL, op);
      if (code == PC_OK && (s->rebuild || s->tail < 0))
        code = step_series(db, PC_STMT_TAIL, run, i, &s->tail_after, op);
      for (; code == PC_OK && s->tail_after >= PC_BLOCK_ROWS; s->tail_after -= PC_BLOCK_ROWS)
        code = step_series(db, PC_STMT_BLOCK, run, i, NULL, op);
    }
  }
  return code;
}

int pc_log_drop_locked(pc_run *run) {
  pc_db *db = run->db;
  int n = 0, dropped;
  for (int i = 0; i < db->n_rows; i++)
    if (db->rows[i].run != run) db->rows[n++] = db->rows[i];
  dropped = db->n_rows - n;
  db->n_rows = n;
  return dropped;
}

/* While we were silent somebody resumed the run elsewhere, or deleted it: two must not write into one curve. */
static int is_taken(pc_run *run, const char *op) {
  pc_db *db = run->db;
  int n = pc_log_drop_locked(run);
  run->status = PC_RUN_KILLED;
  return pc_fail(PC_ESTATE,
                 "%s: %s: run %s was taken up by another process, or deleted; this one records no more of it "
                 "(%d rows are dropped)",
                 op, db->path, run->uid, n);
}

static int write_signs_of_life(pc_db *db, int sample, const char *op) {
  int code = PC_OK, rc;
  int64_t now = pc_now_ms();
  sqlite3_stmt *st;
  for (pc_run *run = db->runs; run && code == PC_OK; run = run->next) {
    if (run->status != PC_RUN_RUNNING) continue;
    if ((code = pc_stmt_get(db, PC_STMT_HEARTBEAT, &st))) break;
    sqlite3_bind_int64(st, 1, run->id);
    sqlite3_bind_int64(st, 2, now);
    sqlite3_bind_int64(st, 3, pc_process_peak_rss());
    sqlite3_bind_int64(st, 4, run->pid);
    sqlite3_bind_text(st, 5, run->host, -1, SQLITE_STATIC);
    rc = sqlite3_step(st);
    if (rc != SQLITE_DONE) code = pc_db_fail(db, rc, op);
    sqlite3_reset(st);
    if (code == PC_OK && !sqlite3_changes64(db->handle)) code = is_taken(run, op);
    if (!sample || code != PC_OK) continue;
    if ((code = pc_stmt_get(db, PC_STMT_SAMPLE, &st))) break;
    sqlite3_bind_int64(st, 1, run->id);
    sqlite3_bind_int64(st, 2, now);
    sqlite3_bind_int64(st, 3, pc_process_rss());
    sqlite3_bind_double(st, 4, pc_process_cpu_s());
    rc = sqlite3_step(st);
    if (rc != SQLITE_DONE) code = pc_db_fail(db, rc, op);
    sqlite3_reset(st);
  }
  return code;
}

static void settle(pc_db *db, int written) {
  for (pc_run *run = db->runs; run; run = run->next)
    for (int i = 0; i < run->n_series; i++) {
      if (run->series[i].touched && written) {
        run->series[i].rebuild = 0;
        run->series[i].tail = run->series[i].tail_after;
      }
      run->series[i].touched = 0;
    }
}

static int any_running(const pc_db *db) {
  for (const pc_run *run = db->runs; run; run = run->next)
    if (run->status == PC_RUN_RUNNING) return 1;
  return 0;
}

int pc_log_flush_locked(pc_db *db, int busy_ms, const char *op) {
  int64_t now = pc_tick_ms();
  int beat = any_running(db) && now - db->beat >= PC_HEARTBEAT_MS - 100, code;
  int sample = !db->sample || now - db->sample >= PC_SAMPLE_MS;
  if (!db->n_rows && !beat) return PC_OK;
  code = pc_db_begin(db, busy_ms, op);
  if (code == PC_OK) {
    code = write_signs_of_life(db, sample, op); /* first: is the run still ours? */
    if (code == PC_OK) code = write_rows(db, op);
    if (code == PC_OK) code = write_last(db, op);
    if (code == PC_OK) code = write_blocks(db, op);
    code = pc_db_end(db, code, op);
  }
  settle(db, code == PC_OK);
  if (code == PC_OK) {
    db->n_rows = 0;
    if (db->said) pc_db_sayf("%s: rows are written again; %lld were lost", db->path, (long long)db->lost);
    db->lost = db->retry = db->failing = db->said = 0;
    db->beat = now;
    if (sample) db->sample = now;
    return PC_OK;
  }
  if (!db->failing) db->failing = now;
  db->retry = pc_tick_ms() + PC_RETRY_MS;
  if (code == PC_ESTATE) return code;
  if (db->lost)
    pc_fail(code, "%s (%d rows are kept and will be tried again, %lld later ones are lost)", pc_error_text(),
            db->n_rows, (long long)db->lost);
  else if (db->n_rows)
    pc_fail(code, "%s (%d rows are kept and will be tried again; what was written earlier is safe)", pc_error_text(),
            db->n_rows);
  return code;
}

/* A timed flush. What may pass by itself (a lock, a full disk) must not end a training: the rows wait, the user is told
 * once a minute, a lock not before it lasts. */
static int flush_timed(pc_db *db, int64_t now) {
  int code, busy;
  if (now < db->retry) return PC_OK;
  code = pc_log_flush_locked(db, PC_BUSY_TIMED_MS, "run:log");
  if (code == PC_OK || code == PC_ESTATE || !pc_db_transient(db)) return code;
  busy = (sqlite3_errcode(db->handle) & 0xff) == SQLITE_BUSY;
  if (busy && now - db->failing < PC_BUSY_MS) return PC_OK;
  if (db->said && now - db->said < PC_SAY_MS) return PC_OK;
  db->said = now;
  pc_db_sayf("%s", pc_error_text());
  return PC_OK;
}

/* Room for n more rows; when there is none, they are written first, however long that takes, or refused. */
static int make_room(pc_db *db, int n, int64_t now) {
  int code;
  if (db->n_rows + n <= PC_ROWS_MAX) return PC_OK;
  code = now < db->retry ? PC_EIO : pc_log_flush_locked(db, PC_BUSY_WAIT, "run:log");
  if (code == PC_OK || (code == PC_ESTATE && db->n_rows + n <= PC_ROWS_MAX)) return code;
  db->lost += n;
  return pc_fail(code, "run:log: %s cannot be written and there is no room for more than %d rows; %lld are lost so far",
                 db->path, PC_ROWS_MAX, (long long)db->lost);
}

static int take_late_error(pc_db *db) {
  int code = db->late_code;
  if (!code) return PC_OK;
  db->late_code = PC_OK;
  return pc_fail(code, "%s", db->late_text);
}

/* ---- the thread ---- */

static void *keep_time(void *arg) {
  pc_db *db = arg;
  pthread_mutex_lock(&db->lock);
  while (!db->thread_stop) {
    struct timespec t;
    int64_t now;
    int due;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += 250 * 1000000L;
    if (t.tv_nsec >= 1000000000L) t.tv_sec++, t.tv_nsec -= 1000000000L;
    pthread_cond_timedwait(&db->wake, &db->lock, &t);
    if (db->thread_stop) break;
    now = pc_tick_ms();
    due = (db->n_rows && now - db->oldest >= PC_FLUSH_MS) || now - db->beat >= PC_HEARTBEAT_MS;
    if (!due) continue;
    int code = flush_timed(db, now);
    if (code != PC_OK) {
      db->late_code = code;
      snprintf(db->late_text, sizeof db->late_text, "%s", pc_error_text());
    }
  }
  pthread_mutex_unlock(&db->lock);
  return NULL;
}

int pc_log_thread_start_locked(pc_db *db) {
  sigset_t all, old;
  if (db->thread_on) return PC_OK;
  /* signals are the front end's business: Ctrl-C must reach its thread */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  db->thread_stop = 0;
  db->thread_on = pthread_create(&db->thread, NULL, keep_time, db) == 0;
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  return PC_OK; /* without a thread, log calls still keep the time */
}

void pc_log_thread_stop(pc_db *db) {
  if (!db->thread_on) return;
  pthread_mutex_lock(&db->lock);
  db->thread_stop = 1;
  pthread_cond_signal(&db->wake);
  pthread_mutex_unlock(&db->lock);
  pthread_join(db->thread, NULL);
  db->thread_on = 0;
}

/* ---- public ---- */

static int row_add(pc_db *db, pc_run *run, int64_t step, const char *name, double value, int64_t now) {
  int32_t index;
  pc_log_series *s;
  int code = pc_log_name(db, name, &index);
  if (code != PC_OK) return code;
  s = series_of(run, index);
  if (!s) return PC_ENOMEM;
  if (db->n_rows == db->cap_rows) {
    int cap = db->cap_rows ? db->cap_rows * 2 : PC_ROWS_FLUSH * 2;
    pc_row *rows = pc_realloc(db->rows, (size_t)cap * sizeof *rows);
    if (!rows) return PC_ENOMEM;
    db->rows = rows;
    db->cap_rows = cap;
  }
  if (s->seen && step <= s->top)
    s->rebuild = 1;
  else
    s->top = step;
  s->seen = 1;
  if (!db->n_rows) db->oldest = pc_tick_ms();
  db->rows[db->n_rows++] = (pc_row){run, index, step, value, now};
  return PC_OK;
}

int pc_run_log(pc_run *run, int64_t step, int n, const char *const *names, const double *values) {
  pc_db *db = run->db;
  int64_t now = pc_now_ms(), tick = pc_tick_ms();
  int code = pc_db_lock(db, "run:log");
  if (code != PC_OK) return code;
  if (run->status != PC_RUN_RUNNING) {
    code = pc_fail(PC_ESTATE, "run:log: run %s is %s; start a run or resume it", run->uid,
                   pc_run_status_name(run->status));
    goto done;
  }
  code = make_room(db, n, tick);
  for (int i = 0; i < n && code == PC_OK; i++) code = row_add(db, run, step, names[i], values[i], now);
  if (code != PC_OK) goto done;
  if (db->n_rows >= PC_ROWS_FLUSH || (db->n_rows && tick - db->oldest >= PC_FLUSH_MS)) code = flush_timed(db, tick);
  if (code == PC_OK) code = take_late_error(db);
done:
  pc_db_unlock(db);
  return code;
}

int pc_run_flush(pc_run *run) {
  pc_db *db = run->db;
  int code = pc_db_lock(db, "run:flush");
  if (code != PC_OK) return code;
  db->late_code = PC_OK; /* this flush tells how things stand now */
  code = pc_log_flush_locked(db, PC_BUSY_WAIT, "run:flush");
  pc_db_unlock(db);
  return code;
}

int pc_run_goal(pc_run *run, const char *metric, const char *goal) {
  pc_db *db = run->db;
  int code = PC_OK;
  if (strcmp(goal, "min") && strcmp(goal, "max"))
    return pc_fail(PC_EARG, "run:goal: metric %s: goal \"%s\" is neither \"min\" nor \"max\"", metric, goal);
  if (!*metric) return pc_fail(PC_EARG, "run:goal: the metric's name is empty");
  if ((code = pc_db_name("run:goal", "metric's name", metric))) return code;
  if ((code = pc_db_lock(db, "run:goal"))) return code;
  code = pc_db_begin(db, PC_BUSY_WAIT, "run:goal");
  if (code == PC_OK) {
    code = pc_db_run_sql(db, NULL, "run:goal",
                         "insert into metric_name(name, goal) values (?1, ?2) "
                         "on conflict(name) do update set goal = excluded.goal",
                         "ss", metric, goal);
    code = pc_db_end(db, code, "run:goal");
  }
  pc_db_unlock(db);
  return code;
}
