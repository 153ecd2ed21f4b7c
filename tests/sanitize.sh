#!/bin/sh
# sanitize.sh [asan|threads|valgrind|analyzer]: every suite under AddressSanitizer + UndefinedBehaviorSanitizer (leaks
# count); the engine's and the recorder's on four threads under ThreadSanitizer, with clang's OpenMP runtime and Archer, which tells
# it of OpenMP's synchronisation; the engine suites under valgrind; gcc's -fanalyzer over all C files. Exit 1 on any report. What a
# part leaves out it says. The sanitized programs stand in build/sanitize and build/tsan.
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

# db/test_crash forks, which a program with threads under ThreadSanitizer cannot; OpenBLAS runs on one thread, as always.
threads() {
  san=build/tsan
  make --no-print-directory -j"$jobs" tests CC=clang BUILD=$san OPT="-O1 -g" SAN=-fsanitize=thread >"$scratch/build" 2>&1 ||
    { tail -n 20 "$scratch/build"; exit 1; }
  archer=$(find /usr/lib -name libarcher.so 2>/dev/null | head -n 1)
  [ -n "$archer" ] || { echo "threads: left out: libarcher.so is not there (make dev-deps)"; status=1; return; }
  echo "ThreadSanitizer with Archer: engine and recorder on four threads; left out: db/test_crash (forks)"
  for t in $(cd tests && find engine db -name 'test_*.c' | sort | sed 's,\.c$,,' | grep -v db/test_crash); do
    TSAN_OPTIONS="ignore_noninstrumented_modules=1 exitcode=66" OMP_TOOL_LIBRARIES=$archer OMP_NUM_THREADS=4 \
      PERCEPT_SANITIZED=1 SUITE_SECONDS=900 BUILD=$san sh tests/run.sh "$t" >"$scratch/log" 2>&1 || status=1
    grep -v '^[0-9]* passed' "$scratch/log"
  done
}

analyzer() {
  echo "gcc -fanalyzer: every C file"
  # Off: use-of-uninitialized-value, which takes every out parameter that a function of another file fills for one that may stay
  # as it was, though rc was looked at; shift-count-overflow, which takes the lanes of a vector for its bits.
  find engine db bindings -name '*.c' | sort | xargs -P "$jobs" -n 4 sh -c 'for f; do
    gcc -std=c11 -D_GNU_SOURCE -O1 -fopenmp -fanalyzer -Wno-analyzer-use-of-uninitialized-value \
      -Wno-analyzer-shift-count-overflow -Iengine -I. -Ibuild/gen \
      $(pkg-config --cflags luajit libpng cairo jansson libedit sqlite3) -I/usr/include/$(gcc -print-multiarch)/openblas-openmp \
      -c -o /dev/null "$f" 2>&1; done' sh >"$scratch/analyzer"
  # tests/analyzer.txt: exceptions, "FILE KIND why", each looked at
  grep 'warning:.*-Wanalyzer' "$scratch/analyzer" | sort -u | awk '
    NR == FNR { if ($0 !~ /^#/ && NF) known[$1 " " $2] = 1; next }
    { split($0, at, ":"); kind = $0; sub(/.*\[-Wanalyzer-/, "", kind); sub(/\].*/, "", kind)
      if (at[1] " " kind in known) excused++; else { print; new++ } }
    END { printf "%d reports, %d more are explained in tests/analyzer.txt\n", new, excused; exit new > 0 }' tests/analyzer.txt - || status=1
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

case $part in all | asan) address_and_undefined ;; esac
case $part in all | threads) threads ;; esac
case $part in all | valgrind) valgrind_engine ;; esac
case $part in all | analyzer) analyzer ;; esac
exit $status
