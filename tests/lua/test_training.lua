--- Training as users do it: memory stays flat over thousands of steps; the same seed gives the same
-- bits, also when the program was stopped half way and a new process went on from the checkpoint;
-- kernels give the same bits on one thread and on two.
-- (`test_training.lua resume CHECKPOINT` is that new process.)
local T = require "percept.tensor"
local nn, optim, sys = require "percept.nn", require "percept.optim", require "percept.sys"
local train, datasets = require "percept.train", require "percept.datasets"
local check = dofile "tests/lua/check.lua"
local test = check.test

local sanitized = os.getenv "PERCEPT_SANITIZED" -- keeps freed memory on purpose, and is slow
local percept = os.getenv "PERCEPT" or "build/percept"

-- A model with random numbers in every step (batches, noise, dropout) and all of an optimiser's state.
local function study(kind, seed, steps, checkpoint)
  T.manual_seed(seed)
  local data = T.generator(11)
  local x = T.randn({ 64, 6 }, { generator = data })
  local y = (x * x):sum(2, { keepdim = true })
  local model = nn.sequential { nn.linear(6, 16), nn.activation "gelu", nn.layer_norm(16), nn.dropout(0.1), nn.linear(16, 1) }
  local optimizer = kind == "sgd" and optim.sgd(model, { lr = 0.01, momentum = 0.9, nesterov = true })
    or optim[kind](model, { lr = 0.01 })
  local batches = datasets.batches(T.arange(1, 65):long(), 10, { seed = seed })
  local schedule = optim.schedule { { kind = "linear", from = 0, to = 0.01, steps = 20 },
    { kind = "cosine", from = 0.01, to = 0.001, steps = 180 } }
  train.loop { name = kind, steps = steps, optimizer = optimizer, modules = { model = model }, batches = batches, quiet = true,
    clip = 1, lr = function(t) return schedule:at(t) end, checkpoint = checkpoint,
    step = function()
      local index = batches:next()
      local input = x:index_select(1, index)
      return nn.mse(model(input + T.randn(10, 6) * 0.1), y:index_select(1, index))
    end }
  return model
end

--- All weights as text that names every bit.
local function bits(model)
  local parts = {}
  local state = model:state()
  for _, name in ipairs(model:names()) do
    local numbers = state[name]:detach():reshape(-1):to_table()
    for i, v in ipairs(numbers) do numbers[i] = ("%.17g"):format(v) end
    parts[#parts + 1] = name .. " " .. table.concat(numbers, " ")
  end
  return table.concat(parts, "\n")
end

local job, kind, path = ...
if job == "resume" then -- another process: other numbers were drawn before
  T.manual_seed(999)
  T.randn(100)
  print(bits(study(kind, 77, 200, path)))
  os.exit(0)
end

for _, name in ipairs { "adam", "adamw", "sgd" } do
  test(name .. ": the same seed, the same bits after 200 steps; also after a stop at 100", function()
    local whole = bits(study(name, 3, 200))
    check.ok(whole == bits(study(name, 3, 200)), "two runs differ")
    check.ok(whole ~= bits(study(name, 4, 200)), "another seed gives the same weights")
    local file = os.tmpname()
    os.remove(file) -- a name alone: nothing to resume yet
    study(name, 3, 100, file)
    local f = assert(io.popen(("%s tests/lua/test_training.lua resume %s '%s'"):format(percept, name, file)))
    local resumed = f:read("*a"):gsub("%s+$", "")
    f:close()
    os.remove(file)
    check.ok(whole == resumed, "the resumed run differs")
  end)
end

test("10,000 steps: memory is flat after step 100", function()
  T.manual_seed(1)
  local model = nn.mlp { 4, 16, 1 }
  local optimizer = optim.adam(model, { lr = 1e-3 })
  local steps = sanitized and 1000 or 10000
  local early, first, last
  for t = 1, steps do
    local x = T.randn(16, 4)
    optimizer:zero_grad()
    local loss = nn.mse(model(x), x:sum(2, { keepdim = true }))
    loss:backward()
    optimizer:step()
    if t == 100 then
      early = sys.memory()
      first = loss:item()
    elseif t == steps then
      last = loss:item()
    end
  end
  local late = sys.memory()
  check.ok(last < first, "the model learns: " .. first .. " -> " .. last)
  local grown = (late.peak_rss - early.peak_rss) / 2 ^ 20
  print(("peak RSS: %.2f MiB at step 100, %.2f MiB at step %d"):format(early.peak_rss / 2 ^ 20, late.peak_rss / 2 ^ 20, steps))
  check.ok(sanitized or grown < 1, ("peak RSS grew by %.2f MiB"):format(grown))
  check.ok(late.live < early.live + 2 ^ 20, "live bytes")
end)

-- Kernels that use no BLAS, large enough for two threads.
local g = T.generator(7)
local big = T.randn({ 300, 1001 }, { generator = g })
local picture = T.randn({ 4, 64, 64, 8 }, { generator = g })
local places = T.affine_grid(T.tensor { { { 0.9, 0.2, 0.1 }, { -0.2, 1.1, 0 } } }, { 64, 64 }):expand(4, 64, 64, 2)
local depthwise = T.randn({ 8, 3, 3, 1 }, { generator = g })
local whole = T.randint(1, 301, { 5000 }, { generator = g })
local kernels = {
  { "sum", function() return big:sum() end }, { "sum(1)", function() return big:sum(1) end },
  { "sum(2)", function() return big:sum(2) end }, { "mean", function() return big:mean() end },
  { "var", function() return big:var(1) end }, { "std", function() return big:std() end },
  { "norm", function() return big:norm() end }, { "logsumexp", function() return big:logsumexp(1) end },
  { "prod", function() return (big * 0.01 + 1):prod(2) end }, { "max", function() return big:max(2) end },
  { "cumsum", function() return big:cumsum(1) end }, { "sort", function() return big:sort(2) end },
  { "softmax", function() return big:softmax(2) end }, { "log_softmax", function() return big:log_softmax(1) end },
  { "exp", function() return big:exp() end }, { "gelu", function() return big:gelu() end },
  { "tanh", function() return big:tanh() end }, { "erf", function() return big:erf() end },
  { "broadcast", function() return big * big:sum(1) + big[{ {}, { 1 } }] end },
  { "transposed copy", function() return big:t():contiguous() end },
  { "layer_norm", function() return T.layer_norm(big) end },
  { "group_norm", function() return T.group_norm(picture, 2) end },
  { "avg_pool2d", function() return T.avg_pool2d(picture, 2) end },
  { "max_pool2d", function() return T.max_pool2d(picture, 3, { stride = 2 }) end },
  { "upsample", function() return T.upsample(picture, { scale_factor = 2, mode = "bilinear" }) end },
  { "grid_sample", function() return T.grid_sample(picture, places) end },
  { "depthwise", function() return T.conv2d(picture, depthwise, { groups = 8, padding = 1 }) end },
  { "index_add", function() return T.index_add(big, 1, whole, T.ones(5000, 1001)) end },
  { "scatter_add", function() return big:scatter_add(1, whole:unsqueeze(2):expand(5000, 1001), T.ones(5000, 1001) * 0.1) end },
  { "embedding", function() return T.embedding(big, whole) end },
  { "randn", function() return T.randn({ 100000 }, { generator = T.generator(9) }) end },
  { "rand", function() return T.rand({ 100001 }, { generator = T.generator(9) }) end },
  { "randperm", function() return T.randperm(50000, { generator = T.generator(9) }) end },
  { "adam", function()
    local w = big:detach():clone():requires_grad_()
    local o = optim.adam(w, { lr = 0.1 })
    for _ = 1, 2 do
      o:zero_grad()
      local loss = (w * w):sum()
      loss:backward()
      o:clip(1)
      o:step()
    end
    return w:detach()
  end },
}
--- The function's result and its gradients by the tensors it uses, where it has some.
local function with_gradient(fn)
  local out = { fn() }
  for _, leaf in ipairs { big, picture, depthwise } do leaf:requires_grad_(true) end
  local y = fn()
  if y:requires_grad() then
    local loss = (y * y):sum()
    for _, gradient in pairs(T.grad(loss, { big, picture, depthwise }, { allow_unused = true })) do out[#out + 1] = gradient end
  end
  for _, leaf in ipairs { big, picture, depthwise } do leaf:requires_grad_(false) end
  return out
end
local threads = T.get_num_threads()
for _, kernel in ipairs(kernels) do
  test(kernel[1] .. ": the same bits on one thread and on two", function()
    T.set_num_threads(1)
    local one = with_gradient(kernel[2])
    T.set_num_threads(2)
    local two = with_gradient(kernel[2])
    T.set_num_threads(threads)
    check.eq(#one, #two)
    for i = 1, #one do
      check.eq(one[i]:ne(two[i]):sum():item(), 0, "elements of result " .. i .. " that differ")
    end
  end)
end
check.test("loops of different names write different checkpoints", function()
  local folder, seen = os.tmpname(), {}
  os.remove(folder)
  for _, name in ipairs{"fit", "fit 1", "fit_1", "fit/1", "fit-best", "../fit"} do
    local m = nn.linear(1, 1)
    local recorded = {}
    local run = {folder = folder, log = function() end, artifact = function(_, path) recorded[#recorded + 1] = path end}
    require "percept.sys".mkdir(folder)
    train.loop{name = name, steps = 1, modules = {m = m}, optimizer = optim.sgd(m, {lr = 0.1}), run = run, quiet = true,
      eval = function() return {loss = 1} end, eval_every = 1, step = function() return (m(T.ones(1, 1)) ^ 2):sum() end}
    check.eq(#recorded, 2)
    for _, path in ipairs(recorded) do
      check.ok(path:sub(#folder + 2):match "^[%w_.-]+$", path)
      check.ok(not seen[path], path)
      seen[path] = true
    end
  end
  require "percept.files".remove_folder(folder)
end)

check.test("what a function of the caller returns is checked: the message says what is expected", function()
  local function try(changes)
    local m = nn.linear(1, 1)
    local o = {name = "x", steps = 1, modules = {m = m}, optimizer = optim.sgd(m, {lr = 0.1}), quiet = true, checkpoint = false,
      step = function() return (m(T.ones(1, 1)) ^ 2):sum() end}
    for key, value in pairs(changes(m)) do o[key] = value end
    local ok, why = pcall(train.loop, o)
    check.ok(not ok and tostring(why):find "train%.loop" and not tostring(why):find "attempt to", tostring(why))
    return tostring(why)
  end
  local function loss(m) return (m(T.ones(1, 1)) ^ 2):sum() end
  for _, wrong in ipairs{{clip = -1}, {clip = 0 / 0}, {checkpoint_every = -1}, {checkpoint_every = 0 / 0}, {images = 0}, {offset = -1},
    {offset = 0.5}, {offset = 2 ^ 60}, {name = ""}, {optimizer = 3}, {optimizer = {}}, {run = 3}, {run = {}}, {batches = 3},
      {modules = {3}},
    {modules = {m = 3}}} do
    local key = next(wrong)
    check.ok(try(function() return wrong end):find(key, 1, true), key)
  end
  for _, wrong in ipairs{{goal = "smallest"}, {goal = 1}, {metric = 1}, {patience = 0}, {patience = 1.5}, {patience = "x"},
    {min_delta = -1},
    {min_delta = 0 / 0}} do
    local key = next(wrong)
    check.ok(try(function() return {watch = wrong, eval = function() return {loss = 1} end} end):find("watch." .. key .. ": expected",
      1, true), key)
  end
  for _, wrong in ipairs{1, "x", {}, true, print, T.ones(2), T.ones(0)} do
    check.ok(try(function() return {step = function() return wrong end} end):find "step")
    check.ok(try(function() return {eval = function() return wrong end, eval_every = 1, step = function() return T.ones(2) end} end))
    if type(wrong) ~= "table" then
      check.ok(try(function(m) return {step = function() return loss(m), wrong end} end):find "second result of step")
      check.ok(try(function(m) return {step = function() return loss(m) end, eval = function() return wrong end} end):find "eval returns")
    end
    if type(wrong) ~= "number" then
      check.ok(try(function() return {lr = function() return wrong end} end):find "lr must return a number")
      check.ok(try(function() return {steps = wrong} end):find "steps")
    end
    if type(wrong) ~= "number" and not (T.is_tensor(wrong) and wrong:numel() == 1) then
      check.ok(try(function(m) return {step = function() return loss(m), {figure = wrong} end} end):find "'figure' must be a number")
    end
    check.ok(try(function(m) return {step = function() return loss(m), {attention = wrong} end} end):find "attention")
    if type(wrong) ~= "function" then check.ok(try(function() return {on_log = wrong} end):find "on_log") end
  end
  check.ok(try(function() return {step = function() end} end):find "returned nothing")
  for _, wrong in ipairs{-1, 0.5, 0 / 0, 1 / 0} do check.ok(try(function() return {steps = wrong} end):find "expected an integer") end
end)

check.test("every option of a loop is obeyed or refused before the first step, by its name", function()
  local m, steps = nn.linear(1, 1), 0
  local function loop(name, value)
    local o = {name = "x", steps = 3, modules = {m = m}, optimizer = optim.sgd(m, {lr = 0.1}), quiet = true, checkpoint = false,
      eval = function() return {loss = 1} end, watch = {},
      step = function() steps = steps + 1 return (m(T.ones(1, 1)) ^ 2):sum() end}
    local table_of = o
    if name:find "^watch%." then table_of, name = o.watch, name:sub(7) end
    table_of[name] = value
    return pcall(train.loop, o)
  end
  local nan, inf = 0 / 0, 1 / 0
  local wrong = {
    steps = {-1, nan, inf, 0.5, "3", true}, first = {-1, nan, 0.5}, log_every = {0, -1, nan, 0.5}, eval_every = {0, -1, nan, 0.5},
    keep_every = {0, -1, nan, 0.5}, checkpoint_every = {-1, nan, inf, "20"}, clip = {-1, nan, inf}, images = {0, -1, nan}, offset = {-1,
      nan, 0.5},
    name = {"", 1}, checkpoint = {"", true}, resume = {1, "no"}, quiet = {1}, lr = {0.1, "x"}, on_step = {1}, modules = {1},
    ["watch.metric"] = {"", 1}, ["watch.goal"] = {"largest", ""}, ["watch.patience"] = {0, -1, nan, 0.5}, ["watch.min_delta"] = {-1, nan},
    step_ = {1}, ["watch.patienc"] = {1},
  }
  for name, values in pairs(wrong) do
    for _, value in ipairs(values) do
      local ok, why = loop(name, value)
      check.ok(not ok and tostring(why):find("train.loop: ", 1, true) and tostring(why):find(name, 1, true),
        name .. " = " .. tostring(value) .. ": " .. tostring(why))
    end
  end
  check.eq(steps, 0, "no step was taken")
  check.ok(loop("steps", 0))
  check.eq(steps, 0)
  check.ok(loop("clip", 0) and loop("checkpoint_every", 0) and loop("watch.min_delta", 0))
  check.eq(steps, 9)
end)

check.done()
