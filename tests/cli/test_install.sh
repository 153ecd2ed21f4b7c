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
check "require from plain luajit" module 'local p = require "percept"; assert(p.tensor.ones(2, 3):sum():item() == 6)'
check "threads and BLAS there, and a clean end" module \
  'local T = require "percept".tensor; local a = T.randn(400, 400); assert(T.matmul(a, a):size(1) == 400); os.exit(0)'
check "modules of C and of Lua there" module \
  'require "percept" require "percept.nn" require "percept.recorder" require "percept.train"; assert(require "percept.tensor".jacobian)'
cd "$top" || exit 1
check "uninstall" $make uninstall
check "uninstall leaves no file" sh -c "[ -z \"\$(find '$scratch/usr' -type f)\" ]"
echo "$pass passed, $fail failed"
[ $fail -eq 0 ]
