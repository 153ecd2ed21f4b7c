/* png: every colour type and depth, interlaced and not, written by libpng here; damage at every byte; mistakes. */
#include <png.h>

#include "base/alloc.h"
#include "images/png.h"
#include "scratch.h"

#define H 5
#define W 7

typedef struct kind {
  int color, depth, trns;
} kind;

static const kind kinds[] = {
    {PNG_COLOR_TYPE_GRAY, 1, 0},      {PNG_COLOR_TYPE_GRAY, 2, 0},       {PNG_COLOR_TYPE_GRAY, 4, 0},
    {PNG_COLOR_TYPE_GRAY, 8, 0},      {PNG_COLOR_TYPE_GRAY, 16, 0},      {PNG_COLOR_TYPE_GRAY, 8, 1},
    {PNG_COLOR_TYPE_GRAY, 2, 1},      {PNG_COLOR_TYPE_GRAY_ALPHA, 8, 0}, {PNG_COLOR_TYPE_GRAY_ALPHA, 16, 0},
    {PNG_COLOR_TYPE_PALETTE, 1, 0},   {PNG_COLOR_TYPE_PALETTE, 2, 0},    {PNG_COLOR_TYPE_PALETTE, 4, 0},
    {PNG_COLOR_TYPE_PALETTE, 8, 0},   {PNG_COLOR_TYPE_PALETTE, 8, 1},    {PNG_COLOR_TYPE_PALETTE, 4, 1},
    {PNG_COLOR_TYPE_RGB, 8, 0},       {PNG_COLOR_TYPE_RGB, 16, 0},       {PNG_COLOR_TYPE_RGB, 8, 1},
    {PNG_COLOR_TYPE_RGB_ALPHA, 8, 0}, {PNG_COLOR_TYPE_RGB_ALPHA, 16, 0},
};
#define NKIND (int)(sizeof kinds / sizeof *kinds)

static int samples(int color) { return (int[]){1, 0, 3, 1, 2, 0, 4}[color]; }

/* The stored sample k of pixel (y,x). */
static unsigned stored(const kind *t, int y, int x, int k) {
  unsigned top = (1u << t->depth) - 1, v = (unsigned)(y * 31 + x * 17 + k * 57 + 3);
  if (t->depth == 16) return (v * 2749u) & top;
  if (t->depth == 8 && t->color != PNG_COLOR_TYPE_PALETTE) return (v * 7) & top;
  return v % (t->color == PNG_COLOR_TYPE_PALETTE && t->depth == 8 ? 20 : top + 1);
}

static png_color palette_entry(int i) {
  return (png_color){(png_byte)(i * 9 + 1), (png_byte)(250 - i * 5), (png_byte)(i * i)};
}
static int palette_alpha(int i) { return i < 3 ? i * 100 : 255; }

static void write_kind(const char *path, const kind *t, int interlace) {
  FILE *f = fopen(path, "wb");
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
  png_infop info = png_create_info_struct(png);
  png_color pal[256];
  png_byte rows[H][W * 8], alpha[3] = {0, 100, 200}, *row[H];
  int n = samples(t->color);
  png_init_io(png, f);
  png_set_IHDR(png, info, W, H, t->depth, t->color, interlace ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, 0, 0);
  int npal = t->depth >= 8 ? 20 : 1 << t->depth;
  for (int i = 0; i < npal; i++) pal[i] = palette_entry(i);
  if (t->color == PNG_COLOR_TYPE_PALETTE) {
    png_set_PLTE(png, info, pal, npal);
    if (t->trns) png_set_tRNS(png, info, alpha, 3, NULL);
  } else if (t->trns) { /* the colour of pixel (1,2) is the transparent one */
    png_color_16 c = {.gray = (png_uint_16)stored(t, 1, 2, 0),
                      .red = (png_uint_16)stored(t, 1, 2, 0),
                      .green = (png_uint_16)stored(t, 1, 2, 1),
                      .blue = (png_uint_16)stored(t, 1, 2, 2)};
    png_set_tRNS(png, info, NULL, 0, &c);
  }
  png_write_info(png, info);
  if (t->depth < 8) png_set_packing(png);
  for (int y = 0; y < H; y++) {
    row[y] = rows[y];
    for (int i = 0; i < W * n; i++) {
      unsigned v = stored(t, y, i / n, i % n);
      if (t->depth == 16)
        rows[y][2 * i] = (png_byte)(v >> 8), rows[y][2 * i + 1] = (png_byte)v;
      else
        rows[y][i] = (png_byte)v;
    }
  }
  png_write_image(png, row);
  png_write_end(png, NULL);
  png_destroy_write_struct(&png, &info);
  fclose(f);
}

/* 8-bit RGBA that pixel (y,x) stands for. */
static void expect_rgba(const kind *t, int y, int x, int out[4]) {
  unsigned s[4] = {0};
  int n = samples(t->color), same = 1;
  unsigned top = (1u << t->depth) - 1;
  for (int k = 0; k < n; k++) {
    unsigned v = stored(t, y, x, k);
    same &= v == stored(t, 1, 2, k);
    s[k] = (v * 255u + top / 2) / top;
  }
  if (t->color == PNG_COLOR_TYPE_PALETTE) {
    int i = (int)stored(t, y, x, 0);
    png_color c = palette_entry(i);
    out[0] = c.red, out[1] = c.green, out[2] = c.blue, out[3] = t->trns ? palette_alpha(i) : 255;
    return;
  }
  for (int k = 0; k < 3; k++) out[k] = (int)s[n >= 3 ? k : 0];
  out[3] = n == 2 || n == 4 ? (int)s[n - 1] : t->trns && same ? 0 : 255;
}

START_TEST(test_all_kinds) {
  for (int i = 0; i < NKIND; i++)
    for (int interlace = 0; interlace < 2; interlace++) {
      const char *path = at("k.png");
      write_kind(path, &kinds[i], interlace);
      for (int c = 1; c <= 4; c++) {
        pc_tensor *t;
        if (c == 2) continue;
        must(pc_png_read(&t, path, c));
        ck_assert(t->size[0] == H && t->size[1] == W && t->size[2] == c && t->dtype == PC_U8);
        for (int y = 0; y < H; y++)
          for (int x = 0; x < W; x++) {
            int e[4], w[4];
            expect_rgba(&kinds[i], y, x, e);
            for (int k = 0; k < 3; k++) w[k] = c == 4 ? e[k] : (int)((e[k] * e[3] + 255 * (255 - e[3])) / 255. + .5);
            w[3] = e[3];
            int gray = kinds[i].color == PNG_COLOR_TYPE_GRAY || kinds[i].color == PNG_COLOR_TYPE_GRAY_ALPHA;
            if (c == 1 && !gray) w[0] = (int)((299 * w[0] + 587 * w[1] + 114 * w[2]) / 1000. + .5);
            for (int k = 0; k < c; k++)
              ck_assert_msg(pc_u8(t)[(y * W + x) * c + k] == w[k],
                            "kind %d interlace %d channels %d at %d,%d,%d: %d, not %d", i, interlace, c, y, x, k,
                            pc_u8(t)[(y * W + x) * c + k], w[k]);
          }
        pc_tensor_release(t);
      }
      pc_tensor *m;
      if (kinds[i].color & PNG_COLOR_MASK_COLOR && kinds[i].color != PNG_COLOR_TYPE_PALETTE) {
        must_fail(pc_png_read_labels(&m, path), PC_EFORMAT, "a mask has to be a gray or palette PNG");
      } else if (kinds[i].depth == 16) {
        must_fail(pc_png_read_labels(&m, path), PC_EFORMAT, "labels go up to 255");
      } else {
        must(pc_png_read_labels(&m, path));
        for (int p = 0; p < H * W; p++) ck_assert_int_eq(pc_u8(m)[p], (int)stored(&kinds[i], p / W, p % W, 0));
        pc_tensor_release(m);
      }
    }
}
END_TEST

START_TEST(test_damage) { /* cut at every byte, and one byte changed at every place: an error or a picture, no more */
  pc_alloc_stats before, after;
  for (int i = 0; i < NKIND; i += 5) {
    write_kind(at("d.png"), &kinds[i], i % 2);
    FILE *f = fopen(at("d.png"), "rb");
    uint8_t data[4096], bad[4096];
    size_t n = fread(data, 1, sizeof data, f);
    fclose(f);
    pc_image im;
    pc_alloc_get_stats(&before);
    for (size_t cut = 0; cut < n; cut++) {
      int rc = pc_png_decode_memory(&im, data, cut, 3, "cut.png");
      ck_assert_msg(rc == PC_EFORMAT, "cut at %zu of %zu: %d", cut, n, rc);
      ck_assert_ptr_nonnull(strstr(pc_error_text(), "cut.png: "));
      ck_assert_ptr_null(im.data);
    }
    for (size_t p = 0; p < n; p++) {
      memcpy(bad, data, n);
      bad[p] ^= 0x41;
      if (pc_png_decode_memory(&im, bad, n, 3, "bad.png") == PC_OK) pc_image_clear(&im);
      if (pc_png_decode_memory(&im, bad, n, 0, "bad.png") == PC_OK) pc_image_clear(&im);
    }
    for (int nth = 1; nth < 40; nth++) {
      pc_alloc_fail_nth(nth);
      int rc = pc_png_decode_memory(&im, data, n, 3, "mem.png");
      pc_alloc_fail_nth(0);
      if (rc == PC_OK) pc_image_clear(&im);
    }
    pc_alloc_get_stats(&after);
    ck_assert_int_eq(before.live, after.live);
  }
}
END_TEST

START_TEST(test_mistakes) {
  pc_tensor *t;
  must_fail(pc_png_read(&t, at("none.png"), 3), PC_ENOTFOUND, "none.png: No such file");
  put("text.png", "hello");
  must_fail(pc_png_read(&t, at("text.png"), 3), PC_EFORMAT, "text.png: not a PNG file");
  put("photo.png", "\xff\xd8\xff\xe0 JFIF");
  must_fail(pc_png_read(&t, at("photo.png"), 3), PC_EFORMAT, "it is a JPEG: convert it to PNG");
  put("empty.png", "");
  must_fail(pc_png_read(&t, at("empty.png"), 3), PC_EFORMAT, "empty.png: the file is empty");
  must_fail(pc_png_read(&t, dir, 3), PC_EIO, "not a regular file");
  write_kind(at("ok.png"), &kinds[15], 0);
  must_fail(pc_png_read(&t, at("ok.png"), 2), PC_EARG, "2 channels asked for; 1 (gray), 3 (RGB) or 4 (RGBA)");
  /* a header that claims 30000 x 30000, its checksum set right */
  FILE *f = fopen(at("ok.png"), "r+b");
  uint8_t ihdr[17], crc[4];
  fseek(f, 12, SEEK_SET);
  ck_assert_uint_eq(fread(ihdr, 1, 17, f), 17);
  for (int big = 0; big < 2; big++) {
    png_save_uint_32(ihdr + 4, big ? 30000 : 8000);
    png_save_uint_32(ihdr + 8, big ? 30000 : 8000);
    uint32_t c = 0xffffffff;
    for (int i = 0; i < 17; i++) {
      c ^= ihdr[i];
      for (int b = 0; b < 8; b++) c = c >> 1 ^ (c & 1 ? 0xedb88320 : 0);
    }
    png_save_uint_32(crc, ~c);
    fseek(f, 12, SEEK_SET);
    fwrite(ihdr, 1, 17, f);
    fwrite(crc, 1, 4, f);
    fflush(f);
    pc_alloc_reset_peak();
    pc_alloc_stats st0, st;
    pc_alloc_get_stats(&st0);
    must_fail(pc_png_read(&t, at("ok.png"), 3), PC_EFORMAT, big ? "the limit is 32768 a side" : "which ");
    pc_alloc_get_stats(&st);
    ck_assert_int_lt(st.peak - st0.live, 10 << 20);
  }
  fclose(f);
}
END_TEST

START_TEST(test_round_trip) {
  for (int c = 1; c <= 4; c++) {
    int64_t size[3] = {9, 4, c};
    pc_tensor *t, *r, *f32;
    must(pc_tensor_empty(&t, PC_U8, 3, size));
    for (int64_t i = 0; i < pc_numel(t); i++) pc_u8(t)[i] = (uint8_t)(i * 37);
    if (c != 2) {
      const char *text[] = {"Title", "a test", NULL};
      must(pc_png_write(at("r.png"), t, text));
      must(pc_png_read(&r, at("r.png"), c));
      ck_assert_int_eq(memcmp(pc_u8(t), pc_u8(r), (size_t)pc_numel(t)), 0);
      pc_tensor_release(r);
      must(pc_tensor_empty(&f32, PC_F32, 3, size));
      for (int64_t i = 0; i < pc_numel(t); i++) pc_f32(f32)[i] = (float)pc_u8(t)[i] / 255.0f;
      must(pc_png_write(at("f.png"), f32, NULL));
      must(pc_png_read(&r, at("f.png"), c));
      ck_assert_int_eq(memcmp(pc_u8(t), pc_u8(r), (size_t)pc_numel(t)), 0);
      pc_tensor_release(r);
      pc_tensor_release(f32);
    }
    pc_tensor_release(t);
  }
  pc_tensor *t, *r;
  float v[4] = {-1, 2, 0.0f / 1, 0};
  v[2] = v[2] / v[3]; /* NaN */
  int64_t two[2] = {2, 2}, four[4] = {1, 2, 2, 3};
  must(pc_tensor_from(&t, PC_F32, 2, two, v));
  must(pc_png_write(at("c.png"), t, NULL));
  must(pc_png_read(&r, at("c.png"), 1));
  ck_assert(pc_u8(r)[0] == 0 && pc_u8(r)[1] == 255 && pc_u8(r)[2] == 0);
  must_fail(pc_png_write(at("no/such/folder.png"), t, NULL), PC_EIO, "cannot be written");
  pc_tensor_release(r);
  pc_tensor_release(t);
  must(pc_tensor_zeros(&t, PC_F32, 4, four));
  must_fail(pc_png_write(at("x.png"), t, NULL), PC_ESHAPE, "image has shape (1,2,2,3)");
  ck_assert_ptr_nonnull(strstr(pc_error_text(), "select one image, or use a grid"));
  pc_tensor_release(t);
  must(pc_tensor_zeros(&t, PC_I64, 2, two));
  must_fail(pc_png_write(at("x.png"), t, NULL), PC_EDTYPE, "image is i64");
  pc_tensor_release(t);
}
END_TEST

static void add(TCase *c) {
  tcase_add_test(c, test_all_kinds);
  tcase_add_test(c, test_damage);
  tcase_add_test(c, test_mistakes);
  tcase_add_test(c, test_round_trip);
}

int main(void) { return run_in_scratch("png", add); }
