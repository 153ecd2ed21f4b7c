#!/bin/sh
# lint.sh: formatting, static analysis, Lua globals. Exit 1 when anything is found.
status=0
files=$(git ls-files 'engine/*.c' 'engine/*.h' 'bindings/*.c' 'bindings/*.h' 'db/*.c' 'db/*.h' 'tests/*.c' 'tests/*.h')
echo "clang-format"
clang-format --dry-run --Werror $files 2>&1 | grep -E 'error|warning' | cut -d: -f1 | sort | uniq -c | head -40
clang-format --dry-run --Werror $files >/dev/null 2>&1 || status=1
echo "cppcheck"
cppcheck --quiet --std=c11 --language=c --inline-suppr --enable=warning,portability --error-exitcode=1 \
  --suppress=missingIncludeSystem --suppress=preprocessorErrorDirective -D__x86_64__ -Iengine -I. -j2 \
  engine bindings db || status=1
echo "luacheck"
luacheck --quiet --std luajit --max-line-length 130 scripts experiments/*.lua $(find tests -name '*.lua') || status=1
exit $status
