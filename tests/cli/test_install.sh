#!/bin/sh
# What make install puts where, the module from plain luajit, uninstall, make help.
BUILD=${BUILD:-build}
pass=0 fail=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
check() { # description, command...
  name=$1
  shift
  if "$@" >"$scratch/out" 2>&1; then pass=$((pass + 1)); else
    fail=$((fail + 1))
    echo "FAILED: $name"
    sed 's/^/    /' "$scratch/out"
  fi
}
for t in help deps build quickstart test lint sanitize bench install uninstall clean; do
  check "make help names $t" sh -c "make --no-print-directory help | grep -q '^  make $t '"
done
if [ -n "${PERCEPT_SANITIZED:-}" ]; then # luajit itself has no sanitizer, and make no flags for one here
  echo "$pass passed, $fail failed"
  [ $fail -eq 0 ]
  exit
fi
top=$PWD
make="make --no-print-directory BUILD=$BUILD PREFIX=$scratch/usr"
module() { # the installed module, in plain luajit, from another folder
  cd "$scratch" && LUA_CPATH="$scratch/usr/lib/lua/5.1/?.so" luajit -e "$1"
}
check "install" $make install
check "the installed program runs elsewhere" sh -c "cd / && '$scratch/usr/bin/percept' --version | grep -q '^percept [0-9]*\.[0-9]*\.[0-9]*$'"
check "its Lua modules are inside" sh -c "cd / && '$scratch/usr/bin/percept' -e 'require \"percept.repl\" require \"percept.perceive\"'"
check "what a finaliser makes at the end, in plain luajit" module 'local P = require "percept"
  local x, p = P.tensor.ones(2), newproxy(true)
  getmetatable(p).__gc = function() assert((x + 1):sum():item() == 4) P.nn.linear(2, 2)(P.tensor.ones(1, 2)) end'
check "required in a coroutine that is gone, in plain luajit" module 'coroutine.wrap(function() require "percept" end)()
  collectgarbage() collectgarbage()
  local P = require "percept" assert(P.nn.linear(2, 2)(P.tensor.ones(1, 2)):size(1) == 1)'
check "require from plain luajit" module 'local p = require "percept"; assert(p.tensor.ones(2, 3):sum():item() == 6)'
check "threads and BLAS there, and a clean end" module \
  'local T = require "percept".tensor; local a = T.randn(400, 400); assert(T.matmul(a, a):size(1) == 400); os.exit(0)'
check "modules of C and of Lua there" module \
  'require "percept" require "percept.nn" require "percept.recorder" require "percept.train"; assert(require "percept.tensor".jacobian)'
manual_is_whole() { # every command has its section, and they are more than ten
  n=0
  for c in $("$scratch/usr/bin/percept" help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
    grep -q "^.SS percept $c\$" "$scratch/usr/share/man/man1/percept.1" || { echo "no section of $c"; return 1; }
    n=$((n + 1))
  done
  echo "$n commands"
  [ "$n" -gt 10 ]
}
check "the manual page names every command" manual_is_whole
complete() { # words... -> what bash would offer for the last one
  bash -c '. "$1"; shift; COMP_WORDS=(percept "$@"); COMP_CWORD=$#; _percept; printf "%s\n" "${COMPREPLY[@]}"' - \
    "$scratch/usr/share/bash-completion/completions/percept" "$@"
}
offers() { complete "$@" | grep -qx -- "$want"; }
want=show check "bash completes commands" offers sh
want=--seeds check "bash completes options" offers run --see
want=run check "bash completes commands behind help" offers help r
if command -v zsh >/dev/null; then
  check "zsh reads its completions" zsh -f -c "autoload -U compinit; compinit -u -d $scratch/zc; . $scratch/usr/share/zsh/site-functions/_percept"
fi
cd "$top" || exit 1
check "uninstall" $make uninstall
check "uninstall leaves no file" sh -c "[ -z \"\$(find '$scratch/usr' -type f)\" ]"
echo "$pass passed, $fail failed"
[ $fail -eq 0 ]
