#!/bin/sh
# sanitize.sh [asan|valgrind]: every suite under AddressSanitizer + UndefinedBehaviorSanitizer
# (leaks count), then the engine suites under valgrind. Exit 1 on any report. The
# sanitized programs stand in build/sanitize.
set -u
part=${1:-all}
jobs=$(nproc)
status=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

address_and_undefined() {
  san=build/sanitize
  make --no-print-directory -j"$jobs" tests BUILD=$san OPT="-O1 -g" \
    SAN="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer" || exit 1
  # what these libraries allocate once and keep
  printf 'leak:%s\n' libopenblas libgomp libedit libfontconfig >"$scratch/lsan.supp"
  echo "AddressSanitizer and UndefinedBehaviorSanitizer: every suite"
  # PERCEPT_NO_CACHE: freed memory goes back to the sanitizer at once, which then sees its use
  ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1:detect_stack_use_after_return=1 \
    LSAN_OPTIONS=suppressions="$scratch/lsan.supp":print_suppressions=0 UBSAN_OPTIONS=print_stacktrace=1 \
    PERCEPT_NO_CACHE=1 PERCEPT_SANITIZED=1 SUITE_SECONDS=900 BUILD=$san sh tests/run.sh || status=1
}

valgrind_engine() {
  make --no-print-directory -j"$jobs" tests || exit 1
  echo "valgrind: engine suites"
  clean=0 reports=0
  for t in $(find tests/engine -name 'test_*.c' | sort | sed 's,^tests/,,; s,\.c$,,'); do
    start=$(date +%s)
    # valgrind 3.19 knows no AVX-512: the AVX2 kernels and BLAS's run
    if PERCEPT_NO_CACHE=1 PERCEPT_TIER=avx2 OPENBLAS_CORETYPE=Haswell OMP_NUM_THREADS=1 CK_FORK=no \
      HOME="$scratch" XDG_CACHE_HOME="$scratch/cache" valgrind --quiet --error-exitcode=99 --leak-check=full \
      --errors-for-leak-kinds=definite --suppressions=tests/valgrind.supp build/tests/"$t" >"$scratch/log" 2>&1 </dev/null; then
      clean=$((clean + 1))
      printf '%-44s clean    %4ds\n' "$t" $(($(date +%s) - start))
    else
      reports=$((reports + 1))
      printf '%-44s REPORTS  %4ds\n' "$t" $(($(date +%s) - start))
      tail -n 60 "$scratch/log" | sed 's/^/    /'
    fi
  done
  echo "valgrind: $clean suites clean, $reports with reports"
  [ $reports -eq 0 ] || status=1
}

[ "$part" = valgrind ] || address_and_undefined
[ "$part" = asan ] || valgrind_engine
exit $status
