#!/bin/sh
# The prompt as its user meets it, in a terminal (tmux): completion, several lines, history over restarts, errors,
# pictures, charts, help; Ctrl-C in a training loop: back at the prompt at once, the run killed, its checkpoint there.
P=${PERCEPT:-build/percept}
case $P in /*) ;; *) P=$PWD/$P ;; esac
if ! command -v tmux >/dev/null; then
  echo "tmux is not installed: the prompt was not driven in a terminal (make dev-deps installs it)"
  echo "1 passed, 0 failed"
  exit 0
fi
dir=$(mktemp -d)
sock=percept-$$
export HOME="$dir" XDG_CONFIG_HOME="$dir/config" XDG_DATA_HOME="$dir/data" TERM=screen-256color LC_ALL=C.UTF-8
unset TMUX NO_COLOR COLORTERM PERCEPT_IMAGES
tm() { tmux -L "$sock" -f /dev/null "$@"; }
trap 'tm kill-server 2>/dev/null; rm -rf "$dir"' EXIT
slow=1
[ -n "${PERCEPT_SANITIZED:-}" ] && slow=10
pass=0 fail=0
ok() { pass=$((pass + 1)); }
screen() { tm capture-pane -p -S -200 "$@"; }
bad() { fail=$((fail + 1)); echo "FAIL $*"; screen | sed '/^ *$/d; s/^/    /' | tail -n 40; }
# sees NAME PATTERN [TENTHS]: waits until the screen holds a line that matches
sees() {
  n=0
  while [ $n -lt $((${3:-50} * slow)) ]; do
    screen | grep -qE -- "$2" && { ok; return 0; }
    sleep 0.1
    n=$((n + 1))
  done
  bad "$1: no /$2/"
  return 1
}
type_() { tm send-keys -l "$1"; }
enter() { type_ "$1"; tm send-keys Enter; }
start() {
  cd "$dir" || exit 1
  tm new-session -d -x 100 -y 50 "exec '$P'" || { echo "tmux does not start a session"; exit 1; }
  sees "the banner" "^percept 0\..*help\(\) begins"
}
leave() {
  tm send-keys C-d
  n=0
  while tm has-session 2>/dev/null && [ $n -lt $((50 * slow)) ]; do sleep 0.1; n=$((n + 1)); done
  if tm has-session 2>/dev/null; then bad "Ctrl-D does not leave"; tm kill-server; else ok; fi
}

start
enter 't = T.zeros(2, 3)'
type_ 't:resh'
tm send-keys Tab
type_ '3, 2)'
tm send-keys Enter
sees "a method is completed" "^f32 \(3,2\)"
type_ 't:re'
tm send-keys Tab Tab
sees "what t:re may become is listed" "t:requires_grad_?\(.*|t:reshape\("
screen | grep -q "relu" && ok || bad "relu is not among them"
tm send-keys C-u
enter 'function twice(x)'
sees "it asks for more" "^>>"
enter '  return x * 2'
enter 'end'
enter 'twice(21)'
sees "a function of three lines" "^42$"
enter 'error("deliberate")'
sees "an error" "deliberate"
enter 'T.zeros(2, 3) + T.zeros(4)'
sees "an error of an operation" "add: shapes \(2,3\) and \(4\) do not broadcast"
enter '"still " .. "here"'
sees "and on" '"still here"'
enter 'show(T.rand(8, 8, 3))'
sees "a picture" "▀▀▀▀"
screen -e | grep -q '\[38;5;[0-9]*' && ok || bad "the picture has no colours"
enter 'plot{loss = {3, 2, 1.5, 1.2}, title = "a " .. "chart"}'
sees "a chart" "^a chart"
screen | grep -q "┤⠉⠒⠤" && ok || bad "no curve"
enter 'help(T.conv2d)'
sees "help of a function" "^conv2d\(x"
screen | grep -q "example" && ok || bad "help shows no example"
enter 'help()'
sees "help of all" "percept\.inverter|inverter"
enter '%time T.ones(3):sum()'
sees "%time" "ms of processor time"
leave

start
tm send-keys Up Up
sees "history over a restart" "^> help\(\)"
tm send-keys C-u
# a loop that would go on for minutes
enter 'nn, optim, train = percept.nn, percept.optim, percept.train'
enter 'm = nn.mlp{256, 256, 256}; x = T.randn(64, 256);'
enter 'run = percept.run{experiment = "interrupted", db = "c.db"}'
enter 'train.loop{name = "fit", steps = 1e7, modules = {net = m}, optimizer = optim.sgd(m, {lr = 1e-4}), run = run, step = function() seen = true return (m(x) - x):pow(2):mean() end}'
sees "it trains" "fit .*/10000000"
began=$(date +%s%N)
tm send-keys C-c
while ! screen | tail -n 50 | sed '/^ *$/d' | tail -n 1 | grep -q '^>'; do
  [ $((($(date +%s%N) - began) / 1000000)) -gt $((3000 * slow)) ] && break
  sleep 0.01
done
took=$((($(date +%s%N) - began) / 1000000))
echo "Ctrl-C to prompt: $took ms"
if [ $took -le $((200 * slow)) ]; then ok; else bad "the prompt was back after $took ms, not 200"; fi
enter '"alive " .. tostring(seen)'
sees "the prompt is alive, its variables are there" '"alive true"'
enter 'db.file = "c.db"'
enter 'db"select status, error from run"'
sees "the run is killed" "killed +interrupted"
enter 'load("nosuch", {net = m})'
sees "a run that is not there" "no run in c.db begins with or is named"
enter 'r = load(run:uid(), {net = nn.mlp{256, 256, 256}}); print("same " .. tostring(r.net:state()["1.weight"]:eq(m:state()["1.weight"]):all():item()))'
sees "its checkpoint holds the weights" "^same 1"
enter 'percept.experiment{name = "study", run = function(cfg, run) local o = optim.sgd(m, {lr = 1e-4}) train.loop{name = "fit", steps = 1e7, modules = {net = m}, optimizer = o, run = run, step = function() return (m(x) - x):pow(2):mean() end} end}'
sleep 1
tm send-keys C-c
sees "a study is stopped likewise" "checkpoint at step [0-9]+: percept.runs"
enter 'db.file = "percept.db"'
enter 'db"select experiment, status from run"'
sees "its run is killed, too" "study +killed"
leave

echo "$pass passed, $fail failed"
[ $fail -eq 0 ]
