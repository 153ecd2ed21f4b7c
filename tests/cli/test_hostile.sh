#!/bin/sh
# Databases that percept did not make: files that are none, tables that are not ours, and every column of every table
# with a value that does not belong there. Each command says what is wrong or goes on; none crashes, hangs, steers
# the terminal or shows a stack of ours. HOSTILE=all takes every value, else every 131st.
P=${PERCEPT:-build/percept}
case $P in /*) ;; *) P=$PWD/$P ;; esac
lua=$PWD/tests/cli/hostile.lua
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export HOME="$dir" XDG_CONFIG_HOME="$dir/config" XDG_CACHE_HOME="$dir/cache" XDG_RUNTIME_DIR="$dir" NO_COLOR=1
unset PERCEPT_DB
pass=0 fail=0
ok() { pass=$((pass + 1)); }
bad() { fail=$((fail + 1)); echo "FAIL $*"; head -c 1500 "$dir/out" | cat -v | sed 's/^/    /'; }
cd "$dir" || exit 1
printf 'local r = require("percept.recorder").start{db = arg[1], experiment = "e", config = {}}\nr:finish()\n' >s.lua
"$P" "$lua" make || { echo "0 passed, 1 failed"; exit 1; }
"$P" sql --db h.db --write "pragma wal_checkpoint(truncate)" >/dev/null
uid=$(cat uid)
ESC=$(printf '\033')

# name, then the words: must end by itself, with a code of its own, and speak plainly
sane() {
  name=$1
  shift
  timeout -s KILL 60 "$@" >out 2>&1 </dev/null
  rc=$?
  if [ $rc -ge 124 ] && [ $rc -ne 130 ]; then bad "$name: exit $rc"; return; fi
  if grep -aqE 'attempt to |bad argument' out; then bad "$name: an error of ours"; return; fi
  if grep -aqF "$ESC" out || grep -aqP '\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\x07' out; then bad "$name: steers the terminal"; return; fi
  ok
}

commands() { # what is wrong with d.db
  for words in "runs" "runs --stale" "runs --failed" "runs --columns +lr,loss,encoder/id/accuracy" "show $uid" "show n1 --source" \
    "curve $uid" "curve $uid loss" "compare encoder/id/accuracy" "diff n1 n2" "diff n1 n2 --source" "report $uid -o r.html" \
    "report sw -o r.html" "export -o folder" "export -o small.db" "sql @sheet" "sql @paper" "sql @threshold metric=loss value=0.1" \
    "sweep --show sw" "sweep --missing sw --dry" "repro $uid" "run --resume n2" "doctor" "runs --reap" "tag n1 x" "note n1 x" \
    "archive n1"; do
    rm -rf folder small.db* small.metadata.json
    sane "$1: $words" "$P" $words --db d.db
  done
  rm -f m.db*
  sane "$1: merge" "$P" merge d.db --db m.db
  sane "$1: load" "$P" -e 'print(pcall(require("percept.revive").load, "n1", nil, {db = "d.db"}))'
  sane "$1: prompt" "$P" -e 'print(require("percept.rows").query("d.db", "select * from run"))'
  sane "$1: recorded into" "$P" s.lua d.db
  if [ -e pwned ]; then bad "$1: a command ran"; rm -f pwned; else ok; fi
}

# ---- files that are no databases: said at once ----
refused() { # what, part of the message
  for words in "runs" "show x" "doctor --quick" "sql @sheet" "sweep --show sw" "tag n1 x" "merge d.db --db m.db"; do
    case $words in merge*) set -- "$1" "$2" $words ;; *) set -- "$1" "$2" $words --db d.db ;; esac
    what=$1 part=$2
    shift 2
    timeout -s KILL 60 "$P" "$@" >out 2>&1 </dev/null
    rc=$?
    if [ $rc -ge 124 ]; then bad "$what: $words: exit $rc"; else
      case $words in doctor*) ok ;; *) if grep -qF "$part" out && [ $rc -ne 0 ]; then ok; else bad "$what: $words: exit $rc, no '$part'"; fi ;; esac
    fi
    set -- "$what" "$part"
  done
  rm -rf d.db d.db-* m.db*
}
head -c 40000 h.db >d.db && refused "cut off" "d.db"
head -c 30000 /dev/urandom >d.db && refused "noise" "is not an SQLite database"
echo "a text" >d.db && refused "a text" "is not an SQLite database"
mkdir d.db && refused "a folder" "is a folder"
mkfifo d.db && refused "a pipe" "is a pipe"
ln -s d.db d.db && refused "a loop" "symbolic links"
cp h.db d.db && mkfifo d.db-journal && refused "a pipe for a journal" "is a pipe"
ln -s /dev/zero d.db && refused "a device" "is a device"

# ---- tables that are not ours: the message names which ----
changed() { # what, part of the message, SQL
  cp h.db d.db
  sqlite3 d.db "$3" >out 2>&1 || { bad "$1: sqlite3"; return; }
  refused "$1" "$2"
}
changed "no table" "table run is missing" "pragma foreign_keys = off; drop table run"
changed "a column less" "table env is not the one" "alter table env drop column value"
changed "no constraints" "table tag is not the one" "drop table tag; create table tag(run_id, tag); create index tag_by_tag on tag(tag)"
changed "a view gone" "view figure is missing" "drop view figure"
changed "another view" "view figure is not the one" "drop view figure; create view figure as select 1 as run_id, 'x' as figure, 0 as value, 0 as min, 0 as max, 0 as goal"
changed "a table for a view" "figure is a table where a view" "drop view figure; create table figure(a)"
changed "a trigger" "trigger evil is not percept's" "create trigger evil after insert on run begin delete from run; end"
changed "a virtual table" "vt is a virtual table" "create virtual table vt using fts5(a)"
changed "an index gone" "index param_by_key is missing" "drop index param_by_key"
changed "a later version" "update percept" "pragma user_version = 99"
changed "no version" "schema version 0" "pragma user_version = 0"
sqlite3 d.db "pragma encoding = 'UTF-16'; create table t(a); pragma application_id = 1886544752; pragma user_version = 2" >/dev/null
refused "UTF-16" "percept writes UTF-8"
cp h.db d.db
sqlite3 d.db "create table mine(a); create index also on run(host); create view short as select uid from run" # a user's own
sane "a table beside ours" "$P" runs --db d.db
[ $rc -eq 0 ] && ok || bad "a table beside ours is refused"
rm -f d.db*

# ---- values that do not belong there, under a schema that is ours to the letter ----
plant() { # table, column, expression
  cp h.db d.db
  sqlite3 d.db "select sql from sqlite_master where name = '$1'" | sed 's/--.*//' >strict.sql
  sqlite3 h.db "select quote(sql) from sqlite_master where name = '$1'" >kept.sql
  sed -E "s/ not null//; s/default ('[^']*'|[0-9]+)//; s/ check \(.*\)(,?) *$/\1/; s/ check \(.*\)\)/)/
          s/^( *[a-z_]+) +(text|integer|real|numeric|blob)( primary key)?/\1 \2\3/
          /integer primary key/!s/^( *[a-z_]+) +(text|integer|real|numeric)/\1 blob/" strict.sql | sed "s/'/''/g" >loose.sql
  sqlite3 d.db ".dbconfig defensive off" "pragma writable_schema = on" \
    "update sqlite_master set sql = '$(cat loose.sql)' where name = '$1'" >out 2>&1 &&
    sqlite3 d.db "drop trigger if exists metric_block_void" "update or ignore $1 set $2 = $3" >out 2>&1 &&
    sqlite3 d.db ".dbconfig defensive off" "pragma writable_schema = on" \
      "update sqlite_master set sql = $(cat kept.sql) where name = '$1'" >out 2>&1 &&
    sqlite3 d.db "create trigger metric_block_void after delete on metric_last begin
  delete from metric_block where run_id = old.run_id and name_id = old.name_id;
end" >>out 2>&1
}
"$P" "$lua" plan >plan
every=${HOSTILE:-131}
[ "$every" = all ] && every=1
tab=$(printf '\t')
n=0 planted=0
while IFS="$tab" read -r table column value sql <&3; do
  n=$((n + 1))
  [ $((n % every)) -eq 0 ] || continue
  # what SQLite itself refuses there (a text for a row's number) is not planted
  plant "$table" "$column" "$sql" && planted=$((planted + 1)) && commands "$table.$column = $value"
done 3<plan
[ $planted -gt 9 ] && ok || bad "only $planted values of $n were planted"
plant run host null && sane "the message" "$P" runs --db d.db
grep -q "run 1: host is NULL where text is expected" out && ok || bad "the message names run, column and type"

echo "$pass passed, $fail failed"
[ $fail -eq 0 ]
