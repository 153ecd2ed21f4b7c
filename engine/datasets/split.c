#include "datasets/split.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "datasets/split_impl.h"

#define MAX_PAIRS 8

/* Everything needed while the cells are chosen. */
typedef struct plan {
  const pc_dataset *ds;
  const pc_split_opts *o;
  pc_split *s;
  const pc_split_pair *pair;
  int npairs, unordered;
  int fa[MAX_PAIRS], fb[MAX_PAIRS];
  int64_t *to_row[MAX_PAIRS], *to_col[MAX_PAIRS];     /* factor value -> row, column; -1: ignored */
  uint8_t *occurs[MAX_PAIRS];                         /* (rows,cols): some image has this cell by this pair */
  int64_t *free_row[MAX_PAIRS], *free_col[MAX_PAIRS]; /* occurring ID cells left to each value, by this pair */
} plan;

static int choose_pairs(plan *p) {
  static const pc_split_pair background[] = {{"character_name", "world_name"}, {"character2_name", "world_name"}};
  static const pc_split_pair texture[] = {{"character_name", "character_texture"},
                                          {"character2_name", "character2_texture"}};
  static const pc_split_pair object[] = {{"character_name", "character2_name"}};
  const char *preset = p->o->preset;
  p->unordered = p->o->unordered;
  if (p->o->npairs > 0) {
    if (preset) return pc_fail(PC_EARG, "split: preset '%s' and pairs are both given; one of them says it all", preset);
    if (p->o->npairs > MAX_PAIRS)
      return pc_fail(PC_EARG, "split: %d pairs of factors; at most %d", p->o->npairs, MAX_PAIRS);
    p->pair = p->o->pairs;
    p->npairs = p->o->npairs;
  } else if (!preset || !strcmp(preset, "background")) {
    p->pair = background;
    p->npairs = 2;
  } else if (!strcmp(preset, "texture")) {
    p->pair = texture;
    p->npairs = 2;
  } else if (!strcmp(preset, "object")) {
    p->pair = object;
    p->npairs = 1;
    p->unordered = 1;
  } else {
    return pc_fail(PC_EARG, "split: no preset '%s'; there are: background, texture, object", preset);
  }
  int f;
  if (p->o->npairs <= 0 && pc_dataset_factor_find(&f, p->ds, "character2_name") < 0) { /* one animal: one pair */
    if (p->unordered)
      return pc_fail(PC_EARG,
                     "split: preset 'object' holds out pairs of animals, and these scenes have no factor "
                     "'character2_name'; take preset 'background' or 'texture', or name the factors with pairs");
    p->npairs = 1;
  }
  for (int i = 0; i < p->npairs; i++) {
    int rc = pc_dataset_factor_find(&p->fa[i], p->ds, p->pair[i].a);
    if (rc == PC_OK) rc = pc_dataset_factor_find(&p->fb[i], p->ds, p->pair[i].b);
    if (rc < 0) return pc_error_prefix(rc, "split");
    if (p->fa[i] == p->fb[i]) return pc_fail(PC_EARG, "split: a pair of '%s' with itself", p->pair[i].a);
  }
  return PC_OK;
}

/* ---- the matrix ---- */

static int ignored(const plan *p, const char *value) {
  if (!p->o->ignore && p->o->nignore == 0) return !strcmp(value, "blank");
  for (int i = 0; i < p->o->nignore; i++)
    if (!strcmp(value, p->o->ignore[i])) return 1;
  return 0;
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* The sorted names of one side, over all pairs (unordered: of both sides). */
static int axis_names(const plan *p, int cols, char ***out, int64_t *n) {
  int64_t cap = 0, m = 0, u = 0;
  for (int i = 0; i < p->npairs; i++)
    cap += pc_dataset_factor_at(p->ds, p->fa[i])->nvalues + pc_dataset_factor_at(p->ds, p->fb[i])->nvalues;
  const char **names = pc_malloc((size_t)cap * sizeof *names);
  if (!names) return PC_ENOMEM;
  for (int i = 0; i < p->npairs; i++)
    for (int side = 0; side < 2; side++) {
      int f = side ? p->fb[i] : p->fa[i];
      if (!p->unordered && side != cols) continue;
      for (int64_t v = 0; v < pc_dataset_factor_at(p->ds, f)->nvalues; v++)
        if (!ignored(p, pc_dataset_factor_at(p->ds, f)->value[v]))
          names[m++] = pc_dataset_factor_at(p->ds, f)->value[v];
    }
  qsort(names, (size_t)m, sizeof *names, by_text);
  for (int64_t i = 0; i < m; i++)
    if (!u || strcmp(names[i], names[u - 1])) names[u++] = names[i];
  int rc = (*out = pc_calloc((size_t)u + 1, sizeof **out)) ? PC_OK : PC_ENOMEM;
  for (*n = 0; rc == PC_OK && *n < u; ++*n)
    if (!((*out)[*n] = pc_strdup(names[*n]))) rc = PC_ENOMEM;
  pc_free(names);
  return rc;
}

static int64_t name_index(char **names, int64_t n, const char *name) {
  char **at = bsearch(&name, names, (size_t)n, sizeof *names, by_text);
  return at ? at - names : -1;
}

static int64_t *value_map(const plan *p, int f, char **names, int64_t n) {
  int64_t nv = pc_dataset_factor_at(p->ds, f)->nvalues, *map = pc_malloc((size_t)nv * sizeof *map);
  for (int64_t v = 0; map && v < nv; v++) map[v] = name_index(names, n, pc_dataset_factor_at(p->ds, f)->value[v]);
  return map;
}

/* The cell of image i by pair k, or -1. Unordered: the one with row <= col. */
static int64_t cell_of(const plan *p, int64_t i, int k) {
  int64_t r = p->to_row[k][pc_dataset_factor_at(p->ds, p->fa[k])->index[i] - PC_INDEX_BASE];
  int64_t c = p->to_col[k][pc_dataset_factor_at(p->ds, p->fb[k])->index[i] - PC_INDEX_BASE];
  if (r < 0 || c < 0) return -1;
  if (p->unordered && r > c) return c * p->s->cols + r;
  return r * p->s->cols + c;
}

static int build_matrix(plan *p) {
  pc_split *s = p->s;
  s->unordered = p->unordered;
  s->row_factor = pc_strdup(p->pair[0].a);
  s->col_factor = pc_strdup(p->pair[0].b);
  if (!s->row_factor || !s->col_factor) return PC_ENOMEM;
  int rc = axis_names(p, 0, &s->row, &s->rows);
  if (rc < 0 || (rc = axis_names(p, 1, &s->col, &s->cols)) < 0) return rc;
  if (s->rows < 2 || s->cols < 2)
    return pc_fail(PC_EARG,
                   "split: the cell matrix has %lld row%s (%s) and %lld column%s (%s); combinations need two values of "
                   "each at least: let more of them into the scenes (only, exclude), or split by other factors",
                   (long long)s->rows, s->rows == 1 ? "" : "s", s->row_factor, (long long)s->cols,
                   s->cols == 1 ? "" : "s", s->col_factor);
  size_t n = (size_t)(s->rows * s->cols);
  s->cell = pc_calloc(n, sizeof *s->cell);
  s->count = pc_calloc(n, sizeof *s->count);
  if (!s->cell || !s->count) return PC_ENOMEM;
  for (int k = 0; k < p->npairs; k++) {
    p->to_row[k] = value_map(p, p->fa[k], s->row, s->rows);
    p->to_col[k] = value_map(p, p->fb[k], s->col, s->cols);
    p->occurs[k] = pc_calloc(n, sizeof *p->occurs[k]);
    p->free_row[k] = pc_calloc((size_t)s->rows, sizeof *p->free_row[k]);
    p->free_col[k] = pc_calloc((size_t)s->cols, sizeof *p->free_col[k]);
    if (!p->to_row[k] || !p->to_col[k] || !p->occurs[k] || !p->free_row[k] || !p->free_col[k]) return PC_ENOMEM;
  }
  for (int64_t i = 0; i < pc_dataset_count(p->ds); i++)
    for (int k = 0; k < p->npairs; k++) {
      int64_t c = cell_of(p, i, k), seen = 0;
      for (int j = 0; j < k; j++) seen |= c == cell_of(p, i, j); /* two alike animals: one image */
      if (c >= 0 && !seen) s->count[c]++;
      if (c >= 0) p->occurs[k][c] = 1;
    }
  return PC_OK;
}

/* ---- the rules ---- */

/* How many of a row's cells go: round((i+1) f C) - round(i f C), so that the rows differ by one at most and all of
 * them together lose round(R f C). */
static int64_t band_width(int64_t i, double share) {
  return (int64_t)((double)(i + 1) * share + 0.5 + 1e-9) - (int64_t)((double)i * share + 0.5 + 1e-9);
}

static void hold_out_band(plan *p, double fraction) {
  pc_split *s = p->s;
  int64_t R = s->rows, C = s->cols, taken = 0;
  double share = fraction * (double)C;
  int64_t whole = (int64_t)(share + 1e-9);
  for (int64_t i = 0; i < R; i++)
    for (int64_t j = p->unordered ? i : 0; j < C; j++) {
      int64_t at = ((p->unordered ? i + j : j - i * C / R) + p->o->offset) % C;
      if (at < 0) at += C;
      /* unordered: diagonals i + j = const go whole, and of the next one its share of the pairs {i,j} */
      int held = p->unordered ? at < whole || (at == whole && band_width(taken++, share - (double)whole))
                              : at < band_width(i, share);
      if (!held) continue;
      s->cell[i * C + j] = PC_CELL_OOD;
      if (p->unordered) s->cell[j * C + i] = PC_CELL_OOD;
    }
}

static void count_free(plan *p) {
  pc_split *s = p->s;
  for (int k = 0; k < p->npairs; k++) {
    memset(p->free_row[k], 0, (size_t)s->rows * sizeof *p->free_row[k]);
    memset(p->free_col[k], 0, (size_t)s->cols * sizeof *p->free_col[k]);
    for (int64_t c = 0; c < s->rows * s->cols; c++)
      if (p->occurs[k][c] && s->cell[c] == PC_CELL_ID) {
        p->free_row[k][c / s->cols]++;
        p->free_col[k][c % s->cols]++;
        if (p->unordered && c / s->cols != c % s->cols) p->free_row[k][c % s->cols]++, p->free_col[k][c / s->cols]++;
      }
  }
}

/* Takes cell c away when every value, in every pair it occurs in, keeps another one. */
static int take(plan *p, int64_t c) {
  int64_t r = c / p->s->cols, j = c % p->s->cols;
  int both = p->unordered && r != j;
  for (int pass = 0; pass < 2; pass++)
    for (int k = 0; k < p->npairs; k++) {
      int64_t *row = p->free_row[k], *col = p->free_col[k];
      if (!p->occurs[k][c]) continue;
      if (pass) {
        row[r]--, col[j]--;
        if (both) row[j]--, col[r]--;
      } else if (row[r] < 2 || col[j] < 2 || (both && (row[j] < 2 || col[r] < 2))) {
        return 0;
      }
    }
  return 1;
}

/* Takes round(fraction x occurring ID cells) of them by seed, and marks them
 * `as`; each value keeps one ID cell in each pair. */
static int take_random(plan *p, double fraction, pc_cell as, int stream) {
  pc_split *s = p->s;
  int64_t n = s->rows * s->cols, m = 0, taken = 0;
  pc_rng g = {p->o->seed, PC_SPLIT_COUNTER(stream)};
  int64_t *list = pc_malloc((size_t)(2 * n) * sizeof *list);
  if (!list) return PC_ENOMEM;
  int64_t *order = list + n;
  for (int64_t c = 0; c < n; c++)
    if (s->count[c] && s->cell[c] == PC_CELL_ID) list[m++] = c;
  int64_t want = (int64_t)(fraction * (double)m + 0.5);
  if (want < 1) want = 1;
  count_free(p);
  if (m) pc_rng_permutation(&g, order, m);
  for (int64_t i = 0; i < m && taken < want; i++) {
    int64_t c = list[order[i]];
    if (!take(p, c)) continue;
    s->cell[c] = (uint8_t)as;
    taken++;
  }
  pc_free(list);
  if (taken < want)
    return pc_fail(
        PC_EARG,
        "split: %s = %g asks for %lld of %lld cells, but only %lld can go while every value keeps an ID cell; "
        "take a smaller share",
        as == PC_CELL_OOD ? "fraction" : "pseudo", fraction, (long long)want, (long long)m, (long long)taken);
  return PC_OK;
}

static int unknown_cell_value(const plan *p, const char *value, int col) {
  char list[1000];
  size_t n = 0;
  char **names = col ? p->s->col : p->s->row;
  int64_t m = col ? p->s->cols : p->s->rows;
  list[0] = '\0';
  for (int64_t i = 0; i < m && n < sizeof list; i++)
    n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", names[i]);
  return pc_fail(PC_ENOTFOUND, "split: cells: no value '%s' of '%s'; there are: %s", value,
                 col ? p->pair[0].b : p->pair[0].a, list);
}

static int hold_out_list(plan *p) {
  if (p->o->ncells < 1) return pc_fail(PC_EARG, "split: rule 'list' without cells");
  for (int i = 0; i < p->o->ncells; i++) {
    int64_t r = name_index(p->s->row, p->s->rows, p->o->cells[i].a);
    int64_t c = name_index(p->s->col, p->s->cols, p->o->cells[i].b);
    if (r < 0) return unknown_cell_value(p, p->o->cells[i].a, 0);
    if (c < 0) return unknown_cell_value(p, p->o->cells[i].b, 1);
    p->s->cell[r * p->s->cols + c] = PC_CELL_OOD;
    if (p->unordered) p->s->cell[c * p->s->cols + r] = PC_CELL_OOD;
  }
  return PC_OK;
}

static int choose_cells(plan *p) {
  double fraction = p->o->fraction;
  int rc = PC_OK;
  switch ((pc_split_rule)p->o->rule) {
    case PC_SPLIT_BAND: hold_out_band(p, fraction); break;
    case PC_SPLIT_RANDOM: rc = take_random(p, fraction, PC_CELL_OOD, PC_SPLIT_STREAM_CELLS); break;
    case PC_SPLIT_LIST: rc = hold_out_list(p); break;
  }
  if (rc == PC_OK && p->o->pseudo > 0) rc = take_random(p, p->o->pseudo, PC_CELL_PSEUDO, PC_SPLIT_STREAM_PSEUDO);
  return rc;
}

/* ---- images ---- */

static pc_cell kind_of(const plan *p, int64_t i) {
  pc_cell worst = PC_CELL_ID;
  for (int k = 0; k < p->npairs; k++) {
    int64_t c = cell_of(p, i, k);
    if (c >= 0 && p->s->cell[c] > worst) worst = (pc_cell)p->s->cell[c];
  }
  return worst;
}

/* Every value of every factor in train, and no held-out cell in any ID set. */
static int check(const plan *p) {
  const pc_split *s = p->s;
  const pc_tensor *id[3] = {s->id_train, s->id_val, s->id_test};
  for (int t = 0; t < 3; t++)
    for (int64_t i = 0; i < pc_numel(id[t]); i++)
      if (kind_of(p, pc_i64(id[t])[i] - PC_INDEX_BASE) != PC_CELL_ID)
        return pc_fail(PC_ESTATE, "split: image %lld has a held-out cell and is in an ID set",
                       (long long)pc_i64(id[t])[i]);
  for (int f = 0; f < pc_dataset_nfactors(p->ds); f++) {
    int64_t nv = pc_dataset_factor_at(p->ds, f)->nvalues, v = 0;
    const int64_t *index = pc_dataset_factor_at(p->ds, f)->index;
    uint8_t *seen = pc_calloc((size_t)nv, 1);
    if (!seen) return PC_ENOMEM;
    for (int64_t i = 0; i < pc_numel(s->id_train); i++)
      seen[index[pc_i64(s->id_train)[i] - PC_INDEX_BASE] - PC_INDEX_BASE] = 1;
    while (v < nv && seen[v]) v++;
    pc_free(seen);
    if (v < nv)
      return pc_fail(
          PC_EARG,
          "split: no training image has %s = '%s', so it would not be a known value; hold out fewer cells "
          "(fraction), move the band (offset), take rule 'random' (it leaves every value a cell), or filter the "
          "value out",
          pc_dataset_factor_at(p->ds, f)->name, pc_dataset_factor_at(p->ds, f)->value[v]);
  }
  return PC_OK;
}

static int divide(plan *p) {
  int64_t n = pc_dataset_count(p->ds);
  uint8_t *kind = pc_malloc((size_t)n);
  if (!kind) return PC_ENOMEM;
  for (int64_t i = 0; i < n; i++) kind[i] = (uint8_t)kind_of(p, i);
  int rc = pc_split_divide(p->s, kind, n, p->o->val, p->o->test, (uint64_t)p->o->seed);
  pc_free(kind);
  if (rc == PC_OK && p->o->pseudo > 0 && pc_numel(p->s->pseudo_ood) == 0)
    rc = pc_fail(
        PC_EARG,
        "split: pseudo = %g leaves no pseudo-OOD image: those cells occur with held-out ones only; take a larger share",
        p->o->pseudo);
  return rc;
}

/* Unordered cells are decided for row <= col: the other half mirrors them. */
static void mirror(plan *p) {
  pc_split *s = p->s;
  if (!p->unordered) return;
  for (int64_t r = 0; r < s->rows; r++)
    for (int64_t c = r + 1; c < s->cols; c++) {
      s->cell[c * s->cols + r] = s->cell[r * s->cols + c];
      s->count[c * s->cols + r] = s->count[r * s->cols + c];
    }
}

PC_OPTIONS_TABLE(pc_split_options, "split", pc_split_opts, PC_SPLIT_OPTIONS);

int pc_split_cells(pc_split **out, const pc_dataset *ds, const pc_split_opts *opts) {
  static const pc_split_opts defaults = PC_SPLIT_OPTS_INIT;
  plan p = {.ds = ds, .o = opts ? opts : &defaults};
  int rc;
  *out = NULL;
  if ((rc = pc_options_check(&pc_split_options, "split", p.o)) < 0) return rc;
  if (!(p.s = pc_calloc(1, sizeof *p.s))) return PC_ENOMEM;
  if ((rc = choose_pairs(&p)) == PC_OK && (rc = build_matrix(&p)) == PC_OK && (rc = choose_cells(&p)) == PC_OK &&
      (rc = divide(&p)) == PC_OK)
    rc = check(&p);
  for (int k = 0; k < MAX_PAIRS; k++) {
    pc_free(p.to_row[k]);
    pc_free(p.to_col[k]);
    pc_free(p.occurs[k]);
    pc_free(p.free_row[k]);
    pc_free(p.free_col[k]);
  }
  if (rc < 0) {
    pc_split_free(p.s);
    return rc;
  }
  mirror(&p);
  *out = p.s;
  return PC_OK;
}

void pc_split_free(pc_split *s) {
  if (!s) return;
  for (int64_t i = 0; s->row && i < s->rows; i++) pc_free(s->row[i]);
  for (int64_t i = 0; s->col && i < s->cols; i++) pc_free(s->col[i]);
  pc_free(s->row);
  pc_free(s->col);
  pc_free(s->row_factor);
  pc_free(s->col_factor);
  pc_free(s->cell);
  pc_free(s->count);
  pc_tensor_release(s->id_train);
  pc_tensor_release(s->id_val);
  pc_tensor_release(s->id_test);
  pc_tensor_release(s->pseudo_ood);
  pc_tensor_release(s->ood);
  pc_free(s);
}

char *pc_split_describe(const pc_split *s) {
  size_t room = 256, n = 0, widest = 0;
  for (int64_t i = 0; i < s->rows; i++) widest = strlen(s->row[i]) > widest ? strlen(s->row[i]) : widest;
  room += (size_t)s->rows * (widest + 3 * (size_t)s->cols + 4);
  for (int64_t j = 0; j < s->cols; j++) room += strlen(s->col[j]) + 16;
  char *t = pc_malloc(room);
  if (!t) return NULL;
  n += (size_t)snprintf(t, room, "train %lld, validation %lld, test %lld, pseudo-OOD %lld, OOD %lld images\n",
                        (long long)pc_numel(s->id_train), (long long)pc_numel(s->id_val),
                        (long long)pc_numel(s->id_test), (long long)pc_numel(s->pseudo_ood),
                        (long long)pc_numel(s->ood));
  for (int64_t i = 0; i < s->rows; i++) {
    n += (size_t)snprintf(t + n, room - n, "%*s ", (int)widest, s->row[i]);
    for (int64_t j = 0; j < s->cols; j++)
      n += (size_t)snprintf(t + n, room - n, " %c", ".o#"[s->cell[i * s->cols + j]]);
    n += (size_t)snprintf(t + n, room - n, "\n");
  }
  if (s->rows) {
    n += (size_t)snprintf(t + n, room - n, "columns: ");
    for (int64_t j = 0; j < s->cols; j++) n += (size_t)snprintf(t + n, room - n, "%s%s", j ? " " : "", s->col[j]);
    snprintf(t + n, room - n, "\n");
  }
  return t;
}
