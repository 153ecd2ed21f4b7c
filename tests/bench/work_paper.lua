--- work_paper: workloads (g), the paper's decoder at full size, (h), ViT-S/16, and (i), the study's size.
-- See work_slots.lua for what a workload is.
local percept = require "percept"
local models = require "models"
local flops = require "flops"
local T, nn, optim = percept.tensor, percept.nn, percept.optim

local work = {}

-- forward operations of percept.decoders.cross, and those of them that depend on position alone
local function cross_flops(n, d)
  local queries = (n / d.patch) ^ 2
  local fixed = flops.mlp(queries, {32, 2 * d.width, d.width})
  local each = flops.mlp(d.slots, {d.slot_dim, d.slot_hidden, d.width_kv})
    + 2 * (flops.attention(queries, d.slots, d.width, d.width_kv, d.width_kv, d.heads) + flops.mlp(queries, {d.width, d.ff, d.width}))
    + flops.mlp(queries, {d.width, d.width, d.width, d.patch * d.patch * 3})
  return function(b) return b * each + fixed, fixed end
end

-- a cross-attention decoder, its operations, and its interaction with attention summed over heads, not averaged
local function cross(n, d)
  d.height = n
  local dec = percept.decoders.cross(d)
  local scale = d.heads ^ 2
  return dec, cross_flops(n, d), function(attention) return percept.interaction.attention(attention) * scale end
end

local function paper(n)
  return cross(n, {
    slots = 5, slot_dim = 32, patch = 1, width = 180, width_kv = 516, heads = 12, ff = 360, slot_hidden = 4 * 516, bias = true,
  })
end

local function study(n)
  return cross(n, {slots = 3, slot_dim = 16, patch = 4, width = 64, width_kv = 128, heads = 4, ff = 128, slot_hidden = 256})
end

--- (g) training step: 5 x squared error + .05 x interaction.
function work.g_train(o)
  local dec, count, interaction = paper(o.size)
  local x, z = o.uniform("x", o.batch, o.size, o.size, 3), o.draw("z", o.batch, 5, 32)
  local adam = optim.adam(dec, {lr = 5e-4})
  return {
    modules = {dec = dec}, images = o.batch, flops = flops.train((count(o.batch))),
    step = function()
      adam:zero_grad()
      local y, attention = dec(z)
      local loss = nn.mse(y, x, "batch_mean") * 5 + interaction(attention) * 0.05
      loss:backward()
      adam:step()
      return loss
    end,
  }
end

-- one Adam step on the slots; weight of the squared error, its reduction
local function search(make, slots, dim, weight, reduction)
  return function(o)
    local dec, count = make(o.size)
    dec:freeze()
    local x, z = o.uniform("x", o.batch, o.size, o.size, 3), o.draw("z", o.batch, slots, dim):requires_grad_()
    local adam = optim.adam(z, {lr = 5e-4})
    return {
      modules = {dec = dec}, images = o.batch, flops = flops.search(count(o.batch)),
      step = function()
        adam:zero_grad()
        local loss = nn.mse((dec(z)), x, reduction)
        if weight ~= 1 then loss = loss * weight end
        loss:backward()
        adam:step()
        return loss
      end,
    }
  end
end
work.g_search = search(paper, 5, 32, 5, "batch_mean")
work.i_search = search(study, 3, 16, 1, "sum")

-- the study's encoder and its forward operations
local function encoder(n)
  local enc = percept.encoders.slots{slots = 3, slot_dim = 16, height = n}
  local d, tokens = 96, (n / 8) ^ 2
  local first = flops.conv((n / 2) ^ 2, 5, 3, 32)
  local each = first + flops.conv((n / 4) ^ 2, 3, 32, 64) + flops.conv(tokens, 3, 64, d) + flops.conv(tokens, 3, d, d)
    + flops.mlp(tokens, {d, d, d}) + flops.linear(3, d, 32)
    + 3 * (flops.attention(3, tokens, d, d, d, 4) + flops.attention(3, 3, d, d, d, 4) + flops.mlp(3, {d, 2 * d, d}))
  return enc, function(b) return b * each, b * first end
end

--- (i) training step: 5 x squared error + .05 x KL + interaction.
function work.i_train(o)
  local enc, enc_flops = encoder(o.size)
  local dec, dec_flops, interaction = study(o.size)
  local x, adam = o.uniform("x", o.batch, o.size, o.size, 3), optim.adam({enc, dec}, {lr = 5e-4})
  return {
    modules = {enc = enc, dec = dec}, images = o.batch,
    flops = flops.train(enc_flops(o.batch)) + flops.train((dec_flops(o.batch))),
    step = function()
      adam:zero_grad()
      local mean, log_std = enc(x)
      local image, attention = dec(mean + log_std:exp() * o.draw("noise", o.batch, 3, 16))
      local loss = nn.mse(image, x, "batch_mean") * 5 + nn.kl(mean, log_std) * 0.05 + interaction(attention)
      loss:backward()
      adam:step()
      return loss
    end,
  }
end

--- (i) replay step: slots from the prior, decoded without gradient, regressed by the encoder.
function work.i_replay(o)
  local enc, enc_flops = encoder(o.size)
  local dec, dec_flops = study(o.size)
  dec:freeze()
  local adam = optim.adam(enc, {lr = 5e-4})
  return {
    modules = {enc = enc, dec = dec}, images = o.batch, flops = flops.train(enc_flops(o.batch)) + (dec_flops(o.batch)),
    step = function()
      local z = o.draw("z", o.batch, 3, 16)
      local image = T.no_grad(function() return (dec(z)) end)
      adam:zero_grad()
      local loss = nn.mse((enc(image)), z, "batch_mean")
      loss:backward()
      adam:step()
      return loss
    end,
  }
end

--- (h) ViT-S/16: 12 blocks of width 384, 6 heads, feed-forward 1536; forward, backward, AdamW. Parameters step during
-- backward: gradients of all 21 million are never there together. again: in so many blocks the feed-forward's inner
-- layer is computed again in backward, not kept. recompute: all of each block is.
local function vit(again, recompute)
  return function(o)
    local d, tokens = 384, (o.size / 16) ^ 2
    local children = {
      patch = nn.conv2d(3, d, 16, {stride = 16}), cls = T.zeros(1, 1, d), pos = (T.randn(1, tokens + 1, d) * 0.02), norm = nn.layer_norm(d),
    }
    for i = 1, 12 do children["block" .. i] = nn.block(d, 6, {bias = true, recompute = i <= again}) end
    function children.forward(self, x)
      local b = x:size(1)
      local t = T.cat({self.cls:expand(b, 1, d), self.patch(x):reshape(b, tokens, d)}, 2) + self.pos
      for i = 1, 12 do
        local block = self["block" .. i]
        t = recompute and nn.checkpoint(block, t) or block(t)
      end
      return self.norm(t)
    end
    local model = nn.module(children)
    local adam, x = optim.adamw(model, {lr = 1e-4, during_backward = true}), o.uniform("x", o.batch, o.size, o.size, 3)
    local first = flops.linear(tokens, 768, d)
    return {
      modules = {vit = model}, images = o.batch,
      flops = o.batch * flops.train(first + 12 * models.block_flops(tokens + 1, d, 6), first),
      step = function()
        adam:zero_grad()
        local loss = (model(x) ^ 2):mean()
        loss:backward()
        adam:step()
        return loss
      end,
    }
  end
end
work.h, work.h_fast, work.h_small = vit(9), vit(0), vit(0, true)

return work
