#!/bin/sh
# coverage.sh: every suite on a build that counts lines and branches (gcc --coverage, gcovr); prints the files with the most
# branches not taken, and the totals. The pages are build/coverage/index.html. Not counted: the branches of a line with
# LCOV_EXCL_BR_LINE, which says why, and of assertions, which nothing can make false. Kernels are compiled as ever (-O3): what
# the constants of a template decide is no branch, and the suites take no longer than they must.
build=build/coverage
OPT="-O0 -g" make --no-print-directory -j"$(nproc)" tests BUILD=$build SAN="--coverage" >"$build.log" 2>&1 || { tail -n 20 "$build.log"; exit 1; }
find $build -name '*.gcda' -delete
SUITE_SECONDS=900 PERCEPT_COVERAGE=1 BUILD=$build sh tests/run.sh "$@" >"$build/suites.log" 2>&1
tail -n 1 "$build/suites.log"
for tier in ref avx2; do # kernels of the other tiers
  PERCEPT_TIER=$tier SUITE_SECONDS=900 BUILD=$build sh tests/run.sh engine/tensor engine/grad >>"$build/suites.log" 2>&1
done
gcovr --root . --filter 'engine/' --filter 'db/' --filter 'bindings/' --gcov-ignore-parse-errors \
  --exclude-unreachable-branches --exclude-throw-branches --exclude-branches-by-pattern '\s*assert\(.*' --html-details $build/index.html --csv $build/files.csv \
  --print-summary $build 2>/dev/null | grep -E '^(lines|branches)'
echo "branches not taken, by file:"
awk -F, 'NR > 1 { printf "%6d of %6d  %5.1f %%  lines %5.1f %%  %s\n", $5 - $6, $5, $5 ? 100 * $6 / $5 : 100, $2 ? 100 * $3 / $2 : 100, $1 }' \
  $build/files.csv | sort -rn | head -n 25
