--- work_slots: workloads (a) to (d) and (f): two slot autoencoders, inversion, replay, second-derivative penalty.
-- A workload is a function(o) -> job. o: batch, size (pixels a side), draw(name, sizes...) -> random tensor that the
-- check can repeat elsewhere, uniform(name, sizes...) likewise. A job: step() -> loss, modules (whose state the check
-- hands over), flops (of a step), images (of a step).
local percept = require "percept"
local models = require "models"
local flops = require "flops"
local T, nn, optim = percept.tensor, percept.nn, percept.optim
local K, M = models.slots, models.slot_dim

local function both(enc, dec) return {enc, dec} end
local function images(o) return o.uniform("x", o.batch, o.size, o.size, 3) end

local work = {}

--- (a) convolutional encoder and additive spatial-broadcast decoder: training step.
function work.a(o)
  local enc, enc_flops = models.conv_encoder(o.size)
  local dec, dec_flops = models.broadcast_decoder(o.size)
  local adam, x = optim.adam(both(enc, dec), {lr = 1e-4}), images(o)
  return {
    modules = {enc = enc, dec = dec}, images = o.batch,
    flops = flops.train(enc_flops(o.batch)) + flops.train(dec_flops(o.batch)),
    step = function()
      adam:zero_grad()
      local loss = nn.mse(dec(enc(x)), x)
      loss:backward()
      adam:step()
      return loss
    end,
  }
end

--- (b) Transformer VAE with a pixel-query decoder: training step.
function work.b(o)
  local enc, enc_flops = models.transformer_encoder(o.size)
  local dec, dec_flops = models.pixel_decoder(o.size)
  local adam, x = optim.adam(both(enc, dec), {lr = 1e-4}), images(o)
  return {
    modules = {enc = enc, dec = dec}, images = o.batch,
    flops = flops.train(enc_flops(o.batch)) + flops.train((dec_flops(o.batch))),
    step = function()
      adam:zero_grad()
      local mean, log_var = enc(x)
      local log_std = log_var * 0.5
      local z = mean + log_std:exp() * o.draw("noise", o.batch, K, M)
      local loss = nn.mse(dec(z), x) + nn.kl(mean, log_std) * 1e-4
      loss:backward()
      adam:step()
      return loss
    end,
  }
end

-- (c) one Adam step on the slots under a frozen decoder
local function search(make)
  return function(o)
    local dec, dec_flops = make(o.size)
    dec:freeze()
    local x, z = images(o), o.draw("z", o.batch, K, M):requires_grad_()
    local adam = optim.adam(z, {lr = 1e-2})
    return {
      modules = {dec = dec}, images = o.batch, flops = flops.search(dec_flops(o.batch)),
      step = function()
        adam:zero_grad()
        local loss = nn.mse(dec(z), x)
        loss:backward()
        adam:step()
        return loss
      end,
    }
  end
end
work.ca, work.cb = search(models.broadcast_decoder), search(models.pixel_decoder)

-- (d) slots recombined from a bank, decoded without gradient, regressed by the encoder
local function replay(make_decoder, make_encoder)
  return function(o)
    local dec, dec_flops = make_decoder(o.size)
    local enc, enc_flops = make_encoder(o.size)
    dec:freeze()
    local adam, bank = optim.adam(enc, {lr = 1e-4}), o.draw("bank", 4096, K, M)
    return {
      modules = {enc = enc, dec = dec}, images = o.batch,
      flops = flops.train(enc_flops(o.batch)) + (dec_flops(o.batch)),
      step = function()
        local z = o.keep("z", function() return percept.replay.sample(bank, o.batch) end)
        local x = T.no_grad(function() return dec(z) end)
        adam:zero_grad()
        local loss = nn.mse((enc(x)), z)
        loss:backward()
        adam:step()
        return loss
      end,
    }
  end
end
work.da = replay(models.broadcast_decoder, models.conv_encoder)
work.db = replay(models.pixel_decoder, models.transformer_encoder)

-- A decoder with smooth activations. In the check its weights are larger, since at birth its slots hardly interact: the
-- second derivative would be lost among the roundings.
local function smooth(o, make)
  local dec, count = make(o.size, function(x) return x:softplus() end)
  if o.checking then
    T.no_grad(function()
      for _, p in ipairs(dec:parameters()) do
        if p:dim() == 4 then p:mul_(2) end
      end
    end)
  end
  return dec, count
end

-- noise in slot k alone
local function probe(o, name, k)
  local v = o.draw(name, o.batch, K, M)
  local mask = T.zeros(1, K, 1)
  mask:narrow(2, k, 1):fill_(1)
  return v * mask
end

-- The gradient's norm, so that the check sees the weights' gradients, which no later loss shows.
local function finish(o, dec, loss)
  loss:backward()
  local norm
  if o.checking then
    norm = 0
    for _, p in ipairs(dec:parameters()) do
      if p.grad then norm = norm + (p.grad * p.grad):sum():item() end
    end
    norm = math.sqrt(norm)
  end
  dec:zero_grad()
  return loss, norm
end

-- (f) || d2 f / dz_i dz_j ||^2 with random probes over slots 1 and 2, and its gradient for the weights:
-- two nested gradients, and a backward through both
local function penalty(make)
  return function(o)
    local dec = smooth(o, make)
    local z0 = o.draw("z", o.batch, K, M)
    return {
      modules = {dec = dec}, images = o.batch,
      step = function()
        local z = z0:clone():requires_grad_()
        local vi, vj = probe(o, "vi", 1), probe(o, "vj", 2)
        local f = T.higher_order(function() return dec(z) end)
        local u = o.draw("u", o.batch, o.size, o.size, 3)
        local g = T.grad(f, z, {grad_outputs = u, create_graph = true})
        local h = T.grad((g * vi):sum(), z, {create_graph = true})
        return finish(o, dec, ((h * vj) ^ 2):sum())
      end,
    }
  end
end
work.fa, work.fb = penalty(models.broadcast_decoder), penalty(models.pixel_decoder)

-- (f) the same by a four-point difference
local function difference(make)
  return function(o)
    local dec, dec_flops = smooth(o, make)
    local z0 = o.draw("z", o.batch, K, M)
    local e = o.checking and 1 or 0.1 -- wide in the check, where rounding must not show
    return {
      modules = {dec = dec}, images = o.batch, flops = flops.train((dec_flops(4 * o.batch))),
      step = function()
        local vi, vj = probe(o, "vi", 1) * e, probe(o, "vj", 2) * e
        local f1, f2, f3, f4 = dec(T.cat({z0 + vi + vj, z0 + vi, z0 + vj, z0}, 1)):chunk(4, 1)
        return finish(o, dec, (((f1 - f2 - f3 + f4) / (e * e)) ^ 2):mean())
      end,
    }
  end
end
work.fa_fd, work.fb_fd = difference(models.broadcast_decoder), difference(models.pixel_decoder)

return work
