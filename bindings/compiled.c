/* compiled.c: see compiled.h.
 *
 * A trace is left at its guards: conditional jumps to exit stubs. The state of
 * registers and stack at a guard is what its exit expects, whether the condition
 * holds or not. So from the interrupted instruction on the processor goes in
 * single steps (the trap flag; SIGTRAP after each) until it stands before a
 * guard, and is sent to the guard's exit from there.
 *
 * A loop without any guard (`while true do n = n + 1 end`) is a trace that jumps to
 * itself. It is left by exit 0 of its trace, which stands for the entry: it restores
 * no value from a register, so it fits at every instruction. Locals then are what
 * they were when the trace was entered.
 *
 * Stubs (lj_asm_x86.h, asm_exitstub_gen): 32 times `push imm8; jmp rel8`, of the last
 * one `push imm8; push imm8; jmp rel32`. Where code looks different, nothing is done:
 * the handler's caller has a last resort. */
#include "bindings/compiled.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef __x86_64__

typedef const unsigned char *code;

enum { TRAP_FLAG = 0x100, MOST_STEPS = 20000, STEPS_OUTSIDE = 4000, MOST_MAPPINGS = 16, FRAMES = 4096 };

typedef struct {
  code low, high;
} mapping;

/* One walk to an exit. */
static struct {
  volatile sig_atomic_t on, enough;
  mapping m[MOST_MAPPINGS]; /* anonymous executable memory: compiled code */
  int n;
  mapping jit; /* LuaJIT's own code */
  long rest;   /* ms: no walk before that time, since the last one came to nothing */
  long began;
  const char *bottom; /* of the stack: the highest address that may be read */
  code mark;          /* an instruction that was passed; met again: a loop without guards */
  long next_mark;     /* the step that sets it anew: 1, 2, 4, ... */
  int heads;          /* beginnings of traces since the mark */
  long steps, most;
  struct sigaction before; /* of SIGTRAP */
} walk;

static uint64_t hex(const char **s) {
  uint64_t v = 0;
  for (;; (*s)++) {
    int c = **s, d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (d < 0) return v;
    v = v * 16 + (uint64_t)d;
  }
}

/* A line of /proc/self/maps: of executable memory, anonymous or of LuaJIT's library? */
static void note_mapping(const char *line) {
  const char *s = line;
  uint64_t low = hex(&s), high = *s == '-' ? (s++, hex(&s)) : 0;
  if (strncmp(s, " r", 2) || s[3] != 'x') return;
  mapping m = {(code)(uintptr_t)low, (code)(uintptr_t)high};
  if (strstr(s, "luajit")) walk.jit = m;
  const char *inode = strstr(s, " 00:00 0");
  if (!inode || walk.n == MOST_MAPPINGS) return;
  inode += 8;
  while (*inode == ' ') inode++;
  if (*inode) return; /* a file, [vdso] */
  walk.m[walk.n++] = m;
}

static void find_mappings(void) {
  static char buffer[4096];
  size_t have = 0;
  int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  walk.n = 0;
  if (fd < 0) return;
  for (;;) {
    ssize_t n = read(fd, buffer + have, sizeof buffer - 1 - have);
    if (n <= 0) break;
    have += (size_t)n;
    buffer[have] = '\0';
    char *line = buffer, *end;
    while ((end = strchr(line, '\n'))) {
      *end = '\0';
      note_mapping(line);
      line = end + 1;
    }
    have -= (size_t)(line - buffer);
    memmove(buffer, line, have);
    if (have == sizeof buffer - 1) have = 0; /* no line is so long */
  }
  close(fd);
}

/* The mapping that holds n bytes from p on; NULL: none. */
static const mapping *around(code p, size_t n) {
  for (int i = 0; i < walk.n; i++)
    if (p >= walk.m[i].low && p < walk.m[i].high && (size_t)(walk.m[i].high - p) >= n) return &walk.m[i];
  return NULL;
}

static int within(code p, size_t n) { return around(p, n) != NULL; }

/* Is compiled code running, or waiting for a function of LuaJIT's that it has called? The stack may also hold return
 * addresses of calls that are over: then the steps lead to the hook, or to nothing. */
static int is_running(const ucontext_t *c) {
  const greg_t *r = c->uc_mcontext.gregs;
  code at = (code)(uintptr_t)r[REG_RIP];
  if (within(at, 1)) return 1;
  if (at < walk.jit.low || at >= walk.jit.high) return 0;
  const char *sp = (const char *)(uintptr_t)r[REG_RSP];
  if (!walk.bottom || sp > walk.bottom) return 0;
  size_t n = (size_t)(walk.bottom - sp) / sizeof(void *);
  if (n > FRAMES / sizeof(void *)) n = FRAMES / sizeof(void *);
  for (size_t i = 0; i < n; i++) {
    code address;
    memcpy(&address, sp + i * sizeof address, sizeof address);
    if (within(address, 1)) return 1;
  }
  return 0;
}

static int is_stub(code p) { return within(p, 9) && p[0] == 0x6a && (p[2] == 0xeb || (p[2] == 0x6a && p[4] == 0xe9)); }

/* The exit stub that the jump before p goes to, its offset in the four bytes before; NULL: not a stub. */
static code jump_stub(code p) {
  int32_t by;
  memcpy(&by, p - 4, 4);
  return is_stub(p + by) ? p + by : NULL;
}

/* The exit of the guard at p: a conditional jump to a stub, or one into the loop with a jump to a stub behind it. */
static code exit_of(code p) {
  code after = NULL, stub = NULL;
  if (!within(p, 16)) return NULL;
  if (p[0] == 0x0f && (p[1] & 0xf0) == 0x80) {
    after = p + 6;
    stub = jump_stub(after);
  } else if ((p[0] & 0xf0) == 0x70) {
    after = p + 2;
  }
  if (!stub && after && after[0] == 0xe9) stub = jump_stub(after + 5);
  return stub;
}

/* Exit 0: in the first group of stubs. */
static code exit_zero(code at) {
  static const unsigned char head[] = {0x6a, 0, 0xeb, 0x7a, 0x6a, 1, 0xeb, 0x76, 0x6a, 2, 0xeb, 0x72};
  const mapping *m = around(at, 1);
  for (code p = m ? m->low : NULL; p && m->high - p >= 140; p++)
    if (!memcmp(p, head, sizeof head) && p[126] == 0x6a && p[127] == 0 && p[128] == 0xe9) return p;
  return NULL;
}

/* Has a loop without guards come round? */
static int came_round(code p) {
  if (p == walk.mark) return walk.heads == 0;
  if (p[0] == 0x41 && p[1] == 0xc7) walk.heads++; /* mov dword [r14 + ...], number of the trace */
  if (walk.steps >= walk.next_mark) {
    walk.next_mark *= 2;
    walk.mark = p;
    walk.heads = 0;
  }
  return 0;
}

static long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void end_walk(ucontext_t *c) {
  c->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
  sigaction(SIGTRAP, &walk.before, NULL);
  walk.on = 0;
}

static void on_step(int sig, siginfo_t *info, void *context) {
  ucontext_t *c = context;
  code p = (code)(uintptr_t)c->uc_mcontext.gregs[REG_RIP];
  code stub = NULL;
  if (!walk.on) return;
  if (walk.enough) {
    end_walk(c);
    return;
  }
  if (p[0] == 0x0f && p[1] == 0x05) { /* a system call may block SIGTRAP, which then kills, or make a thread */
    end_walk(c);
    return;
  }
  if (within(p, 16)) { /* else in a function of LuaJIT's that the trace calls */
    stub = exit_of(p);
    if (!stub && came_round(p)) stub = exit_zero(p);
  }
  if (stub) c->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)stub;
  if (stub || ++walk.steps > walk.most) end_walk(c);
  if (!stub && !walk.on) walk.rest = 2 * now() - walk.began; /* half the time is the program's */
}

void pc_compiled_start(void *bottom) { walk.bottom = bottom; }

void pc_compiled_enough(void) { walk.enough = 1; }

void pc_compiled_leave(void *context) {
  ucontext_t *c = context;
  struct sigaction sa;
  int before = errno;
  if (walk.on || now() < walk.rest) return;
  find_mappings();
  if (is_running(c)) {
    walk.began = now();
    walk.mark = NULL;
    walk.next_mark = 1;
    walk.enough = walk.heads = 0;
    walk.steps = 0;
    walk.most = within((code)(uintptr_t)c->uc_mcontext.gregs[REG_RIP], 1) ? MOST_STEPS : STEPS_OUTSIDE;
    memset(&sa, 0, sizeof sa);
    sa.sa_sigaction = on_step;
    sa.sa_flags = SA_SIGINFO | SA_RESTART;
    sigfillset(&sa.sa_mask);
    if (sigaction(SIGTRAP, &sa, &walk.before) == 0) {
      walk.on = 1;
      c->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
    }
  }
  errno = before;
}

#else

void pc_compiled_start(void *bottom) { (void)bottom; }
void pc_compiled_enough(void) {}
void pc_compiled_leave(void *context) { (void)context; }

#endif
