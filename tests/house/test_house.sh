#!/bin/sh
# The floors of the house: what may include what, headers that compile alone, sizes, READMEs.
pass=0 fail=0
ok() { pass=$((pass + 1)); }
bad() {
  fail=$((fail + 1))
  echo "FAILED: $1"
}
check() { # description, output that must be empty
  if [ -z "$2" ]; then ok; else bad "$1:
$2"; fi
}
inc='#[[:space:]]*include[[:space:]]*[<"]'
check "engine/ includes neither Lua nor SQLite" "$(grep -rnE "$inc(lua|lauxlib|lualib|luajit|sqlite3)\.h" engine)"
check "db/ includes no Lua" "$(grep -rnE "$inc(lua|lauxlib|lualib|luajit)\.h" db)"
check "db/ includes no tensors" "$(grep -rnE "$inc(tensor|grad|nn)/" db)"
check "engine/ and db/ do not look up" "$(grep -rnE "$inc(bindings|scripts)/" engine db)"
allow() { # folder, what it may include
  check "engine/$1 includes only its own floor and below" \
    "$(grep -rnE "$inc[a-z]+/" engine/"$1" 2>/dev/null | grep -vE "$inc($1|$2)/" | grep -vE '#[[:space:]]*include[[:space:]]*<')"
}
allow base 'base'
allow tensor 'base'
room() { # room of engine/tensor, the rooms it may include; the core (files of the folder itself) stands below all
  check "engine/tensor/$1 includes only its own room, those it may and the core" \
    "$(grep -rnE "${inc}tensor/[a-z_]+/" engine/tensor/"$1" | grep -vE "${inc}tensor/($1${2:+|$2})/")"
}
room pointwise ''
room reduce ''
room gemm ''
room conv 'gemm'
room fused 'pointwise|gemm'
room linalg 'gemm'
check "the core of engine/tensor includes no room" "$(grep -nE "${inc}tensor/[a-z_]+/" engine/tensor/*.[ch])"
check "every room of engine/tensor has its arrows" "$(ls -d engine/tensor/*/ | grep -vE '/(pointwise|reduce|gemm|conv|fused|linalg)/$')"
allow grad 'base|tensor'
allow nn 'base|tensor|grad'
allow optim 'base|tensor|grad|nn'
allow decoders 'base|tensor|grad|nn'
allow encoders 'base|tensor|grad|nn'
allow inverter 'base|tensor|grad|nn|optim|decoders|encoders'
allow replay 'base|tensor'
allow interaction 'base|tensor|grad'
allow metrics 'base|tensor|grad'
allow formats 'base|tensor'
allow images 'base|tensor|formats'
allow plot 'base|tensor|formats|images'
allow datasets 'base|tensor|formats|images'
check "no shell: programs are started with words (bindings/process.c)" \
  "$(grep -rnE --include='*.[ch]' '(^|[^a-z_])(popen|system) *\(' engine db bindings; grep -rnE 'os\.execute|io\.popen' scripts)"
inclflags=$(pkg-config --cflags luajit libpng cairo jansson libedit sqlite3)
for h in $(find engine db bindings -name '*.h'); do
  if echo "#include \"$h\"" | ${CC:-cc} -std=c11 -D_GNU_SOURCE -Iengine -I. $inclflags -fsyntax-only -xc - 2>/dev/null; then ok; else bad "$h does not compile alone"; fi
done
for d in $(find engine bindings scripts experiments db tests -type d -not -path '*/images' -not -path '*/masks' -not -path '*/assets/*'); do
  case $d in experiments/data/* | tests/fuzz/regressions/*) continue ;; esac
  if [ -f "$d/README.md" ] || [ "$(find "$d" -maxdepth 1 -type f | wc -l)" -eq 0 ]; then ok; else bad "$d has no README.md"; fi
done
for f in $(find engine db bindings scripts tests -name '*.c' -o -name '*.h' -o -name '*.lua'); do
  n=$(wc -l <"$f")
  if [ "$n" -le 620 ]; then ok; else bad "$f has $n lines; 620 are allowed"; fi
done
check "bindings/x.c holds the Lua module percept.x and no other" "$(grep -oE '^int luaopen_percept_[a-z0-9]+\(lua_State \*L\) \{' bindings/*.c |
  sed -nE 's,^bindings/(.*)\.c:int luaopen_percept_([a-z0-9]+)\(.*,\1 \2,p' | awk '$1 != $2 { print "bindings/" $1 ".c opens percept." $2 }')"
check "C suites check with must(), must_fail() and run by run_suite() (tests/check_main.h)" \
  "$(grep -rnE 'srunner_create|define (must|must_fail|close_to|ok|OK|fails|FAILS)\(|^static [a-z_ ]*\b(must|ok|fails)\(' tests/*.h tests/engine tests/db --include='*.[ch]' |
    grep -v '^tests/check_main.h:')"
check "a name of pc_ is one type" "$(grep -rhoE '^(typedef struct pc_[a-z0-9_]+ pc_[a-z0-9_]+;|\} pc_[a-z0-9_]+;)' engine db bindings --include='*.h' |
  sed -E 's/.*(pc_[a-z0-9_]+);/\1/' | sort | uniq -d | grep -vx pc_embedded)"
check "no macro body is above 15 lines: a template of types is an .inc file (engine/base/float_types.inc)" \
  "$(find engine db bindings tests -name '*.c' -o -name '*.h' -o -name '*.inc' -o -name '*.def' | xargs awk '
  FNR == 1 { n = 0 }
  n { n++ }
  /^[ \t]*#[ \t]*define/ { n = 1; from = FNR; name = $0; sub(/[ \t]*\\$/, "", name) }
  !/\\$/ { if (n > 15) print FILENAME ":" from ": " n " lines: " name; n = 0 }')"
for q in db/queries/*.sql; do
  name=$(basename "$q" .sql)
  check "$q is asked in tests/db/test_queries.c" "$(grep -q "@$name\\b" tests/db/test_queries.c || echo "@$name is not")"
  check "$q stands in db/queries/README.md" "$(grep -q "^| \`$name\` |" db/queries/README.md || echo "$name does not")"
done
for c in scripts/percept/cmd/*.lua; do
  name=$(basename "$c" .lua)
  check "$c is called in tests/cli" \
    "$(ls tests/cli/test_"$name"*.sh >/dev/null 2>&1 || grep -qE "\"\\\$P\" $name\b" tests/cli/*.sh || echo "percept $name is not")"
done
# A default is written once: rows of option tables (base/options.h), uses of shared rows, and signatures, as "name=default".
defaults_of() { # files
  cat "$@" | tr '\n' ' ' | sed 's/\\ / /g; s/"  *"//g' |
    grep -oE 'X\(S, (num|int|int64|str|bool|choice), [a-z_0-9]+, [^,]*, [^,]+,|PC_ROW_[A-Z_]+\(X, S, [0-9.e-]+\)|[a-z_0-9]+:(num|int|int64|str|bool)(\([^)]*\))?=[^,"]+' |
    sed -E 's/^X\(S, [a-z0-9]+, ([a-z_0-9]+), [^,]*, ([^,]+),$/\1=\2/; s/^(PC_ROW_[A-Z_]+)\(X, S, (.*)\)$/\1=\2/; s/:[a-z0-9]+(\([^)]*\))?=/=/' |
    grep -vE '=(0|PC_REQUIRED|by|n|a)$' | sort | uniq -d
}
check "defaults of layers, decoders and encoders stand once" \
  "$(defaults_of engine/nn/*.h engine/decoders/*.h engine/encoders/*.h bindings/nn.c bindings/module.c bindings/decoders.c bindings/encoders.c)"
echo "$pass passed, $fail failed"
[ "$fail" -eq 0 ]
