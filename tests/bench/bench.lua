--- bench: times of the steps the studies are made of, into a database of their own.
-- build/percept run tests/bench/bench.lua [--db FILE] [--threads N]; rows: method = workload,
-- metric = cpu_ms or wall_ms (median a step), ops_us for small things.
local percept = require "percept"
local T, nn, optim, sys = percept.tensor, percept.nn, percept.optim, percept.sys

local function measure(n, f)
  local cpu, wall = {}, {}
  for _ = 1, 2 do f() end
  for i = 1, n do
    local c, w = sys.cpu_time(), sys.time()
    f()
    cpu[i], wall[i] = (sys.cpu_time() - c) * 1e3, (sys.time() - w) * 1e3
  end
  table.sort(cpu)
  table.sort(wall)
  return cpu[math.ceil(n / 2)], wall[math.ceil(n / 2)]
end

--- The study's size: 64 x 64, K = 3 x 16, batch 32 (train, search, replay).
local function study(batch)
  local enc = percept.encoders.slots{slots = 3, slot_dim = 16}
  local dec = percept.decoders.cross{slots = 3, slot_dim = 16}
  local both = nn.module{e = enc, d = dec, forward = function(self, x) return self.e(x) end}
  local x = T.rand(batch, 64, 64, 3)
  local train, replay = optim.adam(both, {lr = 5e-4}), optim.adam(enc, {lr = 5e-4})
  local z0 = T.randn(batch, 3, 16)
  return {
    train = function()
      train:zero_grad()
      local mean, log_std = enc(x)
      local image, attention = dec(mean + log_std:exp() * T.randn(mean:shape()))
      local loss = nn.mse(image, x, {reduction = "batch_mean"}) * 5 + nn.kl(mean, log_std) * 0.05
        + percept.interaction.attention(attention)
      loss:backward()
      train:step()
    end,
    search = function()
      dec:freeze()
      percept.inverter.search(dec, x, z0, {steps = 1, tol = -1})
      dec:unfreeze()
    end,
    replay = function()
      replay:zero_grad()
      local z, image = T.no_grad(function()
        local z = T.randn(batch, 3, 16)
        return z, (dec(z))
      end)
      nn.mse((enc(image)), z, {reduction = "batch_mean"}):backward()
      replay:step()
    end,
  }
end

return percept.experiment{
  name = "bench",
  defaults = {steps = 10, batch = 32},
  run = function(cfg, run)
    T.manual_seed(1)
    local work = study(cfg.batch)
    local a, b = T.randn(1024, 256), T.randn(256, 256)
    local one = T.ones(1)
    local rows = {
      {"study train", cfg.steps, work.train},
      {"study search (one step, and the last look)", cfg.steps, work.search},
      {"study replay", cfg.steps, work.replay},
      {"matmul 1024x256 . 256x256", 5 * cfg.steps, function() return a:matmul(b) end},
      {"softmax 262144 x 4", cfg.steps, (function() local x = T.randn(262144, 4) return function() return x:softmax() end end)()},
      {"gelu 4096 x 512", cfg.steps, (function() local x = T.randn(4096, 512) return function() return x:gelu() end end)()},
      {"1000 x add of one element", cfg.steps, function() local y = one for _ = 1, 1000 do y = one + one end return y end},
    }
    print(("%-44s %10s %10s   %d threads, tier %s"):format("", "cpu ms", "wall ms", T.get_num_threads(), sys.tier()))
    for _, row in ipairs(rows) do
      local cpu, wall = measure(row[2], row[3])
      print(("%-44s %10.3f %10.3f"):format(row[1], cpu, wall))
      run:result{method = row[1], split = "bench", metric = "cpu_ms", value = cpu}
      run:result{method = row[1], split = "bench", metric = "wall_ms", value = wall}
    end
  end,
}
