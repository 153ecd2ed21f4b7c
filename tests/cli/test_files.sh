#!/bin/sh
# What commands write and read: outputs onto full disks, FIFOs, folders, links; nothing of another's file runs or goes along.
P=${PERCEPT:-build/percept}
case $P in /*) ;; *) P=$PWD/$P ;; esac
data=$PWD/experiments/data/spar_cycles
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export HOME="$dir" XDG_CACHE_HOME="$dir/cache" OMP_NUM_THREADS=1
pass=0 fail=0
ok() { pass=$((pass + 1)); }
bad() { fail=$((fail + 1)); echo "FAIL $*"; tail -n 15 "$dir/out" | sed 's/^/    /'; }
# check NAME CODE PATTERN COMMAND...: exit code and a fixed string in the output
check() {
  name=$1 code=$2 pattern=$3
  shift 3
  timeout 60 "$@" >"$dir/out" 2>&1 </dev/null
  got=$?
  if [ $got -ne "$code" ]; then bad "$name: exit $got, not $code"; return; fi
  if grep -qF -- "$pattern" "$dir/out"; then ok; else bad "$name: no '$pattern'"; fi
}
that() { if eval "$2"; then ok; else bad "$1"; fi; } # NAME CONDITION
cd "$dir" || exit 1
: >out
cat >study.lua <<'END'
local percept = require "percept"
return percept.experiment{name = "study", defaults = {lr = 0.1}, run = function(cfg, run)
  run:log(1, {loss = cfg.lr})
  run:result{method = "m", split = "s", metric = "v", value = cfg.lr}
end}
END
"$P" run study.lua --name one >out 2>&1
sed 's/loss/lose/' study.lua >other.lua
"$P" run other.lua --name two >>out 2>&1

# ---- standard output onto a full disk ----
for words in "runs" "show one" "diff one two" "diff one two --source" "sql @best --csv" "sql @best --json" "report one -o -" "help" "help run" \
  "help --man" "help --completion bash" "--version" "--help" "runs --markdown" "compare --by lr" "curve one loss" "data" "export --metadata" \
  "sql --list" "-e print(1)" "-e print(1)os.exit(0)"; do
  timeout 60 "$P" $words >/dev/full 2>out
  code=$?
  that "$words > /dev/full ends with $code" "[ $code -eq 1 ]"
done
"$P" -e 'for i = 1, 1e5 do print(i) end' 2>out | head -1 >/dev/null
that "a reader that leaves is no message" "[ ! -s out ]"

# ---- files: what stands at the path ----
mkdir folder
ln -s target.html link.html
ln -s /dev/full full.html
ln -s /dev/full full.png
for words in "report one" "data sheet $data --count 2 --size 8"; do
  check "$words onto a folder" 1 "it is a folder" "$P" $words -o folder
  check "$words onto a full disk" 1 "No space left" "$P" $words -o full.png
  check "$words into no folder" 1 "cannot be written" "$P" $words -o none/x.png
  mkfifo pipe
  timeout 60 cat pipe >got &
  check "$words into a FIFO" 0 "pipe" "$P" $words -o pipe
  wait
  that "$words: the FIFO stays and brought something" "[ -p pipe ] && [ -s got ]"
  rm -f pipe
done
check "report through a link" 0 "link.html" "$P" report one -o link.html
that "the link stays" "[ -L link.html ] && grep -q '<html' target.html"
echo old >keep.html
(ulimit -f 1; trap '' XFSZ; timeout 60 "$P" report one -o keep.html >out 2>&1; echo $? >code)
that "a disk that fills up leaves the old file" "[ \"\$(cat code)\" != 0 ] && [ \"\$(cat keep.html)\" = old ]"
for name in run.csv result.csv metadata.json; do
  rm -rf cut; mkdir cut; ln -s /dev/full "cut/$name"
  check "export, $name onto a full disk" 1 "No space left" "$P" export -o cut
done
(ulimit -f 40; trap '' XFSZ; timeout 60 "$P" export -o small.db >out 2>&1; echo $? >code)
that "export to a database on a full disk leaves none" "[ \"\$(cat code)\" = 1 ] && [ ! -e small.db ]"
that "no temporary files are left" "[ -z \"\$(find . -name '*.tmp-*')\" ]"

# ---- no shell ----
for uid in "x';touch PWNED;echo '" '$(touch PWNED)' '`touch PWNED`' '; touch PWNED' '-x' '| touch PWNED'; do
  sqlite3 percept.db "update run set uid = '$(echo "$uid" | sed "s/'/''/g")' where name = 'one'"
  timeout 60 "$P" diff one two --source >out 2>&1
  that "a uid $uid runs nothing, sources are compared" "[ ! -e PWNED ] && grep -q '^+.*lose' out"
done
for path in "a';touch PWNED;'" '$(touch PWNED).lua' '-r'; do
  sqlite3 percept.db "update run_source set path = '$(echo "$path" | sed "s/'/''/g")' where kind = 'script'"
  timeout 60 "$P" diff one two --source >out 2>&1
  that "a path $path runs nothing" "[ ! -e PWNED ] && grep -q '^+.*lose' out"
done
odd="it's \$(touch PWNED)"
mkdir "$odd"
cp percept.db "$odd/p.db"
timeout 60 "$P" doctor --quick --db "$odd/p.db" >out 2>&1
that "doctor in a folder of an odd name" "grep -q ' free ' out && [ ! -e PWNED ]"
check "data under a folder of an odd name" 0 "name" "$P" data --under "$odd"
echo "$pass passed, $fail failed"
[ "$fail" -eq 0 ]
