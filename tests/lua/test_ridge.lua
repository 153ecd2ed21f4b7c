-- percept.ridge: against the normal equations, both systems, the choice of lambda, messages.
local check = dofile "tests/lua/check.lua"
local T = require "percept.tensor"
local ridge = require "percept.ridge"

local i64, f64 = {dtype = "i64"}, {dtype = "f64"}

-- The minimum written down: gradient of |xW - y|^2 + lambda s |W|^2 is 0.
local function gradient(x, y, w, lambda)
  local s = x:square():sum():item() / x:size(2)
  return x:t():matmul(x:matmul(w) - y) + w * (lambda * s)
end

local function centred(t) return t - t:mean(1, true) end

check.test("weights solve the normal equations, wide and tall", function()
  T.manual_seed(1)
  for _, size in ipairs{{40, 7}, {12, 30}, {700, 300}, {5, 5}} do
    local n, d = size[1], size[2]
    local x = T.randn(n, d, f64)
    local a, b = T.randint(1, 4, {n}), T.randint(1, 3, {n})
    local m = ridge.fit(x, {a = a, b = b}, {a = 3, b = 2}, {lambda = 0.3, validation = {x, {a = a, b = b}}})
    check.eq(m.weight:shape(), {d, 5})
    local y = T.cat({T.eye(3, f64):index_select(1, a), T.eye(2, f64):index_select(1, b)}, {dim = 2})
    check.near(gradient(centred(x), centred(y), m.weight, 0.3):abs():max():item(), 0, 1e-8)
    check.eq(m:predict(x, "b"):shape(), {n})
  end
end)

check.test("separable classes are found; lambda is chosen on validation, for every factor", function()
  T.manual_seed(2)
  local n = 400
  local a = T.randint(1, 6, {n})
  local centre = T.randn(5, 4, 4, 3)
  local x = centre:index_select(1, a) + T.randn(n, 4, 4, 3) * 0.3
  local noise = T.randint(1, 3, {n})
  local m = ridge.fit(x:narrow(1, 1, 200), {a = a:narrow(1, 1, 200), noise = noise:narrow(1, 1, 200)}, {a = 5, noise = 2},
    {lambda = {1e-6, 1e-2, 1e5}})
  check.eq(m.factors, {"a", "noise"})
  check.eq({#m.validation.a, #m.validation.noise}, {3, 3})
  for _, f in ipairs(m.factors) do
    local best, which = -1, nil
    for i, v in ipairs(m.validation[f]) do
      if v > best then best, which = v, ({1e-6, 1e-2, 1e5})[i] end
    end
    check.eq({m.lambda[f], m.accuracy[f]}, {which, best})
  end
  local rest = x:narrow(1, 201, 200)
  local score = m:score(rest, {a = a:narrow(1, 201, 200), noise = noise:narrow(1, 201, 200)})
  check.ok(score.a > 0.97, score.a)
  check.ok(score.noise > 0.3 and score.noise < 0.7, score.noise)
  check.near(m:predict(rest, "a"):eq(a:narrow(1, 201, 200)):float():mean():item(), score.a)
end)

check.test("pixels of a dataset", function()
  local scenes = require "percept.datasets".scenes("experiments/data/spar_cycles", {height = 16, width = 16, masks = false,
    only = {world_name = {"Park"}, character_name = {"Horse", "Lion"}, character2_name = {"Eagle", "Bull"}}})
  local index = T.arange(1, scenes:count() + 1):long()
  local small = ridge.pixels(scenes, index, 4)
  check.eq(small:shape(), {scenes:count(), 48})
  check.near(small:mean():item(), scenes:images(index):mean():item(), 1e-3) -- area averaging keeps the mean
  check.eq(ridge.pixels(scenes, index, 16):shape(), {scenes:count(), 768})
  local labels = {character_name = scenes:factor("character_name", index)}
  local m = ridge.fit(small, labels, {character_name = #scenes:values "character_name"}, {validation = {small, labels}})
  check.ok(m.accuracy.character_name > 0.9, m.accuracy.character_name)
end)

check.test("messages", function()
  local x, y = T.randn(10, 3), {a = T.randint(1, 3, {10})}
  check.error("~x must be a tensor (N,...)", ridge.fit, 3, y, {a = 2})
  check.error("~labels.a must be a tensor of 9 class numbers", ridge.fit, x:narrow(1, 1, 9), y, {a = 2})
  check.error("~labels.a must be classes 1 to 2, got 1 to 7", ridge.fit, x, {a = T.tensor({1, 7, 1, 1, 1, 1, 1, 1, 1, 1}, i64)}, {a = 2})
  check.error("~classes.a, the number of classes of this factor, is missing", ridge.fit, x, y, {b = 2})
  check.error("~labels is empty", ridge.fit, x, {}, {})
  check.error("~lambda must be numbers above 0, got 0", ridge.fit, x, y, {a = 2}, {lambda = {0}})
  check.error("~lambda is an empty list", ridge.fit, x, y, {a = 2}, {lambda = {}})
  check.error("~unknown option 'lamda': known are", ridge.fit, x, y, {a = 2}, {lamda = 1})
  check.error("~4 rows leave none to choose lambda by", ridge.fit, x:narrow(1, 1, 4), {a = y.a:narrow(1, 1, 4)}, {a = 2})
  local m = ridge.fit(x, y, {a = 2})
  check.error("~'b' was not fitted; factors are a", m.predict, m, x, "b")
  check.error("~x has 4 numbers a row, 3 were fitted", m.predict, m, T.randn(2, 4), "a")
  check.near(ridge.fit(T.ones(10, 3), y, {a = 2}).lambda.a, 1e-4) -- nothing to learn from; the first of equals
end)

check.done()
