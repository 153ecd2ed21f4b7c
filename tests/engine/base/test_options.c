/* test_options.c: ranges as written, what is in them and how they are told; a table with every type of option. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/options.h"
#include "check_main.h"

static const struct {
  const char *text;
  pc_number_kind kind;
  const char *told;     /* NULL: malformed */
  double in[3], out[3]; /* of which each is, or is not, in the range */
} ranges[] = {
    {"0..", PC_NUMBER_REAL, "a number >= 0", {0, 1e300, 0.5}, {-1e-300, INFINITY, NAN}},
    {"..0", PC_NUMBER_REAL, "a number <= 0", {0, -1e300, -0.5}, {1e-300, -INFINITY, NAN}},
    {"0<..<1", PC_NUMBER_REAL, "a number > 0 and < 1", {0.5, 1e-9, 0.99}, {0, 1, NAN}},
    {"0..<1", PC_NUMBER_REAL, "a number >= 0 and < 1", {0, 0.5, 0.99}, {1, -1, NAN}},
    {"-1..1", PC_NUMBER_REAL, "a number from -1 to 1", {-1, 0, 1}, {2, -2, NAN}},
    {"0..inf", PC_NUMBER_REAL, "a number >= 0", {0, INFINITY, 1}, {-1, -INFINITY, NAN}},
    {"", PC_NUMBER_REAL, "a finite number", {0, DBL_MAX, -DBL_MAX}, {INFINITY, -INFINITY, NAN}},
    {"any", PC_NUMBER_REAL, "any number", {NAN, INFINITY, -INFINITY}, {0}},
    {"1..", PC_NUMBER_INT, "an integer >= 1", {1, 2, 2147483647}, {0, 1.5, 2147483648.0}},
    {"1..9", PC_NUMBER_INT, "an integer from 1 to 9", {1, 5, 9}, {0, 10, 2.5}},
    {"", PC_NUMBER_INT, "an integer", {-2147483648.0, 0, 2147483647}, {0.5, 2147483648.0, NAN}},
    {"0..", PC_NUMBER_INT64, "an integer >= 0", {0, 2147483648.0, 9007199254740992.0}, {-1, 0.5, 1e300}},
    {"any", PC_NUMBER_INT64, NULL, {0, -1, 5}, {0.5, NAN, INFINITY}},
    {"..", PC_NUMBER_REAL, "a finite number", {0, 1, -1}, {NAN, INFINITY, -INFINITY}},
};
static const char *const malformed[] = {
    "1", "a..", "1x..2", "..b", "0..1x", "2..1", "0<<..", "<..1", "0000000000000000000000000000000000000000000.."};

START_TEST(ranges_hold) {
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
    pc_range r;
    must(pc_range_parse(&r, ranges[i].text, ranges[i].kind));
    if (ranges[i].told) ck_assert_str_eq(pc_range_text(&r), ranges[i].told);
    for (int k = 0; k < 3; k++) {
      ck_assert_msg(pc_range_has(&r, ranges[i].in[k]), "%g is in %s", ranges[i].in[k], ranges[i].text);
      if (r.any) continue;
      ck_assert_msg(!pc_range_has(&r, ranges[i].out[k]), "%g is not in %s", ranges[i].out[k], ranges[i].text);
    }
  }
  pc_range r;
  must(pc_range_parse(&r, NULL, PC_NUMBER_INT));
  ck_assert_str_eq(pc_range_text(&r), "an integer");
  for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
    ck_assert_int_eq(pc_range_parse(&r, malformed[i], PC_NUMBER_REAL), PC_EARG);
    ck_assert_ptr_nonnull(strstr(pc_error_text(), "is no range such as 0.. or 0<..<1"));
  }
}
END_TEST

/* What reads as inside, and is not: the message says why. */
START_TEST(failures_are_told) {
  static const struct {
    const char *range;
    pc_number_kind kind;
    double x;
    const char *text;
  } wrong[] = {
      {"0..", PC_NUMBER_REAL, -1, "f: x: expected a number >= 0, got -1"},
      {"0..", PC_NUMBER_REAL, INFINITY, "f: x: expected a number >= 0 (finite), got inf"},
      {"..0", PC_NUMBER_REAL, -INFINITY, "f: x: expected a number <= 0 (finite), got -inf"},
      {"1..", PC_NUMBER_INT, 2147483648.0,
       "f: x: expected an integer >= 1 (2147483647 is the largest), got 2147483648"},
      {"1..", PC_NUMBER_INT64, 1e18, "f: x: expected an integer >= 1 (2^53 is the largest), got 1e+18"},
      {"1..", PC_NUMBER_INT, 1.5, "f: x: expected an integer >= 1, got 1.5"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    pc_range r;
    must(pc_range_parse(&r, wrong[i].range, wrong[i].kind));
    ck_assert_int_eq(pc_range_fail("f", "x", &r, wrong[i].x), PC_EARG);
    ck_assert_str_eq(pc_error_text(), wrong[i].text);
  }
}
END_TEST

#define WALK(X, S)                                      \
  X(S, num, lr, "0..", 1e-3, "", "step length")         \
  X(S, num, most, "", DBL_MAX, "", "")                  \
  X(S, int, steps, "1..100", 10, "steps", "how far")    \
  X(S, int64, seed, "0..", -(-7), "", "")               \
  X(S, bool, loud, "", 1, "", "")                       \
  X(S, str, name, "", PC_REQUIRED, "", "whose walk")    \
  X(S, str, note, "any", NULL, "", "")                  \
  X(S, str, place, "", "here", "", "")                  \
  X(S, choice, way, "back|forth|up", 1, "", "where to") \
  X(S, maybe_num, tilt, "-1..1", 0, "", "")             \
  X(S, maybe_int, pause, "0..", 0, "s", "how long")     \
  X(S, maybe_int64, until, "1..", 0, "", "")

PC_OPTIONS_STRUCT(walk_opts, WALK);
extern const pc_options walk;
PC_OPTIONS_TABLE(walk, "walk", walk_opts, WALK);

START_TEST(tables_say_what_they_take) {
  const char *want =
      "lr:num(0..)=1e-3, most:num=1.7976931348623157e+308, steps:int(1..100)=10, seed:int64(0..)=7, "
      "loud:bool=true, name:str, note:str(any)?, place:str=\"here\", way:str(back|forth|up)=forth, "
      "tilt:num(-1..1)?, pause:int(0..)?, until:int64(1..)?";
  char text[600], small[10];
  ck_assert_uint_eq(pc_options_signature(&walk, text, sizeof text), strlen(want));
  ck_assert_str_eq(text, want);
  ck_assert_uint_eq(pc_options_signature(&walk, small, sizeof small), strlen(want));
  ck_assert_str_eq(small, "lr:num(0.");
  ck_assert_uint_eq(pc_options_signature(&walk, NULL, 0), strlen(want));
  const char *help = "lr: step length; steps: how far (steps); name: whose walk; way: where to; pause: how long (s)";
  ck_assert_uint_eq(pc_options_help(&walk, text, sizeof text), strlen(help));
  ck_assert_str_eq(text, help);
  ck_assert_uint_eq(pc_options_help(&walk, NULL, 0), strlen(help));
}
END_TEST

START_TEST(tables_set_and_check) {
  walk_opts o = {WALK(PC_OPTION_INIT, )};
  ck_assert_int_eq(pc_options_check(&walk, "walk", &o), PC_EARG);
  ck_assert_str_eq(pc_error_text(), "walk: name: a string is needed");
  pc_option_set_str(pc_options_find(&walk, "name"), &o, "me");
  must(pc_options_check(&walk, "walk", &o));
  ck_assert_ptr_null(pc_options_find(&walk, "nam"));
  static const struct {
    const char *name, *text; /* text NULL: the value is fine */
    double value;
  } given[] = {
      {"lr", NULL, 0},
      {"lr", "walk: lr: expected a number >= 0, got -2", -2},
      {"steps", NULL, 100},
      {"steps", "walk: steps: expected an integer from 1 to 100, got 101", 101},
      {"seed", "walk: seed: expected an integer >= 0, got -1", -1},
      {"loud", NULL, 0},
      {"tilt", NULL, 0},
      {"tilt", "walk: tilt: expected a number from -1 to 1, got 2", 2},
      {"pause", NULL, 0},
      {"pause", "walk: pause: expected an integer >= 0, got -1", -1},
      {"until", NULL, 1},
      {"until", "walk: until: expected an integer >= 1, got 0", 0},
  };
  for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
    walk_opts p = o;
    pc_option_set_num(pc_options_find(&walk, given[i].name), &p, given[i].value);
    ck_assert_int_eq(pc_options_check(&walk, "walk", &p), given[i].text ? PC_EARG : PC_OK);
    if (given[i].text) ck_assert_str_eq(pc_error_text(), given[i].text);
  }
  pc_option_set_num(pc_options_find(&walk, "name"), &o, 3); /* no number's place */
  ck_assert_str_eq(o.name, "me");
  pc_option_set_str(pc_options_find(&walk, "way"), &o, "up");
  ck_assert_int_eq(o.way, 2);
  pc_option_set_str(pc_options_find(&walk, "way"), &o, "u"); /* no word of it: as it was */
  ck_assert_int_eq(o.way, 2);
  o.way = 3;
  ck_assert_int_eq(pc_options_check(&walk, "walk", &o), PC_EARG);
  ck_assert_str_eq(pc_error_text(), "walk: way: expected one of back|forth|up, got number 4 of them");
  o.way = -1;
  ck_assert_int_eq(pc_options_check(&walk, "walk", &o), PC_EARG);
  o.way = 0;
  o.note = "";
  must(pc_options_check(&walk, "walk", &o));
  o.place = "";
  ck_assert_int_eq(pc_options_check(&walk, "walk", &o), PC_EARG);
  ck_assert_str_eq(pc_error_text(), "walk: place: expected a string that is not empty, got \"\"");
  static const pc_option bad = {PC_OPTION_num, "x", "1", "0", "", "", 0};
  static const pc_options table = {"bad", &bad, 1, NULL, sizeof(double)};
  ck_assert_int_eq(pc_options_check(&table, "bad", &o), PC_EARG);
  ck_assert_str_eq(pc_error_text(), "bad: x: '1' is no range such as 0.. or 0<..<1");
}
END_TEST

int main(void) {
  Suite *s = suite_create("options");
  TCase *tc = tcase_create("options");
  tcase_add_test(tc, ranges_hold);
  tcase_add_test(tc, failures_are_told);
  tcase_add_test(tc, tables_say_what_they_take);
  tcase_add_test(tc, tables_set_and_check);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
