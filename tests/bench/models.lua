--- models: the networks of workloads (a) to (d) and (f), which the engine does not ship as one piece.
-- Each constructor returns the module and forward operations of one call at batch b: a function(b) -> operations,
-- and of those the part whose input wants no gradient. Slots: 4 x 32; images (B,n,n,3).
local percept = require "percept"
local flops = require "flops"
local T, nn = percept.tensor, percept.nn

local models = {slots = 4, slot_dim = 32}
local K, M = models.slots, models.slot_dim

--- Coordinates (x, y) in [-1,1] of an n x n grid: (n,n,2).
function models.coordinates(n)
  local line = T.linspace(-1, 1, n)
  return T.stack({line:reshape(1, n):expand(n, n), line:reshape(n, 1):expand(n, n)}, 3)
end

--- Four 5x5 convolutions of stride 2, 64 channels, and an MLP: (B,n,n,3) -> (B,4,32).
function models.conv_encoder(n)
  local parts, from, forward = {}, 3, {}
  local side = n
  for i = 1, 4 do
    parts[2 * i - 1] = nn.conv2d(from, 64, 5, {stride = 2, padding = 2})
    parts[2 * i] = nn.activation "relu"
    side = side / 2
    forward[i] = flops.conv(side * side, 5, from, 64)
    from = 64
  end
  local widths = {side * side * 64, 256, K * M}
  local sum = forward[1] + forward[2] + forward[3] + forward[4] + flops.mlp(1, widths)
  return nn.module{
    conv = nn.sequential(parts), mlp = nn.mlp(widths, {activation = "relu"}),
    forward = function(self, x) return self.mlp(self.conv(x):flatten(2)):reshape(x:size(1), K, M) end,
  }, function(b) return b * sum, b * forward[1] end
end

-- the same decoder as percept.decoders.broadcast with an activation of the caller's: (f) wants a smooth one
local function smooth_broadcast(n, act)
  local grid, up = models.coordinates(n / 8), {stride = 2, padding = 2, output_padding = 1}
  local net = nn.module{
    ["1"] = nn.conv_transpose2d(M, 64, 5, up), ["3"] = nn.conv_transpose2d(64, 64, 5, up),
    ["5"] = nn.conv_transpose2d(64, 64, 5, up), ["7"] = nn.conv_transpose2d(64, 4, 5, {padding = 2}),
    forward = function(self, x) return self["7"](act(self["5"](act(self["3"](act(self["1"](x))))))) end,
  }
  return nn.module{
    position = nn.linear(2, M), net = net,
    forward = function(self, z)
      local b = z:size(1)
      local x = self.net(z:reshape(b * K, 1, 1, M) + self.position(grid))
      return (T.composite(x:reshape(b, K, n, n, 4)))
    end,
  }
end

--- Additive spatial-broadcast decoder: each slot alone, broadcast over n/8 x n/8 with a linear position embedding,
-- three transposed 5x5 convolutions of stride 2 (64 channels), one of stride 1 to colour and mask; softmax over slots.
function models.broadcast_decoder(n, activation)
  local side = n / 8
  local forward = flops.conv(side ^ 2, 5, M, 64) + flops.conv(4 * side ^ 2, 5, 64, 64) + flops.conv(16 * side ^ 2, 5, 64, 64)
    + flops.conv(n * n, 5, 64, 4)
  local decoder = activation and smooth_broadcast(n, activation)
    or percept.decoders.broadcast{slots = K, slot_dim = M, height = n}
  return decoder, function(b) return b * K * forward, 0 end
end

-- operations of a pre-norm block over n tokens; m, context: of the cross-attention
local function block(n, width, heads, m, context)
  return flops.attention(n, m or n, width, context or width, width, heads) + flops.mlp(n, {width, 4 * width, width})
end
models.block_flops = block

--- Transformer VAE encoder: 8x8 patches, 4 layers (128 wide, 8 heads), 4 latent queries: -> mean, log-variance (B,4,32).
function models.transformer_encoder(n)
  local d, tokens = 128, (n / 8) ^ 2
  local children = {
    patch = nn.conv2d(3, d, 8, {stride = 8}), pos = (T.randn(1, tokens, d) * 0.02), lat = (T.randn(1, K, d) * 0.02),
    cross = nn.block(d, 8, {context = d, bias = true}), out = nn.linear(d, 2 * M),
  }
  for i = 1, 4 do children["block" .. i] = nn.block(d, 8, {bias = true}) end
  function children.forward(self, x)
    local b = x:size(1)
    local y = self.patch(x):reshape(b, tokens, d) + self.pos
    for i = 1, 4 do y = self["block" .. i](y) end
    return self.out((self.cross(self.lat:expand(b, K, d), y))):chunk(2, 3)
  end
  local first = flops.linear(tokens, 192, d)
  local forward = first + 4 * block(tokens, d, 8) + block(K, d, 8, tokens, d) + flops.linear(K, d, 2 * M)
  return nn.module(children), function(b) return b * forward, b * first end
end

--- n x n coordinate queries (MLP 2-128-128), 2 cross-attention blocks over the slots (128 wide, 4 heads), linear colour.
function models.pixel_decoder(n)
  local d = 128
  local grid = models.coordinates(n):reshape(1, n * n, 2)
  local each = 2 * block(n * n, d, 4, K, d) + flops.linear(n * n, d, 3) + flops.linear(K, M, d)
  local fixed = flops.mlp(n * n, {2, d, d})
  return nn.module{
    q = nn.mlp{2, d, d}, z = nn.linear(M, d), block1 = nn.block(d, 4, {context = d, bias = true}),
    block2 = nn.block(d, 4, {context = d, bias = true}), out = nn.linear(d, 3),
    forward = function(self, z)
      local c = self.z(z)
      local x = self.block1(self.q(grid), c)
      x = self.block2(x, c)
      return self.out(x):reshape(z:size(1), n, n, 3)
    end,
  }, function(b) return b * each + fixed, fixed end
end

return models
