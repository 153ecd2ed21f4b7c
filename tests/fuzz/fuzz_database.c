/* The input is a database file: opened for reading and for writing, asked everything that is shipped. */
#include "fuzz.h"

#include "db/query.h"

static void forget(const char *path) {
  char other[160];
  unlink(path);
  snprintf(other, sizeof other, "%s-wal", path);
  unlink(other);
  snprintf(other, sizeof other, "%s-shm", path);
  unlink(other);
  snprintf(other, sizeof other, "%s-journal", path);
  unlink(other);
}

static void stale(void *ctx, const char *uid, const char *experiment, const char *host, int64_t pid, double silent) {
  *(size_t *)ctx += strlen(uid) + strlen(experiment) + strlen(host);
}

static void ask(pc_db *db, FILE *sink) {
  char uid[64], file[256];
  int64_t step;
  int n;
  size_t length = 0;
  for (int i = 0;; i++) {
    pc_query_info q = pc_query_embedded(i);
    if (!*q.name) break;
    pc_query_print(db, q.text, &(pc_query_opts){.format = PC_FORMAT_TABLE}, sink);
  }
  if (pc_db_find_run(db, "n", uid) == 0) pc_db_checkpoint(db, uid, &step, file, sizeof file);
  pc_db_stale(db, 0, stale, &length, &n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static FILE *sink;
  if (!sink) sink = fopen("/dev/null", "w");
  const char *path = pc_fuzz_file("input.db", data, size);
  for (int flags = PC_DB_READ; flags <= PC_DB_WRITE; flags++) {
    pc_db *db;
    if (pc_db_open(&db, path, flags) < 0) continue;
    ask(db, sink);
    pc_db_close(db);
  }
  forget(path);
  return 0;
}
