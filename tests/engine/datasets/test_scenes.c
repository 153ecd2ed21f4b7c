/* scenes: the rendered set, small folders made here, the cache, and every mistake a user can make. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "datasets/scenes.h"
#include "formats/file.h"
#include "images/png.h"
#include "options.h"
#include "scratch.h"

#define SCENES(...) WITH(pc_scenes_opts, PC_SCENES_OPTIONS, __VA_ARGS__)

#define REAL "experiments/data/spar_cycles"
static char cache[300];

static void set_cache(void) { snprintf(cache, sizeof cache, "%s/cache", dir); }

static void put_png(const char *name, int h, int w, int c, int value) {
  uint8_t *px = malloc((size_t)(h * w * c));
  memset(px, value, (size_t)(h * w * c));
  must(pc_png_write_pixels(at(name), px, h, w, c, NULL));
  free(px);
}

/* four pictures, two factors, one number */
static void small_folder(void) {
  put("labels.csv",
      "filename,color,shape,size,maskname\n"
      "a.png,red,cube,1,a_m.png\nb.png,blue,cube,2.5,b_m.png\nc.png,red,ball,-3e2,c_m.png\nd.png,blue,ball,4,d_m."
      "png\n");
  for (int i = 0; i < 4; i++) {
    char name[16];
    snprintf(name, sizeof name, "%c.png", 'a' + i);
    put_png(name, 4, 6, 3, 10 * i);
    snprintf(name, sizeof name, "%c_m.png", 'a' + i);
    put_png(name, 4, 6, 1, i);
  }
}

static pc_scenes_opts opts(void) { return SCENES(.cache_dir = cache); }

START_TEST(test_small) {
  pc_scenes *ds;
  pc_tensor *t, *idx;
  small_folder();
  pc_scenes_opts o = opts();
  must(pc_scenes_open(&ds, dir, &o));
  ck_assert_int_eq(pc_scenes_count(ds), 4);
  ck_assert_int_eq(pc_scenes_height(ds), 4);
  ck_assert_int_eq(pc_scenes_width(ds), 6);
  ck_assert_int_eq(pc_scenes_nfactors(ds), 2);
  ck_assert_int_eq(pc_scenes_nnumeric(ds), 1);
  ck_assert_str_eq(pc_scenes_factor_value(ds, 0, 0), "blue");
  ck_assert_str_eq(pc_scenes_numeric_name(ds, 0), "size");
  ck_assert_double_eq(pc_scenes_numeric_values(ds, 0)[2], -300);
  const int64_t *color = pc_scenes_factor_index(ds, 0);
  ck_assert(color[0] == 2 && color[1] == 1 && color[2] == 2 && color[3] == 1);
  int64_t two = 2, list[2] = {4, 2};
  must(pc_tensor_from(&idx, PC_I64, 1, &two, list));
  must(pc_scenes_images(&t, ds, idx, PC_F32));
  ck_assert_str_eq(pc_shape_str(t), "(2,4,6,3)");
  ck_assert_float_eq_tol(pc_f32(t)[0], 30 / 255.0f, 1e-7f);
  ck_assert_float_eq_tol(pc_f32(t)[4 * 6 * 3], 10 / 255.0f, 1e-7f);
  pc_tensor_release(t);
  must(pc_scenes_masks(&t, ds, idx));
  ck_assert_str_eq(pc_shape_str(t), "(2,4,6)");
  ck_assert_int_eq(pc_u8(t)[0], 3);
  ck_assert_int_eq(pc_u8(t)[24], 1);
  pc_tensor_release(t);
  must(pc_scenes_factor(&t, ds, 1, idx));
  ck_assert(pc_i64(t)[0] == 1 && pc_i64(t)[1] == 2);
  pc_tensor_release(t);
  pc_i64(idx)[1] = 5;
  must_fail(pc_scenes_images(&t, ds, idx, PC_U8), PC_EINDEX, "index 5 at position 2: the dataset has 4 images");
  pc_i64(idx)[1] = 0;
  must_fail(pc_scenes_images(&t, ds, idx, PC_U8), PC_EINDEX, "index 0 at position 2");
  must_fail(pc_scenes_images(&t, ds, NULL, PC_F64), PC_EDTYPE, "u8 or f32, not f64");
  int f;
  must_fail(pc_scenes_factor_find(&f, ds, "colour"), PC_ENOTFOUND, "no factor 'colour'; there are: color, shape");
  int64_t v;
  must_fail(pc_scenes_factor_value_find(&v, ds, 0, "green"), PC_ENOTFOUND, "no value 'green'; there are: blue, red");
  const char *red[] = {"red"};
  pc_scenes_filter flt = {"color", red, 1, 0};
  pc_tensor *w;
  must(pc_scenes_where(&w, ds, &flt, 1));
  ck_assert(pc_numel(w) == 2 && pc_i64(w)[0] == 1 && pc_i64(w)[1] == 3);
  pc_tensor_release(w);
  pc_tensor_release(idx);
  pc_scenes_free(ds);
}
END_TEST

START_TEST(test_filters) {
  pc_scenes *ds;
  small_folder();
  pc_scenes_opts o = opts();
  const char *blue[] = {"blue"}, *bad[] = {"green"}, *cube[] = {"cube"};
  pc_scenes_filter f[2] = {{"color", blue, 1, 1}, {"shape", cube, 1, 0}};
  o.filters = f;
  o.nfilters = 2;
  must(pc_scenes_open(&ds, dir, &o));
  ck_assert_int_eq(pc_scenes_count(ds), 1);
  ck_assert_str_eq(pc_scenes_filename(ds, 0), "a.png");
  ck_assert_int_eq(pc_scenes_factor_nvalues(ds, 0), 1);
  pc_scenes_free(ds);
  f[0].values = bad;
  must_fail(pc_scenes_open(&ds, dir, &o), PC_ENOTFOUND, "column 'color' has no value 'green'; there are: blue, red");
  f[0].column = "hue";
  must_fail(pc_scenes_open(&ds, dir, &o), PC_ENOTFOUND,
            "no column 'hue'; there are: filename, color, shape, size, maskname");
  f[0] = (pc_scenes_filter){"shape", cube, 1, 1};
  must_fail(pc_scenes_open(&ds, dir, &o), PC_EARG, "none of the 4 rows passes the filters");
  o = opts();
  const char *force[] = {"size"};
  o.factors = force;
  o.nfactors = 1;
  must(pc_scenes_open(&ds, dir, &o));
  ck_assert_int_eq(pc_scenes_nfactors(ds), 3);
  ck_assert_str_eq(pc_scenes_factor_value(ds, 2, 0), "-3e2"); /* numbers sort as numbers */
  ck_assert_int_eq(pc_scenes_factor_index(ds, 2)[0], 2);
  pc_scenes_free(ds);
}
END_TEST

START_TEST(test_resize_options) {
  pc_scenes *ds;
  small_folder();
  pc_scenes_opts o = opts();
  o.height = (pc_maybe_int){1, 2};
  must(pc_scenes_open(&ds, dir, &o));
  ck_assert(pc_scenes_height(ds) == 2 && pc_scenes_width(ds) == 3);
  pc_scenes_free(ds);
  o.height.value = -1;
  must_fail(pc_scenes_open(&ds, dir, &o), PC_EARG, "scenes: height: expected an integer from 1 to 16384, got -1");
}
END_TEST

static char *first_digest(const pc_scenes *ds) { return strdup(pc_scenes_digest(ds)); }

static int calls;
static int count_calls(int64_t done, int64_t total, void *ctx) {
  ck_assert(done <= total && ctx == &calls);
  return calls++, 0;
}
static int stop_now(int64_t done, int64_t total, void *ctx) { return done >= 0 && total && ctx == NULL; }

START_TEST(test_cache) {
  pc_scenes *ds;
  small_folder();
  pc_scenes_opts o = opts();
  o.progress = count_calls;
  o.progress_ctx = &calls;
  calls = 0;
  must(pc_scenes_open(&ds, dir, &o));
  ck_assert_int_eq(calls, 1);
  char *digest = first_digest(ds), *path = strdup(pc_scenes_cache_path(ds));
  ck_assert(*path);
  pc_scenes_free(ds);
  must(pc_scenes_open(&ds, dir, &o)); /* mapped: nothing decoded */
  ck_assert_int_eq(calls, 1);
  ck_assert_str_eq(pc_scenes_digest(ds), digest);
  pc_scenes_free(ds);
  struct stat st;
  ck_assert_int_eq(stat(path, &st), 0);
  for (int damage = 0; damage < 5; damage++) { /* truncated, header, key, pixel, foreign file */
    int fd = open(path, O_RDWR);
    char x = 0x55;
    if (damage == 0) ck_assert_int_eq(ftruncate(fd, st.st_size - 1), 0);
    if (damage == 1) ck_assert_int_eq(pwrite(fd, &x, 1, 9), 1);
    if (damage == 2) ck_assert_int_eq(pwrite(fd, &x, 1, 60), 1);
    if (damage == 3) ck_assert_int_eq(pwrite(fd, &x, 1, 4096 + 64 + 17), 1);
    if (damage == 4) ck_assert_int_eq(ftruncate(fd, 3), 0);
    close(fd);
    calls = 0;
    must(pc_scenes_open(&ds, dir, &o));
    ck_assert_msg(calls == 1, "damage %d was not seen", damage);
    ck_assert_str_eq(pc_scenes_digest(ds), digest);
    pc_scenes_free(ds);
  }
  put_png("b.png", 4, 6, 3, 200); /* changed pictures are seen, too */
  calls = 0;
  must(pc_scenes_open(&ds, dir, &o));
  ck_assert_int_eq(calls, 1);
  ck_assert_str_ne(pc_scenes_digest(ds), digest);
  pc_scenes_free(ds);
  o.progress = stop_now;
  o.progress_ctx = NULL;
  put_png("b.png", 4, 6, 3, 10);
  must_fail(pc_scenes_open(&ds, dir, &o), PC_EINTR, "stopped");
  o.progress = NULL;
  must(pc_scenes_open(&ds, dir, &o));
  ck_assert_str_eq(pc_scenes_digest(ds), digest); /* content, not time */
  pc_scenes_free(ds);
  free(digest);
  free(path);
}
END_TEST

/* A cache answers as the first reading would: never an old picture, never a yes where the answer was no. */
START_TEST(test_cache_hides_nothing) {
  pc_scenes *ds;
  small_folder();
  pc_scenes_opts o = opts(), sized = opts();
  sized.height = (pc_maybe_int){1, 4}, sized.width = (pc_maybe_int){1, 6};
  must(pc_scenes_open(&ds, dir, &o));
  char *digest = first_digest(ds);
  pc_scenes_free(ds);
  for (int way = 0; way < 3;
       way++) { /* as large and, says its time, as old: written into, replaced, replaced by a link */
    struct stat st;
    ck_assert_int_eq(stat(at("b.png"), &st), 0);
    if (way == 1) put_png("new.png", 4, 6, 3, 90);
    if (way == 2) put_png("new2.png", 4, 6, 3, 91);
    if (way == 0) put_png("b.png", 4, 6, 3, 89);
    if (way == 1) ck_assert_int_eq(rename(at("new.png"), at("b.png")), 0);
    if (way == 2) ck_assert(!unlink(at("b.png")) && !symlink("new2.png", at("b.png")));
    ck_assert_int_eq(utimensat(AT_FDCWD, at("b.png"), (struct timespec[2]){st.st_atim, st.st_mtim}, 0), 0);
    must(pc_scenes_open(&ds, dir, &o));
    char *now = first_digest(ds);
    ck_assert_msg(strcmp(now, digest), "way %d: an old picture", way);
    free(digest);
    digest = now;
    pc_scenes_free(ds);
  }
  free(digest);
  put_png("c.png", 8, 8, 3, 1); /* two sizes: refused unless one is asked for, whatever was cached meanwhile */
  put_png("c_m.png", 8, 8, 1, 1);
  for (int i = 0; i < 2; i++) {
    must_fail(pc_scenes_open(&ds, dir, &o), PC_EIO, "give height and width");
    must(pc_scenes_open(&ds, dir, &sized));
    pc_scenes_free(ds);
  }
  o.on_error = PC_SCENES_SKIP;
  must(pc_scenes_open(&ds, dir, &o));
  ck_assert_int_eq(pc_scenes_count(ds), 3);
  pc_scenes_free(ds);
  must(pc_scenes_open(&ds, dir, &sized));
  ck_assert_int_eq(pc_scenes_count(ds), 4);
  pc_scenes_free(ds);
  o.on_error = PC_SCENES_STOP;
  must_fail(pc_scenes_open(&ds, dir, &o), PC_EIO, "give height and width");
  ck_assert_int_eq(unlink(at("d.png")), 0); /* removed: an error with and without a cache */
  must_fail(pc_scenes_open(&ds, dir, &sized), PC_EIO, "d.png: no such file");
}
END_TEST

START_TEST(test_no_cache) {
  pc_scenes *ds, *cached;
  small_folder();
  pc_scenes_opts o = opts();
  must(pc_scenes_open(&cached, dir, &o));
  o.cache_dir = "";
  must(pc_scenes_open(&ds, dir, &o));
  ck_assert_str_eq(pc_scenes_note(ds), "");
  ck_assert_str_eq(pc_scenes_cache_path(ds), "");
  ck_assert_str_eq(pc_scenes_digest(ds), pc_scenes_digest(cached));
  pc_scenes_free(ds);
  put("plain", "a file where a folder should be");
  char bad[600];
  snprintf(bad, sizeof bad, "%s/plain/cache", dir);
  o.cache_dir = bad;
  must(pc_scenes_open(&ds, dir, &o));
  ck_assert_msg(strstr(pc_scenes_note(ds), "no cache") && strstr(pc_scenes_note(ds), "kept in memory"), "%s",
                pc_scenes_note(ds));
  ck_assert_str_eq(pc_scenes_digest(ds), pc_scenes_digest(cached));
  pc_scenes_free(ds);
  pc_scenes_free(cached);
}
END_TEST

START_TEST(test_unreadable) {
  pc_scenes *ds;
  small_folder();
  put("b.png", "\x89PNG\r\n\x1a\n");
  unlink(at("c_m.png"));
  pc_scenes_opts o = opts();
  must_fail(pc_scenes_open(&ds, dir, &o), PC_EIO, "1 of 4 pictures cannot be read");
  ck_assert_ptr_nonnull(strstr(pc_error_text(), "c_m.png: no such file"));
  put_png("c_m.png", 4, 5, 1, 2);
  put_png("d.png", 8, 6, 3, 30);
  must_fail(pc_scenes_open(&ds, dir, &o), PC_EIO, "3 of 4 pictures cannot be read");
  ck_assert_ptr_nonnull(strstr(pc_error_text(), "\n  b.png: the PNG file is truncated"));
  ck_assert_ptr_nonnull(strstr(pc_error_text(), "\n  c_m.png: the mask has 4 x 5 pixels, its picture 4 x 6"));
  ck_assert_ptr_nonnull(
      strstr(pc_error_text(), "\n  d.png: 8 x 6 pixels, the first picture has 4 x 6; give height and width"));
  o.on_error = PC_SCENES_SKIP;
  for (int i = 0; i < 2; i++) { /* decoded, then from the cache: the same report */
    must(pc_scenes_open(&ds, dir, &o));
    ck_assert_int_eq(pc_scenes_count(ds), 1);
    ck_assert_ptr_nonnull(strstr(pc_scenes_note(ds), "3 of 4 pictures cannot be read and are left out:"));
    ck_assert_ptr_nonnull(strstr(pc_scenes_note(ds), "c_m.png"));
    pc_scenes_free(ds);
  }
  o.on_error = PC_SCENES_STOP; /* a cache with holes is still an error */
  must_fail(pc_scenes_open(&ds, dir, &o), PC_EIO, "3 of 4 pictures");
  put("a.png", "");
  o.on_error = PC_SCENES_SKIP;
  must_fail(pc_scenes_open(&ds, dir, &o), PC_EIO, "4 of 4 pictures cannot be read:");
  ck_assert_ptr_nonnull(strstr(pc_error_text(), "a.png: the file is empty"));
}
END_TEST

START_TEST(test_many_unreadable) {
  pc_scenes *ds;
  FILE *f = fopen(at("labels.csv"), "w");
  fprintf(f, "filename,k\n");
  for (int i = 0; i < 50; i++) fprintf(f, "p%d.png,x\n", i);
  fclose(f);
  pc_scenes_opts o = opts();
  must_fail(pc_scenes_open(&ds, dir, &o), PC_EIO, "... and 30 more");
  ck_assert_ptr_nonnull(strstr(pc_error_text(), "p19.png"));
  ck_assert_ptr_null(strstr(pc_error_text(), "p20.png"));
}
END_TEST

START_TEST(test_table_mistakes) {
  pc_scenes *ds;
  pc_scenes_opts o = opts();
  must_fail(pc_scenes_open(&ds, at("nowhere"), &o), PC_ENOTFOUND, "no folder");
  must_fail(pc_scenes_open(&ds, dir, &o), PC_ENOTFOUND, "holds none of labels.csv");
  put("labels.csv", "name,color\na.png,red\n");
  must_fail(pc_scenes_open(&ds, dir, &o), PC_ENOTFOUND, "no column 'filename'; there are: name, color");
  put("labels.csv", "filename,color\na.png,red\nb.png\n");
  must_fail(pc_scenes_open(&ds, dir, &o), PC_EFORMAT, "labels.csv:3: the row has 1 field, the header has 2");
  put("labels.csv", "filename,color\n");
  must_fail(pc_scenes_open(&ds, dir, &o), PC_EFORMAT, "a header and no rows");
  put("labels.csv", "filename,color\n,red\n");
  must_fail(pc_scenes_open(&ds, dir, &o), PC_EIO, "line 2: no filename");
  must_fail(pc_scenes_open(&ds, at("labels.csv"), &o), PC_EARG, "is a file; give the folder");
}
END_TEST

START_TEST(test_animals_layout) { /* <root>/<character_name>/<filename>, labels_pug_animal.csv */
  pc_scenes *ds;
  put("labels_pug_animal.csv",
      "filename,world_name,character_name,character_scale,camera_yaw,character_texture\n"
      "0.png,Desert,Cat,0.7,0,Sky\n0.png,Desert,Dog,1.0,45,Sky\n");
  ck_assert_int_eq(mkdir(at("Cat"), 0777) | mkdir(at("Dog"), 0777), 0);
  put_png("Cat/0.png", 2, 2, 3, 1);
  put_png("Dog/0.png", 2, 2, 3, 2);
  pc_scenes_opts o = opts();
  must(pc_scenes_open(&ds, dir, &o));
  pc_tensor *t;
  must(pc_scenes_images(&t, ds, NULL, PC_U8));
  ck_assert(pc_u8(t)[0] == 1 && pc_u8(t)[12] == 2);
  ck_assert_int_eq(pc_scenes_nfactors(ds), 3);
  ck_assert_int_eq(pc_scenes_nnumeric(ds), 2);
  ck_assert_int_eq(pc_scenes_licence(ds)->restricted, 1);
  pc_tensor_release(t);
  must_fail(pc_scenes_masks(&t, ds, NULL), PC_ESTATE, "there are no masks");
  pc_scenes_free(ds);
  const char *as_factors[] = {"character_scale", "camera_yaw"}; /* sizes .7, 1, 1.3 and four yaws are few values */
  o.factors = as_factors;
  o.nfactors = 2;
  must(pc_scenes_open(&ds, dir, &o));
  ck_assert_int_eq(pc_scenes_nfactors(ds), 5);
  int f;
  must(pc_scenes_factor_find(&f, ds, "camera_yaw"));
  ck_assert_str_eq(pc_scenes_factor_value(ds, f, 1), "45");
  pc_scenes_free(ds);
}
END_TEST

/* PUG:SPAR as published: 10 worlds x 33 x 33 (32 animals and blank) x 4 configurations = 43,560 rows, 512 pixels (here
 * one small picture for all). */
START_TEST(test_spar_layout) {
  static const char *const world[10] = {"Desert", "Arena",      "OceanFloor", "Racetrack",      "TokyoDay",
                                        "Circus", "BoxingRing", "Museum",     "AustralianRoad", "SaltFlats"};
  static const char *const look[4] = {"left,right,Default,Default", "bottom,top,Default,Default", "left,right,Blue,Red",
                                      "left,right,Grass,Stone"};
  FILE *f = fopen(at("labels.csv"), "w");
  fprintf(f,
          "filename,world_name,character_name,character2_name,character1_pos,character2_pos,character_texture,"
          "character2_texture\n");
  for (int w = 0; w < 10; w++)
    for (int a = 0; a < 33; a++)
      for (int b = 0; b < 33; b++)
        for (int k = 0; k < 4; k++) {
          char one[16] = "blank", two[16] = "blank";
          if (a < 32) snprintf(one, sizeof one, "Animal%d", a);
          if (b < 32) snprintf(two, sizeof two, "Animal%d", b);
          fprintf(f, "p.png,%s,%s,%s,%s\n", world[w], one, two, look[k]);
        }
  fclose(f);
  put_png("p.png", 8, 8, 3, 77);
  pc_scenes *ds;
  pc_scenes_opts o = opts();
  o.height = o.width = (pc_maybe_int){1, 4};
  must(pc_scenes_open(&ds, dir, &o));
  ck_assert_int_eq(pc_scenes_count(ds), 43560);
  const char *factor[] = {"world_name",     "character_name",    "character2_name",    "character1_pos",
                          "character2_pos", "character_texture", "character2_texture", "relation"};
  const int64_t values[] = {10, 33, 33, 2, 2, 3, 3, 2};
  ck_assert_int_eq(pc_scenes_nfactors(ds), 8);
  ck_assert_int_eq(pc_scenes_nnumeric(ds), 0);
  for (int k = 0; k < 8; k++) {
    ck_assert_str_eq(pc_scenes_factor_name(ds, k), factor[k]);
    ck_assert_int_eq(pc_scenes_factor_nvalues(ds, k), values[k]);
  }
  ck_assert_str_eq(pc_scenes_factor_value(ds, 7, 0), "bottom-top");
  ck_assert_str_eq(pc_scenes_factor_value(ds, 7, 1), "left-right");
  for (int64_t i = 0; i < 43560; i++) ck_assert_int_eq(pc_scenes_factor_index(ds, 7)[i], i % 4 == 1 ? 1 : 2);
  ck_assert_int_eq(pc_scenes_licence(ds)->restricted, 1);
  pc_scenes_free(ds);
  const char *left[] = {"left"}, *blank[] = {"blank"}; /* one relation: no factor of it */
  pc_scenes_filter only[] = {{"character1_pos", left, 1, 0}, {"character2_name", blank, 1, 0}};
  o.filters = only;
  o.nfilters = 2;
  must(pc_scenes_open(&ds, dir, &o));
  ck_assert_int_eq(pc_scenes_count(ds), 10 * 33 * 3);
  ck_assert_int_eq(pc_scenes_nfactors(ds), 7);
  pc_scenes_free(ds);
}
END_TEST

START_TEST(test_licence) {
  pc_scenes *ds;
  pc_licence l;
  const char *row = "a.png,Park,Cat,Dog,left,right,Default,Default\n",
             *desert = "a.png,Desert,Cat,Dog,left,right,Blue,Red\n",
             *header =
                 "filename,world_name,character_name,character2_name,character1_pos,character2_pos,character_texture,"
                 "character2_texture\n";
  char text[1000];
  pc_scenes_opts o = opts();
  put_png("a.png", 2, 2, 3, 1);
  snprintf(text, sizeof text, "%s%s%s", header, desert, row); /* Park is none of PUG's worlds */
  put("labels.csv", text);
  must(pc_scenes_open(&ds, dir, &o));
  ck_assert_str_eq(pc_scenes_licence(ds)->name, "unknown");
  ck_assert_int_eq(pc_scenes_first_use(ds, cache), 0);
  pc_scenes_free(ds);
  put("LICENSE", "\n# Own Terms 1.0\nBe kind.\n");
  must(pc_scenes_folder_licence(&l, dir));
  ck_assert_str_eq(l.name, "Own Terms 1.0");
  ck_assert(strstr(l.notice, "Be kind.") && !l.restricted);
  pc_licence_clear(&l);
  snprintf(text, sizeof text, "%s%s%s", header, desert, desert);
  put("labels.csv", text); /* PUG, whatever lies beside it */
  must(pc_scenes_open(&ds, dir, &o));
  ck_assert_ptr_nonnull(strstr(pc_scenes_licence(ds)->notice, "must not be used to train generative"));
  ck_assert_int_eq(pc_scenes_first_use(ds, cache), 1); /* shown once */
  ck_assert_int_eq(pc_scenes_first_use(ds, cache), 0);
  put("plain", "");
  ck_assert_int_eq(pc_scenes_first_use(ds, at("plain/cache")), 1); /* no marker can be made: always */
  ck_assert_int_eq(pc_scenes_first_use(ds, at("plain/cache")), 1);
  pc_scenes_free(ds);
  snprintf(text, sizeof text, "%s%s", header, row); /* by the folder's name */
  for (int k = 0; k < 3; k++) {
    const char *folder[] = {"PUG_SPAR", "pug-mine", "pugs"};
    char path[40];
    ck_assert_int_eq(mkdir(at(folder[k]), 0777), 0);
    snprintf(path, sizeof path, "%s/labels.csv", folder[k]);
    put(path, text);
    must(pc_scenes_folder_licence(&l, at(folder[k])));
    ck_assert_int_eq(l.restricted, k < 2);
    pc_licence_clear(&l);
  }
  ck_assert_int_eq(mkdir(at("spare"), 0777), 0);
  put("spare/PUG_SPARE.csv", text);
  must(pc_scenes_folder_licence(&l, at("spare")));
  ck_assert(l.restricted && !strcmp(l.name, "PUG:SPARE"));
  pc_licence_clear(&l);
  must_fail(pc_scenes_folder_licence(&l, at("nowhere")), PC_ENOTFOUND, "no folder");
  if (access(REAL, F_OK)) return;
  must(pc_scenes_folder_licence(&l, REAL));
  ck_assert_str_eq(l.name, "CC BY 4.0");
  ck_assert_int_eq(l.restricted, 0);
  pc_licence_clear(&l);
}
END_TEST

START_TEST(test_faults) { /* every allocation fails once: an error, no crash, no leak */
  pc_scenes *ds = NULL;
  small_folder();
  pc_set_num_threads(1);
  pc_alloc_stats before, after;
  for (int disk = 0; disk < 2; disk++) {
    int done = 0;
    pc_scenes_opts o = opts();
    o.cache_dir = disk ? cache : "";
    for (int nth = 1; nth < 4000 && !done; nth++) {
      pc_alloc_get_stats(&before);
      pc_alloc_fail_nth(nth);
      int rc = pc_scenes_open(&ds, dir, &o);
      pc_alloc_fail_nth(0);
      if (rc == PC_OK) {
        pc_scenes_free(ds);
        if (!disk) done = nth > 20;
        if (disk) done = nth > 300;
      } else {
        ck_assert_msg(rc == PC_ENOMEM || rc == PC_EIO, "%d %s", rc, pc_error_text());
      }
      pc_alloc_get_stats(&after);
      ck_assert_msg(before.live == after.live, "allocation %d: %lld bytes leaked", nth,
                    (long long)(after.live - before.live));
    }
    ck_assert(done);
  }
  pc_set_num_threads(2);
}
END_TEST

START_TEST(test_real) {
  pc_scenes *ds;
  pc_tensor *t, *m;
  if (access(REAL, F_OK)) return;
  pc_scenes_opts o = opts();
  for (int i = 0; i < 2; i++) {
    must(pc_scenes_open(&ds, REAL, &o));
    ck_assert_int_eq(pc_scenes_count(ds), 4210);
    ck_assert_int_eq(pc_scenes_nfactors(ds), 7);
    ck_assert_int_eq(pc_scenes_nnumeric(ds), 10);
    ck_assert_str_eq(pc_scenes_factor_name(ds, 0), "world_name");
    ck_assert_int_eq(pc_scenes_factor_nvalues(ds, 0), 10);
    ck_assert_int_eq(pc_scenes_factor_nvalues(ds, 1), 11);
    ck_assert_str_eq(pc_scenes_note(ds), "");
    if (!i) pc_scenes_free(ds);
  }
  must(pc_scenes_images(&t, ds, NULL, PC_U8));
  must(pc_scenes_masks(&m, ds, NULL));
  ck_assert_str_eq(pc_shape_str(t), "(4210,64,64,3)");
  pc_image one;
  char path[600];
  snprintf(path, sizeof path, "%s/%s", REAL, pc_scenes_filename(ds, 1234));
  must(pc_png_decode(&one, path, 3));
  ck_assert_int_eq(memcmp(one.data, pc_u8(t) + 1234 * 64 * 64 * 3, 64 * 64 * 3), 0);
  pc_image_clear(&one);
  int64_t worst = 0;
  for (int64_t i = 0; i < pc_numel(m); i++) worst = pc_u8(m)[i] > worst ? pc_u8(m)[i] : worst;
  ck_assert_int_eq(worst, 2);
  pc_tensor_release(m);
  pc_tensor_release(t);
  pc_scenes_free(ds);
}
END_TEST

static void add(TCase *c) {
  tcase_add_checked_fixture(c, set_cache, NULL);
  tcase_add_test(c, test_small);
  tcase_add_test(c, test_filters);
  tcase_add_test(c, test_resize_options);
  tcase_add_test(c, test_cache);
  tcase_add_test(c, test_cache_hides_nothing);
  tcase_add_test(c, test_no_cache);
  tcase_add_test(c, test_unreadable);
  tcase_add_test(c, test_many_unreadable);
  tcase_add_test(c, test_table_mistakes);
  tcase_add_test(c, test_animals_layout);
  tcase_add_test(c, test_spar_layout);
  tcase_add_test(c, test_licence);
  tcase_add_test(c, test_faults);
  tcase_add_test(c, test_real);
}

int main(void) { return run_in_scratch("scenes", add); }
