-- Trains, replays, searches and records for cfg.minutes, round after round with the same work in each. Of every round: processor
-- time, and a value that does not depend on which round it is.
local percept = require "percept"
local T, nn, sys = percept.tensor, percept.nn, percept.sys

return percept.experiment{
  name = "soak",
  defaults = {minutes = 30, steps = 60, images = 64},
  run = function(cfg, run)
    local x = percept.datasets.sprites(cfg.images, {height = 16, objects = 2, seed = 1}).images
    local ends, round = sys.time() + 60 * cfg.minutes, 0
    repeat
      round = round + 1
      local began = sys.cpu_time()
      T.manual_seed(7)
      local encoder = nn.mlp{16 * 16 * 3, 64, 6}
      local decoder = percept.decoders.mlp{slots = 2, slot_dim = 3, height = 16, hidden = 32}
      local function slots(images) return encoder(images:reshape(images:size(1), -1)):reshape(images:size(1), 2, 3) end
      local optimizer = percept.optim.adam({encoder, decoder}, {lr = 1e-2})
      local batches = percept.datasets.batches(T.arange(1, cfg.images, {dtype = "i64"}), 16, {seed = 5})
      local loss
      for t = 1, cfg.steps do
        optimizer:zero_grad()
        local images = x:index_select(1, batches:next())
        loss = nn.mse((decoder(slots(images))), images)
        loss:backward()
        optimizer:step()
        run:log((round - 1) * cfg.steps + t, {loss = loss:item(), double = 2 * t})
      end
      local known = T.no_grad(slots, x)
      for t = 1, 8 do
        local z = percept.replay.sample(known, 16, {seed = t})
        local error = nn.mse(slots(T.no_grad(function() return (decoder(z)) end)), z)
        encoder:zero_grad()
        error:backward()
      end
      local found = percept.inverter.search(decoder, x:narrow(1, 1, 8), known:narrow(1, 1, 8), {steps = 5, lr = 0.05, method = "lm"})
      percept.formats.save_checkpoint(run.folder .. "/state.safetensors", decoder:state(), {})
      percept.formats.load_checkpoint(run.folder .. "/state.safetensors")
      run:log(round * cfg.steps, {["round/cpu"] = sys.cpu_time() - began, ["round/found"] = found.loss:mean():item(),
        ["round/loss"] = loss:item()})
    until sys.time() > ends
    run:result{method = "soak", split = "all", metric = "rounds", value = round}
  end,
}
