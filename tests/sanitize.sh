#!/bin/sh
# sanitize.sh: every suite under AddressSanitizer + UndefinedBehaviorSanitizer (leaks
# count), then the engine suites under valgrind. Exit 1 on any report. The suites'
# programs stand in build/sanitize.
set -u
san=build/sanitize
jobs=$(nproc)
status=0
# libgomp and OpenBLAS stay uninstrumented; what they allocate once is suppressed below
flags="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
make --no-print-directory -j"$jobs" tests BUILD=$san SAN="$flags" OPT="-O1 -g" || exit 1
cat >$san/lsan.supp <<'S'
leak:libopenblas
leak:libgomp
leak:libedit
S
echo "AddressSanitizer and UndefinedBehaviorSanitizer: every suite"
# PERCEPT_NO_CACHE: freed memory goes back to the sanitizer at once, which then sees its use
ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:allocator_may_return_null=1:detect_stack_use_after_return=1 \
  LSAN_OPTIONS=suppressions="$PWD/$san/lsan.supp":print_suppressions=0 UBSAN_OPTIONS=print_stacktrace=1 \
  PERCEPT_NO_CACHE=1 PERCEPT_SANITIZED=1 SUITE_SECONDS=900 BUILD=$san sh tests/run.sh "$@" || status=1

echo "valgrind: engine suites"
make --no-print-directory -j"$jobs" tests || exit 1
log=$(mktemp)
trap 'rm -f "$log"' EXIT
clean=0 reports=0
for t in $(find tests/engine -name 'test_*.c' | sort | sed 's,^tests/,,; s,\.c$,,'); do
  # valgrind 3.19 knows no AVX-512: the AVX2 kernels and BLAS's run.
  if PERCEPT_NO_CACHE=1 PERCEPT_TIER=avx2 OPENBLAS_CORETYPE=Haswell OMP_NUM_THREADS=1 CK_FORK=no \
    CK_DEFAULT_TIMEOUT=0 valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
    --suppressions=tests/valgrind.supp build/tests/"$t" >"$log" 2>&1 </dev/null; then
    clean=$((clean + 1))
    echo "  $t: clean"
  else
    reports=$((reports + 1))
    echo "  $t: reports"
    tail -n 60 "$log" | sed 's/^/    /'
  fi
done
echo "valgrind: $clean suites clean, $reports with reports"
[ $reports -eq 0 ] || status=1
exit $status
