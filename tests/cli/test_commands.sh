#!/bin/sh
# The commands that ask and keep the database: formats, columns, abbreviations, mistakes, exit codes.
P=${PERCEPT:-build/percept}
case $P in /*) ;; *) P=$PWD/$P ;; esac
data=$PWD/experiments/data/spar_cycles
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export HOME="$dir" XDG_CACHE_HOME="$dir/cache" OMP_NUM_THREADS=1
unset NO_COLOR
pass=0 fail=0
ok() { pass=$((pass + 1)); }
bad() { fail=$((fail + 1)); echo "FAIL $*"; tail -n 15 "$dir/out" | sed 's/^/    /'; }
is() { if [ "$2" = "$3" ]; then ok; else bad "$1: '$2', not '$3'"; fi; }
# check NAME CODE PATTERN COMMAND...: exit code and a fixed string in the output
check() {
  name=$1 code=$2 pattern=$3
  shift 3
  "$@" >"$dir/out" 2>&1 </dev/null
  got=$?
  if [ $got -ne "$code" ]; then bad "$name: exit $got, not $code"; return; fi
  if grep -qF -- "$pattern" "$dir/out"; then ok; else bad "$name: no '$pattern'"; fi
}
hasnt() { if grep -qF -- "$2" "$dir/out"; then bad "$1: '$2'"; else ok; fi; }
sql() { "$P" sql --csv "$1" 2>>"$dir/out" | tail -n +2 | tr -d '\r'; }
tty() { script -qec "$1" /dev/null >"$dir/out" 2>&1 </dev/null; } # on a terminal
cd "$dir" || exit 1
cat >study.lua <<'END'
local percept = require "percept"
return percept.experiment{
  name = "study", defaults = {lr = 0.1, act = "relu"},
  run = function(cfg, run)
    run:goal("loss", "min")
    for t = 1, 200 do run:log(t, {loss = cfg.lr + 1 / t, flat = 2, none = 0 / 0}) end
    for _, split in ipairs{"id", "ood"} do
      for i, method in ipairs{"encoder", "search"} do
        run:result{method = method, split = split, metric = "accuracy", value = 0.5 + i / 10 + run.seed / 100}
      end
    end
    if cfg.act == "boom" then error("no such activation\27[31m") end
  end,
}
END
"$P" run study.lua --seeds 1..2 --name plain --note "the first" >out 2>&1 || bad "runs"
"$P" run study.lua --seed 1 --set lr=0.2 --name fast --tag paper --tag best >out 2>&1 || bad "a run"
"$P" run study.lua --seed 1 --set act=boom --name broken >out 2>&1 && bad "a run that fails"
u1=$(sql "select uid from run where id = 1") u2=$(sql "select uid from run where id = 2") u3=$(sql "select uid from run where id = 3")

# ---- help, usage ----
check "help lists" 0 "  sweep      runs a study over a grid" "$P" help
check "help of a command" 0 "usage: percept curve [OPTIONS] UID [UID ...] METRIC" "$P" help curve
check "--help of a command" 0 "--points N" "$P" curve --help
check "help of a module" 0 "search" "$P" help percept.inverter
check "help of nothing" 1 "did you mean curve?" "$P" help curv
for c in $("$P" help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
  check "help $c" 0 "percept $c: " "$P" help "$c"
  check "$c: an unknown option" 2 "unknown option --nonsense" "$P" "$c" --nonsense
done
check "a mistyped option" 2 "did you mean --failed?" "$P" runs --faild
check "a number is needed" 2 "--limit needs a whole number, not 'x'" "$P" runs --limit x
for words in "curve one loss --points 1" "curve one loss --points -3" "curve one loss --width 0" "curve one loss --height 1e9" "runs --limit -1" \
  "data sheet x --count 0" "data sheet x --size -1" "data split x --fraction 2" "data split x --pseudo nan" "merge x.db --thin 1" "export -o x --thin 1" \
  "run study.lua --threads 0" "sweep study.lua --jobs 0" "sweep study.lua --random-n 0" "repro x --tolerance -1" \
  "repro x --tolerance inf"; do
  check "a number out of its range: $words" 2 " needs a" "$P" $words
done
for variable in PERCEPT_TIER=fastest PERCEPT_JOURNAL=none OMP_NUM_THREADS=99999; do
  check "the environment: $variable" 2 "${variable%=*}: " env "$variable" "$P" -e "print(1)"
done
check "the environment: what is there" 0 "ref" env PERCEPT_TIER=ref PERCEPT_JOURNAL=delete "$P" -e 'print(require("percept.sys").tier())'
check "the environment: empty" 0 "1" env PERCEPT_TIER= PERCEPT_JOURNAL= OMP_NUM_THREADS= "$P" -e "print(1)"
check "a range that is none" 2 "both finite" "$P" sweep study.lua --random lr=nan..1 --dry
check "a range without end" 2 "both finite" "$P" sweep study.lua --random lr=1..inf --dry
check "whole numbers of a fraction" 2 "is no whole number" "$P" sweep study.lua --random lr=int:0.5..2 --dry
check "set and swept" 2 "lr is set and swept" "$P" sweep study.lua --set lr=1 --grid lr=1,2 --dry
check "an option twice" 2 "--db is given twice: a.db and b.db" "$P" runs --db a.db --db b.db
check "an option twice, by its short name" 2 "is given twice" "$P" sweep study.lua -j 1 --jobs 2
check "an option twice, the same" 0 "plain" "$P" runs --limit 5 --limit 5
check "a setting twice: the last counts" 0 "lr     2" sh -c "'$P' run study.lua --db twice.db --set lr=1 --set lr=2 >/dev/null && '$P' sql --db twice.db \"select key, num from param where key = 'lr'\""
check "a parameter twice" 2 "a is given twice: 1 and 2" "$P" sql "select :a" a=1 a=2
check "a parameter that is none" 2 "is no parameter; write key=value" "$P" sql "select 1" x
check "a value is needed" 2 "--db needs a value: --db FILE" "$P" runs --db
check "--flag=value" 0 "$u3" "$P" runs --limit=9 --experiment=study
check "a mistyped command" 2 "did you mean run?" "$P" runn

# ---- runs ----
check "runs" 0 "no such activation" "$P" runs
check "filters" 0 "$u3" "$P" runs --tag paper --tag best --seed 1 --status done --experiment study fast
hasnt "filters leave out" "$u1"
check "failed" 0 "broken" "$P" runs --failed
hasnt "failed alone" "$u1"
check "columns" 0 "uid,lr,loss,search/ood/accuracy" "$P" runs --csv --columns uid,lr,loss,search/ood/accuracy
is "their values" "$(sed -n 3p out | tr -d '\r' | cut -d, -f2-)" "0.2,0.20500000000000002,0.71"
check "more columns" 0 "host" "$P" runs --columns +host
check "no such column" 1 "there is neither a column nor a parameter, metric or result 'hots'" "$P" runs --columns hots
check "a bad status" 2 "--status needs one of queued|running|done|failed|killed, not 'dead'" "$P" runs --status dead
is "uids for completion" "$("$P" runs --uids | wc -l)" 4
check "text is found in notes" 0 "$u1" "$P" runs "THE FIRST"

# ---- colours: on a terminal alone ----
"$P" runs >out
hasnt "no colours in a pipe" "$(printf '\033')"
if command -v script >/dev/null; then
  tty "$P runs"
  if grep -qF "$(printf '\033[31mfailed')" out; then ok; else bad "colours on a terminal"; fi
  if grep -qF "$(printf '\033[31m')x1b" out || grep -q "activation$(printf '\033')" out; then bad "a recorded escape steers the terminal"; else ok; fi
  tty "NO_COLOR=1 $P runs"
  hasnt "NO_COLOR" "$(printf '\033')"
  tty "TERM=dumb $P show $u1"
  hasnt "a dumb terminal" "$(printf '\033')"
  tty "$P runs --csv"
  hasnt "CSV has no colours" "$(printf '\033[1m')"
fi
for f in csv json markdown latex; do
  "$P" runs --$f >"out.$f" 2>out || bad "runs --$f"
  "$P" compare --$f >"out.$f" 2>out || bad "compare --$f"
  "$P" diff "$u1" "$u3" --$f >"out.$f" 2>out || bad "diff --$f"
  "$P" show "$u1" --$f >"out.$f" 2>out || bad "show --$f"
done
if "$P" -e 'local r = require "percept.recorder".parse_json(io.open("out.json"):read "*a") assert(r[1].section == "run")' >out 2>&1; then ok; else bad "JSON"; fi
is "Markdown" "$(head -c 2 out.markdown)" "| "
is "LaTeX" "$(head -n 1 out.latex)" '\begin{tabular}{lll}'

# ---- uids: abbreviated, unknown ----
short=$(echo "$u3" | cut -c1-20)
check "the beginning of a uid" 0 "$u3" "$P" show "$short"
check "a name" 0 "$u3" "$P" show fast
check "several fit" 1 "fits several runs" "$P" show plain
check "part of a uid" 1 "did you mean $u3 (fast)" "$P" show "$(echo "$u3" | cut -c18-)"
check "an unknown uid" 1 "the newest are" "$P" show zzz
check "an unknown uid: not a database" 1 "there is no database nosuch.db" "$P" show zzz --db nosuch.db

# ---- show, diff, curve, compare ----
check "show: parameters" 0 "  lr   0.1" "$P" show "$u1"
check "show: the error" 0 "no such activation" "$P" show broken
hasnt "show: nothing recorded steers the terminal" "$(printf '\033')"
check "show: source" 0 "name = \"study\"" "$P" show "$u1" --source
check "show: no such source" 1 "has no source x.lua" "$P" show "$u1" --source x.lua
check "diff" 0 "param   lr" "$P" diff "$u1" "$u3"
check "diff with itself" 2 "are one run" "$P" diff "$u1" "$u1"
check "diff of one" 2 "two runs are compared; 1 given" "$P" diff "$u1"
check "the same sources" 0 "their sources are the same" "$P" diff "$u1" "$u3" --source
echo "-- changed" >>study.lua
"$P" run study.lua --seed 9 --name later >out 2>&1
check "sources differ" 0 "+-- changed" "$P" diff "$u1" later --source
check "curve" 0 "loss, $u1" "$P" curve "$u1" loss --log
is "curve: height and axis" "$(wc -l <out)" 19
check "curve of two runs" 0 "── $u3" "$P" curve "$u1" fast loss --height 8 --width 60
check "curve of a constant" 0 "2 ┤" "$P" curve "$u1" flat
check "curve of NaN" 1 "no value is a number" "$P" curve "$u1" none
check "curve: rows" 0 "$u1,200,0.10500" "$P" curve "$u1" loss --csv
check "curve: metrics of a run" 0 "flat" "$P" curve "$u1"
check "curve: a mistyped metric" 1 "did you mean loss?" "$P" curve "$u1" lsos
"$P" archive later >out
check "compare" 0 "0.615 ± 0.0071 (2)" "$P" compare --by lr encoder/ood/accuracy
check "compare: what differs" 0 "lr" "$P" compare
check "compare: pairs" 0 "a larger, of n" "$P" compare --paired search,encoder
is "compare: search wins twice" "$(grep 'a larger' out | awk '{print $6, $7}')" "2 2"
check "compare: an unknown parameter" 1 "no run has a parameter 'lrr'; did you mean lr?" "$P" compare --by lrr loss
check "compare: nothing" 1 "no run that is done has such figures" "$P" compare nosuch

# ---- keeping house ----
check "tag" 0 "$u1: old" "$P" tag "$u1" old
check "untag" 0 "$u1: no tags" "$P" tag "$u1" old --remove
check "note" 0 "the first" "$P" note "$u1"
"$P" note "$u1" a better one >out && check "a new note" 0 "a better one" "$P" note "$u1"
check "archive" 0 "archived $u2" "$P" archive "$u2"
check "an archived run is out of lists" 0 "$u1" "$P" runs
hasnt "an archived run" "$u2"
check "--archived" 0 "$u2" "$P" runs --archived
check "back" 0 "back $u2" "$P" archive --undo "$u2"
check "one of two is unknown: nothing is done" 1 "zzz" "$P" archive "$u2" zzz
is "indeed" "$(sql "select archived from run where id = 2")" 0
check "delete" 0 "deleted" "$P" archive --delete later
is "it is gone" "$(sql "select count(*) from run where name = 'later'")$(sql "select count(*) from param where run_id = 5")" 00

# ---- stale ----
"$P" sql --write "update run set status = 'running', pid = 999999, pid_start = 1, ended_ms = null where id = 3" >out 2>&1
check "stale" 0 "stale: $u3" "$P" runs --stale
check "reap" 0 "marked killed: $u3" "$P" runs --reap
is "killed" "$(sql "select status from run where id = 3")" killed

# ---- export, merge ----
check "export to a folder" 0 "tables: 11 tables as CSV" "$P" export -o tables --thin 10
is "thinned, ends kept" "$(grep -c "^$u1,loss," tables/metric.csv) $(grep -c "^$u1,loss,200,0.10500" tables/metric.csv)" "10 1"
is "results are whole" "$(tail -n +2 tables/result.csv | wc -l)" 16
check "export as JSON" 0 "as JSON" "$P" export -o tables --json
check "export to a database" 0 "small.db: 4 runs" "$P" export -o small.db --thin 20
is "thinned" "$("$P" sql --db small.db --csv "select count(*) from metric" | tail -n 1 | tr -d '\r')" 240
is "its last values are whole" "$("$P" sql --db small.db --csv "select n from metric_last limit 1" | tail -n 1 | tr -d '\r')" 200
check "export, anonymous" 0 "anon.db: 4 runs" "$P" export -o anon.db --anonymous
is "no machine, no user, no folder" "$("$P" sql --db anon.db --csv "select count(*) from run where host <> 'anonymous' or user is not null or cwd is not null" | tail -n 1 | tr -d '\r')" 0
is "nor in the file's bytes" "$(grep -c "$dir" anon.db)" 0
is "but in the database it came from" "$(grep -c "$dir" percept.db | sed 's/[1-9][0-9]*/some/')" some
check "only of a database" 2 "goes with -o FILE.db" "$P" export -o tables --anonymous
check "export does not overwrite" 1 "is there already" "$P" export -o small.db
check "metadata for Datasette" 0 '"title": "Percept' "$P" export --metadata
cat >queries.lua <<'END'
-- every query that Datasette gets answers on plain SQLite's terms: an empty parameter is none
local recorder = require "percept.recorder"
local file = io.open "small.metadata.json"
local m = recorder.parse_json(file:read "*a").databases.small
local n = 0
for name, q in pairs(m.queries) do
  local params = {}
  for p in q.sql:gmatch ":(%l[%w_]*)" do params[p] = "" end
  if params.metric then params.metric = name == "paper" and "accuracy" or "loss" end
  local rows = recorder.query("small.db", q.sql, params)
  if name == "paper" or name == "best" or name == "sheet" then assert(#rows > 0, name) end
  n = n + 1
end
print(n .. " queries", m.tables.run.columns.uid)
END
check "its queries run, all that there are" 0 "$("$P" sql --names | wc -l) queries" "$P" queries.lua
check "merge" 0 "small.db: 4 added, 0 replaced, 0 as they were" "$P" merge --db all.db small.db
check "merge twice" 0 "0 added, 0 replaced, 4 as they were" "$P" merge --db all.db small.db

# ---- data, doctor ----
check "data" 0 "spar_cycles" "$P" data --under "$data/.."
check "data list: the sets on disk and the composed ones" 0 "percept.datasets.open(\"emoji\"" "$P" data list --under "$data/.."
check "data check: sprites" 0 "shape2" "$P" data check sprites --size 8
check "data split: sprites by two factors" 0 "columns: blue cyan" "$P" data split sprites --size 8 --cells shape1:color2
check "data split: sprites by the kind's own" 0 "columns: circle" "$P" data split sprites --size 8
check "data: a kind that is near" 1 "did you mean 'sprites'" "$P" data check sprits
check "data list: of nothing" 2 "list takes no word" "$P" data list here
check "data check" 0 "4210" "$P" data check "$data/" --size 8
mkdir broken && cp "$data/labels.csv" broken
check "data check: no images" 1 "data: " "$P" data check broken --size 8
check "data check: no data" 1 "holds no labels.csv" "$P" data check "$dir"
check "a contact sheet" 0 "sheet.png: " "$P" data sheet "$data" --by world_name --size 16 -o sheet.png
is "it is a PNG" "$(head -c 4 sheet.png | tail -c 3)" PNG
check "a sheet by nothing" 1 "did you mean world_name?" "$P" data sheet "$data" --by world_nam --size 16 -o x.png
check "a split" 0 "columns: Bridge City" "$P" data split "$data" --fraction 0.3 --pseudo 0.1 --seed 2 --size 8 -o split.png
[ -s split.png ] && ok || bad "the split's picture"
check "a split by nothing" 2 "--preset needs one of background|texture|object, not 'foreground'" "$P" data split "$data" --preset foreground --size 8
assets=${data%/*}/assets
check "emoji" 0 "made: 20 images of 16 x 16" "$P" data emoji made --assets "$assets" --count 20 --size 16 --occlusion 1 --textures Default,Red
check "emoji: read back" 0 "occlusion2" "$P" data check made
check "emoji: twice" 1 "holds a data set" "$P" data emoji made --assets "$assets" --count 20
check "emoji: no assets" 1 "assets names the folder" "$P" data emoji other --assets "$dir/nowhere"
check "data: no such verb" 2 "none of check, sheet, split, emoji" "$P" data draw x
mkdir -p pug/Cat
cp "$data/images/Park_Horse_Lion_Default_Default_v0.png" pug/Cat/0.png
printf 'filename,world_name,character_name,character_scale,camera_yaw,character_texture\n0.png,Arena,Cat,1.0,45,Sky\n' \
  >pug/labels_pug_animal.csv
check "PUG: the licence, always" 0 "must not be used to train generative" "$P" data --under .
check "PUG: listed" 0 "PUG: CC-BY-NC" "$P" data --under . --csv
check "PUG: read" 0 "digest" "$P" data check pug
check "PUG: once to who opens it" 0 "must not be used to train generative" \
  "$P" -e 'print(require("percept").datasets.scenes("pug"):licence())'
"$P" -e 'print(require("percept").datasets.scenes("pug"):count())' >out 2>&1
hasnt "PUG: not again" "must not be used"
check "doctor" 0 "blas core" "$P" doctor --quick
echo "not a database" >text.db
check "doctor: not a database" 1 "this file is not an SQLite database" "$P" doctor --quick --db text.db
check "doctor in a script" 0 '"section": "processor"' "$P" doctor --quick --json

echo "$pass passed, $fail failed"
[ $fail -eq 0 ]
