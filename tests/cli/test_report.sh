#!/bin/sh
# percept report: the file is whole, escapes what it is given and needs nothing besides; a browser, where one is,
# shows it without complaint, light and dark, at the width of a phone.
P=${PERCEPT:-build/percept}
case $P in /*) ;; *) P=$PWD/$P ;; esac
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export HOME="$dir" XDG_CONFIG_HOME="$dir/config" XDG_CACHE_HOME="$dir/cache" XDG_RUNTIME_DIR="$dir"
unset PERCEPT_DB
pass=0 fail=0
ok() { pass=$((pass + 1)); }
bad() { fail=$((fail + 1)); echo "FAIL $*"; head -c 2000 "$dir/out" | sed 's/^/    /'; }
check() { # name, exit code, fixed string in the output, command...
  name=$1 code=$2 pattern=$3
  shift 3
  "$@" >"$dir/out" 2>&1 </dev/null
  got=$?
  if [ $got -ne "$code" ]; then bad "$name: exit $got, not $code"; return; fi
  if [ -z "$pattern" ] || grep -qF -- "$pattern" "$dir/out"; then ok; else bad "$name: no '$pattern'"; fi
}
has() { if grep -qF -- "$2" "$1"; then ok; else grep -o 'id="said".*' "$1" >"$dir/out"; bad "no '$2' in $1"; fi; }
hasnt() { if grep -qF -- "$2" "$1"; then echo "$1" >"$dir/out"; bad "'$2' stands there"; else ok; fi; }
cd "$dir" || exit 1

cat >make.lua <<'END'
local recorder, T, images = require "percept.recorder", require "percept.tensor", require "percept.images"
T.manual_seed(3)
local function write(path, text)
  local f = assert(io.open(path, "w"))
  f:write(text)
  f:close()
end
local db = "r.db"
for _, width in ipairs{32, 64} do
  for seed = 1, 2 do
    local run = recorder.start{db = db, experiment = "study", seed = seed, sweep = "grid", config = {model = {width = width}}}
    for step = 0, 400, 10 do run:log(step, {["vae/loss"] = 100 / width + 50 * math.exp(-step / 60) + seed / 10}) end
    for _, split in ipairs{"id", "ood"} do
      for k, m in ipairs{"encoder", "search"} do
        run:result{method = m, split = split, metric = "accuracy", factor = "animals", value = (split == "id" and .8 or .5) + .1 * k + width / 1e4}
      end
    end
    if width == 32 and seed == 1 then
      local folder = "r.runs/" .. run:uid()
      require("percept.sys").mkdir(folder)
      images.write(folder .. "/scene & co.png", images.grid(T.rand(6, 16, 16, 3), {scale = 4}))
      run:artifact(folder .. "/scene & co.png", {kind = "picture"})
      recorder.start{db = db, experiment = "study", name = "a child", parent = run:uid(), config = {}}:finish()
      write("uid", run:uid())
    end
    run:finish(width == 64 and seed == 2 and "failed" or "done", width == 64 and seed == 2 and "grid failure" or nil)
  end
end
local bad = recorder.start{db = db, experiment = "<script>alert(1)</script>", name = "evil", seed = 7,
  config = {["x<y"] = "<img src=http://example.com/x onerror=alert(1)>"}, tags = {"</title><i>"}}
for step = 1, 3 do bad:log(step, {["<m>&\"'"] = step == 2 and 0 / 0 or step, nan = 0 / 0}) end
bad:finish("failed", "x.lua:3: matmul: a <b> & c\nstack traceback:\n\tx.lua:3: in main chunk")
recorder.query(db, "update run set note = cast(x'ff01' as text) || 'x & <b>note</b>' where name = 'evil'", {}, true)
write("count.lua", [[
-- every tag that is opened is closed, in order; nothing is loaded from anywhere
local text = io.open(arg[1]):read "*a"
local void, open = {meta = 1, img = 1, br = 1, link = 1, wbr = 1}, {}
text = text:gsub("^<!doctype html>", ""):gsub("<style>.-</style>", "")
for slash, name, rest in text:gmatch "<(/?)(%w+)([^>]*)>" do
  if slash == "/" then
    assert(open[#open] == name, ("</%s> closes <%s>"):format(name, tostring(open[#open])))
    open[#open] = nil
  elseif not void[name] and rest:sub(-1) ~= "/" then
    open[#open + 1] = name
  end
end
assert(#open == 0, "left open: " .. table.concat(open, " "))
for _, attribute in ipairs{"src", "href"} do
  for value in text:gmatch(" " .. attribute .. '="([^"]*)"') do assert(value:find "^data:", attribute .. " " .. value) end
end
assert(not text:lower():find "<script" and not text:lower():find "javascript:")
print "sound"
]])
END
check "the database" 0 "" "$P" make.lua
uid=$(cat uid)

check "of a run" 0 "report: run.html" "$P" report "$uid" --db r.db -o run.html
check "its tags" 0 sound "$P" count.lua run.html
for text in "<title>study, $uid</title>" "viewport" 'class="badge done"' "model.width" ">32<" "vae/loss" "a child" "openblas" \
  "scene &amp; co" "data:image/png;base64,iVBOR" "accuracy" "0.903" "<svg" "prefers-color-scheme:dark"; do has run.html "$text"; done
check "of a sweep" 0 "report: grid.html" "$P" report grid --db r.db
check "its tags, too" 0 sound "$P" count.lua grid.html
for text in "best by encoder/ood/accuracy/animals" "2 configurations, 4 runs: 3 done, 1 failed" 'class="best"' "0.603" " ± 0.000 (2)" \
  "grid failure" "width = 32" 'opacity="0.2"'; do has grid.html "$text"; done
check "by another figure" 0 "" "$P" report grid --db r.db --metric vae/loss -o loss.html
has loss.html "best by vae/loss"
has loss.html "the smaller, the better"
check "of a query" 0 "" "$P" report "select method, avg(value) as mean, stddev(value) as sd from result where split = :s group by 1" s=ood \
  --bars --title "A < B" --db r.db -o q.html
check "its tags, too" 0 sound "$P" count.lua q.html
for text in "<h1>A &lt; B</h1>" "s = ood" "search" "<svg" "2 rows"; do has q.html "$text"; done
check "of a shipped query, to standard output" 0 "<h1>@paper</h1>" "$P" report @paper --db r.db -o -
check "of nothing found" 0 "" "$P" report "select 1 as a where 0" --bars --db r.db -o none.html
has none.html "No rows."
check "of an evil run" 0 "" "$P" report evil --db r.db -o evil.html
check "its tags, too" 0 sound "$P" count.lua evil.html
for text in "&lt;script&gt;alert(1)&lt;/script&gt;" "a &lt;b&gt; &amp; c" "in main chunk" "&lt;img src=http" "no data" \
  'class="badge failed"' "&lt;b&gt;note"; do has evil.html "$text"; done
hasnt evil.html "<script"
hasnt evil.html "<img src=http"
rm r.runs/*/"scene & co.png"
check "of a run whose picture is gone" 0 "" "$P" report "$uid" --db r.db -o gone.html
has gone.html "scene &amp; co.png is gone"

check "nothing said" 2 "of what?" "$P" report --db r.db
check "unknown option" 2 "unknown option --bar; did you mean --bars?" "$P" report grid --bar --db r.db
check "unknown run" 1 "sweeps are grid" "$P" report nosuch --db r.db
check "unknown figure" 1 "did you mean vae/loss?" "$P" report grid --metric vae/los --db r.db
check "wrong goal" 2 "--goal needs one of min|max, not 'up'" "$P" report grid --goal up --db r.db
check "wrong SQL" 1 "syntax error" "$P" report "selec 1" --db r.db
check "no database" 1 "nosuch.db" "$P" report x --db nosuch.db
check "nowhere to write" 1 "cannot write /nosuch/r.html" "$P" report grid --db r.db -o /nosuch/r.html
check "too much" 2 "'more' is no parameter" "$P" report @paper more --db r.db

browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
if [ -z "$browser" ] || [ -n "$PERCEPT_SANITIZED" ]; then
  echo "skipped: what a browser shows (no chromium here; Debian: apt-get install chromium)"
  echo "$pass passed, $fail failed"
  [ "$fail" -eq 0 ]
  exit
fi
browse() {
  timeout 60 "$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --no-first-run --disable-extensions \
    --allow-file-access-from-files --user-data-dir="$dir/browser" --enable-logging=stderr "$@" 2>"$dir/console"
}
console() { grep -c CONSOLE "$dir/console"; }
"$P" report "$uid" --db r.db -o run.html >/dev/null
# a frame as wide as a phone; its page may not be wider than it. The frame's own complaint is the only one, and is heard.
cat >frame.html <<'END'
<body style="margin:0"><iframe id="f" style="width:390px;height:900px;border:0"></iframe><p id="said"></p><script>
const f = document.getElementById("f"), pages = ["run.html", "grid.html", "evil.html", "q.html"], said = []
const next = i => {
  if (i === pages.length) { document.getElementById("said").textContent = said.join(" ") + " end"; console.error("control"); return }
  f.onload = () => {
    const d = f.contentDocument, text = parseFloat(f.contentWindow.getComputedStyle(d.body).fontSize)
    said.push(pages[i] + ":" + d.documentElement.scrollWidth + ":" + text + ":" + d.querySelectorAll("svg.plot").length)
    next(i + 1)
  }
  f.src = pages[i]
}
next(0)
</script>
END
browse --virtual-time-budget=8000 --dump-dom "file://$dir/frame.html" >out
if [ "$(console)" -eq 1 ] && grep -q 'CONSOLE.*control' console; then ok; else grep CONSOLE console >out; bad "the console complains"; fi
mv out said
for page in "run.html:390:15:" "grid.html:390:15:" "evil.html:390:15:2" "q.html:390:15:1" " end"; do has said "$page"; done
cat >look.lua <<'END'
-- FILE WIDTH HEIGHT low|high: the picture's size, its brightness, and that it holds more than one colour and a curve's blue
local T, images = require "percept.tensor", require "percept.images"
local p = images.read(arg[1])
assert(p:size(1) == tonumber(arg[3]) and p:size(2) == tonumber(arg[2]), ("%d x %d"):format(p:size(2), p:size(1)))
local x = p:float()
local mean, std = x:mean():item(), x:std():item()
assert(arg[4] == "high" and mean > 200 or arg[4] == "low" and mean < 70, "mean " .. mean)
assert(std > 8, "std " .. std)
local blue = T.tensor(arg[4] == "high" and {0, 114, 178} or {79, 176, 238})
local near = ((x - blue):abs():sum(3):lt(24)):sum():item()
assert(near > 200, "only " .. near .. " pixels of the first series")
print "as it should be"
END
browse --window-size=1200,1400 --screenshot="$dir/light.png" "file://$dir/grid.html" >out
check "light" 0 "as it should be" "$P" look.lua light.png 1200 1400 high
browse --blink-settings=preferredColorScheme=0 --window-size=1200,1400 --screenshot="$dir/dark.png" "file://$dir/grid.html" >out
check "dark" 0 "as it should be" "$P" look.lua dark.png 1200 1400 low
if [ "$(console)" -eq 0 ]; then ok; else grep CONSOLE console >out; bad "the console complains in the dark"; fi
echo "$pass passed, $fail failed"
[ "$fail" -eq 0 ]
