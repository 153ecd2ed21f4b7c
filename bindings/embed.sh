#!/bin/sh
# embed.sh lua|sql FILE...: prints C source that holds the files as byte arrays
# and one table of them: pc_embedded_lua[] or pc_embedded_sql[], ended by NULL.
# A Lua file's name is its module name: scripts/percept/cli.lua -> percept.cli.
kind=$1
shift
echo '#include <stddef.h>'
echo 'typedef struct { const char *name; const unsigned char *data; size_t size; } pc_embedded;'
i=0
for f in "$@"; do
  echo "static const unsigned char f$i[] = {"
  od -An -v -tu1 "$f" | sed 's/[0-9][0-9]*/&,/g'
  echo "0};"
  i=$((i + 1))
done
echo "const pc_embedded pc_embedded_$kind[];"
echo "const pc_embedded pc_embedded_$kind[] = {"
i=0
for f in "$@"; do
  case $kind in
    lua) name=$(echo "$f" | sed 's,^scripts/,,; s,\.lua$,,; s,/init$,,; s,/,.,g') ;;
    *) name=$(echo "$f" | sed 's,^db/,,') ;;
  esac
  echo "  {\"$name\", f$i, sizeof f$i - 1},"
  i=$((i + 1))
done
echo '  {NULL, NULL, 0}};'
