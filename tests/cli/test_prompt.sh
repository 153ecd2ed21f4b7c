#!/bin/sh
# The prompt on a terminal (script(1) makes one): completion, Ctrl-C, history; and plain luajit.
P=${PERCEPT:-build/percept}
case $P in /*) ;; *) P=$PWD/$P ;; esac
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export HOME="$dir" XDG_CONFIG_HOME="$dir/config" XDG_DATA_HOME="$dir/data" TERM=xterm
pass=0 fail=0
ok() { pass=$((pass + 1)); }
bad() { fail=$((fail + 1)); echo "FAIL $*"; cat -v "$dir/out" | sed 's/^/    /' | tail -n 40; }
tab=$(printf '\t') intr=$(printf '\003')
# says NAME PATTERN: types the lines of standard input slowly, then looks for a fixed string.
# A line "@N" waits N seconds; "^C" is Ctrl-C.
says() {
  name=$1 pattern=$2
  cat >"$dir/keys"
  {
    sleep 1
    while IFS= read -r line; do
      case $line in
        @*) sleep "${line#@}" ;;
        ^C) printf '%s' "$intr"; sleep 0.5 ;;
        *) printf '%s\r' "$line"; sleep 0.3 ;;
      esac
    done <"$dir/keys"
    printf '\004'
    sleep 0.3
  } | script -qec "'$P'" /dev/null >"$dir/out" 2>&1
  if grep -qF -- "$pattern" "$dir/out"; then ok; else bad "$name: no '$pattern'"; fi
}
if ! command -v script >/dev/null; then
  echo "1 passed, 0 failed (no script(1): prompt not tested)"
  exit 0
fi
cd "$dir" || exit 1

says "banner and value" "f32 (2,2)" <<END
T.zeros(2,2)
END
says "completion of a module" "0.2500" <<END
T.lins${tab}0, 1, 5)
END
says "completion of a method" "contiguous: true" <<END
x = T.zeros(3, 4)
print("contiguous: " .. tostring(x:is_cont${tab})))
END
says "Ctrl-C stops operations, the state stays" "kept 300" <<END
y = T.ones(300, 300) while true do y = y + 1 end
@0.5
^C
print("kept " .. y:size(1))
END
says "Ctrl-C stops a Lua loop" "after the loop" <<END
while true do end
@0.5
^C
print("after " .. "the loop")
END
says "Ctrl-C drops a line" "fresh line" <<END
for i = 1, 2 do
^C
print("fresh " .. "line")
END
says "time of slow commands" "-- 0.2" <<END
local t = percept.sys.time() while percept.sys.time() - t < 0.2 do end
END
grep -q 'percept.sys.time() - t < 0.2' data/percept/history && ok || bad "history file"

says "an error that would steer the terminal" '\x1b[31mred\u202e' <<END
error("\\27[31mred\\226\\128\\174")
END
for what in "mkfifo data/percept/history" "mkdir data/percept/history" "ln -s /dev/zero data/percept/history" "ln -s /dev/full data/percept/history" \
  "mkdir -p config/percept; mkfifo config/percept/init.lua"; do
  rm -rf data/percept/history
  eval "$what"
  says "the prompt with $what" "alive 42" <<END
print("alive " .. 6 * 7)
END
done
rm -rf data/percept/history config

lib=$(dirname "$P")
env -u LUA_INIT LUA_CPATH="$lib/?.so" luajit -e '
  local percept = require "percept"
  local T = percept.tensor
  local x = T.ones(2, {requires_grad = true})
  local y = (x * 3):sum()
  y:backward()
  print("luajit " .. y:item() .. " " .. x.grad[1])' >"$dir/out" 2>&1
case $lib in
  *sanitize*) ok ;; # a sanitized library cannot be loaded by a plain program
  *) grep -q "luajit 6 3" "$dir/out" && ok || bad "require from luajit" ;;
esac

echo "$pass passed, $fail failed"
[ $fail -eq 0 ]
