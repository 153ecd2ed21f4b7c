/* test_backends.c: one table drives every op through every backend this machine runs: in float32 against the
 * reference. A toy backend proves the seam: it counts calls, delegates to the reference, and every kernel
 * is reached. */
#include "check_main.h"
#include "engine/grad/calls.h"
#include "tensor/backend.h"

/* ---- the toy: kernels that count and hand on ---- */

enum {
#define KERNEL(name, call, help)     AT_##name,
#define KERNEL_REF(name, call, help) AT_##name,
#define KERNEL_MAY(name, call, help)
#include "tensor/kernels.def"
#undef KERNEL
#undef KERNEL_REF
#undef KERNEL_MAY
  ROWS
};
static int calls[ROWS]; /* threads may miss some of each other's: it is a count of whether */

#define KERNEL(name, call, help)          \
  static int toy_##name(struct call *c) { \
    calls[AT_##name]++;                   \
    return pc_ref_##name(c);              \
  }
#define KERNEL_REF KERNEL
#define KERNEL_MAY(name, call, help)
#include "tensor/kernels.def"
#undef KERNEL
#undef KERNEL_REF

static const pc_backend toy = {.name = "toy",
                               .tier = PC_TIER_REF,
                               .kernels = {
#define KERNEL(name, call, help) .name = toy_##name,
#define KERNEL_REF               KERNEL
#include "tensor/kernels.def"
#undef KERNEL
#undef KERNEL_REF
                               }};
static const char *const kernel_names[ROWS] = {
#define KERNEL(name, call, help) #name,
#define KERNEL_REF               KERNEL
#include "tensor/kernels.def"
#undef KERNEL
#undef KERNEL_REF
#undef KERNEL_MAY
};

/* One kernel of its own, the others from base. */
static const pc_backend part = {
    .name = "part", .below = "base", .tier = PC_TIER_BASE, .kernels = {.norm_forward = toy_norm_forward}};

/* ---- runs ---- */

typedef struct results {
  pc_tensor *t[PC_MAX_GRADS];
} results;

static void run(const char *backend, call *c, results *r) {
  *r = (results){{NULL}};
  must(pc_backend_use(backend));
  must(pc_apply(c->op, r->t, c->in, c->nin, c->v, c->nv));
}

static void let_go(results *r) {
  for (int o = 0; o < PC_MAX_GRADS; o++) pc_tensor_release(r->t[o]);
}

/* exactly: to the bit; else as far as float32 goes */
static void same(const call *c, int which, const char *backend, const results *want, const results *got, int exactly) {
  const pc_op_info *row = &pc_ops[c->op];
  for (int o = 0; o < row->nout; o++) {
    const pc_tensor *w = want->t[o], *g = got->t[o];
    if (!w && !g) continue; /* a gradient nobody asked for */
    ck_assert_msg(w && g && pc_same_shape(w, g), "%s: shapes differ between ref and %s", row->name, backend);
    for (int64_t i = 0; i < pc_numel(w); i++) {
      double a = pc_at(w, i), b = pc_at(g, i);
      int fine = (isnan(a) && isnan(b)) || a == b || (!exactly && fabs(a - b) <= 2e-5 + 2e-4 * fabs(a));
      ck_assert_msg(fine, "%s, case %d: %s gives %.8g, ref %.8g", row->name, which + 1, backend, b, a);
    }
  }
}

START_TEST(every_op_on_every_backend) {
  pc_opcode op = (pc_opcode)_i;
  if (!strcmp(pc_ops[op].name, "dropout")) return; /* random */
  for (int k = 0; k < table[op].n; k++) {
    call c;
    results want, got;
    build(&c, op, &table[op].cases[k], PC_F32, 0);
    run("ref", &c, &want);
    for (int b = 1; pc_backend_at(b); b++) {
      const char *name = pc_backend_at(b)->name;
      run(name, &c, &got);
      same(&c, k, name, &want, &got, !strcmp(name, "toy"));
      let_go(&got);
    }
    let_go(&want);
    drop(&c);
  }
  must(pc_backend_use(pc_tier_name(pc_cpu_best())));
}
END_TEST

/* Runs after the others: no kernel is left aside by the ops. */
START_TEST(the_toy_was_reached) {
  for (int i = 0; i < ROWS; i++) ck_assert_msg(calls[i] > 0, "no case of any op reaches kernel %s", kernel_names[i]);
}
END_TEST

START_TEST(what_is_missing_comes_from_below) {
  must(pc_backend_use("part"));
  const pc_kernels *k = pc_kernels_now();
  ck_assert_ptr_eq(k->norm_forward, toy_norm_forward);
  ck_assert_ptr_eq(k->mlp_forward, pc_host_mlp_forward);
  ck_assert_ptr_eq(k->qkv_forward, pc_ref_qkv_forward);
  ck_assert_str_eq(pc_backend_now()->name, "part");
  must(pc_cpu_set_tier(PC_TIER_BASE)); /* a backend that was asked for stays */
  ck_assert_str_eq(pc_backend_now()->name, "part");
  must(pc_backend_use("ref"));
  ck_assert_ptr_eq(pc_kernels_now()->norm_forward, pc_ref_norm_forward);
  ck_assert_ptr_null(pc_kernels_now()->softmax_columns);
  must(pc_backend_use(pc_tier_name(pc_cpu_best())));
}
END_TEST

START_TEST(what_is_refused) {
  static const pc_backend twice = {.name = "avx2"}, flying = {.name = "flying", .below = "nothing"};
  must_fail(pc_backend_use("gpu"), PC_EARG, "backend 'gpu' is not among those this machine runs: ref, base");
  must_fail(pc_backend_register(&twice), PC_EARG, "backend avx2 is there already");
  must_fail(pc_backend_register(&flying), PC_EARG, "backend flying: no backend nothing to stand on");
}
END_TEST

START_TEST(devices_do_not_mix) {
  static const int64_t size[] = {2, 3};
  pc_tensor *in[2], *out[1], *number;
  pc_device there;
  must(pc_device_register(&there, "moon"));
  ck_assert_int_ne(there, PC_CPU);
  ck_assert_str_eq(pc_device_name(PC_CPU), "cpu");
  for (int i = 0; i < 2; i++) must(pc_tensor_zeros(&in[i], PC_F32, 2, size));
  must(pc_tensor_scalar(&number, PC_F32, 1));
  number->weak = 1;
  in[1]->storage->device = there;
  must_fail(pc_apply(PC_OP_add, out, in, 2, NULL, 0), PC_EARG, "add: input (2,3) lies on cpu, input (2,3) on moon");
  in[0]->storage->device = there;
  must_fail(pc_apply(PC_OP_add, out, in, 2, NULL, 0), PC_EARG, "add: input (2,3) lies on moon, backend");
  in[0]->storage->device = in[1]->storage->device = PC_CPU;
  number->storage->device = there; /* numbers lie anywhere */
  must(pc_apply(PC_OP_add, out, (pc_tensor *[]){in[0], number}, 2, NULL, 0));
  pc_tensor *all[] = {in[0], in[1], number, out[0]};
  for (int i = 0; i < 4; i++) pc_tensor_release(all[i]);
}
END_TEST

int main(void) {
  if (pc_backend_register(&toy) < 0 || pc_backend_register(&part) < 0) return EXIT_FAILURE;
  setenv("CK_FORK", "no", 1); /* the counts are one process's */
  Suite *s = suite_create("backends");
  TCase *tc = tcase_create("table"), *rest = tcase_create("seam");
  tcase_set_timeout(tc, 120);
  tcase_add_loop_test(tc, every_op_on_every_backend, 0, PC_OP_COUNT);
  tcase_add_test(rest, the_toy_was_reached);
  tcase_add_test(rest, what_is_missing_comes_from_below);
  tcase_add_test(rest, what_is_refused);
  tcase_add_test(rest, devices_do_not_mix);
  suite_add_tcase(s, tc);
  suite_add_tcase(s, rest);
  return run_suite(s);
}
