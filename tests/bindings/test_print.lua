-- What tensors look like.
local check = dofile "tests/lua/check.lua"
local T = require "percept.tensor"

local function prints(want, x)
  check.eq(tostring(x), want)
end

check.test("header and numbers", function()
  prints("f32 (3)\n  1.0000  2.5000  3.0000", T.tensor { 1, 2.5, 3 })
  prints("f32 (2,2)\n  1.  2.\n  3.  4.", T.tensor { { 1, 2 }, { 3, 4 } })
  prints("i64 (3)\n  -1  20   3", T.tensor({ -1, 20, 3 }, { dtype = "i64" }))
  prints("u8 (2)\n  1  0", T.tensor { true, false })
  prints("f32 (2)\n  -1.5000   2.0000", T.tensor { -1.5, 2 })
  prints("f64 () 2.5", T.tensor(2.5, { dtype = "f64" }))
  prints("i64 () 7", T.tensor(7, { dtype = "i64" }))
  prints("f32 (0,3) empty", T.zeros(0, 3))
end)

check.test("NaN and infinity do not break the format", function()
  prints("f32 (4)\n   nan    1.   inf  -inf", T.tensor { 0 / 0, 1, 1 / 0, -1 / 0 })
  prints("f32 (2)\n  nan  nan", T.full({ 2 }, 0 / 0))
  prints("f32 (3)\n     nan  0.5000  2.0000", T.tensor { 0 / 0, 0.5, 2 })
end)

check.test("large ranges use exponents", function()
  prints("f32 (2)\n  1.0000e+10  1.0000e+00", T.tensor { 1e10, 1 })
  prints("f32 (2)\n  1.0000e-05  1.0000e+00", T.tensor { 1e-5, 1 })
  prints("f32 (2)\n  1.0000e-05  2.0000e-05", T.tensor { 1e-5, 2e-5 })
  prints("f32 (2)\n  1000.  2000.", T.tensor { 1000, 2000 })
end)

check.test("higher dimensions are shown as matrices", function()
  prints("f32 (2,1,2)\n[1,:,:]\n  0.  1.\n[2,:,:]\n  2.  3.", T.arange(4):reshape(2, 1, 2))
end)

check.test("the middle of large tensors is left out", function()
  prints("f32 (2000)\n     0.     1.     2.  ...  1997.  1998.  1999.", T.arange(2000))
  local lines = {}
  for line in tostring(T.zeros(100, 100)):gmatch "[^\n]+" do lines[#lines + 1] = line end
  check.eq(lines[1], "f32 (100,100)")
  check.eq(lines[2], "  0.  0.  0.  ...  0.  0.  0.")
  check.eq(lines[5], "  ...")
  check.eq(#lines, 8)
  check.ok(#tostring(T.zeros(50, 50, 50, 50)) < 10000)
end)

check.test("the format comes from what is shown", function()
  local x = T.zeros(5000)
  x[2500] = 1e30
  prints("f32 (5000)\n  0.  0.  0.  ...  0.  0.  0.", x)
end)

check.test("columns that do not fit a line are left out", function()
  for line in tostring(T.rand(3, 300)):gmatch "[^\n]+" do check.ok(#line <= 100, line) end
  for line in tostring(T.rand(300)):gmatch "[^\n]+" do check.ok(#line <= 100, line) end
end)

check.test("views print like copies", function()
  local x = T.arange(6):reshape(2, 3):t()
  prints(tostring(x:clone()), x)
end)

check.test("printoptions", function()
  local before = T.printoptions {}
  T.printoptions { precision = 2, threshold = 4, edgeitems = 1 }
  prints("f32 (9)\n  0.  ...  8.", T.arange(9))
  prints("f32 (2)\n  0.25  0.50", T.tensor { 0.25, 0.5 })
  T.printoptions(before)
  check.eq(T.printoptions().precision, 4)
  check.error("printoptions: precision: expected an integer from 0 to 17, got 50", T.printoptions, { precision = 50 })
  check.error("~unknown option 'precison'; did you mean 'precision'?", T.printoptions, { precison = 5 })
end)

check.test("gradient state is shown", function()
  local x = T.ones(2, { requires_grad = true })
  prints("f32 (2) requires_grad\n  1.  1.", x)
  prints("f32 (2) with history\n  2.  2.", x + x)
end)

check.done()
