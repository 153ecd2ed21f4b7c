/* test_signature.c: signatures as text: what each type and default becomes, what is malformed, what completes a call.
 */
#include <string.h>

#include "check_main.h"
#include "grad/signature.h"

static _Alignas(max_align_t) char room[16384];

static const pc_signature *parse(const char *text) {
  pc_signature *s;
  ck_assert_uint_le(pc_signature_bytes(text), sizeof room);
  must(pc_signature_parse(&s, room, text));
  return s;
}

START_TEST(types_and_defaults) {
  const pc_signature *s = parse(
      "x:tensor, y:value=none, xs:tensors?, n:int(1..)=3, w:num=0.5, on:bool=false, way:str(a|b)=b, "
      "note:str(any)=\"\", "
      "d:dim=-1, at:index=2, ds:dims={1, 2}, sz:size={3,4}, two:size2=2, pair:size2={1,2}, t:dtype=f64, f:function?, "
      "o:table=nil, ...");
  ck_assert_int_eq(s->n, 17);
  ck_assert_int_eq(s->nin, 3);
  ck_assert_int_eq(s->nv, 14);
  ck_assert_int_eq(s->required, 0);
  ck_assert_int_eq(s->variadic, 1);
  const pc_val *v = s->left_out;
  ck_assert_int_eq(v[0].i, 3);
  ck_assert_double_eq(v[1].d, 0.5);
  ck_assert_int_eq(v[2].i, 0);
  ck_assert_str_eq(v[3].s, "b");
  ck_assert_str_eq(v[4].s, "");
  ck_assert_int_eq(v[5].i, -1);
  ck_assert_int_eq(v[6].i, 1); /* counted from 0 */
  ck_assert_int_eq(v[7].nl, 2);
  ck_assert_int_eq(v[7].l[1], 1);
  ck_assert_int_eq(v[8].l[1], 4);
  ck_assert_int_eq(v[9].l[1], 2);
  ck_assert_int_eq(v[10].l[1], 2);
  ck_assert_int_eq(v[11].i, PC_F64);
  ck_assert_int_eq(pc_signature_find(s, "way"), 6);
  ck_assert_int_eq(pc_signature_find(s, "wa"), -1);
  s = parse("  ");
  ck_assert_int_eq(s->n, 0);
  s = parse("m:module, b:str(bytes)");
  ck_assert_int_eq(s->p[0].type, PC_T_CLASS);
  ck_assert(s->p[1].bytes && s->p[1].blank && !s->p[1].choices);
}
END_TEST

START_TEST(malformed) {
  static const char *const wrong[][2] = {
      {"x", "argument 1: no type"},
      {":int", "argument 1: empty name"},
      {"x:", "argument 1: empty type"},
      {"x:tensor, n:int(1)", "argument 2: malformed range"},
      {"n:int=a", "the default does not fit the type"},
      {"n:int=1x", "does not fit"},
      {"n:int(1..)=0", "does not fit"},
      {"n:num=x", "does not fit"},
      {"n:num=1x", "does not fit"},
      {"n:num(0..1)=2", "does not fit"},
      {"n:bool=yes", "does not fit"},
      {"s:str(a|b)=c", "does not fit"},
      {"s:str=", "does not fit"},
      {"t:dtype=f16", "does not fit"},
      {"d:dim=0", "does not fit"},
      {"d:dim=x", "does not fit"},
      {"d:index=1x", "does not fit"},
      {"s:size2={}", "does not fit"},
      {"s:size2=a", "does not fit"},
      {"s:size={1,a}", "does not fit"},
      {"s:size={1,2,3,4,5,6,7,8,9}", "does not fit"},
      {"v:value=x", "does not fit"},
      {"a:int,b:int,c:int,d:int,e:int,f:int,g:int,h:int,i:int,j:int,k:int,l:int,m:int,n:int,o:int,p:int,q:int,r:int,"
       "s:int,t:int,u:int,v:int,w:int,x:int,y:int",
       "more than 24 arguments"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    pc_signature *s;
    ck_assert_msg(pc_signature_parse(&s, room, wrong[i][0]) == PC_EARG, "%s was taken", wrong[i][0]);
    ck_assert_msg(strstr(pc_error_text(), wrong[i][1]) != NULL, "%s: %s", wrong[i][0], pc_error_text());
  }
}
END_TEST

START_TEST(calls_are_completed) {
  const pc_signature *s = parse("x:tensor, n:int(1..), way:str(a|b)=b, name:str?, sz:size(1..)?, lr:num(0..)=1");
  pc_val full[5];
  const pc_val *v;
  static const struct {
    const char *text; /* NULL: fine */
    pc_val v[5];
  } calls[] = {
      {NULL, {{.set = 1, .i = 2}}},
      {"f: n: is needed, and left out", {{0}}},
      {"f: n: expected an integer >= 1, got 0", {{.set = 1, .i = 0}}},
      {"f: way: expected one of a|b, got \"c\"", {{.set = 1, .i = 1}, {.set = 1, .s = "c"}}},
      {"f: way: expected one of a|b, got \"\"", {{.set = 1, .i = 1}, {.set = 1}}},
      {"f: name: expected a string that is not empty", {{.set = 1, .i = 1}, {0}, {.set = 1, .s = ""}}},
      {"f: name: expected a string that is not empty", {{.set = 1, .i = 1}, {0}, {.set = 1}}},
      {"f: sz: expected an integer >= 1, got 0", {{.set = 1, .i = 1}, {0}, {0}, {.set = 1, .nl = 2, .l = {1, 0}}}},
      {NULL, {{.set = 1, .i = 1}, {0}, {0}, {.set = 1, .nl = 2, .l = {1, 5}}}},
      {"f: lr: expected a number >= 0, got -1", {{.set = 1, .i = 1}, {0}, {0}, {0}, {.set = 1, .d = -1}}},
  };
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    int rc = pc_signature_complete("f", s, calls[i].v, 5, full, &v);
    ck_assert_int_eq(rc, calls[i].text ? PC_EARG : PC_OK);
    if (calls[i].text) {
      ck_assert_msg(strstr(pc_error_text(), calls[i].text) != NULL, "%s", pc_error_text());
      continue;
    }
    ck_assert_str_eq(v[1].s, "b"); /* the defaults */
    ck_assert_double_eq(v[4].d, 1);
    ck_assert_int_eq(v[0].i, calls[i].v[0].i);
  }
  ck_assert_int_eq(pc_signature_complete("f", s, NULL, 0, full, &v), PC_EARG);
  pc_val one = {.set = 1, .i = 7};
  must(pc_signature_complete("f", s, &one, 1, full, &v)); /* shorter than the signature */
  ck_assert_ptr_eq(v, full);
  ck_assert_int_eq(v[0].i, 7);
  pc_val whole[5] = {{.set = 1, .i = 1}, {.set = 1, .s = "a"}, {0}, {0}, {.set = 1, .d = 0}};
  must(pc_signature_complete("f", s, whole, 5, full, &v));
  ck_assert_ptr_eq(v, whole); /* nothing is missing: no copy */
  s = parse("x:tensor, lr:num=2");
  must(pc_signature_complete("f", s, NULL, 0, full, &v));
  ck_assert_ptr_eq(v, s->left_out);
  ck_assert(!pc_one_of("", "a|b") && !pc_one_of("a|", "a|b") && pc_one_of("b", "a|b") && !pc_one_of("a", "ab|b"));
}
END_TEST

int main(void) {
  Suite *s = suite_create("signatures");
  TCase *tc = tcase_create("signatures");
  tcase_add_test(tc, types_and_defaults);
  tcase_add_test(tc, malformed);
  tcase_add_test(tc, calls_are_completed);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
