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

# ---- streams that are closed: their numbers are no file's ----
cat >streams.lua <<'END'
local P = require "percept"
io.stdout:setvbuf "no"
local w = io.open("written.txt", "w")
w:setvbuf "no"
w:write "mine"
print "printed"
io.stderr:write "said"
w:write " alone"
w:close()
local read = io.open "study.lua"
print(io.read "*l")
read:close()
END
for closed in ">&-" "2>&-" "<&-" "<&- >&- 2>&-"; do
  rm -f written.txt
  eval "timeout 60 \"$P\" streams.lua $closed" >out 2>&1
  that "$closed: what is printed lands in no file" "[ \"\$(cat written.txt)\" = 'mine alone' ]"
done

# ---- files: what stands at the path ----
mkdir folder
ln -s target.html link.html
ln -s /dev/full full.html
ln -s /dev/full full.png
for words in "report one" "data sheet $data --count 2 --size 8"; do
  check "$words onto a folder" 1 "it is a folder" "$P" $words -o folder
  check "$words onto a full disk" 1 "No space left" "$P" $words -o full.png
  check "$words into no folder" 1 "No such file" "$P" $words -o none/x.png
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

# ---- files of a run: what a row names, and what may be opened ----
rm -rf percept.db* percept.runs
cat >draw.lua <<'END'
local P = require "percept"
local run = P.run{experiment = "e", name = "drawn"}
local folder = "percept.runs/" .. run:uid()
P.sys.mkdir(folder)
P.images.write(folder .. "/own.png", P.tensor.rand(8, 8, 3))
run:artifact(folder .. "/own.png", {kind = "picture"})
run:log(1, {loss = 1})
run:finish()
P.files.write("uid", run:uid())
END
"$P" draw.lua >out 2>&1
uid=$(cat uid)
mkdir elsewhere
cp "percept.runs/$uid/own.png" elsewhere/other.png
printf 'a private text' >elsewhere/private.png
printf '<html>' >"percept.runs/$uid/page.svg"
cp elsewhere/private.png "percept.runs/$uid/text.png"
ln -s "$dir/elsewhere/other.png" "percept.runs/$uid/link.png"
ln -s "$dir/elsewhere" "percept.runs/$uid/deep"
mkfifo "percept.runs/$uid/pipe.png"
ln -s /dev/zero "percept.runs/$uid/zero.png"
truncate -s 3G "percept.runs/$uid/huge.png"
count() { grep -o 'src="data:' r.html | wc -l; }
check "report of a run's own picture" 0 "report:" "$P" report drawn -o r.html
that "is taken in" "[ $(count) -eq 1 ]"
for path in "$dir/elsewhere/other.png" "elsewhere/other.png" "percept.runs/$uid/../../elsewhere/other.png" "$dir/elsewhere/private.png" \
  "percept.runs/$uid/text.png" "percept.runs/$uid/page.svg" "percept.runs/$uid/link.png" "percept.runs/$uid/deep/other.png" \
  "percept.runs/$uid/pipe.png" "percept.runs/$uid/zero.png" "percept.runs/$uid/huge.png" "percept.runs/$uid" "/dev/zero.png" ""; do
  sqlite3 percept.db "delete from artifact; insert into artifact(run_id,kind,path,bytes,complete,t_ms) values(1,'picture','$path',1,1,0)"
  check "report of $path" 0 "report:" "$P" report drawn -o r.html
  that "takes nothing in: $path" "[ $(count) -eq 0 ]"
done

# ---- going on: checkpoints that moved, are damaged, are gone ----
cat >train.lua <<'END'
local P = require "percept"
local m, first = P.nn.linear(2, 2), true
return P.experiment{name = "t", defaults = {steps = 30, stop = 0}, modules = function() return {m = P.nn.linear(2, 2)} end, run = function(cfg, run)
  P.train.loop{name = "fit", steps = cfg.steps, run = run, modules = {m = m}, optimizer = P.optim.sgd(m, {lr = 0.01}), checkpoint_every = 0,
    keep_every = 1, quiet = true, log_every = 1, step = function(t)
      if first then print("first step " .. t) first = false end
      if t == (os.getenv "EARLY" and 1 or 20) and os.getenv "STOP" then error "stopped here" end
      return (m(P.tensor.ones(1, 2)) ^ 2):sum()
    end}
  run:result{method = "m", split = "s", metric = "v", value = m(P.tensor.ones(1, 2)):sum():item()}
end}
END
value() { "$P" sql --db "$1" --csv "select value from result" 2>>out | tail -1; }
rows() { "$P" sql --db "$1" --csv "select count(*) || ' ' || count(distinct step) || ' ' || max(step) from metric where name_id = (select id from metric_name where name = 'fit/loss')" 2>>out | tail -1 | tr -d '\r'; }
"$P" run train.lua --db whole.db --seed 1 >out 2>&1
begin() { rm -rf w; mkdir w; STOP=1 "$P" run train.lua --db w/t.db --seed 1 --name t >out 2>&1; }
begin
check "as it lies" 0 "first step 20" "$P" run --db w/t.db --resume t
that "ends with the same bits" "[ \"$(value w/t.db)\" = \"$(value whole.db)\" ] && [ \"$(rows w/t.db)\" = '30 30 30' ]"
begin; mv w moved
check "moved with its folder" 0 "first step 20" "$P" run --db moved/t.db --resume t
that "ends with the same bits" "[ \"$(value moved/t.db)\" = \"$(value whole.db)\" ] && [ \"$(rows moved/t.db)\" = '30 30 30' ]"
rm -rf moved
begin; for f in w/t.runs/*/fit-00000019.safetensors; do echo x >>"$f"; done
check "the newest checkpoint damaged" 0 "first step 19" "$P" run --db w/t.db --resume t
that "said, and ends with the same bits" "grep -q 'fit-00000019' out && [ \"$(value w/t.db)\" = \"$(value whole.db)\" ] && [ \"$(rows w/t.db)\" = '30 30 30' ]"
begin; rm w/t.runs/*/fit-00000019.safetensors
check "the newest checkpoint gone" 0 "first step 19" "$P" run --db w/t.db --resume t
begin; rm w/t.runs/*/fit-*
check "every checkpoint gone: refused" 1 "--from-start" "$P" run --db w/t.db --resume t
that "nothing is touched" "! grep -q 'first step' out && [ \"$(rows w/t.db)\" = '19 19 19' ]"
check "from the start when it is asked for" 0 "first step 1" "$P" run --db w/t.db --resume t --from-start
that "each row once" "[ \"$(rows w/t.db)\" = '30 30 30' ]"
begin
for c in w/t.runs/*/fit-00000019.safetensors; do cp "$c" "${c%19.safetensors}77.safetensors"; done
sqlite3 w/t.db "update artifact set path = replace(path, '00000019', '00000077'), step = 77 where path like '%00000019%'"
check "from the start with checkpoints there" 0 "first step 1" "$P" run --db w/t.db --resume t --from-start
that "the old ones are gone" "[ ! -e w/t.runs/*/fit-00000077.safetensors ]"
EARLY=1; export EARLY; begin; unset EARLY
check "no checkpoint yet" 0 "first step 1" "$P" run --db w/t.db --resume t
that "said, and ends with the same bits" "grep -q 'wrote no checkpoint yet' out && [ \"$(value w/t.db)\" = \"$(value whole.db)\" ] && [ \"$(rows w/t.db)\" = '30 30 30' ]"
begin
for words in "--set steps=3" "--seed 2" "--name other" "--note x" "--tag x"; do
  check "resume $words" 2 "--resume goes on with the run as it was begun" "$P" run --db w/t.db --resume t $words
done
check "--from-start alone" 2 "goes with --resume" "$P" run train.lua --from-start

# ---- scripts of others ----
for change in "host = 'elsewhere'" "user = 'somebody'" "user = null"; do
  begin; sqlite3 w/t.db "update run set $change"
  check "resume, $change" 1 "--trust" "$P" run --db w/t.db --resume t
  that "names the script, runs nothing" "grep -q 'train.lua' out && ! grep -q 'first step' out"
  check "repro, $change" 1 "--trust" "$P" repro t --db w/t.db
  check "load, $change" 1 "trust = true" "$P" -e 'require("percept.help").load("t", nil, {db = "w/t.db"})'
  check "load, trusted, $change" 0 "linear" "$P" -e 'print(require("percept.help").load("t", nil, {db = "w/t.db", trust = true}))'
  check "resume, trusted, $change" 0 "first step 20" "$P" run --db w/t.db --trust --resume t
done
cat >bytes.lua <<'END'
local f = io.open("compiled.lua", "wb")
f:write(string.dump(function() io.open("PWNED", "w"):close() end))
f:close()
END
"$P" bytes.lua
mkfifo script.pipe
check "a script that is a FIFO" 1 "is a pipe or a device; a script is a file" "$P" script.pipe
check "a study that is a FIFO" 1 "is a pipe or a device" "$P" run script.pipe
check "a script that is a device" 1 "is a pipe or a device" "$P" /dev/zero
check "a script that is a folder" 1 "" "$P" .
check "a script of a shell's" 0 "from a shell" bash -c "exec '$P' <(echo 'print \"from a shell\"')"
check "a script of bytecode" 1 "bytecode" "$P" compiled.lua
begin
"$P" -e 'local P = require "percept" local r = P.recorder.start{db = "w/b.db", experiment = "e", name = "b"} r:source("script", "compiled.lua") r:finish()'
check "a recorded script of bytecode" 1 "bytecode" "$P" -e 'require("percept.help").load("b", nil, {db = "w/b.db"})'
sqlite3 w/t.db "update run set script = 'compiled.lua'"
check "resume of bytecode" 1 "bytecode" "$P" run --db w/t.db --resume t
that "none of it ran" "[ ! -e PWNED ]"

# ---- what a run is called ----
rm -f percept.db*
cat >named.lua <<'END'
local r = require "percept".run{experiment = "e", name = arg[1]}
r:log(1, {loss = 1})
r:finish()
END
for called in "first try" "select 1" "@best" "@nosuch" "1e3" "007" "20" "run.html" "./x" "it's" "a=b" "é" "-x" "--all"; do
  "$P" named.lua "$called"
  check "show '$called'" 0 "$called" "$P" show -- "$called"
  check "report '$called'" 0 "curve" "$P" report -o - -- "$called"
  check "curve '$called'" 0 "loss" "$P" curve -- "$called" loss
  check "tag '$called'" 0 "" "$P" tag -- "$called" seen
  that "note '$called'" '"$P" note -- "$called" "a note" >out 2>&1'
  check "archive '$called'" 0 "" "$P" archive -- "$called"
done
check "an empty name" 1 "no run" "$P" show ""
check "a query all the same" 0 "n" "$P" report "select 1 as n" -o -

echo "$pass passed, $fail failed"
[ "$fail" -eq 0 ]
