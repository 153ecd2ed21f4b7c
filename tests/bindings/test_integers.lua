-- Integers keep their values or say why not: what does not fit is refused, what a number cannot hold is shown exactly.
local check = dofile "tests/lua/check.lua"
local T = require "percept.tensor"
local test, eq = check.test, check.eq

local U8, I32, I64 = { dtype = "u8" }, { dtype = "i32" }, { dtype = "i64" }
local limits = { u8 = { 0, 255 }, i32 = { -2 ^ 31, 2 ^ 31 - 1 }, i64 = { -2 ^ 63, 2 ^ 62 } }
local beyond = { u8 = { -1, 256, 1e9 }, i32 = { -2 ^ 31 - 1, 2 ^ 31, 1e18 }, i64 = { 2 ^ 63, -2 ^ 64, 1e300 } }

local function refused(fn, what)
  local ok, why = pcall(fn)
  if ok or not tostring(why):find("does not fit into", 1, true) then
    error(("%s: %s"):format(what, tostring(why)), 2)
  end
end

-- every way a number takes into an integer tensor
local ways = {
  tensor = function(v, o) return T.tensor({ v }, o) end,
  full = function(v, o) return T.full(1, v, o) end,
  full_like = function(v, o) return T.full_like(T.zeros(1, o), v) end,
  fill_ = function(v, o) return T.zeros(1, o):fill_(v) end,
  index = function(v, o) local x = T.zeros(1, o) x[1] = v return x end,
  range = function(v, o) local x = T.zeros(1, o) x[{ {} }] = { v } return x end,
  masked_fill = function(v, o) return T.zeros(1, o):masked_fill(T.ones(1, U8), v) end,
  to = function(v, o) return T.tensor({ v }, { dtype = "f64" }):to(o.dtype) end,
  copy_ = function(v, o) return T.zeros(1, o):copy_(T.tensor({ v }, { dtype = "f64" })) end,
}

for name, way in pairs(ways) do
  test("a number by way of " .. name, function()
    for dtype, ends in pairs(limits) do
      for _, v in ipairs(ends) do eq(way(v, { dtype = dtype }):item(), v, dtype) end
      for _, v in ipairs(beyond[dtype]) do refused(function() return way(v, { dtype = dtype }) end, dtype .. " " .. v) end
      for _, v in ipairs { 0 / 0, math.huge, -math.huge } do
        refused(function() return way(v, { dtype = dtype }) end, dtype .. " " .. v)
      end
      local cut = name == "to" or name == "copy_"
      if cut then eq(way(3.7, { dtype = dtype }):item(), 3) else refused(function() return way(3.5, { dtype = dtype }) end, dtype) end
    end
  end)
end

test("conversions of integers", function()
  refused(function() return T.tensor({ 2 ^ 31 }, I64):int() end, "i64 to i32")
  refused(function() return T.tensor({ -1 }, I64):byte() end, "i64 to u8")
  refused(function() return T.tensor({ 256 }, I32):byte() end, "i32 to u8")
  eq(T.tensor({ 255, 0 }, I32):byte():to_table(), { 255, 0 })
  refused(function() return T.tensor(T.tensor { 300 }, U8) end, "tensor of a tensor")
  refused(function() return T.rand(3, 4):add(300):t():byte() end, "a view")
  eq(T.tensor({ 3.9, -0.9, 255.9 }):byte():to_table(), { 3, 0, 255 })
  eq(T.zeros(0):byte():numel(), 0)
end)

test("numbers beside an integer tensor", function()
  local x = T.tensor({ 1, 2 }, U8)
  for _, op in ipairs { "add", "sub", "mul", "maximum", "minimum", "remainder", "fmod", "pow" } do
    refused(function() return x[op](x, 256) end, op)
  end
  refused(function() return x % 256 end, "x % 256")
  refused(function() return 300 - x end, "300 - x")
  refused(function() return T.where(x:gt(1), x, 300) end, "where")
  refused(function() return x:add_(300) end, "add_")
  eq((x % T.tensor({ 256, 256 }, I64)):to_table(), { 1, 2 })
  eq((T.tensor({ -2 ^ 63 }, I64) % -1):item(), 0)
  eq(T.tensor({ -2 ^ 63 }, I64):fmod(-1):item(), 0)
  check.error("~divided by zero", function() return x % 0 end)
end)

test("sequences", function()
  refused(function() return T.arange(0, 3, 0.5, I64) end, "a fraction")
  refused(function() return T.arange(250, 260, U8) end, "too far")
  refused(function() return T.linspace(0, 300, 4, U8) end, "too far")
  eq(T.arange(250, 256, U8):to_table(), { 250, 251, 252, 253, 254, 255 })
end)

test("digits beyond a double's", function()
  local odd = T.tensor({ 2 ^ 53 }, I64) + 1
  check.ok(tostring(odd):find("9007199254740993", 1, true))
  check.ok(tostring(odd:sum()):find("9007199254740993", 1, true))
  check.ok(tostring(T.tensor({ 2 ^ 62 }, I64) - 1 + 2 ^ 62):find("9223372036854775807", 1, true))
  for _, f in ipairs { function() return odd:item() end, function() return odd[1] end, function() return odd:to_table() end } do
    check.error("~9007199254740993 has more digits than a Lua number holds", f)
  end
  eq(T.tensor({ 2 ^ 53 }, I64):item(), 2 ^ 53)
  eq(T.tensor({ 2 ^ 62 }, I64):to_table(), { 2 ^ 62 })
  eq(T.tensor({ -2 ^ 63 }, I64)[1], -2 ^ 63)
end)

test("nothing of a dimension of 2^40 is done at once", function()
  for _, x in ipairs { T.zeros(0, 2 ^ 40), T.zeros(2 ^ 40, 0) } do
    for _, op in ipairs { "softmax", "log_softmax", "cumsum", "cumprod", "sort", "argsort" } do
      for dim = 1, 2 do
        local y = x[op](x, dim)
        eq(y:shape(), x:shape())
      end
    end
  end
  check.error("~would be 1099511627776 tables", function() return T.zeros(2 ^ 40, 0):to_table() end)
end)

check.done()
