-- percept.run and percept.recorder: what a script does is in the database, however the script ends.
local check = dofile "tests/lua/check.lua"
local percept = require "percept"
local T = require "percept.tensor"
local recorder = require "percept.recorder"
local sys = require "percept.sys"

local program = os.getenv "PERCEPT" or "build/percept"
if program:sub(1, 1) ~= "/" then program = os.getenv "PWD" .. "/" .. program end
local dir = os.tmpname()
os.remove(dir)
sys.mkdir(dir)

local function at(name) return dir .. "/" .. name end
local function put(name, text)
  local f = assert(io.open(at(name), "wb"))
  f:write(text)
  f:close()
  return at(name)
end

local count = 0
local function fresh()
  count = count + 1
  return at(("db%d.db"):format(count))
end

-- Runs a command line in the scratch folder: exit code, output.
local function shell(line)
  local p = io.popen(("cd '%s' && { %s ; } 2>&1; echo \"exit $?\""):format(dir, line))
  local text = p:read "*a"
  p:close()
  return tonumber(text:match "exit (%d+)%s*$"), text
end

local function one(db, sql, params) return recorder.query(db, sql, params)[1] end

check.test("a run and its rows", function()
  local db = fresh()
  local run = percept.run{db = db, experiment = "mine", name = "first", seed = 7, tags = {"a", "b"}, note = "n",
    config = {width = 64, deep = {rate = 0.5, on = true}, kind = "x", list = {1, 2}}}
  for step = 1, 10 do run:log(step, {loss = 1 / step, grad = T.tensor(2)}) end
  run:log(11, {loss = 0 / 0})
  run:result{method = "search", split = "ood", metric = "accuracy", value = 0.5, factor = "animal", n = 20, extra = {k = 1}}
  run:artifact(put("picture.png", "x"), {kind = "picture", step = 3})
  run:dataset("00112233445566778899aabbccddeeff", "scenes", {n = 4})
  run:tag "c"
  run:goal("loss", "min")
  run:param("later", 3)
  run:flush()
  local r = one(db, "select * from run")
  check.eq({r.experiment, r.name, r.seed, r.status, r.note}, {"mine", "first", 7, "running", "n"})
  local of = " from metric m join metric_name k on k.id = m.name_id where k.name = "
  check.eq(one(db, "select count(*) as n, sum(value) as s" .. of .. "'grad'"), {n = 10, s = 20})
  check.eq(one(db, "select count(*) as n, count(value) as v" .. of .. "'loss'"), {n = 11, v = 10})
  local params = {}
  for _, p in ipairs(recorder.query(db, "select key, num, txt from param")) do params[p.key] = p.txt or p.num end
  check.eq({params.width, params["deep.rate"], params.kind, params.later}, {64, 0.5, "x", 3})
  check.eq(one(db, "select value, factor, n from result"), {value = 0.5, factor = "animal", n = 20})
  check.eq(one(db, "select count(*) as n from tag").n, 3)
  check.eq(one(db, "select kind, bytes from artifact"), {kind = "picture", bytes = 1})
  run:finish()
  check.eq(one(db, "select status from run").status, "done")
  check.eq(run.seed, 7)
  check.eq(run.config.deep.rate, 0.5)
  run.mine = 5
  check.eq(run.mine, 5)
  check.eq(recorder.find(db, "first"), run:uid())
end)

check.test("the seed is given to the generator", function()
  percept.run{db = fresh(), seed = 11}:finish()
  local a = T.rand(3):to_table()
  T.manual_seed(11)
  check.near(T.rand(3):to_table(), a, 0)
end)

check.test("versions", function()
  local db = fresh()
  percept.run{db = db, env = {mine = "1.2"}}:finish()
  local env = {}
  for _, e in ipairs(recorder.query(db, "select key, value from env")) do env[e.key] = e.value end
  for _, key in ipairs{"luajit", "openblas", "sqlite", "simd", "percept"} do check.ok(env[key] and #env[key] > 2, key) end
  check.eq(env.mine, "1.2")
end)

check.test("a forgotten run is not closed by the collector", function()
  local db = fresh()
  percept.run{db = db}:log(1, {x = 1})
  collectgarbage()
  collectgarbage()
  check.eq(one(db, "select status from run").status, "running")
  recorder.finish_open("done")
  check.eq(one(db, "select status from run").status, "done")
end)

check.test("messages", function()
  local db = fresh()
  check.error("~run: unknown option 'experimnt'; did you mean 'experiment'?", percept.run, {experimnt = "x"})
  check.error("~/nonexistent/dir/x.db: unable to open database file", percept.run, {db = "/nonexistent/dir/x.db"})
  check.error("~seed", percept.run, {seed = "x"})
  put("text.db", ("this is no database "):rep(100))
  check.error("~text.db", percept.run, {db = at "text.db"})
  local run = percept.run{db = db, config = {width = 64}}
  check.error("~'loss' is string", run.log, run, 1, {loss = "low"})
  check.error("~'x' is f32 tensor (2)", run.log, run, 1, {x = T.ones(2)})
  check.error("~step", run.log, run, "one", {x = 1})
  check.error("~argument 5 (value)", run.result, run, {method = "a", split = "b", metric = "c"})
  check.error("~unknown option 'metod'", run.result, run, {metod = "a"})
  check.error("~nothing.png", run.artifact, run, at "nothing.png")
  check.error("~width", run.param, run, "width", 65)
  run:param("width", 64)
  check.error("~str", run.finish, run, "finished")
  run:finish()
  check.error("~is done; start a run or resume it", run.log, run, 2, {x = 1})
  run:finish() -- twice: no effect
  check.error("~no such column: nix", recorder.query, db, "select nix from run")
  check.error("~there is no database", recorder.query, at "nothing.db", "select 1")
end)

local script = [[
local percept = require "percept"
local run = percept.run{experiment = "ends", db = "%s", config = {a = 1}}
for i = 1, 5 do run:log(i, {x = i}) end
io.stdout:write "ready\n"
io.stdout:flush()
%s
]]

-- status, error and rows of a script that ends in its own way
local function ending(body, how)
  local db = fresh()
  local path = put("ends.lua", script:format(db, body))
  local code, text = shell(how and how:format(program, path) or ("'%s' '%s'"):format(program, path))
  local r = one(db, "select status, error, (select count(*) from metric) as rows, ended_ms from run")
  check.eq(r.rows, 5, text)
  check.ok(r.ended_ms, "no end: " .. text)
  return r, code, text
end

check.test("ends: the script is over", function()
  local r, code = ending("")
  check.eq({r.status, code}, {"done", 0})
end)

check.test("ends: an error", function()
  local r, code = ending('local x = nil; print(x.y)')
  check.eq({r.status, code}, {"failed", 1})
  check.ok(r.error:find("ends.lua:6: attempt to index", 1, true) and r.error:find("stack traceback", 1, true), r.error)
end)

check.test("ends: os.exit", function()
  local r, code = ending("os.exit(3)")
  check.eq({r.status, code}, {"failed", 3})
  r, code = ending("os.exit(0)")
  check.eq({r.status, code}, {"done", 0})
end)

local signalled = "rm -f out.txt; set -m; '%s' '%s' >out.txt 2>&1 & p=$!; for i in $(seq 600); do "
  .. "grep -q ready out.txt 2>/dev/null && break; sleep 0.05; done; kill -SIG $p; wait $p"
for _, work in ipairs{'local T = percept.tensor; local x = T.ones(100, 100); while true do x = x + 1 end', "jit.off() while true do end"} do
  check.test("ends: Ctrl-C in " .. work:sub(1, 9), function()
    local r, code = ending(work, (signalled:gsub("SIG", "INT")))
    check.eq({r.status, code}, {"killed", 130})
  end)
  check.test("ends: SIGTERM in " .. work:sub(1, 9), function()
    local r, code = ending(work, (signalled:gsub("SIG", "TERM")))
    check.eq({r.status, code}, {"killed", 143})
  end)
end

check.test("experiments end likewise", function()
  for body, want in pairs{[""] = "done", ['error "boom"'] = "failed", ["os.exit(2)"] = "failed"} do
    local db = fresh()
    put("study.lua", ([[
      return require("percept").experiment{name = "s", defaults = {a = 1, m = {b = true}, l = {"x"}},
        run = function(cfg, run) run:log(1, {x = 1}) %s end}]]):format(body))
    shell(("'%s' run study.lua --db '%s' --seed 4 --set a=2.5 --set m.b=false --set l=p,q --tag t --name n"):format(program, db))
    local r = one(db, "select status, seed, name, config_json from run")
    check.eq({r.status, r.seed, r.name}, {want, 4, "n"}, body)
    local config = recorder.parse_json(r.config_json)
    check.eq({config.a, config.m.b, config.l}, {2.5, false, {"p", "q"}})
  end
  local code, text = shell(("'%s' run study.lua --db x.db --set c=1"):format(program))
  check.ok(code == 1 and text:find("--set c: unknown key; known are a, l, m.b", 1, true), text)
  code, text = shell(("'%s' run study.lua --db x.db --set a=low"):format(program))
  check.ok(code == 1 and text:find("--set a=low: a number is expected (default 1)", 1, true), text)
end)

check.test("provenance", function()
  local db = fresh()
  sys.mkdir(at "sub")
  put("sub/helper.lua", "return {answer = 42}")
  put("late.lua", "return {}")
  put("provenance.lua", ([[
    local percept = require "percept"
    local h = require "sub.helper"
    local run = percept.run{db = "%s"}
    require "late"
    require "percept.train"
    assert(h.answer == 42)]]):format(db))
  local code, text = shell(("git init -q . && git add -A && "
    .. "git -c user.name=a -c user.email=a@b commit -qm x; '%s' provenance.lua"):format(program))
  check.eq(code, 0, text)
  local sources = {}
  for _, s in ipairs(recorder.query(db, [[
    select kind, path, unzstd(body) as body from run_source rs join source s on s.digest = rs.digest order by path]])) do
    sources[#sources + 1] = s.kind .. " " .. s.path
    if s.path:find "helper" then check.eq(s.body, "return {answer = 42}") end
  end
  check.eq(sources, {"module ./late.lua", "module ./sub/helper.lua", "script provenance.lua"})
  local r = one(db, "select experiment, commit_id, dirty, host, pid, cpu, threads, command, cwd, script from run")
  check.ok(#r.commit_id == 40 and r.dirty == 0 and r.host and r.pid and r.cpu and r.threads, "facts")
  check.eq({r.experiment, r.command, r.script}, {"provenance", "percept provenance.lua", "provenance.lua"})
end)

check.test("resume from Lua", function()
  local db = fresh()
  local run = percept.run{db = db, config = {a = 1}}
  for i = 1, 9 do run:log(i, {x = i}) end
  local uid = run:uid()
  run:finish("killed", "stopped")
  local again = recorder.resume(db, uid, 5)
  check.eq(again:step(), 5)
  check.eq(one(db, "select status, (select max(step) from metric) as last from run"), {status = "running", last = 5})
  check.error("~alive", recorder.resume, db, uid)
  again:finish()
  check.error("~nosuch", recorder.resume, db, "nosuch")
end)

-- The disk fills while a script records: what was committed stays, the message says what is at stake.
check.test("a database that is gone from its name is noticed, and said", function()
  for what, how in pairs{
    removed = 'os.remove(db)', renamed = 'os.rename(db, db .. ".moved")', log = 'os.remove(db .. "-wal")',
    replaced = 'local f = io.open(db, "rb") local t = f:read "*a" f:close() os.remove(db) f = io.open(db, "wb") f:write(t) f:close()',
  } do
    put("gone.lua", ([[
      local db = "%s"
      local run = require("percept").run{db = db, experiment = "e"}
      run:log(1, {x = 1})
      run:flush()
      %s
      %s]]):format(fresh(), how, what == "renamed" and "" or 'run:log(2, {x = 2}) run:flush() print "unexpected"'))
    local code, text = shell(("'%s' gone.lua"):format(program))
    check.eq(code, 1, what .. ": " .. text)
    check.ok(text:find "was removed" and text:find "nothing can be recorded any more" and not text:find "unexpected", what .. ": " .. text)
  end
end)

check.test("parameters of a query: a text is a text; a word of a command is a number where it reads as one", function()
  local db = fresh()
  percept.run{db = db, experiment = "1e3", name = "007"}:finish()
  for _, text in ipairs{"1e3", "007", "5", "0x10", " 1", "-0", "nan", "", "9007199254740993"} do
    check.eq(one(db, "select :v as v, typeof(:v) as t", {v = text}), {v = text, t = "text"})
  end
  for _, number in ipairs{1, 0.5, -3, 1e300} do check.eq(one(db, "select :v as v", {v = number}).v, number) end
  check.eq(one(db, "select count(*) as n from run where experiment = :e and name = :n", {e = "1e3", n = "007"}).n, 1)
  check.eq({recorder.parameter "0.5", recorder.parameter "-3", recorder.parameter "1e3"}, {0.5, -3, 1000})
  for _, word in ipairs{"007", "x", "", " 1", "0x10", "9007199254740993", "nan", "1e999"} do check.eq(recorder.parameter(word), word) end
end)

check.test("a full disk", function()
  local db = fresh()
  put("full.lua", ([[
    local run = require("percept").run{db = "%s"}
    for i = 1, 50 do run:log(i, {x = i}) end
    run:flush()
    for i = 51, 200000 do run:log(i, {x = i, ["name" .. i] = 1}) end
    run:flush()
    print "unexpected"]]):format(db))
  local code, text = shell(("ulimit -f 1200; '%s' full.lua"):format(program))
  check.eq(code, 1, text)
  check.ok(not text:find "unexpected" and text:find(db:match "[^/]+$", 1, true), text)
  local r = one(db, "select count(distinct step) as n from metric where step <= 50")
  check.eq(r.n, 50, "rows that were flushed")
  check.eq(one(db, "pragma integrity_check").integrity_check, "ok")
  local status = one(db, "select status from run").status -- where it could not be closed, percept runs --reap will
  check.ok(status == "failed" or #recorder.stale(db) == 1, status)
end)

check.test("json", function()
  check.eq(recorder.json{a = 1, b = {1.5, "x", true}}, '{"a": 1, "b": [1.5, "x", true]}')
  check.eq(recorder.parse_json('{"a": [1, {"b": "c"}]}').a[2].b, "c")
  check.error("~json: ", recorder.parse_json, "{")
end)

os.execute("rm -rf '" .. dir .. "'")
check.done()
