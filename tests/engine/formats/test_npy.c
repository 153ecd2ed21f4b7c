/* npy and npz: round trips, files NumPy wrote (bytes kept here), NumPy reading ours where it is there, damage at every
 * byte. */
#include <math.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "formats/file.h"
#include "formats/npy.h"
#include "formats/npz.h"
#include "scratch.h"

static pc_tensor *make(pc_dtype d, int ndim, const int64_t *size) {
  pc_tensor *t;
  pc_rng g = {17, (uint64_t)d};
  must(pc_tensor_empty(&t, d, ndim, size));
  for (int64_t i = 0; i < pc_numel(t); i++) {
    double v = floor(pc_rng_uniform(&g) * 200);
    if (d == PC_F32) pc_f32(t)[i] = (float)v / 3;
    if (d == PC_F64) pc_f64(t)[i] = v / 3;
    if (d == PC_I64) pc_i64(t)[i] = (int64_t)v * 10000000000 - 7;
    if (d == PC_I32) ((int32_t *)pc_data(t))[i] = (int32_t)v - 100;
    if (d == PC_U8) pc_u8(t)[i] = (uint8_t)v;
  }
  return t;
}

static void same(const pc_tensor *a, const pc_tensor *b) {
  ck_assert_int_eq(a->dtype, b->dtype);
  ck_assert_msg(pc_same_shape(a, b), "%s %s", pc_shape_str(a), pc_shape_str(b));
  ck_assert_int_eq(memcmp(pc_data(a), pc_data(b), (size_t)pc_numel(a) * pc_dtype_size((pc_dtype)a->dtype)), 0);
}

static const int64_t shapes[5][3] = {{0}, {7}, {3, 0}, {4, 5}, {2, 3, 4}};
static const int ndims[5] = {0, 1, 2, 2, 3};

START_TEST(test_npy_round_trip) {
  for (int d = 0; d < PC_DTYPE_COUNT; d++)
    for (int s = 0; s < 5; s++) {
      pc_tensor *t = make((pc_dtype)d, ndims[s], shapes[s]), *r;
      must(pc_npy_write(at("a.npy"), t));
      must(pc_npy_read(&r, at("a.npy")));
      same(t, r);
      pc_tensor_release(r);
      pc_tensor_release(t);
    }
  pc_tensor *t = make(PC_F32, 2, shapes[3]), *v, *c, *r;
  must(pc_view_permute(&v, t, (int[]){1, 0})); /* a view is written as what it shows */
  must(pc_clone(&c, v));
  must(pc_npy_write(at("v.npy"), v));
  must(pc_npy_read(&r, at("v.npy")));
  same(c, r);
  pc_tensor_release(r);
  pc_tensor_release(c);
  pc_tensor_release(v);
  pc_tensor_release(t);
}
END_TEST

/* version, dict, data -> bytes */
static size_t build(uint8_t *out, int version, const char *dict, const void *data, size_t n) {
  size_t len = strlen(dict), at_ = version == 1 ? 10 : 12;
  memcpy(out, "\x93NUMPY", 6);
  out[6] = (uint8_t)version;
  out[7] = 0;
  out[8] = (uint8_t)len;
  out[9] = (uint8_t)(len >> 8);
  out[10] = out[11] = 0;
  memcpy(out + at_, dict, len);
  memcpy(out + at_ + len, data, n);
  return at_ + len + n;
}

START_TEST(test_npy_variants) {
  uint8_t b[512];
  pc_tensor *t;
  float f[6] = {1, 2, 3, 4, 5, 6};
  size_t n = build(b, 2, "{'shape': (2, 3), 'fortran_order': True, 'descr': '<f4'}\n", f, sizeof f);
  must(pc_npy_parse(&t, b, n, "f"));
  ck_assert_str_eq(pc_shape_str(t), "(2,3)");
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 3; j++) ck_assert_float_eq(pc_f32(t)[i * 3 + j], f[j * 2 + i]);
  ck_assert(pc_is_contiguous(t));
  pc_tensor_release(t);
  n = build(b, 3, "{\"descr\": \">i4\", \"fortran_order\": False, \"shape\": (2L,), }", "\0\0\1\2\xff\xff\xff\xfe", 8);
  must(pc_npy_parse(&t, b, n, "f"));
  ck_assert(((int32_t *)pc_data(t))[0] == 258 && ((int32_t *)pc_data(t))[1] == -2);
  pc_tensor_release(t);
  n = build(b, 1, "{'descr': '<f2', 'fortran_order': False, 'shape': (6,), }", "\0\x3c\0\xc0\1\0\0\x7c\xff\x7b\1\x7e",
            12);
  must(pc_npy_parse(&t, b, n, "f"));
  ck_assert(pc_f32(t)[0] == 1 && pc_f32(t)[1] == -2 && pc_f32(t)[2] == 0x1p-24f && isinf(pc_f32(t)[3]) &&
            pc_f32(t)[4] == 65504 && isnan(pc_f32(t)[5]));
  pc_tensor_release(t);
  n = build(b, 1, "{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", "\0\1\7", 3);
  must(pc_npy_parse(&t, b, n, "f"));
  ck_assert(t->dtype == PC_U8 && pc_u8(t)[0] == 0 && pc_u8(t)[1] == 1 && pc_u8(t)[2] == 1);
  pc_tensor_release(t);
  n = build(b, 1, "{'descr': '>i2', 'fortran_order': False, 'shape': (1,), }", "\xff\xfe", 2);
  must(pc_npy_parse(&t, b, n, "f"));
  ck_assert(t->dtype == PC_I32 && *(int32_t *)pc_data(t) == -2);
  pc_tensor_release(t);
}
END_TEST

START_TEST(test_npy_hostile) {
  static const struct {
    const char *dict, *say;
  } bad[] = {
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
       "needs 12 bytes, the npy file has 8: it is truncated"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "needs 4 bytes, the npy file has 8"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", "too large to address"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4611686018427387904, 8), }", "too large to address"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999), }", "a size of the shape overflows"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", "something that is no size"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,2), }", "more than 8 dimensions"},
      {"{'descr': '<f4', 'fortran_order': 0, 'shape': (2,), }", "neither True nor False"},
      {"{'descr': '<f4', 'shape': (2,), }", "is missing"},
      {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "key 'descr' twice"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}", "unknown key 'x'"},
      {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", "type '<c8' cannot be read"},
      {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", "structured arrays cannot be read"},
      {"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "type '|O' cannot be read"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), } x", "something follows"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2", "shape is not closed"},
      {"{'descr", "a key is missing"},
      {"", "no dictionary"},
  };
  uint8_t b[512];
  pc_tensor *t;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    size_t n = build(b, 1, bad[i].dict, "12345678", 8);
    must_fail(pc_npy_parse(&t, b, n, "x.npy"), strstr(bad[i].say, "cannot be read") ? PC_EDTYPE : PC_EFORMAT,
              bad[i].say);
    ck_assert_ptr_nonnull(strstr(pc_error_text(), "x.npy: "));
  }
  size_t n = build(b, 1, "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", "12345678", 8);
  for (size_t cut = 0; cut < n; cut++) {
    uint8_t *exact = malloc(cut + 1); /* so that a read past the end is seen by the sanitizer */
    memcpy(exact, b, cut);
    exact = realloc(exact, cut ? cut : 1);
    ck_assert_int_eq(pc_npy_parse(&t, exact, cut, "cut"), PC_EFORMAT);
    free(exact);
  }
  b[8] = b[9] = 255;
  must_fail(pc_npy_parse(&t, b, n, "x.npy"), PC_EFORMAT, "its header is cut");
  b[6] = 9;
  must_fail(pc_npy_parse(&t, b, n, "x.npy"), PC_EFORMAT, "npy version 9.0");
}
END_TEST

static pc_bundle *some(void) {
  pc_bundle *b;
  must(pc_bundle_new(&b));
  for (int d = 0; d < PC_DTYPE_COUNT; d++)
    for (int s = 0; s < 5; s++) {
      char name[32];
      snprintf(name, sizeof name, "%s/%d", pc_dtype_name((pc_dtype)d), s);
      pc_tensor *t = make((pc_dtype)d, ndims[s], shapes[s]);
      must(pc_bundle_add(b, name, t));
      pc_tensor_release(t);
    }
  return b;
}

START_TEST(test_npz_round_trip) {
  pc_bundle *b = some(), *r;
  for (int kind = 0; kind < 4; kind++) {
    must(pc_npz_write(at("a.npz"), b, &(pc_npz_opts){.deflate = kind & 1, .zip64 = kind >> 1}));
    must(pc_npz_read(&r, at("a.npz")));
    ck_assert_int_eq(pc_bundle_count(r), pc_bundle_count(b));
    for (int64_t i = 0; i < pc_bundle_count(b); i++) {
      ck_assert_str_eq(pc_bundle_name(r, i), pc_bundle_name(b, i));
      same(pc_bundle_tensor(r, i), pc_bundle_tensor(b, i));
    }
    pc_bundle_free(r);
    char *one, *two;
    size_t n1, n2;
    must(pc_file_read(&one, &n1, at("a.npz"), 0));
    must(pc_npz_write(at("b.npz"), b, &(pc_npz_opts){.deflate = kind & 1, .zip64 = kind >> 1}));
    must(pc_file_read(&two, &n2, at("b.npz"), 0));
    ck_assert(n1 == n2 && !memcmp(one, two, n1));
    pc_free(one);
    pc_free(two);
  }
  pc_tensor *t;
  must_fail(pc_bundle_get(&t, b, "f32"), PC_ENOTFOUND, "no tensor 'f32'; there are: f32/0, f32/1");
  must_fail(pc_bundle_add(b, "f64/1", pc_bundle_tensor(b, 0)), PC_EARG, "two tensors are named 'f64/1'");
  pc_bundle_free(b);
}
END_TEST

/* Also what happens when an allocation fails, one after the other. */
START_TEST(test_npz_hostile) {
  pc_bundle *b, *r;
  pc_alloc_stats before, after;
  must(pc_bundle_new(&b));
  pc_tensor *t = make(PC_F32, 1, shapes[1]);
  must(pc_bundle_add(b, "one", t));
  must(pc_bundle_add(b, "two", t));
  pc_tensor_release(t);
  for (int kind = 0; kind < 4; kind++) {
    must(pc_npz_write(at("a.npz"), b, &(pc_npz_opts){.deflate = kind & 1, .zip64 = kind >> 1}));
    char *d;
    size_t n;
    must(pc_file_read(&d, &n, at("a.npz"), 0));
    pc_alloc_get_stats(&before);
    for (size_t cut = 0; cut < n; cut++) {
      char *exact = malloc(cut ? cut : 1);
      memcpy(exact, d, cut);
      int rc = pc_npz_parse(&r, exact, cut, "cut.npz");
      ck_assert_msg(rc == PC_EFORMAT, "cut at %zu of %zu: %d", cut, n, rc);
      free(exact);
    }
    for (size_t p = 0; p < n; p++)
      for (int v = 0; v < 3; v++) {
        char *x = malloc(n);
        memcpy(x, d, n);
        x[p] = v == 0 ? (char)255 : v == 1 ? (char)0 : (char)(x[p] ^ 1);
        if (pc_npz_parse(&r, x, n, "bad.npz") == PC_OK) pc_bundle_free(r);
        free(x);
      }
    for (int nth = 1; nth < 60; nth++) {
      pc_alloc_fail_nth(nth);
      int rc = pc_npz_parse(&r, d, n, "mem.npz");
      pc_alloc_fail_nth(0);
      if (rc == PC_OK) pc_bundle_free(r);
    }
    pc_alloc_get_stats(&after);
    ck_assert_int_eq(before.live, after.live);
    if (kind == 0) {
      char *x = malloc(n);
      memcpy(x, d, n);
      x[150] ^= 1; /* a byte of the first array */
      must_fail(pc_npz_parse(&r, x, n, "bad.npz"), PC_EFORMAT, "entry 'one' has the wrong checksum");
      memcpy(x, d, n);
      char *two = memmem(x + n / 2, n - n / 2, "two.npy", 7);
      memcpy(two, "one.npy", 7);
      must_fail(pc_npz_parse(&r, x, n, "bad.npz"), PC_EFORMAT, "two entries are named 'one'");
      memcpy(x, d, n);
      two = memmem(x + n / 2, n - n / 2, "two.npy", 7);
      memset(two - 4, 0, 4); /* the second entry's place: that of the first */
      must_fail(pc_npz_parse(&r, x, n, "bad.npz"), PC_EFORMAT, "overlap");
      free(x);
    }
    pc_free(d);
  }
  put("no.npz", "certainly no archive");
  must_fail(pc_npz_read(&r, at("no.npz")), PC_EFORMAT, "no.npz: not an npz file");
  pc_bundle_free(b);
}
END_TEST

START_TEST(test_numpy) { /* only where python3 and numpy are */
  char cmd[4096];
  if (system("/usr/bin/python3 -c 'import numpy' 2>/dev/null")) return;
  pc_bundle *b = some(), *r;
  must(pc_npz_write(at("s.npz"), b, NULL));
  must(pc_npz_write(at("d.npz"), b, &(pc_npz_opts){.deflate = 1}));
  must(pc_npz_write(at("w.npz"), b, &(pc_npz_opts){.zip64 = 1}));
  for (int64_t i = 0; i < pc_bundle_count(b); i++) {
    char name[32];
    snprintf(name, sizeof name, "%d.npy", (int)i);
    must(pc_npy_write(at(name), pc_bundle_tensor(b, i)));
  }
  put("t.py",
      "import numpy as np, sys\n"
      "d = sys.argv[1]\n"
      "s = np.load(d + '/s.npz')\n"
      "for f in ('d', 'w'):\n"
      "    o = np.load(d + '/' + f + '.npz')\n"
      "    assert o.files == s.files\n"
      "    for k in s.files: assert o[k].dtype == s[k].dtype and o[k].shape == s[k].shape and (o[k] == s[k]).all()\n"
      "for i, k in enumerate(s.files):\n"
      "    a = np.load('%s/%d.npy' % (d, i))\n"
      "    assert a.dtype == s[k].dtype and a.shape == s[k].shape and (a == s[k]).all(), k\n"
      "assert s['f32/4'].shape == (2, 3, 4) and s['i64/0'].shape == ()\n"
      "c = {k.replace('/', '_'): np.array(s[k], order='F') for k in s.files}\n"
      "np.savez(d + '/back.npz', **c)\n"
      "np.savez_compressed(d + '/backc.npz', **{k: v.astype(v.dtype.newbyteorder('>')) for k, v in c.items()})\n");
  snprintf(cmd, sizeof cmd, "/usr/bin/python3 '%s' '%s'", at("t.py"), dir);
  ck_assert_int_eq(system(cmd), 0);
  for (int f = 0; f < 2; f++) {
    must(pc_npz_read(&r, at(f ? "backc.npz" : "back.npz")));
    ck_assert_int_eq(pc_bundle_count(r), pc_bundle_count(b));
    for (int64_t i = 0; i < pc_bundle_count(b); i++) {
      char name[64];
      snprintf(name, sizeof name, "%s", pc_bundle_name(b, i));
      *strchr(name, '/') = '_';
      ck_assert_ptr_nonnull(pc_bundle_find(r, name));
      same(pc_bundle_find(r, name), pc_bundle_tensor(b, i));
    }
    pc_bundle_free(r);
  }
  pc_bundle_free(b);
}
END_TEST

static void add(TCase *c) {
  tcase_add_test(c, test_npy_round_trip);
  tcase_add_test(c, test_npy_variants);
  tcase_add_test(c, test_npy_hostile);
  tcase_add_test(c, test_npz_round_trip);
  tcase_add_test(c, test_npz_hostile);
  tcase_add_test(c, test_numpy);
}

int main(void) { return run_in_scratch("npy", add); }
