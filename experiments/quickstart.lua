--- quickstart: must a machine generate in order to perceive?  A first answer in minutes.
--
-- Photorealistic scenes (experiments/data/spar_cycles): a left animal, a right animal, a
-- world. Some animal x world cells are held out of training. A slot autoencoder is
-- trained without labels on the rest (ID); small readouts name animals and world from
-- the slots. Then the four ways to perceive meet combinations never seen (OOD): the
-- encoder alone, and search, replay, and both, which use the decoder.
local percept = require "percept"
local T = percept.tensor
local datasets = percept.datasets
local images = percept.images
local perceive = require "percept.perceive"
local report = require "percept.report"

local here = arg and arg[0] and arg[0]:match "^(.*)/[^/]*$" or "experiments"

return percept.experiment{
  name = "quickstart",
  defaults = {
    data = here .. "/data/spar_cycles",
    size = 32,
    worlds = {"Park", "Dawn", "Warehouse", "City", "Bridge"},
    fraction = 0.4,
    offset = 0,
    checkpoint_every = 15,
    model = {
      slots = 3, slot_dim = 6, patch = 2, background = 1.5, encoder_width = 64, encoder_heads = 4, encoder_layers = 1, hidden = 256, key_dim = 96,
      conv_channels = {32, 64, 64}, conv_kernel = {5, 3, 3}, conv_stride = {2, 2, 1},
    },
    vae = {
      attempts = 5, attempt_steps = 600, steps = 4000, batch = 16, lr = 1e-3, warmup = 100, hold = 0.3, final = 0.02, clip = 0,
      sigma = 20, beta = 0.5, alpha = 32, alpha_delay = 0, alpha_ramp = 1500, log_every = 50,
    },
    replay = {
      steps = 2000, batch = 24, id_batch = 8, lr = 1e-3, warmup = 50, final = 0.02, marginals = "empirical", log_every = 50,
    },
    search = {steps = 60, lr = 0.1, prior = 0, tol = 1e-4, patience = 20, batch = 64},
    readout = {hidden = 64, steps = 400, lr = 3e-3, weight_decay = 1e-4, noise = 0.3},
  },
  run = function(cfg, run)
    local began = percept.sys.time()
    local dataset = datasets.scenes(cfg.data, {height = cfg.size, width = cfg.size, only = {world_name = cfg.worlds}})
    local split = datasets.split(dataset, {
      preset = "background", rule = "band", fraction = cfg.fraction, offset = cfg.offset, val = 0.12, seed = 1,
    })
    run:dataset(dataset:digest(), "spar_cycles", {n = dataset:count(), path = cfg.data})
    local factors = {"character_name", "character2_name", "world_name"}
    print(("%d images of %d x %d: %d to train on, %d ID to validate, %d OOD"):format(
      dataset:count(), cfg.size, cfg.size, split.id_train:size(1), split.id_val:size(1), split.ood:size(1)))
    print(split.cells)
    local out = perceive.study{
      config = cfg, run = run, dataset = dataset, split = split, factors = factors, seed = run.seed,
      scored = {"character_name", "character2_name"}, scored_name = "animals",
    }
    local chance = {}
    for _, f in ipairs(factors) do chance[f] = 1 / #dataset:values(f) end
    chance.animals = chance.character_name
    report.accuracy_table(out.rows, {
      factors = {"character_name", "character2_name", "world_name", "animals"},
      labels = {character_name = "left", character2_name = "right", world_name = "world"},
      methods = perceive.methods, chance = chance,
    })
    local picture = run.folder .. "/quickstart.png"
    images.write(picture, perceive.picture{out = out, dataset = dataset, index = split.ood, rows = 8})
    run:artifact(picture, {kind = "picture"})
    print(("\npicture: %s   (%.0f s in all)"):format(picture, percept.sys.time() - began))
    print "\nNext:"
    print '  build/percept sql "select method, split, factor, value from result"'
    print "  build/percept                 the prompt; try help()"
    print "  build/percept run experiments/pug/background.lua    the full study"
    return out
  end,
}
