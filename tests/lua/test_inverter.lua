-- percept.inverter: where searches begin, and what they say of themselves.
local check = dofile "tests/lua/check.lua"
local T = require "percept.tensor"
local decoders = require "percept.decoders"
local inverter = require "percept.inverter"

local function linear(seed)
  T.manual_seed(seed)
  local a = T.randn(6, 12)
  return function(z) return z:reshape(z:size(1), 6):matmul(a):reshape(z:size(1), 2, 2, 3) end
end

check.test("nearest codes of a bank, by brute force", function()
  local decode = linear(1)
  local bank, x = T.randn(37, 2, 3), T.randn(5, 2, 2, 3)
  local images = decode(bank)
  for _, batch in ipairs{1, 8, 64} do
    local z, rows = inverter.start(x, {from = "bank", decoder = decode, bank = bank, starts = 3, batch = batch})
    check.eq({z:shape(), rows:shape()}, {{3, 5, 2, 3}, {3, 5}})
    for b = 1, 5 do
      local order = {}
      for i = 1, 37 do order[i] = {(images:select(1, i) - x:select(1, b)):square():sum():item(), i} end
      table.sort(order, function(p, q) return p[1] < q[1] end)
      for s = 1, 3 do
        check.eq(rows:to_table()[s][b], order[s][2])
        check.near(z:select(1, s):select(1, b):to_table(), bank:select(1, order[s][2]):to_table(), 0)
      end
    end
  end
  local one, rows = inverter.start(images, {from = "bank", decoder = decode, bank = bank})
  check.near(one:to_table(), bank:to_table(), 0)
  check.eq(rows:to_table()[1][37], 37)
  local _, few = inverter.start(x, {from = "bank", decoder = decode, bank = bank, codes = 4, starts = 4})
  for _, row in ipairs(few:t():to_table()) do
    table.sort(row)
    check.eq(row, {5, 14, 24, 33})
  end
end)

check.test("prior, random recombinations, and the encoder's guess first", function()
  local x, bank = T.randn(5, 2, 2, 3), T.arange(0, 24):reshape(4, 2, 3)
  check.eq(inverter.start(x, {slots = 2, slot_dim = 3}):shape(), {5, 2, 3})
  check.eq(inverter.start(x, {bank = bank, starts = 4}):shape(), {4, 5, 2, 3})
  local z = inverter.start(x, {from = "random", bank = bank, starts = 2, with = T.ones(5, 2, 3)})
  check.eq(z:shape(), {3, 5, 2, 3})
  check.near(z:select(1, 1):min():item(), 1)
  for s = 2, 3 do
    for _, set in ipairs(z:select(1, s):to_table()) do check.ok(set[1][1] % 6 == 0 and set[2][1] % 6 == 3) end
  end
  check.eq(inverter.start(x, {from = "random", bank = bank, marginals = "gaussian"}):shape(), {5, 2, 3})
end)

check.test("better starts, better ends; a summary", function()
  T.manual_seed(3)
  local d = decoders.cnn{slots = 2, slot_dim = 3, height = 8, hidden = 16, features = 8}:freeze()
  local bank = T.randn(200, 2, 3)
  local x = T.no_grad(function() return (d(T.randn(6, 2, 3))) end)
  local o = {steps = 40, lr = 0.05, trace = true}
  local far = inverter.summary(inverter.search(d, x, inverter.start(x, {bank = bank}) * 3, o))
  local z0 = inverter.start(x, {from = "bank", decoder = d, bank = bank, starts = 3, with = T.zeros(6, 2, 3)})
  local found = inverter.search(d, x, z0, o)
  local near = inverter.summary(found)
  check.ok(near.loss < far.loss and near.loss_before < far.loss_before)
  check.eq({near.images, #near.won}, {6, found.start:max():item()})
  local sum = 0
  for _, share in ipairs(near.won) do sum = sum + share end
  check.near(sum, 1)
  check.near(near.converged, found.converged:float():mean():item())
  check.near(near.decodes_total, near.decodes * 6)
  check.near({near.steps, near.loss}, {found.steps:float():mean():item(), found.loss:mean():item()}, 1e-6)
  check.ok(near.settled > 0 and near.settled <= 40 and near.steps_median <= near.steps_max)
  local trace = T.tensor{{10, 5, 1.05, 1.001, 1}, {2, 2, 2, 1, 1}}
  local known = {loss = T.tensor{1, 1}, steps = T.tensor({4, 3}, {dtype = "i64"}), converged = T.tensor({0, 1}, {dtype = "u8"}),
    start = T.tensor({1, 2}, {dtype = "i64"}), cost = T.tensor({8, 6}), seconds = T.tensor{1, 3}, evaluations = 14, trace = trace}
  local s = inverter.summary(known)
  check.near({s.converged, s.steps, s.steps_median, s.decodes, s.seconds_total, s.loss_before, s.settled, s.won[1]},
    {0.5, 3.5, 3.5, 7, 4, 6, 2.5, 0.5})
end)

check.test("messages", function()
  local x, bank = T.randn(2, 2, 2, 3), T.randn(3, 2, 3)
  check.error("~the prior needs slots and slot_dim", inverter.start, x)
  check.error("~from = 'random' needs a bank", inverter.start, x, {from = "random"})
  check.error("~from = 'bank' needs the decoder", inverter.start, x, {from = "bank", bank = bank})
  check.error("~4 starts from 3 codes", inverter.start, x, {from = "bank", bank = bank, decoder = print, starts = 4})
  check.error("~the bank must be slots (N,K,m), got (3,6)", inverter.start, x, {bank = bank:reshape(3, 6)})
  check.error("~paints 6 numbers an image, the images have 12", inverter.start, x,
    {from = "bank", bank = bank, decoder = function(z) return z end})
  check.error("~with must be slots (2,K,m), got (3,2,3)", inverter.start, x, {with = bank})
  check.error("~(from): expected", inverter.start, x, {from = "encoder"})
  check.error("~what inverter.search returned", inverter.summary, {})
end)

check.done()
