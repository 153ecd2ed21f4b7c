/* node.h: the tape's insides, shared by apply.c and tape.c.
 *
 * Invariants
 *  - A node's inputs were made before it: seq numbers order the graph, and
 *    running nodes by falling seq is a valid order for backward.
 *  - A tensor with history owns one pc_autograd; edges of later nodes hold
 *    references to it, it holds a reference to its node. A node holds no
 *    reference to its outputs (saved outputs are aliases without history), so
 *    there is no cycle and the graph dies with its last result.
 *  - After backward without retain_graph a node is `freed`: nothing saved, but
 *    still there to give a clear message.
 */
#ifndef PC_GRAD_NODE_H
#define PC_GRAD_NODE_H

#include "grad/op.h"

struct pc_autograd {
  int refs;
  int index;                    /* which output of node */
  pc_node *node;                /* NULL: a leaf */
  pc_tensor *grad;              /* of a leaf */
  const struct pc_final *final; /* of a leaf: what waits for its gradient (final.h), borrowed */
};

typedef struct pc_input {
  struct pc_autograd *edge; /* where the gradient goes; NULL: not wanted */
  pc_tensor *saved;         /* if the row saves it */
  uint32_t version;         /* of saved's storage when it was saved */
  uint8_t dtype;
  pc_shape shape;
} pc_input;

typedef struct pc_output {
  pc_tensor *saved; /* alias without history */
  uint32_t version;
  uint8_t dtype;
  pc_shape shape;
} pc_output;

struct pc_node {
  int refs;
  int op; /* pc_opcode, or -1: custom */
  uint64_t seq;
  int nin, nout, nv;
  int freed;
  int last;      /* during backward: the graph is not kept */
  uint64_t want; /* during backward: bit i: the gradient of input i is asked for (inputs past 64 always) */
  pc_custom custom;
  pc_input *in;
  pc_val *v;
  char *where;   /* anomaly mode: the caller's line */
  pc_node *dead; /* link of the list of nodes being released */
  pc_output out[PC_MAX_OUT];
};

const char *pc_node_name(const pc_node *n);
pc_node *pc_node_retain(pc_node *n);
void pc_node_release(pc_node *n);
void pc_node_forget(pc_node *n); /* lets go of everything saved */
void pc_autograd_release(struct pc_autograd *ad);
/* The ad of a leaf that wants a gradient, made when missing. */
struct pc_autograd *pc_leaf_ad(pc_tensor *leaf);
int pc_has_nan(const pc_tensor *t);

#endif
