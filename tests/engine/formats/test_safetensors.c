/* safetensors and checkpoints: round trips, hostile headers by name, damage, restoring by name. */
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "formats/checkpoint.h"
#include "formats/file.h"
#include "formats/safetensors.h"
#include "scratch.h"

static pc_bundle *some(void) {
  static const pc_dtype d[4] = {PC_U8, PC_F32, PC_I64, PC_F64};
  static const char *const name[4] = {"mask", "layer.weight", "labels", "latents \"z\" \xc3\xa9"};
  pc_bundle *b;
  must(pc_bundle_new(&b));
  for (int i = 0; i < 4; i++) {
    pc_tensor *t;
    int64_t size[2] = {i + 1, 3};
    must(pc_tensor_full(&t, d[i], i % 2 + 1, size, 10 + i));
    must(pc_bundle_add(b, name[i], t));
    pc_tensor_release(t);
  }
  pc_tensor *t;
  int64_t none[2] = {0, 5};
  must(pc_tensor_scalar(&t, PC_I32, -5));
  must(pc_bundle_add(b, "scalar", t));
  pc_tensor_release(t);
  must(pc_tensor_zeros(&t, PC_F32, 2, none));
  must(pc_bundle_add(b, "empty", t));
  pc_tensor_release(t);
  must(pc_bundle_set(b, "note", "two\nlines and \"quotes\""));
  must(pc_bundle_setf(b, "step", "%d", 123));
  return b;
}

static void same(const pc_tensor *a, const pc_tensor *b) {
  ck_assert(a && b && a->dtype == b->dtype && pc_same_shape(a, b));
  ck_assert_int_eq(memcmp(pc_data(a), pc_data(b), (size_t)pc_numel(a) * pc_dtype_size((pc_dtype)a->dtype)), 0);
}

START_TEST(test_round_trip) {
  pc_bundle *b = some(), *r;
  must(pc_safetensors_write(at("a.safetensors"), b));
  must(pc_safetensors_read(&r, at("a.safetensors")));
  ck_assert_int_eq(pc_bundle_count(r), pc_bundle_count(b));
  for (int64_t i = 0; i < pc_bundle_count(b); i++)
    same(pc_bundle_tensor(b, i), pc_bundle_find(r, pc_bundle_name(b, i)));
  ck_assert_str_eq(pc_bundle_meta(r, "note"), "two\nlines and \"quotes\"");
  ck_assert_int_eq(pc_bundle_nmeta(r), 2);
  pc_bundle_free(r);
  char *d;
  size_t n;
  must(pc_file_read(&d, &n, at("a.safetensors"), 0));
  ck_assert_int_eq((uint8_t)d[0] % 8, 0); /* data starts at a multiple of 8 */
  pc_free(d);
  must_fail(pc_safetensors_write(at("no/folder.safetensors"), b), PC_EIO, "cannot be written");
  if (!system("/usr/bin/python3 -c 'import numpy' 2>/dev/null")) {
    char cmd[2000];
    put("t.py",
        "import sys, json, struct, numpy as np\n"
        "raw = open(sys.argv[1], 'rb').read()\n"
        "n = struct.unpack('<Q', raw[:8])[0]\n"
        "h = json.loads(raw[8:8+n]); data = raw[8+n:]\n"
        "assert h.pop('__metadata__') == {'note': 'two\\nlines and \"quotes\"', 'step': '123'}\n"
        "def get(k):\n"
        "    e = h[k]; a, b = e['data_offsets']\n"
        "    t = {'F32': '<f4', 'F64': '<f8', 'I64': '<i8', 'I32': '<i4', 'U8': 'u1'}[e['dtype']]\n"
        "    return np.frombuffer(data[a:b], t).reshape(e['shape'])\n"
        "assert get('layer.weight').tolist() == [[11] * 3] * 2 and get('labels').tolist() == [12] * 3\n"
        "assert get('latents \"z\" \\u00e9').shape == (4, 3) and get('scalar') == -5 and get('empty').shape == (0, "
        "5)\n");
    snprintf(cmd, sizeof cmd, "/usr/bin/python3 '%s' '%s'", at("t.py"), at("a.safetensors"));
    ck_assert_int_eq(system(cmd), 0);
  }
  pc_bundle_free(b);
}
END_TEST

static int parse(pc_bundle **out, const char *json, size_t data_bytes) {
  uint8_t b[2048] = {0};
  size_t n = strlen(json);
  for (int i = 0; i < 8; i++) b[i] = (uint8_t)(n >> 8 * i);
  memcpy(b + 8, json, n);
  return pc_safetensors_parse(out, b, 8 + n + data_bytes, "x.safetensors");
}

START_TEST(test_hostile) {
#define T(offsets) "{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":" offsets "}"
  static const struct {
    const char *json, *say;
  } bad[] = {
      {"{\"a\":" T("[0,8]") ",\"b\":" T("[0,8]") "}", "overlaps another one"},
      {"{\"a\":" T("[0,8]") ",\"b\":" T("[4,12]") "}", "'b' overlaps another one"},
      {"{\"a\":" T("[8,16]") "}", "'a' leaves a gap before it"},
      {"{\"a\":" T("[0,8]") "}", "8 bytes behind the last tensor"},
      {"{\"a\":" T("[0,8]") ",\"b\":" T("[16,24]") "}", "outside the 16 bytes of data: the file is truncated"},
      {"{\"a\":" T("[-8,0]") "}", "lie outside"},
      {"{\"a\":" T("[8,0]") "}", "lie outside"},
      {"{\"a\":" T("[0,16]") "}", "F32 of shape (2) needs 8 bytes, data_offsets give 16"},
      {"{\"a\":" T("[0,8]") ",\"a\":" T("[8,16]") "}", "duplicate object key"},
      {"{\"a\":" T("[0]") "}", "data_offsets are two integers"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2,-2],\"data_offsets\":[0,16]}}", "negative size"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,16]}}", "too large to address"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,4],\"data_offsets\":[0,16]}}", "9 dimensions; at most 8"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2.5],\"data_offsets\":[0,16]}}", "no integer"},
      {"{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[16],\"data_offsets\":[0,16]}}", "dtype 'F8_E4M3' cannot be read"},
      {"{\"a\":{\"shape\":[16],\"data_offsets\":[0,16]}}", "tensor 'a': dtype, shape and data_offsets are needed"},
      {"{\"a\":3}", "tensor 'a': dtype, shape and data_offsets are needed"},
      {"{\"__metadata__\":{\"k\":1}}", "metadata 'k' is no string"},
      {"{\"__metadata__\":[]}", "__metadata__ is no object"},
      {"{\"a\":", "malformed safetensors header"},
      {"[]", "no JSON header"},
      {"{}x", "malformed safetensors header"},
  };
  pc_bundle *r;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) must_fail(parse(&r, bad[i].json, 16), PC_EFORMAT, bad[i].say);
  must(parse(&r, "{\"h\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4));
  ck_assert_int_eq(pc_bundle_tensor(r, 0)->dtype, PC_F32);
  pc_bundle_free(r);
  must(parse(&r, "{}", 0));
  pc_bundle_free(r);
  uint8_t huge[16] = {255, 255, 255, 255, 255, 255, 255, 255, '{'};
  must_fail(pc_safetensors_parse(&r, huge, 16, "x"), PC_EFORMAT, "not a safetensors file");
  pc_bundle *b = some();
  must(pc_safetensors_write(at("a.safetensors"), b));
  char *d;
  size_t n;
  must(pc_file_read(&d, &n, at("a.safetensors"), 0));
  pc_alloc_stats before, after;
  pc_alloc_get_stats(&before);
  for (size_t cut = 0; cut < n; cut++) {
    char *exact = malloc(cut ? cut : 1);
    memcpy(exact, d, cut);
    ck_assert_int_eq(pc_safetensors_parse(&r, exact, cut, "cut"), PC_EFORMAT);
    free(exact);
  }
  for (size_t p = 0; p < n; p++) {
    d[p] ^= 0x11;
    if (pc_safetensors_parse(&r, d, n, "bad") == PC_OK) pc_bundle_free(r);
    d[p] ^= 0x11;
  }
  for (int nth = 1; nth < 50; nth++) {
    pc_alloc_fail_nth(nth);
    int rc = pc_safetensors_parse(&r, d, n, "mem");
    pc_alloc_fail_nth(0);
    if (rc == PC_OK) pc_bundle_free(r);
  }
  pc_alloc_get_stats(&after);
  ck_assert_int_eq(before.live, after.live);
  pc_free(d);
  pc_bundle_free(b);
}
END_TEST

START_TEST(test_checkpoint) {
  pc_bundle *b = some(), *r;
  pc_rng g = {0xfedcba9876543210u, 42}, h;
  double lr[2] = {.1, 1e-300}, lr2[2];
  must(pc_checkpoint_put_rng(b, "rng", &g));
  must(pc_bundle_set_f64(b, "lr", lr, 2));
  must(pc_checkpoint_write(at("c.ckpt"), b));
  must(pc_checkpoint_write(at("c.ckpt"), b)); /* over the old one */
  must(pc_checkpoint_read(&r, at("c.ckpt")));
  must(pc_checkpoint_get_rng(&h, r, "rng"));
  ck_assert(h.seed == g.seed && h.counter == 42);
  must(pc_bundle_get_f64(lr2, 2, r, "lr"));
  ck_assert(lr2[0] == lr[0] && lr2[1] == lr[1]);
  uint64_t u[3];
  must_fail(pc_bundle_get_u64(u, 1, r, "epoch"), PC_ENOTFOUND, "no entry 'epoch'");
  must_fail(pc_bundle_get_u64(u, 3, r, "rng"), PC_EFORMAT, "3 whole numbers are needed");
  must_fail(pc_bundle_get_u64(u, 1, r, "note"), PC_EFORMAT, "whole numbers are needed");
  pc_bundle_free(r);
  char *d;
  size_t n;
  must(pc_file_read(&d, &n, at("c.ckpt"), 0));
  d[n - 5] ^= 1; /* a weight */
  put_bytes("bad.ckpt", d, n);
  must_fail(pc_checkpoint_read(&r, at("bad.ckpt")), PC_EFORMAT, "the file is damaged");
  pc_free(d);
  pc_bundle *plain = some();
  must(pc_safetensors_write(at("p.safetensors"), plain));
  must_fail(pc_checkpoint_read(&r, at("p.safetensors")), PC_EFORMAT, "no checkpoint of percept");
  must_fail(pc_checkpoint_read(&r, at("none.ckpt")), PC_ENOTFOUND, "none.ckpt: No such file");
  char cmd[700];
  snprintf(cmd, sizeof cmd, "test -z \"$(ls '%s' | grep tmp)\"", dir); /* no temporary file is left */
  ck_assert_int_eq(system(cmd), 0);
  pc_bundle_free(plain);
  pc_bundle_free(b);
}
END_TEST

START_TEST(test_disk_full) { /* as far as a limit on file sizes can play it: the old checkpoint stays whole */
  pc_bundle *b = some(), *r;
  pc_tensor *t;
  int64_t big = 100000;
  struct rlimit old, small;
  must(pc_checkpoint_write(at("c.ckpt"), b));
  must(pc_tensor_zeros(&t, PC_F64, 1, &big));
  must(pc_bundle_add(b, "big", t));
  ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
  small = old;
  small.rlim_cur = 50000;
  void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
  int rc = pc_checkpoint_write(at("c.ckpt"), b);
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
  signal(SIGXFSZ, before);
  ck_assert_int_eq(rc, PC_EIO);
  ck_assert_ptr_nonnull(strstr(pc_error_text(), "c.ckpt: writing failed: File too large"));
  must(pc_checkpoint_read(&r, at("c.ckpt")));
  ck_assert_ptr_null(pc_bundle_find(r, "big"));
  char cmd[700];
  snprintf(cmd, sizeof cmd, "test -z \"$(ls '%s' | grep tmp)\"", dir);
  ck_assert_int_eq(system(cmd), 0);
  pc_bundle_free(r);
  pc_tensor_release(t);
  pc_bundle_free(b);
}
END_TEST

START_TEST(test_restore) {
  pc_bundle *b;
  pc_tensor *t, *w, *v;
  int64_t size[2] = {2, 3}, other[2] = {3, 2};
  must(pc_bundle_new(&b));
  must(pc_tensor_full(&t, PC_F32, 2, size, 7));
  must(pc_bundle_add(b, "enc.w", t));
  must(pc_bundle_add(b, "enc.v", t));
  must(pc_bundle_add(b, "dec.w", t));
  must(pc_tensor_zeros(&w, PC_F32, 2, size));
  must(pc_tensor_zeros(&v, PC_F32, 2, other));
  const char *names[] = {"w", "v"};
  pc_tensor *dst[] = {w, v};
  must_fail(pc_checkpoint_restore(b, "enc.", names, dst, 2, 0), PC_EARG,
            "'enc.v' has shape (2,3) in the checkpoint, (3,2) here");
  ck_assert_float_eq(pc_f32(w)[0], 0); /* nothing was copied */
  must_fail(pc_checkpoint_restore(b, "enc.", names, dst, 1, 0), PC_EARG, "'enc.v' is in the checkpoint, but not here");
  must_fail(pc_checkpoint_restore(b, "dec.", names, dst, 2, 0), PC_EARG, "'dec.v' is not in the checkpoint");
  pc_tensor_release(v);
  must(pc_tensor_zeros(&v, PC_F64, 2, size));
  dst[1] = v;
  must_fail(pc_checkpoint_restore(b, "enc.", names, dst, 2, 0), PC_EARG, "'enc.v' is f32 in the checkpoint, f64 here");
  uint32_t version = w->storage->version;
  must(pc_checkpoint_restore(b, "enc.", names, dst, 1, 1));
  ck_assert_float_eq(pc_f32(w)[5], 7);
  ck_assert_uint_ne(version, w->storage->version);
  pc_tensor_release(v);
  pc_tensor_release(w);
  pc_tensor_release(t);
  pc_bundle_free(b);
}
END_TEST

static void add(TCase *c) {
  tcase_add_test(c, test_round_trip);
  tcase_add_test(c, test_hostile);
  tcase_add_test(c, test_checkpoint);
  tcase_add_test(c, test_disk_full);
  tcase_add_test(c, test_restore);
}

int main(void) { return run_in_scratch("safetensors", add); }
