/* sys.c: percept.sys: the little of the system that scripts need and Lua lacks. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "base/peak.h"
#include "bindings/args.h"
#include "bindings/percept.h"
#include "tensor/backend.h"

int luaopen_percept_sys(lua_State *L);

static double seconds(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int f_time(lua_State *L, pc_args *a) {
  lua_pushnumber(L, seconds(CLOCK_MONOTONIC));
  return 1;
}

static int f_cpu_time(lua_State *L, pc_args *a) {
  lua_pushnumber(L, seconds(CLOCK_PROCESS_CPUTIME_ID));
  return 1;
}

static int f_isatty(lua_State *L, pc_args *a) {
  lua_pushboolean(L, isatty(pc_arg_int(a, "fd")));
  return 1;
}

/* columns, lines; and pixels of a character cell where the terminal tells them */
static int f_terminal_size(lua_State *L, pc_args *a) {
  struct winsize w;
  if (ioctl(pc_arg_int(a, "fd"), TIOCGWINSZ, &w) || !w.ws_col) return 0;
  lua_pushinteger(L, w.ws_col);
  lua_pushinteger(L, w.ws_row);
  if (!w.ws_xpixel || !w.ws_row) return 2;
  lua_pushinteger(L, w.ws_xpixel / w.ws_col);
  lua_pushinteger(L, w.ws_ypixel / w.ws_row);
  return 4;
}

/* What a terminal answers to an escape sequence, up to the letter that ends the answer. */
static int f_terminal_ask(lua_State *L, pc_args *a) {
  struct termios was, raw;
  char answer[256];
  size_t n = 0;
  const char *text = pc_arg_str(a, "sequence"), *end = pc_arg_str(a, "ends");
  if (!isatty(0) || !isatty(1) || tcgetattr(0, &was)) return 0;
  raw = was;
  raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
  tcsetattr(0, TCSADRAIN, &raw);
  if (write(1, text, strlen(text)) == (ssize_t)strlen(text))
    while (n < sizeof answer) {
      struct pollfd p = {.fd = 0, .events = POLLIN};
      if (poll(&p, 1, pc_arg_int(a, "ms")) <= 0 || read(0, answer + n, 1) != 1) break;
      if (strchr(end, answer[n++])) break;
    }
  tcsetattr(0, TCSADRAIN, &was);
  if (!n) return 0;
  lua_pushlstring(L, answer, n);
  return 1;
}

static int f_exists(lua_State *L, pc_args *a) {
  struct stat st;
  int there = stat(pc_arg_str(a, "path"), &st) == 0;
  lua_pushboolean(L, there);
  if (there) lua_pushstring(L, S_ISDIR(st.st_mode) ? "folder" : "file");
  return there ? 2 : 1;
}

static int f_mkdir(lua_State *L, pc_args *a) { /* with parents */
  char path[4096];
  size_t n = strlen(pc_arg_str(a, "path"));
  if (n >= sizeof path) return pc_fail(PC_EARG, "mkdir: the path is too long");
  memcpy(path, pc_arg_str(a, "path"), n + 1);
  for (size_t i = 1; i <= n; i++) {
    if (path[i] != '/' && path[i] != '\0') continue;
    char c = path[i];
    path[i] = '\0';
    if (mkdir(path, 0777) && errno != EEXIST) return pc_fail(PC_EIO, "mkdir: '%s': %s", path, strerror(errno));
    path[i] = c;
  }
  return 0;
}

static int f_interrupted(lua_State *L, pc_args *a) {
  lua_pushboolean(L, pc_front_signal() != 0);
  return 1;
}

static int f_memory(lua_State *L, pc_args *a) {
  pc_alloc_stats s;
  struct rusage u;
  pc_alloc_get_stats(&s);
  getrusage(RUSAGE_SELF, &u);
  long pages = 0, skip;
  FILE *f = fopen("/proc/self/statm", "r");
  if (f && fscanf(f, "%ld %ld", &skip, &pages) != 2) pages = 0;
  if (f) fclose(f);
  lua_createtable(L, 0, 6);
  lua_pushnumber(L, (lua_Number)s.live), lua_setfield(L, -2, "live");
  lua_pushnumber(L, (lua_Number)s.peak), lua_setfield(L, -2, "peak");
  lua_pushnumber(L, (lua_Number)s.cached), lua_setfield(L, -2, "cached");
  lua_pushnumber(L, (lua_Number)s.calls), lua_setfield(L, -2, "calls");
  lua_pushnumber(L, (lua_Number)u.ru_maxrss * 1024.0), lua_setfield(L, -2, "peak_rss");
  lua_pushnumber(L, (lua_Number)pages * (lua_Number)sysconf(_SC_PAGESIZE)), lua_setfield(L, -2, "rss");
  return 1;
}

static int f_fail_allocation(lua_State *L, pc_args *a) {
  lua_pushnumber(L, (lua_Number)pc_alloc_fail_nth(pc_arg_int64(a, "nth")));
  return 1;
}

static int f_memory_limit(lua_State *L, pc_args *a) {
  int64_t bytes = 0;
  int at = pc_arg_at(a, "bytes"), rc = PC_OK;
  if (at) {
    if (lua_type(L, at) == LUA_TNUMBER && lua_tonumber(L, at) >= 0 && lua_tonumber(L, at) <= 0x1p53)
      bytes = (int64_t)lua_tonumber(L, at);
    else if (lua_type(L, at) != LUA_TSTRING)
      return pc_arg_fail(L, a, "bytes", "a number of bytes or a text like \"512M\"");
    else if ((rc = pc_alloc_parse_bytes(&bytes, lua_tostring(L, at))) < 0)
      return pc_error_prefix(rc, "memory_limit");
    pc_alloc_set_limit(bytes);
  }
  lua_pushnumber(L, (lua_Number)pc_alloc_limit());
  return 1;
}

static int f_tier(lua_State *L, pc_args *a) {
  int rc = pc_arg_given(a, "name") ? pc_backend_use(pc_arg_str(a, "name")) : PC_OK;
  if (rc < 0) return rc;
  lua_pushstring(L, pc_backend_now()->name);
  return 1;
}

static int f_fma_peak(lua_State *L, pc_args *a) {
  double seconds = pc_arg_num(a, "seconds");
  if (!(seconds > 0 && seconds <= 60))
    return pc_fail(PC_EARG, "fma_peak: seconds must be above 0 and at most 60, got %g", seconds);
  lua_pushnumber(L, pc_fma_peak(seconds));
  return 1;
}

static const pc_luafn functions[] = {
    {"time", "", f_time, "seconds on a clock that never goes back", 0},
    {"cpu_time", "", f_cpu_time, "seconds of processor time of this process, all threads", 0},
    {"isatty", "fd:int", f_isatty, "is this file descriptor a terminal?", 0},
    {"terminal_size", "fd:int=1", f_terminal_size,
     "-> columns, lines, and pixels of a cell (width, height) where they are known; nothing if it is no terminal", 0},
    {"terminal_ask", "sequence:str(any), ends:str(any), ms:int(0..)=100", f_terminal_ask,
     "sends an escape sequence -> the terminal's answer up to one of the letters `ends`; nothing if none comes", 0},
    {"exists", "path:str(any)", f_exists, "-> true, 'file' or 'folder'; or false", 0},
    {"mkdir", "path:str", f_mkdir, "makes a folder and its parents", 0},
    {"interrupted", "", f_interrupted, "did a signal ask the program to stop?", 0},
    {"memory", "", f_memory, "bytes: live, peak, cached (tensors), rss, peak_rss (process); calls: allocations so far",
     0},
    {"memory_limit", "bytes:any?", f_memory_limit,
     "the engine's live bytes may not exceed this: a number, or \"512M\", \"1.5G\"; 0: no limit. Tiles of decoders and "
     "batches of searches are chosen to fit. Returns the limit",
     0},
    {"fail_allocation", "nth:int64", f_fail_allocation,
     "for tests: the nth allocation from now on fails; -n: all from there on; 0: none. Returns how many the order "
     "before still "
     "waited for; 0: one has failed",
     0},
    {"tier", "name:str?", f_tier, "reads or forces the kernels that run: ref, base, avx2, avx512", 0},
    {"fma_peak", "seconds:num=0.1", f_fma_peak,
     "GFLOP/s of multiply-adds that this machine can do at best, on as many threads as are set", 0},
    {0}};

int luaopen_percept_sys(lua_State *L) {
  lua_newtable(L);
  pc_register(L, "sys", functions);
  return 1;
}
