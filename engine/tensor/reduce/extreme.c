/* extreme.c: the largest and the smallest, and where they are: max, min, amax,
 * amin, argmax, argmin. Each dtype is compared as it is, so that whole numbers beyond
 * 2^53 stay apart. The first of equals is taken; a NaN wins, as in NumPy. Long rows
 * are searched in pieces of fixed length, joined in order.
 */
#include "base/alloc.h"
#include "base/parallel.h"
#include "tensor/reduce/reduce.h"
#include "tensor/reduce/rows.h"

enum { PIECE = 1 << 15, LANES = 8 };

typedef int64_t find_fn(const void *p, int64_t n); /* position from 0; n >= 1 */

#define T          float
#define PC_T(name) name##_f32
#include "tensor/reduce/extreme.inc"
#define T          double
#define PC_T(name) name##_f64
#include "tensor/reduce/extreme.inc"
#define T          int64_t
#define PC_T(name) name##_i64
#include "tensor/reduce/extreme.inc"
#define T          int32_t
#define PC_T(name) name##_i32
#include "tensor/reduce/extreme.inc"
#define T          uint8_t
#define PC_T(name) name##_u8
#include "tensor/reduce/extreme.inc"

static find_fn *const finders[2][PC_DTYPE_COUNT] = {
    {smallest_f32, smallest_f64, smallest_i64, smallest_i32, smallest_u8},
    {largest_f32, largest_f64, largest_i64, largest_i32, largest_u8}};

typedef struct find_job {
  const char *x; /* (rows, n) */
  int64_t n;
  size_t width;
  find_fn *find;
  pc_tensor *y, *index; /* either may be NULL */
  int64_t row;          /* of a long row: which, and the best of each piece */
  int64_t *part;
  char *best;
} find_job;

static void found(const find_job *j, int64_t row, int64_t at) {
  if (j->index) pc_i64(j->index)[row] = at + PC_INDEX_BASE;
  if (!j->y) return;
  const char *from = j->x + j->width * (size_t)(row * j->n + at);
  char *to = (char *)pc_data(j->y) + j->width * (size_t)row;
  for (size_t b = 0; b < j->width; b++) to[b] = from[b];
}

static void find_rows(int64_t begin, int64_t end, void *ctx) {
  const find_job *j = ctx;
  for (int64_t i = begin; i < end; i++) found(j, i, j->find(j->x + j->width * (size_t)(i * j->n), j->n));
}

static void find_pieces(int64_t begin, int64_t end, void *ctx) {
  const find_job *j = ctx;
  for (int64_t k = begin; k < end; k++) {
    int64_t from = k * PIECE, left = j->n - from;
    const char *x = j->x + j->width * (size_t)(j->row * j->n + from);
    int64_t at = j->find(x, left < PIECE ? left : PIECE);
    j->part[k] = from + at;
    for (size_t b = 0; b < j->width; b++) j->best[j->width * (size_t)k + b] = x[j->width * (size_t)at + b];
  }
}

static int find_all(find_job *j, int64_t rows) {
  int64_t n = (j->n + PIECE - 1) / PIECE, grain = PIECE / (j->n > 0 ? j->n : 1);
  if (n <= 1) {
    pc_parallel_for(rows, grain > 0 ? grain : 1, find_rows, j);
    return PC_OK;
  }
  j->part = pc_calloc((size_t)n, sizeof(int64_t)); /* places that may be read, also when a signal leaves some out */
  j->best = pc_malloc(j->width * (size_t)n);
  if (j->part && j->best)
    for (j->row = 0; j->row < rows && !pc_should_stop(); j->row++) {
      pc_parallel_for(n, 1, find_pieces, j);
      found(j, j->row, j->part[j->find(j->best, n)]); /* the first of the pieces' equals is the first of all */
    }
  int rc = j->part && j->best ? PC_OK : PC_ENOMEM;
  pc_free(j->part);
  pc_free(j->best);
  return rc;
}

/* values and positions (either may be NULL) over dims */
static int extreme(const char *op, pc_tensor **values, pc_tensor **index, const pc_tensor *x, const pc_val *dims,
                   const pc_val *keepdim, int largest) {
  uint8_t reduced[PC_MAX_DIM];
  pc_rows r = {0};
  if (values) *values = NULL;
  if (index) *index = NULL;
  int rc = pc_reduced_dims(op, x, dims, reduced);
  if (rc == PC_OK) rc = pc_rows_init(&r, x, reduced, keepdim->set && keepdim->i != 0);
  if (rc == PC_OK && r.n == 0 && r.rows > 0)
    rc = pc_fail(PC_ESHAPE, "%s: nothing to choose from in a tensor of shape %s", op, pc_shape_str(x));
  if (rc == PC_OK && values) rc = pc_tensor_empty(values, (pc_dtype)x->dtype, r.ndim, r.size);
  if (rc == PC_OK && index) rc = pc_tensor_empty(index, PC_I64, r.ndim, r.size);
  if (rc == PC_OK) {
    find_job j = {.x = pc_data(r.x), .n = r.n, .width = pc_dtype_size((pc_dtype)x->dtype)};
    j.find = finders[largest][x->dtype];
    j.y = values ? *values : NULL;
    j.index = index ? *index : NULL;
    rc = find_all(&j, r.rows);
  }
  if (rc < 0 && values) pc_tensor_release(*values), *values = NULL;
  if (rc < 0 && index) pc_tensor_release(*index), *index = NULL;
  pc_rows_done(&r);
  return rc;
}

static pc_val one_dim(const pc_val *v) { /* dim as dims; unset: everything */
  pc_val dims = *v;
  if (dims.set) dims.nl = 1, dims.l[0] = dims.i;
  return dims;
}

#define EXTREME(name, values, index, dims, largest)                                    \
  int pc_fwd_##name(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) { \
    pc_val d = dims;                                                                   \
    return extreme(#name, values, index, in[0], &d, &v[1], largest);                   \
  }
EXTREME(max, &out[0], &out[1], one_dim(v), 1)
EXTREME(min, &out[0], &out[1], one_dim(v), 0)
EXTREME(argmax, NULL, &out[0], one_dim(v), 1)
EXTREME(argmin, NULL, &out[0], one_dim(v), 0)
EXTREME(amax, &out[0], NULL, v[0], 1)
EXTREME(amin, &out[0], NULL, v[0], 0)
