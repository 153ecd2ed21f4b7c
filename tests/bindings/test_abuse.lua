-- The declared surface under abuse: wrong arity and selves, 0-d, empty, huge and strided tensors, names with NUL bytes,
-- callbacks that throw, yield, recurse, collect garbage or change what is in use. Children do it, a module each, and
-- note each call before they make it: a child that ends by a signal, or not at all, names the call.
-- PERCEPT_ABUSE=N: N times as many calls; PERCEPT_SEED: another choice of them.
local check = dofile "tests/lua/check.lua"
local P = require "percept"
local T, nn = P.tensor, P.nn

local modules = { "tensor", "nn", "optim", "metrics", "images", "formats", "interaction", "replay", "inverter",
  "decoders", "encoders", "datasets", "sys", "plot", "pictures" }
local which, notes, dir = ...

if not which then
  local scratch = os.tmpname()
  for _, name in ipairs(modules) do
    check.test("percept." .. name, function()
      local command = ("timeout -s KILL %d %s tests/bindings/test_abuse.lua %s %s.notes %s.dir >%s.out 2>&1"):format(
        60 * (tonumber(os.getenv "PERCEPT_ABUSE") or 1) + 60, os.getenv "PERCEPT" or "build/percept", name, scratch,
        scratch, scratch)
      local status = os.execute(command)
      local file = io.open(scratch .. ".notes")
      local last = file and file:read "*a" or "?"
      if file then file:close() end
      local out = io.open(scratch .. ".out")
      local said = out and out:read "*a" or ""
      if out then out:close() end
      check.ok(status == 0, ("ended with status %s; the last call was %s\n%s"):format(status, last, said:sub(-1500)))
    end)
  end
  os.execute(("rm -rf %s %s.notes %s.out %s.dir"):format(scratch, scratch, scratch, scratch))
  check.done()
  return
end

P.sys.mkdir(dir)
P.sys.memory_limit "256M"
local state = T.generator(tonumber(os.getenv "PERCEPT_SEED") or 13)
local function pick(list) return list[state:random(#list)] end
local rounds = 20 * (tonumber(os.getenv "PERCEPT_ABUSE") or 1)

local model, trained, list
local function fresh()
  trained = nn.linear(3, 4)
  model = nn.module { inner = trained, forward = function(self, x) return self.inner(x) end }
  list = { T.rand(2, 3), T.rand(2, 3) }
end
fresh()

local again
local callbacks = {
  function(x) return x end,
  function() error { 1 } end,
  function() error "a\0b" end,
  function() coroutine.yield(1) end,
  function(...) return again(...) end, -- the call under way, once more: for ever
  function(x)
    list[1], list[2] = nil, nil
    model, trained = nil, nil
    collectgarbage()
    return x
  end,
  function(x)
    if T.is_tensor(x) then pcall(x.zero_, x) end
    return x
  end,
  function() return 1, 2, 3 end,
  function() return nil end,
  function() return T.zeros(0) end,
  function() return T.zeros(1):expand(2 ^ 40) end,
}
local function tensors()
  return { T.zeros(), T.zeros(0), T.zeros(0, 3), T.zeros(3, 0), T.zeros(2, 0, 2), T.rand(2, 3), T.rand(3, 2):t(),
    T.zeros(1):expand(2 ^ 31), T.zeros(1):expand(2 ^ 40), T.zeros(1, 1):expand(2 ^ 20, 2 ^ 25), T.zeros(0, 2 ^ 40),
    T.rand(4, 4, 3), T.rand(2, 4, 4, 3), T.rand(2, 2, 2), T.full({ 2, 2 }, 0 / 0), T.full({ 3 }, 1 / 0),
    T.tensor({ 0, -1, 2 ^ 40 }, { dtype = "i64" }), T.tensor({ 1, 2 }, { dtype = "i64" }), T.rand(2, 3):byte(),
    T.tensor({ 1, 2 }, { dtype = "i32" }), T.rand(2, 3):double(), T.rand(2, 3):requires_grad_(), T.full({ 2 }, 1e300) }
end
local numbers = { 0, 1, -1, 2, 3, 0.5, 2 ^ 31, 2 ^ 40, 2 ^ 53, -2 ^ 40, 1e300, 0 / 0, 1 / 0, -1 / 0, 255, 256 }
local texts = { "", "a\0b", "\0", "mean", "f32", "f32\0", "%s%n", ("x"):rep(5000), "\27[2J", "\255\254", "ij,jk->ik" }
local cyclic = {}
cyclic[1], cyclic.x = cyclic, cyclic
local deep = {}
for _ = 1, 1000 do deep = { deep } end

local function value(kind)
  local dice = state:random(10)
  if dice == 1 then return nil end
  if dice == 2 then
    return pick { true, io.stdout, newproxy(), print, cyclic, deep, {}, { ["a\0b"] = 1 }, { 1, 2 ^ 40 }, { a = T.rand(2) },
      { ["x\0y"] = T.rand(2) }, coroutine.create(print), trained, model }
  end
  if dice == 3 then kind = pick { "tensor", "num", "str", "function", "tensors" } end
  if kind == "tensor" or kind == "value" then return pick(tensors()) end
  if kind == "tensors" then return pick { list, { pick(tensors()), pick(tensors()) }, {} } end
  if kind == "str" or kind == "dtype" or kind == "bytes" then return pick(texts) end
  if kind == "function" then return pick(callbacks) end
  if kind == "bool" then return true end
  if kind == "size" or kind == "dims" or kind == "size2" then return { pick(numbers), pick(numbers) } end
  if kind == "table" then return pick { list, { pick(numbers) }, { pick(texts) }, { [pick(texts)] = pick(tensors()) }, cyclic } end
  if kind == "any" then return pick { pick(callbacks), pick(tensors()), list, trained, model, pick(numbers), cyclic } end
  if kind == "module" then return pick { trained, model, nn.sequential { nn.linear(3, 3), nn.dropout() } } end
  return pick(numbers)
end

local log = assert(io.open(notes, "w"))
local function note(name, args, n)
  local words = {}
  for i = 1, n do words[i] = T.is_tensor(args[i]) and "tensor(" .. table.concat(args[i]:size(), ",") .. ")"
    or type(args[i]) == "string" and ("%q"):format(args[i]:sub(1, 20)) or tostring(args[i]) end
  log:seek "set"
  log:write(name, "(", table.concat(words, ", "), ")", (" "):rep(300))
  log:flush()
end

local paths = { path = true, dir = true, cache_dir = true, assets = true, db = true, from = true }
local skip = { ["sys.fail_allocation"] = true, ["sys.memory_limit"] = true, ["sys.fma_peak"] = true, ["sys.tier"] = true,
  ["sys.terminal_ask"] = true, ["tensor.anomaly"] = true, ["tensor.set_grad_enabled"] = true,
  ["tensor.set_default_dtype"] = true, ["tensor.printoptions"] = true }

local function abuse(name, fn)
  local _, _, declared = P.usage(fn)
  if not declared or skip[name] then return end
  for _ = 1, rounds do
    fresh()
    local args, n = {}, #declared + state:random(3) - 2
    for i = 1, n do
      args[i] = value(declared[i] and declared[i].type or "any")
      if declared[i] and declared[i].choices and state:random(3) > 1 then args[i] = declared[i].choices:match "^[^|]+" end
      if declared[i] and paths[declared[i].name] and type(args[i]) == "string" then args[i] = dir .. "/" .. args[i]:sub(1, 9) end
    end
    n = math.max(n, 0)
    again = function() return fn(unpack(args, 1, n)) end
    note(name, args, n)
    local co = coroutine.create(function() return fn(unpack(args, 1, n)) end)
    coroutine.resume(co)
  end
end

local function each(prefix, functions)
  local names = {}
  for name, fn in pairs(functions) do
    if type(fn) == "function" then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do abuse(prefix .. name, functions[name]) end
end

local here = require("percept." .. which)
each(which .. ".", here)
if which == "tensor" then each("x:", T.methods) end
if which == "nn" then each("module:", debug.getmetatable(trained).methods) end
if which == "optim" then each("optimizer:", debug.getmetatable(P.optim.sgd(trained)).__index) end
log:close()
