/* A user's SQL, read-only: prints, or is refused; the database and the folder hold the same bytes afterwards. */
#include "fuzz.h"

#include <dirent.h>
#include <signal.h>
#include <sys/time.h>

#include "base/alloc.h"
#include "base/error.h"
#include "db/query.h"
#include "formats/file.h"

static char path[128];

static void digest(char out[PC_DIGEST_SIZE]) {
  char *text;
  size_t n;
  pc_fuzz_expect(pc_file_read(&text, &n, path, 0) == PC_OK);
  pc_digest(out, text, n);
  pc_free(text);
}

static int files(void) {
  DIR *d = opendir(pc_fuzz_folder());
  int n = 0;
  for (struct dirent *e; d && (e = readdir(d));) n += e->d_name[0] != '.' && strncmp(e->d_name, "d.db", 4) != 0;
  if (d) closedir(d);
  return n;
}

static void make(void) {
  pc_db *db;
  pc_run *run;
  snprintf(path, sizeof path, "%s/d.db", pc_fuzz_folder());
  pc_fuzz_expect(pc_db_open(&db, path, PC_DB_CREATE) == PC_OK);
  pc_run_config c = {.experiment = "e", .name = "n", .config_json = "{\"lr\":0.1}", .no_git = 1};
  pc_fuzz_expect(pc_run_start(&run, db, &c) == PC_OK);
  const char *names[] = {"loss"};
  for (int i = 1; i <= 8; i++) pc_run_log(run, i, 1, names, (double[]){1.0 / i});
  pc_run_result(
      run, &(pc_result){.method = "search", .split = "ood", .metric = "accuracy", .factor = "animals", .value = 0.5});
  pc_run_finish(run, PC_RUN_DONE, NULL);
  pc_run_free(run);
  pc_db_close(db);
}

/* Queries without end are stopped as by Ctrl-C. */
static void enough(int sig) { pc_interrupt_set(); }
static void timer(long us) { setitimer(ITIMER_VIRTUAL, &(struct itimerval){.it_value.tv_usec = us}, NULL); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static FILE *sink;
  static pc_db *db;
  static char before[PC_DIGEST_SIZE];
  static int nfiles;
  if (!sink) {
    make();
    sink = fopen("/dev/null", "w");
    pc_fuzz_expect(sink && pc_db_open(&db, path, PC_DB_READ) == PC_OK);
    signal(SIGVTALRM, enough);
    digest(before);
    nfiles = files();
  }
  char *sql = malloc(size + 1), after[PC_DIGEST_SIZE];
  memcpy(sql, data, size);
  sql[size] = 0;
  pc_query_opts o = {.format = (pc_format)(size % 5)};
  timer(200000);
  pc_query_print(db, sql, &o, sink);
  timer(0);
  pc_check_interrupt();
  free(sql);
  digest(after);
  pc_fuzz_expect(!strcmp(before, after));
  pc_fuzz_expect(files() == nfiles);
  return 0;
}
