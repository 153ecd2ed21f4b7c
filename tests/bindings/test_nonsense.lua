-- Every declared function and method of every module gets wrong kinds, sizes and shapes of arguments, also in
-- places where the right kind is wrong in value: the outcome is a result or an error in words, never a crash.
local check = dofile "tests/lua/check.lua"
local percept = require "percept"
local T = require "percept.tensor"
local nn = require "percept.nn"

local dir = os.tmpname()
os.remove(dir)
percept.sys.mkdir(dir)

-- Values of every kind; numbers are small so that a success stays cheap.
local linear = nn.linear(3, 4)
local objects = {
  linear, nn.mlp { 3, 8, 2 }, nn.conv2d(3, 4, 3), nn.attention(8, 2), nn.gru_cell(3, 4), nn.layer_norm(3), nn.dropout(),
  nn.module { inner = nn.linear(3, 4), forward = function(self, x) return self.inner(x) end },
  percept.optim.sgd(linear:parameters()), percept.optim.adam(linear:parameters()), T.generator(1),
}
local tensors = {
  T.rand(2, 3), T.rand(4), T.zeros(0, 2), T.zeros(), T.rand(1, 4, 4, 3), T.rand(2, 2, 2), T.full({ 2, 2 }, 0 / 0),
  T.tensor({ 1, 99 }, { dtype = "i64" }), T.tensor({ { 1, 2 }, { 2, 1 } }, { dtype = "i64" }), T.rand(2, 3):byte(),
  T.rand(2, 3, { dtype = "f64" }), T.rand(3, 2):t(), T.zeros(1):expand(3), T.rand(2, 3):requires_grad_(),
}
local numbers = { 0, 1, -1, 2, 3, 7, 0.5, -3, 1e300, 0 / 0, 1 / 0, 2 ^ 53 }
local others = { true, false, "none", "", "f32", "a string that is long enough to be cut in a message, surely", {},
  { 1, 2, 3 }, { 0 }, { -1, 5 }, { tensors[1] }, { tensors[1], tensors[2] }, { a = 1 }, { { 1 }, { 2 } },
  function() return tensors[1] end, function() error("inside") end, function() return 1 end }

local state = T.generator(20)
local function pick(list) return list[state:random(#list)] end

-- A value that is right for a declared type about two times in three.
local function argument(kind)
  local dice = state:random(9)
  if dice == 1 then return nil end
  if dice == 2 then return pick(others) end
  if dice == 3 then return pick(state:random(2) == 1 and tensors or objects) end
  if kind == "tensor" or kind == "value" then return pick(tensors) end
  if kind == "tensors" then return { pick(tensors), pick(tensors) } end
  if kind == "int" or kind == "num" or kind == "dim" or kind == "index" then return pick(numbers) end
  if kind == "bool" then return state:random(2) == 1 end
  if kind == "size" or kind == "dims" or kind == "size2" then return { state:random(4) - 1, state:random(4) - 1 } end
  if kind == "str" then return pick { "none", "mean", "a->b", "ij,jk->ik", "xavier_uniform" } end
  if kind == "dtype" then return pick { "f32", "f64", "i64", "u8" } end
  if kind == "table" or kind == "any" then return pick { { 1, 2 }, { tensors[1] }, tensors[2], 3, {}, { widths = 3 } } end
  if kind == "function" then return others[15 + state:random(3) - 1] end
  return pick(objects)
end

local calls, refused = 0, 0
local files = { formats = true, images = true, recorder = true, datasets = true, sys = true, edit = true }

local function try(name, fn, rounds)
  local _, _, args = percept.usage(fn)
  if not args then return end
  for _ = 1, rounds do
    local list, n = {}, #args
    for i = 1, n do
      list[i] = argument(args[i].type)
      if type(list[i]) == "string" and files[name:match "^%w+"] then list[i] = dir .. "/" .. state:random(3) end
    end
    calls = calls + 1
    local ok, why = pcall(fn, unpack(list, 1, n))
    if not ok then
      refused = refused + 1
      check.ok(type(why) == "string" and #why > 5, name .. ": " .. tostring(why))
    end
  end
end

-- these would change the test's own state, wait for a terminal, or take long by design
local skip = { ["edit.readline"] = true, ["edit.add_history"] = true, ["sys.memory_limit"] = true,
  ["sys.fail_allocation"] = true, ["sys.mkdir"] = true, ["sys.tier"] = true, ["sys.fma_peak"] = true, ["recorder.start"] = true,
  ["tensor.set_num_threads"] = true, ["tensor.set_grad_enabled"] = true, ["tensor.anomaly"] = true,
  ["tensor.set_default_dtype"] = true, ["tensor.printoptions"] = true }

local rounds = os.getenv "PERCEPT_SANITIZED" and 10 or 30
for _, short in ipairs { "tensor", "nn", "optim", "metrics", "images", "formats", "interaction", "replay", "inverter",
  "decoders", "encoders", "datasets", "recorder", "sys", "edit", "plot", "pictures" } do
  local module = require("percept." .. short)
  check.test("percept." .. short, function()
    for name, fn in pairs(module) do
      if type(fn) == "function" and not skip[short .. "." .. name] then try(short .. "." .. name, fn, rounds) end
    end
  end)
end

check.test("methods", function()
  for name, fn in pairs(T.methods) do try("x:" .. name, fn, rounds) end
  local seen = {}
  for _, object in ipairs(objects) do
    local meta = debug.getmetatable(object)
    if not seen[meta] then
      seen[meta] = true
      local index = type(meta.__index) == "table" and meta.__index or meta.methods or {}
      for name, fn in pairs(index) do
        if type(fn) == "function" then try(meta.__name .. ":" .. name, fn, rounds * 3) end
      end
    end
  end
end)

check.test("the engine works as before", function()
  T.set_grad_enabled(true)
  local x = T.ones(2, 3, { requires_grad = true })
  local y = (x * 2):sum()
  y:backward()
  check.eq(x.grad:to_table(), { { 2, 2, 2 }, { 2, 2, 2 } })
  check.ok(refused > calls / 4, "most nonsense is refused")
end)

os.execute("rm -rf '" .. dir .. "'")
check.done()
