-- A whole small study: training with evaluation and checkpoints, replay, search, results, a picture, figures that must not
-- depend on what was interrupted. Behind every flush a line of progress.txt says which rows are in the file.
local percept = require "percept"
local T, nn = percept.tensor, percept.nn

return percept.experiment{
  name = "small",
  defaults = {steps = 12, replay = 6, search = 3},
  run = function(cfg, run)
    local data = percept.datasets.sprites(24, {height = 8, objects = 2, seed = 3})
    local x = data.images
    local encoder, decoder = nn.mlp{8 * 8 * 3, 16, 6}, percept.decoders.mlp{slots = 2, slot_dim = 3, height = 8, hidden = 8}
    local replayed = nn.mlp{8 * 8 * 3, 16, 6}
    local progress = assert(io.open(os.getenv "PROGRESS" or "/dev/null", "a"))
    local function flushed(what)
      run:flush()
      progress:write(what, "\n")
      progress:flush()
    end
    local function slots(e, images) return e(images:reshape(images:size(1), -1)):reshape(images:size(1), 2, 3) end
    local batches = percept.datasets.batches(T.arange(1, 24, {dtype = "i64"}), 8, {seed = 5})
    percept.train.loop{
      name = "fit", steps = cfg.steps, run = run, modules = {encoder = encoder, decoder = decoder}, batches = batches, images = 8,
      optimizer = percept.optim.adam({encoder, decoder}, {lr = 1e-2}), log_every = 1, checkpoint_every = 0, quiet = true,
      eval_every = 6, eval = function() return {loss = nn.mse((decoder(slots(encoder, x))), x):item()} end, watch = {metric = "loss"},
      on_step = function(t) if t % 3 == 0 then flushed("fit/loss " .. t) end end,
      step = function()
        local images = x:index_select(1, batches:next())
        return nn.mse((decoder(slots(encoder, images))), images), {}
      end,
    }
    local known = T.no_grad(slots, encoder, x)
    percept.train.loop{
      name = "replay", steps = cfg.replay, run = run, modules = {replayed = replayed}, images = 8, offset = cfg.steps,
      optimizer = percept.optim.sgd(replayed, {lr = 0.1}), log_every = 1, checkpoint_every = 0, quiet = true,
      on_step = function(t) if t % 3 == 0 then flushed("replay/loss " .. cfg.steps + t) end end,
      step = function(t)
        local z = percept.replay.sample(known, 8, {seed = t})
        local images = T.no_grad(function() return (decoder(z)) end)
        return nn.mse(slots(replayed, images), z), {}
      end,
    }
    decoder:freeze()
    local start = T.no_grad(slots, replayed, x):narrow(1, 1, 4)
    for _, method in ipairs{"adam", "lm"} do
      local found = percept.inverter.search(decoder, x:narrow(1, 1, 4), start, {steps = cfg.search, lr = 0.05, method = method})
      run:result{method = method, split = "id", metric = "squared_error", value = found.loss:mean():item()}
    end
    progress:write("results\n")
    progress:flush()
    percept.images.write(run.folder .. "/first.png", decoder(start):narrow(1, 1, 1):squeeze(1))
    run:artifact(run.folder .. "/first.png", {kind = "picture"})
    progress:close()
  end,
}
