#include "base/alloc.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"

/* A block is a 64-byte head followed by the caller's bytes. Classes: multiples
 * of 64 up to 512 bytes, then 8 per doubling (at most 12.5 % apart), from
 * MAP_FROM on 16.
 *
 * What the cache may hold: a freed block stays while (live + cached) block
 * bytes are within half as much again of the largest live total seen, plus
 * SLACK. The oldest large blocks go first. So a program whose peak is flat has
 * a flat footprint, and a step that repeats finds all its blocks again. Where a
 * new large block would make the footprint more than that largest total, a free
 * one of up to WIDER classes more serves: backward's gradients take the places of
 * the activations it has done with; and where there is none, what is cached past
 * SPARE is given back first. */
enum { HEAD = 64, MAP_TOP = 18, MAP_FROM = 1 << MAP_TOP, HUGE_FROM = 4 << 20, HUGE = 2 << 20 };
enum { EVICT_FROM = 64 << 10, WIDER = 12 };
#define SLACK  ((int64_t)32 << 20)
#define SPARE  ((int64_t)32 << 20)
#define MAGIC  0x70636d61u
#define NCLASS 640

typedef struct block {
  size_t bytes;                /* asked for */
  uint32_t magic;              /* MAGIC while handed out */
  int32_t class;               /* -1: made past the cache */
  struct block *next, *prev;   /* free list of the class, newest first */
  struct block *newer, *older; /* all cached blocks from EVICT_FROM up, by age */
  uint32_t shift;              /* mapped blocks: distance from the start of the mapping */
  uint32_t fresh;              /* mapped just now: all zero */
} block;

_Static_assert(sizeof(block) <= HEAD, "the head must fit in front of an aligned block");

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
  block *free[NCLASS];
  block *newest, *oldest;
  pc_alloc_stats st;
  int64_t held, held_peak; /* block bytes handed out */
  int64_t limit, fail_in;
  int cache_off; /* 0 not known yet, 1 cached, 2 not */
} a;

#if defined(__SANITIZE_ADDRESS__)
enum { CACHE_DEFAULT = 2 };
#else
enum { CACHE_DEFAULT = 1 };
#endif

/* ---- classes ---- */

enum { MAPPED = 8 + (MAP_TOP - 9) * 8 }; /* the first class past MAP_FROM */

static int class_of(size_t n) {
  if (n <= 512) return n ? (int)((n - 1) / 64) : 0; /* 0..7: 64..512 */
  int top = 63 - __builtin_clzll(n - 1);            /* 2^top <= n-1 < 2^(top+1), top >= 9 */
  if (top < MAP_TOP) return 8 + (top - 9) * 8 + (int)((n - 1) >> (top - 3) & 7);
  return MAPPED + (top - MAP_TOP) * 16 + (int)((n - 1) >> (top - 4) & 15);
}

static size_t class_bytes(int c) {
  if (c < 8) return 64 * (size_t)(c + 1);
  int parts = c < MAPPED ? 8 : 16, from = c < MAPPED ? 8 : MAPPED,
      top = (c < MAPPED ? 9 : MAP_TOP) + (c - from) / parts;
  return ((size_t)1 << top) + ((size_t)1 << top) / (size_t)parts * (size_t)((c - from) % parts + 1);
}

/* ---- system ---- */

static block *map_block(size_t bytes) {
  size_t total = bytes + 4096 /* classes this large are multiples of a page */,
         room = bytes >= HUGE_FROM ? total + HUGE : total;
  char *m = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (m == MAP_FAILED) return NULL;
  if (room != total) { /* keep an aligned part only, so that huge pages fit */
    size_t lead = (HUGE - ((uintptr_t)m & (HUGE - 1))) & (HUGE - 1);
    if (lead) munmap(m, lead);
    if (room - lead > total) munmap(m + lead + total, room - lead - total);
    m += lead;
    madvise(m, total, MADV_HUGEPAGE);
  }
  /* The head ends the first page, so data begins at a page boundary. */
  block *b = (block *)(m + 4096 - HEAD);
  b->shift = 4096 - HEAD;
  b->fresh = 1;
  return b;
}

static block *system_block(size_t bytes, int class) {
  block *b = NULL;
  if (class >= 0 && bytes >= MAP_FROM) {
    b = map_block(bytes);
  } else {
    void *p;
    if (posix_memalign(&p, 64, HEAD + bytes)) return NULL;
    b = p;
    b->shift = 0;
    b->fresh = 0;
  }
  if (b) b->class = class;
  return b;
}

static void system_free(block *b) {
  if (b->class >= 0 && class_bytes(b->class) >= MAP_FROM)
    munmap((char *)b - b->shift, class_bytes(b->class) + 4096);
  else
    free(b);
}

/* ---- free lists; under the lock ---- */

static void unlink_cached(block *b) {
  int64_t size = (int64_t)class_bytes(b->class);
  if (b->prev)
    b->prev->next = b->next;
  else
    a.free[b->class] = b->next;
  if (b->next) b->next->prev = b->prev;
  a.st.cached -= size;
  if (size < EVICT_FROM) return;
  if (b->newer)
    b->newer->older = b->older;
  else
    a.newest = b->older;
  if (b->older)
    b->older->newer = b->newer;
  else
    a.oldest = b->newer;
}

static void link_cached(block *b) {
  int64_t size = (int64_t)class_bytes(b->class);
  b->prev = NULL;
  b->next = a.free[b->class];
  if (b->next) b->next->prev = b;
  a.free[b->class] = b;
  a.st.cached += size;
  if (size < EVICT_FROM) return;
  b->newer = NULL;
  b->older = a.newest;
  if (a.newest)
    a.newest->newer = b;
  else
    a.oldest = b;
  a.newest = b;
}

static void evict_to(int64_t room) {
  while (a.oldest && a.held + a.st.cached > room) {
    block *b = a.oldest;
    unlink_cached(b);
    system_free(b);
  }
}

static int cache_on(void) {
  if (!a.cache_off) {
    const char *e = getenv("PERCEPT_NO_CACHE");
    a.cache_off = e && *e && *e != '0' ? 2 : CACHE_DEFAULT;
  }
  return a.cache_off == 1;
}

/* ---- the gate: fault injection and the limit; under the lock ---- */

static int gate(int64_t grow) {
  if ((a.fail_in > 0 && --a.fail_in == 0) || (a.fail_in < 0 && (a.fail_in == -1 || ++a.fail_in == 0)))
    return pc_fail(PC_ENOMEM, "out of memory (injected): %lld bytes", (long long)grow);
  if (a.limit > 0 && a.st.live + grow > a.limit)
    return pc_fail(PC_ENOMEM, "out of memory: %lld bytes live, %lld more wanted, the memory limit is %lld",
                   (long long)a.st.live, (long long)grow, (long long)a.limit);
  return PC_OK;
}

static void count(int64_t grow) {
  a.st.live += grow;
  if (a.st.live > a.st.peak) a.st.peak = a.st.live;
  if (grow > 0) a.st.total += grow;
}

static int64_t block_size(const block *b) { return b->class >= 0 ? (int64_t)class_bytes(b->class) : (int64_t)b->bytes; }

/* A free block for this class, or a wider one; NULL: none. */
static block *cached_block(int class) {
  int most = class;
  int64_t size = (int64_t)class_bytes(class);
  if (size >= MAP_FROM && a.held + a.st.cached + size > a.held_peak) most = class + WIDER;
  for (int c = class; c <= most && c < NCLASS; c++)
    if (a.free[c]) return a.free[c];
  return NULL;
}

static void *take(size_t bytes, int zero) {
  block *b = NULL;
  if (bytes > (size_t)1 << 46) {
    pc_fail(PC_ENOMEM, "out of memory: %zu bytes wanted", bytes);
    return NULL;
  }
  pthread_mutex_lock(&lock);
  int class = cache_on() ? class_of(bytes) : -1;
  if (gate((int64_t)bytes) < 0) {
    pthread_mutex_unlock(&lock);
    return NULL;
  }
  if (class >= 0 && (b = cached_block(class))) {
    unlink_cached(b);
    b->fresh = 0;
  } else {
    size_t size = class >= 0 ? class_bytes(class) : bytes;
    if (size >= MAP_FROM) evict_to(a.held_peak + SPARE - (int64_t)size);
    b = system_block(size, class);
    if (!b && a.st.cached) { /* give back what is kept, then try once more */
      evict_to(0);
      b = system_block(size, class);
    }
  }
  if (!b) {
    int64_t live = a.st.live;
    pthread_mutex_unlock(&lock);
    pc_fail(PC_ENOMEM, "out of memory: %lld bytes live, %zu more wanted", (long long)live, bytes);
    return NULL;
  }
  b->bytes = bytes;
  b->magic = MAGIC;
  a.held += block_size(b);
  if (a.held > a.held_peak) a.held_peak = a.held;
  a.st.calls++;
  count((int64_t)bytes);
  pthread_mutex_unlock(&lock);
  void *p = (char *)b + HEAD;
  if (zero && !b->fresh) memset(p, 0, bytes);
  return p;
}

static block *block_of(void *p) {
  block *b = (block *)((char *)p - HEAD);
  if (b->magic != MAGIC) __builtin_trap(); /* freed twice, or not ours: a broken invariant */
  return b;
}

/* ---- interface ---- */

void *pc_malloc(size_t bytes) { return take(bytes, 0); }

void *pc_calloc(size_t n, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(n, size, &bytes)) {
    pc_fail(PC_ENOMEM, "out of memory: %zu items of %zu bytes", n, size);
    return NULL;
  }
  return take(bytes, 1);
}

void pc_free(void *p) {
  if (!p) return;
  block *b = block_of(p);
  b->magic = 0;
  pthread_mutex_lock(&lock);
  a.held -= block_size(b);
  count(-(int64_t)b->bytes);
  if (b->class < 0 || class_bytes(b->class) > (size_t)PC_ALLOC_CACHE_MAX) {
    pthread_mutex_unlock(&lock);
    system_free(b);
    return;
  }
  link_cached(b);
  evict_to(a.held_peak + a.held_peak / 2 + SLACK);
  pthread_mutex_unlock(&lock);
}

void *pc_realloc(void *p, size_t bytes) {
  if (!p) return pc_malloc(bytes);
  block *b = block_of(p);
  if (b->class >= 0 && bytes <= class_bytes(b->class) && bytes >= class_bytes(b->class) / 2) {
    int64_t grow = (int64_t)bytes - (int64_t)b->bytes;
    pthread_mutex_lock(&lock);
    int rc = grow > 0 ? gate(grow) : PC_OK;
    if (rc == PC_OK) {
      b->bytes = bytes;
      count(grow);
    }
    pthread_mutex_unlock(&lock);
    return rc == PC_OK ? p : NULL;
  }
  void *q = pc_malloc(bytes);
  if (!q) return NULL;
  memcpy(q, p, b->bytes < bytes ? b->bytes : bytes);
  pc_free(p);
  return q;
}

char *pc_strdup(const char *s) {
  size_t n = strlen(s) + 1;
  char *p = pc_malloc(n);
  if (p) memcpy(p, s, n);
  return p;
}

void pc_alloc_get_stats(pc_alloc_stats *out) {
  pthread_mutex_lock(&lock);
  *out = a.st;
  pthread_mutex_unlock(&lock);
}

int64_t pc_alloc_total(void) { return __atomic_load_n(&a.st.total, __ATOMIC_RELAXED); }

void pc_alloc_reset_peak(void) {
  pthread_mutex_lock(&lock);
  a.st.peak = a.st.live;
  pthread_mutex_unlock(&lock);
}

void pc_alloc_trim(void) {
  pthread_mutex_lock(&lock);
  for (int c = 0; c < NCLASS; c++)
    while (a.free[c]) {
      block *b = a.free[c];
      unlink_cached(b);
      system_free(b);
    }
  a.held_peak = a.held;
  pthread_mutex_unlock(&lock);
}

int64_t pc_alloc_fail_nth(int64_t nth) {
  pthread_mutex_lock(&lock);
  int64_t left = a.fail_in >= 0 ? a.fail_in : -a.fail_in - 1;
  a.fail_in = nth;
  pthread_mutex_unlock(&lock);
  return left;
}

void pc_alloc_set_limit(int64_t bytes) {
  pthread_mutex_lock(&lock);
  a.limit = bytes;
  pthread_mutex_unlock(&lock);
}

int64_t pc_alloc_limit(void) { return __atomic_load_n(&a.limit, __ATOMIC_RELAXED); }

int64_t pc_alloc_mark(void) {
  pthread_mutex_lock(&lock);
  int64_t peak = a.st.peak;
  a.st.peak = a.st.live;
  pthread_mutex_unlock(&lock);
  return peak;
}

int64_t pc_alloc_measure(int64_t mark) {
  pthread_mutex_lock(&lock);
  int64_t most = a.st.peak;
  if (mark > most) a.st.peak = mark;
  pthread_mutex_unlock(&lock);
  return most;
}

int pc_alloc_parse_bytes(int64_t *out, const char *text) {
  static const char units[] = "KMGT";
  char *end;
  double v = strtod(text, &end);
  int none = end == text;
  const char *unit = *end ? strchr(units, *end >= 'a' ? *end - 'a' + 'A' : *end) : NULL;
  if (unit) {
    for (int i = 0; i <= (int)(unit - units); i++) v *= 1024;
    end++;
    if (*end == 'i') end++; /* MiB is what is meant */
    if (*end == 'B' || *end == 'b') end++;
  }
  if (none || *end || !(v >= 0) || v > 9e15)
    return pc_fail(PC_EARG, "'%s' is no number of bytes; write 65536, 512M or 1.5G", text);
  *out = (int64_t)v;
  return PC_OK;
}
