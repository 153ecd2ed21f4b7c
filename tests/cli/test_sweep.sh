#!/bin/sh
# percept sweep: 12 cells over two processes; two runs killed with -9 and one interrupted pool; --missing runs
# exactly what was lost; the table counts every seed once.
P=${PERCEPT:-build/percept}
case $P in /*) ;; *) P=$PWD/$P ;; esac
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export HOME="$dir" OMP_NUM_THREADS=2
pass=0 fail=0
ok() { pass=$((pass + 1)); }
bad() { fail=$((fail + 1)); echo "FAIL $*"; tail -n 25 "$dir/out" | sed 's/^/    /'; }
is() { if [ "$2" = "$3" ]; then ok; else bad "$1: '$2', not '$3'"; fi; }
has() { if grep -qF -- "$2" "$dir/out"; then ok; else bad "$1: no '$2'"; fi; }
sql() { "$P" sql --csv "$1" 2>>"$dir/out" | tail -n +2 | tr -d '\r'; }
cd "$dir" || exit 1
cat >tiny.lua <<'END'
local percept = require "percept"
return percept.experiment{
  name = "tiny",
  defaults = {lr = 0.1, model = {width = 4, layers = {1, 2}}, fail_at = 0, wait = false},
  run = function(cfg, run)
    for t = 1, 10 do run:log(t, {loss = cfg.lr * 10 / t + run.seed / 100}) end
    if cfg.fail_at == run.seed then error("boom at " .. run.seed) end
    -- the runs that the test kills say who they are and wait for it
    if cfg.wait and run.seed == 2 and cfg.model.width == 8 and not percept.sys.exists("killed") then
      local file = io.open("pid." .. percept.process.pid(), "w")
      file:close()
      while true do percept.process.sleep(0.05) end
    end
    run:result{method = "encoder", split = "ood", metric = "accuracy", value = cfg.lr + cfg.model.width / 100 + run.seed / 1000}
  end,
}
END

# ---- 12 cells, two of them killed ----
grid="--grid lr=0.1,0.2 --grid model.width=4,8 --seeds 1..3 --set wait=true"
"$P" sweep tiny.lua $grid -j 2 --name s >out 2>&1 &
pool=$!
for _ in $(seq 200); do # both of them run at the same time: -j 2
  [ "$(ls | grep -c '^pid\.')" -eq 2 ] && break
  kill -0 $pool 2>/dev/null || break
  sleep 0.1
done
is "two runs at a time" "$(ls | grep -c '^pid\.')" 2
touch killed
for f in pid.*; do kill -9 "${f#pid.}"; done
wait $pool
is "a pool that lost cells ends with 1" $? 1
has "the killed ones are told" "killed by signal 9: lr=0.1 model.width=8 seed 2"
has "and counted" "s: 12 cells: 10 done, 2 killed"
has "and how to go on" "percept sweep --missing s runs what is not done"
is "ten done, two killed" "$(sql "select group_concat(status || n) from (select status, count(*) as n from run group by status)")" '"done10,killed2"'
before=$(sql "select max(id) from run")
"$P" sweep tiny.lua $grid -j 2 --name s >out 2>&1
is "without --missing they stay" $? 1
is "and nothing runs" "$(sql "select max(id) from run")" "$before"
"$P" sweep --missing s -j 2 >out 2>&1
is "--missing" $? 0
has "--missing says what it does" "s: 2 cells to run, 2 at a time, 1 thread each"
is "exactly those two ran again" "$(sql "select count(*) from run where id > $before and seed = 2 and status = 'done'
  and (select num from param p where p.run_id = run.id and key = 'model.width') = 8")/$(sql "select count(*) from run where id > $before")" 2/2
is "their command tells how" "$(sql "select count(*) from run where command like 'percept run --db percept.db --sweep s %tiny.lua'")" 14
"$P" sweep --show s --csv >out 2>&1
is "the table has 12 cells, each done" "$(grep -c ',done,' out)" 12
"$P" compare --sweep s --csv >out 2>&1
is "mean, sd, n over seeds" "$(tr -d '\r' <out | awk -F, 'NR == 2 {printf "%s %s %s %.6f %.6f %s", $1, $2, $3, $4, $5, $6}')" "0.1 4 encoder/ood/accuracy 0.142000 0.001000 3"
is "four configurations, three seeds" "$(tail -n +2 out | tr -d '\r' | cut -d, -f6 | tr '\n' ' ')" "3 3 3 3 "
"$P" sweep --missing s >out 2>&1
is "nothing is left" $? 0
has "the table for people" "0.142 ± 0.001 (3)"
"$P" sweep tiny.lua --grid lr=0.1,0.2 --grid model.width=4,8 --seeds 1..4 --set wait=true --name s >out 2>&1
is "more seeds are more cells of the same sweep" "$(sql "select count(*) || ' ' || count(distinct seed) from sweep_cell where status = 'done'")" "16 4"

# ---- a failing cell; lists as values; draws ----
"$P" sweep tiny.lua --seeds 1..3 --set fail_at=2 --name f >out 2>&1
is "a failed cell: exit 1" $? 1
has "its message" "boom at 2"
has "its log" "percept.runs/sweeps/f/"
has "its count" "f: 3 cells: 2 done, 1 failed"
"$P" sweep tiny.lua --grid 'model.layers=[1,2],[3]' --grid lr=1e-1,0.1,0.3 --dry >out 2>&1
is "lists are values; equal numbers are one cell" "$(tail -n 1 out)" "4 cells"
"$P" sweep tiny.lua --random lr=log:1e-4..1e-2 --random-n 5 --dry >out 2>&1
"$P" sweep tiny.lua --random lr=log:1e-4..1e-2 --random-n 5 --dry >again 2>&1
is "draws" "$(awk -F'[= ]' '/^lr/ && $2 >= 1e-4 && $2 <= 1e-2' out | sort -u | wc -l) $(tail -n 1 out)" "5 5 cells"
if cmp -s out again; then ok; else bad "the same words draw the same"; fi
is "a dry sweep leaves nothing" "$(sql "select count(*) from sweep")" 2

# ---- Ctrl-C: the runs end in order, nothing stays behind ----
rm -f killed pid.*
set -m 2>/dev/null
"$P" sweep tiny.lua $grid -j 2 --name i >out 2>&1 &
pool=$!
for _ in $(seq 200); do
  [ "$(ls | grep -c '^pid\.')" -eq 2 ] && break
  sleep 0.1
done
kill -INT $pool
wait $pool
is "interrupted: exit 130" $? 130
set +m
has "the pool says how to go on" "percept sweep --missing i goes on"
is "its runs marked themselves killed" "$(sql "select group_concat(status || ' ' || (error like '%interrupted%')) from run where sweep = 'i' and status <> 'done'")" '"killed 1,killed 1"'
alive=0
for f in pid.*; do kill -0 "${f#pid.}" 2>/dev/null && alive=$((alive + 1)); done
is "no child is left" $alive 0
# ---- the pool itself killed with -9: its children follow ----
rm -f pid.*
"$P" sweep --missing i -j 2 >out 2>&1 &
pool=$!
for _ in $(seq 200); do
  [ "$(ls | grep -c '^pid\.')" -eq 2 ] && break
  sleep 0.1
done
kill -9 $pool
wait $pool 2>/dev/null
for _ in $(seq 50); do
  alive=0
  for f in pid.*; do kill -0 "${f#pid.}" 2>/dev/null && alive=$((alive + 1)); done
  [ $alive -eq 0 ] && break
  sleep 0.1
done
is "children of a killed pool end" $alive 0
touch killed
"$P" sweep --missing i -j 2 >out 2>&1
is "and --missing finishes it" $? 0
is "every cell is done" "$(sql "select count(*) || ' ' || sum(status = 'done') from sweep_cell where sweep = 'i'")" "12 12"

# ---- mistakes ----
mistake() { # name, code, pattern, words...
  name=$1 code=$2 pattern=$3
  shift 3
  "$P" sweep "$@" >out 2>&1
  got=$?
  if [ $got -eq "$code" ]; then has "$name" "$pattern"; else bad "$name: exit $got"; fi
}
mistake "nothing to sweep" 2 "what is to be swept?" tiny.lua
mistake "unknown key" 1 "unknown key, did you mean 'model.width'?" tiny.lua --grid model.widht=1,2
mistake "wrong type" 1 "a number is expected" tiny.lua --grid lr=0.1,fast
mistake "twice" 2 "0.1 stands there twice" tiny.lua --grid lr=0.1,0.1
mistake "no values" 2 "--grid needs key=value,value" tiny.lua --grid lr
mistake "range" 2 "lo below hi" tiny.lua --random lr=2..1
mistake "no script" 1 "there is no script nosuch.lua" nosuch.lua --seeds 1..2
mistake "no sweep" 1 "sweeps are i, f, s" --missing nosuch
mistake "another script's name" 1 "the name s belongs to another script" ./tiny.lua --seeds 1..2 --name s
echo 'print "nothing"' >none.lua
mistake "a script without a run" 1 "opens no run" none.lua --seeds 1..2

# ---- values that JSON lacks ----
cat >odd.lua <<'END'
local P = require "percept"
return P.experiment{name = "odd", defaults = {label = "x", clip = 1, at = {[100] = 0.1, [200] = 0.01}, mixed = {1, 2, decay = 0.5}},
  run = function(_, run) run:result{method = "m", split = "s", metric = "v", value = 1} end}
END
for axes in "label=$(printf 'K\344tz,K\366tz')" "clip=inf,-inf,0.12345678901234567" "at.100=0.5,0.6" "mixed.decay=0.1,0.2" "mixed.2=7,8"; do
  "$P" sweep odd.lua --db odd.db --grid "$axes" --name odd >out 2>&1
  tail -1 out | grep -qE ' cells: [0-9]+ done$' && ok || bad "a sweep over $axes: $(tail -1 out)"
  "$P" sweep odd.lua --db odd.db --grid "$axes" --name odd >out 2>&1
  grep -q ' 0 cells to run' out && ok || bad "its cells are found again: $axes"
done

# what would never end is refused before it begins
refused() { # PATTERN ARGS...
  pattern=$1
  shift
  timeout 20 "$P" "$@" >out 2>&1
  code=$?
  if [ $code -gt 0 ] && [ $code -lt 3 ] && grep -qF -- "$pattern" out; then ok; else bad "$*: exit $code, no '$pattern'"; fi
}
refused "whole numbers up to 2^53 - 1" run tiny.lua --seeds 9007199254740992
refused "whole numbers up to 2^53 - 1" run tiny.lua --seeds 9007199254740992..9007199254740993
refused "1000000 values; at most 100000" run tiny.lua --seeds 1..1000000
refused "whole numbers up to 2^53 - 1" sweep tiny.lua --grid lr=9007199254740990..9007199254740993 --dry
refused "whole numbers up to 2^53 - 1" sweep tiny.lua --grid lr=1..3/99999999999999999999 --dry
refused "values; at most 100000" sweep tiny.lua --grid lr=-9007199254740991..9007199254740991/7 --dry
refused "1000000 cells; at most 100000" sweep tiny.lua --grid lr=1..1000 --grid model.width=1..1000 --dry
refused "cells; at most 100000" sweep tiny.lua --random lr=0..1 --random-n 1000000000 --dry
refused "2^53" sweep tiny.lua --grid lr=1 --jobs 1e18 --dry
refused "--jobs needs an integer >= 1" sweep tiny.lua --grid lr=1 --jobs inf --dry

echo "$pass passed, $fail failed"
[ $fail -eq 0 ]
