#include "datasets/emoji.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "datasets/emoji_impl.h"
#include "datasets/scenes_impl.h"
#include "images/png.h"
#include "images/resize.h"

#define DRAWING_VERSION 1 /* raise when the same plan would give other pixels */
#define BLOCK           512

/* Colour ramps from dark to light by which a texture replaces a cut-out's colours. */
static const struct {
  const char *name;
  float dark[3], light[3];
} RAMPS[] = {{"Default", {0, 0, 0}, {0, 0, 0}},
             {"Blue", {1, 13, 33}, {70, 150, 220}},
             {"Red", {23, 1, 1}, {220, 60, 50}},
             {"Grass", {6, 22, 4}, {120, 190, 70}},
             {"Stone", {25, 24, 22}, {205, 200, 190}}};
enum { NRAMPS = sizeof RAMPS / sizeof *RAMPS, MAX_NAMES = 4096, PATH = 4096 };

/* ---- lists of names ---- */

typedef struct names {
  char **name;
  int n;
} names;

static void names_free(names *s) {
  for (int i = 0; i < s->n; i++) pc_free(s->name[i]);
  pc_free(s->name);
  *s = (names){0};
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* The PNG files of assets/sub, without their ending, sorted. */
static int list_folder(names *out, const char *assets, const char *sub) {
  char path[PATH];
  snprintf(path, sizeof path, "%s/%s", assets, sub);
  DIR *d = opendir(path);
  struct dirent *f;
  int rc = PC_OK;
  if (!d)
    return pc_fail(PC_ENOTFOUND,
                   "emoji: no folder %s; assets names the folder that holds emoji/ and panoramas/ "
                   "(experiments/data/assets)",
                   path);
  if (!(out->name = pc_calloc(MAX_NAMES, sizeof *out->name))) rc = PC_ENOMEM;
  while (rc == PC_OK && (f = readdir(d)) && out->n < MAX_NAMES) {
    size_t len = strlen(f->d_name);
    if (len < 5 || f->d_name[0] == '.' || strcmp(f->d_name + len - 4, ".png")) continue;
    char *s = pc_strdup(f->d_name);
    if (!s) {
      rc = PC_ENOMEM;
      break;
    }
    s[len - 4] = '\0';
    out->name[out->n++] = s;
  }
  closedir(d);
  if (rc == PC_OK && out->n == 0) rc = pc_fail(PC_ENOTFOUND, "emoji: %s holds no PNG files", path);
  if (rc == PC_OK) qsort(out->name, (size_t)out->n, sizeof *out->name, by_text);
  return rc;
}

/* Places of the wanted names (none: all) in `all`. */
static int choose(int **out, int *n, const char *what, const names *all, const char *const *wanted, int nwanted) {
  *n = nwanted ? nwanted : all->n;
  if (!(*out = pc_malloc((size_t)*n * sizeof **out))) return PC_ENOMEM;
  for (int i = 0; i < *n; i++) {
    int at = nwanted ? 0 : i;
    while (nwanted && at < all->n && strcmp(all->name[at], wanted[i])) at++;
    (*out)[i] = at;
    if (at < all->n) continue;
    char list[1000];
    size_t len = 0;
    for (int k = 0; k < all->n && len + 80 < sizeof list; k++)
      len += (size_t)snprintf(list + len, sizeof list - len, "%s%.60s", k ? ", " : "", all->name[k]);
    return pc_fail(PC_ENOTFOUND, "emoji: no %s '%s'; there are: %s", what, wanted[i], list);
  }
  for (int i = 0; i < *n; i++)
    for (int k = 0; k < i; k++)
      if ((*out)[i] == (*out)[k]) return pc_fail(PC_EARG, "emoji: %s '%s' is named twice", what, all->name[(*out)[i]]);
  return PC_OK;
}

/* ---- assets ---- */

typedef struct maker {
  const pc_emoji_opts *o;
  const char *assets;
  names places, animals, textures; /* all there are */
  int *place, *animal, *texture;   /* the chosen ones */
  pc_emoji *e;
  char *digests; /* of the assets' pixels, one after the other */
  size_t ndigests;
  pc_scenes *ds;
  int64_t pano_side, cut_side; /* of the files; 0: not read yet */
  int64_t from;                /* first row of the reduced panoramas in the strips */
  double (*hidden)[2];         /* (count) */
  int64_t begin;               /* drawing: first image of the block */
  int failed;
} maker;

static int note_digest(maker *m, const pc_image *im) {
  char *s = pc_realloc(m->digests, m->ndigests + PC_DIGEST_SIZE);
  if (!s) return PC_ENOMEM;
  m->digests = s;
  pc_digest(s + m->ndigests, im->data, (size_t)(im->height * im->width * im->channels));
  m->ndigests += PC_DIGEST_SIZE;
  return PC_OK;
}

/* Decodes one asset; all of a folder have one size, `*side` (0: not known yet), and are `wide` times as wide as high.
 */
static int read_asset(maker *m, pc_image *im, const char *sub, const char *name, int channels, int64_t wide,
                      int64_t *side) {
  char path[PATH];
  snprintf(path, sizeof path, "%s/%s/%s.png", m->assets, sub, name);
  int rc = pc_png_decode(im, path, channels);
  if (rc < 0) return pc_error_prefix(rc, "emoji");
  if (im->width != wide * im->height)
    return pc_fail(PC_EFORMAT, "emoji: %s has %lld x %lld pixels (height x width); %s", path, (long long)im->height,
                   (long long)im->width, wide == 2 ? "a panorama is twice as wide as high" : "a cut-out is square");
  if (!*side) *side = im->height;
  if (im->height != *side)
    return pc_fail(PC_EFORMAT, "emoji: %s is %lld pixels high, those before it %lld; one size is needed", path,
                   (long long)im->height, (long long)*side);
  return note_digest(m, im);
}

/* A panorama as wide as a view needs it, of which a strip is kept. */
static int add_strip(maker *m, int k) {
  pc_emoji *e = m->e;
  pc_image im = {0};
  uint8_t *small = NULL;
  int64_t side = m->pano_side, from, to;
  int rc = read_asset(m, &im, "panoramas", m->places.name[m->place[k]], 3, 2, &m->pano_side);
  if (rc < 0) goto done;
  int64_t factor =
      im.width / (8 * e->size); /* a view is an eighth of the circle: about a pixel of it for one of ours */
  if (factor < 1) factor = 1;
  int64_t h = im.height / factor, w = im.width / factor;
  rc = PC_ENOMEM;
  if (!(small = pc_malloc((size_t)(h * w * 3)))) goto done;
  if ((rc = pc_resize_pixels_u8(small, h, w, im.data, im.height, im.width, 3)) < 0) goto done;
  if (!side) {
    pc_emoji_view(e, h, w, &from, &to);
    for (int64_t p = 0; p < e->size * e->size; p++) e->down[p] -= (float)from;
    e->view_w = w;
    e->view_h = to - from;
    m->from = from;
    if (!(e->strip = pc_malloc((size_t)(e->nplaces * e->view_h * w) * sizeof *e->strip))) {
      rc = PC_ENOMEM;
      goto done;
    }
  }
  pc_rgba *strip = e->strip + (int64_t)k * e->view_h * w;
  const uint8_t *p = small + m->from * w * 3;
  for (int64_t i = 0; i < e->view_h * w; i++)
    strip[i] = (pc_rgba){(float)p[3 * i], (float)p[3 * i + 1], (float)p[3 * i + 2], 0};
done:
  pc_free(small);
  pc_image_clear(&im);
  return rc;
}

/* One cut-out in all textures: ramped by its luma, times alpha, reduced to twice the largest size it is shown at. */
static int add_cutout(maker *m, int k) {
  pc_emoji *e = m->e;
  pc_image im = {0};
  float *large = NULL;
  int64_t known = m->cut_side;
  int rc = read_asset(m, &im, "emoji", m->animals.name[m->animal[k]], 4, 1, &m->cut_side);
  if (rc < 0) goto done;
  int64_t n = im.height, shown = 2 * ((int64_t)(0.44 * (double)e->size) + 1);
  if (!known) {
    e->cut = n / (n / shown > 1 ? n / shown : 1);
    size_t pixels = (size_t)e->nanimals * (size_t)e->ntextures * (size_t)(e->cut * e->cut);
    if (!(e->cutout = pc_malloc(pixels * sizeof *e->cutout))) rc = PC_ENOMEM;
  }
  if (rc == PC_OK && !(large = pc_malloc((size_t)(n * n * 4) * sizeof *large))) rc = PC_ENOMEM;
  for (int t = 0; rc == PC_OK && t < e->ntextures; t++) {
    int ramp = m->texture[t];
    for (int64_t i = 0; i < n * n; i++) {
      const uint8_t *p = im.data + 4 * i;
      float luma = (0.299f * (float)p[0] + 0.587f * (float)p[1] + 0.114f * (float)p[2]) / 255, a = (float)p[3] / 255;
      for (int c = 0; c < 3; c++) {
        float dark = RAMPS[ramp].dark[c], light = RAMPS[ramp].light[c];
        large[4 * i + c] = (ramp ? dark + (light - dark) * luma : (float)p[c]) * a;
      }
      large[4 * i + 3] = a;
    }
    float *to = (float *)(e->cutout + ((int64_t)k * e->ntextures + t) * e->cut * e->cut);
    rc = pc_resize_pixels_f32(to, e->cut, e->cut, large, n, n, 4);
  }
done:
  pc_free(large);
  pc_image_clear(&im);
  return rc;
}

static void emoji_free(void *ctx) {
  pc_emoji *e = ctx;
  if (!e) return;
  pc_free(e->home);
  pc_free(e->across);
  pc_free(e->down);
  pc_free(e->strip);
  pc_free(e->cutout);
  pc_free(e);
}

static int choose_textures(maker *m) {
  m->textures.name = pc_calloc(NRAMPS, sizeof *m->textures.name);
  if (!m->textures.name) return PC_ENOMEM;
  for (; m->textures.n < NRAMPS; m->textures.n++)
    if (!(m->textures.name[m->textures.n] = pc_strdup(RAMPS[m->textures.n].name))) return PC_ENOMEM;
  int n = m->o->ntextures;
  static const char *const plain[] = {"Default"};
  return choose(&m->texture, &m->e->ntextures, "texture", &m->textures, n ? m->o->textures : plain, n ? n : 1);
}

static int load_assets(maker *m) {
  const pc_emoji_opts *o = m->o;
  pc_emoji *e = m->e;
  int rc;
  if ((rc = list_folder(&m->places, m->assets, "panoramas")) < 0 ||
      (rc = list_folder(&m->animals, m->assets, "emoji")) < 0 ||
      (rc = choose(&m->place, &e->nplaces, "place", &m->places, o->places, o->nplaces)) < 0 ||
      (rc = choose(&m->animal, &e->nanimals, "animal", &m->animals, o->animals, o->nanimals)) < 0 ||
      (rc = choose_textures(m)) < 0)
    return rc;
  size_t pixels = (size_t)(e->size * e->size);
  e->home = pc_malloc((size_t)e->nplaces * sizeof *e->home);
  e->across = pc_malloc(pixels * sizeof *e->across);
  e->down = pc_malloc(pixels * sizeof *e->down);
  if (!e->home || !e->across || !e->down) return PC_ENOMEM;
  for (int k = 0; k < e->nplaces; k++) {
    e->home[k] = 45.0 * m->place[k];
    if ((rc = add_strip(m, k)) < 0) return rc;
  }
  for (int k = 0; k < e->nanimals; k++)
    if ((rc = add_cutout(m, k)) < 0) return rc;
  return PC_OK;
}

/* ---- pixels ---- */

static int draw_again(const void *ctx, int64_t i, uint8_t *image, uint8_t *mask) {
  return pc_emoji_draw(ctx, i, image, mask, NULL);
}

static void draw_range(int64_t begin, int64_t end, void *ctx) {
  maker *m = ctx;
  int64_t pixels = m->e->size * m->e->size;
  for (int64_t i = m->begin + begin; i < m->begin + end; i++) {
    uint8_t *image = m->ds->images ? m->ds->images + 3 * i * pixels : NULL;
    uint8_t *mask = m->ds->images ? m->ds->masks + i * pixels : NULL;
    if (pc_emoji_draw(m->e, i, image, mask, m->hidden[i]) < 0) __atomic_store_n(&m->failed, 1, __ATOMIC_RELAXED);
  }
}

static int draw_all(maker *m) {
  pc_scenes *ds = m->ds;
  int64_t n = ds->n, pixels = ds->height * ds->width, bytes = n * pixels * 4;
  if ((double)bytes <= m->o->keep * (1 << 20)) {
    if (!(ds->block = pc_malloc((size_t)(n * pixels * 4))))
      return pc_error_prefix(PC_ENOMEM, "emoji: %.1f MiB of pixels (a smaller keep draws them when they are asked for)",
                             (double)(n * pixels * 4) / (1 << 20));
    ds->images = ds->block;
    ds->masks = ds->images + 3 * n * pixels;
  } else {
    int rc = pc_scenes_add_note(ds, "%.1f MiB of pixels are not kept (keep): images are drawn when they are asked for",
                                (double)(n * pixels * 4) / (1 << 20));
    if (rc < 0) return rc;
  }
  for (m->begin = 0; m->begin < n; m->begin += BLOCK) {
    int64_t count = n - m->begin < BLOCK ? n - m->begin : BLOCK;
    pc_stoppable_begin();
    pc_parallel_for(count, 8, draw_range, m);
    int rc = pc_stoppable_end(PC_OK);
    if (m->failed) return pc_fail(PC_ENOMEM, "emoji: out of memory while drawing");
    if (rc == PC_OK) rc = pc_check_interrupt();
    if (rc < 0) return pc_error_prefix(rc, "emoji");
    if (m->o->progress && m->o->progress(m->begin + count, n, m->o->progress_ctx))
      return pc_fail(PC_EINTR, "emoji: stopped while drawing");
  }
  return PC_OK;
}

/* ---- the table ---- */

static int write_table(maker *m) {
  static const char header[] =
      "filename,world_name,character_name,character2_name,character1_pos,character2_pos,character_texture,"
      "character2_texture,variant,maskname,camera_azimuth,x1,y1,flip1,scale1,x2,y2,flip2,scale2,overlap,front,"
      "occlusion1,occlusion2\n";
  const pc_emoji *e = m->e;
  size_t room = 1 << 16, n = sizeof header - 1;
  char *text = pc_malloc(room);
  int rc = text ? PC_OK : PC_ENOMEM;
  if (text) memcpy(text, header, n);
  for (int64_t i = 0; rc == PC_OK && i < m->ds->n; i++) {
    pc_emoji_plan p;
    pc_emoji_draw_plan(&p, e, i);
    const char *world = m->places.name[m->place[p.place]], *one = m->animals.name[m->animal[p.animal[0]]],
               *two = m->animals.name[m->animal[p.animal[1]]];
    long long number = (long long)(e->first + i);
    if (n + 4096 > room) {
      char *more = pc_realloc(text, room *= 2);
      if (!more) {
        rc = PC_ENOMEM;
        break;
      }
      text = more;
    }
    int len = snprintf(
        text + n, room - n,
        "images/%06lld_%s_%s_%s.png,%s,%s,%s,left,right,%s,%s,%lld,masks/%06lld_%s_%s_%s.png,%.4f,%.4f,%.4f,%d,%.4f,"
        "%.4f,%.4f,%d,%.4f,%.4f,%d,%.4f,%.4f\n",
        number, world, one, two, world, one, two, RAMPS[m->texture[p.texture[0]]].name,
        RAMPS[m->texture[p.texture[1]]].name, number, number, world, one, two, p.azimuth, p.x[0], p.y[0], p.flip[0],
        p.scale[0], p.x[1], p.y[1], p.flip[1], p.scale[1], p.overlap, p.front + 1, m->hidden[i][0], m->hidden[i][1]);
    if (len < 0 || len >= 4096) rc = pc_fail(PC_EARG, "emoji: the names %s, %s, %s are too long", world, one, two);
    n += (size_t)len;
  }
  if (rc == PC_OK) rc = pc_csv_parse(&m->ds->csv, text, n, "emoji");
  pc_free(text);
  return rc;
}

/* Of the table, the size, and the assets' pixels: the images follow from them. */
static int set_digest(maker *m) {
  char fixed[64];
  int len = snprintf(fixed, sizeof fixed, "emoji %d %lld", DRAWING_VERSION, (long long)m->e->size);
  size_t n = (size_t)len + PC_DIGEST_SIZE + m->ndigests;
  char *all = pc_malloc(n);
  if (!all) return PC_ENOMEM;
  memcpy(all, fixed, (size_t)len);
  memcpy(all + len, pc_csv_digest(m->ds->csv), PC_DIGEST_SIZE);
  memcpy(all + len + PC_DIGEST_SIZE, m->digests, m->ndigests);
  pc_digest(m->ds->digest, all, n);
  pc_free(all);
  return PC_OK;
}

PC_OPTIONS_TABLE(pc_emoji_options, "emoji", pc_emoji_opts, PC_EMOJI_OPTIONS);

static int make(maker *m) {
  pc_scenes *ds = m->ds;
  pc_emoji *e = m->e;
  int rc;
  ds->refs = 1;
  ds->n = ds->nsel = m->o->count;
  ds->height = ds->width = e->size = m->o->size;
  e->seed = (uint64_t)m->o->seed;
  e->first = m->o->first - PC_INDEX_BASE;
  e->occlusion = m->o->occlusion;
  ds->dir = pc_strdup(m->assets);
  if ((rc = pc_licence_copy(&ds->licence, "MIT (cut-outs) and CC0 (places)",
                            "With the shipped assets: Microsoft Fluent Emoji (MIT) on panoramas of Poly Haven (CC0); "
                            "LICENSES.md beside them holds the texts. Other assets bring their own terms.",
                            0)) < 0)
    return rc;
  ds->sel = pc_malloc((size_t)ds->n * sizeof *ds->sel);
  ds->slot = pc_malloc((size_t)ds->n * sizeof *ds->slot);
  m->hidden = pc_malloc((size_t)ds->n * sizeof *m->hidden);
  if (!ds->dir || !ds->sel || !ds->slot || !m->hidden) return PC_ENOMEM;
  for (int64_t i = 0; i < ds->n; i++) ds->sel[i] = ds->slot[i] = i;
  if ((rc = load_assets(m)) < 0 || (rc = draw_all(m)) < 0 || (rc = write_table(m)) < 0) return rc;
  ds->name_col = pc_csv_find(ds->csv, "filename");
  ds->mask_col = pc_csv_find(ds->csv, "maskname");
  if ((rc = pc_scenes_columns(ds, &(pc_scenes_opts){0})) < 0 || (rc = set_digest(m)) < 0) return rc;
  if (ds->images) return PC_OK;
  ds->draw = draw_again;
  ds->draw_ctx = e;
  ds->draw_free = emoji_free;
  m->e = NULL;
  return PC_OK;
}

int pc_emoji_open(pc_scenes **out, const char *assets, const pc_emoji_opts *opts) {
  static const pc_emoji_opts defaults = PC_EMOJI_OPTS_INIT;
  maker m = {.o = opts ? opts : &defaults, .assets = assets};
  int rc;
  *out = NULL;
  if ((rc = pc_options_check(&pc_emoji_options, "emoji", m.o)) < 0) return rc;
  m.e = pc_calloc(1, sizeof *m.e);
  m.ds = pc_calloc(1, sizeof *m.ds);
  rc = m.e && m.ds ? make(&m) : PC_ENOMEM;
  if (rc < 0) {
    if (m.ds) m.ds->refs = 1;
    pc_scenes_free(m.ds);
  } else {
    *out = m.ds;
  }
  emoji_free(m.e);
  names_free(&m.places);
  names_free(&m.animals);
  names_free(&m.textures);
  pc_free(m.place);
  pc_free(m.animal);
  pc_free(m.texture);
  pc_free(m.hidden);
  pc_free(m.digests);
  return rc;
}
