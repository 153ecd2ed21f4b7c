/* table.c: the op table as data. */
#include "grad/op.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "grad/ops_nn.h"
#include "grad/rows.h"

const pc_op_info pc_ops[PC_OP_COUNT] = {
#define OP(name, nout, flags, sig, forward, backward, tol, help) \
  {#name, nout, flags, sig, forward, backward, tol, help},
#include "grad/ops.def"
#undef OP
};

/* One block for all rows, for the life of the program. */
static const pc_signature *signatures[PC_OP_COUNT];

static int parse_all(void) {
  size_t bytes = 0;
  for (int i = 0; i < PC_OP_COUNT; i++) bytes += pc_signature_bytes(pc_ops[i].sig);
  char *at = malloc(bytes);
  if (!at) return pc_fail(PC_ENOMEM, "out of memory for the table of operations");
  for (int i = PC_OP_COUNT - 1; i >= 0; i--) { /* the first row last: it says that all are there */
    pc_signature *s;
    int rc = pc_signature_parse(&s, at, pc_ops[i].sig);
    if (rc < 0) fprintf(stderr, "percept: %s: %s\n", pc_ops[i].name, pc_error_text());
    assert(rc == PC_OK);
    signatures[i] = s;
    at += pc_signature_bytes(pc_ops[i].sig);
  }
  return PC_OK;
}

const pc_signature *pc_op_signature(pc_opcode op) {
  if (!signatures[0] && parse_all() < 0) return NULL;
  return signatures[op];
}
