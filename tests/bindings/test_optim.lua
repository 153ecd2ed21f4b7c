-- percept.optim from Lua: optimisers with groups, schedules, L-BFGS.
local check = dofile "tests/lua/check.lua"
local T = require "percept.tensor"
local nn = require "percept.nn"
local optim = require "percept.optim"

local function leaf(...) return T.tensor({...}, {dtype = "f64"}):requires_grad_() end

-- loss sum(x^2) has the gradient 2 x
local function step(opt, ...)
  opt:zero_grad()
  local loss = 0
  for _, x in ipairs{...} do loss = (x * x):sum() + loss end
  loss:backward()
  opt:step()
end

check.test("sgd by hand", function()
  local x = leaf(1, -2)
  step(optim.sgd(x, {lr = 0.1}), x)
  check.near(x:to_table(), {0.8, -1.6}, 1e-12)
  local y = leaf(1)
  local opt = optim.sgd(y, {lr = 0.1, momentum = 0.5})
  step(opt, y)
  step(opt, y) -- buf = 0.5 * 2 + 1.6
  check.near(y:item(), 0.8 - 0.1 * 2.6, 1e-12)
  check.eq(opt:steps(), 2)
end)

check.test("adam's first step is lr, adamw shrinks besides", function()
  local x, y = leaf(3, -4), leaf(3)
  step(optim.adam(x, {lr = 0.01}), x)
  check.near(x:to_table(), {2.99, -3.99}, 1e-8)
  step(optim.adamw(y, {lr = 0.01, weight_decay = 0.5}), y)
  check.near(y:item(), 3 * (1 - 0.005) - 0.01, 1e-8)
end)

check.test("groups", function()
  local a, b, c = leaf(1), leaf(1), leaf(1)
  local opt = optim.sgd({{params = a, lr = 0.1}, {params = {b, c}, lr = 0.2, weight_decay = 1}}, {lr = 9})
  step(opt, a, b, c)
  check.near({a:item(), b:item(), c:item()}, {0.8, 1 - 0.2 * 3, 0.4}, 1e-12)
  check.near(opt:lr(), 0.1)
  check.near(opt:lr(0.5, 2), 0.5)
  check.near(opt:lr(nil, 1), 0.1)
  opt:lr(0.3)
  check.near({opt:lr(nil, 1), opt:lr(nil, 2)}, {0.3, 0.3})
  local m, n = nn.linear(2, 2), nn.linear(2, 2)
  local mixed = optim.adam{{params = m, lr = 0.1}, {params = {n}, lr = 0.2}}
  nn.mse(n(m(T.ones(1, 2))), T.zeros(1, 2)):backward()
  mixed:step()
  check.error("~no group 3; there are 2", mixed.lr, mixed, 1, 3)
end)

check.test("a model learns, frozen parts stay", function()
  T.manual_seed(1)
  local m = nn.sequential{nn.linear(2, 8), nn.activation "tanh", nn.linear(8, 1)}
  m["1"]:freeze()
  local before = m["1"].weight:clone()
  local opt = optim.adam(m, {lr = 0.05})
  local x = T.randn(64, 2)
  local y = x:narrow(2, 1, 1) * 0.5
  local first, last
  for _ = 1, 100 do
    opt:zero_grad()
    local loss = nn.mse(m(x), y)
    loss:backward()
    opt:step()
    first, last = first or loss:item(), loss:item()
  end
  check.ok(last < first / 10, ("%g -> %g"):format(first, last))
  check.near(m["1"].weight:to_table(), before:to_table(), 0)
end)

check.test("clipping", function()
  local x = leaf(3, 4)
  local opt = optim.sgd(x, {lr = 1})
  local loss = (x * x / 2):sum()
  loss:backward() -- gradient (3,4)
  check.near(opt:clip(), 5, 1e-12)
  check.near(opt:clip(1), 5, 1e-12)
  check.near(opt:clip(), 1, 1e-5)
end)

check.test("state goes and comes", function()
  local x, y = leaf(1, 2), leaf(1, 2)
  local a, b = optim.adam(x, {lr = 0.1}), optim.adam(y, {lr = 0.1})
  for _ = 1, 3 do step(a, x) end
  local slots, scalars = a:state()
  check.eq(scalars.kind, "adam")
  check.eq(scalars.steps, 3)
  y:detach():copy_(x)
  b:load_state({["1.m"] = slots["1.m"]:clone(), ["1.v"] = slots["1.v"]:clone()}, scalars)
  step(a, x)
  step(b, y)
  check.near(x:to_table(), y:to_table(), 0)
  check.error("load_state: the state is of optimiser 'sgd', this is adam", a.load_state, a, {}, {kind = "sgd"})
  check.error("load_state: slot 'm' of group 1 is missing, needs shape (2)", a.load_state, a, {}, {kind = "adam"})
end)

check.test("schedules", function()
  local s = optim.schedule{{kind = "linear", from = 0, to = 1, steps = 10}, {kind = "cosine", from = 1, to = 0, steps = 10}}
  check.near({s(0), s(5), s(10), s(15), s(99)}, {0, 0.5, 1, 0.5, 0}, 1e-12)
  check.near(s:at(5), 0.5)
  check.near(optim.schedule{{kind = "step", from = 8, gamma = 0.5, every = 2}}(5), 2)
  check.near(optim.schedule{{kind = "exp", from = 1, gamma = 0.1, every = 5}}(10), 0.01)
  check.error("schedule: 1 to 16 pieces, got 0", optim.schedule, {})
  check.error("schedule: piece 1 needs kind = constant, linear, cosine, step or exp, got string \"foo\"", optim.schedule, {{kind = "foo"}})
  check.error("schedule: piece 1: unknown option form of kind 'constant'; known are kind, from, steps", optim.schedule,
    {{kind = "constant", form = 1}})
  check.error("schedule: piece 1 (linear) needs from, to, steps", optim.schedule, {{kind = "linear"}})
  check.error("schedule: piece 1 is number 3, not a table", optim.schedule, {3})
end)

check.test("every option of a schedule is obeyed or refused", function()
  local function near(pieces, at, want) check.near(optim.schedule(pieces)(at), want, 1e-12) end
  near({{kind = "exp", from = 1, to = 0.01, steps = 2}}, 1, 0.1)
  near({{kind = "exp", from = 1, to = 0.01, steps = 2}}, 7, 0.01)
  near({{kind = "exp", from = -1, to = -4, steps = 2}}, 1, -2)
  near({{kind = "exp", from = 2, gamma = 0.5, steps = 3}, {kind = "constant", from = 0}}, 2, 0.5)
  near({{kind = "exp", from = 2, gamma = 0.5, steps = 3}, {kind = "constant", from = 0}}, 3, 0)
  near({{kind = "step", from = 2, gamma = 0}}, 0, 2)
  near({{kind = "step", from = 2, gamma = 0}}, 1, 0)
  near({{kind = "linear", from = -1, to = 1, steps = 4}}, 2, 0)
  near({{kind = "linear", from = 1, to = 0, steps = 1}, {kind = "linear", from = 0, to = 3, steps = 3}}, 2, 1)
  local function refused(part, piece) check.error("~" .. part, optim.schedule, {piece}) end
  refused("(exp) goes by gamma (and every), or to a value in steps", {kind = "exp", from = 1})
  refused("(exp) goes by gamma (and every), or to a value in steps", {kind = "exp", from = 1, to = 2})
  refused("(exp) goes by gamma", {kind = "exp", from = 1, to = 2, steps = 3, gamma = 0.1})
  refused("both must be of one sign and not 0", {kind = "exp", from = 0, to = 2, steps = 3})
  refused("both must be of one sign and not 0", {kind = "exp", from = 1, to = 0, steps = 3})
  refused("both must be of one sign and not 0", {kind = "exp", from = 1, to = -1, steps = 3})
  refused("gamma must not be negative", {kind = "exp", from = 1, gamma = -1})
  refused("(step) needs gamma", {kind = "step", from = 1, every = 10})
  refused("(step) needs from", {kind = "step", gamma = 1})
  refused("(constant) needs from", {kind = "constant"})
  refused("unknown option to of kind 'step'", {kind = "step", from = 1, gamma = 0.5, to = 2})
  refused("unknown option every of kind 'cosine'", {kind = "cosine", from = 1, to = 2, steps = 3, every = 1})
  for _, kind in ipairs {"constant", "linear", "cosine", "step", "exp"} do
    for _, bad in ipairs {0, -1, 1.5, 0 / 0, math.huge, "10", 2 ^ 60} do
      refused("steps must be a", {kind = kind, steps = bad})
    end
    for _, bad in ipairs {0 / 0, math.huge, "1", true} do refused("from must be a finite number", {kind = kind, from = bad}) end
  end
  refused("every must be a whole number from 1 on, got number 0", {kind = "step", from = 1, gamma = 1, every = 0})
  check.error("~step must not be negative", optim.schedule {{kind = "constant", from = 1}}, -1)
end)

check.test("what is not a number has not converged", function()
  local nan = 0 / 0
  for _, f in ipairs {function(x) return (x * nan):sum() end, function(x) return x:sum() * 0 + nan end,
    function(x) return x:log():sum() end, function(x) return (x - 1):square():sum() + math.huge end} do
    local _, info = optim.lbfgs(f, T.zeros(2))
    check.eq(info.converged, false)
  end
end)

check.test("lbfgs", function()
  local x, info = optim.lbfgs(function(v)
    local a, b = v[1], v[2]
    return (b - a * a) ^ 2 * 100 + (1 - a) ^ 2
  end, T.tensor({-1.2, 1}, {dtype = "f64"}), {max_iter = 200})
  check.near(x:to_table(), {1, 1}, 1e-5)
  check.ok(info.converged and info.evaluations >= info.iterations and info.value < 1e-9)
  check.error("~must return a tensor with one element, not number 3", optim.lbfgs, function() return 3 end, T.ones(2))
  check.error("bad", optim.lbfgs, function() error "bad" end, T.ones(2))
  check.ok(T.is_grad_enabled())
end)

-- A net in which weights are used twice, a parameter stands in the graph as a view and detached, and one is not used.
local function tangled(seed)
  T.manual_seed(seed)
  local net = nn.module{
    a = nn.linear(7, 7), b = nn.mlp{7, 65, 3}, norm = nn.layer_norm(7), scale = T.randn(3, 7), unused = nn.linear(1, 63),
    forward = function(self, x)
      local y = self.norm(self.a(x) * self.scale:detach():narrow(1, 2, 1)) -- read after the gradient of scale is there
      y = self.a(y) * self.scale:narrow(1, 2, 1)
      y = nn.checkpoint(function(v) return self.a(v):tanh() end, y) + self.a.weight:sum()
      return self.b(y)
    end,
  }
  return net
end

local function trained(kind, options)
  local net = tangled(3)
  local opt = optim[kind]({net.a, {params = {net.b, net.norm}, lr = 0.02}, net.scale, net.unused}, options)
  local norms, losses = {}, {}
  for i = 1, 5 do
    T.manual_seed(10 + i)
    opt:zero_grad()
    local x = T.randn(9, 7)
    local loss = i == 4 and (net.b(x) ^ 2):mean() or (net(x) ^ 2):mean() -- in step 4 only b gets gradients
    loss:backward()
    norms[i], losses[i] = opt:clip(), loss:item()
    opt:step()
  end
  return net, opt, norms, losses
end

check.test("steps during backward: the same bits, and no gradients", function()
  for kind, options in pairs{sgd = {lr = 0.05, momentum = 0.9}, adam = {lr = 0.03, weight_decay = 0.1}, adamw = {lr = 0.03}} do
    local after, opt, norms, losses = trained(kind, options)
    options.during_backward = true
    local during, opt2, norms2, losses2 = trained(kind, options)
    local state, state2 = after:state(), during:state()
    for name, t in pairs(state) do check.ok(t:eq(state2[name]):all():item() ~= 0, kind .. " " .. name) end
    for name, t in pairs((opt:state())) do check.ok(t:eq((opt2:state())[name]):all():item() ~= 0, kind .. " " .. name) end
    check.near(norms2, norms, 1e-5)
    check.eq(losses2, losses)
    check.eq(opt2:steps(), 5)
    for _, t in pairs(state2) do check.eq(t.grad, nil) end
  end
end)

check.test("steps during backward: what it refuses", function()
  local x = leaf(1, 2)
  local opt = optim.adam(x, {during_backward = true})
  check.error("~clip: this optimiser takes its step during backward", opt.clip, opt, 1)
  check.error("~is stepped during backward by an optimiser already", optim.sgd, x, {during_backward = true})
  ;(x * x):sum():backward()
  check.error("~call step() after each backward()", function() (x * x):sum():backward() end)
  opt:zero_grad()
  opt:step()
  local y = (x * x):sum() -- the graph saved x: it is another one after the first backward
  y:backward(nil, {retain_graph = true})
  opt:step()
  check.error("~was changed in place", function() y:backward() end)
  check.eq(opt:steps(), 2)
  opt = nil -- luacheck: ignore
  collectgarbage()
  optim.sgd(x, {during_backward = true})
end)

check.test("messages", function()
  local m = nn.linear(2, 2)
  check.error("adam: parameters are a module, a tensor, a list, or groups; got number 3", optim.adam, 3)
  check.error("~no parameter wants a gradient", optim.adam, {})
  check.error("~no parameter wants a gradient", optim.adam, T.ones(2))
  check.error("~entry 2 is string", optim.adam, {T.ones(2):requires_grad_(), "x"})
  check.error("optim.adam: unknown option 'learning_rate'; known are: params, lr, beta1, beta2, eps, weight_decay, during_backward",
    optim.adam, m, {learning_rate = 3})
  check.error("~adam: a group: unknown option 'lrr'; did you mean 'lr'?", optim.adam, {{params = m, lrr = 3}})
  check.error("sgd: nesterov needs momentum > 0", optim.sgd, m, {nesterov = true})
  check.error("~adam: lr: expected a number >= 0, got -1", optim.adam, m, {lr = -1})
end)

check.test("options are obeyed or refused, in groups, too: zero is a value", function()
  local x = T.tensor({1, 2}):requires_grad_()
  for _, kind in ipairs {"sgd", "adam", "adamw"} do
    check.eq(optim[kind](x, {lr = 0}):lr(), 0)
    check.eq(optim[kind]({{params = x, lr = 0}}, {lr = 0.1}):lr(), 0)
    for _, bad in ipairs {-1, 0 / 0, 1 / 0} do
      check.error("~optim." .. kind .. ": lr: expected a number >= 0", optim[kind], x, {lr = bad})
      check.error("~" .. kind .. ": a group: lr: expected a number >= 0", optim[kind], {{params = x, lr = bad}})
      check.error("~lr: value: expected a number >= 0", function() optim[kind](x):lr(bad) end)
    end
    check.error("~a group: argument 2 (lr): expected a number, got string", optim[kind], {{params = x, lr = "x"}})
  end
  check.error("~beta1: expected a number >= 0 and < 1, got 1", optim.adam, x, {beta1 = 1})
  local still, how = optim.lbfgs(function(v) return (v * v):sum() end, T.tensor {3, 4}, {max_iter = 0})
  check.eq(still:to_table(), {3, 4})
  check.eq(how.iterations, 0)
end)

check.done()
