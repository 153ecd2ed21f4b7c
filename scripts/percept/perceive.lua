--- The paper's path: train a slot autoencoder on ID images, then perceive ID and OOD
-- images with {encoder, + search, + replay, + replay + search} (arXiv 2512.08854).
--
-- Every piece is a function a study can call for itself; perceive.study runs them in
-- the order the quickstart and the PUG studies share.
local percept = require "percept"
local T = require "percept.tensor"
local nn = require "percept.nn"
local optim = require "percept.optim"
local encoders = require "percept.encoders"
local decoders = require "percept.decoders"
local inverter = require "percept.inverter"
local replay = require "percept.replay"
local interaction = require "percept.interaction"
local datasets = require "percept.datasets"
local images = require "percept.images"
local readout = require "percept.readout"
local train = require "percept.train"
local pictures = require "percept.pictures"
local progress = require "percept.progress"
local report = require "percept.report"
local sys = require "percept.sys"

local perceive = {}

--- Xavier weights, He convolutions, zero biases: what the short recipes start from.
local function initialise(module)
  local state = module:state()
  for _, name in ipairs(module:names()) do
    local t = state[name]
    if name:match "weight$" and t:dim() == 2 then
      nn.init(t, "xavier_uniform")
    elseif name:match "weight$" and t:dim() == 4 then
      nn.init(t, "kaiming_normal", {gain = math.sqrt(2)})
    elseif name:match "bias$" then
      nn.init(t, "zeros")
    end
  end
end

--- Encoder and decoder of the study's sizes for images of height x width, as their constructors leave them.
function perceive.build(model, height, width)
  local encoder = encoders.slots{
    slots = model.slots, slot_dim = model.slot_dim, height = height, width_px = width,
    width = model.encoder_width, heads = model.encoder_heads, layers = model.encoder_layers,
    conv_channels = model.conv_channels, conv_kernel = model.conv_kernel, conv_stride = model.conv_stride,
    token_maps = true, position_sd = 0.5, query_sd = 0.3,
  }
  local decoder
  local kind = model.decoder or "render"
  if kind == "cross" then -- the predecessor's Transformer (paper.md 6.1): more layers, many more steps
    decoder = decoders.cross{
      slots = model.slots, slot_dim = model.slot_dim, height = height, width_px = width, patch = model.patch,
      width = model.decoder_width, heads = model.decoder_heads, layers = model.decoder_layers,
    }
  elseif kind == "mlp" then
    error("model.decoder = mlp gives no slot attention, which the interaction penalty needs; use cross or render", 0)
  elseif kind == "render" then
    decoder = decoders.render{
      slots = model.slots, slot_dim = model.slot_dim, height = height, width_px = width, patch = model.patch,
      hidden = model.hidden, key_dim = model.key_dim, background = model.background,
    }
  else
    error(("model.decoder = %s: known are render, cross"):format(kind), 0)
  end
  return encoder, decoder
end

--- Encoder and decoder that fit a dataset. model: the study's sizes. Slots and image size
-- are checked against the dataset here, before the first step. index: the ID training
-- images, whose mean the encoder subtracts and the decoder adds.
function perceive.model(model, dataset, factors, index)
  if model.slots < #factors then
    error(("model: %d slots cannot hold the %d factors %s of this dataset; set model.slots to at least %d"):format(
      model.slots, #factors, table.concat(factors, ", "), #factors), 0)
  end
  local encoder, decoder = perceive.build(model, dataset:height(), dataset:width())
  T.no_grad(function()
    initialise(encoder)
    initialise(decoder)
    encoder.head.bias:narrow(1, model.slot_dim + 1, model.slot_dim):fill_(-2) -- small spread at first
    local x = dataset:images(index)
    local mean = x:mean(1)
    encoder.input_mean:copy_(mean)
    encoder.input_scale:copy_((x - mean):std())
    if (model.decoder or "render") == "render" then decoder.mean:copy_(mean) end
  end)
  return encoder, decoder
end

--- Applies f to chunks of the images at `index`; returns the results joined.
local function by_chunks(dataset, index, chunk, f)
  local parts, n = {}, index:size(1)
  for from = 1, n, chunk do
    parts[#parts + 1] = f(dataset:images(index:narrow(1, from, math.min(chunk, n - from + 1))))
  end
  return T.cat(parts, {dim = 1})
end

--- Slot means (N,K,m) of the images at `index`, without history.
function perceive.encode(encoder, dataset, index)
  return T.no_grad(function()
    return by_chunks(dataset, index, 128, function(x) return (encoder(x)) end)
  end)
end

--- Labels of the images at `index`: factor -> (N) class indices; and factor -> number of classes.
function perceive.labels(dataset, factors, index)
  local labels, classes = {}, {}
  for _, f in ipairs(factors) do
    labels[f] = dataset:factor(f, index)
    classes[f] = #dataset:values(f)
  end
  return labels, classes
end

-- The VAE's terms for images x: squared error per image, KL, interaction.
local function vae_terms(encoder, decoder, x, noise)
  local mean, log_std = encoder(x)
  local z = noise and mean + log_std:exp() * T.randn(mean:shape()) or mean
  local image, attention = decoder(z)
  return nn.mse(image, x, {reduction = "batch_mean"}), nn.kl(mean, log_std), interaction.attention(attention), attention
end

-- One attempt: models, optimiser and position in the data, all from one seed.
local function new_attempt(o, seed)
  T.manual_seed(seed)
  local encoder, decoder = o.make()
  local model = nn.module{encoder = encoder, decoder = decoder, forward = function(self, x) return self.encoder(x) end}
  return {
    encoder = encoder, decoder = decoder, model = model, optimizer = optim.adam(model, {lr = o.config.lr}),
    batches = datasets.batches(o.index, o.config.batch, {seed = seed}),
  }
end

-- The objective on ID validation images, with the penalty at full weight: what attempts are chosen by.
local function validation(o, attempt)
  local c, sum, n = o.config, 0, o.validation:size(1)
  return T.no_grad(function()
    for from = 1, n, 128 do
      local count = math.min(128, n - from + 1)
      local mse, kl, inter = vae_terms(attempt.encoder, attempt.decoder, o.dataset:images(o.validation:narrow(1, from, count)), false)
      sum = sum + count * (mse * c.sigma + kl * c.beta + inter * c.alpha):item()
    end
    return sum / n
  end)
end

--- Trains the VAE: sigma * squared error per image + beta * KL + alpha(t) * interaction.
-- Slots sometimes begin badly (one takes two objects) and never recover; whether they do shows
-- early in the objective. So `attempts` short trainings of `attempt_steps` are made, and the one
-- with the lowest objective on ID validation images (no labels, no OOD) goes on to `steps`.
-- o: make (-> encoder, decoder), dataset, index, validation (indices), config, run, seed, checkpoint.
-- Returns encoder, decoder.
function perceive.train_vae(o)
  local c = o.config
  local rate = optim.schedule{
    {kind = "linear", from = 0, to = c.lr, steps = c.warmup},
    {kind = "constant", from = c.lr, steps = math.max(1, math.floor(c.steps * c.hold) - c.warmup)},
    {kind = "cosine", from = c.lr, to = c.lr * c.final, steps = math.max(1, c.steps - math.floor(c.steps * c.hold))},
  }
  local alpha = optim.schedule{
    {kind = "constant", from = 0, steps = math.max(1, c.alpha_delay)},
    {kind = "linear", from = 0, to = c.alpha, steps = math.max(1, c.alpha_ramp)},
  }
  local pixels = o.dataset:height() * o.dataset:width() * 3
  local function loop(attempt, options)
    return train.loop{
      name = options.name, steps = options.steps, first = options.first, optimizer = attempt.optimizer,
      modules = {encoder = attempt.encoder, decoder = attempt.decoder}, batches = attempt.batches, lr = rate, clip = c.clip, run = o.run,
      checkpoint = options.checkpoint, checkpoint_every = o.checkpoint_every, log_every = c.log_every,
      step = function(t)
        local x = o.dataset:images(attempt.batches:next())
        local mse, kl, inter, attention = vae_terms(attempt.encoder, attempt.decoder, x, true)
        return mse * c.sigma + kl * c.beta + inter * alpha(t - 1),
          {mse = mse / pixels, kl = kl, interaction = inter, attention = attention}
      end,
    }
  end
  local best
  local resumed = train.newest(o.checkpoint, o.run) ~= nil
  for k = 1, resumed and 0 or c.attempts do
    local attempt = new_attempt(o, o.seed * 1000 + k)
    loop(attempt, {name = "attempt" .. k, steps = math.min(c.attempt_steps, c.steps)})
    attempt.objective, attempt.rng, attempt.number = validation(o, attempt), T.get_rng_state(), k
    o.run:log(k, {["attempts/objective"] = attempt.objective})
    if not best or attempt.objective < best.objective then best = attempt end
  end
  if best then
    T.set_rng_state(best.rng)
    o.run:param("attempt", best.number)
  else
    best = new_attempt(o, o.seed * 1000 + 1)
  end
  loop(best, {name = "vae", steps = c.steps, first = resumed and 0 or math.min(c.attempt_steps, c.steps), checkpoint = o.checkpoint})
  for _, path in ipairs(percept.edit.glob((o.checkpoint or ""):match "^(.-)[^/]*$" .. "attempt*.safetensors")) do
    os.remove(path) -- of the attempts; the best one has gone on
  end
  o.run:log(c.steps, {["vae/objective"] = validation(o, best)})
  return best.encoder, best.decoder
end

--- Fine-tunes a copy of the encoder on decoded recombinations of ID slots (replay), mixed
-- with ID images whose targets are the first encoder's slots. Returns the new encoder.
function perceive.train_replay(o)
  local c = o.config
  local fresh = o.new_encoder()
  fresh:copy_from(o.encoder)
  local optimizer = optim.adam(fresh, {lr = c.lr})
  local rate = optim.schedule{
    {kind = "linear", from = 0, to = c.lr, steps = math.max(1, c.warmup)},
    {kind = "cosine", from = c.lr, to = c.lr * c.final, steps = math.max(1, c.steps - c.warmup)},
  }
  local batches = datasets.batches(o.index, math.max(1, c.id_batch), {seed = o.seed + 1})
  local child = o.run:child{kind = "replay", name = "replay", config = c}
  train.loop{
    name = "replay", steps = c.steps, offset = o.offset, optimizer = optimizer, modules = {replayed = fresh}, batches = batches,
    lr = rate, clip = c.clip, run = o.run, checkpoint = o.checkpoint, checkpoint_every = o.checkpoint_every,
    log_every = c.log_every, images = c.batch + c.id_batch,
    on_log = function(t, row)
      local figures = {}
      for name, v in pairs(row) do figures["replay/" .. name] = v end
      child:log(t, figures)
    end,
    step = function()
      local z, x = T.no_grad(function()
        local slots = replay.sample(o.bank, c.batch, {marginals = c.marginals})
        local image = o.decoder(slots):clamp(0, 1)
        if c.id_batch > 0 then
          local index = batches:next()
          local real = o.dataset:images(index)
          slots = T.cat{slots, (o.encoder(real)), dim = 1}
          image = T.cat{image, real, dim = 1}
        end
        return slots, image
      end)
      return nn.mse((fresh(x)), z, {reduction = "batch_mean"})
    end,
  }
  child:finish()
  return fresh
end

-- A search as a child run: the mean loss of its images at every step, and what it cost.
local function record_search(o, trace, cost)
  local config = {method = o.method, split = o.split, images = o.index:size(1)}
  for key, value in pairs(o.config) do config[key] = value end
  local child = o.run:child{kind = "inversion", name = o.title, config = config}
  for k, loss in ipairs((trace / o.index:size(1)):to_table()) do child:log(k - 1, {["search/squared_error"] = loss}) end
  child:log(o.config.steps, {["search/decoder_evaluations_per_image"] = cost.evaluations / o.index:size(1)})
  child:finish()
end

--- Slots of the images at `index` after search from z0; also the mean loss before and after. With o.run,
-- o.method and o.split it becomes a child run.
function perceive.search(o)
  local c, n = o.config, o.index:size(1)
  local trace = T.zeros(c.steps + 1)
  local bar = progress.start{title = o.title or "search", total = n}
  local parts, evaluations, first, last = {}, 0, 0, 0
  o.decoder:freeze()
  for from = 1, n, c.batch do
    local count = math.min(c.batch, n - from + 1)
    local x = o.dataset:images(o.index:narrow(1, from, count))
    local r = inverter.search(o.decoder, x, o.z0:narrow(1, from, count), {
      method = c.method, steps = c.steps, lr = c.lr, prior = c.prior, tol = c.tol, patience = c.patience, batch = c.batch,
      trace = true,
    })
    parts[#parts + 1] = r.z
    evaluations = evaluations + r.evaluations
    trace = trace + r.trace:sum(1)
    first, last = first + r.trace:select(2, 1):sum():item(), last + r.loss:sum():item()
    bar:show(from + count - 1, {loss = last / (from + count - 1)})
  end
  o.decoder:unfreeze()
  bar:finish{loss = last / n}
  local cost = {evaluations = evaluations, loss_before = first / n, loss_after = last / n}
  if o.run then record_search(o, trace, cost) end
  return T.cat(parts, {dim = 1}), cost
end

--- The whole study on one split. spec: config, run, dataset, split, factors, seed.
-- Returns {rows = {{method, split, factor, value}}, encoder, decoder, ...}; every row is recorded.
function perceive.study(spec)
  local cfg, run, dataset, split, factors = spec.config, spec.run, spec.dataset, spec.split, spec.factors
  local folder = run.folder
  local function make() return perceive.model(cfg.model, dataset, factors, split.id_train) end
  local every = cfg.checkpoint_every
  local encoder, decoder = perceive.train_vae{
    make = make, dataset = dataset, index = split.id_train, validation = split.id_val, config = cfg.vae, run = run,
    seed = spec.seed, checkpoint = folder .. "/vae.safetensors", checkpoint_every = every,
  }
  local out = {rows = {}, encoder = encoder, decoder = decoder}
  local bank = perceive.encode(encoder, dataset, split.id_train)
  local replayed = perceive.train_replay{
    encoder = encoder, decoder = decoder, bank = bank, dataset = dataset, index = split.id_train, config = cfg.replay,
    run = run, seed = spec.seed, offset = cfg.vae.steps, checkpoint = folder .. "/replay.safetensors", checkpoint_every = every,
    new_encoder = function() return (make()) end,
  }
  out.replayed = replayed

  T.manual_seed(spec.seed + 1000) -- what follows does not depend on where a resume began
  local sets = {{"id", split.id_val}, {"ood", split.ood}}
  local labels, classes = perceive.labels(dataset, factors, split.id_train)
  local readouts = readout.fit(bank, labels, factors, classes, cfg.readout)
  local val_labels = perceive.labels(dataset, factors, split.id_val)
  out.slot_of = readouts:match(perceive.encode(encoder, dataset, split.id_val), val_labels)
  out.readouts = readouts
  out.slots = {}
  for _, set in ipairs(sets) do
    local name, index = set[1], set[2]
    local truth = perceive.labels(dataset, factors, index)
    local z = {encoder = perceive.encode(encoder, dataset, index), replay = perceive.encode(replayed, dataset, index)}
    for _, start in ipairs{"encoder", "replay"} do
      local method = start == "encoder" and "search" or "replay + search"
      local began = sys.time()
      local cost
      z[method], cost = perceive.search{
        decoder = decoder, dataset = dataset, index = index, z0 = z[start], config = cfg.search,
        title = ("%s %s"):format(name, method), run = run, method = method, split = name,
      }
      local at = ("%s/%s/"):format(name, method)
      run:log(cfg.vae.steps + cfg.replay.steps, {
        [at .. "seconds_per_image"] = (sys.time() - began) / index:size(1),
        [at .. "decoder_evaluations_per_image"] = cost.evaluations / index:size(1),
        [at .. "squared_error_before"] = cost.loss_before,
        [at .. "squared_error_after"] = cost.loss_after,
      })
    end
    out.slots[name] = z
    for _, method in ipairs(perceive.methods) do
      local score, sum, parts = readouts:score(z[method], truth), 0, 0
      for _, f in ipairs(factors) do
        out.rows[#out.rows + 1] = {method = method, split = name, factor = f, value = score[f]}
        run:result{method = method, split = name, metric = "accuracy", factor = f, value = score[f]}
      end
      for _, f in ipairs(spec.scored) do sum, parts = sum + score[f], parts + 1 end
      out.rows[#out.rows + 1] = {method = method, split = name, factor = spec.scored_name, value = sum / parts}
      run:result{method = method, split = name, metric = "accuracy", factor = spec.scored_name, value = sum / parts}
    end
  end
  return out
end

--- The modules of a study's checkpoints, for load "UID": {encoder, decoder, replayed}. cfg: its configuration.
function perceive.modules(cfg)
  local encoder, decoder = perceive.build(cfg.model, cfg.size, cfg.size)
  return {encoder = encoder, decoder = decoder, replayed = (perceive.build(cfg.model, cfg.size, cfg.size))}
end

--- A background study (PUG-Background) on a folder of scenes, from data to table and picture: what
-- quickstart and experiments/pug/background.lua share. cfg: data, size, worlds (list, or empty for
-- all), fraction, offset, model, vae, replay, search, readout. Names of factors are PUG's.
function perceive.background(cfg, run)
  local began = sys.time()
  local only = #cfg.worlds > 0 and {world_name = cfg.worlds} or nil
  local dataset = datasets.scenes(cfg.data, {height = cfg.size, width = cfg.size, only = only})
  local split = datasets.split(dataset, {
    preset = "background", rule = "band", fraction = cfg.fraction, offset = cfg.offset, val = 0.12, seed = 1,
  })
  run:dataset(dataset:digest(), cfg.data:match "([^/]+)/*$", {n = dataset:count(), path = cfg.data})
  run:param("split.digest", split.digest)
  local factors = {"character_name", "character2_name", "world_name"}
  local animals = {"character_name", "character2_name"}
  print(("%d images of %d x %d: %d to train on, %d ID to validate, %d OOD (a held-out animal x world cell, # below)"):format(
    dataset:count(), cfg.size, cfg.size, split.id_train:size(1), split.id_val:size(1), split.ood:size(1)))
  print(split.cells)
  local out = perceive.study{
    config = cfg, run = run, dataset = dataset, split = split, factors = factors, seed = run.seed,
    scored = animals, scored_name = "animals",
  }
  local chance = {}
  for _, f in ipairs(factors) do chance[f] = 1 / #dataset:values(f) end
  chance.animals = (chance.character_name + chance.character2_name) / 2
  report.accuracy_table(out.rows, {
    factors = {"character_name", "character2_name", "world_name", "animals"},
    labels = {character_name = "left", character2_name = "right", world_name = "world"},
    methods = perceive.methods, chance = chance,
  })
  local ood = {}
  for _, r in ipairs(out.rows) do
    if r.split == "ood" and r.factor == "animals" then ood[r.method] = r.value end
  end
  local parts = {("encoder %.3f"):format(ood.encoder)}
  for i = 2, #perceive.methods do
    local m = perceive.methods[i]
    parts[#parts + 1] = ("%s %+.1f points"):format(m, 100 * (ood[m] - ood.encoder))
  end
  print(("\nanimals in combinations never seen: %s"):format(table.concat(parts, ", ")))
  local picture = perceive.pictures{
    out = out, run = run, dataset = dataset, split = split, config = cfg, animal = factors[1], place = factors[3],
  }
  print(("picture: %s   (%.0f s in all)"):format(picture, sys.time() - began))
  return out
end

-- Is a factor of the images named right? 0 or 1 each: (N).
local function right(out, dataset, index, z, factor)
  return out.readouts:predict(z, factor):eq(dataset:factor(factor, index)):to("f32")
end

-- Accuracy for one factor per combination with another, ID validation and OOD together; cells without a training
-- image are framed.
local function combinations(o, method)
  local out, dataset, split = o.out, o.dataset, o.split
  local index = T.cat({split.id_val, split.ood}, {dim = 1})
  local z = T.cat({out.slots.id[method], out.slots.ood[method]}, {dim = 1})
  local rows, cols = dataset:values(o.animal), dataset:values(o.place)
  local held = T.ones(#rows, #cols)
  local a, b = dataset:factor(o.animal, split.id_train):to_table(), dataset:factor(o.place, split.id_train):to_table()
  for i = 1, #a do held:narrow(1, a[i], 1):narrow(2, b[i], 1):fill_(0) end
  return pictures.combinations(right(out, dataset, index, z, o.animal), dataset:factor(o.animal, index), dataset:factor(o.place, index),
    rows, cols, {held = held, title = "left animal named right: " .. method, ylabel = "left animal", xlabel = "world"})
end

-- n indices spread over a set, whose order is by world.
local function spread(index, n)
  n = math.min(n, index:size(1))
  local step = math.max(1, math.floor(index:size(1) / n))
  return index:narrow(1, 1, n, step), n, step
end

--- The pictures of a study, as artifacts of its run: what the methods make of OOD images, attention, recombination,
-- the search at work, accuracy per combination. o: out, run, dataset, split, config, animal, place (factors). Returns the
-- path of the first.
function perceive.pictures(o)
  local out, run, decoder = o.out, o.run, o.out.decoder
  local first
  local function keep(name, picture)
    local path = ("%s/%s.%s"):format(run.folder, name, T.is_tensor(picture) and "png" or "svg")
    if T.is_tensor(picture) then images.write(path, picture) else picture:save(path) end
    run:artifact(path, {kind = "picture"})
    first = first or path
  end
  local index, n, step = spread(o.split.ood, 8)
  local x, z = o.dataset:images(index), {}
  for method, all in pairs(out.slots.ood) do z[method] = all:narrow(1, 1, n, step) end
  keep(run.experiment, pictures.slots(decoder, z.encoder, {images = x, font = 13, extra = {
    {"search", z.search}, {"replay", z.replay}, {"both", z["replay + search"]}}}))
  local few = math.min(5, n)
  keep("attention", pictures.attention(decoder, z.search:narrow(1, 1, few), {images = x:narrow(1, 1, few), font = 13}))
  keep("left_animal_into_other_scenes", pictures.swap(decoder, z.search:narrow(1, 1, few), {out.slot_of[o.animal]},
    {images = x:narrow(1, 1, few), font = 13}))
  keep("search", (pictures.inversion(decoder, x:narrow(1, 1, few), z.encoder:narrow(1, 1, few),
    {font = 13, search = {steps = o.config.search.steps, lr = o.config.search.lr, prior = o.config.search.prior}})))
  keep("accuracy_encoder", combinations(o, "encoder"))
  keep("accuracy_search", combinations(o, "search"))
  return first
end

--- The four ways to perceive, in the order of the tables.
perceive.methods = {"encoder", "search", "replay", "replay + search"}

return perceive
