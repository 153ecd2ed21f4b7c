/* test_ctrlc.c: Ctrl-C at random moments of whatever a prompt may be busy with, with 1, 2 and 4 threads. After each one
 * the prompt answers, and the variables are what they were. CTRLC=N: so many (30); SEED; CTRLC_LIMIT: ms until the
 * answer (2000 here, since others may use the machine; `make ctrlc` asks for 200). */
#include "pty.h"

static const char *const setup =
    "nn, optim, inverter, decoders = percept.nn, percept.optim, percept.inverter, percept.decoders\n"
    "kept, keep = 7, T.arange(1000); T.manual_seed(1)\n"
    "a, b, r = T.randn(300, 300), T.randn(3000, 3000), T.rand(1e7)\n"
    "d = decoders.cnn{slots = 2, slot_dim = 3, height = 16, hidden = 32, features = 16}; x = T.rand(32, 16, 16, 3)\n"
    "m = nn.mlp{256, 256, 256}; o = optim.adam(m, {lr = 1e-4}); v = T.randn(64, 256)\n"
    "bank = T.randn(400, 2, 3); c = T.rand(8, 128, 128, 16); w = T.rand(32, 5, 5, 16)\n"
    "print(\"rea\" .. \"dy\")\n";

/* What is typed before Ctrl-C. A tab completes. */
static const struct {
  const char *name, *keys;
} busy[] = {
    {"nothing", ""},
    {"half a line", "T.zeros(2"},
    {"products", "while true do y = a:matmul(a) end\r"},
    {"one long product", "for i = 1, 100 do y = b:matmul(b) end\r"},
    {"sums", "while true do y = r:sum() + r:exp():mean() end\r"},
    {"sort", "y = r:sort()\r"},
    {"convolution", "while true do y = T.conv2d(c, w) end\r"},
    {"search", "inverter.search(d, x, T.zeros(32, 2, 3), {steps = 1e6, lr = 1e-3})\r"},
    {"second order", "inverter.search(d, x, T.zeros(32, 2, 3), {steps = 1e5, method = 'lm'})\r"},
    {"bank", "while true do inverter.start(x, {from = 'bank', decoder = d, bank = bank, starts = 3}) end\r"},
    {"training", "while true do o:zero_grad() l = (m(v) - v):pow(2):mean() l:backward() o:step() end\r"},
    {"loop", "while true do end\r"},
    {"compiled loop", "jit.on() for i = 1, 1e15 do kept = 7 end\r"},
    {"compiled loop without guards", "jit.on() local n = 0 while true do n = n + 1 end\r"},
    {"loop around pcall", "while true do pcall(function() while true do end end) end\r"},
    {"coroutines", "while true do coroutine.wrap(function() for i = 1, 1e6 do end end)() end\r"},
    {"tables", "while true do local t = {} for i = 1, 1000 do t[i] = {i} end end\r"},
    {"strings", "while true do local s = ('x'):rep(1000):upper() .. tostring(math.random()) end\r"},
    {"completion", "T.\t\t"},
    {"completion of a method", "keep:r\t\t"},
    {"completion of a file", "f = \"\t\t"},
    {"printing", "for i = 1, 1e6 do print(i) end\r"},
    {"a long answer", "T.rand(2000, 2000):to_table()\r"},
    {"an error", "error{}\r"},
    {"a query",
     "percept.recorder.query('x.db', 'with recursive n(i) as (values(1) union all select i+1 from n) select * from "
     "n')\r"},
};
enum { KINDS = (int)(sizeof busy / sizeof *busy) };

static int passed, failed;
static double *took;
static int ntook;

static int start(pty *p, int threads, const char *home) {
  pty_start(p, threads, home);
  if (pty_sees(p, 0, "Ctrl-D leaves", 20) < 0) return 0;
  size_t from = p->n;
  for (const char *line = setup; *line;) {
    size_t n = strcspn(line, "\n");
    char one[400];
    snprintf(one, sizeof one, "%.*s", (int)n, line);
    pty_enter(p, one);
    line += n + 1;
  }
  return pty_sees(p, from, "ready\r\n", 30) >= 0;
}

static void fail(pty *p, const char *what, int i, int kind, int threads, double waited) {
  size_t tail = p->n > 1500 ? p->n - 1500 : 0;
  failed++;
  printf("FAIL %d: %s, %d threads, Ctrl-C after %.3f s: %s; it shows\n%s\n", i, busy[kind].name, threads, waited, what,
         p->text ? p->text + tail : "");
}

/* One Ctrl-C; 0: the session is of no use any more. */
static int once(pty *p, int i, int threads, double limit) {
  int kind = rand() % KINDS;
  if (getenv("KIND")) kind = atoi(getenv("KIND")); /* of the table above, from 0 */
  double waited = 0.4 * rand() / RAND_MAX;
  char ask[200], answer[40];
  pty_type(p, busy[kind].keys);
  for (double end = pty_now() + waited; pty_now() < end;) /* reading meanwhile: who prints must not wait for us */
    if (!pty_read(p, 0.001)) break;
  snprintf(ask, sizeof ask, "print('<' .. %d .. '>', kept == 7 and keep:sum():item() == 499500 and 6 * 7)", i);
  snprintf(answer, sizeof answer, "<%d>\t42", i);
  char shown[40]; /* a terminal turns a tab into blanks */
  snprintf(shown, sizeof shown, "<%d>", i);
  size_t from = p->n;
  double began = pty_now();
  pty_type(p, "\003");
  pty_rest(0.002); /* what is typed right behind Ctrl-C, the terminal drops with it */
  pty_enter(p, ask);
  double seconds = pty_sees(p, from, shown, 20);
  took[ntook++] = pty_now() - began;
  if (seconds < 0) {
    fail(p, pty_alive(p) ? "no answer" : "the program ended", i, kind, threads, waited);
    return 0;
  }
  const char *at = strstr(p->text + from, shown);
  pty_read(p, 0.02);
  if (!strstr(at, "42"))
    fail(p, "the state is another one", i, kind, threads, waited);
  else if (took[ntook - 1] > limit * pty_slow())
    fail(p, "too late", i, kind, threads, waited), printf("  after %.0f ms\n", 1e3 * took[ntook - 1]);
  else
    passed++;
  return 1;
}

static int by_time(const void *a, const void *b) { return *(const double *)a < *(const double *)b ? -1 : 1; }

static double number(const char *name, double otherwise) {
  const char *e = getenv(name);
  return e && *e ? atof(e) : otherwise;
}

int main(void) {
  static const int threads[] = {1, 2, 4};
  char home[] = "/tmp/percept-ctrlc-XXXXXX";
  int n = (int)number("CTRLC", 30), seed = (int)number("SEED", 1);
  double limit = number("CTRLC_LIMIT", 2000) / 1000;
  took = calloc((size_t)n + 3, sizeof *took);
  srand((unsigned)seed);
  pty_home(home);
  for (int s = 0, i = 0; s < 3; s++) {
    pty p;
    int open = 0;
    for (int end = n * (s + 1) / 3; i < end; i++) {
      if (!open && !(open = start(&p, threads[s], home))) {
        printf("FAIL the prompt does not start\n");
        failed++;
        break;
      }
      if (!once(&p, i, threads[s], limit)) {
        pty_end(&p);
        open = 0;
      }
    }
    if (open) pty_end(&p);
  }
  pty_remove(home);
  qsort(took, (size_t)ntook, sizeof *took, by_time);
  if (ntook)
    printf("%d Ctrl-C, seed %d: answered after %.0f ms (median), %.0f (95 of 100), %.0f (at most)\n", ntook, seed,
           1e3 * took[ntook / 2], 1e3 * took[ntook * 95 / 100], 1e3 * took[ntook - 1]);
  free(took);
  printf("%d passed, %d failed\n", passed, failed);
  return failed > 0;
}
