/* parallel.h: the one way to use threads: OpenMP, over ranges.
 *
 * pc_parallel_for splits [0,n) into chunks of `grain` items and runs fn on
 * each. The chunk bounds depend on n and grain only, never on the number of
 * threads, so a kernel that reduces per chunk and adds the chunks in order
 * gives the same bits for any thread count. Runs on the caller's thread when
 * there is one chunk, one thread, or when already inside a parallel region.
 */
#ifndef PC_BASE_PARALLEL_H
#define PC_BASE_PARALLEL_H

#include <stdint.h>

enum { PC_MAX_THREADS = 1024 }; /* OpenMP ends the process when it gets no more from the system */

int pc_num_threads(void);
/* n >= 1 (less counts as 1); returns n. Also keeps BLAS on one thread: tiles are
 * ours to distribute. At start: OMP_NUM_THREADS, else the CPUs this process may use. */
int pc_set_num_threads(int n);

/* Work that may be given up, because all that it writes is dropped with an error: between begin and end (they nest; one
 * thread at a time) pc_parallel_for leaves out the chunks that are left once a signal has come, and long loops of
 * one chunk ask pc_should_stop(). end returns PC_EINTR if something was left out, else rc. What changes a tensor in
 * place, or a parameter, stands outside: it is done whole or not at all. */
void pc_stoppable_begin(void);
int pc_stoppable_end(int rc);
int pc_should_stop(void);

typedef void (*pc_range_fn)(int64_t begin, int64_t end, void *ctx);
void pc_parallel_for(int64_t n, int64_t grain, pc_range_fn fn, void *ctx);

/* Operations (additions and multiplications) below which a second thread costs more than it brings: about 15 us. */
#define PC_SERIAL_FLOPS 1.5e6

#endif
