--- quickstart: must a machine generate in order to perceive?  A first answer in minutes.
--
-- Photorealistic scenes (experiments/data/spar_cycles): a left animal, a right animal, a
-- world. Some animal x world cells are held out of training. A slot autoencoder is
-- trained without labels on the rest (ID); small readouts name animals and world from
-- its slots. Then the four ways to perceive meet combinations never seen (OOD): the
-- encoder alone, and search, replay, and both, which use the decoder.
--
-- Every number below was chosen on the other five worlds of the same data; the OOD set of
-- this study was not looked at until the recipe stood.
local percept = require "percept"
local perceive = require "percept.perceive"

local here = arg and arg[0] and arg[0]:match "^(.*)/[^/]*$" or "experiments"

return percept.experiment{
  name = "quickstart",
  defaults = perceive.defaults{
    data = here .. "/data/spar_cycles",
    size = 32,
    worlds = {"Park", "Dawn", "Warehouse", "City", "Bridge"},
    fraction = 0.4, -- of the animal x world cells are held out
    offset = 0,
    checkpoint_every = 15, -- seconds
    methods = {"encoder", "search", "replay", "replay + search"},
    model = {
      slots = 3, slot_dim = 6, patch = 2, background = 1.5, encoder_width = 64, encoder_heads = 4, encoder_layers = 1,
      decoder = "render", hidden = 256, key_dim = 96,
      decoder_width = 64, decoder_heads = 4, decoder_layers = 2, -- of decoder = "cross"
      conv_channels = {32, 64, 64}, conv_kernel = {5, 3, 3}, conv_stride = {2, 2, 1},
    },
    vae = {
      attempts = 5, attempt_steps = 600, steps = 4000, batch = 16, lr = 1e-3, warmup = 100, hold = 0.3, final = 0.02, clip = 0,
      sigma = 20, beta = 0.5, alpha = 32, alpha_delay = 0, alpha_ramp = 1500, log_every = 50,
    },
    replay = {
      steps = 2000, batch = 24, id_batch = 8, lr = 1e-3, warmup = 50, final = 0.02, marginals = "empirical", log_every = 50,
    },
    search = {method = "adam", steps = 60, lr = 0.1, prior = 0, tol = 1e-4, patience = 20, batch = 64},
    readout = {hidden = 64, steps = 400, lr = 3e-3, weight_decay = 1e-4, noise = 0.3},
  },
  modules = perceive.modules,
  run = function(cfg, run)
    local out = perceive.background(cfg, run)
    print "\nNext:"
    print [[  build/percept sql "select method, split, factor, value from result where metric = 'accuracy'"]]
    print "  build/percept                                       the prompt; try help()"
    print "  build/percept run experiments/pug/background.lua    the full study: ten worlds, more steps"
    return out
  end,
}
