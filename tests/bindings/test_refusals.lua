-- Refusals of operations, plots and pictures, by kind: ranks, sizes, dtypes, empty dimensions, what cannot be combined. Each
-- message names the function and what was wrong; kinds that are not refused give the right value.
local check = dofile "tests/lua/check.lua"
local T, images, plot = require "percept.tensor", require "percept.images", require "percept.plot"
local i64 = { dtype = "i64" }
local r = T.rand

-- a call, then what its message must contain
local refused = {
  -- ranks and empty dimensions
  { function() return T.conv2d(r(1, 5, 5, 2), r(4, 3, 3)) end, "conv2d", "weight (4,3,3)" },
  { function() return T.conv2d(r(1, 5, 5, 2), T.zeros(4, 0, 3, 2)) end, "conv2d", "empty dimension" },
  { function() return T.conv2d(r(1, 5, 5, 2), T.zeros(0, 3, 3, 2)) end, "conv2d", "empty dimension" },
  { function() return T.conv2d(r(1, 5, 5, 4), r(4, 3, 3, 2), { groups = 3 }) end, "conv2d", "3" },
  { function() return T.conv2d(r(1, 5, 5, 4), r(4, 3, 3, 4), { stride = 0 }) end, "conv2d", "stride" },
  { function() return T.conv2d(r(1, 5, 5, 4), r(4, 3, 3, 4), { padding = -1 }) end, "conv2d", "padding" },
  { function() return T.conv2d(r(1, 2, 2, 4), r(4, 3, 3, 4)) end, "conv2d", "(1,2,2,4)" },
  { function() return T.conv2d(r(1, 5, 5, 4), r(4, 3, 3, 4), r(3)) end, "conv2d", "bias" },
  { function() return T.conv_transpose2d(r(1, 2, 2, 4), r(4, 3, 3, 3), { output_padding = 5 }) end, "conv_transpose2d", "5" },
  { function() return T.avg_pool2d(r(5, 5), 2) end, "avg_pool2d", "(5,5)" },
  { function() return T.max_pool2d(r(1, 2, 2, 1), 3) end, "max_pool2d", "(1,2,2,1)" },
  { function() return T.max_pool2d(r(1, 4, 4, 1), 2, { stride = 0 }) end, "max_pool2d", "stride" },
  { function() return T.upsample(r(2, 2), { size = 4 }) end, "upsample", "(2,2)" },
  { function() return T.upsample(T.zeros(1, 0, 2, 1), { size = 4 }) end, "upsample", "at least one" },
  { function() return T.layer_norm(r(2, 3), r(4)) end, "layer_norm", "(4)", "(3)" },
  { function() return T.group_norm(r(2, 3, 4), 3) end, "group_norm", "3" },
  { function() return T.matmul(T.tensor(1), r(2)) end, "matmul", "()" },
  { function() return T.bmm(r(2, 3), r(3, 2)) end, "bmm", "(2,3)" },
  { function() return T.addmm(r(5), r(2, 3), r(3, 2)) end, "addmm", "(5)" },
  { function() return T.dot(r(2), r(3)) end, "dot", "(2)", "(3)" },
  { function() return T.outer(r(2, 2), r(3)) end, "outer", "(2,2)" },
  { function() return T.diag(r(2, 2, 2)) end, "diag", "(2,2,2)" },
  { function() return T.tril(r(3)) end, "tril", "(3)" },
  { function() return T.eigh(r(2, 3)) end, "eigh", "square" },
  { function() return T.inverse(T.zeros(2, 2)) end, "inverse", "singular" },
  -- sizes that disagree
  { function() return T.masked_select(r(2, 3), T.ones(4):gt(0)) end, "masked_select", "(2,3)", "(4)" },
  { function() return r(2, 3):gather(1, T.ones(4, 4, i64)) end, "gather", "(4,4)" },
  { function() return r(2, 3):gather(1, T.full({ 1, 1 }, 9, i64)) end, "gather", "9" },
  { function() return r(2, 3):index_select(2, T.tensor({ 0 }, i64)) end, "index_select", "0" },
  { function() return r(2, 3):scatter_add(1, T.ones(2, 3, i64), r(1, 1)) end, "scatter_add", "(1,1)" },
  { function() return r(2, 3):index_add(1, T.tensor({ 1 }, i64), r(2, 3)) end, "index_add", "(2,3)" },
  { function() return T.embedding(r(3, 2), T.tensor({ 4 }, i64)) end, "embedding", "4" },
  { function() return T.one_hot(T.tensor({ 3 }, i64), 2) end, "one_hot", "3" },
  { function() return T.cat { r(2), r(2, 2) } end, "cat", "(2,2)" },
  { function() return T.stack { r(2), r(3) } end, "stack", "(3)" },
  { function() return T.lerp(r(2), r(3), r(2)) end, "lerp", "(2)", "(3)" },
  { function() return T.where(r(2):gt(0), r(3), r(3)) end, "where", "(2)", "(3)" },
  { function() return r(2, 3):expand(3, 3) end, "expand", "(2,3)" },
  { function() return r(4):unfold(1, 5, 1) end, "unfold", "5" },
  { function() return r(2, 3):view(7) end, "view", "(2,3)" },
  { function() return r(2, 3):t():view(6) end, "view", "reshape" },
  { function() return r(2, 3):squeeze(5) end, "squeeze", "5" },
  { function() return r(2, 3):flip { 1, 1 } end, "flip" },
  { function() return r(2, 3):permute(1, 1) end, "permute" },
  -- dtypes
  { function() return T.attention(r(1, 2, 4), r(1, 3, 4), r(1, 2, 4), 1) end, "attention", "(1,3,4)" },
  { function() return T.attention(r(1, 2, 4), r(1, 3, 4), r(1, 3, 4), { heads = 3 }) end, "attention", "3" },
  { function() return T.bincount(r(3)) end, "bincount", "f32" },
  { function() return T.composite(r(2, 3)) end, "composite", "(2,3)" },
  -- pictures and plots
  { function() return images.grid(r(2, 4, 4, 2)) end, "grid", "(2,4,4,2)" },
  { function() return images.grid(T.ones(2, 4, 4, 3, i64)) end, "grid", "i64", "u8" },
  { function() return images.grid(T.zeros(0, 4, 4, 3)) end, "grid", "(0,4,4,3)", "no picture" },
  { function() return images.grid {} end, "grid", "1 to 64" },
  { function() return images.grid { r(1, 4, 4, 3), r(1, 5, 4, 3) } end, "grid", "(1,5,4,3)" },
  { function() return images.grid(r(1, 4, 4, 3), { scale = 65 }) end, "grid", "scale" },
  { function() return images.grid(r(1, 4, 4, 3), { font = 201 }) end, "grid", "font" },
  { function() return images.resize(r(4), 2) end, "resize", "(4)" },
  { function() return images.colorize(r(3)) end, "colorize", "(3)" },
  { function() return images.labels_to_rgb(r(3, 3)) end, "labels_to_rgb", "f32" },
  { function() return plot.heat { values = T.zeros(0, 3) } end, "heat map", "(0,3)" },
  { function() return plot.heat { values = r(2, 2), framed = T.zeros(2, 3) } end, "framed", "(2,3)" },
  { function() return plot.heat { values = r(2, 2), columns = { "a" } } end, "1 column labels for 2" },
  { function() return plot.heat { values = r(2, 2), rows = { "a", "b", "c" } } end, "3 row labels for 2" },
  { function() return plot.lines { y = { 1 }, xlim = { 1, 1 } } end, "xlim" },
  { function() return plot.lines { y = { 1 }, yscale = "log", ylim = { 0, 1 } } end, "ylim" },
  { function() return plot.lines { y = { 1, 2 }, ylim = { 0, 0 / 0 } } end, "ylim" },
  { function() return plot.lines { { name = "a", y = { 1, 2 }, low = { 1 } } } end, "'a'", "low" },
}
for i, case in ipairs(refused) do
  check.test("refused " .. i, function()
    local ok, why = pcall(case[1])
    check.ok(not ok, "taken; wanted " .. table.concat(case, ", ", 2))
    for k = 2, #case do check.ok(tostring(why):find(case[k], 1, true), ("%q lacks %q"):format(tostring(why), case[k])) end
  end)
end

check.test("products of whole numbers stay what they are", function()
  for _, d in ipairs { "i64", "i32", "u8" } do
    local a = T.tensor({ { 1, 2 }, { 3, 4 } }, { dtype = d })
    local c = a:matmul(a)
    check.eq(c:dtype(), d)
    check.eq(c:to_table(), { { 7, 10 }, { 15, 22 } })
  end
end)

check.test("gradients add up, with and without a graph of their own", function()
  local x = T.tensor({ 1, 2 }, { dtype = "f64", requires_grad = true })
  for _ = 1, 3 do (x * x):sum():backward() end
  check.eq(x.grad:to_table(), { 6, 12 })
  local g = T.grad((x * x * x):sum(), x, { create_graph = true })
  x.grad = nil
  g:sum():backward()
  check.eq(x.grad:to_table(), { 6, 12 })
end)

check.test("anomaly mode names what made the first NaN, forward and backward", function()
  local function broken(fn)
    T.anomaly(true)
    local ok, why = pcall(fn)
    T.anomaly(false)
    check.ok(not ok, "no NaN was seen")
    return why
  end
  local x = T.tensor({ 0 }, { requires_grad = true })
  local why = broken(function() (x:sqrt() * 0):sum():backward() end)
  check.ok(why:find("backward of sqrt: anomaly: div made the first NaN", 1, true), why)
  local bad = T.custom { name = "bad", forward = function(_, v) return v * 2 end,
    backward = function() return T.full({ 1 }, 0 / 0) end }
  why = broken(function() bad(x):sum():backward() end)
  check.ok(why:find("NaN", 1, true) and why:find("bad", 1, true), why)
end)

check.test("a custom gradient has the shape of its input, in whatever dtype", function()
  local x = T.tensor({ 1, 2 }, { dtype = "f64", requires_grad = true })
  local function op(gradient)
    return T.custom { name = "mine", forward = function(_, v) return v * 2 end, backward = function() return gradient end }
  end
  op(T.ones(2, { dtype = "f32" }) * 3)(x):sum():backward()
  check.eq(x.grad:to_table(), { 3, 3 })
  check.eq(x.grad:dtype(), "f64")
  local ok, why = pcall(function() op(T.ones(3, { dtype = "f64" }))(x):sum():backward() end)
  check.ok(not ok and why:find("mine", 1, true) and why:find("(3)", 1, true) and why:find("(2)", 1, true), why)
end)

check.test("an output that was changed after it was saved is noticed", function()
  local x = T.tensor({ 1, 2 }, { requires_grad = true })
  local y = x:exp()
  T.no_grad(function() y:detach():add_(1) end)
  local ok, why = pcall(function() y:sum():backward() end)
  check.ok(not ok and why:find("exp", 1, true) and why:find("in place", 1, true), why)
end)

check.test("row labels and scales of grids have room", function()
  local x = r(4, 6, 6, 3)
  local plain = images.grid(x, { columns = 2 })
  local labelled = images.grid(x, { columns = 2, row_labels = { "one", "two" } })
  check.ok(labelled:size(2) > plain:size(2) and labelled:size(1) == plain:size(1))
  local font = images.grid(x, { columns = 2, row_labels = { "one", "a longer label" }, font = 12 })
  check.ok(font:size(2) > plain:size(2))
  check.eq(images.grid(x, { columns = 2, scale = 2, padding = 0 }):shape(), { 24, 24, 3 })
end)

check.test("assignment: what is refused, and that the rest is written", function()
  local function fails(fn, ...)
    local ok, why = pcall(fn)
    check.ok(not ok, "taken")
    for _, part in ipairs { ... } do check.ok(why:find(part, 1, true), why) end
  end
  local x = T.zeros(2, 3)
  fails(function() x[T.ones(4):gt(0)] = 1 end, "mask", "(4)", "(2,3)")
  fails(function() x[T.tensor { 1, 2 }] = 1 end, "f32", "x:long()")
  fails(function() x[T.tensor({ 3 }, i64)] = 1 end, "3")
  fails(function() x[T.tensor({ 0 }, i64)] = 1 end, "position 0", "(2,3)")
  fails(function() T.zeros()[T.tensor({ 1 }, i64)] = 1 end, "0-dim")
  fails(function() x[T.tensor({ 1, 2 }, i64)] = r(3, 3) end, "(3,3)", "broadcast")
  x[T.tensor({ { 1, 2 }, { 2, 1 } }, i64)] = 5 -- positions of any shape
  check.eq(x:to_table(), { { 5, 5, 5 }, { 5, 5, 5 } })
  x[T.tensor({ -1 }, i64)] = T.tensor { 1, 2, 3 }
  check.eq(x:to_table(), { { 5, 5, 5 }, { 1, 2, 3 } })
  x[{ {}, T.tensor({ 1, 3 }, { dtype = "i32" }) }] = T.tensor { { 7, 8 }, { 9, 0 } }
  check.eq(x:to_table(), { { 7, 5, 8 }, { 9, 2, 0 } })
  x[x:gt(7)] = T.tensor { -1, -2 }
  check.eq(x:to_table(), { { 7, 5, -1 }, { -2, 2, 0 } })
  x[{ {}, { 1, 2 } }] = x[{ {}, { 2, 3 } }] -- from itself
  check.eq(x:to_table(), { { 5, -1, -1 }, { 2, 0, 0 } })
  local zero = T.tensor(3)
  zero[T.tensor(1):gt(0)] = 4
  check.eq(zero:item(), 4)
end)

check.test("changes in place of every dtype", function()
  for _, d in ipairs { "f64", "f32", "i64", "i32", "u8" } do
    local function t(list) return T.tensor(list, { dtype = d }) end
    check.eq(t { 1, 2 }:add_(t { 3, 4 }):to_table(), { 4, 6 })
    check.eq(t { 5, 6 }:sub_(2):to_table(), { 3, 4 })
    check.eq(t { 5, 6 }:mul_(t { 2, 3 }):to_table(), { 10, 18 })
    check.eq(t { 5, 6 }:mul_(2):to_table(), { 10, 12 })
    if d:sub(1, 1) == "f" then check.eq(t { 5, 1 }:clamp_(2, 4):to_table(), { 4, 2 }) end
    check.eq(t { 5, 6 }:fill_(3):to_table(), { 3, 3 })
    local s = t { { 1, 2 }, { 3, 4 } }
    check.eq(s:t():add_(s):to_table(), { { 2, 5 }, { 5, 8 } }) -- an operand that overlaps is copied first
  end
end)

check.test("bars: signs, gaps, long names, logarithms", function()
  local function svg(o) return plot.bars(o):svg() end
  local series = { name = "x", y = { 1, -2, 0 / 0 }, low = { 0, -3, 0 }, high = { 2, -1, 1 } }
  local plain = svg { groups = { "a", "b", "c" }, numbers = true, series }
  check.ok(plain:find(">-2<", 1, true) or plain:find("−2", 1, true), "the number of a bar below zero")
  local names = {}
  for i = 1, 12 do names[i] = "a group of a long name " .. i end
  local y = T.arange(1, 13)
  check.ok(svg { groups = names, { y = y } }:find("rotate", 1, true), "long names stand aslant")
  check.ok(not svg { groups = { "a", "b" }, { y = { 1, 2 } } }:find("rotate(-4", 1, true))
  local log = svg { groups = { "a", "b" }, yscale = "log", numbers = true, digits = 2, { y = { 0.01, 100 } } }
  check.ok(log ~= svg { groups = { "a", "b" }, numbers = true, digits = 2, { y = { 0.01, 100 } } })
  check.ok(svg { groups = {}, yscale = "log" }:match "^<svg .*</svg>\n$")
  local many = { groups = { "a" }, numbers = true }
  for i = 1, 40 do many[i] = { name = "s" .. i, y = { i * 1111 } } end
  check.ok(not svg(many):find(">1111<", 1, true), "no room for numbers over thin bars")
end)

check.done()
