--- Studies: typed overrides, callbacks, early stopping, which checkpoints stay, what loops log, child runs.
local percept = require "percept"
local T = require "percept.tensor"
local nn, optim, sys = require "percept.nn", require "percept.optim", require "percept.sys"
local experiment, train, recorder = require "percept.experiment", require "percept.train", require "percept.recorder"
local check = dofile "tests/lua/check.lua"
local test = check.test

local folder = os.tmpname()
os.remove(folder)
sys.mkdir(folder)
local db = folder .. "/runs.db"
require("percept.run.session").new{db = db}:enter()

local defaults = {steps = 10, fast = false, name = "x", widths = {32, 64}, words = {"a"}, flags = {true}, none = {},
  model = {width = 64, head = {kind = "mlp", lr = 1e-3}}}

test("overrides take the type of their default", function()
  local c = experiment.configure(defaults, {steps = "20", fast = "true", name = "7", widths = "[1, 2.5]", words = "b,c",
    flags = "false,true", none = "u,v", ["model.head.lr"] = "1e-4"})
  check.eq(c, {steps = 20, fast = true, name = "7", widths = {1, 2.5}, words = {"b", "c"}, flags = {false, true},
    none = {"u", "v"}, model = {width = 64, head = {kind = "mlp", lr = 1e-4}}})
  check.eq(defaults.model.head.lr, 1e-3, "the defaults stay")
  check.eq(experiment.configure(defaults, {widths = "7"}).widths, {7})
  check.eq(experiment.configure(defaults, {widths = ""}).widths, {})
end)

test("values of a recorded configuration do, too", function()
  local json = recorder.json(defaults)
  local c = experiment.configure(defaults, experiment.flatten(recorder.parse_json(json)))
  check.eq(c, defaults)
end)

test("nested keys are flattened, lists are values", function()
  check.eq(experiment.flatten{a = {b = {c = 1}}, l = {1, 2}}, {["a.b.c"] = 1, l = {1, 2}})
end)

for _, case in ipairs{
  {{steps = "many"}, '--set steps=many: a number is expected (default 10), got string "many"'},
  {{fast = "1"}, '--set fast=1: true or false is expected (default false), got string "1"'},
  {{widths = "1,x"}, '--set widths=1,x: a list of numbers, as in 1,2,3, is expected (default {32,64}), got string "1,x"'},
  {{flags = "true,no"}, "~true or false is expected"},
  {{name = true}, '--set name=true: a string is expected (default string "x"), got true'},
  {{["model.widht"] = "1"}, "~--set model.widht: unknown key, did you mean 'model.width'?; known are fast, flags, model.head.kind"},
  {{kind = "cnn"}, "~unknown key, did you mean 'model.head.kind'?"},
  {{model = "1"}, "--set model: this is a group; its keys are model.head.kind, model.head.lr, model.width"},
  {{zzzzzzzz = "1"}, "~--set zzzzzzzz: unknown key; known are"},
} do
  test("message: " .. case[2], function() check.error(case[2], experiment.configure, defaults, case[1]) end)
end

test("what a study may say is checked", function()
  check.error("~experiment: unknown key 'default', did you mean 'defaults'?", function()
    percept.experiment{name = "x", default = {}, run = function() end}
  end)
  check.error("~experiment: 'run' is missing", function() percept.experiment{name = "x"} end)
  check.error("~experiment: run is a table; a function is expected", function() percept.experiment{name = "x", run = {}} end)
end)

-- A loop whose evaluations follow a script: {values of eval, one after the other}.
local function study(options)
  local model = nn.linear(2, 1)
  local optimizer = optim.sgd(model, {lr = options.rate or 1e-38})
  local x = T.ones(4, 2)
  local spec = {
    name = "fit", steps = options.steps or 40, optimizer = optimizer, modules = {model = model}, quiet = true, log_every = 5,
    step = function()
      local loss = model(x):pow(2):mean()
      return loss, {attention = options.attention}
    end,
  }
  for key, value in pairs(options.loop or {}) do spec[key] = value end
  return spec, model
end

local function rows(sql, uid) return recorder.query(db, sql, {uid = uid}) end
local function files(run)
  local names = {}
  for _, path in ipairs(percept.edit.glob(run.folder .. "/*")) do names[#names + 1] = path:match "[^/]+$" end
  return names
end

test("training stops when patience is at its end; best, latest and every N stay", function()
  local script, asked = {5, 4, 3, 3.5, 3.2, 3.1, 9, 9}, 0
  local run, seen = nil, {}
  percept.experiment{
    name = "early", defaults = {a = {b = 1}}, seed = 3,
    on_step = function(_, t) seen.step = t end,
    on_log = function(_, t, row) seen.log, seen.row = t, row end,
    on_eval = function(_, t, figures) seen.eval, seen.value = t, figures.loss end,
    on_checkpoint = function(_, path, t) seen.checkpoint, seen.path = t, path end,
    on_end = function(r, status) seen.ended = status == "done" and r:uid() end,
    run = function(cfg, r)
      run = r
      check.eq(rows("select config_json from run where uid = :uid", r:uid())[1].config_json, '{"a":{"b":1}}',
        "the configuration is there before the first step")
      check.eq(cfg.a.b, 1)
      local figures, t = train.loop(study{loop = {run = r, eval_every = 5, keep_every = 10, watch = {patience = 3}, eval = function()
        asked = asked + 1
        return {loss = script[asked], other = T.tensor(1)}
      end}})
      check.eq(t, 30)
      check.ok(figures.loss)
    end,
  }
  check.eq({asked, seen.step, seen.log, seen.eval, seen.value, seen.checkpoint}, {6, 30, 30, 30, 3.1, 30})
  check.eq(seen.ended, run:uid())
  check.ok(seen.row.grad_norm >= 0 and seen.row.lr < 1e-30)
  check.eq(files(run), {"fit-00000010.safetensors", "fit-00000020.safetensors", "fit-00000030.safetensors",
    "fit-best-00000015.safetensors"})
  check.eq(rows("select kind, step from artifact a join run r on r.id = a.run_id where uid = :uid and kind = 'best' and step = 15",
    run:uid())[1], {kind = "best", step = 15})
  local evals = rows([[select count(*) as n, min(step) as first from metric m join metric_name n on n.id = m.name_id
    join run r on r.id = m.run_id where r.uid = :uid and n.name = 'fit/eval/loss']], run:uid())[1]
  check.eq(evals, {n = 6, first = 5})
end)

test("a loop taken up again remembers how long it waited, and that it stopped", function()
  local path = folder .. "/waits.safetensors"
  local function go(steps, values)
    local asked = 0
    local spec = study{steps = steps, loop = {checkpoint = path, eval_every = 5, watch = {metric = "score", goal = "max", patience = 3},
      eval = function()
        asked = asked + 1
        return {score = values[asked]}
      end}}
    local _, t = train.loop(spec)
    return t, asked
  end
  check.eq({go(15, {3, 2, 1})}, {15, 3})
  check.eq({go(100, {2.9, 99})}, {20, 1}) -- the third evaluation that is no better
  check.eq({go(100, {99})}, {20, 0})
end)

test("an evaluation that a cut came before is made when the loop goes on", function()
  local path, asked = folder .. "/cut.safetensors", {}
  local function go(fails)
    local spec = study{steps = 10, loop = {checkpoint = path, eval_every = 5, eval = function(t)
      asked[#asked + 1] = t
      if fails then error("interrupted", 0) end
      return {loss = 1}
    end}}
    return pcall(train.loop, spec)
  end
  check.eq(go(true), false)
  check.eq({train.rescue()}, {5, path})
  check.eq(go(false), true)
  check.eq(asked, {5, 5, 10})
end)

test("slot entropy and dead slots by hand", function()
  local even = T.full({2, 5, 4}, 0.25)
  local f = train.slot_figures(even)
  check.near(f.slot_entropy, 1, 1e-5)
  check.eq(f.dead_slots, 0)
  local hard = T.zeros(1, 4, 4)
  hard[{1, {1, 2}, 1}] = 1
  hard[{1, {3, 4}, 3}] = 1
  f = train.slot_figures(hard)
  check.near(f.slot_entropy, 0, 1e-5)
  check.eq(f.dead_slots, 2)
end)

test("loops log slots and speed by themselves", function()
  local row
  local spec = study{steps = 5, attention = T.full({8, 9, 2}, 0.5), loop = {on_log = function(_, r) row = r end}}
  train.loop(spec)
  check.near(row.slot_entropy, 1, 1e-5)
  check.eq(row.dead_slots, 0)
  check.ok(row.images_per_second > 0)
  check.ok(row.grad_norm > 0)
end)

test("mistakes in a loop's options are told", function()
  check.error("~train.loop: unknown option 'evalevery', did you mean 'eval_every'?", train.loop, (study{loop = {evalevery = 3}}))
  check.error("train.loop: watch needs eval, whose figures it watches", train.loop, (study{loop = {watch = {}}}))
  check.error("train.loop: watch.metric = 'los', but eval returns loss", train.loop,
    (study{steps = 1, loop = {watch = {metric = "los"}, eval = function() return {loss = 1} end}}))
  check.error("train.loop: option 'step' is missing", train.loop, {name = "x", steps = 1})
end)

test("child runs hang on their parent and end with it", function()
  local parent, child
  check.error("~boom", function()
    percept.experiment{name = "family", run = function(_, run)
      parent = run:uid()
      local one = run:child{kind = "inversion", name = "ood", config = {steps = 3}}
      one:log(1, {loss = 2})
      one:finish()
      child = run:child{kind = "replay"}:uid()
      check.error("~run:child: unknown option 'kin'; known are", run.child, run, {kin = 1})
      error("boom")
    end}
  end)
  local list = recorder.query(db, "@children", {run = parent})
  check.eq({list[1].experiment, list[1].name, list[1].status}, {"family/inversion", "ood", "done"})
  check.eq({list[1].figure, list[1].value}, {"loss", 2})
  check.eq({list[2].experiment, list[2].uid, list[2].status}, {"family/replay", child, "failed"})
end)

os.execute("rm -rf '" .. folder .. "'")
check.done()
