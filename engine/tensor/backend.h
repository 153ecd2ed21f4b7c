/* backend.h: which code computes: kernels in a table, a row a kernel, a column a backend.
 *
 * A forward function has two halves. Its shape rule checks inputs, says the shapes of the results and
 * allocates them; a kernel fills them. Kernels are named in kernels.def, and each takes one struct: what
 * to compute, and memory that is there. They fail for lack of memory only.
 *   - `ref` is backend 0: plain loops, every kernel. What it computes is what the kernel means.
 *   - base, avx2, avx512 are the host's fast kernels, compiled for an instruction set each (pc_tier).
 *   - A backend has some kernels and takes the others from the one below it, in the end from ref.
 * One backend runs at a time: the best of this machine, or what PERCEPT_TIER names. What is packed by one
 * belongs to it. Backends are registered before they are used, from one thread.
 *
 * Storage says whose memory it is (pc_device); an op whose operands lie on different devices is refused.
 */
#ifndef PC_TENSOR_BACKEND_H
#define PC_TENSOR_BACKEND_H

#include "base/cpu.h"
#include "tensor/tensor.h"

/* What they are called with stands in the headers of the rooms. */
#define KERNEL(name, call, help)     struct call;
#define KERNEL_REF(name, call, help) struct call;
#define KERNEL_MAY(name, call, help) struct call;
#include "tensor/kernels.def"
#undef KERNEL
#undef KERNEL_REF
#undef KERNEL_MAY

/* The kernels of the rooms; the linker misses what a row has not got. */
#define KERNEL(name, call, help)     int pc_ref_##name(struct call *), pc_host_##name(struct call *);
#define KERNEL_REF(name, call, help) int pc_ref_##name(struct call *);
#define KERNEL_MAY(name, call, help) int pc_host_##name(struct call *);
#include "tensor/kernels.def"
#undef KERNEL
#undef KERNEL_REF
#undef KERNEL_MAY

/* NULL: the backend has none of its own. */
typedef struct pc_kernels {
#define KERNEL(name, call, help)     int (*name)(struct call *);
#define KERNEL_REF(name, call, help) int (*name)(struct call *);
#define KERNEL_MAY(name, call, help) int (*name)(struct call *);
#include "tensor/kernels.def"
#undef KERNEL
#undef KERNEL_REF
#undef KERNEL_MAY
} pc_kernels;

typedef struct pc_backend {
  const char *name;
  const char *below; /* the backend whose kernels it takes where it has none; NULL: ref */
  pc_device device;  /* whose memory its kernels work in */
  pc_tier tier;      /* what loops that are compiled for several instruction sets run meanwhile */
  pc_kernels kernels;
} pc_backend;

/* Adds a backend, which must outlive the program; its `below` is there already. */
int pc_backend_register(const pc_backend *b);
/* Makes it the one that runs; PC_EARG, with the names there are, for an unknown one or one this CPU cannot run. */
int pc_backend_use(const char *name);
const pc_backend *pc_backend_now(void);
const pc_backend *pc_backend_at(int i); /* 0: ref; NULL past the last. Those this CPU cannot run are left out */

/* Whether the inputs of an op (NULL: not given) lie where the backend works: all on one device, and on its. Numbers of
 * the language above lie anywhere. PC_EARG naming both. */
int pc_check_devices(const char *op, pc_tensor *const *in, int nin);

/* The table of the backend that runs, with what it takes from below filled in. */
const pc_kernels *pc_kernels_now(void);

#endif
