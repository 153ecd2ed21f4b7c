--- background: the paper's PUG-Background on all ten worlds of spar_cycles, first form.
--
-- percept run experiments/pug/background.lua --seeds 1..3
-- The same path as the quickstart with more scenes and more steps. Any folder in PUG:SPAR's
-- layout runs unchanged: --set data=FOLDER (worlds are taken from its table).
local percept = require "percept"
local perceive = require "percept.perceive"

local here = arg and arg[0] and arg[0]:match "^(.*)/[^/]*$" or "experiments/pug"

return percept.experiment{
  name = "background",
  defaults = {
    data = here .. "/../data/spar_cycles",
    size = 32,
    worlds = {},
    fraction = 0.3,
    offset = 0,
    checkpoint_every = 60,
    model = {
      slots = 3, slot_dim = 6, patch = 2, background = 1.5, encoder_width = 64, encoder_heads = 4, encoder_layers = 1,
      decoder = "render", hidden = 256, key_dim = 96,
      decoder_width = 64, decoder_heads = 4, decoder_layers = 2, -- of decoder = "cross"
      conv_channels = {32, 64, 64}, conv_kernel = {5, 3, 3}, conv_stride = {2, 2, 1},
    },
    vae = {
      attempts = 5, attempt_steps = 1000, steps = 20000, batch = 32, lr = 1e-3, warmup = 200, hold = 0.3, final = 0.02, clip = 0,
      sigma = 20, beta = 0.5, alpha = 32, alpha_delay = 0, alpha_ramp = 3000, log_every = 100,
    },
    replay = {
      steps = 8000, batch = 24, id_batch = 8, lr = 1e-3, warmup = 50, final = 0.02, marginals = "empirical", log_every = 100,
    },
    search = {method = "adam", steps = 100, lr = 0.1, prior = 0, tol = 1e-4, patience = 20, batch = 64},
    readout = {hidden = 64, steps = 800, lr = 3e-3, weight_decay = 1e-4, noise = 0.3},
  },
  modules = perceive.modules,
  run = perceive.background,
}
