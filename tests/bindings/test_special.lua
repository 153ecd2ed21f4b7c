-- Values and gradients, first and second order, where formulas break: zeros, ties, constants, singular
-- matrices, infinities. The numbers are PyTorch's where it has finite ones, else worked out by hand.
local check = dofile "tests/lua/check.lua"
local percept = require "percept"
local T, nn = percept.tensor, percept.nn
local test, eq, near = check.test, check.eq, check.near

local F64 = { dtype = "f64" }
local INF, NAN = math.huge, 0 / 0
local function t64(x) return T.tensor(x, F64) end

-- flat list of numbers; NaN as a text, so that it can be compared
local function flat(t)
  local list = {}
  t = t:reshape(t:numel())
  for i = 1, t:numel() do list[i] = t[i] == t[i] and t[i] or "nan" end
  return list
end

local function alike(got, want, what)
  eq(#got, #want, what)
  for i, w in ipairs(want) do
    if w == "nan" or w == INF or w == -INF then
      eq(got[i], w, ("%s [%d]"):format(what, i))
    else
      check.ok(got[i] ~= "nan", ("%s [%d]: nan, want %g"):format(what, i, w))
      near(got[i], w, 1e-9, ("%s [%d]"):format(what, i))
    end
  end
end

-- x, value, gradient, gradient of sum_i i g_i (or nil)
local points = {
  ["prod, one zero"] = { { 2, 0, 3 }, function(x) return x:prod() end, 0, { 0, 6, 0 }, { 6, 9, 4 } },
  ["prod, two zeros"] = { { 2, 0, 3, 0 }, function(x) return x:prod() end, 0, { 0, 0, 0, 0 }, { 0, 24, 0, 12 } },
  ["prod over a dimension"] = { { { 2, 0, 3 }, { 1, 0, 0 }, { 4, 5, 6 } },
    function(x) return (x:prod(2) * t64 { 1, 2, 3 }):sum() end, 360, { 0, 6, 0, 0, 0, 0, 90, 72, 60 },
    { 6, 9, 4, 0, 12, 10, 279, 234, 201 } },
  ["prod of a transposed view, keepdim"] = { { { 2, 0, 3 }, { 1, 0, 0 } },
    function(x) return (x:t():prod(1, true) * t64 { { 1, 2 } }):sum() end, 0, { 0, 6, 0, 0, 0, 0 },
    { 6, 9, 4, 0, 12, 10 } },
  ["prod, underflow"] = { { 1e-200, 1e-200 }, function(x) return x:prod() * 1e200 end, 0, { 1, 1 }, nil },
  ["cumprod, two zeros"] = { { 2, 0, 3, 0, 5 },
    function(x) return (x:cumprod(1) * t64 { 1, 2, 3, 4, 5 }):sum() end, 2, { 1, 22, 0, 0, 0 },
    { 22, 725, 12, 348, 0 } },
  ["cumprod of rows"] = { { { 2, 0, 3 }, { 1, 4, 0 } },
    function(x) return (x:cumprod(1) * t64 { { 1, 2, 3 }, { 4, 5, 6 } }):sum() end, 19, { 5, 22, 3, 8, 0, 18 },
    { 16, 25, 36, 4, 10, 18 } },
  ["std of equal numbers"] = { { 3, 3, 3 }, function(x) return x:std() end, 0, { 0, 0, 0 }, { 0, 0, 0 } },
  ["std of equal numbers that are rounded"] = { { 0.1, 0.1, 0.1 }, function(x) return x:std() end, 0, { 0, 0, 0 },
    { 0, 0, 0 } },
  ["var of equal numbers"] = { { 0.1, 0.1, 0.1 }, function(x) return x:var() end, 0, { 0, 0, 0 }, { -1, 0, 1 } },
  ["std of one number"] = { { 3 }, function(x) return x:std() end, "nan", { "nan" }, { "nan" } },
  ["biased std of one number"] = { { 3 }, function(x) return x:std(1, false) end, 0, { 0 }, { 0 } },
  ["norm 0"] = { { 0, 4, -3 }, function(x) return x:norm(0) end, 2, { 0, 0, 0 }, { 0, 0, 0 } },
  ["norm 0.5 at a zero"] = { { 0, 4, -3 }, function(x) return x:norm(0.5) end, 7 + 2 * 12 ^ 0.5,
    { 0, 1 + 3 ^ 0.5 / 2, -1 - 2 / 3 ^ 0.5 }, { 0, -0.649519052838329, -0.8660254037844386 } },
  ["norm 1.5 at a zero"] = { { 0, 4, -3 }, function(x) return x:norm(1.5) end, 5.584250376480029,
    { 0, 0.8463452372482761, -0.7329564758289748 }, { 0, 0.2499443804206893, 0.3332591738942525 } },
  ["norm 2 of zeros"] = { { 0, 0, 0 }, function(x) return x:norm() end, 0, { 0, 0, 0 }, { 0, 0, 0 } },
  ["norm 2 at a zero"] = { { 0, 4, -3 }, function(x) return x:norm() end, 5, { 0, 0.8, -0.6 },
    { 0.2, 0.432, 0.576 } },
  ["norm 3 of zeros"] = { { 0, 0 }, function(x) return x:norm(3) end, 0, { 0, 0 }, { 0, 0 } },
  ["norm 0.5 of zeros"] = { { 0, 0 }, function(x) return x:norm(0.5) end, 0, { 0, 0 }, { 0, 0 } },
  ["largest norm, a tie"] = { { 0, 4, -4 }, function(x) return x:norm(INF) end, 4, { 0, 0.5, -0.5 }, { 0, 0, 0 } },
  ["largest norm of zeros"] = { { 0, 0 }, function(x) return x:norm(INF) end, 0, { 0, 0 }, { 0, 0 } },
  ["x^0"] = { { 0, 2, -3 }, function(x) return (x ^ 0):sum() end, 3, { 0, 0, 0 } },
  ["x^3"] = { { 0, 2, -3 }, function(x) return (x ^ 3):sum() end, -19, { 0, 12, 27 }, { 0, 24, -54 } },
  ["x^t"] = { { 0, 2, -3 }, function(x) return (x ^ t64 { 2, 3, 2 }):sum() end, 17, { 0, 12, -6 }, { 2, 24, 6 } },
  ["0^t"] = { { 0, 2, 3 }, function(x) return (t64 { 0, 0, 2 } ^ x):sum() end, 9, { 0, 0, 8 * math.log(2) },
    { 0, 0, 24 * math.log(2) ^ 2 } },
  ["0 to a negative power"] = { { -1 }, function(x) return (t64 { 0 } ^ x):sum() end, INF, { -INF } },
  ["a negative number to t"] = { { 2 }, function(x) return (t64 { -2 } ^ x):sum() end, 4, { "nan" } },
  ["square root at 0"] = { { 0, 4 }, function(x) return x:sqrt():sum() end, 2, { INF, 0.25 }, { -INF, -0.0625 } },
  ["amax, a tie"] = { { 3, 1, 3 }, function(x) return x:amax(1):sum() end, 3, { 0.5, 0, 0.5 } },
  ["max, a tie"] = { { 3, 1, 3 }, function(x) return (x:max(1)):sum() end, 3, { 1, 0, 0 } },
  ["maximum, a tie"] = { { 0, 1, 2 }, function(x) return x:maximum(t64 { 0, 2, 1 }):sum() end, 4, { 0.5, 0, 1 } },
  ["median with NaN"] = { { 3, NAN, 1 }, function(x) return (x:median(1)):sum() end, "nan", { 0, 1, 0 } },
  ["logsumexp, rows of -inf"] = { { { -INF, 1 }, { -INF, -INF } },
    function(x) return x:logsumexp(2):exp():sum() end, math.exp(1), { 0, math.exp(1), 0, 0 } },
  ["softmax, a -inf"] = { { -INF, 1, 2 }, function(x) return (x:softmax(1) * t64 { 1, 2, 3 }):sum() end,
    2.7310585786300049, { 0, -0.1966119332414819, 0.1966119332414819 },
    { 0, 0.0908577476729484, -0.0908577476729484 } },
  ["gelu, huge"] = { { -1e4, 1e4, 0 }, function(x) return x:gelu():sum() end, 1e4, { 0, 1, 0.5 } },
  ["gelu in its tanh form, huge"] = { { -1e200, 1e200, 0 }, function(x) return x:gelu("tanh"):sum() end, 1e200,
    { 0, 1, 0.5 }, { 0, 0, 2.3936536824085963 } },
  ["softplus, huge"] = { { -1e4, 1e4, 0 }, function(x) return x:softplus():sum() end, 1e4 + math.log(2),
    { 0, 1, 0.5 }, { 0, 0, 0.75 } },
  ["det, rank 1 of 2"] = { { { 1, 2 }, { 2, 4 } }, function(x) return x:det() end, 0, { 4, -2, -2, 1 },
    { 4, -3, -2, 1 } },
  ["det, rank 2 of 3"] = { { { 1, 2, 3 }, { 4, 5, 6 }, { 5, 7, 9 } }, function(x) return x:det() end, 0,
    { 3, -6, 3, 3, -6, 3, -3, 6, -3 }, { 0, 0, 0, 9, -18, 9, -6, 12, -6 } },
  ["det, a row of zeros"] = { { { 0, 0, 0 }, { 0, 1, 0 }, { 0, 0, 2 } }, function(x) return x:det() end, 0,
    { 2, 0, 0, 0, 0, 0, 0, 0, 0 }, { 19, -8, -7, -4, 2, 0, -3, 0, 1 } },
  ["det of zeros"] = { { { 0, 0 }, { 0, 0 } }, function(x) return x:det() end, 0, { 0, 0, 0, 0 }, { 4, -3, -2, 1 } },
  ["det of a batch, one singular"] = { { { { 1, 2 }, { 2, 4 } }, { { 1, 2 }, { 3, 4 } } },
    function(x) return x:det():sum() end, -2, { 4, -2, -2, 1, 4, -3, -2, 1 }, { 4, -3, -2, 1, 8, -7, -6, 5 } },
  ["cross entropy, a -inf that is not the target"] = { { { -INF, 1, 2 } },
    function(x) return nn.cross_entropy(x, T.tensor { 3 }:long()) end, 0.3132616875182228,
    { 0, 0.2689414213699951, -0.2689414213699951 } },
}

for name, p in pairs(points) do
  test(name, function()
    local x = t64(p[1]):requires_grad_()
    local y = p[2](x)
    alike(flat(y:detach()), { p[3] }, "value")
    local g = T.grad(y, x, { create_graph = true })
    alike(flat(g:detach()), p[4], "gradient")
    if not p[5] then return end
    local weight = T.arange(1, x:numel() + 1, F64):reshape(x:size())
    local h = T.grad((g * weight):sum(), x, { allow_unused = true })
    alike(h and flat(h) or flat(x:detach() * 0), p[5], "second order")
  end)
end

test("third derivatives through zeros", function()
  local x = t64 { 2, 0, 0 }:requires_grad_()
  local g = T.grad(x:prod(), x, { create_graph = true })
  local h = T.grad(g[2], x, { create_graph = true })
  alike(flat(T.grad(h[3], x)), { 1, 0, 0 }, "d3 prod / dx2 dx3 dx")
  x = t64 { { 0, 0, 0 }, { 0, 0, 0 }, { 0, 0, 0 } }:requires_grad_()
  g = T.grad(x:det(), x, { create_graph = true })
  h = T.grad(g[{ 1, 1 }], x, { create_graph = true })
  alike(flat(T.grad(h[{ 2, 2 }], x)), { 0, 0, 0, 0, 0, 0, 0, 0, 1 }, "d3 det")
end)

test("reductions of a number and their gradients", function()
  for _, name in ipairs { "sum", "mean", "prod", "norm", "logsumexp", "amax", "amin" } do
    for _, dim in ipairs { "all", -1, 1 } do
      local x = T.tensor(3, F64):requires_grad_()
      local y = dim == "all" and x[name](x) or name == "norm" and x:norm(2, dim) or x[name](x, dim)
      y:backward()
      near(x.grad:item(), 1, 1e-12, name)
    end
  end
end)

test("decompositions refuse what is not finite", function()
  for _, bad in ipairs { INF, -INF, NAN } do
    local x = T.eye(4)
    x[{ 2, 2 }] = bad
    for _, name in ipairs { "svd", "eigh", "qr", "pinv", "inverse", "cholesky" } do
      check.error("~contains NaN or infinity", function() return T[name](x) end)
    end
    check.error("~contains NaN or infinity", function() return T.solve(x, T.ones(4)) end)
    check.error("~the right-hand side of the matrix contains NaN or infinity",
      function() return T.lstsq(T.eye(4), T.ones(4) * bad) end)
  end
end)

test("places of grid_sample that are not numbers or far away", function()
  local x = t64 { 1, 2, 3, 4 }:reshape(1, 1, 4, 1)
  for _, dtype in ipairs { "f64", "f32" } do
    local grid = T.tensor({ { { { NAN, 0 }, { INF, 0 }, { -INF, 0 }, { 1e30, 0 }, { 0, NAN }, { 0.25, 0 } } } }, { dtype = dtype })
    grid:requires_grad_()
    local zeros, border = T.grid_sample(x, grid), T.grid_sample(x, grid, { padding = "border" })
    alike(flat(zeros:detach()), { 0.5, 0, 0, 0, 1.25, 3 }, "zeros") -- NaN is -1: half of the edge's pixel lies there
    alike(flat(border:detach()), { 1, 4, 1, 4, 2.5, 3 }, "border")
    alike(flat(T.grad(border:sum(), grid)), { 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2, 0 }, "gradient")
    alike(flat(T.grid_sample(x, grid, { padding = "border", mode = "nearest" }):detach()), { 1, 4, 1, 4, 3, 3 }, "nearest")
  end
  x = t64 { 1, INF, NAN }:reshape(1, 1, 3, 1)
  local left = T.grid_sample(x, t64 { -1, 0 }:reshape(1, 1, 1, 2), { align_corners = true })
  alike(flat(left), { 1 }, "a pixel of weight 0 is not read")
end)

test("grid_sample and affine_grid refuse what does not fit", function()
  local x, grid = T.rand(2, 3, 3, 1), T.rand(2, 4, 4, 2)
  check.error("~grid (2,4,4,3) must be (N,h,w,2)", function() return T.grid_sample(x, T.rand(2, 4, 4, 3)) end)
  check.error("~is for 2; one for all? expand it", function() return T.grid_sample(x:narrow(1, 1, 1), grid) end)
  check.error("~no pixels", function() return T.grid_sample(T.rand(2, 0, 3, 1), grid) end)
  check.error("~zeros|border", function() return T.grid_sample(x, grid, { padding = "reflection" }) end)
  check.error("~theta (2,3) must be (N,2,3)", function() return T.affine_grid(T.rand(2, 3), 4) end)
  eq(T.grid_sample(x, T.rand(2, 0, 4, 2)):shape(), { 2, 0, 4, 1 })
end)

check.done()
