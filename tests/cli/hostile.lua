-- hostile.lua MAKE | PLAN: what test_hostile.sh works with.
-- MAKE: h.db with a row in every table, and the uid of its run in the file `uid`.
-- PLAN: a line for each column and value: table, column, name of the value, SQL expression.
local recorder, records = require "percept.recorder", require "percept.records"

local function make()
  local run = recorder.start{db = "h.db", experiment = "study", name = "n1", seed = 1, sweep = "sw", tags = {"t"}, note = "a note",
    config = {lr = .5, model = {width = 32, deep = true}}, env = {word = "value"}}
  for step = 1, 300 do run:log(step, {loss = 1 / step, score = step}) end
  run:goal("loss", "min")
  run:result{method = "encoder", split = "id", metric = "accuracy", value = .5, factor = "object", n = 9, extra = {1}}
  local f = assert(io.open("a.ckpt", "w"))
  f:write "no checkpoint"
  f:close()
  run:artifact("a.ckpt", {kind = "checkpoint", step = 300})
  run:dataset("d1", "data", 3, "data.npz", "train")
  run:source("script", "s.lua", "return 1")
  run:finish("failed", "broke")
  records.event("h.db", run:uid(), "warning", "an event")
  local child = recorder.start{db = "h.db", experiment = "study", name = "n2", parent = run:uid(), seed = 2, config = {lr = .25}}
  child:log(1, {loss = 2})
  child:finish()
  local digest = records.config_digest(recorder.json{lr = .5, model = {width = 32, deep = true}})
  records.sweep("h.db", "sw", "study", "s.lua", "{}", {command = "percept sweep s.lua", cells = {{digest = digest, seed = 1, set = "{}"},
    {digest = digest, seed = 2, set = "{}"}}})
  recorder.query("h.db", "update run set status = 'running' where name = 'n2'", {}, true) -- one that looks stale
  recorder.query("h.db", "update cell set claim = 'elsewhere:1:1', claim_ms = 1", {}, true)
  f = assert(io.open("uid", "w"))
  f:write(run:uid())
  f:close()
end

local values = {
  {"null", "null"}, {"blob", "x'00ff41'"}, {"integer", "7"}, {"empty", "''"}, {"long", "printf('%.*c', 1000000, 'x')"},
  {"negative", "-3"}, {"large", "4611686018427387904"}, {"least", "-9223372036854775808"}, {"inf", "9e999"}, {"real", "1e-310"},
  {"bytes", "cast(x'41ff8042' as text)"}, {"steers", "cast(x'1b5d303b7842079b4131c29be280ae0a' as text)"},
  {"nul", "cast(x'6100620a' as text)"}, {"words", "'$(touch pwned); ../../x <b>'"},
}

local function plan()
  local tables = "select name from sqlite_master where type = 'table' and name not like 'sqlite%' order by name"
  for _, t in ipairs(recorder.query("h.db", tables)) do
    for _, c in ipairs(recorder.query("h.db", "select name from pragma_table_info(:t)", {t = t.name})) do
      for _, v in ipairs(values) do print(table.concat({t.name, c.name, v[1], v[2]}, "\t")) end
    end
  end
end

if arg[1] == "make" then make() else plan() end
