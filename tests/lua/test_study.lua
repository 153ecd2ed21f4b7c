--- The studies of experiments/pug on small procedural scenes of other names and numbers: 6 worlds, 8 animals, blanks.
local check = dofile "tests/lua/check.lua"
local make = dofile "tests/lua/make_scenes.lua"
local T = require "percept.tensor"
local perceive = require "percept.perceive"
local models = require "percept.study.models"
local scenes = require "percept.study.scenes"
local recorder = require "percept.recorder"
local process = require "percept.process"
local sys = require "percept.sys"

local folder = os.getenv "TMPDIR" or "/tmp"
folder = ("%s/percept_study_%d"):format(folder, process.pid and process.pid() or math.random(1e9))
sys.mkdir(folder)
local data = folder .. "/scenes"
make(data, {worlds = 6, animals = 8, size = 16, blanks = true, textures = 2})

local tiny = {
  "size=16", "model.slots=3", "model.slot_dim=4", "model.hidden=16", "model.key_dim=8", "model.encoder_width=16", "model.encoder_heads=2",
  "model.conv_channels=8,16", "model.conv_kernel=5,3", "model.conv_stride=2,2", "vae.attempts=2", "vae.attempt_steps=5", "vae.steps=20",
  "vae.log_every=5", "replay.steps=10", "supervised.steps=20", "search.steps=3", "readout.steps=10", "readout.hidden=8",
}

-- Runs a study of experiments/pug in a process of its own; returns exit status and what it printed.
local function study(name, db, extra)
  local line = {os.getenv "PERCEPT" or "build/percept", "run", "experiments/pug/" .. name .. ".lua", "--db", db, "--seed", "3",
    "--threads", "1"}
  for _, list in ipairs{{"data=" .. data}, tiny, extra or {}} do
    for _, s in ipairs(list) do
      line[#line + 1] = "--set"
      line[#line + 1] = s
    end
  end
  for i, word in ipairs(line) do line[i] = "'" .. word .. "'" end
  local pipe = assert(io.popen(table.concat(line, " ") .. " 2>&1; echo status $?"))
  local text = pipe:read "*a"
  pipe:close()
  return tonumber(text:match "status (%d+)%s*$"), text
end

local function one(db, sql) return recorder.query(db, sql, {})[1] end

for _, preset in ipairs{"background", "texture", "object"} do
  check.test(preset .. " runs on scenes of other names and numbers", function()
    local db = ("%s/%s.db"):format(folder, preset)
    local status, text = study(preset, db)
    if status ~= 0 then error(text) end
    local methods = recorder.query(db, "select distinct method as m from result where metric = 'accuracy' order by m", {})
    local names = {}
    for i, r in ipairs(methods) do names[i] = r.m end
    check.eq(names, preset == "texture" and {"encoder", "ridge", "search", "supervised"}
      or {"encoder", "replay", "replay + search", "ridge", "search", "supervised"})
    check.ok(preset ~= "texture" or text:find("no recombination shows", 1, true), "texture says why there is no replay")
    check.ok(one(db, "select count(*) as n from result where metric = 'accuracy' and (value < 0 or value > 1)").n == 0,
      "accuracies are shares")
    check.ok(one(db, "select count(*) as n from result where metric = 'fg_ari' and split = 'ood'").n > 0, "FG-ARI of the attention")
    check.ok(one(db, "select count(*) as n from result where metric = 'squared_error' and method = 'search'").n >= 2, "errors of search")
    check.ok(one(db, "select count(*) as n from artifact where kind = 'picture'").n >= 8, "pictures")
    check.eq(one(db, "select status as s from run where parent_id is null").s, "done")
    -- slot health: a line, rows, a figure that seeds can be averaged of
    local line = one(db, "select json_extract(extra_json, '$.line') as s from result where method = 'slots' and metric = 'good'").s
    check.ok(text:find("\n" .. line .. "\n", 1, true) and line:find("slots: ", 1, true) == 1, line)
    local slots = recorder.query(db, "@slots", {})
    check.eq(#slots, 3)
    local usage = 0
    for _, slot in ipairs(slots) do usage = usage + slot.usage end
    check.near(usage, 1, 1e-6)
    check.eq(one(db, "select count(*) as n from result where metric = 'tells' and split <> 'id'").n, 0, "never OOD")
    check.eq(one(db, "select count(*) as n from result where metric = 'tells' and value = 1 and n is null").n, 0)
    -- what is printed is what is recorded
    local value = one(db, "select value as v from result where method = 'ridge' and split = 'ood' and factor = 'animals'").v
    local pattern = "ridge +ood +[%d. ]*" .. ("%.3f"):format(value):gsub("%.", "%%.") .. "\n"
    check.ok(text:match(pattern), "ridge's line of the table ends with the recorded value")
  end)
end

check.test("on a pseudo-OOD split no OOD image is scored", function()
  local db = folder .. "/pseudo.db"
  local status, text = study("background", db, {"pseudo=0.2", "methods=ridge,encoder"})
  if status ~= 0 then error(text) end
  check.eq(one(db, "select count(*) as n from result where split like 'ood%'").n, 0)
  check.ok(one(db, "select count(*) as n from result where split = 'pseudo'").n > 0)
end)

check.test("the same seed gives the same figures", function()
  local a, b = folder .. "/a.db", folder .. "/b.db"
  check.eq((study("background", a, {"methods=encoder"})), 0)
  check.eq((study("background", b, {"methods=encoder"})), 0)
  local sql = "select group_concat(value, ' ') as v from (select value from result where metric = 'accuracy' order by split, factor)"
  check.eq(one(a, sql).v, one(b, sql).v)
end)

check.test("attempts: the better half goes on to twice the steps, the best one to the end", function()
  local db = folder .. "/attempts.db"
  local status, text = study("background", db, {"methods=encoder", "vae.attempts=5", "vae.attempt_steps=4", "vae.steps=12"})
  if status ~= 0 then error(text) end
  local rows = recorder.query(db, [[select n.name as name, m.step, m.value, e.value as dead
    from metric m join metric_name n on n.id = m.name_id
    join metric_name k on k.name = replace(n.name, 'objective', 'dead')
    join metric e on e.name_id = k.id and e.run_id = m.run_id and e.step = m.step
    where n.name like 'attempt%/objective' order by m.step, e.value, m.value]], {})
  local at = {[4] = 0, [8] = 0}
  for _, r in ipairs(rows) do at[r.step] = at[r.step] + 1 end
  check.eq(at, {[4] = 5, [8] = 2}, "five attempts of 4 steps, two of 8")
  local best = {}
  for i = 1, 2 do best[rows[i].name] = true end
  check.ok(best[rows[6].name] and best[rows[7].name], "the two with the fewest empty slots, then the lowest objective went on")
  local chosen = one(db, "select num as n from param where key = 'attempt' and run_id = 1").n
  check.eq("attempt" .. chosen .. "/objective", rows[6].name)
  check.eq(one(db, "select count(*) as n from metric m join metric_name n on n.id = name_id where n.name = 'vae/objective'").n, 1)
end)

check.test("data efficiency: a part a size, and the summary from SQL", function()
  local db = folder .. "/efficiency.db"
  local status, text = study("data_efficiency", db, {"sizes=40,0", "methods=supervised,encoder,search"})
  if status ~= 0 then error(text) end
  check.eq(one(db, "select count(*) as n from run where experiment = 'data_efficiency/part'").n, 2)
  check.eq(one(db, "select num as n from param join run r on r.id = run_id where r.name = 'n=40' and key = 'limit'").n, 40)
  local out = folder .. "/summary"
  local program = os.getenv "PERCEPT" or "build/percept"
  local pipe = io.popen(("%s run experiments/pug/summary.lua --db %s --set out=%s 2>&1; echo status $?"):format(program, db, out))
  text = pipe:read "*a"
  pipe:close()
  check.ok(text:find "status 0", text)
  check.ok(text:find("| ID images |", 1, true) and text:find("| 40 |", 1, true), text)
  check.ok(sys.exists(out .. "/summary.md"))
end)

check.test("controls: other starts, an unstructured decoder, test-time compute", function()
  local db = folder .. "/controls.db"
  local status, text = study("controls", db, {"views=3", "adapt.steps=2", "bank=16", "images=4"})
  if status ~= 0 then error(text) end
  for _, m in ipairs{"search, start bank", "search, start prior", "search, entropy", "search, 3 starts", "supervised, 3 views",
    "supervised, adapted"} do
    check.ok(one(db, ("select count(*) as n from result where method = '%s' and split = 'ood' and metric = 'accuracy'"):format(m)).n > 0, m)
  end
  local sql = "select count(*) as n from result x join run r on r.id = x.run_id where r.name = 'unstructured' and x.method = 'replay'"
  check.ok(one(db, sql).n > 0)
end)

check.test("replay: a mixture, a fresh encoder, combinations left out; consistency while training", function()
  local db = folder .. "/options.db"
  local status, text = study("background", db, {"methods=replay", "replay.marginals=mixture", "replay.components=2", "replay.fresh=true",
    "vae.consistency=0.1", "vae.consistency_delay=5", "vae.shift=1"})
  if status ~= 0 then error(text) end
  check.ok(one(db, "select count(*) as n from metric_name where name like '%consistency%'").n > 0, "consistency is logged")
  status, text = study("background", db, {"methods=replay", "replay.exclude=true"})
  if status ~= 0 and not text:find("nothing new is left", 1, true) then error(text) end
  status, text = study("texture", db, {"methods=replay", "replay.exclude=true"})
  check.ok(status ~= 0 and text:find("textures are inside", 1, true), text)
end)

check.test("interaction: a part a weight, with derivatives on ID and OOD slots", function()
  local db = folder .. "/interaction.db"
  local status, text = study("interaction", db, {"alphas=0,8", "images=6"})
  if status ~= 0 then error(text) end
  for _, metric in ipairs{"interaction", "mixed_hessian", "jis", "j_ari"} do
    check.eq(one(db, ("select count(*) as n from result where metric = '%s' and method = 'encoder'"):format(metric)).n, 4, metric)
  end
  check.eq(one(db, "select count(*) as n from result where metric in ('mixed_hessian', 'jis') and not value between 0 and 1").n, 0)
end)

check.test("pretraining: from scratch and from masked image modelling", function()
  local db = folder .. "/pretraining.db"
  local status, text = study("pretraining", db, {"amounts=0,40", "pretrain.steps=10", "model.vit.width=24", "model.vit.depth=1",
    "model.vit.heads=2"})
  if status ~= 0 then error(text) end
  check.eq(one(db, "select count(*) as n from run where experiment = 'pretraining/part' and status = 'done'").n, 2)
  check.ok(one(db, "select count(*) as n from metric_name where name like 'pretrain%'").n > 0, "its loss is logged")
end)

check.test("any base with any head", function()
  for i, extra in ipairs{{"model.base=vit"}, {"model.head=slot_attention", "model.decoder=pixel"}, {"model.base=vit",
    "model.head=slot_attention",
    "model.decoder=broadcast"}} do
    extra[#extra + 1], extra[#extra + 2] = "methods=supervised,encoder", "vae.steps=8"
    for _, s in ipairs{"model.vit.width=24", "model.vit.depth=1", "model.vit.heads=2", "model.decoder_width=8"} do extra[#extra + 1] = s end
    local status, text = study("background", ("%s/any%d.db"):format(folder, i), extra)
    if status ~= 0 then error(text) end
  end
end)

check.test("a pretrained base, frozen and with LoRA", function()
  for i, lora in ipairs{0, 2} do
    local db = ("%s/pretrained%d.db"):format(folder, i)
    local status, text = study("background", db, {"model.base=pretrained", "model.weights=tests/golden/vit/hf_dinov2.safetensors",
      "model.pretrained.heads=2", "model.lora=" .. lora, "methods=supervised,encoder,replay", "vae.steps=8"})
    if status ~= 0 then error(text) end
  end
end)

check.test("a configuration is checked before the run begins: every option, with 0, -1, NaN, infinity, 0.5, a wrong word", function()
  local declared = require "percept.base.declared"
  local defaults = require "percept.study.defaults"
  local allowed = { -- options for which the value has a meaning
    [0] = {
      "emoji.seed", "emoji.occlusion", "offset", "split_seed", "pseudo", "limit", "limit_ood", "checkpoint_every", "model.background",
      "model.window", "model.encoder_layers", "model.vit.depth", "model.lora", "model.resize", "model.pretrained.heads", "vae.steps",
      "vae.lr", "vae.warmup", "vae.final", "vae.attempt_steps", "vae.hold", "vae.clip", "vae.sigma", "vae.beta", "vae.alpha",
      "vae.alpha_delay", "vae.alpha_ramp", "vae.shift", "vae.consistency", "vae.consistency_delay", "supervised.steps", "supervised.lr",
      "supervised.warmup", "supervised.final", "supervised.weight_decay", "supervised.shift", "replay.steps", "replay.lr", "replay.warmup",
      "replay.final", "replay.id_batch", "search.steps", "search.lr", "search.prior", "search.entropy", "search.tol", "readout.hidden",
      "readout.steps", "readout.lr", "readout.weight_decay", "readout.noise", "sprites.seed",
    },
    [-1] = {"offset", "split_seed", "sprites.seed", "model.background", "search.entropy", "search.tol"},
  }
  local tried, refused = 0, 0
  local function try(prefix, base, cfg)
    for name, default in pairs(base) do
      local path = prefix .. name
      if type(default) == "table" and #default == 0 and next(default) then
        try(path .. ".", default, cfg)
      else
        local at = cfg
        for part in prefix:gmatch "[^.]+" do at = at[part] end
        local old = at[name]
        local values = type(default) == "number" and {0, -1, 0 / 0, 1 / 0, "x"} or type(default) == "string" and {1, true}
          or type(default) == "table" and {1, {0 / 0}} or {0, "x"}
        for _, value in ipairs(values) do
          at[name] = value
          local fine = false
          for _, known in ipairs(allowed[value] or {}) do fine = fine or type(default) == "number" and known == path end
          local ok, why = pcall(defaults.check, cfg)
          tried, refused = tried + 1, refused + (ok and 0 or 1)
          check.ok(ok == fine and (ok or why:find(path, 1, true)), ("%s = %s: %s"):format(path, tostring(value), tostring(why)))
        end
        at[name] = old
      end
    end
  end
  local cfg = defaults{}
  try("", defaults{}, cfg)
  defaults.check(cfg)
  print(("%d values tried, %d refused by name"):format(tried, refused))
  check.ok(tried > 400)
  for key, value in pairs{
    ["search.method"] = "sgd", ["replay.marginals"] = "foo", ["model.hidden"] = 1.5, fraction = 2, ["vae.attempts"] = 0,
    rule = "line", ["vae.log_every"] = 0, ["search.patience"] = 0,
  } do
    local db = folder .. "/refused.db"
    local status, text = study("background", db, {key .. "=" .. value})
    check.ok(status ~= 0 and text:find(key .. ": expected", 1, true), text)
    check.ok(not require "percept.sys".exists(db), key .. ": no run was opened")
  end
  local own = declared.new("mine", {{"a", "int(1..)", 3}, {"b", {{"c", "str(x|y)", "x"}}}})
  check.eq(own:complete{b = {}}, {a = 3, b = {c = "x"}})
  check.error("mine: b.c: expected one of x|y, got string \"z\"", own.complete, own, {b = {c = "z"}})
  check.error("~mine: unknown option 'b.d'", own.complete, own, {b = {d = 1}})
  local experiment = require "percept.experiment"
  local ran = false
  local spec = {name = "small", defaults = {steps = 0.5}, options = {steps = "int(0..)"}, run = function() ran = true end}
  check.error("small: steps: expected an integer >= 0, got 0.5", experiment.start, spec)
  check.ok(not ran)
end)

check.test("mistakes are told with a remedy", function()
  local db = folder .. "/wrong.db"
  local status, text = study("background", db, {"methods=encoder,serch"})
  check.ok(status ~= 0 and text:find("did you mean 'search'", 1, true), text)
  status, text = study("background", db, {"model.decoder=pixel9"})
  check.ok(status ~= 0 and text:find("did you mean pixel?): known are additive, broadcast, cnn", 1, true), text)
  status, text = study("background", db, {"fraction=0.99"})
  check.ok(status ~= 0 and text:find("fraction", 1, true), text)
end)

check.test("an image limit keeps the split and takes that many", function()
  local run = {dataset = function() end, param = function() end}
  local cfg = perceive.defaults{data = data, size = 16, limit = 30}
  local d = scenes.open(cfg, run, "background")
  check.eq(d.train:size(1), 30)
  check.ok(d.split.id_train:size(1) > 30)
  local all = {}
  for _, i in ipairs(d.split.id_train:to_table()) do all[i] = true end
  for _, i in ipairs(d.train:to_table()) do check.ok(all[i], "an ID image") end
end)

check.test("every decoder by name decodes the study's slots, also a script's own", function()
  local decoders, nn = require "percept.decoders", require "percept.nn"
  function decoders.own(o) -- a picture of one colour: the slots' mean
    return nn.module{
      shift = nn.linear(o.slot_dim, 3),
      forward = function(self, z)
        return self.shift(z:mean(2)):reshape(z:size(1), 1, 1, 3):expand(z:size(1), o.height, o.width_px, 3) + o.bright
      end,
    }
  end
  local seen = 0
  for name, f in pairs(decoders) do
    if type(f) == "function" then
      local model = perceive.defaults{model = {decoder = name, slot_dim = 4, patch = 4, hidden = 16, key_dim = 8, decoder_width = 16,
        decoder_heads = 2, own = {bright = 0.5}}}.model
      local image = T.no_grad(function() return (models.decoder(model, 32, 32)(T.randn(2, 3, 4))) end)
      check.eq({image:size(1), image:size(2), image:size(3), image:size(4)}, {2, 32, 32, 3}, name)
      seen = seen + 1
    end
  end
  check.ok(seen >= 9, seen)
  decoders.own = nil
  check.error("~model.decoder = own: known are additive, broadcast", models.check, {decoder = "own", slots = 3}, {})
end)

local short = {"methods=ridge,encoder,search", "vae.steps=10"}

local function with(words)
  local list = {}
  for _, w in ipairs(short) do list[#list + 1] = w end
  for _, w in ipairs(words) do list[#list + 1] = w end
  return list
end

check.test("a study takes sprites, arrays and a table of the user's", function()
  local datasets = require "percept.datasets"
  local db = folder .. "/kinds.db"
  local status, text = study("background", db, with{"data=sprites", "sprites.count=300"})
  if status ~= 0 then error(text) end
  check.ok(text:find("combinations of shape1 and shape2 are held out", 1, true), text)
  check.ok(text:find("shape1 and shape2 in combinations never seen", 1, true), text)
  check.ok(one(db, "select count(*) as n from result where method = 'search' and split = 'ood' and factor = 'shape2'").n > 0)
  check.eq(one(db, "select name as s from dataset").s, "sprites")

  local d = datasets.open("sprites", {size = 16, count = 300})
  local path = folder .. "/world.npz"
  require "percept.formats".save_npz(path, {images = d:images(nil, "u8"), masks = d:masks(), one = d:factor "shape1",
    two = d:factor "color2"})
  status, text = study("background", db, with{"data=" .. path, "cells=one:two"})
  if status ~= 0 then error(text) end
  check.ok(one(db, "select count(*) as n from result where split = 'ood' and factor = 'two'").n > 0)

  local file = assert(io.open(folder .. "/own.lua", "w"))
  file:write(([[
local percept, perceive = require "percept", require "percept.perceive"
local T = percept.tensor
local d = percept.datasets.open("sprites", {size = 16, count = 300})
percept.datasets.kind{name = "own", what = "of a study", open = function(spec, o)
  return {name = "own", count = d:count(), size = {o.size, o.size, 3}, digest = d:digest(),
    images = function(i, dtype) return d:images(i, dtype) end,
    factors = {{name = "a", values = d:values "shape1", index = d:factor "shape1"},
      {name = "b", values = d:values "shape2", index = d:factor "shape2"}}}
end}
return percept.experiment{name = "own", defaults = perceive.defaults{}, run = function(cfg, run) return perceive.run(cfg, run) end}
]]))
  file:close()
  local line = {os.getenv "PERCEPT" or "build/percept", "run", folder .. "/own.lua", "--db", db, "--threads", "1"}
  for _, list in ipairs{tiny, with{"data=own"}} do
    for _, word in ipairs(list) do line[#line + 1] = "--set '" .. word .. "'" end
  end
  local pipe = assert(io.popen(table.concat(line, " ") .. " 2>&1; echo status $?"))
  text = pipe:read "*a"
  pipe:close()
  check.ok(text:find "status 0", text)
  check.ok(one(db, "select count(*) as n from result r join run on run.id = r.run_id where run.experiment = 'own' and factor = 'b'").n > 0)
end)

check.test("a study says what does not fit a data set", function()
  local db = folder .. "/unfit.db"
  for _, case in ipairs{
    {{"data=sprits"}, "did you mean 'sprites'"}, {{"data=sprites", "cells=shape1:shape9"}, "did you mean 'shape1'"},
    {{"data=sprites", "cells=shape1"}, "no pair FACTOR:FACTOR"}, {{"data=sprites", "factors=colour"}, "no factor 'colour'"},
    {{"data=sprites", "worlds=Park"}, "rows cannot be chosen by world_name"},
    {{"data=" .. folder .. "/world.npz", "size=32"}, "images are 16 x 16, and size = 32"},
  } do
    local status, text = study("background", db, with(case[1]))
    check.ok(status ~= 0 and text:find(case[2], 1, true), text)
  end
  local status, text = study("texture", db, with{"data=sprites"})
  check.ok(status ~= 0 and text:find("say which are combined with cells=FACTOR:FACTOR", 1, true), text)
end)

os.execute(("rm -rf '%s'"):format(folder))
check.done()
