#!/bin/sh
# kill -9 in the middle of a study: the database opens and holds what is older than two seconds, the run
# shows as stale, `percept run --resume` goes on from the last checkpoint without duplicate steps, and ends
# where an uninterrupted run of the same seed ends, to the last bit.
P=${PERCEPT:-build/percept}
case $P in /*) ;; *) P=$PWD/$P ;; esac
data=$PWD/experiments/data/spar_cycles
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export HOME="$dir" XDG_CACHE_HOME="$dir/cache" OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive
pass=0 fail=0
ok() { pass=$((pass + 1)); }
bad() { fail=$((fail + 1)); echo "FAIL $*"; sed 's/^/    /' "$dir/out" | tail -n 15; }
is() { if [ "$2" = "$3" ]; then ok; else bad "$1: '$2', not '$3'"; fi; }
sql() { "$P" sql --db "$db" --csv "$1" 2>"$dir/out" | tail -n +2 | tr -d '\r'; }
cd "$dir" || exit 1

cat >helper.lua <<'END_HELPER'
return {factors = {"character_name", "world_name"}}
END_HELPER
cat >tiny.lua <<'END_STUDY'
local percept = require "percept"
local perceive = require "percept.perceive"
local helper = require "helper"
return percept.experiment{
  name = "tiny",
  defaults = {
    data = "?", checkpoint_every = 2,
    model = {slots = 2, slot_dim = 3, patch = 4, background = 1.5, encoder_width = 8, encoder_heads = 2, encoder_layers = 1,
      hidden = 8, key_dim = 8, conv_channels = {4, 8}, conv_kernel = {5, 3}, conv_stride = {2, 2}},
    vae = {attempts = 2, attempt_steps = 6, steps = 120, batch = 4, lr = 1e-3, warmup = 5, hold = 0.3, final = 0.1, clip = 1, sigma = 5,
      beta = 0.1, alpha = 1, alpha_delay = 10, alpha_ramp = 50, log_every = 1},
    replay = {steps = 120, batch = 4, id_batch = 2, lr = 1e-3, warmup = 5, final = 0.1, marginals = "empirical", log_every = 1},
    search = {steps = 3, lr = 0.1, prior = 0, tol = 1e-4, patience = 2, batch = 32},
    readout = {hidden = 8, steps = 10, lr = 1e-2, weight_decay = 1e-3, noise = 0.1},
  },
  run = function(cfg, run)
    local dataset = percept.datasets.scenes(cfg.data, {height = 16, width = 16, masks = false, only = {
      world_name = {"Park", "Dawn", "City"}, character_name = {"Horse", "Lion", "Orca"}, character2_name = {"Eagle", "Bull"}}})
    local split = percept.datasets.split(dataset, {pairs = {helper.factors}, rule = "band", fraction = 0.3, val = 0.2, seed = 1})
    -- slow enough to be hit in the middle
    local log, sys, pace = run.log, percept.sys, tonumber(os.getenv "PACE" or 0)
    local slow = setmetatable({}, {__index = function(_, name)
      local value = run[name]
      if type(value) ~= "function" then return value end
      return function(_, ...)
        if name == "log" and pace > 0 then
          local t = sys.time() + pace
          while sys.time() < t do end
        end
        return (name == "log" and log or value)(run, ...)
      end
    end})
    local out = perceive.study{config = cfg, run = slow, dataset = dataset, split = split, factors = helper.factors,
      seed = run.seed, scored = {"character_name"}, scored_name = "animal"}
    percept.formats.save_safetensors(run.folder .. "/final.safetensors", (function()
      local all = {}
      for _, part in ipairs{"encoder", "decoder", "replayed"} do
        for name, t in pairs(out[part]:state()) do all[part .. "." .. name] = t:clone() end
      end
      return all
    end)())
  end,
}
END_STUDY

db=whole.db
"$P" run tiny.lua --db whole.db --seed 3 --set data="$data" >out 2>&1 || bad "an uninterrupted run"
is "it is done" "$(sql 'select status from run where parent_id is null')" done
is "the helper is a source" "$(sql "select count(*) from run_source where kind = 'module' and run_id = 1")" 1
whole=$(ls -d whole.runs/*)

# killed DB PHASE: starts a slow run, kills it once PHASE has a checkpoint and later rows
killed() {
  db=$1 phase=$2
  PACE=0.04 "$P" run tiny.lua --db "$db" --seed 3 --set data="$data" >out 2>&1 &
  pid=$!
  for _ in $(seq 150); do
    sleep 0.1
    kill -0 $pid 2>/dev/null || { bad "$phase: the run ended too early"; return 1; }
    n=$(sql "select (select count(*) from artifact where kind = 'checkpoint' and path like '%/$phase-%' and step > case '$phase' when 'vae' then 10 else 0 end)" 2>/dev/null)
    [ "${n:-0}" -gt 0 ] && break
  done
  sleep 1.5
  seen=$(date +%s)
  kill -9 $pid
  wait $pid 2>/dev/null
  return 0
}

continues() {
  phase=$1
  is "$phase: the database is sound" "$(sql 'pragma integrity_check')" ok
  # rows come every 40 ms: what was logged two seconds before the kill is there
  last=$(sql "select cast(max(t_ms) / 1000 as integer) from metric")
  if [ "$last" -ge $((seen - 3)) ]; then ok; else bad "$phase: the newest row is of $last, killed at $seen"; fi
  is "$phase: it says running" "$(sql 'select status from run where parent_id is null')" running
  "$P" runs --db "$db" >out 2>&1
  if grep -q '^stale: ' out; then ok; else bad "$phase: percept runs does not show it as stale"; fi
  step=$(sql "select max(step) from artifact where kind = 'checkpoint'")
  before=$(sql "select max(step) from metric")
  if [ "$before" -gt "$step" ]; then ok; else bad "$phase: no row behind the checkpoint ($before, $step)"; fi
  "$P" run --resume --db "$db" >out 2>&1 || bad "$phase: resume"
  if grep -q "resuming .* at step $step: tiny.lua" out; then ok; else bad "$phase: not resumed at step $step"; fi
  is "$phase: it is done" "$(sql 'select status from run where parent_id is null')" done
  is "$phase: one run" "$(sql 'select count(*) from run where parent_id is null')" 1
  is "$phase: vae steps" "$(sql "select count(*) || ' ' || count(distinct step) || ' ' || min(step) || ' ' || max(step) from metric m join metric_name n on n.id = m.name_id where n.name = 'vae/loss'")" "114 114 7 120"
  is "$phase: each child once" "$(sql "select count(*) || ' ' || sum(status = 'done') from run where parent_id is not null")" "5 5"
  is "$phase: replay steps" "$(sql "select count(*) || ' ' || count(distinct step) || ' ' || min(step) || ' ' || max(step) from metric m join metric_name n on n.id = m.name_id join run r on r.id = m.run_id where n.name = 'replay/loss' and r.parent_id is null")" "120 120 121 240"
  if cmp -s "$whole/final.safetensors" "${db%.db}".runs/*/final.safetensors; then ok; else bad "$phase: the final weights differ"; fi
  numbers="select method, split, factor, printf('%.17g', value) from result where metric in ('accuracy', 'squared_error', 'objective') order by 1, 2, metric, 3"
  mine=$(sql "$numbers")
  theirs=$(db=whole.db && sql "$numbers")
  is "$phase: the results" "$mine" "$theirs"
  losses="select name, step, printf('%.17g', value) from metric m join metric_name n on n.id = m.name_id where name like '%/loss' order by 1, 2"
  mine=$(sql "$losses" | md5sum)
  theirs=$(db=whole.db && sql "$losses" | md5sum)
  is "$phase: every loss" "$mine" "$theirs"
}

killed first.db vae && continues vae
killed second.db replay && continues replay

"$P" run --resume --db whole.db >out 2>&1
if grep -q "no run of this database was cut off" out; then ok; else bad "nothing to resume"; fi

echo "$pass passed, $fail failed"
[ $fail -eq 0 ]
