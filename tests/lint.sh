#!/bin/sh
# lint.sh: formatting, static analysis, Lua globals. Exit 1 when anything is found.
status=0
# what git knows and what it would take up; files deleted but not yet committed are no files
files() { git ls-files --cached --others --exclude-standard -- "$@" | while read -r f; do [ -f "$f" ] && echo "$f"; done; }

echo "clang-format"
files '*.c' '*.h' | xargs clang-format --dry-run --Werror 2>&1 |
  sed -n 's/^\([^ :]*\):[0-9]*:[0-9]*: error: code should be clang-formatted.*/\1/p' | sort | uniq -c >"${TMPDIR:-/tmp}/lint.$$"
if [ -s "${TMPDIR:-/tmp}/lint.$$" ]; then
  cat "${TMPDIR:-/tmp}/lint.$$"
  echo "remedy: clang-format -i FILES"
  status=1
fi
rm -f "${TMPDIR:-/tmp}/lint.$$"

# invalidPointerCast: strides count bytes, so data pointers are char * until an element is touched
# convert.h: cppcheck 2.10 reads -0x1p31f as a positive number
# softmax.c: log of a sum of exponentials; the largest of them is 1
echo "cppcheck"
cppcheck --quiet --std=c11 --language=c --inline-suppr --enable=warning,portability --error-exitcode=1 \
  --suppress=missingIncludeSystem --suppress=preprocessorErrorDirective --suppress=invalidPointerCast \
  --suppress=incorrectLogicOperator:engine/tensor/convert.h --suppress=invalidFunctionArg:engine/tensor/reduce/softmax.c \
  -D__x86_64__ -Iengine -I. -j2 engine bindings db || status=1

# the other compiler: builds, links, has nothing to say
echo "clang"
make --no-print-directory -s -j2 all CC=clang BUILD="${BUILD:-build}/clang" OPT="-O1 -Werror" >/dev/null || status=1

echo "luacheck"
files '*.lua' | xargs luacheck --quiet || status=1

[ $status -eq 0 ] && echo "lint: clean"
exit $status
