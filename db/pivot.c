#include "db/pivot.h"

#include <string.h>
#include <xxhash.h>

#include "base/alloc.h"
#include "base/error.h"

typedef struct line {
  pc_value *keys;  /* p->keys of them */
  pc_value *cells; /* cap of them */
  int cap;
  uint64_t hash;
} line;

struct pc_pivot {
  pc_row_sink to;
  int keys, by, n_names; /* columns that stand before the pivoted ones; how many of them tell rows apart */
  char **names;          /* key columns, then pivoted ones */
  int cap_names;
  int last; /* the column found last */
  line *lines;
  int n_lines, cap_lines;
  int32_t *slots; /* open hash over lines: index + 1 */
  int cap_slots;
};

static int copy_value(pc_value *to, const pc_value *from) {
  char *text;
  *to = *from;
  if (!from->text) return PC_OK;
  text = pc_malloc(from->size + 1);
  to->text = text;
  if (!text) {
    to->type = PC_SQL_NULL;
    return PC_ENOMEM;
  }
  memcpy(text, from->text, from->size);
  text[from->size] = '\0';
  return PC_OK;
}

static void drop_value(pc_value *v) {
  pc_free((void *)v->text);
  *v = (pc_value){0};
}

static int same(const pc_value *a, const pc_value *b) {
  if (a->type != b->type) return 0;
  if (a->type == PC_SQL_INT) return a->i == b->i;
  if (a->type == PC_SQL_REAL) return a->d == b->d;
  return a->size == b->size && (!a->size || !memcmp(a->text, b->text, a->size));
}

static uint64_t hash_keys(const pc_value *v, int n) {
  uint64_t h = 1;
  for (int i = 0; i < n; i++) {
    h = XXH3_64bits_withSeed(&v[i].d, sizeof v[i].d, h);
    if (v[i].size) h = XXH3_64bits_withSeed(v[i].text, v[i].size, h);
  }
  return h;
}

static void clear(pc_pivot *p) {
  for (int i = 0; i < p->n_lines; i++) {
    for (int k = 0; k < p->keys; k++) drop_value(&p->lines[i].keys[k]);
    for (int k = 0; k < p->lines[i].cap; k++) drop_value(&p->lines[i].cells[k]);
    pc_free(p->lines[i].keys);
    pc_free(p->lines[i].cells);
  }
  for (int i = 0; i < p->n_names; i++) pc_free(p->names[i]);
  p->n_lines = p->n_names = p->last = 0;
  if (p->slots) memset(p->slots, 0, (size_t)p->cap_slots * sizeof *p->slots);
}

/* index of a column, added when new; negative on lack of memory */
static int column(pc_pivot *p, const char *name, int from) {
  for (int i = p->last; i <= p->last + 1 && i < p->n_names;
       i++) /* columns come in runs, or in the order of the row before */
    if (i >= from && !strcmp(p->names[i], name)) return p->last = i;
  for (int i = from; i < p->n_names; i++)
    if (!strcmp(p->names[i], name)) return p->last = i;
  if (p->n_names == p->cap_names) {
    int cap = p->cap_names ? 2 * p->cap_names : 32;
    char **names = pc_realloc(p->names, (size_t)cap * sizeof *names);
    if (!names) return PC_ENOMEM;
    p->names = names;
    p->cap_names = cap;
  }
  p->names[p->n_names] = pc_strdup(name);
  return p->names[p->n_names] ? p->n_names++ : PC_ENOMEM;
}

static int grow_slots(pc_pivot *p) {
  int cap = p->cap_slots ? 2 * p->cap_slots : 256;
  int32_t *slots = pc_calloc((size_t)cap, sizeof *slots);
  if (!slots) return PC_ENOMEM;
  for (int i = 0; i < p->n_lines; i++) {
    uint64_t at = p->lines[i].hash & (uint64_t)(cap - 1);
    while (slots[at]) at = (at + 1) & (uint64_t)(cap - 1);
    slots[at] = i + 1;
  }
  pc_free(p->slots);
  p->slots = slots;
  p->cap_slots = cap;
  return PC_OK;
}

static line *find_line(pc_pivot *p, const pc_value *keys) {
  uint64_t hash = hash_keys(keys, p->by), at;
  line *l;
  if (p->n_lines * 2 >= p->cap_slots && grow_slots(p)) return NULL;
  for (at = hash & (uint64_t)(p->cap_slots - 1); p->slots[at]; at = (at + 1) & (uint64_t)(p->cap_slots - 1)) {
    int k = 0;
    l = &p->lines[p->slots[at] - 1];
    while (k < p->by && same(&l->keys[k], &keys[k])) k++;
    if (k == p->by) return l;
  }
  if (p->n_lines == p->cap_lines) {
    int cap = p->cap_lines ? 2 * p->cap_lines : 64;
    line *lines = pc_realloc(p->lines, (size_t)cap * sizeof *lines);
    if (!lines) return NULL;
    p->lines = lines;
    p->cap_lines = cap;
  }
  l = &p->lines[p->n_lines];
  *l = (line){.hash = hash, .keys = pc_calloc((size_t)p->keys, sizeof *l->keys)};
  if (!l->keys) return NULL;
  p->slots[at] = ++p->n_lines;
  for (int k = 0; k < p->keys; k++)
    if (copy_value(&l->keys[k], &keys[k])) return NULL;
  return l;
}

static int on_begin(void *ctx, int n, const char *const *names) {
  pc_pivot *p = ctx;
  clear(p);
  if (n != p->keys + 2)
    return pc_fail(PC_EARG, "sql: pivot: %d needs %d columns (row, column, value); the query has %d", p->keys,
                   p->keys + 2, n);
  for (int i = 0; i < p->keys; i++) { /* key columns may share a name */
    int at = column(p, names[i], p->n_names);
    if (at < 0) return at;
  }
  return PC_OK;
}

static int on_row(void *ctx, int n, const pc_value *v) {
  pc_pivot *p = ctx;
  line *l = find_line(p, v);
  int at;
  if (!l) return PC_ENOMEM;
  if (v[p->keys].type != PC_SQL_TEXT) return PC_OK; /* a row without a cell: left join */
  at = column(p, v[p->keys].text, p->keys) - p->keys;
  if (at < 0) return PC_ENOMEM;
  if (at >= l->cap) {
    int cap = (at + 16) & ~15;
    pc_value *cells = pc_realloc(l->cells, (size_t)cap * sizeof *cells);
    if (!cells) return PC_ENOMEM;
    memset(cells + l->cap, 0, (size_t)(cap - l->cap) * sizeof *cells);
    l->cells = cells;
    l->cap = cap;
  }
  drop_value(&l->cells[at]);
  return copy_value(&l->cells[at], &v[p->keys + 1]);
}

static int on_end(void *ctx) {
  pc_pivot *p = ctx;
  int n = p->n_names, code = PC_OK;
  pc_value *v = pc_calloc((size_t)n + 1, sizeof *v);
  if (!v) return PC_ENOMEM;
  if (p->to.begin) code = p->to.begin(p->to.ctx, n, (const char *const *)p->names);
  for (int i = 0; i < p->n_lines && code == PC_OK; i++) {
    const line *l = &p->lines[i];
    for (int k = 0; k < n; k++) {
      int c = k - p->keys;
      v[k] = k < p->keys ? l->keys[k] : c < l->cap ? l->cells[c] : (pc_value){0};
    }
    if (p->to.row) code = p->to.row(p->to.ctx, n, v);
  }
  if (code == PC_OK && p->to.end) code = p->to.end(p->to.ctx);
  pc_free(v);
  return code;
}

static int on_changed(void *ctx, int64_t rows) {
  pc_pivot *p = ctx;
  return p->to.changed ? p->to.changed(p->to.ctx, rows) : PC_OK;
}

pc_pivot *pc_pivot_new(int keys, int by, const pc_row_sink *to) {
  pc_pivot *p = pc_calloc(1, sizeof *p);
  if (!p) return NULL;
  p->keys = keys;
  p->by = by > 0 && by < keys ? by : keys;
  p->to = *to;
  return p;
}

pc_row_sink pc_pivot_sink(pc_pivot *p) { return (pc_row_sink){p, on_begin, on_row, on_end, on_changed}; }

void pc_pivot_free(pc_pivot *p) {
  if (!p) return;
  clear(p);
  pc_free(p->names);
  pc_free(p->lines);
  pc_free(p->slots);
  pc_free(p);
}
