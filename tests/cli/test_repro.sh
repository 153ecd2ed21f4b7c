#!/bin/sh
# percept repro: the same to the last bit; a changed script, module, data set; figures that differ.
P=${PERCEPT:-build/percept}
case $P in /*) ;; *) P=$PWD/$P ;; esac
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export HOME="$dir" OMP_NUM_THREADS=1
pass=0 fail=0
ok() { pass=$((pass + 1)); }
bad() { fail=$((fail + 1)); echo "FAIL $*"; tail -n 20 "$dir/out" | sed 's/^/    /'; }
is() { if [ "$2" = "$3" ]; then ok; else bad "$1: '$2', not '$3'"; fi; }
# check NAME CODE PATTERN COMMAND...
check() {
  name=$1 code=$2 pattern=$3
  shift 3
  "$@" >"$dir/out" 2>&1
  got=$?
  if [ $got -ne "$code" ]; then bad "$name: exit $got, not $code"; return; fi
  if grep -qF -- "$pattern" "$dir/out"; then ok; else bad "$name: no '$pattern'"; fi
}
sql() { "$P" sql --csv "$1" 2>>"$dir/out" | tail -n +2 | tr -d '\r'; }
mkdir "$dir/a" "$dir/b"
cd "$dir/a" || exit 1
cat >net.lua <<'END'
local percept = require "percept"
local T, nn, optim = percept.tensor, require "percept.nn", require "percept.optim"
return function(cfg, run, extra)
  local net = nn.linear(8, cfg.model.width)
  local o = optim.adam(net, {lr = cfg.lr})
  for t = 1, 30 do
    local x = T.randn(16, 8)
    o:zero_grad()
    local loss = ((net(x) - x:sum(2, true)) ^ 2):mean()
    loss:backward()
    o:step()
    run:log(t, {loss = loss:item() + extra, nan = 0 / 0, seconds_per_step = percept.sys.time()})
  end
  run:result{method = "net", split = "ood", metric = "error", value = net.weight and net:parameters()[1]:sum():item() or 0}
end
END
cat >study.lua <<'END'
local percept = require "percept"
return percept.experiment{
  name = "study", defaults = {lr = 1e-2, model = {width = 4}, sizes = {1, 2}},
  run = function(cfg, run)
    local file = io.open("data.txt")
    run:dataset(percept.records.digest(file:read "*a"), "numbers", {n = 1, path = "data.txt"})
    file:close()
    require "net"(cfg, run, tonumber(os.getenv "EXTRA" or 0) + #arg)
    print "ran"
  end,
}
END
echo one >data.txt
check "a run" 0 "ran" "$P" run study.lua --seed 7 --set lr=3e-2 --set sizes=3,4 --name first word -- --odd
uid=$(sql "select uid from run")
is "its words are recorded" "$(sql "select value from env where key = 'args'")" '"[""word"", ""--odd""]"'
check "the same" 0 "the same: 1 results and 60 rows of curves, to the last bit" "$P" repro "$uid"
is "from what was recorded" "$(sql "select count(distinct config_digest || seed) || ' ' || sum(archived) || ' ' || sum(repeats_id) from run")" "1 1 1"
is "marked so" "$(sql "select t.tag || ' ' || r.status || ' ' || r.note from run r join tag t on t.run_id = r.id")" "repro done repeats $uid"
is "told in the first run" "$(sql "select substr(text, 1, 13) from event where run_id = 1")" "reproduced by"
check "by the beginning of the uid, from another folder" 0 "to the last bit" sh -c "cd ../b && '$P' repro --db ../a/percept.db $(echo "$uid" | cut -c1-20)"
check "another figure" 1 "30 of 61 figures differ; the first: loss at step 1: was " env EXTRA=1e-9 "$P" repro "$uid"
check "within a tolerance" 0 "the same" env EXTRA=1e-9 "$P" repro --tolerance 1e-3 "$uid"
check "nothing but a look" 0 "2 sources are as they were" "$P" repro --dry "$uid"
n=$(sql "select count(*) from run")
echo "-- a comment" >>net.lua
check "a changed module" 1 "module ./net.lua has changed" "$P" repro "$uid"
is "then nothing runs" "$(sql "select count(*) from run")" "$n"
check "unless forced" 0 "to the last bit" "$P" repro --force "$uid"
check "the script as it ran" 0 'name = "study"' "$P" show "$uid" --source
sed -i '$d' net.lua
echo two >data.txt
check "changed data" 1 "the data has changed" "$P" repro "$uid"
is "that run failed" "$(sql "select status from run order by id desc limit 1")" failed
check "changed data, forced" 0 "to the last bit" "$P" repro --force "$uid"
rm net.lua
check "a module that is gone" 1 "module ./net.lua is gone" "$P" repro "$uid"
check "no run" 2 "which run?" "$P" repro
check "an unknown run" 1 "no run in percept.db begins with or is named \"nobody\"; the newest are" "$P" repro nobody
echo "$pass passed, $fail failed"
[ $fail -eq 0 ]
