-- Where Lua and C meet: numbers of results, recursion through callbacks, objects after their end, other selves,
-- error values of any kind. Each is an error in words, never the end of the process.
local check = dofile "tests/lua/check.lua"
local P = require "percept"
local T, nn = P.tensor, P.nn

local function refuses(what, pattern, fn, ...)
  local ok, why = pcall(fn, ...)
  check.ok(not ok, what .. " is refused")
  check.ok(tostring(why):find(pattern), what .. ": " .. tostring(why))
end

check.test("functions that tell nothing return nothing", function()
  local m = nn.linear(2, 2)
  local o = P.optim.sgd(m)
  local x = T.ones(2):requires_grad_()
  local path = os.tmpname()
  local nothing = {
    set_num_threads = function() return T.set_num_threads(2) end,
    backward = function() return (x * 2):sum():backward() end,
    zero_grad = function() return x:zero_grad() end,
    step = function() return o:step() end,
    save_npy = function() return P.formats.save_npy(path, x:detach()) end,
    save_npz = function() return P.formats.save_npz(path, { x = x:detach() }) end,
    save_safetensors = function() return P.formats.save_safetensors(path, { x = x:detach() }) end,
    save_checkpoint = function() return P.formats.save_checkpoint(path, { x = x:detach() }) end,
    write = function() return P.images.write(path .. ".png", T.zeros(2, 2, 3)) end,
  }
  local was = T.get_num_threads()
  for name, fn in pairs(nothing) do check.eq(select("#", fn()), 0, name) end
  T.set_num_threads(was)
  os.remove(path)
  os.remove(path .. ".png")
  for _, n in ipairs { 0, -1, 2 ^ 31, 2 ^ 40, 1e9 } do
    refuses("set_num_threads(" .. n .. ")", "set_num_threads", T.set_num_threads, n)
  end
  check.eq(T.get_num_threads(), was)
end)

check.test("recursion through every callback ends in an error", function()
  local x = T.ones(1):requires_grad_()
  local deep = "recursion too deep"
  local m, f
  m = nn.module { forward = function(self, z) return self(z) end }
  refuses("module", deep, m, x)
  f = function(z) return T.no_grad(f, z) end
  refuses("no_grad", deep, f, x)
  f = function(z) return T.higher_order(f, z) end
  refuses("higher_order", deep, f, x)
  f = T.custom(function(_, z) return f(z) end, function() end)
  refuses("custom", deep, f, x)
  local g
  g = T.custom(function(_, z) return z * 1 end, function(_, gy)
    T.enable_grad(g, T.ones(1):requires_grad_()):backward()
    return gy
  end)
  refuses("backward of custom", "backward of custom", function() g(x):backward() end)
  f = function(z) return nn.checkpoint(f, z) end
  refuses("checkpoint", deep, f, x)
  f = function(z) return T.gradcheck(f, { z }) end
  refuses("gradcheck", deep, f, x:detach():double())
  f = function(z) return P.optim.lbfgs(f, z) end
  refuses("lbfgs", deep, f, T.ones(1))
  f = P.declare("again", "z:any", function(z) return f(z) end)
  refuses("declare", deep, f, x)
  f = function(z) return P.inverter.search(f, T.ones(1, 2, 2, 1), z) end
  refuses("search", deep, f, T.ones(1, 1, 1))
  f = function() return coroutine.wrap(f)() end
  refuses("coroutines", deep, f)
  f = function() return coroutine.wrap(function() return T.no_grad(f) end)() end
  refuses("coroutines and no_grad", deep, f)
  f = function() return (("a"):gsub("a", f)) end
  refuses("gsub", "stack overflow", f)
  local plain = tostring
  rawset(_G, "tostring", function(v) return x .. v end) -- luacheck: ignore
  pcall(function() return x .. "" end)
  rawset(_G, "tostring", plain) -- luacheck: ignore
  check.eq((T.ones(2) + 1):to_table(), { 2, 2 })
  check.ok(T.is_grad_enabled())
end)

check.test("metamethods of another self", function()
  local x = T.ones(2)
  local o = P.optim.sgd(nn.linear(2, 2))
  for _, object in ipairs { x, o, nn.linear(2, 2), T.generator(1), P.datasets.batches(T.tensor({ 1, 2 }):long(), 1) } do
    check.ok(type(getmetatable(object)) == "string", "metatables are hidden")
    local meta = debug.getmetatable(object)
    for name, fn in pairs(meta) do
      for _, self in ipairs { io.stdout, x, o, newproxy(), 1, "x", {}, print, coroutine.create(print) } do
        if type(fn) == "function" and not (name == "__gc" and debug.getmetatable(self) == meta) then
          local ok, why = pcall(fn, self, 1, {})
          check.ok(ok or type(why) == "string", name)
          pcall(fn, self)
        end
      end
      if type(fn) == "function" then pcall(fn) end
    end
  end
  refuses("a method with a dot", "methods are called with a colon", function() return x.sum() end)
  refuses("a method of a number", "got number 5", function() return x.sum(5) end)
  check.eq(x:to_table(), { 1, 1 })
end)

check.test("objects after their end", function()
  local made = { T.ones(2), nn.linear(2, 2), P.optim.sgd(nn.linear(2, 2)), P.datasets.batches(T.tensor({ 1, 2 }):long(), 1),
    P.replay.fit(T.rand(4, 2, 3)), require "percept.plot.c".new() }
  for _, object in ipairs(made) do
    local meta = debug.getmetatable(object)
    local methods = type(meta.__index) == "table" and meta.__index or meta.methods
    meta.__gc(object)
    meta.__gc(object)
    for name, fn in pairs(methods) do
      local ok, why = pcall(fn, object, 1, 1)
      check.ok(not ok and type(why) == "string", name .. " of an object that is gone")
    end
    for name, fn in pairs(meta) do
      if type(fn) == "function" and name ~= "__gc" then pcall(fn, object, object) end
    end
  end
end)

check.test("error values of any kind come out of callbacks", function()
  local thrown = { 1, {}, print, true, "a\0b", ("long "):rep(1000), newproxy(), T.ones(1), coroutine.create(print) }
  for _, value in ipairs(thrown) do
    local ok, why = pcall(T.no_grad, function() error(value, 0) end)
    check.ok(not ok and why == value, type(value))
  end
  local ok, why = pcall(T.no_grad, function() error(nil) end)
  check.ok(not ok and why == nil, "nil")
  refuses("a yield", "yield", coroutine.wrap(function() return T.no_grad(coroutine.yield, 1) end))
  local m = nn.module { forward = setmetatable({}, { __call = print }) and function() coroutine.yield(1) end }
  refuses("a yield in forward", "yield", coroutine.wrap(function() return m(T.ones(1)) end))
end)

check.test("what a coroutine made outlives it", function()
  local f, m
  local co = coroutine.wrap(function()
    f = T.custom(function(_, z) return z * 2 end, function(_, gy) return gy * 2 end)
    m = nn.module { forward = function(_, z) return f(z) end }
    return m(T.ones(1):requires_grad_())
  end)
  local y = co()
  co = nil -- luacheck: ignore
  collectgarbage()
  collectgarbage()
  y:backward()
  y, m, f = nil, nil, nil -- luacheck: ignore
  collectgarbage()
  collectgarbage()
  check.eq((T.ones(1) + 1):item(), 2)
end)

check.test("a list of tensors that a callback empties", function()
  local list = { T.rand(64, 64), T.rand(64, 64) }
  local m = nn.module { forward = function(_, a, b)
    list[1], list[2] = nil, nil
    collectgarbage()
    collectgarbage()
    return a + b
  end }
  check.eq(m:forward(list):size(), { 64, 64 })
end)

check.test("names with a NUL byte are refused wherever C would cut them", function()
  local bad, path = "x\0y", os.tmpname()
  local x, m = T.ones(1), nn.linear(1, 1)
  local tries = {
    save_safetensors = function() P.formats.save_safetensors(path, { [bad] = x }) end,
    save_npz = function() P.formats.save_npz(path, { [bad] = x }) end,
    save_checkpoint = function() P.formats.save_checkpoint(path, { [bad] = x }) end,
    metadata = function() P.formats.save_checkpoint(path, { x = x }, { [bad] = "1" }) end,
    value = function() P.formats.save_checkpoint(path, { x = x }, { a = bad }) end,
    path = function() P.formats.save_npy(path .. "\0.npy", x) end,
    child = function() nn.module { [bad] = m, forward = function() end } end,
    parameter = function() nn.module { [bad] = x, forward = function() end } end,
    load_state = function() m:load_state { weight = T.ones(1, 1), bias = x, [bad] = x } end,
    option = function() x:sum { ["dim\0x"] = 1 } end,
    choice = function() nn.activation "relu\0" end,
    dtype = function() T.ones(1, { dtype = "f32\0" }) end,
    einsum = function() T.einsum("i->i\0j", x) end,
    group = function() P.optim.sgd { { params = m, ["lr\0"] = 1 } } end,
    label = function() P.images.grid(T.zeros(1, 2, 2, 3), { column_labels = { bad } }) end,
    assignment = function() x["grad\0"] = nil end,
    field = function() return x["sum\0"] end,
  }
  for name, fn in pairs(tries) do
    local ok, why = pcall(fn)
    check.ok(not ok and type(why) == "string", name)
  end
  os.remove(path)
end)

check.test("lists of texts may hold numbers, and stay as they are", function()
  local labels = { 1, 2.5, "c" }
  P.images.grid(T.zeros(3, 2, 2, 3), { column_labels = labels, columns = 3 })
  check.eq(labels, { 1, 2.5, "c" })
  local path, meta = os.tmpname(), { steps = 3, lr = "0.1" }
  P.formats.save_checkpoint(path, { x = T.ones(1) }, meta)
  check.eq(meta, { steps = 3, lr = "0.1" })
  check.eq(select(2, P.formats.load_checkpoint(path)).steps, "3")
  os.remove(path)
end)

check.test("a metatable of ours on somebody else's userdata makes nothing of ours", function()
  local objects = {T.ones(2), nn.linear(2, 2), P.optim.sgd(nn.linear(1, 1), {lr = 1}), P.replay.fit(T.randn(3, 2, 2)), T.generator(1)}
  for i, object in ipairs(objects) do
    local meta = debug.getmetatable(object)
    for j, make in ipairs{newproxy, function() return newproxy(true) end, function() return io.tmpfile() end,
      function() return nn.dropout() end,
      function() return T.ones(1) end} do
      local foreign = make()
      if debug.getmetatable(foreign) ~= meta then
        local before = debug.getmetatable(foreign)
        debug.setmetatable(foreign, meta)
        for _, f in ipairs{tostring, T.sum, function(x) return x:sum() end, function(x) return x + 1 end, function(x) return x(x) end,
          function(x) return x:parameters() end, function(x) return x:step() end, function(x) return x:sample(1) end,
            function(x) return x[1] end,
          function(x) return #x end, function(x) x[1] = 2 end, nn.mlp, P.optim.adam} do
          pcall(f, foreign)
        end
        check.ok(not pcall(T.sum, foreign), ("object %d, userdata %d"):format(i, j))
        debug.setmetatable(foreign, before) -- a finaliser of its own again
      end
    end
  end
  local lost = newproxy(true)
  debug.setmetatable(lost, debug.getmetatable(objects[2]))
  lost = nil -- finalised under our metatable
  collectgarbage()
  collectgarbage()
  check.eq(T.is_tensor(lost), false)
end)

check.test("tables with metamethods and wrong values: refused, with nothing taken over", function()
  local sweep = {db = os.tmpname(), name = "s", experiment = "e", script = "x.lua", spec = "{}", command = "c"}
  for _, cell in ipairs{3, "x", true, {digest = 1, seed = 1, set = "{}"}, {digest = "a", seed = "1", set = "{}"}, {digest = "a", seed = 0.5, set = "{}"},
    {digest = "a\0b", seed = 1, set = "{}"}, setmetatable({}, {__index = error})} do
    sweep.cells = {cell}
    refuses("a cell", "a cell is {digest", P.records.sweep, sweep)
  end
  os.remove(sweep.db)
  local m = nn.linear(1, 1)
  local o = P.optim.adam({m.weight, m.bias}, {lr = 1})
  local tensors, scalars = o:state()
  for _, wrong in ipairs{-1, 0.5, 0 / 0, 2 ^ 60, "x", {}} do
    scalars.steps = wrong
    refuses("steps", "steps must be a whole number", o.load_state, o, tensors, scalars)
  end
  scalars.steps = "3" -- as a checkpoint has it
  local taken = {}
  for name, t in pairs(tensors) do taken[name] = T.full_like(t, 7) end
  local last = next(taken, next(taken))
  local whole = taken[last]
  taken[last] = T.ones(5)
  refuses("a slot", "needs shape", o.load_state, o, taken, scalars)
  for _, t in pairs((o:state())) do check.eq(t:ne(0):any():item(), 0, "a slot of a refused state was taken") end
  taken[last] = whole
  o:load_state(taken, scalars)
  check.eq(o:steps(), 3)
end)

check.test("what is nested without end is refused", function()
  local cyclic = {}
  cyclic[1] = cyclic
  refuses("a list of parameters in itself", "nested too deep", P.optim.sgd, cyclic)
  cyclic.params = cyclic
  refuses("a group in itself", "nested too deep", P.optim.sgd, cyclic)
  refuses("a tensor of itself", "nested deeper", T.tensor, cyclic)
  refuses("modules in modules", "nested more than", function()
    local m = nn.dropout()
    for _ = 1, 1e5 do m = nn.sequential { m } end
  end)
  refuses("repeats without end", "too large", function() return T.zeros(0, 2 ^ 40):tile(1, 2 ^ 53) end)
  refuses("each entry without end", "too large", function() return T.zeros(1):expand(2 ^ 40):repeat_interleave(2 ^ 40) end)
  refuses("a huge table", "to_table", function() return T.zeros(1):expand(2 ^ 40):to_table() end)
  for _, history in ipairs { -1, 2 ^ 31, 2 ^ 40 } do
    refuses("history " .. history, "history", P.optim.lbfgs, function(z) return z:sum() end, T.ones(1), 3, history)
  end
end)

check.done()
