/* The protocol over every kind: scenes, emoji, sprites, arrays, a class of the test's own; and what is refused. */
#include <math.h>

#include "datasets/arrays.h"
#include "datasets/emoji.h"
#include "datasets/sprites.h"
#include "formats/file.h"
#include "formats/npy.h"
#include "formats/npz.h"
#include "images/png.h"
#include "options.h"
#include "scratch.h"

#define SCENES(...) WITH(pc_scenes_opts, PC_SCENES_OPTIONS, __VA_ARGS__)
#define EMOJI(...)  WITH(pc_emoji_opts, PC_EMOJI_OPTIONS, __VA_ARGS__)

static pc_tensor *index_of(int64_t n, const int64_t *v) {
  pc_tensor *t;
  must(pc_tensor_from(&t, PC_I64, 1, &n, v));
  return t;
}

/* What holds of any data set. */
static void obeys(const pc_dataset *d) {
  int64_t n = pc_dataset_count(d), list[3] = {n, 1, n};
  pc_tensor *at = index_of(3, list), *beyond = index_of(1, &(int64_t){n + 1}), *zero = index_of(1, &(int64_t){0}), *x,
            *y, *v;
  must(pc_dataset_check(d));
  must(pc_dataset_images(&x, d, at, PC_U8));
  must(pc_dataset_images(&y, d, at, PC_F32));
  ck_assert(x->ndim == 4 && x->size[0] == 3 && x->size[1] == pc_dataset_height(d) &&
            x->size[2] == pc_dataset_width(d) && x->size[3] == pc_dataset_channels(d));
  for (int64_t i = 0; i < pc_numel(x); i++) ck_assert(fabsf(pc_f32(y)[i] * 255 - (float)pc_u8(x)[i]) < .51f);
  int64_t one = pc_numel(x) / 3;
  ck_assert(!memcmp(pc_u8(x), pc_u8(x) + 2 * one, (size_t)one));
  pc_tensor_release(x);
  pc_tensor_release(y);
  must_fail(pc_dataset_images(&x, d, beyond, PC_U8), PC_EINDEX, "the dataset has");
  must_fail(pc_dataset_images(&x, d, zero, PC_F32), PC_EINDEX, "index 0 at position 1");
  must_fail(pc_dataset_images(&x, d, at, PC_F64), PC_EDTYPE, "u8 or f32");
  for (int f = 0; f < pc_dataset_nfactors(d); f++) {
    int found;
    const pc_dataset_factor *of = pc_dataset_factor_at(d, f);
    must(pc_dataset_factor_find(&found, d, of->name));
    ck_assert_int_eq(found, f);
    must(pc_dataset_factor_of(&v, d, f, at));
    ck_assert(pc_i64(v)[0] == of->index[n - 1] && pc_i64(v)[1] == of->index[0]);
    pc_tensor_release(v);
    must_fail(pc_dataset_factor_of(&v, d, f, beyond), PC_EINDEX, "the dataset has");
  }
  for (int c = 0; c < pc_dataset_nnumeric(d); c++) {
    must(pc_dataset_numeric_of(&v, d, c, at));
    ck_assert(pc_f64(v)[1] == pc_dataset_numeric_at(d, c)->value[0]);
    pc_tensor_release(v);
  }
  int f;
  must_fail(pc_dataset_factor_find(&f, d, "nosuch"), PC_ENOTFOUND, "no factor 'nosuch'; there are:");
  if (pc_dataset_has_masks(d)) {
    must(pc_dataset_masks(&x, d, at));
    ck_assert(x->ndim == 3 && x->dtype == PC_U8);
    pc_tensor_release(x);
  } else {
    must_fail(pc_dataset_masks(&x, d, at), PC_ESTATE, "no masks");
  }
  if (!pc_dataset_has_latents(d)) must_fail(pc_dataset_latents(&x, d, at, 1), PC_ESTATE, "no unit latents");
  ck_assert(*pc_dataset_digest(d) && *pc_dataset_name(d) && pc_dataset_licence(d)->name);
  pc_tensor_release(at);
  pc_tensor_release(beyond);
  pc_tensor_release(zero);
}

START_TEST(test_scenes) {
  const char *table = "filename,shape,size\na.png,disc,1\na.png,star,2.5\n";
  uint8_t px[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  pc_scenes *s;
  pc_dataset *d, *e;
  must(pc_file_save(at("labels.csv"), table, strlen(table)));
  must(pc_png_write_pixels(at("a.png"), px, 2, 2, 3, NULL));
  must(pc_scenes_open(&s, dir, &SCENES(.cache_dir = "")));
  must(pc_scenes_dataset(&d, s, "mine"));
  pc_scenes_free(s); /* the data set holds it */
  obeys(d);
  ck_assert_str_eq(pc_dataset_name(d), "mine");
  ck_assert_str_eq(pc_dataset_filename(d, 1), "a.png");
  ck_assert_int_eq(pc_dataset_nnumeric(d), 1);
  e = pc_dataset_retain(d);
  pc_dataset_free(d);
  ck_assert_int_eq(pc_dataset_count(e), 2);
  pc_dataset_free(e);
}
END_TEST

START_TEST(test_emoji) {
  pc_scenes *s;
  pc_dataset *d;
  must(pc_emoji_open(&s, "experiments/data/assets", &EMOJI(.count = 6, .size = 16)));
  must(pc_scenes_dataset(&d, s, "emoji"));
  pc_scenes_free(s);
  obeys(d);
  ck_assert(pc_dataset_has_masks(d));
  pc_dataset_free(d);
}
END_TEST

START_TEST(test_sprites) {
  pc_dataset *d, *e;
  pc_sprites_opts o = PC_SPRITES_OPTS_INIT;
  pc_tensor *unit, *images;
  o.height = 8, o.width = (pc_maybe_int){1, 10}, o.seed = 3;
  must(pc_sprites_dataset(&d, 40, &o));
  obeys(d);
  ck_assert_int_eq(pc_dataset_nfactors(d), 4);
  ck_assert_int_eq(pc_dataset_nnumeric(d), 10);
  /* the same pictures and latents as the three steps give */
  pc_tensor *want, *physical, *pixels;
  must(pc_sprites_sample(&want, 40, &o));
  must(pc_sprites_latents(&physical, want, &o));
  must(pc_sprites_render(&pixels, NULL, physical, PC_U8, &o));
  must(pc_dataset_latents(&unit, d, NULL, 1));
  must(pc_dataset_images(&images, d, NULL, PC_U8));
  ck_assert(!memcmp(pc_data(unit), pc_data(want), (size_t)pc_numel(unit) * sizeof(float)));
  ck_assert(!memcmp(pc_u8(images), pc_u8(pixels), (size_t)pc_numel(images)));
  const pc_dataset_factor *shape = pc_dataset_factor_at(d, 0);
  for (int64_t i = 0; i < 40; i++)
    ck_assert_str_eq(shape->value[shape->index[i] - 1],
                     ((const char *[]){"square", "triangle", "circle"})[(int)pc_f32(physical)[i * 12] - 1]);
  pc_tensor *const all[] = {unit, images, want, physical, pixels};
  for (int i = 0; i < 5; i++) pc_tensor_release(all[i]);
  o.seed = 4;
  must(pc_sprites_dataset(&e, 40, &o));
  ck_assert_str_ne(pc_dataset_digest(d), pc_dataset_digest(e));
  pc_dataset_free(d);
  pc_dataset_free(e);
}
END_TEST

/* ---- arrays ---- */

static pc_tensor *zeros(pc_dtype dtype, int ndim, const int64_t *size) {
  pc_tensor *t;
  must(pc_tensor_zeros(&t, dtype, ndim, size));
  return t;
}

static void member(pc_bundle *b, const char *name, pc_tensor *t) {
  must(pc_bundle_add(b, name, t));
  pc_tensor_release(t);
}

START_TEST(test_arrays_npz) { /* as dSprites' file is, and masks */
  pc_bundle *b;
  pc_dataset *d;
  pc_tensor *x, *imgs = zeros(PC_U8, 3, (int64_t[]){4, 2, 3}), *cls = zeros(PC_I64, 2, (int64_t[]){4, 2});
  pc_tensor *val = zeros(PC_F64, 2, (int64_t[]){4, 2});
  for (int i = 0; i < 24; i++) pc_u8(imgs)[i] = i & 1;
  for (int i = 0; i < 8; i++) pc_i64(cls)[i] = 10 - i, pc_f64(val)[i] = .5 * i;
  must(pc_bundle_new(&b));
  member(b, "imgs", imgs);
  member(b, "latents_classes", cls);
  member(b, "latents_values", val);
  member(b, "masks", zeros(PC_I32, 3, (int64_t[]){4, 2, 3}));
  member(b, "other", zeros(PC_F32, 1, (int64_t[]){7}));
  must(pc_npz_write(at("d.npz"), b, NULL));
  pc_bundle_free(b);
  pc_arrays_opts o = PC_ARRAYS_OPTS_INIT;
  o.white = 1;
  const char *names[] = {"shape", "scale", "x"};
  must(pc_arrays_open(&d, at("d.npz"), &o, &(pc_arrays_names){.names = names, .nnames = 2}));
  obeys(d);
  ck_assert_int_eq(pc_dataset_channels(d), 3);
  ck_assert_ptr_nonnull(strstr(pc_dataset_note(d), "member 'other' is passed over: it is (7), and there are 4 images"));
  ck_assert_int_eq(pc_dataset_nfactors(d), 2);
  ck_assert_str_eq(pc_dataset_factor_at(d, 0)->name, "shape");
  ck_assert_str_eq(pc_dataset_factor_at(d, 0)->value[0], "4");
  ck_assert_int_eq(pc_dataset_factor_at(d, 0)->index[0], 4);
  ck_assert_str_eq(pc_dataset_numeric_at(d, 1)->name, "scale_value");
  must(pc_dataset_images(&x, d, NULL, PC_U8));
  ck_assert(pc_u8(x)[3] == 255 && pc_u8(x)[4] == 255 && pc_u8(x)[5] == 255 && pc_u8(x)[0] == 0);
  pc_tensor_release(x);
  pc_dataset_free(d);
  must_fail(pc_arrays_open(&d, at("d.npz"), &o, &(pc_arrays_names){.names = names, .nnames = 3}), PC_EARG,
            "3 names, and no member (4,3)");
  o.images = "pictures";
  must_fail(pc_arrays_open(&d, at("d.npz"), &o, NULL), PC_ENOTFOUND, "pictures");
  o.images = "latents_values";
  must_fail(pc_arrays_open(&d, at("d.npz"), &o, NULL), PC_ESHAPE, "images are (4,2)");
  o.images = "";
  o.channels = (pc_maybe_int){1, 1};
  must(pc_arrays_open(&d, at("d.npz"), &o, NULL));
  ck_assert_int_eq(pc_dataset_channels(d), 1);
  ck_assert_str_eq(pc_dataset_factor_at(d, 1)->name, "latents_classes2");
  pc_dataset_free(d);
  o.white = 0;
  must_fail(pc_arrays_open(&d, at("d.npz"), &o, NULL), PC_EARG, "white");
}
END_TEST

/* The bytes that NumPy writes. */
static void npy(const char *name, const char *header, const void *data, size_t n) {
  uint8_t b[512] = "\x93NUMPY\x01\x00";
  size_t len = strlen(header);
  b[8] = (uint8_t)len;
  b[9] = 0;
  memcpy(b + 10, header, len);
  memcpy(b + 10 + len, data, n);
  must(pc_file_save(at(name), b, 10 + len + n));
}

START_TEST(test_arrays_npy) {
  pc_dataset *d;
  pc_tensor *x;
  const uint8_t fortran[8] = {0, 1, 2, 3, 4, 5, 6, 7}, big[8] = {0x3f, 0x80, 0, 0, 0x3f, 0, 0, 0}; /* 1, .5 */
  const char *table = "name,weight,digit\nfirst,1.5,3\nsecond,2,1\n";
  must(pc_file_save(at("labels.csv"), table, strlen(table)));
  npy("f.npy", "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 2, 2), }\n", fortran, 8);
  const char *factors[] = {"digit"};
  must(pc_arrays_open(&d, at("f.npy"), NULL, &(pc_arrays_names){.factors = factors, .nfactors = 1}));
  obeys(d);
  must(pc_dataset_images(&x, d, NULL, PC_U8)); /* image 1 is every other byte */
  ck_assert(pc_u8(x)[0] == 0 && pc_u8(x)[3] == 4 && pc_u8(x)[6] == 2 && pc_u8(x)[9] == 6 && pc_u8(x)[12] == 1);
  pc_tensor_release(x);
  ck_assert_int_eq(pc_dataset_nfactors(d), 2);
  ck_assert_str_eq(pc_dataset_factor_at(d, 1)->value[0], "1");
  ck_assert_str_eq(pc_dataset_numeric_at(d, 0)->name, "weight");
  pc_dataset_free(d);
  npy("b.npy", "{'descr': '>f4', 'fortran_order': False, 'shape': (2, 1, 1, 1), }\n", big, 8);
  must(pc_arrays_open(&d, at("b.npy"), NULL, NULL));
  obeys(d);
  must(pc_dataset_images(&x, d, NULL, PC_F32));
  ck_assert(pc_f32(x)[0] == 1 && pc_f32(x)[5] == .5f);
  pc_tensor_release(x);
  pc_dataset_free(d);
  npy("three.npy", "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 1, 1), }\n", fortran, 3);
  must_fail(pc_arrays_open(&d, at("three.npy"), NULL, NULL), PC_EFORMAT, "labels.csv has 2 rows");
  must_fail(pc_arrays_open(&d, at("three.npy"), NULL, NULL), PC_EFORMAT, "has 3 images");
  pc_arrays_opts o = PC_ARRAYS_OPTS_INIT;
  o.table = "none";
  must(pc_arrays_open(&d, at("three.npy"), &o, NULL));
  pc_dataset_free(d);
  must_fail(pc_arrays_open(&d, at("three.npy"), &o, &(pc_arrays_names){.factors = factors, .nfactors = 1}), PC_EARG,
            "there is none beside");
  must_fail(pc_arrays_open(&d, at("labels.csv"), NULL, NULL), PC_EARG, "NAME.npy or NAME.npz");
  npy("nan.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1), }\n", "\0\0\xc0\x7f", 4);
  must_fail(pc_arrays_open(&d, at("nan.npy"), &o, NULL), PC_EARG, "f32 images lie in [0,1]");
  npy("i.npy", "{'descr': '<i4', 'fortran_order': False, 'shape': (1, 1, 1), }\n", "\0\0\0\0", 4);
  must_fail(pc_arrays_open(&d, at("i.npy"), &o, NULL), PC_EDTYPE, "images are i32");
}
END_TEST

START_TEST(test_arrays_digest) { /* of everything */
  pc_dataset *d;
  char seen[6][PC_DIGEST_SIZE];
  uint8_t px[2] = {1, 2};
  int64_t index[2] = {1, 2};
  const char *value[2] = {"a", "b"};
  double number[2] = {1, 2};
  for (int k = 0; k < 6; k++) {
    px[0] = k == 1 ? 9 : 1;
    index[0] = k == 2 ? 2 : 1;
    value[0] = k == 3 ? "c" : "a";
    number[1] = k == 4 ? 3 : 2;
    pc_tensor *t;
    must(pc_tensor_from(&t, PC_U8, 3, (int64_t[]){2, 1, 1}, px));
    pc_dataset_factor f = {"f", 2, value, index};
    pc_dataset_column c = {"c", number};
    pc_arrays_parts p = {.images = t, .white = 255};
    p.facts = (pc_dataset_facts){.name = "x", .count = 2, .factor = &f, .nfactor = 1, .numeric = &c, .nnumeric = 1};
    must(pc_arrays_new(&d, &p));
    memcpy(seen[k], pc_dataset_digest(d), PC_DIGEST_SIZE);
    for (int j = 0; j < k; j++) ck_assert_int_eq(!strcmp(seen[j], seen[k]), k == 5 && j == 0);
    pc_dataset_free(d);
    pc_tensor_release(t);
  }
}
END_TEST

/* ---- a class of one's own, and what is refused ---- */

static int wrong; /* what the class gives is wrong in this way */
static int freed;

static int own_images(void *ctx, pc_tensor **out, const pc_tensor *index, pc_dtype dtype) {
  static int calls;
  int64_t size[4] = {index ? pc_numel(index) : 2, wrong == 1 ? 3 : 2, 2, 3};
  (void)ctx;
  int rc = pc_tensor_zeros(out, wrong == 2 ? PC_F64 : dtype, 4, size);
  if (rc == PC_OK && wrong == 3 && dtype == PC_F32) pc_f32(*out)[0] = .001f * (float)(++calls % 100);
  if (rc == PC_OK && wrong == 4 && dtype == PC_F32) pc_f32(*out)[0] = NAN;
  return rc;
}

static void own_free(void *ctx) { freed += ctx == &wrong; }

START_TEST(test_own) {
  static const pc_dataset_class cls = {"own", own_images, NULL, NULL, own_free};
  const char *value[2] = {"a", "b"};
  int64_t index[2] = {1, 2};
  double number[2] = {0, 1};
  pc_dataset_factor f[2] = {{"f", 2, value, index}, {"g", 2, value, index}};
  pc_dataset_column c = {"c", number};
  const pc_dataset_facts good = {.name = "mine",
                                 .digest = "d",
                                 .count = 2,
                                 .height = 2,
                                 .width = 2,
                                 .channels = 3,
                                 .factor = f,
                                 .nfactor = 2,
                                 .numeric = &c,
                                 .nnumeric = 1};
  pc_dataset *d;
  must(pc_dataset_new(&d, &cls, &wrong, &good));
  obeys(d);
  const char *const say[] = {"", "images of 3 indices are to be f32 (3,2,2,3), got f32 (3,3,2,3)", "got f64",
                             "differ from call to call", "[0,1]"};
  for (wrong = 1; wrong <= 4; wrong++) {
    ck_assert_int_lt(pc_dataset_check(d), 0);
    ck_assert_msg(strstr(pc_error_text(), say[wrong]) != NULL, "%s", pc_error_text());
  }
  wrong = 0;
  pc_dataset_free(d);
  ck_assert_int_eq(freed, 1);
#define REFUSED(change, code, text)                                  \
  do {                                                               \
    pc_dataset_facts facts = good;                                   \
    change;                                                          \
    must_fail(pc_dataset_new(&d, &cls, &wrong, &facts), code, text); \
  } while (0)
  REFUSED(facts.count = 0, PC_EARG, "own: count: expected a whole number from 1, got 0");
  REFUSED(facts.channels = -1, PC_EARG, "channels");
  REFUSED(facts.digest = NULL, PC_EARG, "own: digest: a text is needed");
  REFUSED(facts.name = "", PC_EARG, "own: name: a text is needed");
  REFUSED(index[1] = 3, PC_EARG, "factor 'f': image 2 has value 3; its values are numbered from 1 to 2");
  REFUSED(index[1] = 0, PC_EARG, "image 2 has value 0");
  index[1] = 2;
  REFUSED(value[1] = "a", PC_EARG, "values 1 and 2 are both named 'a'");
  value[1] = "b";
  REFUSED(f[1].name = "f", PC_EARG, "two columns are named 'f'");
  REFUSED(f[1].name = "c", PC_EARG, "two columns are named 'c'");
  REFUSED(f[1].name = NULL, PC_EARG, "a factor has no name");
  f[1].name = "g";
  REFUSED(f[1].nvalues = 0, PC_EARG, "factor 'g' has no values");
  f[1].nvalues = 2;
  REFUSED(number[1] = NAN, PC_EARG, "numeric column 'c': image 2 has");
  REFUSED(number[1] = INFINITY, PC_EARG, "numeric column 'c': image 2 has inf");
  number[1] = 1;
  pc_tensor *t = zeros(PC_F32, 3, (int64_t[]){3, 1, 1});
  REFUSED(facts.latents = t, PC_ESHAPE, "latents: f32 or f64 (2,K,L) are needed for 2 images, got f32 (3,1,1)");
  pc_tensor_release(t);
  ck_assert_int_eq(freed, 1); /* what is refused stays the caller's */
}
END_TEST

static void add(TCase *c) {
  tcase_add_test(c, test_scenes);
  tcase_add_test(c, test_emoji);
  tcase_add_test(c, test_sprites);
  tcase_add_test(c, test_arrays_npz);
  tcase_add_test(c, test_arrays_npy);
  tcase_add_test(c, test_arrays_digest);
  tcase_add_test(c, test_own);
}

int main(void) { return run_in_scratch("dataset", add); }
