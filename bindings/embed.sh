#!/bin/sh
# embed.sh lua|sql FILE...: prints C source that holds the files as byte arrays
# and one table of them: pc_embedded_lua[] or pc_embedded_sql[], ended by NULL.
# A Lua file scripts/percept/run/grid.lua is the module percept.run.grid; one that
# scripts/modules.def lists has the name given there: percept.train.
kind=$1
shift
if [ "$kind" = lua ]; then field='const char *name, *path'; else field='const char *name'; fi
echo '#include <stddef.h>'
echo "typedef struct { $field; const unsigned char *data; size_t size; } pc_embedded;"
i=0
for f in "$@"; do
  echo "static const unsigned char f$i[] = {"
  od -An -v -tu1 "$f" | sed 's/[0-9][0-9]*/&,/g'
  echo "0};"
  i=$((i + 1))
done
echo "const pc_embedded pc_embedded_$kind[];"
echo "const pc_embedded pc_embedded_$kind[] = {"
if [ "$kind" = lua ]; then
  printf '%s\n' "$@" | awk -v table=scripts/modules.def '
    BEGIN { while ((getline line < table) > 0) if (line !~ /^#/ && split(line, word) == 2) public["percept/" word[2]] = word[1] }
    {
      path = $0; sub(/^scripts\//, "", path); sub(/\.lua$/, "", path)
      name = path in public ? "percept." public[path] : path
      gsub("/", ".", name)
      delete public[path]
      printf "  {\"%s\", \"%s\", f%d, sizeof f%d - 1},\n", name, path, NR - 1, NR - 1
    }
    END { for (path in public) { print "scripts/modules.def: there is no scripts/" path ".lua" > "/dev/stderr"; bad = 1 }; exit bad }' || exit 1
else
  i=0
  for f in "$@"; do
    echo "  {\"${f#db/}\", f$i, sizeof f$i - 1},"
    i=$((i + 1))
  done
fi
echo '  {0}};'
