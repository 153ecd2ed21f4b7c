/* alloc.h: the one allocator. Every byte the engine owns comes from here.
 *
 * Blocks are 64-byte aligned. Freed blocks of up to PC_ALLOC_CACHE_MAX bytes
 * are kept in size-class free lists and handed out again, so that a training
 * step touches no fresh page after the first one (first touch costs 2.4 GB/s,
 * reuse costs nothing). The cache counts as neither live nor peak; its bytes
 * are in `cached`. Live and cached blocks together stay within 1.5 times the
 * largest live total seen + 32 MiB; the longest unused go first.
 * Large blocks ask for huge pages. PERCEPT_NO_CACHE=1 (and any build with the
 * address sanitizer) frees at once, so that tools see a use after free.
 * Thread-safe. Functions return NULL on failure and set the last error.
 */
#ifndef PC_BASE_ALLOC_H
#define PC_BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

#define PC_ALLOC_CACHE_MAX (1 << 30)

typedef struct pc_alloc_stats {
  int64_t live;   /* bytes handed out and not yet freed */
  int64_t peak;   /* largest `live` since start or pc_alloc_reset_peak() */
  int64_t cached; /* bytes kept in free lists */
  int64_t total;  /* bytes handed out since start: what the collector follows */
  int64_t calls;  /* allocations since start */
} pc_alloc_stats;

void *pc_malloc(size_t bytes);          /* never NULL for bytes == 0 unless failing */
void *pc_calloc(size_t n, size_t size); /* zeroed; overflow of n*size fails */
void *pc_realloc(void *p, size_t bytes);
void pc_free(void *p); /* accepts NULL */
char *pc_strdup(const char *s);

void pc_alloc_get_stats(pc_alloc_stats *out);
int64_t pc_alloc_total(void); /* stats.total alone, cheap */
void pc_alloc_reset_peak(void);
void pc_alloc_trim(void); /* gives the cached blocks back to the system */

/* Fault injection: the nth allocation from now on (1 = next) fails, once; -n: the nth and all that follow. 0 switches
 * it off. Returns how many the order before was still waiting for; 0: it came to a failure. Also: a hard limit on live
 * bytes (0 = none). */
int64_t pc_alloc_fail_nth(int64_t nth);
void pc_alloc_set_limit(int64_t bytes);
int64_t pc_alloc_limit(void); /* 0: none */
/* The largest `live` while something runs, with the peak since start kept: mark, run, measure.
 *   int64_t peak = pc_alloc_mark(); ...; int64_t most = pc_alloc_measure(peak); */
int64_t pc_alloc_mark(void);
int64_t pc_alloc_measure(int64_t mark);
/* "512M", "1.5G", "65536": bytes with an optional K, M, G or T (of 1024); PC_EARG otherwise. */
int pc_alloc_parse_bytes(int64_t *out, const char *text);

#endif
