--- The paper's path: train a slot autoencoder on ID images, then perceive ID and OOD images with {encoder, + search,
-- + replay, + replay + search}, and with the methods that generate nothing: a supervised encoder, ridge regression on
-- the pixels (arXiv 2512.08854).
--
-- Every piece is a function a study can call for itself (percept.study.*); perceive.study runs them in the order the
-- quickstart and the studies of experiments/pug share.
local percept = require "percept"
local T = require "percept.tensor"
local health = require "percept.health"
local readout = require "percept.readout"
local report = require "percept.report"
local sys = require "percept.sys"
local defaults = require "percept.study.defaults"
local models = require "percept.study.models"
local measure = require "percept.study.measure"
local scenes = require "percept.study.scenes"
local pictures = require "percept.study.pictures"
local vae = require "percept.study.vae"
local replaying = require "percept.study.replay"
local searching = require "percept.study.search"
local supervised = require "percept.study.supervised"

local perceive = {
  defaults = function(...) return defaults(...) end, recipes = require "percept.study.recipes",
  build = models.build, model = models.make, encode = scenes.encode, labels = scenes.labels,
  train_vae = vae.train, train_replay = replaying.train, search = searching.run, open = scenes.open,
}

--- The ways to perceive, in the order of the tables. The first two generate nothing.
perceive.methods = defaults.methods

local function list_of(names)
  local set = {}
  for _, name in ipairs(names) do
    local known = false
    for _, m in ipairs(perceive.methods) do known = known or m == name end
    if not known then
      local near = percept.nearest(name, perceive.methods)
      error(("methods: '%s' is unknown%s; known are %s"):format(name, near and (", did you mean '%s'?"):format(near) or "",
        table.concat(perceive.methods, ", ")), 0)
    end
    set[name] = true
  end
  if set["replay + search"] then set.replay = true end
  return set
end

-- The autoencoder, and its slots of the ID training images.
local function autoencoder(spec, out)
  local cfg, run, data = spec.config, spec.run, spec.data
  local function make() return models.make(cfg.model, data.dataset, data.factors, data.train) end
  out.encoder, out.decoder = vae.train{
    make = make, dataset = data.dataset, index = data.train, validation = data.split.id_val, config = cfg.vae, run = run,
    seed = spec.seed, checkpoint = run.folder .. "/vae.safetensors", checkpoint_every = cfg.checkpoint_every,
  }
  out.bank = scenes.encode(out.encoder, data.dataset, data.train)
  out.new_encoder = function() return (make()) end
end

local function replayed(spec, out)
  local cfg, run, data = spec.config, spec.run, spec.data
  out.replayed = replaying.train{
    encoder = out.encoder, decoder = out.decoder, bank = out.bank, dataset = data.dataset, index = data.train, config = cfg.replay,
    run = run, seed = spec.seed, offset = cfg.vae.steps, checkpoint = run.folder .. "/replay.safetensors",
    checkpoint_every = cfg.checkpoint_every, new_encoder = out.new_encoder, readouts = out.readouts, cells = data.cells,
  }
end

-- Readouts fitted on ID training images, slot health and whose slot is whose on ID validation.
local function read_out(spec, out)
  local data = spec.data
  T.manual_seed(spec.seed + 1000)
  local labels, classes = scenes.labels(data.dataset, data.factors, data.train)
  out.readouts = readout.fit(out.bank, labels, data.factors, classes, spec.config.readout)
  local z, known = scenes.encode(out.encoder, data.dataset, data.split.id_val), scenes.labels(data.dataset, data.factors, data.split.id_val)
  out.health = health{run = spec.run, decoder = out.decoder, z = z, readouts = out.readouts, labels = known, names = data.labels}
  out.slot_of = out.readouts:match(z, known, out.health)
end

-- Search from `start`'s slots of a set; its cost as figures of the run.
local function searched(spec, out, set, method, z0)
  local cfg, run, name = spec.config, spec.run, set[1]
  local z, cost = searching.run{
    decoder = out.decoder, dataset = spec.data.dataset, index = set[2], z0 = z0, config = cfg.search, readouts = out.readouts,
    title = ("%s %s"):format(name, method), run = run, method = method, split = name,
  }
  local at, n = ("%s/%s/"):format(name, method), set[2]:size(1)
  run:log(cfg.vae.steps + cfg.replay.steps, {
    [at .. "seconds_per_image"] = cost.seconds / n,
    [at .. "decoder_evaluations_per_image"] = cost.evaluations / n,
    [at .. "converged"] = cost.converged,
    [at .. "squared_error_before"] = cost.loss_before,
    [at .. "squared_error_after"] = cost.loss_after,
  })
  for metric, value in pairs{seconds_per_image = cost.seconds / n, decoder_evaluations = cost.evaluations / n,
    converged = cost.converged} do
    measure.row(out.rows, run, method, name, metric, nil, value, n)
  end
  return z
end

-- Slots of a set by every method asked for: method -> (N,K,m).
local function slots_of(spec, out, set, want)
  local dataset, index, z = spec.data.dataset, set[2], {}
  z.encoder = scenes.encode(out.encoder, dataset, index)
  if want.replay then z.replay = scenes.encode(out.replayed, dataset, index) end
  if want.search then z.search = searched(spec, out, set, "search", z.encoder) end
  if want["replay + search"] then z["replay + search"] = searched(spec, out, set, "replay + search", z.replay) end
  return z
end

local function generative(want) return want.encoder or want.search or want.replay or want["replay + search"] end

-- Ridge regression from pixels at 32 x 32 to classes; its penalty is chosen on ID validation.
local function ridge(spec)
  local data = spec.data
  local labels, classes = scenes.labels(data.dataset, data.factors, data.train)
  local regression = require "percept.ridge"
  local function pixels(index) return regression.pixels(data.dataset, index) end
  local fitted = regression.fit(pixels(data.train), labels, classes, {
    validation = {pixels(data.split.id_val), (scenes.labels(data.dataset, data.factors, data.split.id_val))},
  })
  return function(set)
    local x, out = pixels(set[2]), {}
    for _, f in ipairs(data.factors) do out[f] = fitted:predict(x, f) end
    return out
  end
end

--- The whole study on one split. spec: config, run, seed, data (of perceive.open), or in its place dataset, split,
-- factors, scored, scored_name. Returns {rows = {{method, split, metric, factor, value}}, encoder, decoder, replayed,
-- readouts, health, slot_of, slots, predicted, bank}; every row is recorded.
function perceive.study(spec)
  local data = spec.data
  if not data then
    data = {
      dataset = spec.dataset, split = spec.split, factors = spec.factors, scored = spec.scored, scored_name = spec.scored_name,
      train = spec.split.id_train, sets = {{"id", spec.split.id_val}, {"ood", spec.split.ood}}, far = "ood", cells = {}, labels = {},
    }
    spec.data = data
  end
  local cfg, run = spec.config, spec.run
  defaults.check(cfg)
  local want = list_of(cfg.methods or {"encoder", "search", "replay", "replay + search"})
  models.check(cfg.model, data.factors)
  local out = {rows = {}, slots = {}, predicted = {}}
  local others = {}
  for _, set in ipairs(data.sets) do out.predicted[set[1]] = {} end
  if want.ridge then others.ridge = ridge(spec) end
  if want.supervised then
    out.supervised = supervised.train{
      model = cfg.model, dataset = data.dataset, factors = data.factors, index = data.train, validation = data.split.id_val,
      config = cfg.supervised, run = run, seed = spec.seed, offset = cfg.vae.steps + cfg.replay.steps,
      checkpoint = run.folder .. "/supervised.safetensors", checkpoint_every = cfg.checkpoint_every,
    }
    others.supervised = function(set) return out.supervised:predict(data.dataset, set[2]) end
  end
  for _, method in ipairs{"ridge", "supervised"} do
    for _, set in ipairs(others[method] and data.sets or {}) do
      local predicted = others[method](set)
      out.predicted[set[1]][method] = predicted
      measure.accuracy(out.rows, run, data, method, set, predicted)
    end
  end
  if not generative(want) then return out end
  autoencoder(spec, out)
  read_out(spec, out)
  if want.replay then replayed(spec, out) end
  T.manual_seed(spec.seed + 2000) -- what follows does not depend on where a resume began
  for _, set in ipairs(data.sets) do
    local z = slots_of(spec, out, set, want)
    out.slots[set[1]] = z
    for _, method in ipairs(perceive.methods) do
      if z[method] then
        local predicted = {}
        for _, f in ipairs(data.factors) do predicted[f] = out.readouts:predict(z[method], f) end
        out.predicted[set[1]][method] = predicted
        measure.accuracy(out.rows, run, data, method, set, predicted)
        measure.decoder(out.rows, run, data, method, set, out.decoder, z[method])
      end
    end
  end
  return out
end

--- The modules of a study's checkpoints, for load "UID": {encoder, decoder, replayed}. cfg: its configuration.
function perceive.modules(cfg)
  local encoder, decoder = models.build(cfg.model, cfg.size, cfg.size)
  return {encoder = encoder, decoder = decoder, replayed = (models.encoder(cfg.model, cfg.size, cfg.size))}
end

-- The methods that a study has rows of, in the order of the tables.
local function present(rows)
  local set, list = {}, {}
  for _, r in ipairs(rows) do set[r.method] = true end
  for _, m in ipairs(perceive.methods) do
    if set[m] then list[#list + 1] = m end
  end
  return list
end

--- Table, summary line and pictures of a study that has run; data: of perceive.open.
function perceive.show(cfg, run, data, out)
  local factors, methods = {}, present(out.rows)
  for i, f in ipairs(data.factors) do factors[i] = f end
  factors[#factors + 1] = data.scored_name
  report.accuracy_table(out.rows, {
    factors = factors, labels = data.labels, methods = methods, chance = scenes.chance(data),
    splits = {"id", data.far, data.both and data.far .. "_both" or nil},
  })
  local far = {}
  for _, r in ipairs(out.rows) do
    if r.split == data.far and r.factor == data.scored_name and r.metric == "accuracy" then far[r.method] = r.value end
  end
  if far.encoder then
    local parts = {("encoder %.3f"):format(far.encoder)}
    for _, m in ipairs(methods) do
      if m ~= "encoder" then parts[#parts + 1] = ("%s %+.1f points"):format(m, 100 * (far[m] - far.encoder)) end
    end
    local what = data.scored_name == "animals" and "animals" or table.concat(data.scored, " and ")
    print(("\n%s in combinations never seen: %s"):format(what, table.concat(parts, ", ")))
  end
  if out.decoder then
    return pictures.draw{
      data = data, run = run, config = cfg, decoder = out.decoder, bank = out.bank, slot_of = out.slot_of, slots = out.slots,
      predicted = out.predicted, methods = methods,
    }
  end
end

--- A study, from data to table and pictures: what quickstart and experiments/pug share.
-- cfg: perceive.defaults{}; preset: background, texture or object. dataset: a data set, or a table for datasets.dataset, in
-- place of cfg.data.
function perceive.run(cfg, run, preset, dataset)
  local began = sys.time()
  local data = scenes.open(cfg, run, preset, dataset)
  local out = perceive.study{config = cfg, run = run, data = data, seed = run.seed}
  local picture = perceive.show(cfg, run, data, out)
  local seconds = sys.time() - began
  run:result{method = "study", split = "all", metric = "seconds", value = seconds}
  print(("%s(%.0f s in all)"):format(picture and ("picture: %s   "):format(picture) or "", seconds))
  out.data = data
  return out
end

--- PUG-Background: animal x world cells are held out.
function perceive.background(cfg, run) return perceive.run(cfg, run, "background") end

return perceive
