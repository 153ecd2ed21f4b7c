#!/bin/sh
# run.sh: runs every suite that `make tests` built, then the Lua suites and the
# command-line suites; closes with one line of counts. Exit 1 on any failure.
# A C suite prints Check's line "P%: Checks: N, Failures: F, Errors: E"; a Lua or
# shell suite prints "N passed, F failed" as its last line. A suite that takes
# longer than SUITE_SECONDS has failed. `sh tests/run.sh engine/grad cli` runs
# only the suites whose names hold one of the words.
BUILD=${BUILD:-build}
# nothing of the user's home is read or written: caches and histories go to a scratch folder
scratch=$(mktemp -d) log=$scratch/log
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
mkdir "$scratch/home"
export HOME="$scratch/home" XDG_CACHE_HOME="$scratch/home/.cache"
unset PERCEPT_DB PERCEPT_CACHE XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME LUA_PATH LUA_CPATH LUA_INIT
export PERCEPT="$BUILD/percept" CK_FORK="${CK_FORK:-no}" OMP_WAIT_POLICY=passive
words=$*
wanted() {
  [ -z "$words" ] && return 0
  for w in $words; do case $1 in *"$w"*) return 0 ;; esac; done
  return 1
}
pass=0 fail=0
suite() { # name, command...
  name=$1
  shift
  wanted "$name" || return 0
  start=$(date +%s)
  timeout --foreground -k 10 "${SUITE_SECONDS:-300}" "$@" >"$log" 2>&1 </dev/null
  rc=$?
  set -- $(sed -n 's/^[0-9]*%: Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\)$/\1 \2 \3/p
                   s/^\([0-9]*\) passed, \([0-9]*\) failed.*$/& /p' "$log" |
           awk '/passed/{p+=$1;f+=$3;next}{p+=$1-$2-$3;f+=$2+$3}END{print p+0,f+0}')
  p=$1 f=$2
  [ $rc -eq 124 ] && echo "stopped after ${SUITE_SECONDS:-300} s" >>"$log"
  if [ $rc -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
  if [ $rc -eq 0 ] && [ "$p" -eq 0 ] && [ "$f" -eq 0 ]; then f=1 && echo "no test ran" >>"$log"; fi
  pass=$((pass + p)) fail=$((fail + f))
  printf '%-44s %5d passed %4d failed  %4ds\n' "$name" "$p" "$f" "$(($(date +%s) - start))"
  [ "$f" -eq 0 ] || { sed 's/^/    /' "$log" | tail -n 60; }
}
for t in $(cd tests && find . -name 'test_*.c' | sort | sed 's,^\./,,; s,\.c$,,'); do suite "$t" "$BUILD/tests/$t"; done
for t in $(find tests -name 'test_*.lua' | sort); do suite "${t#tests/}" "$PERCEPT" "$t"; done
for t in $(find tests -name 'test_*.sh' | sort); do suite "${t#tests/}" sh "$t"; done
echo "$pass passed, $fail failed"
[ "$fail" -eq 0 ]
