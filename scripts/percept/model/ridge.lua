--- ridge: ridge regression from pixels to classes, a control that needs no network.
-- A linear map of the pixels is additive itself; on new combinations it can beat a CNN, so that
-- generative methods have to beat it, too.
--
--   local ridge = percept.ridge
--   local model = ridge.fit(ridge.pixels(scenes, split.id_train), labels, classes, {
--     validation = {ridge.pixels(scenes, split.id_val), val_labels}})
--   model:score(ridge.pixels(scenes, split.ood), ood_labels)   -- factor -> accuracy
--
-- With x (N,d) the pixels less their training mean and y the one-hot targets less theirs,
--   W = argmin |x W - y|^2 + lambda s |W|^2 = (x'x + lambda s I)^-1 x'y = x' (x x' + lambda s I)^-1 y,
-- s = |x|^2 / d, so that lambda has no unit; the smaller of the two systems is solved, in f64, by Cholesky.
-- lambda is chosen for every factor by its accuracy on validation images.
local T = require "percept.tensor"
local images = require "percept.images"

local ridge = {}
local Ridge = {}
Ridge.__index = Ridge

local function fail(...) error("ridge: " .. string.format(...), 3) end

--- Pixels (N,size*size*C) of the images at `index` of a dataset, in [0,1], by area averaging. size: 32.
function ridge.pixels(dataset, index, size)
  size = size or 32
  local parts, n = {}, index:size(1)
  for from = 1, n, 256 do
    local x = dataset:images(index:narrow(1, from, math.min(256, n - from + 1)))
    if x:size(2) ~= size or x:size(3) ~= size then x = images.resize(x, size, size) end
    parts[#parts + 1] = x:reshape(x:size(1), x:numel() / x:size(1))
  end
  if #parts == 0 then fail("no image to take pixels of") end
  return T.cat(parts, {dim = 1})
end

-- x with l x = b, l (n,n) lower triangular, by blocks; transposed: l' x = b
local function solve_triangular(l, b, transposed)
  local n, block, x = l:size(1), 256, b:clone()
  local starts = {}
  for from = 1, n, block do starts[#starts + 1] = from end
  for i = 1, #starts do
    local from = starts[transposed and #starts - i + 1 or i]
    local count = math.min(block, n - from + 1)
    local known_from, known = 1, from - 1
    if transposed then known_from, known = from + count, n - from - count + 1 end
    local own = l:narrow(1, from, count):narrow(2, from, count)
    local side = x:narrow(1, from, count)
    if known > 0 then
      local between = transposed and l:narrow(1, known_from, known):narrow(2, from, count):t()
        or l:narrow(1, from, count):narrow(2, known_from, known)
      side = side - between:matmul(x:narrow(1, known_from, known))
    end
    local inverse = T.inverse(own)
    x:narrow(1, from, count):copy_((transposed and inverse:t() or inverse):matmul(side))
  end
  return x
end

-- One-hot targets (N, sum of classes), f64, and where each factor begins.
local function targets_of(labels, factors, classes, n)
  local parts, first, at = {}, {}, 1
  for _, f in ipairs(factors) do
    local y = labels[f]
    if not T.is_tensor(y) or y:dim() ~= 1 or y:size(1) ~= n then
      fail("labels.%s must be a tensor of %d class numbers", f, n)
    end
    if y:min():item() < 1 or y:max():item() > classes[f] then
      fail("labels.%s must be classes 1 to %d, got %d to %d", f, classes[f], y:min():item(), y:max():item())
    end
    parts[#parts + 1] = T.eye(classes[f], {dtype = "f64"}):index_select(1, y:long())
    first[f], at = at, at + classes[f]
  end
  return T.cat(parts, {dim = 2}), first
end

local function flat(x, d)
  if not T.is_tensor(x) or x:dim() < 2 or x:size(1) < 1 then fail("x must be a tensor (N,...) of at least one row") end
  x = x:reshape(x:size(1), x:numel() / x:size(1)):double()
  if d and x:size(2) ~= d then fail("x has %d numbers a row, %d were fitted", x:size(2), d) end
  return x
end

-- Weights (d, sum of classes) for one lambda; system: x'x or x x'
local function weights(p, lambda)
  local n = p.system:size(1)
  local l = T.cholesky(p.system + T.eye(n, {dtype = "f64"}) * (lambda * p.unit))
  local w = solve_triangular(l, solve_triangular(l, p.right, false), true)
  return p.dual and p.x:t():matmul(w) or w
end

-- (N) classes from scores (N, sum of classes)
local function classes_of(scores, first, count)
  local _, class = scores:narrow(2, first, count):max(2)
  return class
end

local function every_fifth(n) -- rows to fit, rows to validate
  local fit, held = {}, {}
  for i = 1, n do
    local list = i % 5 == 0 and held or fit
    list[#list + 1] = i
  end
  return T.tensor(fit, {dtype = "i64"}), T.tensor(held, {dtype = "i64"})
end

local function rows(labels, factors, index)
  local out = {}
  for _, f in ipairs(factors) do out[f] = labels[f]:index_select(1, index) end
  return out
end

-- Fits every lambda, keeps for each factor the weights of the best one.
local function choose(self, x, labels, x_val, val_labels, lambdas)
  local y
  y, self.first = targets_of(labels, self.factors, self.classes, x:size(1))
  self.mean, self.offset = x:mean(1, true), y:mean(1, true)
  x, y = x - self.mean, y - self.offset
  local p = {x = x, dual = x:size(1) < x:size(2), unit = x:square():sum():item() / x:size(2)}
  if p.unit == 0 then p.unit = 1 end -- all rows alike
  if p.dual then
    p.system, p.right = x:matmul(x:t()), y
  else
    p.system, p.right = x:t():matmul(x), x:t():matmul(y)
  end
  local chosen = {}
  x_val = x_val - self.mean
  for _, lambda in ipairs(lambdas) do
    local w = weights(p, lambda)
    local scores = x_val:matmul(w) + self.offset
    for _, f in ipairs(self.factors) do
      local right = classes_of(scores, self.first[f], self.classes[f]):eq(val_labels[f]):double():mean():item()
      local trail = self.validation[f]
      trail[#trail + 1] = right
      if not self.lambda[f] or right > self.accuracy[f] then
        self.lambda[f], self.accuracy[f] = lambda, right
        chosen[f] = w:narrow(2, self.first[f], self.classes[f])
      end
    end
  end
  local parts = {}
  for i, f in ipairs(self.factors) do parts[i] = chosen[f] end
  self.weight = T.cat(parts, {dim = 2})
end

--- Fits x (N,...) to labels: factor -> (N) classes from 1; classes: factor -> how many.
-- options: lambda (list, tried in turn; {1e-4, 1e-3, 0.01, 0.1, 1, 10}), validation = {x, labels}: ID images that choose
-- it (without them every fifth row is kept back), factors (their order; sorted).
-- -> model with lambda, accuracy (on validation) and validation (accuracies of all lambdas), each by factor.
function ridge.fit(x, labels, classes, options)
  options = options or {}
  for key in pairs(options) do
    if key ~= "lambda" and key ~= "validation" and key ~= "factors" then
      fail("unknown option '%s': known are lambda, validation, factors", tostring(key))
    end
  end
  local lambdas = options.lambda or {1e-4, 1e-3, 0.01, 0.1, 1, 10}
  if type(lambdas) == "number" then lambdas = {lambdas} end
  if #lambdas == 0 then fail("lambda is an empty list") end
  for _, v in ipairs(lambdas) do
    if type(v) ~= "number" or v ~= v or v <= 0 then fail("lambda must be numbers above 0, got %s", tostring(v)) end
  end
  local factors = options.factors
  if not factors then
    factors = {}
    for f in pairs(labels) do factors[#factors + 1] = f end
    table.sort(factors)
  end
  if #factors == 0 then fail("no factor to predict: labels is empty") end
  for _, f in ipairs(factors) do
    if type(classes[f]) ~= "number" then fail("classes.%s, the number of classes of this factor, is missing", f) end
  end
  x = flat(x)
  targets_of(labels, factors, classes, x:size(1))
  local self = setmetatable({factors = factors, classes = classes, lambda = {}, accuracy = {}, validation = {}}, Ridge)
  for _, f in ipairs(factors) do self.validation[f] = {} end
  return T.no_grad(function()
    local v = options.validation
    if v then
      local x_val = flat(v[1], x:size(2))
      targets_of(v[2], factors, classes, x_val:size(1))
      choose(self, x, labels, x_val, v[2], lambdas)
    else
      if x:size(1) < 5 then fail("%d rows leave none to choose lambda by; give validation = {x, labels}", x:size(1)) end
      local fit, held = every_fifth(x:size(1))
      choose(self, x:index_select(1, fit), rows(labels, factors, fit), x:index_select(1, held), rows(labels, factors, held), lambdas)
    end
    return self
  end)
end

--- Class numbers (N) of a factor for x (N,...).
function Ridge:predict(x, factor)
  if not self.first[factor] then fail("'%s' was not fitted; factors are %s", tostring(factor), table.concat(self.factors, ", ")) end
  return T.no_grad(function()
    local w = self.weight:narrow(2, self.first[factor], self.classes[factor])
    local offset = self.offset:narrow(2, self.first[factor], self.classes[factor])
    return classes_of((flat(x, self.mean:size(2)) - self.mean):matmul(w) + offset, 1, self.classes[factor])
  end)
end

--- Accuracy of every factor: factor -> share of right classes.
function Ridge:score(x, labels)
  local out = {}
  for _, f in ipairs(self.factors) do
    local class = self:predict(x, f)
    targets_of(labels, {f}, self.classes, class:size(1))
    out[f] = class:eq(labels[f]:long()):double():mean():item()
  end
  return out
end

return ridge
