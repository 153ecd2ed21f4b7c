/* split: coverage and disjointness over rules and seeds, the matrix by hand, mistakes. */
#include <math.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "datasets/scenes.h"
#include "datasets/split.h"
#include "images/png.h"
#include "options.h"
#include "scratch.h"

#define SCENES(...)  WITH(pc_scenes_opts, PC_SCENES_OPTIONS, __VA_ARGS__)
#define SPLIT(...)   WITH(pc_split_opts, PC_SPLIT_OPTIONS, __VA_ARGS__)
#define LATENTS(...) WITH(pc_split_latents_opts, PC_SPLIT_LATENTS_OPTIONS, .gap = PC_LATENT_GAP_INIT, __VA_ARGS__)

#define A 10 /* animals */
#define W 8  /* worlds */

static pc_scenes *ds;

/* The scenes' split, by way of the data set that they are. */
static int split_scenes(pc_split **s, pc_scenes *scenes, const pc_split_opts *o) {
  pc_dataset *d;
  must(pc_scenes_dataset(&d, scenes, NULL));
  int rc = pc_split_cells(s, d, o);
  pc_dataset_free(d);
  return rc;
}

/* One 1x1 picture for a full factorial of A+1 x A+1 animals and W worlds. */
static void make(void) {
  FILE *f = fopen(at("labels.csv"), "w");
  fprintf(f, "filename,world_name,character_name,character2_name,character_texture,character2_texture\n");
  for (int w = 0; w < W; w++)
    for (int a = 0; a <= A; a++)
      for (int b = 0; b <= A; b++)
        for (int t = 0; t < 3; t++) {
          if (t && (a == A || b == A)) continue;
          char an[16], bn[16];
          snprintf(an, sizeof an, a == A ? "blank" : "a%d", a);
          snprintf(bn, sizeof bn, b == A ? "blank" : "a%d", b);
          fprintf(f, "p.png,w%d,%s,%s,%s,%s\n", w, an, bn, (const char *[]){"Default", "Blue", "Grass"}[t],
                  (const char *[]){"Default", "Red", "Stone"}[t]);
        }
  fclose(f);
  uint8_t px[3] = {0};
  must(pc_png_write_pixels(at("p.png"), px, 1, 1, 3, NULL));
  must(pc_scenes_open(&ds, dir, &SCENES(.cache_dir = "")));
  ck_assert_int_eq(pc_scenes_count(ds), W * ((A + 1) * (A + 1) + 2 * A * A));
}

static void drop(void) { pc_scenes_free(ds); }

static int64_t value(const char *factor, int64_t i) {
  int f;
  must(pc_scenes_factor_find(&f, ds, factor));
  return pc_scenes_factor_index(ds, f)[i];
}

static const char *text(const char *factor, int64_t i) {
  int f;
  must(pc_scenes_factor_find(&f, ds, factor));
  return pc_scenes_factor_value(ds, f, pc_scenes_factor_index(ds, f)[i] - 1);
}

/* Each image in exactly one set. */
static void partition(const pc_split *s, int64_t n) {
  const pc_tensor *part[5] = {s->id_train, s->id_val, s->id_test, s->pseudo_ood, s->ood};
  uint8_t *seen = calloc((size_t)n, 1);
  for (int p = 0; p < 5; p++)
    for (int64_t i = 0; i < pc_numel(part[p]); i++) {
      int64_t v = pc_i64(part[p])[i];
      ck_assert(v >= 1 && v <= n);
      ck_assert_int_eq(seen[v - 1]++, 0);
      if (i) ck_assert_int_gt(v, pc_i64(part[p])[i - 1]);
    }
  for (int64_t i = 0; i < n; i++) ck_assert_int_eq(seen[i], 1);
  free(seen);
}

/* (animal, world) combinations of ID sets and of held-out ones do not meet; all values are in train. */
static void background_properties(const pc_split *s) {
  uint8_t id[A][W] = {{0}}, pseudo[A][W] = {{0}}, covered_a[2][A + 1] = {{0}}, covered_w[W] = {0};
  int64_t n = pc_scenes_count(ds);
  uint8_t *kind = calloc((size_t)n, 1);
  partition(s, n);
  for (int p = 0; p < 2; p++) {
    const pc_tensor *t = p ? s->pseudo_ood : s->ood;
    for (int64_t i = 0; i < pc_numel(t); i++) kind[pc_i64(t)[i] - 1] = (uint8_t)(p ? 1 : 2);
  }
  for (int64_t i = 0; i < n; i++) {
    const char *name[2] = {text("character_name", i), text("character2_name", i)};
    for (int k = 0; k < 2; k++)
      if (strcmp(name[k], "blank")) {
        int a = atoi(name[k] + 1), w = (int)value("world_name", i) - 1;
        if (!kind[i]) id[a][w] = 1;
        if (kind[i] < 2) pseudo[a][w] = 1;
      }
  }
  for (int64_t i = 0; i < n; i++) { /* an image is held out exactly when one of its cells is */
    int all_id = 1, all_known = 1;
    for (int k = 0; k < 2; k++) {
      const char *name = text(k ? "character2_name" : "character_name", i);
      if (!strcmp(name, "blank")) continue;
      int a = atoi(name + 1), w = (int)value("world_name", i) - 1;
      all_id &= id[a][w];
      all_known &= pseudo[a][w];
    }
    ck_assert_int_eq(kind[i] == 0, all_id);
    ck_assert_int_eq(kind[i] == 2, !all_known);
  }
  for (int64_t i = 0; i < pc_numel(s->id_train); i++) {
    int64_t v = pc_i64(s->id_train)[i] - 1;
    covered_a[0][value("character_name", v) - 1] = covered_a[1][value("character2_name", v) - 1] = 1;
    covered_w[value("world_name", v) - 1] = 1;
  }
  for (int a = 0; a <= A; a++) ck_assert(covered_a[0][a] && covered_a[1][a]);
  for (int w = 0; w < W; w++) ck_assert(covered_w[w]);
  free(kind);
}

START_TEST(test_background) {
  for (int rule = 0; rule < 2; rule++)
    for (int seed = 0; seed < 6; seed++)
      for (int pseudo = 0; pseudo < 2; pseudo++) {
        pc_split *s;
        pc_split_opts o = SPLIT(.rule = (pc_split_rule)rule, .seed = seed, .offset = seed, .pseudo = .1 * pseudo,
                                .test = .05 * pseudo);
        must(split_scenes(&s, ds, &o));
        background_properties(s);
        int held = 0, carved = 0;
        for (int64_t c = 0; c < s->rows * s->cols; c++) {
          held += s->cell[c] == PC_CELL_OOD;
          carved += s->cell[c] == PC_CELL_PSEUDO;
        }
        ck_assert_int_eq(s->rows, A);
        ck_assert_int_eq(s->cols, W);
        ck_assert_int_eq(held, A * W / 4);
        ck_assert_int_eq(carved, pseudo ? 6 : 0);
        pc_split_free(s);
      }
}
END_TEST

START_TEST(test_band_matrix) { /* by hand: w = 2 of 8; row i starts at floor(8 i / 10) */
  pc_split *s;
  static const int start[A] = {0, 0, 1, 2, 3, 4, 4, 5, 6, 7};
  must(split_scenes(&s, ds, &SPLIT(.fraction = .25)));
  for (int i = 0; i < A; i++)
    for (int j = 0; j < W; j++) {
      int held = j == start[i] || j == (start[i] + 1) % W;
      ck_assert_int_eq(s->cell[i * W + j] == PC_CELL_OOD, held);
      /* 21 images a world hold animal i with two blanks or Default partners: 11 + 11 - 1, and 19 twice */
      ck_assert_int_eq(s->count[i * W + j], 21 + 19 + 19);
    }
  char *d = pc_split_describe(s);
  ck_assert_ptr_nonnull(strstr(d, "a0  # # . . . . . ."));
  pc_free(d);
  pc_split *again, *moved;
  must(split_scenes(&again, ds, &SPLIT(.fraction = .25)));
  must(split_scenes(&moved, ds, &SPLIT(.fraction = .25, .offset = 1)));
  ck_assert_str_eq(again->digest, s->digest);
  ck_assert_str_ne(moved->digest, s->digest);
  pc_split_free(moved);
  pc_split_free(again);
  pc_split_free(s);
}
END_TEST

/* Every row loses floor or ceil of f C cells, all together round(R f C). */
static void rows_lose(const pc_split *s, double f) {
  int64_t all = 0;
  double share = f * (double)s->cols;
  for (int64_t i = 0; i < s->rows; i++) {
    int64_t held = 0;
    for (int64_t j = 0; j < s->cols; j++) held += s->cell[i * s->cols + j] == PC_CELL_OOD;
    ck_assert_msg(held == (int64_t)share || held == (int64_t)share + 1, "row %d: %d of %g", (int)i, (int)held, share);
    all += held;
  }
  ck_assert_int_eq(all, (int64_t)((double)s->rows * share + .5));
}

/* f C is not whole: 8 columns, f = .2: 1.6 a row, 16 in all; 5 textures, f = .1: half a cell a row */
START_TEST(test_band_shares) {
  const double fraction[] = {.2, .1, .33, .07};
  for (int k = 0; k < 4; k++)
    for (int texture = 0; texture < 2; texture++) {
      pc_split *s;
      pc_split_opts o = SPLIT(.preset = texture ? "texture" : "background", .fraction = fraction[k], .offset = k);
      must(split_scenes(&s, ds, &o));
      rows_lose(s, fraction[k]);
      pc_split_free(s);
    }
  for (int k = 0; k < 4; k++) { /* unordered: round(f x cells) give or take the diagonal's halves */
    pc_split *s;
    must(split_scenes(&s, ds, &SPLIT(.preset = "object", .fraction = fraction[k])));
    int held = 0;
    for (int i = 0; i < A; i++)
      for (int j = 0; j < A; j++) {
        ck_assert_int_eq(s->cell[i * A + j], s->cell[j * A + i]);
        held += s->cell[i * A + j] == PC_CELL_OOD;
      }
    ck_assert_msg(fabs(held - fraction[k] * A * A) <= 2, "%d of %d cells for %g", held, A * A, fraction[k]);
    ck_assert(s->unordered);
    pc_split_free(s);
  }
}
END_TEST

START_TEST(test_one_animal) { /* PUG:Animals has no character2_name */
  pc_scenes *one;
  pc_split *s;
  FILE *f = fopen(at("one.csv"), "w");
  fprintf(f, "filename,world_name,character_name,character_texture\n");
  for (int w = 0; w < 4; w++)
    for (int a = 0; a < 5; a++)
      for (int t = 0; t < 3; t++) fprintf(f, "p.png,w%d,a%d,t%d\n", w, a, t);
  fclose(f);
  must(pc_scenes_open(&one, dir, &SCENES(.cache_dir = "", .labels = "one.csv")));
  for (int k = 0; k < 3; k++) {
    must(split_scenes(&s, one, &SPLIT(.preset = (const char *[]){NULL, "background", "texture"}[k])));
    ck_assert(s->rows == 5 && s->cols == (k == 2 ? 3 : 4));
    ck_assert_str_eq(s->row_factor, "character_name");
    ck_assert_str_eq(s->col_factor, k == 2 ? "character_texture" : "world_name");
    partition(s, 60);
    pc_split_free(s);
  }
  must_fail(split_scenes(&s, one, &SPLIT(.preset = "object")), PC_EARG, "have no factor 'character2_name'");
  pc_scenes_free(one);
  const char *plain[] = {"t0"};
  pc_scenes_filter only = {"character_texture", plain, 1, 0};
  must(pc_scenes_open(&one, dir, &SCENES(.cache_dir = "", .labels = "one.csv", .filters = &only, .nfilters = 1)));
  must_fail(split_scenes(&s, one, &SPLIT(.preset = "texture")), PC_EARG, "1 column (character_texture)");
  pc_scenes_free(one);
}
END_TEST

START_TEST(test_object_and_texture) {
  pc_split *s;
  must(split_scenes(&s, ds, &SPLIT(.preset = "object", .fraction = .2)));
  ck_assert(s->rows == A && s->cols == A);
  for (int i = 0; i < A; i++) {
    int held = 0;
    for (int j = 0; j < A; j++) {
      ck_assert_int_eq(s->cell[i * A + j], s->cell[j * A + i]);
      ck_assert_int_eq(s->count[i * A + j], s->count[j * A + i]);
      held += s->cell[i * A + j] == PC_CELL_OOD;
    }
    ck_assert_int_eq(held, 2);
  }
  for (int64_t i = 0; i < pc_numel(s->id_train); i++) {
    int64_t v = pc_i64(s->id_train)[i] - 1;
    const char *a = text("character_name", v), *b = text("character2_name", v);
    if (strcmp(a, "blank") && strcmp(b, "blank")) ck_assert_int_ge((atoi(a + 1) + atoi(b + 1)) % A, 2);
  }
  pc_split_free(s);
  for (int seed = 0; seed < 4; seed++) {
    must(split_scenes(
        &s, ds,
        &SPLIT(.preset = "texture", .fraction = .2, .rule = (pc_split_rule)(seed % 2), .seed = seed, .offset = seed)));
    partition(s, pc_scenes_count(ds));
    ck_assert_int_eq(s->cols, 5); /* Blue Default Grass Red Stone */
    pc_split_free(s);
  }
  for (int seed = 0; seed < 4; seed++) {
    must(split_scenes(&s, ds,
                      &SPLIT(.preset = "object", .rule = PC_SPLIT_RANDOM, .fraction = .3, .seed = seed, .pseudo = .1)));
    partition(s, pc_scenes_count(ds));
    int held = 0;
    for (int i = 0; i < A; i++)
      for (int j = i; j < A; j++) held += s->cell[i * A + j] == PC_CELL_OOD;
    ck_assert_int_eq(held, (int)(.3 * 55 + .5));
    pc_split_free(s);
  }
}
END_TEST

START_TEST(test_list_and_mistakes) {
  pc_split *s;
  pc_split_pair cells[] = {{"a3", "w1"}, {"a0", "w7"}};
  pc_split_opts o = SPLIT(.rule = PC_SPLIT_LIST, .cells = cells, .ncells = 2);
  must(split_scenes(&s, ds, &o));
  int held = 0;
  for (int64_t c = 0; c < s->rows * s->cols; c++) held += s->cell[c] == PC_CELL_OOD;
  ck_assert(held == 2 && s->cell[3 * W + 1] == PC_CELL_OOD && s->cell[0 * W + 7] == PC_CELL_OOD);
  pc_split_free(s);
  cells[1].b = "w9";
  must_fail(split_scenes(&s, ds, &o), PC_ENOTFOUND, "no value 'w9' of 'world_name'; there are: w0, w1");
  pc_split_pair all[W];
  for (int w = 0; w < W; w++)
    all[w] = (pc_split_pair){"a3", (const char *[]){"w0", "w1", "w2", "w3", "w4", "w5", "w6", "w7"}[w]};
  o.cells = all;
  o.ncells = W;
  must_fail(split_scenes(&s, ds, &o), PC_EARG, "no training image has character_name = 'a3'");
  ck_assert_ptr_nonnull(strstr(pc_error_text(), "hold out fewer cells"));
  must_fail(split_scenes(&s, ds, &SPLIT(.fraction = 1.5)), PC_EARG,
            "split: fraction: expected a number > 0 and < 1, got 1.5");
  must_fail(split_scenes(&s, ds, &SPLIT(.rule = PC_SPLIT_RANDOM, .fraction = .99)), PC_EARG,
            "can go while every value keeps an ID cell; take a smaller share");
  must_fail(split_scenes(&s, ds, &SPLIT(.preset = "backgrund")), PC_EARG, "no preset 'backgrund'");
  pc_split_pair bad = {"character_name", "weather"};
  must_fail(split_scenes(&s, ds, &SPLIT(.pairs = &bad, .npairs = 1)), PC_ENOTFOUND,
            "no factor 'weather'; there are: world_name");
  must_fail(split_scenes(&s, ds, &SPLIT(.val = 1)), PC_EARG, "split: val: expected a number");
  must_fail(split_scenes(&s, ds, &SPLIT(.val = .6, .test = .5)), PC_EARG, "no image is left to train on");
}
END_TEST

START_TEST(test_latents) {
  enum { N = 400, K = 2, L = 2 };
  int64_t size[3] = {N, K, L};
  pc_tensor *u;
  pc_split *s;
  pc_rng g = {7, 0};
  must(pc_tensor_empty(&u, PC_F32, 3, size));
  pc_rng_fill_uniform_f32(&g, pc_f32(u), N * K * L);
  must(pc_split_latents(&s, u, &LATENTS(.delta = .2, .shift = 2)));
  partition(s, N);
  for (int64_t i = 0; i < pc_numel(s->id_train); i++) {
    const float *p = pc_f32(u) + (pc_i64(s->id_train)[i] - 1) * K * L;
    double x1 = p[3] - .5;
    if (x1 < 0) x1 += 1;
    ck_assert(fabs(p[0] - p[2]) / sqrt(2) <= .2 + 1e-6 && fabs(p[1] - x1) / sqrt(2) <= .2 + 1e-6);
  }
  pc_split_free(s);
  for (int i = 0; i < N; i += 2) pc_f32(u)[i * 4] = pc_f32(u)[i * 4 + 1] = .5f; /* slot 1 at the anchor */
  must(pc_split_latents(&s, u, &LATENTS(.rule = PC_LATENT_PLANES, .anchor = .5, .val = 0)));
  ck_assert_int_eq(pc_numel(s->id_train), N / 2);
  ck_assert_int_eq(pc_numel(s->id_val), 0);
  pc_split_free(s);
  must(pc_split_latents(&s, u, &LATENTS(.rule = PC_LATENT_GAP, .anchor = .5)));
  for (int64_t i = 0; i < pc_numel(s->id_train); i++) {
    const float *p = pc_f32(u) + (pc_i64(s->id_train)[i] - 1) * K * L;
    ck_assert(p[2] <= .05f || p[2] >= .45f);
  }
  pc_split_free(s);
  must_fail(pc_split_latents(&s, u, &LATENTS(.delta = 5, .shift = 0)), PC_EARG,
            "none of the 400 images is out-of-domain");
  pc_tensor_release(u);
}
END_TEST

START_TEST(test_real) {
  pc_scenes *real;
  pc_split *s;
  const char *blank[] = {"blank"}, *plain[] = {"Default"};
  pc_scenes_filter f[3] = {
      {"character_name", blank, 1, 1}, {"character2_name", blank, 1, 1}, {"character_texture", plain, 1, 0}};
  if (access("experiments/data/spar_cycles", F_OK)) return;
  must(pc_scenes_open(
      &real, "experiments/data/spar_cycles",
      &SCENES(.cache_dir = "", .filters = f, .nfilters = 3, .masks = 0, .height = {1, 8}, .width = {1, 8})));
  ck_assert_int_eq(pc_scenes_count(real), 2000);
  must(split_scenes(&s, real, &SPLIT(.fraction = .3, .pseudo = .1)));
  ck_assert_int_eq(s->rows, 10);
  ck_assert_int_eq(s->cols, 10);
  /* a world has 10 animals, 3 of them held out: 49 of 100 ordered pairs stay ID before the pseudo cells */
  ck_assert_int_eq(pc_numel(s->ood), 2000 * 51 / 100);
  pc_split_free(s);
  pc_scenes_free(real);
}
END_TEST

START_TEST(
    test_real_presets) { /* each preset on both rendered sets: about the share of combinations that was asked for */
  static const char *const folder[2] = {"experiments/data/spar_cycles", "experiments/data/spar_cycles_hard"};
  static const char *const preset[3] = {"background", "texture", "object"};
  for (int d = 0; d < 2; d++) {
    pc_scenes *real;
    if (access(folder[d], F_OK)) return;
    must(pc_scenes_open(&real, folder[d], &SCENES(.cache_dir = "", .masks = 0, .height = {1, 8}, .width = {1, 8})));
    ck_assert_int_eq(pc_scenes_count(real), d ? 7000 : 4210);
    for (int k = 0; k < 3; k++)
      for (int rule = 0; rule < 2; rule++) {
        pc_split *s;
        must(split_scenes(&s, real,
                          &SPLIT(.preset = preset[k], .fraction = .3, .pseudo = .1, .rule = (pc_split_rule)rule)));
        partition(s, pc_scenes_count(real));
        int64_t held = 0, all = 0;
        for (int64_t c = 0; c < s->rows * s->cols; c++) {
          held += s->cell[c] == PC_CELL_OOD;
          all += s->count[c] > 0;
        }
        ck_assert_int_eq(s->rows, 10);
        ck_assert_int_eq(s->cols, k == 1 ? 5 : 10);
        ck_assert_int_eq(all, 10 * s->cols);
        ck_assert_msg(fabs((double)held - .3 * (double)all) <= 2.5, "%s: %d of %d", preset[k], (int)held, (int)all);
        ck_assert(pc_numel(s->pseudo_ood) > 0 && pc_numel(s->id_val) > 0);
        pc_split_free(s);
      }
    pc_scenes_free(real);
  }
}
END_TEST

static void add(TCase *c) {
  tcase_add_checked_fixture(c, make, drop);
  tcase_add_test(c, test_background);
  tcase_add_test(c, test_band_matrix);
  tcase_add_test(c, test_band_shares);
  tcase_add_test(c, test_one_animal);
  tcase_add_test(c, test_object_and_texture);
  tcase_add_test(c, test_list_and_mistakes);
  tcase_add_test(c, test_latents);
  tcase_add_test(c, test_real);
  tcase_add_test(c, test_real_presets);
}

int main(void) { return run_in_scratch("split", add); }
