-- percept.consistency: where it is zero, what it matches, who learns from it.
local check = dofile "tests/lua/check.lua"
local T = require "percept.tensor"
local nn = require "percept.nn"
local optim = require "percept.optim"
local decoders = require "percept.decoders"
local consistency = require "percept.consistency"

-- Two slots of three numbers as a "picture" (n,2,3,1), and back.
local function paint(z) return z:reshape(z:size(1), 2, 3, 1) end
local function read(x) return x:reshape(x:size(1), 2, 3) end

check.test("an exact inverse has none, in whatever order it names the slots", function()
  T.manual_seed(1)
  local z = T.rand(5, 2, 3)
  local function swapped(x) return read(x):index_select(2, T.tensor({2, 1}, {dtype = "i64"})) end
  for _, encoder in ipairs{read, swapped} do
    local loss, parts = consistency.loss(encoder, paint, z, {n = 40})
    check.near(loss:item(), 0, 1e-10)
    check.eq({parts.z:shape(), parts.image:shape()}, {{40, 2, 3}, {40, 2, 3, 1}})
  end
  check.ok(consistency.loss(swapped, paint, z, {aligned = true}):item() > 0.1)
  check.near(consistency.loss(read, paint, z, {aligned = true}):item(), 0, 1e-10)
end)

check.test("its value: summed over slots, mean over n; standardised on demand; clamped", function()
  T.manual_seed(2)
  local z = T.rand(6, 2, 3) * 0.5
  check.near(consistency.loss(function(x) return read(x) + 0.25 end, paint, z, {n = 10}):item(), 6 / 16, 1e-5)
  check.near(consistency.loss(function(x) return read(x) * 3 + 0.25 end, paint, z, {n = 10, standardise = true}):item(), 0, 1e-6)
  local loss, parts = consistency.loss(read, paint, z + 1, {n = 10})
  check.near(parts.image:max():item(), 1)
  check.near(loss:item(), (parts.z - 1):square():sum():item() / 10, 1e-5)
  check.near(consistency.loss(read, paint, z + 1, {n = 10, clamp = false}):item(), 0, 1e-10)
end)

check.test("slots come from the pool, or from their place", function()
  T.manual_seed(3)
  local z = T.arange(1, 9):reshape(4, 2, 1) * T.ones(4, 2, 3) / 10
  for _, aligned in ipairs{false, true} do
    local _, parts = consistency.loss(read, paint, z, {n = 200, aligned = aligned})
    local seen = {{}, {}}
    for _, row in ipairs(parts.image:reshape(200, 2, 3):to_table()) do
      for k = 1, 2 do
        check.near(row[k][1], row[k][3], 1e-6) -- a slot is drawn whole
        seen[k][math.floor(row[k][1] * 10 + 0.5)] = true
      end
    end
    for v = 1, 8 do
      check.eq(seen[1][v] or false, not aligned or v % 2 == 1)
      check.eq(seen[2][v] or false, not aligned or v % 2 == 0)
    end
  end
end)

check.test("the encoder learns, the decoder does not", function()
  T.manual_seed(4)
  local decoder = decoders.additive{slot_dim = 3, height = 8, hidden = 16, features = 8}
  local encoder = nn.sequential{nn.flatten(), nn.mlp{192, 64, 6}}
  local function encode(x) return encoder(x):reshape(x:size(1), 2, 3) end
  local z, opt, first, last = T.randn(32, 2, 3):requires_grad_(), optim.adam(encoder, {lr = 3e-3}), nil, nil
  for _ = 1, 60 do
    opt:zero_grad()
    local loss = consistency.loss(encode, decoder, z, {n = 32, clamp = false})
    loss:backward()
    opt:step()
    first, last = first or loss:item(), loss:item()
  end
  check.ok(last < 0.8 * first, ("%g -> %g"):format(first, last))
  check.eq({z.grad, decoder:parameters()[1].grad}, {})
end)

check.test("messages", function()
  local z = T.rand(2, 2, 3)
  check.error("~slots must be (B,K,m), got (2,3)", consistency.loss, read, paint, T.rand(2, 3))
  check.error("~consistency.loss: n: expected an integer >= 1, got 0", consistency.loss, read, paint, z, {n = 0})
  check.error("~the encoder gave (64,6) for slots (64,2,3)", consistency.loss, function(x) return x:reshape(x:size(1), 6) end, paint, z)
  check.error("~the encoder gave nil for slots", consistency.loss, function() end, paint, z)
end)

check.done()
