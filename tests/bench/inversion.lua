--- inversion: how soon Levenberg-Marquardt and L-BFGS reach the loss of 200 Adam steps, on trained decoders.
-- build/percept run tests/bench/inversion.lua [--threads 1] [--set images=48] [--set train_steps=1500] [--set weights=FOLDER]
-- Each decoder is trained for a minute or two as quickstart trains its own (weights: a folder that keeps them for the next
-- time), then inverted on OOD images from the encoder's slots. Every method is given Adam's loss of each image, to one part in
-- ten thousand, as its target; the time is that until the last image is at its target or has run out of steps. Methods take
-- turns; figures are medians over the rounds. Rows: method = decoder/method, metrics cpu_ms_per_image, time_ratio,
-- decodes_per_image, loss, reached; decoder/method/free: the same with no target, stopping at the default tolerance.
local percept = require "percept"
local perceive = require "percept.perceive"
local train = require "percept.train"
local T, sys, inverter, datasets = percept.tensor, percept.sys, percept.inverter, percept.datasets

local function median(list)
  table.sort(list)
  return list[math.ceil(#list / 2)]
end

--- Encoder and decoder of one kind: from the folder of weights, or trained now.
local function trained(cfg, run, dataset, split, kind)
  local model = {
    slots = 3, slot_dim = cfg.slot_dim, patch = cfg.patch, background = 1.5, encoder_width = 64, encoder_heads = 4, encoder_layers = 1,
    decoder = kind, hidden = 256, key_dim = 96, decoder_width = 64, decoder_heads = 4, decoder_layers = 2,
    conv_channels = {32, 64, 64}, conv_kernel = {5, 3, 3}, conv_stride = {2, 2, 1},
  }
  local function make()
    return perceive.model(model, dataset, {"character_name", "character2_name", "world_name"}, split.id_train)
  end
  local path = ("%s/inversion-%s-%d-%d-%d.safetensors"):format(cfg.weights, kind, cfg.size, cfg.slot_dim, cfg.train_steps)
  if cfg.weights ~= "" and sys.exists(path) then
    local encoder, decoder = make()
    train.load(path, {modules = {encoder = encoder, decoder = decoder}, rng = false})
    return encoder, decoder
  end
  local encoder, decoder = perceive.train_vae{
    make = make, dataset = dataset, index = split.id_train, validation = split.id_val, run = run, seed = run.seed,
    config = {
      attempts = 1, attempt_steps = 1, steps = cfg.train_steps, batch = 16, lr = 1e-3, warmup = 100, hold = 0.3, final = 0.02,
      clip = 0, sigma = 20, beta = 0.5, alpha = 32, alpha_delay = 0, alpha_ramp = 1500, log_every = 50,
    },
  }
  if cfg.weights ~= "" then
    sys.mkdir(cfg.weights)
    train.save(path, {modules = {encoder = encoder, decoder = decoder}})
  end
  return encoder, decoder
end

--- The contestants: options of inverter.search. Free ones stop by themselves, the others at Adam's loss.
local function contestants(cfg, target)
  local list = {}
  for _, method in ipairs(cfg.methods) do
    list[#list + 1] = {name = method, options = {method = method, steps = cfg.steps, lr = cfg.lr, tol = -1, target = target}}
  end
  for _, method in ipairs(cfg.methods) do
    list[#list + 1] = {name = method .. "/free", options = {method = method, steps = cfg.steps, lr = cfg.lr}}
  end
  return list
end

local function timed(decoder, x, z0, options)
  local began = sys.cpu_time()
  local found = inverter.search(decoder, x, z0, options)
  return found, sys.cpu_time() - began
end

--- Measures one decoder; returns rows {name, cpu (s), ratio, decodes, loss, reached}.
local function measure(cfg, decoder, x, z0)
  local n = x:size(1)
  local adam = {method = "adam", steps = cfg.adam_steps, lr = cfg.lr, tol = -1}
  local reference = inverter.search(decoder, x, z0, adam)
  local target = reference.loss * (1 + 1e-4)
  local list, adam_times = contestants(cfg, target), {}
  for _ = 1, cfg.rounds do
    local _, base = timed(decoder, x, z0, adam)
    adam_times[#adam_times + 1] = base
    for _, c in ipairs(list) do
      local found, time = timed(decoder, x, z0, c.options)
      c.found, c.times, c.ratios = found, c.times or {}, c.ratios or {}
      c.times[#c.times + 1], c.ratios[#c.ratios + 1] = time, time / base
    end
  end
  local function row(name, found, times, ratios)
    return {
      name = name, cpu = median(times), ratio = median(ratios), decodes = found.evaluations / n, loss = found.loss:mean():item(),
      reached = found.loss:le(target):to("f32"):mean():item(),
    }
  end
  local rows = {row("adam", reference, adam_times, {1})}
  for _, c in ipairs(list) do rows[#rows + 1] = row(c.name, c.found, c.times, c.ratios) end
  return rows
end

local function report(run, kind, rows, n)
  for _, r in ipairs(rows) do
    print(("%-8s %-12s %12.2f %10.3f %10.1f %11.4f %8.0f %%"):format(kind, r.name, r.cpu / n * 1e3, r.ratio, r.decodes, r.loss,
      100 * r.reached))
    local method = kind .. "/" .. r.name
    for metric, value in pairs{cpu_ms_per_image = r.cpu / n * 1e3, time_ratio = r.ratio, decodes_per_image = r.decodes,
      loss = r.loss, reached = r.reached} do
      run:result{method = method, split = "bench", metric = metric, value = value}
    end
  end
end

return percept.experiment{
  name = "inversion-bench",
  defaults = {
    data = "experiments/data/spar_cycles", worlds = {"Park", "Dawn", "Warehouse", "City", "Bridge"}, size = 32, patch = 2, slot_dim = 6,
    decoders = {"render", "cross"}, methods = {"lm", "lbfgs"}, train_steps = 1500, images = 48, adam_steps = 200, steps = 100, lr = 0.1,
    rounds = 3, weights = "",
  },
  run = function(cfg, run)
    local dataset = datasets.scenes(cfg.data, {height = cfg.size, width = cfg.size, only = {world_name = cfg.worlds}})
    local split = datasets.split(dataset, {preset = "background", rule = "band", fraction = 0.4, val = 0.12, seed = 1})
    local n = math.min(cfg.images, split.ood:size(1))
    local x = dataset:images(split.ood:narrow(1, 1, n, math.floor(split.ood:size(1) / n)))
    local results = {}
    for _, kind in ipairs(cfg.decoders) do
      local encoder, decoder = trained(cfg, run, dataset, split, kind)
      local z0 = T.no_grad(function() return (encoder(x)) end)
      results[#results + 1] = {kind, measure(cfg, decoder, x, z0)}
    end
    print(("\n%d OOD images of %d x %d, K*m = %d; %d threads, tier %s; adam: %d steps, lr %g"):format(n, cfg.size, cfg.size,
      3 * cfg.slot_dim, T.get_num_threads(), sys.tier(), cfg.adam_steps, cfg.lr))
    print(("%-8s %-12s %12s %10s %10s %11s %10s"):format("decoder", "method", "cpu ms/image", "time ratio", "decodes", "mean loss",
      "reached"))
    for _, r in ipairs(results) do report(run, r[1], r[2], n) end
  end,
}
