/* grid: every pixel of a small one by hand, labels where they belong, mistakes. */
#include <math.h>

#include "images/grid.h"
#include "images/png.h"
#include "options.h"
#include "scratch.h"

#define GRID(...) WITH(pc_grid_opts, PC_GRID_OPTIONS, __VA_ARGS__)

static int px(const pc_tensor *t, int64_t y, int64_t x, int k) { return pc_u8(t)[(y * t->size[1] + x) * 3 + k]; }

START_TEST(test_layout) { /* 3 pictures of 1 x 2 gray, 2 columns, padding 1, twice as large */
  uint8_t v[6] = {10, 20, 30, 40, 50, 60};
  int64_t size[4] = {3, 1, 2, 1};
  pc_tensor *t, *g;
  must(pc_tensor_from(&t, PC_U8, 4, size, v));
  must(pc_grid(&g, t, &GRID(.columns = {1, 2}, .padding = 1, .scale = 2)));
  ck_assert_str_eq(pc_shape_str(g), "(7,11,3)");
  for (int y = 0; y < 7; y++)
    for (int x = 0; x < 11; x++) {
      int row = y == 0 || y == 3 || y == 6 ? -1 : y / 3, col = x == 0 || x == 5 || x == 10 ? -1 : x / 5;
      int n = row * 2 + col, want = row < 0 || col < 0 || n > 2 ? 255 : v[n * 2 + (x - 1 - 5 * col) / 2];
      for (int k = 0; k < 3; k++) ck_assert_int_eq(px(g, y, x, k), want);
    }
  pc_tensor_release(g);
  pc_tensor_release(t);
}
END_TEST

START_TEST(test_floats_and_alpha) {
  float v[8] = {1, .5f, -3, 1, /**/ 1, NAN, 0, 0};
  int64_t size[4] = {1, 1, 2, 4};
  pc_tensor *t, *g;
  must(pc_tensor_from(&t, PC_F32, 4, size, v));
  must(pc_grid(&g, t, &GRID(.padding = 0, .dark = 1)));
  ck_assert_str_eq(pc_shape_str(g), "(1,2,3)");
  ck_assert(px(g, 0, 0, 0) == 255 && px(g, 0, 0, 1) == 128 && px(g, 0, 0, 2) == 0 && px(g, 0, 1, 0) == 0);
  pc_tensor_release(g);
  must(pc_grid(&g, t, &GRID(.padding = 0)));
  ck_assert(px(g, 0, 1, 0) == 255 && px(g, 0, 1, 1) == 255);
  pc_tensor_release(g);
  pc_tensor_release(t);
}
END_TEST

START_TEST(test_columns_and_labels) {
  int64_t a[4] = {2, 20, 30, 3}, b[4] = {1, 20, 30, 1}, c[4] = {2, 10, 30, 3};
  const char *cols[] = {"in", "a name that is too long"}, *rows[] = {"T", "x\xc3\xa9z"};
  pc_tensor *x, *y, *z, *g;
  must(pc_tensor_full(&x, PC_U8, 4, a, 100));
  must(pc_tensor_full(&y, PC_F32, 4, b, 1));
  must(pc_tensor_full(&z, PC_U8, 4, c, 0));
  pc_grid_opts o = GRID(.column_labels = cols, .ncolumn_labels = 2, .row_labels = rows, .nrow_labels = 2, .dark = 1);
  must(pc_grid_columns(&g, (const pc_tensor *[]){x, y}, 2, &o));
  int64_t left = 6 * 3 - 1 + 2, top = 9;
  ck_assert_int_eq(g->size[0], top + 2 + 2 * 22);
  ck_assert_int_eq(g->size[1], left + 2 + 2 * 32);
  ck_assert_int_eq(px(g, top + 2, left + 2, 0), 100);
  ck_assert_int_eq(px(g, top + 2, left + 2 + 32, 0), 255);
  ck_assert_int_eq(px(g, top + 2 + 22, left + 2 + 32, 0), 0); /* y has one picture */
  int64_t ty = top + 2 + (20 - 7) / 2;
  for (int i = 0; i < 5; i++) ck_assert_int_eq(px(g, ty, 1 + i, 0), 255); /* the bar of the T */
  ck_assert_int_eq(px(g, ty + 1, 1, 0), 0);
  ck_assert_int_eq(px(g, ty + 6, 3, 0), 255);
  for (int64_t yy = 0; yy < top; yy++) /* labels keep to their columns */
    for (int64_t xx = left + 2 + 30; xx < left + 2 + 32; xx++) ck_assert_int_eq(px(g, yy, xx, 0), 0);
  must(pc_png_write(at("g.png"), g, NULL));
  pc_tensor_release(g);
  must_fail(pc_grid_columns(&g, (const pc_tensor *[]){x, z}, 2, &o), PC_ESHAPE,
            "one batch has pictures of 20 x 30, another (2,10,30,3)");
  must_fail(pc_grid(&g, x, &GRID(.scale = 100)), PC_EARG, "grid: scale: expected an integer from 1 to 64, got 100");
  pc_tensor_release(z);
  c[0] = 0;
  must(pc_tensor_zeros(&z, PC_U8, 4, c));
  must_fail(pc_grid(&g, z, NULL), PC_ESHAPE, "holds no picture");
  pc_tensor_release(z);
  must(pc_tensor_zeros(&z, PC_U8, 3, a));
  must_fail(pc_grid(&g, z, NULL), PC_ESHAPE, "images have shape (2,20,30); (N,H,W,C)");
  pc_tensor_release(z);
  c[0] = 20000;
  c[1] = 100;
  c[2] = 1;
  c[3] = 1;
  must(pc_tensor_zeros(&z, PC_U8, 4, c));
  must_fail(pc_grid(&g, z, &GRID(.columns = {1, 1})), PC_EARG, "too much; show fewer");
  pc_tensor_release(z);
  pc_tensor_release(y);
  pc_tensor_release(x);
}
END_TEST

static void add(TCase *c) {
  tcase_add_test(c, test_layout);
  tcase_add_test(c, test_floats_and_alpha);
  tcase_add_test(c, test_columns_and_labels);
}

int main(void) { return run_in_scratch("grid", add); }
