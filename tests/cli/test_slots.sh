#!/bin/sh
# Slot health of a study of one's own: the line at its end, @slots, show, compare, the report.
P=${PERCEPT:-build/percept}
case $P in /*) ;; *) P=$PWD/$P ;; esac
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export HOME="$dir" XDG_CACHE_HOME="$dir/cache" OMP_NUM_THREADS=1
unset PERCEPT_DB
pass=0 fail=0
ok() { pass=$((pass + 1)); }
bad() { fail=$((fail + 1)); echo "FAIL $*"; tail -n 15 "$dir/out" | sed 's/^/    /'; }
check() { # name, exit code, fixed string in the output, command...
  name=$1 code=$2 pattern=$3
  shift 3
  "$@" >"$dir/out" 2>&1 </dev/null
  got=$?
  if [ $got -ne "$code" ]; then bad "$name: exit $got, not $code"; return; fi
  if grep -qF -- "$pattern" "$dir/out"; then ok; else bad "$name: no '$pattern'"; fi
}
hasnt() { if grep -qF -- "$2" "$dir/out"; then bad "$1: '$2'"; else ok; fi; }
cd "$dir" || exit 1
# Three slots of four numbers, a factor each; merged: slot 1 holds both things, slot 2 gets no pixel.
cat >toy.lua <<'END'
local percept = require "percept"
local T = percept.tensor
return percept.experiment{
  name = "toy", defaults = {merged = false},
  run = function(cfg, run)
    local labels, names, classes = {}, {thing1 = "left", thing2 = "right", place = "<b>world</b>"}, {}
    local order = {"thing1", "thing2", "place"}
    for _, f in ipairs(order) do labels[f], classes[f] = T.randint(1, 5, {160}), 4 end
    local function code(f) return labels[f]:one_hot(4):to("f32") end
    local none, parts = T.zeros(160, 4), nil
    if cfg.merged then parts = {T.cat({code "thing1", code "thing2"}, {dim = 2}), T.cat({none, none}, {dim = 2})}
    else parts = {T.cat({code "thing1", none}, {dim = 2}), T.cat({none, code "thing2"}, {dim = 2})} end
    parts[3] = T.cat({code "place", none}, {dim = 2})
    local z = T.stack(parts, {dim = 2}) + T.randn(160, 3, 8) * 0.05
    local function decoder(x)
      local shares = cfg.merged and T.tensor{0.5, 0, 0.5} or T.tensor{0.25, 0.25, 0.5}
      return T.zeros(x:size(1), 4, 4, 3), T.ones(x:size(1), 16, 1) * shares
    end
    local readouts = percept.readout.fit(z, labels, order, classes, {steps = 60, hidden = 0, lr = 0.1})
    percept.health{run = run, decoder = decoder, z = z, readouts = readouts, labels = labels, names = names}
  end,
}
END
check "the line of a good run" 0 "slots: left, right, <b>world</b>" "$P" run toy.lua --name fine
check "the line of a bad one" 0 "slots: 2 is empty; left and right share slot 1" "$P" run toy.lua --name poor --set merged=true
check "a seed more" 0 "slots: left" "$P" run toy.lua --seed 2
check "@slots: columns" 0 "slot,usage,present,entropy,tells,verdict,good" "$P" sql @slots --csv
check "@slots: shared" 0 ",shared,0" "$P" sql @slots run=poor --csv
check "@slots: empty" 0 ",id,2,0,0,,,empty,0" "$P" sql @slots run=poor --csv
check "@slots: good runs alone" 0 ",left,own,1" "$P" sql @slots good=1 --csv
hasnt "@slots: good runs alone" "empty,0"
check "show has the line" 0 "slots: 2 is empty; left and right share slot 1" "$P" show poor
check "the share of good runs, by compare" 0 "1 ± 0 (2)" "$P" compare --by merged slots/id/good
check "the share of good runs, by SQL" 0 "toy,false,,1,0,2,1,1" "$P" sql @seeds metric=slots/id/good a=merged --csv
check "a comparison" 0 "slots/id/good" "$P" compare
hasnt "a comparison leaves single slots out" "slot 1/id"
check "the report" 0 "" "$P" report fine -o fine.html
cp fine.html out
if grep -q '<section id="slots">.*slots: left, right, &lt;b&gt;world' out; then ok; else bad "the report: no line"; fi
hasnt "names are escaped" "<b>world"
hasnt "a table of its own, not among the results" '<h3>usage'
check "a list of queries" 0 "@slots" "$P" sql --list
check "an unknown option" 1 "did you mean 'decoder'" "$P" -e 'percept.health{decodr = 1}'

echo "$pass passed, $fail failed"
[ $fail -eq 0 ]
