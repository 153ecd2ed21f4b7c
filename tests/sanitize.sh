#!/bin/sh
# sanitize.sh: the C and Lua suites under AddressSanitizer + UndefinedBehaviorSanitizer
# (leaks count), then the engine suites under valgrind. Exit 1 on any report.
set -u
SANBUILD=build/sanitize
flags="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
make --no-print-directory tests BUILD=$SANBUILD SAN="$flags" OPT="-O1 -g" || exit 1
# the BLAS threads' and libedit's one-time allocations are not ours
cat >$SANBUILD/lsan.supp <<'S'
leak:libopenblas
leak:libgomp
leak:libedit
S
# vm.max_map_count and LuaJIT's low addresses are no concern with GC64
ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:allocator_may_return_null=1 LSAN_OPTIONS=suppressions=$SANBUILD/lsan.supp:print_suppressions=0 \
  UBSAN_OPTIONS=print_stacktrace=1 PERCEPT_SANITIZED=1 BUILD=$SANBUILD sh tests/run.sh || exit 1
echo "valgrind: engine suites"
make --no-print-directory tests || exit 1
status=0
for t in $(cd tests/engine && find . -name 'test_*.c' | sort | sed 's,^\./,,; s,\.c$,,'); do
  # valgrind 3.19 knows no AVX-512: the AVX2 kernels and BLAS's run
  if PERCEPT_NO_CACHE=1 PERCEPT_TIER=avx2 OPENBLAS_CORETYPE=Haswell OMP_NUM_THREADS=1 CK_FORK=no CK_DEFAULT_TIMEOUT=0 \
    valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
    --suppressions=tests/valgrind.supp build/tests/engine/"$t" >/tmp/percept-valgrind.$$ 2>&1; then
    echo "  $t: clean"
  else
    echo "  $t: reports"
    tail -n 60 /tmp/percept-valgrind.$$
    status=1
  fi
done
rm -f /tmp/percept-valgrind.$$
exit $status
