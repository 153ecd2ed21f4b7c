#include "datasets/licence.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/alloc.h"
#include "formats/file.h"

static const char PUG_NOTICE[] =
    "This is PUG (Photorealistic Unreal Graphics, Meta AI): licence CC-BY-NC, with the addendum that the data must not "
    "be "
    "used to train generative AI models. A decoder trained on it may fall under that: read the licence that came with "
    "the "
    "data before you go on. Give away neither its images, nor pictures made of them, nor decoders trained on it. "
    "Percept "
    "records its digest, its number of images and the folder's name and path, no pixels; a study's pictures do show "
    "pixels.";
static const char SPARE_NOTICE[] =
    "This is PUG:SPARE, made by others with PUG's environment. Read the licence that came with it before you train "
    "generative models on it; it is treated here as Meta's PUG, which forbids that.";

void pc_licence_clear(pc_licence *l) {
  pc_free(l->name);
  pc_free(l->notice);
  *l = (pc_licence){0};
}

int pc_licence_copy(pc_licence *out, const char *name, const char *notice, int restricted) {
  *out = (pc_licence){.name = pc_strdup(name), .notice = pc_strdup(notice), .restricted = restricted};
  if (out->name && out->notice) return PC_OK;
  pc_licence_clear(out);
  return PC_ENOMEM;
}

/* "PUG", "PUG_SPAR", "pug-animals", but not "pugs": the last part of the path. */
static int named_pug(const char *dir) {
  char *real = realpath(dir, NULL);
  const char *path = real ? real : dir, *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  int yes = !strncasecmp(name, "PUG", 3) && !isalpha((unsigned char)name[3]);
  free(real);
  return yes;
}

static int has_columns(const pc_csv *csv, const char *const *names) {
  for (; *names; names++)
    if (pc_csv_find(csv, *names) < 0) return 0;
  return 1;
}

/* Every world is one of PUG:SPAR's. */
static int spar_worlds(const pc_csv *csv) {
  static const char *const columns[] = {"world_name",     "character_name",    "character2_name",    "character1_pos",
                                        "character2_pos", "character_texture", "character2_texture", NULL};
  static const char *const worlds[] = {"Desert", "Arena",      "OceanFloor", "Racetrack",      "TokyoDay",
                                       "Circus", "BoxingRing", "Museum",     "AustralianRoad", "SaltFlats"};
  if (!has_columns(csv, columns)) return 0;
  int col = pc_csv_find(csv, "world_name");
  for (int64_t i = 0; i < pc_csv_rows(csv); i++) {
    size_t k = 0, n = sizeof worlds / sizeof *worlds;
    while (k < n && strcmp(pc_csv_cell(csv, i, col), worlds[k])) k++;
    if (k == n) return 0;
  }
  return 1;
}

/* The licence file's text and first line. 0: there is none. */
static int from_file(pc_licence *out, const char *dir) {
  static const char *const names[] = {"LICENSE", "LICENCE", "LICENSE.txt", "LICENCE.txt", "LICENSE.md", "LICENCE.md"};
  char path[4096], first[121];
  for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
    char *text;
    size_t n;
    snprintf(path, sizeof path, "%s/%s", dir, names[k]);
    if (access(path, R_OK) || pc_file_read(&text, &n, path, 1 << 16) < 0) continue;
    const char *line = text + strspn(text, "# \t\r\n");
    size_t len = strcspn(line, "\r\n");
    snprintf(first, sizeof first, "%.*s", (int)(len < 120 ? len : 120), line);
    int rc = *first ? pc_licence_copy(out, first, text, 0) : 0;
    pc_free(text);
    if (*first) return rc < 0 ? rc : 1;
  }
  return 0;
}

int pc_licence_of(pc_licence *out, const char *dir, const char *table, const pc_csv *csv) {
  static const char *const animals[] = {"world_name", "character_name",    "character_scale",
                                        "camera_yaw", "character_texture", NULL};
  *out = (pc_licence){0};
  if (!strcmp(table, "PUG_SPARE.csv")) return pc_licence_copy(out, "PUG:SPARE", SPARE_NOTICE, 1);
  if (!strcmp(table, "labels_pug_animal.csv") || has_columns(csv, animals) || spar_worlds(csv) || named_pug(dir))
    return pc_licence_copy(out, "PUG: CC-BY-NC, not for training generative models", PUG_NOTICE, 1);
  int found = from_file(out, dir);
  return found < 0 ? found : found ? PC_OK : pc_licence_copy(out, "unknown", "", 0);
}

int pc_licence_first_use(const pc_licence *l, const char *cache) {
  char id[PC_DIGEST_SIZE], path[4096];
  if (!l->restricted) return 0;
  if (!cache || !*cache) return 1;
  pc_digest(id, l->notice, strlen(l->notice)); /* a notice that changed is shown again */
  if (snprintf(path, sizeof path, "%s/licence-%.12s.shown", cache, id) >= (int)sizeof path) return 1;
  if (!access(path, F_OK)) return 0;
  FILE *f = pc_make_dirs(cache) < 0 ? NULL : fopen(path, "wx");
  if (f) {
    fprintf(f, "%s\n", l->notice);
    fclose(f);
  }
  pc_error_clear();
  return 1;
}
