#!/bin/sh
# run.sh SECONDS [target ...]: fuzzes every target (or those named) for so long each, as many at a time as there are processors;
# prints executions, coverage and findings. What is found stands in build/fuzz/findings/TARGET and is to become a file of
# tests/fuzz/regressions/TARGET. Exit 1 when something was found.
set -u
seconds=$1
shift
build=${BUILD:-build/fuzz}
top=$(pwd)
targets=${*:-$(for f in tests/fuzz/fuzz_*.c tests/fuzz/*.lua; do
  n=$(basename "$f"); n=${n#fuzz_}; n=${n%.*}
  case $n in script | seeds) ;; *) echo "$n" ;; esac
done)}
"$build/percept" tests/fuzz/seeds.lua "$build/corpus" || exit 1
one() {
  t=$1
  rm -rf "$build/findings/$t"
  mkdir -p "$build/found/$t" "$build/findings/$t" tests/fuzz/regressions/"$t" "$build/place/$t"
  regressions=$top/tests/fuzz/regressions/$t
  limit=4096
  [ "$t" = database ] && limit=262144
  scratch=$(mktemp -d /dev/shm/fuzz.XXXXXX)
  (cd "$build/place/$t" && FUZZ_SCRATCH=$scratch PERCEPT_TOP=$top HOME="$top/$build/place/$t" PERCEPT_NO_CACHE=1 OMP_NUM_THREADS=1 \
    ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 \
    LSAN_OPTIONS=suppressions="$top/tests/fuzz/lsan.supp":print_suppressions=0 UBSAN_OPTIONS=print_stacktrace=1 \
    "$top/$build/fuzz_$t" -max_total_time="$seconds" -max_len=$limit -timeout=10 -rss_limit_mb=2048 -dict="$top/tests/fuzz/words.dict" \
    -artifact_prefix="$top/$build/findings/$t/" -print_final_stats=1 -detect_leaks=1 \
    "$top/$build/found/$t" "$top/$build/corpus/$t" "$regressions") >"$build/$t.log" 2>&1
  rc=$?
  rmdir tests/fuzz/regressions/"$t" 2>/dev/null
  rm -rf "$build/place/$t" "$scratch"
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$t.log")
  cov=$(grep -ao 'cov: [0-9]*' "$build/$t.log" | tail -1 | cut -c6-)
  printf '%-14s %10s executions  %6s edges  %s\n' "$t" "${runs:-?}" "${cov:-?}" "$([ $rc -eq 0 ] && echo clean || echo "FINDING: $build/$t.log")"
  return $rc
}
jobs=$(nproc) status=0 running=0
for t in $targets; do
  one "$t" &
  running=$((running + 1))
  if [ $running -ge "$jobs" ]; then
    wait || true
    running=0
  fi
done
wait
found=0
for t in $targets; do
  for f in "$build/findings/$t"/*; do [ -f "$f" ] && { echo "  $f"; found=$((found + 1)); }; done
  grep -qa 'ERROR: \|SUMMARY: ' "$build/$t.log" && status=1
done
n=$(echo $targets | wc -w)
echo "$((n - found > 0 ? n - found : 0)) passed, $found failed"
[ $status -eq 0 ] && [ $found -eq 0 ]
