#include "tensor/backend.h"

#include <stdlib.h>
#include <string.h>

static const pc_backend ref = {.name = "ref",
                               .tier = PC_TIER_REF,
                               .kernels = {
#define KERNEL(name, call, help)     .name = pc_ref_##name,
#define KERNEL_REF(name, call, help) .name = pc_ref_##name,
#define KERNEL_MAY(name, call, help)
#include "tensor/kernels.def"
#undef KERNEL
#undef KERNEL_REF
#undef KERNEL_MAY
                               }};

static const pc_backend base = {.name = "base",
                                .tier = PC_TIER_BASE,
                                .kernels = {
#define KERNEL(name, call, help) .name = pc_host_##name,
#define KERNEL_REF(name, call, help)
#define KERNEL_MAY(name, call, help) .name = pc_host_##name,
#include "tensor/kernels.def"
#undef KERNEL
#undef KERNEL_REF
#undef KERNEL_MAY
                                }};

/* The same code: its loops and the products under it are compiled for each. */
static const pc_backend avx2 = {.name = "avx2", .below = "base", .tier = PC_TIER_AVX2};
static const pc_backend avx512 = {.name = "avx512", .below = "avx2", .tier = PC_TIER_AVX512};

enum { MAX_BACKENDS = 16 };
typedef struct entry {
  const pc_backend *b;
  pc_kernels all; /* with what it takes from below */
} entry;
static entry table[MAX_BACKENDS];
static int count;       /* the first four are the host's, in the order of pc_tier */
static int chosen = -1; /* one beyond them; -1: the one of pc_cpu_tier() */

static int find(const char *name) {
  for (int i = 0; i < count; i++)
    if (!strcmp(table[i].b->name, name)) return i;
  return -1;
}

static void add(const pc_backend *b, const pc_kernels *below) {
  typedef int any(void);
  enum { ROWS = sizeof(pc_kernels) / sizeof(any *) };
  any *own[ROWS], *from[ROWS];
  memcpy(own, &b->kernels, sizeof own);
  memcpy(from, below, sizeof from);
  for (int i = 0; i < (int)ROWS; i++)
    if (!own[i]) own[i] = from[i];
  table[count].b = b;
  memcpy(&table[count++].all, own, sizeof own);
}

static void ready(void) {
  static const pc_backend *const host[] = {&ref, &base, &avx2, &avx512};
  if (count) return;
  for (int i = 0; i < 4; i++) add(host[i], i ? &table[i - 1].all : &ref.kernels);
}

static int runs_here(const pc_backend *b) { return b->tier <= pc_cpu_best(); }

int pc_backend_register(const pc_backend *b) {
  ready();
  int below = b->below ? find(b->below) : 0;
  if (count == MAX_BACKENDS) return pc_fail(PC_EARG, "backend %s: there are %d already", b->name, MAX_BACKENDS);
  if (find(b->name) >= 0) return pc_fail(PC_EARG, "backend %s is there already", b->name);
  if (below < 0) return pc_fail(PC_EARG, "backend %s: no backend %s to stand on", b->name, b->below);
  add(b, &table[below].all);
  const char *asked = getenv("PERCEPT_TIER");
  return asked && !strcmp(asked, b->name) && runs_here(b) ? pc_backend_use(b->name) : PC_OK;
}

const pc_backend *pc_backend_at(int n) {
  ready();
  for (int i = 0; i < count; i++)
    if (runs_here(table[i].b) && n-- == 0) return table[i].b;
  return NULL;
}

int pc_backend_use(const char *name) {
  char known[256] = "";
  ready();
  int i = find(name);
  if (i >= 0 && runs_here(table[i].b)) {
    chosen = i > PC_TIER_AVX512 ? i : -1;
    return pc_cpu_set_tier(table[i].b->tier);
  }
  for (int k = 0; pc_backend_at(k); k++) {
    size_t at = strlen(known);
    const char *n = pc_backend_at(k)->name;
    if (at + strlen(n) + 3 < sizeof known) strcat(strcpy(known + at, k ? ", " : ""), n);
  }
  return pc_fail(PC_EARG, "backend '%s' is not among those this machine runs: %s", name, known);
}

static const entry *now(void) {
  ready();
  return &table[chosen >= 0 ? chosen : (int)pc_cpu_tier()];
}

const pc_backend *pc_backend_now(void) { return now()->b; }
const pc_kernels *pc_kernels_now(void) { return &now()->all; }

int pc_check_devices(const char *op, pc_tensor *const *in, int nin) {
  const pc_tensor *first = NULL;
  for (int i = 0; i < nin; i++) {
    if (!in[i] || in[i]->weak) continue;
    if (!first) first = in[i];
    if (in[i]->storage->device != first->storage->device)
      return pc_fail(PC_EARG, "%s: input %s lies on %s, input %s on %s; bring them to one device", op,
                     pc_shape_str(first), pc_device_name(first->storage->device), pc_shape_str(in[i]),
                     pc_device_name(in[i]->storage->device));
  }
  pc_device here = now()->b->device;
  if (!first || first->storage->device == here) return PC_OK;
  return pc_fail(PC_EARG, "%s: input %s lies on %s, backend %s works on %s", op, pc_shape_str(first),
                 pc_device_name(first->storage->device), now()->b->name, pc_device_name(here));
}
