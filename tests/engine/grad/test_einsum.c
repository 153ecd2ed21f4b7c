/* test_einsum.c: einsum against nested loops over all labels; gradients; messages. */
#include "engine/tensor/brute.h"

#include <ctype.h>

#include "grad/einsum.h"
#include "options.h"

#define CHECK(...) WITH(pc_gradcheck_opts, PC_GRADCHECK_OPTIONS, __VA_ARGS__)

/* Value by the definition: the sum over every letter, all sizes below 5. */
static double define(const char *eq, int n, pc_tensor *const *t, const int64_t *size, const int64_t *at) {
  double p = 1;
  const char *c = eq;
  for (int i = 0; i < n; i++) {
    int64_t k = 0;
    int d = 0;
    for (; islower((unsigned char)*c); c++, d++) {
      int64_t x = t[i]->size[d] == 1 ? 0 : at[*c - 'a'];
      k = k * t[i]->size[d] + x;
    }
    p *= pc_at(t[i], k);
    c++;
  }
  (void)size;
  return p;
}

static void check(const char *eq, int n, pc_tensor *const *t, const char *out) {
  int64_t size[26] = {0}, at[26] = {0}, total = 1;
  const char *c = eq;
  for (int i = 0; i < n; i++, c++)
    for (int d = 0; islower((unsigned char)*c); c++, d++)
      if (t[i]->size[d] > size[*c - 'a']) size[*c - 'a'] = t[i]->size[d];
  for (int l = 0; l < 26; l++) total *= size[l] ? size[l] : 1;
  pc_scope s = {0};
  pc_tensor *y = pc_einsum(&s, eq, n, t);
  ck_assert_msg(y != NULL, "%s: %s", eq, pc_error_text());
  ck_assert_int_eq(y->ndim, (int)strlen(out));
  double *want = calloc((size_t)pc_numel(y) + 1, sizeof *want);
  for (int64_t k = 0; k < total; k++) {
    int64_t r = k, o = 0;
    for (int l = 0; l < 26; l++)
      if (size[l]) at[l] = r % size[l], r /= size[l];
    for (const char *q = out; *q; q++) o = o * size[*q - 'a'] + at[*q - 'a'];
    want[o] += define(eq, n, t, size, at);
  }
  for (int64_t i = 0; i < pc_numel(y); i++)
    if (!(fabs(pc_at(y, i) - want[i]) < 1e-11))
      ck_abort_msg("%s: element %lld: %g, not %g", eq, (long long)i, pc_at(y, i), want[i]);
  free(want);
  pc_scope_end(&s, NULL, 0);
}

START_TEST(by_definition) {
  pc_tensor *a = rnd(PC_F64, SIZES(2, 3)), *b = rnd(PC_F64, SIZES(3, 4)), *c = rnd(PC_F64, SIZES(2, 3, 3)),
            *d = rnd_t(PC_F64, SIZES(2, 3, 4)), *v = rnd(PC_F64, SIZES(3)), *one = rnd(PC_F64, SIZES(1, 3));
  check("ij,jk->ik", 2, (pc_tensor *[]){a, b}, "ik");
  check("ij,jk", 2, (pc_tensor *[]){a, b}, "ik");
  check("ij,jk->ki", 2, (pc_tensor *[]){a, b}, "ki");
  check("ij->ji", 1, &a, "ji");
  check("ij->", 1, &a, "");
  check("ij->j", 1, &a, "j");
  check("bii->b", 1, &c, "b");
  check("bii->bi", 1, &c, "bi");
  check("bij,bjk->bik", 2, (pc_tensor *[]){c, d}, "bik");
  check("bij,bjk,j->kb", 3, (pc_tensor *[]){c, d, v}, "kb");
  check("i,j->ij", 2, (pc_tensor *[]){v, v}, "ij");
  check("i,i->", 2, (pc_tensor *[]){v, v}, "");
  check("i,i->i", 2, (pc_tensor *[]){v, v}, "i");
  check("ij,kj->ik", 2, (pc_tensor *[]){a, one}, "ik");
  check("ij,ij->i", 2, (pc_tensor *[]){a, one}, "i");
  check("ij,kl->i", 2, (pc_tensor *[]){a, b}, "i");
  pc_scope s = {0};
  pc_tensor *y = pc_einsum(&s, "...ij, jk -> ...ik", 2, (pc_tensor *[]){c, b}),
            *z = pc_einsum(&s, "bij,jk->bik", 2, (pc_tensor *[]){c, b});
  ck_assert_msg(y && z, "%s", pc_error_text());
  same(y, z, 1e-14, "ellipsis");
  pc_scope_end(&s, NULL, 0);
  pc_tensor *all[] = {a, b, c, d, v, one};
  for (int i = 0; i < 6; i++) pc_tensor_release(all[i]);
}
END_TEST

static int f(void *ctx, pc_tensor *const *x, int nx, pc_tensor **y) {
  pc_scope s = {0};
  *y = pc_einsum(&s, ctx, nx, x);
  return pc_scope_end(&s, y, 1);
}

START_TEST(gradients) {
  static char *eq[] = {"bij,bjk->ki", "bij,bik->", "bii,bjk->bk", "...ij,...jk->...i"};
  for (int i = 0; i < 4; i++) {
    pc_tensor *x[2] = {rnd(PC_F64, SIZES(2, 3, 3)), rnd(PC_F64, SIZES(2, 3, 3))};
    for (int j = 0; j < 2; j++) must(pc_set_requires_grad(x[j], 1));
    must(pc_gradcheck(f, eq[i], x, 2, &CHECK(.second_order = 1)));
    pc_tensor_release(x[0]);
    pc_tensor_release(x[1]);
  }
}
END_TEST

static void complains(const char *eq, int n, pc_tensor *const *t, const char *text) {
  pc_scope s = {0};
  ck_assert_ptr_null(pc_einsum(&s, eq, n, t));
  ck_assert_int_lt(s.rc, 0);
  ck_assert_str_eq(pc_error_text(), text);
  pc_scope_end(&s, NULL, 0);
}

START_TEST(messages) {
  pc_tensor *a = rnd(PC_F64, SIZES(2, 3)), *t[2] = {a, a};
  complains("ij,jk->ik", 2, t, "einsum: 'ij,jk->ik': dimension 1 of operand 2 (2,3) ('j') has size 2, elsewhere 3");
  complains("ijk->i", 1, t, "einsum: 'ijk->i': term 1 names 3 dimensions, operand 1 has shape (2,3)");
  complains("ij,ij", 1, t, "einsum: 'ij,ij': more terms than operands");
  complains("ij", 2, t, "einsum: 'ij': fewer terms than operands");
  complains("ij->k", 1, t, "einsum: 'ij->k': a letter of the result is in no operand");
  complains("ij->ii", 1, t, "einsum: 'ij->ii': a letter occurs twice in the result");
  complains("ij=>i", 1, t, "einsum: 'ij=>i': only letters, ',', '...' and '->' are allowed");
  pc_tensor_release(a);
}
END_TEST

int main(void) {
  Suite *s = suite_create("einsum");
  TCase *tc = tcase_create("einsum");
  tcase_add_test(tc, by_definition);
  tcase_add_test(tc, gradients);
  tcase_add_test(tc, messages);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
