#!/bin/sh
# The seeds of every fuzz target, and every input that once was a finding, without a fuzzer.
build=${BUILD:-build}
corpus=$(mktemp -d)
export FUZZ_SCRATCH=$corpus/scratch
trap 'rm -rf "$corpus"' EXIT
pass=0 fail=0
"$build/percept" tests/fuzz/seeds.lua "$corpus" || exit 1
mkdir "$FUZZ_SCRATCH"
for t in $(cd "$corpus" && ls | grep -v scratch); do
  set -- "$corpus/$t"
  [ -d "tests/fuzz/regressions/$t" ] && set -- "$@" "tests/fuzz/regressions/$t"
  if out=$("$build/tests/fuzz/$t" "$@" 2>&1); then
    n=$(echo "$out" | sed -n 's/^\([0-9]*\) passed, 0 failed$/\1/p')
    pass=$((pass + ${n:-0}))
  else
    fail=$((fail + 1))
    echo "FAILED: $t"
    echo "$out" | tail -n 20
  fi
done
echo "$pass passed, $fail failed"
[ "$fail" -eq 0 ]
