#include "replay/seen.h"

#include <string.h>

#include "base/alloc.h"
#include "replay/replay.h"

struct pc_seen {
  int64_t slots, n, places; /* n: combinations; places: of a table, a power of 2 */
  int ngroups;
  uint64_t *groups;
  int64_t *labels;       /* (rows,slots) */
  int64_t *combinations; /* (n,slots) */
  int64_t *tables;       /* (ngroups,places): 1 + row of combinations, 0: free */
};

static uint64_t hash(uint64_t group, const int64_t *v, int64_t slots) {
  uint64_t h = 0xcbf29ce484222325u;
  for (int64_t k = 0; k < slots; k++) {
    if (!(group >> k & 1)) continue;
    h = (h ^ (uint64_t)v[k]) * 0x9e3779b97f4a7c15u;
    h ^= h >> 29;
  }
  return h;
}

static int same(uint64_t group, const int64_t *a, const int64_t *b, int64_t slots) {
  for (int64_t k = 0; k < slots; k++)
    if ((group >> k & 1) && a[k] != b[k]) return 0;
  return 1;
}

/* Where v's labels of group g stand, or the free place for them. */
static int64_t *place_of(const pc_seen *s, int g, const int64_t *v) {
  int64_t *table = s->tables + g * s->places, mask = s->places - 1;
  int64_t at = (int64_t)(hash(s->groups[g], v, s->slots) >> 8) & mask;
  while (table[at] && !same(s->groups[g], v, s->combinations + (table[at] - 1) * s->slots, s->slots))
    at = (at + 1) & mask;
  return table + at;
}

static int copy_labels(int64_t **out, const pc_tensor *t, const char *what, int64_t rows, int64_t slots) {
  if (t->ndim != 2 || t->size[1] != slots || (rows >= 0 && t->size[0] != rows) || pc_dtype_is_float(t->dtype))
    return pc_fail(PC_ESHAPE, "replay: %s must be integers %s of one column a slot (%lld), got %s %s", what,
                   rows >= 0 ? "(N,K) of one row a bank row and" : "(M,K)", (long long)slots, pc_shape_str(t),
                   pc_dtype_name(t->dtype));
  int64_t n = pc_numel(t);
  if (!(*out = pc_malloc(sizeof **out * (size_t)n))) return PC_ENOMEM;
  for (int64_t i = 0; i < n; i++) (*out)[i] = (int64_t)pc_at(t, i);
  return PC_OK;
}

static int take_groups(pc_seen *s, const uint64_t *groups, int ngroups) {
  uint64_t all = s->slots == 64 ? ~(uint64_t)0 : ((uint64_t)1 << s->slots) - 1;
  s->ngroups = ngroups ? ngroups : 1;
  if (!(s->groups = pc_malloc(sizeof *s->groups * (size_t)s->ngroups))) return PC_ENOMEM;
  s->groups[0] = all;
  for (int g = 0; g < ngroups; g++) {
    s->groups[g] = groups[g];
    if (!groups[g] || (groups[g] & ~all))
      return pc_fail(PC_EARG, "replay: group %d must hold some of the slots 1 to %lld and no others", g + 1,
                     (long long)s->slots);
  }
  return PC_OK;
}

int pc_seen_new(pc_seen **out, int64_t rows, int64_t slots, const pc_tensor *labels, const pc_tensor *combinations,
                const uint64_t *groups, int ngroups) {
  *out = NULL;
  if (slots < 1 || slots > PC_REPLAY_MAX_SLOTS || ngroups > PC_REPLAY_MAX_GROUPS)
    return pc_fail(PC_EARG, "replay: combinations of 1 to %d slots in at most %d groups can be left out, not of %lld",
                   (int)PC_REPLAY_MAX_SLOTS, (int)PC_REPLAY_MAX_GROUPS, (long long)slots);
  pc_seen *s = pc_calloc(1, sizeof *s);
  if (!s) return PC_ENOMEM;
  s->slots = slots;
  int rc = take_groups(s, groups, ngroups);
  if (rc == PC_OK) rc = copy_labels(&s->labels, labels, "labels", rows, slots);
  if (rc == PC_OK) rc = copy_labels(&s->combinations, combinations ? combinations : labels, "combinations", -1, slots);
  if (rc == PC_OK) {
    s->n = combinations ? combinations->size[0] : rows;
    for (s->places = 16; s->places < 2 * s->n;) s->places *= 2;
    s->tables = pc_calloc((size_t)(s->places * s->ngroups), sizeof *s->tables);
    if (!s->tables) rc = PC_ENOMEM;
  }
  for (int g = 0; rc == PC_OK && g < s->ngroups; g++)
    for (int64_t i = 0; i < s->n; i++) *place_of(s, g, s->combinations + i * slots) = i + 1;
  if (rc < 0)
    pc_seen_free(s);
  else
    *out = s;
  return rc;
}

int pc_seen_has(const pc_seen *s, const int64_t *from) {
  int64_t v[PC_REPLAY_MAX_SLOTS];
  for (int64_t k = 0; k < s->slots; k++) v[k] = s->labels[from[k] * s->slots + k];
  for (int g = 0; g < s->ngroups; g++)
    if (!*place_of(s, g, v)) return 0;
  return 1;
}

void pc_seen_free(pc_seen *s) {
  if (!s) return;
  pc_free(s->groups);
  pc_free(s->labels);
  pc_free(s->combinations);
  pc_free(s->tables);
  pc_free(s);
}
