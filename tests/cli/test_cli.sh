#!/bin/sh
# The command line: exit codes, messages, tracebacks, signals, the prompt from a pipe.
P=${PERCEPT:-build/percept}
case $P in /*) ;; *) P=$PWD/$P ;; esac
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export HOME="$dir" XDG_CONFIG_HOME="$dir/config" XDG_DATA_HOME="$dir/data"
pass=0 fail=0
ok() { pass=$((pass + 1)); }
bad() { fail=$((fail + 1)); echo "FAIL $*"; sed 's/^/    /' "$dir/out"; }
# check NAME CODE PATTERN COMMAND...: exit code and a fixed string in the output
check() {
  name=$1 code=$2 pattern=$3
  shift 3
  "$@" >"$dir/out" 2>&1 </dev/null
  got=$?
  if [ $got -ne "$code" ]; then bad "$name: exit $got, not $code"; return; fi
  if [ -z "$pattern" ] || grep -qF -- "$pattern" "$dir/out"; then ok; else bad "$name: no '$pattern'"; fi
}
# prompt NAME CODE PATTERN INPUT
prompt() {
  name=$1 code=$2 pattern=$3
  printf "$4" | "$P" >"$dir/out" 2>&1
  got=$?
  if [ $got -ne "$code" ]; then bad "$name: exit $got, not $code"; return; fi
  if [ -z "$pattern" ] || grep -qF -- "$pattern" "$dir/out"; then ok; else bad "$name: no '$pattern'"; fi
}
cd "$dir" || exit 1

check version 0 "percept 0." "$P" --version
check help 0 "usage: percept" "$P" --help
check "unknown option" 2 "unknown option --nope" "$P" --nope
check "no such file" 2 "'nosuch' is neither a command nor a file" "$P" nosuch
check "no such script" 1 "cannot open nosuch.lua" "$P" nosuch.lua
echo 'print(("limit %d"):format(require("percept").sys.memory_limit()))' >limit.lua
check "run --memory-limit" 0 "limit 536870912" "$P" run limit.lua --memory-limit 512M
check "run --memory-limit 5Q" 2 "--memory-limit: '5Q' is no number of bytes; write 65536, 512M or 1.5G" "$P" run limit.lua --memory-limit 5Q
check "-e value" 0 "3" "$P" -e '1 + 2'
check "-e statement" 0 "hello" "$P" -e 'print("hello")'
check "-e tensor" 0 "f32 (2,2)" "$P" -e 'T.ones(2,2)'
check "-e args" 0 "b a" "$P" -e 'print(arg[2] .. " " .. arg[1])' a b
check "-e without code" 2 "-e needs code" "$P" -e
check "-e error" 1 "(command line):1: attempt to index" "$P" -e 'local x = nil; print(x.y)'
check "-e syntax" 1 "unexpected symbol" "$P" -e 'x = = 1'

cat >args.lua <<'END'
local a, b = ...
assert(arg[0] == "args.lua" and arg[1] == "one" and a == "one" and b == "two words")
print("ok " .. #arg)
END
check "script arguments" 0 "ok 2" "$P" args.lua one "two words"

cat >trace.lua <<'END'
local T = require "percept.tensor"
local function inner(x)
  return (T.zeros(2, 3) + x):exp()
end
inner(T.zeros(4))
END
check "message" 1 "trace.lua:3: add: shapes (2,3) and (4) do not broadcast" "$P" trace.lua
check "traceback" 1 "trace.lua:5: in" "$P" trace.lua

echo 'print(undeclared)' >read.lua
check "strict read" 1 "read.lua:1: global 'undeclared' is not defined" "$P" read.lua
echo 'counter = 1' >write.lua
check "strict write" 1 "write.lua:1: assignment to the undeclared global 'counter': write local counter" "$P" write.lua
echo 'rawset(_G, "v", 1) v = 2 print(v + 1)' >declared.lua
check "declared global" 0 "3" "$P" declared.lua
echo 'local t = T.ones(2)' >remedy.lua
check "remedy" 1 'local T = require "percept.tensor"' "$P" remedy.lua
echo 'error({code = 7})' >object.lua
check "error object" 1 "error object" "$P" object.lua
echo 'os.exit(3)' >exit.lua
check "os.exit" 3 "" "$P" exit.lua
echo 'require("percept").on_exit(function(s, m) print("ended " .. s .. " " .. tostring(m)) end) if arg[1] then error(arg[1], 0) end' >onexit.lua
check "on_exit done" 0 "ended done nil" "$P" onexit.lua
check "on_exit failed" 1 "ended failed boom" "$P" onexit.lua boom
echo 'require("percept").on_exit(function(s) print("ended " .. s) end) os.exit(4)' >onexit2.lua
check "on_exit through os.exit" 4 "ended failed" "$P" onexit2.lua
mkdir -p own/percept
echo 'return { answer = function() return "mine" end }' >own/percept/progress.lua
PERCEPT_PATH="$dir/own" "$P" -e 'require("percept.progress").answer()' >out 2>&1
grep -q mine out && ok || bad "PERCEPT_PATH, by the module's name"
mkdir -p own/percept/run
echo 'return { answer = function() return "yours" end }' >own/percept/run/progress.lua
PERCEPT_PATH="$dir/own" "$P" -e 'require("percept.progress").answer()' >out 2>&1
grep -q yours out && ok || bad "PERCEPT_PATH, by the file's place"
printf '#!/usr/bin/env percept\nprint("shebang")\n' >shebang.lua
check "shebang" 0 "shebang" "$P" shebang.lua
printf 'print("from stdin", ...)' >in.lua
"$P" - x <in.lua >out 2>&1 && grep -q "from stdin" out && ok || bad "script from standard input"

echo 'local i = 0 while true do i = i + 1 end' >loop.lua
cat >ops.lua <<'END'
local percept = require "percept"
local T = require "percept.tensor"
percept.on_exit(function(status) print("status " .. status) io.stdout:flush() end)
local x = T.ones(200, 200)
while true do x = x + 1 end
END
signalled() { # name, signal, exit code, pattern, script
  "$P" "$5" >"$dir/out" 2>&1 &
  pid=$!
  sleep 0.5
  kill -"$2" $pid
  wait $pid
  got=$?
  if [ $got -eq "$3" ] && grep -qF -- "$4" "$dir/out"; then ok; else bad "$1: exit $got"; fi
}
# a background job of sh ignores SIGINT unless job control is on
set -m 2>/dev/null
signalled "SIGINT in operations" INT 130 "status killed" ops.lua
signalled "SIGTERM in operations" TERM 143 "status killed" ops.lua
echo 'jit.off() while true do end' >plain.lua
signalled "SIGINT in a Lua loop" INT 130 "interrupted" plain.lua
echo 'while true do pcall(function() jit.off(true, true) while true do end end) end' >stubborn.lua
signalled "SIGTERM in a loop around a pcall" TERM 143 "terminated" stubborn.lua
cat >cleanup.lua <<'END'
local T = require "percept.tensor"
local ok, why = pcall(function() local x = T.ones(10) while true do x = x + 1 end end)
print("cleaning up after " .. why)
END
signalled "a script may clean up" INT 0 "cleaning up after interrupted" cleanup.lua
set +m

prompt "value" 0 "f32 (2)" 'T.ones(2)\n'
prompt "several values" 0 "2" '1, 2\n'
prompt "quiet" 0 "done" 'T.ones(2);\nprint("done")\n'
grep -q f32 out && bad "semicolon did not suppress" || ok
prompt "multi-line" 0 "6" 'local s = 0\nfor i = 1, 3 do\ns = i * 2\nprint(s)\nend\n'
prompt "incomplete string is an error" 1 "unfinished string" 'x = "abc\n'
prompt "goes on after errors" 1 "still here" 'error("boo")\nprint("still here")\n'
prompt "last result" 0 "43" '42\n_ + 1\n'
prompt "older result" 0 "11" '10\n"x"\n_2 + 1\n'
prompt "assignment declares" 0 "5" 'x = 5\nx\n'
prompt "undefined warns" 0 "warning: global 'nope' is not defined" 'nope\n'
prompt "equals sign" 0 "4" '=2+2\n'
prompt "help of an op" 0 "add(x, other" 'help(T.add)\n'
prompt "help of a word" 0 "linspace(start, stop, steps=100" 'help "linspace"\n'
prompt "help of nothing known" 0 "nothing is known of 'qqqq'" 'help "qqqq"\n'
prompt "who" 0 "f64 tensor (3,4)  96 B" 'w = T.zeros(3,4,{dtype="f64"})\nwho()\n'
prompt "strings are quoted" 0 '"a\' '"a\\nb"\n'
prompt "tables" 0 '{1, 2, a = "x"}' '{1, 2, a = "x"}\n'
prompt "tensors in tables" 0 '<f32 (2,2)>' '{T.ones(2,2)}\n'
prompt "a table that refers to itself" 0 '{...}' 't = {} t.t = t\nt\n'
mkdir -p config/percept
echo 'rawset(_G, "from_init", 17)' >config/percept/init.lua
prompt "init.lua" 0 "18" 'from_init + 1\n'
rm config/percept/init.lua
echo 'rawset(_G, "kept", 20) print("ran", ...)' >keep.lua
echo 'kept + 1' | "$P" -i keep.lua a >out 2>&1
grep -q "ran.a" out && grep -q 21 out && ok || bad "-i"

echo "$pass passed, $fail failed"
[ $fail -eq 0 ]
