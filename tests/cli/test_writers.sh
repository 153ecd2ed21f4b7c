#!/bin/sh
# Eight processes record into one database: no error, no lost row, a step of ten metrics below 100 µs.
# The same for a minute: percept tests/bench/writers.lua
P=${PERCEPT:-build/percept}
out=$(mktemp)
trap 'rm -f "$out"' EXIT
pass=0 fail=0
if "$P" tests/bench/writers.lua 2 8 >"$out" 2>&1 && grep -q "^8 runs done, .*, ok$" "$out"; then
  pass=$((pass + 1))
else
  fail=$((fail + 1)) && cat "$out"
fi
cost=$(sed -n 's/^a step of 10 metrics: .* at best, \([0-9]*\)\..*/\1/p' "$out")
if [ -n "$cost" ] && { [ "$cost" -lt 100 ] || [ -n "${PERCEPT_SANITIZED:-}" ]; }; then
  pass=$((pass + 1))
else
  fail=$((fail + 1)) && cat "$out"
fi
echo "$pass passed, $fail failed"
[ $fail -eq 0 ]
