#!/bin/sh
# One SIGTERM or SIGINT ends a script or a study in about a second, whatever its Lua is doing, with the exit code that
# belongs to it; a run of it is killed, its rows are there, its checkpoint is written.
P=${PERCEPT:-build/percept}
case $P in /*) ;; *) P=$PWD/$P ;; esac
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export HOME="$dir"
cd "$dir" || exit 1
slow=1
[ -n "${PERCEPT_SANITIZED:-}" ] && slow=10
pass=0 fail=0
ok() { pass=$((pass + 1)); }
bad() { fail=$((fail + 1)); echo "FAIL $*"; sed 's/^/    /' "$dir/out" | tail -n 8; }
is() { if [ "$2" = "$3" ]; then ok; else bad "$1: '$2', not '$3'"; fi; }
mkfifo quiet
sleep 600 >quiet &
writer=$!
# starts the command, waits for the file "at" and a while, sends the signal -> $code, $ms
stopped() { # SIGNAL COMMAND...
  sig=$1
  shift
  rm -f at
  "$@" >out 2>&1 <quiet &
  pid=$!
  n=0
  while [ ! -e at ] && [ $n -lt $((100 * slow)) ]; do sleep 0.1; n=$((n + 1)); done
  sleep 0.3
  began=$(date +%s%N)
  kill -"$sig" $pid
  { sleep $((20 * slow)); kill -9 $pid; } 2>/dev/null &
  dog=$!
  wait $pid 2>/dev/null
  code=$?
  ms=$((($(date +%s%N) - began) / 1000000))
  kill $dog 2>/dev/null
}
ends() { # LIMIT in ms, CODE [SIGNALS]
  limit=$1 body=$2
  echo "local at = io.open('at', 'w') at:close() $body" >loop.lua
  for sig in ${3:-TERM INT}; do
    stopped $sig "$P" loop.lua
    is "SIG$sig, $body" "$code" $([ $sig = TERM ] && echo 143 || echo 130)
    if [ $ms -le $((limit * slow)) ]; then ok; else bad "SIG$sig, $body: $ms ms"; fi
  done
}
ends 1500 'local s = 0 for i = 1, 1e15 do s = s + i end'
ends 1500 'while true do end'
ends 1500 'local s = 0 while true do s = s + 1 end'
ends 1500 'local x, a = true, 0 while true do if x then a = a + 1 else a = a + 2 end x = not x end'
ends 1500 'local t = {} for i = 1, 100 do t[i] = i end while true do for i = 2, 100 do t[i] = t[i - 1] + 1 end end'
ends 1500 'local function f(n) return f(n + 1) end f(1)'
ends 1500 'while true do local s = ("x"):rep(1000):upper() .. tostring(math.random()) end'
ends 1500 'while true do coroutine.wrap(function() while true do end end)() end'
ends 1500 'while true do debug.sethook() end'
ends 1500 'local b = require("ffi").new("int[4]") while true do b[1] = b[2] + 1 end'
ends 2500 'while true do pcall(function() while true do end end) end'
ends 2500 'local function f() xpcall(function() while true do end end, function() while true do end end) return f() end f()'
ends 2500 'local t = {} for i = 1, 1e6 do t[i] = math.random() end while true do table.sort(t, function(a, b) return a < b end) t[1] = 2 end'
ends 2500 'print(("a"):rep(60):find(("a*"):rep(40) .. "b"))'
ends 2500 'os.execute "sleep 30"' TERM # system() ignores SIGINT while it waits: the command gets it from the terminal
ends 2500 'io.read()'
ends 2500 'local T = require "percept.tensor" local x = T.randn(500, 500) while true do x:matmul(x) end'
ends 3500 'require("percept").on_exit(function() while true do end end) while true do end'
ends 5000 'local u = newproxy(true) getmetatable(u).__gc = function() while true do end end while u do end'

# one long operation gives up between its pieces; what it changes in place is whole
gives_up() {
  echo "local T = require 'percept.tensor' local x = $2 local at = io.open('at', 'w') at:close()
    print('why', pcall(function() for i = 1, 1e4 do $3 end end)) print('whole', x:min():item() == x:max():item())" >loop.lua
  stopped INT "$P" loop.lua
  if [ "$code" -eq 0 ] && grep -q "interrupted" out; then ok; else bad "$1: exit $code"; fi
  if [ $ms -le $((1000 * slow)) ]; then ok; else bad "$1: $ms ms"; fi
  if [ $# -lt 4 ]; then return; fi
  if grep -q "whole.*true" out; then ok; else bad "$1: torn"; fi
}
gives_up "a product" 'T.ones(4000, 4000)' 'x:matmul(x)'
gives_up "a sort" 'T.rand(3e7)' 'x:sort()'
gives_up "a convolution" 'T.ones(64, 64, 64, 64)' 'T.conv2d(x, T.ones(64, 5, 5, 64))'
gives_up "backward" 'T.ones(3000, 3000)' 'local w = T.ones(3000, 3000):requires_grad_() x:matmul(w):sum():backward()'
gives_up "in place" 'T.ones(4000, 4000)' 'x:add_(1)' whole

# a study: rows that it logged, and how it ended
study() { # NAME BODY
  cat >study.lua <<END
local percept = require "percept"
return percept.experiment{name = "$1", defaults = {lr = 0.1}, run = function(cfg, run)
  for step = 1, 5 do run:log(step, {loss = cfg.lr}) end
  local at = io.open("at", "w") at:close()
  $2
end}
END
}
row() { "$P" sql --db d.db --csv "select status || ' ' || (select count(*) from metric where run_id = run.id) from run" | tail -n 1 | tr -d '\r'; }
for sig in TERM INT; do
  for body in 'local n = 0 while true do n = n + 1 end' 'print(("a"):rep(60):find(("a*"):rep(40) .. "b"))' \
    'while true do pcall(function() while true do end end) end'; do
    rm -f d.db*
    study loops "$body"
    stopped $sig "$P" run study.lua --db d.db
    is "a study, SIG$sig, $body" "$code $(row)" "$([ $sig = TERM ] && echo 143 || echo 130) killed 5"
  done
done
rm -f d.db*
study trains 'local nn, optim, T, train = percept.nn, percept.optim, percept.tensor, percept.train
  local m = nn.mlp{4, 4} train.loop{name = "fit", steps = 1e7, modules = {net = m}, optimizer = optim.sgd(m, {lr = 1e-4}), run = run,
    step = function() return m(T.ones(2, 4)):pow(2):mean() end}'
stopped TERM "$P" run study.lua --db d.db
is "a training" "$code" 143
is "its checkpoint" "$("$P" sql --db d.db --csv "select count(*) from artifact where kind = 'checkpoint'" | tail -n 1 | tr -d '\r')" 1
is "it is killed" "$("$P" sql --db d.db --csv "select status from run" | tail -n 1 | tr -d '\r')" killed

kill $writer
echo "$pass passed, $fail failed"
[ $fail -eq 0 ]
